"""SLIP-0010: ed25519 keys from a seed. Only hardened steps exist on this curve, so no public key leads to another."""

import hmac
from dataclasses import dataclass, field
from typing import Final

from identity.keys import KeyType, PrivateKey
from identity.wallet.derivation_path import HARDENED, DerivationPath
from identity.wallet.errors import WalletError

_MASTER_KEY: Final = b"ed25519 seed"


@dataclass(frozen=True, slots=True)
class Ed25519Node:
    """A key and what its children are derived with, 32 bytes; a secret too."""

    private_key: PrivateKey
    chain_code: bytes = field(repr=False)


def derive_ed25519(seed: bytes, path: DerivationPath) -> Ed25519Node:
    """The key at the end of a path; raises WalletError for a step that is not hardened."""
    node = _split(hmac.digest(_MASTER_KEY, seed, "sha512"))
    for step in path:
        if step < HARDENED:
            raise WalletError("ed25519 has hardened steps only: every step of the path needs an apostrophe")
        message = b"\x00" + node.private_key.secret + step.to_bytes(4, "big")
        node = _split(hmac.digest(node.chain_code, message, "sha512"))
    return node


def _split(digest: bytes) -> Ed25519Node:
    return Ed25519Node(PrivateKey(KeyType.ED25519, digest[:32]), digest[32:])
