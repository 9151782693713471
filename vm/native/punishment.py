"""Punishment of super nodes: for signing two different messages, and for staying away.

| key                            | value                                    |
|--------------------------------|------------------------------------------|
| ABSENCES_KEY                   | Absences; absent while everybody is here |
| offence_key(term's height, id) | height of the punishment, packed         |

Rules
* J1 Each offence that a block's evidence proves is punished once: `double_sign_slash_bps` of the culprit's pool, and
  of the stake that left it in the epoch of the offence's term or later, goes to the treasury; the culprit is jailed.
* J2 Before a block of a later round the proposers of the rounds before it have missed their turns, each once a block.
  Who missed turns is put off (`ledger/turns.py`) and away until a block it proposed is final.
* J3 A member that misses a turn when it has been away for `absence_heights_max` blocks loses `absence_slash_bps` of
  its stake in the same way and is jailed; then the blocks are counted anew.
* J4 A jailed candidate is not elected and takes no delegations. After `jail_epochs` whole epochs it may come back, by
  its own call. Another punishment never shortens the time.
* J5 When a member of the committee was jailed its seat is filled at once (vm/native/election.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from identity.address import Address
from ledger.codec import decode, encode, pack
from ledger.committee import Committee
from ledger.primitives import Grains, Height
from ledger.receipt import Event
from ledger.state import State, StateReader
from ledger.state_keys import ABSENCES_KEY, offence_key
from ledger.turns import MISSES_MAX, NOBODY_ABSENT, Absence, Absences, compute_pause_heights, compute_turns
from vm.context import BlockContext
from vm.native.stake import (
    EpochNumber,
    build_candidate,
    build_event,
    find_candidate,
    get_epoch,
    put_candidate,
    slash_stake,
)
from vm.offences import find_culprit

DOUBLE_SIGN: Final = "double_sign"
ABSENCE: Final = "absence"


@dataclass(frozen=True, slots=True)
class Slashed:
    """A part of a candidate's stake went to the treasury."""

    operator: Address
    amount_grains: Grains
    cause: str
    """`double_sign` or `absence`."""


@dataclass(frozen=True, slots=True)
class Jailed:
    """A candidate is not elected until it comes back, in this epoch or later."""

    operator: Address
    until_epoch: EpochNumber
    cause: str
    """`double_sign` or `absence`."""


def get_absences(state: StateReader) -> Absences:
    """Members that missed their last turns."""
    encoded = state.get(ABSENCES_KEY)
    return NOBODY_ABSENT if encoded is None else decode(Absences, encoded)


def put_absences(state: State, entries: Sequence[Absence]) -> None:
    """Replace the absences, given in any order; nothing is written when they are the same."""
    absences = Absences(tuple(sorted(entries, key=lambda each: each.operator)))
    if absences == get_absences(state):
        return
    if absences == NOBODY_ABSENT:
        state.delete(ABSENCES_KEY)
    else:
        state.put(ABSENCES_KEY, encode(absences))


def punish_offences(state: State, block: BlockContext) -> list[Event]:
    """Rule J1 for every offence of the block, in the block's order."""
    events: list[Event] = []
    for offence in block.offences:
        culprit = find_culprit(state, offence)
        assert culprit is not None, "a block's evidence was checked before the vote"
        state.put(offence_key(culprit.term_height, offence.id), pack(block.height))
        events += _punish(
            state, block, culprit.operator, block.parameters.double_sign_slash_bps, culprit.epoch, DOUBLE_SIGN
        )
    return events


def record_turns(state: State, block: BlockContext, ruling: Committee) -> list[Event]:
    """Rules J2 and J3, with the committee that ruled this block."""
    absences = get_absences(state)
    if block.round == 0 and absences == NOBODY_ABSENT:
        return []
    entries = {each.operator: each for each in absences.members}
    proposer_index = ruling.find(block.proposer)
    missed = [
        index for index in compute_turns(ruling, absences, block.height)[: block.round] if index != proposer_index
    ]
    events: list[Event] = []
    for index in missed:
        operator = ruling.members[index].operator
        earlier = entries.get(operator, Absence(operator, 0, block.height, block.height))
        misses = min(earlier.misses + 1, MISSES_MAX)
        put_off_until = Height(block.height + compute_pause_heights(len(ruling.members), misses))
        away_since = earlier.away_since
        if block.height - away_since >= block.parameters.absence_heights_max:
            epoch_number = get_epoch(state).number
            events += _punish(state, block, operator, block.parameters.absence_slash_bps, epoch_number, ABSENCE)
            away_since = block.height
        entries[operator] = Absence(operator, misses, put_off_until, away_since)
    if proposer_index is not None:
        entries.pop(ruling.members[proposer_index].operator, None)
    put_absences(state, list(entries.values()))
    return events


def forgive_misses(state: State) -> None:
    """At an epoch's end nobody is put off any longer; who is away stays so."""
    put_absences(state, [replace(each, misses=0, put_off_until=Height(0)) for each in get_absences(state).members])


def forget_former_members(state: State, *committees: Committee) -> None:
    """Keep the absences of members of these committees only."""
    operators = {member.operator for committee in committees for member in committee.members}
    put_absences(state, [each for each in get_absences(state).members if each.operator in operators])


def _punish(
    state: State, block: BlockContext, operator: Address, slash_bps: int, since_epoch: int, cause: str
) -> list[Event]:
    """Slash and jail; a culprit that has left altogether is jailed all the same, so that it cannot begin anew."""
    taken = slash_stake(state, operator, slash_bps, since_epoch, block.time_ms)
    candidate = find_candidate(state, operator) or build_candidate(operator, 0, is_standing=False)
    until_epoch = EpochNumber(get_epoch(state).number + 1 + block.parameters.jail_epochs)
    until_epoch = max(until_epoch, candidate.jailed_until_epoch)
    put_candidate(state, replace(candidate, jailed_until_epoch=until_epoch))
    slashed = [build_event(Slashed(operator, taken, cause))] if taken else []
    return [*slashed, build_event(Jailed(operator, until_epoch, cause))]
