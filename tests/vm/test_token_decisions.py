"""What governance decides about lock-ups, the sale and acceptors: from the proposal to its effect."""

from dataclasses import replace

import pytest

from identity.address import compute_module_address
from ledger.codec import encode, to_plain
from ledger.primitives import Grains, TimeMs
from ledger.reasons import Reason
from ledger.receipt import Event
from ledger.state_keys import acceptor_key, did_of_account_key
from ledger.transaction import Call
from tests.builders import address_of, make_key
from tests.did_scene import build_create, control_of
from tests.vm.test_governance import (
    MEMBERS,
    NORMAL,
    accept,
    end,
    make_chain,
    pass_and_apply,
    refuse,
    settled,
    terms,
    vote,
)
from vm.native.acceptors import (
    FIRST_RULES,
    Acceptor,
    AcceptorRules,
    compute_application_hash,
    find_acceptor,
    get_rules,
)
from vm.native.did_records import DidKind
from vm.native.governance import ProposalStatus, get_proposal
from vm.native.iov import SALE_ADDRESS, credit, get_balance
from vm.native.lockup_records import Schedule, build_cliff, get_lockups
from vm.native.sale_records import SaleTerms, Tier, find_sale, get_sales

RECIPIENT = address_of(make_key("early contributor"))
TEAM, SUBSCRIPTION = compute_module_address("team"), compute_module_address("subscription")
CLIFF = build_cliff(10**9)


@pytest.fixture
def state():
    state = make_chain()
    for address in (TEAM, SUBSCRIPTION):
        credit(state, address, 10_000, 0)
    return state


def propose(name, *arguments):
    return Call("governance", name, [*to_plain(arguments), terms()])


def grant(amount=100, source="team", schedule: Schedule = CLIFF, is_revocable=True):
    return propose("propose_grant", source, RECIPIENT, amount, schedule, is_revocable)


def test_a_grant_is_paid_out_of_its_allocation_and_locked(state):
    events = pass_and_apply(state, grant())
    assert events[0] == Event("lockups", "LockupAdded", [RECIPIENT, 1, 100, TEAM])
    assert (get_balance(state, RECIPIENT), get_balance(state, TEAM)) == (100, 9_900)
    (lockup,) = get_lockups(state, RECIPIENT).lockups
    assert (lockup.schedule, lockup.is_revocable, lockup.source) == (CLIFF, True, TEAM)


def test_a_grant_that_breaks_a_rule_is_not_proposed(state):
    refuse(state, grant(source="mining"), Reason.UNKNOWN_ALLOCATION)
    refuse(state, grant(amount=0), Reason.AMOUNT_ZERO)
    refuse(state, grant(amount=-1), Reason.BAD_ARGUMENTS)
    refuse(state, propose("propose_grant", "team", TEAM, 1, CLIFF, True), Reason.RECIPIENT_NOT_ALLOWED)
    assert get_proposal(state, 1) is None


def test_a_grant_above_the_allocation_fails_when_it_is_due(state):
    pass_and_apply(state, grant(amount=10_001))
    assert get_proposal(state, 1).status is ProposalStatus.FAILED
    assert (get_balance(state, TEAM), get_balance(state, RECIPIENT)) == (10_000, 0)


def test_two_decisions_do_not_grant_the_same_coins(state):
    for _ in range(2):
        accept(state, grant(amount=6_000))
    for number in (1, 2):
        for key in MEMBERS[:3]:
            vote(state, key, number=number)
    end(state, NORMAL)
    end(state, NORMAL + 1)
    statuses = [get_proposal(state, number).status for number in (1, 2)]
    assert statuses == [ProposalStatus.APPLIED, ProposalStatus.FAILED]
    assert get_balance(state, TEAM) == 4_000


def test_a_revocation_is_decided(state):
    pass_and_apply(state, grant())
    events = pass_and_apply(state, propose("propose_revocation", RECIPIENT, 1))
    assert [each.name for each in events] == ["LockupRevoked", "LockupCollected", "ProposalSettled"]
    assert (get_balance(state, TEAM), get_balance(state, RECIPIENT)) == (10_000, 0)
    refuse(state, propose("propose_revocation", RECIPIENT, 1), Reason.UNKNOWN_LOCKUP)


def test_a_sale_is_opened_and_closed_by_decision(state):
    cashier, create = build_create(control_of("cashier"), "cashier", kind=DidKind.ORGANISATION)
    accept(state, create)
    tier = Tier(Grains(1_000), 1, Grains(1), CLIFF)
    sale = SaleTerms(cashier, "EUR", TimeMs(0), TimeMs(10**12), Grains(10), ("CN", "US"), (tier,))
    events = pass_and_apply(state, propose("propose_sale", sale))
    assert events[0] == Event("sale", "SaleOpened", [1, 1_000, 0, 10**12])
    assert (find_sale(state, 1).terms, get_balance(state, SALE_ADDRESS)) == (sale, 1_000)
    refuse(state, propose("propose_sale", sale), Reason.SALE_OPEN)
    refuse(state, propose("propose_sale_end", 2), Reason.SALE_CLOSED)
    events = pass_and_apply(state, propose("propose_sale_end", 1))
    assert events[0] == Event("sale", "SaleClosed", [1, 0, 1_000])
    assert (get_sales(state).open, get_balance(state, SUBSCRIPTION)) == (None, 10_000)


def test_who_qualifies_as_an_acceptor_is_decided(state):
    rules = AcceptorRules(Grains(5), 7)
    events = pass_and_apply(state, propose("propose_acceptor_rules", rules))
    assert events[0] == Event("acceptors", "AcceptorRulesSet", [5, 7])
    assert get_rules(state) == rules != FIRST_RULES


def test_an_acceptor_is_listed_and_delisted_by_decision(state):
    refuse(state, propose("propose_acceptor", RECIPIENT, bytes(32)), Reason.UNKNOWN_ACCEPTOR)
    refuse(state, propose("propose_acceptor_removal", RECIPIENT), Reason.UNKNOWN_ACCEPTOR)
    did, create = build_create(control_of("acceptor"), "acceptor")
    accept(state, create)
    state.put(did_of_account_key(RECIPIENT), did)
    application = Acceptor(did, "A", "https://example.org", bytes(32), 1, None)
    state.put(acceptor_key(RECIPIENT), encode(application))
    refuse(state, propose("propose_acceptor", RECIPIENT, bytes(32)), Reason.APPLICATION_REPLACED)
    pass_and_apply(state, propose("propose_acceptor_rules", AcceptorRules(Grains(0), 0)))
    events = pass_and_apply(state, propose("propose_acceptor", RECIPIENT, compute_application_hash(application)))
    assert events[0] == Event("acceptors", "AcceptorListed", [RECIPIENT, did])
    events = pass_and_apply(state, propose("propose_acceptor_removal", RECIPIENT))
    assert events[0] == Event("acceptors", "AcceptorRemoved", [RECIPIENT, did])


def test_an_acceptor_that_applies_anew_before_the_effect_is_not_listed(state):
    did, create = build_create(control_of("acceptor"), "acceptor")
    accept(state, create)
    state.put(did_of_account_key(RECIPIENT), did)
    application = Acceptor(did, "A", "https://example.org", bytes(32), 1, None)
    state.put(acceptor_key(RECIPIENT), encode(application))
    accept(state, propose("propose_acceptor", RECIPIENT, compute_application_hash(application)))
    for key in MEMBERS[:3]:
        vote(state, key)
    state.put(acceptor_key(RECIPIENT), encode(replace(application, name="B")))
    end(state, NORMAL)
    assert end(state, NORMAL + 1) == [settled(1, ProposalStatus.FAILED, Reason.APPLICATION_REPLACED)]
    assert find_acceptor(state, RECIPIENT).listed_height is None
