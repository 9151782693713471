"""The store on disk: the contract, other processes, crashes, damage and a full disk."""

import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger.store import Store
from node.errors import ConfigurationError, StoreDamagedError, StoreWriteError
from node.leveldb_log_check import is_log_tail_damaged
from node.leveldb_store import LevelDbStore
from tests.ledger.store_contract import CONTRACT

REOPEN_SCRIPT = """
import sys
import threading
from pathlib import Path
from ledger.store import Store
from node.errors import StoreWriteError
from node.leveldb_store import LevelDbStore

store = LevelDbStore(Path(sys.argv[1]), write_buffer_bytes=2**16)
stop, counts, failures = threading.Event(), [0, 0], []

def read():
    while not stop.is_set():
        try:
            view = store.take_view()
            for key, value in view.iterate(b"key 0", b"key 0100"):
                assert view.get(key) == value and store.get(key) == value
                counts[0] += 1
            view.close()
        except StoreWriteError:
            counts[1] += 1
        except BaseException as error:
            failures.append(error)
            return

threads = [threading.Thread(target=read) for _ in range(4)]
for thread in threads:
    thread.start()
for _ in range(100):
    store.reopen()
stop.set()
for thread in threads:
    thread.join()
store.close()
assert not failures, failures
assert min(counts) > 0, counts
print("sound")
"""
CONTENT = {b"key %04d" % number: random.Random(number).randbytes(60) for number in range(2_000)}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LevelDbStore]:
    opened = LevelDbStore(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store with several tables and a log."""
    path = tmp_path_factory.mktemp("filled") / "data"
    filled_store = LevelDbStore(path, write_buffer_bytes=2**16)
    for start in range(0, 2_000, 40):
        keys = [b"key %04d" % number for number in range(start, start + 40)]
        filled_store.write([(key, CONTENT[key]) for key in keys], sync=True)
    filled_store.close()
    assert list(path.glob("*.ldb"))
    return path


def run_python(script: str, *arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("check", CONTRACT)
def test_contract(check: Callable[[Store], None], store: LevelDbStore) -> None:
    check(store)


def test_content_survives_closing(tmp_path: Path) -> None:
    first = LevelDbStore(tmp_path / "data")
    first.write([(b"a", b"1")], sync=True)
    first.close()
    first.close()
    second = LevelDbStore(tmp_path / "data")
    assert second.get(b"a") == b"1"
    second.close()


# Who may open it.

OPEN_SCRIPT = """
import sys
from pathlib import Path
from node.errors import ConfigurationError
from node.leveldb_store import LevelDbStore
try:
    LevelDbStore(Path(sys.argv[1]))
except ConfigurationError as error:
    print(error)
"""


def test_a_second_process_is_refused_in_one_sentence(store: LevelDbStore, tmp_path: Path) -> None:
    output, errors = run_python(OPEN_SCRIPT, str(tmp_path / "data")).communicate(timeout=60)
    assert output == (f"{tmp_path / 'data'} is in use by another process: stop it, or choose another --home\n"), errors
    store.write([(b"a", b"1")], sync=True)


def test_the_same_process_is_refused_too(store: LevelDbStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="in use"):
        LevelDbStore(tmp_path / "data")


def test_a_path_that_is_no_directory_is_the_operators_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(ConfigurationError, match="check the path"):
        LevelDbStore(tmp_path / "file")
    with pytest.raises(ConfigurationError, match="check the path"):
        LevelDbStore(tmp_path / "file" / "beneath")


# Crashes.

WRITE_SCRIPT = """
import sys
from pathlib import Path
from node.leveldb_store import LevelDbStore
store = LevelDbStore(Path(sys.argv[1]), write_buffer_bytes=2**16)
number = int(store.get(b"last") or b"0")
while True:
    number += 1
    value = b"%d" % number
    store.write([(b"left %d" % number, value * 100), (b"right %d" % number, value), (b"last", value)], sync=True)
    print(number, flush=True)
"""


def test_killed_while_writing_keeps_what_was_acknowledged_and_no_half_batch(tmp_path: Path) -> None:
    path = tmp_path / "data"
    for attempt in range(4):
        process = run_python(WRITE_SCRIPT, str(path))
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        time.sleep(0.05 + 0.07 * attempt)
        process.send_signal(signal.SIGKILL)
        acknowledged = [int(line) for line in process.stdout.read().splitlines()]
        process.stdout.close()
        process.stderr.close()
        process.wait(timeout=60)
        store = LevelDbStore(path)
        last = int(store.get(b"last") or b"0")
        assert last >= max(acknowledged, default=1)
        for number in range(1, last + 1):
            assert store.get(b"left %d" % number) == b"%d" % number * 100
            assert store.get(b"right %d" % number) == b"%d" % number
        assert store.get(b"left %d" % (last + 1)) is None
        assert store.get(b"right %d" % (last + 1)) is None
        store.close()


def test_a_torn_log_tail_loses_only_the_torn_batch(filled: Path, tmp_path: Path) -> None:
    path = copy_store(filled, tmp_path)
    log = max(path.glob("*.log"))
    os.truncate(log, log.stat().st_size - 5)
    store = LevelDbStore(path)
    content = dict(store.iterate(b"", b"\xff"))
    store.close()
    torn = {b"key %04d" % number for number in range(1_960, 2_000)}
    assert content == {key: value for key, value in CONTENT.items() if key not in torn}


# Damage.


def copy_store(source: Path, tmp_path: Path) -> Path:
    path = tmp_path / "copy"
    if path.exists():
        shutil.rmtree(path)
    shutil.copytree(source, path)
    return path


def check_right_or_refused(path: Path) -> bool:
    """Whether it was refused; fails when an answer is wrong."""
    try:
        store = LevelDbStore(path)
    except StoreDamagedError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
        return True
    is_refused = False
    try:
        assert dict(store.iterate(b"", b"\xff")) == CONTENT
    except StoreDamagedError:
        is_refused = True
    for key in list(CONTENT)[::97]:
        try:
            assert store.get(key) == CONTENT[key]
        except StoreDamagedError:
            is_refused = True
    store.close()
    return is_refused


@pytest.mark.parametrize("pattern", ["*.ldb", "*.log", "CURRENT", "MANIFEST-*"])
def test_a_flipped_bit_is_never_answered_with_wrong_data(pattern: str, filled: Path, tmp_path: Path) -> None:
    chance = random.Random(pattern)
    refused = 0
    for name in sorted(file.name for file in filled.glob(pattern)):
        size = (filled / name).stat().st_size
        for position in {0, size - 1, *(chance.randrange(size) for _ in range(25))}:
            path = copy_store(filled, tmp_path)
            flip_bit(path / name, position, chance.randrange(8))
            refused += check_right_or_refused(path)
    assert refused > 10


def flip_bit(file: Path, position: int, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[position] ^= 1 << bit
    file.write_bytes(content)


@pytest.mark.parametrize("pattern", ["*.log", "MANIFEST-*"])
def test_no_flipped_bit_of_a_record_header_hides_what_follows(pattern: str, filled: Path, tmp_path: Path) -> None:
    """LevelDB alone takes a length that is too large for a torn tail, and forgets acknowledged writes."""
    source = max(filled.glob(pattern))
    headers = list_last_headers(source.read_bytes())
    for header in [headers[0], headers[-1]]:
        for bit in range(7 * 8):
            path = copy_store(filled, tmp_path)
            flip_bit(path / source.name, header + bit // 8, bit % 8)
            assert check_right_or_refused(path)


def test_a_lost_record_header_does_not_hide_the_records_that_follow(filled: Path, tmp_path: Path) -> None:
    """Its checksum is gone as well as its length: what tells a crash from damage is that somebody wrote on."""
    source = max(filled.glob("*.log"))
    content = source.read_bytes()
    headers = list_last_headers(content)
    assert len(headers) > 1
    for header in headers[:-1]:
        path = copy_store(filled, tmp_path)
        lost = bytes(byte ^ 0xFF for byte in content[header : header + 7])
        (path / source.name).write_bytes(content[:header] + lost + content[header + 7 :])
        with pytest.raises(StoreDamagedError):
            LevelDbStore(path)


def list_last_headers(content: bytes) -> list[int]:
    """Where records begin in the last block of a log."""
    headers = []
    position = len(content) // 32_768 * 32_768
    while position + 7 <= len(content):
        headers.append(position)
        position += 7 + struct.unpack_from("<H", content, position + 4)[0]
    return headers


@pytest.mark.parametrize("pattern", ["CURRENT", "MANIFEST-*", "*.ldb"])
def test_missing_files_are_never_taken_for_an_empty_store(pattern: str, filled: Path, tmp_path: Path) -> None:
    """All tables: a single one may be left from a compaction that closing interrupted, and nobody misses it."""
    path = copy_store(filled, tmp_path)
    for file in list(path.glob(pattern)):
        file.unlink()
    with pytest.raises(StoreDamagedError, match="move the directory away"):
        LevelDbStore(path)


def test_a_sound_log_and_a_torn_one_are_not_called_damaged(filled: Path, tmp_path: Path) -> None:
    log = max(filled.glob("*.log"))
    assert not is_log_tail_damaged(log)
    content = log.read_bytes()
    torn = tmp_path / "torn.log"
    for removed in (1, 6, 7, 8, 100, len(content) - 3, len(content)):
        torn.write_bytes(content[: len(content) - removed])
        assert not is_log_tail_damaged(torn)


# A full disk.

FULL_SCRIPT = """
import os, resource, signal, sys
from pathlib import Path
from node.errors import StoreWriteError
from node.leveldb_store import LevelDbStore
path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = LevelDbStore(path, write_buffer_bytes=int(sys.argv[3]))
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))
written = 0
try:
    while True:
        store.write([(b"left %d" % written, os.urandom(700)), (b"right %d" % written, b"")], sync=True)
        written += 1
except StoreWriteError as error:
    assert "free some space" in str(error), error
view = store.take_view()
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert written > 50, written
assert store.get(b"left 0") is not None
try:
    store.write([(b"after", b"")], sync=True)
except StoreWriteError as error:
    assert "reopen" in str(error), error
else:
    raise AssertionError("a store with a failed write took another")
store.reopen()
for number in range(written):
    assert store.get(b"left %d" % number) is not None and store.get(b"right %d" % number) is not None, number
assert (store.get(b"left %d" % written) is None) == (store.get(b"right %d" % written) is None)
assert store.get(b"after") is None
try:
    view.get(b"left 0")
except StoreWriteError as error:
    assert "new view" in str(error), error
else:
    raise AssertionError("a view outlived its database")
view.close()
store.write([(b"after", b"1")], sync=True)
store.close()
store = LevelDbStore(path)
assert store.get(b"after") == b"1" and store.get(b"left %d" % (written - 1)) is not None
store.close()
print("sound")
"""


@pytest.mark.parametrize(
    ("file_bytes_max", "write_buffer_bytes"),
    [(60_000, 2**20), (100_001, 2**20), (100_001, 2**16)],
    ids=["in the log", "in the log, at another place", "in a table"],
)
def test_a_failed_write_stops_writes_until_the_store_is_reopened(
    file_bytes_max: int, write_buffer_bytes: int, tmp_path: Path
) -> None:
    """The limit on file sizes strikes as a full disk does; tables are merged into larger ones in the background."""
    arguments = (str(tmp_path / "data"), str(file_bytes_max), str(write_buffer_bytes))
    output, errors = run_python(FULL_SCRIPT, *arguments).communicate(timeout=120)
    assert (output, errors) == ("sound\n", "")


def test_threads_that_read_while_the_store_is_reopened_are_answered_or_told(filled: Path, tmp_path: Path) -> None:
    """A closed database that is still being read ends the process, so this runs in one of its own."""
    shutil.copytree(filled, tmp_path / "data")
    output, errors = run_python(REOPEN_SCRIPT, str(tmp_path / "data")).communicate(timeout=120)
    assert (output, errors) == ("sound\n", "")


def test_compacting_keeps_the_content_and_drops_what_was_deleted(filled: Path, tmp_path: Path) -> None:
    path = tmp_path / "data"
    shutil.copytree(filled, path)
    store = LevelDbStore(path)
    kept = [b"key %04d" % number for number in range(100)]
    store.write([(key, None) for key in CONTENT if key not in kept], sync=True)
    before_bytes = sum(file.stat().st_size for file in path.glob("*.ldb"))
    store.compact()
    assert [key for key, _ in store.iterate(b"", b"z")] == kept
    store.reopen()
    assert [key for key, _ in store.iterate(b"", b"z")] == kept
    store.close()
    after_bytes = sum(file.stat().st_size for file in path.glob("*.ldb"))
    assert after_bytes < before_bytes / 4, [(file.name, file.stat().st_size) for file in path.iterdir()]


def test_reopening_waits_for_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LevelDbStore(tmp_path / "data")
    store.write([(b"a", b"1")], sync=True)
    monkeypatch.setattr("node.leveldb_store.disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    with pytest.raises(StoreWriteError, match="free bytes"):
        store.reopen()
    assert store.get(b"a") == b"1"
    monkeypatch.undo()
    store.reopen()
    assert store.get(b"a") == b"1"
    store.close()


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = LevelDbStore(tmp_path / "data")
    store.close()
    with pytest.raises(StoreWriteError, match="closed"):
        store.get(b"a")
    with pytest.raises(StoreWriteError, match="closed"):
        list(store.iterate(b"", b"\xff"))
