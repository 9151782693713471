"""What the state holds for roles; the rules stand in vm/native/roles.py.

| key                      | value                                                                 |
|--------------------------|-----------------------------------------------------------------------|
| role_key(did, role)      | RoleRecord; stays once a role has ended, so no signature counts twice |

Who may grant a role is recognised for that, see recognition.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Final

from annotated_types import Interval

from identity.did import Did
from ledger.codec import decode, encode
from ledger.primitives import JSON_INTEGER_MAX, Height
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.state import State, StateReader
from ledger.state_keys import role_key
from vm.native.did_records import DidKind, get_active_did, get_did_record
from vm.native.recognition import Recognition, is_recognised


@unique
class Role(IntEnum):
    """What somebody is on this chain; wire number, never reused."""

    VISITOR = 1
    """Everybody, also without an identity."""
    PERSON = 2
    CERTIFIED_INFLUENCER = 3
    CERTIFIED_COMPANY = 4
    ADVERTISER = 5
    COMMUNITY_ADMINISTRATOR = 6
    ATTESTER = 7
    ISSUER = 8
    """Whoever is recognised for granting some role; nobody grants this one."""


HOLDERS: Final[Mapping[Role, tuple[DidKind, ...]]] = {
    Role.PERSON: (DidKind.PERSON,),
    Role.CERTIFIED_INFLUENCER: (DidKind.PERSON, DidKind.ORGANISATION),
    Role.CERTIFIED_COMPANY: (DidKind.ORGANISATION,),
    Role.ADVERTISER: (DidKind.PERSON, DidKind.ORGANISATION),
    Role.COMMUNITY_ADMINISTRATOR: (DidKind.PERSON,),
    Role.ATTESTER: (DidKind.PERSON, DidKind.ORGANISATION),
}
"""Roles that are granted, and the kinds of identities that may hold them."""

ISSUERS: Final[Mapping[Role, Recognition]] = {
    Role.PERSON: Recognition.PERSON_ISSUER,
    Role.CERTIFIED_INFLUENCER: Recognition.CERTIFIED_INFLUENCER_ISSUER,
    Role.CERTIFIED_COMPANY: Recognition.CERTIFIED_COMPANY_ISSUER,
    Role.ADVERTISER: Recognition.ADVERTISER_ISSUER,
    Role.COMMUNITY_ADMINISTRATOR: Recognition.COMMUNITY_ADMINISTRATOR_ISSUER,
    Role.ATTESTER: Recognition.ATTESTER_ISSUER,
}
"""What an identity is recognised for that grants a role."""

assert ISSUERS.keys() == HOLDERS.keys(), "who grants a role is recognised for that"
assert all(recognition == 32 + role for role, recognition in ISSUERS.items()), "as Recognition says"

GrantNumber = Annotated[int, Interval(ge=1, le=JSON_INTEGER_MAX)]
"""How often an identity was granted this role: what is signed names it, so that it counts once."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role that was granted and not taken back."""

    until_height: Height
    """The last block in which it holds."""
    issuer: Did | None
    """None: governance, by a decision or by a growth task that it has defined."""


@dataclass(frozen=True, slots=True)
class RoleRecord:
    """The newest grant of a role to an identity."""

    number: GrantNumber
    grant: Grant | None
    """None once it was revoked or renounced."""


@dataclass(frozen=True, slots=True)
class RoleGranted:
    """An identity has a role up to a height, that one included; without an issuer it was governance."""

    did: Did
    role: Role
    number: int
    until_height: Height
    issuer: Did | None


@dataclass(frozen=True, slots=True)
class RoleEnded:
    """An identity has lost a role, or given it up, before its height."""

    did: Did
    role: Role
    number: int


def get_role_record(state: StateReader, did: Did, role: Role) -> RoleRecord | None:
    """The newest grant of a role; None: it was never granted."""
    encoded = state.get(role_key(did, role))
    return None if encoded is None else decode(RoleRecord, encoded)


def get_grant(state: StateReader, did: Did, role: Role, height: int) -> Grant | None:
    """The grant that has not run out at a height, whether the identity is active or not."""
    record = get_role_record(state, did, role)
    if record is None or record.grant is None or record.grant.until_height < height:
        return None
    return record.grant


def holds_role(state: StateReader, did: Did, role: Role, height: int) -> bool:
    """Rule R1: whether an identity is active and has this role at a height."""
    record = get_did_record(state, did)
    if record is None or record.is_deactivated:
        return False
    if role is Role.VISITOR:
        return True
    if role is Role.ISSUER:
        return any(is_recognised(state, each, did) for each in ISSUERS.values())
    return get_grant(state, did, role, height) is not None


def check_grantable(role: Role) -> None:
    """Rule R2; raises Rejected."""
    if role not in HOLDERS:
        raise Rejected(Reason.ROLE_NOT_GRANTABLE, "everybody is a visitor, and issuers are recognised, not granted")


def check_holder(state: StateReader, did: Did, role: Role) -> None:
    """Rule R2: an active identity of a kind that may hold the role; raises Rejected."""
    check_grantable(role)
    if get_active_did(state, did).current.content.kind not in HOLDERS[role]:
        raise Rejected(Reason.ROLE_BAD_HOLDER, "an identity of this kind does not hold this role")


def put_grant(state: State, did: Did, role: Role, grant: Grant, height: int) -> Event:
    """Give an identity a role; raises Rejected when it would have ended already."""
    if grant.until_height < height:
        raise Rejected(Reason.ROLE_BAD_TERM, f"the role would have ended before block {height}", minimum=height)
    record = get_role_record(state, did, role)
    number = 1 if record is None else record.number + 1
    state.put(role_key(did, role), encode(RoleRecord(number, grant)))
    return Event("roles", RoleGranted.__name__, [did, int(role), number, grant.until_height, grant.issuer])


def end_grant(state: State, did: Did, role: Role) -> Event:
    """Take a role back, or give it up; raises Rejected when there is nothing to end."""
    record = get_role_record(state, did, role)
    if record is None or record.grant is None:
        raise Rejected(Reason.ROLE_NOT_HELD, "the identity does not have this role")
    state.put(role_key(did, role), encode(RoleRecord(record.number, None)))
    return Event("roles", RoleEnded.__name__, [did, int(role), record.number])
