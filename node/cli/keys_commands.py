"""`carlive keys`: account keys, encrypted on disk or in a PKCS#11 token."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.accounts import KEYS_DIRECTORY_DEFAULT, Keyring, is_reserved, keyring_options, open_keyring
from node.cli.failures import CommandFailedError
from node.cli.group import SuggestingGroup
from node.cli.output import Output, output_option
from node.cli.token_keys import (
    TOKEN_PREFIX,
    TokenChoice,
    find_token_key,
    generate_token_key,
    list_token_keys,
    token_options,
)

if TYPE_CHECKING:
    from identity.keys import KeyType, PrivateKey, PublicKey

KEY_TYPES: Final = ("ed25519", "secp256k1", "p256")
SECRET_TEXT_CHARACTERS_MAX: Final = 256


@click.group(cls=SuggestingGroup)
def keys() -> None:
    """Make, import and list account keys.

    A key is encrypted under a password, in one file. Lose either and the account is lost: keep a copy of the file.
    Or it is in a PKCS#11 token, which it cannot leave; it is then named pkcs11:LABEL.
    """


_type_option = click.option(
    "--type", "key_type", type=click.Choice(KEY_TYPES), default="ed25519", show_default=True, help="Which curve."
)


@keys.command()
@click.argument("name")
@_type_option
@click.option("--pkcs11", "is_in_token", is_flag=True, help="Make it in a token, with NAME as its label.")
@keyring_options
@token_options
@output_option
def new(
    name: str,
    key_type: str,
    is_in_token: bool,
    keys_dir: Path,
    password_file: Path | None,
    token: TokenChoice,
    output: Output,
) -> None:
    """Make a key called NAME."""
    from node.key_files import generate_key

    if is_in_token:
        public_key = generate_token_key(token, name, _parse_key_type(key_type))
        output.show_record(_describe(TOKEN_PREFIX + name, public_key) | {"token": token.label})
        return
    _check_new(name)
    keyring = open_keyring(keys_dir, password_file)
    _save(keyring, name, generate_key(_parse_key_type(key_type)), output)


@keys.command("import")
@click.argument("name")
@_type_option
@keyring_options
@output_option
def import_key(name: str, key_type: str, keys_dir: Path, password_file: Path | None, output: Output) -> None:
    """Keep a secret you have as NAME: 64 hexadecimal digits from standard input or a prompt, never an argument."""
    _check_new(name)
    keyring = open_keyring(keys_dir, password_file)
    _save(keyring, name, parse_hex_secret(_read_secret(), _parse_key_type(key_type)), output)


@keys.command("list")
@click.option(
    "--keys-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=KEYS_DIRECTORY_DEFAULT,
    show_default=True,
    envvar="CARLIVE_KEYS_DIR",
    help="Where account keys are kept.",
)
@token_options
@output_option
def list_keys(keys_dir: Path, token: TokenChoice, output: Output) -> None:
    """List all keys, those of the token too if one is named; no password is needed."""
    from node.key_files import list_key_files

    directory = keys_dir.expanduser()
    records = [
        {"name": each.name, "problem": each.problem}
        if each.public_key is None
        else _describe(each.name, each.public_key) | {"encrypted": each.is_encrypted}
        for each in list_key_files(directory)
    ]
    records += [
        {"name": TOKEN_PREFIX + each.label, "problem": each.problem}
        if each.public_key is None
        else _describe(TOKEN_PREFIX + each.label, each.public_key) | {"token": token.label}
        for each in list_token_keys(token)
    ]
    columns = ["name", "type", "devnetAddress", "testnetAddress", "mainnetAddress"]
    if any("problem" in record for record in records):
        columns.append("problem")
    output.show_list(records, columns, empty=f"there are no keys in {directory}; carlive keys new NAME makes one")


@keys.command()
@click.argument("name")
@click.option("--reveal", is_flag=True, help="Also show the secret key; make sure that nobody looks on.")
@keyring_options
@token_options
@output_option
def show(
    name: str, reveal: bool, keys_dir: Path, password_file: Path | None, token: TokenChoice, output: Output
) -> None:
    """Show the key called NAME; dev0 to dev9 are the devnet's accounts, pkcs11:LABEL is a key of the token."""
    from identity.address import NetworkKind
    from node.cli.accounts import find_development_account
    from node.key_files import list_key_files

    if name.startswith(TOKEN_PREFIX):
        if reveal:
            raise CommandFailedError(f"{name} cannot leave its token: leave --reveal out")
        output.show_record(_describe(name, find_token_key(token, name)) | {"token": token.label})
        return
    keyring = open_keyring(keys_dir, password_file)
    if reveal or find_development_account(name) is not None:
        private_key = keyring.load(name, NetworkKind.DEVNET)
        record = _describe(name, private_key.public_key)
        if reveal:
            record["secretKey"] = "0x" + private_key.secret.hex()
        output.show_record(record)
        return
    listing = next((each for each in list_key_files(keyring.directory) if each.name == name), None)
    if listing is None:
        raise CommandFailedError(f"there is no key {name} in {keyring.directory}: carlive keys list shows the names")
    if listing.public_key is None:
        raise CommandFailedError(f"the key {name} cannot be read: {listing.problem}")
    output.show_record(_describe(name, listing.public_key) | {"file": str(listing.path)})


def _check_new(name: str) -> None:
    if is_reserved(name):
        raise CommandFailedError(f"{name} means the devnet's account of that name: choose another name")


def _save(keyring: Keyring, name: str, private_key: "PrivateKey", output: Output) -> None:
    from node.key_files import create_key_file, get_key_path

    path = get_key_path(keyring.directory, name)
    if path.exists():
        raise CommandFailedError(f"there is a key {name} already: choose another name or move {path} away")
    create_key_file(path, private_key, keyring.ask_password(f"New password for {name}", is_new=True))
    output.show_record(_describe(name, private_key.public_key) | {"file": str(path)})


def _describe(name: str, public_key: "PublicKey") -> dict[str, Any]:
    from identity.address import NetworkKind, compute_key_address, format_address

    address = compute_key_address(public_key)
    return {
        "name": name,
        "type": public_key.key_type.name.lower(),
        "publicKey": "0x" + public_key.key.hex(),
        **{f"{network.name.lower()}Address": format_address(address, network) for network in reversed(NetworkKind)},
    }


def _parse_key_type(text: str) -> "KeyType":
    from identity.keys import KeyType

    return KeyType[text.upper()]


def _read_secret() -> str:
    if sys.stdin.isatty():
        answer: str = click.prompt("Secret key (64 hexadecimal digits)", hide_input=True, err=True)
        return answer
    return sys.stdin.read(SECRET_TEXT_CHARACTERS_MAX)


def parse_hex_secret(text: str, key_type: "KeyType") -> "PrivateKey":
    """The key of 64 digits; raises CommandFailedError, which does not repeat them."""
    from identity.keys import InvalidKeyError, PrivateKey

    digits = text.strip().removeprefix("0x")
    try:
        secret = bytes.fromhex(digits)
    except ValueError:
        secret = b""
    if len(secret) != 32 or len(digits) != 64:
        raise CommandFailedError("a secret key is 64 hexadecimal digits, with or without 0x before them")
    try:
        return PrivateKey(key_type, secret)
    except InvalidKeyError as error:
        raise CommandFailedError(f"this is no {key_type.name.lower()} secret: {error}") from None
