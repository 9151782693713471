"""The declared interface of a contract class, and the bytes of its values, by `vm/contracts/abi.py`."""

from dataclasses import fields
from typing import Any, Final, cast, get_args

from iov.failures import Panic, RevertError
from iov.integers import UNSIGNED
from iov.values import STRUCT_MARK, Address, Did, List, check_value
from vm.contracts.abi import (
    PACKED_BYTES_MAX,
    AbiType,
    Bool,
    Bytes,
    Identifier,
    InvalidValueError,
    ListOf,
    Option,
    StructOf,
    Text,
    Unsigned,
    pack_values,
    unpack_values,
)

_SIMPLE: Final[dict[Any, AbiType]] = {
    **{kind: Unsigned(kind.BITS) for kind in UNSIGNED},
    bool: Bool(),
    bytes: Bytes(),
    str: Text(),
    Address: Identifier("Address"),
    Did: Identifier("Did"),
}


def get_abi_type(annotation: Any) -> AbiType:
    """The type of the border that an annotation stands for; raises TypeError."""
    if annotation in _SIMPLE:
        return _SIMPLE[annotation]
    if isinstance(annotation, type) and issubclass(annotation, List) and annotation.ITEM is not None:
        return ListOf(get_abi_type(annotation.ITEM), annotation.ITEMS_MAX)
    if getattr(annotation, STRUCT_MARK, False):
        parts = tuple((each.name, get_abi_type(each.type)) for each in fields(annotation))
        return StructOf(annotation.__name__, parts)
    present = [each for each in get_args(annotation) if each is not type(None)]
    if len(present) == 1 and type(None) in get_args(annotation):
        return Option(get_abi_type(present[0]))
    raise TypeError(f"{annotation} is not a type of contracts")


def pack(value: Any) -> bytes:
    """The packed bytes of a value, to be hashed or signed: integers little-endian, bytes after their length."""
    return pack_as(type(value), value)


def pack_as(annotation: Any, value: Any) -> bytes:
    """Packed bytes of a value of a declared type; too long fails with Panic.LIMIT."""
    try:
        return pack_values((get_abi_type(annotation),), [to_plain(value)])
    except InvalidValueError as error:
        raise RevertError(Panic.LIMIT, str(error)) from None


def unpack_as(annotation: Any, packed: bytes) -> Any:
    """The value of packed bytes; raises InvalidValueError."""
    (plain,) = unpack_values((get_abi_type(annotation),), packed)
    return from_plain(annotation, plain)


def convert(kind: Any, value: Any) -> Any:
    """A value as it arrives across the border: packed and unpacked, so that nothing is shared."""
    return unpack_as(kind, pack_as(kind, check_value(kind, value)))


def convert_event(event: Any) -> Any:
    """An event as it leaves: later changes of lists in it do not show. Too long fails with Panic.LIMIT."""
    parts = [(each.type, getattr(event, each.name)) for each in fields(event)]
    if sum(len(pack_as(kind, value)) for kind, value in parts) > PACKED_BYTES_MAX:
        raise RevertError(Panic.LIMIT, f"an event of more than {PACKED_BYTES_MAX} bytes")
    return type(event)(*[convert(kind, value) for kind, value in parts])


def to_plain(value: Any) -> Any:
    """A value as `vm/contracts/abi.py` packs it: structs and lists are lists."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, List):
        return [to_plain(each) for each in value]
    if getattr(value, STRUCT_MARK, False):
        return [to_plain(getattr(value, each.name)) for each in fields(value)]
    return value


def from_plain(annotation: Any, plain: Any) -> Any:
    """A plain value as one of the declared type."""
    if annotation in _SIMPLE:
        return cast(Any, annotation)(plain)
    if isinstance(annotation, type) and issubclass(annotation, List):
        return annotation([from_plain(annotation.ITEM, each) for each in plain])
    if getattr(annotation, STRUCT_MARK, False):
        pairs = zip(fields(annotation), plain, strict=True)
        return annotation(*[from_plain(each.type, part) for each, part in pairs])
    (present,) = [each for each in get_args(annotation) if each is not type(None)]
    return None if plain is None else from_plain(present, plain)
