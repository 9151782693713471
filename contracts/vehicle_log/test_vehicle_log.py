"""The maintenance log: who writes, what cannot be undone, and what a buyer can check."""

from hashlib import sha256

import pytest

from contracts.vehicle_log.vehicle_log import (
    ALREADY_REGISTERED,
    NO_DID,
    NO_SUCH_ENTRY,
    NO_SUCH_VEHICLE,
    NOT_OWNER,
    NOT_TRUSTED,
    ODOMETER_TURNED_BACK,
    SHORT_REPORT,
    Entry,
    Logged,
    Vehicle,
    VehicleLog,
)
from iov import Address, Did, RevertError, u32, u64
from iov.testing import START_TIME_MS, Chain, Emitted

VEHICLE, WORKSHOP = Did(b"vehicle".ljust(20)), Did(b"workshop".ljust(20))
REPORT = b"brake pads replaced, 9 mm"
REPORT_HASH = sha256(REPORT).digest()


class Scene:
    """A registered vehicle whose owner trusts a workshop."""

    def __init__(self) -> None:
        """Register and trust."""
        self.chain = Chain()
        self.owner, self.stranger = self.chain.account("owner"), self.chain.account("stranger")
        self.workshop = self.chain.account("workshop", did=WORKSHOP)
        self.contract = self.chain.deploy(self.owner, VehicleLog)
        self.chain.call(self.owner, self.contract.register, VEHICLE, u32(50_000))
        self.chain.call(self.owner, self.contract.trust, VEHICLE, WORKSHOP, True)

    def log(self, sender: Address, odometer_km: int, report_hash: bytes = REPORT_HASH) -> u32:
        """Write an entry."""
        return self.chain.call(sender, self.contract.log, VEHICLE, u32(odometer_km), "brakes", report_hash)


def fail(code: int, scene: Scene, sender: Address, odometer_km: int, report_hash: bytes = REPORT_HASH) -> None:
    """An entry that is refused leaves no trace."""
    before = scene.chain.storage(scene.contract)
    with pytest.raises(RevertError) as caught:
        scene.log(sender, odometer_km, report_hash)
    assert (caught.value.code, scene.chain.storage(scene.contract)) == (code, before)


def test_a_trusted_workshop_writes() -> None:
    scene = Scene()
    assert scene.log(scene.workshop, 51_000) == 0
    assert scene.log(scene.workshop, 51_000) == 1
    entry = Entry(WORKSHOP, u64(START_TIME_MS), u32(51_000), "brakes", REPORT_HASH)
    assert list(scene.chain.view(scene.contract.list_entries, VEHICLE, u32(0))) == [entry, entry]
    assert scene.chain.view(scene.contract.get_vehicle, VEHICLE) == Vehicle(scene.owner, u32(51_000), u32(2))
    assert scene.chain.events[-1] == Emitted(scene.chain.address(scene.contract), Logged(VEHICLE, u32(1), WORKSHOP))


def test_what_does_not_belong_into_the_log_is_refused() -> None:
    scene = Scene()
    fail(NO_DID, scene, scene.stranger, 51_000)
    fail(ODOMETER_TURNED_BACK, scene, scene.workshop, 49_999)
    fail(SHORT_REPORT, scene, scene.workshop, 51_000, REPORT_HASH[:-1])
    scene.chain.call(scene.owner, scene.contract.trust, VEHICLE, WORKSHOP, False)
    fail(NOT_TRUSTED, scene, scene.workshop, 51_000)


def test_a_buyer_checks_a_report() -> None:
    scene = Scene()
    scene.log(scene.workshop, 51_000)
    assert scene.chain.view(scene.contract.is_report, VEHICLE, u32(0), REPORT) is True
    assert scene.chain.view(scene.contract.is_report, VEHICLE, u32(0), REPORT + b"!") is False
    with pytest.raises(RevertError) as caught:
        scene.chain.view(scene.contract.is_report, VEHICLE, u32(1), REPORT)
    assert caught.value.code == NO_SUCH_ENTRY


def test_only_the_owner_sells_and_then_no_longer_decides() -> None:
    scene = Scene()
    scene.chain.call(scene.owner, scene.contract.sell, VEHICLE, scene.stranger)
    with pytest.raises(RevertError) as caught:
        scene.chain.call(scene.owner, scene.contract.trust, VEHICLE, WORKSHOP, False)
    assert caught.value.code == NOT_OWNER
    scene.chain.call(scene.stranger, scene.contract.trust, VEHICLE, WORKSHOP, False)


def test_a_vehicle_is_registered_once() -> None:
    scene = Scene()
    with pytest.raises(RevertError) as caught:
        scene.chain.call(scene.stranger, scene.contract.register, VEHICLE, u32(0))
    assert caught.value.code == ALREADY_REGISTERED
    with pytest.raises(RevertError) as caught:
        scene.chain.view(scene.contract.list_entries, WORKSHOP, u32(0))
    assert caught.value.code == NO_SUCH_VEHICLE
