"""A state with identities, and short ways to sign operations on them: every field has a sensible default."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from identity.address import Address
from identity.did import Did, compute_did
from identity.keys import KeyType, PrivateKey
from identity.policy import KeyPolicy, build_policy
from identity.signing import SigningDomain, SigningPurpose, signing_bytes
from ledger.codec import encode, to_plain
from ledger.receipt import Receipt
from ledger.state import State
from ledger.transaction import Call
from tests.builders import DOMAIN, Draft, address_of, block_context, make_key, make_state
from vm.native.accounts import get_account
from vm.native.did import SIGNED_CALLS
from vm.native.did_operations import Create
from vm.native.did_payloads import (
    ControlPayload,
    CreatePayload,
    DeactivatePayload,
    DidSignature,
    LinkPayload,
    TransferPayload,
    UpdatePayload,
    VersionPayload,
)
from vm.native.did_records import Control, DidKeys, DidKind, DidRecord, compute_commitment, get_did_record
from vm.transition import apply_transaction

SENDER = make_key("sender")
"""Sends and pays for everything; no identity knows it."""
GAS_LIMIT = 200_000
AGREEMENT_KEY = bytes([9]).ljust(32, b"\0")
"""The base point of X25519."""

Signer = tuple[Did, str | PrivateKey]


def key_of(name: str | PrivateKey) -> PrivateKey:
    """A key by its name; names that begin with a curve's name are of that curve."""
    if isinstance(name, PrivateKey):
        return name
    kind = next((each for each in KeyType if name.startswith(each.name.lower())), KeyType.ED25519)
    return make_key(name, kind)


def policy_of(*names: str, threshold: int = 1) -> KeyPolicy:
    """Keys of these names, each of weight 1."""
    return build_policy([(key_of(name).public_key, 1) for name in names], threshold)


def keys_of(*names: str, threshold: int = 1, agreement_keys: Sequence[bytes] = ()) -> DidKeys:
    """Own keys of these names."""
    return DidKeys(policy_of(*names, threshold=threshold) if names else None, tuple(agreement_keys))


def control_of(*names: str, threshold: int = 1, **changes: Any) -> Control:
    """Own keys rule; no commitments, no guardians."""
    plain = Control(keys_of(*names, threshold=threshold), None, None, None, None)
    return replace(plain, **changes)


def commit(*names: str, threshold: int = 1) -> bytes:
    """The commitment to keys of these names."""
    return compute_commitment(policy_of(*names, threshold=threshold))


def sign(
    purpose: SigningPurpose, payload: object, signers: Sequence[Signer], domain: SigningDomain = DOMAIN
) -> tuple[DidSignature, ...]:
    """Signatures of these keys in the name of these identities."""
    message = signing_bytes(purpose, domain, encode(payload))
    keys = [(did, key_of(name)) for did, name in signers]
    return tuple(DidSignature(did, key.key_type, key.public_key.key, key.sign(message)) for did, key in keys)


def build_create(
    control: Control,
    *signers: Signer | str,
    kind: DidKind = DidKind.PERSON,
    owner: Did | None = None,
    services: Sequence[Any] = (),
    salt: bytes = b"",
    domain: SigningDomain = DOMAIN,
) -> tuple[Did, Call]:
    """A new identity's name, and the call that creates it; a signer without an identity signs for the new one."""
    payload = CreatePayload(kind, owner, control, tuple(services), salt)
    did = compute_did(encode(payload))
    named = [(did, each) if isinstance(each, str) else each for each in signers]
    return did, as_call(Create(payload, sign(SigningPurpose.DID_CREATE, payload, named, domain)))


_NAMES = {rule.arguments: name for name, rule in SIGNED_CALLS.items()}


def as_call(arguments: Any) -> Call:
    """A call of the module by its arguments."""
    return Call("did", _NAMES[type(arguments)], to_plain(arguments))


def build_call(payload: Any, *signers: Signer | str, name: str | None = None, domain: SigningDomain = DOMAIN) -> Call:
    """An operation; a signer without an identity signs for the one that changes. Its name, where payloads share one."""
    name = name or next(each for each, rule in SIGNED_CALLS.items() if rule.payload is type(payload))
    named = [(payload.did, each) if isinstance(each, str) else each for each in signers]
    rule = SIGNED_CALLS[name]
    return as_call(rule.arguments(payload, sign(rule.purpose, payload, named, domain)))


@dataclass
class DidScene:
    """Identities in a state, changed by transactions of somebody who is none of them."""

    height: int = 1
    state: State = field(default_factory=lambda: make_state({address_of(SENDER): 10**12}))
    halted_ms: int = 0
    """How long the chain has stood still in all."""

    def send(self, call: Call, key: PrivateKey = SENDER) -> Receipt:
        """The receipt of one call, in a block of its own; the clock goes on by a second each block."""
        sequence = get_account(self.state, address_of(key)).sequence
        context = block_context(self.height, self.height * 1_000 + self.halted_ms)
        draft = Draft(key, [call], sequence=sequence, gas_limit=GAS_LIMIT, valid_until=self.height + 10)
        receipt = apply_transaction(self.state, context, draft.sign())
        self.state.forget_marks()
        self.height += 1
        return receipt

    def create(self, name: str, **changes: Any) -> Did:
        """A person whose one key has this name, unless changed."""
        control = changes.pop("control", None) or control_of(name)
        did, call = build_create(control, *changes.pop("signers", [name]), **changes)
        self.accept(call)
        return did

    def accept(self, call: Call, key: PrivateKey = SENDER) -> Receipt:
        """Send a call that succeeds."""
        receipt = self.send(call, key)
        assert receipt.reason == 0, receipt
        return receipt

    def get(self, did: Did) -> DidRecord:
        """An identity that exists."""
        record = get_did_record(self.state, did)
        assert record is not None
        return record

    def version_of(self, did: Did) -> bytes:
        """The id of its present version."""
        return self.get(did).current.version_id

    def update(self, did: Did, *services: Any) -> UpdatePayload:
        """New services for the present version."""
        return UpdatePayload(did, self.version_of(did), tuple(services))

    def control(self, did: Did, control: Control) -> ControlPayload:
        """New control for the present version."""
        return ControlPayload(did, self.version_of(did), control)

    def transfer(self, did: Did, owner: Did) -> TransferPayload:
        """A new owner for the present version."""
        return TransferPayload(did, self.version_of(did), owner)

    def deactivate(self, did: Did, next_keys: KeyPolicy | None = None) -> DeactivatePayload:
        """The end of the present version."""
        return DeactivatePayload(did, self.version_of(did), next_keys)

    def link(self, did: Did, account: Address) -> LinkPayload:
        """An account for the present version."""
        return LinkPayload(did, self.version_of(did), account)

    def on_version(self, did: Did) -> VersionPayload:
        """Nothing but the present version."""
        return VersionPayload(did, self.version_of(did))
