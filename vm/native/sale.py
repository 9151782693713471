"""The sale of the subscription allocation (paper 12.4, 12.5 and 15). Records stand in vm/native/sale_records.py.

Money moves off the chain, through a cashier whom governance names; the chain decides what it buys. Whoever sends a
transaction has no say in it.

Rules
* B1 Governance opens a sale with its terms; the sum of its tiers moves from the allocation to the account `sale`. One
  sale is open at a time.
* B2 The cashier signs that an identity has paid: sale, tier, amount, currency, jurisdiction, and a reference that pays
  once, in whatever sale. It buys from the sale's first millisecond on.
* B3 Buyers are active identities with an account: persons with the role person, organisations with the role certified
  company. The jurisdiction that the cashier attests is none of those excluded. Together, an identity's purchases stay
  within the cap.
* B4 A payment buys paid · lot ÷ price grains, rounded down. If the tier or the cap leave less, it buys that, for as
  much as it costs, rounded up to a minor unit; the rest of the payment is owed back. If nothing is left, it is refused.
* B5 With the purchase that takes the last grain of all tiers, the sale is closed: the next call in the same block finds
  it so. With the first block of the end time or later it is closed too, and nothing in that block buys. Governance may
  close it before.
* B6 What a closed sale has not sold goes back to the allocation, at once and to the grain: the foundation decides on it
  anew.
* B7 Until the sale is closed, a buyer withdraws from a purchase: the grains may be bought by others, all that was paid
  is owed back.
* B8 Once it is closed, anybody has a purchase delivered, to the account that the buyer's identity has then, locked by
  its tier's schedule for good. If the identity has ended, it goes to the account that it had when it bought.
* B9 The cashier signs how much was paid back for a purchase in all. It grows by exactly what is owed, which ends that
  debt; nothing else does, and because the sum only grows, no signature ends two debts.
"""

from dataclasses import dataclass, replace
from itertools import islice
from typing import Annotated, Final

from annotated_types import Interval

from identity.address import Address, compute_module_address
from identity.did import Did
from identity.signing import SigningPurpose
from ledger.codec import decode, encode
from ledger.primitives import JSON_INTEGER_MAX, SUPPLY_GRAINS, Grains, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.state import State, StateReader
from ledger.state_keys import purchase_key, purchase_prefix
from vm.context import BlockContext, Context, Moment
from vm.gas import GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.did_control import check_did_signatures
from vm.native.did_payloads import DidSignatures
from vm.native.did_records import GAS_DID_READ, SIGNED_GAS_WORDS, DidKind, DidRecord, get_active_did, get_did_record
from vm.native.iov import SALE_ADDRESS, credit, debit
from vm.native.lockup_records import STEPS_MAX, Clock, check_schedule
from vm.native.lockups import GAS_HEIGHT_STEP, add_lockup
from vm.native.role_records import Role, holds_role
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule
from vm.native.sale_records import (
    PAID_MAX,
    Currency,
    Jurisdiction,
    MinorUnits,
    PaymentReference,
    Purchase,
    PurchaseName,
    PurchaseNumber,
    PurchaseStatus,
    Sale,
    SaleNumber,
    Sales,
    SaleTerms,
    compute_fill,
    find_payment,
    find_purchase,
    find_sale,
    get_bought,
    get_sale,
    get_sales,
    put_bought,
    put_payment,
    put_purchase,
    put_sale,
    put_sales,
)

ALLOCATION_ADDRESS: Final = compute_module_address("subscription")
"""Where it comes from, and goes back to."""
PURCHASES_SHOWN_MAX: Final = 100
BUYER_ROLES: Final = {DidKind.PERSON: Role.PERSON, DidKind.ORGANISATION: Role.CERTIFIED_COMPANY}


@dataclass(frozen=True, slots=True)
class PaymentPayload:
    """What the cashier signs: this was paid, by this identity, for this."""

    buyer: Did
    sale: SaleNumber
    tier: Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]
    reference: PaymentReference
    paid_minor: Annotated[int, Interval(ge=1, le=PAID_MAX)]
    currency: Currency
    jurisdiction: Jurisdiction


@dataclass(frozen=True, slots=True)
class WithdrawalPayload:
    """What a buyer signs to have a purchase undone."""

    buyer: Did
    sale: SaleNumber
    number: PurchaseNumber


@dataclass(frozen=True, slots=True)
class RepaymentPayload:
    """What the cashier signs: all that is owed for this purchase was paid back."""

    buyer: Did
    sale: SaleNumber
    number: PurchaseNumber
    repaid_minor: Annotated[int, Interval(ge=1, le=PAID_MAX)]
    """In all, with what was paid back before: a signature for an earlier debt is none for a later one."""


@dataclass(frozen=True, slots=True)
class Buy:
    """Buy for what an identity has paid to the cashier."""

    payload: PaymentPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Undo a purchase before the sale is closed."""

    payload: WithdrawalPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class ConfirmRepayment:
    """Note that the cashier has paid back what was owed for a purchase."""

    payload: RepaymentPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class Deliver:
    """Give a buyer what was bought, once the sale is closed."""

    sale: SaleNumber
    number: PurchaseNumber


@dataclass(frozen=True, slots=True)
class SaleOpened:
    """A sale has its share; purchases count from its start on."""

    sale: SaleNumber
    share_grains: Grains
    starts_ms: TimeMs
    ends_ms: TimeMs


@dataclass(frozen=True, slots=True)
class Bought:
    """A payment has bought something; what it did not buy is owed back."""

    sale: SaleNumber
    number: PurchaseNumber
    buyer: Did
    amount_grains: Grains
    owed_minor: MinorUnits


@dataclass(frozen=True, slots=True)
class SaleClosed:
    """A sale is over; what it has not sold has gone back."""

    sale: SaleNumber
    sold_grains: Grains
    returned_grains: Grains


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A purchase was undone; all that was paid is owed back."""

    sale: SaleNumber
    number: PurchaseNumber
    amount_grains: Grains
    owed_minor: MinorUnits


@dataclass(frozen=True, slots=True)
class Delivered:
    """A buyer has what was bought."""

    sale: SaleNumber
    number: PurchaseNumber
    account: Address
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class Repaid:
    """The cashier has paid back what was owed."""

    sale: SaleNumber
    number: PurchaseNumber
    amount_minor: MinorUnits
    """This time."""


@dataclass(frozen=True, slots=True)
class NumberedPurchase:
    """A purchase with its number."""

    number: PurchaseNumber
    purchase: Purchase


# What governance decides


def check_sale(state: StateReader, terms: SaleTerms) -> None:
    """Whether these terms make a sale that can open now; raises Rejected."""
    if get_sales(state).open is not None:
        raise Rejected(Reason.SALE_OPEN, "one sale is open at a time")
    _check_organiser(state, terms.cashier)
    if not terms.starts_ms < terms.ends_ms:
        raise Rejected(Reason.BAD_SALE, "a sale starts before it ends")
    if list(terms.excluded) != sorted(frozenset(terms.excluded)) or not all(map(_is_code, terms.excluded)):
        raise Rejected(Reason.BAD_SALE, "excluded jurisdictions are capital letters, in order, each once")
    if not _is_code(terms.currency):
        raise Rejected(Reason.BAD_SALE, "a currency is three capital letters")
    if terms.cap_grains == 0 or any(tier.share_grains == 0 for tier in terms.tiers):
        raise Rejected(Reason.AMOUNT_ZERO, "cap and tiers are at least one grain")
    if _sum_share(terms) > SUPPLY_GRAINS:
        raise Rejected(Reason.AMOUNT_OVERFLOW, "the tiers add up to more IOV than there are")
    if sum([len(tier.schedule.steps) for tier in terms.tiers]) > STEPS_MAX:
        raise Rejected(
            Reason.BAD_SALE, f"the tiers' schedules have at most {STEPS_MAX} steps together", maximum=STEPS_MAX
        )
    for tier in terms.tiers:
        if tier.schedule.is_in_grains:
            raise Rejected(Reason.BAD_SCHEDULE, "what is bought has any size: say steps in basis points")
        check_schedule(tier.schedule, tier.share_grains)


def open_sale(state: State, block: BlockContext, terms: SaleTerms) -> Event:
    """Rule B1; raises Rejected."""
    share_grains = _sum_share(terms)
    debit(state, ALLOCATION_ADDRESS, share_grains, block.time_ms)
    credit(state, SALE_ADDRESS, share_grains, block.time_ms)
    number = get_sales(state).count + 1
    remaining = tuple([tier.share_grains for tier in terms.tiers])
    put_sale(
        state, number, Sale(terms, Grains(share_grains), remaining, Grains(0), Grains(0), Grains(0), 0, closed_ms=None)
    )
    put_sales(state, Sales(number, number))
    return _event(SaleOpened, number, share_grains, terms.starts_ms, terms.ends_ms)


def check_open_sale(state: StateReader, number: int) -> None:
    """Whether this sale is the open one; raises Rejected."""
    if get_sales(state).open != number:
        raise Rejected(Reason.SALE_CLOSED, "this sale is not open")


def close_sale(state: State, block: BlockContext, number: int) -> Event:
    """Rules B5 and B6, of the open sale."""
    sale = get_sale(state, number)
    rest_grains = sum(sale.remaining_grains)
    debit(state, SALE_ADDRESS, rest_grains, block.time_ms)
    credit(state, ALLOCATION_ADDRESS, rest_grains, block.time_ms)
    nothing = tuple([Grains(0) for _ in sale.remaining_grains])
    closed = replace(sale, remaining_grains=nothing, returned_grains=Grains(rest_grains), closed_ms=block.time_ms)
    put_sale(state, number, closed)
    put_sales(state, replace(get_sales(state), open=None))
    return _event(SaleClosed, number, sale.sold_grains, rest_grains)


def close_ended_sale(state: State, block: BlockContext) -> list[Event]:
    """Rule B5, at a block's end: one read while no sale is open."""
    number = get_sales(state).open
    if number is None or block.time_ms < get_sale(state, number).terms.ends_ms:
        return []
    return [close_sale(state, block, number)]


# What calls do


def apply_buy(state: State, context: Context, call: Buy) -> None:
    """Rules B2 to B5."""
    given, block = call.payload, context.block
    check_open_sale(state, given.sale)
    sale = get_sale(state, given.sale)
    terms = sale.terms
    if not terms.starts_ms <= block.time_ms < terms.ends_ms:
        raise Rejected(Reason.SALE_CLOSED, "the sale has not begun, or its time is over")
    purpose = SigningPurpose.SALE_PAYMENT
    check_did_signatures(state, context, terms.cashier, purpose, encode(given), call.signatures)
    if find_payment(state, given.reference) is not None:
        raise Rejected(Reason.PAYMENT_USED, "this payment has paid a purchase already")
    if given.currency != terms.currency:
        raise Rejected(Reason.BAD_PAYMENT, f"the sale is paid in {terms.currency}")
    if given.tier >= len(terms.tiers):
        raise Rejected(Reason.BAD_PAYMENT, "the sale has no such tier")
    account = _get_buyer_account(state, context, terms, given)
    bought_grains = get_bought(state, given.sale, given.buyer)
    tier, left_grains = terms.tiers[given.tier], sale.remaining_grains[given.tier]
    if left_grains == 0:
        raise Rejected(Reason.TIER_SOLD_OUT, "nothing is left of this tier")
    if bought_grains >= terms.cap_grains:
        raise Rejected(Reason.CAP_REACHED, "the identity has bought as much as one may", maximum=terms.cap_grains)
    room_grains = min(left_grains, terms.cap_grains - bought_grains)
    amount_grains, owed_minor = compute_fill(tier, given.paid_minor, room_grains)
    if amount_grains == 0:
        raise Rejected(Reason.BAD_PAYMENT, "this buys not a single grain")
    name = PurchaseName(given.sale, sale.purchases + 1)
    status = PurchaseStatus.BOUGHT
    purchase = Purchase(
        *(given.buyer, given.tier, given.reference, given.paid_minor, Grains(amount_grains), status, owed_minor, 0),
        account=account,
    )
    put_purchase(state, name, purchase)
    put_payment(state, given.reference, name)
    put_bought(state, given.sale, given.buyer, bought_grains + amount_grains)
    sale = replace(_move(sale, given.tier, amount_grains), purchases=name.number)
    put_sale(state, given.sale, sale)
    context.emit(MODULE.name, Bought.__name__, name.sale, name.number, given.buyer, amount_grains, owed_minor)
    if sum(sale.remaining_grains) == 0:
        context.events.append(close_sale(state, block, given.sale))


def apply_withdraw(state: State, context: Context, call: Withdraw) -> None:
    """Rule B7."""
    given = call.payload
    check_open_sale(state, given.sale)
    name = PurchaseName(given.sale, given.number)
    purchase = _get_purchase_of(state, name, given.buyer)
    _check_bought(purchase)
    purpose = SigningPurpose.SALE_WITHDRAWAL
    check_did_signatures(state, context, purchase.buyer, purpose, encode(given), call.signatures)
    owed_minor = purchase.paid_minor - purchase.repaid_minor
    withdrawn = replace(purchase, status=PurchaseStatus.WITHDRAWN, owed_minor=owed_minor)
    put_purchase(state, name, withdrawn)
    bought_grains = get_bought(state, given.sale, purchase.buyer)
    put_bought(state, given.sale, purchase.buyer, bought_grains - purchase.amount_grains)
    put_sale(state, given.sale, _move(get_sale(state, given.sale), purchase.tier, -purchase.amount_grains))
    context.emit(MODULE.name, Withdrawn.__name__, name.sale, name.number, purchase.amount_grains, owed_minor)


def apply_confirm_repayment(state: State, context: Context, call: ConfirmRepayment) -> None:
    """Rule B9."""
    given = call.payload
    sale = get_sale(state, given.sale)
    name = PurchaseName(given.sale, given.number)
    purchase = _get_purchase_of(state, name, given.buyer)
    due_minor = purchase.repaid_minor + purchase.owed_minor
    if purchase.owed_minor == 0 or given.repaid_minor != due_minor:
        raise Rejected(
            Reason.PURCHASE_SETTLED,
            "something else is owed for this purchase, or nothing",
            owed=purchase.owed_minor,
            repaid=purchase.repaid_minor,
        )
    purpose = SigningPurpose.SALE_REPAYMENT
    check_did_signatures(state, context, sale.terms.cashier, purpose, encode(given), call.signatures)
    put_purchase(state, name, replace(purchase, owed_minor=0, repaid_minor=due_minor))
    context.emit(MODULE.name, Repaid.__name__, name.sale, name.number, purchase.owed_minor)


def apply_deliver(state: State, context: Context, call: Deliver) -> None:
    """Rule B8."""
    sale, name, block = get_sale(state, call.sale), PurchaseName(call.sale, call.number), context.block
    if sale.closed_ms is None:
        raise Rejected(Reason.SALE_OPEN, "purchases are delivered when the sale is closed")
    purchase = _get_purchase(state, name)
    _check_bought(purchase)
    account = _get_recipient(state, purchase)
    put_purchase(state, name, replace(purchase, status=PurchaseStatus.DELIVERED))
    put_sale(state, call.sale, replace(sale, delivered_grains=Grains(sale.delivered_grains + purchase.amount_grains)))
    debit(state, SALE_ADDRESS, purchase.amount_grains, block.time_ms)
    credit(state, account, purchase.amount_grains, block.time_ms)
    schedule = sale.terms.tiers[purchase.tier].schedule
    if schedule.clock is Clock.HEIGHT:
        context.gas.charge(GAS_HEIGHT_STEP * len(schedule.steps))
    context.emit(MODULE.name, Delivered.__name__, name.sale, name.number, account, purchase.amount_grains)
    lockup = add_lockup(
        *(state, block.height, block.time_ms, account, purchase.amount_grains, schedule, ALLOCATION_ADDRESS),
        is_revocable=False,
    )
    context.events.append(lockup)


def _check_organiser(state: StateReader, did: Did) -> None:
    """A cashier is an active organisation or person; governance names it, which is recognition enough."""
    if get_active_did(state, did).current.content.kind not in BUYER_ROLES:
        raise Rejected(Reason.BAD_SALE, "a cashier is a person or an organisation")


def _get_buyer_account(state: StateReader, context: Context, terms: SaleTerms, given: PaymentPayload) -> Address:
    """Rule B3; raises Rejected."""
    context.gas.charge(GAS_DID_READ)
    record = get_active_did(state, given.buyer)
    role = BUYER_ROLES.get(record.current.content.kind)
    if role is None or not holds_role(state, given.buyer, role, context.block.height):
        raise Rejected(Reason.NOT_ELIGIBLE, "the buyer is no recognised person and no certified company")
    if not _is_code(given.jurisdiction) or given.jurisdiction in terms.excluded:
        raise Rejected(Reason.NOT_ELIGIBLE, "the sale is not open to people of this jurisdiction")
    return _get_account(record)


def _get_recipient(state: StateReader, purchase: Purchase) -> Address:
    """Rule B8; raises Rejected."""
    record = get_did_record(state, purchase.buyer)
    assert record is not None, "identities are kept when they end"
    return purchase.account if record.is_deactivated else _get_account(record)


def _get_account(record: DidRecord) -> Address:
    if record.account is None:
        raise Rejected(Reason.BUYER_WITHOUT_ACCOUNT, "the buyer's identity has no account: link one first")
    return record.account


def _get_purchase(state: StateReader, name: PurchaseName) -> Purchase:
    purchase = find_purchase(state, name)
    if purchase is None:
        raise Rejected(Reason.UNKNOWN_PURCHASE, "the sale has no purchase of this number")
    return purchase


def _get_purchase_of(state: StateReader, name: PurchaseName, buyer: Did) -> Purchase:
    purchase = _get_purchase(state, name)
    if purchase.buyer != buyer:
        raise Rejected(Reason.UNKNOWN_PURCHASE, "this is the purchase of another identity")
    return purchase


def _check_bought(purchase: Purchase) -> None:
    if purchase.status is not PurchaseStatus.BOUGHT:
        raise Rejected(Reason.PURCHASE_SETTLED, "this purchase was delivered or withdrawn already")


def _move(sale: Sale, tier: int, grains: int) -> Sale:
    """Grains of a tier from remaining to sold, or back when negative."""
    remaining = list(sale.remaining_grains)
    remaining[tier] = Grains(remaining[tier] - grains)
    return replace(sale, remaining_grains=tuple(remaining), sold_grains=Grains(sale.sold_grains + grains))


def _sum_share(terms: SaleTerms) -> int:
    return sum([tier.share_grains for tier in terms.tiers])


def _is_code(text: str) -> bool:
    return text.isascii() and text.isalpha() and text.isupper()


def _event(kind: type, *values: object) -> Event:
    return Event(MODULE.name, kind.__name__, list(values))


# Views


def answer_sales(state: StateReader, _: Moment) -> Sales:
    """The view of how many sales there were, and which is open."""
    return get_sales(state)


def answer_sale(state: StateReader, _: Moment, number: int) -> Sale | None:
    """The view of a sale: its terms, what remains, what was sold and returned."""
    return find_sale(state, number) if 1 <= number <= JSON_INTEGER_MAX else None


def answer_purchases(state: StateReader, _: Moment, sale: SaleNumber, first: PurchaseNumber) -> list[NumberedPurchase]:
    """The view of a sale's purchases from a number on, a page of them."""
    stop = purchase_key(sale, JSON_INTEGER_MAX)
    found = islice(state.iterate_range(purchase_key(sale, first), stop), PURCHASES_SHOWN_MAX)
    skipped = len(purchase_prefix(sale))
    return [NumberedPurchase(int.from_bytes(key[skipped:], "big"), decode(Purchase, encoded)) for key, encoded in found]


def answer_payment(state: StateReader, _: Moment, reference: PaymentReference) -> PurchaseName | None:
    """The view of which purchase a payment has paid."""
    return find_payment(state, reference)


def answer_bought(state: StateReader, _: Moment, sale: SaleNumber, buyer: Did) -> Grains:
    """The view of what an identity has bought in a sale, withdrawn purchases left out."""
    return Grains(get_bought(state, sale, buyer))


_SALE_READ_GAS: Final = 1_100  # decode a sale of eight tiers and sixty steps, 106 us
_SALE_GAS: Final = _SALE_READ_GAS + 400  # and encode it again, 41 us
_BUY_GAS: Final = _SALE_GAS + 8 * GAS_STATE_WRITE + 6 * GAS_STATE_READ
_WITHDRAW_GAS: Final = _SALE_GAS + 3 * GAS_STATE_WRITE + 3 * GAS_STATE_READ
_REPAY_GAS: Final = _SALE_READ_GAS + GAS_STATE_WRITE + 2 * GAS_STATE_READ
_DELIVER_GAS: Final = _SALE_GAS + 6 * GAS_STATE_WRITE + 3 * GAS_STATE_READ + GAS_DID_READ

MODULE = ModuleRule(
    name="sale",
    summary="The sale of the subscription allocation",
    calls=(
        CallRule("buy", Buy, apply_buy, lambda _: _BUY_GAS, f"{_BUY_GAS} + {SIGNED_GAS_WORDS}"),
        CallRule(
            "withdraw", Withdraw, apply_withdraw, lambda _: _WITHDRAW_GAS, f"{_WITHDRAW_GAS} + {SIGNED_GAS_WORDS}"
        ),
        CallRule(
            "confirm_repayment",
            ConfirmRepayment,
            apply_confirm_repayment,
            lambda _: _REPAY_GAS,
            f"{_REPAY_GAS} + {SIGNED_GAS_WORDS}",
        ),
        CallRule(
            "deliver",
            Deliver,
            apply_deliver,
            lambda _: _DELIVER_GAS,
            f"{_DELIVER_GAS} + {GAS_HEIGHT_STEP} for each step by height of the tier's schedule",
        ),
    ),
    events=tuple(map(EventRule, (SaleOpened, Bought, SaleClosed, Withdrawn, Delivered, Repaid))),
    views=(
        ViewRule("sales", (), answer_sales),
        ViewRule("sale", (("number", int),), answer_sale),
        ViewRule("purchases", (("sale", SaleNumber), ("first", PurchaseNumber)), answer_purchases),
        ViewRule("payment", (("reference", PaymentReference),), answer_payment),
        ViewRule("bought", (("sale", SaleNumber), ("buyer", Did)), answer_bought),
    ),
)
