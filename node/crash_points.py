"""Moments at which a test lets a node die: before, in the middle of and after each of its durable writes.

CARLIVE_CRASH_POINT=safety.save:after:3 kills the process (SIGKILL, as a power cut would end it) right after the third
time that it has saved its safety state. Without the variable nothing here does anything.
"""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Final

from node.errors import ConfigurationError

CRASH_POINT_VARIABLE: Final = "CARLIVE_CRASH_POINT"


class CrashPoint(Enum):
    """A durable write."""

    LOG_BEGIN = "log.begin"
    """The consensus log of the next height is opened, that of the last one removed."""
    LOG_APPEND = "log.append"
    LOG_SYNC = "log.sync"
    SAFETY_SAVE = "safety.save"
    PROPOSED_SAVE = "proposed.save"
    """A block that is about to be voted on is kept."""
    PROPOSED_CLEAR = "proposed.clear"
    STORE_WRITE = "store.write"
    """A block with all it changes is committed."""
    JOURNAL_APPEND = "journal.append"
    """Admitted transactions are journaled."""
    JOURNAL_REWRITE = "journal.rewrite"


class Moment(Enum):
    """When, seen from the write."""

    BEFORE = "before"
    TORN = "torn"
    """Half of the bytes are written. Only where the node writes bytes itself."""
    AFTER = "after"


TEARABLE: Final = (
    CrashPoint.LOG_APPEND,
    CrashPoint.SAFETY_SAVE,
    CrashPoint.PROPOSED_SAVE,
    CrashPoint.JOURNAL_APPEND,
    CrashPoint.JOURNAL_REWRITE,
)


@dataclass(slots=True)
class _Armed:
    point: CrashPoint
    moment: Moment
    countdown: int
    """How many times the moment is passed before the process dies, this one included."""
    is_inside: bool = False


_armed: _Armed | None = None


def arm_crash_point(environment: Mapping[str, str]) -> str | None:
    """Read the variable; what it says, or None without it. Raises ConfigurationError."""
    global _armed
    text = environment.get(CRASH_POINT_VARIABLE)
    if text is None:
        _armed = None
        return None
    try:
        name, moment, *times = text.split(":")
        (count,) = times or ["1"]
        _armed = _Armed(CrashPoint(name), Moment(moment), int(count))
    except ValueError:
        points = ", ".join(point.value for point in CrashPoint)
        raise ConfigurationError(
            f"{CRASH_POINT_VARIABLE} is POINT:MOMENT or POINT:MOMENT:TIMES, not {text!r}; points are {points}, "
            "moments before, torn, after"
        ) from None
    return text


@contextmanager
def crash_point(point: CrashPoint) -> Iterator[None]:
    """Around a durable write."""
    armed = _armed
    if armed is None or armed.point is not point:
        yield
        return
    _pass(armed, Moment.BEFORE)
    armed.is_inside = True
    try:
        yield
    finally:
        armed.is_inside = False
    _pass(armed, Moment.AFTER)


def is_to_be_torn() -> bool:
    """Whether the write going on is to stop half-way; the caller then writes a half and calls `crash`."""
    armed = _armed
    if armed is None or not armed.is_inside or armed.moment is not Moment.TORN:
        return False
    armed.countdown -= 1
    return armed.countdown == 0


def crash() -> None:
    """Die as if killed: nothing is flushed, closed or said."""
    os.kill(os.getpid(), signal.SIGKILL)


def _pass(armed: _Armed, moment: Moment) -> None:
    if armed.moment is moment:
        armed.countdown -= 1
        if armed.countdown == 0:
            crash()
