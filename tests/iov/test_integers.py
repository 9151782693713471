"""Integers of a fixed width: the arithmetic of whole numbers, or a failure."""

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iov import Panic, RevertError, range, u8, u16, u32, u64, u128
from iov.integers import UNSIGNED

OPERATORS = (
    operator.add,
    operator.sub,
    operator.mul,
    operator.floordiv,
    operator.mod,
    operator.and_,
    operator.or_,
    operator.xor,
    operator.rshift,
)


@given(st.sampled_from(UNSIGNED), st.sampled_from(OPERATORS), st.data())
def test_an_operation_gives_the_whole_number_or_fails(kind, operation, data):
    a, b = (data.draw(st.integers(0, 2**kind.BITS - 1) | st.integers(0, 4)) for _ in "ab")
    for left, right in ((kind(a), kind(b)), (kind(a), b), (a, kind(b))):
        try:
            result = operation(left, right)
        except RevertError as error:
            code = error.code
            if b == 0 and operation in (operator.floordiv, operator.mod):
                assert code == Panic.DIVISION_BY_ZERO
            else:
                assert code == Panic.OVERFLOW
                assert not 0 <= operation(a, b) < 2**kind.BITS
        else:
            assert type(result) is kind
            assert result == operation(a, b)


@pytest.mark.parametrize("places", [0, 1, 7, 8, 200, 2**100])
def test_a_shift_to_the_left_loses_nothing(places):
    if places < 8:
        assert u8(1) << places == 1 << places
        assert u128(0) << places == 0
    else:
        with pytest.raises(RevertError) as caught:
            u128(2**127) << u128(places)
        assert caught.value.code == Panic.OVERFLOW
    assert u128(0) << u128(places) == 0


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: u8(1) + u16(1),
        lambda: u64(1) + True,
        lambda: u64(True),
        lambda: -u64(1),
        lambda: ~u64(1),
        lambda: u64(1) / u64(1),
        lambda: u64("1"),
        lambda: range(u8(1), u16(2)),
    ],
)
def test_what_the_compiler_refuses_is_a_type_error(mistake):
    with pytest.raises(TypeError):
        mistake()


@pytest.mark.parametrize(
    ("numbers", "kind", "expected"),
    [
        (range(3), u64, [0, 1, 2]),
        (range(u8(253), u8(255)), u8, [253, 254]),
        (range(1, u32(3)), u32, [1, 2]),
        (range(u16(2), 4), u16, [2, 3]),
        (range(u64(5), u64(5)), u64, []),
    ],
)
def test_a_range_counts_in_the_type_of_its_bounds(numbers, kind, expected):
    found = list(numbers)
    assert found == expected
    assert all(type(each) is kind for each in found)
