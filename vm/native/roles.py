"""Roles of identities: visitor, person, influencer, company, advertiser, administrator, attester (docs/identity.md).

What the state holds stands in role_records.py, which call needs which role in role_table.py. As with operations on
identities, keys of identities sign; the transaction's sender only brings it.

Rules
* R1 A role holds while its identity is active, up to its height, that one included.
* R2 Six roles are granted, each to certain kinds of identities; everybody is a visitor.
* R3 Governance recognises the identities that may grant a role, and grants and takes back any role itself.
* R4 An issuer grants the roles it is recognised for, by its signatures, to others. A role that somebody else granted
  and that holds it leaves alone.
* R5 A role is taken back by the issuer that granted it, while it is recognised for it, or given up by its holder. What
  an issuer granted that is so no more stays: governance takes back what was wrong.
* R6 A call that needs a role is made by an account whose identity holds it. Granting needs an issuer.
* R7 What is signed names the number of the grant, so it counts once.
"""

from dataclasses import dataclass
from typing import Final

from identity.address import Address
from identity.did import Did
from identity.signing import SigningPurpose
from ledger.codec import encode
from ledger.primitives import Height
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from vm.context import Context, Moment
from vm.gas import GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.did_control import check_did_signatures
from vm.native.did_payloads import DidSignatures
from vm.native.did_records import GAS_DID_READ, SIGNED_GAS_WORDS
from vm.native.free_quota import answer_free_quota
from vm.native.recognition import check_recognised, is_recognised
from vm.native.role_records import (
    HOLDERS,
    ISSUERS,
    Grant,
    GrantNumber,
    Role,
    RoleEnded,
    RoleGranted,
    check_holder,
    end_grant,
    get_grant,
    get_role_record,
    holds_role,
    put_grant,
)
from vm.native.role_table import GAS_ROLE_CHECK, RoleNeed, list_role_needs
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule

GAS_GRANT: Final = GAS_STATE_WRITE + GAS_DID_READ + 2 * GAS_STATE_READ
GAS_END: Final = GAS_STATE_WRITE + 2 * GAS_STATE_READ


@dataclass(frozen=True, slots=True)
class GrantPayload:
    """What an issuer signs to grant a role."""

    issuer: Did
    did: Did
    role: Role
    number: GrantNumber
    """One above that of the grant before, from 1."""
    until_height: Height


@dataclass(frozen=True, slots=True)
class EndPayload:
    """What an issuer signs to take a role back, and a holder to give it up."""

    did: Did
    role: Role
    number: GrantNumber
    """Of the grant that ends."""


@dataclass(frozen=True, slots=True)
class GrantRole:
    """Give an identity a role up to a height, by a recognised issuer's signatures."""

    payload: GrantPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class RevokeRole:
    """Take a role back, by the signatures of the issuer that granted it."""

    payload: EndPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class RenounceRole:
    """Give a role up, by the signatures of its holder."""

    payload: EndPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class HeldRole:
    """A role that holds."""

    role: Role
    number: int
    until_height: Height
    issuer: Did | None
    """None: governance."""


def apply_grant(state: State, context: Context, call: GrantRole) -> None:
    """Rules R2, R4 and R7."""
    given, height = call.payload, context.block.height
    check_holder(state, given.did, given.role)
    if given.issuer == given.did:
        raise Rejected(Reason.ROLE_BAD_HOLDER, "nobody grants roles to itself")
    check_recognised(state, ISSUERS[given.role], given.issuer)
    record = get_role_record(state, given.did, given.role)
    _check_number(given.number, 1 if record is None else record.number + 1)
    held = get_grant(state, given.did, given.role, height)
    if held is not None and held.issuer != given.issuer:
        raise Rejected(Reason.ROLE_HELD, "the identity has this role from somebody else")
    check_did_signatures(state, context, given.issuer, SigningPurpose.ROLE_GRANT, encode(given), call.signatures)
    context.events.append(put_grant(state, given.did, given.role, Grant(given.until_height, given.issuer), height))


def apply_revoke(state: State, context: Context, call: RevokeRole) -> None:
    """Rules R5 and R7."""
    given = call.payload
    grant = _get_present(state, given)
    if grant.issuer is None or not is_recognised(state, ISSUERS[given.role], grant.issuer):
        raise Rejected(Reason.NOT_AN_ISSUER, "governance granted the role, or recognises its issuer no more")
    check_did_signatures(state, context, grant.issuer, SigningPurpose.ROLE_REVOKE, encode(given), call.signatures)
    context.events.append(end_grant(state, given.did, given.role))


def apply_renounce(state: State, context: Context, call: RenounceRole) -> None:
    """Rules R5 and R7."""
    given = call.payload
    _get_present(state, given)
    check_did_signatures(state, context, given.did, SigningPurpose.ROLE_RENOUNCE, encode(given), call.signatures)
    context.events.append(end_grant(state, given.did, given.role))


def _get_present(state: StateReader, given: EndPayload) -> Grant:
    """The grant that is to end; raises Rejected."""
    record = get_role_record(state, given.did, given.role)
    if record is None or record.grant is None:
        raise Rejected(Reason.ROLE_NOT_HELD, "the identity does not have this role")
    _check_number(given.number, record.number)
    return record.grant


def _check_number(given: int, expected: int) -> None:
    """Rule R7; raises Rejected."""
    if given != expected:
        raise Rejected(Reason.ROLE_STALE, f"the number of the grant is {expected}", expected=expected)


def answer_roles(state: StateReader, moment: Moment, did: Did) -> list[HeldRole]:
    """The view of the roles an identity holds, besides that of a visitor."""
    held = []
    for role in HOLDERS:
        record = get_role_record(state, did, role)
        if record is not None and record.grant is not None and holds_role(state, did, role, moment.height):
            held.append(HeldRole(role, record.number, record.grant.until_height, record.grant.issuer))
    return held


def answer_next_number(state: StateReader, _: Moment, did: Did, role: Role) -> int:
    """The view of the number that the next grant of a role carries."""
    record = get_role_record(state, did, role)
    return 1 if record is None else record.number + 1


def answer_who_needs(_: StateReader, __: Moment) -> list[RoleNeed]:
    """The view of all calls that need a role."""
    return list_role_needs()


_MORE_GAS: Final = f" + {SIGNED_GAS_WORDS}"

MODULE = ModuleRule(
    name="roles",
    summary="Roles of identities",
    calls=(
        CallRule("grant", GrantRole, apply_grant, lambda _: GAS_GRANT, f"{GAS_GRANT + GAS_ROLE_CHECK}{_MORE_GAS}"),
        CallRule("revoke", RevokeRole, apply_revoke, lambda _: GAS_END, f"{GAS_END}{_MORE_GAS}"),
        CallRule("renounce", RenounceRole, apply_renounce, lambda _: GAS_END, f"{GAS_END}{_MORE_GAS}"),
    ),
    events=tuple(map(EventRule, (RoleGranted, RoleEnded))),
    views=(
        ViewRule("roles", (("did", Did),), answer_roles),
        ViewRule("next_number", (("did", Did), ("role", Role)), answer_next_number),
        ViewRule("who_needs", (), answer_who_needs),
        ViewRule("free_quota", (("account", Address),), answer_free_quota),
    ),
)
