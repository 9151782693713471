"""gov_: proposals, what governance may change, and the treasury."""

from dataclasses import fields
from typing import Any, Final, get_args, get_type_hints

from annotated_types import Interval

from identity.address import NetworkKind
from ledger.state import StateReader
from rpc.addresses import format_address
from rpc.arguments import arguments_to_json, describe_fields
from rpc.errors import not_found
from rpc.models import (
    AtParams,
    BodyName,
    BudgetView,
    GovParameter,
    GovParameters,
    PriorityName,
    ProposalKind,
    Proposals,
    ProposalsParams,
    ProposalStatus,
    ProposalView,
    TreasuryResult,
)
from rpc.session import Session
from vm.native import governance
from vm.native.governance import DECISIONS, Priority, Proposal, get_deciding_members, get_docket, get_proposal
from vm.native.iov import TREASURY_ADDRESSES, TREASURY_PERCENT, get_balance
from vm.parameters import Parameters, get_parameters

PROPOSALS_SCANNED_MAX: Final = 1_000
"""One call looks at so many proposals; a page that is narrowed to a status may end before it is full."""

MEANINGS: Final = {
    "block_interval_ms": "Target time between two blocks while there is work.",
    "block_gas_max": "Sum of the gas limits of a block's transactions.",
    "block_bytes_max": "Sum of the sizes of a block's transactions.",
    "block_transactions_max": "Transactions of a block.",
    "price_floor_grains": "Least grains per gas.",
    "propose_timeout_ms": "How long a round waits for its proposal before it votes nil.",
    "propose_timeout_step_ms": "Added to that for each further round.",
    "vote_timeout_ms": "How long a round waits for agreement after two thirds have voted.",
    "vote_timeout_step_ms": "Added to that for each further round.",
    "clock_precision_ms": "How far the clocks of honest super nodes may differ.",
    "message_delay_ms": "How long a proposal may travel and still count as timely.",
    "epoch_heights": "Blocks of an epoch; the committee is elected at its end.",
    "committee_seats": "How many candidates form the committee at most.",
    "committee_members_min": "A change that leaves fewer members does not happen.",
    "candidate_bond_min_grains": "Own stake without which an operator is not elected.",
    "unbonding_epochs": "Whole epochs that stake waits before it is released; for as long, evidence against it counts.",
    "double_sign_slash_bps": "Part of a candidate's stake, in 1/10,000, taken for signing two different messages.",
    "absence_slash_bps": "Part of a candidate's stake, in 1/10,000, taken for a long absence.",
    "absence_heights_max": "A member that missed all its turns for so many blocks is jailed.",
    "jail_epochs": "Epochs after which a jailed candidate may come back.",
    "proposer_fee_bps": "Part of a block's fees, in 1/10,000, that is its proposer's; the committee shares the rest.",
    "voting_heights_normal": "Blocks for which a proposal of normal priority may be voted on.",
    "voting_heights_urgent": "Blocks for which an urgent proposal may be voted on.",
    "voting_heights_emergency": "Blocks for which an emergency may be voted on.",
    "pause_heights_max": "Blocks for which a module may be paused at most.",
    "contract_publishers": "Who may publish contracts: 0 everybody, 1 certified developers, 2 approved code alone.",
    "recovery_delay_heights": "Blocks in which a holder may object before guardians recover an identity.",
    "free_quota_gas_daily": "Gas of everyday calls that a person has each day without a fee; 0: everybody pays.",
    "free_quota_block_gas_max": "Gas of a block for transactions without a fee, of all persons together.",
}
"""What each parameter means, for people who decide on it."""

assert list(MEANINGS) == [field.name for field in fields(Parameters)], "every parameter has a meaning"

_CALL_FIELDS: Final = {decision.kind: describe_fields(decision.call)[:-1] for decision in DECISIONS}
"""What a proposal of each kind wants; the terms, which come last, stand in the proposal itself."""

_KINDS: Final[dict[governance.ProposalKind, ProposalKind]] = {
    governance.ProposalKind.ADMIT_OPERATOR: "admit_operator",
    governance.ProposalKind.REMOVE_OPERATOR: "remove_operator",
    governance.ProposalKind.SET_PARAMETER: "set_parameter",
    governance.ProposalKind.SET_BODY: "set_body",
    governance.ProposalKind.SPEND: "spend",
    governance.ProposalKind.PAUSE: "pause",
    governance.ProposalKind.RESUME: "resume",
    governance.ProposalKind.CERTIFY_DEVELOPER: "certify_developer",
    governance.ProposalKind.DECERTIFY_DEVELOPER: "decertify_developer",
    governance.ProposalKind.APPROVE_CODE: "approve_code",
    governance.ProposalKind.UPGRADE_CONTRACT: "upgrade_contract",
    governance.ProposalKind.RECOGNISE: "recognise",
    governance.ProposalKind.WITHDRAW_RECOGNITION: "withdraw_recognition",
    governance.ProposalKind.GRANT_ROLE: "grant_role",
    governance.ProposalKind.REVOKE_ROLE: "revoke_role",
    governance.ProposalKind.DEFINE_TASK: "define_task",
    governance.ProposalKind.END_TASK: "end_task",
    governance.ProposalKind.CREATE_SOURCE: "create_source",
    governance.ProposalKind.SET_SOURCE_RULES: "set_source_rules",
    governance.ProposalKind.RESUME_SOURCE: "resume_source",
    governance.ProposalKind.VOID_ROOT: "void_root",
    governance.ProposalKind.GRANT_LOCKED: "grant_locked",
    governance.ProposalKind.REVOKE_LOCKUP: "revoke_lockup",
    governance.ProposalKind.OPEN_SALE: "open_sale",
    governance.ProposalKind.CLOSE_SALE: "close_sale",
    governance.ProposalKind.APPROVE_ACCEPTOR: "approve_acceptor",
    governance.ProposalKind.DELIST_ACCEPTOR: "delist_acceptor",
    governance.ProposalKind.SET_ACCEPTOR_RULES: "set_acceptor_rules",
    governance.ProposalKind.SET_MINING_RULES: "set_mining_rules",
    governance.ProposalKind.SET_MINING_BEHAVIOUR: "set_mining_behaviour",
    governance.ProposalKind.END_MINING_BEHAVIOUR: "end_mining_behaviour",
    governance.ProposalKind.REINSTATE_MINING_ATTESTER: "reinstate_mining_attester",
    governance.ProposalKind.VOID_MINING_BATCH: "void_mining_batch",
    governance.ProposalKind.SET_MINING_SOURCE: "set_mining_source",
    governance.ProposalKind.SET_ADS_RULES: "set_ads_rules",
}
_STATUSES: Final[dict[governance.ProposalStatus, ProposalStatus]] = {
    governance.ProposalStatus.VOTING: "voting",
    governance.ProposalStatus.PASSED: "passed",
    governance.ProposalStatus.REJECTED: "rejected",
    governance.ProposalStatus.EXPIRED: "expired",
    governance.ProposalStatus.APPLIED: "applied",
    governance.ProposalStatus.FAILED: "failed",
}
_BODIES: Final[dict[governance.BodyKind, BodyName]] = {
    governance.BodyKind.COMMITTEE: "committee",
    governance.BodyKind.FOUNDATION: "foundation",
    governance.BodyKind.TECHNICAL: "technical",
    governance.BodyKind.FINANCIAL: "financial",
}
_PRIORITIES: Final[dict[Priority, PriorityName]] = {
    Priority.NORMAL: "normal",
    Priority.URGENT: "urgent",
    Priority.EMERGENCY: "emergency",
}


def list_proposals(session: Session, params: ProposalsParams) -> Proposals:
    """Proposals, the newest first, a page at a time; with an id only that one."""
    scope = f"proposals:{params.status or ''}"
    before = None
    if params.cursor is not None:
        (position,) = session.decode_cursor(scope, params.cursor, (int,))
        assert isinstance(position, int)
        before = position
    network = session.backend.network
    with session.open_state(params.at) as state:
        if params.id is not None:
            proposal = get_proposal(state, params.id)
            if proposal is None:
                raise not_found(f"there is no proposal {params.id}; there are {get_docket(state).count}")
            views = [build_proposal_view(state, proposal, network)]
            return Proposals(height=state.height, block_hash=state.block_hash, proposals=views)
        newest = get_docket(state).count if before is None else min(get_docket(state).count, before - 1)
        page: list[ProposalView] = []
        number = newest
        while number > 0 and len(page) < params.limit and newest - number < PROPOSALS_SCANNED_MAX:
            proposal = get_proposal(state, number)
            assert proposal is not None, "proposals are numbered without a gap"
            if params.status is None or _STATUSES[proposal.status] == params.status:
                page.append(build_proposal_view(state, proposal, network))
            number -= 1
        cursor = session.encode_cursor(scope, [number + 1]) if number > 0 else None
        return Proposals(height=state.height, block_hash=state.block_hash, proposals=page, cursor=cursor)


def list_parameters(session: Session, params: AtParams) -> GovParameters:
    """What governance may change: each parameter with its value, bounds and meaning."""
    with session.open_state(params.at) as state:
        values = get_parameters(state)
        views = [
            GovParameter(
                name=name,
                value=_show(name, getattr(values, name)),
                least=_show(name, least),
                most=_show(name, most),
                meaning=MEANINGS[name],
            )
            for name, (least, most) in PARAMETER_BOUNDS.items()
        ]
        return GovParameters(height=state.height, block_hash=state.block_hash, params=views)


def get_treasury(session: Session, params: AtParams) -> TreasuryResult:
    """What the treasury's budgets hold."""
    network = session.backend.network
    with session.open_state(params.at) as state:
        budgets = [
            BudgetView(
                category=category,
                percent=percent,
                address=format_address(TREASURY_ADDRESSES[category], network),
                balance=get_balance(state, TREASURY_ADDRESSES[category]),
            )
            for category, percent in TREASURY_PERCENT.items()
        ]
        total = sum(each.balance for each in budgets)
        return TreasuryResult(height=state.height, block_hash=state.block_hash, budgets=budgets, total=total)


def build_proposal_view(state: StateReader, proposal: Proposal, network: NetworkKind) -> ProposalView:
    """A proposal with what it wants by name, and how many votes it needs now."""
    electors = len(get_deciding_members(state, proposal.body))
    return ProposalView(
        id=proposal.id,
        kind=_KINDS[proposal.kind],
        arguments=arguments_to_json(_CALL_FIELDS[proposal.kind], proposal.arguments, network),
        title=proposal.title,
        proposer=format_address(proposal.proposer, network),
        body=_BODIES[proposal.body],
        priority=_PRIORITIES[proposal.priority],
        status=_STATUSES[proposal.status],
        first_height=proposal.first_height,
        deadline=proposal.deadline,
        effective_height=proposal.effective_height,
        ayes=[format_address(each, network) for each in proposal.ayes],
        noes=[format_address(each, network) for each in proposal.noes],
        electors=electors,
        ayes_needed=-(-2 * electors // 3),
    )


def _list_bounds() -> dict[str, tuple[int, int]]:
    """From the annotations, in the order of the record."""
    hints = get_type_hints(Parameters, include_extras=True)
    bounds = {}
    for field in fields(Parameters):
        interval: Any = next(each for each in get_args(hints[field.name]) if isinstance(each, Interval))
        bounds[field.name] = interval.ge, interval.le
    return bounds


PARAMETER_BOUNDS: Final = _list_bounds()
"""Least and greatest value of each parameter."""


def _show(name: str, value: int) -> int | str:
    return str(value) if name.endswith("_grains") else value
