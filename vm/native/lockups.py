"""Lock-ups: coins that an account holds, may stake and vote with, and must not move before a schedule says so.

Records stand in vm/native/lockup_records.py.

Rules
* L1 A lock-up comes with coins: by a decision of governance out of an allocation (paper 12.4), from a sale, or at
  genesis. It is never put on coins that an account holds already.
* L2 A schedule unlocks evenly from start to end, rounded down to whole grains and nothing before its cliff; or in
  steps, by block time or height. A step by time counts from the first block of that time on, a step by height after
  its block. The end of a block reaches steps of HEIGHTS_PER_BLOCK_MAX accounts at most, in the order of heights and
  accounts; the next blocks go on, whatever became due at once.
* L3 Whatever is taken from an account, fees too, must leave at least what is locked in balance and stake together.
  Putting coins into stake takes nothing away. Stake counts by its book value (rule P5 of vm/native/stake.py), which a
  slash leaves as it is until the holder touches the delegation.
* L4 A slash of stake makes nothing unlock. The coins that it takes are the locked ones: what is free in the balance
  stays free. From the touch on stake counts by what is left of it, and what is missing then has to unlock, or to come
  in, before anything leaves.
* L5 Governance revokes a revocable lock-up: what is unlocked by then stays, the rest is the source's. As far as it lies
  in stake, it is taken out, in the order of the operators, and collected when it is released; until then nothing that
  is owed goes into stake again. Anybody may `settle` an account to collect what has come back.
* L6 What the same source has locked by the same schedule is one lock-up. What has unlocked is forgotten when another
  one comes, and when somebody settles the account.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from identity.address import ADDRESS_BYTES, Address, compute_module_address
from ledger.primitives import Grains, Height, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.state import State, StateReader
from ledger.state_keys import LOCKUPS_WAITING_KEY, delegation_prefix, lockup_due_prefix
from vm.context import BlockContext, Context, Moment
from vm.gas import GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.accounts import HAS_LOCKUPS, add_to_balance, get_account, put_account
from vm.native.iov import check_recipient, credit
from vm.native.lockup_records import (
    ACCOUNT_STEPS_MAX,
    LOCKUPS_MAX,
    Lockup,
    LockupNumber,
    Lockups,
    Schedule,
    check_schedule,
    compute_locked,
    compute_locked_at,
    compute_unlocked,
    get_lockups,
    put_due,
    put_lockups,
    reach_height,
)
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule
from vm.native.stake import (
    DELEGATIONS_MAX,
    STAKE_GRAINS_MIN,
    add_unbonding,
    compute_delegation_value,
    get_candidate,
    remove_stake,
)
from vm.native.staking import list_unbondings

ALLOCATIONS: Final = ("cornerstone", "subscription", "team")
"""Accounts of modules out of which governance grants (paper 12.4)."""

SETTLE_UNBONDINGS_MAX: Final = 8
"""Delegations out of which one settlement takes what is owed; another one goes on."""
HEIGHTS_PER_BLOCK_MAX: Final = 500
"""Accounts whose lock-ups one block's end changes because of a height: about 25 ms with their two keys each."""
GAS_HEIGHT_STEP: Final = 3 * GAS_STATE_WRITE + GAS_STATE_READ
"""A step by height is noted under its height; the block's end removes that, and reads and writes the lock-ups."""


@dataclass(frozen=True, slots=True)
class Settle:
    """Collect what is owed of an account's revoked lock-ups, and forget those that have unlocked."""

    account: Address


@dataclass(frozen=True, slots=True)
class LockupAdded:
    """An account was given coins that it must not move yet."""

    account: Address
    number: LockupNumber
    amount_grains: Grains
    source: Address


@dataclass(frozen=True, slots=True)
class LockupRevoked:
    """What had not unlocked is the source's again."""

    account: Address
    number: LockupNumber
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class LockupCollected:
    """Part of that has gone back to the source."""

    account: Address
    number: LockupNumber
    amount_grains: Grains
    source: Address


@dataclass(frozen=True, slots=True)
class LockupDescription:
    """A lock-up as the views tell it."""

    number: LockupNumber
    amount_grains: Grains
    unlocked_grains: Grains
    """Of that, at the moment asked for."""
    schedule: Schedule
    source: Address
    is_revocable: bool
    is_revoked: bool


# What others do with lock-ups


def add_lockup(
    state: State,
    height: int,
    now_ms: int,
    account: Address,
    amount_grains: int,
    schedule: Schedule,
    source: Address,
    *,
    is_revocable: bool,
) -> Event:
    """Lock coins that the caller has just given to an account, in this block (rules L1 and L6); raises Rejected."""
    check_lockable(state, account)
    check_schedule(schedule, amount_grains)
    lockups = get_lockups(state, account)
    kept = _list_lasting(lockups, now_ms)
    same = next((each for each in kept if _is_same(each, schedule, source, is_revocable=is_revocable)), None)
    if same is None:
        _check_room(kept, schedule)
        added = Lockup(lockups.next_number, Grains(amount_grains), schedule, source, is_revocable, 0, False)
        lockups = Lockups(lockups.next_number + 1, (*kept, added))
    else:
        added = replace(same, amount_grains=Grains(same.amount_grains + amount_grains))
        lockups = replace(lockups, lockups=tuple([added if each is same else each for each in kept]))
    put_lockups(state, account, reach_height(lockups, height - 1))
    put_due(state, account, schedule, height)
    _put_flag(state, account, has_lockups=True)
    return build_event(LockupAdded, account, added.number, amount_grains, source)


def check_lockable(state: StateReader, account: Address) -> None:
    """Whether an account may be given locked coins; raises Rejected."""
    check_recipient(state, account)


def check_grant(state: StateReader, source: str, account: Address, amount_grains: int, schedule: Schedule) -> None:
    """Whether governance may grant this; the allocation has to hold it when the grant is due. Raises Rejected."""
    if source not in ALLOCATIONS:
        raise Rejected(Reason.UNKNOWN_ALLOCATION, f"what is granted comes out of {', '.join(ALLOCATIONS)}")
    if amount_grains == 0:
        raise Rejected(Reason.AMOUNT_ZERO, "an amount is at least one grain")
    check_lockable(state, account)
    check_schedule(schedule, amount_grains)


def apply_grant(
    state: State,
    block: BlockContext,
    source: str,
    account: Address,
    amount_grains: int,
    schedule: Schedule,
    *,
    is_revocable: bool,
) -> Event:
    """Give coins of an allocation to an account, locked (rule L1); raises Rejected."""
    address = compute_module_address(source)
    add_to_balance(state, address, -amount_grains, block.time_ms)
    credit(state, account, amount_grains, block.time_ms)
    return add_lockup(
        *(state, block.height, block.time_ms, account, amount_grains, schedule, address), is_revocable=is_revocable
    )


def check_revocation(state: StateReader, account: Address, number: int) -> None:
    """Whether governance may revoke a lock-up; raises Rejected."""
    lockup = _get_lockup(get_lockups(state, account), number)
    if not lockup.is_revocable or lockup.is_revoked:
        raise Rejected(Reason.LOCKUP_NOT_REVOCABLE, "it was granted for good, or is revoked already")


def apply_revocation(state: State, block: BlockContext, account: Address, number: int) -> list[Event]:
    """Rule L5; raises Rejected."""
    lockups = get_lockups(state, account)
    lockup = _get_lockup(lockups, number)
    owed_grains = lockup.amount_grains - compute_unlocked(lockup, block.time_ms)
    if owed_grains == 0:
        raise Rejected(Reason.LOCKUP_NOT_REVOCABLE, "all of it has unlocked")
    revoked = replace(lockup, amount_grains=Grains(owed_grains), is_revoked=True)
    _put_changed(state, account, lockups, revoked)
    return [build_event(LockupRevoked, account, number, owed_grains), *settle(state, block, account)]


def reach_due_heights(state: State, block: BlockContext) -> None:
    """Rule L2: what this block unlocks by its height, counts from the next one on, as far as there is room for it."""
    waiting = state.get(LOCKUPS_WAITING_KEY)
    first = lockup_due_prefix(block.height) if waiting is None else waiting
    found = list(islice(state.iterate_range(first, lockup_due_prefix(block.height + 1)), HEIGHTS_PER_BLOCK_MAX + 1))
    for key, _ in found[:HEIGHTS_PER_BLOCK_MAX]:
        state.delete(key)
        account = Address(key[-ADDRESS_BYTES:])
        put_lockups(state, account, reach_height(get_lockups(state, account), block.height))
    for key, _ in found[HEIGHTS_PER_BLOCK_MAX:]:
        state.put(LOCKUPS_WAITING_KEY, key)
    if waiting is not None and len(found) <= HEIGHTS_PER_BLOCK_MAX:
        state.delete(LOCKUPS_WAITING_KEY)


def apply_settle(state: State, context: Context, call: Settle) -> None:
    """Rules L5 and L6."""
    lockups = get_lockups(state, call.account)
    if not lockups.lockups:
        raise Rejected(Reason.UNKNOWN_LOCKUP, "the account has no lock-ups")
    context.events.extend(settle(state, context.block, call.account))


def settle(state: State, block: BlockContext, account: Address) -> list[Event]:
    """Collect what is owed, take the rest out of stake, forget what has ended."""
    lockups = get_lockups(state, account)
    events, kept = [], []
    for lockup in _list_lasting(lockups, block.time_ms):
        collected_grains = 0
        if lockup.is_revoked:
            collected_grains = min(get_account(state, account).balance_grains, lockup.amount_grains)
        if collected_grains:
            add_to_balance(state, account, -collected_grains, block.time_ms, may_take_locked=True)
            credit(state, lockup.source, collected_grains, block.time_ms)
            events.append(build_event(LockupCollected, account, lockup.number, collected_grains, lockup.source))
        left_grains = lockup.amount_grains - collected_grains
        if left_grains:
            kept.append(replace(lockup, amount_grains=Grains(left_grains)) if collected_grains else lockup)
    put_lockups(state, account, replace(lockups, lockups=tuple(kept)))
    _put_flag(state, account, has_lockups=bool(kept))
    _unbond_owed(state, block, account, sum([each.amount_grains for each in kept if each.is_revoked]))
    return events


def build_event(kind: type, *values: object) -> Event:
    """An event of this module."""
    return Event(MODULE.name, kind.__name__, list(values))


def _unbond_owed(state: State, block: BlockContext, account: Address, owed_grains: int) -> None:
    """Take out of stake what is owed and not on its way out yet, as far as one settlement may."""
    moment = Moment(block.height, block.time_ms)
    needed_grains = owed_grains - sum([each.value_grains for each in list_unbondings(state, moment, account)])
    prefix = delegation_prefix(account)
    operators = [Address(key[len(prefix) :]) for key, _ in state.iterate_prefix(prefix)]
    for operator in operators[:SETTLE_UNBONDINGS_MAX]:
        if needed_grains <= 0:
            return
        value_grains = compute_delegation_value(state, account, get_candidate(state, operator))
        taken_grains = min(value_grains, max(needed_grains, STAKE_GRAINS_MIN))
        if value_grains - taken_grains < STAKE_GRAINS_MIN:
            taken_grains = value_grains
        mark = state.get_mark()
        try:
            remove_stake(state, account, get_candidate(state, operator), taken_grains, block.time_ms)
            add_unbonding(state, block, account, operator, taken_grains)
        except Rejected:  # too much is on its way out already, or the pool is depleted: a later settlement goes on
            state.undo_to(mark)
            continue
        needed_grains -= taken_grains


def _list_lasting(lockups: Lockups, now_ms: int) -> list[Lockup]:
    return [each for each in lockups.lockups if each.amount_grains > compute_unlocked(each, now_ms)]


def _check_room(lockups: Sequence[Lockup], schedule: Schedule) -> None:
    """Whether an account may have one more; raises Rejected."""
    if len(lockups) >= LOCKUPS_MAX:
        raise Rejected(Reason.LOCKUPS_LIMIT, f"an account has at most {LOCKUPS_MAX} lock-ups", maximum=LOCKUPS_MAX)
    steps = sum([len(each.schedule.steps) for each in lockups]) + len(schedule.steps)
    if steps > ACCOUNT_STEPS_MAX:
        raise Rejected(
            Reason.LOCKUPS_LIMIT,
            f"an account's lock-ups have at most {ACCOUNT_STEPS_MAX} steps together",
            maximum=ACCOUNT_STEPS_MAX,
        )


def _is_same(lockup: Lockup, schedule: Schedule, source: Address, *, is_revocable: bool) -> bool:
    """Rule L6; steps in grains are for one amount."""
    if lockup.is_revoked or schedule.is_in_grains:
        return False
    return (lockup.schedule, lockup.source, lockup.is_revocable) == (schedule, source, is_revocable)


def _get_lockup(lockups: Lockups, number: int) -> Lockup:
    lockup = next((each for each in lockups.lockups if each.number == number), None)
    if lockup is None:
        raise Rejected(Reason.UNKNOWN_LOCKUP, "the account has no lock-up of this number")
    return lockup


def _put_changed(state: State, account: Address, lockups: Lockups, changed: Lockup) -> None:
    others = [changed if each.number == changed.number else each for each in lockups.lockups]
    put_lockups(state, account, replace(lockups, lockups=tuple(others)))


def _put_flag(state: State, address: Address, *, has_lockups: bool) -> None:
    account = get_account(state, address)
    flags = account.flags | HAS_LOCKUPS if has_lockups else account.flags & ~HAS_LOCKUPS
    if flags != account.flags:
        put_account(state, address, account._replace(flags=flags))


# Views


def answer_locked(state: StateReader, _: Moment, account: Address, height: Height, time_ms: TimeMs) -> Grains:
    """The view of what will be locked after a block of this height and time, if nothing is added or revoked."""
    return Grains(compute_locked_at(get_lockups(state, account), height, time_ms))


def answer_unlocked_at(
    state: StateReader, _: Moment, account: Address, height: Height, time_ms: TimeMs
) -> list[LockupDescription]:
    """The view of each lock-up as it will be after such a block."""
    return _describe(reach_height(get_lockups(state, account), height), time_ms)


def answer_lockups(state: StateReader, moment: Moment, account: Address) -> list[LockupDescription]:
    """The view of each lock-up as it is."""
    return _describe(get_lockups(state, account), moment.time_ms)


def answer_locked_now(state: StateReader, moment: Moment, account: Address) -> Grains:
    """The view of what an account must not move now."""
    return Grains(compute_locked(get_lockups(state, account), moment.time_ms))


def _describe(lockups: Lockups, time_ms: int) -> list[LockupDescription]:
    return [
        LockupDescription(
            number=each.number,
            amount_grains=each.amount_grains,
            unlocked_grains=Grains(compute_unlocked(each, time_ms)),
            schedule=each.schedule,
            source=each.source,
            is_revocable=each.is_revocable,
            is_revoked=each.is_revoked,
        )
        for each in lockups.lockups
    ]


_SETTLE_GAS: Final = (
    2 * LOCKUPS_MAX + 6 * SETTLE_UNBONDINGS_MAX
) * GAS_STATE_WRITE + 2 * DELEGATIONS_MAX * GAS_STATE_READ
_AT: Final = (("account", Address), ("height", Height), ("time_ms", TimeMs))

MODULE = ModuleRule(
    name="lockups",
    summary="Coins that unlock by a schedule",
    calls=(CallRule("settle", Settle, apply_settle, lambda _: _SETTLE_GAS, str(_SETTLE_GAS)),),
    events=tuple(map(EventRule, (LockupAdded, LockupRevoked, LockupCollected))),
    views=(
        ViewRule("lockups", (("account", Address),), answer_lockups),
        ViewRule("locked", (("account", Address),), answer_locked_now),
        ViewRule("locked_at", _AT, answer_locked),
        ViewRule("unlocked_at", _AT, answer_unlocked_at),
    ),
)
