"""Tags that identities give themselves: rules A1 to A4."""

from dataclasses import replace

import pytest

from identity.signing import compute_signing_domain
from ledger.reasons import Reason
from tests.attribute_scene import AttributeScene, build_attribute_call
from tests.builders import CHAIN_ID
from tests.did_scene import build_call, control_of
from vm.native.attribute_payloads import TAG_BYTES_MAX, Tag, TagForm
from vm.native.attribute_records import TAGS_MAX, list_tags

COMMITMENT = b"\7" * 32


@pytest.fixture
def scene() -> AttributeScene:
    return AttributeScene()


def test_a_holder_sets_replaces_and_removes_a_tag(scene):
    city = Tag("city", TagForm.PLAIN, b"Paris", COMMITMENT)
    events = scene.accept(build_attribute_call("set_tag", replace(scene.tag(), tag=city), "alice"))
    assert events == [("TagSet", [scene.holder, "city"])]
    secret = scene.tag("born", bytes(100), TagForm.ENCRYPTED)
    scene.accept(build_attribute_call("set_tag", secret, "alice"))
    assert list_tags(scene.dids.state, scene.holder) == [secret.tag, city]
    scene.accept(build_attribute_call("set_tag", scene.tag("city", b"Rome"), "alice"))
    assert list_tags(scene.dids.state, scene.holder) == [secret.tag, Tag("city", TagForm.PLAIN, b"Rome", None)]
    assert (scene.record(scene.holder).tags, scene.sequence(scene.holder)) == (2, 3)
    events = scene.accept(build_attribute_call("remove_tag", scene.removal("city"), "alice"))
    assert events == [("TagRemoved", [scene.holder, "city"])]
    assert list_tags(scene.dids.state, scene.holder) == [secret.tag]
    assert (scene.record(scene.holder).tags, scene.sequence(scene.holder)) == (1, 4)


def test_tags_of_others_are_not_ones_own(scene):
    scene.accept(build_attribute_call("set_tag", scene.tag(), "alice"))
    assert list_tags(scene.dids.state, scene.verifier) == []


def test_only_the_holder_signs(scene):
    scene.refuse(build_attribute_call("set_tag", scene.tag(), "thief"), Reason.DID_UNKNOWN_KEY)
    foreign = build_attribute_call("set_tag", scene.tag(), "alice", (scene.verifier, "shop"))
    scene.refuse(foreign, Reason.DID_FOREIGN_SIGNER)
    scene.accept(build_attribute_call("set_tag", scene.tag(), "alice"))
    scene.refuse(build_attribute_call("remove_tag", scene.removal(), "thief"), Reason.DID_UNKNOWN_KEY)


def test_a_signature_is_for_one_operation_of_one_chain(scene):
    other = build_attribute_call("set_tag", scene.tag(), "alice", purpose="remove_tag")
    scene.refuse(other, Reason.DID_BAD_SIGNATURE)
    foreign = compute_signing_domain("another-chain", bytes(32))
    scene.refuse(build_attribute_call("set_tag", scene.tag(), "alice", domain=foreign), Reason.DID_BAD_SIGNATURE)
    again = compute_signing_domain(CHAIN_ID, b"\1" * 32)
    scene.refuse(build_attribute_call("set_tag", scene.tag(), "alice", domain=again), Reason.DID_BAD_SIGNATURE)


def test_keys_of_before_a_rotation_sign_no_more(scene):
    call = build_attribute_call("set_tag", scene.tag(), "alice")
    rotation = scene.dids.control(scene.holder, control_of("new"))
    scene.dids.accept(build_call(rotation, "alice", "new", name="rotate"))
    scene.refuse(call, Reason.DID_UNKNOWN_KEY)
    scene.accept(build_attribute_call("set_tag", scene.tag(), "new"))


def test_an_identity_that_is_not_there_or_has_ended_has_no_tags(scene):
    ghost = replace(scene.tag(), did=b"\1" * 20)
    scene.refuse(build_attribute_call("set_tag", ghost, "alice"), Reason.UNKNOWN_DID)
    scene.accept(build_attribute_call("set_tag", scene.tag(), "alice"))
    scene.deactivate(scene.holder, "alice")
    scene.refuse(build_attribute_call("set_tag", scene.tag("age"), "alice"), Reason.DID_DEACTIVATED)
    scene.refuse(build_attribute_call("remove_tag", scene.removal(), "alice"), Reason.DID_DEACTIVATED)


def test_nothing_is_used_twice_or_out_of_turn(scene):
    first = build_attribute_call("set_tag", scene.tag(), "alice")
    scene.accept(first)
    scene.refuse(first, Reason.ATTRIBUTE_SEQUENCE)
    removal = build_attribute_call("remove_tag", scene.removal(), "alice")
    scene.accept(removal)
    scene.refuse(first, Reason.ATTRIBUTE_SEQUENCE)
    scene.refuse(removal, Reason.ATTRIBUTE_SEQUENCE)
    early = replace(scene.tag(), sequence=scene.sequence(scene.holder) + 1)
    scene.refuse(build_attribute_call("set_tag", early, "alice"), Reason.ATTRIBUTE_SEQUENCE)


@pytest.mark.parametrize("name", ["a", "city", "licence.class-b", "a1_2", "x" * 64])
def test_names(scene, name):
    scene.accept(build_attribute_call("set_tag", scene.tag(name), "alice"))


@pytest.mark.parametrize("name", ["City", "1st", "a b", "a..b", ".a", "a-", "é", "a\n", "a/b"])
def test_bad_names(scene, name):
    scene.refuse(build_attribute_call("set_tag", scene.tag(name), "alice"), Reason.ATTRIBUTE_BAD_NAME)


def test_names_and_values_have_a_length(scene):
    for payload in [
        scene.tag("x" * 65),
        scene.tag(""),
        scene.tag("city", b""),
        scene.tag("city", bytes(TAG_BYTES_MAX + 1)),
    ]:
        scene.refuse(build_attribute_call("set_tag", payload, "alice"), Reason.BAD_ARGUMENTS)


def test_a_plain_value_is_text_and_an_encrypted_one_longer_than_its_overhead(scene):
    scene.refuse(build_attribute_call("set_tag", scene.tag("city", b"\xff"), "alice"), Reason.ATTRIBUTE_BAD_TAG)
    short = scene.tag("city", bytes(48), TagForm.ENCRYPTED)
    scene.refuse(build_attribute_call("set_tag", short, "alice"), Reason.ATTRIBUTE_BAD_TAG)
    scene.accept(build_attribute_call("set_tag", scene.tag("city", bytes(49), TagForm.ENCRYPTED), "alice"))


def test_an_identity_has_so_many_tags(scene):
    for number in range(TAGS_MAX):
        scene.accept(build_attribute_call("set_tag", scene.tag(f"tag{number}"), "alice"))
    scene.refuse(build_attribute_call("set_tag", scene.tag("more"), "alice"), Reason.ATTRIBUTE_TAGS_LIMIT)
    scene.accept(build_attribute_call("set_tag", scene.tag("tag0", b"new"), "alice"))
    scene.accept(build_attribute_call("remove_tag", scene.removal("tag1"), "alice"))
    scene.accept(build_attribute_call("set_tag", scene.tag("more"), "alice"))
    assert len(list_tags(scene.dids.state, scene.holder)) == TAGS_MAX


def test_what_is_not_there_is_not_removed(scene):
    scene.refuse(build_attribute_call("remove_tag", scene.removal("city"), "alice"), Reason.ATTRIBUTE_UNKNOWN_TAG)
