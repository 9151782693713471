"""base58btc against published answers, and both ways for everything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.base58 import ALPHABET, BASE58_CHARACTERS_MAX, InvalidBase58Error, decode_base58, encode_base58


@pytest.mark.parametrize(
    ("payload", "text"),
    [  # draft-msporny-base58-03, section 5
        (b"Hello World!", "2NEpo7TZRRrLZSi2U"),
        (
            b"The quick brown fox jumps over the lazy dog.",
            "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z",
        ),
        (bytes.fromhex("0000287fb4cd"), "11233QC4"),
        (b"", ""),
        (bytes(20), "1" * 20),
    ],
)
def test_published_answers(payload, text):
    assert encode_base58(payload) == text
    assert decode_base58(text) == payload


@given(st.binary(max_size=64))
def test_every_byte_string_has_one_text(payload):
    assert decode_base58(encode_base58(payload)) == payload


@given(st.text(ALPHABET, max_size=64))
def test_every_text_has_one_byte_string(text):
    assert encode_base58(decode_base58(text)) == text


@pytest.mark.parametrize("text", ["0", "O", "I", "l", " 2", "2N\n", "é", "٣"])
def test_other_characters_are_refused(text):
    with pytest.raises(InvalidBase58Error, match="has no character"):
        decode_base58(text)


def test_the_longest_text():
    assert decode_base58("2" * BASE58_CHARACTERS_MAX)
    with pytest.raises(InvalidBase58Error, match="at most 128 characters here, not 129"):
        decode_base58("2" * (BASE58_CHARACTERS_MAX + 1))
