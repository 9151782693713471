"""BIP-32: secp256k1 keys from a seed, along a path; public keys lead to the public keys of unhardened children.

An extended key as text is Base58Check of: version 4 bytes ‖ depth 1 ‖ parent's fingerprint 4 ‖ child number 4 ‖ chain
code 32 ‖ public key 33, or 0x00 ‖ secret 32.
"""

import hmac
from dataclasses import dataclass, field, replace
from typing import Final

import coincurve

from identity.keys import InvalidKeyError, KeyType, PrivateKey, PublicKey, check_public_key
from identity.wallet.base58check import decode_base58check, encode_base58check
from identity.wallet.derivation_path import HARDENED, PATH_DEPTH_MAX, DerivationPath
from identity.wallet.errors import WalletError
from identity.wallet.hashes import compute_hash160

SEED_BYTES_MIN: Final = 16
SEED_BYTES_MAX: Final = 64
FINGERPRINT_BYTES: Final = 4
_EXTENDED_KEY_BYTES: Final = 78
_GROUP_ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_PUBLIC_VERSION: Final = bytes.fromhex("0488b21e")
_PRIVATE_VERSION: Final = bytes.fromhex("0488ade4")
_FOREIGN_VERSIONS: Final = {
    bytes.fromhex("043587cf"): "tpub, of Bitcoin's test networks",
    bytes.fromhex("04358394"): "tprv, of Bitcoin's test networks",
    bytes.fromhex("04b24746"): "zpub, of SLIP-0132",
    bytes.fromhex("04b2430c"): "zprv, of SLIP-0132",
}
_MASTER_KEY: Final = b"Bitcoin seed"


@dataclass(frozen=True, slots=True)
class ExtendedKey:
    """A key, where it stands in the tree, and what its children are derived with."""

    depth: int
    parent_fingerprint: bytes
    child_number: int
    chain_code: bytes = field(repr=False)
    public_key: bytes
    """33 bytes, compressed."""
    private_key: PrivateKey | None
    """None when only the public half is known."""

    @property
    def fingerprint(self) -> bytes:
        """4 bytes by which the children name this key."""
        return compute_hash160(self.public_key)[:FINGERPRINT_BYTES]


def compute_master_key(seed: bytes) -> ExtendedKey:
    """The root of the tree; raises WalletError for a seed of another size or, one in 2^127, an unusable one."""
    if not SEED_BYTES_MIN <= len(seed) <= SEED_BYTES_MAX:
        raise WalletError(f"a seed has {SEED_BYTES_MIN} to {SEED_BYTES_MAX} bytes, not {len(seed)}")
    digest = hmac.digest(_MASTER_KEY, seed, "sha512")
    try:
        private_key = PrivateKey(KeyType.SECP256K1, digest[:32])
    except InvalidKeyError:
        raise WalletError("this seed gives no key (one in 2^127 does not): take another") from None
    return ExtendedKey(0, bytes(FINGERPRINT_BYTES), 0, digest[32:], private_key.public_key.key, private_key)


def derive_path(root: ExtendedKey, path: DerivationPath) -> ExtendedKey:
    """The key at the end of a path that begins at this one; raises WalletError."""
    for step in path:
        root = derive_child(root, step)
    return root


def derive_child(parent: ExtendedKey, number: int) -> ExtendedKey:
    """CKDpriv, or CKDpub when only the public half is known; raises WalletError."""
    if parent.depth == PATH_DEPTH_MAX:
        raise WalletError(f"the tree of keys is {PATH_DEPTH_MAX} steps deep")
    if number < HARDENED:
        message = parent.public_key
    elif parent.private_key is not None:
        message = b"\x00" + parent.private_key.secret
    else:
        raise WalletError("a hardened step needs the secret, and this is a public key")
    digest = hmac.digest(parent.chain_code, message + number.to_bytes(4, "big"), "sha512")
    private_key, public_key = _add(parent, digest[:32])
    return ExtendedKey(parent.depth + 1, parent.fingerprint, number, digest[32:], public_key, private_key)


def drop_secret(key: ExtendedKey) -> ExtendedKey:
    """The public half."""
    return replace(key, private_key=None)


def format_extended_key(key: ExtendedKey) -> str:
    """xprv… with a secret, xpub… without."""
    version = _PUBLIC_VERSION if key.private_key is None else _PRIVATE_VERSION
    material = key.public_key if key.private_key is None else b"\x00" + key.private_key.secret
    place = bytes([key.depth]) + key.parent_fingerprint + key.child_number.to_bytes(4, "big")
    return encode_base58check(version + place + key.chain_code + material)


def parse_extended_key(text: str) -> ExtendedKey:
    """An xprv or xpub; raises WalletError."""
    payload = decode_base58check(text)
    if len(payload) != _EXTENDED_KEY_BYTES:
        raise WalletError("this is not an extended key: those begin with xpub or xprv and have 111 characters")
    version, depth, fingerprint, number = payload[:4], payload[4], payload[5:9], int.from_bytes(payload[9:13], "big")
    chain_code, material = payload[13:45], payload[45:]
    if version in _FOREIGN_VERSIONS:
        raise WalletError(f"this is a {_FOREIGN_VERSIONS[version]}; here they begin with xpub or xprv")
    if version not in (_PUBLIC_VERSION, _PRIVATE_VERSION):
        raise WalletError("the extended key has an unknown version: it begins neither with xpub nor with xprv")
    if depth == 0 and (any(fingerprint) or number):
        raise WalletError("the extended key says that it is a root and names a parent or a child number")
    try:
        if version == _PRIVATE_VERSION:
            if material[0] != 0:
                raise WalletError("the extended private key holds no private key")
            private_key = PrivateKey(KeyType.SECP256K1, material[1:])
            return ExtendedKey(depth, fingerprint, number, chain_code, private_key.public_key.key, private_key)
        check_public_key(PublicKey(KeyType.SECP256K1, material))
    except InvalidKeyError as error:
        raise WalletError(f"the extended key is of no use: {error}") from None
    return ExtendedKey(depth, fingerprint, number, chain_code, material, None)


def _add(parent: ExtendedKey, tweak: bytes) -> tuple[PrivateKey | None, bytes]:
    """The parent's key plus the tweak, in the group."""
    number = int.from_bytes(tweak, "big")
    try:
        if number >= _GROUP_ORDER:
            raise ValueError("beyond the group")
        if parent.private_key is None:
            return None, coincurve.PublicKey(parent.public_key).add(tweak).format()
        secret = (int.from_bytes(parent.private_key.secret, "big") + number) % _GROUP_ORDER
        private_key = PrivateKey(KeyType.SECP256K1, secret.to_bytes(32, "big"))
    except ValueError:
        raise WalletError("this step of the path gives no key (one in 2^127 does not): take the next number") from None
    return private_key, private_key.public_key.key
