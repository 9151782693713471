"""From what lies on disk to a contract that passes the gate: Python sources, and modules of other toolchains.

The compiler is imported here and nowhere else in the node, when a source is to be compiled.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from node.cli.failures import CommandFailedError, ExitCode

if TYPE_CHECKING:
    from rpc.contract_interfaces import ReadableInterface

SOURCE_BYTES_MAX: Final = 2**20
MODULE_BYTES_MAX: Final = 2**22  # before the gate, which takes less, has said what is wrong with it
_INTERFACE_DEFAULTS: Final[Mapping[str, Any]] = {
    "compiler": "other",
    "sourceHash": "0x" + "00" * 32,
    "upgrade": "never",
    "structs": [],
    "events": [],
    "storage": [],
}
_METHOD_DEFAULTS: Final[Mapping[str, Any]] = {"isPayable": False, "isReentrant": False, "parameters": []}


@dataclass(frozen=True, slots=True)
class BuiltContract:
    """A contract that passed the gate here, as it will on every node."""

    name: str
    """Of its file."""
    code: bytes
    code_hash: bytes
    interface: "ReadableInterface"


def build_contract(place: Path) -> BuiltContract:
    """Compile a source, or read a module; raises CommandFailedError with everything that is wrong with it."""
    source = find_source(place)
    if source.suffix == ".py":
        return check_code(source, _compile(source))
    return check_code(source, _read_module(source))


def attach_interface(module: Path, declared: Path) -> BuiltContract:
    """A module of another toolchain with an interface in JSON; raises CommandFailedError."""
    from rpc.interface_views import read_interface_view
    from rpc.models import ContractInterface
    from vm.contracts.abi import SECTION_NAME, InvalidInterfaceError, encode_interface
    from vm.contracts.encoder import encode_name, encode_section

    code = _read_module(module)
    document = _read_interface_document(declared)
    try:
        interface = read_interface_view(ContractInterface.model_validate(document))
    except InvalidInterfaceError as error:
        raise CommandFailedError(f"{declared}: {error}") from None
    except ValueError as error:  # of pydantic
        raise CommandFailedError(f"{declared} is not an interface: {_explain_first(error)}") from None
    section = encode_section(0, encode_name(SECTION_NAME) + encode_interface(interface.declared))
    return check_code(module, code + section)


def check_code(path: Path, code: bytes) -> BuiltContract:
    """Code that passes the gate; raises CommandFailedError with its refusal."""
    from rpc.contract_interfaces import read_interface
    from vm.contracts.abi import encode_interface
    from vm.contracts.gate import RefusedError, check_contract

    try:
        checked = check_contract(code)
    except RefusedError as error:
        raise CommandFailedError(
            f"{path} is refused: {error}", ExitCode.FAILED, {"path": str(path), "refusals": [{"message": str(error)}]}
        ) from None
    interface = read_interface(encode_interface(checked.interface))
    return BuiltContract(path.stem, code, checked.code_hash, interface)


def find_source(place: Path) -> Path:
    """The file that is meant: a project folder means the source of its own name in it; raises CommandFailedError."""
    if place.is_dir():
        inside = place / f"{place.resolve().name}.py"
        if not inside.exists():
            raise CommandFailedError(f"{place} has no {inside.name}: name the contract's file")
        return inside
    if not place.exists():
        raise CommandFailedError(f"there is no {place}: name a contract's folder, its .py source, or a .wasm module")
    if place.suffix not in (".py", ".wasm", ".wat"):
        raise CommandFailedError(f"{place} is neither a .py source nor a .wasm or .wat module")
    return place


def _compile(source: Path) -> bytes:
    from compiler import CompileError, compile_source

    try:
        return compile_source(_read_text(source, SOURCE_BYTES_MAX), str(source)).code
    except CompileError as error:
        refusals = [
            {"line": each.line, "column": each.column, "message": each.message, "advice": each.advice or None}
            for each in error.diagnostics
        ]
        count = "1 mistake" if len(refusals) == 1 else f"{len(refusals)} mistakes"
        raise CommandFailedError(
            f"{source} has {count}\n{error}", ExitCode.FAILED, {"path": str(source), "refusals": refusals}
        ) from None


def _read_module(path: Path) -> bytes:
    """The bytes of a module; text is assembled."""
    if path.suffix != ".wat":
        if path.stat().st_size > MODULE_BYTES_MAX:
            raise CommandFailedError(f"{path} has more than {MODULE_BYTES_MAX} bytes: no contract is as large")
        return path.read_bytes()
    from wasmtime import WasmtimeError, wat2wasm

    try:
        return bytes(wat2wasm(_read_text(path, SOURCE_BYTES_MAX)))
    except WasmtimeError as error:
        raise CommandFailedError(f"{path} is not WebAssembly text: {error}", ExitCode.FAILED) from None


def _read_interface_document(path: Path) -> dict[str, Any]:
    """An interface as `carlive contract build` writes it; what goes without saying may be left out."""
    try:
        document = json.loads(_read_text(path, SOURCE_BYTES_MAX))
    except json.JSONDecodeError as error:
        raise CommandFailedError(f"{path} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise CommandFailedError(f"{path} is not an interface: a JSON object is expected")
    methods = document.get("methods", [])
    if isinstance(methods, list):
        methods = [{**_METHOD_DEFAULTS, **each} if isinstance(each, dict) else each for each in methods]
    return {**_INTERFACE_DEFAULTS, **document, "methods": methods}


def _read_text(path: Path, bytes_max: int) -> str:
    if path.stat().st_size > bytes_max:
        raise CommandFailedError(f"{path} has more than {bytes_max} bytes")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CommandFailedError(f"{path} is not text in UTF-8") from None


def _explain_first(error: ValueError) -> str:
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
