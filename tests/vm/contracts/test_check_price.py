"""What checking packed bytes costs: never less than by the values that they can hold."""

import pytest

from vm.contracts.abi import Bool, Bytes, Identifier, ListOf, Option, StructOf, Unsigned, pack_values
from vm.contracts.check_price import CheckPrice, compute_check_price
from vm.contracts.prices import CHECKED_VALUE

PAIR = StructOf("Pair", (("a", Unsigned(8)), ("b", Unsigned(8))))


@pytest.mark.parametrize(
    ("types", "values", "byte"),
    [
        ((), 1, 0),
        ((Unsigned(64), Identifier("Address")), 3, 0),
        ((Bytes(),), 2, 0),
        ((Option(Unsigned(128)),), 3, 0),
        ((PAIR, PAIR), 7, 0),
        ((ListOf(Bool(), 9),), 2, CHECKED_VALUE),
        ((ListOf(Identifier("Did"), 9),), 2, CHECKED_VALUE // 20),
        ((ListOf(PAIR, 9), Bool()), 3, CHECKED_VALUE * 3 // 2),
        ((ListOf(ListOf(Bool(), 9), 9),), 2, CHECKED_VALUE),
        ((Option(ListOf(Option(Bytes()), 9)),), 3, CHECKED_VALUE * 2),
    ],
)
def test_values_that_are_always_there_and_those_that_bytes_can_hold(types, values, byte):
    assert compute_check_price(types) == CheckPrice(CHECKED_VALUE * values, byte)


def test_the_price_covers_every_value():
    types = (ListOf(StructOf("Flag", (("is_set", Bool()),)), 4_096),)
    packed = pack_values(types, [[[True]] * 4_096])
    assert compute_check_price(types).compute(packed) >= CHECKED_VALUE * 2 * 4_096
