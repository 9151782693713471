"""A wallet at rest: the entropy of its mnemonic under a password, in the form of the keystore (`identity/keystore.py`).

| field                    | content                                                                         |
|--------------------------|---------------------------------------------------------------------------------|
| version                  | 1                                                                               |
| kind                     | "carlive-wallet"                                                                |
| fingerprint              | 0x…, 4 bytes: BIP-32's name of the root key; tells a wrong BIP-39 passphrase    |
| passphrase               | "none", or "needed": accounts come from the words and a passphrase not kept here |
| words                    | how many words the mnemonic has                                                 |
| encryption … secret      | as in the keystore; the secret is the entropy, 16 to 32 bytes                   |
| checksum                 | as in the keystore                                                              |

All fields but the secret and the checksum are bound to the ciphertext, so none can be exchanged.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from identity.keystore import (
    DEFAULT_COST,
    ENCRYPTED,
    KEYSTORE_VERSION,
    SEALED_FIELDS,
    KeystoreError,
    KeystoreReason,
    ScryptCost,
    format_hex,
    open_secret,
    parse_document,
    parse_hex,
    seal_secret,
)
from identity.wallet.bip32 import FINGERPRINT_BYTES, compute_master_key
from identity.wallet.errors import WalletError
from identity.wallet.mnemonic import ENTROPY_BYTES_ALLOWED, WORD_COUNTS, compute_seed, encode_mnemonic

_KIND: Final = "carlive-wallet"
_PASSPHRASE_VALUES: Final = {"none": False, "needed": True}
_FIELDS: Final = {
    ENCRYPTED: frozenset({"version", "kind", "fingerprint", "passphrase", "words"}) | SEALED_FIELDS,
}


@dataclass(frozen=True, slots=True)
class WalletHeader:
    """What a wallet file shows without its password."""

    fingerprint: bytes
    needs_passphrase: bool
    word_count: int


@dataclass(frozen=True, slots=True)
class Wallet:
    """A mnemonic and what its accounts are derived from."""

    header: WalletHeader
    entropy: bytes = field(repr=False)

    @property
    def mnemonic(self) -> str:
        """The words."""
        return encode_mnemonic(self.entropy)

    def compute_seed(self, passphrase: str = "") -> bytes:
        """The 64 bytes that accounts come from; raises WalletError when this is not the wallet's passphrase."""
        seed = compute_seed(self.mnemonic, passphrase)
        if compute_master_key(seed).fingerprint != self.header.fingerprint:
            raise WalletError("wrong passphrase: with it, these words lead to other accounts than the wallet's")
        return seed


def build_wallet(entropy: bytes, passphrase: str = "") -> Wallet:
    """The wallet of this entropy, whose accounts depend on the passphrase too; raises WalletError."""
    seed = compute_seed(encode_mnemonic(entropy), passphrase)
    fingerprint = compute_master_key(seed).fingerprint
    return Wallet(WalletHeader(fingerprint, passphrase != "", len(entropy) * 3 // 4), entropy)


def encrypt_wallet(wallet: Wallet, password: str, salt: bytes, nonce: bytes, cost: ScryptCost = DEFAULT_COST) -> str:
    """The JSON text. Salt, 16 bytes, and nonce, 12 bytes, are fresh random bytes. Raises KeystoreError."""
    header = {
        "version": KEYSTORE_VERSION,
        "kind": _KIND,
        "fingerprint": format_hex(wallet.header.fingerprint),
        "passphrase": "needed" if wallet.header.needs_passphrase else "none",
        "words": wallet.header.word_count,
        "encryption": ENCRYPTED,
    }
    return seal_secret(header, wallet.entropy, password, salt, nonce, cost)


def decrypt_wallet(text: str, password: str) -> Wallet:
    """The wallet in a text; raises KeystoreError, before any costly work unless the text is sound."""
    document, header = _parse(text)
    entropy_bytes = ENTROPY_BYTES_ALLOWED[WORD_COUNTS.index(header.word_count)]
    return Wallet(header, open_secret(document, entropy_bytes, password))


def read_wallet_header(text: str) -> WalletHeader:
    """What can be read without the password; raises KeystoreError."""
    return _parse(text)[1]


def _parse(text: str) -> tuple[dict[str, Any], WalletHeader]:
    document = parse_document(text, "wallet file", _FIELDS)
    if (
        document["kind"] != _KIND
        or document["passphrase"] not in list(_PASSPHRASE_VALUES)
        or document["words"] not in WORD_COUNTS
    ):
        raise KeystoreError(KeystoreReason.MALFORMED, "the wallet file is of a kind that this program does not know")
    fingerprint = parse_hex(document, "fingerprint", FINGERPRINT_BYTES)
    return document, WalletHeader(fingerprint, _PASSPHRASE_VALUES[document["passphrase"]], document["words"])
