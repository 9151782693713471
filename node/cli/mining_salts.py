"""Salts of records that vehicles vouch for: without its salt, nobody guesses the data from the commitment on the chain.

A salt stands in a file beside the data, for its owner's eyes. Whoever repeats the command with the same data commits to
the same; whoever loses the file can prove nothing of it any more.
"""

import secrets
from hashlib import file_digest
from pathlib import Path
from typing import Final

from identity.mining_record import SALT_BYTES, RecordCommitment, compute_data_commitment
from node.atomic_file import create_file
from node.cli.failures import CommandFailedError
from node.cli.limited_files import read_limited

SALT_SUFFIX: Final = ".salt"
_FILE_BYTES_MAX: Final = 2 * SALT_BYTES + 2  # hexadecimal, and the end of a line


def get_salt_path(data: Path) -> Path:
    """Where the salt of these data stands."""
    return data.with_name(data.name + SALT_SUFFIX)


def load_or_create_salt(data: Path) -> bytes:
    """The salt of these data; made when there is none. Raises CommandFailedError, OSError."""
    path = get_salt_path(data)
    if not path.exists():
        create_file(path, f"{secrets.token_hex(SALT_BYTES)}\n".encode())
    return load_salt(data)


def load_salt(data: Path) -> bytes:
    """The salt that was made for these data; raises CommandFailedError."""
    path = get_salt_path(data)
    try:
        salt = bytes.fromhex(read_limited(path, _FILE_BYTES_MAX).decode("ascii"))
    except OSError as error:
        raise CommandFailedError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        salt = b""
    if len(salt) != SALT_BYTES:
        raise CommandFailedError(f"{path} holds no salt of {SALT_BYTES} bytes")
    return salt


def hash_file(path: Path) -> bytes:
    """SHA-256 of a file; raises CommandFailedError."""
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").digest()
    except OSError as error:
        raise CommandFailedError(f"{path} cannot be read: {error.strerror}") from None


def commit_to_data(data: Path, salt: bytes) -> RecordCommitment:
    """What a record commits to; raises CommandFailedError."""
    return compute_data_commitment(salt, hash_file(data))
