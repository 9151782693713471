"""The node's clocks: wall time for block times, monotonic time for everything that waits."""

import time


class Clock:
    """Wall clock in milliseconds with an offset that only a devnet moves."""

    def __init__(self) -> None:
        self.offset_ms = 0

    def get_wall_ms(self) -> int:
        """Milliseconds since 1970 as this node believes."""
        return time.time_ns() // 1_000_000 + self.offset_ms

    @staticmethod
    def get_monotonic_s() -> float:
        """Seconds that never jump."""
        return time.monotonic()
