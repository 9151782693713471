"""The sale: rules B1 to B9."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.signing import SigningPurpose, compute_signing_domain
from ledger.codec import to_plain
from ledger.primitives import SUPPLY_GRAINS, Grains
from ledger.reasons import Reason, Rejected
from ledger.transaction import Call
from tests.builders import CHAIN_ID, address_of
from tests.did_scene import SENDER, build_call, sign
from tests.lockup_scene import steps
from tests.sale_scene import (
    ALLOCATION_GRAINS,
    ENDS_MS,
    STARTS_MS,
    TERMS_TIERS,
    UNLOCKS_MS,
    SaleScene,
    check_conservation,
    reference_of,
)
from vm.native.did_records import DidKind
from vm.native.iov import SALE_ADDRESS, get_balance
from vm.native.lockup_records import Clock, Schedule, Step, build_cliff, get_lockups
from vm.native.role_records import Role
from vm.native.sale import (
    ALLOCATION_ADDRESS,
    NumberedPurchase,
    PaymentPayload,
    check_open_sale,
    check_sale,
    close_ended_sale,
    close_sale,
)
from vm.native.sale_records import (
    PAID_MAX,
    Purchase,
    PurchaseName,
    PurchaseStatus,
    Sales,
    Tier,
    compute_cost,
    compute_grains,
)

IN_GRAINS = Schedule(None, Clock.TIME, True, (Step(1, Grains(1_000)),))

LONG = steps(*[(index, 100 * index) for index in range(1, 31)], (31, 10_000))


@pytest.fixture
def scene():
    scene = SaleScene()
    scene.open()
    return scene


def refuse(reason, call, *arguments):
    with pytest.raises(Rejected) as caught:
        call(*arguments)
    assert caught.value.reason is reason


def names(receipt):
    return [(each.name, each.fields) for each in receipt.events]


# B1


def test_the_share_moves_to_the_sale_when_it_opens():
    scene = SaleScene()
    event = scene.open()
    assert (event.module, event.name, event.fields) == ("sale", "SaleOpened", [1, 1_500, STARTS_MS, ENDS_MS])
    assert get_balance(scene.state, SALE_ADDRESS) == 1_500
    assert get_balance(scene.state, ALLOCATION_ADDRESS) == ALLOCATION_GRAINS - 1_500
    refuse(Reason.SALE_OPEN, check_sale, scene.state, scene.terms)
    refuse(Reason.SALE_CLOSED, check_open_sale, scene.state, 2)
    check_conservation(scene.state)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cashier": bytes(20)}, Reason.UNKNOWN_DID),
        ({"starts_ms": ENDS_MS}, Reason.BAD_SALE),
        ({"excluded": ("US", "CN")}, Reason.BAD_SALE),
        ({"excluded": ("CN", "CN")}, Reason.BAD_SALE),
        ({"excluded": ("cn",)}, Reason.BAD_SALE),
        ({"currency": "E1R"}, Reason.BAD_SALE),
        ({"cap_grains": 0}, Reason.AMOUNT_ZERO),
        ({"tiers": (replace(TERMS_TIERS[0], share_grains=0),)}, Reason.AMOUNT_ZERO),
        ({"tiers": (replace(TERMS_TIERS[0], share_grains=SUPPLY_GRAINS), TERMS_TIERS[1])}, Reason.AMOUNT_OVERFLOW),
        ({"tiers": (replace(TERMS_TIERS[0], schedule=IN_GRAINS),)}, Reason.BAD_SCHEDULE),
        ({"tiers": (replace(TERMS_TIERS[0], schedule=LONG),) * 2}, Reason.BAD_SALE),
        ({"tiers": (replace(TERMS_TIERS[0], schedule=Schedule(None, Clock.TIME, False, ())),)}, Reason.BAD_SCHEDULE),
    ],
)
def test_terms_that_make_no_sale_are_refused(changes, reason):
    scene = SaleScene()
    check_sale(scene.state, scene.terms)
    refuse(reason, check_sale, scene.state, replace(scene.terms, **changes))


def test_more_than_the_allocation_has_is_not_sold():
    scene = SaleScene()
    tier = replace(TERMS_TIERS[0], share_grains=ALLOCATION_GRAINS + 1)
    with pytest.raises(Rejected) as caught:
        scene.open(tiers=(tier,))
    assert caught.value.reason is Reason.INSUFFICIENT_BALANCE


def test_a_vehicle_is_no_cashier():
    scene = SaleScene()
    car = scene.create("car", kind=DidKind.VEHICLE, owner=scene.alice, signers=["car", (scene.alice, "alice")])
    refuse(Reason.BAD_SALE, check_sale, scene.state, replace(scene.terms, cashier=car))


# B2


def test_what_the_cashier_attests_buys(scene):
    receipt = scene.accept(scene.pay(31))
    assert names(receipt) == [("Bought", [1, 1, scene.alice, 103, 0])]
    account = scene.account_of(scene.alice)
    bought = Purchase(scene.alice, 0, reference_of(1), 31, 103, PurchaseStatus.BOUGHT, 0, 0, account)
    assert scene.get_purchase() == bought
    assert (scene.get_sale().remaining_grains, scene.get_sale().sold_grains) == ((897, 500), 103)
    check_conservation(scene.state)


def test_a_payment_pays_once_whoever_and_whatever_it_is_said_to_be_for(scene):
    scene.accept(scene.pay(30))
    for changes in ({}, {"buyer": scene.bob}, {"tier": 1}):
        scene.refuse(scene.pay(30, reference=reference_of(1), **changes), Reason.PAYMENT_USED)


def test_a_payment_pays_once_in_all_sales(scene):
    scene.accept(scene.pay(30))
    close_sale(scene.state, scene.block(), 1)
    scene.open()
    scene.refuse(scene.pay(30, sale=2, reference=reference_of(1)), Reason.PAYMENT_USED)
    scene.accept(scene.pay(30, sale=2))


def test_only_the_cashiers_signature_counts_and_only_for_this_chain_and_purpose(scene):
    scene.refuse(scene.pay(signer="alice"), Reason.DID_UNKNOWN_KEY)
    foreign = compute_signing_domain(CHAIN_ID, b"\1" * 32)
    scene.refuse(scene.pay(domain=foreign), Reason.DID_BAD_SIGNATURE)
    payload = PaymentPayload(scene.alice, 1, 0, reference_of(99), 30, "EUR", "DE")
    forged = sign(SigningPurpose.SALE_PAYMENT, payload, [(scene.alice, "alice")])
    scene.refuse(Call("sale", "buy", [to_plain(payload), to_plain(forged)]), Reason.DID_FOREIGN_SIGNER)
    other = sign(SigningPurpose.SALE_REPAYMENT, payload, [(scene.cashier, "cashier")])
    scene.refuse(Call("sale", "buy", [to_plain(payload), to_plain(other)]), Reason.DID_BAD_SIGNATURE)
    good = sign(SigningPurpose.SALE_PAYMENT, payload, [(scene.cashier, "cashier")])
    changed = replace(payload, paid_minor=31)
    scene.refuse(Call("sale", "buy", [to_plain(changed), to_plain(good)]), Reason.DID_BAD_SIGNATURE)


@pytest.mark.parametrize("paid", [0, -1, PAID_MAX + 1, 2**63 - 1])
def test_amounts_out_of_bounds_are_no_arguments(scene, paid):
    scene.refuse(scene.pay(paid), Reason.BAD_ARGUMENTS)


def test_the_most_that_can_be_paid_does_not_overflow(scene):
    scene.accept(scene.pay(PAID_MAX))
    assert scene.get_purchase().amount_grains == 800
    assert scene.get_purchase().owed_minor == PAID_MAX - 240
    check_conservation(scene.state)


def test_another_currency_sale_or_tier_is_refused(scene):
    scene.refuse(scene.pay(currency="USD"), Reason.BAD_PAYMENT)
    scene.refuse(scene.pay(tier=2), Reason.BAD_PAYMENT)
    scene.refuse(scene.pay(sale=2), Reason.SALE_CLOSED)


def test_nothing_is_bought_before_the_sale_starts():
    scene = SaleScene()
    scene.open(starts_ms=100_000)
    scene.refuse(scene.pay(), Reason.SALE_CLOSED)
    scene.height = 100
    scene.accept(scene.pay())


# B3


def test_without_role_account_or_right_jurisdiction_nobody_buys(scene):
    stranger = scene.create("stranger")
    scene.names[stranger] = "stranger"
    scene.refuse(scene.pay(buyer=stranger), Reason.NOT_ELIGIBLE)
    scene.recognise(stranger, Role.PERSON)
    scene.refuse(scene.pay(buyer=stranger), Reason.BUYER_WITHOUT_ACCOUNT)
    scene.refuse(scene.pay(jurisdiction="US"), Reason.NOT_ELIGIBLE)
    scene.refuse(scene.pay(jurisdiction="us"), Reason.NOT_ELIGIBLE)
    scene.refuse(scene.pay(buyer=bytes(20)), Reason.UNKNOWN_DID)
    scene.accept(scene.pay(buyer=scene.firm, jurisdiction="FR"))


def test_a_company_is_no_person_and_a_vehicle_buys_nothing(scene):
    car = scene.create("car", kind=DidKind.VEHICLE, owner=scene.alice, signers=["car", (scene.alice, "alice")])
    scene.recognise(car, Role.PERSON)
    scene.refuse(scene.pay(buyer=car), Reason.NOT_ELIGIBLE)


def test_an_identity_that_has_ended_buys_nothing(scene):
    scene.accept(build_call(scene.deactivate(scene.bob), "bob"))
    scene.refuse(scene.pay(buyer=scene.bob), Reason.DID_DEACTIVATED)


def test_the_cap_fills_a_purchase_in_part_and_refuses_the_next(scene):
    scene.accept(scene.pay(150))
    receipt = scene.accept(scene.pay(100, tier=1))
    assert names(receipt) == [("Bought", [1, 2, scene.alice, 300, 100 - 43])]
    scene.refuse(scene.pay(30), Reason.CAP_REACHED)
    scene.accept(scene.pay(30, buyer=scene.bob))
    check_conservation(scene.state)


# B4


def test_the_last_purchase_of_a_tier_is_filled_in_part_and_the_rest_of_the_payment_owed(scene):
    scene.accept(scene.pay(240))
    receipt = scene.accept(scene.pay(100, buyer=scene.bob))
    assert names(receipt) == [("Bought", [1, 2, scene.bob, 200, 40])]
    scene.refuse(scene.pay(30, buyer=scene.firm), Reason.TIER_SOLD_OUT)
    assert scene.get_sale().remaining_grains == (0, 500)
    check_conservation(scene.state)


def test_a_payment_that_buys_no_grain_is_refused():
    scene = SaleScene()
    scene.open(tiers=(replace(TERMS_TIERS[0], price_minor=100),))
    scene.refuse(scene.pay(9), Reason.BAD_PAYMENT)


@given(st.integers(1, 10**9), st.integers(1, 10**18), st.integers(1, PAID_MAX), st.integers(1, 10**18))
def test_the_cost_of_a_part_never_exceeds_the_payment_nor_undersells_it(price, lot, paid, left):
    tier = Tier(Grains(1), price, Grains(lot), build_cliff(1))
    wanted = compute_grains(tier, paid)
    amount = min(wanted, left)
    if amount:
        cost = compute_cost(tier, amount)
        assert 0 < cost <= paid
        assert compute_grains(tier, cost) >= amount > compute_grains(tier, cost - 1)


# B5, B6


def test_the_last_grain_closes_the_sale_within_the_block(scene):
    scene.accept(scene.pay(240))
    scene.accept(scene.pay(60, buyer=scene.bob))
    height = scene.height
    receipt = scene.accept(scene.pay(100, tier=1, buyer=scene.firm))
    assert names(receipt) == [("Bought", [1, 3, scene.firm, 500, 28]), ("SaleClosed", [1, 1_500, 0])]
    scene.height = height  # another transaction of the same block
    scene.refuse(scene.pay(30), Reason.SALE_CLOSED)
    assert scene.answer("sales") == Sales(1, None)
    check_conservation(scene.state)


def test_the_first_block_of_the_end_closes_it_also_without_transactions(scene):
    scene.accept(scene.pay(30))
    scene.height = ENDS_MS // 1_000 - 1
    assert scene.end_block() == []
    (event,) = scene.end_block()
    assert (event.name, event.fields) == ("SaleClosed", [1, 100, 1_400])
    assert get_balance(scene.state, ALLOCATION_ADDRESS) == ALLOCATION_GRAINS - 100
    assert scene.get_sale().closed_ms == ENDS_MS
    assert close_ended_sale(scene.state, scene.block()) == []
    check_conservation(scene.state)


def test_nothing_buys_in_the_block_that_closes_it(scene):
    scene.height = ENDS_MS // 1_000
    scene.refuse(scene.pay(30), Reason.SALE_CLOSED)
    scene.height = ENDS_MS // 1_000 - 1
    scene.accept(scene.pay(30))


def test_governance_closes_it_before(scene):
    scene.accept(scene.pay(30))
    event = close_sale(scene.state, scene.block(), 1)
    assert event.fields == [1, 100, 1_400]
    scene.refuse(scene.pay(30), Reason.SALE_CLOSED)
    check_conservation(scene.state)


# B7


def test_a_buyer_withdraws_before_the_sale_is_closed_and_all_is_owed(scene):
    scene.accept(scene.pay(30))
    receipt = scene.accept(scene.withdraw())
    assert names(receipt) == [("Withdrawn", [1, 1, 100, 30])]
    assert scene.get_sale().remaining_grains == (1_000, 500)
    scene.refuse(scene.withdraw(), Reason.PURCHASE_SETTLED)
    scene.refuse(scene.pay(30, reference=reference_of(1)), Reason.PAYMENT_USED)
    assert scene.answer("bought", 1, scene.alice) == 0
    check_conservation(scene.state)


def test_nobody_else_withdraws_and_nobody_after_the_end(scene):
    scene.accept(scene.pay(30))
    scene.refuse(scene.withdraw(signer=scene.bob), Reason.DID_FOREIGN_SIGNER)
    scene.refuse(scene.withdraw(signer=scene.cashier), Reason.DID_FOREIGN_SIGNER)
    scene.refuse(scene.withdraw(number=2), Reason.UNKNOWN_PURCHASE)
    scene.refuse(scene.withdraw(buyer=scene.bob), Reason.UNKNOWN_PURCHASE)
    close_sale(scene.state, scene.block(), 1)
    scene.refuse(scene.withdraw(), Reason.SALE_CLOSED)


# B8


def test_a_purchase_is_delivered_once_the_sale_is_closed_locked_by_its_tier(scene):
    scene.accept(scene.pay(30))
    scene.refuse(scene.deliver(), Reason.SALE_OPEN)
    close_sale(scene.state, scene.block(), 1)
    account = scene.account_of(scene.alice)
    receipt = scene.accept(scene.deliver())
    assert names(receipt) == [
        ("Delivered", [1, 1, account, 100]),
        ("LockupAdded", [account, 1, 100, ALLOCATION_ADDRESS]),
    ]
    assert get_balance(scene.state, account) == 100
    (lockup,) = get_lockups(scene.state, account).lockups
    assert (lockup.schedule, lockup.is_revocable) == (build_cliff(UNLOCKS_MS), False)
    scene.refuse(scene.deliver(), Reason.PURCHASE_SETTLED)
    scene.refuse(scene.deliver(number=2), Reason.UNKNOWN_PURCHASE)
    scene.refuse(Call("sale", "deliver", [2, 1]), Reason.UNKNOWN_SALE)
    check_conservation(scene.state)


def test_without_an_account_a_purchase_waits(scene):
    scene.accept(scene.pay(30))
    scene.accept(build_call(scene.on_version(scene.alice), "alice", name="unlink_account"))
    close_sale(scene.state, scene.block(), 1)
    scene.refuse(scene.deliver(), Reason.BUYER_WITHOUT_ACCOUNT)
    scene.accept(build_call(scene.link(scene.alice, scene.account_of(scene.alice)), "alice", name="link_account"))
    scene.accept(scene.deliver())


def test_what_an_identity_has_bought_that_has_ended_goes_to_the_account_it_had_then(scene):
    account = scene.account_of(scene.alice)
    scene.accept(scene.pay(30))
    scene.accept(build_call(scene.deactivate(scene.alice), "alice"))
    scene.refuse(scene.withdraw(), Reason.DID_DEACTIVATED)
    close_sale(scene.state, scene.block(), 1)
    receipt = scene.accept(scene.deliver())
    assert names(receipt)[0] == ("Delivered", [1, 1, account, 100])
    assert (get_balance(scene.state, account), get_balance(scene.state, SALE_ADDRESS)) == (100, 0)
    check_conservation(scene.state)


def test_the_account_of_now_is_given_what_another_one_bought(scene):
    scene.accept(scene.pay(30))
    scene.accept(build_call(scene.on_version(scene.alice), "alice", name="unlink_account"))
    moved = address_of(SENDER)
    scene.accept(build_call(scene.link(scene.alice, moved), "alice", name="link_account"))
    close_sale(scene.state, scene.block(), 1)
    assert names(scene.accept(scene.deliver()))[0] == ("Delivered", [1, 1, moved, 100])


# B9


def test_what_is_owed_ends_with_the_cashiers_confirmation_of_exactly_that(scene):
    scene.accept(scene.pay(300))
    assert scene.get_purchase().owed_minor == 60
    scene.refuse(scene.repay(59), Reason.PURCHASE_SETTLED)
    scene.refuse(scene.repay(60, signer=scene.alice), Reason.DID_FOREIGN_SIGNER)
    scene.refuse(scene.repay(60, buyer=scene.bob), Reason.UNKNOWN_PURCHASE)
    assert names(scene.accept(scene.repay(60))) == [("Repaid", [1, 1, 60])]
    scene.refuse(scene.repay(60), Reason.PURCHASE_SETTLED)
    scene.accept(scene.withdraw())
    assert (scene.get_purchase().owed_minor, scene.get_purchase().repaid_minor) == (240, 60)
    scene.refuse(scene.repay(240), Reason.PURCHASE_SETTLED)
    assert names(scene.accept(scene.repay(300))) == [("Repaid", [1, 1, 240])]
    assert (scene.get_purchase().owed_minor, scene.get_purchase().repaid_minor) == (0, 300)
    check_conservation(scene.state)


def test_a_confirmation_does_not_end_a_later_debt_of_the_same_amount():
    scene = SaleScene()
    scene.open(cap_grains=Grains(50))
    scene.accept(scene.pay(30))
    confirmed = scene.repay(15)
    scene.accept(confirmed)
    scene.accept(scene.withdraw())
    assert (scene.get_purchase().owed_minor, scene.get_purchase().repaid_minor) == (15, 15)
    scene.refuse(confirmed, Reason.PURCHASE_SETTLED)
    scene.accept(scene.repay(30))


# Views


def test_views_tell_sales_purchases_and_payments(scene):
    scene.accept(scene.pay(30))
    scene.accept(scene.pay(3, buyer=scene.bob))
    assert scene.answer("sale", 1) == scene.get_sale()
    assert scene.answer("sale", 2) is None
    found = scene.answer("purchases", 1, 1)
    assert found == [NumberedPurchase(1, scene.get_purchase(1)), NumberedPurchase(2, scene.get_purchase(2))]
    assert scene.answer("purchases", 1, 2) == found[1:]
    assert scene.answer("payment", reference_of(2)) == PurchaseName(1, 2)
    assert scene.answer("payment", reference_of(9)) is None
    assert scene.answer("bought", 1, scene.alice) == 100
