"""Creating, updating, rotating, recovering, transferring and ending identities: rules D1, D2, D7 to D10, D12, D13."""

from dataclasses import replace

import pytest

from identity.did import Did, compute_did
from identity.signing import compute_signing_domain
from ledger.codec import encode
from ledger.reasons import Reason
from ledger.receipt import Event
from tests.builders import CHAIN_ID, address_of
from tests.did_scene import (
    AGREEMENT_KEY,
    SENDER,
    DidScene,
    build_call,
    build_create,
    commit,
    control_of,
    key_of,
    keys_of,
    policy_of,
)
from vm.native.did_payloads import CreatePayload
from vm.native.did_records import (
    Controllers,
    DidContent,
    DidKind,
    DidOperation,
    DidRecord,
    DidVersion,
    Service,
    compute_version_id,
)

MAIL = Service("mail", "Mail", "mailto:alice@example.com")
FOREIGN_CHAIN = compute_signing_domain("another-chain", bytes(32))
AFTER_REGENESIS = compute_signing_domain(CHAIN_ID, b"\1" * 32)
VEHICLE, DEVICE, ORGANISATION = DidKind.VEHICLE, DidKind.DEVICE, DidKind.ORGANISATION


@pytest.fixture
def scene() -> DidScene:
    return DidScene()


def refuse(scene: DidScene, call, reason: Reason, key=SENDER) -> None:
    """The call fails for this reason and changes nothing but who paid for it."""
    assert call is not None
    before = {key: value for key, value in scene.state.changes.items() if 80 <= key[0] < 90}
    receipt = scene.send(call, key)
    assert (receipt.reason, receipt.events) == (reason, ())
    assert {key: value for key, value in scene.state.changes.items() if 80 <= key[0] < 90} == before


# Creating


def test_an_identity_is_what_its_payload_says_and_bears_its_hash(scene):
    control = control_of("alice", "p256 phone", threshold=2, next_keys=commit("next"))
    did, call = build_create(control, "alice", "p256 phone", services=[MAIL], salt=b"1")
    payload = CreatePayload(DidKind.PERSON, None, control, (MAIL,), b"1")
    assert did == compute_did(encode(payload))
    receipt = scene.accept(call)
    version_id = compute_version_id(DidOperation.CREATE, encode(payload))
    content = DidContent(DidKind.PERSON, None, control, (MAIL,))
    assert scene.get(did) == DidRecord(
        DidVersion(1, version_id, DidOperation.CREATE, 1, 1_000, content), created_ms=1_000, account=None, ownership=1
    )
    assert receipt.events == (Event("did", "DidChanged", [did, 1, 1, version_id]),)


def test_an_identity_exists_once(scene):
    did, call = build_create(control_of("alice"), "alice")
    scene.accept(call)
    refuse(scene, call, Reason.DID_EXISTS)
    assert scene.create("alice", salt=b"another") != did


def test_own_keys_create_with_enough_weight(scene):
    control = control_of("a", "b", "c", threshold=2)
    refuse(scene, build_create(control, "b")[1], Reason.DID_NOT_AUTHORISED)
    scene.accept(build_create(control, "b", "c")[1])


@pytest.mark.parametrize("domain", [FOREIGN_CHAIN, AFTER_REGENESIS])
def test_what_was_signed_for_another_chain_is_refused(scene, domain):
    refuse(scene, build_create(control_of("alice"), "alice", domain=domain)[1], Reason.DID_BAD_SIGNATURE)
    did = scene.create("alice")
    refuse(scene, build_call(scene.update(did), "alice", domain=domain), Reason.DID_BAD_SIGNATURE)


def test_controllers_create_what_they_rule(scene):
    first, second = scene.create("alice"), scene.create("bob")
    controllers = Controllers(tuple(sorted([first, second])), 2)
    control = replace(control_of(), controllers=controllers)
    refuse(scene, build_create(control, (first, "alice"))[1], Reason.DID_NOT_AUTHORISED)
    did, call = build_create(control, (first, "alice"), (second, "bob"), kind=ORGANISATION)
    scene.accept(call)
    assert scene.get(did).current.content.control.controllers == controllers


def test_own_keys_sign_for_themselves_even_when_others_rule(scene):
    ruler = scene.create("alice")
    control = replace(control_of("robot"), controllers=Controllers((ruler,), 1))
    refuse(scene, build_create(control, (ruler, "alice"))[1], Reason.DID_NOT_AUTHORISED)
    scene.accept(build_create(control, (ruler, "alice"), "robot")[1])


def test_a_vehicle_is_created_by_its_owner_and_its_own_keys(scene):
    owner = scene.create("alice")
    control = control_of("p256 car")
    refuse(scene, build_create(control, "p256 car", kind=VEHICLE, owner=owner)[1], Reason.DID_NOT_AUTHORISED)
    refuse(scene, build_create(control, (owner, "alice"), kind=VEHICLE, owner=owner)[1], Reason.DID_NOT_AUTHORISED)
    car, call = build_create(control, (owner, "alice"), "p256 car", kind=VEHICLE, owner=owner)
    scene.accept(call)
    assert scene.get(car).current.content.owner == owner


def test_owners_are_of_the_right_kind(scene):
    alice = scene.create("alice")
    car = create_owned(scene, "car", (alice, "alice"))
    box = create_owned(scene, "box", (alice, "alice"), kind=DEVICE, owner=car)
    assert scene.get(box).current.content.owner == car
    ended = scene.create("bob")
    scene.accept(build_call(scene.deactivate(ended), "bob"))
    for kind, owner in [
        (DidKind.PERSON, alice),
        (VEHICLE, None),
        (VEHICLE, car),
        (DEVICE, box),
        (DEVICE, Did(bytes(20))),
        (DEVICE, ended),
    ]:
        signers = ["new", *([] if owner is None else [(owner, "alice")])]
        refuse(scene, build_create(control_of("new"), *signers, kind=kind, owner=owner)[1], Reason.DID_BAD_OWNER)


def create_owned(scene, name, ruler, *, kind=VEHICLE, owner=None) -> Did:
    did, call = build_create(control_of(name), name, ruler, kind=kind, owner=owner or ruler[0])
    scene.accept(call)
    return did


# Whatever is done to an identity that exists


def list_operations(scene, did) -> list:
    """Each operation on the present version of alice's identity, signed by her key."""
    new = control_of("alice")
    return [
        build_call(scene.update(did, MAIL), "alice"),
        build_call(scene.control(did, new), "alice", name="rotate"),
        build_call(scene.deactivate(did), "alice"),
        build_call(scene.link(did, address_of(key_of("alice"))), "alice"),
        build_call(scene.on_version(did), "alice", name="object_to_recovery"),
        build_call(scene.on_version(did), "alice", name="unlink_account"),
        build_call(scene.control(did, new), "alice", name="recover"),
        build_call(scene.control(did, new), "alice", name="request_recovery"),
    ]


def test_an_operation_on_a_former_version_is_refused(scene):
    did = scene.create("alice")
    stale = list_operations(scene, did)
    transfer = build_call(scene.transfer(did, scene.create("bob")), "alice")
    scene.accept(build_call(scene.update(did, MAIL), "alice"))
    for call in [*stale, transfer]:
        refuse(scene, call, Reason.DID_VERSION_STALE)


def test_an_operation_works_once(scene):
    did = scene.create("alice")
    call = build_call(scene.update(did), "alice")
    scene.accept(call)
    refuse(scene, call, Reason.DID_VERSION_STALE)


def test_an_operation_on_an_identity_that_is_not_there_is_refused(scene):
    did = scene.create("alice")
    calls = list_operations(scene, did)
    for call in calls:
        refuse(DidScene(), call, Reason.UNKNOWN_DID)


def test_nothing_is_done_to_a_deactivated_identity(scene):
    did = scene.create("alice")
    scene.accept(build_call(scene.deactivate(did), "alice"))
    for call in list_operations(scene, did):
        refuse(scene, call, Reason.DID_DEACTIVATED)
    assert scene.get(did).is_deactivated


def test_a_signature_for_one_operation_is_none_for_another(scene):
    did = scene.create("alice")
    rotation = build_call(scene.control(did, control_of("alice")), "alice", name="rotate")
    assert scene.send(replace(rotation, call="recover")).reason == Reason.DID_BAD_SIGNATURE


def test_a_key_signs_once(scene):
    did = scene.create("a", control=control_of("a", "b", threshold=2), signers=["a", "b"])
    refuse(scene, build_call(scene.update(did), "a", "a"), Reason.DID_BAD_SIGNATURE)


# Updating


def test_an_update_replaces_the_services_and_nothing_else(scene):
    did = scene.create("alice")
    before = scene.get(did)
    scene.accept(build_call(scene.update(did, MAIL), "alice"))
    after = scene.get(did)
    assert after.current.content == replace(before.current.content, services=(MAIL,))
    assert (after.current.number, after.current.operation, after.current.time_ms) == (2, DidOperation.UPDATE, 2_000)
    assert after.created_ms == before.created_ms


def test_a_stranger_updates_nothing(scene):
    did, stranger = scene.create("alice"), scene.create("bob")
    refuse(scene, build_call(scene.update(did), "bob"), Reason.DID_UNKNOWN_KEY)
    refuse(scene, build_call(scene.update(did), "alice", (stranger, "bob")), Reason.DID_FOREIGN_SIGNER)


# Rotating


def test_a_rotation_takes_the_old_and_the_new_keys(scene):
    did = scene.create("old")
    rotation = scene.control(did, control_of("new"))
    refuse(scene, build_call(rotation, "old", name="rotate"), Reason.DID_NOT_AUTHORISED)
    refuse(scene, build_call(rotation, "new", name="rotate"), Reason.DID_NOT_AUTHORISED)
    scene.accept(build_call(rotation, "old", "new", name="rotate"))
    assert scene.get(did).current.content.control == control_of("new")


def test_a_former_key_counts_no_more(scene):
    did = scene.create("old")
    scene.accept(build_call(scene.control(did, control_of("new")), "old", "new", name="rotate"))
    refuse(scene, build_call(scene.update(did), "old"), Reason.DID_UNKNOWN_KEY)
    refuse(scene, build_call(scene.update(did), "new", "old"), Reason.DID_UNKNOWN_KEY)
    scene.accept(build_call(scene.update(did), "new"))


def test_a_rotation_brings_the_keys_committed_to(scene):
    did = scene.create("alice", control=control_of("alice", next_keys=commit("next", "more", threshold=2)))
    thief = scene.control(did, control_of("thief"))
    refuse(scene, build_call(thief, "alice", "thief", name="rotate"), Reason.DID_NOT_REVEALED)
    weaker = scene.control(did, control_of("next", "more", threshold=1))
    refuse(scene, build_call(weaker, "alice", "next", name="rotate"), Reason.DID_NOT_REVEALED)
    revealed = scene.control(did, control_of("next", "more", threshold=2, next_keys=commit("later")))
    scene.accept(build_call(revealed, "alice", "next", "more", name="rotate"))
    assert scene.get(did).current.content.control.next_keys == commit("later")


def test_agreement_keys_change_freely_whatever_was_committed_to(scene):
    did = scene.create("alice", control=control_of("alice", next_keys=commit("next")))
    control = control_of(keys=keys_of("next", agreement_keys=[AGREEMENT_KEY]))
    scene.accept(build_call(scene.control(did, control), "alice", "next", name="rotate"))
    assert scene.get(did).current.content.control.keys.agreement_keys == (AGREEMENT_KEY,)


def test_own_keys_are_revealed_even_when_controllers_take_over(scene):
    did, ruler = scene.create("alice", control=control_of("alice", next_keys=commit("next"))), scene.create("bob")
    handed_over = scene.control(did, replace(control_of(), controllers=Controllers((ruler,), 1)))
    refuse(scene, build_call(handed_over, "alice", (ruler, "bob"), name="rotate"), Reason.DID_NOT_REVEALED)


def test_new_controllers_agree_to_rule(scene):
    did, ruler = scene.create("alice"), scene.create("bob")
    handed_over = scene.control(did, replace(control_of(), controllers=Controllers((ruler,), 1)))
    refuse(scene, build_call(handed_over, "alice", name="rotate"), Reason.DID_NOT_AUTHORISED)
    scene.accept(build_call(handed_over, "alice", (ruler, "bob"), name="rotate"))
    refuse(scene, build_call(scene.update(did), "alice"), Reason.DID_FOREIGN_SIGNER)
    scene.accept(build_call(scene.update(did), (ruler, "bob")))


def test_the_owner_gives_a_vehicle_new_keys(scene):
    alice = scene.create("alice")
    car = create_owned(scene, "car", (alice, "alice"))
    rotation = scene.control(car, control_of("repaired"))
    refuse(scene, build_call(rotation, "repaired", name="rotate"), Reason.DID_NOT_AUTHORISED)
    scene.accept(build_call(rotation, (alice, "alice"), "repaired", name="rotate"))


# Recovering


def test_recovery_keys_alone_recover(scene):
    did = scene.create("alice", control=control_of("alice", recovery_keys=commit("safe"), next_keys=commit("next")))
    new = control_of("safe", recovery_keys=commit("safer"))
    refuse(scene, build_call(scene.control(did, new), "alice", name="recover"), Reason.DID_UNKNOWN_KEY)
    scene.accept(build_call(scene.control(did, new), "safe", name="recover"))
    assert scene.get(did).current.content.control == new
    assert scene.get(did).current.operation is DidOperation.RECOVER


def test_other_keys_than_those_committed_to_recover_nothing(scene):
    did = scene.create("alice", control=control_of("alice", recovery_keys=commit("safe")))
    call = build_call(scene.control(did, control_of("thief")), "thief", name="recover")
    refuse(scene, call, Reason.DID_NOT_REVEALED)


def test_without_a_commitment_nothing_is_recovered(scene):
    did = scene.create("alice")
    refuse(scene, build_call(scene.control(did, control_of("new")), "new", name="recover"), Reason.DID_NO_COMMITMENT)


def test_a_recovered_identity_is_ruled_by_its_own_keys(scene):
    ruler = scene.create("bob")
    ruled = replace(control_of("alice", recovery_keys=commit("safe")), controllers=Controllers((ruler,), 1))
    did = scene.create("alice", control=ruled, signers=["alice", (ruler, "bob")])
    kept = replace(control_of("safe"), controllers=Controllers((ruler,), 1))
    call = build_call(scene.control(did, kept), "safe", (ruler, "bob"), name="recover")
    refuse(scene, call, Reason.DID_BAD_CONTROLLERS)
    scene.accept(build_call(scene.control(did, control_of("safe")), "safe", name="recover"))
    scene.accept(build_call(scene.update(did), "safe"))


# Transferring


def test_a_transfer_takes_both_owners(scene):
    alice, bob = scene.create("alice"), scene.create("bob")
    car = create_owned(scene, "car", (alice, "alice"))
    scene.accept(build_call(scene.update(car, MAIL), (alice, "alice")))
    transfer = scene.transfer(car, bob)
    refuse(scene, build_call(transfer, (alice, "alice")), Reason.DID_NOT_AUTHORISED)
    refuse(scene, build_call(transfer, (bob, "bob")), Reason.DID_NOT_AUTHORISED)
    scene.accept(build_call(transfer, (alice, "alice"), (bob, "bob")))
    content = scene.get(car).current.content
    assert (content.owner, content.services, content.control) == (bob, (), control_of("car"))
    refuse(scene, build_call(scene.update(car), (alice, "alice")), Reason.DID_FOREIGN_SIGNER)
    scene.accept(build_call(scene.update(car, MAIL), (bob, "bob")))


def test_what_cannot_be_owned_is_not_transferred_and_nobody_takes_his_own(scene):
    alice, bob = scene.create("alice"), scene.create("bob")
    refuse(scene, build_call(scene.transfer(alice, bob), "alice", (bob, "bob")), Reason.DID_BAD_OWNER)
    car = create_owned(scene, "car", (alice, "alice"))
    refuse(scene, build_call(scene.transfer(car, alice), (alice, "alice")), Reason.DID_BAD_OWNER)
    refuse(scene, build_call(scene.transfer(car, car), (alice, "alice")), Reason.DID_BAD_OWNER)


# Ending


def test_an_identity_ends_by_its_keys(scene):
    did = scene.create("alice")
    refuse(scene, build_call(scene.deactivate(did), "thief"), Reason.DID_UNKNOWN_KEY)
    scene.accept(build_call(scene.deactivate(did), "alice"))
    record = scene.get(did)
    assert (record.is_deactivated, record.current.number) == (True, 2)


def test_keys_committed_to_end_it_too(scene):
    did = scene.create("alice", control=control_of("alice", next_keys=commit("next")))
    refuse(scene, build_call(scene.deactivate(did), "alice"), Reason.DID_NOT_REVEALED)
    refuse(scene, build_call(scene.deactivate(did, policy_of("thief")), "alice", "thief"), Reason.DID_NOT_REVEALED)
    refuse(scene, build_call(scene.deactivate(did, policy_of("next")), "alice"), Reason.DID_NOT_AUTHORISED)
    scene.accept(build_call(scene.deactivate(did, policy_of("next")), "alice", "next"))
    assert scene.get(did).is_deactivated


def test_keys_nobody_has_committed_to_end_nothing(scene):
    did = scene.create("alice")
    call = build_call(scene.deactivate(did, policy_of("next")), "alice", "next")
    refuse(scene, call, Reason.DID_NOT_REVEALED)


def test_a_deactivated_controller_agrees_to_nothing(scene):
    ruler, other = scene.create("alice"), scene.create("bob")
    control = replace(control_of(), controllers=Controllers(tuple(sorted([ruler, other])), 1))
    did = scene.create("", control=control, signers=[(ruler, "alice")])
    scene.accept(build_call(scene.deactivate(ruler), "alice"))
    refuse(scene, build_call(scene.update(did), (ruler, "alice")), Reason.DID_FOREIGN_SIGNER)
    scene.accept(build_call(scene.update(did), (other, "bob")))
