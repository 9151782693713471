"""Storage items. The first key byte is the item's position in the class; values and keys are packed.

| item         | key                                  | value                        |
|--------------|--------------------------------------|------------------------------|
| `Var`        | position                             | the value                    |
| `Map`        | position ‖ key                       | the value                    |
| `IndexedMap` | position ‖ 0 ‖ key                   | its index as u32, the value  |
|              | position ‖ 1 ‖ index as u32          | the key                      |
|              | position ‖ 2                         | how many there are, as u32   |

Deleting from an `IndexedMap` moves the last key to the freed index, so indexes have no gaps.
"""

from collections.abc import Iterator
from typing import Any, Final, Generic, TypeVar, cast, overload

from iov.failures import Panic, RevertError
from iov.host import get_frame
from iov.integers import u32
from iov.packing import pack_as, unpack_as
from iov.values import check_value

K = TypeVar("K")
V = TypeVar("V")

KEY_BYTES_MAX: Final = 128  # the host's limit, position included
VALUE_BYTES_MAX: Final = 16_384  # the host's limit

_RECORD, _INDEX, _COUNT = b"\x00", b"\x01", b"\x02"


class Var(Generic[V]):
    """One stored value: read and assigned as an attribute. Reading it before it is set fails with Panic.MISSING."""

    def __init__(self, position: int, value: Any) -> None:
        self._key = bytes([position])
        self._value = value

    def __get__(self, instance: object, owner: object = None) -> V:
        return cast(V, unpack_as(self._value, _read(self._key)))

    def __set__(self, instance: object, value: V) -> None:
        _write(self._key, pack_as(self._value, check_value(self._value, value)))


class _Keyed(Generic[K, V]):
    """What both maps can do."""

    def __init__(self, position: int, key: Any, value: Any) -> None:
        self._prefix = bytes([position])
        self._key_type = key
        self._value = value

    def __getitem__(self, key: K, /) -> V:
        return cast(V, unpack_as(self._value, self._read_record(key)[self._header_bytes() :]))

    @overload
    def get(self, key: K, /) -> V | None: ...
    @overload
    def get(self, key: K, default: V, /) -> V: ...
    def get(self, key: K, default: V | None = None, /) -> V | None:
        """The value of a key, or the default, or None."""
        return self[key] if key in self else default  # noqa: SIM401  # this is that method

    def __contains__(self, key: K, /) -> bool:
        return get_frame().storage_get(self._key(key)) is not None

    def _key(self, key: K) -> bytes:
        return _limit_key(self._prefix + pack_as(self._key_type, check_value(self._key_type, key)))

    def _read_record(self, key: K) -> bytes:
        return _read(self._key(key))

    def _header_bytes(self) -> int:
        return 0


class Map(_Keyed[K, V]):
    """Values by key. It cannot be listed; use IndexedMap where that is needed."""

    def __setitem__(self, key: K, value: V, /) -> None:
        packed = pack_as(self._value, check_value(self._value, value))
        _write(self._key(key), packed)

    def __delitem__(self, key: K, /) -> None:
        if not get_frame().storage_delete(self._key(key)):
            raise RevertError(Panic.MISSING, f"no key {key!r}")


class IndexedMap(_Keyed[K, V]):
    """Values by key, whose keys can be counted and listed in the order of insertion (until something is deleted)."""

    def __setitem__(self, key: K, value: V, /) -> None:
        packed = pack_as(self._value, check_value(self._value, value))
        record_key = self._key(key)
        record = get_frame().storage_get(record_key)
        if record is not None:
            _write(record_key, record[: self._header_bytes()] + packed)
            return
        index = u32(len(self))
        _write(record_key, pack_as(u32, index) + packed)
        _write(self._index_key(index), record_key[2:])
        _write(self._prefix + _COUNT, pack_as(u32, index + 1))

    def __delitem__(self, key: K, /) -> None:
        record_key = self._key(key)
        index = unpack_as(u32, _read(record_key)[: self._header_bytes()])
        last = u32(len(self)) - 1
        frame = get_frame()
        if index != last:
            last_key = _read(self._index_key(last))
            moved_key = self._prefix + _RECORD + last_key
            _write(moved_key, pack_as(u32, index) + _read(moved_key)[self._header_bytes() :])
            _write(self._index_key(index), last_key)
        frame.storage_delete(self._index_key(last))
        frame.storage_delete(record_key)
        _write(self._prefix + _COUNT, pack_as(u32, last))

    def __len__(self) -> int:
        count = get_frame().storage_get(self._prefix + _COUNT)
        return 0 if count is None else int.from_bytes(count, "little")

    def __iter__(self) -> Iterator[K]:
        index = u32(0)
        while index < len(self):
            yield self.key_at(index)
            index += 1

    def key_at(self, index: int, /) -> K:
        """The key at an index below `len`; outside it fails with Panic.INDEX."""
        if not 0 <= index < len(self):
            raise RevertError(Panic.INDEX, f"key {int(index)} of {len(self)}")
        return cast(K, unpack_as(self._key_type, _read(self._index_key(u32(int(index))))))

    def _key(self, key: K) -> bytes:
        return _limit_key(self._prefix + _RECORD + pack_as(self._key_type, check_value(self._key_type, key)))

    def _index_key(self, index: u32) -> bytes:
        return self._prefix + _INDEX + pack_as(u32, index)

    def _header_bytes(self) -> int:
        return 4


def _limit_key(key: bytes) -> bytes:
    if len(key) > KEY_BYTES_MAX:
        raise RevertError(Panic.LIMIT, f"a storage key of {len(key)} bytes")
    return key


def _read(key: bytes) -> bytes:
    value = get_frame().storage_get(key)
    if value is None:
        raise RevertError(Panic.MISSING, f"storage item {key[0]}, key {key[1:].hex()}")
    return value


def _write(key: bytes, value: bytes) -> None:
    if len(value) > VALUE_BYTES_MAX:
        raise RevertError(Panic.LIMIT, f"a stored value of {len(value)} bytes")
    get_frame().storage_put(key, value)
