"""What nodes say to each other above the transport: kinds, payloads and their limits."""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Final

from annotated_types import Interval, Len

from ledger.block import BLOCK_TRANSACTIONS_MAX
from ledger.primitives import EnvelopeHash, Height
from ledger.transaction import TRANSACTION_BYTES_MAX
from p2p.frames import Channel

GOSSIP_TRANSACTIONS_MAX: Final = 2_000  # in one frame
GOSSIP_BYTES_MAX: Final = 512 * 1024
BLOCKS_ANSWER_MAX: Final = 64
BLOCKS_ANSWER_BYTES_MAX: Final = 8 * 2**20 + 2**19  # one block of the largest size always fits
HASHES_REQUEST_MAX: Final = BLOCK_TRANSACTIONS_MAX

EncodedBlock = Annotated[bytes, Len(1, BLOCKS_ANSWER_BYTES_MAX)]
EncodedCertificate = Annotated[bytes, Len(1, 4_096)]
"""21 signatures of 64 bytes and what is around them."""


@unique
class MessageKind(IntEnum):
    """Wire number of a message; never reused. Numbers below 256 are the transport's own on its control channel."""

    STATUS = 256
    """Status: sent on joining and after every block."""
    TRANSACTIONS = 300
    """TransactionBatch: gossip."""
    TRANSACTIONS_REQUEST = 301
    """TransactionsRequest: transactions that a proposal names and the sender lacks."""
    TRANSACTIONS_ANSWER = 302
    """TransactionBatch: those of them that are known."""
    CONSENSUS = 400
    """consensus.messages.Message: proposal, vote or summary."""
    EVIDENCE = 401
    """ledger.evidence.Evidence: that a super node signed twice."""
    BLOCKS_REQUEST = 500
    """BlocksRequest"""
    BLOCKS_ANSWER = 501
    """BlocksAnswer"""


CHANNELS: Final[dict[int, Channel]] = {
    MessageKind.STATUS: Channel.CONTROL,
    MessageKind.TRANSACTIONS: Channel.TRANSACTIONS,
    MessageKind.TRANSACTIONS_REQUEST: Channel.TRANSACTIONS,
    MessageKind.TRANSACTIONS_ANSWER: Channel.TRANSACTIONS,
    MessageKind.CONSENSUS: Channel.CONSENSUS,
    MessageKind.EVIDENCE: Channel.CONSENSUS,
    MessageKind.BLOCKS_REQUEST: Channel.SYNC,
    MessageKind.BLOCKS_ANSWER: Channel.SYNC,
}
"""Each kind has one channel, whose limits are its limits."""


@dataclass(frozen=True, slots=True)
class Status:
    """How far a node has come."""

    head_height: Height
    earliest_height: Height


@dataclass(frozen=True, slots=True)
class TransactionBatch:
    """Encoded transactions."""

    transactions: Annotated[
        tuple[Annotated[bytes, Len(1, TRANSACTION_BYTES_MAX)], ...], Len(1, GOSSIP_TRANSACTIONS_MAX)
    ]


@dataclass(frozen=True, slots=True)
class TransactionsRequest:
    """Envelope hashes of wanted transactions."""

    envelope_hashes: Annotated[tuple[EnvelopeHash, ...], Len(1, HASHES_REQUEST_MAX)]


@dataclass(frozen=True, slots=True)
class BlocksRequest:
    """Final blocks from a height on; the answer may stop short of `count`."""

    first_height: Height
    count: Annotated[int, Interval(ge=1, le=BLOCKS_ANSWER_MAX)]


@dataclass(frozen=True, slots=True)
class BlocksAnswer:
    """Consecutive blocks from `first_height` on, each encoded with its certificate; empty when there are none."""

    first_height: Height
    blocks: Annotated[tuple[tuple[EncodedBlock, EncodedCertificate], ...], Len(0, BLOCKS_ANSWER_MAX)]
