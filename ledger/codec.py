"""MessagePack with one accepted byte form per value, read and written through the types of frozen dataclasses.

A dataclass is an array of its fields in order; a tuple is an array; an optional is the value or nil; an enum is its
number. There are no maps, floats or extension types. `decode` accepts exactly the bytes that `encode` gives: it
re-encodes what it read and compares, so a longer integer form, an extra byte or an unknown field is refused.
Limits stand in the types as `Annotated[…, Len(…)]` and `Annotated[…, Interval(…)]`.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import IntEnum
from functools import cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import Annotated, Any, Final, NewType, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import msgpack
from annotated_types import Interval, Len

T = TypeVar("T")
Arguments = list[Any]
"""An untyped array of integers, strings, bytes, booleans, nil and arrays; whoever reads it checks its types."""

DEPTH_MAX: Final = 16  # nesting of arrays in untyped values
_BYTES_MAX_DEFAULT: Final = 2**20
_ITEMS_MAX_DEFAULT: Final = 2**16

pack: Final = cast(Callable[[object], bytes], msgpack.Packer(use_bin_type=True, autoreset=True).pack)


class DecodeError(ValueError):
    """These bytes are not the one accepted form of the wanted type; the message names the field."""


def unpack(encoded: bytes) -> Any:
    """The plain value of canonical bytes; raises DecodeError."""
    try:
        value = msgpack.unpackb(encoded, raw=False, strict_map_key=True, use_list=True)
    except Exception as error:  # msgpack raises half a dozen kinds; all mean the same here
        raise DecodeError(f"not MessagePack ({type(error).__name__})") from None
    try:
        canonical = pack(value)
    except Exception:  # as many kinds again, and the same meaning
        raise DecodeError("holds a value that has no accepted form") from None
    if canonical != encoded:
        raise DecodeError("not the shortest form")
    return value


def encode(value: object) -> bytes:
    """The one byte form of a dataclass."""
    return pack(to_plain(value))


def decode(kind: type[T], encoded: bytes) -> T:
    """A dataclass from its byte form; raises DecodeError, never anything else."""
    return cast(T, get_reader(cast(Any, kind))(unpack(encoded)))


def from_plain(kind: type[T], plain: object) -> T:
    """A typed value from lists, ints, strings and bytes; raises DecodeError."""
    return cast(T, get_reader(cast(Any, kind))(plain))


def to_plain(value: object) -> Any:
    """Lists, ints, strings and bytes from a typed value."""
    if isinstance(value, (bytes, str, int, NoneType)):
        return value
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    return _get_writer(cast(Any, type(value)))(value)


Reader = Callable[[Any], Any]


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    assert is_dataclass(kind), f"{kind} has no byte form"
    return tuple(field.name for field in fields(kind))


Writer = Callable[[Any], Any]


@cache
def _get_writer(kind: type) -> Writer:
    """The function that lists a dataclass's fields; fields whose type is plain already are not looked into."""
    names = _field_names(kind)
    hints = get_type_hints(kind, include_extras=True)
    writers = [(index, _find_writer(hints[name])) for index, name in enumerate(names)]
    nested = [(index, writer) for index, writer in writers if writer is not None]
    get_fields: Callable[[Any], tuple[Any, ...]] = (
        attrgetter(*names) if len(names) > 1 else lambda value: tuple([getattr(value, name) for name in names])
    )

    def write(value: Any) -> list[Any]:
        plain = list(get_fields(value))
        for index, writer in nested:
            plain[index] = writer(plain[index])
        return plain

    return write


def _find_writer(hint: Any) -> Writer | None:
    """The function that makes values of this type plain; None where they are."""
    if _is_plain(hint):
        return None
    bare = hint
    while get_origin(bare) is Annotated or isinstance(bare, NewType):
        bare = get_args(bare)[0] if get_origin(bare) is Annotated else bare.__supertype__
    arguments = get_args(bare)
    if get_origin(bare) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        item_writer = _find_writer(arguments[0])
        if item_writer is None:
            return list
        return lambda value: [item_writer(item) for item in value]
    if get_origin(bare) in (Union, UnionType) and len(arguments) == 2 and arguments[1] is NoneType:
        some_writer = _find_writer(arguments[0])
        if some_writer is None:
            return None
        return lambda value: None if value is None else some_writer(value)
    if isinstance(bare, type) and is_dataclass(bare):
        return lambda value: _get_writer(bare)(value)
    return to_plain


def _is_plain(hint: Any) -> bool:
    """Whether values of this type are packed as they are; untyped arguments are plain by definition."""
    return hint == Arguments or _plain_type(hint) in (int, str, bytes, bool)


@cache
def get_reader(kind: Any) -> Reader:
    """The function that checks and builds a value of this type from plain values."""
    if isinstance(kind, NewType):
        return get_reader(kind.__supertype__)
    origin = get_origin(kind)
    if origin is Annotated:
        return _read_limited(*_split_limits(kind))
    if origin in (Union, UnionType):
        return _read_union(get_args(kind))
    if origin is tuple:
        return _read_limited(kind, None, None)
    if isinstance(kind, type) and is_dataclass(kind):
        return _read_dataclass(kind)
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return _read_enum(kind)
    if kind is bool:
        return _read_exact(bool)
    if kind in (int, str, bytes):
        return _read_limited(kind, None, None)
    if kind == Arguments:
        return _read_value
    raise TypeError(f"{kind} has no byte form")


def _split_limits(hint: Any) -> tuple[Any, Any, Any]:
    """The bare type under names and annotations, and the lowest and highest value or length; None where none is set."""
    low: Any = None
    high: Any = None
    limits: list[Any] = []
    while True:
        if isinstance(hint, NewType):
            hint = hint.__supertype__
        elif get_origin(hint) is Annotated:
            hint, *outer = get_args(hint)
            limits = [*outer, *limits]
        else:
            break
    for limit in limits:
        if isinstance(limit, Interval):
            low, high = limit.ge, limit.le
        elif isinstance(limit, Len):
            low, high = limit.min_length, limit.max_length
    return hint, low, high


def _bound_integer(low: int | None, high: int | None) -> tuple[int, int]:
    return -(2**63) if low is None else low, 2**63 - 1 if high is None else high


def _bound_length(low: int | None, high: int | None) -> tuple[int, int]:
    return low or 0, _BYTES_MAX_DEFAULT if high is None else high


def _read_limited(base: Any, low: Any, high: Any) -> Reader:
    if base is int:
        return _read_integer(*_bound_integer(low, high))
    if base in (str, bytes):
        return _read_text(base, *_bound_length(low, high))
    if get_origin(base) is tuple:
        return _read_tuple(get_args(base), low or 0, _ITEMS_MAX_DEFAULT if high is None else high)
    raise TypeError(f"{base} takes no limits")


def _read_integer(low: int, high: int) -> Reader:
    def read(plain: Any) -> int:
        if type(plain) is not int or not low <= plain <= high:
            raise DecodeError(f"expected an integer from {low} to {high}")
        return plain

    return read


def _read_text(base: Any, low: int, high: int) -> Reader:
    size = f"{low}" if low == high else f"{low} to {high}"

    def read(plain: Any) -> Any:
        if type(plain) is not base or not low <= len(plain) <= high:
            raise DecodeError(f"expected {'bytes' if base is bytes else 'text'} of length {size}")
        return plain

    return read


def _read_exact(base: type) -> Reader:
    def read(plain: Any) -> Any:
        if type(plain) is not base:
            raise DecodeError(f"expected {base.__name__}")
        return plain

    return read


def _read_tuple(arguments: tuple[Any, ...], low: int, high: int) -> Reader:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        read_item = get_reader(arguments[0])

        def read_many(plain: Any) -> tuple[Any, ...]:
            if type(plain) is not list or not low <= len(plain) <= high:
                raise DecodeError(f"expected a list of {low} to {high} items")
            return tuple([read_item(item) for item in plain])

        return read_many
    readers = [get_reader(argument) for argument in arguments]

    def read_fixed(plain: Any) -> tuple[Any, ...]:
        if type(plain) is not list or len(plain) != len(readers):
            raise DecodeError(f"expected a list of {len(readers)} items")
        return tuple([reader(item) for reader, item in zip(readers, plain, strict=True)])

    return read_fixed


def _read_union(choices: tuple[Any, ...]) -> Reader:
    """A union is told apart by the plain type: nil, int, str, bytes or list, each at most once."""
    by_type: dict[type, Reader] = {}
    for choice in choices:
        plain_type = _plain_type(choice)
        assert plain_type not in by_type, f"{choices} cannot be told apart"
        by_type[plain_type] = (lambda plain: None) if choice is NoneType else get_reader(choice)

    def read(plain: Any) -> Any:
        reader = by_type.get(type(plain))
        if reader is None:
            raise DecodeError("expected " + " or ".join(sorted(kind.__name__ for kind in by_type)))
        return reader(plain)

    return read


def _plain_type(kind: Any) -> type:
    """Which plain type carries this type; list for whatever is none of the simple ones."""
    while True:
        if isinstance(kind, NewType):
            kind = kind.__supertype__
        elif get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        else:
            break
    if kind in (NoneType, int, str, bytes, bool):
        return cast(type, kind)
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return int
    return list


def _read_dataclass(kind: Any) -> Reader:
    """Plain fields are checked in two loops of their own, without a call for each: that halves the time."""
    hints = get_type_hints(kind, include_extras=True)
    names = _field_names(kind)
    readers = [get_reader(hints[name]) for name in names]
    count = len(names)
    integers: list[tuple[int, int, int]] = []
    texts: list[tuple[int, Any, int, int]] = []
    nested: list[tuple[int, Reader]] = []
    for index, name in enumerate(names):
        base, low, high = _split_limits(hints[name])
        if base is int:
            integers.append((index, *_bound_integer(low, high)))
        elif base in (str, bytes):
            texts.append((index, base, *_bound_length(low, high)))
        else:
            nested.append((index, readers[index]))

    def read(plain: Any) -> Any:
        if type(plain) is not list or len(plain) != count:
            raise DecodeError(f"{kind.__name__} has {count} fields")
        for index, low, high in integers:
            item = plain[index]
            if type(item) is not int or not low <= item <= high:
                raise _describe_bad_field(kind, names, readers, plain)
        for index, base, low, high in texts:
            text = plain[index]
            if type(text) is not base or not low <= len(text) <= high:
                raise _describe_bad_field(kind, names, readers, plain)
        values = plain.copy()
        try:
            for index, reader in nested:
                values[index] = reader(plain[index])
        except DecodeError:
            raise _describe_bad_field(kind, names, readers, plain) from None
        return kind(*values)

    return read


def _describe_bad_field(kind: Any, names: tuple[str, ...], readers: list[Reader], plain: list[Any]) -> DecodeError:
    """The error of the first field that its reader refuses."""
    for name, reader, item in zip(names, readers, plain, strict=True):
        try:
            reader(item)
        except DecodeError as error:
            return DecodeError(f"{kind.__name__}.{name}: {error}")
    raise AssertionError("a field that was found bad is refused by its reader")


def _read_enum(kind: type[IntEnum]) -> Reader:
    members = {member.value: member for member in kind}

    def read(plain: Any) -> IntEnum:
        member = members.get(plain) if type(plain) is int else None
        if member is None:
            raise DecodeError(f"expected a {kind.__name__} number")
        return member

    return read


def _read_value(plain: Any, depth: int = 0) -> Any:
    """An untyped argument list: only what has one byte form, and not nested too deep."""
    if depth > DEPTH_MAX:
        raise DecodeError(f"nested deeper than {DEPTH_MAX}")
    if depth == 0 and type(plain) is not list:
        raise DecodeError("expected a list")
    if type(plain) is list:
        for item in plain:
            _read_value(item, depth + 1)
    elif not isinstance(plain, (int, str, bytes, NoneType)) or (
        type(plain) is int and not -(2**63) <= plain <= 2**63 - 1
    ):
        raise DecodeError(f"a {type(plain).__name__} has no accepted form")
    return plain
