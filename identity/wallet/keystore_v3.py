"""The key file of Ethereum's wallets ("web3 secret storage", version 3), in and out.

AES-128-CTR under the first half of a key that scrypt or PBKDF2 derives from the password; Keccak-256 of the second half
and the ciphertext tells whether the password is right. Unknown fields are left alone: wallets add their own.
The password is taken as UTF-8 as it is typed: the format knows no Unicode form.
"""

import json
import re
from hashlib import pbkdf2_hmac
from typing import Any, Final, NoReturn

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from nacl._sodium import ffi, lib

from identity.keccak import keccak256
from identity.keys import SECRET_BYTES, InvalidKeyError, KeyType, PrivateKey
from identity.keystore import (
    DEFAULT_COST,
    PASSWORD_CHARACTERS_MAX,
    SCRYPT_MEMORY_BYTES_MAX,
    KeystoreError,
    KeystoreReason,
    ScryptCost,
    check_password,
    parse_json,
)
from identity.wallet.ethereum import compute_ethereum_address

SCRYPT_WORK_MAX: Final = 2**22  # n·r·p; geth's files have 2^21, which takes about a second
PBKDF2_ROUNDS_MAX: Final = 2**23  # web3's files have 2^18; this many take some seconds
SALT_BYTES: Final = 32
SALT_BYTES_MAX: Final = 256
IV_BYTES: Final = 16
ID_BYTES: Final = 16
_VERSION: Final = 3
_DERIVED_BYTES: Final = 32
_NOUN: Final = "web3 key file"
_HEX: Final = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2})*)")


def encrypt_v3(
    private_key: PrivateKey, password: str, salt: bytes, iv: bytes, identifier: bytes, cost: ScryptCost = DEFAULT_COST
) -> str:
    """The JSON text. Salt (32 bytes), IV and identifier (16 each) are fresh random bytes. Raises KeystoreError."""
    assert len(salt) == SALT_BYTES and len(iv) == IV_BYTES and len(identifier) == ID_BYTES
    assert private_key.key_type is KeyType.SECP256K1
    check_password(password)
    _check_scrypt(cost)
    derived = _run_scrypt(_encode_password(password), salt, cost)
    ciphertext = _apply_cipher(derived, iv, private_key.secret)
    document = {
        "version": _VERSION,
        "id": _format_uuid(identifier),
        "address": compute_ethereum_address(private_key.public_key.key).hex(),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": iv.hex()},
            "ciphertext": ciphertext.hex(),
            "kdf": "scrypt",
            "kdfparams": {"dklen": _DERIVED_BYTES, "n": cost.n, "r": cost.r, "p": cost.p, "salt": salt.hex()},
            "mac": _compute_mac(derived, ciphertext).hex(),
        },
    }
    return json.dumps(document, indent=2) + "\n"


def decrypt_v3(text: str, password: str) -> PrivateKey:
    """The secp256k1 key in a file; raises KeystoreError, before any costly work unless the form is sound."""
    document = parse_json(text, _NOUN)
    if type(document) is not dict or type(document.get("version")) is not int or document["version"] != _VERSION:
        _fail(KeystoreReason.MALFORMED, f"this is not a {_NOUN} of version {_VERSION}")
    crypto = _get(document, "crypto" if "crypto" in document else "Crypto", dict)  # geth wrote it large once
    if _get(crypto, "cipher", str) != "aes-128-ctr":
        _fail(KeystoreReason.MALFORMED, f"the {_NOUN} is encrypted otherwise than with aes-128-ctr")
    iv = _get_hex(_get(crypto, "cipherparams", dict), "iv", IV_BYTES, IV_BYTES)
    ciphertext = _get_hex(crypto, "ciphertext", 1, SECRET_BYTES)  # shorter by its leading zeros in some old files
    mac = _get_hex(crypto, "mac", 32, 32)
    address = _get_hex(document, "address", 20, 20) if document.get("address") is not None else None
    if len(password) > PASSWORD_CHARACTERS_MAX:
        _fail(KeystoreReason.WRONG_PASSWORD, "wrong password")
    derived = _derive(crypto, _encode_password(password))
    if _compute_mac(derived, ciphertext) != mac:
        _fail(KeystoreReason.WRONG_PASSWORD, "wrong password, or the file was changed (its MAC does not match)")
    secret = _apply_cipher(derived, iv, ciphertext).rjust(SECRET_BYTES, b"\x00")
    try:
        private_key = PrivateKey(KeyType.SECP256K1, secret)
    except InvalidKeyError:
        _fail(KeystoreReason.DAMAGED, f"the secret in the {_NOUN} is outside the range of its curve")
    if address is not None and compute_ethereum_address(private_key.public_key.key) != address:
        _fail(KeystoreReason.DAMAGED, f"the secret and the address in the {_NOUN} do not belong together")
    return private_key


def _derive(crypto: dict[str, Any], password: bytes) -> bytes:
    parameters = _get(crypto, "kdfparams", dict)
    salt = _get_hex(parameters, "salt", 0, SALT_BYTES_MAX)
    if _get(parameters, "dklen", int) != _DERIVED_BYTES:
        _fail(KeystoreReason.MALFORMED, f"the {_NOUN} derives a key of another size than {_DERIVED_BYTES} bytes")
    kdf = _get(crypto, "kdf", str)
    if kdf == "scrypt":
        cost = ScryptCost(_get(parameters, "n", int), _get(parameters, "r", int), _get(parameters, "p", int))
        _check_scrypt(cost)
        return _run_scrypt(password, salt, cost)
    if kdf != "pbkdf2" or _get(parameters, "prf", str) != "hmac-sha256":
        _fail(
            KeystoreReason.MALFORMED, f"the {_NOUN} derives its key otherwise than with scrypt or pbkdf2 (hmac-sha256)"
        )
    rounds = _get(parameters, "c", int)
    if not 1 <= rounds <= PBKDF2_ROUNDS_MAX:
        _fail(KeystoreReason.COST_OUT_OF_RANGE, f"the rounds of PBKDF2 are out of range: 1 to {PBKDF2_ROUNDS_MAX}")
    return pbkdf2_hmac("sha256", password, salt, rounds, _DERIVED_BYTES)


def _run_scrypt(password: bytes, salt: bytes, cost: ScryptCost) -> bytes:
    """By libsodium itself: OpenSSL and PyNaCl's own function refuse n from 2^(16·r), which the format's example has."""
    derived = ffi.new(f"uint8_t[{_DERIVED_BYTES}]")
    failure = lib.crypto_pwhash_scryptsalsa208sha256_ll(
        password, len(password), salt, len(salt), cost.n, cost.r, cost.p, derived, _DERIVED_BYTES
    )
    if failure:
        _fail(KeystoreReason.COST_OUT_OF_RANGE, "this machine has too little free memory to open the file")
    return bytes(ffi.buffer(derived))


def _check_scrypt(cost: ScryptCost) -> None:
    is_power_of_two = cost.n > 1 and cost.n & (cost.n - 1) == 0
    is_in_range = (
        is_power_of_two
        and min(cost.r, cost.p) >= 1
        and cost.memory_bytes <= SCRYPT_MEMORY_BYTES_MAX
        and cost.n * cost.r * cost.p <= SCRYPT_WORK_MAX
    )
    if not is_in_range:
        _fail(
            KeystoreReason.COST_OUT_OF_RANGE,
            "the cost of scrypt is out of range: n is a power of two, "
            f"128·n·r at most {SCRYPT_MEMORY_BYTES_MAX} bytes, n·r·p at most {SCRYPT_WORK_MAX}",
        )


def _apply_cipher(derived: bytes, iv: bytes, content: bytes) -> bytes:
    """Encrypts and decrypts: the cipher is its own inverse."""
    encryptor = Cipher(AES(derived[:16]), CTR(iv)).encryptor()
    return encryptor.update(content) + encryptor.finalize()


def _compute_mac(derived: bytes, ciphertext: bytes) -> bytes:
    return keccak256(derived[16:32] + ciphertext)


def _encode_password(password: str) -> bytes:
    try:
        return password.encode()
    except UnicodeEncodeError:
        _fail(KeystoreReason.WRONG_PASSWORD, "wrong password")


def _format_uuid(content: bytes) -> str:
    """RFC 9562 version 4: random but for six bits."""
    marked = bytearray(content)
    marked[6] = marked[6] & 0x0F | 0x40
    marked[8] = marked[8] & 0x3F | 0x80
    digits = marked.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _get(fields: dict[str, Any], name: str, kind: type) -> Any:
    value = fields.get(name)
    if type(value) is not kind:
        _fail(KeystoreReason.MALFORMED, f"the {_NOUN} lacks the field {name}, or it is of another type")
    return value


def _get_hex(fields: dict[str, Any], name: str, size_min: int, size_max: int) -> bytes:
    match = _HEX.fullmatch(_get(fields, name, str))
    if match is None or not size_min <= len(match[1]) // 2 <= size_max:
        _fail(KeystoreReason.MALFORMED, f"the {_NOUN}'s {name} is not hexadecimal digits of the right number")
    return bytes.fromhex(match[1])


def _fail(reason: KeystoreReason, message: str) -> NoReturn:
    # `from None`: what went wrong underneath could quote the text, and with it a secret
    raise KeystoreError(reason, message) from None
