from consensus.messages import VoteKind
from consensus.votes import VoteBook
from ledger.primitives import BlockHash, Round
from tests.consensus.builders import make_vote

A, B = BlockHash(b"a" * 32), BlockHash(b"b" * 32)
PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT
FIRST = Round(0)


def fill(*votes: tuple[int, BlockHash | None]) -> VoteBook:
    book = VoteBook(4)
    for index, block_hash in votes:
        book.add(make_vote(index, PREVOTE, block_hash))
    return book


def test_three_of_four_are_a_quorum_for_what_they_voted() -> None:
    book = fill((0, A), (1, A))
    assert not book.has_quorum_for(FIRST, PREVOTE, A)
    book.add(make_vote(3, PREVOTE, A))
    assert book.has_quorum_for(FIRST, PREVOTE, A)
    assert book.get_quorum_blocks(FIRST, PREVOTE) == [A]
    assert not book.has_quorum_for(FIRST, PRECOMMIT, A)
    assert not book.has_quorum_for(Round(1), PREVOTE, A)


def test_nil_has_a_quorum_but_is_no_block() -> None:
    book = fill((0, None), (1, None), (2, None))
    assert book.has_quorum_for(FIRST, PREVOTE, None)
    assert book.get_quorum_blocks(FIRST, PREVOTE) == []


def test_a_repeated_vote_counts_once() -> None:
    book = fill((0, A), (0, A), (0, A))
    assert not book.has_quorum_any(FIRST, PREVOTE)
    assert not book.has_quorum_for(FIRST, PREVOTE, A)


def test_an_equivocator_counts_for_each_block_and_once_for_any() -> None:
    book = fill((0, A), (1, A), (2, B), (2, A))
    assert book.has_quorum_for(FIRST, PREVOTE, A)
    assert book.get_voters(FIRST, PREVOTE) == [0, 1, 2]
    assert book.get_voter_bitmap(FIRST, PREVOTE) == 0b111
    assert not fill((0, A), (0, B), (0, None)).has_quorum_any(FIRST, PREVOTE)
    assert [vote.member_index for vote in book.get_first_votes(FIRST, PREVOTE)] == [0, 1, 2]


def test_votes_come_by_member_and_forgotten_rounds_are_gone() -> None:
    book = fill((3, A), (0, A), (1, A))
    book.add(make_vote(2, PRECOMMIT, B, 7))
    assert [vote.member_index for vote in book.get_votes_for(FIRST, PREVOTE, A)] == [0, 1, 3]
    assert book.get_rounds() == [0, 7]
    book.keep_rounds([Round(7)])
    assert book.get_rounds() == [7]
    assert book.find(FIRST, PREVOTE, A, 3) is None
    assert book.find_any(Round(7), PRECOMMIT, 2) == make_vote(2, PRECOMMIT, B, 7)
