"""A sale in two tiers, its cashier, and identities that may buy."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from identity.did import Did
from identity.signing import SigningDomain, SigningPurpose
from ledger.codec import decode, to_plain
from ledger.primitives import SUPPLY_GRAINS, Grains, Height, TimeMs
from ledger.reasons import Reason
from ledger.receipt import Event, Receipt
from ledger.state import State
from ledger.state_keys import Table
from ledger.transaction import Call
from tests.builders import DOMAIN, address_of, block_context, make_key, make_state
from tests.did_scene import SENDER, DidScene, Signer, build_call, sign
from vm.block_end import close_ended_sale
from vm.context import BlockContext, Moment
from vm.native.did_records import DidKind
from vm.native.iov import SALE_ADDRESS, get_balance
from vm.native.lockup_records import build_cliff
from vm.native.registry import answer_view
from vm.native.role_records import Grant, Role, put_grant
from vm.native.sale import ALLOCATION_ADDRESS, PaymentPayload, RepaymentPayload, WithdrawalPayload, open_sale
from vm.native.sale_records import (
    PaymentReference,
    Purchase,
    PurchaseName,
    PurchaseStatus,
    Sale,
    SaleTerms,
    Tier,
    find_purchase,
    find_sale,
    get_bought,
)

ALLOCATION_GRAINS = 25 * 10**16
UNLOCKS_MS = 10**9
TERMS_TIERS = (
    Tier(Grains(1_000), 3, Grains(10), build_cliff(UNLOCKS_MS)),
    Tier(Grains(500), 1, Grains(7), build_cliff(2 * UNLOCKS_MS)),
)
STARTS_MS, ENDS_MS = 20_000, 200_000
_CALLS = {
    PaymentPayload: ("buy", SigningPurpose.SALE_PAYMENT),
    WithdrawalPayload: ("withdraw", SigningPurpose.SALE_WITHDRAWAL),
    RepaymentPayload: ("confirm_repayment", SigningPurpose.SALE_REPAYMENT),
}


def build(payload: Any, *signers: Signer, domain: SigningDomain = DOMAIN) -> Call:
    """A call of the module with these signatures."""
    name, purpose = _CALLS[type(payload)]
    return Call("sale", name, [to_plain(payload), to_plain(sign(purpose, payload, signers, domain))])


def reference_of(number: int) -> PaymentReference:
    """A payment's reference."""
    return PaymentReference(number.to_bytes(32, "big"))


class SaleScene(DidScene):
    """Alice and Bob are recognised persons with accounts, Firm is a certified company; block h is of second h."""

    def __init__(self) -> None:
        funds = {address_of(SENDER): 10**14, ALLOCATION_ADDRESS: ALLOCATION_GRAINS}
        rest = {address_of(make_key("rest")): SUPPLY_GRAINS - sum(funds.values())}
        super().__init__(state=make_state(funds | rest))
        self.cashier = self.create("cashier", kind=DidKind.ORGANISATION)
        self.alice, self.bob = self.create("alice"), self.create("bob")
        self.firm = self.create("firm", kind=DidKind.ORGANISATION)
        self.names = {self.cashier: "cashier", self.alice: "alice", self.bob: "bob", self.firm: "firm"}
        self.buyers = (self.alice, self.bob, self.firm)
        for did, role in ((self.alice, Role.PERSON), (self.bob, Role.PERSON), (self.firm, Role.CERTIFIED_COMPANY)):
            self.recognise(did, role)
            self.accept(build_call(self.link(did, self.account_of(did)), self.names[did], name="link_account"))
        self.terms = SaleTerms(
            *(self.cashier, "EUR", TimeMs(STARTS_MS), TimeMs(ENDS_MS), Grains(800), ("CN", "US"), TERMS_TIERS)
        )
        self.payments = 0

    def account_of(self, did: Did) -> Any:
        """The address that the identity's one key rules."""
        return address_of(make_key(self.names[did]))

    def recognise(self, did: Did, role: Role) -> None:
        """Give an identity a role for long."""
        put_grant(self.state, did, role, Grant(Height(10**9), None), self.height)

    def block(self) -> BlockContext:
        """The block being executed."""
        return block_context(self.height, self.height * 1_000)

    def open(self, **changes: Any) -> Event:
        """Open the sale, and wait until it has begun."""
        event = open_sale(self.state, self.block(), replace(self.terms, **changes))
        self.height = max(self.height, STARTS_MS // 1_000)
        return event

    def end_block(self) -> list[Event]:
        """What a block's end does about the sale."""
        events = close_ended_sale(self.state, self.block())
        self.state.forget_marks()
        self.height += 1
        return events

    def pay(self, paid: int = 30, signer: str | None = None, domain: SigningDomain = DOMAIN, **changes: Any) -> Call:
        """Alice has paid for the first tier, in a payment of its own, unless changed."""
        self.payments += 1
        payload = PaymentPayload(self.alice, 1, 0, reference_of(self.payments), paid, "EUR", "DE")
        signers = [(self.cashier, signer or "cashier")]
        return build(replace(payload, paid_minor=paid, **changes), *signers, domain=domain)

    def withdraw(self, number: int = 1, signer: Did | None = None, buyer: Did | None = None) -> Call:
        """Alice undoes a purchase of hers, unless another signs, or it is another's."""
        did = signer or buyer or self.alice
        return build(WithdrawalPayload(buyer or self.alice, 1, number), (did, self.names[did]))

    def repay(self, repaid: int, number: int = 1, signer: Did | None = None, buyer: Did | None = None) -> Call:
        """The cashier has paid Alice back so much in all, unless it is another who signs, or has bought."""
        did = signer or self.cashier
        return build(RepaymentPayload(buyer or self.alice, 1, number, repaid), (did, self.names[did]))

    def deliver(self, number: int = 1) -> Call:
        """Anybody has a purchase delivered."""
        return Call("sale", "deliver", [1, number])

    def refuse(self, call: Call, reason: Reason) -> Receipt:
        """The call fails for this reason and changes nothing of sales."""
        before = self.list_records()
        receipt = self.send(call)
        assert Reason(receipt.reason) is reason
        assert self.list_records() == before
        return receipt

    def list_records(self) -> dict[bytes, bytes]:
        """All that the state holds for sales."""
        tables = (Table.SALES, Table.SALE, Table.PURCHASE, Table.PAYMENT, Table.SALE_BUYER)
        return {key: value for table in tables for key, value in self.state.iterate_prefix(bytes([table]))}

    def get_sale(self) -> Sale:
        """The first one."""
        sale = find_sale(self.state, 1)
        assert sale is not None
        return sale

    def get_purchase(self, number: int = 1) -> Purchase:
        """One of its purchases."""
        purchase = find_purchase(self.state, PurchaseName(1, number))
        assert purchase is not None
        return purchase

    def answer(self, view: str, *arguments: object) -> Any:
        """A view of the module."""
        moment = Moment(Height(self.height), TimeMs(self.height * 1_000))
        return answer_view(self.state, moment, "sale", view, list(arguments))


def list_purchases(state: State) -> list[Purchase]:
    """All of all sales."""
    return [decode(Purchase, encoded) for _, encoded in state.iterate_prefix(bytes([Table.PURCHASE]))]


def check_conservation(state: State, sales: Sequence[int] = (1,)) -> None:
    """Share = remaining + sold + returned; the account holds what remains and is not delivered; caps and debts fit."""
    held = 0
    for number in sales:
        sale = find_sale(state, number)
        if sale is None:
            continue
        purchases = list_purchases(state)
        kept = [each for each in purchases if each.status is not PurchaseStatus.WITHDRAWN]
        delivered = [each for each in purchases if each.status is PurchaseStatus.DELIVERED]
        assert sale.sold_grains == sum(each.amount_grains for each in kept)
        assert sale.delivered_grains == sum(each.amount_grains for each in delivered)
        assert sale.share_grains == sum(sale.remaining_grains) + sale.sold_grains + sale.returned_grains
        assert sale.closed_ms is None or sum(sale.remaining_grains) == 0
        for each in purchases:
            assert 0 <= each.owed_minor + each.repaid_minor <= each.paid_minor
        for buyer in {each.buyer for each in purchases}:
            bought = sum(each.amount_grains for each in kept if each.buyer == buyer)
            assert get_bought(state, number, buyer) == bought <= sale.terms.cap_grains
        held += sum(sale.remaining_grains) + sale.sold_grains - sale.delivered_grains
        given = sale.share_grains - sale.returned_grains
        assert get_balance(state, ALLOCATION_ADDRESS) == ALLOCATION_GRAINS - given
    assert get_balance(state, SALE_ADDRESS) == held
    assert len({each.reference for each in list_purchases(state)}) == len(list_purchases(state))
