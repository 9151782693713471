"""From a certified block to the new head, and who hears of it."""

import asyncio
from dataclasses import replace

import pytest

from ledger.block import Block, CertifiedBlock
from ledger.receipt import Status
from node import execution as execution_module
from node.errors import StoreDamagedError, StoreWriteError
from node.execution import DivergedError, Execution, Finalised, FinalityWaiters
from tests.builders import DOMAIN, Draft, address_of, make_key, transfer
from tests.chains import RecordingLogger, SmallChain, sign_certificate
from vm.native.iov import get_balance

ALICE = make_key("alice")
A, B = address_of(ALICE), address_of(make_key("bob"))


def pay(sequence: int, amount: int = 5):
    return Draft(ALICE, [transfer(B, amount)], sequence=sequence).sign()


@pytest.fixture
def small() -> SmallChain:
    return SmallChain({A: 10**9})


async def test_a_block_is_on_disk_when_its_listeners_hear_of_it_in_order(small):
    execution = Execution(small.chain, DOMAIN, RecordingLogger())
    heard = []
    execution.add_listener(lambda committed: heard.append(("first", small.chain.head.header.height, committed)))
    execution.add_listener(lambda committed: heard.append(("second", small.chain.head.header.height, committed)))
    transactions = [pay(0), pay(1)]
    certified = small.build_block(transactions)
    committed = await execution.execute(certified, transactions)
    assert heard == [("first", 1, committed), ("second", 1, committed)]
    assert (committed.certified, committed.transactions) == (certified, transactions)
    assert [receipt.status for receipt in committed.receipts] == [Status.SUCCEEDED] * 2
    assert committed.head == small.chain.head
    assert small.chain.get_receipts(1) == committed.receipts
    assert get_balance(small.chain.open_state(), B) == 10


async def test_a_block_knows_the_hash_of_the_one_before(monkeypatch, small):
    seen = []
    apply = execution_module.apply_block_in_slices

    def note(state, context, *more):
        seen.append(context.previous_hash)
        return apply(state, context, *more)

    monkeypatch.setattr(execution_module, "apply_block_in_slices", note)
    before = small.chain.head.header.hash
    await Execution(small.chain, DOMAIN, RecordingLogger()).execute(small.build_block([]), [])
    assert seen == [before]


async def test_slices_change_nothing_but_let_others_run(monkeypatch, small):
    transactions = [pay(sequence) for sequence in range(7)]
    other = SmallChain({A: 10**9})
    expected = await Execution(other.chain, DOMAIN, RecordingLogger()).execute(
        other.build_block(transactions), transactions
    )
    monkeypatch.setattr(execution_module, "SLICE_TRANSACTIONS", 2)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    committed = await Execution(small.chain, DOMAIN, RecordingLogger()).execute(
        small.build_block(transactions), transactions
    )
    counting.cancel()
    assert turns >= 3
    assert (committed.head, committed.receipts) == (expected.head, expected.receipts)


async def test_a_final_block_that_does_not_follow_means_that_this_node_is_damaged(small):
    execution = Execution(small.chain, DOMAIN, RecordingLogger())
    heard = []
    execution.add_listener(heard.append)
    block = small.build_block([pay(0)]).block
    header = replace(block.header, state_root=bytes(32))
    foreign = CertifiedBlock(Block(header, block.transactions, ()), sign_certificate(header))
    with pytest.raises(DivergedError, match=r"block 1, final on the network.*state_root.*keep keys/ and safety/"):
        await execution.execute(foreign, [pay(0)])
    assert issubclass(DivergedError, StoreDamagedError)
    assert (heard, small.chain.head.header.height) == ([], 0)


async def test_a_block_that_was_stored_unnoticed_is_announced_all_the_same(small):
    execution = Execution(small.chain, DOMAIN, RecordingLogger())
    heard = []
    execution.add_listener(heard.append)
    transactions = [pay(0)]
    certified = small.build_block(transactions)
    commit = small.chain.commit

    def store_and_fail(*arguments):
        commit(*arguments)
        raise StoreWriteError("the disk is full")

    small.chain.commit = store_and_fail
    with pytest.raises(StoreWriteError):
        await execution.execute(certified, transactions)
    assert heard == []
    small.chain.reload()
    committed = execution.announce_stored(certified, transactions)
    assert heard == [committed]
    assert (committed.receipts, committed.head) == (small.chain.get_receipts(1), small.chain.head)


class Waiting:
    """A chain, its execution, and clients that wait."""

    def __init__(self, small: SmallChain) -> None:
        self.small, self.waiters = small, FinalityWaiters()
        self.execution = Execution(small.chain, DOMAIN, RecordingLogger())
        self.execution.add_listener(self.waiters.on_block)

    async def add_block(self, transactions) -> list:
        return (await self.execution.execute(self.small.build_block(transactions), transactions)).receipts


async def test_everybody_who_waits_for_a_transaction_is_woken(small):
    scene = Waiting(small)
    first, second = pay(0), pay(1)
    waits = [asyncio.create_task(scene.waiters.wait(each.id, 5_000)) for each in (second, second, first)]
    await asyncio.sleep(0)
    receipts = await scene.add_block([first, second])
    assert await asyncio.gather(*waits) == [
        Finalised(1, 1, receipts[1]),
        Finalised(1, 1, receipts[1]),
        Finalised(1, 0, receipts[0]),
    ]
    assert scene.waiters._waiting == {}


async def test_a_failed_transaction_is_final_a_skipped_one_may_still_come(small):
    scene = Waiting(small)
    failed, early = pay(0, 10**12), pay(2)
    waits = [asyncio.create_task(scene.waiters.wait(each.id, 5_000)) for each in (failed, early)]
    await asyncio.sleep(0)
    receipts = await scene.add_block([failed, early])
    assert (await waits[0]).receipt == receipts[0]
    assert receipts[0].status is Status.FAILED
    assert not waits[1].done()
    await scene.add_block([pay(1), early])
    assert (await waits[1]).height == 2


async def test_waiting_ends_with_the_time_and_leaves_nothing_behind(small):
    scene = Waiting(small)
    assert await scene.waiters.wait(pay(0).id, 1) is None
    patient = asyncio.create_task(scene.waiters.wait(pay(0).id, 5_000))
    hasty = asyncio.create_task(scene.waiters.wait(pay(0).id, 5_000))
    await asyncio.sleep(0)
    hasty.cancel()
    await asyncio.sleep(0)
    receipts = await scene.add_block([pay(0)])
    assert await patient == Finalised(1, 0, receipts[0])
    assert scene.waiters._waiting == {}
