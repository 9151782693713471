"""Unsigned integers of a fixed width. Whatever leaves the range fails with Panic.OVERFLOW, here as on the chain."""

from collections.abc import Iterator
from typing import ClassVar, Never, Self, TypeVar, overload

from iov.failures import Panic, RevertError


class Unsigned(int):
    """What the five widths share. The other operand is of the same type, or a plain int that fits it."""

    BITS: ClassVar[int]

    __slots__ = ()

    def __new__(cls, value: int) -> Self:
        """Convert an integer; outside the range it is an overflow."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{cls.__name__} is made of an integer, not of {type(value).__name__}")
        if not 0 <= value < 1 << cls.BITS:
            raise RevertError(Panic.OVERFLOW, f"{int(value)} is not a {cls.__name__}")
        return int.__new__(cls, value)

    def _operand(self, other: int) -> int:
        if type(other) is not type(self):
            if type(other) is not int:
                raise TypeError(f"{type(self).__name__} and {type(other).__name__} do not mix; convert one of them")
            type(self)(other)
        return int(other)

    def __add__(self, other: int, /) -> Self:
        return type(self)(int(self) + self._operand(other))

    def __radd__(self, other: int, /) -> Self:
        return type(self)(self._operand(other) + int(self))

    def __sub__(self, other: int, /) -> Self:
        return type(self)(int(self) - self._operand(other))

    def __rsub__(self, other: int, /) -> Self:
        return type(self)(self._operand(other) - int(self))

    def __mul__(self, other: int, /) -> Self:
        return type(self)(int(self) * self._operand(other))

    def __rmul__(self, other: int, /) -> Self:
        return type(self)(self._operand(other) * int(self))

    def __floordiv__(self, other: int, /) -> Self:
        return type(self)(int(self) // _nonzero(self._operand(other)))

    def __rfloordiv__(self, other: int, /) -> Self:
        return type(self)(self._operand(other) // _nonzero(int(self)))

    def __mod__(self, other: int, /) -> Self:
        return type(self)(int(self) % _nonzero(self._operand(other)))

    def __rmod__(self, other: int, /) -> Self:
        return type(self)(self._operand(other) % _nonzero(int(self)))

    def __lshift__(self, other: int, /) -> Self:
        places = self._operand(other)
        if places >= self.BITS and self:
            raise RevertError(Panic.OVERFLOW, f"{int(self)} << {places} is not a {type(self).__name__}")
        return type(self)(int(self) << min(places, self.BITS))

    def __rlshift__(self, other: int, /) -> Self:
        return type(self)(self._operand(other)) << self

    def __rshift__(self, other: int, /) -> Self:
        return type(self)(int(self) >> self._operand(other))

    def __rrshift__(self, other: int, /) -> Self:
        return type(self)(self._operand(other) >> int(self))

    def __and__(self, other: int, /) -> Self:
        return type(self)(int(self) & self._operand(other))

    def __rand__(self, other: int, /) -> Self:
        return type(self)(self._operand(other) & int(self))

    def __or__(self, other: int, /) -> Self:
        return type(self)(int(self) | self._operand(other))

    def __ror__(self, other: int, /) -> Self:
        return type(self)(self._operand(other) | int(self))

    def __xor__(self, other: int, /) -> Self:
        return type(self)(int(self) ^ self._operand(other))

    def __rxor__(self, other: int, /) -> Self:
        return type(self)(self._operand(other) ^ int(self))

    def __neg__(self) -> Never:
        raise TypeError("an unsigned integer has no negative")

    def __invert__(self) -> Never:
        raise TypeError("an unsigned integer has no ~")

    def __truediv__(self, other: int, /) -> Never:
        raise TypeError("there are no fractions: use //")


class u8(Unsigned):
    """0 to 255."""

    BITS = 8
    __slots__ = ()


class u16(Unsigned):
    """0 to 65,535."""

    BITS = 16
    __slots__ = ()


class u32(Unsigned):
    """0 to 2^32 - 1."""

    BITS = 32
    __slots__ = ()


class u64(Unsigned):
    """0 to 2^64 - 1."""

    BITS = 64
    __slots__ = ()


class u128(Unsigned):
    """0 to 2^128 - 1."""

    BITS = 128
    __slots__ = ()


UNSIGNED = (u8, u16, u32, u64, u128)

U = TypeVar("U", u8, u16, u32, u64)


# A fixed width is also an int: where both forms fit, the first one counts, which is what mypy warns of.
@overload
def range(stop: U, /) -> Iterator[U]: ...  # type: ignore[overload-overlap]
@overload
def range(stop: int, /) -> Iterator[u64]: ...
@overload
def range(start: U, stop: U, /) -> Iterator[U]: ...  # type: ignore[overload-overlap]
@overload
def range(start: U, stop: int, /) -> Iterator[U]: ...  # type: ignore[overload-overlap]
@overload
def range(start: int, stop: U, /) -> Iterator[U]: ...  # type: ignore[overload-overlap]
@overload
def range(start: int, stop: int, /) -> Iterator[u64]: ...
def range(first: int, second: int | None = None, /) -> Iterator[Unsigned]:
    """The numbers from start, 0 if left out, up to and without stop; u64 when neither has a fixed width."""
    start, stop = (0, first) if second is None else (first, second)
    kinds = [type(each) for each in (start, stop) if isinstance(each, Unsigned)]
    kind = kinds[0] if kinds else u64
    if any(each is not kind for each in kinds):
        raise TypeError("start and stop have the same type")
    kind(start), kind(stop)
    return _count(kind, int(start), int(stop))


def _count(kind: type[Unsigned], start: int, stop: int) -> Iterator[Unsigned]:
    while start < stop:
        yield kind(start)
        start += 1


def _nonzero(divisor: int) -> int:
    if divisor == 0:
        raise RevertError(Panic.DIVISION_BY_ZERO)
    return divisor
