"""Bitcoin's compound hashes, which EOS and Qtum use too."""

import hashlib
from hashlib import sha256

from identity.wallet.errors import WalletError


def compute_double_sha256(message: bytes) -> bytes:
    """32 bytes."""
    return sha256(sha256(message).digest()).digest()


def compute_ripemd160(message: bytes) -> bytes:
    """20 bytes; raises WalletError where OpenSSL was built without it."""
    try:
        return hashlib.new("ripemd160", message, usedforsecurity=False).digest()
    except ValueError:
        raise WalletError(
            "the OpenSSL behind this Python has no RIPEMD-160, which addresses need: "
            "use a Python with OpenSSL 3.0.7 or later, where it is built in"
        ) from None


def compute_hash160(message: bytes) -> bytes:
    """20 bytes: RIPEMD-160 of SHA-256, Bitcoin's hash of public keys."""
    return compute_ripemd160(sha256(message).digest())
