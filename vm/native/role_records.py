"""What the state holds for roles; the rules stand in vm/native/roles.py.

| key                      | value                                                                 |
|--------------------------|-----------------------------------------------------------------------|
| role_key(did, role)      | RoleRecord; stays once a role has ended, so no signature counts twice |
| role_issuer_key(did)     | Issuer: roles that an identity may grant; absent while there are none |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Final

from annotated_types import Interval, Len

from identity.did import Did
from ledger.codec import decode, encode
from ledger.primitives import JSON_INTEGER_MAX, Height
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.state import State, StateReader
from ledger.state_keys import ROLE_ISSUER_PREFIX, role_issuer_key, role_key
from vm.native.did_records import DidKind, get_active_did, get_did_record


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
    """Whoever may grant some role. Governance keeps the list; nobody grants this one."""


HOLDERS: Final[Mapping[Role, tuple[DidKind, ...]]] = {
    Role.PERSON: (DidKind.PERSON,),
    Role.CERTIFIED_INFLUENCER: (DidKind.PERSON, DidKind.ORGANISATION),
    Role.CERTIFIED_COMPANY: (DidKind.ORGANISATION,),
    Role.ADVERTISER: (DidKind.PERSON, DidKind.ORGANISATION),
    Role.COMMUNITY_ADMINISTRATOR: (DidKind.PERSON,),
    Role.ATTESTER: (DidKind.PERSON, DidKind.ORGANISATION),
}
"""Roles that are granted, and the kinds of identities that may hold them."""

ISSUERS_MAX: Final = 256  # all of them are looked at when one is listed, and by the view

GrantNumber = Annotated[int, Interval(ge=1, le=JSON_INTEGER_MAX)]
"""How often an identity was granted this role: what is signed names it, so that it counts once."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role that was granted and not taken back."""

    until_height: Height
    """The last block in which it holds."""
    issuer: Did | None
    """None: governance."""


@dataclass(frozen=True, slots=True)
class RoleRecord:
    """The newest grant of a role to an identity."""

    number: GrantNumber
    grant: Grant | None
    """None once it was revoked or renounced."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Which roles an identity may grant."""

    roles: Annotated[tuple[Role, ...], Len(1, len(HOLDERS))]
    """In order, each once."""


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


def is_issuer(state: StateReader, did: Did, role: Role) -> bool:
    """Whether governance lets an identity grant this role."""
    return role in get_issuer_roles(state, did)


def get_issuer_roles(state: StateReader, did: Did) -> tuple[Role, ...]:
    """Which roles an identity may grant."""
    encoded = state.get(role_issuer_key(did))
    return () if encoded is None else decode(Issuer, encoded).roles


def list_issuers(state: StateReader, role: Role) -> list[Did]:
    """All identities that may grant a role, in order."""
    found = state.iterate_prefix(ROLE_ISSUER_PREFIX)
    return [Did(key[len(ROLE_ISSUER_PREFIX) :]) for key, encoded in found if role in decode(Issuer, encoded).roles]


def count_issuers(state: StateReader) -> int:
    """How many identities may grant some role."""
    return sum(1 for _ in state.iterate_prefix(ROLE_ISSUER_PREFIX))


def put_issuer_roles(state: State, did: Did, roles: tuple[Role, ...]) -> None:
    """Replace which roles an identity may grant."""
    if roles:
        state.put(role_issuer_key(did), encode(Issuer(tuple(sorted(roles)))))
    else:
        state.delete(role_issuer_key(did))


def holds_role(state: StateReader, did: Did, role: Role, height: int) -> bool:
    """Rule R1: whether an identity is active and has this role at a height."""
    record = get_did_record(state, did)
    if record is None or record.is_deactivated:
        return False
    if role is Role.VISITOR:
        return True
    if role is Role.ISSUER:
        return bool(get_issuer_roles(state, did))
    return get_grant(state, did, role, height) is not None


def check_grantable(role: Role) -> None:
    """Rule R2; raises Rejected."""
    if role not in HOLDERS:
        raise Rejected(Reason.ROLE_NOT_GRANTABLE, "everybody is a visitor, and governance lists issuers by role")


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
