"""Files of others: read up to a size, and no further."""

from pathlib import Path

from node.cli.failures import CommandFailedError


def read_limited(path: Path, bytes_max: int) -> bytes:
    """All of a file; raises CommandFailedError when it is larger, OSError."""
    with path.open("rb") as file:
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise CommandFailedError(f"{path} is larger than {bytes_max} bytes")
    return content
