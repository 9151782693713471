"""DID URL dereferencing by W3C DID Resolution 1.0: parts of a document by fragment, and services by their names."""

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urljoin, urlsplit

from identity.address import NetworkKind
from ledger.state import StateReader
from rpc.resolution import Problem, ResolutionError, Resolved, resolve

URI_LIST_TYPE: Final = "text/uri-list"
PARAMETERS_MAX: Final = 16
_CHARACTERS: Final = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_DID_URL: Final = re.compile(
    rf"(?P<did>did:[^/?#]*)(?P<path>(?:/{_CHARACTERS}*)*)"
    rf"(?:\?(?P<query>(?:{_CHARACTERS}|[/?])*))?(?:#(?P<fragment>(?:{_CHARACTERS}|[/?])*))?",
    re.ASCII,
)
_REFERENCE: Final = re.compile(rf"(?:{_CHARACTERS}|[/?])*(?:#(?:{_CHARACTERS}|[/?])*)?", re.ASCII)
_SERVICE_PARAMETERS: Final[tuple[str, ...]] = ("service", "serviceType", "relativeRef")


@dataclass(frozen=True, slots=True)
class Dereferenced:
    """What a DID URL leads to."""

    content: dict[str, Any] | None
    """A document or a part of it; None when the identity has ended."""
    metadata: dict[str, Any]
    endpoints: tuple[str, ...] = ()
    """URLs of the services that were asked for."""


def is_did_url(text: str) -> bool:
    """Whether a text says more than a DID."""
    return any(character in text for character in "/?#")


def dereference(state: StateReader, network: NetworkKind, text: str, options: dict[str, str]) -> Dereferenced:
    """The part of a document that a DID URL names; raises ResolutionError."""
    match = _DID_URL.fullmatch(text)
    if match is None:
        raise ResolutionError(Problem.INVALID_DID_URL, "the text does not have the form of a DID URL")
    parameters = _parse_parameters(match["query"] or "")
    wanted = {name: parameters.pop(name) for name in _SERVICE_PARAMETERS if name in parameters}
    resolved = resolve(state, network, match["did"], {**options, **parameters})
    if match["path"]:
        raise ResolutionError(Problem.NOT_FOUND, "identities of this method have no paths")
    if resolved.document is None:
        return Dereferenced(None, resolved.document_metadata)
    if wanted:
        resolved, endpoints = _select_services(resolved, wanted)
        if match["fragment"] is None:
            return Dereferenced(resolved.document, resolved.document_metadata, endpoints)
    if match["fragment"] is None:
        return Dereferenced(resolved.document, resolved.document_metadata)
    return Dereferenced(_find_part(resolved, match["did"] + "#" + match["fragment"]), resolved.document_metadata)


def _parse_parameters(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=bool(query), max_num_fields=PARAMETERS_MAX
        )
    except ValueError:
        raise ResolutionError(Problem.INVALID_DID_URL, "the query is not a list of name=value") from None
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise ResolutionError(Problem.INVALID_DID_URL, "a parameter stands twice")
    return parameters


def _select_services(resolved: Resolved, wanted: dict[str, str]) -> tuple[Resolved, tuple[str, ...]]:
    """The document with the services asked for alone, and their endpoints."""
    assert resolved.document is not None, "the caller has looked"
    subject = resolved.document["id"]
    names = (wanted.get("service"), f"{subject}#{wanted.get('service', '').removeprefix('#')}")
    selected = [
        each
        for each in resolved.document.get("service", [])
        if ("service" not in wanted or each["id"] in names) and wanted.get("serviceType") in (None, each["type"])
    ]
    if not selected:
        raise ResolutionError(Problem.NOT_FOUND, "the identity has no such service")
    endpoints = _resolve_references([each["serviceEndpoint"] for each in selected], wanted.get("relativeRef", ""))
    return Resolved({**resolved.document, "service": selected}, resolved.document_metadata), endpoints


def _resolve_references(endpoints: list[str], relative: str) -> tuple[str, ...]:
    """RFC 3986, section 5; a reference never leads away from the service's own host."""
    if not _REFERENCE.fullmatch(relative):
        raise ResolutionError(Problem.INVALID_DID_URL, "relativeRef is not a relative reference")
    if not relative:
        return tuple(endpoints)
    references = [(each, urljoin(each, relative)) for each in endpoints if urlsplit(each).netloc]
    if any(urlsplit(base)[:2] != urlsplit(url)[:2] for base, url in references):
        raise ResolutionError(Problem.INVALID_DID_URL, "relativeRef leads to another host")
    return tuple(url for _, url in references)


def _find_part(resolved: Resolved, url: str) -> dict[str, Any]:
    assert resolved.document is not None, "the caller has looked"
    parts = [*resolved.document.get("verificationMethod", []), *resolved.document.get("service", [])]
    part: dict[str, Any] | None = next((each for each in parts if each["id"] == url), None)
    if part is None:
        raise ResolutionError(Problem.NOT_FOUND, "the document has no such part")
    return part
