"""What is done to identities by their keys: create, update, rotate, recover, transfer, deactivate."""

from dataclasses import dataclass, replace

from identity.did import Did, compute_did
from identity.policy import KeyPolicy
from identity.signing import SigningPurpose
from ledger.codec import encode
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import did_key
from vm.context import Context
from vm.native.did_control import Party, check_agreed, check_signatures, get_authority, get_party
from vm.native.did_payloads import (
    ControlPayload,
    CreatePayload,
    DeactivatePayload,
    DidSignatures,
    TransferPayload,
    UpdatePayload,
)
from vm.native.did_records import (
    Commitment,
    Control,
    DidContent,
    DidKeys,
    DidOperation,
    DidRecord,
    VersionId,
    compute_commitment,
    compute_version_id,
    get_active_did,
    put_first_version,
    put_next_version,
)
from vm.native.did_rules import check_control, check_keys, check_owner, check_services


@dataclass(frozen=True, slots=True)
class Create:
    """Begin an identity; its name is the hash of the payload."""

    payload: CreatePayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class Update:
    """Replace an identity's services."""

    payload: UpdatePayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class Rotate:
    """Replace an identity's keys, controllers, commitments and guardians; reveals the keys committed to."""

    payload: ControlPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class Recover:
    """The same with the recovery keys committed to, when the present ones are lost or stolen."""

    payload: ControlPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class Transfer:
    """Give a vehicle or device to another owner, who accepts it."""

    payload: TransferPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class Deactivate:
    """End an identity for good."""

    payload: DeactivatePayload
    signatures: DidSignatures


def apply_create(state: State, context: Context, call: Create) -> None:
    """Rules D1 to D7."""
    given, payload = call.payload, encode(call.payload)
    did = compute_did(payload)
    check_signatures(context, SigningPurpose.DID_CREATE, payload, call.signatures)
    content = _build_first_content(state, context, did, given)
    check_agreed(state, context, list_new_parties(did, content), call.signatures)
    put_first_version(state, context, did, content, compute_version_id(DidOperation.CREATE, payload))


def create_unsigned(state: State, context: Context, given: CreatePayload) -> Did:
    """An identity of the first state, under the same rules but D1: signatures name a chain that is not there yet."""
    payload = encode(given)
    did = compute_did(payload)
    content = _build_first_content(state, context, did, given)
    put_first_version(state, context, did, content, compute_version_id(DidOperation.CREATE, payload))
    return did


def _build_first_content(state: State, context: Context, did: Did, given: CreatePayload) -> DidContent:
    """Rules D2 to D7, signatures excepted; raises Rejected."""
    if state.get(did_key(did)) is not None:
        raise Rejected(Reason.DID_EXISTS, "this identity exists already")
    check_owner(state, context, given.kind, given.owner)
    check_control(state, context, did, given.kind, given.control)
    check_services(given.services)
    return DidContent(given.kind, given.owner, given.control, given.services)


def apply_update(state: State, context: Context, call: Update) -> None:
    """Rules D6 and D8."""
    given = call.payload
    record = get_present(state, given.did, given.previous)
    check_signatures(context, SigningPurpose.DID_UPDATE, encode(given), call.signatures)
    check_agreed(state, context, [get_party(state, context, given.did)], call.signatures)
    check_services(given.services)
    content = replace(record.current.content, services=given.services)
    put_next_version(
        state, context, given.did, record, DidOperation.UPDATE, encode(given), content, account=record.account
    )


def apply_rotate(state: State, context: Context, call: Rotate) -> None:
    """Rules D3 to D5 and D7 to D9."""
    given = call.payload
    record = get_present(state, given.did, given.previous)
    check_signatures(context, SigningPurpose.DID_ROTATE, encode(given), call.signatures)
    content = record.current.content
    if content.control.next_keys is not None:
        _check_revealed(content.control.next_keys, given.control.keys.policy)
    check_control(state, context, given.did, content.kind, given.control)
    new = replace(content, control=given.control)
    parties = [(given.did, get_authority(content)), *list_new_parties(given.did, new)]
    check_agreed(state, context, parties, call.signatures)
    put_next_version(state, context, given.did, record, DidOperation.ROTATE, encode(given), new, account=None)


def apply_recover(state: State, context: Context, call: Recover) -> None:
    """Rules D3 to D5, D7, D8 and D10."""
    given = call.payload
    record = get_present(state, given.did, given.previous)
    check_signatures(context, SigningPurpose.DID_RECOVER, encode(given), call.signatures)
    content = record.current.content
    if content.control.recovery_keys is None:
        raise Rejected(Reason.DID_NO_COMMITMENT, "the identity has committed to no recovery keys")
    _check_revealed(content.control.recovery_keys, given.control.keys.policy)
    policy = check_recovered(state, context, given.did, content, given.control)
    check_agreed(state, context, [(given.did, policy)], call.signatures)
    new = replace(content, control=given.control)
    put_next_version(state, context, given.did, record, DidOperation.RECOVER, encode(given), new, account=None)


def apply_transfer(state: State, context: Context, call: Transfer) -> None:
    """Rules D2, D8 and D12."""
    given = call.payload
    record = get_present(state, given.did, given.previous)
    check_signatures(context, SigningPurpose.DID_TRANSFER, encode(given), call.signatures)
    content = record.current.content
    check_owner(state, context, content.kind, given.owner)
    if content.owner == given.owner:
        raise Rejected(Reason.DID_BAD_OWNER, "this is its owner already")
    parties = [(given.did, get_authority(content)), get_party(state, context, given.owner)]
    check_agreed(state, context, parties, call.signatures)
    new = replace(content, owner=given.owner, services=())
    put_next_version(state, context, given.did, record, DidOperation.TRANSFER, encode(given), new, account=None)


def apply_deactivate(state: State, context: Context, call: Deactivate) -> None:
    """Rules D8 and D13."""
    given = call.payload
    record = get_present(state, given.did, given.previous)
    check_signatures(context, SigningPurpose.DID_DEACTIVATE, encode(given), call.signatures)
    content = record.current.content
    parties: list[Party] = [(given.did, get_authority(content))]
    _check_revealed(content.control.next_keys, given.next_keys)
    if given.next_keys is not None:
        check_keys(context, DidKeys(given.next_keys, ()))
        parties.append((given.did, given.next_keys))
    check_agreed(state, context, parties, call.signatures)
    put_next_version(state, context, given.did, record, DidOperation.DEACTIVATE, encode(given), content, account=None)


def get_present(state: StateReader, did: Did, previous: VersionId) -> DidRecord:
    """Rule D8: an active identity, which an operation on its present version concerns; raises Rejected."""
    record = get_active_did(state, did)
    if record.current.version_id != previous:
        raise Rejected(
            Reason.DID_VERSION_STALE,
            f"the identity is at version {record.current.number} now: sign for that",
            number=record.current.number,
        )
    return record


def list_new_parties(did: Did, content: DidContent) -> list[Party]:
    """Rule D7: whoever is to rule agrees, and own keys sign for themselves."""
    parties: list[Party] = [(did, get_authority(content))]
    if content.control.keys.policy is not None:
        parties.append((did, content.control.keys.policy))
    return parties


def check_recovered(state: StateReader, context: Context, did: Did, content: DidContent, new: Control) -> KeyPolicy:
    """What a recovery gives an identity: keys of its own; raises Rejected. Returns the policy that has to agree."""
    if new.controllers is not None:
        raise Rejected(Reason.DID_BAD_CONTROLLERS, "a recovered identity is ruled by keys of its own")
    check_control(state, context, did, content.kind, new)
    assert new.keys.policy is not None, "without controllers it takes keys that sign"
    return new.keys.policy


def _check_revealed(commitment: Commitment | None, policy: KeyPolicy | None) -> None:
    """Rules D9, D10 and D13; raises Rejected."""
    if commitment != (None if policy is None else compute_commitment(policy)):
        raise Rejected(Reason.DID_NOT_REVEALED, "these are not the keys that the identity has committed to")
