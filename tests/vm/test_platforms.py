"""Accounts of persons on platforms: rules P1 to P6."""

from dataclasses import replace

import pytest

from ledger.merkle import build_proof
from ledger.reasons import Reason
from ledger.receipt import Event
from tests.did_scene import build_call
from tests.platform_scene import ACCOUNTS, CLAIM_KEYS, LEAVES, ROOT, UNTIL, PlatformScene
from vm.native.did_records import DidKind
from vm.native.platforms import (
    GAS_CLAIM,
    GAS_PATH_STEP,
    MIGRATION_HEIGHTS_MAX,
    Claim,
    Migration,
    PersonAccount,
    PlatformLink,
    compute_claim_gas,
)
from vm.native.recognition import Recognition, delete_recognised, put_recognised


@pytest.fixture
def scene() -> PlatformScene:
    return PlatformScene()


@pytest.fixture
def posted(scene: PlatformScene) -> PlatformScene:
    scene.accept(scene.post())
    return scene


# P1: platforms


def test_only_who_is_recognised_binds_posts_and_has_accounts_claimed(posted):
    calls = [posted.bind(), posted.post(root=bytes(32)), posted.claim()]
    delete_recognised(posted.state, Recognition.PLATFORM, posted.shop)
    assert [posted.send(call).reason for call in calls] == [Reason.NOT_RECOGNISED] * 3


# P2 and P3: one to one, and both agree


def test_platform_and_person_bind_an_account(scene):
    receipt = scene.accept(scene.bind())
    assert receipt.events[-1] == Event("platforms", "AccountBound", [scene.shop, scene.alice, ACCOUNTS[0]])
    assert scene.answer("person", scene.shop, ACCOUNTS[0]) == scene.alice
    assert scene.answer("link", scene.alice, scene.shop) == PlatformLink(1, ACCOUNTS[0])
    assert scene.answer("accounts", scene.alice) == [PersonAccount(scene.shop, ACCOUNTS[0])]


def test_neither_binds_alone(scene):
    for alone in (scene.shop, scene.alice):
        assert scene.send(scene.bind(signers=scene.sign_as(alone))).reason == Reason.DID_NOT_AUTHORISED
    strangers = scene.sign_as(scene.shop, scene.alice, scene.bob)
    assert scene.send(scene.bind(signers=strangers)).reason == Reason.DID_FOREIGN_SIGNER


def test_accounts_are_persons(scene):
    firm = scene.create("firm", kind=DidKind.ORGANISATION)
    scene.names[firm] = "firm"
    assert scene.send(scene.bind(person=firm)).reason == Reason.NOT_A_PERSON


def test_an_account_is_one_persons(scene):
    scene.accept(scene.bind())
    assert scene.send(scene.bind(person=scene.bob)).reason == Reason.ACCOUNT_BOUND


def test_a_person_has_one_account_on_a_platform_and_may_have_one_on_another(scene):
    scene.accept(scene.bind())
    assert scene.send(scene.bind(1)).reason == Reason.ACCOUNT_BOUND
    other = scene.create("other shop", kind=DidKind.ORGANISATION)
    scene.names[other] = "other shop"
    put_recognised(scene.state, Recognition.PLATFORM, other)
    scene.accept(scene.bind(platform=other))
    accounts = [PersonAccount(platform, ACCOUNTS[0]) for platform in sorted([scene.shop, other])]
    assert scene.answer("accounts", scene.alice) == accounts


@pytest.mark.parametrize("is_by_platform", [True, False])
def test_either_ends_a_binding(scene, is_by_platform):
    scene.accept(scene.bind())
    wrong, right = (scene.alice, scene.shop) if is_by_platform else (scene.shop, scene.alice)
    refused = scene.unbind(wrong, is_by_platform=is_by_platform)
    assert scene.send(refused).reason == Reason.DID_FOREIGN_SIGNER
    receipt = scene.accept(scene.unbind(right, is_by_platform=is_by_platform))
    assert receipt.events[-1] == Event("platforms", "AccountUnbound", [scene.shop, scene.alice, ACCOUNTS[0]])
    assert scene.answer("person", scene.shop, ACCOUNTS[0]) is None
    assert scene.answer("link", scene.alice, scene.shop) == PlatformLink(2, None)
    assert scene.answer("accounts", scene.alice) == []


def test_what_is_not_bound_does_not_end(scene):
    assert scene.send(scene.unbind()).reason == Reason.ACCOUNT_NOT_BOUND


def test_a_platform_ends_the_binding_of_a_person_that_has_ended(scene):
    scene.accept(scene.bind())
    scene.accept(build_call(scene.deactivate(scene.alice), "alice"))
    scene.accept(scene.unbind())
    assert scene.send(scene.bind()).reason == Reason.DID_DEACTIVATED
    scene.accept(scene.bind(person=scene.bob))


# P4: nothing is replayed


def test_bindings_and_their_ends_are_not_replayed(scene):
    bind = scene.bind()
    scene.accept(bind)
    unbind = scene.unbind()
    scene.accept(unbind)
    assert [scene.send(call).reason for call in (bind, unbind)] == [Reason.PLATFORM_TURN_STALE] * 2


# P5: lists of accounts


def test_a_platform_posts_a_list(scene):
    receipt = scene.accept(scene.post())
    assert receipt.events[-1] == Event("platforms", "MigrationPosted", [scene.shop, ROOT, len(LEAVES), UNTIL])
    assert scene.answer("migration", scene.shop, ROOT) == Migration(len(LEAVES), UNTIL, 0)


def test_only_the_platform_posts(scene):
    assert scene.send(scene.post(scene.alice)).reason == Reason.DID_FOREIGN_SIGNER


def test_a_root_is_posted_once(posted):
    assert posted.send(posted.post(until_height=UNTIL + 1)).reason == Reason.MIGRATION_EXISTS


def test_a_list_is_neither_past_nor_for_ever(scene):
    assert scene.send(scene.post(until_height=scene.height - 1)).reason == Reason.BAD_MIGRATION
    late = scene.height + MIGRATION_HEIGHTS_MAX
    assert scene.send(scene.post(until_height=late + 2)).reason == Reason.BAD_MIGRATION
    scene.accept(scene.post(until_height=scene.height))


# P6: claims


@pytest.mark.parametrize("account", range(len(LEAVES)))
def test_a_person_claims_an_account(posted, account):
    receipt = posted.accept(posted.claim(account))
    assert receipt.events[-1] == Event("platforms", "AccountBound", [posted.shop, posted.alice, ACCOUNTS[account]])
    assert posted.answer("person", posted.shop, ACCOUNTS[account]) == posted.alice
    assert posted.answer("is_claimed", posted.shop, ACCOUNTS[account], CLAIM_KEYS[account]) is True
    assert posted.answer("migration", posted.shop, ROOT) == Migration(len(LEAVES), UNTIL, 1)


def test_without_a_list_nothing_is_claimed(scene):
    assert scene.send(scene.claim()).reason == Reason.UNKNOWN_MIGRATION


def test_a_list_is_over_after_its_last_height(posted):
    posted.height = UNTIL
    posted.accept(posted.claim())
    assert posted.send(posted.claim(1, person=posted.bob)).reason == Reason.MIGRATION_OVER


def test_a_claim_is_proven(posted):
    proof = build_proof(LEAVES, 0)
    wrong = [
        posted.claim(proof=build_proof(LEAVES, 1)),
        posted.claim(proof=replace(proof, size=len(LEAVES) + 1)),
        posted.claim(proof=replace(proof, path=proof.path[:-1])),
        posted.claim(claim_key=CLAIM_KEYS[1]),
    ]
    assert [posted.send(call).reason for call in wrong] == [Reason.LEAF_NOT_PROVEN] * len(wrong)


def test_only_the_holder_of_the_claim_key_claims(posted):
    """A claim that was seen while it waited is of no use to others: its signature names the person."""
    seen = posted.claim()
    stolen = posted.claim(person=posted.bob, claim_signature=seen.arguments[2])
    for call in (posted.claim(key=1), stolen):
        assert posted.send(call).reason == Reason.BAD_CLAIM_SIGNATURE


def test_a_claim_is_the_persons_too(posted):
    assert posted.send(posted.claim(signers=posted.sign_as(posted.bob))).reason == Reason.DID_FOREIGN_SIGNER


def test_an_account_is_claimed_once_also_if_it_is_given_up(posted):
    posted.accept(posted.claim())
    assert posted.send(posted.claim(person=posted.bob)).reason == Reason.LEAF_CLAIMED
    posted.accept(posted.unbind())
    assert posted.send(posted.claim()).reason == Reason.LEAF_CLAIMED
    posted.accept(posted.bind())


def test_claims_are_one_to_one_with_bindings(posted):
    posted.accept(posted.bind())
    assert posted.send(posted.claim(person=posted.bob)).reason == Reason.ACCOUNT_BOUND
    assert posted.send(posted.claim(1)).reason == Reason.ACCOUNT_BOUND
    assert posted.answer("migration", posted.shop, ROOT) == Migration(len(LEAVES), UNTIL, 0)


def test_a_claim_costs_by_the_length_of_its_proof():
    claim = Claim(None, build_proof(LEAVES, 0), bytes(64), ())
    assert compute_claim_gas(claim) == GAS_CLAIM + 3 * GAS_PATH_STEP
