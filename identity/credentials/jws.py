"""JSON Web Signatures in compact form (RFC 7515), over JSON objects, with two algorithms and three header fields.

| algorithm | key     | signature                                                  |
|-----------|---------|------------------------------------------------------------|
| EdDSA     | Ed25519 | RFC 8037, verified as strictly as all of ours              |
| ES256     | P-256   | RFC 7518; ours have a low s, others' may have either       |

The key decides the algorithm and the header must agree, so `none`, HMAC with a public key and the like cannot be asked
for (RFC 8725 sections 2.1 and 3.1). Fields that bring keys or change the processing (`jwk`, `x5u`, `crit`, `b64`, …)
are refused like all others beside `alg`, `typ` and `kid`.
"""

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from identity.credentials.base64url import decode_base64url, encode_base64url
from identity.credentials.credential_json import check_json, parse_json_object
from identity.credentials.reasons import CredentialError, CredentialReason
from identity.keys import SIGNATURE_BYTES, KeyType, PrivateKey, PublicKey, verify_signature
from identity.strict_json import Json, format_json

JWS_CHARACTERS_MAX: Final = 65_536  # of which 256 digests take 16,000
HEADER_TEXT_CHARACTERS_MAX: Final = 256  # of one field; a key id has about 100

_ALGORITHMS: Final = {KeyType.ED25519: "EdDSA", KeyType.P256: "ES256"}
_HEADER_FIELDS: Final = ("alg", "typ", "kid")
_P256_ORDER: Final = ec.SECP256R1().group_order


@dataclass(frozen=True, slots=True)
class Jws:
    """A signed object taken apart; nothing of it is true before `check_jws`."""

    algorithm: str
    token_type: str
    key_id: str | None
    payload: dict[str, Json]
    signed: bytes
    """What the signature is over: the first two parts with the dot between."""
    signature: bytes


def sign_jws(payload: dict[str, Json], private_key: PrivateKey, token_type: str, key_id: str | None) -> str:
    """The compact form; deterministic, so the same object gives the same text. Raises CredentialError."""
    check_json(payload)
    header: dict[str, Json] = {"alg": _get_algorithm(private_key.public_key), "typ": token_type}
    if key_id is not None:
        header["kid"] = key_id
    signed = f"{encode_base64url(format_json(header))}.{encode_base64url(format_json(payload))}"
    text = f"{signed}.{encode_base64url(private_key.sign(signed.encode()))}"
    if len(text) > JWS_CHARACTERS_MAX:
        raise CredentialError(
            CredentialReason.LIMIT_EXCEEDED, f"a signed object has at most {JWS_CHARACTERS_MAX} characters"
        )
    return text


def parse_jws(text: str) -> Jws:
    """Form only; raises CredentialError."""
    if len(text) > JWS_CHARACTERS_MAX:
        raise CredentialError(
            CredentialReason.LIMIT_EXCEEDED, f"a signed object has at most {JWS_CHARACTERS_MAX} characters"
        )
    parts = text.split(".")
    if len(parts) != 3:
        raise CredentialError(
            CredentialReason.MALFORMED, "a signed object has three parts: header, payload and signature"
        )
    header = _parse_header(parts[0])
    return Jws(
        algorithm=header["alg"],
        token_type=header["typ"],
        key_id=header.get("kid"),
        payload=parse_json_object(decode_base64url(parts[1])),
        signed=f"{parts[0]}.{parts[1]}".encode(),
        signature=decode_base64url(parts[2]),
    )


def check_jws(jws: Jws, public_key: PublicKey, token_type: str) -> None:
    """That this key signed this object as this kind of token; raises CredentialError."""
    if jws.algorithm != _get_algorithm(public_key):
        raise CredentialError(CredentialReason.ALGORITHM_REFUSED, "the algorithm is none that this key signs with here")
    if jws.token_type != token_type:
        raise CredentialError(CredentialReason.WRONG_TYPE, f"this is no token of the type {token_type}")
    signature = jws.signature if public_key.key_type is KeyType.ED25519 else _lower_s(jws.signature)
    if not verify_signature(public_key, jws.signed, signature):
        raise CredentialError(CredentialReason.BAD_SIGNATURE, "the signature is not one of this key over this object")


def _get_algorithm(public_key: PublicKey) -> str:
    algorithm = _ALGORITHMS.get(public_key.key_type)
    if algorithm is None:
        raise CredentialError(
            CredentialReason.ALGORITHM_REFUSED, f"credentials know no {public_key.key_type.name} keys"
        )
    return algorithm


def _parse_header(part: str) -> dict[str, str]:
    fields = parse_json_object(decode_base64url(part))
    header = {name: value for name, value in fields.items() if name in _HEADER_FIELDS and type(value) is str}
    if len(header) != len(fields) or not {"alg", "typ"} <= header.keys():
        raise CredentialError(CredentialReason.MALFORMED, "the header has alg and typ, may have kid, and they are text")
    if any(len(value) > HEADER_TEXT_CHARACTERS_MAX for value in header.values()):
        raise CredentialError(
            CredentialReason.LIMIT_EXCEEDED, f"fields have at most {HEADER_TEXT_CHARACTERS_MAX} characters"
        )
    return header


def _lower_s(signature: bytes) -> bytes:
    """The same signature with the lower s: RFC 7518 allows both, our verification the lower only."""
    if len(signature) != SIGNATURE_BYTES:
        return signature
    s = int.from_bytes(signature[32:], "big")
    if s >= _P256_ORDER:
        return signature
    return signature[:32] + min(s, _P256_ORDER - s).to_bytes(32, "big")
