"""EOS: keys in both forms and signatures, on secp256k1 ("K1").

| what       | legacy form                                         | later form                                        |
|------------|-----------------------------------------------------|---------------------------------------------------|
| public key | EOS… : key ‖ RIPEMD-160(key)[:4]                    | PUB_K1_… : key ‖ RIPEMD-160(key ‖ "K1")[:4]       |
| secret     | WIF 5… : Base58Check of 0x80 ‖ secret               | PVT_K1_… : secret ‖ RIPEMD-160(secret ‖ "K1")[:4] |
| signature  | -                                                   | SIG_K1_… : 65 bytes ‖ RIPEMD-160(them ‖ "K1")[:4] |

Accounts of EOS have names that the chain gives; the key is what a wallet can know, so it stands for the address.

A message is signed by its SHA-256, as `eosjs-ecc` does: no prefix keeps it from being a transaction. What EOS signs as
a transaction ends in 32 zero bytes, so only printable text is signed here, and no message can be a transaction.
"""

from hashlib import sha256
from typing import Final

from identity.base58 import encode_base58
from identity.keys import (
    PUBLIC_KEY_BYTES,
    SECRET_BYTES,
    SIGNATURE_BYTES,
    InvalidKeyError,
    KeyType,
    PrivateKey,
    PublicKey,
    check_public_key,
)
from identity.wallet.base58check import (
    CHECKSUM_BYTES,
    decode_base58check,
    decode_wallet_base58,
    encode_base58check,
)
from identity.wallet.errors import WalletError
from identity.wallet.hashes import compute_ripemd160
from identity.wallet.recoverable import (
    EXTRA_ENTROPY_BYTES,
    RECOVERY_IDS,
    RecoverableSignature,
    recover_public_key,
    sign_digest,
)

LEGACY_PREFIX: Final = "EOS"
_PUBLIC_PREFIX: Final = "PUB_K1_"
_SECRET_PREFIX: Final = "PVT_K1_"  # noqa: S105  # how secrets begin, not a secret
_SIGNATURE_PREFIX: Final = "SIG_K1_"
_CURVE_SUFFIX: Final = b"K1"
_WIF_VERSION: Final = b"\x80"
_FIRST_BYTE_MIN: Final = 31  # of a signature: 27, and 4 because the key is compressed
_KEY_BYTES: Final = PUBLIC_KEY_BYTES[KeyType.SECP256K1]


def format_eos_public_key(public_key: bytes) -> str:
    """PUB_K1_…"""
    return _PUBLIC_PREFIX + _encode(public_key, _CURVE_SUFFIX)


def format_eos_legacy_public_key(public_key: bytes) -> str:
    """EOS…"""
    return LEGACY_PREFIX + _encode(public_key, b"")


def parse_eos_public_key(text: str) -> bytes:
    """33 bytes from either form; raises WalletError."""
    if text.startswith(_PUBLIC_PREFIX):
        key = _decode(text.removeprefix(_PUBLIC_PREFIX), _CURVE_SUFFIX, _KEY_BYTES, "public key")
    elif text.startswith(LEGACY_PREFIX):
        key = _decode(text.removeprefix(LEGACY_PREFIX), b"", _KEY_BYTES, "public key")
    else:
        raise WalletError("a public key of EOS begins with EOS or PUB_K1_ (keys on other curves are not supported)")
    try:
        check_public_key(PublicKey(KeyType.SECP256K1, key))
    except InvalidKeyError as error:
        raise WalletError(str(error)) from None
    return key


def format_eos_secret(private_key: PrivateKey) -> str:
    """PVT_K1_…"""
    return _SECRET_PREFIX + _encode(private_key.secret, _CURVE_SUFFIX)


def format_eos_wif(private_key: PrivateKey) -> str:
    """5…"""
    return encode_base58check(_WIF_VERSION + private_key.secret)


def parse_eos_secret(text: str) -> PrivateKey:
    """The secret in either form; raises WalletError."""
    if text.startswith(_SECRET_PREFIX):
        secret = _decode(text.removeprefix(_SECRET_PREFIX), _CURVE_SUFFIX, SECRET_BYTES, "secret")
    elif text.startswith("PVT_"):
        raise WalletError("this secret of EOS is on another curve: PVT_K1_ is supported")
    else:
        payload = decode_base58check(text)
        if len(payload) != 1 + SECRET_BYTES or payload[:1] != _WIF_VERSION:
            raise WalletError("a secret of EOS begins with PVT_K1_ or with 5 (WIF of 33 bytes, version 128)")
        secret = payload[1:]
    try:
        return PrivateKey(KeyType.SECP256K1, secret)
    except InvalidKeyError as error:
        raise WalletError(str(error)) from None


def sign_eos_message(private_key: PrivateKey, message: bytes) -> str:
    """SIG_K1_… over printable text; raises WalletError for other messages."""
    _check_is_text(message)
    digest = sha256(message).digest()
    attempt = 0
    signed = sign_digest(private_key, digest)
    while not _is_canonical(signed.signature):  # one in four is
        attempt += 1
        signed = sign_digest(private_key, digest, attempt.to_bytes(EXTRA_ENTROPY_BYTES, "big"))
    content = bytes([_FIRST_BYTE_MIN + signed.recovery_id]) + signed.signature
    return _SIGNATURE_PREFIX + _encode(content, _CURVE_SUFFIX)


def verify_eos_message(public_key_text: str, message: bytes, signature_text: str) -> bool:
    """Whether the key, in either form, signed the message; raises WalletError for what is no key or signature."""
    public_key = parse_eos_public_key(public_key_text)
    if not signature_text.startswith(_SIGNATURE_PREFIX):
        raise WalletError("a signature of EOS begins with SIG_K1_ (those on other curves are not supported)")
    encoded = signature_text.removeprefix(_SIGNATURE_PREFIX)
    content = _decode(encoded, _CURVE_SUFFIX, 1 + SIGNATURE_BYTES, "signature")
    recovery_id = content[0] - _FIRST_BYTE_MIN
    if recovery_id not in RECOVERY_IDS:
        raise WalletError("the signature's first byte is not 31 to 34")
    signed = RecoverableSignature(recovery_id, content[1:])
    return recover_public_key(signed, sha256(message).digest()) == public_key


def _check_is_text(message: bytes) -> None:
    try:
        text = message.decode()
    except UnicodeDecodeError:
        text = "\x00"
    if not all(character.isprintable() or character in "\n\r\t" for character in text):
        raise WalletError("only printable text is signed with a key of EOS: other bytes could be a transaction")


def _is_canonical(signature: bytes) -> bool:
    """EOS demands r and s in the shortest positive form of 32 bytes each."""
    return all(half[0] < 0x80 and not (half[0] == 0 and half[1] < 0x80) for half in (signature[:32], signature[32:]))


def _encode(payload: bytes, suffix: bytes) -> str:
    return encode_base58(payload + compute_ripemd160(payload + suffix)[:CHECKSUM_BYTES])


def _decode(text: str, suffix: bytes, size: int, noun: str) -> bytes:
    content = decode_wallet_base58(text)
    payload, checksum = content[:-CHECKSUM_BYTES], content[-CHECKSUM_BYTES:]
    if len(payload) != size or compute_ripemd160(payload + suffix)[:CHECKSUM_BYTES] != checksum:
        raise WalletError(f"the {noun} has a typing error or was cut off (its length or checksum does not match)")
    return payload
