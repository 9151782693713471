"""Holders lock, stake, pay, are slashed and revoked in any order: nothing locked ever leaves, and no grain is lost."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger.reasons import Rejected
from tests.lockup_scene import LONG_PARAMETERS, TEAM, TEAM_GRAINS, LockupScene, check_flags, linear, steps
from tests.stake_scene import BANK, HOLDER_GRAINS, HOLDERS, IOV, OPERATORS, check_books
from vm.native.accounts import get_account
from vm.native.lockup_records import Clock, compute_locked, get_lockups
from vm.native.stake import compute_delegation_value, find_candidate

HOLDER = st.sampled_from(HOLDERS)
OPERATOR = st.sampled_from(OPERATORS[:3])
AMOUNT = st.one_of(st.integers(0, 3 * IOV), st.integers(0, 12_000 * IOV), st.sampled_from([1, IOV, 10_000 * IOV]))


@st.composite
def schedules(draw, height):
    """Any schedule that is good for every amount, around a height."""
    kind = draw(st.sampled_from(["linear", Clock.TIME, Clock.HEIGHT]))
    marks = sorted(draw(st.sets(st.integers(max(0, height - 3), height + 12), min_size=2, max_size=4)))
    if kind == "linear":
        return linear(marks[0] * 1_000, marks[-2] * 1_000, marks[-1] * 1_000)
    shares = [10_000 * (index + 1) // len(marks) for index in range(len(marks))]
    unit = 1 if kind is Clock.HEIGHT else 1_000
    return steps(*[(mark * unit, share) for mark, share in zip(marks, shares, strict=True)], clock=kind)


class LockupMachine(RuleBasedStateMachine):
    """Outflows are counted by hand; what is locked is worked out anew from what was granted."""

    @initialize(slash_bps=st.sampled_from([0, 0, 1, 3_333]))
    def begin(self, slash_bps):
        self.scene = LockupScene(replace(LONG_PARAMETERS, epoch_heights=3))
        self.slash_bps = slash_bps
        self.paid = dict.fromkeys(HOLDERS, 0)
        self.granted = dict.fromkeys(HOLDERS, 0)
        self.returned = 0

    def attempt(self, act, *arguments, **named):
        """A refused call changes nothing; any other failure is a bug. Returns its events, None when refused."""
        before = dict(self.scene.state.changes)
        mark = self.scene.state.get_mark()
        try:
            events = act(*arguments, **named)
        except Rejected:
            self.scene.state.undo_to(mark)
            assert self.scene.state.changes == before
            return None
        self.scene.state.forget_marks()
        self.returned += sum(each.fields[2] for each in events if each.name == "LockupCollected")
        return events

    @rule(data=st.data(), holder=HOLDER, amount=st.integers(1, 20_000 * IOV), is_revocable=st.booleans())
    def grant(self, data, holder, amount, is_revocable):
        schedule = data.draw(schedules(self.scene.height))
        if self.attempt(self.scene.grant, holder, amount, schedule, is_revocable=is_revocable) is not None:
            self.granted[holder] += amount

    @rule(holder=HOLDER, amount=AMOUNT)
    def pay(self, holder, amount):
        movable = self.scene.movable(holder)
        events = self.attempt(self.scene.pay, holder, amount)
        assert (events is not None) == (0 < amount <= movable)
        if events is not None:
            self.paid[holder] += amount

    @rule(holder=HOLDER, amount=AMOUNT)
    def receive(self, holder, amount):
        if self.attempt(self.scene.apply, BANK, "iov", "transfer", holder, amount) is not None:
            self.paid[holder] -= amount

    @rule(holder=HOLDER, operator=OPERATOR, amount=AMOUNT)
    def delegate(self, holder, operator, amount):
        self.attempt(self.scene.call, holder, "delegate", operator=operator, amount_grains=amount)

    @rule(holder=HOLDER, operator=OPERATOR, permille=st.one_of(st.just(1_000), st.integers(1, 1_000)))
    def undelegate(self, holder, operator, permille):
        candidate = find_candidate(self.scene.state, operator)
        value = compute_delegation_value(self.scene.state, holder, candidate)
        self.attempt(self.scene.call, holder, "undelegate", operator=operator, amount_grains=value * permille // 1_000)

    @rule(holder=HOLDER, number=st.integers(1, 4))
    def revoke(self, holder, number):
        lockups = get_lockups(self.scene.state, holder).lockups
        if any(each.number == number and each.is_revocable and not each.is_revoked for each in lockups):
            self.attempt(self.scene.revoke, holder, number)

    @rule(holder=HOLDER)
    def settle(self, holder):
        self.attempt(self.scene.settle, holder)

    @rule(operator=OPERATOR)
    def slash(self, operator):
        self.scene.slash(operator, self.slash_bps)

    @rule(blocks=st.integers(1, 4))
    def end_blocks(self, blocks):
        for _ in range(blocks):
            self.scene.end_block()
        self.scene.state.forget_marks()

    @invariant()
    def the_books_are_exact(self):
        if hasattr(self, "scene"):
            check_books(self.scene.state)
            check_flags(self.scene.state, HOLDERS)

    @invariant()
    def the_allocation_has_what_was_not_granted_and_what_came_back(self):
        if hasattr(self, "scene"):
            granted = sum(self.granted.values())
            assert self.scene.get_balance(TEAM) == TEAM_GRAINS - granted + self.returned

    @invariant()
    def without_slashes_everybody_holds_what_is_locked(self):
        if hasattr(self, "scene") and self.slash_bps == 0:
            for holder in HOLDERS:
                account = get_account(self.scene.state, holder)
                held = account.balance_grains + account.staked_grains
                locked = compute_locked(get_lockups(self.scene.state, holder), self.scene.now_ms)
                assert held >= locked
                assert sum(self.paid.values()) <= 3 * HOLDER_GRAINS + sum(self.granted.values())

    @invariant()
    def all_heights_that_have_passed_are_reached(self):
        if hasattr(self, "scene"):
            for holder in HOLDERS:
                for each in get_lockups(self.scene.state, holder).lockups:
                    if each.schedule.clock is Clock.HEIGHT:
                        passed = [step for step in each.schedule.steps if step.at < self.scene.height]
                        assert each.heights_reached == len(passed)


LockupMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_lockups = LockupMachine.TestCase
