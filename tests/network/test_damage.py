"""Damaged files: refused with one sentence and exit code 2, and the documented way out works."""

import shutil
from pathlib import Path

import pytest

from node.leveldb_store import TABLE_BLOCK_BYTES
from tests.network.load import TransferLoad
from tests.network.processes import NodeProcess, ProcessNetwork

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("crashes")]

WRONG_USE = 2


def _overwrite(path: Path, position: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        file.write(content)


def _damage_middle(path: Path) -> None:
    size = path.stat().st_size
    _overwrite(path, size // 3, bytes(byte ^ 0xFF for byte in path.read_bytes()[size // 3 : size // 3 + 64]))


def _damage_current(home: NodeProcess) -> None:
    (home.home.data / "CURRENT").write_bytes(b"MANIFEST-999999\n")


def _damage_manifest(home: NodeProcess) -> None:
    (manifest,) = home.home.data.glob("MANIFEST-*")
    _damage_middle(manifest)


def _damage_store_log(home: NodeProcess) -> None:
    _damage_middle(max(home.home.data.glob("*.log"), key=lambda path: path.stat().st_size))


def _damage_tables(home: NodeProcess) -> None:
    """In each of their blocks: one is found damaged when it is read, and a start reads only some."""
    tables = list(home.home.data.glob("*.ldb"))
    assert tables, "a restart has written the log out as tables"
    for table in tables:
        content = bytearray(table.read_bytes())
        for position in range(TABLE_BLOCK_BYTES // 2, len(content) - TABLE_BLOCK_BYTES, TABLE_BLOCK_BYTES // 2):
            content[position] ^= 0xFF
        table.write_bytes(content)


def _lose_current(home: NodeProcess) -> None:
    (home.home.data / "CURRENT").unlink()


async def _expect_refusal(node: NodeProcess, *words: str) -> None:
    """One line for people at the end, exit code 2, no traceback."""
    node.log.clear()
    node.start()
    assert await node.wait_for_exit() == WRONG_USE, node.log
    assert not node.has_logged("Traceback"), node.log
    said = [line for line in node.log if line.startswith("carlive: ")]
    assert len(said) == 1, node.log
    for word in words:
        assert word in said[0]


async def test_every_damage_is_refused_and_the_documented_way_out_works(tmp_path: Path) -> None:
    """One node of a network that goes on; after each refusal it is healed as docs/operators.md and docs/keys.md say."""
    async with ProcessNetwork(tmp_path) as network:
        node = network.nodes[3]
        network.start()
        await network.wait_until_ready()
        async with TransferLoad(network, targets=[0, 1, 2]) as load:
            await load.wait_for(80)
        await network.wait_until_still()
        network.kill(3)
        for damage in (_lose_current, _damage_current, _damage_manifest, _damage_store_log, _damage_tables):
            if damage is _damage_tables:
                await _run_for_a_moment(network)  # a start with something in the log writes tables
            damage(node)
            await _expect_refusal(node, "data", "move", "away")
            set_aside = node.home.directory / "data.damaged"
            node.home.data.rename(set_aside)
            await _run_for_a_moment(network)
            shutil.rmtree(set_aside)
        await _check_consensus_log(network, node)
        await network.wait_until_still()
        await network.check_same_chain()


async def _run_for_a_moment(network: ProcessNetwork) -> None:
    """Until the node has the whole chain, then kill -9."""
    network.start(3)
    await network.wait_for_height(await network.get_height(0), 3)
    network.kill(3)


async def _check_consensus_log(network: ProcessNetwork, node: NodeProcess) -> None:
    """Damage in the middle of the log is never the work of a crash."""
    (log,) = node.home.log.glob("*.log")
    record = log.read_bytes()
    assert record, "a height has begun"
    start, end = b"\xc1\x01", b"\xc1\x02"
    first_end = record.index(end)
    sound = record[: first_end + len(end)]
    log.write_bytes(start + b"not what was written" + end + sound)
    await _expect_refusal(node, str(log), "in the middle", f"mv {log}")
    log.rename(log.with_suffix(".damaged"))
    network.start(3)
    await network.wait_until_ready(3)


async def test_a_second_process_on_the_same_home_is_refused(tmp_path: Path) -> None:
    async with ProcessNetwork(tmp_path, 1, 1) as network:
        network.start()
        await network.wait_until_ready(0)
        for first in network.nodes:
            second = NodeProcess(first.place)
            second.start(None, "--p2p-port", "0", "--rpc-port", "0", "--ops-port", "0")
            assert await second.wait_for_exit() == WRONG_USE
            assert second.has_logged("in use by another process"), second.log
            assert not second.has_logged("Traceback")
            height = await network.get_height(0)
        async with TransferLoad(network) as load:
            await load.wait_for(10)
        assert await network.wait_until_still() > height


async def test_a_damaged_or_lost_safety_state_is_refused(tmp_path: Path) -> None:
    """Signing without it could sign twice."""
    async with ProcessNetwork(tmp_path, 1) as network:
        node = network.nodes[0]
        network.start()
        async with TransferLoad(network) as load:
            await load.wait_for(10)
        network.kill(0)
        state = node.home.safety / "state"
        content = state.read_bytes()
        state.write_bytes(bytes(len(content)))
        await _expect_refusal(node, "safety", "docs/keys.md")
        state.unlink()
        await _expect_refusal(node, "safety", "docs/keys.md")
        aside = node.home.directory / "safety.aside"
        node.home.safety.rename(aside)
        await _expect_refusal(node, "safety", "docs/keys.md")
        assert not node.home.safety.exists(), "a start makes no new one"
        aside.rename(node.home.safety)
        state.write_bytes(content)
        height = await _restart(network)
        async with TransferLoad(network) as more:
            await more.wait_for(10)
        assert await network.wait_until_still() > height


async def _restart(network: ProcessNetwork) -> int:
    network.start(0)
    await network.wait_until_ready(0)
    return await network.get_height(0)
