"""Keys on disk: one JSON file per key in a directory that only its user can read."""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from identity.keys import SECRET_BYTES, InvalidKeyError, KeyType, PrivateKey, PublicKey
from identity.keystore import (
    DEFAULT_COST,
    KEYSTORE_BYTES_MAX,
    NONCE_BYTES,
    PASSWORD_CHARACTERS_MAX,
    SALT_BYTES,
    KeystoreError,
    KeystoreReason,
    ScryptCost,
    decrypt_secret,
    encrypt_secret,
    plain_secret_from_json,
    plain_secret_to_json,
    read_header,
)
from node.atomic_file import PRIVATE_FILE_MODE, create_file, make_private_directory

CONSENSUS_KEY_FILE: Final = "consensus.key"
NODE_KEY_FILE: Final = "node.key"
KEY_FILE_SUFFIX: Final = ".key"
KEY_NAME_CHARACTERS_MAX: Final = 64
KEYS_LISTED_MAX: Final = 10_000
PASSWORD_VARIABLE: Final = "CARLIVE_PASSWORD"  # noqa: S105  # where a service finds the password, not a password
PIN_VARIABLE: Final = "CARLIVE_PKCS11_PIN"  # the same for a token's PIN, which never stands in config.toml or a flag

_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{KEY_NAME_CHARACTERS_MAX - 1}}}")
_PASSWORD_FILE_BYTES_MAX: Final = 4 * PASSWORD_CHARACTERS_MAX + 2  # UTF-8, and the line's end


class KeyFileError(Exception):
    """A key file cannot be used; one sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class KeyListing:
    """What a key file shows without its password."""

    name: str
    path: Path
    public_key: PublicKey | None
    """None when the file cannot be read."""
    is_encrypted: bool
    problem: str | None


def generate_key(key_type: KeyType = KeyType.ED25519) -> PrivateKey:
    """A fresh key from the system's randomness."""
    while True:
        try:
            return PrivateKey(key_type, os.urandom(SECRET_BYTES))
        except InvalidKeyError:  # outside the curve's range: one in 2^32 at worst
            continue


def get_key_path(directory: Path, name: str) -> Path:
    """Where a named key lies; raises KeyFileError for a name that is no plain word."""
    if _NAME.fullmatch(name) is None:
        raise KeyFileError(
            f"{name!r} cannot name a key: use 1 to {KEY_NAME_CHARACTERS_MAX} of A-Z a-z 0-9 _ -, not _ or - first"
        )
    return directory / f"{name}{KEY_FILE_SUFFIX}"


def create_key_file(
    path: Path, private_key: PrivateKey, password: str | None = None, cost: ScryptCost = DEFAULT_COST
) -> None:
    """Write a new key file, mode 0600, encrypted unless the password is None. Never overwrites. Raises KeyFileError."""
    try:
        if password is None:
            text = plain_secret_to_json(private_key)
        else:
            text = encrypt_secret(private_key, password, os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES), cost)
    except KeystoreError as error:
        raise KeyFileError(f"{path} was not written: {error}") from None
    create_private(path, text)


def create_private(path: Path, text: str) -> None:
    """Write a new file, mode 0600, whole or not at all. Never overwrites. Raises KeyFileError."""
    try:
        make_private_directory(path.parent)
        check_not_writable_by_others(path.parent)
        create_file(path, text.encode(), PRIVATE_FILE_MODE)
    except FileExistsError:
        raise KeyFileError(f"{path} exists already and is never overwritten: choose another name") from None
    except OSError as error:
        raise KeyFileError(f"{path} cannot be written: {error.strerror}") from None


def load_key_file(path: Path, password: str | None = None) -> PrivateKey:
    """The key in a file of either form; a plain file needs no password. Raises KeyFileError."""
    text = read_private(path)
    try:
        if not read_header(text).is_encrypted:
            return plain_secret_from_json(text)
        if password is None:
            raise KeystoreError(
                KeystoreReason.PASSWORD_NEEDED,
                f"the key is encrypted: give its password, in a file or in the variable {PASSWORD_VARIABLE}",
            )
        return decrypt_secret(text, password)
    except KeystoreError as error:
        raise KeyFileError(f"{path}: {error}") from None


def load_ed25519_key_file(path: Path, password: str | None = None) -> PrivateKey:
    """A node or consensus key: these are always ed25519. Raises KeyFileError."""
    private_key = load_key_file(path, password)
    if private_key.key_type is not KeyType.ED25519:
        raise KeyFileError(f"{path} holds a {private_key.key_type.name} key, but nodes sign with ED25519")
    return private_key


def list_key_files(directory: Path) -> list[KeyListing]:
    """Every key file in a directory by name, unreadable ones with their problem. Raises KeyFileError."""
    return [get_key_listing(path) for path in list_files(directory, KEY_FILE_SUFFIX)]


def list_files(directory: Path, suffix: str) -> list[Path]:
    """The named files of a kind, none where there is no directory. Raises KeyFileError."""
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == suffix and path.stem)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise KeyFileError(f"{directory} cannot be read: {error.strerror}") from None
    if len(paths) > KEYS_LISTED_MAX:
        raise KeyFileError(f"{directory} holds more than {KEYS_LISTED_MAX} keys: divide them among directories")
    return paths


def get_key_listing(path: Path) -> KeyListing:
    """What the file at this path shows without its password, or what is wrong with it."""
    try:
        header = read_header(read_private(path))
    except (KeyFileError, KeystoreError) as error:
        return KeyListing(path.stem, path, None, is_encrypted=False, problem=str(error))
    return KeyListing(path.stem, path, header.public_key, header.is_encrypted, problem=None)


def read_password(password_file: Path | None, environment_value: str | None) -> str | None:
    """The password of a service: the first line of a private file, else the variable's value. Raises KeyFileError."""
    if password_file is None:
        return environment_value or None
    content = read_private(password_file, _PASSWORD_FILE_BYTES_MAX)
    password = content.removesuffix("\n").removesuffix("\r")
    if not password or "\n" in password:
        raise KeyFileError(f"{password_file} must hold the password alone, in one line")
    return password


def check_not_writable_by_others(directory: Path) -> None:
    """Whoever may write to the directory could put another key in the place of ours."""
    if directory.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise KeyFileError(f"other users can write to {directory}; run: chmod go-w {directory}")


def read_private(path: Path, bytes_max: int = KEYSTORE_BYTES_MAX) -> str:
    """The text of a small regular file that nobody else can read; the check is on the very file that is read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a named pipe must not hang us
        with os.fdopen(descriptor, "rb") as file:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode):
                raise KeyFileError(f"{path} is not a regular file")
            if state.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise KeyFileError(f"{path} can be reached by other users; run: chmod {PRIVATE_FILE_MODE:o} {path}")
            content = file.read(bytes_max + 1)
    except FileNotFoundError:
        raise KeyFileError(f"{path} does not exist: create the key or give its path") from None
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > bytes_max:
        raise KeyFileError(f"{path} is larger than {bytes_max} bytes, so it is not what was expected here")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise KeyFileError(f"{path} is not text") from None
