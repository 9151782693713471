"""Sealed boxes of libsodium (X25519, XSalsa20-Poly1305). The ephemeral key is an argument: its entropy is the caller's.

    sealed = ephemeral public key, 32 bytes ‖ box(text), nonce BLAKE2b-192(ephemeral public key ‖ reader's key)

`nacl.bindings.crypto_box_seal_open` opens them.
"""

from hashlib import blake2b

import nacl.bindings as sodium


def seal(text: bytes, reader_key: bytes, ephemeral_secret: bytes) -> bytes:
    """A text for the owner of an X25519 key alone. The secret is 32 fresh random bytes, used once and forgotten."""
    ephemeral_key = sodium.crypto_scalarmult_base(ephemeral_secret)
    nonce = blake2b(ephemeral_key + reader_key, digest_size=sodium.crypto_box_NONCEBYTES).digest()
    return ephemeral_key + sodium.crypto_box(text, nonce, reader_key, ephemeral_secret)
