"""Which role each native call needs of its sender: the one table, and the one check.

Every call stands here; what a visitor may is everybody's. The sender holds what the identity holds that its account is
linked to; a contract has no identity, so it makes no call that needs more.
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

_TABLE: Final[Mapping[str, Mapping[str, Role]]] = {
    "accounts": {
        "set_policy": Role.VISITOR,
        "register_policy": Role.VISITOR,
    },
    "iov": {
        "transfer": Role.VISITOR,
        "batch_transfer": Role.VISITOR,
    },
    "network": {
        "register_node": Role.VISITOR,
        "update_node": Role.VISITOR,
        "rotate_node": Role.VISITOR,
        "rotate_consensus": Role.VISITOR,
        "remove_node": Role.VISITOR,
    },
    "staking": {
        "stand": Role.VISITOR,
        "retire": Role.VISITOR,
        "bond": Role.VISITOR,
        "unbond": Role.VISITOR,
        "delegate": Role.VISITOR,
        "undelegate": Role.VISITOR,
        "redelegate": Role.VISITOR,
        "set_commission": Role.VISITOR,
        "unjail": Role.VISITOR,
    },
    "governance": {
        "propose_operator": Role.VISITOR,
        "propose_operator_removal": Role.VISITOR,
        "propose_parameter": Role.VISITOR,
        "propose_body": Role.VISITOR,
        "propose_spending": Role.VISITOR,
        "propose_pause": Role.VISITOR,
        "propose_resume": Role.VISITOR,
        "propose_developer": Role.VISITOR,
        "propose_developer_removal": Role.VISITOR,
        "propose_recognition": Role.VISITOR,
        "propose_recognition_end": Role.VISITOR,
        "propose_code": Role.VISITOR,
        "propose_upgrade": Role.VISITOR,
        "propose_role": Role.VISITOR,
        "propose_role_removal": Role.VISITOR,
        "propose_task": Role.VISITOR,
        "propose_task_end": Role.VISITOR,
        "propose_source": Role.VISITOR,
        "propose_source_rules": Role.VISITOR,
        "propose_source_resume": Role.VISITOR,
        "propose_root_void": Role.VISITOR,
        "propose_grant": Role.VISITOR,
        "propose_revocation": Role.VISITOR,
        "propose_sale": Role.VISITOR,
        "propose_sale_end": Role.VISITOR,
        "propose_acceptor": Role.VISITOR,
        "propose_acceptor_removal": Role.VISITOR,
        "propose_acceptor_rules": Role.VISITOR,
        "propose_mining_rules": Role.VISITOR,
        "propose_mining_behaviour": Role.VISITOR,
        "propose_mining_behaviour_end": Role.VISITOR,
        "propose_mining_reinstatement": Role.VISITOR,
        "propose_mining_batch_void": Role.VISITOR,
        "propose_mining_source": Role.VISITOR,
        "propose_ads_rules": Role.VISITOR,
        "propose_dividend": Role.VISITOR,
        "vote": Role.VISITOR,
        "donate": Role.VISITOR,
    },
    "contracts": {
        "store_part": Role.VISITOR,
        "introduce": Role.VISITOR,
        "seal": Role.VISITOR,
        "call": Role.VISITOR,
        "upgrade": Role.VISITOR,
        "set_owner": Role.VISITOR,
    },
    "did": {
        "create": Role.VISITOR,
        "update": Role.VISITOR,
        "rotate": Role.VISITOR,
        "recover": Role.VISITOR,
        "transfer": Role.VISITOR,
        "deactivate": Role.VISITOR,
        "request_recovery": Role.VISITOR,
        "object_to_recovery": Role.VISITOR,
        "complete_recovery": Role.VISITOR,
        "link_account": Role.VISITOR,
        "unlink_account": Role.VISITOR,
    },
    "attributes": {
        "set_tag": Role.VISITOR,
        "remove_tag": Role.VISITOR,
        "request": Role.VISITOR,
        "approve": Role.VISITOR,
        "refuse": Role.VISITOR,
        "withdraw_consent": Role.VISITOR,
    },
    "vehicles": {
        "attest_vin": Role.VISITOR,
        "withdraw_vin": Role.VISITOR,
        "release_vin": Role.VISITOR,
        "bind": Role.VISITOR,
        "grant_access": Role.VISITOR,
        "revoke_access": Role.VISITOR,
    },
    "platforms": {
        "bind": Role.VISITOR,
        "unbind": Role.VISITOR,
        "post_migration": Role.VISITOR,
        "claim": Role.VISITOR,
    },
    "roles": {
        "grant": Role.ISSUER,
        "revoke": Role.VISITOR,
        "renounce": Role.VISITOR,
    },
    "credentials": {
        "anchor_status_list": Role.VISITOR,
    },
    "growth": {
        "report": Role.VISITOR,
        "rate": Role.PERSON,
        "withdraw_rating": Role.VISITOR,
        "drop_rating": Role.VISITOR,
        "certify": Role.VISITOR,
    },
    "distribution": {
        "fund": Role.VISITOR,
        "withdraw": Role.VISITOR,
        "post_root": Role.VISITOR,
        "claim": Role.VISITOR,
        "challenge": Role.VISITOR,
        "void_root": Role.VISITOR,
        "set_payout": Role.VISITOR,
    },
    "lockups": {
        "settle": Role.VISITOR,
    },
    "sale": {
        "buy": Role.VISITOR,
        "withdraw": Role.VISITOR,
        "confirm_repayment": Role.VISITOR,
        "deliver": Role.VISITOR,
    },
    "gifts": {
        "tip": Role.VISITOR,
        "tip_did": Role.VISITOR,
        "give": Role.VISITOR,
        "claim": Role.VISITOR,
        "refund": Role.VISITOR,
    },
    "acceptors": {
        "apply": Role.VISITOR,
        "withdraw": Role.VISITOR,
        "check": Role.VISITOR,
    },
    "mining": {
        "post_batch": Role.VISITOR,
        "record": Role.VISITOR,
        "challenge": Role.VISITOR,
        "set_weight": Role.VISITOR,
        "appeal": Role.VISITOR,
    },
    "ads": {
        "create": Role.ADVERTISER,
        "revise": Role.ADVERTISER,
        "fund": Role.VISITOR,
        "submit": Role.ADVERTISER,
        "review": Role.COMMUNITY_ADMINISTRATOR,
        "pause": Role.VISITOR,
        "resume": Role.ADVERTISER,
        "end": Role.VISITOR,
        "settle": Role.VISITOR,
        "accept": Role.VISITOR,
        "complete": Role.VISITOR,
        "lapse": Role.VISITOR,
        "open_channel": Role.VISITOR,
        "post_balance": Role.VISITOR,
        "settle_channel": Role.VISITOR,
        "enrol": Role.COMMUNITY_ADMINISTRATOR,
        "withdraw": Role.VISITOR,
        "complain": Role.VISITOR,
        "judge": Role.COMMUNITY_ADMINISTRATOR,
        "close_complaint": Role.VISITOR,
    },
    "dividends": {
        "take_back": Role.VISITOR,
    },
}
"""Visitor where the sender only brings a transaction in which identities have signed, or an account acts for itself."""

ROLES_NEEDED: Final[Mapping[tuple[str, str], Role]] = MappingProxyType(
    {(module, call): role for module, calls in _TABLE.items() for call, role in calls.items()}
)
"""(module, call) -> role; every call stands here, or the program does not start."""

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
    return ROLES_NEEDED[module, call]


def list_role_needs() -> list[RoleNeed]:
    """All calls that are not everybody's."""
    needs = [RoleNeed(module, call, role) for (module, call), role in ROLES_NEEDED.items()]
    return [need for need in needs if need.role is not Role.VISITOR]


def check_role(state: StateReader, context: Context, module: str, call: str) -> None:
    """Rule R6: whether the sender may make this call; raises Rejected. Costs nothing where everybody may."""
    role = ROLES_NEEDED[module, call]
    if role is Role.VISITOR:
        return
    context.gas.charge(GAS_ROLE_CHECK)
    did = get_account_did(state, context.sender)
    if did is None or not holds_role(state, did, role, context.block.height):
        raise Rejected(Reason.ROLE_MISSING, f"{module}.{call} needs the role {role.name.lower()}", role=int(role))
