"""Files and directories that are there whole or not at all, also after a kill or a power cut."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

PART_SUFFIX: Final = ".part"


def put_file(path: Path, write: Callable[[Path], None]) -> None:
    """Have a file written aside, synced, and given its name; one left over from a kill is overwritten."""
    part = path.with_name(path.name + PART_SUFFIX)
    write(part)
    _sync(part)
    _rename(part, path)


def put_content(path: Path, content: bytes) -> None:
    """The same for bytes at hand."""

    def write(part: Path) -> None:
        part.write_bytes(content)

    put_file(path, write)


def put_directory(path: Path, write: Callable[[Path], None]) -> None:
    """The same for a directory, which `write` makes; what a kill has left over is removed first."""
    part = path.with_name(path.name + PART_SUFFIX)
    if part.exists():
        shutil.rmtree(part)
    write(part)
    for each in (*part.rglob("*"), part):
        _sync(each)
    _rename(part, path)


def _rename(part: Path, path: Path) -> None:
    part.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    """A file's content, or a directory's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
