"""A node dies at each of its durable writes in turn: before, in the middle of, and after it."""

import signal
import time
from pathlib import Path

import pytest

from node.crash_points import CRASH_POINT_VARIABLE, TEARABLE, CrashPoint, Moment
from tests.builders import make_key
from tests.network.load import TransferLoad, check_books
from tests.network.processes import eventually, running_network
from tests.network.recorder import recording

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("signing"), pytest.mark.timeout(600)]

CRASHING = 3
CRASH_SECONDS_MAX = 60.0
"""Some writes come with locks only, or with many transactions, and the machine is shared."""
TIMES = {CrashPoint.SAFETY_SAVE: 5, CrashPoint.LOG_APPEND: 9}
"""Not at the very first: in the middle of a height."""
NOT_UNDER_THIS_LOAD = (CrashPoint.JOURNAL_REWRITE,)
"""Comes with the first megabytes, and at a start after a crash."""


def list_moments() -> list[str]:
    return [
        f"{point.value}:{moment.value}:{TIMES.get(point, 2)}"
        for point in CrashPoint
        if point not in NOT_UNDER_THIS_LOAD
        for moment in Moment
        if moment is not Moment.TORN or point in TEARABLE
    ]


async def test_a_node_comes_back_from_a_crash_at_each_of_its_durable_writes(tmp_path: Path) -> None:
    """It catches up by itself, has the same chain, has signed nothing twice, and has lost nothing acknowledged."""
    witness = make_key("witness")
    async with running_network(tmp_path, strangers=[witness]) as network, recording(network, witness) as recorder:
        async with TransferLoad(network, pause_s=0.01) as load:
            for armed in list_moments():
                print(f"{time.monotonic():.1f} s: {armed}")  # shown when it fails
                network.kill(CRASHING)
                network.nodes[CRASHING].start({CRASH_POINT_VARIABLE: armed})
                assert await network.nodes[CRASHING].wait_for_exit(CRASH_SECONDS_MAX) == -signal.SIGKILL, armed
                network.start(CRASHING)
                await network.wait_until_ready(CRASHING)
            await load.wait_for(20)
        await network.wait_until_still()
        await network.check_same_chain()
        await check_books(network, CRASHING, load.acknowledged)
        assert recorder.list_contradictions() == []


async def test_a_node_comes_back_from_a_crash_while_it_rewrites_its_journal(tmp_path: Path) -> None:
    """It is rewritten at every start that finds transactions of before."""
    async with running_network(tmp_path) as network:
        journal = network.nodes[CRASHING].home.directory / "mempool" / "journal"
        async with TransferLoad(network) as load:
            await load.wait_for(20)
            for moment in Moment:
                await eventually(lambda: journal.stat().st_size > 0, "a transaction in the journal")
                network.kill(CRASHING)
                armed = f"{CrashPoint.JOURNAL_REWRITE.value}:{moment.value}:1"
                network.nodes[CRASHING].start({CRASH_POINT_VARIABLE: armed})
                assert await network.nodes[CRASHING].wait_for_exit() == -signal.SIGKILL, armed
                network.start(CRASHING)
                await network.wait_until_ready(CRASHING)
        await network.wait_until_still()
        await network.check_same_chain()
        await check_books(network, CRASHING, load.acknowledged)
