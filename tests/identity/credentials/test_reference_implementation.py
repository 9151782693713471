"""The implementation by the authors of RFC 9901 reads what we issue and show, and we read what it does."""

import json

import pytest
from jwcrypto.jwk import JWK
from sd_jwt.common import SDObj
from sd_jwt.holder import SDJWTHolder
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier

from identity.credentials.base64url import decode_base64url, encode_base64url
from identity.credentials.jwk import format_jwk
from identity.credentials.sd_jwt import (
    Disclosable,
    bind_sd_jwt,
    issue_sd_jwt,
    list_disclosable_paths,
    present_sd_jwt,
    verify_sd_jwt,
)
from identity.keys import KeyType, PrivateKey
from tests.builders import make_key
from tests.identity.credentials.scene import DEMAND, NOW_S, TOKEN_TYPE, make_salts

ISSUER, HOLDER = make_key("issuer", KeyType.P256), make_key("holder", KeyType.P256)
OPEN = {"iss": "https://workshop.example", "exp": 4_000_000_000}
CNF = {"cnf": {"jwk": format_jwk(HOLDER.public_key)}}
DISCLOSED = {**OPEN, **CNF, "name": "Ada", "address": {"city": "Graz", "country": "AT"}, "classes": ["AM", "C"]}


def to_jwcrypto(key: PrivateKey) -> JWK:
    return JWK(**format_jwk(key.public_key), d=encode_base64url(key.secret))


@pytest.mark.parametrize("with_decoys", [False, True])
def test_we_read_what_it_issues(with_decoys):
    issuer = SDJWTIssuer(
        {
            **OPEN,
            SDObj("name"): "Ada",
            SDObj("address"): {SDObj("city"): "Graz", "country": "AT"},
            "classes": ["AM", SDObj("B"), SDObj("C")],
        },
        to_jwcrypto(ISSUER),
        JWK(**format_jwk(HOLDER.public_key)),
        add_decoy_claims=with_decoys,
        extra_header_parameters={"typ": TOKEN_TYPE},
    )
    text = issuer.sd_jwt_issuance
    assert len(list_disclosable_paths(text)) == 5
    chosen = [path for path in list_disclosable_paths(text) if path != ("classes", 1)]
    shown = bind_sd_jwt(present_sd_jwt(text, chosen), HOLDER, DEMAND.audience, DEMAND.nonce, NOW_S)
    assert verify_sd_jwt(shown, ISSUER.public_key, TOKEN_TYPE, NOW_S, DEMAND) == DISCLOSED


def issue() -> str:
    claims = {
        **OPEN,
        "name": Disclosable("Ada"),
        "address": Disclosable({"city": Disclosable("Graz"), "country": "AT"}),
        "classes": ["AM", Disclosable("B"), Disclosable("C")],
    }
    return issue_sd_jwt(claims, make_salts(5), ISSUER, HOLDER.public_key, TOKEN_TYPE)


def test_it_reads_what_we_issue_and_show():
    presentation = present_sd_jwt(issue(), [("name",), ("address", "city"), ("classes", 2)])
    shown = bind_sd_jwt(presentation, HOLDER, DEMAND.audience, DEMAND.nonce, NOW_S)
    verifier = SDJWTVerifier(
        shown, lambda issuer, header: JWK(**format_jwk(ISSUER.public_key)), DEMAND.audience, DEMAND.nonce
    )
    assert verifier.get_verified_payload() == DISCLOSED


def test_we_read_what_it_shows_of_ours():
    holder = SDJWTHolder(issue())
    holder.create_presentation(
        {"name": True, "address": {"city": True}, "classes": [False, False, True]},
        DEMAND.nonce,
        DEMAND.audience,
        to_jwcrypto(HOLDER),
    )
    shown = holder.sd_jwt_presentation
    now_s = read_issued_s(shown)
    assert verify_sd_jwt(shown, ISSUER.public_key, TOKEN_TYPE, now_s, DEMAND) == DISCLOSED


def read_issued_s(shown: str) -> int:
    """It takes the time from the clock."""
    return json.loads(decode_base64url(shown.rpartition("~")[2].split(".")[1]))["iat"]
