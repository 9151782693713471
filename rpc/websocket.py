"""One WebSocket: calls answered as they come in, subscriptions beside them, one message leaving at a time."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from rpc.connections import GuardedConnection, Phase
from rpc.dispatcher import Dispatcher
from rpc.session import Session
from rpc.subscriptions import ConnectionSubscriptions, SlowConsumerError, SubscriptionHub

_WRITER_BYTES_MAX: Final = 65_536  # written before the sender waits for the client to read


class WebSocketOutbox:
    """The sending side: messages leave one by one, each within a limited time."""

    def __init__(self, socket: web.WebSocketResponse, seconds_max: float) -> None:
        self._socket = socket
        self._seconds_max = seconds_max
        self._turn = asyncio.Lock()
        self._is_closed = False

    async def send(self, data: bytes, on_written: Callable[[], None] | None = None) -> None:
        """Send a message and wait until there is room for the next.

        The message is handed to the transport at once; being slow means that nothing after it will be. Raises
        SlowConsumerError or ConnectionError.
        """
        async with self._turn:
            if self._is_closed:
                raise ConnectionResetError("the connection is closing")
            if on_written is not None:
                on_written()
            try:
                async with asyncio.timeout(self._seconds_max):
                    await self._socket.send_frame(data, WSMsgType.TEXT)
            except TimeoutError:
                self._is_closed = True
                raise SlowConsumerError from None

    async def close(self, last_messages: list[bytes], code: WSCloseCode, reason: bytes) -> None:
        """Put the last messages behind what waits to be read, and close."""
        self._is_closed = True
        with suppress(ConnectionError):
            for message in last_messages:
                await self._socket.send_frame(message, WSMsgType.TEXT)
        await self._socket.close(code=code, message=reason, drain=False)


class WebSocketSession:
    """A connected WebSocket client."""

    def __init__(self, dispatcher: Dispatcher, hub: SubscriptionHub, session: Session) -> None:
        settings = session.settings
        self._dispatcher = dispatcher
        self._socket = web.WebSocketResponse(
            timeout=settings.close_seconds_max,
            heartbeat=settings.heartbeat_seconds,
            max_msg_size=settings.body_bytes_max,
            compress=False,  # a message is what was sent, so its limit holds
            decode_text=False,
            writer_limit=_WRITER_BYTES_MAX,
        )
        self._outbox = WebSocketOutbox(self._socket, settings.send_seconds_max)
        self._subscriptions = ConnectionSubscriptions(hub, session, self._outbox, self._on_slow)
        self._session = replace(session, subscriber=self._subscriptions)
        self._places = asyncio.Semaphore(settings.websocket_calls_max)
        self._calls: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer until either side closes."""
        connection = request.protocol
        assert isinstance(connection, GuardedConnection)
        await self._socket.prepare(request)
        connection.enter(Phase.UPGRADED)
        try:
            async for message in self._socket:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    break
                await self._places.acquire()
                call = asyncio.create_task(self._answer(message.data))
                self._calls.add(call)
                call.add_done_callback(self._on_answered)
        finally:
            self._end()
            connection.abort_soon(self._session.settings.close_seconds_max)
        if self._closing is not None:
            await asyncio.wait([self._closing])
        return self._socket

    def close(self, reason: str = "NOT_READY", code: WSCloseCode = WSCloseCode.GOING_AWAY) -> asyncio.Task[None]:
        """Begin to close, saying why; closing twice is harmless."""
        if self._closing is None:
            last_messages = self._subscriptions.build_closings(reason)
            self._closing = asyncio.create_task(self._outbox.close(last_messages, code, reason.encode()))
        return self._closing

    def _on_slow(self) -> None:
        self.close("SLOW_CONSUMER", WSCloseCode.POLICY_VIOLATION)

    async def _answer(self, raw: bytes) -> None:
        try:
            reply = await self._dispatcher.answer(raw, self._session)
            if reply is not None:
                await self._outbox.send(reply)
            self._subscriptions.start_opened()
        except SlowConsumerError:
            self._on_slow()
        except ConnectionError:
            pass  # nobody is left to answer

    def _on_answered(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._places.release()

    def _end(self) -> None:
        for call in self._calls:
            call.cancel()
        self._subscriptions.close()
