"""Cursors belong to one query of one chain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpc.cursors import CURSOR_CHARACTERS_MAX, decode_cursor, encode_cursor
from rpc.errors import RpcError

CHAIN = b"\x01" * 32


@given(st.integers(min_value=0, max_value=2**63 - 1), st.binary(max_size=64))
def test_goes_there_and_back(number: int, key: bytes) -> None:
    cursor = encode_cursor(CHAIN, "scope", [number, key])
    assert len(cursor) <= CURSOR_CHARACTERS_MAX
    assert decode_cursor(CHAIN, "scope", cursor, (int, bytes)) == [number, key]


@given(st.text(max_size=300))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(RpcError, match="BAD_CURSOR"):
        decode_cursor(CHAIN, "scope", text, (int,))


def test_every_changed_character_is_noticed() -> None:
    cursor = encode_cursor(CHAIN, "scope", [5, 7])
    for position in range(len(cursor)):
        for replacement in "A_9":
            changed = cursor[:position] + replacement + cursor[position + 1 :]
            try:
                position_read = decode_cursor(CHAIN, "scope", changed, (int, int))
            except RpcError:
                continue
            assert position_read == [5, 7], "only bits that base64 leaves unused may differ"


@pytest.mark.parametrize(
    ("chain", "scope", "kinds"),
    [
        (b"\x02" * 32, "scope", (int, int)),
        (CHAIN, "another", (int, int)),
        (CHAIN, "scope", (int,)),
        (CHAIN, "scope", (int, bytes)),
    ],
)
def test_cursor_of_something_else_is_refused(chain: bytes, scope: str, kinds: tuple[type, ...]) -> None:
    cursor = encode_cursor(CHAIN, "scope", [5, 7])
    with pytest.raises(RpcError, match="BAD_CURSOR"):
        decode_cursor(chain, scope, cursor, kinds)


def test_well_made_cursor_with_absurd_numbers_is_refused() -> None:
    for number in (-1, 2**63):
        cursor = encode_cursor(CHAIN, "scope", [number])
        with pytest.raises(RpcError, match="BAD_CURSOR"):
            decode_cursor(CHAIN, "scope", cursor, (int,))
