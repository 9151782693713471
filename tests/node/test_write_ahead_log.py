import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from struct import Struct
from zlib import crc32

import pytest

from consensus import log as consensus_log
from ledger.primitives import BlockHash, Height, Round
from node import write_ahead_log
from node.disk_full import DiskFullError
from node.write_ahead_log import LogDamagedError, LogUnusableError, WriteAheadLog, get_log_path
from tests.node.disk_faults import failing_call, file_size_limit, list_names

HEADER = Struct(">II")
TORN, DAMAGED = "torn tail", "damaged middle"


def encode_record(record: bytes) -> bytes:
    return HEADER.pack(len(record), crc32(record)) + record


def decode_records(content: bytes) -> tuple[list[bytes], int, str | None]:
    records, offset = [], 0
    while offset < len(content):
        record = read_record(content, offset)
        if record is None:
            later = any(read_record(content, start) for start in range(offset + 1, len(content)))
            return records, offset, DAMAGED if later else TORN
        records.append(record)
        offset += HEADER.size + len(record)
    return records, offset, None


def read_record(content: bytes, offset: int) -> bytes | None:
    if offset + HEADER.size > len(content):
        return None
    length, checksum = HEADER.unpack_from(content, offset)
    record = content[offset + HEADER.size : offset + HEADER.size + length]
    return record if len(record) == length and crc32(record) == checksum else None


def open_log(directory: Path) -> WriteAheadLog[bytes]:
    return WriteAheadLog(directory, encode_record, decode_records, TORN)


def write(directory: Path, height: int, *records: bytes) -> None:
    with open_log(directory) as log:
        log.begin_height(height)
        for record in records:
            log.append(record)
        log.sync()


def read(directory: Path) -> tuple[int | None, list[bytes], bool]:
    with open_log(directory) as log:
        return log.height, list(log.records), log.warning is not None


def test_a_new_log_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path / "wal") == (None, [], False)


def test_records_come_back_in_order(tmp_path: Path) -> None:
    write(tmp_path, 5, b"one", b"two")
    write(tmp_path, 5, b"three")
    assert read(tmp_path) == (5, [b"one", b"two", b"three"], False)


def test_a_new_height_drops_the_older_ones(tmp_path: Path) -> None:
    write(tmp_path, 9, b"nine")
    write(tmp_path, 10, b"ten")
    assert read(tmp_path) == (10, [b"ten"], False)
    assert list_names(tmp_path) == [get_log_path(tmp_path, 10).name]


def test_the_same_height_again_keeps_its_records(tmp_path: Path) -> None:
    write(tmp_path, 9, b"lock")
    with open_log(tmp_path) as log:
        log.begin_height(9)
        log.append(b"vote")
    assert read(tmp_path) == (9, [b"lock", b"vote"], False)


def test_a_log_left_ahead_of_a_store_that_was_moved_away_is_dropped(tmp_path: Path) -> None:
    write(tmp_path, 9, b"nine")
    with open_log(tmp_path) as log:
        log.begin_height(1)
        log.append(b"one")
    assert read(tmp_path) == (1, [b"one"], False)


def test_only_the_newest_of_several_files_counts(tmp_path: Path) -> None:
    """A crash between creating one and removing the other, and names as people sort them wrong."""
    get_log_path(tmp_path, 9).write_bytes(encode_record(b"nine"))
    get_log_path(tmp_path, 10).write_bytes(encode_record(b"ten"))
    (tmp_path / "99.log").write_bytes(b"no height has this name")
    assert read(tmp_path) == (10, [b"ten"], False)
    assert list_names(tmp_path) == [get_log_path(tmp_path, 10).name, "99.log"]


def test_every_torn_tail_is_cut_off_with_a_warning(tmp_path: Path) -> None:
    write(tmp_path, 1, b"one", b"two")
    path = get_log_path(tmp_path, 1)
    whole = path.read_bytes()
    first = len(encode_record(b"one"))
    for length in range(first + 1, len(whole)):
        path.write_bytes(whole[:length])
        assert read(tmp_path) == (1, [b"one"], True)
        assert path.read_bytes() == whole[:first]
        assert read(tmp_path) == (1, [b"one"], False)


def test_writing_goes_on_behind_a_cut(tmp_path: Path) -> None:
    write(tmp_path, 1, b"one", b"two")
    path = get_log_path(tmp_path, 1)
    path.write_bytes(path.read_bytes()[:-1])
    write(tmp_path, 1, b"three")
    assert read(tmp_path) == (1, [b"one", b"three"], False)


def test_damage_in_the_middle_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    write(tmp_path, 1, b"one", b"two", b"three")
    path = get_log_path(tmp_path, 1)
    content = bytearray(path.read_bytes())
    content[len(encode_record(b"one")) + HEADER.size] ^= 1
    path.write_bytes(content)
    with pytest.raises(LogDamagedError, match=rf"damaged at byte 11, .*mv {path} {path}\.damaged.*docs/keys\.md"):
        open_log(tmp_path)
    assert path.read_bytes() == content
    path.rename(f"{path}.damaged")
    assert read(tmp_path) == (None, [], False)


def test_an_absurdly_large_file_is_refused_unread(tmp_path: Path) -> None:
    path = get_log_path(tmp_path, 1)
    path.touch()
    os.truncate(path, write_ahead_log.LOG_BYTES_MAX + 1)
    with pytest.raises(LogDamagedError):
        open_log(tmp_path)


def test_one_height_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_ahead_log, "LOG_BYTES_MAX", 30)
    with open_log(tmp_path) as log:
        log.begin_height(1)
        log.append(b"one")
        with pytest.raises(LogUnusableError, match="30 bytes within one height"):
            log.append(bytes(20))
        log.append(b"two")
    assert read(tmp_path) == (1, [b"one", b"two"], False)


def test_a_full_disk_leaves_no_half_record_and_the_next_try_works(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.begin_height(1)
        log.append(b"one")
        with file_size_limit(20), pytest.raises(DiskFullError):
            log.append(bytes(100))
        assert log.path.read_bytes() == encode_record(b"one")
        with file_size_limit(20):
            log.sync()
        log.append(b"two")
        log.sync()
    assert read(tmp_path) == (1, [b"one", b"two"], False)


def test_a_sync_without_space_is_repeated_with_everything_unsynced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel may drop what it could not write and report success the second time."""
    with open_log(tmp_path) as log:
        log.begin_height(1)
        log.append(b"one")
        log.sync()
        log.append(b"two")
        with failing_call(monkeypatch, "fdatasync", errno.ENOSPC), pytest.raises(DiskFullError):
            log.sync()
        with log.path.open("r+b") as file:
            file.seek(len(encode_record(b"one")))
            file.write(bytes(len(encode_record(b"two"))))
        log.append(b"three")
        log.sync()
    assert read(tmp_path) == (1, [b"one", b"two", b"three"], False)


@pytest.mark.parametrize(("call", "action"), [("fdatasync", "sync"), ("pwrite", "append"), ("fsync", "sync")])
def test_a_broken_disk_ends_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, action: str) -> None:
    with open_log(tmp_path) as log:
        log.begin_height(1)
        log.append(b"one")
        actions: dict[str, Callable[[], None]] = {"sync": log.sync, "append": lambda: log.append(b"two")}
        with failing_call(monkeypatch, call), pytest.raises(LogUnusableError, match="check the disk"):
            actions[action]()
        for attempt in (log.sync, lambda: log.append(b"two"), lambda: log.begin_height(2)):
            with pytest.raises(LogUnusableError, match="restart"):
                attempt()


def test_a_cut_that_fails_ends_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_log(tmp_path) as log:
        log.begin_height(1)
        with failing_call(monkeypatch, "ftruncate"), file_size_limit(4), pytest.raises(LogUnusableError):
            log.append(b"one")
        with pytest.raises(LogUnusableError):
            log.append(b"two")


def count_calls(monkeypatch: pytest.MonkeyPatch, *names: str) -> list[str]:
    calls: list[str] = []

    def patch(name: str) -> None:
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *arguments: (calls.append(name), real(*arguments))[1])

    for name in names:
        patch(name)
    return calls


def test_the_file_name_is_durable_with_the_first_sync_and_an_idle_sync_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_log(tmp_path) as log:
        calls = count_calls(monkeypatch, "fsync", "fdatasync")
        log.begin_height(1)
        log.append(b"one")
        assert calls == []
        log.sync()
        assert calls == ["fdatasync", "fsync"]
        log.append(b"two")
        log.sync()
        log.sync()
        assert calls == ["fdatasync", "fsync", "fdatasync"]


def test_what_waits_for_a_sync_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_ahead_log, "UNSYNCED_BYTES_MAX", 100)
    with open_log(tmp_path) as log:
        log.begin_height(1)
        calls = count_calls(monkeypatch, "fdatasync")
        for _ in range(100):
            log.append(bytes(12))
        assert len(calls) == 19
        assert len(log._unsynced) == 5


def test_a_closed_log_takes_nothing(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.begin_height(1)
    log.close()
    log.close()
    with pytest.raises(LogUnusableError, match="closed"):
        log.append(b"one")


def test_it_carries_the_records_of_the_consensus_core(tmp_path: Path) -> None:
    records = [
        consensus_log.HeightBegan(Height(7), BlockHash(bytes(32))),
        consensus_log.LockTaken(Height(7), Round(1), BlockHash(bytes(32))),
    ]

    def open_consensus_log() -> WriteAheadLog[consensus_log.LogRecord]:
        return WriteAheadLog(
            tmp_path, consensus_log.encode_record, consensus_log.decode_records, consensus_log.LogDamage.TORN_TAIL
        )

    with open_consensus_log() as opened:
        opened.begin_height(7)
        for record in records:
            opened.append(record)
    path = get_log_path(tmp_path, 7)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with open_consensus_log() as opened:
        assert opened.records == records[:1] and opened.warning is not None
    path.write_bytes(content[:5] + bytes([content[5] ^ 1]) + content[6:])
    with pytest.raises(LogDamagedError, match="damaged at byte 0"):
        open_consensus_log()


_WRITER = """
import sys
from pathlib import Path
from tests.node.test_write_ahead_log import open_log
log = open_log(Path(sys.argv[1]))
height, number = log.height or 1, int(log.records[-1]) if log.records else 0
log.begin_height(height)
while True:
    number += 1
    log.append(b"%d" % number)
    log.sync()
    print(height, number, flush=True)
    if number % 7 == 0:
        height += 1
        log.begin_height(height)
"""


def test_a_killed_process_loses_no_synced_record(tmp_path: Path) -> None:
    last = 0
    for _ in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
        )
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(20)]
        writer.send_signal(signal.SIGKILL)
        lines += [line for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        writer.stdout.close()
        writer.wait()
        acknowledged_height, acknowledged = map(int, lines[-1].split())
        height, records, _ = read(tmp_path)
        numbers = [int(record) for record in records]
        assert numbers == list(range(numbers[0], numbers[-1] + 1)) if numbers else acknowledged % 7 == 0
        assert height is not None and height >= acknowledged_height
        assert height > acknowledged_height or numbers[-1] >= acknowledged
        assert acknowledged > last or acknowledged_height > 1
        last = acknowledged
