import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.base58 import TEXT_CHARACTERS_MAX, InvalidBase58Error, decode_base58, encode_base58


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


@pytest.mark.parametrize("text", ["0", "O", "I", "l", " 2g", "2g\n", "2-g", "é"])
def test_other_characters_are_refused(text: str) -> None:
    with pytest.raises(InvalidBase58Error, match="does not use"):
        decode_base58(text)


def test_a_long_text_is_refused_before_the_work() -> None:
    assert len(decode_base58("z" * TEXT_CHARACTERS_MAX)) < TEXT_CHARACTERS_MAX
    with pytest.raises(InvalidBase58Error, match="longer than 128"):
        decode_base58("z" * (TEXT_CHARACTERS_MAX + 1))
