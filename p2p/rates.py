"""Rates: how much a peer may send, and how its misdeeds add up and fade. Time is an argument."""


class TokenBucket:
    """A rate with a burst. It is charged after the fact and may go into debt; whoever is in debt waits."""

    __slots__ = ("_burst", "_level", "_rate", "_updated_s")

    def __init__(self, rate: float, burst: float, now_s: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._updated_s = now_s

    def charge(self, amount: float, now_s: float) -> float:
        """Take an amount; the seconds until the debt, if any, is paid."""
        refilled = self._level + (now_s - self._updated_s) * self._rate
        self._level = min(self._burst, refilled) - amount
        self._updated_s = now_s
        return max(0.0, -self._level / self._rate)


class Score:
    """A peer's penalty points; they fade at a constant rate and never fall below zero."""

    __slots__ = ("_decay_per_second", "_points", "_updated_s")

    def __init__(self, decay_per_second: float) -> None:
        self._decay_per_second = decay_per_second
        self._points = 0.0
        self._updated_s = 0.0

    def add(self, points: float, now_s: float) -> float:
        """Add points; the score after it."""
        self._points = self.get_points(now_s) + points
        self._updated_s = now_s
        return self._points

    def get_points(self, now_s: float) -> float:
        """The score now."""
        return max(0.0, self._points - (now_s - self._updated_s) * self._decay_per_second)
