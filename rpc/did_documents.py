"""DID documents and their metadata (W3C DID Core 1.0 and 1.1, DID Resolution 1.0) from the records of identities.

Pure: the same record gives the same document on every node.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from identity.address import NetworkKind
from identity.did import Did, format_did
from identity.multikey import format_agreement_multikey, format_multikey
from rpc.addresses import format_address
from rpc.json_codec import format_hex
from vm.native.did_records import DidRecord, DidVersion

CONTEXT: Final = ("https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1")
"""What the words of a document mean, for JSON-LD."""


def build_did_document(did: Did, version: DidVersion, network: NetworkKind) -> dict[str, Any]:
    """The document of one version. Sets that would be empty are left out, as the standard wants it."""
    subject = format_did(did, network)
    content = version.content
    policy = content.control.keys.policy
    signing = [] if policy is None else [format_multikey(each.public_key) for each in policy.keys]
    agreeing = [format_agreement_multikey(key) for key in content.control.keys.agreement_keys]
    signing_urls = [f"{subject}#{text}" for text in signing]
    rulers = list_rulers(version, network)
    ruling_urls = [] if rulers else signing_urls
    document = {
        "@context": list(CONTEXT),
        "id": subject,
        "controller": rulers[0] if len(rulers) == 1 else rulers,
        "verificationMethod": [
            {"id": f"{subject}#{text}", "type": "Multikey", "controller": subject, "publicKeyMultibase": text}
            for text in [*signing, *agreeing]
        ],
        "authentication": signing_urls,
        "assertionMethod": signing_urls,
        "keyAgreement": [f"{subject}#{text}" for text in agreeing],
        "capabilityInvocation": ruling_urls,
        "capabilityDelegation": ruling_urls,
        "service": [
            {"id": f"{subject}#{each.name}", "type": each.service_type, "serviceEndpoint": each.endpoint}
            for each in content.services
        ],
    }
    return {name: value for name, value in document.items() if value}


def build_did_metadata(
    did: Did, record: DidRecord, version: DidVersion, successor: DidVersion | None, network: NetworkKind
) -> dict[str, Any]:
    """What is to be known of a version beside its document; `method` holds what this method alone has."""
    metadata: dict[str, Any] = {"created": format_datetime(record.created_ms)}
    if version.number > 1:
        metadata["updated"] = format_datetime(version.time_ms)
    if record.is_deactivated:
        metadata["deactivated"] = True
    metadata["versionId"] = format_hex(version.version_id)
    if successor is not None:
        metadata["nextVersionId"] = format_hex(successor.version_id)
    metadata["canonicalId"] = format_did(did, network)
    metadata["method"] = _describe_method(record, version, network)
    return metadata


def list_rulers(version: DidVersion, network: NetworkKind) -> list[str]:
    """The owner or the controllers, who rule in place of own keys."""
    content = version.content
    dids: Sequence[Did] = ()
    if content.owner is not None:
        dids = (content.owner,)
    elif content.control.controllers is not None:
        dids = content.control.controllers.dids
    return [format_did(each, network) for each in dids]


def format_datetime(time_ms: int) -> str:
    """XML Schema dateTime in UTC; milliseconds are cut off."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _describe_method(record: DidRecord, version: DidVersion, network: NetworkKind) -> dict[str, Any]:
    control = version.content.control
    described: dict[str, Any] = {
        "kind": version.content.kind.name.lower(),
        "versionNumber": version.number,
        "operation": version.operation.name.lower(),
    }
    if control.controllers is not None:
        described["controllerThreshold"] = control.controllers.threshold
    if control.keys.policy is not None:
        described["keyThreshold"] = control.keys.policy.threshold
        described["keyWeights"] = [each.weight for each in control.keys.policy.keys]
    if record.account is not None and version.number == record.current.number:
        described["account"] = format_address(record.account, network)
    return described
