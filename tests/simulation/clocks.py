"""Clocks of simulated machines: set wrong, running fast or slow, and set again in jumps.

The chain promises progress while clocks differ by `clock_precision_ms` at most. While faults last, a seed's clocks may
be further off than that; afterwards they stay within it, though they drift and jump on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from tests.simulation.cast import START_MS

CLOCK_PRECISION_MS = 100
DRIFT_PPM_MAX = 500
"""A bad quartz in the cold; more than this the time daemons of Linux do not correct either."""
TEND_MS_MAX = 4_000
DRIFT_MARGIN_MS = 5
"""More than a clock may drift between two looks at it."""
JUMP_SHARE = 300
"""Of a thousand looks at a clock that jumps."""
THOUSAND = 1_000
MILLION = 1_000_000

assert DRIFT_PPM_MAX * TEND_MS_MAX <= DRIFT_MARGIN_MS * MILLION


@dataclass(eq=False, slots=True)
class Clock:
    """What a machine believes the time to be."""

    offset_ms: int = 0
    """How far it was off when it was set."""
    drift_ppm: int = 0
    """How much faster it runs than time itself."""
    set_ms: int = START_MS

    def get_error_ms(self, now_ms: int) -> int:
        """How far it is off."""
        return self.offset_ms + (now_ms - self.set_ms) * self.drift_ppm // MILLION

    def read_ms(self, now_ms: int) -> int:
        """What it shows."""
        return now_ms + self.get_error_ms(now_ms)

    def put_at(self, now_ms: int, offset_ms: int) -> None:
        """Set it, right or wrong."""
        self.offset_ms, self.set_ms = offset_ms, now_ms


class Clockwork:
    """Whether this seed's clocks drift or jump, and by how much."""

    def __init__(self, random: Random, skew_ms_max: int, *, is_exact: bool) -> None:
        self._random = random
        self._skew_ms_max = skew_ms_max
        self.does_drift = random.random() < 0.5 and not is_exact
        self.does_jump = random.random() < 0.25 and not is_exact
        self.jumps = 0
        self.drifting = 0

    @property
    def is_at_work(self) -> bool:
        """Whether clocks need a look now and then."""
        return self.does_drift or self.does_jump

    def build_clock(self, offset_ms: int, now_ms: int) -> Clock:
        """A machine's clock; not all of a seed that drifts do."""
        drift_ppm = 0
        if self.does_drift and self._random.random() < 0.7:
            drift_ppm = self._random.choice((-1, 1)) * self._random.randint(1, DRIFT_PPM_MAX)
            self.drifting += 1
        return Clock(offset_ms, drift_ppm, now_ms)

    def draw_offset_ms(self, *, is_calm: bool) -> int:
        """Where a clock that is set may land."""
        limit_ms = self._get_limit_ms(is_calm=is_calm)
        return self._random.randint(-limit_ms, limit_ms)

    def put_right(self, clocks: Iterable[Clock], now_ms: int) -> None:
        """Within what the chain's progress rests on."""
        limit_ms = self._get_limit_ms(is_calm=True)
        for clock in clocks:
            error_ms = clock.get_error_ms(now_ms)
            if abs(error_ms) > limit_ms:
                clock.put_at(now_ms, max(-limit_ms, min(limit_ms, error_ms)))

    def tend(self, clocks: Iterable[Clock], now_ms: int, *, is_calm: bool) -> int:
        """Let some jump, and keep all in order when that is promised; after how long to look again."""
        for clock in clocks:
            if self.does_jump and self._random.randrange(THOUSAND) < JUMP_SHARE:
                clock.put_at(now_ms, self.draw_offset_ms(is_calm=is_calm))
                self.jumps += 1
        if is_calm:
            self.put_right(clocks, now_ms)
        return self._random.randint(TEND_MS_MAX // 8, TEND_MS_MAX)

    def _get_limit_ms(self, *, is_calm: bool) -> int:
        """Two clocks that are off by half of the precision differ by all of it."""
        promised_ms = CLOCK_PRECISION_MS // 2 - (DRIFT_MARGIN_MS if self.does_drift else 0)
        return promised_ms if is_calm else max(promised_ms, self._skew_ms_max)
