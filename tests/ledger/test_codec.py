"""The codec: one accepted byte form for every value, and DecodeError for everything else."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, NewType

import msgpack
import pytest
from annotated_types import Interval, Len
from hypothesis import given
from hypothesis import strategies as st

from ledger.codec import (
    DEPTH_MAX,
    Arguments,
    DecodeError,
    decode,
    encode,
    from_plain,
    pack,
    unpack,
)


class Colour(IntEnum):
    RED = 1
    BLUE = 7


Small = NewType("Small", Annotated[int, Interval(ge=0, le=300)])
Name = Annotated[str, Len(1, 5)]


@dataclass(frozen=True, slots=True)
class Inner:
    number: Small
    name: Name


@dataclass(frozen=True, slots=True)
class Outer:
    colour: Colour
    flag: bool
    inner: Inner
    many: Annotated[tuple[Inner, ...], Len(0, 3)]
    pair: tuple[int, bytes]
    number_or_salt: Small | Annotated[bytes, Len(2, 2)]
    maybe: Inner | None
    arguments: Arguments


inners = st.builds(Inner, st.integers(0, 300), st.text(min_size=1, max_size=5))
plain_leaves = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(), st.binary())
arguments_lists = st.lists(st.recursive(plain_leaves, lambda inner: st.lists(inner, max_size=3), max_leaves=10))
outers = st.builds(
    Outer,
    st.sampled_from(Colour),
    st.booleans(),
    inners,
    st.lists(inners, max_size=3).map(tuple),
    st.tuples(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=40)),
    st.one_of(st.integers(0, 300), st.binary(min_size=2, max_size=2)),
    st.one_of(st.none(), inners),
    arguments_lists,
)
OUTER = Outer(Colour.BLUE, True, Inner(Small(5), "ab"), (), (-1, b"x"), b"so", None, [1, [None, "a"]])


@given(outers)
def test_decoding_gives_back_what_was_encoded(value: Outer) -> None:
    encoded = encode(value)
    decoded = decode(Outer, encoded)
    assert decoded == value
    assert encode(decoded) == encoded
    assert from_plain(Outer, unpack(encoded)) == value


@given(outers, st.data())
def test_a_changed_byte_is_refused_or_another_value_in_its_one_form(value: Outer, data: st.DataObject) -> None:
    encoded = bytearray(encode(value))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decoded = decode(Outer, bytes(encoded))
    except DecodeError:
        return
    assert encode(decoded) == encoded


@given(st.binary(max_size=100))
def test_rubbish_raises_decode_error_alone(encoded: bytes) -> None:
    for kind in (Outer, Inner):
        try:
            decoded = decode(kind, encoded)
        except DecodeError:
            continue
        assert encode(decoded) == encoded


def test_the_form_is_an_array_of_the_fields() -> None:
    assert encode(Inner(Small(5), "ab")) == bytes.fromhex("92 05 a2 61 62")
    assert encode(OUTER) == bytes.fromhex("98 07 c3 92 05 a2 61 62 90 92 ff c4 01 78 c4 02 73 6f c0 92 01 92 c0 a1 61")


@pytest.mark.parametrize(
    "encoded",
    [
        "92 cc 05 a2 61 62",  # 5 in two bytes
        "92 cd 00 05 a2 61 62",  # 5 in three
        "92 05 d9 02 61 62",  # a longer string header
        "dc 00 02 05 a2 61 62",  # a longer array header
        "92 05 a2 61 62 00",  # a byte too many
        "92 05 a2 61",  # one too few
        "",
    ],
)
def test_other_forms_of_the_same_value_are_refused(encoded: str) -> None:
    assert decode(Inner, bytes.fromhex("92 05 a2 61 62")) == Inner(Small(5), "ab")
    with pytest.raises(DecodeError):
        decode(Inner, bytes.fromhex(encoded))


@pytest.mark.parametrize(
    "plain",
    [
        [301, "ab"],
        [-1, "ab"],
        [True, "ab"],
        [5.0, "ab"],
        ["5", "ab"],
        [None, "ab"],
        [5, ""],
        [5, "abcdef"],
        [5, b"ab"],
        [5],
        [5, "ab", None],
        {"number": 5, "name": "ab"},
        5,
        None,
        b"",
    ],
)
def test_limits_types_and_the_number_of_fields_are_checked(plain: Any) -> None:
    with pytest.raises(DecodeError):
        from_plain(Inner, plain)
    with pytest.raises(DecodeError):
        decode(Inner, msgpack.packb(plain))


def test_the_message_names_the_field() -> None:
    plain = unpack(encode(OUTER))
    plain[2] = [301, "ab"]
    with pytest.raises(DecodeError, match=r"Outer\.inner: Inner\.number: expected an integer from 0 to 300"):
        from_plain(Outer, plain)


@pytest.mark.parametrize(
    ("position", "bad"),
    [
        (0, 2),
        (0, "RED"),
        (0, True),
        (1, 1),
        (3, [[1, "a"]] * 4),
        (4, [1]),
        (4, [1, b"", 0]),
        (4, [2**63, b""]),
        (5, b"one"),
        (5, "so"),
        (5, None),
        (6, 0),
        (7, None),
        (7, [1.5]),
        (7, [{}]),
        (7, [2**63]),
        (7, [-(2**63) - 1]),
        (7, [msgpack.ExtType(1, b"")]),
        (7, [msgpack.Timestamp(1, 0)]),
    ],
)
def test_one_bad_field_spoils_the_whole(position: int, bad: Any) -> None:
    plain = unpack(encode(OUTER))
    assert from_plain(Outer, plain) == OUTER
    plain[position] = bad
    with pytest.raises(DecodeError):
        from_plain(Outer, plain)


def nest(depth: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    return nested


def test_nesting_ends_at_the_limit() -> None:
    from_plain(Arguments, nest(DEPTH_MAX - 1))  # type: ignore[arg-type]  # an alias is not a class
    for depth in (DEPTH_MAX + 1, 100):
        with pytest.raises(DecodeError, match="nested deeper"):
            from_plain(Arguments, nest(depth))  # type: ignore[arg-type]  # an alias is not a class


@pytest.mark.parametrize("opener", [b"\x91", b"\xdc\x00\x01", b"\x81\x01"])
def test_absurd_nesting_is_a_decode_error(opener: bytes) -> None:
    with pytest.raises(DecodeError):
        unpack(opener * 100_000 + b"\xc0")


@pytest.mark.parametrize(
    "encoded",
    [
        b"\xdd\xff\xff\xff\xff",  # an array of 2^32 - 1 items
        b"\xc6\xff\xff\xff\xff",  # bytes of that length
        b"\xdf\xff\xff\xff\xff",  # a map of that size
        b"\xa1\xff",  # not UTF-8
        b"\xa3\xed\xa0\x80",  # half a surrogate pair
        b"\xc1",  # never used
        b"\x82\x01\x01\x01\x01",  # the same key twice
        b"\x81\x90\x01",  # a list as a key
        b"\x01\x01",  # two values
    ],
)
def test_hostile_headers_are_decode_errors(encoded: bytes) -> None:
    with pytest.raises(DecodeError):
        unpack(encoded)


def test_types_without_a_byte_form_are_our_own_mistake() -> None:
    @dataclass(frozen=True)
    class WithFloat:
        amount: float

    with pytest.raises(TypeError, match="no byte form"):
        decode(WithFloat, pack([1.0]))

    @dataclass(frozen=True)
    class Ambiguous:
        value: Small | Annotated[int, Interval(ge=0, le=1)]

    with pytest.raises(AssertionError, match="told apart"):
        decode(Ambiguous, pack([1]))
