"""Everything the core asks of the node, in the order in which it is to be done.

An effect stands behind those it depends on: what must be on disk before a message leaves stands before that message.
"""

from dataclasses import dataclass

from consensus.log import LogRecord
from consensus.messages import Message, Proposal, Step, Vote
from consensus.safety import SafetyState
from ledger.block import CommitCertificate
from ledger.primitives import BlockHash, Height, NodeKey, Round


@dataclass(frozen=True, slots=True)
class AppendLog:
    """Append this to the write-ahead log; with sync, go on only when the whole log is on disk."""

    record: LogRecord
    sync: bool


@dataclass(frozen=True, slots=True)
class SaveSafety:
    """Replace the safety state; go on only when it is on disk."""

    state: SafetyState


@dataclass(frozen=True, slots=True)
class SignVote:
    """Have `message` signed and answer VoteSigned with the signature in the vote. No answer means no vote."""

    vote: Vote
    message: bytes


@dataclass(frozen=True, slots=True)
class SignProposal:
    """Have `message` signed and answer ProposalSigned with the signature in the proposal. No answer, no proposal."""

    proposal: Proposal
    message: bytes


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send to every peer."""

    message: Message


@dataclass(frozen=True, slots=True)
class SendTo:
    """Send to one peer."""

    peer: NodeKey
    message: Message


@dataclass(frozen=True, slots=True)
class CheckBlock:
    """Fetch missing transactions, check the block against the chain's state, and answer BlockChecked."""

    proposal: Proposal


@dataclass(frozen=True, slots=True)
class FetchProposal:
    """Two thirds voted for a block that is not here: ask peers for its proposal until it comes or the height ends."""

    height: Height
    round: Round
    block_hash: BlockHash


@dataclass(frozen=True, slots=True)
class BuildBlock:
    """It is our turn: answer BlockBuilt with a header of this height and round, later than the block before."""

    height: Height
    round: Round


@dataclass(frozen=True, slots=True)
class ScheduleTimeout:
    """Say TimedOut after this delay; when the height is over it no longer matters."""

    height: Height
    round: Round
    step: Step
    delay_ms: int


@dataclass(frozen=True, slots=True)
class Decide:
    """This block is final: execute and persist it with its certificate, then say HeightStarted for the next."""

    proposal: Proposal
    certificate: CommitCertificate


@dataclass(frozen=True, slots=True)
class ReportEquivocation:
    """A member has signed both, which no honest member does: keep them as evidence."""

    first: Vote | Proposal
    second: Vote | Proposal


@dataclass(frozen=True, slots=True)
class BlameMessage:
    """The message this peer sent is bad in itself, and an honest peer would have seen that."""

    peer: NodeKey
    reason: str


Effect = (
    AppendLog
    | SaveSafety
    | SignVote
    | SignProposal
    | Broadcast
    | SendTo
    | CheckBlock
    | FetchProposal
    | BuildBlock
    | ScheduleTimeout
    | Decide
    | ReportEquivocation
    | BlameMessage
)
