"""The declared interface of a contract, and the bytes of values that cross its border.

A module carries its interface in a custom section `iov.abi`: the canonical MessagePack of `Interface`. Arguments,
results, event fields, storage keys and values are *packed*: one byte form per value, no names, no padding.

| type                       | packed                                        |
|----------------------------|-----------------------------------------------|
| bool                       | one byte, 0 or 1                              |
| u8 u16 u32 u64 u128        | little-endian, that many bits                 |
| Address, Did               | the 20 bytes                                  |
| bytes, str                 | length as u32, then the bytes (UTF-8)         |
| Option[T]                  | 0, or 1 and T                                 |
| List[T, N]                 | count as u32, at most N, then the items       |
| a struct's name            | its fields in order                           |
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from functools import cache
from typing import Annotated, Any, Final

from annotated_types import Len

from ledger.codec import DecodeError, decode, encode

SECTION_NAME: Final = "iov.abi"
INTERFACE_BYTES_MAX: Final = 16_384  # read by every node at publication, and by wallets with every call they explain
PACKED_BYTES_MAX: Final = 32_768  # arguments, a result, an event, a stored value: half a transaction
NAMES_MAX: Final = 64  # methods, events, structs, storage items, fields: what people can still read
LIST_ITEMS_MAX: Final = 4_096
TYPE_DEPTH_MAX: Final = 8
ADDRESS_BYTES: Final = 20

Name = Annotated[str, Len(1, 64)]
TypeText = Annotated[str, Len(0, 128)]


@unique
class MethodKind(IntEnum):
    """How a method may be entered."""

    INIT = 0
    """Once, when the contract is sealed."""
    CALL = 1
    VIEW = 2
    """Reads, changes nothing."""
    MIGRATE = 3
    """Once after an upgrade, with the new code."""


@unique
class StorageKind(IntEnum):
    """How a storage item is laid out; its first key byte is its position in the interface."""

    VAR = 0
    MAP = 1
    INDEXED_MAP = 2
    """A map that also keeps its keys in order of insertion, so that they can be listed."""


@unique
class UpgradeRule(IntEnum):
    """Who may replace the code."""

    NEVER = 0
    OWNER = 1
    GOVERNANCE = 2


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named value: of a method, an event or a struct."""

    name: Name
    type: TypeText


@dataclass(frozen=True, slots=True)
class Struct:
    """A value with named parts; its fields use built-in types and structs declared before it."""

    name: Name
    fields: Annotated[tuple[Parameter, ...], Len(1, NAMES_MAX)]


@dataclass(frozen=True, slots=True)
class Method:
    """An exported function without WASM parameters: arguments and result go through the host."""

    name: Name
    kind: MethodKind
    is_payable: bool
    """Whether IOV may come with the call."""
    is_reentrant: bool
    """Whether it may be entered while the contract is already running."""
    parameters: Annotated[tuple[Parameter, ...], Len(0, NAMES_MAX)]
    result: TypeText
    """Empty when it gives nothing back."""


@dataclass(frozen=True, slots=True)
class EventType:
    """An event the contract may emit."""

    name: Name
    fields: Annotated[tuple[Parameter, ...], Len(0, NAMES_MAX)]


@dataclass(frozen=True, slots=True)
class StorageItem:
    """One item of the storage schema; tools read it, the chain does not."""

    name: Name
    kind: StorageKind
    key: TypeText
    """Empty for a single value."""
    value: TypeText


@dataclass(frozen=True, slots=True)
class Interface:
    """What a contract promises: methods, events, structs, storage, who may upgrade it, and where it came from."""

    name: Name
    compiler: Name
    """Name and version of what made the code, for `verify`."""
    source_hash: Annotated[bytes, Len(32, 32)]
    """SHA-256 of the source."""
    upgrade: UpgradeRule
    structs: Annotated[tuple[Struct, ...], Len(0, NAMES_MAX)]
    methods: Annotated[tuple[Method, ...], Len(1, NAMES_MAX)]
    events: Annotated[tuple[EventType, ...], Len(0, NAMES_MAX)]
    storage: Annotated[tuple[StorageItem, ...], Len(0, NAMES_MAX)]


class InvalidInterfaceError(ValueError):
    """The interface contradicts itself or names an unknown type; the message says where."""


class InvalidValueError(ValueError):
    """The bytes or the value do not fit the declared type; the message says where."""


@dataclass(frozen=True, slots=True)
class Unsigned:
    """An integer of 8 to 128 bits."""

    bits: int


@dataclass(frozen=True, slots=True)
class Bool:
    """Truth."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """An Address or a Did: 20 bytes."""

    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """UTF-8 text."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes of any length."""


@dataclass(frozen=True, slots=True)
class Option:
    """A value or None."""

    item: "AbiType"


@dataclass(frozen=True, slots=True)
class ListOf:
    """At most so many values."""

    item: "AbiType"
    items_max: int


@dataclass(frozen=True, slots=True)
class StructOf:
    """A struct with its field types resolved."""

    name: str
    fields: tuple[tuple[str, "AbiType"], ...]


AbiType = Unsigned | Bool | Identifier | Text | Bytes | Option | ListOf | StructOf

_SIMPLE: Final[dict[str, AbiType]] = {
    **{f"u{bits}": Unsigned(bits) for bits in (8, 16, 32, 64, 128)},
    "bool": Bool(),
    "Address": Identifier("Address"),
    "Did": Identifier("Did"),
    "str": Text(),
    "bytes": Bytes(),
}


def encode_interface(interface: Interface) -> bytes:
    """The payload of the custom section."""
    return encode(interface)


def decode_interface(payload: bytes) -> Interface:
    """An interface that is consistent in itself; raises InvalidInterfaceError."""
    if len(payload) > INTERFACE_BYTES_MAX:
        raise InvalidInterfaceError(f"the interface has at most {INTERFACE_BYTES_MAX} bytes, not {len(payload)}")
    try:
        interface = decode(Interface, payload)
    except DecodeError as error:
        raise InvalidInterfaceError(f"the interface cannot be read: {error}") from None
    check_interface(interface)
    return interface


def check_interface(interface: Interface) -> None:
    """Every type is known, no name stands twice, and the special methods are what they must be."""
    structs = resolve_structs(interface)
    for what, names in (
        ("method", [method.name for method in interface.methods]),
        ("event", [event.name for event in interface.events]),
        ("storage item", [item.name for item in interface.storage]),
    ):
        _check_names(what, names)
    for method in interface.methods:
        _check_parameters(f"method {method.name}", method.parameters, structs)
        if method.result:
            parse_type(method.result, structs)
        if method.kind is MethodKind.VIEW and method.is_payable:
            raise InvalidInterfaceError(f"method {method.name}: a view takes no IOV")
        if method.kind in (MethodKind.INIT, MethodKind.MIGRATE) and (method.result or method.is_reentrant):
            raise InvalidInterfaceError(f"method {method.name}: gives nothing back and is entered once")
    for kind in (MethodKind.INIT, MethodKind.MIGRATE):
        if sum(method.kind is kind for method in interface.methods) > 1:
            raise InvalidInterfaceError(f"there is more than one {kind.name.lower()} method")
    for event in interface.events:
        _check_parameters(f"event {event.name}", event.fields, structs)
    for item in interface.storage:
        if (item.kind is StorageKind.VAR) != (item.key == ""):
            raise InvalidInterfaceError(f"storage item {item.name}: a map has a key type, a single value has none")
        if item.key:
            parse_type(item.key, structs)
        parse_type(item.value, structs)


def resolve_structs(interface: Interface) -> dict[str, StructOf]:
    """The interface's structs by name; raises InvalidInterfaceError."""
    structs: dict[str, StructOf] = {}
    for struct in interface.structs:
        if struct.name in structs or struct.name in _SIMPLE or not struct.name.isidentifier():
            raise InvalidInterfaceError(f"struct {struct.name}: the name is taken or is none")
        _check_parameters(f"struct {struct.name}", struct.fields, structs)
        fields = tuple((field.name, parse_type(field.type, structs)) for field in struct.fields)
        structs[struct.name] = StructOf(struct.name, fields)
        if _get_depth(structs[struct.name]) > TYPE_DEPTH_MAX:
            raise InvalidInterfaceError(f"struct {struct.name}: nested deeper than {TYPE_DEPTH_MAX}")
    return structs


def parse_type(text: str, structs: dict[str, StructOf], depth: int = 1) -> AbiType:
    """The type that a text names; raises InvalidInterfaceError."""
    if depth > TYPE_DEPTH_MAX:
        raise InvalidInterfaceError(f"type nested deeper than {TYPE_DEPTH_MAX}")
    if text in _SIMPLE:
        return _SIMPLE[text]
    if text in structs:
        return structs[text]
    if text.startswith("Option[") and text.endswith("]"):
        return Option(parse_type(text[7:-1], structs, depth + 1))
    if text.startswith("List[") and text.endswith("]"):
        item, separator, count = text[5:-1].rpartition(", ")
        if separator and count.isascii() and count.isdigit() and 1 <= int(count) <= LIST_ITEMS_MAX:
            return ListOf(parse_type(item, structs, depth + 1), int(count))
    raise InvalidInterfaceError(f"there is no type {text!r}")


def list_types(parameters: tuple[Parameter, ...], structs: dict[str, StructOf]) -> tuple[AbiType, ...]:
    """The types of parameters in order."""
    return tuple(parse_type(parameter.type, structs) for parameter in parameters)


def pack_values(types: tuple[AbiType, ...], values: list[Any]) -> bytes:
    """Packed bytes of several values; raises InvalidValueError.

    Integers are ints, identifiers and bytes are bytes, an absent option is None, lists and structs are lists.
    """
    if len(values) != len(types):
        raise InvalidValueError(f"{len(types)} values are wanted, not {len(values)}")
    packed = bytearray()
    for kind, value in zip(types, values, strict=True):
        _pack(kind, value, packed)
        if len(packed) > PACKED_BYTES_MAX:
            raise InvalidValueError(f"more than {PACKED_BYTES_MAX} bytes")
    return bytes(packed)


def unpack_values(types: tuple[AbiType, ...], packed: bytes) -> list[Any]:
    """The values of packed bytes, all of which must be used up; raises InvalidValueError."""
    if len(packed) > PACKED_BYTES_MAX:
        raise InvalidValueError(f"more than {PACKED_BYTES_MAX} bytes")
    values = []
    offset = 0
    for kind in types:
        value, offset = _unpack(kind, packed, offset)
        values.append(value)
    if offset != len(packed):
        raise InvalidValueError(f"{len(packed) - offset} bytes too many")
    return values


def _pack(kind: AbiType, value: Any, packed: bytearray) -> None:
    match kind:
        case Unsigned(bits):
            if type(value) is not int or not 0 <= value < 1 << bits:
                raise InvalidValueError(f"not a u{bits}")
            packed += value.to_bytes(bits // 8, "little")
        case Bool():
            if type(value) is not bool:
                raise InvalidValueError("not a bool")
            packed.append(value)
        case Identifier(name):
            if type(value) is not bytes or len(value) != ADDRESS_BYTES:
                raise InvalidValueError(f"not the {ADDRESS_BYTES} bytes of a {name}")
            packed += value
        case Text():
            if type(value) is not str:
                raise InvalidValueError("not a str")
            try:
                _pack_bytes(value.encode(), packed)
            except UnicodeEncodeError:
                raise InvalidValueError("a str with half a surrogate pair") from None
        case Bytes():
            if type(value) is not bytes:
                raise InvalidValueError("not bytes")
            _pack_bytes(value, packed)
        case Option(item):
            packed.append(value is not None)
            if value is not None:
                _pack(item, value, packed)
        case ListOf(item, items_max):
            if not isinstance(value, (list, tuple)) or len(value) > items_max:
                raise InvalidValueError(f"not a list of at most {items_max}")
            packed += len(value).to_bytes(4, "little")
            for each in value:
                _pack(item, each, packed)
        case StructOf(name, fields):
            if not isinstance(value, (list, tuple)) or len(value) != len(fields):
                raise InvalidValueError(f"not the {len(fields)} fields of {name}")
            for (_, field), each in zip(fields, value, strict=True):
                _pack(field, each, packed)


def _pack_bytes(value: bytes, packed: bytearray) -> None:
    packed += len(value).to_bytes(4, "little")
    packed += value


def _unpack(kind: AbiType, packed: bytes, offset: int) -> tuple[Any, int]:
    match kind:
        case Unsigned(bits):
            raw, offset = _take(packed, offset, bits // 8)
            return int.from_bytes(raw, "little"), offset
        case Bool():
            return _unpack_flag(packed, offset)
        case Identifier():
            return _take(packed, offset, ADDRESS_BYTES)
        case Text():
            raw, offset = _unpack_bytes(packed, offset)
            try:
                return raw.decode(), offset
            except UnicodeDecodeError:
                raise InvalidValueError("a str that is not UTF-8") from None
        case Bytes():
            return _unpack_bytes(packed, offset)
        case Option(item):
            is_present, offset = _unpack_flag(packed, offset)
            return _unpack(item, packed, offset) if is_present else (None, offset)
        case ListOf(item, items_max):
            raw, offset = _take(packed, offset, 4)
            count = int.from_bytes(raw, "little")
            if count > items_max:
                raise InvalidValueError(f"a list of {count}, at most {items_max} are allowed")
            items = []
            for _ in range(count):
                value, offset = _unpack(item, packed, offset)
                items.append(value)
            return items, offset
        case StructOf(_, fields):
            values = []
            for _, field in fields:
                value, offset = _unpack(field, packed, offset)
                values.append(value)
            return values, offset


def _unpack_flag(packed: bytes, offset: int) -> tuple[bool, int]:
    raw, offset = _take(packed, offset, 1)
    if raw[0] > 1:
        raise InvalidValueError("a flag that is neither 0 nor 1")
    return raw == b"\x01", offset


def _unpack_bytes(packed: bytes, offset: int) -> tuple[bytes, int]:
    raw, offset = _take(packed, offset, 4)
    return _take(packed, offset, int.from_bytes(raw, "little"))


def _take(packed: bytes, offset: int, count: int) -> tuple[bytes, int]:
    end = offset + count
    if end > len(packed):
        raise InvalidValueError("the bytes end too early")
    return packed[offset:end], end


def _check_parameters(where: str, parameters: tuple[Parameter, ...], structs: dict[str, StructOf]) -> None:
    _check_names(f"{where}: parameter", [parameter.name for parameter in parameters])
    for parameter in parameters:
        try:
            parse_type(parameter.type, structs)
        except InvalidInterfaceError as error:
            raise InvalidInterfaceError(f"{where}, {parameter.name}: {error}") from None


def _check_names(what: str, names: list[str]) -> None:
    for index, name in enumerate(names):
        if not (name.isascii() and name.isidentifier()):
            raise InvalidInterfaceError(f"{what} {name!r}: not a name")
        if name in names[:index]:
            raise InvalidInterfaceError(f"{what} {name}: stands twice")


@cache
def _get_depth(kind: AbiType) -> int:
    match kind:
        case Option(item) | ListOf(item, _):
            return 1 + _get_depth(item)
        case StructOf(_, fields):
            return 1 + max(_get_depth(field) for _, field in fields)
        case _:
            return 1
