import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from ledger.primitives import NodeKey, Signature
from p2p.certificate import (
    InvalidCertificateError,
    build_certificate,
    compact_certificate,
    expand_certificate,
    join_compact,
    split_compact,
)
from tests.p2p.nodes import make_secret

SECRET = make_secret(1)
secrets = st.binary(min_size=32, max_size=32)


@given(secrets)
def test_key_and_signature_rebuild_the_whole_certificate(secret: bytes) -> None:
    der = build_certificate(secret)
    key, signature = compact_certificate(der)
    assert key == Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert expand_certificate(key, signature) == der == build_certificate(secret)
    assert split_compact(join_compact(key, signature)) == (key, signature)


def test_it_is_the_certificate_it_means_to_be() -> None:
    der = build_certificate(SECRET)
    key, _ = compact_certificate(der)
    certificate = x509.load_der_x509_certificate(der)
    public_key = certificate.public_key()
    assert isinstance(public_key, Ed25519PublicKey)
    assert public_key.public_bytes(Encoding.Raw, PublicFormat.Raw) == key
    assert certificate.version is x509.Version.v3
    assert certificate.subject == certificate.issuer
    assert [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [key.hex()]
    assert certificate.not_valid_before_utc == datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    assert certificate.not_valid_after_utc.year == 9999
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(extended) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    certificate.verify_directly_issued_by(certificate)


def test_its_bytes_never_change() -> None:
    """The registry holds 96 bytes of it: another form would lock every node out."""
    der = build_certificate(bytes(range(32)))
    assert len(der) == 394
    assert der.hex().startswith("3082018630820138a003020102020101300506032b65703")
    key, signature = compact_certificate(der)
    assert key.hex() == "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
    assert signature.hex() == PINNED_SIGNATURE


PINNED_SIGNATURE = (
    "f31c70e7cee5015f75873145a41df78104ffc96c3d819b86e45e4388c0dac112"
    "b192e99ce5e0a6af22e5da2558745501cd4cf1f3fb25d378196a8e980e326601"
)


@given(st.integers(0, 393), st.integers(1, 255))
def test_a_change_of_any_byte_is_refused(position: int, change: int) -> None:
    der = bytearray(build_certificate(SECRET))
    der[position] ^= change
    with pytest.raises(InvalidCertificateError):
        compact_certificate(bytes(der))


@pytest.mark.parametrize("der", [b"", b"\x30", bytes(394), build_certificate(SECRET) + b"\x00"])
def test_other_bytes_are_no_certificate(der: bytes) -> None:
    with pytest.raises(InvalidCertificateError):
        compact_certificate(der)


def test_anothers_signature_is_refused() -> None:
    key, _ = compact_certificate(build_certificate(SECRET))
    _, other_signature = compact_certificate(build_certificate(make_secret(2)))
    with pytest.raises(InvalidCertificateError, match="did not sign"):
        expand_certificate(key, other_signature)


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32, b"short"])
def test_keys_that_are_no_keys_are_refused(key: bytes) -> None:
    with pytest.raises(InvalidCertificateError):
        expand_certificate(NodeKey(key), Signature(bytes(64)))


@pytest.mark.parametrize("size", [0, 95, 97])
def test_a_compact_form_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(InvalidCertificateError, match="96 bytes"):
        split_compact(bytes(size))
