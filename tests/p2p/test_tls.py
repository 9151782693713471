import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from p2p.certificate import build_certificate
from p2p.tls import TlsContexts, build_contexts
from tests.p2p.nodes import make_secret


def make_contexts(number: int, *allowed: int) -> TlsContexts:
    return build_contexts(make_secret(number), [build_certificate(make_secret(other)) for other in allowed])


class Handshake:
    """Client and server of one TLS session in memory."""

    def __init__(self, client: ssl.SSLContext, server: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        self._to_server, self._to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(self._to_client, self._to_server, session=session)
        self.server = server.wrap_bio(self._to_server, self._to_client, server_side=True)

    def perform(self) -> None:
        """Drive both sides; raises the SSLError of the side that refuses."""
        waiting = {self.client, self.server}
        for _ in range(6):
            for side in (self.client, self.server):
                try:
                    if side in waiting:
                        side.do_handshake()
                        waiting.discard(side)
                except ssl.SSLWantReadError:
                    continue
        assert not waiting

    def pass_to_client(self, data: bytes) -> bytes:
        self.server.write(data)
        return self.client.read(len(data))


def test_allowed_nodes_shake_hands_over_tls_1_3_and_see_each_others_certificate() -> None:
    handshake = Handshake(make_contexts(1, 2).client, make_contexts(2, 1).server)
    handshake.perform()
    assert handshake.client.version() == "TLSv1.3"
    assert handshake.server.getpeercert(binary_form=True) == build_certificate(make_secret(1))
    assert handshake.client.getpeercert(binary_form=True) == build_certificate(make_secret(2))


def test_one_list_serves_many_nodes() -> None:
    server = make_contexts(0, *range(1, 40))
    for number in (1, 20, 39):
        Handshake(make_contexts(number, 0).client, server.server).perform()


def test_the_server_refuses_an_unknown_key_in_the_handshake() -> None:
    handshake = Handshake(make_contexts(3, 2).client, make_contexts(2, 1).server)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake.perform()
    with pytest.raises(ssl.SSLError):
        handshake.server.read(1)


def test_the_client_refuses_an_unknown_key_in_the_handshake() -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        Handshake(make_contexts(1, 3).client, make_contexts(2, 1).server).perform()


def test_an_empty_list_allows_nobody() -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        Handshake(make_contexts(1, 2).client, make_contexts(2).server).perform()


def test_a_node_does_not_trust_itself() -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        Handshake(make_contexts(2, 2).client, make_contexts(2, 1).server).perform()


def test_a_client_without_a_certificate_is_refused() -> None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        Handshake(client, make_contexts(2, 1).server).perform()


def test_an_older_tls_is_refused() -> None:
    client = make_contexts(1, 2).client
    client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
        Handshake(client, make_contexts(2, 1).server).perform()


def make_foreign_context(
    tmp_path: Path, key: Ed25519PrivateKey, subject: str, issuer: str, issuer_key: Ed25519PrivateKey, *extra: bytes
) -> ssl.SSLContext:
    """A client that shows an X.509 certificate of its own making, and more certificates behind it."""
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(77)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2099, 1, 1, tzinfo=UTC))
        .sign(issuer_key, None)
    )
    path = tmp_path / "foreign.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
        + b"".join(ssl.DER_cert_to_PEM_cert(der).encode() for der in extra)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(path)
    return context


def get_name(key: Ed25519PublicKey) -> str:
    return key.public_bytes_raw().hex()


@pytest.mark.parametrize("is_chain_shown", [True, False])
def test_an_allowed_node_cannot_vouch_for_another_key(tmp_path: Path, is_chain_shown: bool) -> None:
    allowed, stranger = (Ed25519PrivateKey.from_private_bytes(make_secret(number)) for number in (1, 3))
    shown = [build_certificate(make_secret(1))] if is_chain_shown else []
    client = make_foreign_context(
        tmp_path, stranger, get_name(stranger.public_key()), get_name(allowed.public_key()), allowed, *shown
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        Handshake(client, make_contexts(2, 1).server).perform()


def test_another_certificate_of_an_allowed_key_is_refused(tmp_path: Path) -> None:
    allowed = Ed25519PrivateKey.from_private_bytes(make_secret(1))
    name = get_name(allowed.public_key())
    client = make_foreign_context(tmp_path, allowed, name, name, allowed)
    with pytest.raises(ssl.SSLCertVerificationError):
        Handshake(client, make_contexts(2, 1).server).perform()


def test_a_certificate_without_its_key_is_of_no_use(tmp_path: Path) -> None:
    """A thief of the public certificate cannot finish the handshake: OpenSSL refuses to even load it."""
    path = tmp_path / "stolen.pem"
    thief = Ed25519PrivateKey.from_private_bytes(make_secret(3))
    path.write_bytes(
        thief.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + ssl.DER_cert_to_PEM_cert(build_certificate(make_secret(1))).encode()
    )
    with pytest.raises(ssl.SSLError, match="KEY_VALUES_MISMATCH"):
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(path)


def test_no_session_can_be_resumed() -> None:
    client, server = make_contexts(1, 2).client, make_contexts(2, 1).server
    first = Handshake(client, server)
    first.perform()
    assert first.pass_to_client(b"x") == b"x"
    session = first.client.session
    assert session is not None
    assert not session.has_ticket
    second = Handshake(client, server, session)
    second.perform()
    assert not second.client.session_reused


def test_the_key_never_stands_readable_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[Path, bytes] = {}
    write_bytes = Path.write_bytes
    monkeypatch.setattr(
        Path, "write_bytes", lambda path, data: (written.update({path: data}), write_bytes(path, data))[1]
    )
    make_contexts(1, 2)
    ((path, content),) = written.items()
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in content
    assert b"BEGIN PRIVATE KEY" not in content
    assert not path.exists()
    assert not path.parent.exists()
