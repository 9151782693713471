"""Opaque positions in lists and subscriptions.

A cursor is valid on every node of the chain, so its check is no secret: it catches a cursor of another query or chain
and any typing error. Whoever computes the check by hand gains nothing but a position they could have reached anyway.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Any, Final

from ledger.codec import DecodeError, pack, unpack
from rpc.errors import bad_cursor

CURSOR_CHARACTERS_MAX: Final = 256
_CHECK_BYTES: Final = 8


def encode_cursor(genesis_hash: bytes, scope: str, position: list[int | bytes]) -> str:
    """The text of a position within one query; scope names the query and whatever it was narrowed to."""
    payload = pack(position)
    return urlsafe_b64encode(_compute_check(genesis_hash, scope, payload) + payload).rstrip(b"=").decode()


def decode_cursor(genesis_hash: bytes, scope: str, cursor: str, kinds: tuple[type, ...]) -> list[Any]:
    """The position, one value per kind; raises RpcError BAD_CURSOR for anything this chain and query did not give."""
    if not 0 < len(cursor) <= CURSOR_CHARACTERS_MAX or not cursor.isascii():
        raise bad_cursor()
    try:
        decoded = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except binascii.Error:
        raise bad_cursor() from None
    check, payload = decoded[:_CHECK_BYTES], decoded[_CHECK_BYTES:]
    if check != _compute_check(genesis_hash, scope, payload):
        raise bad_cursor()
    try:
        position = unpack(payload)
    except DecodeError:
        raise bad_cursor() from None
    if type(position) is not list or tuple(type(item) for item in position) != kinds:
        raise bad_cursor()
    if any(type(item) is int and not 0 <= item < 2**63 for item in position):
        raise bad_cursor()
    return position


def _compute_check(genesis_hash: bytes, scope: str, payload: bytes) -> bytes:
    return sha256(b"cursor" + genesis_hash + scope.encode() + b"\x00" + payload).digest()[:_CHECK_BYTES]
