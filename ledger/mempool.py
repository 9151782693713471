"""Transactions that wait for a block: which are kept, which go first, and why one is not included.

The caller has checked form, signatures, policy, chain and fee floor. The rules here:

M1  A sender's ordered transactions go in the order of their sequences. One whose predecessors are all here is *ready*;
    one that came too early waits, at most `sequence_gap_max` ahead of its account.
M2  Ready transactions go by price, then by arrival. What follows in a sender's order joins when its turn comes.
M3  The *rank* of a transaction is the lowest price on the way to it: its own and its predecessors'. When the pool is
    full, the lowest rank makes room for a strictly higher one, waiting ones first, always from the end of a sender's
    order; so making room never opens a gap.
M4  A transaction with the sequence of another replaces it for a price higher by `replacement_price_bps`.
M5  What waits never promises more fees than its payer has.
M6  *Free* ones, for whose fee a person's free quota stands in, come after all others. They, and what waits for them in
    their sender's order, make room for any other. Few of one sender wait, which is few of one identity, and not many of
    all.
"""

from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, heapreplace, nsmallest
from typing import Final, Protocol

from identity.address import Address
from ledger.primitives import INTEGER_MAX, EnvelopeHash, Height, TransactionId
from ledger.reasons import Reason, Rejected
from ledger.transaction import TRANSACTION_BYTES_MAX, Transaction

BPS: Final = 10_000
ARRIVAL_BITS: Final = 48  # a million arrivals a second for nine years
ARRIVAL_MAX: Final = 2**ARRIVAL_BITS - 1
UNORDERED: Final = -1  # stands for the sequence of an unordered transaction
MISFITS_MAX: Final = 200  # transactions too large for what is left of a block before the choice ends
STALE_ITEMS_MIN: Final = 1_024  # below this, sweeping a heap is not worth it
DROPPED_MAX: Final = 20_000  # reasons kept for those who ask
INCLUDED_MAX: Final = 20_000  # ids of included unordered ones kept: several blocks, for admissions that were under way


@dataclass(frozen=True, slots=True)
class MempoolLimits:
    """Caps in count and bytes."""

    transactions_max: int = 50_000
    """About 25 full blocks."""
    bytes_max: int = 64 * 2**20
    account_transactions_max: int = 1_024
    """Of one sender."""
    account_bytes_max: int = 2 * 2**20
    sequence_gap_max: int = 512
    """How far a sequence may run ahead of its account: wallets send bursts in parallel."""
    free_transactions_max: int = 5_000
    """Without a fee: a tenth of the pool."""
    account_free_transactions_max: int = 4
    """Without a fee, of one sender."""
    replacement_price_bps: int = 1_000
    """A replacement offers at least this much more."""

    def __post_init__(self) -> None:
        assert self.bytes_max >= TRANSACTION_BYTES_MAX, "the largest transaction must fit the pool"
        assert self.account_bytes_max >= TRANSACTION_BYTES_MAX, "the largest transaction must fit an account's share"
        assert min(self.transactions_max, self.account_transactions_max) >= 1
        assert self.sequence_gap_max >= 0
        assert self.replacement_price_bps >= 0


class AccountReader(Protocol):
    """Accounts at the head state."""

    def get_sequence(self, address: Address) -> int:
        """The sequence that the account's next ordered transaction carries."""
        ...

    def get_spendable_grains(self, address: Address) -> int:
        """What it can pay fees from."""
        ...


@dataclass(frozen=True, slots=True)
class Added:
    """The transaction waits now."""

    replaced: TransactionId | None = None
    evicted: tuple[TransactionId, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """A transaction with this id waits already, perhaps with other valid signatures."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A transaction left without being included."""

    id: TransactionId
    reason: Reason


@dataclass(slots=True, eq=False)
class _Entry:
    transaction: Transaction
    id: TransactionId
    sender: Address
    payer: Address
    sequence: int
    """Or UNORDERED."""
    price_grains: int
    fee_grains: int
    bytes_count: int
    gas_limit: int
    valid_until: int
    arrival: int
    """Number of its arrival: earlier first at the same price."""
    queue: "_Queue"
    is_free: bool
    """Whether a free quota stands in for the fee."""
    is_listed: bool = False
    """Whether an item for it is among the ready ones, so that there are never two."""
    is_ready: bool = False
    is_behind_free: bool = False
    """Whether it or one that must go before it is free; exact while the rank is."""
    rank_grains: int = 0
    """Lowest price from the sender's next sequence to here; a lower bound once predecessors were included."""
    rank_sequence: int = 0
    """Where that lowest price stands: the rank is exact while that one still waits."""


@dataclass(slots=True, eq=False)
class _Queue:
    """All that waits of one sender."""

    next_sequence: int = 0
    """Of the account, as far as it was needed."""
    entries: dict[int | TransactionId, _Entry] = field(default_factory=dict)
    """Ordered ones by sequence, unordered ones by id."""
    sequences: list[int] = field(default_factory=list)
    """Of the ordered ones, ascending."""
    bytes_count: int = 0
    free_count: int = 0
    """How many of them are free."""

    def get_tail(self) -> _Entry | None:
        return self.entries[self.sequences[-1]] if self.sequences else None

    def get_previous(self, sequence: int) -> _Entry | None:
        """The one that must go right before this sequence."""
        return self.entries.get(sequence - 1) if sequence > self.next_sequence else None

    def find_gap(self) -> int:
        """The first sequence that is not here."""
        sequence = self.next_sequence
        while sequence in self.entries:
            sequence += 1
        return sequence


class Mempool:
    """The pool. It reads no clock: time is the height of the last block it was told of."""

    def __init__(self, limits: MempoolLimits | None = None, height: int = 0) -> None:
        self._limits = limits or MempoolLimits()
        self._height = height
        self._by_id: dict[TransactionId, _Entry] = {}
        self._by_envelope: dict[EnvelopeHash, _Entry] = {}
        self._by_arrival: dict[int, _Entry] = {}
        self._queues: dict[Address, _Queue] = {}
        self._promised_grains: dict[Address, int] = {}
        """Fees of all that waits at a payer's expense."""
        self._sponsored: dict[Address, dict[TransactionId, _Entry]] = {}
        """What waits at the expense of another than its sender, by payer."""
        self._total_bytes = 0
        self._free_count = 0
        self._arrivals = 0
        # Heaps of integers that end in an arrival, see _ready_key and the others: cheap to compare, and no work for
        # the garbage collector. They keep what has left until it comes up, or until _sweep.
        self._ready: list[int] = []
        self._offered: list[int] = []
        """What the last choice took off the ready ones; it comes back with the next choice if it still waits."""
        self._expiring: list[int] = []
        self._evictable: list[int] = []
        self._dropped: OrderedDict[TransactionId, Reason] = OrderedDict()
        self._included: set[TransactionId] = set()
        self._included_order: deque[TransactionId] = deque()
        self._last_full_price_grains = 0
        """The lowest price of the last choice if it left something behind, else 0."""

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Transaction]:
        """All that wait, about in order of arrival."""
        return iter([entry.transaction for entry in self._by_id.values()])

    @property
    def has_ready(self) -> bool:
        """Whether a block could take anything now: what waits behind a gap is no work."""
        self._take_back_offered()
        while self._ready:
            if self._ready[0] & ARRIVAL_MAX in self._by_arrival:
                return True
            heappop(self._ready)
        return False

    @property
    def total_bytes(self) -> int:
        """Of all that wait."""
        return self._total_bytes

    def get(self, envelope_hash: EnvelopeHash) -> Transaction | None:
        """A waiting transaction by the hash of its whole envelope."""
        entry = self._by_envelope.get(envelope_hash)
        return None if entry is None else entry.transaction

    def get_by_id(self, transaction_id: TransactionId) -> Transaction | None:
        """A waiting transaction."""
        entry = self._by_id.get(transaction_id)
        return None if entry is None else entry.transaction

    def get_dropped_reason(self, transaction_id: TransactionId) -> Reason | None:
        """Why a transaction recently left without being included."""
        return self._dropped.get(transaction_id)

    def pending_for(self, sender: Address) -> list[Transaction]:
        """All of a sender's: ordered ones by sequence, then unordered ones by arrival."""
        queue = self._queues.get(sender)
        if queue is None:
            return []
        ordered = [queue.entries[sequence].transaction for sequence in queue.sequences]
        return ordered + [entry.transaction for entry in queue.entries.values() if entry.sequence == UNORDERED]

    def list_pending(self, after: TransactionId | None, count_max: int) -> list[Transaction]:
        """A page of all that wait, in the order of their ids; looks at the whole pool."""
        ids = self._by_id if after is None else [each for each in self._by_id if each > after]
        return [self._by_id[each].transaction for each in nsmallest(count_max, ids)]

    # What comes in.

    def add(self, transaction: Transaction, reader: AccountReader, *, is_free: bool = False) -> Added | Known:
        """Let a transaction wait; raises Rejected, and then it has pushed nothing out.

        A free one is below the fee floor, and the caller knows that a free quota stands in for its fee.
        """
        if transaction.id in self._by_id:
            return Known()
        entry = self._build_entry(transaction, is_free)
        if entry.valid_until <= self._height:
            raise Rejected(Reason.EXPIRED, f"it was valid until block {entry.valid_until}", height=self._height)
        replaced = self._find_place(entry, reader)
        self._check_funds(entry, replaced, reader)
        if is_free:
            self._check_free(entry)
        evicted = self._make_room(entry, replaced)
        if replaced is not None:
            self._remove(replaced)
            self._record_drop(replaced, Reason.REPLACED)
        self._arrivals += 1
        self._insert(entry)
        if self._dropped:
            self._dropped.pop(entry.id, None)
        return Added(None if replaced is None else replaced.id, evicted)

    def _build_entry(self, transaction: Transaction, is_free: bool) -> _Entry:
        body = transaction.body
        sender, fee_grains, ordering = body.sender, body.fee_max_grains, body.ordering
        return _Entry(
            transaction,
            transaction.id,
            sender,
            sender if body.fee_payer is None else body.fee_payer,
            ordering if isinstance(ordering, int) else UNORDERED,
            fee_grains // body.gas_limit,
            fee_grains,
            len(transaction.raw),
            body.gas_limit,
            body.valid_until,
            self._arrivals,
            self._queues.get(sender) or _Queue(),
            is_free,
        )

    def _find_place(self, entry: _Entry, reader: AccountReader) -> _Entry | None:
        """Check the ordering and compute the rank; gives the one it would replace."""
        sequence, queue = entry.sequence, entry.queue
        if sequence == UNORDERED:
            if entry.id in self._included:
                raise Rejected(Reason.DUPLICATE, "the transaction is in a block already")
            entry.is_ready, entry.is_behind_free, entry.rank_grains = True, entry.is_free, entry.price_grains
            return None
        next_sequence = reader.get_sequence(entry.sender)
        if queue.next_sequence < next_sequence:
            for stale in self._advance(queue, next_sequence):
                self._record_drop(stale, Reason.SEQUENCE_TOO_LOW)
        ahead = sequence - queue.next_sequence
        if ahead < 0:
            message = f"the account is at sequence {queue.next_sequence}"
            raise Rejected(Reason.SEQUENCE_TOO_LOW, message, expected=queue.next_sequence)
        if ahead > self._limits.sequence_gap_max:
            message = f"the account is at sequence {queue.next_sequence}; at most {self._limits.sequence_gap_max} ahead"
            raise Rejected(Reason.SEQUENCE_TOO_HIGH, message, expected=queue.next_sequence)
        _update_rank(entry)
        replaced = queue.entries.get(sequence)
        if replaced is not None:
            self._check_replacement(entry, replaced)
        return replaced

    def _check_replacement(self, entry: _Entry, replaced: _Entry) -> None:
        raised = -(-replaced.price_grains * (BPS + self._limits.replacement_price_bps) // BPS)
        needed = max(raised, replaced.price_grains + 1)
        if entry.price_grains < needed:
            message = f"to replace the waiting transaction with this sequence, offer {needed} grains per gas"
            raise Rejected(Reason.REPLACEMENT_UNDERPRICED, message, needed=needed)

    def _check_funds(self, entry: _Entry, replaced: _Entry | None, reader: AccountReader) -> None:
        if entry.fee_grains == 0:
            return
        needed = entry.fee_grains + self._promised_grains.get(entry.payer, 0)
        if replaced is not None and replaced.payer == entry.payer:
            needed -= replaced.fee_grains
        held = reader.get_spendable_grains(entry.payer)
        if needed > held:
            message = f"with this fee, waiting transactions would promise {needed} grains of the payer's {held}"
            raise Rejected(Reason.INSUFFICIENT_FUNDS, message, held=held, needed=needed)

    def _check_free(self, entry: _Entry) -> None:
        """Rule M6. A free one replaces nothing, since it offers no more than any other."""
        if entry.queue.free_count >= self._limits.account_free_transactions_max:
            raise Rejected(Reason.ACCOUNT_LIMIT, "the sender has enough waiting without a fee: let some go first")
        if self._free_count >= self._limits.free_transactions_max:
            raise Rejected(Reason.MEMPOOL_FULL, "enough waits without a fee: offer one, or try again later")

    def _make_room(self, entry: _Entry, replaced: _Entry | None) -> tuple[TransactionId, ...]:
        """Evict what must go for this entry. When that is not enough, all of it comes back and Rejected is raised.

        The work is bounded: the largest transaction takes the room of a few hundred of the smallest.
        """
        limits, queue = self._limits, entry.queue
        count, bytes_count = 1, entry.bytes_count
        if replaced is not None:
            count, bytes_count = 0, bytes_count - replaced.bytes_count
        victims: list[_Entry] = []
        while (
            len(queue.entries) + count > limits.account_transactions_max
            or queue.bytes_count + bytes_count > limits.account_bytes_max
        ):
            tail = queue.get_tail()
            if tail is None or tail.is_ready or not UNORDERED < entry.sequence < tail.sequence:
                self._put_back(victims)
                raise Rejected(Reason.ACCOUNT_LIMIT, "the sender has too many transactions waiting: let some go first")
            self._remove(tail)
            victims.append(tail)
        while len(self._by_id) + count > limits.transactions_max or self._total_bytes + bytes_count > limits.bytes_max:
            lowest = self._find_lowest(None if replaced is None else entry.sender)
            if lowest is None or _get_standing(lowest) >= _get_standing(entry):
                self._put_back(victims)
                raise Rejected(Reason.MEMPOOL_FULL, "the pool is full of better paying transactions: offer more")
            self._remove(lowest)
            victims.append(lowest)
        for victim in victims:
            self._record_drop(victim, Reason.EVICTED)
        return tuple([victim.id for victim in victims])

    def _put_back(self, victims: list[_Entry]) -> None:
        """Undo evictions, last one first: each was the end of its sender's order and is again."""
        for victim in reversed(victims):
            self._insert(victim)

    def _find_lowest(self, spared: Address | None) -> _Entry | None:
        """What goes first when room is needed, nothing of the spared sender."""
        heap = self._evictable
        set_aside: list[int] = []
        lowest = None
        while heap and lowest is None:
            entry = self._by_arrival.get(ARRIVAL_MAX - (heap[0] & ARRIVAL_MAX))
            if entry is None or (entry.sequence != UNORDERED and entry is not entry.queue.get_tail()):
                heappop(heap)
                continue
            _make_rank_exact(entry)
            key = _evictable_key(entry)
            if key != heap[0]:
                heapreplace(heap, key)
            elif entry.sender == spared:
                set_aside.append(heappop(heap))
            else:
                lowest = entry
        for key in set_aside:
            heappush(heap, key)
        return lowest

    # What goes out.

    def select(
        self,
        gas_max: int,
        bytes_max: int,
        count_max: int,
        skip: Set[EnvelopeHash] = frozenset(),
        *,
        free_gas_max: int = 0,
    ) -> list[Transaction]:
        """The best transactions that fit a block, in the order to execute them; free ones up to a gas of their own.

        A skipped one, or one that does not fit, holds back what its sender ordered after it.
        """
        self._take_back_offered()
        ready, offered, by_arrival = self._ready, self._offered, self._by_arrival
        followers: list[int] = []
        chosen: list[Transaction] = []
        misfits = 0
        lowest_price_grains = INTEGER_MAX
        while len(chosen) < count_max and misfits < MISFITS_MAX and (ready or followers):
            if followers and (not ready or followers[0] < ready[0]):
                entry = by_arrival[heappop(followers) & ARRIVAL_MAX]
            else:
                key = heappop(ready)
                listed = by_arrival.get(key & ARRIVAL_MAX)
                if listed is None:
                    continue
                entry = listed
                offered.append(key)
            if skip and entry.transaction.envelope_hash in skip:
                continue
            if entry.gas_limit > gas_max or entry.bytes_count > bytes_max:
                misfits += 1
                continue
            if entry.is_free:
                if entry.gas_limit > free_gas_max:
                    misfits += 1
                    continue
                free_gas_max -= entry.gas_limit
            gas_max -= entry.gas_limit
            bytes_max -= entry.bytes_count
            chosen.append(entry.transaction)
            if not entry.is_free:
                lowest_price_grains = min(lowest_price_grains, entry.price_grains)
            if entry.sequence != UNORDERED:
                follower = entry.queue.entries.get(entry.sequence + 1)
                if follower is not None:
                    heappush(followers, _ready_key(follower))
        is_full = bool(ready or followers or misfits)
        is_priced = lowest_price_grains < INTEGER_MAX
        self._last_full_price_grains = lowest_price_grains if is_full and is_priced else 0
        return chosen

    def remove_included(
        self,
        height: Height,
        transactions: Sequence[Transaction],
        reader: AccountReader,
        skipped: Set[TransactionId] = frozenset(),
    ) -> list[Dropped]:
        """Take note of a block, with the reader at the state after it: its transactions leave, and those it spoiled.

        Those skipped when executed leave too, since their turn has come, but may be sent again.
        """
        self._height = max(self._height, height)
        included: dict[TransactionId, None] = {}
        queues: dict[Address, _Queue] = {}
        payers: dict[Address, None] = {}
        for transaction in transactions:
            body = transaction.body
            included[transaction.id] = None
            payers[body.sender if body.fee_payer is None else body.fee_payer] = None
            if isinstance(body.ordering, bytes):
                if transaction.id not in skipped:
                    self._remember_included(transaction.id)
            elif body.sender in self._queues:
                queues[body.sender] = self._queues[body.sender]
        dropped: list[Dropped] = []
        for sender, queue in queues.items():
            for stale in self._advance(queue, reader.get_sequence(sender)):
                if stale.id not in included:
                    dropped.append(self._record_drop(stale, Reason.SEQUENCE_TOO_LOW))
        for transaction_id in included:
            entry = self._by_id.get(transaction_id)
            if entry is not None:  # unordered, or skipped
                self._remove(entry)
        self._drop_expired(dropped)
        for payer in payers:
            self._drop_unpayable(payer, reader, dropped)
        self._sweep()
        return dropped

    def explain(self, transaction_id: TransactionId, reader: AccountReader) -> str:
        """Why a transaction is not included yet, in words."""
        entry = self._by_id.get(transaction_id)
        if entry is None:
            reason = self._dropped.get(transaction_id)
            return "it is not in this node's pool" if reason is None else f"it was dropped: {reason.name}"
        held, promised = reader.get_spendable_grains(entry.payer), self._promised_grains.get(entry.payer, 0)
        if promised > held:
            return f"its fee payer holds {held} grains, waiting transactions promise {promised}"
        if entry.is_ready and entry.price_grains < self._last_full_price_grains:
            return (
                f"it offers {entry.price_grains} grains per gas, the last full block's lowest offer was "
                f"{self._last_full_price_grains}"
            )
        if entry.is_ready and entry.queue.get_previous(entry.sequence) is not None:
            return f"it goes after the sender's waiting sequences {entry.queue.next_sequence} to {entry.sequence - 1}"
        if entry.is_ready:
            return f"it is ready for the next block; it is valid until block {entry.valid_until}"
        return f"it waits for the sender's sequence {entry.queue.find_gap()}, which has not arrived"

    def _take_back_offered(self) -> None:
        for key in self._offered:
            if key & ARRIVAL_MAX in self._by_arrival:
                heappush(self._ready, key)
        self._offered.clear()

    def withdraw(self, transaction_id: TransactionId, reason: Reason) -> None:
        """Let go of a waiting transaction after all; one that does not wait is no matter."""
        entry = self._by_id.get(transaction_id)
        if entry is not None:
            self._remove(entry)
            self._record_drop(entry, reason)

    def _drop_expired(self, dropped: list[Dropped]) -> None:
        expiring = self._expiring
        while expiring and expiring[0] >> ARRIVAL_BITS <= self._height:
            entry = self._by_arrival.get(heappop(expiring) & ARRIVAL_MAX)
            if entry is not None:
                self._remove(entry)
                dropped.append(self._record_drop(entry, Reason.EXPIRED))

    def _drop_unpayable(self, payer: Address, reader: AccountReader, dropped: list[Dropped]) -> None:
        """Drop the latest arrivals that a payer can no longer pay for."""
        if not self._promised_grains.get(payer):
            return
        held = reader.get_spendable_grains(payer)
        if self._promised_grains[payer] <= held:
            return
        entries = list(self._sponsored.get(payer, {}).values())
        queue = self._queues.get(payer)
        if queue is not None:
            entries.extend([entry for entry in queue.entries.values() if entry.payer == payer])
        entries.sort(key=lambda entry: entry.arrival)
        while self._promised_grains.get(payer, 0) > held:
            entry = entries.pop()
            self._remove(entry)
            dropped.append(self._record_drop(entry, Reason.INSUFFICIENT_FUNDS))

    def _remember_included(self, transaction_id: TransactionId) -> None:
        if transaction_id in self._included:
            return
        self._included.add(transaction_id)
        self._included_order.append(transaction_id)
        if len(self._included_order) > INCLUDED_MAX:
            self._included.discard(self._included_order.popleft())

    def _record_drop(self, entry: _Entry, reason: Reason) -> Dropped:
        self._dropped[entry.id] = reason
        if len(self._dropped) > DROPPED_MAX:
            self._dropped.popitem(last=False)
        return Dropped(entry.id, reason)

    # The indexes.

    def _insert(self, entry: _Entry) -> None:
        """Put an entry into every index; its place is free."""
        queue, sequence = entry.queue, entry.sequence
        self._by_id[entry.id] = self._by_arrival[entry.arrival] = entry
        self._by_envelope[entry.transaction.envelope_hash] = entry
        self._queues[entry.sender] = queue
        self._total_bytes += entry.bytes_count
        queue.bytes_count += entry.bytes_count
        if entry.is_free:
            self._free_count += 1
            queue.free_count += 1
        self._promised_grains[entry.payer] = self._promised_grains.get(entry.payer, 0) + entry.fee_grains
        if entry.payer != entry.sender:
            self._sponsored.setdefault(entry.payer, {})[entry.id] = entry
        heappush(self._expiring, entry.valid_until << ARRIVAL_BITS | entry.arrival)
        if sequence == UNORDERED:
            queue.entries[entry.id] = entry
            self._list_ready(entry)
            self._list_evictable(entry)
            return
        queue.entries[sequence] = entry
        if not queue.sequences or queue.sequences[-1] < sequence:
            queue.sequences.append(sequence)
            self._list_evictable(entry)
        else:
            insort(queue.sequences, sequence)
        if sequence == queue.next_sequence:
            self._list_ready(entry)
        if entry.is_ready:
            _update_ranks_from(queue, sequence + 1)
            tail = queue.get_tail()
            if tail is not None and tail.is_behind_free:  # its standing may have fallen
                self._list_evictable(tail)

    def _remove(self, entry: _Entry) -> None:
        """Take an entry out of every index."""
        queue, sequence = entry.queue, entry.sequence
        self._forget(entry)
        if sequence == UNORDERED:
            del queue.entries[entry.id]
        else:
            del queue.entries[sequence]
            del queue.sequences[bisect_left(queue.sequences, sequence)]
            tail = queue.get_tail()
            if tail is not None:
                was_ready = tail.is_ready
                _update_ranks_from(queue, sequence + 1)
                if tail.sequence < sequence or tail.is_ready != was_ready:
                    self._list_evictable(tail)
        if not queue.entries:
            del self._queues[entry.sender]

    def _advance(self, queue: _Queue, next_sequence: int) -> list[_Entry]:
        """The account has moved on: take out what is behind it, and let what comes next be ready."""
        if next_sequence <= queue.next_sequence:
            return []
        queue.next_sequence = next_sequence
        stale_count = bisect_left(queue.sequences, next_sequence)
        stale = [queue.entries.pop(sequence) for sequence in queue.sequences[:stale_count]]
        del queue.sequences[:stale_count]
        for entry in stale:
            self._forget(entry)
        head = queue.entries.get(next_sequence)
        if head is not None:
            self._list_ready(head)
            if not head.is_ready:
                _update_ranks_from(queue, next_sequence)
        if stale and not queue.entries:
            del self._queues[stale[0].sender]
        return stale

    def _forget(self, entry: _Entry) -> None:
        """The part of leaving that does not concern the sender's order."""
        del self._by_id[entry.id], self._by_arrival[entry.arrival]
        del self._by_envelope[entry.transaction.envelope_hash]
        self._total_bytes -= entry.bytes_count
        entry.queue.bytes_count -= entry.bytes_count
        if entry.is_free:
            self._free_count -= 1
            entry.queue.free_count -= 1
        promised_grains = self._promised_grains.pop(entry.payer, 0) - entry.fee_grains
        if promised_grains:
            self._promised_grains[entry.payer] = promised_grains
        if entry.payer != entry.sender:
            sponsored = self._sponsored[entry.payer]
            del sponsored[entry.id]
            if not sponsored:
                del self._sponsored[entry.payer]

    def _list_ready(self, entry: _Entry) -> None:
        if not entry.is_listed:
            entry.is_listed = True
            heappush(self._ready, _ready_key(entry))

    def _list_evictable(self, entry: _Entry) -> None:
        heappush(self._evictable, _evictable_key(entry))
        if len(self._evictable) > 2 * len(self._by_id) + STALE_ITEMS_MIN:
            self._sweep_evictable()

    def _sweep(self) -> None:
        """Rid the heaps of what has left, once that is the most."""
        kept_max = 2 * len(self._by_id) + STALE_ITEMS_MIN
        if len(self._ready) > kept_max:
            self._ready = [key for key in self._ready if key & ARRIVAL_MAX in self._by_arrival]
            heapify(self._ready)
        if len(self._expiring) > kept_max:
            self._expiring = [key for key in self._expiring if key & ARRIVAL_MAX in self._by_arrival]
            heapify(self._expiring)

    def _sweep_evictable(self) -> None:
        """The same, and only the last of each sender's order can be evicted."""
        keys = []
        for entry in self._by_id.values():
            if entry.sequence == UNORDERED or entry is entry.queue.get_tail():
                keys.append(_evictable_key(entry))
        heapify(keys)
        self._evictable = keys


def _ready_key(entry: _Entry) -> int:
    """Sorts by price, the highest first, then by arrival."""
    return INTEGER_MAX - entry.price_grains << ARRIVAL_BITS | entry.arrival


def _get_standing(entry: _Entry) -> tuple[bool, int]:
    """What decides who makes room for whom: a free one, and what waits for it, for everybody (rules M3 and M6)."""
    return entry.is_ready and not entry.is_behind_free, entry.rank_grains


def _evictable_key(entry: _Entry) -> int:
    """Sorts waiting before ready, then by rank, the lowest first, then by arrival, the latest first."""
    is_ready, rank_grains = _get_standing(entry)
    rank = rank_grains + (INTEGER_MAX + 1 if is_ready else 0)
    return rank << ARRIVAL_BITS | ARRIVAL_MAX - entry.arrival


def _update_rank(entry: _Entry) -> None:
    """Readiness and rank of an ordered entry, from the one before it."""
    queue, sequence = entry.queue, entry.sequence
    entry.rank_grains, entry.rank_sequence = entry.price_grains, sequence
    previous = queue.get_previous(sequence)
    entry.is_ready = sequence == queue.next_sequence or (previous is not None and previous.is_ready)
    entry.is_behind_free = entry.is_free
    if previous is not None and entry.is_ready:
        entry.is_behind_free |= previous.is_behind_free
        if previous.rank_grains <= entry.price_grains:
            entry.rank_grains, entry.rank_sequence = previous.rank_grains, previous.rank_sequence


def _update_ranks_from(queue: _Queue, sequence: int) -> None:
    """The same for all that stand from here on without a gap."""
    while (entry := queue.entries.get(sequence)) is not None:
        _update_rank(entry)
        sequence += 1


def _make_rank_exact(entry: _Entry) -> None:
    """Compute the sender's ranks anew if the lowest price on the way to this entry has been included since."""
    queue = entry.queue
    if entry.sequence != UNORDERED and entry.is_ready and entry.rank_sequence < queue.next_sequence:
        _update_ranks_from(queue, queue.next_sequence)
