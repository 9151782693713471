"""The operators a contract may use: what they take and give, and what they cost.

A price is in *units*; 1 gas (at most about 100 ns, see `vm/gas.py`) is GAS_UNITS. Prices are measured once, by class,
and then fixed: every node must agree on them, whatever its processor.
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final

GAS_UNITS: Final = 1_000
"""Units in one gas: a unit is about 0.1 ns of the reference machine."""

I32: Final = 0x7F
I64: Final = 0x7E
UNKNOWN: Final = 0  # an operand that unreachable code may take for any type
EMPTY: Final = 0x40  # the type of a block that leaves nothing behind
TYPE_NAMES: Final = {I32: "i32", I64: "i64", UNKNOWN: "unknown"}

UNREACHABLE: Final = 0x00
BLOCK: Final = 0x02
LOOP: Final = 0x03
IF: Final = 0x04
ELSE: Final = 0x05
END: Final = 0x0B
RETURN: Final = 0x0F
CALL: Final = 0x10
LOCAL_GET: Final = 0x20
LOCAL_SET: Final = 0x21
GLOBAL_GET: Final = 0x23
GLOBAL_SET: Final = 0x24
I32_CONST: Final = 0x41
I64_CONST: Final = 0x42
I32_GREATER_UNSIGNED: Final = 0x4B
I64_LESS_SIGNED: Final = 0x53
I32_ADD: Final = 0x6A
I32_SUBTRACT: Final = 0x6B
I64_SUBTRACT: Final = 0x7D

# Prices by class. They are what a hostile module can get out of the class, not what it costs on average:
# docs/contracts/gate.md has the measurements.
PRICE_MOVE: Final = 1  # a local, a constant, drop: mostly vanishes in compilation
PRICE_SIMPLE: Final = 3  # add, compare, shift: one cycle
PRICE_MULTIPLY: Final = 14  # three cycles of latency
PRICE_DIVIDE: Final = 90  # up to 18 cycles, and the checks for zero and overflow
PRICE_COUNT_BITS: Final = 8  # clz, ctz, popcnt: emulated on processors without the instruction
PRICE_SELECT: Final = 5
PRICE_GLOBAL: Final = 5  # memory, always in the first cache
PRICE_LOAD: Final = 60  # a chain of loads spread over the whole memory misses the caches: 110 at worst
PRICE_STORE: Final = 20
PRICE_JUMP: Final = 3
PRICE_BRANCH: Final = 70  # half of the branches mispredicted
PRICE_BRANCH_TABLE: Final = 60  # an indirect jump, mispredicted
PRICE_CALL: Final = 20
PRICE_CALL_INDIRECT: Final = 80  # checks of index and type, mispredicted
PRICE_LOOP: Final = 1  # so that no turn of a loop is free


@unique
class Kind(IntEnum):
    """How the validator treats an operator."""

    UNREACHABLE = 1
    NOP = 2
    BLOCK = 3
    LOOP = 4
    IF = 5
    ELSE = 6
    END = 7
    BRANCH = 8
    BRANCH_IF = 9
    BRANCH_TABLE = 10
    RETURN = 11
    CALL = 12
    CALL_INDIRECT = 13
    DROP = 14
    SELECT = 15
    LOCAL_GET = 16
    LOCAL_SET = 17
    LOCAL_TEE = 18
    GLOBAL_GET = 19
    GLOBAL_SET = 20
    LOAD = 21
    STORE = 22
    MEMORY_SIZE = 23
    I32_CONST = 24
    I64_CONST = 25
    UNARY = 26
    BINARY = 27


@dataclass(frozen=True, slots=True)
class Operator:
    """One allowed operator."""

    name: str
    kind: Kind
    operand: int
    """Type of the operands of a UNARY, BINARY; type of the value that a LOAD gives or a STORE takes."""
    result: int
    price: int
    align_max: int
    """Of a LOAD or STORE: the logarithm of its natural alignment."""


def _build_operators() -> dict[int, Operator]:
    operators: dict[int, Operator] = {}

    def add(opcode: int, name: str, kind: Kind, price: int, operand: int = 0, result: int = 0, align: int = 0) -> None:
        assert opcode not in operators, name
        operators[opcode] = Operator(name, kind, operand, result, price, align)

    for opcode, name, kind, price in (
        (0x00, "unreachable", Kind.UNREACHABLE, PRICE_MOVE),
        (0x01, "nop", Kind.NOP, PRICE_MOVE),
        (0x02, "block", Kind.BLOCK, 0),
        (0x03, "loop", Kind.LOOP, 0),
        (0x04, "if", Kind.IF, PRICE_BRANCH),
        (0x05, "else", Kind.ELSE, 0),
        (0x0B, "end", Kind.END, 0),
        (0x0C, "br", Kind.BRANCH, PRICE_JUMP),
        (0x0D, "br_if", Kind.BRANCH_IF, PRICE_BRANCH),
        (0x0E, "br_table", Kind.BRANCH_TABLE, PRICE_BRANCH_TABLE),
        (0x0F, "return", Kind.RETURN, PRICE_JUMP),
        (0x10, "call", Kind.CALL, PRICE_CALL),
        (0x11, "call_indirect", Kind.CALL_INDIRECT, PRICE_CALL_INDIRECT),
        (0x1A, "drop", Kind.DROP, PRICE_MOVE),
        (0x1B, "select", Kind.SELECT, PRICE_SELECT),
        (0x20, "local.get", Kind.LOCAL_GET, PRICE_MOVE),
        (0x21, "local.set", Kind.LOCAL_SET, PRICE_MOVE),
        (0x22, "local.tee", Kind.LOCAL_TEE, PRICE_MOVE),
        (0x23, "global.get", Kind.GLOBAL_GET, PRICE_GLOBAL),
        (0x24, "global.set", Kind.GLOBAL_SET, PRICE_GLOBAL),
        (0x3F, "memory.size", Kind.MEMORY_SIZE, PRICE_GLOBAL),
        (0x41, "i32.const", Kind.I32_CONST, PRICE_MOVE),
        (0x42, "i64.const", Kind.I64_CONST, PRICE_MOVE),
    ):
        add(opcode, name, kind, price)

    for opcode, name, value, align in (
        (0x28, "i32.load", I32, 2),
        (0x29, "i64.load", I64, 3),
        (0x2C, "i32.load8_s", I32, 0),
        (0x2D, "i32.load8_u", I32, 0),
        (0x2E, "i32.load16_s", I32, 1),
        (0x2F, "i32.load16_u", I32, 1),
        (0x30, "i64.load8_s", I64, 0),
        (0x31, "i64.load8_u", I64, 0),
        (0x32, "i64.load16_s", I64, 1),
        (0x33, "i64.load16_u", I64, 1),
        (0x34, "i64.load32_s", I64, 2),
        (0x35, "i64.load32_u", I64, 2),
    ):
        add(opcode, name, Kind.LOAD, PRICE_LOAD, value, value, align)
    for opcode, name, value, align in (
        (0x36, "i32.store", I32, 2),
        (0x37, "i64.store", I64, 3),
        (0x3A, "i32.store8", I32, 0),
        (0x3B, "i32.store16", I32, 1),
        (0x3C, "i64.store8", I64, 0),
        (0x3D, "i64.store16", I64, 1),
        (0x3E, "i64.store32", I64, 2),
    ):
        add(opcode, name, Kind.STORE, PRICE_STORE, value, 0, align)

    comparisons = ("eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u")
    counts = ("clz", "ctz", "popcnt")
    arithmetic = ("add", "sub", "mul", "div_s", "div_u", "rem_s", "rem_u")
    bitwise = ("and", "or", "xor", "shl", "shr_s", "shr_u", "rotl", "rotr")
    for prefix, value, test, count in (("i32", I32, 0x45, 0x67), ("i64", I64, 0x50, 0x79)):
        add(test, f"{prefix}.eqz", Kind.UNARY, PRICE_SIMPLE, value, I32)
        for index, name in enumerate(comparisons):
            add(test + 1 + index, f"{prefix}.{name}", Kind.BINARY, PRICE_SIMPLE, value, I32)
        for index, name in enumerate(counts):
            add(count + index, f"{prefix}.{name}", Kind.UNARY, PRICE_COUNT_BITS, value, value)
        for index, name in enumerate(arithmetic + bitwise):
            price = {"mul": PRICE_MULTIPLY}.get(name, PRICE_DIVIDE if name[:3] in ("div", "rem") else PRICE_SIMPLE)
            add(count + 3 + index, f"{prefix}.{name}", Kind.BINARY, price, value, value)
    for opcode, name, operand, result in (
        (0xA7, "i32.wrap_i64", I64, I32),
        (0xAC, "i64.extend_i32_s", I32, I64),
        (0xAD, "i64.extend_i32_u", I32, I64),
        (0xC0, "i32.extend8_s", I32, I32),
        (0xC1, "i32.extend16_s", I32, I32),
        (0xC2, "i64.extend8_s", I64, I64),
        (0xC3, "i64.extend16_s", I64, I64),
        (0xC4, "i64.extend32_s", I64, I64),
    ):
        add(opcode, name, Kind.UNARY, PRICE_SIMPLE, operand, result)
    return operators


OPERATORS: Final = _build_operators()


@unique
class Feature(IntEnum):
    """What WASM knows and contracts do not get."""

    FLOATS = 1
    SIMD = 2
    THREADS = 3
    BULK_MEMORY = 4
    REFERENCE_TYPES = 5
    MULTI_VALUE = 6
    TAIL_CALL = 7
    EXCEPTIONS = 8
    MEMORY_GROW = 9
    GARBAGE_COLLECTION = 10
    FLOAT_TO_INTEGER = 11
    MULTI_MEMORY = 12
    EXTENDED_CONSTANTS = 13


FEATURE_REFUSALS: Final = {
    Feature.FLOATS: "floats are not allowed: use integers, with a fixed number of decimals",
    Feature.SIMD: "SIMD is not allowed: rustc -C target-feature=-simd128, clang -mno-simd128, asc --disable simd",
    Feature.THREADS: "threads are not allowed: rustc -C target-feature=-atomics, clang -mno-atomics, "
    "asc --disable threads",
    Feature.BULK_MEMORY: "bulk memory is not allowed: rustc -C target-cpu=mvp, clang -mno-bulk-memory "
    "-mno-bulk-memory-opt, asc --disable bulk-memory",
    Feature.REFERENCE_TYPES: "reference types are not allowed: rustc -C target-cpu=mvp, clang -mno-reference-types, "
    "asc --disable reference-types",
    Feature.MULTI_VALUE: "more than one result is not allowed: rustc -C target-cpu=mvp, clang -mno-multivalue, "
    "asc --disable multi-value",
    Feature.TAIL_CALL: "tail calls are not allowed: rustc -C target-feature=-tail-call, clang -mno-tail-call",
    Feature.EXCEPTIONS: "exceptions are not allowed: rustc -C panic=abort, clang -fno-exceptions",
    Feature.MEMORY_GROW: "memory.grow is not allowed: give the memory its full size (--initial-memory=N --max-memory=N)"
    " and use an allocator that stays within it (asc --runtime PATH; its own runtimes grow)",
    Feature.GARBAGE_COLLECTION: "garbage-collected types are not allowed: asc --disable gc",
    Feature.FLOAT_TO_INTEGER: "conversions of floats are not allowed: use integers; "
    "rustc -C target-feature=-nontrapping-fptoint, clang -mno-nontrapping-fptoint",
    Feature.MULTI_MEMORY: "more than one memory is not allowed: clang -mno-multimemory",
    Feature.EXTENDED_CONSTANTS: "computed constants are not allowed: rustc -C target-cpu=mvp, "
    "clang -mno-extended-const",
}
"""What is said when a feature is met, with the flag of the compiler that avoids it where there is one."""


def _build_refused() -> dict[int, tuple[str, Feature]]:
    """Every other known operator or prefix: its name, and the feature it belongs to."""
    refused: dict[int, tuple[str, Feature]] = {}
    for first, names, feature in (
        (0x06, "try catch throw rethrow throw_ref", Feature.EXCEPTIONS),
        (0x12, "return_call return_call_indirect", Feature.TAIL_CALL),
        (0x14, "call_ref", Feature.GARBAGE_COLLECTION),
        (0x15, "return_call_ref", Feature.TAIL_CALL),
        (0x18, "delegate catch_all", Feature.EXCEPTIONS),
        (0x1C, "select_typed", Feature.REFERENCE_TYPES),
        (0x1F, "try_table", Feature.EXCEPTIONS),
        (0x25, "table.get table.set", Feature.REFERENCE_TYPES),
        (0x2A, "f32.load f64.load", Feature.FLOATS),
        (0x38, "f32.store f64.store", Feature.FLOATS),
        (0x40, "memory.grow", Feature.MEMORY_GROW),
        (0x43, "f32.const f64.const", Feature.FLOATS),
        (0x5B, "f32.eq f32.ne f32.lt f32.gt f32.le f32.ge", Feature.FLOATS),
        (0x61, "f64.eq f64.ne f64.lt f64.gt f64.le f64.ge", Feature.FLOATS),
        (0x8B, "f32.abs f32.neg f32.ceil f32.floor f32.trunc f32.nearest f32.sqrt", Feature.FLOATS),
        (0x92, "f32.add f32.sub f32.mul f32.div f32.min f32.max f32.copysign", Feature.FLOATS),
        (0x99, "f64.abs f64.neg f64.ceil f64.floor f64.trunc f64.nearest f64.sqrt", Feature.FLOATS),
        (0xA0, "f64.add f64.sub f64.mul f64.div f64.min f64.max f64.copysign", Feature.FLOATS),
        (0xA8, "i32.trunc_f32_s i32.trunc_f32_u i32.trunc_f64_s i32.trunc_f64_u", Feature.FLOATS),
        (0xAE, "i64.trunc_f32_s i64.trunc_f32_u i64.trunc_f64_s i64.trunc_f64_u", Feature.FLOATS),
        (0xB2, "f32.convert_i32_s f32.convert_i32_u f32.convert_i64_s f32.convert_i64_u", Feature.FLOATS),
        (0xB6, "f32.demote_f64 f64.convert_i32_s f64.convert_i32_u", Feature.FLOATS),
        (0xB9, "f64.convert_i64_s f64.convert_i64_u f64.promote_f32", Feature.FLOATS),
        (0xBC, "i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 f64.reinterpret_i64", Feature.FLOATS),
        (0xD0, "ref.null ref.is_null ref.func", Feature.REFERENCE_TYPES),
        (0xD3, "ref.eq ref.as_non_null br_on_null br_on_non_null", Feature.GARBAGE_COLLECTION),
        (0xFB, "0xfb", Feature.GARBAGE_COLLECTION),
        (0xFD, "0xfd", Feature.SIMD),
        (0xFE, "0xfe", Feature.THREADS),
    ):
        for index, name in enumerate(names.split()):
            assert first + index not in refused, name
            refused[first + index] = (name, feature)
    return refused


REFUSED_OPERATORS: Final = _build_refused()
assert not set(REFUSED_OPERATORS) & set(OPERATORS)

PREFIX_MISCELLANEOUS: Final = 0xFC
"""Operators 0 to 7 after it convert floats to integers, 8 to 11 move memory, 12 and more change tables."""
