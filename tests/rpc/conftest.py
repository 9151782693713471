"""A server on a free port with a fake node behind it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
import uvloop

from rpc.reads import ReadPool
from rpc.server import RpcServer
from rpc.session import Session
from rpc.settings import RpcSettings
from tests.rpc.fake_backend import FakeBackend


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Any]:
    """The loop that nodes run on; its sockets differ from asyncio's own."""
    return {"uvloop": uvloop.new_event_loop}


SETTINGS = RpcSettings(port=0)


@pytest.fixture
async def backend() -> FakeBackend:
    return FakeBackend()


@asynccontextmanager
async def serve(backend: FakeBackend, **changes: Any) -> AsyncIterator[RpcServer]:
    """A running server with changed settings."""
    server = RpcServer(backend, replace(SETTINGS, **changes))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def server(backend: FakeBackend) -> AsyncIterator[RpcServer]:
    async with serve(backend) as running:
        yield running


@pytest.fixture
async def session(backend: FakeBackend) -> AsyncIterator[Session]:
    reads = ReadPool(workers=1, queued_max=8)
    yield Session(backend, reads, SETTINGS)
    reads.close()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


async def call(http: aiohttp.ClientSession, server: RpcServer, method: str, params: Any = None) -> Any:
    """The whole response to one call over HTTP."""
    request = {"jsonrpc": "2.0", "id": 1, "method": method} | ({} if params is None else {"params": params})
    async with http.post(f"http://127.0.0.1:{server.port}/rpc", json=request) as response:
        assert response.status == 200
        return await response.json()
