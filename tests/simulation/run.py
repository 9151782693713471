"""Runs seeds, one after the other or in several processes, and puts what came of each into words."""

import gc
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context

from tests.simulation.violation import ViolationError
from tests.simulation.world import World

STEPS = 15_000
HEIGHTS = 50


@dataclass(frozen=True, slots=True)
class Task:
    """A seed and how long it runs."""

    seed: int
    steps: int = STEPS
    """With faults at most, before healing."""
    heights: int = HEIGHTS
    """To reach in all."""
    seats: int | None = None
    """Super nodes; None: the seed chooses."""


def run_seed(task: Task) -> tuple[bool, str]:
    """Whether all went well, and what to print."""
    gc.disable()  # a run makes little garbage that reference counts do not free; it is collected between two runs
    world = World(task.seed, task.seats)
    try:
        return True, world.run(task.steps, task.heights).format()
    except ViolationError as violation:
        what = f"VIOLATED after {world.steps} steps at height {world.get_height()}: {violation}"
    except Exception as error:
        what = f"FAILED after {world.steps} steps at height {world.get_height()}\n"
        what += "".join(traceback.format_exception(error))
    finally:
        gc.enable()
        gc.collect()
    return False, "\n".join([f"seed {task.seed}: {what}", "the last events:", *world.format_recent()])


def run_all(tasks: list[Task], processes: int) -> Iterator[tuple[bool, str]]:
    """The outcomes in the order of the tasks."""
    if processes == 1:
        yield from map(run_seed, tasks)
        return
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(run_seed, tasks, chunksize=1)
