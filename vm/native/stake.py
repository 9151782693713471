"""Stake: pools of candidates, the shares that holders have in them, and stake on its way out.

| key                                       | value           |
|-------------------------------------------|-----------------|
| EPOCH_KEY                                 | Epoch           |
| candidate_key(operator)                   | Candidate       |
| delegation_key(delegator, operator)       | Delegation      |
| unbonding_pool_key(operator, epoch)       | UnbondingPool   |
| unbonding_key(epoch, operator, delegator) | Unbonding       |
| holdings_key(holder)                      | Holdings        |

Rules
* P1 Staked coins lie in the account of the module `staking`; its balance is the sum of all pools, at every moment.
* P2 Fees and slashes change a pool and no share of it, so nobody has to go through the holders. What a share is worth
  is rounded down, what must be given up for an amount is rounded up; remainders stay in the pool. Whoever leaves a
  pool last takes all of it; should anything remain without a holder, it goes to the treasury.
* P3 What is undelegated waits, in a pool of its own, until `unbonding_epochs` whole epochs have passed; it is slashed
  for what the candidate did until the epoch in which it left.
* P4 Stake that is due is released in the order of its keys, RELEASES_PER_BLOCK_MAX a block, whatever becomes due at
  once.
* P5 `staked_grains` of an account is the sum of the book values of its delegations and of its stake on its way out. A
  delegation's book value is what it was worth when its holder last touched it; what is on its way out counts as what
  left. Coin age follows it: fees and slashes count from the next touch on.
* P6 A delegation, a part taken out and a part left behind are at least STAKE_GRAINS_MIN; all of it may always leave.
"""

from dataclasses import dataclass, replace
from itertools import islice
from typing import Annotated, Final, NewType

from annotated_types import Interval, Len

from identity.address import ADDRESS_BYTES, Address
from ledger.codec import decode, encode, to_plain
from ledger.primitives import GRAINS_PER_IOV, INTEGER_MAX, Grains, Height
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.state import State, StateReader
from ledger.state_keys import (
    CANDIDATE_PREFIX,
    EPOCH_KEY,
    candidate_key,
    delegation_key,
    holdings_key,
    unbonding_key,
    unbonding_pool_key,
    unbonding_pool_prefix,
    unbonding_prefix,
)
from vm.context import BlockContext
from vm.native.accounts import HAS_LOCKUPS, add_to_balance, change_stake, get_account, put_account
from vm.native.iov import STAKING_ADDRESS, credit, debit, deposit_treasury
from vm.native.lockup_records import compute_revoked, get_lockups
from vm.parameters import BPS

MODULE_NAME: Final = "staking"

STAKE_GRAINS_MIN: Final = GRAINS_PER_IOV
"""One IOV: rounding is worth nothing beside it, and records cost more than they could spoil."""
DELEGATIONS_MAX: Final = 64
"""Candidates with whom one holder may have stake."""
UNBONDINGS_MAX: Final = 64
"""Amounts of one holder that may be on their way out; they are listed in one record."""
RELEASES_PER_BLOCK_MAX: Final = 500
"""About 25 ms of a block; a million of them take a day."""

_EPOCH_MAX: Final = 2**53 - 1

EpochNumber = NewType("EpochNumber", Annotated[int, Interval(ge=0, le=_EPOCH_MAX)])
"""Epochs are numbered from 0."""
Shares = NewType("Shares", Annotated[int, Interval(ge=0, le=INTEGER_MAX)])
"""Parts of a pool; the first grain in a pool is one share."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """The epoch going on."""

    number: EpochNumber
    first_height: Height
    released_before: EpochNumber
    """All stake due in earlier epochs than this one has been released."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An operator that stands for election, or whose stake has not all left yet."""

    operator: Address
    commission_bps: Annotated[int, Interval(ge=0, le=BPS)]
    """The operator's part of what the pool earns, in 1/10,000."""
    next_commission_bps: Annotated[int, Interval(ge=0, le=BPS)]
    """The same from the next epoch on."""
    pool_grains: Grains
    pool_shares: Shares
    jailed_until_epoch: EpochNumber
    """From this epoch on it may come back; 0: it is not jailed."""
    key_locked_until_epoch: EpochNumber
    """From this epoch on its consensus key may change again while it sits in the committee."""
    is_standing: bool


@dataclass(frozen=True, slots=True)
class Delegation:
    """A holder's part of a candidate's pool; an operator's own bond is its delegation to itself."""

    shares: Shares
    book_grains: Grains
    """What it was worth when its holder last touched it."""
    settled_until_epoch: EpochNumber
    """Part of it came by redelegation: before this epoch it is not redelegated, nor is more redelegated to it."""


@dataclass(frozen=True, slots=True)
class UnbondingPool:
    """Stake that left a candidate and is released in the same epoch."""

    grains: Grains
    shares: Shares
    left_epoch: EpochNumber
    """The last epoch in which stake has come into it."""


@dataclass(frozen=True, slots=True)
class Unbonding:
    """A holder's part of such a pool."""

    shares: Shares
    book_grains: Grains
    """What left."""


@dataclass(frozen=True, slots=True)
class UnbondingName:
    """Which stake of a holder is on its way out."""

    release_epoch: EpochNumber
    operator: Address


@dataclass(frozen=True, slots=True)
class Holdings:
    """What one holder has in stake, so that it can be bounded and listed."""

    delegations: Annotated[int, Interval(ge=0, le=DELEGATIONS_MAX)]
    unbondings: Annotated[tuple[UnbondingName, ...], Len(0, UNBONDINGS_MAX)]


@dataclass(frozen=True, slots=True)
class Released:
    """Stake came back to its holder."""

    delegator: Address
    operator: Address
    amount_grains: Grains


_NO_DELEGATION: Final = Delegation(Shares(0), Grains(0), EpochNumber(0))
_NO_HOLDINGS: Final = Holdings(0, ())


def build_event(fields: object) -> Event:
    """An event of this module from its dataclass."""
    return Event(MODULE_NAME, type(fields).__name__, to_plain(fields))


def get_epoch(state: StateReader) -> Epoch:
    """The epoch going on; genesis begins the first."""
    encoded = state.get(EPOCH_KEY)
    assert encoded is not None, "genesis begins the first epoch"
    return decode(Epoch, encoded)


def put_epoch(state: State, epoch: Epoch) -> None:
    """Replace the epoch."""
    state.put(EPOCH_KEY, encode(epoch))


def find_candidate(state: StateReader, operator: Address) -> Candidate | None:
    """The candidate of that operator, if there is one."""
    encoded = state.get(candidate_key(operator))
    return None if encoded is None else decode(Candidate, encoded)


def get_candidate(state: StateReader, operator: Address) -> Candidate:
    """The candidate of that operator; raises Rejected."""
    candidate = find_candidate(state, operator)
    if candidate is None:
        raise Rejected(Reason.NO_SUCH_CANDIDATE, "this operator does not stand for election")
    return candidate


def get_candidates(state: StateReader) -> list[Candidate]:
    """All candidates in the order of their operators."""
    return [decode(Candidate, encoded) for _, encoded in state.iterate_prefix(CANDIDATE_PREFIX)]


def put_candidate(state: State, candidate: Candidate) -> None:
    """Add or replace a candidate."""
    state.put(candidate_key(candidate.operator), encode(candidate))


def build_candidate(operator: Address, commission_bps: int, *, is_standing: bool) -> Candidate:
    """A candidate without any stake."""
    return Candidate(
        operator=operator,
        commission_bps=commission_bps,
        next_commission_bps=commission_bps,
        pool_grains=Grains(0),
        pool_shares=Shares(0),
        jailed_until_epoch=EpochNumber(0),
        key_locked_until_epoch=EpochNumber(0),
        is_standing=is_standing,
    )


def get_delegation(state: StateReader, delegator: Address, operator: Address) -> Delegation:
    """A holder's part of a pool; nothing is an empty one."""
    encoded = state.get(delegation_key(delegator, operator))
    return _NO_DELEGATION if encoded is None else decode(Delegation, encoded)


def get_holdings(state: StateReader, holder: Address) -> Holdings:
    """What a holder has in stake, counted."""
    encoded = state.get(holdings_key(holder))
    return _NO_HOLDINGS if encoded is None else decode(Holdings, encoded)


def compute_value(shares: int, pool_grains: int, pool_shares: int) -> Grains:
    """What shares of a pool are worth, rounded down (rule P2)."""
    return Grains(0 if shares == 0 else shares * pool_grains // pool_shares)


def compute_delegation_value(state: StateReader, delegator: Address, candidate: Candidate) -> Grains:
    """What a holder's part of a candidate's pool is worth."""
    delegation = get_delegation(state, delegator, candidate.operator)
    return compute_value(delegation.shares, candidate.pool_grains, candidate.pool_shares)


def deposit_stake(state: State, holder: Address, amount_grains: int, now_ms: int) -> None:
    """Move coins from a balance to the staking module (rule P1), locked ones too; raises Rejected."""
    account = get_account(state, holder)
    if account.flags & HAS_LOCKUPS:
        owed_grains = compute_revoked(get_lockups(state, holder))
        if owed_grains and amount_grains > account.balance_grains - owed_grains:
            raise Rejected(Reason.FUNDS_LOCKED, "what is owed of a revoked lock-up is not staked", owed=owed_grains)
    add_to_balance(state, holder, -amount_grains, now_ms, may_take_locked=True)
    credit(state, STAKING_ADDRESS, amount_grains, now_ms)


def add_stake(
    state: State,
    delegator: Address,
    candidate: Candidate,
    amount_grains: int,
    now_ms: int,
    settled_until_epoch: int = 0,
) -> None:
    """Give a holder shares of a pool for coins that the staking module has; raises Rejected."""
    shares = _compute_shares(amount_grains, candidate.pool_grains, candidate.pool_shares)
    operator = candidate.operator
    delegation = get_delegation(state, delegator, operator)
    if delegation.shares == 0:
        holdings = get_holdings(state, delegator)
        if holdings.delegations == DELEGATIONS_MAX:
            raise Rejected(Reason.TOO_MANY_DELEGATIONS, f"stake with {DELEGATIONS_MAX} candidates at most")
        _put_holdings(state, delegator, replace(holdings, delegations=holdings.delegations + 1))
    candidate = replace(
        candidate,
        pool_grains=Grains(candidate.pool_grains + amount_grains),
        pool_shares=Shares(candidate.pool_shares + shares),
    )
    put_candidate(state, candidate)
    shares += delegation.shares
    value = compute_value(shares, candidate.pool_grains, candidate.pool_shares)
    settled = EpochNumber(max(delegation.settled_until_epoch, settled_until_epoch))
    _put_delegation(state, delegator, operator, Delegation(Shares(shares), value, settled))
    _change_book(state, delegator, value - delegation.book_grains, now_ms)


def remove_stake(state: State, delegator: Address, candidate: Candidate, amount_grains: int, now_ms: int) -> None:
    """Take shares worth an amount from a holder; the coins stay with the staking module; raises Rejected.

    Worthless shares are given up by removing nothing.
    """
    operator = candidate.operator
    delegation = get_delegation(state, delegator, operator)
    if delegation.shares == 0:
        raise Rejected(Reason.STAKE_INSUFFICIENT, "nothing is staked there", held=0, needed=amount_grains)
    value = compute_value(delegation.shares, candidate.pool_grains, candidate.pool_shares)
    if amount_grains > value:
        raise Rejected(Reason.STAKE_INSUFFICIENT, "less is staked there", held=value, needed=amount_grains)
    if amount_grains < value and min(amount_grains, value - amount_grains) < STAKE_GRAINS_MIN:
        raise Rejected(
            Reason.STAKE_TOO_SMALL,
            "take and leave at least the minimum, or take all",
            minimum=STAKE_GRAINS_MIN,
            held=value,
        )
    burned = delegation.shares
    if amount_grains < value:
        burned = Shares(-(-amount_grains * candidate.pool_shares // candidate.pool_grains))
    candidate = replace(
        candidate,
        pool_grains=Grains(candidate.pool_grains - amount_grains),
        pool_shares=Shares(candidate.pool_shares - burned),
    )
    if candidate.pool_shares == 0 and candidate.pool_grains > 0:
        debit(state, STAKING_ADDRESS, candidate.pool_grains, now_ms)
        deposit_treasury(state, candidate.pool_grains, now_ms)
        candidate = replace(candidate, pool_grains=Grains(0))
    put_candidate(state, candidate)
    shares = delegation.shares - burned
    if shares == 0:
        holdings = get_holdings(state, delegator)
        _put_holdings(state, delegator, replace(holdings, delegations=holdings.delegations - 1))
    left_value = compute_value(shares, candidate.pool_grains, candidate.pool_shares)
    _put_delegation(state, delegator, operator, Delegation(Shares(shares), left_value, delegation.settled_until_epoch))
    _change_book(state, delegator, left_value - delegation.book_grains, now_ms)


def add_unbonding(
    state: State, block: BlockContext, delegator: Address, operator: Address, amount_grains: int
) -> EpochNumber:
    """Send stake that was removed on its way out (rule P3); returns the epoch of its release; raises Rejected."""
    epoch = get_epoch(state)
    release_epoch = EpochNumber(epoch.number + 1 + block.parameters.unbonding_epochs)
    if amount_grains == 0:
        return release_epoch
    pool_key = unbonding_pool_key(operator, release_epoch)
    encoded_pool = state.get(pool_key)
    pool = UnbondingPool(Grains(0), Shares(0), epoch.number)
    if encoded_pool is not None:
        pool = decode(UnbondingPool, encoded_pool)
    shares = _compute_shares(amount_grains, pool.grains, pool.shares)
    pool = UnbondingPool(Grains(pool.grains + amount_grains), Shares(pool.shares + shares), epoch.number)
    state.put(pool_key, encode(pool))
    key = unbonding_key(release_epoch, operator, delegator)
    encoded = state.get(key)
    if encoded is None:
        holdings = get_holdings(state, delegator)
        if len(holdings.unbondings) == UNBONDINGS_MAX:
            raise Rejected(Reason.TOO_MANY_UNBONDINGS, f"{UNBONDINGS_MAX} amounts may be on their way out at most")
        names = (*holdings.unbondings, UnbondingName(release_epoch, operator))
        _put_holdings(state, delegator, replace(holdings, unbondings=names))
        unbonding = Unbonding(Shares(shares), Grains(amount_grains))
    else:
        earlier = decode(Unbonding, encoded)
        unbonding = Unbonding(Shares(earlier.shares + shares), Grains(earlier.book_grains + amount_grains))
    state.put(key, encode(unbonding))
    _change_book(state, delegator, amount_grains, block.time_ms)
    return release_epoch


def release_due(state: State, now_ms: int) -> list[Event]:
    """Rule P4: give back the stake whose epoch has come."""
    epoch = get_epoch(state)
    events: list[Event] = []
    due_epoch = epoch.released_before
    while due_epoch <= epoch.number:
        room = RELEASES_PER_BLOCK_MAX - len(events)
        due = list(islice(state.iterate_prefix(unbonding_prefix(due_epoch)), room))
        for key, encoded in due:
            events.append(_release(state, due_epoch, key, decode(Unbonding, encoded), now_ms))
        if len(due) == room:
            break
        due_epoch = EpochNumber(due_epoch + 1)
    if due_epoch != epoch.released_before:
        put_epoch(state, replace(epoch, released_before=due_epoch))
    return events


def slash_stake(state: State, operator: Address, bps: int, since_epoch: int, now_ms: int) -> Grains:
    """Take a part of a candidate's pool, and of what left it in this epoch or later, for the treasury; rounded down."""
    taken = 0
    candidate = find_candidate(state, operator)
    if candidate is not None and candidate.pool_grains:
        taken = candidate.pool_grains * bps // BPS
        put_candidate(state, replace(candidate, pool_grains=Grains(candidate.pool_grains - taken)))
    for key, encoded in list(state.iterate_prefix(unbonding_pool_prefix(operator))):
        pool = decode(UnbondingPool, encoded)
        if pool.left_epoch >= since_epoch:
            part = pool.grains * bps // BPS
            state.put(key, encode(replace(pool, grains=Grains(pool.grains - part))))
            taken += part
    if taken:
        debit(state, STAKING_ADDRESS, taken, now_ms)
        deposit_treasury(state, taken, now_ms)
    return Grains(taken)


def _compute_shares(amount_grains: int, pool_grains: int, pool_shares: int) -> int:
    """Shares for coins that come into a pool, rounded down (rule P2); raises Rejected."""
    if pool_shares == 0:
        return amount_grains
    shares = amount_grains * pool_shares // pool_grains if pool_grains else INTEGER_MAX
    if not 0 < shares <= INTEGER_MAX - pool_shares:
        raise Rejected(Reason.POOL_DEPLETED, "the pool was slashed too often to take more stake")
    return shares


def _release(state: State, epoch: EpochNumber, key: bytes, unbonding: Unbonding, now_ms: int) -> Event:
    names = key[len(unbonding_prefix(epoch)) :]
    operator, delegator = Address(names[:ADDRESS_BYTES]), Address(names[ADDRESS_BYTES:])
    pool_key = unbonding_pool_key(operator, epoch)
    encoded_pool = state.get(pool_key)
    assert encoded_pool is not None, "a part belongs to a pool"
    pool = decode(UnbondingPool, encoded_pool)
    value = compute_value(unbonding.shares, pool.grains, pool.shares)
    if unbonding.shares == pool.shares:
        state.delete(pool_key)
    else:
        left = replace(pool, grains=Grains(pool.grains - value), shares=Shares(pool.shares - unbonding.shares))
        state.put(pool_key, encode(left))
    state.delete(key)
    holdings = get_holdings(state, delegator)
    others = tuple([name for name in holdings.unbondings if name != UnbondingName(epoch, operator)])
    _put_holdings(state, delegator, replace(holdings, unbondings=others))
    _change_book(state, delegator, -unbonding.book_grains, now_ms)
    debit(state, STAKING_ADDRESS, value, now_ms)
    credit(state, delegator, value, now_ms)
    return build_event(Released(delegator, operator, value))


def _put_delegation(state: State, delegator: Address, operator: Address, delegation: Delegation) -> None:
    key = delegation_key(delegator, operator)
    if delegation.shares:
        state.put(key, encode(delegation))
    else:
        state.delete(key)


def _put_holdings(state: State, holder: Address, holdings: Holdings) -> None:
    if holdings == _NO_HOLDINGS:
        state.delete(holdings_key(holder))
    else:
        state.put(holdings_key(holder), encode(holdings))


def _change_book(state: State, holder: Address, difference_grains: int, now_ms: int) -> None:
    """Rule P5."""
    account = get_account(state, holder)
    put_account(state, holder, change_stake(account, account.staked_grains + difference_grains, now_ms))
