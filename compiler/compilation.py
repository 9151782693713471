"""From a source to a module with its interface."""

import ast
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from compiler.declarations import Declarations, FunctionDeclaration, read_declarations
from compiler.diagnostics import CompileError, Diagnostic, Mistake, Mistakes
from compiler.packing import Assembly, unpack_code
from compiler.runtime import DATA_OFFSET, GLOBALS, MEMORY_PAGES
from compiler.scope import Scope, Variable
from compiler.statements import lower_function
from compiler.types import NOTHING, U128, format_type
from compiler.values import pack_packed
from compiler.wasm import Code, Function, Program, Signature, link
from vm.contracts.abi import (
    SECTION_NAME,
    EventType,
    Interface,
    Method,
    MethodKind,
    Parameter,
    StorageItem,
    Struct,
    StructOf,
    encode_interface,
)
from vm.contracts.gate import RefusedError, check_contract
from vm.contracts.host_functions import HOST_FUNCTIONS, HOST_MODULE
from vm.contracts.opcodes import TYPE_NAMES

COMPILER_NAME: Final = "carlive-python 1"
SOURCE_BYTES_MAX: Final = 262_144  # more than fits into a module
IMPORTS: Final = {
    name: Signature(
        tuple(TYPE_NAMES[each] for each in kind.parameters), TYPE_NAMES[kind.results[0]] if kind.results else None
    )
    for name, kind in HOST_FUNCTIONS.items()
}


@dataclass(frozen=True, slots=True)
class CompiledContract:
    """A module ready to be published, and what it promises."""

    code: bytes
    interface: Interface


def compile_source(source: str, path: str) -> CompiledContract:
    """Compile a contract; raises CompileError with every mistake. The path is only shown in messages."""
    mistakes = Mistakes(path, source)
    if len(source.encode()) > SOURCE_BYTES_MAX:
        mistakes.add_at(1, 0, f"the source has more than {SOURCE_BYTES_MAX} bytes")
        mistakes.raise_if_any()
    module = _parse(source, path, mistakes)
    assembly = Assembly()
    try:
        declared = read_declarations(module, mistakes)
        scopes = _lower_functions(declared, assembly, mistakes)
    except RecursionError:
        raise CompileError([Diagnostic(path, 1, 1, "", "expressions are nested too deeply", "use variables")]) from None
    _check_calls(scopes, mistakes)
    mistakes.raise_if_any()
    interface = _build_interface(declared, source)
    assert declared.contract is not None, "without one there was a mistake"
    code = _link(declared, assembly, encode_interface(interface))
    try:
        check_contract(code)
    except RefusedError as error:
        mistakes.add(Mistake(declared.contract, f"the chain would not take the module: {error}"))
    mistakes.raise_if_any()
    return CompiledContract(code, interface)


def _parse(source: str, path: str, mistakes: Mistakes) -> ast.Module:
    try:
        return ast.parse(source, path)
    except SyntaxError as error:
        line = source.splitlines()[(error.lineno or 1) - 1 :][:1]
        offset = len("".join(line)[: max((error.offset or 1) - 1, 0)].encode())
        mistakes.add_at(error.lineno or 1, offset, f"not Python: {error.msg}")
    except (ValueError, RecursionError, MemoryError):
        mistakes.add_at(1, 0, "not Python: null bytes, or nested too deeply")
    mistakes.raise_if_any()
    raise AssertionError("there was a mistake")


def _lower_functions(declared: Declarations, assembly: Assembly, mistakes: Mistakes) -> dict[str, Scope]:
    scopes = {}
    for function in (*declared.functions.values(), *declared.methods.values()):
        translated, scope = lower_function(declared, assembly, mistakes, function)
        assembly.functions[function.symbol] = translated
        scopes[function.symbol] = scope
    return scopes


def _check_calls(scopes: dict[str, Scope], mistakes: Mistakes) -> None:
    """No function calls itself, and no view calls what changes something."""
    for symbol, scope in scopes.items():
        for callee, node in scope.callees.items():
            if symbol in _list_reached(scopes, callee):
                mistakes.add(Mistake(node, f"{scope.function.name} calls itself in the end", "use a loop"))
        if scope.function.kind is MethodKind.VIEW:
            for reached in _list_reached(scopes, symbol):
                for effect in scopes[reached].effects[:1]:
                    name = scope.function.name
                    mistakes.add(Mistake(effect.node, f"this {effect.what}, but the view {name} runs it", "use @call"))


def _list_reached(scopes: dict[str, Scope], start: str) -> list[str]:
    reached = [start]
    for symbol in reached:
        reached += [each for each in scopes[symbol].callees if each not in reached]
    return reached


def _build_interface(declared: Declarations, source: str) -> Interface:
    assert declared.contract is not None, "without one there was a mistake"
    exported = [each for each in declared.methods.values() if each.kind is not None]
    return Interface(
        declared.contract.name,
        COMPILER_NAME,
        sha256(source.encode()).digest(),
        declared.upgrade,
        tuple(Struct(each.name, _list_fields(each)) for each in declared.structs.values()),
        tuple(_describe_method(each) for each in exported),
        tuple(EventType(each.name, _list_fields(each)) for each in declared.events.values()),
        tuple(
            StorageItem(
                each.name, each.kind, "" if each.key is None else format_type(each.key), format_type(each.value)
            )
            for each in declared.storage.values()
        ),
    )


def _list_fields(kind: StructOf) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, format_type(field)) for name, field in kind.fields)


def _describe_method(method: FunctionDeclaration) -> Method:
    assert method.kind is not None, "only exported methods are described"
    result = "" if method.result == NOTHING else format_type(method.result)
    parameters = tuple(Parameter(name, format_type(kind)) for name, kind in method.parameters)
    return Method(method.name, method.kind, method.is_payable, method.is_reentrant, parameters, result)


def _build_entry(declared: Declarations, assembly: Assembly, method: FunctionDeclaration) -> Function:
    """The exported function: unpack the arguments, run the method, pack the result."""
    scope = Scope(declared, assembly, Mistakes("", ""), method)
    code: Code = ("i32.const 0", "call input", "call read_register")
    held: list[Variable] = []
    for _, kind in method.parameters:
        variable = scope.borrow(kind)
        code += (*unpack_code(assembly, kind), *variable.set)
        held.append(variable)
    code += ("call take_all", *(line for each in held for line in each.get), f"call {method.symbol}")
    if method.result != NOTHING:
        high = ("global.get high",) if method.result == U128 else ()
        pack, place, _ = pack_packed(scope, [(method.result, high)])  # type: ignore[list-item]  # of the border
        code += (*pack, *place, "call return_value")
    return Function(f"entry.{method.name}", (), None, tuple(scope.locals), code)


def _link(declared: Declarations, assembly: Assembly, section: bytes) -> bytes:
    exports = []
    for method in declared.methods.values():
        if method.kind is not None:
            entry = _build_entry(declared, assembly, method)
            assembly.functions[entry.name] = entry
            exports.append((method.name, entry.name))
    heap = DATA_OFFSET + len(assembly.data)
    return link(
        Program(
            assembly.functions,
            IMPORTS,
            HOST_MODULE,
            tuple(exports),
            {name: (kind, heap if name == "heap" else 0) for name, kind in GLOBALS.items()},
            bytes(assembly.data),
            DATA_OFFSET,
            MEMORY_PAGES,
            ((SECTION_NAME, section),),
        )
    )
