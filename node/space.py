"""Waits while the disk is full: better silent than half written."""

import asyncio
import shutil
from pathlib import Path
from typing import Any, Final

CHECK_INTERVAL_S: Final = 1.0


class DiskSpace:
    """Free space of the file system that holds the node's home."""

    def __init__(self, directory: Path, free_bytes_min: int, logger: Any) -> None:
        self._directory = directory
        self._free_bytes_min = free_bytes_min
        self._logger = logger
        self._is_waiting = False
        self._has_failed = False

    @property
    def is_waiting(self) -> bool:
        """Whether the node has stopped signing for want of space."""
        return self._is_waiting

    def is_enough(self) -> bool:
        """Whether there is room for the next blocks."""
        return shutil.disk_usage(self._directory).free >= self._free_bytes_min

    async def wait_until_enough(self) -> None:
        """Return when there is room; says so once, and once more when it is over."""
        if self.is_enough():
            return
        self._say_full("too little free space")
        while not self.is_enough():  # noqa: ASYNC110  # nothing tells when a disk has room
            await asyncio.sleep(CHECK_INTERVAL_S)
        if not self._has_failed:
            self._say_enough()

    async def wait_after_failure(self, error: Exception) -> None:
        """A write has failed: wait a moment, and until there is room; then the caller tries again.

        Free space alone does not show that it will get through: the wait is over when the caller says `resume`.
        """
        self._has_failed = True
        self._say_full(str(error))
        await asyncio.sleep(CHECK_INTERVAL_S)
        await self.wait_until_enough()

    def resume(self) -> None:
        """What had failed has got through."""
        self._has_failed = False
        self._say_enough()

    def _say_enough(self) -> None:
        if self._is_waiting:
            self._logger.info("there is room on the disk again, going on")
        self._is_waiting = False

    def _say_full(self, reason: str) -> None:
        if not self._is_waiting:
            self._logger.error(
                "the disk is full: not signing until there is room; free some space, nothing else is needed",
                reason=reason,
                directory=str(self._directory),
                free_bytes_wanted=self._free_bytes_min,
            )
        self._is_waiting = True
