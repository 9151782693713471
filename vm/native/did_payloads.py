"""What keys of identities sign: a payload for each operation, in its one byte form."""

from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Len

from identity.address import Address
from identity.did import Did
from identity.keys import KeyType
from identity.policy import KeyPolicy
from ledger.primitives import Signature
from vm.native.did_records import Control, DidKind, Services, VersionId

SALT_BYTES_MAX: Final = 32
SIGNATURES_MAX: Final = 16  # of one operation, as a transaction's


@dataclass(frozen=True, slots=True)
class DidSignature:
    """A key's signature in the name of an identity."""

    did: Did
    key_type: KeyType
    key: Annotated[bytes, Len(32, 33)]
    signature: Signature


DidSignatures = Annotated[tuple[DidSignature, ...], Len(1, SIGNATURES_MAX)]
"""In any order, each key once."""


@dataclass(frozen=True, slots=True)
class CreatePayload:
    """What an identity is the hash of."""

    kind: DidKind
    owner: Did | None
    control: Control
    services: Services
    salt: Annotated[bytes, Len(0, SALT_BYTES_MAX)]
    """Tells identities apart that begin alike."""


@dataclass(frozen=True, slots=True)
class VersionPayload:
    """An operation that needs to say no more than on which version it acts."""

    did: Did
    previous: VersionId


@dataclass(frozen=True, slots=True)
class UpdatePayload:
    """New services."""

    did: Did
    previous: VersionId
    services: Services


@dataclass(frozen=True, slots=True)
class ControlPayload:
    """New control: of a rotation, or of a recovery."""

    did: Did
    previous: VersionId
    control: Control


@dataclass(frozen=True, slots=True)
class DeactivatePayload:
    """The end."""

    did: Did
    previous: VersionId
    next_keys: KeyPolicy | None
    """The keys committed to, when there are some."""


@dataclass(frozen=True, slots=True)
class TransferPayload:
    """A new owner."""

    did: Did
    previous: VersionId
    owner: Did


@dataclass(frozen=True, slots=True)
class LinkPayload:
    """The account that is to act for an identity."""

    did: Did
    previous: VersionId
    account: Address
