"""Versions and views of identities: rule D15, and what the module says about itself."""

import pytest

from ledger.primitives import Height, TimeMs
from ledger.reasons import Reason
from tests.builders import address_of, make_state
from tests.did_scene import SENDER, DidScene, build_call, build_create, control_of, key_of
from vm.context import Moment
from vm.native.did import HISTORY_PAGE, VersionSummary, list_versions
from vm.native.did_records import (
    GAS_FIRST_VERSION,
    DidOperation,
    Service,
    find_did_version,
    find_did_version_at,
    get_did_record,
    get_did_version,
)
from vm.native.pauses import Pause, put_pauses
from vm.native.registry import answer_view

MOMENT = Moment(Height(7), TimeMs(9_000))
ALICE = key_of("alice")


@pytest.fixture
def scene() -> DidScene:
    return DidScene(state=make_state({address_of(SENDER): 10**12, address_of(ALICE): 10**9}))


def make_history(scene: DidScene, versions: int):
    """An identity with so many versions, one a second, and their ids."""
    did = scene.create("alice")
    ids = [scene.version_of(did)]
    for number in range(2, versions + 1):
        scene.accept(build_call(scene.update(did, Service(f"v{number}", "Web", "https://example.com/")), "alice"))
        ids.append(scene.version_of(did))
    return did, ids


def test_every_version_is_found_by_number_and_id(scene):
    did, ids = make_history(scene, 5)
    assert len(set(ids)) == 5
    for number, version_id in enumerate(ids, start=1):
        version = get_did_version(scene.state, did, number)
        assert version is not None
        assert (version.number, version.version_id, version.time_ms) == (number, version_id, number * 1_000)
        names = [each.name for each in version.content.services]
        assert names == ([] if number == 1 else [f"v{number}"])
        assert find_did_version(scene.state, did, version_id) == version


def test_a_version_that_is_not_there_is_not_found(scene):
    did, _ = make_history(scene, 2)
    assert [get_did_version(scene.state, did, number) for number in (0, 3)] == [None, None]
    assert find_did_version(scene.state, did, bytes(32)) is None
    assert find_did_version(scene.state, bytes(20), bytes(32)) is None


@pytest.mark.parametrize("versions", [1, 2, 3, 8, 9])
def test_the_version_of_a_time(scene, versions):
    did, _ = make_history(scene, versions)
    for number in range(1, versions + 1):
        for time_ms in (number * 1_000, number * 1_000 + 999):
            found = find_did_version_at(scene.state, did, time_ms)
            assert found is not None
            assert found.number == number
    assert find_did_version_at(scene.state, did, 999) is None
    assert find_did_version_at(scene.state, bytes(20), 5_000) is None


def test_the_last_of_several_versions_of_one_time(scene):
    did = scene.create("alice")
    for _ in range(4):
        scene.height = 2
        scene.accept(build_call(scene.update(did), "alice"))
    found = find_did_version_at(scene.state, did, 2_000)
    assert found is not None
    assert found.number == 5


def test_history_goes_backwards_a_page_at_a_time(scene):
    did, ids = make_history(scene, HISTORY_PAGE + 3)
    page = answer_view(scene.state, MOMENT, "did", "history", [did, 0])
    assert [each.number for each in page] == list(range(HISTORY_PAGE + 3, 3, -1))
    rest = answer_view(scene.state, MOMENT, "did", "history", [did, page[-1].number])
    assert rest == [
        VersionSummary(3, ids[2], DidOperation.UPDATE, 3, 3_000),
        VersionSummary(2, ids[1], DidOperation.UPDATE, 2, 2_000),
        VersionSummary(1, ids[0], DidOperation.CREATE, 1, 1_000),
    ]
    assert answer_view(scene.state, MOMENT, "did", "history", [did, 1]) == []
    assert list_versions(scene.state, bytes(20), 0, 5) == []


def test_views(scene):
    did, ids = make_history(scene, 2)
    address = address_of(ALICE)
    state = scene.state
    assert answer_view(state, MOMENT, "did", "did", [did]) == get_did_record(state, did)
    assert answer_view(state, MOMENT, "did", "version", [did, ids[0]]) == get_did_version(state, did, 1)
    assert answer_view(state, MOMENT, "did", "recovery", [did]) is None
    assert answer_view(state, MOMENT, "did", "account_did", [address]) is None
    scene.accept(build_call(scene.link(did, address), "alice"))
    assert answer_view(state, MOMENT, "did", "account_did", [address]) == did


def test_more_signatures_cost_more_gas(scene):
    one = scene.accept(build_create(control_of("a", "b"), "a", salt=b"1")[1]).gas_used
    two = scene.accept(build_create(control_of("a", "b"), "a", "b", salt=b"2")[1]).gas_used
    assert two - one > 750
    assert one > GAS_FIRST_VERSION


def test_the_module_can_be_paused(scene):
    put_pauses(scene.state, [Pause("did", 100)])
    assert scene.send(build_create(control_of("alice"), "alice")[1]).reason == Reason.MODULE_PAUSED
