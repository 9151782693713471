"""What is drawn of the economy reaches every event and keeps every law; a state that breaks one is noticed."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Any

import pytest

from identity.address import Address
from ledger.codec import decode, encode
from ledger.primitives import SUPPLY_GRAINS, Grains
from ledger.state import State
from ledger.state_keys import Table, mining_record_key
from tests.builders import DOMAIN, Draft, address_of, block_context, make_key, make_state
from tests.simulation.economy import EconomyTraffic
from tests.simulation.economy_checks import check_economy
from tests.simulation.economy_founders import ALLOCATION, LOCKED_ACCOUNTS, found_economy
from tests.simulation.identities import PERSONS, found_identities
from tests.simulation.violation import ViolationError
from vm.block_end import apply_block_end
from vm.native import distribution, gifts, lockups, mining, sale
from vm.native.accounts import DAY_MS, HAS_LOCKUPS, add_to_balance, get_account, put_account
from vm.native.distribution_records import DISTRIBUTION_ADDRESS, PostedRoot, Source, VoidCause
from vm.native.gifts import Gift
from vm.native.iov import GIFTS_ADDRESS, SALE_ADDRESS
from vm.native.lockup_records import Clock, Lockups
from vm.native.mining_formulas import Behaviour, Epoch
from vm.native.mining_records import (
    MINING_ADDRESS,
    Batch,
    BatchStatus,
    MiningEpoch,
    get_progress,
    put_progress,
)
from vm.native.sale_records import Purchase, PurchaseStatus, Sale
from vm.transition import apply_transaction

KEYS = [make_key(f"account {index}") for index in range(12)]
ACCOUNTS = [address_of(key) for key in KEYS]
CALLS = 2_400
BLOCK_MS = 40
START_MS = 19_676 * DAY_MS - 30_000
SNAPSHOT_CALLS = 100
GAS_LIMIT = 120_000
GOVERNED = {
    "distribution.SourceCreated",
    "distribution.SourceResumed",
    "distribution.SourceRulesSet",
    "lockups.LockupRevoked",
    "lockups.LockupCollected",
    "sale.SaleOpened",
}
"""Nobody votes here."""
MODULES = (distribution.MODULE, gifts.MODULE, lockups.MODULE, mining.MODULE, sale.MODULE)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A height, and all keys of the state after it."""

    height: int
    values: dict[bytes, bytes | None]


@cache
def run_traffic() -> tuple[list[Snapshot], Counter[str], Counter[str]]:
    """States on the way of many calls, each in a block of its own; the events that happened; calls that succeeded."""
    funds = dict.fromkeys(ACCOUNTS, 10**14)
    state = make_state({**funds, ALLOCATION: SUPPLY_GRAINS - sum(funds.values())})
    found_identities(state, ACCOUNTS)
    found_economy(state, ACCOUNTS, START_MS)
    random = Random(1)
    traffic = EconomyTraffic(random, DOMAIN, ACCOUNTS)
    snapshots, events, succeeded = [], Counter[str](), Counter[str]()
    for height in range(1, CALLS + 1):
        now_ms = START_MS + height * BLOCK_MS
        block = block_context(height, now_ms)
        wish = traffic.draw(state, height, now_ms)
        number = random.randrange(len(KEYS)) if wish.account is None else wish.account
        sequence = get_account(state, ACCOUNTS[number]).sequence
        draft = Draft(KEYS[number], [wish.call], sequence, valid_until=height, gas_limit=GAS_LIMIT)
        receipt = apply_transaction(state, block, draft.sign())
        happened = [*receipt.events, *apply_block_end(state, block, 0)]
        state.forget_marks()
        events.update(f"{event.module}.{event.name}" for event in happened)
        succeeded[f"{wish.call.module}.{wish.call.call}"] += receipt.reason == 0 and receipt.gas_used > 0
        if height % 10 == 0:
            check_economy(state, height)
        if height % SNAPSHOT_CALLS == 0:
            snapshots.append(Snapshot(height, dict(state.changes)))
    return snapshots, events, succeeded


def test_traffic_reaches_every_call_and_event_and_keeps_every_law() -> None:
    _, events, succeeded = run_traffic()
    calls = {f"{module.name}.{rule.name}" for module in MODULES for rule in module.calls}
    assert calls - {name for name, count in succeeded.items() if count} == set()
    known = {f"{module.name}.{rule.fields.__name__}" for module in MODULES for rule in module.events}
    assert known - set(events) == GOVERNED


class Broken:
    """A state of the traffic, to be changed where no transaction would; IndexError: there is nothing to change."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.height = snapshot.height
        self.state = State(lambda key: None, lambda start, stop: iter(()))
        for key, value in snapshot.values.items():
            if value is not None:
                self.state.put(key, value)

    def list(self, table: Table) -> list[tuple[bytes, bytes]]:
        """Keys and values of a table."""
        return list(self.state.iterate_prefix(bytes([table])))

    def find(self, table: Table, kind: type[Any], is_wanted: Any = lambda record: True) -> tuple[bytes, Any]:
        """The first record that is as wanted."""
        records = [(key, decode(kind, value)) for key, value in self.list(table)]
        wanted = [(key, record) for key, record in records if is_wanted(record)]
        return wanted[0]

    def change(self, table: Table, kind: type[Any], is_wanted: Any = lambda record: True, **changes: Any) -> None:
        """Other fields of that record; a function makes one of the record."""
        key, record = self.find(table, kind, is_wanted)
        made = {name: change(record) if callable(change) else change for name, change in changes.items()}
        self.state.put(key, encode(replace(record, **made)))

    def delete(self, table: Table) -> None:
        """Without the first entry of a table."""
        self.state.delete(self.list(table)[0][0])

    def pay(self, account: Address, grains: int) -> None:
        """Coins out of nothing, or into it."""
        add_to_balance(self.state, account, grains, START_MS)


def is_bought(purchase: Purchase) -> bool:
    return purchase.status is PurchaseStatus.BOUGHT


def is_delivered(purchase: Purchase) -> bool:
    return purchase.status is PurchaseStatus.DELIVERED


def is_promising(source: Source) -> bool:
    return source.promised_grains > 0


def is_by_height(lockups: Lockups) -> bool:
    return any(each.schedule.clock is Clock.HEIGHT and each.heights_reached for each in lockups.lockups)


def void_newest_root(broken: Broken) -> None:
    key, source = broken.find(Table.DISTRIBUTION_SOURCE, Source, is_promising)
    root_key = bytes([Table.DISTRIBUTION_ROOT]) + key[1:] + source.latest.to_bytes(8, "big")
    root = decode(PostedRoot, broken.state.get(root_key) or b"")
    broken.state.put(root_key, encode(replace(root, voided=VoidCause.RECOMPUTED)))


def forget_heights(broken: Broken) -> None:
    key, found = broken.find(Table.LOCKUPS, Lockups, is_by_height)
    forgotten = tuple(replace(each, heights_reached=0) for each in found.lockups)
    broken.state.put(key, encode(replace(found, lockups=forgotten)))


def drop_flag(broken: Broken) -> None:
    address = ACCOUNTS[LOCKED_ACCOUNTS[0]]
    account = get_account(broken.state, address)
    assert account.flags & HAS_LOCKUPS
    put_account(broken.state, address, account._replace(flags=0))


def release_more(broken: Broken) -> None:
    """All sums agree, but a day pays more than its budget."""
    key, epoch = broken.find(Table.MINING_EPOCH, MiningEpoch, lambda epoch: epoch.outcome is not None)
    assert epoch.outcome is not None
    grains = epoch.outcome.budget_grains + 1
    added = grains - epoch.outcome.released_grains
    broken.state.put(key, encode(replace(epoch, outcome=replace(epoch.outcome, released_grains=grains))))
    progress = get_progress(broken.state)
    assert progress is not None
    put_progress(broken.state, replace(progress, released_grains=Grains(progress.released_grains + added)))
    broken.pay(MINING_ADDRESS, -added)


def release_unnoticed(broken: Broken) -> None:
    """The fund and what was released agree, but no day says so."""
    progress = get_progress(broken.state)
    assert progress is not None
    put_progress(broken.state, replace(progress, released_grains=Grains(progress.released_grains + 1)))
    broken.pay(MINING_ADDRESS, -1)


def skip_a_day(broken: Broken) -> None:
    progress = get_progress(broken.state)
    assert progress is not None
    put_progress(broken.state, replace(progress, next_epoch=Epoch(progress.next_epoch + 1)))


def forget_mining(broken: Broken) -> None:
    broken.state.delete(bytes([Table.MINING_PROGRESS]))


def add_record(broken: Broken) -> None:
    key, value = broken.list(Table.MINING_RECORD)[0]
    epoch = int.from_bytes(key[-5:-1], "big")
    broken.state.put(mining_record_key(PERSONS[1].did, epoch, Behaviour.DRIVING_ENGINE), value)


@pytest.mark.parametrize(
    ("spoil", "noticed"),
    [
        (
            lambda broken: broken.change(
                Table.DISTRIBUTION_SOURCE, Source, is_promising, claimed_grains=lambda each: each.claimed_grains + 1
            ),
            "a source has paid what beneficiaries were paid",
        ),
        (lambda broken: broken.delete(Table.DISTRIBUTION_CLAIMED), "a source has paid what beneficiaries were paid"),
        (
            lambda broken: broken.change(
                Table.DISTRIBUTION_SOURCE,
                Source,
                lambda each: each.claimed_grains > 0,
                funded_grains=lambda each: each.claimed_grains - 1,
            ),
            "a source pays no more than it has",
        ),
        (
            lambda broken: broken.change(
                Table.DISTRIBUTION_SOURCE,
                Source,
                lambda each: each.promised_grains > each.claimed_grains,
                funded_grains=lambda each: each.claimed_grains,
            ),
            "a source promises no more than it has",
        ),
        (void_newest_root, "a source promises what its newest root does"),
        (
            lambda broken: broken.change(
                Table.DISTRIBUTION_SOURCE, Source, is_promising, promised_grains=lambda each: each.promised_grains - 1
            ),
            "a source promises what its newest root does",
        ),
        (lambda broken: broken.pay(DISTRIBUTION_ADDRESS, 1), "distribution holds what sources have left"),
        (
            lambda broken: broken.change(Table.DISTRIBUTION_SOURCE, Source, roots=lambda each: each.roots + 1),
            "all roots of a source are kept",
        ),
        (
            lambda broken: broken.change(Table.DISTRIBUTION_ROOT, PostedRoot, counts_ms=0),
            "a root counts after its challenge window",
        ),
        (lambda broken: broken.delete(Table.PURCHASE), "all purchases of a sale are kept"),
        (
            lambda broken: broken.change(
                Table.PURCHASE, Purchase, is_bought, amount_grains=lambda each: each.amount_grains + 1
            ),
            "a sale has sold what was bought",
        ),
        (
            lambda broken: broken.change(Table.PURCHASE, Purchase, is_delivered, status=PurchaseStatus.BOUGHT),
            "a sale has delivered what buyers were given",
        ),
        (
            lambda broken: broken.change(Table.SALE, Sale, share_grains=lambda each: each.share_grains + 1),
            "a sale's share remains, is sold or has gone back",
        ),
        (
            lambda broken: broken.change(Table.SALE, Sale, lambda each: each.closed_ms, closed_ms=None),
            "one sale is open, or none",
        ),
        (
            lambda broken: broken.change(
                Table.SALE,
                Sale,
                lambda each: each.closed_ms and each.returned_grains,
                remaining_grains=lambda each: (each.returned_grains, 0),
                returned_grains=0,
            ),
            "nothing remains of a closed sale",
        ),
        (lambda broken: broken.pay(SALE_ADDRESS, -1), "sale holds what remains and what was not delivered"),
        (lambda broken: broken.delete(Table.SALE_BUYER), "what an identity has bought is added up"),
        (
            lambda broken: broken.change(
                Table.SALE,
                Sale,
                lambda each: each.sold_grains,
                terms=lambda each: replace(each.terms, cap_grains=1),
            ),
            "nobody buys beyond the cap",
        ),
        (
            lambda broken: broken.change(Table.PURCHASE, Purchase, owed_minor=10**6),
            "no more is owed than was paid",
        ),
        (lambda broken: broken.delete(Table.PAYMENT), "a payment and a purchase name each other"),
        (lambda broken: broken.delete(Table.GIFT), "gifts holds what waits"),
        (
            lambda broken: broken.change(Table.GIFT, Gift, amount_grains=lambda each: each.amount_grains + 1),
            "gifts holds what waits",
        ),
        (lambda broken: broken.pay(GIFTS_ADDRESS, 1), "gifts holds what waits"),
        (
            lambda broken: broken.state.put(
                bytes([Table.LOCKUP_DUE]) + bytes(8) + ACCOUNTS[0],
                b"",
            ),
            "what a height unlocks is unlocked after its block",
        ),
        (forget_heights, "what a height unlocks is unlocked after its block"),
        (lambda broken: broken.delete(Table.LOCKUP_DUE), "steps by height that are to come are known"),
        (
            lambda broken: broken.change(
                Table.LOCKUPS,
                Lockups,
                lambda each: each.lockups,
                lockups=lambda each: each.lockups[:1] * 2,
            ),
            "an account's lock-ups stand in order",
        ),
        (
            lambda broken: broken.change(Table.LOCKUPS, Lockups, lambda each: each.lockups, next_number=1),
            "numbers of lock-ups are used once",
        ),
        (drop_flag, "who has lock-ups is known by the account"),
        (lambda broken: broken.pay(MINING_ADDRESS, 1), "what mining has released and what is left are its allocation"),
        (skip_a_day, "days are closed in order"),
        (forget_mining, "mining begins with its first record"),
        (release_unnoticed, "days have released what mining has"),
        (release_more, "no day releases more than its budget"),
        (lambda broken: broken.delete(Table.MINING_BATCH), "all batches of a day are kept"),
        (lambda broken: broken.delete(Table.MINING_RECORD), "a day counts what vehicles have vouched for"),
        (add_record, "a day counts what vehicles have vouched for"),
        (
            lambda broken: broken.change(
                Table.MINING_EPOCH,
                MiningEpoch,
                lambda each: each.outcome is None and each.batch_force,
                batch_force=lambda each: each.batch_force + 1,
            ),
            "a day counts the batches that stand",
        ),
        (
            lambda broken: broken.change(
                Table.MINING_BATCH,
                Batch,
                lambda each: each.status is not BatchStatus.STANDING,
                status=BatchStatus.STANDING,
            ),
            "a day counts the batches that stand",
        ),
    ],
)
def test_a_state_that_breaks_a_law_is_noticed(spoil: Any, noticed: str) -> None:
    for snapshot in run_traffic()[0]:
        broken = Broken(snapshot)
        check_economy(broken.state, broken.height)
        with suppress(IndexError):
            spoil(broken)
            break
    with pytest.raises(ViolationError, match=noticed):
        check_economy(broken.state, broken.height)
