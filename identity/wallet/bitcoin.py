"""Bitcoin's addresses, secrets as text (WIF) and message signatures, with the numbers of its networks.

Addresses: P2PKH (1…, Base58Check) and P2WPKH (bc1q…, BIP-173). Messages: the double SHA-256 of a magic text and the
message, each after its length, signed recoverably; 65 bytes in base64, the first telling the kind of address (BIP-137):

| first byte | made for                                                                             |
|------------|--------------------------------------------------------------------------------------|
| 27 … 30    | P2PKH of an uncompressed key                                                         |
| 31 … 34    | P2PKH of a compressed key; some wallets (Electrum) write it for P2WPKH too: accepted |
| 35 … 38    | P2SH-P2WPKH                                                                          |
| 39 … 42    | P2WPKH                                                                               |
"""

import base64
import binascii
from dataclasses import dataclass
from enum import Enum
from typing import Final

from identity.address import BECH32_CONSTANT, InvalidAddressError, decode_bech32, encode_bech32, regroup_bits
from identity.keys import SECRET_BYTES, SIGNATURE_BYTES, InvalidKeyError, KeyType, PrivateKey
from identity.wallet.base58check import decode_base58check, encode_base58check
from identity.wallet.errors import WalletError
from identity.wallet.hashes import compute_double_sha256, compute_hash160
from identity.wallet.recoverable import (
    RecoverableSignature,
    expand_public_key,
    recover_public_key,
    sign_digest,
)

KEY_HASH_BYTES: Final = 20
_COMPRESSED_SUFFIX: Final = b"\x01"
_WITNESS_VERSION: Final = 0
_FIRST_BYTE_MIN: Final = 27
_FIRST_BYTE_MAX: Final = 42


class AddressKind(Enum):
    """What an address pays to."""

    P2PKH = "p2pkh"
    """The hash of a key."""
    P2SH = "p2sh"
    """The hash of a script; only that of P2WPKH within it can be signed for."""
    P2WPKH = "p2wpkh"
    """The hash of a key, as a witness."""


@dataclass(frozen=True, slots=True)
class BitcoinNetwork:
    """The numbers that tell a network of Bitcoin's kind from others."""

    name: str
    key_hash_version: int
    script_hash_version: int
    secret_version: int
    bech32_prefix: str
    message_magic: bytes


BITCOIN: Final = BitcoinNetwork("Bitcoin", 0, 5, 128, "bc", b"Bitcoin Signed Message:\n")
BITCOIN_TESTNET: Final = BitcoinNetwork("Bitcoin's test network", 111, 196, 239, "tb", b"Bitcoin Signed Message:\n")


@dataclass(frozen=True, slots=True)
class BitcoinAddress:
    """A parsed address."""

    kind: AddressKind
    payload: bytes
    """20 bytes: the hash of a key or script."""


def format_p2pkh(public_key: bytes, network: BitcoinNetwork) -> str:
    """The address of a key's hash; the key has 33 bytes, or 65 uncompressed."""
    return encode_base58check(bytes([network.key_hash_version]) + compute_hash160(public_key))


def format_p2wpkh(public_key: bytes, network: BitcoinNetwork) -> str:
    """The witness address of a compressed key."""
    program = regroup_bits(compute_hash160(public_key), from_bits=8, to_bits=5)
    return encode_bech32(network.bech32_prefix, [_WITNESS_VERSION, *program], BECH32_CONSTANT)


def parse_bitcoin_address(text: str, network: BitcoinNetwork) -> BitcoinAddress:
    """An address of this network; raises WalletError."""
    prefix = text.lower().rpartition("1")[0]
    if prefix and prefix.isalpha() and text.isascii() and len(prefix) <= len("bcrt"):
        return _parse_witness(text, network)
    payload = decode_base58check(text)
    if len(payload) != 1 + KEY_HASH_BYTES:
        raise WalletError(f"this is not an address of {network.name}: it holds {len(payload)} bytes, not 21")
    version, content = payload[0], payload[1:]
    if version == network.key_hash_version:
        return BitcoinAddress(AddressKind.P2PKH, content)
    if version == network.script_hash_version:
        return BitcoinAddress(AddressKind.P2SH, content)
    raise WalletError(f"this address is of another network (version {version}), not of {network.name}")


def format_wif(private_key: PrivateKey, network: BitcoinNetwork) -> str:
    """The secret of a compressed key, as wallets import it."""
    return encode_base58check(bytes([network.secret_version]) + private_key.secret + _COMPRESSED_SUFFIX)


def parse_wif(text: str, network: BitcoinNetwork) -> PrivateKey:
    """The secret of a compressed key; raises WalletError."""
    payload = decode_base58check(text)
    if len(payload) not in (1 + SECRET_BYTES, 2 + SECRET_BYTES):
        raise WalletError("this is not a secret in WIF: it does not hold 33 or 34 bytes")
    if payload[0] != network.secret_version:
        raise WalletError(f"this secret is of another network (version {payload[0]}), not of {network.name}")
    if len(payload) == 1 + SECRET_BYTES:
        raise WalletError(
            "this WIF is of an uncompressed key, whose addresses differ from those of its compressed form: "
            "move what it holds with the wallet that made it"
        )
    if payload[-1:] != _COMPRESSED_SUFFIX:
        raise WalletError("this is not a secret in WIF: its last byte is not 1")
    try:
        return PrivateKey(KeyType.SECP256K1, payload[1:-1])
    except InvalidKeyError as error:
        raise WalletError(str(error)) from None


def sign_bitcoin_message(private_key: PrivateKey, message: bytes, network: BitcoinNetwork, kind: AddressKind) -> str:
    """Base64 of a signature that verifies with the key's P2PKH or P2WPKH address."""
    assert kind is not AddressKind.P2SH
    signed = sign_digest(private_key, compute_message_digest(message, network))
    first = (31 if kind is AddressKind.P2PKH else 39) + signed.recovery_id
    return base64.b64encode(bytes([first]) + signed.signature).decode()


def verify_bitcoin_message(address_text: str, message: bytes, signature_text: str, network: BitcoinNetwork) -> bool:
    """Whether the owner of the address signed the message; raises WalletError for what is no address or signature."""
    address = parse_bitcoin_address(address_text, network)
    try:
        content = base64.b64decode(signature_text, validate=True)
    except (ValueError, binascii.Error):
        raise WalletError("the signature is not base64") from None
    if len(content) != 1 + SIGNATURE_BYTES or not _FIRST_BYTE_MIN <= content[0] <= _FIRST_BYTE_MAX:
        raise WalletError("the signature does not have 65 bytes of which the first is 27 to 42 (BIP-137)")
    group, recovery_id = divmod(content[0] - _FIRST_BYTE_MIN, 4)
    digest = compute_message_digest(message, network)
    public_key = recover_public_key(RecoverableSignature(recovery_id, content[1:]), digest)
    if public_key is None:
        return False
    match address.kind:
        case AddressKind.P2PKH:
            is_of_kind = group in (0, 1)
            expected = compute_hash160(expand_public_key(public_key) if group == 0 else public_key)
        case AddressKind.P2SH:
            is_of_kind = group in (1, 2)
            expected = compute_hash160(bytes([_WITNESS_VERSION, KEY_HASH_BYTES]) + compute_hash160(public_key))
        case AddressKind.P2WPKH:
            is_of_kind = group in (1, 3)
            expected = compute_hash160(public_key)
    return is_of_kind and expected == address.payload


def compute_message_digest(message: bytes, network: BitcoinNetwork) -> bytes:
    """What is signed, 32 bytes."""
    return compute_double_sha256(_with_length(network.message_magic) + _with_length(message))


def _parse_witness(text: str, network: BitcoinNetwork) -> BitcoinAddress:
    if text.lower().rpartition("1")[0] != network.bech32_prefix:
        raise WalletError(
            f"this address is of another network: those of {network.name} begin with {network.bech32_prefix}1"
        )
    if text.lower()[len(network.bech32_prefix) + 1 :][:1] not in ("", "q"):
        raise WalletError("addresses of later witness versions (taproot) sign otherwise (BIP-322): not supported")
    try:
        _, values = decode_bech32(text, BECH32_CONSTANT)
        program = bytes(regroup_bits(values[1:], from_bits=5, to_bits=8))
    except InvalidAddressError as error:
        raise WalletError(str(error)) from None
    if len(program) != KEY_HASH_BYTES:
        raise WalletError("the address pays to a script (P2WSH), not to a key: nobody can sign messages for it")
    return BitcoinAddress(AddressKind.P2WPKH, program)


def _with_length(content: bytes) -> bytes:
    """Bitcoin's compact size, then the content."""
    size = len(content)
    if size < 0xFD:
        return bytes([size]) + content
    if size <= 0xFFFF:
        return b"\xfd" + size.to_bytes(2, "little") + content
    return b"\xfe" + size.to_bytes(4, "little") + content
