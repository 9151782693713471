"""A node's certificate: self-signed Ed25519 X.509 in which everything but key and signature is fixed.

So 96 bytes (key and signature) stand for the whole certificate, and anyone can rebuild its exact DER form: the registry
carries these 96 bytes, and TLS trusts the rebuilt certificates and nothing else. The certificate may not sign others.
"""

from functools import lru_cache
from typing import Annotated, Final, NewType

from annotated_types import Len

from identity.certificate import assemble_certificate, build_signed_part, is_self_signed
from identity.keys import SIGNATURE_BYTES, InvalidKeyError, KeyType, PrivateKey, PublicKey, check_public_key
from ledger.primitives import NodeKey, Signature

CompactCertificate = NewType("CompactCertificate", Annotated[bytes, Len(96, 96)])
"""Node key, 32 bytes ‖ self-signature, 64 bytes."""

NODE_KEY_BYTES: Final = 32
_CERTIFICATES_KEPT_MAX: Final = 4096  # rebuilt ones; each costs one signature check


class InvalidCertificateError(ValueError):
    """These bytes are not a node certificate; the message says why."""


_KEY_START: Final = assemble_certificate(NodeKey(b"\xaa" * NODE_KEY_BYTES), bytes(SIGNATURE_BYTES)).index(
    b"\xaa" * NODE_KEY_BYTES
)
_CERTIFICATE_BYTES: Final = len(assemble_certificate(NodeKey(bytes(NODE_KEY_BYTES)), bytes(SIGNATURE_BYTES)))


def build_certificate(secret: bytes) -> bytes:
    """The DER certificate of a node secret of 32 bytes; the same secret gives the same bytes everywhere."""
    private_key = PrivateKey(KeyType.ED25519, secret)
    key = NodeKey(private_key.public_key.key)
    return assemble_certificate(key, private_key.sign(build_signed_part(key)))


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
    if not is_self_signed(key, signature):
        raise InvalidCertificateError("the key did not sign this certificate")
    return assemble_certificate(key, signature)


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
