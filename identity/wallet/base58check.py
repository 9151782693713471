"""Base58Check: base58 with a checksum behind the payload."""

from typing import Final

from identity.base58 import InvalidBase58Error, decode_base58, encode_base58
from identity.wallet.errors import WalletError
from identity.wallet.hashes import compute_double_sha256

CHECKSUM_BYTES: Final = 4


def encode_base58check(payload: bytes) -> str:
    """With the first bytes of the double SHA-256 behind it."""
    return encode_base58(payload + compute_double_sha256(payload)[:CHECKSUM_BYTES])


def decode_base58check(text: str) -> bytes:
    """The payload without its checksum; raises WalletError."""
    content = decode_wallet_base58(text)
    payload, checksum = content[:-CHECKSUM_BYTES], content[-CHECKSUM_BYTES:]
    if len(content) <= CHECKSUM_BYTES or compute_double_sha256(payload)[:CHECKSUM_BYTES] != checksum:
        raise WalletError("the text has a typing error or was cut off (its checksum does not match)")
    return payload


def decode_wallet_base58(text: str) -> bytes:
    """Everything that a text holds, whatever its checksum is; raises WalletError."""
    try:
        return decode_base58(text)
    except InvalidBase58Error as error:
        raise WalletError(str(error)) from None
