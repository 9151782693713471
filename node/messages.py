"""What nodes say to each other above the transport: kinds, payloads and their limits."""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Final

from annotated_types import Interval, Len

from ledger.block import BLOCK_TRANSACTIONS_MAX
from ledger.primitives import EnvelopeHash, Height
from ledger.transaction import TRANSACTION_BYTES_MAX

GOSSIP_TRANSACTIONS_MAX: Final = 2_000  # in one frame
GOSSIP_BYTES_MAX: Final = 512 * 1024
BLOCKS_ANSWER_MAX: Final = 64
BLOCKS_ANSWER_BYTES_MAX: Final = 8 * 2**20 + 2**19  # one block of the largest size always fits
HASHES_REQUEST_MAX: Final = BLOCK_TRANSACTIONS_MAX

EncodedBlock = Annotated[bytes, Len(1, BLOCKS_ANSWER_BYTES_MAX)]


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
    BLOCKS_REQUEST = 500
    """BlocksRequest"""
    BLOCKS_ANSWER = 501
    """BlocksAnswer"""


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
    blocks: Annotated[tuple[tuple[EncodedBlock, bytes], ...], Len(0, BLOCKS_ANSWER_MAX)]
