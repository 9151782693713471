"""Growth tasks: what an identity has done, counted on the chain, and what others think of it, lead to a role.

What the state holds stands in growth_records.py. Governance defines tasks and ends them (vm/native/governance.py).

Rules
* W1 A task asks for evidence, for ratings, or for both, within one period of so many blocks. Whoever reaches all of it
  in the present period or the one before is certified: has the task's role for the task's term.
* W2 Reporters that governance recognises say how much they have counted for another identity in one of these two
  periods. A report replaces the reporter's last one on the same. Counts of all reporters are added up.
* W3 A person gives another identity 1 to 5 stars in the present period, and may change them in it. What counts is the
  account's identity, with the role person when it rates. Nobody rates itself, or what it owns or controls.
* W4 An identity rates at most RATINGS_PER_DAY_MAX times on a day (UTC, by the block's time), changes included.
* W5 Whoever has rated takes its stars back at any time. When it is no longer a person, because its identity has ended
  or its role, anybody has them dropped.
* W6 Anybody sends the certification; nobody decides it. An identity is certified once for a period, so a role that
  governance takes back is not there again with the same evidence. It counts as granted by governance; one that an
  issuer granted, or that lasts longer, is left alone.
* W7 What is signed names the number of the report, so it counts once.
"""

from dataclasses import dataclass, replace
from typing import Final

from identity.did import Did
from identity.signing import SigningPurpose
from ledger.codec import encode
from ledger.primitives import Height
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from vm.context import Context, Moment
from vm.gas import GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.did_control import check_did_signatures
from vm.native.did_payloads import DidSignatures
from vm.native.did_records import GAS_DID_READ, SIGNED_GAS_WORDS, get_account_did, get_active_did
from vm.native.free_quota import compute_day
from vm.native.growth_records import (
    Condition,
    Evidence,
    EvidenceCommitment,
    EvidenceKind,
    Missing,
    Period,
    Rating,
    ReportPayload,
    Standing,
    Stars,
    Task,
    TaskDefined,
    TaskEnded,
    TaskId,
    compute_last_height,
    compute_mean_hundredths,
    compute_period,
    count_ratings,
    get_evidence,
    get_known_task,
    get_open_task,
    get_rating,
    get_standing,
    get_stars,
    get_task,
    get_tasks,
    list_missing,
    put_evidence,
    put_rating,
    put_ratings,
    put_standing,
    put_stars,
)
from vm.native.recognition import Recognition, check_recognised
from vm.native.role_records import Grant, Role, check_holder, get_grant, holds_role, put_grant
from vm.native.role_table import GAS_ROLE_CHECK
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule

RATINGS_PER_DAY_MAX: Final = 20  # what somebody thinks of others, not what a program is paid for

GAS_REPORT: Final = 2 * GAS_STATE_WRITE + 6 * GAS_STATE_READ + GAS_DID_READ
GAS_RATE: Final = 4 * GAS_STATE_WRITE + 7 * GAS_STATE_READ + 2 * GAS_DID_READ
GAS_REMOVE: Final = 3 * GAS_STATE_WRITE + 5 * GAS_STATE_READ + GAS_DID_READ
GAS_CERTIFY: Final = 2 * GAS_STATE_WRITE + 4 * GAS_STATE_READ + GAS_DID_READ

_REASONS: Final = {
    Condition.EVIDENCE: Reason.EVIDENCE_MISSING,
    Condition.RATERS: Reason.RATERS_MISSING,
    Condition.MEAN: Reason.RATING_TOO_LOW,
}


@dataclass(frozen=True, slots=True)
class Report:
    """Say how much a reporter has counted for an identity."""

    payload: ReportPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class Rate:
    """Give another identity stars, or change them, as the identity that the sender's account is linked to."""

    did: Did
    task: TaskId
    stars: Stars


@dataclass(frozen=True, slots=True)
class WithdrawRating:
    """Take back the stars that the identity of the sender's account has given."""

    did: Did
    task: TaskId
    period: Period


@dataclass(frozen=True, slots=True)
class DropRating:
    """Let the stars of somebody count no more who is no longer a person."""

    did: Did
    task: TaskId
    period: Period
    rater: Did


@dataclass(frozen=True, slots=True)
class Certify:
    """Give an identity the role of a task of which it has reached everything."""

    did: Did
    task: TaskId
    period: Period


@dataclass(frozen=True, slots=True)
class EvidenceReported:
    """A reporter has counted so much for an identity, in place of what it said before."""

    did: Did
    task: TaskId
    period: Period
    reporter: Did
    kind: EvidenceKind
    count: int
    commitment: EvidenceCommitment


@dataclass(frozen=True, slots=True)
class Rated:
    """A person has given an identity stars."""

    did: Did
    task: TaskId
    period: Period
    rater: Did
    stars: int


@dataclass(frozen=True, slots=True)
class RatingRemoved:
    """Stars count no more."""

    did: Did
    task: TaskId
    period: Period
    rater: Did


@dataclass(frozen=True, slots=True)
class Certified:
    """An identity has reached everything of a task; it has the role up to a height."""

    did: Did
    task: TaskId
    period: Period
    role: Role
    until_height: Height


@dataclass(frozen=True, slots=True)
class TaskDescription:
    """A task as the view tells it."""

    id: TaskId
    is_open: bool
    period: Period
    """The present one."""
    task: Task


@dataclass(frozen=True, slots=True)
class Progress:
    """What an identity has reached in one period of a task, and what is missing."""

    period: Period
    last_height: Height
    """In which it counts."""
    standing: Standing
    mean_hundredths: int
    missing: tuple[Missing, ...]
    """Empty: it may be certified, unless it was for this period."""


@dataclass(frozen=True, slots=True)
class RatingDescription:
    """All ratings of an identity that stand."""

    ratings: int
    stars: int
    mean_hundredths: int


# What calls do


def apply_report(state: State, context: Context, call: Report) -> None:
    """Rules W2 and W7."""
    given = call.payload
    task = get_open_task(state, given.task)
    _check_period(task, given.period, context.block.height)
    check_recognised(state, Recognition.EVIDENCE_REPORTER, given.reporter)
    if given.reporter == given.did:
        raise Rejected(Reason.ONES_OWN, "nobody reports evidence for itself")
    check_holder(state, given.did, task.role)
    kinds = [each.kind for each in task.requirements]
    if given.kind not in kinds:
        raise Rejected(Reason.UNKNOWN_EVIDENCE, f"the task takes evidence of {', '.join(kinds) or 'no kind'}")
    index = kinds.index(given.kind)
    former = get_evidence(state, given.did, given.task, given.period, given.reporter, index)
    expected = 1 if former is None else former.sequence + 1
    if given.sequence != expected:
        raise Rejected(Reason.REPORT_STALE, f"the number of the report is {expected}", expected=expected)
    purpose = SigningPurpose.GROWTH_REPORT
    check_did_signatures(state, context, given.reporter, purpose, encode(given), call.signatures)
    standing = get_standing(state, given.did, given.task, task, given.period)
    added = given.count - (0 if former is None else former.count)
    counts = (*standing.counts[:index], standing.counts[index] + added, *standing.counts[index + 1 :])
    put_standing(state, given.did, given.task, given.period, replace(standing, counts=counts))
    evidence = Evidence(given.sequence, given.count, given.commitment)
    put_evidence(state, given.did, given.task, given.period, given.reporter, index, evidence)
    context.emit(
        MODULE.name,
        EvidenceReported.__name__,
        *(given.did, given.task, given.period, given.reporter, given.kind, given.count, given.commitment),
    )


def apply_rate(state: State, context: Context, call: Rate) -> None:
    """Rules W3 and W4."""
    rater = _get_sender(state, context)
    task = get_open_task(state, call.task)
    check_holder(state, call.did, task.role)
    _check_stranger(state, rater, call.did)
    day = compute_day(context.block.time_ms)
    used = count_ratings(state, rater, day)
    if used >= RATINGS_PER_DAY_MAX:
        raise Rejected(
            Reason.RATINGS_LIMIT, f"an identity rates {RATINGS_PER_DAY_MAX} times a day", maximum=RATINGS_PER_DAY_MAX
        )
    put_ratings(state, rater, day, used + 1)
    period = compute_period(task, context.block.height)
    _replace_stars(state, call.did, call.task, task, period, rater, call.stars)
    context.emit(MODULE.name, Rated.__name__, call.did, call.task, period, rater, call.stars)


def apply_withdraw_rating(state: State, context: Context, call: WithdrawRating) -> None:
    """Rule W5."""
    _remove_stars(state, context, call.did, call.task, call.period, _get_sender(state, context))


def apply_drop_rating(state: State, context: Context, call: DropRating) -> None:
    """Rule W5; anybody may send it."""
    if holds_role(state, call.rater, Role.PERSON, context.block.height):
        raise Rejected(Reason.RATER_ACTIVE, "whoever gave these stars is a person: they stay")
    _remove_stars(state, context, call.did, call.task, call.period, call.rater)


def apply_certify(state: State, context: Context, call: Certify) -> None:
    """Rules W1 and W6; anybody may send it."""
    height = context.block.height
    task = get_open_task(state, call.task)
    _check_period(task, call.period, height)
    check_holder(state, call.did, task.role)
    standing = get_standing(state, call.did, call.task, task, call.period)
    if standing.is_certified:
        raise Rejected(Reason.CERTIFIED_ALREADY, "the identity was certified for this period")
    _refuse_missing(list_missing(task, standing))
    until_height = Height(height + task.term_heights)
    held = get_grant(state, call.did, task.role, height)
    if held is not None and (held.issuer is not None or held.until_height >= until_height):
        raise Rejected(Reason.ROLE_HELD, "the identity has this role from an issuer, or for longer")
    put_standing(state, call.did, call.task, call.period, replace(standing, is_certified=True))
    context.events.append(put_grant(state, call.did, task.role, Grant(until_height, None), height))
    context.emit(MODULE.name, Certified.__name__, call.did, call.task, call.period, int(task.role), until_height)


def _check_period(task: Task, period: Period, height: int) -> None:
    """Rule W1; raises Rejected."""
    present = compute_period(task, height)
    if not present - 1 <= period <= present:
        raise Rejected(
            Reason.BAD_PERIOD,
            f"what counts now is period {present} and the one before",
            minimum=present - 1,
            maximum=present,
        )


def _refuse_missing(missing: list[Missing]) -> None:
    """Name the first condition that does not hold, and how many there are; raises Rejected."""
    if not missing:
        return
    first = missing[0]
    what = f"evidence of {first.kind}" if first.condition is Condition.EVIDENCE else first.condition.name.lower()
    raise Rejected(
        _REASONS[first.condition],
        f"{what}: {first.held} of {first.needed}",
        kind=first.kind,
        held=first.held,
        needed=first.needed,
        conditions_missing=len(missing),
    )


def _get_sender(state: StateReader, context: Context) -> Did:
    """The identity for which the sender's account acts; raises Rejected."""
    did = get_account_did(state, context.sender)
    if did is None:
        raise Rejected(Reason.DID_NOT_LINKED, "the sender's account acts for no identity")
    return did


def _check_stranger(state: StateReader, rater: Did, did: Did) -> None:
    """Rule W3; raises Rejected."""
    content = get_active_did(state, did).current.content
    controllers = () if content.control.controllers is None else content.control.controllers.dids
    if rater in (did, content.owner, *controllers):
        raise Rejected(Reason.ONES_OWN, "nobody rates itself, or what it owns or controls")


def _remove_stars(state: State, context: Context, did: Did, task_id: TaskId, period: Period, rater: Did) -> None:
    """Raises Rejected when there are none."""
    task = get_known_task(state, task_id)
    if not get_stars(state, did, task_id, period, rater):
        raise Rejected(Reason.NO_RATING, "there is no such rating")
    _replace_stars(state, did, task_id, task, period, rater, 0)
    context.emit(MODULE.name, RatingRemoved.__name__, did, task_id, period, rater)


def _replace_stars(state: State, did: Did, task_id: TaskId, task: Task, period: Period, rater: Did, stars: int) -> None:
    """Write stars, 0 for none, and keep the sums of the period and of the identity."""
    former = get_stars(state, did, task_id, period, rater)
    ratings_added, stars_added = bool(stars) - bool(former), stars - former
    put_stars(state, did, task_id, period, rater, stars)
    standing = get_standing(state, did, task_id, task, period)
    changed = replace(standing, ratings=standing.ratings + ratings_added, stars=standing.stars + stars_added)
    put_standing(state, did, task_id, period, changed)
    rating = get_rating(state, did)
    put_rating(state, did, Rating(rating.ratings + ratings_added, rating.stars + stars_added))


# Questions


def answer_task(state: StateReader, moment: Moment, task: TaskId) -> TaskDescription | None:
    """The view of a task, open or ended."""
    found = get_task(state, task)
    if found is None:
        return None
    return TaskDescription(task, task in get_tasks(state).open, compute_period(found, moment.height), found)


def answer_tasks(state: StateReader, moment: Moment) -> list[TaskDescription]:
    """The view of all open tasks."""
    found = [answer_task(state, moment, task) for task in get_tasks(state).open]
    return [each for each in found if each is not None]


def answer_progress(state: StateReader, moment: Moment, did: Did, task: TaskId) -> list[Progress]:
    """The view of what an identity has reached and what is missing: in the present period, and the one before."""
    found = get_task(state, task)
    if found is None:
        return []
    present = compute_period(found, moment.height)
    return [_describe_progress(state, did, task, found, each) for each in range(present, max(-1, present - 2), -1)]


def answer_rating(state: StateReader, _: Moment, did: Did) -> RatingDescription:
    """The view of all ratings of an identity, of all tasks and periods."""
    rating = get_rating(state, did)
    return RatingDescription(rating.ratings, rating.stars, compute_mean_hundredths(rating.ratings, rating.stars))


def answer_stars(state: StateReader, _: Moment, did: Did, task: TaskId, period: Period, rater: Did) -> int:
    """The view of the stars that somebody has given; 0: none."""
    return get_stars(state, did, task, period, rater)


def answer_evidence(
    state: StateReader, _: Moment, did: Did, task: TaskId, period: Period, reporter: Did, kind: EvidenceKind
) -> Evidence | None:
    """The view of a reporter's newest report; None: its next one is the first."""
    found = get_task(state, task)
    kinds = [] if found is None else [each.kind for each in found.requirements]
    return get_evidence(state, did, task, period, reporter, kinds.index(kind)) if kind in kinds else None


def _describe_progress(state: StateReader, did: Did, task_id: TaskId, task: Task, period: Period) -> Progress:
    standing = get_standing(state, did, task_id, task, period)
    return Progress(
        period,
        compute_last_height(task, period),
        standing,
        compute_mean_hundredths(standing.ratings, standing.stars),
        tuple(list_missing(task, standing)),
    )


_REPORT_WORDS: Final = f"{GAS_REPORT} + {SIGNED_GAS_WORDS}"

MODULE = ModuleRule(
    name="growth",
    summary="Growth tasks: evidence and ratings that lead to a role",
    calls=(
        CallRule("report", Report, apply_report, lambda _: GAS_REPORT, _REPORT_WORDS),
        CallRule("rate", Rate, apply_rate, lambda _: GAS_RATE, str(GAS_RATE + GAS_ROLE_CHECK)),
        CallRule("withdraw_rating", WithdrawRating, apply_withdraw_rating, lambda _: GAS_REMOVE, str(GAS_REMOVE)),
        CallRule("drop_rating", DropRating, apply_drop_rating, lambda _: GAS_REMOVE, str(GAS_REMOVE)),
        CallRule("certify", Certify, apply_certify, lambda _: GAS_CERTIFY, str(GAS_CERTIFY)),
    ),
    events=tuple(map(EventRule, (TaskDefined, TaskEnded, EvidenceReported, Rated, RatingRemoved, Certified))),
    views=(
        ViewRule("task", (("task", TaskId),), answer_task),
        ViewRule("tasks", (), answer_tasks),
        ViewRule("progress", (("did", Did), ("task", TaskId)), answer_progress),
        ViewRule("rating", (("did", Did),), answer_rating),
        ViewRule("stars", (("did", Did), ("task", TaskId), ("period", Period), ("rater", Did)), answer_stars),
        ViewRule(
            "evidence",
            (("did", Did), ("task", TaskId), ("period", Period), ("reporter", Did), ("kind", EvidenceKind)),
            answer_evidence,
        ),
    ),
)
