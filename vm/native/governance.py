"""Governance: bodies decide proposals by two thirds, and what was decided takes effect at its stated height.

| key                      | value                                                    |
|--------------------------|----------------------------------------------------------|
| proposal_key(id)         | Proposal                                                 |
| PROPOSAL_COUNT_KEY       | Docket                                                   |
| agenda_key(height, id)   | empty: something is due for the proposal with this block |
| body_key(body)           | Body                                                     |

Rules
* G1 Each kind of proposal has bodies that may decide it, see DECISIONS. It goes to the first of them in which the
  proposer sits, else to the first. An empty body's decisions are the committee's: the operators of the ruling members.
* G2 Whoever sits in the deciding body, and every admitted operator, may propose; at most PROPOSALS_OPEN_MAX are open,
  PROPOSALS_PER_PROPOSER_MAX of one proposer.
* G3 A member has one vote and may change it while voting lasts. Who has left the body no longer counts.
* G4 A proposal passes as soon as ayes are two thirds of the body as it is then, and is rejected as soon as the noes
  leave no way to that; it is counted once more at its deadline, and expires there.
* G5 Voting lasts as long as the priority says, so priority decides how fast. What passed takes effect at the end of the
  block of its effective height, which lies after the deadline: once, and never earlier.
* G6 What a proposal wants is checked when it is made and when it takes effect; if it does not hold then, it has failed.
* G7 Emergencies pause and resume modules, nothing else. Governance itself is never paused.
* G8 Treasury money moves by `donate` into all budgets, and out of one by a decision to spend.
* G9 An operator whose removal would leave a committee without more than two thirds of its members stays.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from enum import IntEnum, unique
from typing import Annotated, Any, Final

from annotated_types import Interval, Len

from identity.address import Address, compute_module_address
from identity.did import Did
from ledger.codec import Arguments, DecodeError, decode, encode, from_plain, to_plain
from ledger.committee import Committee
from ledger.primitives import HASH_BYTES, INTEGER_MAX, JSON_INTEGER_MAX, Grains, Height, TransactionId
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.state import State, StateReader
from ledger.state_keys import (
    COMMITTEE_KEY,
    NEXT_COMMITTEE_KEY,
    PROPOSAL_COUNT_KEY,
    agenda_key,
    agenda_prefix,
    approved_code_key,
    body_key,
    developer_key,
    proposal_key,
)
from vm.context import BlockContext, Context, Moment
from vm.contracts.abi import UpgradeRule
from vm.contracts.lifecycle import check_upgrade, replace_code
from vm.contracts.records import CodeHash, get_code_facts, is_developer
from vm.gas import DECISION_GAS_MAX, GAS_BYTE, GAS_STATE_READ, GAS_STATE_WRITE, GasMeter
from vm.native.acceptors import (
    AcceptorRules,
    ApplicationHash,
    approve_acceptor,
    check_application,
    get_acceptor,
    remove_acceptor,
    set_rules,
)
from vm.native.ads_records import AdsRules
from vm.native.ads_records import check_rules as check_ads_rules
from vm.native.ads_records import put_rules as put_ads_rules
from vm.native.did_records import GAS_DID_READ
from vm.native.distribution_events import RootVoided, SourceCreated, SourceResumed, SourceRulesSet
from vm.native.distribution_records import (
    ATTESTERS_MAX,
    DISTRIBUTION_ADDRESS,
    NO_FLOW,
    RootNumber,
    SourceId,
    SourceRules,
    VoidCause,
    check_rules,
    create_source,
    get_flow,
    get_root,
    get_source,
    put_flow,
    set_source_rules,
    void_root,
)
from vm.native.distribution_records import MODULE_NAME as DISTRIBUTION
from vm.native.dividends import DividendTerms, check_dividend, declare_dividend
from vm.native.growth_records import Task, TaskId, check_task, define_task, end_task, get_open_task
from vm.native.iov import (
    TREASURY_ADDRESSES,
    TREASURY_PERCENT,
    credit,
    debit,
    deposit_treasury,
    get_balance,
    is_module_address,
)
from vm.native.lockup_records import LockupNumber, Schedule
from vm.native.lockups import apply_grant, apply_revocation, check_grant, check_revocation
from vm.native.mining import BatchVoided
from vm.native.mining_formulas import EPOCH_MAX, Behaviour, BehaviourRule, Epoch, MiningRules, compute_epoch
from vm.native.mining_records import MODULE_NAME as MINING
from vm.native.mining_records import (
    BatchNumber,
    check_mining_rules,
    check_mining_source,
    check_reinstatable,
    check_voidable,
    find_behaviour,
    get_rules,
    get_standing_batch,
    put_mining_source,
    put_rules,
    reinstate,
    void_batch,
)
from vm.native.network import Name, Operator, get_operators, is_operator, put_operator, remove_operator
from vm.native.network_calls import MODULE as NETWORK
from vm.native.network_calls import NodeRemoved
from vm.native.pauses import PAUSABLE, ModuleName, Pause, get_pauses, put_pauses
from vm.native.recognition import (
    RECOGNISED_MAX,
    Recognition,
    check_recognisable,
    check_recognised,
    delete_recognised,
    list_recognised,
    put_recognised,
)
from vm.native.role_records import (
    Grant,
    Role,
    check_holder,
    end_grant,
    get_role_record,
    put_grant,
)
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule
from vm.native.sale import check_open_sale, check_sale, close_sale, open_sale
from vm.native.sale_records import SaleNumber, SaleTerms
from vm.parameters import Parameters, find_conflict, get_parameters, put_parameters

BODY_MEMBERS_MAX: Final = 64
PROPOSALS_OPEN_MAX: Final = 64  # all of them could end with one block
PROPOSALS_PER_PROPOSER_MAX: Final = 8  # nobody alone keeps the others from proposing
PROPOSALS_SHOWN_MAX: Final = 100
OPERATORS_MAX: Final = 256
UPGRADE_ARGUMENTS_BYTES_MAX: Final = 4_096  # kept with the proposal
EFFECTIVE_HEIGHTS_MAX: Final = 10_000_000  # how far behind its deadline a proposal may take effect


GOVERNANCE_ADDRESS: Final = compute_module_address("governance")
"""Sender of what governance decides for a contract."""


@unique
class BodyKind(IntEnum):
    """Number of a body that decides; never reused."""

    COMMITTEE = 1
    """The operators of the ruling committee."""
    FOUNDATION = 2
    TECHNICAL = 3
    FINANCIAL = 4


@unique
class Priority(IntEnum):
    """Number of how pressing a proposal is; never reused."""

    NORMAL = 1
    URGENT = 2
    EMERGENCY = 3


@unique
class ProposalKind(IntEnum):
    """Number of what a proposal wants; never reused, nor are 12 and 13."""

    ADMIT_OPERATOR = 1
    REMOVE_OPERATOR = 2
    SET_PARAMETER = 3
    SET_BODY = 4
    SPEND = 5
    PAUSE = 6
    RESUME = 7
    CERTIFY_DEVELOPER = 8
    DECERTIFY_DEVELOPER = 9
    APPROVE_CODE = 10
    UPGRADE_CONTRACT = 11
    GRANT_ROLE = 14
    REVOKE_ROLE = 15
    DEFINE_TASK = 16
    END_TASK = 17
    RECOGNISE = 30
    WITHDRAW_RECOGNITION = 31
    CREATE_SOURCE = 40
    SET_SOURCE_RULES = 41
    RESUME_SOURCE = 42
    VOID_ROOT = 43
    GRANT_LOCKED = 44
    REVOKE_LOCKUP = 45
    OPEN_SALE = 46
    CLOSE_SALE = 47
    APPROVE_ACCEPTOR = 48
    DELIST_ACCEPTOR = 49
    SET_ACCEPTOR_RULES = 50
    DECLARE_DIVIDEND = 51
    SET_MINING_RULES = 52
    SET_MINING_BEHAVIOUR = 53
    END_MINING_BEHAVIOUR = 54
    REINSTATE_MINING_ATTESTER = 55
    SET_MINING_SOURCE = 56
    SET_ADS_RULES = 58
    VOID_MINING_BATCH = 62


@unique
class ProposalStatus(IntEnum):
    """Number of where a proposal stands; never reused."""

    VOTING = 1
    PASSED = 2
    """Waits for its effective height."""
    REJECTED = 3
    EXPIRED = 4
    APPLIED = 5
    FAILED = 6
    """Passed, but was no longer possible at its effective height."""


Members = Annotated[tuple[Address, ...], Len(0, BODY_MEMBERS_MAX)]
Title = Annotated[str, Len(1, 128)]
UpgradeArguments = Annotated[bytes, Len(0, UPGRADE_ARGUMENTS_BYTES_MAX)]


@dataclass(frozen=True, slots=True)
class Body:
    """Who sits in a body, by address."""

    members: Members


@dataclass(frozen=True, slots=True)
class Proposal:
    """A question to a body, its votes, and what became of it."""

    id: Annotated[int, Interval(ge=1, le=JSON_INTEGER_MAX)]
    kind: ProposalKind
    arguments: Arguments
    """Those of the call that made it, without the terms."""
    proposer: Address
    body: BodyKind
    priority: Priority
    title: Title
    first_height: Height
    deadline: Height
    """The last block that counts votes."""
    effective_height: Height
    ayes: Members
    noes: Members
    status: ProposalStatus


@dataclass(frozen=True, slots=True)
class OpenProposal:
    """A proposal that is not settled yet."""

    id: Annotated[int, Interval(ge=1, le=JSON_INTEGER_MAX)]
    proposer: Address


@dataclass(frozen=True, slots=True)
class Docket:
    """How many proposals there were, and those that are open: being voted on, or waiting to take effect."""

    count: Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]
    open: Annotated[tuple[OpenProposal, ...], Len(0, PROPOSALS_OPEN_MAX)]


NO_PROPOSALS: Final = Docket(0, ())


@dataclass(frozen=True, slots=True)
class Terms:
    """How pressing a proposal is, when it shall take effect, and what it is about."""

    priority: Priority
    effective_height: Height
    title: Title


@dataclass(frozen=True, slots=True)
class ProposeOperator:
    """Propose to admit an operator."""

    operator: Address
    name: Name
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeOperatorRemoval:
    """Propose to remove an operator; its nodes leave the registry."""

    operator: Address
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeParameter:
    """Propose another value for a chain parameter."""

    name: Annotated[str, Len(1, 64)]
    value: int
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeBody:
    """Propose who sits in a body; nobody: its decisions are the committee's."""

    body: BodyKind
    members: Members
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeSpending:
    """Propose a payment out of one of the treasury's budgets."""

    category: Annotated[str, Len(1, 32)]
    recipient: Address
    amount_grains: Grains
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposePause:
    """Propose to refuse a module's calls for so many blocks."""

    module: ModuleName
    heights: Annotated[int, Interval(ge=1, le=JSON_INTEGER_MAX)]
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeResume:
    """Propose to end a module's pause."""

    module: ModuleName
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeDeveloper:
    """Propose to certify a developer, who may then publish contracts while that takes a certificate."""

    developer: Address
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeDeveloperRemoval:
    """Propose to take back a developer's certificate; what was published stays."""

    developer: Address
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeRecognition:
    """Propose to recognise an identity for something: its word then counts in that."""

    recognition: Recognition
    did: Did
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeRecognitionEnd:
    """Propose to recognise an identity for this no longer; what it has vouched for stays."""

    recognition: Recognition
    did: Did
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeCode:
    """Propose to let code be published while that takes approval."""

    code_hash: CodeHash
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeUpgrade:
    """Propose other code for a contract that leaves this to governance; the code was published before."""

    contract: Address
    code_hash: CodeHash
    arguments: UpgradeArguments
    """Of the new code's migrate method, packed."""
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeRole:
    """Propose to give an identity a role up to a height, in place of a grant it may have."""

    did: Did
    role: Role
    until_height: Height
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeRoleRemoval:
    """Propose to take a role back, whoever granted it."""

    did: Did
    role: Role
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeTask:
    """Propose a growth task: what leads to a role."""

    task: Task
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeTaskEnd:
    """Propose to end a growth task; roles that it has led to stay."""

    task: TaskId
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeGrant:
    """Propose to give coins of an allocation of genesis to an account, which unlock by a schedule."""

    source: ModuleName
    recipient: Address
    amount_grains: Grains
    schedule: Schedule
    is_revocable: bool
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeRevocation:
    """Propose to take back what has not unlocked of a revocable lock-up."""

    account: Address
    number: LockupNumber
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeSale:
    """Propose to sell coins of the subscription allocation."""

    sale: SaleTerms
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeSaleEnd:
    """Propose to close the sale that is open before its time is over."""

    number: SaleNumber
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeAcceptor:
    """Propose to list an acceptor that has applied."""

    account: Address
    application_hash: ApplicationHash
    """Of the application that is to be approved, so that it is not replaced while it is voted on."""
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeAcceptorRemoval:
    """Propose to delist an acceptor, or to refuse its application."""

    account: Address
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeAcceptorRules:
    """Propose who qualifies as an acceptor."""

    rules: AcceptorRules
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeDividend:
    """Propose to declare a dividend, whose pool a budget of the treasury pays."""

    dividend: DividendTerms
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeSource:
    """Propose to open a source of distributions."""

    rules: SourceRules
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeSourceRules:
    """Propose other rules for a source of distributions; whatever it was tripped for is forgotten."""

    source: SourceId
    rules: SourceRules
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeSourceResume:
    """Propose to let a source of distributions pay again before its time."""

    source: SourceId
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeRootVoid:
    """Propose to let a root of a distribution count for nothing; what was claimed stays claimed."""

    source: SourceId
    number: RootNumber
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeMiningRules:
    """Propose other numbers of mining, from the day after the decision on."""

    rules: MiningRules
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeMiningBehaviour:
    """Propose what a behaviour earns, from the day after the decision on."""

    rule: BehaviourRule
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeMiningBehaviourEnd:
    """Propose that a behaviour earns nothing, from the day after the decision on."""

    behaviour: Behaviour
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeMiningReinstatement:
    """Propose to hear a suspended attester again."""

    did: Did
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeMiningBatchVoid:
    """Propose to let the batch of a day of mining that is not closed count for nothing; attesters may post another."""

    epoch: Epoch
    number: BatchNumber
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeMiningSource:
    """Propose the source of distributions that mining pays through."""

    source: SourceId
    terms: Terms


@dataclass(frozen=True, slots=True)
class ProposeAdsRules:
    """Propose other numbers of advertising; campaigns that were submitted keep their windows."""

    rules: AdsRules
    terms: Terms


@dataclass(frozen=True, slots=True)
class Vote:
    """Vote for or against a proposal, or change the vote."""

    proposal_id: Annotated[int, Interval(ge=1, le=JSON_INTEGER_MAX)]
    is_approved: bool


@dataclass(frozen=True, slots=True)
class Donate:
    """Give coins to the treasury; its budgets share them by their percentages."""

    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class ProposalMade:
    """A proposal may be voted on."""

    id: int
    kind: ProposalKind
    proposer: Address
    body: BodyKind
    deadline: Height
    effective_height: Height


@dataclass(frozen=True, slots=True)
class Voted:
    """A member has voted."""

    id: int
    voter: Address
    is_approved: bool


@dataclass(frozen=True, slots=True)
class ProposalSettled:
    """A proposal has passed, was rejected, has expired, took effect or failed to; the reason of a failure, else 0."""

    id: int
    status: ProposalStatus
    reason: int


@dataclass(frozen=True, slots=True)
class OperatorAdmitted:
    """An operator may run nodes and stand for election."""

    operator: Address
    name: Name


@dataclass(frozen=True, slots=True)
class OperatorRemoved:
    """An operator is one no longer."""

    operator: Address


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """A chain parameter has another value from the next block on."""

    name: str
    value: int
    previous: int


@dataclass(frozen=True, slots=True)
class BodySet:
    """A body has these members."""

    body: BodyKind
    members: Members


@dataclass(frozen=True, slots=True)
class Spent:
    """A budget of the treasury has paid."""

    category: str
    recipient: Address
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class ModulePaused:
    """A module's calls are refused up to a height."""

    module: str
    until_height: Height


@dataclass(frozen=True, slots=True)
class ModuleResumed:
    """A module's pause is over."""

    module: str


@dataclass(frozen=True, slots=True)
class Donated:
    """The treasury was given coins."""

    donor: Address
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class DeveloperCertified:
    """A developer may publish contracts."""

    developer: Address


@dataclass(frozen=True, slots=True)
class DeveloperDecertified:
    """A developer may do so no longer."""

    developer: Address


@dataclass(frozen=True, slots=True)
class Recognised:
    """An identity's word counts in what it is recognised for."""

    recognition: Recognition
    did: Did


@dataclass(frozen=True, slots=True)
class RecognitionEnded:
    """An identity's word counts in that no longer."""

    recognition: Recognition
    did: Did


@dataclass(frozen=True, slots=True)
class MiningRulesChanged:
    """Other rules of mining hold from an epoch on."""

    first_epoch: Epoch


@dataclass(frozen=True, slots=True)
class MiningAttesterReinstated:
    """A suspended attester is heard again."""

    did: Did


@dataclass(frozen=True, slots=True)
class MiningSourceSet:
    """Mining pays through this source of distributions."""

    source: SourceId


@dataclass(frozen=True, slots=True)
class AdsRulesSet:
    """Advertising has other numbers."""

    rules: AdsRules


@dataclass(frozen=True, slots=True)
class CodeApproved:
    """Code may be published."""

    code_hash: CodeHash


@dataclass(frozen=True, slots=True)
class ContractUpgraded:
    """Governance has given a contract other code."""

    contract: Address
    code_hash: CodeHash
    previous_code_hash: CodeHash


@dataclass(frozen=True, slots=True)
class BodyDescription:
    """A body as the view tells it."""

    body: BodyKind
    name: str
    members: Members
    """Who decides for it now: the committee's operators, if nobody sits in it."""
    is_delegated: bool
    """Whether nobody sits in it."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a budget of the treasury holds."""

    category: str
    percent: int
    balance_grains: Grains


@dataclass(frozen=True, slots=True)
class Decision:
    """A kind of proposal: who decides it, what must hold, and what it does."""

    kind: ProposalKind
    call: type
    bodies: tuple[BodyKind, ...]
    check: Callable[[StateReader, Any], None]
    apply: Callable[[State, BlockContext, Any], list[Event]]


# Reading and writing


def get_proposal(state: StateReader, proposal_id: int) -> Proposal | None:
    """The proposal of this number."""
    encoded = state.get(proposal_key(proposal_id))
    return None if encoded is None else decode(Proposal, encoded)


def get_docket(state: StateReader) -> Docket:
    """How many proposals there were, and which are open."""
    encoded = state.get(PROPOSAL_COUNT_KEY)
    return NO_PROPOSALS if encoded is None else decode(Docket, encoded)


def get_body(state: StateReader, body: BodyKind) -> Members:
    """Who sits in a body; those of the committee are its members' operators."""
    if body is BodyKind.COMMITTEE:
        return tuple([member.operator for member in _get_committee(state, COMMITTEE_KEY).members])
    encoded = state.get(body_key(body))
    return () if encoded is None else decode(Body, encoded).members


def get_deciding_members(state: StateReader, body: BodyKind) -> Members:
    """Who decides for a body: its members, else the committee (rule G1)."""
    return get_body(state, body) or get_body(state, BodyKind.COMMITTEE)


def put_body(state: State, body: BodyKind, members: Iterable[Address]) -> None:
    """Replace who sits in a body; each once."""
    assert body is not BodyKind.COMMITTEE, "the committee is elected"
    state.put(body_key(body), encode(Body(tuple(sorted(members)))))


def _get_committee(state: StateReader, key: bytes) -> Committee:
    encoded = state.get(key)
    assert encoded is not None, "genesis sets the committees"
    return decode(Committee, encoded)


# What calls do


def apply_propose(state: State, context: Context, call: Any) -> None:
    """Rules G1, G2, G5, G6 and G7."""
    decision = _DECISIONS_BY_CALL[type(call)]
    sender, terms, height = context.sender, call.terms, context.block.height
    body = next((each for each in decision.bodies if sender in get_deciding_members(state, each)), None)
    if body is None:
        if not is_operator(state, sender):
            raise Rejected(Reason.NOT_A_MEMBER, "the sender neither sits in the body that decides nor is an operator")
        body = decision.bodies[0]
    if terms.priority is Priority.EMERGENCY and decision.kind not in (ProposalKind.PAUSE, ProposalKind.RESUME):
        raise Rejected(Reason.BAD_TERMS, "an emergency pauses or resumes a module, nothing else")
    deadline = Height(height + _get_voting_heights(context.block.parameters, terms.priority))
    if not deadline < terms.effective_height <= deadline + EFFECTIVE_HEIGHTS_MAX:
        raise Rejected(
            Reason.BAD_TERMS,
            f"voting ends with block {deadline}; it can take effect from {deadline + 1} on",
            minimum=deadline + 1,
            maximum=deadline + EFFECTIVE_HEIGHTS_MAX,
        )
    docket = get_docket(state)
    if len(docket.open) >= PROPOSALS_OPEN_MAX:
        raise Rejected(
            Reason.PROPOSALS_LIMIT, f"at most {PROPOSALS_OPEN_MAX} proposals are open", maximum=PROPOSALS_OPEN_MAX
        )
    if sum(each.proposer == sender for each in docket.open) >= PROPOSALS_PER_PROPOSER_MAX:
        raise Rejected(
            Reason.PROPOSALS_LIMIT,
            f"at most {PROPOSALS_PER_PROPOSER_MAX} open proposals are one proposer's",
            maximum=PROPOSALS_PER_PROPOSER_MAX,
        )
    decision.check(state, call)
    proposal_id = docket.count + 1
    _put_proposal(
        state,
        Proposal(
            id=proposal_id,
            kind=decision.kind,
            arguments=to_plain(call)[:-1],
            proposer=sender,
            body=body,
            priority=terms.priority,
            title=terms.title,
            first_height=height,
            deadline=deadline,
            effective_height=terms.effective_height,
            ayes=(),
            noes=(),
            status=ProposalStatus.VOTING,
        ),
    )
    state.put(PROPOSAL_COUNT_KEY, encode(Docket(proposal_id, (*docket.open, OpenProposal(proposal_id, sender)))))
    state.put(agenda_key(deadline, proposal_id), b"")
    context.emit(
        MODULE.name,
        ProposalMade.__name__,
        *(proposal_id, int(decision.kind), sender, int(body), deadline, terms.effective_height),
    )


def apply_vote(state: State, context: Context, call: Vote) -> None:
    """Rules G3 and G4."""
    proposal = get_proposal(state, call.proposal_id)
    if proposal is None:
        raise Rejected(Reason.UNKNOWN_PROPOSAL, "there is no such proposal")
    if proposal.status is not ProposalStatus.VOTING or context.block.height > proposal.deadline:
        raise Rejected(Reason.VOTING_CLOSED, "the proposal is no longer voted on", deadline=proposal.deadline)
    members = get_deciding_members(state, proposal.body)
    if context.sender not in members:
        raise Rejected(Reason.NOT_A_MEMBER, "the sender does not sit in the body that decides")
    ayes = [voter for voter in proposal.ayes if voter in members and voter != context.sender]
    noes = [voter for voter in proposal.noes if voter in members and voter != context.sender]
    (ayes if call.is_approved else noes).append(context.sender)
    proposal = replace(proposal, ayes=tuple(ayes), noes=tuple(noes))
    _put_proposal(state, proposal)
    context.emit(MODULE.name, Voted.__name__, proposal.id, context.sender, call.is_approved)
    status = _count(proposal, members)
    if status is not ProposalStatus.VOTING:
        context.events.append(_settle(state, proposal, status))


def apply_donate(state: State, context: Context, call: Donate) -> None:
    """Rule G8."""
    if call.amount_grains == 0:
        raise Rejected(Reason.AMOUNT_ZERO, "an amount is at least one grain")
    now_ms = context.block.time_ms
    debit(state, context.sender, call.amount_grains, now_ms)
    deposit_treasury(state, call.amount_grains, now_ms)
    context.emit(MODULE.name, Donated.__name__, context.sender, call.amount_grains)


# What is due with a block


def apply_decisions(state: State, block: BlockContext) -> list[Event]:
    """Everything of governance that ends or takes effect with this block, in the order of the proposals (rule G5)."""
    events: list[Event] = []
    for key, _ in list(state.iterate_prefix(agenda_prefix(block.height))):
        state.delete(key)
        proposal = get_proposal(state, int.from_bytes(key[-8:], "big"))
        assert proposal is not None, "what is on the agenda exists"
        if proposal.status is ProposalStatus.VOTING and proposal.deadline == block.height:
            status = _count(proposal, get_deciding_members(state, proposal.body))
            is_passed = status is ProposalStatus.PASSED
            events.append(_settle(state, proposal, status if is_passed else ProposalStatus.EXPIRED))
        elif proposal.status is ProposalStatus.PASSED and proposal.effective_height == block.height:
            events.extend(_take_effect(state, block, proposal))
    events.extend(_end_pauses(state, block.height))
    return events


def _take_effect(state: State, block: BlockContext, proposal: Proposal) -> list[Event]:
    decision = _DECISIONS_BY_KIND[proposal.kind]
    terms = [int(proposal.priority), proposal.effective_height, proposal.title]
    mark = state.get_mark()
    try:
        try:
            call: Any = from_plain(decision.call, [*proposal.arguments, terms])
        except DecodeError as error:  # a later version of this software may have set tighter limits
            raise Rejected(Reason.BAD_ARGUMENTS, str(error)) from None
        decision.check(state, call)
        events = decision.apply(state, block, call)
    except Rejected as failure:
        state.undo_to(mark)
        return [_settle(state, proposal, ProposalStatus.FAILED, failure.reason)]
    return [*events, _settle(state, proposal, ProposalStatus.APPLIED)]


def _end_pauses(state: State, height: int) -> list[Event]:
    pauses = get_pauses(state).modules
    over = [pause for pause in pauses if pause.until_height <= height]
    if over:
        put_pauses(state, [pause for pause in pauses if pause not in over])
    return [_event(ModuleResumed, pause.module) for pause in over]


def _count(proposal: Proposal, members: Members) -> ProposalStatus:
    """Rule G4: whole numbers only, so that two thirds are met exactly."""
    size = len(members)
    ayes = sum(voter in members for voter in proposal.ayes)
    noes = sum(voter in members for voter in proposal.noes)
    if 3 * ayes >= 2 * size:
        return ProposalStatus.PASSED
    if 3 * (size - noes) < 2 * size:
        return ProposalStatus.REJECTED
    return ProposalStatus.VOTING


def _settle(state: State, proposal: Proposal, status: ProposalStatus, reason: int = 0) -> Event:
    """Give a proposal another status, and what follows from that."""
    _put_proposal(state, replace(proposal, status=status))
    if status is ProposalStatus.PASSED:
        state.put(agenda_key(proposal.effective_height, proposal.id), b"")
    else:
        docket = get_docket(state)
        kept = tuple([each for each in docket.open if each.id != proposal.id])
        state.put(PROPOSAL_COUNT_KEY, encode(replace(docket, open=kept)))
    return _event(ProposalSettled, proposal.id, int(status), int(reason))


def _put_proposal(state: State, proposal: Proposal) -> None:
    state.put(proposal_key(proposal.id), encode(proposal))


def _event(kind: type, *values: object) -> Event:
    return Event(MODULE.name, kind.__name__, list(values))


def _get_voting_heights(parameters: Parameters, priority: Priority) -> int:
    match priority:
        case Priority.NORMAL:
            return parameters.voting_heights_normal
        case Priority.URGENT:
            return parameters.voting_heights_urgent
        case Priority.EMERGENCY:
            return parameters.voting_heights_emergency


# The kinds of proposals: what must hold, and what they do


def _check_operator(state: StateReader, call: ProposeOperator) -> None:
    if is_operator(state, call.operator):
        raise Rejected(Reason.OPERATOR_EXISTS, "this account is an operator already")
    if is_module_address(call.operator):
        raise Rejected(Reason.RECIPIENT_NOT_ALLOWED, "this address belongs to a module, which runs no nodes")
    if len(get_operators(state)) >= OPERATORS_MAX:
        raise Rejected(Reason.NODES_LIMIT, f"there are at most {OPERATORS_MAX} operators", maximum=OPERATORS_MAX)


def _apply_operator(state: State, _: BlockContext, call: ProposeOperator) -> list[Event]:
    put_operator(state, Operator(call.operator, call.name))
    return [_event(OperatorAdmitted, call.operator, call.name)]


def _check_operator_removal(state: StateReader, call: ProposeOperatorRemoval) -> None:
    if not is_operator(state, call.operator):
        raise Rejected(Reason.NOT_AN_OPERATOR, "this account is no operator")
    members_min = get_parameters(state).committee_members_min
    for key in (COMMITTEE_KEY, NEXT_COMMITTEE_KEY):
        operators = [member.operator for member in _get_committee(state, key).members]
        if call.operator not in operators:
            continue
        left = sum(each != call.operator and is_operator(state, each) for each in operators)
        if left < members_min or 3 * left <= 2 * len(operators):
            raise Rejected(
                Reason.COMMITTEE_TOO_SMALL,
                f"only {left} of {len(operators)} members of a committee would be left",
                left=left,
                size=len(operators),
            )


def _apply_operator_removal(state: State, _: BlockContext, call: ProposeOperatorRemoval) -> list[Event]:
    keys = remove_operator(state, call.operator)
    removed = [Event(NETWORK.name, NodeRemoved.__name__, [call.operator, key]) for key in keys]
    return [*removed, _event(OperatorRemoved, call.operator)]


def _build_parameters(state: StateReader, call: ProposeParameter) -> Parameters:
    """The parameters with this one changed, within all bounds; raises Rejected."""
    parameters = get_parameters(state)
    names = [field.name for field in fields(Parameters)]
    if call.name not in names:
        raise Rejected(Reason.BAD_PARAMETER, f"there is no parameter {call.name}")
    plain = [call.value if name == call.name else getattr(parameters, name) for name in names]
    try:
        changed = from_plain(Parameters, plain)
    except DecodeError as error:
        raise Rejected(Reason.BAD_PARAMETER, str(error)) from None
    conflict = find_conflict(changed)
    if conflict is not None:
        raise Rejected(Reason.BAD_PARAMETER, conflict)
    return changed


def _check_parameter(state: StateReader, call: ProposeParameter) -> None:
    _build_parameters(state, call)


def _apply_parameter(state: State, _: BlockContext, call: ProposeParameter) -> list[Event]:
    previous = getattr(get_parameters(state), call.name)
    put_parameters(state, _build_parameters(state, call))
    return [_event(ParameterSet, call.name, call.value, previous)]


def _check_body(_: StateReader, call: ProposeBody) -> None:
    if call.body is BodyKind.COMMITTEE:
        raise Rejected(Reason.BAD_BODY, "the committee is elected, not decided on")
    if len(frozenset(call.members)) < len(call.members):
        raise Rejected(Reason.BAD_BODY, "a member stands twice")


def _apply_body(state: State, _: BlockContext, call: ProposeBody) -> list[Event]:
    put_body(state, call.body, call.members)
    return [_event(BodySet, int(call.body), sorted(call.members))]


def _check_spending(_: StateReader, call: ProposeSpending) -> None:
    """The budget need not hold the amount yet; it must when the payment is due."""
    if call.category not in TREASURY_PERCENT:
        raise Rejected(Reason.UNKNOWN_CATEGORY, f"the budgets are {', '.join(TREASURY_PERCENT)}")
    if call.amount_grains == 0:
        raise Rejected(Reason.AMOUNT_ZERO, "an amount is at least one grain")
    if is_module_address(call.recipient):
        raise Rejected(Reason.RECIPIENT_NOT_ALLOWED, "this address belongs to a module and takes no payments")


def _apply_spending(state: State, block: BlockContext, call: ProposeSpending) -> list[Event]:
    debit(state, TREASURY_ADDRESSES[call.category], call.amount_grains, block.time_ms)
    credit(state, call.recipient, call.amount_grains, block.time_ms)
    return [_event(Spent, call.category, call.recipient, call.amount_grains)]


def _check_pausable(module: str) -> None:
    if module not in PAUSABLE:
        raise Rejected(Reason.NOT_PAUSABLE, f"what can be paused is {', '.join(PAUSABLE)}")


def _check_pause(state: StateReader, call: ProposePause) -> None:
    _check_pausable(call.module)
    maximum = get_parameters(state).pause_heights_max
    if call.heights > maximum:
        raise Rejected(Reason.BAD_TERMS, f"a pause lasts at most {maximum} blocks", maximum=maximum)


def _apply_pause(state: State, block: BlockContext, call: ProposePause) -> list[Event]:
    until_height = Height(block.height + call.heights)
    others = [pause for pause in get_pauses(state).modules if pause.module != call.module]
    put_pauses(state, [*others, Pause(call.module, until_height)])
    return [_event(ModulePaused, call.module, until_height)]


def _check_resume(_: StateReader, call: ProposeResume) -> None:
    _check_pausable(call.module)


def _apply_resume(state: State, _: BlockContext, call: ProposeResume) -> list[Event]:
    pauses = get_pauses(state).modules
    others = [pause for pause in pauses if pause.module != call.module]
    if len(others) == len(pauses):
        raise Rejected(Reason.NOT_PAUSABLE, f"{call.module} is not paused")
    put_pauses(state, others)
    return [_event(ModuleResumed, call.module)]


def _check_developer(_: StateReader, call: ProposeDeveloper) -> None:
    if is_module_address(call.developer):
        raise Rejected(Reason.RECIPIENT_NOT_ALLOWED, "this address belongs to a module, which publishes nothing")


def _apply_developer(state: State, _: BlockContext, call: ProposeDeveloper) -> list[Event]:
    state.put(developer_key(call.developer), b"")
    return [_event(DeveloperCertified, call.developer)]


def _check_developer_removal(state: StateReader, call: ProposeDeveloperRemoval) -> None:
    if not is_developer(state, call.developer):
        raise Rejected(Reason.PUBLISHER_NOT_ALLOWED, "this account is no certified developer")


def _apply_developer_removal(state: State, _: BlockContext, call: ProposeDeveloperRemoval) -> list[Event]:
    state.delete(developer_key(call.developer))
    return [_event(DeveloperDecertified, call.developer)]


def _check_recognition(state: StateReader, call: ProposeRecognition) -> None:
    check_recognisable(state, call.recognition, call.did)


def _apply_recognition(state: State, _: BlockContext, call: ProposeRecognition) -> list[Event]:
    put_recognised(state, call.recognition, call.did)
    return [_event(Recognised, int(call.recognition), call.did)]


def _check_recognition_end(state: StateReader, call: ProposeRecognitionEnd) -> None:
    check_recognised(state, call.recognition, call.did)


def _apply_recognition_end(state: State, _: BlockContext, call: ProposeRecognitionEnd) -> list[Event]:
    delete_recognised(state, call.recognition, call.did)
    return [_event(RecognitionEnded, int(call.recognition), call.did)]


def _check_code(_: StateReader, __: ProposeCode) -> None:
    """Code is named by its hash before it is on the chain: there is nothing to compare it with."""


def _apply_code(state: State, _: BlockContext, call: ProposeCode) -> list[Event]:
    state.put(approved_code_key(call.code_hash), b"")
    return [_event(CodeApproved, call.code_hash)]


def _check_contract_upgrade(state: StateReader, call: ProposeUpgrade) -> None:
    check_upgrade(state, call.contract, UpgradeRule.GOVERNANCE)
    if get_code_facts(state, call.code_hash) is None:
        raise Rejected(Reason.BAD_CONTRACT, "no code of this hash was published")


def _apply_contract_upgrade(state: State, block: BlockContext, call: ProposeUpgrade) -> list[Event]:
    contract = check_upgrade(state, call.contract, UpgradeRule.GOVERNANCE)
    gas = GasMeter(DECISION_GAS_MAX, 0)
    context = Context(block, GOVERNANCE_ADDRESS, GOVERNANCE_ADDRESS, TransactionId(bytes(HASH_BYTES)), gas)
    replace_code(state, context, call.contract, contract, call.code_hash, call.arguments)
    return [*context.events, _event(ContractUpgraded, call.contract, call.code_hash, contract.code_hash)]


def _check_role(state: StateReader, call: ProposeRole) -> None:
    check_holder(state, call.did, call.role)
    if call.until_height <= call.terms.effective_height:
        raise Rejected(
            Reason.ROLE_BAD_TERM, "the role would end before it holds", minimum=call.terms.effective_height + 1
        )


def _apply_role(state: State, block: BlockContext, call: ProposeRole) -> list[Event]:
    return [put_grant(state, call.did, call.role, Grant(call.until_height, None), block.height)]


def _check_role_removal(state: StateReader, call: ProposeRoleRemoval) -> None:
    record = get_role_record(state, call.did, call.role)
    if record is None or record.grant is None:
        raise Rejected(Reason.ROLE_NOT_HELD, "the identity does not have this role")


def _apply_role_removal(state: State, _: BlockContext, call: ProposeRoleRemoval) -> list[Event]:
    return [end_grant(state, call.did, call.role)]


def _check_task(state: StateReader, call: ProposeTask) -> None:
    check_task(state, call.task)


def _apply_task(state: State, _: BlockContext, call: ProposeTask) -> list[Event]:
    return [define_task(state, call.task)]


def _check_task_end(state: StateReader, call: ProposeTaskEnd) -> None:
    get_open_task(state, call.task)


def _apply_task_end(state: State, _: BlockContext, call: ProposeTaskEnd) -> list[Event]:
    return [end_task(state, call.task)]


def _check_grant(state: StateReader, call: ProposeGrant) -> None:
    check_grant(state, call.source, call.recipient, call.amount_grains, call.schedule)


def _apply_grant(state: State, block: BlockContext, call: ProposeGrant) -> list[Event]:
    grant = apply_grant(
        *(state, block, call.source, call.recipient, call.amount_grains, call.schedule), is_revocable=call.is_revocable
    )
    return [grant]


def _check_revocation(state: StateReader, call: ProposeRevocation) -> None:
    check_revocation(state, call.account, call.number)


def _apply_revocation(state: State, block: BlockContext, call: ProposeRevocation) -> list[Event]:
    return apply_revocation(state, block, call.account, call.number)


def _check_sale(state: StateReader, call: ProposeSale) -> None:
    check_sale(state, call.sale)


def _apply_sale(state: State, block: BlockContext, call: ProposeSale) -> list[Event]:
    return [open_sale(state, block, call.sale)]


def _check_sale_end(state: StateReader, call: ProposeSaleEnd) -> None:
    check_open_sale(state, call.number)


def _apply_sale_end(state: State, block: BlockContext, call: ProposeSaleEnd) -> list[Event]:
    return [close_sale(state, block, call.number)]


def _check_acceptor(state: StateReader, call: ProposeAcceptor) -> None:
    check_application(state, call.account, call.application_hash)


def _apply_acceptor(state: State, block: BlockContext, call: ProposeAcceptor) -> list[Event]:
    return [approve_acceptor(state, block, call.account, call.application_hash)]


def _check_acceptor_removal(state: StateReader, call: ProposeAcceptorRemoval) -> None:
    get_acceptor(state, call.account)


def _apply_acceptor_removal(state: State, _: BlockContext, call: ProposeAcceptorRemoval) -> list[Event]:
    return [remove_acceptor(state, call.account)]


def _check_acceptor_rules(_: StateReader, __: ProposeAcceptorRules) -> None:
    """Their bounds are those of their types."""


def _apply_acceptor_rules(state: State, _: BlockContext, call: ProposeAcceptorRules) -> list[Event]:
    return [set_rules(state, call.rules)]


def _check_dividend(state: StateReader, call: ProposeDividend) -> None:
    check_dividend(state, call.dividend)


def _apply_dividend(state: State, block: BlockContext, call: ProposeDividend) -> list[Event]:
    """Rule G8: the money is spent on a source of distributions."""
    events = declare_dividend(state, block, call.dividend)
    spent = _event(Spent, call.dividend.category, DISTRIBUTION_ADDRESS, call.dividend.rules.pool_grains)
    return [*events, spent]


def _check_source(state: StateReader, call: ProposeSource) -> None:
    check_rules(state, call.rules)


def _apply_source(state: State, _: BlockContext, call: ProposeSource) -> list[Event]:
    source = create_source(state, call.rules)
    return [Event(DISTRIBUTION, SourceCreated.__name__, [source, call.rules.owner, call.rules.label])]


def _check_source_rules(state: StateReader, call: ProposeSourceRules) -> None:
    get_source(state, call.source)
    check_rules(state, call.rules)


def _apply_source_rules(state: State, _: BlockContext, call: ProposeSourceRules) -> list[Event]:
    set_source_rules(state, call.source, call.rules)
    return [Event(DISTRIBUTION, SourceRulesSet.__name__, [call.source])]


def _check_source_resume(state: StateReader, call: ProposeSourceResume) -> None:
    if get_flow(state, call.source).tripped_until_ms == 0:
        raise Rejected(Reason.DISTRIBUTION_NOT_TRIPPED, "the source was not tripped")


def _apply_source_resume(state: State, _: BlockContext, call: ProposeSourceResume) -> list[Event]:
    put_flow(state, call.source, NO_FLOW)
    return [Event(DISTRIBUTION, SourceResumed.__name__, [call.source])]


def _check_root_void(state: StateReader, call: ProposeRootVoid) -> None:
    get_root(state, call.source, call.number)


def _apply_root_void(state: State, _: BlockContext, call: ProposeRootVoid) -> list[Event]:
    void_root(state, call.source, call.number, VoidCause.GOVERNANCE)
    return [Event(DISTRIBUTION, RootVoided.__name__, [call.source, call.number, int(VoidCause.GOVERNANCE)])]


def _check_ads_rules(_: StateReader, call: ProposeAdsRules) -> None:
    check_ads_rules(call.rules)


def _apply_ads_rules(state: State, _: BlockContext, call: ProposeAdsRules) -> list[Event]:
    put_ads_rules(state, call.rules)
    return [_event(AdsRulesSet, to_plain(call.rules))]


_MONEY_BODIES: Final = (BodyKind.FINANCIAL, BodyKind.FOUNDATION)


def _check_mining_rules(_: StateReader, call: ProposeMiningRules) -> None:
    check_mining_rules(call.rules)


def _apply_mining_rules(state: State, block: BlockContext, call: ProposeMiningRules) -> list[Event]:
    newest = get_rules(state, _get_next_mining_epoch(block))
    return _change_mining(state, block, call.rules, newest.behaviours)


def _check_mining_behaviour(_: StateReader, call: ProposeMiningBehaviour) -> None:
    if call.rule.user is None and call.rule.provider is None:
        raise Rejected(Reason.MINING_BAD_RULES, "a behaviour earns for somebody; propose its end otherwise")


def _apply_mining_behaviour(state: State, block: BlockContext, call: ProposeMiningBehaviour) -> list[Event]:
    newest = get_rules(state, _get_next_mining_epoch(block))
    others = [each for each in newest.behaviours if each.behaviour is not call.rule.behaviour]
    ordered = tuple(sorted([*others, call.rule], key=lambda each: each.behaviour))
    return _change_mining(state, block, newest.rules, ordered)


def _check_mining_behaviour_end(state: StateReader, call: ProposeMiningBehaviourEnd) -> None:
    if find_behaviour(get_rules(state, EPOCH_MAX), call.behaviour) is None:
        raise Rejected(Reason.MINING_BAD_RULES, "the behaviour earns nothing as it is")


def _apply_mining_behaviour_end(state: State, block: BlockContext, call: ProposeMiningBehaviourEnd) -> list[Event]:
    newest = get_rules(state, _get_next_mining_epoch(block))
    others = tuple([each for each in newest.behaviours if each.behaviour is not call.behaviour])
    return _change_mining(state, block, newest.rules, others)


def _change_mining(
    state: State, block: BlockContext, rules: MiningRules, behaviours: tuple[BehaviourRule, ...]
) -> list[Event]:
    first_epoch = _get_next_mining_epoch(block)
    put_rules(state, first_epoch, block.height, rules, behaviours)
    return [_event(MiningRulesChanged, first_epoch)]


def _get_next_mining_epoch(block: BlockContext) -> Epoch:
    return Epoch(compute_epoch(block.time_ms) + 1)


def _check_mining_reinstatement(state: StateReader, call: ProposeMiningReinstatement) -> None:
    check_reinstatable(state, call.did)


def _apply_mining_reinstatement(state: State, _: BlockContext, call: ProposeMiningReinstatement) -> list[Event]:
    reinstate(state, call.did)
    return [_event(MiningAttesterReinstated, call.did)]


def _check_mining_batch_void(state: StateReader, call: ProposeMiningBatchVoid) -> None:
    check_voidable(state, call.epoch, call.number)


def _apply_mining_batch_void(state: State, block: BlockContext, call: ProposeMiningBatchVoid) -> list[Event]:
    batch = get_standing_batch(state, call.epoch, call.number)
    void_batch(state, batch, block.time_ms)
    return [Event(MINING, BatchVoided.__name__, [call.epoch, call.number, batch.payload.force, False])]


def _check_mining_source(state: StateReader, call: ProposeMiningSource) -> None:
    check_mining_source(state, call.source)


def _apply_mining_source(state: State, _: BlockContext, call: ProposeMiningSource) -> list[Event]:
    put_mining_source(state, call.source)
    return [_event(MiningSourceSet, call.source)]


_IDENTITY_BODIES: Final = (BodyKind.FOUNDATION, BodyKind.COMMITTEE)
_MINING_BODIES: Final = (BodyKind.FINANCIAL, BodyKind.FOUNDATION, BodyKind.COMMITTEE)
_SAFETY_BODIES: Final = (BodyKind.TECHNICAL, BodyKind.COMMITTEE)

DECISIONS: Final = (
    Decision(ProposalKind.ADMIT_OPERATOR, ProposeOperator, (BodyKind.COMMITTEE,), _check_operator, _apply_operator),
    Decision(
        ProposalKind.REMOVE_OPERATOR,
        ProposeOperatorRemoval,
        (BodyKind.COMMITTEE,),
        _check_operator_removal,
        _apply_operator_removal,
    ),
    Decision(ProposalKind.SET_PARAMETER, ProposeParameter, (BodyKind.COMMITTEE,), _check_parameter, _apply_parameter),
    Decision(ProposalKind.SET_BODY, ProposeBody, (BodyKind.FOUNDATION, BodyKind.COMMITTEE), _check_body, _apply_body),
    Decision(
        ProposalKind.SPEND,
        ProposeSpending,
        _MONEY_BODIES,
        _check_spending,
        _apply_spending,
    ),
    Decision(ProposalKind.PAUSE, ProposePause, (BodyKind.TECHNICAL, BodyKind.COMMITTEE), _check_pause, _apply_pause),
    Decision(
        ProposalKind.RESUME, ProposeResume, (BodyKind.TECHNICAL, BodyKind.COMMITTEE), _check_resume, _apply_resume
    ),
    Decision(
        ProposalKind.CERTIFY_DEVELOPER,
        ProposeDeveloper,
        (BodyKind.TECHNICAL, BodyKind.COMMITTEE),
        _check_developer,
        _apply_developer,
    ),
    Decision(
        ProposalKind.DECERTIFY_DEVELOPER,
        ProposeDeveloperRemoval,
        (BodyKind.TECHNICAL, BodyKind.COMMITTEE),
        _check_developer_removal,
        _apply_developer_removal,
    ),
    Decision(
        ProposalKind.APPROVE_CODE, ProposeCode, (BodyKind.TECHNICAL, BodyKind.COMMITTEE), _check_code, _apply_code
    ),
    Decision(
        ProposalKind.UPGRADE_CONTRACT,
        ProposeUpgrade,
        (BodyKind.TECHNICAL, BodyKind.COMMITTEE),
        _check_contract_upgrade,
        _apply_contract_upgrade,
    ),
    Decision(
        ProposalKind.RECOGNISE,
        ProposeRecognition,
        _IDENTITY_BODIES,
        _check_recognition,
        _apply_recognition,
    ),
    Decision(
        ProposalKind.WITHDRAW_RECOGNITION,
        ProposeRecognitionEnd,
        _IDENTITY_BODIES,
        _check_recognition_end,
        _apply_recognition_end,
    ),
    Decision(ProposalKind.GRANT_ROLE, ProposeRole, _IDENTITY_BODIES, _check_role, _apply_role),
    Decision(ProposalKind.REVOKE_ROLE, ProposeRoleRemoval, _IDENTITY_BODIES, _check_role_removal, _apply_role_removal),
    Decision(ProposalKind.DEFINE_TASK, ProposeTask, _IDENTITY_BODIES, _check_task, _apply_task),
    Decision(ProposalKind.END_TASK, ProposeTaskEnd, _IDENTITY_BODIES, _check_task_end, _apply_task_end),
    Decision(ProposalKind.GRANT_LOCKED, ProposeGrant, _MONEY_BODIES, _check_grant, _apply_grant),
    Decision(ProposalKind.REVOKE_LOCKUP, ProposeRevocation, _MONEY_BODIES, _check_revocation, _apply_revocation),
    Decision(ProposalKind.OPEN_SALE, ProposeSale, _MONEY_BODIES, _check_sale, _apply_sale),
    Decision(ProposalKind.CLOSE_SALE, ProposeSaleEnd, _MONEY_BODIES, _check_sale_end, _apply_sale_end),
    Decision(ProposalKind.APPROVE_ACCEPTOR, ProposeAcceptor, _IDENTITY_BODIES, _check_acceptor, _apply_acceptor),
    Decision(
        ProposalKind.DELIST_ACCEPTOR,
        ProposeAcceptorRemoval,
        _IDENTITY_BODIES,
        _check_acceptor_removal,
        _apply_acceptor_removal,
    ),
    Decision(
        ProposalKind.SET_ACCEPTOR_RULES,
        ProposeAcceptorRules,
        _IDENTITY_BODIES,
        _check_acceptor_rules,
        _apply_acceptor_rules,
    ),
    Decision(ProposalKind.DECLARE_DIVIDEND, ProposeDividend, _MONEY_BODIES, _check_dividend, _apply_dividend),
    Decision(ProposalKind.CREATE_SOURCE, ProposeSource, _MONEY_BODIES, _check_source, _apply_source),
    Decision(
        ProposalKind.SET_SOURCE_RULES, ProposeSourceRules, _MONEY_BODIES, _check_source_rules, _apply_source_rules
    ),
    Decision(
        ProposalKind.RESUME_SOURCE, ProposeSourceResume, _SAFETY_BODIES, _check_source_resume, _apply_source_resume
    ),
    Decision(ProposalKind.VOID_ROOT, ProposeRootVoid, _SAFETY_BODIES, _check_root_void, _apply_root_void),
    Decision(
        ProposalKind.SET_MINING_RULES, ProposeMiningRules, _MINING_BODIES, _check_mining_rules, _apply_mining_rules
    ),
    Decision(
        ProposalKind.SET_MINING_BEHAVIOUR,
        ProposeMiningBehaviour,
        _MINING_BODIES,
        _check_mining_behaviour,
        _apply_mining_behaviour,
    ),
    Decision(
        ProposalKind.END_MINING_BEHAVIOUR,
        ProposeMiningBehaviourEnd,
        _MINING_BODIES,
        _check_mining_behaviour_end,
        _apply_mining_behaviour_end,
    ),
    Decision(
        ProposalKind.REINSTATE_MINING_ATTESTER,
        ProposeMiningReinstatement,
        _IDENTITY_BODIES,
        _check_mining_reinstatement,
        _apply_mining_reinstatement,
    ),
    Decision(
        ProposalKind.VOID_MINING_BATCH,
        ProposeMiningBatchVoid,
        _SAFETY_BODIES,
        _check_mining_batch_void,
        _apply_mining_batch_void,
    ),
    Decision(
        ProposalKind.SET_MINING_SOURCE, ProposeMiningSource, _MINING_BODIES, _check_mining_source, _apply_mining_source
    ),
    Decision(ProposalKind.SET_ADS_RULES, ProposeAdsRules, _IDENTITY_BODIES, _check_ads_rules, _apply_ads_rules),
)
_DECISIONS_BY_CALL: Final = {decision.call: decision for decision in DECISIONS}
_DECISIONS_BY_KIND: Final = {decision.kind: decision for decision in DECISIONS}


# Views


def answer_proposals(state: StateReader, _: Moment) -> list[Proposal]:
    """The view of the newest proposals, the newest first."""
    count = get_docket(state).count
    found = [get_proposal(state, number) for number in range(count, max(0, count - PROPOSALS_SHOWN_MAX), -1)]
    return [proposal for proposal in found if proposal is not None]


def answer_proposal(state: StateReader, _: Moment, proposal_id: int) -> Proposal | None:
    """The view of one proposal."""
    return get_proposal(state, proposal_id) if 1 <= proposal_id <= INTEGER_MAX else None


def answer_bodies(state: StateReader, _: Moment) -> list[BodyDescription]:
    """The view of all bodies."""
    return [
        BodyDescription(body, body.name.lower(), get_deciding_members(state, body), not get_body(state, body))
        for body in BodyKind
    ]


def answer_treasury(state: StateReader, _: Moment) -> list[Budget]:
    """The view of the treasury's budgets."""
    return [
        Budget(category, percent, get_balance(state, TREASURY_ADDRESSES[category]))
        for category, percent in TREASURY_PERCENT.items()
    ]


def answer_pauses(state: StateReader, _: Moment) -> list[Pause]:
    """The view of paused modules."""
    return list(get_pauses(state).modules)


def answer_recognised(state: StateReader, _: Moment, recognition: Recognition) -> list[Did]:
    """The view of all identities that are recognised for this."""
    return list_recognised(state, recognition)


_PROPOSE_GAS: Final = 3 * GAS_STATE_WRITE + 8 * GAS_STATE_READ
_PROPOSE_OPERATOR_GAS: Final = _PROPOSE_GAS + OPERATORS_MAX * GAS_STATE_READ  # all of them are counted
_PROPOSE_RECOGNITION_GAS: Final = _PROPOSE_GAS + RECOGNISED_MAX * GAS_STATE_READ  # all of them are counted
_PROPOSE_RULES_GAS: Final = _PROPOSE_GAS + ATTESTERS_MAX * GAS_DID_READ  # all of them are looked up
_VOTE_GAS: Final = 3 * GAS_STATE_WRITE + 3 * GAS_STATE_READ
_DONATE_GAS: Final = (1 + len(TREASURY_PERCENT)) * GAS_STATE_WRITE


def _propose_rule(name: str, call: type, gas: int = _PROPOSE_GAS) -> CallRule:
    return CallRule(name, call, apply_propose, lambda _: gas, str(gas))


MODULE = ModuleRule(
    name="governance",
    summary="Proposals, decisions and the treasury",
    calls=(
        _propose_rule("propose_operator", ProposeOperator, _PROPOSE_OPERATOR_GAS),
        _propose_rule("propose_operator_removal", ProposeOperatorRemoval),
        _propose_rule("propose_parameter", ProposeParameter),
        _propose_rule("propose_body", ProposeBody),
        _propose_rule("propose_spending", ProposeSpending),
        _propose_rule("propose_pause", ProposePause),
        _propose_rule("propose_resume", ProposeResume),
        _propose_rule("propose_developer", ProposeDeveloper),
        _propose_rule("propose_developer_removal", ProposeDeveloperRemoval),
        _propose_rule("propose_recognition", ProposeRecognition, _PROPOSE_RECOGNITION_GAS),
        _propose_rule("propose_recognition_end", ProposeRecognitionEnd),
        _propose_rule("propose_code", ProposeCode),
        CallRule(
            "propose_upgrade",
            ProposeUpgrade,
            apply_propose,
            lambda call: _PROPOSE_GAS + GAS_BYTE * len(call.arguments),
            f"{_PROPOSE_GAS} + {GAS_BYTE} for each byte of arguments",
        ),
        _propose_rule("propose_role", ProposeRole),
        _propose_rule("propose_role_removal", ProposeRoleRemoval),
        _propose_rule("propose_task", ProposeTask),
        _propose_rule("propose_task_end", ProposeTaskEnd),
        _propose_rule("propose_grant", ProposeGrant),
        _propose_rule("propose_revocation", ProposeRevocation),
        _propose_rule("propose_sale", ProposeSale),
        _propose_rule("propose_sale_end", ProposeSaleEnd),
        _propose_rule("propose_acceptor", ProposeAcceptor),
        _propose_rule("propose_acceptor_removal", ProposeAcceptorRemoval),
        _propose_rule("propose_acceptor_rules", ProposeAcceptorRules),
        _propose_rule("propose_dividend", ProposeDividend, _PROPOSE_RULES_GAS),
        _propose_rule("propose_source", ProposeSource, _PROPOSE_RULES_GAS),
        _propose_rule("propose_source_rules", ProposeSourceRules, _PROPOSE_RULES_GAS),
        _propose_rule("propose_source_resume", ProposeSourceResume),
        _propose_rule("propose_root_void", ProposeRootVoid),
        _propose_rule("propose_mining_rules", ProposeMiningRules),
        _propose_rule("propose_mining_behaviour", ProposeMiningBehaviour),
        _propose_rule("propose_mining_behaviour_end", ProposeMiningBehaviourEnd),
        _propose_rule("propose_mining_reinstatement", ProposeMiningReinstatement),
        _propose_rule("propose_mining_batch_void", ProposeMiningBatchVoid),
        _propose_rule("propose_mining_source", ProposeMiningSource),
        _propose_rule("propose_ads_rules", ProposeAdsRules),
        CallRule("vote", Vote, apply_vote, lambda _: _VOTE_GAS, str(_VOTE_GAS)),
        CallRule("donate", Donate, apply_donate, lambda _: _DONATE_GAS, str(_DONATE_GAS)),
    ),
    events=tuple(
        map(
            EventRule,
            (
                ProposalMade,
                Voted,
                ProposalSettled,
                OperatorAdmitted,
                OperatorRemoved,
                ParameterSet,
                BodySet,
                Spent,
                ModulePaused,
                ModuleResumed,
                Donated,
                DeveloperCertified,
                DeveloperDecertified,
                CodeApproved,
                ContractUpgraded,
                Recognised,
                RecognitionEnded,
                MiningRulesChanged,
                MiningAttesterReinstated,
                MiningSourceSet,
                AdsRulesSet,
            ),
        )
    ),
    views=(
        ViewRule("proposals", (), answer_proposals),
        ViewRule("proposal", (("id", int),), answer_proposal),
        ViewRule("bodies", (), answer_bodies),
        ViewRule("treasury", (), answer_treasury),
        ViewRule("pauses", (), answer_pauses),
        ViewRule("recognised", (("recognition", Recognition),), answer_recognised),
    ),
)
