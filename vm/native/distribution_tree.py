"""The bytes of a distribution: leaves, shards and the epoch root, and what a proof of a leaf says about its place.

leaf        kind, 1 byte ‖ id, 20 bytes ‖ lifetime total, 8 bytes ‖ lifetime totals of all leaves before it, 8 bytes
shard       RFC 6962 tree over the leaves of a shard in ascending order of kind ‖ id
shard leaf  root of the shard, 32 bytes ‖ total of the shard, 8 bytes
epoch root  RFC 6962 tree over the 256 shard leaves

Numbers are big-endian. A beneficiary's shard is the first byte of SHA-256(kind ‖ id). A shard without leaves has the
root of the empty list and the total 0. Every leaf carries the sum of those before it, so that any wrong order and any
wrong sum shows in one leaf or in two neighbours, however large the shard: that is what the chain can be shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, unique
from hashlib import sha256
from typing import Annotated, Final, NewType

from annotated_types import Interval, Len

from ledger.merkle import InclusionPath, Sibling, build_proof, compute_leaf_hash, compute_path_root, compute_root
from ledger.primitives import INTEGER_MAX, Grains, RootHash

SHARD_BITS: Final = 8
SHARDS: Final = 2**SHARD_BITS  # a node recomputes one shard of 68 million beneficiaries in seconds
ID_BYTES: Final = 20
_AMOUNT_BYTES: Final = 8

GAS_PROOF_HASH: Final = 50  # decode a hash or a shard and hash with it, 2 us: `make bench S=distribution-claim`
"""One price wherever the chain hashes what a call brings of a tree: claims, challenges, roots, records of mining."""

BeneficiaryId = NewType("BeneficiaryId", Annotated[bytes, Len(ID_BYTES, ID_BYTES)])
"""An account's address, or an identity."""
ShardNumber = Annotated[int, Interval(ge=0, le=SHARDS - 1)]
Hash = Annotated[bytes, Len(32, 32)]


@unique
class BeneficiaryKind(IntEnum):
    """What is paid; wire number, never reused."""

    ACCOUNT = 1
    DID = 2


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a beneficiary has earned from a source in all its life, and what all leaves before it have."""

    kind: BeneficiaryKind
    id: BeneficiaryId
    lifetime_grains: Grains
    before_grains: Grains


@dataclass(frozen=True, slots=True)
class Shard:
    """What a root says of a shard."""

    root: RootHash
    total_grains: Grains


EMPTY_SHARD: Final = Shard(compute_root([]), Grains(0))
Shards = Annotated[tuple[Shard, ...], Len(SHARDS, SHARDS)]


@dataclass(frozen=True, slots=True)
class ProvenShard:
    """A shard with the hashes that lead from it to the epoch root."""

    number: ShardNumber
    shard: Shard
    path: Annotated[tuple[Hash, ...], Len(SHARD_BITS, SHARD_BITS)]
    """Siblings from the shard upwards; their sides are the bits of the number."""


@dataclass(frozen=True, slots=True)
class ProvenLeaf:
    """A leaf with what proves that it stands under an epoch root."""

    leaf: Leaf
    path: InclusionPath
    """From the leaf to the root of its shard."""
    shard: ProvenShard


def encode_key(kind: int, identifier: bytes) -> bytes:
    """By which leaves are ordered: 21 bytes."""
    return bytes([kind]) + identifier


def compute_shard_number(kind: int, identifier: bytes) -> int:
    """The shard of a beneficiary."""
    return sha256(encode_key(kind, identifier)).digest()[0]


def encode_leaf(leaf: Leaf) -> bytes:
    """The 37 bytes of a leaf."""
    amounts = (leaf.lifetime_grains, leaf.before_grains)
    return encode_key(leaf.kind, leaf.id) + b"".join(each.to_bytes(_AMOUNT_BYTES, "big") for each in amounts)


def encode_shard(shard: Shard) -> bytes:
    """The 40 bytes of a shard leaf."""
    return shard.root + shard.total_grains.to_bytes(_AMOUNT_BYTES, "big")


def compute_epoch_root(shards: tuple[Shard, ...]) -> RootHash:
    """The root over all shards, in order of their numbers."""
    assert len(shards) == SHARDS, "every shard stands in a root"
    return compute_root([compute_leaf_hash(encode_shard(each)) for each in shards])


def build_shard(leaves: list[tuple[int, bytes, int]]) -> tuple[Shard, tuple[Leaf, ...]]:
    """A shard and its leaves from (kind, id, lifetime in grains) in ascending order; the whole of it in memory."""
    built: list[Leaf] = []
    total = 0
    for kind, identifier, lifetime in leaves:
        built.append(Leaf(BeneficiaryKind(kind), BeneficiaryId(identifier), Grains(lifetime), Grains(total)))
        total += lifetime
    assert total <= INTEGER_MAX, "there are fewer grains"
    hashes = [compute_leaf_hash(encode_leaf(each)) for each in built]
    return Shard(compute_root(hashes), Grains(total)), tuple(built)


def prove_shard(shards: Sequence[Shard], number: int) -> ProvenShard:
    """A shard with its way to the root over all shards."""
    assert len(shards) == SHARDS, "every shard stands in a root"
    proof = build_proof([compute_leaf_hash(encode_shard(each)) for each in shards], number)
    return ProvenShard(number, shards[number], proof.path)


def is_shard_proven(proven: ProvenShard, root: RootHash) -> bool:
    """Whether a root has this shard at this number."""
    siblings = tuple(Sibling(bool(proven.number >> bit & 1), each) for bit, each in enumerate(proven.path))
    leaf_hash = compute_leaf_hash(encode_shard(proven.shard))
    return compute_path_root(InclusionPath(siblings), leaf_hash) == root


def is_leaf_proven(proven: ProvenLeaf, root: RootHash) -> bool:
    """Whether a root has this leaf, in whichever shard and place."""
    leaf_hash = compute_leaf_hash(encode_leaf(proven.leaf))
    is_in_shard = compute_path_root(proven.path, leaf_hash) == proven.shard.shard.root
    return is_in_shard and is_shard_proven(proven.shard, root)


# Where leaves of one shard stand, by the sides of their paths from the root down: True is to the right


def is_first(path: InclusionPath) -> bool:
    """Whether no leaf of the shard stands before this one."""
    return not any(each.is_left for each in path.siblings)


def is_last(path: InclusionPath) -> bool:
    """Whether no leaf of the shard stands after this one."""
    return all(each.is_left for each in path.siblings)


def is_before(left: InclusionPath, right: InclusionPath) -> bool:
    """Whether one leaf of a shard stands before another. No path is the beginning of another: leaves are no nodes."""
    return _list_turns(left) < _list_turns(right)


def is_next(left: InclusionPath, right: InclusionPath) -> bool:
    """Whether one leaf of a shard stands right before another."""
    first, second = _list_turns(left), _list_turns(right)
    common = next((index for index, (one, other) in enumerate(zip(first, second, strict=False)) if one != other), None)
    return common is not None and not first[common] and all(first[common + 1 :]) and not any(second[common:][1:])


def _list_turns(path: InclusionPath) -> list[bool]:
    return [each.is_left for each in reversed(path.siblings)]
