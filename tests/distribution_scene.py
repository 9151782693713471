"""A source of distributions with attesters, and short ways to build its roots, claims and challenges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from identity.address import Address
from identity.did import Did
from identity.signing import SigningPurpose
from ledger.codec import to_plain
from ledger.merkle import build_inclusion_path, compute_leaf_hash, compute_root
from ledger.primitives import Grains, Height, RootHash, TimeMs
from ledger.reasons import Reason
from ledger.state import State
from ledger.state_keys import Table
from ledger.transaction import Call
from tests.builders import address_of, make_key
from tests.did_scene import SENDER, DidScene, sign
from vm.context import Moment
from vm.native.distribution import (
    Challenge,
    Claim,
    PayoutPayload,
    PostRoot,
    RootPayload,
    SetPayout,
    VoidPayload,
    VoidRoot,
)
from vm.native.distribution_faults import Fault
from vm.native.distribution_records import (
    DISTRIBUTION_ADDRESS,
    Breaker,
    SourceId,
    SourceRules,
    create_source,
    find_root,
    fund_source,
    get_source,
)
from vm.native.distribution_tree import (
    SHARDS,
    BeneficiaryId,
    BeneficiaryKind,
    Leaf,
    ProvenLeaf,
    ProvenShard,
    Shard,
    build_shard,
    compute_epoch_root,
    compute_shard_number,
    encode_leaf,
    prove_shard,
)
from vm.native.iov import get_balance
from vm.native.registry import answer_view

OWNER = make_key("owner")
ATTESTERS = ("first attester", "second attester", "third attester")
CHALLENGE_MS = 10_000
WINDOW_MS = 240_000
PART_MS = 10_000
FUNDS = 10_000
BREAKER = Breaker(WINDOW_MS, 5_000, 5_000, 1_000)
MANIFEST = bytes(31) + b"\1"

Key = tuple[int, bytes]
"""Kind and id of a beneficiary."""


def account_key(name: str) -> Key:
    """The account of this name as a beneficiary."""
    return int(BeneficiaryKind.ACCOUNT), address_of(make_key(name))


def did_key(did: Did) -> Key:
    """An identity as a beneficiary."""
    return int(BeneficiaryKind.DID), did


def find_names(shard: int, count: int) -> list[str]:
    """Names of accounts that belong to a shard, in order of their leaves."""
    names = (f"beneficiary {number}" for number in range(100_000))
    found: list[str] = []
    while len(found) < count:
        name = next(names)
        if compute_shard_number(*account_key(name)) == shard:
            found.append(name)
    return sorted(found, key=account_key)


@dataclass
class Distribution:
    """All leaves of a root; may be as wrong as a test wants it."""

    shards: list[Shard]
    leaves: list[tuple[Leaf, ...]]

    @property
    def root(self) -> RootHash:
        """Of the epoch."""
        return compute_epoch_root(tuple(self.shards))

    @property
    def total_grains(self) -> int:
        """Of all shards."""
        return sum(each.total_grains for each in self.shards)

    def prove_shard(self, number: int) -> ProvenShard:
        """That a shard stands under the root."""
        return prove_shard(self.shards, number)

    def prove(self, number: int, index: int) -> ProvenLeaf:
        """That a leaf stands there in a shard."""
        leaves = self.leaves[number]
        path = build_inclusion_path([compute_leaf_hash(encode_leaf(each)) for each in leaves], index)
        return ProvenLeaf(leaves[index], path, self.prove_shard(number))

    def prove_key(self, key: Key) -> ProvenLeaf:
        """That a beneficiary has its leaf."""
        number = compute_shard_number(*key)
        index = [(int(each.kind), each.id) for each in self.leaves[number]].index(key)
        return self.prove(number, index)

    def replace_shard(self, number: int, leaves: Sequence[Leaf], total_grains: int | None = None) -> "Distribution":
        """The same with other leaves in a shard, right or wrong."""
        shard, _ = build_shard([])
        hashes = [compute_leaf_hash(encode_leaf(each)) for each in leaves]
        if hashes:
            shard = Shard(compute_root(hashes), Grains(sum(each.lifetime_grains for each in leaves)))
        if total_grains is not None:
            shard = replace(shard, total_grains=Grains(total_grains))
        shards, all_leaves = list(self.shards), list(self.leaves)
        shards[number], all_leaves[number] = shard, tuple(leaves)
        return Distribution(shards, all_leaves)


def distribute(lifetimes: Mapping[Key, int]) -> Distribution:
    """The right distribution of lifetime totals."""
    by_shard: list[list[tuple[int, bytes, int]]] = [[] for _ in range(SHARDS)]
    for (kind, identifier), lifetime in sorted(lifetimes.items()):
        by_shard[compute_shard_number(kind, identifier)].append((kind, identifier, lifetime))
    built = [build_shard(each) for each in by_shard]
    return Distribution([shard for shard, _ in built], [leaves for _, leaves in built])


def check_conservation(state: State) -> None:
    """Rule D2: what was funded is claimed or left, source by source, and the module holds what is left."""
    left = 0
    for key, _ in state.iterate_prefix(bytes([Table.DISTRIBUTION_SOURCE])):
        source = SourceId(int.from_bytes(key[1:], "big"))
        found = get_source(state, source)
        prefix = bytes([Table.DISTRIBUTION_CLAIMED]) + key[1:]
        paid = sum(int.from_bytes(value, "big") for _, value in state.iterate_prefix(prefix))
        assert found.claimed_grains == paid
        assert 0 <= found.claimed_grains <= found.funded_grains
        assert found.promised_grains <= found.funded_grains
        left += found.funded_grains - paid
    assert get_balance(state, DISTRIBUTION_ADDRESS) == left


@dataclass
class DistributionScene(DidScene):
    """A funded source with three attesters, two of whom suffice."""

    source: SourceId = field(init=False)
    attesters: dict[str, Did] = field(init=False)

    def __post_init__(self) -> None:
        self.attesters = {name: self.create(name) for name in ATTESTERS}
        self.source = create_source(self.state, self.rules())
        fund_source(self.state, self.source, address_of(SENDER), FUNDS, 0)
        self.state.forget_marks()

    def rules(self, **changes: Any) -> SourceRules:
        """Rules as most tests want them."""
        attesters = tuple(sorted(self.attesters.values()))
        return replace(SourceRules("mining", address_of(OWNER), attesters, 2, CHALLENGE_MS, BREAKER), **changes)

    @property
    def now_ms(self) -> int:
        """Time of the next block."""
        return self.height * 1_000 + self.halted_ms

    def pass_ms(self, milliseconds: int) -> None:
        """Let time go by."""
        assert milliseconds % 1_000 == 0
        self.height += milliseconds // 1_000

    def halt(self, milliseconds: int) -> None:
        """Let time go by without a block."""
        self.halted_ms += milliseconds

    def refuse(self, call: Call, reason: Reason) -> None:
        """The call fails for this reason and changes nothing of distributions."""
        before = self.list_changes()
        receipt = self.send(call)
        assert (Reason(receipt.reason), receipt.events) == (reason, ())
        assert self.list_changes() == before

    def list_changes(self) -> dict[bytes, bytes | None]:
        """All that the state holds for distributions."""
        return {key: value for key, value in self.state.changes.items() if 140 <= key[0] < 148}

    def answer(self, view: str, *arguments: Any) -> Any:
        """A view after the last block."""
        moment = Moment(Height(self.height - 1), TimeMs(self.now_ms - 1_000))
        return answer_view(self.state, moment, "distribution", view, list(arguments))

    def sign_as(self, purpose: SigningPurpose, payload: object, names: Sequence[str]) -> Any:
        """Signatures of attesters."""
        return sign(purpose, payload, [(self.attesters[name], name) for name in names])

    def payload(self, built: Distribution, **changes: Any) -> RootPayload:
        """The next root of the source."""
        number = get_source(self.state, self.source).roots + 1
        plain = RootPayload(self.source, number, built.root, Grains(built.total_grains), MANIFEST)  # type: ignore[arg-type]
        return replace(plain, **changes)

    def post(self, built: Distribution, *names: str, **changes: Any) -> Call:
        """The call that posts a root."""
        payload = self.payload(built, **changes)
        signatures = self.sign_as(SigningPurpose.DISTRIBUTION_ROOT, payload, names or ATTESTERS[:2])
        return Call("distribution", "post_root", to_plain(PostRoot(payload, tuple(built.shards), signatures)))

    def settle(self, lifetimes: Mapping[Key, int]) -> Distribution:
        """A root that is posted and counts."""
        built = distribute(lifetimes)
        self.accept(self.post(built))
        self.pass_ms(CHALLENGE_MS)
        return built

    def claim(self, built: Distribution, *keys: Key, number: int | None = None) -> Call:
        """Claims of beneficiaries under a root, the newest unless told."""
        chosen = number or get_source(self.state, self.source).roots
        proven = tuple(built.prove_key(key) for key in keys)
        return Call("distribution", "claim", to_plain(Claim(self.source, chosen, proven)))

    def challenge(
        self,
        fault: Fault,
        *leaves: ProvenLeaf,
        base: ProvenLeaf | None = None,
        empty: ProvenShard | None = None,
        number: int | None = None,
    ) -> Call:
        """A challenge of the newest root, unless told."""
        chosen = number or get_source(self.state, self.source).roots
        return Call("distribution", "challenge", to_plain(Challenge(self.source, chosen, fault, leaves, base, empty)))

    def void(self, *names: str, number: int | None = None, root: bytes | None = None) -> Call:
        """The attesters' word that the newest root, unless told, is wrong."""
        chosen = number or get_source(self.state, self.source).roots
        posted = find_root(self.state, self.source, chosen)
        assert posted is not None
        payload = VoidPayload(self.source, chosen, RootHash(root or posted.root))
        signatures = self.sign_as(SigningPurpose.DISTRIBUTION_VOID, payload, names or ATTESTERS[:2])
        return Call("distribution", "void_root", to_plain(VoidRoot(payload, signatures)))

    def payout(self, did: Did, key: str, account: Address | None, turn: int = 0, *, signer: Did | None = None) -> Call:
        """An identity's word where it is paid, signed by itself unless told."""
        payload = PayoutPayload(did, turn, account)
        signatures = sign(SigningPurpose.DISTRIBUTION_PAYOUT, payload, [(signer or did, key)])
        return Call("distribution", "set_payout", to_plain(SetPayout(payload, signatures)))

    def balance(self, name: str) -> int:
        """What the account of this name holds."""
        return get_balance(self.state, address_of(make_key(name)))


def leaf_of(key: Key, lifetime: int, before: int) -> Leaf:
    """A leaf, right or wrong."""
    return Leaf(BeneficiaryKind(key[0]), BeneficiaryId(key[1]), Grains(lifetime), Grains(before))


def fake_root() -> bytes:
    """A hash that is no root."""
    return sha256(b"no root").digest()
