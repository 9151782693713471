"""The fixed form of a node's certificate: self-signed Ed25519 X.509, all of it constant but key and signature.

What the transport sends and what the registry admits are checked by this same code, so an entry of the registry always
rebuilds a certificate that TLS takes.
"""

from typing import Final

from identity.keys import KeyType, PublicKey, verify_signature

_SEQUENCE, _SET, _INTEGER, _BOOLEAN, _BIT_STRING, _OCTET_STRING = 0x30, 0x31, 0x02, 0x01, 0x03, 0x04
_OBJECT, _TEXT, _UTC_TIME, _TIME, _VERSION_TAG, _EXTENSIONS_TAG = 0x06, 0x0C, 0x17, 0x18, 0xA0, 0xA3


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


def build_signed_part(key: bytes) -> bytes:
    """The part of the certificate that the key signs (RFC 5280 tbsCertificate)."""
    name = _der(_SEQUENCE, _der(_SET, _der(_SEQUENCE, _COMMON_NAME, _der(_TEXT, key.hex().encode()))))
    public_key = _der(_SEQUENCE, _ED25519, _der(_BIT_STRING, _NO_UNUSED_BITS, key))
    return _der(_SEQUENCE, _VERSION_3, _SERIAL, _ED25519, name, _VALIDITY, name, public_key, _EXTENSIONS)


def assemble_certificate(key: bytes, signature: bytes) -> bytes:
    """The DER certificate of a key with this signature under it, right or not."""
    return _der(_SEQUENCE, build_signed_part(key), _ED25519, _der(_BIT_STRING, _NO_UNUSED_BITS, signature))


def is_self_signed(key: bytes, signature: bytes) -> bool:
    """Whether the key has signed its certificate; never for a key that is not acceptable."""
    return verify_signature(PublicKey(KeyType.ED25519, key), build_signed_part(key), signature)
