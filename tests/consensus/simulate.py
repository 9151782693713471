"""Run seeded simulations by hand: `python -m tests.consensus.simulate --seed 1 --steps 5000`. A seed repeats itself."""

import argparse

from tests.consensus.simulation import Outcome, Simulation

PROGRESS_STEPS = 1000


def format_outcome(outcome: Outcome) -> str:
    """One line."""
    return (
        f"seed {outcome.seed}: {outcome.size} members, {outcome.liars} of them lie; {outcome.steps} steps, "
        f"height {outcome.height}, highest round {outcome.rounds_max}, {outcome.crashes} crashes, "
        f"{outcome.proposed_again} proposals again, {outcome.equivocations} equivocations and {outcome.blames} "
        f"bad messages noticed; digest {outcome.digest}"
    )


def print_progress(simulation: Simulation) -> None:
    """A line now and then."""
    if simulation.steps % PROGRESS_STEPS == 0:
        heights = ", ".join(f"{node.name} at {len(node.disk.chain)}" for node in simulation.nodes)
        print(f"  step {simulation.steps}: {heights}", flush=True)


def main() -> None:
    """Run one seed, or a range of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--steps", type=int, default=5000, help="steps with faults, before healing")
    parser.add_argument("--size", type=int, default=None, help="committee size; the seed chooses 1, 4 or 7")
    parser.add_argument("--quiet", action="store_true", help="only one line for each seed")
    options = parser.parse_args()
    for seed in range(options.seed, options.seed + options.seeds):
        simulation = Simulation(seed, options.size)
        if options.quiet:
            outcome = simulation.run(options.steps)
        else:
            print(f"seed {seed}: {simulation.size} members, faults {simulation.faults}")
            outcome = simulation.run(options.steps, print_progress)
        print(format_outcome(outcome), flush=True)


if __name__ == "__main__":
    main()
