"""Records of behaviour: leaves, tags and commitments."""

import hmac
from dataclasses import replace
from hashlib import sha256

import pytest

from identity.did import Did
from identity.mining_record import (
    LEAF_BYTES,
    NO_TAG,
    InvalidMiningLeafError,
    MiningLeaf,
    RecordCommitment,
    RecordOpening,
    TagKind,
    compute_data_commitment,
    compute_record_commitment,
    compute_tag,
    decode_mining_leaf,
    derive_record_salt,
    encode_mining_leaf,
    encode_place,
    is_same_act,
)

EPOCH = 20_800
ALICE, BOB, SHOP = Did(b"a" * 20), Did(b"b" * 20), Did(b"s" * 20)
CAR, PHONE = b"c" * 32, b"p" * 32


def tag(kind, named, epoch=EPOCH):
    return compute_tag(kind, epoch, named)


LEAF = MiningLeaf(
    behaviour=2,
    epoch=EPOCH,
    user=tag(TagKind.USER, ALICE),
    provider=tag(TagKind.PROVIDER, SHOP),
    vehicle=tag(TagKind.VEHICLE, CAR),
    phone=tag(TagKind.PHONE, PHONE),
    commitment=RecordCommitment(bytes(range(32))),
)


def test_the_bytes_of_a_leaf():
    encoded = encode_mining_leaf(LEAF)
    assert encoded == b"\2\0\0\x51\x40" + LEAF.user + LEAF.provider + LEAF.vehicle + LEAF.phone + bytes(range(32))
    assert decode_mining_leaf(encoded) == LEAF
    tags = (LEAF.user, LEAF.provider, LEAF.vehicle, LEAF.phone)
    assert encode_place(LEAF.behaviour, LEAF.epoch, tags) == encoded[:-32]


def test_a_commitment_to_data_is_salted_in_a_domain_of_its_own():
    salt, data_hash = bytes([5]) * 32, sha256(b'{"kilometres": 57}').digest()
    assert compute_data_commitment(salt, data_hash) == sha256(b"carlive mining data\0" + salt + data_hash).digest()
    with pytest.raises(AssertionError):
        compute_data_commitment(salt[:31], data_hash)


@pytest.mark.parametrize("size", [0, LEAF_BYTES - 1, LEAF_BYTES + 1])
def test_a_leaf_has_its_length(size):
    with pytest.raises(InvalidMiningLeafError):
        decode_mining_leaf(bytes(size))


def test_the_bytes_of_a_tag():
    assert tag(TagKind.USER, ALICE) == sha256(b"carlive mining tag\0\1\0\0\x51\x40" + ALICE).digest()
    assert tag(TagKind.PHONE, None) == NO_TAG == bytes(32)


def test_a_tag_tells_nothing_of_other_days_or_kinds():
    tags = {tag(kind, ALICE, epoch) for kind in TagKind for epoch in (EPOCH, EPOCH + 1)}
    assert len(tags) == 8


def test_the_bytes_of_a_commitment():
    opening = RecordOpening(count=3, attester=SHOP, salt=bytes(32))
    expected = sha256(b"carlive mining commitment\0" + bytes(32) + b"\0\0\0\3" + SHOP).digest()
    assert compute_record_commitment(opening) == expected


def test_a_salt_follows_from_the_key_and_the_place():
    assert derive_record_salt(b"k" * 32, b"place") == hmac.digest(b"k" * 32, b"carlive mining salt\0place", "sha256")


BOBS = tag(TagKind.USER, BOB)


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({"commitment": RecordCommitment(bytes(32))}, True),
        ({"behaviour": 3}, False),
        ({"provider": NO_TAG}, False),
        ({"vehicle": NO_TAG}, False),
        ({"phone": NO_TAG}, False),
        ({"epoch": EPOCH + 1}, False),
        ({"user": BOBS}, True),
        ({"user": BOBS, "behaviour": 3}, True),
        ({"user": BOBS, "vehicle": NO_TAG}, True),
        ({"user": BOBS, "phone": NO_TAG}, True),
        ({"user": BOBS, "phone": NO_TAG, "vehicle": NO_TAG}, False),
        ({"user": BOBS, "epoch": EPOCH + 1}, False),
    ],
)
def test_what_earns_twice_for_one_thing(changes, is_same):
    other = replace(LEAF, **changes)
    assert (is_same_act(LEAF, other), is_same_act(other, LEAF)) == (is_same, is_same)


def test_two_users_without_vehicle_and_phone_are_two():
    mine = replace(LEAF, vehicle=NO_TAG, phone=NO_TAG)
    assert not is_same_act(mine, replace(mine, user=BOBS))
