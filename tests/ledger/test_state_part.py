"""Parts of the state prove themselves: what is built leads to the root, and nothing else does."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.memory_store import MemoryStore
from ledger.state_part import (
    InvalidPartError,
    Place,
    UnknownPlaceError,
    build_state_part,
    check_entries,
    get_root_place,
    is_path,
    list_flat,
    list_places,
    parse_entries,
)
from ledger.state_proof import STATE_VALUE_BYTES_MAX
from ledger.store_keys import value_store_key
from ledger.tree import (
    EMPTY_CHILD,
    PATH_NIBBLES,
    STATE_KEY_BYTES_MAX,
    StateTree,
    TreeDamagedError,
    compute_path,
    find_child,
    iterate_path,
)


def make_store(values: dict[bytes, bytes]) -> MemoryStore:
    store = MemoryStore()
    update = StateTree(store.get).compute_update(values)
    store.write([*((value_store_key(key), value) for key, value in values.items()), *update.node_changes], sync=True)
    return store


def get_root(store: MemoryStore) -> Place:
    return get_root_place(StateTree(store.get).root)


def make_values(count: int, size: int = 3) -> dict[bytes, bytes]:
    return {b"key %d" % number: bytes([number % 256]) * size for number in range(count)}


def download(store: MemoryStore, bytes_max: int) -> tuple[dict[bytes, bytes], int]:
    """Everything, from the root alone, and how many parts it took."""
    values: dict[bytes, bytes] = {}
    places = [get_root(store)]
    parts = 0
    while places:
        place = places.pop()
        part = build_state_part(store.get, place.path, bytes_max)
        parts += 1
        if part.entries is None:
            assert part.children is not None
            places += list_places(place, part.children)
        else:
            assert part.children is None
            check_entries(place, part.entries)
            values.update(part.entries)
    return values, parts


@given(
    st.dictionaries(st.binary(min_size=1, max_size=6), st.binary(max_size=40), max_size=60),
    st.sampled_from([1, 60, 400, 10**6]),
)
def test_whatever_the_state_its_parts_are_all_of_it(values, bytes_max):
    assert download(make_store(values), bytes_max)[0] == values


def test_a_small_state_is_one_part_and_a_large_one_many():
    values = make_values(500)
    assert download(make_store(values), 10**6) == (values, 1)
    downloaded, parts = download(make_store(values), 500)
    assert (downloaded, parts > 50) == (values, True)


def test_a_value_larger_than_a_part_is_a_part_of_its_own():
    values = {b"a": bytes(1_000), b"b": bytes(1_000)}
    assert download(make_store(values), 10)[0] == values


VALUES = make_values(40)
STORE = make_store(VALUES)
ROOT = get_root(STORE)
INNER = next(
    place
    for place in list_places(ROOT, build_state_part(STORE.get, b"", 1).children)
    if len(build_state_part(STORE.get, place.path).entries) > 2
)


@pytest.mark.parametrize("place", [ROOT, INNER])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda entries: entries[1:], "do not lead to the hash"),
        (lambda entries: (), "do not lead to the hash"),
        (lambda entries: ((entries[0][0], b"other"), *entries[1:]), "do not lead to the hash"),
        (lambda entries: entries[::-1], "not in the order"),
        (lambda entries: (entries[0], *entries), "not in the order"),
        (lambda entries: ((bytes(STATE_KEY_BYTES_MAX + 1), b""),), "longer than any"),
        (lambda entries: ((entries[0][0], bytes(STATE_VALUE_BYTES_MAX + 1)),), "longer than any"),
    ],
)
def test_other_entries_are_refused(place, change, reason):
    entries = build_state_part(STORE.get, place.path).entries
    check_entries(place, entries)
    with pytest.raises(InvalidPartError, match=reason):
        check_entries(place, change(entries))


def test_an_entry_of_another_place_is_refused():
    stranger = next(key for key in VALUES if not compute_path(key).startswith(INNER.path))
    with pytest.raises(InvalidPartError, match="another place"):
        check_entries(INNER, ((stranger, VALUES[stranger]),))


@pytest.mark.parametrize("spoil", [lambda each: each[:-1], lambda each: each + b"\x00", lambda each: b""])
def test_other_children_are_refused(spoil):
    children = build_state_part(STORE.get, b"", 1).children
    with pytest.raises(InvalidPartError, match="children do not lead"):
        list_places(ROOT, spoil(children))


def test_a_place_that_does_not_exist_is_unknown():
    store = make_store({b"only": b"one"})
    path = compute_path(b"only")
    assert build_state_part(store.get, path[:1]).entries == ((b"only", b"one"),)
    with pytest.raises(UnknownPlaceError):
        build_state_part(store.get, path[:2])
    with pytest.raises(UnknownPlaceError):
        build_state_part(store.get, bytes([(path[0] + 1) % 16]))


def test_a_lost_value_is_noticed_by_who_serves_it():
    store = make_store(VALUES)
    store.write([(value_store_key(b"key 7"), None)], sync=True)
    with pytest.raises(TreeDamagedError, match="is missing"):
        build_state_part(store.get, b"")


def test_keys_and_children_are_found_by_any_path():
    for key in VALUES:
        path = compute_path(key)
        for depth in (0, 1, 2, 5, PATH_NIBBLES):
            found = sorted((each for each in VALUES if compute_path(each).startswith(path[:depth])), key=compute_path)
            assert list(iterate_path(STORE.get, path[:depth])) == found
            child = find_child(STORE.get, path[:depth])
            assert child != EMPTY_CHILD
            check_entries(
                Place(path[:depth], child), [(each, VALUES[each]) for each in sorted(found, key=compute_path)]
            )
    empty = compute_path(b"nothing of this name")
    assert find_child(STORE.get, empty[:8]) == EMPTY_CHILD
    assert list(iterate_path(STORE.get, empty[:8])) == []
    assert list(iterate_path(STORE.get, b"\x0f" * PATH_NIBBLES)) == []


def test_entries_are_sent_as_a_flat_list():
    assert parse_entries(list_flat([(b"a", b"1"), (b"b", b"2")])) == [(b"a", b"1"), (b"b", b"2")]
    for flat in (5, [b"a"], [b"a", 1], {b"a": b"b"}, "ab"):
        with pytest.raises(InvalidPartError):
            parse_entries(flat)


def test_a_path_is_made_of_nibbles():
    assert is_path(b"") and is_path(b"\x0f" * PATH_NIBBLES)
    assert not is_path(b"\x10") and not is_path(bytes(PATH_NIBBLES + 1))
    assert compute_path(b"x") == bytes(int(digit, 16) for digit in sha256(b"x").hexdigest())
