"""Files that are there whole or not at all, also after a power cut: write aside, fsync, rename, fsync the directory."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from node.crash_points import crash, is_to_be_torn
from node.disk_full import naming_full_disk

PRIVATE_FILE_MODE: Final = 0o600
PRIVATE_DIRECTORY_MODE: Final = 0o700
TEMPORARY_SUFFIX: Final = ".tmp"


def replace_file(path: Path, content: bytes, mode: int = PRIVATE_FILE_MODE) -> None:
    """Write or overwrite: readers see the old content or the new, never a part. Raises DiskFullError, OSError."""

    def rename(temporary: Path) -> None:
        temporary.replace(path)

    _put_file(path, content, mode, rename)


def create_file(path: Path, content: bytes, mode: int = PRIVATE_FILE_MODE) -> None:
    """Write a new file; raises FileExistsError, and leaves the old one, when the name is taken."""

    def link(temporary: Path) -> None:
        path.hardlink_to(temporary)  # unlike a rename, never overwrites
        temporary.unlink()

    _put_file(path, content, mode, link)


def make_private_directory(path: Path) -> None:
    """Create the directory, and the missing ones above it, for this user alone; one that exists is left as it is."""
    if path.is_dir():
        return
    make_private_directory(path.parent)
    path.mkdir(mode=PRIVATE_DIRECTORY_MODE, exist_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, content: bytes, offset: int) -> None:
    """Write everything at this offset; a single call may write less."""
    view = memoryview(content)
    if is_to_be_torn():
        os.pwrite(descriptor, view[: len(view) // 2], offset)
        crash()
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written


def _put_file(path: Path, content: bytes, mode: int, put: Callable[[Path], None]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    with naming_full_disk(path):
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            try:
                os.fchmod(descriptor, mode)  # whatever the umask says
                write_all(descriptor, content, 0)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            put(temporary)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
