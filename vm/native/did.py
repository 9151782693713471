"""Identities that their holders rule: the DID method `iov` (docs/did-iov.md).

What the state holds stands in did_records.py, what keys sign in did_payloads.py, who may act for an identity in
did_control.py, what one may hold in did_rules.py. Whoever sends a transaction and pays for it has no say in it: the
keys of identities sign the operations themselves.

Rules
* D1 An identity's name is the hash of the payload that creates it. It exists once, and for ever.
* D2 Exactly vehicles and devices have an owner: an active person or organisation, for a device also a vehicle.
* D3 Keys obey the strict rules for keys; without owner and controllers it takes keys that sign.
* D4 Controllers are other persons or organisations that are active, and they rule in place of own keys. Vehicles and
  devices have none: the owner rules.
* D5 Guardians are such identities too; vehicles and devices have none, and commit to no keys.
* D6 Services stand in order, each once; an endpoint is a URI in its normal form.
* D7 Whoever is to rule agrees to it, and own keys sign for themselves: nobody is made to rule, and no identity gets out
  of everybody's reach.
* D8 Every operation names the version it acts on, which is the present one, and is signed by the authority in force:
  with enough weight, and by nobody who has no say.
* D9 A rotation changes control as a whole. When an identity has committed to its next keys, it brings exactly those, so
  a thief of the present keys changes nothing of its control.
* D10 A recovery brings exactly the recovery keys committed to; they alone sign. Own keys rule from then on.
* D11 Guardians, as many as it takes, and the new keys ask for a recovery. For `recovery_delay_heights` blocks the
  holder may object, and anything the holder does is an objection. After that anybody completes it.
* D12 A transfer is signed by the present owner and the new one. Services end with it.
* D13 Deactivation is final. When an identity has committed to its next keys, they sign too.
* D14 One account an identity, one identity an account, and the account agrees: it sends the transaction, or the one key
  that rules it signs for the identity. The link ends with rotation, recovery, transfer and deactivation.
* D15 Every version is kept, with the operation that made it and the time of its block.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from identity.address import Address
from identity.did import Did
from identity.signing import SigningPurpose
from ledger.primitives import Height, TimeMs
from ledger.state import StateReader
from vm.context import Moment
from vm.gas import GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.did_links import LinkAccount, UnlinkAccount, apply_link_account, apply_unlink_account
from vm.native.did_operations import (
    Create,
    Deactivate,
    Recover,
    Rotate,
    Transfer,
    Update,
    apply_create,
    apply_deactivate,
    apply_recover,
    apply_rotate,
    apply_transfer,
    apply_update,
)
from vm.native.did_payloads import (
    ControlPayload,
    CreatePayload,
    DeactivatePayload,
    LinkPayload,
    TransferPayload,
    UpdatePayload,
    VersionPayload,
)
from vm.native.did_records import (
    GAS_DID_READ,
    GAS_FIRST_VERSION,
    GAS_NEXT_VERSION,
    DidChanged,
    DidOperation,
    DidRecord,
    DidVersion,
    Recovery,
    VersionId,
    find_did_version,
    get_account_did,
    get_did_record,
    get_did_version,
    get_recovery,
)
from vm.native.did_recovery import (
    CompleteRecovery,
    ObjectToRecovery,
    RecoveryRequested,
    RequestRecovery,
    apply_complete_recovery,
    apply_object_to_recovery,
    apply_request_recovery,
)
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule

HISTORY_PAGE: Final = 50
GAS_RECOVERY_REQUEST: Final = GAS_DID_READ + GAS_STATE_WRITE + GAS_STATE_READ


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """A version without what it says."""

    number: int
    version_id: VersionId
    operation: DidOperation
    height: Height
    time_ms: TimeMs


def list_versions(state: StateReader, did: Did, before: int, limit: int) -> list[VersionSummary]:
    """Versions of an identity below a number, the newest first; 0 begins with the present one."""
    record = get_did_record(state, did)
    if record is None:
        return []
    newest = record.current.number if before == 0 else min(before - 1, record.current.number)
    found = [get_did_version(state, did, number) for number in range(newest, max(0, newest - limit), -1)]
    return [
        VersionSummary(each.number, each.version_id, each.operation, each.height, each.time_ms)
        for each in found
        if each is not None
    ]


def answer_did(state: StateReader, _: Moment, did: Did) -> DidRecord | None:
    """The view of an identity as it is now."""
    return get_did_record(state, did)


def answer_version(state: StateReader, _: Moment, did: Did, version_id: VersionId) -> DidVersion | None:
    """The view of one version."""
    return find_did_version(state, did, version_id)


def answer_history(state: StateReader, _: Moment, did: Did, before: int) -> list[VersionSummary]:
    """The view of at most HISTORY_PAGE versions, the newest first."""
    return list_versions(state, did, before, HISTORY_PAGE)


def answer_recovery(state: StateReader, _: Moment, did: Did) -> Recovery | None:
    """The view of a recovery that waits."""
    return get_recovery(state, did)


def answer_account_did(state: StateReader, _: Moment, address: Address) -> Did | None:
    """The view of the identity an account acts for."""
    return get_account_did(state, address)


def _rule(name: str, arguments: type, apply: Callable[..., None], gas: int = GAS_NEXT_VERSION) -> CallRule:
    words = f"{gas} + signatures, keys and bytes kept, {GAS_DID_READ} for each identity looked up"
    return CallRule(name, arguments, apply, lambda _: gas, words)


@dataclass(frozen=True, slots=True)
class SignedCall:
    """A call that keys of identities sign: its dataclass, that of the payload, and what for."""

    arguments: type
    payload: type
    purpose: SigningPurpose


SIGNED_CALLS: Final[Mapping[str, SignedCall]] = {
    "create": SignedCall(Create, CreatePayload, SigningPurpose.DID_CREATE),
    "update": SignedCall(Update, UpdatePayload, SigningPurpose.DID_UPDATE),
    "rotate": SignedCall(Rotate, ControlPayload, SigningPurpose.DID_ROTATE),
    "recover": SignedCall(Recover, ControlPayload, SigningPurpose.DID_RECOVER),
    "transfer": SignedCall(Transfer, TransferPayload, SigningPurpose.DID_TRANSFER),
    "deactivate": SignedCall(Deactivate, DeactivatePayload, SigningPurpose.DID_DEACTIVATE),
    "request_recovery": SignedCall(RequestRecovery, ControlPayload, SigningPurpose.DID_RECOVERY_REQUEST),
    "object_to_recovery": SignedCall(ObjectToRecovery, VersionPayload, SigningPurpose.DID_OBJECTION),
    "link_account": SignedCall(LinkAccount, LinkPayload, SigningPurpose.DID_LINK),
    "unlink_account": SignedCall(UnlinkAccount, VersionPayload, SigningPurpose.DID_UNLINK),
}
"""For whoever makes signatures: wallets, commands, tests."""

_CALLS: Final[tuple[tuple[Any, ...], ...]] = (
    ("create", Create, apply_create, GAS_FIRST_VERSION),
    ("update", Update, apply_update),
    ("rotate", Rotate, apply_rotate),
    ("recover", Recover, apply_recover),
    ("transfer", Transfer, apply_transfer),
    ("deactivate", Deactivate, apply_deactivate),
    ("request_recovery", RequestRecovery, apply_request_recovery, GAS_RECOVERY_REQUEST),
    ("object_to_recovery", ObjectToRecovery, apply_object_to_recovery),
    ("complete_recovery", CompleteRecovery, apply_complete_recovery),
    ("link_account", LinkAccount, apply_link_account),
    ("unlink_account", UnlinkAccount, apply_unlink_account),
)

MODULE = ModuleRule(
    name="did",
    summary="Identities that their holders rule",
    calls=tuple(_rule(*call) for call in _CALLS),
    events=tuple(map(EventRule, (DidChanged, RecoveryRequested))),
    views=(
        ViewRule("did", (("did", Did),), answer_did),
        ViewRule("version", (("did", Did), ("version_id", VersionId)), answer_version),
        ViewRule("history", (("did", Did), ("before", int)), answer_history),
        ViewRule("recovery", (("did", Did),), answer_recovery),
        ViewRule("account_did", (("address", Address),), answer_account_did),
    ),
)
