"""Admitted transactions on disk, so that a crash of the process loses none that a client was told is in.

The journal is not synced: the operating system keeps what was written when the process dies. A power cut may lose
transactions that are not final yet; what is final is synced with its block.
"""

import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from ledger.transaction import TRANSACTION_BYTES_MAX
from node.atomic_file import replace_file
from node.crash_points import CrashPoint, crash, crash_point, is_to_be_torn
from node.disk_full import DiskFullError

REWRITE_BYTES: Final = 32 * 2**20  # the journal is rewritten once it has grown this much beyond what still waits
_FRAME: Final = struct.Struct(">II")  # length, CRC-32


class MempoolJournal:
    """An append-only file of framed transactions."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)

    def load(self) -> list[bytes]:
        """What was appended, up to the first damaged frame: a torn tail is what a crash leaves.

        The tail is cut off, or it would hide what is appended after it.
        """
        content = self._path.read_bytes()
        transactions = []
        position = 0
        while position + _FRAME.size <= len(content):
            length, checksum = _FRAME.unpack_from(content, position)
            raw = content[position + _FRAME.size : position + _FRAME.size + length]
            is_whole = 0 < length <= TRANSACTION_BYTES_MAX and len(raw) == length
            if not is_whole or zlib.crc32(raw) != checksum:
                break
            transactions.append(raw)
            position += _FRAME.size + length
        if position < len(content):
            self._cut(position)
        return transactions

    def append(self, raws: Sequence[bytes]) -> bool:
        """Add transactions; whether they are stored: on a full disk nothing is, and the journal stays sound."""
        size_before = self._file.tell()
        frames = _encode_frames(raws)
        try:
            with crash_point(CrashPoint.JOURNAL_APPEND):
                if is_to_be_torn():
                    self._file.write(frames[: len(frames) // 2])
                    crash()
                written = self._file.write(frames)
        except OSError:
            written = 0
        if written != len(frames):  # half a frame would hide the ones after it
            self._cut(size_before)
        return written == len(frames)

    def rewrite_when_long(self, waiting_bytes: int, waiting: Iterable[bytes]) -> None:
        """Keep only what still waits, once the file has outgrown it."""
        if self._file.tell() < REWRITE_BYTES + 2 * waiting_bytes:
            return
        self.rewrite(waiting)

    def rewrite(self, waiting: Iterable[bytes]) -> None:
        """Replace the journal by these transactions; on a full disk the longer one stays, which does no harm."""
        try:
            with crash_point(CrashPoint.JOURNAL_REWRITE):
                replace_file(self._path, _encode_frames(waiting))
        except DiskFullError:
            return
        self._file.close()
        self._file = self._path.open("ab", buffering=0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _cut(self, size_bytes: int) -> None:
        self._file.truncate(size_bytes)
        self._file.seek(size_bytes)


def _encode_frames(raws: Iterable[bytes]) -> bytes:
    return b"".join([_FRAME.pack(len(raw), zlib.crc32(raw)) + raw for raw in raws])
