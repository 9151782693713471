"""The builder of a day's force, against the same rules written down once more, row by row."""

import json
import random
import signal
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from economy import mining_force, mining_plan, whole_files
from economy.duckdb_connection import EngineLimits
from economy.mining_build import build_mining
from economy.mining_lookup import describe_batch, find_force, find_records, load_manifest, prove_record
from economy.mining_plan import BuildError, BuildJob
from economy.mining_tables import write_rewards, write_vouched
from economy.whole_files import PART_SUFFIX
from identity.did import Did
from identity.mining_record import encode_mining_leaf, is_same_act
from ledger.merkle import compute_leaf_hash, compute_path_root
from ledger.primitives import EMPTY_ROOT
from vm.native.mining_formulas import (
    COUNT_MAX,
    DEFAULT_BEHAVIOURS,
    Behaviour,
    Epoch,
    compute_earned_force,
    compute_identity_force,
    compute_reward,
)
from vm.native.mining_records import DEFAULT_VERSION, BehaviourTotal

EPOCH = Epoch(20_800)
KEY = b"k" * 32
SCHEMA = pa.schema(
    [
        ("did", pa.binary()),
        ("behaviour", pa.uint8()),
        ("count", pa.uint32()),
        ("provider", pa.binary()),
        ("vehicle", pa.binary()),
        ("phone", pa.binary()),
        ("attester", pa.binary()),
    ]
)
RULES = {rule.behaviour: rule for rule in DEFAULT_BEHAVIOURS}


def quiet(stage: str, done: int, total: int) -> None:
    """Nobody watches."""


def write(path: Path, rows, schema=SCHEMA) -> None:
    names = schema.names
    pq.write_table(pa.table({name: [row[index] for row in rows] for index, name in enumerate(names)}, schema), path)


def draw_records(seed: int, users: int = 60):
    """Many rows over few identities, vehicles and phones, so that everything collides."""
    draw = random.Random(seed)
    dids = [draw.randbytes(20) for _ in range(users)]
    vehicles = [draw.randbytes(32) for _ in range(users)]
    phones = [draw.randbytes(32) for _ in range(users)]
    attesters = [draw.randbytes(20) for _ in range(3)]
    rows = []
    for _ in range(users * 12):
        index = draw.randrange(users)
        thing = index if draw.random() < 0.97 else draw.randrange(users)
        row = (
            dids[index],
            int(draw.choice(list(Behaviour))),
            draw.choice([1, 1, 2, 5, 50, 500]),
            draw.choice([None, draw.choice(dids[:5])]),
            draw.choice([None, vehicles[thing]]),
            draw.choice([None, phones[thing]]),
            draw.choice(attesters),
        )
        rows.append(row)
        if draw.random() < 0.2:  # another gateway says the same, or nearly
            rows.append((*row[:2], row[2] + draw.choice([0, 1]), *row[3:6], draw.choice(attesters)))
    weights = {did: draw.choice([0, 33, 99]) for did in draw.sample(dids, users // 6)}
    return rows, weights


def draw_lot(epoch: int, first: bytes, second: bytes) -> bytes:
    return sha256(epoch.to_bytes(4, "big") + first + second).digest()


def share_times(served, most, did, epoch=EPOCH):
    """Rule B3: what a user's acts of a behaviour count for providers; together no more than for the user."""
    capped = {provider: min(count, most) for provider, count in served.items()}
    together = sum(capped.values())
    if together <= most:
        return capped
    shares, reached, given = {}, 0, 0
    for provider in sorted(capped, key=lambda each: draw_lot(epoch, did, each)):
        reached += capped[provider]
        shares[provider] = reached * most // together - given
        given += shares[provider]
    assert given == most
    return shares


def compute_expected(rows, weights, vouched=(), epoch=EPOCH):
    """Rules B1 to B3, F1 and F2, one row after the other."""
    claims = defaultdict(set)
    for did, *_, vehicle, phone, _ in [*rows, *vouched]:
        for thing in ((4, vehicle), (5, phone)):
            if thing[1] is not None:
                claims[thing].add(did)
    on_chain = {((4, vehicle), did) for did, _, _, _, vehicle, _, _ in vouched}
    winners = {
        thing: min(dids, key=lambda did: ((thing, did) not in on_chain, draw_lot(epoch, thing[1], did)))
        for thing, dids in claims.items()
    }
    once = defaultdict(int)
    for did, behaviour, count, provider, vehicle, phone, _ in [*rows, *vouched]:
        act = (did, behaviour, provider, vehicle, phone)
        once[act] = max(once[act], min(count, RULES[behaviour].user.count_max))
    kept = {
        act: count
        for act, count in once.items()
        if winners.get((4, act[3]), act[0]) == act[0] and winners.get((5, act[4]), act[0]) == act[0]
    }
    times, records, provided = defaultdict(int), defaultdict(int), defaultdict(int)
    served = defaultdict(lambda: defaultdict(int))
    for (did, behaviour, provider, *_), count in kept.items():
        times[did, behaviour] += count
        records[behaviour] += 1
        if provider not in (None, did):
            served[did, behaviour][provider] += count
    for (did, behaviour), counts in served.items():
        for provider, count in share_times(counts, RULES[behaviour].user.count_max, did, epoch).items():
            provided[provider, behaviour] += count * weights.get(did, 100) // 100
    sums, sides = defaultdict(lambda: [0, 0, 0]), defaultdict(lambda: [0, 0])
    for (did, behaviour), count in times.items():
        force = compute_earned_force(RULES[behaviour].user, count)
        sides[did][0] += force
        sums[behaviour][0] += count
        sums[behaviour][1] += force
    for (did, behaviour), count in provided.items():
        if RULES[behaviour].provider is not None:
            force = compute_earned_force(RULES[behaviour].provider, count)
            sides[did][1] += force
            sums[behaviour][2] += force
    rules = DEFAULT_VERSION.rules
    limits = (rules.user_force_max, rules.provider_force_max)
    forces = {
        did: tuple(
            compute_identity_force(force, limit, weights.get(did, 100))
            for force, limit in zip(both, limits, strict=True)
        )
        for did, both in sides.items()
    }
    totals = tuple(BehaviourTotal(Behaviour(each), records[each], *sums[each]) for each in sorted(sums))
    return kept, {did: both for did, both in forces.items() if sum(both)}, totals


def read_forces(directory: Path):
    rows = [row for path in sorted((directory / "forces").iterdir()) for row in pq.read_table(path).to_pylist()]
    return {row["did"]: (row["user_force"], row["provider_force"]) for row in rows}


def make_job(tmp_path: Path, rows, weights=None, **changes) -> BuildJob:
    half = len(rows) // 2
    write(tmp_path / "a.parquet", rows[:half])
    write(tmp_path / "b.parquet", rows[half:])
    path = None
    if weights is not None:
        path = tmp_path / "weights"
        write(path, list(weights.items()), pa.schema([("did", pa.binary()), ("weight", pa.int64())]))
    limits = EngineLimits(memory_mb=500, threads=1)
    job = BuildJob(
        str(tmp_path / "*.parquet"), tmp_path / "out", EPOCH, DEFAULT_VERSION, KEY, weights=path, limits=limits
    )
    return replace(job, **changes)


def with_vouched(tmp_path: Path, vouched) -> Path:
    """What vehicles vouched for, as `carlive mining collect` writes it."""
    path = tmp_path / "vouched"
    write_vouched(
        path, [(did, behaviour, count, seen, vehicle) for did, behaviour, count, _, vehicle, _, seen in vouched]
    )
    return path


def draw_vouched(rows, seed: int):
    """For a few vehicles one of those who say that they drove it."""
    draw = random.Random(seed)
    drivers = {row[4]: row[0] for row in rows if row[4] is not None}
    return [
        (did, int(Behaviour.CAR_STARTED), draw.choice([1, 9]), None, vehicle, None, vehicle[:20])
        for vehicle, did in draw.sample(sorted(drivers.items()), 12)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_force_and_totals_are_those_of_the_rules(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(mining_plan, "RECORDS_PER_SHARD", 100)
    monkeypatch.setattr(mining_force, "THINGS_PER_SLICE", 20)
    rows, weights = draw_records(seed)
    vouched = draw_vouched(rows, seed)
    kept, forces, totals = compute_expected(rows, weights, vouched)
    built = build_mining(make_job(tmp_path, rows, weights, vouched=with_vouched(tmp_path, vouched)), quiet)
    assert read_forces(tmp_path / "out") == forces
    assert built.totals == totals
    assert (built.records, built.identities) == (len(kept), len(forces))
    assert built.force == built.batch_force == sum(map(sum, forces.values()))
    assert built.force <= sum(total.user_force + total.provider_force for total in totals)
    assert load_manifest(tmp_path / "out")["shards"] == 16


def test_the_number_of_shards_and_slices_changes_no_force_and_the_order_of_input_changes_nothing(tmp_path, monkeypatch):
    rows, weights = draw_records(9)
    built = build_mining(make_job(tmp_path, rows, weights), quiet)
    forces = read_forces(tmp_path / "out")
    again = build_mining(make_job(tmp_path, rows[::-1], weights, output=tmp_path / "again"), quiet)
    assert (again.root, again.totals, read_forces(tmp_path / "again")) == (built.root, built.totals, forces)
    monkeypatch.setattr(mining_plan, "RECORDS_PER_SHARD", 300)
    parts = build_mining(make_job(tmp_path, rows, weights, output=tmp_path / "parts"), quiet)
    assert (parts.totals, read_forces(tmp_path / "parts")) == (built.totals, forces)


def test_every_record_is_proven_under_the_root_and_no_two_earn_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(mining_plan, "RECORDS_PER_SHARD", 200)
    rows, _ = draw_records(3, users=20)
    kept, _, _ = compute_expected(rows, {})
    built = build_mining(make_job(tmp_path, rows), quiet)
    found = [each for did in sorted({row[0] for row in rows}) for each in find_records(tmp_path / "out", did, KEY)]
    assert {
        (each.did, int(each.behaviour), each.provider, each.vehicle, each.phone): each.opening.count for each in found
    } == kept
    for record in found:
        path = prove_record(tmp_path / "out", record)
        assert compute_path_root(path, compute_leaf_hash(encode_mining_leaf(record.leaf))) == built.root
    assert not any(is_same_act(left.leaf, right.leaf) for left in found for right in found if left is not right)


def test_processes_give_the_same_root(tmp_path, monkeypatch):
    monkeypatch.setattr(mining_plan, "RECORDS_PER_SHARD", 200)
    rows, _ = draw_records(5)
    alone = build_mining(make_job(tmp_path, rows), quiet)
    two = build_mining(make_job(tmp_path, rows, limits=EngineLimits(500, 2), output=tmp_path / "two"), quiet)
    assert two == alone


def test_what_the_chain_has_counted_is_not_counted_again(tmp_path):
    rows, _ = draw_records(1)
    built = build_mining(make_job(tmp_path, rows, vouched_force=300), quiet)
    assert built.batch_force == built.force - 300


def test_rewards_are_rounded_down_one_by_one(tmp_path):
    records, weights = draw_records(2)
    build_mining(make_job(tmp_path, records, weights), quiet)
    price = 1_234_567
    paid, grains = write_rewards(tmp_path / "out", price, 10**18, tmp_path / "rewards", quiet)
    expected = {did: compute_reward(sum(both), price) for did, both in read_forces(tmp_path / "out").items()}
    tables = [pq.read_table(path).to_pylist() for path in sorted((tmp_path / "rewards").iterdir())]
    rows = [(row["beneficiary"], row["amount_grains"], row["reference"]) for table in tables for row in table]
    assert sorted(rows) == sorted((b"\2" + did, grains, EPOCH) for did, grains in expected.items())
    assert (paid, grains) == (len(expected), sum(expected.values()))
    did = next(iter(expected))
    assert sum(find_force(tmp_path / "out", did)) == sum(read_forces(tmp_path / "out")[did])
    assert find_force(tmp_path / "out", Did(bytes(20))) == (0, 0)


A, B, GATE = (bytes([number]) * 20 for number in (0xA1, 0xB2, 0x77))
CAR = b"v" * 32


def make_row(did=A, behaviour=Behaviour.APP_OPENED, count=1, provider=None, vehicle=None, phone=None, attester=GATE):
    return did, int(behaviour), count, provider, vehicle, phone, attester


@pytest.mark.parametrize("thing", ["vehicle", "phone"])
def test_another_identity_comes_first_every_day(tmp_path, thing):
    """Whatever an id begins with: the lot decides, and is another one the day after."""
    dids = [bytes([number]) * 20 for number in range(8)]
    rows = [make_row(did, **{thing: CAR}) for did in dids]
    winners = []
    for epoch in range(EPOCH, EPOCH + 6):
        output = tmp_path / str(epoch)
        build_mining(make_job(tmp_path, rows, epoch=Epoch(epoch), output=output), quiet)
        (winner,) = read_forces(output)
        winners.append(winner)
    assert winners == [min(dids, key=lambda did: draw_lot(epoch, CAR, did)) for epoch in range(EPOCH, EPOCH + 6)]
    assert len(set(winners)) > 2


@pytest.mark.parametrize("owner", range(4))
def test_a_vehicle_earns_for_who_has_its_record_on_the_chain(tmp_path, owner):
    dids = [bytes([number]) * 20 for number in range(4)]
    rows = [make_row(did, Behaviour.CAR_STARTED, vehicle=CAR, attester=CAR[:20]) for did in dids]
    vouched = with_vouched(tmp_path, [make_row(dids[owner], Behaviour.CAR_STARTED, vehicle=CAR, attester=CAR[:20])])
    build_mining(make_job(tmp_path, rows, vouched=vouched, vouched_force=100), quiet)
    assert read_forces(tmp_path / "out") == {dids[owner]: (100, 0)}


def test_all_providers_of_a_user_together_count_as_one_would(tmp_path):
    """Else whoever has ten identities serves each with nine others, for nine times as much."""
    dids = [bytes([number]) * 20 for number in range(1, 11)]
    rows = [
        make_row(user, rule.behaviour, rule.user.count_max, other)
        for user in dids
        for other in dids
        for rule in DEFAULT_BEHAVIOURS
        if user != other and rule.provider is not None
    ]
    build_mining(make_job(tmp_path, rows), quiet)
    forces = read_forces(tmp_path / "out")
    assert forces == compute_expected(rows, {})[1]
    once = sum(
        rule.user.count_max * rule.provider.base_force for rule in DEFAULT_BEHAVIOURS if rule.provider is not None
    )
    assert sum(provider for _, provider in forces.values()) <= len(dids) * once


@pytest.mark.parametrize("turned", [False, True])
def test_a_record_names_who_has_seen_the_most(tmp_path, turned):
    said = [(1, b"\x01" * 20), (2, b"\xfe" * 20), (2, b"\xfd" * 20), (2, b"\xff" * 20)]
    rows = [make_row(behaviour=Behaviour.MAINTENANCE, count=count, attester=attester) for count, attester in said]
    build_mining(make_job(tmp_path, rows[::-1] if turned else rows), quiet)
    (record,) = find_records(tmp_path / "out", Did(A), KEY)
    assert (record.opening.count, record.opening.attester) == (2, b"\xfd" * 20)


GOOD = (b"d" * 20, 1, 1, None, None, None, b"a" * 20)


@pytest.mark.parametrize(
    "row",
    [
        (b"d" * 19, *GOOD[1:]),
        (None, *GOOD[1:]),
        (GOOD[0], 99, *GOOD[2:]),
        (*GOOD[:2], 0, *GOOD[3:]),
        (*GOOD[:2], COUNT_MAX + 1, *GOOD[3:]),
        (*GOOD[:2], 2**32 - 1, *GOOD[3:]),
        (*GOOD[:3], b"", *GOOD[4:]),
        (*GOOD[:4], b"v" * 31, *GOOD[5:]),
        (*GOOD[:5], b"p" * 33, GOOD[6]),
        (*GOOD[:6], None),
    ],
)
def test_files_that_are_no_records_are_refused(tmp_path, row):
    with pytest.raises(BuildError, match="wrong form"):
        build_mining(make_job(tmp_path, [GOOD, row]), quiet)


def write_with(path: Path, changed: dict[str, tuple[pa.DataType, object]]) -> None:
    """One record, some of whose columns have another type and value."""
    schema = pa.schema([(each.name, changed[each.name][0] if each.name in changed else each.type) for each in SCHEMA])
    row = dict(zip(SCHEMA.names, GOOD, strict=True)) | {name: value for name, (_, value) in changed.items()}
    pq.write_table(pa.Table.from_pylist([row], schema), path)


@pytest.mark.parametrize(
    ("column", "kind", "value"),
    [
        ("count", pa.float64(), 1.5),
        ("count", pa.string(), "1"),
        ("count", pa.decimal128(9, 2), 1),
        ("count", pa.date32(), 1),
        ("count", pa.bool_(), True),
        ("count", pa.list_(pa.uint32()), [1]),
        ("behaviour", pa.string(), "1"),
        ("did", pa.string(), "d" * 20),
        ("did", pa.list_(pa.binary()), [b"d" * 20]),
        ("attester", pa.string(), "a" * 20),
        ("provider", pa.null(), None),
        ("more", pa.uint8(), 1),
    ],
)
def test_columns_of_other_kinds_are_refused_in_any_file(tmp_path, column, kind, value):
    job = make_job(tmp_path, [GOOD, GOOD])
    if column == "more":
        pq.write_table(
            pq.read_table(tmp_path / "b.parquet").append_column("more", pa.array([1])), tmp_path / "b.parquet"
        )
    else:
        write_with(tmp_path / "b.parquet", {column: (kind, value)})
    with pytest.raises(BuildError, match=r"b.parquet: no Parquet with exactly the columns did"):
        build_mining(job, quiet)


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint16(), pa.int32(), pa.int64(), pa.uint64()])
def test_integers_of_other_sizes_are_the_same_records(tmp_path, kind):
    job = make_job(tmp_path, [GOOD, GOOD])
    expected = build_mining(job, quiet).root
    write_with(tmp_path / "b.parquet", {"count": (kind, 1), "behaviour": (kind, 1), "did": (pa.binary(20), GOOD[0])})
    assert build_mining(replace(job, output=tmp_path / "again"), quiet).root == expected


@pytest.mark.parametrize("value", [-1, 0, COUNT_MAX + 1, 2**40])
def test_counts_of_other_sizes_are_within_the_limits_too(tmp_path, value):
    job = make_job(tmp_path, [GOOD, GOOD])
    write_with(tmp_path / "b.parquet", {"count": (pa.int64(), value)})
    with pytest.raises(BuildError, match="not from 1 to 10000"):
        build_mining(job, quiet)


@pytest.mark.parametrize("where", ["end", "page"])
def test_a_damaged_file_is_refused(tmp_path, where):
    rows, _ = draw_records(6)
    job, path = make_job(tmp_path, rows), tmp_path / "b.parquet"
    content = path.read_bytes()
    if where == "end":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.write_bytes(content[:4] + bytes(len(content) // 2) + content[4 + len(content) // 2 :])
    with pytest.raises(BuildError, match="no Parquet with exactly the columns"):
        build_mining(job, quiet)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([(A, 50), (A, 50)], "two weights of one identity"),
        ([(A, 101)], "not from 0 to 100"),
        ([(A, -1)], "not from 0 to 100"),
        ([(A, None)], "not from 0 to 100"),
        ([(A[1:], 50)], "of no identity"),
        ([(None, 50)], "of no identity"),
    ],
)
def test_weights_that_are_none_are_refused(tmp_path, weights, said):
    job = make_job(tmp_path, [GOOD, GOOD], {})
    write(job.weights, weights, pa.schema([("did", pa.binary()), ("weight", pa.int64())]))
    with pytest.raises(BuildError, match=said):
        build_mining(job, quiet)


def test_names_of_files_and_directories_say_nothing_of_what_is_in_them(tmp_path):
    expected = build_mining(make_job(tmp_path, [GOOD, (b"e" * 20, *GOOD[1:])]), quiet)
    odd = tmp_path / "count=5" / "did=x" / "a'[b]*?"
    odd.mkdir(parents=True)
    for name, there in (("a", "day-[1].parquet"), ("b", "*.parquet")):
        (tmp_path / f"{name}.parquet").rename(odd / there)
    pattern = str(tmp_path / "count=5" / "did=x" / "*" / "*.parquet")
    job = make_job(tmp_path, [GOOD], records=pattern, output=odd / "out")
    assert build_mining(job, quiet) == expected
    assert read_forces(odd / "out") == read_forces(tmp_path / "out")


def test_a_file_that_arrives_after_the_inputs_were_hashed_is_not_built(tmp_path):
    """Nor was its form checked, and its hash would stand in no manifest."""
    job = make_job(tmp_path, [make_row(A), make_row(B)])

    def arrive(stage, done, total):
        if (stage, done) == ("partition", 0):
            write(tmp_path / "late.parquet", [make_row(GATE)])

    built = build_mining(job, arrive)
    assert (built.records, built.identities) == (2, 2)
    assert len(load_manifest(job.output)["inputs"]) == 2


@pytest.mark.parametrize("name", ["day-[1].parquet", "day-?.parquet", "*.parquet"])
def test_a_name_that_is_a_pattern_for_others_is_refused(tmp_path, name):
    given, other = tmp_path / "given" / name, tmp_path / "given" / "day-1.parquet"
    given.parent.mkdir()
    write(given, [GOOD])
    job = make_job(tmp_path, [], records=str(given))
    assert build_mining(job, quiet).records == 1
    write(other, [make_row()])
    with pytest.raises(BuildError, match="pattern for others; rename"):
        build_mining(replace(job, output=tmp_path / "more"), quiet)


def test_names_and_copies_of_files_are_no_part_of_what_is_signed(tmp_path):
    job = make_job(tmp_path, [GOOD, (b"e" * 20, *GOOD[1:])])
    expected = build_mining(job, quiet)
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").rename(tmp_path / "z.parquet")
    assert build_mining(job, quiet) == expected
    (tmp_path / "copy.parquet").write_bytes(content)
    assert build_mining(replace(job, output=tmp_path / "again"), quiet) == expected
    assert load_manifest(job.output)["inputs"] == sorted(
        [
            {"bytes": path.stat().st_size, "sha256": sha256(path.read_bytes()).hexdigest()}
            for path in (tmp_path / "b.parquet", tmp_path / "z.parquet")
        ],
        key=lambda each: each["sha256"],
    )


def test_a_directory_is_free_again_when_its_records_are_none(tmp_path):
    with pytest.raises(BuildError, match="wrong form"):
        build_mining(make_job(tmp_path, [GOOD, (None, *GOOD[1:])], {GOOD[0]: 50}), quiet)
    with pytest.raises(BuildError, match="no complete build"):
        load_manifest(tmp_path / "out")
    assert build_mining(make_job(tmp_path, [GOOD, GOOD]), quiet).records == 1


def test_a_day_without_records_is_built(tmp_path):
    built = build_mining(make_job(tmp_path, []), quiet)
    assert (built.root, built.records, built.identities, built.force, built.totals) == (EMPTY_ROOT, 0, 0, 0, ())


@pytest.mark.parametrize(
    ("change", "different"),
    [
        (lambda job: replace(job, records=str(job.output.parent / "a.parquet")), "other inputs;"),
        (lambda job: replace(job, master_key=b"K" * 32), "other salts;"),
        (lambda job: replace(job, epoch=Epoch(EPOCH + 1), vouched_force=1), "other epoch, vouched_force;"),
        (lambda job: replace(job, version=replace(DEFAULT_VERSION, height=7)), "other rules;"),
        (lambda job: replace(job, weights=None), "other weights;"),
    ],
)
def test_a_directory_holds_one_build(tmp_path, change, different):
    job = make_job(tmp_path, [GOOD, (b"e" * 20, *GOOD[1:])], {GOOD[0]: 50})
    built = build_mining(job, quiet)
    before = list_files(job.output)
    with pytest.raises(BuildError, match=different):
        build_mining(change(job), quiet)
    assert build_mining(job, quiet) == built
    assert list_files(job.output) == before


def test_a_directory_with_something_else_is_left_alone(tmp_path):
    job = make_job(tmp_path, [GOOD, GOOD])
    job.output.mkdir()
    (job.output / "something").write_text("else")
    with pytest.raises(BuildError, match="is not empty"):
        build_mining(job, quiet)
    assert list(list_files(job.output)) == [job.output / "something"]


KILLED_BUILD = """
import os, signal, sys
from pathlib import Path
from economy import mining_plan, whole_files
from economy.mining_build import build_mining
from economy.mining_plan import BuildJob
from economy.duckdb_connection import EngineLimits
from economy.whole_files import PART_SUFFIX
from tests.economy.test_mining_build import EPOCH, KEY
from vm.native.mining_records import DEFAULT_VERSION

mining_plan.RECORDS_PER_SHARD = 500
records, weights, output, names_max, last_stage, threads = sys.argv[1:]
names_left = int(names_max)
give_name = whole_files._rename

def rename(part, path):
    global names_left
    if names_left == 0:
        die()
    names_left -= 1
    give_name(part, path)

def report(stage, done, total):
    if stage == last_stage:
        die()

def die():
    os.kill(os.getpid(), signal.SIGKILL)

whole_files._rename = rename
limits = EngineLimits(500, int(threads))
job = BuildJob(records, Path(output), EPOCH, DEFAULT_VERSION, KEY, weights=Path(weights), limits=limits)
build_mining(job, report)
print(int(names_max) - names_left)
"""
"""A build that kills itself when it has given so many files their names, or in a stage."""
NAMES_MAX = 10**6
LASTING = {"records", "forces", "hashes", "plan.json", "weights.parquet", "roots", "manifest.json"}


def list_files(directory: Path) -> dict[Path, int]:
    """All that is complete, and when it was written."""
    found = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
    return {path: written for path, written in found.items() if path.suffix != PART_SUFFIX}


def build_apart(job: BuildJob, names_max: int = NAMES_MAX, last_stage: str = "") -> tuple[int, str]:
    """Exit code of a process that builds, and what it says until the last of its processes has ended."""
    given = [job.records, job.weights, job.output, names_max, last_stage, job.limits.threads]
    command = [sys.executable, "-c", KILLED_BUILD, *map(str, given)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60)
    return done.returncode, done.stdout


def build_alone(job: BuildJob, monkeypatch) -> tuple[bytes, int]:
    """The manifest of an undisturbed build, and how many files were given their names for it."""
    named = []
    give_name = whole_files._rename
    with monkeypatch.context() as patch:
        patch.setattr(mining_plan, "RECORDS_PER_SHARD", 500)
        patch.setattr(whole_files, "_rename", lambda part, path: (named.append(path), give_name(part, path)))
        build_mining(replace(job, output=job.output.parent / "alone"), quiet)
    return (job.output.parent / "alone" / "manifest.json").read_bytes(), len(named)


def test_a_build_that_is_killed_again_and_again_does_nothing_twice(tmp_path, monkeypatch):
    """SIGKILL in every stage: what has a name keeps it, and all builds together name as many files as one alone."""
    job = make_job(tmp_path, *draw_records(11, users=300))
    manifest, named = build_alone(job, monkeypatch)
    names_each = named // 7 + 1
    kept, kills = {}, 0
    while (ended := build_apart(job, names_each))[0] == -signal.SIGKILL:
        kills += 1
        found = list_files(job.output).items()
        now = {path: written for path, written in found if path.relative_to(job.output).parts[0] in LASTING}
        assert kept.items() <= now.items()
        kept = now
        with pytest.raises(BuildError, match="no complete build"):
            load_manifest(job.output)
    assert kills == 6
    assert ended == (0, f"{named - kills * names_each}\n")
    assert kept.items() <= list_files(job.output).items()
    content = {path.relative_to(job.output): path.read_bytes() for path in list_files(job.output)}
    assert content[Path("manifest.json")] == manifest
    assert {path.parts[0] for path in content} == LASTING
    assert not any(KEY in each or KEY.hex().encode() in each for each in content.values())


def test_a_build_that_is_killed_while_processes_hash_leaves_goes_on(tmp_path, monkeypatch):
    """They end with it, and do not write into the build that goes on."""
    job = make_job(tmp_path, *draw_records(12, users=150), limits=EngineLimits(500, 2))
    manifest, _ = build_alone(job, monkeypatch)
    assert build_apart(job, last_stage="leaves")[0] == -signal.SIGKILL
    assert not (job.output / "manifest.json").exists()
    assert build_apart(job)[0] == 0
    assert (job.output / "manifest.json").read_bytes() == manifest


def test_other_files_are_no_records(tmp_path):
    job = make_job(tmp_path, [GOOD, GOOD])
    with pytest.raises(BuildError, match="no files"):
        build_mining(replace(job, records=str(tmp_path / "nothing*")), quiet)
    (tmp_path / "text").write_text("did")
    with pytest.raises(BuildError, match="exactly the columns did"):
        build_mining(replace(job, records=str(tmp_path / "text")), quiet)
    pq.write_table(pa.table({"did": [b"d" * 20]}), tmp_path / "narrow")
    with pytest.raises(BuildError, match="exactly the columns did"):
        build_mining(replace(job, records=str(tmp_path / "narrow")), quiet)


def test_other_files_are_no_weights(tmp_path):
    job = make_job(tmp_path, [GOOD, GOOD], {GOOD[0]: 50})
    with pytest.raises(BuildError, match="nowhere cannot be read"):
        build_mining(replace(job, weights=tmp_path / "nowhere"), quiet)
    with pytest.raises(BuildError, match=r"columns did .bytes., weight .integer."):
        build_mining(replace(job, weights=tmp_path / "a.parquet"), quiet)
    assert build_mining(job, quiet).force == 50


def read_rewards(directory: Path) -> dict[bytes, int]:
    rows = [row for path in sorted(directory.iterdir()) for row in pq.read_table(path).to_pylist()]
    return {row["beneficiary"][1:]: row["amount_grains"] for row in rows}


def test_nobodys_rewards_are_not_written(tmp_path):
    with pytest.raises(BuildError, match="no complete build"):
        write_rewards(tmp_path, 1, 10**18, tmp_path / "rewards", quiet)
    assert not (tmp_path / "rewards").exists()


def test_rewards_are_replaced_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(mining_plan, "RECORDS_PER_SHARD", 1)
    build_mining(make_job(tmp_path, [make_row(bytes([number]) * 20) for number in range(0, 256, 8)]), quiet)
    rewards = tmp_path / "rewards"
    write_rewards(tmp_path / "out", 10**6, 10**18, rewards, quiet)
    assert len(list(rewards.iterdir())) == 32
    monkeypatch.undo()
    build_mining(make_job(tmp_path, [make_row(A), make_row(B)], output=tmp_path / "fewer"), quiet)
    assert write_rewards(tmp_path / "fewer", 10**6, 10**18, rewards, quiet) == (2, 200)
    assert read_rewards(rewards) == {A: 100, B: 100}


def test_rewards_beyond_what_was_released_are_not_written(tmp_path):
    build_mining(make_job(tmp_path, [make_row(A), make_row(B)]), quiet)
    rewards = tmp_path / "rewards"
    write_rewards(tmp_path / "out", 10**6, 200, rewards, quiet)
    with pytest.raises(BuildError, match="400 grains are more than the 399"):
        write_rewards(tmp_path / "out", 2 * 10**6, 399, rewards, quiet)
    assert read_rewards(rewards) == {A: 100, B: 100}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b.parquet", "out", "rewards"]


@pytest.mark.parametrize("there", ["forces", "text", "directory", "file"])
def test_rewards_do_not_take_the_place_of_something_else(tmp_path, there):
    build_mining(make_job(tmp_path, [make_row(A), make_row(B)]), quiet)
    rewards = tmp_path / "out" / "forces" if there == "forces" else tmp_path / "rewards"
    if there == "text":
        rewards.mkdir()
        (rewards / "000.parquet").write_text("mine")
    elif there == "directory":
        (rewards / "000.parquet").mkdir(parents=True)
    elif there == "file":
        rewards.write_text("mine")
    before = list_files(tmp_path)
    with pytest.raises(BuildError, match="something else than rewards"):
        write_rewards(tmp_path / "out", 10**6, 10**18, rewards, quiet)
    assert list_files(tmp_path) == before


def change_manifest(directory: Path, **changes) -> None:
    path = directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def write_forces(directory: Path, rows) -> None:
    schema = pq.read_schema(directory / "forces" / "000.parquet")
    write(directory / "forces" / "000.parquet", rows, schema)


DAMAGES = {
    "half a manifest": lambda out: (out / "manifest.json").write_text("{"),
    "an empty manifest": lambda out: (out / "manifest.json").write_text("{}"),
    "a list": lambda out: (out / "manifest.json").write_text("[]"),
    "no text": lambda out: (out / "manifest.json").write_bytes(b"\xff"),
    "a long number": lambda out: (out / "manifest.json").write_text("1" * 5_000),
    "a deep list": lambda out: (out / "manifest.json").write_text("[" * 100_000),
    "no shards": lambda out: change_manifest(out, shards=3),
    "no epoch": lambda out: change_manifest(out, epoch=-1),
    "another force": lambda out: change_manifest(out, force=True),
    "no root": lambda out: change_manifest(out, root="xy"),
    "another total": lambda out: change_manifest(out, totals=[{"behaviour": "flying"}]),
    "totals of numbers": lambda out: change_manifest(out, totals=[1]),
    "records": lambda out: (out / "records" / "000.parquet").write_bytes(b"PAR1"),
    "no records": lambda out: (out / "records" / "000.parquet").unlink(),
    "other records": lambda out: write(out / "records" / "000.parquet", [(1,)], pa.schema([("did", pa.int8())])),
    "records of nobody": lambda out: write(out / "records" / "000.parquet", [make_row(attester=None)]),
    "records of nothing": lambda out: write(out / "records" / "000.parquet", [(A, 99, *make_row()[2:])]),
    "records without numbers": lambda out: write(out / "records" / "000.parquet", [(A, 1, None, *make_row()[3:])]),
    "forces": lambda out: (out / "forces" / "000.parquet").write_bytes(b""),
    "no forces": lambda out: (out / "forces" / "000.parquet").unlink(),
    "other forces": lambda out: write(out / "forces" / "000.parquet", [(A,)], pa.schema([("did", pa.binary())])),
    "forces of another": lambda out: write_forces(out, [(A, 150, 0), (B, 50, 0)]),
    "forces of too few bytes": lambda out: write_forces(out, [(A, 100, 0), (B[:19], 100, 0)]),
    "forces below zero": lambda out: write_forces(out, [(A, 201, 0), (B, -1, 0)]),
    "forces beyond all": lambda out: write_forces(out, [(A, 2**63 - 1, 0), (B, 100, 0)]),
    "no hashes of forces": lambda out: change_manifest(out, forces=[]),
    "other hashes of forces": lambda out: change_manifest(out, forces=[0]),
    "more force": lambda out: change_manifest(out, force=201),
    "hashes": lambda out: (out / "hashes" / "000").write_bytes(b""),
    "no roots": lambda out: (out / "roots").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_build_is_told_of_in_a_sentence(tmp_path, damage):
    out = tmp_path / "out"
    build_mining(make_job(tmp_path, [make_row(A), make_row(B)]), quiet)
    DAMAGES[damage](out)

    def read_all() -> None:
        describe_batch(out)
        for record in find_records(out, Did(A), KEY):
            prove_record(out, record)
        find_force(out, Did(A))
        write_rewards(out, 10**6, 10**18, tmp_path / "rewards", quiet)

    with pytest.raises(BuildError, match="is damaged"):
        read_all()


def test_rewards_are_those_of_the_forces_in_the_manifest(tmp_path):
    """A root binds records alone: whoever hands over a build could else give one's force to another."""
    build_mining(make_job(tmp_path, [make_row(A), make_row(B)]), quiet)
    expected = sha256(b"".join(did + bytes(7) + b"\x64" + bytes(8) for did in (A, B))).hexdigest()
    assert load_manifest(tmp_path / "out")["forces"] == [expected]
    write_forces(tmp_path / "out", [(A, 0, 0), (B, 200, 0)])
    with pytest.raises(BuildError, match="is damaged"):
        write_rewards(tmp_path / "out", 10**6, 10**18, tmp_path / "rewards", quiet)
    with pytest.raises(BuildError, match="is damaged"):
        find_force(tmp_path / "out", Did(B))
    assert not (tmp_path / "rewards").exists()


def test_a_reward_that_no_column_holds_is_more_than_was_released(tmp_path):
    build_mining(make_job(tmp_path, [make_row(A), make_row(B)]), quiet)
    with pytest.raises(BuildError, match=f"{200 * 10**19} grains are more than the {2**63 - 1}"):
        write_rewards(tmp_path / "out", 10**25, 2**63 - 1, tmp_path / "rewards", quiet)


@pytest.mark.parametrize("rows", [[], [make_row(A, Behaviour.FAN_INTERACTION, provider=A)]])
def test_a_day_without_records_or_force_is_no_batch(tmp_path, rows):
    build_mining(make_job(tmp_path, rows, {A: 0}), quiet)
    with pytest.raises(BuildError, match="no batch"):
        describe_batch(tmp_path / "out").make_payload([Did(A)], 1, 0)
