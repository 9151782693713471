"""The mempool: a test for each rule, and a naive twin that scans everything."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from identity.address import Address
from ledger.mempool import DROPPED_MAX, MISFITS_MAX, Added, Dropped, Known, Mempool, MempoolLimits
from ledger.primitives import ChainId, Gas, Grains, Height, Sequence, TransactionId
from ledger.reasons import Reason, Rejected
from ledger.transaction import Call, Transaction, TransactionBody, UnorderedSalt, compute_envelope_hash, encode_body

GAS = 10
ALICE, BOB, CAROL = (Address(bytes([number]) * 20) for number in (1, 2, 3))


def make(
    sender: Address,
    ordering: int | bytes,
    price: int = 5,
    *,
    payer: Address | None = None,
    valid_until: int = 1_000,
    gas: int = GAS,
    padding: int = 0,
    memo: str = "",
) -> Transaction:
    """A transaction as far as the pool looks at it: the signatures are only weight."""
    place: Sequence | UnorderedSalt = Sequence(ordering) if isinstance(ordering, int) else UnorderedSalt(ordering)
    calls = (Call("iov", "transfer", []),)
    fee = Grains(price * gas)
    body = TransactionBody(1, ChainId("test"), sender, place, Height(valid_until), Gas(gas), fee, payer, calls, memo)
    encoded = encode_body(body)
    raw = encoded + bytes(padding)
    transaction_id = TransactionId(sha256(encoded).digest())
    return Transaction(raw, encoded, body, (), transaction_id, compute_envelope_hash(raw))


def salt(number: int) -> bytes:
    return number.to_bytes(8, "big")


@dataclass
class Accounts:
    """The head state."""

    sequences: dict[Address, int] = field(default_factory=dict)
    grains: dict[Address, int] = field(default_factory=dict)

    def get_sequence(self, address: Address) -> int:
        return self.sequences.get(address, 0)

    def get_spendable_grains(self, address: Address) -> int:
        return self.grains.get(address, 10**9)

    def execute(self, transactions: Iterable[Transaction]) -> None:
        for transaction in transactions:
            if not transaction.body.is_unordered:
                self.sequences[transaction.body.sender] = self.get_sequence(transaction.body.sender) + 1


def select_all(pool: Mempool) -> list[Transaction]:
    return pool.select(10**9, 10**9, 10**6)


def list_ids(transactions: Iterable[Transaction]) -> list[TransactionId]:
    return sorted(transaction.id for transaction in transactions)


def test_only_what_a_block_could_take_counts_as_ready() -> None:
    pool, accounts = Mempool(), Accounts()
    assert not pool.has_ready
    pool.add(make(ALICE, 1), accounts)
    assert not pool.has_ready, "it waits behind a gap"
    first = make(ALICE, 0)
    pool.add(first, accounts)
    assert pool.has_ready
    chosen = select_all(pool)
    assert pool.has_ready, "what was offered is not gone yet"
    accounts.execute(chosen)
    pool.remove_included(Height(1), chosen, accounts)
    assert not pool.has_ready
    pool.add(make(BOB, salt(1), valid_until=3), accounts)
    assert pool.has_ready
    pool.remove_included(Height(3), [], accounts)
    assert not pool.has_ready, "it has expired"


def refuse(pool: Mempool, transaction: Transaction, accounts: Accounts) -> Rejected:
    before = list_ids(pool)
    with pytest.raises(Rejected) as caught:
        pool.add(transaction, accounts)
    assert list_ids(pool) == before
    return caught.value


def test_price_comes_first_then_arrival() -> None:
    pool, accounts = Mempool(), Accounts()
    cheap, first, second, dear = (make(ALICE, salt(index), price) for index, price in enumerate((1, 5, 5, 9)))
    for transaction in (cheap, first, second, dear):
        assert pool.add(transaction, accounts) == Added()
    assert select_all(pool) == [dear, first, second, cheap]
    assert select_all(pool) == [dear, first, second, cheap], "choosing takes nothing out"


def test_a_sender_goes_in_order_whatever_the_price_and_arrival() -> None:
    pool, accounts = Mempool(), Accounts({ALICE: 7})
    third, first, second = make(ALICE, 9, 100), make(ALICE, 7, 1), make(ALICE, 8, 50)
    other = make(BOB, 0, 3)
    for transaction in (third, first, second, other):
        pool.add(transaction, accounts)
    assert select_all(pool) == [other, first, second, third]
    assert pool.pending_for(ALICE) == [first, second, third]


def test_a_gap_holds_back_what_follows() -> None:
    pool, accounts = Mempool(), Accounts()
    for sequence in (0, 2, 3):
        pool.add(make(ALICE, sequence), accounts)
    assert select_all(pool) == [make(ALICE, 0)]
    assert "sequence 1, which has not arrived" in pool.explain(make(ALICE, 3).id, accounts)
    pool.add(make(ALICE, 1), accounts)
    assert select_all(pool) == [make(ALICE, sequence) for sequence in range(4)]


def test_sequences_out_of_reach_are_refused_with_the_expected_one() -> None:
    pool, accounts = Mempool(MempoolLimits(sequence_gap_max=3)), Accounts({ALICE: 5})
    low = refuse(pool, make(ALICE, 4), accounts)
    assert (low.reason, low.details) == (Reason.SEQUENCE_TOO_LOW, {"expected": 5})
    high = refuse(pool, make(ALICE, 9), accounts)
    assert (high.reason, high.details) == (Reason.SEQUENCE_TOO_HIGH, {"expected": 5})
    pool.add(make(ALICE, 8), accounts)


def test_known_by_id_even_with_other_signatures() -> None:
    pool, accounts = Mempool(), Accounts()
    transaction = make(ALICE, 0)
    pool.add(transaction, accounts)
    assert pool.add(transaction, accounts) == Known()
    assert pool.add(make(ALICE, 0, padding=3), accounts) == Known()
    assert pool.get(transaction.envelope_hash) is pool.get_by_id(transaction.id) is transaction
    assert pool.get(make(ALICE, 0, padding=3).envelope_hash) is None
    assert len(pool) == 1


def test_replacement_needs_a_tenth_more() -> None:
    pool, accounts = Mempool(), Accounts()
    old = make(ALICE, 0, 101)
    pool.add(old, accounts)
    pool.add(make(ALICE, 1, 50), accounts)
    cheap = refuse(pool, make(ALICE, 0, 111), accounts)
    assert (cheap.reason, cheap.details) == (Reason.REPLACEMENT_UNDERPRICED, {"needed": 112})
    assert pool.add(make(ALICE, 0, 112), accounts) == Added(replaced=old.id)
    assert select_all(pool) == [make(ALICE, 0, 112), make(ALICE, 1, 50)]
    assert pool.get_dropped_reason(old.id) is Reason.REPLACED


def test_a_free_transaction_is_not_replaced_by_a_free_one() -> None:
    pool, accounts = Mempool(), Accounts()
    pool.add(make(ALICE, 0, 0), accounts)
    assert refuse(pool, make(ALICE, 0, 0, memo="other"), accounts).reason is Reason.REPLACEMENT_UNDERPRICED
    pool.add(make(ALICE, 0, 1), accounts)


def test_promised_fees_never_exceed_the_payers_funds() -> None:
    pool, accounts = Mempool(), Accounts(grains={ALICE: 100, BOB: 60})
    pool.add(make(ALICE, 0, 5), accounts)
    pool.add(make(ALICE, 1, 4), accounts)
    poor = refuse(pool, make(ALICE, 2, 2), accounts)
    assert (poor.reason, poor.details) == (Reason.INSUFFICIENT_FUNDS, {"held": 100, "needed": 110})
    pool.add(make(ALICE, 0, 6), accounts)  # what it replaces is promised no longer
    pool.add(make(ALICE, 2, 6, payer=BOB), accounts)
    assert refuse(pool, make(CAROL, 0, 1, payer=BOB), accounts).reason is Reason.INSUFFICIENT_FUNDS
    pool.add(make(CAROL, 0, 0, payer=BOB), accounts)


def test_after_a_block_the_latest_that_cannot_be_paid_are_dropped() -> None:
    pool, accounts = Mempool(), Accounts()
    waiting = [make(ALICE, 1, 5), make(ALICE, 0, 5), make(BOB, 0, 5, payer=ALICE), make(ALICE, 2, 5)]
    for transaction in waiting:
        pool.add(transaction, accounts)
    accounts.grains[ALICE] = 60
    accounts.execute([waiting[1]])
    dropped = pool.remove_included(Height(1), [waiting[1]], accounts)
    assert dropped == [
        Dropped(waiting[3].id, Reason.INSUFFICIENT_FUNDS),
        Dropped(waiting[2].id, Reason.INSUFFICIENT_FUNDS),
    ]
    assert select_all(pool) == [waiting[0]]


def test_expired_ones_never_come_in_and_leave_in_time() -> None:
    pool, accounts = Mempool(height=10), Accounts()
    assert refuse(pool, make(ALICE, 0, valid_until=10), accounts).reason is Reason.EXPIRED
    soon, late, behind = make(ALICE, 0, valid_until=11), make(BOB, 0, valid_until=12), make(ALICE, 1)
    for transaction in (soon, late, behind):
        pool.add(transaction, accounts)
    assert pool.remove_included(Height(11), [], accounts) == [Dropped(soon.id, Reason.EXPIRED)]
    assert select_all(pool) == [late]
    assert pool.explain(soon.id, accounts) == "it was dropped: EXPIRED"
    assert "sequence 0, which has not arrived" in pool.explain(behind.id, accounts)


def test_included_ones_leave_and_overtaken_ones_are_dropped() -> None:
    pool, accounts = Mempool(), Accounts()
    mine, next_one, unordered = make(ALICE, 0, 5), make(ALICE, 1, 5), make(ALICE, salt(1))
    for transaction in (mine, next_one, unordered):
        pool.add(transaction, accounts)
    other = make(ALICE, 0, 9, memo="the one that was chosen elsewhere")
    accounts.execute([other, unordered])
    dropped = pool.remove_included(Height(1), [other, unordered], accounts)
    assert dropped == [Dropped(mine.id, Reason.SEQUENCE_TOO_LOW)]
    assert select_all(pool) == [next_one]
    assert refuse(pool, unordered, accounts).reason is Reason.DUPLICATE
    assert refuse(pool, mine, accounts).reason is Reason.SEQUENCE_TOO_LOW


def test_skipped_ones_leave_but_may_come_again() -> None:
    pool, accounts = Mempool(), Accounts()
    ordered, unordered, follower = make(ALICE, 0), make(BOB, salt(1)), make(ALICE, 1)
    for transaction in (ordered, unordered, follower):
        pool.add(transaction, accounts)
    skipped = {ordered.id, unordered.id}
    assert pool.remove_included(Height(1), [ordered, unordered], accounts, skipped) == []
    assert select_all(pool) == []
    assert pool.add(ordered, accounts) == pool.add(unordered, accounts) == Added()
    assert select_all(pool) == [ordered, unordered, follower] or select_all(pool) == [ordered, follower, unordered]


def test_an_account_ahead_of_the_pool_is_noticed_when_adding() -> None:
    pool, accounts = Mempool(), Accounts()
    for sequence in (0, 1, 2):
        pool.add(make(ALICE, sequence), accounts)
    accounts.sequences[ALICE] = 2
    pool.add(make(ALICE, 3), accounts)
    assert select_all(pool) == [make(ALICE, 2), make(ALICE, 3)]
    assert pool.get_dropped_reason(make(ALICE, 0).id) is Reason.SEQUENCE_TOO_LOW


def test_a_full_pool_keeps_the_better_paying() -> None:
    pool, accounts = Mempool(MempoolLimits(transactions_max=3)), Accounts()
    kept = [make(ALICE, salt(index), price) for index, price in enumerate((4, 2, 3))]
    for transaction in kept:
        pool.add(transaction, accounts)
    assert refuse(pool, make(BOB, 0, 2), accounts).reason is Reason.MEMPOOL_FULL
    assert pool.add(make(BOB, 0, 3), accounts) == Added(evicted=(kept[1].id,))
    assert pool.get_dropped_reason(kept[1].id) is Reason.EVICTED
    assert refuse(pool, make(BOB, 2, 100), accounts).reason is Reason.MEMPOOL_FULL, "behind a gap, no price counts"


def test_eviction_takes_the_end_of_the_cheapest_chain() -> None:
    """A dear end does not shield a chain whose first member is cheap."""
    pool, accounts = Mempool(MempoolLimits(transactions_max=4)), Accounts()
    chain = [make(ALICE, 0, 2), make(ALICE, 1, 3), make(ALICE, 2, 99)]
    for transaction in (*chain, make(BOB, 0, 3)):
        pool.add(transaction, accounts)
    assert pool.add(make(CAROL, 0, 4), accounts) == Added(evicted=(chain[2].id,))
    assert pool.add(make(CAROL, 1, 4), accounts) == Added(evicted=(chain[1].id,))
    assert select_all(pool) == [make(CAROL, 0, 4), make(CAROL, 1, 4), make(BOB, 0, 3), chain[0]]


def test_ranks_rise_when_the_cheap_head_was_included() -> None:
    pool, accounts = Mempool(MempoolLimits(transactions_max=3)), Accounts()
    cheap, dear = make(ALICE, 0, 1), make(ALICE, 1, 9)
    for transaction in (cheap, dear, make(BOB, 0, 5)):
        pool.add(transaction, accounts)
    accounts.execute([cheap])
    pool.remove_included(Height(1), [cheap], accounts)
    pool.add(make(BOB, 1, 5), accounts)
    assert pool.add(make(CAROL, 0, 6), accounts) == Added(evicted=(make(BOB, 1, 5).id,))


def test_a_large_transaction_evicts_several_or_none() -> None:
    pool, accounts = Mempool(MempoolLimits(bytes_max=70_000)), Accounts()
    small = [make(ALICE, index, price, padding=20_000) for index, price in enumerate((9, 9, 2))]
    for transaction in small:
        pool.add(transaction, accounts)
    assert refuse(pool, make(BOB, 0, 5, padding=40_000), accounts).reason is Reason.MEMPOOL_FULL
    assert select_all(pool) == small, "what was evicted for nothing is back in its place"
    assert pool.add(make(BOB, 0, 10, padding=40_000), accounts) == Added(evicted=(small[2].id, small[1].id))
    assert pool.total_bytes == sum(len(transaction.raw) for transaction in pool) <= 70_000


def test_an_account_has_its_share_and_no_more() -> None:
    limits = MempoolLimits(account_transactions_max=2, account_bytes_max=100_000)
    pool, accounts = Mempool(limits), Accounts()
    pool.add(make(ALICE, 0), accounts)
    pool.add(make(ALICE, salt(1)), accounts)
    assert refuse(pool, make(ALICE, 1, 99), accounts).reason is Reason.ACCOUNT_LIMIT
    pool.add(make(BOB, 0, padding=60_000), accounts)
    assert refuse(pool, make(BOB, 1, padding=60_000), accounts).reason is Reason.ACCOUNT_LIMIT
    pool.add(make(BOB, 1, padding=30_000), accounts)


def test_an_account_that_came_out_of_order_is_not_stuck_at_its_limit() -> None:
    pool, accounts = Mempool(MempoolLimits(account_transactions_max=2)), Accounts()
    pool.add(make(ALICE, 1), accounts)
    pool.add(make(ALICE, 2), accounts)
    assert pool.add(make(ALICE, 0), accounts) == Added(evicted=(make(ALICE, 2).id,))
    assert select_all(pool) == [make(ALICE, 0), make(ALICE, 1)]


def test_choice_stays_within_gas_bytes_and_count() -> None:
    pool, accounts = Mempool(), Accounts()
    large = make(ALICE, 0, 9, gas=100, padding=500)
    behind = make(ALICE, 1, 9)
    small = [make(BOB, salt(index), 5) for index in range(4)]
    for transaction in (large, behind, *small):
        pool.add(transaction, accounts)
    assert pool.select(99, 10**6, 100) == small, "what is ordered after a misfit waits with it"
    assert pool.select(10**6, 400, 100) == small[: 400 // len(small[0].raw)]
    assert pool.select(10**6, 10**6, 3) == [large, behind, small[0]]
    assert pool.select(100 + 2 * GAS, 10**6, 100) == [large, behind, small[0]]
    assert pool.select(10**6, 10**6, 0) == []


def test_choice_gives_up_after_many_misfits() -> None:
    pool, accounts = Mempool(), Accounts()
    for index in range(MISFITS_MAX):
        pool.add(make(ALICE, salt(index), 9, gas=50), accounts)
    pool.add(make(BOB, 0, 5), accounts)
    assert pool.select(49, 10**6, 10) == []
    assert len(pool.select(50, 10**6, 10)) == 1


def test_skipped_in_choice_holds_back_what_follows() -> None:
    pool, accounts = Mempool(), Accounts()
    mine = [make(ALICE, sequence, 9) for sequence in range(3)]
    for transaction in (*mine, make(BOB, 0, 5)):
        pool.add(transaction, accounts)
    assert pool.select(10**6, 10**6, 10, {mine[1].envelope_hash}) == [mine[0], make(BOB, 0, 5)]
    assert select_all(pool) == [*mine, make(BOB, 0, 5)]


def test_explains_every_wait() -> None:
    pool, accounts = Mempool(), Accounts()
    for transaction in (make(ALICE, 0, 9), make(ALICE, 1, 9), make(BOB, 0, 5)):
        pool.add(transaction, accounts)
    assert "ready for the next block" in pool.explain(make(ALICE, 0, 9).id, accounts)
    assert "after the sender's waiting sequences 0 to 0" in pool.explain(make(ALICE, 1, 9).id, accounts)
    pool.select(10**6, 10**6, 2)
    assert "offers 5 grains per gas, the last full block's lowest offer was 9" in pool.explain(
        make(BOB, 0, 5).id, accounts
    )
    accounts.grains[BOB] = 49
    assert "holds 49 grains, waiting transactions promise 50" in pool.explain(make(BOB, 0, 5).id, accounts)
    assert pool.explain(make(CAROL, 0).id, accounts) == "it is not in this node's pool"


def test_what_was_dropped_is_remembered_within_bounds() -> None:
    pool, accounts = Mempool(MempoolLimits(transactions_max=1)), Accounts()
    transactions = [make(ALICE, salt(price), price) for price in range(DROPPED_MAX + 3)]
    for transaction in transactions:
        pool.add(transaction, accounts)
    assert pool.get_dropped_reason(transactions[0].id) is None
    assert pool.get_dropped_reason(transactions[3].id) is Reason.EVICTED
    assert max(len(pool._evictable), len(pool._dropped)) <= DROPPED_MAX


def test_heaps_stay_in_proportion_to_what_waits() -> None:
    pool, accounts = Mempool(MempoolLimits(transactions_max=10)), Accounts()
    for price in range(1, 9_000):
        pool.add(make(ALICE, salt(price), price, valid_until=10**9), accounts)
        if price % 100 == 0:
            pool.remove_included(Height(price), [], accounts)
    assert len(pool) == 10
    assert max(len(pool._ready), len(pool._expiring), len(pool._evictable)) < 1_300


def test_pages_of_all_that_waits() -> None:
    pool, accounts = Mempool(), Accounts()
    for index in range(25):
        pool.add(make(ALICE, salt(index)), accounts)
    listed: list[Transaction] = []
    while page := pool.list_pending(listed[-1].id if listed else None, 10):
        listed.extend(page)
    assert listed == sorted(pool, key=lambda transaction: transaction.id)


# The naive twin: a list, scanned for everything.

SENDERS = [ALICE, BOB, CAROL]
LIMITS = MempoolLimits(
    transactions_max=7,
    bytes_max=150_000,
    account_transactions_max=4,
    account_bytes_max=90_000,
    sequence_gap_max=4,
    free_transactions_max=3,
    account_free_transactions_max=2,
    replacement_price_bps=1_000,
)
FREE_MEMO = "free"
"""Of transactions for whose fee a free quota stands in."""


def is_free(transaction: Transaction) -> bool:
    return transaction.body.memo == FREE_MEMO


class NaivePool:
    """The rules M1 to M6 word by word."""

    def __init__(self) -> None:
        self.waiting: list[Transaction] = []
        """In the order of arrival."""
        self.arrivals: dict[TransactionId, int] = {}
        self.arrivals_ever: list[TransactionId] = []
        self.next_sequences: dict[Address, int] = {}
        self.included: set[TransactionId] = set()
        self.height = 0

    def get_next(self, sender: Address) -> int:
        return self.next_sequences.get(sender, 0)

    def find(self, sender: Address, sequence: int) -> Transaction | None:
        return next(
            (each for each in self.waiting if each.body.sender == sender and each.body.ordering == sequence), None
        )

    def rank(self, transaction: Transaction) -> tuple[bool, int]:
        body = transaction.body
        if isinstance(body.ordering, bytes):
            return True, body.price_grains
        prices = [body.price_grains]
        for sequence in range(self.get_next(body.sender), body.ordering):
            previous = self.find(body.sender, sequence)
            if previous is None:
                return False, body.price_grains
            prices.append(previous.body.price_grains)
        return True, min(prices)

    def standing(self, transaction: Transaction) -> tuple[bool, int]:
        is_ready, rank = self.rank(transaction)
        body = transaction.body
        is_behind_free = is_free(transaction)
        if is_ready and isinstance(body.ordering, int):
            before = [self.find(body.sender, each) for each in range(self.get_next(body.sender), body.ordering)]
            is_behind_free |= any(each is not None and is_free(each) for each in before)
        return is_ready and not is_behind_free, rank

    def tail(self, sender: Address) -> Transaction | None:
        ordered = [each for each in self.waiting if each.body.sender == sender and not each.body.is_unordered]
        return max(ordered, key=lambda each: each.body.ordering, default=None)

    def add(self, transaction: Transaction, accounts: Accounts) -> Reason | Added | Known:
        body = transaction.body
        if any(each.id == transaction.id for each in self.waiting):
            return Known()
        if body.valid_until <= self.height:
            return Reason.EXPIRED
        replaced = None
        if isinstance(body.ordering, int):
            self.advance(body.sender, accounts)
            if body.ordering < self.get_next(body.sender):
                return Reason.SEQUENCE_TOO_LOW
            if body.ordering > self.get_next(body.sender) + LIMITS.sequence_gap_max:
                return Reason.SEQUENCE_TOO_HIGH
            replaced = self.find(body.sender, body.ordering)
            if replaced is not None and (
                body.price_grains * 10 < replaced.body.price_grains * 11
                or body.price_grains <= replaced.body.price_grains
            ):
                return Reason.REPLACEMENT_UNDERPRICED
        elif transaction.id in self.included:
            return Reason.DUPLICATE
        payer = body.fee_payer or body.sender
        promised = sum(each.body.fee_max_grains for each in self.of_payer(payer) if each is not replaced)
        if body.fee_max_grains and promised + body.fee_max_grains > accounts.get_spendable_grains(payer):
            return Reason.INSUFFICIENT_FUNDS
        if is_free(transaction):
            if sum(map(is_free, self.of_sender(body.sender))) >= LIMITS.account_free_transactions_max:
                return Reason.ACCOUNT_LIMIT
            if sum(map(is_free, self.waiting)) >= LIMITS.free_transactions_max:
                return Reason.MEMPOOL_FULL
        return self.make_room_and_add(transaction, replaced)

    def make_room_and_add(self, transaction: Transaction, replaced: Transaction | None) -> Reason | Added:
        body, before = transaction.body, list(self.waiting)
        standing = self.standing(transaction)
        victims: list[Transaction] = []
        while not self.fits([*self.of_sender(body.sender), transaction], replaced, of_account=True):
            tail = self.tail(body.sender)
            if tail is None or self.rank(tail)[0] or not _goes_before(body.ordering, tail.body.ordering):
                self.waiting = before
                return Reason.ACCOUNT_LIMIT
            self.waiting.remove(tail)
            victims.append(tail)
        while not self.fits([*self.waiting, transaction], replaced, of_account=False):
            evictable = [each for each in self.waiting if self.is_evictable(each, body.sender if replaced else None)]
            victim = min(evictable, key=lambda each: (self.standing(each), -self.arrivals[each.id]), default=None)
            if victim is None or self.standing(victim) >= standing:
                self.waiting = before
                return Reason.MEMPOOL_FULL
            self.waiting.remove(victim)
            victims.append(victim)
        if replaced is not None:
            self.waiting.remove(replaced)
        self.waiting.append(transaction)
        self.arrivals[transaction.id] = len(self.arrivals_ever)
        self.arrivals_ever.append(transaction.id)
        return Added(None if replaced is None else replaced.id, tuple(victim.id for victim in victims))

    def is_evictable(self, transaction: Transaction, spared: Address | None) -> bool:
        sender = transaction.body.sender
        return sender != spared and (transaction.body.is_unordered or transaction is self.tail(sender))

    def fits(self, transactions: list[Transaction], replaced: Transaction | None, *, of_account: bool) -> bool:
        kept = [each for each in transactions if each is not replaced]
        count_max = LIMITS.account_transactions_max if of_account else LIMITS.transactions_max
        bytes_max = LIMITS.account_bytes_max if of_account else LIMITS.bytes_max
        return len(kept) <= count_max and sum(len(each.raw) for each in kept) <= bytes_max

    def of_payer(self, payer: Address) -> list[Transaction]:
        return [each for each in self.waiting if (each.body.fee_payer or each.body.sender) == payer]

    def of_sender(self, sender: Address) -> list[Transaction]:
        return [each for each in self.waiting if each.body.sender == sender]

    def advance(self, sender: Address, accounts: Accounts) -> list[Transaction]:
        self.next_sequences[sender] = accounts.get_sequence(sender)
        stale = [each for each in self.of_sender(sender) if _goes_before(each.body.ordering, self.get_next(sender))]
        self.waiting = [each for each in self.waiting if each not in stale]
        return stale

    def select(
        self, gas_max: int, bytes_max: int, count_max: int, skip: set[bytes], free_gas_max: int = 0
    ) -> list[Transaction]:
        chosen: list[Transaction] = []
        passed: list[Transaction] = []
        while len(chosen) < count_max:
            candidates = [
                each
                for each in self.waiting
                if each not in chosen and each not in passed and self.is_next(each, chosen)
            ]
            if not candidates:
                break
            best = min(candidates, key=lambda each: (-each.body.price_grains, self.arrivals[each.id]))
            if best.envelope_hash in skip or best.body.gas_limit > gas_max or len(best.raw) > bytes_max:
                passed.append(best)
                continue
            if is_free(best):
                if best.body.gas_limit > free_gas_max:
                    passed.append(best)
                    continue
                free_gas_max -= best.body.gas_limit
            chosen.append(best)
            gas_max -= best.body.gas_limit
            bytes_max -= len(best.raw)
        return chosen

    def is_next(self, transaction: Transaction, chosen: list[Transaction]) -> bool:
        sender, ordering = transaction.body.sender, transaction.body.ordering
        if isinstance(ordering, bytes) or ordering == self.get_next(sender):
            return True
        return any(each.body.sender == sender and each.body.ordering == ordering - 1 for each in chosen)

    def remove_included(
        self, height: int, block: list[Transaction], accounts: Accounts, skipped: set[TransactionId]
    ) -> set[Dropped]:
        self.height = height
        dropped: set[Dropped] = set()
        ids = {each.id for each in block}
        self.included.update(each.id for each in block if each.body.is_unordered and each.id not in skipped)
        for sender in {each.body.sender for each in block if not each.body.is_unordered}:
            stale = self.advance(sender, accounts)
            dropped.update(Dropped(each.id, Reason.SEQUENCE_TOO_LOW) for each in stale if each.id not in ids)
        self.waiting = [each for each in self.waiting if each.id not in ids]
        dropped.update(Dropped(each.id, Reason.EXPIRED) for each in self.waiting if each.body.valid_until <= height)
        self.waiting = [each for each in self.waiting if each.body.valid_until > height]
        for payer in {each.body.fee_payer or each.body.sender for each in block}:
            while sum(each.body.fee_max_grains for each in self.of_payer(payer)) > accounts.get_spendable_grains(payer):
                latest = max(self.of_payer(payer), key=lambda each: self.arrivals[each.id])
                self.waiting.remove(latest)
                dropped.add(Dropped(latest.id, Reason.INSUFFICIENT_FUNDS))
        return dropped


def _goes_before(ordering: int | bytes, other: int | bytes) -> bool:
    return isinstance(ordering, int) and isinstance(other, int) and ordering < other


senders = st.sampled_from(SENDERS)
prices = st.one_of(st.integers(0, 12), st.integers(0, 12), st.none())
"""None: no fee is asked for."""


def make_priced(sender: Address, ordering: int | bytes, price: int | None, **fields: Any) -> Transaction:
    """At a price, or free."""
    if price is None:
        return make(sender, ordering, 0, memo=FREE_MEMO, **{**fields, "payer": None})
    return make(sender, ordering, price, **fields)


class MempoolMachine(RuleBasedStateMachine):
    """The pool and its twin do the same, step by step."""

    @initialize()
    def start(self) -> None:
        self.pool, self.naive, self.accounts = Mempool(LIMITS), NaivePool(), Accounts()
        self.seen: list[Transaction] = []

    def add(self, transaction: Transaction) -> None:
        expected = self.naive.add(transaction, self.accounts)
        outcome: Any
        try:
            outcome = self.pool.add(transaction, self.accounts, is_free=is_free(transaction))
        except Rejected as refusal:
            outcome = refusal.reason
        assert outcome == expected
        if is_free(transaction):
            event(f"free: {outcome.name if isinstance(outcome, Reason) else type(outcome).__name__}")
        self.seen.append(transaction)

    @rule(
        sender=senders,
        ahead=st.integers(-1, 6),
        price=prices,
        padding=st.sampled_from([0, 0, 20_000, 50_000]),
        payer=st.one_of(st.none(), senders),
        lifetime=st.integers(0, 8),
        gas=st.sampled_from([10, 10, 10, 30]),
    )
    def add_ordered(
        self,
        sender: Address,
        ahead: int,
        price: int | None,
        padding: int,
        payer: Address | None,
        lifetime: int,
        gas: int,
    ) -> None:
        sequence = max(0, self.accounts.get_sequence(sender) + ahead)
        payer = None if payer == sender else payer
        valid_until = self.naive.height + lifetime
        fields = {"payer": payer, "valid_until": valid_until, "gas": gas, "padding": padding}
        self.add(make_priced(sender, sequence, price, **fields))

    @rule(sender=senders, number=st.integers(0, 3), price=prices, padding=st.sampled_from([0, 40_000]))
    def add_unordered(self, sender: Address, number: int, price: int | None, padding: int) -> None:
        self.add(make_priced(sender, salt(number), price, padding=padding))

    @rule(data=st.data())
    def add_again(self, data: st.DataObject) -> None:
        if self.seen:
            self.add(data.draw(st.sampled_from(self.seen)))

    @rule(sender=senders, grains=st.integers(0, 600))
    def change_funds(self, sender: Address, grains: int) -> None:
        self.accounts.grains[sender] = grains

    @rule(sender=senders)
    def run_ahead_of_the_pool(self, sender: Address) -> None:
        """A block was executed, and admissions come before the pool is told."""
        if self.naive.find(sender, self.accounts.get_sequence(sender)) is None and not self.naive.of_sender(sender):
            self.accounts.sequences[sender] = self.accounts.get_sequence(sender) + 1

    @rule(data=st.data(), count=st.integers(0, 5), is_foreign=st.booleans())
    def include(self, data: st.DataObject, count: int, is_foreign: bool) -> None:
        block = self.pool.select(10**6, 10**6, count, free_gas_max=10**6)
        if is_foreign:
            sender = data.draw(senders)
            own = [each for each in block if each.body.sender == sender and not each.body.is_unordered]
            sequence = self.accounts.get_sequence(sender) + len(own)
            block.append(make(sender, sequence, 1, memo="of another pool"))
        skipped_from = data.draw(st.integers(0, len(block)))
        executed, skipped = block[:skipped_from], {each.id for each in block[skipped_from:]}
        self.accounts.execute(executed)
        height = self.naive.height + 1
        dropped = self.pool.remove_included(Height(height), block, self.accounts, skipped)
        assert len(dropped) == len(set(dropped))
        assert set(dropped) == self.naive.remove_included(height, block, self.accounts, skipped)
        assert all(self.pool.get_dropped_reason(each.id) is each.reason for each in dropped)

    @rule(
        gas_max=st.integers(0, 120),
        bytes_max=st.sampled_from([0, 300, 45_000, 10**6]),
        count_max=st.integers(0, 8),
        free_gas_max=st.integers(0, 50),
        data=st.data(),
    )
    def select(self, gas_max: int, bytes_max: int, count_max: int, free_gas_max: int, data: st.DataObject) -> None:
        skip = (
            set(data.draw(st.lists(st.sampled_from([each.envelope_hash for each in self.pool]), max_size=2)))
            if len(self.pool)
            else set()
        )
        chosen = self.pool.select(gas_max, bytes_max, count_max, skip, free_gas_max=free_gas_max)
        assert chosen == self.naive.select(gas_max, bytes_max, count_max, skip, free_gas_max)
        if any(map(is_free, chosen)):
            event("free: chosen")

    @invariant()
    def is_the_same(self) -> None:
        assert list_ids(self.pool) == list_ids(self.naive.waiting)
        assert len(self.pool) == len(self.naive.waiting) <= LIMITS.transactions_max
        assert self.pool.total_bytes == sum(len(each.raw) for each in self.naive.waiting) <= LIMITS.bytes_max
        assert select_all(self.pool) == self.naive.select(10**9, 10**9, 10**6, set())
        everything = self.pool.select(10**9, 10**9, 10**6, free_gas_max=10**9)
        assert everything == self.naive.select(10**9, 10**9, 10**6, set(), 10**9)
        assert sum(map(is_free, self.pool)) <= LIMITS.free_transactions_max

    @invariant()
    def is_within_every_share(self) -> None:
        for sender in SENDERS:
            waiting = self.naive.of_sender(sender)
            assert len(waiting) <= LIMITS.account_transactions_max
            assert sum(len(each.raw) for each in waiting) <= LIMITS.account_bytes_max
            assert sum(map(is_free, waiting)) <= LIMITS.account_free_transactions_max
            ordered = sorted(
                (each for each in waiting if not each.body.is_unordered), key=lambda each: each.body.ordering
            )
            unordered = [each for each in waiting if each.body.is_unordered]
            pending = self.pool.pending_for(sender)
            assert pending[: len(ordered)] == ordered
            assert list_ids(pending[len(ordered) :]) == list_ids(unordered)

    @invariant()
    def explains_everything(self) -> None:
        for transaction in self.seen[-3:]:
            assert self.pool.explain(transaction.id, self.accounts)
            assert (self.pool.get(transaction.envelope_hash) is None) or transaction in self.naive.waiting


MempoolMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_pool_equals_its_naive_twin = MempoolMachine.TestCase


def add_free(pool: Mempool, transaction: Transaction, accounts: Accounts) -> Added | Known:
    return pool.add(transaction, accounts, is_free=True)


def test_free_ones_come_after_all_others() -> None:
    pool, accounts = Mempool(), Accounts()
    free, cheap = make(ALICE, salt(1), 0), make(BOB, salt(2), 1)
    add_free(pool, free, accounts)
    pool.add(cheap, accounts)
    assert pool.select(10**9, 10**9, 10, free_gas_max=GAS) == [cheap, free]


def test_a_block_takes_free_ones_up_to_a_gas_of_their_own() -> None:
    pool, accounts = Mempool(), Accounts()
    frees = [make(sender, 0, 0) for sender in (ALICE, BOB, CAROL)]
    for free in frees:
        add_free(pool, free, accounts)
    assert pool.select(10**9, 10**9, 10, free_gas_max=2 * GAS) == frees[:2]
    assert pool.select(10**9, 10**9, 10, free_gas_max=GAS - 1) == []
    assert pool.select(10**9, 10**9, 10, free_gas_max=3 * GAS) == frees, "what was left behind comes back"


def test_few_free_ones_of_a_sender_wait() -> None:
    pool, accounts = Mempool(MempoolLimits(account_free_transactions_max=2)), Accounts()
    first, second, third = (make(ALICE, sequence, 0) for sequence in range(3))
    add_free(pool, first, accounts)
    add_free(pool, second, accounts)
    with pytest.raises(Rejected) as caught:
        add_free(pool, third, accounts)
    assert caught.value.reason is Reason.ACCOUNT_LIMIT
    assert pool.add(make(ALICE, 2, 1), accounts) == Added(), "a fee is welcome"
    accounts.execute([first])
    pool.remove_included(Height(1), [first], accounts)
    assert add_free(pool, make(ALICE, 3, 0), accounts) == Added()


def test_not_many_free_ones_wait_of_all_senders() -> None:
    pool, accounts = Mempool(MempoolLimits(free_transactions_max=2)), Accounts()
    for sender in (ALICE, BOB):
        add_free(pool, make(sender, 0, 0), accounts)
    with pytest.raises(Rejected) as caught:
        add_free(pool, make(CAROL, 0, 0), accounts)
    assert caught.value.reason is Reason.MEMPOOL_FULL
    pool.withdraw(make(ALICE, 0, 0).id, Reason.EXPIRED)
    assert add_free(pool, make(CAROL, 0, 0), accounts) == Added()


def test_free_ones_make_room_for_any_other_and_others_not_for_them() -> None:
    pool, accounts = Mempool(MempoolLimits(transactions_max=2)), Accounts()
    free, waiting = make(ALICE, 0, 0), make(BOB, 1, 1)
    add_free(pool, free, accounts)
    pool.add(waiting, accounts)
    with pytest.raises(Rejected) as caught:
        add_free(pool, make(CAROL, 0, 0), accounts)
    assert caught.value.reason is Reason.MEMPOOL_FULL
    assert pool.add(make(CAROL, 5, 1), accounts) == Added(None, (free.id,)), "even one behind a gap"


def test_a_fee_replaces_a_free_one_and_nothing_else_does() -> None:
    pool, accounts = Mempool(), Accounts()
    free, paying = make(ALICE, 0, 0), make(ALICE, 0, 1)
    add_free(pool, free, accounts)
    with pytest.raises(Rejected) as caught:
        add_free(pool, make(ALICE, 0, 0, memo="again"), accounts)
    assert caught.value.reason is Reason.REPLACEMENT_UNDERPRICED
    assert pool.add(paying, accounts) == Added(free.id)
    assert pool.select(10**9, 10**9, 10) == [paying]


def test_only_what_pays_is_a_full_blocks_lowest_offer() -> None:
    pool, accounts = Mempool(), Accounts()
    free, left_behind = make(ALICE, salt(1), 0), make(ALICE, salt(4), 0)
    add_free(pool, free, accounts)
    add_free(pool, left_behind, accounts)
    dear, cheap = make(BOB, salt(2), 9), make(BOB, salt(3), 1)
    pool.add(dear, accounts)
    assert pool.select(10**9, 10**9, 10, free_gas_max=GAS) == [dear, free]
    pool.add(cheap, accounts)
    assert "last full block's lowest offer was 9" in pool.explain(cheap.id, accounts)
