"""Recovery by guardians: rule D11."""

from dataclasses import dataclass, replace

import pytest

from ledger.reasons import Reason
from ledger.receipt import Event
from ledger.transaction import Call
from tests.builders import PARAMETERS
from tests.did_scene import DidScene, build_call, build_create, control_of
from vm.native.did_records import Controllers, DidKind, DidOperation, Guardians, Recovery, get_recovery

DELAY = PARAMETERS.recovery_delay_heights


@dataclass
class Guarded(DidScene):
    """Alice, guarded by any two of three."""

    def __post_init__(self) -> None:
        self.guardians = [self.create(name) for name in "abc"]
        guardians = Guardians(tuple(sorted(self.guardians)), 2)
        self.alice = self.create("alice", control=control_of("alice", guardians=guardians))
        self.new = control_of("new", guardians=guardians)

    def request(self, *indexes: int, control=None, keys=("new",)) -> Call:
        """Guardians ask for these keys."""
        signers = [(self.guardians[index], "abc"[index]) for index in indexes]
        payload = self.control(self.alice, control or self.new)
        return build_call(payload, *signers, *keys, name="request_recovery")

    def object(self, *signers) -> Call:
        """The holder says no."""
        return build_call(self.on_version(self.alice), *(signers or ("alice",)), name="object_to_recovery")

    def complete(self) -> Call:
        """Somebody completes it."""
        return Call("did", "complete_recovery", [self.alice])

    def reason(self, call: Call) -> int:
        """Why a call fails."""
        return self.send(call).reason


@pytest.fixture
def scene() -> Guarded:
    return Guarded()


def test_guardians_recover_after_the_delay(scene):
    version_id, height = scene.version_of(scene.alice), scene.height
    receipt = scene.accept(scene.request(0, 2))
    assert get_recovery(scene.state, scene.alice) == Recovery(version_id, height + DELAY, scene.new)
    assert receipt.events == (Event("did", "RecoveryRequested", [scene.alice, version_id, height + DELAY]),)
    assert scene.get(scene.alice).current.version_id == version_id, "nothing has changed yet"
    scene.height = height + DELAY
    scene.accept(scene.complete())
    current = scene.get(scene.alice).current
    assert (current.number, current.operation, current.content.control) == (
        2,
        DidOperation.RECOVER_BY_GUARDIANS,
        scene.new,
    )
    assert get_recovery(scene.state, scene.alice) is None
    assert scene.reason(build_call(scene.update(scene.alice), "alice")) == Reason.DID_UNKNOWN_KEY
    scene.accept(build_call(scene.update(scene.alice), "new"))


def test_it_takes_enough_guardians_and_the_new_keys(scene):
    assert scene.reason(scene.request(1)) == Reason.DID_NOT_AUTHORISED
    assert scene.reason(scene.request(0, 1, keys=())) == Reason.DID_NOT_AUTHORISED
    assert scene.reason(scene.request(0, 1, keys=("new", "alice"))) == Reason.DID_UNKNOWN_KEY
    scene.accept(scene.request(0, 1, 2))


def test_nobody_completes_it_before_its_time(scene):
    due_height = scene.height + DELAY
    scene.accept(scene.request(0, 1))
    assert scene.reason(scene.complete()) == Reason.DID_RECOVERY_NOT_DUE
    scene.height = due_height - 1
    assert scene.reason(scene.complete()) == Reason.DID_RECOVERY_NOT_DUE
    scene.accept(scene.complete())


def test_the_holder_objects_and_the_request_cannot_be_sent_again(scene):
    request = scene.request(0, 1)
    before = scene.get(scene.alice).current
    scene.accept(request)
    assert scene.reason(scene.object("thief")) == Reason.DID_UNKNOWN_KEY
    scene.accept(scene.object())
    after = scene.get(scene.alice).current
    assert (after.operation, after.content) == (DidOperation.OBJECT, before.content)
    assert get_recovery(scene.state, scene.alice) is None
    scene.height += DELAY
    assert scene.reason(scene.complete()) == Reason.DID_NO_RECOVERY
    assert scene.reason(request) == Reason.DID_VERSION_STALE
    scene.accept(scene.request(0, 1))


def test_whatever_the_holder_does_is_an_objection(scene):
    scene.accept(scene.request(0, 1))
    scene.accept(build_call(scene.update(scene.alice), "alice"))
    scene.height += DELAY
    assert scene.reason(scene.complete()) == Reason.DID_NO_RECOVERY


def test_one_recovery_at_a_time(scene):
    scene.accept(scene.request(0, 1))
    assert scene.reason(scene.request(1, 2, control=control_of("other"), keys=("other",))) == (
        Reason.DID_RECOVERY_PENDING
    )


def test_without_a_request_there_is_nothing_to_complete_or_to_object_to(scene):
    assert scene.reason(scene.complete()) == Reason.DID_NO_RECOVERY
    assert scene.reason(scene.object()) == Reason.DID_NO_RECOVERY
    assert scene.reason(Call("did", "complete_recovery", [bytes(20)])) == Reason.UNKNOWN_DID


def test_an_identity_without_guardians_is_recovered_by_nobody(scene):
    bob = scene.create("bob")
    call = build_call(scene.control(bob, control_of("new")), (scene.guardians[0], "a"), "new", name="request_recovery")
    assert scene.reason(call) == Reason.DID_NO_COMMITMENT


def test_guardians_hand_nobody_over(scene):
    handed = replace(control_of("new"), controllers=Controllers((scene.guardians[0],), 1))
    assert scene.reason(scene.request(0, 1, control=handed)) == Reason.DID_BAD_CONTROLLERS


def test_a_guardian_that_has_ended_counts_no_more(scene):
    scene.accept(build_call(scene.deactivate(scene.guardians[0]), "a"))
    plain = control_of("new")
    assert scene.reason(scene.request(0, 1, control=plain)) == Reason.DID_FOREIGN_SIGNER
    assert scene.reason(scene.request(1, control=plain)) == Reason.DID_NOT_AUTHORISED
    scene.accept(scene.request(1, 2, control=plain))


def test_an_identity_that_ends_meanwhile_is_not_recovered(scene):
    scene.accept(scene.request(0, 1))
    scene.accept(build_call(scene.deactivate(scene.alice), "alice"))
    scene.height += DELAY
    assert scene.reason(scene.complete()) == Reason.DID_DEACTIVATED


def test_an_organisation_guards_by_its_people(scene):
    ruler = scene.guardians[0]
    control = replace(control_of(), controllers=Controllers((ruler,), 1))
    firm, call = build_create(control, (ruler, "a"), kind=DidKind.ORGANISATION)
    scene.accept(call)
    bob = scene.create("bob", control=control_of("bob", guardians=Guardians((firm,), 1)))
    payload = scene.control(bob, control_of("new"))
    scene.accept(build_call(payload, (ruler, "a"), "new", name="request_recovery"))
