"""What it costs to compare packed bytes with their declared types: so much for every value that they can hold."""

from dataclasses import dataclass

from vm.contracts.abi import AbiType, Bool, Bytes, Identifier, ListOf, Option, StructOf, Text, Unsigned
from vm.contracts.prices import CHECKED_VALUE


@dataclass(frozen=True, slots=True)
class CheckPrice:
    """In gas units."""

    fixed: int
    """For the values that are always there."""
    byte: int
    """For each byte, of which lists can make values."""

    def compute(self, packed: bytes) -> int:
        """For these bytes, before they are looked at."""
        return self.fixed + self.byte * len(packed)


def compute_check_price(types: tuple[AbiType, ...]) -> CheckPrice:
    """The price of values of these types."""
    fixed = CHECKED_VALUE * (1 + sum(_count_values(kind) for kind in types))
    return CheckPrice(fixed, max((_price_byte(kind) for kind in types), default=0))


def _count_values(kind: AbiType) -> int:
    """Values that one of this type holds at most, without the items of its lists."""
    match kind:
        case Option(item):
            return 1 + _count_values(item)
        case StructOf(_, fields):
            return 1 + sum(_count_values(field) for _, field in fields)
        case _:
            return 1


def _price_byte(kind: AbiType) -> int:
    """What a byte within a list costs at most: the values of an item, over the fewest bytes it can have."""
    match kind:
        case ListOf(item, _):
            return max(-(-CHECKED_VALUE * _count_values(item) // _count_bytes(item)), _price_byte(item))
        case Option(item):
            return _price_byte(item)
        case StructOf(_, fields):
            return max(_price_byte(field) for _, field in fields)
        case _:
            return 0


def _count_bytes(kind: AbiType) -> int:
    """Packed bytes of a value of this type at least."""
    match kind:
        case Unsigned(bits):
            return bits // 8
        case Bool() | Option():
            return 1
        case Identifier():
            return 20
        case Text() | Bytes() | ListOf():
            return 4
        case StructOf(_, fields):
            return sum(_count_bytes(field) for _, field in fields)
