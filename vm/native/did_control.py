"""Who may act for an identity: signatures, and what they amount to.

The authority over an identity is its owner, when it has one; else its controllers, when it has some; else its own
keys. An owner or controller agrees by its own authority, at most CONTROL_DEPTH_MAX steps away, and never by way of the
identity that asks: identities that rule each other in a ring have nobody to agree for them.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from identity.did import Did
from identity.keys import PublicKey, verify_signature
from identity.policy import KeyPolicy, is_satisfied
from identity.signing import SigningPurpose, signing_bytes
from ledger.reasons import Reason, Rejected
from ledger.state import StateReader
from vm.context import Context
from vm.gas import GAS_SIGNATURE
from vm.native.did_payloads import DidSignature
from vm.native.did_records import GAS_DID_READ, Controllers, DidContent, get_active_did, get_did_record

CONTROL_DEPTH_MAX: Final = 3
"""Steps from an identity to keys, through owner and controllers: a car, its fleet, the fleet's managers."""

Authority = KeyPolicy | Controllers
Party = tuple[Did, Authority]
"""Who has to agree: an identity, and by what authority; for one's own new keys, the authority is not in force yet."""


def get_authority(content: DidContent) -> Authority:
    """Who rules an identity."""
    if content.owner is not None:
        return Controllers((content.owner,), 1)
    if content.control.controllers is not None:
        return content.control.controllers
    assert content.control.keys.policy is not None, "an identity is never without authority"
    return content.control.keys.policy


def check_did_signatures(
    state: StateReader,
    context: Context,
    did: Did,
    purpose: SigningPurpose,
    payload: bytes,
    signatures: Sequence[DidSignature],
) -> None:
    """Whether an identity, by its present authority, has signed this; raises Rejected.

    For every module that acts on an identity's word. The payload is canonical bytes and names whatever keeps the
    signature from being used twice. Charges what checking costs.
    """
    check_signatures(context, purpose, payload, signatures)
    check_agreed(state, context, [get_party(state, context, did)], signatures)


def get_party(state: StateReader, context: Context, did: Did) -> Party:
    """An active identity with its present authority; raises Rejected."""
    context.gas.charge(GAS_DID_READ)
    return did, get_authority(get_active_did(state, did).current.content)


def check_signatures(
    context: Context, purpose: SigningPurpose, payload: bytes, signatures: Sequence[DidSignature]
) -> None:
    """Whether every signature is right and every key signs once; raises Rejected. Says nothing about authority."""
    message = signing_bytes(purpose, context.block.domain, payload)
    signers = {(each.did, each.key_type, each.key) for each in signatures}
    if len(signers) != len(signatures):
        raise Rejected(Reason.DID_BAD_SIGNATURE, "a key signs once")
    for index, each in enumerate(signatures):
        context.gas.charge(GAS_SIGNATURE[each.key_type])
        if not verify_signature(PublicKey(each.key_type, each.key), message, each.signature):
            raise Rejected(Reason.DID_BAD_SIGNATURE, f"signature {index} for {purpose.name} is wrong", index=index)


def check_agreed(
    state: StateReader, context: Context, parties: Iterable[Party], signatures: Sequence[DidSignature]
) -> None:
    """Whether all parties agree, and nobody else has signed; raises Rejected. The signatures are right already."""
    count = _Count(state, context, signatures)
    missing = [did for did, authority in parties if not count.agrees((did,), authority)]
    for each in signatures:
        if each.did not in count.asked:
            raise Rejected(Reason.DID_FOREIGN_SIGNER, "an identity has signed that has no say in this")
        if (each.did, PublicKey(each.key_type, each.key)) not in count.counted:
            raise Rejected(Reason.DID_UNKNOWN_KEY, "a key has signed that its identity does not have now")
    if missing:
        raise Rejected(Reason.DID_NOT_AUTHORISED, "the signatures do not suffice", parties_missing=len(missing))


def is_key_of(policy: KeyPolicy | None, key: PublicKey) -> bool:
    """Whether a policy has this key."""
    return policy is not None and any(each.public_key == key for each in policy.keys)


class _Count:
    """Adds up signatures, and notes who was asked and which keys counted."""

    def __init__(self, state: StateReader, context: Context, signatures: Sequence[DidSignature]) -> None:
        self.asked: list[Did] = []
        self.counted: list[tuple[Did, PublicKey]] = []
        self._state = state
        self._context = context
        self._signatures = signatures

    def agrees(self, path: tuple[Did, ...], authority: Authority) -> bool:
        """Whether the last identity of a path, which leads to it from the one that asks, agrees by this authority."""
        did = path[-1]
        if isinstance(authority, KeyPolicy):
            self.asked.append(did)
            keys = [PublicKey(each.key_type, each.key) for each in self._signatures if each.did == did]
            own = [key for key in keys if is_key_of(authority, key)]
            self.counted += [(did, key) for key in own]
            return is_satisfied(authority, own)
        if len(path) > CONTROL_DEPTH_MAX:
            return False
        agreeing = [each for each in authority.dids if each not in path and self._agrees_now((*path, each))]
        return len(agreeing) >= authority.threshold

    def _agrees_now(self, path: tuple[Did, ...]) -> bool:
        """By its authority in force; an identity that has ended agrees to nothing."""
        self._context.gas.charge(GAS_DID_READ)
        record = get_did_record(self._state, path[-1])
        if record is None or record.is_deactivated:
            return False
        return self.agrees(path, get_authority(record.current.content))
