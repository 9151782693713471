from dataclasses import replace
from typing import Any

import pytest

from ledger.codec import encode
from ledger.primitives import ChainId
from p2p.frames import Channel, encode_message
from p2p.hello import ControlKind, Goodbye, GoodbyeReason, HelloFacts, build_hello, encode_hello
from p2p.peer import Peer, PeerState
from p2p.settings import CHANNEL_LIMITS
from tests.p2p.nodes import (
    FACTS,
    QUICK,
    SEAT_KEY,
    End,
    RecordingOwner,
    Simulation,
    make_ends,
    make_peer,
    sign_with_seat,
)

SEATED = replace(FACTS, consensus_key=SEAT_KEY)


class Pair:
    """Two peers over a pipe: `peers[0]` is ours, with changed settings if wanted, `peers[1]` theirs."""

    def __init__(
        self, ours: HelloFacts = SEATED, theirs: HelloFacts = FACTS, delay_s: float = 0.001, **changes: Any
    ) -> None:
        self.simulation = Simulation()
        self.ends: tuple[End, End] = make_ends(self.simulation, compute_delay_s=lambda size: delay_s)
        self.peers: list[Peer] = []
        self.owners: list[RecordingOwner] = []
        for side, facts in enumerate((ours, theirs)):
            settings = QUICK if side else replace(QUICK, **changes)
            peer, owner = make_peer(self.simulation, self.ends[side], side=side, facts=facts, settings=settings)
            self.peers.append(peer)
            self.owners.append(owner)

    async def greet(self, *sides: int) -> None:
        for side in sides:
            peer = self.peers[side]
            peer.greet(await build_hello(peer.facts, peer.certificates, sign_with_seat))
            self.simulation.run()

    async def join(self) -> "Pair":
        await self.greet(0, 1)
        self.simulation.run(0.1)
        assert [peer.state for peer in self.peers] == [PeerState.JOINED, PeerState.JOINED]
        return self

    def run_with_ticks(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            self.simulation.run(0.05)
            for peer in self.peers:
                peer.tick(self.simulation.now_s)

    def say(self, side: int, channel: Channel, kind: int, payload: bytes = b"") -> None:
        """Write a frame past all checks of the sender."""
        for frame in encode_message(channel, kind, payload):
            self.ends[side].wire.write(frame)
        self.simulation.run(0.1)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_both_join_whoever_speaks_first(order: tuple[int, int]) -> None:
    pair = Pair()
    await pair.greet(*order)
    pair.simulation.run(0.1)
    assert [owner.joined for owner in pair.owners] == [1, 1]
    assert pair.peers[1].get_info(0.0).consensus_key == SEAT_KEY
    assert pair.peers[0].get_info(0.0).consensus_key is None


async def test_messages_pass_once_joined() -> None:
    pair = await Pair().join()
    pair.peers[0].connection.send(Channel.CONSENSUS, 5, b"vote")
    pair.peers[0].connection.send(Channel.CONTROL, 256, b"status")
    pair.simulation.run(0.1)
    assert pair.owners[1].messages == [(Channel.CONTROL, 256, b"status"), (Channel.CONSENSUS, 5, b"vote")]


async def test_a_hello_alone_does_not_join() -> None:
    pair = Pair()
    await pair.greet(0)
    pair.simulation.run(0.1)
    assert [owner.joined for owner in pair.owners] == [0, 0]


async def test_the_greeting_has_a_deadline() -> None:
    pair = Pair()
    await pair.greet(0)
    pair.run_with_ticks(QUICK.hello_timeout_s + 0.1)
    assert pair.owners[0].endings == ["TIMED_OUT: the greeting was not complete in time"]
    assert pair.peers[1].state is PeerState.CLOSED


async def test_a_wrong_chain_is_told_so_and_nobody_joins() -> None:
    pair = Pair(theirs=replace(FACTS, chain_id=ChainId("other")))
    await pair.greet(0)
    pair.simulation.run(0.1)
    assert pair.owners[1].endings == ["WRONG_CHAIN"]
    assert pair.owners[0].endings == ["the peer said WRONG_CHAIN"]
    assert pair.ends[0].counters.closed_by_peer == {"WRONG_CHAIN": 1}
    assert pair.ends[1].counters.closed_by_us == {"WRONG_CHAIN": 1}
    assert [owner.joined for owner in pair.owners] == [0, 0]


async def test_a_forged_seat_is_refused() -> None:
    pair = Pair()
    hello = await build_hello(SEATED, pair.peers[1].certificates, sign_with_seat)  # the other direction's signature
    pair.say(0, Channel.CONTROL, ControlKind.HELLO, encode_hello(hello))
    assert pair.owners[1].endings == ["BAD_SEAT_SIGNATURE"]


async def test_the_owner_may_refuse() -> None:
    pair = Pair()
    pair.owners[1].verdict = GoodbyeReason.TOO_MANY_PEERS
    await pair.greet(0, 1)
    pair.simulation.run(0.1)
    assert pair.owners[0].endings == ["the peer said TOO_MANY_PEERS"]


async def make_hello_bytes(pair: Pair) -> bytes:
    return encode_hello(await build_hello(FACTS, pair.peers[0].certificates, None))


@pytest.mark.parametrize(
    ("channel", "kind", "payload"),
    [
        (Channel.CONSENSUS, 1, b"vote"),
        (Channel.CONTROL, 256, b"status"),
        (Channel.CONTROL, ControlKind.WELCOME, b""),
        (Channel.CONTROL, ControlKind.PING, bytes(8)),
        (Channel.CONTROL, ControlKind.PONG, bytes(8)),
        (Channel.CONTROL, ControlKind.HELLO, b""),
        (Channel.CONTROL, ControlKind.HELLO, b"\x00\x01garbage"),
        (Channel.CONTROL, ControlKind.GOODBYE, b"garbage"),
        (Channel.CONTROL, 0, b""),
        (Channel.CONTROL, 6, b""),
    ],
)
async def test_what_may_not_be_said_before_the_greeting(channel: Channel, kind: int, payload: bytes) -> None:
    pair = Pair()
    pair.say(0, channel, kind, payload)
    assert len(pair.owners[1].endings) == 1
    assert pair.owners[1].endings[0].startswith("PROTOCOL_ERROR: ")
    assert [points for points, _ in pair.owners[1].points] == [100.0]
    assert pair.owners[0].endings == ["the peer said PROTOCOL_ERROR"]


async def test_a_welcome_before_we_have_spoken_is_refused() -> None:
    pair = Pair()
    pair.say(0, Channel.CONTROL, ControlKind.HELLO, await make_hello_bytes(pair))
    assert pair.peers[1].state is PeerState.GREETING
    pair.say(0, Channel.CONTROL, ControlKind.WELCOME)
    assert pair.owners[1].endings == ["PROTOCOL_ERROR: a WELCOME out of place"]


@pytest.mark.parametrize(
    ("kind", "payload", "complaint"),
    [
        (ControlKind.HELLO, b"", "a second HELLO"),
        (ControlKind.WELCOME, b"", "a WELCOME out of place"),
        (ControlKind.PING, bytes(7), "a PING out of place"),
        (ControlKind.PONG, bytes(8), "a PONG to no PING"),
        (99, b"", "control kind 99 does not exist"),
    ],
)
async def test_what_may_not_be_said_after_it(kind: int, payload: bytes, complaint: str) -> None:
    pair = await Pair().join()
    pair.say(0, Channel.CONTROL, kind, payload)
    assert pair.owners[1].endings == [f"PROTOCOL_ERROR: {complaint}"]


async def test_keepalive_measures_the_round_trip_and_keeps_an_idle_pair() -> None:
    pair = await Pair(delay_s=0.02).join()
    pair.run_with_ticks(60.0)
    assert [peer.state for peer in pair.peers] == [PeerState.JOINED, PeerState.JOINED]
    assert pair.peers[0].get_info(0.0).round_trip_s == pytest.approx(0.04)


async def test_a_silent_peer_is_dropped_after_ping_and_pong_time() -> None:
    pair = await Pair().join()
    pair.ends[1].wire.pause_reading()  # it hears nothing, so it answers nothing
    pair.run_with_ticks(QUICK.ping_interval_s + QUICK.pong_timeout_s - 0.2)
    assert pair.owners[0].endings == []
    pair.run_with_ticks(0.4)
    assert pair.owners[0].endings == ["TIMED_OUT: no answer to a PING in time"]


async def test_a_peer_we_leave_waiting_is_not_blamed_for_its_late_answer() -> None:
    pair = await Pair(pong_timeout_s=1.0).join()
    pair.run_with_ticks(QUICK.ping_interval_s - 0.2)
    pair.ends[0].connection._pause_reading(9.0)
    pair.run_with_ticks(8.5)
    assert pair.owners[0].endings == []
    pair.run_with_ticks(10.0)
    assert pair.peers[0].state is PeerState.JOINED


async def test_an_unfinished_message_is_not_waited_for_for_ever() -> None:
    pair = await Pair().join()
    first, *_ = encode_message(Channel.SYNC, 1, bytes(100_000))
    pair.ends[1].wire.write(first)
    pair.run_with_ticks(QUICK.message_timeout_s + 1.0)
    assert pair.owners[0].endings == ["TIMED_OUT: a message was begun and not finished in time"]


async def test_a_flood_of_control_messages_costs_points() -> None:
    pair = await Pair().join()
    limits = CHANNEL_LIMITS[Channel.CONTROL]
    pair.ends[0].wire.write(encode_message(Channel.CONTROL, 256, b"")[0] * 6 * limits.receive_frames_per_second)
    pair.simulation.run(0.1)
    ((points, reason),) = pair.owners[1].points
    assert points == pytest.approx(5 * limits.overrun_points, rel=0.1)  # four seconds' worth above the burst of two
    assert reason == "too many CONTROL messages"


async def test_a_goodbye_from_a_later_version_is_understood_as_far_as_it_goes() -> None:
    pair = await Pair().join()
    pair.say(0, Channel.CONTROL, ControlKind.GOODBYE, encode(Goodbye(60_000)))
    assert pair.owners[1].endings == ["the peer said REASON_60000"]
    assert pair.ends[1].counters.closed_by_peer == {"UNKNOWN": 1}


async def test_the_end_is_reported_once() -> None:
    pair = await Pair().join()
    pair.peers[0].close(GoodbyeReason.SHUTDOWN)
    pair.peers[0].close(GoodbyeReason.BANNED)
    pair.simulation.run(5.0)
    assert pair.owners[0].endings == ["SHUTDOWN"]
    assert pair.owners[1].endings == ["the peer said SHUTDOWN"]


async def test_a_broken_stream_ends_the_peer() -> None:
    pair = await Pair().join()
    pair.ends[0].wire.abort()
    assert pair.owners[1].endings == ["the peer closed the connection without a word"]
    assert pair.ends[1].counters.connections_lost == 1
