"""Scenario `block-sync`: how fast a new node catches up with blocks full of transfers."""

import asyncio
import time
from collections.abc import Callable

from bench.apply import measure_apply
from bench.floor import measure_floor
from bench.network import BenchNetwork, RpcConnection
from bench.report import Result
from bench.throughput import build_batches, send_all, wait_until_final
from bench.transfers import BenchAccount

Progress = Callable[[str], None]
ACCOUNTS = 2_000
TRANSFERS = 60_000
APPLIED_TRANSFERS = 40_000
APPLY_ACCOUNTS = 100_000  # those of the scenario `apply`
SECONDS_MAX = 300.0


async def run_block_sync(progress: Progress) -> list[Result]:
    """Transfers a second that an observer takes over from a super node, against `apply` in the same run."""
    floor = measure_floor()
    apply_rate, _ = await measure_apply(APPLY_ACCOUNTS, APPLIED_TRANSFERS, progress)
    rate, blocks = await asyncio.to_thread(_measure_sync, progress)
    details = {"transfers": TRANSFERS, "blocks": blocks, "apply in the same run": round(apply_rate)}
    return [Result("block-sync", rate, "transfers/s", floor, rate / apply_rate, 0.4, details=details)]


def _measure_sync(progress: Progress) -> tuple[float, int]:
    accounts = [BenchAccount(f"bench {index}") for index in range(ACCOUNTS)]
    with BenchNetwork(1, accounts, observers=1, started=1) as network:
        progress(f"making blocks of {TRANSFERS:,} transfers")
        send_all(network, build_batches(network, accounts, TRANSFERS, [0] * ACCOUNTS))
        wait_until_final(network, TRANSFERS, progress)
        head = RpcConnection(network.rpc_ports[0]).call("chain_head")["height"]
        network.start(1, until="/livez")
        connection = RpcConnection(network.rpc_ports[1])
        progress("catching up")
        started_s = time.perf_counter()
        while (height := connection.call("chain_head")["height"]) < head:
            progress(f"caught up to block {height} of {head}")
            if time.perf_counter() - started_s > SECONDS_MAX:
                raise RuntimeError(f"the observer stands at block {height} of {head}")
            time.sleep(0.05)
        return TRANSFERS / (time.perf_counter() - started_s), head
