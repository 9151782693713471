"""A growth task, an identity that is to grow, reporters, and persons who rate it."""

from dataclasses import replace
from typing import Any

from identity.did import Did
from identity.signing import SigningPurpose
from ledger.codec import to_plain
from ledger.primitives import Height, TimeMs
from ledger.receipt import Receipt
from ledger.transaction import Call
from tests.builders import address_of, make_key, make_state
from tests.did_scene import SENDER, DidScene, build_call, sign
from vm.context import Moment
from vm.native.did_records import DidKind
from vm.native.growth import Progress, answer_progress
from vm.native.growth_records import (
    EvidenceCommitment,
    ReportPayload,
    Requirement,
    Task,
    compute_period,
    define_task,
    get_evidence,
)
from vm.native.iov import credit
from vm.native.recognition import Recognition, put_recognised
from vm.native.registry import answer_view
from vm.native.role_records import Grant, Role, end_grant, holds_role, put_grant

FAR = Height(1_000_000)
COMMITMENT = EvidenceCommitment(bytes([7]) * 32)
TASK = Task(
    title="Grow",
    role=Role.CERTIFIED_INFLUENCER,
    term_heights=5_000,
    period_heights=1_000,
    requirements=(Requirement("posts", 10), Requirement("referrals", 3)),
    raters_min=2,
    mean_hundredths_min=350,
)


class GrowthScene(DidScene):
    """Ivy is to grow; Ann, Ben and Cat are persons with accounts; two reporters count."""

    def __init__(self, task: Task = TASK) -> None:
        super().__init__(state=make_state({address_of(SENDER): 10**14}))
        self.names: dict[Did, str] = {}
        self.ivy = self.name("ivy")
        self.reporter = self.name("reporter", kind=DidKind.ORGANISATION)
        self.other_reporter = self.name("other reporter", kind=DidKind.ORGANISATION)
        for reporter in (self.reporter, self.other_reporter):
            put_recognised(self.state, Recognition.EVIDENCE_REPORTER, reporter)
        self.ann, self.ben, self.cat = (self.add_person(name) for name in ("ann", "ben", "cat"))
        self.task = task
        define_task(self.state, task)
        self.state.forget_marks()
        self.height = 2 * task.period_heights

    def name(self, name: str, **changes: Any) -> Did:
        """An identity whose one key has this name."""
        did = self.create(name, **changes)
        self.names[did] = name
        return did

    def add_person(self, name: str) -> Did:
        """An identity with the role person and an account that is ruled by the key of its name."""
        did = self.name(name)
        key = make_key(name)
        credit(self.state, address_of(key), 10**12, 0)
        self.accept(build_call(self.link(did, address_of(key)), name), key)
        put_grant(self.state, did, Role.PERSON, Grant(FAR, None), self.height)
        return did

    def end_person(self, did: Did) -> None:
        """Take the role person back."""
        end_grant(self.state, did, Role.PERSON)

    @property
    def period(self) -> int:
        """The present one."""
        return compute_period(self.task, self.height)

    def report(self, count: int, kind: str = "posts", **changes: Any) -> Receipt:
        """A report on Ivy by the first reporter, unless changed."""
        signer = changes.pop("signer", None)
        payload = ReportPayload(self.reporter, self.ivy, 1, self.period, kind, count, COMMITMENT, 1)
        payload = replace(payload, **changes)
        kinds = [each.kind for each in self.task.requirements]
        if "sequence" not in changes and payload.kind in kinds:
            place = (payload.did, payload.task, payload.period, payload.reporter, kinds.index(payload.kind))
            former = get_evidence(self.state, *place)
            payload = replace(payload, sequence=1 if former is None else former.sequence + 1)
        by = payload.reporter if signer is None else signer
        signatures = sign(SigningPurpose.GROWTH_REPORT, payload, [(by, self.names[by])])
        return self.send(Call("growth", "report", [to_plain(payload), to_plain(signatures)]))

    def rate(self, rater: Did, stars: int, did: Did | None = None, task: int = 1) -> Receipt:
        """Stars for Ivy, unless changed, sent by the rater's account."""
        return self.call_as(rater, "rate", self.ivy if did is None else did, task, stars)

    def withdraw(self, rater: Did, period: int | None = None) -> Receipt:
        """A rater takes its stars for Ivy back."""
        return self.call_as(rater, "withdraw_rating", self.ivy, 1, self.period if period is None else period)

    def drop(self, rater: Did, period: int | None = None) -> Receipt:
        """Somebody has the stars for Ivy dropped."""
        arguments = [self.ivy, 1, self.period if period is None else period, rater]
        return self.send(Call("growth", "drop_rating", arguments))

    def certify(self, period: int | None = None, did: Did | None = None, task: int = 1) -> Receipt:
        """Somebody certifies Ivy, unless changed."""
        arguments = [self.ivy if did is None else did, task, self.period if period is None else period]
        return self.send(Call("growth", "certify", arguments))

    def call_as(self, did: Did, name: str, *arguments: Any) -> Receipt:
        """A call of the module by the account of an identity."""
        return self.send(Call("growth", name, list(arguments)), make_key(self.names[did]))

    def fulfil(self) -> None:
        """Ivy reaches everything, exactly."""
        for receipt in (
            self.report(10),
            self.report(3, "referrals"),
            self.rate(self.ann, 4),
            self.rate(self.ben, 3),
        ):
            assert receipt.reason == 0, receipt

    def ask(self, view: str, *arguments: Any) -> Any:
        """A view of the module, after the newest block."""
        moment = Moment(Height(self.height), TimeMs(1))
        return answer_view(self.state, moment, "growth", view, list(arguments))

    def progress(self, did: Did | None = None) -> list[Progress]:
        """Ivy's, unless changed."""
        return answer_progress(self.state, Moment(Height(self.height), TimeMs(1)), self.ivy if did is None else did, 1)

    def is_certified(self) -> bool:
        """Whether Ivy has the task's role."""
        return holds_role(self.state, self.ivy, self.task.role, self.height)
