"""`make bench`: run the scenarios, print a table, write bench/results/latest.jsonl."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence

from rich.console import Console
from rich.table import Table

from bench.apply import run_apply, run_growth
from bench.catching_up import run_block_sync
from bench.committee import run_committee_21
from bench.contract_code import run_contract_code
from bench.contracts import run_contracts
from bench.distribution import run_distribution_build, run_distribution_claim
from bench.faults import run_one_down
from bench.gas import run_gas
from bench.identity import run_did_create, run_did_resolve, run_request_approve
from bench.migration import run_platform_migration
from bench.mining import run_mining
from bench.report import RESULTS, Result, save_result, start_results
from bench.service import run_idle, run_memory, run_reads
from bench.sync import run_snapshot_sync
from bench.throughput import run_devnet_1, run_devnet_4, run_latency

Scenario = Callable[[Callable[[str], None]], Awaitable[list[Result]]]

SCENARIOS: dict[str, Scenario] = {
    "apply": run_apply,
    "devnet-4": run_devnet_4,
    "devnet-1": run_devnet_1,
    "growth": run_growth,
    "latency": run_latency,
    "one-down": run_one_down,
    "block-sync": run_block_sync,
    "reads": run_reads,
    "idle": run_idle,
    "memory": run_memory,
    "snapshot-sync": run_snapshot_sync,
    "committee-21": run_committee_21,
    "gas": run_gas,
    "contracts": run_contracts,
    "contract-code": run_contract_code,
    "did-create": run_did_create,
    "did-resolve": run_did_resolve,
    "platform-migration": run_platform_migration,
    "request-approve": run_request_approve,
    "mining": run_mining,
    "distribution-build": run_distribution_build,
    "distribution-claim": run_distribution_claim,
}


def main(names: Sequence[str]) -> int:
    """Run the named scenarios, or all; 1 when a minimum is not met."""
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        print(f"there is no scenario {unknown[0]}; there are {', '.join(SCENARIOS)}", file=sys.stderr)
        return 2
    console = Console()
    start_results()
    results = []
    for name in names or SCENARIOS:
        with console.status(f"{name} …") as status:

            def say(text: str, name: str = name) -> None:
                status.update(f"{name}: {text}")

            for result in asyncio.run(SCENARIOS[name](say)):
                save_result(result)
                results.append(result)
                console.print(f"{result.scenario}: {result.value:,.1f} {result.unit}")
    console.print(build_table(results))
    console.print(f"written to {RESULTS}")
    return 1 if any(result.is_met is False for result in results) else 0


def build_table(results: Sequence[Result]) -> Table:
    """One row a result."""
    table = Table("scenario", "value", "unit", "floor, verifications/s", "ratio", "wanted", "met")
    for result in results:
        wanted = "" if result.minimum is None else f"{'≤' if result.at_most else '≥'} {result.minimum:g}"
        ratio = "" if result.ratio is None else f"{result.ratio:.3f}"
        met = {True: "yes", False: "NO", None: ""}[result.is_met]
        table.add_row(result.scenario, f"{result.value:,.1f}", result.unit, f"{result.floor:,.0f}", ratio, wanted, met)
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
