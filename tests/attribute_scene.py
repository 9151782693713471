"""Identities that ask each other for attributes, and short ways to sign what they do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import nacl.bindings as sodium

from identity.attributes import compute_attribute_commitment, seal_attribute
from identity.did import Did
from identity.signing import SigningDomain
from ledger.codec import to_plain
from ledger.reasons import Reason
from ledger.transaction import Call
from tests.builders import DOMAIN
from tests.did_scene import DidScene, Signer, build_call, sign
from vm.native.attribute_payloads import (
    Answer,
    ApprovalPayload,
    RequestId,
    RequestIdPayload,
    RequestPayload,
    Tag,
    TagForm,
    TagPayload,
    TagRemovalPayload,
)
from vm.native.attribute_records import (
    AttributeRecord,
    AttributeRequest,
    compute_request_id,
    find_request,
    get_attribute_record,
)
from vm.native.attributes import SIGNED_CALLS

ANSWER_SECRET = b"verifier".ljust(32, b"\1")
ANSWER_KEY = sodium.crypto_scalarmult_base(ANSWER_SECRET)
EPHEMERAL_SECRET = b"once".ljust(32, b"\2")
SALT = b"salt".ljust(32, b"\3")
PURPOSE = "To rent a car"


def build_attribute_call(
    name: str, payload: Any, *signers: Signer | str, purpose: str | None = None, domain: SigningDomain = DOMAIN
) -> Call:
    """An operation; a signer without an identity signs for its own. `purpose`: sign as if for that operation."""
    named = [(payload.did, each) if isinstance(each, str) else each for each in signers]
    signatures = sign(SIGNED_CALLS[purpose or name].purpose, payload, named, domain)
    return Call("attributes", name, to_plain(SIGNED_CALLS[name].arguments(payload, signatures)))


def build_answer(name: str, value: bytes = b"yes") -> Answer:
    """A value sealed for ANSWER_KEY."""
    sealed = seal_attribute(value, SALT, ANSWER_KEY, EPHEMERAL_SECRET)
    return Answer(name, sealed, compute_attribute_commitment(name, value, SALT))


@dataclass
class AttributeScene:
    """A holder, whose key is "alice", and a verifier, whose key is "shop"."""

    dids: DidScene = field(default_factory=DidScene)
    holder: Did = field(init=False)
    verifier: Did = field(init=False)

    def __post_init__(self) -> None:
        self.holder, self.verifier = self.dids.create("alice"), self.dids.create("shop")

    def accept(self, call: Call) -> list[tuple[str, list[Any]]]:
        """Send a call that succeeds; returns its events."""
        return [(each.name, list(each.fields)) for each in self.dids.accept(call).events]

    def refuse(self, call: Call, reason: Reason) -> None:
        """The call fails for this reason and changes nothing of attributes."""
        before = self.list_changes()
        receipt = self.dids.send(call)
        assert (Reason(receipt.reason), receipt.events) == (reason, ())
        assert self.list_changes() == before

    def list_changes(self) -> dict[bytes, bytes | None]:
        """All that the state holds for attributes."""
        return {key: value for key, value in self.dids.state.changes.items() if 90 <= key[0] < 100}

    def record(self, did: Did) -> AttributeRecord:
        """Sequence, counts and open requests."""
        return get_attribute_record(self.dids.state, did)

    def sequence(self, did: Did) -> int:
        """Of what it signs next."""
        return self.record(did).sequence

    def tag(
        self, name: str = "city", value: bytes = b"Paris", form: TagForm = TagForm.PLAIN, *, did: Did | None = None
    ) -> TagPayload:
        """A tag of the holder, or of another."""
        owner = did or self.holder
        return TagPayload(owner, self.sequence(owner), Tag(name, form, value, None))

    def removal(self, name: str = "city") -> TagRemovalPayload:
        """The end of a tag of the holder."""
        return TagRemovalPayload(self.holder, self.sequence(self.holder), name)

    def payload(
        self, *names: str, holder: Did | None = None, verifier: Did | None = None, heights: int = 100
    ) -> RequestPayload:
        """The verifier's request to the holder, for `heights` blocks after its own."""
        did = verifier or self.verifier
        expiry_height = self.dids.height + heights
        return RequestPayload(
            did, self.sequence(did), holder or self.holder, names or ("adult",), PURPOSE, expiry_height, ANSWER_KEY
        )

    def request(self, *names: str, signer: str = "shop", **changes: Any) -> RequestId:
        """A request that is accepted."""
        payload = self.payload(*names, **changes)
        self.accept(build_attribute_call("request", payload, signer))
        return compute_request_id(payload)

    def approval(self, request_id: RequestId, names: Sequence[str] = ("adult",)) -> ApprovalPayload:
        """The holder's answer."""
        return ApprovalPayload(self.holder, request_id, tuple(build_answer(each) for each in names))

    def by_holder(self, request_id: RequestId) -> RequestIdPayload:
        """A refusal or withdrawal of the holder."""
        return RequestIdPayload(self.holder, request_id)

    def find(self, request_id: RequestId) -> AttributeRequest:
        """A request as it stands after the last block."""
        found = find_request(self.dids.state, request_id, self.dids.height - 1)
        assert found is not None
        return found

    def deactivate(self, did: Did, key: str) -> None:
        """End an identity."""
        self.dids.accept(build_call(self.dids.deactivate(did), key))

    def pass_blocks(self, count: int) -> None:
        """Let blocks go by without a transaction."""
        self.dids.height += count
