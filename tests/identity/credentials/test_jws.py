import hmac
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from identity.credentials.base64url import decode_base64url, encode_base64url
from identity.credentials.jws import JWS_CHARACTERS_MAX, check_jws, parse_jws, sign_jws
from identity.credentials.reasons import CredentialReason
from identity.keys import KeyType
from tests.builders import make_key
from tests.identity.credentials.scene import refuses, sign, to_text

KEYS = {"EdDSA": make_key("jws"), "ES256": make_key("jws", KeyType.P256)}
PAYLOAD = {"name": "Ada", "number": 1}


@pytest.mark.parametrize("algorithm", KEYS)
def test_what_is_signed_verifies(algorithm):
    key = KEYS[algorithm]
    text = sign_jws(PAYLOAD, key, "a+jwt", "key 1")
    jws = parse_jws(text)
    check_jws(jws, key.public_key, "a+jwt")
    assert (jws.algorithm, jws.token_type, jws.key_id, jws.payload) == (algorithm, "a+jwt", "key 1", PAYLOAD)
    assert sign_jws(PAYLOAD, key, "a+jwt", "key 1") == text


@pytest.mark.parametrize("algorithm", KEYS)
def test_every_character_counts(algorithm):
    key = KEYS[algorithm]
    text = sign_jws({"a": 1}, key, "a", None)
    for index, character in enumerate(text):
        changed = text[:index] + ("A" if character != "A" else "B") + text[index + 1 :]
        with pytest.raises(ValueError, check=lambda error: hasattr(error, "reason")):
            check_jws(parse_jws(changed), key.public_key, "a")


def test_another_key_is_refused():
    jws = parse_jws(sign_jws(PAYLOAD, KEYS["EdDSA"], "a", None))
    with refuses(CredentialReason.BAD_SIGNATURE):
        check_jws(jws, make_key("another").public_key, "a")


def test_another_type_of_token_is_refused():
    jws = parse_jws(sign_jws(PAYLOAD, KEYS["EdDSA"], "kb+jwt", None))
    with refuses(CredentialReason.WRONG_TYPE):
        check_jws(jws, KEYS["EdDSA"].public_key, "dc+sd-jwt")


@pytest.mark.parametrize(
    "claimed", ["none", "None", "HS256", "ES256", "EdDSA", "Ed25519", "ES256K", "RS256", "es256", ""]
)
@pytest.mark.parametrize("algorithm", KEYS)
def test_the_key_decides_the_algorithm(algorithm, claimed):
    if claimed != algorithm:
        jws = parse_jws(sign({"alg": claimed, "typ": "a"}, PAYLOAD, KEYS[algorithm]))
        with refuses(CredentialReason.ALGORITHM_REFUSED):
            check_jws(jws, KEYS[algorithm].public_key, "a")


def test_a_public_key_is_no_shared_secret():
    """The classic confusion: HS256 with the public key as the secret."""
    public_key = KEYS["ES256"].public_key
    signed = f"{to_text({'alg': 'HS256', 'typ': 'a'})}.{to_text(PAYLOAD)}"
    text = f"{signed}.{encode_base64url(hmac.digest(public_key.key, signed.encode(), 'sha256'))}"
    with refuses(CredentialReason.ALGORITHM_REFUSED):
        check_jws(parse_jws(text), public_key, "a")


def test_no_signature_is_none():
    with refuses(CredentialReason.BAD_SIGNATURE):
        check_jws(
            parse_jws(f"{to_text({'alg': 'EdDSA', 'typ': 'a'})}.{to_text(PAYLOAD)}."), KEYS["EdDSA"].public_key, "a"
        )


def test_keys_that_credentials_do_not_know_are_refused():
    key = make_key("jws", KeyType.SECP256K1)
    with refuses(CredentialReason.ALGORITHM_REFUSED, "SECP256K1"):
        sign_jws(PAYLOAD, key, "a", None)
    with refuses(CredentialReason.ALGORITHM_REFUSED, "SECP256K1"):
        check_jws(parse_jws(sign({"alg": "ES256K", "typ": "a"}, PAYLOAD, key)), key.public_key, "a")


@pytest.mark.parametrize("s", [0, 1, ec.SECP256R1().group_order, 2**256 - 1])
def test_a_value_of_s_that_is_none_is_refused(s):
    text = sign_jws(PAYLOAD, KEYS["ES256"], "a", None)
    head, _, signature = text.rpartition(".")
    changed = decode_base64url(signature)[:32] + s.to_bytes(32, "big")
    with refuses(CredentialReason.BAD_SIGNATURE):
        check_jws(parse_jws(f"{head}.{encode_base64url(changed)}"), KEYS["ES256"].public_key, "a")


def test_the_higher_s_of_other_signers_is_accepted():
    head, _, signature = sign_jws(PAYLOAD, KEYS["ES256"], "a", None).rpartition(".")
    r, s = decode_base64url(signature)[:32], int.from_bytes(decode_base64url(signature)[32:], "big")
    higher = encode_base64url(r + (ec.SECP256R1().group_order - s).to_bytes(32, "big"))
    check_jws(parse_jws(f"{head}.{higher}"), KEYS["ES256"].public_key, "a")


@pytest.mark.parametrize(
    "header",
    [
        [],
        {},
        {"alg": "EdDSA"},
        {"typ": "a"},
        {"alg": 1, "typ": "a"},
        {"alg": "EdDSA", "typ": None},
        {"alg": "EdDSA", "typ": "a", "kid": 1},
        {"alg": "EdDSA", "typ": "a", "crit": ["b64"], "b64": False},
        {"alg": "EdDSA", "typ": "a", "jwk": {}},
        {"alg": "EdDSA", "typ": "a", "jku": "https://a.example"},
        {"alg": "EdDSA", "typ": "a", "x5c": []},
    ],
)
def test_a_header_has_what_we_understand_and_nothing_else(header):
    with refuses(CredentialReason.MALFORMED):
        parse_jws(sign(header, PAYLOAD))


def test_a_name_that_stands_twice_is_refused():
    for header, payload in [
        ('{"alg":"none","typ":"a","alg":"EdDSA"}', "{}"),
        ('{"alg":"EdDSA","typ":"a"}', '{"a":1,"a":2}'),
    ]:
        signed = f"{encode_base64url(header.encode())}.{encode_base64url(payload.encode())}"
        with refuses(CredentialReason.MALFORMED):
            parse_jws(f"{signed}.{encode_base64url(KEYS['EdDSA'].sign(signed.encode()))}")


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "..", "é.e30.", "e30.e30.=="])
def test_what_has_another_form_is_refused(text):
    with refuses(CredentialReason.MALFORMED):
        parse_jws(text)


def test_a_payload_is_an_object():
    with refuses(CredentialReason.MALFORMED, "no object"):
        parse_jws(sign({"alg": "EdDSA", "typ": "a"}, [1]))


def test_sizes_have_limits():
    with refuses(CredentialReason.LIMIT_EXCEEDED):
        sign_jws({"a": "x" * JWS_CHARACTERS_MAX}, KEYS["EdDSA"], "a", None)
    with refuses(CredentialReason.LIMIT_EXCEEDED):
        parse_jws("x" * (JWS_CHARACTERS_MAX + 1))
    with refuses(CredentialReason.LIMIT_EXCEEDED):
        parse_jws(sign({"alg": "EdDSA", "typ": "a", "kid": "x" * 257}, PAYLOAD))


def test_what_is_no_json_is_not_signed():
    with refuses(CredentialReason.MALFORMED):
        sign_jws({"a": json}, KEYS["EdDSA"], "a", None)
