"""Finds what is wrong with a root in what was published of it, and proves it in as few bytes as there are.

What is published is a build's directory: manifest and shard files. A file of a wrong root may have the column
`before_grains` beside those of a right one, because sums that do not follow from the lifetimes cannot be told without.
Only what makes up the root's own hashes is believed; faults that a directory's files have and its root has not are
none.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from economy.distribution_manifest import Manifest, UnusableError, read_manifest
from economy.distribution_shards import BENEFICIARY_BYTES, get_shard_path, prove_manifest_shard, read_table
from ledger.codec import encode
from ledger.merkle import build_inclusion_path, compute_leaf_hash, compute_root
from ledger.primitives import Grains
from vm.native.distribution import Challenge
from vm.native.distribution_faults import Fault
from vm.native.distribution_records import SourceId
from vm.native.distribution_tree import (
    SHARDS,
    BeneficiaryId,
    BeneficiaryKind,
    Leaf,
    ProvenLeaf,
    compute_shard_number,
    encode_key,
    encode_leaf,
)


@dataclass(frozen=True, slots=True)
class PublishedShard:
    """The leaves of a shard in the order they are hashed in, and their hashes, which give the root in the manifest."""

    leaves: list[Leaf]
    hashes: list[bytes]
    keys: list[bytes]


@dataclass(frozen=True, slots=True)
class FoundFault:
    """What is wrong, and the places that show it."""

    fault: Fault
    shard: int
    places: tuple[int, ...]
    """Of leaves in the shard."""
    base_place: int | None = None
    """Of a leaf in the same shard of the root before."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What the chain cannot be shown: a lifetime total that does not follow from the inputs."""

    shard: int
    beneficiary: bytes
    published_grains: int
    """0: it has no leaf."""
    own_grains: int


def find_challenge(
    source: SourceId, number: int, published: Path, previous: Path | None, shards: Iterable[int]
) -> Challenge | None:
    """The challenge with the shortest proof among the first faults of each kind; raises UnusableError.

    `previous` is a build of the root before. None: these shards have no fault that the chain can be shown.
    """
    manifest, _ = read_manifest(published)
    base = None if previous is None else read_manifest(previous)[0]
    found: dict[Fault, Challenge] = {}
    for shard in shards:
        leaves = read_published(published, manifest, shard)
        base_leaves = None if previous is None or base is None else read_published(previous, base, shard)
        for fault in _iterate_faults(shard, leaves, manifest.shards[shard].total_grains, base_leaves):
            if fault.fault not in found:
                found[fault.fault] = _prove(source, number, fault, leaves, manifest, base_leaves, base)
    return min(found.values(), key=lambda each: len(encode(each)), default=None)


def list_differing_shards(published: Path, own: Path) -> list[int]:
    """Shards whose root or total is another one in an own build of the same inputs; raises UnusableError."""
    theirs, ours = read_manifest(published)[0].list_shards(), read_manifest(own)[0].list_shards()
    return [number for number in range(SHARDS) if theirs[number] != ours[number]]


def find_difference(published: Path, own: Path, shards: Iterable[int]) -> Difference | None:
    """The first beneficiary of whom an own build says otherwise; raises UnusableError."""
    theirs, ours = read_manifest(published)[0], read_manifest(own)[0]
    for shard in shards:
        left, right = (
            {key: leaf.lifetime_grains for key, leaf in zip(found.keys, found.leaves, strict=True)}
            for found in (read_published(published, theirs, shard), read_published(own, ours, shard))
        )
        for key in sorted(left.keys() | right.keys()):
            if left.get(key) != right.get(key):
                return Difference(shard, key, left.get(key, 0), right.get(key, 0))
    return None


def read_published(directory: Path, manifest: Manifest, number: int) -> PublishedShard:
    """A shard as its root has it; raises UnusableError when the file is of another root."""
    path = get_shard_path(directory, number)
    table = read_table(path)
    beneficiaries: list[bytes] = _take_column(table, "beneficiary", _is_bytes, path)
    lifetimes: list[int] = _take_column(table, "lifetime_grains", pa.types.is_integer, path)
    befores: list[int] = (
        _take_column(table, "before_grains", pa.types.is_integer, path)
        if "before_grains" in table.column_names
        else list(accumulate(lifetimes, initial=0))[: len(lifetimes)]
    )
    if any(len(each) != BENEFICIARY_BYTES for each in beneficiaries):
        raise UnusableError(f"{path} is no file of a shard: a beneficiary has {BENEFICIARY_BYTES} bytes")
    try:
        leaves = [
            Leaf(BeneficiaryKind(each[0]), BeneficiaryId(each[1:]), Grains(lifetime), Grains(before))
            for each, lifetime, before in zip(beneficiaries, lifetimes, befores, strict=True)
        ]
        hashes: list[bytes] = [compute_leaf_hash(encode_leaf(each)) for each in leaves]
    except (ValueError, OverflowError) as error:  # a kind that there is not, a negative amount
        raise UnusableError(f"{path} is no file of a shard: {error}") from None
    if compute_root(hashes) != manifest.shards[number].root:
        raise UnusableError(f"{path} is not of the root in the manifest: ask whoever published it for the right one")
    return PublishedShard(leaves, hashes, [encode_key(leaf.kind, leaf.id) for leaf in leaves])


def _take_column(table: pa.Table, name: str, is_kind: Callable[[pa.DataType], bool], path: Path) -> list[Any]:
    if table.column_names.count(name) != 1 or not is_kind(table[name].type):
        raise UnusableError(f"{path} is no file of a shard: it has no column {name}, or of another type")
    values: list[Any] = table[name].to_pylist()
    return values


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _iterate_faults(
    shard: int, found: PublishedShard, total_grains: int, base: PublishedShard | None
) -> Iterator[FoundFault]:
    """Those of the shard itself first: what is compared with the root before takes its order for granted."""
    faults = list(_iterate_own_faults(shard, found, total_grains))
    yield from faults
    if base is not None and not any(each.fault is Fault.WRONG_ORDER for each in faults):
        yield from _iterate_base_faults(shard, found, base)


def _iterate_own_faults(shard: int, found: PublishedShard, total_grains: int) -> Iterator[FoundFault]:
    leaves = found.leaves
    for place, leaf in enumerate(leaves):
        if compute_shard_number(leaf.kind, leaf.id) != shard:
            yield FoundFault(Fault.WRONG_SHARD, shard, (place,))
    if leaves and leaves[0].before_grains != 0:
        yield FoundFault(Fault.WRONG_SUM, shard, (0,))
    if leaves and _sum_through(leaves[-1]) != total_grains:
        yield FoundFault(Fault.WRONG_SUM, shard, (len(leaves) - 1,))
    for place, (left, right) in enumerate(pairwise(leaves)):
        if found.keys[place] >= found.keys[place + 1]:
            yield FoundFault(Fault.WRONG_ORDER, shard, (place, place + 1))
        if _sum_through(left) != right.before_grains:
            yield FoundFault(Fault.WRONG_SUM, shard, (place, place + 1))


def _iterate_base_faults(shard: int, found: PublishedShard, base: PublishedShard) -> Iterator[FoundFault]:
    for base_place, (key, leaf) in enumerate(zip(base.keys, base.leaves, strict=True)):
        place = bisect_left(found.keys, key)
        if place < len(found.keys) and found.keys[place] == key:
            if found.leaves[place].lifetime_grains < leaf.lifetime_grains:
                yield FoundFault(Fault.LOWERED, shard, (place,), base_place)
        else:
            neighbours = tuple(each for each in (place - 1, place) if 0 <= each < len(found.keys))
            yield FoundFault(Fault.LEFT_OUT, shard, neighbours, base_place)


def _prove(
    source: SourceId,
    number: int,
    fault: FoundFault,
    found: PublishedShard,
    manifest: Manifest,
    base_found: PublishedShard | None,
    base: Manifest | None,
) -> Challenge:
    leaves = tuple(_prove_leaf(found, manifest, fault.shard, place) for place in fault.places)
    base_leaf = None
    if fault.base_place is not None:
        assert base_found is not None and base is not None, "a fault against the root before was found in it"
        base_leaf = _prove_leaf(base_found, base, fault.shard, fault.base_place)
    empty = prove_manifest_shard(manifest, fault.shard) if not leaves else None
    return Challenge(source, number, fault.fault, leaves, base_leaf, empty)


def _prove_leaf(found: PublishedShard, manifest: Manifest, shard: int, place: int) -> ProvenLeaf:
    path = build_inclusion_path(found.hashes, place)
    return ProvenLeaf(found.leaves[place], path, prove_manifest_shard(manifest, shard))


def _sum_through(leaf: Leaf) -> int:
    return leaf.before_grains + leaf.lifetime_grains
