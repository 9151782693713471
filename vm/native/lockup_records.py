"""Lock-ups of accounts: what they hold and must not move yet, by a schedule; the rules stand in vm/native/lockups.py.

| key                            | value                                                              |
|--------------------------------|--------------------------------------------------------------------|
| lockups_key(account)           | Lockups; an account that has some has the flag HAS_LOCKUPS         |
| lockup_due_key(height, account)| empty: a step of one of its lock-ups is reached with this block    |
| LOCKUPS_WAITING_KEY            | key of the first of those that its block had no room for           |

Nothing here depends on accounts, so that an account's balance can ask what of it is locked.
"""

from dataclasses import dataclass, replace
from enum import IntEnum, unique
from functools import lru_cache
from typing import Annotated, Final

from annotated_types import Interval, Len

from identity.address import Address
from ledger.codec import decode, encode
from ledger.primitives import JSON_INTEGER_MAX, Grains, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import lockup_due_key, lockups_key

WHOLE_BPS: Final = 10_000
"""All of a lock-up, in basis points."""
STEPS_MAX: Final = 60
"""Of one schedule: a step a month for five years."""
LOCKUPS_MAX: Final = 16
"""Of one account: all of them are read with every payment from it."""
ACCOUNT_STEPS_MAX: Final = 128
"""Of all schedules of one account together: as many are read in a tenth of a millisecond, half of a transfer's gas."""
_DECODED_KEPT: Final = 256  # a payment asks up to three times, and the next block again

LockupNumber = Annotated[int, Interval(ge=1, le=JSON_INTEGER_MAX)]
"""Counted from 1 for each account, never used again."""


@unique
class Clock(IntEnum):
    """What a schedule's steps count by; wire number, never reused."""

    TIME = 1
    """Milliseconds of block time: a step is reached with its millisecond."""
    HEIGHT = 2
    """Blocks: a step is reached after its block."""


@dataclass(frozen=True, slots=True)
class Linear:
    """Unlocks evenly from start to end, but nothing before the cliff."""

    start_ms: TimeMs
    cliff_ms: TimeMs
    end_ms: TimeMs


@dataclass(frozen=True, slots=True)
class Step:
    """From here on so much is unlocked in all."""

    at: Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]
    """Milliseconds or a height, by the schedule's clock."""
    unlocked: Grains
    """In 1/10,000 of the lock-up or in grains, as the schedule says; counted from the beginning, not from the last."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a lock-up unlocks: evenly, or in steps, one of which makes a cliff."""

    linear: Linear | None
    """None: by the steps."""
    clock: Clock
    is_in_grains: bool
    """Whether the steps say grains; else basis points."""
    steps: Annotated[tuple[Step, ...], Len(0, STEPS_MAX)]


@dataclass(frozen=True, slots=True)
class Lockup:
    """So many grains of an account unlock by a schedule."""

    number: LockupNumber
    amount_grains: Grains
    schedule: Schedule
    source: Address
    """Where it came from, and what a revocation takes goes back to."""
    is_revocable: bool
    heights_reached: Annotated[int, Interval(ge=0, le=STEPS_MAX)]
    """How many steps of a schedule by heights are reached: who pays knows the time, and no height."""
    is_revoked: bool
    """Its grains belong to the source again and unlock no more; they are collected as far as they are not staked."""


@dataclass(frozen=True, slots=True)
class Lockups:
    """All lock-ups of an account that have not ended, in the order of their numbers."""

    next_number: LockupNumber
    lockups: Annotated[tuple[Lockup, ...], Len(0, LOCKUPS_MAX)]


NO_LOCKUPS: Final = Lockups(1, ())


def build_cliff(at_ms: int) -> Schedule:
    """All at one time."""
    return Schedule(None, Clock.TIME, False, (Step(at_ms, Grains(WHOLE_BPS)),))


def check_schedule(schedule: Schedule, amount_grains: int) -> None:
    """Whether a schedule unlocks exactly an amount, never less than before; raises Rejected."""
    if schedule.linear is not None:
        linear = schedule.linear
        if schedule.steps or schedule.clock is not Clock.TIME or schedule.is_in_grains:
            raise Rejected(Reason.BAD_SCHEDULE, "a schedule unlocks evenly by time, or in steps, not both")
        if not linear.start_ms <= linear.cliff_ms <= linear.end_ms or linear.start_ms == linear.end_ms:
            raise Rejected(Reason.BAD_SCHEDULE, "a schedule starts before it ends, and its cliff lies between")
        return
    if not schedule.steps:
        raise Rejected(Reason.BAD_SCHEDULE, "a schedule without steps never unlocks")
    for before, after in zip(schedule.steps, schedule.steps[1:], strict=False):
        if before.at >= after.at or before.unlocked >= after.unlocked:
            raise Rejected(Reason.BAD_SCHEDULE, "each step comes later and unlocks more than the one before")
    whole = amount_grains if schedule.is_in_grains else WHOLE_BPS
    if schedule.steps[-1].unlocked != whole:
        raise Rejected(Reason.BAD_SCHEDULE, f"the last step unlocks everything, {whole}", whole=whole)


def get_lockups(state: StateReader, account: Address) -> Lockups:
    """All lock-ups of an account."""
    encoded = state.get(lockups_key(account))
    return NO_LOCKUPS if encoded is None else _decode(encoded)


@lru_cache(maxsize=_DECODED_KEPT)
def _decode(encoded: bytes) -> Lockups:
    """Asked for with every payment of such an account, changed once in a while."""
    return decode(Lockups, encoded)


def put_lockups(state: State, account: Address, lockups: Lockups) -> None:
    """Replace them; the caller keeps the account's flag as it must be."""
    state.put(lockups_key(account), encode(lockups))


def put_due(state: State, account: Address, schedule: Schedule, height: int) -> None:
    """Let the ends of the blocks from this height on know when steps by heights are reached."""
    if schedule.clock is Clock.HEIGHT:
        for step in schedule.steps:
            if step.at >= height:
                state.put(lockup_due_key(step.at, account), b"")


def reach_height(lockups: Lockups, height: int) -> Lockups:
    """The same after the block of this height."""
    changed = [
        replace(each, heights_reached=_count_reached(each.schedule, height))
        if each.schedule.clock is Clock.HEIGHT
        else each
        for each in lockups.lockups
    ]
    return replace(lockups, lockups=tuple(changed))


def compute_unlocked(lockup: Lockup, now_ms: int) -> int:
    """Grains of a lock-up that are unlocked at a block's time (rule L2), by what heights were reached till then."""
    if lockup.is_revoked:
        return 0
    if lockup.schedule.clock is Clock.HEIGHT:
        return _compute_steps(lockup, lockup.heights_reached)
    return _compute_unlocked_at(lockup, now_ms)


def compute_locked(lockups: Lockups, now_ms: int) -> int:
    """Grains that an account must hold, in its balance and in stake, at a block's time."""
    return sum([each.amount_grains - compute_unlocked(each, now_ms) for each in lockups.lockups])


def compute_revoked(lockups: Lockups) -> int:
    """Grains that an account owes to the sources of its revoked lock-ups, and does not put into stake again."""
    return sum([each.amount_grains for each in lockups.lockups if each.is_revoked])


def compute_locked_at(lockups: Lockups, height: int, time_ms: int) -> int:
    """The same after a block of this height and time, which may lie ahead; as if nothing were added or revoked."""
    return compute_locked(reach_height(lockups, height), time_ms)


def _compute_unlocked_at(lockup: Lockup, time_ms: int) -> int:
    linear = lockup.schedule.linear
    if linear is None:
        return _compute_steps(lockup, _count_reached(lockup.schedule, time_ms))
    if time_ms < linear.cliff_ms:
        return 0
    passed_ms = min(time_ms, linear.end_ms) - linear.start_ms
    return lockup.amount_grains * passed_ms // (linear.end_ms - linear.start_ms)


def _compute_steps(lockup: Lockup, reached: int) -> int:
    if reached == 0:
        return 0
    unlocked = lockup.schedule.steps[reached - 1].unlocked
    return unlocked if lockup.schedule.is_in_grains else lockup.amount_grains * unlocked // WHOLE_BPS


def _count_reached(schedule: Schedule, now: int) -> int:
    return sum([step.at <= now for step in schedule.steps])
