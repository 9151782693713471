"""The W3C Verifiable Credentials Data Model 2.0 shape of a credential, and its claims as an SD-JWT VC has them.

One holder, one issuer, both identifiers of this network; at most one status; times in whole seconds UTC. Properties of
the data model that are not named here (evidence, termsOfUse, proof, …) are refused: nobody would check them.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from identity.address import NetworkKind
from identity.credentials.credential_json import check_json
from identity.credentials.reasons import CredentialError, CredentialReason
from identity.credentials.sd_jwt import CLOCK_SKEW_S, Claim, Disclosable
from identity.credentials.status_list import (
    StatusReference,
    format_status_claim,
    format_status_entry,
    parse_status_entry,
)
from identity.did import Did, InvalidDidError, format_did, parse_did
from identity.strict_json import Json

CONTEXT: Final = "https://www.w3.org/ns/credentials/v2"
BASE_TYPE: Final = "VerifiableCredential"
CONTEXTS_MAX: Final = 8  # with the one above; each costs a reader of linked data a document
TEXT_CHARACTERS_MAX: Final = 1_024  # of a context, a type and an id
TIME_S_MAX: Final = 253_402_300_799  # the last second of the year 9999

REGISTERED_CLAIMS: Final = frozenset(
    {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "vct", "vct#integrity", "status"}
)
"""Claims that mean something of their own in an SD-JWT VC, and therefore nothing that is said about a holder."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z")
_REQUIRED: Final = frozenset({"@context", "type", "issuer", "validFrom", "credentialSubject"})
_OPTIONAL: Final = frozenset({"id", "validUntil", "credentialStatus"})


@dataclass(frozen=True, slots=True)
class Credential:
    """What an issuer says about a holder. Build it, then `check_credential`."""

    credential_type: str
    """The second type, for instance DriverCredential."""
    issuer: Did
    holder: Did
    claims: dict[str, Json]
    """About the holder, without his id."""
    valid_from_s: int
    valid_until_s: int | None = None
    """None: until it is revoked."""
    status: StatusReference | None = None
    credential_id: str | None = None
    contexts: tuple[str, ...] = ()
    """In which the type and the claims are explained, beside W3C's own."""


def check_credential(credential: Credential) -> None:
    """The rules of the data model and of this module; raises CredentialError."""
    if not 0 <= credential.valid_from_s <= TIME_S_MAX:
        raise CredentialError(CredentialReason.BAD_CLAIM, "validFrom is a second from 1970 to 9999")
    if credential.valid_until_s is not None and not credential.valid_from_s < credential.valid_until_s <= TIME_S_MAX:
        raise CredentialError(CredentialReason.BAD_CLAIM, "validUntil is after validFrom, and before the year 10000")
    if "id" in credential.claims or not credential.claims:
        raise CredentialError(CredentialReason.BAD_CLAIM, "there is a claim, and none is called id: that is the holder")
    if not credential.credential_type or credential.credential_type == BASE_TYPE:
        raise CredentialError(CredentialReason.BAD_CLAIM, f"a credential has a type beside {BASE_TYPE}")
    if len(credential.contexts) >= CONTEXTS_MAX:
        raise CredentialError(CredentialReason.LIMIT_EXCEEDED, f"a credential has at most {CONTEXTS_MAX} contexts")
    texts = [credential.credential_type, *credential.contexts]
    if credential.credential_id is not None:
        texts.append(credential.credential_id)
    if any(not 0 < len(text) <= TEXT_CHARACTERS_MAX for text in texts):
        raise CredentialError(
            CredentialReason.LIMIT_EXCEEDED, f"types, contexts and id have 1 to {TEXT_CHARACTERS_MAX} characters"
        )
    if len({CONTEXT, *credential.contexts}) <= len(credential.contexts):
        raise CredentialError(CredentialReason.BAD_CLAIM, "a context stands twice")
    check_json(credential.claims)


def check_validity(credential: Credential, now_s: int) -> None:
    """That the credential holds now, up to the clocks' difference; raises CredentialError. Not its status."""
    if now_s < credential.valid_from_s - CLOCK_SKEW_S:
        raise CredentialError(CredentialReason.NOT_YET_VALID, "the credential does not hold yet")
    if credential.valid_until_s is not None and now_s >= credential.valid_until_s + CLOCK_SKEW_S:
        raise CredentialError(CredentialReason.EXPIRED, "the credential has ended")


def credential_to_json(credential: Credential, network: NetworkKind) -> dict[str, Json]:
    """The document of the data model; raises CredentialError."""
    check_credential(credential)
    document: dict[str, Json] = {"@context": [CONTEXT, *credential.contexts]}
    if credential.credential_id is not None:
        document["id"] = credential.credential_id
    document["type"] = [BASE_TYPE, credential.credential_type]
    document["issuer"] = format_did(credential.issuer, network)
    document["validFrom"] = format_time(credential.valid_from_s)
    if credential.valid_until_s is not None:
        document["validUntil"] = format_time(credential.valid_until_s)
    document["credentialSubject"] = {"id": format_did(credential.holder, network), **credential.claims}
    if credential.status is not None:
        document["credentialStatus"] = format_status_entry(credential.status)
    return document


def credential_from_json(value: Json, network: NetworkKind) -> Credential:
    """The credential of a document; raises CredentialError. Its time and its status are the caller's to check."""
    check_json(value)
    if type(value) is not dict or not _REQUIRED <= value.keys() <= _REQUIRED | _OPTIONAL:
        raise CredentialError(CredentialReason.MALFORMED, "a property of the credential is missing, or unknown here")
    contexts, types = _parse_texts(value["@context"]), _parse_texts(value["type"])
    if contexts[:1] != (CONTEXT,):
        raise CredentialError(CredentialReason.MALFORMED, f"the first context is {CONTEXT}")
    if len(types) != 2 or types[0] != BASE_TYPE:
        raise CredentialError(CredentialReason.MALFORMED, f"the types are {BASE_TYPE} and one of its own")
    subject = value["credentialSubject"]
    if type(subject) is not dict or "id" not in subject:
        raise CredentialError(CredentialReason.MALFORMED, "credentialSubject is one object with an id")
    credential = Credential(
        credential_type=types[1],
        issuer=_parse_did(value["issuer"], network),
        holder=_parse_did(subject["id"], network),
        claims={name: claim for name, claim in subject.items() if name != "id"},
        valid_from_s=parse_time(value["validFrom"]),
        valid_until_s=parse_time(value["validUntil"]) if "validUntil" in value else None,
        status=parse_status_entry(value["credentialStatus"]) if "credentialStatus" in value else None,
        credential_id=_parse_text(value["id"]) if "id" in value else None,
        contexts=contexts[1:],
    )
    check_credential(credential)
    return credential


def to_sd_jwt_claims(credential: Credential, vct: str, network: NetworkKind) -> dict[str, Claim]:
    """The same as claims for `sd_jwt_vc.issue_credential`: each claim about the holder is disclosable on its own.

    `vct` names the type for readers of SD-JWT VC, an address that the issuer owns. Raises CredentialError.
    """
    check_credential(credential)
    if credential.claims.keys() & REGISTERED_CLAIMS:
        raise CredentialError(CredentialReason.BAD_CLAIM, "a claim is called like one that SD-JWT VC has registered")
    claims: dict[str, Claim] = {
        "iss": format_did(credential.issuer, network),
        "sub": format_did(credential.holder, network),
        "vct": vct,
        "nbf": credential.valid_from_s,
    }
    if credential.valid_until_s is not None:
        claims["exp"] = credential.valid_until_s
    if credential.credential_id is not None:
        claims["jti"] = credential.credential_id
    if credential.status is not None:
        claims["status"] = to_claim(format_status_claim(credential.status))
    for name, value in credential.claims.items():
        claims[name] = Disclosable(to_claim(value))
    return claims


def to_claim(value: Json) -> Claim:
    """JSON as claims of which no part is disclosable on its own."""
    match value:
        case dict():
            return {name: to_claim(each) for name, each in value.items()}
        case list():
            return [to_claim(each) for each in value]
        case _:
            return value


def format_time(time_s: int) -> str:
    """Seconds since 1970 as XML Schema's dateTimeStamp in UTC, for instance 2026-11-28T00:00:00Z."""
    return (_EPOCH + timedelta(seconds=time_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(value: Json) -> int:
    """The seconds since 1970 of what `format_time` writes; raises CredentialError."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise CredentialError(CredentialReason.MALFORMED, "a time looks like 2026-11-28T00:00:00Z")
    year, month, day, hour, minute, second = map(int, match.groups())
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise CredentialError(CredentialReason.MALFORMED, "there is no such day or time") from None
    return (moment - _EPOCH) // timedelta(seconds=1)


def _parse_did(value: Json, network: NetworkKind) -> Did:
    try:
        return parse_did(_parse_text(value), network)
    except InvalidDidError as error:
        raise CredentialError(CredentialReason.MALFORMED, str(error)) from None


def _parse_text(value: Json) -> str:
    if type(value) is not str:
        raise CredentialError(CredentialReason.MALFORMED, "ids, contexts and types are text")
    return value


def _parse_texts(value: Json) -> tuple[str, ...]:
    if type(value) is not list:
        raise CredentialError(CredentialReason.MALFORMED, "@context and type are lists of text")
    return tuple(_parse_text(each) for each in value)
