"""Growth tasks: rules W1 to W7, and what governance decides about them."""

from dataclasses import replace

import pytest

from identity.did import Did
from ledger.codec import to_plain
from ledger.primitives import Height, TransactionId
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.transaction import Call
from tests.builders import address_of, block_context, make_key
from tests.did_scene import build_call, control_of
from tests.growth_scene import COMMITMENT, FAR, TASK, GrowthScene
from tests.vm.contracts.test_decisions import Chamber, applied
from vm.context import Context
from vm.gas import GasMeter
from vm.native.did_records import Controllers, DidKind
from vm.native.free_quota import DAY_MS
from vm.native.growth import (
    RATINGS_PER_DAY_MAX,
    Certify,
    Progress,
    RatingDescription,
    TaskDescription,
    apply_certify,
)
from vm.native.growth_records import (
    TASKS_OPEN_MAX,
    Condition,
    Evidence,
    Missing,
    Requirement,
    Standing,
    TaskList,
    define_task,
    end_task,
    get_tasks,
    list_missing,
)
from vm.native.recognition import Recognition, delete_recognised
from vm.native.role_records import Grant, Role, end_grant, get_role_record, put_grant

INFLUENCER = Role.CERTIFIED_INFLUENCER


@pytest.fixture
def scene() -> GrowthScene:
    return GrowthScene()


def expect(missing: list[Missing], evidence: tuple[int, int], ratings: int = 0, stars: int = 0) -> Progress:
    """Progress in the period that began with block 2,000."""
    mean = 100 * stars // ratings if ratings else 0
    return Progress(2, Height(3_999), Standing(evidence, ratings, stars, False), mean, tuple(missing))


# Evidence


def test_a_reporter_counts_for_an_identity(scene):
    receipt = scene.report(4)
    fields = [scene.ivy, 1, 2, scene.reporter, "posts", 4, COMMITMENT]
    assert receipt.events == (Event("growth", "EvidenceReported", fields),)
    assert scene.ask("evidence", scene.ivy, 1, 2, scene.reporter, "posts") == Evidence(1, 4, COMMITMENT)
    assert scene.progress()[0].standing == Standing((4, 0), 0, 0, False)


def test_a_report_replaces_the_reporters_last_one_and_those_of_others_are_added(scene):
    counts = [(scene.reporter, 4), (scene.other_reporter, 5), (scene.reporter, 1), (scene.other_reporter, 0)]
    for reporter, count in counts:
        assert scene.report(count, reporter=reporter).reason == 0
    assert scene.ask("evidence", scene.ivy, 1, 2, scene.reporter, "posts") == Evidence(2, 1, COMMITMENT)
    assert scene.progress()[0].standing == Standing((1, 0), 0, 0, False)


def test_a_signed_report_counts_once(scene):
    assert scene.report(4, sequence=2).reason == Reason.REPORT_STALE
    assert scene.report(4, sequence=1).reason == 0
    assert scene.report(4, sequence=1).reason == Reason.REPORT_STALE


def test_the_reporter_signs(scene):
    assert scene.report(4, signer=scene.ivy).reason == Reason.DID_FOREIGN_SIGNER


def test_only_who_is_recognised_reports(scene):
    assert scene.report(4, reporter=scene.ann).reason == Reason.NOT_RECOGNISED
    assert scene.report(4).reason == 0
    delete_recognised(scene.state, Recognition.EVIDENCE_REPORTER, scene.reporter)
    assert scene.report(5).reason == Reason.NOT_RECOGNISED
    assert scene.progress()[0].standing.counts == (4, 0), "what it has reported stays"


def test_nobody_reports_for_itself(scene):
    assert scene.report(4, did=scene.reporter).reason == Reason.ONES_OWN
    assert scene.report(4, did=scene.reporter, reporter=scene.other_reporter).reason == 0


def test_a_task_takes_the_evidence_it_names(scene):
    assert scene.report(4, "likes").reason == Reason.UNKNOWN_EVIDENCE
    assert scene.report(4, task=2).reason == Reason.UNKNOWN_TASK


def test_evidence_is_for_identities_that_may_have_the_role(scene):
    car = scene.create("car", kind=DidKind.VEHICLE, owner=scene.ann, signers=["car", (scene.ann, "ann")])
    assert scene.report(4, did=car).reason == Reason.ROLE_BAD_HOLDER
    assert scene.report(4, did=Did(bytes(20))).reason == Reason.UNKNOWN_DID


@pytest.mark.parametrize(("period", "reason"), [(0, Reason.BAD_PERIOD), (1, 0), (2, 0), (3, Reason.BAD_PERIOD)])
def test_evidence_is_of_the_present_period_or_the_one_before(scene, period, reason):
    assert scene.report(4, period=period).reason == reason


# Ratings


def test_a_person_rates(scene):
    receipt = scene.rate(scene.ann, 5)
    assert receipt.events == (Event("growth", "Rated", [scene.ivy, 1, 2, scene.ann, 5]),)
    scene.rate(scene.ben, 2)
    assert scene.ask("rating", scene.ivy) == RatingDescription(2, 7, 350)
    assert scene.progress()[0].standing == Standing((0, 0), 2, 7, False)
    assert [scene.ask("stars", scene.ivy, 1, 2, each) for each in (scene.ann, scene.ben, scene.cat)] == [5, 2, 0]


def test_a_rating_changes_within_its_period_and_another_follows_in_the_next(scene):
    for stars in (5, 1, 3):
        assert scene.rate(scene.ann, stars).reason == 0
    assert scene.ask("rating", scene.ivy) == RatingDescription(1, 3, 300)
    scene.height += TASK.period_heights
    assert scene.rate(scene.ann, 4).reason == 0
    assert [each.standing for each in scene.progress()] == [
        Standing((0, 0), 1, 4, False),
        Standing((0, 0), 1, 3, False),
    ]
    assert scene.ask("rating", scene.ivy) == RatingDescription(2, 7, 350)


@pytest.mark.parametrize("stars", [0, 6])
def test_there_are_one_to_five_stars(scene, stars):
    assert scene.rate(scene.ann, stars).reason == Reason.BAD_ARGUMENTS


def test_only_persons_rate(scene):
    scene.end_person(scene.ann)
    assert scene.rate(scene.ann, 5).reason == Reason.ROLE_MISSING
    assert scene.send(Call("growth", "rate", [scene.ivy, 1, 5])).reason == Reason.ROLE_MISSING, "without identity"
    scene.accept(build_call(scene.deactivate(scene.ben), "ben"))
    assert scene.rate(scene.ben, 5).reason == Reason.ROLE_MISSING, "an identity that has ended"


def test_nobody_rates_itself_or_what_it_controls(scene):
    assert scene.rate(scene.ann, 5, did=scene.ann).reason == Reason.ONES_OWN
    control = control_of("shop", controllers=Controllers((scene.ann,), 1))
    shop = scene.create("shop", kind=DidKind.ORGANISATION, control=control, signers=["shop", (scene.ann, "ann")])
    assert scene.rate(scene.ann, 5, did=shop).reason == Reason.ONES_OWN
    assert scene.rate(scene.ben, 5, did=shop).reason == 0


def test_who_cannot_have_the_role_is_not_rated(scene):
    scene.accept(build_call(scene.deactivate(scene.ivy), "ivy"))
    assert scene.rate(scene.ann, 5).reason == Reason.DID_DEACTIVATED
    assert scene.rate(scene.ann, 5, task=2).reason == Reason.UNKNOWN_TASK


def test_an_identity_rates_so_often_a_day(scene):
    scene.height = 2 * DAY_MS // 1_000  # the scene's clock goes on by a second each block
    for index in range(RATINGS_PER_DAY_MAX):
        assert scene.rate(scene.ann, 1 + index % 5).reason == 0
    assert scene.rate(scene.ann, 5).reason == Reason.RATINGS_LIMIT
    assert scene.rate(scene.ben, 5).reason == 0
    scene.height = 3 * DAY_MS // 1_000
    assert scene.rate(scene.ann, 5).reason == 0


def test_a_rater_takes_its_stars_back_at_any_time(scene):
    scene.rate(scene.ann, 5)
    scene.rate(scene.ben, 2)
    scene.height += 5 * TASK.period_heights
    scene.end_person(scene.ann)
    end_task(scene.state, 1)
    receipt = scene.withdraw(scene.ann, 2)
    assert receipt.events == (Event("growth", "RatingRemoved", [scene.ivy, 1, 2, scene.ann]),)
    assert scene.ask("rating", scene.ivy) == RatingDescription(1, 2, 200)
    assert scene.withdraw(scene.ann, 2).reason == Reason.NO_RATING
    assert scene.send(Call("growth", "withdraw_rating", [scene.ivy, 1, 2])).reason == Reason.DID_NOT_LINKED
    assert scene.send(Call("growth", "withdraw_rating", [scene.ivy, 2, 2]), make_key("ann")).reason == (
        Reason.UNKNOWN_TASK
    )


def test_stars_of_who_is_no_person_any_more_are_dropped_by_anybody(scene):
    for rater in (scene.ann, scene.ben, scene.cat):
        scene.rate(rater, 5)
    assert scene.drop(scene.ann).reason == Reason.RATER_ACTIVE
    scene.end_person(scene.ann)
    assert scene.drop(scene.ann).events == (Event("growth", "RatingRemoved", [scene.ivy, 1, 2, scene.ann]),)
    assert scene.drop(scene.ann).reason == Reason.NO_RATING
    scene.accept(build_call(scene.deactivate(scene.ben), "ben"))
    assert scene.drop(scene.ben).reason == 0
    assert scene.progress()[0].standing == Standing((0, 0), 1, 5, False)


# Certification


def test_who_has_reached_everything_is_certified(scene):
    scene.fulfil()
    assert scene.progress()[0] == expect([], (10, 3), 2, 7)
    height = scene.height
    receipt = scene.certify()
    until = height + TASK.term_heights
    assert receipt.events == (
        Event("roles", "RoleGranted", [scene.ivy, int(INFLUENCER), 1, until, None]),
        Event("growth", "Certified", [scene.ivy, 1, 2, int(INFLUENCER), until]),
    )
    assert scene.is_certified()
    assert scene.progress()[0].standing == Standing((10, 3), 2, 7, True)
    scene.height = until + 1
    assert not scene.is_certified()


def test_each_condition_that_does_not_hold_is_named(scene):
    kind, rater = Condition.EVIDENCE, Missing(Condition.RATERS, "", 0, 2)
    posts, referrals = Missing(kind, "posts", 0, 10), Missing(kind, "referrals", 0, 3)
    assert scene.progress() == [
        expect([posts, referrals, rater], (0, 0)),
        Progress(1, Height(2_999), Standing((0, 0), 0, 0, False), 0, (posts, referrals, rater)),
    ]
    assert scene.certify().reason == Reason.EVIDENCE_MISSING
    scene.report(9)
    scene.report(3, "referrals")
    assert scene.progress()[0] == expect([Missing(kind, "posts", 9, 10), rater], (9, 3))
    assert scene.certify().reason == Reason.EVIDENCE_MISSING
    scene.report(10)
    scene.rate(scene.ann, 3)
    assert scene.progress()[0] == expect(
        [Missing(Condition.RATERS, "", 1, 2), Missing(Condition.MEAN, "", 300, 350)], (10, 3), 1, 3
    )
    assert scene.certify().reason == Reason.RATERS_MISSING
    scene.rate(scene.ben, 3)
    assert scene.progress()[0] == expect([Missing(Condition.MEAN, "", 300, 350)], (10, 3), 2, 6)
    assert scene.certify().reason == Reason.RATING_TOO_LOW
    scene.rate(scene.ben, 4)
    assert scene.certify().reason == 0


def test_a_refused_certification_says_with_numbers_what_is_missing(scene):
    for receipt in (scene.report(9), scene.report(3, "referrals"), scene.rate(scene.ann, 5)):
        assert receipt.reason == 0
    sender = address_of(make_key("anybody"))
    block = block_context(scene.height)
    context = Context(block, sender, sender, TransactionId(bytes(32)), GasMeter(100_000, 0))
    with pytest.raises(Rejected) as refusal:
        apply_certify(scene.state, context, Certify(scene.ivy, 1, 2))
    assert (refusal.value.message, refusal.value.details) == (
        "evidence of posts: 9 of 10",
        {"kind": "posts", "held": 9, "needed": 10, "conditions_missing": 2},
    )


def test_a_mean_is_compared_without_rounding():
    task = replace(TASK, requirements=(), raters_min=0, mean_hundredths_min=334)
    assert list_missing(task, Standing((), 3, 10, False)) == [Missing(Condition.MEAN, "", 333, 334)]
    assert list_missing(replace(task, mean_hundredths_min=333), Standing((), 3, 10, False)) == []
    assert list_missing(task, Standing((), 0, 0, False)) == []


def test_an_identity_is_certified_once_for_a_period(scene):
    scene.fulfil()
    assert scene.certify().reason == 0
    end_grant(scene.state, scene.ivy, INFLUENCER)
    assert scene.certify().reason == Reason.CERTIFIED_ALREADY
    assert not scene.is_certified()


@pytest.mark.parametrize(("periods", "reason"), [(0, 0), (1, 0), (2, Reason.BAD_PERIOD)])
def test_what_was_reached_counts_up_to_the_end_of_the_next_period(scene, periods, reason):
    scene.fulfil()
    scene.height = scene.progress()[0].last_height - (2 - periods) * TASK.period_heights + TASK.period_heights
    assert scene.period == 2 + periods
    assert scene.certify(2).reason == reason


def test_periods_are_not_added_up(scene):
    scene.fulfil()
    scene.height += TASK.period_heights
    assert scene.certify().reason == Reason.EVIDENCE_MISSING


def test_a_certification_prolongs_what_governance_granted_and_leaves_the_rest_alone(scene):
    scene.fulfil()
    until = Height(scene.height + TASK.term_heights)
    for grant, reason in [
        (Grant(FAR, None), Reason.ROLE_HELD),
        (Grant(Height(until - 10), scene.reporter), Reason.ROLE_HELD),
        (Grant(Height(until - 10), None), 0),
    ]:
        put_grant(scene.state, scene.ivy, INFLUENCER, grant, scene.height)
        assert scene.certify().reason == reason
    record = get_role_record(scene.state, scene.ivy, INFLUENCER)
    assert record is not None
    assert record.grant == Grant(Height(until + 2), None)


def test_who_may_not_have_the_role_is_not_certified(scene):
    scene.fulfil()
    scene.accept(build_call(scene.deactivate(scene.ivy), "ivy"))
    assert scene.certify().reason == Reason.DID_DEACTIVATED


def test_companies_are_certified_the_same_way():
    task = replace(TASK, role=Role.CERTIFIED_COMPANY, requirements=(), raters_min=1)
    scene = GrowthScene(task)
    company = scene.name("company", kind=DidKind.ORGANISATION)
    assert scene.rate(scene.ann, 5).reason == Reason.ROLE_BAD_HOLDER
    assert scene.rate(scene.ann, 5, did=company).reason == 0
    assert scene.certify(did=company).reason == 0


def test_nothing_more_is_done_for_a_task_that_has_ended(scene):
    scene.fulfil()
    end_task(scene.state, 1)
    receipts = [scene.report(11), scene.rate(scene.cat, 1), scene.certify()]
    assert [each.reason for each in receipts] == [Reason.TASK_ENDED] * 3


# Tasks


class Council(Chamber):
    """A chamber that decides about tasks."""

    def refusal(self, call: str, *arguments: object) -> int:
        """The reason for which a proposal is refused, which is therefore not counted."""
        reason = self.propose(call, *arguments)
        self.proposals -= 1
        return reason


def test_governance_defines_and_ends_tasks():
    council = Council()
    assert council.decide("propose_task", to_plain(TASK)) == [
        Event("growth", "TaskDefined", [1, int(INFLUENCER)]),
        applied(1),
    ]
    assert council.decide("propose_task_end", 1) == [Event("growth", "TaskEnded", [1]), applied(2)]
    assert get_tasks(council.state) == TaskList(1, ())


def test_tasks_that_are_open_are_ended_and_numbers_are_not_used_again():
    council = Council()
    for _ in range(2):
        define_task(council.state, TASK)
    end_task(council.state, 2)
    assert [council.refusal("propose_task_end", task) for task in (1, 2, 3)] == [
        0,
        Reason.TASK_ENDED,
        Reason.UNKNOWN_TASK,
    ]
    assert define_task(council.state, TASK) == Event("growth", "TaskDefined", [3, int(INFLUENCER)])


def test_tasks_are_shown(scene):
    other = replace(TASK, title="Another", period_heights=500)
    define_task(scene.state, other)
    assert scene.ask("tasks") == [TaskDescription(1, True, 2, TASK), TaskDescription(2, True, 4, other)]
    end_task(scene.state, 1)
    assert scene.ask("tasks") == [TaskDescription(2, True, 4, other)]
    assert (scene.ask("task", 1), scene.ask("task", 3)) == (TaskDescription(1, False, 2, TASK), None)
    assert scene.ask("progress", scene.ivy, 3) == []
    assert scene.ask("evidence", scene.ivy, 3, 2, scene.reporter, "posts") is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"role": Role.VISITOR}, Reason.ROLE_NOT_GRANTABLE),
        ({"role": Role.ISSUER}, Reason.ROLE_NOT_GRANTABLE),
        ({"role": Role.PERSON}, Reason.BAD_TASK),
        ({"requirements": (Requirement("Posts", 1),)}, Reason.BAD_TASK),
        ({"requirements": (Requirement("posts", 1), Requirement("posts", 2))}, Reason.BAD_TASK),
        ({"requirements": (Requirement("referrals", 1), Requirement("posts", 2))}, Reason.BAD_TASK),
        ({"requirements": (), "raters_min": 0}, Reason.BAD_TASK),
        ({"mean_hundredths_min": 99}, Reason.BAD_ARGUMENTS),
        ({"mean_hundredths_min": 501}, Reason.BAD_ARGUMENTS),
        ({"period_heights": 0}, Reason.BAD_ARGUMENTS),
        ({"requirements": ()}, 0),
        ({"raters_min": 0}, 0),
    ],
)
def test_what_makes_a_task(changes, reason):
    assert Council().refusal("propose_task", to_plain(replace(TASK, **changes))) == reason


def test_there_are_not_too_many_tasks():
    council = Council()
    for _ in range(TASKS_OPEN_MAX):
        define_task(council.state, TASK)
    assert council.refusal("propose_task", to_plain(TASK)) == Reason.TASKS_LIMIT
    end_task(council.state, 1)
    assert council.refusal("propose_task", to_plain(TASK)) == 0
