"""Everybody reports, rates and certifies in any order: sums and roles are those of a model that adds up anew."""

from collections import Counter
from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from identity.did import DID_BYTES, Did
from ledger.codec import decode
from ledger.primitives import Height
from ledger.state_keys import Table, growth_standing_key
from tests.growth_scene import FAR, GrowthScene
from vm.native.growth import RATINGS_PER_DAY_MAX
from vm.native.growth_records import Rating, Requirement, Standing, Task, get_rating
from vm.native.role_records import Grant, Role, put_grant

INDEX = st.integers(0, 2)
TWO = st.integers(0, 1)
KINDS = ("posts", "referrals")
TASK = Task("Grow", Role.CERTIFIED_INFLUENCER, 60, 30, (Requirement("posts", 4), Requirement("referrals", 2)), 2, 333)
_PERIOD = slice(1 + DID_BYTES + 2, None)


class GrowthMachine(RuleBasedStateMachine):
    """The model keeps every report and rating by itself and adds them up when it is asked."""

    @initialize()
    def begin(self):
        self.scene = scene = GrowthScene(TASK)
        self.raters = [scene.ann, scene.ben, scene.cat]
        self.reporters = [scene.reporter, scene.other_reporter]
        self.persons = set(self.raters)
        self.reports: dict[tuple[int, Did, str], int] = {}
        self.stars: dict[tuple[int, Did], int] = {}
        self.rated: Counter[Did] = Counter()
        """Of one day: the scene's time stands still."""
        self.certified: set[int] = set()
        self.until = -1

    def count(self, period: int, kind: str) -> int:
        return sum(count for (when, _, what), count in self.reports.items() if (when, what) == (period, kind))

    def given(self, period: int) -> list[int]:
        return [stars for (when, _), stars in self.stars.items() if when == period]

    def is_reached(self, period: int) -> bool:
        given = self.given(period)
        enough = all(self.count(period, each.kind) >= each.count for each in TASK.requirements)
        mean = Fraction(sum(given), len(given)) if given else Fraction(0)
        return enough and len(given) >= TASK.raters_min and mean >= Fraction(TASK.mean_hundredths_min, 100)

    @rule(index=TWO, kind=st.sampled_from(KINDS), count=st.integers(0, 5), back=st.integers(0, 2))
    def report(self, index, kind, count, back):
        period, reporter = self.scene.period - back, self.reporters[index]
        assert (self.scene.report(count, kind, reporter=reporter, period=period).reason == 0) is (back < 2)
        if back < 2:
            self.reports[period, reporter, kind] = count

    @rule(index=INDEX, stars=st.integers(1, 5))
    def rate(self, index, stars):
        period, rater = self.scene.period, self.raters[index]
        is_allowed = rater in self.persons and self.rated[rater] < RATINGS_PER_DAY_MAX
        assert (self.scene.rate(rater, stars).reason == 0) is is_allowed
        if is_allowed:
            self.rated[rater] += 1
            self.stars[period, rater] = stars

    @rule(index=INDEX, back=TWO)
    def withdraw(self, index, back):
        period, rater = self.scene.period - back, self.raters[index]
        is_there = (period, rater) in self.stars
        assert (self.scene.withdraw(rater, period).reason == 0) is is_there
        self.stars.pop((period, rater), None)

    @rule(index=INDEX, back=TWO)
    def drop(self, index, back):
        period, rater = self.scene.period - back, self.raters[index]
        is_dropped = (period, rater) in self.stars and rater not in self.persons
        assert (self.scene.drop(rater, period).reason == 0) is is_dropped
        if is_dropped:
            del self.stars[period, rater]

    @rule(index=INDEX)
    def change_person(self, index):
        rater = self.raters[index]
        if rater in self.persons:
            self.scene.end_person(rater)
        else:
            put_grant(self.scene.state, rater, Role.PERSON, Grant(FAR, None), self.scene.height)
        self.persons ^= {rater}

    @rule(back=st.integers(0, 2))
    def certify(self, back):
        height, period = self.scene.height, self.scene.period - back
        until = height + TASK.term_heights
        is_due = back < 2 and period not in self.certified and self.is_reached(period)
        assert (self.scene.certify(period).reason == 0) is (is_due and self.until < until)
        if is_due:
            self.certified.add(period)
            self.until = until

    @rule(index=TWO)
    def reach(self, index):
        """What random steps seldom do."""
        for kind, count in zip(KINDS, (4, 2), strict=True):
            self.report(index, kind, count, 0)
        for rater in (0, 1):
            self.rate(rater, 4)
        for _ in range(2):
            self.certify(0)

    @rule()
    def wait(self):
        self.scene.height += TASK.period_heights // 2

    @invariant()
    def sums_are_those_of_the_model(self):
        state, ivy = self.scene.state, self.scene.ivy
        prefix = growth_standing_key(ivy, 1, 0)[: _PERIOD.start]
        stored = {
            int.from_bytes(key[_PERIOD], "big"): decode(Standing, encoded)
            for key, encoded in state.iterate_prefix(prefix)
        }
        periods = {when for when, *_ in self.reports} | {when for when, _ in self.stars}
        assert periods <= set(stored)
        for period, standing in stored.items():
            given = self.given(period)
            counts = tuple(self.count(period, kind) for kind in KINDS)
            assert standing == Standing(counts, len(given), sum(given), period in self.certified)
        assert get_rating(state, ivy) == Rating(len(self.stars), sum(self.stars.values()))
        kept = sum(1 for _ in state.iterate_prefix(bytes([Table.GROWTH_STARS])))
        assert kept == len(self.stars)

    @invariant()
    def the_role_holds_up_to_the_newest_certification(self):
        assert self.scene.is_certified() is (Height(self.scene.height) <= self.until)


GrowthMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestGrowth = GrowthMachine.TestCase
