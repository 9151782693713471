"""Disks that fill up or break, for tests."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond that; a write across the limit is cut short, the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def failing_call(monkeypatch: pytest.MonkeyPatch, name: str, number: int = errno.EIO) -> Iterator[None]:
    """os.<name> fails with this error."""

    def fail(*_arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        yield


def list_names(directory: Path) -> list[str]:
    """What lies in a directory, hidden files too."""
    return sorted(path.name for path in directory.iterdir())
