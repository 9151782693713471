"""The one list of identities whose word counts for something, because governance has decided so.

| key                               | value |
|-----------------------------------|-------|
| recognised_key(recognition, did)  | empty |

A recognition ends by a decision of governance alone; what was vouched for before stays.
"""

from enum import IntEnum, unique
from typing import Final

from identity.did import DID_BYTES, Did
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import recognised_key, recognised_prefix
from vm.native.did_records import OWNED_KINDS, get_active_did


@unique
class Recognition(IntEnum):
    """What an identity is recognised for; wire number, never reused. An issuer's is 32 above that of its role."""

    VIN_ATTESTER = 1
    """A maker or inspector, who says which vehicle has which number."""
    PLATFORM = 2
    """A service with accounts of its own, which says whose they are."""
    AUDITOR = 3
    """May be shown whose a pseudonym is."""
    EVIDENCE_REPORTER = 4
    """Counts what identities have done for growth tasks."""
    PERSON_ISSUER = 34
    """Grants the role person."""
    CERTIFIED_INFLUENCER_ISSUER = 35
    """Grants the role certified influencer."""
    CERTIFIED_COMPANY_ISSUER = 36
    """Grants the role certified company."""
    ADVERTISER_ISSUER = 37
    """Grants the role advertiser."""
    COMMUNITY_ADMINISTRATOR_ISSUER = 38
    """Grants the role community administrator."""
    ATTESTER_ISSUER = 39
    """Grants the role attester."""


RECOGNISED_MAX: Final = 1_024  # in one recognition: all of them are counted for a proposal and listed by the view


def is_recognised(state: StateReader, recognition: Recognition, did: Did) -> bool:
    """Whether governance recognises an identity for this."""
    return state.get(recognised_key(recognition, did)) is not None


def check_recognised(state: StateReader, recognition: Recognition, did: Did) -> None:
    """The same; raises Rejected."""
    if not is_recognised(state, recognition, did):
        raise Rejected(
            Reason.NOT_RECOGNISED,
            f"governance does not recognise this identity as {recognition.name}",
            recognition=int(recognition),
        )


def check_recognisable(state: StateReader, recognition: Recognition, did: Did) -> None:
    """Whether an identity could be recognised: an active person or organisation that is not yet; raises Rejected."""
    if get_active_did(state, did).current.content.kind in OWNED_KINDS:
        raise Rejected(Reason.NOT_RECOGNISED, "vehicles and devices are recognised for nothing")
    if is_recognised(state, recognition, did):
        raise Rejected(Reason.NOT_RECOGNISED, f"governance recognises this identity as {recognition.name} already")
    if len(list_recognised(state, recognition)) >= RECOGNISED_MAX:
        raise Rejected(
            Reason.RECOGNISED_LIMIT, f"at most {RECOGNISED_MAX} are {recognition.name}", maximum=RECOGNISED_MAX
        )


def put_recognised(state: State, recognition: Recognition, did: Did) -> None:
    """Recognise an identity."""
    state.put(recognised_key(recognition, did), b"")


def delete_recognised(state: State, recognition: Recognition, did: Did) -> None:
    """Recognise an identity no longer."""
    state.delete(recognised_key(recognition, did))


def list_recognised(state: StateReader, recognition: Recognition) -> list[Did]:
    """All identities recognised for this, in their order."""
    return [Did(key[-DID_BYTES:]) for key, _ in state.iterate_prefix(recognised_prefix(recognition))]
