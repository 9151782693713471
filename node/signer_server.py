"""The signer's door: listens, lets in the nodes it was told of, and answers each of them one request at a time.

| limit                                | what happens beyond it                                |
|--------------------------------------|-------------------------------------------------------|
| certificate not on the list          | refused in the TLS handshake                          |
| connections without a handshake yet  | closed at once                                        |
| one connection a node                | the newer one replaces the older                      |
| requests a second                    | the next one is read later                            |
| bytes and seconds of a message       | the connection ends, as after any malformed message   |
"""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, assert_never

from ledger.primitives import BlockHash, ChainId, NodeKey
from node.clock import Clock
from node.signer import ConsensusKeyHolder, SignerRefusedError, SignerUnavailableError
from node.signer_guard import SigningGuard
from node.signer_protocol import (
    REASON_CHARACTERS_MAX,
    SIGNER_PROTOCOL_VERSION,
    Answer,
    HelloRequest,
    ProposalRequest,
    Refused,
    Request,
    Signed,
    SignerProtocolError,
    Unavailable,
    VoteRequest,
    Welcome,
    encode_signer_message,
    read_signer_message,
)
from p2p.addresses import PeerAddress
from p2p.admission import Door
from p2p.certificate import CompactCertificate, compact_certificate, expand_certificate, split_compact
from p2p.hello import compute_seat_message
from p2p.rates import TokenBucket
from p2p.tls import build_contexts

STRANGERS_MAX: Final = 16
STRANGERS_PER_ADDRESS_MAX: Final = 4
HANDSHAKE_SECONDS_MAX: Final = 5.0
WRITE_SECONDS_MAX: Final = 2.0
REQUESTS_PER_SECOND: Final = 50.0  # a round takes three, a new peer one
REQUESTS_BURST: Final = 200.0  # a restarted node greets all its peers at once
_ACCEPT_RETRY_S: Final = 0.5  # after the system refused to accept, for instance for want of file descriptors
_BACKLOG: Final = 16


@dataclass(frozen=True, slots=True)
class SignerIdentity:
    """What the signer signs for."""

    chain_id: ChainId
    genesis_hash: BlockHash


class SignerServer:
    """All connections of one signer."""

    def __init__(
        self,
        listen: PeerAddress,
        secret: bytes,
        nodes: Sequence[CompactCertificate],
        identity: SignerIdentity,
        holder: ConsensusKeyHolder,
        guard: SigningGuard,
        clock: Clock,
        logger: Any,
    ) -> None:
        """`secret`: the signer's own 32-byte TLS key; `nodes`: certificates of those that may ask."""
        self._address = listen
        self._tls = build_contexts(secret, [expand_certificate(*split_compact(each)) for each in nodes]).server
        self._identity = identity
        self._holder = holder
        self._guard = guard
        self._clock = clock
        self._logger = logger
        self._door = Door(strangers_max=STRANGERS_MAX, strangers_per_address_max=STRANGERS_PER_ADDRESS_MAX)
        self._connections: dict[NodeKey, asyncio.StreamWriter] = {}
        self._listener: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port it listens on; only after `listen`."""
        assert self._listener is not None, "the signer does not listen yet"
        return int(self._listener.getsockname()[1])

    def listen(self) -> None:
        """Bind; raises OSError if the address cannot be had."""
        host, port = self._address
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        self._listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        self._listener.setblocking(False)

    async def run(self) -> None:
        """Serve until cancelled; ends with SafetyFileError when what is signed can no longer be kept."""
        assert self._listener is not None, "listen comes first"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    try:
                        stream, address = await loop.sock_accept(self._listener)
                    except OSError as error:
                        self._logger.warning("a connection could not be accepted", reason=error.strerror)
                        await asyncio.sleep(_ACCEPT_RETRY_S)
                        continue
                    if self._door.enter(address[0]):
                        tasks.create_task(self._receive(stream, address[0]))
                    else:
                        stream.close()
        finally:
            self._listener.close()
            for writer in self._connections.values():
                writer.transport.abort()

    async def _receive(self, stream: socket.socket, host: str) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, stream, ssl=self._tls, ssl_handshake_timeout=HANDSHAKE_SECONDS_MAX
            )
        except OSError as error:
            self._logger.warning("a stranger was refused", address=host, reason=type(error).__name__)
            stream.close()
            return
        finally:
            self._door.leave(host)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        certificate: bytes | None = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert certificate is not None, "TLS asks for a certificate"
        node, _ = compact_certificate(certificate)
        older = self._connections.get(node)
        if older is not None:
            older.transport.abort()
        self._connections[node] = writer
        self._logger.info("a node is connected", node=node.hex(), address=host)
        try:
            await self._serve(reader, writer, certificate)
        except (SignerProtocolError, TimeoutError, OSError) as error:
            self._logger.warning("a connection was ended", node=node.hex(), reason=str(error) or type(error).__name__)
        finally:
            writer.transport.abort()
            if self._connections.get(node) is writer:
                del self._connections[node]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, certificate: bytes) -> None:
        identity = self._identity
        await _write(
            writer,
            Welcome(SIGNER_PROTOCOL_VERSION, identity.chain_id, identity.genesis_hash, self._holder.public_key),
        )
        bucket = TokenBucket(REQUESTS_PER_SECOND, REQUESTS_BURST, self._clock.get_monotonic_s())
        while True:
            request = await read_signer_message(reader)
            if request is None:
                return
            if not isinstance(request, Request):
                raise SignerProtocolError(f"a node does not say {type(request).__name__}")
            await asyncio.sleep(bucket.charge(1.0, self._clock.get_monotonic_s()))
            await _write(writer, await self._answer(request, certificate))

    async def _answer(self, request: Request, certificate: bytes) -> Answer:
        try:
            match request:
                case HelloRequest(peer_certificate_hash):
                    message = compute_seat_message(
                        self._identity.chain_id,
                        self._identity.genesis_hash,
                        sha256(certificate).digest(),
                        peer_certificate_hash,
                    )
                    return Signed(await self._holder.sign_message(message))
                case VoteRequest() | ProposalRequest():
                    return Signed(await self._guard.sign(request))
                case unknown:
                    assert_never(unknown)
        except SignerRefusedError as error:
            self._logger.error("refused", request=type(request).__name__, reason=str(error), **_get_place(request))
            return Refused(str(error)[:REASON_CHARACTERS_MAX])
        except SignerUnavailableError as error:
            self._logger.error("cannot sign", request=type(request).__name__, reason=str(error))
            return Unavailable(str(error)[:REASON_CHARACTERS_MAX])


def _get_place(request: Request) -> dict[str, int]:
    return {} if isinstance(request, HelloRequest) else {"height": request.height, "round": request.round}


async def _write(writer: asyncio.StreamWriter, message: Answer | Welcome) -> None:
    writer.write(encode_signer_message(message))
    async with asyncio.timeout(WRITE_SECONDS_MAX):
        await writer.drain()
