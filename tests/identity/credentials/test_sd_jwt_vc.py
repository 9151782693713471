import pytest

from identity.address import NetworkKind
from identity.credentials.jwk import format_jwk
from identity.credentials.reasons import CredentialReason
from identity.credentials.sd_jwt import Disclosable, bind_sd_jwt, issue_sd_jwt, present_sd_jwt
from identity.credentials.sd_jwt_vc import (
    VerifiedCredential,
    format_key_id,
    issue_credential,
    parse_key_id,
    verify_credential,
)
from identity.credentials.vc_data_model import to_sd_jwt_claims
from identity.did import format_did
from identity.multikey import format_multikey
from tests.builders import make_key
from tests.identity.credentials.scene import DEMAND, HOLDER_KEY, ISSUER_KEY, NOW_S, make_salts, refuses
from tests.identity.credentials.test_vc_data_model import CREDENTIAL, DEVNET, HOLDER, ISSUER, STATUS

KIND = "https://workshop.example/driver"
CLAIMS = to_sd_jwt_claims(CREDENTIAL, KIND, DEVNET)
KEY_ID = format_key_id(ISSUER, DEVNET, ISSUER_KEY.public_key)


def resolve(did, key_name):
    """The chain's answer: the workshop has one key."""
    is_known = (did, key_name) == (ISSUER, format_multikey(ISSUER_KEY.public_key))
    return ISSUER_KEY.public_key if is_known else None


def issue(claims=CLAIMS, salts=2):
    return issue_credential(claims, make_salts(salts), ISSUER, DEVNET, ISSUER_KEY, HOLDER_KEY.public_key)


def sign(claims, key_id=KEY_ID, token_type="dc+sd-jwt", key=ISSUER_KEY):
    """Without the rules of issuing."""
    return issue_sd_jwt(claims, [], key, HOLDER_KEY.public_key, token_type, key_id)


def verify(text, resolve_key=resolve, network=DEVNET):
    return verify_credential(text, network, resolve_key, NOW_S, None)


def test_a_verifier_sees_what_the_holder_chose():
    presentation = present_sd_jwt(issue(), [("classes",)])
    shown = bind_sd_jwt(presentation, HOLDER_KEY, DEMAND.audience, DEMAND.nonce, NOW_S)
    assert verify_credential(shown, DEVNET, resolve, NOW_S, DEMAND) == VerifiedCredential(
        issuer=ISSUER,
        holder=HOLDER,
        kind=KIND,
        status=STATUS,
        claims={
            "iss": format_did(ISSUER, DEVNET),
            "sub": format_did(HOLDER, DEVNET),
            "vct": KIND,
            "nbf": 1_800_000_000,
            "exp": 1_900_000_000,
            "jti": "https://workshop.example/credentials/1",
            "status": {"status_list": {"idx": 7, "uri": "https://workshop.example/status/1"}},
            "cnf": {"jwk": format_jwk(HOLDER_KEY.public_key)},
            "classes": ["AM", "B"],
        },
    )


def test_a_presentation_needs_the_proof_that_is_asked_for():
    with refuses(CredentialReason.NO_KEY_BINDING):
        verify_credential(issue(), DEVNET, resolve, NOW_S, DEMAND)


def test_a_holder_may_hide_who_he_is():
    text = issue({**CLAIMS, "sub": Disclosable(format_did(HOLDER, DEVNET))}, 3)
    assert verify(text).holder == HOLDER
    assert verify(present_sd_jwt(text, [])).holder is None


def test_key_ids_come_back():
    expected = f"{format_did(ISSUER, DEVNET)}#{format_multikey(ISSUER_KEY.public_key)}"
    assert expected == KEY_ID
    assert parse_key_id(KEY_ID, DEVNET) == (ISSUER, format_multikey(ISSUER_KEY.public_key))


@pytest.mark.parametrize(
    "text", ["", "#", format_did(ISSUER, DEVNET), format_did(ISSUER, DEVNET) + "#", "did:key:z6Mk#z6Mk", "#z6Mk"]
)
def test_what_is_no_key_id_is_refused(text):
    with refuses(CredentialReason.MALFORMED):
        parse_key_id(text, DEVNET)


def test_a_credential_of_another_network_is_refused():
    with refuses(CredentialReason.MALFORMED, "not of the testnet"):
        verify(issue(), network=NetworkKind.TESTNET)


def test_a_credential_names_the_issuers_key():
    with refuses(CredentialReason.UNKNOWN_KEY):
        verify(sign({"iss": CLAIMS["iss"], "vct": KIND}, key_id=None))


def test_a_key_that_the_issuer_does_not_have_is_refused():
    thief = make_key("thief")
    text = sign({"iss": CLAIMS["iss"], "vct": KIND}, format_key_id(ISSUER, DEVNET, thief.public_key), key=thief)
    with refuses(CredentialReason.UNKNOWN_KEY):
        verify(text)


def test_a_resolver_cannot_answer_with_another_key():
    with refuses(CredentialReason.UNKNOWN_KEY):
        verify(issue(), resolve_key=lambda did, name: make_key("thief").public_key)


def test_another_key_than_the_named_one_is_refused():
    with refuses(CredentialReason.BAD_SIGNATURE):
        verify(sign({"iss": CLAIMS["iss"], "vct": KIND}, key=make_key("thief")))


@pytest.mark.parametrize("issuer", [None, 1, "https://workshop.example", format_did(HOLDER, DEVNET)])
def test_the_issuer_is_whose_key_signed(issuer):
    with refuses(CredentialReason.BAD_CLAIM, "iss is"):
        verify(sign({"iss": issuer, "vct": KIND}))
    with refuses(CredentialReason.BAD_CLAIM, "iss is"):
        issue({"iss": issuer, "vct": KIND}, 0)


@pytest.mark.parametrize("kind", [None, 1, "", "x" * 513])
def test_a_credential_has_a_kind(kind):
    with refuses(CredentialReason.BAD_CLAIM, "vct is"):
        verify(sign({"iss": CLAIMS["iss"], "vct": kind}))
    with refuses(CredentialReason.BAD_CLAIM, "vct is"):
        issue({"iss": CLAIMS["iss"], "vct": kind}, 0)


@pytest.mark.parametrize("holder", [1, "https://driver.example", format_did(HOLDER, NetworkKind.TESTNET)])
def test_a_holder_is_an_identifier_of_this_network(holder):
    claims = {"iss": CLAIMS["iss"], "vct": KIND, "sub": holder}
    for refused in (claims, {**claims, "sub": Disclosable(holder)}):
        with refuses(CredentialReason.MALFORMED):
            issue(refused, 0)
    with refuses(CredentialReason.MALFORMED):
        verify(sign(claims))


def test_a_status_has_its_form():
    with refuses(CredentialReason.MALFORMED):
        verify(sign({"iss": CLAIMS["iss"], "vct": KIND, "status": {}}))


@pytest.mark.parametrize("token_type", ["vc+sd-jwt", "JWT", "kb+jwt"])
def test_a_credential_is_of_its_type(token_type):
    with refuses(CredentialReason.WRONG_TYPE):
        verify(sign({"iss": CLAIMS["iss"], "vct": KIND}, token_type=token_type))
