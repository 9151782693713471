"""What `carlive contract` writes, builds, signs and shows."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from genesis.presets import list_development_accounts
from identity.address import NetworkKind, compute_key_address, format_address
from ledger.history import compute_history_changes
from ledger.primitives import Grains, Height
from ledger.reasons import CONTRACT_REASON_FIRST
from ledger.receipt import Event, Receipt, Status
from ledger.transaction import Call, decode_transaction
from node.cli.failures import ExitCode, explain_reason
from node.cli.main import cli
from tests.echo_contract import WAT, announcement, build_echo, build_interface
from tests.node.cli_scene import CliScene, open_cli_scene
from tests.rpc.fake_backend import FakeAdmitted
from tests.vm.contracts.puppet import attach_interface, compile_text, find_address, hash_code
from tests.vm.contracts.scene import RUNTIME
from vm.contracts.abi import UpgradeRule, encode_interface
from vm.contracts.gate import check_contract
from vm.contracts.records import CodeFacts, CodeHash, Contract, ContractStatus, add_version, put_code, put_contract
from vm.native.contracts import PART_BYTES_MAX, CallContract, Introduce, Seal, StorePart, Upgrade
from vm.native.registry import find_call

DEV = [compute_key_address(account.key.public_key) for account in list_development_accounts()]
DEV_TEXTS = [format_address(address, NetworkKind.DEVNET) for address in DEV]
CODE, OTHER_CODE = build_echo(), build_echo("Other")
CONTRACT = find_address(DEV[0], CODE)
TEXT = format_address(CONTRACT, NetworkKind.DEVNET)
ROOT = str(Path(__file__).parents[2])
PROGRAM = (sys.executable, "-m", "node.cli.main")
SIGN = ("--from", "dev0", "--yes", "--wait", "admitted", "--output", "json")


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CliScene]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        scene.backend.contracts = RUNTIME
        yield scene


def put_echo(node: CliScene, upgrade: UpgradeRule = UpgradeRule.OWNER) -> bytes:
    """A sealed contract of dev0 at CONTRACT."""
    code = build_echo(upgrade=upgrade)
    publish(node, code)
    name = CodeHash(hash_code(code))
    contract = Contract(DEV[0], DEV[0], name, ContractStatus.SEALED, Height(1), 0, b"", Grains(0))
    add_version(node.scene.state, CONTRACT, contract, Height(1))
    put_contract(node.scene.state, CONTRACT, contract)
    return code


def publish(node: CliScene, code: bytes) -> None:
    checked = check_contract(code)
    facts = CodeFacts(encode_interface(checked.interface), len(checked.instrumented), checked.memory_pages)
    put_code(node.scene.state, checked.code_hash, code, facts, checked.instrumented)


def write(place: Path, content: bytes) -> str:
    place.write_bytes(content)
    return str(place)


def read(call: Call) -> Any:
    return find_call(call.module, call.call).read_arguments(call.arguments)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


# writing and building


def test_a_new_project_is_tested_typed_and_built(tmp_path: Path) -> None:
    project = tmp_path / "coin"
    assert invoke("contract", "new", str(project)).exit_code == 0
    assert sorted(path.name for path in project.iterdir()) == ["README.md", "coin.py", "pyproject.toml", "test_coin.py"]
    tested = subprocess.run(
        [*PROGRAM, "contract", "test", str(project), "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
    )
    assert (tested.returncode, tested.stdout.splitlines()[0].split()[0]) == (0, "....")
    typed = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "."],
        cwd=project,
        env={"PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
    )
    assert typed.stdout == "Success: no issues found in 2 source files\n"
    built = json.loads(invoke("contract", "build", str(project), "--output", "json").stdout)
    module = project / "coin.wasm"
    assert built["codeHash"] == "0x" + hash_code(module.read_bytes()).hex()
    assert built["codeBytes"] == module.stat().st_size
    assert json.loads((project / "coin.json").read_text())["name"] == "Coin"
    checked = invoke("contract", "check", str(module), "--output", "json")
    assert json.loads(checked.stdout)["codeHash"] == built["codeHash"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Coin", "no name for a contract"),
        ("class", "no name for a contract"),
        ("token", "Python has a module token already"),
        ("full", "not empty"),
    ],
)
def test_a_name_that_cannot_be(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").touch()
    made = invoke("contract", "new", str(tmp_path / name))
    assert (made.exit_code, told in made.stderr) == (ExitCode.WRONG_USE, True), made.stderr


def test_failing_tests_are_an_exit_code(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it():\n    assert 1 == 2\n")
    done = subprocess.run(
        [*PROGRAM, "contract", "test", "-p", "no:cacheprovider", "--output", "json"],
        cwd=tmp_path,
        env={"PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, json.loads(done.stdout)) == (ExitCode.FAILED, {"passed": False})
    assert "assert 1 == 2" in done.stderr


def test_every_mistake_of_a_source_is_told_with_its_place(tmp_path: Path) -> None:
    invoke("contract", "new", str(tmp_path / "coin"))
    source = tmp_path / "coin" / "coin.py"
    source.write_text(source.read_text().replace("-> u128", "-> float"))
    checked = invoke("contract", "check", str(source), "--output", "json")
    assert checked.exit_code == ExitCode.FAILED
    error = json.loads(checked.stderr)["error"]
    assert [(each["line"], each["message"]) for each in error["refusals"]] == [
        (46, "there is no type float"),
        (51, "there is no type float"),
    ]
    shown = invoke("contract", "check", str(source)).stderr
    assert "coin.py has 2 mistakes\n" in shown
    assert "-> float:\n" in shown


def test_a_module_that_the_gate_refuses(tmp_path: Path) -> None:
    place = write(tmp_path / "bare.wasm", compile_text(WAT))
    checked = invoke("contract", "check", place)
    assert checked.exit_code == ExitCode.FAILED
    assert "bare.wasm is refused: " in checked.stderr
    assert "there are 0 custom sections 'iov.abi'" in checked.stderr


INTERFACE = {
    "name": "Echo",
    "methods": [{"name": each, "kind": "call"} for each in ("create", "renew", "announce", "keep", "fail")]
    + [{"name": each, "kind": "view", "result": "u8"} for each in ("echo", "refuse")],
}


@pytest.mark.parametrize("file", ["echo.wat", "echo.wasm"])
def test_a_module_of_another_toolchain_gets_its_interface(tmp_path: Path, file: str) -> None:
    module = write(tmp_path / file, WAT.encode() if file.endswith("wat") else compile_text(WAT))
    interface = write(tmp_path / "echo.json", json.dumps(INTERFACE).encode())
    out = tmp_path / "out"
    arguments = ("--wasm", module, "--interface", interface, "--out", str(out), "--output", "json")
    built = json.loads(invoke("contract", "build", *arguments).stdout)
    code = (out / "echo.wasm").read_bytes()
    assert built["codeHash"] == "0x" + hash_code(code).hex()
    declared = check_contract(code).interface
    assert (declared.name, declared.compiler, declared.upgrade) == ("Echo", "other", UpgradeRule.NEVER)
    assert [method.result for method in declared.methods] == [""] * 5 + ["u8"] * 2


def test_what_build_writes_is_an_interface_that_it_takes(tmp_path: Path) -> None:
    code = write(tmp_path / "echo.wasm", CODE)
    assert invoke("contract", "build", code, "--out", str(tmp_path / "first")).exit_code == 0
    bare = write(tmp_path / "bare.wat", WAT.encode())
    given = ("--wasm", bare, "--interface", str(tmp_path / "first" / "echo.json"), "--out", str(tmp_path / "second"))
    assert invoke("contract", "build", *given).exit_code == 0
    assert (tmp_path / "second" / "bare.wasm").read_bytes() == CODE


@pytest.mark.parametrize(
    ("interface", "told"),
    [
        ("{", "is not JSON"),
        ("[]", "a JSON object is expected"),
        ('{"name": "Echo", "methods": [{"name": "create", "kind": "often"}]}', "methods.0.kind"),
        ('{"name": "Echo", "methods": [{"name": "echo", "kind": "view", "result": "u7"}]}', "there is no type 'u7'"),
        ('{"name": "Echo", "methods": [{"name": "echo", "kind": "view"}]}', "is refused: "),
    ],
)
def test_an_interface_that_does_not_fit(tmp_path: Path, interface: str, told: str) -> None:
    module = write(tmp_path / "echo.wat", WAT.encode())
    declared = write(tmp_path / "echo.json", interface.encode())
    built = invoke("contract", "build", "--wasm", module, "--interface", declared)
    assert (built.exit_code != 0, told in built.stderr) == (True, True), built.stderr


@pytest.mark.parametrize(
    "arguments",
    [("--wasm", "x.wasm"), ("--interface", "x.json"), ("no-such.py",), ("README.md",), ("tests",)],
)
def test_what_cannot_be_built_is_told_in_a_sentence(arguments: tuple[str, ...]) -> None:
    built = invoke("contract", "build", *arguments)
    assert (built.exit_code, built.stderr.count("\n")) == (ExitCode.WRONG_USE, 1)


# publishing


async def test_deploy_introduces_and_seals_at_once(node: CliScene, tmp_path: Path) -> None:
    place = write(tmp_path / "echo.wasm", CODE)
    arguments = ("contract", "deploy", place, "dev1", "7", "--value", "2", "--salt", "again", *SIGN)
    result = await node.run(*arguments)
    assert result.exit_code == 0, result.output
    (signed,) = node.list_signed()
    address = find_address(DEV[0], CODE, b"again")
    assert [read(call) for call in signed] == [
        Introduce(b"again", hash_code(CODE), CODE, announcement(DEV[1], 7), 200_000_000),
        Seal(address),
    ]
    shown = json.loads(result.stdout)
    assert shown["address"] == format_address(address, NetworkKind.DEVNET)
    assert (shown["codeHash"], shown["codeBytes"]) == ("0x" + hash_code(CODE).hex(), len(CODE))


async def test_code_that_the_chain_has_is_not_sent_again(node: CliScene, tmp_path: Path) -> None:
    put_echo(node)
    result = await node.run("contract", "deploy", write(tmp_path / "echo.wasm", CODE), "dev1", "7", *SIGN)
    assert result.exit_code == 0, result.output
    ((introduce, _),) = node.list_signed()
    assert read(introduce).code == b""


async def test_large_code_comes_in_parts(node: CliScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = WAT.replace("(data (i32.const 16)", '(data (i32.const 2048) "' + "x" * 60_000 + '") (data (i32.const 16)')
    code = attach_interface(compile_text(large), build_interface())
    finished: list[Call] = []

    async def finish(raws: Sequence[bytes]) -> list[FakeAdmitted]:
        (transaction,) = [decode_transaction(raw) for raw in raws]
        finished.extend(transaction.body.calls)
        receipt = Receipt(transaction.id, Status.SUCCEEDED, 0, 700, 700, ())
        node.backend.known_receipts[transaction.id] = receipt
        node.backend.make_block([transaction])
        return [FakeAdmitted(transaction.id, False)]

    monkeypatch.setattr(node.backend, "submit_many", finish)
    place = write(tmp_path / "echo.wasm", code)
    result = await node.run("contract", "deploy", place, "dev1", "7", "--from", "dev0", "--yes", "--output", "json")
    assert result.exit_code == 0, result.output
    first, second, introduce, seal = [read(call) for call in finished]
    assert (first, second) == (
        StorePart(hash_code(code), 0, code[:PART_BYTES_MAX]),
        StorePart(hash_code(code), 1, code[PART_BYTES_MAX:]),
    )
    assert introduce == Introduce(b"", hash_code(code), b"", announcement(DEV[1], 7), 0)
    assert seal == Seal(find_address(DEV[0], code))
    assert json.loads(result.stdout)["status"] == "final"


async def test_the_init_methods_arguments_are_told(node: CliScene, tmp_path: Path) -> None:
    result = await node.run("contract", "deploy", write(tmp_path / "echo.wasm", CODE), "dev1", *SIGN)
    assert result.exit_code == ExitCode.WRONG_USE
    assert (
        "create takes 2 arguments, not 1: to: an address (Address), "
        "amount: a whole number from 0 to 340282366920938463463374607431768211455 (u128)"
    ) in result.stderr


async def test_an_owner_upgrades(node: CliScene, tmp_path: Path) -> None:
    put_echo(node)
    place = write(tmp_path / "other.wasm", OTHER_CODE)
    result = await node.run("contract", "upgrade", TEXT, place, "dev2", "3", *SIGN)
    assert result.exit_code == 0, result.output
    ((call,),) = node.list_signed()
    assert read(call) == Upgrade(CONTRACT, hash_code(OTHER_CODE), OTHER_CODE, announcement(DEV[2], 3))


@pytest.mark.parametrize(
    ("rule", "told"), [(UpgradeRule.NEVER, "nobody may"), (UpgradeRule.GOVERNANCE, "governance may")]
)
async def test_what_no_owner_may_upgrade(node: CliScene, tmp_path: Path, rule: UpgradeRule, told: str) -> None:
    put_echo(node, rule)
    place = write(tmp_path / "other.wasm", OTHER_CODE)
    result = await node.run("contract", "upgrade", TEXT, place, "dev2", "3", *SIGN)
    assert (result.exit_code, told in result.stderr) == (ExitCode.REFUSED, True)


# calling


async def test_a_call_is_packed_by_the_interface(node: CliScene) -> None:
    put_echo(node)
    call = await node.sign("contract", "call", TEXT, "announce", "dev3", "12", "--value", "1.5")
    assert call == CallContract(CONTRACT, "announce", announcement(DEV[3], 12), 150_000_000)


async def test_what_is_signed_is_shown_before(node: CliScene) -> None:
    put_echo(node)
    result = await node.run("contract", "call", TEXT, "announce", "dev3", "12", "--value", "1.5", "--from", "dev0")
    assert result.exit_code == ExitCode.WRONG_USE
    lines = [line.split(None, 1) for line in result.stderr.splitlines()]
    assert ["contract", f"{TEXT} (Echo)"] in lines
    assert ["call", "announce"] in lines
    assert ["to", DEV_TEXTS[3]] in lines
    assert ["amount", "12"] in lines
    assert ["value", "1.5 IOV"] in lines


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("announce", "dev1"), "announce takes 2 arguments, not 1: to: an address (Address), amount: a whole number"),
        (("announce", "dev1", "1.5"), "announce, amount: expected a whole number from 0 to 3402823669"),
        (("announce", "nobody", "1"), "'nobody' is neither an address"),
        (("fail", "65536"), "fail, code: expected a whole number from 0 to 65535 (u16)"),
        (("echo", "{}"), "echo is a view: use carlive contract view"),
        (("create", "dev1", "1"), "the contract has no call 'create'; it has: announce, keep, fail"),
        (("anounce", "dev1", "1"), "the contract has no call 'anounce'; it has: announce, keep, fail"),
        (("keep", "dev1", "1", "--value", "1"), "keep takes no IOV: leave --value out"),
    ],
)
async def test_a_wrong_call_is_told_what_is_expected(node: CliScene, words: tuple[str, ...], told: str) -> None:
    put_echo(node)
    result = await node.run("contract", "call", TEXT, *words, "--from", "dev0", "--yes")
    assert (result.exit_code, told in result.stderr) == (ExitCode.WRONG_USE, True), result.stderr
    assert node.list_signed() == []


async def test_a_view_answers_for_people_and_programs(node: CliScene) -> None:
    put_echo(node)
    things = {
        "flag": True,
        "pairs": [{"small": 1, "large": None}],
        "who": DEV_TEXTS[0],
        "did": "0x" + "11" * 20,
        "text": "né",
        "raw": "0x",
    }
    answer = await node.run_json("contract", "view", TEXT, "echo", json.dumps(things))
    assert answer["result"] == things
    shown = await node.run("contract", "view", TEXT, "echo", json.dumps(things))
    assert shown.stdout.splitlines()[0] == f"result    {json.dumps(things, ensure_ascii=False)}"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("echo", "{"), "echo, things: expected an object with flag, pairs, who, did, text, raw (Things) as JSON"),
        (("announce", "dev1", "1"), "announce is a call: use carlive contract call"),
        (("look",), "the contract has no view 'look'; it has: echo, refuse"),
    ],
)
async def test_a_wrong_view_is_told_what_is_expected(node: CliScene, words: tuple[str, ...], told: str) -> None:
    put_echo(node)
    result = await node.run("contract", "view", TEXT, *words)
    assert (result.exit_code, told in result.stderr) == (ExitCode.WRONG_USE, True), result.stderr


async def test_a_view_that_fails_shows_the_contracts_code(node: CliScene) -> None:
    put_echo(node)
    result = await node.run("contract", "view", TEXT, "refuse", "77")
    assert result.exit_code == ExitCode.REFUSED
    assert "too bad (the contract's code 77)" in result.stderr


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (None, "OUT_OF_GAS"),
        (77, "the contract's code 77"),
        (65_001, "the contract's code 65001: overflow"),
        (65_500, "the contract's code 65500: reserved"),
    ],
)
def test_the_languages_own_failures_have_names(code: int | None, told: str) -> None:
    assert explain_reason("OUT_OF_GAS", code) == told


async def test_a_failed_call_shows_the_contracts_code(node: CliScene, monkeypatch: pytest.MonkeyPatch) -> None:
    put_echo(node)

    async def finish(raws: Sequence[bytes]) -> list[FakeAdmitted]:
        (transaction,) = [decode_transaction(raw) for raw in raws]
        reason = CONTRACT_REASON_FIRST + 77
        node.backend.known_receipts[transaction.id] = Receipt(transaction.id, Status.FAILED, reason, 700, 700, ())
        node.backend.make_block([transaction])
        return [FakeAdmitted(transaction.id, False)]

    monkeypatch.setattr(node.backend, "submit_many", finish)
    result = await node.run("contract", "call", TEXT, "fail", "77", "--from", "dev0", "--yes", "--output", "json")
    error = json.loads(result.stderr)["error"]
    assert (error["exitCode"], error["reason"], error["code"]) == (ExitCode.FAILED, "CONTRACT_CODE", 77)


# looking


async def test_events_by_name(node: CliScene) -> None:
    put_echo(node)
    event = Event("contracts", "Emitted", [CONTRACT, "Announced", announcement(DEV[1], 5)])
    height = node.backend.make_block([], events=[event])
    node.backend.index.write(compute_history_changes(Height(height), [], [], [event]), sync=False)
    (found,) = await node.run_json("contract", "events", TEXT)
    assert (found["name"], found["fields"]) == ("Announced", {"to": DEV_TEXTS[1], "amount": "5"})
    shown = await node.run("contract", "events", TEXT)
    assert shown.stdout.splitlines()[1].split(None, 3) == ["1", "-", "Announced", f"to {DEV_TEXTS[1]}, amount 5"]
    assert await node.run_json("contract", "events", TEXT, "--from", "2") == []


async def test_show_lists_what_the_contract_declares(node: CliScene) -> None:
    code = put_echo(node)
    shown = (await node.run("contract", "show", TEXT)).stdout
    assert f"code hash   0x{hash_code(code).hex()}" in shown
    assert "  init    create(to: Address, amount: u128)  (payable)" in shown
    assert "  view    echo(things: Things) -> Things  (reentrant)" in shown
    assert "  Announced(to: Address, amount: u128)" in shown
    assert "  balances[Address]: u128" in shown
    record = await node.run_json("contract", "show", TEXT)
    assert (record["owner"], record["interface"]["name"]) == (DEV_TEXTS[0], "Echo")


async def test_verify_tells_the_same_code_from_another(node: CliScene, tmp_path: Path) -> None:
    put_echo(node)
    same = await node.run_json("contract", "verify", TEXT, write(tmp_path / "echo.wasm", CODE))
    assert (same["isSame"], same["codeHash"]) == (True, "0x" + hash_code(CODE).hex())
    other = await node.run("contract", "verify", TEXT, write(tmp_path / "other.wasm", OTHER_CODE), "--output", "json")
    error = json.loads(other.stderr)["error"]
    assert (other.exit_code, error["isSame"]) == (ExitCode.FAILED, False)
    assert (error["codeHash"], error["sourceCodeHash"]) == (
        "0x" + hash_code(CODE).hex(),
        "0x" + hash_code(OTHER_CODE).hex(),
    )
