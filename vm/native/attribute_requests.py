"""Requests for attributes, and what holders say to them: rules A5 to A11."""

import re
from dataclasses import dataclass, replace
from typing import Final

from identity.did import Did
from identity.keys import InvalidKeyError
from identity.multikey import check_agreement_key
from identity.signing import SigningPurpose
from ledger.codec import encode
from ledger.primitives import Height
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import attribute_received_key, attribute_sent_key
from vm.context import Context
from vm.gas import GAS_KEY_CHECK, GAS_STATE_READ
from vm.native.attribute_payloads import ApprovalPayload, RequestId, RequestIdPayload, RequestPayload
from vm.native.attribute_records import (
    OPEN_BETWEEN_MAX,
    OPEN_RECEIVED_MAX,
    OPEN_SENT_MAX,
    AttributeRequest,
    LogAction,
    LogEntry,
    OpenRequest,
    RequestState,
    append_log,
    compute_request_id,
    get_attribute_record,
    get_stored_request,
    is_expired,
    list_waiting,
    put_attribute_record,
    put_request,
    take_sequence,
)
from vm.native.attribute_tags import MODULE_NAME, check_name
from vm.native.did_control import check_did_signatures
from vm.native.did_payloads import DidSignatures
from vm.native.did_records import get_active_did, get_did_record

_UNREADABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Control characters, and those that are invisible or turn the direction of writing: written out, because what a
language runtime calls printable changes with its version."""
REQUEST_HEIGHTS_MAX: Final = 604_800  # a week of blocks of one second: whoever has not looked by then will not


@dataclass(frozen=True, slots=True)
class Request:
    """Ask a holder for attributes, as a verifier."""

    payload: RequestPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class Approve:
    """Give a verifier what it has asked for, sealed, as the holder."""

    payload: ApprovalPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class Refuse:
    """Give a verifier nothing, as the holder."""

    payload: RequestIdPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class WithdrawConsent:
    """End the consent to a request that was approved, as the holder."""

    payload: RequestIdPayload
    signatures: DidSignatures


def apply_request(state: State, context: Context, call: Request) -> None:
    """Rules A2, A3 and A5 to A7."""
    given, verifier, height = call.payload, call.payload.did, context.block.height
    check_did_signatures(state, context, verifier, SigningPurpose.ATTRIBUTE_REQUEST, encode(given), call.signatures)
    sender = take_sequence(get_attribute_record(state, verifier), given.sequence)
    _check_request(context, given)
    context.gas.charge(GAS_STATE_READ)
    get_active_did(state, given.holder)
    receiver = get_attribute_record(state, given.holder)
    received = list_waiting(receiver.open_received, height)
    sent = list_waiting(sender.open_sent, height)
    between = sum(each.other == verifier for each in received)
    if len(received) >= OPEN_RECEIVED_MAX or len(sent) >= OPEN_SENT_MAX or between >= OPEN_BETWEEN_MAX:
        raise Rejected(
            Reason.ATTRIBUTE_REQUESTS_LIMIT,
            f"open requests: {len(received)} of {OPEN_RECEIVED_MAX} wait for the holder, {len(sent)} of "
            f"{OPEN_SENT_MAX} are the verifier's, {between} of {OPEN_BETWEEN_MAX} are between the two",
        )
    request_id = compute_request_id(given)
    put_request(
        state, request_id, AttributeRequest(given, RequestState.OPEN, height, context.block.time_ms, answers=())
    )
    sender = replace(
        sender,
        sent=sender.sent + 1,
        open_sent=(*sent, OpenRequest(request_id, given.holder, given.expiry_height)),
    )
    receiver = replace(
        receiver,
        received=receiver.received + 1,
        open_received=(*received, OpenRequest(request_id, verifier, given.expiry_height)),
    )
    state.put(attribute_sent_key(verifier, sender.sent), request_id)
    state.put(attribute_received_key(given.holder, receiver.received), request_id)
    receiver = append_log(state, given.holder, receiver, _build_entry(context, LogAction.REQUESTED, request_id, given))
    put_attribute_record(state, context, verifier, sender)
    put_attribute_record(state, context, given.holder, receiver)
    context.emit(MODULE_NAME, "AttributesRequested", given.holder, verifier, request_id, given.expiry_height)


def apply_approve(state: State, context: Context, call: Approve) -> None:
    """Rules A8 to A10."""
    given = call.payload
    request = _get_open_request(state, context, given.did, given.request_id)
    check_did_signatures(state, context, given.did, SigningPurpose.ATTRIBUTE_APPROVAL, encode(given), call.signatures)
    verifier = get_did_record(state, request.payload.did)
    if verifier is None or verifier.is_deactivated:
        raise Rejected(Reason.ATTRIBUTE_VERIFIER_DEACTIVATED, "the verifier is deactivated, which is final")
    if tuple(each.name for each in given.answers) != request.payload.names:
        raise Rejected(Reason.ATTRIBUTE_BAD_ANSWER, "an answer gives exactly what was asked for, in the same order")
    answered = replace(request, state=RequestState.APPROVED, answers=given.answers)
    _close(state, context, given.request_id, answered, LogAction.APPROVED)
    context.emit(MODULE_NAME, "AttributesApproved", given.did, request.payload.did, given.request_id)


def apply_refuse(state: State, context: Context, call: Refuse) -> None:
    """Rules A8 and A9."""
    given = call.payload
    request = _get_open_request(state, context, given.did, given.request_id)
    check_did_signatures(state, context, given.did, SigningPurpose.ATTRIBUTE_REFUSAL, encode(given), call.signatures)
    _close(state, context, given.request_id, replace(request, state=RequestState.REFUSED), LogAction.REFUSED)
    context.emit(MODULE_NAME, "AttributesRefused", given.did, request.payload.did, given.request_id)


def apply_withdraw_consent(state: State, context: Context, call: WithdrawConsent) -> None:
    """Rules A8 and A11."""
    given = call.payload
    request = _get_request_to(state, given.did, given.request_id)
    check_did_signatures(state, context, given.did, SigningPurpose.ATTRIBUTE_WITHDRAWAL, encode(given), call.signatures)
    if request.state is not RequestState.APPROVED:
        raise Rejected(Reason.ATTRIBUTE_NOT_APPROVED, f"the request is {request.state.name.lower()}: no consent to end")
    put_request(state, given.request_id, replace(request, state=RequestState.WITHDRAWN, answers=()))
    entry = _build_entry(context, LogAction.WITHDRAWN, given.request_id, request.payload)
    record = append_log(state, given.did, get_attribute_record(state, given.did), entry)
    put_attribute_record(state, context, given.did, record)
    context.emit(MODULE_NAME, "ConsentWithdrawn", given.did, request.payload.did, given.request_id)


def _check_request(context: Context, given: RequestPayload) -> None:
    """Rules A3, A5 and A6; raises Rejected."""
    for name in given.names:
        check_name(name)
    if list(given.names) != sorted(set(given.names)):
        raise Rejected(Reason.ATTRIBUTE_BAD_REQUEST, "names stand in order, each once")
    if _UNREADABLE.search(given.purpose) or given.purpose != given.purpose.strip(" "):
        raise Rejected(Reason.ATTRIBUTE_BAD_REQUEST, "a purpose is one line of text that people read")
    if given.holder == given.did:
        raise Rejected(Reason.ATTRIBUTE_BAD_REQUEST, "nobody asks itself")
    context.gas.charge(GAS_KEY_CHECK)
    try:
        check_agreement_key(given.answer_key)
    except InvalidKeyError as error:
        raise Rejected(Reason.ATTRIBUTE_BAD_REQUEST, str(error)) from None
    height = context.block.height
    if not height < given.expiry_height <= height + REQUEST_HEIGHTS_MAX:
        raise Rejected(
            Reason.ATTRIBUTE_BAD_EXPIRY,
            f"in block {height} a request may end from {height + 1} to {height + REQUEST_HEIGHTS_MAX}",
            height=height,
        )


def _get_request_to(state: StateReader, holder: Did, request_id: RequestId) -> AttributeRequest:
    """A request to this holder; raises Rejected."""
    request = get_stored_request(state, request_id)
    if request.payload.holder != holder:
        raise Rejected(Reason.ATTRIBUTE_UNKNOWN_REQUEST, "the request is to somebody else")
    return request


def _get_open_request(state: StateReader, context: Context, holder: Did, request_id: RequestId) -> AttributeRequest:
    """Rule A9: one that waits for this holder's answer; raises Rejected."""
    request = _get_request_to(state, holder, request_id)
    if request.state is not RequestState.OPEN:
        raise Rejected(Reason.ATTRIBUTE_ANSWERED, f"the request is {request.state.name.lower()} already")
    if is_expired(request, context.block.height):
        raise Rejected(
            Reason.ATTRIBUTE_EXPIRED,
            f"the request could be answered up to height {request.payload.expiry_height}",
            expiry_height=request.payload.expiry_height,
        )
    return request


def _close(
    state: State, context: Context, request_id: RequestId, answered: AttributeRequest, action: LogAction
) -> None:
    """Write an answer, free the request's place on both sides, and put it into the holder's log."""
    given, height = answered.payload, context.block.height
    put_request(state, request_id, answered)
    receiver = get_attribute_record(state, given.holder)
    receiver = replace(receiver, open_received=_without(receiver.open_received, request_id, height))
    receiver = append_log(state, given.holder, receiver, _build_entry(context, action, request_id, given))
    put_attribute_record(state, context, given.holder, receiver)
    sender = get_attribute_record(state, given.did)
    put_attribute_record(
        state, context, given.did, replace(sender, open_sent=_without(sender.open_sent, request_id, height))
    )


def _without(requests: tuple[OpenRequest, ...], request_id: RequestId, height: Height) -> tuple[OpenRequest, ...]:
    return tuple(each for each in list_waiting(requests, height) if each.request_id != request_id)


def _build_entry(context: Context, action: LogAction, request_id: RequestId, given: RequestPayload) -> LogEntry:
    return LogEntry(action, request_id, given.did, context.block.height, context.block.time_ms)
