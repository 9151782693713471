"""Scenarios `devnet-4`, `devnet-1` and `latency`: real processes, real TLS, transfers over JSON-RPC."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from statistics import quantiles
from typing import Any

import aiohttp

from bench.floor import measure_floor
from bench.network import CHAIN_ID, BenchNetwork, RpcConnection
from bench.report import Result
from bench.transfers import BenchAccount, list_pairs, sign_transfer
from identity.address import Address, NetworkKind, format_address

Progress = Callable[[str], None]
SENDERS = 500
BATCH = 250
DEVNET_4_TRANSFERS = 30_000
DEVNET_1_TRANSFERS = 40_000
LATENCY_SECONDS = 20.0
LATENCY_LOAD_RATIO = 0.016  # a tenth of what four nodes do on two cores
WAIT_SECONDS_MAX = 300.0


async def run_devnet_4(progress: Progress) -> list[Result]:
    """Four super nodes on this machine; counted when final on all."""
    return await asyncio.to_thread(_run_devnet, "devnet-4", 4, DEVNET_4_TRANSFERS, 0.08, progress)


async def run_devnet_1(progress: Progress) -> list[Result]:
    """One super node."""
    return await asyncio.to_thread(_run_devnet, "devnet-1", 1, DEVNET_1_TRANSFERS, 0.2, progress)


def _make_accounts() -> list[BenchAccount]:
    return [BenchAccount(f"bench {index}") for index in range(SENDERS)]


def _run_devnet(name: str, super_nodes: int, transfers: int, minimum: float, progress: Progress) -> list[Result]:
    floor = measure_floor()
    accounts = _make_accounts()
    with BenchNetwork(super_nodes, accounts) as network:
        progress(f"signing {transfers:,} transfers")
        bodies = build_batches(network, accounts, transfers, [0] * len(accounts))
        before = network.get_heights()[0]
        progress("sending")
        started_s = time.perf_counter()
        send_all(network, bodies)
        sent_s = time.perf_counter() - started_s
        wait_until_final(network, transfers, progress)
        seconds = time.perf_counter() - started_s
        blocks = network.get_heights()[0] - before
        _check_balances(network, accounts, transfers)
    details = {"transfers": transfers, "seconds": round(seconds, 2), "sending_s": round(sent_s, 2), "blocks": blocks}
    rate = transfers / seconds
    return [Result(name, rate, "transfers/s", floor, rate / floor, minimum, details=details)]


def build_batches(
    network: BenchNetwork,
    accounts: Sequence[BenchAccount],
    transfers: int,
    sequences: list[int],
    recipients: Sequence[Address] | None = None,
    batch: int = BATCH,
) -> list[bytes]:
    """Encoded JSON-RPC batches, by default among the accounts; counts the sequences on."""
    addresses = recipients or [account.address for account in accounts]
    raws = []
    for number, recipient in list_pairs(accounts, addresses, transfers):
        raws.append(sign_transfer(accounts[number], sequences[number], recipient, 5, CHAIN_ID, network.domain))
        sequences[number] += 1
    return pack_batches(raws, batch)


def pack_batches(raws: Iterable[bytes], batch: int = BATCH) -> list[bytes]:
    """Encoded JSON-RPC batches that send these transactions."""
    calls: list[dict[str, Any]] = []
    bodies = []
    for raw in raws:
        calls.append({"jsonrpc": "2.0", "id": len(calls), "method": "tx_send", "params": {"raw": "0x" + raw.hex()}})
        if len(calls) == batch:
            bodies.append(json.dumps(calls).encode())
            calls = []
    if calls:
        bodies.append(json.dumps(calls).encode())
    return bodies


def send_all(network: BenchNetwork, bodies: Sequence[bytes]) -> None:
    """One connection per node; batches go round the nodes, so that every node is an entry."""
    failures: list[Any] = []

    def send(port: int, share: Sequence[bytes]) -> None:
        connection = RpcConnection(port)
        for body in share:
            waiting = body
            while True:
                answers = connection.post_encoded(waiting)
                refused = [answer for answer in answers if "error" in answer]
                if not refused:
                    break
                if any(not answer["error"]["data"]["retryable"] for answer in refused):
                    failures.append(refused[0])
                    return
                again = {answer["id"] for answer in refused}
                waiting = json.dumps([call for call in json.loads(body) if call["id"] in again]).encode()
                time.sleep(0.2)

    count = len(network.rpc_ports)
    threads = [
        threading.Thread(target=send, args=(port, bodies[index::count])) for index, port in enumerate(network.rpc_ports)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(f"a transfer was refused: {failures[0]}")


def wait_until_final(network: BenchNetwork, transfers: int, progress: Progress) -> None:
    """Until every node's fee account shows that all are executed: read from /metrics, which is cheap."""
    deadline_s = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        final = [_read_metric(port, "carlive_transactions_final_total") for port in network.ops_ports]
        progress(f"final on all: {min(final):,.0f} of {transfers:,}")
        if min(final) >= transfers:
            return
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"only {final} of {transfers} became final")
        time.sleep(0.1)


def _read_metric(port: int, name: str) -> float:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + " "))


def _check_balances(network: BenchNetwork, accounts: Sequence[BenchAccount], transfers: int) -> None:
    """All sequences together must count the transfers."""
    connection = RpcConnection(network.rpc_ports[-1])
    total = 0
    for account in accounts:
        total += connection.call("account_get", address=format_address(account.address, NetworkKind.DEVNET))["sequence"]
    assert total == transfers, f"{total} transfers took effect, {transfers} were sent"


async def run_latency(progress: Progress) -> list[Result]:
    """Four super nodes at about a tenth of their capacity: from sending to final, arrivals at a steady pace."""
    floor = measure_floor()
    rate = max(20, int(floor * LATENCY_LOAD_RATIO))
    accounts = _make_accounts()
    network = await asyncio.to_thread(BenchNetwork(4, accounts).__enter__)
    try:
        parameters = await asyncio.to_thread(RpcConnection(network.rpc_ports[0]).call, "chain_params")
        interval_ms = parameters["params"]["block_interval_ms"]
        progress(f"sending {rate} transfers a second for {LATENCY_SECONDS:.0f} s")
        latencies_ms = await _measure_latencies(network, accounts, rate)
    finally:
        await asyncio.to_thread(network.__exit__, None, None, None)
    cuts = quantiles(latencies_ms, n=100)
    details = {"transfers/s": rate, "interval_ms": interval_ms, "samples": len(latencies_ms)}
    return [
        Result("latency-p50", cuts[49], "ms", floor, None, 2 * interval_ms, at_most=True, details=details),
        Result("latency-p99", cuts[98], "ms", floor, None, 4 * interval_ms, at_most=True, details=details),
    ]


async def _measure_latencies(network: BenchNetwork, accounts: Sequence[BenchAccount], rate: int) -> list[float]:
    """One request a transfer, sent when its time has come whether earlier ones are final or not."""
    latencies_ms: list[float] = []
    count = int(rate * LATENCY_SECONDS)
    raws = []
    for index in range(count):
        sender, recipient = accounts[index % len(accounts)], accounts[(index * 7) % len(accounts)]
        raws.append(sign_transfer(sender, index // len(accounts), recipient.address, 5, CHAIN_ID, network.domain))

    async def send(session: aiohttp.ClientSession, index: int) -> None:
        port = network.rpc_ports[index % len(accounts) % len(network.rpc_ports)]  # a sender keeps to one node
        params = {"raw": "0x" + raws[index].hex(), "wait": "final", "timeoutMs": 30_000}
        body = {"jsonrpc": "2.0", "id": index, "method": "tx_send", "params": params}
        started_s = time.perf_counter()
        async with session.post(f"http://127.0.0.1:{port}/rpc", json=body) as response:
            answer = await response.json()
        assert answer.get("result", {}).get("status") == "final", answer
        latencies_ms.append((time.perf_counter() - started_s) * 1000)

    connector = aiohttp.TCPConnector(limit=0, limit_per_host=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
        start_s = time.perf_counter()
        for index in range(count):
            await asyncio.sleep(max(0.0, start_s + index / rate - time.perf_counter()))
            tasks.create_task(send(session, index))
    return latencies_ms
