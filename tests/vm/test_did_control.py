"""Who may act for an identity, also for other modules."""

from dataclasses import replace

import pytest

from identity.signing import SigningPurpose, signing_bytes
from ledger.primitives import TransactionId
from ledger.reasons import Reason, Rejected
from tests.builders import DOMAIN, address_of, block_context
from tests.did_scene import SENDER, DidScene, build_call, build_create, control_of, key_of
from vm.context import Context
from vm.gas import GAS_SIGNATURE, GasMeter
from vm.native.did_control import CONTROL_DEPTH_MAX, check_did_signatures
from vm.native.did_payloads import DidSignature
from vm.native.did_records import GAS_DID_READ, Controllers, DidKind

PAYLOAD = b"what another module acts on"


@pytest.fixture
def scene() -> DidScene:
    return DidScene()


def check(scene: DidScene, did, *signers, payload=PAYLOAD) -> int:
    """The gas it took; raises Rejected."""
    address = address_of(SENDER)
    gas = GasMeter(10**9, 0)
    context = Context(block_context(scene.height), address, address, TransactionId(bytes(32)), gas)
    signatures = sign_bytes(payload, [(did, each) if isinstance(each, str) else each for each in signers])
    check_did_signatures(scene.state, context, did, SigningPurpose.DID_LINK, PAYLOAD, signatures)
    return gas.used


def sign_bytes(payload: bytes, signers):
    message = signing_bytes(SigningPurpose.DID_LINK, DOMAIN, payload)
    keys = [(did, key_of(name)) for did, name in signers]
    return [DidSignature(did, key.key_type, key.public_key.key, key.sign(message)) for did, key in keys]


def refuse(scene: DidScene, reason: Reason, did, *signers, payload=PAYLOAD) -> None:
    with pytest.raises(Rejected) as refusal:
        check(scene, did, *signers, payload=payload)
    assert refusal.value.reason is reason


def create_ruled(scene: DidScene, name: str, threshold: int, *rulers, signers):
    """An organisation whose controllers these are."""
    control = replace(control_of(), controllers=Controllers(tuple(sorted(rulers)), threshold))
    return scene.create(name, control=control, signers=signers, kind=DidKind.ORGANISATION, salt=name.encode())


def test_keys_of_every_curve_speak_for_their_identity(scene):
    did = scene.create(
        "a", control=control_of("ed25519 a", "p256 b", "secp256k1 c", threshold=2), signers=["p256 b", "ed25519 a"]
    )
    check(scene, did, "p256 b", "secp256k1 c")
    check(scene, did, "ed25519 a", "p256 b", "secp256k1 c")
    refuse(scene, Reason.DID_NOT_AUTHORISED, did, "secp256k1 c")


def test_a_signature_over_something_else_is_wrong(scene):
    did = scene.create("alice")
    refuse(scene, Reason.DID_BAD_SIGNATURE, did, "alice", payload=b"something else")


def test_who_is_not_there_or_has_ended_signs_nothing(scene):
    did = scene.create("alice")
    refuse(DidScene(), Reason.UNKNOWN_DID, did, "alice")
    scene.accept(build_call(scene.deactivate(did), "alice"))
    refuse(scene, Reason.DID_DEACTIVATED, did, "alice")


def test_checking_is_paid_for(scene):
    did = scene.create("a", control=control_of("a", "p256 b"), signers=["a"])
    signatures = sum(GAS_SIGNATURE[key_of(name).key_type] for name in ("a", "p256 b"))
    assert check(scene, did, "a", "p256 b") == signatures + GAS_DID_READ
    ruled = create_ruled(scene, "firm", 1, did, signers=[(did, "a")])
    assert check(scene, ruled, (did, "p256 b")) == GAS_SIGNATURE[key_of("p256 b").key_type] + 2 * GAS_DID_READ


def test_as_many_controllers_agree_as_it_takes(scene):
    people = [scene.create(name) for name in "abc"]
    firm = create_ruled(scene, "firm", 2, *people, signers=[(people[0], "a"), (people[1], "b")])
    check(scene, firm, (people[2], "c"), (people[0], "a"))
    refuse(scene, Reason.DID_NOT_AUTHORISED, firm, (people[2], "c"))
    refuse(scene, Reason.DID_FOREIGN_SIGNER, firm, (people[2], "c"), (people[0], "a"), (scene.create("d"), "d"))
    refuse(scene, Reason.DID_UNKNOWN_KEY, firm, (people[2], "c"), (people[0], "b"))


def test_control_reaches_so_far_and_no_further(scene):
    bottom = scene.create("alice")
    chain = [bottom]
    for step in range(CONTROL_DEPTH_MAX):
        chain.append(create_ruled(scene, f"level {step}", 1, chain[-1], signers=[(bottom, "alice")]))
        check(scene, chain[-1], (bottom, "alice"))
    too_far = replace(control_of(), controllers=Controllers((chain[-1],), 1))
    _, call = build_create(too_far, (bottom, "alice"))
    assert scene.send(call).reason == Reason.DID_FOREIGN_SIGNER


def test_identities_never_rule_each_other_in_a_ring(scene):
    alice = scene.create("alice")
    firm = create_ruled(scene, "firm", 1, alice, signers=[(alice, "alice")])
    ring = scene.control(alice, replace(control_of(), controllers=Controllers((firm,), 1)))
    assert scene.send(build_call(ring, "alice", name="rotate")).reason == Reason.DID_NOT_AUTHORISED
    check(scene, firm, (alice, "alice"))
