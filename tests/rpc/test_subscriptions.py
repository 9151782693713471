"""Subscriptions over the WebSocket: no gap, no duplicate, no silence for the slow."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from identity.did import Did, format_did
from ledger.receipt import Event
from rpc.server import RpcServer
from tests.rpc.conftest import serve
from tests.rpc.fake_backend import (
    NETWORK,
    RECIPIENT,
    RECIPIENT_TEXT,
    SENDER_ADDRESS,
    SENDER_TEXT,
    FakeBackend,
    build_transfer,
)
from tests.rpc.test_server import Raw, wait_until


class Subscriber:
    """A WebSocket client."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.sent = 0

    async def request(self, method: str, params: Any) -> Any:
        self.sent += 1
        await self.socket.send_json({"jsonrpc": "2.0", "id": self.sent, "method": method, "params": params})
        return await self.next()

    async def subscribe(self, topic: str, **params: Any) -> str:
        response = await self.request("sub_subscribe", {"topic": topic} | params)
        return str(response["result"]["subscription"])

    async def next(self) -> Any:
        return await self.socket.receive_json(timeout=3)

    async def take(self, count: int) -> list[Any]:
        messages = [await self.next() for _ in range(count)]
        assert {each["method"] for each in messages} <= {"sub_message"}, messages
        return [each["params"] for each in messages]

    async def is_silent(self) -> bool:
        with contextlib.suppress(TimeoutError):
            await self.socket.receive(timeout=0.1)
            return False
        return True


@asynccontextmanager
async def connect(http: aiohttp.ClientSession, server: RpcServer) -> AsyncIterator[Subscriber]:
    async with http.ws_connect(f"http://127.0.0.1:{server.port}/ws", max_msg_size=0) as socket:
        yield Subscriber(socket)


@pytest.fixture
async def subscriber(http: aiohttp.ClientSession, server: RpcServer) -> AsyncIterator[Subscriber]:
    async with connect(http, server) as connected:
        yield connected


async def test_calls_work_as_over_http(subscriber: Subscriber) -> None:
    assert (await subscriber.request("chain_head", {}))["result"]["height"] == 0
    await subscriber.socket.send_str("[" * 10_000)
    assert (await subscriber.next())["error"]["code"] == -32700
    await subscriber.socket.send_bytes(b'[{"jsonrpc":"2.0","id":1,"method":"chain_head"}]')
    assert len(await subscriber.next()) == 1


async def test_new_blocks_follow(subscriber: Subscriber, backend: FakeBackend) -> None:
    identifier = await subscriber.subscribe("blocks")
    backend.make_block([build_transfer(0)])
    backend.make_block()
    first, second = await subscriber.take(2)
    assert first["subscription"] == identifier
    assert first["topic"] == "blocks"
    assert (first["result"]["height"], first["result"]["transactionCount"]) == (1, 1)
    assert second["result"]["height"] == 2
    assert first["cursor"] != second["cursor"]


@pytest.mark.parametrize("topic", ["blocks", "transactions", "events"])
async def test_history_and_live_join_without_gap_or_duplicate(
    topic: str, subscriber: Subscriber, backend: FakeBackend
) -> None:
    sequence = iter(range(10_000))

    def make_blocks(count: int) -> None:
        for _ in range(count):
            backend.make_block([build_transfer(next(sequence)) for _ in range(3)])

    make_blocks(20)
    await subscriber.subscribe(topic, **{"from": 5})

    async def go_on() -> None:
        for _ in range(30):
            make_blocks(1)
            await asyncio.sleep(0.001)

    making = asyncio.create_task(go_on())
    per_block = 1 if topic == "blocks" else 3
    messages = await subscriber.take(46 * per_block)
    await making
    got = [(each["result"]["height"], each["result"].get("index", 0)) for each in messages]
    assert got == [(height, index) for height in range(5, 51) for index in range(per_block)]
    assert await subscriber.is_silent()


async def test_every_cursor_resumes_right_behind_its_message(
    http: aiohttp.ClientSession, server: RpcServer, backend: FakeBackend
) -> None:
    for block in range(3):
        backend.make_block([build_transfer(block * 3 + each) for each in range(3)])
    async with connect(http, server) as whole:
        await whole.subscribe("transactions", **{"from": {"height": 1}})
        messages = await whole.take(9)
    for position, message in enumerate(messages):
        async with connect(http, server) as resumed:
            await resumed.subscribe("transactions", **{"from": {"cursor": message["cursor"]}})
            rest = await resumed.take(8 - position)
            assert [each["cursor"] for each in rest] == [each["cursor"] for each in messages[position + 1 :]]
            assert await resumed.is_silent()


async def test_first_cursor_resumes_at_the_beginning(subscriber: Subscriber, backend: FakeBackend) -> None:
    response = await subscriber.request("sub_subscribe", {"topic": "blocks"})
    backend.make_block()
    backend.make_block()
    await subscriber.take(2)
    await subscriber.subscribe("blocks", **{"from": response["result"]["cursor"]})
    again = await subscriber.take(2)
    assert [each["result"]["height"] for each in again] == [1, 2]


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({}, 4),
        ({"sender": SENDER_TEXT}, 4),
        ({"sender": SENDER_TEXT.upper()}, 4),
        ({"sender": RECIPIENT_TEXT}, 0),
        ({"module": "iov"}, 4),
        ({"module": "accounts"}, 0),
        ({"module": "iov", "name": "transfer"}, 4),
        ({"name": "burn"}, 0),
    ],
)
async def test_filters(subscriber: Subscriber, backend: FakeBackend, filter_: Any, expected: int) -> None:
    backend.make_block([build_transfer(each) for each in range(4)])
    await subscriber.subscribe("transactions", filter=filter_, **{"from": 0})
    messages = await subscriber.take(expected)
    assert await subscriber.is_silent()
    for message in messages:
        call = message["result"]["transaction"]["calls"][0]
        assert call["arguments"] == {"recipient": RECIPIENT_TEXT, "amountGrains": "5"}
        assert message["result"]["receipt"]["status"] == "succeeded"


async def test_events_carry_named_fields(subscriber: Subscriber, backend: FakeBackend) -> None:
    backend.make_block([build_transfer(0, amount=7), build_transfer(1, amount=0)])
    await subscriber.subscribe("events", filter={"name": "Transferred"}, **{"from": 1})
    (message,) = await subscriber.take(1)
    assert message["result"]["event"] == {
        "module": "iov",
        "name": "Transferred",
        "fields": {"sender": SENDER_TEXT, "recipient": RECIPIENT_TEXT, "amountGrains": "7"},
    }


async def test_a_filter_for_an_identity_passes_events_that_name_it(
    subscriber: Subscriber, backend: FakeBackend
) -> None:
    holder, verifier, other = bytes([1]) * 20, bytes([2]) * 20, bytes([3]) * 20
    asked = Event("attributes", "AttributesRequested", [holder, verifier, bytes(32), 9])
    backend.make_block(events=[asked, Event("attributes", "TagSet", [other, "city"]), Event("unknown", "X", [holder])])
    for did, count in [(holder, 1), (verifier, 1), (other, 1), (bytes(20), 0)]:
        text = format_did(Did(did), NETWORK)
        await subscriber.subscribe("events", filter={"did": text}, **{"from": 1})
        for message in await subscriber.take(count):
            assert text in message["result"]["event"]["fields"].values()
        assert await subscriber.is_silent()


async def test_committee_is_sent_once_and_then_when_it_changes(subscriber: Subscriber, backend: FakeBackend) -> None:
    backend.make_block()
    await subscriber.subscribe("committee", **{"from": 1})
    backend.make_block()
    backend.make_block(committee_seed=9)
    backend.make_block()
    first, second = await subscriber.take(2)
    assert [first["result"]["height"], second["result"]["height"]] == [1, 3]
    assert first["result"]["committee"]["members"] != second["result"]["committee"]["members"]
    assert await subscriber.is_silent()
    await subscriber.subscribe("committee", **{"from": first["cursor"]})
    (resumed,) = await subscriber.take(1)
    assert resumed["result"] == second["result"]


async def test_events_of_the_blocks_end_come_last_and_belong_to_no_transaction(
    subscriber: Subscriber, backend: FakeBackend
) -> None:
    end = Event("iov", "Transferred", [RECIPIENT, SENDER_ADDRESS, 3])
    backend.make_block([build_transfer(0, amount=7)], events=[end])
    await subscriber.subscribe("events", **{"from": 1})
    first, second = await subscriber.take(2)
    assert first["result"]["transactionId"] == "0x" + build_transfer(0, amount=7).id.hex()
    assert (second["result"]["index"], second["result"]["transactionId"]) == (1, None)
    assert second["result"]["event"]["fields"] == {
        "sender": RECIPIENT_TEXT,
        "recipient": SENDER_TEXT,
        "amountGrains": "3",
    }
    await subscriber.subscribe("events", **{"from": first["cursor"]})
    (resumed,) = await subscriber.take(1)
    assert resumed["result"] == second["result"]


async def test_a_filter_for_a_sender_passes_no_events_of_the_blocks_end(
    subscriber: Subscriber, backend: FakeBackend
) -> None:
    backend.make_block(events=[Event("iov", "Transferred", [RECIPIENT, SENDER_ADDRESS, 3])])
    await subscriber.subscribe("events", filter={"sender": SENDER_TEXT}, **{"from": 1})
    assert await subscriber.is_silent()


async def test_a_next_committee_is_announced_with_the_height_from_which_it_rules(
    subscriber: Subscriber, backend: FakeBackend
) -> None:
    backend.make_block()
    await subscriber.subscribe("committee", **{"from": 1})
    backend.make_block(next_committee_seed=9)
    backend.make_block()
    backend.make_block()
    first, elected, ruling = (each["result"] for each in await subscriber.take(3))
    assert [first["height"], elected["height"], ruling["height"]] == [1, 2, 3]
    assert elected["committee"]["members"] == first["committee"]["members"]
    assert elected["nextCommittee"]["height"] == 3
    assert elected["nextCommittee"] == ruling["committee"]
    assert elected["nextCommittee"]["members"] != elected["committee"]["members"]
    assert await subscriber.is_silent()


async def test_pending_transactions_are_announced(subscriber: Subscriber, backend: FakeBackend) -> None:
    await subscriber.subscribe("pending", filter={"module": "iov"})
    backend.admit(build_transfer(4))
    (message,) = await subscriber.take(1)
    assert message["result"]["id"] == "0x" + build_transfer(4).id.hex()
    assert message["result"]["sequence"] == 4


async def test_unsubscribe_ends_the_messages(subscriber: Subscriber, backend: FakeBackend, server: RpcServer) -> None:
    identifier = await subscriber.subscribe("blocks")
    pending = await subscriber.subscribe("pending")
    assert server.counts.subscriptions == 2
    assert (await subscriber.request("sub_unsubscribe", [identifier]))["result"] == {"done": True}
    assert (await subscriber.request("sub_unsubscribe", [pending]))["result"] == {"done": True}
    assert (await subscriber.request("sub_unsubscribe", [identifier]))["error"]["data"]["reason"] == "NOT_FOUND"
    backend.make_block()
    backend.admit(build_transfer(0))
    assert await subscriber.is_silent()
    assert server.counts.subscriptions == 0


async def test_hanging_up_frees_everything(
    http: aiohttp.ClientSession, server: RpcServer, backend: FakeBackend
) -> None:
    async with connect(http, server) as subscriber:
        await subscriber.subscribe("blocks")
        await subscriber.subscribe("pending")
    await wait_until(lambda: server.counts.subscriptions == 0 and server.counts.connections == 0)
    backend.admit(build_transfer(0))
    backend.make_block()


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"topic": "weather"}, "INVALID_PARAMS"),
        ({"topic": "blocks", "from": -1}, "INVALID_PARAMS"),
        ({"topic": "blocks", "from": "garbage"}, "BAD_CURSOR"),
        ({"topic": "blocks", "from": {"cursor": "AAAA"}}, "BAD_CURSOR"),
        ({"topic": "blocks", "from": 50}, "NODE_BEHIND"),
        ({"topic": "blocks", "from": 1}, "PRUNED"),
        ({"topic": "pending", "from": 4}, "INVALID_PARAMS"),
        ({"topic": "blocks", "filter": {"sender": "iov1xyz"}}, "BAD_ADDRESS"),
        ({"topic": "events", "filter": {"did": "did:iov:testnet:Ci9TDNmoZN2SfQDyS8NgCcB8egf"}}, "BAD_DID"),
        ({"topic": "blocks", "filter": {"colour": "red"}}, "INVALID_PARAMS"),
    ],
)
async def test_bad_subscriptions(subscriber: Subscriber, backend: FakeBackend, params: Any, reason: str) -> None:
    for _ in range(4):
        backend.make_block()
    backend.earliest_height = 3
    assert (await subscriber.request("sub_subscribe", params))["error"]["data"]["reason"] == reason


async def test_cursor_of_another_topic_is_refused(subscriber: Subscriber) -> None:
    response = await subscriber.request("sub_subscribe", {"topic": "blocks"})
    cursor = response["result"]["cursor"]
    refused = await subscriber.request("sub_subscribe", {"topic": "events", "from": cursor})
    assert refused["error"]["data"]["reason"] == "BAD_CURSOR"


async def test_subscriptions_are_capped(backend: FakeBackend, http: aiohttp.ClientSession) -> None:
    async with (
        serve(backend, subscriptions_per_connection_max=2, subscriptions_max=3) as server,
        connect(http, server) as first,
        connect(http, server) as second,
    ):
        for each in (first, first, second):
            await each.subscribe("blocks")
        for each in (first, second):
            refused = await each.request("sub_subscribe", ["blocks"])
            assert refused["error"]["data"]["reason"] == "LIMIT_EXCEEDED"


async def test_subscribing_over_http_is_disabled(server: RpcServer, http: aiohttp.ClientSession) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "sub_subscribe", "params": ["blocks"]}
    async with http.post(f"http://127.0.0.1:{server.port}/rpc", json=request) as response:
        error = (await response.json())["error"]
    assert (error["code"], error["data"]["reason"]) == (-32004, "METHOD_DISABLED")


async def test_pruning_beneath_a_reader_ends_its_subscription(subscriber: Subscriber, backend: FakeBackend) -> None:
    for _ in range(3):
        backend.make_block()
    backend.read_hook = lambda: setattr(backend, "earliest_height", 3)
    await subscriber.subscribe("blocks", **{"from": 1})
    closed = await subscriber.next()
    assert closed["method"] == "sub_closed"
    assert closed["params"]["error"]["data"]["reason"] == "PRUNED"
    assert closed["params"]["error"]["data"]["earliestHeight"] == 3
    assert closed["params"]["error"]["data"]["lastCursor"]


async def _open_raw(server: RpcServer) -> Raw:
    raw = await Raw.connect(server)
    await raw.say(
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    await raw.reader.readuntil(b"\r\n\r\n")
    return raw


def _build_frame(text: bytes) -> bytes:
    """A masked text frame (RFC 6455 5.2); the mask is all zeros."""
    assert len(text) < 126
    return bytes([0x81, 0x80 | len(text)]) + b"\x00" * 4 + text


async def _read_frame(raw: Raw) -> tuple[int, bytes]:
    first, second = await raw.reader.readexactly(2)
    length = second & 0x7F
    if length >= 126:
        length = int.from_bytes(await raw.reader.readexactly(2 if length == 126 else 8), "big")
    return first & 0x0F, await raw.reader.readexactly(length)


async def test_slow_reader_is_closed_with_the_cursor_to_resume_from(
    backend: FakeBackend, http: aiohttp.ClientSession
) -> None:
    sequence = 0
    for _ in range(60):
        backend.make_block([build_transfer(sequence + each) for each in range(100)])
        sequence += 100
    async with serve(backend, send_seconds_max=0.5) as server:
        raw = await _open_raw(server)
        request = b'{"jsonrpc":"2.0","id":1,"method":"sub_subscribe","params":["transactions",{},1]}'
        await raw.say(_build_frame(request))
        raw.writer.transport.pause_reading()
        await asyncio.sleep(2.5)  # the buffers of both sides fill, and the limit passes
        raw.writer.transport.resume_reading()
        messages, closing, close_code = [], None, None
        while close_code is None:
            async with asyncio.timeout(5):
                opcode, payload = await _read_frame(raw)
            if opcode == 8:
                close_code = int.from_bytes(payload[:2], "big")
                assert payload[2:] == b"SLOW_CONSUMER"
            elif opcode == 1:
                message = json.loads(payload)
                if message.get("method") == "sub_message":
                    messages.append(message["params"])
                elif message.get("method") == "sub_closed":
                    closing = message["params"]["error"]
        await raw.close()
        assert close_code == 1008
        assert closing is not None
        assert 0 < len(messages) < sequence
        assert (closing["code"], closing["data"]["reason"]) == (-32005, "SLOW_CONSUMER")
        assert closing["data"]["lastCursor"] == messages[-1]["cursor"]
        async with connect(http, server) as resumed:
            await resumed.subscribe("transactions", **{"from": closing["data"]["lastCursor"]})
            rest = await resumed.take(sequence - len(messages))
        got = [(each["result"]["height"], each["result"]["index"]) for each in messages + rest]
        assert got == [(height, index) for height in range(1, 61) for index in range(100)]


async def test_pending_overrun_closes_the_connection(backend: FakeBackend, http: aiohttp.ClientSession) -> None:
    async with serve(backend, subscription_queue_max=5) as server, connect(http, server) as subscriber:
        await subscriber.subscribe("pending")
        for each in range(10):
            backend.admit(build_transfer(each))
        messages = [await subscriber.next() for _ in range(6)]
        assert [each["method"] for each in messages] == ["sub_message"] * 5 + ["sub_closed"]
        assert messages[-1]["params"]["error"]["data"]["reason"] == "SLOW_CONSUMER"


async def test_message_beyond_the_limit_ends_it(backend: FakeBackend, http: aiohttp.ClientSession) -> None:
    async with serve(backend, body_bytes_max=1_000) as server, connect(http, server) as subscriber:
        await subscriber.socket.send_str("x" * 2_000)
        message = await subscriber.socket.receive(timeout=3)
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert message.data == 1009
