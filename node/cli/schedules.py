"""Schedules of lock-ups on the command line: options, and files where there are many steps."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from node.cli.did_signing import read_json_file
from node.cli.failures import CommandFailedError

_TIME_FORM: Final = "2027-01-31T00:00:00Z"
_LINEAR_TIMES: Final = 3
_WHOLE_BPS: Final = "10000"
_TIME_CLOCK: Final = 1


@dataclass(frozen=True, slots=True)
class ScheduleOptions:
    """One of them says when something unlocks."""

    cliff: str | None
    linear: str | None
    schedule_file: Path | None


def schedule_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add when something unlocks; the command gets `schedule`."""

    @wraps(function)
    def command(*args: Any, cliff: str | None, linear: str | None, schedule_file: Path | None, **given: Any) -> Any:
        return function(*args, schedule=ScheduleOptions(cliff, linear, schedule_file), **given)

    decorated: Callable[..., Any] = command
    for option in (
        click.option(
            "--schedule",
            "schedule_file",
            type=click.Path(path_type=Path, dir_okay=False, exists=True),
            default=None,
            help="File with a schedule in JSON: linear, clock, isInGrains, steps.",
        ),
        click.option("--linear", default=None, metavar="START,CLIFF,END", help="Evenly between two times."),
        click.option(
            "--cliff", default=None, metavar="TIME", help=f"All of it at one time, for instance {_TIME_FORM}."
        ),
    ):
        decorated = option(decorated)
    return decorated


def build_schedule_json(options: ScheduleOptions) -> dict[str, Any]:
    """The schedule as a call's argument in JSON; raises CommandFailedError."""
    given = [each for each in (options.cliff, options.linear, options.schedule_file) if each is not None]
    if len(given) != 1:
        raise CommandFailedError("say when it unlocks with one of --cliff, --linear and --schedule")
    if options.schedule_file is not None:
        found = read_json_file(options.schedule_file)
        if not isinstance(found, dict):
            raise CommandFailedError(f"{options.schedule_file} does not hold a schedule")
        return found
    if options.cliff is not None:
        return _build(None, [{"at": parse_time(options.cliff), "unlocked": _WHOLE_BPS}])
    assert options.linear is not None, "it is the one that is given"
    times = options.linear.split(",")
    if len(times) != _LINEAR_TIMES:
        raise CommandFailedError(f"--linear: write three times, START,CLIFF,END, each like {_TIME_FORM}")
    names = ("startMs", "cliffMs", "endMs")
    return _build(dict(zip(names, map(parse_time, times), strict=True)), [])


def parse_time(text: str) -> int:
    """Milliseconds of a time with its zone; raises CommandFailedError."""
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            raise ValueError
    except ValueError:
        raise CommandFailedError(f"{text!r} is not a time: write for instance {_TIME_FORM}") from None
    return int((time - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000


def _build(linear: dict[str, int] | None, steps: list[dict[str, Any]]) -> dict[str, Any]:
    return {"linear": linear, "clock": _TIME_CLOCK, "isInGrains": False, "steps": steps}
