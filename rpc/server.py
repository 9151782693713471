"""The HTTP side: calls, WebSocket, DIDs, explorer and wallet page, behind checks of Host, Origin and Content-Type."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from rpc.backend import Backend
from rpc.connections import GuardedConnection, GuardedServer, Phase
from rpc.dispatcher import Dispatcher
from rpc.errors import RpcError, build_error, limit_exceeded
from rpc.identifiers import IDENTIFIERS_PATH, serve_identifier
from rpc.json_codec import encode_error
from rpc.methods import METHODS
from rpc.reads import ReadPool
from rpc.session import Session
from rpc.settings import RpcSettings
from rpc.subscriptions import SubscriptionHub
from rpc.websocket import WebSocketSession

RPC_PATH: Final = "/rpc"
WEBSOCKET_PATH: Final = "/ws"
JSON_TYPES: Final = frozenset({"application/json", "application/json-rpc", "application/jsonrequest"})
_ANY: Final = "*"
_BACKLOG: Final = 256  # connections the system keeps until the loop accepts them
_SHUTDOWN_SECONDS: Final = 1.0
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_LARGE_BYTES: Final = 65_536  # smaller answers fit what every connection may buffer anyway
_CORS_SECONDS: Final = "600"
_EXPLORER_FILES: Final = {
    "/": ("index.html", "text/html"),
    "/explorer.js": ("explorer.js", "text/javascript"),
    "/explorer.css": ("explorer.css", "text/css"),
}
WALLET_PATH: Final = "/wallet/"
_WALLET_FILES: Final = {
    "": ("index.html", "text/html"),
    "wallet.css": ("wallet.css", "text/css"),
    "vendor/LICENCES.txt": ("vendor/LICENCES.txt", "text/plain"),
    **{
        name: (name, "text/javascript")
        for name in (
            "addresses.js",
            "amounts.js",
            "attributes.js",
            "bytes.js",
            "calls.js",
            "chain.js",
            "codec.js",
            "dom.js",
            "identity.js",
            "keys.js",
            "main.js",
            "reasons.js",
            "review.js",
            "rpc.js",
            "sending.js",
            "transactions.js",
            "vault.js",
            "vendor/libraries.js",
            "view_identity.js",
            "view_money.js",
            "view_requests.js",
            "view_start.js",
        )
    },
}
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_WALLET_HEADERS: Final = _PAGE_HEADERS | {
    "Content-Security-Policy": _PAGE_HEADERS["Content-Security-Policy"]
    + "; require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",  # a page that opens this one gets no hold of it
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True, slots=True)
class _Page:
    """A file as it is served."""

    content: bytes
    content_type: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class RpcCounts:
    """What the operators' endpoint shows."""

    connections: int
    connections_refused_total: int
    subscriptions: int
    calls_total: int
    errors_total: int


class _Refused(Exception):
    """An HTTP request that is answered without looking at the call in it."""

    def __init__(self, status: int, error: RpcError, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.error = error
        self.headers = headers or {}


class _HeldBytes:
    """How many bytes of requests and answers are held, all clients together."""

    def __init__(self, bytes_max: int) -> None:
        self._left = bytes_max

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Hold some more; raises RpcError LIMIT_EXCEEDED when there is no room."""
        if size > self._left:
            raise limit_exceeded("the node is busy with large requests, try again")
        self._left -= size
        try:
            yield
        finally:
            self._left += size


class RpcServer:
    """Serves a backend's methods until it is stopped. Start and stop it on the event loop that the node runs on."""

    def __init__(self, backend: Backend, settings: RpcSettings) -> None:
        self._backend = backend
        self._settings = settings
        self._dispatcher = Dispatcher(METHODS)
        self._held = _HeldBytes(settings.held_bytes_max)
        self._pages = _load_pages(settings)
        self._websockets: set[WebSocketSession] = set()
        self._reads: ReadPool | None = None
        self._hub: SubscriptionHub | None = None
        self._guarded: GuardedServer | None = None
        self._listener: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        assert self._listener is not None, "start it first"
        return int(self._listener.sockets[0].getsockname()[1])

    @property
    def counts(self) -> RpcCounts:
        """What it is busy with."""
        assert self._guarded is not None, "start it first"
        assert self._hub is not None, "start it first"
        return RpcCounts(
            connections=self._guarded.caps.total,
            connections_refused_total=self._guarded.caps.refused_total,
            subscriptions=self._hub.open_total,
            calls_total=self._dispatcher.calls_total,
            errors_total=self._dispatcher.errors_total,
        )

    async def start(self) -> None:
        """Listen; raises OSError when the address is taken."""
        settings = self._settings
        guarded = GuardedServer(self._handle, settings)
        listener = await asyncio.get_running_loop().create_server(
            guarded, settings.host, settings.port, backlog=_BACKLOG
        )
        self._guarded, self._listener = guarded, listener
        self._reads = ReadPool(workers=settings.reads_workers, queued_max=settings.reads_queued_max)
        self._hub = SubscriptionHub(self._backend, settings)

    async def stop(self) -> None:
        """Take no more connections, tell subscribers, and end what is left within a few seconds."""
        if self._listener is None or self._guarded is None or self._reads is None or self._hub is None:
            return
        self._listener.close()
        closing = [websocket.close() for websocket in self._websockets]
        if closing:
            await asyncio.wait(closing, timeout=_SHUTDOWN_SECONDS)
        self._guarded.pre_shutdown()
        await self._guarded.shutdown(_SHUTDOWN_SECONDS)
        self._hub.close()
        self._reads.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            self._check_host(request)
            origin = self._check_origin(request)
            response = await self._route(request)
        except _Refused as refusal:
            response = _respond_json(refusal.status, encode_error(None, refusal.error), refusal.headers)
            origin = None
        if origin is not None and not response.prepared:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Vary"] = "Origin"
        return response

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        match request.path, request.method:
            case "/rpc", "POST":
                return await self._serve_rpc(request)
            case "/rpc", "OPTIONS":
                return _respond_to_preflight()
            case "/ws", "GET":
                return await self._serve_websocket(request)
            case path, "GET" if path.startswith(IDENTIFIERS_PATH):
                _enter(request, Phase.HANDLING)
                return await serve_identifier(request, self._build_session())
            case path, "GET" | "HEAD" if path in self._pages:
                page = self._pages[path]
                return web.Response(
                    body=page.content, content_type=page.content_type, charset="utf-8", headers=page.headers
                )
            case "/wallet", "GET" | "HEAD" if WALLET_PATH in self._pages:
                return web.Response(status=308, headers={"Location": WALLET_PATH})  # its files are named relative to it
            case path, _ if path in (RPC_PATH, WEBSOCKET_PATH) or path.startswith(IDENTIFIERS_PATH):
                allowed = "POST, OPTIONS" if path == RPC_PATH else "GET"
                error = build_error("INVALID_REQUEST", f"{path[:64]} takes {allowed} only")
                raise _Refused(405, error, {"Allow": allowed})
            case _:
                raise _Refused(
                    404,
                    build_error("INVALID_REQUEST", "calls go to POST /rpc or GET /ws, DIDs to GET /1.0/identifiers/"),
                )

    async def _serve_rpc(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.content_type not in JSON_TYPES or "Content-Type" not in request.headers:
            raise _Refused(415, build_error("INVALID_REQUEST", "Content-Type is application/json"))
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise _Refused(415, build_error("INVALID_REQUEST", "send the body without Content-Encoding"))
        length = request.content_length
        if length is not None and length > self._settings.body_bytes_max:
            raise self._refuse_large()
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(_CONTINUE)
            request.writer.output_size = 0
        try:
            with self._held.hold(self._settings.body_bytes_max if length is None else length):
                raw = await self._read_body(request)
                _enter(request, Phase.HANDLING)
                reply = await self._dispatcher.answer(raw, self._build_session())
            if reply is None:
                return web.Response(status=204)
            response = _respond_json(200, reply)
            if len(reply) > _LARGE_BYTES:
                await self._send_held(request, response, len(reply))
            return response
        except RpcError as error:
            raise _Refused(503, error, {"Retry-After": "1"}) from None

    async def _send_held(self, request: web.BaseRequest, response: web.Response, size: int) -> None:
        """Send a large answer here, so that it counts as held until the client has read it."""
        with self._held.hold(size):
            _enter(request, Phase.RESPONDING)
            await response.prepare(request)
            await response.write_eof()

    async def _read_body(self, request: web.BaseRequest) -> bytes:
        """The whole body, never more than the limit; the connection's timer bounds the time."""
        chunks = []
        size = 0
        try:
            while chunk := await request.content.readany():
                size += len(chunk)
                if size > self._settings.body_bytes_max:
                    raise self._refuse_large()
                chunks.append(chunk)
        except (web.RequestPayloadError, HttpProcessingError, ConnectionError):
            raise _Refused(400, build_error("INVALID_REQUEST", "the body ended early or is not valid HTTP")) from None
        return b"".join(chunks)

    def _refuse_large(self) -> _Refused:
        bytes_max = self._settings.body_bytes_max
        return _Refused(413, build_error("REQUEST_TOO_LARGE", f"at most {bytes_max} bytes", bytes_max=bytes_max))

    async def _serve_websocket(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            raise _Refused(426, build_error("INVALID_REQUEST", "connect with a WebSocket"), {"Upgrade": "websocket"})
        assert self._hub is not None, "start it first"
        websocket = WebSocketSession(self._dispatcher, self._hub, self._build_session())
        self._websockets.add(websocket)
        try:
            return await websocket.serve(request)
        except web.HTTPException as error:
            raise _Refused(error.status, build_error("INVALID_REQUEST", "not a WebSocket handshake")) from None
        finally:
            self._websockets.discard(websocket)

    def _build_session(self) -> Session:
        assert self._reads is not None, "start it first"
        return Session(self._backend, self._reads, self._settings)

    def _check_host(self, request: web.BaseRequest) -> None:
        """Refuse names this node is not known by: a web page may point its own name here (DNS rebinding)."""
        name = parse_host_name(request.headers.get("Host", ""))
        if not is_host_allowed(name, self._settings.host_names):
            raise _Refused(403, build_error("INVALID_REQUEST", "this node is not known by that Host name"))

    def _check_origin(self, request: web.BaseRequest) -> str | None:
        """The web page's origin when it is another, allowed one; raises when it is not allowed."""
        origin = request.headers.get("Origin")
        if origin is None or _is_same_origin(origin, request.headers.get("Host", "")):
            return None
        if origin in self._settings.cors_origins or _ANY in self._settings.cors_origins:
            return origin
        raise _Refused(403, build_error("INVALID_REQUEST", "pages of this origin may not call this node"))


def parse_host_name(host: str) -> str:
    """The name or address of a Host header without its port; empty when there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_host_allowed(name: str, host_names: tuple[str, ...]) -> bool:
    """Localhost, any plain IP address (it cannot be rebound) and what the operator has named."""
    if not name:
        return False
    if name == "localhost" or _ANY in host_names or name in [allowed.lower() for allowed in host_names]:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_same_origin(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def _enter(request: web.BaseRequest, phase: Phase) -> None:
    connection = request.protocol
    assert isinstance(connection, GuardedConnection)
    connection.enter(phase)


def _respond_json(status: int, body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    response = web.Response(status=status, body=body, content_type="application/json", headers=headers)
    if status in (400, 413):
        response.force_close()  # what follows on this connection is not a request
    return response


def _respond_to_preflight() -> web.Response:
    """The origin check has passed; a page of an allowed origin may now send JSON."""
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "Content-Type",
            "Access-Control-Max-Age": _CORS_SECONDS,
        },
    )


def _load_pages(settings: RpcSettings) -> dict[str, _Page]:
    """Every path with its file: the explorer always, the wallet where it is wanted."""
    pages = {path: _load_page("explorer", *file, _PAGE_HEADERS) for path, file in _EXPLORER_FILES.items()}
    if settings.is_wallet_served:
        pages |= {
            WALLET_PATH + path: _load_page("wallet", *file, _WALLET_HEADERS) for path, file in _WALLET_FILES.items()
        }
    return pages


def _load_page(directory: str, name: str, content_type: str, headers: dict[str, str]) -> _Page:
    return _Page(files("rpc").joinpath(directory, name).read_bytes(), content_type, headers)
