"""The journal of waiting transactions: what a crash, a torn tail or a full disk leaves of it."""

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.transaction import TRANSACTION_BYTES_MAX
from node import mempool_journal
from node.mempool_journal import MempoolJournal
from tests.node.disk_faults import file_size_limit, list_names

FRAME_BYTES = 8
RAWS = [b"first", b"\x00" * 300, b"third" * 50]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mempool" / "journal"


def frame(raw: bytes) -> bytes:
    return struct.pack(">II", len(raw), zlib.crc32(raw)) + raw


def load(path: Path) -> list[bytes]:
    journal = MempoolJournal(path)
    try:
        return journal.load()
    finally:
        journal.close()


def append(path: Path, raws: list[bytes]) -> None:
    journal = MempoolJournal(path)
    journal.append(raws)
    journal.close()


def test_what_was_appended_is_loaded_in_order(path):
    assert load(path) == []
    append(path, RAWS[:1])
    append(path, RAWS[1:])
    assert load(path) == RAWS


def test_a_killed_process_loses_nothing_it_appended(path):
    journal = MempoolJournal(path)
    journal.append(RAWS)
    assert load(path) == RAWS, "written through, without a close"
    journal.close()


@pytest.mark.parametrize("cut", range(1, len(frame(RAWS[0])) + 1))
def test_a_torn_tail_is_dropped_and_hides_nothing_that_comes_after(path, cut):
    append(path, [RAWS[1], RAWS[0]])
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    journal = MempoolJournal(path)
    assert journal.load() == [RAWS[1]]
    journal.append([RAWS[2]])
    journal.close()
    assert load(path) == [RAWS[1], RAWS[2]]


def test_a_journal_that_is_torn_from_its_first_byte_can_be_used_again(path):
    append(path, [])
    path.write_bytes(frame(RAWS[0])[:5])
    journal = MempoolJournal(path)
    assert journal.load() == []
    journal.append([RAWS[1]])
    journal.close()
    assert load(path) == [RAWS[1]]


@pytest.mark.parametrize(
    "rubbish",
    [
        bytes(4096),  # what some file systems leave of a tail they never wrote
        b"\xff" * 64,
        struct.pack(">II", TRANSACTION_BYTES_MAX + 1, 0) + bytes(TRANSACTION_BYTES_MAX + 1),
        struct.pack(">II", 5, 1) + b"wrong",
        b"\x00\x00",
    ],
)
def test_rubbish_after_sound_frames_is_dropped(path, rubbish):
    append(path, RAWS)
    with path.open("ab") as file:
        file.write(rubbish)
    assert load(path) == RAWS
    assert path.stat().st_size == sum(len(frame(raw)) for raw in RAWS)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.data())
def test_one_flipped_bit_never_yields_a_transaction_that_was_not_appended(tmp_path_factory, raws, data):
    path = tmp_path_factory.mktemp("journal") / "journal"
    append(path, raws)
    content = bytearray(path.read_bytes())
    if content:
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        loaded = load(path)
        assert loaded == raws[: len(loaded)]
        assert len(loaded) < len(raws)


def test_a_rewrite_keeps_only_what_waits_and_goes_on(path):
    journal = MempoolJournal(path)
    journal.append(RAWS)
    journal.rewrite([RAWS[1]])
    journal.append([RAWS[2]])
    journal.close()
    assert load(path) == [RAWS[1], RAWS[2]]
    assert list_names(path.parent) == ["journal"]


def test_the_journal_is_rewritten_once_it_has_outgrown_what_waits(path, monkeypatch):
    monkeypatch.setattr(mempool_journal, "REWRITE_BYTES", 200)
    journal = MempoolJournal(path)
    for _ in range(5):
        journal.append([b"x" * 32])
    journal.rewrite_when_long(1, [b"waits"])
    assert journal.load() == [b"x" * 32] * 5, "199 bytes are not too many"
    journal.append([b"y"])
    journal.rewrite_when_long(100, [b"waits"])
    assert len(journal.load()) == 6, "what still waits counts twice"
    journal.rewrite_when_long(1, [b"waits"])
    assert journal.load() == [b"waits"]
    journal.close()


def test_a_full_disk_costs_no_frame_that_was_there_and_no_later_one(path):
    journal = MempoolJournal(path)
    journal.append([RAWS[0]])
    size = path.stat().st_size
    with file_size_limit(size + 3):
        journal.append([RAWS[1]])
    assert path.stat().st_size == size
    with file_size_limit(size):
        journal.append([RAWS[1]])
    journal.append([RAWS[2]])
    assert journal.load() == [RAWS[0], RAWS[2]]
    journal.close()


def test_a_rewrite_on_a_full_disk_leaves_the_journal_in_use(path):
    journal = MempoolJournal(path)
    journal.append(RAWS)
    with file_size_limit(4):
        journal.rewrite([RAWS[2]])
    assert journal.load() == RAWS
    journal.append([b"more"])
    journal.rewrite_when_long(0, [])
    journal.close()
    assert load(path) == [*RAWS, b"more"]
    assert list_names(path.parent) == ["journal"]
