"""Sections, counts, names and numbers: each rule of the parser with the message it gives."""

import pytest

from tests.vm.contracts.modules import END, NOTHING, assemble, build_code, declare_locals
from vm.contracts.encoder import encode_name, encode_sized, encode_type, encode_unsigned, encode_vector
from vm.contracts.module import (
    CUSTOM_SECTIONS_MAX,
    FUNCTION_BYTES_MAX,
    MODULE_BYTES_MAX,
    DataSegment,
    ElementSegment,
    Export,
    ExportKind,
    FunctionType,
    Global,
    Import,
    RefusalKind,
    RefusedError,
)
from vm.contracts.parser import Reader, parse_module

MALFORMED, INVALID = RefusalKind.MALFORMED, RefusalKind.INVALID
NOT_ALLOWED, LIMIT = RefusalKind.NOT_ALLOWED, RefusalKind.LIMIT
TYPES = encode_vector([encode_type(NOTHING)])
HUGE = b"\xff\xff\xff\xff\x0f"  # 2**32 - 1

REFUSED = [
    (b"", MALFORMED, "offset 0x0: not a WASM module of version 1"),
    (b"\0asm\x02\0\0\0", MALFORMED, "offset 0x0: not a WASM module of version 1"),
    (b"\0asm\x01\0\0\0\x01", MALFORMED, "offset 0x9: the bytes end too early"),
    (b"\0asm\x01\0\0\0\x01\x05", MALFORMED, "offset 0xa: the bytes end too early: 5 are announced"),
    (b"\0asm\x01\0\0\0" + bytes(MODULE_BYTES_MAX), LIMIT, "a module of 524296 bytes, at most 524288 are allowed"),
    (assemble((14, b"")), MALFORMED, "offset 0x8: 14 is no section"),
    (assemble((1, TYPES), (1, TYPES)), MALFORMED, "offset 0xe: section 1 stands twice or out of order"),
    (assemble((3, b"\0"), (1, TYPES)), MALFORMED, "section 1 stands twice or out of order"),
    (
        assemble((8, b"\0")),
        NOT_ALLOWED,
        "a start function is not allowed: begin globals with constants (asc: no code outside of functions)",
    ),
    (assemble((12, b"\0")), NOT_ALLOWED, "clang -mno-bulk-memory"),
    (assemble((13, b"\0")), NOT_ALLOWED, "exceptions are not allowed: rustc -C panic=abort"),
    (assemble(*[(0, b"\x01a")] * (CUSTOM_SECTIONS_MAX + 1)), LIMIT, "more than 32 custom sections"),
    (assemble((0, b"\x02\xc3\x28")), MALFORMED, "a name that is not UTF-8"),
    (assemble((0, b"\x02\xc0\x80")), MALFORMED, "a name that is not UTF-8"),
    (assemble((0, b"\x03\xed\xa0\x80")), MALFORMED, "a name that is not UTF-8"),
    (assemble((0, encode_name("a" * 1_025))), LIMIT, "a name of 1025 bytes, at most 1024 are allowed"),
    (assemble((1, TYPES + b"\0")), MALFORMED, "offset 0xe: bytes are left in the section of types"),
    (assemble((1, HUGE)), LIMIT, "4294967295 types, at most 1024 are allowed"),
    (assemble((1, b"\x80\x80\x80\x80\x80\x00")), MALFORMED, "a number with more bytes than 32 bits need"),
    (assemble((1, b"\x80\x80\x80\x80\x10")), MALFORMED, "a number of more than 32 bits"),
    (assemble((1, b"\x01\x5e")), NOT_ALLOWED, "garbage-collected types are not allowed"),
    (assemble((1, b"\x01\x61")), MALFORMED, "0x61 begins no type"),
    (assemble((1, b"\x01\x60" + HUGE)), LIMIT, "4294967295 parameters, at most 32 are allowed"),
    (assemble((1, b"\x01\x60\x01\x7d\0")), NOT_ALLOWED, "a value of type 0x7d: floats are not allowed"),
    (assemble((1, b"\x01\x60\x01\x7b\0")), NOT_ALLOWED, "rustc -C target-feature=-simd128"),
    (assemble((1, b"\x01\x60\x01\x70\0")), NOT_ALLOWED, "clang -mno-reference-types"),
    (assemble((1, b"\x01\x60\x01\x01\0")), MALFORMED, "0x1 is no type of values"),
    (assemble((1, b"\x01\x60\0\x02\x7f\x7f")), NOT_ALLOWED, "a function with 2 results: more than one result"),
    (assemble((2, HUGE)), LIMIT, "4294967295 imports, at most 64 are allowed"),
    (assemble((2, b"\x01\x01a\x01b\x01\x70\0\0")), NOT_ALLOWED, "import 'a'.'b': a table is not imported"),
    (assemble((2, b"\x01\x01a\x01b\x02\0\x01")), NOT_ALLOWED, "link without --import-table and --import-memory"),
    (assemble((2, b"\x01\x01a\x01b\x03\x7f\0")), NOT_ALLOWED, "import 'a'.'b': a global is not imported"),
    (assemble((2, b"\x01\x01a\x01b\x09")), MALFORMED, "0x9 is no kind of import"),
    (assemble((3, HUGE)), LIMIT, "4294967295 functions, at most 4096 are allowed"),
    (assemble((1, TYPES), (3, b"\x01\0")), MALFORMED, "1 functions are declared, 0 have code"),
    (assemble((4, b"\x01\x6f\0\0")), NOT_ALLOWED, "a table of type 0x6f: reference types"),
    (assemble((4, b"\x01\x11\0\0")), MALFORMED, "0x11 is no type of tables"),
    (assemble((4, b"\x01\x70\0\x01")), NOT_ALLOWED, "the table must have a maximum equal to its minimum"),
    (assemble((4, b"\x01\x70\x01\x02\x01")), INVALID, "a table with a maximum of 1 below its minimum of 2"),
    (assemble((4, b"\x01\x70\x01" + HUGE * 2)), LIMIT, "a table of 4294967295 entries, at most 4096"),
    (assemble((4, b"\x02" + b"\x70\x01\0\0" * 2)), NOT_ALLOWED, "a second table"),
    (assemble((5, b"\x01\x01\x01\x02")), NOT_ALLOWED, "link with --initial-memory=N --max-memory=N"),
    (assemble((5, b"\x01\x01\x21\x21")), LIMIT, "a memory of 33 pages, at most 32 are allowed"),
    (assemble((5, b"\x01\x01" + HUGE * 2)), INVALID, "a memory of more than 65536 pages"),
    (assemble((5, b"\x01\x03\x01\x01")), NOT_ALLOWED, "a shared memory: threads are not allowed"),
    (assemble((5, b"\x01\x04\x01")), NOT_ALLOWED, "a memory of 64 bits"),
    (assemble((5, b"\x01\x11\x01")), MALFORMED, "0x11 are no limits of a memory"),
    (assemble((5, b"\x02" + b"\x01\x01\x01" * 2)), NOT_ALLOWED, "a second memory"),
    (assemble((6, HUGE)), LIMIT, "4294967295 globals, at most 256 are allowed"),
    (assemble((6, b"\x01\x7f\x09\x41\0\x0b")), MALFORMED, "0x9 tells not whether a global is mutable"),
    (assemble((6, b"\x01\x7f\0\x42\0\x0b")), INVALID, "a constant that is no i32"),
    (assemble((6, b"\x01\x7f\0\x0b")), INVALID, "not a constant"),
    (assemble((6, b"\x01\x7f\0\x23\0\x0b")), NOT_ALLOWED, "a constant from a global"),
    (assemble((6, b"\x01\x7f\0\x41\0\x41\0\x6a\x0b")), NOT_ALLOWED, "computed constants are not allowed"),
    (assemble((6, b"\x01\x7f\0\x43\0\0\0\0\x0b")), NOT_ALLOWED, "f32.const: floats are not allowed"),
    (assemble((7, HUGE)), LIMIT, "4294967295 exports, at most 1024 are allowed"),
    (assemble((7, b"\x01\x01a\x05\0")), MALFORMED, "export 'a': 0x5 is no kind of export"),
    (assemble((9, HUGE)), LIMIT, "4294967295 element segments, at most 256 are allowed"),
    (assemble((9, b"\x01\x01\0\0")), NOT_ALLOWED, "an element segment that is not for table 0"),
    (assemble((9, b"\x01\0\x41\0\x0b" + HUGE)), LIMIT, "4294967295 elements, at most 4096 are allowed"),
    (assemble((11, HUGE)), LIMIT, "4294967295 data segments, at most 1024 are allowed"),
    (assemble((11, b"\x01\x01\0")), NOT_ALLOWED, "a data segment that is not for memory 0: bulk memory"),
    (assemble((11, b"\x01\0\x41\0\x0b" + HUGE)), MALFORMED, "the bytes end too early: 4294967295 are announced"),
    (build_code(END, declared=declare_locals(1_025)), LIMIT, "function 0, offset 0x17: more than 1024 locals"),
    (build_code(END, declared=declare_locals(2**32 - 1)), LIMIT, "more than 1024 locals"),
    (build_code(END, declared=declare_locals(1, 0x7C)), NOT_ALLOWED, "function 0, offset 0x18: a value of type 0x7c"),
    (build_code(END, declared=b"\xff\xff\xff\xff\x0f"), LIMIT, "4294967295 groups of locals"),
    (build_code(b"\x01" * FUNCTION_BYTES_MAX + END), LIMIT, "65538 bytes of code, at most 65536 are allowed"),
    (build_code(*[b"\x01" * 65_000 + END] * 5), LIMIT, "bytes of code, at most 262144 are allowed"),
]


@pytest.mark.parametrize(("code", "kind", "message"), REFUSED, ids=[message[:60] for _, _, message in REFUSED])
def test_refusal(code: bytes, kind: RefusalKind, message: str) -> None:
    with pytest.raises(RefusedError) as refused:
        parse_module(code)
    assert message in str(refused.value)
    assert refused.value.kind is kind


def test_everything_of_a_module_is_read() -> None:
    kind = FunctionType(b"\x7f\x7e", b"\x7f")
    code = assemble(
        (0, encode_name("note") + b"anything"),
        (1, encode_vector([encode_type(NOTHING), encode_type(kind)])),
        (2, encode_vector([encode_name("iov1") + encode_name("f") + b"\0\x01"])),
        (3, b"\x01\0"),
        (4, b"\x01\x70\x01\x02\x02"),
        (5, b"\x01\x01\x03\x03"),
        (6, b"\x01\x7e\x01\x42\x7f\x0b"),
        (7, encode_vector([encode_name("é") + b"\0\x01"])),
        (9, b"\x01\0\x41\x01\x0b\x01\0"),
        (10, encode_vector([encode_sized(b"\x02\x02\x7f\x01\x7e\x0b")])),
        (11, b"\x01\0\x41\x7f\x0b\x02ab"),
    )
    module = parse_module(code)
    assert (module.types, module.functions) == ((NOTHING, kind), (0,))
    assert module.imports == (Import("iov1", "f", 1, 0x26),)
    assert (module.table_entries, module.memory_pages) == (2, 3)
    assert module.globals == (Global(0x7E, is_mutable=True, initial=b"\x42\x7f"),)
    assert module.exports == (Export("é", ExportKind.FUNCTION, 1, module.exports[0].offset),)
    assert module.elements == (ElementSegment(1, (0,), module.elements[0].offset),)
    assert module.data == (DataSegment(0xFFFF_FFFF, b"ab", module.data[0].offset),)
    assert module.bodies[0].locals == b"\x7f\x7f\x7e"
    assert code[module.bodies[0].instructions : module.bodies[0].end] == END
    assert [(section.name, section.payload) for section in module.custom] == [("note", b"anything")]
    assert (module.get_type(0), module.get_type(1), module.function_count) == (kind, NOTHING, 2)


@pytest.mark.parametrize("value", [0, 127, 128, 2**31, 2**32 - 1])
def test_padded_numbers_are_read_up_to_five_bytes(value: int) -> None:
    encoded = encode_unsigned(value)
    padded = (encoded[:-1] + bytes((encoded[-1] | 0x80,)) + b"\x80\x80\x80\x80")[:4] + b"\0"
    if len(encoded) == 5:
        padded = encoded
    assert Reader(encoded, 0, len(encoded)).unsigned() == Reader(padded, 0, 5).unsigned() == value


@pytest.mark.parametrize(
    ("encoded", "bits", "value"),
    [
        (b"\x40", 32, -64),
        (b"\xff\xff\xff\xff\x07", 32, 2**31 - 1),
        (b"\x80\x80\x80\x80\x78", 32, -(2**31)),
        (b"\xff\xff\xff\xff\x08", 32, None),
        (b"\x80\x80\x80\x80\x70", 32, None),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", 64, 2**63 - 1),
        (b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f", 64, -(2**63)),
        (b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7e", 64, None),
        (b"\xff\x80", 32, None),
    ],
)
def test_signed_numbers(encoded: bytes, bits: int, value: int | None) -> None:
    reader = Reader(encoded, 0, len(encoded))
    if value is None:
        with pytest.raises(RefusedError):
            reader.signed(bits)
    else:
        assert reader.signed(bits) == value
