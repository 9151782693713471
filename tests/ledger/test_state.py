"""The overlay of one block: what is read, listed and taken back."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.state import State, end_of_prefix

COMMITTED = {b"a1": b"1", b"a2": b"2", b"b": b"3"}


def make_overlay(committed: dict[bytes, bytes] | None = None) -> State:
    values = COMMITTED if committed is None else committed

    def iterate(start: bytes, stop: bytes):
        return iter(sorted((key, value) for key, value in values.items() if start <= key < stop))

    return State(values.get, iterate)


def test_what_is_not_written_is_read_from_beneath():
    state = make_overlay()
    assert (state.get(b"a1"), state.get(b"c"), state.changes) == (b"1", None, {})


def test_writes_and_deletes_hide_what_lies_beneath_and_leave_it_alone():
    state = make_overlay()
    state.put(b"a1", b"9")
    state.delete(b"a2")
    state.delete(b"never there")
    assert [state.get(key) for key in (b"a1", b"a2", b"never there")] == [b"9", None, None]
    assert state.changes == {b"a1": b"9", b"a2": None, b"never there": None}
    assert COMMITTED == {b"a1": b"1", b"a2": b"2", b"b": b"3"}


def test_a_prefix_lists_both_layers_in_byte_order():
    state = make_overlay()
    state.put(b"a3", b"new")
    state.put(b"a0", b"first")
    state.put(b"a1", b"9")
    state.delete(b"a2")
    state.put(b"b1", b"elsewhere")
    assert list(state.iterate_prefix(b"a")) == [(b"a0", b"first"), (b"a1", b"9"), (b"a3", b"new")]


def test_a_listing_does_not_change_while_it_is_read():
    state = make_overlay()
    listing = state.iterate_prefix(b"a")
    assert next(listing) == (b"a1", b"1")
    state.delete(b"a2")
    state.put(b"a3", b"late")
    assert list(listing) == [(b"a2", b"2")]


def test_an_empty_value_is_not_an_absent_one():
    state = make_overlay()
    state.put(b"a2", b"")
    assert state.get(b"a2") == b""
    assert list(state.iterate_prefix(b"a2")) == [(b"a2", b"")]


def test_undo_restores_values_deletions_and_absences_of_this_block():
    state = make_overlay()
    state.put(b"x", b"before")
    state.delete(b"a1")
    kept = dict(state.changes)
    mark = state.get_mark()
    state.put(b"x", b"after")
    state.delete(b"x")
    state.put(b"a1", b"again")
    state.put(b"new", b"gone soon")
    state.undo_to(mark)
    assert state.changes == kept == {b"x": b"before", b"a1": None}


def test_marks_nest_and_only_what_came_after_is_undone():
    state = make_overlay()
    outer = state.get_mark()
    state.put(b"x", b"1")
    inner = state.get_mark()
    state.put(b"x", b"2")
    state.undo_to(inner)
    assert state.get(b"x") == b"1"
    state.undo_to(inner)
    assert state.get(b"x") == b"1"
    state.undo_to(outer)
    assert state.changes == {}


def test_what_was_settled_survives_a_later_undo():
    state = make_overlay()
    state.put(b"x", b"settled")
    state.forget_marks()
    mark = state.get_mark()
    assert mark == 0
    state.put(b"x", b"later")
    state.undo_to(mark)
    assert state.changes == {b"x": b"settled"}


@pytest.mark.parametrize(
    ("prefix", "end"),
    [(b"a", b"b"), (b"a\xff", b"b"), (b"\x00", b"\x01"), (b"a\xff\xff", b"b"), (b"\xfe\xff", b"\xff")],
)
def test_the_end_of_a_prefix_is_the_first_key_after_it(prefix, end):
    assert end_of_prefix(prefix) == end


@pytest.mark.parametrize("prefix", [b"", b"\xff", b"\xff\xff"])
def test_a_prefix_without_an_end_is_refused(prefix):
    with pytest.raises(AssertionError):
        end_of_prefix(prefix)


@given(st.binary(min_size=1, max_size=4), st.binary(max_size=4), st.binary(max_size=6))
def test_the_end_parts_keys_with_the_prefix_from_all_others(prefix, tail, other):
    if prefix.strip(b"\xff"):
        end = end_of_prefix(prefix)
        assert prefix <= prefix + tail < end
        assert other.startswith(prefix) == (prefix <= other < end)


KEYS = st.sampled_from([b"a1", b"a2", b"a3", b"b", b"\xff"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.binary(max_size=2)),
        st.tuples(st.just("delete"), KEYS, st.none()),
        st.tuples(st.just("mark"), st.none(), st.none()),
        st.tuples(st.just("undo"), st.none(), st.none()),
    ),
    max_size=30,
)


@given(st.lists(STEPS, max_size=4), KEYS, KEYS)
def test_a_range_shows_what_is_there_and_what_was_removed_after_any_history(histories, start, stop):
    """The order of changed keys is kept from one scan to the next, through writes and undos between them."""
    state = make_overlay()
    marks = [state.get_mark()]
    for steps in [[], *histories]:
        for verb, key, value in steps:
            if verb == "put":
                state.put(key, value)
            elif verb == "delete":
                state.delete(key)
            elif verb == "mark":
                marks.append(state.get_mark())
            else:
                state.undo_to(marks.pop() if len(marks) > 1 else 0)
        expected = sorted({**COMMITTED, **state.changes}.items())
        inside = [(key, value) for key, value in expected if start <= key < stop]
        assert list(state.scan_range(start, stop)) == inside
        assert list(state.iterate_range(start, stop)) == [pair for pair in inside if pair[1] is not None]


@given(STEPS)
def test_any_history_of_writes_and_undos_ends_like_a_plain_dictionary(steps):
    state = make_overlay()
    expected: dict[bytes, bytes | None] = {}
    marks = [(state.get_mark(), dict(expected))]
    for verb, key, value in steps:
        if verb == "put":
            state.put(key, value)
            expected[key] = value
        elif verb == "delete":
            state.delete(key)
            expected[key] = None
        elif verb == "mark":
            marks.append((state.get_mark(), dict(expected)))
        else:
            mark, expected = marks.pop() if len(marks) > 1 else (0, {})
            state.undo_to(mark)
            expected = dict(expected)
    assert state.changes == expected
    seen = {key: value for key, value in {**COMMITTED, **expected}.items() if value is not None}
    assert {key: state.get(key) for key in seen} == seen
    assert list(state.iterate_prefix(b"a")) == sorted((k, v) for k, v in seen.items() if k.startswith(b"a"))


@given(
    st.dictionaries(st.binary(min_size=1, max_size=2), st.binary(max_size=1), max_size=8),
    st.dictionaries(st.binary(min_size=1, max_size=2), st.none() | st.binary(max_size=1), max_size=8),
    st.binary(min_size=1, max_size=1).filter(lambda prefix: prefix != b"\xff"),
)
def test_a_prefix_lists_what_a_plain_merge_does(committed, written, prefix):
    state = make_overlay(committed)
    for key, value in written.items():
        if value is None:
            state.delete(key)
        else:
            state.put(key, value)
    merged = {key: value for key, value in {**committed, **written}.items() if value is not None}
    expected = [(key, merged[key]) for key in sorted(merged) if key.startswith(prefix)]
    assert list(state.iterate_prefix(prefix)) == expected


def test_a_listing_costs_no_more_in_a_full_block():
    """What a call lists is paid for by what it finds, not by what others have written."""

    def measure(written: int) -> float:
        state = make_overlay()
        for number in range(written):
            state.put(b"b%06d" % number, b"")
        list(state.iterate_prefix(b"a"))  # orders what was written
        started = process_time()
        for _ in range(1_000):
            list(state.iterate_prefix(b"a"))
        return process_time() - started

    assert min(measure(30_000) for _ in range(3)) < 10 * min(measure(30) for _ in range(3))


def test_what_is_written_while_a_prefix_is_listed_does_not_show():
    state = make_overlay()
    seen = []
    for key, _ in state.iterate_prefix(b"a"):
        seen.append(key)
        state.delete(b"a2")
        state.put(b"a3", b"new")
    assert seen == [b"a1", b"a2"]
