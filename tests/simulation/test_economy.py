"""What is drawn of the economy reaches every event and keeps every law; a state that breaks one is noticed."""

from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from ledger.codec import decode, encode
from ledger.primitives import SUPPLY_GRAINS, Grains
from ledger.state_keys import Table, mining_record_key
from tests.simulation.economy_founders import LOCKED_ACCOUNTS
from tests.simulation.identities import PERSONS
from tests.simulation.single_calls import ACCOUNTS, REFUSALS, Broken, Happened, run_calls
from tests.simulation.violation import ViolationError
from vm.native import acceptors, ads, distribution, dividends, gifts, lockups, mining, sale
from vm.native.acceptors import Acceptor
from vm.native.accounts import HAS_LOCKUPS, get_account, put_account
from vm.native.ads_records import (
    ADS_ADDRESS,
    Book,
    CampaignStatus,
    Channel,
    Complaint,
    Credit,
    KindTotal,
    Order,
    OrderStatus,
)
from vm.native.distribution_faults import Fault
from vm.native.distribution_records import DISTRIBUTION_ADDRESS, PostedRoot, Source, VoidCause
from vm.native.dividends import DeclaredDividend, DividendTerms
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

CALLS = 3_000
SEEDS = (1, 6, 12)  # together they reach what is rare
GOVERNED = {"distribution.SourceRulesSet"}
"""Nobody asks for other rules."""
MODULES = (
    acceptors.MODULE,
    ads.MODULE,
    distribution.MODULE,
    dividends.MODULE,
    gifts.MODULE,
    lockups.MODULE,
    mining.MODULE,
    sale.MODULE,
)


@cache
def run_traffic(seed: int) -> Happened:
    return run_calls(seed, CALLS)


def test_traffic_reaches_every_call_and_event_and_keeps_every_law() -> None:
    runs = [run_traffic(seed) for seed in SEEDS]
    succeeded = {name for run in runs for name in run.succeeded}
    events = {name for run in runs for name in run.events}
    calls = {f"{module.name}.{rule.name}" for module in MODULES for rule in module.calls}
    assert calls - succeeded == set()
    known = {f"{module.name}.{rule.fields.__name__}" for module in MODULES for rule in module.events}
    assert known - events == GOVERNED


def test_every_mistake_is_made_and_refused_for_its_reason() -> None:
    refused = {made for seed in SEEDS for made in run_traffic(seed).refused}
    assert refused == {
        (call, mistake, int(reason)) for call, mistakes in REFUSALS.items() for mistake, reason in mistakes.items()
    }


def test_what_advertising_and_challengers_ask_without_a_mistake_is_done() -> None:
    failed = {name for seed in SEEDS for name, _ in run_traffic(seed).failed}
    assert {name for name in failed if name.startswith("ads.") or name == "distribution.challenge"} == set()


def test_roots_are_wrong_in_each_way_and_some_are_challenged_in_time() -> None:
    ways = {fault.name for fault in Fault}
    runs = [run_traffic(seed) for seed in SEEDS]
    assert {fault for run in runs for fault in run.voided} == ways
    assert {fault for run in runs for fault in run.settled} == ways
    assert sum(sum(run.voided.values()) for run in runs) > len(ways)


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
    released_grains = Grains(progress.released_grains + added)
    reserved_grains = Grains(progress.reserved_grains + added)
    put_progress(broken.state, replace(progress, released_grains=released_grains, reserved_grains=reserved_grains))
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


def return_unnoticed(broken: Broken) -> None:
    """The fund and what came back agree, but no day says so."""
    progress = get_progress(broken.state)
    assert progress is not None
    put_progress(broken.state, replace(progress, returned_grains=Grains(progress.returned_grains + 1)))
    broken.pay(MINING_ADDRESS, 1)


def has_released(epoch: MiningEpoch) -> bool:
    return epoch.outcome is not None and epoch.outcome.released_grains > 0


def reserve_nothing(broken: Broken) -> None:
    broken.find(Table.MINING_EPOCH, MiningEpoch, has_released)
    progress = get_progress(broken.state)
    assert progress is not None
    put_progress(broken.state, replace(progress, reserved_grains=Grains(0)))


def let_two_batches_stand(broken: Broken) -> None:
    key, batch = broken.find(
        Table.MINING_BATCH, Batch, lambda each: each.status is BatchStatus.STANDING and each.payload.number > 1
    )
    former_key = key[:-2] + (batch.payload.number - 1).to_bytes(2, "big")
    broken.state.put(
        former_key, encode(replace(batch, payload=replace(batch.payload, number=batch.payload.number - 1)))
    )


def forget_mining(broken: Broken) -> None:
    broken.state.delete(bytes([Table.MINING_PROGRESS]))


def add_record(broken: Broken) -> None:
    key, value = broken.list(Table.MINING_RECORD)[0]
    epoch = int.from_bytes(key[-5:-1], "big")
    broken.state.put(mining_record_key(PERSONS[1].did, epoch, Behaviour.DRIVING_ENGINE), value)


def is_running(book: Book) -> bool:
    return book.status is CampaignStatus.RUNNING


def is_idle(book: Book) -> bool:
    return is_running(book) and not book.orders_open and not book.channels_open and not book.complaints_open


def add_delivery(book: Book) -> tuple[KindTotal, ...]:
    return (replace(book.totals[0], completed=book.totals[0].completed + 1), *book.totals[1:])


def is_accepted(order: Order) -> bool:
    return order.status is OrderStatus.ACCEPTED


def is_unsettled(channel: Channel) -> bool:
    return not channel.is_settled


def pay_more_by_channels(broken: Broken) -> None:
    """All coins agree, but no channel has earned that."""
    key, book = broken.find(Table.ADS_BOOK, Book, lambda book: is_running(book) and book.free_grains > 0)
    paid = replace(book, paid_grains=book.paid_grains + 1, channel_grains=book.channel_grains + 1)
    broken.state.put(key, encode(paid))
    broken.pay(ADS_ADDRESS, -1)


def empty_distribution(broken: Broken) -> None:
    """What many users have earned was taken out, and the module account agrees."""
    key, source = broken.find(Table.DISTRIBUTION_SOURCE, Source, is_of_campaign)
    broken.state.put(key, encode(replace(source, funded_grains=Grains(0))))
    broken.pay(DISTRIBUTION_ADDRESS, -source.funded_grains)


def is_of_campaign(source: Source) -> bool:
    is_unclaimed = source.promised_grains == source.claimed_grains == 0
    return source.rules.owner == ADS_ADDRESS and source.funded_grains > 0 and is_unclaimed


def promise_more(dividend: DeclaredDividend) -> DividendTerms:
    rules = dividend.terms.rules
    return replace(dividend.terms, rules=replace(rules, pool_grains=Grains(rules.pool_grains + SUPPLY_GRAINS)))


@pytest.mark.parametrize(
    ("spoil", "noticed"),
    [
        (lambda broken: broken.pay(ADS_ADDRESS, 1), "ads holds what is left of campaigns, and stakes"),
        (
            lambda broken: broken.change(
                Table.ADS_COMPLAINT,
                Complaint,
                lambda each: each.verdict is None,
                stake_grains=lambda each: each.stake_grains + 1,
            ),
            "ads holds what is left of campaigns, and stakes",
        ),
        (
            lambda broken: broken.change(
                Table.ADS_BOOK, Book, is_running, deposit_grains=lambda each: each.left_grains + 1
            ),
            "a campaign promises no more than it has left",
        ),
        (
            lambda broken: broken.change(
                Table.ADS_BOOK, Book, is_running, channel_grains=lambda each: each.channel_grains + 1
            ),
            "a campaign pays by orders and channels",
        ),
        (pay_more_by_channels, "a campaign has paid what settled channels have earned"),
        (lambda broken: broken.delete(Table.ADS_CAMPAIGN), "all campaigns are kept, each with a book"),
        (
            lambda broken: broken.change(
                Table.ADS_BOOK, Book, is_running, complaints_open=lambda each: each.complaints_open + 1
            ),
            "a campaign counts its complaints",
        ),
        (lambda broken: broken.delete(Table.ADS_COMPLAINER), "one complains once about a campaign"),
        (lambda broken: broken.change(Table.ADS_BOOK, Book, day_grains=10**9), "a day promises no more than the terms"),
        (
            lambda broken: broken.change(Table.ADS_BOOK, Book, is_idle, status=CampaignStatus.SETTLED),
            "nothing is left of a settled campaign",
        ),
        (lambda broken: broken.delete(Table.ADS_ORDER), "a campaign counts its orders"),
        (
            lambda broken: broken.change(Table.ADS_ORDER, Order, number=lambda each: each.number + 10**6),
            "a campaign counts its orders",
        ),
        (
            lambda broken: broken.change(Table.ADS_BOOK, Book, persons=lambda each: each.persons + 1),
            "a campaign counts the persons it reached",
        ),
        (lambda broken: broken.delete(Table.ADS_REACHED), "a campaign counts the persons it reached"),
        (
            lambda broken: broken.change(Table.ADS_BOOK, Book, is_running, is_upheld=True),
            "a campaign is punished once",
        ),
        (
            lambda broken: broken.change(Table.ADS_COMPLAINT, Complaint, lambda each: each.verdict is None, panel=()),
            "complaints without a panel wait for one",
        ),
        (
            lambda broken: broken.change(Table.ADS_ORDER, Order, is_accepted, status=OrderStatus.LAPSED),
            "a campaign reserves what its open orders may come to",
        ),
        (
            lambda broken: broken.change(
                Table.ADS_BOOK, Book, lambda each: each.totals[0].completed, totals=add_delivery
            ),
            "a campaign has paid for what was completed",
        ),
        (
            lambda broken: broken.change(
                Table.ADS_ORDER, Order, is_accepted, gross_grains=lambda each: each.reserved_grains + 1
            ),
            "an order pays no more than was reserved",
        ),
        (
            lambda broken: broken.change(
                Table.ADS_ORDER,
                Order,
                lambda each: each.status is OrderStatus.LAPSED and each.price_grains == 0,
                reserved_grains=lambda each: each.reserved_grains + 1,
            ),
            "a fixed total is shared out in turn",
        ),
        (
            lambda broken: broken.change(
                Table.ADS_CHANNEL, Channel, is_unsettled, locked_grains=lambda each: each.locked_grains + 1
            ),
            "a campaign locks what its open channels may earn",
        ),
        (lambda broken: broken.delete(Table.ADS_CHANNEL), "a campaign locks what its open channels may earn"),
        (
            lambda broken: broken.change(
                Table.ADS_CHANNEL, Channel, is_unsettled, gross_grains=lambda each: each.locked_grains + 1
            ),
            "a channel earns no more than was locked",
        ),
        (
            lambda broken: broken.change(Table.ADS_BOOK, Book, lambda each: each.source is not None, source=None),
            "a channel for many has a distribution",
        ),
        (empty_distribution, "what many users have earned is in their distribution"),
        (
            lambda broken: broken.change(
                Table.ADS_CREDIT, Credit, lambda each: each.upheld, upheld=lambda each: each.upheld + 1
            ),
            "upheld complaints are noted",
        ),
        (
            lambda broken: broken.change(
                Table.ADS_CREDIT, Credit, lambda each: each.dismissed, dismissed=lambda each: each.dismissed + 1
            ),
            "dismissed complaints are noted",
        ),
        (
            lambda broken: broken.change(
                Table.DIVIDEND,
                DeclaredDividend,
                lambda each: each.terms.claims_end_ms > broken.time_ms,
                returned_grains=lambda each: each.returned_grains + 1,
            ),
            "nothing of a dividend goes back before its claims end",
        ),
        (
            lambda broken: broken.change(Table.DIVIDEND, DeclaredDividend, terms=promise_more),
            "a dividend's pool is in its source, or has gone back",
        ),
        (
            lambda broken: broken.change(
                Table.DIVIDEND, DeclaredDividend, terms=lambda each: replace(each.terms, category="core")
            ),
            "a dividend's source belongs to the budget that paid it",
        ),
        (
            lambda broken: broken.change(
                Table.ACCEPTOR,
                Acceptor,
                lambda each: each.listed_height is not None,
                applied_height=lambda each: each.listed_height + 1,
            ),
            "an acceptor is listed after it has applied",
        ),
        (lambda broken: broken.change(Table.ACCEPTOR, Acceptor, did=bytes(20)), "an acceptor has an identity"),
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
        (return_unnoticed, "what came back came back on days"),
        (reserve_nothing, "what the last days have released is reserved"),
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
        (let_two_batches_stand, "one batch of a day stands"),
    ],
)
def test_a_state_that_breaks_a_law_is_noticed(spoil: Any, noticed: str) -> None:
    for snapshot in run_traffic(SEEDS[0]).snapshots:
        broken = Broken(snapshot)
        broken.check()
        with suppress(IndexError):
            spoil(broken)
            break
    with pytest.raises(ViolationError, match=noticed):
        broken.check()
