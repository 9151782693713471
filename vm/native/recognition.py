"""Identities whose word counts in a role, because governance has decided so.

| key                        | value |
|----------------------------|-------|
| recognised_key(role, did)  | empty |
"""

from enum import IntEnum, unique

from identity.did import DID_BYTES, Did
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import recognised_key, recognised_prefix
from vm.native.did_records import OWNED_KINDS, get_active_did


@unique
class Role(IntEnum):
    """What an identity is recognised for; wire number, never reused."""

    VIN_ATTESTER = 1
    """A maker or inspector, who says which vehicle has which number."""
    PLATFORM = 2
    """A service with accounts of its own, which says whose they are."""


def is_recognised(state: StateReader, role: Role, did: Did) -> bool:
    """Whether governance recognises an identity in a role."""
    return state.get(recognised_key(role, did)) is not None


def check_recognised(state: StateReader, role: Role, did: Did) -> None:
    """The same; raises Rejected."""
    if not is_recognised(state, role, did):
        raise Rejected(Reason.NOT_RECOGNISED, f"governance does not recognise this identity as {role.name}")


def check_recognisable(state: StateReader, role: Role, did: Did) -> None:
    """Whether an identity could be recognised: an active person or organisation that is not yet; raises Rejected."""
    if get_active_did(state, did).current.content.kind in OWNED_KINDS:
        raise Rejected(Reason.NOT_RECOGNISED, "vehicles and devices are recognised in no role")
    if is_recognised(state, role, did):
        raise Rejected(Reason.NOT_RECOGNISED, f"governance recognises this identity as {role.name} already")


def put_recognised(state: State, role: Role, did: Did) -> None:
    """Recognise an identity."""
    state.put(recognised_key(role, did), b"")


def delete_recognised(state: State, role: Role, did: Did) -> None:
    """Recognise an identity no longer."""
    state.delete(recognised_key(role, did))


def list_recognised(state: StateReader, role: Role) -> list[Did]:
    """All identities recognised in a role, in their order."""
    return [Did(key[-DID_BYTES:]) for key, _ in state.iterate_prefix(recognised_prefix(role))]
