"""Campaigns and orders: rules W1 to W13."""

from dataclasses import replace

import pytest

from identity.targeting import PackedExpression, pack_expression, parse_expression
from ledger.codec import encode
from ledger.primitives import INTEGER_MAX, Grains, TimeMs
from ledger.reasons import Reason
from ledger.receipt import Event
from ledger.transaction import Call
from tests.ads_scene import FIRST, HASH, ITEMS, RICH, START_MS, AdsScene
from tests.builders import address_of
from tests.did_scene import build_call, key_of
from vm.gas import GAS_BYTE
from vm.native.accounts import DAY_MS
from vm.native.ads_campaigns import GAS_TARGETING_BYTE
from vm.native.ads_formulas import Split
from vm.native.ads_records import (
    DEFAULT_RULES,
    NEW_BOOK,
    PERIOD_MS_MAX,
    Campaign,
    CampaignStatus,
    Credit,
    DeliveryKind,
    KindTotal,
    OrderStatus,
    compute_order_id,
    compute_terms_hash,
    put_book,
    put_credit,
)
from vm.native.iov import TREASURY_ADDRESSES, get_balance
from vm.native.role_records import Role, end_grant

GRACE_MS = DEFAULT_RULES.windows.grace_ms


@pytest.fixture
def scene():
    return AdsScene()


@pytest.fixture
def running(scene):
    scene.run_campaign()
    return scene


# W1, W2


def test_a_campaign_begins_as_a_draft(scene):
    receipt = scene.do("advertiser", "create", scene.terms())
    assert receipt.events == (Event("ads", "CampaignCreated", [1, scene.dids["advertiser"]]),)
    described = scene.answer("campaign", FIRST)
    assert (described.found, described.book) == (Campaign(scene.dids["advertiser"], scene.terms()), NEW_BOOK)
    assert (described.status, described.free_grains, described.ended_ms) == (CampaignStatus.DRAFT, 0, None)
    scene.do("advertiser", "create", scene.terms())
    assert scene.answer("campaigns", scene.dids["advertiser"]) == [2, 1]
    assert (scene.answer("count"), scene.answer("campaign", 3)) == (2, None)


def test_only_an_advertiser_begins_and_resumes_one(running):
    running.refuse("alice", Reason.ROLE_MISSING, "create", running.terms())
    running.do("advertiser", "pause", FIRST)
    end_grant(running.state, running.dids["advertiser"], Role.ADVERTISER)
    running.refuse("advertiser", Reason.ROLE_MISSING, "resume", FIRST)
    running.do("advertiser", "end", FIRST)


def test_nobody_else_changes_a_campaign(running):
    for name in ("pause", "end"):
        running.refuse("alice", Reason.ADS_NOT_YOURS, name, FIRST)
        running.refuse("sender", Reason.ADS_NOT_YOURS, name, FIRST)
    running.grant("bob", Role.ADVERTISER)
    for arguments in (("revise", FIRST, running.terms()), ("submit", FIRST), ("resume", FIRST)):
        running.refuse("bob", Reason.ADS_NOT_YOURS, *arguments)


def test_terms_change_while_it_is_a_draft(scene):
    scene.do("advertiser", "create", scene.terms())
    scene.do("advertiser", "revise", FIRST, scene.terms(cap=9))
    assert scene.answer("campaign", FIRST).found.terms == scene.terms(cap=9)
    scene.fund("advertiser", 10**6)
    scene.do("advertiser", "submit", FIRST)
    scene.refuse("advertiser", Reason.ADS_WRONG_STATUS, "revise", FIRST, scene.terms())


CLICK = ITEMS[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"end_ms": TimeMs(START_MS)},
        {"start_ms": TimeMs(1), "end_ms": TimeMs(START_MS - 1)},
        {"end_ms": TimeMs(START_MS + PERIOD_MS_MAX + 1)},
        {"split": Split(5_000, 5_000, 1)},
        {"split": Split(5_000, 4_999, 0)},
        {"items": (CLICK, ITEMS[0])},
        {"items": (CLICK, CLICK)},
        {"items": (replace(CLICK, units_min=2),)},
        {"items": (replace(CLICK, price_grains_max=Grains(10**18 + 1)),)},
        {"items": (replace(CLICK, price_grains_min=Grains(0)),)},
        {"items": (replace(CLICK, price_grains_min=Grains(5_001)),)},
        {"metadata_uri": "HTTPS://ads.example/1"},
    ],
)
def test_terms_that_do_not_go_together(scene, changes):
    scene.refuse("advertiser", Reason.ADS_BAD_TERMS, "create", scene.terms(**changes))


def test_a_fixed_total_has_no_prices_and_a_grain_for_everybody(scene):
    priced = replace(scene.fixed_terms(100, 3), items=ITEMS)
    scene.refuse("advertiser", Reason.ADS_BAD_TERMS, "create", priced)
    scene.refuse("advertiser", Reason.ADS_BAD_TERMS, "create", scene.fixed_terms(2, 3))
    scene.do("advertiser", "create", scene.fixed_terms(3, 3))


def test_targeting_has_its_one_form(scene):
    for packed in (b"\x01", b"\x02\x01\x01\x01a", b"\x01\x01\x01\x01aa"):
        terms = scene.terms(targeting=PackedExpression(packed))
        scene.refuse("advertiser", Reason.ADS_BAD_TARGETING, "create", terms)


def test_whoever_is_named_exists_and_can_be_paid(scene):
    module = TREASURY_ADDRESSES["core"]
    for changes in ({"platform": module}, {"refund": module}):
        scene.refuse("advertiser", Reason.RECIPIENT_NOT_ALLOWED, "create", scene.terms(**changes))
    for changes in ({"offerer": bytes(20)}, {"matcher": bytes(20)}):
        scene.refuse("advertiser", Reason.UNKNOWN_DID, "create", scene.terms(**changes))


def test_terms_are_paid_for_by_what_it_takes_to_check_them(scene):
    terms = scene.terms(
        targeting=pack_expression(parse_expression(" or ".join(f"user.a{n} >= {n}" for n in range(21))))
    )
    spent = [
        scene.do("advertiser", *arguments, each).gas_used - GAS_BYTE * len(encode(each))
        for arguments in (("create",), ("revise", FIRST))
        for each in (scene.terms(), terms)
    ]
    more = GAS_TARGETING_BYTE * (len(terms.targeting) - len(scene.terms().targeting))
    assert [spent[1] - spent[0], spent[3] - spent[2]] == [more, more]


# W3


def test_a_part_of_what_is_paid_in_is_the_deposit(scene):
    scene.do("advertiser", "create", scene.terms())
    scene.fund("bob", 10_001)
    assert (scene.book().funded_grains, scene.book().deposit_grains) == (10_001, 0)
    scene.do("advertiser", "submit", FIRST)
    assert (scene.book().deposit_grains, scene.book().free_grains) == (501, 9_500)
    receipt = scene.fund("bob", 20)
    assert receipt.events[0].fields[2:] == [20, 502]


def test_a_low_score_asks_for_more(scene):
    put_credit(scene.state, scene.dids["advertiser"], Credit(2_500, TimeMs(START_MS), 1, 0))
    scene.run_campaign(10**6)
    assert scene.book().deposit_grains == 162_500  # 1,625 of 10,000; the points have not decayed in seconds


def test_more_money_leaves_what_was_paid_in_before_as_it_is(scene):
    scene.run_campaign(10**6)
    scene.accept(scene.build_open_channel(800_000))
    put_credit(scene.state, scene.dids["advertiser"], Credit(10_000, TimeMs(scene.now_ms), 4, 0))
    free = scene.book().free_grains
    scene.fund("mask", 1)
    assert (scene.book().deposit_grains, scene.book().free_grains) == (50_001, free)
    scene.fund("mask", 10**6)
    assert (scene.book().deposit_grains, scene.book().free_grains) == (550_001, free + 500_000)


def test_what_the_terms_promise_is_there_when_it_is_submitted(scene):
    scene.do("advertiser", "create", scene.terms())
    scene.refuse("advertiser", Reason.ADS_UNDERFUNDED, "submit", FIRST)
    scene.fund("advertiser", 210)
    scene.refuse("advertiser", Reason.ADS_UNDERFUNDED, "submit", FIRST)  # 199 are free; two minutes cost 200
    scene.fund("advertiser", 1)
    scene.do("advertiser", "submit", FIRST)
    scene.do("advertiser", "create", scene.fixed_terms(1_000, 3))
    scene.fund("advertiser", 1_052, 2)
    scene.refuse("advertiser", Reason.ADS_UNDERFUNDED, "submit", 2)
    scene.fund("advertiser", 1, 2)
    scene.do("advertiser", "submit", 2)


@pytest.mark.parametrize("amount", [0, -1])
def test_amounts_that_are_none(scene, amount):
    scene.do("advertiser", "create", scene.terms())
    scene.refuse("bob", Reason.BAD_ARGUMENTS, "fund", FIRST, amount, scene.refund)


def test_nobody_pays_what_he_does_not_have(scene):
    scene.do("advertiser", "create", scene.terms())
    scene.refuse("bob", Reason.INSUFFICIENT_BALANCE, "fund", FIRST, RICH, scene.refund)
    scene.refuse("bob", Reason.INSUFFICIENT_BALANCE, "fund", FIRST, INTEGER_MAX, scene.refund)
    scene.refuse("bob", Reason.ADS_UNKNOWN_CAMPAIGN, "fund", 2, 1, scene.refund)


def test_what_a_sponsor_pays_in_goes_where_the_terms_said_then(scene):
    bob, advertiser = (address_of(key_of(who)) for who in ("bob", "advertiser"))
    scene.do("advertiser", "create", scene.terms(refund=bob))
    scene.refuse("bob", Reason.ADS_OTHER_REFUND, "fund", FIRST, 10**6, advertiser)
    scene.do("advertiser", "revise", FIRST, scene.terms(refund=scene.refund))
    scene.refuse("bob", Reason.ADS_OTHER_REFUND, "fund", FIRST, 10**6, bob)
    scene.do("bob", "fund", FIRST, 10**6, scene.refund)
    scene.refuse("advertiser", Reason.ADS_REFUND_FIXED, "revise", FIRST, scene.terms(refund=advertiser))
    scene.do("advertiser", "revise", FIRST, scene.terms(cap=9))
    scene.do("advertiser", "end", FIRST)
    scene.do("advertiser", "settle", FIRST)
    assert get_balance(scene.state, scene.refund) == 10**6


# W4, W5


def test_a_reviewer_lets_it_run(scene):
    scene.do("advertiser", "create", scene.terms())
    scene.fund("advertiser", 10**6)
    terms_hash = compute_terms_hash(scene.terms())
    scene.refuse("reviewer", Reason.ADS_WRONG_STATUS, "review", FIRST, terms_hash, True, HASH)
    scene.do("advertiser", "submit", FIRST)
    scene.refuse("alice", Reason.ROLE_MISSING, "review", FIRST, terms_hash, True, HASH)
    scene.refuse("reviewer", Reason.ADS_BAD_TERMS, "review", FIRST, compute_terms_hash(scene.terms(cap=9)), True, HASH)
    scene.refuse_call(scene.build_accept(scene.acceptance()), Reason.ADS_WRONG_STATUS)
    receipt = scene.review()
    assert receipt.events == (
        Event("ads", "CampaignReviewed", [1, scene.dids["reviewer"], True, HASH]),
        Event("ads", "CampaignMoved", [1, 3]),
    )


def test_who_has_a_part_in_a_campaign_does_not_review_it(scene):
    account = address_of(key_of("reviewer"))
    scene.grant("advertiser", Role.COMMUNITY_ADMINISTRATOR)
    parts = ({"offerer": scene.dids["reviewer"]}, {"matcher": scene.dids["reviewer"]})
    for changes in (*parts, {"platform": account}, {"refund": account}):
        terms = scene.terms(**changes)
        scene.do("advertiser", "create", terms)
        number = scene.answer("count")
        scene.fund("advertiser", 10**6, number)
        scene.do("advertiser", "submit", number)
        for who in ("advertiser", "reviewer"):
            scene.refuse(who, Reason.ADS_NOT_YOURS, "review", number, compute_terms_hash(terms), True, HASH)
        scene.do("judge0", "review", number, compute_terms_hash(terms), True, HASH)


def test_a_reviewer_sends_it_back(scene):
    scene.do("advertiser", "create", scene.terms())
    scene.fund("advertiser", 10**6)
    scene.do("advertiser", "submit", FIRST)
    scene.review(is_approved=False)
    assert scene.book() == replace(NEW_BOOK, funded_grains=10**6)
    scene.do("advertiser", "revise", FIRST, scene.terms(cap=1))
    scene.do("advertiser", "end", FIRST)
    scene.do("alice", "settle", FIRST)  # it never ran, so nobody waits
    assert get_balance(scene.state, scene.refund) == 10**6


def test_a_pause_accepts_nothing_and_completes(running):
    order = running.accept_order()
    running.do("advertiser", "pause", FIRST)
    running.refuse("advertiser", Reason.ADS_WRONG_STATUS, "pause", FIRST)
    running.refuse_call(running.build_accept(running.acceptance(slot=1)), Reason.ADS_WRONG_STATUS)
    running.accept(running.build_complete(order))
    running.do("advertiser", "resume", FIRST)
    running.refuse("advertiser", Reason.ADS_WRONG_STATUS, "resume", FIRST)
    running.accept_order(slot=1)


# W6 to W8


def test_it_ends_with_its_period(running):
    running.now_ms = running.terms().end_ms - 1
    running.accept_order()
    running.now_ms = running.terms().end_ms
    running.refuse_call(running.build_accept(running.acceptance(slot=1)), Reason.ADS_WRONG_STATUS)
    described = running.answer("campaign", FIRST)
    assert (described.status, described.ended_ms) == (CampaignStatus.ENDED, running.terms().end_ms)
    running.refuse("advertiser", Reason.ADS_WRONG_STATUS, "end", FIRST)
    running.refuse("bob", Reason.ADS_WRONG_STATUS, "fund", FIRST, 1, running.refund)


def test_a_draft_ends_with_its_period_too_so_that_no_money_is_stuck(scene):
    scene.do("advertiser", "create", scene.terms())
    scene.fund("bob", 10**6)
    advertiser = scene.dids["advertiser"]
    scene.accept(build_call(scene.deactivate(advertiser), "advertiser", name="deactivate"))
    scene.refuse("bob", Reason.ADS_WRONG_STATUS, "settle", FIRST)
    scene.now_ms = scene.terms().end_ms
    scene.do("bob", "settle", FIRST)
    assert get_balance(scene.state, scene.refund) == 10**6


def test_it_begins_with_its_period(scene):
    scene.run_campaign(start_ms=TimeMs(START_MS + DAY_MS))
    scene.refuse_call(scene.build_accept(scene.acceptance()), Reason.ADS_TOO_EARLY)
    scene.now_ms = START_MS + DAY_MS
    scene.accept_order()


def test_an_order_from_before_the_end_completes_within_its_time(running):
    order = running.accept_order()
    running.do("advertiser", "end", FIRST)
    running.refuse_call(running.build_accept(running.acceptance(slot=1)), Reason.ADS_WRONG_STATUS)
    running.now_ms = running.order(order).deadline_ms
    running.accept(running.build_complete(order))


def test_no_order_completes_after_the_grace_period(scene):
    scene.run_campaign()
    windows = replace(DEFAULT_RULES.windows, completion_ms=2 * DAY_MS, grace_ms=DAY_MS)
    put_book(scene.state, FIRST, replace(scene.book(), windows=windows))
    scene.state.forget_marks()
    order = scene.accept_order()
    scene.do("advertiser", "end", FIRST)
    over_ms = scene.book().ended_ms + DAY_MS
    scene.now_ms = over_ms
    assert scene.order(order).deadline_ms > over_ms
    scene.refuse_call(scene.build_complete(order), Reason.ADS_ORDER_OVER)
    scene.do("bob", "settle", FIRST)
    scene.refuse_call(scene.build_complete(order), Reason.ADS_ORDER_OVER)
    scene.refuse("bob", Reason.ADS_WRONG_STATUS, "lapse", order)


def test_the_rest_goes_back_to_the_grain(running):
    done, open_order = running.accept_order(), running.accept_order("bob")
    running.accept(running.build_complete(done))
    running.do("advertiser", "end", FIRST)
    ended_ms = running.book().ended_ms
    running.now_ms = ended_ms + GRACE_MS - 1
    running.refuse("bob", Reason.ADS_TOO_EARLY, "settle", FIRST)
    running.now_ms = ended_ms + GRACE_MS
    receipt = running.do("bob", "settle", FIRST)
    assert receipt.events == (Event("ads", "CampaignSettled", [1, running.refund, 10**6 - 1_001]),)
    book = running.book()
    assert (book.paid_grains, book.refunded_grains, book.left_grains) == (1_001, 998_999, 0)
    assert get_balance(running.state, running.refund) == 998_999
    assert running.answer("campaign", FIRST).free_grains == 0
    running.refuse("bob", Reason.ADS_WRONG_STATUS, "settle", FIRST)
    running.refuse_call(running.build_complete(open_order, signers=("bob", "publisher")), Reason.ADS_ORDER_OVER)
    for name in ("end", "pause", "fund"):
        arguments = (FIRST, 1, running.refund) if name == "fund" else (FIRST,)
        running.refuse("advertiser", Reason.ADS_WRONG_STATUS, name, *arguments)


# W9


def test_an_order_is_accepted_and_paid(running):
    before = {who: running.balance(who) for who in ("alice", "publisher")}
    payload = running.acceptance()
    receipt = running.accept(running.build_accept(payload))
    order = compute_order_id(FIRST, payload.nullifier)
    publisher = running.dids["publisher"]
    assert receipt.events == (Event("ads", "OrderAccepted", [order, 1, publisher, 4, 1_001]),)
    assert running.book().reserved_grains == 1_001
    receipt = running.accept(running.build_complete(order))
    assert receipt.events == (Event("ads", "OrderCompleted", [order, 1, 1, 502, 333, 166]),)
    assert {who: running.balance(who) - before[who] for who in before} == {"alice": 502, "publisher": 333}
    assert get_balance(running.state, running.platform) == 166
    found = running.answer("order", order)
    assert (found.status, found.units, found.gross_grains) == (OrderStatus.COMPLETED, 1, 1_001)
    book = running.book()
    assert (book.reserved_grains, book.orders_open, book.accepted, book.persons) == (0, 0, 1, 1)
    assert book.totals[DeliveryKind.CLICK - 1] == KindTotal(1, 1, Grains(1_001))


def test_minutes_are_paid_one_by_one(running):
    order = running.accept_order(offer=running.live_offer())
    assert running.book().reserved_grains == 6_000
    for units in (1, 61):
        running.refuse_call(running.build_complete(order, units), Reason.ADS_BAD_COMPLETION)
    running.accept(running.build_complete(order, 33))
    book = running.book()
    assert (book.reserved_grains, book.paid_grains, book.free_grains) == (0, 3_300, 946_700)


@pytest.mark.parametrize(
    "changes",
    [
        {"price_grains": Grains(1_000)},
        {"price_grains": Grains(5_001)},
        {"price_grains": Grains(INTEGER_MAX)},
        {"units_max": 2},
        {"kind": DeliveryKind.MESSAGE_READ},
        {"until_ms": TimeMs(START_MS)},
    ],
)
def test_an_offer_is_within_the_terms(running, changes):
    payload = running.acceptance(offer=running.offer(**changes))
    running.refuse_call(running.build_accept(payload), Reason.ADS_BAD_OFFER)


def test_an_offer_is_taken_up_to_its_last_moment(running):
    offer = running.offer()
    running.now_ms = offer.until_ms
    running.accept_order(offer=offer)
    running.now_ms = offer.until_ms + 1
    running.refuse_call(running.build_accept(running.acceptance(slot=1, offer=offer)), Reason.ADS_BAD_OFFER)


def test_nobody_publishes_for_himself(running):
    payload = running.acceptance(offer=running.offer(publisher=running.dids["alice"]))
    running.refuse_call(running.build_accept(payload, ("alice",)), Reason.ADS_BAD_OFFER)


@pytest.mark.parametrize(
    ("signers", "reason"),
    [
        (("alice",), Reason.DID_NOT_AUTHORISED),
        (("publisher",), Reason.DID_NOT_AUTHORISED),
        (("alice", "publisher", "bob"), Reason.DID_FOREIGN_SIGNER),
        (("alice", "publisher.forged"), Reason.DID_UNKNOWN_KEY),
        (("alice.forged", "publisher"), Reason.DID_UNKNOWN_KEY),
    ],
)
def test_user_and_publisher_sign(running, signers, reason):
    running.refuse_call(running.build_accept(running.acceptance(), signers), reason)
    order = running.accept_order()
    running.refuse_call(running.build_complete(order, signers=signers), reason)


def test_a_forged_countersignature_is_wrong(running):
    call = running.build_accept(running.acceptance())
    signature = call.arguments[2][1][3]
    call.arguments[2][1][3] = bytes([signature[0] ^ 1]) + signature[1:]
    running.refuse_call(call, Reason.DID_BAD_SIGNATURE)


def test_the_offerer_signs_the_offer(running):
    payload = running.acceptance()
    running.refuse_call(running.build_accept(payload, offerers=("bob",)), Reason.DID_FOREIGN_SIGNER)
    running.refuse_call(running.build_accept(payload, offerers=("advertiser.forged",)), Reason.DID_UNKNOWN_KEY)
    cheap, dear = running.offer(), running.offer(price_grains=Grains(5_000))
    call = running.build_accept(running.acceptance(offer=dear))
    call.arguments[1] = running.build_accept(running.acceptance(offer=cheap)).arguments[1]
    running.refuse_call(call, Reason.DID_BAD_SIGNATURE)


def test_a_word_about_one_campaign_says_nothing_of_another(running):
    running.run_campaign()
    first = running.build_accept(running.acceptance())
    other = running.build_accept(running.acceptance(offer=running.offer(campaign=2)))
    mixed = Call("ads", "accept", [other.arguments[0], *first.arguments[1:]])
    running.refuse_call(mixed, Reason.DID_BAD_SIGNATURE)
    offered = Call("ads", "accept", [*other.arguments[:2], first.arguments[2]])
    running.refuse_call(offered, Reason.DID_BAD_SIGNATURE)
    order = running.accept_order()
    second = running.accept_order(offer=running.offer(campaign=2))
    assert order != second
    complete, wanted = running.build_complete(order), running.build_complete(second)
    running.refuse_call(Call("ads", "complete", [wanted.arguments[0], complete.arguments[1]]), Reason.DID_BAD_SIGNATURE)


# W10


def test_orders_that_compete_promise_no_grain_twice(scene):
    scene.run_campaign(3 * 1_001 + 500)  # 3,327 of it are free
    takers = [(who, slot) for who in ("alice", "bob") for slot in (0, 1)]
    calls = [scene.build_accept(scene.acceptance(who, slot), (who, "publisher")) for who, slot in takers]
    assert [scene.send(call).reason for call in calls] == [0, 0, 0, Reason.ADS_UNDERFUNDED]
    assert scene.book().reserved_grains == 3_003


def test_it_is_exhausted_until_more_comes_in(scene):
    scene.run_campaign(1_265, items=(CLICK,))  # 1,201 are free
    order = scene.accept_order()
    assert scene.answer("campaign", FIRST).status is CampaignStatus.EXHAUSTED
    scene.refuse_call(scene.build_accept(scene.acceptance(slot=1)), Reason.ADS_UNDERFUNDED)
    scene.accept(scene.build_complete(order))
    scene.fund("bob", 1_000)
    assert scene.answer("campaign", FIRST).status is CampaignStatus.RUNNING
    scene.accept_order(slot=1)


def test_it_runs_to_the_last_grain(scene):
    scene.run_campaign(1_054, items=(CLICK,))
    assert (scene.book().free_grains, scene.answer("campaign", FIRST).status) == (1_001, CampaignStatus.RUNNING)
    scene.accept_order()
    assert (scene.book().free_grains, scene.answer("campaign", FIRST).status) == (0, CampaignStatus.EXHAUSTED)


def test_a_day_promises_so_much(scene):
    scene.run_campaign(daily_grains_max=2_500)
    scene.accept_order()
    scene.accept_order(slot=1)
    scene.refuse_call(scene.build_accept(scene.acceptance("bob"), ("bob", "publisher")), Reason.ADS_PACE_EXCEEDED)
    scene.refuse_call(scene.build_open_channel(499), Reason.ADS_PACE_EXCEEDED)
    scene.accept(scene.build_open_channel(498))
    scene.now_ms = START_MS + DAY_MS
    scene.accept_order("bob")
    assert (scene.book().day, scene.book().day_grains) == (20_801, 1_001)


def test_a_fixed_total_is_shared_by_its_deliveries(scene):
    terms = scene.fixed_terms(1_000, 3)
    scene.do("advertiser", "create", terms)
    scene.fund("advertiser", 2_000)
    scene.do("advertiser", "submit", FIRST)
    scene.review()
    offer = scene.offer(price_grains=Grains(0))
    orders = [scene.accept_order(who, slot, offer=offer) for who, slot in (("alice", 0), ("alice", 1), ("bob", 0))]
    assert [scene.order(order).reserved_grains for order in orders] == [333, 333, 334]
    last = scene.build_accept(scene.acceptance("bob", 1, offer=offer), ("bob", "publisher"))
    scene.refuse_call(last, Reason.ADS_UNDERFUNDED)
    for order, who in zip(orders, ("alice", "alice", "bob"), strict=True):
        scene.accept(scene.build_complete(order, signers=(who, "publisher")))
    assert (scene.book().paid_grains, scene.book().persons) == (1_000, 2)


# W11


def test_the_cap_is_a_persons(running):
    running.accept_order()
    running.accept_order(slot=1)
    running.refuse_call(running.build_accept(running.acceptance(slot=2)), Reason.ADS_BAD_NULLIFIER)


def test_a_slot_is_used_once(running):
    order = running.accept_order()
    for offer in (running.offer(), running.live_offer()):
        running.refuse_call(running.build_accept(running.acceptance(offer=offer)), Reason.ADS_SLOT_USED)
    running.accept(running.build_complete(order))
    running.refuse_call(running.build_accept(running.acceptance()), Reason.ADS_SLOT_USED)


def test_a_second_nullifier_for_a_slot_is_none(running):
    for nullifier in (running.nullify("bob"), running.nullify("alice", 1), running.nullify("alice", 0, 2), HASH):
        payload = running.acceptance(nullifier=nullifier)
        running.refuse_call(running.build_accept(payload), Reason.ADS_BAD_NULLIFIER)


def test_without_a_matcher_the_user_is_a_person(running):
    end_grant(running.state, running.dids["alice"], Role.PERSON)
    running.refuse_call(running.build_accept(running.acceptance()), Reason.ROLE_MISSING)


def test_a_matcher_vouches_for_pseudonyms(scene):
    scene.run_campaign(matcher=scene.dids["matcher"])
    nullifier = scene.nullify("alice", is_matched=True)
    payload = scene.acceptance("mask", nullifier=nullifier)  # nobody has granted it a role
    for signers, reason in (
        (("mask", "publisher"), Reason.DID_NOT_AUTHORISED),
        (("mask", "publisher", "matcher.forged"), Reason.DID_UNKNOWN_KEY),
    ):
        scene.refuse_call(scene.build_accept(payload, signers), reason)
    scene.accept(scene.build_accept(payload, ("mask", "publisher", "matcher")))
    again = scene.acceptance("alice", nullifier=nullifier)
    scene.refuse_call(scene.build_accept(again, ("alice", "publisher", "matcher")), Reason.ADS_SLOT_USED)
    order = compute_order_id(FIRST, nullifier)
    scene.accept(scene.build_complete(order, signers=("mask", "publisher")))


def test_what_the_matcher_signed_is_for_one_pseudonym_and_slot(scene):
    scene.run_campaign(matcher=scene.dids["matcher"])
    signers = ("alice", "publisher", "matcher")
    signed = scene.build_accept(scene.acceptance(nullifier=scene.nullify("alice", is_matched=True)), signers)
    for payload in (scene.acceptance(slot=1), scene.acceptance(nullifier=HASH)):
        other = scene.build_accept(payload, signers)
        mixed = [*other.arguments[2][:2], signed.arguments[2][2]]
        scene.refuse_call(Call("ads", "accept", [*other.arguments[:2], mixed]), Reason.DID_BAD_SIGNATURE)


# W12, W13


def test_an_order_completes_once_and_in_time(running):
    order, late = running.accept_order(), running.accept_order("bob")
    running.accept(running.build_complete(order))
    running.refuse_call(running.build_complete(order), Reason.ADS_ORDER_OVER)
    deadline_ms = running.order(late).deadline_ms
    running.now_ms = deadline_ms
    running.refuse("sender", Reason.ADS_TOO_EARLY, "lapse", late)
    running.now_ms = deadline_ms + 1
    running.refuse_call(running.build_complete(late, signers=("bob", "publisher")), Reason.ADS_ORDER_OVER)
    receipt = running.do("sender", "lapse", late)
    assert receipt.events == (Event("ads", "OrderLapsed", [late, 1, 1_001]),)
    running.refuse("sender", Reason.ADS_ORDER_OVER, "lapse", late)
    book = running.book()
    assert (book.reserved_grains, book.orders_open, book.paid_grains) == (0, 0, 1_001)
    running.refuse_call(running.build_accept(running.acceptance("bob"), ("bob", "publisher")), Reason.ADS_SLOT_USED)
    running.refuse_call(running.build_complete(HASH), Reason.ADS_UNKNOWN_ORDER)


def test_whoever_has_no_account_is_not_paid(running):
    order = running.accept_order()
    alice = running.dids["alice"]
    running.accept(build_call(running.on_version(alice), "alice", name="unlink_account"))
    running.refuse_call(running.build_complete(order), Reason.ADS_NOT_PAYABLE)
    running.refuse_call(running.build_accept(running.acceptance(slot=1)), Reason.ADS_NOT_PAYABLE)


def test_who_is_reached_is_counted_when_it_is_delivered_and_once(running):
    lapsed, begun = running.accept_order(), running.accept_order("bob", slot=1)
    assert running.book().persons == 0
    running.accept(running.build_complete(begun, signers=("bob", "publisher")))
    assert running.book().persons == 1
    running.pass_time(DAY_MS + 1_000)
    running.do("bob", "lapse", lapsed)
    again = running.accept_order("bob", slot=0)
    running.accept(running.build_complete(again, signers=("bob", "publisher")))
    assert running.book().persons == 1
    running.accept(running.build_complete(running.accept_order(slot=1)))
    assert running.book().persons == 2
