"""What `carlive did credential verify` checks, in this order; the first check that fails is told by name and reason.

| check     | what                                                                                              |
|-----------|---------------------------------------------------------------------------------------------------|
| form      | the text is a presentation within all limits, and names the key it was signed with                |
| issuer    | the chain has the issuer, it is active, and the key stands in `assertionMethod` of its document   |
| signature | the key signed, and every disclosure is one that it signed                                        |
| time      | the credential holds now                                                                          |
| holder    | the proof is of the holder's key, for this audience and nonce; the key is still the holder's      |
| expected  | issuer and type are those that the verifier has named                                             |
| status    | each list of that number has the hash that the chain has, and no 1 at the credential's index      |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from identity.address import NetworkKind
from identity.credentials.jwk import parse_jwk
from identity.credentials.reasons import CredentialError, CredentialReason
from identity.credentials.sd_jwt import KeyBindingDemand, read_key_id
from identity.credentials.sd_jwt_vc import VerifiedCredential, parse_key_id, verify_credential
from identity.credentials.status_list import StatusList, StatusPurpose, compute_status_list_hash, get_status
from identity.did import Did, format_did
from identity.keys import PublicKey
from identity.multikey import format_multikey
from node.cli.did_signing import fetch_record
from node.cli.signing import ChainFacts
from node.status_lists import PUBLISHED_FILE_BYTES_MAX, parse_published
from rpc import calls
from rpc.client import Client
from rpc.errors import ErrorCode, RpcError
from rpc.json_codec import parse_hex
from vm.native.credentials import StatusPurpose as AnchoredPurpose

FETCH_SECONDS_MAX: Final = 10.0
_FETCHED_SCHEMES: Final = ("http://", "https://")
_CHECK_OF_REASON: Final = {
    CredentialReason.BAD_SIGNATURE: "signature",
    CredentialReason.BAD_DISCLOSURE: "signature",
    CredentialReason.ALGORITHM_REFUSED: "signature",
    CredentialReason.EXPIRED: "time",
    CredentialReason.NOT_YET_VALID: "time",
}
"""All others are about the form."""


class CheckFailedError(Exception):
    """A presentation is refused; the message says why, without the holder's data."""

    def __init__(self, check: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.check = check
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a verifier wants to see."""

    demand: KeyBindingDemand | None
    """None: the holder looks at what he received."""
    issuer: Did | None = None
    kind: str | None = None
    status_files: Sequence[Path] = ()
    """Copies of the published lists; what is not there is fetched from its address."""
    at_height: int | None = None
    """What the status was after this block; None: what it is."""


@dataclass(frozen=True, slots=True)
class StatusFinding:
    """An entry that was looked up."""

    purpose: StatusPurpose
    version: int
    height: int
    """Of the block that anchored the version."""


@dataclass(slots=True)
class Verification:
    """What is known up to now; whoever catches a CheckFailedError still sees how far it went."""

    passed: list[str] = field(default_factory=list)
    credential: VerifiedCredential | None = None
    statuses: list[StatusFinding] = field(default_factory=list)


def verify_presentation(
    client: Client, facts: ChainFacts, text: str, expected: Expectation, now_s: int, verification: Verification
) -> None:
    """Fill in `verification`; raises CheckFailedError, and what a client raises."""
    did, name = _check_form(text, facts.network)
    verification.passed.append("form")
    key = _check_issuer(client, facts, did, name)
    verification.passed.append("issuer")
    credential = _check_signed(text, facts.network, key, now_s)
    verification.passed += ["signature", "time"]
    if expected.demand is not None:
        _check_holder(client, facts, text, key, expected.demand, now_s)
        verification.passed.append("holder")
    verification.credential = credential
    _check_expected(credential, expected)
    verification.passed.append("expected")
    if credential.status is not None:
        _check_status(client, facts, credential, expected, verification.statuses)
        verification.passed.append("status")


def _check_form(text: str, network: NetworkKind) -> tuple[Did, str]:
    """The issuer and the name of the key that is said to have signed."""
    try:
        key_id = read_key_id(text)
        if key_id is None:
            raise CredentialError(CredentialReason.MALFORMED, "the credential does not name the key it is signed with")
        return parse_key_id(key_id, network)
    except CredentialError as error:
        raise CheckFailedError("form", error.reason.value, str(error)) from None


def _check_issuer(client: Client, facts: ChainFacts, did: Did, name: str) -> PublicKey:
    document = _resolve(client, facts, did, "issuer")
    text = format_did(did, facts.network)
    if f"{text}#{name}" not in document.get("assertionMethod", []):
        raise CheckFailedError(
            "issuer", "key_not_in_assertion_method", f"{text} does not attest with the key {name} now"
        )
    return _get_key(client, facts, did, name)


def _check_signed(text: str, network: NetworkKind, key: PublicKey, now_s: int) -> VerifiedCredential:
    """The issuer's part alone, so that what fails here is not the holder's doing."""
    try:
        return verify_credential(text[: text.rfind("~") + 1], network, lambda *_: key, now_s, None)
    except CredentialError as error:
        raise CheckFailedError(_CHECK_OF_REASON.get(error.reason, "form"), error.reason.value, str(error)) from None


def _check_holder(
    client: Client, facts: ChainFacts, text: str, issuer_key: PublicKey, demand: KeyBindingDemand, now_s: int
) -> None:
    try:
        credential = verify_credential(text, facts.network, lambda *_: issuer_key, now_s, demand)
        confirmation = credential.claims["cnf"]
        assert isinstance(confirmation, dict), "the holder's proof was checked with it"
        holder_key = parse_jwk(confirmation["jwk"])
    except CredentialError as error:
        raise CheckFailedError("holder", error.reason.value, str(error)) from None
    if credential.holder is None:
        return
    name = f"{format_did(credential.holder, facts.network)}#{format_multikey(holder_key)}"
    if name not in _resolve(client, facts, credential.holder, "holder").get("authentication", []):
        raise CheckFailedError("holder", "key_not_in_authentication", f"{name} is no key of the holder now")


def _check_expected(credential: VerifiedCredential, expected: Expectation) -> None:
    if expected.issuer is not None and credential.issuer != expected.issuer:
        raise CheckFailedError("expected", "other_issuer", "the credential is of another issuer than the one expected")
    if expected.kind is not None and credential.kind != expected.kind:
        raise CheckFailedError(
            "expected", "other_type", f"the credential is of the type {credential.kind}, not {expected.kind}"
        )


def _check_status(
    client: Client,
    facts: ChainFacts,
    credential: VerifiedCredential,
    expected: Expectation,
    found: list[StatusFinding],
) -> None:
    """All lists of the number to which the credential's address leads: revocation, and suspension if there is one."""
    reference = credential.status
    assert reference is not None, "asked for credentials with a status"
    issuer = format_did(credential.issuer, facts.network)
    listed = _fetch_listed(client, issuer, reference.list_uri, expected.at_height)
    if not any(each["purpose"] == AnchoredPurpose[reference.purpose.name] for each in listed):
        raise CheckFailedError(
            "status", "not_anchored", f"the issuer has anchored no list for {reference.list_uri} at that height"
        )
    files = _read_files(expected.status_files)
    for each in listed:
        purpose, current = StatusPurpose[AnchoredPurpose(each["purpose"]).name], each["current"]
        status_list = files.get(purpose) or _fetch_published(current["uri"], purpose)
        if compute_status_list_hash(status_list) != parse_hex(current["listHash"]):
            raise CheckFailedError(
                "status",
                "hash_mismatch",
                f"the list for {purpose.value} is not the one that the chain has: an older one, or not the issuer's",
            )
        try:
            is_set = get_status(status_list, reference.index)
        except CredentialError as error:
            raise CheckFailedError("status", error.reason.value, str(error)) from None
        found.append(StatusFinding(purpose, current["version"], current["height"]))
        if is_set:
            word = "revoked" if purpose is StatusPurpose.REVOCATION else "suspended"
            raise CheckFailedError("status", word, f"the issuer has {word} the credential")


def _resolve(client: Client, facts: ChainFacts, did: Did, check: str) -> Mapping[str, Any]:
    """The document of an identity that is there and active."""
    text = format_did(did, facts.network)
    try:
        resolution = client.run(calls.did_resolve(text))
    except RpcError as error:
        if error.code is not ErrorCode.NOT_FOUND:
            raise
        raise CheckFailedError(check, f"unknown_{check}", f"the chain knows no identity {text}") from None
    document: Mapping[str, Any] | None = resolution.model_dump(mode="json", by_alias=True)["didDocument"]
    if document is None:
        raise CheckFailedError(check, f"{check}_deactivated", f"{text} is deactivated")
    return document


def _get_key(client: Client, facts: ChainFacts, did: Did, name: str) -> PublicKey:
    """The key whose Multikey text the document has."""
    policy = fetch_record(client, facts, did).current.content.control.keys.policy
    keys = () if policy is None else policy.keys
    key = next((each.public_key for each in keys if format_multikey(each.public_key) == name), None)
    if key is None:
        raise CheckFailedError("issuer", "key_not_in_assertion_method", f"the issuer has no key {name} now")
    return key


def _fetch_listed(client: Client, issuer: str, uri: str, at_height: int | None) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = client.run(
        calls.module_view("credentials", "find_status_list", {"issuer": issuer, "uri": uri})
    ).value
    if at_height is None or not listed:
        return listed
    arguments = {"issuer": issuer, "number": listed[0]["number"], "height": at_height}
    earlier: list[dict[str, Any]] = client.run(calls.module_view("credentials", "status_list_at", arguments)).value
    return earlier


def _read_files(paths: Sequence[Path]) -> dict[StatusPurpose, StatusList]:
    found = {}
    for path in paths:
        with path.open("rb") as file:
            status_list, purpose = _parse(file.read(PUBLISHED_FILE_BYTES_MAX + 1), str(path))
        found[purpose] = status_list
    return found


def _fetch_published(uri: str, purpose: StatusPurpose) -> StatusList:
    """From the address that the chain has, which the issuer's key has signed."""
    if not uri.startswith(_FETCHED_SCHEMES):
        raise CheckFailedError(
            "status", "list_unavailable", f"{uri} is no web address: give a copy of the list for {purpose.value}"
        )
    try:
        with urlopen(uri, timeout=FETCH_SECONDS_MAX) as answer:  # noqa: S310  # of the web, as looked at above
            content: bytes = answer.read(PUBLISHED_FILE_BYTES_MAX + 1)
    except (OSError, HTTPException, ValueError) as error:
        raise CheckFailedError("status", "list_unavailable", f"{uri}: {error}") from None
    status_list, found = _parse(content, uri)
    if found is not purpose:
        raise CheckFailedError("status", "wrong_purpose", f"{uri} is a list for {found.value}, not {purpose.value}")
    return status_list


def _parse(content: bytes, place: str) -> tuple[StatusList, StatusPurpose]:
    try:
        if len(content) > PUBLISHED_FILE_BYTES_MAX:
            raise CredentialError(CredentialReason.LIMIT_EXCEEDED, "it is larger than a status list may be")
        return parse_published(content)
    except CredentialError as error:
        raise CheckFailedError("status", error.reason.value, f"{place}: {error}") from None
