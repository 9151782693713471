"""The input of a dividend's payout, from the states at both ends of a period."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from economy.distribution_engines import open_engine
from economy.distribution_manifest import UnusableError
from economy.dividend_records import Dividend, DividendLine, Snapshot, build_dividend, read_forces
from economy.duckdb_connection import EngineLimits
from ledger.primitives import GrainDays, Grains, TimeMs
from ledger.state import State
from tests.builders import address_of, make_key, make_state
from tests.did_scene import SENDER, DidScene, build_call
from vm.native.accounts import DAY_MS
from vm.native.dividend import DividendRules, Merit
from vm.native.iov import credit, debit

RULES = DividendRules(Grains(1_000), 3_000, 2_000, 10)


def copy(state: State) -> State:
    """The state as it is now."""
    again = State(lambda key: None, lambda start, stop: iter(()))
    for key, value in state.changes.items():
        if value is not None:
            again.put(key, value)
    return again


def test_the_lines_follow_from_the_two_states_and_the_forces():
    scene = DidScene(state=make_state({address_of(SENDER): 10**12}))
    dids = []
    for name in ("alice", "bob", "carol"):
        did = scene.create(name)
        account = address_of(make_key(name))
        scene.accept(build_call(scene.link(did, account), name, name="link_account"))
        dids.append(did)
        credit(scene.state, account, 100, 0)
    before = Snapshot(copy(scene.state), TimeMs(DAY_MS))
    debit(scene.state, address_of(make_key("alice")), 100, 6 * DAY_MS)
    credit(scene.state, address_of(make_key("bob")), 100, 6 * DAY_MS)
    after = Snapshot(copy(scene.state), TimeMs(11 * DAY_MS))
    alice, bob, carol = dids
    dividend = build_dividend(RULES, before, after, {alice: 10, bob: 30, carol: 9})
    first = DividendLine(alice, Grains(75 + 50 + 125), Merit(Grains(50), GrainDays(500), 10))
    second = DividendLine(bob, Grains(225 + 150 + 375), Merit(Grains(150), GrainDays(1_500), 30))
    lines = tuple(sorted((first, second), key=lambda line: line.did))
    assert dividend == Dividend(lines, Grains(1_000), Grains(0))


def test_without_anybody_the_pool_stays():
    empty = Snapshot(make_state({}), TimeMs(0))
    assert build_dividend(RULES, empty, Snapshot(empty.state, TimeMs(1)), {}) == Dividend((), Grains(0), Grains(1_000))


def read(tmp_path: Path, *tables: dict[str, list]) -> dict[bytes, int]:
    paths = [tmp_path / str(index) for index in range(len(tables))]
    for path, columns in zip(paths, tables, strict=True):
        pq.write_table(pa.table(columns), path)
    with open_engine("duckdb", EngineLimits(200, 1), tmp_path / "spill") as engine:
        return read_forces(paths, engine)


def test_forces_add_up_over_columns_and_files(tmp_path):
    anne, bert = bytes(20), bytes(19) + b"\1"
    first = {"did": [anne, bert], "user_force": [1, 2], "provider_force": [10, 0], "note": ["a", "b"]}
    second = {"did": [anne, anne], "force": [100, 1_000]}
    assert read(tmp_path, first, second) == {anne: 1_111, bert: 2}
    assert read(tmp_path) == {}


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"did": [bytes(20)], "amount": [1]}, "has no column did, or none of integers"),
        ({"did": [bytes(20)], "force": [1.0]}, "has no column did, or none of integers"),
        ({"force": [1]}, "has no column did, or none of integers"),
        ({"did": [bytes(19)], "force": [1]}, "is no force of an identity"),
        ({"did": [bytes(20)], "force": [-1]}, "is no force of an identity"),
        ({"did": [bytes(20)] * 2, "force": [2**62] * 2}, "is no force of an identity"),
    ],
)
def test_bad_files_of_force_are_refused(tmp_path, columns, complaint):
    with pytest.raises(UnusableError, match=complaint):
        read(tmp_path, columns)
