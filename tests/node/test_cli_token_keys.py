"""Account keys in a token, on the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from identity.address import NetworkKind
from identity.keys import KeyType, verify_signature
from identity.signing import SigningPurpose, signing_bytes
from ledger.transaction import Transaction, encode_body
from node.cli.accounts import Keyring
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.main import cli
from node.pkcs11_token import Token, TokenPlace
from tests.node.cli_scene import open_cli_scene
from tests.rpc.fake_backend import DOMAIN
from tests.softhsm import SoftHsm


@pytest.fixture
def place(softhsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TokenPlace:
    place = softhsm.make_token()
    monkeypatch.setenv("CARLIVE_KEYS_DIR", str(tmp_path / "keys"))
    monkeypatch.setenv("CARLIVE_PKCS11_MODULE", str(place.module))
    monkeypatch.setenv("CARLIVE_PKCS11_TOKEN", place.label)
    assert place.pin is not None
    monkeypatch.setenv("CARLIVE_PKCS11_PIN", place.pin)
    return place


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["keys", *arguments])


def run_json(*arguments: str) -> object:
    result = run(*arguments, "--output", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("key_type", ["ed25519", "secp256k1", "p256"])
def test_a_key_is_made_in_the_token_and_shown_and_listed_without_a_pin(
    place: TokenPlace, key_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run_json("new", "alice", "--pkcs11", "--type", key_type)
    with Token(place) as token:
        public_key = token.get_key("alice").public_key
    assert isinstance(made, dict)
    assert (made["name"], made["type"], made["publicKey"], made["token"]) == (
        "pkcs11:alice",
        key_type,
        "0x" + public_key.key.hex(),
        place.label,
    )
    monkeypatch.delenv("CARLIVE_PKCS11_PIN")
    assert run_json("show", "pkcs11:alice") == made
    assert run_json("list") == [made]


def test_keys_of_token_and_files_are_listed_together(place: TokenPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARLIVE_PASSWORD", "correct horse")
    assert run("new", "alice", "--pkcs11").exit_code == 0
    assert run("new", "alice").exit_code == 0
    listed = run_json("list")
    assert isinstance(listed, list)
    assert [each["name"] for each in listed] == ["alice", "pkcs11:alice"]


def test_a_key_of_a_token_is_never_revealed(place: TokenPlace) -> None:
    assert run("new", "alice", "--pkcs11").exit_code == 0
    result = run("show", "pkcs11:alice", "--reveal")
    assert result.exit_code == ExitCode.WRONG_USE
    assert "cannot leave" in result.stderr


@pytest.mark.parametrize("arguments", [("show", "pkcs11:alice"), ("new", "alice", "--pkcs11")])
def test_without_a_token_the_variables_are_named(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARLIVE_PKCS11_PIN", "1234")
    result = run(*arguments)
    assert result.exit_code == ExitCode.WRONG_USE
    assert "CARLIVE_PKCS11_MODULE" in result.stderr


def test_without_a_pin_nothing_is_made_and_its_places_are_named(
    place: TokenPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CARLIVE_PKCS11_PIN")
    result = run("new", "alice", "--pkcs11")
    assert result.exit_code == ExitCode.WRONG_USE
    assert "--pkcs11-pin-file" in result.stderr
    assert run_json("list") == []


def test_a_pin_file_that_others_can_read_is_refused(place: TokenPlace, tmp_path: Path) -> None:
    file = tmp_path / "pin"
    file.write_text(str(place.pin))
    file.chmod(0o644)
    result = run("new", "alice", "--pkcs11", "--pkcs11-pin-file", str(file))
    assert "chmod 600" in result.stderr
    file.chmod(0o600)
    assert run("new", "alice", "--pkcs11", "--pkcs11-pin-file", str(file)).exit_code == 0


def test_a_wrong_pin_is_said_and_not_repeated(place: TokenPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARLIVE_PKCS11_PIN", "918273645")
    result = run("new", "alice", "--pkcs11")
    assert result.exit_code == ExitCode.WRONG_USE
    assert "refuses the PIN" in result.stderr
    assert "918273645" not in result.output


@pytest.mark.parametrize("key_type", list(KeyType))
async def test_a_transaction_is_signed_in_the_token(
    place: TokenPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key_type: KeyType
) -> None:
    with Token(place, is_writable=True) as token:
        public_key = token.generate("payer", key_type).public_key
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        words = ["tx", "transfer", "--from", "pkcs11:payer", "--to", "pkcs11:payer", "--amount", "1", "--yes"]
        result = await scene.run(*words, "--wait", "admitted", "--output", "json")
        assert result.exit_code == 0, result.output
        (transaction,) = scene.backend.pending.values()
        assert isinstance(transaction, Transaction)
        (authorisation,) = transaction.authorisations
        assert authorisation.public_key == public_key
        message = signing_bytes(SigningPurpose.TRANSACTION, DOMAIN, encode_body(transaction.body))
        assert verify_signature(public_key, message, authorisation.signature)


def test_who_wants_the_secret_of_a_key_in_a_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match="cannot leave its token"):
        Keyring(tmp_path, None).load("pkcs11:alice", NetworkKind.DEVNET)
