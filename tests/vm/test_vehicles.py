"""Vehicles: rules V1 to V8."""

from dataclasses import replace
from typing import Any

import pytest

from identity.did import Did
from identity.signing import SigningPurpose
from ledger.codec import to_plain
from ledger.primitives import Height, TimeMs
from ledger.reasons import Reason
from ledger.receipt import Event
from ledger.transaction import Call
from tests.builders import address_of, make_state
from tests.did_scene import SENDER, DidScene, Signer, build_call, control_of, keys_of, sign
from vm.context import Moment
from vm.native.did_records import Control, DidKind
from vm.native.recognition import Recognition, delete_recognised, put_recognised
from vm.native.registry import answer_view
from vm.native.vehicle_records import (
    GRANTS_MAX,
    AccessScope,
    BindingPayload,
    Grant,
    GrantPayload,
    RevocationPayload,
    VinAttestation,
    VinPayload,
    VinWithdrawalPayload,
)
from vm.native.vehicles import GRANT_HEIGHTS_MAX, VehicleDescription

COMMITMENT, NULLIFIER = bytes([1]) * 32, bytes([2]) * 32
SCOPES = (AccessScope.DIAGNOSTICS, AccessScope.SOFTWARE)
UNTIL = Height(1_000)
_CALLS = {
    VinPayload: ("attest_vin", SigningPurpose.VIN_ATTESTATION),
    VinWithdrawalPayload: ("withdraw_vin", SigningPurpose.VIN_WITHDRAWAL),
    BindingPayload: ("bind", SigningPurpose.VEHICLE_BINDING),
    GrantPayload: ("grant_access", SigningPurpose.VEHICLE_GRANT),
    RevocationPayload: ("revoke_access", SigningPurpose.VEHICLE_REVOCATION),
}


def build(payload: Any, *signers: Signer) -> Call:
    """A call of the module with these signatures."""
    name, purpose = _CALLS[type(payload)]
    return Call("vehicles", name, [to_plain(payload), to_plain(sign(purpose, payload, signers))])


class VehicleScene(DidScene):
    """A maker, two people, a workshop, and a car of the first one's."""

    def __init__(self) -> None:
        super().__init__(state=make_state({address_of(SENDER): 10**14}))
        self.maker = self.create("maker", kind=DidKind.ORGANISATION)
        self.alice = self.create("alice")
        self.bob = self.create("bob")
        self.workshop = self.create("workshop", kind=DidKind.ORGANISATION)
        self.car = self.create_car("car")
        put_recognised(self.state, Recognition.VIN_ATTESTER, self.maker)

    def create_car(self, name: str, **changes: Any) -> Did:
        """A car of Alice's with one key of its own."""
        owner = (self.alice, "alice")
        return self.create(name, kind=DidKind.VEHICLE, owner=self.alice, signers=[owner, name], **changes)

    def attest(self, **changes: Any) -> Call:
        """The maker vouches for the car's number."""
        payload = VinPayload(self.car, self.maker, self.turn(), COMMITMENT, NULLIFIER)
        return build(replace(payload, **changes), (self.maker, "maker"))

    def withdraw(self, turn: int, signer: Signer | None = None) -> Call:
        """The maker was wrong."""
        return build(VinWithdrawalPayload(self.car, turn), signer or (self.maker, "maker"))

    def bind(self, *signers: Signer, **changes: Any) -> Call:
        """Owner and car confirm each other."""
        payload = BindingPayload(self.car, self.get(self.car).ownership, self.turn())
        return build(replace(payload, **changes), *(signers or ((self.alice, "alice"), (self.car, "car"))))

    def grant(self, signer: Signer | None = None, **changes: Any) -> Call:
        """The owner lets the workshop work."""
        payload = GrantPayload(self.car, self.workshop, SCOPES, UNTIL, self.turn())
        return build(replace(payload, **changes), signer or (self.alice, "alice"))

    def revoke(self, signer: Signer | None = None, **changes: Any) -> Call:
        """The owner ends that."""
        payload = RevocationPayload(self.car, self.workshop, self.turn())
        return build(replace(payload, **changes), signer or (self.alice, "alice"))

    def give(self, owner: Did, *names: Signer) -> None:
        """Transfer the car."""
        self.accept(build_call(self.transfer(self.car, owner), *names))

    def end(self, did: Did, signer: Signer) -> None:
        """Deactivate an identity."""
        self.accept(build_call(self.deactivate(did), signer))

    def release(self, vehicle: Did) -> Call:
        """Free its number."""
        return Call("vehicles", "release_vin", [vehicle])

    def turn(self) -> int:
        """The car's turn."""
        described = self.describe()
        assert described is not None
        return described.turn

    def describe(self, vehicle: Did | None = None) -> VehicleDescription | None:
        """The view of the car."""
        described = self.answer("vehicle", vehicle or self.car)
        assert described is None or isinstance(described, VehicleDescription)
        return described

    def answer(self, view: str, *arguments: object, height: int = 100) -> object:
        """A view of the module after this block."""
        return answer_view(self.state, Moment(Height(height), TimeMs(1)), "vehicles", view, list(arguments))

    def may(self, scope: AccessScope, height: int = 100) -> object:
        """Whether the workshop may do this."""
        return self.answer("is_granted", self.car, self.workshop, int(scope), height=height)


@pytest.fixture
def scene() -> VehicleScene:
    return VehicleScene()


@pytest.fixture
def bound(scene: VehicleScene) -> VehicleScene:
    scene.accept(scene.bind())
    return scene


# V1: numbers


def test_an_attester_says_which_number_a_vehicle_has(scene):
    height = scene.height
    receipt = scene.accept(scene.attest())
    assert receipt.events[-1] == Event("vehicles", "VinAttested", [scene.car, scene.maker, NULLIFIER])
    vin = VinAttestation(COMMITMENT, NULLIFIER, scene.maker, 0, height)
    assert scene.describe() == VehicleDescription(scene.car, scene.alice, False, 1, 1, vin, None)
    assert scene.answer("vin", NULLIFIER) == scene.car


def test_only_who_is_recognised_attests(scene):
    delete_recognised(scene.state, Recognition.VIN_ATTESTER, scene.maker)
    assert scene.send(scene.attest()).reason == Reason.NOT_RECOGNISED


def test_only_the_attesters_own_keys_attest(scene):
    payload = VinPayload(scene.car, scene.maker, 0, COMMITMENT, NULLIFIER)
    assert scene.send(build(payload, (scene.maker, "alice"))).reason == Reason.DID_UNKNOWN_KEY
    assert scene.send(build(payload, (scene.alice, "alice"))).reason == Reason.DID_FOREIGN_SIGNER


def test_only_vehicles_have_numbers(scene):
    assert scene.send(scene.attest(vehicle=scene.bob)).reason == Reason.NOT_A_VEHICLE
    assert scene.describe(scene.bob) is None


def test_a_vehicle_has_one_number(scene):
    scene.accept(scene.attest())
    assert scene.send(scene.attest(nullifier=bytes(32))).reason == Reason.VIN_ATTESTED


def test_a_number_has_one_vehicle(scene):
    scene.accept(scene.attest())
    other = scene.create_car("other")
    assert scene.send(scene.attest(vehicle=other, turn=0)).reason == Reason.VIN_ATTESTED


# V2 and V3: numbers become free


def test_the_number_of_a_deactivated_vehicle_is_released_by_anybody(scene):
    scene.accept(scene.attest())
    scene.end(scene.car, (scene.alice, "alice"))
    receipt = scene.accept(scene.release(scene.car))
    assert receipt.events[-1] == Event("vehicles", "VinReleased", [scene.car, NULLIFIER])
    assert (scene.describe(), scene.answer("vin", NULLIFIER)) == (
        VehicleDescription(scene.car, scene.alice, True, 1, 2, None, None),
        None,
    )
    assert scene.send(scene.release(scene.car)).reason == Reason.VIN_NOT_ATTESTED
    other = scene.create_car("other")
    scene.accept(scene.attest(vehicle=other, turn=0))
    assert scene.answer("vin", NULLIFIER) == other


def test_the_number_of_an_active_vehicle_is_not_released(scene):
    scene.accept(scene.attest())
    assert scene.send(scene.release(scene.car)).reason == Reason.VEHICLE_ACTIVE


def test_a_deactivated_vehicle_gets_no_number(scene):
    scene.end(scene.car, (scene.alice, "alice"))
    assert scene.send(scene.attest()).reason == Reason.DID_DEACTIVATED


def test_an_attester_withdraws_also_when_it_is_recognised_no_longer(scene):
    scene.accept(scene.attest())
    delete_recognised(scene.state, Recognition.VIN_ATTESTER, scene.maker)
    scene.accept(scene.withdraw(0))
    assert scene.answer("vin", NULLIFIER) is None
    assert scene.send(scene.withdraw(0)).reason == Reason.VIN_NOT_ATTESTED


def test_only_who_attested_withdraws_and_only_that_attestation(scene):
    scene.accept(scene.attest())
    assert scene.send(scene.withdraw(0, (scene.alice, "alice"))).reason == Reason.DID_FOREIGN_SIGNER
    assert scene.send(scene.withdraw(1)).reason == Reason.VIN_NOT_ATTESTED


def test_turns_used_up_do_not_keep_an_attester_from_withdrawing(scene):
    scene.accept(scene.attest())
    scene.accept(scene.bind())
    scene.accept(scene.withdraw(0))


# V4: owner and vehicle


def test_owner_and_vehicle_confirm_each_other(scene):
    height = scene.height
    receipt = scene.accept(scene.bind())
    assert receipt.events[-1] == Event("vehicles", "Bound", [scene.car, scene.alice])
    assert scene.describe() == VehicleDescription(scene.car, scene.alice, False, 1, 1, None, height)


def test_neither_binds_alone(scene):
    assert scene.send(scene.bind((scene.alice, "alice"))).reason == Reason.DID_NOT_AUTHORISED
    assert scene.send(scene.bind((scene.car, "car"))).reason == Reason.DID_NOT_AUTHORISED


def test_a_vehicle_without_keys_cannot_confirm(scene):
    control = Control(keys_of(), None, None, None, None)
    owner = (scene.alice, "alice")
    car = scene.create("", kind=DidKind.VEHICLE, owner=scene.alice, control=control, signers=[owner])
    assert scene.send(scene.bind(owner, vehicle=car, ownership=1, turn=0)).reason == Reason.VEHICLE_WITHOUT_KEYS


def test_a_vehicle_is_bound_once_for_an_ownership(bound):
    assert bound.send(bound.bind()).reason == Reason.VEHICLE_BOUND


def test_a_binding_names_the_ownership(scene):
    assert scene.send(scene.bind(ownership=2)).reason == Reason.VEHICLE_TURN_STALE


# V5 and V6: grants


def test_a_grant_allows_its_scopes_up_to_its_height(bound):
    receipt = bound.accept(bound.grant())
    fields = [bound.car, bound.workshop, [int(scope) for scope in SCOPES], UNTIL]
    assert receipt.events[-1] == Event("vehicles", "AccessGranted", fields)
    assert bound.answer("grants", bound.car) == [Grant(bound.workshop, SCOPES, UNTIL)]
    assert [scope for scope in AccessScope if bound.may(scope)] == list(SCOPES)
    assert (bound.may(AccessScope.SOFTWARE, UNTIL), bound.may(AccessScope.SOFTWARE, UNTIL + 1)) == (True, False)
    assert bound.answer("is_granted", bound.car, bound.bob, int(AccessScope.SOFTWARE)) is False


def test_a_new_grant_replaces_the_former(bound):
    bound.accept(bound.grant())
    bound.accept(bound.grant(scopes=(AccessScope.LOCATION,)))
    assert bound.answer("grants", bound.car) == [Grant(bound.workshop, (AccessScope.LOCATION,), UNTIL)]


def test_only_the_owner_grants_and_revokes(bound):
    assert bound.send(bound.grant((bound.workshop, "workshop"))).reason == Reason.DID_FOREIGN_SIGNER
    assert bound.send(bound.grant((bound.car, "car"))).reason == Reason.DID_FOREIGN_SIGNER
    bound.accept(bound.grant())
    assert bound.send(bound.revoke((bound.workshop, "workshop"))).reason == Reason.DID_FOREIGN_SIGNER


def test_an_unbound_vehicle_has_no_grants(scene):
    assert scene.send(scene.grant()).reason == Reason.VEHICLE_NOT_BOUND
    assert scene.send(scene.revoke()).reason == Reason.VEHICLE_NOT_BOUND
    assert scene.answer("grants", scene.car) == []


@pytest.mark.parametrize("scopes", [(2, 1), (1, 1)])
def test_scopes_stand_in_order_each_once(bound, scopes):
    given = tuple(AccessScope(scope) for scope in scopes)
    assert bound.send(bound.grant(scopes=given)).reason == Reason.BAD_GRANT


def test_a_vehicle_is_granted_nothing_of_itself(bound):
    assert bound.send(bound.grant(grantee=bound.car)).reason == Reason.BAD_GRANT


def test_a_grantee_is_an_active_identity(bound):
    bound.end(bound.workshop, (bound.workshop, "workshop"))
    assert bound.send(bound.grant()).reason == Reason.DID_DEACTIVATED
    assert bound.send(bound.grant(grantee=Did(bytes(20)))).reason == Reason.UNKNOWN_DID


def test_a_grant_is_neither_past_nor_for_ever(bound):
    height = bound.height
    assert bound.send(bound.grant(until_height=height - 1)).reason == Reason.BAD_GRANT
    height = bound.height
    assert bound.send(bound.grant(until_height=height + GRANT_HEIGHTS_MAX + 1)).reason == Reason.BAD_GRANT
    bound.accept(bound.grant(until_height=bound.height))
    bound.accept(bound.grant(until_height=bound.height + GRANT_HEIGHTS_MAX))


def test_a_vehicle_has_so_many_grants_and_those_that_are_over_make_room(bound):
    grantees = [bound.create("bob", salt=bytes([number])) for number in range(GRANTS_MAX)]
    for each in grantees[:-1]:
        bound.accept(bound.grant(grantee=each))
    bound.accept(bound.grant(grantee=grantees[-1], until_height=bound.height))
    bound.height -= 1
    assert bound.send(bound.grant()).reason == Reason.GRANTS_LIMIT
    bound.accept(bound.grant())
    held = bound.answer("grants", bound.car)
    assert held == [Grant(each, SCOPES, UNTIL) for each in sorted([*grantees[:-1], bound.workshop])]


def test_the_owner_ends_a_grant(bound):
    bound.accept(bound.grant())
    receipt = bound.accept(bound.revoke())
    assert receipt.events[-1] == Event("vehicles", "AccessRevoked", [bound.car, bound.workshop])
    assert bound.answer("grants", bound.car) == []
    assert bound.send(bound.revoke()).reason == Reason.UNKNOWN_GRANT


# V7: ownership


def test_a_transfer_voids_binding_and_grants_in_its_own_block(bound):
    bound.accept(bound.grant())
    bound.give(bound.bob, (bound.alice, "alice"), (bound.bob, "bob"))
    assert bound.may(AccessScope.SOFTWARE, bound.height - 1) is False
    number = bound.get(bound.car).current.number
    assert bound.describe() == VehicleDescription(bound.car, bound.bob, False, number, 2, None, None)
    assert bound.send(bound.grant((bound.bob, "bob"))).reason == Reason.VEHICLE_NOT_BOUND


def test_grants_do_not_come_back_with_the_owner(bound):
    bound.accept(bound.grant())
    bound.give(bound.bob, (bound.alice, "alice"), (bound.bob, "bob"))
    bound.give(bound.alice, (bound.alice, "alice"), (bound.bob, "bob"))
    assert bound.may(AccessScope.SOFTWARE) is False
    bound.accept(bound.bind())
    assert bound.answer("grants", bound.car) == []


def test_what_leaves_the_owner_alone_leaves_grants_alone(bound):
    bound.accept(bound.grant())
    bound.accept(build_call(bound.update(bound.car), (bound.alice, "alice")))
    control = bound.control(bound.car, control_of("new car"))
    bound.accept(build_call(control, (bound.alice, "alice"), "new car", name="rotate"))
    assert bound.may(AccessScope.SOFTWARE) is True


def test_grants_end_with_the_vehicle_and_with_the_grantee(bound):
    bound.accept(bound.grant())
    bound.accept(bound.grant(grantee=bound.bob))
    bound.end(bound.workshop, (bound.workshop, "workshop"))
    assert bound.answer("grants", bound.car) == [Grant(bound.bob, SCOPES, UNTIL)]
    bound.end(bound.car, (bound.alice, "alice"))
    assert bound.answer("grants", bound.car) == []
    assert bound.send(bound.grant()).reason == Reason.DID_DEACTIVATED


# V8: nothing is replayed


def test_every_operation_names_the_turn(bound):
    stale = [bound.attest(turn=0), bound.bind(turn=0), bound.grant(turn=0), bound.revoke(turn=0)]
    assert [bound.send(call).reason for call in stale] == [Reason.VEHICLE_TURN_STALE] * 4


def test_an_attestation_that_was_withdrawn_is_not_replayed(scene):
    call = scene.attest()
    scene.accept(call)
    scene.accept(scene.withdraw(0))
    assert scene.send(call).reason == Reason.VEHICLE_TURN_STALE
