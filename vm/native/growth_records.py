"""What the state holds for growth tasks, and what is signed for them; the rules stand in vm/native/growth.py.

| key                                                          | value                                             |
|--------------------------------------------------------------|---------------------------------------------------|
| GROWTH_TASKS_KEY                                             | TaskList: how many there were, and which are open |
| growth_task_key(task)                                        | Task; stays once it has ended                     |
| growth_standing_key(did, task, period)                       | Standing: what counts for an identity             |
| growth_evidence_key(did, task, period, reporter, index)      | Evidence: a reporter's newest count of one kind   |
| growth_stars_key(did, task, period, rater)                   | stars that a rater has given, 1 byte              |
| growth_rating_key(did)                                       | Rating: all ratings of an identity, added up      |
| growth_rater_key(rater)                                      | RaterUsage: how often it has rated on a day       |
"""

import re
from dataclasses import dataclass, replace
from enum import IntEnum, unique
from itertools import pairwise
from typing import Annotated, Final, NewType

from annotated_types import Interval, Len

from identity.did import Did
from ledger.codec import decode, encode
from ledger.primitives import JSON_INTEGER_MAX, Height
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.state import State, StateReader
from ledger.state_keys import (
    GROWTH_TASKS_KEY,
    growth_evidence_key,
    growth_rater_key,
    growth_rating_key,
    growth_standing_key,
    growth_stars_key,
    growth_task_key,
)
from vm.native.role_records import Role, check_grantable

TASKS_OPEN_MAX: Final = 64  # all of them are shown by the view, and stand in one record
TASKS_MAX: Final = 65_535  # what two bytes of a key can count
REQUIREMENTS_MAX: Final = 8
COUNT_MAX: Final = 1_000_000_000  # of one report; the sum of millions of reporters stays below 2^53
RATERS_MAX: Final = 1_000_000
PERIOD_HEIGHTS_MAX: Final = 10_000_000  # about a year of three-second blocks
TERM_HEIGHTS_MAX: Final = 30_000_000  # about three years
STARS_MAX: Final = 5

_KIND: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)

TaskId = Annotated[int, Interval(ge=1, le=TASKS_MAX)]
Period = Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]
"""Number of a stretch of a task's `period_heights` blocks: a height, divided by them and rounded down."""
EvidenceKind = Annotated[str, Len(1, 32)]
EvidenceCount = Annotated[int, Interval(ge=0, le=COUNT_MAX)]
EvidenceCommitment = NewType("EvidenceCommitment", Annotated[bytes, Len(32, 32)])
"""Hash of what the reporter has counted; opened to whom it may concern."""
Stars = Annotated[int, Interval(ge=1, le=STARS_MAX)]
Sequence = Annotated[int, Interval(ge=1, le=JSON_INTEGER_MAX)]
_Sum = Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]


@dataclass(frozen=True, slots=True)
class Requirement:
    """How much evidence of a kind it takes."""

    kind: EvidenceKind
    """Lower-case words with single hyphens between."""
    count: Annotated[int, Interval(ge=1, le=COUNT_MAX)]


@dataclass(frozen=True, slots=True)
class Task:
    """What an identity must reach within one period, and the role it then has."""

    title: Annotated[str, Len(1, 128)]
    role: Role
    term_heights: Annotated[int, Interval(ge=1, le=TERM_HEIGHTS_MAX)]
    """For how many blocks the role is granted."""
    period_heights: Annotated[int, Interval(ge=1, le=PERIOD_HEIGHTS_MAX)]
    requirements: Annotated[tuple[Requirement, ...], Len(0, REQUIREMENTS_MAX)]
    """In order of their kinds, each once."""
    raters_min: Annotated[int, Interval(ge=0, le=RATERS_MAX)]
    mean_hundredths_min: Annotated[int, Interval(ge=100, le=100 * STARS_MAX)]
    """Least mean of the stars, in hundredths."""


@dataclass(frozen=True, slots=True)
class TaskList:
    """How many tasks governance has defined, and which of them have not ended."""

    count: Annotated[int, Interval(ge=0, le=TASKS_MAX)]
    open: Annotated[tuple[TaskId, ...], Len(0, TASKS_OPEN_MAX)]
    """In order."""


NO_TASKS: Final = TaskList(0, ())


@dataclass(frozen=True, slots=True)
class Standing:
    """What counts for an identity in one period of a task."""

    counts: Annotated[tuple[_Sum, ...], Len(0, REQUIREMENTS_MAX)]
    """Of all reporters, for each requirement of the task."""
    ratings: _Sum
    stars: _Sum
    is_certified: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a reporter has counted, by its newest report."""

    sequence: Sequence
    """How many reports of this there were."""
    count: EvidenceCount
    commitment: EvidenceCommitment


@dataclass(frozen=True, slots=True)
class Rating:
    """All ratings of an identity that stand, of all tasks and periods."""

    ratings: _Sum
    stars: _Sum


NO_RATING: Final = Rating(0, 0)


@dataclass(frozen=True, slots=True)
class RaterUsage:
    """How often an identity has rated on a day, changes included."""

    day: Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]
    ratings: _Sum


@dataclass(frozen=True, slots=True)
class ReportPayload:
    """What a reporter signs: so much of this kind it has counted for an identity in this period."""

    reporter: Did
    did: Did
    task: TaskId
    period: Period
    kind: EvidenceKind
    count: EvidenceCount
    """All of the period, in place of what the reporter said before."""
    commitment: EvidenceCommitment
    sequence: Sequence
    """One above that of its report before on the same, from 1."""


@dataclass(frozen=True, slots=True)
class TaskDefined:
    """A growth task is open."""

    task: TaskId
    role: Role


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """A growth task has ended: nobody is certified by it any more."""

    task: TaskId


@unique
class Condition(IntEnum):
    """What a task asks for; wire number, never reused."""

    EVIDENCE = 1
    RATERS = 2
    MEAN = 3
    """Of the stars, in hundredths, rounded down."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A condition of a task that does not hold."""

    condition: Condition
    kind: str
    """Of the evidence; else empty."""
    held: int
    needed: int


# Tasks


def get_tasks(state: StateReader) -> TaskList:
    """How many tasks there were, and which are open."""
    encoded = state.get(GROWTH_TASKS_KEY)
    return NO_TASKS if encoded is None else decode(TaskList, encoded)


def get_task(state: StateReader, task: TaskId) -> Task | None:
    """A task, open or ended."""
    encoded = state.get(growth_task_key(task))
    return None if encoded is None else decode(Task, encoded)


def get_open_task(state: StateReader, task: TaskId) -> Task:
    """A task that has not ended; raises Rejected."""
    found = get_known_task(state, task)
    if task not in get_tasks(state).open:
        raise Rejected(Reason.TASK_ENDED, "the task has ended")
    return found


def get_known_task(state: StateReader, task: TaskId) -> Task:
    """A task, open or ended; raises Rejected."""
    found = get_task(state, task)
    if found is None:
        raise Rejected(Reason.UNKNOWN_TASK, "there is no such task")
    return found


def check_task(state: StateReader, task: Task) -> None:
    """Whether governance may define a task; raises Rejected."""
    check_grantable(task.role)
    if task.role is Role.PERSON:
        raise Rejected(Reason.BAD_TASK, "that somebody is a person is attested, not earned")
    if any(not _KIND.fullmatch(each.kind) for each in task.requirements):
        raise Rejected(Reason.BAD_TASK, "a kind of evidence has lower-case words with single hyphens between")
    if any(left.kind >= right.kind for left, right in pairwise(task.requirements)):
        raise Rejected(Reason.BAD_TASK, "requirements stand in order of their kinds, each once")
    if not task.requirements and task.raters_min == 0:
        raise Rejected(Reason.BAD_TASK, "a task asks for evidence or for ratings")
    tasks = get_tasks(state)
    if len(tasks.open) >= TASKS_OPEN_MAX or tasks.count >= TASKS_MAX:
        raise Rejected(Reason.TASKS_LIMIT, f"at most {TASKS_OPEN_MAX} tasks are open", maximum=TASKS_OPEN_MAX)


def define_task(state: State, task: Task) -> Event:
    """Open a task that was checked."""
    tasks = get_tasks(state)
    number = tasks.count + 1
    state.put(growth_task_key(number), encode(task))
    state.put(GROWTH_TASKS_KEY, encode(TaskList(number, (*tasks.open, number))))
    return Event("growth", TaskDefined.__name__, [number, int(task.role)])


def end_task(state: State, task: TaskId) -> Event:
    """End an open task."""
    tasks = get_tasks(state)
    kept = tuple([each for each in tasks.open if each != task])
    state.put(GROWTH_TASKS_KEY, encode(replace(tasks, open=kept)))
    return Event("growth", TaskEnded.__name__, [task])


def compute_period(task: Task, height: int) -> Period:
    """The period of a task in which a height lies."""
    return height // task.period_heights


def compute_last_height(task: Task, period: Period) -> Height:
    """The last block in which what was reached in a period counts: the last one of the period after it."""
    return Height((period + 2) * task.period_heights - 1)


# What is reached


def get_standing(state: StateReader, did: Did, task_id: TaskId, task: Task, period: Period) -> Standing:
    """What counts for an identity in one period of a task."""
    encoded = state.get(growth_standing_key(did, task_id, period))
    if encoded is None:
        return Standing((0,) * len(task.requirements), 0, 0, is_certified=False)
    return decode(Standing, encoded)


def put_standing(state: State, did: Did, task: TaskId, period: Period, standing: Standing) -> None:
    """Replace it."""
    state.put(growth_standing_key(did, task, period), encode(standing))


def get_evidence(
    state: StateReader, did: Did, task: TaskId, period: Period, reporter: Did, index: int
) -> Evidence | None:
    """A reporter's newest report on the requirement of this index."""
    encoded = state.get(growth_evidence_key(did, task, period, reporter, index))
    return None if encoded is None else decode(Evidence, encoded)


def put_evidence(
    state: State, did: Did, task: TaskId, period: Period, reporter: Did, index: int, evidence: Evidence
) -> None:
    """Replace it."""
    state.put(growth_evidence_key(did, task, period, reporter, index), encode(evidence))


def get_stars(state: StateReader, did: Did, task: TaskId, period: Period, rater: Did) -> int:
    """The stars that a rater has given; 0: none."""
    encoded = state.get(growth_stars_key(did, task, period, rater))
    return 0 if encoded is None else encoded[0]


def put_stars(state: State, did: Did, task: TaskId, period: Period, rater: Did, stars: int) -> None:
    """Replace the stars that a rater has given; 0: none any more."""
    key = growth_stars_key(did, task, period, rater)
    if stars:
        state.put(key, bytes([stars]))
    else:
        state.delete(key)


def get_rating(state: StateReader, did: Did) -> Rating:
    """All ratings of an identity, added up."""
    encoded = state.get(growth_rating_key(did))
    return NO_RATING if encoded is None else decode(Rating, encoded)


def put_rating(state: State, did: Did, rating: Rating) -> None:
    """Replace it."""
    state.put(growth_rating_key(did), encode(rating))


def count_ratings(state: StateReader, rater: Did, day: int) -> int:
    """How often an identity has rated on a day."""
    encoded = state.get(growth_rater_key(rater))
    usage = None if encoded is None else decode(RaterUsage, encoded)
    return usage.ratings if usage is not None and usage.day == day else 0


def put_ratings(state: State, rater: Did, day: int, ratings: int) -> None:
    """Replace it."""
    state.put(growth_rater_key(rater), encode(RaterUsage(day, ratings)))


def list_missing(task: Task, standing: Standing) -> list[Missing]:
    """Conditions of a task that do not hold, in the order in which they are checked. Whole numbers only."""
    missing = [
        Missing(Condition.EVIDENCE, each.kind, held, each.count)
        for each, held in zip(task.requirements, standing.counts, strict=True)
        if held < each.count
    ]
    if standing.ratings < task.raters_min:
        missing.append(Missing(Condition.RATERS, "", standing.ratings, task.raters_min))
    if 100 * standing.stars < task.mean_hundredths_min * standing.ratings:
        mean = compute_mean_hundredths(standing.ratings, standing.stars)
        missing.append(Missing(Condition.MEAN, "", mean, task.mean_hundredths_min))
    return missing


def compute_mean_hundredths(ratings: int, stars: int) -> int:
    """Mean of the stars in hundredths, rounded down; 0 without ratings."""
    return 100 * stars // ratings if ratings else 0
