"""What a signature is over: purpose and chain first, so a vote is never a transaction and nothing replays elsewhere."""

from enum import IntEnum, unique
from hashlib import sha256
from typing import Annotated, Final, NewType

from annotated_types import Len

_PREFIX: Final = b"carlive/1\x00"

SigningDomain = NewType("SigningDomain", Annotated[bytes, Len(32, 32)])


@unique
class SigningPurpose(IntEnum):
    """Wire number of what a key signs; never reused."""

    TRANSACTION = 1
    PROPOSAL = 2
    PREVOTE = 3
    PRECOMMIT = 4
    HELLO = 5
    CONSENSUS_KEY_POSSESSION = 6
    """That whoever registers a super node has its consensus key."""
    NODE_KEY_ROTATION = 7
    CONSENSUS_KEY_ROTATION = 8


def compute_signing_domain(chain_id: str, genesis_hash: bytes) -> SigningDomain:
    """SHA-256(length of the chain id, 1 byte ‖ chain id ‖ genesis hash): differs after a re-genesis."""
    name = chain_id.encode()
    return SigningDomain(sha256(bytes([len(name)]) + name + genesis_hash).digest())


def signing_bytes(purpose: SigningPurpose, domain: SigningDomain, encoded: bytes) -> bytes:
    """The message a key signs: "carlive/1" 0x00 ‖ purpose, 1 byte ‖ domain, 32 bytes ‖ encoded value."""
    return _PREFIX + bytes([purpose]) + domain + encoded
