"""Type checking: each rule with the message it gives, and what unreachable code may do."""

import pytest
import wasmtime

from tests.vm.contracts.modules import END, build_code, declare_locals
from vm.contracts.gate import check_module
from vm.contracts.module import INSTRUCTIONS_MAX, RefusalKind, RefusedError
from vm.contracts.opcodes import OPERATORS, PREFIX_MISCELLANEOUS, REFUSED_OPERATORS

MALFORMED, INVALID = RefusalKind.MALFORMED, RefusalKind.INVALID
NOT_ALLOWED, LIMIT = RefusalKind.NOT_ALLOWED, RefusalKind.LIMIT
MEMORY = [(5, b"\x01\x01\x01\x01")]
TABLE = [(4, b"\x01\x70\x01\x01\x01")]
GLOBAL = [(6, b"\x01\x7f\0\x41\0\x0b")]

REFUSED = [
    (b"", MALFORMED, "function 0, offset 0x17: the code ends without end"),
    (b"\x02\x40\x0b", MALFORMED, "the code ends without end"),
    (b"\x0b\x0b", MALFORMED, "offset 0x18: code goes on after its end"),
    (b"\x27\x0b", MALFORMED, "0x27 is no operator"),
    (b"\x6a\x0b", INVALID, "the stack is empty, i32 is expected"),
    (b"\x41\0\x42\0\x6a\x1a\x0b", INVALID, "offset 0x1b: the operand is i64, not i32"),
    (b"\x41\0\x0b", INVALID, "1 operands too many at the end of a block"),
    (b"\x02\x7f\x0b\x1a\x0b", INVALID, "the stack is empty, i32 is expected"),
    (b"\x41\0\x02\x40\x1a\x0b\x0b", INVALID, "the stack is empty, unknown is expected"),
    (b"\x41\0\x04\x7f\x41\0\x0b\x1a\x0b", INVALID, "an if with a result needs an else"),
    (b"\x05\x0b", INVALID, "else without if"),
    (b"\x42\0\x04\x40\x0b\x0b", INVALID, "the operand is i64, not i32"),
    (b"\x0c\x01\x0b", INVALID, "label 1 does not exist"),
    (b"\x41\0\x0d\x01\x0b", INVALID, "label 1 does not exist"),
    (b"\x02\x7f\x0c\0\x0b\x1a\x0b", INVALID, "the stack is empty, i32 is expected"),
    (b"\x02\x7f\x41\0\x41\0\x0e\x01\0\x01\x0b\x1a\x0b", INVALID, "different numbers of operands"),
    (b"\x41\0\x0e\0\x02\x0b", INVALID, "label 2 does not exist"),
    (b"\x10\x01\x0b", INVALID, "function 1 does not exist"),
    (b"\x41\0\x11\0\0\x0b", INVALID, "an indirect call without a table"),
    (b"\x20\0\x0b", INVALID, "local 0 does not exist"),
    (b"\x23\0\x0b", INVALID, "global 0 does not exist"),
    (b"\x41\0\x28\x02\0\x1a\x0b", INVALID, "there is no memory"),
    (b"\x3f\0\x1a\x0b", INVALID, "there is no memory"),
    (b"\x41\0\x42\0\x41\0\x1b\x1a\x0b", INVALID, "the operand is i32, not i64"),
    (b"\0\x41\0\x42\0\x6a\x1a\x0b", INVALID, "the operand is i64, not i32"),
    (b"\0\x6a\x42\0\x7c\x1a\x0b", INVALID, "the operand is i32, not i64"),
    (b"\x02\0\x0b\x0b", NOT_ALLOWED, "a block with a function's type: more than one result is not allowed"),
    (b"\x02\x7c\x0b\x0b", NOT_ALLOWED, "a block of type 0x7c: floats"),
    (b"\x02\x7b\x0b\x0b", NOT_ALLOWED, "a block of type 0x7b: SIMD"),
    (b"\x02\x70\x0b\x0b", NOT_ALLOWED, "a block of type 0x70: reference types"),
    (b"\xfc\x00\x0b", NOT_ALLOWED, "operator 0xfc 0: conversions of floats"),
    (b"\xfc\x0a\0\0\x0b", NOT_ALLOWED, "operator 0xfc 10: bulk memory is not allowed: rustc -C target-cpu=mvp"),
    (b"\xfc\x0c\0\0\x0b", NOT_ALLOWED, "operator 0xfc 12: reference types"),
    (b"\x41\0\x0e\x81\x08" + bytes(1_026) + END, LIMIT, "1025 branch targets, at most 1024 are allowed"),
    (b"\x02\x40" * 257 + b"\x0b" * 258, LIMIT, "blocks nested deeper than 256"),
    (b"\x03\x40" * 41 + b"\x0b" * 42, LIMIT, "loops nested deeper than 40"),
    (b"\x41\0" * 1_025 + b"\x1a" * 1_025 + END, LIMIT, "more than 1024 operands on the stack"),
    (b"\x03\x40\x0b" * 20_001 + END, LIMIT, "too many branches and locals together"),
]


@pytest.mark.parametrize(("body", "kind", "message"), REFUSED, ids=[message[:60] for _, _, message in REFUSED])
def test_refusal(body: bytes, kind: RefusalKind, message: str) -> None:
    with pytest.raises(RefusedError) as refused:
        check_module(build_code(body))
    assert message in str(refused.value)
    assert str(refused.value).startswith("function 0, offset 0x")
    assert refused.value.kind is kind


@pytest.mark.parametrize(
    ("body", "sections", "kind", "message"),
    [
        (b"\x41\0\x28\x03\0\x1a\x0b", MEMORY, INVALID, "an alignment of 2**3 is more than natural"),
        (b"\x41\0\x28\x40\0\0\x1a\x0b", MEMORY, NOT_ALLOWED, "a memory is named"),
        (b"\x42\0\x28\0\0\x1a\x0b", MEMORY, INVALID, "the operand is i64, not i32"),
        (b"\x41\0\x41\0\x37\0\0\x0b", MEMORY, INVALID, "the operand is i32, not i64"),
        (b"\x3f\x01\x1a\x0b", MEMORY, NOT_ALLOWED, "another memory"),
        (b"\x41\0\x40\0\x1a\x0b", MEMORY, NOT_ALLOWED, "memory.grow: memory.grow is not allowed: give the memory"),
        (b"\x41\0\x11\x01\0\x0b", TABLE, INVALID, "type 1 does not exist"),
        (b"\x41\0\x11\0\x01\x0b", TABLE, NOT_ALLOWED, "table 1: reference types"),
        (b"\x41\0\x24\0\x0b", GLOBAL, INVALID, "global 0 cannot be changed"),
        (b"\x0b", [(11, b"\x01\0\x41\0\x0b\0")], MALFORMED, ""),
    ],
)
def test_refusal_with_sections(body: bytes, sections: list[tuple[int, bytes]], kind: RefusalKind, message: str) -> None:
    with pytest.raises(RefusedError) as refused:
        check_module(build_code(body, more=sections))
    assert message in str(refused.value)
    assert refused.value.kind is kind


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ('(module (func) (export "a" (func 0)) (export "b" (func 0)) (export "a" (func 0)))', INVALID, "stands twice"),
        ('(module (export "a" (func 0)))', INVALID, "export 'a': function 0 does not exist"),
        ('(module (export "a" (memory 0)))', INVALID, "export 'a': memory 0 does not exist"),
        ("(module (elem (i32.const 0)))", INVALID, "an element segment without a table"),
        ("(module (table 1 1 funcref) (elem (i32.const 0) 3))", INVALID, "element: function 3 does not exist"),
        ('(module (data (i32.const 0) ""))', INVALID, "a data segment without a memory"),
        ("(module (func) (table 1 1 funcref) (elem (i32.const 1) 0))", NOT_ALLOWED, "beyond the end of the table"),
        ('(module (memory 1 1) (data (i32.const 65535) "ab"))', NOT_ALLOWED, "beyond the end of the memory"),
        ('(module (memory 1 1) (data (i32.const -1) "a"))', NOT_ALLOWED, "beyond the end of the memory"),
    ],
)
def test_sections_fit_together(text: str, kind: RefusalKind, message: str) -> None:
    with pytest.raises(RefusedError) as refused:
        check_module(bytes(wasmtime.wat2wasm(text)))
    assert message in str(refused.value)
    assert refused.value.kind is kind


@pytest.mark.parametrize("opcode", range(256))
def test_every_opcode_is_allowed_or_refused_by_its_name(opcode: int) -> None:
    if opcode in OPERATORS:
        assert opcode not in REFUSED_OPERATORS
        return
    with pytest.raises(RefusedError) as refused:
        check_module(build_code(bytes((opcode,)) + b"\x20\0\0\x0b"))
    known = opcode in REFUSED_OPERATORS or opcode == PREFIX_MISCELLANEOUS
    assert refused.value.kind is (NOT_ALLOWED if known else MALFORMED)
    if opcode in REFUSED_OPERATORS:
        assert f"{REFUSED_OPERATORS[opcode][0]}: " in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        "unreachable i32.add drop",
        "unreachable select drop",
        "unreachable (i64.const 0) (i32.const 0) select drop",
        "block (result i32) unreachable i64.eqz end drop",
        "br 0 (i32.const 1) i32.add drop",
        "return i64.mul i32.wrap_i64 drop",
        "block (result i64) (block (result i32) unreachable (br_table 0 1 (i32.const 0))) i64.extend_i32_u end drop",
        "loop br 0 i32.load drop end",
        "(if (i32.const 0) (then unreachable) (else))",
        "block (br_if 0 unreachable) end",
    ],
)
def test_unreachable_code_may_take_anything_from_the_stack(body: str) -> None:
    check_module(bytes(wasmtime.wat2wasm(f"(module (memory 1 1) (func {body}))")))


def test_a_message_names_the_function() -> None:
    text = '(module (func $inner f32.const 0 drop) (func (export "shown") i64.const 0 drop))'
    with pytest.raises(RefusedError, match=r"^function 0 \(inner\), offset 0x[0-9a-f]+: f32.const: floats are not"):
        check_module(bytes(wasmtime.wat2wasm(text)))
    text = '(module (func) (func $inner (export "shown") f64.const 0 drop))'
    with pytest.raises(RefusedError, match=r"^function 1 \(shown\), offset "):
        check_module(bytes(wasmtime.wat2wasm(text)))


def test_the_number_of_instructions_is_limited() -> None:
    half = b"\x01" * (INSTRUCTIONS_MAX // 4 - 1) + END
    check_module(build_code(half, half, half, half))
    with pytest.raises(RefusedError, match=r"function 4, .*more than 131072 instructions"):
        check_module(build_code(half, half, half, half, END))


def test_the_limits_themselves_are_allowed() -> None:
    check_module(build_code(b"\x02\x40" * 256 + b"\x0b" * 257))
    check_module(build_code((b"\x03\x40" * 40 + b"\x0b" * 40) * 2 + b"\x0b"))
    check_module(build_code(b"\x41\0" * 1_024 + b"\x1a" * 1_024 + END))
    check_module(build_code(b"\x41\0\x0e\x80\x08" + bytes(1_025) + END))
    check_module(build_code(b"\x20\xff\x07\x1a" + END, declared=declare_locals(1_024)))
