"""Ethereum's addresses (EIP-55) and message signatures (EIP-191, personal_sign). One form for all networks."""

import re
from typing import Final

from identity.keccak import keccak256
from identity.keys import SIGNATURE_BYTES, PrivateKey
from identity.wallet.errors import WalletError
from identity.wallet.recoverable import RecoverableSignature, expand_public_key, recover_public_key, sign_digest

ETHEREUM_ADDRESS_BYTES: Final = 20
_MAGIC: Final = b"\x19Ethereum Signed Message:\n"
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_SIGNATURE: Final = re.compile(r"0x[0-9a-fA-F]{130}")
_RECOVERY_OFFSET: Final = 27
_RECOVERY_IDS: Final = {0: 0, 1: 1, 27: 0, 28: 1}
"""The last byte of a signature; some hardware wallets write 0 and 1."""


def compute_ethereum_address(public_key: bytes) -> bytes:
    """20 bytes, from a compressed key."""
    return keccak256(expand_public_key(public_key)[1:])[-ETHEREUM_ADDRESS_BYTES:]


def format_ethereum_address(address: bytes) -> str:
    """With the checksum of EIP-55: a letter is large where the hash of the small text has a digit from 8."""
    digits = address.hex()
    hashed = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(other, 16) >= 8 else digit for digit, other in zip(digits, hashed, strict=False)
    )


def parse_ethereum_address(text: str) -> bytes:
    """Mixed case is checked; all small or all large has no checksum and is accepted. Raises WalletError."""
    if _ADDRESS.fullmatch(text) is None:
        raise WalletError("an address of Ethereum is 0x and 40 hexadecimal digits")
    digits = text[2:]
    address = bytes.fromhex(digits)
    if digits not in (digits.lower(), digits.upper()) and format_ethereum_address(address) != text:
        raise WalletError(
            "the address has a typing error: its large and small letters do not match the checksum of EIP-55"
        )
    return address


def sign_ethereum_message(private_key: PrivateKey, message: bytes) -> str:
    """0x, r ‖ s and 27 or 28."""
    signed = sign_digest(private_key, compute_personal_digest(message))
    return "0x" + signed.signature.hex() + f"{signed.recovery_id + _RECOVERY_OFFSET:02x}"


def verify_ethereum_message(address_text: str, message: bytes, signature_text: str) -> bool:
    """Whether the owner of the address signed the message; raises WalletError for what is no address or signature."""
    address = parse_ethereum_address(address_text)
    if _SIGNATURE.fullmatch(signature_text) is None:
        raise WalletError("a signature of Ethereum is 0x and 130 hexadecimal digits")
    content = bytes.fromhex(signature_text[2:])
    recovery_id = _RECOVERY_IDS.get(content[SIGNATURE_BYTES])
    if recovery_id is None:
        raise WalletError("the signature's last byte is not 27 or 28")
    signed = RecoverableSignature(recovery_id, content[:SIGNATURE_BYTES])
    public_key = recover_public_key(signed, compute_personal_digest(message))
    return public_key is not None and compute_ethereum_address(public_key) == address


def compute_personal_digest(message: bytes) -> bytes:
    """What is signed, 32 bytes: never the bytes of a transaction, which do not begin with 0x19."""
    return keccak256(_MAGIC + str(len(message)).encode() + message)
