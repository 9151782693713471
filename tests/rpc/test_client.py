"""Both clients against a real server, and against things that are none."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest

from ledger.primitives import GRAINS_PER_IOV, SUPPLY_GRAINS
from rpc import calls, models
from rpc.client import ATTEMPTS_MAX, AsyncClient, BadResponseError, Client, NodeUnreachableError
from rpc.errors import ErrorCode, RpcError, limit_exceeded
from rpc.models import BlockMessage, PendingView
from rpc.server import RpcServer
from tests.rpc.conftest import serve
from tests.rpc.fake_backend import BALANCE_GRAINS, RECIPIENT, SENDER_TEXT, FakeBackend, FakeDev, build_transfer

T = TypeVar("T")


def get_url(server: RpcServer) -> str:
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture
async def client(server: RpcServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(get_url(server)) as connected:
        yield connected


async def in_thread(work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work)


async def test_every_call_reads_its_result(client: AsyncClient, backend: FakeBackend) -> None:
    transfer = build_transfer(0)
    backend.dev = FakeDev(backend)
    backend.make_block([transfer])
    identifier = transfer.id
    every: list[Any] = [
        calls.node_info(),
        calls.node_status(),
        calls.node_peers(),
        calls.chain_id(),
        calls.chain_head(),
        calls.chain_genesis(),
        calls.chain_params(),
        calls.chain_get_block(height=1, full=True),
        calls.chain_get_block(block_hash=backend.blocks[1].block.header.hash),
        calls.chain_get_blocks(0),
        calls.chain_get_results(1),
        calls.chain_get_commit(1),
        calls.chain_get_committee(1),
        calls.chain_get_transaction(identifier),
        calls.chain_get_proof(b"\x10" + RECIPIENT),
        calls.chain_get_receipt_proof(identifier),
        calls.chain_get_committee_changes(),
        calls.tx_send(transfer.raw),
        calls.tx_simulate(transfer.raw),
        calls.tx_estimate(transfer.raw),
        calls.tx_decode(transfer.raw),
        calls.tx_status(identifier),
        calls.tx_pending(SENDER_TEXT),
        calls.account_get(SENDER_TEXT),
        calls.account_history(SENDER_TEXT),
        calls.iov_supply(),
        calls.iov_balance(SENDER_TEXT, at=0),
        calls.module_list(),
        calls.module_describe("iov"),
        calls.module_view("iov", "balance", {"address": SENDER_TEXT}),
        calls.dev_accounts(),
        calls.dev_fund(SENDER_TEXT, GRAINS_PER_IOV),
        calls.dev_mine(2),
        calls.dev_set_time(5),
        calls.dev_crash(1),
        calls.dev_restart(1),
        calls.dev_partition([[0, 1], [2, 3]]),
        calls.dev_heal(),
        calls.dev_snapshot(),
        calls.dev_revert("snapshot-1"),
    ]
    for each in every:
        result = await client.run(each)
        assert type(result) is each.result
        assert result.model_validate_json(result.model_dump_json(by_alias=True)) == result


async def test_results_are_typed(client: AsyncClient) -> None:
    account = await client.run(calls.account_get(SENDER_TEXT))
    assert (account.balance, account.sequence, account.policy) == (BALANCE_GRAINS, 0, None)
    assert (await client.run(calls.iov_supply())).supply == SUPPLY_GRAINS


async def test_errors_come_back_as_they_were_raised(client: AsyncClient) -> None:
    with pytest.raises(RpcError) as caught:
        await client.send(build_transfer(999).raw)
    error = caught.value
    assert (error.code, error.reason, error.is_retryable) == (ErrorCode.REJECTED, "SEQUENCE_TOO_HIGH", True)
    assert error.fields == {"expected": 7}


async def test_batch_keeps_its_order(client: AsyncClient, backend: FakeBackend) -> None:
    raws = [build_transfer(each).raw for each in (0, 999, 1)]
    first, second, third = await client.send_many(raws)
    assert isinstance(first, models.SendResult)
    assert first.id == build_transfer(0).id
    assert isinstance(second, RpcError)
    assert isinstance(third, models.SendResult)
    assert backend.submitted_runs == [3]
    assert await client.send_many([]) == []


async def test_batch_refused_as_a_whole_fails_every_call(backend: FakeBackend) -> None:
    async with serve(backend, batch_calls_max=2) as server, AsyncClient(get_url(server)) as client:
        outcomes = await client.run_batch([calls.chain_head()] * 3)
    assert [each.reason for each in outcomes if isinstance(each, RpcError)] == ["BATCH_TOO_LARGE"] * 3


async def test_waits_for_finality(client: AsyncClient, backend: FakeBackend) -> None:
    transfer = build_transfer(0)
    waiting = asyncio.create_task(client.send(transfer.raw, wait="final"))
    while transfer.id not in backend.pending:
        await asyncio.sleep(0.01)
    polling = asyncio.create_task(client.wait_final(transfer.id))
    await asyncio.sleep(0.05)
    backend.make_block([transfer])
    assert (await waiting).status == "final"
    assert (await polling).height == 1
    assert (await client.wait_final(b"\x00" * 32, timeout_ms=0)).status == "unknown"


async def test_busy_node_is_asked_again_when_that_is_safe(client: AsyncClient, backend: FakeBackend) -> None:
    asked = 0

    def refuse_twice() -> None:
        nonlocal asked
        asked += 1
        if asked <= 2:
            raise limit_exceeded("busy")

    backend.read_hook = refuse_twice
    assert (await client.run(calls.account_get(SENDER_TEXT))).balance == BALANCE_GRAINS
    assert asked == 3


async def test_what_must_not_happen_twice_is_not_tried_twice(client: AsyncClient, backend: FakeBackend) -> None:
    class _Busy(FakeDev):
        async def fund(self, address: Any, amount_grains: int) -> Any:
            self.calls.append(("fund",))
            raise limit_exceeded("busy")

    backend.dev = _Busy(backend)
    with pytest.raises(RpcError):
        await client.run(calls.dev_fund(SENDER_TEXT, 1))
    assert backend.dev.calls == [("fund",)]


async def test_subscription_yields_typed_messages(client: AsyncClient, backend: FakeBackend) -> None:
    for _ in range(3):
        backend.make_block()
    stream = client.subscribe("blocks", start=1)
    heights = []
    async for message in stream:
        assert isinstance(message.result, BlockMessage)
        heights.append(message.result.height)
        if len(heights) == 3:
            backend.make_block()
        if len(heights) == 4:
            break
    await stream.aclose()
    assert heights == [1, 2, 3, 4]


async def test_subscription_survives_a_restart_of_the_server(backend: FakeBackend, unused_tcp_port: int) -> None:
    async with AsyncClient(f"http://127.0.0.1:{unused_tcp_port}") as client:
        stream = client.subscribe("blocks")
        heights: list[int] = []

        async def follow() -> None:
            async for message in stream:
                heights.append(message.result.height)

        async with serve(backend, port=unused_tcp_port) as server:
            following = asyncio.create_task(follow())
            while server.counts.subscriptions == 0:
                await asyncio.sleep(0.01)
            backend.make_block()
            while not heights:
                await asyncio.sleep(0.01)
        backend.make_block()
        async with serve(backend, port=unused_tcp_port):
            backend.make_block()
            async with asyncio.timeout(5):
                while len(heights) < 3:
                    await asyncio.sleep(0.01)
            following.cancel()
            await asyncio.wait([following])
            await stream.aclose()
        assert heights == [1, 2, 3]


async def test_subscription_that_cannot_be_is_an_error(client: AsyncClient) -> None:
    with pytest.raises(RpcError, match="BAD_CURSOR"):
        await anext(client.subscribe("blocks", start="garbage"))


async def test_pending_subscription(client: AsyncClient, backend: FakeBackend, server: RpcServer) -> None:
    stream = client.subscribe("pending", filter={"sender": SENDER_TEXT})
    waiting = asyncio.create_task(anext(stream))
    while server.counts.subscriptions == 0:
        await asyncio.sleep(0.01)
    backend.admit(build_transfer(0))
    assert isinstance((await waiting).result, PendingView)
    await stream.aclose()


async def test_blocking_client_does_the_same(server: RpcServer, backend: FakeBackend) -> None:
    transfer = build_transfer(0)

    def work() -> None:
        with Client(get_url(server)) as client:
            assert client.run(calls.account_get(SENDER_TEXT)).balance == BALANCE_GRAINS
            assert client.send(transfer.raw).known is False
            first, second = client.send_many([transfer.raw, build_transfer(999).raw])
            assert isinstance(first, models.SendResult)
            assert first.known
            assert isinstance(second, RpcError)
            with pytest.raises(RpcError, match="SEQUENCE_TOO_HIGH"):
                client.send(build_transfer(999).raw)
            assert client.wait_final(transfer.id, timeout_ms=0).status == "pending"
            assert client.run_batch([]) == []

    await in_thread(work)
    assert server.counts.connections <= 1


async def test_blocking_client_waits_for_finality(server: RpcServer, backend: FakeBackend) -> None:
    transfer = build_transfer(0)

    def work() -> models.SendResult:
        with Client(get_url(server)) as client:
            return client.send(transfer.raw, wait="final")

    working = asyncio.create_task(in_thread(work))
    while transfer.id not in backend.pending:
        await asyncio.sleep(0.01)
    backend.make_block([transfer])
    assert (await working).status == "final"


async def test_blocking_client_subscribes(server: RpcServer, backend: FakeBackend) -> None:
    for _ in range(3):
        backend.make_block()

    def work() -> list[int]:
        heights = []
        with Client(get_url(server)) as client:
            stream = client.subscribe("blocks", start=1)
            for message in stream:
                heights.append(message.result.height)
                if len(heights) == 3:
                    break
            stream.close()
        return heights

    assert await in_thread(work) == [1, 2, 3]
    assert not [each for each in threading.enumerate() if each.name == "carlive-client"]


async def test_blocking_client_reconnects_after_an_idle_close(backend: FakeBackend) -> None:
    backend.dev = FakeDev(backend)
    async with serve(backend, idle_seconds_max=0.1) as server:

        def ask(client: Client) -> int:
            return client.run(calls.chain_head()).height

        with Client(get_url(server)) as client:
            assert await in_thread(lambda: ask(client)) == 0
            await asyncio.sleep(0.3)
            assert await in_thread(lambda: ask(client)) == 0
            await asyncio.sleep(0.3)
            assert (await in_thread(lambda: client.run(calls.dev_mine(1)))).height == 1


async def test_unreachable_node_is_explained(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    with Client(url) as client, pytest.raises(NodeUnreachableError, match="start it with: make devnet"):
        await in_thread(lambda: client.run(calls.chain_head()))
    async with AsyncClient(url) as client:
        with pytest.raises(NodeUnreachableError, match="start it with: make devnet"):
            await client.run(calls.chain_head())
        with pytest.raises(NodeUnreachableError):
            await anext(client.subscribe("blocks"))


@pytest.mark.parametrize("answer", [b"hello", b"[1]", b"7", b'{"id":1,"jsonrpc":"2.0","result":{"height":"x"}}', b"[]"])
async def test_something_else_that_answers_is_told_apart(answer: bytes) -> None:
    async def serve_other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        await writer.drain()
        writer.close()

    other = await asyncio.start_server(serve_other, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}"
    with Client(url) as client, pytest.raises(BadResponseError, match="is it the RPC port"):
        await in_thread(lambda: client.run(calls.chain_head()))
    async with AsyncClient(url) as client:
        with pytest.raises(BadResponseError):
            await client.run(calls.chain_head())
    other.close()
    await other.wait_closed()


async def test_connection_that_breaks_is_tried_again_a_few_times() -> None:
    accepted = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    other = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}"
    with Client(url) as client:
        with pytest.raises(NodeUnreachableError):
            await in_thread(lambda: client.run(calls.chain_head()))
        assert accepted == ATTEMPTS_MAX
        with pytest.raises(NodeUnreachableError):
            await in_thread(lambda: client.run(calls.dev_mine()))
        assert accepted == ATTEMPTS_MAX + 1
    other.close()
    await other.wait_closed()


@pytest.mark.parametrize("url", ["ftp://x", "localhost:8645", "", "http://"])
def test_url_is_checked(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Client(url)


def test_blocking_client_starts_without_aiohttp() -> None:
    program = "import sys, rpc.client; sys.exit('aiohttp' in sys.modules or 'rpc.methods' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
