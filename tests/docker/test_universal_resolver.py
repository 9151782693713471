"""The driver for universal resolvers, in front of a server with identities."""

import asyncio
import importlib.util
import json
import threading
from collections.abc import AsyncIterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from identity.address import NetworkKind
from identity.did import format_did
from tests.did_scene import DidScene, build_call
from tests.rpc.conftest import serve
from tests.rpc.fake_backend import NETWORK, FakeBackend
from vm.native.did_records import Service

PLACE = Path(__file__).parent.parent.parent / "docker" / "universal-resolver"


def load_driver() -> Any:
    spec = importlib.util.spec_from_file_location("driver", PLACE / "driver.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DRIVER = load_driver()


@pytest.fixture
def scene() -> DidScene:
    made = DidScene()
    made.did = made.create("alice", services=[Service("files", "Files", "https://example.com/")])
    made.text = format_did(made.did, NETWORK)
    return made


@pytest.fixture
async def ask(scene: DidScene) -> AsyncIterator[Any]:
    backend = FakeBackend()
    async with serve(backend) as server, aiohttp.ClientSession() as http:
        nodes = {"devnet": f"http://127.0.0.1:{server.port}", "testnet": "http://127.0.0.1:1"}
        driver = ThreadingHTTPServer(("127.0.0.1", 0), DRIVER.make_handler(nodes))
        thread = threading.Thread(target=driver.serve_forever)
        thread.start()

        async def get(path: str, accept: str | None = None) -> tuple[int, str, Any]:
            backend.state_values = {key: value for key, value in scene.state.changes.items() if value is not None}
            url = aiohttp.client.URL(f"http://127.0.0.1:{driver.server_port}{path}", encoded=True)
            headers = {} if accept is None else {"Accept": accept}
            async with http.get(url, headers=headers, allow_redirects=False) as response:
                body = await response.read()
                get.headers = response.headers
                return response.status, response.content_type, json.loads(body) if body else None

        try:
            yield get
        finally:
            await asyncio.to_thread(driver.shutdown)
            await asyncio.to_thread(thread.join)
            driver.server_close()


async def test_what_a_node_answers_is_passed_on(ask, scene):
    status, kind, result = await ask(f"/1.0/identifiers/{scene.text}")
    assert (status, kind, result["didDocument"]["id"]) == (200, "application/did-resolution", scene.text)
    document = await ask(f"/1.0/identifiers/{scene.text}?versionTime=1970-01-01T00:00:01Z", "application/did+ld+json")
    assert document == (200, "application/did+ld+json", result["didDocument"])
    assert (await ask(f"/1.0/identifiers/{scene.text}", "text/html"))[0] == 406
    scene.accept(build_call(scene.deactivate(scene.did), "alice"))
    assert (await ask(f"/1.0/identifiers/{scene.text}"))[0] == 410


async def test_a_redirect_is_the_clients_to_follow(ask, scene):
    assert (await ask(f"/1.0/identifiers/{scene.text}?service=files", "text/uri-list"))[0] == 303
    assert ask.headers["Location"] == "https://example.com/"


async def test_networks_without_a_node_or_with_one_that_is_down(ask, scene):
    mainnet = format_did(scene.did, NetworkKind.MAINNET)
    status, _, result = await ask(f"/1.0/identifiers/{mainnet}")
    assert (status, result["didResolutionMetadata"]["error"]["detail"]) == (
        404,
        "this driver knows no node of the mainnet",
    )
    testnet = format_did(scene.did, NetworkKind.TESTNET)
    assert (await ask(f"/1.0/identifiers/{testnet}"))[0] == 500
    assert (await ask("/elsewhere"))[0] == 404


def test_nodes_come_from_the_environment(monkeypatch, capsys):
    assert DRIVER.read_nodes({"CARLIVE_NODE_DEVNET": "http://a", "CARLIVE_NODE_MAINNET": "file:/x"}) == {
        "devnet": "http://a"
    }
    for name in ("MAINNET", "TESTNET", "DEVNET"):
        monkeypatch.delenv(f"CARLIVE_NODE_{name}", raising=False)
    assert DRIVER.main() == 2
    assert "CARLIVE_NODE_MAINNET" in capsys.readouterr().err


def test_the_network_of_a_did():
    assert [DRIVER.find_network(each) for each in ("did:iov:x", "did:iov:devnet:x#key", "did:iov:other:x")] == [
        "mainnet",
        "devnet",
        "mainnet",
    ]
