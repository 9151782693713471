"""Values of contracts between their declared types and JSON.

| type                | JSON                                                                        |
|---------------------|-----------------------------------------------------------------------------|
| bool                | boolean                                                                     |
| u8 u16 u32          | integer                                                                     |
| u64 u128            | decimal string                                                              |
| Address             | bech32m text of the network                                                 |
| Did                 | 0x text of the 20 bytes                                                     |
| bytes, str          | 0x text, string                                                             |
| Option[T]           | the value, or null                                                          |
| List[T, N]          | array                                                                       |
| a struct            | object, fields as the interface names them                                  |

Every integer is taken as a number or as a decimal string, and a struct as an object or as the list of its fields.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from identity.address import ADDRESS_BYTES, Address, InvalidAddressError, NetworkKind
from rpc.addresses import format_address, parse_address
from rpc.arguments import ArgumentError
from rpc.json_codec import format_hex, parse_hex
from vm.contracts.abi import (
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

NamedTypes = Sequence[tuple[str, AbiType]]

_NUMBER_BITS_MAX: Final = 32  # wider integers are strings in JSON: not every reader has them exactly
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,38}", re.ASCII)


def unpack_to_json(fields: NamedTypes, packed: bytes, network: NetworkKind) -> dict[str, Any]:
    """An object of packed values by name; raises InvalidValueError when the bytes are others."""
    values = unpack_values(tuple(kind for _, kind in fields), packed)
    return {name: value_to_json(kind, value, network) for (name, kind), value in zip(fields, values, strict=True)}


def value_to_json(kind: AbiType, value: Any, network: NetworkKind) -> Any:
    """The JSON form of a value as `unpack_values` gives it."""
    match kind:
        case Unsigned(bits):
            return value if bits <= _NUMBER_BITS_MAX else str(value)
        case Identifier("Address"):
            return format_address(Address(value), network)
        case Identifier() | Bytes():
            return format_hex(value)
        case Bool() | Text():
            return value
        case Option(item):
            return None if value is None else value_to_json(item, value, network)
        case ListOf(item, _):
            return [value_to_json(item, each, network) for each in value]
        case StructOf(_, fields):
            return {
                name: value_to_json(field, each, network) for (name, field), each in zip(fields, value, strict=True)
            }


def pack_from_json(fields: NamedTypes, given: Mapping[str, Any] | Sequence[Any], network: NetworkKind) -> bytes:
    """Packed values from JSON, by name or by position; raises ArgumentError, which says what is wanted."""
    values = fields_from_json(fields, given, network)
    try:
        return pack_values(tuple(kind for _, kind in fields), values)
    except InvalidValueError as error:
        raise ArgumentError(str(error)) from None


def fields_from_json(fields: NamedTypes, given: Mapping[str, Any] | Sequence[Any], network: NetworkKind) -> list[Any]:
    """Values as `pack_values` takes them, by name or by position; raises ArgumentError."""
    names = [name for name, _ in fields]
    if not isinstance(given, Mapping):
        if len(given) != len(fields):
            wanted = ", ".join(f"{name}: {describe_type(kind)}" for name, kind in fields) or "none"
            raise ArgumentError(f"{len(fields)} values are wanted, not {len(given)}: {wanted}")
        given = dict(zip(names, given, strict=True))
    unknown = sorted(given.keys() - set(names))
    if unknown:
        raise ArgumentError(f"there is no {unknown[0]!r}; there are: {', '.join(names) or 'none'}")
    values = []
    for name, kind in fields:
        try:
            values.append(value_from_json(kind, given.get(name), network))
        except ArgumentError as error:
            raise ArgumentError(f"{name}: {error}") from None
    return values


def value_from_json(kind: AbiType, value: Any, network: NetworkKind) -> Any:
    """A value as `pack_values` takes it; raises ArgumentError, which says what is wanted."""
    match kind:
        case Unsigned(bits):
            number = int(value) if type(value) is str and _DECIMAL.fullmatch(value) else value
            if type(number) is int and 0 <= number < 1 << bits:
                return number
        case Bool() if type(value) is bool:
            return value
        case Identifier("Address") if type(value) is str:
            try:
                return parse_address(value, network)
            except InvalidAddressError as error:
                raise ArgumentError(str(error)) from None
        case Identifier() if type(value) is str:
            identifier = _read_hex(kind, value)
            if len(identifier) == ADDRESS_BYTES:
                return identifier
        case Bytes() if type(value) is str:
            return _read_hex(kind, value)
        case Text() if type(value) is str:
            return value
        case Option(item):
            return None if value is None else value_from_json(item, value, network)
        case ListOf(item, items_max) if type(value) is list and len(value) <= items_max:
            return [value_from_json(item, each, network) for each in value]
        case StructOf(_, fields) if type(value) in (dict, list):
            return fields_from_json(fields, value, network)
    raise ArgumentError(f"expected {describe_type(kind)}")


def describe_type(kind: AbiType) -> str:
    """A type for people who are to write a value of it."""
    match kind:
        case Unsigned(bits):
            return f"a whole number from 0 to {2**bits - 1} (u{bits})"
        case Bool():
            return "true or false (bool)"
        case Identifier("Address"):
            return "an address (Address)"
        case Identifier(name):
            return f"0x and {2 * ADDRESS_BYTES} hexadecimal digits ({name})"
        case Text():
            return "text (str)"
        case Bytes():
            return "0x and lower-case hexadecimal digits (bytes)"
        case Option(item):
            return f"null or {describe_type(item)}"
        case ListOf(item, items_max):
            return f"a list of at most {items_max}, each {describe_type(item)}"
        case StructOf(name, fields):
            return f"an object with {', '.join(field for field, _ in fields)} ({name})"


def _read_hex(kind: AbiType, text: str) -> bytes:
    try:
        return parse_hex(text)
    except ValueError:
        raise ArgumentError(f"expected {describe_type(kind)}") from None
