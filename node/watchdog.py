"""Says what the node is waiting for whenever there is work and no block came for a while."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from node.clock import Clock

CHECK_INTERVAL_S: Final = 1.0
REPEAT_S: Final = 15.0


class Watchdog:
    """Measures how long work has been waiting since the last block."""

    def __init__(
        self,
        has_work: Callable[[], bool],
        explain: Callable[[], str | None],
        silence_ms: int,
        clock: Clock,
        logger: Any,
    ) -> None:
        self._has_work = has_work
        self._explain = explain
        self._silence_s = silence_ms / 1000
        self._clock = clock
        self._logger = logger
        self._quiet_since_s = clock.get_monotonic_s()

    def on_block(self, _committed: object) -> None:
        """A block came."""
        self._quiet_since_s = self._clock.get_monotonic_s()

    @property
    def silent_seconds(self) -> float:
        """How long work has been waiting without a block."""
        return self._clock.get_monotonic_s() - self._quiet_since_s

    @property
    def is_alarmed(self) -> bool:
        """Whether that is too long."""
        return self.silent_seconds > self._silence_s

    def explain_waiting(self) -> str | None:
        """What is missing, once it is too long."""
        return self._explain() if self.is_alarmed else None

    async def run(self) -> None:
        """Look once a second until cancelled."""
        said_s = 0.0
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            if not self._has_work():
                self._quiet_since_s = self._clock.get_monotonic_s()
            elif self.is_alarmed and self._clock.get_monotonic_s() - said_s > REPEAT_S:
                said_s = self._clock.get_monotonic_s()
                self._logger.warning(
                    "no block although there is work",
                    seconds=round(self.silent_seconds, 1),
                    waiting_for=self._explain(),
                )
