"""Runs seeded simulations: `python -m tests.simulation --seed 1 --count 100 --processes 2`. A seed repeats itself."""

import argparse
import sys

from tests.simulation.run import HEIGHTS, STEPS, Task, run_all


def main() -> int:
    """Exit code 1 if any seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--count", type=int, default=1, help="how many seeds")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps with faults at most, before healing")
    parser.add_argument("--heights", type=int, default=HEIGHTS, help="heights to reach in all")
    parser.add_argument("--seats", type=int, default=None, help="super nodes; the seed chooses among 1, 4, 5, 7 and 21")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.count)
    tasks = [Task(seed, options.steps, options.heights, options.seats) for seed in seeds]
    failed = 0
    for is_good, text in run_all(tasks, options.processes):
        print(text, flush=True)
        failed += not is_good
    if options.count > 1:
        print(f"{options.count} seeds, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
