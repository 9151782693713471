"""Governance: rules G1 to G9."""

from dataclasses import replace

import pytest

from identity.address import compute_module_address
from ledger.codec import encode
from ledger.committee import Committee, Member
from ledger.primitives import SUPPLY_GRAINS, ConsensusKey, Height, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event, Status
from ledger.state_keys import COMMITTEE_KEY, NEXT_COMMITTEE_KEY, PAUSES_KEY
from ledger.transaction import Call
from tests.builders import PARAMETERS, Draft, address_of, block_context, make_key, make_state, transfer
from vm.context import Moment
from vm.native import governance
from vm.native.accounts import get_account
from vm.native.governance import (
    PROPOSALS_OPEN_MAX,
    PROPOSALS_PER_PROPOSER_MAX,
    BodyDescription,
    BodyKind,
    Budget,
    Decision,
    Priority,
    Proposal,
    ProposalKind,
    ProposalStatus,
    apply_decisions,
    get_body,
    get_docket,
    get_proposal,
    put_body,
)
from vm.native.iov import TREASURY_ADDRESSES, credit, get_balance
from vm.native.network import (
    NodeRole,
    Operator,
    RegisteredNode,
    get_nodes,
    get_operators,
    is_operator,
    put_node,
    put_operator,
)
from vm.native.pauses import Pause, get_pauses
from vm.native.registry import answer_view
from vm.parameters import get_parameters, put_parameters
from vm.transition import apply_transaction, check_admission

MEMBERS = [make_key(f"member {index}") for index in range(4)]
OUTSIDERS = [make_key(f"outsider {index}") for index in range(3)]
OPERATOR, STRANGER = make_key("operator"), make_key("stranger")
M = [address_of(key) for key in MEMBERS]
X = [address_of(key) for key in OUTSIDERS]
FIRST = 1
NORMAL, URGENT, EMERGENCY = (
    FIRST + heights
    for heights in (
        PARAMETERS.voting_heights_normal,
        PARAMETERS.voting_heights_urgent,
        PARAMETERS.voting_heights_emergency,
    )
)
TITLE = "Because"


def make_committee(addresses) -> Committee:
    return Committee(tuple(Member(each, ConsensusKey(each.ljust(32, b"\0"))) for each in addresses))


def make_chain():
    """A state with a committee of four, an operator without a seat, and money for all."""
    people = [*M, *X, address_of(OPERATOR), address_of(STRANGER)]
    state = make_state(dict.fromkeys(people, 10**9))
    put_parameters(state, PARAMETERS)
    for key in (COMMITTEE_KEY, NEXT_COMMITTEE_KEY):
        state.put(key, encode(make_committee(M)))
    for index, address in enumerate([*M, address_of(OPERATOR)]):
        put_operator(state, Operator(address, f"operator {index}"))
    state.forget_marks()
    return state


def terms(effective: int = NORMAL + 1, priority: Priority = Priority.NORMAL) -> list:
    return [int(priority), effective, TITLE]


def parameter(value: int, name: str = "block_interval_ms", effective: int = NORMAL + 1) -> Call:
    return Call("governance", "propose_parameter", [name, value, terms(effective)])


def run(state, call: Call, key=MEMBERS[0], height: int = FIRST):
    sequence = get_account(state, address_of(key)).sequence
    draft = Draft(key, [call], sequence=sequence, gas_limit=40_000, valid_until=10**6)
    receipt = apply_transaction(state, block_context(height, height * 1_000), draft.sign())
    state.forget_marks()
    return receipt


def accept(state, call: Call, key=MEMBERS[0], height: int = FIRST) -> tuple[Event, ...]:
    receipt = run(state, call, key, height)
    assert (receipt.status, receipt.reason) == (Status.SUCCEEDED, 0)
    return receipt.events


def refuse(state, call: Call, reason: Reason, key=MEMBERS[0], height: int = FIRST) -> None:
    receipt = run(state, call, key, height)
    assert (receipt.status, receipt.reason) == (Status.FAILED, reason)
    assert receipt.events == ()


def vote(state, key, is_approved: bool = True, number: int = 1, height: int = FIRST) -> tuple[Event, ...]:
    return accept(state, Call("governance", "vote", [number, is_approved]), key, height)


def settled(number: int, status: ProposalStatus, reason: int = 0) -> Event:
    return Event("governance", "ProposalSettled", [number, int(status), int(reason)])


def end(state, height: int) -> list[Event]:
    return apply_decisions(state, block_context(height, height * 1_000))


def status_of(state, number: int = 1) -> ProposalStatus:
    return get_proposal(state, number).status


def pass_and_apply(state, call: Call, keys=MEMBERS, proposer=MEMBERS[0]) -> list[Event]:
    """Propose, let everybody vote, and come to the end of the block in which it takes effect."""
    accept(state, call, proposer)
    number = get_docket(state).count
    for key in keys:
        if status_of(state, number) is ProposalStatus.VOTING:
            vote(state, key, number=number)
    assert status_of(state, number) is ProposalStatus.PASSED
    proposal = get_proposal(state, number)
    assert end(state, proposal.deadline) == []
    return end(state, proposal.effective_height)


# Proposing


def test_a_member_of_the_deciding_body_proposes():
    state = make_chain()
    events = accept(state, parameter(600))
    assert get_proposal(state, 1) == Proposal(
        id=1,
        kind=ProposalKind.SET_PARAMETER,
        arguments=["block_interval_ms", 600],
        proposer=M[0],
        body=BodyKind.COMMITTEE,
        priority=Priority.NORMAL,
        title=TITLE,
        first_height=FIRST,
        deadline=NORMAL,
        effective_height=NORMAL + 1,
        ayes=(),
        noes=(),
        status=ProposalStatus.VOTING,
    )
    assert events == (Event("governance", "ProposalMade", [1, 3, M[0], 1, NORMAL, NORMAL + 1]),)


def test_an_operator_without_a_seat_proposes_too_and_a_stranger_does_not():
    state = make_chain()
    accept(state, parameter(600), OPERATOR)
    assert get_proposal(state, 1).proposer == address_of(OPERATOR)
    refuse(state, parameter(600), Reason.NOT_A_MEMBER, STRANGER)


def test_a_proposal_goes_to_the_first_deciding_body_in_which_its_proposer_sits():
    state = make_chain()
    put_body(state, BodyKind.TECHNICAL, [X[0]])
    pause = Call("governance", "propose_pause", ["iov", 5, terms()])
    for number, (key, body) in enumerate(
        [(OUTSIDERS[0], BodyKind.TECHNICAL), (MEMBERS[0], BodyKind.COMMITTEE), (OPERATOR, BodyKind.TECHNICAL)], 1
    ):
        accept(state, pause, key)
        assert get_proposal(state, number).body is body
    refuse(state, pause, Reason.NOT_A_MEMBER, OUTSIDERS[1])


@pytest.mark.parametrize(
    ("priority", "deadline"), [(Priority.NORMAL, NORMAL), (Priority.URGENT, URGENT), (Priority.EMERGENCY, EMERGENCY)]
)
def test_priority_decides_how_soon_a_proposal_may_take_effect(priority, deadline):
    state = make_chain()

    def pause(effective: int) -> Call:
        return Call("governance", "propose_pause", ["iov", 5, terms(effective, priority)])

    refuse(state, pause(deadline), Reason.BAD_TERMS)
    refuse(state, pause(deadline + governance.EFFECTIVE_HEIGHTS_MAX + 1), Reason.BAD_TERMS)
    accept(state, pause(deadline + 1))
    accept(state, pause(deadline + governance.EFFECTIVE_HEIGHTS_MAX))
    assert get_proposal(state, 1).deadline == deadline


def test_an_emergency_pauses_and_resumes_modules_and_nothing_else():
    state = make_chain()
    emergency = terms(EMERGENCY + 1, Priority.EMERGENCY)
    for name, arguments in [
        ("propose_operator", [X[0], "x"]),
        ("propose_operator_removal", [M[0]]),
        ("propose_parameter", ["block_interval_ms", 600]),
        ("propose_body", [2, []]),
        ("propose_spending", ["core", X[0], 1]),
    ]:
        refuse(state, Call("governance", name, [*arguments, emergency]), Reason.BAD_TERMS)
    accept(state, Call("governance", "propose_pause", ["iov", 5, emergency]))
    accept(state, Call("governance", "propose_resume", ["iov", emergency]))


def test_open_proposals_are_limited_for_each_and_for_all(monkeypatch):
    state = make_chain()
    for _ in range(PROPOSALS_PER_PROPOSER_MAX):
        accept(state, parameter(600))
    refuse(state, parameter(600), Reason.PROPOSALS_LIMIT)
    accept(state, parameter(600), MEMBERS[1])
    monkeypatch.setattr("vm.native.governance.PROPOSALS_OPEN_MAX", PROPOSALS_PER_PROPOSER_MAX + 1)
    refuse(state, parameter(600), Reason.PROPOSALS_LIMIT, MEMBERS[2])
    for key in MEMBERS[:2]:
        vote(state, key, is_approved=False)
    assert status_of(state) is ProposalStatus.REJECTED
    accept(state, parameter(600), MEMBERS[2])
    assert len(get_docket(state).open) <= PROPOSALS_OPEN_MAX


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("propose_operator", [M[0], "again"], Reason.OPERATOR_EXISTS),
        ("propose_operator", [compute_module_address("fees"), "fees"], Reason.RECIPIENT_NOT_ALLOWED),
        ("propose_operator", [X[0], ""], Reason.BAD_ARGUMENTS),
        ("propose_operator_removal", [X[0]], Reason.NOT_AN_OPERATOR),
        ("propose_parameter", ["no_such", 1], Reason.BAD_PARAMETER),
        ("propose_parameter", ["block_interval_ms", 9], Reason.BAD_PARAMETER),
        ("propose_parameter", ["block_interval_ms", 60_001], Reason.BAD_PARAMETER),
        ("propose_parameter", ["block_interval_ms", -1], Reason.BAD_PARAMETER),
        ("propose_parameter", ["voting_heights_urgent", 41], Reason.BAD_PARAMETER),
        ("propose_parameter", ["voting_heights_emergency", 21], Reason.BAD_PARAMETER),
        ("propose_parameter", ["hash", 1], Reason.BAD_PARAMETER),
        ("propose_body", [1, [X[0]]], Reason.BAD_BODY),
        ("propose_body", [2, [X[0], X[0]]], Reason.BAD_BODY),
        ("propose_body", [5, []], Reason.BAD_ARGUMENTS),
        ("propose_body", [2, [bytes([index]) * 20 for index in range(65)]], Reason.BAD_ARGUMENTS),
        ("propose_spending", ["party", X[0], 1], Reason.UNKNOWN_CATEGORY),
        ("propose_spending", ["core", X[0], 0], Reason.AMOUNT_ZERO),
        ("propose_spending", ["core", TREASURY_ADDRESSES["core"], 1], Reason.RECIPIENT_NOT_ALLOWED),
        ("propose_pause", ["governance", 5], Reason.NOT_PAUSABLE),
        ("propose_pause", ["nowhere", 5], Reason.NOT_PAUSABLE),
        ("propose_pause", ["iov", 1_001], Reason.BAD_TERMS),
        ("propose_pause", ["iov", 0], Reason.BAD_ARGUMENTS),
        ("propose_resume", ["governance"], Reason.NOT_PAUSABLE),
    ],
)
def test_what_could_never_take_effect_is_not_proposed(name, arguments, reason):
    state = make_chain()
    refuse(state, Call("governance", name, [*arguments, terms()]), reason)
    assert get_docket(state).count == 0


# Voting


def test_two_thirds_of_the_body_pass_a_proposal_at_once():
    state = make_chain()
    accept(state, parameter(600))
    voted = [Event("governance", "Voted", [1, address, True]) for address in M]
    assert vote(state, MEMBERS[0]) == (voted[0],)
    assert vote(state, MEMBERS[1]) == (voted[1],)
    assert vote(state, MEMBERS[2]) == (voted[2], settled(1, ProposalStatus.PASSED))
    assert (get_proposal(state, 1).ayes, get_proposal(state, 1).status) == (tuple(M[:3]), ProposalStatus.PASSED)


@pytest.mark.parametrize(("size", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 4), (6, 4), (7, 5), (21, 14)])
def test_two_thirds_are_counted_exactly(size, needed):
    voters = [address_of(make_key(f"voter {index}")) for index in range(size)]
    proposal = replace(make_proposal(), ayes=tuple(voters[: needed - 1]))
    assert governance._count(proposal, tuple(voters)) is ProposalStatus.VOTING
    proposal = replace(proposal, ayes=tuple(voters[:needed]))
    assert governance._count(proposal, tuple(voters)) is ProposalStatus.PASSED
    noes = size - needed
    assert governance._count(replace(make_proposal(), noes=tuple(voters[:noes])), tuple(voters)) is (
        ProposalStatus.VOTING
    )
    assert governance._count(replace(make_proposal(), noes=tuple(voters[: noes + 1])), tuple(voters)) is (
        ProposalStatus.REJECTED
    )


def make_proposal() -> Proposal:
    return Proposal(
        1, ProposalKind.RESUME, ["iov"], M[0], BodyKind.COMMITTEE, Priority.NORMAL, TITLE, 1, 41, 42, (), (),
        ProposalStatus.VOTING,
    )  # fmt: skip


def test_a_proposal_is_rejected_as_soon_as_two_thirds_are_out_of_reach():
    state = make_chain()
    accept(state, parameter(600))
    vote(state, MEMBERS[0], is_approved=False)
    events = vote(state, MEMBERS[1], is_approved=False)
    assert events[1:] == (settled(1, ProposalStatus.REJECTED),)
    assert get_docket(state).open == ()
    refuse(state, Call("governance", "vote", [1, True]), Reason.VOTING_CLOSED, MEMBERS[2])
    assert end(state, NORMAL) == []
    assert end(state, NORMAL + 1) == []
    assert get_parameters(state) == PARAMETERS


def test_a_member_changes_its_vote_and_counts_once():
    state = make_chain()
    accept(state, parameter(600))
    for is_approved in (True, True, False, True):
        vote(state, MEMBERS[0], is_approved)
    assert (get_proposal(state, 1).ayes, get_proposal(state, 1).noes) == ((M[0],), ())
    vote(state, MEMBERS[0], is_approved=False)
    assert (get_proposal(state, 1).ayes, get_proposal(state, 1).noes) == ((), (M[0],))


def test_who_does_not_sit_in_the_body_does_not_vote():
    state = make_chain()
    accept(state, parameter(600))
    for key in (OPERATOR, STRANGER):
        refuse(state, Call("governance", "vote", [1, True]), Reason.NOT_A_MEMBER, key)
    refuse(state, Call("governance", "vote", [2, True]), Reason.UNKNOWN_PROPOSAL)


def test_the_deadline_is_the_last_block_that_counts_votes():
    state = make_chain()
    accept(state, parameter(600))
    vote(state, MEMBERS[0], height=NORMAL)
    assert end(state, NORMAL - 1) == []
    assert end(state, NORMAL) == [settled(1, ProposalStatus.EXPIRED)]
    refuse(state, Call("governance", "vote", [1, True]), Reason.VOTING_CLOSED, MEMBERS[1], NORMAL + 1)
    assert get_docket(state).open == ()


def test_a_vote_after_the_deadline_is_refused_even_if_the_block_end_was_missed():
    state = make_chain()
    accept(state, parameter(600))
    refuse(state, Call("governance", "vote", [1, True]), Reason.VOTING_CLOSED, MEMBERS[1], NORMAL + 1)


def test_a_member_that_has_left_no_longer_counts():
    state = make_chain()
    put_body(state, BodyKind.FINANCIAL, X)
    accept(state, Call("governance", "propose_spending", ["core", X[0], 1, terms()]), OUTSIDERS[0])
    vote(state, OUTSIDERS[0])
    put_body(state, BodyKind.FINANCIAL, [*X[1:], *M[:1]])
    vote(state, OUTSIDERS[1])
    assert status_of(state) is ProposalStatus.VOTING
    refuse(state, Call("governance", "vote", [1, True]), Reason.NOT_A_MEMBER, OUTSIDERS[0])
    vote(state, MEMBERS[0])
    assert status_of(state) is ProposalStatus.PASSED


def test_a_smaller_body_is_counted_anew_at_the_deadline():
    state = make_chain()
    put_body(state, BodyKind.FINANCIAL, X)
    accept(state, Call("governance", "propose_spending", ["core", X[0], 1, terms()]), OUTSIDERS[0])
    vote(state, OUTSIDERS[0])
    put_body(state, BodyKind.FINANCIAL, X[:1])
    assert end(state, NORMAL) == [settled(1, ProposalStatus.PASSED)]
    assert end(state, NORMAL + 1)[-1] == settled(1, ProposalStatus.FAILED, Reason.INSUFFICIENT_BALANCE)


def test_an_empty_bodys_decisions_are_the_committees():
    state = make_chain()
    accept(state, Call("governance", "propose_spending", ["core", X[0], 1, terms()]))
    assert get_proposal(state, 1).body is BodyKind.FINANCIAL
    for key in MEMBERS[:3]:
        vote(state, key)
    assert status_of(state) is ProposalStatus.PASSED


# Taking effect


def test_a_decision_takes_effect_once_at_its_height_and_never_earlier():
    state = make_chain()
    effective = NORMAL + 7
    accept(state, parameter(600, effective=effective))
    for key in MEMBERS[:3]:
        vote(state, key)
    for height in range(FIRST, effective):
        assert end(state, height) == []
        assert get_parameters(state) == PARAMETERS
    assert end(state, effective) == [
        Event("governance", "ParameterSet", ["block_interval_ms", 600, 500]),
        settled(1, ProposalStatus.APPLIED),
    ]
    assert get_parameters(state) == replace(PARAMETERS, block_interval_ms=600)
    put_parameters(state, PARAMETERS)
    for height in (effective, effective + 1):
        assert end(state, height) == []
    assert get_parameters(state) == PARAMETERS
    assert get_docket(state).open == ()


def test_decisions_of_one_height_take_effect_in_the_order_of_their_numbers():
    state = make_chain()
    for value in (600, 700):
        accept(state, parameter(value))
    for number in (2, 1):
        for key in MEMBERS[:3]:
            vote(state, key, number=number)
    end(state, NORMAL)
    assert [event.fields for event in end(state, NORMAL + 1)][::2] == [
        ["block_interval_ms", 600, 500],
        ["block_interval_ms", 700, 600],
    ]


def test_bounds_are_checked_again_when_a_parameter_takes_effect():
    state = make_chain()
    for name, value in [("committee_members_min", 5), ("committee_seats", 4)]:
        accept(state, parameter(value, name))
    for number in (1, 2):
        for key in MEMBERS[:3]:
            vote(state, key, number=number)
    end(state, NORMAL)
    assert end(state, NORMAL + 1) == [
        Event("governance", "ParameterSet", ["committee_members_min", 5, 1]),
        settled(1, ProposalStatus.APPLIED),
        settled(2, ProposalStatus.FAILED, Reason.BAD_PARAMETER),
    ]
    assert get_parameters(state) == replace(PARAMETERS, committee_members_min=5)


def test_an_operator_is_admitted():
    state = make_chain()
    events = pass_and_apply(state, Call("governance", "propose_operator", [X[0], "Xaver", terms()]))
    assert events == [Event("governance", "OperatorAdmitted", [X[0], "Xaver"]), settled(1, ProposalStatus.APPLIED)]
    assert Operator(X[0], "Xaver") in get_operators(state)


def test_operators_are_limited(monkeypatch):
    state = make_chain()
    monkeypatch.setattr("vm.native.governance.OPERATORS_MAX", 5)
    refuse(state, Call("governance", "propose_operator", [X[0], "Xaver", terms()]), Reason.NODES_LIMIT)


def test_a_removed_operators_nodes_leave_the_registry():
    state = make_chain()
    removed = address_of(OPERATOR)
    for key, operator in [(b"\1" * 32, removed), (b"\2" * 32, M[0])]:
        put_node(state, RegisteredNode(key, bytes(64), operator, NodeRole.OBSERVER, None, key.hex(), ()))
    events = pass_and_apply(state, Call("governance", "propose_operator_removal", [removed, terms()]))
    assert events == [
        Event("network", "NodeRemoved", [removed, b"\1" * 32]),
        Event("governance", "OperatorRemoved", [removed]),
        settled(1, ProposalStatus.APPLIED),
    ]
    assert [node.operator for node in get_nodes(state)] == [M[0]]
    assert not is_operator(state, removed)


def test_a_removal_that_leaves_no_quorum_does_not_happen():
    state = make_chain()
    pass_and_apply(state, Call("governance", "propose_operator_removal", [M[3], terms()]))
    assert not is_operator(state, M[3])
    refuse(state, Call("governance", "propose_operator_removal", [M[2], terms()]), Reason.COMMITTEE_TOO_SMALL)
    state.put(COMMITTEE_KEY, encode(make_committee(M[:1])))
    refuse(state, Call("governance", "propose_operator_removal", [M[2], terms()]), Reason.COMMITTEE_TOO_SMALL)
    state.put(NEXT_COMMITTEE_KEY, encode(make_committee(M[:1])))
    accept(state, Call("governance", "propose_operator_removal", [M[2], terms()]))


def test_a_removal_that_leaves_fewer_than_the_least_members_does_not_happen():
    state = make_chain()
    put_parameters(state, replace(PARAMETERS, committee_members_min=4))
    refuse(state, Call("governance", "propose_operator_removal", [M[3], terms()]), Reason.COMMITTEE_TOO_SMALL)


def test_a_body_gets_members_and_loses_them():
    state = make_chain()
    events = pass_and_apply(state, Call("governance", "propose_body", [2, X, terms()]))
    assert events == [Event("governance", "BodySet", [2, sorted(X)]), settled(1, ProposalStatus.APPLIED)]
    assert get_body(state, BodyKind.FOUNDATION) == tuple(sorted(X))
    pass_and_apply(state, Call("governance", "propose_body", [2, [], terms()]), OUTSIDERS, OUTSIDERS[0])
    assert get_body(state, BodyKind.FOUNDATION) == ()


def test_a_budget_pays_what_was_decided():
    state = make_chain()
    credit(state, TREASURY_ADDRESSES["marketing"], 1_000, 0)
    before = get_balance(state, X[0])
    events = pass_and_apply(state, Call("governance", "propose_spending", ["marketing", X[0], 400, terms()]))
    assert events == [Event("governance", "Spent", ["marketing", X[0], 400]), settled(1, ProposalStatus.APPLIED)]
    assert get_balance(state, TREASURY_ADDRESSES["marketing"]) == 600
    assert get_balance(state, X[0]) == before + 400


def test_a_budget_pays_nothing_that_it_does_not_hold():
    state = make_chain()
    credit(state, TREASURY_ADDRESSES["core"], 399, 0)
    events = pass_and_apply(state, Call("governance", "propose_spending", ["core", X[0], 400, terms()]))
    assert events == [settled(1, ProposalStatus.FAILED, Reason.INSUFFICIENT_BALANCE)]
    assert get_balance(state, TREASURY_ADDRESSES["core"]) == 399
    assert get_docket(state).open == ()


def test_what_fails_on_its_way_is_taken_back(monkeypatch):
    """A decision that has written already when it finds that it is not possible leaves no trace."""
    state = make_chain()

    def fail(state, _block, _call):
        put_parameters(state, replace(PARAMETERS, block_interval_ms=999))
        raise Rejected(Reason.BAD_PARAMETER)

    decision = Decision(
        ProposalKind.SET_PARAMETER, governance.ProposeParameter, (BodyKind.COMMITTEE,), lambda *_: None, fail
    )
    monkeypatch.setitem(governance._DECISIONS_BY_KIND, ProposalKind.SET_PARAMETER, decision)
    assert pass_and_apply(state, parameter(600)) == [settled(1, ProposalStatus.FAILED, Reason.BAD_PARAMETER)]
    assert get_parameters(state) == PARAMETERS


# Pauses


def pause(state, module: str = "iov", heights: int = 5) -> int:
    """Pause a module; the last height at which it is paused."""
    emergency = terms(EMERGENCY + 1, Priority.EMERGENCY)
    events = pass_and_apply(state, Call("governance", "propose_pause", [module, heights, emergency]))
    until = EMERGENCY + 1 + heights
    assert events[0] == Event("governance", "ModulePaused", [module, until])
    return until


def test_a_paused_modules_calls_fail_until_the_pause_is_over():
    state = make_chain()
    until = pause(state)
    for height in (EMERGENCY + 2, until):
        refuse(state, transfer(X[0], 1), Reason.MODULE_PAUSED, height=height)
    accept(state, transfer(X[0], 1), height=until + 1)
    assert end(state, until - 1) == []
    assert end(state, until) == [Event("governance", "ModuleResumed", ["iov"])]
    assert state.get(PAUSES_KEY) is None


def test_one_paused_call_fails_the_whole_transaction():
    state = make_chain()
    pause(state, "network")
    draft = Draft(MEMBERS[1], [transfer(X[0], 1), Call("network", "remove_node", [bytes(32)])], sequence=1)
    draft.sequence = get_account(state, M[1]).sequence
    before = get_balance(state, X[0])
    receipt = apply_transaction(state, block_context(EMERGENCY + 2, 99_000), draft.sign())
    assert (receipt.status, receipt.reason) == (Status.FAILED, Reason.MODULE_PAUSED)
    assert get_balance(state, X[0]) == before


def test_a_paused_modules_calls_are_not_admitted():
    state = make_chain()
    until = pause(state)
    transaction = Draft(STRANGER, [transfer(X[0], 1)], valid_until=10**6).sign()
    with pytest.raises(Rejected) as refusal:
        check_admission(state, transaction, Height(until), 0, PARAMETERS)
    assert (refusal.value.reason, refusal.value.details) == (Reason.MODULE_PAUSED, {"until_height": until})
    check_admission(state, transaction, Height(until + 1), 0, PARAMETERS)


def test_other_modules_and_governance_go_on_during_a_pause():
    state = make_chain()
    pause(state)
    accept(state, Call("governance", "donate", [100]), height=EMERGENCY + 2)
    assert get_pauses(state).modules == (Pause("iov", EMERGENCY + 6),)


def test_a_module_is_resumed_before_its_time():
    state = make_chain()
    pause(state, "iov", 1_000)
    pause(state, "network", 1_000)
    events = pass_and_apply(state, Call("governance", "propose_resume", ["iov", terms()]))
    assert events[0] == Event("governance", "ModuleResumed", ["iov"])
    assert [each.module for each in get_pauses(state).modules] == ["network"]
    accept(state, transfer(X[0], 1), height=NORMAL + 2)


def test_resuming_what_is_not_paused_fails_when_it_is_due():
    state = make_chain()
    events = pass_and_apply(state, Call("governance", "propose_resume", ["iov", terms()]))
    assert events == [settled(1, ProposalStatus.FAILED, Reason.NOT_PAUSABLE)]


# Treasury and views


@pytest.mark.parametrize(
    ("amount", "shares"),
    [(100, [10, 10, 35, 30, 15]), (1, [1, 0, 0, 0, 0]), (99, [13, 9, 34, 29, 14])],
)
def test_a_donation_is_shared_out_and_the_rest_goes_to_the_first_budget(amount, shares):
    state = make_chain()
    before = get_balance(state, M[0])
    receipt = run(state, Call("governance", "donate", [amount]))
    assert receipt.events == (Event("governance", "Donated", [M[0], amount]),)
    held = [get_balance(state, address) for address in TREASURY_ADDRESSES.values()]
    assert held == shares
    assert get_balance(state, M[0]) == before - amount - receipt.fee_grains


def test_a_donation_is_at_least_a_grain_and_at_most_what_the_donor_has():
    state = make_chain()
    refuse(state, Call("governance", "donate", [0]), Reason.AMOUNT_ZERO)
    refuse(state, Call("governance", "donate", [SUPPLY_GRAINS]), Reason.INSUFFICIENT_BALANCE)


def test_the_views_tell_what_there_is():
    state = make_chain()
    moment = Moment(Height(FIRST), TimeMs(1_000))
    put_body(state, BodyKind.TECHNICAL, X)
    for value in (600, 700):
        accept(state, parameter(value))
    credit(state, TREASURY_ADDRESSES["core"], 5, 0)

    def ask(view: str, *arguments):
        return answer_view(state, moment, "governance", view, list(arguments))

    assert [proposal.id for proposal in ask("proposals")] == [2, 1]
    assert ask("proposal", 2) == get_proposal(state, 2)
    assert (ask("proposal", 3), ask("proposal", 0), ask("proposal", -1)) == (None, None, None)
    assert ask("bodies") == [
        BodyDescription(BodyKind.COMMITTEE, "committee", tuple(M), False),
        BodyDescription(BodyKind.FOUNDATION, "foundation", tuple(M), True),
        BodyDescription(BodyKind.TECHNICAL, "technical", tuple(sorted(X)), False),
        BodyDescription(BodyKind.FINANCIAL, "financial", tuple(M), True),
    ]
    assert ask("treasury") == [
        Budget("core", 10, 5),
        Budget("operations", 10, 0),
        Budget("acquisitions", 35, 0),
        Budget("marketing", 30, 0),
        Budget("community", 15, 0),
    ]
    assert ask("pauses") == []
