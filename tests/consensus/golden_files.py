"""The consensus's golden files: traces of the core, event by event, and the bytes of its messages and records."""

from collections.abc import Callable
from pathlib import Path

from consensus.core import Core
from consensus.effects import (
    AppendLog,
    BlameMessage,
    Broadcast,
    BuildBlock,
    CheckBlock,
    Decide,
    Effect,
    FetchProposal,
    ReportEquivocation,
    SaveSafety,
    ScheduleTimeout,
    SendTo,
    SignProposal,
    SignVote,
)
from consensus.events import (
    BlockBuilt,
    BlockChecked,
    Event,
    HeightStarted,
    ProposalReceived,
    ProposalSigned,
    RoundSkipped,
    SummaryReceived,
    TimedOut,
    VoteReceived,
    VoteSigned,
    WorkArrived,
)
from consensus.log import HeightBegan, LockTaken, LogRecord, encode_record
from consensus.messages import (
    Message,
    Proposal,
    RoundSummary,
    RoundVotes,
    Step,
    Vote,
    VoteKind,
    encode_message,
    get_proposal_message,
    get_vote_message,
)
from consensus.safety import SafetyState, encode_safety
from ledger.codec import encode
from ledger.primitives import BlockHash, Height, Round
from tests.consensus.builders import (
    DOMAIN,
    HEIGHT,
    NOW_MS,
    PEER,
    PREVIOUS_HASH,
    build_for,
    make_certificate,
    make_proposal,
    make_vote,
    propose_again,
    public_of,
    sign_proposal,
    sign_vote,
    start_height,
)

GOLDEN_DIRECTORY = Path(__file__).parent / "golden"
PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT
P = make_proposal()
BLOCK = P.block_hash


def format_hash(block_hash: BlockHash | None) -> str:
    """The first bytes are enough to tell blocks apart."""
    return "nil" if block_hash is None else block_hash.hex()[:8]


def format_message(message: Message) -> str:
    """A message in one line."""
    match message:
        case Vote(kind, _, round_number, block_hash, member_index, _):
            return f"{kind.name.lower()} of member {member_index} in round {round_number} for {format_hash(block_hash)}"
        case Proposal(_, round_number, valid_round, _, _, _):
            return f"proposal {format_hash(message.block_hash)} in round {round_number}, valid round {valid_round}"
        case RoundSummary(height, round_number, step, _, _):
            return f"summary of height {height}, round {round_number}, step {step.name.lower()}"


def format_safety(state: SafetyState) -> str:
    """What matters of a safety state."""
    return (
        f"height {state.height}, round {state.round}, {state.step.name.lower()}, "
        f"locked {format_hash(state.locked_hash)} in {state.locked_round}"
    )


def format_event(event: Event | LogRecord) -> str:
    """An event or record in one line."""
    match event:
        case HeightStarted(height, committee):
            return f"height {height} starts with {len(committee.members)} members"
        case WorkArrived(height):
            return f"work arrived for height {height}"
        case ProposalReceived(proposal, received_ms):
            return f"received at {received_ms}: {format_message(proposal)}"
        case VoteReceived(vote):
            return f"received: {format_message(vote)}"
        case BlockChecked(block_hash, is_valid):
            return f"block {format_hash(block_hash)} is {'valid' if is_valid else 'invalid'}"
        case BlockBuilt(_, round_number, header):
            return f"built {format_hash(header.hash)} for round {round_number}"
        case VoteSigned(vote):
            return f"signed: {format_message(vote)}"
        case ProposalSigned(proposal):
            return f"signed: {format_message(proposal)}"
        case TimedOut(_, round_number, step):
            return f"timed out: {step.name.lower()} of round {round_number}"
        case RoundSkipped(_, round_number):
            return f"skipped to round {round_number}"
        case SummaryReceived(_, summary):
            return f"received: {format_message(summary)}"
        case HeightBegan(height, _):
            return f"height {height} began"
        case LockTaken(_, round_number, block_hash):
            return f"locked {format_hash(block_hash)} in round {round_number}"


def format_effect(effect: Effect) -> str:
    """An effect in one line."""
    match effect:
        case AppendLog(record, sync):
            return f"log{' and sync' if sync else ''}: {format_event(record)}"
        case SaveSafety(state):
            return f"save safety: {format_safety(state)}"
        case SignVote(vote, _):
            return f"sign: {format_message(vote)}"
        case SignProposal(proposal, _):
            return f"sign: {format_message(proposal)}"
        case Broadcast(message):
            return f"broadcast: {format_message(message)}"
        case SendTo(_, message):
            return f"send: {format_message(message)}"
        case CheckBlock(proposal):
            return f"check block {format_hash(proposal.block_hash)}"
        case FetchProposal(_, round_number, block_hash):
            return f"fetch proposal {format_hash(block_hash)} of round {round_number}"
        case BuildBlock(_, round_number):
            return f"build block for round {round_number}"
        case ScheduleTimeout(_, round_number, step, delay_ms):
            return f"schedule: {step.name.lower()} of round {round_number} in {delay_ms} ms"
        case Decide(proposal, certificate):
            signers = ", ".join(str(index) for index, _ in certificate.signatures)
            return f"decide {format_hash(proposal.block_hash)} in round {certificate.round}, signed by {signers}"
        case ReportEquivocation(first, second):
            return f"report: {format_message(first)} and {format_message(second)}"
        case BlameMessage(_, reason):
            return f"blame: {reason}"


def trace(index: int | None, *events: Event, size: int = 4) -> str:
    """What a core does with these events; its signer answers at once."""
    core = Core(DOMAIN, None if index is None else public_of(index))
    lines: list[str] = []
    queue = [start_height(size), *events]
    while queue:
        event = queue.pop(0)
        effects = core.handle(event)
        lines += [format_event(event), *[f"    {format_effect(effect)}" for effect in effects]]
        answers: list[Event] = []
        for effect in effects:
            if isinstance(effect, SignVote) and index is not None:
                answers.append(VoteSigned(sign_vote(effect.vote, index)))
            elif isinstance(effect, SignProposal) and index is not None:
                answers.append(ProposalSigned(sign_proposal(effect.proposal, index)))
        queue = answers + queue
    return "\n".join(lines) + "\n"


def hear(kind: VoteKind, block_hash: BlockHash | None, members: tuple[int, ...], round_number: int = 0) -> list[Event]:
    """Votes arrive."""
    return [VoteReceived(make_vote(index, kind, block_hash, round_number), PEER) for index in members]


def receive(proposal: Proposal) -> list[Event]:
    """A proposal arrives and its block is valid."""
    return [ProposalReceived(proposal, NOW_MS, PEER), BlockChecked(proposal.block_hash, True)]


def trace_decision() -> str:
    """A member follows a round in which all goes well."""
    votes = [*hear(PREVOTE, BLOCK, (0, 2)), *hear(PRECOMMIT, BLOCK, (0, 2))]
    return trace(1, WorkArrived(HEIGHT), *receive(P), *votes)


def trace_alone() -> str:
    """A committee of one."""
    built = build_for(BuildBlock(HEIGHT, Round(0)), size=1)
    return trace(0, WorkArrived(HEIGHT), built, size=1)


def trace_lock() -> str:
    """A lock in round 0, the block again in round 1 from the member itself, decided there."""
    return trace(
        1,
        *receive(P),
        *hear(PREVOTE, BLOCK, (0, 2)),
        *hear(PRECOMMIT, None, (0, 2)),
        TimedOut(HEIGHT, Round(0), Step.PRECOMMIT),
        *hear(PREVOTE, BLOCK, (0, 2), 1),
        *hear(PRECOMMIT, BLOCK, (0, 2), 1),
    )


def trace_absent_proposer() -> str:
    """Nobody proposes in round 0; round 1 decides."""
    second = make_proposal(round_number=1)
    return trace(
        2,
        WorkArrived(HEIGHT),
        TimedOut(HEIGHT, Round(0), Step.PROPOSE),
        *hear(PREVOTE, None, (1, 3)),
        *hear(PRECOMMIT, None, (1, 3)),
        TimedOut(HEIGHT, Round(0), Step.PRECOMMIT),
        *receive(second),
        *hear(PREVOTE, second.block_hash, (1, 3), 1),
        *hear(PRECOMMIT, second.block_hash, (1, 3), 1),
    )


def trace_liar() -> str:
    """Forged, conflicting and far messages, a skipped round, and a block that has to be fetched."""
    other = make_proposal(tag=b"other")
    forged = sign_vote(make_vote(2, PREVOTE, BLOCK), 3)
    return trace(
        1,
        *receive(P),
        ProposalReceived(other, NOW_MS, PEER),
        VoteReceived(forged, PEER),
        *hear(PREVOTE, None, (0,)),
        *hear(PREVOTE, other.block_hash, (0,)),
        *hear(PREVOTE, BLOCK, (0,)),
        *hear(PREVOTE, None, (0,), 900),
        *hear(PREVOTE, None, (2, 3), 3),
        *hear(PRECOMMIT, other.block_hash, (0, 2, 3)),
        *receive(other),
    )


def trace_observer() -> str:
    """An observer is helped by a summary's answer and helps others."""
    summary = RoundSummary(HEIGHT, Round(0), Step.PROPOSE, (RoundVotes(Round(0), 0b0001, 0),), ())
    return trace(
        None,
        *receive(P),
        *hear(PREVOTE, BLOCK, (0, 2)),
        SummaryReceived(PEER, summary),
        *hear(PRECOMMIT, BLOCK, (0, 1, 2)),
    )


def list_wire_bytes() -> str:
    """The exact bytes of messages, of what is signed, of log records and of a safety state."""
    vote = make_vote(2, PRECOMMIT, BLOCK, 3)
    nil = make_vote(0, PREVOTE, None)
    summary = RoundSummary(
        HEIGHT,
        Round(2),
        Step.PREVOTE,
        (RoundVotes(Round(0), 0b0111, 0b0001), RoundVotes(Round(2), 0b1000, 0)),
        (Round(0),),
    )
    core = Core(DOMAIN, public_of(1))
    core.handle(start_height())
    for event in [*receive(P), *hear(PREVOTE, BLOCK, (0, 2, 3))]:
        core.handle(event)
    table: list[tuple[str, bytes]] = [
        ("domain", DOMAIN),
        ("header", P.header.encoded),
        ("block hash", BLOCK),
        ("proposal", encode_message(P)),
        ("proposal, signed part", get_proposal_message(DOMAIN, P)),
        ("proposal again, signed part", get_proposal_message(DOMAIN, propose_again(P, 5, 2))),
        ("precommit", encode_message(vote)),
        ("precommit, signed part", get_vote_message(DOMAIN, vote)),
        ("prevote nil", encode_message(nil)),
        ("prevote nil, signed part", get_vote_message(DOMAIN, nil)),
        ("summary", encode_message(summary)),
        ("certificate", encode(make_certificate(P.header, (0, 1, 3)))),
        ("log record: height began", encode_record(HeightBegan(HEIGHT, PREVIOUS_HASH))),
        ("log record: lock taken", encode_record(LockTaken(HEIGHT, Round(0), BLOCK))),
        ("log record: work arrived", encode_record(WorkArrived(HEIGHT))),
        ("log record: proposal received", encode_record(ProposalReceived(P, NOW_MS))),
        ("log record: vote received", encode_record(VoteReceived(vote))),
        ("log record: block checked", encode_record(BlockChecked(BLOCK, True))),
        ("log record: vote signed", encode_record(VoteSigned(vote))),
        ("log record: proposal signed", encode_record(ProposalSigned(P))),
        ("log record: timed out", encode_record(TimedOut(HEIGHT, Round(1), Step.PROPOSE))),
        ("log record: round skipped", encode_record(RoundSkipped(Height(9), Round(4)))),
        ("safety state", encode_safety(core.safety)),
    ]
    return "".join(f"{name}\n    {content.hex()}\n" for name, content in table)


GOLDEN_FILES: list[tuple[Path, Callable[[], str]]] = [
    (GOLDEN_DIRECTORY / "decision.txt", trace_decision),
    (GOLDEN_DIRECTORY / "alone.txt", trace_alone),
    (GOLDEN_DIRECTORY / "lock.txt", trace_lock),
    (GOLDEN_DIRECTORY / "absent_proposer.txt", trace_absent_proposer),
    (GOLDEN_DIRECTORY / "liar.txt", trace_liar),
    (GOLDEN_DIRECTORY / "observer.txt", trace_observer),
    (GOLDEN_DIRECTORY / "bytes.txt", list_wire_bytes),
]
