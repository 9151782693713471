"""The fixed form of a node's certificate, without the transport."""

import pytest

from identity.certificate import assemble_certificate, build_signed_part, is_self_signed
from tests.builders import make_key

KEY = make_key("node")
PUBLIC = KEY.public_key.key
SIGNATURE = KEY.sign(build_signed_part(PUBLIC))


def test_a_key_signs_its_own_certificate():
    assert is_self_signed(PUBLIC, SIGNATURE)


@pytest.mark.parametrize(
    ("key", "signature"),
    [
        (make_key("other").public_key.key, SIGNATURE),
        (PUBLIC, make_key("other").sign(build_signed_part(PUBLIC))),
        (PUBLIC, KEY.sign(b"something else")),
        (PUBLIC, bytes(64)),
        (PUBLIC, SIGNATURE[:-1]),
        (PUBLIC[:-1], SIGNATURE),
        (bytes([1]).ljust(32, b"\0"), bytes([1]).ljust(64, b"\0")),
    ],
)
def test_nothing_else_is_its_signature(key, signature):
    assert not is_self_signed(key, signature)


def test_certificates_differ_in_key_and_signature_alone():
    """Name, public key and signature: the key stands in it thrice, twice as text."""
    other = make_key("other")
    first = assemble_certificate(PUBLIC, SIGNATURE)
    second = assemble_certificate(other.public_key.key, other.sign(build_signed_part(other.public_key.key)))
    assert len(first) == len(second)
    assert (first.count(PUBLIC), first.count(PUBLIC.hex().encode()), first.count(SIGNATURE)) == (1, 2, 1)
    blank, blank_signature = bytes(32), bytes(64)
    for der, key, signature in [(first, PUBLIC, SIGNATURE), (second, other.public_key.key, second[-64:])]:
        rebuilt = der.replace(signature, blank_signature).replace(key, blank)
        rebuilt = rebuilt.replace(key.hex().encode(), blank.hex().encode())
        assert rebuilt == assemble_certificate(blank, blank_signature)
