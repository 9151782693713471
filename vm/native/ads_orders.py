"""Orders: one delivery to one person, rules W9 to W13."""

from dataclasses import dataclass, replace

from identity.address import Address
from identity.ads_matching import compute_open_nullifier
from identity.did import Did
from identity.signing import SigningPurpose
from ledger.codec import encode
from ledger.primitives import Grains, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from vm.context import Context
from vm.native.accounts import DAY_MS
from vm.native.ads_events import OrderAccepted, OrderCompleted, OrderLapsed
from vm.native.ads_formulas import Shares, compute_fixed_reward, compute_shares
from vm.native.ads_records import (
    MODULE_NAME,
    AcceptancePayload,
    Book,
    Campaign,
    CampaignStatus,
    CompletionPayload,
    ItemRule,
    KindTotal,
    OfferPayload,
    Order,
    OrderId,
    OrderStatus,
    Terms,
    compute_order_id,
    compute_status,
    find_ended_ms,
    find_order,
    get_book,
    get_campaign,
    note_reached,
    pay,
    put_book,
    put_order,
)
from vm.native.did_control import check_agreed, check_did_signatures, check_signatures, get_party
from vm.native.did_payloads import DidSignatures
from vm.native.did_records import get_account_did, get_did_record
from vm.native.distribution_records import find_payout_account
from vm.native.mining_records import note_revenue
from vm.native.recognition import Recognition, is_recognised
from vm.native.role_records import Role, holds_role


@dataclass(frozen=True, slots=True)
class Accept:
    """Take up an offer of a campaign."""

    payload: AcceptancePayload
    offer_signatures: DidSignatures
    """By the campaign's offerer."""
    signatures: DidSignatures
    """By user, publisher and matcher."""


@dataclass(frozen=True, slots=True)
class Complete:
    """Say that an order was delivered; it is paid at once."""

    payload: CompletionPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class Lapse:
    """Let the campaign have again what an order has not earned in time."""

    order: OrderId


def apply_accept(state: State, context: Context, call: Accept) -> None:
    """Rules W9 to W11."""
    given, offer, now_ms = call.payload, call.payload.offer, context.block.time_ms
    found, book = get_campaign(state, offer.campaign), get_book(state, offer.campaign)
    check_running(found, book, now_ms)
    _check_offer(found.terms, offer, given.user, now_ms)
    _check_nullifier(state, context, found.terms, given)
    order = compute_order_id(offer.campaign, given.nullifier)
    if find_order(state, order) is not None:
        raise Rejected(Reason.ADS_SLOT_USED, "there is an order for this nullifier already")
    number = book.accepted + 1
    reserved = offer.price_grains * offer.units_max
    if found.terms.fixed is not None:
        reserved = compute_fixed_reward(found.terms.fixed, number)
    book = promise(found.terms, book, reserved, now_ms)
    _check_accepted(state, context, found.terms, call)
    accepted = Order(
        campaign=offer.campaign,
        user=given.user,
        publisher=offer.publisher,
        kind=offer.kind,
        slot=given.slot,
        number=number,
        price_grains=offer.price_grains,
        units_max=offer.units_max,
        reserved_grains=Grains(reserved),
        tags_commitment=given.tags_commitment,
        accepted_ms=now_ms,
        deadline_ms=TimeMs(now_ms + book.windows.completion_ms),
        status=OrderStatus.ACCEPTED,
        units=0,
        gross_grains=Grains(0),
    )
    put_order(state, order, accepted)
    updated = replace(
        book,
        reserved_grains=Grains(book.reserved_grains + reserved),
        accepted=number,
        orders_open=book.orders_open + 1,
    )
    put_book(state, offer.campaign, updated)
    fields = (order, offer.campaign, offer.publisher, int(offer.kind), reserved)
    context.emit(MODULE_NAME, OrderAccepted.__name__, *fields)


def apply_complete(state: State, context: Context, call: Complete) -> None:
    """Rules W12 and W13."""
    given, now_ms = call.payload, context.block.time_ms
    order = _get_accepted(state, given.order)
    found, book = get_campaign(state, order.campaign), get_book(state, order.campaign)
    if now_ms > _find_deadline(found, book, order, now_ms):
        raise Rejected(Reason.ADS_ORDER_OVER, "the time to complete this order is over")
    item = _find_item(found.terms, order.kind)
    if not item.units_min <= given.units <= order.units_max:
        raise Rejected(
            Reason.ADS_BAD_COMPLETION,
            f"from {item.units_min} to {order.units_max} units count",
            minimum=item.units_min,
            maximum=order.units_max,
        )
    check_signatures(context, SigningPurpose.ADS_COMPLETION, encode(given), call.signatures)
    parties = [get_party(state, context, order.user), get_party(state, context, order.publisher)]
    check_agreed(state, context, parties, call.signatures)
    gross = order.reserved_grains if found.terms.fixed is not None else order.price_grains * given.units
    accounts = get_payee(state, order.user), get_payee(state, order.publisher)
    shares = pay_shares(state, found, *accounts, gross, now_ms)
    completed = replace(order, status=OrderStatus.COMPLETED, units=given.units, gross_grains=Grains(gross))
    put_order(state, given.order, completed)
    updated = replace(
        _release(book, order),
        paid_grains=Grains(book.paid_grains + gross),
        persons=book.persons + note_reached(state, order.campaign, order.user),
        totals=_add(book, completed),
    )
    put_book(state, order.campaign, updated)
    fields = (shares.user_grains, shares.publisher_grains, shares.platform_grains)
    context.emit(MODULE_NAME, OrderCompleted.__name__, given.order, order.campaign, given.units, *fields)


def apply_lapse(state: State, context: Context, call: Lapse) -> None:
    """Rule W13; anybody may."""
    now_ms = context.block.time_ms
    order = _get_accepted(state, call.order)
    found, book = get_campaign(state, order.campaign), get_book(state, order.campaign)
    if book.status is CampaignStatus.SETTLED:
        raise Rejected(Reason.ADS_WRONG_STATUS, "the campaign is settled", status=int(book.status))
    deadline_ms = _find_deadline(found, book, order, now_ms)
    if now_ms <= deadline_ms:
        raise Rejected(Reason.ADS_TOO_EARLY, "the order may still complete", until_ms=deadline_ms)
    put_order(state, call.order, replace(order, status=OrderStatus.LAPSED))
    put_book(state, order.campaign, _release(book, order))
    context.emit(MODULE_NAME, OrderLapsed.__name__, call.order, order.campaign, order.reserved_grains)


def check_running(found: Campaign, book: Book, now_ms: int) -> None:
    """Whether a campaign promises anything now; raises Rejected."""
    status = compute_status(found, book, now_ms)
    if status is CampaignStatus.EXHAUSTED:
        raise Rejected(Reason.ADS_UNDERFUNDED, "the campaign is exhausted", held=book.free_grains)
    if status is not CampaignStatus.RUNNING:
        raise Rejected(Reason.ADS_WRONG_STATUS, f"the campaign is {status.name.lower()}", status=int(status))
    if now_ms < found.terms.start_ms:
        raise Rejected(Reason.ADS_TOO_EARLY, "the campaign begins later", until_ms=found.terms.start_ms)


def promise(terms: Terms, book: Book, grains: int, now_ms: int) -> Book:
    """Rule W10: so much may be promised now, and is counted for its day; raises Rejected."""
    if grains > book.free_grains:
        raise Rejected(Reason.ADS_UNDERFUNDED, "the rest is promised", held=book.free_grains, needed=grains)
    day = now_ms // DAY_MS
    spent = book.day_grains if book.day == day else 0
    if spent + grains > terms.daily_grains_max:
        left = terms.daily_grains_max - spent
        raise Rejected(Reason.ADS_PACE_EXCEEDED, "the campaign promises no more today", held=left, needed=grains)
    return replace(book, day=day, day_grains=Grains(spent + grains))


def pay_shares(
    state: State, found: Campaign, user: Address, publisher: Address, gross_grains: int, now_ms: int
) -> Shares:
    """Rule W13: pay all three shares."""
    shares = compute_shares(found.terms.split, gross_grains)
    pay(state, user, shares.user_grains, now_ms)
    pay(state, publisher, shares.publisher_grains, now_ms)
    pay_platform(state, found, shares.platform_grains, now_ms)
    return shares


def pay_platform(state: State, found: Campaign, grains: int, now_ms: int) -> None:
    """Rule W13: pay the platform's share, which is revenue for mining if governance recognises the platform."""
    pay(state, found.terms.platform, grains, now_ms)
    did = get_account_did(state, found.terms.platform)
    if did is not None and did != found.advertiser and is_recognised(state, Recognition.PLATFORM, did):
        note_revenue(state, grains)


def get_payee(state: StateReader, did: Did) -> Address:
    """Where an identity is paid; raises Rejected."""
    account = find_payee(state, did)
    if account is None:
        raise Rejected(Reason.ADS_NOT_PAYABLE, "the identity has no account that could be paid")
    return account


def find_payee(state: StateReader, did: Did) -> Address | None:
    """Where an identity is paid; None: it has ended, or no account acts for it."""
    record = get_did_record(state, did)
    return None if record is None or record.is_deactivated else find_payout_account(state, did, record)


def _check_offer(terms: Terms, offer: OfferPayload, user: Did, now_ms: int) -> None:
    """Rule W9; raises Rejected."""
    item = _find_item(terms, offer.kind)
    if now_ms > offer.until_ms:
        raise Rejected(Reason.ADS_BAD_OFFER, "the offer is over")
    if user == offer.publisher:
        raise Rejected(Reason.ADS_BAD_OFFER, "nobody publishes for oneself")
    if not item.price_grains_min <= offer.price_grains <= item.price_grains_max:
        raise Rejected(
            Reason.ADS_BAD_OFFER,
            "the price is not within the campaign's terms",
            minimum=item.price_grains_min,
            maximum=item.price_grains_max,
        )
    if not item.units_min <= offer.units_max <= item.units_max:
        raise Rejected(
            Reason.ADS_BAD_OFFER,
            "the units are not within the campaign's terms",
            minimum=item.units_min,
            maximum=item.units_max,
        )


def _find_item(terms: Terms, kind: int) -> ItemRule:
    item = next((each for each in terms.items if each.kind == kind), None)
    if item is None:
        raise Rejected(Reason.ADS_BAD_OFFER, "the campaign does not pay for this kind of delivery")
    return item


def _check_nullifier(state: StateReader, context: Context, terms: Terms, given: AcceptancePayload) -> None:
    """Rule W11; raises Rejected. That a matcher has signed is checked with the other signatures."""
    if given.slot >= terms.cap:
        raise Rejected(Reason.ADS_BAD_NULLIFIER, f"one person is reached {terms.cap} times", maximum=terms.cap)
    if terms.matcher is not None:
        return
    if not holds_role(state, given.user, Role.PERSON, context.block.height):
        raise Rejected(Reason.ROLE_MISSING, "without a matcher, the user has the role person", role=int(Role.PERSON))
    expected = compute_open_nullifier(context.block.domain, given.offer.campaign, given.user, given.slot)
    if given.nullifier != expected:
        raise Rejected(Reason.ADS_BAD_NULLIFIER, "this is not the nullifier of this person and delivery")


def _check_accepted(state: StateReader, context: Context, terms: Terms, call: Accept) -> None:
    """Rules W9 and W11: whether everybody has signed; raises Rejected."""
    given = call.payload
    purpose = SigningPurpose.ADS_OFFER
    check_did_signatures(state, context, terms.offerer, purpose, encode(given.offer), call.offer_signatures)
    check_signatures(context, SigningPurpose.ADS_ACCEPTANCE, encode(given), call.signatures)
    parties = [get_party(state, context, given.user), get_party(state, context, given.offer.publisher)]
    if terms.matcher is not None:
        parties.append(get_party(state, context, terms.matcher))
    check_agreed(state, context, parties, call.signatures)
    for did in (given.user, given.offer.publisher):
        get_payee(state, did)


def _get_accepted(state: StateReader, name: OrderId) -> Order:
    """An order that is open; raises Rejected."""
    order = find_order(state, name)
    if order is None:
        raise Rejected(Reason.ADS_UNKNOWN_ORDER, "there is no such order")
    if order.status is not OrderStatus.ACCEPTED:
        raise Rejected(Reason.ADS_ORDER_OVER, f"the order is {order.status.name.lower()}", status=int(order.status))
    return order


def _find_deadline(found: Campaign, book: Book, order: Order, now_ms: int) -> int:
    """The last moment in which an order completes: its own, and before the grace period is over (rule W12)."""
    ended_ms = find_ended_ms(found, book, now_ms)
    if ended_ms is None:
        return order.deadline_ms
    return min(order.deadline_ms, ended_ms + book.windows.grace_ms - 1)


def _release(book: Book, order: Order) -> Book:
    reserved = Grains(book.reserved_grains - order.reserved_grains)
    return replace(book, reserved_grains=reserved, orders_open=book.orders_open - 1)


def _add(book: Book, order: Order) -> tuple[KindTotal, ...]:
    index = order.kind - 1
    former = book.totals[index]
    grains = Grains(former.grains + order.gross_grains)
    total = KindTotal(former.completed + 1, former.units + order.units, grains)
    return (*book.totals[:index], total, *book.totals[index + 1 :])
