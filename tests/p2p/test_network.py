"""Whole networks on loopback with real TLS, on both event loops."""

import asyncio
import socket
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from ledger.codec import DecodeError
from ledger.primitives import BlockHash, ChainId, NodeKey
from p2p.addresses import PeerAddress
from p2p.certificate import InvalidCertificateError, build_certificate
from p2p.frames import Channel, PeerProtocolError, encode_message
from p2p.hello import ControlKind, GoodbyeReason, SessionCertificates, SigningUnavailableError
from p2p.settings import CHANNEL_LIMITS
from p2p.tls import NODES_ALLOWED_MAX, build_contexts
from tests.p2p.nodes import (
    FACTS,
    LOOPBACK,
    QUICK,
    SEAT,
    SEAT_KEY,
    TestNode,
    eventually,
    make_allowed,
    make_certificate,
    make_node,
    make_secret,
    raw_client,
    running,
    sign_with_seat,
)
from vm.native.network import NodeRole

VOTE = 400


async def test_four_nodes_that_all_dial_each_other_keep_one_connection_per_pair() -> None:
    nodes = [make_node(number) for number in range(4)]
    async with running(*nodes):
        for node in nodes:
            node.dial(*nodes)
        await eventually(lambda: all(len(node.peer_keys) == 3 for node in nodes))
        await eventually(lambda: all(len(node.network._streams) == 3 for node in nodes))
        for node in nodes:
            assert node.peer_keys == sorted(other.key for other in nodes if other is not node)
            for info in node.network.list_peers():
                (seen_from_there,) = [
                    theirs
                    for other in nodes
                    if other.key == info.key
                    for theirs in other.network.list_peers()
                    if theirs.key == node.key
                ]
                assert info.is_dialed != seen_from_there.is_dialed
            assert node.network.list_missing() == []


async def test_messages_reach_one_all_or_all_but_one() -> None:
    nodes = [make_node(number) for number in range(4)]
    first, second, third, fourth = nodes
    async with running(*nodes):
        first.dial(second, third, fourth)
        await eventually(lambda: len(first.peer_keys) == 3)
        assert first.network.broadcast(Channel.CONSENSUS, VOTE, b"to all") == 3
        assert first.network.broadcast(Channel.TRANSACTIONS, 300, b"not to the second", except_peer=second.key) == 2
        assert first.network.send(third.key, Channel.SYNC, 500, b"to the third" * 100_000)
        assert not first.network.send(make_certificate(9)[0], Channel.SYNC, 500, b"to nobody")
        await eventually(lambda: [len(node.handler.messages) for node in nodes] == [0, 1, 3, 2])
        assert third.handler.messages == [
            (first.key, Channel.CONSENSUS, VOTE, b"to all"),
            (first.key, Channel.TRANSACTIONS, 300, b"not to the second"),
            (first.key, Channel.SYNC, 500, b"to the third" * 100_000),
        ]
        assert second.handler.messages == third.handler.messages[:1]
        assert third.network.counters.bytes_in[Channel.SYNC] > 1_200_000


async def test_peers_know_each_others_role_and_proven_seat() -> None:
    seated = make_node(1, facts=replace(FACTS, consensus_key=SEAT_KEY, listen_address="a:1"), sign=sign_with_seat)
    observer = make_node(2, facts=replace(FACTS, role=NodeRole.OBSERVER))
    async with running(seated, observer):
        observer.dial(seated)
        await eventually(lambda: observer.peer_keys and seated.peer_keys)
        (info,) = observer.network.list_peers()
        assert (info.role, info.consensus_key, info.head_height) == (NodeRole.SUPER_NODE, SEAT_KEY, 7)
        assert (info.listen_address, info.is_dialed) == ("a:1", True)
        (info,) = seated.network.list_peers()
        assert (info.role, info.consensus_key, info.is_dialed) == (NodeRole.OBSERVER, None, False)


async def test_an_unknown_key_is_refused_before_any_byte_of_ours() -> None:
    node = make_node(1)
    node.network.set_allowed(make_allowed(2))
    async with running(node):
        contexts = build_contexts(make_secret(3), [build_certificate(make_secret(1))])
        with pytest.raises(OSError):  # the alert may come with the handshake or, in TLS 1.3, right after it
            reader, writer = await asyncio.open_connection(*node.address, ssl=contexts.client, server_hostname="")
            try:
                assert await reader.read(1) == b"", "a stranger heard something"
                raise ConnectionError("closed without a byte")
            finally:
                writer.transport.abort()
        await eventually(lambda: node.network.counters.handshakes_refused == 1)
        assert sum(node.network.counters.bytes_in.values()) == 0
        assert sum(node.network.counters.bytes_out.values()) == 0
        assert node.handler.joined == []


async def test_a_node_that_is_not_allowed_backs_off_and_says_why_it_is_alone() -> None:
    node, stranger = make_node(1), make_node(2)
    node.network.set_allowed(make_allowed(3))
    stranger.network.set_allowed(make_allowed(1))
    async with running(node, stranger):
        stranger.dial(node)
        await eventually(lambda: stranger.network._dials[node.key].failures >= 2)
        (missing,) = stranger.network.list_missing()
        assert (missing.key, missing.address) == (node.key, node.address)
        assert missing.last_failure
        assert stranger.handler.joined == []


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (replace(FACTS, genesis_hash=BlockHash(b"\x01" * 32)), "WRONG_GENESIS"),
        (replace(FACTS, chain_id=ChainId("other")), "WRONG_CHAIN"),
    ],
)
async def test_another_chain_is_refused_by_name(facts: object, reason: str) -> None:
    ours, theirs = make_node(1), make_node(2, facts=facts)  # type: ignore[arg-type]  # pytest loses the type
    async with running(ours, theirs):
        theirs.dial(ours)
        await eventually(lambda: theirs.network.list_missing()[0].last_failure)
        assert reason in theirs.network.list_missing()[0].last_failure
        assert ours.handler.joined == theirs.handler.joined == []


async def test_silence_is_cut_off_in_every_phase_and_others_are_served_meanwhile() -> None:
    node, honest = make_node(1, handshake_timeout_s=0.3, hello_timeout_s=0.3), make_node(2)
    node.network.set_allowed(make_allowed(2, 3))
    honest.network.set_allowed(make_allowed(1))
    async with running(node, honest):
        reader, writer = await asyncio.open_connection(*node.address)  # says nothing at all
        async with raw_client(3, node) as quiet:  # stops after the handshake
            started_s = time.monotonic()
            honest.dial(node)
            await eventually(lambda: honest.peer_keys)
            assert await quiet.read_goodbye() is GoodbyeReason.TIMED_OUT
            assert await reader.read() == b""
            assert time.monotonic() - started_s < 2.0
        writer.close()
        await writer.wait_closed()
        assert node.network.counters.handshakes_refused == 1
        assert node.network.counters.closed_by_us["TIMED_OUT"] == 1


async def test_a_port_scan_and_plain_text_are_refused() -> None:
    node = make_node(1)
    async with running(node):
        for greeting in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\x00" * 100):
            reader, writer = await asyncio.open_connection(*node.address)
            writer.write(greeting)
            writer.write_eof()
            await reader.read()
            writer.close()
            await writer.wait_closed()
        await eventually(lambda: node.network.counters.handshakes_refused == 3)


@pytest.mark.parametrize(
    "stream",
    [
        (9 * 2**20 + 1).to_bytes(4, "big") + b"\x03\x00\x01",  # oversized
        b"\xff" * 64,  # garbage
        encode_message(Channel.CONTROL, ControlKind.HELLO, b"")[0],
    ],
)
async def test_a_peer_that_breaks_the_protocol_is_dropped_and_banned_for_a_while(stream: bytes) -> None:
    now_s = 1_000.0
    node = make_node(1, clock=lambda: now_s)
    node.network.set_allowed(make_allowed(2))
    async with running(node):
        async with raw_client(2, node) as liar:
            await liar.greet()
            await eventually(lambda: node.peer_keys)
            liar.writer.write(stream)
            assert await liar.read_goodbye() is GoodbyeReason.PROTOCOL_ERROR
        assert node.handler.left[0][1].startswith("PROTOCOL_ERROR: ")
        assert node.network.counters.bans == 1
        async with raw_client(2, node) as banned:
            assert await banned.read_goodbye() is GoodbyeReason.BANNED
        now_s += QUICK.ban_s
        async with raw_client(2, node) as forgiven:
            await forgiven.greet()
            await eventually(lambda: node.peer_keys)


@pytest.mark.parametrize("error", [DecodeError("Vote.height: expected an integer"), PeerProtocolError("nonsense")])
async def test_the_handler_may_refuse_what_a_peer_says(error: Exception) -> None:
    def refuse(peer: NodeKey, channel: Channel, kind: int, payload: bytes) -> None:
        raise error

    node = make_node(1)
    node.handler.on_message = refuse
    node.network.set_allowed(make_allowed(2))
    async with running(node), raw_client(2, node) as liar:
        await liar.greet()
        liar.say(Channel.CONSENSUS, VOTE, b"?")
        assert await liar.read_goodbye() is GoodbyeReason.PROTOCOL_ERROR
        assert node.handler.left == [(make_certificate(2)[0], f"PROTOCOL_ERROR: {error}")]


async def test_a_fault_of_the_handler_ends_the_network() -> None:
    def fail(peer: NodeKey, channel: Channel, kind: int, payload: bytes) -> None:
        raise ZeroDivisionError("ours")

    node = make_node(1)
    node.handler.on_message = fail
    node.network.set_allowed(make_allowed(2))
    async with running(node), raw_client(2, node) as peer:
        await peer.greet()
        peer.say(Channel.CONSENSUS, VOTE)
        assert node.task is not None
        with pytest.raises(ExceptionGroup) as raised:
            await node.task
        assert raised.group_contains(ZeroDivisionError, match="ours")


async def test_penalties_add_up_to_a_ban_and_fade_before_it() -> None:
    now_s = 1_000.0
    node = make_node(1, clock=lambda: now_s)
    node.network.set_allowed(make_allowed(2))
    async with running(node), raw_client(2, node) as peer:
        await peer.greet()
        await eventually(lambda: node.peer_keys)
        (key,) = node.peer_keys
        node.network.penalise(key, 60.0, "late")
        assert node.network.list_peers()[0].score == 60.0
        now_s += 5.0
        node.network.penalise(key, 40.0, "late")
        assert node.network.list_peers()[0].score == 95.0
        node.network.penalise(key, 5.0, "late again")
        assert node.peer_keys == []
        assert await peer.read_goodbye() is GoodbyeReason.BANNED
        node.network.penalise(make_certificate(9)[0], 1_000.0, "a stranger has no score")
        assert node.network.counters.bans == 1


async def test_a_reader_that_does_not_read_loses_messages_and_holds_up_nobody() -> None:
    node, honest = make_node(1), make_node(2)
    node.network.set_allowed(make_allowed(2, 3))
    honest.network.set_allowed(make_allowed(1))
    async with running(node, honest):
        honest.dial(node)
        await eventually(lambda: honest.peer_keys)
        async with raw_client(3, node) as lazy:
            await lazy.greet()
            lazy.writer.transport.pause_reading()  # type: ignore[attr-defined]  # typed as a write-only transport
            key = make_certificate(3)[0]
            await eventually(lambda: key in node.peer_keys)
            block = bytes(2**20)
            queue_bytes_max = CHANNEL_LIMITS[Channel.SYNC].queue_bytes_max
            refused_at = None
            for sent in range(4 * queue_bytes_max // len(block)):
                if not node.network.send(key, Channel.SYNC, 500, block):
                    refused_at = sent
                    break
                await asyncio.sleep(0)
            assert refused_at is not None
            assert node.network.counters.messages_dropped[Channel.SYNC] == 1
            (info,) = [info for info in node.network.list_peers() if info.key == key]
            assert queue_bytes_max - len(block) < info.bytes_queued <= queue_bytes_max
            assert node.network.broadcast(Channel.CONSENSUS, VOTE, b"vote") == 2
            await eventually(lambda: honest.handler.messages)
            started_s = time.monotonic()
            await node.stop()
            assert time.monotonic() - started_s < 1.0


async def test_a_flood_is_left_in_the_socket_and_loses_nothing() -> None:
    slow = replace(CHANNEL_LIMITS[Channel.TRANSACTIONS], receive_bytes_per_second=4 * 2**20, burst_seconds=0.1)
    node = make_node(1, channels={**CHANNEL_LIMITS, Channel.TRANSACTIONS: slow})
    flooder = make_node(2)
    async with running(node, flooder):
        flooder.dial(node)
        await eventually(lambda: flooder.peer_keys and node.peer_keys)
        batch = bytes(50_000)
        for _ in range(60):
            assert flooder.network.send(node.key, Channel.TRANSACTIONS, 300, batch)
        await asyncio.sleep(0.1)
        assert len(node.handler.messages) < 60
        await eventually(lambda: len(node.handler.messages) == 60)
        assert node.network.counters.read_pauses[Channel.TRANSACTIONS] >= 1


async def test_the_allow_list_is_swapped_live() -> None:
    center, old, new = make_node(1), make_node(2), make_node(3)
    center.network.set_allowed(make_allowed(1, 2))
    for node in (old, new):
        node.network.set_allowed(make_allowed(1))
    async with running(center, old, new):
        old.dial(center)
        new.dial(center)
        await eventually(lambda: center.peer_keys == [old.key])
        await eventually(lambda: new.network._dials[center.key].failures)
        center.network.set_allowed(make_allowed(1, 3))
        assert center.peer_keys == []
        assert center.handler.left == [(old.key, "NOT_ALLOWED: taken off the list")]
        await eventually(lambda: center.peer_keys == [new.key])
        await eventually(lambda: old.handler.left == [(center.key, "the peer said NOT_ALLOWED")])
        await eventually(lambda: old.network._dials[center.key].failures >= 2)
        assert center.peer_keys == [new.key]
        center.network.set_allowed(make_allowed(1, 2, 3))
        await eventually(lambda: center.peer_keys == sorted([old.key, new.key]))
        assert len(center.handler.joined) == 3, "a swap leaves those who stay connected"


async def test_a_node_taken_off_the_list_while_it_greets_does_not_join() -> None:
    node = make_node(1)
    node.network.set_allowed(make_allowed(2))
    async with running(node), raw_client(2, node) as client:
        await eventually(lambda: node.network._streams)
        node.network.set_allowed(make_allowed(3))
        assert await client.read_goodbye() is GoodbyeReason.NOT_ALLOWED


async def test_a_wrong_signature_leaves_the_list_as_it_was() -> None:
    node = make_node(1)
    node.network.set_allowed(make_allowed(2))
    with pytest.raises(InvalidCertificateError):
        node.network.set_allowed({make_certificate(2)[0]: make_certificate(3)[1]})
    assert node.network._allowed == make_allowed(2)


def test_lists_are_bounded() -> None:
    node = make_node(1)
    key, signature = make_certificate(2)
    many = [NodeKey(number.to_bytes(32, "big")) for number in range(NODES_ALLOWED_MAX + 1)]
    with pytest.raises(ValueError, match="at most 1024 nodes"):
        node.network.set_allowed(dict.fromkeys(many, signature))
    with pytest.raises(ValueError, match="at most 1024 peers"):
        node.network.set_addresses(dict.fromkeys(many, (LOOPBACK,)))
    with pytest.raises(ValueError, match="at most 4 addresses"):
        node.network.set_addresses({key: (LOOPBACK,) * 5})


async def test_a_cut_connection_is_made_anew() -> None:
    first, second = make_node(1), make_node(2)
    async with running(first, second):
        first.dial(second)
        await eventually(lambda: first.peer_keys and second.peer_keys)
        (stream,) = second.network._streams
        stream.abort()
        await eventually(lambda: len(first.handler.joined) == len(second.handler.joined) == 2)
        assert first.network.send(second.key, Channel.CONSENSUS, VOTE, b"again")
        await eventually(lambda: second.handler.messages)


async def test_a_restarted_node_is_found_again() -> None:
    first, second = make_node(1), make_node(2)
    async with running(first, second):
        first.dial(second)
        await eventually(lambda: first.peer_keys)
        address = second.address
        await second.stop()
        await eventually(lambda: first.handler.left == [(second.key, "the peer said SHUTDOWN")])
        reborn = make_node(2, listen=address)
        reborn.network.set_allowed(make_allowed(1))
        async with running(reborn):
            await eventually(lambda: first.peer_keys == [second.key] and reborn.peer_keys)


async def test_a_peer_that_lost_its_side_replaces_the_connection() -> None:
    node = make_node(1)
    node.network.set_allowed(make_allowed(2))
    async with running(node), raw_client(2, node) as before, raw_client(2, node) as after:
        await before.greet()
        await eventually(lambda: node.peer_keys)
        await after.greet()
        assert await before.read_goodbye() is GoodbyeReason.DUPLICATE
        await eventually(lambda: len(node.handler.joined) == 2)
        assert node.handler.left == [(make_certificate(2)[0], "the peer connected anew")]
        assert len(node.peer_keys) == 1


async def test_an_address_answered_by_another_node_is_not_talked_to() -> None:
    first, second, third = make_node(1), make_node(2), make_node(3)
    async with running(first, second, third):
        first.network.set_addresses({third.key: (second.address,)})
        await eventually(lambda: first.network._dials[third.key].failures)
        assert first.network.list_missing()[0].last_failure.startswith("WRONG_KEY")
        assert first.peer_keys == second.peer_keys == []


async def test_the_next_address_is_tried_when_one_fails() -> None:
    first, second = make_node(1), make_node(2)
    async with running(first, second):
        nowhere = PeerAddress("127.0.0.1", get_free_port())
        first.network.set_addresses({second.key: (nowhere, second.address)})
        await eventually(lambda: first.peer_keys)
        assert first.network.counters.dials_failed == 1


async def test_a_node_does_not_connect_to_itself() -> None:
    node = make_node(1)
    node.network.set_allowed(make_allowed(1, 2))
    async with running(node):
        node.network.set_addresses({node.key: (node.address,)})
        assert node.network.list_missing() == []
        node.network.set_addresses({make_certificate(2)[0]: (node.address,)})  # its own address under another's key
        await eventually(lambda: node.network._dials[make_certificate(2)[0]].failures)
        assert node.handler.joined == []


async def test_strangers_from_one_address_find_limited_room() -> None:
    node = make_node(1, strangers_per_address_max=2, handshake_timeout_s=5.0)
    async with running(node):
        streams = [await asyncio.open_connection(*node.address) for _ in range(3)]
        await eventually(lambda: node.network.counters.strangers_refused == 1)
        reader, _ = streams[2]
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        for _, writer in streams:
            writer.transport.abort()


async def test_inbound_peers_are_bounded() -> None:
    node = make_node(1, inbound_peers_max=1)
    node.network.set_allowed(make_allowed(2, 3))
    async with running(node), raw_client(2, node) as first, raw_client(3, node) as second:
        await first.greet()
        await eventually(lambda: node.peer_keys)
        await second.greet()
        assert await second.read_goodbye() is GoodbyeReason.TOO_MANY_PEERS


@pytest.mark.parametrize("is_slow", [False, True])
async def test_a_consensus_key_out_of_reach_delays_and_breaks_nothing(is_slow: bool) -> None:
    attempts = 0

    async def sign(_session: SessionCertificates, message: bytes) -> bytes:
        nonlocal attempts
        attempts += 1
        if attempts > 2:
            return SEAT.sign(message)
        if is_slow:
            await asyncio.sleep(60.0)
        raise SigningUnavailableError("the device does not answer")

    seated = make_node(1, facts=replace(FACTS, consensus_key=SEAT_KEY), sign=sign, hello_timeout_s=0.2)
    other = make_node(2)
    async with running(seated, other):
        seated.dial(other)
        await eventually(lambda: seated.peer_keys and other.peer_keys)
        assert attempts == 3
        assert other.network.list_peers()[0].consensus_key == SEAT_KEY


def get_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_port_in_use_is_an_error_at_once() -> None:
    first = make_node(1)
    async with running(first):
        second = make_node(2, listen=first.address)
        with pytest.raises(OSError):
            await second.network.listen()
        with pytest.raises(OSError):
            await second.network.run()


async def test_it_listens_on_ipv6_too() -> None:
    if not socket.has_ipv6:
        return
    node, other = make_node(1, listen=PeerAddress("::1", 0)), make_node(2)
    async with running(node, other):
        other.network.set_addresses({node.key: (PeerAddress("::1", node.network.port),)})
        await eventually(lambda: other.peer_keys and node.peer_keys)
        assert node.network.list_peers()[0].remote_address.startswith("[::1]:")


async def test_stopping_takes_less_than_a_second_in_any_state() -> None:
    node, peers = make_node(1), [make_node(number) for number in range(2, 5)]
    everyone = make_allowed(*range(1, 8))
    for each in (node, *peers):
        each.network.set_allowed(everyone)
    async with running(node, *peers):
        reader, writer = await asyncio.open_connection(*node.address)  # in the handshake
        async with raw_client(7, node):  # in the greeting
            node.network.set_addresses(
                {peer.key: (peer.address,) for peer in peers}
                | {make_certificate(6)[0]: (PeerAddress("127.0.0.1", get_free_port()),)}
            )
            await eventually(lambda: len(node.peer_keys) == 3)
            started_s = time.monotonic()
            await node.stop()
            assert time.monotonic() - started_s < 1.0
            assert await reader.read() == b""
        writer.close()
        assert node.network._streams == set()
        assert node.peer_keys == []
        await eventually(lambda: all(peer.handler.left == [(node.key, "the peer said SHUTDOWN")] for peer in peers))


async def test_small_messages_flow_fast_both_ways() -> None:
    """No measure of speed, but 20,000 messages that each took a task or a write of their own would not make it."""
    first, second = make_node(1), make_node(2)
    nodes: list[tuple[TestNode, TestNode]] = [(first, second), (second, first)]
    async with running(first, second):
        first.dial(second)
        await eventually(lambda: first.peer_keys and second.peer_keys)
        for number in range(10_000):
            for node, other in nodes:
                assert node.network.send(other.key, Channel.TRANSACTIONS, 300, number.to_bytes(100, "big"))
            if number % 1_000 == 0:
                await asyncio.sleep(0)
        await eventually(lambda: all(len(node.handler.messages) == 10_000 for node, _ in nodes))
        for node, _ in nodes:
            assert [int.from_bytes(payload, "big") for *_, payload in node.handler.messages] == list(range(10_000))
