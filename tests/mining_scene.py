"""Attesters, users and a car on days of mining, and short ways to sign what they do."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from identity.address import Address
from identity.did import Did
from identity.keys import PrivateKey
from identity.mining_record import MiningLeaf, RecordCommitment, TagKind, compute_tag, encode_mining_leaf
from identity.signing import SigningPurpose
from ledger.codec import to_plain
from ledger.merkle import build_inclusion_path, compute_leaf_hash, compute_root
from ledger.primitives import Height, TimeMs
from ledger.reasons import Reason
from ledger.receipt import Event, Receipt
from ledger.state import State, StateReader
from ledger.state_keys import mining_epoch_key
from ledger.transaction import Call
from tests.builders import Draft, address_of, block_context, make_state
from tests.did_scene import SENDER, DidScene, Signer, sign
from vm.block_end import apply_block_end
from vm.context import Moment
from vm.native.accounts import DAY_MS, get_account
from vm.native.did_records import DidKind
from vm.native.distribution_records import (
    DISTRIBUTION_ADDRESS,
    Breaker,
    SourceId,
    SourceRules,
    compute_free_grains,
    create_source,
    get_source,
)
from vm.native.iov import credit, get_balance
from vm.native.mining_epochs import RESERVED_EPOCHS
from vm.native.mining_formulas import MINING_FUND_GRAINS, Behaviour, Epoch
from vm.native.mining_records import (
    MINING_ADDRESS,
    SETTLING_BLOCKS,
    AppealPayload,
    Batch,
    BatchPayload,
    BehaviourTotal,
    LeafProof,
    RecordPayload,
    WeightPayload,
    WeightReason,
    get_batch,
    get_mining_epoch,
    get_progress,
    put_mining_source,
)
from vm.native.registry import answer_view
from vm.native.role_records import Grant, Role, put_grant
from vm.native.vehicle_records import Binding, VehicleRecord, VinAttestation, put_vehicle
from vm.transition import apply_transaction

TODAY = Epoch(20_800)
HASH = bytes([7]) * 32
COMMITMENT = RecordCommitment(bytes([8]) * 32)
GAS_LIMIT = 60_000
_CALLS = {
    BatchPayload: ("post_batch", SigningPurpose.MINING_BATCH),
    RecordPayload: ("record", SigningPurpose.MINING_RECORD),
    WeightPayload: ("set_weight", SigningPurpose.MINING_WEIGHT),
    AppealPayload: ("appeal", SigningPurpose.MINING_APPEAL),
}


def check_conservation(state: State) -> None:
    """What mining began with is what is left and what was released, less what came back; no day overran its budget."""
    progress = get_progress(state)
    if progress is None:
        assert get_balance(state, DISTRIBUTION_ADDRESS) == 0
        return
    fund, released, returned = get_balance(state, MINING_ADDRESS), progress.released_grains, progress.returned_grains
    assert fund + released - returned == progress.allocation_grains
    source = get_source(state, SourceId(1))
    assert get_balance(state, DISTRIBUTION_ADDRESS) == released - returned == source.left_grains
    found = [get_mining_epoch(state, epoch).outcome for epoch in range(progress.first_epoch, progress.next_epoch)]
    outcomes = [outcome for outcome in found if outcome is not None]
    assert len(outcomes) == len(found)
    assert all(outcome.released_grains <= outcome.budget_grains for outcome in outcomes)
    assert sum(outcome.released_grains for outcome in outcomes) == released
    assert sum(outcome.returned_grains for outcome in outcomes) == returned
    assert progress.reserved_grains == sum(outcome.released_grains for outcome in outcomes[-RESERVED_EPOCHS:])
    assert compute_free_grains(source) <= progress.reserved_grains, "the rest has come back"
    assert state.get(mining_epoch_key(progress.next_epoch - 1)) is not None or not outcomes


def build_source_rules(scene: "MiningScene", owner: bytes = MINING_ADDRESS) -> SourceRules:
    """Two attesters post the roots of mining, which pay at most a tenth of the fund in a day."""
    breaker = Breaker(DAY_MS, MINING_FUND_GRAINS // 10, 10_000, 1)
    return SourceRules("mining", Address(owner), scene.gates[:2], 2, DAY_MS, breaker)


def build(payload: Any, *signers: Signer) -> Call:
    """A call of the module with these signatures."""
    name, purpose = _CALLS[type(payload)]
    return Call("mining", name, [to_plain(payload), to_plain(sign(purpose, payload, signers))])


class MiningScene(DidScene):
    """Three attesters, Alice with her car, Bob, and the fund of the mainnet."""

    def __init__(self, day: Epoch = TODAY) -> None:
        super().__init__(state=make_state({address_of(SENDER): 10**15}))
        credit(self.state, MINING_ADDRESS, MINING_FUND_GRAINS, 0)
        self.day, self.late_ms = day, 0
        names = {self.create(f"gate{n}", kind=DidKind.ORGANISATION): f"gate{n}" for n in range(3)}
        self.gate_names = names
        self.gates = tuple(sorted(names))
        for gate in self.gates:
            put_grant(self.state, gate, Role.ATTESTER, Grant(Height(10**6), None), Height(1))
        self.alice, self.bob = self.create("alice"), self.create("bob")
        owner = (self.alice, "alice")
        self.car = self.create("car", kind=DidKind.VEHICLE, owner=self.alice, signers=[owner, "car"])
        self.attest_and_bind(self.car, HASH)
        self.source = create_source(self.state, build_source_rules(self))
        put_mining_source(self.state, self.source)
        self.state.forget_marks()

    def attest_and_bind(self, car: Did, nullifier: bytes) -> None:
        """As if a maker and the owner had done it."""
        vin = VinAttestation(bytes(32), nullifier, self.gates[0], 0, Height(1))
        put_vehicle(self.state, car, VehicleRecord(2, vin, Binding(self.get(car).ownership, Height(1), ())))

    def send(self, call: Call, key: PrivateKey = SENDER) -> Receipt:
        """The receipt of one call, in a block of its own on the present day."""
        context = block_context(self.height, self.day * DAY_MS + self.late_ms + self.height)
        sequence = get_account(self.state, address_of(key)).sequence
        draft = Draft(key, [call], sequence=sequence, gas_limit=GAS_LIMIT, valid_until=self.height + 10)
        receipt = apply_transaction(self.state, context, draft.sign())
        self.state.forget_marks()
        self.height += 1
        return receipt

    def refuse(self, call: Call, reason: Reason) -> None:
        """The call fails for this reason and changes nothing of mining."""
        before = self.list_stored()
        receipt = self.send(call)
        assert (Reason(receipt.reason), receipt.events) == (reason, ())
        assert self.list_stored() == before

    def list_stored(self) -> dict[bytes, bytes | None]:
        """All that the module has in the state."""
        return {key: value for key, value in self.state.changes.items() if 160 <= key[0] <= 168}

    def end_block(self, day: int, fees_grains: int = 0) -> list[Event]:
        """The end of a block on this day; what it tells of mining."""
        self.day = Epoch(day)
        context = block_context(self.height, day * DAY_MS + self.late_ms + self.height)
        events = apply_block_end(self.state, context, fees_grains)
        self.state.forget_marks()
        self.height += 1
        check_conservation(self.state)
        return [event for event in events if event.module == "mining"]

    def begin_day(self, day: int, fees_grains: int = 0) -> list[Event]:
        """The first blocks of a day, as many as settle what is over; what they tell of mining."""
        first = self.end_block(day, fees_grains)
        self.height += SETTLING_BLOCKS - 1
        return [*first, *self.end_block(day)]

    def total(self, **changes: Any) -> BehaviourTotal:
        """Ten cars that were started."""
        return replace(BehaviourTotal(Behaviour.CAR_STARTED, 10, 10, 1_000, 0), **changes)

    def batch(self, gates: Sequence[Did] | None = None, signers: Sequence[Did] | None = None, **changes: Any) -> Call:
        """The first two attesters agree on yesterday's records."""
        gates = tuple(self.gates[:2] if gates is None else gates)
        epoch = changes.get("epoch", Epoch(self.day - 1))
        payload = BatchPayload(
            gateway=gates[0],
            epoch=epoch,
            number=get_mining_epoch(self.state, epoch).batches + 1,
            corrected=0,
            attesters=gates,
            root=HASH,
            records=10,
            force=1_000,
            totals=(self.total(),),
            manifest_hash=HASH,
        )
        named = [(gate, self.gate_names.get(gate, "nobody")) for gate in (gates if signers is None else signers)]
        return build(replace(payload, **changes), *named)

    def record(self, *signers: Signer, **changes: Any) -> Call:
        """Alice has started her car once."""
        payload = RecordPayload(self.alice, self.car, self.day, Behaviour.CAR_STARTED, 1, COMMITMENT)
        return build(replace(payload, **changes), *(signers or ((self.alice, "alice"), (self.car, "car"))))

    def weigh(self, gates: Sequence[Did] | None = None, **changes: Any) -> Call:
        """The first two attesters find Alice suspicious."""
        gates = tuple(self.gates[:2] if gates is None else gates)
        payload = WeightPayload(self.alice, gates, 40, WeightReason.AUTOMATED, HASH, 0)
        return build(replace(payload, **changes), *[(gate, self.gate_names.get(gate, "nobody")) for gate in gates])

    def appeal(self, signer: Signer | None = None, **changes: Any) -> Call:
        """Alice objects."""
        return build(replace(AppealPayload(self.alice, HASH, 1), **changes), signer or (self.alice, "alice"))

    def challenge(self, first: LeafProof, second: LeafProof, epoch: int | None = None, number: int = 1) -> Call:
        """Somebody shows two records of a batch, of yesterday's if nothing else is said."""
        day = self.day - 1 if epoch is None else epoch
        return Call("mining", "challenge", [day, number, to_plain(first), to_plain(second)])

    def answer(self, view: str, *arguments: object) -> Any:
        """A view of the module on the present day."""
        moment = Moment(Height(self.height), TimeMs(self.day * DAY_MS))
        return answer_view(self.state, moment, "mining", view, list(arguments))


def list_batches(state: StateReader, epoch: int) -> list[Batch]:
    """All batches of an epoch in their order: at most BATCHES_MAX."""
    found = [get_batch(state, epoch, number) for number in range(1, get_mining_epoch(state, epoch).batches + 1)]
    return [batch for batch in found if batch is not None]


def build_leaf(user: Did, epoch: int = TODAY, **changes: Any) -> MiningLeaf:
    """A user's record of a car that was started."""
    leaf = MiningLeaf(
        behaviour=2,
        epoch=epoch,
        user=compute_tag(TagKind.USER, epoch, user),
        provider=compute_tag(TagKind.PROVIDER, epoch, None),
        vehicle=compute_tag(TagKind.VEHICLE, epoch, HASH),
        phone=compute_tag(TagKind.PHONE, epoch, None),
        commitment=COMMITMENT,
    )
    return replace(leaf, **changes)


def build_tree(leaves: Sequence[MiningLeaf]) -> tuple[bytes, list[LeafProof]]:
    """The root over some records, and the proof of each."""
    encoded = [encode_mining_leaf(leaf) for leaf in leaves]
    hashes = [compute_leaf_hash(each) for each in encoded]
    proofs = [LeafProof(each, build_inclusion_path(hashes, index)) for index, each in enumerate(encoded)]
    return compute_root(hashes), proofs
