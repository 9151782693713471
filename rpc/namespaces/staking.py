"""staking_: who stands for election, who stakes, and what the epoch is doing."""

from collections.abc import Iterable, Sequence
from typing import Literal

from identity.address import ADDRESS_BYTES, Address, NetworkKind
from ledger.codec import decode
from ledger.primitives import INTEGER_MAX
from ledger.state import StateReader
from ledger.state_keys import TERM_PREFIX, delegation_prefix, unbonding_key, unbonding_pool_key
from rpc.addresses import format_address
from rpc.backend import StateAt
from rpc.errors import bad_cursor, not_found
from rpc.models import (
    AbsenceView,
    AddressAtParams,
    Candidates,
    CandidatesParams,
    CandidateView,
    DelegationsResult,
    DelegationView,
    EpochParams,
    EpochResult,
    UnbondingView,
)
from rpc.session import Session
from rpc.views import build_committee_view
from vm.native.election import get_committee, get_next_committee
from vm.native.iov import FEES_ADDRESS, get_balance
from vm.native.network import get_operator
from vm.native.punishment import get_absences
from vm.native.stake import (
    Candidate,
    Unbonding,
    UnbondingName,
    UnbondingPool,
    compute_delegation_value,
    compute_value,
    get_candidate,
    get_candidates,
    get_epoch,
    get_holdings,
)
from vm.offences import Term
from vm.parameters import get_parameters

Status = Literal["member", "standing", "jailed", "retired"]


def list_candidates(session: Session, params: CandidatesParams) -> Candidates:
    """Who stands for election, the strongest first, a page at a time."""
    scope = "candidates"
    after: tuple[int, bytes] | None = None
    if params.cursor is not None:
        stake, operator = session.decode_cursor(scope, params.cursor, (int, bytes))
        assert isinstance(stake, int)
        assert isinstance(operator, bytes)
        if stake > INTEGER_MAX or len(operator) != ADDRESS_BYTES:
            raise bad_cursor()
        after = -stake, operator
    with session.open_state(params.at) as state:
        ranked = sorted(get_candidates(state), key=_get_rank)
        found = [each for each in ranked if after is None or _get_rank(each) > after]
        page = found[: params.limit]
        members = _get_members(state)
        views = [build_candidate_view(state, each, members, session.backend.network) for each in page]
        cursor = None
        if len(found) > params.limit:
            cursor = session.encode_cursor(scope, [page[-1].pool_grains, page[-1].operator])
        return Candidates(height=state.height, block_hash=state.block_hash, candidates=views, cursor=cursor)


def list_delegations(session: Session, params: AddressAtParams) -> DelegationsResult:
    """All stake of a holder: what it delegates, and what is on its way back."""
    address = session.parse_address(params.address)
    network = session.backend.network
    with session.open_state(params.at) as state:
        prefix = delegation_prefix(address)
        operators = [Address(key[len(prefix) :]) for key, _ in state.iterate_prefix(prefix)]
        delegations = [
            DelegationView(
                operator=format_address(operator, network),
                value=compute_delegation_value(state, address, get_candidate(state, operator)),
            )
            for operator in operators
        ]
        unbondings = [
            UnbondingView(
                operator=format_address(name.operator, network),
                value=_compute_unbonding_value(state, name.release_epoch, name.operator, address),
                release_epoch=name.release_epoch,
            )
            for name in sorted(
                get_holdings(state, address).unbondings, key=lambda each: (each.release_epoch, each.operator)
            )
        ]
        return DelegationsResult(
            height=state.height,
            block_hash=state.block_hash,
            address=params.address.lower(),
            delegations=delegations,
            unbondings=unbondings,
        )


def get_epoch_result(session: Session, params: EpochParams) -> EpochResult:
    """An epoch: its heights, committee, absences and fees; of those that are over, the last ones are remembered."""
    with session.backend.open_state(None) as state:
        epoch = get_epoch(state)
        if params.n is None or params.n == epoch.number:
            return _describe_running(state, session.backend.network)
        return _describe_past(state, params.n, epoch.number, session.backend.network)


def build_candidate_view(
    state: StateReader, candidate: Candidate, members: Iterable[Address], network: NetworkKind
) -> CandidateView:
    """A candidate with its standing."""
    operator = get_operator(state, candidate.operator)
    return CandidateView(
        operator=format_address(candidate.operator, network),
        name=None if operator is None else operator.name,
        status=get_candidate_status(candidate, members),
        stake=candidate.pool_grains,
        bond=compute_delegation_value(state, candidate.operator, candidate),
        commission_bps=candidate.commission_bps,
        next_commission_bps=candidate.next_commission_bps,
        jailed_until_epoch=candidate.jailed_until_epoch or None,
    )


def get_candidate_status(candidate: Candidate, members: Iterable[Address]) -> Status:
    """A jailed one may still sit for a block or two; that it is jailed matters more."""
    if candidate.jailed_until_epoch:
        return "jailed"
    if candidate.operator in members:
        return "member"
    return "standing" if candidate.is_standing else "retired"


def _describe_running(state: StateAt, network: NetworkKind) -> EpochResult:
    epoch = get_epoch(state)
    last_height = epoch.first_height + get_parameters(state).epoch_heights - 1
    return EpochResult(
        height=state.height,
        block_hash=state.block_hash,
        number=epoch.number,
        first_height=epoch.first_height,
        last_height=max(last_height, state.height + 1),
        is_over=False,
        committee=build_committee_view(state.height + 1, get_committee(state), network),
        next_committee=build_committee_view(state.height + 2, get_next_committee(state), network),
        absences=[
            AbsenceView(
                operator=format_address(each.operator, network),
                misses=each.misses,
                put_off_until=each.put_off_until,
                away_since=each.away_since,
            )
            for each in get_absences(state).members
        ],
        fees=get_balance(state, FEES_ADDRESS),
    )


def _describe_past(state: StateAt, number: int, running: int, network: NetworkKind) -> EpochResult:
    """From the terms that are remembered: an epoch's first term rules from its second block on, or from genesis."""
    starts: dict[int, tuple[int, Term]] = {}
    for key, encoded in state.iterate_prefix(TERM_PREFIX):
        term = decode(Term, encoded)
        starts.setdefault(term.epoch, (int.from_bytes(key[len(TERM_PREFIX) :], "big"), term))
    if number > running:
        raise not_found(f"epoch {number} has not begun; epoch {running} is going on")
    if number not in starts or number + 1 not in starts:
        raise not_found(f"epoch {number} is no longer remembered; the earliest is {min(starts)}")
    term_height, term = starts[number]
    return EpochResult(
        height=state.height,
        block_hash=state.block_hash,
        number=number,
        first_height=term_height - 1 if number else 1,
        last_height=starts[number + 1][0] - 2,
        is_over=True,
        committee=build_committee_view(term_height, term.committee, network),
    )


def _get_members(state: StateReader) -> Sequence[Address]:
    seats = (*get_committee(state).members, *get_next_committee(state).members)
    return [member.operator for member in seats]


def _get_release(name: UnbondingName) -> tuple[int, bytes]:
    return name.release_epoch, name.operator


def _get_rank(candidate: Candidate) -> tuple[int, bytes]:
    return -candidate.pool_grains, candidate.operator


def _compute_unbonding_value(state: StateReader, release_epoch: int, operator: Address, holder: Address) -> int:
    encoded = state.get(unbonding_key(release_epoch, operator, holder))
    encoded_pool = state.get(unbonding_pool_key(operator, release_epoch))
    assert encoded is not None and encoded_pool is not None, "what a holder's record names is there"
    unbonding, pool = decode(Unbonding, encoded), decode(UnbondingPool, encoded_pool)
    return compute_value(unbonding.shares, pool.grains, pool.shares)
