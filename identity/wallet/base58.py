"""Base58 and Base58Check: numbers in an alphabet without 0, O, I and l, and with a checksum behind them."""

from typing import Final

from identity.wallet.errors import WalletError
from identity.wallet.hashes import compute_double_sha256

CHECKSUM_BYTES: Final = 4
TEXT_CHARACTERS_MAX: Final = 128  # an extended key has 111; decoding takes time in the square of the length
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}


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
    """Raises WalletError."""
    if len(text) > TEXT_CHARACTERS_MAX:
        raise WalletError(f"the text is longer than {TEXT_CHARACTERS_MAX} characters")
    number = 0
    for character in text:
        if character not in _VALUES:
            raise WalletError("the text holds a character that base58 does not use (0, O, I, l and signs are not used)")
        number = number * len(_ALPHABET) + _VALUES[character]
    zeros = len(text) - len(text.lstrip(_ALPHABET[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def encode_base58check(payload: bytes) -> str:
    """With the first bytes of the double SHA-256 behind it."""
    return encode_base58(payload + compute_double_sha256(payload)[:CHECKSUM_BYTES])


def decode_base58check(text: str) -> bytes:
    """The payload without its checksum; raises WalletError."""
    content = decode_base58(text)
    payload, checksum = content[:-CHECKSUM_BYTES], content[-CHECKSUM_BYTES:]
    if len(content) <= CHECKSUM_BYTES or compute_double_sha256(payload)[:CHECKSUM_BYTES] != checksum:
        raise WalletError("the text has a typing error or was cut off (its checksum does not match)")
    return payload
