"""Campaigns from draft to settlement: rules W1 to W8."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from identity.address import Address
from identity.did import Did
from identity.targeting import InvalidTargetingError, unpack_expression
from ledger.primitives import INTEGER_MAX, SUPPLY_GRAINS, Grains, PositiveGrains, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from vm.context import Context
from vm.gas import GAS_BYTE
from vm.native.accounts import IS_CONTRACT, get_account
from vm.native.ads_events import (
    CampaignCreated,
    CampaignFunded,
    CampaignMoved,
    CampaignReviewed,
    CampaignRevised,
    CampaignSettled,
)
from vm.native.ads_formulas import BPS, compute_deposit, compute_deposit_bps, compute_score
from vm.native.ads_records import (
    ADS_ADDRESS,
    MODULE_NAME,
    NEW_BOOK,
    PERIOD_MS_MAX,
    Book,
    Campaign,
    CampaignId,
    CampaignStatus,
    Hash32,
    Terms,
    compute_cheapest,
    compute_status,
    compute_terms_hash,
    find_settles_ms,
    get_book,
    get_campaign,
    get_counts,
    get_points,
    get_rules,
    pay,
    put_book,
    put_campaign,
    put_counts,
)
from vm.native.did_records import get_account_did, get_active_did
from vm.native.did_rules import is_normal_uri
from vm.native.iov import credit, debit, is_module_address

GAS_TARGETING_BYTE: Final = 12
"""Decode, encode again and compare one byte of an expression: 200 to 700 ns, where a transfer has 30 ns a gas."""
_OPEN: Final = (CampaignStatus.RUNNING, CampaignStatus.PAUSED, CampaignStatus.EXHAUSTED)


@dataclass(frozen=True, slots=True)
class Create:
    """Begin a campaign as a draft."""

    terms: Terms


@dataclass(frozen=True, slots=True)
class Revise:
    """Give a draft other terms."""

    campaign: CampaignId
    terms: Terms


@dataclass(frozen=True, slots=True)
class Fund:
    """Pay into a campaign."""

    campaign: CampaignId
    amount_grains: PositiveGrains
    refund: Address
    """Where what is not spent goes, as whoever pays has read; it is refused if the terms name another account."""


@dataclass(frozen=True, slots=True)
class Submit:
    """Ask for a draft to be reviewed."""

    campaign: CampaignId


@dataclass(frozen=True, slots=True)
class Review:
    """Let a campaign run, or send it back to its advertiser."""

    campaign: CampaignId
    terms_hash: Hash32
    """Of the terms that were read: an advertiser cannot put others in their place meanwhile."""
    is_approved: bool
    reasons_hash: Hash32
    """Of what the reviewer has to say."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Accept nothing for a while."""

    campaign: CampaignId


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on after a pause."""

    campaign: CampaignId


@dataclass(frozen=True, slots=True)
class End:
    """Accept nothing any more."""

    campaign: CampaignId


@dataclass(frozen=True, slots=True)
class Settle:
    """Give back what a campaign has not spent."""

    campaign: CampaignId


def apply_create(state: State, context: Context, call: Create) -> None:
    """Rules W1 and W2."""
    advertiser = get_sender_did(state, context)
    check_terms(state, context, call.terms)
    counts = get_counts(state)
    campaign = CampaignId(counts.campaigns + 1)
    put_counts(state, replace(counts, campaigns=campaign))
    put_campaign(state, campaign, Campaign(advertiser, call.terms))
    put_book(state, campaign, NEW_BOOK)
    context.emit(MODULE_NAME, CampaignCreated.__name__, campaign, advertiser)


def apply_revise(state: State, context: Context, call: Revise) -> None:
    """Rules W1 to W3."""
    found, book = _get_own(state, context, call.campaign, (CampaignStatus.DRAFT,))
    if book.funded_grains and call.terms.refund != found.terms.refund:
        raise Rejected(Reason.ADS_REFUND_FIXED, "somebody has paid in: the rest goes where the terms said then")
    check_terms(state, context, call.terms)
    put_campaign(state, call.campaign, replace(found, terms=call.terms))
    context.emit(MODULE_NAME, CampaignRevised.__name__, call.campaign)


def apply_fund(state: State, context: Context, call: Fund) -> None:
    """Rule W3."""
    now_ms = context.block.time_ms
    found, book = get_campaign(state, call.campaign), get_book(state, call.campaign)
    _check_status(found, book, now_ms, (CampaignStatus.DRAFT, CampaignStatus.REVIEW, *_OPEN))
    if call.refund != found.terms.refund:
        raise Rejected(Reason.ADS_OTHER_REFUND, "what is not spent goes to another account than this one")
    debit(state, context.sender, call.amount_grains, now_ms)
    credit(state, ADS_ADDRESS, call.amount_grains, now_ms)
    funded = Grains(book.funded_grains + call.amount_grains)
    if funded > INTEGER_MAX:
        raise Rejected(Reason.AMOUNT_OVERFLOW, "the campaign would have been paid more than can be counted")
    book = replace(book, funded_grains=funded)
    if book.status is not CampaignStatus.DRAFT:
        book = _raise_deposit(state, found, book, call.amount_grains, now_ms)
    put_book(state, call.campaign, book)
    fields = (call.campaign, context.sender, call.amount_grains, book.deposit_grains)
    context.emit(MODULE_NAME, CampaignFunded.__name__, *fields)


def apply_submit(state: State, context: Context, call: Submit) -> None:
    """Rules W3 and W4."""
    now_ms = context.block.time_ms
    found, book = _get_own(state, context, call.campaign, (CampaignStatus.DRAFT,))
    check_terms(state, context, found.terms)
    book = replace(book, status=CampaignStatus.REVIEW, windows=get_rules(state).windows)
    book = _raise_deposit(state, found, book, book.funded_grains, now_ms)
    needed = compute_cheapest(found.terms, book) if found.terms.fixed is None else found.terms.fixed.total_grains
    if book.free_grains < needed:
        raise Rejected(
            Reason.ADS_UNDERFUNDED,
            "the budget does not pay for what the terms promise",
            held=book.free_grains,
            needed=needed,
        )
    _move(state, context, call.campaign, book)


def apply_review(state: State, context: Context, call: Review) -> None:
    """Rule W4; who reviews stands in vm/native/role_table.py."""
    reviewer = get_sender_did(state, context)
    found, book = get_campaign(state, call.campaign), get_book(state, call.campaign)
    _check_status(found, book, context.block.time_ms, (CampaignStatus.REVIEW,))
    if reviewer in list_involved(state, found):
        raise Rejected(Reason.ADS_NOT_YOURS, "nobody reviews a campaign that one has a part in")
    if call.terms_hash != compute_terms_hash(found.terms):
        raise Rejected(Reason.ADS_BAD_TERMS, "the campaign has other terms than those reviewed")
    fields = (call.campaign, reviewer, call.is_approved, call.reasons_hash)
    context.emit(MODULE_NAME, CampaignReviewed.__name__, *fields)
    if call.is_approved:
        _move(state, context, call.campaign, replace(book, status=CampaignStatus.RUNNING, reviewer=reviewer))
    else:
        returned = replace(book, status=CampaignStatus.DRAFT, deposit_grains=Grains(0))
        _move(state, context, call.campaign, returned)


def apply_pause(state: State, context: Context, call: Pause) -> None:
    """Rule W5."""
    _, book = _get_own(state, context, call.campaign, (CampaignStatus.RUNNING, CampaignStatus.EXHAUSTED))
    _move(state, context, call.campaign, replace(book, status=CampaignStatus.PAUSED))


def apply_resume(state: State, context: Context, call: Resume) -> None:
    """Rule W5."""
    _, book = _get_own(state, context, call.campaign, (CampaignStatus.PAUSED,))
    _move(state, context, call.campaign, replace(book, status=CampaignStatus.RUNNING))


def apply_end(state: State, context: Context, call: End) -> None:
    """Rule W6."""
    statuses = (CampaignStatus.DRAFT, CampaignStatus.REVIEW, *_OPEN)
    _, book = _get_own(state, context, call.campaign, statuses)
    end_campaign(state, context, call.campaign, book)


def end_campaign(state: State, context: Context, campaign: CampaignId, book: Book) -> None:
    """A campaign accepts nothing any more; what it has accepted goes on (rule W6)."""
    ended = replace(book, status=CampaignStatus.ENDED, ended_ms=TimeMs(max(1, context.block.time_ms)))
    _move(state, context, campaign, ended)


def apply_settle(state: State, context: Context, call: Settle) -> None:
    """Rules W7 and W8; anybody may, and the money goes where the terms say."""
    now_ms = context.block.time_ms
    found, book = get_campaign(state, call.campaign), get_book(state, call.campaign)
    _check_status(found, book, now_ms, (CampaignStatus.ENDED,))
    check_grace_over(found, book, now_ms)
    if book.channels_open or book.complaints_open:
        raise Rejected(
            Reason.ADS_UNSETTLED,
            "channels are settled and complaints are decided first",
            channels=book.channels_open,
            complaints=book.complaints_open,
        )
    refund_grains = book.left_grains
    pay(state, found.terms.refund, refund_grains, now_ms)
    nothing = Grains(0)
    settled = replace(
        book,
        status=CampaignStatus.SETTLED,
        deposit_grains=nothing,
        reserved_grains=nothing,
        orders_open=0,
        refunded_grains=Grains(refund_grains),
    )
    put_book(state, call.campaign, settled)
    context.emit(MODULE_NAME, CampaignSettled.__name__, call.campaign, found.terms.refund, refund_grains)


def check_grace_over(found: Campaign, book: Book, now_ms: int) -> None:
    """Rule W7: whether nothing can be completed, posted or complained of any more; raises Rejected."""
    due_ms = find_settles_ms(found, book, now_ms)
    assert due_ms is not None, "the campaign has ended"
    if now_ms < due_ms:
        raise Rejected(Reason.ADS_TOO_EARLY, "the grace period is not over", until_ms=due_ms)


def get_sender_did(state: StateReader, context: Context) -> Did:
    """The active identity for which the sender's account acts; raises Rejected."""
    did = get_account_did(state, context.sender)
    if did is None:
        raise Rejected(Reason.ADS_NOT_YOURS, "the sender's account acts for no identity")
    get_active_did(state, did)
    return did


def list_involved(state: StateReader, found: Campaign) -> tuple[Did | None, ...]:
    """Who has a part in a campaign: whose it is, who works for it, and whose accounts it pays (rules W4 and W19)."""
    terms = found.terms
    paid = [get_account_did(state, address) for address in (terms.platform, terms.refund)]
    return (found.advertiser, terms.offerer, terms.matcher, *paid)


def check_recipient(state: StateReader, address: Address) -> None:
    """Whether an account can be paid; raises Rejected."""
    if is_module_address(address) or get_account(state, address).flags & IS_CONTRACT:
        raise Rejected(Reason.RECIPIENT_NOT_ALLOWED, "modules and contracts are not paid by campaigns")


def check_terms(state: StateReader, context: Context, terms: Terms) -> None:
    """Rule W2; raises Rejected."""
    context.gas.charge(GAS_TARGETING_BYTE * len(terms.targeting) + GAS_BYTE * len(terms.metadata_uri))
    try:
        unpack_expression(terms.targeting)
    except InvalidTargetingError as error:
        raise Rejected(Reason.ADS_BAD_TARGETING, str(error)) from None
    problem = _find_problem(terms, context.block.time_ms)
    if problem is not None:
        raise Rejected(Reason.ADS_BAD_TERMS, problem)
    check_recipient(state, terms.platform)
    check_recipient(state, terms.refund)
    for did in (terms.offerer, terms.matcher):
        if did is not None:
            get_active_did(state, did)


def _find_problem(terms: Terms, now_ms: int) -> str | None:
    split = terms.split
    if not is_normal_uri(terms.metadata_uri):
        return "the metadata is found by a URI in its normal form"
    if not (terms.start_ms < terms.end_ms <= terms.start_ms + PERIOD_MS_MAX and now_ms < terms.end_ms):
        return "the period ends after it begins and after now, and is not too long"
    if split.user_bps + split.publisher_bps + split.platform_bps != BPS:
        return f"the shares are {BPS} together"
    if not all(left.kind < right.kind for left, right in pairwise(terms.items)):
        return "items stand in order of their kinds, each once"
    if any(item.units_min > item.units_max for item in terms.items):
        return "the least number of units is no more than the highest"
    if any(item.price_grains_max * item.units_max > SUPPLY_GRAINS for item in terms.items):
        return "no delivery is worth more IOV than there is"
    if terms.fixed is not None:
        if any(item.price_grains_max or item.price_grains_min for item in terms.items):
            return "items have no prices where a fixed total is shared"
        if terms.fixed.total_grains < terms.fixed.deliveries:
            return "every delivery is worth a grain"
    elif any(not 1 <= item.price_grains_min <= item.price_grains_max for item in terms.items):
        return "the lowest price of an item is a grain, and no more than the highest"
    return None


def _get_own(
    state: StateReader, context: Context, campaign: CampaignId, statuses: tuple[CampaignStatus, ...]
) -> tuple[Campaign, Book]:
    """The sender's campaign, which stands there; raises Rejected."""
    found, book = get_campaign(state, campaign), get_book(state, campaign)
    if get_sender_did(state, context) != found.advertiser:
        raise Rejected(Reason.ADS_NOT_YOURS, "the campaign is another advertiser's")
    _check_status(found, book, context.block.time_ms, statuses)
    return found, book


def _check_status(found: Campaign, book: Book, now_ms: int, statuses: tuple[CampaignStatus, ...]) -> None:
    status = compute_status(found, book, now_ms)
    if status not in statuses:
        raise Rejected(Reason.ADS_WRONG_STATUS, f"the campaign is {status.name.lower()}", status=int(status))


def _raise_deposit(state: StateReader, found: Campaign, book: Book, grains: int, now_ms: int) -> Book:
    """Rule W3: a part of these grains waits, by the score of now; what was promised before is not asked for more."""
    rules = get_rules(state)
    score = compute_score(get_points(state, found.advertiser, rules, now_ms))
    bps = compute_deposit_bps(rules.deposit_bps_min, rules.deposit_bps_max, score)
    return replace(book, deposit_grains=Grains(book.deposit_grains + compute_deposit(grains, bps)))


def _move(state: State, context: Context, campaign: CampaignId, book: Book) -> None:
    put_book(state, campaign, book)
    context.emit(MODULE_NAME, CampaignMoved.__name__, campaign, int(book.status))
