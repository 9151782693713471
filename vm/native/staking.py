"""Staking: operators stand for election with a bond of their own, holders delegate to them.

| key, record and rule of …          | stand in                 |
|------------------------------------|--------------------------|
| stake: pools, shares, unbonding    | vm/native/stake.py       |
| epochs, elections, fees            | vm/native/election.py    |
| slashing, jail, absence            | vm/native/punishment.py  |

Rules of the calls
* S1 `stand`: an admitted operator becomes a candidate with a bond of at least `candidate_bond_min_grains`; one that
  has retired does so again, and the bond it still has counts.
* S2 `retire`: it is not elected any longer and takes no delegations; its bond stays until it is unbonded.
* S3 `bond` and `unbond` change an operator's own stake, `delegate` and `undelegate` a holder's; what leaves is on its
  way out for `unbonding_epochs` whole epochs. To a retired or jailed candidate nothing is delegated.
* S4 `redelegate` moves stake from one candidate to another at once. It is not slashed for the source any longer; so
  it is refused when the source is jailed, for an operator's own bond, and for `unbonding_epochs` whole epochs from
  and to a delegation to which stake came in this way: stake does not run from candidate to candidate.
* S5 `set_commission` takes effect with the next epoch: nobody is surprised by it before fees are shared.
* S6 `unjail`: the operator comes back when its time in jail is over.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Final

from annotated_types import Interval

from identity.address import ADDRESS_BYTES, Address
from ledger.codec import decode
from ledger.primitives import Grains, Height
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import delegation_prefix, unbonding_key, unbonding_pool_key
from ledger.turns import Absence
from vm.context import Context, Moment
from vm.gas import GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.election import (
    CANDIDATES_MAX,
    CommitteeElected,
    CommitteeKept,
    EpochEnded,
    FeesShared,
    MemberKeyReplaced,
)
from vm.native.network import is_operator
from vm.native.punishment import Jailed, Slashed, get_absences
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule
from vm.native.stake import (
    MODULE_NAME,
    STAKE_GRAINS_MIN,
    Candidate,
    Delegation,
    EpochNumber,
    Released,
    Unbonding,
    UnbondingPool,
    add_stake,
    add_unbonding,
    build_candidate,
    compute_delegation_value,
    compute_value,
    deposit_stake,
    find_candidate,
    get_candidate,
    get_candidates,
    get_delegation,
    get_epoch,
    get_holdings,
    put_candidate,
    remove_stake,
)
from vm.parameters import BPS, get_parameters

GAS_LIST_CANDIDATES: Final = GAS_STATE_READ * CANDIDATES_MAX  # a new candidate is counted with all others

CommissionBps = Annotated[int, Interval(ge=0, le=BPS)]


@dataclass(frozen=True, slots=True)
class Stand:
    """Stand for election, or stand again, with a bond from the sender's balance."""

    commission_bps: CommissionBps
    bond_grains: Grains


@dataclass(frozen=True, slots=True)
class Retire:
    """Stand for election no longer."""


@dataclass(frozen=True, slots=True)
class Bond:
    """Add to the sender's own stake as a candidate."""

    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class Unbond:
    """Take from the sender's own stake as a candidate."""

    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class Delegate:
    """Stake coins with a candidate."""

    operator: Address
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class Undelegate:
    """Take stake from a candidate; it comes back when it has waited."""

    operator: Address
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class Redelegate:
    """Move stake from one candidate to another."""

    source: Address
    target: Address
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class SetCommission:
    """Change what the operator keeps of its pool's earnings, from the next epoch on."""

    commission_bps: CommissionBps


@dataclass(frozen=True, slots=True)
class Unjail:
    """Come back from jail."""


@dataclass(frozen=True, slots=True)
class Stood:
    """An operator stands for election."""

    operator: Address
    commission_bps: CommissionBps


@dataclass(frozen=True, slots=True)
class Retired:
    """An operator does not stand any longer."""

    operator: Address


@dataclass(frozen=True, slots=True)
class Delegated:
    """Stake was added; by the operator itself: to its bond."""

    delegator: Address
    operator: Address
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class Undelegated:
    """Stake is on its way out."""

    delegator: Address
    operator: Address
    amount_grains: Grains
    release_epoch: EpochNumber


@dataclass(frozen=True, slots=True)
class Redelegated:
    """Stake moved."""

    delegator: Address
    source: Address
    target: Address
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class CommissionSet:
    """A commission changes with the next epoch."""

    operator: Address
    commission_bps: CommissionBps


@dataclass(frozen=True, slots=True)
class Unjailed:
    """A candidate is back from jail."""

    operator: Address


@dataclass(frozen=True, slots=True)
class CandidateDescription:
    """A candidate as the view tells it."""

    operator: Address
    pool_grains: Grains
    """All that is staked with it."""
    bond_grains: Grains
    """Its own part of that."""
    commission_bps: CommissionBps
    next_commission_bps: CommissionBps
    is_standing: bool
    jailed_until_epoch: EpochNumber
    """From this epoch on it may come back; 0: it is not jailed."""


@dataclass(frozen=True, slots=True)
class DelegationDescription:
    """A holder's stake with a candidate."""

    operator: Address
    value_grains: Grains
    """What it is worth now."""
    book_grains: Grains
    """What it was worth when its holder last touched it."""
    settled_until_epoch: EpochNumber
    """Before this epoch it is not redelegated."""


@dataclass(frozen=True, slots=True)
class UnbondingDescription:
    """A holder's stake on its way out."""

    operator: Address
    release_epoch: EpochNumber
    value_grains: Grains
    """What is left of it, should slashes have reached it."""


@dataclass(frozen=True, slots=True)
class EpochDescription:
    """The epoch going on."""

    number: EpochNumber
    first_height: Height
    last_height: Height
    """As long as the parameter stays."""


def apply_stand(state: State, context: Context, call: Stand) -> None:
    """Rule S1."""
    operator = context.sender
    if not is_operator(state, operator):
        raise Rejected(Reason.NOT_AN_OPERATOR, "only operators whom governance has admitted stand for election")
    candidate = find_candidate(state, operator)
    if candidate is None:
        if len(get_candidates(state)) >= CANDIDATES_MAX:
            raise Rejected(Reason.TOO_MANY_CANDIDATES, f"there are {CANDIDATES_MAX} candidates already")
        candidate = build_candidate(operator, call.commission_bps, is_standing=True)
    elif candidate.is_standing:
        raise Rejected(Reason.ALREADY_STANDING, "this operator stands for election already")
    candidate = replace(candidate, next_commission_bps=call.commission_bps, is_standing=True)
    put_candidate(state, candidate)
    held = compute_delegation_value(state, operator, candidate)
    minimum = context.block.parameters.candidate_bond_min_grains
    if held + call.bond_grains < minimum:
        raise Rejected(
            Reason.STAKE_TOO_SMALL, "the bond is too small to be elected", minimum=minimum, held=held + call.bond_grains
        )
    context.emit(MODULE_NAME, Stood.__name__, operator, call.commission_bps)
    if call.bond_grains:
        _delegate(state, context, candidate, call.bond_grains)


def apply_retire(state: State, context: Context, call: Retire) -> None:
    """Rule S2."""
    candidate = get_candidate(state, context.sender)
    _check_standing(candidate)
    put_candidate(state, replace(candidate, is_standing=False))
    context.emit(MODULE_NAME, Retired.__name__, context.sender)


def apply_bond(state: State, context: Context, call: Bond) -> None:
    """Rule S3: also from jail, to come back with enough."""
    candidate = get_candidate(state, context.sender)
    _check_standing(candidate)
    _delegate(state, context, candidate, call.amount_grains)


def apply_unbond(state: State, context: Context, call: Unbond) -> None:
    """Rule S3."""
    _undelegate(state, context, context.sender, call.amount_grains)


def apply_delegate(state: State, context: Context, call: Delegate) -> None:
    """Rule S3."""
    candidate = get_candidate(state, call.operator)
    _check_open(candidate)
    _delegate(state, context, candidate, call.amount_grains)


def apply_undelegate(state: State, context: Context, call: Undelegate) -> None:
    """Rule S3."""
    _undelegate(state, context, call.operator, call.amount_grains)


def apply_redelegate(state: State, context: Context, call: Redelegate) -> None:
    """Rule S4."""
    if call.source == call.target:
        raise Rejected(Reason.SAME_CANDIDATE, "the stake is there already")
    if call.source == context.sender:
        raise Rejected(Reason.OWN_BOND, "an operator unbonds its own stake")
    _check_amount(call.amount_grains)
    source = get_candidate(state, call.source)
    if source.jailed_until_epoch:
        raise Rejected(Reason.CANDIDATE_JAILED, "stake with a jailed candidate is not moved to another")
    _check_open(get_candidate(state, call.target))
    number = get_epoch(state).number
    for operator in (call.source, call.target):
        settled = get_delegation(state, context.sender, operator).settled_until_epoch
        if number < settled:
            raise Rejected(
                Reason.REDELEGATION_TOO_SOON,
                f"stake came there by redelegation; wait for epoch {settled}",
                epoch=settled,
            )
    now_ms = context.block.time_ms
    remove_stake(state, context.sender, source, call.amount_grains, now_ms)
    settled_until = number + 1 + context.block.parameters.unbonding_epochs
    add_stake(state, context.sender, get_candidate(state, call.target), call.amount_grains, now_ms, settled_until)
    context.emit(MODULE_NAME, Redelegated.__name__, context.sender, call.source, call.target, call.amount_grains)


def apply_set_commission(state: State, context: Context, call: SetCommission) -> None:
    """Rule S5."""
    candidate = get_candidate(state, context.sender)
    put_candidate(state, replace(candidate, next_commission_bps=call.commission_bps))
    context.emit(MODULE_NAME, CommissionSet.__name__, context.sender, call.commission_bps)


def apply_unjail(state: State, context: Context, call: Unjail) -> None:
    """Rule S6."""
    candidate = get_candidate(state, context.sender)
    until_epoch = candidate.jailed_until_epoch
    if until_epoch == 0:
        raise Rejected(Reason.NOT_JAILED, "this candidate is not jailed")
    if get_epoch(state).number < until_epoch:
        raise Rejected(Reason.JAIL_NOT_OVER, f"jailed until epoch {until_epoch}", epoch=until_epoch)
    put_candidate(state, replace(candidate, jailed_until_epoch=EpochNumber(0)))
    context.emit(MODULE_NAME, Unjailed.__name__, context.sender)


def list_candidates(state: StateReader, _: Moment) -> tuple[CandidateDescription, ...]:
    """All candidates in the order of their operators."""
    return tuple([_describe_candidate(state, candidate) for candidate in get_candidates(state)])


def answer_candidate(state: StateReader, _: Moment, operator: Address) -> CandidateDescription | None:
    """One candidate, or None."""
    candidate = find_candidate(state, operator)
    return None if candidate is None else _describe_candidate(state, candidate)


def list_delegations(state: StateReader, _: Moment, delegator: Address) -> tuple[DelegationDescription, ...]:
    """A holder's stake, in the order of the operators; an operator's own bond is among it."""
    prefix = delegation_prefix(delegator)
    descriptions = []
    for key, encoded in state.iterate_prefix(prefix):
        operator = Address(key[len(prefix) :])
        assert len(operator) == ADDRESS_BYTES
        delegation = decode(Delegation, encoded)
        value = compute_delegation_value(state, delegator, get_candidate(state, operator))
        descriptions.append(
            DelegationDescription(operator, value, delegation.book_grains, delegation.settled_until_epoch)
        )
    return tuple(descriptions)


def list_unbondings(state: StateReader, _: Moment, delegator: Address) -> tuple[UnbondingDescription, ...]:
    """A holder's stake on its way out, in the order in which it left first."""
    descriptions = []
    for name in get_holdings(state, delegator).unbondings:
        encoded = state.get(unbonding_key(name.release_epoch, name.operator, delegator))
        encoded_pool = state.get(unbonding_pool_key(name.operator, name.release_epoch))
        assert encoded is not None, "holdings name what there is"
        assert encoded_pool is not None, "a part belongs to a pool"
        pool = decode(UnbondingPool, encoded_pool)
        value = compute_value(decode(Unbonding, encoded).shares, pool.grains, pool.shares)
        descriptions.append(UnbondingDescription(name.operator, name.release_epoch, value))
    return tuple(descriptions)


def describe_epoch(state: StateReader, _: Moment) -> EpochDescription:
    """The epoch going on."""
    epoch = get_epoch(state)
    last_height = epoch.first_height + get_parameters(state).epoch_heights - 1
    return EpochDescription(epoch.number, epoch.first_height, Height(last_height))


def list_absences(state: StateReader, _: Moment) -> tuple[Absence, ...]:
    """Members of the committee that missed their last turns."""
    return get_absences(state).members


def _describe_candidate(state: StateReader, candidate: Candidate) -> CandidateDescription:
    return CandidateDescription(
        operator=candidate.operator,
        pool_grains=candidate.pool_grains,
        bond_grains=compute_delegation_value(state, candidate.operator, candidate),
        commission_bps=candidate.commission_bps,
        next_commission_bps=candidate.next_commission_bps,
        is_standing=candidate.is_standing,
        jailed_until_epoch=candidate.jailed_until_epoch,
    )


def _check_standing(candidate: Candidate) -> None:
    if not candidate.is_standing:
        raise Rejected(Reason.NOT_STANDING, "this candidate has retired")


def _check_open(candidate: Candidate) -> None:
    _check_standing(candidate)
    if candidate.jailed_until_epoch:
        raise Rejected(
            Reason.CANDIDATE_JAILED, "a jailed candidate takes no delegations", epoch=candidate.jailed_until_epoch
        )


def _check_amount(amount_grains: int) -> None:
    if amount_grains < STAKE_GRAINS_MIN:
        raise Rejected(Reason.STAKE_TOO_SMALL, "less than may be staked", minimum=STAKE_GRAINS_MIN, held=amount_grains)


def _delegate(state: State, context: Context, candidate: Candidate, amount_grains: int) -> None:
    _check_amount(amount_grains)
    now_ms = context.block.time_ms
    deposit_stake(state, context.sender, amount_grains, now_ms)
    add_stake(state, context.sender, candidate, amount_grains, now_ms)
    context.emit(MODULE_NAME, Delegated.__name__, context.sender, candidate.operator, amount_grains)


def _undelegate(state: State, context: Context, operator: Address, amount_grains: int) -> None:
    remove_stake(state, context.sender, get_candidate(state, operator), amount_grains, context.block.time_ms)
    release_epoch = add_unbonding(state, context.block, context.sender, operator, amount_grains)
    context.emit(MODULE_NAME, Undelegated.__name__, context.sender, operator, amount_grains, release_epoch)


def _build_call(name: str, arguments: type, apply: object, gas: int) -> CallRule:
    return CallRule(name, arguments, apply, lambda call: gas, str(gas))  # type: ignore[arg-type]  # each takes its own


_GAS_STAKE: Final = 6 * GAS_STATE_WRITE  # two balances, pool, share, holdings, and what waits
_GAS_MOVE: Final = 7 * GAS_STATE_WRITE

MODULE = ModuleRule(
    name=MODULE_NAME,
    summary="Stake, and who is elected into the committee",
    calls=(
        _build_call("stand", Stand, apply_stand, _GAS_STAKE + GAS_LIST_CANDIDATES),
        _build_call("retire", Retire, apply_retire, GAS_STATE_WRITE),
        _build_call("bond", Bond, apply_bond, _GAS_STAKE),
        _build_call("unbond", Unbond, apply_unbond, _GAS_STAKE),
        _build_call("delegate", Delegate, apply_delegate, _GAS_STAKE),
        _build_call("undelegate", Undelegate, apply_undelegate, _GAS_STAKE),
        _build_call("redelegate", Redelegate, apply_redelegate, _GAS_MOVE),
        _build_call("set_commission", SetCommission, apply_set_commission, GAS_STATE_WRITE),
        _build_call("unjail", Unjail, apply_unjail, GAS_STATE_WRITE),
    ),
    events=tuple(
        [
            EventRule(fields)
            for fields in (
                Stood,
                Retired,
                Delegated,
                Undelegated,
                Redelegated,
                CommissionSet,
                Unjailed,
                Released,
                Slashed,
                Jailed,
                EpochEnded,
                CommitteeElected,
                CommitteeKept,
                MemberKeyReplaced,
                FeesShared,
            )
        ]
    ),
    views=(
        ViewRule("candidates", (), list_candidates),
        ViewRule("candidate", (("operator", Address),), answer_candidate),
        ViewRule("delegations", (("delegator", Address),), list_delegations),
        ViewRule("unbondings", (("delegator", Address),), list_unbondings),
        ViewRule("epoch", (), describe_epoch),
        ViewRule("absences", (), list_absences),
    ),
)
