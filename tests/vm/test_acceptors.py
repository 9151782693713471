"""Acceptors: rules C1 to C5."""

from dataclasses import replace

import pytest

from ledger.primitives import GRAINS_PER_IOV, Grains, Height, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.transaction import Call
from tests.builders import address_of, block_context, make_key, make_state, transfer
from tests.did_scene import SENDER, DidScene, build_call
from vm.context import Moment
from vm.native.acceptors import (
    ACCEPTORS_SHOWN_MAX,
    FIRST_RULES,
    Acceptor,
    AcceptorDescription,
    AcceptorRules,
    approve_acceptor,
    check_application,
    check_qualified,
    compute_application_hash,
    find_acceptor,
    get_rules,
    remove_acceptor,
    set_rules,
)
from vm.native.accounts import DAY_MS, get_account, put_account
from vm.native.registry import answer_view
from vm.native.stake import deposit_stake

IOV = GRAINS_PER_IOV
OTHER = make_key("other")
A, B = address_of(SENDER), address_of(OTHER)
TERMS_HASH = bytes(range(32))
RULES = AcceptorRules(Grains(100 * IOV), 50)


class AcceptorScene(DidScene):
    """An account with 200 IOV that are a day old, for whom an identity acts; another one that is poor."""

    def __init__(self) -> None:
        super().__init__(state=make_state({A: 200 * IOV, B: IOV}))
        self.height = DAY_MS // 1_000
        self.did = self.create("alice")
        self.accept(build_call(self.link(self.did, A), "alice", name="link_account"))
        set_rules(self.state, RULES)

    def block(self):
        return block_context(self.height, self.height * 1_000)

    def apply(self, name="Bank of cars"):
        return Call("acceptors", "apply", [name, "https://example.org/terms", TERMS_HASH])

    def check(self, account=A):
        return Call("acceptors", "check", [account])

    def approve(self, application_hash=None):
        """What governance decides, about the application of now unless another is named."""
        return approve_acceptor(self.state, self.block(), A, application_hash or self.hash())

    def hash(self):
        return compute_application_hash(find_acceptor(self.state, A))

    def refuse(self, call, reason, key=SENDER):
        before = find_acceptor(self.state, A)
        assert Reason(self.send(call, key).reason) is reason
        assert find_acceptor(self.state, A) == before

    def answer(self, view, *arguments):
        return answer_view(self.state, Moment(Height(1), TimeMs(1)), "acceptors", view, list(arguments))


@pytest.fixture
def scene():
    return AcceptorScene()


def refuse(reason, call, *arguments):
    with pytest.raises(Rejected) as caught:
        call(*arguments)
    assert caught.value.reason is reason
    return caught.value.details


# C1, C2


def test_who_qualifies_applies_and_waits(scene):
    height = scene.height
    receipt = scene.accept(scene.apply())
    assert [(each.name, each.fields) for each in receipt.events] == [
        ("AcceptorApplied", [A, scene.did, "Bank of cars"])
    ]
    expected = Acceptor(scene.did, "Bank of cars", "https://example.org/terms", TERMS_HASH, height, None)
    assert find_acceptor(scene.state, A) == expected


def test_an_account_without_identity_does_not_apply(scene):
    scene.refuse(scene.apply(), Reason.DID_NOT_LINKED, OTHER)
    scene.accept(build_call(scene.deactivate(scene.did), "alice"))
    scene.refuse(scene.apply(), Reason.DID_NOT_LINKED)


def test_too_small_holdings_or_too_young_coins_do_not_qualify(scene):
    set_rules(scene.state, replace(RULES, holdings_min_grains=Grains(200 * IOV)))
    scene.refuse(scene.apply(), Reason.NOT_QUALIFIED)  # fees have been paid
    set_rules(scene.state, replace(RULES, coin_age_min_iov_days=201))
    scene.refuse(scene.apply(), Reason.NOT_QUALIFIED)
    details = refuse(Reason.NOT_QUALIFIED, check_qualified, scene.state, A, scene.height * 1_000)
    assert details == {"held": 200, "needed": 201}
    scene.height += 60
    scene.accept(Call("iov", "transfer", [B, 1]))  # more than a day of 200 IOV is 200 IOV-days
    check_qualified(scene.state, A, 2 * DAY_MS)


def test_stake_counts_as_holdings(scene):
    set_rules(scene.state, AcceptorRules(Grains(199 * IOV), 0))
    deposit_stake(scene.state, A, 150 * IOV, scene.height * 1_000)
    refuse(Reason.NOT_QUALIFIED, check_qualified, scene.state, A, scene.height * 1_000)
    account = get_account(scene.state, A)
    put_account(scene.state, A, account._replace(staked_grains=150 * IOV))
    check_qualified(scene.state, A, scene.height * 1_000)


# C3


def test_governance_lists_whom_it_approves_if_it_still_qualifies(scene):
    scene.accept(scene.apply())
    application_hash = scene.hash()
    check_application(scene.state, A, application_hash)
    event = scene.approve()
    assert (event.name, event.fields) == ("AcceptorListed", [A, scene.did])
    assert find_acceptor(scene.state, A).listed_height == scene.height
    refuse(Reason.ACCEPTOR_EXISTS, check_application, scene.state, A, application_hash)
    refuse(Reason.UNKNOWN_ACCEPTOR, check_application, scene.state, B, application_hash)
    scene.accept(scene.apply("Other name"))
    assert find_acceptor(scene.state, A).listed_height is None
    scene.accept(transfer(B, 150 * IOV))
    refuse(Reason.NOT_QUALIFIED, scene.approve)


@pytest.mark.parametrize(
    "replaced",
    [
        ["Bank of all cars", "https://example.org/terms", TERMS_HASH],
        ["Bank of cars", "https://example.com/terms", TERMS_HASH],
        ["Bank of cars", "https://example.org/terms", bytes(32)],
    ],
)
def test_governance_lists_the_application_that_it_read_and_no_other(scene, replaced):
    scene.accept(scene.apply())
    read = scene.hash()
    scene.accept(Call("acceptors", "apply", replaced))
    refuse(Reason.APPLICATION_REPLACED, check_application, scene.state, A, read)
    refuse(Reason.APPLICATION_REPLACED, scene.approve, read)
    assert find_acceptor(scene.state, A).listed_height is None
    scene.approve()
    assert find_acceptor(scene.state, A).name == replaced[0]


def test_an_application_of_another_identity_is_not_approved(scene):
    scene.accept(scene.apply())
    scene.accept(build_call(scene.on_version(scene.did), "alice", name="unlink_account"))
    bob = scene.create("bob")
    scene.accept(build_call(scene.link(bob, A), "bob", name="link_account"))
    refuse(Reason.DID_NOT_LINKED, scene.approve)


def test_governance_delists(scene):
    scene.accept(scene.apply())
    event = remove_acceptor(scene.state, A)
    assert (event.name, event.fields) == ("AcceptorRemoved", [A, scene.did])
    refuse(Reason.UNKNOWN_ACCEPTOR, remove_acceptor, scene.state, A)


def test_rules_are_the_first_ones_until_governance_sets_others():
    state = make_state({})
    assert get_rules(state) == FIRST_RULES
    event = set_rules(state, RULES)
    assert (event.name, event.fields) == ("AcceptorRulesSet", [100 * IOV, 50])
    assert get_rules(state) == RULES


# C4


def test_an_acceptor_withdraws(scene):
    scene.refuse(Call("acceptors", "withdraw", []), Reason.UNKNOWN_ACCEPTOR)
    scene.accept(scene.apply())
    receipt = scene.accept(Call("acceptors", "withdraw", []))
    assert [(each.name, each.fields) for each in receipt.events] == [("AcceptorRemoved", [A, scene.did])]
    assert find_acceptor(scene.state, A) is None


# C5


def test_anybody_has_an_acceptor_delisted_whose_holdings_have_fallen(scene):
    scene.accept(scene.apply())
    scene.approve()
    scene.refuse(scene.check(), Reason.STILL_QUALIFIED, OTHER)
    scene.refuse(scene.check(B), Reason.UNKNOWN_ACCEPTOR, OTHER)
    scene.accept(transfer(B, 100 * IOV))
    receipt = scene.accept(scene.check(), OTHER)
    assert [(each.name, each.fields) for each in receipt.events] == [("AcceptorRemoved", [A, scene.did])]


@pytest.mark.parametrize("end", ["deactivate", "unlink"])
def test_anybody_has_an_acceptor_delisted_whose_identity_is_gone(scene, end):
    scene.accept(scene.apply())
    call = (
        build_call(scene.deactivate(scene.did), "alice")
        if end == "deactivate"
        else build_call(scene.on_version(scene.did), "alice", name="unlink_account")
    )
    scene.accept(call)
    scene.accept(scene.check(), OTHER)
    assert find_acceptor(scene.state, A) is None


# Views


def test_views_tell_acceptors_in_pages_and_the_rules(scene):
    scene.accept(scene.apply())
    acceptor = find_acceptor(scene.state, A)
    assert scene.answer("acceptor", A) == acceptor
    assert scene.answer("acceptors", bytes(20)) == [AcceptorDescription(A, acceptor)]
    assert scene.answer("acceptors", bytes([255] * 20)) == []
    assert scene.answer("rules") == RULES
    assert ACCEPTORS_SHOWN_MAX == 100
