"""did_requests: requests for attributes, as holder and as verifier."""

import pytest

from identity.did import format_did
from rpc.session import Session
from tests.attribute_scene import ANSWER_KEY, PURPOSE, AttributeScene, build_answer, build_attribute_call
from tests.rpc.fake_backend import NETWORK, FakeBackend
from tests.rpc.test_methods import Caller, Failed


@pytest.fixture
def scene(backend: FakeBackend) -> AttributeScene:
    """Three requests: approved, refused, open."""
    made = AttributeScene()
    made.made = [made.request(heights=1_000) for _ in range(3)]
    made.accept(build_attribute_call("approve", made.approval(made.made[0]), "alice"))
    made.accept(build_attribute_call("refuse", made.by_holder(made.made[1]), "alice"))
    made.holder_text, made.verifier_text = format_did(made.holder, NETWORK), format_did(made.verifier, NETWORK)
    backend.state_values = {key: value for key, value in made.dids.state.changes.items() if value is not None}
    return made


@pytest.fixture
def ask(session: Session, scene: AttributeScene) -> Caller:
    return Caller(session)


async def test_an_approved_request_shows_all_of_itself(ask, scene):
    found = await ask("did_requests", did=scene.holder_text, state="approved")
    answer, request = build_answer("adult"), scene.find(scene.made[0])
    assert found["requests"] == [
        {
            "requestId": "0x" + scene.made[0].hex(),
            "holder": scene.holder_text,
            "verifier": scene.verifier_text,
            "names": ["adult"],
            "purpose": PURPOSE,
            "state": "approved",
            "height": request.height,
            "timeMs": request.time_ms,
            "expiryHeight": request.payload.expiry_height,
            "answerKey": "0x" + ANSWER_KEY.hex(),
            "answers": [
                {
                    "name": "adult",
                    "sealed": "0x" + answer.sealed.hex(),
                    "commitment": "0x" + answer.commitment.hex(),
                }
            ],
        }
    ]


async def test_both_sides_see_all_their_requests_the_newest_first(ask, scene):
    received = await ask("did_requests", did=scene.holder_text)
    assert [each["state"] for each in received["requests"]] == ["open", "refused", "approved"]
    sent = await ask("did_requests", did=scene.verifier_text, role="verifier")
    assert sent["requests"] == received["requests"]
    assert (await ask("did_requests", did=scene.verifier_text))["requests"] == []
    assert (await ask("did_requests", did=scene.holder_text, role="verifier"))["requests"] == []


async def test_pages(ask, scene):
    page = await ask("did_requests", did=scene.holder_text, limit=2)
    rest = await ask("did_requests", did=scene.holder_text, limit=2, cursor=page["cursor"])
    assert [each["requestId"] for each in page["requests"] + rest["requests"]] == [
        "0x" + each.hex() for each in scene.made[::-1]
    ]
    assert rest["cursor"] is None


async def test_what_cannot_be_asked(ask, scene):
    page = await ask("did_requests", did=scene.holder_text, limit=2)
    for params, reason in [
        ({"did": "did:iov:devnet:Ci9TDNmoZN2SfQDyS8NgCcB8egf"}, "DID_NOT_FOUND"),
        ({"did": "did:iov:testnet:Ci9TDNmoZN2SfQDyS8NgCcB8egf"}, "BAD_DID"),
        ({"did": scene.holder_text, "state": "lost"}, "INVALID_PARAMS"),
        ({"did": scene.holder_text, "role": "thief"}, "INVALID_PARAMS"),
        ({"did": scene.holder_text, "role": "verifier", "cursor": page["cursor"]}, "BAD_CURSOR"),
    ]:
        with pytest.raises(Failed) as failure:
            await ask("did_requests", **params)
        assert failure.value.reason == reason, params
