"""What nodes say to each other above the transport: kinds, payloads and their limits."""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Final

from annotated_types import Interval, Len

from consensus.light import CommitteeChange
from ledger.block import BLOCK_TRANSACTIONS_MAX, CertifiedHeader
from ledger.committee import Committee
from ledger.primitives import EnvelopeHash, Height
from ledger.state_part import PART_BYTES_MAX, PART_CHILDREN_BYTES_MAX
from ledger.state_proof import STATE_VALUE_BYTES_MAX
from ledger.transaction import TRANSACTION_BYTES_MAX
from ledger.tree import PATH_NIBBLES, STATE_KEY_BYTES_MAX
from p2p.frames import Channel

GOSSIP_TRANSACTIONS_MAX: Final = 2_000  # in one frame
GOSSIP_BYTES_MAX: Final = 512 * 1024
BLOCKS_ANSWER_MAX: Final = 64
BLOCKS_ANSWER_BYTES_MAX: Final = 8 * 2**20 + 2**19  # one block of the largest size always fits
HASHES_REQUEST_MAX: Final = BLOCK_TRANSACTIONS_MAX
COMMITTEE_CHANGES_MAX: Final = 64  # of 21 members each 220 kB; whoever answers reads and encodes them in one turn
RECEIPTS_BYTES_MAX: Final = 8 * 2**20
EVENTS_BYTES_MAX: Final = 2**19
PART_ENTRIES_BYTES_MAX: Final = max(PART_BYTES_MAX, STATE_KEY_BYTES_MAX + STATE_VALUE_BYTES_MAX) + 2**10

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
    SNAPSHOT_REQUEST = 520
    """SnapshotRequest"""
    SNAPSHOT_OFFER = 521
    """SnapshotOffer"""
    COMMITTEE_CHANGES_REQUEST = 522
    """CommitteeChangesRequest"""
    COMMITTEE_CHANGES = 523
    """CommitteeChanges"""
    HEADER_REQUEST = 524
    """HeaderRequest: of an operator's checkpoint"""
    HEADER_ANSWER = 525
    """HeaderAnswer"""
    RECEIPTS_REQUEST = 526
    """ReceiptsRequest"""
    RECEIPTS_ANSWER = 527
    """ReceiptsAnswer"""
    STATE_PART_REQUEST = 528
    """StatePartRequest"""
    STATE_PART = 529
    """StatePartAnswer"""


CHANNELS: Final[dict[int, Channel]] = {
    MessageKind.STATUS: Channel.CONTROL,
    MessageKind.TRANSACTIONS: Channel.TRANSACTIONS,
    MessageKind.TRANSACTIONS_REQUEST: Channel.TRANSACTIONS,
    MessageKind.TRANSACTIONS_ANSWER: Channel.TRANSACTIONS,
    MessageKind.CONSENSUS: Channel.CONSENSUS,
    MessageKind.EVIDENCE: Channel.CONSENSUS,
    MessageKind.BLOCKS_REQUEST: Channel.SYNC,
    MessageKind.BLOCKS_ANSWER: Channel.SYNC,
    MessageKind.SNAPSHOT_REQUEST: Channel.SYNC,
    MessageKind.SNAPSHOT_OFFER: Channel.SYNC,
    MessageKind.COMMITTEE_CHANGES_REQUEST: Channel.SYNC,
    MessageKind.COMMITTEE_CHANGES: Channel.SYNC,
    MessageKind.HEADER_REQUEST: Channel.SYNC,
    MessageKind.HEADER_ANSWER: Channel.SYNC,
    MessageKind.RECEIPTS_REQUEST: Channel.SYNC,
    MessageKind.RECEIPTS_ANSWER: Channel.SYNC,
    MessageKind.STATE_PART_REQUEST: Channel.SYNC,
    MessageKind.STATE_PART: Channel.SYNC,
}
"""Each kind has one channel, whose limits are its limits."""

SNAPSHOT_REQUESTS: Final = frozenset(
    {
        MessageKind.SNAPSHOT_REQUEST,
        MessageKind.COMMITTEE_CHANGES_REQUEST,
        MessageKind.HEADER_REQUEST,
        MessageKind.RECEIPTS_REQUEST,
        MessageKind.STATE_PART_REQUEST,
    }
)
SNAPSHOT_ANSWERS: Final = frozenset(
    {
        MessageKind.SNAPSHOT_OFFER,
        MessageKind.COMMITTEE_CHANGES,
        MessageKind.HEADER_ANSWER,
        MessageKind.RECEIPTS_ANSWER,
        MessageKind.STATE_PART,
    }
)


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


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """Which state can be downloaded: that after this height, or the newest."""

    height: Height | None


@dataclass(frozen=True, slots=True)
class SnapshotOffer:
    """The state after the block before `sealed`, whose roots that header states; nil: none, or not that one."""

    asked_height: Height | None
    head_height: Height
    """How far the peer has come: one at the beginning has nothing to offer."""
    sealed: CertifiedHeader | None


@dataclass(frozen=True, slots=True)
class CommitteeChangesRequest:
    """Headers from this height on after which another committee rules."""

    first_height: Height


@dataclass(frozen=True, slots=True)
class CommitteeChanges:
    """These headers in order, as many as fit; empty when there are none."""

    first_height: Height
    changes: Annotated[tuple[CommitteeChange, ...], Len(0, COMMITTEE_CHANGES_MAX)]


@dataclass(frozen=True, slots=True)
class HeaderRequest:
    """The header of a height and the committee that it announces."""

    height: Height


@dataclass(frozen=True, slots=True)
class HeaderAnswer:
    """Both, or nil when the height is not kept."""

    height: Height
    header: CertifiedHeader | None
    next_committee: Committee | None


@dataclass(frozen=True, slots=True)
class ReceiptsRequest:
    """What became of a block."""

    height: Height


@dataclass(frozen=True, slots=True)
class ReceiptsAnswer:
    """The block's receipts as stored, nil when they are not kept or too long, and its events, nil when it had none."""

    height: Height
    receipts: Annotated[bytes, Len(1, RECEIPTS_BYTES_MAX)] | None
    events: Annotated[bytes, Len(1, EVENTS_BYTES_MAX)] | None


@dataclass(frozen=True, slots=True)
class StatePartRequest:
    """What stands at a place of the state after this height."""

    height: Height
    path: Annotated[bytes, Len(0, PATH_NIBBLES)]
    """Nibbles, one a byte."""


@dataclass(frozen=True, slots=True)
class StatePartAnswer:
    """A `ledger.state_part.StatePart`; both nil when the state of this height is not served."""

    height: Height
    path: Annotated[bytes, Len(0, PATH_NIBBLES)]
    entries: Annotated[bytes, Len(1, PART_ENTRIES_BYTES_MAX)] | None
    """A packed list: key, value, key, value, …"""
    children: Annotated[bytes, Len(1, PART_CHILDREN_BYTES_MAX)] | None
