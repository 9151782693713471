"""Base58: numbers in an alphabet without 0, O, I and l (the one of Bitcoin, which multibase calls base58btc)."""

from typing import Final

TEXT_CHARACTERS_MAX: Final = 128  # an extended key has 111; decoding takes time in the square of the length
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}


class InvalidBase58Error(ValueError):
    """This text is not base58, or too long; the message never quotes it."""


def encode_base58(payload: bytes) -> str:
    """Leading zero bytes become leading ones."""
    number = int.from_bytes(payload, "big")
    digits = []
    while number:
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    zeros = len(payload) - len(payload.lstrip(b"\x00"))
    return _ALPHABET[0] * zeros + "".join(reversed(digits))


def decode_base58(text: str) -> bytes:
    """Raises InvalidBase58Error."""
    if len(text) > TEXT_CHARACTERS_MAX:
        raise InvalidBase58Error(f"the text is longer than {TEXT_CHARACTERS_MAX} characters")
    number = 0
    for character in text:
        if character not in _VALUES:
            raise InvalidBase58Error(
                "the text holds a character that base58 does not use (0, O, I, l and signs are not used)"
            )
        number = number * len(_ALPHABET) + _VALUES[character]
    zeros = len(text) - len(text.lstrip(_ALPHABET[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
