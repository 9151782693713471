"""Records of behaviour that earn force: what a batch's tree holds of them, and what their owners keep.

    leaf        behaviour, 1 byte ‖ epoch, 4 bytes ‖ tags of user, provider, vehicle and phone ‖ commitment
    tag         SHA-256(domain ‖ kind, 1 byte ‖ epoch, 4 bytes ‖ id); all zeros where there is none
    commitment  SHA-256(domain ‖ salt, 32 bytes ‖ count, 4 bytes ‖ attester, 20 bytes)

What a vehicle vouches for stands on the chain with its count, and with a commitment to the data behind it:

    commitment  SHA-256(domain ‖ salt, 32 bytes ‖ SHA-256 of the data)

Numbers are big-endian, tags and commitments have 32 bytes. Only the tree's root stands on the chain. A tag is the same
in all leaves of a day and another on the next one: two leaves that are shown prove that somebody was counted twice, and
tell nothing of other days. Whoever knows an identity can compute its tags, so a leaf is for its owner's eyes; what was
counted hides behind the salt, which the owner has and shows, or not.
"""

import hmac
from dataclasses import dataclass
from enum import IntEnum, unique
from hashlib import sha256
from typing import Annotated, Final, NewType

from annotated_types import Len

from identity.did import DID_BYTES, Did

SALT_BYTES: Final = 32
MASTER_KEY_BYTES: Final = 32
LEAF_BYTES: Final = 1 + 4 + 5 * 32
_TAG_BYTES: Final = 32
_TAG_DOMAIN: Final = b"carlive mining tag\0"
_COMMITMENT_DOMAIN: Final = b"carlive mining commitment\0"
_DATA_DOMAIN: Final = b"carlive mining data\0"
_SALT_DOMAIN: Final = b"carlive mining salt\0"

RecordTag = NewType("RecordTag", Annotated[bytes, Len(_TAG_BYTES, _TAG_BYTES)])
"""Stands for somebody or something in the records of one day."""
RecordCommitment = NewType("RecordCommitment", Annotated[bytes, Len(32, 32)])
"""Salted hash of what a record counts."""

NO_TAG: Final = RecordTag(bytes(_TAG_BYTES))


class InvalidMiningLeafError(ValueError):
    """These bytes are no leaf of a batch."""


@unique
class TagKind(IntEnum):
    """What a tag stands for; never reused."""

    USER = 1
    PROVIDER = 2
    VEHICLE = 3
    """By the nullifier of its number."""
    PHONE = 4
    """By a hash of its hardware's id, which gateways compute alike."""


@dataclass(frozen=True, slots=True)
class MiningLeaf:
    """What a batch's tree holds of a record."""

    behaviour: int
    epoch: int
    user: RecordTag
    provider: RecordTag
    vehicle: RecordTag
    phone: RecordTag
    commitment: RecordCommitment


@dataclass(frozen=True, slots=True)
class RecordOpening:
    """What the owner shows with a leaf to prove what was counted."""

    count: int
    attester: Did
    """Who saw it."""
    salt: bytes


def compute_tag(kind: TagKind, epoch: int, named: bytes | None) -> RecordTag:
    """What stands for somebody or something on a day; NO_TAG for nobody."""
    if named is None:
        return NO_TAG
    return RecordTag(sha256(build_tag_prefix(kind, epoch) + named).digest())


def build_tag_prefix(kind: TagKind, epoch: int) -> bytes:
    """All that is hashed of a tag but the id."""
    return _TAG_DOMAIN + bytes([kind]) + epoch.to_bytes(4, "big")


def compute_record_commitment(opening: RecordOpening) -> RecordCommitment:
    """What commits to a count."""
    assert len(opening.salt) == SALT_BYTES, "a shorter salt could be guessed"
    return RecordCommitment(
        sha256(_COMMITMENT_DOMAIN + opening.salt + opening.count.to_bytes(4, "big") + opening.attester).digest()
    )


def compute_data_commitment(salt: bytes, data_hash: bytes) -> RecordCommitment:
    """What commits to the data behind a vehicle's record: without salt, few kilometres would be guessed."""
    assert len(salt) == SALT_BYTES, "a shorter salt could be guessed"
    return RecordCommitment(sha256(_DATA_DOMAIN + salt + data_hash).digest())


def derive_record_salt(master_key: bytes, place: bytes) -> bytes:
    """The salt of the record with these behaviour, epoch and tags: HMAC-SHA256, so that nobody keeps salts."""
    assert len(master_key) == MASTER_KEY_BYTES, "all of it"
    return hmac.digest(master_key, _SALT_DOMAIN + place, "sha256")


def encode_place(behaviour: int, epoch: int, tags: tuple[RecordTag, RecordTag, RecordTag, RecordTag]) -> bytes:
    """All of a leaf but its commitment: two records with the same are one counted twice."""
    return bytes([behaviour]) + epoch.to_bytes(4, "big") + b"".join(tags)


def encode_mining_leaf(leaf: MiningLeaf) -> bytes:
    """LEAF_BYTES bytes."""
    tags = (leaf.user, leaf.provider, leaf.vehicle, leaf.phone)
    return encode_place(leaf.behaviour, leaf.epoch, tags) + leaf.commitment


def decode_mining_leaf(encoded: bytes) -> MiningLeaf:
    """A leaf from its bytes; raises InvalidMiningLeafError."""
    if len(encoded) != LEAF_BYTES:
        raise InvalidMiningLeafError(f"a leaf has {LEAF_BYTES} bytes, not {len(encoded)}")
    parts = [encoded[start : start + _TAG_BYTES] for start in range(5, LEAF_BYTES, _TAG_BYTES)]
    user, provider, vehicle, phone = map(RecordTag, parts[:4])
    epoch = int.from_bytes(encoded[1:5], "big")
    return MiningLeaf(encoded[0], epoch, user, provider, vehicle, phone, RecordCommitment(parts[4]))


def is_same_act(left: MiningLeaf, right: MiningLeaf) -> bool:
    """Whether two records of a day, which are not the same leaf, earn twice for one thing.

    Either all is the same but what was counted; or one vehicle, or one phone, earns for two users.
    """
    if left.epoch != right.epoch:
        return False
    if left.user != right.user:
        is_same_vehicle = left.vehicle == right.vehicle != NO_TAG
        return is_same_vehicle or left.phone == right.phone != NO_TAG
    places = [(leaf.behaviour, leaf.provider, leaf.vehicle, leaf.phone) for leaf in (left, right)]
    return places[0] == places[1]


assert DID_BYTES == 20, "the layout of a commitment"
