"""Scenario `platform-migration`: the list of a platform's accounts, built in a process of its own that is measured."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.floor import measure_floor
from bench.report import Result
from identity.platform_account import MASTER_KEY_BYTES
from node.platform_migration import build_migration

Progress = Callable[[str], None]
ACCOUNTS = 1_000_000
ACCOUNTS_FEW = 100_000
MEMORY_GROWTH_MAX = 1.1
"""From few accounts to all; what is above 1 is what processes differ by from one run to the next."""


async def run_platform_migration(progress: Progress) -> list[Result]:
    """The list of 10^6 accounts, and whether a tenth of it takes as much memory."""
    return await asyncio.to_thread(_run_platform_migration, progress)


def _run_platform_migration(progress: Progress) -> list[Result]:
    floor = measure_floor()
    progress(f"building the list of {ACCOUNTS_FEW:,} accounts")
    _, few_mib, _ = measure_building(ACCOUNTS_FEW)
    progress(f"building the list of {ACCOUNTS:,} accounts")
    seconds, many_mib, disk_bytes = measure_building(ACCOUNTS)
    details = {"accounts/s": round(ACCOUNTS / seconds), "MB on disk": round(disk_bytes / 1e6, 1)}
    memory = {f"MiB at {ACCOUNTS_FEW:,}": round(few_mib, 1), f"MiB at {ACCOUNTS:,}": round(many_mib, 1)}
    growth, unit = many_mib / few_mib, "x peak memory from 10^5 to 10^6"
    return [
        Result("platform-migration", seconds, "s for 10^6 accounts", floor, None, details=details),
        Result("platform-migration-memory", growth, unit, floor, None, MEMORY_GROWTH_MAX, at_most=True, details=memory),
    ]


def measure_building(accounts: int) -> tuple[float, float, int]:
    """Seconds, the process's peak MiB, and bytes on disk beside the input."""
    with tempfile.TemporaryDirectory(prefix="carlive-bench-") as directory:
        source, target = Path(directory) / "accounts.csv", Path(directory) / "migration"
        with source.open("w") as file:
            file.write("account\n")
            file.writelines(f"user-{index:08}@example.com\n" for index in range(accounts))
        command = [sys.executable, "-m", "bench.migration", str(source), str(target)]
        answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        assert answer["count"] == accounts, "all accounts are in the list"
        return answer["seconds"], answer["peak_mib"], sum(path.stat().st_size for path in target.iterdir())


def read_peak_mib() -> float:
    """Of this process alone: what getrusage tells begins with the memory of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def _build(accounts: Path, directory: Path) -> None:
    """What the measured process does: build, and print what it took."""
    started_s = time.perf_counter()
    tree = build_migration(accounts, directory, bytes(MASTER_KEY_BYTES), lambda done, count: None)
    seconds = time.perf_counter() - started_s
    print(json.dumps({"count": tree.count, "seconds": seconds, "peak_mib": read_peak_mib()}))


if __name__ == "__main__":
    _build(Path(sys.argv[1]), Path(sys.argv[2]))
