"""Epochs, elections and fees: who forms the committee, and what it earns.

| key                         | value                                            |
|-----------------------------|--------------------------------------------------|
| EPOCH_KEY                   | Epoch, see vm/native/stake.py                    |
| COMMITTEE_KEY               | Committee that finalises the next block          |
| NEXT_COMMITTEE_KEY          | Committee of the block after that                |
| KEY_CHANGES_KEY             | KeyChanges of the block being executed           |
| term_key(first height)      | Term, see vm/offences.py                         |
| EARNINGS_KEY                | Earnings; absent while nothing was earned        |

Rules
* E1 An epoch ends with the block at its first height + `epoch_heights` - 1, or the first after it when the parameter
  shrank.
* E2 Eligible is an admitted operator that stands, is not jailed, has a bond of `candidate_bond_min_grains` or more of
  its own and a consensus key in the node registry. The `committee_seats` candidates with the largest pools are
  elected, of equal ones those with the lesser address; each has one vote. Members are in the order of their
  operators' addresses.
* E3 A change decided with block h rules from block h + 2 on: block h + 1 names it as the next committee. Every change
  and every epoch begins a term. Terms, and the offences punished in them, are forgotten `unbonding_epochs` epochs
  after theirs.
* E4 When the same members are elected with the same keys nothing changes, not even their order.
* E5 A change is refused, and the committee stays, when it would have less than `committee_members_min` members or
  when so many of them are away that the others are no quorum: the chain would stand still. Away is who has proposed
  nothing for more than AWAY_ROTATIONS rotations since it missed a turn; a single miss is no sign of death.
* E6 When a sitting member is jailed the eligible candidate next in rank takes its seat at once; without one the seat
  is lost. Rule E5 holds. If another member is not eligible any longer, that counts at the epoch's end.
* E7 A sitting member's new consensus key takes its seat over like a change of the committee, once an epoch.
* F1 Fees gather in the account of the module `fees`. `proposer_fee_bps` of a block's fees, rounded down, are its
  proposer's.
* F2 At an epoch's end the rest of the account is shared equally, rounded down, by the committee that ruled the last
  block.
* F3 Of what a candidate gets, its commission, rounded down, is paid to the operator; its pool gets the rest.
* F4 Who is jailed at the epoch's end, or has no stake, gets nothing. That, and what the divisions leave, stays in the
  account and is shared in the next epoch.
"""

from dataclasses import dataclass, replace
from itertools import islice
from typing import Annotated, Final

from annotated_types import Len

from identity.address import Address
from ledger.codec import decode, encode
from ledger.committee import COMMITTEE_MEMBERS_MAX, Committee, Member
from ledger.primitives import ConsensusKey, Grains, Height
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.state import State, StateReader
from ledger.state_keys import (
    COMMITTEE_KEY,
    EARNINGS_KEY,
    KEY_CHANGES_KEY,
    NEXT_COMMITTEE_KEY,
    OFFENCE_PREFIX,
    TERM_PREFIX,
    candidate_key,
    term_key,
)
from vm.context import BlockContext
from vm.native.iov import FEES_ADDRESS, STAKING_ADDRESS, credit, debit, get_balance
from vm.native.network import NodeRole, get_nodes, is_operator
from vm.native.punishment import forget_former_members, forgive_misses, get_absences
from vm.native.stake import (
    Candidate,
    Epoch,
    EpochNumber,
    build_candidate,
    build_event,
    compute_delegation_value,
    find_candidate,
    get_candidates,
    get_epoch,
    put_candidate,
    put_epoch,
)
from vm.offences import Term
from vm.parameters import BPS, Parameters

CANDIDATES_MAX: Final = 1_000
"""All of them are ranked at an epoch's end, in about 30 ms."""
AWAY_ROTATIONS: Final = 3
"""A member that missed one turn is put off for two rotations, and has had its turn again in the one after."""
OFFENCES_FORGOTTEN_MAX: Final = 1_000
"""An epoch's end removes so many records of old punishments; more than that wait for the next."""


@dataclass(frozen=True, slots=True)
class Earning:
    """What a proposer has earned in this epoch."""

    operator: Address
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class Earnings:
    """Fees of this epoch that belong to their proposers, in the order of their first blocks."""

    proposers: Annotated[tuple[Earning, ...], Len(0, CANDIDATES_MAX)]


@dataclass(frozen=True, slots=True)
class KeyChanges:
    """Members' new consensus keys, which take effect with the end of this block."""

    members: Annotated[tuple[Member, ...], Len(0, COMMITTEE_MEMBERS_MAX)]


@dataclass(frozen=True, slots=True)
class CommitteeElected:
    """Another committee rules from a height on."""

    first_height: Height
    operators: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class CommitteeKept:
    """An election's result was refused (rule E5)."""

    elected: int
    """How many members the committee would have had."""
    live: int
    """How many of them are not away."""


@dataclass(frozen=True, slots=True)
class MemberKeyReplaced:
    """A sitting member votes with another key from a height on."""

    operator: Address
    consensus_key: ConsensusKey
    first_height: Height


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """An epoch is over; the next one begins with the next block."""

    number: EpochNumber


@dataclass(frozen=True, slots=True)
class FeesShared:
    """What the fees of an epoch brought a candidate."""

    operator: Address
    commission_grains: Grains
    pool_grains: Grains


def compute_quorum(size: int) -> int:
    """How many members must be here for the chain to go on: what the consensus counts as a quorum."""
    return size * 2 // 3 + 1


def get_committee(state: StateReader) -> Committee:
    """The committee that finalises the next block."""
    return _get_committee(state, COMMITTEE_KEY)


def get_next_committee(state: StateReader) -> Committee:
    """The committee of the block after that."""
    return _get_committee(state, NEXT_COMMITTEE_KEY)


def begin_first_epoch(state: State, committee: Committee) -> None:
    """What genesis sets: the first committee, the first epoch and its term."""
    state.put(COMMITTEE_KEY, encode(committee))
    state.put(NEXT_COMMITTEE_KEY, encode(committee))
    put_epoch(state, Epoch(EpochNumber(0), Height(1), EpochNumber(1)))
    state.put(term_key(1), encode(Term(0, committee)))


def replace_member_key(state: State, block: BlockContext, operator: Address, new_key: ConsensusKey) -> None:
    """Rule E7; for an operator without a seat there is nothing to do; raises Rejected.

    The seat changes at the block's end, when the committee of the next block has been settled.
    """
    if operator not in [member.operator for member in get_next_committee(state).members]:
        return
    candidate = find_candidate(state, operator) or build_candidate(operator, 0, is_standing=False)
    number = get_epoch(state).number
    if number < candidate.key_locked_until_epoch:
        raise Rejected(
            Reason.KEY_CHANGE_TOO_SOON,
            "a sitting member's consensus key changes once an epoch",
            epoch=candidate.key_locked_until_epoch,
        )
    put_candidate(state, replace(candidate, key_locked_until_epoch=EpochNumber(number + 1)))
    encoded = state.get(KEY_CHANGES_KEY)
    earlier = () if encoded is None else decode(KeyChanges, encoded).members
    state.put(KEY_CHANGES_KEY, encode(KeyChanges((*earlier, Member(operator, new_key)))))


def gather_fees(state: State, block: BlockContext, ruling: Committee, fees_grains: int) -> None:
    """Rule F1."""
    if fees_grains == 0:
        return
    credit(state, FEES_ADDRESS, fees_grains, block.time_ms)
    part = fees_grains * block.parameters.proposer_fee_bps // BPS
    index = ruling.find(block.proposer)
    if part == 0 or index is None:
        return
    earned = _get_earnings(state)
    operator = ruling.members[index].operator
    earned[operator] = earned.get(operator, 0) + part
    proposers = tuple([Earning(each, Grains(grains)) for each, grains in earned.items()])
    state.put(EARNINGS_KEY, encode(Earnings(proposers)))


def promote_committee(state: State) -> None:
    """The committee of the block after the next one moves up (rule E3)."""
    following = get_next_committee(state)
    if following != get_committee(state):
        state.put(COMMITTEE_KEY, encode(following))
        forget_former_members(state, following)


def apply_key_changes(state: State, block: BlockContext) -> list[Event]:
    """Rule E7, at the block's end."""
    encoded = state.get(KEY_CHANGES_KEY)
    if encoded is None:
        return []
    state.delete(KEY_CHANGES_KEY)
    changes = decode(KeyChanges, encoded).members
    new_keys = {member.operator: member.consensus_key for member in changes}
    members = get_next_committee(state).members
    committee = Committee(
        tuple([Member(each.operator, new_keys.get(each.operator, each.consensus_key)) for each in members])
    )
    _put_next_committee(state, block, get_epoch(state).number, committee)
    first_height = Height(block.height + 2)
    return [build_event(MemberKeyReplaced(each.operator, each.consensus_key, first_height)) for each in changes]


def hold_elections(state: State, block: BlockContext, ruling: Committee, *, is_someone_jailed: bool) -> list[Event]:
    """End the epoch if it is over, else fill the seats of those who were jailed with this block."""
    epoch = get_epoch(state)
    if block.height >= epoch.first_height + block.parameters.epoch_heights - 1:
        return _end_epoch(state, block, epoch, ruling)
    return _fill_seats(state, block, epoch) if is_someone_jailed else []


def elect(state: StateReader, parameters: Parameters) -> list[Member]:
    """Rule E2: all who are eligible, in rank order."""
    sitting = [member.consensus_key for member in get_next_committee(state).members]
    keys: dict[Address, ConsensusKey] = {}
    for node in get_nodes(state):
        if node.role is not NodeRole.SUPER_NODE or node.consensus_key is None:
            continue
        # an operator may have spare nodes: the key that sits now goes on, else the first
        if node.operator not in keys or node.consensus_key in sitting:
            keys[node.operator] = node.consensus_key
    eligible = [
        candidate
        for candidate in get_candidates(state)
        if candidate.operator in keys
        and candidate.is_standing
        and candidate.jailed_until_epoch == 0
        and is_operator(state, candidate.operator)
        and compute_delegation_value(state, candidate.operator, candidate) >= parameters.candidate_bond_min_grains
    ]
    eligible.sort(key=lambda candidate: (-candidate.pool_grains, candidate.operator))
    return [Member(candidate.operator, keys[candidate.operator]) for candidate in eligible]


def _end_epoch(state: State, block: BlockContext, epoch: Epoch, ruling: Committee) -> list[Event]:
    events = _share_fees(state, block, ruling)
    number = EpochNumber(epoch.number + 1)
    for candidate in get_candidates(state):
        _settle_candidate(state, candidate, number)
    forgive_misses(state)
    forget_former_members(state, get_committee(state), get_next_committee(state))
    put_epoch(state, replace(epoch, number=number, first_height=Height(block.height + 1)))
    _forget_terms(state, number, block.parameters)
    events.append(build_event(EpochEnded(epoch.number)))
    elected = elect(state, block.parameters)[: block.parameters.committee_seats]
    events += _change_committee(state, block, number, elected)
    state.put(term_key(block.height + 2), encode(Term(number, get_next_committee(state))))
    return events


def _fill_seats(state: State, block: BlockContext, epoch: Epoch) -> list[Event]:
    """Rule E6."""
    members = get_next_committee(state).members
    kept = [member for member in members if not _is_jailed(find_candidate(state, member.operator))]
    if len(kept) == len(members):
        return []
    operators = [member.operator for member in kept]
    others = [member for member in elect(state, block.parameters) if member.operator not in operators]
    return _change_committee(state, block, epoch.number, kept + others[: len(members) - len(kept)])


def _change_committee(state: State, block: BlockContext, epoch_number: int, elected: list[Member]) -> list[Event]:
    """Rules E3 to E5."""
    if set(elected) == set(get_next_committee(state).members):
        return []
    away_heights = AWAY_ROTATIONS * len(get_next_committee(state).members)
    absences = get_absences(state).members
    away = [each.operator for each in absences if block.height - each.away_since > away_heights]
    live = sum(member.operator not in away for member in elected)
    if len(elected) < block.parameters.committee_members_min or live < compute_quorum(len(elected)):
        return [build_event(CommitteeKept(len(elected), live))]
    committee = Committee(tuple(sorted(elected, key=lambda member: member.operator)))
    _put_next_committee(state, block, epoch_number, committee)
    operators = tuple([member.operator for member in committee.members])
    return [build_event(CommitteeElected(Height(block.height + 2), operators))]


def _put_next_committee(state: State, block: BlockContext, epoch_number: int, committee: Committee) -> None:
    state.put(NEXT_COMMITTEE_KEY, encode(committee))
    state.put(term_key(block.height + 2), encode(Term(epoch_number, committee)))


def _share_fees(state: State, block: BlockContext, ruling: Committee) -> list[Event]:
    """Rules F2 to F4."""
    earned = _get_earnings(state)
    pot = get_balance(state, FEES_ADDRESS) - sum(earned.values())
    for member in ruling.members:
        earned[member.operator] = earned.get(member.operator, 0) + pot // len(ruling.members)
    events = []
    for operator, grains in earned.items():
        candidate = find_candidate(state, operator)
        if grains == 0 or candidate is None or candidate.pool_shares == 0 or _is_jailed(candidate):
            continue
        commission = grains * candidate.commission_bps // BPS
        rest = grains - commission
        debit(state, FEES_ADDRESS, grains, block.time_ms)
        if commission:
            credit(state, operator, commission, block.time_ms)
        if rest:
            credit(state, STAKING_ADDRESS, rest, block.time_ms)
            put_candidate(state, replace(candidate, pool_grains=Grains(candidate.pool_grains + rest)))
        events.append(build_event(FeesShared(operator, Grains(commission), Grains(rest))))
    if state.get(EARNINGS_KEY) is not None:
        state.delete(EARNINGS_KEY)
    return events


def _settle_candidate(state: State, candidate: Candidate, epoch_number: int) -> None:
    """Forget who has left altogether and has no jail left to sit; a new commission begins."""
    is_gone = not candidate.is_standing and candidate.pool_shares == 0
    if is_gone and candidate.jailed_until_epoch <= epoch_number:
        state.delete(candidate_key(candidate.operator))
    elif candidate.next_commission_bps != candidate.commission_bps:
        put_candidate(state, replace(candidate, commission_bps=candidate.next_commission_bps))


def _forget_terms(state: State, epoch_number: int, parameters: Parameters) -> None:
    """Rule E3: what evidence no longer counts for."""
    oldest: bytes | None = None
    for key, encoded in list(state.iterate_prefix(TERM_PREFIX)):
        if decode(Term, encoded).epoch + parameters.unbonding_epochs >= epoch_number:
            oldest = key[len(TERM_PREFIX) :]
            break
        state.delete(key)
    assert oldest is not None, "the last epoch's term is remembered for at least one more"
    for key, _ in list(islice(state.iterate_prefix(OFFENCE_PREFIX), OFFENCES_FORGOTTEN_MAX)):
        if key[len(OFFENCE_PREFIX) :] >= oldest:
            break
        state.delete(key)


def _is_jailed(candidate: Candidate | None) -> bool:
    return candidate is not None and candidate.jailed_until_epoch != 0


def _get_committee(state: StateReader, key: bytes) -> Committee:
    encoded = state.get(key)
    assert encoded is not None, "genesis sets the committees"
    return decode(Committee, encoded)


def _get_earnings(state: StateReader) -> dict[Address, int]:
    encoded = state.get(EARNINGS_KEY)
    if encoded is None:
        return {}
    return {each.operator: each.amount_grains for each in decode(Earnings, encoded).proposers}
