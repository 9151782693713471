"""The state during a block: committed values beneath, this block's changes above, a journal to undo a failed call."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Protocol

_ABSENT: Final = object()

Get = Callable[[bytes], bytes | None]
Iterate = Callable[[bytes, bytes], Iterator[tuple[bytes, bytes]]]


class StateReader(Protocol):
    """What views and queries need."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        ...

    def iterate_prefix(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key starts with the prefix, in byte order."""
        ...

    def iterate_range(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key is at least `start` and below `stop`, in byte order."""
        ...


class State:
    """One overlay for a whole block. `get_mark` and `undo_to` bracket what may have to be taken back."""

    def __init__(self, get_committed: Get, iterate_committed: Iterate) -> None:
        self._get_committed = get_committed
        self._iterate_committed = iterate_committed
        self._changes: dict[bytes, bytes | None] = {}
        self._journal: list[tuple[bytes, object]] = []
        self._ordered: list[bytes] = []
        """The first keys that were changed, sorted; those that came later are put in when a range is asked for."""

    @property
    def changes(self) -> dict[bytes, bytes | None]:
        """Everything written so far; None means deleted."""
        return self._changes

    def get(self, key: bytes) -> bytes | None:
        """The value as this block sees it now, or None."""
        changes = self._changes
        return changes[key] if key in changes else self._get_committed(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value."""
        changes = self._changes
        self._journal.append((key, changes.get(key, _ABSENT)))
        changes[key] = value

    def delete(self, key: bytes) -> None:
        """Remove a key; removing an absent one is harmless."""
        changes = self._changes
        self._journal.append((key, changes.get(key, _ABSENT)))
        changes[key] = None

    def iterate_prefix(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key starts with the prefix, in byte order, with this block's changes up to now.

        What is written while the pairs are taken does not show in them.
        """
        stop = end_of_prefix(prefix)
        ordered = self._order_changes()
        start = bisect_left(ordered, prefix)
        changed = {key: self._changes[key] for key in ordered[start : bisect_left(ordered, stop, start)]}
        ahead = list(reversed(changed))
        for key, committed in self._iterate_committed(prefix, stop):
            while ahead and ahead[-1] < key:
                yield from _present(ahead[-1], changed[ahead.pop()])
            if ahead and ahead[-1] == key:
                yield from _present(key, changed[ahead.pop()])
            else:
                yield key, committed
        while ahead:
            yield from _present(ahead[-1], changed[ahead.pop()])

    def iterate_range(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key is at least `start` and below `stop`, in byte order. Nothing is written meanwhile."""
        return ((key, value) for key, value in self.scan_range(start, stop) if value is not None)

    def scan_range(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes | None]]:
        """The same, and None for what was removed since the last commit: looking at that costs time too."""
        changes, ordered = self._changes, self._order_changes()
        index = bisect_left(ordered, start)
        end = bisect_left(ordered, stop, index)
        for key, committed in self._iterate_committed(start, stop):
            while index < end and ordered[index] < key:
                yield ordered[index], changes[ordered[index]]
                index += 1
            if index < end and ordered[index] == key:
                yield key, changes[key]
                index += 1
            else:
                yield key, committed
        for key in ordered[index:end]:
            yield key, changes[key]

    def _order_changes(self) -> list[bytes]:
        """All changed keys, sorted. Keys are undone in the reverse of the order in which they came."""
        ordered = self._ordered
        for key in islice(reversed(self._changes), len(self._changes) - len(ordered)):
            insort(ordered, key)
        return ordered

    def get_mark(self) -> int:
        """A point to return to."""
        return len(self._journal)

    def undo_to(self, mark: int) -> None:
        """Take back everything written since the mark."""
        changes, journal = self._changes, self._journal
        while len(journal) > mark:
            key, previous = journal.pop()
            if previous is _ABSENT:
                del changes[key]
                if self._ordered:
                    self._forget_order(key)
            else:
                changes[key] = previous  # type: ignore[assignment]  # the journal holds what changes held

    def _forget_order(self, key: bytes) -> None:
        index = bisect_left(self._ordered, key)
        if index < len(self._ordered) and self._ordered[index] == key:
            del self._ordered[index]

    def forget_marks(self) -> None:
        """What was written so far stays; the journal starts anew."""
        self._journal.clear()


def _present(key: bytes, value: bytes | None) -> Iterator[tuple[bytes, bytes]]:
    if value is not None:
        yield key, value


def end_of_prefix(prefix: bytes) -> bytes:
    """The first key after all keys with this prefix."""
    stripped = prefix.rstrip(b"\xff")
    assert stripped, "a prefix of 0xff bytes has no end"
    return stripped[:-1] + bytes([stripped[-1] + 1])
