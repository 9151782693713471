"""A TCP proxy for one link between two nodes: it delays, falls silent, cuts and heals."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.network.homes import HOST

_CHUNK_BYTES = 64 * 1024
_CHUNKS_UNDER_WAY_MAX = 256


class LinkProxy:
    """Listens on a port and passes everything on to another."""

    def __init__(self, port: int, target_port: int) -> None:
        self.delay_s = 0.0
        self._port = port
        self._target_port = target_port
        self._is_cut = False
        self._speaking = asyncio.Event()
        self._speaking.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, HOST, self._port)

    async def close(self) -> None:
        """Stop listening and end all connections."""
        assert self._server is not None
        self._server.close()
        self.cut()
        self._speaking.set()
        await self._server.wait_closed()
        while self._writers:
            await asyncio.sleep(0.01)

    def cut(self) -> None:
        """End all connections, and each new one at once."""
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def silence(self) -> None:
        """Connections stay, nothing comes through: a network that loses everything."""
        self._speaking.clear()

    def heal(self) -> None:
        """Everything passes again."""
        self._is_cut = False
        self._speaking.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if not self._is_cut:
                await self._connect(reader, writer)
        finally:
            await self._end(writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target_port)
        except OSError:
            return
        self._writers.add(far_writer)
        try:
            directions = [
                asyncio.create_task(self._pass_on(reader, far_writer)),
                asyncio.create_task(self._pass_on(far_reader, writer)),
            ]
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
        finally:
            await self._end(far_writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_UNDER_WAY_MAX)

        async def deliver() -> None:
            while True:
                due_s, chunk = await chunks.get()
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                await self._speaking.wait()
                if not chunk:
                    return
                writer.write(chunk)
                await writer.drain()

        delivery = asyncio.create_task(deliver())
        try:
            with suppress(OSError):
                while chunk := await reader.read(_CHUNK_BYTES):
                    await chunks.put((time.monotonic() + self.delay_s, chunk))
            await chunks.put((time.monotonic() + self.delay_s, b""))
            with suppress(OSError):
                await delivery
        finally:
            delivery.cancel()
            await asyncio.gather(delivery, return_exceptions=True)

    async def _end(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def open_proxies(*proxies: LinkProxy) -> AsyncIterator[None]:
    """Proxies that run."""
    for proxy in proxies:
        await proxy.open()
    try:
        yield
    finally:
        for proxy in proxies:
            await proxy.close()
