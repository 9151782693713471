"""Going on after a crash: the core hears its log again, and what it had not done yet is done."""

from collections.abc import Sequence
from typing import assert_never

from consensus.core import Core
from consensus.effects import Broadcast, Effect
from consensus.events import (
    BlockChecked,
    Event,
    ProposalReceived,
    ProposalSigned,
    RoundSkipped,
    TimedOut,
    VoteReceived,
    VoteSigned,
    WorkArrived,
)
from consensus.log import HeightBegan, LockTaken, LogRecord


def replay(core: Core, records: Sequence[LogRecord]) -> list[Effect]:
    """Rebuild the round from the log and return the effects still to perform, in order.

    The core has its saved safety state and has been told HeightStarted. Records of other heights are passed over.
    Signed messages go out again, byte for byte; nothing is asked of the signer that contradicts them. The log itself
    is not written: it holds these records already. The caller syncs it before anything is sent.
    """
    effects = [
        effect
        for record in records
        if (event := _get_event(record)) is not None and _is_of_height(core, record)
        for effect in core.handle(event)
    ]
    due: list[Effect] = []
    for effect in effects:
        is_repeated = isinstance(effect, Broadcast) and effect in due
        if core.is_due(effect) and not is_repeated:
            due.append(effect)
    return due


def _get_event(record: LogRecord) -> Event | None:
    """What the core hears of a record."""
    match record:
        case HeightBegan() | LockTaken():
            return None  # what they stand for follows from the rest
        case WorkArrived() | ProposalReceived() | VoteReceived() | BlockChecked():
            return record
        case VoteSigned() | ProposalSigned() | TimedOut() | RoundSkipped():
            return record
        case _:
            assert_never(record)


def _is_of_height(core: Core, record: LogRecord) -> bool:
    match record:
        case ProposalReceived(proposal) | ProposalSigned(proposal):
            return proposal.height == core.height
        case VoteReceived(vote) | VoteSigned(vote):
            return vote.height == core.height
        case HeightBegan(height) | LockTaken(height) | WorkArrived(height) | TimedOut(height) | RoundSkipped(height):
            return height == core.height
        case BlockChecked():
            return True  # the core knows which blocks it has asked about
        case _:
            assert_never(record)
