"""From bytes to a `Module`: sections, counts, names and numbers are well-formed and within limits.

Instructions are left to the validator, which reads each of them once.
"""

from collections.abc import Callable
from typing import Final, NoReturn, TypeVar

from vm.contracts.encoder import FUNCTION_TAG, HEADER
from vm.contracts.module import (
    CODE_BYTES_MAX,
    CUSTOM_SECTIONS_MAX,
    DATA_SEGMENTS_MAX,
    ELEMENT_SEGMENTS_MAX,
    EXPORTS_MAX,
    FUNCTION_BYTES_MAX,
    FUNCTIONS_MAX,
    GLOBALS_MAX,
    IMPORTS_MAX,
    LOCALS_MAX,
    MEMORY_PAGES_MAX,
    MODULE_BYTES_MAX,
    NAME_BYTES_MAX,
    PARAMETERS_MAX,
    TABLE_ENTRIES_MAX,
    TYPES_MAX,
    Body,
    CustomSection,
    DataSegment,
    ElementSegment,
    Export,
    ExportKind,
    FunctionType,
    Global,
    Import,
    Module,
    RefusalKind,
    RefusedError,
)
from vm.contracts.opcodes import (
    END,
    FEATURE_REFUSALS,
    GLOBAL_GET,
    I32,
    I32_ADD,
    I32_CONST,
    I32_SUBTRACT,
    I64,
    I64_CONST,
    I64_SUBTRACT,
    OPERATORS,
    PREFIX_MISCELLANEOUS,
    REFUSED_OPERATORS,
    TYPE_NAMES,
    Feature,
)

Item = TypeVar("Item")

SECTION_CUSTOM: Final = 0
SECTION_TYPE: Final = 1
SECTION_IMPORT: Final = 2
SECTION_FUNCTION: Final = 3
SECTION_TABLE: Final = 4
SECTION_MEMORY: Final = 5
SECTION_GLOBAL: Final = 6
SECTION_EXPORT: Final = 7
SECTION_START: Final = 8
SECTION_ELEMENT: Final = 9
SECTION_CODE: Final = 10
SECTION_DATA: Final = 11
SECTION_DATA_COUNT: Final = 12
SECTION_TAG: Final = 13

FUNCTION_REFERENCE: Final = 0x70
_VALUE_TYPES: Final = bytes((I32, I64))
_REFUSED_TYPES: Final = {
    0x7D: Feature.FLOATS,
    0x7C: Feature.FLOATS,
    0x7B: Feature.SIMD,
    **dict.fromkeys((0x70, 0x6F), Feature.REFERENCE_TYPES),
    **dict.fromkeys((0x63, 0x64, *range(0x65, 0x6F), *range(0x71, 0x76)), Feature.GARBAGE_COLLECTION),
}
_COMPOSITE_TAGS: Final = (0x4C, 0x4D, 0x4E, 0x4F, 0x50, 0x5D, 0x5E, 0x5F)  # structures, arrays, recursive groups
_MULTIPLY: Final = (0x6C, 0x7E)
_COMPUTING: Final = (GLOBAL_GET, I32_ADD, I32_SUBTRACT, 0x7C, I64_SUBTRACT, *_MULTIPLY)
_ADDRESS_PAGES_MAX: Final = 65_536  # what 32 bits address: more is no WASM
_FIXED_SIZE: Final = (
    "must have a maximum equal to its minimum: link with --initial-memory=N --max-memory=N, "
    "asc --initialMemory P --maximumMemory P"
)


class Reader:
    """Reads WASM's numbers from a range of bytes; raises RefusedError."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data = data
        self.at = at
        self.end = end

    def byte(self) -> int:
        """The next byte."""
        if self.at >= self.end:
            refuse(RefusalKind.MALFORMED, self.at, "the bytes end too early")
        self.at += 1
        return self.data[self.at - 1]

    def take(self, count: int) -> bytes:
        """So many bytes."""
        start = self.at
        if count > self.end - start:
            refuse(RefusalKind.MALFORMED, start, f"the bytes end too early: {count} are announced")
        self.at = start + count
        return self.data[start : self.at]

    def unsigned(self) -> int:
        """LEB128 of at most 32 bits: five bytes at most, no bit beyond the last."""
        at = self.at
        if at < self.end and (value := self.data[at]) < 0x80:
            self.at = at + 1
            return value
        value, _, _ = self._leb(32)
        if value >> 32:
            refuse(RefusalKind.MALFORMED, at, "a number of more than 32 bits")
        return value

    def signed(self, bits: int) -> int:
        """Signed LEB128 of 32 or 64 bits; bits beyond them repeat the sign."""
        start = self.at
        value, shift, last = self._leb(bits)
        if last & 0x40:
            value -= 1 << shift
        if not -1 << bits - 1 <= value < 1 << bits - 1:
            refuse(RefusalKind.MALFORMED, start, f"a number of more than {bits} bits")
        return value

    def _leb(self, bits: int) -> tuple[int, int, int]:
        """The groups put together, how many bits they have, and the last one."""
        start, value, shift = self.at, 0, 0
        while shift < bits:
            group = self.byte()
            value |= (group & 0x7F) << shift
            shift += 7
            if group < 0x80:
                return value, shift, group
        raise RefusedError(RefusalKind.MALFORMED, start, f"a number with more bytes than {bits} bits need")

    def name(self) -> str:
        """UTF-8 after its length."""
        start = self.at
        raw = self.take(self.unsigned())
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            refuse(RefusalKind.MALFORMED, start, "a name that is not UTF-8")
        if len(raw) > NAME_BYTES_MAX:
            refuse(RefusalKind.LIMIT, start, f"a name of {len(raw)} bytes, at most {NAME_BYTES_MAX} are allowed")
        return text

    def count(self, what: str, most: int) -> int:
        """A count within its limit."""
        start = self.at
        value = self.unsigned()
        if value > most:
            refuse(RefusalKind.LIMIT, start, f"{value} {what}, at most {most} are allowed")
        return value


def refuse(kind: RefusalKind, offset: int, why: str) -> NoReturn:
    """Refuse the module."""
    raise RefusedError(kind, offset, why)


def refuse_feature(feature: Feature, offset: int, what: str) -> NoReturn:
    """Refuse what contracts do not get."""
    raise RefusedError(RefusalKind.NOT_ALLOWED, offset, f"{what}: {FEATURE_REFUSALS[feature]}")


def read_value_type(reader: Reader) -> int:
    """i32 or i64."""
    kind = reader.byte()
    if kind in _VALUE_TYPES:
        return kind
    if kind in _REFUSED_TYPES:
        refuse_feature(_REFUSED_TYPES[kind], reader.at - 1, f"a value of type {kind:#x}")
    refuse(RefusalKind.MALFORMED, reader.at - 1, f"{kind:#x} is no type of values")


def parse_module(code: bytes) -> Module:
    """Read all sections; raises RefusedError."""
    if len(code) > MODULE_BYTES_MAX:
        refuse(RefusalKind.LIMIT, 0, f"a module of {len(code)} bytes, at most {MODULE_BYTES_MAX} are allowed")
    if code[: len(HEADER)] != HEADER:
        refuse(RefusalKind.MALFORMED, 0, "not a WASM module of version 1")
    sections, custom = _split_sections(code)

    def read(number: int, what: str, most: int, item: Callable[[Reader], Item]) -> tuple[Item, ...]:
        reader = sections.get(number)
        if reader is None:
            return ()
        items = tuple(item(reader) for _ in range(reader.count(what, most)))
        if reader.at != reader.end:
            refuse(RefusalKind.MALFORMED, reader.at, f"bytes are left in the section of {what}")
        return items

    types = read(SECTION_TYPE, "types", TYPES_MAX, _read_type)
    imports = read(SECTION_IMPORT, "imports", IMPORTS_MAX, _read_import)
    functions = read(SECTION_FUNCTION, "functions", FUNCTIONS_MAX, Reader.unsigned)
    tables = read(SECTION_TABLE, "tables", TYPES_MAX, _read_table)
    memories = read(SECTION_MEMORY, "memories", TYPES_MAX, _read_memory)
    variables = read(SECTION_GLOBAL, "globals", GLOBALS_MAX, _read_global)
    exports = read(SECTION_EXPORT, "exports", EXPORTS_MAX, _read_export)
    elements = read(SECTION_ELEMENT, "element segments", ELEMENT_SEGMENTS_MAX, _read_element_segment)
    if SECTION_CODE in sections and (size := sections[SECTION_CODE].end - sections[SECTION_CODE].at) > CODE_BYTES_MAX:
        offset = sections[SECTION_CODE].at
        refuse(RefusalKind.LIMIT, offset, f"{size} bytes of code, at most {CODE_BYTES_MAX} are allowed")
    first = len(imports)
    bodies: list[Body] = []

    def read_body(reader: Reader) -> Body:
        body = _read_body(reader, f"function {first + len(bodies)}")
        bodies.append(body)
        return body

    read(SECTION_CODE, "functions with code", FUNCTIONS_MAX, read_body)
    data = read(SECTION_DATA, "data segments", DATA_SEGMENTS_MAX, _read_data_segment)
    if len(functions) != len(bodies):
        refuse(RefusalKind.MALFORMED, len(code), f"{len(functions)} functions are declared, {len(bodies)} have code")
    if len(tables) > 1:
        refuse_feature(Feature.REFERENCE_TYPES, sections[SECTION_TABLE].end, "a second table")
    if len(memories) > 1:
        refuse_feature(Feature.MULTI_MEMORY, sections[SECTION_MEMORY].end, "a second memory")
    return Module(
        code,
        types,
        imports,
        functions,
        tables[0] if tables else None,
        memories[0] if memories else None,
        variables,
        exports,
        elements,
        tuple(bodies),
        data,
        custom,
    )


def _split_sections(code: bytes) -> tuple[dict[int, Reader], tuple[CustomSection, ...]]:
    """A reader for each section, and the custom ones; known sections stand once and in order."""
    sections: dict[int, Reader] = {}
    custom: list[CustomSection] = []
    reader = Reader(code, len(HEADER), len(code))
    last = 0
    while reader.at < reader.end:
        start = reader.at
        number = reader.byte()
        size = reader.unsigned()
        section = Reader(code, reader.at, reader.at + size)
        reader.take(size)
        if number == SECTION_CUSTOM:
            custom.append(CustomSection(section.name(), section.take(section.end - section.at), start))
            if len(custom) > CUSTOM_SECTIONS_MAX:
                refuse(RefusalKind.LIMIT, start, f"more than {CUSTOM_SECTIONS_MAX} custom sections")
            continue
        if number == SECTION_START:
            refuse(
                RefusalKind.NOT_ALLOWED,
                start,
                "a start function is not allowed: begin globals with constants (asc: no code outside of functions)",
            )
        if number == SECTION_DATA_COUNT:
            refuse_feature(Feature.BULK_MEMORY, start, "a section that counts data segments")
        if number == SECTION_TAG:
            refuse_feature(Feature.EXCEPTIONS, start, "a section of exceptions")
        if not SECTION_TYPE <= number <= SECTION_DATA:
            refuse(RefusalKind.MALFORMED, start, f"{number} is no section")
        if number <= last:
            refuse(RefusalKind.MALFORMED, start, f"section {number} stands twice or out of order")
        last = number
        sections[number] = section
    return sections, tuple(custom)


def _read_type(reader: Reader) -> FunctionType:
    start = reader.at
    tag = reader.byte()
    if tag in _COMPOSITE_TAGS:
        refuse_feature(Feature.GARBAGE_COLLECTION, start, "a type that is no function")
    if tag != FUNCTION_TAG:
        refuse(RefusalKind.MALFORMED, start, f"{tag:#x} begins no type")
    parameters = bytes(read_value_type(reader) for _ in range(reader.count("parameters", PARAMETERS_MAX)))
    results_at = reader.at
    results = bytes(read_value_type(reader) for _ in range(reader.count("results", PARAMETERS_MAX)))
    if len(results) > 1:
        refuse_feature(Feature.MULTI_VALUE, results_at, f"a function with {len(results)} results")
    return FunctionType(parameters, results)


def _read_import(reader: Reader) -> Import:
    start = reader.at
    module, name = reader.name(), reader.name()
    kind = reader.byte()
    if kind == 4:
        refuse_feature(Feature.EXCEPTIONS, start, f"import {module!r}.{name!r}")
    if kind in (1, 2, 3):
        what = ("a table", "a memory", "a global")[kind - 1]
        why = f"import {module!r}.{name!r}: {what} is not imported: link without --import-table and --import-memory"
        refuse(RefusalKind.NOT_ALLOWED, start, why)
    if kind != 0:
        refuse(RefusalKind.MALFORMED, reader.at - 1, f"import {module!r}.{name!r}: {kind:#x} is no kind of import")
    return Import(module, name, reader.unsigned(), start)


def _read_fixed_size(reader: Reader, what: str) -> int:
    """Limits with minimum == maximum."""
    start = reader.at
    flags = reader.byte()
    if flags in (2, 3):
        refuse_feature(Feature.THREADS, start, f"a shared {what}")
    if 4 <= flags < 16:
        refuse(RefusalKind.NOT_ALLOWED, start, f"a {what} of 64 bits or with pages of another size is not allowed")
    if flags > 1:
        refuse(RefusalKind.MALFORMED, start, f"{flags:#x} are no limits of a {what}")
    least = reader.unsigned()
    most = reader.unsigned() if flags else None
    if what == "memory" and max(least, most or 0) > _ADDRESS_PAGES_MAX:
        refuse(RefusalKind.INVALID, start, f"a memory of more than {_ADDRESS_PAGES_MAX} pages")
    if most is not None and most < least:
        refuse(RefusalKind.INVALID, start, f"a {what} with a maximum of {most} below its minimum of {least}")
    if most != least:
        refuse(RefusalKind.NOT_ALLOWED, start, f"the {what} {_FIXED_SIZE}")
    return least


def _read_table(reader: Reader) -> int:
    start = reader.at
    kind = reader.byte()
    if kind != FUNCTION_REFERENCE and (kind in _REFUSED_TYPES or kind == 0x40):
        refuse_feature(Feature.REFERENCE_TYPES, start, f"a table of type {kind:#x}")
    if kind != FUNCTION_REFERENCE:
        refuse(RefusalKind.MALFORMED, start, f"{kind:#x} is no type of tables")
    entries = _read_fixed_size(reader, "table")
    if entries > TABLE_ENTRIES_MAX:
        refuse(RefusalKind.LIMIT, start, f"a table of {entries} entries, at most {TABLE_ENTRIES_MAX} are allowed")
    return entries


def _read_memory(reader: Reader) -> int:
    start = reader.at
    pages = _read_fixed_size(reader, "memory")
    if pages > MEMORY_PAGES_MAX:
        refuse(RefusalKind.LIMIT, start, f"a memory of {pages} pages, at most {MEMORY_PAGES_MAX} are allowed")
    return pages


def _read_global(reader: Reader) -> Global:
    kind = read_value_type(reader)
    at = reader.at
    mutability = reader.byte()
    if mutability in (2, 3):
        refuse_feature(Feature.THREADS, at, "a shared global")
    if mutability > 1:
        refuse(RefusalKind.MALFORMED, at, f"{mutability:#x} tells not whether a global is mutable")
    start = reader.at
    _read_constant(reader, kind)
    return Global(kind, mutability == 1, reader.data[start : reader.at - 1])


def _read_constant(reader: Reader, kind: int) -> int:
    """`i32.const` or `i64.const` and `end`."""
    start = reader.at
    opcode = reader.byte()
    if opcode == GLOBAL_GET:
        refuse_feature(Feature.EXTENDED_CONSTANTS, start, "a constant from a global")
    if opcode in REFUSED_OPERATORS:
        name, feature = REFUSED_OPERATORS[opcode]
        refuse_feature(feature, start, name)
    if opcode == PREFIX_MISCELLANEOUS:
        refuse_feature(Feature.BULK_MEMORY, start, "an operator")
    if opcode not in (I32_CONST, I64_CONST):
        refuse(RefusalKind.INVALID, start, "not a constant")
    value = reader.signed(32 if opcode == I32_CONST else 64)
    at = reader.at
    following = reader.byte()
    if following in _COMPUTING or following in (I32_CONST, I64_CONST) or following in REFUSED_OPERATORS:
        refuse_feature(Feature.EXTENDED_CONSTANTS, at, "more than one operator")
    if following != END:
        known = following in OPERATORS
        refuse(RefusalKind.INVALID if known else RefusalKind.MALFORMED, at, "a constant without end")
    if opcode != (I32_CONST if kind == I32 else I64_CONST):
        refuse(RefusalKind.INVALID, start, f"a constant that is no {TYPE_NAMES[kind]}")
    return value


def _read_export(reader: Reader) -> Export:
    start = reader.at
    name = reader.name()
    kind = reader.byte()
    if kind == 4:
        refuse_feature(Feature.EXCEPTIONS, start, f"export {name!r}")
    if kind > 4:
        refuse(RefusalKind.MALFORMED, start, f"export {name!r}: {kind:#x} is no kind of export")
    return Export(name, ExportKind(kind), reader.unsigned(), start)


def _read_element_segment(reader: Reader) -> ElementSegment:
    start = reader.at
    flags = reader.unsigned()
    if 1 <= flags <= 7:
        refuse_feature(Feature.REFERENCE_TYPES, start, "an element segment that is not for table 0")
    if flags:
        refuse(RefusalKind.MALFORMED, start, f"{flags:#x} begins no element segment")
    place = _read_constant(reader, I32)
    count = reader.count("elements", TABLE_ENTRIES_MAX)
    return ElementSegment(place & 0xFFFF_FFFF, tuple(reader.unsigned() for _ in range(count)), start)


def _read_data_segment(reader: Reader) -> DataSegment:
    start = reader.at
    flags = reader.unsigned()
    if 1 <= flags <= 2:
        refuse_feature(Feature.BULK_MEMORY, start, "a data segment that is not for memory 0")
    if flags:
        refuse(RefusalKind.MALFORMED, start, f"{flags:#x} begins no data segment")
    place = _read_constant(reader, I32)
    return DataSegment(place & 0xFFFF_FFFF, reader.take(reader.unsigned()), start)


def _read_body(reader: Reader, function: str) -> Body:
    """Locals of one function; its instructions are only measured."""
    try:
        size = reader.unsigned()
        start = reader.at
        if size > FUNCTION_BYTES_MAX:
            refuse(RefusalKind.LIMIT, start, f"{size} bytes of code, at most {FUNCTION_BYTES_MAX} are allowed")
        reader.take(size)
        inside = Reader(reader.data, start, reader.at)
        declared = bytearray()
        for _ in range(inside.count("groups of locals", LOCALS_MAX)):
            at = inside.at
            count = inside.unsigned()
            kind = read_value_type(inside)
            if len(declared) + count > LOCALS_MAX:
                refuse(RefusalKind.LIMIT, at, f"more than {LOCALS_MAX} locals")
            declared += bytes((kind,)) * count
    except RefusedError as error:
        raise error.within(function) from None
    return Body(start, inside.at, inside.end, bytes(declared))
