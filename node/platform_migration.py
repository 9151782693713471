"""A platform's list of accounts to be claimed: leaves and tree on disk, so that any account's proof is a few reads.

| file            | content                                                                       |
|-----------------|-------------------------------------------------------------------------------|
| plan.json       | of which input and master key this is; written first                          |
| level-00        | leaf hashes, 32 bytes each, in the order of the input                         |
| level-01 …      | the tree's levels above; the last one is the root                             |
| migration.json  | root and count, which the platform posts; written last: the rest is complete  |

A build that was interrupted goes on where it stopped. Memory does not grow with the list. The input stands in order, so
that a name that stands twice is seen without remembering all of them.
"""

import csv
import json
import mmap
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from hashlib import file_digest, sha256
from itertools import islice
from pathlib import Path
from typing import Any, Final

from identity.platform_account import (
    MASTER_KEY_BYTES,
    AccountHash,
    AccountSecrets,
    ClaimKey,
    InvalidAccountNameError,
    compute_account_hash,
    derive_account_secrets,
    encode_account_name,
    encode_claim_leaf,
    get_claim_private_key,
)
from ledger.merkle import ListProof, compute_leaf_hash, compute_next_level
from ledger.primitives import HASH_BYTES, RootHash
from node.atomic_file import create_file, make_private_directory, replace_file
from node.disk_full import naming_full_disk
from node.errors import ConfigurationError

LEAVES_PER_CHUNK: Final = 4_096  # written and synced at a time; even, so a level is computed in chunks too
ACCOUNT_COLUMN: Final = "account"
_PLAN_FILE: Final = "plan.json"
_MIGRATION_FILE: Final = "migration.json"
_KEY_ID_DOMAIN: Final = b"carlive platform master key\0"

Report = Callable[[int, int], None]
"""Told how many accounts are done, of how many."""


@dataclass(frozen=True, slots=True)
class MigrationTree:
    """A list that is complete."""

    root: RootHash
    count: int


@dataclass(frozen=True, slots=True)
class ClaimPackage:
    """What an account's user needs to claim it; secret."""

    name: str
    secrets: AccountSecrets
    account: AccountHash
    claim_key: ClaimKey
    root: RootHash
    proof: ListProof


def load_or_create_master_key(path: Path) -> bytes:
    """The platform's master key; without it no account of the list can be claimed. Raises ConfigurationError."""
    if not path.exists():
        create_file(path, secrets.token_bytes(MASTER_KEY_BYTES))
    return load_master_key(path)


def load_master_key(path: Path) -> bytes:
    """The same, of a file that is there; raises ConfigurationError."""
    try:
        master_key = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    if len(master_key) != MASTER_KEY_BYTES:
        raise ConfigurationError(f"{path} is no master key, which has {MASTER_KEY_BYTES} bytes")
    return master_key


def build_migration(accounts: Path, directory: Path, master_key: bytes, report: Report) -> MigrationTree:
    """Build the list, or the rest of it; one that is complete is left as it is. Raises ConfigurationError, OSError."""
    count = _check_accounts(accounts)
    make_private_directory(directory)
    _begin(directory, _describe_plan(accounts, master_key))
    if (directory / _MIGRATION_FILE).exists():
        return load_migration(directory)
    _write_leaves(accounts, directory, master_key, count, report)
    level = 0
    while _count_hashes(_get_level_path(directory, level)) > 1:
        _write_next_level(directory, level)
        level += 1
    tree = MigrationTree(RootHash(_get_level_path(directory, level).read_bytes()), count)
    replace_file(directory / _MIGRATION_FILE, _to_json({"root": tree.root.hex(), "count": count}))
    return tree


def load_migration(directory: Path) -> MigrationTree:
    """A list that is complete; raises ConfigurationError."""
    try:
        plain = json.loads((directory / _MIGRATION_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{directory} holds no complete migration: build it to its end") from None
    return MigrationTree(RootHash(bytes.fromhex(plain["root"])), plain["count"])


def build_claim_package(directory: Path, master_key: bytes, name: str) -> ClaimPackage:
    """What one account's user needs; raises ConfigurationError when it is not in the list."""
    tree = load_migration(directory)
    try:
        own, account, claim_key = _derive_account(master_key, name)
    except InvalidAccountNameError as error:
        raise ConfigurationError(str(error)) from None
    leaf_hash = compute_leaf_hash(encode_claim_leaf(account, claim_key))
    index = _find_hash(_get_level_path(directory, 0), leaf_hash)
    if index is None:
        raise ConfigurationError(f"{name!r} is not in this migration, or the master key is another one")
    proof = ListProof(index, tree.count, tuple(_read_path(directory, index, tree.count)))
    return ClaimPackage(name, own, account, claim_key, tree.root, proof)


# The input


def _check_accounts(path: Path) -> int:
    """How many accounts there are; raises ConfigurationError when it is not one each, in order."""
    count, former = 0, b""
    for name in _read_accounts(path):
        count += 1
        try:
            encoded = encode_account_name(name)
        except InvalidAccountNameError as error:
            raise ConfigurationError(f"account {count} of {path}: {error}") from None
        if encoded <= former:
            raise ConfigurationError(
                f"account {count} of {path} stands twice or is not in order: sort the accounts by their bytes"
            )
        former = encoded
    if count == 0:
        raise ConfigurationError(f"{path} has no accounts")
    return count


def _read_accounts(path: Path) -> Iterator[str]:
    """The column of accounts; raises ConfigurationError."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            if ACCOUNT_COLUMN not in (rows.fieldnames or []):
                raise ConfigurationError(f"{path} has no column {ACCOUNT_COLUMN!r} in its first line")
            for row in rows:
                yield row[ACCOUNT_COLUMN] or ""
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no CSV in UTF-8: {error}") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None


def _describe_plan(accounts: Path, master_key: bytes) -> bytes:
    with accounts.open("rb") as file:
        input_hash = file_digest(file, "sha256").hexdigest()
    return _to_json({"input": input_hash, "masterKey": sha256(_KEY_ID_DOMAIN + master_key).hexdigest()})


def _begin(directory: Path, plan: bytes) -> None:
    path = directory / _PLAN_FILE
    if not path.exists():
        replace_file(path, plan)
    elif path.read_bytes() != plan:
        raise ConfigurationError(f"{directory} holds the migration of another input or master key: choose another one")


# Leaves and levels


def _derive_account(master_key: bytes, name: str) -> tuple[AccountSecrets, AccountHash, ClaimKey]:
    own = derive_account_secrets(master_key, name)
    return own, compute_account_hash(name, own.salt), ClaimKey(get_claim_private_key(own).public_key.key)


def _compute_leaf_hash(master_key: bytes, name: str) -> bytes:
    _, account, claim_key = _derive_account(master_key, name)
    return compute_leaf_hash(encode_claim_leaf(account, claim_key))


def _write_leaves(accounts: Path, directory: Path, master_key: bytes, count: int, report: Report) -> None:
    """Append what is missing. The last chunk written may not have reached the disk whole: it is made again."""
    path = _get_level_path(directory, 0)
    path.touch()
    done = max(0, _count_hashes(path) // LEAVES_PER_CHUNK - 1) * LEAVES_PER_CHUNK
    with naming_full_disk(path), path.open("r+b") as file:
        file.truncate(done * HASH_BYTES)
        file.seek(0, os.SEEK_END)
        report(done, count)
        waiting = islice(_read_accounts(accounts), done, None)
        while names := list(islice(waiting, LEAVES_PER_CHUNK)):
            file.write(b"".join(_compute_leaf_hash(master_key, name) for name in names))
            file.flush()
            os.fsync(file.fileno())
            done += len(names)
            report(done, count)
    assert done == count, "the input is what was counted"


def _write_next_level(directory: Path, level: int) -> None:
    path = _get_level_path(directory, level + 1)
    with naming_full_disk(path), _get_level_path(directory, level).open("rb") as below, path.open("wb") as above:
        while chunk := below.read(LEAVES_PER_CHUNK * HASH_BYTES):
            above.write(b"".join(compute_next_level(_split(chunk))))
        above.flush()
        os.fsync(above.fileno())


def _read_path(directory: Path, index: int, count: int) -> Iterator[bytes]:
    """The siblings from the leaf upwards; a hash without one moves up alone."""
    level, position, size = 0, index, count
    while size > 1:
        sibling = position ^ 1
        if sibling < size:
            with _get_level_path(directory, level).open("rb") as file:
                file.seek(sibling * HASH_BYTES)
                yield file.read(HASH_BYTES)
        level, position, size = level + 1, position // 2, (size + 1) // 2


def _find_hash(path: Path, wanted: bytes) -> int | None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = content.find(wanted)
        while place % HASH_BYTES and place != -1:  # the end of one hash and the beginning of the next
            place = content.find(wanted, place + 1)
        return None if place == -1 else place // HASH_BYTES


def _split(chunk: bytes) -> list[bytes]:
    return [chunk[place : place + HASH_BYTES] for place in range(0, len(chunk), HASH_BYTES)]


def _count_hashes(path: Path) -> int:
    return path.stat().st_size // HASH_BYTES


def _get_level_path(directory: Path, level: int) -> Path:
    return directory / f"level-{level:02}"


def _to_json(plain: Any) -> bytes:
    return (json.dumps(plain, indent=2) + "\n").encode()


def format_claim_package(package: ClaimPackage) -> bytes:
    """As JSON, bytes in hexadecimal."""
    plain = asdict(package)
    return (json.dumps(plain, indent=2, default=bytes.hex) + "\n").encode()
