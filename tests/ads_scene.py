"""An advertiser, users, publishers, a matcher and reviewers, and short ways to sign what they do."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from identity.ads_matching import compute_matched_nullifier, compute_open_nullifier
from identity.did import Did
from identity.keys import PrivateKey
from identity.signing import SigningPurpose, signing_bytes
from identity.targeting import pack_expression, parse_expression
from ledger.codec import encode, to_plain
from ledger.primitives import BlockHash, Grains, Height, TimeMs
from ledger.reasons import Reason
from ledger.receipt import Event, Receipt
from ledger.transaction import Call
from tests.builders import DOMAIN, Draft, address_of, block_context, make_state
from tests.did_scene import DidScene, Signer, build_call, key_of, sign
from tests.simulation.ads_checks import check_ads_coins
from vm.context import BlockContext, Moment
from vm.native.accounts import DAY_MS, get_account
from vm.native.ads_complaints import draw_due_panels
from vm.native.ads_formulas import FixedReward, Split
from vm.native.ads_records import (
    AcceptancePayload,
    BalancePayload,
    Book,
    CampaignId,
    ChannelKey,
    ChannelNumber,
    ChannelPayload,
    CompletionPayload,
    Counterparty,
    DeliveryKind,
    ItemRule,
    Nullifier,
    OfferPayload,
    Order,
    OrderId,
    Terms,
    compute_order_id,
    compute_terms_hash,
    find_order,
    get_book,
    get_campaign,
    get_counts,
)
from vm.native.did_records import DidKind
from vm.native.iov import get_balance
from vm.native.registry import answer_view
from vm.native.role_records import Grant, Role, put_grant
from vm.transition import apply_transaction

START_MS = 20_800 * DAY_MS
HASH = bytes([7]) * 32
GAS_LIMIT = 100_000
RICH = 10**12
ENOUGH = 10**18  # what a complaint may stake
MATCHER_SECRET = bytes([5]) * 32
TARGETING = pack_expression(parse_expression('user.age >= 18 and place.city == "Guangzhou"'))
SPLIT = Split(user_bps=5_000, publisher_bps=3_333, platform_bps=1_667)
ITEMS = (
    ItemRule(DeliveryKind.LIVE_VIEW, Grains(100), Grains(1_000), 2, 60),
    ItemRule(DeliveryKind.CLICK, Grains(1_001), Grains(5_000), 1, 1),
)
PEOPLE = ("advertiser", "alice", "bob", "mask", "publisher", "reviewer", *(f"judge{n}" for n in range(7)))
FIRST = CampaignId(1)


def channel_key_of(name: str) -> ChannelKey:
    """A key that signs balances."""
    return ChannelKey(key_of(name).public_key.key)


class AdsScene(DidScene):
    """Everybody has an account that acts for the identity of the same name; all users are persons."""

    def __init__(self) -> None:
        accounts = {address_of(key_of(name)): RICH for name in PEOPLE}
        super().__init__(state=make_state({address_of(key_of("sender")): RICH, **accounts}))
        self.now_ms = START_MS
        self.previous_hash = BlockHash(bytes(32))
        self.dids = {name: self.create_linked(name) for name in PEOPLE}
        self.dids["matcher"] = self.create("matcher", kind=DidKind.ORGANISATION)
        self.platform, self.refund = address_of(key_of("platform")), address_of(key_of("refund"))
        self.grant("advertiser", Role.ADVERTISER)
        for name in ("alice", "bob"):
            self.grant(name, Role.PERSON)
        for name in ("reviewer", *(f"judge{n}" for n in range(7))):
            self.grant(name, Role.COMMUNITY_ADMINISTRATOR)
        self.state.forget_marks()

    def create_linked(self, name: str) -> Did:
        """A person for whom an account acts; it can pay the fee of that."""
        did = self.create(name)
        self.accept(build_call(self.link(did, address_of(key_of(name))), name, name="link_account"), key_of(name))
        return did

    def grant(self, name: str, role: Role) -> None:
        """As if an issuer had granted it."""
        put_grant(self.state, self.dids[name], role, Grant(Height(10**6), None), Height(1))

    def send(self, call: Call, key: PrivateKey = key_of("sender")) -> Receipt:  # noqa: B008
        """The receipt of one call, in a block of its own, a second after the one before; the books are right then."""
        context = self._build_block()
        sequence = get_account(self.state, address_of(key)).sequence
        draft = Draft(key, [call], sequence=sequence, gas_limit=GAS_LIMIT, valid_until=self.height + 10)
        receipt = apply_transaction(self.state, context, draft.sign())
        self.state.forget_marks()
        self.height += 1
        self.now_ms = self.now_ms + 1_000
        check_ads_coins(self.state)
        return receipt

    def do(self, who: str, name: str, *arguments: object) -> Receipt:
        """Somebody makes a call of the module that succeeds."""
        return self.accept(Call("ads", name, [to_plain(each) for each in arguments]), key_of(who))

    def refuse(self, who: str, reason: Reason, name: str, *arguments: object) -> None:
        """The call fails for this reason and changes nothing of the module."""
        self.refuse_call(Call("ads", name, [to_plain(each) for each in arguments]), reason, who)

    def refuse_call(self, call: Call, reason: Reason, who: str = "sender") -> None:
        """The same for a call that is built already."""
        before = self.list_stored()
        receipt = self.send(call, key_of(who))
        assert (Reason(receipt.reason), receipt.events) == (reason, ())
        assert self.list_stored() == before

    def pass_block(self) -> tuple[Event, ...]:
        """A block without transactions: what it draws."""
        events = draw_due_panels(self.state, self._build_block())
        self.state.forget_marks()
        self.height += 1
        return events

    def complain(self, who: str, campaign: CampaignId = FIRST, *, evidence: bytes = HASH) -> Receipt:
        """Somebody complains, whatever it takes, and a block later a panel is drawn."""
        receipt = self.do(who, "complain", campaign, evidence, ENOUGH)
        self.pass_block()
        return receipt

    def _build_block(self) -> BlockContext:
        return replace(block_context(self.height, self.now_ms), previous_hash=self.previous_hash)

    def list_stored(self) -> dict[bytes, bytes | None]:
        """All that the module has in the state."""
        return {key: value for key, value in self.state.changes.items() if 170 <= key[0] <= 179 or 188 <= key[0] <= 191}

    def terms(self, **changes: Any) -> Terms:
        """Live views and clicks for ten days, two to a person, without a matcher."""
        terms = Terms(
            content_hash=HASH,
            metadata_uri="https://ads.example/1.json",
            metadata_hash=HASH,
            targeting=TARGETING,
            start_ms=TimeMs(START_MS),
            end_ms=TimeMs(START_MS + 10 * DAY_MS),
            daily_grains_max=10**9,
            cap=2,
            items=ITEMS,
            fixed=None,
            split=SPLIT,
            platform=self.platform,
            refund=self.refund,
            offerer=self.dids["advertiser"],
            matcher=None,
        )
        return replace(terms, **changes)

    def fixed_terms(self, total: int, deliveries: int, **changes: Any) -> Terms:
        """A total that is shared by clicks."""
        item = ItemRule(DeliveryKind.CLICK, Grains(0), Grains(0), 1, 1)
        return self.terms(items=(item,), fixed=FixedReward(total, deliveries), **changes)

    def run_campaign(self, funded: int = 10**6, **changes: Any) -> CampaignId:
        """A campaign that runs on such terms."""
        self.do("advertiser", "create", self.terms(**changes))
        campaign = CampaignId(get_counts(self.state).campaigns)
        self.fund("advertiser", funded, campaign)
        self.do("advertiser", "submit", campaign)
        self.review(campaign)
        return campaign

    def fund(self, who: str, grains: int, campaign: CampaignId = FIRST) -> Receipt:
        """Somebody pays into a campaign, and has read where the rest goes."""
        return self.do(who, "fund", campaign, grains, get_campaign(self.state, campaign).terms.refund)

    def review(self, campaign: CampaignId = FIRST, *, is_approved: bool = True) -> Receipt:
        """The reviewer decides about the terms as they are."""
        terms_hash = compute_terms_hash(get_campaign(self.state, campaign).terms)
        return self.do("reviewer", "review", campaign, terms_hash, is_approved, HASH)

    def book(self, campaign: CampaignId = FIRST) -> Book:
        """Where a campaign stands."""
        return get_book(self.state, campaign)

    def offer(self, **changes: Any) -> OfferPayload:
        """A click for 1,001 grains, for the rest of the day."""
        until_ms = TimeMs(self.now_ms + DAY_MS)
        offer = OfferPayload(FIRST, self.dids["publisher"], DeliveryKind.CLICK, Grains(1_001), 1, until_ms)
        return replace(offer, **changes)

    def live_offer(self, **changes: Any) -> OfferPayload:
        """An hour of a live room at most, for 100 grains a minute."""
        return self.offer(kind=DeliveryKind.LIVE_VIEW, price_grains=Grains(100), units_max=60, **changes)

    def nullify(self, who: str, slot: int = 0, campaign: int = FIRST, *, is_matched: bool = False) -> Nullifier:
        """The nullifier of somebody."""
        if is_matched:
            return Nullifier(compute_matched_nullifier(MATCHER_SECRET, DOMAIN, campaign, self.dids[who], slot))
        return Nullifier(compute_open_nullifier(DOMAIN, campaign, self.dids[who], slot))

    def acceptance(self, who: str = "alice", slot: int = 0, **changes: Any) -> AcceptancePayload:
        """Somebody takes an offer up."""
        offer = changes.pop("offer", None) or self.offer()
        nullifier = self.nullify(who, slot, offer.campaign)
        return replace(AcceptancePayload(offer, self.dids[who], slot, nullifier, HASH), **changes)

    def build_accept(
        self,
        payload: AcceptancePayload,
        signers: Sequence[str] = ("alice", "publisher"),
        offerers: Sequence[str] = ("advertiser",),
    ) -> Call:
        """The call with these signatures."""
        offered = sign(SigningPurpose.ADS_OFFER, payload.offer, self.name(offerers))
        signatures = sign(SigningPurpose.ADS_ACCEPTANCE, payload, self.name(signers))
        return Call("ads", "accept", [to_plain(payload), to_plain(offered), to_plain(signatures)])

    def accept_order(self, who: str = "alice", slot: int = 0, **changes: Any) -> OrderId:
        """Somebody takes an offer up, and everybody signs."""
        payload = self.acceptance(who, slot, **changes)
        self.accept(self.build_accept(payload, (who, "publisher")))
        return compute_order_id(payload.offer.campaign, payload.nullifier)

    def build_complete(self, order: OrderId, units: int = 1, signers: Sequence[str] = ("alice", "publisher")) -> Call:
        """The call with these signatures."""
        payload = CompletionPayload(order, units)
        signatures = sign(SigningPurpose.ADS_COMPLETION, payload, self.name(signers))
        return Call("ads", "complete", [to_plain(payload), to_plain(signatures)])

    def build_open_channel(
        self, locked: int = 10_000, number: int = 1, signers: Sequence[str] = ("advertiser", "alice"), **changes: Any
    ) -> Call:
        """Money for what Alice and the publisher earn; Alice signs the balances."""
        payload = ChannelPayload(
            campaign=FIRST,
            number=ChannelNumber(number),
            user=self.dids["alice"],
            publisher=self.dids["publisher"],
            counterparty=Counterparty.USER,
            offerer_key=channel_key_of("offerer side"),
            counterparty_key=channel_key_of("other side"),
            locked_grains=Grains(locked),
        )
        payload = replace(payload, **changes)
        signatures = sign(SigningPurpose.ADS_CHANNEL, payload, self.name(signers))
        return Call("ads", "open_channel", [to_plain(payload), to_plain(signatures)])

    def build_balance(
        self,
        version: int,
        gross: int,
        keys: tuple[str, str | None] = ("offerer side", "other side"),
        channel: int = 1,
        campaign: CampaignId = FIRST,
    ) -> Call:
        """A balance that the keys of both sides have signed."""
        payload = BalancePayload(campaign, ChannelNumber(channel), version, Grains(gross))
        message = signing_bytes(SigningPurpose.ADS_BALANCE, DOMAIN, encode(payload))
        signatures = [None if key is None else key_of(key).sign(message) for key in keys]
        return Call("ads", "post_balance", [to_plain(payload), *signatures])

    def name(self, names: Sequence[str]) -> list[Signer]:
        """Everybody signs with the key of the same name; a stranger in the name of whoever stands before the dot."""
        return [(self.dids[each.partition(".")[0]], each) for each in names]

    def order(self, order: OrderId) -> Order:
        """An order that exists."""
        found = find_order(self.state, order)
        assert found is not None
        return found

    def balance(self, who: str) -> int:
        """What somebody's account holds."""
        return get_balance(self.state, address_of(key_of(who)))

    def pass_time(self, milliseconds: int) -> None:
        """Let time go by."""
        self.now_ms += milliseconds

    def enrol_judges(self, count: int = 5) -> None:
        """So many reviewers are ready to judge."""
        for number in range(count):
            self.do(f"judge{number}", "enrol")

    def answer(self, view: str, *arguments: object) -> Any:
        """A view of the module now."""
        return answer_view(
            self.state, Moment(Height(self.height), TimeMs(self.now_ms)), "ads", view, [to_plain(a) for a in arguments]
        )
