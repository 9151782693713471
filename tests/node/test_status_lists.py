"""An issuer's lists on disk: indexes given once, files whole or not at all, damage told."""

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from identity.credentials.status_list import StatusPurpose, create_status_list, get_status, set_statuses
from node import status_lists
from node.errors import ConfigurationError
from node.status_lists import (
    IssuedEntry,
    IssuerList,
    change_statuses,
    create_issuer_list,
    open_issuer_list,
    parse_published,
    read_issued,
    read_status_list,
    take_index,
)

REVOCATION, SUSPENSION = StatusPurpose
URIS = {REVOCATION: "https://office.example/1", SUSPENSION: "https://office.example/1/suspension"}


@pytest.fixture
def made(tmp_path: Path) -> IssuerList:
    issuer_list = IssuerList(tmp_path / "list", "did:iov:devnet:office", "carlive-test", 3, URIS)
    create_issuer_list(issuer_list)
    return issuer_list


def take(issuer_list: IssuerList) -> int:
    return take_index(issuer_list, "did:iov:devnet:holder", "driver", "2027-01-01T00:00:00Z")


def test_what_was_begun_is_opened(made):
    assert open_issuer_list(made.directory) == made
    for purpose in URIS:
        assert read_status_list(made, purpose) == create_status_list()
        assert parse_published(made.get_published_path(purpose).read_bytes()) == (create_status_list(), purpose)
    modes = {path.name: path.stat().st_mode & 0o777 for path in made.directory.iterdir()}
    assert modes == {"list.json": 0o600, "revocation.json": 0o644, "suspension.json": 0o644}


def test_a_directory_has_one_list(made):
    with pytest.raises(ConfigurationError, match="already"):
        create_issuer_list(made)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"issuer": 1, "uris": {"nothing": "x"}}'])
def test_what_is_no_list_is_told(tmp_path, content):
    if content is not None:
        (tmp_path / "list.json").write_text(content)
    with pytest.raises(ConfigurationError, match="new-list"):
        open_issuer_list(tmp_path)


def test_the_book_has_what_was_taken(made):
    index = take(made)
    assert read_issued(made) == [IssuedEntry(index, "did:iov:devnet:holder", "driver", "2027-01-01T00:00:00Z")]
    assert (made.directory / "issued.jsonl").stat().st_mode & 0o777 == 0o600


def test_all_indexes_are_given_and_none_twice(made, monkeypatch):
    monkeypatch.setattr(status_lists, "ENTRIES_MIN", 8)
    assert sorted(take(made) for _ in range(8)) == list(range(8))
    with pytest.raises(ConfigurationError, match="full"):
        take(made)


def test_a_line_that_a_crash_cut_counts_as_none(made):
    take(made)
    path = made.directory / "issued.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"index": 7, "hol')
    assert len(read_issued(made)) == 1
    take(made)
    assert len(read_issued(made)) == 2
    assert path.read_bytes().startswith(whole + b'{"index"')


def test_a_damaged_book_is_not_guessed_at(made):
    (made.directory / "issued.jsonl").write_text('{"index": 7}\n')
    with pytest.raises(ConfigurationError, match="damaged"):
        take(made)


def test_two_processes_take_different_indexes(made, monkeypatch):
    monkeypatch.setattr(status_lists, "ENTRIES_MIN", 24)
    workers = [multiprocessing.get_context("fork").Process(target=_take_many, args=(made,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert sorted(entry.index for entry in read_issued(made)) == list(range(24))


def _take_many(issuer_list: IssuerList) -> None:
    for _ in range(12):
        take(issuer_list)


def test_statuses_are_set_and_cleared(made):
    first, second = take(made), take(made)
    expected = set_statuses(create_status_list(), [first, second], True)
    assert change_statuses(made, SUSPENSION, [first, second], True) == expected
    assert read_status_list(made, SUSPENSION) == expected
    change_statuses(made, SUSPENSION, [first], False)
    left = read_status_list(made, SUSPENSION)
    assert (get_status(left, first), get_status(left, second)) == (False, True)
    assert read_status_list(made, REVOCATION) == create_status_list()


def test_what_was_not_issued_has_no_status(made):
    index = take(made)
    with pytest.raises(ConfigurationError, match="no credential"):
        change_statuses(made, REVOCATION, [index, (index + 1) % 131_072], True)
    assert read_status_list(made, REVOCATION) == create_status_list()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff"])
def test_a_damaged_list_is_not_guessed_at(made, content):
    made.get_published_path(REVOCATION).write_bytes(content)
    with pytest.raises(ConfigurationError, match="revocation"):
        change_statuses(made, REVOCATION, [take(made)], True)


def test_lists_that_were_exchanged_are_told(made):
    made.get_published_path(REVOCATION).write_bytes(made.get_published_path(SUSPENSION).read_bytes())
    with pytest.raises(ConfigurationError, match="for revocation"):
        read_status_list(made, REVOCATION)


def test_a_running_node_loads_nothing_of_credentials():
    code = (
        "import sys, node.node, vm.native.registry;"
        "print([name for name in sys.modules if name.startswith(('identity.credentials', 'node.status_lists'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
