"""Old blocks go while the node runs, whatever happens in between, and whoever asks for them is told."""

import pytest

from ledger.chain import Chain
from ledger.history import compute_history_changes
from ledger.primitives import Height
from ledger.pruning import KEEP_BLOCKS_MIN, PruningRules, measure_block_bytes
from node import pruning
from node.config import NodeConfig
from node.errors import StoreWriteError
from node.pruning import BATCH_HEIGHTS_MAX, Pruner, build_rules
from rpc.errors import RpcError
from tests.builders import address_of, make_key, transfer
from tests.chains import FakeClock, RecordingLogger
from tests.proven_chain import FUNDED_GRAINS, ProvenChain, ProvenNode, make_committee

ALICE, BOB = address_of(make_key("alice")), address_of(make_key("bob"))
BLOCKS = 200
KEPT_FROM = BLOCKS - KEEP_BLOCKS_MIN + 1


class Scene:
    def __init__(self) -> None:
        self.small = ProvenChain({ALICE: FUNDED_GRAINS}, {31: make_committee(4, 5)})
        self.node = ProvenNode(self.small)
        self.paid = self.small.draft("alice", [transfer(BOB, 5)], valid_until=100)
        self.paid_late = self.small.draft("alice", [transfer(BOB, 6)], 1, valid_until=300)
        for height in range(1, BLOCKS + 1):
            sent = {10: [self.paid], 190: [self.paid_late]}.get(height, [])
            receipts = self.node.add_block(*sent)
            bodies = [each.body for each in sent]
            self.small.store.write(compute_history_changes(Height(height), bodies, receipts), sync=False)
        self.node.indexer._recent.clear()  # as after a restart
        self.logger = RecordingLogger()
        self.peers: list[int] = []

    def build(self, **rules: int) -> Pruner:
        wanted = PruningRules(**{"keep_blocks": 0, "keep_ms": 0, "keep_bytes": 0, **rules})
        return Pruner(self.small.chain, wanted, FakeClock(), lambda: self.peers, self.logger)


@pytest.fixture
def scene(monkeypatch):
    monkeypatch.setattr(pruning, "BATCH_PAUSE_S", 0)
    scene = Scene()
    yield scene
    scene.node.close()


def reason_of(call, *arguments) -> tuple[str, dict]:
    with pytest.raises(RpcError) as failure:
        call(*arguments)
    return failure.value.reason, failure.value.fields


async def test_only_the_last_blocks_are_left(scene):
    await scene.build(keep_blocks=KEEP_BLOCKS_MIN).prune()
    chain, backend = scene.small.chain, scene.node.backend
    assert chain.earliest_height == KEPT_FROM
    kept = [height for height in range(BLOCKS + 1) if chain.get_block(height) is not None]
    assert kept == [0, *range(KEPT_FROM, BLOCKS + 1)], "block 0 tells which chain it is"
    assert (backend.get_earliest_height(), backend.get_block(0), backend.get_block(KEPT_FROM - 1)) == (
        KEPT_FROM,
        None,
        None,
    )
    assert backend.get_block(KEPT_FROM) is not None
    assert backend.get_transaction_status(scene.paid.id).status == "unknown"
    assert backend.get_transaction_status(scene.paid_late.id).status == "final"
    assert [height for height, _, _ in backend.list_history(ALICE, None, 9)] == [190]
    assert scene.logger.entries == [("info", "old blocks deleted", {"kept_from": KEPT_FROM, "deleted": KEPT_FROM})]


async def test_committees_can_be_followed_through_what_is_deleted(scene):
    backend = scene.node.backend
    before = backend.list_committee_changes(0, 9), backend.get_commit(30), backend.get_committee(31)
    await scene.build(keep_blocks=KEEP_BLOCKS_MIN).prune()
    assert (backend.list_committee_changes(0, 9), backend.get_commit(30), backend.get_committee(31)) == before
    assert (backend.get_commit(29), backend.get_committee(32)) == (None, None)
    assert [each.header.height for each in before[0]] == [30]


async def test_a_crash_between_two_batches_loses_nothing(scene, monkeypatch):
    writes = scene.small.store.write
    left = 2

    def fail_later(changes, *, sync):
        nonlocal left
        left -= 1
        if left < 0:
            raise StoreWriteError("the disk is full")
        writes(changes, sync=sync)

    monkeypatch.setattr(scene.small.store, "write", fail_later)
    with pytest.raises(StoreWriteError):
        await scene.build(keep_blocks=KEEP_BLOCKS_MIN).prune()
    monkeypatch.undo()
    reopened = Chain(scene.small.store)
    assert reopened.earliest_height == 2 * BATCH_HEIGHTS_MAX == scene.small.chain.earliest_height
    kept = [height for height in range(BLOCKS + 1) if reopened.get_block(height) is not None]
    assert kept == [0, *range(2 * BATCH_HEIGHTS_MAX, BLOCKS + 1)]
    await scene.build(keep_blocks=KEEP_BLOCKS_MIN).prune()
    assert scene.small.chain.earliest_height == KEPT_FROM


async def test_a_peer_that_catches_up_is_waited_for(scene):
    scene.peers = [40, BLOCKS]
    pruner = scene.build(keep_blocks=KEEP_BLOCKS_MIN)
    await pruner.prune()
    assert scene.small.chain.earliest_height == 41
    scene.peers = []
    await pruner.prune()
    assert scene.small.chain.earliest_height == KEPT_FROM


async def test_bytes_are_counted_over_several_turns(scene):
    chain = scene.small.chain
    sizes = [measure_block_bytes(scene.small.store, height) for height in range(BLOCKS + 1)]
    pruner = scene.build(keep_bytes=sum(sizes[50:]))
    await pruner.prune()
    assert chain.earliest_height == 50
    scene.node.add_block()
    added = measure_block_bytes(scene.small.store, BLOCKS + 1)
    await pruner.prune()
    assert chain.earliest_height == 51 + (added > sizes[50])
    assert pruner._kept_bytes == sum(sizes[chain.earliest_height :]) + added
    assert pruner._kept_bytes <= sum(sizes[50:])


async def test_nothing_is_deleted_unless_asked_for(scene):
    before = dict(scene.small.store.iterate(b"", b"\xff"))
    await scene.build().run()
    assert dict(scene.small.store.iterate(b"", b"\xff")) == before


def test_days_are_of_24_hours():
    config = NodeConfig(storage_keep_days=2, storage_keep_bytes=7)
    assert build_rules(config) == PruningRules(0, 2 * 24 * 3_600_000, 7)
