"""The state in parts that prove themselves: whoever knows the root fetches it from peers he does not trust.

A part answers for one slot of the state tree, named by its path. It is either everything beneath the slot, keys with
values in the order of the keys' hashes, or, where that is too much for one message, the children of the node that
hangs there. The child bytes of the slot are known from the part above, those of the root from a certified header, and
both kinds of answer lead to them by hashing alone: a wrong value, a missing key or one too many shows at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from ledger.primitives import HASH_BYTES, RootHash
from ledger.state_proof import STATE_VALUE_BYTES_MAX
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
    Slot,
    TreeDamagedError,
    compute_leaf_child,
    iterate_subtree,
    load_node,
    load_root,
    split_nibbles,
)

PART_BYTES_MAX: Final = 384 * 2**10  # keys and values in one part; a single larger value is a part of its own
PART_ENTRY_BYTES: Final = 16  # counted for an entry beside its key and value
PART_CHILDREN_BYTES_MAX: Final = WIDTH * (1 + HASH_BYTES)

Entry = tuple[bytes, bytes]
"""A state key and its value."""


class InvalidPartError(Exception):
    """This is not what stands at this place of the state; the message says why."""


class UnknownPlaceError(Exception):
    """The tree has no slot at this path."""


@dataclass(frozen=True, slots=True)
class StatePart:
    """What stands in one slot: exactly one of the two is not None."""

    entries: tuple[Entry, ...] | None
    children: bytes | None
    """The 16 children of the node, as they are hashed."""


@dataclass(frozen=True, slots=True)
class Place:
    """A slot whose content is to be fetched, with the child bytes that it must lead to."""

    path: bytes
    """Nibbles, one a byte; empty for the root."""
    child: bytes


def get_root_place(root: RootHash) -> Place:
    """Where a download starts."""
    return Place(b"", HASH_MARK + root)


def build_state_part(load: Load, path: bytes, bytes_max: int = PART_BYTES_MAX) -> StatePart:
    """Read a part of a stored state; raises UnknownPlaceError, or TreeDamagedError when the store is damaged."""
    slot, node = _find_slot(load, path)
    keys = iter((slot[2],)) if node is None else iterate_subtree(load, node, path)
    entries: list[Entry] = []
    size_bytes = 0
    for key in keys:
        value = load(value_store_key(key))
        if value is None:
            raise TreeDamagedError("a value that the state tree holds is missing")
        size_bytes += len(key) + len(value) + PART_ENTRY_BYTES
        if node is not None and size_bytes > bytes_max:
            return StatePart(None, node.children)
        entries.append((key, value))
    return StatePart(tuple(entries), None)


def check_entries(place: Place, entries: Sequence[Entry]) -> None:
    """That these are all keys and values beneath the place; raises InvalidPartError."""
    leaves: list[tuple[bytes, bytes]] = []
    previous = b""
    depth = len(place.path)
    for key, value in entries:
        if len(key) > STATE_KEY_BYTES_MAX or len(value) > STATE_VALUE_BYTES_MAX:
            raise InvalidPartError("a key or value is longer than any")
        key_hash = sha256(key).digest()
        path = split_nibbles(key_hash)
        if path[:depth] != place.path:
            raise InvalidPartError("a key belongs to another place")
        if path <= previous:
            raise InvalidPartError("the keys are not in the order of their hashes")
        previous = path
        leaves.append((path, compute_leaf_child(key_hash, sha256(value).digest())))
    if len(leaves) < 2 and depth:  # only the root is a node however few leaves there are
        child = leaves[0][1] if leaves else EMPTY_CHILD
    else:
        child = HASH_MARK + _compute_node_hash(leaves, 0, len(leaves), depth)
    if child != place.child:
        raise InvalidPartError("the keys and values do not lead to the hash of this place")


def list_places(place: Place, children: bytes) -> list[Place]:
    """The filled slots of the node at this place; raises InvalidPartError."""
    return [inner for inner in list_children(place, children) if inner.child != EMPTY_CHILD]


def list_children(place: Place, children: bytes) -> list[Place]:
    """All 16 slots of the node at this place; raises InvalidPartError."""
    if HASH_MARK + sha256(NODE_DOMAIN + children).digest() != place.child:
        raise InvalidPartError("the children do not lead to the hash of this place")
    places = []
    position = 0
    for nibble in range(WIDTH):
        length = 1 if children[position : position + 1] == EMPTY_CHILD else 1 + HASH_BYTES
        places.append(Place(place.path + bytes((nibble,)), children[position : position + length]))
        position += length
    assert position == len(children), "what was hashed into a state root is well formed"
    return places


def list_flat(entries: Sequence[Entry]) -> list[bytes]:
    """Key, value, key, value: how entries are sent."""
    return [each for entry in entries for each in entry]


def parse_entries(flat: Any) -> list[Entry]:
    """Entries as they were sent; raises InvalidPartError."""
    if type(flat) is not list or len(flat) % 2 or not all(type(each) is bytes for each in flat):
        raise InvalidPartError("a part is a list of keys and values")
    return list(zip(flat[::2], flat[1::2], strict=True))


def is_path(path: bytes) -> bool:
    """Whether a slot could have this path."""
    return len(path) <= PATH_NIBBLES and all(nibble < WIDTH for nibble in path)


def _find_slot(load: Load, path: bytes) -> tuple[Slot, Node | None]:
    """The slot at a path, and its node unless a leaf stands there."""
    node = load_root(load)
    slot: Slot = (HASH_MARK + node.compute_hash(), False, b"")
    for depth, nibble in enumerate(path):
        slot = node.get_slot(nibble)
        if slot[0] == EMPTY_CHILD or (slot[1] and depth + 1 < len(path)):
            raise UnknownPlaceError
        if slot[1]:
            return slot, None
        node = load_node(load, path[: depth + 1], slot)
    return slot, node


def _compute_node_hash(leaves: Sequence[tuple[bytes, bytes]], start: int, stop: int, depth: int) -> bytes:
    """The hash of the node at this depth beneath which leaves[start:stop] hang."""
    children = [EMPTY_CHILD] * WIDTH
    while start < stop:
        path, child = leaves[start]
        nibble = path[depth]
        after = start + 1
        while after < stop and leaves[after][0][depth] == nibble:
            after += 1
        children[nibble] = (
            child if after == start + 1 else HASH_MARK + _compute_node_hash(leaves, start, after, depth + 1)
        )
        start = after
    return sha256(NODE_DOMAIN + b"".join(children)).digest()
