"""Finding the value that differs: with honest peers, with liars, and with nobody."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from identity.address import Address
from ledger.codec import encode, pack
from ledger.memory_store import MemoryStore
from ledger.primitives import Height, NodeKey
from ledger.state_keys import Table, account_key
from ledger.state_part import build_state_part
from ledger.transaction import decode_transaction
from node import divergence as divergence_module
from node import snapshot_server as snapshot_server_module
from node.divergence import SHOWN_BYTES_MAX, Difference, DivergenceFinder, describe_difference
from node.execution import DivergedError, Execution
from node.messages import MessageKind
from node.snapshot_server import SnapshotServer
from node.state_views import StateViews
from tests.builders import DOMAIN, Draft, address_of, make_key, transfer
from tests.chains import FakeClock, RecordingLogger, SmallChain

ALICE = make_key("alice")
A, B = address_of(ALICE), address_of(make_key("bob"))
CROWD = {Address(number.to_bytes(20, "big")): 1_000 + number for number in range(200)}
VICTIM = account_key(Address((77).to_bytes(20, "big")))
PEERS = [NodeKey(bytes([number]) * 32) for number in (1, 2, 3)]
SELF = NodeKey(bytes(32))


def be_honest(_kind, message):
    return message


class Scene:
    """The network's chain at block 2, which seals block 1, and a node at block 1 that keeps other values."""

    def __init__(self, changes=None, lies=(be_honest,)) -> None:
        self.network, self.own = (SmallChain({A: 10**12, **CROWD}, store=MemoryStore()) for _ in range(2))
        transaction = Draft(ALICE, [transfer(B, 5)], sequence=0).sign()
        self.network.add_block([transaction])
        views = StateViews(self.network.chain)
        self.network.add_block()
        views.add_head()
        certified = self.network.chain.get_block(1)
        assert certified is not None
        receipts = self.network.chain.get_receipts(1)
        assert receipts is not None
        state = self._execute_own(transaction)
        self.own.chain.commit(certified, receipts, (), {**state, **(changes or {})})
        self.logger, self.clock = RecordingLogger(), FakeClock()
        self.lies = dict(zip(PEERS, lies, strict=False))
        self.is_connected = True
        self.servers = {
            key: SnapshotServer(self.network.chain, views, self.clock, partial(self.answer, key), self.logger)
            for key in self.lies
        }
        self.finder = DivergenceFinder(self.own.chain, lambda: list(self.servers), self.ask, self.logger)

    def _execute_own(self, transaction):
        before = dict(_list_values(SmallChain({A: 10**12, **CROWD})))
        after = dict(_list_values_at(self.network, 1))
        return {key: value for key, value in after.items() if before.get(key) != value}

    def ask(self, peer, kind, message) -> bool:
        if self.is_connected:
            self.servers[peer].received(SELF, kind, encode(message))
        return self.is_connected

    def answer(self, peer, _to, kind, message) -> bool:
        said = self.lies[peer](kind, message)
        if said is not None:
            asyncio.get_running_loop().call_soon(self.finder.received, peer, kind, encode(said))
        return True

    @property
    def sealing_header(self):
        return self.network.chain.get_block(2).block.header

    async def explain(self) -> str:
        return await self.finder.explain(self.sealing_header)


def _list_values(small: SmallChain):
    return [(key[1:], value) for key, value in small.store.iterate(b"v", b"w")]


def _list_values_at(small: SmallChain, height: int):
    """The block after changed nothing, so the values are those of the head."""
    assert small.chain.head.header.height == height + 1
    assert small.chain.head.is_sealed
    return _list_values(small)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    cut = partial(build_state_part, bytes_max=1_500)
    monkeypatch.setattr(snapshot_server_module, "build_state_part", cut)


def read_certified(scene: Scene, key: bytes) -> bytes | None:
    return dict(_list_values(scene.network)).get(key)


async def test_the_same_state_has_no_difference():
    scene = Scene()
    assert scene.own.chain.head.state_root == scene.sealing_header.state_root
    assert await scene.explain() == "the state is the one that the network has"


async def test_a_changed_value_is_named_with_its_table():
    scene = Scene({VICTIM: b"wrong"})
    expected = describe_difference(Difference(VICTIM, b"wrong", read_certified(scene, VICTIM)))
    assert await scene.explain() == expected
    assert f"table ACCOUNT, key 0x{VICTIM.hex()}: here 0x{b'wrong'.hex()}, on the network 0x" in expected


async def test_a_lost_value_is_named():
    scene = Scene({VICTIM: None})
    assert await scene.explain() == describe_difference(Difference(VICTIM, None, read_certified(scene, VICTIM)))


@pytest.mark.parametrize("number", range(40))
async def test_a_value_too_many_is_named_wherever_it_hangs(number):
    key = bytes([Table.POLICY]) + bytes([number]) * 20
    scene = Scene({key: b"extra"})
    assert await scene.explain() == describe_difference(Difference(key, b"extra", None))


async def test_of_several_differences_one_is_named():
    changed = {account_key(address): b"wrong" for address in CROWD}
    scene = Scene(changed)
    said = await scene.explain()
    assert said in [describe_difference(Difference(key, b"wrong", read_certified(scene, key))) for key in changed]


async def test_right_values_beneath_other_receipts_are_told_apart():
    scene = Scene()
    header = replace(scene.sealing_header, receipts_root=bytes(32))
    assert await scene.finder.explain(header) == "the state after block 1 is right, but not its receipts"


def spoil_parts(kind, message):
    is_part = kind is MessageKind.STATE_PART and message.entries is not None
    return replace(message, entries=pack([])) if is_part else message


def spoil_children(kind, message):
    is_node = kind is MessageKind.STATE_PART and message.children is not None
    return replace(message, children=message.children[:-1]) if is_node else message


def answer_another_place(kind, message):
    return replace(message, path=b"\x01") if kind is MessageKind.STATE_PART else message


def serve_nothing(kind, message):
    return replace(message, sealed=None) if kind is MessageKind.SNAPSHOT_OFFER else message


def lose_the_view(kind, message):
    return replace(message, entries=None, children=None) if kind is MessageKind.STATE_PART else message


def be_of_another_chain(kind, message):
    if kind is not MessageKind.SNAPSHOT_OFFER:
        return message
    header = replace(message.sealed.header, time_ms=Height(1))
    return replace(message, sealed=replace(message.sealed, header=header))


def say_nothing(_kind, _message):
    return None


LIES = (spoil_parts, spoil_children, answer_another_place, serve_nothing, lose_the_view, be_of_another_chain)


@pytest.mark.parametrize("lie", [*LIES, say_nothing])
async def test_a_peer_that_lies_or_cannot_say_is_passed_over(lie, monkeypatch):
    monkeypatch.setattr(divergence_module, "ANSWER_TIMEOUT_S", 0.05)
    scene = Scene({VICTIM: b"wrong"}, lies=(lie, be_honest))
    assert await scene.explain() == describe_difference(Difference(VICTIM, b"wrong", read_certified(scene, VICTIM)))
    assert scene.logger.list_events("warning") == ["a peer does not help to find what differs"]


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (serve_nothing, "the state after block 1 is not served any more"),
        (lose_the_view, "the state after block 1 is not served any more"),
        (say_nothing, "the peer does not answer"),
        (be_of_another_chain, "the peer has another chain"),
    ],
)
async def test_when_nobody_helps_it_says_why(lie, why, monkeypatch):
    monkeypatch.setattr(divergence_module, "ANSWER_TIMEOUT_S", 0.05)
    scene = Scene({VICTIM: b"wrong"}, lies=(lie,))
    assert await scene.explain() == f"which value differs cannot be said: {why}"


async def test_without_peers_it_says_so():
    scene = Scene({VICTIM: b"wrong"}, lies=())
    assert await scene.explain() == "which value differs cannot be said: no peer is connected"
    scene = Scene({VICTIM: b"wrong"})
    scene.is_connected = False
    assert await scene.explain() == "which value differs cannot be said: the peer is gone"


async def test_it_does_not_search_for_ever(monkeypatch):
    monkeypatch.setattr(divergence_module, "SEARCH_TIMEOUT_S", 0.05)
    scene = Scene({VICTIM: b"wrong"}, lies=(say_nothing,))
    assert await scene.explain() == "peers did not say in time which value differs"


async def test_an_answer_that_nobody_waits_for_is_dropped():
    scene = Scene()
    scene.finder.received(PEERS[0], MessageKind.STATE_PART, b"")


async def test_the_node_stops_with_the_difference_in_its_message():
    scene = Scene({VICTIM: b"wrong"})
    block = scene.network.chain.get_block(2)
    execution = Execution(scene.own.chain, DOMAIN, scene.logger, scene.finder.explain)
    with pytest.raises(DivergedError, match=rf"block 2, final.*state_root.*table ACCOUNT, key 0x{VICTIM.hex()}.*keep"):
        await execution.execute(block, [decode_transaction(raw) for raw in block.block.transactions])
    assert scene.own.chain.head.header.height == 1


def test_long_values_are_shown_shortened_and_unknown_tables_by_number():
    said = describe_difference(Difference(b"\xfa", bytes(SHOWN_BYTES_MAX + 1), bytes(SHOWN_BYTES_MAX)))
    assert said == (
        "the first difference is in table 250 (unknown), key 0xfa: "
        f"here 0x{'00' * SHOWN_BYTES_MAX}… ({SHOWN_BYTES_MAX + 1} bytes), on the network 0x{'00' * SHOWN_BYTES_MAX}"
    )
