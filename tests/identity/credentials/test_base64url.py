import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.credentials.base64url import decode_base64url, encode_base64url
from identity.credentials.reasons import CredentialReason
from tests.identity.credentials.scene import refuses


@given(st.binary(max_size=100))
def test_bytes_come_back(payload):
    assert decode_base64url(encode_base64url(payload)) == payload


def test_the_example_of_rfc_7515():
    assert encode_base64url(bytes([3, 236, 255, 224, 193])) == "A-z_4ME"


@pytest.mark.parametrize("text", ["A-z_4ME=", "A+z/", "A", "A-z_4", " AA", "AA\n", "AÄ", "AB", "A-z_4MF"])
def test_no_other_text_is_read(text):
    with refuses(CredentialReason.MALFORMED):
        decode_base64url(text)
