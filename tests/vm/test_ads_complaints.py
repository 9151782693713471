"""Complaints, panels and credit: rules W17 to W21."""

from dataclasses import replace
from hashlib import sha256

import pytest

from ledger.codec import to_plain
from ledger.primitives import BlockHash, Grains, Height, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.transaction import Call
from tests.ads_scene import ENOUGH, FIRST, HASH, AdsScene
from tests.builders import DOMAIN, address_of, block_context
from tests.did_scene import key_of
from tests.stake_scene import StakeScene
from vm.native.ads_formulas import draw_panel
from vm.native.ads_records import (
    COMPLAINTS_OPEN_MAX,
    DEFAULT_RULES,
    FINDINGS,
    CampaignStatus,
    Complaint,
    Credit,
    Draw,
    Verdict,
    check_rules,
    put_book,
    put_complaint,
    put_draw,
    put_rules,
)
from vm.native.governance import _DECISIONS_BY_CALL, Priority, ProposeAdsRules, Terms
from vm.native.iov import TREASURY_ADDRESSES, get_balance
from vm.native.role_records import Role, end_grant

STAKE = DEFAULT_RULES.stake_grains
UPHELD, DISMISSED, ABUSIVE = FINDINGS


@pytest.fixture
def scene():
    scene = AdsScene()
    scene.run_campaign(10**11)
    scene.enrol_judges()
    return scene


@pytest.fixture
def filed(scene):
    scene.complain("alice")
    return scene


def _name(scene, did):
    return next(name for name, each in scene.dids.items() if each == did)


def _judge(scene, verdicts, complaint=1):
    panel = scene.answer("complaint", complaint).panel
    receipts = [
        scene.do(_name(scene, member), "judge", complaint, verdict, HASH)
        for member, verdict in zip(panel, verdicts, strict=False)
    ]
    return receipts[-1]


def _get_treasury(scene):
    return sum(get_balance(scene.state, address) for address in TREASURY_ADDRESSES.values())


# W17


def test_reviewers_enrol_and_withdraw(scene):
    scene.refuse("alice", Reason.ROLE_MISSING, "enrol")
    scene.refuse("judge0", Reason.ADS_BAD_COMPLAINT, "enrol")
    assert scene.do("judge5", "enrol").events == (Event("ads", "ReviewersChanged", [scene.dids["judge5"], True]),)
    assert scene.answer("reviewers") == sorted(scene.dids[f"judge{n}"] for n in range(6))
    assert scene.do("judge5", "withdraw").events == (Event("ads", "ReviewersChanged", [scene.dids["judge5"], False]),)
    scene.refuse("judge5", Reason.ADS_BAD_COMPLAINT, "withdraw")


def test_so_many_are_enrolled_and_those_who_lost_the_role_make_room(scene, monkeypatch):
    monkeypatch.setattr("vm.native.ads_complaints.REVIEWERS_MAX", 5)
    scene.refuse("judge5", Reason.ADS_BAD_COMPLAINT, "enrol")
    for name in ("judge0", "judge3"):
        end_grant(scene.state, scene.dids[name], Role.COMMUNITY_ADMINISTRATOR)
    lost = sorted(scene.dids[name] for name in ("judge0", "judge3"))
    events = [Event("ads", "ReviewersChanged", [each, False]) for each in lost]
    assert scene.do("judge5", "enrol").events == (
        *events,
        Event("ads", "ReviewersChanged", [scene.dids["judge5"], True]),
    )
    assert scene.answer("reviewers") == sorted(scene.dids[f"judge{n}"] for n in (1, 2, 4, 5))


# W18, W19


def test_a_complaint_stakes(scene):
    before, until_ms = scene.balance("alice"), scene.now_ms + DEFAULT_RULES.judging_ms
    receipt = scene.do("alice", "complain", FIRST, HASH, STAKE)
    assert receipt.events == (Event("ads", "ComplaintFiled", [1, 1, scene.dids["alice"]]),)
    assert before - scene.balance("alice") == STAKE + receipt.fee_grains
    complaint = scene.answer("complaint", 1)
    assert (complaint.panel, complaint.until_ms, complaint.votes, complaint.verdict) == ((), until_ms, (), None)
    assert scene.book().complaints_open == 1


def test_a_panel_is_drawn_with_a_hash_that_nobody_has_when_the_complaint_is_sent(scene):
    for number in (5, 6):
        scene.do(f"judge{number}", "enrol")
    candidates = sorted(scene.dids[f"judge{n}"] for n in range(7))
    foreseen = draw_panel(candidates, sha256(DOMAIN + bytes(32) + (1).to_bytes(8, "big")).digest(), 5)
    scene.do("alice", "complain", FIRST, HASH, STAKE)
    scene.height -= 1
    assert scene.pass_block() == ()  # the end of its own block
    scene.refuse("judge0", Reason.ADS_NOT_ON_PANEL, "judge", 1, UPHELD, HASH)
    scene.previous_hash = BlockHash(HASH)
    until_ms = scene.now_ms + DEFAULT_RULES.judging_ms
    panel = draw_panel(candidates, sha256(DOMAIN + HASH + (1).to_bytes(8, "big")).digest(), 5)
    assert scene.pass_block() == (Event("ads", "PanelDrawn", [1, 1, list(panel)]),)
    complaint = scene.answer("complaint", 1)
    assert (complaint.panel, complaint.until_ms) == (panel, until_ms)
    assert panel != foreseen
    assert scene.pass_block() == ()


def test_nobody_enrols_or_withdraws_with_the_hash_in_hand(scene):
    scene.do("alice", "complain", FIRST, HASH, STAKE)
    scene.do("judge5", "enrol")
    scene.do("judge0", "withdraw")
    scene.pass_block()
    assert sorted(scene.answer("complaint", 1).panel) == sorted(scene.dids[f"judge{n}"] for n in range(5))


def test_nothing_is_dismissed_before_there_is_a_panel(scene):
    scene.do("alice", "complain", FIRST, HASH, STAKE)
    scene.pass_time(DEFAULT_RULES.judging_ms + 1_000)  # the chain stood still
    scene.refuse("sender", Reason.ADS_TOO_EARLY, "close_complaint", 1)
    scene.pass_block()
    assert scene.answer("complaint", 1).until_ms == scene.now_ms + DEFAULT_RULES.judging_ms


def test_a_block_draws_so_many_panels(scene, monkeypatch):
    monkeypatch.setattr("vm.native.ads_complaints.DRAWS_MAX", 2)
    for who in ("alice", "bob", "mask"):
        scene.do(who, "complain", FIRST, HASH, ENOUGH)
    assert [event.fields[0] for event in scene.pass_block()] == [1, 2]
    assert [event.fields[0] for event in scene.pass_block()] == [3]


def test_no_panel_is_drawn_for_what_is_moot(filed):
    filed.do("bob", "complain", FIRST, HASH, ENOUGH)
    _judge(filed, [UPHELD] * 3)
    filed.do("sender", "close_complaint", 2)
    assert filed.pass_block() == ()
    assert filed.answer("complaint", 2).verdict is Verdict.MOOT


def test_panels_are_drawn_at_the_end_of_blocks():
    scene = StakeScene()
    put_draw(scene.state, 1, Draw(scene.height, (bytes(20),)))
    put_complaint(scene.state, 1, Complaint(1, bytes(20), bytes(20), 1, HASH, (), 1, (), None))
    events = [event for _ in range(2) for event in scene.end_block()]
    assert Event("ads", "PanelDrawn", [1, 1, [bytes(20)]]) in events


def test_whose_accounts_a_campaign_pays_is_not_drawn(scene):
    accounts = {"platform": address_of(key_of("judge0")), "refund": address_of(key_of("judge1"))}
    scene.run_campaign(10**6, **accounts, offerer=scene.dids["judge2"], matcher=scene.dids["judge3"])
    scene.do("alice", "complain", 2, HASH, STAKE)
    scene.pass_block()
    assert scene.answer("complaint", 1).panel == (scene.dids["judge4"],)


def test_who_has_a_part_in_it_is_not_drawn(scene):
    scene.do("reviewer", "enrol")
    end_grant(scene.state, scene.dids["judge0"], Role.COMMUNITY_ADMINISTRATOR)
    scene.complain("judge1")
    panel = scene.answer("complaint", 1).panel
    assert sorted(panel) == sorted(scene.dids[f"judge{n}"] for n in (2, 3, 4))


def test_somebody_has_to_judge(scene):
    for number in range(5):
        scene.do(f"judge{number}", "withdraw")
    scene.refuse("alice", Reason.ADS_BAD_COMPLAINT, "complain", FIRST, HASH, ENOUGH)


def test_one_complains_once_and_not_of_ones_own(filed):
    filed.refuse("alice", Reason.ADS_BAD_COMPLAINT, "complain", FIRST, HASH, ENOUGH)
    filed.refuse("advertiser", Reason.ADS_BAD_COMPLAINT, "complain", FIRST, HASH, ENOUGH)
    filed.refuse("sender", Reason.ADS_NOT_YOURS, "complain", FIRST, HASH, ENOUGH)
    filed.refuse("alice", Reason.ADS_UNKNOWN_CAMPAIGN, "complain", 2, HASH, ENOUGH)
    _judge(filed, [DISMISSED] * 3)
    filed.refuse("alice", Reason.ADS_BAD_COMPLAINT, "complain", FIRST, HASH, ENOUGH)


def test_so_many_complaints_are_open(scene):
    put_book(scene.state, FIRST, replace(scene.book(), complaints_open=COMPLAINTS_OPEN_MAX))
    scene.state.forget_marks()
    scene.refuse("bob", Reason.ADS_BAD_COMPLAINT, "complain", FIRST, HASH, ENOUGH)


def test_the_more_complaints_are_open_the_higher_the_stake(filed):
    filed.refuse("bob", Reason.ADS_STAKE_HIGHER, "complain", FIRST, HASH, 2 * STAKE - 1)
    filed.do("bob", "complain", FIRST, HASH, 2 * STAKE)
    filed.complain("mask")
    assert [filed.answer("complaint", number).stake_grains for number in (1, 2, 3)] == [STAKE, 2 * STAKE, 3 * STAKE]
    _judge(filed, [DISMISSED] * 3)
    filed.do("publisher", "complain", FIRST, HASH, 3 * STAKE)


def test_a_higher_stake_brings_no_higher_reward(filed):
    filed.complain("bob")
    receipt = _judge(filed, [UPHELD] * 3, 2)
    assert receipt.events[1] == Event("ads", "ComplaintDecided", [2, 1, 1, 3 * STAKE, 15 * 10**8, 2_500])


def test_an_advertisers_friends_do_not_keep_others_from_complaining(scene):
    for number in range(16):
        friend = f"friend{number}"
        scene.accept(Call("iov", "transfer", [address_of(key_of(friend)), 20 * STAKE]), key_of("bob"))
        scene.dids[friend] = scene.create_linked(friend)
        scene.complain(friend)
    scene.do("alice", "complain", FIRST, HASH, 17 * STAKE)


def test_a_campaign_that_never_ran_or_is_over_is_not_complained_of(scene):
    scene.do("advertiser", "create", scene.terms())
    scene.refuse("bob", Reason.ADS_BAD_COMPLAINT, "complain", 2, HASH, ENOUGH)
    scene.do("advertiser", "end", FIRST)
    scene.now_ms = scene.book().ended_ms + DEFAULT_RULES.windows.grace_ms - 1
    scene.complain("bob")
    scene.now_ms = scene.book().ended_ms + DEFAULT_RULES.windows.grace_ms
    scene.refuse("alice", Reason.ADS_BAD_COMPLAINT, "complain", FIRST, HASH, ENOUGH)
    scene.refuse("sender", Reason.ADS_UNSETTLED, "settle", FIRST)
    scene.pass_time(DEFAULT_RULES.judging_ms)
    scene.do("sender", "close_complaint", 1)
    scene.do("sender", "settle", FIRST)
    scene.refuse("alice", Reason.ADS_BAD_COMPLAINT, "complain", FIRST, HASH, ENOUGH)


def test_a_stake_is_paid_or_nothing_is_filed(scene):
    put_rules(scene.state, replace(DEFAULT_RULES, stake_grains=10**13))
    scene.state.forget_marks()
    scene.refuse("alice", Reason.INSUFFICIENT_BALANCE, "complain", FIRST, HASH, ENOUGH)


# W20


def test_the_panel_judges_each_once_and_in_time(filed):
    panel = filed.answer("complaint", 1).panel
    member = _name(filed, panel[0])
    filed.refuse("judge6", Reason.ADS_NOT_ON_PANEL, "judge", 1, UPHELD, HASH)
    filed.refuse("alice", Reason.ROLE_MISSING, "judge", 1, UPHELD, HASH)
    receipt = filed.do(member, "judge", 1, UPHELD, HASH)
    assert receipt.events == (Event("ads", "ComplaintJudged", [1, panel[0], 1]),)
    filed.refuse(member, Reason.ADS_NOT_ON_PANEL, "judge", 1, UPHELD, HASH)
    filed.now_ms = filed.answer("complaint", 1).until_ms
    filed.refuse("sender", Reason.ADS_TOO_EARLY, "close_complaint", 1)
    filed.now_ms = filed.answer("complaint", 1).until_ms
    filed.do(_name(filed, panel[2]), "judge", 1, UPHELD, HASH)
    filed.now_ms = filed.answer("complaint", 1).until_ms + 1
    filed.refuse(_name(filed, panel[1]), Reason.ADS_NOT_ON_PANEL, "judge", 1, UPHELD, HASH)
    filed.do("sender", "close_complaint", 1)
    assert filed.answer("complaint", 1).verdict is DISMISSED
    filed.refuse("sender", Reason.ADS_BAD_COMPLAINT, "close_complaint", 1)
    filed.refuse("sender", Reason.ADS_BAD_COMPLAINT, "close_complaint", 2)


@pytest.mark.parametrize(
    ("verdicts", "decided"),
    [
        ([UPHELD, UPHELD, UPHELD], UPHELD),
        ([UPHELD, DISMISSED, UPHELD, ABUSIVE, UPHELD], UPHELD),
        ([ABUSIVE, ABUSIVE, ABUSIVE], ABUSIVE),
        ([UPHELD, UPHELD, ABUSIVE, ABUSIVE, DISMISSED], DISMISSED),
    ],
)
def test_more_than_half_decide(filed, verdicts, decided):
    _judge(filed, verdicts[:-1])
    assert filed.answer("complaint", 1).verdict is None
    member = filed.answer("complaint", 1).panel[len(verdicts) - 1]
    filed.do(_name(filed, member), "judge", 1, verdicts[-1], HASH)
    assert filed.answer("complaint", 1).verdict is decided
    assert filed.book().complaints_open == 0


# W21


def test_upheld_costs_the_advertiser(filed):
    before, deposit, treasury = filed.balance("alice"), filed.book().deposit_grains, _get_treasury(filed)
    assert deposit == 5 * 10**9
    receipt = _judge(filed, [UPHELD] * 3)
    assert receipt.events[1:] == (
        Event("ads", "ComplaintDecided", [1, 1, 1, 2 * STAKE, 15 * 10**8, 2_500]),
        Event("ads", "CampaignMoved", [1, 6]),
    )
    assert filed.balance("alice") - before == 2 * STAKE
    assert _get_treasury(filed) - treasury == 15 * 10**8
    book = filed.book()
    assert (book.deposit_grains, book.forfeited_grains) == (25 * 10**8, 25 * 10**8)
    assert filed.answer("campaign", FIRST).status is CampaignStatus.ENDED
    described = filed.answer("credit", filed.dids["advertiser"])
    assert (described.credit, described.score) == (Credit(2_500, TimeMs(filed.now_ms - 1_000), 1, 0), 7_500)
    filed.now_ms = book.ended_ms + DEFAULT_RULES.windows.grace_ms
    filed.do("sender", "settle", FIRST)
    assert get_balance(filed.state, filed.refund) == 10**11 - 25 * 10**8


def test_points_decay_and_add_up(filed):
    _judge(filed, [UPHELD] * 3)
    filed.run_campaign(10**6)
    advertiser = filed.dids["advertiser"]
    filed.pass_time(DEFAULT_RULES.half_life_ms)
    assert filed.answer("credit", advertiser).score == 8_750
    assert filed.answer("credit", advertiser).deposit_bps == 1_062


def test_an_honest_complaint_costs_nothing(filed):
    before = filed.balance("alice")
    receipt = _judge(filed, [DISMISSED] * 3)
    assert receipt.events[1:] == (Event("ads", "ComplaintDecided", [1, 1, 2, STAKE, 0, 0]),)
    assert filed.balance("alice") - before == STAKE
    assert filed.answer("credit", filed.dids["advertiser"]).credit == Credit(0, TimeMs(0), 0, 1)
    assert filed.answer("campaign", FIRST).status is CampaignStatus.RUNNING


def test_an_abusive_complaint_costs_the_stake(filed):
    before, treasury = filed.balance("alice"), _get_treasury(filed)
    receipt = _judge(filed, [ABUSIVE] * 3)
    assert receipt.events[1:] == (Event("ads", "ComplaintDecided", [1, 1, 3, 0, STAKE, 0]),)
    assert (filed.balance("alice"), _get_treasury(filed)) == (before, treasury + STAKE)


def test_a_campaign_that_has_ended_does_not_end_again(filed):
    filed.do("advertiser", "end", FIRST)
    ended_ms = filed.book().ended_ms
    receipt = _judge(filed, [UPHELD] * 3)
    assert [event.name for event in receipt.events] == ["ComplaintJudged", "ComplaintDecided"]
    assert filed.book().ended_ms == ended_ms


# W23


def test_one_violation_is_punished_once(filed):
    before, first = filed.balance("bob"), filed.balance("alice")
    spent = filed.complain("bob").fee_grains
    filed.refuse("sender", Reason.ADS_TOO_EARLY, "close_complaint", 1)
    _judge(filed, [UPHELD] * 2, 1)
    _judge(filed, [UPHELD] * 3, 2)
    book, credit = filed.book(), filed.answer("credit", filed.dids["advertiser"])
    assert (book.deposit_grains, book.forfeited_grains) == (25 * 10**8, Grains(25 * 10**8))
    filed.refuse("mask", Reason.ADS_UPHELD_ALREADY, "complain", FIRST, HASH, ENOUGH)
    last = _name(filed, filed.answer("complaint", 1).panel[2])
    filed.refuse(last, Reason.ADS_UPHELD_ALREADY, "judge", 1, UPHELD, HASH)
    receipt = filed.do("sender", "close_complaint", 1)
    assert receipt.events == (Event("ads", "ComplaintDecided", [1, 1, Verdict.MOOT, STAKE, 0, 2_500]),)
    assert (filed.balance("alice") - first, filed.balance("bob") - before) == (STAKE, STAKE - spent)
    assert filed.answer("credit", filed.dids["advertiser"]).credit == credit.credit == replace(credit.credit, upheld=1)
    assert filed.book() == replace(book, complaints_open=0)
    filed.now_ms = book.ended_ms + DEFAULT_RULES.windows.grace_ms
    filed.do("sender", "settle", FIRST)


def test_a_panel_does_not_find_that_a_complaint_is_moot(filed):
    member = _name(filed, filed.answer("complaint", 1).panel[0])
    filed.refuse(member, Reason.BAD_ARGUMENTS, "judge", 1, Verdict.MOOT, HASH)


# Rules


def test_governance_changes_numbers(scene):
    rules = replace(DEFAULT_RULES, panel_size=3, stake_grains=7)
    decision = _DECISIONS_BY_CALL[ProposeAdsRules]
    call = ProposeAdsRules(rules, Terms(Priority.NORMAL, Height(9), "Smaller panels"))
    decision.check(scene.state, call)
    assert decision.apply(scene.state, block_context(), call) == [Event("governance", "AdsRulesSet", [to_plain(rules)])]
    assert scene.answer("rules") == rules
    scene.complain("alice")
    complaint = scene.answer("complaint", 1)
    assert (len(complaint.panel), complaint.stake_grains) == (3, 7)


WINDOWS = DEFAULT_RULES.windows


@pytest.mark.parametrize(
    "rules",
    [
        replace(DEFAULT_RULES, deposit_bps_min=5_001),
        replace(DEFAULT_RULES, deposit_bps_max=10_000),
        replace(DEFAULT_RULES, windows=replace(WINDOWS, completion_ms=WINDOWS.grace_ms + 1)),
        replace(DEFAULT_RULES, windows=replace(WINDOWS, challenge_ms=WINDOWS.grace_ms + 1)),
    ],
)
def test_numbers_that_do_not_go_together(rules):
    with pytest.raises(Rejected) as caught:
        check_rules(rules)
    assert caught.value.reason is Reason.ADS_BAD_TERMS
