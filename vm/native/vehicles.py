"""Vehicles: numbers that makers and inspectors vouch for, owners, and what owners let others do.

Vehicles are identities (vm/native/did.py). What the state holds and what is signed stands in vehicle_records.py, how
numbers are hidden and how well in identity/vin.py. Whoever sends a transaction has no say in it.

Rules
* V1 An attester that governance recognises says which number a vehicle has. A vehicle has one number at a time, and a
  number one vehicle. The chain cannot see whether commitment and nullifier are of one number: the attester vouches.
* V2 The number of a deactivated vehicle is released by anybody; that of an active one by nobody.
* V3 An attester that was wrong withdraws, also when it is recognised no longer; the number is free then.
* V4 Owner and vehicle confirm each other: both sign, the vehicle with keys of its own.
* V5 The owner of a bound vehicle grants others access up to a height, which is not past yet and at most
  GRANT_HEIGHTS_MAX away; at most GRANTS_MAX at a time. A new grant replaces that of the same grantee.
* V6 The owner ends a grant at any time.
* V7 Binding and grants count while the ownership lasts under which they were made. A transfer voids them at once, also
  if the vehicle returns to the same owner later; so does the vehicle's deactivation, and a grantee's for its own.
* V8 Every operation but a withdrawal names the vehicle's turn, which then advances: nothing is replayed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from identity.did import Did
from identity.signing import SigningPurpose
from identity.vin import VinNullifier
from ledger.codec import encode
from ledger.primitives import Height
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import vin_nullifier_key
from vm.context import Context, Moment
from vm.gas import GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.did_control import check_agreed, check_did_signatures, check_signatures, get_party
from vm.native.did_payloads import DidSignatures
from vm.native.did_records import GAS_DID_READ, SIGNED_GAS_WORDS, DidKind, get_active_did, get_did_record
from vm.native.recognition import Recognition, check_recognised
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule
from vm.native.vehicle_records import (
    GRANTS_MAX,
    AccessScope,
    Binding,
    BindingPayload,
    Grant,
    GrantPayload,
    RevocationPayload,
    Scopes,
    Turn,
    VehicleRecord,
    VinAttestation,
    VinPayload,
    VinWithdrawalPayload,
    get_active_vehicle,
    get_binding,
    get_vehicle,
    put_vehicle,
)

GRANT_HEIGHTS_MAX: Final = 10_000_000  # about a year of three-second blocks; nobody's access is for ever

GAS_VEHICLE_RECORD: Final = 2_100  # decode and encode one with GRANTS_MAX grants, 86 us, and carry its 1,200 bytes
GAS_VEHICLE_OPERATION: Final = GAS_DID_READ + GAS_VEHICLE_RECORD + GAS_STATE_WRITE
GAS_VIN_OPERATION: Final = GAS_VEHICLE_OPERATION + 2 * GAS_STATE_READ + GAS_STATE_WRITE


@dataclass(frozen=True, slots=True)
class AttestVin:
    """Say which number a vehicle has."""

    payload: VinPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class WithdrawVin:
    """Take back one's word on a vehicle's number."""

    payload: VinWithdrawalPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class ReleaseVin:
    """Free the number of a deactivated vehicle."""

    vehicle: Did


@dataclass(frozen=True, slots=True)
class Bind:
    """Let owner and vehicle confirm each other."""

    payload: BindingPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class GrantAccess:
    """Let somebody do something with a vehicle for a while."""

    payload: GrantPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class RevokeAccess:
    """End a grant."""

    payload: RevocationPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class VinAttested:
    """An attester has said which number a vehicle has."""

    vehicle: Did
    attester: Did
    nullifier: VinNullifier


@dataclass(frozen=True, slots=True)
class VinReleased:
    """The number is no vehicle's: it was withdrawn, or released after deactivation."""

    vehicle: Did
    nullifier: VinNullifier


@dataclass(frozen=True, slots=True)
class Bound:
    """Owner and vehicle have confirmed each other."""

    vehicle: Did
    owner: Did


@dataclass(frozen=True, slots=True)
class AccessGranted:
    """Somebody may do something with a vehicle, up to a height."""

    vehicle: Did
    grantee: Did
    scopes: Scopes
    until_height: Height


@dataclass(frozen=True, slots=True)
class AccessRevoked:
    """A grant has ended."""

    vehicle: Did
    grantee: Did


@dataclass(frozen=True, slots=True)
class VehicleDescription:
    """A vehicle as the view tells it."""

    vehicle: Did
    owner: Did
    is_deactivated: bool
    ownership: int
    turn: int
    """What the next operation has to name."""
    vin: VinAttestation | None
    bound_height: Height | None
    """Since when vehicle and present owner have confirmed each other."""


# What calls do


def apply_attest_vin(state: State, context: Context, call: AttestVin) -> None:
    """Rules V1 and V8."""
    given = call.payload
    get_active_vehicle(state, given.vehicle)
    record = _get_present(state, given.vehicle, given.turn)
    check_recognised(state, Recognition.VIN_ATTESTER, given.attester)
    if record.vin is not None:
        raise Rejected(Reason.VIN_ATTESTED, "the vehicle has a number already")
    if state.get(vin_nullifier_key(given.nullifier)) is not None:
        raise Rejected(Reason.VIN_ATTESTED, "the number belongs to another vehicle, which has not released it")
    purpose = SigningPurpose.VIN_ATTESTATION
    check_did_signatures(state, context, given.attester, purpose, encode(given), call.signatures)
    vin = VinAttestation(given.commitment, given.nullifier, given.attester, given.turn, context.block.height)
    _advance(state, given.vehicle, replace(record, vin=vin))
    state.put(vin_nullifier_key(given.nullifier), given.vehicle)
    context.emit(MODULE.name, VinAttested.__name__, given.vehicle, given.attester, given.nullifier)


def apply_withdraw_vin(state: State, context: Context, call: WithdrawVin) -> None:
    """Rule V3."""
    given = call.payload
    record = get_vehicle(state, given.vehicle)
    if record.vin is None or record.vin.turn != given.turn:
        raise Rejected(Reason.VIN_NOT_ATTESTED, "the vehicle has no number by this attestation")
    purpose = SigningPurpose.VIN_WITHDRAWAL
    check_did_signatures(state, context, record.vin.attester, purpose, encode(given), call.signatures)
    _release(state, context, given.vehicle, record, record.vin)


def apply_release_vin(state: State, context: Context, call: ReleaseVin) -> None:
    """Rule V2; anybody may send it."""
    record = get_vehicle(state, call.vehicle)
    if record.vin is None:
        raise Rejected(Reason.VIN_NOT_ATTESTED, "the vehicle has no number")
    identity = get_did_record(state, call.vehicle)
    assert identity is not None, "what has a number has an identity"
    if not identity.is_deactivated:
        raise Rejected(Reason.VEHICLE_ACTIVE, "the vehicle is active: its number stays")
    _release(state, context, call.vehicle, record, record.vin)


def apply_bind(state: State, context: Context, call: Bind) -> None:
    """Rules V4 and V8."""
    given = call.payload
    identity = get_active_vehicle(state, given.vehicle)
    record = _get_present(state, given.vehicle, given.turn)
    content = identity.current.content
    assert content.owner is not None, "a vehicle has an owner"
    if given.ownership != identity.ownership:
        raise Rejected(Reason.VEHICLE_TURN_STALE, "the vehicle has changed owners", ownership=identity.ownership)
    if content.control.keys.policy is None:
        raise Rejected(Reason.VEHICLE_WITHOUT_KEYS, "the vehicle has no keys of its own that could sign")
    if get_binding(record, identity) is not None:
        raise Rejected(Reason.VEHICLE_BOUND, "the vehicle is bound to its owner already")
    check_signatures(context, SigningPurpose.VEHICLE_BINDING, encode(given), call.signatures)
    parties = [get_party(state, context, given.vehicle), (given.vehicle, content.control.keys.policy)]
    check_agreed(state, context, parties, call.signatures)
    _advance(state, given.vehicle, replace(record, binding=Binding(given.ownership, context.block.height, ())))
    context.emit(MODULE.name, Bound.__name__, given.vehicle, content.owner)


def apply_grant_access(state: State, context: Context, call: GrantAccess) -> None:
    """Rules V5, V7 and V8."""
    given, height = call.payload, context.block.height
    record, binding = _get_bound(state, given.vehicle, given.turn)
    if given.grantee == given.vehicle or not _is_ordered(given.scopes):
        raise Rejected(Reason.BAD_GRANT, "a grant is to somebody else, its scopes stand in order, each once")
    if not height <= given.until_height <= height + GRANT_HEIGHTS_MAX:
        raise Rejected(
            Reason.BAD_GRANT,
            f"a grant made now ends with a block from {height} to {height + GRANT_HEIGHTS_MAX}",
            minimum=height,
            maximum=height + GRANT_HEIGHTS_MAX,
        )
    context.gas.charge(GAS_DID_READ)
    get_active_did(state, given.grantee)
    purpose = SigningPurpose.VEHICLE_GRANT
    check_did_signatures(state, context, given.vehicle, purpose, encode(given), call.signatures)
    others = [each for each in binding.grants if each.grantee != given.grantee and each.until_height >= height]
    if len(others) >= GRANTS_MAX:
        raise Rejected(Reason.GRANTS_LIMIT, f"a vehicle has at most {GRANTS_MAX} grants", maximum=GRANTS_MAX)
    grants = [*others, Grant(given.grantee, given.scopes, given.until_height)]
    _put_grants(state, given.vehicle, record, binding, grants)
    scopes = [int(scope) for scope in given.scopes]
    context.emit(MODULE.name, AccessGranted.__name__, given.vehicle, given.grantee, scopes, given.until_height)


def apply_revoke_access(state: State, context: Context, call: RevokeAccess) -> None:
    """Rules V6 and V8."""
    given = call.payload
    record, binding = _get_bound(state, given.vehicle, given.turn)
    others = [each for each in binding.grants if each.grantee != given.grantee]
    if len(others) == len(binding.grants):
        raise Rejected(Reason.UNKNOWN_GRANT, "the present owner has granted this identity nothing")
    purpose = SigningPurpose.VEHICLE_REVOCATION
    check_did_signatures(state, context, given.vehicle, purpose, encode(given), call.signatures)
    _put_grants(state, given.vehicle, record, binding, others)
    context.emit(MODULE.name, AccessRevoked.__name__, given.vehicle, given.grantee)


def _get_present(state: StateReader, vehicle: Did, turn: Turn) -> VehicleRecord:
    """Rule V8; raises Rejected."""
    record = get_vehicle(state, vehicle)
    if record.turn != turn:
        raise Rejected(
            Reason.VEHICLE_TURN_STALE, f"the vehicle's turn is {record.turn} now: sign for that", turn=record.turn
        )
    return record


def _get_bound(state: StateReader, vehicle: Did, turn: Turn) -> tuple[VehicleRecord, Binding]:
    """An active vehicle that is bound to its present owner; raises Rejected."""
    identity = get_active_vehicle(state, vehicle)
    record = _get_present(state, vehicle, turn)
    binding = get_binding(record, identity)
    if binding is None:
        raise Rejected(Reason.VEHICLE_NOT_BOUND, "vehicle and present owner have not confirmed each other")
    return record, binding


def _advance(state: State, vehicle: Did, record: VehicleRecord) -> None:
    put_vehicle(state, vehicle, replace(record, turn=record.turn + 1))


def _put_grants(state: State, vehicle: Did, record: VehicleRecord, binding: Binding, grants: Sequence[Grant]) -> None:
    ordered = tuple(sorted(grants, key=lambda grant: grant.grantee))
    _advance(state, vehicle, replace(record, binding=replace(binding, grants=ordered)))


def _release(state: State, context: Context, vehicle: Did, record: VehicleRecord, vin: VinAttestation) -> None:
    _advance(state, vehicle, replace(record, vin=None))
    state.delete(vin_nullifier_key(vin.nullifier))
    context.emit(MODULE.name, VinReleased.__name__, vehicle, vin.nullifier)


def _is_ordered(scopes: Scopes) -> bool:
    return all(left < right for left, right in pairwise(scopes))


# Questions


def find_vehicle_by_vin(state: StateReader, nullifier: VinNullifier) -> Did | None:
    """The vehicle that has a number."""
    encoded = state.get(vin_nullifier_key(nullifier))
    return None if encoded is None else Did(encoded)


def list_grants(state: StateReader, vehicle: Did, height: Height) -> list[Grant]:
    """What the present owner has granted and still holds at a height (rule V7)."""
    identity = get_did_record(state, vehicle)
    binding = None if identity is None else get_binding(get_vehicle(state, vehicle), identity)
    if binding is None:
        return []
    return [each for each in binding.grants if each.until_height >= height and _is_active(state, each.grantee)]


def is_granted(state: StateReader, vehicle: Did, grantee: Did, scope: AccessScope, height: Height) -> bool:
    """Whether somebody may do this with a vehicle at a height."""
    return any(each.grantee == grantee and scope in each.scopes for each in list_grants(state, vehicle, height))


def _is_active(state: StateReader, did: Did) -> bool:
    identity = get_did_record(state, did)
    return identity is not None and not identity.is_deactivated


def answer_vehicle(state: StateReader, _: Moment, vehicle: Did) -> VehicleDescription | None:
    """The view of a vehicle."""
    identity = get_did_record(state, vehicle)
    if identity is None or identity.current.content.kind is not DidKind.VEHICLE:
        return None
    record = get_vehicle(state, vehicle)
    binding = get_binding(record, identity)
    owner = identity.current.content.owner
    assert owner is not None, "a vehicle has an owner"
    return VehicleDescription(
        vehicle,
        owner,
        identity.is_deactivated,
        identity.ownership,
        record.turn,
        record.vin,
        None if binding is None else binding.height,
    )


def answer_vin(state: StateReader, _: Moment, nullifier: VinNullifier) -> Did | None:
    """The view of the vehicle that has a number."""
    return find_vehicle_by_vin(state, nullifier)


def answer_grants(state: StateReader, moment: Moment, vehicle: Did) -> list[Grant]:
    """The view of what others may do with a vehicle now."""
    return list_grants(state, vehicle, moment.height)


def answer_is_granted(state: StateReader, moment: Moment, vehicle: Did, grantee: Did, scope: AccessScope) -> bool:
    """The view of whether somebody may do this with a vehicle now."""
    return is_granted(state, vehicle, grantee, scope, moment.height)


_VIN_WORDS: Final = f"{GAS_VIN_OPERATION} + {SIGNED_GAS_WORDS}"
_OWNER_WORDS: Final = f"{GAS_VEHICLE_OPERATION} + {SIGNED_GAS_WORDS}"

MODULE = ModuleRule(
    name="vehicles",
    summary="Vehicles: attested numbers, owners, and access for others",
    calls=(
        CallRule("attest_vin", AttestVin, apply_attest_vin, lambda _: GAS_VIN_OPERATION, _VIN_WORDS),
        CallRule("withdraw_vin", WithdrawVin, apply_withdraw_vin, lambda _: GAS_VIN_OPERATION, _VIN_WORDS),
        CallRule("release_vin", ReleaseVin, apply_release_vin, lambda _: GAS_VIN_OPERATION, str(GAS_VIN_OPERATION)),
        CallRule("bind", Bind, apply_bind, lambda _: GAS_VEHICLE_OPERATION, _OWNER_WORDS),
        CallRule("grant_access", GrantAccess, apply_grant_access, lambda _: GAS_VEHICLE_OPERATION, _OWNER_WORDS),
        CallRule("revoke_access", RevokeAccess, apply_revoke_access, lambda _: GAS_VEHICLE_OPERATION, _OWNER_WORDS),
    ),
    events=tuple(map(EventRule, (VinAttested, VinReleased, Bound, AccessGranted, AccessRevoked))),
    views=(
        ViewRule("vehicle", (("vehicle", Did),), answer_vehicle),
        ViewRule("vin", (("nullifier", VinNullifier),), answer_vin),
        ViewRule("grants", (("vehicle", Did),), answer_grants),
        ViewRule("is_granted", (("vehicle", Did), ("grantee", Did), ("scope", AccessScope)), answer_is_granted),
    ),
)
