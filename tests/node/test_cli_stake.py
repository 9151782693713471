"""What `carlive stake` and `carlive tx call` sign and show."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from genesis.presets import list_development_accounts
from identity.address import NetworkKind, compute_key_address, format_address
from node.cli.failures import ExitCode
from node.key_files import create_key_file
from tests.builders import make_key
from tests.node.cli_scene import CliScene, open_cli_scene
from tests.rpc.fake_backend import FakeDev
from tests.stake_scene import BOND_GRAINS, HOLDERS, IOV, OPERATORS, jail
from vm.native.staking import (
    Bond,
    Delegate,
    Redelegate,
    Retire,
    SetCommission,
    Stand,
    Unbond,
    Undelegate,
    Unjail,
)

TEXTS = [format_address(operator, NetworkKind.DEVNET) for operator in OPERATORS]
DEV = [compute_key_address(account.key.public_key) for account in list_development_accounts()]


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CliScene]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        yield scene


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["stand", "--commission", "5.25", "--bond", "1.5"], Stand(525, 150_000_000)),
        (["bond", "--amount", "2"], Bond(2 * IOV)),
        (["unbond", "--amount", "0.5"], Unbond(IOV // 2)),
        (["delegate", "--to", TEXTS[1], "--amount", "3"], Delegate(OPERATORS[1], 3 * IOV)),
        (["undelegate", "--operator", TEXTS[1], "--amount", "3"], Undelegate(OPERATORS[1], 3 * IOV)),
        (
            ["redelegate", "--source", TEXTS[1], "--target", TEXTS[2], "--amount", "3"],
            Redelegate(OPERATORS[1], OPERATORS[2], 3 * IOV),
        ),
        (["commission", "--commission", "0"], SetCommission(0)),
        (["unjail"], Unjail()),
        (["retire"], Retire()),
    ],
)
async def test_each_command_signs_its_call(node: CliScene, arguments: list[str], expected: object) -> None:
    assert await node.sign("stake", *arguments) == expected


async def test_operators_may_be_named_by_key(node: CliScene) -> None:
    assert await node.sign("stake", "delegate", "--to", "dev1", "--amount", "3") == Delegate(DEV[1], 3 * IOV)


async def test_operators_of_the_devnet_sign_by_their_number_or_by_path(node: CliScene, tmp_path: Path) -> None:
    key = make_key("operator of node 7")
    path = tmp_path / "devnet" / "node-7" / "keys" / "account.key"
    create_key_file(path, key)
    for signer in ("op7", str(path)):
        await node.sign("stake", "unjail", signer=signer)
        assert list(node.backend.pending.values())[-1].body.sender == compute_key_address(key.public_key)
    missing = await node.run("stake", "unjail", "--from", "op8", "--yes")
    assert missing.exit_code == ExitCode.WRONG_USE
    assert "CARLIVE_DEVNET_HOME" in missing.stderr


async def test_nothing_is_signed_before_it_was_shown_and_confirmed(node: CliScene) -> None:
    asked = await node.run("stake", "delegate", "--to", TEXTS[1], "--amount", "3", "--from", "dev0")
    assert asked.exit_code == ExitCode.WRONG_USE
    assert "staking.delegate" in asked.stderr
    assert TEXTS[1] in asked.stderr
    assert "3 IOV" in asked.stderr
    assert "say --yes" in asked.stderr
    assert node.list_signed() == []


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["stand", "--commission", "101", "--bond", "1"], "for instance 5.25"),
        (["bond", "--amount", "1,5"], "for instance 1.5"),
        (["delegate", "--to", "nobody", "--amount", "1"], "neither an address"),
    ],
)
async def test_wrong_words_are_answered_with_what_to_write(node: CliScene, arguments: list[str], advice: str) -> None:
    result = await node.run("stake", *arguments, "--from", "dev0", "--yes")
    assert result.exit_code == ExitCode.WRONG_USE
    assert advice in result.stderr
    assert node.list_signed() == []


async def test_candidates_are_listed_with_their_stake_in_iov(node: CliScene) -> None:
    jail(node.scene, 3, 4)
    table = (await node.run("stake", "candidates")).stdout
    assert f"{BOND_GRAINS // IOV} IOV" in table
    assert "10.00 %" in table
    assert "jailed" in table
    records = await node.run_json("stake", "candidates")
    assert [each["operator"] for each in records] == TEXTS[:4]


async def test_a_holders_stake_is_shown_with_what_comes_back(node: CliScene) -> None:
    holder = format_address(HOLDERS[0], NetworkKind.DEVNET)
    node.scene.call(HOLDERS[0], "delegate", operator=OPERATORS[0], amount_grains=5 * IOV)
    node.scene.call(HOLDERS[0], "undelegate", operator=OPERATORS[0], amount_grains=2 * IOV)
    shown = await node.run_json("stake", "show", holder)
    assert shown["delegations"] == [{"operator": TEXTS[0], "value": str(3 * IOV)}]
    assert [each["value"] for each in shown["unbondings"]] == [str(2 * IOV)]
    assert "2 IOV" in (await node.run("stake", "show", holder)).stdout


async def test_any_call_is_signed_by_the_names_of_its_arguments(node: CliScene) -> None:
    signed = await node.sign(
        "tx", "call", "staking", "delegate", "--arg", "operator=dev1", "--arg", "amountGrains=2IOV"
    )
    assert signed == Delegate(DEV[1], 2 * IOV)
    signed = await node.sign("tx", "call", "staking", "bond", "--arg", "amount_grains=7")
    assert signed == Bond(7)


async def test_nested_arguments_are_json(node: CliScene) -> None:
    terms = '{"priority": 1, "effectiveHeight": 99, "title": "Why"}'
    signed = await node.sign(
        *("tx", "call", "governance", "propose_parameter", "--arg", "name=epoch_heights", "--arg", "value=50"),
        *("--arg", f"terms={terms}"),
    )
    assert (signed.name, signed.value, signed.terms.effective_height, signed.terms.title) == (
        "epoch_heights",
        50,
        99,
        "Why",
    )


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["staking", "bond"], "--arg amountGrains=AMOUNTIOV"),
        (["staking", "bond", "--arg", "amountGrains"], "write --arg NAME=VALUE"),
        (["staking", "bond", "--arg", "amount=1"], "there are: amountGrains"),
        (["staking", "bond", "--arg", "amountGrains=1", "--arg", "amountGrains=2"], "is given twice"),
        (["staking", "bond", "--arg", "amountGrains=1.5"], "amountGrains"),
        (["staking", "buy"], "it has: stand"),
        (["governance", "vote", "--arg", "proposalId=x", "--arg", "isApproved=true"], "write NUMBER"),
        (["governance", "vote", "--arg", "proposalId=1", "--arg", "isApproved=maybe"], "write true|false"),
        (["governance", "propose_resume", "--arg", "module=iov", "--arg", "terms=soon"], '"priority": NUMBER'),
    ],
)
async def test_what_a_call_does_not_take_is_answered_with_what_it_takes(
    node: CliScene, arguments: list[str], advice: str
) -> None:
    result = await node.run("tx", "call", *arguments, "--from", "dev0", "--yes")
    assert result.exit_code == ExitCode.WRONG_USE, result.output
    assert advice in result.stderr
    assert node.list_signed() == []


async def test_a_node_that_names_the_arguments_otherwise_is_not_believed(
    node: CliScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rpc import calls, models
    from rpc.views import build_module_description
    from vm.native.registry import MODULES

    described = build_module_description(MODULES["staking"])
    swapped = [
        each.model_copy(update={"arguments": each.arguments[::-1]}) if each.name == "redelegate" else each
        for each in described.calls
    ]
    false = described.model_copy(update={"calls": swapped})

    class Lying(models.ModuleDescription):
        @classmethod
        def model_validate(cls, *_: object, **__: object) -> models.ModuleDescription:  # type: ignore[override]
            return false

    monkeypatch.setattr(
        calls, "module_describe", lambda module: calls.Call("module_describe", {"module": module}, Lying)
    )
    result = await node.run(
        *("stake", "redelegate", "--source", TEXTS[1], "--target", TEXTS[2], "--amount", "3"),
        *("--from", "dev0", "--yes"),
    )
    assert result.exit_code == ExitCode.WRONG_USE
    assert "use the version that the node runs" in result.stderr
    assert node.list_signed() == []


async def test_modules_are_listed_with_how_to_write_their_arguments(node: CliScene) -> None:
    assert "staking" in [each["name"] for each in await node.run_json("query", "module")]
    table = (await node.run("query", "module", "staking")).stdout
    assert "operator=ADDRESS amountGrains=AMOUNTIOV" in table
    roles = {each["name"]: each["role"] for each in (await node.run_json("query", "module", "roles"))["calls"]}
    assert roles == {"grant": "issuer", "revoke": "visitor", "renounce": "visitor"}
    assert "issuer" in (await node.run("query", "module", "roles")).stdout.split()
    table = (await node.run("query", "module", "governance")).stdout
    assert 'terms={"priority": NUMBER, "effectiveHeight": NUMBER, "title": TEXT}' in table
    assert (await node.run("query", "module", "nothing")).exit_code == ExitCode.FAILED


async def test_a_devnet_makes_blocks_on_demand_and_other_networks_refuse(node: CliScene) -> None:
    assert (await node.run("dev", "mine", "3")).exit_code == ExitCode.REFUSED
    node.backend.dev = FakeDev(node.backend)
    assert (await node.run_json("dev", "mine", "3"))["height"] == 3
