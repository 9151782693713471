"""Connections that cannot hold the node up: caps on their number, and a timer for every phase of a request.

aiohttp alone waits without end for a first request whose headers never finish, and for a client that does not read
its answer. Here a timer runs in every phase but one, the handling, whose time the dispatcher limits.

| phase      | begins with                              | ends within            |
|------------|------------------------------------------|------------------------|
| RECEIVING  | the connection, or a request's first byte | request_seconds_max   |
| HANDLING   | the body's last byte                      | limits of the calls   |
| RESPONDING | the answer                                | response_seconds_max  |
| IDLE       | the answer's last byte                    | idle_seconds_max      |
| UPGRADED   | the WebSocket handshake                   | heartbeat and send limits |
"""

import asyncio
import logging
import secrets
from collections import Counter
from enum import Enum, unique
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, cast

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from rpc.errors import RpcError, build_error, limit_exceeded
from rpc.json_codec import encode_error
from rpc.settings import RpcSettings

HEADER_LINE_BYTES_MAX: Final = 8_190
HEADERS_MAX: Final = 64
ABORT_SECONDS: Final = 1.0  # for a last answer to leave before the connection is torn down
_LINGER_SECONDS: Final = 2.0  # for a refused body to arrive, so that the client gets to read why
_IPV6_NETWORK_BITS: Final = 64

_log = structlog.get_logger("rpc")
_silent = logging.getLogger("rpc.http")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False  # what clients do wrong is no news; our own faults are logged below


def _build_refusal(status: bytes, error: RpcError) -> bytes:
    body = encode_error(None, error)
    headers = b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close" % len(body)
    return b"HTTP/1.1 %b\r\n%b\r\n\r\n%b" % (status, headers, body)


_TIMED_OUT: Final = _build_refusal(b"408 Request Timeout", build_error("REQUEST_TIMEOUT", "send it without pauses"))
_REFUSED: Final = _build_refusal(b"503 Service Unavailable", limit_exceeded("too many connections, try again later"))


@unique
class Phase(Enum):
    """What a connection is busy with."""

    RECEIVING = 1
    HANDLING = 2
    RESPONDING = 3
    IDLE = 4
    UPGRADED = 5
    CLOSED = 6


class ConnectionCaps:
    """Counts open connections, in total and per address."""

    def __init__(self, settings: RpcSettings) -> None:
        self._total_max = settings.connections_max
        self._per_address_max = settings.connections_per_address_max
        self._by_address: Counter[str] = Counter()
        self.total = 0
        self.refused_total = 0

    def admit(self, address: str) -> bool:
        """Count a connection in, unless it is one too many."""
        if self.total >= self._total_max or self._by_address[address] >= self._per_address_max:
            self.refused_total += 1
            return False
        self.total += 1
        self._by_address[address] += 1
        return True

    def release(self, address: str) -> None:
        """Count a connection out."""
        self.total -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]


class GuardedConnection(RequestHandler):
    """One client's connection with its timer."""

    __slots__ = ("_address", "_caps", "_guarded_transport", "_phase", "_settings", "_timer")

    def __init__(self, manager: "GuardedServer", *, loop: asyncio.AbstractEventLoop, **arguments: Any) -> None:
        super().__init__(manager, loop=loop, **arguments)
        self._caps = manager.caps
        self._settings = manager.settings
        self._phase = Phase.RECEIVING
        self._timer: asyncio.TimerHandle | None = None
        self._guarded_transport: asyncio.Transport | None = None
        self._address: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection or turn it away."""
        self._guarded_transport = cast(asyncio.Transport, transport)
        address = compute_client_address(transport.get_extra_info("peername"))
        if not self._caps.admit(address):
            self._force_close = True
            self._guarded_transport.write(_REFUSED)
            self._guarded_transport.close()
            return
        self._address = address
        super().connection_made(transport)
        self.enter(Phase.RECEIVING)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self.enter(Phase.CLOSED)
        if self._address is not None:
            self._caps.release(self._address)
            self._address = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """The first byte of a further request starts its time."""
        if self._phase is Phase.IDLE and data:
            self.enter(Phase.RECEIVING)
        super().data_received(data)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer; the client has limited time to read it."""
        self.enter(Phase.RESPONDING)
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self.enter(Phase.IDLE)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A short answer to what is not HTTP; our own faults are logged and answered with an id only."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        text = "this is not a valid HTTP request\n"
        if status >= 500:
            error_id = secrets.token_hex(8)
            _log.error("request failed", error_id=error_id, exc_info=exc)
            text = f"internal error {error_id}\n"
        response = web.Response(status=status, text=text)
        response.force_close()
        return response

    def enter(self, phase: Phase) -> None:
        """Begin a phase and its timer."""
        if self._phase is Phase.CLOSED:
            return
        self._phase = phase
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        seconds = self._get_seconds(phase)
        if seconds is not None:
            self._timer = self._loop.call_later(seconds, self._on_timeout)

    def abort_soon(self, seconds: float = ABORT_SECONDS) -> None:
        """Close, and tear the connection down should the client not read in time what is left to send."""
        transport = self._guarded_transport
        self.force_close()
        if transport is not None:
            transport.close()
            self._loop.call_later(seconds, transport.abort)

    def _get_seconds(self, phase: Phase) -> float | None:
        match phase:
            case Phase.RECEIVING:
                return self._settings.request_seconds_max
            case Phase.RESPONDING:
                return self._settings.response_seconds_max
            case Phase.IDLE:
                return self._settings.idle_seconds_max
            case _:
                return None

    def _on_timeout(self) -> None:
        self._timer = None
        transport = self._guarded_transport
        if self._phase is Phase.RECEIVING and transport is not None and not transport.is_closing():
            transport.write(_TIMED_OUT)
        self.abort_soon()


class GuardedServer(web.Server):
    """Makes a guarded connection of each accepted socket."""

    def __init__(self, handler: Any, settings: RpcSettings) -> None:
        super().__init__(handler, handler_cancellation=True)
        self.settings = settings
        self.caps = ConnectionCaps(settings)

    def __call__(self) -> RequestHandler:
        """A connection for the event loop."""
        return GuardedConnection(
            self,
            loop=self._loop,
            # our own timer ends idle connections first; aiohttp's would leave a client that does not read
            keepalive_timeout=2 * self.settings.idle_seconds_max,
            tcp_keepalive=True,
            logger=_silent,
            access_log=None,
            max_line_size=HEADER_LINE_BYTES_MAX,
            max_field_size=HEADER_LINE_BYTES_MAX,
            max_headers=HEADERS_MAX,
            lingering_time=_LINGER_SECONDS,
            auto_decompress=False,  # a body is what was sent, so its limit holds
        )


def compute_client_address(peer_name: Any) -> str:
    """What counts as one client: an IPv4 address, or an IPv6 /64 network, which one household may own whole."""
    if not isinstance(peer_name, tuple):
        return "local"
    address = ip_address(str(peer_name[0]).partition("%")[0])
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Address(int(address) >> _IPV6_NETWORK_BITS << _IPV6_NETWORK_BITS)) + f"/{_IPV6_NETWORK_BITS}"
    return str(address)
