import pytest

from identity.credentials.credential_json import check_json, parse_json, parse_json_object
from identity.credentials.reasons import CredentialReason
from identity.strict_json import JSON_DEPTH_MAX
from tests.identity.credentials.scene import refuses

DEEP = b"[" * (JSON_DEPTH_MAX + 1) + b"]" * (JSON_DEPTH_MAX + 1)


@pytest.mark.parametrize("parse", [parse_json, parse_json_object])
def test_what_is_not_strict_is_refused_with_a_reason(parse):
    with refuses(CredentialReason.MALFORMED, "not JSON"):
        parse(b"1.0")
    with refuses(CredentialReason.LIMIT_EXCEEDED, "deep"):
        parse(DEEP)


def test_an_object_is_asked_for():
    assert parse_json(b"[1]") == [1]
    assert parse_json_object(b'{"a": 1}') == {"a": 1}
    with refuses(CredentialReason.MALFORMED, "no object"):
        parse_json_object(b"[1]")


def test_values_are_checked_before_they_are_written():
    check_json({"a": [1, None]})
    with refuses(CredentialReason.MALFORMED, "float is no JSON"):
        check_json({"a": 1.5})
