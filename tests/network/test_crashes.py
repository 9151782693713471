"""kill -9: of one node, of all at once, at any moment."""

import asyncio
import random
from itertools import pairwise
from pathlib import Path

import pytest

from consensus.log import LockTaken, decode_records, encode_record
from tests.builders import make_key
from tests.network.load import TransferLoad, check_books
from tests.network.processes import QUICK, NodeProcess, ProcessNetwork, read_log_entries, running_network
from tests.network.recorder import recording

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("crashes")]

ROUND_MS_MAX = QUICK["propose_timeout_ms"] + QUICK["vote_timeout_ms"]
SLACK_MS = 900
"""A machine with two cores, shared by four nodes and the test."""
CRASHES = 20
POWER_CUTS = 3


async def test_one_of_four_is_killed_under_load_and_comes_back(tmp_path: Path) -> None:
    witness = make_key("witness")
    async with running_network(tmp_path, strangers=[witness]) as network, recording(network, witness) as recorder:
        async with TransferLoad(network, targets=[0, 1, 2]) as load:
            await load.wait_for(100)
            network.kill(3)
            killed_height = await network.get_height(0)
            await network.wait_for_height(killed_height + 12, 0, 1, 2)
            times_ms = [
                (await network.call(0, "chain_getBlock", height=height))["header"]["timeMs"]
                for height in range(killed_height + 2, killed_height + 13)
            ]
            intervals_ms = [after - before for before, after in pairwise(times_ms)]
            assert max(intervals_ms) <= QUICK["block_interval_ms"] + ROUND_MS_MAX + SLACK_MS
            network.start(3)
            await network.wait_until_ready(3)
            await load.wait_for(50)
        await network.wait_until_still()
        await network.check_same_chain()
        await check_books(network, 3, load.acknowledged)
        assert recorder.list_contradictions() == []
        members = {place[3] for place in recorder.signed if len(place) == 4}
        assert members == {0, 1, 2, 3}


async def test_all_are_killed_at_once_again_and_again(tmp_path: Path) -> None:
    """No moment is chosen: while starting, in the middle of rounds, of writes, of blocks."""
    dice = random.Random(20)
    witness = make_key("witness")
    async with ProcessNetwork(tmp_path, strangers=[witness]) as network, recording(network, witness) as recorder:
        network.start()
        async with TransferLoad(network, pause_s=0.02) as load:
            for crash in range(CRASHES):
                if crash % 3 != 1:  # else it hits them while they start
                    await network.wait_until_ready()
                if crash % 3 == 0:
                    await network.wait_for_height(await network.get_height(0) + 2)
                await asyncio.sleep(dice.uniform(0.0, 1.0))
                network.kill(0, 1, 2, 3)
                network.start()
            await network.wait_until_ready()
            await load.wait_for(20)
        await network.wait_until_still()
        await network.check_same_chain()
        await check_books(network, 0, load.acknowledged)
        assert recorder.list_contradictions() == []
        assert len(load.acknowledged) > 200


async def test_a_node_that_was_away_wakes_up_for_a_height_that_waits_for_it(tmp_path: Path) -> None:
    """Two of four are gone; whoever comes back has heard nothing of the height, and has no transaction to wake it."""
    async with running_network(tmp_path) as network:
        network.kill(2)
        async with TransferLoad(network, targets=[0, 1]) as load:
            await load.wait_for(20)
        stuck_after = await network.wait_until_still(0, 1, 3)
        network.kill(3)
        async with TransferLoad(network, targets=[0]) as more:
            await more.wait_for(1)
            await asyncio.sleep(0.3)
        assert await network.get_height(0) == stuck_after
        network.start(2)
        await network.wait_until_ready(2)
        await network.wait_for_height(stuck_after + 1, 0, 1, 2, timeout_s=5)
        network.start(3)
        await network.wait_until_still()
        await network.check_same_chain()


async def test_a_power_cut_takes_the_unsynced_end_of_every_log(tmp_path: Path) -> None:
    """With one of four gone for good, so that no round can do without any of the others."""
    dice = random.Random(6)
    witness = make_key("witness")
    async with ProcessNetwork(tmp_path, strangers=[witness]) as network, recording(network, witness) as recorder:
        async with TransferLoad(network, targets=[0, 1, 2]) as load:
            for _ in range(POWER_CUTS):
                network.start(0, 1, 2)
                await network.wait_until_ready(0, 1, 2)
                height = await network.get_height(0)
                await network.wait_for_height(height + 2, 0, 1, 2, timeout_s=10)
                await asyncio.sleep(dice.uniform(0.0, 1.0))
                network.kill(0, 1, 2)
                for node in network.nodes[:3]:
                    _lose_unsynced_records(node)
            network.start(0, 1, 2)
            await network.wait_until_ready(0, 1, 2)
        await network.wait_until_still(0, 1, 2)
        await network.check_same_chain(0, 1, 2)
        await check_books(network, 0, load.acknowledged)
        assert recorder.list_contradictions() == []


def _lose_unsynced_records(node: NodeProcess) -> None:
    """All behind the last record that was synced: the height's first, or a lock."""
    (log,) = node.home.log.glob("*.log")
    records, _, _ = decode_records(log.read_bytes())
    synced = max((index for index, record in enumerate(records) if isinstance(record, LockTaken)), default=0)
    log.write_bytes(b"".join(encode_record(record) for record in records[: synced + 1]))


async def test_a_torn_end_of_the_consensus_log_is_cut_off_with_a_warning(tmp_path: Path) -> None:
    async with running_network(tmp_path) as network:
        async with TransferLoad(network) as load:
            await load.wait_for(50)
            network.kill(1)
        (log,) = network.nodes[1].home.log.glob("*.log")
        content = log.read_bytes()
        torn = b"\xc1\x01" + bytes(range(40))  # a record whose end the crash has swallowed
        log.write_bytes(content + torn)
        network.start(1)
        await network.wait_until_still()
        warnings = read_log_entries(network.nodes[1], "the consensus log was repaired")
        assert [f"cut off {len(torn)} bytes" in entry["detail"] for entry in warnings] == [True]
        await network.check_same_chain()
        await check_books(network, 1, load.acknowledged)


async def test_a_transaction_that_nobody_else_has_heard_of_survives_its_node(tmp_path: Path) -> None:
    """An observer took it while it was alone, and proposes nothing itself: after the crash it must pass it on."""
    async with ProcessNetwork(tmp_path, 1, 1) as network:
        network.start(1)
        await network.wait_for_height(0, 1)
        async with TransferLoad(network, targets=[1]) as load:
            await load.wait_for(10)
        network.kill(1)
        network.start()
        await network.wait_for_height(1)
        await network.wait_until_still()
        await check_books(network, 0, load.acknowledged)
