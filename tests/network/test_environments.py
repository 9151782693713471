"""The same state on machines that differ in hash seed, time zone, language and event loop."""

from pathlib import Path

import pytest

from tests.network.load import TransferLoad, check_books
from tests.network.processes import ProcessNetwork

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("links")]


def list_environments(directory: Path) -> list[dict[str, str]]:
    """Four machines as different as they come; the directory takes what the last one needs."""
    without_uvloop = directory / "without-uvloop"
    without_uvloop.mkdir()
    (without_uvloop / "uvloop.py").write_text("raise ImportError('this machine has none')\n")
    return [
        {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "1", "TZ": "Asia/Shanghai", "LC_ALL": "zh_CN.UTF-8"},
        {"PYTHONHASHSEED": "4294967295", "TZ": "America/St_Johns", "LC_ALL": "tr_TR.UTF-8"},
        {"PYTHONHASHSEED": "77", "TZ": "Pacific/Chatham", "PYTHONPATH": str(without_uvloop)},
    ]


async def test_different_environments_reach_the_same_state(tmp_path: Path) -> None:
    environments = list_environments(tmp_path)
    async with ProcessNetwork(tmp_path, settings={"verify_processes": 1}) as network:
        for node, environment in zip(network.nodes, environments, strict=True):
            node.start(environment)
        await network.wait_until_ready()
        async with TransferLoad(network) as load:
            await load.wait_for(200)
        head = await network.wait_until_still()
        await network.check_same_chain()
        roots = [
            (await network.call(index, "chain_getBlock", height=head))["header"]["stateRoot"] for index in range(4)
        ]
        assert len(set(roots)) == 1
        for index in range(4):
            await check_books(network, index, load.acknowledged)
