"""DID resolution by W3C DID Resolution 1.0: from a DID to its document, or to one of the standard's errors.

A version that is asked for by id or time comes with its document also when the identity has ended since; the metadata
then says `deactivated`. Times are whole seconds: the version in force at the end of the second is meant.
"""

import re
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique
from typing import Any, Final

from identity.address import NetworkKind
from identity.did import DID_METHOD, Did, InvalidDidError, parse_did_of_any_network
from ledger.state import StateReader
from rpc.did_documents import build_did_document, build_did_metadata
from rpc.json_codec import parse_hex
from vm.native.did_records import (
    DidRecord,
    DidVersion,
    VersionId,
    find_did_version,
    find_did_version_at,
    get_did_record,
    get_did_version,
)

DOCUMENT_TYPE: Final = "application/did"
_ERROR_BASE: Final = "https://www.w3.org/ns/did#"
_VERSION_ID_BYTES: Final = 32
_DATETIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)
_DID: Final = re.compile(  # DID Core, 3.1
    r"did:(?P<method>[a-z0-9]+):(?:(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2})*:)*(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2})+", re.ASCII
)


@unique
class Problem(Enum):
    """Why there is no document: name in the standard, HTTP status, words for people."""

    INVALID_DID = 400, "This is not a DID of this method."
    INVALID_DID_URL = 400, "This is not a DID URL."
    INVALID_OPTIONS = 400, "An option of the resolution is not valid."
    NOT_FOUND = 404, "There is no such identity, or no such version or part of it."
    REPRESENTATION_NOT_SUPPORTED = 406, "The document does not come in this form."
    METHOD_NOT_SUPPORTED = 501, "This resolver knows the method iov only."
    FEATURE_NOT_SUPPORTED = 501, "This resolver does not do that."
    INTERNAL_ERROR = 500, "The resolver has failed."

    @property
    def status(self) -> int:
        """HTTP status code by the standard's table."""
        return self.value[0]

    @property
    def title(self) -> str:
        """A short sentence."""
        return self.value[1]


class ResolutionError(Exception):
    """A DID cannot be resolved."""

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(f"{problem.name}: {detail}")
        self.problem = problem
        self.detail = detail

    def to_json(self) -> dict[str, Any]:
        """The error object (RFC 9457)."""
        return {"type": _ERROR_BASE + self.problem.name, "title": self.problem.title, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a DID leads to."""

    document: dict[str, Any] | None
    """None for an identity that has ended, unless a version was asked for."""
    document_metadata: dict[str, Any]

    @property
    def is_deactivated(self) -> bool:
        """Whether the identity has ended."""
        return self.document_metadata.get("deactivated") is True

    @property
    def resolution_metadata(self) -> dict[str, Any]:
        """About the resolution itself."""
        return {} if self.document is None else {"contentType": DOCUMENT_TYPE}


@dataclass(frozen=True, slots=True)
class VersionChoice:
    """Which version is asked for; the present one by default."""

    version_id: VersionId | None = None
    time_ms: int | None = None


def resolve(state: StateReader, network: NetworkKind, text: str, options: Mapping[str, str]) -> Resolved:
    """The document of a DID and its metadata; raises ResolutionError."""
    did, own_network = parse_resolvable(text)
    choice = parse_choice(options)
    record = get_did_record(state, did) if own_network is network else None
    version = None if record is None else _find_version(state, did, record, choice)
    if record is None or version is None:
        what = "identity" if record is None else "version of this identity"
        raise ResolutionError(Problem.NOT_FOUND, f"the {network.name.lower()} has no such {what}")
    is_present = version.number == record.current.number
    successor = None if is_present else get_did_version(state, did, version.number + 1)
    metadata = build_did_metadata(did, record, version, successor, network)
    has_ended = is_present and record.is_deactivated
    return Resolved(None if has_ended else build_did_document(did, version, network), metadata)


def parse_resolvable(text: str) -> tuple[Did, NetworkKind]:
    """A DID of this method, of whichever network; raises ResolutionError."""
    match = _DID.fullmatch(text)
    if match is None:
        raise ResolutionError(Problem.INVALID_DID, "the text does not have the form of a DID")
    if match["method"] != DID_METHOD:
        raise ResolutionError(Problem.METHOD_NOT_SUPPORTED, f"the method is {match['method'][:32]}")
    try:
        return parse_did_of_any_network(text)
    except InvalidDidError as error:
        raise ResolutionError(Problem.INVALID_DID, str(error)) from None


def parse_choice(options: Mapping[str, str]) -> VersionChoice:
    """Which version the options want; raises ResolutionError. Every other option must change nothing here."""
    for name, value in options.items():
        if name in ("noCache", "expandRelativeUrls"):  # answers are never cached, and all URLs are absolute
            if value not in ("true", "false"):
                raise ResolutionError(Problem.INVALID_OPTIONS, f"{name} is true or false")
        elif name not in ("versionId", "versionTime"):
            raise ResolutionError(Problem.FEATURE_NOT_SUPPORTED, "there is no such option of the resolution")
    version_id, time = options.get("versionId"), options.get("versionTime")
    if version_id is not None and time is not None:
        raise ResolutionError(Problem.INVALID_OPTIONS, "say either versionId or versionTime")
    if version_id is not None:
        return VersionChoice(version_id=parse_version_id(version_id))
    return VersionChoice(time_ms=None if time is None else parse_version_time(time))


def parse_version_id(text: str) -> VersionId:
    """A version's id; raises ResolutionError."""
    try:
        version_id = parse_hex(text)
    except ValueError as error:
        raise ResolutionError(Problem.INVALID_OPTIONS, f"versionId: {error}") from None
    if len(version_id) != _VERSION_ID_BYTES:
        raise ResolutionError(Problem.INVALID_OPTIONS, f"versionId has {_VERSION_ID_BYTES} bytes")
    return VersionId(version_id)


def parse_version_time(text: str) -> int:
    """The last millisecond of a second; raises ResolutionError."""
    try:
        if not _DATETIME.fullmatch(text):
            raise ValueError
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        advice = "versionTime is a time in UTC without a fraction of a second, for instance 2026-05-10T17:00:00Z"
        raise ResolutionError(Problem.INVALID_OPTIONS, advice) from None
    return timegm(moment.timetuple()) * 1000 + 999


def _find_version(state: StateReader, did: Did, record: DidRecord, choice: VersionChoice) -> DidVersion | None:
    if choice.version_id is not None:
        return find_did_version(state, did, choice.version_id)
    if choice.time_ms is not None:
        return find_did_version_at(state, did, choice.time_ms)
    return record.current
