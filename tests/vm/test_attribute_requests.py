"""Requests, answers and consent that ends: rules A2, A3 and A5 to A12."""

from dataclasses import replace
from itertools import pairwise

import pytest

from identity.attributes import SEALED_BYTES_MIN, open_attribute
from identity.signing import compute_signing_domain
from ledger.codec import encode
from ledger.reasons import Reason
from tests.attribute_scene import ANSWER_SECRET, PURPOSE, SALT, AttributeScene, build_answer, build_attribute_call
from tests.builders import CHAIN_ID
from tests.did_scene import build_call, control_of
from vm.native.attribute_payloads import NAMES_MAX
from vm.native.attribute_records import (
    OPEN_BETWEEN_MAX,
    OPEN_RECEIVED_MAX,
    OPEN_SENT_MAX,
    AttributeRequest,
    ListedEntry,
    LogAction,
    LogEntry,
    OpenRequest,
    RequestState,
    compute_request_id,
    list_log,
)
from vm.native.attribute_requests import REQUEST_HEIGHTS_MAX
from vm.native.did_records import DidKind


@pytest.fixture
def scene() -> AttributeScene:
    return AttributeScene()


# Asking


def test_a_request_waits_for_its_holder(scene):
    payload = scene.payload("adult", "city", heights=50)
    height = scene.dids.height
    events = scene.accept(build_attribute_call("request", payload, "shop"))
    request_id = compute_request_id(payload)
    assert events == [("AttributesRequested", [scene.holder, scene.verifier, request_id, height + 50])]
    expected = AttributeRequest(payload, RequestState.OPEN, height, height * 1_000, ())
    assert scene.find(request_id) == expected
    assert scene.record(scene.holder).open_received == (OpenRequest(request_id, scene.verifier, height + 50),)
    assert scene.record(scene.verifier).open_sent == (OpenRequest(request_id, scene.holder, height + 50),)
    assert (scene.sequence(scene.holder), scene.sequence(scene.verifier)) == (0, 1)


def test_a_request_is_signed_by_the_verifier(scene):
    payload = scene.payload()
    scene.refuse(build_attribute_call("request", payload, "alice"), Reason.DID_UNKNOWN_KEY)
    scene.refuse(build_attribute_call("request", payload, (scene.holder, "alice")), Reason.DID_FOREIGN_SIGNER)
    for domain in [compute_signing_domain("another-chain", bytes(32)), compute_signing_domain(CHAIN_ID, b"\1" * 32)]:
        scene.refuse(build_attribute_call("request", payload, "shop", domain=domain), Reason.DID_BAD_SIGNATURE)


def test_a_request_is_made_once(scene):
    call = build_attribute_call("request", scene.payload(), "shop")
    scene.accept(call)
    scene.refuse(call, Reason.ATTRIBUTE_SEQUENCE)
    assert scene.request() != scene.request()


@pytest.mark.parametrize("names", [("city", "adult"), ("adult", "adult")])
def test_names_stand_in_order_each_once(scene, names):
    scene.refuse(build_attribute_call("request", scene.payload(*names), "shop"), Reason.ATTRIBUTE_BAD_REQUEST)


def test_names_have_their_spelling_and_number(scene):
    scene.refuse(build_attribute_call("request", scene.payload("Adult"), "shop"), Reason.ATTRIBUTE_BAD_NAME)
    many = [f"a{number:02}" for number in range(NAMES_MAX + 1)]
    scene.refuse(build_attribute_call("request", scene.payload(*many), "shop"), Reason.BAD_ARGUMENTS)
    scene.refuse(build_attribute_call("request", replace(scene.payload(), names=()), "shop"), Reason.BAD_ARGUMENTS)
    scene.request(*many[:-1])


@pytest.mark.parametrize("purpose", ["two\nlines", " padded", "padded ", "\u202etxet", "a\u200bb", "\x7f", "\x85"])
def test_a_purpose_is_readable(scene, purpose):
    payload = replace(scene.payload(), purpose=purpose)
    scene.refuse(build_attribute_call("request", payload, "shop"), Reason.ATTRIBUTE_BAD_REQUEST)


def test_a_purpose_is_of_any_language(scene):
    payload = replace(scene.payload(), purpose="Für die Miete – 租车用")
    scene.accept(build_attribute_call("request", payload, "shop"))


def test_a_purpose_is_there(scene):
    payload = replace(scene.payload(), purpose="")
    scene.refuse(build_attribute_call("request", payload, "shop"), Reason.BAD_ARGUMENTS)


@pytest.mark.parametrize("key", [bytes(32), b"\1" + bytes(31), b"\xff" * 32])
def test_the_key_can_be_sealed_for(scene, key):
    payload = replace(scene.payload(), answer_key=key)
    scene.refuse(build_attribute_call("request", payload, "shop"), Reason.ATTRIBUTE_BAD_REQUEST)


def test_nobody_asks_itself(scene):
    payload = scene.payload(holder=scene.verifier)
    scene.refuse(build_attribute_call("request", payload, "shop"), Reason.ATTRIBUTE_BAD_REQUEST)


def test_a_request_ends_after_its_block_and_not_too_late(scene):
    for heights in [-1, 0, REQUEST_HEIGHTS_MAX + 1]:
        payload = scene.payload(heights=heights)
        scene.refuse(build_attribute_call("request", payload, "shop"), Reason.ATTRIBUTE_BAD_EXPIRY)
    scene.request(heights=1)
    scene.request(heights=REQUEST_HEIGHTS_MAX)


def test_both_sides_are_active(scene):
    scene.refuse(build_attribute_call("request", scene.payload(holder=b"\1" * 20), "shop"), Reason.UNKNOWN_DID)
    scene.refuse(build_attribute_call("request", scene.payload(verifier=b"\1" * 20), "shop"), Reason.UNKNOWN_DID)
    ended = scene.dids.create("ended")
    scene.deactivate(ended, "ended")
    scene.refuse(build_attribute_call("request", scene.payload(holder=ended), "shop"), Reason.DID_DEACTIVATED)
    scene.refuse(build_attribute_call("request", scene.payload(verifier=ended), "ended"), Reason.DID_DEACTIVATED)


# Limits


def test_one_verifier_does_not_fill_a_holders_places(scene):
    for _ in range(OPEN_BETWEEN_MAX - 1):
        scene.request(heights=100)
    first = scene.request(heights=1)
    scene.refuse(build_attribute_call("request", scene.payload(), "shop"), Reason.ATTRIBUTE_REQUESTS_LIMIT)
    scene.request()  # the one that waited only for a block has expired
    assert first not in [each.request_id for each in scene.record(scene.holder).open_received]
    scene.refuse(build_attribute_call("request", scene.payload(), "shop"), Reason.ATTRIBUTE_REQUESTS_LIMIT)


def test_an_answer_makes_place(scene):
    requests = [scene.request() for _ in range(OPEN_BETWEEN_MAX)]
    scene.refuse(build_attribute_call("request", scene.payload(), "shop"), Reason.ATTRIBUTE_REQUESTS_LIMIT)
    scene.accept(build_attribute_call("refuse", scene.by_holder(requests[1]), "alice"))
    kept = [requests[0], *requests[2:]]
    assert [each.request_id for each in scene.record(scene.holder).open_received] == kept
    assert [each.request_id for each in scene.record(scene.verifier).open_sent] == kept
    scene.request()


def test_so_many_wait_for_one_holder(scene):
    for number in range(OPEN_RECEIVED_MAX // OPEN_BETWEEN_MAX):
        verifier = scene.dids.create(f"shop{number}")
        for _ in range(OPEN_BETWEEN_MAX):
            scene.request(verifier=verifier, signer=f"shop{number}", heights=1_000)
    scene.refuse(build_attribute_call("request", scene.payload(), "shop"), Reason.ATTRIBUTE_REQUESTS_LIMIT)
    scene.pass_blocks(1_000)
    scene.request()
    assert len(scene.record(scene.holder).open_received) == 1


def test_so_many_of_one_verifier_wait(scene):
    holders = [scene.dids.create(f"holder{number}") for number in range(OPEN_SENT_MAX // OPEN_BETWEEN_MAX)]
    for holder in holders * OPEN_BETWEEN_MAX:
        scene.request(holder=holder, heights=1_000)
    scene.refuse(build_attribute_call("request", scene.payload(), "shop"), Reason.ATTRIBUTE_REQUESTS_LIMIT)
    scene.pass_blocks(1_000)
    scene.request()
    assert len(scene.record(scene.verifier).open_sent) == 1


def test_what_waits_is_paid_for_by_whoever_adds_to_it(scene):
    used = []
    for _ in range(3):
        call = build_attribute_call("request", scene.payload(), "shop")
        used.append(scene.dids.accept(call).gas_used)
    entry_bytes = len(encode(scene.record(scene.holder).open_received[0]))
    assert [after - before for before, after in pairwise(used)] == [2 * entry_bytes] * 2  # on both sides


def test_a_new_owner_of_a_car_ends_consents_of_the_former(scene):
    owner, buyer = (scene.holder, "alice"), scene.dids.create("bob")
    car = scene.dids.create("car", kind=DidKind.VEHICLE, owner=scene.holder, signers=["car", owner])
    request_id = scene.request(holder=car)
    scene.accept(build_attribute_call("approve", replace(scene.approval(request_id), did=car), owner))
    scene.dids.accept(build_call(scene.dids.transfer(car, buyer), owner, (buyer, "bob")))
    withdrawal = replace(scene.by_holder(request_id), did=car)
    scene.refuse(build_attribute_call("withdraw_consent", withdrawal, owner), Reason.DID_FOREIGN_SIGNER)
    scene.accept(build_attribute_call("withdraw_consent", withdrawal, (buyer, "bob")))


# Answering


def test_an_approval_gives_sealed_values_that_the_verifier_opens_and_checks(scene):
    request_id = scene.request("adult", "city")
    before = scene.find(request_id)
    payload = scene.approval(request_id, ["adult", "city"])
    events = scene.accept(build_attribute_call("approve", payload, "alice"))
    assert events == [("AttributesApproved", [scene.holder, scene.verifier, request_id])]
    found = scene.find(request_id)
    assert found == replace(before, state=RequestState.APPROVED, answers=payload.answers)
    assert [open_attribute(each.sealed, ANSWER_SECRET) for each in found.answers] == [(b"yes", SALT)] * 2
    assert (scene.record(scene.holder).open_received, scene.record(scene.verifier).open_sent) == ((), ())


def test_a_refusal_gives_nothing(scene):
    request_id = scene.request()
    before = scene.find(request_id)
    events = scene.accept(build_attribute_call("refuse", scene.by_holder(request_id), "alice"))
    assert events == [("AttributesRefused", [scene.holder, scene.verifier, request_id])]
    assert scene.find(request_id) == replace(before, state=RequestState.REFUSED)


@pytest.mark.parametrize("call", ["approve", "refuse"])
def test_only_the_holder_answers(scene, call):
    request_id = scene.request()
    payload = scene.approval(request_id) if call == "approve" else scene.by_holder(request_id)
    scene.refuse(build_attribute_call(call, payload, "thief"), Reason.DID_UNKNOWN_KEY)
    scene.refuse(build_attribute_call(call, payload, (scene.verifier, "shop")), Reason.DID_FOREIGN_SIGNER)
    as_verifier = replace(payload, did=scene.verifier)
    scene.refuse(build_attribute_call(call, as_verifier, "shop"), Reason.ATTRIBUTE_UNKNOWN_REQUEST)
    foreign = compute_signing_domain("another-chain", bytes(32))
    scene.refuse(build_attribute_call(call, payload, "alice", domain=foreign), Reason.DID_BAD_SIGNATURE)


def test_a_refusal_is_no_withdrawal_and_the_other_way_round(scene):
    request_id = scene.request()
    payload = scene.by_holder(request_id)
    other = build_attribute_call("refuse", payload, "alice", purpose="withdraw_consent")
    scene.refuse(other, Reason.DID_BAD_SIGNATURE)
    scene.accept(build_attribute_call("approve", scene.approval(request_id), "alice"))
    other = build_attribute_call("withdraw_consent", payload, "alice", purpose="refuse")
    scene.refuse(other, Reason.DID_BAD_SIGNATURE)


def test_a_holder_of_several_keys_answers_by_its_own_rule(scene):
    holder = scene.dids.create("family", control=control_of("a", "b", threshold=2), signers=["a", "b"])
    request_id = scene.request(holder=holder)
    payload = replace(scene.approval(request_id), did=holder)
    scene.refuse(build_attribute_call("approve", payload, "a"), Reason.DID_NOT_AUTHORISED)
    scene.accept(build_attribute_call("approve", payload, "a", "b"))


def test_the_owner_answers_for_a_car(scene):
    owner = (scene.holder, "alice")
    car = scene.dids.create("car", kind=DidKind.VEHICLE, owner=scene.holder, signers=["car", owner])
    request_id = scene.request(holder=car)
    payload = replace(scene.approval(request_id), did=car)
    scene.accept(build_attribute_call("approve", payload, owner))


def test_nobody_answers_what_was_not_asked(scene):
    for call, payload in [
        ("approve", scene.approval(b"\1" * 32)),
        ("refuse", scene.by_holder(b"\1" * 32)),
        ("withdraw_consent", scene.by_holder(b"\1" * 32)),
    ]:
        scene.refuse(build_attribute_call(call, payload, "alice"), Reason.ATTRIBUTE_UNKNOWN_REQUEST)


@pytest.mark.parametrize("first", ["approve", "refuse"])
@pytest.mark.parametrize("second", ["approve", "refuse"])
def test_a_request_is_answered_once(scene, first, second):
    request_id = scene.request()
    calls = {
        "approve": build_attribute_call("approve", scene.approval(request_id), "alice"),
        "refuse": build_attribute_call("refuse", scene.by_holder(request_id), "alice"),
    }
    scene.accept(calls[first])
    scene.refuse(calls[second], Reason.ATTRIBUTE_ANSWERED)


def test_an_approval_is_not_for_another_request(scene):
    first, second = scene.request(), scene.request()
    approved = build_attribute_call("approve", scene.approval(first), "alice")
    moved = replace(approved, arguments=[[scene.holder, second, approved.arguments[0][2]], approved.arguments[1]])
    scene.refuse(moved, Reason.DID_BAD_SIGNATURE)
    scene.accept(approved)


@pytest.mark.parametrize("names", [(), ("adult",), ("city", "adult"), ("adult", "born"), ("adult", "born", "city")])
def test_an_approval_gives_exactly_what_was_asked_for(scene, names):
    request_id = scene.request("adult", "city")
    call = build_attribute_call("approve", scene.approval(request_id, names), "alice")
    scene.refuse(call, Reason.ATTRIBUTE_BAD_ANSWER)


def test_what_is_too_short_to_be_sealed_is_refused(scene):
    request_id = scene.request()
    plain = replace(build_answer("adult"), sealed=b"x" * (SEALED_BYTES_MIN - 1))
    payload = replace(scene.approval(request_id), answers=(plain,))
    scene.refuse(build_attribute_call("approve", payload, "alice"), Reason.BAD_ARGUMENTS)


@pytest.mark.parametrize("call", ["approve", "refuse"])
def test_an_answer_may_come_with_the_last_height_and_not_after_it(scene, call):
    in_time, late = scene.request(heights=3), scene.request(heights=2)
    build = scene.approval if call == "approve" else scene.by_holder
    scene.pass_blocks(1)
    scene.accept(build_attribute_call(call, build(in_time), "alice"))
    scene.refuse(build_attribute_call(call, build(late), "alice"), Reason.ATTRIBUTE_EXPIRED)
    assert scene.find(late).state is RequestState.EXPIRED


def test_a_request_is_shown_as_expired_once_its_last_height_is_final(scene):
    request_id = scene.request(heights=2)
    states = []
    for _ in range(3):
        states.append(scene.find(request_id).state)
        scene.pass_blocks(1)
    assert states == [RequestState.OPEN, RequestState.OPEN, RequestState.EXPIRED]


def test_a_holder_that_has_ended_answers_nothing(scene):
    approved, waiting = scene.request(), scene.request()
    scene.accept(build_attribute_call("approve", scene.approval(approved), "alice"))
    scene.deactivate(scene.holder, "alice")
    for call, payload in [
        ("approve", scene.approval(waiting)),
        ("refuse", scene.by_holder(waiting)),
        ("withdraw_consent", scene.by_holder(approved)),
    ]:
        scene.refuse(build_attribute_call(call, payload, "alice"), Reason.DID_DEACTIVATED)


def test_a_verifier_that_has_ended_gets_nothing(scene):
    request_id = scene.request()
    scene.deactivate(scene.verifier, "shop")
    call = build_attribute_call("approve", scene.approval(request_id), "alice")
    scene.refuse(call, Reason.ATTRIBUTE_VERIFIER_DEACTIVATED)
    scene.accept(build_attribute_call("refuse", scene.by_holder(request_id), "alice"))


# Consent that ends


def test_consent_is_withdrawn_and_sealed_values_leave_the_state(scene):
    request_id = scene.request()
    scene.accept(build_attribute_call("approve", scene.approval(request_id), "alice"))
    approved = scene.find(request_id)
    events = scene.accept(build_attribute_call("withdraw_consent", scene.by_holder(request_id), "alice"))
    assert events == [("ConsentWithdrawn", [scene.holder, scene.verifier, request_id])]
    assert scene.find(request_id) == replace(approved, state=RequestState.WITHDRAWN, answers=())


def test_only_the_holder_withdraws(scene):
    request_id = scene.request()
    scene.accept(build_attribute_call("approve", scene.approval(request_id), "alice"))
    payload = scene.by_holder(request_id)
    scene.refuse(build_attribute_call("withdraw_consent", payload, "thief"), Reason.DID_UNKNOWN_KEY)
    as_verifier = replace(payload, did=scene.verifier)
    call = build_attribute_call("withdraw_consent", as_verifier, "shop")
    scene.refuse(call, Reason.ATTRIBUTE_UNKNOWN_REQUEST)


def test_only_consent_in_force_is_withdrawn(scene):
    waiting, refused, approved = scene.request(), scene.request(), scene.request()
    scene.accept(build_attribute_call("refuse", scene.by_holder(refused), "alice"))
    scene.accept(build_attribute_call("approve", scene.approval(approved), "alice"))
    withdrawal = build_attribute_call("withdraw_consent", scene.by_holder(approved), "alice")
    scene.accept(withdrawal)
    for request_id in (waiting, refused, approved):
        call = build_attribute_call("withdraw_consent", scene.by_holder(request_id), "alice")
        scene.refuse(call, Reason.ATTRIBUTE_NOT_APPROVED)
    answer = build_attribute_call("approve", scene.approval(approved), "alice")
    scene.refuse(answer, Reason.ATTRIBUTE_ANSWERED)


def test_consent_is_withdrawn_after_the_request_has_ended_and_the_verifier_too(scene):
    request_id = scene.request(heights=2)
    scene.accept(build_attribute_call("approve", scene.approval(request_id), "alice"))
    scene.deactivate(scene.verifier, "shop")
    scene.pass_blocks(10)
    assert scene.find(request_id).state is RequestState.APPROVED
    scene.accept(build_attribute_call("withdraw_consent", scene.by_holder(request_id), "alice"))


# The log


def test_everything_stands_in_the_holders_log(scene):
    start = scene.dids.height
    first = scene.request()
    second = scene.request()
    scene.accept(build_attribute_call("approve", scene.approval(first), "alice"))
    scene.accept(build_attribute_call("refuse", scene.by_holder(second), "alice"))
    scene.accept(build_attribute_call("withdraw_consent", scene.by_holder(first), "alice"))
    happened = [
        (LogAction.REQUESTED, first),
        (LogAction.REQUESTED, second),
        (LogAction.APPROVED, first),
        (LogAction.REFUSED, second),
        (LogAction.WITHDRAWN, first),
    ]
    expected = [
        ListedEntry(1 + index, LogEntry(action, each, scene.verifier, start + index, (start + index) * 1_000))
        for index, (action, each) in enumerate(happened)
    ]
    assert list_log(scene.dids.state, scene.holder, 0, 50) == expected[::-1]
    assert list_log(scene.dids.state, scene.holder, 0, 2) == expected[:2:-1]
    assert list_log(scene.dids.state, scene.holder, 4, 2) == expected[2:0:-1]
    assert list_log(scene.dids.state, scene.holder, 1, 2) == []
    assert list_log(scene.dids.state, scene.verifier, 0, 2) == []


def test_the_purpose_stays_with_the_request(scene):
    assert scene.find(scene.request()).payload.purpose == PURPOSE
