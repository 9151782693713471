"""What this node last signed, durable before a signature leaves: two slots in one preallocated file.

| file          | content                                                                                |
|---------------|----------------------------------------------------------------------------------------|
| `initialised` | says that a state was here once: without `state` beside it, starting would be unsafe   |
| `lock`        | held by the one process that signs                                                     |
| `state`       | slot 0 and slot 1, 8192 bytes each                                                     |

A slot is magic, 8 bytes ‖ sequence, 8 ‖ payload length, 4 ‖ SHA-256 of all that and the payload, 32 ‖ payload.
Sequence n goes to slot n mod 2, so a torn write never touches the state before it. One save is one fdatasync and
allocates nothing. The directory is never deleted by a reset, and never copied to a second machine.
"""

import fcntl
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import Final, Self

from node.atomic_file import PRIVATE_FILE_MODE, create_file, make_private_directory, write_all
from node.crash_points import CrashPoint, crash_point
from node.disk_full import DiskFullError, naming_full_disk

SLOT_BYTES: Final = 8192  # whole pages: writing one slot never rewrites a sector of the other
_MAGIC: Final = b"CLSAFE\x00\x01"
_HEADER: Final = Struct(">8sQI")
_CHECKSUM_BYTES: Final = 32
SAFETY_PAYLOAD_BYTES_MAX: Final = SLOT_BYTES - _HEADER.size - _CHECKSUM_BYTES

MARKER_FILE: Final = "initialised"
LOCK_FILE: Final = "lock"
STATE_FILE: Final = "state"
_HELP: Final = 'see "The safety directory" in docs/keys.md'


class SafetyFileError(Exception):
    """The safety state cannot be trusted or used; the node must not sign. One sentence that says what to do."""


class SafetyFileInUseError(SafetyFileError):
    """Another process signs from this directory."""


@dataclass(frozen=True, slots=True)
class _Slot:
    sequence: int
    payload: bytes


def initialise_safety_directory(directory: Path, payload: bytes = b"") -> None:
    """Prepare the directory of a consensus key that has never signed, or has signed nothing beyond `payload`.

    Does nothing where a state is already; raises SafetyFileError where one was and is gone.
    """
    make_private_directory(directory)
    marker, state = directory / MARKER_FILE, directory / STATE_FILE
    if not state.exists():
        if marker.exists():
            raise SafetyFileError(_describe_missing(state))
        create_file(state, _encode_slot(0, payload).ljust(2 * SLOT_BYTES, b"\0"))
    if not marker.exists():
        create_file(marker, b"A consensus key has signed from here. Never delete, reset or copy this directory.\n")


class SafetyFile:
    """The open safety state of one process; `load` and `save` are its whole use."""

    def __init__(self, directory: Path) -> None:
        """Lock and check the state; raises SafetyFileError."""
        self._path = directory / STATE_FILE
        if not directory.is_dir() or not (directory / MARKER_FILE).exists():
            raise SafetyFileError(f"{directory} is no initialised safety directory: restore it, {_HELP}")
        self._lock = _lock(directory / LOCK_FILE)
        try:
            self._state = _open_state(self._path)
            try:
                self._latest, self.warning = _read_latest(self._state, self._path)
            except BaseException:
                os.close(self._state)
                raise
        except BaseException:
            os.close(self._lock)
            raise
        self._is_usable = True

    def load(self) -> bytes | None:
        """What was saved last; None if nothing ever was. `warning` says whether a torn write was passed over."""
        return self._latest.payload or None

    def save(self, payload: bytes) -> None:
        """Return once the payload, at least 1 byte, is on the disk.

        Raises DiskFullError, after which the same save may be tried again, and SafetyFileError.
        """
        if not self._is_usable:
            raise SafetyFileError(f"{self._path} is closed or could not be written: check the disk, restart the node")
        assert 1 <= len(payload) <= SAFETY_PAYLOAD_BYTES_MAX
        sequence = self._latest.sequence + 1
        try:
            with naming_full_disk(self._path), crash_point(CrashPoint.SAFETY_SAVE):
                write_all(self._state, _encode_slot(sequence, payload), sequence % 2 * SLOT_BYTES)
                os.fdatasync(self._state)
        except DiskFullError:
            raise
        except OSError as error:
            # after a failed sync the kernel may call lost pages clean: only a restart reads what the disk holds
            self._is_usable = False
            raise SafetyFileError(f"{self._path} cannot be written ({error.strerror}): check the disk") from error
        self._latest = _Slot(sequence, payload)

    def close(self) -> None:
        """Let another process have the state. May be called twice."""
        if self._lock >= 0:
            self._is_usable = False
            os.close(self._state)
            os.close(self._lock)
            self._state = self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise SafetyFileInUseError(f"{path.parent} is in use by another process: stop that node first") from None
        raise SafetyFileError(f"{path} cannot be locked ({error.strerror}): use a local file system") from None
    return descriptor


def _open_state(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR)
    except FileNotFoundError:
        raise SafetyFileError(_describe_missing(path)) from None
    except OSError as error:
        raise SafetyFileError(f"{path} cannot be opened ({error.strerror})") from None


def _describe_missing(path: Path) -> str:
    return f"{path} was here once and is gone; signing without it could sign twice: restore it, {_HELP}"


def _read_latest(descriptor: int, path: Path) -> tuple[_Slot, str | None]:
    """The newest sound slot, and a warning when the other one is not sound."""
    try:
        content = os.pread(descriptor, 2 * SLOT_BYTES, 0)
    except OSError as error:
        raise SafetyFileError(f"{path} cannot be read ({error.strerror}): {_HELP}") from None
    parts = [content[:SLOT_BYTES], content[SLOT_BYTES:]]
    slots = [_decode_slot(part, index) for index, part in enumerate(parts)]
    sound = [slot for slot in slots if slot is not None]
    if not sound:
        raise SafetyFileError(f"{path} is damaged in both slots; signing without it could sign twice: {_HELP}")
    latest = max(sound, key=lambda slot: slot.sequence)
    is_whole = len(sound) == 2 or (latest.sequence == 0 and parts[1] == bytes(SLOT_BYTES))
    if is_whole:
        return latest, None
    return latest, f"{path}: the last save was cut short, continuing from the one before (sequence {latest.sequence})"


def _encode_slot(sequence: int, payload: bytes) -> bytes:
    assert len(payload) <= SAFETY_PAYLOAD_BYTES_MAX
    header = _HEADER.pack(_MAGIC, sequence, len(payload))
    return header + sha256(header + payload).digest() + payload


def _decode_slot(content: bytes, index: int) -> _Slot | None:
    if len(content) != SLOT_BYTES:
        return None
    header = content[: _HEADER.size]
    magic, sequence, length = _HEADER.unpack(header)
    if magic != _MAGIC or length > SAFETY_PAYLOAD_BYTES_MAX or sequence % 2 != index:
        return None
    start = _HEADER.size + _CHECKSUM_BYTES
    payload = content[start : start + length]
    if sha256(header + payload).digest() != content[_HEADER.size : start]:
        return None
    return _Slot(sequence, payload)
