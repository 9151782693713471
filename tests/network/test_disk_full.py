"""A full disk: the node falls silent before anything diverges, says so, and goes on by itself."""

import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.builders import make_key
from tests.network.load import TransferLoad, check_books
from tests.network.processes import ProcessNetwork, eventually, running_network
from tests.network.recorder import Recorder, recording

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("crashes")]

VICTIM = 3
OTHERS = (0, 1, 2)
SMALL_DISK_BYTES = 128 * 2**20
SPARE_BYTES = 16 * 2**20
SHARED_DISK_SPARE_BYTES = 256 * 2**20
"""On a disk that others use at the same time."""
CHUNK = bytes(2**20)


async def test_writes_that_fail_silence_the_node_until_they_succeed(tmp_path: Path) -> None:
    """A limit on the size of files fails every write, to the logs, the journal, the safety state and LevelDB."""
    witness = make_key("witness")
    async with running_network(tmp_path, strangers=[witness]) as network, recording(network, witness) as recorder:
        async with TransferLoad(network, targets=OTHERS) as load:
            await load.wait_for(50)
            network.nodes[VICTIM].limit_file_size(1)
            await _check_silence(network, recorder)
            network.nodes[VICTIM].limit_file_size(resource.RLIM_INFINITY)
            await _check_recovery(network)
        await _check_end(network, recorder, load)


async def test_a_disk_without_room_silences_the_node_until_there_is_some(tmp_path: Path) -> None:
    witness = make_key("witness")
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted_small_disk(disk) as is_own_disk:
        (disk / "node").mkdir()
        (tmp_path / f"node-{VICTIM}").symlink_to(disk / "node")
        spare_bytes = SPARE_BYTES if is_own_disk else SHARED_DISK_SPARE_BYTES
        async with ProcessNetwork(tmp_path, strangers=[witness]) as network, recording(network, witness) as recorder:
            network.start(*OTHERS)
            wanted_bytes = SPARE_BYTES if is_own_disk else shutil.disk_usage(disk).free - SHARED_DISK_SPARE_BYTES
            network.nodes[VICTIM].start({"CARLIVE_STORAGE_FREE_BYTES_MIN": str(wanted_bytes)})
            await network.wait_until_ready()
            async with TransferLoad(network, targets=OTHERS) as load:
                await load.wait_for(50)
                filler = disk / "filler"
                fill(filler, shutil.disk_usage(disk).free - wanted_bytes + spare_bytes // 2)
                await _check_silence(network, recorder)
                if is_own_disk:  # now to the last byte
                    fill(filler, SMALL_DISK_BYTES)
                    height = await network.get_height(0)
                    await network.wait_for_height(height + 5, *OTHERS)
                filler.unlink()
                await _check_recovery(network)
            await _check_end(network, recorder, load)


async def _check_silence(network: ProcessNetwork, recorder: Recorder) -> None:
    """The node says why it is silent, signs nothing, and the others go on."""
    await eventually(lambda: network.nodes[VICTIM].has_logged("the disk is full: not signing"), "a line in the log")

    async def says_so() -> bool:
        return await network.get_readiness(VICTIM) == (503, "the disk is full\n")

    await eventually(says_so, "503 from /readyz")
    assert await network.get_metric(VICTIM, "disk_full") == 1
    height = await network.get_height(0)
    await network.wait_for_height(height + 3, *OTHERS)
    signed = _count_signed(recorder)
    await network.wait_for_height(height + 8, *OTHERS)
    assert _count_signed(recorder) == signed


async def _check_recovery(network: ProcessNetwork) -> None:
    """Nobody does anything, and the node is back, also as one of three that every block needs."""
    await network.wait_until_ready(VICTIM)
    await network.wait_for_height(await network.get_height(0), VICTIM)
    assert network.nodes[VICTIM].has_logged("there is room on the disk again")
    assert await network.get_metric(VICTIM, "disk_full") == 0
    network.kill(0)
    height = await network.get_height(1)
    await network.wait_for_height(height + 5, 1, 2, VICTIM)
    network.start(0)


async def _check_end(network: ProcessNetwork, recorder: Recorder, load: TransferLoad) -> None:
    await network.wait_until_still()
    await network.check_same_chain()
    await check_books(network, VICTIM, load.acknowledged)
    assert recorder.list_contradictions() == []


def _count_signed(recorder: Recorder) -> int:
    return sum(len(place) == 4 and place[3] == VICTIM for place in recorder.signed)


@contextmanager
def mounted_small_disk(path: Path) -> Iterator[bool]:
    """A small file system of its own where this may be mounted; whether it is one."""
    options = ["-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs"]
    is_mounted = os.geteuid() == 0 and subprocess.run(["mount", *options, str(path)], check=False).returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(path: Path, size_bytes: int) -> None:
    """Take up so much room, or all there is."""
    with path.open("ab", buffering=0) as file:
        if shutil.disk_usage(path.parent).free > 2 * SMALL_DISK_BYTES:
            os.posix_fallocate(file.fileno(), 0, size_bytes)
            return
        for chunk in (CHUNK, CHUNK[:4096]):
            while file.tell() < size_bytes:
                try:
                    file.write(chunk)
                except OSError as error:
                    assert error.errno == errno.ENOSPC
                    break
