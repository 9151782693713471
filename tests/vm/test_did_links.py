"""Accounts that act for identities: rule D14."""

import pytest

from identity.policy import build_policy
from ledger.codec import to_plain
from ledger.reasons import Reason
from ledger.transaction import Call
from tests.builders import address_of, make_state
from tests.did_scene import SENDER, DidScene, build_call, build_create, commit, control_of, key_of
from vm.native.did_records import DidKind, DidOperation, get_account_did

ALICE, BOB = key_of("alice"), key_of("bob")
A, B = address_of(ALICE), address_of(BOB)


@pytest.fixture
def scene() -> DidScene:
    return DidScene(state=make_state({address_of(SENDER): 10**12, A: 10**9, B: 10**9}))


def test_an_account_is_linked_by_the_key_that_rules_it(scene):
    did = scene.create("alice")
    scene.accept(build_call(scene.link(did, A), "alice"))
    record = scene.get(did)
    assert (record.account, record.current.operation) == (A, DidOperation.LINK_ACCOUNT)
    assert get_account_did(scene.state, A) == did


def test_an_account_is_linked_when_it_sends_the_transaction(scene):
    did = scene.create("alice")
    call = build_call(scene.link(did, B), "alice")
    assert scene.send(call).reason == Reason.DID_ACCOUNT_NOT_CONSENTING
    scene.accept(call, BOB)
    assert get_account_did(scene.state, B) == did


def test_an_account_that_has_changed_its_keys_must_send_it(scene):
    """Its first key may be in anybody's hands."""
    policy = build_policy([(BOB.public_key, 1)], 1)
    scene.accept(Call("accounts", "set_policy", [to_plain(policy)]), ALICE)
    did = scene.create("alice")
    call = build_call(scene.link(did, A), "alice")
    assert scene.send(call).reason == Reason.DID_ACCOUNT_NOT_CONSENTING


def test_the_identity_agrees_too(scene):
    did = scene.create("alice")
    assert scene.send(build_call(scene.link(did, B), "bob"), BOB).reason == Reason.DID_UNKNOWN_KEY


def test_one_account_an_identity_and_one_identity_an_account(scene):
    did = scene.create("alice")
    scene.accept(build_call(scene.link(did, A), "alice"))
    assert scene.send(build_call(scene.link(did, B), "alice"), BOB).reason == Reason.DID_LINKED
    other = scene.create("alice", salt=b"2")
    assert scene.send(build_call(scene.link(other, A), "alice")).reason == Reason.DID_LINKED


def test_a_link_is_undone_and_made_anew_but_never_replayed(scene):
    did = scene.create("alice")
    link = build_call(scene.link(did, A), "alice")
    scene.accept(link)
    scene.accept(build_call(scene.on_version(did), "alice", name="unlink_account"))
    assert (scene.get(did).account, get_account_did(scene.state, A)) == (None, None)
    assert scene.send(link).reason == Reason.DID_VERSION_STALE
    unlink = build_call(scene.on_version(did), "alice", name="unlink_account")
    assert scene.send(unlink).reason == Reason.DID_NOT_LINKED
    scene.accept(build_call(scene.link(did, A), "alice"))
    assert get_account_did(scene.state, A) == did


def test_a_link_survives_what_leaves_the_keys_alone(scene):
    did = scene.create("alice")
    scene.accept(build_call(scene.link(did, A), "alice"))
    scene.accept(build_call(scene.update(did), "alice"))
    assert (scene.get(did).account, get_account_did(scene.state, A)) == (A, did)


def test_a_link_ends_with_the_keys_it_was_made_by(scene):
    did = scene.create("alice", control=control_of("alice", recovery_keys=commit("safe")))
    again = control_of("alice", recovery_keys=commit("safe"))
    for call in [
        lambda: build_call(scene.control(did, again), "alice", name="rotate"),
        lambda: build_call(scene.deactivate(did), "alice"),
    ]:
        scene.accept(build_call(scene.link(did, A), "alice"))
        scene.accept(call())
        assert (scene.get(did).account, get_account_did(scene.state, A)) == (None, None)


def test_a_link_ends_with_recovery(scene):
    did = scene.create("alice", control=control_of("alice", recovery_keys=commit("safe")))
    scene.accept(build_call(scene.link(did, A), "alice"))
    scene.accept(build_call(scene.control(did, control_of("safe")), "safe", name="recover"))
    assert (scene.get(did).account, get_account_did(scene.state, A)) == (None, None)


def test_a_link_of_a_vehicle_ends_with_its_transfer(scene):
    alice, bob = scene.create("alice"), scene.create("bob")
    car, call = build_create(control_of("car"), "car", (alice, "alice"), kind=DidKind.VEHICLE, owner=alice)
    scene.accept(call)
    scene.accept(build_call(scene.link(car, A), (alice, "alice")), ALICE)
    scene.accept(build_call(scene.transfer(car, bob), (alice, "alice"), (bob, "bob")))
    assert (scene.get(car).account, get_account_did(scene.state, A)) == (None, None)


def test_a_key_of_the_account_signs_for_the_identity_itself(scene):
    """A controller's key is not the identity's: its account must send."""
    alice = scene.create("alice")
    car, call = build_create(control_of("car"), "car", (alice, "alice"), kind=DidKind.VEHICLE, owner=alice)
    scene.accept(call)
    link = build_call(scene.link(car, A), (alice, "alice"))
    assert scene.send(link).reason == Reason.DID_ACCOUNT_NOT_CONSENTING
