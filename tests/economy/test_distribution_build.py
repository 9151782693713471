"""Building distributions: the same root as by hand, whatever is killed, and nothing wrong is built."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from economy.distribution_build import BuildOptions, build_distribution, recompute_shard
from economy.distribution_manifest import UnusableError, encode_manifest, hash_manifest, read_manifest
from economy.distribution_shards import build_leaf_proof, get_shard_path, iterate_leaves, read_shard
from economy.duckdb_connection import EngineLimits
from ledger.primitives import INTEGER_MAX
from tests.distribution_scene import distribute
from tests.economy.records import add_up, beneficiary, draw_rows, key_of, write_records
from vm.native.distribution_tree import SHARDS, BeneficiaryKind, compute_shard_number, is_leaf_proven

OPTIONS = BuildOptions(limits=EngineLimits(memory_mb=500))
FIRST, SECOND, THIRD = (draw_rows(seed, 700, count) for seed, count in (("a", 1_500), ("b", 900), ("c", 800)))


def build(records, previous, directory, options=OPTIONS):
    return build_distribution(records, previous, directory, options, lambda *_: None)


@pytest.fixture(scope="module")
def epochs(tmp_path_factory):
    """Two epochs: the first of two files, the second of one."""
    home = tmp_path_factory.mktemp("epochs")
    files = [write_records(home / name, rows) for name, rows in zip("abc", (FIRST, SECOND, THIRD), strict=True)]
    first, _ = build(files[:2], None, home / "1")
    second, _ = build(files[2:], home / "1", home / "2")
    return home, files, first, second


def refuse(match, rows, tmp_path, previous=None):
    records = write_records(tmp_path / "records", rows)
    with pytest.raises(UnusableError, match=match):
        build([records], previous, tmp_path / "out")


def test_the_root_is_the_one_that_is_computed_by_hand(epochs):
    home, _, first, second = epochs
    for manifest, expected in (
        (first, distribute(add_up(FIRST, SECOND))),
        (second, distribute(add_up(FIRST, SECOND, THIRD))),
    ):
        assert (manifest.root, manifest.lifetime_total_grains) == (expected.root, expected.total_grains)
        assert [each.as_shard() for each in manifest.shards] == expected.shards
    leaves = [tuple(iterate_leaves(read_shard(home / "2", second, number))) for number in range(SHARDS)]
    assert leaves == distribute(add_up(FIRST, SECOND, THIRD)).leaves
    assert sum(each.records for each in first.shards) == len(FIRST) + len(SECOND)
    assert sum(each.records for each in second.shards) == len(THIRD)


def test_what_is_left_is_the_manifest_and_the_shards(epochs):
    home, *_ = epochs
    assert sorted(each.name for each in (home / "2").iterdir()) == ["manifest.json", "plan.json", "shards"]
    assert len(list((home / "2" / "shards").iterdir())) == SHARDS


def test_order_and_division_of_the_records_make_no_difference(epochs, tmp_path):
    _, _, first, _ = epochs
    mixed = [write_records(tmp_path / "all", [*SECOND, *FIRST][::-1])]
    assert build(mixed, None, tmp_path / "out")[0].root == first.root


def test_the_manifest_has_one_form_and_names_the_epoch_before(epochs):
    home, _, first, second = epochs
    read, manifest_hash = read_manifest(home / "1")
    assert (read, manifest_hash) == (first, hash_manifest(encode_manifest(first)))
    assert second.plan.previous_manifest == manifest_hash.hex()


def test_file_names_are_not_part_of_the_manifest(epochs, tmp_path):
    _, files, first, _ = epochs
    copies = [tmp_path / f"{each.name} elsewhere" for each in files[1::-1]]
    for copy, original in zip(copies, files[1::-1], strict=True):
        copy.write_bytes(original.read_bytes())
    assert build(copies, None, tmp_path / "out")[0] == first


def test_proofs_come_from_one_shard_file_and_are_what_the_chain_checks(epochs):
    home, _, _, second = epochs
    expected = distribute(add_up(FIRST, SECOND, THIRD))
    for number in range(12):
        kind, identifier = key_of(beneficiary(number))
        proven = build_leaf_proof(home / "2", second, BeneficiaryKind(kind), identifier)
        assert proven == expected.prove_key((kind, identifier))
        assert is_leaf_proven(proven, second.root)
    with pytest.raises(UnusableError, match="has earned nothing"):
        build_leaf_proof(home / "2", second, BeneficiaryKind.DID, bytes(20))


def test_a_shard_is_recomputed_from_the_inputs(epochs):
    home, files, _, second = epochs
    for number in (0, 77, 255):
        assert recompute_shard(files[2:], home / "1", home / "2", number, OPTIONS) == second.shards[number]
    with pytest.raises(UnusableError, match="not the inputs"):
        recompute_shard(files[:1], None, home / "2", 0, OPTIONS)


def test_a_wrong_shard_file_gives_no_proof_and_no_next_epoch(epochs, tmp_path):
    home, files, first, _ = epochs
    copy = tmp_path / "copy"
    shutil.copytree(home / "1", copy)
    kind, identifier = key_of(beneficiary(1))
    number = compute_shard_number(kind, identifier)
    get_shard_path(copy, number).write_bytes(get_shard_path(copy, (number + 1) % SHARDS).read_bytes())
    with pytest.raises(UnusableError):
        build_leaf_proof(copy, first, BeneficiaryKind(kind), identifier)
    with pytest.raises(UnusableError, match=f"are not those of shard {number}"):
        build(files[2:], copy, tmp_path / "out")


def change_row(directory: Path, encoded: bytes) -> int:
    """Give a beneficiary a grain more in the file of its shard, whose number is returned, and in nothing else."""
    number = compute_shard_number(*key_of(encoded))
    path = get_shard_path(directory, number)
    table = pq.read_table(path)
    rows = [
        {**row, "lifetime_grains": row["lifetime_grains"] + (row["beneficiary"] == encoded)}
        for row in table.to_pylist()
    ]
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)
    return number


def test_lifetimes_of_the_epoch_before_are_those_of_its_root(epochs, tmp_path):
    """Rows that were changed under the metadata of the right ones, handed to an attester who builds and verifies."""
    home, files, *_ = epochs
    shutil.copytree(home / "1", tmp_path / "1")
    number = change_row(tmp_path / "1", beneficiary(1))
    match = f"file of shard {number} in .* is not the one of its manifest"
    with pytest.raises(UnusableError, match=match):
        build(files[2:], tmp_path / "1", tmp_path / "out")
    with pytest.raises(UnusableError, match=match):
        recompute_shard(files[2:], tmp_path / "1", home / "2", number, OPTIONS)


def test_a_file_more_in_the_epoch_before_counts_nothing(epochs, tmp_path):
    home, files, _, second = epochs
    shutil.copytree(home / "1", tmp_path / "1")
    shutil.copy(get_shard_path(home / "1", 0), tmp_path / "1" / "shards" / "256.parquet")
    assert build(files[2:], tmp_path / "1", tmp_path / "out")[0] == second


def test_a_missing_file_of_the_epoch_before_is_noticed(epochs, tmp_path):
    home, files, *_ = epochs
    shutil.copytree(home / "1", tmp_path / "1")
    get_shard_path(tmp_path / "1", 9).unlink()
    with pytest.raises(UnusableError, match=r"009\.parquet"):
        build(files[2:], tmp_path / "1", tmp_path / "out")


def test_a_build_does_not_go_on_with_a_changed_shard(epochs, tmp_path):
    home, files, *_ = epochs
    shutil.copytree(home / "1", tmp_path / "1")
    (tmp_path / "1" / "manifest.json").unlink()
    number = change_row(tmp_path / "1", beneficiary(1))
    with pytest.raises(UnusableError, match=rf"{number:03}\.parquet is damaged"):
        build(files[:2], None, tmp_path / "1")


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([(beneficiary(0), -1)], "negative"),
        ([(beneficiary(0), None)], "has no amount"),
        ([(None, 1)], "0x is no beneficiary"),
        ([(beneficiary(0)[:20], 1)], "is no beneficiary"),
        ([(bytes([3]) + bytes(20), 1)], "is no beneficiary"),
        ([(beneficiary(0), INTEGER_MAX), (beneficiary(0), 1)], "more than there can be"),
        ([(beneficiary(0), INTEGER_MAX)] * 40, "more than there can be"),
        ([(beneficiary(0), INTEGER_MAX), (beneficiary(1), 1)], "all together have earned"),
    ],
)
def test_bad_records_are_refused(rows, match, tmp_path):
    refuse(match, rows, tmp_path)


def test_a_negative_amount_is_seen_though_the_total_is_positive(tmp_path):
    refuse("negative", [(beneficiary(0), 5), (beneficiary(0), -1)], tmp_path)


def test_who_has_earned_nothing_has_no_leaf(tmp_path):
    records = write_records(tmp_path / "records", [(beneficiary(0), 0), (beneficiary(1), 4)])
    manifest, _ = build([records], None, tmp_path / "out")
    assert sum(each.leaves for each in manifest.shards) == 1
    assert manifest.root == distribute({key_of(beneficiary(1)): 4}).root


def test_the_largest_total_is_built(tmp_path):
    rows = [(beneficiary(0), INTEGER_MAX - 1), (beneficiary(1), 1)]
    manifest, _ = build([write_records(tmp_path / "records", rows)], None, tmp_path / "out")
    assert manifest.lifetime_total_grains == INTEGER_MAX


def test_nothing_is_paid_twice(epochs, tmp_path):
    home, files, *_ = epochs
    copy = tmp_path / "copy"
    copy.write_bytes(files[0].read_bytes())
    with pytest.raises(UnusableError, match="would be paid twice"):
        build([files[0], copy], None, tmp_path / "out")
    with pytest.raises(UnusableError, match="was paid with the epoch before"):
        build([copy], home / "1", tmp_path / "out")


def test_what_is_not_a_file_of_records_is_refused(tmp_path):
    no_parquet = tmp_path / "text"
    no_parquet.write_text("beneficiary")
    other = tmp_path / "other"
    pq.write_table(pa.table({"beneficiary": ["a"], "amount_grains": [1.5], "reference": [""]}), other)
    columns = tmp_path / "columns"
    pq.write_table(pa.table({"beneficiary": [b"a"]}), columns)
    for path, match in (
        (no_parquet, "text"),
        (other, "is binary"),
        (columns, "no column amount_grains"),
        (tmp_path / "none", "none"),
    ):
        with pytest.raises(UnusableError, match=match):
            build([path], None, tmp_path / "out")


def test_a_directory_holds_one_build(epochs, tmp_path):
    home, files, first, _ = epochs
    assert build(files[:2], None, home / "1")[0] == first
    with pytest.raises(UnusableError, match="other inputs"):
        build(files[:1], None, home / "1")
    (tmp_path / "something").write_text("else")
    with pytest.raises(UnusableError, match="is not empty"):
        build(files[:1], None, tmp_path)


def test_a_contradicting_manifest_is_refused(epochs, tmp_path):
    home, *_ = epochs
    text = (home / "1" / "manifest.json").read_text()
    total = distribute(add_up(FIRST, SECOND)).total_grains
    for wrong in (
        text.replace(str(total), str(total + 1)),
        text + " ",
        "{}",
        text.replace('"version": 1', '"version": 2'),
        "[" * 100_000,
        "[]",
        text.replace('"leaves": ', '"leaves": "', 1).replace(',\n   "records"', '",\n   "records"', 1),
        text.replace('"totalGrains": "', '"totalGrains": "-', 1),
        text.replace('"totalGrains": "', f'"totalGrains": "{10**19}', 1),
        text.replace('"previousManifest": null', '"previousManifest": 5'),
        re.sub('"totalGrains": "[0-9]+"', '"totalGrains": 1e999', text),
    ):
        (tmp_path / "manifest.json").write_text(wrong)
        with pytest.raises(UnusableError):
            read_manifest(tmp_path)


def test_a_build_that_was_killed_goes_on(tmp_path):
    """SIGKILL while shards are hashed, and once more while the engine adds up."""
    rows = draw_rows("kill", 60_000, 60_000)
    records = write_records(tmp_path / "records", rows)
    out = tmp_path / "out"
    program = (
        "import sys; from pathlib import Path; from economy.distribution_build import *\n"
        "build_distribution([Path(sys.argv[1])], None, Path(sys.argv[2]), BuildOptions(), lambda *_: None)"
    )
    command = [sys.executable, "-c", program, str(records), str(out)]

    def kill_when(is_time):
        process = subprocess.Popen(command)
        deadline = time.monotonic() + 60
        while not is_time() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL

    def list_shards() -> dict[Path, int]:
        return {each: each.stat().st_mtime_ns for each in (out / "shards").glob("*.parquet")}

    kill_when(lambda: (out / "earned.part").exists())
    assert not list_shards()
    kill_when(lambda: len(list_shards()) >= 5)
    done = list_shards()
    assert 5 <= len(done) < SHARDS
    subprocess.run(command, check=True, timeout=120, env=os.environ)
    manifest, _ = read_manifest(out)
    assert manifest.root == distribute(add_up(rows)).root
    assert done.items() <= list_shards().items()
    assert sorted(each.name for each in out.iterdir()) == ["manifest.json", "plan.json", "shards"]


ODD_NAMES = [
    "day-[2].parquet",
    "day-?.parquet",
    "*.parquet",
    "{day-2,x}.parquet",
    "day's.parquet",
    "amount_grains=9/day.parquet",
    "reference=9/beneficiary=x/day.parquet",
]
"""Patterns for engines that look for files, and directories that would be columns of a data set."""


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_of_files_and_directories_change_nothing(name, tmp_path):
    write_records(tmp_path / "day-2.parquet", [(beneficiary(3), 100)])
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    out = tmp_path / "lifetime_grains=8" / "[out]"
    first, _ = build([write_records(path, [(beneficiary(4), 7)])], None, out)
    assert first.root == distribute({key_of(beneficiary(4)): 7}).root
    second, _ = build([tmp_path / "day-2.parquet"], out, tmp_path / "next")
    assert second.root == distribute({key_of(beneficiary(4)): 7, key_of(beneficiary(3)): 100}).root


def test_two_columns_of_one_name_are_refused(tmp_path):
    path = tmp_path / "records"
    amounts = {"amount_grains": [1], "Amount_Grains": [2]}
    pq.write_table(pa.table({"beneficiary": [beneficiary(0)], **amounts, "reference": [""]}), path)
    with pytest.raises(UnusableError, match="two columns of the same name"):
        build([path], None, tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 40])
def test_a_damaged_shard_is_told_of_in_a_sentence(epochs, tmp_path, content):
    home, files, first, _ = epochs
    shutil.copytree(home / "1", tmp_path / "1")
    kind, identifier = key_of(beneficiary(1))
    path = get_shard_path(tmp_path / "1", compute_shard_number(kind, identifier))
    path.write_bytes(content)
    with pytest.raises(UnusableError, match="is no file of a shard"):
        build_leaf_proof(tmp_path / "1", first, BeneficiaryKind(kind), identifier)
    with pytest.raises(UnusableError, match="is no file of a shard"):
        build(files[2:], tmp_path / "1", tmp_path / "out")
    (tmp_path / "1" / "manifest.json").unlink()
    with pytest.raises(UnusableError, match="is no file of a shard"):
        build(files[:2], None, tmp_path / "1")


def test_sums_that_were_damaged_are_told_of_in_a_sentence(epochs, tmp_path):
    _, files, *_ = epochs

    def stop(what: str, done: int, _: int) -> None:
        if (what, done) == ("hashing shards", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_distribution(files[:2], None, tmp_path / "out", OPTIONS, stop)
    next(
        (tmp_path / "out" / "earned" / f"shard={compute_shard_number(*key_of(beneficiary(1))):02x}").iterdir()
    ).write_bytes(b"PAR1")
    with pytest.raises(UnusableError, match="is damaged, build in a new directory"):
        build(files[:2], None, tmp_path / "out")


def test_a_damaged_file_of_records_is_refused(tmp_path):
    """Its footer is whole, its pages are not."""
    path = write_records(tmp_path / "records", draw_rows("damage", 100, 1_000))
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(2_000) + content[2_004:])
    with pytest.raises(UnusableError, match="these records cannot be added up"):
        build([path], None, tmp_path / "out")
