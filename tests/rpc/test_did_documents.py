"""Documents and metadata of identities, compared whole."""

from dataclasses import replace

from identity.address import NetworkKind, format_address
from identity.did import format_did
from identity.multikey import format_agreement_multikey, format_multikey
from rpc.did_documents import build_did_document, build_did_metadata, format_datetime
from tests.builders import address_of, make_state
from tests.did_scene import (
    AGREEMENT_KEY,
    SENDER,
    DidScene,
    build_call,
    build_create,
    control_of,
    key_of,
    keys_of,
    policy_of,
)
from vm.native.did_records import Controllers, DidKeys, DidKind, Service, get_did_version

NETWORK = NetworkKind.DEVNET
MAIL = Service("mail", "Mail", "mailto:alice@example.com")


def text_of(name: str) -> str:
    return format_multikey(key_of(name).public_key)


def document_of(scene: DidScene, did: bytes):
    return build_did_document(did, scene.get(did).current, NETWORK)


def test_own_keys_do_everything():
    scene = DidScene()
    policy = policy_of("ed25519 a", "secp256k1 b", "p256 c", threshold=2)
    control = control_of(keys=DidKeys(policy, (AGREEMENT_KEY,)))
    did = scene.create("", control=control, signers=["ed25519 a", "p256 c"], services=[MAIL])
    subject = format_did(did, NETWORK)
    texts = [text_of(name) for name in ("ed25519 a", "secp256k1 b", "p256 c")]
    urls = [f"{subject}#{text}" for text in texts]
    agreement = format_agreement_multikey(AGREEMENT_KEY)
    assert document_of(scene, did) == {
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
        "id": subject,
        "verificationMethod": [
            {"id": f"{subject}#{text}", "type": "Multikey", "controller": subject, "publicKeyMultibase": text}
            for text in [*texts, agreement]
        ],
        "authentication": urls,
        "assertionMethod": urls,
        "keyAgreement": [f"{subject}#{agreement}"],
        "capabilityInvocation": urls,
        "capabilityDelegation": urls,
        "service": [{"id": f"{subject}#mail", "type": "Mail", "serviceEndpoint": "mailto:alice@example.com"}],
    }


def test_keys_that_do_not_rule_invoke_nothing():
    scene = DidScene()
    alice, bob = scene.create("alice"), scene.create("bob")
    car, call = build_create(control_of("car"), "car", (alice, "alice"), kind=DidKind.VEHICLE, owner=alice)
    scene.accept(call)
    document = document_of(scene, car)
    assert document["controller"] == format_did(alice, NETWORK)
    assert document["authentication"] == [f"{format_did(car, NETWORK)}#{text_of('car')}"]
    assert "capabilityInvocation" not in document
    both = tuple(sorted([alice, bob]))
    control = replace(control_of(), controllers=Controllers(both, 2))
    firm, call = build_create(control, (alice, "alice"), (bob, "bob"), kind=DidKind.ORGANISATION)
    scene.accept(call)
    assert document_of(scene, firm) == {
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
        "id": format_did(firm, NETWORK),
        "controller": [format_did(each, NETWORK) for each in both],
    }


def test_metadata_of_every_version():
    scene = DidScene(state=make_state({address_of(SENDER): 10**12}))
    did = scene.create("alice", control=control_of(keys=keys_of("alice", "bob")), signers=["alice"])
    scene.accept(build_call(scene.update(did, MAIL), "alice"))
    scene.accept(build_call(scene.link(did, address_of(key_of("alice"))), "alice"))
    record = scene.get(did)
    versions = [get_did_version(scene.state, did, number) for number in (1, 2, 3)]
    ids = ["0x" + version.version_id.hex() for version in versions]
    common = {"created": "1970-01-01T00:00:01Z", "canonicalId": format_did(did, NETWORK)}
    method = {"kind": "person", "keyThreshold": 1, "keyWeights": [1, 1]}
    assert [
        build_did_metadata(did, record, version, successor, NETWORK)
        for version, successor in zip(versions, [*versions[1:], None], strict=True)
    ] == [
        common
        | {"versionId": ids[0], "nextVersionId": ids[1]}
        | {"method": method | {"versionNumber": 1, "operation": "create"}},
        common
        | {"updated": "1970-01-01T00:00:02Z", "versionId": ids[1], "nextVersionId": ids[2]}
        | {"method": method | {"versionNumber": 2, "operation": "update"}},
        common
        | {"updated": "1970-01-01T00:00:03Z", "versionId": ids[2]}
        | {
            "method": method
            | {
                "versionNumber": 3,
                "operation": "link_account",
                "account": format_address(address_of(key_of("alice")), NETWORK),
            }
        },
    ]


def test_times_are_whole_seconds_in_utc():
    assert format_datetime(1_700_000_000_999) == "2023-11-14T22:13:20Z"
