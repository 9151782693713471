"""Accounts of a platform: what stands on the chain in place of their names, and the keys with which they are claimed.

Both follow from one master key of the platform, so it keeps nothing for each account. Names are guessed easily, so the
hash of an account takes a salt that only platform and user know. Who claims an account signs with its claim key: a
secret that was shown to claim it could be copied from a transaction that waits, and used by whoever is faster.
"""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final, NewType

from annotated_types import Len

from identity.keys import KeyType, PrivateKey

MASTER_KEY_BYTES: Final = 32
ACCOUNT_NAME_BYTES_MAX: Final = 256

AccountHash = NewType("AccountHash", Annotated[bytes, Len(32, 32)])
"""Salted hash of an account's name."""
ClaimKey = NewType("ClaimKey", Annotated[bytes, Len(32, 32)])
"""Ed25519 public key that an account is claimed with."""

_SALT_DOMAIN: Final = b"carlive account salt\0"
_SEED_DOMAIN: Final = b"carlive account claim\0"
_HASH_DOMAIN: Final = b"carlive account\0"


class InvalidAccountNameError(ValueError):
    """This text is no name of an account."""


@dataclass(frozen=True, slots=True)
class AccountSecrets:
    """What a platform hands to an account's user, and nobody else."""

    salt: bytes
    """32 bytes; shown with the name, it proves whose account it is."""
    claim_seed: bytes
    """32 bytes, the private Ed25519 key of the claim."""


def encode_account_name(name: str) -> bytes:
    """Its bytes; raises InvalidAccountNameError."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise InvalidAccountNameError("an account's name is Unicode text") from None
    if not 1 <= len(encoded) <= ACCOUNT_NAME_BYTES_MAX:
        raise InvalidAccountNameError(f"an account's name has 1 to {ACCOUNT_NAME_BYTES_MAX} bytes of UTF-8")
    return encoded


def derive_account_secrets(master_key: bytes, name: str) -> AccountSecrets:
    """HMAC-SHA256 of the platform's master key; raises InvalidAccountNameError."""
    assert len(master_key) == MASTER_KEY_BYTES, "all of it"
    encoded = encode_account_name(name)
    return AccountSecrets(
        hmac.digest(master_key, _SALT_DOMAIN + encoded, "sha256"),
        hmac.digest(master_key, _SEED_DOMAIN + encoded, "sha256"),
    )


def compute_account_hash(name: str, salt: bytes) -> AccountHash:
    """What stands for an account; raises InvalidAccountNameError."""
    return AccountHash(sha256(_HASH_DOMAIN + salt + encode_account_name(name)).digest())


def get_claim_private_key(secrets: AccountSecrets) -> PrivateKey:
    """The key that claims an account."""
    return PrivateKey(KeyType.ED25519, secrets.claim_seed)


def encode_claim_leaf(account_hash: AccountHash, claim_key: ClaimKey) -> bytes:
    """What a migration's tree holds for an account: 64 bytes."""
    return account_hash + claim_key
