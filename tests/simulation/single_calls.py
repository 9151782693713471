"""Traffic without a network: each call is a block of its own, and what became of it is counted."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final

from identity.address import Address
from ledger.codec import decode, encode
from ledger.primitives import SUPPLY_GRAINS, Height, TimeMs
from ledger.state import State
from ledger.state_keys import Table
from tests.builders import DOMAIN, PARAMETERS, Draft, address_of, block_context, make_key, make_state
from tests.simulation import ads, economy, holders
from tests.simulation.ads import AdsTraffic
from tests.simulation.economy import EconomyTraffic
from tests.simulation.economy_checks import check_economy
from tests.simulation.economy_founders import ALLOCATION, GOVERNORS, found_economy
from tests.simulation.holders import HolderTraffic
from tests.simulation.identities import found_identities
from tests.simulation.promoters import FIRST_ACCOUNT, PROMOTERS, found_promoters
from tests.simulation.slips import Refusals
from tests.simulation.wrong_roots import WrongRoot
from vm.block_end import apply_block_end
from vm.context import Moment
from vm.native.accounts import DAY_MS, add_to_balance, get_account
from vm.native.distribution_events import RootVoided
from vm.native.distribution_records import PostedRoot, SourceId, VoidCause, find_root, is_open
from vm.native.governance import BodyKind, put_body
from vm.parameters import put_parameters
from vm.transition import apply_transaction

KEYS: Final = [make_key(f"account {index}") for index in range(FIRST_ACCOUNT + len(PROMOTERS))]
ACCOUNTS: Final = [address_of(key) for key in KEYS]
ACCOUNT_GRAINS: Final = 10**14
BLOCK_MS: Final = 40
START_MS: Final = 19_676 * DAY_MS - 30_000
CHECKED_CALLS: Final = 10
SNAPSHOT_CALLS: Final = 100
GAS_LIMIT: Final = 120_000
VOTING: Final = replace(PARAMETERS, voting_heights_normal=60, voting_heights_urgent=50, voting_heights_emergency=10)
REFUSALS: Final[Refusals] = {**ads.REFUSALS, **economy.REFUSALS, **holders.REFUSALS}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A height, and all keys of the state after it."""

    height: int
    values: dict[bytes, bytes | None]

    @property
    def time_ms(self) -> int:
        """Of that block."""
        return START_MS + self.height * BLOCK_MS


@dataclass
class Happened:
    """What a run came to."""

    events: Counter[str] = field(default_factory=Counter)
    succeeded: Counter[str] = field(default_factory=Counter)
    """Calls, by module and name."""
    refused: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """Calls with a mistake, what it was, and the reason, 0 if they succeeded."""
    failed: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Calls without a mistake that anybody knows, and the reason."""
    voided: Counter[str] = field(default_factory=Counter)
    """Wrong roots that were challenged in time, by their fault."""
    settled: Counter[str] = field(default_factory=Counter)
    """Wrong roots that nobody challenged, and now count, by their fault."""
    snapshots: list[Snapshot] = field(default_factory=list)
    """On the way."""


def run_calls(seed: int, calls: int) -> Happened:
    """So many calls of advertisers, holders, and whoever else there is."""
    funds = dict.fromkeys(ACCOUNTS, ACCOUNT_GRAINS)
    state = make_state({**funds, ALLOCATION: SUPPLY_GRAINS - sum(funds.values())})
    put_parameters(state, VOTING)
    for body in (BodyKind.FOUNDATION, BodyKind.TECHNICAL, BodyKind.FINANCIAL):
        put_body(state, body, [ACCOUNTS[number] for number in GOVERNORS])
    found_identities(state, ACCOUNTS)
    found_economy(state, ACCOUNTS, START_MS)
    found_promoters(state, ACCOUNTS, START_MS)
    random, happened = Random(seed), Happened()
    traders, promoters = EconomyTraffic(random, DOMAIN, ACCOUNTS[:FIRST_ACCOUNT]), AdsTraffic(random, DOMAIN, ACCOUNTS)
    owners = HolderTraffic(random, ACCOUNTS)
    draws: list[Callable[[int, int], Any]] = [
        *[lambda height, now_ms: traders.draw(state, height, now_ms)] * 2,
        *[lambda _, now_ms: promoters.draw(state, now_ms)] * 2,
        lambda height, now_ms: owners.draw_vote(state, height) or owners.draw(state, height, now_ms),
    ]
    for height in range(1, calls + 1):
        now_ms = START_MS + height * BLOCK_MS
        block = replace(block_context(height, now_ms), parameters=VOTING)
        wish = random.choice(draws)(height, now_ms)
        number = random.randrange(FIRST_ACCOUNT) if wish.account is None else wish.account
        sequence = get_account(state, ACCOUNTS[number]).sequence
        draft = Draft(KEYS[number], [wish.call], sequence, valid_until=height, gas_limit=GAS_LIMIT)
        receipt = apply_transaction(state, block, draft.sign())
        events = [*receipt.events, *apply_block_end(state, block, 0)]
        state.forget_marks()
        name = f"{wish.call.module}.{wish.call.call}"
        happened.events.update(f"{event.module}.{event.name}" for event in events)
        if wish.mistake is not None:
            happened.refused[name, wish.mistake, int(receipt.reason)] += 1
        elif receipt.reason:
            happened.failed[name, int(receipt.reason)] += 1
        else:
            happened.succeeded[name] += 1
        for event in events:
            if event.name == RootVoided.__name__ and event.fields[2] == VoidCause.PROVEN_WRONG:
                wrong = _find_wrong(state, traders, event.fields[0], event.fields[1])
                happened.voided["none" if wrong is None else wrong.fault.name] += 1
        if height % CHECKED_CALLS == 0:
            check_economy(state, height, now_ms)
        if height % SNAPSHOT_CALLS == 0:
            happened.snapshots.append(Snapshot(height, dict(state.changes)))
    happened.settled.update(_list_settled(state, traders, Moment(Height(calls), TimeMs(START_MS + calls * BLOCK_MS))))
    return happened


def _find_wrong(state: State, traders: EconomyTraffic, source: int, number: int) -> WrongRoot | None:
    posted = find_root(state, SourceId(source), number)
    assert posted is not None, "roots are kept"
    return traders.wrong_roots.get(posted.root)


def _list_settled(state: State, traders: EconomyTraffic, moment: Moment) -> Iterator[str]:
    """Faults of wrong roots that count."""
    for _, value in state.iterate_prefix(bytes([Table.DISTRIBUTION_ROOT])):
        posted = decode(PostedRoot, value)
        wrong = traders.wrong_roots.get(posted.root)
        if wrong is not None and posted.voided is None and not is_open(posted, moment):
            yield wrong.fault.name


class Broken:
    """A state of the traffic, to be changed where no transaction would; IndexError: there is nothing to change."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.height, self.time_ms = snapshot.height, snapshot.time_ms
        self.state = State(lambda key: None, lambda start, stop: iter(()))
        for key, value in snapshot.values.items():
            if value is not None:
                self.state.put(key, value)

    def list(self, table: Table) -> list[tuple[bytes, bytes]]:
        """Keys and values of a table."""
        return list(self.state.iterate_prefix(bytes([table])))

    def find(self, table: Table, kind: type[Any], is_wanted: Any = lambda record: True) -> tuple[bytes, Any]:
        """The first record that is as wanted; a bare number of a table is none."""
        records = [(key, decode(kind, value)) for key, value in self.list(table) if len(key) > 1]
        wanted = [(key, record) for key, record in records if is_wanted(record)]
        return wanted[0]

    def change(self, table: Table, kind: type[Any], is_wanted: Any = lambda record: True, **changes: Any) -> None:
        """Other fields of that record; a function makes one of the record."""
        key, record = self.find(table, kind, is_wanted)
        made = {name: change(record) if callable(change) else change for name, change in changes.items()}
        self.state.put(key, encode(replace(record, **made)))

    def delete(self, table: Table) -> None:
        """Without the last entry of a table."""
        self.state.delete(self.list(table)[-1][0])

    def pay(self, account: Address, grains: int) -> None:
        """Coins out of nothing, or into it."""
        add_to_balance(self.state, account, grains, self.time_ms)

    def check(self) -> None:
        """All laws of the economy; raises ViolationError."""
        check_economy(self.state, self.height, self.time_ms)
