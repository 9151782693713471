"""A node that keeps the last blocks only: it says so, restarts, and who comes new learns from the others."""

from pathlib import Path

import pytest

from ledger.pruning import KEEP_BLOCKS_MIN
from tests.network.load import TransferLoad, check_books
from tests.network.processes import QUICK, CallFailedError, ProcessNetwork, eventually

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("links")]


async def test_a_pruned_node_says_so_and_a_new_peer_syncs_from_the_others(tmp_path: Path) -> None:
    parameters = {**QUICK, "block_interval_ms": 50}
    async with ProcessNetwork(tmp_path, 4, 1, parameters=parameters) as network:
        for index in range(4):
            flags = ("--storage-keep-blocks", str(KEEP_BLOCKS_MIN)) if index == 0 else ()
            network.nodes[index].start(None, *flags)
        await network.wait_until_ready(0, 1, 2, 3)

        async def get_earliest() -> int:
            return int((await network.call(0, "node_status"))["earliestHeight"])

        async def has_pruned() -> bool:
            return await get_earliest() == await network.get_height(0) - KEEP_BLOCKS_MIN + 1

        async with TransferLoad(network, targets=[1, 2]) as load:
            await network.wait_for_height(KEEP_BLOCKS_MIN + 20, 0, timeout_s=150.0)
        await network.wait_until_still(0, 1, 2, 3)
        await eventually(has_pruned, "all but the last blocks deleted")
        earliest = await get_earliest()
        for method in ("chain_getBlock", "chain_getResults", "chain_getCommit"):
            with pytest.raises(CallFailedError, match=f"'earliestHeight': {earliest}") as failure:
                await network.call(0, method, height=5)
            assert failure.value.reason == "PRUNED"
        assert (await network.call(0, "chain_getBlock", height=earliest))["height"] == earliest

        assert network.nodes[0].stop() == 0
        network.nodes[0].start(None, "--storage-keep-blocks", str(KEEP_BLOCKS_MIN))
        network.start(4)  # has never run
        await network.wait_until_ready(0, 4)
        head = await network.wait_until_still()
        assert await get_earliest() >= earliest
        assert head == await network.get_height(4)
        await network.check_same_chain(1, 2, 3, 4)
        await check_books(network, 4, load.acknowledged)
