"""Everybody pays in, accepts, completes, posts, complains and settles in any order, and a model keeps its own books.

The model knows nothing of reserves or locks. It notes what went in and what should have come out of it, and compares
with balances of accounts. The scene checks after every transaction that the module account holds what the books say.
"""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger.primitives import Grains, TimeMs
from ledger.transaction import Call
from tests.ads_scene import ENOUGH, FIRST, HASH, START_MS, AdsScene
from tests.builders import address_of
from tests.did_scene import key_of
from tests.simulation.ads_checks import check_ads
from vm.native.accounts import DAY_MS
from vm.native.ads_formulas import BPS, FixedReward, Split
from vm.native.ads_records import (
    ADS_ADDRESS,
    CampaignStatus,
    Counterparty,
    OrderStatus,
    Verdict,
    compute_order_id,
    find_channel,
    find_complaint,
    find_order,
    get_counts,
)
from vm.native.distribution_records import DISTRIBUTION_ADDRESS
from vm.native.iov import get_balance

USERS = ("alice", "bob")

HOURS = st.sampled_from([1, 1, 1, 5, 13, 25])


class AdsMachine(RuleBasedStateMachine):
    """One campaign, its orders, channels and complaints."""

    @initialize(
        cut=st.tuples(st.integers(0, BPS), st.integers(0, BPS)).map(sorted),
        fixed=st.none() | st.builds(FixedReward, st.integers(10, 10**6), st.integers(1, 10)),
        funded=st.integers(2_000, 3 * 10**6),
        daily=st.integers(5_000, 10**7),
        has_matcher=st.booleans(),
    )
    def begin(self, cut, fixed, funded, daily, has_matcher):
        self.scene = scene = AdsScene()
        scene.enrol_judges(5)
        split = Split(cut[0], cut[1] - cut[0], BPS - cut[1])
        matcher = scene.dids["matcher"] if has_matcher else None
        terms = {
            "matcher": matcher,
            "split": split,
            "daily_grains_max": daily,
            "cap": 4,
            "end_ms": TimeMs(START_MS + 3 * DAY_MS),
        }
        self.terms = scene.terms(**terms)
        if fixed is not None:
            self.terms = scene.fixed_terms(fixed.total_grains, fixed.deliveries, **terms)
        scene.do("advertiser", "create", self.terms)
        scene.fund("advertiser", funded)
        scene.fund("reviewer", 2 * 10**6)
        scene.do("advertiser", "submit", FIRST)
        scene.review()
        self.put_in = funded + 2 * 10**6
        self.shared = dict.fromkeys((*USERS, "many", "publisher", "platform"), 0)
        self.earners = {}
        self.gross = 0
        self.orders = {}
        self.balances = {}
        self.versions = 0

    def _share(self, user, gross):
        """By fractions, not by the module's formula: publisher and platform round down, the user has the rest."""
        split = self.terms.split
        publisher, _ = divmod(gross * split.publisher_bps, BPS)
        platform, _ = divmod(gross * split.platform_bps, BPS)
        self.shared["publisher"] += publisher
        self.shared["platform"] += platform
        self.shared[user] += gross - publisher - platform
        self.gross += gross

    @rule(grains=st.integers(1, 10**6))
    def fund(self, grains):
        if self.scene.send(self._call("fund", FIRST, grains, self.scene.refund), key_of("bob")).reason == 0:
            self.put_in += grains

    @rule(
        who=st.sampled_from(USERS),
        slot=st.sampled_from([0, 0, 1, 2, 3, 4]),
        price=st.integers(990, 5_010),
        is_live=st.booleans(),
        is_delivered=st.booleans(),
    )
    def accept(self, who, slot, price, is_live, is_delivered):
        self._accept(who, slot, price, is_live, is_delivered=is_delivered)

    def _accept(self, who, slot, price, is_live, *, is_delivered):
        scene = self.scene
        if self.terms.fixed is not None:
            offer = scene.offer(price_grains=Grains(0))
        elif is_live:
            offer = replace(scene.live_offer(), units_max=1 + price % 61)
        else:
            offer = scene.offer(price_grains=Grains(price))
        is_matched = self.terms.matcher is not None
        nullifier = scene.nullify(who, slot, is_matched=is_matched)
        payload = scene.acceptance(who, slot, offer=offer, nullifier=nullifier)
        signers = (who, "publisher", "matcher") if is_matched else (who, "publisher")
        if scene.send(scene.build_accept(payload, signers)).reason == 0:
            name = compute_order_id(FIRST, payload.nullifier)
            assert name not in self.orders, "a nullifier counts once"
            self.orders[name] = (who, offer)
            if is_delivered:
                self._complete(name, offer.units_max)

    @rule(who=st.sampled_from(USERS), slot=st.integers(0, 3), price=st.integers(1_001, 5_000), is_live=st.booleans())
    def deliver(self, who, slot, price, is_live):
        self._accept(who, slot, price, is_live, is_delivered=True)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), units=st.sampled_from([1, 1, 1, 2, 7, 60]))
    def complete(self, data, units):
        self._complete(data.draw(st.sampled_from(sorted(self.orders))), units)

    def _complete(self, name, units):
        who, offer = self.orders[name]
        receipt = self.scene.send(self.scene.build_complete(name, units, (who, "publisher")))
        if receipt.reason == 0:
            order = self.scene.order(name)
            fixed = self.terms.fixed
            worth = offer.price_grains * units
            if fixed is not None:
                worth = (fixed.total_grains * order.number // fixed.deliveries) - (
                    fixed.total_grains * (order.number - 1) // fixed.deliveries
                )
            self._share(who, worth)

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def lapse(self, data):
        self.scene.send(self._call("lapse", data.draw(st.sampled_from(sorted(self.orders)))))

    @rule(locked=st.integers(1, 10**5), is_for_many=st.booleans())
    def open_channel(self, locked, is_for_many):
        number, given = self.scene.book().channels + 1, {}
        if is_for_many:
            given = {"user": None, "counterparty": Counterparty.PUBLISHER, "signers": ["advertiser", "publisher"]}
        if self.scene.send(self.scene.build_open_channel(locked, number, **given)).reason == 0:
            self.balances[number] = 0
            self.earners[number] = "many" if is_for_many else "alice"

    @precondition(lambda self: self.balances)
    @rule(data=st.data(), gross=st.integers(-1, 10**5), is_newer=st.booleans())
    def post(self, data, gross, is_newer):
        number = data.draw(st.sampled_from(sorted(self.balances)))
        self.versions += is_newer
        if self.scene.send(self.scene.build_balance(self.versions, gross, channel=number)).reason == 0:
            assert gross >= self.balances[number], "a balance only grows"
            self.balances[number] = gross

    @precondition(lambda self: self.balances)
    @rule(data=st.data())
    def settle_channel(self, data):
        number = data.draw(st.sampled_from(sorted(self.balances)))
        if self.scene.send(self._call("settle_channel", FIRST, number)).reason == 0:
            self._share(self.earners[number], self.balances.pop(number))

    @rule(who=st.sampled_from(["alice", "bob", "mask"]), is_drawn=st.sampled_from([True, True, False]))
    def complain(self, who, is_drawn):
        self.scene.send(self._call("complain", FIRST, HASH, ENOUGH), key_of(who))
        if is_drawn:
            self.scene.pass_block()

    @rule()
    def draw(self):
        self.scene.pass_block()

    @precondition(lambda self: self.scene.book().complaints_open)
    @rule(judges=st.sets(st.integers(0, 4), min_size=1), complaint=st.integers(1, 3), verdict=st.sampled_from(Verdict))
    def judge(self, judges, complaint, verdict):
        for number in sorted(judges):
            self.scene.send(self._call("judge", complaint, verdict, HASH), key_of(f"judge{number}"))

    @precondition(lambda self: self.scene.book().complaints_open)
    @rule(complaint=st.integers(1, 3))
    def close(self, complaint):
        self.scene.send(self._call("close_complaint", complaint))

    @rule(name=st.sampled_from(["resume"] * 6 + ["pause", "end"]))
    def steer(self, name):
        self.scene.send(self._call(name, FIRST), key_of("advertiser"))

    @rule(hours=HOURS)
    def wait(self, hours):
        self.scene.pass_time(hours * 3_600_000)

    @precondition(lambda self: self.scene.now_ms >= self.terms.end_ms or self.scene.book().ended_ms)
    @rule()
    def settle(self):
        self.scene.send(self._call("settle", FIRST))

    def _call(self, name, *arguments):
        return Call("ads", name, [int(each) if not isinstance(each, bytes) else each for each in arguments])

    @invariant()
    def the_books_are_those_of_the_model(self):
        scene, book = self.scene, self.scene.book()
        check_ads(scene.state)
        assert (book.funded_grains, book.paid_grains) == (self.put_in, self.gross)
        platform = get_balance(scene.state, scene.platform)
        assert platform == self.shared["platform"]
        assert sum(self.shared.values()) == self.gross
        assert get_balance(scene.state, DISTRIBUTION_ADDRESS) == self.shared["many"]
        assert book.paid_grains + book.forfeited_grains + book.refunded_grains <= self.put_in

    @invariant()
    def what_is_promised_is_what_stands_open(self):
        scene, book = self.scene, self.scene.book()
        if book.status is CampaignStatus.SETTLED:
            assert self.put_in == self.gross + book.forfeited_grains + get_balance(scene.state, scene.refund)
            assert not self.balances
            return
        orders = [find_order(scene.state, name) for name in self.orders]
        standing = [each for each in orders if each.status is OrderStatus.ACCEPTED]
        assert (book.orders_open, book.reserved_grains) == (len(standing), sum(o.reserved_grains for o in standing))
        channels = [find_channel(scene.state, FIRST, number) for number in self.balances]
        assert book.locked_grains == sum(each.locked_grains for each in channels)
        complaints = [find_complaint(scene.state, n + 1) for n in range(get_counts(scene.state).complaints)]
        assert book.complaints_open == sum(each.verdict is None for each in complaints)

    def teardown(self):
        """Whatever happened, in the end all of it can be settled, and nothing is left in the module account."""
        if not hasattr(self, "scene"):
            return
        scene = self.scene
        scene.now_ms = max(scene.now_ms, self.terms.end_ms)
        scene.pass_time(40 * DAY_MS)
        scene.pass_block()
        scene.pass_time(40 * DAY_MS)
        for complaint in range(1, get_counts(scene.state).complaints + 1):
            scene.send(self._call("close_complaint", complaint))
        for number in list(self.balances):
            scene.accept(self._call("settle_channel", FIRST, number))
            self._share(self.earners[number], self.balances.pop(number))
        scene.send(self._call("settle", FIRST))
        self.the_books_are_those_of_the_model()
        self.what_is_promised_is_what_stands_open()
        assert scene.book().status is CampaignStatus.SETTLED
        assert get_balance(scene.state, ADS_ADDRESS) == 0
        assert get_balance(scene.state, address_of(key_of("refund"))) == scene.book().refunded_grains


AdsMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestAds = AdsMachine.TestCase
