"""Matching: nullifiers, commitments, statements."""

import hmac
from hashlib import sha256

import pytest

from identity.ads_matching import (
    InvalidTagsError,
    MatchStatement,
    compute_matched_nullifier,
    compute_open_nullifier,
    compute_tags_commitment,
    find_match,
)
from identity.did import Did
from identity.signing import SigningDomain
from identity.targeting import compute_targeting_hash, pack_expression, parse_expression

DOMAIN = SigningDomain(bytes([1]) * 32)
PERSON = Did(bytes([2]) * 20)
SECRET = bytes([3]) * 32
SALT = bytes([4]) * 32
PACKED = pack_expression(parse_expression('user.age > 17 and (place.city == "Foshan" or user.vip)'))
TAGS = {"user.age": 40, "place.city": "Foshan", "user.health": "bad"}
CONTEXT = b"carlive ads nullifier\0" + DOMAIN + (7).to_bytes(8, "big") + PERSON + (1).to_bytes(2, "big")


def _find(consented, tags=TAGS):
    nullifier = compute_open_nullifier(DOMAIN, 7, PERSON, 1)
    return find_match(PACKED, tags, consented, campaign=7, slot=1, nullifier=nullifier, salt=SALT)


def test_nullifiers_are_these():
    assert compute_open_nullifier(DOMAIN, 7, PERSON, 1) == sha256(CONTEXT).digest()
    assert compute_matched_nullifier(SECRET, DOMAIN, 7, PERSON, 1) == hmac.digest(SECRET, CONTEXT, "sha256")


def test_every_campaign_person_and_slot_has_another_nullifier():
    other = Did(bytes([9]) * 20)
    places = [(7, PERSON, 1), (7, PERSON, 0), (8, PERSON, 1), (7, other, 1)]
    assert len({compute_open_nullifier(DOMAIN, *place) for place in places}) == 4
    assert len({compute_matched_nullifier(SECRET, DOMAIN, *place) for place in places}) == 4
    assert compute_matched_nullifier(bytes(32), DOMAIN, 7, PERSON, 1) != compute_matched_nullifier(
        SECRET, DOMAIN, 7, PERSON, 1
    )


def test_the_commitment_is_over_what_was_asked_for_alone():
    city = b"\x0aplace.city\x03" + (6).to_bytes(2, "big") + b"Foshan"
    age = b"\x08user.age\x02" + (40).to_bytes(8, "big")
    encoded = city + age + b"\x08user.vip\x00"
    expected = sha256(b"carlive ads tags\0" + SALT + compute_targeting_hash(PACKED) + encoded).digest()
    assert compute_tags_commitment(PACKED, TAGS, SALT) == expected
    assert compute_tags_commitment(PACKED, TAGS | {"user.health": "good"}, SALT) == expected
    assert compute_tags_commitment(PACKED, TAGS, bytes(32)) != expected


def test_sets_are_committed_to_in_order():
    packed = pack_expression(parse_expression('user.likes has "a"'))
    tags = {"user.likes": frozenset({"ba", "c"})}
    encoded = b"\x0auser.likes\x04" + (2).to_bytes(2, "big") + b"\0\x01c" + b"\0\x02ba"
    expected = sha256(b"carlive ads tags\0" + SALT + compute_targeting_hash(packed) + encoded).digest()
    assert compute_tags_commitment(packed, tags, SALT) == expected


@pytest.mark.parametrize("value", [1.5, 2**63, "x" * 1_025, "\ud800", frozenset({1}), frozenset(map(str, range(257)))])
def test_what_is_no_tag_is_not_committed_to(value):
    with pytest.raises(InvalidTagsError):
        compute_tags_commitment(PACKED, {"user.age": value}, SALT)
    with pytest.raises(InvalidTagsError):
        compute_tags_commitment(PACKED, TAGS, SALT[1:])


def test_a_match_says_nothing_of_the_tags():
    nullifier = compute_open_nullifier(DOMAIN, 7, PERSON, 1)
    usable = {"user.age": 40, "place.city": "Foshan"}
    commitment = compute_tags_commitment(PACKED, usable, SALT)
    assert _find({"user.age", "place.city"}) == MatchStatement(7, 1, nullifier, commitment)


def test_tags_without_consent_are_not_used():
    assert _find({"user.age"}) is None
    assert _find({"user.age", "user.vip"}) is None
    assert _find({"user.age", "user.vip"}, TAGS | {"user.vip": True}) is not None
    assert _find(set()) is None
