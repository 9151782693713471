"""What advertisers, users, publishers and reviewers do, drawn from a seed: campaigns, deliveries, channels, complaints.

`AdsTraffic` looks at a state and draws the next call. Most are right; each of the others has one mistake of REFUSALS,
and a test asks that it is refused for that reason.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from identity.address import Address
from identity.ads_matching import compute_matched_nullifier, compute_open_nullifier
from identity.did import Did
from identity.keys import PrivateKey
from identity.signing import SigningDomain, SigningPurpose, signing_bytes
from ledger.codec import encode, to_plain
from ledger.primitives import Grains, TimeMs
from ledger.reasons import Reason
from ledger.state import StateReader
from ledger.transaction import Call
from tests.builders import make_key
from tests.did_scene import sign
from tests.simulation.identities import Wish, list_signers
from tests.simulation.promoters import (
    ADVERTISER,
    CAP,
    HASH,
    MATCHER,
    PUBLISHER,
    REVIEWERS,
    STAKE_GRAINS,
    USERS,
    VIEWER,
    build_terms,
)
from tests.simulation.slips import Refusals, Slips
from vm.native.accounts import DAY_MS
from vm.native.ads_formulas import Split, compute_fixed_reward, compute_stake
from vm.native.ads_records import (
    FINDINGS,
    AcceptancePayload,
    BalancePayload,
    Book,
    Campaign,
    CampaignId,
    CampaignStatus,
    Channel,
    ChannelKey,
    ChannelNumber,
    ChannelPayload,
    Complaint,
    ComplaintId,
    CompletionPayload,
    Counterparty,
    DeliveryKind,
    ItemRule,
    Nullifier,
    OfferPayload,
    Order,
    OrderId,
    OrderStatus,
    Terms,
    compute_order_id,
    compute_status,
    compute_terms_hash,
    find_campaign,
    find_channel,
    find_complaint,
    find_complaint_of,
    find_ended_ms,
    find_order,
    get_book,
    get_counts,
    get_reviewers,
)
from vm.native.did_records import DidRecord, get_did_record

MATCHER_SECRET: Final = bytes([5]) * 32
CAMPAIGNS_MAX: Final = 5
"""At once; enough for one of each kind."""
CAMPAIGNS_SEEN: Final = 8
"""The newest; those before are settled, or left alone."""
ACCEPT_SLIPS: Final = 2
"""One of so many acceptances has a mistake: most can be wrong with them."""
FUNDS_GRAINS: Final = (3_000, 6_000, 20_000)
PERIODS_MS: Final = (1_500, 4_000, 20_000)
OFFER_MS: Final = 1_000
DAILY_GRAINS_LOW: Final = Grains(700)

REFUSALS: Final[Refusals] = {
    "ads.create": {
        "shares are not one whole": Reason.ADS_BAD_TERMS,
        "a targeting that is none": Reason.ADS_BAD_TARGETING,
        "by somebody without the role": Reason.ROLE_MISSING,
    },
    "ads.revise": {
        "of what is no draft": Reason.ADS_WRONG_STATUS,
        "to have what others have paid in": Reason.ADS_REFUND_FIXED,
    },
    "ads.fund": {
        "into what is over": Reason.ADS_WRONG_STATUS,
        "more than anybody has": Reason.INSUFFICIENT_BALANCE,
        "for another account": Reason.ADS_OTHER_REFUND,
    },
    "ads.submit": {"without a budget": Reason.ADS_UNDERFUNDED},
    "ads.review": {"of other terms": Reason.ADS_BAD_TERMS},
    "ads.pause": {"of another's": Reason.ADS_NOT_YOURS, "of what is over": Reason.ADS_WRONG_STATUS},
    "ads.settle": {
        "within the grace period": Reason.ADS_TOO_EARLY,
        "before its channels and complaints": Reason.ADS_UNSETTLED,
    },
    "ads.accept": {
        "a forged offer": Reason.DID_UNKNOWN_KEY,
        "a forged acceptance": Reason.DID_UNKNOWN_KEY,
        "a nullifier twice": Reason.ADS_SLOT_USED,
        "the nullifier of another": Reason.ADS_BAD_NULLIFIER,
        "beyond the cap": Reason.ADS_BAD_NULLIFIER,
        "a price beyond the terms": Reason.ADS_BAD_OFFER,
        "an offer that is over": Reason.ADS_BAD_OFFER,
        "more than is left": Reason.ADS_UNDERFUNDED,
        "more than a day allows": Reason.ADS_PACE_EXCEEDED,
        "before the campaign begins": Reason.ADS_TOO_EARLY,
        "after its end": Reason.ADS_WRONG_STATUS,
        "of what is exhausted": Reason.ADS_UNDERFUNDED,
    },
    "ads.complete": {
        "a forged completion": Reason.DID_UNKNOWN_KEY,
        "more than was accepted": Reason.ADS_BAD_COMPLETION,
        "twice": Reason.ADS_ORDER_OVER,
        "too late": Reason.ADS_ORDER_OVER,
    },
    "ads.lapse": {"too early": Reason.ADS_TOO_EARLY},
    "ads.open_channel": {
        "beyond the budget": Reason.ADS_UNDERFUNDED,
        "out of turn": Reason.ADS_BAD_BALANCE,
        "a forged word": Reason.DID_UNKNOWN_KEY,
        "for many without a matcher": Reason.ADS_BAD_OFFER,
    },
    "ads.post_balance": {
        "an older balance": Reason.ADS_BAD_BALANCE,
        "a smaller balance": Reason.ADS_BAD_BALANCE,
        "beyond the channel": Reason.ADS_BAD_BALANCE,
        "signed by one side": Reason.ADS_BAD_BALANCE,
        "forged": Reason.ADS_BAD_BALANCE,
        "after the challenge window": Reason.ADS_BAD_BALANCE,
    },
    "ads.settle_channel": {"too early": Reason.ADS_TOO_EARLY},
    "ads.enrol": {"twice": Reason.ADS_BAD_COMPLAINT},
    "ads.complain": {
        "twice": Reason.ADS_BAD_COMPLAINT,
        "of one's own": Reason.ADS_BAD_COMPLAINT,
        "of what never ran": Reason.ADS_BAD_COMPLAINT,
        "below the stake": Reason.ADS_STAKE_HIGHER,
        "after one was upheld": Reason.ADS_UPHELD_ALREADY,
    },
    "ads.judge": {
        "twice": Reason.ADS_NOT_ON_PANEL,
        "from outside the panel": Reason.ADS_NOT_ON_PANEL,
        "after one was upheld": Reason.ADS_UPHELD_ALREADY,
    },
    "ads.close_complaint": {"too early": Reason.ADS_TOO_EARLY},
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A campaign at the time of the next block."""

    campaign: CampaignId
    found: Campaign
    book: Book
    status: CampaignStatus
    ended_ms: int | None

    @property
    def terms(self) -> Terms:
        """On which it runs."""
        return self.found.terms

    def is_past_grace(self, now_ms: int) -> bool:
        """Whether nothing is completed, posted or complained of any more."""
        if self.ended_ms is None:
            return False
        grace_ms = 0 if self.book.reviewer is None else self.book.windows.grace_ms
        return now_ms >= self.ended_ms + grace_ms


class AdsTraffic:
    """Draws calls that fit a state, or have one mistake."""

    def __init__(self, random: Random, domain: SigningDomain, accounts: Sequence[Address]) -> None:
        self._random = random
        self._domain = domain
        self._accounts = accounts
        self._slips = Slips(random, REFUSALS)
        self._state: StateReader
        self._now_ms = 0
        self._seen: list[Seen] = []
        self._orders: dict[CampaignId, list[OrderId]] = defaultdict(list)
        """That were asked for, accepted or not."""
        self._makers: tuple[Callable[[], Wish | None], ...] = (
            *[self._create] * 2,
            self._revise,
            *[self._fund] * 2,
            *[self._submit] * 2,
            *[self._review] * 3,
            self._pause,
            *[self._resume] * 2,
            self._end,
            *[self._settle] * 3,
            *[self._accept] * 12,
            *[self._complete] * 5,
            *[self._lapse] * 2,
            *[self._open_channel] * 3,
            *[self._post_balance] * 5,
            *[self._settle_channel] * 3,
            self._enrol,
            self._withdraw,
            *[self._complain] * 2,
            *[self._judge] * 5,
            *[self._close_complaint] * 2,
        )

    def draw(self, state: StateReader, now_ms: int) -> Wish:
        """What somebody asks for who sees this state, and that the next block is of about this time."""
        self._state, self._now_ms = state, now_ms
        self._seen = list(self._look())
        while True:
            wish = self._random.choice(self._makers)()
            if wish is not None:
                return self._slips.note(wish)

    # Campaigns

    def _create(self) -> Wish | None:
        if sum(each.status is not CampaignStatus.SETTLED for each in self._seen) >= CAMPAIGNS_MAX:
            return None
        terms, account = self._draw_terms(), ADVERTISER.account
        mistake = self._slips.draw("ads.create")
        if mistake == "shares are not one whole":
            terms = replace(terms, split=Split(5_000, 5_000, 1))
        elif mistake == "a targeting that is none":
            terms = replace(terms, targeting=type(terms.targeting)(b"\xff"))
        elif mistake == "by somebody without the role":
            account = VIEWER.account
        return self._wish("create", [terms], account, mistake)

    def _revise(self) -> Wish | None:
        mistake, terms = self._slips.draw("ads.revise"), self._draw_terms()
        status = CampaignStatus.RUNNING if mistake == "of what is no draft" else CampaignStatus.DRAFT
        seen = self._pick(status)
        if mistake == "to have what others have paid in":
            seen = self._pick(status, is_wanted=lambda each: each.book.funded_grains > 0)
            terms = replace(terms, refund=terms.platform)
        return None if seen is None else self._by_advertiser("revise", [seen.campaign, terms], mistake)

    def _fund(self) -> Wish | None:
        mistake, grains = self._slips.draw("ads.fund"), self._random.choice(FUNDS_GRAINS)
        if mistake == "into what is over":
            seen = self._pick(CampaignStatus.ENDED, CampaignStatus.SETTLED)
        else:
            seen = self._pick(
                CampaignStatus.DRAFT, CampaignStatus.DRAFT, CampaignStatus.REVIEW, CampaignStatus.EXHAUSTED
            )
        if mistake == "more than anybody has":
            grains = 10**17
        if seen is None:
            return None
        refund = seen.terms.platform if mistake == "for another account" else seen.terms.refund
        return self._wish("fund", [seen.campaign, grains, refund], None, mistake)

    def _submit(self) -> Wish | None:
        mistake = self._slips.draw("ads.submit")
        seen = self._pick(CampaignStatus.DRAFT, is_wanted=lambda each: (each.book.funded_grains == 0) is bool(mistake))
        return None if seen is None else self._by_advertiser("submit", [seen.campaign], mistake)

    def _review(self) -> Wish | None:
        seen, mistake = self._pick(CampaignStatus.REVIEW), self._slips.draw("ads.review")
        if seen is None:
            return None
        terms = seen.terms if mistake is None else replace(seen.terms, cap=1)
        is_approved = self._random.randrange(6) > 0
        reviewer = self._random.choice(REVIEWERS).account
        return self._wish("review", [seen.campaign, compute_terms_hash(terms), is_approved, HASH], reviewer, mistake)

    def _pause(self) -> Wish | None:
        mistake = self._slips.draw("ads.pause")
        if mistake == "of what is over":
            seen = self._pick(CampaignStatus.ENDED, CampaignStatus.SETTLED)
        else:
            seen = self._pick(CampaignStatus.RUNNING)
        account = VIEWER.account if mistake == "of another's" else ADVERTISER.account
        return None if seen is None else self._wish("pause", [seen.campaign], account, mistake)

    def _resume(self) -> Wish | None:
        seen = self._pick(CampaignStatus.PAUSED)
        return None if seen is None else self._by_advertiser("resume", [seen.campaign])

    def _end(self) -> Wish | None:
        """Now and then, and with orders that wait."""
        seen = self._pick(
            CampaignStatus.RUNNING, CampaignStatus.PAUSED, is_wanted=lambda each: each.book.orders_open > 0
        )
        if seen is None or self._random.randrange(2):
            return None
        return self._by_advertiser("end", [seen.campaign])

    def _settle(self) -> Wish | None:
        mistake = self._slips.draw("ads.settle")

        def is_wanted(seen: Seen) -> bool:
            is_due, is_held_up = seen.is_past_grace(self._now_ms), seen.book.channels_open or seen.book.complaints_open
            if mistake == "within the grace period":
                return not is_due
            return is_due and bool(is_held_up) is (mistake == "before its channels and complaints")

        seen = self._pick(CampaignStatus.ENDED, is_wanted=is_wanted)
        return None if seen is None else self._wish("settle", [seen.campaign], None, mistake)

    # Orders

    def _accept(self) -> Wish | None:
        mistake, draw = self._slips.draw("ads.accept", ACCEPT_SLIPS), self._random
        seen = self._pick_for_acceptance(mistake)
        if seen is None:
            return None
        item = draw.choice(seen.terms.items)
        price, units = (
            draw.choice((item.price_grains_min, item.price_grains_max)),
            min(item.units_max, draw.choice((1, 2, 5))),
        )
        until_ms = self._now_ms + OFFER_MS
        user, slot = draw.choice(USERS), draw.randrange(CAP)
        if mistake in ("more than is left", "more than a day allows"):
            dear = self._find_dear(seen, mistake)
            if dear is None:
                return None
            item, units = dear
            price = item.price_grains_max
        elif mistake == "a price beyond the terms":
            price = Grains(item.price_grains_max + 1)
        elif mistake == "an offer that is over":
            until_ms = self._now_ms - OFFER_MS
        elif mistake == "beyond the cap":
            slot = CAP
        nullifier = self._nullify(seen, user, slot)
        is_used = find_order(self._state, compute_order_id(seen.campaign, nullifier)) is not None
        if mistake == "the nullifier of another":
            nullifier = self._nullify(seen, PUBLISHER.did, slot)
        if is_used is not (mistake == "a nullifier twice"):
            return None
        is_about_signatures = mistake in (None, "a forged offer", "a forged acceptance")
        if is_about_signatures and not self._is_affordable(seen, price * units):
            return None
        offer = OfferPayload(seen.campaign, PUBLISHER.did, item.kind, Grains(price), units, TimeMs(until_ms))
        payload = AcceptancePayload(offer, user, slot, nullifier, HASH)
        parties = [user, PUBLISHER.did] if seen.terms.matcher is None else [user, PUBLISHER.did, MATCHER]
        offered = self._sign(SigningPurpose.ADS_OFFER, offer, [ADVERTISER.did], is_forged=mistake == "a forged offer")
        is_forged = mistake == "a forged acceptance"
        accepted = self._sign(SigningPurpose.ADS_ACCEPTANCE, payload, parties, is_forged=is_forged)
        self._orders[seen.campaign].append(compute_order_id(seen.campaign, nullifier))
        return self._wish("accept", [payload, offered, accepted], None, mistake)

    def _pick_for_acceptance(self, mistake: str | None) -> Seen | None:
        if mistake == "after its end":
            return self._pick(CampaignStatus.ENDED, CampaignStatus.SETTLED)
        if mistake == "of what is exhausted":
            return self._pick(CampaignStatus.EXHAUSTED)
        if mistake == "before the campaign begins":
            return self._pick(CampaignStatus.RUNNING, is_wanted=lambda each: self._now_ms < each.terms.start_ms)
        if mistake == "the nullifier of another":
            return self._pick_running(lambda each: each.terms.matcher is None)
        return self._pick_running()

    def _find_dear(self, seen: Seen, mistake: str) -> tuple[ItemRule, int] | None:
        """A delivery that costs more than the campaign has left, or than the day allows; None: there is none."""
        item = seen.terms.items[0]
        if item.kind is not DeliveryKind.LIVE_VIEW:
            return None
        least = seen.book.free_grains if mistake == "more than is left" else self._get_day_left(seen)
        units = least // item.price_grains_max + 1
        is_within_budget = units * item.price_grains_max <= seen.book.free_grains
        is_right = units <= item.units_max and is_within_budget is (mistake == "more than a day allows")
        return (item, units) if is_right else None

    def _is_affordable(self, seen: Seen, grains: int) -> bool:
        """Whether a campaign may promise so much now, or the next part of its fixed total."""
        if seen.terms.fixed is not None:
            grains = compute_fixed_reward(seen.terms.fixed, seen.book.accepted + 1)
        return grains <= min(seen.book.free_grains, self._get_day_left(seen))

    def _get_day_left(self, seen: Seen) -> int:
        spent = seen.book.day_grains if seen.book.day == self._now_ms // DAY_MS else 0
        return seen.terms.daily_grains_max - spent

    def _nullify(self, seen: Seen, user: Did, slot: int) -> Nullifier:
        if seen.terms.matcher is not None:
            return Nullifier(compute_matched_nullifier(MATCHER_SECRET, self._domain, seen.campaign, user, slot))
        return Nullifier(compute_open_nullifier(self._domain, seen.campaign, user, slot))

    def _complete(self) -> Wish | None:
        mistake = self._slips.draw("ads.complete")

        def is_wanted(seen: Seen, order: Order) -> bool:
            if mistake == "twice":
                return order.status is OrderStatus.COMPLETED
            is_due = order.status is OrderStatus.ACCEPTED and seen.status is not CampaignStatus.SETTLED
            return is_due and self._is_too_late(seen, order) is (mistake == "too late")

        found = self._pick_order(is_wanted)
        if found is None:
            return None
        _, name, order = found
        units = order.units_max + 1 if mistake == "more than was accepted" else self._random.randint(1, order.units_max)
        payload = CompletionPayload(name, units)
        is_forged = mistake == "a forged completion"
        parties = [order.user, order.publisher]
        signatures = self._sign(SigningPurpose.ADS_COMPLETION, payload, parties, is_forged=is_forged)
        return self._wish("complete", [payload, signatures], None, mistake)

    def _lapse(self) -> Wish | None:
        mistake = self._slips.draw("ads.lapse")

        def is_wanted(seen: Seen, order: Order) -> bool:
            is_due = order.status is OrderStatus.ACCEPTED and seen.status is not CampaignStatus.SETTLED
            return is_due and self._is_too_late(seen, order) is (mistake is None)

        found = self._pick_order(is_wanted)
        return None if found is None else self._wish("lapse", [found[1]], None, mistake)

    def _is_too_late(self, seen: Seen, order: Order) -> bool:
        return self._now_ms > order.deadline_ms or seen.is_past_grace(self._now_ms)

    def _pick_order(self, is_wanted: Callable[[Seen, Order], bool]) -> tuple[Seen, OrderId, Order] | None:
        """An order of those campaigns, as wanted."""
        wanted = []
        for seen in self._seen:
            for name in self._orders[seen.campaign]:
                order = find_order(self._state, name)
                if order is not None and is_wanted(seen, order):
                    wanted.append((seen, name, order))
        return self._random.choice(wanted) if wanted else None

    # Channels

    def _open_channel(self) -> Wish | None:
        mistake, draw = self._slips.draw("ads.open_channel"), self._random
        is_for_many = mistake == "for many without a matcher"
        seen = self._pick_running(lambda each: not is_for_many or each.terms.matcher is None)
        if seen is None:
            return None
        if seen.terms.matcher is not None:
            is_for_many = draw.randrange(3) > 0
        user = None if is_for_many else draw.choice(USERS)
        counterparty = Counterparty.PUBLISHER if user is None else draw.choice(tuple(Counterparty))
        locked = draw.choice((50, 300))
        if mistake == "beyond the budget":
            locked = seen.book.free_grains + 1
        elif not self._is_payable(seen, locked):
            return None
        number = seen.book.channels + 1 + (mistake == "out of turn")
        payload = ChannelPayload(
            campaign=seen.campaign,
            number=ChannelNumber(number),
            user=user,
            publisher=PUBLISHER.did,
            counterparty=counterparty,
            offerer_key=_get_channel_key(ADVERTISER.did),
            counterparty_key=_get_channel_key(user or PUBLISHER.did),
            locked_grains=Grains(locked),
        )
        signer = PUBLISHER.did if user is None or counterparty is Counterparty.PUBLISHER else user
        parties = [ADVERTISER.did, signer]
        signatures = self._sign(SigningPurpose.ADS_CHANNEL, payload, parties, is_forged=mistake == "a forged word")
        return self._wish("open_channel", [payload, signatures], None, mistake)

    def _is_payable(self, seen: Seen, grains: int) -> bool:
        return grains <= min(seen.book.free_grains, self._get_day_left(seen))

    def _post_balance(self) -> Wish | None:
        mistake, draw = self._slips.draw("ads.post_balance"), self._random

        def is_wanted(seen: Seen, channel: Channel) -> bool:
            is_over = 0 < channel.closes_ms <= self._now_ms
            if mistake == "after the challenge window":
                return is_over
            is_open = not is_over and (channel.closes_ms > 0 or not seen.is_past_grace(self._now_ms))
            if mistake == "an older balance":
                return is_open and channel.closes_ms > 0
            return is_open and (mistake != "a smaller balance" or channel.gross_grains > 0)

        found = self._pick_channel(is_wanted)
        if found is None:
            return None
        seen, number, channel = found
        version, gross = channel.version + 1, draw.randint(channel.gross_grains, channel.locked_grains)
        if mistake == "an older balance":
            version = draw.randint(0, channel.version)
            gross = 0 if version == 0 else gross
        elif mistake == "a smaller balance":
            gross = channel.gross_grains - 1
        elif mistake == "beyond the channel":
            gross = channel.locked_grains + 1
        elif mistake is None and channel.closes_ms == 0 and draw.randrange(6) == 0:
            version, gross = 0, 0
        payload = BalancePayload(seen.campaign, number, version, Grains(gross))
        message = signing_bytes(SigningPurpose.ADS_BALANCE, self._domain, encode(payload))
        signing = MATCHER if mistake == "forged" else channel.user or channel.publisher
        counter_signature: bytes | None = _get_channel_secret(signing).sign(message)
        if version == 0 or mistake == "signed by one side":
            counter_signature = None
        signatures = [_get_channel_secret(ADVERTISER.did).sign(message), counter_signature]
        return self._wish("post_balance", [payload, *signatures], None, mistake)

    def _settle_channel(self) -> Wish | None:
        mistake = self._slips.draw("ads.settle_channel")

        def is_wanted(seen: Seen, channel: Channel) -> bool:
            is_due = self._now_ms >= channel.closes_ms if channel.closes_ms else seen.is_past_grace(self._now_ms)
            return is_due is (mistake is None)

        found = self._pick_channel(is_wanted)
        return None if found is None else self._wish("settle_channel", [found[0].campaign, found[1]], None, mistake)

    def _pick_channel(self, is_wanted: Callable[[Seen, Channel], bool]) -> tuple[Seen, ChannelNumber, Channel] | None:
        """A channel that is not settled, as wanted."""
        wanted = []
        for seen in self._seen:
            for number in range(1, seen.book.channels + 1):
                channel = find_channel(self._state, seen.campaign, number)
                if channel is not None and not channel.is_settled and is_wanted(seen, channel):
                    wanted.append((seen, number, channel))
        return self._random.choice(wanted) if wanted else None

    # Complaints

    def _enrol(self) -> Wish | None:
        mistake, enrolled = self._slips.draw("ads.enrol"), get_reviewers(self._state)
        wanted = [each for each in REVIEWERS if (each.did in enrolled) is (mistake is not None)]
        return self._wish("enrol", [], self._random.choice(wanted).account, mistake) if wanted else None

    def _withdraw(self) -> Wish | None:
        wanted = [each for each in REVIEWERS if each.did in get_reviewers(self._state)]
        if len(wanted) < len(REVIEWERS):
            return None
        return self._wish("withdraw", [], self._random.choice(wanted).account)

    def _complain(self) -> Wish | None:
        mistake = self._slips.draw("ads.complain")
        complainer = ADVERTISER if mistake == "of one's own" else self._random.choice((PUBLISHER, VIEWER, *REVIEWERS))

        def is_wanted(seen: Seen) -> bool:
            if mistake == "of what never ran":
                return seen.book.reviewer is None
            if seen.book.is_upheld is not (mistake == "after one was upheld"):
                return False
            has_complained = find_complaint_of(self._state, seen.campaign, complainer.did) is not None
            is_open = seen.book.reviewer is not None and not seen.is_past_grace(self._now_ms)
            return is_open and has_complained is (mistake == "twice")

        seen = self._pick(*CampaignStatus, is_wanted=is_wanted)
        if seen is None or (mistake is None and seen.book.complaints_open > 1):
            return None
        stake = compute_stake(STAKE_GRAINS, seen.book.complaints_open) - (mistake == "below the stake")
        return self._wish("complain", [seen.campaign, HASH, stake], complainer.account, mistake)

    def _judge(self) -> Wish | None:
        """Reviewers of one panel mostly find the same."""
        mistake = self._slips.draw("ads.judge")
        is_late = mistake == "after one was upheld"
        found = self._pick_complaint(
            lambda each: bool(each.panel) and self._now_ms <= each.until_ms and self._is_upheld(each) is is_late
        )
        if found is None:
            return None
        number, complaint = found
        voted = {vote.member for vote in complaint.votes}
        if mistake == "twice":
            wanted = [each for each in REVIEWERS if each.did in voted]
        elif mistake == "from outside the panel":
            wanted = [each for each in REVIEWERS if each.did not in complaint.panel]
        else:
            wanted = [each for each in REVIEWERS if each.did in complaint.panel and each.did not in voted]
        if not wanted:
            return None
        usual = FINDINGS[number % len(FINDINGS)]
        verdict = usual if self._random.randrange(4) else self._random.choice(FINDINGS)
        return self._wish("judge", [number, int(verdict), HASH], self._random.choice(wanted).account, mistake)

    def _close_complaint(self) -> Wish | None:
        mistake = self._slips.draw("ads.close_complaint")

        def is_wanted(complaint: Complaint) -> bool:
            is_late = bool(complaint.panel) and self._now_ms > complaint.until_ms
            return (is_late or self._is_upheld(complaint)) is (mistake is None)

        found = self._pick_complaint(is_wanted)
        return None if found is None else self._wish("close_complaint", [found[0]], None, mistake)

    def _is_upheld(self, complaint: Complaint) -> bool:
        return get_book(self._state, complaint.campaign).is_upheld

    def _pick_complaint(self, is_wanted: Callable[[Complaint], bool]) -> tuple[ComplaintId, Complaint] | None:
        """One of the newest that is not decided, as wanted."""
        count = get_counts(self._state).complaints
        wanted = []
        for number in range(max(1, count - CAMPAIGNS_SEEN), count + 1):
            complaint = find_complaint(self._state, ComplaintId(number))
            if complaint is not None and complaint.verdict is None and is_wanted(complaint):
                wanted.append((ComplaintId(number), complaint))
        return self._random.choice(wanted) if wanted else None

    # What the state says

    def _look(self) -> Iterator[Seen]:
        count = get_counts(self._state).campaigns
        for number in range(max(1, count - CAMPAIGNS_SEEN + 1), count + 1):
            campaign = CampaignId(number)
            found, book = find_campaign(self._state, campaign), get_book(self._state, campaign)
            assert found is not None, "campaigns are kept"
            status = compute_status(found, book, self._now_ms)
            yield Seen(campaign, found, book, status, find_ended_ms(found, book, self._now_ms))

    def _pick(self, *statuses: CampaignStatus, is_wanted: Callable[[Seen], bool] = lambda _: True) -> Seen | None:
        """A campaign that stands there, as wanted."""
        wanted = [each for each in self._seen if each.status in statuses and is_wanted(each)]
        return self._random.choice(wanted) if wanted else None

    def _pick_running(self, is_wanted: Callable[[Seen], bool] = lambda _: True) -> Seen | None:
        """One that accepts deliveries."""
        return self._pick(
            CampaignStatus.RUNNING, is_wanted=lambda each: each.terms.start_ms <= self._now_ms and is_wanted(each)
        )

    # Who asks, and who signs

    def _draw_terms(self) -> Terms:
        draw = self._random
        start_ms = self._now_ms + draw.choice((-100, -100, -100, 2_000))
        end_ms = max(start_ms, self._now_ms) + draw.choice(PERIODS_MS)
        kind = draw.randrange(4)
        matcher = MATCHER if kind in (1, 2) else None
        daily = {"daily_grains": DAILY_GRAINS_LOW} if draw.randrange(3) == 0 else {}
        return build_terms(self._accounts, start_ms, end_ms, is_fixed=kind == 0, matcher=matcher, **daily)

    def _by_advertiser(self, name: str, arguments: list[Any], mistake: str | None = None) -> Wish:
        return self._wish(name, arguments, ADVERTISER.account, mistake)

    def _wish(self, name: str, arguments: list[Any], account: int | None, mistake: str | None = None) -> Wish:
        return Wish(Call("ads", name, [to_plain(each) for each in arguments]), account, mistake)

    def _sign(self, purpose: SigningPurpose, payload: Any, dids: Sequence[Did], *, is_forged: bool = False) -> Any:
        """By the keys of all these identities; a forged word is signed by a stranger's in the name of the last one."""
        signers: list[tuple[Did, PrivateKey]] = [signer for did in dids for signer in list_signers(self._find, did)]
        if is_forged:
            signers[-1] = (signers[-1][0], make_key("stranger"))
        return sign(purpose, payload, signers, self._domain)

    def _find(self, did: Did) -> DidRecord | None:
        return get_did_record(self._state, did)


def _get_channel_secret(did: Did) -> PrivateKey:
    return make_key(f"channel key of {did.hex()}")


def _get_channel_key(did: Did) -> ChannelKey:
    return ChannelKey(_get_channel_secret(did).public_key.key)
