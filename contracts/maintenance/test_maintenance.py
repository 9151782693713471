"""The rules of the maintenance log, checked under CPython."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.expecting import refused
from contracts.maintenance.maintenance import (
    ALREADY_REGISTERED,
    BAD_END,
    BAD_HASH,
    MILEAGE_KM_MAX,
    MILEAGE_LOWER,
    MILEAGE_TOO_HIGH,
    NO_DID,
    NOT_AUTHORISED,
    NOT_DIRECT,
    NOT_OWNER,
    NOT_REGISTRAR,
    PAGE_MAX,
    RECALL,
    REPAIR,
    SAME_OWNER,
    SERVICE,
    UNKNOWN_KIND,
    UNKNOWN_VEHICLE,
    Authorised,
    Entry,
    Maintenance,
    OwnerChanged,
    Revoked,
    Vehicle,
    VehicleRegistered,
    Written,
)
from iov import Address, Contract, ContractInterface, Did, RevertError, call, u8, u32, u64
from iov.testing import Chain

DAY_MS = 86_400_000
DOCUMENT = b"\x05" * 32
CAR, OTHER_CAR = Did(b"C" * 20), Did(b"D" * 20)
DIDS = {name: Did(name.encode().ljust(20)) for name in ("registrar", "ann", "ben", "garage", "rival")}


class Scene:
    """Ann's car has a log that begins at 10 km; the garage may write for thirty days."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.registrar, self.ann, self.ben, self.garage, self.rival = (
            self.chain.account(name, did=did) for name, did in DIDS.items()
        )
        self.nobody = self.chain.account("nobody")
        self.log = self.chain.deploy(self.nobody, Maintenance, DIDS["registrar"])
        self.until_ms = self.chain.time_ms + 30 * DAY_MS
        self.register(CAR)
        self.authorise("garage")

    def register(self, vehicle: Did, mileage_km: int = 10) -> None:
        """Open a log for Ann as the registrar."""
        self.chain.call(self.registrar, self.log.register, vehicle, DIDS["ann"], u32(mileage_km))

    def authorise(self, workshop: str) -> None:
        """Let a workshop write, as Ann."""
        self.chain.call(self.ann, self.log.authorise, CAR, DIDS[workshop], self.until_ms)

    def write(self, workshop: Address, mileage_km: int, kind: u8 = SERVICE, document: bytes = DOCUMENT) -> u32:
        """Add an entry."""
        return self.chain.call(workshop, self.log.write, CAR, kind, u32(mileage_km), document)

    def vehicle(self) -> Vehicle | None:
        """The car, as the log knows it."""
        return self.chain.view(self.log.find_vehicle, CAR)

    def may_write(self, workshop: str) -> bool:
        """Whether a workshop may write now."""
        return self.chain.view(self.log.may_write, CAR, DIDS[workshop])

    def told(self) -> object:
        """The last event."""
        return self.chain.events[-1].event


class Log(ContractInterface):
    """The log, seen by another contract."""

    @call
    def write(self, vehicle: Did, kind: u8, mileage_km: u32, document_hash: bytes) -> u32:
        """Add an entry."""
        raise NotImplementedError  # the language: its code is in another contract or module


class Bait(Contract):
    """A contract that workshops are lured to call."""

    @call
    def win_a_prize(self, log: Address) -> None:
        """Writes in the name of whoever signs."""
        Log(log).write(CAR, SERVICE, u32(999_999), DOCUMENT)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_the_registrar_opens_logs(scene: Scene) -> None:
    scene.register(OTHER_CAR, 0)
    assert scene.told() == VehicleRegistered(OTHER_CAR, DIDS["ann"], u32(0))
    assert scene.chain.view(scene.log.find_vehicle, OTHER_CAR) == Vehicle(DIDS["ann"], u32(1), u32(0), u32(0))
    assert scene.chain.view(scene.log.count) == 2
    assert list(scene.chain.view(scene.log.list_vehicles, u64(0))) == [CAR, OTHER_CAR]
    assert list(scene.chain.view(scene.log.list_vehicles, u64(1))) == [OTHER_CAR]
    assert list(scene.chain.view(scene.log.list_vehicles, u64(2))) == []


def test_a_log_is_opened_once_by_the_registrar_below_the_limit(scene: Scene) -> None:
    with refused(NOT_REGISTRAR):
        scene.chain.call(scene.ann, scene.log.register, OTHER_CAR, DIDS["ann"], u32(0))
    with refused(ALREADY_REGISTERED):
        scene.register(CAR)
    with refused(MILEAGE_TOO_HIGH):
        scene.register(OTHER_CAR, MILEAGE_KM_MAX + 1)


def test_who_acts_has_a_did(scene: Scene) -> None:
    with refused(NO_DID):
        scene.chain.call(scene.nobody, scene.log.register, OTHER_CAR, DIDS["ann"], u32(0))
    with refused(NO_DID):
        scene.chain.call(scene.nobody, scene.log.authorise, CAR, DIDS["rival"], scene.until_ms)
    with refused(NO_DID):
        scene.write(scene.nobody, 20)


def test_no_contract_acts_in_the_name_of_a_signer(scene: Scene) -> None:
    bait = scene.chain.deploy(scene.rival, Bait)
    with pytest.raises(RevertError, match=rf"^CALL_FAILED: {NOT_DIRECT}$"):
        scene.chain.call(scene.garage, bait.win_a_prize, scene.chain.address(scene.log))
    assert scene.vehicle() == Vehicle(DIDS["ann"], u32(1), u32(10), u32(0))


def test_the_owner_authorises_until_a_moment(scene: Scene) -> None:
    assert scene.told() == Authorised(CAR, DIDS["garage"], scene.until_ms)
    assert (scene.may_write("garage"), scene.may_write("rival")) == (True, False)
    assert not scene.chain.view(scene.log.may_write, OTHER_CAR, DIDS["garage"])
    scene.chain.advance(1, 30 * DAY_MS)
    assert not scene.may_write("garage")
    with refused(NOT_AUTHORISED):
        scene.write(scene.garage, 20)


def test_only_the_owner_authorises_revokes_and_sells(scene: Scene) -> None:
    with refused(NOT_OWNER):
        scene.chain.call(scene.garage, scene.log.authorise, CAR, DIDS["rival"], scene.until_ms)
    with refused(NOT_OWNER):
        scene.chain.call(scene.ben, scene.log.revoke, CAR, DIDS["garage"])
    with refused(NOT_OWNER):
        scene.chain.call(scene.ben, scene.log.change_owner, CAR, DIDS["ben"])


def test_a_right_ends_later_than_now(scene: Scene) -> None:
    with refused(BAD_END):
        scene.chain.call(scene.ann, scene.log.authorise, CAR, DIDS["rival"], scene.chain.time_ms)


def test_the_owner_revokes_once(scene: Scene) -> None:
    scene.chain.call(scene.ann, scene.log.revoke, CAR, DIDS["garage"])
    assert scene.told() == Revoked(CAR, DIDS["garage"])
    assert not scene.may_write("garage")
    with refused(NOT_AUTHORISED):
        scene.chain.call(scene.ann, scene.log.revoke, CAR, DIDS["garage"])


def test_an_authorised_workshop_writes(scene: Scene) -> None:
    assert scene.write(scene.garage, 15_000, REPAIR) == 0
    assert scene.told() == Written(CAR, u32(0), DIDS["garage"], REPAIR, u32(15_000), DOCUMENT)
    assert scene.vehicle() == Vehicle(DIDS["ann"], u32(1), u32(15_000), u32(1))
    entry = Entry(DIDS["garage"], REPAIR, u32(15_000), scene.chain.time_ms, DOCUMENT)
    assert list(scene.chain.view(scene.log.list_entries, CAR, u32(0))) == [entry]


def test_others_do_not_write(scene: Scene) -> None:
    with refused(NOT_AUTHORISED):
        scene.write(scene.rival, 20)
    with refused(NOT_AUTHORISED):
        scene.write(scene.ann, 20)


def test_the_mileage_never_falls_and_has_a_limit(scene: Scene) -> None:
    with refused(MILEAGE_LOWER):
        scene.write(scene.garage, 9)
    scene.write(scene.garage, 10)
    scene.write(scene.garage, 15_000)
    with refused(MILEAGE_LOWER):
        scene.write(scene.garage, 14_999)
    with refused(MILEAGE_TOO_HIGH):
        scene.write(scene.garage, MILEAGE_KM_MAX + 1)
    scene.write(scene.garage, MILEAGE_KM_MAX)


def test_an_entry_has_a_kind_and_the_hash_of_a_document(scene: Scene) -> None:
    for kind in (u8(0), RECALL + 1):
        with refused(UNKNOWN_KIND):
            scene.write(scene.garage, 20, kind)
    for document in (b"", b"\x05" * 31, b"\x05" * 33):
        with refused(BAD_HASH):
            scene.write(scene.garage, 20, SERVICE, document)


def test_a_new_owner_voids_all_rights(scene: Scene) -> None:
    scene.authorise("rival")
    scene.chain.call(scene.ann, scene.log.change_owner, CAR, DIDS["ben"])
    assert scene.told() == OwnerChanged(CAR, DIDS["ben"], u32(2))
    assert (scene.may_write("garage"), scene.may_write("rival")) == (False, False)
    with refused(NOT_AUTHORISED):
        scene.write(scene.garage, 20)
    with refused(NOT_OWNER):
        scene.authorise("garage")
    scene.chain.call(scene.ben, scene.log.authorise, CAR, DIDS["rival"], scene.until_ms)
    scene.write(scene.rival, 20)


def test_rights_stay_void_when_an_owner_comes_back(scene: Scene) -> None:
    with refused(SAME_OWNER):
        scene.chain.call(scene.ann, scene.log.change_owner, CAR, DIDS["ann"])
    scene.chain.call(scene.ann, scene.log.change_owner, CAR, DIDS["ben"])
    scene.chain.call(scene.ben, scene.log.change_owner, CAR, DIDS["ann"])
    assert not scene.may_write("garage")


def test_there_is_no_such_vehicle(scene: Scene) -> None:
    with refused(UNKNOWN_VEHICLE):
        scene.chain.call(scene.ann, scene.log.authorise, OTHER_CAR, DIDS["garage"], scene.until_ms)
    with refused(UNKNOWN_VEHICLE):
        scene.chain.call(scene.garage, scene.log.write, OTHER_CAR, SERVICE, u32(20), DOCUMENT)
    with refused(UNKNOWN_VEHICLE):
        scene.chain.view(scene.log.list_entries, OTHER_CAR, u32(0))
    assert scene.chain.view(scene.log.find_vehicle, OTHER_CAR) is None


def test_entries_are_listed_page_by_page(scene: Scene) -> None:
    for number in range(PAGE_MAX + 3):
        scene.write(scene.garage, 10 + number)

    def list_mileages(first: int) -> list[int]:
        return [int(each.mileage_km) for each in scene.chain.view(scene.log.list_entries, CAR, u32(first))]

    assert list_mileages(0) == list(range(10, 10 + PAGE_MAX))
    assert list_mileages(PAGE_MAX) == [10 + PAGE_MAX, 11 + PAGE_MAX, 12 + PAGE_MAX]
    assert list_mileages(PAGE_MAX + 3) == []
    assert list_mileages(2**32 - 1) == []


calls = st.tuples(
    st.sampled_from(["authorise", "revoke", "change_owner", "write", "write"]),
    st.sampled_from(sorted(DIDS)),
    st.sampled_from(sorted(DIDS)),
    st.integers(0, 40),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(calls, max_size=30))
def test_a_log_only_grows_and_its_mileage_never_falls(drawn: list[tuple[str, str, str, int]]) -> None:
    scene = Scene()
    written: list[Entry] = []
    for method, sender, other, mileage_km in drawn:
        arguments: tuple[Any, ...] = {
            "authorise": (DIDS[other], scene.until_ms),
            "revoke": (DIDS[other],),
            "change_owner": (DIDS[other],),
            "write": (SERVICE, u32(mileage_km), DOCUMENT),
        }[method]
        may_write = scene.may_write(sender)
        try:
            scene.chain.call(getattr(scene, sender), getattr(scene.log, method), CAR, *arguments)
        except RevertError as error:
            assert error.code in (NOT_OWNER, NOT_AUTHORISED, MILEAGE_LOWER, SAME_OWNER)
        else:
            if method == "write":
                assert may_write
                written.append(Entry(DIDS[sender], SERVICE, u32(mileage_km), scene.chain.time_ms, DOCUMENT))
        assert list(scene.chain.view(scene.log.list_entries, CAR, u32(0))) == written[:PAGE_MAX]
    mileages = [each.mileage_km for each in written]
    assert mileages == sorted(mileages)
