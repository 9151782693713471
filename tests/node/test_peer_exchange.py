"""Between the network and the node: what goes out to whom, and where each message that comes in goes."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from consensus.core import Core
from consensus.events import ProposalReceived, SummaryReceived, VoteReceived
from consensus.messages import RoundSummary, VoteKind, encode_message
from ledger.codec import DecodeError, decode, encode
from ledger.primitives import NodeKey
from ledger.transaction import TRANSACTION_BYTES_MAX
from node import peer_exchange as peer_exchange_module
from node.intake import PeerBatchOutcome
from node.messages import (
    CHANNELS,
    GOSSIP_BYTES_MAX,
    GOSSIP_TRANSACTIONS_MAX,
    HASHES_REQUEST_MAX,
    SNAPSHOT_ANSWERS,
    SNAPSHOT_REQUESTS,
    BlocksAnswer,
    BlocksRequest,
    MessageKind,
    StatePartAnswer,
    StatePartRequest,
    Status,
    TransactionBatch,
    TransactionsRequest,
)
from node.peer_exchange import (
    BATCHES_UNDER_WAY_MAX,
    INVALID_TRANSACTION_POINTS,
    SUMMARY_INTERVAL_S_MIN,
    UNWANTED_POINTS,
    PeerExchange,
    _cut_into_batches,
)
from p2p.frames import Channel, PeerProtocolError
from p2p.peer import PeerInfo
from tests.builders import Draft, address_of, make_key, transfer
from tests.chains import FakeClock, RecordingLogger
from tests.consensus.builders import DOMAIN, make_proposal, make_vote, start_height
from vm.native.network import NodeRole

ALICE = make_key("alice")
SUPER, OBSERVER, STRANGER = (NodeKey(bytes([number]) * 32) for number in (9, 1, 5))
TRANSACTIONS = [Draft(ALICE, [transfer(address_of(ALICE), 1)], sequence=number).sign() for number in range(3)]


@dataclass
class FakeNetwork:
    """Remembers what was sent."""

    sent: list[tuple[Any, ...]] = field(default_factory=list)
    penalties: list[tuple[NodeKey, float, str]] = field(default_factory=list)
    has_room: bool = True

    def send(self, peer, channel, kind, payload) -> bool:
        self.sent.append((peer, channel, kind, payload))
        return self.has_room

    def broadcast(self, channel, kind, payload) -> None:
        self.sent.append(("all", channel, kind, payload))

    def penalise(self, peer, points, reason) -> None:
        self.penalties.append((peer, points, reason))


@dataclass
class FakeIntake:
    invalid: int = 0
    gate: asyncio.Event | None = None
    batches: list[tuple[bytes, ...]] = field(default_factory=list)

    async def submit_from_peer(self, raws):
        self.batches.append(raws)
        if self.gate is not None:
            await self.gate.wait()
        return PeerBatchOutcome([each for each in TRANSACTIONS if each.raw in raws], self.invalid)


@dataclass
class FakeAssembly:
    known: dict[bytes, Any] = field(default_factory=dict)
    unwanted: int = 0
    answers: list[tuple[bytes, ...]] = field(default_factory=list)

    def find_transaction(self, envelope_hash):
        return self.known.get(envelope_hash)

    async def take_answer(self, raws):
        self.answers.append(raws)
        return self.unwanted


@dataclass
class FakeSync:
    heard: list[tuple[Any, ...]] = field(default_factory=list)

    def set_peer_status(self, peer, earliest_height, head_height) -> None:
        self.heard.append(("status", peer, earliest_height, head_height))

    def remove_peer(self, peer) -> None:
        self.heard.append(("gone", peer))

    def build_answer(self, request):
        return BlocksAnswer(request.first_height, ((b"block", b"certificate"),))

    def take_answer(self, peer, answer) -> None:
        self.heard.append(("blocks", peer, answer))


class FakeEvidence:
    """A pool that notes what it is given."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.added: list[bytes] = []

    def list_waiting(self) -> list[bytes]:
        return self.waiting

    def add(self, encoded: bytes) -> bool:
        self.added.append(encoded)
        return True


class Scene:
    def __init__(self) -> None:
        self.network, self.intake, self.assembly, self.sync = FakeNetwork(), FakeIntake(), FakeAssembly(), FakeSync()
        self.posted: list[Any] = []
        self.state_messages: list[tuple[Any, ...]] = []
        self.summary: RoundSummary | None = None
        self.clock, self.logger = FakeClock(wall_ms=123), RecordingLogger()
        self.evidence = FakeEvidence()
        self.exchange = PeerExchange(
            self.intake,
            self.assembly,
            self.sync,
            self.clock,
            lambda event: self.posted.append(event) or True,
            lambda: Status(7, 0),
            lambda: self.summary,
            self.evidence,
            lambda peer, kind, payload: self.state_messages.append(("request", peer, kind, payload)),
            lambda peer, kind, payload: self.state_messages.append(("answer", peer, kind, payload)),
            self.logger,
        )
        self.exchange.attach(self.network)

    def join(self, key: NodeKey, role: NodeRole) -> None:
        self.exchange.peer_joined(PeerInfo(key, role, None, 0, "", "1.2.3.4:5", False, 0.0, None, 0, 0.0))

    def hear(self, kind: MessageKind, message: Any, peer: NodeKey = SUPER) -> None:
        payload = message if isinstance(message, bytes) else encode(message)
        self.exchange.received(peer, CHANNELS[kind], kind, payload)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_new_peer_hears_where_we_are_and_what_we_have_heard(scene):
    scene.join(OBSERVER, NodeRole.OBSERVER)
    status = (OBSERVER, Channel.CONTROL, MessageKind.STATUS, encode(Status(7, 0)))
    assert scene.network.sent == [status]


def test_evidence_reaches_the_pool_and_new_peers(scene):
    scene.hear(MessageKind.EVIDENCE, b"proof")
    assert scene.evidence.added == [b"proof"]
    scene.evidence.waiting = [b"one", b"two"]
    scene.join(OBSERVER, NodeRole.OBSERVER)
    told = [payload for _, _, kind, payload in scene.network.sent if kind is MessageKind.EVIDENCE]
    assert told == [b"one", b"two"]


def test_peers_are_asked_super_nodes_first_and_forgotten_when_gone(scene):
    scene.join(OBSERVER, NodeRole.OBSERVER)
    scene.join(SUPER, NodeRole.SUPER_NODE)
    scene.join(STRANGER, NodeRole.GATEWAY)
    assert scene.exchange.list_peers() == [SUPER, OBSERVER, STRANGER]
    scene.exchange.peer_left(SUPER, "bye")
    scene.exchange.peer_left(SUPER, "twice")
    assert scene.exchange.list_peers() == [OBSERVER, STRANGER]
    assert scene.sync.heard == [("gone", SUPER), ("gone", SUPER)]


def test_consensus_messages_become_events_with_sender_and_arrival(scene):
    proposal, vote = make_proposal(), make_vote(1, VoteKind.PREVOTE, None)
    scene.hear(MessageKind.CONSENSUS, encode_message(proposal))
    scene.hear(MessageKind.CONSENSUS, encode_message(vote), STRANGER)
    assert scene.posted == [ProposalReceived(proposal, 123, SUPER), VoteReceived(vote, STRANGER)]


def test_a_summary_goes_out_and_comes_back_as_an_event(scene):
    core = Core(DOMAIN, None)
    core.handle(start_height())
    scene.summary = core.get_summary()
    assert scene.summary is not None
    scene.join(SUPER, NodeRole.SUPER_NODE)
    peer, channel, kind, payload = scene.network.sent[1]
    assert (peer, channel, kind) == (SUPER, Channel.CONSENSUS, MessageKind.CONSENSUS)
    scene.hear(MessageKind.CONSENSUS, payload)
    assert scene.posted == [SummaryReceived(SUPER, scene.summary)]


def test_a_peers_summaries_are_heard_only_so_often(scene):
    core = Core(DOMAIN, None)
    core.handle(start_height())
    payload = encode_message(core.get_summary())
    for _ in range(5):
        scene.hear(MessageKind.CONSENSUS, payload)
    scene.hear(MessageKind.CONSENSUS, payload, OBSERVER)
    assert [event.peer for event in scene.posted] == [SUPER, OBSERVER]
    scene.clock.monotonic_s += 2 * SUMMARY_INTERVAL_S_MIN
    scene.hear(MessageKind.CONSENSUS, payload)
    assert [event.peer for event in scene.posted] == [SUPER, OBSERVER, SUPER]


def test_own_votes_go_to_every_peer(scene):
    vote = make_vote(1, VoteKind.PREVOTE, None)
    scene.exchange.broadcast_consensus(vote)
    scene.exchange.send_consensus(SUPER, vote)
    payload = encode_message(vote)
    assert scene.network.sent == [
        ("all", Channel.CONSENSUS, MessageKind.CONSENSUS, payload),
        (SUPER, Channel.CONSENSUS, MessageKind.CONSENSUS, payload),
    ]


def test_status_and_blocks_go_to_block_sync(scene):
    scene.hear(MessageKind.STATUS, Status(9, 2))
    answer = BlocksAnswer(4, ())
    scene.hear(MessageKind.BLOCKS_ANSWER, answer)
    assert scene.sync.heard == [("status", SUPER, 2, 9), ("blocks", SUPER, answer)]


def test_a_request_for_blocks_is_answered_to_the_one_who_asked(scene):
    scene.hear(MessageKind.BLOCKS_REQUEST, BlocksRequest(4, 2), OBSERVER)
    expected = encode(BlocksAnswer(4, ((b"block", b"certificate"),)))
    assert scene.network.sent == [(OBSERVER, Channel.SYNC, MessageKind.BLOCKS_ANSWER, expected)]


def test_known_transactions_are_sent_once_each_however_often_they_are_named(scene):
    first, second, third = TRANSACTIONS
    scene.assembly.known = {first.envelope_hash: first, third.envelope_hash: third}
    names = (first.envelope_hash, second.envelope_hash, third.envelope_hash, *[first.envelope_hash] * 5_000)
    scene.hear(MessageKind.TRANSACTIONS_REQUEST, TransactionsRequest(names))
    (answer,) = scene.network.sent
    assert answer[:3] == (SUPER, Channel.TRANSACTIONS, MessageKind.TRANSACTIONS_ANSWER)
    assert decode(TransactionBatch, answer[3]) == TransactionBatch((first.raw, third.raw))


def test_who_asks_for_what_nobody_has_gets_no_answer(scene):
    scene.hear(MessageKind.TRANSACTIONS_REQUEST, TransactionsRequest((bytes(32),)))
    assert scene.network.sent == []


def test_no_more_is_sent_once_the_queue_is_full(scene, monkeypatch):
    monkeypatch.setattr(peer_exchange_module, "GOSSIP_TRANSACTIONS_MAX", 1)
    scene.assembly.known = {each.envelope_hash: each for each in TRANSACTIONS}
    scene.network.has_room = False
    scene.hear(MessageKind.TRANSACTIONS_REQUEST, TransactionsRequest(tuple(scene.assembly.known)))
    assert len(scene.network.sent) == 1


@pytest.mark.parametrize(
    "kind",
    [kind for kind in MessageKind if kind not in SNAPSHOT_REQUESTS | SNAPSHOT_ANSWERS | {MessageKind.EVIDENCE}],
)
def test_bytes_that_do_not_decode_are_refused(scene, kind):
    for payload in (b"", b"\xc1", b"\x90" * 40, bytes(300)):
        with pytest.raises(DecodeError):
            scene.hear(kind, payload)
    assert (scene.posted, scene.network.sent, scene.sync.heard) == ([], [], [])


@pytest.mark.parametrize("channel", Channel)
def test_an_unknown_kind_or_a_kind_on_another_channel_is_refused(scene, channel):
    wrong = [kind for kind in MessageKind if CHANNELS[kind] is not channel]
    for kind in (255, 257, 303, 502, 65_535, *wrong):
        with pytest.raises(PeerProtocolError, match=f"kind {int(kind)} on {channel.name}"):
            scene.exchange.received(SUPER, channel, kind, encode(Status(1, 0)))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_gossip_of_an_observer_is_passed_on_together_that_of_a_super_node_is_not(scene, monkeypatch):
    monkeypatch.setattr(peer_exchange_module, "GOSSIP_DELAY_S", 0.001)
    scene.join(SUPER, NodeRole.SUPER_NODE)
    scene.join(OBSERVER, NodeRole.OBSERVER)
    scene.network.sent.clear()
    scene.hear(MessageKind.TRANSACTIONS, TransactionBatch((TRANSACTIONS[0].raw,)), SUPER)
    scene.hear(MessageKind.TRANSACTIONS, TransactionBatch((TRANSACTIONS[1].raw,)), OBSERVER)
    scene.hear(MessageKind.TRANSACTIONS, TransactionBatch((TRANSACTIONS[2].raw,)), OBSERVER)
    await asyncio.sleep(0.02)
    passed_on = TransactionBatch((TRANSACTIONS[1].raw, TRANSACTIONS[2].raw))
    assert scene.network.sent == [("all", Channel.TRANSACTIONS, MessageKind.TRANSACTIONS, encode(passed_on))]
    assert scene.network.penalties == []


async def test_each_invalid_transaction_costs_points(scene):
    scene.intake.invalid = 3
    scene.hear(MessageKind.TRANSACTIONS, TransactionBatch((b"rubbish",)), OBSERVER)
    await settle()
    assert scene.network.penalties == [(OBSERVER, 3 * INVALID_TRANSACTION_POINTS, "invalid transactions")]


async def test_only_an_answer_without_anything_wanted_costs_points(scene):
    batch = TransactionBatch((TRANSACTIONS[0].raw, TRANSACTIONS[1].raw))
    scene.assembly.unwanted = 1
    scene.hear(MessageKind.TRANSACTIONS_ANSWER, batch)
    await settle()
    assert (scene.assembly.answers, scene.network.penalties) == ([batch.transactions], [])
    scene.assembly.unwanted = 2
    scene.hear(MessageKind.TRANSACTIONS_ANSWER, batch)
    await settle()
    assert scene.network.penalties == [(SUPER, UNWANTED_POINTS, "sent transactions that nobody asked for")]


async def test_batches_under_way_are_limited_and_the_rest_is_dropped(scene):
    scene.intake.gate = asyncio.Event()
    for _ in range(BATCHES_UNDER_WAY_MAX + 5):
        scene.hear(MessageKind.TRANSACTIONS, TransactionBatch((TRANSACTIONS[0].raw,)), SUPER)
    await settle()
    assert (len(scene.intake.batches), scene.exchange.dropped_batches) == (BATCHES_UNDER_WAY_MAX, 5)
    scene.intake.gate.set()
    await settle()
    scene.hear(MessageKind.TRANSACTIONS, TransactionBatch((TRANSACTIONS[0].raw,)), SUPER)
    await settle()
    assert len(scene.intake.batches) == BATCHES_UNDER_WAY_MAX + 1


async def test_a_failure_while_handling_a_batch_is_logged_and_harms_no_other(scene, monkeypatch):
    async def fail(_raws):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(scene.intake, "submit_from_peer", fail)
    scene.hear(MessageKind.TRANSACTIONS, TransactionBatch((TRANSACTIONS[0].raw,)))
    await settle()
    assert scene.logger.list_events("error") == ["handling a peer's transactions failed"]
    assert "ours" in scene.logger.entries[0][2]["error"]


async def test_status_is_told_once_for_many_blocks(scene, monkeypatch):
    monkeypatch.setattr(peer_exchange_module, "STATUS_DELAY_S", 0.001)
    for _ in range(10):
        scene.exchange.broadcast_status()
    assert scene.network.sent == []
    await asyncio.sleep(0.02)
    assert scene.network.sent == [("all", Channel.CONTROL, MessageKind.STATUS, encode(Status(7, 0)))]
    scene.exchange.broadcast_status()
    await asyncio.sleep(0.02)
    assert len(scene.network.sent) == 2


async def test_gossip_waits_a_moment_for_company(scene, monkeypatch):
    monkeypatch.setattr(peer_exchange_module, "GOSSIP_DELAY_S", 0.001)
    scene.exchange.gossip([])
    for transaction in TRANSACTIONS:
        scene.exchange.gossip([transaction])
    await asyncio.sleep(0.02)
    batch = encode(TransactionBatch(tuple(each.raw for each in TRANSACTIONS)))
    assert scene.network.sent == [("all", Channel.TRANSACTIONS, MessageKind.TRANSACTIONS, batch)]


def test_requests_stay_within_the_limits_of_a_message(scene):
    hashes = [number.to_bytes(32, "big") for number in range(HASHES_REQUEST_MAX + 1)]
    assert scene.exchange.request_transactions(SUPER, hashes)
    peer, channel, kind, payload = scene.network.sent[0]
    assert (peer, channel, kind) == (SUPER, Channel.TRANSACTIONS, MessageKind.TRANSACTIONS_REQUEST)
    assert decode(TransactionsRequest, payload).envelope_hashes == tuple(hashes[:HASHES_REQUEST_MAX])
    scene.network.has_room = False
    assert not scene.exchange.request_blocks(SUPER, BlocksRequest(1, 2))
    assert scene.network.sent[1] == (SUPER, Channel.SYNC, MessageKind.BLOCKS_REQUEST, encode(BlocksRequest(1, 2)))


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([1], [1]),
        ([1] * (2 * GOSSIP_TRANSACTIONS_MAX + 1), [GOSSIP_TRANSACTIONS_MAX, GOSSIP_TRANSACTIONS_MAX, 1]),
        ([TRANSACTION_BYTES_MAX] * 9, [8, 1]),
        ([GOSSIP_BYTES_MAX - 1, 1, 1], [2, 1]),
    ],
)
def test_batches_keep_order_and_limits(sizes, expected):
    raws = [bytes(size) for size in sizes]
    batches = _cut_into_batches(raws)
    assert [len(batch) for batch in batches] == expected
    assert [raw for batch in batches for raw in batch] == raws


def test_what_downloads_the_state_goes_to_who_serves_or_asked(scene):
    request, answer = StatePartRequest(7, b""), StatePartAnswer(7, b"", None, None)
    scene.hear(MessageKind.STATE_PART_REQUEST, request)
    scene.hear(MessageKind.STATE_PART, answer)
    assert scene.state_messages == [
        ("request", SUPER, MessageKind.STATE_PART_REQUEST, encode(request)),
        ("answer", SUPER, MessageKind.STATE_PART, encode(answer)),
    ]
    assert scene.exchange.send_state_message(OBSERVER, MessageKind.STATE_PART, answer)
    assert scene.network.sent == [(OBSERVER, Channel.SYNC, MessageKind.STATE_PART, encode(answer))]
