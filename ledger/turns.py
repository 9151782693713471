"""Whose turn it is to propose: members in rotation, those that missed their last turns behind the others.

A member that was absent when its turn came is put off: for a while it comes last, and for twice as long each time it is
absent again. So a dead member costs a short round now and then, not one in every rotation. It is back in its place as
soon as a block of its own is final, or when the epoch ends.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Interval, Len

from identity.address import Address
from ledger.committee import COMMITTEE_MEMBERS_MAX, Committee
from ledger.primitives import Height

MISSES_COUNTED_MAX: Final = 6  # a member is put off for at most 2^6 rotations
MISSES_MAX: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Absence:
    """A member that missed its last turns."""

    operator: Address
    misses: Annotated[int, Interval(ge=0, le=MISSES_MAX)]
    """Turns missed in a row in this epoch."""
    put_off_until: Height
    """From this height on it has its turn again."""
    away_since: Height
    """The height of the first turn missed in a row, in this epoch or before."""


@dataclass(frozen=True, slots=True)
class Absences:
    """Members that missed their last turns, by operator address; everybody else is present."""

    members: Annotated[tuple[Absence, ...], Len(0, 2 * COMMITTEE_MEMBERS_MAX)]


NOBODY_ABSENT: Final = Absences(())


def compute_turns(committee: Committee, absences: Absences, height: Height) -> tuple[int, ...]:
    """Member indices in the order in which they propose at a height: a permutation, the first for round 0."""
    size = len(committee.members)
    put_off = {each.operator for each in absences.members if each.put_off_until > height}
    rotation = [(height + offset) % size for offset in range(size)]
    last = [index for index in rotation if committee.members[index].operator in put_off]
    return tuple([index for index in rotation if index not in last] + last)


def compute_pause_heights(size: int, misses: int) -> int:
    """For how many heights a member of a committee of this size is put off after so many misses in a row."""
    return size << min(misses, MISSES_COUNTED_MAX)
