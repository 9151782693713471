"""Shard files: the lifetime totals of a shard's beneficiaries in the order of their leaves, and what is made of them.

A file is Parquet with the columns `beneficiary` (21 bytes) and `lifetime_grains`, and carries root, total and count in
its metadata. Root and proofs are computed from such a file alone.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate, pairwise
from pathlib import Path
from struct import Struct
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from economy.distribution_lifetimes import TOTAL_COLUMNS
from economy.distribution_manifest import Manifest, ShardSummary, UnusableError
from economy.whole_files import put_file
from ledger.merkle import build_inclusion_path, compute_root
from ledger.primitives import INTEGER_MAX, Grains
from vm.native.distribution_tree import (
    ID_BYTES,
    SHARDS,
    BeneficiaryId,
    BeneficiaryKind,
    Leaf,
    ProvenLeaf,
    ProvenShard,
    compute_shard_number,
    prove_shard,
)

BENEFICIARY_BYTES: Final = 1 + ID_BYTES
_LEAF: Final = Struct(f">c{BENEFICIARY_BYTES}sQQ")
"""What the hash of a leaf is over: 0 ‖ beneficiary ‖ lifetime total ‖ those before it, as in distribution_tree.py."""
_LEAF_PREFIX: Final = b"\0"
_KINDS: Final = frozenset(int(each) for each in BeneficiaryKind)
_COUNT_DIGITS_MAX: Final = 19  # of a number of records
_SCHEMA: Final = pa.schema(
    [
        pa.field("beneficiary", pa.binary(BENEFICIARY_BYTES), nullable=False),
        pa.field("lifetime_grains", pa.int64(), nullable=False),
    ]
)
_SUM_TYPE: Final = pa.decimal128(38, 0)
_SUMMARY_KEYS: Final = (b"carlive.root", b"carlive.total_grains", b"carlive.leaves", b"carlive.records")


@dataclass(frozen=True, slots=True)
class ShardRows:
    """Beneficiaries of a shard in ascending order, each once, with what they have earned: at least one grain each."""

    beneficiaries: list[bytes]
    lifetimes: list[int]


NO_ROWS: Final = ShardRows([], [])


def get_shard_path(directory: Path, number: int) -> Path:
    """Where a build keeps a shard."""
    return directory / "shards" / f"{number:03}.parquet"


def arrange_rows(earned: pa.Table, before: ShardRows, number: int) -> tuple[ShardRows, int]:
    """Rows in order from an engine's sums and the epoch before, and of how many records; raises UnusableError."""
    totals, records = dict(zip(before.beneficiaries, before.lifetimes, strict=True)), 0
    if earned.num_rows:
        paid = _take_paid(earned)
        beneficiaries: list[bytes] = paid["beneficiary"].to_pylist()
        _check_beneficiaries(beneficiaries)
        assert all(sha256(each).digest()[0] == number for each in beneficiaries), "the engine has the rule of shards"
        assert len(set(beneficiaries)) == len(beneficiaries), "grouped"
        for beneficiary, grains in zip(beneficiaries, paid["earned_grains"].to_pylist(), strict=True):
            totals[beneficiary] = totals.get(beneficiary, 0) + grains
        records = int(pc.sum(earned["records"]).as_py())
    total = sum(totals.values())
    if total > INTEGER_MAX:
        raise UnusableError(f"shard {number} has earned {total} grains, more than there can be")
    ordered = sorted(totals)
    return ShardRows(ordered, [totals[each] for each in ordered]), records


def _take_paid(earned: pa.Table) -> pa.Table:
    """Those who have earned something, in 64 bits; raises UnusableError for amounts that are none."""
    assert all(earned[name].type == _SUM_TYPE for name in TOTAL_COLUMNS), "integers only"
    if pc.sum(earned["missing"]).as_py():
        raise UnusableError("a record has no amount")
    if pc.min(earned["lowest_grains"]).as_py() < 0:
        raise UnusableError("a record has a negative amount")
    highest = pc.max(earned["earned_grains"]).as_py()
    if highest > INTEGER_MAX:
        raise UnusableError(f"a beneficiary has earned {highest} grains, more than there can be")
    amounts = earned["earned_grains"].cast(pa.int64())
    columns = pa.table({"beneficiary": earned["beneficiary"], "earned_grains": amounts})
    return columns.filter(pc.greater(amounts, pa.scalar(0, pa.int64())))


def _check_beneficiaries(beneficiaries: list[bytes]) -> None:
    for each in beneficiaries:
        if len(each) != BENEFICIARY_BYTES or each[0] not in _KINDS:
            raise UnusableError(f"0x{each.hex()} is no beneficiary: a byte for the kind and {ID_BYTES} for the id")


def hash_leaves(rows: ShardRows) -> list[bytes]:
    """The hashes of all leaves, in order; about a microsecond each."""
    befores = accumulate(rows.lifetimes, initial=0)
    pack = _LEAF.pack
    return [
        sha256(pack(_LEAF_PREFIX, beneficiary, lifetime, before)).digest()
        for beneficiary, lifetime, before in zip(rows.beneficiaries, rows.lifetimes, befores, strict=False)
    ]


def summarise(rows: ShardRows, records: int) -> ShardSummary:
    """Root, total and counts of a shard."""
    root = compute_root(hash_leaves(rows))
    return ShardSummary(root, Grains(sum(rows.lifetimes)), len(rows.lifetimes), records)


def write_shard(path: Path, rows: ShardRows, summary: ShardSummary) -> None:
    """Write a shard file, whole or not at all."""
    metadata = dict(zip(_SUMMARY_KEYS, _list_values(summary), strict=True))
    columns = [pa.array(rows.beneficiaries, _SCHEMA.field(0).type), pa.array(rows.lifetimes, pa.int64())]
    table = pa.Table.from_arrays(columns, schema=_SCHEMA.with_metadata(metadata))
    put_file(path, lambda part: pq.write_table(table, part, compression="zstd"))


def _list_values(summary: ShardSummary) -> list[bytes]:
    values = (summary.root.hex(), summary.total_grains, summary.leaves, summary.records)
    return [str(each).encode() for each in values]


def read_summary(path: Path, number: int) -> ShardSummary:
    """What a file of an interrupted build says of itself, and its rows do as well; raises UnusableError."""
    rows = _read_rows(path, number)
    metadata = pq.read_schema(path).metadata or {}
    values = [metadata.get(key, b"") for key in _SUMMARY_KEYS]
    records = values[-1]
    is_number = records.isdigit() and len(records) <= _COUNT_DIGITS_MAX
    summary = summarise(rows, int(records) if is_number else 0)
    if values != _list_values(summary):
        raise UnusableError(f"{path} is damaged: build in a new directory")
    return summary


def read_shard(directory: Path, manifest: Manifest, number: int) -> ShardRows:
    """The rows of a shard, of which the manifest has root, total and count; raises UnusableError."""
    rows, expected = _read_rows(get_shard_path(directory, number), number), manifest.shards[number]
    if summarise(rows, expected.records) != expected:
        raise UnusableError(f"the file of shard {number} in {directory} is not the one of its manifest")
    return rows


def _read_rows(path: Path, number: int) -> ShardRows:
    """Rows that can be those of a shard; raises UnusableError."""
    table = read_table(path)
    if not table.schema.equals(_SCHEMA):
        raise UnusableError(f"{path} is no file of a shard: its columns are not {', '.join(_SCHEMA.names)}")
    rows = ShardRows(table["beneficiary"].to_pylist(), table["lifetime_grains"].to_pylist())
    if not _is_arranged(rows, number):
        raise UnusableError(f"the rows of {path} are not those of shard {number}")
    return rows


def read_table(path: Path) -> pa.Table:
    """All columns of a Parquet file, in which nothing is missing; raises UnusableError."""
    try:
        with pq.ParquetFile(path) as file:  # as a data set it would have columns by the names of its directories
            table = file.read()
    except (OSError, pa.ArrowException) as error:
        raise UnusableError(f"{path} is no file of a shard: {error}") from None
    if any(column.null_count for column in table.columns):
        raise UnusableError(f"{path} is no file of a shard: something is missing in it")
    return table


def _is_arranged(rows: ShardRows, number: int) -> bool:
    """Whether these are beneficiaries of the shard, each once and in order, with totals that fit into leaves."""
    return (
        all(each[0] in _KINDS and sha256(each).digest()[0] == number for each in rows.beneficiaries)
        and all(left < right for left, right in pairwise(rows.beneficiaries))
        and min(rows.lifetimes, default=1) > 0
        and sum(rows.lifetimes) <= INTEGER_MAX
    )


def iterate_leaves(rows: ShardRows) -> Iterator[Leaf]:
    """The leaves of a shard, in order."""
    befores = accumulate(rows.lifetimes, initial=0)
    for beneficiary, lifetime, before in zip(rows.beneficiaries, rows.lifetimes, befores, strict=False):
        kind, identifier = BeneficiaryKind(beneficiary[0]), BeneficiaryId(beneficiary[1:])
        yield Leaf(kind, identifier, Grains(lifetime), Grains(before))


def build_leaf_proof(
    directory: Path, manifest: Manifest, kind: BeneficiaryKind, identifier: BeneficiaryId
) -> ProvenLeaf:
    """What a beneficiary claims with, from its shard's file and the manifest; raises UnusableError."""
    number = compute_shard_number(kind, identifier)
    rows = _read_rows(get_shard_path(directory, number), number)
    key = bytes([kind]) + identifier
    index = bisect_left(rows.beneficiaries, key)
    if index == len(rows.beneficiaries) or rows.beneficiaries[index] != key:
        raise UnusableError("this beneficiary has earned nothing")
    hashes = hash_leaves(rows)
    if compute_root(hashes) != manifest.shards[number].root:
        raise UnusableError(f"the file of shard {number} is not the one of the manifest")
    leaf = Leaf(kind, identifier, Grains(rows.lifetimes[index]), Grains(sum(rows.lifetimes[:index])))
    return ProvenLeaf(leaf, build_inclusion_path(hashes, index), prove_manifest_shard(manifest, number))


def prove_manifest_shard(manifest: Manifest, number: int) -> ProvenShard:
    """That a shard stands under the root of a manifest."""
    assert len(manifest.shards) == SHARDS, "manifests list all shards"
    return prove_shard(manifest.list_shards(), number)
