"""`carlive contract`: write, check, publish, call and look at contracts."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.accounts import keyring_options, open_keyring
from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.contract_arguments import pack_words
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.output import Output, output_option
from node.cli.query_commands import format_grains, to_plain
from node.cli.sending import Intent, Sending, check_sent, confirm, deliver, find_sender, sending_options
from rpc import calls

if TYPE_CHECKING:
    from identity.address import Address, NetworkKind
    from node.cli.accounts import Keyring
    from node.cli.contract_sources import BuiltContract
    from node.cli.signing import ChainFacts
    from rpc.client import Client
    from rpc.contract_interfaces import ReadableInterface
    from rpc.models import ContractResult, SendResult
    from vm.contracts.abi import MethodKind

MODULE: Final = "contracts"
EVENTS_PAGE: Final = 200
ROOM_BYTES: Final = 4_096  # of a transaction, for signatures, memo and whatever else is beside code and arguments
_PLACE = click.Path(path_type=Path)


@click.group(cls=SuggestingGroup)
def contract() -> None:
    """Write, check, publish, call and look at contracts."""


@contract.command("new")
@click.argument("folder", metavar="NAME", type=_PLACE)
@output_option
def new_contract(folder: Path, output: Output) -> None:
    """Make a folder NAME with a token contract, its tests and a README to start from."""
    from node.cli.contract_project import write_project

    written = write_project(folder)
    if output.is_json:
        output.show_record({"files": [str(path) for path in written]})
        return
    for path in written:
        click.echo(path)
    output.show_text(f"\nRun its tests with: carlive contract test {folder}")


@contract.command("build")
@click.argument("source", type=_PLACE, default=".", required=False)
@click.option("--wasm", type=_PLACE, default=None, help="A module of another toolchain (.wasm or .wat) instead.")
@click.option("--interface", "declared", type=_PLACE, default=None, help="With --wasm: its interface in JSON.")
@click.option("--out", type=_PLACE, default=None, help="Folder for the files.  [default: beside the source]")
@output_option
def build_files(source: Path, wasm: Path | None, declared: Path | None, out: Path | None, output: Output) -> None:
    """Compile SOURCE, a contract's folder or .py file, to NAME.wasm and its interface NAME.json.

    With --wasm and --interface, a module of another toolchain gets its interface and passes the same gate.
    """
    from node.cli.contract_sources import attach_interface, build_contract, find_source

    if (wasm is None) != (declared is None):
        raise CommandFailedError("a module of another toolchain needs both: --wasm FILE --interface FILE.json")
    if wasm is not None and declared is not None:
        place, built = _require_file(wasm), attach_interface(_require_file(wasm), _require_file(declared))
    else:
        place, built = find_source(source), build_contract(source)
    folder = place.parent if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    module = folder / f"{built.name}.wasm"
    if wasm is not None and module.resolve() == wasm.resolve():
        raise CommandFailedError(f"{module} would take the place of its source: say --out FOLDER")
    module.write_bytes(built.code)
    interface = folder / f"{built.name}.json"
    if declared is None or interface.resolve() != declared.resolve():
        interface.write_text(_format_interface(built.interface), encoding="utf-8")
    output.show_record(_describe_built(built) | {"module": str(module), "interface": str(interface)})


@contract.command("check")
@click.argument("source", type=_PLACE, default=".", required=False)
@output_option
def check_source(source: Path, output: Output) -> None:
    """Check SOURCE as every node will: a contract's folder, its .py file, or a .wasm module."""
    from node.cli.contract_sources import build_contract

    output.show_record(_describe_built(build_contract(source)) | {"verdict": "passes the gate"})


@contract.command("test", context_settings={"ignore_unknown_options": True})
@click.argument("words", metavar="[FOLDER] [OPTIONS]...", nargs=-1, type=click.UNPROCESSED)
@output_option
def run_tests(words: tuple[str, ...], output: Output) -> int:
    """Run the tests in FOLDER, or here, with pytest; OPTIONS are pytest's."""
    import subprocess
    from importlib.util import find_spec

    if find_spec("pytest") is None:
        raise CommandFailedError("pytest is not installed here: pip install pytest")
    folder, options = (words[0], words[1:]) if words and not words[0].startswith("-") else (".", words)
    if not Path(folder).exists():
        raise CommandFailedError(f"there is no {folder}")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    command = [sys.executable, "-m", "pytest", "-q", folder, *options]
    told = sys.stderr if output.is_json else None
    done = subprocess.run(command, env=environment, stdout=told, check=False)  # noqa: S603  # our own interpreter
    if output.is_json:
        output.show_record({"passed": done.returncode == 0})
    return ExitCode.OK if done.returncode == 0 else ExitCode.FAILED


@contract.command("deploy")
@click.argument("source", type=_PLACE)
@click.argument("words", metavar="[ARGS]...", nargs=-1)
@click.option("--value", default=None, metavar="IOV", help="IOV that comes with the init method.")
@click.option("--salt", default="", help="Text; the same code may be published again with another one.")
@sending_options
def deploy(source: Path, words: tuple[str, ...], value: str | None, salt: str, sending: Sending) -> None:
    """Publish SOURCE: a contract's folder, its .py file, or a .wasm module. ARGS are those of its init method.

    One transaction introduces and seals it; code that is too large for one is stored in parts before.
    """
    from node.cli.contract_sources import build_contract
    from vm.contracts.abi import MethodKind

    built = build_contract(source)
    value_grains = _parse_value(value)

    with connect(sending.node_url) as client:
        from identity.address import compute_contract_address, format_address
        from ledger.transaction import Call

        facts = read_chain_facts(client)
        arguments = _pack_special(built.interface, MethodKind.INIT, words, sending.keyring, facts.network)
        sender = find_sender(sending, facts)
        address = compute_contract_address(sender, built.code_hash, salt.encode())
        text = format_address(address, facts.network)
        shown = _show_publication(built, text, value_grains)
        code, sending = _bring_code(client, facts, built, len(arguments), shown, sending)
        introduce = Call(MODULE, "introduce", [salt.encode(), built.code_hash, code, arguments, value_grains])
        seal = Call(MODULE, "seal", [address])
        result = deliver(client, facts, Intent([introduce, seal], shown), sending)
        check_sent(result, sending.options.wait)
    sending.output.show_record({"address": text, **_describe_built(built), **_describe_sent(result)}, _FORMATS)


@contract.command("upgrade")
@click.argument("address")
@click.argument("source", type=_PLACE)
@click.argument("words", metavar="[ARGS]...", nargs=-1)
@sending_options
def upgrade(address: str, source: Path, words: tuple[str, ...], sending: Sending) -> None:
    """Give the contract at ADDRESS the code of SOURCE. ARGS are those of the new code's migrate method.

    Only its owner may, and only if the interface in force says so; where governance decides, propose it instead.
    """
    from node.cli.contract_sources import build_contract
    from vm.contracts.abi import MethodKind

    built = build_contract(source)
    with connect(sending.node_url) as client:
        from ledger.transaction import Call

        facts = read_chain_facts(client)
        target = _open_contract(client, facts, address, sending.keyring)
        rule = target.view.interface.upgrade
        if rule != "owner":
            advice = "governance may" if rule == "governance" else "nobody may"
            raise CommandFailedError(f"its interface says who replaces its code: {advice}", ExitCode.REFUSED)
        arguments = _pack_special(built.interface, MethodKind.MIGRATE, words, sending.keyring, facts.network)
        shown = {**_show_publication(built, target.text, 0), "replaces": "0x" + target.view.code_hash.hex()}
        code, sending = _bring_code(client, facts, built, len(arguments), shown, sending)
        call = Call(MODULE, "upgrade", [target.address, built.code_hash, code, arguments])
        result = deliver(client, facts, Intent([call], shown), sending)
        check_sent(result, sending.options.wait)
    sending.output.show_record({"address": target.text, **_describe_built(built), **_describe_sent(result)}, _FORMATS)


@contract.command("call")
@click.argument("address")
@click.argument("method")
@click.argument("words", metavar="[ARGS]...", nargs=-1)
@click.option("--value", default=None, metavar="IOV", help="IOV that comes with the call, to a payable method.")
@sending_options
def call_method(address: str, method: str, words: tuple[str, ...], value: str | None, sending: Sending) -> None:
    """Call METHOD of the contract at ADDRESS; ARGS are as its interface declares them.

    An account is an address or a key's name, a list or struct is JSON, an absent option is null.
    """
    from node.cli.amounts import format_iov
    from vm.contracts.abi import MethodKind

    value_grains = _parse_value(value)
    with connect(sending.node_url) as client:
        from ledger.transaction import Call

        facts = read_chain_facts(client)
        target = _open_contract(client, facts, address, sending.keyring)
        packed = _pack_call(target, method, MethodKind.CALL, words, sending.keyring, facts.network)
        declared = target.interface.find_method(method)
        if value_grains and declared is not None and not declared.is_payable:
            raise CommandFailedError(f"{method} takes no IOV: leave --value out")
        shown = {"contract": f"{target.text} ({target.view.interface.name})", "call": method}
        shown |= _show_arguments(target.interface, method, packed, facts.network)
        if value_grains:
            shown["value"] = f"{format_iov(value_grains)} IOV"
        call = Call(MODULE, "call", [target.address, method, packed, value_grains])
        result = deliver(client, facts, Intent([call], shown), sending)
        check_sent(result, sending.options.wait)
        events = [] if result.status == "pending" else _list_told(client, result.id)
    if sending.output.is_json:
        sending.output.show_record({**_describe_sent(result), "events": events})
    else:
        lines = {f"event {number}": f"{_format_event(each)}" for number, each in enumerate(events, start=1)}
        sending.output.show_record({**_describe_sent(result), **lines}, _FORMATS)


@contract.command("view")
@click.argument("address")
@click.argument("method")
@click.argument("words", metavar="[ARGS]...", nargs=-1)
@keyring_options
@node_option
@output_option
def ask_view(
    address: str,
    method: str,
    words: tuple[str, ...],
    keys_dir: Path,
    password_file: Path | None,
    node_url: str,
    output: Output,
) -> None:
    """Ask the view METHOD of the contract at ADDRESS; ARGS are as its interface declares them."""
    from rpc.contract_values import unpack_to_json
    from vm.contracts.abi import MethodKind

    keyring = open_keyring(keys_dir, password_file)
    with connect(node_url) as client:
        facts = read_chain_facts(client)
        target = _open_contract(client, facts, address, keyring)
        packed = _pack_call(target, method, MethodKind.VIEW, words, keyring, facts.network)
        declared = target.interface.find_method(method)
        assert declared is not None, "its arguments were packed"
        arguments = unpack_to_json(target.interface.list_fields(declared.parameters), packed, facts.network)
        answer = to_plain(client.run(calls.contract_call(target.text, method, arguments)))
    output.show_record(answer if output.is_json else {name: answer[name] for name in ("result", "gasUsed", "height")})


@contract.command("events")
@click.argument("address")
@click.option("--from", "from_height", type=click.IntRange(0), default=0, metavar="HEIGHT", help="From this block on.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many, oldest first.")
@node_option
@output_option
def list_events(address: str, from_height: int, limit: int, node_url: str, output: Output) -> None:
    """List what the contract at ADDRESS has announced, oldest first."""
    found: list[dict[str, Any]] = []
    cursor = None
    with connect(node_url) as client:
        while len(found) < limit:
            wanted = min(limit - len(found), EVENTS_PAGE)
            page = client.run(calls.contract_events(address, from_height, limit=wanted, cursor=cursor))
            found += [to_plain(each) for each in page.events]
            cursor = page.cursor
            if cursor is None:
                break
    if not output.is_json:
        found = [each | {"fields": _format_fields(each)} for each in found]
    output.show_list(found, ["height", "index", "name", "fields"], empty="no events")


@contract.command("verify")
@click.argument("address")
@click.argument("source", type=_PLACE)
@node_option
@output_option
def verify(address: str, source: Path, node_url: str, output: Output) -> None:
    """Build SOURCE again and compare it with the code of the contract at ADDRESS."""
    from node.cli.contract_sources import build_contract

    built = build_contract(source)
    with connect(node_url) as client:
        view = client.run(calls.contract_get(address))
    ours, theirs = built.interface.declared, view.interface
    facts = {
        "address": view.address,
        "codeHash": "0x" + view.code_hash.hex(),
        "sourceCodeHash": "0x" + built.code_hash.hex(),
        "compiler": theirs.compiler,
        "isSame": built.code_hash == view.code_hash,
    }
    if built.code_hash == view.code_hash:
        output.show_record(facts)
        return
    why = "the source is another"
    if ours.source_hash == theirs.source_hash:
        why = f"the source is the same, but it was compiled by {theirs.compiler}, and here by {ours.compiler}"
    raise CommandFailedError(
        f"{source} is not what runs at {view.address}: {why} (code hash {facts['codeHash']}, "
        f"of the source {facts['sourceCodeHash']})",
        ExitCode.FAILED,
        facts,
    )


@contract.command("show")
@click.argument("address")
@node_option
@output_option
def show(address: str, node_url: str, output: Output) -> None:
    """Show the contract at ADDRESS: who owns it, its methods, events, storage and the codes it has had."""
    with connect(node_url) as client:
        view = client.run(calls.contract_get(address))
    record = to_plain(view)
    if output.is_json:
        output.show_record(record)
        return
    interface = record["interface"]
    lines = {name: interface[name] for name in ("name", "compiler", "upgrade")}
    lines |= {name: record[name] for name in ("address", "status", "introducer", "owner", "codeHash", "balance")}
    lines["codes"] = ", ".join(f"{each['codeHash'][:10]}… from {each['height']}" for each in record["history"]) or None
    output.show_record(lines, {"balance": format_grains})
    for title, texts in (
        ("methods", [_format_method(each) for each in interface["methods"]]),
        ("events", [f"{each['name']}({_format_parameters(each['fields'])})" for each in interface["events"]]),
        ("structs", [f"{each['name']}({_format_parameters(each['fields'])})" for each in interface["structs"]]),
        ("storage", [_format_item(each) for each in interface["storage"]]),
    ):
        if texts:
            output.show_text("\n".join(["", title, *[f"  {text}" for text in texts]]))


@dataclass(frozen=True, slots=True)
class _Target:
    """The contract that a command is about."""

    address: "Address"
    text: str
    view: "ContractResult"
    interface: "ReadableInterface"


_FORMATS: Final[dict[str, Callable[[Any], str]]] = {"fee": format_grains}


def _open_contract(client: "Client", facts: "ChainFacts", text: str, keyring: "Keyring") -> _Target:
    from identity.address import format_address
    from rpc.interface_views import read_interface_view

    address = keyring.find_address(text, facts.network)
    written = format_address(address, facts.network)
    view = client.run(calls.contract_get(written))
    return _Target(address, written, view, read_interface_view(view.interface))


def _pack_call(
    target: _Target,
    method: str,
    kind: "MethodKind",
    words: Sequence[str],
    keyring: "Keyring",
    network: "NetworkKind",
) -> bytes:
    """Packed arguments; raises CommandFailedError when there is no such method of this kind."""
    from vm.contracts.abi import MethodKind

    declared = target.interface.find_method(method)
    if declared is None or declared.kind is not kind:
        if declared is not None and {declared.kind, kind} == {MethodKind.CALL, MethodKind.VIEW}:
            other = "view" if declared.kind is MethodKind.VIEW else "call"
            raise CommandFailedError(f"{method} is a {other}: use carlive contract {other}")
        names = ", ".join(each.name for each in target.interface.declared.methods if each.kind is kind)
        raise CommandFailedError(f"the contract has no {kind.name.lower()} {method!r}; it has: {names or 'none'}")
    return pack_words(method, target.interface.list_fields(declared.parameters), words, keyring, network)


def _pack_special(
    interface: "ReadableInterface",
    kind: "MethodKind",
    words: Sequence[str],
    keyring: "Keyring",
    network: "NetworkKind",
) -> bytes:
    """Packed arguments of the init or migrate method."""
    declared = interface.find_special(kind)
    if declared is None:
        if words:
            raise CommandFailedError(f"the contract has no {kind.name.lower()} method: leave the arguments out")
        return b""
    return pack_words(declared.name, interface.list_fields(declared.parameters), words, keyring, network)


def _bring_code(
    client: "Client",
    facts: "ChainFacts",
    built: "BuiltContract",
    arguments_bytes: int,
    shown: dict[str, str],
    sending: Sending,
) -> tuple[bytes, Sending]:
    """The code to put into the transaction, and how to send that.

    Empty when the chain has the code already, or when it was stored in parts just now; then nothing is asked again.
    """
    from ledger.transaction import TRANSACTION_BYTES_MAX, Call
    from vm.native.contracts import PART_BYTES_MAX

    if _is_published(client, built.code_hash):
        return b"", sending
    if len(built.code) <= min(PART_BYTES_MAX, TRANSACTION_BYTES_MAX - ROOM_BYTES - arguments_bytes):
        return built.code, sending
    parts = [built.code[start : start + PART_BYTES_MAX] for start in range(0, len(built.code), PART_BYTES_MAX)]
    confirm({**shown, "parts": f"{len(parts)}, each in a transaction of its own"}, sending.options)
    agreed = replace(sending, options=replace(sending.options, is_confirmed=True))
    waiting = replace(agreed, options=replace(agreed.options, wait="final"))
    with _show_progress(len(parts)) as advance:
        for index, part in enumerate(parts):
            call = Call(MODULE, "store_part", [built.code_hash, index, part])
            check_sent(deliver(client, facts, Intent([call], {}), waiting), "final")
            advance()
    return b"", agreed


def _is_published(client: "Client", code_hash: bytes) -> bool:
    from rpc.errors import RpcError

    try:
        client.run(calls.contract_code(code_hash))
    except RpcError as error:
        if error.reason != "NOT_FOUND":
            raise
        return False
    return True


@contextmanager
def _show_progress(parts: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal's standard error."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("storing the code", total=parts)
        yield lambda: progress.advance(task)


def _list_told(client: "Client", transaction_id: bytes) -> list[dict[str, Any]]:
    """The events of a final transaction."""
    receipt = client.run(calls.tx_status(transaction_id)).receipt
    return [] if receipt is None else [to_plain(event) for event in receipt.events]


def _parse_value(value: str | None) -> int:
    from node.cli.amounts import parse_iov

    return 0 if value is None else parse_iov(value)


def _require_file(path: Path) -> Path:
    if not path.is_file():
        raise CommandFailedError(f"there is no file {path}")
    return path


def _describe_built(built: "BuiltContract") -> dict[str, Any]:
    return {
        "contract": built.interface.declared.name,
        "codeHash": "0x" + built.code_hash.hex(),
        "codeBytes": len(built.code),
        "compiler": built.interface.declared.compiler,
    }


def _describe_sent(result: "SendResult") -> dict[str, Any]:
    record = to_plain(result)
    names = ("id", "status", "height", "gasUsed", "fee")
    return {name: record[name] for name in names if record.get(name) is not None}


def _show_publication(built: "BuiltContract", address: str, value_grains: int) -> dict[str, str]:
    from node.cli.amounts import format_iov

    shown = {
        "contract": built.interface.declared.name,
        "address": address,
        "code": f"{len(built.code)} bytes, 0x{built.code_hash.hex()}",
    }
    return shown | ({"value": f"{format_iov(value_grains)} IOV"} if value_grains else {})


def _show_arguments(
    interface: "ReadableInterface", method: str, packed: bytes, network: "NetworkKind"
) -> dict[str, str]:
    """From what will be signed, not from what was given."""
    decoded = interface.decode_arguments(method, packed, network) or {}
    return {f"  {name}": _to_words(value) for name, value in decoded.items()}


def _to_words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _format_event(event: dict[str, Any]) -> str:
    fields = event["fields"]
    if isinstance(fields, dict) and "decoded" in fields:
        inner = ", ".join(f"{name} {_to_words(value)}" for name, value in fields["decoded"].items())
        return f"{fields['name']}: {inner}"
    return f"{event['module']}.{event['name']} {_to_words(fields)}"


def _format_fields(event: dict[str, Any]) -> str:
    fields = event["fields"]
    if fields is None:
        return str(event["packed"])
    return ", ".join(f"{name} {_to_words(value)}" for name, value in fields.items())


def _format_method(method: dict[str, Any]) -> str:
    marks = [name for name, is_on in (("payable", method["isPayable"]), ("reentrant", method["isReentrant"])) if is_on]
    result = f" -> {method['result']}" if method["result"] else ""
    text = f"{method['kind']:<7} {method['name']}({_format_parameters(method['parameters'])}){result}"
    return f"{text}  ({', '.join(marks)})" if marks else text


def _format_parameters(parameters: list[dict[str, str]]) -> str:
    return ", ".join(f"{each['name']}: {each['type']}" for each in parameters)


def _format_item(item: dict[str, Any]) -> str:
    key = f"[{item['key']}]" if item["key"] else ""
    return f"{item['name']}{key}: {item['value']}"


def _format_interface(interface: "ReadableInterface") -> str:
    from rpc.interface_views import build_interface_view

    return json.dumps(to_plain(build_interface_view(interface)), indent=2) + "\n"
