"""What `carlive did` signs, sends and shows; what it has signed is executed, so wrong signatures fail."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from genesis.presets import list_development_accounts
from identity.address import NetworkKind, compute_key_address, format_address
from identity.did import Did, format_did, parse_did
from identity.policy import build_policy
from ledger.primitives import Height, TimeMs, TransactionId
from ledger.state import State
from node.cli.failures import ExitCode
from node.key_files import create_key_file
from tests.builders import block_context, make_key, make_state
from tests.did_scene import AGREEMENT_KEY
from tests.node.cli_scene import CliScene, open_cli_scene
from tests.rpc.fake_backend import DOMAIN
from vm.context import Context
from vm.gas import GasMeter
from vm.native.did_records import (
    Control,
    Controllers,
    DidKeys,
    DidKind,
    DidRecord,
    Guardians,
    Service,
    compute_commitment,
    get_did_record,
    get_recovery,
)
from vm.native.registry import find_call

NETWORK = NetworkKind.DEVNET
DEV = [account.key for account in list_development_accounts()]
ADDRESSES = [compute_key_address(key.public_key) for key in DEV]


class DidNode:
    """Commands, and the state that what they sign leads to."""

    def __init__(self, scene: CliScene) -> None:
        self.scene = scene
        self.scene.scene = self  # type: ignore[assignment]  # its state is what the node answers from
        self.state: State = make_state(dict.fromkeys(ADDRESSES, 10**12))
        self.height, self.begin_ms = 1, 0
        self.run, self.run_json = scene.run, scene.run_json

    async def change(self, *arguments: str, signer: str = "dev0") -> dict[str, Any]:
        """Run a command that sends one call, execute that, and give back what was printed."""
        result = await self.run(*arguments, "--from", signer, "--yes", "--wait", "admitted", "--output", "json")
        assert result.exit_code == 0, result.output
        (call,) = self.scene.list_signed()[-1]
        ready = find_call(call.module, call.call)
        time_ms = TimeMs(self.begin_ms + self.height * 1_000)
        block = replace(block_context(), height=Height(self.height), time_ms=time_ms, domain=DOMAIN)
        sender = ADDRESSES[int(signer.removeprefix("dev"))]
        context = Context(block, sender, sender, TransactionId(bytes(32)), GasMeter(10**9, 0))
        ready.rule.apply(self.state, context, ready.read_arguments(call.arguments))
        self.height += 1
        return json.loads(result.stdout)

    async def create(self, *arguments: str) -> str:
        """A new identity's text."""
        return (await self.change("did", "create", *arguments))["did"]

    def get(self, text: str) -> DidRecord:
        """An identity that exists."""
        record = get_did_record(self.state, self.parse(text))
        assert record is not None
        return record

    def parse(self, text: str) -> Did:
        """Its bytes."""
        return parse_did(text, NETWORK)


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DidNode]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        yield DidNode(scene)


def policy(*indexes: int, threshold: int = 1):
    return build_policy([(DEV[index].public_key, 1) for index in indexes], threshold)


async def test_an_identity_with_everything(node: DidNode) -> None:
    friends = sorted([node.parse(await node.create("--key", f"dev{index}")) for index in (5, 6)])
    text = await node.create(
        *("--key", "dev1", "--key", "dev2", "--threshold", "2", "--agreement-key", "0x" + AGREEMENT_KEY.hex()),
        *("--next-key", "dev3", "--recovery-key", "dev4", "--guardians-needed", "2"),
        *[word for friend in friends for word in ("--guardian", format_did(friend, NETWORK))],
        *("--service", "web=Web=https://example.com/", "--service", "mail=Mail=mailto:me@example.com"),
    )
    content = node.get(text).current.content
    assert content.control == Control(
        DidKeys(policy(1, 2, threshold=2), (AGREEMENT_KEY,)),
        None,
        compute_commitment(policy(3)),
        compute_commitment(policy(4)),
        Guardians(tuple(friends), 2),
    )
    assert content.services == (
        Service("mail", "Mail", "mailto:me@example.com"),
        Service("web", "Web", "https://example.com/"),
    )
    shown = await node.run_json("did", "show", text)
    assert (shown["did"], shown["number"], shown["operation"], shown["recovery"]) == (text, 1, "create", None)
    assert shown["content"]["kind"] == "person"
    table = (await node.run("did", "show", text)).stdout
    assert text in table


async def test_two_identities_of_the_same_keys_differ(node: DidNode) -> None:
    assert await node.create("--key", "dev1") != await node.create("--key", "dev1")


async def test_keys_from_the_keystore(node: DidNode, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir(mode=0o700)
    key = make_key("phone")
    create_key_file(tmp_path / "keys" / "phone.key", key, None)
    text = await node.create("--key", "phone")
    assert node.get(text).current.content.control.keys.policy == build_policy([(key.public_key, 1)], 1)


async def test_services_are_updated(node: DidNode) -> None:
    text = await node.create("--key", "dev1")
    await node.change("did", "update", text, "--service", "web=Web=https://example.com/", "--by", "dev1")
    assert node.get(text).current.content.services == (Service("web", "Web", "https://example.com/"),)
    await node.change("did", "update", text, "--by", "dev1")
    assert node.get(text).current.content.services == ()


async def test_keys_are_rotated_to_those_committed_to(node: DidNode) -> None:
    text = await node.create("--key", "dev1", "--next-key", "dev2")
    await node.change("did", "rotate", text, "--key", "dev2", "--next-key", "dev3", "--by", "dev1")
    control = node.get(text).current.content.control
    assert (control.keys.policy, control.next_keys) == (policy(2), compute_commitment(policy(3)))


async def test_recovery_keys_recover(node: DidNode) -> None:
    text = await node.create("--key", "dev1", "--recovery-key", "dev2")
    await node.change("did", "recover", text, "--key", "dev2")
    assert node.get(text).current.content.control.keys.policy == policy(2)


async def test_controllers_create_and_sign(node: DidNode) -> None:
    ruler = await node.create("--key", "dev1")
    firm = await node.create("--kind", "organisation", "--controller", ruler, "--by", f"{ruler}=dev1")
    assert node.get(firm).current.content.control.controllers == Controllers((node.parse(ruler),), 1)
    await node.change("did", "update", firm, "--by", f"{ruler}=dev1")
    assert node.get(firm).current.number == 2


async def test_a_car_is_sold(node: DidNode) -> None:
    seller, buyer = [await node.create("--key", name) for name in ("dev1", "dev2")]
    car = await node.create("--kind", "vehicle", "--owner", seller, "--key", "dev3", "--by", "dev1")
    content = node.get(car).current.content
    assert (content.kind, content.owner) == (DidKind.VEHICLE, node.parse(seller))
    await node.change("did", "transfer", car, "--to", buyer, "--by", f"{seller}=dev1", "--by", f"{buyer}=dev2")
    assert node.get(car).current.content.owner == node.parse(buyer)


async def test_parties_elsewhere_sign_a_file(node: DidNode, tmp_path: Path) -> None:
    seller, buyer = [await node.create("--key", name) for name in ("dev1", "dev2")]
    car = await node.create("--kind", "vehicle", "--owner", seller, "--by", f"{seller}=dev1")
    payload, signature = tmp_path / "sale.json", tmp_path / "buyer.json"
    sent = len(node.scene.list_signed())
    written = await node.run_json(
        *("did", "transfer", car, "--to", buyer, "--from", "dev0", "--payload-out", str(payload))
    )
    assert (written["call"], written["did"], written["signer"]) == ("did.transfer", car, seller)
    assert written["toBeSignedBy"] == "the present owner and the new one"
    assert len(node.scene.list_signed()) == sent
    asked = await node.run("did", "sign", str(payload), "--as", buyer, "--key", "dev2")
    assert asked.exit_code != 0, "nobody has agreed"
    shown = dict(line.split(maxsplit=1) for line in asked.stderr.splitlines() if line.startswith(("call", "owner")))
    assert shown == {"call": "did.transfer", "owner": buyer}
    assert re.search(f"^signed for +{buyer}$", asked.stderr, re.MULTILINE)
    signed = await node.run_json(
        *("did", "sign", str(payload), "--as", buyer, "--key", "dev2", "--out", str(signature), "--yes")
    )
    assert json.loads(signature.read_text()) == signed
    await node.change("did", "send", str(payload), "--by", "dev1", "--signature", str(signature))
    assert node.get(car).current.content.owner == node.parse(buyer)


async def test_a_new_identity_is_signed_elsewhere_too(node: DidNode, tmp_path: Path) -> None:
    payload = tmp_path / "new.json"
    key = "ed25519:0x" + DEV[1].public_key.key.hex()
    written = await node.run_json("did", "create", "--key", key, "--from", "dev0", "--payload-out", str(payload))
    signature = tmp_path / "signature.json"
    await node.run_json("did", "sign", str(payload), "--key", "dev1", "--yes", "--out", str(signature))
    sent = await node.change("did", "send", str(payload), "--signature", str(signature))
    assert sent["did"] == written["did"]
    assert node.get(sent["did"]).current.content.control.keys.policy == policy(1)


async def test_guardians_ask_the_holder_objects_and_somebody_completes(node: DidNode) -> None:
    guardian = await node.create("--key", "dev5")
    text = await node.create("--key", "dev1", "--guardian", guardian)
    request = ("did", "guardians", "request", text, "--key", "dev2", "--guardian", guardian, "--by", f"{guardian}=dev5")
    await node.change(*request)
    assert get_recovery(node.state, node.parse(text)) is not None
    assert (await node.run_json("did", "show", text))["recovery"]["dueHeight"] == 3 + 10
    await node.change("did", "guardians", "object", text, "--by", "dev1")
    assert get_recovery(node.state, node.parse(text)) is None
    await node.change(*request)
    node.height += 10
    await node.change("did", "guardians", "complete", text)
    assert node.get(text).current.content.control.keys.policy == policy(2)


async def test_an_identity_ends(node: DidNode) -> None:
    text = await node.create("--key", "dev1", "--next-key", "dev2")
    await node.change("did", "deactivate", text, "--by", "dev1", "--next-key", "dev2")
    assert node.get(text).is_deactivated
    resolved = await node.run_json("did", "resolve", text)
    assert (resolved["didDocument"], resolved["didDocumentMetadata"]["deactivated"]) == (None, True)


async def test_an_account_is_linked_and_unlinked(node: DidNode) -> None:
    text = await node.create("--key", "dev1")
    await node.change("did", "link", text, "--by", "dev1", signer="dev2")
    assert node.get(text).account == ADDRESSES[2]
    shown = await node.run_json("query", "account", "dev2")
    assert shown["did"] == text
    await node.change("did", "unlink", text, "--by", "dev1")
    assert node.get(text).account is None
    await node.change("did", "link", text, "--account", "dev1", "--by", "dev1")
    assert node.get(text).account == ADDRESSES[1]
    assert (await node.run_json("did", "show", text))["account"] == format_address(ADDRESSES[1], NETWORK)


async def test_documents_and_history_are_shown(node: DidNode) -> None:
    text = await node.create("--key", "dev1")
    await node.change("did", "update", text, "--service", "web=Web=https://example.com/", "--by", "dev1")
    versions = await node.run_json("did", "history", text)
    assert [(each["number"], each["operation"]) for each in versions] == [(2, "update"), (1, "create")]
    assert len(await node.run_json("did", "history", text, "--limit", "1")) == 1
    now = await node.run_json("did", "resolve", text)
    assert now["didDocument"]["service"][0]["serviceEndpoint"] == "https://example.com/"
    first = await node.run_json("did", "resolve", text, "--version-id", versions[1]["versionId"])
    assert "service" not in first["didDocument"]
    assert first == await node.run_json("did", "resolve", text, "--version-time", "1970-01-01T00:00:01Z")
    assert "create" in (await node.run("did", "history", text)).stdout


async def test_any_call_of_the_module_takes_identities_as_text(node: DidNode) -> None:
    table = (await node.run("query", "module", "did")).stdout
    assert "complete_recovery" in table
    assert "did=DID" in table


UNKNOWN = "did:iov:devnet:Ci9TDNmoZN2SfQDyS8NgCcB8egf"


@pytest.mark.parametrize(
    ("arguments", "code", "advice"),
    [
        (["create"], ExitCode.WRONG_USE, "nobody signs this"),
        (["create", "--key", "nobody"], ExitCode.WRONG_USE, "there is no readable key nobody"),
        (["create", "--key", "dev1", "--threshold", "2"], ExitCode.WRONG_USE, "cannot rule an identity"),
        (["create", "--key", "rsa:0x00"], ExitCode.WRONG_USE, "write TYPE:0x"),
        (["create", "--key", "dev1", "--next-key", "ed25519:12"], ExitCode.WRONG_USE, "not a public key"),
        (["create", "--key", "dev1", "--service", "web"], ExitCode.WRONG_USE, "write NAME=TYPE=URI"),
        (["create", "--key", "dev1", "--service", "web=Web=https://A.example"], ExitCode.WRONG_USE, "normal form"),
        (["create", "--key", "dev1", "--guardian", "did:key:z6Mk"], ExitCode.WRONG_USE, "starts with did:iov:"),
        (["create", "--kind", "device", "--key", "dev1", "--owner", "x"], ExitCode.WRONG_USE, "did:iov:"),
        (["update", UNKNOWN, "--by", "dev1"], ExitCode.FAILED, "there is no identity"),
        (["update", "did:iov:Ci9TDNmoZN2SfQDyS8NgCcB8egf", "--by", "dev1"], ExitCode.WRONG_USE, "of the mainnet"),
        (["update", "nonsense", "--by", "dev1"], ExitCode.WRONG_USE, "starts with did:iov:"),
    ],
)
async def test_what_cannot_be_signed_is_told_why(
    node: DidNode, arguments: list[str], code: ExitCode, advice: str
) -> None:
    result = await node.run("did", *arguments, "--from", "dev0", "--yes")
    assert (result.exit_code, advice in result.stderr) == (code, True), result.stderr
    assert node.scene.list_signed() == []


@pytest.mark.parametrize(
    ("arguments", "code", "advice"),
    [
        (["resolve", UNKNOWN], ExitCode.FAILED, "DID_NOT_FOUND"),
        (["resolve", UNKNOWN, "--version-id", "x"], ExitCode.WRONG_USE, "--version-id"),
        (["resolve", UNKNOWN, "--version-time", "x"], ExitCode.REFUSED, "versionTime"),
        (["history", "did:key:z6Mk"], ExitCode.REFUSED, "BAD_DID"),
        (["show", UNKNOWN], ExitCode.FAILED, "there is no identity"),
    ],
)
async def test_what_is_not_there_is_told(node: DidNode, arguments: list[str], code: ExitCode, advice: str) -> None:
    result = await node.run("did", *arguments)
    assert (result.exit_code, advice in result.stderr) == (code, True), result.stderr


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("nonsense", "is not JSON"),
        ("[]", "is not a payload"),
        ('{"chain": "carlive-test", "call": "did.steal"}', "is not a payload"),
        ('{"chain": "carlive-test", "call": "did.update", "payload": "0x00", "more": []}', "is not a payload"),
    ],
)
async def test_files_of_others_are_looked_at_closely(node: DidNode, tmp_path: Path, text: str, advice: str) -> None:
    path = tmp_path / "payload.json"
    path.write_text(text)
    result = await node.run("did", "sign", str(path), "--key", "dev1", "--yes")
    assert (result.exit_code, advice in result.stderr) == (ExitCode.WRONG_USE, True), result.stderr


async def test_a_file_for_another_chain_or_identity_is_not_signed(node: DidNode, tmp_path: Path) -> None:
    text = await node.create("--key", "dev1")
    path = tmp_path / "payload.json"
    await node.run_json("did", "update", text, "--from", "dev0", "--payload-out", str(path))
    record = json.loads(path.read_text())
    for change, advice in [({"chain": "another"}, "for the chain another"), ({"did": UNKNOWN}, "another identity")]:
        path.write_text(json.dumps(record | change))
        for words in (["sign", str(path), "--key", "dev1", "--yes"], ["send", str(path), "--from", "dev0", "--yes"]):
            result = await node.run("did", *words)
            assert (result.exit_code, advice in result.stderr) == (ExitCode.WRONG_USE, True), result.stderr


async def test_a_signature_file_that_is_none_is_refused(node: DidNode, tmp_path: Path) -> None:
    text = await node.create("--key", "dev1")
    path, payload = tmp_path / "signature.json", tmp_path / "payload.json"
    path.write_text("{}")
    await node.run_json("did", "update", text, "--from", "dev0", "--payload-out", str(payload))
    result = await node.run("did", "send", str(payload), "--signature", str(path), "--from", "dev0", "--yes")
    assert (result.exit_code, "is not a signature" in result.stderr) == (ExitCode.WRONG_USE, True)


async def test_who_rules_signs_when_nobody_is_named(node: DidNode) -> None:
    ruler = await node.create("--key", "dev1")
    firm = await node.create("--kind", "organisation", "--controller", ruler, "--by", "dev1")
    car = await node.create("--kind", "vehicle", "--owner", firm, "--key", "dev3", "--by", "dev1")
    await node.change("did", "update", car, "--service", "web=Web=https://example.com/", "--by", "dev1")
    assert node.get(car).current.content.services == (Service("web", "Web", "https://example.com/"),)


async def test_what_is_not_said_is_kept_on_request(node: DidNode) -> None:
    guardian = await node.create("--key", "dev5")
    text = await node.create("--key", "dev1", "--recovery-key", "dev4", "--next-key", "dev2", "--guardian", guardian)
    await node.change("did", "rotate", text, "--key", "dev2", "--keep", "--by", "dev1")
    control = node.get(text).current.content.control
    guardians = Guardians((node.parse(guardian),), 1)
    assert control == Control(DidKeys(policy(2), ()), None, None, compute_commitment(policy(4)), guardians)
    await node.change("did", "rotate", text, "--agreement-key", "0x" + AGREEMENT_KEY.hex(), "--keep", "--by", "dev2")
    assert node.get(text).current.content.control == replace(control, keys=DidKeys(policy(2), (AGREEMENT_KEY,)))
    await node.change("did", "rotate", text, "--key", "dev3", "--by", "dev2")
    assert node.get(text).current.content.control == Control(DidKeys(policy(3), ()), None, None, None, None)


async def test_people_read_who_rules_and_who_is_to_rule(node: DidNode) -> None:
    friends = [await node.create("--key", f"dev{index}") for index in (5, 6)]
    named = [word for friend in friends for word in ("--guardian", friend)]
    text = await node.create(
        *("--key", "dev1", "--key", "dev2", "--threshold", "2", "--next-key", "dev3", *named),
        *("--service", "web=Web=https://example.com/", "--agreement-key", "0x" + AGREEMENT_KEY.hex()),
    )
    lines = dict(
        re.split("  +", line, maxsplit=1) for line in (await node.run("did", "show", text)).stdout.splitlines()
    )
    keys = ", ".join(sorted("ed25519:0x" + DEV[index].public_key.key.hex() for index in (1, 2)))
    in_order = ", ".join(format_did(did, NETWORK) for did in sorted(map(node.parse, friends)))
    assert lines == {
        "did": text,
        "kind": "person",
        "keys": f"2 of {keys}",
        "agreement keys": "0x" + AGREEMENT_KEY.hex(),
        "next keys commitment": "0x" + compute_commitment(policy(3)).hex(),
        "guardians": f"1 of {in_order}",
        "services": "web (Web) https://example.com/",
        "version": "1, create in block 3",
        "changed": "1970-01-01T00:00:03.000+00:00",
        "created": "1970-01-01T00:00:03.000+00:00",
    }
    asked = await node.run("did", "guardians", "request", text, "--key", "dev4", "--from", "dev0", "--by", "dev5")
    assert "ed25519:0x" + DEV[4].public_key.key.hex() in asked.stderr
