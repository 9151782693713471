"""Catching up: what is asked, what is believed, and what a lie costs."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from ledger.block import Block, CertifiedBlock
from ledger.codec import encode
from ledger.primitives import NodeKey
from ledger.transaction import build_transaction
from node import block_sync as block_sync_module
from node.block_sync import LIE_POINTS, NEXT_BLOCK_GRACE_S, BlockSync
from node.execution import Execution
from node.intake import Intake
from node.messages import BLOCKS_ANSWER_MAX, BlocksAnswer, BlocksRequest
from tests.builders import DOMAIN, Draft, address_of, authorise, make_key, transfer
from tests.chains import (
    OTHER_COMMITTEE,
    DirectVerifier,
    FakeClock,
    RecordingLogger,
    SmallChain,
    sign_certificate,
)

ALICE = make_key("alice")
A, B = address_of(ALICE), address_of(make_key("bob"))
PEER, OTHER = (NodeKey(bytes([number]) * 32) for number in (1, 2))


def pay(sequence: int):
    return Draft(ALICE, [transfer(B, 1)], sequence=sequence, valid_until=999).sign()


def make_source(blocks: int) -> SmallChain:
    small = SmallChain({A: 10**12})
    for sequence in range(blocks):
        small.add_block([pay(sequence)])
    return small


class Scene:
    """A node at genesis, and peers that have a longer chain."""

    def __init__(self, source: SmallChain) -> None:
        self.source, self.small = source, SmallChain({A: 10**12})
        self.clock, self.logger = FakeClock(), RecordingLogger()
        self.requests: list[tuple[NodeKey, BlocksRequest]] = []
        self.penalties: list[tuple[NodeKey, float, str]] = []
        self.execution = Execution(self.small.chain, DOMAIN, self.logger)
        intake = Intake(
            self.small.chain,
            None,
            None,
            DirectVerifier(),
            DOMAIN,
            lambda: 0,
            lambda _: False,
            lambda _: None,
            lambda _: None,
        )
        self.sync = BlockSync(
            self.small.chain,
            intake,
            DOMAIN,
            self.clock,
            lambda peer, request: self.requests.append((peer, request)) or True,
            lambda peer, points, reason: self.penalties.append((peer, points, reason)),
            self.commit,
            self.logger,
        )
        self.execution.add_listener(self.sync.on_block)

    async def commit(self, certified, block) -> None:
        await self.execution.execute(certified, block.transactions)

    @property
    def height(self) -> int:
        return self.small.chain.head.header.height

    async def wait_for_height(self, height: int) -> None:
        async with asyncio.timeout(5):
            while self.height < height:
                await asyncio.sleep(0.001)

    async def wait_for_request(self) -> tuple[NodeKey, BlocksRequest]:
        async with asyncio.timeout(5):
            while not self.requests:
                await asyncio.sleep(0.001)
        return self.requests.pop(0)

    def answer(self, peer: NodeKey, request: BlocksRequest, spoil=lambda blocks: blocks) -> None:
        encoded = [
            self.source.chain.get_encoded_block(height)
            for height in range(request.first_height, request.first_height + request.count)
        ]
        blocks = [each for each in encoded if each is not None]
        self.sync.take_answer(peer, BlocksAnswer(request.first_height, tuple(spoil(blocks))))


@asynccontextmanager
async def running(scene: Scene):
    task = asyncio.create_task(scene.sync.run())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.fixture
def scene(monkeypatch) -> Scene:
    monkeypatch.setattr(block_sync_module, "PLAN_INTERVAL_S", 0.002)
    return Scene(make_source(5))


async def test_one_peer_alone_cannot_make_the_node_believe_that_it_is_far_behind(scene):
    for number, head in enumerate((2**50, 7, 6)):
        scene.sync.set_peer_status(NodeKey(bytes([number]) * 32), 0, head)
    assert scene.sync.target_height == 7, "one of four may lie"


async def test_it_follows_a_peer_to_its_head(scene):
    scene.sync.set_peer_status(PEER, 0, 5)
    assert (scene.sync.target_height, scene.sync.get_peer_height(PEER)) == (5, 5)
    async with running(scene):
        peer, request = await scene.wait_for_request()
        assert (peer, request) == (PEER, BlocksRequest(1, 5))
        scene.answer(PEER, request)
        await scene.wait_for_height(5)
    assert scene.small.chain.head == scene.source.chain.head
    assert scene.penalties == []


async def test_a_single_missing_block_is_left_to_consensus_for_a_while(scene):
    scene.sync.set_peer_status(PEER, 0, 1)
    async with running(scene):
        await asyncio.sleep(0.02)
        assert scene.requests == []
        scene.clock.monotonic_s += NEXT_BLOCK_GRACE_S + 0.1
        peer, request = await scene.wait_for_request()
        assert (peer, request) == (PEER, BlocksRequest(1, 1))


async def test_who_is_not_behind_asks_nobody(scene):
    scene.sync.set_peer_status(PEER, 0, 0)
    async with running(scene):
        scene.clock.monotonic_s += 100
        await asyncio.sleep(0.02)
    assert scene.requests == []
    assert scene.sync.target_height == 0


async def test_a_gone_peer_is_neither_believed_nor_asked(scene):
    scene.sync.set_peer_status(PEER, 0, 5)
    scene.sync.remove_peer(PEER)
    assert (scene.sync.target_height, scene.sync.get_peer_height(PEER)) == (0, 0)
    scene.sync.remove_peer(PEER)


async def test_answers_that_nobody_asked_for_are_dropped(scene):
    scene.answer(PEER, BlocksRequest(1, 5))
    scene.sync.set_peer_status(PEER, 0, 5)
    async with running(scene):
        _, request = await scene.wait_for_request()
        scene.answer(OTHER, request)
        scene.answer(PEER, BlocksRequest(2, 3))
        await asyncio.sleep(0.02)
        assert (scene.height, scene.penalties) == (0, [])
        scene.answer(PEER, request)
        await scene.wait_for_height(5)


def other_header(encoded, small, **changes):
    block = small.get_block(1).block
    header = replace(block.header, **changes)
    return [(encode(Block(header, block.transactions, ())), encode(sign_certificate(header)))]


def replace_body(blocks, source, **changes):
    """A final header and its certificate around something else."""
    return [(encode(replace(source.get_block(1).block, **changes)), blocks[0][1])]


def forge_signature(blocks, source):
    """A final block whose transaction carries a signature for another chain: only its own committee could do that."""
    body_bytes = pay(0).body_bytes
    raw = build_transaction(body_bytes, (authorise(ALICE, body_bytes, 0, bytes(32)),))
    forged = SmallChain({A: 10**12}).build_block([raw])
    return [(encode(forged.block), encode(forged.certificate))]


LIES = {
    "rubbish": (lambda blocks, _: [(b"\xc1", b"\xc1")], "does not decode"),
    "a certificate that does not decode": (lambda blocks, _: [(blocks[0][0], b"\x90")], "does not decode"),
    "another height": (lambda blocks, _: [blocks[1]], "is block 2"),
    "another block's certificate": (lambda blocks, _: [(blocks[0][0], blocks[1][1])], "another block"),
    "too few signatures": (
        lambda blocks, source: [(blocks[0][0], encode(sign_certificate(source.get_block(1).block.header, (0, 1))))],
        "2 signatures where 3 are needed",
    ),
    "signatures of another round": (
        lambda blocks, source: [
            (
                blocks[0][0],
                encode(replace(sign_certificate(source.get_block(1).block.header), round=1)),
            )
        ],
        "signature of member 0 is bad",
    ),
    "another past": (lambda blocks, source: other_header(blocks, source, previous_hash=bytes(32)), "the one before"),
    "another committee": (
        lambda blocks, source: other_header(blocks, source, committee_hash=OTHER_COMMITTEE.hash),
        "the one announced",
    ),
    "no later than the past": (lambda blocks, source: other_header(blocks, source, time_ms=1_000), "not later"),
    "another body": (lambda blocks, source: replace_body(blocks, source, transactions=(pay(1).raw,)), "transactions"),
    "no body": (lambda blocks, source: replace_body(blocks, source, transactions=()), "transactions"),
    "invented evidence": (lambda blocks, source: replace_body(blocks, source, evidence=(b"evidence",)), "evidence"),
    "a forged transaction": (forge_signature, "bad signature"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_costs_the_liar_and_the_next_peer_is_asked(scene, lie):
    spoil, reason = LIES[lie]
    scene.sync.set_peer_status(PEER, 0, 5)
    async with running(scene):
        peer, request = await scene.wait_for_request()
        scene.answer(peer, request, lambda blocks: spoil(blocks, scene.source.chain))
        async with asyncio.timeout(5):
            while not scene.penalties:
                await asyncio.sleep(0.001)
        ((blamed, points, text),) = scene.penalties
        assert (blamed, points) == (PEER, LIE_POINTS)
        assert text.startswith("block 1: ")
        assert reason in text
        assert scene.height == 0
        scene.requests.clear()  # of before the lie was noticed
        scene.sync.set_peer_status(OTHER, 0, 5)
        peer, request = await scene.wait_for_request()
        assert peer == OTHER, "the liar is not asked again"
        scene.answer(OTHER, request)
        await scene.wait_for_height(5)


async def test_a_lie_in_the_middle_keeps_what_was_true(scene):
    scene.sync.set_peer_status(PEER, 0, 5)
    async with running(scene):
        _, request = await scene.wait_for_request()
        scene.answer(PEER, request, lambda blocks: [*blocks[:2], (b"\xc1", b""), *blocks[3:]])
        async with asyncio.timeout(5):
            while not scene.penalties:
                await asyncio.sleep(0.001)
        assert scene.height == 2
        scene.requests.clear()
        scene.sync.set_peer_status(OTHER, 0, 5)
        peer, request = await scene.wait_for_request()
        assert (peer, request.first_height) == (OTHER, 3)
        scene.answer(OTHER, request)
        await scene.wait_for_height(5)
    assert [penalty[2].split(":")[0] for penalty in scene.penalties] == ["block 3"]


async def test_the_next_committee_decides_which_certificate_counts(monkeypatch):
    """Block 1 must be signed by the committee that genesis announced, not by the present one."""
    monkeypatch.setattr(block_sync_module, "PLAN_INTERVAL_S", 0.002)
    scene = Scene(make_source(2))
    scene.sync._chain = SmallChain({A: 10**12}, next_committee=OTHER_COMMITTEE).chain
    scene.sync.set_peer_status(PEER, 0, 2)
    async with running(scene):
        _, request = await scene.wait_for_request()
        scene.answer(PEER, request)
        async with asyncio.timeout(5):
            while not scene.penalties:
                await asyncio.sleep(0.001)
    assert scene.sync._chain.head.header.height == 0


async def test_blocks_that_came_by_consensus_meanwhile_are_not_needed_any_more(scene):
    scene.sync.set_peer_status(PEER, 0, 5)
    async with running(scene):
        _, request = await scene.wait_for_request()
        for height in (1, 2):
            certified = scene.source.chain.get_block(height)
            assert isinstance(certified, CertifiedBlock)
            await scene.execution.execute(certified, [pay(height - 1)])
        scene.answer(PEER, request)
        await scene.wait_for_height(5)
    assert scene.penalties == []


def test_an_answer_holds_what_was_asked_and_stops_where_the_chain_ends(scene):
    source = Scene(make_source(0))
    source.sync._chain = scene.source.chain
    encoded = [scene.source.chain.get_encoded_block(height) for height in range(6)]
    assert source.sync.build_answer(BlocksRequest(2, 2)) == BlocksAnswer(2, tuple(encoded[2:4]))
    assert source.sync.build_answer(BlocksRequest(0, BLOCKS_ANSWER_MAX)) == BlocksAnswer(0, tuple(encoded))
    assert source.sync.build_answer(BlocksRequest(6, 5)) == BlocksAnswer(6, ())
    assert source.sync.build_answer(BlocksRequest(2**53 - 1, 5)) == BlocksAnswer(2**53 - 1, ())


def test_an_answer_stays_within_one_message_but_holds_one_block_at_least(scene, monkeypatch):
    source = Scene(make_source(0))
    source.sync._chain = scene.source.chain
    sizes = [sum(map(len, scene.source.chain.get_encoded_block(height))) for height in (1, 2)]
    monkeypatch.setattr(block_sync_module, "BLOCKS_ANSWER_BYTES_MAX", sum(sizes))
    assert len(source.sync.build_answer(BlocksRequest(1, 5)).blocks) == 2
    monkeypatch.setattr(block_sync_module, "BLOCKS_ANSWER_BYTES_MAX", 1)
    assert len(source.sync.build_answer(BlocksRequest(1, 5)).blocks) == 1


async def test_progress_is_told_now_and_then(scene, monkeypatch):
    scene.sync.set_peer_status(PEER, 0, 5)
    async with running(scene):
        await scene.wait_for_request()
        scene.clock.monotonic_s += block_sync_module.PROGRESS_INTERVAL_S + 0.1
        await asyncio.sleep(0.02)
    assert scene.logger.entries == [("info", "catching up", {"height": 0, "target": 5})]
