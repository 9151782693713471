"""The state as a native view reads it for a contract: every value is paid for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ledger.state import State, end_of_prefix
from vm.contracts.prices import SCAN, SCAN_PAIR, STORAGE_READ, STORAGE_READ_BYTE


@dataclass(frozen=True, slots=True)
class MeteredState:
    """Charges for whatever is read; `charge` raises when the gas is used up."""

    state: State
    charge: Callable[[int], None]

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        self.charge(STORAGE_READ)
        value = self.state.get(key)
        if value is not None:
            self.charge(STORAGE_READ_BYTE * len(value))
        return value

    def iterate_prefix(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key starts with the prefix, in byte order."""
        return self.iterate_range(prefix, end_of_prefix(prefix))

    def iterate_range(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key is at least `start` and below `stop`, in byte order."""
        self.charge(SCAN)
        for key, value in self.state.scan_range(start, stop):
            self.charge(SCAN_PAIR)
            if value is not None:
                self.charge(STORAGE_READ_BYTE * (len(key) + len(value)))
                yield key, value
