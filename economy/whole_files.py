"""Files that are there whole or not at all, also after a kill; single files also after a power cut."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

PART_SUFFIX: Final = ".part"


def put_file(path: Path, write: Callable[[Path], None]) -> None:
    """Have a file written aside, synced, and given its name; one left over from a kill is overwritten."""
    part = path.with_name(path.name + PART_SUFFIX)
    write(part)
    _sync(part, os.O_RDONLY)
    part.replace(path)
    _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)


def put_content(path: Path, content: bytes) -> None:
    """The same for bytes at hand."""

    def write(part: Path) -> None:
        part.write_bytes(content)

    put_file(path, write)


def put_directory(path: Path, write: Callable[[Path], None]) -> None:
    """The same for a directory of files, which can be written again: only its name needs to be the last step."""
    part = path.with_name(path.name + PART_SUFFIX)
    write(part)
    part.replace(path)
    _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
