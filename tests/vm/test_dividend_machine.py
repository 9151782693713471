"""Whatever happens to a dividend, before its claims end and after, no coin is made or lost and nobody gets too much."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger.transaction import Call
from tests.distribution_scene import CHALLENGE_MS, Distribution, account_key, check_conservation, distribute
from tests.vm.test_dividends import BUDGET, POOL, DividendScene
from vm.native.accounts import DAY_MS
from vm.native.distribution_records import VoidCause, get_source, void_root
from vm.native.dividends import LATE_CLAIMS_MS, find_dividend
from vm.native.iov import get_balance

NAMES = ("anne", "bert", "cara")
KEYS = [account_key(name) for name in NAMES]
RAISES = st.lists(st.integers(0, 400), min_size=len(NAMES), max_size=len(NAMES))


class DividendMachine(RuleBasedStateMachine):
    """A dividend, its attesters, three who are paid, and somebody who pays more in."""

    @initialize(lifetimes=RAISES)
    def begin(self, lifetimes):
        self.scene = DividendScene()
        self.lifetimes: list[list[int]] = []
        self.built: list[Distribution] = []
        self.counts_ms: list[int] = []
        self.voided: set[int] = set()
        self.paid_in_grains = POOL
        self.post(lifetimes)
        self.scene.pass_ms(CHALLENGE_MS)

    @rule(raises=RAISES)
    def post(self, raises):
        standing = [index for index in range(len(self.built)) if index not in self.voided]
        base = self.lifetimes[standing[-1]] if standing else [0] * len(NAMES)
        lifetimes = [old + more for old, more in zip(base, raises, strict=True)]
        built = distribute(dict(zip(KEYS, lifetimes, strict=True)))
        counts_ms = self.scene.now_ms + CHALLENGE_MS
        if self.scene.send(self.scene.post(built)).reason == 0:
            self.counts_ms.append(counts_ms)
            self.lifetimes.append(lifetimes)
            self.built.append(built)

    @rule(data=st.data(), who=st.integers(0, len(NAMES) - 1))
    def claim(self, data, who):
        if self.built:
            number = data.draw(st.integers(1, len(self.built)))
            self.scene.send(self.scene.claim(self.built[number - 1], KEYS[who], number=number))

    @rule(data=st.data())
    def void(self, data):
        standing = [index for index in range(len(self.built)) if index not in self.voided]
        if standing:
            index = data.draw(st.sampled_from(standing))
            void_root(self.scene.state, self.scene.source, index + 1, VoidCause.GOVERNANCE)
            self.voided.add(index)

    @rule(grains=st.integers(1, 500))
    def fund(self, grains):
        assert self.scene.send(Call("distribution", "fund", [self.scene.source, grains])).reason == 0
        self.paid_in_grains += grains

    @rule()
    def take_back(self):
        late_ms = self.counts_ms[-1] + LATE_CLAIMS_MS if self.counts_ms else 0
        is_over = self.scene.now_ms >= max(self.scene.terms.claims_end_ms, late_ms)
        left_grains = get_source(self.scene.state, self.scene.source).left_grains
        receipt = self.scene.send(self.scene.take_back())
        assert (receipt.reason == 0) is (is_over and left_grains > 0)
        if receipt.reason == 0:
            source = get_source(self.scene.state, self.scene.source)
            assert (source.left_grains, source.funded_grains) == (0, source.claimed_grains)

    @rule(days=st.sampled_from([1, 30, 500]))
    def wait(self, days):
        self.scene.pass_ms(days * DAY_MS)

    @invariant()
    def what_was_paid_in_is_paid_out_left_or_given_back(self):
        check_conservation(self.scene.state)
        source = get_source(self.scene.state, self.scene.source)
        dividend = find_dividend(self.scene.state, self.scene.source)
        paid_grains = sum(self.scene.balance(name) for name in NAMES)
        assert source.claimed_grains == paid_grains
        assert self.paid_in_grains == paid_grains + source.left_grains + dividend.returned_grains
        assert get_balance(self.scene.state, BUDGET) == 5 + dividend.returned_grains

    @invariant()
    def nobody_gets_more_than_some_root_has_said(self):
        for index, name in enumerate(NAMES):
            assert self.scene.balance(name) <= max((each[index] for each in self.lifetimes), default=0)


DividendMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestDividends = DividendMachine.TestCase
