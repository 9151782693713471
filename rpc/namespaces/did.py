"""did_: identities, their documents and their versions."""

from identity.did import Did, InvalidDidError, format_did, parse_did
from rpc.errors import build_error
from rpc.models import (
    AttributeAnswerView,
    AttributeRequestView,
    DidHistory,
    DidHistoryParams,
    DidRequests,
    DidRequestsParams,
    DidResolution,
    DidResolveParams,
    DidVersionView,
)
from rpc.resolution import Problem, ResolutionError
from rpc.resolution import resolve as resolve_did
from rpc.session import Session
from vm.native.attribute_records import ListedRequest, RequestState, iterate_received, iterate_sent, list_requests
from vm.native.did import list_versions
from vm.native.did_records import get_did_record

_REASONS = {
    Problem.NOT_FOUND: "DID_NOT_FOUND",
    Problem.INVALID_DID: "BAD_DID",
    Problem.METHOD_NOT_SUPPORTED: "BAD_DID",
    Problem.INVALID_OPTIONS: "INVALID_PARAMS",
}


def resolve(session: Session, params: DidResolveParams) -> DidResolution:
    """The DID document of an identity, now or in a version, with its metadata (W3C DID Resolution)."""
    options = {"versionId": params.version_id, "versionTime": params.version_time}
    given = {name: value for name, value in options.items() if value is not None}
    with session.open_state("final") as state:
        try:
            resolved = resolve_did(state, session.backend.network, params.did, given)
        except ResolutionError as error:
            raise build_error(_REASONS[error.problem], error.detail) from None
        return DidResolution(
            height=state.height,
            block_hash=state.block_hash,
            did_document=resolved.document,
            did_resolution_metadata=resolved.resolution_metadata,
            did_document_metadata=resolved.document_metadata,
        )


def get_history(session: Session, params: DidHistoryParams) -> DidHistory:
    """Versions of an identity, the newest first, a page at a time."""
    did = parse(session, params.did)
    scope = f"did:{did.hex()}"
    before = 0
    if params.cursor is not None:
        (position,) = session.decode_cursor(scope, params.cursor, (int,))
        assert isinstance(position, int)
        before = position
    with session.open_state("final") as state:
        if get_did_record(state, did) is None:
            raise build_error("DID_NOT_FOUND", "the chain knows no such identity")
        found = list_versions(state, did, before, params.limit)
        cursor = None
        if found and found[-1].number > 1:
            cursor = session.encode_cursor(scope, [found[-1].number])
        versions = [
            DidVersionView(
                number=each.number,
                version_id=each.version_id,
                operation=each.operation.name.lower(),
                height=each.height,
                time_ms=each.time_ms,
            )
            for each in found
        ]
        return DidHistory(height=state.height, block_hash=state.block_hash, versions=versions, cursor=cursor)


def list_attribute_requests(session: Session, params: DidRequestsParams) -> DidRequests:
    """Requests for attributes to an identity, or by it, the newest first, a page at a time."""
    did = parse(session, params.did)
    scope = f"did_requests:{did.hex()}:{params.role}"
    before = 0
    if params.cursor is not None:
        (position,) = session.decode_cursor(scope, params.cursor, (int,))
        assert isinstance(position, int)
        before = position
    wanted = None if params.state is None else RequestState[params.state.upper()]
    iterate = iterate_received if params.role == "holder" else iterate_sent
    with session.open_state("final") as state:
        if get_did_record(state, did) is None:
            raise build_error("DID_NOT_FOUND", "the chain knows no such identity")
        listed, following = list_requests(iterate(state, did, before, state.height), wanted, params.limit)
        return DidRequests(
            height=state.height,
            block_hash=state.block_hash,
            requests=[_build_request_view(session, each) for each in listed],
            cursor=None if following is None else session.encode_cursor(scope, [following]),
        )


def _build_request_view(session: Session, listed: ListedRequest) -> AttributeRequestView:
    request, given = listed.request, listed.request.payload
    return AttributeRequestView.model_validate(
        {
            "request_id": listed.request_id,
            "holder": format_did(given.holder, session.backend.network),
            "verifier": format_did(given.did, session.backend.network),
            "names": list(given.names),
            "purpose": given.purpose,
            "state": request.state.name.lower(),
            "height": request.height,
            "time_ms": request.time_ms,
            "expiry_height": given.expiry_height,
            "answer_key": given.answer_key,
            "answers": [
                AttributeAnswerView(name=each.name, sealed=each.sealed, commitment=each.commitment)
                for each in request.answers
            ],
        }
    )


def parse(session: Session, text: str) -> Did:
    """An identity of this network; raises RpcError BAD_DID."""
    try:
        return parse_did(text, session.backend.network)
    except InvalidDidError as error:
        raise build_error("BAD_DID", str(error)) from None
