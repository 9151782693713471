"""Resolution and dereferencing: which version, which error."""

import pytest

from identity.address import NetworkKind
from identity.did import format_did
from rpc.dereferencing import dereference
from rpc.resolution import Problem, ResolutionError, parse_version_time, resolve
from tests.did_scene import DidScene, build_call
from vm.native.did_records import Service

NETWORK = NetworkKind.DEVNET
FILES = Service("files", "Files", "https://example.com/base/")
MAIL = Service("mail", "Mail", "mailto:alice@example.com")


@pytest.fixture
def scene() -> DidScene:
    """Two versions of one identity, made at 1 s and 2 s."""
    made = DidScene()
    did = made.create("alice")
    made.accept(build_call(made.update(did, FILES, MAIL), "alice"))
    made.did = did
    made.text = format_did(did, NETWORK)
    return made


def ask(scene: DidScene, text: str | None = None, **options: str):
    return resolve(scene.state, NETWORK, scene.text if text is None else text, options)


def problem_of(work) -> Problem:
    with pytest.raises(ResolutionError) as failure:
        work()
    return failure.value.problem


def test_the_present_version(scene):
    found = ask(scene)
    assert found.document["id"] == scene.text
    assert [each["type"] for each in found.document["service"]] == ["Files", "Mail"]
    assert found.resolution_metadata == {"contentType": "application/did"}
    assert not found.is_deactivated


def test_a_version_by_id_or_time(scene):
    first = ask(scene, versionTime="1970-01-01T00:00:01Z")
    assert "service" not in first.document
    assert ask(scene, versionId=first.document_metadata["versionId"]) == first
    assert first.document_metadata["nextVersionId"] == ask(scene).document_metadata["versionId"]
    assert ask(scene, versionTime="2026-01-01T00:00:00Z") == ask(scene)
    assert problem_of(lambda: ask(scene, versionTime="1970-01-01T00:00:00Z")) is Problem.NOT_FOUND
    assert problem_of(lambda: ask(scene, versionId="0x" + "00" * 32)) is Problem.NOT_FOUND


def test_the_version_at_the_end_of_a_second():
    assert parse_version_time("1970-01-01T00:00:01Z") == 1_999


def test_a_deactivated_identity_has_no_document_but_its_versions_have(scene):
    before = ask(scene)
    scene.accept(build_call(scene.deactivate(scene.did), "alice"))
    found = ask(scene)
    assert (found.document, found.resolution_metadata, found.is_deactivated) == (None, {}, True)
    former = ask(scene, versionId=before.document_metadata["versionId"])
    assert (former.document, former.is_deactivated) == (before.document, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Problem.INVALID_DID),
        ("did", Problem.INVALID_DID),
        ("did:iov", Problem.INVALID_DID),
        ("did:iov:", Problem.INVALID_DID),
        ("did:iov:devnet:", Problem.INVALID_DID),
        ("did:iov:devnet:0", Problem.INVALID_DID),
        ("DID:iov:devnet:2", Problem.INVALID_DID),
        ("did:IOV:devnet:2", Problem.INVALID_DID),
        ("did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp", Problem.METHOD_NOT_SUPPORTED),
        ("did:iov:devnet:Ci9TDNmoZN2SfQDyS8NgCcB8egf", Problem.NOT_FOUND),
        ("did:iov:Ci9TDNmoZN2SfQDyS8NgCcB8egf", Problem.NOT_FOUND),
    ],
)
def test_what_does_not_resolve(scene, text, expected):
    assert problem_of(lambda: ask(scene, text)) is expected


def test_an_identity_is_not_found_under_another_network(scene):
    assert problem_of(lambda: ask(scene, format_did(scene.did, NetworkKind.MAINNET))) is Problem.NOT_FOUND


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"versionId": "1"}, Problem.INVALID_OPTIONS),
        ({"versionId": "0x00"}, Problem.INVALID_OPTIONS),
        ({"versionId": "0x" + "AA" * 32}, Problem.INVALID_OPTIONS),
        ({"versionTime": "yesterday"}, Problem.INVALID_OPTIONS),
        ({"versionTime": "2026-13-01T00:00:00Z"}, Problem.INVALID_OPTIONS),
        ({"versionTime": "2026-01-01T00:00:00.5Z"}, Problem.INVALID_OPTIONS),
        ({"versionTime": "2026-01-01T00:00:00+01:00"}, Problem.INVALID_OPTIONS),
        ({"versionId": "0x" + "aa" * 32, "versionTime": "2026-01-01T00:00:00Z"}, Problem.INVALID_OPTIONS),
        ({"noCache": "maybe"}, Problem.INVALID_OPTIONS),
        ({"hl": "z"}, Problem.FEATURE_NOT_SUPPORTED),
    ],
)
def test_options_that_are_not_valid(scene, options, expected):
    assert problem_of(lambda: ask(scene, **options)) is expected


def test_options_that_change_nothing_here(scene):
    assert ask(scene, noCache="true", expandRelativeUrls="true") == ask(scene)


# Dereferencing


def find(scene: DidScene, suffix: str, **options: str):
    return dereference(scene.state, NETWORK, scene.text + suffix, options)


def test_a_fragment_is_a_key_or_a_service(scene):
    document = ask(scene).document
    key = document["verificationMethod"][0]
    assert find(scene, key["id"].removeprefix(scene.text)).content == key
    assert find(scene, "#mail").content == document["service"][1]
    assert problem_of(lambda: find(scene, "#nothing")) is Problem.NOT_FOUND


def test_a_version_is_part_of_the_url(scene):
    assert "service" not in find(scene, "?versionTime=1970-01-01T00:00:01Z").content
    assert problem_of(lambda: find(scene, "?versionTime=1970-01-01T00:00:01Z#mail")) is Problem.NOT_FOUND


def test_services_are_selected(scene):
    document = ask(scene).document
    found = find(scene, "?service=files")
    assert found.content == {**document, "service": document["service"][:1]}
    assert found.endpoints == ("https://example.com/base/",)
    assert find(scene, "?serviceType=Mail").content["service"] == document["service"][1:]
    assert find(scene, "?service=files&relativeRef=a%2Fb%3Fc").endpoints == ("https://example.com/base/a/b?c",)
    assert find(scene, "?service=files&relativeRef=/top").endpoints == ("https://example.com/top",)
    assert find(scene, "?service=mail&relativeRef=/top").endpoints == ()
    assert problem_of(lambda: find(scene, "?service=phone")) is Problem.NOT_FOUND


@pytest.mark.parametrize(
    "reference", ["//evil.example/", "https:%2F%2Fevil.example/", "javascript:alert(1)", "a%0D%0AX-Header:1", "%C3%A9"]
)
def test_a_reference_stays_with_its_service(scene, reference):
    assert problem_of(lambda: find(scene, f"?service=files&relativeRef={reference}")) is Problem.INVALID_DID_URL


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [
        ("/path", Problem.NOT_FOUND),
        ("# ", Problem.INVALID_DID_URL),
        ("#a#b", Problem.INVALID_DID_URL),
        ("?%zz", Problem.INVALID_DID_URL),
        ("?service", Problem.INVALID_DID_URL),
        ("?service=a&service=b", Problem.INVALID_DID_URL),
        ("?hl=z", Problem.FEATURE_NOT_SUPPORTED),
    ],
)
def test_urls_that_lead_nowhere(scene, suffix, expected):
    assert problem_of(lambda: find(scene, suffix)) is expected


def test_parts_of_an_identity_that_has_ended(scene):
    scene.accept(build_call(scene.deactivate(scene.did), "alice"))
    found = find(scene, "#mail")
    assert (found.content, found.metadata["deactivated"]) == (None, True)
