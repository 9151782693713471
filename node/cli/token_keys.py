"""Keys in a PKCS#11 token on the command line: `pkcs11:LABEL` wherever a key is named.

Which token stands in options of `carlive keys`, and in variables for all commands. A session lasts for one question:
nothing stays logged in between.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.failures import CommandFailedError
from node.key_files import PIN_VARIABLE, read_password

if TYPE_CHECKING:
    from identity.keys import KeyType, PublicKey
    from node.pkcs11_token import Token, TokenKeyListing, TokenPlace

TOKEN_PREFIX: Final = "pkcs11:"  # noqa: S105  # of a key's name
MODULE_VARIABLE: Final = "CARLIVE_PKCS11_MODULE"
LABEL_VARIABLE: Final = "CARLIVE_PKCS11_TOKEN"
PIN_FILE_VARIABLE: Final = "CARLIVE_PKCS11_PIN_FILE"


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """Which token, as far as it was said."""

    module: Path | None
    label: str | None
    pin_file: Path | None

    @property
    def is_made(self) -> bool:
        """Whether there is a token at all."""
        return self.module is not None and self.label is not None


@dataclass(frozen=True, slots=True)
class TokenAccountKey:
    """A key in a token, which is opened for each signature; signs like identity.keys.PrivateKey."""

    place: "TokenPlace"
    label: str
    public_key: "PublicKey"

    @property
    def key_type(self) -> "KeyType":
        """Its curve."""
        return self.public_key.key_type

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature; raises CommandFailedError."""
        with _open(self.place) as token:
            return token.get_key(self.label).sign(message)


def token_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --pkcs11-module, --pkcs11-token and --pkcs11-pin-file; the command gets `token`."""

    @wraps(function)
    def command(
        *args: Any, pkcs11_module: Path | None, pkcs11_token: str | None, pkcs11_pin_file: Path | None, **given: Any
    ) -> Any:
        return function(*args, token=TokenChoice(pkcs11_module, pkcs11_token, pkcs11_pin_file), **given)

    options = (
        click.option(
            "--pkcs11-module",
            type=click.Path(path_type=Path, dir_okay=False),
            envvar=MODULE_VARIABLE,
            help=f"PKCS#11 module of a token's vendor, an absolute path.  [{MODULE_VARIABLE}]",
        ),
        click.option(
            "--pkcs11-token", metavar="LABEL", envvar=LABEL_VARIABLE, help=f"Which token.  [{LABEL_VARIABLE}]"
        ),
        click.option(
            "--pkcs11-pin-file",
            type=click.Path(path_type=Path, dir_okay=False),
            envvar=PIN_FILE_VARIABLE,
            help=f"File with the PIN in its one line; else {PIN_VARIABLE}, else a prompt.  [{PIN_FILE_VARIABLE}]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_token_choice(environment: Mapping[str, str]) -> TokenChoice:
    """From the variables, for commands without the options."""
    module, pin_file = environment.get(MODULE_VARIABLE), environment.get(PIN_FILE_VARIABLE)
    return TokenChoice(
        Path(module) if module else None, environment.get(LABEL_VARIABLE) or None, Path(pin_file) if pin_file else None
    )


def load_token_key(choice: TokenChoice, name: str) -> TokenAccountKey:
    """The key pkcs11:LABEL; raises CommandFailedError."""
    label = name.removeprefix(TOKEN_PREFIX)
    place = _find_place(choice, _ask_pin(choice))
    with _open(place) as token:
        return TokenAccountKey(place, label, token.get_key(label).public_key)


def list_token_keys(choice: TokenChoice) -> "list[TokenKeyListing]":
    """The keys of the token, nothing if none was chosen; asks nobody for a PIN: tokens show public keys without."""
    if not choice.is_made:
        return []
    with _open(_find_place(choice, _read_pin(choice))) as token:
        return token.list_keys()


def find_token_key(choice: TokenChoice, name: str) -> "PublicKey":
    """The public key of pkcs11:LABEL, without a PIN; raises CommandFailedError."""
    label = name.removeprefix(TOKEN_PREFIX)
    with _open(_find_place(choice, _read_pin(choice))) as token:
        return token.get_public_key(label)


def generate_token_key(choice: TokenChoice, label: str, key_type: "KeyType") -> "PublicKey":
    """Make a key that cannot leave the token; raises CommandFailedError."""
    with _open(_find_place(choice, _ask_pin(choice)), is_writable=True) as token:
        return token.generate(label, key_type).public_key


def _find_place(choice: TokenChoice, pin: str | None) -> "TokenPlace":
    from node.pkcs11_token import TokenPlace

    if choice.module is None or choice.label is None:
        raise CommandFailedError(
            f"no token is named: say --pkcs11-module and --pkcs11-token, or set {MODULE_VARIABLE} and {LABEL_VARIABLE}"
        )
    return TokenPlace(choice.module, choice.label, pin)


@contextmanager
def _open(place: "TokenPlace", *, is_writable: bool = False) -> "Iterator[Token]":
    from node.pkcs11_token import Token, TokenError

    try:
        with Token(place, is_writable=is_writable) as token:
            yield token
    except TokenError as error:
        raise CommandFailedError(str(error)) from None


def _read_pin(choice: TokenChoice) -> str | None:
    return read_password(choice.pin_file, os.environ.get(PIN_VARIABLE))


def _ask_pin(choice: TokenChoice) -> str:
    pin = _read_pin(choice)
    if pin is not None:
        return pin
    if not sys.stdin.isatty():
        raise CommandFailedError(
            f"the token's PIN is needed: say --pkcs11-pin-file FILE, or set {PIN_VARIABLE}, or run this in a terminal"
        )
    answer: str = click.prompt(f"PIN of {choice.label}", hide_input=True, err=True)
    return answer
