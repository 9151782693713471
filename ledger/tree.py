"""The authenticated state: a 16-ary Merkle tree over the map from raw keys to values.

A key stands at the path of its SHA-256, 64 nibbles, high nibble first. With ‖ for joining:

    leaf  = SHA-256(0x00 ‖ SHA-256(key) ‖ SHA-256(value))
    child = 0x00 when the slot is empty, else 0x20 ‖ hash of the leaf or node beneath
    node  = SHA-256(0x01 ‖ child 0 ‖ … ‖ child 15)

A leaf hangs in the shallowest node where its path is its own; a node other than the root has at least two leaves
beneath it. So the tree depends on the map alone, never on its history. The root is always a node, even when empty.

A node's record, with one entry per slot that is not empty, in the order of the slots:

    bitmap of filled slots, 2 bytes ‖ bitmap of leaves, 2 bytes ‖ length of each tail, 1 byte ‖ 16 children ‖ tails

The tail of a leaf is its raw key: splitting a leaf needs it, and ranges are listed from nodes alone. The tail of a node
is that node's own record while it is small, else empty: then it is stored under `NODE_KEY_PREFIX ‖ path, one byte per
nibble`. So a lone pair of leaves costs no read of its own. Records are edited as bytes; that is what makes this fast.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ledger.primitives import HASH_BYTES, RootHash

Load = Callable[[bytes], bytes | None]
"""Reads a node record by its store key."""
Records = dict[bytes, bytes | None]
"""Node records by store key; None deletes."""
Entry = tuple[bytes, bytes, bytes]
"""A changed key: its path, the raw key, its child bytes (EMPTY_CHILD when deleted)."""
Slot = tuple[bytes, bool, bytes]
"""What stands in a slot of a node: the child bytes, whether it is a leaf, and its tail."""

NODE_KEY_PREFIX: Final = b"n"
PATH_NIBBLES: Final = 2 * HASH_BYTES
WIDTH: Final = 16
EMPTY_CHILD: Final = b"\x00"
HASH_MARK: Final = b"\x20"
LEAF_DOMAIN: Final = b"\x00"
NODE_DOMAIN: Final = b"\x01"
STATE_KEY_BYTES_MAX: Final = 255  # a tail's length is one byte
INLINE_BYTES_MAX: Final = 192  # three leaves with short keys; more would make every write of the parent long
CACHE_NODES_DEFAULT: Final = 131_072  # at 10^6 keys all 70,000 records, about 80 MB

_HEADER_BYTES: Final = 4
_FILLED_CHILD_BYTES: Final = 1 + HASH_BYTES
EMPTY_RECORD: Final = bytes(_HEADER_BYTES) + EMPTY_CHILD * WIDTH
_EMPTY_SLOT: Final[Slot] = (EMPTY_CHILD, False, b"")
_NIBBLES: Final = bytes(int(chr(code), 16) if chr(code) in "0123456789abcdef" else 0xFF for code in range(256))

assert INLINE_BYTES_MAX <= 0xFF


class TreeDamagedError(Exception):
    """A stored node is missing or is not what its parent says: the store was damaged."""


@dataclass(frozen=True, slots=True)
class TreeUpdate:
    """What a batch of changes does to the tree; nothing has happened yet."""

    root: RootHash
    node_changes: list[tuple[bytes, bytes | None]]
    """Store keys and records to write in the same atomic write as the values; None deletes."""


class Node:
    """A record taken apart, to be read or edited slot by slot."""

    __slots__ = ("children", "filled", "leaves", "lengths", "tails")

    def __init__(self, record: bytes) -> None:
        """Raises TreeDamagedError when the record's sizes do not fit."""
        header = int.from_bytes(record[:_HEADER_BYTES], "big")
        self.filled = header >> WIDTH
        self.leaves = header & 0xFFFF
        filled_count = self.filled.bit_count()
        children_start = _HEADER_BYTES + filled_count
        tails_start = children_start + WIDTH + HASH_BYTES * filled_count
        self.lengths = record[_HEADER_BYTES:children_start]
        self.children = record[children_start:tails_start]
        self.tails = record[tails_start:]
        _check_size(record, children_start, tails_start)

    def encode(self) -> bytes:
        """The record."""
        header = (self.filled << WIDTH | self.leaves).to_bytes(_HEADER_BYTES, "big")
        return header + self.lengths + self.children + self.tails

    def get_slot(self, nibble: int) -> Slot:
        """What stands there."""
        bit = 1 << nibble
        if not self.filled & bit:
            return _EMPTY_SLOT
        rank = (self.filled & (bit - 1)).bit_count()
        tail_start = sum(self.lengths[:rank])
        child_start = nibble + HASH_BYTES * rank
        return (
            self.children[child_start : child_start + 1 + HASH_BYTES],
            bool(self.leaves & bit),
            self.tails[tail_start : tail_start + self.lengths[rank]],
        )

    def set_slot(self, nibble: int, slot: Slot) -> None:
        """Put something else there."""
        child, is_leaf, tail = slot
        bit = 1 << nibble
        lengths, children, tails = self.lengths, self.children, self.tails
        rank = (self.filled & (bit - 1)).bit_count()
        filled_before = (self.filled >> nibble) & 1
        child_start = nibble + HASH_BYTES * rank
        self.children = children[:child_start] + child + children[child_start + 1 + HASH_BYTES * filled_before :]
        tail_start = sum(lengths[:rank])
        tail_stop = tail_start + (lengths[rank] if filled_before else 0)
        if tails[tail_start:tail_stop] != tail:
            self.tails = tails[:tail_start] + tail + tails[tail_stop:]
        if child == EMPTY_CHILD:
            self.filled &= ~bit
            self.lengths = lengths[:rank] + lengths[rank + filled_before :]
        elif not filled_before or tail_stop - tail_start != len(tail):
            self.filled |= bit
            self.lengths = lengths[:rank] + bytes((len(tail),)) + lengths[rank + filled_before :]
        self.leaves = self.leaves | bit if is_leaf else self.leaves & ~bit

    def compute_hash(self) -> RootHash:
        """SHA-256(0x01 ‖ the 16 children)."""
        return RootHash(sha256(NODE_DOMAIN + self.children).digest())

    def find_replacement(self) -> Slot | None:
        """The leaf or the nothing that takes this node's place, if it has fewer than two leaves beneath it."""
        filled_count = self.filled.bit_count()
        if filled_count > 1 or (filled_count == 1 and not self.leaves):
            return None
        return self.get_slot(self.filled.bit_length() - 1) if filled_count else _EMPTY_SLOT


class StateTree:
    """Computes new roots over stored nodes, with a bounded cache of node records.

    The cache is two generations of recently used records: what is not used while a generation fills is forgotten, so
    the upper levels, which every batch touches, never leave it.
    """

    def __init__(self, load: Load, cache_nodes_max: int = CACHE_NODES_DEFAULT) -> None:
        assert cache_nodes_max >= 2, "the cache has two generations"
        self._load = load
        self._generation_nodes_max = cache_nodes_max // 2
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}

    @property
    def root(self) -> RootHash:
        """The hash of the tree as accepted so far."""
        return _compute_record_hash(self._get_root_record())

    def compute_update(self, changes: Mapping[bytes, bytes | None]) -> TreeUpdate:
        """The root and node records after these changes (None deletes a key). The tree itself stays as it is."""
        entries = sorted([_build_entry(key, value) for key, value in changes.items()])
        old_record = self._get_root_record()
        records: Records = {}
        record = self._change_record(old_record, entries, 0, len(entries), 0, records)
        if record != old_record:
            records[NODE_KEY_PREFIX] = None if record == EMPTY_RECORD else record
        return TreeUpdate(_compute_record_hash(record), list(records.items()))

    def accept(self, update: TreeUpdate) -> None:
        """Adopt an update of this tree once its records are stored."""
        for store_key, record in update.node_changes:
            self._old.pop(store_key, None)
            if record is None:
                self._young.pop(store_key, None)
            else:
                self._remember(store_key, record)

    def _get_root_record(self) -> bytes:
        record = self._find_cached(NODE_KEY_PREFIX)
        if record is None:
            record = self._load(NODE_KEY_PREFIX)
            if record is None:
                return EMPTY_RECORD
            self._remember(NODE_KEY_PREFIX, record)
        return record

    def _get_record(self, store_key: bytes, child: bytes) -> bytes:
        record = self._find_cached(store_key)
        if record is None:
            record = self._load(store_key)
            check_loaded_node(store_key, record, child)
            assert record is not None
            self._remember(store_key, record)
        return record

    def _find_cached(self, store_key: bytes) -> bytes | None:
        record = self._young.get(store_key)
        if record is None:
            record = self._old.pop(store_key, None)
            if record is not None:
                self._remember(store_key, record)
        return record

    def _remember(self, store_key: bytes, record: bytes) -> None:
        if len(self._young) >= self._generation_nodes_max and store_key not in self._young:
            self._old, self._young = self._young, {}
        self._young[store_key] = record

    def _change_record(
        self, record: bytes, entries: list[Entry], start: int, stop: int, depth: int, records: Records
    ) -> bytes:
        """The node's record after entries[start:stop], which share its path of `depth` nibbles.

        Nearly always a child and its tail change and keep their sizes: they are replaced where they stand.
        """
        header = int.from_bytes(record[:_HEADER_BYTES], "big")
        filled, leaves = header >> WIDTH, header & 0xFFFF
        children_start = _HEADER_BYTES + filled.bit_count()
        tails_start = children_start + WIDTH + HASH_BYTES * filled.bit_count()
        if len(record) <= INLINE_BYTES_MAX:  # perhaps out of another record; larger ones are checked when loaded
            _check_size(record, children_start, tails_start)
        edited = bytearray(record)
        moved: list[tuple[int, Slot]] = []
        while start < stop:
            path, key, child = entries[start]
            nibble = path[depth]
            after = start + 1
            while after < stop and entries[after][0][depth] == nibble:
                after += 1
            bit = 1 << nibble
            if not filled & bit:
                slot = self._change_slot(_EMPTY_SLOT, entries, start, after, depth + 1, records)
                if slot[0] != EMPTY_CHILD:
                    moved.append((nibble, slot))
                start = after
                continue
            rank = (filled & (bit - 1)).bit_count()
            child_start = children_start + nibble + HASH_BYTES * rank
            child_stop = child_start + _FILLED_CHILD_BYTES
            tail_bytes = record[_HEADER_BYTES + rank]
            tail_start = tails_start + (sum(record[_HEADER_BYTES : _HEADER_BYTES + rank]) if tail_bytes else 0)
            tail = record[tail_start : tail_start + tail_bytes]
            is_leaf = leaves & bit != 0
            if is_leaf and tail == key and after == start + 1 and child != EMPTY_CHILD:
                edited[child_start:child_stop] = child
            else:
                old_slot = record[child_start:child_stop], is_leaf, tail
                slot = self._change_slot(old_slot, entries, start, after, depth + 1, records)
                new_child, is_new_leaf, new_tail = slot
                if is_new_leaf != is_leaf or len(new_tail) != tail_bytes or new_child == EMPTY_CHILD:
                    moved.append((nibble, slot))
                else:
                    edited[child_start:child_stop] = new_child
                    edited[tail_start : tail_start + tail_bytes] = new_tail
            start = after
        if not moved:
            return bytes(edited)
        node = Node(bytes(edited))
        for nibble, slot in moved:
            node.set_slot(nibble, slot)
        return node.encode()

    def _change_slot(
        self, slot: Slot, entries: list[Entry], start: int, stop: int, depth: int, records: Records
    ) -> Slot:
        """What a slot holds after entries[start:stop], which share its path of `depth` nibbles."""
        child, is_leaf, tail = slot
        if is_leaf or child == EMPTY_CHILD:
            return self._change_leaf(entries[start:stop], depth, slot, records)
        store_key = NODE_KEY_PREFIX + entries[start][0][:depth]
        record = tail or self._get_record(store_key, child)
        changed = self._change_record(record, entries, start, stop, depth, records)
        if changed == record:
            return slot
        filled = changed[0] << 8 | changed[1]
        replacement = None if filled & (filled - 1) else Node(changed).find_replacement()
        if replacement is None:
            replacement = _place_record(store_key, changed, records)
        if not tail and store_key not in records:
            records[store_key] = None
        return replacement

    def _change_leaf(self, entries: list[Entry], depth: int, slot: Slot, records: Records) -> Slot:
        """Put entries where none or one other leaf hung: nothing, one leaf, or a new node with all of them."""
        leaves = [entry for entry in entries if entry[2] != EMPTY_CHILD]
        old_child, was_leaf, old_key = slot
        if was_leaf and all(entry[1] != old_key for entry in entries):
            old_entry = (compute_path(old_key), old_key, old_child)
            leaves.insert(bisect_left(leaves, old_entry), old_entry)
        if not leaves:
            return _EMPTY_SLOT
        if len(leaves) == 1:
            return leaves[0][2], True, leaves[0][1]
        record = self._change_record(EMPTY_RECORD, leaves, 0, len(leaves), depth, records)
        return _place_record(NODE_KEY_PREFIX + leaves[0][0][:depth], record, records)


def compute_path(key: bytes) -> bytes:
    """Where a key stands: the 64 nibbles of its SHA-256, one a byte."""
    return split_nibbles(sha256(key).digest())


def split_nibbles(key_hash: bytes) -> bytes:
    """Two bytes, each 0 to 15, for every byte."""
    return key_hash.hex().encode().translate(_NIBBLES)


def compute_leaf_child(key_hash: bytes, value_hash: bytes) -> bytes:
    """The child bytes of a leaf."""
    return HASH_MARK + sha256(LEAF_DOMAIN + key_hash + value_hash).digest()


def load_root(load: Load) -> Node:
    """The root as stored."""
    record = load(NODE_KEY_PREFIX)
    return Node(EMPTY_RECORD) if record is None else Node(record)


def load_node(load: Load, path: bytes, slot: Slot) -> Node:
    """The node that a slot leads to; raises TreeDamagedError if it is not the one whose hash stands there."""
    child, _, inlined = slot
    store_key = NODE_KEY_PREFIX + path
    return check_loaded_node(store_key, inlined or load(store_key), child)


def check_loaded_node(store_key: bytes, record: bytes | None, child: bytes) -> Node:
    """The node, if the record is there and has the hash its parent states; raises TreeDamagedError."""
    if record is None:
        raise TreeDamagedError(f"the state tree's node {format_path(store_key)} is missing")
    node = Node(record)
    if HASH_MARK + node.compute_hash() != child:
        raise TreeDamagedError(
            f"the state tree's node {format_path(store_key)} does not have the hash its parent states"
        )
    return node


def format_path(store_key: bytes) -> str:
    """A node's path for people: its nibbles in hexadecimal."""
    return "".join(f"{nibble:x}" for nibble in store_key[len(NODE_KEY_PREFIX) :])


def iterate_range(load: Load, start_hash: bytes, stop_hash: bytes | None) -> Iterator[bytes]:
    """Raw keys with start <= SHA-256(key) < stop (None: to the end), in the order of these hashes."""
    start = split_nibbles(start_hash)
    stop = None if stop_hash is None else split_nibbles(stop_hash)
    return _iterate_node(load, load_root(load), b"", start, stop)


def iterate_path(load: Load, path: bytes) -> Iterator[bytes]:
    """All raw keys whose path begins so, in the order of their hashes."""
    stripped = path.rstrip(bytes((WIDTH - 1,)))
    stop = stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else None
    return _iterate_node(load, load_root(load), b"", path, stop)


def find_child(load: Load, path: bytes) -> bytes:
    """The child bytes of the slot at a path; a leaf that hangs higher up, for want of others, stands there too."""
    node = load_root(load)
    slot: Slot = (HASH_MARK + node.compute_hash(), False, b"")
    for depth, nibble in enumerate(path):
        slot = node.get_slot(nibble)
        if slot[1]:
            return slot[0] if compute_path(slot[2]).startswith(path) else EMPTY_CHILD
        if slot[0] == EMPTY_CHILD or depth + 1 == len(path):
            break
        node = load_node(load, path[: depth + 1], slot)
    return slot[0]


def iterate_subtree(load: Load, node: Node, path: bytes) -> Iterator[bytes]:
    """All raw keys beneath a node, in the order of their hashes."""
    return _iterate_node(load, node, path, b"", None)


def _iterate_node(load: Load, node: Node, path: bytes, start: bytes, stop: bytes | None) -> Iterator[bytes]:
    for nibble in range(WIDTH):
        child_path = path + bytes((nibble,))
        if child_path < start[: len(child_path)]:
            continue
        if stop is not None and child_path >= stop:
            return
        slot = node.get_slot(nibble)
        child, is_leaf, key = slot
        if is_leaf:
            if (not start and stop is None) or _is_within(compute_path(key), start, stop):
                yield key
        elif child != EMPTY_CHILD:
            yield from _iterate_node(load, load_node(load, child_path, slot), child_path, start, stop)


def _is_within(path: bytes, start: bytes, stop: bytes | None) -> bool:
    return start <= path and (stop is None or path < stop)


def _check_size(record: bytes, children_start: int, tails_start: int) -> None:
    if len(record) != tails_start + sum(record[_HEADER_BYTES:children_start]):
        raise TreeDamagedError("a record of the state tree does not have the size it states")


def _build_entry(key: bytes, value: bytes | None) -> Entry:
    assert len(key) <= STATE_KEY_BYTES_MAX, f"a state key has at most {STATE_KEY_BYTES_MAX} bytes"
    key_hash = sha256(key).digest()
    child = EMPTY_CHILD if value is None else compute_leaf_child(key_hash, sha256(value).digest())
    return split_nibbles(key_hash), key, child


def _place_record(store_key: bytes, record: bytes, records: Records) -> Slot:
    """What stands for this node in its parent; a large one is stored under its own key."""
    child = HASH_MARK + _compute_record_hash(record)
    if len(record) <= INLINE_BYTES_MAX:
        return child, False, record
    records[store_key] = record
    return child, False, b""


def _compute_record_hash(record: bytes) -> RootHash:
    """The hash of the node with this record."""
    filled_count = (record[0] << 8 | record[1]).bit_count()
    children_start = _HEADER_BYTES + filled_count
    children_stop = children_start + WIDTH + HASH_BYTES * filled_count
    return RootHash(sha256(NODE_DOMAIN + record[children_start:children_stop]).digest())
