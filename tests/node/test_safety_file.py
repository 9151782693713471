import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from consensus.safety import SAFETY_BYTES_MAX
from node.disk_full import DiskFullError
from node.safety_file import (
    MARKER_FILE,
    SAFETY_PAYLOAD_BYTES_MAX,
    SLOT_BYTES,
    STATE_FILE,
    SafetyFile,
    SafetyFileError,
    initialise_safety_directory,
)
from tests.node.disk_faults import failing_call, file_size_limit


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "safety"
    initialise_safety_directory(path)
    return path


def save_all(directory: Path, *payloads: bytes) -> None:
    with SafetyFile(directory) as safety:
        for payload in payloads:
            safety.save(payload)


def load(directory: Path) -> tuple[bytes | None, bool]:
    with SafetyFile(directory) as safety:
        return safety.load(), safety.warning is not None


def spoil(directory: Path, slot: int, offset: int = 52) -> None:
    with (directory / STATE_FILE).open("r+b") as file:
        file.seek(slot * SLOT_BYTES + offset)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0xFF]))


def test_a_new_directory_holds_nothing(directory: Path) -> None:
    assert load(directory) == (None, False)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / STATE_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_the_last_save_is_loaded(directory: Path, count: int) -> None:
    save_all(directory, *[b"state %d" % number for number in range(count)])
    assert load(directory) == (b"state %d" % (count - 1), False)


def test_what_was_saved_is_loaded_at_once(directory: Path) -> None:
    with SafetyFile(directory) as safety:
        safety.save(b"one")
        assert safety.load() == b"one"


def test_the_state_of_the_consensus_core_fits() -> None:
    assert SAFETY_BYTES_MAX <= SAFETY_PAYLOAD_BYTES_MAX


def test_the_file_never_grows(directory: Path) -> None:
    save_all(directory, bytes(SAFETY_PAYLOAD_BYTES_MAX), b"x" * SAFETY_PAYLOAD_BYTES_MAX, b"small")
    assert (directory / STATE_FILE).stat().st_size == 2 * SLOT_BYTES
    assert load(directory) == (b"small", False)


@pytest.mark.parametrize("size", [0, SAFETY_PAYLOAD_BYTES_MAX + 1])
def test_an_empty_or_too_large_payload_is_our_mistake(directory: Path, size: int) -> None:
    with SafetyFile(directory) as safety, pytest.raises(AssertionError):
        safety.save(bytes(size))


def test_a_directory_can_begin_with_a_state(tmp_path: Path) -> None:
    initialise_safety_directory(tmp_path / "safety", b"nothing before height 1000")
    assert load(tmp_path / "safety") == (b"nothing before height 1000", False)


def test_initialising_again_keeps_the_state(directory: Path) -> None:
    save_all(directory, b"one", b"two")
    initialise_safety_directory(directory)
    assert load(directory) == (b"two", False)


def test_initialising_continues_after_a_crash_in_between(directory: Path) -> None:
    (directory / MARKER_FILE).unlink()
    with pytest.raises(SafetyFileError, match="no initialised safety directory"):
        SafetyFile(directory)
    initialise_safety_directory(directory)
    assert load(directory) == (None, False)


def test_a_lost_state_is_an_error_and_not_a_fresh_start(directory: Path) -> None:
    save_all(directory, b"one")
    (directory / STATE_FILE).unlink()
    for attempt in (SafetyFile, initialise_safety_directory):
        with pytest.raises(SafetyFileError, match=r"was here once and is gone.*docs/keys\.md"):
            attempt(directory)


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SafetyFileError, match="no initialised safety directory"):
        SafetyFile(tmp_path / "safety")
    assert not (tmp_path / "safety").exists()


def test_a_torn_save_leaves_the_state_before_and_a_warning(directory: Path) -> None:
    save_all(directory, b"one", b"two", b"three")
    for offset in (0, 8, 16, 20, 40, 52):
        spoil(directory, 1, offset)
        assert load(directory) == (b"two", True)
        spoil(directory, 1, offset)
    assert load(directory) == (b"three", False)


def test_the_first_save_torn_leaves_nothing_signed(directory: Path) -> None:
    save_all(directory, b"one")
    spoil(directory, 1)
    assert load(directory) == (None, True)


def test_saving_goes_on_after_a_torn_save(directory: Path) -> None:
    save_all(directory, b"one", b"two", b"three")
    spoil(directory, 1)
    save_all(directory, b"three again")
    assert load(directory) == (b"three again", False)
    spoil(directory, 1)
    assert load(directory) == (b"two", True)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_damage_in_both_slots_is_refused(directory: Path, count: int) -> None:
    save_all(directory, *[b"state %d" % number for number in range(count)])
    spoil(directory, 0)
    spoil(directory, 0, 30)
    spoil(directory, 1, 30)
    with pytest.raises(SafetyFileError, match=r"damaged in both slots.*docs/keys\.md"):
        SafetyFile(directory)


@pytest.mark.parametrize("content", [b"", b"x", bytes(2 * SLOT_BYTES), b"\xff" * 2 * SLOT_BYTES])
def test_a_foreign_or_empty_file_is_refused(directory: Path, content: bytes) -> None:
    (directory / STATE_FILE).write_bytes(content)
    with pytest.raises(SafetyFileError, match="damaged"):
        SafetyFile(directory)


def test_slots_cannot_be_exchanged(directory: Path) -> None:
    """A slot says by its sequence where it belongs: a copy in the other place is not taken for a state."""
    save_all(directory, b"one", b"two")
    content = (directory / STATE_FILE).read_bytes()
    (directory / STATE_FILE).write_bytes(content[SLOT_BYTES:] + content[:SLOT_BYTES])
    with pytest.raises(SafetyFileError, match="damaged"):
        SafetyFile(directory)


def test_two_processes_never_share_it(directory: Path) -> None:
    with SafetyFile(directory):
        with pytest.raises(SafetyFileError, match="in use by another process"):
            SafetyFile(directory)
        script = (
            f"from pathlib import Path; from node.safety_file import SafetyFile; SafetyFile(Path({str(directory)!r}))"
        )
        other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert "in use by another process" in other.stderr
    assert load(directory) == (None, False)


def test_a_refused_opening_lets_go_of_the_lock(directory: Path) -> None:
    content = (directory / STATE_FILE).read_bytes()
    (directory / STATE_FILE).write_bytes(b"")
    with pytest.raises(SafetyFileError, match="damaged"):
        SafetyFile(directory)
    (directory / STATE_FILE).write_bytes(content)
    assert load(directory) == (None, False)


def test_a_full_disk_is_named_and_the_save_can_be_repeated(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SafetyFile(directory) as safety:
        safety.save(b"one")
        with failing_call(monkeypatch, "fdatasync", errno.ENOSPC), pytest.raises(DiskFullError):
            safety.save(b"two")
        assert safety.load() == b"one"
        with file_size_limit(10), pytest.raises(DiskFullError):
            safety.save(b"two")
        safety.save(b"two")
    assert load(directory) == (b"two", False)


def test_after_a_failed_sync_nothing_is_saved_any_more(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SafetyFile(directory) as safety:
        with failing_call(monkeypatch, "fdatasync", errno.EIO), pytest.raises(SafetyFileError, match="check the disk"):
            safety.save(b"one")
        with pytest.raises(SafetyFileError, match="restart"):
            safety.save(b"one")


def test_a_closed_file_saves_nothing(directory: Path) -> None:
    safety = SafetyFile(directory)
    safety.close()
    safety.close()
    with pytest.raises(SafetyFileError, match="closed"):
        safety.save(b"one")


def test_the_save_is_on_disk_before_it_returns(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real_pwrite, real_sync = os.pwrite, os.fdatasync
    monkeypatch.setattr(os, "pwrite", lambda *arguments: (calls.append("write"), real_pwrite(*arguments))[1])
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (calls.append("sync"), real_sync(descriptor))[1])
    with SafetyFile(directory) as safety:
        safety.save(b"one")
    assert calls == ["write", "sync"]


_WRITER = """
import sys
from pathlib import Path
from node.safety_file import SafetyFile
safety = SafetyFile(Path(sys.argv[1]))
number = int(safety.load() or b"0")
while True:
    number += 1
    safety.save(b"%d" % number)
    print(number, flush=True)
"""


def test_a_killed_process_loses_no_acknowledged_save(directory: Path) -> None:
    last = 0
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(directory)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        for _ in range(30):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        acknowledged = [int(line) for line in writer.stdout.read().splitlines() if line]
        writer.stdout.close()
        writer.wait()
        saved = int(load(directory)[0] or b"0")
        assert saved >= max([last + 30, *acknowledged])
        last = saved
