"""The gate: from a compiler's bytes to a module that may run on every node, or a refusal that tells why.

Pure: the same bytes give the same module or the same message on every machine.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from vm.contracts.abi import SECTION_NAME, Interface, InvalidInterfaceError, decode_interface
from vm.contracts.host_functions import HOST_FUNCTIONS, HOST_MODULE
from vm.contracts.instrumenter import GAS_EXPORT, TRAP_EXPORT, instrument
from vm.contracts.module import (
    FUNCTIONS_MAX,
    CustomSection,
    Export,
    ExportKind,
    FunctionType,
    Module,
    RefusalKind,
    RefusedError,
)
from vm.contracts.opcodes import TYPE_NAMES
from vm.contracts.parser import Reader, parse_module, refuse
from vm.contracts.validator import validate_module

__all__ = ["CheckedContract", "RefusalKind", "RefusedError", "check_contract", "check_module"]

MEMORY_EXPORT: Final = "memory"
DROPPED_SECTIONS: Final = ("name", "producers", "target_features")
"""Notes of compilers and linkers; they mean nothing to the chain."""
DROPPED_EXPORTS: Final = ("__data_end", "__heap_base")
"""Constants that rustc always exports."""
_FUNCTION_NAMES: Final = 1  # the part of the section `name` that we read


@dataclass(frozen=True, slots=True)
class CheckedContract:
    """A contract that passed the gate."""

    interface: Interface
    instrumented: bytes
    """What the engine compiles."""
    code_hash: bytes
    """SHA-256 of the bytes that were published."""
    memory_pages: int
    """Of 64 KiB; each instance has them all from the start."""
    compile_work: int
    """See COMPILE_WORK_MAX."""


def check_contract(code: bytes) -> CheckedContract:
    """Check a published module: WASM's rules, ours, and the shape of a contract. Raises RefusedError."""
    module = parse_module(code)
    interface = _read_interface(module.custom)
    _check_imports(module)
    exports = _check_exports(module, interface)
    bodies = validate_module(module, _read_function_names(module))
    assert module.memory_pages is not None, "it is exported"
    return CheckedContract(
        interface,
        instrument(module, bodies, exports),
        sha256(code).digest(),
        module.memory_pages,
        sum(body.compile_work for body in bodies),
    )


def check_module(code: bytes) -> bytes:
    """The instrumented module. It needs no shape of a contract: any exports, no interface. Raises RefusedError."""
    module = parse_module(code)
    _check_imports(module)
    for export in module.exports:
        _check_reserved(export)
    return instrument(module, validate_module(module, _read_function_names(module)), module.exports)


def _check_imports(module: Module) -> None:
    """Only what the host offers, with the types it has."""
    for each in module.imports:
        where = f"import {each.module!r}.{each.name!r}"
        expected = HOST_FUNCTIONS.get(each.name)
        if each.module != HOST_MODULE or expected is None:
            refuse(RefusalKind.NOT_ALLOWED, each.offset, f"{where}: contracts import functions of {HOST_MODULE} only")
        if each.type_index >= len(module.types):
            refuse(RefusalKind.INVALID, each.offset, f"{where}: type {each.type_index} does not exist")
        kind = module.types[each.type_index]
        if kind != expected:
            why = f"{where}: its type is {_format_type(expected)}, not {_format_type(kind)}"
            refuse(RefusalKind.NOT_ALLOWED, each.offset, why)


def _check_reserved(export: Export) -> None:
    if export.name in (GAS_EXPORT, TRAP_EXPORT):
        refuse(RefusalKind.NOT_ALLOWED, export.offset, f"export {export.name}: the name is reserved")


def _read_interface(sections: tuple[CustomSection, ...]) -> Interface:
    """The one interface; sections that are neither it nor dropped are refused."""
    found = [section for section in sections if section.name == SECTION_NAME]
    for section in sections:
        if section.name not in (SECTION_NAME, *DROPPED_SECTIONS):
            why = f"custom section {section.name!r} is not allowed: rustc -C strip=symbols, clang -Wl,--strip-all"
            refuse(RefusalKind.NOT_ALLOWED, section.offset, why)
    if len(found) != 1:
        why = f"there are {len(found)} custom sections {SECTION_NAME!r}: a contract carries its interface once"
        refuse(RefusalKind.NOT_ALLOWED, found[-1].offset if found else 0, why)
    try:
        return decode_interface(found[0].payload)
    except InvalidInterfaceError as error:
        raise RefusedError(RefusalKind.NOT_ALLOWED, found[0].offset, str(error)) from None


def _check_exports(module: Module, interface: Interface) -> tuple[Export, ...]:
    """The memory and one function for each method, and nothing else; returns what is kept."""
    exports = tuple(each for each in module.exports if not _is_linker_constant(module, each))
    offset = exports[0].offset if exports else 0
    by_name = {export.name: export for export in exports}
    memory = by_name.get(MEMORY_EXPORT)
    if memory is None or memory.kind is not ExportKind.MEMORY:
        refuse(RefusalKind.NOT_ALLOWED, offset, f"the memory must be exported as {MEMORY_EXPORT!r}")
    names = [method.name for method in interface.methods]
    for export in exports:
        _check_reserved(export)
        if export.name not in (MEMORY_EXPORT, *names):
            why = f"export {export.name!r}: only the memory and the interface's methods are exported"
            refuse(RefusalKind.NOT_ALLOWED, export.offset, why)
    for name in names:
        method = by_name.get(name)
        if method is None or method.kind is not ExportKind.FUNCTION:
            refuse(RefusalKind.NOT_ALLOWED, offset, f"method {name!r}: there is no exported function of that name")
        if method.index < module.function_count and module.get_type(method.index) != FunctionType(b"", b""):
            why = f"method {name!r}: an exported function has no parameters and no results"
            refuse(RefusalKind.NOT_ALLOWED, method.offset, why)
    return exports


def _is_linker_constant(module: Module, export: Export) -> bool:
    if export.name not in DROPPED_EXPORTS or export.kind is not ExportKind.GLOBAL:
        return False
    return export.index < len(module.globals) and not module.globals[export.index].is_mutable


def _read_function_names(module: Module) -> dict[int, str]:
    """Names for messages, of exports and of the section `name`; what cannot be read there is ignored."""
    names: dict[int, str] = {}
    for section in module.custom:
        if section.name == "name":
            reader = Reader(section.payload, 0, len(section.payload))
            try:
                _read_name_section(reader, names)
            except RefusedError:
                break
    for export in module.exports:
        if export.kind is ExportKind.FUNCTION:
            names[export.index] = export.name
    return {index: name for index, name in names.items() if name.isprintable()}


def _read_name_section(reader: Reader, names: dict[int, str]) -> None:
    while reader.at < reader.end:
        number = reader.byte()
        size = reader.unsigned()
        if number != _FUNCTION_NAMES:
            reader.take(size)
            continue
        for _ in range(reader.count("names", FUNCTIONS_MAX)):
            index = reader.unsigned()
            names[index] = reader.name()


def _format_type(kind: FunctionType) -> str:
    parameters = ", ".join(TYPE_NAMES[each] for each in kind.parameters)
    results = ", ".join(TYPE_NAMES[each] for each in kind.results)
    return f"({parameters}) -> ({results})"
