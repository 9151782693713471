"""Wallets on disk: one encrypted JSON file per wallet, beside the key files."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from identity.keystore import DEFAULT_COST, NONCE_BYTES, SALT_BYTES, KeystoreError, ScryptCost
from identity.wallet.mnemonic import ENTROPY_BYTES_ALLOWED, WORD_COUNTS
from identity.wallet.wallet_file import (
    Wallet,
    WalletHeader,
    decrypt_wallet,
    encrypt_wallet,
    read_wallet_header,
)
from node.key_files import KeyFileError, create_private, get_key_path, list_files, read_private

WALLET_FILE_SUFFIX: Final = ".wallet"


@dataclass(frozen=True, slots=True)
class WalletListing:
    """What a wallet file shows without its password."""

    name: str
    path: Path
    header: WalletHeader | None
    """None when the file cannot be read."""
    problem: str | None


def generate_entropy(word_count: int) -> bytes:
    """Fresh entropy for a mnemonic of so many words."""
    return os.urandom(ENTROPY_BYTES_ALLOWED[WORD_COUNTS.index(word_count)])


def get_wallet_path(directory: Path, name: str) -> Path:
    """Where a named wallet lies; raises KeyFileError for a name that is no plain word."""
    return get_key_path(directory, name).with_suffix(WALLET_FILE_SUFFIX)


def create_wallet_file(path: Path, wallet: Wallet, password: str, cost: ScryptCost = DEFAULT_COST) -> None:
    """Write a new wallet file, mode 0600, with fresh salt and nonce. Never overwrites. Raises KeyFileError."""
    try:
        text = encrypt_wallet(wallet, password, os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES), cost)
    except KeystoreError as error:
        raise KeyFileError(f"{path} was not written: {error}") from None
    create_private(path, text)


def load_wallet_header(path: Path) -> WalletHeader:
    """What the file shows without its password; raises KeyFileError."""
    try:
        return read_wallet_header(read_private(path))
    except KeystoreError as error:
        raise KeyFileError(f"{path}: {error}") from None


def load_wallet_file(path: Path, password: str) -> Wallet:
    """The wallet in a file; raises KeyFileError."""
    try:
        return decrypt_wallet(read_private(path), password)
    except KeystoreError as error:
        raise KeyFileError(f"{path}: {error}") from None


def list_wallet_files(directory: Path) -> list[WalletListing]:
    """Every wallet file in a directory by name, unreadable ones with their problem. Raises KeyFileError."""
    return [_list_file(path) for path in list_files(directory, WALLET_FILE_SUFFIX)]


def _list_file(path: Path) -> WalletListing:
    try:
        return WalletListing(path.stem, path, load_wallet_header(path), None)
    except KeyFileError as error:
        return WalletListing(path.stem, path, None, str(error))
