"""The watchdog speaks when work waits and no block comes, and only then."""

import asyncio

import pytest

from node import watchdog as watchdog_module
from node.watchdog import REPEAT_S, Watchdog
from tests.chains import FakeClock, RecordingLogger


class Scene:
    def __init__(self, silence_ms: int = 10_000) -> None:
        self.clock, self.logger = FakeClock(), RecordingLogger()
        self.has_work = True
        self.watchdog = Watchdog(lambda: self.has_work, lambda: "prevotes of b, c", silence_ms, self.clock, self.logger)

    def pass_time(self, seconds: float) -> None:
        self.clock.monotonic_s += seconds


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_it_is_alarmed_only_after_the_silence(scene):
    scene.pass_time(10)
    assert (scene.watchdog.is_alarmed, scene.watchdog.explain_waiting()) == (False, None)
    scene.pass_time(0.5)
    assert (scene.watchdog.is_alarmed, scene.watchdog.explain_waiting()) == (True, "prevotes of b, c")
    assert scene.watchdog.silent_seconds == 10.5


def test_a_block_ends_the_silence(scene):
    scene.pass_time(60)
    scene.watchdog.on_block(None)
    assert (scene.watchdog.silent_seconds, scene.watchdog.explain_waiting()) == (0, None)


async def look(scene: Scene, times: int = 3) -> None:
    task = asyncio.create_task(scene.watchdog.run())
    try:
        async with asyncio.timeout(5):
            for _ in range(times):
                await asyncio.sleep(0.004)
    finally:
        task.cancel()


async def test_it_says_what_is_missing_and_repeats_after_a_while(scene, monkeypatch):
    monkeypatch.setattr(watchdog_module, "CHECK_INTERVAL_S", 0.001)
    task = asyncio.create_task(scene.watchdog.run())
    await asyncio.sleep(0.01)
    assert scene.logger.entries == []
    scene.pass_time(12)
    await asyncio.sleep(0.01)
    entry = ("warning", "no block although there is work", {"seconds": 12.0, "waiting_for": "prevotes of b, c"})
    assert scene.logger.entries == [entry]
    scene.pass_time(REPEAT_S + 0.1)
    await asyncio.sleep(0.01)
    assert len(scene.logger.entries) == 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_idle_time_is_not_silence(scene, monkeypatch):
    monkeypatch.setattr(watchdog_module, "CHECK_INTERVAL_S", 0.001)
    scene.has_work = False
    scene.pass_time(3600)
    await look(scene)
    assert (scene.logger.entries, scene.watchdog.silent_seconds) == ([], 0)
    scene.has_work = True
    scene.pass_time(9)
    await look(scene)
    assert scene.logger.entries == []
    scene.pass_time(2)
    await look(scene)
    assert len(scene.logger.entries) == 1
