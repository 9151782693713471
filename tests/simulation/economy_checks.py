"""Conservation laws of what modules keep: distributions, dividends, acceptors, sales, gifts, lock-ups, mining's fund.

Found by going through the tables, not by the modules' own sums. What everybody has together is checked elsewhere
(tests/stake_scene.py).
"""

from collections import Counter

from identity.address import ADDRESS_BYTES, Address
from identity.did import DID_BYTES
from ledger.codec import decode
from ledger.state import StateReader
from ledger.state_keys import Table
from tests.simulation.ads_checks import check_ads
from tests.simulation.identity_checks import iterate_table
from tests.simulation.violation import require
from vm.native.acceptors import Acceptor
from vm.native.accounts import HAS_LOCKUPS, get_account
from vm.native.did_records import get_did_record
from vm.native.distribution_records import DISTRIBUTION_ADDRESS, PostedRoot, Source, SourceId, find_root, get_source
from vm.native.dividends import DeclaredDividend, find_dividend
from vm.native.gifts import Gift
from vm.native.iov import GIFTS_ADDRESS, SALE_ADDRESS, TREASURY_ADDRESSES, get_balance
from vm.native.lockup_records import Clock, Lockups
from vm.native.mining_epochs import RESERVED_EPOCHS
from vm.native.mining_records import (
    MINING_ADDRESS,
    Batch,
    BatchStatus,
    MiningEpoch,
    VouchedRecord,
    get_progress,
)
from vm.native.sale_records import Purchase, PurchaseName, PurchaseStatus, Sale, get_sales

_NUMBER_BYTES = 8


def check_economy(state: StateReader, height: int, now_ms: int) -> None:
    """All laws, after the block of this height and time; raises ViolationError."""
    _check_distributions(state)
    _check_dividends(state, now_ms)
    _check_acceptors(state, height)
    check_ads(state)
    _check_sales(state)
    _check_gifts(state)
    _check_lockups(state, height)
    _check_mining(state)


def _check_distributions(state: StateReader) -> None:
    paid = Counter[int]()
    for key, value in iterate_table(state, Table.DISTRIBUTION_CLAIMED):
        paid[_to_number(key[:_NUMBER_BYTES])] += _to_number(value)
    left_grains = 0
    for key, value in iterate_table(state, Table.DISTRIBUTION_SOURCE):
        number, source = _to_number(key), decode(Source, value)
        require(source.claimed_grains == paid[number], "a source has paid what beneficiaries were paid")
        require(source.claimed_grains <= source.funded_grains, "a source pays no more than it has")
        require(source.promised_grains <= source.funded_grains, "a source promises no more than it has")
        latest = find_root(state, SourceId(number), source.latest)
        promised = 0 if latest is None else latest.lifetime_total_grains
        is_standing = latest is None or latest.voided is None
        dividend = find_dividend(state, SourceId(number))
        is_closed = dividend is not None and dividend.returned_grains > 0
        is_promised = source.promised_grains == promised or (is_closed and source.promised_grains < promised)
        require(is_standing and is_promised, "a source promises what its newest root does")
        left_grains += source.left_grains
    require(
        get_balance(state, DISTRIBUTION_ADDRESS) == left_grains,
        "distribution holds what sources have left, to the grain",
    )
    roots = Counter(_to_number(key[:_NUMBER_BYTES]) for key, _ in iterate_table(state, Table.DISTRIBUTION_ROOT))
    posted = {
        _to_number(key): decode(Source, value).roots for key, value in iterate_table(state, Table.DISTRIBUTION_SOURCE)
    }
    require(roots == +Counter(posted), "all roots of a source are kept")
    for _, value in iterate_table(state, Table.DISTRIBUTION_ROOT):
        root = decode(PostedRoot, value)
        require(root.posted_ms < root.counts_ms, "a root counts after its challenge window")


def _check_dividends(state: StateReader, now_ms: int) -> None:
    for key, value in iterate_table(state, Table.DIVIDEND):
        source, dividend = get_source(state, SourceId(_to_number(key))), decode(DeclaredDividend, value)
        terms = dividend.terms
        parts_grains = source.funded_grains + dividend.returned_grains
        require(parts_grains >= terms.rules.pool_grains, "a dividend's pool is in its source, or has gone back")
        is_over = terms.claims_end_ms <= now_ms
        require(is_over or dividend.returned_grains == 0, "nothing of a dividend goes back before its claims end")
        is_budgets = source.rules.owner == TREASURY_ADDRESSES[terms.category]
        require(is_budgets, "a dividend's source belongs to the budget that paid it")


def _check_acceptors(state: StateReader, height: int) -> None:
    for _, value in iterate_table(state, Table.ACCEPTOR):
        acceptor = decode(Acceptor, value)
        listed_height = height if acceptor.listed_height is None else acceptor.listed_height
        is_in_order = acceptor.applied_height <= listed_height <= height
        require(is_in_order, "an acceptor is listed after it has applied")
        require(get_did_record(state, acceptor.did) is not None, "an acceptor has an identity")


def _check_sales(state: StateReader) -> None:
    sales = {_to_number(key): decode(Sale, value) for key, value in iterate_table(state, Table.SALE)}
    purchases = {
        PurchaseName(_to_number(key[:_NUMBER_BYTES]), _to_number(key[_NUMBER_BYTES:])): decode(Purchase, value)
        for key, value in iterate_table(state, Table.PURCHASE)
    }
    held_grains = 0
    for number, sale in sales.items():
        of_sale = [each for name, each in purchases.items() if name.sale == number]
        kept = [each for each in of_sale if each.status is not PurchaseStatus.WITHDRAWN]
        delivered_grains = sum(each.amount_grains for each in kept if each.status is PurchaseStatus.DELIVERED)
        require(len(of_sale) == sale.purchases, "all purchases of a sale are kept")
        require(sale.sold_grains == sum(each.amount_grains for each in kept), "a sale has sold what was bought")
        require(sale.delivered_grains == delivered_grains, "a sale has delivered what buyers were given")
        remaining_grains = sum(sale.remaining_grains)
        parts_grains = remaining_grains + sale.sold_grains + sale.returned_grains
        require(sale.share_grains == parts_grains, "a sale's share remains, is sold or has gone back")
        require((sale.closed_ms is None) == (get_sales(state).open == number), "one sale is open, or none")
        require(sale.closed_ms is None or remaining_grains == 0, "nothing remains of a closed sale")
        held_grains += remaining_grains + sale.sold_grains - sale.delivered_grains
        _check_buyers(state, number, sale, kept)
    require(get_balance(state, SALE_ADDRESS) == held_grains, "sale holds what remains and what was not delivered")
    for each in purchases.values():
        require(each.owed_minor + each.repaid_minor <= each.paid_minor, "no more is owed than was paid")
    paid = {each.reference: name for name, each in purchases.items()}
    payments = {bytes(key): decode(PurchaseName, value) for key, value in iterate_table(state, Table.PAYMENT)}
    require(payments == paid and len(paid) == len(purchases), "a payment and a purchase name each other")


def _check_buyers(state: StateReader, number: int, sale: Sale, kept: list[Purchase]) -> None:
    bought = Counter[bytes]()
    for each in kept:
        bought[each.buyer] += each.amount_grains
    prefix = bytes([Table.SALE_BUYER]) + number.to_bytes(_NUMBER_BYTES, "big")
    noted = {key[len(prefix) :]: _to_number(value) for key, value in state.iterate_prefix(prefix)}
    require(noted == +bought, "what an identity has bought is added up")
    require(max(bought.values(), default=0) <= sale.terms.cap_grains, "nobody buys beyond the cap")


def _check_gifts(state: StateReader) -> None:
    waiting_grains = sum(decode(Gift, value).amount_grains for _, value in iterate_table(state, Table.GIFT))
    require(get_balance(state, GIFTS_ADDRESS) == waiting_grains, "gifts holds what waits, to the grain")


def _check_lockups(state: StateReader, height: int) -> None:
    due = {
        (_to_number(key[:_NUMBER_BYTES]), Address(key[_NUMBER_BYTES:]))
        for key, _ in iterate_table(state, Table.LOCKUP_DUE)
    }
    require(all(at > height for at, _ in due), "what a height unlocks is unlocked after its block")
    locked = {Address(key): decode(Lockups, value) for key, value in iterate_table(state, Table.LOCKUPS)}
    for account, lockups in locked.items():
        numbers = [each.number for each in lockups.lockups]
        require(numbers == sorted(set(numbers)), "an account's lock-ups stand in order")
        require(max(numbers, default=0) < lockups.next_number, "numbers of lock-ups are used once")
        for each in lockups.lockups:
            if each.schedule.clock is Clock.HEIGHT:
                heights = [step.at for step in each.schedule.steps]
                reached = sum(at <= height for at in heights)
                require(each.heights_reached == reached, "what a height unlocks is unlocked after its block")
                is_due = all((at, account) in due for at in heights if at > height)
                require(is_due, "steps by height that are to come are known")
    flagged = {
        Address(key)
        for key, _ in iterate_table(state, Table.ACCOUNT)
        if len(key) == ADDRESS_BYTES and get_account(state, Address(key)).flags & HAS_LOCKUPS
    }
    have = {account for account, lockups in locked.items() if lockups.lockups}
    require(flagged == have, "who has lock-ups is known by the account")


def _check_mining(state: StateReader) -> None:
    progress = get_progress(state)
    epochs = {_to_number(key): decode(MiningEpoch, value) for key, value in iterate_table(state, Table.MINING_EPOCH)}
    if progress is None:
        require(not epochs, "mining begins with its first record")
        return
    fund_grains = get_balance(state, MINING_ADDRESS)
    require(
        fund_grains + progress.released_grains - progress.returned_grains == progress.allocation_grains,
        "what mining has released and what is left are its allocation",
    )
    outcomes = {number: epoch.outcome for number, epoch in epochs.items() if epoch.outcome is not None}
    closed = list(range(progress.first_epoch, progress.next_epoch))
    require(sorted(outcomes) == closed, "days are closed in order")
    released_grains = sum(outcome.released_grains for outcome in outcomes.values())
    require(released_grains == progress.released_grains, "days have released what mining has")
    returned_grains = sum(outcome.returned_grains for outcome in outcomes.values())
    require(returned_grains == progress.returned_grains, "what came back came back on days")
    reserved_grains = sum(outcomes[number].released_grains for number in closed[-RESERVED_EPOCHS:])
    require(reserved_grains == progress.reserved_grains, "what the last days have released is reserved")
    for outcome in outcomes.values():
        require(outcome.released_grains <= outcome.budget_grains, "no day releases more than its budget")
    _check_force(state, epochs)


def _check_force(state: StateReader, epochs: dict[int, MiningEpoch]) -> None:
    """Open days count what stands; a closed one keeps what it was closed with."""
    standing, numbers, counts = Counter[int](), Counter[int](), Counter[int]()
    for _, value in iterate_table(state, Table.MINING_BATCH):
        batch = decode(Batch, value)
        numbers[batch.payload.epoch] += 1
        counts[batch.payload.epoch] += batch.status is BatchStatus.STANDING
        standing[batch.payload.epoch] += batch.payload.force * (batch.status is BatchStatus.STANDING)
    vouched, records = Counter[int](), Counter[int]()
    for key, value in iterate_table(state, Table.MINING_RECORD):
        day = _to_number(key[DID_BYTES:-1])
        vouched[day] += decode(VouchedRecord, value).force
        records[day] += 1
    for number, epoch in epochs.items():
        require(epoch.batches == numbers[number], "all batches of a day are kept")
        require(counts[number] <= 1, "one batch of a day stands")
        counted = (epoch.vouched_force, epoch.vouched_records)
        require(counted == (vouched[number], records[number]), "a day counts what vehicles have vouched for")
        is_exact = epoch.batch_force == standing[number]
        is_past = epoch.outcome is not None and epoch.batch_force >= standing[number]
        require(is_exact or is_past, "a day counts the batches that stand")


def _to_number(encoded: bytes) -> int:
    return int.from_bytes(encoded, "big")
