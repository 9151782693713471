"""What the ledger needs of a key-value store: point reads, ordered reads, one atomic write, and frozen views."""

from collections.abc import Iterator, Sequence
from typing import Protocol

Change = tuple[bytes, bytes | None]
"""A key and its new value; None deletes."""


class ReadView(Protocol):
    """The store as it was at one moment, unaffected by later writes. Close it: it keeps old versions alive."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        ...

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < stop in byte order, or backwards."""
        ...

    def close(self) -> None:
        """Let go of the old versions; closing twice is harmless."""
        ...


class Store(Protocol):
    """An ordered map from bytes to bytes with atomic, durable writes."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        ...

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < stop in byte order, or backwards."""
        ...

    def write(self, changes: Sequence[Change], *, sync: bool) -> None:
        """All of the changes or none. With sync they survive a power cut once this returns."""
        ...

    def take_view(self) -> ReadView:
        """A frozen view of this moment."""
        ...

    def close(self) -> None:
        """Release the directory."""
        ...
