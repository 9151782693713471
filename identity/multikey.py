"""Public keys as text for DID documents: Multikey, which is multibase base58btc of multicodec prefix and key.

| key type  | multicodec      | text begins with |
|-----------|-----------------|------------------|
| ed25519   | 0xed, 2 bytes   | z6Mk             |
| secp256k1 | 0xe7, 2 bytes   | zQ3s             |
| P-256     | 0x1200, 2 bytes | zDn              |
| X25519    | 0xec, 2 bytes   | z6LS             |

X25519 keys (RFC 7748) agree on secrets and sign nothing, so they are no PublicKey and stand apart here.
"""

from typing import Final

from identity.base58 import encode_base58
from identity.keys import InvalidKeyError, KeyType, PublicKey

AGREEMENT_KEY_BYTES: Final = 32

_PREFIXES: Final = {KeyType.ED25519: b"\xed\x01", KeyType.SECP256K1: b"\xe7\x01", KeyType.P256: b"\x80\x24"}
_AGREEMENT_PREFIX: Final = b"\xec\x01"
_BASE58BTC: Final = "z"

_PRIME: Final = 2**255 - 19
_SMALL_ORDERS: Final = (
    0,
    1,
    _PRIME - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
"""Coordinates u of the points of order 1, 2, 4 and 8 on the curve and its twist: with them every secret is the same."""


def format_multikey(public_key: PublicKey) -> str:
    """The text of a key that signs."""
    return _BASE58BTC + encode_base58(_PREFIXES[public_key.key_type] + public_key.key)


def format_agreement_multikey(key: bytes) -> str:
    """The text of an X25519 key."""
    return _BASE58BTC + encode_base58(_AGREEMENT_PREFIX + key)


def check_agreement_key(key: bytes) -> None:
    """Refuse X25519 keys that are malformed, not canonical or of small order; raises InvalidKeyError."""
    if len(key) != AGREEMENT_KEY_BYTES:
        raise InvalidKeyError(f"an X25519 key has {AGREEMENT_KEY_BYTES} bytes, not {len(key)}")
    coordinate = int.from_bytes(key, "little")
    if coordinate >= _PRIME:
        raise InvalidKeyError("the X25519 key is not in its canonical form")
    if coordinate in _SMALL_ORDERS:
        raise InvalidKeyError("the X25519 key is of small order")
