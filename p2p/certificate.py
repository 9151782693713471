"""A node's certificate: self-signed Ed25519 X.509 in which everything but key and signature is fixed.

So 96 bytes (key and signature) stand for the whole certificate, and anyone can rebuild its exact DER form: the registry
carries these 96 bytes, and TLS trusts the rebuilt certificates and nothing else. The certificate may not sign others.
"""

from functools import lru_cache
from typing import Annotated, Final, NewType

from annotated_types import Len

from identity.keys import (
    SIGNATURE_BYTES,
    InvalidKeyError,
    KeyType,
    PrivateKey,
    PublicKey,
    check_public_key,
    verify_signature,
)
from ledger.primitives import NodeKey, Signature

CompactCertificate = NewType("CompactCertificate", Annotated[bytes, Len(96, 96)])
"""Node key, 32 bytes ‖ self-signature, 64 bytes."""

NODE_KEY_BYTES: Final = 32
_CERTIFICATES_KEPT_MAX: Final = 4096  # rebuilt ones; each costs one signature check

_SEQUENCE, _SET, _INTEGER, _BOOLEAN, _BIT_STRING, _OCTET_STRING = 0x30, 0x31, 0x02, 0x01, 0x03, 0x04
_OBJECT, _TEXT, _UTC_TIME, _TIME, _VERSION_TAG, _EXTENSIONS_TAG = 0x06, 0x0C, 0x17, 0x18, 0xA0, 0xA3


class InvalidCertificateError(ValueError):
    """These bytes are not a node certificate; the message says why."""


def _der(tag: int, *parts: bytes) -> bytes:
    """One DER value; a certificate of ours stays below the 64 KiB that this length form can say."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    size_bytes = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size_bytes)]) + size_bytes + content


def _extension(object_id: str, *, is_critical: bool, value: bytes) -> bytes:
    critical = _der(_BOOLEAN, b"\xff") if is_critical else b""
    return _der(_SEQUENCE, _der(_OBJECT, bytes.fromhex(object_id)), critical, _der(_OCTET_STRING, value))


_ED25519: Final = _der(_SEQUENCE, _der(_OBJECT, bytes.fromhex("2b6570")))  # 1.3.101.112, RFC 8410
_COMMON_NAME: Final = _der(_OBJECT, bytes.fromhex("550403"))  # 2.5.4.3
_VALIDITY: Final = _der(  # admission ends by the registry, never by a date: 9999 means no end (RFC 5280 4.1.2.5)
    _SEQUENCE, _der(_UTC_TIME, b"200101000000Z"), _der(_TIME, b"99991231235959Z")
)
_EXTENSIONS: Final = _der(
    _EXTENSIONS_TAG,
    _der(
        _SEQUENCE,
        _extension("551d13", is_critical=True, value=_der(_SEQUENCE)),  # basic constraints: not an authority
        _extension("551d0f", is_critical=True, value=_der(_BIT_STRING, b"\x07\x80")),  # usage: digital signature alone
        _extension(  # extended usage: TLS server and TLS client
            "551d25",
            is_critical=False,
            value=_der(
                _SEQUENCE,
                _der(_OBJECT, bytes.fromhex("2b06010505070301")),
                _der(_OBJECT, bytes.fromhex("2b06010505070302")),
            ),
        ),
    ),
)
_VERSION_3: Final = _der(_VERSION_TAG, _der(_INTEGER, b"\x02"))
_SERIAL: Final = _der(_INTEGER, b"\x01")  # the name holds the key, so name and serial are unique together
_NO_UNUSED_BITS: Final = b"\x00"


def _build_signed_part(key: NodeKey) -> bytes:
    """The part of the certificate that the key signs (RFC 5280 tbsCertificate)."""
    name = _der(_SEQUENCE, _der(_SET, _der(_SEQUENCE, _COMMON_NAME, _der(_TEXT, key.hex().encode()))))
    public_key = _der(_SEQUENCE, _ED25519, _der(_BIT_STRING, _NO_UNUSED_BITS, key))
    return _der(_SEQUENCE, _VERSION_3, _SERIAL, _ED25519, name, _VALIDITY, name, public_key, _EXTENSIONS)


def _assemble(key: NodeKey, signature: bytes) -> bytes:
    return _der(_SEQUENCE, _build_signed_part(key), _ED25519, _der(_BIT_STRING, _NO_UNUSED_BITS, signature))


_KEY_START: Final = _assemble(NodeKey(b"\xaa" * NODE_KEY_BYTES), bytes(SIGNATURE_BYTES)).index(b"\xaa" * NODE_KEY_BYTES)
_CERTIFICATE_BYTES: Final = len(_assemble(NodeKey(bytes(NODE_KEY_BYTES)), bytes(SIGNATURE_BYTES)))


def build_certificate(secret: bytes) -> bytes:
    """The DER certificate of a node secret of 32 bytes; the same secret gives the same bytes everywhere."""
    private_key = PrivateKey(KeyType.ED25519, secret)
    key = NodeKey(private_key.public_key.key)
    return _assemble(key, private_key.sign(_build_signed_part(key)))


def compact_certificate(der: bytes) -> tuple[NodeKey, Signature]:
    """Key and signature of a DER certificate; raises InvalidCertificateError for any other certificate."""
    if len(der) != _CERTIFICATE_BYTES:
        raise InvalidCertificateError(f"a node certificate has {_CERTIFICATE_BYTES} bytes, not {len(der)}")
    key = NodeKey(der[_KEY_START : _KEY_START + NODE_KEY_BYTES])
    signature = Signature(der[-SIGNATURE_BYTES:])
    if expand_certificate(key, signature) != der:
        raise InvalidCertificateError("the certificate differs from a node certificate in more than key and signature")
    return key, signature


@lru_cache(maxsize=_CERTIFICATES_KEPT_MAX)
def expand_certificate(key: NodeKey, signature: Signature) -> bytes:
    """The DER certificate from key and signature; raises InvalidCertificateError if the key did not sign it."""
    public_key = PublicKey(KeyType.ED25519, key)
    try:
        check_public_key(public_key)
    except InvalidKeyError as error:
        raise InvalidCertificateError(str(error)) from None
    if not verify_signature(public_key, _build_signed_part(key), signature):
        raise InvalidCertificateError("the key did not sign this certificate")
    return _assemble(key, signature)


def join_compact(key: NodeKey, signature: Signature) -> CompactCertificate:
    """The 96 bytes of a certificate, as genesis, registry and configuration carry them."""
    return CompactCertificate(key + signature)


def split_compact(compact: bytes) -> tuple[NodeKey, Signature]:
    """Key and signature of 96 bytes; raises InvalidCertificateError if the key did not sign its certificate."""
    if len(compact) != NODE_KEY_BYTES + SIGNATURE_BYTES:
        raise InvalidCertificateError(f"a compact certificate has 96 bytes, not {len(compact)}")
    key, signature = NodeKey(compact[:NODE_KEY_BYTES]), Signature(compact[NODE_KEY_BYTES:])
    expand_certificate(key, signature)
    return key, signature
