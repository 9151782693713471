"""What the state holds for attributes of identities; the rules stand in vm/native/attributes.py.

| key                              | value                                                            |
|----------------------------------|------------------------------------------------------------------|
| attributes_key(did)              | AttributeRecord: sequence, counts, open requests                 |
| attribute_tag_key(did, name)     | Tag                                                              |
| attribute_request_key(id)        | AttributeRequest                                                 |
| attribute_received_key(did, n)   | id of the n-th request that a holder was sent                    |
| attribute_sent_key(did, n)       | id of the n-th request that a verifier sent                      |
| attribute_log_key(did, n)        | LogEntry, the n-th of a holder                                   |

Nothing is written when a request expires: its state follows from the height, and whoever needs its place takes it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, unique
from hashlib import sha256
from typing import Annotated, Final

from annotated_types import Interval, Len

from identity.did import Did
from ledger.codec import decode, encode
from ledger.primitives import Height, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import (
    attribute_log_key,
    attribute_received_key,
    attribute_request_key,
    attribute_sent_key,
    attribute_tag_key,
    attribute_tag_prefix,
    attributes_key,
)
from vm.context import Context
from vm.gas import GAS_BYTE
from vm.native.attribute_payloads import (
    SEQUENCE_MAX,
    Answers,
    RequestId,
    RequestPayload,
    Tag,
)

TAGS_MAX: Final = 64  # of one identity; the view of all of them is one answer
OPEN_RECEIVED_MAX: Final = 32  # requests that wait for one holder: more than a person answers
OPEN_SENT_MAX: Final = 128  # requests of one verifier that wait
OPEN_BETWEEN_MAX: Final = 4  # of one verifier to one holder, so that one alone does not fill the holder's places
REQUESTS_SCANNED_MAX: Final = 200  # records that one question reads, each up to 12 kB
_COUNT_MAX: Final = 2**32 - 1  # one a block for centuries
_REQUEST_DOMAIN: Final = b"carlive attribute request\0"

Count = Annotated[int, Interval(ge=0, le=_COUNT_MAX)]


@unique
class RequestState(IntEnum):
    """What has become of a request; wire number, never reused."""

    OPEN = 1
    APPROVED = 2
    REFUSED = 3
    WITHDRAWN = 4
    """It was approved, and the consent has ended."""
    EXPIRED = 5
    """Nobody answered in time; never stored, it follows from the height."""


@unique
class LogAction(IntEnum):
    """What happened to a holder's attributes; wire number, never reused."""

    REQUESTED = 1
    APPROVED = 2
    REFUSED = 3
    WITHDRAWN = 4


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request that waits, as both sides count it."""

    request_id: RequestId
    other: Did
    """The verifier in a holder's record, the holder in a verifier's."""
    expiry_height: Height


@dataclass(frozen=True, slots=True)
class AttributeRecord:
    """What an identity has in tags and requests."""

    sequence: Annotated[int, Interval(ge=0, le=SEQUENCE_MAX)]
    """The sequence of what it signs next."""
    tags: Annotated[int, Interval(ge=0, le=TAGS_MAX)]
    received: Count
    sent: Count
    logged: Count
    open_received: Annotated[tuple[OpenRequest, ...], Len(0, OPEN_RECEIVED_MAX)]
    """In the order they came; those that have expired may still stand here."""
    open_sent: Annotated[tuple[OpenRequest, ...], Len(0, OPEN_SENT_MAX)]


NO_ATTRIBUTES: Final = AttributeRecord(0, 0, 0, 0, 0, (), ())


@dataclass(frozen=True, slots=True)
class AttributeRequest:
    """A request, and what has become of it."""

    payload: RequestPayload
    state: RequestState
    height: Height
    time_ms: TimeMs
    """Time of the block with the request."""
    answers: Answers
    """Of an approval that is in force."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One thing that happened to a holder's attributes."""

    action: LogAction
    request_id: RequestId
    verifier: Did
    height: Height
    time_ms: TimeMs


@dataclass(frozen=True, slots=True)
class ListedRequest:
    """A request in a list."""

    number: int
    """In the list of that identity, from 1."""
    request_id: RequestId
    request: AttributeRequest


@dataclass(frozen=True, slots=True)
class ListedEntry:
    """An entry of a holder's log."""

    number: int
    entry: LogEntry


def compute_request_id(payload: RequestPayload) -> RequestId:
    """SHA-256 of the canonical payload; the verifier's sequence in it makes it unique on a chain."""
    return RequestId(sha256(_REQUEST_DOMAIN + encode(payload)).digest())


def get_attribute_record(state: StateReader, did: Did) -> AttributeRecord:
    """What an identity has in tags and requests; one that has never had any has nothing."""
    encoded = state.get(attributes_key(did))
    return NO_ATTRIBUTES if encoded is None else decode(AttributeRecord, encoded)


def put_attribute_record(state: State, context: Context, did: Did, record: AttributeRecord) -> None:
    """Replace it; charges its bytes, which grow with what waits."""
    encoded = encode(record)
    context.gas.charge(GAS_BYTE * len(encoded))
    state.put(attributes_key(did), encoded)


def take_sequence(record: AttributeRecord, sequence: int) -> AttributeRecord:
    """Rule A2: the record after an operation that was signed for this sequence; raises Rejected."""
    if sequence != record.sequence:
        raise Rejected(
            Reason.ATTRIBUTE_SEQUENCE,
            f"the identity's sequence is {record.sequence}, this was signed for {sequence}",
            expected=record.sequence,
        )
    assert sequence < SEQUENCE_MAX, "no chain has so many blocks"
    return replace(record, sequence=sequence + 1)


def get_tag(state: StateReader, did: Did, name: str) -> Tag | None:
    """A tag by its name."""
    encoded = state.get(attribute_tag_key(did, name))
    return None if encoded is None else decode(Tag, encoded)


def put_tag(state: State, did: Did, tag: Tag) -> None:
    """Set or replace a tag."""
    state.put(attribute_tag_key(did, tag.name), encode(tag))


def delete_tag(state: State, did: Did, name: str) -> None:
    """Remove a tag."""
    state.delete(attribute_tag_key(did, name))


def list_tags(state: StateReader, did: Did) -> list[Tag]:
    """All tags of an identity, in order of their names: at most TAGS_MAX."""
    return [decode(Tag, encoded) for _, encoded in state.iterate_prefix(attribute_tag_prefix(did))]


def get_stored_request(state: StateReader, request_id: RequestId) -> AttributeRequest:
    """A request as it was last written; raises Rejected."""
    encoded = state.get(attribute_request_key(request_id))
    if encoded is None:
        raise Rejected(Reason.ATTRIBUTE_UNKNOWN_REQUEST, "the chain knows no such request")
    return decode(AttributeRequest, encoded)


def put_request(state: State, request_id: RequestId, request: AttributeRequest) -> None:
    """Write a request."""
    state.put(attribute_request_key(request_id), encode(request))


def is_expired(request: AttributeRequest, height: int) -> bool:
    """Whether nobody can answer it at a height because it is too late."""
    return request.state is RequestState.OPEN and height > request.payload.expiry_height


def find_request(state: StateReader, request_id: RequestId, height: int) -> AttributeRequest | None:
    """A request as it stands once a block of that height is final."""
    encoded = state.get(attribute_request_key(request_id))
    return None if encoded is None else _as_of(decode(AttributeRequest, encoded), height)


def list_waiting(requests: Sequence[OpenRequest], height: int) -> tuple[OpenRequest, ...]:
    """Those that can still be answered at a height."""
    return tuple(each for each in requests if height <= each.expiry_height)


def iterate_received(state: StateReader, holder: Did, before: int, height: int) -> Iterator[ListedRequest]:
    """Requests that a holder was sent, below a number, the newest first; 0 begins with the newest."""
    count = get_attribute_record(state, holder).received
    return _iterate(state, lambda number: attribute_received_key(holder, number), count, before, height)


def iterate_sent(state: StateReader, verifier: Did, before: int, height: int) -> Iterator[ListedRequest]:
    """The same for those that a verifier sent."""
    count = get_attribute_record(state, verifier).sent
    return _iterate(state, lambda number: attribute_sent_key(verifier, number), count, before, height)


def append_log(state: State, holder: Did, record: AttributeRecord, entry: LogEntry) -> AttributeRecord:
    """Put an entry into a holder's log; returns the record that counts it."""
    number = record.logged + 1
    state.put(attribute_log_key(holder, number), encode(entry))
    return replace(record, logged=number)


def list_requests(
    found: Iterator[ListedRequest], wanted: RequestState | None, limit: int
) -> tuple[list[ListedRequest], int | None]:
    """At most `limit` requests in one state, None: in any; and below which number to go on, None at the end.

    Looks at REQUESTS_SCANNED_MAX of them, so a page may be short, or empty, and yet not the last.
    """
    listed: list[ListedRequest] = []
    for scanned, each in enumerate(found, 1):
        if wanted is None or each.request.state is wanted:
            listed.append(each)
        if len(listed) == limit or scanned == REQUESTS_SCANNED_MAX:
            return listed, each.number if each.number > 1 else None
    return listed, None


def list_log(state: StateReader, holder: Did, before: int, limit: int) -> list[ListedEntry]:
    """Entries of a holder's log below a number, the newest first; 0 begins with the newest."""
    count = get_attribute_record(state, holder).logged
    newest = _get_newest(count, before)
    found = []
    for number in range(newest, max(0, newest - limit), -1):
        encoded = state.get(attribute_log_key(holder, number))
        assert encoded is not None, "the log is kept"
        found.append(ListedEntry(number, decode(LogEntry, encoded)))
    return found


def _iterate(
    state: StateReader, build_key: Callable[[int], bytes], count: int, before: int, height: int
) -> Iterator[ListedRequest]:
    for number in range(_get_newest(count, before), 0, -1):
        found = state.get(build_key(number))
        assert found is not None, "requests are kept"
        request_id = RequestId(found)
        yield ListedRequest(number, request_id, _as_of(get_stored_request(state, request_id), height))


def _get_newest(count: int, before: int) -> int:
    return count if before == 0 else min(before - 1, count)


def _as_of(request: AttributeRequest, height: int) -> AttributeRequest:
    """The next block is the first that could hold an answer: a request whose last height is final has expired."""
    return replace(request, state=RequestState.EXPIRED) if is_expired(request, height + 1) else request
