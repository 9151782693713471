"""Governance under random proposals, votes, changes of bodies and committees: what must hold whatever happens."""

from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ledger.codec import decode, encode
from ledger.committee import Committee, Member
from ledger.primitives import SUPPLY_GRAINS, ConsensusKey
from ledger.receipt import Event
from ledger.state_keys import COMMITTEE_KEY, NEXT_COMMITTEE_KEY
from ledger.transaction import Call
from tests.builders import PARAMETERS, Draft, address_of, block_context, make_key, make_state
from vm.block_end import apply_block_end
from vm.context import BlockContext
from vm.native.accounts import get_account
from vm.native.governance import (
    BodyKind,
    Priority,
    ProposalStatus,
    get_docket,
    get_proposal,
    put_body,
)
from vm.native.iov import FEES_ADDRESS, TREASURY_ADDRESSES, get_balance
from vm.native.network import Operator, put_operator
from vm.native.pauses import get_pauses
from vm.parameters import Parameters, find_conflict, get_parameters, put_parameters
from vm.transition import apply_transaction

KEYS = [make_key(f"person {index}") for index in range(7)]
PEOPLE = [address_of(key) for key in KEYS]
START_GRAINS = 10**12
VOTING_HEIGHTS = {"voting_heights_normal": 4, "voting_heights_urgent": 3, "voting_heights_emergency": 2}
FIRST_PARAMETERS = Parameters(
    **{name: getattr(PARAMETERS, name) for name in Parameters.__dataclass_fields__} | VOTING_HEIGHTS
)
NUMBERS = ("block_interval_ms", "committee_seats", "committee_members_min", *VOTING_HEIGHTS, "pause_heights_max")

people = st.integers(0, len(KEYS) - 1)
groups = st.sets(people, max_size=5).map(sorted)
priorities = st.sampled_from(Priority)


def make_committee(indices) -> bytes:
    members = [Member(PEOPLE[index], ConsensusKey(bytes([index]) * 32)) for index in indices]
    return encode(Committee(tuple(members)))


class Governance(RuleBasedStateMachine):
    """Executes transactions and block ends as a chain does, and keeps its own account of who sat where."""

    def __init__(self) -> None:
        super().__init__()
        self.state = make_state(dict.fromkeys(PEOPLE, START_GRAINS))
        put_parameters(self.state, FIRST_PARAMETERS)
        self.bodies: dict[BodyKind, list[int]] = {body: [] for body in BodyKind}
        self.set_committee([0, 1, 2, 3])
        for index in range(5):
            put_operator(self.state, Operator(PEOPLE[index], f"operator {index}"))
        self.height = 1
        self.parameters = FIRST_PARAMETERS
        self.fees_grains = 0
        self.votes: dict[int, dict[bytes, bool]] = defaultdict(dict)
        self.settled: dict[int, list[tuple[int, ProposalStatus]]] = defaultdict(list)

    # What happens

    @property
    def block(self) -> BlockContext:
        context = block_context(self.height, self.height * 1_000)
        return BlockContext(context.height, context.time_ms, context.proposer, self.parameters, context.domain)

    def send(self, person: int, name: str, arguments: list) -> None:
        draft = Draft(
            KEYS[person],
            [Call("governance", name, arguments)],
            sequence=get_account(self.state, PEOPLE[person]).sequence,
            gas_limit=40_000,
            valid_until=10**6,
        )
        receipt = apply_transaction(self.state, self.block, draft.sign())
        self.state.forget_marks()
        self.fees_grains += receipt.fee_grains
        self.note(receipt.events)

    def note(self, events: tuple[Event, ...]) -> None:
        """Check and remember what was announced; the bodies are still those it was counted with."""
        for event in events:
            if event.name == "Voted":
                number, voter, is_approved = event.fields
                self.votes[number][voter] = is_approved
            elif event.name == "ProposalSettled":
                number, status = event.fields[0], ProposalStatus(event.fields[1])
                self.settled[number].append((self.height, status))
                if status is ProposalStatus.PASSED:
                    members = self.get_members(get_proposal(self.state, number).body)
                    ayes = sum(self.votes[number].get(member, False) for member in members)
                    assert 3 * ayes >= 2 * len(members), "nothing passes without two thirds"
            elif event.name == "BodySet":
                body, members = event.fields
                self.bodies[BodyKind(body)] = [PEOPLE.index(member) for member in members]

    def get_members(self, body: BodyKind) -> list[bytes]:
        indices = self.bodies[body] or self.bodies[BodyKind.COMMITTEE]
        return [PEOPLE[index] for index in indices]

    def set_committee(self, indices: list[int]) -> None:
        self.bodies[BodyKind.COMMITTEE] = indices
        for key in (COMMITTEE_KEY, NEXT_COMMITTEE_KEY):
            self.state.put(key, make_committee(indices))

    def propose(self, person: int, name: str, arguments: list, priority: Priority, delay: int) -> None:
        heights = getattr(self.parameters, f"voting_heights_{priority.name.lower()}")
        terms = [int(priority), self.height + heights + delay, "title"]
        self.send(person, name, [*arguments, terms])

    @rule(person=people, name=st.sampled_from(NUMBERS), value=st.integers(0, 30), priority=priorities)
    def propose_parameter(self, person: int, name: str, value: int, priority: Priority) -> None:
        self.propose(person, "propose_parameter", [name, value], priority, 1 + value % 3)

    @rule(name=st.sampled_from(NUMBERS), value=st.integers(0, 30))
    def decide_parameter(self, name: str, value: int) -> None:
        """The whole committee wants it, so nothing but its bounds can stop it."""
        committee = list(self.bodies[BodyKind.COMMITTEE])
        count = get_docket(self.state).count
        self.propose(committee[0], "propose_parameter", [name, value], Priority.URGENT, 1)
        if get_docket(self.state).count > count:
            for person in committee:
                self.send(person, "vote", [count + 1, True])
            self.end_blocks(self.parameters.voting_heights_urgent + 2)

    @rule(person=people, body=st.sampled_from(BodyKind), members=groups, priority=priorities)
    def propose_body(self, person: int, body: BodyKind, members: list[int], priority: Priority) -> None:
        addresses = [PEOPLE[index] for index in members]
        self.propose(person, "propose_body", [int(body), addresses], priority, 1)

    @rule(person=people, operator=people, is_removal=st.booleans(), delay=st.integers(0, 3))
    def propose_operator(self, person: int, operator: int, is_removal: bool, delay: int) -> None:
        if is_removal:
            self.propose(person, "propose_operator_removal", [PEOPLE[operator]], Priority.URGENT, delay)
        else:
            self.propose(person, "propose_operator", [PEOPLE[operator], "name"], Priority.NORMAL, delay)

    @rule(person=people, category=st.sampled_from(list(TREASURY_ADDRESSES)), grains=st.integers(0, 500))
    def propose_spending(self, person: int, category: str, grains: int) -> None:
        self.propose(person, "propose_spending", [category, PEOPLE[person], grains], Priority.URGENT, 1)

    @rule(person=people, module=st.sampled_from(["iov", "network", "governance"]), heights=st.integers(1, 4))
    def propose_pause(self, person: int, module: str, heights: int) -> None:
        self.propose(person, "propose_pause", [module, heights], Priority.EMERGENCY, 1)

    @rule(person=people, module=st.sampled_from(["iov", "network"]))
    def propose_resume(self, person: int, module: str) -> None:
        self.propose(person, "propose_resume", [module], Priority.EMERGENCY, 1)

    @precondition(lambda self: get_docket(self.state).open)
    @rule(
        data=st.data(),
        voters=st.sets(people, min_size=1).map(sorted),
        is_approved=st.sampled_from([True, True, True, False]),
    )
    def vote(self, data, voters: list[int], is_approved: bool) -> None:
        number = data.draw(st.sampled_from([each.id for each in get_docket(self.state).open]))
        for person in voters:
            self.send(person, "vote", [number, is_approved])

    @rule(person=people, grains=st.integers(0, 5_000))
    def donate(self, person: int, grains: int) -> None:
        self.send(person, "donate", [grains])

    @rule(indices=st.sets(people, min_size=1, max_size=5).map(sorted))
    def elect(self, indices: list[int]) -> None:
        self.set_committee(indices)

    @rule(body=st.sampled_from([BodyKind.FOUNDATION, BodyKind.TECHNICAL, BodyKind.FINANCIAL]), members=groups)
    def replace_body(self, body: BodyKind, members: list[int]) -> None:
        """As if another decision had done it."""
        put_body(self.state, body, [PEOPLE[index] for index in members])
        self.bodies[body] = members

    @rule(blocks=st.integers(1, 4))
    def end_blocks(self, blocks: int) -> None:
        for _ in range(blocks):
            self.note(apply_block_end(self.state, self.block, self.fees_grains))
            self.state.forget_marks()
            self.fees_grains = 0
            self.height += 1
            self.parameters = get_parameters(self.state)

    # What must hold

    @invariant()
    def every_proposal_goes_one_way_and_in_time(self) -> None:
        for number in range(1, get_docket(self.state).count + 1):
            proposal = get_proposal(self.state, number)
            steps = self.settled[number]
            statuses = [status for _, status in steps]
            assert proposal.status is (statuses[-1] if statuses else ProposalStatus.VOTING)
            assert statuses in (
                [],
                [ProposalStatus.REJECTED],
                [ProposalStatus.EXPIRED],
                [ProposalStatus.PASSED],
                [ProposalStatus.PASSED, ProposalStatus.APPLIED],
                [ProposalStatus.PASSED, ProposalStatus.FAILED],
            )
            assert proposal.deadline < proposal.effective_height
            if statuses:
                assert steps[0][0] <= proposal.deadline
            if len(statuses) == 2:
                assert steps[1][0] == proposal.effective_height, "once, at its height"
            if self.height > proposal.effective_height:
                assert proposal.status not in (ProposalStatus.VOTING, ProposalStatus.PASSED)

    @invariant()
    def what_is_open_stands_on_the_docket(self) -> None:
        docket = get_docket(self.state)
        unsettled = (ProposalStatus.VOTING, ProposalStatus.PASSED)
        numbers = range(1, docket.count + 1)
        expected = [number for number in numbers if get_proposal(self.state, number).status in unsettled]
        assert [each.id for each in docket.open] == expected

    @invariant()
    def the_parameters_are_within_their_bounds(self) -> None:
        parameters = get_parameters(self.state)
        assert decode(Parameters, encode(parameters)) == parameters
        assert find_conflict(parameters) is None

    @invariant()
    def no_grain_is_made_or_lost(self) -> None:
        holders = [*PEOPLE, FEES_ADDRESS, *TREASURY_ADDRESSES.values()]
        total = sum(get_balance(self.state, address) for address in holders) + self.fees_grains
        assert total == START_GRAINS * len(PEOPLE) < SUPPLY_GRAINS

    @invariant()
    def governance_is_never_paused_and_no_pause_is_overdue(self) -> None:
        for pause in get_pauses(self.state).modules:
            assert pause.module != "governance"
            assert pause.until_height >= self.height


Governance.TestCase.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
TestGovernance = Governance.TestCase
