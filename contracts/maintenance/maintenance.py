"""The maintenance log of vehicles. Vehicles, owners and workshops are known by their DIDs.

A vehicle's owner says which workshops may write. With a new owner all these rights are void at once: they are stored
under the number of the ownership, which counts up.
"""

from typing import Final, Literal

from iov import (
    Contract,
    Did,
    IndexedMap,
    List,
    Map,
    Var,
    call,
    context,
    emit,
    event,
    init,
    range,
    replace,
    require,
    revert,
    struct,
    u8,
    u32,
    u64,
    view,
)

NO_DID: Final = 1
NOT_DIRECT: Final = 2
NOT_REGISTRAR: Final = 3
ALREADY_REGISTERED: Final = 4
UNKNOWN_VEHICLE: Final = 5
NOT_OWNER: Final = 6
SAME_OWNER: Final = 7
BAD_END: Final = 8
NOT_AUTHORISED: Final = 9
UNKNOWN_KIND: Final = 10
MILEAGE_LOWER: Final = 11
MILEAGE_TOO_HIGH: Final = 12
BAD_HASH: Final = 13

SERVICE: Final = u8(1)
REPAIR: Final = u8(2)
INSPECTION: Final = u8(3)
ACCIDENT: Final = u8(4)
RECALL: Final = u8(5)

MILEAGE_KM_MAX: Final = 5_000_000  # more than any road vehicle has done: a slip of the pen would close the log
HASH_BYTES: Final = 32
PAGE_MAX: Final = 20


@struct
class Vehicle:
    """Whose it is, and the end of its log."""

    owner: Did
    ownership: u32  # counts the owners, from 1
    mileage_km: u32
    entries: u32


@struct
class Right:
    """A workshop's right to write, of one ownership."""

    vehicle: Did
    ownership: u32
    workshop: Did


@struct
class Place:
    """A line of a log."""

    vehicle: Did
    index: u32


@struct
class Entry:
    """What a workshop wrote."""

    workshop: Did
    kind: u8
    mileage_km: u32
    time_ms: u64
    document_hash: bytes  # SHA-256 of the invoice or report, which stays off the chain


@event
class VehicleRegistered:
    """A vehicle has a log."""

    vehicle: Did
    owner: Did
    mileage_km: u32


@event
class Authorised:
    """A workshop may write until a moment."""

    vehicle: Did
    workshop: Did
    until_ms: u64


@event
class Revoked:
    """A workshop may write no more."""

    vehicle: Did
    workshop: Did


@event
class OwnerChanged:
    """All workshops' rights are void."""

    vehicle: Did
    owner: Did
    ownership: u32


@event
class Written:
    """There is a new entry."""

    vehicle: Did
    index: u32
    workshop: Did
    kind: u8
    mileage_km: u32
    document_hash: bytes


class Maintenance(Contract):
    """Entries are never changed, and the mileage of a log never falls."""

    registrar: Var[Did]
    vehicles: IndexedMap[Did, Vehicle]
    rights: Map[Right, u64]
    entries: Map[Place, Entry]

    @init
    def create(self, registrar: Did) -> None:
        """Who may open logs: a car maker, or an authority."""
        self.registrar = registrar

    @call
    def register(self, vehicle: Did, owner: Did, mileage_km: u32) -> None:
        """Open a vehicle's log."""
        require(self._get_actor() == self.registrar, NOT_REGISTRAR)
        require(vehicle not in self.vehicles, ALREADY_REGISTERED)
        require(mileage_km <= MILEAGE_KM_MAX, MILEAGE_TOO_HIGH)
        self.vehicles[vehicle] = Vehicle(owner, u32(1), mileage_km, u32(0))
        emit(VehicleRegistered(vehicle, owner, mileage_km))

    @call
    def authorise(self, vehicle: Did, workshop: Did, until_ms: u64) -> None:
        """Let a workshop write until a moment; replaces what was allowed before."""
        known = self._get_own_vehicle(vehicle)
        require(until_ms > context.time_ms, BAD_END)
        self.rights[Right(vehicle, known.ownership, workshop)] = until_ms
        emit(Authorised(vehicle, workshop, until_ms))

    @call
    def revoke(self, vehicle: Did, workshop: Did) -> None:
        """Let a workshop write no more."""
        known = self._get_own_vehicle(vehicle)
        right = Right(vehicle, known.ownership, workshop)
        require(right in self.rights, NOT_AUTHORISED)
        del self.rights[right]
        emit(Revoked(vehicle, workshop))

    @call
    def change_owner(self, vehicle: Did, owner: Did) -> None:
        """Give the vehicle to somebody else."""
        known = self._get_own_vehicle(vehicle)
        require(owner != known.owner, SAME_OWNER)
        ownership = known.ownership + 1
        self.vehicles[vehicle] = replace(known, owner=owner, ownership=ownership)
        emit(OwnerChanged(vehicle, owner, ownership))

    @call
    def write(self, vehicle: Did, kind: u8, mileage_km: u32, document_hash: bytes) -> u32:
        """Add an entry as an authorised workshop; gives its index, counted from 0."""
        workshop = self._get_actor()
        known = self._get_vehicle(vehicle)
        require(self._may_write(vehicle, known, workshop), NOT_AUTHORISED)
        require(SERVICE <= kind <= RECALL, UNKNOWN_KIND)
        require(mileage_km >= known.mileage_km, MILEAGE_LOWER)
        require(mileage_km <= MILEAGE_KM_MAX, MILEAGE_TOO_HIGH)
        require(len(document_hash) == HASH_BYTES, BAD_HASH)
        index = known.entries
        self.entries[Place(vehicle, index)] = Entry(workshop, kind, mileage_km, context.time_ms, document_hash)
        self.vehicles[vehicle] = replace(known, mileage_km=mileage_km, entries=index + 1)
        emit(Written(vehicle, index, workshop, kind, mileage_km, document_hash))
        return index

    @view
    def find_vehicle(self, vehicle: Did) -> Vehicle | None:
        """A vehicle, if it has a log."""
        return self.vehicles.get(vehicle)

    @view
    def may_write(self, vehicle: Did, workshop: Did) -> bool:
        """Whether a workshop may add an entry now."""
        known = self.vehicles.get(vehicle)
        if known is None:
            return False
        return self._may_write(vehicle, known, workshop)

    @view
    def list_entries(self, vehicle: Did, first: u32) -> List[Entry, Literal[20]]:
        """Entries from an index on, as many as fit."""
        page = List[Entry, Literal[20]]()
        known = self._get_vehicle(vehicle)
        if first < known.entries:
            for index in range(first, first + min(known.entries - first, u32(PAGE_MAX))):
                page.append(self.entries[Place(vehicle, index)])
        return page

    @view
    def count(self) -> u64:
        """How many vehicles have a log."""
        return u64(len(self.vehicles))

    @view
    def list_vehicles(self, first: u64) -> List[Did, Literal[20]]:
        """Vehicles with a log from a position on, as many as fit."""
        page = List[Did, Literal[20]]()
        count = u64(len(self.vehicles))
        if first < count:
            for index in range(first, min(count, first + PAGE_MAX)):
                page.append(self.vehicles.key_at(index))
        return page

    def _get_actor(self) -> Did:
        """The signer's DID. A contract between signer and log could write what the signer does not know of."""
        require(context.caller == context.signer, NOT_DIRECT)
        did = context.signer_did
        if did is None:
            revert(NO_DID)
        return did

    def _get_vehicle(self, vehicle: Did) -> Vehicle:
        known = self.vehicles.get(vehicle)
        if known is None:
            revert(UNKNOWN_VEHICLE)
        return known

    def _get_own_vehicle(self, vehicle: Did) -> Vehicle:
        owner = self._get_actor()
        known = self._get_vehicle(vehicle)
        require(known.owner == owner, NOT_OWNER)
        return known

    def _may_write(self, vehicle: Did, known: Vehicle, workshop: Did) -> bool:
        until_ms = self.rights.get(Right(vehicle, known.ownership, workshop), u64(0))
        return context.time_ms < until_ms
