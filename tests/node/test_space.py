"""Waiting for room on the disk: silence while it is full, said once at each end."""

import asyncio
from collections import namedtuple
from pathlib import Path

import pytest

from node import space
from node.disk_full import DiskFullError
from node.space import DiskSpace
from tests.chains import RecordingLogger

FULL = "the disk is full: not signing until there is room; free some space, nothing else is needed"
ROOM = "there is room on the disk again, going on"
Usage = namedtuple("Usage", "total used free")


class Disk:
    free = 1_000

    def usage(self, _path: Path) -> Usage:
        return Usage(10_000, 10_000 - self.free, self.free)


@pytest.fixture
def disk(monkeypatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(space.shutil, "disk_usage", disk.usage)
    monkeypatch.setattr(space, "CHECK_INTERVAL_S", 0.001)
    return disk


@pytest.fixture
def logger() -> RecordingLogger:
    return RecordingLogger()


def make_space(tmp_path, logger) -> DiskSpace:
    return DiskSpace(tmp_path, 500, logger)


async def test_with_room_nobody_waits(disk, logger, tmp_path):
    disk.free = 500
    disk_space = make_space(tmp_path, logger)
    await asyncio.wait_for(disk_space.wait_until_enough(), 1)
    assert (disk_space.is_waiting, logger.entries) == (False, [])


async def test_without_room_everybody_waits_until_there_is_some(disk, logger, tmp_path):
    disk.free = 499
    disk_space = make_space(tmp_path, logger)
    waiters = [asyncio.create_task(disk_space.wait_until_enough()) for _ in range(3)]
    await asyncio.sleep(0.02)
    assert disk_space.is_waiting
    assert not any(waiter.done() for waiter in waiters)
    assert logger.list_events("error") == [FULL], "said once, not by each"
    fields = logger.entries[0][2]
    assert (fields["directory"], fields["free_bytes_wanted"]) == (str(tmp_path), 500)
    disk.free = 500
    await asyncio.wait_for(asyncio.gather(*waiters), 1)
    assert not disk_space.is_waiting
    assert ROOM in logger.list_events("info")


async def test_a_failed_write_waits_even_though_there_seems_to_be_room(disk, logger, tmp_path):
    disk_space = make_space(tmp_path, logger)
    error = DiskFullError(tmp_path, OSError(28, "No space left on device"))
    waiter = asyncio.create_task(disk_space.wait_after_failure(error))
    await asyncio.sleep(0)
    assert disk_space.is_waiting
    await asyncio.wait_for(waiter, 1)
    assert disk_space.is_waiting, "until the write has got through"
    disk_space.resume()
    assert not disk_space.is_waiting
    assert logger.list_events("error") == [FULL]
    assert logger.list_events("info") == [ROOM]
    assert str(tmp_path) in logger.entries[0][2]["reason"]


async def test_a_failed_write_on_a_full_disk_waits_for_room(disk, logger, tmp_path):
    disk.free = 0
    disk_space = make_space(tmp_path, logger)
    waiter = asyncio.create_task(disk_space.wait_after_failure(OSError("full")))
    await asyncio.sleep(0.02)
    assert not waiter.done()
    assert disk_space.is_waiting
    disk.free = 10**9
    await asyncio.wait_for(waiter, 1)
    disk_space.resume()
    assert not disk_space.is_waiting


def test_the_real_disk_is_asked(tmp_path, logger):
    assert DiskSpace(tmp_path, 0, logger).is_enough()
    assert not DiskSpace(tmp_path, 2**62, logger).is_enough()
