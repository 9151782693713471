"""Scenarios `reads` and `idle`: what serving costs, and what doing nothing costs."""

import asyncio
import time
from collections.abc import Callable
from hashlib import sha256

import aiohttp

from bench.floor import measure_floor
from bench.network import BenchNetwork, RpcConnection
from bench.report import Result
from bench.throughput import build_batches, send_all, wait_until_final
from bench.transfers import BenchAccount
from identity.address import ADDRESS_BYTES, Address, NetworkKind, format_address

Progress = Callable[[str], None]
READ_CONNECTIONS = 50
READ_SECONDS = 8.0
IDLE_SECONDS = 20.0
MEMORY_TRANSFERS = 1_000_000
MEMORY_BATCH_TRANSFERS = 50_000
ACCOUNTS = 2_000


def _make_accounts() -> list[BenchAccount]:
    return [BenchAccount(f"bench {index}") for index in range(ACCOUNTS)]


async def run_reads(progress: Progress) -> list[Result]:
    """account_get over HTTP from 50 connections, one call a request."""
    floor = measure_floor()
    accounts = _make_accounts()
    network = await asyncio.to_thread(BenchNetwork(1, accounts).__enter__)
    try:
        progress(f"reading from {READ_CONNECTIONS} connections for {READ_SECONDS:.0f} s")
        rate = await _read_for_a_while(network.rpc_ports[0], accounts)
    finally:
        await asyncio.to_thread(network.__exit__, None, None, None)
    return [Result("reads", rate, "calls/s", floor, rate / floor, details={"connections": READ_CONNECTIONS})]


async def _read_for_a_while(port: int, accounts: list[BenchAccount]) -> float:
    addresses = [format_address(account.address, NetworkKind.DEVNET) for account in accounts]
    done = 0
    stop_s = time.perf_counter() + READ_SECONDS

    async def work(session: aiohttp.ClientSession, first: int) -> None:
        nonlocal done
        turn = first
        while time.perf_counter() < stop_s:
            address = addresses[turn % len(addresses)]
            turn += READ_CONNECTIONS
            body = {"jsonrpc": "2.0", "id": turn, "method": "account_get", "params": {"address": address}}
            async with session.post(f"http://127.0.0.1:{port}/rpc", json=body) as response:
                answer = await response.json()
            assert answer["result"]["address"] == address, answer
            done += 1

    connector = aiohttp.TCPConnector(limit=READ_CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
        for first in range(READ_CONNECTIONS):
            tasks.create_task(work(session, first))
    return done / READ_SECONDS


async def run_idle(progress: Progress) -> list[Result]:
    """Processor time of four nodes with nothing to do."""
    return await asyncio.to_thread(_run_idle, progress)


def _run_idle(progress: Progress) -> list[Result]:
    floor = measure_floor()
    with BenchNetwork(4, _make_accounts()) as network:
        time.sleep(3)  # what starting costs is not idling
        heights = network.get_heights()
        before = [_read_cpu_seconds(process.pid) for process in network.processes]
        progress(f"idling for {IDLE_SECONDS:.0f} s")
        time.sleep(IDLE_SECONDS)
        after = [_read_cpu_seconds(process.pid) for process in network.processes]
        assert network.get_heights() == heights, "an idle chain makes no blocks"
    percent = max(end - start for start, end in zip(before, after, strict=True)) / IDLE_SECONDS * 100
    return [Result("idle", percent, "% of a core, busiest node", floor, None, 3.0, at_most=True)]


def _read_cpu_seconds(pid: int) -> float:
    from pathlib import Path

    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def run_memory(progress: Progress) -> list[Result]:
    """Resident memory of a node after 10^6 transfers, most of them to accounts that are new."""
    return await asyncio.to_thread(_run_memory, progress)


def _run_memory(progress: Progress) -> list[Result]:
    floor = measure_floor()
    accounts = _make_accounts()
    sequences = [0] * len(accounts)
    with BenchNetwork(1, accounts) as network:
        for done in range(0, MEMORY_TRANSFERS, MEMORY_BATCH_TRANSFERS):
            progress(f"{done:,} of {MEMORY_TRANSFERS:,} transfers")
            recipients = [
                Address(sha256(b"recipient %d" % index).digest()[:ADDRESS_BYTES])
                for index in range(done, done + MEMORY_BATCH_TRANSFERS)
            ]
            send_all(network, build_batches(network, accounts, MEMORY_BATCH_TRANSFERS, sequences, recipients))
            wait_until_final(network, done + MEMORY_BATCH_TRANSFERS, lambda text: None)
        status = RpcConnection(network.rpc_ports[0]).call("node_status")
        resident_mib = _read_resident_mib(network.processes[0].pid)
    details = {"height": status["height"], "transfers": MEMORY_TRANSFERS}
    return [Result("memory", resident_mib, "MiB resident", floor, None, 400.0, at_most=True, details=details)]


def _read_resident_mib(pid: int) -> float:
    from pathlib import Path

    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024
