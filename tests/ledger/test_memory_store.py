"""The store in memory."""

from collections.abc import Callable

import pytest

from ledger.memory_store import MemoryStore
from ledger.store import Store
from tests.ledger.store_contract import CONTRACT


@pytest.mark.parametrize("check", CONTRACT)
def test_contract(check: Callable[[Store], None]) -> None:
    check(MemoryStore())


def test_old_values_are_kept_only_while_a_view_needs_them() -> None:
    store = MemoryStore()
    first = store.take_view()
    second = store.take_view()
    assert store._latest_undo is not None
    second.close()
    store.write([(b"a", b"1")], sync=True)
    assert first.get(b"a") is None
    first.close()
    assert store._latest_undo() is None


def test_a_closed_view_is_not_read() -> None:
    view = MemoryStore().take_view()
    view.close()
    with pytest.raises(AssertionError, match="closed"):
        view.get(b"a")


def test_keys_stay_sorted_through_small_and_large_writes() -> None:
    store = MemoryStore()
    store.write([(b"%05d" % number, b"") for number in range(0, 1_000, 2)], sync=False)
    assert len(store.list_keys(b"", b"\xff")) == 500
    store.write([(b"00001", b""), (b"00002", None), (b"00001", b"again")], sync=False)
    assert store.list_keys(b"00000", b"00005") == [b"00000", b"00001", b"00004"]
    store.write([(b"%05d" % number, None) for number in range(0, 1_000, 2)], sync=False)
    assert store.list_keys(b"", b"\xff") == [b"00001"]
