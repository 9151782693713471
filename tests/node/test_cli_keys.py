import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from identity.keys import KeyType, PrivateKey
from node.cli.failures import ExitCode
from node.cli.main import cli

PASSWORD = "correct horse"
SECRET = "11" * 32


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CARLIVE_PASSWORD", PASSWORD)
    monkeypatch.setenv("CARLIVE_KEYS_DIR", str(tmp_path / "keys"))
    return tmp_path / "keys"


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["keys", *arguments], input=text)


@pytest.mark.parametrize("key_type", ["ed25519", "secp256k1", "p256"])
def test_an_imported_key_is_kept_encrypted_and_revealed_unchanged(directory: Path, key_type: str) -> None:
    assert run("import", "bob", "--type", key_type, text=f"0x{SECRET}\n").exit_code == 0
    file = directory / "bob.key"
    assert file.stat().st_mode & 0o077 == 0
    assert SECRET not in file.read_text()
    shown = json.loads(run("show", "bob", "--reveal", "--output", "json").stdout)
    key = PrivateKey(KeyType[key_type.upper()], bytes.fromhex(SECRET))
    assert shown["secretKey"] == f"0x{SECRET}"
    assert shown["publicKey"] == "0x" + key.public_key.key.hex()


def test_showing_a_key_needs_no_password_and_shows_no_secret(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("new", "bob").exit_code == 0
    monkeypatch.delenv("CARLIVE_PASSWORD")
    result = run("show", "bob", "--output", "json")
    assert result.exit_code == 0
    assert "secretKey" not in json.loads(result.stdout)
    listed = json.loads(run("list", "--output", "json").stdout)
    assert [each["name"] for each in listed] == ["bob"]
    assert listed[0]["mainnetAddress"].startswith("iov1")


def test_a_key_is_never_overwritten(directory: Path) -> None:
    assert run("new", "bob").exit_code == 0
    before = (directory / "bob.key").read_bytes()
    result = run("new", "bob")
    assert result.exit_code == ExitCode.WRONG_USE
    assert "already" in result.stderr
    assert (directory / "bob.key").read_bytes() == before


@pytest.mark.parametrize("text", ["", "zz" * 32, "11" * 31, "11" * 33, "0x" + "11" * 200, "1 1" * 21 + "1"])
def test_a_bad_secret_is_refused_without_repeating_it(directory: Path, text: str) -> None:
    result = run("import", "bob", text=text)
    assert result.exit_code == ExitCode.WRONG_USE
    assert not text or text not in result.output
    assert not (directory / "bob.key").exists()


def test_a_secret_outside_the_curve_is_refused(directory: Path) -> None:
    result = run("import", "bob", "--type", "secp256k1", text="00" * 32)
    assert result.exit_code == ExitCode.WRONG_USE
    assert "range" in result.stderr


@pytest.mark.parametrize("name", ["../x", "a b", "", "-", "x" * 65, "dev0", "dev9", "op0", "op12"])
def test_a_bad_name_is_refused(directory: Path, name: str) -> None:
    result = run("new", "--", name)
    assert result.exit_code == ExitCode.WRONG_USE
    assert not directory.exists() or not list(directory.iterdir())


def test_no_password_and_no_terminal_says_what_to_do(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARLIVE_PASSWORD")
    result = run("new", "bob")
    assert result.exit_code == ExitCode.WRONG_USE
    assert "--password-file" in result.stderr


def test_a_wrong_password_is_said(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("new", "bob").exit_code == 0
    monkeypatch.setenv("CARLIVE_PASSWORD", "wrong horse")
    result = run("show", "bob", "--reveal")
    assert result.exit_code == ExitCode.WRONG_USE
    assert "wrong password" in result.stderr


def test_the_password_may_lie_in_a_private_file(directory: Path, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("another horse\n")
    file.chmod(0o644)
    assert "chmod" in run("new", "bob", "--password-file", str(file)).stderr
    file.chmod(0o600)
    assert run("new", "bob", "--password-file", str(file)).exit_code == 0
    assert run("show", "bob", "--reveal").exit_code == ExitCode.WRONG_USE
    assert run("show", "bob", "--reveal", "--password-file", str(file)).exit_code == 0


def test_the_devnet_accounts_are_there_without_files(directory: Path) -> None:
    shown = json.loads(run("show", "dev0", "--reveal", "--output", "json").stdout)
    assert shown["devnetAddress"].startswith("iovd1")
    assert not directory.exists()


def test_an_unreadable_file_is_listed_with_its_problem(directory: Path) -> None:
    assert run("new", "bob").exit_code == 0
    (directory / "eve.key").write_text("{}")
    (directory / "eve.key").chmod(0o600)
    listed = {each["name"]: each for each in json.loads(run("list", "--output", "json").stdout)}
    assert "problem" in listed["eve"]
    assert "publicKey" in listed["bob"]
