"""Beginning with the state of a recent block: from honest peers, from liars beside them, and across losses."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest

from consensus.light import Checkpoint, CommitteeChange
from consensus.messages import VoteKind, vote_signing_bytes
from consensus.snapshot_rules import LOST_AFTER_MS, REQUEST_TIMEOUT_MS
from identity.address import Address
from ledger.block import Block, CertifiedBlock, CertifiedHeader, CommitCertificate
from ledger.chain import Chain, initialise_store, is_initialised
from ledger.codec import DecodeError, decode, encode, pack, unpack
from ledger.committee import Committee
from ledger.memory_store import MemoryStore
from ledger.primitives import Height, NodeKey, RootHash, Round, Signature
from ledger.state_keys import COMMITTEE_KEY, NEXT_COMMITTEE_KEY, account_key
from ledger.state_part import build_state_part
from ledger.store_keys import FORMAT_KEY
from ledger.transaction import decode_transaction
from node import snapshot_server as snapshot_server_module
from node import snapshot_sync as snapshot_sync_module
from node.execution import Execution
from node.messages import (
    BlocksAnswer,
    BlocksRequest,
    CommitteeChanges,
    HeaderAnswer,
    MessageKind,
    ReceiptsAnswer,
    SnapshotOffer,
    SnapshotRequest,
    StatePartAnswer,
    StatePartRequest,
)
from node.snapshot_server import PIN_IDLE_S, PIN_S_MAX, PINS_MAX, SnapshotServer
from node.snapshot_sync import LIE_POINTS, SnapshotSync
from node.state_views import VIEWS_MAX, StateViews
from p2p.frames import PeerProtocolError
from tests.builders import DOMAIN, Draft, address_of, make_key, transfer
from tests.chains import COMMITTEE, MEMBER_KEYS, FakeClock, RecordingLogger, SmallChain
from vm.native.iov import get_balance

ALICE = make_key("alice")
A, B = address_of(ALICE), address_of(make_key("bob"))
CROWD = {Address(number.to_bytes(20, "big")): 1_000 + number for number in range(300)}
REVERSED = Committee(COMMITTEE.members[::-1])
PART_BYTES = 2_000
PEERS = [NodeKey(bytes([number]) * 32) for number in range(1, 6)]
SELF = NodeKey(bytes(32))

Lie = Callable[[MessageKind, object], object | None]


def be_honest(_kind, message):
    return message


class Source(SmallChain):
    """The network's chain, with views of its last blocks; its committee may change."""

    def __init__(self) -> None:
        super().__init__({A: 10**12, **CROWD})
        self.views = StateViews(self.chain)
        self.sequence = 0

    def pay(self, blocks: int) -> None:
        for _ in range(blocks):
            draft = Draft(ALICE, [transfer(B, 1)], sequence=self.sequence, valid_until=9_999)
            self.add_block([draft.sign()])
            self.views.add_head()
            self.sequence += 1

    def seal(self) -> None:
        while not self.chain.head.is_sealed:
            self.add_block()
            self.views.add_head()

    def hand_over(self) -> None:
        """Two blocks after which the committee stands in the reverse order."""
        for committee in (COMMITTEE, REVERSED):
            changes = {COMMITTEE_KEY: encode(committee), NEXT_COMMITTEE_KEY: encode(REVERSED)}
            self.chain.commit(self.build_block(), [], (), changes)
            self.views.add_head()

    def build_block(self, transactions=(), proposer=0) -> CertifiedBlock:
        """Signed by whoever rules now."""
        certified = super().build_block(transactions, proposer)
        header = certified.block.header
        keys = MEMBER_KEYS if header.committee_hash == COMMITTEE.hash else MEMBER_KEYS[::-1]
        message = vote_signing_bytes(DOMAIN, VoteKind.PRECOMMIT, header.height, Round(0), header.hash)
        signatures = tuple((index, Signature(keys[index].sign(message))) for index in (0, 1, 2))
        return CertifiedBlock(certified.block, CommitCertificate(header.height, Round(0), header.hash, signatures))


class Peer:
    """A node with the source's chain that answers truly, or not."""

    def __init__(self, scene: "Scene", key: NodeKey, lie: Lie, source: Source) -> None:
        self.scene, self.key, self.lie, self.source = scene, key, lie, source
        self.is_connected = True
        self.asked: list[MessageKind] = []
        self.server = SnapshotServer(source.chain, source.views, scene.clock, self.answer, scene.logger)

    def received(self, kind: MessageKind, payload: bytes) -> None:
        self.asked.append(kind)
        if kind is MessageKind.BLOCKS_REQUEST:
            request = decode(BlocksRequest, payload)
            encoded = self.source.chain.get_encoded_block(request.first_height)
            blocks = () if encoded is None else (encoded,)
            self.answer(SELF, MessageKind.BLOCKS_ANSWER, BlocksAnswer(request.first_height, blocks))
        else:
            self.server.received(SELF, kind, payload)

    def answer(self, _peer: NodeKey, kind: MessageKind, message: object) -> bool:
        said = self.lie(kind, message)
        if said is not None:
            asyncio.get_running_loop().call_soon(self.scene.deliver, self, kind, encode(said))
        return True


class Scene:
    """A fresh node and its peers."""

    def __init__(self, source: Source, *lies: Lie, checkpoint: Checkpoint | None = None) -> None:
        self.source = source
        self.clock, self.logger = FakeClock(), RecordingLogger()
        self.penalties: list[tuple[NodeKey, float]] = []
        self.protocol_errors: list[NodeKey] = []
        self.store = MemoryStore()
        self.peers = {key: Peer(self, key, lie, source) for key, lie in zip(PEERS, lies, strict=False)}
        genesis = source.chain.get_block(0)
        assert genesis is not None
        self.sync = SnapshotSync(
            self.store, genesis, COMMITTEE, DOMAIN, checkpoint, self.clock, self.send, self.penalise, self.logger
        )
        for key in self.peers:
            self.sync.add_peer(key)

    def send(self, key: NodeKey, kind: MessageKind, message: object) -> bool:
        peer = self.peers[key]
        if peer.is_connected:
            peer.received(kind, encode(message))
        return peer.is_connected

    def deliver(self, peer: Peer, kind: MessageKind, payload: bytes) -> None:
        if not peer.is_connected:
            return
        try:
            self.sync.received(peer.key, kind, payload)
        except DecodeError:  # the network drops whoever sends what does not decode
            self.protocol_errors.append(peer.key)
            self.disconnect(peer.key)

    def penalise(self, key: NodeKey, points: float, _reason: str) -> None:
        self.penalties.append((key, points))
        self.disconnect(key)

    def connect(self, key: NodeKey) -> None:
        """An honest peer joins."""
        self.peers[key] = Peer(self, key, be_honest, self.source)
        self.sync.add_peer(key)

    def disconnect(self, key: NodeKey) -> None:
        self.peers[key].is_connected = False
        self.sync.remove_peer(key)

    async def run(self) -> bool:
        async with asyncio.timeout(10):
            return await self.sync.run()

    async def check_downloaded(self, height: int) -> Chain:
        """It is the source's chain as of this height, to the last record of its state, and goes on from there."""
        chain = Chain(self.store)
        certified = self.source.chain.get_block(height)
        assert certified is not None
        assert (chain.head.header, chain.earliest_height) == (certified.block.header, height)
        assert chain.get_block(height) == certified
        assert chain.get_receipts(height) == self.source.chain.get_receipts(height)
        assert chain.get_block_events(height) == self.source.chain.get_block_events(height)
        assert chain.get_block(0) == self.source.chain.get_block(0)
        assert chain.get_block(height - 1) is None or height == 1
        execution = Execution(chain, DOMAIN, self.logger)
        for later in range(height + 1, self.source.chain.head.header.height + 1):
            block = self.source.chain.get_block(later)
            assert block is not None
            await execution.execute(block, [decode_transaction(raw) for raw in block.block.transactions])
        assert chain.head == self.source.chain.head
        for prefix in (b"v", b"n"):
            stop = bytes([prefix[0] + 1])
            assert list(self.store.iterate(prefix, stop)) == list(self.source.store.iterate(prefix, stop))
        return chain


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(snapshot_sync_module, "PLAN_INTERVAL_S", 0.002)
    cut = partial(build_state_part, bytes_max=PART_BYTES)
    monkeypatch.setattr(snapshot_server_module, "build_state_part", cut)


@pytest.fixture
def source() -> Source:
    source = Source()
    source.pay(12)
    return source


@asynccontextmanager
async def running(scene: Scene):
    task = asyncio.create_task(scene.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# With honest peers


@pytest.mark.parametrize("peers", [1, 4])
async def test_the_state_comes_from_all_peers_that_serve_it(source, peers):
    scene = Scene(source, *[be_honest] * peers)
    assert await scene.run()
    chain = await scene.check_downloaded(11)
    assert get_balance(chain.open_state(), B) == 12
    assert scene.penalties == []
    assert scene.sync.progress.keys_done == scene.sync.progress.keys_total > len(CROWD)
    for peer in scene.peers.values():
        assert MessageKind.STATE_PART_REQUEST in peer.asked


async def test_a_sealed_head_is_served_as_the_state_of_the_block_before(source):
    source.seal()
    scene = Scene(source, be_honest)
    assert await scene.run()
    await scene.check_downloaded(source.chain.head.header.height - 1)


async def test_a_restarted_peer_serves_its_sealed_head(source):
    source.seal()
    source.views.close()
    source.views = StateViews(source.chain)
    scene = Scene(source, be_honest)
    assert await scene.run()
    await scene.check_downloaded(source.chain.head.header.height - 1)


async def test_changes_of_the_committee_are_followed_from_genesis_and_passed_on(source):
    source.hand_over()
    source.pay(3)
    scene = Scene(source, be_honest, be_honest)
    assert await scene.run()
    chain = await scene.check_downloaded(16)
    assert chain.list_committee_changes(0, 9) == source.chain.list_committee_changes(0, 9) != []
    assert chain.get_committee(REVERSED.hash) == REVERSED


async def test_the_operators_checkpoint_takes_the_place_of_genesis(source):
    source.hand_over()
    source.pay(5)
    trusted = source.chain.get_block(15).block.header
    scene = Scene(source, be_honest, checkpoint=Checkpoint(trusted.height, trusted.hash))
    assert await scene.run()
    await scene.check_downloaded(18)


async def test_another_chain_than_the_checkpoints_is_not_followed(source):
    checkpoint = Checkpoint(Height(5), source.chain.get_block(6).block.header.hash)
    scene = Scene(source, be_honest, checkpoint=checkpoint)
    async with running(scene):
        await asyncio.sleep(0.05)
    assert scene.penalties == [(PEERS[0], LIE_POINTS)]
    assert not is_initialised(scene.store)


async def test_a_snapshot_before_the_checkpoint_is_no_offer(source):
    head = source.chain.head.header
    scene = Scene(source, be_honest, checkpoint=Checkpoint(head.height, head.hash))
    async with running(scene):
        await asyncio.sleep(0.05)
    assert scene.penalties == []
    assert MessageKind.STATE_PART_REQUEST not in scene.peers[PEERS[0]].asked


async def test_a_chain_that_has_just_begun_is_executed_from_genesis():
    fresh = Source()
    scene = Scene(fresh, be_honest, be_honest)
    assert await scene.run() is False
    assert list(scene.store.iterate(b"\x00", b"\xff")) == []


async def test_one_peer_alone_cannot_say_that_the_chain_has_just_begun(source):
    def play_young(kind, message):
        return SnapshotOffer(message.asked_height, Height(0), None) if kind is MessageKind.SNAPSHOT_OFFER else None

    scene = Scene(source, play_young, be_honest)
    assert await scene.run()
    await scene.check_downloaded(11)


# With liars


def spoil_last_value(entries: list[bytes]) -> list[bytes]:
    return [*entries[:-1], entries[-1] + b"\x00"]


def lie_about(kind: MessageKind, change: Callable[..., object | None]) -> Lie:
    return lambda said, message: change(message) if said is kind else message


def change_entries(change: Callable[[list[bytes]], object]) -> Lie:
    def spoil(part: StatePartAnswer) -> StatePartAnswer:
        return part if part.entries is None else replace(part, entries=pack(change(unpack(part.entries))))

    return lie_about(MessageKind.STATE_PART, spoil)


def change_children(part: StatePartAnswer) -> StatePartAnswer:
    return part if part.children is None else replace(part, children=part.children[:-1] + b"\x00")


def offer_far_height(offer: SnapshotOffer) -> SnapshotOffer:
    header = replace(offer.sealed.header, height=Height(10**6))
    certificate = replace(offer.sealed.certificate, height=header.height, block_hash=header.hash)
    return replace(offer, sealed=CertifiedHeader(header, certificate))


def offer_another_root(offer: SnapshotOffer) -> SnapshotOffer:
    header = replace(offer.sealed.header, state_root=RootHash(b"\x07" * 32))
    certificate = replace(offer.sealed.certificate, block_hash=header.hash)
    return replace(offer, sealed=CertifiedHeader(header, certificate))


def make_up_change(changes: CommitteeChanges) -> CommitteeChanges:
    header = replace(Source().genesis, height=Height(2), next_committee_hash=REVERSED.hash)
    certificate = CommitCertificate(header.height, Round(0), header.hash, ())
    return replace(changes, changes=(CommitteeChange(header, certificate, REVERSED),))


def give_another_block(answer: BlocksAnswer) -> BlocksAnswer:
    block = decode(Block, answer.blocks[0][0])
    other = replace(block, header=replace(block.header, time_ms=block.header.time_ms + 1))
    return replace(answer, blocks=((encode(other), answer.blocks[0][1]),))


def leave_out_transactions(answer: BlocksAnswer) -> BlocksAnswer:
    block = decode(Block, answer.blocks[0][0])
    return replace(answer, blocks=((encode(replace(block, transactions=())), answer.blocks[0][1]),))


def spoil_certificate(answer: BlocksAnswer) -> BlocksAnswer:
    certificate = decode(CommitCertificate, answer.blocks[0][1])
    return replace(answer, blocks=((answer.blocks[0][0], encode(replace(certificate, signatures=()))),))


def say_receipts_are_events(answer: ReceiptsAnswer) -> ReceiptsAnswer:
    return replace(answer, receipts=pack([]), events=unpack(answer.receipts)[0])


LIARS: dict[str, Lie] = {
    "a wrong value": change_entries(spoil_last_value),
    "a missing key": change_entries(lambda entries: entries[2:]),
    "no key at all": change_entries(lambda _entries: []),
    "a key too many": change_entries(lambda entries: [*entries, b"\x10" + b"z" * 20, b"value"]),
    "another order": change_entries(lambda entries: [*entries[2:], *entries[:2]]),
    "half a pair": change_entries(lambda entries: entries[:-1]),
    "no list": change_entries(lambda _entries: 5),
    "no bytes": change_entries(lambda entries: [1] * len(entries)),
    "bytes that mean nothing": lie_about(MessageKind.STATE_PART, lambda part: replace(part, entries=b"\xc1")),
    "both kinds of part": lie_about(MessageKind.STATE_PART, lambda part: replace(part, entries=b"\x90", children=b"1")),
    "wrong children": lie_about(MessageKind.STATE_PART, change_children),
    "a header that nobody signed": lie_about(MessageKind.SNAPSHOT_OFFER, offer_another_root),
    "a height far ahead": lie_about(MessageKind.SNAPSHOT_OFFER, offer_far_height),
    "a change that never was": lie_about(MessageKind.COMMITTEE_CHANGES, make_up_change),
    "another block": lie_about(MessageKind.BLOCKS_ANSWER, give_another_block),
    "a block without its transactions": lie_about(MessageKind.BLOCKS_ANSWER, leave_out_transactions),
    "a block without signatures": lie_about(MessageKind.BLOCKS_ANSWER, spoil_certificate),
    "no receipts": lie_about(MessageKind.RECEIPTS_ANSWER, lambda answer: replace(answer, receipts=pack([]))),
    "receipts as events": lie_about(MessageKind.RECEIPTS_ANSWER, say_receipts_are_events),
    "receipts that are none": lie_about(MessageKind.RECEIPTS_ANSWER, lambda answer: replace(answer, receipts=pack(7))),
}


@pytest.mark.parametrize("name", LIARS)
async def test_a_liar_is_found_out_and_dropped_and_the_others_serve(source, name):
    scene = Scene(source, LIARS[name])
    async with running(scene) as task:
        async with asyncio.timeout(5):
            while not scene.penalties:
                await asyncio.sleep(0.001)
        assert scene.penalties == [(PEERS[0], LIE_POINTS)]
        assert scene.protocol_errors == []
        scene.connect(PEERS[1])
        scene.sync.add_peer(PEERS[0])  # the liar comes back
        scene.peers[PEERS[0]].is_connected = True
        asked = len(scene.peers[PEERS[0]].asked)
        assert await task
    assert len(scene.peers[PEERS[0]].asked) == asked, "who lied is not asked again"
    await scene.check_downloaded(11)


async def test_all_kinds_of_liars_at_once_do_not_hold_it_up(source):
    liars = list(LIARS.values())
    for first in range(0, len(liars), 4):
        scene = Scene(source, *liars[first : first + 4], be_honest)
        assert await scene.run()
        await scene.check_downloaded(11)
        assert PEERS[4] not in {key for key, _ in scene.penalties}


async def test_what_is_too_long_breaks_the_protocol(source):
    oversized = lie_about(MessageKind.STATE_PART, lambda part: replace(part, entries=bytes(2 * 2**20)))
    scene = Scene(source, oversized, be_honest)
    assert await scene.run()
    assert scene.protocol_errors == [PEERS[0]]
    await scene.check_downloaded(11)


async def test_parts_of_another_height_are_not_taken(source):
    other = lie_about(MessageKind.STATE_PART, lambda part: replace(part, height=Height(part.height - 1)))
    scene = Scene(source, other, be_honest)
    async with running(scene) as task:
        while not task.done():
            await asyncio.sleep(0.02)
            scene.clock.monotonic_s += REQUEST_TIMEOUT_MS / 1000
    await scene.check_downloaded(11)


@pytest.mark.parametrize(
    "kind",
    [
        MessageKind.SNAPSHOT_OFFER,
        MessageKind.COMMITTEE_CHANGES,
        MessageKind.BLOCKS_ANSWER,
        MessageKind.RECEIPTS_ANSWER,
        MessageKind.STATE_PART,
    ],
)
async def test_the_silent_are_given_up(source, kind):
    silent = lie_about(kind, lambda _message: None)
    scene = Scene(source, be_honest, silent, silent)
    async with running(scene) as task:
        async with asyncio.timeout(8):
            while not task.done():
                await asyncio.sleep(0.02)
                scene.clock.monotonic_s += 3
    assert scene.penalties == []
    await scene.check_downloaded(11)


async def test_unasked_answers_change_nothing(source):
    scene = Scene(source, be_honest)
    for kind, message in (
        (MessageKind.SNAPSHOT_OFFER, SnapshotOffer(None, Height(0), None)),
        (MessageKind.HEADER_ANSWER, HeaderAnswer(Height(1), None, None)),
        (MessageKind.COMMITTEE_CHANGES, CommitteeChanges(Height(1), ())),
        (MessageKind.BLOCKS_ANSWER, BlocksAnswer(Height(1), ())),
        (MessageKind.BLOCKS_ANSWER, BlocksAnswer(Height(1), ((b"block", b"certificate"),))),
        (MessageKind.RECEIPTS_ANSWER, ReceiptsAnswer(Height(1), b"\x90", None)),
        (MessageKind.STATE_PART, StatePartAnswer(Height(1), b"", b"\x90", None)),
        (MessageKind.STATUS, SnapshotRequest(None)),
    ):
        scene.sync.received(PEERS[0], kind, encode(message))
    assert scene.penalties == []
    assert await scene.run()
    await scene.check_downloaded(11)


# Across losses

PARTS_BEFORE_LEAVING = 5


def leave_soon(scene):
    """The first peer answers for a few parts of the state, and is gone."""
    first = scene.peers[PEERS[0]]
    answered = 0

    def leave_after_some(kind, message):
        nonlocal answered
        answered += kind is MessageKind.STATE_PART
        if answered > PARTS_BEFORE_LEAVING and first.is_connected:
            scene.disconnect(PEERS[0])
        return message

    first.lie = leave_after_some
    return first


async def wait_until_left(peer):
    """While the download runs."""
    while peer.is_connected:
        await asyncio.sleep(0.001)


async def test_a_lost_peers_parts_come_from_another(source):
    scene = Scene(source, be_honest, be_honest)
    first = leave_soon(scene)
    assert await scene.run()
    assert not first.is_connected
    await scene.check_downloaded(11)


async def test_when_all_are_lost_it_goes_on_with_whoever_comes(source):
    scene = Scene(source, be_honest)
    first = leave_soon(scene)
    async with running(scene) as task:
        await wait_until_left(first)
        source.pay(2)
        keys_done = scene.sync.progress.keys_done
        assert keys_done > 0
        scene.connect(PEERS[1])
        assert await task
    assert scene.sync.progress.height == 11, "views of the last blocks are kept, so it need not begin anew"
    await scene.check_downloaded(11)


async def test_a_height_that_nobody_serves_any_more_is_given_up_for_another(source):
    scene = Scene(source, be_honest)
    first = leave_soon(scene)
    async with running(scene) as task:
        await wait_until_left(first)
        source.pay(VIEWS_MAX + 5)
        scene.connect(PEERS[1])
        await asyncio.sleep(0.02)
        assert not task.done()
        assert not is_initialised(scene.store), "half a state is no chain"
        scene.clock.monotonic_s += LOST_AFTER_MS / 1000 + 1
        assert await task
    await scene.check_downloaded(12 + VIEWS_MAX + 4)


async def test_what_an_earlier_run_left_is_removed(source):
    scene = Scene(source, be_honest)
    scene.store.write([(b"v" + account_key(Address(b"\x09" * 20)), b"old"), (b"n", b"old")], sync=True)
    scene.sync._begin_anew()
    assert await scene.run()
    await scene.check_downloaded(11)


async def test_nothing_is_a_chain_before_the_last_write(source):
    scene = Scene(source, be_honest)
    seen = []
    write = scene.store.write

    def watch(changes, *, sync):
        seen.append((scene.store.get(FORMAT_KEY), sync))
        write(changes, sync=sync)

    scene.store.write = watch
    assert await scene.run()
    assert len(seen) > 3
    assert set(seen) == {(None, True)}
    with pytest.raises(AssertionError, match="holds a chain already"):
        initialise_store(scene.store, lambda root: source.genesis, {})


# The server


async def test_heights_served_at_one_time_are_bounded_and_let_go(source):
    scene = Scene(source, be_honest)
    server = scene.peers[PEERS[0]].server
    offers: list[SnapshotOffer] = []
    server._send = lambda _peer, _kind, message: offers.append(message) or True

    def ask(height: int | None) -> SnapshotOffer:
        server.received(SELF, MessageKind.SNAPSHOT_REQUEST, encode(SnapshotRequest(height)))
        return offers[-1]

    for height in range(2, 2 + PINS_MAX):
        assert ask(height).sealed.header == source.chain.get_block(height + 1).block.header
    assert ask(9) == SnapshotOffer(9, 12, None)
    assert ask(None).sealed.header.height == 1 + PINS_MAX + 1, "the newest of those that are served"
    assert (ask(12), ask(0), ask(10**6)) == tuple(SnapshotOffer(height, 12, None) for height in (12, 0, 10**6))
    scene.clock.monotonic_s += PIN_IDLE_S - 1
    ask(3)
    scene.clock.monotonic_s += 1
    server.expire()
    assert server.heights == (3,)
    for _ in range(int(PIN_S_MAX // (PIN_IDLE_S - 1)) + 1):
        scene.clock.monotonic_s += PIN_IDLE_S - 1
        ask(3) if 3 in server.heights else server.expire()
    scene.clock.monotonic_s += PIN_IDLE_S
    server.expire()
    assert server.heights == ()


async def test_a_path_that_is_none_breaks_the_protocol(source):
    server = Scene(source, be_honest).peers[PEERS[0]].server
    with pytest.raises(PeerProtocolError, match="nibbles"):
        server.received(SELF, MessageKind.STATE_PART_REQUEST, encode(StatePartRequest(Height(1), b"\x10")))
    with pytest.raises(PeerProtocolError, match="is no request"):
        server.received(SELF, MessageKind.STATE_PART, b"")


async def test_what_is_not_served_is_said_to_be_absent(source):
    scene = Scene(source, be_honest)
    server = scene.peers[PEERS[0]].server
    answers: list[object] = []
    server._send = lambda _peer, _kind, message: answers.append(message) or True
    server.received(SELF, MessageKind.STATE_PART_REQUEST, encode(StatePartRequest(Height(5), b"")))
    server.received(SELF, MessageKind.RECEIPTS_REQUEST, pack([99]))
    server.received(SELF, MessageKind.HEADER_REQUEST, pack([99]))
    while len(answers) < 3:
        await asyncio.sleep(0.001)
    assert answers == [
        ReceiptsAnswer(Height(99), None, None),
        HeaderAnswer(Height(99), None, None),
        StatePartAnswer(Height(5), b"", None, None),
    ]
