"""Advertising: campaigns, deliveries, and what content is answered for (docs/ads.md).

Formulas stand in ads_formulas.py, what the state holds and is signed in ads_records.py. Matching is done where the tags
are (identity/ads_matching.py); the chain never sees a tag.

Rules
* W1 An identity with the role advertiser begins a campaign; its account acts for it. Terms change while it is a draft.
* W2 Terms go together: a period, shares of 10,000 in all, prices within bounds or a fixed total, a canonical targeting.
* W3 Anybody pays into a campaign who names the account that the rest will go to; from then on it stays that one. A
  part waits as a deposit: the lower the advertiser's score, the larger. It is reckoned when the campaign is submitted,
  and of what is paid in later when it is. The rest is the budget.
* W4 A submitted campaign waits for a reviewer, who names its terms and lets it run or sends it back. Not a
  reviewer who has a part in it: its advertiser, offerer, matcher, or whoever owns an account that it pays.
* W5 The advertiser pauses it and lets it go on. What was accepted before goes on meanwhile.
* W6 It ends with its period, a draft too, when the advertiser says so, or when a complaint is upheld. From then on
  nothing is accepted; what was accepted may complete within the grace period, that was fixed when it was submitted.
* W7 It is settled when the grace period is over, channels are settled and complaints are decided; at once if it never
  ran.
* W8 Then all that is left goes back: paid + forfeited + refunded is what was paid in, to the grain.
* W9 An order takes up an offer, within the terms, that the campaign's offerer has signed; user, publisher and matcher
  sign the acceptance.
* W10 What an order or channel may come to is promised at once, within what is left and what the day allows; so orders
  that compete never promise one grain twice.
* W11 A nullifier stands for one slot of one person, below the cap, and there is one order for it, also if it lapses.
  Without a matcher it is computed from the user's identity, which has the role person; a matcher signs for it.
* W12 An order completes before its deadline and before the grace period is over, by a word of user and publisher.
* W13 It is paid at once (formulas G1, G2); the campaign has the rest. What a platform that governance recognises gets
  for another's campaign is revenue for mining. The user is one of those reached, counted once. An order that is too
  late lapses, and the campaign has all of it.
* W14 A channel sets money aside for a user and a publisher. Offerer and counterparty sign for it, and name a key each.
  Off the chain these keys, and no others, whatever becomes of the identities, sign balances that only grow.
* W15 Whoever has a balance posts it; until the challenge window, that begins with the first one, is over, a newer one
  takes its place. The offerer alone may say that nothing was earned. After the grace period nobody begins that.
* W16 Then the shares of the balance are paid (formula G1), and the campaign has the rest. A channel without a balance
  is settled when the grace period is over.
* W17 Reviewers enrol to judge complaints. Those who have lost the role leave the list when somebody enrols.
* W18 Anybody with an identity complains of a campaign that runs or ran, once, within the grace period. The stake grows
  with the complaints that are open (formula G7).
* W19 A panel is drawn (formula G6) of the reviewers who are enrolled when the complaint is made and have no part in the
  matter, all alike. It is drawn with the hash of the complaint's own block, at the end of the next one; if more than
  DRAWS_MAX are due then, at the end of a later block, with the hash of the block before that.
* W20 More than half of the panel decide; if nobody has so many in time, the complaint is dismissed.
* W21 Upheld: the stake goes back, the deposit pays a penalty (formula G5), the advertiser gets points (formula G3), the
  campaign ends. Dismissed: the stake goes back. Abusive: the stake goes to the treasury.
* W22 A channel may be for many users, if the campaign has a matcher: the publisher signs its balances, and the users'
  share goes to a source of distributions that the campaign has from its first such channel on. Offerer and matcher post
  its roots together; users claim from it, and nobody takes anything back.
* W23 Terms are punished once. After a complaint is upheld there are no new ones about the campaign, whose terms cannot
  change any more; those still open are not judged: anybody closes them, and their stakes go back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from identity.did import Did
from ledger.primitives import Grains
from ledger.state import StateReader
from vm.context import Moment
from vm.gas import GAS_BYTE, GAS_KEY_CHECK, GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.ads_campaigns import (
    GAS_TARGETING_BYTE,
    Create,
    End,
    Fund,
    Pause,
    Resume,
    Review,
    Revise,
    Settle,
    Submit,
    apply_create,
    apply_end,
    apply_fund,
    apply_pause,
    apply_resume,
    apply_review,
    apply_revise,
    apply_settle,
    apply_submit,
)
from vm.native.ads_channels import (
    OpenChannel,
    PostBalance,
    SettleChannel,
    apply_open_channel,
    apply_post_balance,
    apply_settle_channel,
)
from vm.native.ads_complaints import (
    GAS_CANDIDATE,
    GAS_ENROLLED,
    CloseComplaint,
    Complain,
    Enrol,
    Judge,
    Withdraw,
    apply_close_complaint,
    apply_complain,
    apply_enrol,
    apply_judge,
    apply_withdraw,
)
from vm.native.ads_events import EVENTS
from vm.native.ads_formulas import compute_deposit_bps, compute_score
from vm.native.ads_orders import Accept, Complete, Lapse, apply_accept, apply_complete, apply_lapse
from vm.native.ads_records import (
    MODULE_NAME,
    AdsRules,
    Book,
    Campaign,
    CampaignId,
    CampaignStatus,
    Channel,
    ChannelNumber,
    Complaint,
    ComplaintId,
    Credit,
    Order,
    OrderId,
    compute_status,
    find_campaign,
    find_channel,
    find_complaint,
    find_ended_ms,
    find_order,
    find_settles_ms,
    get_book,
    get_counts,
    get_credit,
    get_points,
    get_reviewers,
    get_rules,
    list_campaigns_of,
)
from vm.native.did_records import GAS_DID_READ, SIGNED_GAS_WORDS
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule

CAMPAIGNS_PAGE: Final = 100

_GAS_SENDER: Final = GAS_STATE_READ + GAS_DID_READ
_GAS_CAMPAIGN: Final = GAS_DID_READ + GAS_STATE_READ
"""Terms and book, of a kilobyte or two."""
_GAS_CREATE: Final = _GAS_SENDER + 2 * GAS_DID_READ + GAS_STATE_READ + 4 * GAS_STATE_WRITE
_GAS_STEP: Final = _GAS_SENDER + _GAS_CAMPAIGN + 2 * GAS_STATE_READ + 2 * GAS_STATE_WRITE
_GAS_MONEY: Final = _GAS_CAMPAIGN + 3 * GAS_STATE_READ + 3 * GAS_STATE_WRITE
_GAS_ACCEPT: Final = _GAS_CAMPAIGN + 3 * GAS_DID_READ + 3 * GAS_STATE_READ + 2 * GAS_STATE_WRITE
_GAS_SOURCE: Final = 2 * GAS_STATE_READ + 3 * GAS_STATE_WRITE
_GAS_PAY: Final = _GAS_CAMPAIGN + 2 * GAS_DID_READ + 12 * GAS_STATE_READ + 9 * GAS_STATE_WRITE
_GAS_POST: Final = _GAS_CAMPAIGN + GAS_STATE_READ + GAS_STATE_WRITE
_GAS_REVIEWERS: Final = _GAS_SENDER + GAS_DID_READ + GAS_STATE_WRITE
_GAS_COMPLAIN: Final = _GAS_SENDER + _GAS_CAMPAIGN + 7 * GAS_STATE_READ + 10 * GAS_STATE_WRITE
"""The panel's draw, a block later, is paid with it."""
_GAS_JUDGE: Final = _GAS_SENDER + _GAS_CAMPAIGN + 3 * GAS_STATE_READ + 10 * GAS_STATE_WRITE


@dataclass(frozen=True, slots=True)
class CampaignDescription:
    """A campaign as the view tells it."""

    campaign: CampaignId
    found: Campaign
    book: Book
    status: CampaignStatus
    """At this moment."""
    free_grains: Grains
    """What may still be promised."""
    ended_ms: int | None
    """When it has ended; None: it has not."""
    settles_ms: int | None
    """From when on it may be settled, once channels and complaints allow it."""


@dataclass(frozen=True, slots=True)
class CreditDescription:
    """An advertiser's credit at this moment."""

    credit: Credit
    score: int
    deposit_bps: int
    """Of what is paid into a campaign now."""


def describe_campaign(state: StateReader, now_ms: int, campaign: CampaignId) -> CampaignDescription | None:
    """A campaign at a time."""
    found = find_campaign(state, campaign)
    if found is None:
        return None
    book = get_book(state, campaign)
    status = compute_status(found, book, now_ms)
    free_grains = 0 if status is CampaignStatus.SETTLED else book.free_grains
    ended_ms, settles_ms = find_ended_ms(found, book, now_ms), find_settles_ms(found, book, now_ms)
    return CampaignDescription(campaign, found, book, status, Grains(free_grains), ended_ms, settles_ms)


def describe_credit(state: StateReader, now_ms: int, advertiser: Did) -> CreditDescription:
    """An advertiser's credit at a time."""
    rules = get_rules(state)
    score = compute_score(get_points(state, advertiser, rules, now_ms))
    bps = compute_deposit_bps(rules.deposit_bps_min, rules.deposit_bps_max, score)
    return CreditDescription(get_credit(state, advertiser), score, bps)


def answer_campaign(state: StateReader, moment: Moment, campaign: CampaignId) -> CampaignDescription | None:
    """The view of a campaign."""
    return describe_campaign(state, moment.time_ms, campaign)


def answer_campaigns(state: StateReader, _: Moment, advertiser: Did) -> list[CampaignId]:
    """The view of an advertiser's newest CAMPAIGNS_PAGE campaigns, the newest first."""
    return list(islice(list_campaigns_of(state, advertiser), CAMPAIGNS_PAGE))


def answer_count(state: StateReader, _: Moment) -> int:
    """The view of how many campaigns there are; they are numbered from 1."""
    return get_counts(state).campaigns


def answer_order(state: StateReader, _: Moment, order: OrderId) -> Order | None:
    """The view of an order."""
    return find_order(state, order)


def answer_channel(state: StateReader, _: Moment, campaign: CampaignId, channel: ChannelNumber) -> Channel | None:
    """The view of a channel."""
    return find_channel(state, campaign, channel)


def answer_complaint(state: StateReader, _: Moment, complaint: ComplaintId) -> Complaint | None:
    """The view of a complaint."""
    return find_complaint(state, complaint)


def answer_credit(state: StateReader, moment: Moment, advertiser: Did) -> CreditDescription:
    """The view of an advertiser's credit."""
    return describe_credit(state, moment.time_ms, advertiser)


def answer_reviewers(state: StateReader, _: Moment) -> list[Did]:
    """The view of who may be drawn for panels."""
    return list(get_reviewers(state))


def answer_rules(state: StateReader, _: Moment) -> AdsRules:
    """The view of the numbers that governance may change."""
    return get_rules(state)


def _rule(name: str, call: type, apply: Callable[..., None], gas: int, more: str = "") -> CallRule:
    return CallRule(name, call, apply, lambda _: gas, f"{gas}{more}")


_SIGNED: Final = f" + {SIGNED_GAS_WORDS}"
_TERMS: Final = f" + {GAS_TARGETING_BYTE} for each byte of the targeting and {GAS_BYTE} of the metadata's address"
_ENROLLED: Final = " for each reviewer who is enrolled"
_CHANNEL: Final = f" + {2 * GAS_KEY_CHECK}{_SIGNED}, {GAS_DID_READ} for each attester of a distribution it opens"
_CALLS: Final[tuple[tuple[Any, ...], ...]] = (
    ("create", Create, apply_create, _GAS_CREATE, _TERMS),
    ("revise", Revise, apply_revise, _GAS_STEP + 2 * GAS_DID_READ, _TERMS),
    ("fund", Fund, apply_fund, _GAS_MONEY),
    ("submit", Submit, apply_submit, _GAS_STEP + 2 * GAS_DID_READ, _TERMS),
    ("review", Review, apply_review, _GAS_STEP + 2 * GAS_STATE_READ),
    ("pause", Pause, apply_pause, _GAS_STEP),
    ("resume", Resume, apply_resume, _GAS_STEP),
    ("end", End, apply_end, _GAS_STEP),
    ("settle", Settle, apply_settle, _GAS_MONEY),
    ("accept", Accept, apply_accept, _GAS_ACCEPT, _SIGNED),
    ("complete", Complete, apply_complete, _GAS_PAY, _SIGNED),
    ("lapse", Lapse, apply_lapse, _GAS_POST + GAS_STATE_WRITE),
    ("open_channel", OpenChannel, apply_open_channel, _GAS_ACCEPT + _GAS_SOURCE, _CHANNEL),
    ("post_balance", PostBalance, apply_post_balance, _GAS_POST, " + 750 for each signature"),
    ("settle_channel", SettleChannel, apply_settle_channel, _GAS_PAY + _GAS_SOURCE),
    ("enrol", Enrol, apply_enrol, _GAS_REVIEWERS, f" + {GAS_CANDIDATE}{_ENROLLED}"),
    ("withdraw", Withdraw, apply_withdraw, _GAS_REVIEWERS, f" + {GAS_ENROLLED}{_ENROLLED}"),
    ("complain", Complain, apply_complain, _GAS_COMPLAIN, f" + {GAS_CANDIDATE}{_ENROLLED}"),
    ("judge", Judge, apply_judge, _GAS_JUDGE),
    ("close_complaint", CloseComplaint, apply_close_complaint, _GAS_JUDGE),
)

_CAMPAIGN: Final = ("campaign", CampaignId)
_ADVERTISER: Final = ("advertiser", Did)

MODULE = ModuleRule(
    name=MODULE_NAME,
    summary="Campaigns that pay users, publishers and platforms for deliveries, and answer for their content",
    calls=tuple([_rule(*call) for call in _CALLS]),
    events=tuple(map(EventRule, EVENTS)),
    views=(
        ViewRule("campaign", (_CAMPAIGN,), answer_campaign),
        ViewRule("campaigns", (_ADVERTISER,), answer_campaigns),
        ViewRule("count", (), answer_count),
        ViewRule("order", (("order", OrderId),), answer_order),
        ViewRule("channel", (_CAMPAIGN, ("channel", ChannelNumber)), answer_channel),
        ViewRule("complaint", (("complaint", ComplaintId),), answer_complaint),
        ViewRule("credit", (_ADVERTISER,), answer_credit),
        ViewRule("reviewers", (), answer_reviewers),
        ViewRule("rules", (), answer_rules),
    ),
)
