"""Everybody funds, posts, voids, claims and withdraws in any order: the model is a few dictionaries, and no tree."""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger.primitives import SUPPLY_GRAINS
from ledger.reasons import Rejected
from ledger.receipt import Receipt
from ledger.state_keys import Table
from ledger.transaction import Call
from tests.builders import address_of
from tests.distribution_scene import (
    CHALLENGE_MS,
    FUNDS,
    OWNER,
    PART_MS,
    WINDOW_MS,
    Distribution,
    DistributionScene,
    account_key,
    check_conservation,
    distribute,
)
from vm.native.accounts import get_account
from vm.native.distribution_records import (
    CHALLENGE_BLOCKS,
    NO_FLOW,
    Breaker,
    VoidCause,
    get_claimed,
    get_source,
    put_flow,
    set_source_rules,
    void_root,
    withdraw_source,
)
from vm.native.distribution_tree import BeneficiaryId, BeneficiaryKind
from vm.native.iov import credit

KEYS = tuple(account_key(f"driver {number}") for number in range(4))
BREAKER = Breaker(WINDOW_MS, 3_000, 2_500, 1_500)
"""Low enough to trip now and then."""
INDICES = st.lists(st.integers(0, len(KEYS) - 1), min_size=1, max_size=5)
RAISES = st.lists(st.integers(-50, 900), min_size=len(KEYS), max_size=len(KEYS))


@dataclass
class ModelRoot:
    """A root as the model knows it."""

    lifetimes: dict[int, int]
    built: Distribution
    counts_ms: int
    counts_height: int
    is_void: bool = False

    @property
    def total(self) -> int:
        return sum(self.lifetimes.values())


class DistributionMachine(RuleBasedStateMachine):
    """One source, four accounts."""

    @initialize()
    def begin(self):
        self.scene = DistributionScene()
        set_source_rules(self.scene.state, self.scene.source, self.scene.rules(breaker=BREAKER))
        self.fees = 0  # until a block ends they are on nobody's balance
        credit(self.scene.state, address_of(OWNER), SUPPLY_GRAINS - self.sum_balances(), 0)
        self.funded = FUNDS
        self.claimed = [0] * len(KEYS)
        self.roots: list[ModelRoot] = []
        self.payments: list[tuple[int, int]] = []
        self.tripped_until_ms = 0
        self.settle([500] * len(KEYS))

    def send(self, call: Call) -> Receipt:
        receipt = self.scene.send(call)
        self.fees += receipt.fee_grains
        return receipt

    # The model

    def list_standing(self, counting_only: bool) -> list[ModelRoot]:
        return [each for each in self.roots if not each.is_void and not (counting_only and self.is_open(each))]

    def is_open(self, root: ModelRoot) -> bool:
        return self.scene.now_ms < root.counts_ms or self.scene.height < root.counts_height

    def get_promise(self) -> int:
        standing = self.list_standing(counting_only=False)
        return standing[-1].total if standing else 0

    def expect_claims(self, root: ModelRoot, indices: list[int]) -> dict[int, int] | None:
        """What is paid to whom; None: the call is refused. Changes the model's breaker."""
        now_ms = self.scene.now_ms
        if now_ms < self.tripped_until_ms or root.is_void or self.is_open(root):
            return None
        oldest = (now_ms - WINDOW_MS) // PART_MS if now_ms > WINDOW_MS else 0
        recent = sum(grains for time_ms, grains in self.payments if time_ms // PART_MS >= oldest)
        left = self.funded - sum(self.claimed)
        limit = min(BREAKER.limit_grains, max(BREAKER.floor_grains, (left + recent) * BREAKER.share_bps // 10_000))
        room = min(self.list_standing(counting_only=True)[-1].total - sum(self.claimed), left)
        paid: dict[int, int] = {}
        for index in indices:
            due = root.lifetimes[index] - self.claimed[index] - paid.get(index, 0)
            if due <= 0 or due > room - sum(paid.values()):
                continue
            granted = min(due, limit - recent - sum(paid.values()))
            paid[index] = paid.get(index, 0) + max(granted, 0)
            if granted < due:
                self.payments, self.tripped_until_ms = [], now_ms + WINDOW_MS
                return paid
        if not paid:
            return None
        self.payments += [(now_ms, grains) for grains in paid.values()]
        return paid

    # What happens

    @rule(grains=st.integers(1, 3_000))
    def fund(self, grains):
        assert self.send(Call("distribution", "fund", [self.scene.source, grains])).reason == 0
        self.funded += grains

    @rule(grains=st.integers(1, 4_000))
    def withdraw(self, grains):
        is_allowed = grains <= self.funded - max(self.get_promise(), sum(self.claimed))
        try:
            withdraw_source(self.scene.state, self.scene.source, address_of(OWNER), grains, self.scene.now_ms)
            assert is_allowed
            self.funded -= grains
        except Rejected:
            assert not is_allowed

    @rule(raises=RAISES)
    def post(self, raises):
        standing = self.list_standing(counting_only=False)
        base = standing[-1].lifetimes if standing else dict.fromkeys(range(len(KEYS)), 0)
        lifetimes = {index: max(0, base[index] + raises[index]) for index in base}
        built = distribute({KEYS[index]: lifetime for index, lifetime in lifetimes.items()})
        counts_height = self.scene.height + CHALLENGE_BLOCKS
        root = ModelRoot(lifetimes, built, self.scene.now_ms + CHALLENGE_MS, counts_height)
        is_open = any(not each.is_void and self.is_open(each) for each in self.roots)
        is_allowed = not is_open and self.get_promise() <= root.total <= self.funded
        assert (self.send(self.scene.post(built)).reason == 0) is is_allowed
        if is_allowed:
            self.roots.append(root)

    @rule(raises=RAISES)
    def settle(self, raises):
        self.post(raises)
        self.scene.pass_ms(CHALLENGE_MS)

    @precondition(lambda self: self.is_open(self.roots[-1]))
    @rule()
    def void_by_attesters(self):
        newest = self.roots[-1]
        assert (self.send(self.scene.void()).reason == 0) is not newest.is_void
        newest.is_void = True

    @rule(data=st.data())
    def void_by_governance(self, data):
        standing = [index for index, each in enumerate(self.roots) if not each.is_void]
        if len(standing) > 1:  # seldom enough for roots to gather
            index = data.draw(st.sampled_from(standing))
            void_root(self.scene.state, self.scene.source, index + 1, VoidCause.GOVERNANCE)
            self.roots[index].is_void = True

    @rule(data=st.data(), indices=INDICES)
    def claim_of_any_root(self, data, indices):
        self.claim(data.draw(st.integers(1, len(self.roots))), indices)

    @rule(indices=INDICES)
    def claim_of_the_newest_root_that_counts(self, indices):
        standing = self.list_standing(counting_only=True)
        if standing:
            self.claim(1 + self.roots.index(standing[-1]), indices)

    def claim(self, number: int, indices: list[int]) -> None:
        root = self.roots[number - 1]
        was_tripped_until_ms = self.tripped_until_ms
        call = self.scene.claim(root.built, *(KEYS[index] for index in indices), number=number)
        paid = self.expect_claims(root, indices)
        receipt = self.send(call)
        assert (receipt.reason == 0) is (paid is not None), receipt
        names = [each.name for each in receipt.events]
        assert ("BreakerTripped" in names) is (self.tripped_until_ms != was_tripped_until_ms)
        for index, grains in (paid or {}).items():
            self.claimed[index] += grains

    @rule(seconds=st.sampled_from([1, 10, 60, 240]))
    def wait(self, seconds):
        self.scene.pass_ms(seconds * 1_000)

    @precondition(lambda self: self.scene.now_ms < self.tripped_until_ms)
    @rule()
    def resume(self):
        """As governance does (rule B3)."""
        put_flow(self.scene.state, self.scene.source, NO_FLOW)
        self.payments, self.tripped_until_ms = [], 0

    @rule(seconds=st.sampled_from([5, 10, 240]))
    def halt(self, seconds):
        self.scene.halt(seconds * 1_000)

    # What holds after every step

    def sum_balances(self) -> int:
        prefix = bytes([Table.ACCOUNT])
        accounts = [key[1:] for key, _ in self.scene.state.iterate_prefix(prefix)]
        return sum(get_account(self.scene.state, address).balance_grains for address in accounts)

    @invariant()
    def funds_are_claimed_or_left_and_no_coin_is_made(self):
        check_conservation(self.scene.state)
        assert self.sum_balances() + self.fees == SUPPLY_GRAINS

    @invariant()
    def the_state_is_as_the_model_says(self):
        source = get_source(self.scene.state, self.scene.source)
        assert (source.funded_grains, source.claimed_grains) == (self.funded, sum(self.claimed))
        assert (source.roots, source.promised_grains) == (len(self.roots), self.get_promise())
        stored = [
            get_claimed(self.scene.state, self.scene.source, BeneficiaryKind.ACCOUNT, BeneficiaryId(key))
            for _, key in KEYS
        ]
        balances = [get_account(self.scene.state, key).balance_grains for _, key in KEYS]
        assert stored == balances == self.claimed

    @invariant()
    def claims_are_no_more_than_some_root_has_promised(self):
        assert sum(self.claimed) <= max((each.total for each in self.roots), default=0)
        for index, grains in enumerate(self.claimed):
            assert grains <= max((each.lifetimes[index] for each in self.roots), default=0)


DistributionMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestDistributions = DistributionMachine.TestCase
