"""Requests for attributes as a node knows them."""

from typing import TYPE_CHECKING, Any, Final

from node.cli.failures import CommandFailedError, ExitCode
from rpc import calls

if TYPE_CHECKING:
    from node.cli.signing import ChainFacts
    from rpc.client import Client
    from vm.native.attribute_records import AttributeRequest

MODULE: Final = "attributes"


def fetch_request(client: "Client", facts: "ChainFacts", request_id: bytes) -> "AttributeRequest":
    """A request as the node knows it; raises CommandFailedError."""
    from ledger.codec import from_plain
    from rpc.arguments import arguments_from_json, describe_fields
    from vm.native.attribute_records import AttributeRequest, compute_request_id

    value = client.run(calls.module_view(MODULE, "request", {"request_id": "0x" + request_id.hex()})).value
    if value is None:
        raise CommandFailedError("the chain knows no such request", ExitCode.FAILED)
    fields = describe_fields(AttributeRequest)
    found = from_plain(AttributeRequest, arguments_from_json(fields, value, facts.network))
    if compute_request_id(found.payload) != request_id:  # a key put in its place would get what is sealed
        raise CommandFailedError("the node shows another request than the one of this id")
    return found


def describe_answered_request(client: "Client", facts: "ChainFacts", payload: Any) -> dict[str, str]:
    """Of an answer, who asks for what and why: without that nobody should sign it. Of other payloads nothing."""
    from identity.did import format_did
    from vm.native.attribute_payloads import ApprovalPayload, RequestIdPayload

    if not isinstance(payload, ApprovalPayload | RequestIdPayload):
        return {}
    asked = fetch_request(client, facts, payload.request_id).payload
    return {
        "verifier": format_did(asked.did, facts.network),
        "purpose": asked.purpose,
        "attributes": ", ".join(asked.names),
    }
