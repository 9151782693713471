"""Arguments of calls, events and views between their plain form on the chain and JSON, led by their declared types.

| type                  | JSON                          |
|-----------------------|-------------------------------|
| address               | bech32m text of the network   |
| identity              | did:iov:… text of the network |
| grains                | decimal string                |
| grain-days            | decimal string                |
| integer, enum         | integer below 2^53            |
| bytes                 | 0x text                       |
| text, boolean         | string, boolean               |
| list                  | array                         |
| struct                | object, fields in camel case  |
| optional              | the value, or null            |
"""

from collections.abc import Sequence
from dataclasses import dataclass, is_dataclass
from enum import IntEnum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NewType, Union, get_args, get_origin, get_type_hints

from pydantic.alias_generators import to_camel

from identity.address import ADDRESS_BYTES, Address, InvalidAddressError, NetworkKind
from identity.did import DID_BYTES, Did, format_did, parse_did
from ledger.codec import DEPTH_MAX, to_plain
from ledger.primitives import JSON_INTEGER_MAX, GrainDays, Grains
from rpc.addresses import format_address, parse_address
from rpc.json_codec import format_hex, parse_grains, parse_hex
from vm.native.registry import list_fields

Form = Literal[
    "address",
    "did",
    "grains",
    "whole",
    "integer",
    "bytes",
    "text",
    "boolean",
    "list",
    "struct",
    "tuple",
    "any",
]


class ArgumentError(ValueError):
    """A JSON argument does not have its declared type; the message names it."""


@dataclass(frozen=True, slots=True)
class ArgumentType:
    """What a wallet needs to know of a declared type."""

    form: Form
    is_optional: bool = False
    items: tuple["ArgumentType", ...] = ()
    """The one item type of a list, or those of a tuple."""
    fields: tuple[tuple[str, "ArgumentType"], ...] = ()
    """Names in camel case and types of a struct's fields, in encoded order."""


_ANY: Final = ArgumentType("any")
_SCALARS: Final[dict[Any, ArgumentType]] = {
    Address: ArgumentType("address"),
    Did: ArgumentType("did"),
    Grains: ArgumentType("grains"),
    GrainDays: ArgumentType("whole"),
    int: ArgumentType("integer"),
    bytes: ArgumentType("bytes"),
    str: ArgumentType("text"),
    bool: ArgumentType("boolean"),
}


@cache
def describe_type(kind: Any) -> ArgumentType:
    """The description of a declared type; what has no description is passed on as it is."""
    while True:
        scalar = _SCALARS.get(kind)
        if scalar is not None:
            return scalar
        if isinstance(kind, NewType):
            kind = kind.__supertype__
        elif get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        else:
            break
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _describe_union(get_args(kind))
    if origin is list:
        return ArgumentType("list", items=(describe_type(get_args(kind)[0]),))
    if origin is tuple:
        return _describe_tuple(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return _SCALARS[int]
    if isinstance(kind, type) and is_dataclass(kind):
        return ArgumentType("struct", fields=describe_fields(kind))
    return _ANY


@cache
def describe_fields(kind: type) -> tuple[tuple[str, ArgumentType], ...]:
    """Names in camel case and types of a dataclass's fields."""
    return tuple((to_camel(name), describe_type(hint)) for name, hint in list_fields(kind))


@cache
def describe_answer(answer: Any) -> ArgumentType:
    """What a view function says it returns; anything, when it says nothing."""
    return describe_type(get_type_hints(answer, include_extras=True).get("return", Any))


def arguments_to_json(
    fields: Sequence[tuple[str, ArgumentType]] | None, arguments: Sequence[Any], network: NetworkKind
) -> dict[str, Any] | list[Any]:
    """An object by field names; a bare list when the fields are unknown or the arguments do not fit them."""
    if fields is not None and len(fields) == len(arguments):
        try:
            return {name: to_json(kind, plain, network) for (name, kind), plain in zip(fields, arguments, strict=True)}
        except ArgumentError:
            pass  # a transaction may hold anything well-formed; it is shown as it stands
    return [to_json(_ANY, plain, network) for plain in arguments]


def to_json(kind: ArgumentType, plain: Any, network: NetworkKind) -> Any:
    """The JSON form of a plain value; raises ArgumentError when the value does not have the type."""
    if plain is None and (kind.is_optional or kind.form == "any"):
        return None
    match kind.form:
        case "address" if type(plain) is bytes and len(plain) == ADDRESS_BYTES:
            return format_address(Address(plain), network)
        case "did" if type(plain) is bytes and len(plain) == DID_BYTES:
            return format_did(Did(plain), network)
        case "grains" | "whole" if _is_integer(plain):
            return str(int(plain))
        case "integer" if _is_integer(plain):
            return _integer_to_json(plain)
        case "bytes" if type(plain) is bytes:
            return format_hex(plain)
        case "text" if type(plain) is str:
            return plain
        case "boolean" if type(plain) is bool:
            return plain
        case "list" if type(plain) in (list, tuple):
            return [to_json(kind.items[0], item, network) for item in plain]
        case "tuple" if type(plain) in (list, tuple) and len(plain) == len(kind.items):
            return [to_json(item_kind, item, network) for item_kind, item in zip(kind.items, plain, strict=True)]
        case "struct" if type(plain) is list and len(plain) == len(kind.fields):
            return {name: to_json(each, item, network) for (name, each), item in zip(kind.fields, plain, strict=True)}
        case "any":
            return _any_to_json(plain)
    raise ArgumentError(f"expected {kind.form}")


def answer_to_json(kind: ArgumentType, answer: Any, network: NetworkKind) -> Any:
    """The JSON form of what a view returned; dataclasses inside lists are named by their own types."""
    if is_dataclass(answer) and not isinstance(answer, type):
        described = describe_type(type(answer))
        return to_json(described, to_plain(answer), network)
    if isinstance(answer, (list, tuple)) and any(is_dataclass(item) for item in answer):
        return [answer_to_json(_ANY, item, network) for item in answer]
    try:
        return to_json(kind, answer, network)
    except ArgumentError:
        return _any_to_json(answer)


def arguments_from_json(
    fields: Sequence[tuple[str, ArgumentType]], given: dict[str, Any] | list[Any], network: NetworkKind
) -> list[Any]:
    """Plain arguments from JSON, by name or by position; raises ArgumentError."""
    names = [name for name, _ in fields]
    if isinstance(given, list):
        if len(given) != len(fields):
            raise ArgumentError(f"expected {len(fields)} arguments: {', '.join(names) or 'none'}")
        given = dict(zip(names, given, strict=True))
    unknown = sorted(given.keys() - set(names))
    if unknown:
        raise ArgumentError(f"there is no argument {unknown[0]}; there are: {', '.join(names) or 'none'}")
    return [_from_field(name, kind, given.get(name), network) for name, kind in fields]


def from_json(kind: ArgumentType, value: Any, network: NetworkKind) -> Any:
    """The plain form of a JSON value; raises ArgumentError."""
    if value is None and kind.is_optional:
        return None
    match kind.form:
        case "address" if type(value) is str:
            try:
                return parse_address(value, network)
            except InvalidAddressError as error:
                raise ArgumentError(str(error)) from None
        case "did" if type(value) is str:
            return _or_argument_error(lambda text: parse_did(text, network), value)
        case "grains" | "whole" if type(value) is str:
            return _or_argument_error(parse_grains, value)
        case "integer" if type(value) is int and abs(value) <= JSON_INTEGER_MAX:
            return value
        case "bytes" if type(value) is str:
            return _or_argument_error(parse_hex, value)
        case "text" if type(value) is str:
            return value
        case "boolean" if type(value) is bool:
            return value
        case "list" if type(value) is list:
            return [from_json(kind.items[0], item, network) for item in value]
        case "tuple" if type(value) is list and len(value) == len(kind.items):
            return [from_json(item_kind, item, network) for item_kind, item in zip(kind.items, value, strict=True)]
        case "struct" if type(value) in (dict, list):
            return arguments_from_json(kind.fields, value, network)
        case "any" if type(value) in (str, bool, int, NoneType):
            return value
    raise ArgumentError(f"expected {kind.form}")


def _from_field(name: str, kind: ArgumentType, value: Any, network: NetworkKind) -> Any:
    try:
        return from_json(kind, value, network)
    except ArgumentError as error:
        raise ArgumentError(f"{name}: {error}") from None


def _or_argument_error(parse: Any, text: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise ArgumentError(str(error)) from None


def _describe_union(choices: tuple[Any, ...]) -> ArgumentType:
    others = [choice for choice in choices if choice is not NoneType]
    if len(others) != 1:
        return _ANY
    inner = describe_type(others[0])
    return ArgumentType(inner.form, is_optional=len(others) < len(choices), items=inner.items, fields=inner.fields)


def _describe_tuple(arguments: tuple[Any, ...]) -> ArgumentType:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return ArgumentType("list", items=(describe_type(arguments[0]),))
    return ArgumentType("tuple", items=tuple(describe_type(argument) for argument in arguments))


def _is_integer(plain: Any) -> bool:
    return isinstance(plain, int) and not isinstance(plain, bool)


def _integer_to_json(number: int) -> int | str:
    return int(number) if abs(number) <= JSON_INTEGER_MAX else str(int(number))


def _any_to_json(plain: Any, depth: int = 0) -> Any:
    if isinstance(plain, bytes):
        return format_hex(plain)
    if isinstance(plain, (list, tuple)):
        if depth > DEPTH_MAX:
            raise ArgumentError(f"nested deeper than {DEPTH_MAX}")
        return [_any_to_json(item, depth + 1) for item in plain]
    return _integer_to_json(plain) if _is_integer(plain) else plain
