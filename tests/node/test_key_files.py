import os
import stat
from pathlib import Path

import pytest

from identity.keys import KeyType, PrivateKey
from identity.keystore import LIGHT_COST
from node.key_files import (
    KeyFileError,
    create_key_file,
    generate_key,
    get_key_path,
    list_key_files,
    load_ed25519_key_file,
    load_key_file,
    read_password,
)
from tests.node.disk_faults import file_size_limit, list_names

KEY = PrivateKey(KeyType.ED25519, b"\x07" * 32)
PASSWORD = "correct horse"


def test_a_plain_key_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "node.key"
    create_key_file(path, KEY)
    assert load_key_file(path) == KEY
    assert load_key_file(path, "a password that is not needed") == KEY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_encrypted_key_comes_back_with_its_password_only(tmp_path: Path) -> None:
    path = tmp_path / "alice.key"
    create_key_file(path, KEY, PASSWORD, LIGHT_COST)
    assert load_key_file(path, PASSWORD) == KEY
    assert KEY.secret.hex() not in path.read_text()
    with pytest.raises(KeyFileError, match=r"alice\.key: wrong password"):
        load_key_file(path, "wrong horse")
    with pytest.raises(KeyFileError, match="CARLIVE_PASSWORD"):
        load_key_file(path)


def test_a_weak_password_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="at least 8 characters"):
        create_key_file(tmp_path / "alice.key", KEY, "short")
    assert list_names(tmp_path) == []


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "alice.key"
    create_key_file(path, KEY)
    with pytest.raises(KeyFileError, match="exists already"):
        create_key_file(path, generate_key())
    assert load_key_file(path) == KEY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o660, 0o601])
def test_a_file_others_can_reach_is_refused_with_the_command(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "alice.key"
    create_key_file(path, KEY)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"run: chmod 600 {path}"):
        load_key_file(path)
    path.chmod(0o400)
    assert load_key_file(path) == KEY


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_directory_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    directory = tmp_path / "keys"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(KeyFileError, match=f"run: chmod go-w {directory}"):
        create_key_file(directory / "alice.key", KEY)
    assert list_names(directory) == []


def test_what_is_not_a_key_file_is_refused(tmp_path: Path) -> None:
    def write(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    directory = tmp_path / "directory"
    directory.mkdir(0o700)
    for path, why in (
        (tmp_path / "absent", "does not exist"),
        (write("empty", b""), "not a key file"),
        (write("binary", b"\xff\xfe"), "not text"),
        (write("large", b" " * 100_000), "larger than"),
        (fifo, "not a regular file"),
        (directory, "Is a directory"),
    ):
        with pytest.raises(KeyFileError, match=why) as refusal:
            load_key_file(path)
        assert str(path) in str(refusal.value)


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with file_size_limit(10), pytest.raises(KeyFileError, match="cannot be written: no space left"):
        create_key_file(tmp_path / "alice.key", KEY)


def test_nodes_sign_with_ed25519_only(tmp_path: Path) -> None:
    create_key_file(tmp_path / "phone.key", generate_key(KeyType.P256))
    create_key_file(tmp_path / "node.key", KEY)
    assert load_ed25519_key_file(tmp_path / "node.key") == KEY
    with pytest.raises(KeyFileError, match=r"phone\.key holds a P256 key"):
        load_ed25519_key_file(tmp_path / "phone.key")


@pytest.mark.parametrize("key_type", KeyType)
def test_generated_keys_differ(key_type: KeyType) -> None:
    assert len({generate_key(key_type).public_key for _ in range(20)}) == 20


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hidden", "-x", "a b", "a\0", "ä", "a.key", "x" * 65])
def test_a_name_cannot_lead_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyFileError, match="cannot name a key"):
        get_key_path(tmp_path, name)


def test_a_good_name_is_a_file_in_the_directory(tmp_path: Path) -> None:
    for name in ("alice", "A-1_b", "x" * 64):
        assert get_key_path(tmp_path, name) == tmp_path / f"{name}.key"


def test_the_list_shows_every_key_and_every_problem(tmp_path: Path) -> None:
    create_key_file(tmp_path / "b.key", KEY)
    create_key_file(tmp_path / "a.key", KEY, PASSWORD, LIGHT_COST)
    create_key_file(tmp_path / "open.key", KEY)
    (tmp_path / "open.key").chmod(0o644)
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".a.key.1234.tmp").touch()
    listed = list_key_files(tmp_path)
    assert [(each.name, each.public_key, each.is_encrypted) for each in listed] == [
        ("a", KEY.public_key, True),
        ("b", KEY.public_key, False),
        ("open", None, False),
    ]
    assert [each.problem is None for each in listed] == [True, True, False]
    assert "chmod 600" in (listed[2].problem or "")
    assert list_key_files(tmp_path / "absent") == []
    with pytest.raises(KeyFileError, match="cannot be read"):
        list_key_files(tmp_path / "a.key")


def test_the_password_of_a_service(tmp_path: Path) -> None:
    file = tmp_path / "password"
    for content, expected in (("secret word", "secret word"), (" spaces stay \n", " spaces stay "), ("dos\r\n", "dos")):
        file.write_text(content, newline="")
        file.chmod(0o600)
        assert read_password(file, "from the environment") == expected
    assert read_password(None, "from the environment") == "from the environment"
    assert read_password(None, "") is None
    assert read_password(None, None) is None


def test_a_password_file_must_be_private_and_hold_one_line(tmp_path: Path) -> None:
    file = tmp_path / "password"
    for content in ("", "\n", "two\nlines\n"):
        file.write_text(content)
        file.chmod(0o600)
        with pytest.raises(KeyFileError, match="one line"):
            read_password(file, None)
    file.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        read_password(file, None)
    with pytest.raises(KeyFileError, match="does not exist"):
        read_password(tmp_path / "absent", "from the environment")
