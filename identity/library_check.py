"""Known answers that the installed signature libraries must give, or this node would disagree with the others.

Releases of libsodium differ in which odd signatures they accept, and some builds of OpenSSL lack secp256k1. Whoever
makes one signature that only some nodes accept splits the chain, so a node asks for these answers before it starts.
"""

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm

from identity.keys import KeyType, PrivateKey, PublicKey, verify_signature


class UnsuitableLibraryError(Exception):
    """A signature library of this machine does not follow this chain's rules; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """A signature over MESSAGE and whether it counts."""

    name: str
    public_key: PublicKey
    signature: bytes
    is_accepted: bool


MESSAGE: Final = b"hello"

_SECRET: Final = bytes(31) + b"\x01"
_ED25519: Final = PublicKey(
    KeyType.ED25519, bytes.fromhex("7767a3242dc9b58bbc68488c1265cc6cc5f26c6f3c88a5d55e901b0734dca572")
)
_R: Final = bytes.fromhex("684c0d53ab44de46d526ab4d33b5947bab9d77af687fe0a09518a5f6df4a86eb")

ED25519_ANSWERS: Final = (
    KnownAnswer(
        "the ordinary signature",
        _ED25519,
        _R + bytes.fromhex("ca0b043d285ec6d5155e0837de6e6acf891544daf9ac6a9f1b42997a587d9603"),
        True,
    ),
    KnownAnswer(
        "S plus the group order",
        _ED25519,
        _R + bytes.fromhex("b7dff99942c1d82decfaffd9bc6849e4891544daf9ac6a9f1b42997a587d9613"),
        False,
    ),
    KnownAnswer(
        "R plus a point of order 8, right only when multiplied by the cofactor",
        _ED25519,
        bytes.fromhex(
            "dfd3145e691e9b998cb20bd6e1790ccfbd79f23e01dc20a7349e3aec7193acf6"
            "1e8792bc2deb903c9832d288b53603f08d23a5ff0fa9402ff18d25eea183860d"
        ),
        False,
    ),
    KnownAnswer(
        "R of small order",
        _ED25519,
        bytes([1]).ljust(32, b"\0") + bytes.fromhex("eb3ae651a6ecfe70d7f664fef363f1b3ee5bf630f86f96dd3ffa985446c53f09"),
        False,
    ),
    KnownAnswer(
        "a key of small order, S = 0",
        PublicKey(KeyType.ED25519, bytes([1]).ljust(32, b"\0")),
        bytes([1]).ljust(64, b"\0"),
        False,
    ),
)

_ECDSA_TYPES: Final = (KeyType.SECP256K1, KeyType.P256)


def check_signature_libraries() -> None:
    """Ask for every known answer, a few milliseconds; raises UnsuitableLibraryError."""
    for answer in ED25519_ANSWERS:
        if verify_signature(answer.public_key, MESSAGE, answer.signature) is not answer.is_accepted:
            raise UnsuitableLibraryError(
                f"the installed libsodium gives the wrong answer for {answer.name}; "
                "install the PyNaCl wheel pinned in constraints.txt, which brings its own libsodium"
            )
    for key_type in _ECDSA_TYPES:
        if not _is_ecdsa_working(key_type):
            raise UnsuitableLibraryError(
                f"the installed OpenSSL cannot make or check {key_type.name} signatures; "
                "install the cryptography wheel pinned in constraints.txt, which brings its own OpenSSL"
            )


def _is_ecdsa_working(key_type: KeyType) -> bool:
    private_key = PrivateKey(key_type, _SECRET)
    try:
        signature = private_key.sign(MESSAGE)
        return (
            signature == private_key.sign(MESSAGE)
            and verify_signature(private_key.public_key, MESSAGE, signature)
            and not verify_signature(private_key.public_key, MESSAGE + b"!", signature)
        )
    except UnsupportedAlgorithm:
        return False
