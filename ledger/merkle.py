"""Merkle trees over lists, RFC 6962 section 2.1: leaf = SHA-256(0x00 ‖ bytes), node = SHA-256(0x01 ‖ left ‖ right)."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final

from annotated_types import Interval, Len

from ledger.primitives import EMPTY_ROOT, RootHash

_PATH_MAX: Final = 32  # 2^32 leaves


@dataclass(frozen=True, slots=True)
class ListProof:
    """That a leaf stands at an index of a list of `size` leaves (RFC 6962 2.1.1 audit path)."""

    index: Annotated[int, Interval(ge=0, le=2**32 - 1)]
    size: Annotated[int, Interval(ge=1, le=2**32 - 1)]
    path: Annotated[tuple[Annotated[bytes, Len(32, 32)], ...], Len(0, _PATH_MAX)]


@dataclass(frozen=True, slots=True)
class Sibling:
    """A hash beside the path from a leaf to the root."""

    is_left: bool
    hash: Annotated[bytes, Len(32, 32)]


@dataclass(frozen=True, slots=True)
class InclusionPath:
    """That a leaf stands in a list: the RFC 6962 audit path, from the leaf upwards, with the side of each sibling.

    The sides are what index and size of a `ListProof` are needed for. Those two are left out because the root does not
    bind them: leaf 0 of 5 has the same path as leaf 0 of 7. Every bit that is here is bound.
    """

    siblings: Annotated[tuple[Sibling, ...], Len(0, _PATH_MAX)]


def compute_leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 ‖ leaf)."""
    return sha256(b"\x00" + leaf).digest()


def compute_root(leaf_hashes: Sequence[bytes]) -> RootHash:
    """The tree's root; an odd node at the end of a level moves up unchanged, which is RFC 6962's split."""
    if not leaf_hashes:
        return EMPTY_ROOT
    level = list(leaf_hashes)
    while len(level) > 1:
        level = compute_next_level(level)
    return RootHash(level[0])


def build_proof(leaf_hashes: Sequence[bytes], index: int) -> ListProof:
    """The audit path of one leaf; raises IndexError outside the list."""
    if not 0 <= index < len(leaf_hashes):
        raise IndexError(index)
    path = []
    level, position = list(leaf_hashes), index
    while len(level) > 1:
        sibling = position ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level, position = compute_next_level(level), position // 2
    return ListProof(index, len(leaf_hashes), tuple(path))


def is_proof_valid(proof: ListProof, leaf_hash: bytes, root: bytes) -> bool:
    """Whether the leaf stands there in the list with this root."""
    if proof.index >= proof.size:
        return False
    digest, position, last, remaining = leaf_hash, proof.index, proof.size - 1, list(proof.path)
    while last:
        if position % 2 or position < last:
            if not remaining:
                return False
            sibling = remaining.pop(0)
            digest = sha256(b"\x01" + (sibling + digest if position % 2 else digest + sibling)).digest()
        position, last = position // 2, last // 2
    return not remaining and digest == root


def build_inclusion_path(leaf_hashes: Sequence[bytes], index: int) -> InclusionPath:
    """The path of one leaf; raises IndexError outside the list."""
    proof = build_proof(leaf_hashes, index)
    siblings, position, last = list(proof.path), index, proof.size - 1
    steps: list[Sibling] = []
    while last:
        if position % 2 or position < last:
            steps.append(Sibling(bool(position % 2), siblings[len(steps)]))
        position, last = position // 2, last // 2
    return InclusionPath(tuple(steps))


def compute_path_root(path: InclusionPath, leaf_hash: bytes) -> RootHash:
    """The root of the list in which the leaf stands, if the path is right."""
    digest = leaf_hash
    for sibling in path.siblings:
        pair = sibling.hash + digest if sibling.is_left else digest + sibling.hash
        digest = sha256(b"\x01" + pair).digest()
    return RootHash(digest)


def compute_next_level(level: Sequence[bytes]) -> list[bytes]:
    """The hashes above these; of a long level, any even number at a time."""
    pairs = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
    return pairs + list(level[len(level) - len(level) % 2 :])
