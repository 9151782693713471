"""Channels: rules W14 to W16."""

from dataclasses import replace

import pytest

from ledger.reasons import Reason
from ledger.receipt import Event
from ledger.transaction import Call
from tests.ads_scene import FIRST, RICH, AdsScene
from tests.did_scene import build_call
from vm.native.ads_records import (
    ADS_ADDRESS,
    DEFAULT_RULES,
    CampaignId,
    Counterparty,
    get_campaign,
    put_campaign,
)
from vm.native.distribution_records import DISTRIBUTION_ADDRESS, get_source
from vm.native.iov import credit, get_balance
from vm.native.mining_formulas import Epoch
from vm.native.mining_records import begin_mining, get_revenue, put_progress
from vm.native.recognition import Recognition, put_recognised

WINDOWS = DEFAULT_RULES.windows


@pytest.fixture
def scene():
    scene = AdsScene()
    scene.run_campaign()
    return scene


@pytest.fixture
def opened(scene):
    scene.accept(scene.build_open_channel())
    return scene


def _settle(scene, channel=1):
    return scene.do("sender", "settle_channel", FIRST, channel)


def test_money_is_set_aside(scene):
    receipt = scene.accept(scene.build_open_channel())
    alice, publisher = scene.dids["alice"], scene.dids["publisher"]
    assert receipt.events == (Event("ads", "ChannelOpened", [1, 1, alice, publisher, 10_000]),)
    book = scene.book()
    assert (book.locked_grains, book.free_grains, book.channels, book.channels_open) == (10_000, 940_000, 1, 1)
    channel = scene.answer("channel", FIRST, 1)
    assert (channel.version, channel.gross_grains, channel.closes_ms, channel.is_settled) == (0, 0, 0, False)
    assert scene.answer("channel", FIRST, 2) is None


def test_who_opens_one_and_how(scene):
    refusals = [
        (scene.build_open_channel(number=2), Reason.ADS_BAD_BALANCE),
        (scene.build_open_channel(950_001), Reason.ADS_UNDERFUNDED),
        (scene.build_open_channel(0), Reason.BAD_ARGUMENTS),
        (scene.build_open_channel(signers=["advertiser"]), Reason.DID_NOT_AUTHORISED),
        (scene.build_open_channel(signers=["alice"]), Reason.DID_NOT_AUTHORISED),
        (scene.build_open_channel(signers=["advertiser", "alice", "bob"]), Reason.DID_FOREIGN_SIGNER),
        (scene.build_open_channel(offerer_key=bytes(32)), Reason.ADS_BAD_OFFER),
        (scene.build_open_channel(counterparty_key=bytes(32)), Reason.ADS_BAD_OFFER),
        (scene.build_open_channel(campaign=CampaignId(2)), Reason.ADS_UNKNOWN_CAMPAIGN),
        (scene.build_open_channel(user=scene.dids["publisher"]), Reason.ADS_BAD_OFFER),
        (scene.build_open_channel(user=scene.dids["matcher"]), Reason.ADS_NOT_PAYABLE),
    ]
    for call, reason in refusals:
        scene.refuse_call(call, reason)
    scene.do("advertiser", "pause", FIRST)
    scene.refuse_call(scene.build_open_channel(), Reason.ADS_WRONG_STATUS)


def test_a_balance_is_paid_after_the_challenge_window(opened):
    before = {who: opened.balance(who) for who in ("alice", "publisher")}
    closes_ms = opened.now_ms + WINDOWS.challenge_ms
    receipt = opened.accept(opened.build_balance(3, 7_001))
    assert receipt.events == (Event("ads", "BalancePosted", [1, 1, 3, 7_001, closes_ms]),)
    opened.now_ms = closes_ms - 1
    opened.refuse("sender", Reason.ADS_TOO_EARLY, "settle_channel", FIRST, 1)
    opened.now_ms = closes_ms
    receipt = _settle(opened)
    assert receipt.events == (Event("ads", "ChannelSettled", [1, 1, 3_501, 2_333, 1_167, 2_999]),)
    assert {who: opened.balance(who) - before[who] for who in before} == {"alice": 3_501, "publisher": 2_333}
    assert get_balance(opened.state, opened.platform) == 1_167
    book = opened.book()
    assert (book.locked_grains, book.paid_grains, book.channel_grains, book.channels_open) == (0, 7_001, 7_001, 0)
    opened.refuse("sender", Reason.ADS_UNKNOWN_CHANNEL, "settle_channel", FIRST, 1)
    opened.refuse_call(opened.build_balance(4, 8_000), Reason.ADS_UNKNOWN_CHANNEL)
    opened.refuse("sender", Reason.ADS_UNKNOWN_CHANNEL, "settle_channel", FIRST, 2)


def test_a_newer_balance_takes_the_place_of_an_older_one_within_the_first_window(opened):
    opened.accept(opened.build_balance(1, 100))
    closes_ms = opened.answer("channel", FIRST, 1).closes_ms
    opened.pass_time(WINDOWS.challenge_ms // 2)
    opened.accept(opened.build_balance(5, 9_000))
    channel = opened.answer("channel", FIRST, 1)
    assert (channel.version, channel.gross_grains, channel.closes_ms) == (5, 9_000, closes_ms)
    for version, gross in ((4, 9_500), (5, 9_000), (6, 8_999), (6, 10_001)):
        opened.refuse_call(opened.build_balance(version, gross), Reason.ADS_BAD_BALANCE)
    opened.now_ms = closes_ms
    opened.refuse_call(opened.build_balance(6, 9_500), Reason.ADS_BAD_BALANCE)
    _settle(opened)


def test_the_offerer_alone_says_that_nothing_was_earned(opened):
    opened.refuse_call(opened.build_balance(0, 0, ("other side", None)), Reason.ADS_BAD_BALANCE)
    opened.refuse_call(opened.build_balance(0, 1, ("offerer side", None)), Reason.ADS_BAD_BALANCE)
    opened.accept(opened.build_balance(0, 0, ("offerer side", None)))
    opened.accept(opened.build_balance(2, 500))
    opened.pass_time(WINDOWS.challenge_ms)
    _settle(opened)
    assert opened.book().paid_grains == 500


@pytest.mark.parametrize(
    "keys",
    [
        ("offerer side", None),
        ("other side", "offerer side"),
        ("offerer side", "forged"),
        ("forged", "other side"),
        ("advertiser", "alice"),
    ],
)
def test_the_keys_of_both_sides_sign_a_balance(opened, keys):
    opened.refuse_call(opened.build_balance(1, 100, keys), Reason.ADS_BAD_BALANCE)


def test_no_side_takes_its_word_back_by_ending_its_identity(opened):
    signed = opened.build_balance(1, 10_000)
    advertiser = opened.dids["advertiser"]
    opened.accept(build_call(opened.deactivate(advertiser), "advertiser", name="deactivate"))
    opened.accept(signed)
    opened.pass_time(WINDOWS.challenge_ms)
    _settle(opened)
    assert opened.book().paid_grains == 10_000


def test_a_publisher_may_be_the_other_side(scene):
    given = {"counterparty": Counterparty.PUBLISHER}
    scene.refuse_call(scene.build_open_channel(**given), Reason.DID_FOREIGN_SIGNER)
    scene.accept(scene.build_open_channel(signers=["advertiser", "publisher"], **given))
    scene.accept(scene.build_balance(1, 100))


def test_many_users_are_paid_through_a_distribution(scene):
    campaign = scene.run_campaign(matcher=scene.dids["matcher"])
    both = ["advertiser", "publisher"]
    mass = {"campaign": campaign, "user": None, "counterparty": Counterparty.PUBLISHER, "signers": both}
    scene.refuse_call(scene.build_open_channel(**mass | {"campaign": FIRST}), Reason.ADS_BAD_OFFER)
    wrong = scene.build_open_channel(**mass | {"counterparty": Counterparty.USER})
    scene.refuse_call(wrong, Reason.ADS_BAD_OFFER)
    receipt = scene.accept(scene.build_open_channel(**mass))
    assert [event.name for event in receipt.events] == ["DistributionOpened", "ChannelOpened"]
    scene.accept(scene.build_open_channel(number=2, **mass))
    source = get_source(scene.state, scene.book(campaign).source)
    attesters = tuple(sorted([scene.dids["advertiser"], scene.dids["matcher"]]))
    assert (source.rules.attesters, source.rules.threshold, source.rules.owner) == (attesters, 2, ADS_ADDRESS)
    before = scene.balance("publisher")
    for channel, gross in ((1, 7_001), (2, 10)):
        scene.accept(scene.build_balance(1, gross, channel=channel, campaign=campaign))
    scene.pass_time(WINDOWS.challenge_ms)
    receipt = scene.do("sender", "settle_channel", campaign, 1)
    assert receipt.events[0].fields == [campaign, 1, 3_501, 2_333, 1_167, 2_999]
    assert scene.do("sender", "settle_channel", campaign, 2).events[0].fields == [campaign, 2, 6, 3, 1, 9_990]
    source = get_source(scene.state, scene.book(campaign).source)
    assert (source.funded_grains, get_balance(scene.state, DISTRIBUTION_ADDRESS)) == (3_507, 3_507)
    assert scene.balance("publisher") - before == 2_336


def test_a_balance_of_one_channel_says_nothing_of_another(opened):
    opened.accept(opened.build_open_channel(number=2))
    opened.run_campaign()
    opened.accept(opened.build_open_channel(campaign=CampaignId(2)))
    signed = opened.build_balance(1, 100).arguments[1:]
    for other in (opened.build_balance(1, 100, channel=2), opened.build_balance(1, 100, campaign=CampaignId(2))):
        opened.refuse_call(Call("ads", "post_balance", [other.arguments[0], *signed]), Reason.ADS_BAD_BALANCE)


def test_channels_are_settled_before_the_campaign(opened):
    opened.accept(opened.build_open_channel(number=2))
    opened.do("advertiser", "end", FIRST)
    over_ms = opened.book().ended_ms + WINDOWS.grace_ms
    opened.now_ms = over_ms - 2_000
    opened.refuse("sender", Reason.ADS_TOO_EARLY, "settle_channel", FIRST, 1)
    opened.accept(opened.build_balance(1, 4_000))
    opened.now_ms = over_ms
    opened.refuse_call(opened.build_balance(1, 100, channel=2), Reason.ADS_BAD_BALANCE)
    opened.refuse("sender", Reason.ADS_UNSETTLED, "settle", FIRST)


def test_a_channel_without_a_balance_gives_all_of_it_back(opened):
    opened.refuse("sender", Reason.ADS_TOO_EARLY, "settle_channel", FIRST, 1)
    opened.do("advertiser", "end", FIRST)
    over_ms = opened.book().ended_ms + WINDOWS.grace_ms
    opened.now_ms = over_ms - 1
    opened.refuse("sender", Reason.ADS_TOO_EARLY, "settle_channel", FIRST, 1)
    opened.now_ms = over_ms
    opened.refuse_call(opened.build_balance(1, 100), Reason.ADS_BAD_BALANCE)
    opened.refuse("sender", Reason.ADS_UNSETTLED, "settle", FIRST)
    assert _settle(opened).events[0].fields == [1, 1, 0, 0, 0, 10_000]
    opened.do("sender", "settle", FIRST)
    assert get_balance(opened.state, opened.refund) == 10**6


def test_a_balance_posted_at_the_last_moment_has_its_whole_window(opened):
    opened.do("advertiser", "end", FIRST)
    opened.now_ms = opened.book().ended_ms + WINDOWS.grace_ms - 1
    opened.accept(opened.build_balance(1, 100))
    opened.pass_time(WINDOWS.challenge_ms - 2_000)
    opened.accept(opened.build_balance(2, 10_000))
    opened.refuse("sender", Reason.ADS_UNSETTLED, "settle", FIRST)
    opened.pass_time(2_000)
    _settle(opened)
    opened.do("sender", "settle", FIRST)
    assert get_balance(opened.state, opened.refund) == 10**6 - 10_000


def test_nobody_holds_up_a_settlement_by_giving_up_the_account(opened):
    alice, before = opened.dids["alice"], opened.balance("alice")
    opened.accept(opened.build_balance(1, 1_000))
    opened.accept(build_call(opened.deactivate(alice), "alice", name="deactivate"))
    opened.pass_time(WINDOWS.challenge_ms)
    _settle(opened)
    assert opened.balance("alice") - before == 501
    assert opened.book().paid_grains == 1_000


@pytest.mark.parametrize(
    ("is_platform", "is_own", "revenue"), [(True, False, 166 + 116), (False, False, 0), (True, True, 0)]
)
def test_what_recognised_platforms_get_of_others_is_revenue_for_mining(opened, is_platform, is_own, revenue):
    """Of 1,001 and 700. Whoever is advertiser, user and platform at once pays itself, and that is no revenue."""
    credit(opened.state, opened.platform, RICH, 0)
    did = opened.create_linked("platform")
    if is_platform:
        put_recognised(opened.state, Recognition.PLATFORM, did)
    if is_own:
        found = get_campaign(opened.state, FIRST)
        put_campaign(opened.state, FIRST, replace(found, advertiser=did))
    put_progress(opened.state, begin_mining(Epoch(20_800), 1))
    opened.state.forget_marks()
    opened.accept(opened.build_complete(opened.accept_order()))
    opened.accept(opened.build_balance(1, 700))
    opened.pass_time(WINDOWS.challenge_ms)
    _settle(opened)
    assert get_revenue(opened.state) == revenue
