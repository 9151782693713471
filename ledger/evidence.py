"""Proof that a super node signed two different messages of one kind for one step, which no honest one does.

Kept are the signed payloads themselves, so a proof speaks for itself: whoever knows the chain's domain can check it.
Two peers that saw the same offence may hold different proofs of it; what is punished is therefore the *offence*.

| kind      | payload, packed                                     |
|-----------|-----------------------------------------------------|
| PROPOSAL  | [height, round, valid round or -1, block hash]      |
| PREVOTE   | [height, round, block hash or nil]                  |
| PRECOMMIT | [height, round, block hash or nil]                  |
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from hashlib import sha256
from typing import Annotated, Final

from annotated_types import Len

from identity.keys import KeyType, PublicKey, verify_signature
from identity.signing import SigningDomain, SigningPurpose, signing_bytes
from ledger.codec import DecodeError, decode, encode, pack, unpack
from ledger.primitives import HASH_BYTES, JSON_INTEGER_MAX, ConsensusKey, Height, Round, Signature

PAYLOAD_BYTES_MAX: Final = 64
ROUND_MAX: Final = 2**31 - 1


@unique
class OffenceKind(IntEnum):
    """What was signed twice; never reused."""

    PROPOSAL = 1
    PREVOTE = 2
    PRECOMMIT = 3


_PURPOSES: Final = {
    OffenceKind.PROPOSAL: SigningPurpose.PROPOSAL,
    OffenceKind.PREVOTE: SigningPurpose.PREVOTE,
    OffenceKind.PRECOMMIT: SigningPurpose.PRECOMMIT,
}
_ITEMS: Final = {OffenceKind.PROPOSAL: 4, OffenceKind.PREVOTE: 3, OffenceKind.PRECOMMIT: 3}

Payload = Annotated[bytes, Len(1, PAYLOAD_BYTES_MAX)]


class InvalidEvidenceError(Exception):
    """This proves nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two signed payloads of one step, the smaller first."""

    kind: OffenceKind
    key: ConsensusKey
    """Who signed both."""
    first: Payload
    first_signature: Signature
    second: Payload
    second_signature: Signature


@dataclass(frozen=True, slots=True)
class Offence:
    """What a proof proves: the step for which this key signed twice."""

    kind: OffenceKind
    key: ConsensusKey
    height: Height
    round: Round

    @property
    def id(self) -> bytes:
        """SHA-256 of the packed fields: two proofs of one offence have the same."""
        return sha256(pack([int(self.kind), self.key, self.height, self.round])).digest()


def build_evidence(
    kind: OffenceKind, key: ConsensusKey, one: tuple[bytes, Signature], other: tuple[bytes, Signature]
) -> Evidence:
    """Evidence from two (payload, signature) pairs, in the one accepted order."""
    (first, first_signature), (second, second_signature) = sorted([one, other])
    return Evidence(kind, key, first, first_signature, second, second_signature)


def encode_evidence(evidence: Evidence) -> bytes:
    """The one byte form."""
    return encode(evidence)


def decode_evidence(encoded: bytes) -> tuple[Evidence, Offence]:
    """Evidence and what it would prove; everything but the signatures is checked. Raises InvalidEvidenceError."""
    try:
        evidence = decode(Evidence, encoded)
        first, second = _read_payload(evidence.kind, evidence.first), _read_payload(evidence.kind, evidence.second)
    except DecodeError as error:
        raise InvalidEvidenceError(f"does not decode: {error}") from None
    if evidence.first >= evidence.second:
        raise InvalidEvidenceError("the payloads are the same, or not in order")
    if first != second:
        raise InvalidEvidenceError("the payloads are not of the same step")
    height, round_number = first
    return evidence, Offence(evidence.kind, evidence.key, Height(height), Round(round_number))


def check_evidence_signatures(evidence: Evidence, domain: SigningDomain) -> None:
    """That the key signed both payloads on this chain; raises InvalidEvidenceError."""
    key = PublicKey(KeyType.ED25519, evidence.key)
    for payload, signature in (
        (evidence.first, evidence.first_signature),
        (evidence.second, evidence.second_signature),
    ):
        if not verify_signature(key, signing_bytes(_PURPOSES[evidence.kind], domain, payload), signature):
            raise InvalidEvidenceError("a signature is bad")


def _read_payload(kind: OffenceKind, payload: bytes) -> tuple[int, int]:
    """Height and round of a payload that has the form of its kind; raises DecodeError."""
    items = unpack(payload)
    if type(items) is not list or len(items) != _ITEMS[kind]:
        raise DecodeError("a payload has the items of its kind")
    height, round_number, *rest = items
    if type(height) is not int or not 0 < height <= JSON_INTEGER_MAX:
        raise DecodeError("a payload begins with a height")
    if type(round_number) is not int or not 0 <= round_number <= ROUND_MAX:
        raise DecodeError("a payload names a round")
    block_hash = rest[-1]
    is_nil_vote = block_hash is None and kind is not OffenceKind.PROPOSAL
    if not is_nil_vote and (type(block_hash) is not bytes or len(block_hash) != HASH_BYTES):
        raise DecodeError("a payload ends with a block hash")
    if kind is OffenceKind.PROPOSAL and (type(rest[0]) is not int or not -1 <= rest[0] < round_number):
        raise DecodeError("a proposal's valid round is an earlier one or -1")
    return height, round_number
