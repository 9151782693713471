"""Headers, blocks and the certificates that finalise them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Final

from annotated_types import Interval, Len

from ledger.codec import encode
from ledger.committee import COMMITTEE_MEMBERS_MAX
from ledger.merkle import compute_leaf_hash, compute_root
from ledger.primitives import (
    BlockHash,
    ChainId,
    ConsensusKey,
    EnvelopeHash,
    Height,
    RootHash,
    Round,
    Signature,
    TimeMs,
)

HEADER_VERSION: Final = 1
BLOCK_TRANSACTIONS_MAX: Final = 10_000  # hard cap; the chain's parameters set a lower one
BLOCK_BYTES_MAX: Final = 8 * 2**20
EVIDENCE_MAX: Final = 32
EVIDENCE_BYTES_MAX: Final = 4_096


@dataclass(frozen=True)
class Header:
    """What votes are about. State and receipts roots are those after the *previous* block."""

    version: Annotated[int, Interval(ge=HEADER_VERSION, le=HEADER_VERSION)]
    chain_id: ChainId
    height: Height
    round: Round
    """Round in which this block was first proposed: earlier proposers of the height were absent."""
    time_ms: TimeMs
    previous_hash: BlockHash
    proposer: ConsensusKey
    transactions_root: RootHash
    evidence_root: RootHash
    state_root: RootHash
    receipts_root: RootHash
    committee_hash: RootHash
    next_committee_hash: RootHash
    parameters_hash: RootHash

    @cached_property
    def encoded(self) -> bytes:
        """The one byte form."""
        return encode(self)

    @cached_property
    def hash(self) -> BlockHash:
        """SHA-256 of the encoded header: the block's identity."""
        return BlockHash(sha256(self.encoded).digest())


@dataclass(frozen=True)
class Block:
    """A header and what it commits to; transactions are kept as the bytes they came in."""

    header: Header
    transactions: Annotated[tuple[Annotated[bytes, Len(1, 65_536)], ...], Len(0, BLOCK_TRANSACTIONS_MAX)]
    evidence: Annotated[tuple[Annotated[bytes, Len(1, EVIDENCE_BYTES_MAX)], ...], Len(0, EVIDENCE_MAX)]


@dataclass(frozen=True, slots=True)
class CommitCertificate:
    """More than 2/3 of the committee's precommits for one block in one round."""

    height: Height
    round: Round
    block_hash: BlockHash
    signatures: Annotated[
        tuple[tuple[Annotated[int, Interval(ge=0, le=COMMITTEE_MEMBERS_MAX - 1)], Signature], ...],
        Len(0, COMMITTEE_MEMBERS_MAX),
    ]
    """(member index, signature over the precommit), indices strictly ascending. Empty only for genesis."""


@dataclass(frozen=True)
class CertifiedBlock:
    """A final block with its proof, as stored and as sent to peers that catch up."""

    block: Block
    certificate: CommitCertificate


@dataclass(frozen=True)
class CertifiedHeader:
    """A final header with its proof: all that is kept for good of a block after which another committee rules."""

    header: Header
    certificate: CommitCertificate


def compute_transactions_root(envelope_hashes: list[EnvelopeHash]) -> RootHash:
    """RFC 6962 root whose leaves are the transactions' bytes."""
    return compute_root(list(envelope_hashes))


def compute_evidence_root(evidence: Sequence[bytes]) -> RootHash:
    """RFC 6962 root whose leaves are the pieces of evidence."""
    return compute_root([compute_leaf_hash(piece) for piece in evidence])
