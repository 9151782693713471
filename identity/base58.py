"""Base58 with Bitcoin's alphabet (base58btc): bytes as text without the letters that look alike.

Each leading zero byte is a leading "1", so every text stands for exactly one byte string and the other way round.
"""

from typing import Final

ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BASE58_CHARACTERS_MAX: Final = 128  # of keys and hashes there are at most 87; decoding takes quadratic time

_DIGITS: Final = {character: digit for digit, character in enumerate(ALPHABET)}


class InvalidBase58Error(ValueError):
    """This text is not base58btc; the message says why."""


def encode_base58(payload: bytes) -> str:
    """The text of a byte string."""
    number = int.from_bytes(payload, "big")
    characters = []
    while number:
        number, digit = divmod(number, len(ALPHABET))
        characters.append(ALPHABET[digit])
    zeros = len(payload) - len(payload.lstrip(b"\0"))
    return ALPHABET[0] * zeros + "".join(reversed(characters))


def decode_base58(text: str) -> bytes:
    """The byte string of a text; raises InvalidBase58Error."""
    if len(text) > BASE58_CHARACTERS_MAX:
        raise InvalidBase58Error(f"base58 text has at most {BASE58_CHARACTERS_MAX} characters here, not {len(text)}")
    number = 0
    for character in text:
        digit = _DIGITS.get(character)
        if digit is None:
            raise InvalidBase58Error(f"base58 has no character {character!r}")
        number = number * len(ALPHABET) + digit
    zeros = len(text) - len(text.lstrip(ALPHABET[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
