"""Which role each native call needs of its sender: the one table, and the one check.

A call that does not stand here is everybody's. The sender holds what the identity holds that its account is linked to;
a contract has no identity, so it makes none of these calls.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ledger.reasons import Reason, Rejected
from ledger.state import StateReader
from vm.context import Context
from vm.gas import GAS_STATE_READ
from vm.native.did_records import GAS_DID_READ, get_account_did
from vm.native.role_records import ISSUERS, Role, holds_role

ROLES_NEEDED: Final[Mapping[tuple[str, str], Role]] = MappingProxyType({("roles", "grant"): Role.ISSUER})
"""(module, call) -> role."""

GAS_ROLE_CHECK: Final = GAS_DID_READ + (1 + len(ISSUERS)) * GAS_STATE_READ
"""The account's link, the identity and its role: an issuer may be recognised for any of the roles that are granted."""


@dataclass(frozen=True, slots=True)
class RoleNeed:
    """A call and the role it needs."""

    module: str
    call: str
    role: Role


def get_role_needed(module: str, call: str) -> Role:
    """The role a call needs of its sender."""
    return ROLES_NEEDED.get((module, call), Role.VISITOR)


def list_role_needs() -> list[RoleNeed]:
    """All calls that are not everybody's."""
    return [RoleNeed(module, call, role) for (module, call), role in ROLES_NEEDED.items()]


def check_role(state: StateReader, context: Context, module: str, call: str) -> None:
    """Rule R6: whether the sender may make this call; raises Rejected. Costs nothing where everybody may."""
    role = ROLES_NEEDED.get((module, call))
    if role is None:
        return
    context.gas.charge(GAS_ROLE_CHECK)
    did = get_account_did(state, context.sender)
    if did is None or not holds_role(state, did, role, context.block.height):
        raise Rejected(Reason.ROLE_MISSING, f"{module}.{call} needs the role {role.name.lower()}", role=int(role))
