"""Nodes for tests: networks on loopback, and peers over pipes in simulated time."""

import asyncio
import heapq
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import count
from typing import Any

from identity.keys import KeyType, PrivateKey
from ledger.codec import decode
from ledger.primitives import BlockHash, ChainId, ConsensusKey, Height, NodeKey, Signature
from p2p.addresses import PeerAddress
from p2p.certificate import build_certificate, compact_certificate
from p2p.connection import Connection
from p2p.counters import NetworkCounters
from p2p.frames import MESSAGE_BYTES_MAX, Channel, FrameDecoder, Message, encode_message
from p2p.hello import (
    ControlKind,
    Goodbye,
    GoodbyeReason,
    HelloFacts,
    NodeRole,
    SessionCertificates,
    SignHello,
    build_hello,
    encode_hello,
)
from p2p.memory_pipe import PipeEnd, open_pipe
from p2p.network import Network
from p2p.peer import Peer, PeerInfo
from p2p.settings import NetworkSettings
from p2p.tls import build_contexts

LOOPBACK = PeerAddress("127.0.0.1", 0)
FACTS = HelloFacts(ChainId("test-chain"), BlockHash(bytes(32)), NodeRole.SUPER_NODE, Height(7), "", None)


def make_secret(number: int) -> bytes:
    return sha256(b"node" + number.to_bytes(4, "big")).digest()


def make_certificate(number: int) -> tuple[NodeKey, Signature]:
    return compact_certificate(build_certificate(make_secret(number)))


def make_allowed(*numbers: int) -> dict[NodeKey, Signature]:
    return dict(make_certificate(number) for number in numbers)


SEAT = PrivateKey(KeyType.ED25519, b"\x05" * 32)
SEAT_KEY = ConsensusKey(SEAT.public_key.key)


async def sign_with_seat(_session: SessionCertificates, message: bytes) -> bytes:
    return SEAT.sign(message)


class SilentLogger:
    """Keeps what would be logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def debug(self, event: str, /, **fields: object) -> None:
        self.lines.append((event, fields))

    info = warning = debug


@dataclass
class RecordingHandler:
    """Keeps what a network reports."""

    joined: list[PeerInfo] = field(default_factory=list)
    left: list[tuple[NodeKey, str]] = field(default_factory=list)
    messages: list[tuple[NodeKey, Channel, int, bytes]] = field(default_factory=list)
    on_message: Callable[[NodeKey, Channel, int, bytes], None] | None = None

    def peer_joined(self, info: PeerInfo) -> None:
        self.joined.append(info)

    def peer_left(self, key: NodeKey, reason: str) -> None:
        self.left.append((key, reason))

    def received(self, peer: NodeKey, channel: Channel, kind: int, payload: bytes) -> None:
        if self.on_message is not None:
            self.on_message(peer, channel, kind, payload)
        self.messages.append((peer, channel, kind, payload))


QUICK = NetworkSettings(
    LOOPBACK,
    handshake_timeout_s=2.0,
    hello_timeout_s=0.5,
    tick_interval_s=0.02,
    backoff_first_s=0.04,
    backoff_max_s=0.3,
    stranger_failed_hold_s=0.05,
)


@dataclass
class TestNode:
    """A network with all that a test wants to see of it."""

    __test__ = False

    network: Network
    handler: RecordingHandler
    logger: SilentLogger
    task: asyncio.Task[None] | None = None

    @property
    def key(self) -> NodeKey:
        return self.network.key

    @property
    def address(self) -> PeerAddress:
        return PeerAddress("127.0.0.1", self.network.port)

    @property
    def peer_keys(self) -> list[NodeKey]:
        return [info.key for info in self.network.list_peers()]

    def dial(self, *others: "TestNode") -> None:
        self.network.set_addresses({other.key: (other.address,) for other in others})

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            self.task = None
        self.network.stop_listening()


def make_node(
    number: int,
    *,
    settings: NetworkSettings = QUICK,
    facts: HelloFacts = FACTS,
    sign: SignHello | None = None,
    clock: Callable[[], float] = time.monotonic,
    **changes: Any,
) -> TestNode:
    handler, logger = RecordingHandler(), SilentLogger()
    network = Network(
        replace(settings, **changes),
        make_secret(number),
        lambda: facts,
        handler,
        clock,
        random.Random(number),
        logger,
        sign_hello=sign,
    )
    return TestNode(network, handler, logger)


@asynccontextmanager
async def running(*nodes: TestNode) -> AsyncIterator[None]:
    """Run networks, all on each other's allow-list unless they have one; stop them at the end."""
    everyone = dict(compact_certificate(build_certificate(node.network._secret)) for node in nodes)
    for node in nodes:
        if not node.network._allowed:
            node.network.set_allowed(everyone)
        await node.network.listen()
        node.task = asyncio.ensure_future(node.network.run())
    try:
        yield
    finally:
        for node in nodes:
            await node.stop()


async def eventually(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


class Simulation:
    """A scheduler and a clock in simulated time."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self._order = count()
        self._planned: list[tuple[float, int, SimulatedTimer]] = []

    def clock(self) -> float:
        return self.now_s

    def call_soon(self, callback: Callable[[], None], /) -> "SimulatedTimer":
        return self.call_later(0.0, callback)

    def call_later(self, delay: float, callback: Callable[[], None], /) -> "SimulatedTimer":
        timer = SimulatedTimer(callback)
        heapq.heappush(self._planned, (self.now_s + delay, next(self._order), timer))
        return timer

    def run(self, seconds: float = 0.0) -> None:
        """Perform everything planned up to so much later."""
        until_s = self.now_s + seconds
        while self._planned and self._planned[0][0] <= until_s:
            self.now_s, _, timer = heapq.heappop(self._planned)
            if timer.callback is not None:
                timer.callback()
        self.now_s = until_s


class SimulatedTimer:
    """A planned call."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


@dataclass
class RecordingReceiver:
    """Keeps what a connection reports."""

    messages: list[tuple[Channel, int, bytes]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    overruns: list[Channel] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)

    def received(self, channel: Channel, kind: int, payload: bytes) -> None:
        self.messages.append((channel, kind, payload))

    def misbehaved(self, error: Exception) -> None:
        self.errors.append(str(error))

    def overran(self, channel: Channel, owed_s: float) -> None:
        self.overruns.append(channel)

    def lost(self, reason: str) -> None:
        self.endings.append(reason)


@dataclass
class End:
    """A connection on one end of a pipe."""

    connection: Connection
    wire: PipeEnd
    receiver: RecordingReceiver
    counters: NetworkCounters


def make_ends(
    simulation: Simulation,
    settings: NetworkSettings = QUICK,
    compute_delay_s: Callable[[int], float] = lambda size_bytes: 0.0,
) -> tuple[End, End]:
    """Two connections over a pipe."""
    ends = []
    for wire in open_pipe(simulation, compute_delay_s):
        counters, receiver = NetworkCounters(), RecordingReceiver()
        connection = Connection(wire, simulation, simulation.clock, settings, counters)
        connection.attach(receiver)
        wire.connect(connection)
        ends.append(End(connection, wire, receiver, counters))
    return ends[0], ends[1]


@dataclass
class RecordingOwner:
    """Keeps what a peer reports, and judges it as it is told to."""

    verdict: GoodbyeReason | None = None
    joined: int = 0
    messages: list[tuple[Channel, int, bytes]] = field(default_factory=list)
    points: list[tuple[float, str]] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)

    def judge_peer(self, peer: Peer) -> GoodbyeReason | None:
        return self.verdict

    def peer_joined(self, peer: Peer) -> None:
        self.joined += 1

    def peer_received(self, peer: Peer, channel: Channel, kind: int, payload: bytes) -> None:
        self.messages.append((channel, kind, payload))

    def peer_penalised(self, peer: Peer, points: float, reason: str) -> None:
        self.points.append((points, reason))

    def peer_closed(self, peer: Peer, reason: str) -> None:
        self.endings.append(reason)


CERTIFICATE_HASHES = (b"\x0a" * 32, b"\x0b" * 32)


def make_peer(
    simulation: Simulation, end: End, *, side: int, facts: HelloFacts = FACTS, settings: NetworkSettings = QUICK
) -> tuple[Peer, RecordingOwner]:
    """The peer that side 0 or 1 sees on its end of a pipe."""
    owner = RecordingOwner()
    peer = Peer(
        owner,
        end.connection,
        key=make_certificate(1 - side)[0],
        certificates=SessionCertificates(CERTIFICATE_HASHES[side], CERTIFICATE_HASHES[1 - side]),
        facts=facts,
        is_dialed=side == 0,
        remote_address="pipe",
        clock=simulation.clock,
        settings=settings,
        counters=end.counters,
    )
    return peer, owner


class RawClient:
    """Speaks TLS with an allowed key and frames by hand, as honest or not as a test wants."""

    def __init__(self, number: int, node: TestNode, facts: HelloFacts) -> None:
        self._number = number
        self._node = node
        self._facts = facts
        self._decoder = FrameDecoder(MESSAGE_BYTES_MAX)
        self.messages: list[Message] = []

    async def connect(self) -> "RawClient":
        contexts = build_contexts(make_secret(self._number), [build_certificate(self._node.network._secret)])
        self.reader, self.writer = await asyncio.open_connection(
            *self._node.address, ssl=contexts.client, server_hostname=""
        )
        return self

    async def greet(self) -> "RawClient":
        own, other = build_certificate(make_secret(self._number)), build_certificate(self._node.network._secret)
        certificates = SessionCertificates(sha256(own).digest(), sha256(other).digest())
        hello = await build_hello(self._facts, certificates, sign_with_seat)
        self.say(Channel.CONTROL, ControlKind.HELLO, encode_hello(hello))
        await self.read_until(lambda: any(message.kind == ControlKind.WELCOME for message in self.messages))
        self.say(Channel.CONTROL, ControlKind.WELCOME)
        return self

    def say(self, channel: Channel, kind: int, payload: bytes = b"") -> None:
        for frame in encode_message(channel, kind, payload):
            self.writer.write(frame)

    async def read_until(self, condition: Callable[[], object]) -> None:
        """Read until something holds or the stream ends."""
        async with asyncio.timeout(10.0):
            while not condition():
                data = await self.reader.read(2**16)
                if not data:
                    return
                self.messages += self._decoder.feed(data, 0.0)

    async def read_goodbye(self) -> GoodbyeReason:
        """The reason of the GOODBYE that must come."""
        await self.read_until(lambda: any(message.kind == ControlKind.GOODBYE for message in self.messages))
        (payload,) = [message.payload for message in self.messages if message.kind == ControlKind.GOODBYE]
        return GoodbyeReason(decode(Goodbye, payload).reason)

    async def close(self) -> None:
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()


@asynccontextmanager
async def raw_client(number: int, node: TestNode, facts: HelloFacts = FACTS) -> AsyncIterator[RawClient]:
    client = await RawClient(number, node, facts).connect()
    try:
        yield client
    finally:
        await client.close()
