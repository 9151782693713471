"""Integers: conversions, arithmetic and comparisons, with a check wherever a result could leave its type."""

import ast
from typing import Final

from compiler.diagnostics import Mistake
from compiler.scope import Scope, Value
from compiler.types import BOOL, PLAIN, U64, U128, PlainInt, Type, describe_type
from compiler.wasm import Code
from vm.contracts.abi import Unsigned

_OPERATORS: Final[dict[type[ast.operator], str]] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.FloorDiv: "div",
    ast.Mod: "rem",
    ast.LShift: "shl",
    ast.RShift: "shr",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
}
_COMPARISONS: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt_u",
    ast.LtE: "le_u",
    ast.Gt: "gt_u",
    ast.GtE: "ge_u",
}
_U128_COMPARISONS: Final[dict[str, Code]] = {
    "eq": ("call u128_eq",),
    "ne": ("call u128_eq", "i32.eqz"),
    "lt_u": ("call u128_lt",),
    "le_u": ("call u128_le",),
    "gt_u": ("call u128_le", "i32.eqz"),
    "ge_u": ("call u128_lt", "i32.eqz"),
}
_OVERFLOW_IF: Final[Code] = ("if", "call panic_overflow", "end")


def is_integer(kind: Type) -> bool:
    """With a width or without."""
    return isinstance(kind, (Unsigned, PlainInt))


def make_literal(node: ast.AST, value: int, kind: Unsigned) -> Code:
    """A number as a constant of a type it must fit."""
    if not 0 <= value < 1 << kind.bits:
        raise Mistake(node, f"{value} is not a u{kind.bits}", f"it reaches from 0 to {(1 << kind.bits) - 1}")
    if kind == U128:
        return (f"i64.const {value & (1 << 64) - 1}", f"i64.const {value >> 64}")
    return (f"i64.const {value}",) if kind == U64 else (f"i32.const {value}",)


def convert(scope: Scope, node: ast.AST, value: Value, kind: Unsigned) -> Code:
    """The same number with another width; panics when it does not fit."""
    if value.type == PLAIN and value.constant is not None:
        return make_literal(node, int(value.constant), kind)
    assert isinstance(value.type, (Unsigned, PlainInt))
    bits = value.type.bits if isinstance(value.type, Unsigned) else 64
    if kind.bits == bits:
        return value.code
    if kind.bits > bits:
        code = value.code if bits >= 64 or kind.bits <= 32 else (*value.code, "i64.extend_i32_u")
        return (*code, "i64.const 0") if kind == U128 else code
    code = value.code
    if bits == 128:
        code = (*code, "i64.eqz", "i32.eqz", *_OVERFLOW_IF)
    if kind == U64:
        return code
    return (*code, *(_narrow(scope, kind) if bits >= 64 else _limit(scope, kind)))


def compute(scope: Scope, node: ast.AST, operator: ast.operator, left: Value, right: Value) -> Value:
    """Arithmetic of two integers of one type, or of one and a plain int."""
    name = _OPERATORS.get(type(operator))
    if name is None:
        advice = "write // for whole numbers" if isinstance(operator, ast.Div) else "multiply in a loop"
        raise Mistake(node, "there is no such operation on integers", advice)
    kind = _find_common(node, left, right)
    a, b = convert(scope, node, left, kind), convert(scope, node, right, kind)
    constant = int(right.constant) if isinstance(right.constant, int) else None
    if kind == U128:
        return Value(kind, (*a, *b, f"call u128_{name}", "global.get high"))
    return Value(kind, _compute_small(scope, kind, name, a, b, constant))


def compare(scope: Scope, node: ast.AST, operator: ast.cmpop, left: Value, right: Value) -> Value:
    """Compare two integers of one type, or of one and a plain int."""
    name = _COMPARISONS[type(operator)]
    if left.type == PLAIN and right.type == PLAIN:
        kind = U64
    elif PLAIN in (left.type, right.type) and left.constant is None and right.constant is None:
        kind = U128 if U128 in (left.type, right.type) else U64
    else:
        kind = _find_common(node, left, right)
    code = (*convert(scope, node, left, kind), *convert(scope, node, right, kind))
    if kind == U128:
        return Value(BOOL, (*code, *_U128_COMPARISONS[name]))
    return Value(BOOL, (*code, f"{'i64' if kind == U64 else 'i32'}.{name}"))


def _find_common(node: ast.AST, left: Value, right: Value) -> Unsigned:
    kinds = [each.type for each in (left, right) if isinstance(each.type, Unsigned)]
    if not kinds:
        raise Mistake(node, "an int without a width does not count", "give one operand a width, as in u64(len(x)) + 1")
    if len(kinds) == 2 and kinds[0] != kinds[1]:
        a, b = describe_type(kinds[0]), describe_type(kinds[1])
        wider = max(kinds, key=lambda each: each.bits)
        raise Mistake(node, f"{a} and {b} do not mix", f"convert one of them: {describe_type(wider)}(…)")
    return kinds[0]


def _compute_small(scope: Scope, kind: Unsigned, name: str, a: Code, b: Code, constant: int | None) -> Code:
    word = "i64" if kind == U64 else "i32"
    operation = f"{word}.{name}"
    match name:
        case "and" | "or" | "xor":
            return (*a, *b, operation)
        case "add":
            return _add(scope, kind, word, a, b)
        case "sub":
            first, second = scope.borrow(kind), scope.borrow(kind)
            check = (*second.set, f"local.tee {first.slots[0]}", *second.get, f"{word}.lt_u", *_OVERFLOW_IF)
            return (*a, *b, *check, *first.get, *second.get, operation)
        case "mul":
            return _multiply(scope, kind, a, b)
        case "div" | "rem":
            if constant:
                return (*a, *b, f"{operation}_u")
            divisor = scope.borrow(kind)
            check = (f"local.tee {divisor.slots[0]}", f"{word}.eqz", "if", "call panic_zero", "end")
            return (*a, *b, *check, *divisor.get, f"{operation}_u")
        case "shr" if constant is not None and constant < kind.bits:
            return (*a, *b, f"{word}.shr_u")
        case _:
            if kind == U64:
                return (*a, *b, f"call u64_{name}")
            wide = (*a, "i64.extend_i32_u", *b, "i64.extend_i32_u", f"call u64_{name}")
            return (*wide, *(_narrow(scope, kind) if name == "shl" else ("i32.wrap_i64",)))


def _add(scope: Scope, kind: Unsigned, word: str, a: Code, b: Code) -> Code:
    if kind.bits < 32:
        return (*a, *b, "i32.add", *_limit(scope, kind))
    first, total = scope.borrow(kind), scope.borrow(kind)
    added = (*a, f"local.tee {first.slots[0]}", *b, f"{word}.add", f"local.tee {total.slots[0]}")
    return (*added, *first.get, f"{word}.lt_u", *_OVERFLOW_IF, *total.get)


def _multiply(scope: Scope, kind: Unsigned, a: Code, b: Code) -> Code:
    if kind == U64:
        return (*a, *b, "call u64_mul")
    if kind.bits == 32:
        return (*a, "i64.extend_i32_u", *b, "i64.extend_i32_u", "i64.mul", *_narrow(scope, kind))
    return (*a, *b, "i32.mul", *_limit(scope, kind))


def _narrow(scope: Scope, kind: Unsigned) -> Code:
    """The i64 on the stack as an i32, if it fits the type."""
    (slot,) = scope.borrow(U64).slots
    limit = (1 << kind.bits) - 1
    return (f"local.tee {slot}", f"i64.const {limit}", "i64.gt_u", *_OVERFLOW_IF, f"local.get {slot}", "i32.wrap_i64")


def _limit(scope: Scope, kind: Unsigned) -> Code:
    """The i32 on the stack, if it fits the type."""
    (slot,) = scope.borrow(kind).slots
    limit = (1 << kind.bits) - 1
    return (f"local.tee {slot}", f"i32.const {limit}", "i32.gt_u", *_OVERFLOW_IF, f"local.get {slot}")
