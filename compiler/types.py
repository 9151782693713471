"""Types of the language: those that cross the border, from `vm/contracts/abi.py`, and a few that do not.

How a value lies on the operand stack, in locals, and in memory:

| type                        | stack and locals | a field or item in memory                        |
|-----------------------------|------------------|--------------------------------------------------|
| bool, u8, u16, u32          | i32              | 1, 1, 2, 4 bytes                                 |
| u64, a plain int            | i64              | 8 bytes                                          |
| u128                        | i64 low, i64 high| 16 bytes                                         |
| Address, Did                | i32 pointer to the 20 bytes                    | the pointer        |
| bytes, str                  | i32 pointer to length as u32 and the bytes     | the pointer        |
| T or None                   | i32 pointer to T in memory, 0 for None         | the pointer        |
| List                        | i32 pointer to length, capacity, pointer to the items | the pointer |
| struct                      | i32 pointer to the fields in a row             | the pointer        |
"""

from dataclasses import dataclass
from typing import Final

from compiler.wasm import I32, I64
from vm.contracts.abi import (
    ADDRESS_BYTES,
    AbiType,
    Bool,
    Bytes,
    Identifier,
    ListOf,
    Option,
    StructOf,
    Text,
    Unsigned,
)


@dataclass(frozen=True, slots=True)
class PlainInt:
    """An int without a width: literals, constants, `len`, a byte. It is compared, converted, or an operand."""


@dataclass(frozen=True, slots=True)
class NoneValue:
    """The literal None."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """What a function without a result gives."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The type of a variable whose assignment was a mistake."""


Type = AbiType | PlainInt | NoneValue | Nothing | Unknown

BOOL: Final = Bool()
U8, U16, U32, U64, U128 = (Unsigned(bits) for bits in (8, 16, 32, 64, 128))
BYTES: Final = Bytes()
TEXT: Final = Text()
ADDRESS: Final = Identifier("Address")
DID: Final = Identifier("Did")
PLAIN: Final = PlainInt()
NONE: Final = NoneValue()
NOTHING: Final = Nothing()
UNKNOWN: Final = Unknown()

POINTER_BYTES: Final = 4


def format_type(kind: Type) -> str:
    """As in the interface: `List[u64, 3]`, `Option[Address]`."""
    match kind:
        case Unsigned(bits):
            return f"u{bits}"
        case Bool():
            return "bool"
        case Identifier(name) | StructOf(name, _):
            return name
        case Text():
            return "str"
        case Bytes():
            return "bytes"
        case Option(item):
            return f"Option[{format_type(item)}]"
        case ListOf(item, items_max):
            return f"List[{format_type(item)}, {items_max}]"
        case PlainInt():
            return "int"
        case _:
            return "None"


def describe_type(kind: Type) -> str:
    """As an author writes it: `List[u64, Literal[3]]`, `Address | None`."""
    match kind:
        case Option(item):
            return f"{describe_type(item)} | None"
        case ListOf(item, items_max):
            return f"List[{describe_type(item)}, Literal[{items_max}]]"
        case _:
            return format_type(kind)


def list_slots(kind: Type) -> tuple[str, ...]:
    """WebAssembly types of a value on the stack."""
    match kind:
        case Unsigned(128):
            return (I64, I64)
        case Unsigned(64) | PlainInt():
            return (I64,)
        case Nothing():
            return ()
        case _:
            return (I32,)


def is_scalar(kind: Type) -> bool:
    """Whether its packed bytes are also its bytes in memory: bool and integers."""
    return isinstance(kind, (Unsigned, Bool))


def get_memory_bytes(kind: AbiType) -> int:
    """Size of a field or item."""
    match kind:
        case Unsigned(bits):
            return bits // 8
        case Bool():
            return 1
        case _:
            return POINTER_BYTES


def get_packed_bytes_max(kind: AbiType) -> int | None:
    """The longest packed form; None without a limit of its own."""
    match kind:
        case Unsigned() | Bool():
            return get_memory_bytes(kind)
        case Identifier():
            return ADDRESS_BYTES
        case Option(item):
            longest = get_packed_bytes_max(item)
            return None if longest is None else 1 + longest
        case ListOf(item, items_max):
            longest = get_packed_bytes_max(item)
            return None if longest is None else 4 + items_max * longest
        case StructOf(_, fields):
            lengths = [get_packed_bytes_max(field) for _, field in fields]
            known = [each for each in lengths if each is not None]
            return sum(known) if len(known) == len(lengths) else None
        case _:
            return None


def get_load(kind: AbiType, offset: int = 0) -> tuple[str, ...]:
    """Instructions that turn an address into the value; not for u128, which needs the address twice."""
    match kind:
        case Unsigned(8) | Bool():
            return (f"i32.load8_u {offset}",)
        case Unsigned(16):
            return (f"i32.load16_u {offset}",)
        case Unsigned(64):
            return (f"i64.load {offset}",)
        case _:
            return (f"i32.load {offset}",)


def get_store(kind: AbiType, offset: int = 0) -> str:
    """The instruction that stores a value at an address; not for u128."""
    match kind:
        case Unsigned(8) | Bool():
            return f"i32.store8 {offset}"
        case Unsigned(16):
            return f"i32.store16 {offset}"
        case Unsigned(64):
            return f"i64.store {offset}"
        case _:
            return f"i32.store {offset}"
