"""Secrets at rest: one JSON text per key, encrypted under a password or plain for a service's own keys.

| field       | encrypted                                         | plain      |
|-------------|---------------------------------------------------|------------|
| version     | 1                                                 | 1          |
| key_type    | "ed25519", "secp256k1" or "p256"                  | the same   |
| public_key  | 0x…                                               | the same   |
| encryption  | "scrypt-aes256gcm"                                | "none"     |
| scrypt      | {"n": …, "r": …, "p": …}                          | absent     |
| salt, nonce | 0x…, 16 and 12 bytes                              | absent     |
| secret      | 0x…, 48 bytes: AES-256-GCM ciphertext and tag     | 0x…, 32 bytes |
| checksum    | 0x…, SHA-256 of the other fields as compact JSON with sorted names | the same |

The encryption key is scrypt(password in Unicode form NFKC, as UTF-8). The fields before `secret`, as compact JSON with
sorted names, are the associated data, so none can be exchanged. The checksum tells damage from a wrong password.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from hashlib import scrypt, sha256
from typing import Any, Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from identity import strict_json
from identity.keys import PUBLIC_KEY_BYTES, SECRET_BYTES, InvalidKeyError, KeyType, PrivateKey, PublicKey

KEYSTORE_VERSION: Final = 1
KEYSTORE_BYTES_MAX: Final = 4096  # a real one has about 600
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
PASSWORD_CHARACTERS_MIN: Final = 8
PASSWORD_CHARACTERS_MAX: Final = 1024

SCRYPT_MEMORY_BYTES_MAX: Final = 2**28  # a foreign file must not be able to take all of a small machine's memory
SCRYPT_MEMORY_BYTES_MIN: Final = 2**24  # below this, guessing passwords becomes too cheap
SCRYPT_BLOCK_SIZE_MAX: Final = 32
SCRYPT_PARALLEL_MAX: Final = 4  # multiplies the time, and with it how long a foreign file can keep us busy
_SCRYPT_MEMORY_BYTES_SLACK: Final = 2**20  # what the library holds besides the table

ENCRYPTED: Final = "scrypt-aes256gcm"
_PLAIN: Final = "none"
_KEY_TYPE_NAMES: Final = {KeyType.ED25519: "ed25519", KeyType.SECP256K1: "secp256k1", KeyType.P256: "p256"}
_KEY_TYPES: Final = {name: key_type for key_type, name in _KEY_TYPE_NAMES.items()}
_PLAIN_FIELDS: Final = frozenset({"version", "key_type", "public_key", "encryption", "secret", "checksum"})
SEALED_FIELDS: Final = frozenset({"encryption", "scrypt", "salt", "nonce", "secret", "checksum"})
"""What `seal_secret` adds to a header, or demands of it."""
_FIELDS: Final = {_PLAIN: _PLAIN_FIELDS, ENCRYPTED: _PLAIN_FIELDS | SEALED_FIELDS}


class KeystoreReason(Enum):
    """Why a keystore could not be written or read."""

    MALFORMED = "malformed"
    """Not the JSON form of this version."""
    DAMAGED = "damaged"
    """The right form, but bytes have changed since it was written."""
    WRONG_PASSWORD = "wrong_password"  # noqa: S105  # a reason, not a password
    COST_OUT_OF_RANGE = "cost_out_of_range"
    """Deriving the key would take too much memory or time, or protects too little."""
    BAD_PASSWORD = "bad_password"  # noqa: S105
    """This password cannot be used for encryption."""
    PASSWORD_NEEDED = "password_needed"  # noqa: S105


class KeystoreError(ValueError):
    """A keystore could not be written or read; `reason` says which way, the message what to do."""

    def __init__(self, reason: KeystoreReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ScryptCost:
    """What one guess of the password costs: 128·n·r bytes of memory, and p times the work of filling them."""

    n: int
    r: int
    p: int

    @property
    def memory_bytes(self) -> int:
        """The table scrypt fills."""
        return 128 * self.n * self.r


DEFAULT_COST: Final = ScryptCost(n=2**17, r=8, p=1)  # 128 MiB, about half a second
LIGHT_COST: Final = ScryptCost(n=2**14, r=8, p=1)  # 16 MiB, for tests and small devices


@dataclass(frozen=True, slots=True)
class KeystoreHeader:
    """What can be read without the password."""

    public_key: PublicKey
    is_encrypted: bool


def encrypt_secret(
    private_key: PrivateKey, password: str, salt: bytes, nonce: bytes, cost: ScryptCost = DEFAULT_COST
) -> str:
    """The encrypted JSON text. Salt, 16 bytes, and nonce, 12 bytes, are fresh random bytes. Raises KeystoreError."""
    return seal_secret(_build_header(private_key, ENCRYPTED), private_key.secret, password, salt, nonce, cost)


def decrypt_secret(text: str, password: str) -> PrivateKey:
    """The key behind an encrypted text; raises KeystoreError, before any costly work unless the text is sound."""
    document, public_key = _parse(text)
    if document["encryption"] != ENCRYPTED:
        _fail(KeystoreReason.MALFORMED, "this key is not encrypted: read it without a password")
    return _check_pair(open_secret(document, SECRET_BYTES, password), public_key)


def seal_secret(
    header: dict[str, Any], secret: bytes, password: str, salt: bytes, nonce: bytes, cost: ScryptCost
) -> str:
    """The JSON text of a header, which has `encryption`, and a secret encrypted with it. Raises KeystoreError."""
    assert len(salt) == SALT_BYTES and len(nonce) == NONCE_BYTES and header["encryption"] == ENCRYPTED
    check_password(password)
    _check_cost(cost)
    header = header | {
        "scrypt": {"n": cost.n, "r": cost.r, "p": cost.p},
        "salt": format_hex(salt),
        "nonce": format_hex(nonce),
    }
    cipher = AESGCM(_derive_key(password, salt, cost))
    sealed = cipher.encrypt(nonce, secret, _to_canonical(header))
    return _seal_json(header | {"secret": format_hex(sealed)})


def open_secret(document: dict[str, Any], secret_bytes: int, password: str) -> bytes:
    """The secret, of this size, in a document from `parse_document`; raises KeystoreError."""
    if len(password) > PASSWORD_CHARACTERS_MAX:
        _fail(KeystoreReason.WRONG_PASSWORD, "wrong password")
    cost = _parse_cost(document["scrypt"])
    salt = parse_hex(document, "salt", SALT_BYTES)
    nonce = parse_hex(document, "nonce", NONCE_BYTES)
    sealed = parse_hex(document, "secret", secret_bytes + TAG_BYTES)
    header = {name: value for name, value in document.items() if name not in ("secret", "checksum")}
    try:
        return AESGCM(_derive_key(password, salt, cost)).decrypt(nonce, sealed, _to_canonical(header))
    except InvalidTag:
        _fail(KeystoreReason.WRONG_PASSWORD, "wrong password")


def plain_secret_to_json(private_key: PrivateKey) -> str:
    """The unencrypted JSON text, for a service that starts without anybody typing a password."""
    return _seal_json(_build_header(private_key, _PLAIN) | {"secret": format_hex(private_key.secret)})


def plain_secret_from_json(text: str) -> PrivateKey:
    """The key in an unencrypted text; raises KeystoreError, PASSWORD_NEEDED when it is encrypted."""
    document, public_key = _parse(text)
    if document["encryption"] != _PLAIN:
        _fail(KeystoreReason.PASSWORD_NEEDED, "this key is encrypted: give its password")
    return _check_pair(parse_hex(document, "secret", SECRET_BYTES), public_key)


def read_header(text: str) -> KeystoreHeader:
    """The public key of either form; raises KeystoreError."""
    document, public_key = _parse(text)
    return KeystoreHeader(public_key, is_encrypted=document["encryption"] == ENCRYPTED)


def check_password(password: str) -> None:
    """Refuse a password that is too short or too long to protect a key; raises KeystoreError."""
    if len(password) < PASSWORD_CHARACTERS_MIN:
        _fail(KeystoreReason.BAD_PASSWORD, f"the password needs at least {PASSWORD_CHARACTERS_MIN} characters")
    if len(password) > PASSWORD_CHARACTERS_MAX:
        _fail(KeystoreReason.BAD_PASSWORD, f"the password has more than {PASSWORD_CHARACTERS_MAX} characters")
    _encode_password(password, KeystoreReason.BAD_PASSWORD)


def _build_header(private_key: PrivateKey, encryption: str) -> dict[str, Any]:
    return {
        "version": KEYSTORE_VERSION,
        "key_type": _KEY_TYPE_NAMES[private_key.key_type],
        "public_key": format_hex(private_key.public_key.key),
        "encryption": encryption,
    }


def _seal_json(document: dict[str, Any]) -> str:
    checksum = sha256(_to_canonical(document)).digest()
    return json.dumps(document | {"checksum": format_hex(checksum)}, indent=2) + "\n"


def _to_canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _derive_key(password: str, salt: bytes, cost: ScryptCost) -> bytes:
    return scrypt(
        _encode_password(password, KeystoreReason.WRONG_PASSWORD),
        salt=salt,
        n=cost.n,
        r=cost.r,
        p=cost.p,
        maxmem=cost.memory_bytes + _SCRYPT_MEMORY_BYTES_SLACK,
        dklen=32,
    )


def _encode_password(password: str, reason: KeystoreReason) -> bytes:
    """One form for what looks the same: an accented letter is typed as one character here, as two there."""
    try:
        return unicodedata.normalize("NFKC", password).encode()
    except UnicodeEncodeError:
        _fail(reason, "the password holds half of a character pair, which is no text")


def _check_cost(cost: ScryptCost) -> None:
    """Before any work: what this cost asks of memory and time lies within our limits."""
    is_power_of_two = cost.n > 1 and cost.n & (cost.n - 1) == 0
    is_in_range = (
        is_power_of_two
        and 1 <= cost.r <= SCRYPT_BLOCK_SIZE_MAX
        and 1 <= cost.p <= SCRYPT_PARALLEL_MAX
        and SCRYPT_MEMORY_BYTES_MIN <= cost.memory_bytes <= SCRYPT_MEMORY_BYTES_MAX
    )
    if not is_in_range:
        _fail(
            KeystoreReason.COST_OUT_OF_RANGE,
            f"scrypt with n={cost.n}, r={cost.r}, p={cost.p} is out of range: n is a power of two, r at most "
            f"{SCRYPT_BLOCK_SIZE_MAX}, p at most {SCRYPT_PARALLEL_MAX}, 128·n·r from {SCRYPT_MEMORY_BYTES_MIN} to "
            f"{SCRYPT_MEMORY_BYTES_MAX} bytes",
        )


def parse_document(text: str, noun: str, fields_by_encryption: Mapping[str, frozenset[str]]) -> dict[str, Any]:
    """Form, exact fields and checksum; every value is text or an integer, but `scrypt`. Raises KeystoreError.

    `noun` is what messages call the file.
    """
    document = parse_json(text, noun)
    if type(document) is not dict or document.get("encryption") not in list(fields_by_encryption):
        _fail(KeystoreReason.MALFORMED, f"this is not a CarLive {noun}")
    version = document.get("version")
    if type(version) is not int or version != KEYSTORE_VERSION:
        _fail(KeystoreReason.MALFORMED, f"the {noun} is of another version; this program reads {KEYSTORE_VERSION}")
    if document.keys() != fields_by_encryption[document["encryption"]]:
        _fail(KeystoreReason.MALFORMED, f"the {noun} lacks a field or has one too many")
    if not _has_plain_fields(document):
        _fail(KeystoreReason.MALFORMED, f"a field of the {noun} is neither text nor an integer")
    body = {name: value for name, value in document.items() if name != "checksum"}
    if parse_hex(document, "checksum", 32) != sha256(_to_canonical(body)).digest():
        _fail(KeystoreReason.DAMAGED, f"the {noun} is damaged or was edited (its checksum differs): use the backup")
    return document


def parse_json(text: str, noun: str) -> Any:
    """JSON of a bounded size that is strict: no field stands twice, all numbers are integers. Raises KeystoreError."""
    if len(text) > KEYSTORE_BYTES_MAX:
        _fail(KeystoreReason.MALFORMED, f"a {noun} has at most {KEYSTORE_BYTES_MAX} characters")
    try:
        return strict_json.parse_json(text.encode())
    except ValueError:  # also of half a surrogate pair in the text itself
        _fail(KeystoreReason.MALFORMED, f"this is not a {noun} (not JSON, or a field stands twice)")


def _parse(text: str) -> tuple[dict[str, Any], PublicKey]:
    document = parse_document(text, "key file", _FIELDS)
    key_type = _KEY_TYPES.get(document["key_type"])
    if key_type is None:
        _fail(KeystoreReason.MALFORMED, f"key_type is one of {', '.join(_KEY_TYPES)}")
    return document, PublicKey(key_type, parse_hex(document, "public_key", PUBLIC_KEY_BYTES[key_type]))


def _parse_cost(plain: dict[str, Any]) -> ScryptCost:
    cost = ScryptCost(plain["n"], plain["r"], plain["p"])
    _check_cost(cost)
    return cost


def _has_plain_fields(document: dict[str, Any]) -> bool:
    """Every field is text or an integer, and `scrypt` three integers: nothing nested reaches the code behind this."""
    cost = document.get("scrypt", {"n": 0, "r": 0, "p": 0})
    if type(cost) is not dict or cost.keys() != {"n", "r", "p"}:
        return False
    values = [value for name, value in document.items() if name != "scrypt"]
    return all(type(value) is int for value in cost.values()) and all(type(value) in (int, str) for value in values)


def parse_hex(document: dict[str, Any], name: str, size: int) -> bytes:
    """The bytes of a field; raises KeystoreError."""
    text = document[name]
    if type(text) is not str or re.fullmatch(f"0x[0-9a-f]{{{2 * size}}}", text) is None:
        _fail(KeystoreReason.MALFORMED, f"the file's {name} is not 0x and {2 * size} lower-case hexadecimal digits")
    return bytes.fromhex(text[2:])


def _check_pair(secret: bytes, public_key: PublicKey) -> PrivateKey:
    try:
        private_key = PrivateKey(public_key.key_type, secret)
    except InvalidKeyError:
        _fail(KeystoreReason.DAMAGED, "the secret in the key file is not one of its key type: use the backup")
    if private_key.public_key != public_key:
        _fail(
            KeystoreReason.DAMAGED,
            "the secret and the public key do not belong together: use the backup",
        )
    return private_key


def format_hex(value: bytes) -> str:
    """How a field shows bytes."""
    return "0x" + value.hex()


def _fail(reason: KeystoreReason, message: str) -> NoReturn:
    # `from None`: what went wrong underneath could quote the text, and with it a secret
    raise KeystoreError(reason, message) from None
