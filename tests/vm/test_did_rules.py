"""What identities may hold: rules D3 to D6."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.did import Did
from identity.keys import KeyType
from identity.policy import KeyPolicy, WeightedKey
from ledger.reasons import Reason
from tests.did_scene import AGREEMENT_KEY, DidScene, build_call, build_create, commit, control_of, keys_of, policy_of
from vm.native.did_records import (
    AGREEMENT_KEYS_MAX,
    CONTROLLERS_MAX,
    GUARDIANS_MAX,
    SERVICES_MAX,
    Control,
    Controllers,
    DidKeys,
    DidKind,
    Guardians,
    Service,
)
from vm.native.did_rules import is_normal_uri

SMALL_ORDER_KEY = bytes([1]).ljust(32, b"\0")
OTHER_AGREEMENT_KEY = bytes([10]).ljust(32, b"\0")
HTTPS = "https://example.com/"


@pytest.fixture
def scene() -> DidScene:
    return DidScene()


def refuse(scene: DidScene, control: Control, reason: Reason, *signers, **changes) -> None:
    """No identity of this control is created."""
    did, call = build_create(control, *(signers or ("alice",)), **changes)
    assert scene.send(call).reason == reason
    assert scene.state.get(b"\x50" + did) is None


# Keys


def test_keys_by_the_strict_rules(scene):
    weak = KeyPolicy((WeightedKey(KeyType.ED25519, SMALL_ORDER_KEY, 1),), 1)
    refuse(scene, control_of(keys=DidKeys(weak, ())), Reason.DID_BAD_KEYS)
    unreachable = KeyPolicy(policy_of("alice").keys, 2)
    refuse(scene, control_of(keys=DidKeys(unreachable, ())), Reason.DID_BAD_KEYS)
    unordered = KeyPolicy(policy_of("alice", "bob").keys[::-1], 1)
    refuse(scene, control_of(keys=DidKeys(unordered, ())), Reason.DID_BAD_KEYS)


def test_somebody_rules(scene):
    refuse(scene, control_of(), Reason.DID_BAD_KEYS)


@pytest.mark.parametrize(
    "agreement_keys",
    [[SMALL_ORDER_KEY], [b"\xff" * 32], [AGREEMENT_KEY, AGREEMENT_KEY], [OTHER_AGREEMENT_KEY, AGREEMENT_KEY]],
)
def test_agreement_keys_are_good_and_in_order(scene, agreement_keys):
    refuse(scene, control_of(keys=keys_of("alice", agreement_keys=agreement_keys)), Reason.DID_BAD_KEYS)


def test_as_many_agreement_keys_as_there_may_be(scene):
    keys = [bytes([9 + index]).ljust(32, b"\0") for index in range(AGREEMENT_KEYS_MAX + 1)]
    scene.create("alice", control=control_of(keys=keys_of("alice", agreement_keys=keys[:-1])))
    refuse(scene, control_of(keys=keys_of("alice", agreement_keys=keys)), Reason.BAD_ARGUMENTS)


def test_new_keys_obey_the_rules_too(scene):
    did = scene.create("alice", control=control_of("alice", recovery_keys=commit("safe")))
    bad = scene.control(did, control_of(keys=keys_of("alice", agreement_keys=[SMALL_ORDER_KEY])))
    assert scene.send(build_call(bad, "alice", name="rotate")).reason == Reason.DID_BAD_KEYS


# Controllers and guardians


def test_controllers_and_guardians_are_other_active_people(scene):
    bob, ended = scene.create("bob"), scene.create("ended")
    scene.accept(build_call(scene.deactivate(ended), "ended"))
    _, call = build_create(control_of("car"), "car", (bob, "bob"), kind=DidKind.VEHICLE, owner=bob)
    scene.accept(call)
    car = build_create(control_of("car"), "car", (bob, "bob"), kind=DidKind.VEHICLE, owner=bob)[0]
    for dids, threshold in [
        ([Did(bytes(20))], 1),
        ([ended], 1),
        ([car], 1),
        ([bob], 2),
        ([bob, bob], 1),
        (sorted([bob, scene.create("carol")], reverse=True), 1),
    ]:
        ruled = replace(control_of("alice"), controllers=Controllers(tuple(dids), threshold))
        refuse(scene, ruled, Reason.DID_BAD_CONTROLLERS)
        guarded = control_of("alice", guardians=Guardians(tuple(dids), threshold))
        refuse(scene, guarded, Reason.DID_BAD_GUARDIANS)


def test_nobody_rules_or_guards_himself(scene):
    did = scene.create("alice")
    ruled = replace(control_of("alice"), controllers=Controllers((did,), 1))
    call = build_call(scene.control(did, ruled), "alice", name="rotate")
    assert scene.send(call).reason == Reason.DID_BAD_CONTROLLERS
    guarded = scene.control(did, control_of("alice", guardians=Guardians((did,), 1)))
    assert scene.send(build_call(guarded, "alice", name="rotate")).reason == Reason.DID_BAD_GUARDIANS


def test_as_many_controllers_and_guardians_as_there_may_be(scene):
    dids = sorted(scene.create(f"guardian {index}") for index in range(GUARDIANS_MAX + 1))
    scene.create("alice", control=control_of("alice", guardians=Guardians(tuple(dids[:-1]), GUARDIANS_MAX)))
    refuse(scene, control_of("alice", guardians=Guardians(tuple(dids), 1)), Reason.BAD_ARGUMENTS)
    refuse(
        scene,
        replace(control_of("alice"), controllers=Controllers(tuple(dids[: CONTROLLERS_MAX + 1]), 1)),
        Reason.BAD_ARGUMENTS,
    )


def test_a_vehicle_is_ruled_and_recovered_by_its_owner_alone(scene):
    bob = scene.create("bob")
    for control, reason in [
        (replace(control_of("car"), controllers=Controllers((bob,), 1)), Reason.DID_BAD_CONTROLLERS),
        (control_of("car", guardians=Guardians((bob,), 1)), Reason.DID_BAD_GUARDIANS),
        (control_of("car", next_keys=commit("next")), Reason.DID_BAD_KEYS),
        (control_of("car", recovery_keys=commit("safe")), Reason.DID_BAD_KEYS),
    ]:
        refuse(scene, control, reason, "car", (bob, "bob"), kind=DidKind.VEHICLE, owner=bob)
    did, call = build_create(control_of(), (bob, "bob"), kind=DidKind.VEHICLE, owner=bob)
    scene.accept(call)
    assert scene.get(did).current.content.control.keys.policy is None


# Services


@pytest.mark.parametrize(
    "services",
    [
        [Service("b", "Mail", HTTPS), Service("a", "Mail", HTTPS)],
        [Service("a", "Mail", HTTPS), Service("a", "Post", HTTPS)],
        [Service("a b", "Mail", HTTPS)],
        [Service("-a", "Mail", HTTPS)],
        [Service("ä", "Mail", HTTPS)],
        [Service("a", "two words", HTTPS)],
        [Service("a", "Mail", "example.com")],
    ],
)
def test_services_are_in_order_and_well_formed(scene, services):
    refuse(scene, control_of("alice"), Reason.DID_BAD_SERVICE, services=services)


def test_as_many_services_as_there_may_be(scene):
    services = [Service(f"s{index}", "Mail", HTTPS) for index in range(SERVICES_MAX + 1)]
    did = scene.create("alice", services=services[:-1])
    assert len(scene.get(did).current.content.services) == SERVICES_MAX
    assert scene.send(build_call(scene.update(did, *services), "alice")).reason == Reason.BAD_ARGUMENTS


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/",
        "https://example.com:8443/a/b.c/?q=%2F&r=%C3%A9#top",
        "https://user@example.com/",
        "http://[2001:db8::1]/",
        "wss://example.com/chat",
        "mailto:alice@example.com",
        "did:iov:devnet:2",
        "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "tag:example.com,2026:x",
        "ftp://example.com",
    ],
)
def test_uris_in_their_normal_form(text):
    assert is_normal_uri(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https",
        "https:",
        "//example.com/",
        "HTTPS://example.com/",
        "1a://example.com/",
        "https://Example.com/",
        "https://example.com",
        "https://example.com?q",
        "https://example.com:443/",
        "http://example.com:80/",
        "https://example.com:/",
        "https://example.com:080/",
        "https://example.com:1:2/",
        "https:///path",
        "https://example.com/a/../b",
        "https://example.com/.",
        "https://example.com/%2f",
        "https://example.com/%41",
        "https://example.com/%7E",
        "https://example.com/%2",
        "https://example.com/a b",
        "https://example.com/é",
        "https://example.com/[",
        "https://example.com/#a#b",
        "https://example.com/\n",
        "mailto:alice@example.com\n",
    ],
)
def test_other_texts_are_no_uris_or_not_normal(text):
    assert not is_normal_uri(text)


@given(st.text(max_size=40))
def test_any_text_is_judged(text):
    if is_normal_uri(text):
        assert text.isascii()
        assert ":" in text
