"""Holders with locked coins, in a state in which they can stake them and operators are slashed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from identity.address import Address, compute_module_address
from ledger.primitives import Grains, Height, TimeMs, TransactionId
from ledger.reasons import Rejected
from ledger.receipt import Event
from ledger.state import State
from ledger.state_keys import Table
from tests.stake_scene import BANK, IOV, STAKING_PARAMETERS, StakeScene
from vm.context import Context, Moment
from vm.gas import GasMeter
from vm.native.accounts import HAS_LOCKUPS, compute_movable_grains, get_account
from vm.native.iov import credit, debit
from vm.native.lockup_records import Clock, Linear, Schedule, Step, get_lockups
from vm.native.lockups import apply_grant, apply_revocation
from vm.native.registry import answer_view, find_call
from vm.native.stake import slash_stake

TEAM = compute_module_address("team")
TEAM_GRAINS = 1_000_000 * IOV
LONG_PARAMETERS = replace(STAKING_PARAMETERS, epoch_heights=5, unbonding_epochs=1)


def steps(*pairs: tuple[int, int], clock: Clock = Clock.TIME, is_in_grains: bool = False) -> Schedule:
    """A schedule of (at, unlocked in all)."""
    return Schedule(None, clock, is_in_grains, tuple([Step(at, Grains(unlocked)) for at, unlocked in pairs]))


def linear(start_ms: int, cliff_ms: int, end_ms: int) -> Schedule:
    """An even schedule."""
    return Schedule(Linear(TimeMs(start_ms), TimeMs(cliff_ms), TimeMs(end_ms)), Clock.TIME, False, ())


class LockupScene(StakeScene):
    """The allocation `team` has a million IOV; block h is of second h."""

    def __init__(self, parameters: Any = LONG_PARAMETERS) -> None:
        super().__init__(parameters)
        debit(self.state, BANK, TEAM_GRAINS, 0)
        credit(self.state, TEAM, TEAM_GRAINS, 0)

    @property
    def now_ms(self) -> int:
        """The time of the block being executed."""
        return self.height * 1_000

    def grant(
        self, account: Address, amount_grains: int, schedule: Schedule, *, is_revocable: bool = True
    ) -> list[Event]:
        """As a decision of governance does it."""
        block = self.build_block()
        return [apply_grant(self.state, block, "team", account, amount_grains, schedule, is_revocable=is_revocable)]

    def revoke(self, account: Address, number: int) -> list[Event]:
        """The same."""
        return apply_revocation(self.state, self.build_block(), account, number)

    def apply(self, sender: Address, module: str, name: str, *arguments: Any) -> list[Event]:
        """Execute a call; what it did is undone when it is refused."""
        ready = find_call(module, name)
        context = Context(self.build_block(), sender, sender, TransactionId(bytes(32)), GasMeter(10**9, 0))
        mark = self.state.get_mark()
        try:
            ready.rule.apply(self.state, context, ready.rule.arguments(*arguments))
        except Rejected:
            self.state.undo_to(mark)
            raise
        return context.events

    def pay(self, sender: Address, amount_grains: int) -> list[Event]:
        """Move coins to the bank."""
        return self.apply(sender, "iov", "transfer", BANK, amount_grains)

    def settle(self, account: Address) -> list[Event]:
        """Anybody settles an account."""
        return self.apply(BANK, "lockups", "settle", account)

    def movable(self, account: Address) -> int:
        """What may leave a balance now."""
        return compute_movable_grains(self.state, account, get_account(self.state, account), self.now_ms)

    def answer(self, view: str, *arguments: object) -> Any:
        """A view of the module, in the block being executed."""
        moment = Moment(Height(self.height), TimeMs(self.now_ms))
        return answer_view(self.state, moment, "lockups", view, list(arguments))

    def slash(self, operator: Address, bps: int) -> None:
        """Take a part of a pool for the treasury."""
        slash_stake(self.state, operator, bps, 0, self.now_ms)

    def wait(self, blocks: int) -> None:
        """End so many blocks."""
        for _ in range(blocks):
            self.end_block()


def check_flags(state: State, accounts: Sequence[Address]) -> None:
    """An account has the flag exactly while it has lock-ups, and heights that are due belong to such accounts."""
    for account in accounts:
        has_lockups = bool(get_lockups(state, account).lockups)
        assert bool(get_account(state, account).flags & HAS_LOCKUPS) == has_lockups
    for key, value in state.iterate_prefix(bytes([Table.LOCKUP_DUE])):
        assert (value, Address(key[9:]) in accounts) == (b"", True)
