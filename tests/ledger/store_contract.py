"""What every store must do; each check takes an empty one."""

from collections.abc import Callable
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.store import Store


def check_reads_what_was_written(store: Store) -> None:
    assert store.get(b"a") is None
    store.write([(b"a", b"1"), (b"b", b""), (b"", b"empty key")], sync=True)
    assert [store.get(key) for key in (b"a", b"b", b"", b"c")] == [b"1", b"", b"empty key", None]
    store.write([(b"a", None), (b"never there", None)], sync=False)
    assert store.get(b"a") is None


def check_the_last_change_of_a_key_counts(store: Store) -> None:
    store.write([(b"a", b"1"), (b"a", None), (b"b", None), (b"b", b"2"), (b"b", b"3")], sync=True)
    assert list(store.iterate(b"", b"\xff")) == [(b"b", b"3")]


def check_iterates_in_byte_order(store: Store) -> None:
    keys = [b"b", b"a\xff", b"a", b"\x00", b"a\x00", b"c", b"\xfe"]
    store.write([(key, key * 2) for key in keys], sync=True)
    pairs = [(key, key * 2) for key in sorted(keys)]
    assert list(store.iterate(b"", b"\xff")) == pairs
    assert list(store.iterate(b"", b"\xff", reverse=True)) == pairs[::-1]
    assert [key for key, _ in store.iterate(b"a", b"b")] == [b"a", b"a\x00", b"a\xff"]
    assert [key for key, _ in store.iterate(b"a", b"b", reverse=True)] == [b"a\xff", b"a\x00", b"a"]
    assert [key for key, _ in store.iterate(b"a\x00", b"b\x00")] == [b"a\x00", b"a\xff", b"b"]
    assert list(store.iterate(b"c", b"c\x00", reverse=True)) == [(b"c", b"cc")]
    assert list(store.iterate(b"c", b"c")) == list(store.iterate(b"c", b"c", reverse=True)) == []
    assert list(store.iterate(b"d", b"b")) == []


def check_an_iteration_may_stop_early(store: Store) -> None:
    store.write([(b"%d" % number, b"") for number in range(10)], sync=True)
    assert next(iter(store.iterate(b"3", b"9"))) == (b"3", b"")
    store.write([(b"3", None)], sync=True)
    assert next(iter(store.iterate(b"3", b"9"))) == (b"4", b"")


def check_views_stay_as_they_were(store: Store) -> None:
    store.write([(b"a", b"1"), (b"b", b"1")], sync=True)
    first = store.take_view()
    store.write([(b"a", b"2"), (b"b", None), (b"c", b"2")], sync=True)
    second = store.take_view()
    third = store.take_view()
    store.write([(b"a", None), (b"b", b"3")], sync=True)
    assert dict(first.iterate(b"", b"\xff")) == {b"a": b"1", b"b": b"1"}
    assert dict(second.iterate(b"", b"\xff")) == dict(third.iterate(b"", b"\xff")) == {b"a": b"2", b"c": b"2"}
    assert (first.get(b"b"), first.get(b"c"), second.get(b"b")) == (b"1", None, None)
    assert list(first.iterate(b"", b"\xff", reverse=True)) == [(b"b", b"1"), (b"a", b"1")]
    first.close()
    first.close()
    assert second.get(b"a") == b"2"
    second.close()
    store.write([(b"c", b"4")], sync=True)
    assert third.get(b"c") == b"2"
    third.close()
    assert dict(store.iterate(b"", b"\xff")) == {b"b": b"3", b"c": b"4"}


keys = st.binary(max_size=2)
batches = st.lists(st.lists(st.tuples(keys, st.one_of(st.none(), st.binary(max_size=2))), max_size=8), max_size=6)


def check_behaves_like_a_sorted_map(store: Store) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(batches, keys, keys)
    def compare(batches: list[list[tuple[bytes, bytes | None]]], start: bytes, stop: bytes) -> None:
        store.write([(key, None) for key, _ in store.iterate(b"", b"\xff\xff\xff")], sync=False)
        expected: dict[bytes, bytes] = {}
        views = []
        for changes in batches:
            store.write(changes, sync=False)
            for key, value in changes:
                if value is None:
                    expected.pop(key, None)
                else:
                    expected[key] = value
            views.append((store.take_view(), dict(expected)))
        for view, content in [*views, (store, expected)]:
            pairs = [(key, content[key]) for key in sorted(content) if start <= key < stop]
            assert list(view.iterate(start, stop)) == pairs
            assert list(view.iterate(start, stop, reverse=True)) == pairs[::-1]
            for changes in batches:
                assert all(view.get(key) == content.get(key) for key, _ in changes)
        for view, _ in views:
            view.close()

    compare()


CONTRACT: Final[list[Callable[[Store], None]]] = [
    check_reads_what_was_written,
    check_the_last_change_of_a_key_counts,
    check_iterates_in_byte_order,
    check_an_iteration_may_stop_early,
    check_views_stay_as_they_were,
    check_behaves_like_a_sorted_map,
]
