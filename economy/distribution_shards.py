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
from ledger.primitives import INTEGER_MAX, Grains, RootHash
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


def get_shard_path(directory: Path, number: int) -> Path:
    """Where a build keeps a shard."""
    return directory / "shards" / f"{number:03}.parquet"


def arrange_rows(lifetimes: pa.Table, number: int) -> tuple[ShardRows, int]:
    """Rows in order from an engine's totals, and how many records they are of; raises UnusableError for bad records."""
    if lifetimes.num_rows == 0:
        return ShardRows([], []), 0
    assert all(lifetimes[name].type == _SUM_TYPE for name in TOTAL_COLUMNS), "integers only"
    if pc.sum(lifetimes["missing"]).as_py():
        raise UnusableError("a record has no amount")
    if pc.min(lifetimes["lowest_grains"]).as_py() < 0:
        raise UnusableError("a record has a negative amount")
    highest = pc.max(lifetimes["lifetime_grains"]).as_py()
    if highest > INTEGER_MAX:
        raise UnusableError(f"a beneficiary has earned {highest} grains, more than there can be")
    earned = lifetimes.filter(pc.greater(lifetimes["lifetime_grains"], pa.scalar(0, pa.int64())))
    ordered = earned.take(pc.sort_indices(earned["beneficiary"].combine_chunks()))
    beneficiaries: list[bytes] = ordered["beneficiary"].to_pylist()
    amounts: list[int] = ordered["lifetime_grains"].cast(pa.int64()).to_pylist()
    _check_beneficiaries(beneficiaries, number)
    if sum(amounts) > INTEGER_MAX:
        raise UnusableError(f"shard {number} has earned {sum(amounts)} grains, more than there can be")
    return ShardRows(beneficiaries, amounts), int(pc.sum(lifetimes["records"]).as_py())


def _check_beneficiaries(beneficiaries: list[bytes], number: int) -> None:
    kinds = {int(each) for each in BeneficiaryKind}
    for each in beneficiaries:
        if len(each) != BENEFICIARY_BYTES or each[0] not in kinds:
            raise UnusableError(f"0x{each.hex()} is no beneficiary: a byte for the kind and {ID_BYTES} for the id")
        assert sha256(each).digest()[0] == number, "the engine has the rule of shards"
    assert all(left < right for left, right in pairwise(beneficiaries)), "grouped, in order"


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
    values = (summary.root.hex(), str(summary.total_grains), str(summary.leaves), str(summary.records))
    metadata = dict(zip(_SUMMARY_KEYS, (each.encode() for each in values), strict=True))
    columns = [pa.array(rows.beneficiaries, _SCHEMA.field(0).type), pa.array(rows.lifetimes, pa.int64())]
    table = pa.Table.from_arrays(columns, schema=_SCHEMA.with_metadata(metadata))
    put_file(path, lambda part: pq.write_table(table, part, compression="zstd"))


def read_summary(path: Path) -> ShardSummary:
    """What a shard file says of itself."""
    metadata = pq.read_schema(path).metadata or {}
    if any(key not in metadata for key in _SUMMARY_KEYS):
        raise UnusableError(f"{path} is no shard file")
    root, total, leaves, records = (metadata[key].decode() for key in _SUMMARY_KEYS)
    return ShardSummary(RootHash(bytes.fromhex(root)), Grains(int(total)), int(leaves), int(records))


def read_shard(path: Path) -> ShardRows:
    """The rows of a shard file."""
    try:
        table = pq.read_table(path, columns=list(_SCHEMA.names))
    except (OSError, pa.ArrowInvalid) as error:
        raise UnusableError(f"{path}: {error}") from None
    return ShardRows(table["beneficiary"].to_pylist(), table["lifetime_grains"].to_pylist())


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
    rows = read_shard(get_shard_path(directory, number))
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
