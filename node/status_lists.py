"""An issuer's status lists on disk: what was issued with which index, and the files that are published.

| file                             | content                                                       | mode |
|----------------------------------|---------------------------------------------------------------|------|
| list.json                        | issuer, chain, number, and the address for each purpose       | 0600 |
| issued.jsonl                     | a line for each credential: index, holder, type, end          | 0600 |
| revocation.json, suspension.json | W3C's BitstringStatusList, as it stands at its address        | 0644 |

An index is taken by appending its line before the credential is signed: one that is lost is never given twice. Indexes
are drawn at random, so a verifier does not learn from one how many credentials there were before.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from identity.credentials.credential_json import parse_json
from identity.credentials.reasons import CredentialError
from identity.credentials.status_list import (
    ENCODED_CHARACTERS_MAX,
    ENTRIES_MIN,
    StatusList,
    StatusPurpose,
    create_status_list,
    format_status_list_subject,
    parse_status_list_subject,
    set_statuses,
)
from identity.strict_json import format_json
from node.atomic_file import create_file, make_private_directory, replace_file
from node.errors import ConfigurationError

PUBLISHED_FILE_BYTES_MAX: Final = ENCODED_CHARACTERS_MAX + 4_096  # the encoded list, its address and a few words
PUBLIC_FILE_MODE: Final = 0o644
_HEAD_FILE: Final = "list.json"
_ISSUED_FILE: Final = "issued.jsonl"
_HEAD_BYTES_MAX: Final = 4_096
_ISSUED_BYTES_MAX: Final = 512 * ENTRIES_MIN  # a line has some 200 bytes


@dataclass(frozen=True, slots=True)
class IssuerList:
    """The status lists of one number, one for each purpose."""

    directory: Path
    issuer: str
    chain_id: str
    number: int
    uris: Mapping[StatusPurpose, str]

    def get_published_path(self, purpose: StatusPurpose) -> Path:
        """The file that is to stand at the list's address."""
        return self.directory / f"{purpose.value}.json"


@dataclass(frozen=True, slots=True)
class IssuedEntry:
    """A credential that was issued, as its issuer remembers it: without its claims."""

    index: int
    holder: str
    kind: str
    valid_until: str | None


def create_issuer_list(issuer_list: IssuerList) -> None:
    """Begin lists in a directory that has none; raises ConfigurationError, OSError."""
    make_private_directory(issuer_list.directory)
    head = {
        "issuer": issuer_list.issuer,
        "chain": issuer_list.chain_id,
        "number": issuer_list.number,
        "uris": {purpose.value: uri for purpose, uri in issuer_list.uris.items()},
    }
    try:
        create_file(issuer_list.directory / _HEAD_FILE, json.dumps(head, indent=2).encode() + b"\n")
    except FileExistsError:
        raise ConfigurationError(f"{issuer_list.directory} holds a status list already: name another") from None
    for purpose in issuer_list.uris:
        _write_published(issuer_list, purpose, create_status_list())


def open_issuer_list(directory: Path) -> IssuerList:
    """Raises ConfigurationError."""
    try:
        head: Any = json.loads(_read(directory / _HEAD_FILE, _HEAD_BYTES_MAX))
        uris = {StatusPurpose(name): str(uri) for name, uri in head["uris"].items()}
        return IssuerList(directory, str(head["issuer"]), str(head["chain"]), int(head["number"]), uris)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ConfigurationError(
            f"{directory} holds no status list: begin one with carlive did credential new-list"
        ) from None


def read_issued(issuer_list: IssuerList) -> list[IssuedEntry]:
    """All that was issued, in order; raises ConfigurationError. A last line that was cut by a crash counts as none."""
    path = issuer_list.directory / _ISSUED_FILE
    if not path.exists():
        return []
    try:
        lines = _read(path, _ISSUED_BYTES_MAX).split(b"\n")[:-1]
        return [IssuedEntry(**json.loads(line)) for line in lines]
    except (ValueError, TypeError):
        raise ConfigurationError(f"{path} is damaged: restore it from a copy before issuing from this list") from None


def take_index(issuer_list: IssuerList, holder: str, kind: str, valid_until: str | None) -> int:
    """A free index, now taken for this credential; raises ConfigurationError when there is none."""
    path = issuer_list.directory / _ISSUED_FILE
    with _locked(issuer_list):
        taken = {entry.index for entry in read_issued(issuer_list)}
        if len(taken) == ENTRIES_MIN:
            raise ConfigurationError(
                f"the status list in {issuer_list.directory} is full: begin another with carlive did credential "
                "new-list"
            )
        index = secrets.randbelow(ENTRIES_MIN)
        while index in taken:
            index = (index + 1) % ENTRIES_MIN
        line = json.dumps(asdict(IssuedEntry(index, holder, kind, valid_until))).encode() + b"\n"
        _append_line(path, line)
    return index


def read_status_list(issuer_list: IssuerList, purpose: StatusPurpose) -> StatusList:
    """The list as it is on disk; raises ConfigurationError."""
    path = issuer_list.get_published_path(purpose)
    try:
        status_list, found = parse_published(_read(path, PUBLISHED_FILE_BYTES_MAX))
    except (OSError, CredentialError):
        found = None
    if found is not purpose:
        raise ConfigurationError(f"{path} is no status list for {purpose.value}: restore it from where it is published")
    return status_list


def change_statuses(
    issuer_list: IssuerList, purpose: StatusPurpose, indexes: Collection[int], is_set: bool
) -> StatusList:
    """Set or clear entries of credentials that were issued; raises ConfigurationError. The file changes at once."""
    with _locked(issuer_list):
        issued = {entry.index for entry in read_issued(issuer_list)}
        unknown = next((index for index in indexes if index not in issued), None)
        if unknown is not None:
            raise ConfigurationError(f"no credential was issued with the index {unknown} of this list")
        changed = set_statuses(read_status_list(issuer_list, purpose), indexes, is_set)
        _write_published(issuer_list, purpose, changed)
    return changed


def parse_published(content: bytes) -> tuple[StatusList, StatusPurpose]:
    """A status list from where it is published, and what it is about; raises CredentialError."""
    return parse_status_list_subject(parse_json(content))


def _write_published(issuer_list: IssuerList, purpose: StatusPurpose, status_list: StatusList) -> None:
    subject = format_status_list_subject(issuer_list.uris[purpose], status_list, purpose)
    replace_file(issuer_list.get_published_path(purpose), format_json(subject) + b"\n", PUBLIC_FILE_MODE)


def _append_line(path: Path, line: bytes) -> None:
    """After the last whole line, and on disk before this returns."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path, bytes_max: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise ConfigurationError(f"{path} is larger than it should be")
    return content


@contextmanager
def _locked(issuer_list: IssuerList) -> Iterator[None]:
    """One command at a time changes the lists of a directory."""
    with (issuer_list.directory / _HEAD_FILE).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
