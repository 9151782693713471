"""TLS contexts: version 1.3 alone, certificates on both sides, trusting exactly the allowed nodes' certificates.

Trust is a set of whole certificates, none of which may sign others, so a key that is not on the list is refused by the
handshake itself. There are no session tickets: a key taken off the list cannot come back by resuming.
"""

import secrets
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from p2p.certificate import build_certificate

NODES_ALLOWED_MAX: Final = 1024  # rebuilding trust for so many takes 0.4 s, and grows faster than their number
_PASSPHRASE_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class TlsContexts:
    """One pair of contexts per allow-list; a new list makes a new pair."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def build_contexts(secret: bytes, allowed: Iterable[bytes]) -> TlsContexts:
    """Contexts of the node with this 32-byte secret, trusting these DER certificates."""
    trusted = b"".join(allowed)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.num_tickets = 0
    for context in (server, client):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # a node is its key; names and addresses may change
        context.verify_mode = ssl.CERT_REQUIRED
        if trusted:
            context.load_verify_locations(cadata=trusted)
    _load_identity(secret, (server, client))
    return TlsContexts(server, client)


def _load_identity(secret: bytes, contexts: Iterable[ssl.SSLContext]) -> None:
    """Give the contexts our certificate and key. `ssl` reads keys from files alone: ours is encrypted there, once."""
    passphrase = secrets.token_hex(_PASSPHRASE_BYTES).encode()
    key = Ed25519PrivateKey.from_private_bytes(secret).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase)
    )
    certificate = ssl.DER_cert_to_PEM_cert(build_certificate(secret)).encode()
    with TemporaryDirectory(prefix="carlive-tls-") as directory:
        path = Path(directory, "identity.pem")
        path.write_bytes(key + certificate)
        for context in contexts:
            context.load_cert_chain(path, password=passphrase)
