"""Turns: a rotation, those that were absent last."""

from hypothesis import given
from hypothesis import strategies as st

from ledger.committee import Committee
from ledger.primitives import Height
from ledger.turns import NOBODY_ABSENT, Absence, Absences, compute_pause_heights, compute_turns
from tests.consensus.builders import make_committee

FOUR = make_committee(4)


def absent(committee: Committee, *indices: int, until: int = 100) -> Absences:
    members = [Absence(committee.members[index].operator, 1, Height(until), Height(1)) for index in indices]
    return Absences(tuple(members))


def test_members_take_turns_by_height_and_by_round():
    assert compute_turns(FOUR, NOBODY_ABSENT, Height(4)) == (0, 1, 2, 3)
    assert compute_turns(FOUR, NOBODY_ABSENT, Height(7)) == (3, 0, 1, 2)


def test_an_absent_member_comes_last_until_its_pause_is_over():
    assert compute_turns(FOUR, absent(FOUR, 0), Height(4)) == (1, 2, 3, 0)
    assert compute_turns(FOUR, absent(FOUR, 0, 2), Height(4)) == (1, 3, 0, 2)
    assert compute_turns(FOUR, absent(FOUR, 0), Height(99)) == (3, 1, 2, 0)
    assert compute_turns(FOUR, absent(FOUR, 0), Height(100)) == (0, 1, 2, 3)


def test_with_everybody_absent_the_rotation_goes_on():
    assert compute_turns(FOUR, absent(FOUR, 0, 1, 2, 3), Height(5)) == (1, 2, 3, 0)


def test_a_pause_doubles_with_each_miss_up_to_a_limit():
    assert [compute_pause_heights(4, misses) for misses in (1, 2, 3, 6, 7, 1_000)] == [8, 16, 32, 256, 256, 256]


@given(st.integers(1, 21), st.integers(0, 10**6), st.sets(st.integers(0, 20)))
def test_every_member_has_exactly_one_turn(size, height, indices):
    committee = make_committee(size)
    out = sorted(index for index in indices if index < size)
    turns = compute_turns(committee, absent(committee, *out, until=10**7), Height(height))
    assert sorted(turns) == list(range(size))
    assert sorted(turns[size - len(out) :]) == out
