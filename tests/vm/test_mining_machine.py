"""Everybody posts, records, challenges and weighs in any order, and days pass: not a grain is lost or paid twice."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger.primitives import Height
from tests.mining_scene import TODAY, MiningScene, build_leaf, build_tree, check_conservation, list_batches
from vm.native.accounts import DAY_MS
from vm.native.mining_formulas import MINING_FUND_GRAINS, Epoch
from vm.native.mining_records import (
    DEFAULT_VERSION,
    BatchStatus,
    Suspension,
    get_batch,
    get_mining_epoch,
    get_progress,
    get_rules,
    get_weight_record,
    list_day_records,
    note_revenue,
    put_rules,
    put_suspension,
    void_batch,
)

BIG = st.integers(1, 10**9)
AGE = st.sampled_from([0, 1, 1, 1, 2])
"""Days after which a batch comes."""
VOUCHED = [rule.behaviour for rule in DEFAULT_VERSION.behaviours if rule.is_vehicle_vouched]


class MiningMachine(RuleBasedStateMachine):
    """After every step the books are right, and an open day counts exactly what stands."""

    @initialize()
    def begin(self):
        self.scene = MiningScene()
        self.proofs = {}

    @property
    def day(self):
        return self.scene.day

    @rule(records=BIG, age=AGE, signers=st.integers(2, 3), is_correction=st.booleans(), is_double=st.booleans())
    def post(self, records, age, signers, is_correction, is_double):
        epoch = Epoch(self.day - age)
        scene = self.scene
        number = get_mining_epoch(scene.state, epoch).batches + 1
        corrected = number - 1 if is_correction else 0
        leaves = [build_leaf(scene.alice, epoch), build_leaf(scene.alice if is_double else scene.gates[2], epoch)]
        root, proofs = build_tree(leaves)
        total = scene.total(records=records, times=2 * records, user_force=150 * records)
        counted = {"records": records, "force": 150 * records, "totals": (total,)}
        call = scene.batch(scene.gates[:signers], epoch=epoch, number=number, corrected=corrected, root=root, **counted)
        if scene.send(call).reason == 0:
            self.proofs[epoch, number] = proofs

    @rule(count=st.integers(1, 5), behaviour=st.sampled_from(VOUCHED))
    def record(self, count, behaviour):
        self.scene.send(self.scene.record(count=count, behaviour=behaviour))

    @rule(data=st.data())
    def challenge(self, data):
        if not self.proofs:
            return
        (epoch, number) = data.draw(st.sampled_from(sorted(self.proofs)))
        receipt = self.scene.send(self.scene.challenge(*self.proofs[epoch, number], epoch=epoch, number=number))
        if receipt.reason == 0:
            for gate in self.scene.gates:  # or nobody could post any more
                put_suspension(self.scene.state, gate, Suspension(Epoch(0), 1))

    @rule(data=st.data())
    def void(self, data):
        """As governance does."""
        if not self.proofs:
            return
        (epoch, number) = data.draw(st.sampled_from(sorted(self.proofs)))
        batch = get_batch(self.scene.state, epoch, number)
        is_open = get_mining_epoch(self.scene.state, epoch).outcome is None
        if batch.status is BatchStatus.STANDING and is_open:
            void_batch(self.scene.state, batch, self.day * DAY_MS)

    @rule(weight=st.integers(0, 99))
    def weigh(self, weight):
        known = get_weight_record(self.scene.state, self.scene.alice)
        turn = 0 if known is None else known.turn
        assert self.scene.send(self.scene.weigh(weight_hundredths=weight, turn=turn)).reason == 0

    @rule(days=st.sampled_from([0, 1, 1, 1, 2, 50]), fees=st.integers(0, 10**15))
    def pass_days(self, days, fees):
        self.scene.begin_day(self.day + days)
        note_revenue(self.scene.state, fees)

    @rule(half_life=st.integers(2, 2_000), ceiling=st.integers(1, 2**53 - 1), settling=st.integers(1, 2))
    def change_rules(self, half_life, ceiling, settling):
        rules = replace(
            DEFAULT_VERSION.rules,
            half_life_epochs=half_life,
            price_ceiling_micrograins=ceiling,
            price_floor_micrograins=min(ceiling, DEFAULT_VERSION.rules.price_floor_micrograins),
            settling_epochs=settling,
        )
        behaviours = get_rules(self.scene.state, self.day + 1).behaviours
        put_rules(self.scene.state, Epoch(self.day + 1), Height(1), rules, behaviours)

    @invariant()
    def the_fund_and_what_left_it_are_the_allocation(self):
        check_conservation(self.scene.state)
        progress = get_progress(self.scene.state)
        assert progress is None or progress.released_grains - progress.returned_grains <= MINING_FUND_GRAINS

    @invariant()
    def open_days_count_what_stands(self):
        progress = get_progress(self.scene.state)
        for epoch in range(TODAY if progress is None else progress.next_epoch, self.day + 1):
            record = get_mining_epoch(self.scene.state, epoch)
            standing = [b for b in list_batches(self.scene.state, epoch) if b.status is BatchStatus.STANDING]
            vouched = [each.force for _, each in list_day_records(self.scene.state, self.scene.alice, epoch)]
            assert len(standing) <= 1
            assert record.batch_force == sum(batch.payload.force for batch in standing)
            assert (record.vouched_force, record.vouched_records) == (sum(vouched), len(vouched))


MiningMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestMining = MiningMachine.TestCase
