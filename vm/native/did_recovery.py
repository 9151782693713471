"""Recovery by guardians: enough of them ask, the holder may object for a while, then anybody completes it."""

from dataclasses import dataclass, replace

from identity.did import Did
from identity.signing import SigningPurpose
from ledger.codec import encode
from ledger.primitives import Height
from ledger.reasons import Reason, Rejected
from ledger.state import State
from vm.context import Context
from vm.native.did_control import check_agreed, check_signatures, get_party
from vm.native.did_operations import check_recovered, get_present
from vm.native.did_payloads import ControlPayload, DidSignatures, VersionPayload
from vm.native.did_records import (
    Controllers,
    DidOperation,
    Recovery,
    VersionId,
    get_active_did,
    get_recovery,
    put_next_version,
    put_recovery,
)


@dataclass(frozen=True, slots=True)
class RequestRecovery:
    """Guardians ask for new keys of an identity whose holder has lost its own."""

    payload: ControlPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class ObjectToRecovery:
    """The holder, who has not lost them, ends the request."""

    payload: VersionPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class CompleteRecovery:
    """Give an identity the keys its guardians asked for, once the time to object is over."""

    did: Did


@dataclass(frozen=True, slots=True)
class RecoveryRequested:
    """Guardians have asked for a recovery; the holder may object below this height."""

    did: Did
    previous: VersionId
    due_height: Height


def apply_request_recovery(state: State, context: Context, call: RequestRecovery) -> None:
    """Rules D3 to D5, D7, D8 and D11."""
    given = call.payload
    record = get_present(state, given.did, given.previous)
    check_signatures(context, SigningPurpose.DID_RECOVERY_REQUEST, encode(given), call.signatures)
    content = record.current.content
    guardians = content.control.guardians
    if guardians is None:
        raise Rejected(Reason.DID_NO_COMMITMENT, "the identity has no guardians")
    if get_recovery(state, given.did) is not None:
        raise Rejected(Reason.DID_RECOVERY_PENDING, "a recovery of this identity waits already")
    policy = check_recovered(state, context, given.did, content, given.control)
    asked = Controllers(guardians.dids, guardians.threshold)
    check_agreed(state, context, [(given.did, asked), (given.did, policy)], call.signatures)
    due_height = Height(context.block.height + context.block.parameters.recovery_delay_heights)
    put_recovery(state, given.did, Recovery(given.previous, due_height, given.control))
    context.emit("did", RecoveryRequested.__name__, given.did, given.previous, due_height)


def apply_object_to_recovery(state: State, context: Context, call: ObjectToRecovery) -> None:
    """Rules D8 and D11; the version it makes says the same as the one before."""
    given = call.payload
    record = get_present(state, given.did, given.previous)
    check_signatures(context, SigningPurpose.DID_OBJECTION, encode(given), call.signatures)
    if get_recovery(state, given.did) is None:
        raise Rejected(Reason.DID_NO_RECOVERY, "no recovery of this identity waits")
    check_agreed(state, context, [get_party(state, context, given.did)], call.signatures)
    content, account = record.current.content, record.account
    put_next_version(state, context, given.did, record, DidOperation.OBJECT, encode(given), content, account=account)


def apply_complete_recovery(state: State, context: Context, call: CompleteRecovery) -> None:
    """Rule D11; anybody may send it."""
    record = get_active_did(state, call.did)
    recovery = get_recovery(state, call.did)
    if recovery is None:
        raise Rejected(Reason.DID_NO_RECOVERY, "no recovery of this identity waits")
    assert recovery.previous == record.current.version_id, "a new version ends what waits"
    if context.block.height < recovery.due_height:
        raise Rejected(
            Reason.DID_RECOVERY_NOT_DUE,
            f"the holder may object below height {recovery.due_height}",
            due_height=recovery.due_height,
        )
    payload = encode(ControlPayload(call.did, recovery.previous, recovery.control))
    content = replace(record.current.content, control=recovery.control)
    operation = DidOperation.RECOVER_BY_GUARDIANS
    put_next_version(state, context, call.did, record, operation, payload, content, account=None)
