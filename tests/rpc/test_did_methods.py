"""did_resolve, did_history, the views of the module, and the identity in account_get."""

import pytest

from identity.address import NetworkKind, format_address
from identity.did import format_did
from rpc.session import Session
from tests.builders import address_of
from tests.did_scene import DidScene, build_call, key_of
from tests.rpc.fake_backend import NETWORK, FakeBackend
from tests.rpc.test_methods import Caller, Failed
from vm.native.did_records import Service

A = address_of(key_of("alice"))
UNKNOWN = "did:iov:devnet:Ci9TDNmoZN2SfQDyS8NgCcB8egf"


@pytest.fixture
def scene(backend: FakeBackend) -> DidScene:
    """An identity of three versions with an account."""
    made = DidScene()
    did = made.create("alice")
    made.accept(build_call(made.update(did, Service("web", "Web", "https://example.com/")), "alice"))
    made.accept(build_call(made.link(did, A), "alice"))
    made.did, made.text = did, format_did(did, NETWORK)
    backend.state_values = {key: value for key, value in made.state.changes.items() if value is not None}
    return made


@pytest.fixture
def ask(session: Session, scene: DidScene) -> Caller:
    return Caller(session)


async def test_an_identity_is_resolved(ask, scene):
    found = await ask("did_resolve", did=scene.text)
    assert found["didDocument"]["id"] == scene.text
    assert found["didResolutionMetadata"] == {"contentType": "application/did"}
    assert found["didDocumentMetadata"]["method"]["account"] == format_address(A, NETWORK)
    first = await ask("did_resolve", did=scene.text, versionTime="1970-01-01T00:00:01Z")
    assert "service" not in first["didDocument"]
    again = await ask("did_resolve", did=scene.text, versionId=first["didDocumentMetadata"]["versionId"])
    assert again == first


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"did": UNKNOWN}, "DID_NOT_FOUND"),
        ({"did": "did:key:z6Mk"}, "BAD_DID"),
        ({"did": "nonsense"}, "BAD_DID"),
        ({"did": UNKNOWN, "versionId": "0x01"}, "INVALID_PARAMS"),
        ({"did": UNKNOWN, "versionTime": "now"}, "INVALID_PARAMS"),
        ({"did": UNKNOWN, "at": "final"}, "INVALID_PARAMS"),
    ],
)
async def test_what_cannot_be_resolved(ask, params, reason):
    with pytest.raises(Failed) as failure:
        await ask("did_resolve", **params)
    assert failure.value.reason == reason


async def test_history_goes_backwards_a_page_at_a_time(ask, scene):
    page = await ask("did_history", did=scene.text, limit=2)
    assert [(each["number"], each["operation"]) for each in page["versions"]] == [(3, "link_account"), (2, "update")]
    rest = await ask("did_history", did=scene.text, limit=2, cursor=page["cursor"])
    first = await ask("did_resolve", did=scene.text, versionTime="1970-01-01T00:00:01Z")
    assert rest["versions"] == [
        {
            "number": 1,
            "versionId": first["didDocumentMetadata"]["versionId"],
            "operation": "create",
            "height": 1,
            "timeMs": 1_000,
        }
    ]
    assert rest["cursor"] is None


async def test_history_of_what_is_not_there(ask, scene):
    for did, reason in [
        (UNKNOWN, "DID_NOT_FOUND"),
        (format_did(scene.did, NetworkKind.TESTNET), "BAD_DID"),
    ]:
        with pytest.raises(Failed) as failure:
            await ask("did_history", did=did)
        assert failure.value.reason == reason
    page = await ask("did_history", did=scene.text, limit=1)
    with pytest.raises(Failed) as failure:
        await ask("did_history", did=UNKNOWN, cursor=page["cursor"])
    assert failure.value.reason == "BAD_CURSOR"


async def test_an_account_names_its_identity(ask, scene):
    assert (await ask("account_get", address=format_address(A, NETWORK)))["did"] == scene.text
    stranger = format_address(address_of(key_of("bob")), NETWORK)
    assert (await ask("account_get", address=stranger))["did"] is None


async def test_views_speak_of_identities_in_text(ask, scene):
    found = await ask("module_view", module="did", name="did", args={"did": scene.text})
    assert found["value"]["current"]["number"] == 3
    address = format_address(A, NETWORK)
    assert (await ask("module_view", module="did", name="account_did", args=[address]))["value"] == scene.text
    with pytest.raises(Failed) as failure:
        await ask("module_view", module="did", name="did", args=[format_did(scene.did, NetworkKind.MAINNET)])
    assert failure.value.reason == "INVALID_PARAMS"
