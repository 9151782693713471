"""A vehicle's maintenance log: identified workshops write, the owner decides who may, nobody deletes."""

from typing import Final, Literal

from iov import (
    Address,
    Contract,
    Did,
    IndexedMap,
    List,
    Map,
    call,
    context,
    emit,
    event,
    range,
    replace,
    require,
    revert,
    sha256,
    struct,
    u32,
    u64,
    view,
)

ALREADY_REGISTERED: Final = 1
NO_SUCH_VEHICLE: Final = 2
NOT_OWNER: Final = 3
NO_DID: Final = 4
NOT_TRUSTED: Final = 5
ODOMETER_TURNED_BACK: Final = 6
NO_SUCH_ENTRY: Final = 7
SHORT_REPORT: Final = 8

PAGE: Final = 20  # entries in one answer
HASH_BYTES: Final = 32


@struct
class Vehicle:
    """A vehicle is known by its own DID; its owner is an account."""

    owner: Address
    odometer_km: u32
    entries: u32


@struct
class Trust:
    """Who lets whom write into which log."""

    vehicle: Did
    workshop: Did


@struct
class Place:
    """An entry's place in a log."""

    vehicle: Did
    number: u32


@struct
class Entry:
    """One piece of work. The report itself stays with the workshop; its hash is here."""

    workshop: Did
    time_ms: u64
    odometer_km: u32
    work: str
    report_hash: bytes


@event
class Registered:
    """A vehicle has a log."""

    vehicle: Did
    owner: Address


@event
class Sold:
    """The vehicle has a new owner."""

    vehicle: Did
    owner: Address


@event
class Logged:
    """Work was written down."""

    vehicle: Did
    number: u32
    workshop: Did


Entries = List[Entry, Literal[20]]


class VehicleLog(Contract):
    """An odometer never goes back, and an entry never changes."""

    vehicles: IndexedMap[Did, Vehicle]
    trusted: Map[Trust, bool]
    entries: Map[Place, Entry]

    @call
    def register(self, vehicle: Did, odometer_km: u32) -> None:
        """Begin a log; the caller owns the vehicle."""
        require(vehicle not in self.vehicles, ALREADY_REGISTERED)
        self.vehicles[vehicle] = Vehicle(context.caller, odometer_km, u32(0))
        emit(Registered(vehicle, context.caller))

    @call
    def sell(self, vehicle: Did, buyer: Address) -> None:
        """Hand the log over along with the vehicle."""
        self.vehicles[vehicle] = replace(self._get_own(vehicle), owner=buyer)
        emit(Sold(vehicle, buyer))

    @call
    def trust(self, vehicle: Did, workshop: Did, is_trusted: bool) -> None:
        """Let a workshop write, or no longer."""
        self._get_own(vehicle)
        self.trusted[Trust(vehicle, workshop)] = is_trusted

    @call
    def log(self, vehicle: Did, odometer_km: u32, work: str, report_hash: bytes) -> u32:
        """Write down work; gives the entry's number, from 0."""
        workshop = context.signer_did
        if workshop is None:
            revert(NO_DID)
        record = self._get(vehicle)
        require(self.trusted.get(Trust(vehicle, workshop), False), NOT_TRUSTED)
        require(odometer_km >= record.odometer_km, ODOMETER_TURNED_BACK)
        require(len(report_hash) == HASH_BYTES, SHORT_REPORT)
        number = record.entries
        self.entries[Place(vehicle, number)] = Entry(workshop, context.time_ms, odometer_km, work, report_hash)
        self.vehicles[vehicle] = replace(record, odometer_km=odometer_km, entries=number + 1)
        emit(Logged(vehicle, number, workshop))
        return number

    @view
    def get_vehicle(self, vehicle: Did) -> Vehicle | None:
        """Owner, odometer and number of entries."""
        return self.vehicles.get(vehicle)

    @view
    def list_entries(self, vehicle: Did, start: u32) -> Entries:
        """Up to 20 entries, from a number on."""
        found = Entries()
        for number in range(start, min(self._get(vehicle).entries, start + PAGE)):
            found.append(self.entries[Place(vehicle, number)])
        return found

    @view
    def is_report(self, vehicle: Did, number: u32, report: bytes) -> bool:
        """Whether a report is the one that the entry stands for."""
        entry = self.entries.get(Place(vehicle, number))
        if entry is None:
            revert(NO_SUCH_ENTRY)
        return sha256(report) == entry.report_hash

    def _get(self, vehicle: Did) -> Vehicle:
        record = self.vehicles.get(vehicle)
        if record is None:
            revert(NO_SUCH_VEHICLE)
        return record

    def _get_own(self, vehicle: Did) -> Vehicle:
        record = self._get(vehicle)
        require(record.owner == context.caller, NOT_OWNER)
        return record
