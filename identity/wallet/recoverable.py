"""ECDSA on secp256k1 over a digest, with the number that leads from a signature back to its public key."""

from dataclasses import dataclass
from typing import Final

import coincurve
from coincurve._libsecp256k1 import ffi

from identity.keys import SIGNATURE_BYTES, KeyType, PrivateKey

DIGEST_BYTES: Final = 32
RECOVERY_IDS: Final = range(4)
EXTRA_ENTROPY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class RecoverableSignature:
    """r ‖ s, 64 bytes, and which of up to four keys made it."""

    recovery_id: int
    signature: bytes


def sign_digest(private_key: PrivateKey, digest: bytes, extra_entropy: bytes | None = None) -> RecoverableSignature:
    """Deterministic (RFC 6979) with s in the lower half; other extra entropy, 32 bytes, gives another signature."""
    assert private_key.key_type is KeyType.SECP256K1 and len(digest) == DIGEST_BYTES
    entropy = ffi.NULL if extra_entropy is None else ffi.new(f"char[{EXTRA_ENTROPY_BYTES}]", extra_entropy)
    signed = coincurve.PrivateKey(private_key.secret).sign_recoverable(
        digest, hasher=None, custom_nonce=(ffi.NULL, entropy)
    )
    return RecoverableSignature(signed[SIGNATURE_BYTES], signed[:SIGNATURE_BYTES])


def recover_public_key(signed: RecoverableSignature, digest: bytes) -> bytes | None:
    """The compressed key that made the signature, 33 bytes; None when no key can have made it."""
    assert signed.recovery_id in RECOVERY_IDS and len(signed.signature) == SIGNATURE_BYTES
    try:
        key = coincurve.PublicKey.from_signature_and_message(
            signed.signature + bytes([signed.recovery_id]), digest, hasher=None
        )
    except ValueError:
        return None
    return key.format()


def expand_public_key(public_key: bytes) -> bytes:
    """The uncompressed form, 65 bytes, of a valid compressed key."""
    return coincurve.PublicKey(public_key).format(compressed=False)
