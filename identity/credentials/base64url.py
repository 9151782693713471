"""Base64url without padding (RFC 4648 section 5, RFC 7515 section 2): exactly one text for each byte string."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from identity.credentials.reasons import CredentialError, CredentialReason

_ALPHABET: Final = re.compile(r"[A-Za-z0-9_-]*")


def encode_base64url(payload: bytes) -> str:
    """The text of a byte string."""
    return urlsafe_b64encode(payload).rstrip(b"=").decode()


def decode_base64url(text: str) -> bytes:
    """The byte string of a text; raises CredentialError."""
    if _ALPHABET.fullmatch(text) is None or len(text) % 4 == 1:
        raise CredentialError(CredentialReason.MALFORMED, "this is not base64url without padding")
    payload = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    # The last character may carry bits that belong to no byte: set, they would make a second text of the same bytes
    if encode_base64url(payload) != text:
        raise CredentialError(CredentialReason.MALFORMED, "this base64url text ends with bits that belong to no byte")
    return payload
