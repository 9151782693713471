"""Everything that can happen to the core."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Len

from consensus.messages import Proposal, RoundSummary, Step, Vote
from consensus.timeouts import Timeouts
from ledger.block import BLOCK_TRANSACTIONS_MAX, EVIDENCE_BYTES_MAX, EVIDENCE_MAX, Header
from ledger.committee import Committee
from ledger.primitives import BlockHash, EnvelopeHash, Height, NodeKey, Round, TimeMs


@dataclass(frozen=True, slots=True)
class HeightStarted:
    """The block before is persisted: this height is the next to decide. Also said once after every start."""

    height: Height
    committee: Committee
    turns: tuple[int, ...]
    """Member indices in the order in which they propose: the first in round 0."""
    previous_hash: BlockHash
    previous_time_ms: TimeMs
    timeouts: Timeouts


@dataclass(frozen=True, slots=True)
class WorkArrived:
    """There is something to put into a block, and the block interval is over: leave the idle wait."""

    height: Height


@dataclass(frozen=True, slots=True)
class ProposalReceived:
    """A proposal came in at this time of the local clock."""

    proposal: Proposal
    received_ms: TimeMs
    peer: NodeKey | None = None
    """Who sent it, to be named if it is bad; None in the log."""


@dataclass(frozen=True, slots=True)
class VoteReceived:
    """A vote came in."""

    vote: Vote
    peer: NodeKey | None = None
    """Who sent it, to be named if it is bad; None in the log."""


@dataclass(frozen=True, slots=True)
class BlockChecked:
    """The answer to CheckBlock."""

    block_hash: BlockHash
    is_valid: bool


@dataclass(frozen=True, slots=True)
class BlockBuilt:
    """The answer to BuildBlock."""

    height: Height
    round: Round
    header: Header
    envelope_hashes: Annotated[tuple[EnvelopeHash, ...], Len(0, BLOCK_TRANSACTIONS_MAX)]
    evidence: Annotated[tuple[Annotated[bytes, Len(1, EVIDENCE_BYTES_MAX)], ...], Len(0, EVIDENCE_MAX)]


@dataclass(frozen=True, slots=True)
class VoteSigned:
    """The answer to SignVote, however late; a signer that refuses gives none."""

    vote: Vote


@dataclass(frozen=True, slots=True)
class ProposalSigned:
    """The answer to SignProposal, however late; a signer that refuses gives none."""

    proposal: Proposal


@dataclass(frozen=True, slots=True)
class TimedOut:
    """A scheduled wait is over. Late and repeated ones do no harm."""

    height: Height
    round: Round
    step: Step


@dataclass(frozen=True, slots=True)
class RoundSkipped:
    """The core went on to this round because members it could not all distrust had; only the log says this to it."""

    height: Height
    round: Round


@dataclass(frozen=True, slots=True)
class SummaryReceived:
    """A peer tells what it has heard."""

    peer: NodeKey
    summary: RoundSummary


Event = (
    HeightStarted
    | WorkArrived
    | ProposalReceived
    | VoteReceived
    | BlockChecked
    | BlockBuilt
    | VoteSigned
    | ProposalSigned
    | TimedOut
    | RoundSkipped
    | SummaryReceived
)
