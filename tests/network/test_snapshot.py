"""A node that begins with a snapshot, and one whose state was tampered with."""

from pathlib import Path

import pytest

from ledger.codec import pack, unpack
from ledger.state_keys import account_key
from ledger.store_keys import value_store_key
from node.leveldb_store import LevelDbStore
from tests.builders import address_of
from tests.network.load import TransferLoad
from tests.network.processes import CallFailedError, ProcessNetwork, eventually
from vm.native.accounts import Account

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("links")]

WRONG_USE = 2
HISTORY_BLOCKS = 120


async def test_an_observer_begins_with_a_snapshot_and_a_tampered_state_is_named(tmp_path: Path) -> None:
    async with ProcessNetwork(tmp_path, 4, 1) as network:
        await _check_waiting(network)
        network.start(0, 1, 2, 3)
        await network.wait_until_ready(0, 1, 2, 3)
        async with TransferLoad(network, targets=[0, 1, 2]) as load:
            await network.wait_for_height(HISTORY_BLOCKS, 0, timeout_s=120)
            network.nodes[4].start(None, "--sync-snapshot", "true")
            await network.wait_until_ready(4)
            await load.wait_for(20)
        await network.wait_until_still()
        await _check_snapshot(network)
        await _restart_plain(network)
        await _tamper_and_expect_its_name(network)


async def _check_waiting(network: ProcessNetwork) -> None:
    """A node without data and peers says that it waits, takes no transactions, and stops when told to."""
    node = network.nodes[4]
    node.start(None, "--sync-snapshot", "true")

    async def is_answering() -> bool:
        return (await network.get_readiness(4))[0] != 0

    await eventually(is_answering, "an answer")
    status = await network.call(4, "node_status")
    assert (status["height"], status["syncing"], status["peers"]) == (0, True, 0)
    assert await network.get_readiness(4) == (503, "waiting for a peer with a snapshot\n")
    with pytest.raises(CallFailedError) as failure:
        await network.call(4, "tx_send", raw="0x00", wait="admitted")
    assert failure.value.reason == "NODE_SYNCING"
    assert node.stop() == 0


async def _check_snapshot(network: ProcessNetwork) -> None:
    """The observer has the same head and state, and says honestly where its blocks begin."""
    assert network.nodes[4].has_logged("the state is downloaded")
    status = await network.call(4, "node_status")
    earliest = status["earliestHeight"]
    assert earliest >= HISTORY_BLOCKS - 2
    assert await network.get_head(4) == await network.get_head(0)
    for height in range(earliest, status["height"] + 1):
        ours, theirs = [await network.call(index, "chain_getBlock", height=height) for index in (4, 0)]
        assert ours == theirs
    with pytest.raises(CallFailedError) as failure:
        await network.call(4, "chain_getBlock", height=earliest - 1)
    assert failure.value.reason == "PRUNED"


async def _restart_plain(network: ProcessNetwork) -> None:
    """Without the setting, it goes on from what it has."""
    node = network.nodes[4]
    earliest = (await network.call(4, "node_status"))["earliestHeight"]
    assert node.stop() == 0
    node.log.clear()
    node.start(None, "--sync-snapshot", "true")
    await network.wait_until_ready(4)
    assert (await network.call(4, "node_status"))["earliestHeight"] == earliest
    assert not node.has_logged("the state is downloaded")


async def _tamper_and_expect_its_name(network: ProcessNetwork) -> None:
    """One balance is another one on disk: the first block that moves it shows it."""
    node = network.nodes[4]
    assert node.stop() == 0
    key = account_key(address_of(network.accounts[0]))
    store = LevelDbStore(node.home.data)
    stored = store.get(value_store_key(key))
    assert stored is not None
    account = Account(*unpack(stored))
    richer = account._replace(balance_grains=account.balance_grains + 1)
    store.write([(value_store_key(key), pack(list(richer)))], sync=True)
    store.close()
    node.log.clear()
    node.start()
    await network.wait_until_ready(4)
    async with TransferLoad(network, targets=[0, 1, 2]) as load:
        await load.wait_for(20)
        assert await node.wait_for_exit() == WRONG_USE
    said = [line for line in node.log if line.startswith("carlive: ")]
    assert len(said) == 1, node.log
    assert f"the first difference is in table ACCOUNT, key 0x{key.hex()}: here 0x" in said[0]
    assert not node.has_logged("Traceback"), node.log


@pytest.mark.parametrize("super_nodes", [1, 4])
async def test_a_new_network_begins_although_all_its_nodes_would_rather_have_a_snapshot(
    tmp_path: Path, super_nodes: int
) -> None:
    async with ProcessNetwork(tmp_path, super_nodes, settings={"sync_snapshot": True}) as network:
        network.start()
        await network.wait_until_ready()
        async with TransferLoad(network) as load:
            await load.wait_for(20)
        await network.wait_until_still()
        assert len(await network.check_same_chain()) > 1
