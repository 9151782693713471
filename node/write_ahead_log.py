"""The consensus log on disk: one file per height, appended to, synced when the core asks for it.

The record format is the caller's (two functions); this is the file side. Only the newest file counts: a height's file
begins when the block before it is persisted, and what concerns older heights is then settled.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from node.atomic_file import PRIVATE_FILE_MODE, make_private_directory, sync_directory, write_all
from node.crash_points import CrashPoint, crash_point
from node.disk_full import DiskFullError, naming_full_disk

LOG_BYTES_MAX: Final = 2**28  # one height; at most 21 votes of 200 bytes twice a round, that is weeks of rounds
UNSYNCED_BYTES_MAX: Final = 2**20  # kept in memory until synced, to be written again if the sync fails
LOG_FILE_SUFFIX: Final = ".log"
_HEIGHT_DIGITS: Final = 20

Record = TypeVar("Record")
EncodeRecord = Callable[[Record], bytes]
DecodeRecords = Callable[[bytes], tuple[Sequence[Record], int, object | None]]
"""All records of a file's bytes, the length of the sound beginning, and what is wrong behind it (None: nothing)."""


class LogDamagedError(Exception):
    """The log is damaged where no crash damages it; the node must not start on it. Says what to do."""


class LogUnusableError(Exception):
    """The log cannot be written any more; the node must stop. Says what to do."""


class WriteAheadLog(Generic[Record]):
    """The open log. Give the core `records` of `height` to replay, if that is the height being decided."""

    def __init__(
        self,
        directory: Path,
        encode_record: EncodeRecord[Record],
        decode_records: DecodeRecords[Record],
        torn_tail: object,
    ) -> None:
        """Open, read, and cut off a torn tail; `torn_tail` is what `decode_records` calls one.

        Raises LogDamagedError, DiskFullError.
        """
        make_private_directory(directory)
        self._directory = directory
        self._encode_record = encode_record
        self._descriptor = -1
        self._length = 0
        self._length_synced = 0
        self._unsynced: list[bytes] = []
        self._is_name_synced = True
        self._is_rewrite_due = False
        self._failure: str | None = None
        self.height: int | None = None
        """The height whose file is open; None before the first."""
        self.records: Sequence[Record] = ()
        """What the file held when it was opened."""
        self.warning: str | None = None
        """Says that a torn tail was cut off."""
        heights = _list_heights(directory)
        if heights:
            self._open(heights[-1], decode_records, torn_tail)
            self._remove_files(heights[:-1])

    @property
    def path(self) -> Path:
        """The open file."""
        assert self.height is not None, "begin_height comes first"
        return get_log_path(self._directory, self.height)

    def begin_height(self, height: int) -> None:
        """Start an empty log for this height and drop the older ones: the block before it is persisted.

        Does nothing for the height that is open, so that a restart keeps its records. A log of a later height, as it is
        left when the store was moved away, goes too: the safety state holds all that binds this node there.
        Raises DiskFullError.
        """
        if height == self.height:
            return
        with crash_point(CrashPoint.LOG_BEGIN):
            self._begin_height(height)

    def _begin_height(self, height: int) -> None:
        self._check_usable()
        path = get_log_path(self._directory, height)
        with naming_full_disk(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE_MODE)
        previous = self.height
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self.height = descriptor, height
        self._length = self._length_synced = 0
        self._unsynced, self.records = [], ()
        self._is_name_synced = self._is_rewrite_due = False
        if previous is not None:
            self._remove_files([previous])

    def append(self, record: Record) -> None:
        """Write one record; a killed process does not lose it, a power cut may until `sync`.

        Raises DiskFullError, after which the log is as before the call, and LogUnusableError.
        """
        self._check_usable()
        encoded = self._encode_record(record)
        if self._length + len(encoded) > LOG_BYTES_MAX:
            raise LogUnusableError(
                f"{self.path} reached {LOG_BYTES_MAX} bytes within one height: the network has been stuck for long; "
                "find out why before this node restarts"
            )
        if self._length - self._length_synced >= UNSYNCED_BYTES_MAX:
            self.sync()
        try:
            with naming_full_disk(self.path), crash_point(CrashPoint.LOG_APPEND):
                write_all(self._descriptor, encoded, self._length)
        except DiskFullError:
            self._cut_back()
            raise
        except OSError as error:
            raise self._fail(error) from error
        self._length += len(encoded)
        self._unsynced.append(encoded)

    def sync(self) -> None:
        """Return once every record is on the disk. Raises DiskFullError (try again) and LogUnusableError."""
        self._check_usable()
        if self._length == self._length_synced and self._is_name_synced:
            return
        try:
            with naming_full_disk(self.path), crash_point(CrashPoint.LOG_SYNC):
                if self._is_rewrite_due:
                    write_all(self._descriptor, b"".join(self._unsynced), self._length_synced)
                os.fdatasync(self._descriptor)
                if not self._is_name_synced:
                    sync_directory(self._directory)
        except DiskFullError:
            # the kernel may have dropped what it could not write and call the rest clean: write it all again next time
            self._is_rewrite_due = True
            raise
        except OSError as error:
            raise self._fail(error) from error
        self._is_name_synced, self._is_rewrite_due = True, False
        self._length_synced = self._length
        self._unsynced = []

    def close(self) -> None:
        """Close the file without a sync. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._failure = self._failure or "the log is closed"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, height: int, decode_records: DecodeRecords[Record], torn_tail: object) -> None:
        path = get_log_path(self._directory, height)
        descriptor = os.open(path, os.O_RDWR)
        try:
            content = _read_all(descriptor, path)
            records, good_length, damage = decode_records(content)
            if damage is not None and damage != torn_tail:
                raise LogDamagedError(_describe_damage(path, good_length))
            if good_length < len(content):
                os.ftruncate(descriptor, good_length)
                cut_bytes = len(content) - good_length
                self.warning = f"{path}: cut off {cut_bytes} bytes of a record that was being written in a crash"
            with naming_full_disk(path):
                os.fdatasync(descriptor)  # what is replayed must not vanish in the next power cut
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor, self.height, self.records = descriptor, height, records
        self._length = self._length_synced = good_length

    def _cut_back(self) -> None:
        """Take back the part of a record that still found room, so that the next one does not follow half a record."""
        try:
            os.ftruncate(self._descriptor, self._length)
        except OSError as error:
            raise self._fail(error) from error

    def _fail(self, error: OSError) -> LogUnusableError:
        self._failure = f"{self.path} cannot be written ({error.strerror}): check the disk and restart the node"
        return LogUnusableError(self._failure)

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise LogUnusableError(self._failure)

    def _remove_files(self, heights: Sequence[int]) -> None:
        """Not synced: if a power cut brings a file back, the next opening removes it."""
        for height in heights:
            get_log_path(self._directory, height).unlink(missing_ok=True)


def get_log_path(directory: Path, height: int) -> Path:
    """The file of one height; names sort like heights."""
    return directory / f"{height:0{_HEIGHT_DIGITS}d}{LOG_FILE_SUFFIX}"


def _list_heights(directory: Path) -> list[int]:
    stems = [path.stem for path in directory.iterdir() if path.suffix == LOG_FILE_SUFFIX]
    return sorted(int(stem) for stem in stems if len(stem) == _HEIGHT_DIGITS and stem.isascii() and stem.isdigit())


def _read_all(descriptor: int, path: Path) -> bytes:
    size = os.fstat(descriptor).st_size
    if size > LOG_BYTES_MAX:
        raise LogDamagedError(_describe_damage(path, LOG_BYTES_MAX))
    with os.fdopen(os.dup(descriptor), "rb") as file:
        return file.read()


def _describe_damage(path: Path, offset: int) -> str:
    return (
        f"{path} is damaged at byte {offset}, in the middle, where no crash damages it: check the disk, then move the "
        f'file away (mv {path} {path}.damaged) as said under "The consensus log" in docs/keys.md'
    )
