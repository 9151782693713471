"""Nodes without a past: one that lost its data, and one that comes late."""

import shutil
from pathlib import Path

import pytest

from tests.network.load import TransferLoad, check_books
from tests.network.processes import ProcessNetwork

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("links")]


async def test_lost_data_and_a_late_observer_come_back_from_certificates(tmp_path: Path) -> None:
    async with ProcessNetwork(tmp_path, 4, 1) as network:
        network.start(0, 1, 2, 3)
        await network.wait_until_ready(0, 1, 2, 3)
        async with TransferLoad(network, targets=[0, 1, 2]) as load:
            await network.wait_for_height(10, 0)
            network.kill(3)
            shutil.rmtree(network.nodes[3].home.data)  # keys/ and safety/ stay, and the log, of a height far ahead
            network.start(3, 4)  # the observer has never run
            await network.wait_until_ready(3, 4)
            await network.wait_for_height(await network.get_height(0), 3, 4)
        await network.wait_until_still()
        await network.check_same_chain()
        for index in (3, 4):
            await check_books(network, index, load.acknowledged)
        assert (await network.call(3, "node_status"))["superNode"] is True
        assert (await network.call(4, "node_status"))["superNode"] is False

        network.kill(0)  # now the node that came back is one of the three that every block needs
        async with TransferLoad(network, targets=[4]) as more:
            await more.wait_for(30)
        await network.wait_until_still(1, 2, 3, 4)
        await check_books(network, 3, load.acknowledged | more.acknowledged)
        await network.check_same_chain(1, 2, 3, 4)
