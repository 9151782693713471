"""Modules drawn at random: valid ones from a grammar, and mutations of valid ones that know what WASM looks like."""

import random
import zipfile
from pathlib import Path

import wasmtime

from tests.vm.contracts.modules import assemble
from tests.vm.contracts.programs import PROGRAMS
from tests.wasm_suite.runner import fix_sizes
from vm.contracts.encoder import (
    encode_name,
    encode_section,
    encode_signed,
    encode_sized,
    encode_type,
    encode_unsigned,
    encode_vector,
)
from vm.contracts.host_functions import HOST_FUNCTIONS
from vm.contracts.module import FunctionType, RefusedError
from vm.contracts.opcodes import I32, I64, OPERATORS, Kind
from vm.contracts.parser import SECTION_CODE, Reader

SUITE = Path(__file__).parent.parent / "vectors" / "wasm" / "core.zip"
BODY_DEPTH = 4
INTERESTING = (0, 1, 2, 0x3F, 0x40, 0x7C, 0x7D, 0x7E, 0x7F, 0x80, 0xFC, 0xFF, 0x0B, 0x05, 0x10, 0x11, 0x0E, 0x04)
HUGE_NUMBERS = (b"\xff\xff\xff\xff\x0f", b"\x80\x80\x80\x80\x00", b"\xff\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x80\x00")

_BY_RESULT = {
    kind: [
        (opcode, operator)
        for opcode, operator in OPERATORS.items()
        if operator.result == kind and operator.kind in (Kind.UNARY, Kind.BINARY, Kind.LOAD)
    ]
    for kind in (I32, I64)
}
_STORES = [(opcode, operator) for opcode, operator in OPERATORS.items() if operator.kind is Kind.STORE]


def load_seeds() -> list[bytes]:
    """Valid modules of the core test-suite and our programs."""
    with zipfile.ZipFile(SUITE) as archive:
        modules = [archive.read(name) for name in sorted(archive.namelist()) if name.endswith(".wasm")]
    seeds = [bytes(wasmtime.wat2wasm(text)) for text, _ in PROGRAMS.values()]
    for code in modules:
        try:
            seeds.append(fix_sizes(code))
        except RefusedError:
            continue
    return sorted({seed for seed in seeds if len(seed) > 8}, key=lambda seed: (len(seed), seed))


class Generator:
    """Writes type-correct functions."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        count = draw.randrange(1, 5)
        self.types = [self._draw_type() for _ in range(count)]
        names = draw.sample(sorted(HOST_FUNCTIONS), draw.randrange(3))
        self.imports = [(name, HOST_FUNCTIONS[name]) for name in names]
        self.functions = [draw.randrange(count) for _ in range(draw.randrange(1, 6))]
        self.globals = [draw.choice((I32, I64)) for _ in range(draw.randrange(4))]
        self.locals = b""

    def _draw_type(self) -> FunctionType:
        draw = self.draw
        parameters = bytes(draw.choice((I32, I64)) for _ in range(draw.randrange(4)))
        return FunctionType(parameters, bytes((draw.choice((I32, I64)),)) if draw.random() < 0.6 else b"")

    def build(self) -> bytes:
        """A module that is valid and within the limits."""
        draw = self.draw
        bodies = [encode_sized(self._build_body(self.types[index])) for index in self.functions]
        types = [*self.types, *[kind for _, kind in self.imports]]
        imports = [
            encode_name("iov1") + encode_name(name) + b"\0" + encode_unsigned(len(self.types) + index)
            for index, (name, _) in enumerate(self.imports)
        ]
        total = len(self.imports) + len(self.functions)
        table = [encode_unsigned(draw.randrange(total)) for _ in range(4)]
        exports = [encode_name(f"f{index}") + b"\0" + encode_unsigned(index) for index in range(total)]
        initial = {I32: b"\x41\x05\x0b", I64: b"\x42\x05\x0b"}
        sections = [
            (1, [encode_type(kind) for kind in types]),
            (2, imports),
            (3, [encode_unsigned(index) for index in self.functions]),
            (4, [b"\x70\x01\x04\x04"]),
            (5, [b"\x01\x01\x01"]),
            (6, [bytes((kind, 1)) + initial[kind] for kind in self.globals]),
            (7, exports),
            (9, [b"\0\x41\0\x0b" + encode_vector(table)]),
            (10, bodies),
        ]
        return assemble(*((number, encode_vector(items)) for number, items in sections if items))

    def _build_body(self, kind: FunctionType) -> bytes:
        declared = bytes(self.draw.choice((I32, I64)) for _ in range(self.draw.randrange(5)))
        self.locals = kind.parameters + declared
        self.result = kind.results
        code = b"".join(self._statement(BODY_DEPTH, [kind.results]) for _ in range(self.draw.randrange(5)))
        code += self._expression(kind.results[0], BODY_DEPTH) if kind.results else b""
        return encode_vector([b"\x01" + bytes((each,)) for each in declared]) + code + b"\x0b"

    def _expression(self, kind: int, depth: int) -> bytes:
        draw = self.draw
        if depth == 0 or draw.random() < 0.2:
            return self._leaf(kind)
        choice = draw.random()
        if choice < 0.1:
            condition = self._expression(I32, depth - 1)
            return self._expression(kind, depth - 1) + self._expression(kind, depth - 1) + condition + b"\x1b"
        if choice < 0.2:
            condition = self._expression(I32, depth - 1)
            arms = self._expression(kind, depth - 1) + b"\x05" + self._expression(kind, depth - 1)
            return condition + b"\x04" + bytes((kind,)) + arms + b"\x0b"
        if choice < 0.3:
            return self._call(kind, depth) or self._leaf(kind)
        opcode, operator = draw.choice(_BY_RESULT[kind])
        if operator.kind is Kind.LOAD:
            argument = encode_unsigned(draw.randrange(operator.align_max + 1)) + encode_unsigned(draw.randrange(99))
            return self._expression(I32, depth - 1) + bytes((opcode,)) + argument
        operands = [self._expression(operator.operand, depth - 1) for _ in range(1 + (operator.kind is Kind.BINARY))]
        return b"".join(operands) + bytes((opcode,))

    def _leaf(self, kind: int) -> bytes:
        candidates = [b"\x20" + encode_unsigned(index) for index, each in enumerate(self.locals) if each == kind]
        candidates += [b"\x23" + encode_unsigned(index) for index, each in enumerate(self.globals) if each == kind]
        value = self.draw.choice((0, 1, -1, 7, self.draw.getrandbits(31), -(2**31)))
        candidates.append((b"\x41" if kind == I32 else b"\x42") + encode_signed(value))
        return self.draw.choice(candidates)

    def _call(self, kind: int, depth: int) -> bytes:
        types = [each for _, each in self.imports] + [self.types[index] for index in self.functions]
        candidates = [index for index, each in enumerate(types) if each.results == bytes((kind,))]
        if not candidates:
            return b""
        index = self.draw.choice(candidates)
        arguments = b"".join(self._expression(each, min(1, depth - 1)) for each in types[index].parameters)
        if self.draw.random() < 0.3 and types[index] in self.types:
            place = self._expression(I32, 0)
            return arguments + place + b"\x11" + encode_unsigned(self.types.index(types[index])) + b"\0"
        return arguments + b"\x10" + encode_unsigned(index)

    def _statement(self, depth: int, labels: list[bytes]) -> bytes:
        draw = self.draw
        choice = draw.randrange(9) if depth else draw.randrange(4)
        if choice == 0 and self.locals:
            index = draw.randrange(len(self.locals))
            return self._expression(self.locals[index], depth) + b"\x21" + encode_unsigned(index)
        if choice == 1 and self.globals:
            index = draw.randrange(len(self.globals))
            return self._expression(self.globals[index], depth) + b"\x24" + encode_unsigned(index)
        if choice == 2:
            opcode, operator = draw.choice(_STORES)
            value = self._expression(operator.operand, depth)
            return self._expression(I32, depth) + value + bytes((opcode, draw.randrange(operator.align_max + 1), 8))
        if choice in (4, 5):
            inner = b"".join(self._statement(depth - 1, [*labels, b""]) for _ in range(draw.randrange(4)))
            return bytes((draw.choice((2, 3)), 0x40)) + inner + b"\x0b"
        if choice == 6:
            arms = [
                b"".join(self._statement(depth - 1, [*labels, b""]) for _ in range(draw.randrange(3))) for _ in range(2)
            ]
            return self._expression(I32, 1) + b"\x04\x40" + b"\x05".join(arms[: draw.randrange(1, 3)]) + b"\x0b"
        if choice == 7:
            targets = [index for index, label in enumerate(reversed(labels)) if not label]
            if targets:
                condition = self._expression(I32, 1)
                if draw.random() < 0.3:
                    table = encode_vector([encode_unsigned(target) for target in targets])
                    return condition + b"\x0e" + table + encode_unsigned(targets[0])
                return condition + b"\x0d" + encode_unsigned(draw.choice(targets))
        if choice == 8 and self.result:
            return self._expression(self.result[0], 1) + b"\x0f"
        kind = draw.choice((I32, I64))
        return self._expression(kind, depth) + b"\x1a"


def mutate(draw: random.Random, code: bytes, other: bytes) -> bytes:
    """Changes inside a function or a section with all sizes put right, or anywhere."""
    choice = draw.random()
    if choice < 0.5:
        try:
            return _mutate_function(draw, code)
        except RefusedError:
            return code  # a seed whose code has no sizes to put right
    return _mutate_sections(draw, code, other) if choice < 0.8 else _mutate_bytes(draw, code, other)


def _mutate_function(draw: random.Random, code: bytes) -> bytes:
    """Change, add or drop a few bytes of one function."""
    sections = _split(code)
    for index, section in enumerate(sections):
        if section[0] != SECTION_CODE:
            continue
        reader = Reader(section, 1, len(section))
        reader.unsigned()
        bodies = [bytearray(reader.take(reader.unsigned())) for _ in range(reader.unsigned())]
        if not bodies:
            continue
        body = draw.choice(bodies)
        for _ in range(draw.randrange(1, 4)):
            at = draw.randrange(len(body) + 1)
            inserted = bytes(
                (draw.choice((draw.randrange(4), draw.choice(INTERESTING), draw.choice(list(OPERATORS)))),)
            )
            body[at : at + draw.randrange(3)] = inserted * draw.randrange(3)
        sections[index] = encode_section(SECTION_CODE, encode_vector([encode_sized(bytes(each)) for each in bodies]))
    return code[:8] + b"".join(sections)


def _mutate_bytes(draw: random.Random, code: bytes, other: bytes) -> bytes:
    changed = bytearray(code)
    for _ in range(draw.randrange(1, 4)):
        at = draw.randrange(8, max(9, len(changed)))
        match draw.randrange(8):
            case 0:
                changed[at : at + 1] = bytes((draw.randrange(256),))
            case 1:
                changed[at : at + 1] = bytes((draw.choice(INTERESTING),))
            case 2:
                changed[at:at] = bytes((draw.choice(INTERESTING),))
            case 3:
                del changed[at : at + draw.randrange(1, 4)]
            case 4:
                changed[at : at + 1] = draw.choice(HUGE_NUMBERS)
            case 5:
                start = draw.randrange(len(other))
                changed[at:at] = other[start : start + draw.randrange(24)]
            case 6:
                changed[at : at + 1] = bytes((draw.choice(list(OPERATORS)),))
            case 7:
                del changed[at:]
    return bytes(changed)


def _split(code: bytes) -> list[bytes]:
    reader, sections = Reader(code, 8, len(code)), []
    try:
        while reader.at < reader.end:
            number = reader.byte()
            sections.append(encode_section(number, reader.take(reader.unsigned())))
    except RefusedError:
        sections.append(code[reader.at :])
    return [section for section in sections if section]


def _mutate_sections(draw: random.Random, code: bytes, other: bytes) -> bytes:
    """Drop, repeat, swap, resize or import a section, with its size put right."""
    sections = _split(code)
    if not sections:
        return code
    foreign = _split(other)
    at = draw.randrange(len(sections))
    match draw.randrange(5):
        case 0:
            del sections[at]
        case 1:
            sections.insert(draw.randrange(len(sections) + 1), sections[at])
        case 2:
            sections.insert(draw.randrange(len(sections)), sections.pop(at))
        case 3:
            sections[at] = draw.choice(foreign) if foreign else b""
        case 4:
            inside = bytearray(sections[at])
            for _ in range(draw.randrange(1, 4)):
                inside[draw.randrange(len(inside))] = draw.choice((draw.randrange(256), draw.choice(INTERESTING)))
            sections[at] = bytes(inside)
    return code[:8] + b"".join(sections)


def draw_module(draw: random.Random, seeds: list[bytes]) -> bytes:
    """A valid module, a changed one, or bytes."""
    choice = draw.random()
    if choice < 0.05:
        return b"\0asm\x01\0\0\0" + draw.randbytes(draw.randrange(200))
    code = Generator(draw).build() if choice < 0.45 else draw.choice(seeds)
    return code if choice < 0.2 else mutate(draw, code, draw.choice(seeds))
