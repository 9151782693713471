"""Identities that governance recognises in a role."""

import pytest

from identity.did import Did
from ledger.reasons import Reason
from ledger.receipt import Event
from tests.did_scene import build_create, control_of
from tests.vm.contracts.test_decisions import Chamber, applied
from vm.native.did_records import DidKind
from vm.native.recognition import Role, is_recognised, list_recognised

ROLE = Role.VIN_ATTESTER


@pytest.fixture
def chamber() -> Chamber:
    return Chamber()


def create(chamber: Chamber, name: str, **changes) -> Did:
    """An identity in the chamber's state."""
    did, call = build_create(control_of(name), *changes.pop("signers", [name]), **changes)
    assert chamber.send(call).reason == 0
    return did


def test_governance_recognises_an_identity_and_does_so_no_longer(chamber):
    maker = create(chamber, "maker", kind=DidKind.ORGANISATION)
    made = chamber.decide("propose_recognition", int(ROLE), maker)
    assert made == [Event("governance", "Recognised", [int(ROLE), maker]), applied(1)]
    assert (is_recognised(chamber.state, ROLE, maker), list_recognised(chamber.state, ROLE)) == (True, [maker])
    ended = chamber.decide("propose_recognition_end", int(ROLE), maker)
    assert ended == [Event("governance", "RecognitionEnded", [int(ROLE), maker]), applied(2)]
    assert list_recognised(chamber.state, ROLE) == []


def test_nobody_is_recognised_twice_or_ended_who_is_not(chamber):
    maker = create(chamber, "maker")
    assert chamber.propose("propose_recognition_end", int(ROLE), maker) == Reason.NOT_RECOGNISED
    chamber.proposals = 0
    chamber.decide("propose_recognition", int(ROLE), maker)
    assert chamber.propose("propose_recognition", int(ROLE), maker) == Reason.NOT_RECOGNISED


def test_persons_and_organisations_that_are_there_are_recognised(chamber):
    owner = create(chamber, "owner")
    car = create(chamber, "car", kind=DidKind.VEHICLE, owner=owner, signers=[(owner, "owner"), "car"])
    assert chamber.propose("propose_recognition", int(ROLE), car) == Reason.NOT_RECOGNISED
    assert chamber.propose("propose_recognition", int(ROLE), Did(bytes(20))) == Reason.UNKNOWN_DID
