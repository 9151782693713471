"""Every statement that the W3C's DID Core test suite tests, against our documents and our resolver's answers.

`tests/vectors/did_core_test_suite.json` lists the statements by the suite's files. Each stands here in the same order,
with a word that occurs in it and either a check or the reason why it does not apply.
"""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from identity.did import format_did
from identity.multikey import format_multikey
from rpc.identifiers import Answer, answer_identifier
from rpc.session import Session
from tests.did_scene import AGREEMENT_KEY, DidScene, build_call, build_create, control_of, key_of, keys_of
from tests.rpc.fake_backend import NETWORK, FakeBackend
from vm.native.did_records import Controllers, DidKind, Service
from vm.native.did_rules import is_normal_uri

STATEMENTS: dict[str, list[str]] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "did_core_test_suite.json").read_text()
)["statements"]

DID = re.compile(r"did:[a-z0-9]+:(?:[A-Za-z0-9._:-]|%[0-9A-Fa-f]{2})*(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2})")
DID_URL = re.compile(DID.pattern + r"(?:/[^?#]*)?(?:\?[^#]*)?(?:#.*)?")
URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+")
DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
RELATIONSHIPS = ("authentication", "assertionMethod", "keyAgreement", "capabilityInvocation", "capabilityDelegation")
PRIVATE_JWK_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
DOCUMENT, DID_JSON, DID_LD_JSON = "application/did", "application/did+json", "application/did+ld+json"
RESULT, URL_RESULT = "application/did-resolution", "application/did-url-dereferencing"
FILES = Service("files", "Files", "https://example.com/base/")


@dataclass
class World:
    """Documents of every shape, and answers of every kind."""

    dids: list[str] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    """Successful resolutions, of present and former versions."""
    ended: list[dict[str, Any]] = field(default_factory=list)
    """Resolutions of what is deactivated."""
    failures: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Resolutions that fail, by the error they fail with."""
    representations: list[Answer] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    part_failures: dict[str, dict[str, Any]] = field(default_factory=dict)
    part_answers: list[Answer] = field(default_factory=list)

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [each["didDocument"] for each in self.results]

    @property
    def methods(self) -> list[dict[str, Any]]:
        return [each for document in self.documents for each in document.get("verificationMethod", [])]

    @property
    def services(self) -> list[dict[str, Any]]:
        return [each for document in self.documents for each in document.get("service", [])]

    @property
    def metadata(self) -> list[dict[str, Any]]:
        return [each["didDocumentMetadata"] for each in [*self.results, *self.ended]]

    @property
    def structures(self) -> list[dict[str, Any]]:
        """All metadata, of documents and of resolutions, of successes and of failures."""
        everything = [*self.results, *self.ended, *self.failures.values()]
        found = [each[name] for each in everything for name in ("didDocumentMetadata", "didResolutionMetadata")]
        parts = [*self.parts, *self.part_failures.values()]
        return found + [each[name] for each in parts for name in ("contentMetadata", "dereferencingMetadata")]


@pytest.fixture
async def world(session: Session, backend: FakeBackend) -> AsyncIterator[World]:
    scene, made = DidScene(), World()
    control = control_of(
        keys=keys_of("ed25519 a", "secp256k1 b", "p256 c", threshold=2, agreement_keys=[AGREEMENT_KEY])
    )
    person = scene.create("", control=control, signers=["ed25519 a", "p256 c"], services=[FILES])
    ruler = scene.create("ruler")
    rulers = tuple(sorted([person, ruler]))
    firm, call = build_create(
        replace(control_of(), controllers=Controllers(rulers, 1)), (ruler, "ruler"), kind=DidKind.ORGANISATION
    )
    scene.accept(call)
    car, call = build_create(control_of("p256 car"), "p256 car", (ruler, "ruler"), kind=DidKind.VEHICLE, owner=ruler)
    scene.accept(call)
    scene.accept(build_call(scene.update(person), "ed25519 a", "secp256k1 b"))
    mail = Service("mail", "Mail", "mailto:me@example.com")
    scene.accept(build_call(scene.update(person, FILES, mail), "ed25519 a", "secp256k1 b"))
    gone = scene.create("gone")
    scene.accept(build_call(scene.deactivate(gone), "gone"))
    backend.state_values = {key: value for key, value in scene.state.changes.items() if value is not None}

    async def ask(text: str, accept: str = RESULT, query: str = "") -> Answer:
        return await answer_identifier(session, quote(text, safe=""), query, accept)

    made.dids = [format_did(did, NETWORK) for did in (person, ruler, firm, car, gone)]
    for did in made.dids[:-1]:
        made.results.append(json.loads((await ask(did)).body))
    for version_time in ("1970-01-01T00:00:01Z", "1970-01-01T00:00:05Z"):
        made.results.append(json.loads((await ask(made.dids[0], query=f"versionTime={version_time}")).body))
    version_id = made.results[-1]["didDocumentMetadata"]["versionId"]
    by_id = json.loads((await ask(made.dids[0], query=f"versionId={version_id}")).body)
    assert by_id == made.results[-1]
    made.ended.append(json.loads((await ask(made.dids[-1])).body))
    for error, text, accept, query in [
        ("INVALID_DID", "nonsense", RESULT, ""),
        ("NOT_FOUND", "did:iov:devnet:Ci9TDNmoZN2SfQDyS8NgCcB8egf", RESULT, ""),
        ("REPRESENTATION_NOT_SUPPORTED", made.dids[0], "application/did+cbor", ""),
        ("METHOD_NOT_SUPPORTED", "did:example:123", RESULT, ""),
        ("FEATURE_NOT_SUPPORTED", made.dids[0], RESULT, "hl=z"),
        ("INVALID_OPTIONS", made.dids[0], RESULT, "versionTime=2020-09-26T20:14:02%2B01:00"),
    ]:
        made.failures[error] = json.loads((await ask(text, accept, query)).body)
    made.representations = [await ask(made.dids[0], kind) for kind in (DOCUMENT, DID_JSON, DID_LD_JSON)]
    key_url = f"{made.dids[0]}#{format_multikey(key_of('p256 c').public_key)}"
    urls = [key_url, f"{made.dids[0]}?service=files&relativeRef=%2Fpath%2Fto%2Fresource", f"{made.dids[0]}#files"]
    for url in urls:
        made.part_answers.append(await ask(url, URL_RESULT))
        made.parts.append(json.loads(made.part_answers[-1].body))
    made.part_failures["INVALID_DID_URL"] = json.loads((await ask(made.dids[0] + "#a#b", URL_RESULT)).body)
    made.part_failures["NOT_FOUND"] = json.loads((await ask(made.dids[0] + "#none", URL_RESULT)).body)
    yield made


Check = Callable[[World], None]


def each(select: Callable[[World], Any], holds: Callable[[Any], Any]) -> Check:
    """It holds for each of some things, of which there are some."""

    def check(world: World) -> None:
        found = list(select(world))
        assert found
        assert [value for value in found if not holds(value)] == []

    return check


def matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def is_set_of(kind: type) -> Callable[[Any], bool]:
    """A list of these, each once, and at least one."""
    return lambda value: (
        isinstance(value, list)
        and len(value) > 0
        and all(isinstance(item, kind) for item in value)
        and len({json.dumps(item, sort_keys=True) for item in value}) == len(value)
    )


def values_of(name: str) -> Callable[[World], Iterator[Any]]:
    return lambda world: (document[name] for document in world.documents if name in document)


def metadata_of(name: str) -> Callable[[World], Iterator[Any]]:
    return lambda world: (found[name] for found in world.metadata if name in found)


def absent(name: str) -> Check:
    """A property that is optional, which we never give."""
    return each(lambda world: [*world.documents, *world.methods], lambda value: name not in value)


def list_controllers(world: World) -> Iterator[str]:
    for value in values_of("controller")(world):
        yield from [value] if isinstance(value, str) else value


def is_structure(value: Any) -> bool:
    """Strings, maps, lists, booleans, null and, as JSON has them, numbers."""
    if isinstance(value, dict):
        return all(isinstance(name, str) and is_structure(item) for name, item in value.items())
    if isinstance(value, list):
        return all(is_structure(item) for item in value)
    return value is None or isinstance(value, (str, bool, int))


def is_relationship(world: World, name: str) -> bool:
    """Each value is a set of URLs of the document's own verification methods."""
    for document in world.documents:
        if name in document:
            own = [method["id"] for method in document["verificationMethod"]]
            assert is_set_of(str)(document[name])
            assert set(document[name]) <= set(own)
    return True


def relationship(name: str) -> Check:
    def check(world: World) -> None:
        assert list(values_of(name)(world))
        assert is_relationship(world, name)

    return check


def fails_with(error: str) -> Check:
    """DID Core's word for it in the form that DID Resolution 1.0 has given it."""

    def check(world: World) -> None:
        found = world.failures[error]["didResolutionMetadata"]["error"]
        assert found["type"] == f"https://www.w3.org/ns/did#{error}"

    return check


def part_fails_with(error: str) -> Check:
    def check(world: World) -> None:
        found = world.part_failures[error]["dereferencingMetadata"]["error"]
        assert found["type"] == f"https://www.w3.org/ns/did#{error}"

    return check


def is_ascii(value: Any) -> bool:
    return isinstance(value, str) and value.isascii()


def to_time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")


def check_round_trip(world: World) -> None:
    """What is served as JSON is the whole document, as the result has it."""
    for answer in world.representations:
        assert json.loads(answer.body) == world.documents[0]


def check_media_types(world: World) -> None:
    assert [answer.content_type for answer in world.representations] == [DOCUMENT, DID_JSON, DID_LD_JSON]


def check_controller_order(world: World) -> None:
    """Identities in the order of their bytes, as the record has them."""
    (controllers,) = [value for value in values_of("controller")(world) if isinstance(value, list)]
    assert sorted(controllers) == sorted(world.dids[:2])


def check_ids(world: World) -> None:
    resolved = [world.dids[0], world.dids[1], world.dids[2], world.dids[3], world.dids[0], world.dids[0]]
    assert [document["id"] for document in world.documents] == resolved


def check_syntax(world: World) -> None:
    texts = [*world.dids, *list_controllers(world), *(document["id"] for document in world.documents)]
    assert [text for text in texts if not DID.fullmatch(text)] == []


def check_versions(world: World) -> None:
    for found in world.metadata:
        assert found.get("nextVersionId") != found["versionId"]
    assert any("nextVersionId" in found for found in world.metadata)


def check_updated(world: World) -> None:
    found = [each for each in world.metadata if "updated" in each]
    assert found
    assert all(to_time(each["updated"]) >= to_time(each["created"]) for each in found)


CONSUMER = "a node produces and resolves documents of its own method; it consumes none, so it has no consumer to test"
SUPERSEDED = (
    "DID Core 1.0 has a keyword here; DID Resolution 1.0, which defines resolution now, has an error object (RFC 9457) "
    "whose type is a URI, and that is what universal resolvers read"
)
CONTENT_TYPE = (
    "DID Core 1.0 forbids contentType after `resolve`; DID Resolution 1.0 has one function, whose contentType is the "
    "Media Type of the document"
)
NEVER_GIVEN = "optional, and this method never gives it"
CALLER = "a duty of whoever calls the resolver"

is_json_map = each(lambda world: world.documents, lambda value: isinstance(value, dict))
has_result = each(lambda world: world.results, lambda value: isinstance(value["didDocumentMetadata"], dict))
takes_did = each(lambda world: world.results, lambda value: DID.fullmatch(value["didDocument"]["id"]))
failed_result_is_empty = each(lambda world: world.failures.values(), lambda value: value["didDocument"] is None)
failed_metadata_is_empty = each(lambda world: world.failures.values(), lambda value: value["didDocumentMetadata"] == {})
failed_says_why = each(lambda world: world.failures.values(), lambda value: value["didResolutionMetadata"].get("error"))
structures = each(lambda world: world.structures, is_structure)
part_failed_says_why = each(
    lambda world: world.part_failures.values(), lambda value: value["dereferencingMetadata"].get("error")
)
part_structures = each(lambda world: [part["contentMetadata"] for part in world.parts], is_structure)
contexts = each(
    values_of("@context"), lambda value: isinstance(value, list) and value[0] == "https://www.w3.org/ns/did/v1"
)

TABLE: dict[str, list[tuple[str, Check | str]]] = {
    "did-consumption/did-consumer.js": [
        ("MUST take a representation", CONSUMER),
        ("MUST determine the representation", CONSUMER),
        ("representation-specific entry", CONSUMER),
        ("MUST produce errors", CONSUMER),
        ("MUST add all", CONSUMER),
    ],
    "did-consumption/did-json-consumption.js": [
        ("JSON Array", CONSUMER),
        ("JSON Array", CONSUMER),
        ("JSON Object", CONSUMER),
        ("datetime", CONSUMER),
        ("JSON String", CONSUMER),
        ("without a decimal", CONSUMER),
        ("double", CONSUMER),
        ("JSON Boolean", CONSUMER),
        ("JSON null", CONSUMER),
        ("MUST report an error", CONSUMER),
        ("application/did+json", CONSUMER),
    ],
    "did-consumption/did-jsonld-consumption.js": [("deserialized", CONSUMER)],
    "did-core-properties/did-core-properties.js": [
        ("The value of id", each(lambda world: [found["id"] for found in world.documents], matches(DID))),
        ("controller property is OPTIONAL", each(list_controllers, matches(DID))),
        ("alsoKnownAs", absent("alsoKnownAs")),
        ("verificationMethod property is OPTIONAL", each(values_of("verificationMethod"), is_set_of(dict))),
        (
            "MUST include the id, type, controller",
            each(
                lambda world: world.methods,
                lambda value: list(value) == ["id", "type", "controller", "publicKeyMultibase"],
            ),
        ),
        (
            "id property for a verification method",
            each(lambda world: [method["id"] for method in world.methods], matches(DID_URL)),
        ),
        ("type property", each(lambda world: world.methods, lambda value: value["type"] == "Multikey")),
        ("controller property MUST", each(lambda world: [each["controller"] for each in world.methods], matches(DID))),
        (
            "publicKeyMultibase",
            each(
                lambda world: [method["publicKeyMultibase"] for method in world.methods],
                matches(re.compile("z[1-9A-HJ-NP-Za-km-z]+")),
            ),
        ),
        ("publicKeyJwk", absent("publicKeyJwk")),
        ('MUST NOT contain "d"', each(lambda world: world.methods, lambda value: not PRIVATE_JWK_MEMBERS & set(value))),
        (
            "MUST NOT contain multiple verification material",
            each(lambda world: world.methods, lambda value: sum(name.startswith("publicKey") for name in value) == 1),
        ),
        ("authentication property", relationship("authentication")),
        ("assertionMethod property", relationship("assertionMethod")),
        ("keyAgreement property", relationship("keyAgreement")),
        ("capabilityInvocation property", relationship("capabilityInvocation")),
        ("capabilityDelegation property", relationship("capabilityDelegation")),
        ("service property is OPTIONAL", each(values_of("service"), is_set_of(dict))),
        (
            "MUST contain id, type, and serviceEndpoint",
            each(lambda world: world.services, lambda value: list(value) == ["id", "type", "serviceEndpoint"]),
        ),
        ("MUST be a URI", each(lambda world: [service["id"] for service in world.services], matches(URI))),
        (
            "multiple service entries with the same id",
            each(
                values_of("service"),
                lambda value: len({service["id"] for service in value}) == len(value),
            ),
        ),
        ("consumer MUST produce an error", CONSUMER),
        (
            "type property MUST be a string or",
            each(lambda world: world.services, lambda value: isinstance(value["type"], str)),
        ),
        (
            "serviceEndpoint property MUST be",
            each(lambda world: world.services, lambda value: isinstance(value["serviceEndpoint"], str)),
        ),
        (
            "normalized",
            each(lambda world: [service["serviceEndpoint"] for service in world.services], is_normal_uri),
        ),
    ],
    "did-core-properties/did-metadata-structure.js": [
        ("MUST be a map", each(lambda world: world.structures, lambda value: isinstance(value, dict))),
        (
            "property name MUST be a string",
            each(lambda world: world.structures, lambda value: all(isinstance(name, str) for name in value)),
        ),
        ("property value MUST", structures),
        ("complex data structures", structures),
        ("serializable", each(lambda world: world.structures, lambda value: json.loads(json.dumps(value)) == value)),
    ],
    "did-identifier/did-parameters.js": [
        ("service", lambda world: _check_service_parameter(world)),
        ("relativeRef", lambda world: _check_service_parameter(world)),
        ("versionId", each(metadata_of("versionId"), is_ascii)),
        ("versionTime", fails_with("INVALID_OPTIONS")),
        ("hl", fails_with("FEATURE_NOT_SUPPORTED")),
    ],
    "did-identifier/did-syntax.js": [("ABNF", check_syntax)],
    "did-production/did-json-production.js": [
        ("list", check_controller_order),
        ("set", each(values_of("authentication"), is_set_of(str))),
        ("map", is_json_map),
        ("datetime", each(metadata_of("created"), matches(DATETIME))),
        ("string", takes_did),
        (
            "integer",
            each(
                metadata_of("method"), lambda value: isinstance(value["versionNumber"], int) and value["versionNumber"]
            ),
        ),
        ("double", NEVER_GIVEN),
        ("boolean", each(lambda world: world.ended, lambda value: value["didDocumentMetadata"]["deactivated"] is True)),
        ("null", each(lambda world: world.ended, lambda value: value["didDocument"] is None)),
        ("All entries", check_round_trip),
        ("application/did+json", check_media_types),
    ],
    "did-production/did-jsonld-production.js": [
        ("production rules", check_round_trip),
        ("@context", contexts),
        ("https://www.w3.org/ns/did/v1", contexts),
        ("application/did+ld+json", check_media_types),
    ],
    "did-production/did-producer.js": [
        ("MUST take a DID document data model", check_round_trip),
        ("MUST serialize all entries", check_round_trip),
        ("MUST return the Media Type", check_media_types),
        ("MUST NOT produce non-conforming", check_syntax),
    ],
    "did-resolution/did-resolution.js": [
        ("conformant DID", fails_with("INVALID_DID")),
        ("metadata structure", has_result),
        ("MAY be empty", has_result),
        ("metadata structure", structures),
        ("MUST NOT be empty", failed_says_why),
        (
            "contentType property",
            each(lambda world: world.results, lambda value: value["didResolutionMetadata"]["contentType"] == DOCUMENT),
        ),
        ("error property", failed_says_why),
        ("abstract data model", is_json_map),
        ("MUST match the DID", check_ids),
        ("MUST be empty", failed_result_is_empty),
        ("byte stream", check_round_trip),
        ("empty stream", failed_result_is_empty),
        ("metadata structure", has_result),
        ("empty metadata structure", failed_metadata_is_empty),
        ("preferred representation", check_media_types),
        ("ASCII string", check_media_types),
        ("resolveRepresentation", fails_with("REPRESENTATION_NOT_SUPPORTED")),
        (
            "REQUIRED if resolution is successful",
            each(lambda world: world.results, lambda value: value["didResolutionMetadata"]["contentType"]),
        ),
        ("MUST NOT be present if the resolve", CONTENT_TYPE),
        (
            "ASCII string",
            each(lambda world: world.results, lambda value: is_ascii(value["didResolutionMetadata"]["contentType"])),
        ),
        ("The caller", CALLER),
        ("REQUIRED when there is an error", failed_says_why),
        ("single keyword", SUPERSEDED),
        ("invalidDid", fails_with("INVALID_DID")),
        ("notFound", fails_with("NOT_FOUND")),
        ("representationNotSupported", fails_with("REPRESENTATION_NOT_SUPPORTED")),
        ("created", each(metadata_of("created"), matches(DATETIME))),
        ("updated", each(metadata_of("updated"), matches(DATETIME))),
        ("later or equal", check_updated),
        (
            "boolean value true",
            each(lambda world: world.ended, lambda value: value["didDocumentMetadata"]["deactivated"] is True),
        ),
        (
            "boolean value false",
            each(lambda world: world.results, lambda value: "deactivated" not in value["didDocumentMetadata"]),
        ),
        ("nextUpdate", NEVER_GIVEN),
        ("nextUpdate", NEVER_GIVEN),
        ("nextUpdate", NEVER_GIVEN),
        ("versionId", each(metadata_of("versionId"), is_ascii)),
        ("nextVersionId", each(metadata_of("nextVersionId"), is_ascii)),
        ("nextVersionId", check_versions),
        ("equivalentId", NEVER_GIVEN),
        ("equivalentId", NEVER_GIVEN),
        ("canonicalId", each(metadata_of("canonicalId"), matches(DID))),
        ("canonicalId", each(metadata_of("canonicalId"), lambda value: value.startswith("did:iov:"))),
    ],
    "did-resolution/did-resolution.spec.js": [("at least one DID method", takes_did)],
    "did-url-dereferencing/did-url-dereferencing.js": [
        ("ABNF", each(lambda world: [method["id"] for method in world.methods], matches(DID_URL))),
        ("conformant DID URL", part_fails_with("INVALID_DID_URL")),
        ("fragment", lambda world: _check_fragments(world)),
        ("REQUIRED", part_fails_with("INVALID_DID_URL")),
        ("metadata structure", part_structures),
        ("MAY be empty", part_structures),
        ("metadata structure", part_structures),
        ("MUST NOT be empty", part_failed_says_why),
        ("error property", part_failed_says_why),
        ("MUST contain a resource", each(lambda world: world.parts, lambda value: value["content"])),
        ("MUST be empty", each(lambda world: world.part_failures.values(), lambda value: value["content"] is None)),
        ("MUST be a metadata structure", part_structures),
        (
            "empty metadata structure",
            each(lambda world: world.part_failures.values(), lambda value: value["contentMetadata"] == {}),
        ),
        (
            "prefers",
            each(lambda world: world.part_answers, lambda answer: answer.content_type == URL_RESULT),
        ),
        ("ASCII string", each(lambda world: world.part_answers, lambda answer: is_ascii(answer.content_type))),
        (
            "ASCII string",
            each(lambda world: world.parts, lambda value: is_ascii(value["dereferencingMetadata"]["contentType"])),
        ),
        ("REQUIRED when there is an error", part_failed_says_why),
        ("single keyword", SUPERSEDED),
        ("invalidDidUrl", part_fails_with("INVALID_DID_URL")),
        ("notFound", part_fails_with("NOT_FOUND")),
    ],
}


def _check_service_parameter(world: World) -> None:
    """A service by its name, and a relative reference that is percent-encoded."""
    selected = world.parts[1]["content"]
    assert [service["id"] for service in selected["service"]] == [world.dids[0] + "#files"]


def _check_fragments(world: World) -> None:
    key, _, service = world.parts
    assert key["content"] in world.documents[0]["verificationMethod"]
    assert service["content"] in world.documents[0]["service"]


CASES = [(file, index, word, check) for file, entries in TABLE.items() for index, (word, check) in enumerate(entries)]


def test_every_statement_stands_in_the_table():
    assert {file: len(entries) for file, entries in TABLE.items()} == {
        file: len(statements) for file, statements in STATEMENTS.items()
    }
    wrong = [(file, index) for file, index, word, _ in CASES if word not in STATEMENTS[file][index]]
    assert wrong == []


def test_most_statements_apply():
    reasons = [check for *_, check in CASES if isinstance(check, str)]
    assert len(CASES) - len(reasons) == 106
    assert set(reasons) == {CONSUMER, SUPERSEDED, CONTENT_TYPE, NEVER_GIVEN, CALLER}


@pytest.mark.parametrize(
    ("file", "index", "check"),
    [
        pytest.param(file, index, check, id=f"{Path(file).stem}-{index}")
        for file, index, _, check in CASES
        if not isinstance(check, str)
    ],
)
async def test_a_statement_holds(world: World, file: str, index: int, check: Check):
    try:
        check(world)
    except AssertionError as failure:
        raise AssertionError(STATEMENTS[file][index]) from failure
