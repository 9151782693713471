"""Buyers, cashier and time act in any order: share = remaining + sold + returned, to the grain, after every step."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger.primitives import Grains
from ledger.reasons import Reason
from ledger.transaction import Call
from tests.sale_scene import (
    ENDS_MS,
    STARTS_MS,
    SaleScene,
    build_cliff,
    check_conservation,
    list_purchases,
    reference_of,
)
from vm.native.sale_records import PAID_MAX, PurchaseStatus, Tier, get_sales

BUYER = st.integers(0, 2)
PAID = st.one_of(st.integers(1, 40), st.integers(1, 10_000), st.sampled_from([1, PAID_MAX]))
NUMBER = st.integers(1, 6)


class SaleMachine(RuleBasedStateMachine):
    """One sale with prices drawn; what was paid, owed and paid back is counted by hand."""

    @initialize(
        prices=st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=3),
        cap=st.sampled_from([1, 97, 800, 5_000]),
    )
    def begin(self, prices, cap):
        self.scene = SaleScene()
        tiers = tuple(
            Tier(Grains(300 + index), price, Grains(lot), build_cliff(10**9))
            for index, (price, lot) in enumerate(prices)
        )
        self.scene.open(tiers=tiers, cap_grains=Grains(cap))
        self.paid: dict[int, int] = {}
        self.repaid: dict[int, int] = {}
        self.confirmed: list[Call] = []

    @rule(buyer=BUYER, paid=PAID, tier=st.integers(0, 2), reference=st.integers(1, 12))
    def buy(self, buyer, paid, tier, reference):
        was_open = get_sales(self.scene.state).open == 1
        call = self.scene.pay(paid, buyer=self.scene.buyers[buyer], tier=tier, reference=reference_of(reference))
        receipt = self.scene.send(call)
        if receipt.reason == 0:
            assert was_open
            assert STARTS_MS <= (self.scene.height - 1) * 1_000 < ENDS_MS
            assert reference not in self.paid
            self.paid[reference] = paid
        elif not was_open:
            assert receipt.reason == Reason.SALE_CLOSED
        elif reference in self.paid:
            assert receipt.reason in (Reason.PAYMENT_USED, Reason.SALE_CLOSED)

    @rule(number=NUMBER, buyer=BUYER)
    def withdraw(self, number, buyer):
        purchases = list_purchases(self.scene.state)
        receipt = self.scene.send(self.scene.withdraw(number, buyer=self.scene.buyers[buyer]))
        if receipt.reason == 0:
            assert purchases[number - 1].buyer == self.scene.buyers[buyer]

    @rule(number=NUMBER)
    def repay(self, number):
        purchases = list_purchases(self.scene.state)
        if number <= len(purchases) and purchases[number - 1].owed_minor:
            repaid = purchases[number - 1].repaid_minor + purchases[number - 1].owed_minor
            self.confirmed.append(self.scene.repay(repaid, number, buyer=purchases[number - 1].buyer))
            assert self.scene.send(self.confirmed[-1]).reason == 0
            self.repaid[number] = repaid

    @rule()
    def confirm_again(self):
        for confirmed in self.confirmed:
            assert self.scene.send(confirmed).reason == Reason.PURCHASE_SETTLED

    @rule(number=NUMBER)
    def deliver(self, number):
        is_open = get_sales(self.scene.state).open == 1
        receipt = self.scene.send(self.scene.deliver(number))
        assert not (is_open and receipt.reason == 0)

    @rule(seconds=st.sampled_from([1, 5, 60]))
    def wait(self, seconds):
        self.scene.height += seconds
        self.scene.end_block()

    @invariant()
    def no_grain_is_lost(self):
        if hasattr(self, "scene"):
            check_conservation(self.scene.state)

    @invariant()
    def an_ended_sale_is_closed_at_the_next_blocks_end(self):
        if hasattr(self, "scene") and get_sales(self.scene.state).open is None:
            sale = self.scene.get_sale()
            assert sale.closed_ms is not None
            assert sale.closed_ms >= ENDS_MS or sale.sold_grains == sale.share_grains

    @invariant()
    def no_money_is_owed_twice(self):
        if hasattr(self, "scene"):
            purchases = list_purchases(self.scene.state)
            assert [each.paid_minor for each in purchases] == list(self.paid.values())
            for number, each in enumerate(purchases, start=1):
                assert each.repaid_minor == self.repaid.get(number, 0)
                if each.status is PurchaseStatus.WITHDRAWN:
                    assert each.owed_minor + each.repaid_minor == each.paid_minor


SaleMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
test_sale = SaleMachine.TestCase
