"""A node that has nothing yet: what it tells peers, what it asks, and what operators see of it."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from ledger.codec import DecodeError, decode, encode
from ledger.primitives import Height, NodeKey
from node.messages import (
    CHANNELS,
    BlocksAnswer,
    BlocksRequest,
    MessageKind,
    SnapshotOffer,
    SnapshotRequest,
    StatePartAnswer,
    Status,
)
from node.ops import Measure
from node.snapshot_phase import SnapshotExchange, SnapshotOps
from node.snapshot_sync import SnapshotProgress
from p2p.frames import Channel, PeerProtocolError
from p2p.peer import PeerInfo
from vm.native.network import NodeRole

PEERS = [NodeKey(bytes([number]) * 32) for number in range(1, 5)]


@dataclass
class FakeNetwork:
    sent: list[tuple[Any, ...]] = field(default_factory=list)

    def send(self, peer, channel, kind, payload) -> bool:
        self.sent.append((peer, channel, kind, payload))
        return True


@dataclass
class FakeSync:
    heard: list[tuple[Any, ...]] = field(default_factory=list)
    progress: SnapshotProgress | None = None

    def add_peer(self, peer) -> None:
        self.heard.append(("peer", peer))

    def remove_peer(self, peer) -> None:
        self.heard.append(("gone", peer))

    def received(self, peer, kind, payload) -> None:
        self.heard.append((kind, peer, payload))


class Scene:
    def __init__(self) -> None:
        self.network, self.sync = FakeNetwork(), FakeSync()
        self.exchange = SnapshotExchange(committee_size=4)
        self.exchange.attach(self.network, self.sync)

    def join(self, key: NodeKey, height: int = 0) -> None:
        self.exchange.peer_joined(
            PeerInfo(key, NodeRole.OBSERVER, None, height, "", "1.2.3.4:5", False, 0.0, None, 0, 0)
        )

    def hear(self, kind: MessageKind, message: Any, peer: NodeKey = PEERS[0]) -> None:
        self.exchange.received(peer, CHANNELS[kind], kind, encode(message))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_new_peer_hears_that_there_is_nothing_here_and_can_be_asked(scene):
    scene.join(PEERS[0])
    assert scene.network.sent == [(PEERS[0], Channel.CONTROL, MessageKind.STATUS, encode(Status(0, 0)))]
    assert scene.sync.heard == [("peer", PEERS[0])]
    scene.exchange.peer_left(PEERS[0], "gone")
    assert scene.sync.heard[1:] == [("gone", PEERS[0])]


def test_the_target_is_what_enough_peers_claim(scene):
    assert scene.exchange.target_height == 0
    for number, height in enumerate((9, 7, 8)):
        scene.join(PEERS[number], height)
    scene.hear(MessageKind.STATUS, Status(2**50, 0), PEERS[3])
    assert scene.exchange.target_height == 9, "one of four may lie"
    assert scene.exchange.get_peer_height(PEERS[1]) == 7
    scene.exchange.peer_left(PEERS[3], "gone")
    assert (scene.exchange.target_height, scene.exchange.get_peer_height(PEERS[3])) == (8, 0)


def test_who_asks_it_hears_that_it_has_nothing(scene):
    scene.hear(MessageKind.BLOCKS_REQUEST, BlocksRequest(5, 3))
    scene.hear(MessageKind.SNAPSHOT_REQUEST, SnapshotRequest(7))
    (_, _, blocks_kind, blocks), (_, _, offer_kind, offer) = scene.network.sent
    assert (blocks_kind, decode(BlocksAnswer, blocks)) == (MessageKind.BLOCKS_ANSWER, BlocksAnswer(5, ()))
    assert (offer_kind, decode(SnapshotOffer, offer)) == (
        MessageKind.SNAPSHOT_OFFER,
        SnapshotOffer(Height(7), Height(0), None),
    )


def test_answers_go_to_the_download(scene):
    part = StatePartAnswer(7, b"", None, None)
    scene.hear(MessageKind.STATE_PART, part)
    assert scene.sync.heard == [(MessageKind.STATE_PART, PEERS[0], encode(part))]


def test_the_protocol_holds_here_too(scene):
    with pytest.raises(PeerProtocolError):
        scene.exchange.received(PEERS[0], Channel.SYNC, 999, b"")
    with pytest.raises(PeerProtocolError):
        scene.exchange.received(PEERS[0], Channel.SYNC, MessageKind.STATUS, encode(Status(1, 0)))
    with pytest.raises(DecodeError):
        scene.exchange.received(PEERS[0], Channel.CONTROL, MessageKind.STATUS, b"\xc1")


def test_operators_see_a_living_node_that_is_not_ready():
    sync = FakeSync()
    operations = SnapshotOps("chain", "ab", sync)
    assert operations.why_not_ready() == "waiting for a peer with a snapshot"
    assert [measure.value for measure in operations.list_measures()] == [0, 0]
    sync.progress = SnapshotProgress(Height(7), 40, 100)
    assert operations.why_not_ready() == "downloading the state: 40 of about 100 keys"
    assert operations.list_measures() == [
        Measure("snapshot_keys_done", "Keys of the state that have been downloaded.", 40),
        Measure("snapshot_keys_total", "Keys of the state, estimated.", 100),
    ]
    assert operations.get_version()["genesisHash"] == "0xab"
