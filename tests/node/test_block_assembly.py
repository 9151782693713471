"""From a proposal's names to the block: found here, fetched from peers, and checked before anybody votes."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from identity.signing import compute_signing_domain
from ledger.block import Block
from ledger.mempool import Mempool
from ledger.primitives import NodeKey
from ledger.transaction import Transaction, build_transaction, decode_transaction
from node import block_assembly as block_assembly_module
from node.block_assembly import AssembledBlock, BlockAssembly
from node.intake import Intake
from node.mempool_journal import MempoolJournal
from node.proposed_blocks import ProposedBlocks
from tests.builders import DOMAIN, Draft, address_of, authorise, make_key, transfer
from tests.chains import DirectVerifier, RecordingLogger, SmallChain

ALICE = make_key("alice")
A, B = address_of(ALICE), address_of(make_key("bob"))
PEERS = [NodeKey(bytes([number]) * 32) for number in (1, 2, 3)]


def pay(sequence: int, **options) -> Transaction:
    return Draft(ALICE, [transfer(B, 5)], sequence=sequence, **options).sign()


class Scene:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.small = SmallChain({A: 10**9})
        self.mempool, self.logger = Mempool(), RecordingLogger()
        self.journal = MempoolJournal(path / "journal")
        self.intake = Intake(
            self.small.chain,
            self.mempool,
            self.journal,
            DirectVerifier(),
            DOMAIN,
            lambda: 0,
            find_final=lambda _: False,
            on_waiting=lambda transactions: self.assembly.on_transactions(transactions),
            on_admitted=lambda _: None,
        )
        self.requests: list[tuple[NodeKey, tuple[bytes, ...]]] = []
        self.peers = PEERS
        self.assembly = self.open()

    def open(self) -> BlockAssembly:
        return BlockAssembly(
            self.small.chain,
            self.mempool,
            self.intake,
            DOMAIN,
            ProposedBlocks(self.path / "blocks"),
            lambda peer, names: self.requests.append((peer, tuple(names))) or True,
            self.logger,
        )

    def start(self, block: Block, names=None) -> "asyncio.Task[bool]":
        if names is None:
            names = [transaction.envelope_hash for transaction in self.decode(block)]
        return asyncio.create_task(self.assembly.assemble(block.header, names, block.evidence, lambda: self.peers))

    @staticmethod
    def decode(block: Block) -> list[Transaction]:
        return [decode_transaction(raw) for raw in block.transactions]


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.setattr(block_assembly_module, "FETCH_RETRY_S", 0.005)
    scene = Scene(tmp_path)
    yield scene
    scene.journal.close()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_block_whose_transactions_wait_here_is_assembled_at_once(scene):
    transactions = [pay(0), pay(1)]
    await scene.intake.submit_many([each.raw for each in transactions])
    block = scene.small.build_block(transactions).block
    assert await scene.start(block)
    assert scene.assembly.get(block.header.hash) == AssembledBlock(block, transactions)
    assert scene.requests == []
    assert await scene.start(block), "asked again, it is here"


async def test_an_empty_block_needs_nobody(scene):
    block = scene.small.build_block().block
    assert await scene.start(block)
    assert scene.requests == []


async def test_what_is_missing_is_asked_of_the_peers_in_turn(scene):
    transactions = [pay(0), pay(1)]
    await scene.intake.submit_many([transactions[0].raw])
    block = scene.small.build_block(transactions).block
    task = scene.start(block)
    await asyncio.sleep(0.04)
    assert not task.done()
    name = (transactions[1].envelope_hash,)
    assert scene.requests[:4] == [(peer, name) for peer in (*PEERS, PEERS[0])]
    assert await scene.assembly.take_answer([transactions[1].raw]) == 0
    assert await task
    assert scene.assembly.find_transaction(transactions[1].envelope_hash) == transactions[1]


async def test_a_peer_that_comes_later_is_asked_too(scene):
    scene.peers = []
    task = scene.start(scene.small.build_block([pay(0)]).block)
    await asyncio.sleep(0.01)
    assert scene.requests == []
    scene.peers = PEERS[:1]
    await asyncio.sleep(0.03)
    assert scene.requests[0] == (PEERS[0], (pay(0).envelope_hash,))
    await scene.assembly.take_answer([pay(0).raw])
    assert await task


async def test_gossip_completes_a_block_as_well(scene):
    task = scene.start(scene.small.build_block([pay(0)]).block)
    await settle()
    await scene.intake.submit_many([pay(0).raw])
    assert await task


def forge(transaction: Transaction) -> Transaction:
    other = compute_signing_domain("test-chain", b"\x01" * 32)
    authorisation = authorise(ALICE, transaction.body_bytes, 0, other)
    return build_transaction(transaction.body_bytes, (authorisation,))


async def test_an_answer_counts_only_what_was_wanted_and_is_valid(scene):
    wanted, forged, unasked = pay(0), forge(pay(1)), pay(2)
    block = scene.small.build_block([wanted, forged]).block
    task = scene.start(block)
    await settle()
    answer = [b"rubbish", unasked.raw, forged.raw, wanted.raw]
    assert await scene.assembly.take_answer(answer) == 3
    assert scene.assembly.find_transaction(wanted.envelope_hash) == wanted
    assert scene.assembly.find_transaction(unasked.envelope_hash) is None
    assert scene.assembly.find_transaction(forged.envelope_hash) is None
    await asyncio.sleep(0.02)
    assert not task.done(), "a block with a forged transaction is never complete"
    task.cancel()


async def test_a_second_answer_to_the_same_question_is_no_offence(scene):
    task = scene.start(scene.small.build_block([pay(0)]).block)
    await settle()
    assert await scene.assembly.take_answer([pay(0).raw]) == 0
    assert await task
    assert await scene.assembly.take_answer([pay(0).raw]) == 0
    scene.assembly.start_height()
    assert await scene.assembly.take_answer([pay(0).raw]) == 0, "late by one height"
    scene.assembly.start_height()
    assert await scene.assembly.take_answer([pay(0).raw]) == 1


async def test_names_of_nothing_are_given_up_when_the_height_is_decided(scene):
    block = scene.small.build_block([pay(0)]).block
    task = scene.start(block)
    await settle()
    scene.small.add_block()
    scene.assembly.start_height()
    async with asyncio.timeout(1):
        assert await task is False
    asked = len(scene.requests)
    await asyncio.sleep(0.02)
    assert len(scene.requests) == asked, "nobody is asked any more"


async def test_an_invalid_block_is_refused_and_said(scene):
    transactions = [pay(0), pay(1)]
    await scene.intake.submit_many([each.raw for each in transactions])
    block = scene.small.build_block(transactions).block
    wrong = replace(block, header=replace(block.header, receipts_root=bytes(32)))
    assert not await scene.start(wrong)
    assert scene.assembly.get(wrong.header.hash) is None
    assert scene.logger.list_events("warning") == ["a proposed block is not valid"]
    assert not await scene.start(block, names=[each.envelope_hash for each in reversed(transactions)])


async def test_a_block_of_another_height_is_refused(scene):
    block = scene.small.build_block().block
    scene.small.add_block()
    assert not await scene.start(block)


async def test_an_own_block_serves_peers_even_after_the_pool_forgot_it(scene):
    transaction = pay(0)
    block = scene.small.build_block([transaction]).block
    own = AssembledBlock(block, [transaction])
    scene.assembly.add_own(own)
    assert scene.assembly.get(block.header.hash) == own
    assert scene.assembly.find_transaction(transaction.envelope_hash) == transaction
    assert await scene.start(block)
    scene.assembly.start_height()
    assert scene.assembly.get(block.header.hash) is None
    assert scene.assembly.find_transaction(transaction.envelope_hash) is None


async def test_what_was_voted_for_is_here_again_after_a_crash(scene):
    transaction = pay(0)
    block = scene.small.build_block([transaction]).block
    own = AssembledBlock(block, [transaction])
    scene.assembly.keep_on_disk(own)
    again = scene.open()
    assert again.find_transaction(transaction.envelope_hash) == transaction
    scene.assembly = again
    assert await scene.start(block)
    again.start_height()
    assert scene.open().find_transaction(transaction.envelope_hash) is None


async def test_fetched_bytes_are_limited(scene, monkeypatch):
    monkeypatch.setattr(block_assembly_module, "FETCHED_BYTES_MAX", len(pay(0).raw) + 1)
    task = scene.start(scene.small.build_block([pay(0), pay(1)]).block)
    await settle()
    await scene.assembly.take_answer([pay(0).raw, pay(1).raw])
    assert scene.assembly.find_transaction(pay(0).envelope_hash) is not None
    assert scene.assembly.find_transaction(pay(1).envelope_hash) is None
    task.cancel()
