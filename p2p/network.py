"""The node's peers: listens, dials, keeps exactly one connection per allowed node, and carries messages.

It knows nothing of what the messages mean. Everything here runs on one event loop; no method may be called from another
thread.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping
from hashlib import sha256
from random import Random
from typing import Final, Protocol, cast

from identity.keys import KeyType, PrivateKey
from ledger.primitives import NodeKey, Signature
from p2p.addresses import PeerAddress, format_peer_address
from p2p.admission import Door
from p2p.certificate import InvalidCertificateError, build_certificate, compact_certificate, expand_certificate
from p2p.connection import Connection, describe_error
from p2p.counters import NetworkCounters
from p2p.dialing import ADDRESSES_PER_PEER_MAX, Dial, MissingPeer, compute_backoff_s, is_new_kept
from p2p.frames import Channel, encode_message
from p2p.hello import (
    APPLICATION_KIND_MIN,
    GoodbyeReason,
    HelloFacts,
    SessionCertificates,
    SignHello,
    SigningUnavailableError,
    build_hello,
)
from p2p.peer import Peer, PeerInfo, PeerState
from p2p.rates import Score
from p2p.settings import WRITE_BUFFER_BYTES_MAX, NetworkSettings
from p2p.tls import NODES_ALLOWED_MAX, TlsContexts, build_contexts

_LISTEN_BACKLOG: Final = 128
_ACCEPT_RETRY_S: Final = 0.5  # after the system refused to accept, for instance for want of file descriptors
_TCP_NOTSENT_LOWAT: Final = getattr(socket, "TCP_NOTSENT_LOWAT", None)


class Logger(Protocol):
    """A structlog logger, or anything like one."""

    def debug(self, event: str, /, **fields: object) -> object:
        """For whoever looks for a fault."""

    def info(self, event: str, /, **fields: object) -> object:
        """For whoever operates the node."""

    def warning(self, event: str, /, **fields: object) -> object:
        """Something an operator should look at."""


class NetworkHandler(Protocol):
    """What the node does with peers. Called on the event loop, between reads: every call must be quick."""

    def peer_joined(self, info: PeerInfo) -> None:
        """A peer can be sent to from now on."""

    def peer_left(self, key: NodeKey, reason: str) -> None:
        """It cannot any more. A peer that connects anew leaves and joins again."""

    def received(self, peer: NodeKey, channel: Channel, kind: int, payload: bytes) -> None:
        """One message. Raise PeerProtocolError or DecodeError and the peer is dropped and banned for a while."""


class Network:
    """All peers of one node."""

    def __init__(
        self,
        settings: NetworkSettings,
        secret: bytes,
        hello: Callable[[], HelloFacts],
        handler: NetworkHandler,
        clock: Callable[[], float],
        random: Random,
        logger: Logger,
        *,
        sign_hello: SignHello | None = None,
    ) -> None:
        """`secret`: the 32-byte node key; `clock`: monotonic seconds; `sign_hello`: signs with the consensus key."""
        self.key = NodeKey(PrivateKey(KeyType.ED25519, secret).public_key.key)
        self.counters = NetworkCounters()
        self._settings = settings
        self._secret = secret
        self._hello = hello
        self._sign_hello = sign_hello
        self._handler = handler
        self._clock = clock
        self._random = random
        self._logger = logger
        self._certificate_hash = sha256(build_certificate(secret)).digest()
        self._allowed: dict[NodeKey, Signature] = {}
        self._tls: TlsContexts = build_contexts(secret, ())
        self._peers: dict[NodeKey, Peer] = {}
        self._streams: set[_Stream] = set()
        self._settling: dict[Peer, asyncio.Future[bool]] = {}
        self._scores: dict[NodeKey, Score] = {}
        self._banned_until_s: dict[NodeKey, float] = {}
        self._dials: dict[NodeKey, Dial] = {}
        self._door = Door(
            strangers_max=settings.strangers_max, strangers_per_address_max=settings.strangers_per_address_max
        )
        self._listeners: list[socket.socket] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._failure: asyncio.Future[None] | None = None

    # What the node asks for

    @property
    def port(self) -> int:
        """The port we listen on; only after `listen`."""
        assert self._listeners, "the network does not listen yet"
        return int(self._listeners[0].getsockname()[1])

    async def listen(self) -> None:
        """Bind the listening sockets; raises OSError if the address cannot be had. `run` does it if nobody has."""
        if self._listeners:
            return
        host, port = self._settings.listen
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        try:
            for family, kind, protocol, _, address in dict.fromkeys(found):
                bound_port = self.port if self._listeners else port
                listener = socket.socket(family, kind, protocol)
                self._listeners.append(listener)
                _bind(listener, family, (address[0], bound_port, *address[2:]))
        except OSError:
            self.stop_listening()
            raise

    def stop_listening(self) -> None:
        """Give the address back; `run` does it at its end, so only who listened and never ran needs this."""
        for listener in self._listeners:
            listener.close()
        self._listeners = []

    async def run(self) -> None:
        """Listen, dial and keep peers until cancelled; then say goodbye and close everything within a second.

        A fault in the handler ends it too: it is raised from here, in an ExceptionGroup.
        """
        await self.listen()
        self._failure = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for listener in self._listeners:
                    tasks.create_task(self._accept(listener))
                tasks.create_task(self._watch_deadlines())
                await self._failure
        finally:
            self._tasks = None
            self.stop_listening()
            await self._close_everything()

    def broadcast(self, channel: Channel, kind: int, payload: bytes, *, except_peer: NodeKey | None = None) -> int:
        """Queue a message for every peer, one excepted; how many queues took it."""
        frames = _encode(channel, kind, payload)
        return sum(
            peer.connection.send_frames(channel, frames) for key, peer in self._peers.items() if key != except_peer
        )

    def send(self, peer: NodeKey, channel: Channel, kind: int, payload: bytes) -> bool:
        """Queue a message for one peer; False if it is not connected or its queue for this channel is full."""
        connected = self._peers.get(peer)
        return connected is not None and connected.connection.send_frames(channel, _encode(channel, kind, payload))

    def list_peers(self) -> list[PeerInfo]:
        """The joined peers, by key."""
        return [self._get_info(self._peers[key]) for key in sorted(self._peers)]

    def list_missing(self) -> list[MissingPeer]:
        """The peers we dial and do not have, by key."""
        return [
            MissingPeer(key, dial.address, dial.failures, dial.last_failure)
            for key, dial in sorted(self._dials.items())
            if key not in self._peers and key in self._allowed
        ]

    def penalise(self, peer: NodeKey, points: float, reason: str) -> None:
        """Add penalty points, which fade; at `ban_points` the peer is dropped and kept away for `ban_s`."""
        if peer not in self._allowed:
            return
        now_s = self._clock()
        score = self._scores.setdefault(peer, Score(self._settings.score_decay_per_second))
        if score.add(points, now_s) < self._settings.ban_points:
            return
        del self._scores[peer]
        self._banned_until_s[peer] = now_s + self._settings.ban_s
        self.counters.bans += 1
        self._logger.warning("peer banned", peer=peer.hex(), reason=reason, seconds=self._settings.ban_s)
        for stream in self._list_streams(peer):
            stream.close(GoodbyeReason.BANNED, reason)

    def set_allowed(self, allowed: Mapping[NodeKey, Signature]) -> None:
        """Replace the allow-list: node keys with the self-signatures of their certificates.

        Peers that are no longer on it are dropped. Raises InvalidCertificateError, and changes nothing, if a signature
        is wrong, ValueError if there are more than NODES_ALLOWED_MAX.
        """
        if len(allowed) > NODES_ALLOWED_MAX:
            raise ValueError(f"at most {NODES_ALLOWED_MAX} nodes can be allowed, not {len(allowed)}")
        others = {key: signature for key, signature in allowed.items() if key != self.key}
        if others == self._allowed:
            return
        trusted = [expand_certificate(key, others[key]) for key in sorted(others)]
        self._tls = build_contexts(self._secret, trusted)
        self._allowed = others
        for kept_by_key in (self._scores, self._banned_until_s):
            for key in kept_by_key.keys() - others.keys():
                del kept_by_key[key]
        for stream in self._list_streams():
            if stream.peer is not None and stream.peer.key not in others:
                stream.close(GoodbyeReason.NOT_ALLOWED, "taken off the list")

    def set_addresses(self, addresses: Mapping[NodeKey, tuple[PeerAddress, ...]]) -> None:
        """Replace the peers to dial and keep. Those not on the allow-list are dialled once they are on it."""
        if len(addresses) > NODES_ALLOWED_MAX:
            raise ValueError(f"at most {NODES_ALLOWED_MAX} peers can be dialled, not {len(addresses)}")
        dials = {}
        for key, places in addresses.items():
            if key == self.key or not places:
                continue
            if len(places) > ADDRESSES_PER_PEER_MAX:
                raise ValueError(f"a peer has at most {ADDRESSES_PER_PEER_MAX} addresses, not {len(places)}")
            known = self._dials.get(key)
            dials[key] = known if known and known.addresses == places else Dial(places)
        self._dials = dials

    # What peers tell us (PeerOwner)

    def judge_peer(self, peer: Peer) -> GoodbyeReason | None:
        """Whether a peer whose HELLO is in order may stay."""
        if self._is_banned(peer.key):
            return GoodbyeReason.BANNED
        old = self._peers.get(peer.key)
        if old is not None:
            is_kept = is_new_kept(
                self.key,
                peer.key,
                is_old_dialed=old.is_dialed,
                is_new_dialed=peer.is_dialed,
                is_old_stable=self._is_stable(old),
            )
            return None if is_kept else GoodbyeReason.DUPLICATE
        inbound = sum(not other.is_dialed for other in self._peers.values())
        if not peer.is_dialed and inbound >= self._settings.inbound_peers_max:
            return GoodbyeReason.TOO_MANY_PEERS
        return None

    def peer_joined(self, peer: Peer) -> None:
        """A peer and we have accepted each other."""
        old = self._peers.pop(peer.key, None)
        if old is not None:
            old.close(GoodbyeReason.DUPLICATE, "the peer connected anew")
            self._handler.peer_left(peer.key, "the peer connected anew")
        self._peers[peer.key] = peer
        self._settle(peer, is_joined=True)
        info = self._get_info(peer)
        self._logger.info(
            "peer joined", peer=peer.key.hex(), role=info.role.name, address=peer.remote_address, dialed=peer.is_dialed
        )
        self._handler.peer_joined(info)

    def peer_received(self, peer: Peer, channel: Channel, kind: int, payload: bytes) -> None:
        """A message of the node's own."""
        self._handler.received(peer.key, channel, kind, payload)

    def peer_penalised(self, peer: Peer, points: float, reason: str) -> None:
        """A peer broke a rule of the transport."""
        self.penalise(peer.key, points, reason)

    def peer_closed(self, peer: Peer, reason: str) -> None:
        """A connection is over, whether it ever joined or not."""
        self._settle(peer, is_joined=False)
        if self._peers.get(peer.key) is not peer:
            self._logger.debug("connection closed", peer=peer.key.hex(), reason=reason, address=peer.remote_address)
            return
        del self._peers[peer.key]
        self._plan_next_dial(peer, reason)
        self._logger.info("peer left", peer=peer.key.hex(), reason=reason)
        self._handler.peer_left(peer.key, reason)

    # Streams

    def stream_opened(self, stream: "_Stream") -> None:
        """A TLS handshake is complete: make a peer of it, unless its key may not be here."""
        self._streams.add(stream)
        der = stream.get_peer_certificate()
        try:
            key, signature = compact_certificate(der)
        except InvalidCertificateError as error:
            stream.refuse(str(error))
            return
        if self._allowed.get(key) != signature:
            stream.refuse("the key was taken off the allow-list during the handshake")
            return
        connection = Connection(
            stream.transport, asyncio.get_running_loop(), self._clock, self._settings, self.counters
        )
        stream.connection = connection
        stream.peer = peer = Peer(
            self,
            connection,
            key=key,
            certificates=SessionCertificates(self._certificate_hash, sha256(der).digest()),
            facts=self._hello(),
            is_dialed=stream.wanted_key is not None,
            remote_address=stream.remote_address,
            clock=self._clock,
            settings=self._settings,
            counters=self.counters,
        )
        if stream.wanted_key not in (None, key):
            peer.close(GoodbyeReason.WRONG_KEY, f"{stream.remote_address} is answered by {key.hex()}")
        elif self._is_banned(key):
            peer.close(GoodbyeReason.BANNED)

    def stream_closed(self, stream: "_Stream") -> None:
        """A stream is gone."""
        self._streams.discard(stream)

    def fail(self, error: Exception) -> None:
        """A fault of our own: `run` raises it."""
        assert self._failure is not None
        if not self._failure.done():
            self._failure.set_exception(error)

    def _list_streams(self, key: NodeKey | None = None) -> list["_Stream"]:
        """The streams of one node, or all."""
        return [stream for stream in self._streams if key is None or (stream.peer and stream.peer.key == key)]

    def _get_info(self, peer: Peer) -> PeerInfo:
        score = self._scores.get(peer.key)
        return peer.get_info(score.get_points(self._clock()) if score else 0.0)

    def _is_banned(self, key: NodeKey) -> bool:
        return self._clock() < self._banned_until_s.get(key, float("-inf"))

    def _is_stable(self, peer: Peer) -> bool:
        return self._clock() - peer.joined_s > self._settings.stable_after_s

    # Deadlines and dialling

    async def _watch_deadlines(self) -> None:
        while True:
            now_s = self._clock()
            for stream in self._list_streams():
                if stream.peer is not None:
                    stream.peer.tick(now_s)
            for key in [key for key, until_s in self._banned_until_s.items() if now_s >= until_s]:
                del self._banned_until_s[key]
            self._dial_those_due(now_s)
            await asyncio.sleep(self._settings.tick_interval_s)

    def _dial_those_due(self, now_s: float) -> None:
        assert self._tasks is not None
        under_way = sum(dial.is_under_way for dial in self._dials.values())
        for key, dial in self._dials.items():
            if under_way >= self._settings.dials_at_once_max:
                return
            is_due = not dial.is_under_way and now_s >= dial.next_attempt_s
            if is_due and key in self._allowed and key not in self._peers and key not in self._banned_until_s:
                dial.is_under_way = True
                under_way += 1
                self._tasks.create_task(self._dial(key, dial))

    async def _dial(self, key: NodeKey, dial: Dial) -> None:
        """One attempt. It stays under way until its connection has joined or closed."""
        self.counters.dials += 1
        address = dial.address
        stream = _Stream(self, format_peer_address(address), wanted_key=key)
        failure = ""
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s + self._settings.handshake_timeout_s):
                await asyncio.get_running_loop().create_connection(
                    lambda: stream,
                    address.host,
                    address.port,
                    ssl=self._tls.client,
                    server_hostname="",
                    ssl_handshake_timeout=self._settings.handshake_timeout_s,
                    ssl_shutdown_timeout=self._settings.close_timeout_s,
                )
            if not await self._greet(stream):
                failure = stream.peer.end_reason if stream.peer else stream.refusal
        except OSError as error:  # TimeoutError and ssl.SSLError are among its kinds
            failure = describe_error(error)
        finally:
            dial.is_under_way = False
        if failure and key not in self._peers:
            self.counters.dials_failed += 1
            self._note_failure(key, dial, failure)

    def _plan_next_dial(self, peer: Peer, reason: str) -> None:
        """A joined peer has gone: when to dial it, if we dial it at all."""
        dial = self._dials.get(peer.key)
        if dial is None:
            return
        if self._is_stable(peer):
            dial.failures = 0
        self._note_failure(peer.key, dial, reason)

    def _note_failure(self, key: NodeKey, dial: Dial, reason: str) -> None:
        dial.next_attempt_s = self._clock() + compute_backoff_s(dial.failures, self._settings, self._random)
        dial.failures += 1
        dial.last_failure = reason
        self._logger.debug("peer missing", peer=key.hex(), reason=reason, failures=dial.failures)

    async def _greet(self, stream: "_Stream") -> bool:
        """Say our HELLO, signed by the consensus key if we have a seat; whether the peer then joined."""
        peer = stream.peer
        if peer is None:
            return False
        try:
            async with asyncio.timeout(self._settings.hello_timeout_s):
                hello = await build_hello(peer.facts, peer.certificates, self._sign_hello)
        except SigningUnavailableError as error:
            self._refuse_unsigned(peer, str(error))
        except TimeoutError:
            self._refuse_unsigned(peer, "it took too long")
        else:
            peer.greet(hello)
        return await self._wait_settled(peer)

    def _refuse_unsigned(self, peer: Peer, reason: str) -> None:
        self._logger.warning("the consensus key cannot sign a greeting", reason=reason)
        peer.close(GoodbyeReason.SIGNING_UNAVAILABLE, reason)

    async def _wait_settled(self, peer: Peer) -> bool:
        """Wait until the greeting has come to an end; whether the peer has joined."""
        if peer.state is not PeerState.GREETING:
            return peer.state is PeerState.JOINED
        settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._settling[peer] = settled
        try:
            return await settled
        finally:
            del self._settling[peer]

    def _settle(self, peer: Peer, *, is_joined: bool) -> None:
        settled = self._settling.get(peer)
        if settled is not None and not settled.done():
            settled.set_result(is_joined)

    # Listening

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        assert self._tasks is not None
        while True:
            try:
                accepted, address = await loop.sock_accept(listener)
            except OSError as error:
                self._logger.warning("cannot accept a connection", reason=describe_error(error))
                await asyncio.sleep(_ACCEPT_RETRY_S)
                continue
            host, port = address[:2]
            if not self._door.enter(host):
                self.counters.strangers_refused += 1
                accepted.close()
                continue
            self._tasks.create_task(self._serve(accepted, PeerAddress(host, port)))

    async def _serve(self, accepted: socket.socket, address: PeerAddress) -> None:
        """Take an inbound connection through handshake and greeting."""
        loop = asyncio.get_running_loop()
        stream = _Stream(self, format_peer_address(address), wanted_key=None)
        is_joined = False
        try:
            await loop.connect_accepted_socket(
                lambda: stream,
                accepted,
                ssl=self._tls.server,
                ssl_handshake_timeout=self._settings.handshake_timeout_s,
                ssl_shutdown_timeout=self._settings.close_timeout_s,
            )
            is_joined = await self._greet(stream)
        except OSError as error:
            self.counters.handshakes_refused += 1
            self._logger.debug("handshake refused", address=format_peer_address(address), reason=describe_error(error))
        finally:
            if is_joined:
                self._door.leave(address.host)
            else:
                loop.call_later(self._settings.stranger_failed_hold_s, self._door.leave, address.host)

    # Closing

    async def _close_everything(self) -> None:
        for stream in self._list_streams():
            stream.close(GoodbyeReason.SHUTDOWN, "this node stops")
        await self._wait_for_streams(self._settings.close_timeout_s)
        for stream in self._list_streams():
            stream.abort()
        await self._wait_for_streams(self._settings.close_timeout_s)
        await asyncio.sleep(0)  # handshakes cut short close their sockets in the loop's next round

    async def _wait_for_streams(self, timeout_s: float) -> None:
        waits = [asyncio.ensure_future(stream.wait_closed()) for stream in self._streams]
        if waits:
            _, pending = await asyncio.wait(waits, timeout=timeout_s)
            for wait in pending:
                wait.cancel()


class _Stream(asyncio.Protocol):
    """One TLS stream: hands what asyncio reports to its connection.

    asyncio would swallow a fault raised from here and go on; ours must end the node, hence the broad excepts.
    """

    def __init__(self, network: Network, remote_address: str, *, wanted_key: NodeKey | None) -> None:
        self.remote_address = remote_address
        self.wanted_key = wanted_key
        """Whom we dialled; None if we were dialled."""
        self.peer: Peer | None = None
        self.connection: Connection | None = None
        self.refusal = ""
        """Why no peer was made of it."""
        self._network = network
        self._transport: asyncio.Transport | None = None
        self._closed = asyncio.Event()

    @property
    def transport(self) -> asyncio.Transport:
        """The open stream."""
        assert self._transport is not None, "the handshake is not complete"
        return self._transport

    def get_peer_certificate(self) -> bytes:
        """The DER certificate whose key the peer proved to hold."""
        der: bytes | None = self.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert der is not None, "TLS has required a certificate"
        return der

    def refuse(self, reason: str) -> None:
        """Cut it without a word."""
        self.refusal = reason
        self.abort()

    def close(self, reason: GoodbyeReason, detail: str) -> None:
        """End it with a word, if there is a peer to say it to."""
        if self.peer is None:
            self.abort()
        else:
            self.peer.close(reason, detail)

    def abort(self) -> None:
        """End it now."""
        self.transport.abort()

    async def wait_closed(self) -> None:
        """Until the stream is gone."""
        await self._closed.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is complete."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        try:
            _tune(self._transport)
            self._network.stream_opened(self)
        except Exception as error:
            self._network.fail(error)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self.connection is None:
            return
        try:
            self.connection.data_received(data)
        except Exception as error:
            self._network.fail(error)

    def pause_writing(self) -> None:
        """The socket is full."""
        if self.connection is not None:
            self.connection.pause_writing()

    def resume_writing(self) -> None:
        """The socket has room."""
        if self.connection is not None:
            self.connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The stream is gone."""
        self._closed.set()
        self._network.stream_closed(self)
        if self.connection is None:
            return
        try:
            self.connection.connection_lost(exc)
        except Exception as error:
            self._network.fail(error)


def _encode(channel: Channel, kind: int, payload: bytes) -> tuple[bytes, ...]:
    assert channel is not Channel.CONTROL or kind >= APPLICATION_KIND_MIN, f"kind {kind} is the transport's own"
    return encode_message(channel, kind, payload)


def _bind(listener: socket.socket, family: int, address: tuple[object, ...]) -> None:
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind(address)
    listener.listen(_LISTEN_BACKLOG)


def _tune(transport: asyncio.Transport) -> None:
    """Keep little in the buffers below us, where urgent frames can no longer overtake."""
    transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES_MAX)
    connected = transport.get_extra_info("socket")
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if _TCP_NOTSENT_LOWAT is not None:
        connected.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, WRITE_BUFFER_BYTES_MAX)
