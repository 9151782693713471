"""What an identity may hold: owner, keys, controllers, guardians, services. Rules D2 to D6 of vm/native/did.py."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, TypeVar

from identity.did import Did
from identity.keys import InvalidKeyError
from identity.multikey import check_agreement_key
from identity.policy import InvalidPolicyError, check_policy
from ledger.reasons import Reason, Rejected
from ledger.state import StateReader
from vm.context import Context
from vm.gas import GAS_KEY_CHECK
from vm.native.did_records import GAS_DID_READ, OWNED_KINDS, Control, DidKeys, DidKind, Service, get_did_record

T = TypeVar("T", bytes, str)

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_TYPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:/#_-]*", re.ASCII)
_URI: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*):"
    r"(?P<rest>(?://(?P<authority>[^/?#]*))?(?P<path>[^?#]*)(?P<tail>(?:\?[^#]*)?(?:#.*)?))",
    re.ASCII,
)
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(?::(?P<port>[0-9]*))?", re.ASCII)
_URI_CHARACTERS: Final = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-F]{2})+", re.ASCII)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
_OWNERS: Final = {
    DidKind.VEHICLE: (DidKind.PERSON, DidKind.ORGANISATION),
    DidKind.DEVICE: (DidKind.PERSON, DidKind.ORGANISATION, DidKind.VEHICLE),
}
"""Who may own what; so nothing owns itself in a ring."""
_UNRESERVED_ESCAPED: Final = re.compile(r"%(?:2D|2E|5F|7E|3[0-9]|4[1-9A-F]|5[0-9A]|6[1-9A-F]|7[0-9A])")


def check_owner(state: StateReader, context: Context, kind: DidKind, owner: Did | None) -> None:
    """Rule D2; raises Rejected."""
    if (kind in OWNED_KINDS) != (owner is not None):
        raise Rejected(Reason.DID_BAD_OWNER, "exactly vehicles and devices have an owner")
    if owner is None:
        return
    context.gas.charge(GAS_DID_READ)
    record = get_did_record(state, owner)
    if record is None or record.is_deactivated or record.current.content.kind not in _OWNERS[kind]:
        raise Rejected(Reason.DID_BAD_OWNER, "the owner is an active person or organisation, or a device's vehicle")


def check_control(state: StateReader, context: Context, did: Did, kind: DidKind, control: Control) -> None:
    """Rules D3 to D5; raises Rejected."""
    check_keys(context, control.keys)
    if kind in OWNED_KINDS:
        if control.controllers is not None:
            raise Rejected(Reason.DID_BAD_CONTROLLERS, "a vehicle or device is ruled by its owner alone")
        if control.guardians is not None:
            raise Rejected(Reason.DID_BAD_GUARDIANS, "a vehicle or device is recovered by its owner alone")
        if control.next_keys is not None or control.recovery_keys is not None:
            raise Rejected(
                Reason.DID_BAD_KEYS, "the keys of a vehicle or device commit to no others: they change owners"
            )
        return
    if control.controllers is not None:
        dids, threshold = control.controllers.dids, control.controllers.threshold
        _check_others(state, context, did, dids, threshold, Reason.DID_BAD_CONTROLLERS)
    elif control.keys.policy is None:
        raise Rejected(Reason.DID_BAD_KEYS, "without controllers it takes keys that sign")
    if control.guardians is not None:
        dids, threshold = control.guardians.dids, control.guardians.threshold
        _check_others(state, context, did, dids, threshold, Reason.DID_BAD_GUARDIANS)


def check_keys(context: Context, keys: DidKeys) -> None:
    """Rule D3: keys by the strict rules for keys, each once; raises Rejected."""
    policy_keys = 0 if keys.policy is None else len(keys.policy.keys)
    context.gas.charge(GAS_KEY_CHECK * (policy_keys + len(keys.agreement_keys)))
    try:
        if keys.policy is not None:
            check_policy(keys.policy)
        for key in keys.agreement_keys:
            check_agreement_key(key)
    except (InvalidPolicyError, InvalidKeyError) as error:
        raise Rejected(Reason.DID_BAD_KEYS, str(error)) from None
    if not _is_ordered(keys.agreement_keys):
        raise Rejected(Reason.DID_BAD_KEYS, "agreement keys stand in order, each once")


def check_services(services: Sequence[Service]) -> None:
    """Rule D6; raises Rejected."""
    if not _is_ordered([each.name for each in services]):
        raise Rejected(Reason.DID_BAD_SERVICE, "services stand in order of their names, each once")
    for each in services:
        if not _NAME.fullmatch(each.name):
            raise Rejected(Reason.DID_BAD_SERVICE, "a service's name has letters, digits, dots, hyphens, underscores")
        if not _TYPE.fullmatch(each.service_type):
            raise Rejected(Reason.DID_BAD_SERVICE, "a service's type is a word or a URI")
        if not is_normal_uri(each.endpoint):
            raise Rejected(Reason.DID_BAD_SERVICE, "a service's endpoint is a URI (RFC 3986) in its normal form")


def is_normal_uri(text: str) -> bool:
    """Whether a text is a URI of RFC 3986 in the one form that its section 6.2 gives it.

    Case, percent-encoding and dot segments (6.2.2); on the web also no default port and no empty path (6.2.3).
    """
    match = _URI.fullmatch(text)
    if match is None or not match["rest"] or not _URI_CHARACTERS.fullmatch(text) or _UNRESERVED_ESCAPED.search(text):
        return False
    if any(bracket in match["path"] + match["tail"] for bracket in "[]") or match["tail"].count("#") > 1:
        return False
    if any(segment in (".", "..") for segment in match["path"].split("/")):
        return False
    return match["authority"] is None or _is_normal_authority(match["scheme"], match["authority"], match["path"])


def _is_normal_authority(scheme: str, authority: str, path: str) -> bool:
    match = _HOST.fullmatch(authority.rpartition("@")[2])
    if match is None or match["port"] == "" or (match["port"] or "1").startswith("0"):
        return False
    letters = re.sub("%[0-9A-F]{2}", "", match["host"])
    if letters != letters.lower():
        return False
    return scheme not in _DEFAULT_PORTS or (path != "" and match["port"] != _DEFAULT_PORTS[scheme])


def _check_others(
    state: StateReader, context: Context, did: Did, dids: Sequence[Did], threshold: int, reason: Reason
) -> None:
    """Rules D4 and D5: other persons or organisations that are active, each once, and as many as it takes."""
    if not _is_ordered(dids):
        raise Rejected(reason, "identities stand in order, each once")
    if threshold > len(dids):
        raise Rejected(reason, f"the threshold is {threshold} of {len(dids)}")
    for each in dids:
        context.gas.charge(GAS_DID_READ)
        record = get_did_record(state, each)
        if each == did or record is None or record.is_deactivated or record.current.content.kind in OWNED_KINDS:
            raise Rejected(reason, "it takes other persons or organisations that are active")


def _is_ordered(values: Sequence[T]) -> bool:
    return all(left < right for left, right in pairwise(values))
