"""Scenario `one-down`: what four super nodes do with one of them dead."""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

from bench.floor import measure_floor
from bench.network import BenchNetwork, RpcConnection
from bench.report import Result
from bench.throughput import build_batches, send_all, wait_until_final
from bench.transfers import BenchAccount

Progress = Callable[[str], None]
ACCOUNTS = 500
TRANSFERS = 20_000
STEADY_SECONDS = 20.0
STEADY_BATCHES_PER_SECOND = 4
STEADY_BATCH_TRANSFERS = 25
DEAD = 3


async def run_one_down(progress: Progress) -> list[Result]:
    """Throughput with three of four against all four, and the longest pause between two blocks under a light load."""
    return await asyncio.to_thread(_run_one_down, progress)


def _run_one_down(progress: Progress) -> list[Result]:
    floor = measure_floor()
    accounts = [BenchAccount(f"bench {index}") for index in range(ACCOUNTS)]
    sequences = [0] * ACCOUNTS
    with BenchNetwork(4, accounts) as network:
        interval_ms = RpcConnection(network.rpc_ports[0]).call("chain_params")["params"]["block_interval_ms"]
        progress("all four")
        up_rate = _measure_rate(network, accounts, sequences, 0)
        network.kill(DEAD)
        progress("three of four")
        down_rate = _measure_rate(network, accounts, sequences, TRANSFERS)
        progress("three of four, lightly loaded")
        pauses_ms = _measure_pauses(network, accounts, sequences)
    rate_details = {"transfers/s with all up": round(up_rate), "transfers": TRANSFERS}
    pause_details = {"interval_ms": interval_ms, "blocks": len(pauses_ms)}
    worst_ms = max(pauses_ms)
    return [
        Result("one-down", down_rate, "transfers/s", floor, down_rate / up_rate, 0.7, details=rate_details),
        Result("one-down-pause", worst_ms, "ms", floor, None, 3 * interval_ms, at_most=True, details=pause_details),
    ]


def _measure_rate(
    network: BenchNetwork, accounts: Sequence[BenchAccount], sequences: list[int], already_final: int
) -> float:
    bodies = build_batches(network, accounts, TRANSFERS, sequences)
    started_s = time.perf_counter()
    send_all(network, bodies)
    wait_until_final(network, already_final + TRANSFERS, lambda text: None)
    return TRANSFERS / (time.perf_counter() - started_s)


def _measure_pauses(network: BenchNetwork, accounts: Sequence[BenchAccount], sequences: list[int]) -> list[int]:
    """Milliseconds between the blocks that were made while transfers trickled in."""
    connection = RpcConnection(network.rpc_ports[0])
    first = connection.call("chain_head")["height"] + 1
    count = int(STEADY_SECONDS * STEADY_BATCHES_PER_SECOND)
    bodies = build_batches(network, accounts, count * STEADY_BATCH_TRANSFERS, sequences, batch=STEADY_BATCH_TRANSFERS)
    started_s = time.perf_counter()
    for index, body in enumerate(bodies):
        time.sleep(max(0.0, started_s + index / STEADY_BATCHES_PER_SECOND - time.perf_counter()))
        answers = connection.post_encoded(body)
        assert all("result" in answer for answer in answers), "a lightly loaded network refuses nothing"
    last = connection.call("chain_head")["height"]
    times_ms = [
        connection.call("chain_getBlock", height=height)["header"]["timeMs"] for height in range(first, last + 1)
    ]
    return [after - before for before, after in pairwise(times_ms)]
