"""What the state holds for advertising; the rules stand in vm/native/ads.py.

| key                                  | value                                                                  |
|--------------------------------------|------------------------------------------------------------------------|
| ADS_COUNT_KEY                        | Counts: campaigns and complaints so far                                |
| ads_campaign_key(campaign)           | Campaign: whose, and on which terms                                    |
| ads_book_key(campaign)               | Book: where it stands, and every grain of it                           |
| ads_order_key(order)                 | Order; stays, so that a nullifier counts once                          |
| ads_channel_key(campaign, number)    | Channel                                                                |
| ads_reached_key(campaign, did)       | empty: an order of that user was completed                             |
| ADS_RULES_KEY                        | AdsRules; absent: DEFAULT_RULES                                        |
| ads_complaint_key(complaint)         | Complaint                                                              |
| ads_complainer_key(campaign, did)    | number of the complaint of that identity, 8 bytes big-endian           |
| ads_credit_key(did)                  | Credit of an advertiser; absent: nothing was ever upheld               |
| ads_draw_key(complaint)              | Draw, until the block after the complaint's own                        |
| ADS_REVIEWERS_KEY                    | Reviewers: who may be drawn for panels                                 |
| ads_advertiser_key(did, campaign)    | empty: the campaign is this advertiser's; the newest comes first       |

All coins lie in the module account `ads`, which holds exactly what the books of all campaigns say is left, and the
stakes of complaints that are not decided.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, unique
from hashlib import sha256
from itertools import islice
from typing import Annotated, Final, NewType

from annotated_types import Interval, Len

from identity.address import Address, compute_module_address
from identity.did import Did
from identity.targeting import PackedExpression
from ledger.codec import decode, encode
from ledger.primitives import INTEGER_MAX, JSON_INTEGER_MAX, Grains, Height, PositiveGrains, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader, end_of_prefix
from ledger.state_keys import (
    ADS_COUNT_KEY,
    ADS_DRAW_PREFIX,
    ADS_REVIEWERS_KEY,
    ADS_RULES_KEY,
    ads_advertiser_key,
    ads_advertiser_prefix,
    ads_book_key,
    ads_campaign_key,
    ads_channel_key,
    ads_complainer_key,
    ads_complaint_key,
    ads_credit_key,
    ads_draw_key,
    ads_order_key,
    ads_reached_key,
    read_ads_advertiser_key,
)
from vm.native.accounts import DAY_MS
from vm.native.ads_formulas import (
    BPS,
    POINTS_MAX,
    UNITS_MAX,
    Bps,
    FixedReward,
    Split,
    compute_fixed_reward,
    decay_points,
)
from vm.native.distribution_records import SourceId
from vm.native.iov import credit, debit

MODULE_NAME: Final = "ads"
ADS_ADDRESS: Final = compute_module_address(MODULE_NAME)

URI_CHARACTERS_MAX: Final = 256
CAP_MAX: Final = 1_000  # deliveries of one campaign to one person; more is no advertising but harassment
PERIOD_MS_MAX: Final = 400 * DAY_MS
CHANNELS_OPEN_MAX: Final = 100_000  # each is settled by a call of its own before the rest goes back
COMPLAINTS_OPEN_MAX: Final = 256  # of one campaign; by then stakes of 32,896 times the first one's are locked
REVIEWERS_MAX: Final = 256  # one record, read for every complaint
PANEL_MAX: Final = 21
WINDOW_MS_MAX: Final = 90 * DAY_MS
STAKE_GRAINS_MAX: Final = 10**15
assert COMPLAINTS_OPEN_MAX * STAKE_GRAINS_MAX <= INTEGER_MAX, "the last one's stake can be counted"
_ID_BYTES: Final = 8
_ORDER_DOMAIN: Final = b"carlive ads order\0"

CampaignId = NewType("CampaignId", Annotated[int, Interval(ge=1, le=JSON_INTEGER_MAX)])
"""Number of a campaign, from 1."""
ComplaintId = NewType("ComplaintId", Annotated[int, Interval(ge=1, le=JSON_INTEGER_MAX)])
"""Number of a complaint, from 1."""
OrderId = NewType("OrderId", Annotated[bytes, Len(32, 32)])
"""Hash of a campaign and a nullifier: that there is at most one order for it is all the double spending there is."""
Nullifier = NewType("Nullifier", Annotated[bytes, Len(32, 32)])
"""Stands for one delivery of a campaign to one person, see identity/ads_matching.py."""
ChannelKey = NewType("ChannelKey", Annotated[bytes, Len(32, 32)])
"""Ed25519 key that signs a channel's balances. It stays the channel's, whatever becomes of identities."""
Hash32 = Annotated[bytes, Len(32, 32)]
"""SHA-256 of something that is kept elsewhere."""
Count = Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]
ChannelNumber = Annotated[int, Interval(ge=1, le=2**32 - 1)]
Slot = Annotated[int, Interval(ge=0, le=CAP_MAX - 1)]
Units = Annotated[int, Interval(ge=1, le=UNITS_MAX)]


@unique
class DeliveryKind(IntEnum):
    """How an advertisement reaches somebody; wire number, never reused."""

    LIVE_VIEW = 1
    """Its units are minutes; those of all others are single acts."""
    MESSAGE_READ = 2
    FAN_INTERACTION = 3
    CLICK = 4


@unique
class CampaignStatus(IntEnum):
    """Where a campaign stands; wire number, never reused. EXHAUSTED, and ENDED by its period, follow from the rest."""

    DRAFT = 1
    REVIEW = 2
    RUNNING = 3
    PAUSED = 4
    EXHAUSTED = 5
    """It runs, and what is left does not pay for a delivery; more money lets it run again."""
    ENDED = 6
    SETTLED = 7


@unique
class OrderStatus(IntEnum):
    """Where an order stands; wire number, never reused."""

    ACCEPTED = 1
    COMPLETED = 2
    LAPSED = 3


@unique
class Counterparty(IntEnum):
    """Who signs a channel's balances besides the campaign; wire number, never reused."""

    USER = 1
    PUBLISHER = 2


@unique
class Verdict(IntEnum):
    """What becomes of a complaint; wire number, never reused."""

    UPHELD = 1
    DISMISSED = 2
    """The content is fair, and the complaint was honest: the stake goes back."""
    ABUSIVE = 3
    """The stake is lost."""
    MOOT = 4
    """No panel finds that: another complaint about the same terms was upheld. The stake goes back, and that is all."""


FINDINGS: Final = (Verdict.UPHELD, Verdict.DISMISSED, Verdict.ABUSIVE)
"""What members of a panel vote for."""


@dataclass(frozen=True, slots=True)
class ItemRule:
    """What a kind of delivery may cost in an offer, and how many units of it count."""

    kind: DeliveryKind
    price_grains_min: Grains
    price_grains_max: Grains
    """Of one unit; both 0 when a fixed total is shared."""
    units_min: Units
    units_max: Units


@dataclass(frozen=True, slots=True)
class Terms:
    """What an advertiser promises."""

    content_hash: Hash32
    metadata_uri: Annotated[str, Len(1, URI_CHARACTERS_MAX)]
    metadata_hash: Hash32
    targeting: PackedExpression
    start_ms: TimeMs
    end_ms: TimeMs
    """From here on nothing is accepted."""
    daily_grains_max: PositiveGrains
    """What is promised to deliveries on one day of UTC."""
    cap: Annotated[int, Interval(ge=1, le=CAP_MAX)]
    """Deliveries to one person."""
    items: Annotated[tuple[ItemRule, ...], Len(1, len(DeliveryKind))]
    """In order of their kinds, each once."""
    fixed: FixedReward | None
    """None: by item."""
    split: Split
    platform: Address
    """Is paid the platform's share."""
    refund: Address
    """Gets back what is not spent."""
    offerer: Did
    """Signs offers and balances for the campaign: the advertiser, or whoever works for it."""
    matcher: Did | None
    """Vouches that a nullifier is the one of a person; None: everybody shows the identity that has the role person."""


@dataclass(frozen=True, slots=True)
class Windows:
    """How long things may take; a campaign keeps those with which it was submitted."""

    completion_ms: Annotated[int, Interval(ge=1, le=WINDOW_MS_MAX)]
    """From an order's acceptance to its completion."""
    grace_ms: Annotated[int, Interval(ge=1, le=WINDOW_MS_MAX)]
    """From a campaign's end: orders complete, balances are posted, complaints are made; then it is settled."""
    challenge_ms: Annotated[int, Interval(ge=1, le=WINDOW_MS_MAX)]
    """From a channel's first balance on the chain: newer ones take its place."""


@dataclass(frozen=True, slots=True)
class AdsRules:
    """Numbers that governance may change."""

    windows: Windows
    deposit_bps_min: Bps
    """Of a perfect score."""
    deposit_bps_max: Bps
    """Of a score of 0."""
    half_life_ms: Annotated[int, Interval(ge=DAY_MS, le=JSON_INTEGER_MAX)]
    upheld_points: Annotated[int, Interval(ge=0, le=POINTS_MAX)]
    """Of a complaint that is upheld."""
    penalty_bps: Bps
    """Of the deposit, for a complaint that is upheld."""
    stake_grains: Annotated[Grains, Interval(ge=1, le=STAKE_GRAINS_MAX)]
    """Of a campaign's first complaint; the more are open, the higher (formula G7)."""
    panel_size: Annotated[int, Interval(ge=1, le=PANEL_MAX)]
    judging_ms: Annotated[int, Interval(ge=1, le=WINDOW_MS_MAX)]


DEFAULT_RULES: Final = AdsRules(
    windows=Windows(completion_ms=DAY_MS, grace_ms=7 * DAY_MS, challenge_ms=DAY_MS),
    deposit_bps_min=500,
    deposit_bps_max=5_000,
    half_life_ms=180 * DAY_MS,
    upheld_points=2_500,
    penalty_bps=5_000,
    stake_grains=Grains(10**9),
    panel_size=5,
    judging_ms=7 * DAY_MS,
)


@dataclass(frozen=True, slots=True)
class Campaign:
    """Whose a campaign is, and on which terms."""

    advertiser: Did
    terms: Terms


@dataclass(frozen=True, slots=True)
class KindTotal:
    """What one kind of delivery came to."""

    completed: Count
    units: Count
    grains: Grains


NO_DELIVERIES: Final = KindTotal(0, 0, Grains(0))


@dataclass(frozen=True, slots=True)
class Book:
    """Where a campaign stands, and every grain of it."""

    status: CampaignStatus
    windows: Windows
    reviewer: Did | None
    """Who approved it; None: nobody yet, so it never ran."""
    ended_ms: TimeMs
    """When it was ended before its time; 0: it was not."""
    funded_grains: Grains
    """All that was paid in."""
    deposit_grains: Grains
    """The part of it that waits for complaints."""
    reserved_grains: Grains
    """Promised to orders."""
    locked_grains: Grains
    """Promised to channels."""
    paid_grains: Grains
    forfeited_grains: Grains
    """Taken of the deposit for complaints."""
    refunded_grains: Grains
    accepted: Count
    orders_open: Count
    persons: Count
    """Users of orders that were completed, each once; with a matcher they may be pseudonyms."""
    channels: Count
    channels_open: Annotated[int, Interval(ge=0, le=CHANNELS_OPEN_MAX)]
    channel_grains: Grains
    """What channels have paid; the rest of what was paid went by orders."""
    complaints_open: Annotated[int, Interval(ge=0, le=COMPLAINTS_OPEN_MAX)]
    is_upheld: bool
    """Whether a complaint was: the same terms are punished once."""
    source: SourceId | None
    """Of the campaign's distribution; None: no channel needed one so far."""
    day: Count
    """The last day of UTC on which something was promised."""
    day_grains: Grains
    """And how much."""
    totals: Annotated[tuple[KindTotal, ...], Len(len(DeliveryKind), len(DeliveryKind))]
    """By kind."""

    @property
    def left_grains(self) -> int:
        """What the module account holds for it."""
        return self.funded_grains - self.paid_grains - self.forfeited_grains - self.refunded_grains

    @property
    def free_grains(self) -> int:
        """What may still be promised."""
        return self.left_grains - self.deposit_grains - self.reserved_grains - self.locked_grains


NEW_BOOK: Final = Book(
    status=CampaignStatus.DRAFT,
    windows=DEFAULT_RULES.windows,
    reviewer=None,
    ended_ms=TimeMs(0),
    funded_grains=Grains(0),
    deposit_grains=Grains(0),
    reserved_grains=Grains(0),
    locked_grains=Grains(0),
    paid_grains=Grains(0),
    forfeited_grains=Grains(0),
    refunded_grains=Grains(0),
    accepted=0,
    orders_open=0,
    persons=0,
    channels=0,
    channels_open=0,
    channel_grains=Grains(0),
    complaints_open=0,
    is_upheld=False,
    source=None,
    day=0,
    day_grains=Grains(0),
    totals=(NO_DELIVERIES,) * len(DeliveryKind),
)


@dataclass(frozen=True, slots=True)
class OfferPayload:
    """What the campaign offers through a publisher to whoever matches."""

    campaign: CampaignId
    publisher: Did
    kind: DeliveryKind
    price_grains: Grains
    """Of one unit; 0 when a fixed total is shared."""
    units_max: Units
    until_ms: TimeMs
    """The last moment in which it is accepted."""


@dataclass(frozen=True, slots=True)
class AcceptancePayload:
    """What user, publisher and, where there is one, the matcher sign."""

    offer: OfferPayload
    user: Did
    slot: Slot
    """Which delivery to this person it is, from 0."""
    nullifier: Nullifier
    tags_commitment: Hash32
    """Commits to the tags that matched, see identity/ads_matching.py."""


@dataclass(frozen=True, slots=True)
class CompletionPayload:
    """What user and publisher sign once it is delivered."""

    order: OrderId
    units: Units


@dataclass(frozen=True, slots=True)
class Order:
    """A delivery to one person."""

    campaign: CampaignId
    user: Did
    publisher: Did
    kind: DeliveryKind
    slot: Slot
    number: Count
    """Which of the campaign's orders it is, from 1."""
    price_grains: Grains
    units_max: Units
    reserved_grains: Grains
    tags_commitment: Hash32
    accepted_ms: TimeMs
    deadline_ms: TimeMs
    """The last moment in which it completes."""
    status: OrderStatus
    units: Annotated[int, Interval(ge=0, le=UNITS_MAX)]
    gross_grains: Grains
    """What it has paid, all three shares."""


@dataclass(frozen=True, slots=True)
class ChannelPayload:
    """What offerer and counterparty sign: so much is set aside for what two others earn."""

    campaign: CampaignId
    number: ChannelNumber
    user: Did | None
    """None: many users; their share goes to the campaign's distribution."""
    publisher: Did
    counterparty: Counterparty
    offerer_key: ChannelKey
    counterparty_key: ChannelKey
    locked_grains: PositiveGrains


@dataclass(frozen=True, slots=True)
class BalancePayload:
    """What the keys of both sides of a channel sign: it has earned so much since it began."""

    campaign: CampaignId
    channel: ChannelNumber
    version: Count
    """0: nothing was earned; the offerer's key alone may say so."""
    gross_grains: Grains


@dataclass(frozen=True, slots=True)
class Channel:
    """Money that is set aside for a balance which grows off the chain."""

    user: Did | None
    """None: the campaign's distribution pays them."""
    user_account: Address | None
    """It is paid if the identity has none when the channel is settled: nobody can hold that up."""
    publisher: Did
    publisher_account: Address
    counterparty: Counterparty
    offerer_key: ChannelKey
    counterparty_key: ChannelKey
    locked_grains: Grains
    version: Count
    """Of the newest balance on the chain."""
    gross_grains: Grains
    closes_ms: TimeMs
    """From here on it may be settled; 0: nobody has posted a balance."""
    is_settled: bool


@dataclass(frozen=True, slots=True)
class Vote:
    """What a member of a panel has found."""

    member: Did
    verdict: Verdict
    reasons_hash: Hash32


@dataclass(frozen=True, slots=True)
class Complaint:
    """That a campaign's content is not fair."""

    campaign: CampaignId
    complainer: Did
    account: Address
    """It paid the stake, and gets it back."""
    stake_grains: Grains
    evidence_hash: Hash32
    panel: Annotated[tuple[Did, ...], Len(0, PANEL_MAX)]
    """Nobody before it is drawn."""
    until_ms: TimeMs
    """The last moment in which votes count."""
    votes: Annotated[tuple[Vote, ...], Len(0, PANEL_MAX)]
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Draw:
    """A panel that is drawn once the hash of the complaint's block is known."""

    height: Height
    """Of that block."""
    candidates: Annotated[tuple[Did, ...], Len(1, REVIEWERS_MAX)]
    """Who could judge it then, in order: nobody enrols or withdraws with that hash in hand."""


@dataclass(frozen=True, slots=True)
class Credit:
    """What an advertiser's content has brought it."""

    points: Annotated[int, Interval(ge=0, le=POINTS_MAX)]
    """At that time; they decay from then on."""
    since_ms: TimeMs
    upheld: Count
    dismissed: Count
    """Complaints, the abusive ones among them."""


NO_CREDIT: Final = Credit(0, TimeMs(0), 0, 0)


@dataclass(frozen=True, slots=True)
class Reviewers:
    """Who may be drawn for panels."""

    dids: Annotated[tuple[Did, ...], Len(0, REVIEWERS_MAX)]
    """In order, each once."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many there were so far."""

    campaigns: Count
    complaints: Count


# Campaigns


def compute_terms_hash(terms: Terms) -> bytes:
    """SHA-256 of the terms' canonical bytes: what a reviewer has read."""
    return sha256(encode(terms)).digest()


def get_campaign(state: StateReader, campaign: CampaignId) -> Campaign:
    """A campaign that exists; raises Rejected."""
    found = find_campaign(state, campaign)
    if found is None:
        raise Rejected(Reason.ADS_UNKNOWN_CAMPAIGN, "there is no such campaign")
    return found


def find_campaign(state: StateReader, campaign: CampaignId) -> Campaign | None:
    """A campaign by its number."""
    encoded = state.get(ads_campaign_key(campaign))
    return None if encoded is None else decode(Campaign, encoded)


def put_campaign(state: State, campaign: CampaignId, value: Campaign) -> None:
    """Write whose a campaign is, and on which terms."""
    state.put(ads_campaign_key(campaign), encode(value))
    state.put(ads_advertiser_key(value.advertiser, campaign), b"")


def get_book(state: StateReader, campaign: CampaignId) -> Book:
    """Where a campaign stands that exists; raises Rejected."""
    encoded = state.get(ads_book_key(campaign))
    if encoded is None:
        raise Rejected(Reason.ADS_UNKNOWN_CAMPAIGN, "there is no such campaign")
    return decode(Book, encoded)


def put_book(state: State, campaign: CampaignId, book: Book) -> None:
    """Write where a campaign stands; the caller keeps the module account as it says."""
    assert book.free_grains >= 0, "no more is promised than was paid in"
    state.put(ads_book_key(campaign), encode(book))


def list_campaigns_of(state: StateReader, advertiser: Did, newest: int = JSON_INTEGER_MAX) -> Iterator[CampaignId]:
    """Campaigns of an advertiser, the newest first, from this number downwards."""
    end = end_of_prefix(ads_advertiser_prefix(advertiser))
    for key, _ in state.iterate_range(ads_advertiser_key(advertiser, newest), end):
        yield CampaignId(read_ads_advertiser_key(key))


def get_counts(state: StateReader) -> Counts:
    """How many campaigns and complaints there were so far."""
    encoded = state.get(ADS_COUNT_KEY)
    return Counts(0, 0) if encoded is None else decode(Counts, encoded)


def put_counts(state: State, counts: Counts) -> None:
    """Write how many there were."""
    state.put(ADS_COUNT_KEY, encode(counts))


def find_ended_ms(campaign: Campaign, book: Book, now_ms: int) -> int | None:
    """When a campaign has ended, a draft too; None: it has not."""
    if book.ended_ms:
        return book.ended_ms
    return campaign.terms.end_ms if campaign.terms.end_ms <= now_ms else None


def find_settles_ms(campaign: Campaign, book: Book, now_ms: int) -> int | None:
    """When the grace period of a campaign is over, if it ever ran; None: it has not ended."""
    ended_ms = find_ended_ms(campaign, book, now_ms)
    if ended_ms is None or book.reviewer is None:
        return ended_ms
    return ended_ms + book.windows.grace_ms


def compute_status(campaign: Campaign, book: Book, now_ms: int) -> CampaignStatus:
    """Where a campaign stands at a time."""
    if book.status is CampaignStatus.SETTLED:
        return book.status
    if find_ended_ms(campaign, book, now_ms) is not None:
        return CampaignStatus.ENDED
    if book.status is CampaignStatus.RUNNING and book.free_grains < compute_cheapest(campaign.terms, book):
        return CampaignStatus.EXHAUSTED
    return book.status


def compute_cheapest(terms: Terms, book: Book) -> int:
    """What the next delivery costs at least; more than there is when a fixed total has been shared out."""
    if terms.fixed is None:
        return min(item.price_grains_min * item.units_min for item in terms.items)
    return compute_fixed_reward(terms.fixed, book.accepted + 1) or INTEGER_MAX


def pay(state: State, recipient: Address, grains: int, now_ms: int) -> None:
    """Move coins out of the module account; the caller notes it in a book."""
    if grains:
        debit(state, ADS_ADDRESS, grains, now_ms)
        credit(state, recipient, grains, now_ms)


# Orders and channels


def compute_order_id(campaign: CampaignId, nullifier: Nullifier) -> OrderId:
    """SHA-256("carlive ads order" 0x00 ‖ campaign, 8 bytes ‖ nullifier)."""
    return OrderId(sha256(_ORDER_DOMAIN + campaign.to_bytes(_ID_BYTES, "big") + nullifier).digest())


def find_order(state: StateReader, order: OrderId) -> Order | None:
    """An order by its name."""
    encoded = state.get(ads_order_key(order))
    return None if encoded is None else decode(Order, encoded)


def put_order(state: State, order: OrderId, value: Order) -> None:
    """Write an order."""
    state.put(ads_order_key(order), encode(value))


def note_reached(state: State, campaign: CampaignId, user: Did) -> bool:
    """Note that something was delivered to a user; whether it is the first time."""
    key = ads_reached_key(campaign, user)
    if state.get(key) is not None:
        return False
    state.put(key, b"")
    return True


def find_channel(state: StateReader, campaign: CampaignId, number: ChannelNumber) -> Channel | None:
    """A channel by its number."""
    encoded = state.get(ads_channel_key(campaign, number))
    return None if encoded is None else decode(Channel, encoded)


def put_channel(state: State, campaign: CampaignId, number: ChannelNumber, channel: Channel) -> None:
    """Write a channel."""
    state.put(ads_channel_key(campaign, number), encode(channel))


# Complaints and credit


def find_complaint(state: StateReader, complaint: ComplaintId) -> Complaint | None:
    """A complaint by its number."""
    encoded = state.get(ads_complaint_key(complaint))
    return None if encoded is None else decode(Complaint, encoded)


def put_complaint(state: State, complaint: ComplaintId, value: Complaint) -> None:
    """Write a complaint."""
    state.put(ads_complaint_key(complaint), encode(value))


def put_draw(state: State, complaint: ComplaintId, draw: Draw) -> None:
    """Note that a panel is to be drawn."""
    state.put(ads_draw_key(complaint), encode(draw))


def remove_draw(state: State, complaint: ComplaintId) -> None:
    """It is drawn."""
    state.delete(ads_draw_key(complaint))


def list_draws(state: StateReader, limit: int) -> list[tuple[ComplaintId, Draw]]:
    """The oldest panels that are to be drawn."""
    found = islice(state.iterate_range(ADS_DRAW_PREFIX, end_of_prefix(ADS_DRAW_PREFIX)), limit)
    return [(ComplaintId(int.from_bytes(key[1:], "big")), decode(Draw, encoded)) for key, encoded in found]


def find_complaint_of(state: StateReader, campaign: CampaignId, complainer: Did) -> ComplaintId | None:
    """The complaint of an identity about a campaign."""
    encoded = state.get(ads_complainer_key(campaign, complainer))
    return None if encoded is None else ComplaintId(int.from_bytes(encoded, "big"))


def put_complaint_of(state: State, campaign: CampaignId, complainer: Did, complaint: ComplaintId) -> None:
    """Note that an identity has complained about a campaign."""
    state.put(ads_complainer_key(campaign, complainer), complaint.to_bytes(_ID_BYTES, "big"))


def get_credit(state: StateReader, advertiser: Did) -> Credit:
    """What complaints have brought an advertiser."""
    encoded = state.get(ads_credit_key(advertiser))
    return NO_CREDIT if encoded is None else decode(Credit, encoded)


def put_credit(state: State, advertiser: Did, value: Credit) -> None:
    """Write that."""
    state.put(ads_credit_key(advertiser), encode(value))


def get_points(state: StateReader, advertiser: Did, rules: AdsRules, now_ms: int) -> int:
    """Points of an advertiser at a time (formula G3)."""
    found = get_credit(state, advertiser)
    return decay_points(found.points, now_ms - found.since_ms, rules.half_life_ms)


def get_reviewers(state: StateReader) -> tuple[Did, ...]:
    """Who may be drawn for panels."""
    encoded = state.get(ADS_REVIEWERS_KEY)
    return () if encoded is None else decode(Reviewers, encoded).dids


def put_reviewers(state: State, dids: tuple[Did, ...]) -> None:
    """Replace who may be drawn."""
    state.put(ADS_REVIEWERS_KEY, encode(Reviewers(tuple(sorted(dids)))))


# Rules


def get_rules(state: StateReader) -> AdsRules:
    """The numbers that hold now."""
    encoded = state.get(ADS_RULES_KEY)
    return DEFAULT_RULES if encoded is None else decode(AdsRules, encoded)


def put_rules(state: State, rules: AdsRules) -> None:
    """Replace them."""
    state.put(ADS_RULES_KEY, encode(rules))


def check_rules(rules: AdsRules) -> None:
    """Whether these numbers go together; raises Rejected."""
    if rules.deposit_bps_min > rules.deposit_bps_max or rules.deposit_bps_max == BPS:
        raise Rejected(Reason.ADS_BAD_TERMS, "the lowest deposit is no higher than the highest, which leaves a budget")
    if rules.windows.grace_ms < rules.windows.completion_ms or rules.windows.grace_ms < rules.windows.challenge_ms:
        raise Rejected(Reason.ADS_BAD_TERMS, "the grace period is no shorter than orders and challenges take")
