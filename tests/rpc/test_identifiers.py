"""`GET /1.0/identifiers/{did}` as clients see it."""

import json
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from identity.did import format_did
from rpc.identifiers import ACCEPT_RANGES_MAX, IDENTIFIER_CHARACTERS_MAX, choose_type
from rpc.resolution import ResolutionError
from rpc.server import RpcServer
from tests.did_scene import DidScene, build_call
from tests.rpc.conftest import serve
from tests.rpc.fake_backend import NETWORK, FakeBackend
from vm.native.did_records import Service

RESULT, URL_RESULT, DOCUMENT = "application/did-resolution", "application/did-url-dereferencing", "application/did"
FILES = Service("files", "Files", "https://example.com/base/")
ERRORS = "https://www.w3.org/ns/did#"


@pytest.fixture
def scene() -> DidScene:
    made = DidScene()
    did = made.create("alice", services=[FILES])
    made.did, made.text = did, format_did(did, NETWORK)
    return made


@pytest.fixture
def ask(scene: DidScene, backend: FakeBackend, server: RpcServer, http: aiohttp.ClientSession):
    """Status, media type and body of a request; the path and query as they are."""

    async def get(path: str | None = None, accept: str | None = None, method: str = "GET") -> tuple[int, str, Any]:
        backend.state_values = {key: value for key, value in scene.state.changes.items() if value is not None}
        shown = quote(scene.text) if path is None else path
        address = aiohttp.client.URL(f"http://127.0.0.1:{server.port}/1.0/identifiers/{shown}", encoded=True)
        headers = {} if accept is None else {"Accept": accept}
        async with http.request(method, address, headers=headers, allow_redirects=False) as response:
            body = await response.read()
            get.headers = response.headers
            return response.status, response.content_type, json.loads(body) if body else None

    return get


async def test_the_whole_result_by_default(ask, scene):
    status, kind, result = await ask(accept=None)
    assert (status, kind) == (200, RESULT)
    assert list(result) == ["didDocument", "didResolutionMetadata", "didDocumentMetadata"]
    assert result["didDocument"]["id"] == scene.text
    assert result["didResolutionMetadata"] == {"contentType": DOCUMENT}
    assert (await ask(accept="*/*")) == (await ask(accept=RESULT)) == (200, RESULT, result)
    assert ask.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("kind", [DOCUMENT, "application/did+json", "application/did+ld+json", "application/json"])
async def test_the_document_alone(ask, kind):
    _, _, result = await ask()
    assert await ask(accept=kind) == (200, kind, result["didDocument"])


async def test_the_did_may_be_encoded_or_not(ask, scene):
    plain = await ask(scene.text)
    assert plain[0] == 200
    assert await ask(quote(scene.text, safe="")) == plain


async def test_versions(ask, scene):
    _, _, first = await ask()
    scene.accept(build_call(scene.update(scene.did), "alice"))
    version_id = first["didDocumentMetadata"]["versionId"]
    status, _, by_id = await ask(f"{quote(scene.text, safe='')}?versionId={version_id}")
    assert (status, by_id["didDocument"]) == (200, first["didDocument"])
    assert await ask(f"{scene.text}?versionTime=1970-01-01T00:00:01Z") == (200, RESULT, by_id)
    assert await ask(f"{scene.text}?versionTime=1970-01-01T00%3A00%3A01Z") == (200, RESULT, by_id)


async def test_a_deactivated_identity_is_gone(ask, scene):
    _, _, before = await ask()
    scene.accept(build_call(scene.deactivate(scene.did), "alice"))
    for accept in (None, DOCUMENT):
        status, kind, result = await ask(accept=accept)
        assert (status, kind, result["didDocument"], result["didResolutionMetadata"]) == (410, RESULT, None, {})
        assert result["didDocumentMetadata"]["deactivated"] is True
    former = f"{scene.text}?versionId={before['didDocumentMetadata']['versionId']}"
    assert await ask(former, accept=DOCUMENT) == (410, DOCUMENT, before["didDocument"])


@pytest.mark.parametrize(
    ("path", "accept", "status", "error"),
    [
        ("", None, 400, "INVALID_DID"),
        ("did:iov:devnet:0", None, 400, "INVALID_DID"),
        ("%FF", None, 400, "INVALID_OPTIONS"),
        ("did:iov:devnet:Ci9TDNmoZN2SfQDyS8NgCcB8egf", DOCUMENT, 404, "NOT_FOUND"),
        ("did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp", None, 501, "METHOD_NOT_SUPPORTED"),
        (None, "application/did+cbor", 406, "REPRESENTATION_NOT_SUPPORTED"),
        (None, "text/html", 406, "REPRESENTATION_NOT_SUPPORTED"),
        ("did:iov:devnet:Ci9TDNmoZN2SfQDyS8NgCcB8egf?versionId=1", None, 400, "INVALID_OPTIONS"),
        ("did:iov:devnet:Ci9TDNmoZN2SfQDyS8NgCcB8egf?a", None, 400, "INVALID_OPTIONS"),
        ("did:iov:devnet:2?noCache=true&noCache=true", None, 400, "INVALID_OPTIONS"),
        ("x" * (IDENTIFIER_CHARACTERS_MAX + 1), None, 400, "INVALID_DID"),
    ],
)
async def test_errors_have_the_standards_form(ask, path, accept, status, error):
    got, kind, result = await ask(path, accept)
    assert (got, kind) == (status, RESULT)
    assert (result["didDocument"], result["didDocumentMetadata"]) == (None, {})
    problem = result["didResolutionMetadata"]["error"]
    assert problem["type"] == ERRORS + error
    assert problem["title"]
    assert problem["detail"]


async def test_parts_by_did_url(ask, scene):
    url = quote(scene.text + "#files", safe="")
    part = {"id": scene.text + "#files", "type": "Files", "serviceEndpoint": "https://example.com/base/"}
    status, kind, result = await ask(url)
    assert (status, kind, result["content"]) == (200, URL_RESULT, part)
    assert result["dereferencingMetadata"] == {"contentType": DOCUMENT}
    assert await ask(url, accept=DOCUMENT) == (200, DOCUMENT, part)
    status, kind, result = await ask(quote(scene.text + "#none", safe=""))
    assert (status, kind, result["content"], result["contentMetadata"]) == (404, URL_RESULT, None, {})
    assert result["dereferencingMetadata"]["error"]["type"] == ERRORS + "NOT_FOUND"


async def test_a_service_leads_on(ask, scene):
    path = scene.text + "?service=files&relativeRef=%2Fa"
    assert await ask(path, accept="text/uri-list") == (303, "text/uri-list", None)
    assert ask.headers["Location"] == "https://example.com/a"
    assert (await ask(quote(scene.text + "#files", safe=""), accept="text/uri-list"))[0] == 406
    assert (await ask(path))[2]["content"]["service"][0]["id"] == scene.text + "#files"


async def test_other_verbs_are_refused(ask):
    for method in ("POST", "PUT", "HEAD"):
        status, _, _ = await ask(method=method)
        assert status == 405
        assert ask.headers["Allow"] == "GET"


async def test_a_fault_of_the_node_shows_nothing_of_it(ask, backend):
    def explode() -> None:
        raise RuntimeError("secret path /srv/node/state.py")

    backend.read_hook = explode
    status, _, result = await ask()
    assert status == 500
    assert result["didResolutionMetadata"]["error"]["type"] == ERRORS + "INTERNAL_ERROR"
    assert "secret" not in json.dumps(result)


async def test_a_busy_node_says_when_to_come_back(scene, backend, http):
    import threading

    release = threading.Event()
    backend.read_hook = lambda: release.wait(5)
    try:
        async with serve(backend, call_seconds_max=0.05) as server:
            url = f"http://127.0.0.1:{server.port}/1.0/identifiers/{scene.text}"
            async with http.get(url) as response:
                assert (response.status, response.headers["Retry-After"]) == (503, "1")
    finally:
        release.set()


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", RESULT),
        ("*/*", RESULT),
        ("application/*", RESULT),
        ("application/did", DOCUMENT),
        ("APPLICATION/DID", DOCUMENT),
        ("application/did;q=0.5, application/did-resolution;q=0.4", DOCUMENT),
        ("application/did-resolution;q=0, */*", DOCUMENT),
        ("text/html, application/did+ld+json;q=0.9, */*;q=0.1", "application/did+ld+json"),
        ('application/ld+json;profile="https://w3id.org/did-resolution", application/did;q=0.2', DOCUMENT),
    ],
)
def test_the_best_type_by_the_clients_weights(accept, expected):
    assert choose_type(accept, is_url=False) == expected


@pytest.mark.parametrize(
    "accept", ["text/html", "application/did;q=0", "application/did;q=2", "application/did;q=x", "nonsense"]
)
def test_no_type_that_suits(accept):
    with pytest.raises(ResolutionError):
        choose_type(accept, is_url=False)


def test_a_header_has_so_many_ranges():
    assert choose_type(",".join(["*/*"] * ACCEPT_RANGES_MAX), is_url=False) == RESULT
    with pytest.raises(ResolutionError):
        choose_type(",".join(["*/*"] * (ACCEPT_RANGES_MAX + 1)), is_url=False)
