"""What the state holds for identities; the rules stand in vm/native/did.py.

| key                              | value                                                           |
|----------------------------------|-----------------------------------------------------------------|
| did_key(did)                     | DidRecord: the present version, the account                     |
| did_version_key(did, number)     | DidVersion that has a successor                                 |
| did_version_number_key(did, id)  | number of that version, 4 bytes big-endian                      |
| did_recovery_key(did)            | Recovery that waits; of no effect once the version has changed  |
| did_of_account_key(address)      | the identity an account is linked to                            |
"""

from dataclasses import dataclass, replace
from enum import IntEnum, unique
from hashlib import sha256
from typing import Annotated, Final, NewType

from annotated_types import Interval, Len

from identity.address import Address
from identity.did import Did
from identity.multikey import AGREEMENT_KEY_BYTES
from identity.policy import KeyPolicy
from ledger.codec import decode, encode
from ledger.primitives import Height, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import (
    did_key,
    did_of_account_key,
    did_recovery_key,
    did_version_key,
    did_version_number_key,
)
from vm.context import Context
from vm.gas import GAS_BYTE, GAS_STATE_READ, GAS_STATE_WRITE

CONTROLLERS_MAX: Final = 8  # each of them is looked up, and so are its own
GUARDIANS_MAX: Final = 16
AGREEMENT_KEYS_MAX: Final = 4
SERVICES_MAX: Final = 8
SERVICE_NAME_CHARACTERS_MAX: Final = 32
SERVICE_TYPE_CHARACTERS_MAX: Final = 64
ENDPOINT_CHARACTERS_MAX: Final = 256
VERSIONS_MAX: Final = 2**32 - 1  # one a block for centuries
_NUMBER_BYTES: Final = 4

GAS_DID_READ: Final = 300  # read and decode a record of the largest size, 28 us
SIGNED_GAS_WORDS: Final = f"signatures, {GAS_DID_READ} for each identity looked up"
"""What a call signed by identities costs beside its own gas, for people."""
GAS_FIRST_VERSION: Final = GAS_STATE_WRITE + GAS_STATE_READ
GAS_NEXT_VERSION: Final = GAS_DID_READ + 5 * GAS_STATE_WRITE + GAS_STATE_READ
"""Record, former version, its number, a recovery that ends and a link that changes; its bytes are charged by length."""

VersionId = NewType("VersionId", Annotated[bytes, Len(32, 32)])
"""Hash of the operation that made a version of an identity."""
Commitment = NewType("Commitment", Annotated[bytes, Len(32, 32)])
"""Hash of a key policy that nobody has seen yet."""
VersionNumber = Annotated[int, Interval(ge=1, le=VERSIONS_MAX)]

_COMMITMENT_DOMAIN: Final = b"carlive did keys\0"
_VERSION_DOMAIN: Final = b"carlive did version\0"


@unique
class DidKind(IntEnum):
    """What an identity stands for; wire number, never reused."""

    PERSON = 1
    ORGANISATION = 2
    VEHICLE = 3
    DEVICE = 4


OWNED_KINDS: Final = frozenset({DidKind.VEHICLE, DidKind.DEVICE})
"""Kinds that are ruled by their owner, and by nobody else."""


@unique
class DidOperation(IntEnum):
    """What made a version; wire number, never reused."""

    CREATE = 1
    UPDATE = 2
    ROTATE = 3
    RECOVER = 4
    TRANSFER = 5
    DEACTIVATE = 6
    RECOVER_BY_GUARDIANS = 7
    OBJECT = 8
    LINK_ACCOUNT = 9
    UNLINK_ACCOUNT = 10


@dataclass(frozen=True, slots=True)
class DidKeys:
    """Own keys of an identity: those that sign for it, and those with which others encrypt for it."""

    policy: KeyPolicy | None
    """Keys that sign, with weights and threshold."""
    agreement_keys: Annotated[
        tuple[Annotated[bytes, Len(AGREEMENT_KEY_BYTES, AGREEMENT_KEY_BYTES)], ...], Len(0, AGREEMENT_KEYS_MAX)
    ]
    """X25519, in order, each once."""


@dataclass(frozen=True, slots=True)
class Controllers:
    """Other identities that rule this one in place of its own keys, and how many of them it takes."""

    dids: Annotated[tuple[Did, ...], Len(1, CONTROLLERS_MAX)]
    """In order, each once."""
    threshold: Annotated[int, Interval(ge=1, le=CONTROLLERS_MAX)]


@dataclass(frozen=True, slots=True)
class Guardians:
    """Other identities that may ask for a recovery, and how many of them it takes."""

    dids: Annotated[tuple[Did, ...], Len(1, GUARDIANS_MAX)]
    """In order, each once."""
    threshold: Annotated[int, Interval(ge=1, le=GUARDIANS_MAX)]


@dataclass(frozen=True, slots=True)
class Control:
    """Who rules an identity, now and if keys are lost; it changes as a whole."""

    keys: DidKeys
    controllers: Controllers | None
    next_keys: Commitment | None
    """The only keys that a rotation may bring."""
    recovery_keys: Commitment | None
    """The keys with which the holder recovers the identity."""
    guardians: Guardians | None


@dataclass(frozen=True, slots=True)
class Service:
    """Where to reach an identity for some purpose."""

    name: Annotated[str, Len(1, SERVICE_NAME_CHARACTERS_MAX)]
    """Fragment of the service's own identifier."""
    service_type: Annotated[str, Len(1, SERVICE_TYPE_CHARACTERS_MAX)]
    endpoint: Annotated[str, Len(1, ENDPOINT_CHARACTERS_MAX)]
    """A URI."""


Services = Annotated[tuple[Service, ...], Len(0, SERVICES_MAX)]


@dataclass(frozen=True, slots=True)
class DidContent:
    """All that a version of an identity says."""

    kind: DidKind
    owner: Did | None
    control: Control
    services: Services
    """In order of their names, each once."""


@dataclass(frozen=True, slots=True)
class DidVersion:
    """A version of an identity, and what made it."""

    number: VersionNumber
    version_id: VersionId
    operation: DidOperation
    height: Height
    time_ms: TimeMs
    """Time of the block with the operation."""
    content: DidContent


@dataclass(frozen=True, slots=True)
class DidRecord:
    """An identity as it is now."""

    current: DidVersion
    created_ms: TimeMs
    account: Address | None
    """The account that acts for it."""
    ownership: VersionNumber
    """The version that named its present owner; 1 without owner. Another owner, or the same again, has another one."""

    @property
    def is_deactivated(self) -> bool:
        """Whether it has ended for good."""
        return self.current.operation is DidOperation.DEACTIVATE


@dataclass(frozen=True, slots=True)
class Recovery:
    """A recovery that guardians have asked for."""

    previous: VersionId
    """The version it is for: whatever the holder does meanwhile ends it."""
    due_height: Height
    """From here on anybody completes it."""
    control: Control


@dataclass(frozen=True, slots=True)
class DidChanged:
    """An identity has a new version; the first one created it."""

    did: Did
    operation: DidOperation
    number: int
    version_id: VersionId


def compute_commitment(policy: KeyPolicy) -> Commitment:
    """What commits to keys that sign, with their weights and threshold, without showing them."""
    return Commitment(sha256(_COMMITMENT_DOMAIN + encode(policy)).digest())


def compute_version_id(operation: DidOperation, payload: bytes) -> VersionId:
    """SHA-256 of the operation's number and its canonical payload, which names the version before."""
    return VersionId(sha256(_VERSION_DOMAIN + bytes([operation]) + payload).digest())


def get_did_record(state: StateReader, did: Did) -> DidRecord | None:
    """An identity as it is now."""
    encoded = state.get(did_key(did))
    return None if encoded is None else decode(DidRecord, encoded)


def get_active_did(state: StateReader, did: Did) -> DidRecord:
    """An identity that exists and has not ended; raises Rejected."""
    record = get_did_record(state, did)
    if record is None:
        raise Rejected(Reason.UNKNOWN_DID, "the chain knows no such identity")
    if record.is_deactivated:
        raise Rejected(Reason.DID_DEACTIVATED, "the identity is deactivated, which is final")
    return record


def get_did_version(state: StateReader, did: Did, number: int) -> DidVersion | None:
    """A version by its number, from 1."""
    record = get_did_record(state, did)
    if record is None or not 1 <= number <= record.current.number:
        return None
    return record.current if number == record.current.number else _get_former_version(state, did, number)


def find_did_version(state: StateReader, did: Did, version_id: VersionId) -> DidVersion | None:
    """A version by its id."""
    record = get_did_record(state, did)
    if record is None or record.current.version_id == version_id:
        return None if record is None else record.current
    number = state.get(did_version_number_key(did, version_id))
    return None if number is None else _get_former_version(state, did, int.from_bytes(number, "big"))


def find_did_version_at(state: StateReader, did: Did, time_ms: int) -> DidVersion | None:
    """The version in force at a time; None before the first one. Takes as many reads as the number has bits."""
    record = get_did_record(state, did)
    if record is None or record.created_ms > time_ms:
        return None
    if record.current.time_ms <= time_ms:
        return record.current
    low, high = 1, record.current.number
    while high - low > 1:  # the version `low` was in force then or before, `high` was not yet
        middle = (low + high) // 2
        if _get_former_version(state, did, middle).time_ms <= time_ms:
            low = middle
        else:
            high = middle
    return _get_former_version(state, did, low)


def get_account_did(state: StateReader, address: Address) -> Did | None:
    """The identity an account is linked to."""
    encoded = state.get(did_of_account_key(address))
    return None if encoded is None else Did(encoded)


def get_recovery(state: StateReader, did: Did) -> Recovery | None:
    """The recovery that guardians have asked for; None also when the holder has acted since."""
    encoded = state.get(did_recovery_key(did))
    return None if encoded is None else decode(Recovery, encoded)


def put_recovery(state: State, did: Did, recovery: Recovery) -> None:
    """Let a recovery wait."""
    state.put(did_recovery_key(did), encode(recovery))


def put_first_version(state: State, context: Context, did: Did, content: DidContent, version_id: VersionId) -> None:
    """Begin an identity."""
    first = DidVersion(1, version_id, DidOperation.CREATE, context.block.height, context.block.time_ms, content)
    state.put(did_key(did), encode(DidRecord(first, context.block.time_ms, None, first.number)))
    _emit_changed(context, did, first)


def put_next_version(
    state: State,
    context: Context,
    did: Did,
    record: DidRecord,
    operation: DidOperation,
    payload: bytes,
    content: DidContent,
    *,
    account: Address | None,
) -> None:
    """Give an identity its next version and keep the former one; ends whatever recovery waits, and a link given up."""
    former = record.current
    archived = encode(former)
    context.gas.charge(GAS_BYTE * len(archived))
    state.put(did_version_key(did, former.number), archived)
    state.put(did_version_number_key(did, former.version_id), former.number.to_bytes(_NUMBER_BYTES, "big"))
    version_id = compute_version_id(operation, payload)
    assert former.number < VERSIONS_MAX, "no chain has so many blocks"
    current = DidVersion(former.number + 1, version_id, operation, context.block.height, context.block.time_ms, content)
    ownership = record.ownership if content.owner == former.content.owner else current.number
    state.put(did_key(did), encode(replace(record, current=current, account=account, ownership=ownership)))
    if state.get(did_recovery_key(did)) is not None:
        state.delete(did_recovery_key(did))
    if record.account != account:
        if record.account is not None:
            state.delete(did_of_account_key(record.account))
        if account is not None:
            state.put(did_of_account_key(account), did)
    _emit_changed(context, did, current)


def _get_former_version(state: StateReader, did: Did, number: int) -> DidVersion:
    encoded = state.get(did_version_key(did, number))
    assert encoded is not None, "every version but the present one is kept"
    return decode(DidVersion, encoded)


def _emit_changed(context: Context, did: Did, version: DidVersion) -> None:
    fields = (did, int(version.operation), version.number, version.version_id)
    context.emit("did", DidChanged.__name__, *fields)
