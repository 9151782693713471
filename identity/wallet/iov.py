"""Messages signed with an account of this chain, for instance to prove to somebody that it is one's own.

Signed is "carlive/message/1" 0x00 ‖ message. What the chain accepts begins with "carlive/1" 0x00
(`identity/signing.py`), so no message can be a transaction or a vote. The signature as text is 0x and the digits of:
key type 1 byte ‖ public key ‖ 64 bytes. It holds for the address of that one key; an account whose keys were exchanged
must be asked for on the chain.
"""

import re
from typing import Final

from identity.address import InvalidAddressError, NetworkKind, compute_key_address, parse_address
from identity.keys import (
    SIGNATURE_BYTES,
    KeyType,
    PrivateKey,
    PublicKey,
    check_public_key,
    verify_signature,
)
from identity.wallet.errors import WalletError

_PREFIX: Final = b"carlive/message/1\x00"
_HEX: Final = re.compile(r"0x(?:[0-9a-f]{2})+")


def sign_iov_message(private_key: PrivateKey, message: bytes) -> str:
    """With a key of any type."""
    public_key = private_key.public_key
    return "0x" + (bytes([public_key.key_type]) + public_key.key + private_key.sign(_PREFIX + message)).hex()


def verify_iov_message(address_text: str, message: bytes, signature_text: str, network: NetworkKind) -> bool:
    """Whether the key behind the address signed the message; raises WalletError for what is no address or signature."""
    try:
        address = parse_address(address_text, network)
    except InvalidAddressError as error:
        raise WalletError(str(error)) from None
    public_key, signature = _parse_signature(signature_text)
    if compute_key_address(public_key) != address:
        return False
    return verify_signature(public_key, _PREFIX + message, signature)


def _parse_signature(text: str) -> tuple[PublicKey, bytes]:
    content = bytes.fromhex(text[2:]) if _HEX.fullmatch(text) else b""
    try:
        public_key = PublicKey(KeyType(content[0]), content[1:-SIGNATURE_BYTES])
        check_public_key(public_key)
    except (IndexError, ValueError):
        raise WalletError(
            "the signature is not 0x and the hexadecimal digits of key type, public key and 64 bytes"
        ) from None
    return public_key, content[-SIGNATURE_BYTES:]
