"""One peer on one connection: greeting, keepalive and farewell."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto, unique
from typing import Final, Protocol

from ledger.codec import decode, encode
from ledger.primitives import ConsensusKey, Height, NodeKey
from p2p.connection import Connection
from p2p.counters import NetworkCounters
from p2p.frames import Channel, PeerProtocolError, encode_message
from p2p.hello import (
    APPLICATION_KIND_MIN,
    PING_BYTES,
    ControlKind,
    Goodbye,
    GoodbyeReason,
    Hello,
    HelloFacts,
    HelloRefusedError,
    SessionCertificates,
    check_hello,
    decode_hello,
    encode_hello,
    name_reason,
)
from p2p.settings import NetworkSettings
from vm.native.network import NodeRole

PROTOCOL_ERROR_POINTS: Final = 100.0  # no honest node breaks the protocol: one ban's worth


@unique
class PeerState(Enum):
    """How far a connection has come."""

    GREETING = auto()
    JOINED = auto()
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """What is known of a joined peer."""

    key: NodeKey
    role: NodeRole
    consensus_key: ConsensusKey | None
    """Proven by its signature over this session."""
    head_height: Height
    """As it was at the greeting."""
    listen_address: str
    """As the peer says; empty if it does not listen."""
    remote_address: str
    is_dialed: bool
    """Whether we dialled it."""
    joined_s: float
    """By the network's clock."""
    round_trip_s: float | None
    """Of the last PING; None before the first answer."""
    bytes_queued: int
    score: float


class PeerOwner(Protocol):
    """Decides about peers and takes their messages."""

    def judge_peer(self, peer: "Peer") -> GoodbyeReason | None:
        """Why this peer, whose HELLO is in order, cannot stay; None if it can."""

    def peer_joined(self, peer: "Peer") -> None:
        """Both sides have accepted each other."""

    def peer_received(self, peer: "Peer", channel: Channel, kind: int, payload: bytes) -> None:
        """A message of the node's own. Raises PeerProtocolError or DecodeError."""

    def peer_penalised(self, peer: "Peer", points: float, reason: str) -> None:
        """The peer did something that costs points."""

    def peer_closed(self, peer: "Peer", reason: str) -> None:
        """The connection is over; called once."""


class Peer:
    """The state of one connection with an authenticated node."""

    def __init__(
        self,
        owner: PeerOwner,
        connection: Connection,
        *,
        key: NodeKey,
        certificates: SessionCertificates,
        facts: HelloFacts,
        is_dialed: bool,
        remote_address: str,
        clock: Callable[[], float],
        settings: NetworkSettings,
        counters: NetworkCounters,
    ) -> None:
        now_s = clock()
        self.key = key
        self.certificates = certificates
        self.facts = facts
        self.is_dialed = is_dialed
        self.remote_address = remote_address
        self.state = PeerState.GREETING
        self.joined_s = now_s
        """When it joined; before that, when the stream began."""
        self.end_reason = ""
        """Why it ended."""
        self.connection = connection
        self._owner = owner
        self._clock = clock
        self._settings = settings
        self._counters = counters
        self._has_greeted = False
        self._hello: Hello | None = None
        self._round_trip_s: float | None = None
        self._ping: bytes | None = None
        self._ping_count = 0
        self._ping_sent_s = now_s
        self._pong_due_s = now_s
        connection.attach(self)

    def greet(self, hello: Hello) -> None:
        """Say our HELLO."""
        if self.state is not PeerState.GREETING:
            return
        assert not self._has_greeted, "a HELLO is said once"
        self._has_greeted = True
        self._send_control(ControlKind.HELLO, encode_hello(hello))
        if self._hello is not None:
            self._send_control(ControlKind.WELCOME)

    def get_info(self, score: float) -> PeerInfo:
        """What is known of it; only once it has joined."""
        hello = self._hello
        assert hello is not None, "a joined peer has said HELLO"
        return PeerInfo(
            key=self.key,
            role=hello.role,
            consensus_key=hello.seat.consensus_key if hello.seat else None,
            head_height=hello.head_height,
            listen_address=hello.listen_address,
            remote_address=self.remote_address,
            is_dialed=self.is_dialed,
            joined_s=self.joined_s,
            round_trip_s=self._round_trip_s,
            bytes_queued=self.connection.bytes_queued,
            score=score,
        )

    def close(self, reason: GoodbyeReason, detail: str = "") -> None:
        """End the connection with a word about why."""
        if self.state is PeerState.CLOSED:
            return
        self._counters.closed_by_us[reason.name] += 1
        self.connection.close(encode_message(Channel.CONTROL, ControlKind.GOODBYE, encode(Goodbye(reason))))
        self._closed(f"{reason.name}: {detail}" if detail else reason.name)

    def tick(self, now_s: float) -> None:
        """Look at the deadlines."""
        if self.state is PeerState.GREETING:
            if now_s - self.joined_s > self._settings.hello_timeout_s:
                self.close(GoodbyeReason.TIMED_OUT, "the greeting was not complete in time")
        elif self.state is PeerState.JOINED:
            self._keep_alive(now_s)

    def received(self, channel: Channel, kind: int, payload: bytes) -> None:
        """One message came; raises PeerProtocolError or DecodeError."""
        if channel is not Channel.CONTROL or kind >= APPLICATION_KIND_MIN:
            if self.state is not PeerState.JOINED:
                raise PeerProtocolError("the node's own messages come after the greeting")
            self._owner.peer_received(self, channel, kind, payload)
            return
        match kind:
            case ControlKind.HELLO:
                self._on_hello(payload)
            case ControlKind.WELCOME:
                self._on_welcome(payload)
            case ControlKind.GOODBYE:
                self._on_goodbye(payload)
            case ControlKind.PING:
                self._on_ping(payload)
            case ControlKind.PONG:
                self._on_pong(payload)
            case _:
                raise PeerProtocolError(f"control kind {kind} does not exist")

    def misbehaved(self, error: Exception) -> None:
        """The peer broke the protocol."""
        self.close(GoodbyeReason.PROTOCOL_ERROR, str(error))
        self._owner.peer_penalised(self, PROTOCOL_ERROR_POINTS, str(error))

    def overran(self, channel: Channel, owed_s: float) -> None:
        """The peer sent too fast; reading pauses until its debt is paid."""
        points = self._settings.channels[channel].overrun_points * (1.0 + owed_s)
        if points:
            self._owner.peer_penalised(self, points, f"too many {channel.name} messages")

    def lost(self, reason: str) -> None:
        """The stream ended without a GOODBYE."""
        self._counters.connections_lost += 1
        self._closed(reason)

    def _closed(self, reason: str) -> None:
        self.state = PeerState.CLOSED
        self.end_reason = reason
        self._owner.peer_closed(self, reason)

    def _send_control(self, kind: ControlKind, payload: bytes = b"") -> None:
        self.connection.send(Channel.CONTROL, kind, payload)

    def _on_hello(self, payload: bytes) -> None:
        if self._hello is not None:
            raise PeerProtocolError("a second HELLO")
        try:
            hello = decode_hello(payload)
            check_hello(hello, self.facts, self.certificates)
        except HelloRefusedError as refusal:
            self.close(refusal.reason)
            return
        self._hello = hello
        reason = self._owner.judge_peer(self)
        if reason is not None:
            self.close(reason)
        elif self._has_greeted:
            self._send_control(ControlKind.WELCOME)

    def _on_welcome(self, payload: bytes) -> None:
        if payload or self._hello is None or not self._has_greeted or self.state is PeerState.JOINED:
            raise PeerProtocolError("a WELCOME out of place")
        reason = self._owner.judge_peer(self)  # again: another connection of the pair may have joined meanwhile
        if reason is not None:
            self.close(reason)
            return
        self.state = PeerState.JOINED
        self.joined_s = self._ping_sent_s = self._clock()
        self.connection.open_channels()
        self._owner.peer_joined(self)

    def _on_goodbye(self, payload: bytes) -> None:
        reason = name_reason(decode(Goodbye, payload).reason)
        self._counters.closed_by_peer[reason if reason in GoodbyeReason.__members__ else "UNKNOWN"] += 1
        self.connection.close()
        self._closed(f"the peer said {reason}")

    def _on_ping(self, payload: bytes) -> None:
        if self.state is not PeerState.JOINED or len(payload) != PING_BYTES:
            raise PeerProtocolError("a PING out of place")
        self._send_control(ControlKind.PONG, payload)

    def _on_pong(self, payload: bytes) -> None:
        if self._ping is None or payload != self._ping:
            raise PeerProtocolError("a PONG to no PING")
        self._ping = None
        self._round_trip_s = self._clock() - self._ping_sent_s

    def _keep_alive(self, now_s: float) -> None:
        if self.connection.is_stalled(now_s):
            self.close(GoodbyeReason.TIMED_OUT, "a message was begun and not finished in time")
        elif self._ping is None:
            if now_s - self._ping_sent_s >= self._settings.ping_interval_s:
                self._send_ping(now_s)
        elif self.connection.is_reading_paused:
            self._pong_due_s = now_s + self._settings.pong_timeout_s  # its answer waits behind what we do not read
        elif now_s > self._pong_due_s:
            self.close(GoodbyeReason.TIMED_OUT, "no answer to a PING in time")

    def _send_ping(self, now_s: float) -> None:
        self._ping_count += 1
        self._ping = self._ping_count.to_bytes(PING_BYTES, "big")
        self._ping_sent_s = now_s
        self._pong_due_s = now_s + self._settings.pong_timeout_s
        self._send_control(ControlKind.PING, self._ping)
