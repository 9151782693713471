"""Matching without showing tags: nullifiers, commitments, and what a wallet or matcher says of a match.

    nullifier   = SHA-256(context)                          open: whoever knows the identity computes it
                  HMAC-SHA256(matcher's secret, context)    matched: the matcher alone does
    context     = "carlive ads nullifier" 0x00 ‖ signing domain ‖ campaign, 8 bytes ‖ person ‖ slot, 2 bytes
    commitment  = SHA-256("carlive ads tags" 0x00 ‖ salt, 32 bytes ‖ targeting hash ‖ tag …)
    tag         = length of the name, 1 byte ‖ name ‖ value     of every tag the expression asks for, in order of names
    value       = 00 | 01 (0 | 1) | 02 integer, 8 bytes | 03 text | 04 number of texts, 2 bytes, text …
    text        = length, 2 bytes ‖ UTF-8                       00: the holder has no such tag, or keeps it back

Both forms give one nullifier for a person, campaign and slot, however often they are computed. An Ed25519 signature of
the person would not do instead of the matcher's secret: who has the key can make many valid ones of one message.
"""

import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from identity.did import Did
from identity.signing import SigningDomain
from identity.targeting import (
    TAG_INTEGER_MAX,
    PackedExpression,
    TagValue,
    compute_targeting_hash,
    is_match,
    list_variables,
    unpack_expression,
)

MATCHER_SECRET_BYTES: Final = 32
TAGS_SALT_BYTES: Final = 32
SET_TEXTS_MAX: Final = 256
TEXT_BYTES_MAX: Final = 1_024
_NULLIFIER_DOMAIN: Final = b"carlive ads nullifier\0"
_TAGS_DOMAIN: Final = b"carlive ads tags\0"
_CAMPAIGN_BYTES: Final = 8
_SLOT_BYTES: Final = 2
_LENGTH_BYTES: Final = 2


class InvalidTagsError(ValueError):
    """These tags cannot be committed to; the message says why."""


@dataclass(frozen=True, slots=True)
class MatchStatement:
    """That somebody matches, without saying by what."""

    campaign: int
    slot: int
    nullifier: bytes
    tags_commitment: bytes
    """Whoever has tags and salt can show what it commits to; nobody else learns anything of it."""


def compute_open_nullifier(domain: SigningDomain, campaign: int, person: Did, slot: int) -> bytes:
    """The nullifier of a person who shows the identity."""
    return sha256(_encode_context(domain, campaign, person, slot)).digest()


def compute_matched_nullifier(secret: bytes, domain: SigningDomain, campaign: int, person: Did, slot: int) -> bytes:
    """The nullifier of a person whom the matcher alone knows behind a pseudonym."""
    assert len(secret) == MATCHER_SECRET_BYTES, "a matcher's secret has 32 random bytes"
    return hmac.digest(secret, _encode_context(domain, campaign, person, slot), "sha256")


def compute_tags_commitment(packed: PackedExpression, tags: Mapping[str, TagValue], salt: bytes) -> bytes:
    """What commits to the tags an expression asks for; raises InvalidTagsError, InvalidTargetingError."""
    if len(salt) != TAGS_SALT_BYTES:
        raise InvalidTagsError(f"a salt has {TAGS_SALT_BYTES} bytes")
    names = list_variables(unpack_expression(packed))
    encoded = [bytes([len(name)]) + name.encode() + _encode_value(tags.get(name)) for name in names]
    return sha256(_TAGS_DOMAIN + salt + compute_targeting_hash(packed) + b"".join(encoded)).digest()


def find_match(
    packed: PackedExpression,
    tags: Mapping[str, TagValue],
    consented: Collection[str],
    *,
    campaign: int,
    slot: int,
    nullifier: bytes,
    salt: bytes,
) -> MatchStatement | None:
    """Whether somebody is wanted, by tags that may be used for it alone; None: no, or it is not known.

    Raises InvalidTagsError, InvalidTargetingError. `salt` is 32 fresh random bytes, kept by whoever may have to show
    the tags later.
    """
    usable = {name: value for name, value in tags.items() if name in consented}
    if not is_match(unpack_expression(packed), usable):
        return None
    return MatchStatement(campaign, slot, nullifier, compute_tags_commitment(packed, usable, salt))


def _encode_context(domain: SigningDomain, campaign: int, person: Did, slot: int) -> bytes:
    number = campaign.to_bytes(_CAMPAIGN_BYTES, "big") + person + slot.to_bytes(_SLOT_BYTES, "big")
    return _NULLIFIER_DOMAIN + domain + number


def _encode_value(value: object) -> bytes:
    if value is None:
        return b"\x00"
    if isinstance(value, bool):
        return bytes([1, value])
    if isinstance(value, int) and -TAG_INTEGER_MAX <= value <= TAG_INTEGER_MAX:
        return b"\x02" + value.to_bytes(8, "big", signed=True)
    if isinstance(value, str):
        return b"\x03" + _encode_text(value)
    if isinstance(value, frozenset) and len(value) <= SET_TEXTS_MAX and all(isinstance(each, str) for each in value):
        texts = sorted(map(_encode_text, value))
        return b"\x04" + len(texts).to_bytes(_LENGTH_BYTES, "big") + b"".join(texts)
    raise InvalidTagsError("a tag is a yes or no, an integer of 64 bits, a text or a set of texts")


def _encode_text(text: str) -> bytes:
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise InvalidTagsError("a text is Unicode") from None
    if len(encoded) > TEXT_BYTES_MAX:
        raise InvalidTagsError(f"a text has at most {TEXT_BYTES_MAX} bytes")
    return len(encoded).to_bytes(_LENGTH_BYTES, "big") + encoded
