"""The store protocol on disk: LevelDB, checked on every read, owned by one process.

LevelDB refuses all writes after one that failed, even when there is space again, and a log that was cut off in the
middle of a record must not be appended to. So a failed write leaves the store readable, and `reopen` makes it whole.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf
from pathlib import Path
from shutil import disk_usage
from threading import Lock, get_ident
from typing import Any, Final

import plyvel

from ledger.store import Change
from node.errors import ConfigurationError, StoreDamagedError, StoreWriteError
from node.leveldb_log_check import is_log_tail_damaged

WRITE_BUFFER_BYTES: Final = 64 * 2**20
BLOCK_CACHE_BYTES: Final = 16 * 2**20
BLOOM_FILTER_BITS: Final = 10  # an absent or old key costs one table, not one a level: measured 10 against 20-55 µs
TABLE_BLOCK_BYTES: Final = 2_048  # what one cold read checks; state values and tree nodes are small
OPEN_FILES_MAX: Final = 500  # of 2 MB each; more of them are opened and closed as needed
REOPEN_SPACE_FACTOR: Final = 2  # opening writes the whole log out as a table before it takes new writes
REOPEN_SPARE_BYTES: Final = 2**20

_HELD: Final = ("already held by process", "Resource temporarily unavailable")


class _Guard:
    """Keeps the database open while another thread is inside it.

    The thread that opened the store, which alone writes, reopens and closes it, needs no lock for its own reads.
    """

    __slots__ = ("lock", "owner")

    def __init__(self) -> None:
        self.lock = Lock()
        self.owner = get_ident()


class LevelDbStore:
    """An open directory. Reads may come from any thread; all else only from the thread that opened it."""

    def __init__(self, path: Path, *, write_buffer_bytes: int = WRITE_BUFFER_BYTES) -> None:
        """Open or create; raises ConfigurationError, StoreDamagedError, or StoreWriteError on a full disk."""
        self._path = path
        self._write_buffer_bytes = write_buffer_bytes
        self._must_reopen = False
        self._guard = _Guard()
        self._database = self._open(is_reopened=False)

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        return _get(self._path, self._guard, self._database, key)

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < stop in byte order, or backwards; as of the first pair taken."""
        return _iterate(self._path, self._guard, self._database, start, stop, reverse)

    def write(self, changes: Sequence[Change], *, sync: bool) -> None:
        """All of the changes or none. With sync they survive a power cut once this returns.

        Raises StoreWriteError; then nothing more can be written until `reopen`.
        """
        if self._must_reopen:
            raise StoreWriteError(f"the store {self._path} takes no writes since one has failed: reopen it first")
        batch = self._database.write_batch(sync=sync)
        put, delete = batch.put, batch.delete
        for key, value in changes:
            if value is None:
                delete(key)
            else:
                put(key, value)
        try:
            batch.write()
        except plyvel.CorruptionError as error:
            self._must_reopen = True
            raise _describe_damage(self._path, error) from error
        except plyvel.Error as error:
            self._must_reopen = True
            raise StoreWriteError(
                f"cannot write to {self._path} ({_text_of(error)}): free some space, the node resumes by itself"
            ) from error

    def reopen(self) -> None:
        """Make the store take writes again after a failed one; views taken before are closed with it.

        Raises StoreWriteError while there is no space; the store then stays as it is, and this may be called again.
        """
        free_bytes = disk_usage(self._path).free
        log_bytes = sum(log.stat().st_size for log in self._path.glob("*.log"))
        needed_bytes = REOPEN_SPACE_FACTOR * log_bytes + REOPEN_SPARE_BYTES
        if free_bytes < needed_bytes:
            raise StoreWriteError(
                f"{self._path} needs {needed_bytes} free bytes to be reopened, there are {free_bytes}"
            )
        self._must_reopen = True
        with self._guard.lock:
            self._database.close()
            self._database = self._open(is_reopened=True)
        self._must_reopen = False

    def compact(self) -> None:
        """Rewrite the tables so that what was deleted or replaced takes no room and no read looks twice; slow."""
        try:
            self._database.compact_range(start=b"", stop=b"\xff")  # plyvel takes no bounds for an empty range
        except plyvel.Error as error:
            raise StoreWriteError(f"cannot compact {self._path} ({_text_of(error)}): free some space") from error

    def take_view(self) -> "LevelDbView":
        """A frozen view of this moment."""
        with self._guard.lock:
            try:
                return LevelDbView(self._path, self._guard, self._database.snapshot())
            except RuntimeError as error:
                raise _describe_closed(self._path) from error

    def close(self) -> None:
        """Release the directory; closing twice is harmless."""
        with self._guard.lock:
            self._database.close()

    def _open(self, *, is_reopened: bool) -> Any:
        try:
            self._refuse_silent_loss()
            self._path.mkdir(parents=True, exist_ok=True)
            return plyvel.DB(
                str(self._path),
                create_if_missing=not is_reopened,
                paranoid_checks=True,
                write_buffer_size=self._write_buffer_bytes,
                lru_cache_size=BLOCK_CACHE_BYTES,
                bloom_filter_bits=BLOOM_FILTER_BITS,
                block_size=TABLE_BLOCK_BYTES,
                compression=None,  # hashes and signatures do not shrink, and a cold read took 2.4 times as long
                max_open_files=OPEN_FILES_MAX,
            )
        except plyvel.CorruptionError as error:
            raise _describe_damage(self._path, error) from error
        except (plyvel.Error, OSError) as error:
            raise self._describe_open_failure(error, is_reopened=is_reopened) from error

    def _refuse_silent_loss(self) -> None:
        """Damage that LevelDB would pass over: it begins anew without CURRENT, and drops a log's damaged tail."""
        if (self._path / "CURRENT").exists():
            for file in [*self._path.glob("*.log"), *self._path.glob("MANIFEST-*")]:
                if is_log_tail_damaged(file):
                    raise _describe_damage(self._path, f"the end of {file.name} is not what was written")
        elif any(self._path.glob("*.ldb")) or any(self._path.glob("*.log")):
            raise _describe_damage(self._path, "the file CURRENT is missing")

    def _describe_open_failure(self, error: Exception, *, is_reopened: bool) -> Exception:
        text = _text_of(error)
        if any(phrase in text for phrase in _HELD):
            return ConfigurationError(f"{self._path} is in use by another process: stop it, or choose another --home")
        if "No space left" in text or is_reopened:
            return StoreWriteError(f"cannot open {self._path} ({text}): free some space")
        if "No such file" in text:
            return _describe_damage(self._path, error)
        return ConfigurationError(f"cannot open {self._path} ({text}): check the path and its owner")


class LevelDbView:
    """The store as it was at one moment."""

    def __init__(self, path: Path, guard: _Guard, snapshot: Any) -> None:
        self._path = path
        self._guard = guard
        self._snapshot = snapshot

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        return _get(self._path, self._guard, self._snapshot, key)

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < stop in byte order, or backwards."""
        return _iterate(self._path, self._guard, self._snapshot, start, stop, reverse)

    def close(self) -> None:
        """Let go of the old versions; closing twice is harmless."""
        with self._guard.lock:
            self._snapshot.close()


def is_held(path: Path) -> bool:
    """Whether another process has the store open: LevelDB locks its file LOCK for as long.

    Not for a process that has it open itself: closing the file here would end that lock.
    """
    lock = path / "LOCK"
    if not lock.exists():
        return False
    with lock.open("r+b") as file:
        try:
            lockf(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return True
        lockf(file, LOCK_UN)
    return False


def _get(path: Path, guard: _Guard, source: Any, key: bytes) -> bytes | None:
    try:
        value: bytes | None
        if get_ident() == guard.owner:
            value = source.get(key, verify_checksums=True)
        else:
            with guard.lock:
                value = source.get(key, verify_checksums=True)
    except plyvel.Error as error:
        raise _describe_damage(path, error) from error
    except RuntimeError as error:
        raise _describe_closed(path) from error
    return value


def _iterate(
    path: Path, guard: _Guard, source: Any, start: bytes, stop: bytes, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    lock = nullcontext() if get_ident() == guard.owner else guard.lock
    # plyvel 1.5, given a start, leaves out a lone pair whose key is the start when it goes backwards
    bounds = {"stop": stop} if reverse else {"start": start, "stop": stop}
    pairs = None
    try:
        with lock:
            pairs = source.iterator(reverse=reverse, verify_checksums=True, **bounds)
        while True:
            with lock:
                pair = next(pairs, None)
            if pair is None or pair[0] < start:
                return
            yield pair
    except plyvel.Error as error:
        raise _describe_damage(path, error) from error
    except RuntimeError as error:
        raise _describe_closed(path) from error
    finally:
        if pairs is not None:
            with lock:
                pairs.close()


def _describe_damage(path: Path, error: Exception | str) -> StoreDamagedError:
    return StoreDamagedError(
        f"the store {path} is damaged ({_text_of(error)}): move the directory away and start again, "
        "the node fetches the chain from its peers"
    )


def _describe_closed(path: Path) -> StoreWriteError:
    """plyvel says RuntimeError when a database, and so every view of it, was closed."""
    return StoreWriteError(f"the store {path} was closed or reopened in between: reopen it, or take a new view")


def _text_of(error: Exception | str) -> str:
    """LevelDB's own words, which plyvel passes on as bytes."""
    if isinstance(error, plyvel.Error) and error.args and isinstance(error.args[0], bytes):
        return error.args[0].decode(errors="replace")
    return str(error)
