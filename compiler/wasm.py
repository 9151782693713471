"""WebAssembly: functions written as lines of text, linked into a module of which nothing unused is part.

A line is one instruction, much as in WebAssembly's text form: `local.get x`, `i64.const 5`, `i32.load 4` (the offset).
Blocks may be named (`block exit`, `br exit`) and have at most one result (`if i32`). Functions, locals and globals are
called by their names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vm.contracts.encoder import (
    FUNCTION_TAG,
    HEADER,
    encode_name,
    encode_section,
    encode_signed,
    encode_sized,
    encode_unsigned,
    encode_vector,
)

PAGE_BYTES: Final = 65_536
I32: Final = "i32"
I64: Final = "i64"

Code = tuple[str, ...]
"""Instructions in order."""

_VALUE_TYPES: Final = {I32: b"\x7f", I64: b"\x7e"}
_NO_RESULT: Final = b"\x40"
_CUSTOM_SECTION: Final = 0

_SIMPLE: Final[dict[str, int]] = {
    "unreachable": 0x00,
    "else": 0x05,
    "return": 0x0F,
    "drop": 0x1A,
    "select": 0x1B,
    **{
        f"i32.{name}": 0x45 + index
        for index, name in enumerate(
            ["eqz", "eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"]
        )
    },
    **{
        f"i64.{name}": 0x50 + index
        for index, name in enumerate(
            ["eqz", "eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"]
        )
    },
    **{
        f"{kind}.{name}": first + index
        for kind, first in ((I32, 0x67), (I64, 0x79))
        for index, name in enumerate(
            [
                "clz",
                "ctz",
                "popcnt",
                "add",
                "sub",
                "mul",
                "div_s",
                "div_u",
                "rem_s",
                "rem_u",
                "and",
                "or",
                "xor",
                "shl",
                "shr_s",
                "shr_u",
                "rotl",
                "rotr",
            ]
        )
    },
    "i32.wrap_i64": 0xA7,
    "i64.extend_i32_u": 0xAD,
}
_MEMORY: Final = {
    "i32.load": 0x28,
    "i64.load": 0x29,
    "i32.load8_u": 0x2D,
    "i32.load16_u": 0x2F,
    "i32.store": 0x36,
    "i64.store": 0x37,
    "i32.store8": 0x3A,
    "i32.store16": 0x3B,
}
_VARIABLES: Final = {"local.get": 0x20, "local.set": 0x21, "local.tee": 0x22, "global.get": 0x23, "global.set": 0x24}
_BLOCKS: Final = {"block": 0x02, "loop": 0x03, "if": 0x04}
_BRANCHES: Final = {"br": 0x0C, "br_if": 0x0D}


@dataclass(frozen=True, slots=True)
class Signature:
    """Types of the parameters, and of the result if there is one."""

    parameters: tuple[str, ...]
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """A function; parameters and locals are pairs of name and type."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    result: str | None
    locals: tuple[tuple[str, str], ...]
    body: Code

    @property
    def signature(self) -> Signature:
        """Its type."""
        return Signature(tuple(kind for _, kind in self.parameters), self.result)


@dataclass(frozen=True, slots=True)
class Program:
    """All that may be linked; what no export reaches is left out."""

    functions: dict[str, Function]
    imports: dict[str, Signature]
    import_module: str
    exports: tuple[tuple[str, str], ...]
    """Exported name and the function's name."""
    globals: dict[str, tuple[str, int]]
    """Type and first value of the mutable globals."""
    data: bytes
    data_offset: int
    memory_pages: int
    custom_sections: tuple[tuple[str, bytes], ...]


def parse_function(text: str) -> Function:
    """A function written as `name (a i32, b i64) i32` and lines, of which `local NAME TYPE` come first."""
    header, *lines = [line.partition(";;")[0].strip() for line in text.strip().splitlines()]
    name, _, rest = header.partition("(")
    parameters, _, result = rest.partition(")")
    pairs = [each.split() for each in parameters.split(",") if each.strip()]
    local_lines = [line.split() for line in lines if line.startswith("local ")]
    return Function(
        name.strip(),
        tuple((each, kind) for each, kind in pairs),
        result.strip() or None,
        tuple((each, kind) for _, each, kind in local_lines),
        tuple(
            instruction.strip()
            for line in lines
            if line and not line.startswith("local ")
            for instruction in line.split("|")
        ),
    )


def link(program: Program) -> bytes:
    """The module's bytes. The same program gives the same bytes."""
    reached = _list_reached(program)
    imports = [name for name in program.imports if name in reached]
    functions = [program.functions[name] for name in reached if name in program.functions]
    used_globals = _list_used_globals(functions, program)
    signatures: list[Signature] = []
    for signature in [*(program.imports[name] for name in imports), *(each.signature for each in functions)]:
        if signature not in signatures:
            signatures.append(signature)
    numbers = {name: index for index, name in enumerate([*imports, *(each.name for each in functions)])}
    global_numbers = {name: index for index, name in enumerate(used_globals)}
    exports = [encode_name("memory") + b"\x02\x00"]
    exports += [encode_name(name) + b"\x00" + encode_unsigned(numbers[target]) for name, target in program.exports]
    sections = [
        (1, encode_vector([_encode_signature(each) for each in signatures])),
        (2, encode_vector([_encode_import(program, name, signatures) for name in imports])),
        (3, encode_vector([encode_unsigned(signatures.index(each.signature)) for each in functions])),
        (5, encode_vector([b"\x01" + encode_unsigned(program.memory_pages) * 2])),
        (6, encode_vector([_encode_global(*program.globals[name]) for name in used_globals])),
        (7, encode_vector(exports)),
        (10, encode_vector([_encode_function(each, numbers, global_numbers) for each in functions])),
        (11, _encode_data(program)),
    ]
    module = HEADER
    for number, payload in sections:
        if payload != b"\x00":
            module += encode_section(number, payload)
    for name, payload in program.custom_sections:
        module += encode_section(_CUSTOM_SECTION, encode_name(name) + payload)
    return module


def _list_reached(program: Program) -> list[str]:
    reached: list[str] = []
    waiting = [target for _, target in reversed(program.exports)]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.append(name)
        if name in program.functions:
            called = [line.split()[1] for line in program.functions[name].body if line.startswith("call ")]
            waiting.extend(reversed(called))
    return reached


def _list_used_globals(functions: list[Function], program: Program) -> list[str]:
    used = {line.split()[1] for each in functions for line in each.body if line.startswith("global.")}
    return [name for name in program.globals if name in used]


def _encode_signature(signature: Signature) -> bytes:
    results = [] if signature.result is None else [_VALUE_TYPES[signature.result]]
    parameters = [_VALUE_TYPES[each] for each in signature.parameters]
    return bytes([FUNCTION_TAG]) + encode_vector(parameters) + encode_vector(results)


def _encode_import(program: Program, name: str, signatures: list[Signature]) -> bytes:
    number = encode_unsigned(signatures.index(program.imports[name]))
    return encode_name(program.import_module) + encode_name(name) + b"\x00" + number


def _encode_global(kind: str, value: int) -> bytes:
    opcode = b"\x41" if kind == I32 else b"\x42"
    return _VALUE_TYPES[kind] + b"\x01" + opcode + encode_signed(value) + b"\x0b"


def _encode_data(program: Program) -> bytes:
    if not program.data:
        return b"\x00"
    offset = b"\x00\x41" + encode_signed(program.data_offset) + b"\x0b"
    return encode_vector([offset + encode_sized(program.data)])


def _encode_function(function: Function, numbers: dict[str, int], global_numbers: dict[str, int]) -> bytes:
    by_type = {kind: [name for name, each in function.locals if each == kind] for kind in (I32, I64)}
    ordered = [name for name, _ in function.parameters] + by_type[I32] + by_type[I64]
    locals_ = [encode_unsigned(len(names)) + _VALUE_TYPES[kind] for kind, names in by_type.items() if names]
    places = {name: index for index, name in enumerate(ordered)}
    assert len(places) == len(ordered), f"{function.name}: a local stands twice"
    body = encode_vector(locals_) + b"".join(_encode_body(function.body, places, numbers, global_numbers)) + b"\x0b"
    return encode_sized(body)


def _encode_body(
    body: Code, places: dict[str, int], numbers: dict[str, int], global_numbers: dict[str, int]
) -> Iterator[bytes]:
    labels: list[str] = []
    for line in body:
        name, *operands = line.split()
        if name in _SIMPLE:
            yield bytes([_SIMPLE[name]])
        elif name in _VARIABLES:
            table = places if name.startswith("local") else global_numbers
            yield bytes([_VARIABLES[name]]) + encode_unsigned(table[operands[0]])
        elif name == "call":
            yield b"\x10" + encode_unsigned(numbers[operands[0]])
        elif name in ("i32.const", "i64.const"):
            yield (b"\x41" if name == "i32.const" else b"\x42") + encode_signed(_wrap(name, int(operands[0])))
        elif name in _MEMORY:
            yield bytes([_MEMORY[name], 0]) + encode_unsigned(int(operands[0]) if operands else 0)
        elif name in _BLOCKS:
            kinds = [each for each in operands if each in _VALUE_TYPES]
            labels.append(next((each for each in operands if each not in _VALUE_TYPES), ""))
            yield bytes([_BLOCKS[name]]) + (_VALUE_TYPES[kinds[0]] if kinds else _NO_RESULT)
        elif name == "end":
            labels.pop()
            yield b"\x0b"
        else:
            depth = next(index for index, each in enumerate(reversed(labels)) if each == operands[0])
            yield bytes([_BRANCHES[name]]) + encode_unsigned(depth)


def _wrap(name: str, value: int) -> int:
    """A constant as the signed number with the same bits."""
    bits = 32 if name == "i32.const" else 64
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value
