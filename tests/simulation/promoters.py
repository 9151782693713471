"""Who advertises in a simulated network: an advertiser, its publisher, a viewer, reviewers; and numbers that suit it.

They have accounts of their own, behind those of other clients, so that nobody else sends from them, or binds them to
identities. Persons whom campaigns reach are those of identities.py, which change, and one who does not.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from identity.address import Address
from identity.did import Did
from identity.targeting import pack_expression, parse_expression
from ledger.codec import encode
from ledger.primitives import Grains, Height, TimeMs
from ledger.state import State
from ledger.state_keys import acceptor_key
from tests.simulation.economy_founders import ALLOCATION
from tests.simulation.identities import FAR, PERSONS, SHOP, make_founder, make_founding_context, put_founder
from vm.native.acceptors import Acceptor
from vm.native.ads_formulas import FixedReward, Split, compute_deposit
from vm.native.ads_records import (
    ADS_ADDRESS,
    DEFAULT_RULES,
    NEW_BOOK,
    Campaign,
    CampaignId,
    CampaignStatus,
    DeliveryKind,
    ItemRule,
    Terms,
    Windows,
    get_counts,
    put_book,
    put_campaign,
    put_counts,
    put_reviewers,
    put_rules,
)
from vm.native.did_records import DidKind
from vm.native.iov import credit, debit
from vm.native.role_records import Grant, Role, put_grant

FIRST_ACCOUNT: Final = 12
"""Number of the first of their accounts."""
ADVERTISER = make_founder(0, DidKind.PERSON, account=FIRST_ACCOUNT, salt=b"advertiser")
PUBLISHER = make_founder(1, DidKind.PERSON, account=FIRST_ACCOUNT + 1, salt=b"publisher")
VIEWER = make_founder(2, DidKind.PERSON, account=FIRST_ACCOUNT + 2, salt=b"viewer")
REVIEWERS = tuple(
    make_founder(key, DidKind.PERSON, account=FIRST_ACCOUNT + key, salt=b"reviewer") for key in (3, 4, 5, 6)
)
"""One lets a campaign run, three are left to judge it."""
PROMOTERS = (ADVERTISER, PUBLISHER, VIEWER, *REVIEWERS)
USERS = (VIEWER.did, *(person.did for person in PERSONS))
MATCHER: Final = SHOP.did
PLATFORM_ACCOUNT: Final = 2
REFUND_ACCOUNT: Final = 3
HASH: Final = bytes([7]) * 32
STAKE_GRAINS: Final = Grains(50)
RULES: Final = replace(
    DEFAULT_RULES,
    windows=Windows(completion_ms=1_800, grace_ms=2_400, challenge_ms=1_200),
    stake_grains=STAKE_GRAINS,
    panel_size=3,
    judging_ms=2_000,
)
"""All of it happens within seconds."""
ITEMS: Final = (
    ItemRule(DeliveryKind.LIVE_VIEW, Grains(10), Grains(20), 1, 1_000),
    ItemRule(DeliveryKind.CLICK, Grains(100), Grains(500), 1, 1),
)
CAP: Final = 3
FIXED: Final = FixedReward(Grains(1_000), 3)
FIXED_ITEMS: Final = (ItemRule(DeliveryKind.CLICK, Grains(0), Grains(0), 1, 1),)
DAILY_GRAINS: Final = Grains(10**6)
SPLIT: Final = Split(5_000, 3_333, 1_667)
TARGETING: Final = pack_expression(parse_expression("user.age >= 18"))


FOUNDED: Final = (
    (CampaignStatus.RUNNING, False, None, 0, 3_000),
    (CampaignStatus.RUNNING, False, MATCHER, 0, 6_000),
    (CampaignStatus.RUNNING, True, None, 2_000, 60_000),
    (CampaignStatus.REVIEW, False, MATCHER, 0, 60_000),
)
"""Campaigns that are there already: where they stand, whether a fixed total is shared, by whom matched, from when on,
until when."""
FOUNDED_GRAINS: Final = 6_000


def found_promoters(state: State, accounts: Sequence[Address], time_ms: int, height: int = 0) -> None:
    """Write all of them, the roles they have, numbers that suit a short simulation, and what runs already."""
    context = make_founding_context(accounts[0], height)
    for founder in PROMOTERS:
        put_founder(state, context, founder, accounts)
    put_grant(state, ADVERTISER.did, Role.ADVERTISER, Grant(FAR, None), height)
    put_grant(state, VIEWER.did, Role.PERSON, Grant(FAR, None), height)
    for reviewer in REVIEWERS:
        put_grant(state, reviewer.did, Role.COMMUNITY_ADMINISTRATOR, Grant(FAR, None), height)
    put_reviewers(state, tuple(reviewer.did for reviewer in REVIEWERS[:-1]))
    put_rules(state, RULES)
    for status, is_fixed, matcher, starts_ms, ends_ms in FOUNDED:
        terms = build_terms(accounts, time_ms + starts_ms, time_ms + ends_ms, is_fixed=is_fixed, matcher=matcher)
        _found_campaign(state, terms, status, time_ms)
    applied = Acceptor(ADVERTISER.did, "exchange", "https://exchange.example/", HASH, Height(height), None)
    state.put(acceptor_key(accounts[FIRST_ACCOUNT]), encode(applied))


def _found_campaign(state: State, terms: Terms, status: CampaignStatus, time_ms: int) -> None:
    """As if its advertiser had paid for it and submitted it, and the last reviewer had let it run."""
    counts = get_counts(state)
    campaign = CampaignId(counts.campaigns + 1)
    book = replace(
        NEW_BOOK,
        status=status,
        windows=RULES.windows,
        reviewer=REVIEWERS[-1].did if status is CampaignStatus.RUNNING else None,
        funded_grains=Grains(FOUNDED_GRAINS),
        deposit_grains=Grains(compute_deposit(FOUNDED_GRAINS, RULES.deposit_bps_min)),
    )
    debit(state, ALLOCATION, FOUNDED_GRAINS, time_ms)
    credit(state, ADS_ADDRESS, FOUNDED_GRAINS, time_ms)
    put_counts(state, replace(counts, campaigns=campaign))
    put_campaign(state, campaign, Campaign(ADVERTISER.did, terms))
    put_book(state, campaign, book)


def build_terms(
    accounts: Sequence[Address],
    start_ms: int,
    end_ms: int,
    *,
    is_fixed: bool = False,
    matcher: Did | None = None,
    daily_grains: Grains = DAILY_GRAINS,
) -> Terms:
    """What the advertiser promises: prices by item, or parts of a fixed total."""
    return Terms(
        content_hash=HASH,
        metadata_uri="https://ads.example/1.json",
        metadata_hash=HASH,
        targeting=TARGETING,
        start_ms=TimeMs(start_ms),
        end_ms=TimeMs(end_ms),
        daily_grains_max=daily_grains,
        cap=CAP,
        items=FIXED_ITEMS if is_fixed else ITEMS,
        fixed=FIXED if is_fixed else None,
        split=SPLIT,
        platform=accounts[PLATFORM_ACCOUNT],
        refund=accounts[REFUND_ACCOUNT],
        offerer=ADVERTISER.did,
        matcher=matcher,
    )
