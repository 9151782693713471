"""Structs, lists, identifiers, and their packed form."""

from typing import Literal

import pytest

from iov import Address, List, Panic, RevertError, emit, event, pack, replace, struct, u8, u16, u64
from iov.packing import pack_as, unpack_as

Bytes3 = List[u8, Literal[3]]


@struct
class Pair:
    """Two values."""

    number: u16
    items: Bytes3


@event
class Told:
    """An event."""

    number: u64


@pytest.mark.parametrize(
    ("kind", "value", "packed"),
    [
        (u16, u16(258), b"\x02\x01"),
        (bool, True, b"\x01"),
        (str, "ä", b"\x02\0\0\0\xc3\xa4"),
        (Address, Address(b"a" * 20), b"a" * 20),
        (u8 | None, None, b"\x00"),
        (u8 | None, u8(7), b"\x01\x07"),
        (Bytes3, Bytes3([u8(1), u8(2)]), b"\x02\0\0\0\x01\x02"),
        (Pair, Pair(u16(1), Bytes3()), b"\x01\0\0\0\0\0"),
    ],
)
def test_a_value_and_its_packed_form(kind, value, packed):
    assert pack_as(kind, value) == packed
    assert unpack_as(kind, packed) == value
    assert type(unpack_as(kind, packed)) is type(value)


def test_pack_goes_by_the_type_of_the_value():
    assert pack(u64(1)) == (1).to_bytes(8, "little")


def test_a_list_is_bounded_and_its_positions_are_checked():
    items = Bytes3([u8(1), u8(2), u8(3)])
    failures = []
    for failing in (lambda: items.append(u8(4)), lambda: items[3], lambda: items[-1], lambda: Bytes3().pop()):
        with pytest.raises(RevertError) as caught:
            failing()
        failures.append(caught.value.code)
    assert failures == [Panic.LIMIT, Panic.INDEX, Panic.INDEX, Panic.INDEX]
    items[0] = items.pop()
    assert (list(items), len(items), u8(2) in items, items == Bytes3([u8(3), u8(2)])) == ([3, 2], 2, True, True)


def test_an_identifier_has_twenty_bytes():
    with pytest.raises(RevertError) as caught:
        Address(bytes(19))
    assert caught.value.code == Panic.LIMIT


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: Pair(u8(1), Bytes3()),
        lambda: Pair(1, Bytes3()),
        lambda: Bytes3([1]),
        lambda: List([u8(1)]),
        lambda: List[u8, 3],
        lambda: replace(Pair(u16(1), Bytes3()), number=1),
        lambda: emit(Pair(u16(1), Bytes3())),
    ],
)
def test_what_the_compiler_refuses_is_a_type_error(mistake):
    with pytest.raises(TypeError):
        mistake()


def test_a_struct_is_frozen_and_compared_by_value():
    pair = Pair(u16(1), Bytes3())
    assert replace(pair, number=u16(2)) == Pair(u16(2), Bytes3())
    with pytest.raises(AttributeError):
        pair.number = u16(2)
