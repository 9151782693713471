"""The state tree against a naive recursive twin."""

from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.tree import (
    EMPTY_CHILD,
    INLINE_BYTES_MAX,
    NODE_KEY_PREFIX,
    STATE_KEY_BYTES_MAX,
    Node,
    StateTree,
    TreeDamagedError,
    TreeUpdate,
    compute_path,
    iterate_range,
    load_root,
)

State = dict[bytes, bytes]
EMPTY_ROOT = sha256(b"\x01" + bytes(16)).digest()


def compute_naive_root(state: State) -> bytes:
    """The definition, word by word."""
    leaves = {}
    for key, value in state.items():
        key_hash = sha256(key).digest()
        leaves[key_hash.hex()] = sha256(b"\x00" + key_hash + sha256(value).digest()).digest()
    return _hash_naive_node(leaves, "")


def _hash_naive_node(leaves: dict[str, bytes], path: str) -> bytes:
    joined = b"\x01"
    for digit in "0123456789abcdef":
        beneath = [each for each in leaves if each.startswith(path + digit)]
        if not beneath:
            joined += b"\x00"
        elif len(beneath) == 1:
            joined += b"\x20" + leaves[beneath[0]]
        else:
            joined += b"\x20" + _hash_naive_node({each: leaves[each] for each in beneath}, path + digit)
    return sha256(joined).digest()


class StoredTree:
    """A tree with the store beneath it."""

    def __init__(self, cache_nodes_max: int = 1_000) -> None:
        self.records: dict[bytes, bytes] = {}
        self.tree = StateTree(self.records.get, cache_nodes_max)

    def apply(self, changes: dict[bytes, bytes | None]) -> bytes:
        update = self.tree.compute_update(changes)
        self.store(update)
        self.tree.accept(update)
        return update.root

    def store(self, update: TreeUpdate) -> None:
        for store_key, record in update.node_changes:
            if record is None:
                del self.records[store_key]
            else:
                self.records[store_key] = record


def make_state(count: int) -> dict[bytes, bytes | None]:
    return {b"key %d" % number: b"value %d" % number for number in range(count)}


def find_keys_sharing(nibbles: int, count: int) -> list[bytes]:
    """Keys whose paths start alike."""
    by_start: dict[bytes, list[bytes]] = {}
    number = 0
    while True:
        key = b"%d" % number
        same = by_start.setdefault(compute_path(key)[:nibbles], [])
        same.append(key)
        if len(same) == count:
            return same
        number += 1


KEYS = [*find_keys_sharing(4, 4), *(b"other %d" % number for number in range(40)), b"", b"k" * STATE_KEY_BYTES_MAX]
changes_lists = st.lists(
    st.dictionaries(st.sampled_from(KEYS), st.one_of(st.none(), st.binary(max_size=3)), max_size=30), max_size=6
)


def test_empty_tree_is_a_node_of_empty_slots() -> None:
    tree = StateTree({}.get)
    assert tree.root == EMPTY_ROOT
    assert tree.compute_update({}) == TreeUpdate(EMPTY_ROOT, [])  # type: ignore[arg-type]
    assert tree.compute_update({b"absent": None}).node_changes == []


def test_one_leaf_hangs_from_the_root() -> None:
    stored = StoredTree()
    assert stored.apply({b"a": b"1"}) == compute_naive_root({b"a": b"1"})
    assert list(stored.records) == [NODE_KEY_PREFIX]
    assert stored.apply({b"a": None}) == EMPTY_ROOT
    assert stored.records == {}


@settings(max_examples=300, deadline=None)
@given(changes_lists)
def test_root_equals_the_naive_twin_after_every_batch(batches: list[dict[bytes, bytes | None]]) -> None:
    state: State = {}
    stored = StoredTree(cache_nodes_max=4)
    for changes in batches:
        root = stored.apply(changes)
        for key, value in changes.items():
            if value is None:
                state.pop(key, None)
            else:
                state[key] = value
        assert root == stored.tree.root == compute_naive_root(state)
        assert StateTree(stored.records.get).root == root
    fresh = StoredTree()
    fresh.apply(dict(state))
    assert fresh.records == stored.records, "the stored nodes depend on the map alone"


@settings(max_examples=100, deadline=None)
@given(st.permutations(KEYS), st.lists(st.integers(1, 20), min_size=1, max_size=8))
def test_any_order_and_partition_gives_the_same_tree(keys: list[bytes], sizes: list[int]) -> None:
    at_once = StoredTree()
    at_once.apply({key: key for key in KEYS})
    in_parts = StoredTree()
    position = 0
    while position < len(keys):
        size = sizes[position % len(sizes)]
        in_parts.apply({key: key for key in keys[position : position + size]})
        position += size
    assert in_parts.tree.root == at_once.tree.root
    assert in_parts.records == at_once.records


def test_many_keys_with_a_small_cache() -> None:
    stored = StoredTree(cache_nodes_max=16)
    state = make_state(2_000)
    stored.apply(state)
    changes: dict[bytes, bytes | None] = {b"key %d" % number: None for number in range(0, 2_000, 2)}
    changes[b"key 1"] = b"changed"
    remaining = {key: value for key, value in {**state, **changes}.items() if value is not None}
    assert stored.apply(changes) == compute_naive_root(remaining)
    assert max(len(stored.tree._young), len(stored.tree._old)) <= 8
    assert stored.apply(dict.fromkeys(state)) == EMPTY_ROOT
    assert stored.records == {}


def test_computing_an_update_changes_nothing() -> None:
    stored = StoredTree()
    before = stored.apply(make_state(100))
    records = stored.records.copy()
    first = stored.tree.compute_update({b"key 1": b"x", b"key 2": None, b"new": b"y"})
    second = stored.tree.compute_update({b"key 1": b"x", b"key 2": None, b"new": b"y"})
    assert first == second
    assert first.root != before == stored.tree.root
    assert stored.records == records


def test_writing_the_same_values_writes_no_node() -> None:
    stored = StoredTree()
    stored.apply(make_state(100))
    assert stored.tree.compute_update(make_state(100)).node_changes == []


def test_small_nodes_live_in_their_parent_and_move_out_when_they_grow() -> None:
    keys = find_keys_sharing(1, 12)
    stored = StoredTree()
    stored.apply(dict.fromkeys(keys[:2], b"v"))
    assert list(stored.records) == [NODE_KEY_PREFIX]
    stored.apply(dict.fromkeys(keys, b"v"))
    child_key = NODE_KEY_PREFIX + compute_path(keys[0])[:1]
    assert len(stored.records[child_key]) > INLINE_BYTES_MAX
    stored.apply(dict.fromkeys(keys[2:]))
    assert list(stored.records) == [NODE_KEY_PREFIX]


def test_deep_splits_collapse_again() -> None:
    keys = find_keys_sharing(4, 2)
    stored = StoredTree()
    alone = stored.apply({keys[0]: b"v"})
    assert stored.apply({keys[1]: b"v"}) == compute_naive_root({keys[0]: b"v", keys[1]: b"v"})
    assert stored.apply({keys[1]: None}) == alone
    assert load_root(stored.records.get).get_slot(compute_path(keys[0])[0])[2] == keys[0]


def test_ranges_come_in_the_order_of_key_hashes() -> None:
    stored = StoredTree()
    state = make_state(500)
    stored.apply(state)
    ordered = sorted(state, key=lambda key: sha256(key).digest())
    load = stored.records.get
    assert list(iterate_range(load, bytes(32), None)) == ordered
    hashes = [sha256(key).digest() for key in ordered]
    assert list(iterate_range(load, hashes[100], hashes[103])) == ordered[100:103]
    parts = [bytes(32), hashes[7], hashes[8], hashes[400], b"\xff" * 32]
    joined = [key for start, stop in pairwise(parts) for key in iterate_range(load, start, stop)]
    assert joined == ordered
    assert list(iterate_range({}.get, bytes(32), None)) == []


def test_a_missing_node_is_noticed() -> None:
    stored = StoredTree()
    stored.apply(make_state(500))
    victim = next(store_key for store_key in stored.records if len(store_key) == 2)
    del stored.records[victim]
    with pytest.raises(TreeDamagedError, match="missing"):
        list(iterate_range(stored.records.get, bytes(32), None))
    with pytest.raises(TreeDamagedError, match="missing"):
        StateTree(stored.records.get).compute_update(make_state(600))


def test_any_changed_byte_of_a_stored_child_is_noticed() -> None:
    stored = StoredTree()
    stored.apply(make_state(100))
    victim = next(store_key for store_key in stored.records if len(store_key) == 2)
    sound = stored.records[victim]
    node = Node(sound)
    tails_start = len(sound) - len(node.tails)
    for position in range(4 + len(node.lengths), tails_start):
        stored.records[victim] = sound[:position] + bytes([sound[position] ^ 1]) + sound[position + 1 :]
        with pytest.raises(TreeDamagedError):
            StateTree(stored.records.get).compute_update(dict.fromkeys(make_state(100)))


def test_a_node_inside_another_that_does_not_have_the_size_it_states_is_noticed() -> None:
    stored = StoredTree()
    keys = find_keys_sharing(2, 2)
    stored.apply({**make_state(100), **dict.fromkeys(keys, b"v")})
    outer_path = compute_path(keys[0])[:1]
    sound = stored.records[NODE_KEY_PREFIX + outer_path]
    _, is_leaf, inner = Node(sound).get_slot(compute_path(keys[0])[1])
    assert inner and not is_leaf
    start = sound.index(inner)
    lengths = range(4, 4 + len(Node(inner).lengths))
    for position in [start + offset for offset in (0, 1, *lengths)]:
        changed = sound[:position] + bytes([sound[position] ^ 1]) + sound[position + 1 :]
        stored.records[NODE_KEY_PREFIX + outer_path] = changed
        with pytest.raises(TreeDamagedError, match="size"):
            StateTree(stored.records.get).compute_update(dict.fromkeys(keys, b"w"))


@given(st.binary(max_size=200))
def test_rubbish_is_not_a_node(record: bytes) -> None:
    try:
        node = Node(record)
    except TreeDamagedError:
        return
    assert node.encode() == record


def test_a_slot_can_be_filled_changed_and_emptied() -> None:
    node = Node(bytes(4) + EMPTY_CHILD * 16)
    slots = {nibble: (b"\x20" + bytes([nibble]) * 32, nibble % 2 == 0, b"t" * nibble) for nibble in (3, 15, 0, 7)}
    for nibble, slot in slots.items():
        node.set_slot(nibble, slot)
    assert Node(node.encode()).encode() == node.encode()
    for nibble in range(16):
        assert node.get_slot(nibble) == slots.get(nibble, (EMPTY_CHILD, False, b""))
    node.set_slot(7, (EMPTY_CHILD, False, b""))
    node.set_slot(7, (EMPTY_CHILD, False, b""))
    assert node.get_slot(7) == (EMPTY_CHILD, False, b"")
    assert node.get_slot(15) == slots[15]
    assert node.find_replacement() is None


def test_too_long_a_key_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError):
        StateTree({}.get).compute_update({bytes(STATE_KEY_BYTES_MAX + 1): b""})
