"""The store protocol in memory, for tests and simulations: the same order, atomicity and views as on disk."""

import weakref
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from typing import Final

from ledger.store import Change

_SORT_ANEW_DIVISOR: Final = 8  # a write of more than this share of the keys sorts them anew instead of inserting


class _Undo:
    """What keys held before they were written, from one view to the next."""

    __slots__ = ("__weakref__", "later", "overwritten")

    def __init__(self) -> None:
        self.overwritten: dict[bytes, bytes | None] = {}
        self.later: _Undo | None = None


class MemoryStore:
    """A store that forgets everything with the process."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._sorted_keys: list[bytes] | None = []
        """None when the keys must be sorted anew."""
        self._latest_undo: weakref.ref[_Undo] | None = None
        """Dead once neither the latest view nor an earlier one is open: then nobody needs old values."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        return self._values.get(key)

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < stop in byte order, or backwards; later writes do not show."""
        pairs = [(key, self._values[key]) for key in self.list_keys(start, stop)]
        return reversed(pairs) if reverse else iter(pairs)

    def write(self, changes: Sequence[Change], *, sync: bool) -> None:
        """All of the changes; the last one of a key counts."""
        values = self._values
        undo = None if self._latest_undo is None else self._latest_undo()
        if len(changes) > len(values) // _SORT_ANEW_DIVISOR:
            self._sorted_keys = None
        for key, value in changes:
            if undo is not None:
                undo.overwritten.setdefault(key, values.get(key))
            if (key in values) != (value is not None):
                self._change_sorted_keys(key)
            if value is None:
                values.pop(key, None)
            else:
                values[key] = value

    def take_view(self) -> "MemoryView":
        """A frozen view of this moment."""
        undo = _Undo()
        latest = None if self._latest_undo is None else self._latest_undo()
        if latest is not None:
            latest.later = undo
        self._latest_undo = weakref.ref(undo)
        return MemoryView(self, undo)

    def close(self) -> None:
        """Nothing to release."""

    def list_keys(self, start: bytes, stop: bytes) -> list[bytes]:
        """The keys with start <= key < stop, in byte order."""
        if self._sorted_keys is None:
            self._sorted_keys = sorted(self._values)
        keys = self._sorted_keys
        return keys[bisect_left(keys, start) : bisect_left(keys, stop)]

    def _change_sorted_keys(self, key: bytes) -> None:
        keys = self._sorted_keys
        if keys is None:
            return
        if key in self._values:
            del keys[bisect_left(keys, key)]
        else:
            insort(keys, key)


class MemoryView:
    """The store as it was: what was overwritten since, else what stands there now."""

    def __init__(self, store: MemoryStore, undo: _Undo) -> None:
        self._store = store
        self._undo: _Undo | None = undo

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        undo = self._undo
        assert undo is not None, "the view is closed"
        while undo is not None:
            if key in undo.overwritten:
                return undo.overwritten[key]
            undo = undo.later
        return self._store.get(key)

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < stop in byte order, or backwards."""
        keys = set(self._store.list_keys(start, stop))
        undo = self._undo
        while undo is not None:
            keys.update(key for key in undo.overwritten if start <= key < stop)
            undo = undo.later
        pairs = [(key, value) for key in sorted(keys, reverse=reverse) if (value := self.get(key)) is not None]
        return iter(pairs)

    def close(self) -> None:
        """Let go of the old values; closing twice is harmless."""
        self._undo = None
