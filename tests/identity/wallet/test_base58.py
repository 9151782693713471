import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.wallet.base58 import (
    TEXT_CHARACTERS_MAX,
    decode_base58,
    decode_base58check,
    encode_base58,
    encode_base58check,
)
from identity.wallet.errors import WalletError


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ("", ""),
        ("61", "2g"),
        ("626262", "a3gV"),
        ("73696d706c792061206c6f6e6720737472696e67", "2cFupjhnEsSn59qHXstmK2ffpLv2"),
        ("00eb15231dfceb60925886b67d065299925915aeb172c06647", "1NS17iag9jJgTHD1VXjvLCEnZuQ3rJDE9L"),
        ("516b6fcd0f", "ABnLTmg"),
        ("00000000000000000000", "1111111111"),
    ],
)
def test_the_answers_of_bitcoin_core(payload: str, text: str) -> None:
    """src/test/data/base58_encode_decode.json, a selection."""
    assert encode_base58(bytes.fromhex(payload)) == text
    assert decode_base58(text).hex() == payload


@given(st.binary(max_size=60))
def test_bytes_survive(payload: bytes) -> None:
    assert decode_base58(encode_base58(payload)) == payload
    if payload:
        assert decode_base58check(encode_base58check(payload)) == payload


@pytest.mark.parametrize("text", ["0", "O", "I", "l", " 2g", "2g\n", "2-g", "é"])
def test_other_characters_are_refused(text: str) -> None:
    with pytest.raises(WalletError, match="does not use"):
        decode_base58(text)


def test_a_long_text_is_refused_before_the_work() -> None:
    assert len(decode_base58("z" * TEXT_CHARACTERS_MAX)) < TEXT_CHARACTERS_MAX
    with pytest.raises(WalletError, match="longer than 128"):
        decode_base58("z" * (TEXT_CHARACTERS_MAX + 1))


def test_every_changed_character_breaks_the_checksum() -> None:
    text = encode_base58check(b"\x00" + bytes(range(20)))
    for index, character in enumerate(text):
        other = "2" if character != "2" else "3"
        with pytest.raises(WalletError, match="checksum"):
            decode_base58check(text[:index] + other + text[index + 1 :])


@pytest.mark.parametrize("text", ["", "1", "1111", "3QJmnh"])
def test_a_checksum_alone_is_no_payload(text: str) -> None:
    with pytest.raises(WalletError, match="checksum"):
        decode_base58check(text)
