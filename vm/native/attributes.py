"""What identities tell about themselves: tags of their own, and answers to those who ask (docs/identity.md).

Payloads stand in attribute_payloads.py, what the state holds in attribute_records.py. As with identities themselves,
whoever sends a transaction and pays for it has no say in it: the keys of identities sign the operations.

Rules
* A1 Tags are their holder's: an active identity sets and removes its own, signed by the authority in force.
* A2 Tags and requests are signed for the identity's sequence, which goes on by one with each: nothing is used twice.
* A3 A name is one to 64 lower-case characters with one spelling. An identity has at most 64 tags.
* A4 A plain value is text; an encrypted one is longer than what encryption adds. A commitment is as the holder likes.
* A5 An active verifier asks an active holder, who is another, for up to 16 names in order, each once, and says why in
  one readable line, and for which X25519 key to seal the answer.
* A6 A request ends at a height after its block, at most REQUEST_HEIGHTS_MAX later; then it is expired, by itself.
* A7 At most 32 requests wait for one holder, 4 of them by the same verifier, and at most 128 of one verifier wait.
* A8 Only the holder answers: an active identity, signed by the authority in force, which for a person alone is a key of
  the person's device. The signature is for this request, whose name is the hash of all that was asked.
* A9 A request is answered once, up to its last height, and by approval only while the verifier is active.
* A10 An approval gives exactly what was asked for. Each value is sealed for the request's key and committed to; nothing
  on the chain reads it.
* A11 Consent that was given can be withdrawn, once and for good: the request stays listed as withdrawn, and the sealed
  values leave the state. What the verifier has read, and the chain's past, stay as they are.
* A12 Request, approval, refusal and withdrawal each stand in the holder's log, for ever.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from identity.did import Did
from identity.signing import SigningPurpose
from ledger.primitives import Height
from ledger.state import StateReader
from vm.context import Moment
from vm.gas import GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.attribute_payloads import (
    ApprovalPayload,
    RequestId,
    RequestIdPayload,
    RequestPayload,
    Tag,
    TagPayload,
    TagRemovalPayload,
)
from vm.native.attribute_records import (
    AttributeRecord,
    AttributeRequest,
    ListedEntry,
    ListedRequest,
    RequestState,
    find_request,
    get_attribute_record,
    iterate_received,
    iterate_sent,
    list_log,
    list_requests,
    list_tags,
)
from vm.native.attribute_requests import (
    Approve,
    Refuse,
    Request,
    WithdrawConsent,
    apply_approve,
    apply_refuse,
    apply_request,
    apply_withdraw_consent,
)
from vm.native.attribute_tags import (
    MODULE_NAME,
    RemoveTag,
    SetTag,
    apply_remove_tag,
    apply_set_tag,
)
from vm.native.did import SignedCall
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule

REQUESTS_PAGE: Final = 20  # with answers up to 12 kB each
LOG_PAGE: Final = 50
_GAS_TAG: Final = 2 * GAS_STATE_WRITE + 2 * GAS_STATE_READ
_GAS_REQUEST: Final = 6 * GAS_STATE_WRITE + 3 * GAS_STATE_READ
_GAS_ANSWER: Final = 4 * GAS_STATE_WRITE + 4 * GAS_STATE_READ
_GAS_WITHDRAWAL: Final = 3 * GAS_STATE_WRITE + 2 * GAS_STATE_READ
"""Records that each writes and reads; the authority's are charged as they are looked up."""


@dataclass(frozen=True, slots=True)
class TagSet:
    """An identity has a tag, new or changed."""

    did: Did
    name: str


@dataclass(frozen=True, slots=True)
class TagRemoved:
    """An identity has a tag no more."""

    did: Did
    name: str


@dataclass(frozen=True, slots=True)
class AttributesRequested:
    """A holder has been asked: the holder's wallet shows it."""

    holder: Did
    verifier: Did
    request_id: RequestId
    expiry_height: Height


@dataclass(frozen=True, slots=True)
class AttributesApproved:
    """A verifier has its answer."""

    holder: Did
    verifier: Did
    request_id: RequestId


@dataclass(frozen=True, slots=True)
class AttributesRefused:
    """A verifier gets nothing."""

    holder: Did
    verifier: Did
    request_id: RequestId


@dataclass(frozen=True, slots=True)
class ConsentWithdrawn:
    """A consent has ended: whoever used the answer stops."""

    holder: Did
    verifier: Did
    request_id: RequestId


@dataclass(frozen=True, slots=True)
class RequestPage:
    """Requests, the newest first."""

    requests: tuple[ListedRequest, ...]
    next_before: int | None
    """Where the next page begins; None on the last one."""


def answer_record(state: StateReader, _: Moment, did: Did) -> AttributeRecord:
    """The view of an identity's sequence, counts and open requests."""
    return get_attribute_record(state, did)


def answer_tags(state: StateReader, _: Moment, did: Did) -> list[Tag]:
    """The view of all tags of an identity."""
    return list_tags(state, did)


def answer_request(state: StateReader, moment: Moment, request_id: RequestId) -> AttributeRequest | None:
    """The view of one request."""
    return find_request(state, request_id, moment.height)


def answer_requests(
    state: StateReader, moment: Moment, did: Did, wanted: RequestState | None, before: int
) -> RequestPage:
    """The view of requests that a holder was sent, at most REQUESTS_PAGE."""
    listed, following = list_requests(iterate_received(state, did, before, moment.height), wanted, REQUESTS_PAGE)
    return RequestPage(tuple(listed), following)


def answer_sent_requests(
    state: StateReader, moment: Moment, did: Did, wanted: RequestState | None, before: int
) -> RequestPage:
    """The view of requests that a verifier sent, at most REQUESTS_PAGE."""
    listed, following = list_requests(iterate_sent(state, did, before, moment.height), wanted, REQUESTS_PAGE)
    return RequestPage(tuple(listed), following)


def answer_log(state: StateReader, _: Moment, did: Did, before: int) -> list[ListedEntry]:
    """The view of at most LOG_PAGE entries of a holder's log, the newest first."""
    return list_log(state, did, before, LOG_PAGE)


SIGNED_CALLS: Final[Mapping[str, SignedCall]] = {
    "set_tag": SignedCall(SetTag, TagPayload, SigningPurpose.ATTRIBUTE_TAG),
    "remove_tag": SignedCall(RemoveTag, TagRemovalPayload, SigningPurpose.ATTRIBUTE_TAG_REMOVAL),
    "request": SignedCall(Request, RequestPayload, SigningPurpose.ATTRIBUTE_REQUEST),
    "approve": SignedCall(Approve, ApprovalPayload, SigningPurpose.ATTRIBUTE_APPROVAL),
    "refuse": SignedCall(Refuse, RequestIdPayload, SigningPurpose.ATTRIBUTE_REFUSAL),
    "withdraw_consent": SignedCall(WithdrawConsent, RequestIdPayload, SigningPurpose.ATTRIBUTE_WITHDRAWAL),
}
"""For whoever makes signatures: wallets, commands, tests."""


def _rule(name: str, apply: Callable[..., None], gas: int) -> CallRule:
    words = f"{gas} + signatures and bytes of open requests, {GAS_STATE_READ} for each identity looked up"
    return CallRule(name, SIGNED_CALLS[name].arguments, apply, lambda _: gas, words)


_CALLS: Final[tuple[tuple[Any, ...], ...]] = (
    ("set_tag", apply_set_tag, _GAS_TAG),
    ("remove_tag", apply_remove_tag, _GAS_TAG),
    ("request", apply_request, _GAS_REQUEST),
    ("approve", apply_approve, _GAS_ANSWER),
    ("refuse", apply_refuse, _GAS_ANSWER),
    ("withdraw_consent", apply_withdraw_consent, _GAS_WITHDRAWAL),
)

_EVENTS: Final = (TagSet, TagRemoved, AttributesRequested, AttributesApproved, AttributesRefused, ConsentWithdrawn)
_LIST: Final = (("did", Did), ("state", RequestState | None), ("before", int))

MODULE = ModuleRule(
    name=MODULE_NAME,
    summary="Tags of identities, and attributes that holders give to those who ask",
    calls=tuple(_rule(*call) for call in _CALLS),
    events=tuple(map(EventRule, _EVENTS)),
    views=(
        ViewRule("record", (("did", Did),), answer_record),
        ViewRule("tags", (("did", Did),), answer_tags),
        ViewRule("request", (("request_id", RequestId),), answer_request),
        ViewRule("requests", _LIST, answer_requests),
        ViewRule("sent_requests", _LIST, answer_sent_requests),
        ViewRule("log", (("did", Did), ("before", int)), answer_log),
    ),
)
