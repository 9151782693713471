"""The weighted vote: quorum, majority, one vote each, and the deadline."""

import pytest

from contracts.vote.vote import (
    ACCEPTED,
    CLOSED,
    NO_VOTERS,
    NO_WEIGHT,
    NOT_A_VOTER,
    REJECTED,
    SHARE_OUT_OF_RANGE,
    STILL_OPEN,
    TOO_SHORT,
    VOTED_ALREADY,
    VOTER_TWICE,
    Vote,
    Voter,
    Voters,
)
from iov import Address, RevertError, u32, u64
from iov.testing import Chain


class Scene:
    """Three voters with 50, 30 and 20, a quorum of half, and one proposal."""

    def __init__(self) -> None:
        """Propose."""
        self.chain = Chain()
        self.voters = [self.chain.account(name) for name in ("first", "second", "third")]
        weights = zip(self.voters, (50, 30, 20), strict=True)
        listed = Voters([Voter(account, u64(weight)) for account, weight in weights])
        self.contract = self.chain.deploy(self.voters[0], Vote, listed, u64(5_000))
        self.number = self.chain.call(self.voters[0], self.contract.propose, bytes(32), u64(10))

    def cast(self, voter: int, is_for: bool) -> None:
        """One of the three votes."""
        self.chain.call(self.voters[voter], self.contract.cast, self.number, is_for)

    def close(self) -> int:
        """Let the time pass and count."""
        self.chain.advance(blocks=11)
        return self.chain.call(self.chain.account("anybody"), self.contract.close, self.number)


def get_code(failing: pytest.ExceptionInfo[RevertError]) -> int:
    """The code that a call failed with."""
    return failing.value.code


@pytest.mark.parametrize(
    ("votes", "status"),
    [
        ({0: True}, ACCEPTED),
        ({1: True, 2: True}, ACCEPTED),
        ({1: True}, REJECTED),
        ({0: True, 1: False, 2: False}, REJECTED),
        ({0: False, 1: True, 2: True}, REJECTED),
        ({}, REJECTED),
    ],
)
def test_the_quorum_and_the_majority_decide(votes: dict[int, bool], status: int) -> None:
    scene = Scene()
    for voter, is_for in votes.items():
        scene.cast(voter, is_for)
    assert scene.chain.view(scene.contract.count_pending) == 1
    assert scene.close() == status
    assert scene.chain.view(scene.contract.get_proposal, scene.number).status == status
    assert scene.chain.view(scene.contract.count_pending) == 0


def test_everybody_votes_once_and_only_voters_do() -> None:
    scene = Scene()
    scene.cast(0, True)
    with pytest.raises(RevertError) as caught:
        scene.cast(0, False)
    assert get_code(caught) == VOTED_ALREADY
    with pytest.raises(RevertError) as caught:
        scene.chain.call(scene.chain.account("stranger"), scene.contract.cast, scene.number, True)
    assert get_code(caught) == NOT_A_VOTER


def test_the_deadline_holds_for_votes_and_for_closing() -> None:
    scene = Scene()
    scene.chain.advance(blocks=10)
    with pytest.raises(RevertError) as caught:
        scene.chain.call(scene.voters[0], scene.contract.close, scene.number)
    assert get_code(caught) == STILL_OPEN
    scene.cast(0, True)
    scene.chain.advance()
    with pytest.raises(RevertError) as caught:
        scene.cast(1, True)
    assert get_code(caught) == CLOSED
    assert scene.close() == ACCEPTED
    with pytest.raises(RevertError) as caught:
        scene.close()
    assert get_code(caught) == CLOSED


def test_a_vote_lasts_a_while() -> None:
    scene = Scene()
    with pytest.raises(RevertError) as caught:
        scene.chain.call(scene.voters[0], scene.contract.propose, bytes(32), u64(9))
    assert get_code(caught) == TOO_SHORT


@pytest.mark.parametrize(
    ("weights", "quorum_bps", "code"),
    [
        ([], 5_000, NO_VOTERS),
        ([("a", 1), ("a", 2)], 5_000, VOTER_TWICE),
        ([("a", 0)], 5_000, NO_WEIGHT),
        ([("a", 1)], 0, SHARE_OUT_OF_RANGE),
        ([("a", 1)], 10_001, SHARE_OUT_OF_RANGE),
    ],
)
def test_a_vote_without_sense_is_not_published(weights: list[tuple[str, int]], quorum_bps: int, code: int) -> None:
    chain = Chain()
    publisher: Address = chain.account("publisher")
    voters = Voters([Voter(chain.account(name), u64(weight)) for name, weight in weights])
    with pytest.raises(RevertError) as caught:
        chain.deploy(publisher, Vote, voters, u64(quorum_bps))
    assert get_code(caught) == code


def test_proposals_are_numbered() -> None:
    scene = Scene()
    numbers = [scene.chain.call(scene.voters[1], scene.contract.propose, bytes(32), u64(10)) for _ in range(2)]
    assert numbers == [u32(1), u32(2)]
