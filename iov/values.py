"""Values besides integers: identifiers, bounded lists, and frozen structs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from dataclasses import replace as replace_fields
from functools import cache
from typing import (
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    Self,
    TypeVar,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
)

from iov.failures import Panic, RevertError
from vm.contracts.abi import ADDRESS_BYTES

T = TypeVar("T")
N = TypeVar("N")


class _Identifier(bytes):
    """Twenty bytes that name something."""

    __slots__ = ()

    def __new__(cls, value: bytes) -> Self:
        """Of 20 bytes; any other length fails with Panic.LIMIT."""
        if len(value) != ADDRESS_BYTES:
            raise RevertError(Panic.LIMIT, f"{len(value)} bytes are no {cls.__name__}")
        return bytes.__new__(cls, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hex()})"


class Address(_Identifier):
    """An account or a contract."""

    __slots__ = ()


class Did(_Identifier):
    """A decentralised identity."""

    __slots__ = ()


class List(Generic[T, N]):
    """A list of at most so many values: `List[u64, Literal[10]]()`. Names of it are references, as in Python."""

    ITEM: ClassVar[Any] = None
    ITEMS_MAX: ClassVar[int] = 0

    __slots__ = ("_items",)

    def __class_getitem__(cls, parameters: Any) -> Any:
        item, bound = parameters
        if isinstance(item, TypeVar):
            return super().__class_getitem__(parameters)  # type: ignore[misc]  # Generic defines it for subclasses
        if get_origin(bound) is not Literal:
            raise TypeError("the longest length is written Literal[…]")
        return _bound_list(item, get_args(bound)[0])

    def __init__(self, items: Sequence[T] = ()) -> None:
        """Empty, or of the given values; more than fit fail with Panic.LIMIT."""
        if self.ITEM is None:
            raise TypeError("write List[T, Literal[…]](…): a list knows its longest length")
        self._items: list[T] = []
        for item in items:
            self.append(item)

    def append(self, item: T, /) -> None:
        """Add at the end; a full list fails with Panic.LIMIT."""
        if len(self._items) >= self.ITEMS_MAX:
            raise RevertError(Panic.LIMIT, f"the list holds {self.ITEMS_MAX}")
        self._items.append(check_value(self.ITEM, item))

    def pop(self) -> T:
        """Take the last one away; of an empty list fails with Panic.INDEX."""
        if not self._items:
            raise RevertError(Panic.INDEX, "pop of an empty list")
        return self._items.pop()

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int, /) -> T:
        return self._items[self._position(index)]

    def __setitem__(self, index: int, item: T, /) -> None:
        self._items[self._position(index)] = check_value(self.ITEM, item)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __contains__(self, item: T, /) -> bool:
        return item in self._items

    def __eq__(self, other: object) -> bool:
        return isinstance(other, List) and self._items == other._items

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return repr(self._items)

    def _position(self, index: int) -> int:
        if not 0 <= index < len(self._items):
            raise RevertError(Panic.INDEX, f"item {int(index)} of {len(self._items)}")
        return index


@cache
def _bound_list(item: Any, items_max: int) -> "type[List[Any, Any]]":
    name = f"List[{item}, {items_max}]"
    return cast("type[List[Any, Any]]", type(name, (List,), {"ITEM": item, "ITEMS_MAX": items_max, "__slots__": ()}))


STRUCT_MARK: Final = "__iov_struct__"
EVENT_MARK: Final = "__iov_event__"


@dataclass_transform(frozen_default=True)
def struct(cls: type[T]) -> type[T]:
    """Make a class with annotated fields a frozen value with parts."""
    return _freeze(cls, STRUCT_MARK)


@dataclass_transform(frozen_default=True)
def event(cls: type[T]) -> type[T]:
    """Make a class with annotated fields an event that `emit` takes."""
    return _freeze(cls, EVENT_MARK)


def replace(value: T, /, **changes: Any) -> T:
    """The struct with some fields changed."""
    return cast(T, replace_fields(cast(Any, value), **changes))


def check_value(kind: Any, value: T) -> T:
    """The value itself if it is of the declared type; raises TypeError, as mypy and the compiler would complain."""
    if type(value) is kind:
        return value
    arguments = get_args(kind)
    if type(None) in arguments and (value is None or any(type(value) is each for each in arguments)):
        return value
    raise TypeError(f"{value!r} is a {type(value).__name__}, not {getattr(kind, '__name__', kind)}")


def _freeze(cls: type[T], mark: str) -> type[T]:
    annotations = cls.__annotations__

    def check_fields(self: Any) -> None:
        for field in fields(self):
            check_value(annotations[field.name], getattr(self, field.name))

    setattr(cls, "__post_init__", check_fields)  # noqa: B010  # the class does not declare it
    setattr(cls, mark, True)
    return dataclass(frozen=True, slots=True)(cls)
