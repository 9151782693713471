"""A parsed WASM module, the limits a contract keeps to, and how a module is refused."""

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

MODULE_BYTES_MAX: Final = 524_288  # code, data, and the names and notes of compilers that are dropped
CODE_BYTES_MAX: Final = 262_144  # what every node compiles at publication, within a second
INSTRUCTIONS_MAX: Final = 131_072  # a compiler's instruction has two bytes and more; checking one takes about 1 µs
FUNCTION_BYTES_MAX: Final = 65_536  # compilers need more than linear time for one function
TYPES_MAX: Final = 1_024
IMPORTS_MAX: Final = 64  # more than the host has functions
FUNCTIONS_MAX: Final = 4_096  # each one costs an engine some fixed memory and time
PARAMETERS_MAX: Final = 32  # more are passed in memory
LOCALS_MAX: Final = 1_024  # parameters and locals of one function, which become one stack frame
COMPILE_WORK_MAX: Final = 400_000_000
"""Sum over all functions of branches squared times what may be alive (locals and operands): wasmtime's compiler needs
that much time for hostile code, 2 to 4 ns each. Usual contracts stay below a hundredth."""
LOOP_NESTING_MAX: Final = 40  # compilers need time for every loop around a value; the WASM test-suite nests so many
NESTING_MAX: Final = 256  # one block per case of a switch
OPERANDS_MAX: Final = 1_024  # height of the operand stack
BRANCH_TARGETS_MAX: Final = 1_024  # of one br_table
MEMORY_PAGES_MAX: Final = 32  # 2 MiB, so that many instances fit and a memory stays within a core's second cache
PAGE_BYTES: Final = 65_536
TABLE_ENTRIES_MAX: Final = 4_096  # every function once
GLOBALS_MAX: Final = 256
EXPORTS_MAX: Final = 1_024
ELEMENT_SEGMENTS_MAX: Final = 256
DATA_SEGMENTS_MAX: Final = 1_024
CUSTOM_SECTIONS_MAX: Final = 32
NAME_BYTES_MAX: Final = 1_024

assert CODE_BYTES_MAX < MODULE_BYTES_MAX


@unique
class RefusalKind(Enum):
    """Why a module is refused."""

    MALFORMED = "malformed"
    """The bytes are no WASM module."""
    INVALID = "invalid"
    """A module that breaks WASM's own rules; no engine would take it."""
    NOT_ALLOWED = "not allowed"
    """WASM of a kind that contracts do not get."""
    LIMIT = "limit"
    """Too much of something."""


class RefusedError(ValueError):
    """The module is refused; the message names the place and what would help."""

    def __init__(self, kind: RefusalKind, offset: int, why: str, function: str = "") -> None:
        place = f"{function}, offset {offset:#x}" if function else f"offset {offset:#x}"
        super().__init__(f"{place}: {why}")
        self.kind = kind
        self.offset = offset
        self.why = why

    def within(self, function: str) -> "RefusedError":
        """The same refusal, with the function it happened in."""
        return RefusedError(self.kind, self.offset, self.why, function)


@dataclass(frozen=True, slots=True)
class FunctionType:
    """Types of parameters and results, one byte each."""

    parameters: bytes
    results: bytes


@dataclass(frozen=True, slots=True)
class Import:
    """A function from the host."""

    module: str
    name: str
    type_index: int
    offset: int


@dataclass(frozen=True, slots=True)
class Global:
    """A variable of the module and the bytes of its initial value: `const` without `end`."""

    type: int
    is_mutable: bool
    initial: bytes


@unique
class ExportKind(Enum):
    """What an export names."""

    FUNCTION = 0
    TABLE = 1
    MEMORY = 2
    GLOBAL = 3


@dataclass(frozen=True, slots=True)
class Export:
    """A name for those who use the module."""

    name: str
    kind: ExportKind
    index: int
    offset: int


@dataclass(frozen=True, slots=True)
class ElementSegment:
    """Functions put into the table before the module runs."""

    start: int
    functions: tuple[int, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class DataSegment:
    """Bytes put into the memory before the module runs."""

    start: int
    payload: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class Body:
    """Where a function's code lies in the module's bytes."""

    start: int
    """Of the declarations of locals."""
    instructions: int
    end: int
    locals: bytes
    """The types of declared locals, without the parameters."""


@dataclass(frozen=True, slots=True)
class CustomSection:
    """Bytes that mean nothing to WASM."""

    name: str
    payload: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class Module:
    """What the parser reads: well-formed, not yet valid."""

    code: bytes
    """The bytes it was read from."""
    types: tuple[FunctionType, ...]
    imports: tuple[Import, ...]
    functions: tuple[int, ...]
    """Type indices of the functions that have a body."""
    table_entries: int | None
    memory_pages: int | None
    globals: tuple[Global, ...]
    exports: tuple[Export, ...]
    elements: tuple[ElementSegment, ...]
    bodies: tuple[Body, ...]
    data: tuple[DataSegment, ...]
    custom: tuple[CustomSection, ...]

    def get_type(self, function: int) -> FunctionType:
        """The type of a function by its index, imports first."""
        if function < len(self.imports):
            return self.types[self.imports[function].type_index]
        return self.types[self.functions[function - len(self.imports)]]

    @property
    def function_count(self) -> int:
        """Imported functions and those with a body."""
        return len(self.imports) + len(self.functions)
