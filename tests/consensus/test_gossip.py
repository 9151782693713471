from consensus.effects import Decide
from consensus.events import BlockChecked, ProposalReceived, TimedOut, VoteReceived, WorkArrived
from consensus.gossip import MESSAGES_PER_SUMMARY_MAX
from consensus.messages import Proposal, RoundSummary, RoundVotes, Step, Vote, VoteKind
from ledger.primitives import Height, NodeKey, Round, TimeMs
from tests.consensus.builders import (
    HEIGHT,
    NOW_MS,
    PEER,
    Seat,
    make_proposal,
    make_vote,
    propose_again,
    start_height,
    take_seat,
)

PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT
P = make_proposal()
BLOCK = P.block_hash


def summary_of(seat: Seat) -> RoundSummary:
    summary = seat.core.get_summary()
    assert summary is not None
    return summary


def pass_on(source: Seat, target: Seat) -> int:
    """Give the target what it lacks; how much that was."""
    missing = source.core.get_missing_for(summary_of(target))
    for message in missing:
        if isinstance(message, Proposal):
            target.feed(ProposalReceived(message, TimeMs(NOW_MS), PEER))
        else:
            target.feed(VoteReceived(message, PEER))
    return len(missing)


def test_a_summary_says_what_is_known() -> None:
    seat = take_seat(1)
    seat.feed(ProposalReceived(P, NOW_MS, PEER), BlockChecked(BLOCK, True))
    seat.feed_votes(PREVOTE, BLOCK, (3,))
    seat.feed_votes(PRECOMMIT, None, (2,))
    assert summary_of(seat) == RoundSummary(
        HEIGHT, Round(0), Step.PREVOTE, (RoundVotes(Round(0), 0b1010, 0b0100),), (Round(0),)
    )


def test_nothing_is_sent_to_a_peer_that_has_it_all_or_is_elsewhere() -> None:
    seat = take_seat(1)
    seat.feed(ProposalReceived(P, NOW_MS, PEER), BlockChecked(BLOCK, True))
    assert seat.core.get_missing_for(summary_of(seat)) == []
    for height in (HEIGHT - 1, HEIGHT + 1):
        elsewhere = RoundSummary(Height(height), Round(0), Step.PROPOSE, (), ())
        assert seat.core.get_missing_for(elsewhere) == []
    decided = RoundSummary(HEIGHT, Round(0), Step.DECIDED, (), ())
    assert seat.core.get_missing_for(decided) == []


def test_repeated_summaries_bring_everything_to_a_member_that_heard_nothing() -> None:
    """Five rounds of a committee of 21: more than one answer holds."""
    seat, deaf = take_seat(None, size=21), take_seat(None, size=21)
    for round_number in range(5):
        for kind in VoteKind:
            seat.feed_votes(kind, None, tuple(range(21)), round_number)
        seat.feed(TimedOut(HEIGHT, Round(round_number), Step.PRECOMMIT))
    counts = []
    while count := pass_on(seat, deaf):
        counts.append(count)
        assert count <= MESSAGES_PER_SUMMARY_MAX
        assert len(counts) < 10
    assert summary_of(deaf).votes == summary_of(seat).votes


def test_a_peer_many_rounds_behind_is_brought_to_the_round() -> None:
    seat, behind = take_seat(None), take_seat(None)
    behind.feed(WorkArrived(HEIGHT))
    seat.feed_votes(PREVOTE, None, (0, 1), 50)
    seat.feed_votes(PREVOTE, None, (0, 1, 2), 50)
    assert (seat.core.round, behind.core.round) == (50, 0)
    pass_on(seat, behind)
    assert behind.core.round == 50
    pass_on(seat, behind)
    assert summary_of(behind).votes == summary_of(seat).votes


def test_the_proposal_of_the_peers_round_comes_first() -> None:
    seat = take_seat(None)
    seat.feed(ProposalReceived(P, NOW_MS, PEER))
    later = make_proposal(round_number=1)
    seat.feed(ProposalReceived(later, NOW_MS, PEER))
    assert seat.core.get_missing_for(RoundSummary(HEIGHT, Round(0), Step.PROPOSE, (), ()))[0] == P
    assert seat.core.get_missing_for(RoundSummary(HEIGHT, Round(1), Step.PROPOSE, (), ()))[0] == later
    known = RoundSummary(HEIGHT, Round(1), Step.PROPOSE, (), (Round(1),))
    assert seat.core.get_missing_for(known)[0] == P


def test_a_polka_hidden_by_an_equivocator_reaches_a_peer_that_counts_its_other_vote() -> None:
    """Member 0 told us it prevoted the block and told the peer it prevoted nil."""
    seat, peer = take_seat(3), take_seat(2)
    for one in (seat, peer):
        one.feed(ProposalReceived(P, NOW_MS, PEER), BlockChecked(BLOCK, True))
    seat.feed_votes(PREVOTE, BLOCK, (0, 1))
    assert seat.core.safety.locked_hash == BLOCK
    peer.feed_votes(PREVOTE, None, (0,))
    for one in (seat, peer):
        one.feed_votes(PRECOMMIT, None, (0, 1, 2))
        one.feed(TimedOut(HEIGHT, Round(0), Step.PRECOMMIT))
        one.feed(ProposalReceived(propose_again(P, 1, 0), NOW_MS, PEER))
    assert peer.core.step is Step.PROPOSE, "two prevotes are no polka"
    pass_on(seat, peer)
    assert peer.core.step is Step.PREVOTE
    assert peer.core.safety.prevote is not None
    assert peer.core.safety.prevote.block_hash == BLOCK


def decide(seat: Seat) -> None:
    seat.feed(ProposalReceived(P, NOW_MS, PEER), BlockChecked(BLOCK, True))
    assert any(isinstance(effect, Decide) for effect in seat.feed_votes(PRECOMMIT, BLOCK, (0, 1, 3)))


def test_a_peer_that_missed_the_decision_gets_the_block_and_its_certificate() -> None:
    for has_gone_on in (False, True):
        seat, peer = take_seat(None), take_seat(None)
        decide(seat)
        if has_gone_on:
            seat.feed(start_height(height=Height(HEIGHT + 1)))
        pass_on(seat, peer)
        peer.feed(BlockChecked(BLOCK, True))
        assert peer.core.step is Step.DECIDED


def test_a_proposers_other_block_is_brought_by_summaries_too() -> None:
    """The proposer sent the peer another block than the one two thirds voted for."""
    other = make_proposal(tag=b"other")
    for has_decided in (False, True):
        seat, peer = take_seat(None), take_seat(None)
        peer.feed(ProposalReceived(other, NOW_MS, PEER), BlockChecked(other.block_hash, True))
        if has_decided:
            decide(seat)
        else:
            seat.feed(ProposalReceived(P, NOW_MS, PEER), BlockChecked(BLOCK, True))
            seat.feed_votes(PREVOTE, BLOCK, (0, 1, 3))
        assert summary_of(peer).proposal_rounds == (0,)
        pass_on(seat, peer)
        assert summary_of(peer).proposal_rounds == ()
        pass_on(seat, peer)
        assert summary_of(peer).proposal_rounds == (0,)


def test_an_absurd_summary_gets_a_bounded_answer() -> None:
    seat = take_seat(None)
    decide_votes: list[Vote] = [make_vote(index, PREVOTE, None, 2) for index in range(4)]
    for vote in decide_votes:
        seat.feed(VoteReceived(vote, NodeKey(bytes(32))))
    absurd = RoundSummary(
        HEIGHT,
        Round(2**31 - 1),
        Step.NEW_HEIGHT,
        tuple(RoundVotes(Round(2), 0, 0) for _ in range(64)),
        tuple(Round(0) for _ in range(64)),
    )
    assert seat.core.get_missing_for(absurd) == decide_votes
