"""Everybody does anything in any order: the books are exact after every step, and the committee can always go on."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger.evidence import Offence, OffenceKind
from ledger.primitives import Height, Round
from ledger.reasons import Rejected
from ledger.state_keys import offence_key
from tests.stake_scene import BANK, HOLDERS, IOV, OPERATORS, STAKING_PARAMETERS, StakeScene, check_books
from vm.native import stake
from vm.native.election import compute_quorum, get_committee, get_next_committee
from vm.native.punishment import get_absences
from vm.native.stake import compute_delegation_value, find_candidate, get_delegation, get_epoch, get_holdings
from vm.offences import find_culprit

EVERYBODY = (*OPERATORS, *HOLDERS)
OPERATOR = st.sampled_from(OPERATORS)
AMOUNTS = st.one_of(
    st.integers(0, 2 * IOV), st.integers(0, 5_000 * IOV), st.sampled_from([IOV, 10 * IOV, 100 * IOV, 10**18])
)


class StakingMachine(RuleBasedStateMachine):
    """A small network with short epochs; calls are made by whoever the example names."""

    @initialize(
        slash_bps=st.sampled_from([0, 1, 500, 9_999, 10_000]),
        fee_bps=st.sampled_from([0, 3_333, 10_000]),
        unbonding_epochs=st.integers(1, 3),
    )
    def begin(self, slash_bps, fee_bps, unbonding_epochs):
        self.scene = StakeScene(
            replace(
                STAKING_PARAMETERS,
                epoch_heights=3,
                absence_heights_max=4,
                unbonding_epochs=unbonding_epochs,
                double_sign_slash_bps=slash_bps,
                absence_slash_bps=slash_bps,
                proposer_fee_bps=fee_bps,
            )
        )
        self.released: list[tuple[int, bytes, bytes]] = []

    def attempt(self, sender, name, **arguments):
        """A refused call changes nothing; any other failure is a bug."""
        before = dict(self.scene.state.changes)
        try:
            self.scene.call(sender, name, **arguments)
        except Rejected:
            assert self.scene.state.changes == before
        else:
            self.scene.state.forget_marks()

    @rule(operator=OPERATOR, commission_bps=st.integers(0, 10_000), amount=AMOUNTS)
    def stand(self, operator, commission_bps, amount):
        self.attempt(operator, "stand", commission_bps=commission_bps, bond_grains=amount)

    @rule(operator=OPERATOR, name=st.sampled_from(["retire", "unjail"]))
    def retire_or_unjail(self, operator, name):
        self.attempt(operator, name)

    @rule(operator=OPERATOR, amount=AMOUNTS)
    def bond(self, operator, amount):
        self.attempt(operator, "bond", amount_grains=amount)

    @rule(operator=OPERATOR, permille=st.integers(0, 1_001))
    def unbond(self, operator, permille):
        self.attempt(operator, "unbond", amount_grains=self.compute_part(operator, operator, permille))

    @rule(holder=st.sampled_from(HOLDERS), operator=st.sampled_from(OPERATORS[:5]), amount=AMOUNTS)
    def delegate(self, holder, operator, amount):
        self.attempt(holder, "delegate", operator=operator, amount_grains=amount)

    @rule(stake=st.integers(0, 99), permille=st.one_of(st.just(1_000), st.integers(0, 1_001)))
    def undelegate(self, stake, permille):
        delegations = self.list_delegations()
        if delegations:
            holder, operator = delegations[stake % len(delegations)]
            amount = self.compute_part(holder, operator, permille)
            self.attempt(holder, "undelegate", operator=operator, amount_grains=amount)

    def list_delegations(self):
        """Who has stake with whom."""
        pairs = [(holder, operator) for holder in EVERYBODY for operator in OPERATORS]
        return [pair for pair in pairs if get_delegation(self.scene.state, *pair).shares]

    def compute_part(self, holder, operator, permille):
        """A part of a holder's stake; more than 1,000 is more than there is."""
        candidate = find_candidate(self.scene.state, operator)
        value = 0 if candidate is None else compute_delegation_value(self.scene.state, holder, candidate)
        return value * permille // 1_000

    @rule(holder=st.sampled_from(HOLDERS), pair=st.tuples(OPERATOR, OPERATOR), permille=st.integers(0, 1_001))
    def redelegate(self, holder, pair, permille):
        amount = self.compute_part(holder, pair[0], permille)
        self.attempt(holder, "redelegate", source=pair[0], target=pair[1], amount_grains=amount)

    @rule(
        proposer=st.integers(0, 3),
        round_number=st.sampled_from([0, 0, 1, 2, 5]),
        culprit=st.sampled_from([None, 0, 1, 2, 3]),
        age=st.integers(1, 6),
        fees=st.sampled_from([0, 1, 997, 10**9]),
        blocks=st.integers(1, 4),
    )
    def end_blocks(self, proposer, round_number, culprit, age, fees, blocks):
        state = self.scene.state
        offences = []
        if culprit is not None:
            members = get_committee(state).members
            key = members[culprit % len(members)].consensus_key
            offence = Offence(OffenceKind.PREVOTE, key, Height(max(1, self.scene.height - age)), Round(0))
            found = find_culprit(state, offence)
            if found is not None and state.get(offence_key(found.term_height, offence.id)) is None:
                offences = [offence]
        for _ in range(blocks):
            promised = get_next_committee(state)
            size = len(get_committee(state).members)
            epoch = get_epoch(state)
            fees_now = min(fees, self.scene.get_balance(BANK))
            events = self.scene.end_block(proposer % size, round_number, offences, fees_now)
            state.forget_marks()
            assert get_committee(state) == promised
            for event in events:
                if event.name == "Released":
                    self.released.append((get_epoch(state).number, event.fields[1], event.fields[0]))
            assert get_epoch(state).number - epoch.number <= 1
            round_number, offences, fees = 0, [], 0

    @invariant()
    def the_books_are_exact(self):
        if hasattr(self, "scene"):
            check_books(self.scene.state)

    @invariant()
    def the_committee_can_go_on(self):
        if not hasattr(self, "scene"):
            return
        state, parameters = self.scene.state, self.scene.parameters
        for committee in (get_committee(state), get_next_committee(state)):
            operators = [member.operator for member in committee.members]
            assert len(set(operators)) == len(operators)
            assert parameters.committee_members_min <= len(operators) <= parameters.committee_seats
            assert compute_quorum(len(operators)) <= len(operators)
        members = {member.operator for member in (*get_committee(state).members, *get_next_committee(state).members)}
        absent = [each.operator for each in get_absences(state).members]
        assert absent == sorted(set(absent))
        assert set(absent) <= members

    @invariant()
    def stake_comes_back_in_order(self):
        if hasattr(self, "scene"):
            assert self.released == sorted(self.released)
            assert get_epoch(self.scene.state).released_before > 0

    def teardown(self):
        """In the end everybody leaves, and all of it comes back to its holders."""
        if not hasattr(self, "scene"):
            return
        self.scene.end_epoch_without(-1)  # a new pool for what leaves: this epoch's may be depleted
        for holder in EVERYBODY:
            for operator in OPERATORS:
                amount = self.compute_part(holder, operator, 1_000)
                self.attempt(holder, "undelegate", operator=operator, amount_grains=amount)
        for _ in range(self.scene.parameters.unbonding_epochs + 2):
            self.scene.end_epoch_without(-1)
            check_books(self.scene.state)
        for holder in EVERYBODY:
            assert get_holdings(self.scene.state, holder) == stake.Holdings(0, ())


StakingMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_stake = StakingMachine.TestCase
