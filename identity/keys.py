"""Account, consensus and node keys: three curves, one strict rule each for what counts as a key and a signature.

| key type  | number | public key              | signature                                   |
|-----------|--------|-------------------------|---------------------------------------------|
| ed25519   | 1      | 32 bytes, RFC 8032      | 64 bytes, RFC 8032                          |
| secp256k1 | 2      | 33 bytes, compressed    | 64 bytes r ‖ s, low s, ECDSA over SHA-256   |
| P-256     | 3      | 33 bytes, compressed    | 64 bytes r ‖ s, low s, ECDSA over SHA-256   |

A signature has exactly one accepted form, so nobody but the signer can make a second one for the same message.
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from functools import cached_property, lru_cache
from typing import Final

import nacl.bindings as sodium
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nacl.exceptions import BadSignatureError

SECRET_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_KEYS_PARSED_MAX: Final = 4096  # parsed ECDSA points kept; parsing one costs as much as a verification

_ED25519_KEYS_CHECKED_MAX: Final = 65_536  # checking a key's group costs half a verification

_ED25519_PRIME: Final = 2**255 - 19


@unique
class KeyType(IntEnum):
    """Wire number of a curve; never reused."""

    ED25519 = 1
    SECP256K1 = 2
    P256 = 3


PUBLIC_KEY_BYTES: Final = {KeyType.ED25519: 32, KeyType.SECP256K1: 33, KeyType.P256: 33}

_CURVES: Final[dict[KeyType, ec.EllipticCurve]] = {KeyType.SECP256K1: ec.SECP256K1(), KeyType.P256: ec.SECP256R1()}
_GROUP_ORDERS: Final = {
    KeyType.SECP256K1: 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141,
    KeyType.P256: 0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551,
}


class InvalidKeyError(ValueError):
    """These bytes are not an acceptable key; the message says why."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key as it stands in transactions and policies; `check_public_key` decides whether it is acceptable."""

    key_type: KeyType
    key: bytes


@dataclass(frozen=True)
class PrivateKey:
    """A secret of 32 bytes on a curve. Its repr never shows the secret; without slots, to keep what it derives."""

    key_type: KeyType
    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) != SECRET_BYTES:
            raise InvalidKeyError(f"a secret key has {SECRET_BYTES} bytes, not {len(self.secret)}")
        order = _GROUP_ORDERS.get(self.key_type)
        if order is not None and not 0 < int.from_bytes(self.secret, "big") < order:
            raise InvalidKeyError("the secret is outside the range of its curve")

    def __repr__(self) -> str:
        return f"PrivateKey({self.key_type.name}, <secret>)"

    @cached_property
    def public_key(self) -> PublicKey:
        """The matching public key."""
        if self.key_type is KeyType.ED25519:
            return PublicKey(self.key_type, self._ed25519[0])
        point = self._ecdsa.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        return PublicKey(self.key_type, point)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature; deterministic (RFC 8032, RFC 6979), so the same message gives the same bytes."""
        if self.key_type is KeyType.ED25519:
            return sodium.crypto_sign(message, self._ed25519[1])[:SIGNATURE_BYTES]
        der = self._ecdsa.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(der)
        return normalise_signature(self.key_type, r.to_bytes(32, "big") + s.to_bytes(32, "big"))

    @cached_property
    def _ed25519(self) -> tuple[bytes, bytes]:
        """The public key, and the secret followed by it: libsodium signs with that."""
        return sodium.crypto_sign_seed_keypair(self.secret)

    @cached_property
    def _ecdsa(self) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(int.from_bytes(self.secret, "big"), _CURVES[self.key_type])


def normalise_signature(key_type: KeyType, signature: bytes) -> bytes:
    """The accepted form of a good 64-byte signature from elsewhere: an ECDSA s in the upper half is mirrored."""
    order = _GROUP_ORDERS.get(key_type)
    if order is None:
        return signature
    s = int.from_bytes(signature[32:], "big")
    return signature[:32] + min(s, order - s).to_bytes(32, "big")


def check_public_key(public_key: PublicKey) -> None:
    """Refuse keys that are malformed, not canonical, off the curve or of small order.

    Raises InvalidKeyError with the reason. Runs where a key is registered (policy, genesis, node registry).
    """
    key_type, key = public_key.key_type, public_key.key
    if len(key) != PUBLIC_KEY_BYTES[key_type]:
        raise InvalidKeyError(f"a {key_type.name} key has {PUBLIC_KEY_BYTES[key_type]} bytes, not {len(key)}")
    if key_type is KeyType.ED25519:
        y = int.from_bytes(key, "little") & ((1 << 255) - 1)
        if y >= _ED25519_PRIME:
            raise InvalidKeyError("the key is not in its canonical form")
        # RFC 8032 5.1.7 leaves small orders open; libsodium refuses them, and points outside the prime-order group too
        if not _is_in_prime_order_group(key):
            raise InvalidKeyError("the key is not a point of the prime-order group (small order, or off the curve)")
        return
    try:
        _parse_point(public_key)
    except ValueError:
        raise InvalidKeyError("the key is not a compressed point on its curve") from None


def verify_signature(public_key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Whether this is the one accepted signature form of this key over this message. Never raises.

    Ed25519 without cofactor: S·B = R + h·A holds exactly, S is below the group order, A is canonical and of prime
    order, R is not of small order.
    """
    if len(signature) != SIGNATURE_BYTES or len(public_key.key) != PUBLIC_KEY_BYTES[public_key.key_type]:
        return False
    if public_key.key_type is KeyType.ED25519:
        try:
            sodium.crypto_sign_open(signature + message, public_key.key)
        except BadSignatureError:
            return False
        return _is_in_prime_order_group(public_key.key)
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    if not 0 < s <= _GROUP_ORDERS[public_key.key_type] // 2:
        return False
    try:
        _parse_point(public_key).verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=_ED25519_KEYS_CHECKED_MAX)
def _is_in_prime_order_group(key: bytes) -> bool:
    """A key with a torsion part could be judged differently by verifiers that use the cofactor: it signs nothing."""
    return sodium.crypto_core_ed25519_is_valid_point(key)


@lru_cache(maxsize=_KEYS_PARSED_MAX)
def _parse_point(public_key: PublicKey) -> ec.EllipticCurvePublicKey:
    if public_key.key[0] not in (2, 3):
        raise ValueError("not compressed")
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[public_key.key_type], public_key.key)
