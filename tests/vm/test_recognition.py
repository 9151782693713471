"""The one list of identities that governance recognises."""

import pytest

from identity.did import Did
from ledger.primitives import Height, TimeMs
from ledger.reasons import Reason
from ledger.receipt import Event
from tests.did_scene import build_create, control_of
from tests.vm.contracts.test_decisions import Chamber, applied
from vm.context import Moment
from vm.native.did_records import DidKind
from vm.native.recognition import RECOGNISED_MAX, Recognition, is_recognised, put_recognised
from vm.native.registry import answer_view

MAKER = Recognition.VIN_ATTESTER


@pytest.fixture
def chamber() -> Chamber:
    return Chamber()


def create(chamber: Chamber, name: str, **changes) -> Did:
    """An identity in the chamber's state."""
    did, call = build_create(control_of(name), *changes.pop("signers", [name]), **changes)
    assert chamber.send(call).reason == 0
    return did


def ask(chamber: Chamber, recognition: Recognition) -> object:
    """The view."""
    return answer_view(chamber.state, Moment(Height(1), TimeMs(1)), "governance", "recognised", [int(recognition)])


def refusal(chamber: Chamber, call: str, *arguments: object) -> int:
    """The reason for which a proposal is refused, which is therefore not counted."""
    reason = chamber.propose(call, *arguments)
    chamber.proposals -= 1
    return reason


@pytest.mark.parametrize("recognition", Recognition)
def test_governance_recognises_an_identity_and_does_so_no_longer(chamber, recognition):
    maker = create(chamber, "maker", kind=DidKind.ORGANISATION)
    made = chamber.decide("propose_recognition", int(recognition), maker)
    assert made == [Event("governance", "Recognised", [int(recognition), maker]), applied(1)]
    assert {each: ask(chamber, each) for each in Recognition} == {
        each: [maker] if each is recognition else [] for each in Recognition
    }
    assert [each for each in Recognition if is_recognised(chamber.state, each, maker)] == [recognition]
    ended = chamber.decide("propose_recognition_end", int(recognition), maker)
    assert ended == [Event("governance", "RecognitionEnded", [int(recognition), maker]), applied(2)]
    assert ask(chamber, recognition) == []


def test_nobody_is_recognised_twice_or_ended_who_is_not(chamber):
    maker = create(chamber, "maker")
    assert refusal(chamber, "propose_recognition_end", int(MAKER), maker) == Reason.NOT_RECOGNISED
    chamber.decide("propose_recognition", int(MAKER), maker)
    assert refusal(chamber, "propose_recognition", int(MAKER), maker) == Reason.NOT_RECOGNISED
    assert chamber.propose("propose_recognition", int(Recognition.AUDITOR), maker) == 0


def test_persons_and_organisations_that_are_active_are_recognised(chamber):
    owner = create(chamber, "owner")
    car = create(chamber, "car", kind=DidKind.VEHICLE, owner=owner, signers=[(owner, "owner"), "car"])
    assert refusal(chamber, "propose_recognition", int(MAKER), car) == Reason.NOT_RECOGNISED
    assert refusal(chamber, "propose_recognition", int(MAKER), Did(bytes(20))) == Reason.UNKNOWN_DID
    assert refusal(chamber, "propose_recognition", 0, owner) == Reason.BAD_ARGUMENTS
    assert refusal(chamber, "propose_recognition", int(MAKER), owner) == 0


def test_there_are_not_too_many(chamber):
    maker, last = create(chamber, "maker"), create(chamber, "last")
    for index in range(RECOGNISED_MAX - 1):
        put_recognised(chamber.state, MAKER, Did(index.to_bytes(20, "big")))
    assert refusal(chamber, "propose_recognition", int(MAKER), last) == 0
    put_recognised(chamber.state, MAKER, maker)
    assert refusal(chamber, "propose_recognition", int(MAKER), last) == Reason.RECOGNISED_LIMIT
    assert refusal(chamber, "propose_recognition", int(Recognition.PLATFORM), last) == 0
