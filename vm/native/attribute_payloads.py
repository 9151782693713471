"""What keys of identities sign about attributes: a payload for each operation, in its one byte form.

Each begins with the identity in whose name it is signed. Those that no request answers to also hold the identity's
sequence, which the chain counts, so that nothing is used twice.
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Final, NewType

from annotated_types import Interval, Len

from identity.attributes import (
    ATTRIBUTE_NAME_CHARACTERS_MAX,
    SEALED_BYTES_MAX,
    SEALED_BYTES_MIN,
    AttributeCommitment,
)
from identity.did import Did
from identity.multikey import AGREEMENT_KEY_BYTES
from ledger.primitives import Height

TAG_BYTES_MAX: Final = SEALED_BYTES_MAX
"""An encrypted tag is as long as a sealed value may be."""
NAMES_MAX: Final = 16  # asked for at once: one answer fits a transaction many times
PURPOSE_CHARACTERS_MAX: Final = 256  # a sentence that a telephone shows
SEQUENCE_MAX: Final = 2**32 - 1  # one a block for centuries

AttributeName = Annotated[str, Len(1, ATTRIBUTE_NAME_CHARACTERS_MAX)]
RequestId = NewType("RequestId", Annotated[bytes, Len(32, 32)])
"""Hash of a request's payload: whoever answers it, answers exactly that."""
SequenceNumber = Annotated[int, Interval(ge=0, le=SEQUENCE_MAX)]
"""Counts what an identity signs about attributes, from 0."""


@unique
class TagForm(IntEnum):
    """How a tag's value is to be read; wire number, never reused."""

    PLAIN = 1
    """Text, for everybody."""
    ENCRYPTED = 2
    """Only the holder, or whoever has the holder's key, reads it."""


@dataclass(frozen=True, slots=True)
class Tag:
    """An attribute that its holder shows, or keeps encrypted, on the chain."""

    name: AttributeName
    form: TagForm
    value: Annotated[bytes, Len(1, TAG_BYTES_MAX)]
    commitment: AttributeCommitment | None
    """To the value in the clear, salted."""


@dataclass(frozen=True, slots=True)
class TagPayload:
    """A tag of one's own, new or in place of the one of that name."""

    did: Did
    sequence: SequenceNumber
    tag: Tag


@dataclass(frozen=True, slots=True)
class TagRemovalPayload:
    """A tag no longer wanted."""

    did: Did
    sequence: SequenceNumber
    name: AttributeName


@dataclass(frozen=True, slots=True)
class RequestPayload:
    """What a verifier wants to know of a holder, and why."""

    did: Did
    """The verifier."""
    sequence: SequenceNumber
    holder: Did
    names: Annotated[tuple[AttributeName, ...], Len(1, NAMES_MAX)]
    """In order, each once."""
    purpose: Annotated[str, Len(1, PURPOSE_CHARACTERS_MAX)]
    expiry_height: Height
    """The last height at which it may be answered."""
    answer_key: Annotated[bytes, Len(AGREEMENT_KEY_BYTES, AGREEMENT_KEY_BYTES)]
    """X25519, for which the answer is sealed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An attribute for the verifier's eyes only."""

    name: AttributeName
    sealed: Annotated[bytes, Len(SEALED_BYTES_MIN, SEALED_BYTES_MAX)]
    """A sealed box for the request's key."""
    commitment: AttributeCommitment
    """To the value and the salt in the box."""


Answers = Annotated[tuple[Answer, ...], Len(0, NAMES_MAX)]


@dataclass(frozen=True, slots=True)
class ApprovalPayload:
    """Consent, and what was asked for."""

    did: Did
    """The holder."""
    request_id: RequestId
    answers: Answers
    """Exactly the attributes asked for, in the same order."""


@dataclass(frozen=True, slots=True)
class RequestIdPayload:
    """A refusal or withdrawal, which needs no more than the request."""

    did: Did
    """The holder."""
    request_id: RequestId
