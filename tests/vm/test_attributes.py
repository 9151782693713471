"""The table of the module: events as they are announced, and views."""

from typing import Any

import pytest

from ledger.primitives import Height, TimeMs
from ledger.reasons import Reason, Rejected
from tests.attribute_scene import AttributeScene, build_attribute_call
from vm.context import Moment
from vm.native import attribute_records
from vm.native.attribute_records import ListedRequest, RequestState
from vm.native.attributes import MODULE, REQUESTS_PAGE, SIGNED_CALLS, RequestPage
from vm.native.registry import answer_view, list_fields


@pytest.fixture
def scene() -> AttributeScene:
    return AttributeScene()


def ask(scene: AttributeScene, view: str, *arguments: Any) -> Any:
    height = scene.dids.height - 1
    return answer_view(
        scene.dids.state, Moment(Height(height), TimeMs(height * 1_000)), "attributes", view, [*arguments]
    )


def test_events_carry_the_fields_they_declare(scene):
    seen = scene.accept(build_attribute_call("set_tag", scene.tag(), "alice"))
    seen += scene.accept(build_attribute_call("remove_tag", scene.removal(), "alice"))
    first, second = scene.payload(), None
    seen += scene.accept(build_attribute_call("request", first, "shop"))
    first, second = attribute_records.compute_request_id(first), scene.request()
    seen += scene.accept(build_attribute_call("approve", scene.approval(first), "alice"))
    seen += scene.accept(build_attribute_call("refuse", scene.by_holder(second), "alice"))
    seen += scene.accept(build_attribute_call("withdraw_consent", scene.by_holder(first), "alice"))
    declared = [(rule.fields.__name__, len(list_fields(rule.fields))) for rule in MODULE.events]
    assert [(name, len(fields)) for name, fields in seen] == declared


def test_each_call_has_a_purpose_of_its_own():
    assert [rule.name for rule in MODULE.calls] == list(SIGNED_CALLS)
    assert len({each.purpose for each in SIGNED_CALLS.values()}) == len(SIGNED_CALLS)


def test_views_of_an_identity(scene):
    payload = scene.tag()
    scene.accept(build_attribute_call("set_tag", payload, "alice"))
    assert ask(scene, "tags", scene.holder) == [payload.tag]
    assert ask(scene, "tags", scene.verifier) == []
    assert ask(scene, "record", scene.holder) == scene.record(scene.holder)
    assert ask(scene, "log", scene.holder, 0) == []


def test_views_of_requests(scene):
    refused, waiting = scene.request(), scene.request(heights=3)
    scene.accept(build_attribute_call("refuse", scene.by_holder(refused), "alice"))
    listed = [ListedRequest(2, waiting, scene.find(waiting)), ListedRequest(1, refused, scene.find(refused))]
    for view, did in [("requests", scene.holder), ("sent_requests", scene.verifier)]:
        assert ask(scene, view, did, None, 0) == RequestPage(tuple(listed), None)
        assert ask(scene, view, did, None, 2) == RequestPage((listed[1],), None)
        assert ask(scene, view, did, int(RequestState.OPEN), 0) == RequestPage((listed[0],), None)
        assert ask(scene, view, did, int(RequestState.REFUSED), 0) == RequestPage((listed[1],), None)
    assert ask(scene, "requests", scene.verifier, None, 0) == RequestPage((), None)
    assert ask(scene, "request", refused) == scene.find(refused)
    assert ask(scene, "request", bytes(32)) is None
    scene.pass_blocks(2)
    page = ask(scene, "requests", scene.holder, int(RequestState.EXPIRED), 0)
    assert [each.request_id for each in page.requests] == [waiting]
    assert ask(scene, "request", waiting).state is RequestState.EXPIRED


def test_requests_come_a_page_at_a_time(scene):
    made = [scene.request(heights=1) for _ in range(REQUESTS_PAGE + 2)]
    first = ask(scene, "requests", scene.holder, None, 0)
    assert [each.request_id for each in first.requests] == made[:1:-1]
    assert first.next_before == 3
    rest = ask(scene, "requests", scene.holder, None, first.next_before)
    assert ([each.request_id for each in rest.requests], rest.next_before) == (made[1::-1], None)


def test_a_search_ends_after_so_many_records(scene, monkeypatch):
    monkeypatch.setattr(attribute_records, "REQUESTS_SCANNED_MAX", 2)
    for _ in range(3):
        scene.request(heights=1)
    page = ask(scene, "requests", scene.holder, int(RequestState.REFUSED), 0)
    assert page == RequestPage((), 2)
    assert ask(scene, "requests", scene.holder, int(RequestState.REFUSED), 2) == RequestPage((), None)


def test_there_is_no_other_state(scene):
    with pytest.raises(Rejected) as refused:
        ask(scene, "requests", scene.holder, 9, 0)
    assert refused.value.reason is Reason.BAD_ARGUMENTS
