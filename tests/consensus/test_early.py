from consensus.early import (
    EARLY_PROPOSALS_MAX,
    EARLY_PROPOSALS_PER_PEER_MAX,
    EARLY_VOTES_MAX,
    EARLY_VOTES_PER_PEER_MAX,
    EarlyEvent,
    EarlyMessages,
)
from consensus.events import ProposalReceived, VoteReceived
from consensus.messages import VoteKind
from ledger.primitives import Height, NodeKey
from tests.consensus.builders import HEIGHT, NOW_MS, make_proposal, make_vote

VOTE = make_vote(0, VoteKind.PREVOTE, None)
PROPOSAL = make_proposal()


def peer(number: int) -> NodeKey:
    return NodeKey(number.to_bytes(32, "big"))


def test_a_sender_and_all_of_them_have_limits() -> None:
    early = EarlyMessages()
    votes = [early.add(VoteReceived(VOTE, peer(number % 30))) for number in range(30 * 100)]
    assert sum(votes) == EARLY_VOTES_MAX
    crowd = EarlyMessages()
    assert sum(crowd.add(VoteReceived(VOTE, peer(1))) for _ in range(200)) == EARLY_VOTES_PER_PEER_MAX
    assert crowd.add(VoteReceived(VOTE, peer(2)))
    assert sum(crowd.add(ProposalReceived(PROPOSAL, NOW_MS, peer(1))) for _ in range(3)) == EARLY_PROPOSALS_PER_PEER_MAX
    taken = [crowd.add(ProposalReceived(PROPOSAL, NOW_MS, peer(number))) for number in range(2, 30)]
    assert sum(taken) == EARLY_PROPOSALS_MAX - 1


def test_taking_gives_the_height_in_order_and_makes_room() -> None:
    early = EarlyMessages()
    events: list[EarlyEvent] = [
        VoteReceived(VOTE, peer(1)),
        ProposalReceived(PROPOSAL, NOW_MS, peer(1)),
        VoteReceived(VOTE, peer(2)),
    ]
    for event in events:
        assert early.add(event)
    assert early.take(HEIGHT) == events
    assert early.take(HEIGHT) == []
    assert early.add(ProposalReceived(PROPOSAL, NOW_MS, peer(1)))
    assert early.take(Height(HEIGHT + 1)) == [], "what is over is forgotten"
    assert early.take(HEIGHT) == []
