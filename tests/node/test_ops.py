"""The operators' port: four endpoints, and metrics that Prometheus can read."""

import asyncio
from dataclasses import replace

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from node.ops import Measure, OpsServer


class Source:
    reason: str | None = None
    measures: tuple[Measure, ...] = ()

    def why_not_ready(self) -> str | None:
        return self.reason

    def list_measures(self) -> list[Measure]:
        return list(self.measures)

    def get_version(self) -> dict[str, str | int]:
        return {"version": "1.2.3", "chainId": "carlive-devnet"}


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def client(source):
    server = OpsServer(source, "127.0.0.1", 0)
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
            yield session
    finally:
        await server.stop()


async def test_livez_says_that_the_process_answers(client, source):
    source.reason = "anything"
    answer = await client.get("/livez")
    assert (answer.status, await answer.text()) == (200, "alive\n")


async def test_readyz_follows_the_node(client, source):
    answer = await client.get("/readyz")
    assert (answer.status, await answer.text()) == (200, "ready\n")
    source.reason = "catching up: 9 blocks behind"
    answer = await client.get("/readyz")
    assert (answer.status, await answer.text()) == (503, "catching up: 9 blocks behind\n")


async def test_version_is_json(client):
    answer = await client.get("/version")
    assert answer.content_type == "application/json"
    assert await answer.json() == {"version": "1.2.3", "chainId": "carlive-devnet"}


async def test_metrics_are_prometheus_text(client, source):
    source.measures = (
        Measure("height", "Height of the last final block.", 7),
        Measure("blocks", "Blocks.", 3, is_counter=True),
        Measure("ignored", "Ignored.", 1, is_counter=True, labels=(("reason", 'odd "one"\nline'),)),
        Measure("ignored", "Ignored.", 2, is_counter=True, labels=(("reason", "late"),)),
    )
    answer = await client.get("/metrics")
    assert (answer.status, answer.content_type) == (200, "text/plain")
    families = {family.name: family for family in text_string_to_metric_families(await answer.text())}
    assert families["carlive_height"].type == "gauge"
    assert families["carlive_blocks"].type == "counter"
    samples = {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert samples == {
        ("carlive_height", ()): 7,
        ("carlive_blocks_total", ()): 3,
        ("carlive_ignored_total", (("reason", 'odd "one"\nline'),)): 1,
        ("carlive_ignored_total", (("reason", "late"),)): 2,
    }


async def test_metrics_are_read_anew_each_time(client, source):
    for value in (1, 2):
        source.measures = (Measure("height", "Height.", value),)
        assert f"carlive_height {value}.0" in await (await client.get("/metrics")).text()


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/livez", 405), ("GET", "/", 404), ("GET", "/rpc", 404)]
)
async def test_nothing_else_is_served(client, method, path, status):
    assert (await client.request(method, path)).status == status


async def test_a_client_that_never_finishes_its_request_is_let_go(source, monkeypatch):
    """aiohttp by itself has no timer before the first whole request."""
    server = OpsServer(source, "127.0.0.1", 0)
    monkeypatch.setattr(server, "_settings", replace(server._settings, request_seconds_max=0.2))
    await server.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: loc")
        async with asyncio.timeout(5):
            answer = await reader.read()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408"), answer
        writer.close()
        await writer.wait_closed()
    finally:
        await server.stop()
