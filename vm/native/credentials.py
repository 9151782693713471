"""Status lists of credentials: issuers anchor the hashes of what they publish (docs/credentials.md).

The chain holds no credential, and no hash of one. It holds for each list whose it is, what a 1 in it means, where it is
published and the hash of its bits, so a verifier takes the list from anywhere and sees whether it is the issuer's and
the newest. As with identities themselves, whoever sends a transaction and pays for it has no say in it.

| key                                                     | value                                          |
|---------------------------------------------------------|------------------------------------------------|
| status_list_key(issuer, number, purpose)                | StatusListVersion: the present one             |
| status_list_version_key(issuer, number, purpose, n)     | StatusListVersion that has a successor         |
| status_list_uri_key(issuer, SHA-256 of the address)     | StatusListName: the list it leads to            |

Rules
* C1 A list is named by its issuer, a number from 1 to LIST_NUMBER_MAX that the issuer chooses, and a purpose. Lists of
  the same number have the same entries: one credential has one index in both.
* C2 An active issuer anchors its own lists, signed by one of its own keys: those that stand in `assertionMethod` and
  sign its credentials. Thresholds count for ruling an identity, not for what it attests.
* C3 What is signed names the version, which goes on by one from 1: nothing is used twice, and nothing comes back.
* C4 A version has the hash of the list's bits, in W3C's order (`compute_status_list_hash`), and an address.
* C5 An address is a URI in its normal form. Once it has led to a list it leads to no other of that issuer: credentials
  name their list by it. A list may move to another address, and is found by all it has had.
* C6 All versions are kept with their heights, also when the issuer has ended: what held at a height can be asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, unique
from hashlib import sha256
from typing import Annotated, Final, NewType

from annotated_types import Interval, Len

from identity.did import Did
from identity.keys import PublicKey
from identity.signing import SigningPurpose
from ledger.codec import decode, encode
from ledger.primitives import Height, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import (
    status_list_key,
    status_list_prefix,
    status_list_uri_key,
    status_list_version_key,
    status_lists_prefix,
)
from vm.context import Context, Moment
from vm.gas import GAS_BYTE, GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.did import SignedCall
from vm.native.did_control import check_signatures, is_key_of
from vm.native.did_payloads import DidSignature
from vm.native.did_records import GAS_DID_READ, get_active_did
from vm.native.did_rules import is_normal_uri
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule

MODULE_NAME: Final = "credentials"
LIST_NUMBER_MAX: Final = 1_024  # of one issuer; with lists of 1 MiB that is eight billion credentials
STATUS_URI_CHARACTERS_MAX: Final = 256  # as endpoints of services
VERSIONS_MAX: Final = 2**32 - 1  # one a block for centuries
LISTS_PAGE: Final = 50
HISTORY_PAGE: Final = 50
GAS_ANCHOR: Final = GAS_DID_READ + 3 * GAS_STATE_WRITE + 2 * GAS_STATE_READ
"""The issuer, the present version, its address; the version before is charged by its bytes."""

ListNumber = Annotated[int, Interval(ge=1, le=LIST_NUMBER_MAX)]
ListVersion = Annotated[int, Interval(ge=1, le=VERSIONS_MAX)]
StatusUri = Annotated[str, Len(1, STATUS_URI_CHARACTERS_MAX)]
StatusListHash = NewType("StatusListHash", Annotated[bytes, Len(32, 32)])
"""SHA-256 of a list's uncompressed bits, entry 0 the highest bit of the first byte."""


@unique
class StatusPurpose(IntEnum):
    """What a 1 in a list means; wire number, never reused. W3C's words are those of identity/credentials."""

    REVOCATION = 1
    SUSPENSION = 2


@dataclass(frozen=True, slots=True)
class StatusListPayload:
    """What an issuer's key signs: the next version of a list."""

    issuer: Did
    number: ListNumber
    purpose: StatusPurpose
    version: ListVersion
    """One above the present one; 1 begins a list."""
    list_hash: StatusListHash
    uri: StatusUri


@dataclass(frozen=True, slots=True)
class AnchorStatusList:
    """Begin a status list, or say what it is from now on, by a key with which its issuer attests."""

    payload: StatusListPayload
    signature: DidSignature


@dataclass(frozen=True, slots=True)
class StatusListVersion:
    """What a list was from a height on."""

    version: ListVersion
    list_hash: StatusListHash
    uri: StatusUri
    height: Height
    time_ms: TimeMs
    """Time of the block that anchored it."""


@dataclass(frozen=True, slots=True)
class StatusListName:
    """Which of an issuer's lists."""

    number: ListNumber
    purpose: StatusPurpose


@dataclass(frozen=True, slots=True)
class ListedStatusList:
    """A list of an issuer."""

    number: int
    purpose: StatusPurpose
    current: StatusListVersion


@dataclass(frozen=True, slots=True)
class StatusListPage:
    """Lists of an issuer, in order of their numbers and purposes."""

    lists: tuple[ListedStatusList, ...]
    next_cursor: int | None
    """The number after which the next page begins; None on the last one."""


@dataclass(frozen=True, slots=True)
class StatusListAnchored:
    """An issuer has published a list, or a new version of it."""

    issuer: Did
    number: int
    purpose: StatusPurpose
    version: int
    list_hash: StatusListHash


def apply_anchor_status_list(state: State, context: Context, call: AnchorStatusList) -> None:
    """Rules C1 to C6."""
    given = call.payload
    issuer, number, purpose = given.issuer, given.number, given.purpose
    _check_signed(state, context, given, call.signature)
    present = get_status_list(state, issuer, number, purpose)
    due = 1 if present is None else present.version + 1
    if given.version != due:
        raise Rejected(Reason.STATUS_LIST_STALE, f"the list's next version is {due}", expected=due)
    _take_uri(state, given)
    if present is not None:
        archived = encode(present)
        context.gas.charge(GAS_STATE_WRITE + GAS_BYTE * len(archived))
        state.put(status_list_version_key(issuer, number, purpose, present.version), archived)
    block = context.block
    current = StatusListVersion(given.version, given.list_hash, given.uri, block.height, block.time_ms)
    state.put(status_list_key(issuer, number, purpose), encode(current))
    context.emit(MODULE_NAME, StatusListAnchored.__name__, issuer, number, int(purpose), given.version, given.list_hash)


def _check_signed(state: StateReader, context: Context, given: StatusListPayload, signature: DidSignature) -> None:
    """Rule C2; raises Rejected."""
    if signature.did != given.issuer:
        raise Rejected(Reason.DID_FOREIGN_SIGNER, "an issuer speaks for itself")
    record = get_active_did(state, given.issuer)
    check_signatures(context, SigningPurpose.STATUS_LIST_ANCHOR, encode(given), (signature,))
    key = PublicKey(signature.key_type, signature.key)
    if not is_key_of(record.current.content.control.keys.policy, key):
        raise Rejected(Reason.DID_UNKNOWN_KEY, "the key is none with which the issuer attests now")


def _take_uri(state: State, given: StatusListPayload) -> None:
    """Rule C5; raises Rejected."""
    if not is_normal_uri(given.uri):
        raise Rejected(Reason.STATUS_LIST_BAD_URI, "the address is a URI (RFC 3986) in its normal form")
    name, found = StatusListName(given.number, given.purpose), find_status_list(state, given.issuer, given.uri)
    if found is None:
        state.put(status_list_uri_key(given.issuer, sha256(given.uri.encode()).digest()), encode(name))
    elif found != name:
        raise Rejected(
            Reason.STATUS_LIST_URI_TAKEN,
            f"the address leads to list {found.number} for {found.purpose.name.lower()}",
            number=found.number,
            purpose=int(found.purpose),
        )


def get_status_list(state: StateReader, issuer: Did, number: int, purpose: StatusPurpose) -> StatusListVersion | None:
    """A list as it is now."""
    encoded = state.get(status_list_key(issuer, number, purpose))
    return None if encoded is None else decode(StatusListVersion, encoded)


def get_status_list_version(
    state: StateReader, issuer: Did, number: int, purpose: StatusPurpose, version: int
) -> StatusListVersion | None:
    """A version of a list, from 1."""
    present = get_status_list(state, issuer, number, purpose)
    if present is None or not 1 <= version <= present.version:
        return None
    return present if version == present.version else _get_former(state, issuer, number, purpose, version)


def find_status_list_at(
    state: StateReader, issuer: Did, number: int, purpose: StatusPurpose, height: int
) -> StatusListVersion | None:
    """The version in force after a block; None before the first. As many reads as the version's number has bits."""
    present = get_status_list(state, issuer, number, purpose)
    if present is None or present.height <= height:
        return present
    low, high = 0, present.version
    while high - low > 1:  # version `low` was in force then or before (0: none), `high` was not yet
        middle = (low + high) // 2
        if _get_former(state, issuer, number, purpose, middle).height <= height:
            low = middle
        else:
            high = middle
    return None if low == 0 else _get_former(state, issuer, number, purpose, low)


def find_status_list(state: StateReader, issuer: Did, uri: str) -> StatusListName | None:
    """The list that an address leads to, or has led to."""
    encoded = state.get(status_list_uri_key(issuer, sha256(uri.encode()).digest()))
    return None if encoded is None else decode(StatusListName, encoded)


def _get_former(
    state: StateReader, issuer: Did, number: int, purpose: StatusPurpose, version: int
) -> StatusListVersion:
    encoded = state.get(status_list_version_key(issuer, number, purpose, version))
    assert encoded is not None, "every version but the present one is kept"
    return decode(StatusListVersion, encoded)


def answer_status_list(state: StateReader, _: Moment, issuer: Did, number: ListNumber) -> list[ListedStatusList]:
    """The view of the lists of a number as they are now: none, or one for each purpose that has been anchored."""
    return [_read_listed(key, encoded) for key, encoded in state.iterate_prefix(status_list_prefix(issuer, number))]


def answer_status_list_at(
    state: StateReader, _: Moment, issuer: Did, number: ListNumber, height: Height
) -> list[ListedStatusList]:
    """The same as it was after the block of a height."""
    found = [(each, find_status_list_at(state, issuer, number, each, height)) for each in StatusPurpose]
    return [ListedStatusList(number, purpose, version) for purpose, version in found if version is not None]


def answer_status_lists(state: StateReader, _: Moment, issuer: Did, cursor: int) -> StatusListPage:
    """The view of the lists of an issuer with numbers above the cursor, at most LISTS_PAGE numbers; 0 begins."""
    listed: list[ListedStatusList] = []
    numbers: list[int] = []
    for key, encoded in state.iterate_prefix(status_lists_prefix(issuer)):
        each = _read_listed(key, encoded)
        if each.number <= cursor:
            continue
        if each.number not in numbers[-1:]:
            if len(numbers) == LISTS_PAGE:
                return StatusListPage(tuple(listed), numbers[-1])
            numbers.append(each.number)
        listed.append(each)
    return StatusListPage(tuple(listed), None)


def answer_find_status_list(state: StateReader, moment: Moment, issuer: Did, uri: StatusUri) -> list[ListedStatusList]:
    """The view of the lists of the number to which an address leads: all that says something about a credential."""
    found = find_status_list(state, issuer, uri)
    return [] if found is None else answer_status_list(state, moment, issuer, found.number)


def answer_history(
    state: StateReader, _: Moment, issuer: Did, number: ListNumber, purpose: StatusPurpose, before: int
) -> list[StatusListVersion]:
    """The view of at most HISTORY_PAGE versions below a number, the newest first; 0 begins with the present one."""
    present = get_status_list(state, issuer, number, purpose)
    if present is None:
        return []
    newest = present.version if before == 0 else min(before - 1, present.version)
    versions = range(newest, max(0, newest - HISTORY_PAGE), -1)
    return [
        each
        for version in versions
        if (each := get_status_list_version(state, issuer, number, purpose, version)) is not None
    ]


def _read_listed(key: bytes, encoded: bytes) -> ListedStatusList:
    """The end of a key is number, 2 bytes, and purpose, 1 byte."""
    number, purpose = int.from_bytes(key[-3:-1], "big"), StatusPurpose(key[-1])
    return ListedStatusList(number, purpose, decode(StatusListVersion, encoded))


SIGNED_CALLS: Final[Mapping[str, SignedCall]] = {
    "anchor_status_list": SignedCall(AnchorStatusList, StatusListPayload, SigningPurpose.STATUS_LIST_ANCHOR)
}
"""For whoever makes signatures: wallets, commands, tests."""

_LIST: Final = (("issuer", Did), ("number", ListNumber))

MODULE = ModuleRule(
    name=MODULE_NAME,
    summary="Status lists of credentials",
    calls=(
        CallRule(
            "anchor_status_list",
            AnchorStatusList,
            apply_anchor_status_list,
            lambda _: GAS_ANCHOR,
            f"{GAS_ANCHOR} + signature, and {GAS_STATE_WRITE} + bytes of the version before",
        ),
    ),
    events=(EventRule(StatusListAnchored),),
    views=(
        ViewRule("status_list", _LIST, answer_status_list),
        ViewRule("status_list_at", (*_LIST, ("height", Height)), answer_status_list_at),
        ViewRule("status_lists", (("issuer", Did), ("cursor", int)), answer_status_lists),
        ViewRule("find_status_list", (("issuer", Did), ("uri", StatusUri)), answer_find_status_list),
        ViewRule("history", (*_LIST, ("purpose", StatusPurpose), ("before", int)), answer_history),
    ),
)
