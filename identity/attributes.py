"""What wallets and verifiers do with values of attributes: seal them for one reader, open them, commit to them.

Only sealed values and commitments stand on the chain. A sealed value is a libsodium sealed box (X25519,
XSalsa20-Poly1305), whose ephemeral key is an argument here: its entropy is the caller's.

    text       = salt, 32 bytes ‖ length of the value, 2 bytes big-endian ‖ value ‖ zeros up to a multiple of 64 bytes
    sealed     = ephemeral public key, 32 bytes ‖ box(text), nonce BLAKE2b-192(ephemeral public key ‖ reader's key)
    commitment = SHA-256("carlive attribute" 0x00 ‖ length of the name, 1 byte ‖ name ‖ salt ‖ value)

The zeros keep a sealed "yes" as long as a sealed "no". The salt keeps a commitment from being guessed.
"""

from hashlib import sha256
from typing import Annotated, Final, NewType

import nacl.bindings as sodium
from annotated_types import Len
from nacl.exceptions import CryptoError

from identity.keys import InvalidKeyError
from identity.multikey import AGREEMENT_KEY_BYTES, check_agreement_key
from identity.sealing import seal

ATTRIBUTE_NAME_CHARACTERS_MAX: Final = 64
ATTRIBUTE_VALUE_BYTES_MAX: Final = 512  # a name, a date, a licence; documents stay elsewhere and are committed to
ATTRIBUTE_SALT_BYTES: Final = 32
SEALED_OVERHEAD_BYTES: Final = sodium.crypto_box_SEALBYTES
"""What sealing adds: the ephemeral key, 32 bytes, and the authenticator, 16."""
_LENGTH_BYTES: Final = 2
_PAD_BYTES: Final = 64
_HEAD_BYTES: Final = ATTRIBUTE_SALT_BYTES + _LENGTH_BYTES
SEALED_BYTES_MIN: Final = SEALED_OVERHEAD_BYTES + _PAD_BYTES
SEALED_BYTES_MAX: Final = (
    SEALED_OVERHEAD_BYTES - (-(_HEAD_BYTES + ATTRIBUTE_VALUE_BYTES_MAX) // _PAD_BYTES) * _PAD_BYTES
)
_COMMITMENT_DOMAIN: Final = b"carlive attribute\0"

AttributeCommitment = NewType("AttributeCommitment", Annotated[bytes, Len(32, 32)])
"""Hash of an attribute's name, salt and value."""


class InvalidAttributeError(ValueError):
    """This cannot be sealed, opened or committed to; the message says why."""


def compute_answer_key(verifier_secret: bytes) -> bytes:
    """The X25519 key for which answers are sealed that this secret opens; raises InvalidKeyError."""
    _check_secret(verifier_secret)
    return sodium.crypto_scalarmult_base(verifier_secret)


def compute_attribute_commitment(name: str, value: bytes, salt: bytes) -> AttributeCommitment:
    """What commits to an attribute's value without showing it; raises InvalidAttributeError."""
    encoded = name.encode()
    if not 1 <= len(encoded) <= ATTRIBUTE_NAME_CHARACTERS_MAX:
        raise InvalidAttributeError(f"a name has 1 to {ATTRIBUTE_NAME_CHARACTERS_MAX} bytes")
    _check_sizes(value, salt)
    return AttributeCommitment(sha256(_COMMITMENT_DOMAIN + bytes([len(encoded)]) + encoded + salt + value).digest())


def seal_attribute(value: bytes, salt: bytes, verifier_key: bytes, ephemeral_secret: bytes) -> bytes:
    """A value and its salt for the owner of an X25519 key alone; raises InvalidAttributeError, InvalidKeyError.

    `ephemeral_secret` is 32 fresh random bytes, used once and forgotten: whoever has it reads the value.
    """
    _check_sizes(value, salt)
    check_agreement_key(verifier_key)
    _check_secret(ephemeral_secret)
    text = salt + len(value).to_bytes(_LENGTH_BYTES, "big") + value
    text += bytes(-len(text) % _PAD_BYTES)
    return seal(text, verifier_key, ephemeral_secret)


def open_attribute(sealed: bytes, verifier_secret: bytes) -> tuple[bytes, bytes]:
    """Value and salt of what was sealed for this X25519 secret; raises InvalidAttributeError, InvalidKeyError."""
    _check_secret(verifier_secret)
    if not SEALED_BYTES_MIN <= len(sealed) <= SEALED_BYTES_MAX:
        raise InvalidAttributeError("no sealed value has this length")
    try:
        text = sodium.crypto_box_seal_open(sealed, sodium.crypto_scalarmult_base(verifier_secret), verifier_secret)
    except CryptoError:
        raise InvalidAttributeError("it was sealed for another key, or was changed") from None
    salt, length = text[:ATTRIBUTE_SALT_BYTES], int.from_bytes(text[ATTRIBUTE_SALT_BYTES:_HEAD_BYTES], "big")
    end = _HEAD_BYTES + length
    if length > ATTRIBUTE_VALUE_BYTES_MAX or len(text) != end + -end % _PAD_BYTES or any(text[end:]):
        raise InvalidAttributeError("what was sealed is no attribute")
    return text[_HEAD_BYTES:end], salt


def _check_sizes(value: bytes, salt: bytes) -> None:
    if len(value) > ATTRIBUTE_VALUE_BYTES_MAX:
        raise InvalidAttributeError(f"a value has at most {ATTRIBUTE_VALUE_BYTES_MAX} bytes, not {len(value)}")
    if len(salt) != ATTRIBUTE_SALT_BYTES:
        raise InvalidAttributeError(f"a salt has {ATTRIBUTE_SALT_BYTES} bytes, not {len(salt)}")


def _check_secret(secret: bytes) -> None:
    if len(secret) != AGREEMENT_KEY_BYTES:
        raise InvalidKeyError(f"an X25519 secret has {AGREEMENT_KEY_BYTES} bytes, not {len(secret)}")
