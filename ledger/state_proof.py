"""Proofs that a key has a value in the state, or has none, against a state root alone.

From the root downwards, each level tells the children beside the path. At the end of the path stands the key's own
leaf (inclusion), or an empty slot, or the leaf of another key whose path is the same so far (both absence).
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final

from annotated_types import Interval, Len

from ledger.primitives import HASH_BYTES, RootHash
from ledger.store_keys import value_store_key
from ledger.tree import (
    EMPTY_CHILD,
    HASH_MARK,
    NODE_DOMAIN,
    PATH_NIBBLES,
    STATE_KEY_BYTES_MAX,
    WIDTH,
    Load,
    Node,
    TreeDamagedError,
    compute_leaf_child,
    compute_path,
    load_node,
    load_root,
    split_nibbles,
)

STATE_VALUE_BYTES_MAX: Final = 2**20  # what a proof can carry; contracts and parameters are smaller
_SIBLINGS_MAX: Final = WIDTH - 1

Hash = Annotated[bytes, Len(HASH_BYTES, HASH_BYTES)]


class InvalidProof(ValueError):  # reads as the finding it is
    """This proof does not lead to this root, or is not in its one form; the message says where."""


@dataclass(frozen=True, slots=True)
class ProofLevel:
    """The children of one node beside the path."""

    siblings_bitmap: Annotated[int, Interval(ge=0, le=2**WIDTH - 1)]
    """Bit i is set when child i is filled; the path's own bit is never set."""
    siblings: Annotated[tuple[Hash, ...], Len(0, _SIBLINGS_MAX)]
    """Their hashes, in the order of the slots."""


@dataclass(frozen=True, slots=True)
class OtherLeaf:
    """The leaf of another key, at the end of a path where the asked key would stand."""

    key_hash: Hash
    value_hash: Hash


@dataclass(frozen=True, slots=True)
class StateProof:
    """What `check_state_proof` needs beside the root. A value of nil is a proof of absence."""

    key: Annotated[bytes, Len(0, STATE_KEY_BYTES_MAX)]
    value: Annotated[bytes, Len(0, STATE_VALUE_BYTES_MAX)] | None
    levels: Annotated[tuple[ProofLevel, ...], Len(1, PATH_NIBBLES)]
    """From the root downwards."""
    other_leaf: OtherLeaf | None
    """Absence only: the leaf in the way; nil when the slot is empty."""


def build_state_proof(load: Load, key: bytes, value: bytes | None) -> StateProof:
    """Proof of a key's value in the stored tree, or of its absence when value is None.

    `load` reads the store, nodes and values alike, as of the moment of `value`; raises TreeDamagedError if they differ.
    """
    path = compute_path(key)
    node = load_root(load)
    levels = [_list_siblings(node, path[0])]
    child, is_leaf, leaf_key = slot = node.get_slot(path[0])
    while child != EMPTY_CHILD and not is_leaf:
        depth = len(levels)
        node = load_node(load, path[:depth], slot)
        levels.append(_list_siblings(node, path[depth]))
        child, is_leaf, leaf_key = slot = node.get_slot(path[depth])
    other_leaf = None
    if is_leaf and leaf_key != key:
        other_leaf = _read_leaf(load, leaf_key)
    proof = StateProof(key, value, tuple(levels), other_leaf)
    if _compute_end_child(proof) != child:
        raise TreeDamagedError("a stored value is not the one that the state tree holds for its key")
    return proof


def check_state_proof(proof: StateProof, key: bytes, root: RootHash) -> bytes | None:
    """The value proven for this key, or None when its absence is proven; raises InvalidProof."""
    if proof.key != key:
        raise InvalidProof("the proof is about another key")
    path = compute_path(key)
    if not 1 <= len(proof.levels) <= PATH_NIBBLES:
        raise InvalidProof(f"a proof has 1 to {PATH_NIBBLES} levels")
    if proof.other_leaf is not None:
        _check_other_leaf(proof, proof.other_leaf)
    child = _compute_end_child(proof)
    for depth in reversed(range(len(proof.levels))):
        child = HASH_MARK + _compute_level_hash(proof.levels[depth], path[depth], child)
    if child != HASH_MARK + root:
        raise InvalidProof("the proof does not lead to this root")
    return proof.value


def _list_siblings(node: Node, nibble: int) -> ProofLevel:
    siblings_bitmap = node.filled & ~(1 << nibble)
    filled = [index for index in range(WIDTH) if siblings_bitmap >> index & 1]
    return ProofLevel(siblings_bitmap, tuple([node.get_slot(index)[0][len(HASH_MARK) :] for index in filled]))


def _read_leaf(load: Load, key: bytes) -> OtherLeaf:
    value = load(value_store_key(key))
    if value is None:
        raise TreeDamagedError("a value that the state tree holds is missing")
    return OtherLeaf(sha256(key).digest(), sha256(value).digest())


def _compute_end_child(proof: StateProof) -> bytes:
    """The child bytes at the end of the path, as the proof claims them."""
    if proof.value is not None:
        return compute_leaf_child(sha256(proof.key).digest(), sha256(proof.value).digest())
    if proof.other_leaf is not None:
        return compute_leaf_child(proof.other_leaf.key_hash, proof.other_leaf.value_hash)
    return EMPTY_CHILD


def _check_other_leaf(proof: StateProof, other_leaf: OtherLeaf) -> None:
    if proof.value is not None:
        raise InvalidProof("a proof of a value names no other leaf")
    key_hash = sha256(proof.key).digest()
    depth = len(proof.levels)
    if other_leaf.key_hash == key_hash:
        raise InvalidProof("the leaf that should be in the way is the key's own")
    if split_nibbles(other_leaf.key_hash)[:depth] != split_nibbles(key_hash)[:depth]:
        raise InvalidProof("the leaf that should be in the way hangs on another path")


def _compute_level_hash(level: ProofLevel, nibble: int, child: bytes) -> bytes:
    """The hash of a level's node, with this child on the path."""
    if level.siblings_bitmap >> nibble & 1:
        raise InvalidProof("a level lists the path's own child among the siblings")
    if level.siblings_bitmap.bit_count() != len(level.siblings):
        raise InvalidProof("a level's bitmap does not fit its number of siblings")
    siblings = iter(level.siblings)
    children = [
        HASH_MARK + next(siblings) if level.siblings_bitmap >> index & 1 else EMPTY_CHILD for index in range(WIDTH)
    ]
    children[nibble] = child
    return sha256(NODE_DOMAIN + b"".join(children)).digest()
