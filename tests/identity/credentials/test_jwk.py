import pytest

from identity.credentials.base64url import decode_base64url
from identity.credentials.jwk import format_jwk, parse_jwk
from identity.credentials.reasons import CredentialReason
from identity.keys import KeyType, PrivateKey
from tests.builders import make_key
from tests.identity.credentials.scene import RFC9901, refuses

OKP = format_jwk(make_key("jwk").public_key)
EC = format_jwk(make_key("jwk", KeyType.P256).public_key)


@pytest.mark.parametrize("key_type", [KeyType.ED25519, KeyType.P256])
def test_keys_come_back(key_type):
    for index in range(8):  # both signs of y, and coordinates that begin with zeros in some
        public_key = make_key(f"jwk {index}", key_type).public_key
        assert parse_jwk(format_jwk(public_key)) == public_key


@pytest.mark.parametrize("role", ["issuer", "holder"])
def test_the_keys_of_the_official_examples(role):
    secret = PrivateKey(KeyType.P256, decode_base64url(RFC9901[f"{role}_secret"]))
    assert format_jwk(secret.public_key) == RFC9901[f"{role}_key"]


def test_the_key_of_rfc_8037():
    secret = PrivateKey(KeyType.ED25519, decode_base64url("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"))
    expected = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    assert format_jwk(secret.public_key) == expected


def test_keys_that_credentials_do_not_know_are_refused():
    with refuses(CredentialReason.ALGORITHM_REFUSED, "SECP256K1"):
        format_jwk(make_key("jwk", KeyType.SECP256K1).public_key)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {**OKP, "d": "AA"},
        {**EC, "d": "AA"},
        {**EC, "kid": "a"},
        {**OKP, "crv": "X25519"},
        {**OKP, "kty": "EC"},
        {**EC, "crv": "secp256k1"},
        {**OKP, "x": 1},
        {**OKP, "x": OKP["x"][:-1]},
        {**OKP, "x": "A" * 43},
        {**EC, "x": EC["y"], "y": EC["x"]},
        {**EC, "x": EC["x"][:-3]},
        {**EC, "y": EC["x"] + "AAAA"},
        {"kty": "EC", "crv": "P-256", "x": EC["x"]},
        {"kty": "oct", "k": "AA"},
    ],
)
def test_what_is_no_public_key_is_refused(value):
    with refuses(CredentialReason.MALFORMED):
        parse_jwk(value)
