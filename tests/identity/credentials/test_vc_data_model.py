from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.address import NetworkKind
from identity.credentials.reasons import CredentialReason
from identity.credentials.sd_jwt import CLOCK_SKEW_S, Disclosable
from identity.credentials.status_list import StatusPurpose, StatusReference
from identity.credentials.vc_data_model import (
    REGISTERED_CLAIMS,
    TIME_S_MAX,
    Credential,
    check_credential,
    check_validity,
    credential_from_json,
    credential_to_json,
    format_time,
    parse_time,
    to_sd_jwt_claims,
)
from identity.did import compute_did, format_did
from tests.identity.credentials.scene import refuses

DEVNET = NetworkKind.DEVNET
ISSUER, HOLDER = compute_did(b"workshop"), compute_did(b"driver")
STATUS = StatusReference("https://workshop.example/status/1", 7, StatusPurpose.REVOCATION)
CREDENTIAL = Credential(
    credential_type="DriverCredential",
    issuer=ISSUER,
    holder=HOLDER,
    claims={"name": "Ada", "classes": ["AM", "B"]},
    valid_from_s=1_800_000_000,
    valid_until_s=1_900_000_000,
    status=STATUS,
    credential_id="https://workshop.example/credentials/1",
    contexts=("https://workshop.example/contexts/driver",),
)
DOCUMENT = {
    "@context": ["https://www.w3.org/ns/credentials/v2", "https://workshop.example/contexts/driver"],
    "id": "https://workshop.example/credentials/1",
    "type": ["VerifiableCredential", "DriverCredential"],
    "issuer": format_did(ISSUER, DEVNET),
    "validFrom": "2027-01-15T08:00:00Z",
    "validUntil": "2030-03-17T17:46:40Z",
    "credentialSubject": {"id": format_did(HOLDER, DEVNET), "name": "Ada", "classes": ["AM", "B"]},
    "credentialStatus": {
        "type": "BitstringStatusListEntry",
        "statusPurpose": "revocation",
        "statusListIndex": "7",
        "statusListCredential": "https://workshop.example/status/1",
    },
}
SMALLEST = Credential("A", ISSUER, HOLDER, {"a": 1}, 0)


def without(*names):
    return {name: value for name, value in DOCUMENT.items() if name not in names}


def test_the_shape_of_the_data_model():
    assert credential_to_json(CREDENTIAL, DEVNET) == DOCUMENT
    assert credential_from_json(DOCUMENT, DEVNET) == CREDENTIAL


def test_what_is_optional_may_be_missing():
    document = credential_to_json(SMALLEST, DEVNET)
    assert document.keys() == {"@context", "type", "issuer", "validFrom", "credentialSubject"}
    assert credential_from_json(document, DEVNET) == SMALLEST


@pytest.mark.parametrize("name", ["@context", "type", "issuer", "validFrom", "credentialSubject"])
def test_what_is_required_is_missed(name):
    with refuses(CredentialReason.MALFORMED, "missing"):
        credential_from_json(without(name), DEVNET)


@pytest.mark.parametrize(
    "change",
    [
        {"proof": {}},
        {"@context": "https://www.w3.org/ns/credentials/v2"},
        {"@context": []},
        {"@context": ["https://www.w3.org/2018/credentials/v1"]},
        {"@context": ["https://a.example", "https://www.w3.org/ns/credentials/v2"]},
        {"@context": ["https://www.w3.org/ns/credentials/v2", {}]},
        {"type": "VerifiableCredential"},
        {"type": ["VerifiableCredential"]},
        {"type": ["DriverCredential", "VerifiableCredential"]},
        {"type": ["VerifiableCredential", "A", "B"]},
        {"issuer": {"id": format_did(ISSUER, DEVNET)}},
        {"issuer": "https://workshop.example"},
        {"issuer": format_did(ISSUER, NetworkKind.TESTNET)},
        {"validFrom": 1_800_000_000},
        {"validUntil": None},
        {"credentialSubject": []},
        {"credentialSubject": {"name": "Ada"}},
        {"credentialSubject": {"id": "did:key:z6Mk", "name": "Ada"}},
        {"credentialSubject": {"id": format_did(HOLDER, DEVNET), "height": 1.8}},
        {"credentialStatus": []},
        {"id": 1},
    ],
    ids=range(21),
)
def test_another_shape_is_refused(change):
    with refuses(CredentialReason.MALFORMED):
        credential_from_json({**DOCUMENT, **change}, DEVNET)


@pytest.mark.parametrize("value", [None, [], "credential"])
def test_a_credential_is_an_object(value):
    with refuses(CredentialReason.MALFORMED):
        credential_from_json(value, DEVNET)


@pytest.mark.parametrize(
    "change",
    [
        {"valid_from_s": -1},
        {"valid_from_s": TIME_S_MAX + 1, "valid_until_s": None},
        {"valid_until_s": CREDENTIAL.valid_from_s},
        {"valid_until_s": TIME_S_MAX + 1},
        {"claims": {}},
        {"claims": {"id": "did:iov:devnet:2"}},
        {"credential_type": ""},
        {"credential_type": "VerifiableCredential"},
        {"contexts": ("https://a.example",) * 2},
        {"contexts": ("https://www.w3.org/ns/credentials/v2",)},
    ],
)
def test_values_that_make_no_sense_are_refused(change):
    with refuses(CredentialReason.BAD_CLAIM):
        check_credential(replace(CREDENTIAL, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"credential_type": "x" * 1_025},
        {"contexts": ("",)},
        {"contexts": tuple(f"https://{index}.example" for index in range(8))},
        {"credential_id": "x" * 1_025},
    ],
)
def test_sizes_have_limits(change):
    with refuses(CredentialReason.LIMIT_EXCEEDED):
        check_credential(replace(CREDENTIAL, **change))


def test_an_empty_id_is_refused():
    with refuses(CredentialReason.LIMIT_EXCEEDED):
        check_credential(replace(CREDENTIAL, credential_id=""))


def test_a_credential_holds_in_its_time():
    first, last = CREDENTIAL.valid_from_s - CLOCK_SKEW_S, CREDENTIAL.valid_until_s + CLOCK_SKEW_S - 1
    check_validity(CREDENTIAL, first)
    check_validity(CREDENTIAL, last)
    check_validity(replace(CREDENTIAL, valid_until_s=None), last + 1)
    with refuses(CredentialReason.NOT_YET_VALID):
        check_validity(CREDENTIAL, first - 1)
    with refuses(CredentialReason.EXPIRED):
        check_validity(CREDENTIAL, last + 1)


@given(st.integers(0, TIME_S_MAX))
def test_times_come_back(time_s):
    assert parse_time(format_time(time_s)) == time_s


@pytest.mark.parametrize(
    ("time_s", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_709_164_800, "2024-02-29T00:00:00Z"),
        (TIME_S_MAX, "9999-12-31T23:59:59Z"),
    ],
)
def test_times_are_written_as_xml_schema_does(time_s, text):
    assert format_time(time_s) == text


@pytest.mark.parametrize(
    "value",
    [
        0,
        None,
        "2027-01-15",
        "2027-01-15T08:00:00",
        "2027-01-15T08:00:00+00:00",
        "2027-01-15T08:00:00.0Z",
        "2027-01-15t08:00:00z",
        "2027-02-29T00:00:00Z",
        "2027-01-15T24:00:00Z",
        "2027-01-15T08:00:60Z",
        "0000-01-01T00:00:00Z",
        "２027-01-15T08:00:00Z",
        "2027-01-15T08:00:00Z\n",
    ],
)
def test_other_times_are_refused(value):
    with refuses(CredentialReason.MALFORMED):
        parse_time(value)


def test_a_time_before_1970_is_refused():
    with refuses(CredentialReason.BAD_CLAIM):
        credential_from_json({**DOCUMENT, "validFrom": "1969-12-31T23:59:59Z"}, DEVNET)


def test_the_claims_of_an_sd_jwt_vc():
    assert to_sd_jwt_claims(CREDENTIAL, "https://workshop.example/driver", DEVNET) == {
        "iss": format_did(ISSUER, DEVNET),
        "sub": format_did(HOLDER, DEVNET),
        "vct": "https://workshop.example/driver",
        "nbf": 1_800_000_000,
        "exp": 1_900_000_000,
        "jti": "https://workshop.example/credentials/1",
        "status": {"status_list": {"idx": 7, "uri": "https://workshop.example/status/1"}},
        "name": Disclosable("Ada"),
        "classes": Disclosable(["AM", "B"]),
    }
    assert to_sd_jwt_claims(SMALLEST, "a", DEVNET).keys() == {"iss", "sub", "vct", "nbf", "a"}


@pytest.mark.parametrize("name", sorted(REGISTERED_CLAIMS))
def test_a_claim_about_the_holder_is_not_called_like_a_registered_one(name):
    with refuses(CredentialReason.BAD_CLAIM):
        to_sd_jwt_claims(replace(CREDENTIAL, claims={name: 1}), "a", DEVNET)


def test_suspension_is_not_said_in_an_sd_jwt_vc():
    suspended = replace(CREDENTIAL, status=replace(STATUS, purpose=StatusPurpose.SUSPENSION))
    with refuses(CredentialReason.BAD_CLAIM):
        to_sd_jwt_claims(suspended, "a", DEVNET)
