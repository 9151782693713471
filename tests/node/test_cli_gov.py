"""What `carlive gov` and `carlive operator` sign and show."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from genesis.presets import list_development_accounts
from identity.address import NetworkKind, compute_key_address, format_address
from identity.did import Did, format_did
from identity.keys import verify_signature
from identity.signing import SigningPurpose, signing_bytes
from ledger.codec import pack
from ledger.primitives import GRAINS_PER_IOV, Height
from node.cli.failures import ExitCode
from node.cli.gov_commands import EFFECT_MARGIN_HEIGHTS
from node.cli.main import cli
from node.cli.role_names import RECOGNITIONS, ROLES, format_role, get_role_number
from node.key_files import load_ed25519_key_file
from p2p.certificate import expand_certificate
from tests.builders import PARAMETERS
from tests.node.cli_scene import CliScene, open_cli_scene
from tests.rpc.fake_backend import DOMAIN
from tests.stake_scene import OPERATORS
from vm.native.ads_records import DEFAULT_RULES as ADS_RULES
from vm.native.governance import (
    BodyKind,
    Donate,
    Priority,
    ProposeAdsRules,
    ProposeBody,
    ProposeMiningBatchVoid,
    ProposeMiningBehaviour,
    ProposeMiningBehaviourEnd,
    ProposeMiningReinstatement,
    ProposeMiningRules,
    ProposeMiningSource,
    ProposeOperator,
    ProposeOperatorRemoval,
    ProposeParameter,
    ProposePause,
    ProposeRecognition,
    ProposeRecognitionEnd,
    ProposeResume,
    ProposeRole,
    ProposeRoleRemoval,
    ProposeSpending,
    ProposeTask,
    ProposeTaskEnd,
    Terms,
    Vote,
)
from vm.native.growth_records import Requirement, Task
from vm.native.mining_formulas import DEFAULT_BEHAVIOURS, DEFAULT_RULES, Behaviour, Epoch
from vm.native.network import NodeRole, RegisteredNode, put_node
from vm.native.network_calls import RegisterNode, RemoveNode, RotateConsensus, RotateNode, UpdateNode
from vm.native.recognition import Recognition, put_recognised
from vm.native.role_records import HOLDERS, Role

IOV = GRAINS_PER_IOV
TEXTS = [format_address(operator, NetworkKind.DEVNET) for operator in OPERATORS]
DEV = [compute_key_address(account.key.public_key) for account in list_development_accounts()]
DID = Did(bytes(range(20)))
DID_TEXT = format_did(DID, NetworkKind.DEVNET)
TERMS = Terms(Priority.NORMAL, PARAMETERS.voting_heights_normal + EFFECT_MARGIN_HEIGHTS, "Because")


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CliScene]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        yield scene


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "home"
    made = CliRunner().invoke(cli, ["init", "--home", str(place), "--name", "ours", "--address", "127.0.0.1:9000"])
    assert made.exit_code == 0, made.output
    return place


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["operator", "--operator", "dev1", "--name", "fifth"], ProposeOperator(DEV[1], "fifth", TERMS)),
        (["remove-operator", "--operator", TEXTS[2]], ProposeOperatorRemoval(OPERATORS[2], TERMS)),
        (["parameter", "epoch_heights", "50"], ProposeParameter("epoch_heights", 50, TERMS)),
        (["parameter", "epoch-heights", "50"], ProposeParameter("epoch_heights", 50, TERMS)),
        (
            ["body", "technical", "--member", "dev1", "--member", "dev2"],
            ProposeBody(BodyKind.TECHNICAL, (DEV[1], DEV[2]), TERMS),
        ),
        (["body", "financial"], ProposeBody(BodyKind.FINANCIAL, (), TERMS)),
        (
            ["spending", "--category", "core", "--to", "dev3", "--amount", "2.5"],
            ProposeSpending("core", DEV[3], 5 * IOV // 2, TERMS),
        ),
        (["pause", "iov", "--heights", "100"], ProposePause("iov", 100, TERMS)),
        (["resume", "iov"], ProposeResume("iov", TERMS)),
        (["recognition", "auditor", DID_TEXT], ProposeRecognition(Recognition.AUDITOR, DID, TERMS)),
        (
            ["end-recognition", "person-issuer", DID_TEXT],
            ProposeRecognitionEnd(Recognition.PERSON_ISSUER, DID, TERMS),
        ),
        (["role", DID_TEXT, "advertiser", "--until", "900"], ProposeRole(DID, Role.ADVERTISER, Height(900), TERMS)),
        (
            [
                *("task", "Guide", "--role", "certified-company", "--term", "500", "--period", "100"),
                *("--evidence", "sales=50", "--evidence", "posts=2", "--raters", "20", "--mean", "4.2"),
            ],
            ProposeTask(
                Task(
                    "Guide",
                    Role.CERTIFIED_COMPANY,
                    500,
                    100,
                    (Requirement("posts", 2), Requirement("sales", 50)),
                    20,
                    420,
                ),
                TERMS,
            ),
        ),
        (["end-task", "7"], ProposeTaskEnd(7, TERMS)),
        (
            ["mining-behaviour", "purchase", "--user", "100/2/6", "--provider", "50/100/1000"],
            ProposeMiningBehaviour(DEFAULT_BEHAVIOURS[Behaviour.PURCHASE - 1], TERMS),
        ),
        (
            ["mining-behaviour", "car_started", "--user", "100/1/5", "--vehicle-vouched"],
            ProposeMiningBehaviour(DEFAULT_BEHAVIOURS[Behaviour.CAR_STARTED - 1], TERMS),
        ),
        (["end-mining-behaviour", "tip"], ProposeMiningBehaviourEnd(Behaviour.TIP, TERMS)),
        (["reinstate-attester", DID_TEXT], ProposeMiningReinstatement(DID, TERMS)),
        (["mining-batch-void", "20800", "2"], ProposeMiningBatchVoid(Epoch(20_800), 2, TERMS)),
        (["mining-source", "3"], ProposeMiningSource(3, TERMS)),
        (["remove-role", DID_TEXT, "attester"], ProposeRoleRemoval(DID, Role.ATTESTER, TERMS)),
    ],
)
async def test_each_proposal_is_signed_with_its_terms(node: CliScene, arguments: list[str], expected: object) -> None:
    assert await node.sign("gov", "propose", *arguments, "--title", "Because") == expected


async def test_terms_may_be_named(node: CliScene) -> None:
    signed = await node.sign(
        *("gov", "propose", "resume", "iov", "--title", "Now", "--priority", "emergency", "--effective", "77")
    )
    assert signed == ProposeResume("iov", Terms(Priority.EMERGENCY, 77, "Now"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["vote", "3", "yes"], Vote(3, True)),
        (["vote", "3", "no"], Vote(3, False)),
        (["donate", "--amount", "1"], Donate(IOV)),
    ],
)
async def test_votes_and_donations_are_signed(node: CliScene, arguments: list[str], expected: object) -> None:
    assert await node.sign("gov", *arguments) == expected


def test_roles_and_recognitions_have_the_chains_names() -> None:
    assert [each.replace("-", "_").upper() for each in RECOGNITIONS] == [each.name for each in Recognition]
    assert [get_role_number(each) for each in ROLES] == list(HOLDERS)
    assert [format_role(number) for number in HOLDERS] == list(ROLES)


async def test_who_is_recognised_is_listed(node: CliScene) -> None:
    assert await node.run_json("gov", "recognised", "platform") == []
    put_recognised(node.scene.state, Recognition.PLATFORM, DID)
    assert await node.run_json("gov", "recognised", "platform") == [{"did": DID_TEXT}]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--evidence", "posts"),
        ("--evidence", "posts=0"),
        ("--evidence", "posts=1", "--evidence", "posts=2"),
        ("--mean", "4.255"),
        ("--mean", "0.5"),
        ("--role", "person"),
    ],
)
async def test_what_is_no_task_is_refused(node: CliScene, arguments: tuple[str, ...]) -> None:
    task = ("task", "Guide", "--role", "advertiser", "--term", "5", "--period", "1", "--title", "Why")
    result = await node.run("gov", "propose", *task, *arguments, "--from", "dev0", "--yes")
    assert result.exit_code != 0
    assert node.list_signed() == []


async def test_what_is_no_vote_is_refused(node: CliScene) -> None:
    for answer in ("maybe", "true"):
        result = await node.run("gov", "vote", "3", answer, "--from", "dev0", "--yes")
        assert result.exit_code == ExitCode.WRONG_USE
    assert node.list_signed() == []


async def test_parameters_and_treasury_are_listed(node: CliScene) -> None:
    parameters = {each["name"]: each for each in await node.run_json("gov", "params")}
    assert parameters["epoch_heights"]["value"] == PARAMETERS.epoch_heights
    assert "the committee is elected" in (await node.run("gov", "params")).stdout
    treasury = await node.run_json("gov", "treasury")
    assert [each["percent"] for each in treasury["budgets"]] == [10, 10, 35, 30, 15]


async def test_a_proposal_that_is_not_there_is_said(node: CliScene) -> None:
    assert (await node.run("gov", "show", "9")).exit_code == ExitCode.FAILED
    assert await node.run_json("gov", "proposals") == []


def check(key: bytes, purpose: SigningPurpose, value: list[bytes], signature: bytes) -> bool:
    from identity.keys import KeyType, PublicKey

    message = signing_bytes(purpose, DOMAIN, pack(value))
    return verify_signature(PublicKey(KeyType.ED25519, key), message, signature)


def load(home: Path, name: str) -> bytes:
    return load_ed25519_key_file(home / "keys" / name).public_key.key


async def test_a_super_node_is_registered_with_its_certificate_and_proof(node: CliScene, home: Path) -> None:
    signed = await node.sign("operator", "register", "--home", str(home))
    key, consensus = load(home, "node.key"), load(home, "consensus.key")
    assert isinstance(signed, RegisterNode)
    assert (signed.key, signed.consensus_key, signed.role) == (key, consensus, NodeRole.SUPER_NODE)
    assert (signed.name, signed.addresses) == ("ours", ("127.0.0.1:9000",))
    expand_certificate(signed.key, signed.certificate_signature)
    assert signed.consensus_signature is not None
    assert check(consensus, SigningPurpose.CONSENSUS_KEY_POSSESSION, [DEV[0], key], signed.consensus_signature)


async def test_an_observer_is_registered_without_a_consensus_key(node: CliScene, home: Path) -> None:
    signed = await node.sign(
        *("operator", "register", "--home", str(home), "--role", "observer", "--name", "eye", "--address", "[::1]:9001")
    )
    assert (signed.role, signed.consensus_key, signed.consensus_signature) == (NodeRole.OBSERVER, None, None)
    assert (signed.name, signed.addresses) == ("eye", ("[::1]:9001",))


def register(node: CliScene, home: Path, **changes: Any) -> None:
    fields: dict[str, Any] = {
        "key": load(home, "node.key"),
        "certificate_signature": bytes(64),
        "operator": DEV[0],
        "role": NodeRole.SUPER_NODE,
        "name": "ours",
        "addresses": ("127.0.0.1:9000",),
        "consensus_key": load(home, "consensus.key"),
    }
    put_node(node.scene.state, RegisteredNode(**(fields | changes)))


async def test_an_update_keeps_what_is_not_named(node: CliScene, home: Path) -> None:
    unknown = await node.run("operator", "update", "--home", str(home), "--name", "x", "--from", "dev0", "--yes")
    assert "carlive operator register" in unknown.stderr
    register(node, home)
    key = load(home, "node.key")
    signed = await node.sign("operator", "update", "--home", str(home), "--name", "other")
    assert signed == UpdateNode(key, "other", ("127.0.0.1:9000",))
    signed = await node.sign("operator", "update", "--home", str(home), "--address", "a.example:1")
    assert signed == UpdateNode(key, "ours", ("a.example:1",))
    assert await node.sign("operator", "remove", "--home", str(home)) == RemoveNode(key)


async def rotate(node: CliScene, command: str, home: Path) -> Any:
    """The command waits in vain for its transaction; what it signed is looked at."""
    await node.run("operator", command, "--home", str(home), "--from", "dev0", "--yes", "--output", "json")
    (call,) = node.list_signed()[-1]
    from vm.native.registry import find_call

    return find_call(call.module, call.call).read_arguments(call.arguments)


async def test_a_node_key_is_exchanged_only_when_the_chain_knows_the_new_one(
    node: CliScene, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from node.cli import sending

    monkeypatch.setattr(sending, "WAIT_MS", 10)
    register(node, home)
    old = load(home, "node.key")
    signed = await rotate(node, "rotate-node", home)
    new = load(home, "node.key.next")
    assert isinstance(signed, RotateNode)
    assert (signed.old_key, signed.new_key) == (old, new)
    expand_certificate(signed.new_key, signed.certificate_signature)
    assert check(old, SigningPurpose.NODE_KEY_ROTATION, [DEV[0], old, new], signed.signature)
    assert load(home, "node.key") == old

    register(node, home, key=new)  # it became final after the command had given up
    count = len(node.list_signed())
    again = await node.run("operator", "rotate-node", "--home", str(home), "--from", "dev0", "--yes")
    assert again.exit_code == 0, again.output
    assert len(node.list_signed()) == count
    assert (load(home, "node.key"), load(home, "node.key.previous")) == (new, old)
    assert not (home / "keys" / "node.key.next").exists()


async def test_a_consensus_key_is_exchanged_with_both_signatures(
    node: CliScene, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from node.cli import sending

    monkeypatch.setattr(sending, "WAIT_MS", 10)
    register(node, home)
    old = load(home, "consensus.key")
    signed = await rotate(node, "rotate-consensus", home)
    new = load(home, "consensus.key.next")
    named = [DEV[0], old, new]
    assert isinstance(signed, RotateConsensus)
    assert (signed.key, signed.consensus_key) == (load(home, "node.key"), new)
    assert check(old, SigningPurpose.CONSENSUS_KEY_ROTATION, named, signed.old_signature)
    assert check(new, SigningPurpose.CONSENSUS_KEY_ROTATION, named, signed.new_signature)
    register(node, home, consensus_key=new)
    again = await node.run("operator", "rotate-consensus", "--home", str(home), "--from", "dev0", "--yes")
    assert again.exit_code == 0, again.output
    assert (load(home, "consensus.key"), load(home, "consensus.key.previous")) == (new, old)


async def test_registered_nodes_are_listed(node: CliScene) -> None:
    assert sorted(each["name"] for each in await node.run_json("operator", "nodes")) == [
        f"node-{index}" for index in range(8)
    ]


async def test_rules_of_mining_are_proposed_as_they_are_shown(node: CliScene, tmp_path: Path) -> None:
    shown = await node.run_json("mining", "rules")
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({**shown, "rules": {**shown["rules"], "attestersMin": 3}}), encoding="utf-8")
    signed = await node.sign("gov", "propose", "mining-rules", str(path), "--title", "Because")
    assert signed == ProposeMiningRules(replace(DEFAULT_RULES, attesters_min=3), TERMS)
    table = (await node.run("mining", "rules")).output
    assert "half life epochs" in table and "app_opened" in table


async def test_rules_of_advertising_are_proposed_as_they_are_shown(node: CliScene, tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({**await node.run_json("ads", "rules"), "panelSize": 3}), encoding="utf-8")
    signed = await node.sign("gov", "propose", "ads-rules", str(path), "--title", "Because")
    assert signed == ProposeAdsRules(replace(ADS_RULES, panel_size=3), TERMS)
    assert "grace ms" in (await node.run("ads", "rules")).output


@pytest.mark.parametrize("given", ["100", "1/2/x", "0/1/1", "1/1/1/1"])
async def test_what_a_behaviour_earns_are_three_numbers(node: CliScene, given: str) -> None:
    result = await node.run(
        "gov", "propose", "mining-behaviour", "tip", "--user", given, "--title", "T", "--from", "op0"
    )
    assert result.exit_code == 2 and "BASE/FULL/MOST" in result.output
