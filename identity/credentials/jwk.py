"""Public keys as JSON Web Keys (RFC 7517; Ed25519 by RFC 8037, P-256 by RFC 7518), for the `cnf` claim (RFC 7800)."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from identity.credentials.base64url import decode_base64url, encode_base64url
from identity.credentials.reasons import CredentialError, CredentialReason
from identity.keys import InvalidKeyError, KeyType, PublicKey, check_public_key
from identity.strict_json import Json

_COORDINATE_BYTES: Final = 32
_UNCOMPRESSED: Final = b"\x04"


def format_jwk(public_key: PublicKey) -> dict[str, Json]:
    """The JSON Web Key of an Ed25519 or P-256 key; raises CredentialError for keys that credentials do not know."""
    if public_key.key_type is KeyType.ED25519:
        return {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(public_key.key)}
    if public_key.key_type is KeyType.P256:
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key.key)
        encoded = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        x, y = encoded[1 : 1 + _COORDINATE_BYTES], encoded[1 + _COORDINATE_BYTES :]
        return {"kty": "EC", "crv": "P-256", "x": encode_base64url(x), "y": encode_base64url(y)}
    raise CredentialError(CredentialReason.ALGORITHM_REFUSED, f"credentials know no {public_key.key_type.name} keys")


def parse_jwk(value: Json) -> PublicKey:
    """The key of exactly the members that `format_jwk` writes; raises CredentialError. A secret `d` is refused too."""
    match value:
        case {"kty": "OKP", "crv": "Ed25519", "x": str(x), **rest} if not rest:
            public_key = PublicKey(KeyType.ED25519, decode_base64url(x))
        case {"kty": "EC", "crv": "P-256", "x": str(x), "y": str(y), **rest} if not rest:
            public_key = PublicKey(KeyType.P256, _compress(decode_base64url(x), decode_base64url(y)))
        case _:
            raise CredentialError(
                CredentialReason.MALFORMED, "this is no JSON Web Key of a public Ed25519 or P-256 key"
            )
    try:
        check_public_key(public_key)
    except InvalidKeyError as error:
        raise CredentialError(CredentialReason.MALFORMED, str(error)) from None
    return public_key


def _compress(x: bytes, y: bytes) -> bytes:
    if len(x) != _COORDINATE_BYTES or len(y) != _COORDINATE_BYTES:
        raise CredentialError(CredentialReason.MALFORMED, f"coordinates of P-256 have {_COORDINATE_BYTES} bytes")
    try:
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _UNCOMPRESSED + x + y)
    except ValueError:
        raise CredentialError(CredentialReason.MALFORMED, "the key is not a point on its curve") from None
    return point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
