"""`GET /1.0/identifiers/{did}`: the HTTP binding of W3C DID Resolution 1.0, which universal resolvers speak."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import structlog
from aiohttp import web

from rpc.dereferencing import PARAMETERS_MAX, URI_LIST_TYPE, Dereferenced, dereference, is_did_url
from rpc.errors import ErrorCode, RpcError
from rpc.json_codec import dump_json
from rpc.resolution import DOCUMENT_TYPE, Problem, ResolutionError, Resolved, resolve
from rpc.session import Session

IDENTIFIERS_PATH: Final = "/1.0/identifiers/"
IDENTIFIER_CHARACTERS_MAX: Final = 2_048  # of a DID URL, whose service may have a long reference
RESULT_TYPE: Final = "application/did-resolution"
URL_RESULT_TYPE: Final = "application/did-url-dereferencing"
_DOCUMENT_TYPES: Final = (DOCUMENT_TYPE, "application/did+json", "application/did+ld+json", "application/json")
"""Representations of a document; all are the same JSON, whose @context plain JSON readers ignore."""
ACCEPT_RANGES_MAX: Final = 32
_THOUSANDTHS: Final = 1_000

_log = structlog.get_logger("rpc")
_HEADERS: Final = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back over HTTP."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str]


async def serve_identifier(request: web.BaseRequest, session: Session) -> web.Response:
    """Answer one request; whatever happens, the body is one of the standard's."""
    raw = request.rel_url.raw_path.removeprefix(IDENTIFIERS_PATH)
    accept = ",".join(request.headers.getall("Accept", []))
    answer = await answer_identifier(session, raw, request.rel_url.raw_query_string, accept)
    response = web.Response(
        status=answer.status, body=answer.body, content_type=answer.content_type, headers={**_HEADERS, **answer.headers}
    )
    if answer.status == Problem.INVALID_DID.status:
        response.force_close()  # what follows on this connection is not to be trusted either
    return response


async def answer_identifier(session: Session, raw: str, raw_query: str, accept: str) -> Answer:
    """The answer to a path, a query and a header, all as they came."""
    is_url = False
    try:
        text, options = _read_request(raw, raw_query)
        is_url = is_did_url(text)
        content_type = choose_type(accept, is_url=is_url)
        network = session.backend.network

        def read() -> Answer:
            with session.open_state("final") as state:
                if is_url:
                    return _answer_url(dereference(state, network, text, options), content_type)
                return _answer_did(resolve(state, network, text, options), content_type)

        return await session.read(read)
    except ResolutionError as error:
        return _answer_error(error, is_url=is_url)
    except RpcError as error:
        busy = ResolutionError(Problem.INTERNAL_ERROR, error.detail or error.reason)
        is_passing = error.is_retryable or error.code is ErrorCode.LIMIT
        status, headers = (503, {"Retry-After": "1"}) if is_passing else (Problem.INTERNAL_ERROR.status, {})
        return _answer_error(busy, is_url=is_url, status=status, headers=headers)
    except Exception as error:
        error_id = secrets.token_hex(8)
        _log.error("resolution failed", error_id=error_id, exc_info=error)
        return _answer_error(ResolutionError(Problem.INTERNAL_ERROR, f"it was logged as {error_id}"), is_url=is_url)


def choose_type(accept: str, *, is_url: bool) -> str:
    """The media type to answer with (RFC 9110, 12.5.1), by default the whole result; raises ResolutionError."""
    offered = [URL_RESULT_TYPE, URI_LIST_TYPE] if is_url else [RESULT_TYPE]
    offered[1:1] = _DOCUMENT_TYPES
    if not accept.strip():
        return offered[0]
    ranges = accept.split(",")
    if len(ranges) > ACCEPT_RANGES_MAX:
        raise ResolutionError(Problem.REPRESENTATION_NOT_SUPPORTED, f"name at most {ACCEPT_RANGES_MAX} media types")
    weighed = [_read_range(each) for each in ranges]
    best = max(offered, key=lambda each: _weigh(each, weighed))  # the first of equals
    if _weigh(best, weighed) == 0:
        raise ResolutionError(Problem.REPRESENTATION_NOT_SUPPORTED, f"there are: {', '.join(offered)}")
    return best


def _read_request(raw: str, raw_query: str) -> tuple[str, dict[str, str]]:
    """The identifier and the options; raises ResolutionError. Percent-encoding is undone once."""
    try:
        text = unquote(raw, errors="strict")
        pairs = parse_qsl(
            raw_query.replace("+", "%2B"),  # a plus sign is itself in the offset of a time
            keep_blank_values=True,
            strict_parsing=bool(raw_query),
            max_num_fields=PARAMETERS_MAX,
            errors="strict",
        )
    except ValueError:
        raise ResolutionError(Problem.INVALID_OPTIONS, "path or query are not encoded as URLs are") from None
    options = dict(pairs)
    if len(options) != len(pairs):
        raise ResolutionError(Problem.INVALID_OPTIONS, "an option stands twice")
    if len(text) > IDENTIFIER_CHARACTERS_MAX:
        raise ResolutionError(Problem.INVALID_DID, f"at most {IDENTIFIER_CHARACTERS_MAX} characters")
    services = {name: options.pop(name) for name in ("service", "serviceType", "relativeRef") if name in options}
    if services and not is_did_url(text):  # a DID URL whose query was not encoded: the standard's own example
        text += "?" + raw_query
        options.clear()
    return text, options


def _answer_did(resolved: Resolved, content_type: str) -> Answer:
    status = 410 if resolved.is_deactivated else 200
    if content_type in _DOCUMENT_TYPES and resolved.document is not None:
        return Answer(status, content_type, dump_json(resolved.document), {})
    result = {
        "didDocument": resolved.document,
        "didResolutionMetadata": resolved.resolution_metadata,
        "didDocumentMetadata": resolved.document_metadata,
    }
    return Answer(status, RESULT_TYPE, dump_json(result), {})


def _answer_url(found: Dereferenced, content_type: str) -> Answer:
    if content_type == URI_LIST_TYPE:
        if not found.endpoints:
            raise ResolutionError(Problem.REPRESENTATION_NOT_SUPPORTED, "the DID URL names no service")
        return Answer(303, URI_LIST_TYPE, b"", {"Location": found.endpoints[0]})
    status = 410 if found.metadata.get("deactivated") is True else 200
    if content_type in _DOCUMENT_TYPES and found.content is not None:
        return Answer(status, content_type, dump_json(found.content), {})
    result = {
        "content": found.content,
        "dereferencingMetadata": {} if found.content is None else {"contentType": DOCUMENT_TYPE},
        "contentMetadata": found.metadata,
    }
    return Answer(status, URL_RESULT_TYPE, dump_json(result), {})


def _answer_error(
    error: ResolutionError, *, is_url: bool, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    names = ("content", "dereferencingMetadata", "contentMetadata")
    if not is_url:
        names = ("didDocument", "didResolutionMetadata", "didDocumentMetadata")
    body: dict[str, Any] = dict(zip(names, (None, {"error": error.to_json()}, {}), strict=True))
    kind = URL_RESULT_TYPE if is_url else RESULT_TYPE
    return Answer(status or error.problem.status, kind, dump_json(body), headers or {})


_Range = tuple[str, int]
"""A media range in lower case without parameters, and its weight in thousandths."""


def _read_range(text: str) -> _Range:
    """A range that cannot be read weighs nothing."""
    name, *parameters = [part.strip().lower() for part in text.split(";")]
    weight = next((part.removeprefix("q=") for part in parameters if part.startswith("q=")), "1")
    whole, _, fraction = weight.partition(".")
    if whole not in ("0", "1") or not (fraction == "" or fraction.isdecimal()) or len(fraction) > 3:
        return name, 0
    return name, min(_THOUSANDTHS, int(whole) * _THOUSANDTHS + int(fraction.ljust(3, "0")))


def _weigh(offered: str, ranges: Sequence[_Range]) -> int:
    """By the most specific range that takes it."""
    kind = offered.partition("/")[0]
    for name in (offered, f"{kind}/*", "*/*"):
        weights = [weight for each, weight in ranges if each == name]
        if weights:
            return max(weights)
    return 0
