"""The indexer follows the chain, answers for what it has not come to, and can start anew."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from ledger.codec import encode
from ledger.history import BLOCK_END_INDEX, find_transaction, get_indexed_height, list_contract_events, list_history
from ledger.memory_store import MemoryStore
from ledger.receipt import BlockEvents, Event
from ledger.store_keys import block_events_store_key
from node import history_indexer
from node.errors import StoreWriteError
from node.history_indexer import HistoryIndexer
from tests.builders import Draft, address_of, make_key, transfer
from tests.chains import RecordingLogger, SmallChain

ALICE = make_key("alice")
A, B = address_of(ALICE), address_of(make_key("bob"))


def pay(sequence):
    return Draft(ALICE, [transfer(B, 5)], sequence=sequence).sign()


def add(small: SmallChain, indexer: HistoryIndexer, transactions) -> None:
    receipts = small.add_block(transactions)
    indexer.add_block(small.chain.head.header.height, transactions, receipts)


@asynccontextmanager
async def running(indexer: HistoryIndexer):
    task = asyncio.create_task(indexer.run())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def wait_until_indexed(small: SmallChain) -> None:
    async with asyncio.timeout(5):
        while get_indexed_height(small.store) < small.chain.head.header.height:
            await asyncio.sleep(0)


class FlakyStore(MemoryStore):
    failures = 0

    def write(self, changes, *, sync):
        if not sync and self.failures:
            self.failures -= 1
            raise StoreWriteError("the disk is full")
        super().write(changes, sync=sync)


async def test_a_block_is_found_before_and_after_it_is_indexed():
    small = SmallChain({A: 10**9})
    indexer = HistoryIndexer(small.chain, RecordingLogger())
    first, second = pay(0), pay(1)
    add(small, indexer, [first, second])
    assert (indexer.find(first.id), indexer.find(second.id)) == ((1, 0), (1, 1))
    assert find_transaction(small.store, first.id) is None
    async with running(indexer):
        await wait_until_indexed(small)
        assert find_transaction(small.store, second.id) == indexer.find(second.id) == (1, 1)
        assert not indexer._recent
        assert not indexer._waiting
        third = pay(2)
        add(small, indexer, [third])
        await wait_until_indexed(small)
        assert indexer.find(third.id) == (2, 0)
    assert indexer.find(bytes(32)) is None
    assert [height for height, _, _ in list_history(small.store, A, None, 9)] == [2, 1, 1]


async def test_a_skipped_transaction_is_not_final_before_or_after_indexing():
    small = SmallChain({A: 10**9})
    indexer = HistoryIndexer(small.chain, RecordingLogger())
    early = pay(3)
    add(small, indexer, [early])
    assert indexer.find(early.id) is None
    async with running(indexer):
        await wait_until_indexed(small)
    assert indexer.find(early.id) is None


async def test_a_repetition_never_hides_the_block_that_counts():
    small = SmallChain({A: 10**9})
    indexer = HistoryIndexer(small.chain, RecordingLogger())
    unordered = Draft(ALICE, [transfer(B, 5)], sequence=b"saltsalt").sign()
    add(small, indexer, [unordered])
    add(small, indexer, [unordered])
    assert indexer.find(unordered.id) == (1, 0)
    async with running(indexer):
        await wait_until_indexed(small)
    assert indexer.find(unordered.id) == (1, 0)


async def test_it_catches_up_from_the_store_after_a_restart():
    small = SmallChain({A: 10**9})
    transactions = [pay(sequence) for sequence in range(4)]
    for transaction in transactions:
        small.add_block([transaction])
    logger = RecordingLogger()
    indexer = HistoryIndexer(small.chain, logger)
    async with running(indexer):
        await wait_until_indexed(small)
    assert [indexer.find(each.id) for each in transactions] == [(height, 0) for height in (1, 2, 3, 4)]
    assert logger.entries == [("info", "rebuilding the history index", {"blocks": 4})]


async def test_more_blocks_than_fit_memory_are_read_again():
    small = SmallChain({A: 10**9})
    indexer = HistoryIndexer(small.chain, RecordingLogger())
    transactions = [pay(sequence) for sequence in range(history_indexer._BLOCKS_WAITING_MAX + 5)]
    for transaction in transactions:
        add(small, indexer, [transaction])
    assert len(indexer._waiting) == history_indexer._BLOCKS_WAITING_MAX
    expected = [(height, 0) for height in range(1, len(transactions) + 1)]
    assert [indexer.find(each.id) for each in transactions] == expected
    async with running(indexer):
        await wait_until_indexed(small)
    assert [find_transaction(small.store, each.id) for each in transactions] == expected
    assert not indexer._recent


async def test_a_failed_write_is_tried_again(monkeypatch):
    monkeypatch.setattr(history_indexer, "_RETRY_S", 0.001)
    store = FlakyStore()
    small = SmallChain({A: 10**9}, store=store)
    store.failures = 3
    indexer = HistoryIndexer(small.chain, RecordingLogger())
    transaction = pay(0)
    add(small, indexer, [transaction])
    async with running(indexer):
        await wait_until_indexed(small)
    assert store.failures == 0
    assert find_transaction(store, transaction.id) == (1, 0)


async def test_events_of_a_blocks_end_are_indexed_too():
    small = SmallChain({A: 10**9})
    indexer = HistoryIndexer(small.chain, RecordingLogger())
    add(small, indexer, [pay(0)])
    told = Event("contracts", "Emitted", [B, "Told", b""])
    small.store.write([(block_events_store_key(1), encode(BlockEvents((told,))))], sync=False)
    async with running(indexer):
        await wait_until_indexed(small)
    assert list_contract_events(small.store, B, (0, 0, 0), 9) == [(1, BLOCK_END_INDEX, 0)]
