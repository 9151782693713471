"""The HTTP server against real sockets: hostile clients, headers, limits."""

import asyncio
import json
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import rpc.server
from rpc.server import RpcServer, is_host_allowed, parse_host_name
from tests.rpc.conftest import call, serve
from tests.rpc.fake_backend import FakeBackend, build_transfer

CALL = b'{"jsonrpc":"2.0","id":1,"method":"chain_head"}'


class Raw:
    """A client that says exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, server: RpcServer) -> "Raw":
        return cls(*await asyncio.open_connection("127.0.0.1", server.port))

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hear_all(self, seconds: float = 3.0) -> bytes:
        async with asyncio.timeout(seconds):
            return await self.reader.read()

    async def hear_response(self, seconds: float = 3.0) -> tuple[int, bytes]:
        async with asyncio.timeout(seconds):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            length = int(lengths[0].split(b":")[1]) if lengths else 0
            return int(head.split()[1]), await self.reader.readexactly(length)

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def post(body: bytes, *headers: bytes, content_type: bytes = b"application/json") -> bytes:
    lines = [
        b"POST /rpc HTTP/1.1",
        b"Host: localhost",
        b"Content-Type: " + content_type,
        b"Content-Length: %d" % len(body),
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def ask(server: RpcServer, data: bytes, seconds: float = 3.0) -> tuple[int, Any]:
    raw = await Raw.connect(server)
    await raw.say(data)
    status, body = await raw.hear_response(seconds)
    await raw.close()
    return status, json.loads(body) if body.startswith((b"{", b"[")) else body


async def test_answers_a_call(server: RpcServer, http: aiohttp.ClientSession) -> None:
    response = await call(http, server, "chain_head")
    assert response["result"]["height"] == 0


async def test_keeps_the_connection_for_the_next_call(server: RpcServer) -> None:
    raw = await Raw.connect(server)
    for _ in range(3):
        await raw.say(post(CALL))
        status, _body = await raw.hear_response()
        assert status == 200
    await raw.say(post(CALL) + post(CALL))  # pipelined
    assert (await raw.hear_response())[0] == 200
    assert (await raw.hear_response())[0] == 200
    assert server.counts.connections == 1
    await raw.close()


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"GET /",
        b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{",
    ],
    ids=["nothing", "request line", "headers", "body"],
)
async def test_slow_request_is_cut_off(backend: FakeBackend, beginning: bytes) -> None:
    async with serve(backend, request_seconds_max=0.4) as server:
        raw = await Raw.connect(server)
        started = time.monotonic()

        async def drip() -> None:
            for _ in range(100):
                raw.writer.write(b"x")
                await asyncio.sleep(0.05)

        if beginning:
            await raw.say(beginning)
        dripping = asyncio.create_task(drip()) if beginning else None
        try:
            answer = await raw.hear_all()
        except ConnectionResetError:
            answer = b""  # its own late bytes were refused
        assert 0.2 < time.monotonic() - started < 2
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408")
        if dripping is not None:
            dripping.cancel()
        await raw.close()
        await wait_until(lambda: server.counts.connections == 0)


async def test_slow_second_request_is_cut_off(backend: FakeBackend) -> None:
    async with serve(backend, request_seconds_max=0.3, idle_seconds_max=30) as server:
        raw = await Raw.connect(server)
        await raw.say(post(CALL))
        assert (await raw.hear_response())[0] == 200
        await raw.say(b"POST /rpc HT")
        assert (await raw.hear_all()).startswith(b"HTTP/1.1 408")
        await raw.close()


async def test_idle_connection_is_closed(backend: FakeBackend) -> None:
    async with serve(backend, idle_seconds_max=0.3) as server:
        raw = await Raw.connect(server)
        await raw.say(post(CALL))
        assert (await raw.hear_response())[0] == 200
        started = time.monotonic()
        assert await raw.hear_all() == b""
        assert time.monotonic() - started > 0.15
        await raw.close()


async def test_client_that_does_not_read_its_answer_is_cut_off(backend: FakeBackend) -> None:
    backend.make_block([build_transfer(each) for each in range(1_500)])
    request = {"jsonrpc": "2.0", "id": 1, "method": "chain_getBlock", "params": [1, None, True]}
    batch = json.dumps([request] * 8)
    async with serve(backend, response_seconds_max=0.3) as server:
        raw = await Raw.connect(server)
        raw.writer.transport.pause_reading()
        await raw.say(post(batch.encode()))
        await wait_until(lambda: server.counts.connections == 0, seconds=10)
        raw.writer.transport.abort()
        await raw.close()


async def test_slow_clients_do_not_keep_others_waiting(backend: FakeBackend, http: aiohttp.ClientSession) -> None:
    async with serve(backend) as server:
        slow = [await Raw.connect(server) for _ in range(50)]
        for each in slow:
            await each.say(b"POST /rpc HTTP/1.1\r\nHost: localhost\r\n")
        started = time.monotonic()
        assert "result" in await call(http, server, "chain_head")
        assert time.monotonic() - started < 1
        for each in slow:
            await each.close()


async def test_connections_of_one_address_are_capped(backend: FakeBackend) -> None:
    async with serve(backend, connections_per_address_max=2) as server:
        first, second = await Raw.connect(server), await Raw.connect(server)
        await wait_until(lambda: server.counts.connections == 2)
        third = await Raw.connect(server)
        assert (await third.hear_all()).startswith(b"HTTP/1.1 503")
        assert server.counts.connections_refused_total == 1
        await first.close()
        await wait_until(lambda: server.counts.connections == 1)
        fourth = await Raw.connect(server)
        await fourth.say(post(CALL))
        assert (await fourth.hear_response())[0] == 200
        for each in (second, third, fourth):
            await each.close()


async def test_connections_are_capped_in_total(backend: FakeBackend) -> None:
    async with serve(backend, connections_max=1) as server:
        first = await Raw.connect(server)
        await wait_until(lambda: server.counts.connections == 1)
        second = await Raw.connect(server)
        assert (await second.hear_all()).startswith(b"HTTP/1.1 503")
        await first.close()
        await second.close()


async def test_body_that_is_announced_too_large_is_refused(server: RpcServer) -> None:
    body = b'{"x":"' + b"y" * 2 * 2**20 + b'"}'
    status, answer = await ask(server, post(body))
    assert status == 413
    assert answer["error"]["code"] == -32600
    assert answer["error"]["data"]["reason"] == "REQUEST_TOO_LARGE"


async def test_body_that_grows_too_large_is_refused(server: RpcServer) -> None:
    raw = await Raw.connect(server)
    await raw.say(
        b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"

    async def send() -> None:
        try:
            for _ in range(32):
                await raw.say(chunk)
        except ConnectionError:
            pass

    sending = asyncio.create_task(send())
    status, body = await raw.hear_response()
    assert (status, json.loads(body)["error"]["data"]["reason"]) == (413, "REQUEST_TOO_LARGE")
    await sending
    await raw.close()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"[" * 10_000 + b"]" * 10_000, -32700),
        (b"[" * 500 + b"]" * 500, -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"chain_head","params":[NaN]}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', -32700),
        (b"[]", -32600),
        (b"[" + b",".join([CALL] * 1_001) + b"]", -32600),
        (b"\x00" * 100, -32700),
    ],
    ids=["empty", "10k deep", "500 deep", "NaN", "bad UTF-8", "empty batch", "1001 calls", "zeros"],
)
async def test_bad_json_is_never_a_server_error(server: RpcServer, body: bytes, code: int) -> None:
    status, answer = await ask(server, post(body))
    assert (status, answer["error"]["code"], answer["id"]) == (200, code, None)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /rpc HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"PUT /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 404),
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /explorer.js/../server.py HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n", 426),
        (b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 400),
        (post(CALL, content_type=b"text/plain"), 415),
        (post(CALL, content_type=b"application/x-www-form-urlencoded"), 415),
        (post(CALL, b"Content-Encoding: gzip"), 415),
        (b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 415),
        (b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"".join([b"X-%d: y\r\n" % each for each in range(100)]) + b"\r\n", 400),
        (post(CALL, content_type=b"application/json; charset=utf-8"), 200),
    ],
)
async def test_http_is_strict(server: RpcServer, data: bytes, status: int) -> None:
    got, body = await ask(server, data)
    assert got == status
    assert b"Traceback" not in str(body).encode()


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        ("localhost", True),
        ("LOCALHOST:8645", True),
        ("127.0.0.1:8645", True),
        ("192.168.1.7", True),
        ("[::1]:8645", True),
        ("node.example:8645", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        ("[", False),
    ],
)
async def test_host_names_are_checked(backend: FakeBackend, host: str, is_allowed: bool) -> None:
    assert is_host_allowed(parse_host_name(host), ("Node.example",)) is is_allowed
    async with serve(backend, host_names=("Node.example",)) as server:
        request = post(CALL).replace(b"Host: localhost", b"Host: " + host.encode())
        status, _ = await ask(server, request)
        assert (status == 200) is is_allowed


async def test_pages_of_other_origins_are_refused_unless_allowed(backend: FakeBackend) -> None:
    async with serve(backend, cors_origins=("https://wallet.example",)) as server:
        status, _ = await ask(server, post(CALL, b"Origin: https://evil.example"))
        assert status == 403
        status, _ = await ask(server, post(CALL, b"Origin: null"))
        assert status == 403
        upgrade = (
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nOrigin: "
        )
        assert (await ask(server, upgrade + b"https://evil.example\r\n\r\n"))[0] == 403
        assert (await ask(server, upgrade + b"https://wallet.example\r\n\r\n"))[0] == 101
        assert (await ask(server, upgrade + b"http://localhost\r\n\r\n"))[0] == 101
        raw = await Raw.connect(server)
        await raw.say(post(CALL, b"Origin: https://wallet.example"))
        head = await raw.reader.readuntil(b"\r\n\r\n")
        assert b"Access-Control-Allow-Origin: https://wallet.example\r\n" in head
        await raw.close()


async def test_preflight_is_answered_for_allowed_origins_only(backend: FakeBackend) -> None:
    preflight = b"OPTIONS /rpc HTTP/1.1\r\nHost: localhost\r\nOrigin: https://wallet.example\r\n\r\n"
    async with serve(backend, cors_origins=("https://wallet.example",)) as server:
        assert (await ask(server, preflight))[0] == 204
    async with serve(backend) as server:
        assert (await ask(server, preflight))[0] == 403


async def test_notification_gets_no_content(server: RpcServer) -> None:
    assert (await ask(server, post(b'{"jsonrpc":"2.0","method":"chain_head"}')))[0] == 204


async def test_expecting_client_is_told_to_go_on(server: RpcServer) -> None:
    raw = await Raw.connect(server)
    head, body = post(CALL, b"Expect: 100-continue").split(b"\r\n\r\n", 1)
    await raw.say(head + b"\r\n\r\n")
    assert (await raw.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    await raw.say(body)
    assert (await raw.hear_response())[0] == 200
    await raw.close()


async def test_held_bytes_are_bounded(backend: FakeBackend) -> None:
    async with serve(backend, held_bytes_max=3_000) as server:
        first = await Raw.connect(server)
        await first.say(post(b" " * 2_900).removesuffix(b" " * 2_000))
        await asyncio.sleep(0.05)
        status, answer = await ask(server, post(CALL + b" " * 500))
        assert (status, answer["error"]["data"]["reason"]) == (503, "LIMIT_EXCEEDED")
        await first.close()
        await asyncio.sleep(0.05)
        assert (await ask(server, post(CALL + b" " * 500)))[0] == 200


async def test_hanging_up_ends_the_wait_but_not_the_submission(backend: FakeBackend) -> None:
    backend.submit_delay_seconds = 0.2
    transfer = build_transfer(0)
    body = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "tx_send", "params": {"raw": "0x" + transfer.raw.hex(), "wait": "final"}}
    )
    async with serve(backend) as server:
        raw = await Raw.connect(server)
        await raw.say(post(body.encode()))
        await wait_until(lambda: backend.submitted_runs == [1])
        raw.writer.transport.abort()
        await raw.close()
        await wait_until(lambda: transfer.id in backend.pending)
        await wait_until(lambda: server.counts.connections == 0)


async def test_explorer_page_is_served_with_a_strict_policy(server: RpcServer, http: aiohttp.ClientSession) -> None:
    for path, content_type in (("/", "text/html"), ("/explorer.js", "text/javascript"), ("/explorer.css", "text/css")):
        async with http.get(f"http://127.0.0.1:{server.port}{path}") as response:
            assert response.status == 200
            assert response.content_type == content_type
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            page = await response.text()
        assert len(page) > 100
        assert "innerHTML" not in page
        assert "document.write" not in page
        assert "https://" not in page
        if path == "/":
            assert not re.search(r"\son[a-z]+=|<script(?! src=)|<style|style=", page), "the policy forbids inline code"


WALLET_SOURCES = Path(rpc.server.__file__).parent / "wallet"


def list_wallet_files() -> list[str]:
    """What the page is made of; the rest is there to build it."""
    names = [
        str(path.relative_to(WALLET_SOURCES)) for path in WALLET_SOURCES.rglob("*.*") if path.suffix in (".js", ".css")
    ]
    return sorted({*names, "", "vendor/LICENCES.txt"} - {"vendor/entry.js"})


async def test_every_file_of_the_wallet_page_is_served_with_a_strict_policy(
    server: RpcServer, http: aiohttp.ClientSession
) -> None:
    base = f"http://127.0.0.1:{server.port}/wallet/"
    for name in list_wallet_files():
        async with http.get(base + name) as response:
            assert response.status == 200, name
            content = await response.text()
            policy = response.headers["Content-Security-Policy"]
            kinds = {"": "text/html", ".css": "text/css", ".js": "text/javascript", ".txt": "text/plain"}
            assert response.content_type == kinds[Path(name).suffix]
        assert content == (WALLET_SOURCES / (name or "index.html")).read_text(encoding="utf-8")
        assert policy == (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )
        assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        if not name.startswith("vendor/"):
            assert "innerHTML" not in content
            assert "https://" not in content
    async with http.get(base + "vendor/entry.js") as response:
        assert response.status == 404


async def test_the_wallet_page_is_found_without_the_last_slash(server: RpcServer, http: aiohttp.ClientSession) -> None:
    async with http.get(f"http://127.0.0.1:{server.port}/wallet", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (308, "/wallet/")


async def test_a_node_may_be_without_the_wallet_page(backend: FakeBackend, http: aiohttp.ClientSession) -> None:
    async with serve(backend, is_wallet_served=False) as server:
        for path in ("/wallet", "/wallet/", "/wallet/main.js"):
            async with http.get(f"http://127.0.0.1:{server.port}{path}") as response:
                assert response.status == 404
        async with http.get(f"http://127.0.0.1:{server.port}/") as response:
            assert response.status == 200


async def test_stop_closes_everything_quickly(backend: FakeBackend, http: aiohttp.ClientSession) -> None:
    async with serve(backend) as server:
        idle = await Raw.connect(server)
        websocket = await http.ws_connect(f"http://127.0.0.1:{server.port}/ws")
        await websocket.send_json({"jsonrpc": "2.0", "id": 1, "method": "sub_subscribe", "params": ["blocks"]})
        await websocket.receive_json()
        started = time.monotonic()
    assert time.monotonic() - started < 4
    closing = await websocket.receive_json()
    assert closing["params"]["error"]["data"]["reason"] == "NOT_READY"
    assert backend.listeners_total == 0
    assert await idle.hear_all() == b""
    await idle.close()
    await websocket.close()


async def wait_until(condition: Any, seconds: float = 3.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
