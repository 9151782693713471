import errno
import os
import stat
from pathlib import Path

import pytest

from node.atomic_file import create_file, make_private_directory, replace_file, write_all
from node.disk_full import DiskFullError
from tests.node.disk_faults import failing_call, file_size_limit, list_names


def get_mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, b"one")
    replace_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert list_names(tmp_path) == ["file"]


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
def test_the_mode_does_not_depend_on_the_umask(tmp_path: Path, mask: int) -> None:
    previous = os.umask(mask)
    try:
        replace_file(tmp_path / "private", b"")
        create_file(tmp_path / "public", b"", mode=0o644)
    finally:
        os.umask(previous)
    assert get_mode(tmp_path / "private") == 0o600
    assert get_mode(tmp_path / "public") == 0o644


def test_create_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "file"
    create_file(path, b"first")
    with pytest.raises(FileExistsError):
        create_file(path, b"second")
    assert path.read_bytes() == b"first"
    assert list_names(tmp_path) == ["file"]


def test_create_does_not_follow_a_planted_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        create_file(tmp_path / "link", b"secret")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("put", [replace_file, create_file])
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, put: object) -> None:
    with file_size_limit(1000), pytest.raises(DiskFullError, match="free some") as refusal:
        put(tmp_path / "file", bytes(5000))  # type: ignore[operator]
    assert refusal.value.errno == errno.EFBIG
    assert list_names(tmp_path) == []


def test_a_failed_replacement_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    replace_file(path, b"old")
    with failing_call(monkeypatch, "fsync", errno.ENOSPC), pytest.raises(DiskFullError):
        replace_file(path, b"new")
    with failing_call(monkeypatch, "fsync", errno.EIO), pytest.raises(OSError, match="Input/output"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list_names(tmp_path) == ["file"]


def test_content_is_synced_before_the_name_and_the_name_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, bool]] = []
    path = tmp_path / "file"
    real_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        seen.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    replace_file(path, b"content")
    assert seen == [(False, False), (True, True)]


def test_directories_are_made_for_their_user_alone(tmp_path: Path) -> None:
    make_private_directory(tmp_path / "a" / "b")
    assert get_mode(tmp_path / "a") == get_mode(tmp_path / "a" / "b") == 0o700
    (tmp_path / "open").mkdir(mode=0o755)
    make_private_directory(tmp_path / "open")
    assert get_mode(tmp_path / "open") == 0o755


def test_write_all_continues_after_a_short_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real_pwrite(fd, bytes(data)[:3], offset))
    path = tmp_path / "file"
    path.touch()
    descriptor = os.open(path, os.O_WRONLY)
    write_all(descriptor, b"0123456789", 2)
    os.close(descriptor)
    assert path.read_bytes() == b"\0\x000123456789"
