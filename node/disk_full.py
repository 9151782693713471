"""One error for a full disk, so that the node can stop signing, say so and resume when there is space again."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # disk, quota and file size limit


class DiskFullError(OSError):
    """Nothing more fits at this path. What was there before is still sound, and the same call may be tried again."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(cause.errno, f"no space left for {path}: free some, the node resumes by itself")


@contextmanager
def naming_full_disk(path: Path) -> Iterator[None]:
    """Turn a lack of space into DiskFullError; other errors pass unchanged."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFullError(path, error) from error
        raise
