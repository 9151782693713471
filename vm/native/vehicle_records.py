"""What the state holds for vehicles, and what is signed for them; the rules stand in vm/native/vehicles.py.

| key                           | value                              |
|-------------------------------|------------------------------------|
| vehicle_key(vehicle)          | VehicleRecord                      |
| vin_nullifier_key(nullifier)  | the vehicle that has the number    |
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Final

from annotated_types import Interval, Len

from identity.did import Did
from identity.vin import VinCommitment, VinNullifier
from ledger.codec import decode, encode
from ledger.primitives import JSON_INTEGER_MAX, Height
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import vehicle_key
from vm.native.did_records import DidKind, DidRecord, VersionNumber, get_active_did

GRANTS_MAX: Final = 32  # of a vehicle at a time; all of them stand in one record, which is read with every operation

Turn = Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]
"""How many operations a vehicle has seen."""


@unique
class AccessScope(IntEnum):
    """What a grant allows; wire number, never reused."""

    DIAGNOSTICS = 1
    """Read faults and measurements."""
    SERVICE_HISTORY = 2
    """Read and add to the record of services."""
    LOCATION = 3
    SOFTWARE = 4
    """Change the vehicle's software."""
    DRIVING = 5
    """Open, start and move it."""


Scopes = Annotated[tuple[AccessScope, ...], Len(1, len(AccessScope))]
"""In order, each once."""


@dataclass(frozen=True, slots=True)
class VinAttestation:
    """An attester's word that the vehicle has the number behind this commitment."""

    commitment: VinCommitment
    nullifier: VinNullifier
    attester: Did
    turn: Turn
    """The vehicle's turn with which it was made; names it when it is withdrawn."""
    height: Height


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody may do with a vehicle, up to a height, that one included."""

    grantee: Did
    scopes: Scopes
    until_height: Height


@dataclass(frozen=True, slots=True)
class Binding:
    """That owner and vehicle have confirmed each other, and what the owner has granted since."""

    ownership: VersionNumber
    """That of the vehicle's identity then; with another ownership all of this is void."""
    height: Height
    grants: Annotated[tuple[Grant, ...], Len(0, GRANTS_MAX)]
    """In order of the grantees, each once."""


@dataclass(frozen=True, slots=True)
class VehicleRecord:
    """A vehicle as it is now."""

    turn: Turn
    vin: VinAttestation | None
    binding: Binding | None
    """May be void: see get_binding."""


NEW_VEHICLE: Final = VehicleRecord(0, None, None)


@dataclass(frozen=True, slots=True)
class VinPayload:
    """What an attester signs: this vehicle has the number behind commitment and nullifier."""

    vehicle: Did
    attester: Did
    turn: Turn
    commitment: VinCommitment
    nullifier: VinNullifier


@dataclass(frozen=True, slots=True)
class VinWithdrawalPayload:
    """What the attester signs who was wrong."""

    vehicle: Did
    turn: Turn
    """That of the attestation: nobody gets in the way by using up turns."""


@dataclass(frozen=True, slots=True)
class BindingPayload:
    """What owner and vehicle sign to confirm each other."""

    vehicle: Did
    ownership: VersionNumber
    turn: Turn


@dataclass(frozen=True, slots=True)
class GrantPayload:
    """What the owner signs to let somebody do something; replaces what was granted to the same one before."""

    vehicle: Did
    grantee: Did
    scopes: Scopes
    until_height: Height
    turn: Turn


@dataclass(frozen=True, slots=True)
class RevocationPayload:
    """What the owner signs to end a grant."""

    vehicle: Did
    grantee: Did
    turn: Turn


def get_vehicle(state: StateReader, vehicle: Did) -> VehicleRecord:
    """What the chain knows of a vehicle besides its identity."""
    encoded = state.get(vehicle_key(vehicle))
    return NEW_VEHICLE if encoded is None else decode(VehicleRecord, encoded)


def put_vehicle(state: State, vehicle: Did, record: VehicleRecord) -> None:
    """Replace a vehicle's record."""
    state.put(vehicle_key(vehicle), encode(record))


def get_active_vehicle(state: StateReader, vehicle: Did) -> DidRecord:
    """An active identity of a vehicle; raises Rejected."""
    identity = get_active_did(state, vehicle)
    if identity.current.content.kind is not DidKind.VEHICLE:
        raise Rejected(Reason.NOT_A_VEHICLE, "the identity is no vehicle")
    return identity


def get_binding(record: VehicleRecord, identity: DidRecord) -> Binding | None:
    """The binding to the present owner, unless there is none or the vehicle has ended: no former owner's counts."""
    binding = record.binding
    if binding is None or binding.ownership != identity.ownership or identity.is_deactivated:
        return None
    return binding
