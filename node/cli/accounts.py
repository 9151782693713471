"""Names on the command line: account keys in the keystore or by path, and the accounts of a devnet.

| name           | key                                                             |
|----------------|-----------------------------------------------------------------|
| dev0 … dev9    | the public development accounts, on a devnet                    |
| op0, op1, …    | the account of that operator of the devnet on this machine      |
| ./a/b.key      | a path: anything with a slash                                   |
| pkcs11:LABEL   | the key of that label in a token                                |
| any other word | NAME.key in the directory of keys                               |
"""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from identity.address import Address, NetworkKind, compute_key_address, parse_address
from node.cli.failures import CommandFailedError
from node.cli.token_keys import TOKEN_PREFIX, load_token_key, read_token_choice
from node.key_files import (
    PASSWORD_VARIABLE,
    KeyListing,
    get_key_listing,
    get_key_path,
    list_key_files,
    load_key_file,
    read_password,
)

if TYPE_CHECKING:
    from genesis.presets import DevelopmentAccount
    from identity.keys import PrivateKey
    from node.cli.signing import AccountKey

KEYS_DIRECTORY_DEFAULT: Final = "~/.carlive/keys"
DEVNET_HOME_DEFAULT: Final = ".devnet"
DEVNET_HOME_VARIABLE: Final = "CARLIVE_DEVNET_HOME"
_DEVELOPMENT_NAME: Final = re.compile("dev([0-9])")
_OPERATOR_NAME: Final = re.compile("op(0|[1-9][0-9]?)")


@dataclass(frozen=True, slots=True)
class PasswordSource:
    """Where a command gets something that must not stand among its arguments."""

    noun: str
    option: str
    variable: str

    def ask(self, file: Path | None, prompt: str, *, is_new: bool = False) -> str:
        """From the option's file, the variable or the terminal; raises CommandFailedError when there is none."""
        password = read_password(file, os.environ.get(self.variable))
        if password is not None:
            return password
        if not sys.stdin.isatty():
            raise CommandFailedError(
                f"a {self.noun} is needed: say {self.option} FILE, or set {self.variable}, or run this in a terminal"
            )
        answer: str = click.prompt(prompt, hide_input=True, confirmation_prompt=is_new, err=True)
        return answer


@dataclass(frozen=True, slots=True)
class Keyring:
    """Where keys lie and how to open them."""

    directory: Path
    password_file: Path | None

    def load_signing_key(self, name: str, network: NetworkKind) -> "AccountKey":
        """The key of that name, or one that signs in its token. Raises CommandFailedError, KeyFileError."""
        if name.startswith(TOKEN_PREFIX):
            return load_token_key(read_token_choice(os.environ), name)
        return self.load(name, network)

    def load(self, name: str, network: NetworkKind) -> "PrivateKey":
        """The key of that name, with its secret. Raises CommandFailedError, KeyFileError."""
        account = find_development_account(name)
        if account is not None:
            if network is not NetworkKind.DEVNET:
                raise CommandFailedError(
                    f"{name} is a public development key and this node is on the {network.name.lower()}: "
                    "use a key of your own (carlive keys new NAME)"
                )
            return account.key
        if name.startswith(TOKEN_PREFIX):
            raise CommandFailedError(f"{name} cannot leave its token: use it to sign transactions, with --from")
        path = self._find_path(name, network)
        if not path.exists():
            raise CommandFailedError(
                f"there is no key {name} in {path.parent}: see carlive keys list, or make it with carlive keys new"
            )
        password = self.ask_password(f"Password of {name}") if get_key_listing(path).is_encrypted else None
        return load_key_file(path, password)

    def _find_path(self, name: str, network: NetworkKind) -> Path:
        """Where the key of that name lies; dev0 to dev9 lie nowhere."""
        if "/" in name:
            return Path(name).expanduser()
        operator = _OPERATOR_NAME.fullmatch(name)
        if operator is None:
            return get_key_path(self.directory, name)
        if network is not NetworkKind.DEVNET:
            raise CommandFailedError(
                f"{name} is an operator of a devnet and this node is on the {network.name.lower()}: "
                "use a key of your own (carlive keys new NAME)"
            )
        home = Path(os.environ.get(DEVNET_HOME_VARIABLE, DEVNET_HOME_DEFAULT))
        path = home / f"node-{operator[1]}" / "keys" / "account.key"
        if not path.exists():
            raise CommandFailedError(
                f"{name} is the operator of node {operator[1]} of a devnet, but {home} has no such node: "
                f"call carlive where {DEVNET_HOME_DEFAULT} lies, or name the devnet's home in {DEVNET_HOME_VARIABLE}"
            )
        return path

    def ask_password(self, prompt: str, *, is_new: bool = False) -> str:
        """From --password-file, CARLIVE_PASSWORD or the terminal; raises CommandFailedError when there is none."""
        source = PasswordSource("password", "--password-file", PASSWORD_VARIABLE)
        return source.ask(self.password_file, prompt, is_new=is_new)

    def find_address(self, text: str, network: NetworkKind) -> Address:
        """An address, or the address of a named key; raises InvalidAddressError, CommandFailedError."""
        account = find_development_account(text)
        if account is not None and network is NetworkKind.DEVNET:
            return compute_key_address(account.key.public_key)
        if text.startswith(TOKEN_PREFIX):
            return compute_key_address(load_token_key(read_token_choice(os.environ), text).public_key)
        listing: KeyListing | None
        if "/" in text or (_OPERATOR_NAME.fullmatch(text) is not None and network is NetworkKind.DEVNET):
            listing = get_key_listing(self._find_path(text, network))
        else:
            listing = next((each for each in list_key_files(self.directory) if each.name == text), None)
        if listing is not None:
            if listing.public_key is None:
                raise CommandFailedError(f"the key {text} cannot be read: {listing.problem}")
            return compute_key_address(listing.public_key)
        if "1" not in text:
            raise CommandFailedError(
                f"{text!r} is neither an address ({network.value}1…) nor a key of {self.directory}"
            )
        return parse_address(text, network)


def find_development_account(name: str) -> "DevelopmentAccount | None":
    """The devnet account dev0 … dev9."""
    match = _DEVELOPMENT_NAME.fullmatch(name)
    if match is None:
        return None
    from genesis.presets import list_development_accounts

    return list_development_accounts()[int(match[1])]


def is_reserved(name: str) -> bool:
    """Whether a key of one's own may not be called so."""
    return _DEVELOPMENT_NAME.fullmatch(name) is not None or _OPERATOR_NAME.fullmatch(name) is not None


def keyring_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --keys-dir and --password-file; the command gets `keys_dir` and `password_file`."""
    function = click.option(
        "--password-file",
        type=click.Path(path_type=Path, dir_okay=False),
        default=None,
        help=f"File with the password in its one line; else {PASSWORD_VARIABLE}, else a prompt.",
    )(function)
    return click.option(
        "--keys-dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=KEYS_DIRECTORY_DEFAULT,
        show_default=True,
        envvar="CARLIVE_KEYS_DIR",
        help="Where account keys are kept.",
    )(function)


def open_keyring(keys_dir: Path, password_file: Path | None) -> Keyring:
    """From the options' values."""
    return Keyring(keys_dir.expanduser(), password_file)
