"""A platform and persons in a state, and a list of accounts to be claimed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from identity.platform_account import (
    AccountHash,
    ClaimKey,
    compute_account_hash,
    derive_account_secrets,
    encode_claim_leaf,
    get_claim_private_key,
)
from identity.signing import SigningPurpose, signing_bytes
from ledger.codec import encode, to_plain
from ledger.merkle import build_proof, compute_leaf_hash, compute_root
from ledger.primitives import Height, RootHash, Signature, TimeMs
from ledger.transaction import Call
from tests.builders import DOMAIN, address_of, make_state
from tests.did_scene import SENDER, DidScene, Signer, sign
from vm.context import Moment
from vm.native.did_records import DidKind
from vm.native.platforms import BindingPayload, Claim, ClaimPayload, MigrationPayload, UnbindingPayload, get_link
from vm.native.recognition import Recognition, put_recognised
from vm.native.registry import answer_view

MASTER = bytes(range(32))
NAMES = ("a", "b", "c", "d", "e")
SECRETS = [derive_account_secrets(MASTER, name) for name in NAMES]
ACCOUNTS = [AccountHash(compute_account_hash(name, each.salt)) for name, each in zip(NAMES, SECRETS, strict=True)]
CLAIM_KEYS = [ClaimKey(get_claim_private_key(each).public_key.key) for each in SECRETS]
LEAVES = [compute_leaf_hash(encode_claim_leaf(*each)) for each in zip(ACCOUNTS, CLAIM_KEYS, strict=True)]
ROOT = compute_root(LEAVES)
UNTIL = Height(1_000)
_CALLS = {
    BindingPayload: ("bind", SigningPurpose.PLATFORM_BINDING),
    UnbindingPayload: ("unbind", SigningPurpose.PLATFORM_UNBINDING),
    MigrationPayload: ("post_migration", SigningPurpose.PLATFORM_MIGRATION),
}


def build(payload: Any, *signers: Signer) -> Call:
    """A call of the module with these signatures."""
    name, purpose = _CALLS[type(payload)]
    return Call("platforms", name, [to_plain(payload), to_plain(sign(purpose, payload, signers))])


class PlatformScene(DidScene):
    """A shop with five accounts, Alice and Bob."""

    def __init__(self) -> None:
        super().__init__(state=make_state({address_of(SENDER): 10**14}))
        self.shop = self.create("shop", kind=DidKind.ORGANISATION)
        self.alice = self.create("alice")
        self.bob = self.create("bob")
        self.names = {self.shop: "shop", self.alice: "alice", self.bob: "bob"}
        put_recognised(self.state, Recognition.PLATFORM, self.shop)

    def sign_as(self, *dids: Any) -> list[Signer]:
        """The one key of each."""
        return [(did, self.names[did]) for did in dids]

    def bind(self, account: int = 0, signers: Sequence[Signer] | None = None, **changes: Any) -> Call:
        """An account of the shop is Alice's, unless changed."""
        person = changes.get("person", self.alice)
        turn = get_link(self.state, person, changes.get("platform", self.shop)).turn
        payload = replace(BindingPayload(self.shop, person, ACCOUNTS[account], turn), **changes)
        return build(payload, *(signers or self.sign_as(payload.platform, payload.person)))

    def unbind(self, signer: Any = None, **changes: Any) -> Call:
        """The shop ends Alice's binding, unless changed."""
        person = changes.get("person", self.alice)
        payload = UnbindingPayload(self.shop, person, True, get_link(self.state, person, self.shop).turn)
        return build(replace(payload, **changes), *self.sign_as(signer or self.shop))

    def post(self, signer: Any = None, **changes: Any) -> Call:
        """The shop posts its five accounts."""
        payload = MigrationPayload(self.shop, ROOT, len(LEAVES), UNTIL)
        return build(replace(payload, **changes), *self.sign_as(signer or self.shop))

    def claim(
        self, account: int = 0, signers: Sequence[Signer] | None = None, key: int | None = None, **changes: Any
    ) -> Call:
        """Alice claims an account with its key, unless changed; also call arguments may be changed."""
        call_changes = {name: changes.pop(name) for name in ("proof", "claim_signature") if name in changes}
        payload = ClaimPayload(self.shop, RootHash(ROOT), self.alice, ACCOUNTS[account], CLAIM_KEYS[account])
        payload = replace(payload, **changes)
        message = signing_bytes(SigningPurpose.PLATFORM_CLAIM, DOMAIN, encode(payload))
        claim_signature = Signature(get_claim_private_key(SECRETS[account if key is None else key]).sign(message))
        signatures = sign(SigningPurpose.PLATFORM_CLAIM, payload, signers or self.sign_as(payload.person))
        claim = replace(Claim(payload, build_proof(LEAVES, account), claim_signature, signatures), **call_changes)
        return Call("platforms", "claim", to_plain(claim))

    def answer(self, view: str, *arguments: object) -> object:
        """A view of the module."""
        return answer_view(self.state, Moment(Height(100), TimeMs(1)), "platforms", view, list(arguments))
