from itertools import combinations

import pytest

from consensus.committee import fault_limit, one_honest, proposer_index, quorum
from ledger.committee import COMMITTEE_MEMBERS_MAX
from tests.consensus.builders import turns_of

SIZES = range(1, COMMITTEE_MEMBERS_MAX + 1)


@pytest.mark.parametrize("size", SIZES)
def test_the_numbers_are_the_least_that_do_what_they_are_for(size: int) -> None:
    """Found by counting, without the formulas."""
    more_than_two_thirds = min(count for count in range(size + 1) if count * 3 > size * 2)
    most_faulty = max(count for count in range(size) if count * 3 < size)
    assert quorum(size) == more_than_two_thirds
    assert fault_limit(size) == most_faulty
    assert one_honest(size) == most_faulty + 1


@pytest.mark.parametrize("size", range(1, 11))
def test_any_two_quorums_share_an_honest_member(size: int) -> None:
    quorums = list(combinations(range(size), quorum(size)))
    assert min(len(set(first) & set(second)) for first in quorums for second in quorums) >= one_honest(size)


@pytest.mark.parametrize("size", SIZES)
def test_the_honest_are_a_quorum(size: int) -> None:
    assert size - fault_limit(size) >= quorum(size)


@pytest.mark.parametrize("size", SIZES)
def test_everybody_has_a_turn_in_consecutive_rounds_and_heights(size: int) -> None:
    assert {proposer_index(turns_of(size, 7), round_number) for round_number in range(size)} == set(range(size))
    assert {proposer_index(turns_of(size, height), 3) for height in range(size)} == set(range(size))
    assert proposer_index(turns_of(4, 5), 2) == 3
    assert proposer_index(turns_of(4, 5), 6) == 3
