"""Scenario `mining`: a day's records of many users become force, batch and rewards; and what the day costs the chain.

`python -m bench.mining --users 68000000` asks for another number of users, `--directory` for another disk.
"""

import argparse
import asyncio
import multiprocessing
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import duckdb

from bench.floor import measure_floor
from bench.report import Result
from economy.duckdb_connection import EngineLimits
from economy.mining_build import build_mining
from economy.mining_plan import BuildJob
from economy.mining_tables import write_rewards
from economy.tables import quote
from tests.builders import address_of
from tests.did_scene import SENDER
from tests.distribution_scene import DistributionScene
from tests.mining_scene import TODAY, MiningScene
from vm.native.accounts import DAY_MS
from vm.native.distribution import CLAIMS_MAX
from vm.native.distribution_records import Breaker, fund_source, get_source, set_source_rules
from vm.native.distribution_tree import BeneficiaryKind
from vm.native.mining_formulas import (
    MINING_FUND_GRAINS,
    NEW_MARKET,
    Behaviour,
    Epoch,
    close_epoch,
)
from vm.native.mining_records import DEFAULT_VERSION, SETTLING_BLOCKS, BehaviourTotal

Progress = Callable[[str], None]

USERS = 1_000_000
USERS_PER_FILE = 2_000_000
PROVIDERS = 100_000  # paper 1: over 100,000 businesses
CLAIMS = 10_000
CLAIM_GRAINS = 1_000
LIMITS = EngineLimits(memory_mb=6_000, threads=2)
BYTES_PER_MB = 1_000_000

HABITS: dict[Behaviour, tuple[int, int]] = {
    Behaviour.APP_OPENED: (700, 6),
    Behaviour.ONLINE_MINUTE: (650, 90),
    Behaviour.CAR_STARTED: (550, 6),
    Behaviour.DRIVING_KILOMETRE: (540, 80),
    Behaviour.DRIVING_ENGINE: (300, 2),
    Behaviour.COMMENT: (120, 8),
    Behaviour.FAN_INTERACTION: (110, 10),
    Behaviour.LIVE_MINUTE: (100, 60),
    Behaviour.POST: (40, 3),
    Behaviour.REFUELLING: (60, 1),
    Behaviour.TIP: (20, 3),
    Behaviour.PURCHASE: (25, 2),
    Behaviour.MAINTENANCE: (8, 1),
    Behaviour.INSURANCE: (3, 1),
}
"""How many of a thousand users do this on a day, and how often at most."""
_BY_CAR = {Behaviour.CAR_STARTED, Behaviour.DRIVING_KILOMETRE, Behaviour.DRIVING_ENGINE, Behaviour.REFUELLING}
_SHARED_PER_MILLE = 5  # cars that two people drive
_DOUBLE_PER_MILLE = 30  # records that two gateways report


def generate_records(directory: Path, users: int, progress: Progress) -> int:
    """Records of one day as Parquet, drawn from hashes of the users' numbers; returns how many there are."""
    directory.mkdir(parents=True)
    connection = duckdb.connect(config={"memory_limit": f"{LIMITS.memory_mb}MB", "threads": LIMITS.threads})
    connection.execute("SET enable_progress_bar = false")
    for first in range(0, users, USERS_PER_FILE):
        last = min(first + USERS_PER_FILE, users)
        connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE people AS SELECT user_number,
                unhex(left(sha256('user ' || user_number), 40)) AS did,
                unhex(sha256('car ' || (user_number - CASE WHEN hash(user_number) % 1000 < {_SHARED_PER_MILLE}
                    THEN user_number % 2 ELSE 0 END))) AS vehicle,
                unhex(sha256('phone ' || user_number)) AS phone
            FROM range({first}, {last}) people(user_number)""")
        rows = " UNION ALL ".join(_draw(behaviour) for behaviour in HABITS)
        doubles = f"SELECT * REPLACE (unhex(repeat('02', 20)) AS attester) FROM rows WHERE draw < {_DOUBLE_PER_MILLE}"
        connection.execute(
            f"COPY (WITH rows AS ({rows}) SELECT * EXCLUDE draw FROM rows UNION ALL SELECT * EXCLUDE draw FROM "
            f"({doubles})) TO {quote(directory / f'{first:09}.parquet')} (FORMAT parquet, COMPRESSION zstd)"
        )
        progress(f"{last:,} users generated")
    ((count,),) = connection.execute(f"SELECT count(*) FROM read_parquet({quote(directory / '*.parquet')})").fetchall()
    connection.close()
    return int(count)


def _draw(behaviour: Behaviour) -> str:
    per_mille, times = HABITS[behaviour]
    draw = f"hash(user_number * 64 + {int(behaviour)})"
    rule = next(each for each in DEFAULT_VERSION.behaviours if each.behaviour is behaviour)
    provider = f"unhex(left(sha256('business ' || {draw} // 1000000 % {PROVIDERS}), 40))"
    return (
        f"SELECT did, {int(behaviour)}::UTINYINT AS behaviour, (1 + {draw} // 1000 % {times})::UINTEGER AS count, "
        f"{'NULL::BLOB' if rule.provider is None else provider} AS provider, "
        f"{'vehicle' if behaviour in _BY_CAR else 'NULL::BLOB'} AS vehicle, "
        f"{'NULL::BLOB' if behaviour in _BY_CAR else 'phone'} AS phone, "
        f"unhex(repeat('01', 20)) AS attester, {draw} // 1000 % 1000 AS draw "
        f"FROM people WHERE {draw} % 1000 < {per_mille}"
    )


@dataclass(frozen=True)
class Measured:
    """One build."""

    records: int
    identities: int
    force: int
    stages_s: dict[str, float]
    processor_s: float
    """Of all processes: what other work on the machine changes little."""
    memory_mb: int
    """The most that its processes held together, once a second."""
    disk_mb: int
    """The most that the build's directory held, without its input."""
    paid: int
    paid_grains: int
    released_grains: int


def measure_build(directory: Path) -> Measured:
    """Build force, batch and rewards from the generated records, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    answers: Queue[Any] = context.Queue()
    process = context.Process(target=_build, args=(directory, answers))
    process.start()
    assert process.pid is not None, "it was started"
    peaks_mb = {"disk_mb": 0, "memory_mb": 0}
    stopped = threading.Event()
    watcher = threading.Thread(target=_watch, args=(directory / "built", process.pid, peaks_mb, stopped))
    watcher.start()
    answer = answers.get()
    process.join()
    stopped.set()
    watcher.join()
    if isinstance(answer, str):
        raise RuntimeError(answer)
    return Measured(**peaks_mb, **answer)


def _build(directory: Path, answers: "Queue[Any]") -> None:
    stages: dict[str, float] = {}
    last = [time.perf_counter()]

    def report(stage: str, _: int, __: int) -> None:
        """Time since the last report belongs to this stage."""
        now = time.perf_counter()
        stages[stage] = stages.get(stage, 0.0) + now - last[0]
        last[0] = now

    try:
        job = BuildJob(
            str(directory / "records" / "*.parquet"),
            directory / "built",
            TODAY,
            DEFAULT_VERSION,
            bytes(32),
            limits=LIMITS,
        )
        built = build_mining(job, report)
        report("manifest", 1, 1)
        closing = close_epoch(
            MINING_FUND_GRAINS, DEFAULT_VERSION.release_share, 0, built.batch_force, NEW_MARKET, DEFAULT_VERSION.rules
        )
        paid, paid_grains = write_rewards(
            directory / "built",
            closing.price_micrograins,
            closing.released_grains,
            directory / "built" / "rewards",
            report,
        )
        own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        answers.put(
            {
                "records": built.records,
                "identities": built.identities,
                "force": built.force,
                "stages_s": {stage: round(seconds, 1) for stage, seconds in stages.items()},
                "processor_s": round(own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime, 1),
                "paid": paid,
                "paid_grains": paid_grains,
                "released_grains": closing.released_grains,
            }
        )
    except Exception as error:  # told to the parent, which raises it
        answers.put(f"{type(error).__name__}: {error}")


def _watch(directory: Path, process: int, peaks_mb: dict[str, int], stopped: threading.Event) -> None:
    while not stopped.wait(1.0):
        peaks_mb["disk_mb"] = max(peaks_mb["disk_mb"], _measure_disk(directory) // BYTES_PER_MB)
        peaks_mb["memory_mb"] = max(peaks_mb["memory_mb"], _measure_memory(process) // BYTES_PER_MB)


def _measure_disk(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def _measure_memory(process: int) -> int:
    """What a process and those below it hold. In getrusage a child's peak is at least what its parent held then."""
    parents, resident = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            # The name of the program, in parentheses, may hold anything.
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            resident[int(path.name)] = int((path / "statm").read_text().split()[1]) * resource.getpagesize()
        except (FileNotFoundError, ProcessLookupError):
            continue
    counted, found = {process}, {process}
    while found:
        found = {child for child, parent in parents.items() if parent in found} - counted
        counted |= found
    return sum(resident.get(each, 0) for each in counted)


def measure_epoch() -> dict[str, float]:
    """What a day of mining costs the chain: the batch of all behaviours, and the block that closes it."""
    scene = MiningScene()
    totals = tuple(
        BehaviourTotal(rule.behaviour, 10**7, 10**7, 10**7, 0) for rule in DEFAULT_VERSION.behaviours if rule.user
    )
    scene.day = Epoch(TODAY + 1)
    call = scene.batch(totals=totals, records=len(totals) * 10**7, force=10**8)
    receipt = scene.accept(call)
    scene.end_block(TODAY + 2)
    scene.height += SETTLING_BLOCKS
    start = time.perf_counter()
    scene.end_block(TODAY + 2)
    closing_ms = (time.perf_counter() - start) * 1_000
    return {"batch gas": receipt.gas_used, "closing a day, ms": round(closing_ms, 2)}


def measure_claims() -> dict[str, float]:
    """What claims of rewards cost the chain, CLAIMS_MAX in a transaction, without signatures and the disk."""
    scene = DistributionScene()
    amply = Breaker(DAY_MS, CLAIMS * CLAIM_GRAINS, 10_000, CLAIMS * CLAIM_GRAINS)
    set_source_rules(scene.state, scene.source, scene.rules(breaker=amply))
    fund_source(scene.state, scene.source, address_of(SENDER), CLAIMS * CLAIM_GRAINS, 0)
    keys = [
        (int(BeneficiaryKind.ACCOUNT), sha256(b"beneficiary %d" % number).digest()[:20]) for number in range(CLAIMS)
    ]
    built = scene.settle(dict.fromkeys(keys, CLAIM_GRAINS))
    calls = [scene.claim(built, *keys[first : first + CLAIMS_MAX]) for first in range(0, CLAIMS, CLAIMS_MAX)]
    start = time.perf_counter()
    gas = sum(scene.accept(call).gas_used for call in calls)
    seconds = time.perf_counter() - start
    assert get_source(scene.state, scene.source).claimed_grains == CLAIMS * CLAIM_GRAINS, "all of them are paid"
    return {
        "gas a claim": round(gas / CLAIMS),
        "claims/s": round(CLAIMS / seconds),
        "gas of 10^5 claims": gas * 100_000 // CLAIMS,
    }


async def run_mining(progress: Progress, users: int = USERS, parent: Path | None = None) -> list[Result]:
    """A day of USERS users."""
    floor = measure_floor()
    directory = Path(tempfile.mkdtemp(prefix="carlive-mining-", dir=parent))
    try:
        start = time.perf_counter()
        rows = await asyncio.to_thread(generate_records, directory / "records", users, progress)
        generating_s = time.perf_counter() - start
        input_mb = sum(path.stat().st_size for path in (directory / "records").iterdir()) // BYTES_PER_MB
        progress(f"building from {rows:,} records")
        measured = await asyncio.to_thread(measure_build, directory)
    finally:
        shutil.rmtree(directory)
    seconds = sum(measured.stages_s.values())
    details = {
        "users": users,
        "records in": rows,
        "records that count": measured.records,
        "identities with force": measured.identities,
        "force": measured.force,
        "generating, s": round(generating_s, 1),
        "stages, s": measured.stages_s,
        "processor, s": measured.processor_s,
        "memory, MB": measured.memory_mb,
        "input, MB": input_mb,
        "disk at most, MB": measured.disk_mb,
        "rewards": measured.paid,
        "released, grains": measured.released_grains,
        "paid, grains": measured.paid_grains,
        **measure_epoch(),
        **measure_claims(),
    }
    assert measured.paid_grains <= measured.released_grains, "rewards are rounded down"
    return [Result("mining", users / seconds, "users/s", floor, None, details=details)]


def main() -> None:
    """Run with another number of users than `make bench` does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--directory", type=Path)
    chosen = parser.parse_args()
    (result,) = asyncio.run(run_mining(lambda text: print(text, file=sys.stderr), chosen.users, chosen.directory))
    print(f"{result.value:,.0f} {result.unit}")
    for name, value in result.details.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
