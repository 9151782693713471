"""Crashing at any point and hearing the log again."""

from collections.abc import Sequence

import pytest

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
    SaveSafety,
    ScheduleTimeout,
    SendTo,
    SignVote,
)
from consensus.events import BlockChecked, Event, ProposalReceived, TimedOut, VoteReceived, WorkArrived
from consensus.log import HeightBegan, LogRecord
from consensus.messages import Message, Proposal, Step, Vote, VoteKind
from consensus.replay import replay
from consensus.safety import NOTHING_SIGNED, SafetyState
from ledger.primitives import Height, Round
from tests.consensus.builders import (
    DOMAIN,
    HEIGHT,
    NOW_MS,
    PEER,
    PREVIOUS_HASH,
    Seat,
    build_for,
    make_proposal,
    make_vote,
    propose_again,
    public_of,
    sent_votes,
    start_height,
)

PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT
P = make_proposal()
BLOCK = P.block_hash
STORY: list[Event] = [
    WorkArrived(HEIGHT),
    ProposalReceived(P, NOW_MS, PEER),
    BlockChecked(BLOCK, True),
    VoteReceived(make_vote(0, PREVOTE, BLOCK), PEER),
    VoteReceived(make_vote(2, PREVOTE, BLOCK), PEER),
    VoteReceived(make_vote(0, PRECOMMIT, None), PEER),
    VoteReceived(make_vote(2, PRECOMMIT, None), PEER),
    TimedOut(HEIGHT, Round(0), Step.PRECOMMIT),
    VoteReceived(make_vote(0, PREVOTE, BLOCK, 1), PEER),
    VoteReceived(make_vote(2, PREVOTE, BLOCK, 1), PEER),
    VoteReceived(make_vote(0, PRECOMMIT, BLOCK, 1), PEER),
    VoteReceived(make_vote(2, PRECOMMIT, BLOCK, 1), PEER),
]
"""Member 1 locks in round 0, proposes the block again in round 1, and decides."""


def restart(safety: SafetyState, records: Sequence[LogRecord], index: int = 1) -> tuple[Seat, list[Effect]]:
    """A new core with what was on disk, and all it does on starting."""
    seat = Seat(index, 4, Core(DOMAIN, public_of(index), safety))
    effects = seat.core.handle(start_height())
    return seat, effects + replay(seat.core, records)


def split(effects: list[Effect]) -> tuple[SafetyState, list[LogRecord]]:
    """What is on disk after these effects."""
    safety = NOTHING_SIGNED
    for effect in effects:
        if isinstance(effect, SaveSafety):
            safety = effect.state
    return safety, [effect.record for effect in effects if isinstance(effect, AppendLog)]


def run_story() -> tuple[Seat, list[Effect]]:
    seat = Seat(1, 4, Core(DOMAIN, public_of(1)))
    effects = seat.feed(start_height(), *STORY)
    assert seat.core.step is Step.DECIDED
    return seat, effects


def own_messages(effects: list[Effect]) -> list[Message]:
    return [
        effect.message
        for effect in effects
        if isinstance(effect, Broadcast)
        and (
            isinstance(effect.message, Proposal)
            or (isinstance(effect.message, Vote) and effect.message.member_index == 1)
        )
    ]


_, WHOLE = run_story()


@pytest.mark.parametrize("length", range(len(WHOLE) + 1))
def test_after_a_crash_behind_any_effect_the_member_never_contradicts_itself_and_decides(length: int) -> None:
    """The story goes on with the same messages; what was signed before comes again byte for byte."""
    before = WHOLE[:length]
    safety, records = split(before)
    seat, effects = restart(safety, records)
    signed = {(type(message), message.round, getattr(message, "kind", 0)): message for message in own_messages(before)}
    after = seat.feed(*[answer for effect in effects for answer in seat.answer(effect)])
    after += seat.feed(*[event for event in STORY if not isinstance(event, TimedOut)])
    for message in own_messages(effects + after):
        key = (type(message), message.round, getattr(message, "kind", 0))
        assert signed.setdefault(key, message) == message
    seat.feed(TimedOut(HEIGHT, seat.core.round, Step.PRECOMMIT))
    seat.feed_votes(PRECOMMIT, BLOCK, (0, 2, 3), 1)
    assert seat.core.step is Step.DECIDED


@pytest.mark.parametrize("length", range(len(WHOLE) + 1))
def test_after_a_crash_what_was_sent_is_sent_again(length: int) -> None:
    safety, records = split(WHOLE[:length])
    _, effects = restart(safety, records)
    for message in own_messages(WHOLE[:length]):
        assert message in own_messages(effects)


def test_the_lock_is_rebuilt_from_the_log_and_even_without_it() -> None:
    seat = Seat(1, 4, Core(DOMAIN, public_of(1)))
    effects = seat.feed(start_height(), *STORY[:5])
    safety, records = split(effects)
    assert safety.locked_hash == BLOCK
    for kept in (records, []):
        again, _ = restart(safety, kept)
        again.feed(TimedOut(HEIGHT, Round(0), Step.PRECOMMIT), TimedOut(HEIGHT, Round(1), Step.PRECOMMIT))
        other = make_proposal(round_number=2, tag=b"other")
        sent = again.feed(ProposalReceived(other, NOW_MS, PEER), BlockChecked(other.block_hash, True))
        assert sent_votes(sent) == [(PREVOTE, 2, None)]


def test_the_valid_value_is_rebuilt_and_proposed_again() -> None:
    seat = Seat(1, 4, Core(DOMAIN, public_of(1)))
    safety, records = split(seat.feed(start_height(), *STORY[:5]))
    again, _ = restart(safety, records)
    sent = again.feed(TimedOut(HEIGHT, Round(0), Step.PRECOMMIT))
    assert next(effect.message for effect in sent if isinstance(effect, Broadcast)) == propose_again(P, 1, 0)


def test_an_open_check_and_the_waits_of_the_round_are_due_again() -> None:
    seat = Seat(2, 4, Core(DOMAIN, public_of(2)))
    safety, records = split(seat.feed(start_height(), *STORY[:2]))
    _, effects = restart(safety, records, 2)
    assert CheckBlock(P) in effects
    assert ScheduleTimeout(HEIGHT, Round(0), Step.PROPOSE, 1000) in effects
    safety, records = split(seat.feed(BlockChecked(BLOCK, True), *STORY[5:7]))
    assert records


def test_what_is_done_or_over_is_not_due() -> None:
    _, effects = run_story()
    safety, records = split(effects)
    _, due = restart(safety, records)
    assert len([effect for effect in due if isinstance(effect, Decide)]) == 1
    assert not [
        effect for effect in due if isinstance(effect, CheckBlock | BuildBlock | FetchProposal | SendTo | BlameMessage)
    ]


def test_a_block_that_was_being_built_is_built_again() -> None:
    seat = Seat(0, 4, Core(DOMAIN, public_of(0)))
    safety, records = split(seat.feed(start_height(), WorkArrived(HEIGHT)))
    _, effects = restart(safety, records, 0)
    assert BuildBlock(HEIGHT, Round(0)) in effects


def test_a_block_whose_signature_was_asked_for_is_never_replaced() -> None:
    seat = Seat(0, 4, Core(DOMAIN, public_of(0)), has_signer=False)
    effects = seat.feed(start_height(), WorkArrived(HEIGHT), build_for(BuildBlock(HEIGHT, Round(0))))
    safety, records = split(effects)
    assert safety.proposal is not None
    again, effects = restart(safety, records, 0)
    assert BuildBlock(HEIGHT, Round(0)) not in effects
    assert again.feed(build_for(BuildBlock(HEIGHT, Round(0)), tag=b"other")) == []


def test_a_vote_whose_signature_was_asked_for_is_asked_for_again() -> None:
    seat = Seat(1, 4, Core(DOMAIN, public_of(1)), has_signer=False)
    safety, records = split(seat.feed(start_height(), *STORY[:3]))
    _, effects = restart(safety, records)
    asked = [effect for effect in effects if isinstance(effect, SignVote)]
    assert {(effect.vote.kind, effect.vote.block_hash) for effect in asked} == {(PREVOTE, BLOCK)}


def test_records_of_another_height_are_passed_over() -> None:
    seat = Seat(1, 4, Core(DOMAIN, public_of(1)))
    seat.core.handle(start_height(height=Height(HEIGHT + 1)))
    _, records = split(WHOLE)
    assert replay(seat.core, records) == []
    assert seat.core.step is Step.NEW_HEIGHT
    assert replay(seat.core, [HeightBegan(Height(HEIGHT + 1), PREVIOUS_HASH)]) == []


def test_an_observer_restarts_too() -> None:
    seat = Seat(None, 4, Core(DOMAIN, None))
    _, records = split(seat.feed(start_height(), *STORY[:5]))
    again = Core(DOMAIN, None)
    again.handle(start_height())
    replay(again, records)
    assert again.get_summary() == seat.core.get_summary()


def test_replay_repeats_itself() -> None:
    safety, records = split(WHOLE)
    (_, first), (_, second) = restart(safety, records), restart(safety, records)
    assert first == second
