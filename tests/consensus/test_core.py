"""One test per rule of Algorithm 1, then the limits, the signer, bad input and observers."""

from dataclasses import replace

import pytest

from consensus.core import Core
from consensus.early import EARLY_VOTES_PER_PEER_MAX, EarlyEvent
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
from consensus.height import ROUNDS_AHEAD_MAX, ROUNDS_BEHIND_MAX, format_waiting
from consensus.log import LockTaken
from consensus.messages import NO_VALID_ROUND, UNSIGNED, Proposal, Step, VoteKind
from ledger.block import Header
from ledger.primitives import BlockHash, Height, NodeKey, RootHash, Round, Signature, TimeMs
from tests.consensus.builders import (
    DOMAIN,
    HEIGHT,
    NOW_MS,
    PEER,
    PREVIOUS_TIME_MS,
    Seat,
    build_for,
    make_certificate,
    make_committee,
    make_proposal,
    make_vote,
    propose_again,
    public_of,
    sent_proposals,
    sent_votes,
    sign_proposal,
    sign_vote,
    start_height,
    take_seat,
    without_records,
)

PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT
P = make_proposal()
BLOCK = P.block_hash
OTHER = make_proposal(round_number=1, tag=b"b")


def receive(
    proposal: Proposal, received_ms: int = NOW_MS, is_valid: bool = True
) -> list[ProposalReceived | BlockChecked]:
    """A proposal arrives and its block is checked."""
    return [ProposalReceived(proposal, TimeMs(received_ms), PEER), BlockChecked(proposal.block_hash, is_valid)]


def find(effects: list[Effect], kind: type[Effect]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, kind)]


def time_out(seat: Seat, step: Step, round_number: int = 0) -> list[Effect]:
    return seat.feed(TimedOut(HEIGHT, Round(round_number), step))


def seat_in_round(round_number: int, index: int = 1) -> Seat:
    """A member that has gone through rounds without agreement."""
    seat = take_seat(index)
    seat.feed(WorkArrived(HEIGHT))
    for number in range(round_number):
        others = tuple(other for other in range(4) if other != index)
        seat.feed_votes(PRECOMMIT, None, others, number)
        time_out(seat, Step.PRECOMMIT, number)
    assert seat.core.round == round_number
    return seat


def locked_seat() -> Seat:
    """Member 3, locked on BLOCK in round 0 and now in round 1, whose proposer is member 1."""
    seat = take_seat(3)
    seat.feed(*receive(P))
    seat.feed_votes(PREVOTE, BLOCK, (0, 1))
    assert sent_votes(seat.feed_votes(PRECOMMIT, None, (0, 1, 2))) == []
    time_out(seat, Step.PRECOMMIT)
    assert (seat.core.round, seat.core.step) == (1, Step.PROPOSE)
    return seat


# L10-L21: starting a round


def test_without_work_the_core_idles_before_round_0() -> None:
    seat = take_seat()
    assert seat.core.step is Step.NEW_HEIGHT
    assert seat.feed(TimedOut(HEIGHT, Round(0), Step.PROPOSE), WorkArrived(Height(HEIGHT + 1))) == []


def test_l10_work_starts_round_0_and_the_wait_for_its_proposal() -> None:
    effects = take_seat().feed(WorkArrived(HEIGHT))
    assert without_records(effects) == [ScheduleTimeout(HEIGHT, Round(0), Step.PROPOSE, 1000)]


def test_l10_a_vote_of_a_member_starts_round_0() -> None:
    seat = take_seat()
    seat.feed_votes(PREVOTE, None, (0,))
    assert (seat.core.round, seat.core.step) == (0, Step.PROPOSE)


def test_l10_a_forged_vote_starts_nothing() -> None:
    seat = take_seat()
    seat.feed(VoteReceived(sign_vote(make_vote(0, PREVOTE, None), 2), PEER))
    assert seat.core.step is Step.NEW_HEIGHT


def test_l18_the_proposer_without_a_valid_value_builds_a_block_and_sends_it() -> None:
    seat = take_seat(0)
    effects = seat.feed(WorkArrived(HEIGHT))
    assert find(effects, BuildBlock) == [BuildBlock(HEIGHT, Round(0))]
    built = build_for(BuildBlock(HEIGHT, Round(0)))
    effects = seat.feed(built)
    (proposal,) = sent_proposals(effects)
    unsigned = Proposal(built.header, Round(0), NO_VALID_ROUND, built.envelope_hashes, (), UNSIGNED)
    assert proposal == sign_proposal(unsigned, 0)  # L19
    assert sent_votes(effects) == [(PREVOTE, 0, proposal.block_hash)]
    assert not find(effects, CheckBlock), "what we built we hold for valid"


def test_l16_the_proposer_with_a_valid_value_proposes_that_and_sends_its_polka_along() -> None:
    seat = take_seat(1)
    seat.feed(*receive(P))
    seat.feed_votes(PREVOTE, BLOCK, (0, 2))
    seat.feed_votes(PRECOMMIT, None, (0, 2, 3))
    effects = time_out(seat, Step.PRECOMMIT)
    assert not find(effects, BuildBlock)
    assert sent_proposals(effects) == [propose_again(P, 1, 0)]
    polka = [make_vote(index, PREVOTE, BLOCK) for index in (0, 1, 2)]
    assert [message for message in messages_sent(effects) if message in polka] == polka
    assert (PREVOTE, 1, BLOCK) in sent_votes(effects)


def messages_sent(effects: list[Effect]) -> list[object]:
    return [effect.message for effect in effects if isinstance(effect, Broadcast)]


def test_l21_a_late_block_of_an_old_round_is_not_proposed() -> None:
    seat = take_seat(0)
    seat.feed(WorkArrived(HEIGHT))
    time_out(seat, Step.PROPOSE)
    assert seat.feed(build_for(BuildBlock(HEIGHT, Round(0)))) == []


# L22-L33: prevoting


def test_l24_a_valid_timely_fresh_block_is_prevoted_once_checked() -> None:
    seat = take_seat()
    effects = seat.feed(ProposalReceived(P, NOW_MS, PEER))
    assert find(effects, CheckBlock) == [CheckBlock(P)]
    assert sent_votes(effects) == []
    assert sent_votes(seat.feed(BlockChecked(BLOCK, True))) == [(PREVOTE, 0, BLOCK)]
    assert seat.core.step is Step.PREVOTE


def test_l26_an_invalid_block_is_prevoted_nil() -> None:
    assert sent_votes(take_seat().feed(*receive(P, is_valid=False))) == [(PREVOTE, 0, None)]


@pytest.mark.parametrize("received_ms", [NOW_MS - 501, NOW_MS + 2501])
def test_l26_a_block_of_another_time_is_prevoted_nil_at_once(received_ms: int) -> None:
    effects = take_seat().feed(ProposalReceived(P, TimeMs(received_ms), PEER))
    assert sent_votes(effects) == [(PREVOTE, 0, None)]
    assert find(effects, CheckBlock) == [CheckBlock(P)], "others may still agree on it"


def test_l26_a_block_not_later_than_the_one_before_is_prevoted_nil_without_asking_the_node() -> None:
    effects = take_seat().feed(ProposalReceived(make_proposal(time_ms=PREVIOUS_TIME_MS), PREVIOUS_TIME_MS, PEER))
    assert sent_votes(effects) == [(PREVOTE, 0, None)]
    assert not find(effects, CheckBlock)


@pytest.mark.parametrize(
    "header",
    [
        replace(P.header, previous_hash=BlockHash(bytes(32))),
        replace(P.header, committee_hash=RootHash(bytes(32))),
    ],
)
def test_l26_a_block_on_something_else_is_prevoted_nil_without_asking_the_node(header: Header) -> None:
    foreign = sign_proposal(replace(P, header=header), 0)
    effects = take_seat().feed(ProposalReceived(foreign, NOW_MS, PEER))
    assert sent_votes(effects) == [(PREVOTE, 0, None)]
    assert not find(effects, CheckBlock)


def test_l23_a_locked_member_prevotes_another_fresh_block_nil() -> None:
    seat = locked_seat()
    assert sent_votes(seat.feed(*receive(OTHER))) == [(PREVOTE, 1, None)]


def test_l28_a_block_proposed_again_waits_for_its_polka() -> None:
    seat = seat_in_round(2)
    again = propose_again(OTHER, 2, 1)
    assert sent_votes(seat.feed(*receive(again, received_ms=NOW_MS + 10**6))) == []
    assert sent_votes(seat.feed_votes(PREVOTE, OTHER.block_hash, (0, 2), 1)) == []
    assert sent_votes(seat.feed_votes(PREVOTE, OTHER.block_hash, (3,), 1)) == [(PREVOTE, 2, OTHER.block_hash)]


def test_l30_a_lock_gives_way_to_a_later_polka() -> None:
    seat = locked_seat()
    seat.feed_votes(PREVOTE, OTHER.block_hash, (0, 1, 2), 1)
    seat.feed_votes(PRECOMMIT, None, (0, 1, 2), 1)
    time_out(seat, Step.PRECOMMIT, 1)
    assert sent_votes(seat.feed(*receive(propose_again(OTHER, 2, 1)))) == [(PREVOTE, 2, OTHER.block_hash)]


def test_l30_the_locked_block_itself_is_prevoted_again() -> None:
    seat = locked_seat()
    assert sent_votes(seat.feed(*receive(propose_again(P, 1, 0)))) == [(PREVOTE, 1, BLOCK)]


def test_l32_a_later_lock_does_not_give_way_to_an_earlier_polka() -> None:
    """Locked on OTHER in round 1; BLOCK comes again with its polka of round 0."""
    seat = seat_in_round(1, index=3)
    seat.feed(*receive(OTHER))
    assert (PRECOMMIT, 1, OTHER.block_hash) in sent_votes(seat.feed_votes(PREVOTE, OTHER.block_hash, (1, 2), 1))
    seat.feed_votes(PRECOMMIT, None, (0, 1, 2), 1)
    time_out(seat, Step.PRECOMMIT, 1)
    seat.feed_votes(PREVOTE, BLOCK, (0, 1, 2), 0)
    assert sent_votes(seat.feed(*receive(propose_again(P, 2, 0)))) == [(PREVOTE, 2, None)]


def test_l32_an_invalid_block_with_a_polka_is_prevoted_nil() -> None:
    seat = seat_in_round(2)
    seat.feed_votes(PREVOTE, OTHER.block_hash, (0, 2, 3), 1)
    assert sent_votes(seat.feed(*receive(propose_again(OTHER, 2, 1), is_valid=False))) == [(PREVOTE, 2, None)]


# L34-L48: precommitting


def test_l34_two_thirds_of_prevotes_for_anything_start_the_wait_once() -> None:
    seat = take_seat()
    seat.feed(*receive(P))
    assert not find(seat.feed_votes(PREVOTE, None, (0,)), ScheduleTimeout)
    wait = ScheduleTimeout(HEIGHT, Round(0), Step.PREVOTE, 400)  # L35
    assert find(seat.feed_votes(PREVOTE, None, (2,)), ScheduleTimeout) == [wait]
    other = BlockHash(b"\x01" * 32)
    assert find(seat.feed_votes(PREVOTE, other, (3,)), ScheduleTimeout) == []


def test_l36_a_polka_locks_and_precommits_with_the_lock_on_disk_first() -> None:
    seat = take_seat()
    seat.feed(*receive(P))
    seat.feed_votes(PREVOTE, BLOCK, (0,))
    effects = seat.feed_votes(PREVOTE, BLOCK, (2,))
    assert sent_votes(effects) == [(PRECOMMIT, 0, BLOCK)]  # L40
    kinds = [type(effect) for effect in effects]
    lock = AppendLog(LockTaken(HEIGHT, Round(0), BLOCK), sync=True)
    assert effects.index(lock) < kinds.index(SaveSafety) < kinds.index(SignVote) < kinds.index(Broadcast)
    (saved,) = find(effects, SaveSafety)
    assert isinstance(saved, SaveSafety)
    assert (saved.state.locked_round, saved.state.locked_hash) == (0, BLOCK)  # L38, L39
    assert seat.core.step is Step.PRECOMMIT  # L41


def test_l36_a_polka_for_a_block_being_checked_waits_for_the_answer() -> None:
    seat = take_seat()
    seat.feed(ProposalReceived(P, NOW_MS, PEER))
    time_out(seat, Step.PROPOSE)
    assert sent_votes(seat.feed_votes(PREVOTE, BLOCK, (0, 2, 3))) == []
    assert sent_votes(seat.feed(BlockChecked(BLOCK, True))) == [(PRECOMMIT, 0, BLOCK)]


def test_l36_a_polka_for_an_invalid_block_does_not_lock() -> None:
    seat = take_seat()
    seat.feed(*receive(P, is_valid=False))
    assert sent_votes(seat.feed_votes(PREVOTE, BLOCK, (0, 2, 3))) == []


def test_l42_a_polka_after_precommitting_nil_makes_the_value_valid_without_a_lock() -> None:
    seat = take_seat(1)
    seat.feed(*receive(P))
    seat.feed_votes(PREVOTE, None, (0, 2))
    assert sent_votes(time_out(seat, Step.PREVOTE)) == [(PRECOMMIT, 0, None)]
    assert sent_votes(seat.feed_votes(PREVOTE, BLOCK, (0, 2, 3))) == [], "equivocators count for the polka"
    assert seat.core.safety.locked_round == NO_VALID_ROUND
    seat.feed_votes(PRECOMMIT, None, (0, 2))
    assert sent_proposals(time_out(seat, Step.PRECOMMIT)) == [propose_again(P, 1, 0)]


def test_l42_a_polka_of_an_earlier_round_makes_the_value_valid() -> None:
    seat = seat_in_round(1, index=2)
    seat.feed(ProposalReceived(P, NOW_MS, PEER), BlockChecked(BLOCK, True))
    seat.feed_votes(PREVOTE, BLOCK, (0, 1, 3), 0)
    seat.feed_votes(PRECOMMIT, None, (0, 1, 3), 1)
    assert sent_proposals(time_out(seat, Step.PRECOMMIT, 1)) == [propose_again(P, 2, 0)]


def test_l44_two_thirds_of_nil_prevotes_precommit_nil() -> None:
    seat = take_seat()
    seat.feed(*receive(P))
    seat.feed_votes(PREVOTE, None, (0, 2))
    assert sent_votes(seat.feed_votes(PREVOTE, None, (3,))) == [(PRECOMMIT, 0, None)]
    assert seat.core.step is Step.PRECOMMIT


def test_l47_two_thirds_of_precommits_for_anything_start_the_wait_once_in_any_step() -> None:
    seat = take_seat()
    seat.feed_votes(PRECOMMIT, None, (0,))
    seat.feed_votes(PRECOMMIT, BLOCK, (2,))
    wait = ScheduleTimeout(HEIGHT, Round(0), Step.PRECOMMIT, 300)  # L48
    assert find(seat.feed_votes(PRECOMMIT, None, (3,)), ScheduleTimeout) == [wait]
    assert find(seat.feed_votes(PRECOMMIT, BLOCK, (3,)), ScheduleTimeout) == []


# L49-L56: deciding and skipping


def test_l49_two_thirds_of_precommits_decide_with_a_certificate() -> None:
    seat = take_seat()
    seat.feed(*receive(P))
    effects = seat.feed_votes(PRECOMMIT, BLOCK, (3, 0, 2))
    assert find(effects, Decide) == [Decide(P, make_certificate(P.header, (0, 2, 3)))]  # L51
    assert seat.core.step is Step.DECIDED


def test_l49_an_earlier_round_decides_after_the_core_has_gone_on() -> None:
    seat = seat_in_round(2, index=3)
    seat.feed(*receive(P))
    effects = seat.feed_votes(PRECOMMIT, BLOCK, (0, 1, 2), 0)
    assert find(effects, Decide) == [Decide(P, make_certificate(P.header, (0, 1, 2)))]


def test_l49_a_late_proposal_decides() -> None:
    seat = take_seat()
    effects = seat.feed_votes(PRECOMMIT, BLOCK, (0, 2, 3))
    assert find(effects, FetchProposal) == [FetchProposal(HEIGHT, Round(0), BLOCK)]
    assert not find(effects, Decide)
    assert not find(seat.feed(ProposalReceived(P, NOW_MS, PEER)), Decide)
    assert len(find(seat.feed(BlockChecked(BLOCK, True)), Decide)) == 1


def test_l49_the_round_of_the_certificate_is_that_of_the_votes() -> None:
    seat = seat_in_round(1, index=3)
    seat.feed(*receive(P))
    (decided,) = find(seat.feed_votes(PRECOMMIT, BLOCK, (0, 1, 2), 1), Decide)
    assert isinstance(decided, Decide)
    assert (decided.certificate.round, decided.proposal.header.round) == (1, 0)


def test_l50_an_invalid_block_is_never_decided_and_the_watchdog_hears_of_it() -> None:
    seat = take_seat()
    seat.feed(*receive(P, is_valid=False))
    assert not find(seat.feed_votes(PRECOMMIT, BLOCK, (0, 2, 3)), Decide)
    waiting = seat.core.explain_waiting()
    assert waiting is not None
    assert waiting.refused_blocks == (BLOCK,)
    assert "invalid here" in format_waiting(waiting)


def test_l52_a_decided_height_ends_and_the_next_begins_from_nothing() -> None:
    seat = take_seat()
    seat.feed(*receive(P))
    seat.feed_votes(PRECOMMIT, BLOCK, (0, 2, 3))
    assert time_out(seat, Step.PREVOTE) == []
    seat.feed(start_height(height=Height(HEIGHT + 1)))
    assert (seat.core.height, seat.core.round, seat.core.step) == (HEIGHT + 1, 0, Step.NEW_HEIGHT)
    summary = seat.core.get_summary()
    assert summary is not None
    assert (summary.votes, summary.proposal_rounds) == ((), ())


def test_l55_two_of_four_in_a_later_round_take_the_core_there() -> None:
    seat = take_seat(2)
    assert seat.core.round == 0
    seat.feed_votes(PREVOTE, None, (0,), 3)
    assert seat.core.round == 0, "one member may be lying"
    effects = seat.feed_votes(PRECOMMIT, None, (1,), 3)
    assert seat.core.round == 3
    assert ScheduleTimeout(HEIGHT, Round(3), Step.PROPOSE, 2500) in effects
    assert AppendLog(RoundSkipped(HEIGHT, Round(3)), sync=False) in effects


def test_l55_members_in_different_later_rounds_take_the_core_to_the_lowest() -> None:
    seat = take_seat(2)
    seat.feed_votes(PREVOTE, None, (0,), 7)
    seat.feed_votes(PREVOTE, None, (1,), 2)
    assert seat.core.round == 2


def test_l55_one_liar_far_ahead_does_not_move_the_core_and_costs_nothing() -> None:
    seat = take_seat(2)
    first = seat.feed_votes(PREVOTE, None, (0,), 2**31 - 1)
    assert not find(first, AppendLog), "or a liar could fill the disk"
    for round_number in range(100, 400):
        assert seat.feed_votes(PREVOTE, None, (0,), round_number) == []
    summary = seat.core.get_summary()
    assert summary is not None
    assert (seat.core.round, summary.votes) == (0, ())


def test_l55_far_rounds_beyond_what_is_kept_still_take_the_core_there() -> None:
    seat = take_seat(2)
    far = ROUNDS_AHEAD_MAX + 1000
    seat.feed_votes(PREVOTE, None, (0, 1), far)
    assert seat.core.round == far
    seat.feed_votes(PRECOMMIT, None, (0, 1, 3), far)
    time_out(seat, Step.PRECOMMIT, far)
    assert seat.core.round == far + 1


def test_l55_a_proposal_counts_as_a_message_of_its_proposer() -> None:
    seat = take_seat(2)
    seat.feed(ProposalReceived(make_proposal(round_number=3), NOW_MS, PEER))  # of member 3
    seat.feed_votes(PREVOTE, None, (3,), 3)
    assert seat.core.round == 0, "one member, two messages"
    seat.feed_votes(PREVOTE, None, (0,), 3)
    assert seat.core.round == 3


# L57-L67: timeouts


def test_l57_without_a_proposal_the_prevote_is_nil() -> None:
    seat = take_seat()
    seat.feed(WorkArrived(HEIGHT))
    assert sent_votes(time_out(seat, Step.PROPOSE)) == [(PREVOTE, 0, None)]
    assert time_out(seat, Step.PROPOSE) == []


def test_l61_without_agreement_the_precommit_is_nil() -> None:
    seat = take_seat()
    seat.feed(*receive(P))
    assert sent_votes(time_out(seat, Step.PREVOTE)) == [(PRECOMMIT, 0, None)]
    assert time_out(seat, Step.PREVOTE) == []


def test_l65_the_next_round_begins_and_late_timeouts_do_nothing() -> None:
    seat = take_seat(2)
    seat.feed(WorkArrived(HEIGHT))
    effects = time_out(seat, Step.PRECOMMIT)
    assert without_records(effects) == [ScheduleTimeout(HEIGHT, Round(1), Step.PROPOSE, 1500)]
    for step in (Step.PROPOSE, Step.PREVOTE, Step.PRECOMMIT, Step.NEW_HEIGHT, Step.DECIDED):
        assert time_out(seat, step, 0) == []
        assert seat.feed(TimedOut(Height(HEIGHT + 1), Round(1), step)) == []


# committees of other sizes, observers


def test_a_committee_of_one_decides_at_once() -> None:
    seat = take_seat(0, size=1)
    effects = seat.feed(WorkArrived(HEIGHT))
    built = build_for(BuildBlock(HEIGHT, Round(0)), size=1)
    effects = seat.feed(built)
    assert sent_votes(effects) == [(PREVOTE, 0, built.header.hash), (PRECOMMIT, 0, built.header.hash)]
    assert len(find(effects, Decide)) == 1
    assert not find(effects, ScheduleTimeout), "no wait is needed"


def test_a_committee_of_21_decides_with_15() -> None:
    seat = take_seat(20, size=21)
    proposal = make_proposal(size=21)
    seat.feed(*receive(proposal))
    for index in range(14):
        assert not find(seat.feed_votes(PRECOMMIT, proposal.block_hash, (index,)), Decide)
    assert len(find(seat.feed_votes(PRECOMMIT, proposal.block_hash, (14,)), Decide)) == 1


def test_an_observer_follows_and_decides_but_never_signs() -> None:
    for index in (None, 9):
        seat = take_seat(index)
        effects = seat.feed(WorkArrived(HEIGHT), *receive(P))
        effects += seat.feed_votes(PREVOTE, BLOCK, (0, 1, 2))
        effects += time_out(seat, Step.PROPOSE)
        effects += seat.feed_votes(PRECOMMIT, BLOCK, (0, 1, 2))
        assert len(find(effects, Decide)) == 1
        assert not [
            effect for effect in effects if isinstance(effect, SignVote | SignProposal | SaveSafety | Broadcast)
        ]


# the signer


def test_a_signer_that_does_not_answer_leads_to_silence_and_the_rounds_go_on() -> None:
    seat = take_seat(1)
    seat.has_signer = False
    effects = seat.feed(*receive(P))
    (asked,) = find(effects, SignVote)
    assert isinstance(asked, SignVote)
    assert not find(effects, Broadcast)
    effects = seat.feed_votes(PREVOTE, BLOCK, (0, 2, 3))
    assert [effect.vote.kind for effect in effects if isinstance(effect, SignVote)] == [PRECOMMIT]
    late = seat.feed(VoteSigned(sign_vote(asked.vote, 1)))
    assert sent_votes(late) == [(PREVOTE, 0, BLOCK)], "however late"
    assert find(seat.feed_votes(PRECOMMIT, BLOCK, (0, 2, 3)), Decide)


def test_an_answer_that_comes_after_the_decision_is_still_sent() -> None:
    seat = take_seat(1)
    seat.has_signer = False
    (asked,) = find(seat.feed(*receive(P)), SignVote)
    assert isinstance(asked, SignVote)
    seat.feed_votes(PRECOMMIT, BLOCK, (0, 2, 3))
    assert sent_votes(seat.feed(VoteSigned(sign_vote(asked.vote, 1)))) == [(PREVOTE, 0, BLOCK)]


@pytest.mark.parametrize(
    "vote",
    [
        replace(make_vote(1, PREVOTE, BLOCK), signature=Signature(bytes(64))),
        make_vote(2, PREVOTE, BLOCK),
        make_vote(1, PREVOTE, BLOCK, height=Height(9)),
    ],
)
def test_a_wrong_answer_of_the_signer_is_not_sent(vote: object) -> None:
    seat = take_seat(1)
    seat.has_signer = False
    seat.feed(*receive(P))
    assert seat.core.handle(VoteSigned(vote)) == []  # type: ignore[arg-type]  # a Vote
    assert seat.core.safety.prevote is not None
    assert seat.core.safety.prevote.signature is None


def test_a_wrong_signature_of_a_proposal_is_not_sent() -> None:
    seat = take_seat(0)
    seat.feed(WorkArrived(HEIGHT))
    for bad in (replace(P, signature=Signature(bytes(64))), OTHER, sign_proposal(P, 1)):
        assert seat.core.handle(ProposalSigned(bad)) == []


def test_a_second_block_for_the_same_round_is_not_signed() -> None:
    seat = take_seat(0)
    seat.has_signer = False
    seat.feed(WorkArrived(HEIGHT))
    assert find(seat.feed(build_for(BuildBlock(HEIGHT, Round(0)), tag=b"one")), SignProposal)
    assert seat.feed(build_for(BuildBlock(HEIGHT, Round(0)), tag=b"two")) == []
    assert any("another message" in reason for reason in seat.core.ignored_counts)


def test_a_member_whose_safety_state_is_ahead_stays_silent() -> None:
    ahead = take_seat(1)
    ahead.feed(*receive(P))
    safety = replace(ahead.core.safety, height=Height(HEIGHT + 7))
    seat = take_seat(1, safety=safety)
    effects = seat.feed(*receive(P))
    assert not [effect for effect in effects if isinstance(effect, SignVote | Broadcast | SaveSafety)]
    assert find(seat.feed_votes(PRECOMMIT, BLOCK, (0, 2, 3)), Decide), "it still follows"


def test_somebody_else_with_our_key_is_reported() -> None:
    seat = take_seat(1)
    foreign = make_vote(1, PREVOTE, None)
    seat.feed(VoteReceived(foreign, PEER))
    effects = seat.feed(*receive(P))
    assert find(effects, ReportEquivocation) == [ReportEquivocation(foreign, make_vote(1, PREVOTE, BLOCK))]


# bad input


@pytest.mark.parametrize(
    "vote",
    [
        sign_vote(make_vote(0, PREVOTE, None), 3),
        replace(make_vote(0, PREVOTE, None), member_index=4),
        replace(make_vote(0, PREVOTE, None), kind=PRECOMMIT),
        make_vote(0, PREVOTE, None, domain=DOMAIN[::-1]),  # type: ignore[arg-type]  # slicing loses the new type
    ],
)
def test_a_forged_vote_blames_its_sender_and_changes_nothing(vote: object) -> None:
    seat = take_seat()
    before = seat.core.get_summary()
    effects = seat.core.handle(VoteReceived(vote, PEER))  # type: ignore[arg-type]  # a Vote
    assert effects == [BlameMessage(PEER, "the signature of a vote is bad")]
    assert seat.core.get_summary() == before
    assert seat.core.handle(VoteReceived(vote)) == [], "the log has no sender"  # type: ignore[arg-type]  # a Vote


@pytest.mark.parametrize(
    "proposal",
    [
        sign_proposal(P, 1),
        replace(P, round=Round(1)),
        sign_proposal(replace(P, envelope_hashes=()), 0),
        sign_proposal(replace(P, valid_round=5), 0),
        sign_proposal(replace(P, round=Round(2)), 2),
        sign_proposal(replace(P, round=Round(9), valid_round=9), 1),
        sign_proposal(replace(P, header=replace(P.header, proposer=public_of(3))), 0),
    ],
)
def test_a_bad_proposal_blames_its_sender_and_changes_nothing(proposal: Proposal) -> None:
    seat = take_seat()
    before = seat.core.get_summary()
    (effect,) = seat.core.handle(ProposalReceived(proposal, NOW_MS, PEER))
    assert isinstance(effect, BlameMessage)
    assert seat.core.get_summary() == before


def test_messages_of_other_heights_are_counted_and_ignored() -> None:
    seat = take_seat()
    for height in (HEIGHT - 1, HEIGHT + 2):
        assert seat.feed(VoteReceived(make_vote(0, PREVOTE, None, height=Height(height)), PEER)) == []
        assert seat.feed(ProposalReceived(make_proposal(height=Height(height)), NOW_MS, PEER)) == []
    assert seat.core.ignored_counts == {"of another height": 4}


def test_a_message_known_already_is_not_verified_again() -> None:
    verified: list[bytes] = []

    def verify(key: bytes, message: bytes, signature: bytes) -> bool:
        verified.append(message)
        return True

    core = Core(DOMAIN, None, verify=verify)
    core.handle(start_height())
    for _ in range(3):
        core.handle(VoteReceived(make_vote(0, PREVOTE, BLOCK), PEER))
        core.handle(ProposalReceived(P, NOW_MS, PEER))
    assert len(verified) == 2


def test_before_the_first_height_everything_is_ignored() -> None:
    core = Core(DOMAIN, public_of(1))
    assert core.handle(VoteReceived(make_vote(0, PREVOTE, None), PEER)) == []
    assert core.handle(ProposalReceived(P, NOW_MS, PEER)) == []
    assert core.handle(WorkArrived(HEIGHT)) == core.handle(BlockChecked(BLOCK, True)) == []
    assert core.handle(TimedOut(HEIGHT, Round(0), Step.PROPOSE)) == []
    assert core.handle(VoteSigned(make_vote(1, PREVOTE, None))) == core.handle(ProposalSigned(P)) == []
    assert core.handle(RoundSkipped(HEIGHT, Round(3))) == []
    assert core.handle(build_for(BuildBlock(HEIGHT, Round(0)))) == []
    assert core.get_summary() is None
    assert core.explain_waiting() is None
    assert core.height is None
    assert (core.round, core.step) == (0, Step.NEW_HEIGHT)
    summary = take_seat().core.get_summary()
    assert summary is not None
    assert core.handle(SummaryReceived(PEER, summary)) == []


@pytest.mark.parametrize("change", [{"time_ms": PREVIOUS_TIME_MS}, {"round": Round(1)}, {"proposer": public_of(2)}])
def test_a_node_that_builds_a_bad_block_is_stopped(change: dict[str, object]) -> None:
    seat = take_seat(0)
    seat.feed(WorkArrived(HEIGHT))
    built = build_for(BuildBlock(HEIGHT, Round(0)))
    bad = BlockBuilt(HEIGHT, Round(0), replace(built.header, **change), built.envelope_hashes, ())  # type: ignore[arg-type]  # of the right types
    with pytest.raises(AssertionError, match="built a block"):
        seat.feed(bad)


def test_a_height_is_decided_once() -> None:
    seat = take_seat()
    for height in (HEIGHT, HEIGHT - 1):
        with pytest.raises(AssertionError, match="in order"):
            seat.feed(start_height(height=Height(height)))


def test_a_key_with_two_seats_stops_the_node() -> None:
    one = make_committee(1)
    twice = replace(one, members=one.members * 2)
    event = start_height()
    with pytest.raises(AssertionError, match="one seat"):
        Core(DOMAIN, None).handle(
            HeightStarted(HEIGHT, twice, event.turns, event.previous_hash, event.previous_time_ms, event.timeouts)
        )


# equivocation


def test_two_votes_of_one_member_are_reported_once_with_both_signatures() -> None:
    seat = take_seat()
    first, second = make_vote(0, PREVOTE, None), make_vote(0, PREVOTE, BLOCK)
    seat.feed(VoteReceived(first, PEER))
    assert seat.feed(VoteReceived(second, PEER)) == [ReportEquivocation(first, second)]
    third = make_vote(0, PREVOTE, BlockHash(bytes(32)))
    assert seat.feed(VoteReceived(second, PEER), VoteReceived(third, PEER)) == []


def test_a_second_vote_counts_when_a_proposal_may_need_it() -> None:
    seat = take_seat()
    seat.feed(*receive(P))
    seat.feed_votes(PREVOTE, None, (0,))
    seat.feed_votes(PREVOTE, BLOCK, (2,))
    assert sent_votes(seat.feed_votes(PREVOTE, BLOCK, (0,))) == [(PRECOMMIT, 0, BLOCK)]


def test_two_proposals_of_one_round_are_reported_and_the_first_is_voted_on() -> None:
    seat = take_seat()
    second = make_proposal(tag=b"second")
    seat.feed(*receive(P))
    assert seat.feed(ProposalReceived(second, NOW_MS, PEER)) == [ReportEquivocation(P, second)]
    assert seat.feed(ProposalReceived(second, NOW_MS, PEER)) == []
    assert seat.feed(ProposalReceived(make_proposal(tag=b"third"), NOW_MS, PEER)) == []


def test_a_second_proposal_is_taken_when_two_thirds_voted_for_it() -> None:
    seat = take_seat()
    second = make_proposal(tag=b"second")
    seat.feed(*receive(P), ProposalReceived(second, NOW_MS, PEER))
    effects = seat.feed_votes(PRECOMMIT, second.block_hash, (0, 2, 3))
    assert find(effects, FetchProposal) == [FetchProposal(HEIGHT, Round(0), second.block_hash)]
    (decided,) = find(seat.feed(*receive(second)), Decide)
    assert isinstance(decided, Decide)
    assert decided.proposal == second


# limits


def test_rounds_long_ago_are_forgotten_except_what_the_lock_rests_on() -> None:
    seat = take_seat(3)
    seat.feed(*receive(P))
    seat.feed_votes(PREVOTE, BLOCK, (0, 1))
    assert seat.core.safety.locked_hash == BLOCK
    for round_number in range(ROUNDS_BEHIND_MAX + 20):
        seat.feed_votes(PRECOMMIT, None, (0, 1, 2), round_number)
        time_out(seat, Step.PRECOMMIT, round_number)
    summary = seat.core.get_summary()
    assert summary is not None
    assert [votes.round for votes in summary.votes] == [0, *range(20, ROUNDS_BEHIND_MAX + 20)]
    assert seat.feed_votes(PRECOMMIT, None, (0,), 5) == []
    proposer_turn = seat.core.round + (3 - (HEIGHT + seat.core.round)) % 4
    for round_number in range(seat.core.round, proposer_turn):
        seat.feed_votes(PRECOMMIT, None, (0, 1, 2), round_number)
        effects = time_out(seat, Step.PRECOMMIT, round_number)
    assert sent_proposals(effects) == [propose_again(P, proposer_turn, 0)]


def test_messages_of_the_next_height_wait_until_it_begins() -> None:
    seat = take_seat()
    next_height = Height(HEIGHT + 1)
    proposal = make_proposal(height=next_height)
    votes = [make_vote(index, PREVOTE, proposal.block_hash, height=next_height) for index in (0, 2)]
    early: list[EarlyEvent] = [ProposalReceived(proposal, NOW_MS, PEER), *[VoteReceived(vote, PEER) for vote in votes]]
    assert seat.feed(*early) == []
    effects = seat.feed(start_height(height=next_height))
    assert find(effects, CheckBlock) == [CheckBlock(proposal)]
    assert [effect.record for effect in effects if isinstance(effect, AppendLog)][1:] == [
        replace(event, peer=None) for event in early
    ]


def test_early_messages_are_few_for_each_sender_and_a_bad_one_is_blamed_later() -> None:
    seat = take_seat()
    next_height = Height(HEIGHT + 1)
    forged = replace(make_vote(0, PREVOTE, None, height=next_height), signature=Signature(bytes(64)))
    for _ in range(EARLY_VOTES_PER_PEER_MAX + 5):
        assert seat.feed(VoteReceived(forged, PEER)) == []
    assert seat.core.ignored_counts["of the next height, and there is no more room for its sender"] == 5
    honest = NodeKey(b"\x01" * 32)
    seat.feed(VoteReceived(make_vote(0, PREVOTE, None, height=next_height), honest))
    effects = seat.feed(start_height(height=next_height))
    assert (
        find(effects, BlameMessage) == [BlameMessage(PEER, "the signature of a vote is bad")] * EARLY_VOTES_PER_PEER_MAX
    )
    assert seat.core.step is Step.PROPOSE, "the honest vote woke it"


# queries


def test_waiting_names_what_is_missing() -> None:
    seat = take_seat()
    waiting = seat.core.explain_waiting()
    assert waiting is not None
    assert "idle" in format_waiting(waiting)
    seat.feed(WorkArrived(HEIGHT))
    seat.feed_votes(PRECOMMIT, BLOCK, (0, 2, 3))
    waiting = seat.core.explain_waiting()
    assert waiting is not None
    assert (waiting.precommitted, waiting.silent, waiting.votes_needed) == ((0, 2, 3), (0, 1, 2, 3), 3)
    assert waiting.missing_blocks == (BLOCK,)
    line = format_waiting(waiting)
    assert "no proposal from member 0" in line
    assert f"blocks to fetch: {BLOCK.hex()}" in line
    seat.feed(ProposalReceived(P, NOW_MS, PEER))
    waiting = seat.core.explain_waiting()
    assert waiting is not None
    assert waiting.unchecked_blocks == (BLOCK,)
    seat.feed(BlockChecked(BLOCK, True))
    waiting = seat.core.explain_waiting()
    assert waiting is not None
    assert "decided" in format_waiting(waiting)


def test_a_summary_is_answered_with_what_the_peer_lacks() -> None:
    seat, empty = take_seat(), take_seat(2)
    seat.feed(*receive(P))
    summary = empty.core.get_summary()
    assert summary is not None
    effects = seat.feed(SummaryReceived(PEER, summary))
    assert effects == [SendTo(PEER, P), SendTo(PEER, make_vote(1, PREVOTE, BLOCK))]
