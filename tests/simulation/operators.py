"""Operators who come, go and replace keys while the chain runs; each looks at the chain and does what is next.

A newcomer is admitted by votes of governance, registers its node, starts it with genesis alone on its disk, and stands
for election with a bond. Who leaves retires, waits until it has no seat, and takes its node from the registry.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from random import Random
from typing import TYPE_CHECKING

from identity.address import Address
from identity.certificate import build_signed_part
from identity.keys import PrivateKey
from identity.signing import SigningPurpose, signing_bytes
from ledger.codec import pack
from ledger.committee import Committee
from ledger.primitives import ConsensusKey
from ledger.state import State
from ledger.transaction import Call
from tests.simulation.cast import (
    ACCOUNTS,
    BOND_GRAINS,
    NEWCOMERS_MAX,
    get_account_address,
    get_account_secret,
    get_consensus_key,
    get_consensus_secret,
    get_node_key,
    get_node_secret,
    get_operator,
    get_operator_secret,
)
from tests.simulation.workload import VOTING_HEIGHTS_NORMAL, Clients
from vm.native.election import get_committee, get_next_committee
from vm.native.governance import (
    Priority,
    Proposal,
    ProposalKind,
    ProposalStatus,
    get_deciding_members,
    get_docket,
    get_proposal,
)
from vm.native.network import NodeRole, get_node, is_operator
from vm.native.stake import Candidate, find_candidate, get_epoch

if TYPE_CHECKING:
    from tests.simulation.node import Node
    from tests.simulation.world import Machine, World

LOOK_MS_MAX = 100
PATIENCE_MS = 700
"""Before a call that has had no effect is made again."""
SEATS_TO_SPARE = 4
"""Among fewer super nodes nobody replaces a node key, and none of genesis leaves.

A member that finalises blocks alone and then changes its key cannot be found by those that know only the old one.
"""


class Start(Enum):
    """When a newcomer's machine is switched on."""

    BEFORE = auto()
    """Before the registry holds it: peers refuse it for a while."""
    WITH = auto()
    AFTER = auto()


@dataclass(eq=False, slots=True)
class Operator:
    """What one of them wants, and how far that is."""

    seat: int
    """Names its account and its consensus key."""
    machine: "Machine | None" = None
    """A newcomer has none at first."""
    role: NodeRole = NodeRole.SUPER_NODE
    begins_ms: int = 0
    start: Start = Start.WITH
    start_delay_ms: int = 0
    bond_grains: int = 0
    is_hasty: bool = False
    """Stands for election before its machine has caught up."""
    leaves_after_heights: int | None = None
    rotates_at_height: int | None = None
    registered_height: int | None = None
    """When its node was first seen in the registry."""
    asked_ms: int = 0
    asked_call: str = ""
    """What it, or somebody for it, has asked for last."""
    is_starting: bool = False

    @property
    def address(self) -> Address:
        """Its account."""
        return get_operator(self.seat)


class Operators:
    """Those of this seed; in about half of the seeds somebody joins."""

    def __init__(self, world: "World", random: Random) -> None:
        self._world = world
        self._random = random
        self._clients = Clients(world, random)
        self._operators = [*self._draw_newcomers(), *self._draw_others()]
        self._secrets = {get_account_address(index): get_account_secret(index) for index in range(ACCOUNTS)}
        self._secrets |= {get_operator(seat): get_operator_secret(seat) for seat in range(world.seats + NEWCOMERS_MAX)}
        newcomers = range(world.seats, world.seats + NEWCOMERS_MAX)
        self.newcomer_keys: frozenset[ConsensusKey] = frozenset([get_consensus_key(seat) for seat in newcomers])

    @property
    def admitted(self) -> int:
        """How many of their transactions machines have taken."""
        return self._clients.admitted

    def begin(self) -> None:
        """From now on they look at the chain, if there are any."""
        if self._operators:
            self._look()

    def _draw_newcomers(self) -> list[Operator]:
        draw, may_rotate = self._random, self._world.seats >= SEATS_TO_SPARE
        count = draw.choices(range(NEWCOMERS_MAX + 1), (45, 35, 20))[0]
        return [
            Operator(
                self._world.seats + index,
                role=draw.choices((NodeRole.SUPER_NODE, NodeRole.OBSERVER), (4, 1))[0],
                begins_ms=self._world.now_ms + draw.choice((1, 1, draw.randint(1, 3_000))),
                start=draw.choice(list(Start)),
                start_delay_ms=draw.randint(1, 2_000),
                bond_grains=BOND_GRAINS * draw.choice((1, 4, 6)) // 2,
                is_hasty=draw.random() < 0.3,
                leaves_after_heights=draw.choice((None, None, draw.randint(5, 25))),
                rotates_at_height=draw.choice((None, None, None, draw.randint(20, 40))) if may_rotate else None,
            )
            for index in range(count)
        ]

    def _draw_others(self) -> list[Operator]:
        """One of the first super nodes may leave, and one may replace its node key."""
        draw, world = self._random, self._world
        if world.seats < SEATS_TO_SPARE:
            return []
        honest = [Operator(seat, world.machines[seat]) for seat in range(world.liars, world.seats)]
        leaving, rotating = draw.choice(honest), draw.choice(honest)
        if draw.random() < 0.25:
            leaving.leaves_after_heights = draw.randint(3, 20)
        if draw.random() < 0.25:
            rotating.rotates_at_height = draw.randint(3, 25)
        return [each for each in honest if (each.leaves_after_heights, each.rotates_at_height) != (None, None)]

    def _look(self) -> None:
        world = self._world
        world.after(self._random.randint(1, LOOK_MS_MAX), None, self._look)
        front = world.find_front()
        if front is None or front.chain.head.header.height < world.get_height():
            return  # whoever has come furthest is down: what was seen of the chain would be undone
        state = front.chain.open_state()
        for operator in self._operators:
            if world.now_ms >= operator.begins_ms:
                self._take_next_step(operator, front, state)

    def _take_next_step(self, operator: Operator, front: "Node", state: State) -> None:
        machine = operator.machine or self._buy_machine(operator)
        height = front.chain.head.header.height
        old_key, new_key = (get_node_key(machine.number, machine.key_generation + ahead) for ahead in (0, 1))
        if get_node(state, new_key) is not None:
            self._world.rotate_node_key(machine)
            self._world.after(self._random.randint(1, 500), None, self._world.start, machine)
        elif get_node(state, old_key) is None:
            self._join(operator, machine, state, height)
        else:
            self._run(operator, machine, state, height)

    def _buy_machine(self, operator: Operator) -> "Machine":
        key = get_consensus_key(operator.seat) if operator.role is NodeRole.SUPER_NODE else None
        operator.machine = self._world.add_machine(f"newcomer {operator.seat}", key, self._random)
        if operator.start is Start.BEFORE:
            self._switch_on(operator.machine)
        return operator.machine

    def _switch_on(self, machine: "Machine") -> None:
        machine.is_in_use = True
        self._world.start(machine)

    def _switch_off(self, machine: "Machine") -> None:
        """Unless it is wanted again: a registration sent twice may be executed after the removal."""
        if not machine.is_in_use:
            self._world.stop(machine)

    # Steps

    def _join(self, operator: Operator, machine: "Machine", state: State, height: int) -> None:
        """Be admitted, then registered; whoever was registered before has left."""
        if operator.registered_height is not None:
            if machine.is_in_use:
                machine.is_in_use = operator.is_starting = False
                self._world.after(self._random.randint(1, 1_000), None, self._switch_off, machine)
        elif is_operator(state, operator.address):
            self._ask(operator, operator.address, self._build_registration(operator, machine))
        else:
            self._seek_admission(operator, state, height)

    def _seek_admission(self, operator: Operator, state: State, height: int) -> None:
        proposals = [get_proposal(state, each.id) for each in get_docket(state).open]
        proposal = next((each for each in proposals if each is not None and _is_about(each, operator)), None)
        if proposal is None:
            proposer = self._random.choice(_list_seated(get_committee(state)))
            effective_height = height + VOTING_HEIGHTS_NORMAL + self._random.randint(3, 6)
            terms = [int(Priority.NORMAL), effective_height, "a newcomer"]
            arguments = [operator.address, f"newcomer {operator.seat}", terms]
            self._ask(operator, proposer, Call("governance", "propose_operator", arguments))
        elif proposal.status is ProposalStatus.VOTING:
            voters = [each for each in get_deciding_members(state, proposal.body) if each not in proposal.ayes]
            vote = Call("governance", "vote", [proposal.id, True])
            self._ask_all(operator, voters, vote)

    def _run(self, operator: Operator, machine: "Machine", state: State, height: int) -> None:
        """The registry holds the node."""
        if operator.registered_height is None:
            operator.registered_height = height
        if not machine.is_in_use and not operator.is_starting:
            operator.is_starting = True
            delay_ms = operator.start_delay_ms if operator.start is Start.AFTER else 0
            self._world.after(delay_ms, None, self._switch_on, machine)
        leaves_after, rotates_at = operator.leaves_after_heights, operator.rotates_at_height
        if leaves_after is not None and height >= operator.registered_height + leaves_after:
            self._leave(operator, machine, state)
        elif rotates_at is not None and height >= rotates_at and machine.key_generation == 0:
            self._ask(operator, operator.address, self._build_rotation(operator, machine))
        elif operator.bond_grains and operator.role is NodeRole.SUPER_NODE:
            self._seek_election(operator, machine, state, height)

    def _seek_election(self, operator: Operator, machine: "Machine", state: State, height: int) -> None:
        candidate = find_candidate(state, operator.address)
        if candidate is None:
            is_ready = machine.node is not None and machine.node.chain.head.header.height >= height - 1
            if is_ready or operator.is_hasty:
                self._ask(operator, operator.address, Call("staking", "stand", [500, operator.bond_grains]))
        elif 0 < candidate.jailed_until_epoch <= get_epoch(state).number:
            self._ask(operator, operator.address, Call("staking", "unjail", []))

    def _leave(self, operator: Operator, machine: "Machine", state: State) -> None:
        committees = (get_committee(state), get_next_committee(state))
        if _is_standing(find_candidate(state, operator.address)):
            self._ask(operator, operator.address, Call("staking", "retire", []))
        elif all(operator.address not in _list_seated(committee) for committee in committees):
            self._ask(operator, operator.address, Call("network", "remove_node", [machine.node_key]))

    # Calls

    def _ask(self, operator: Operator, sender: Address, call: Call) -> None:
        self._ask_all(operator, [sender], call)

    def _ask_all(self, operator: Operator, senders: Iterable[Address], call: Call) -> None:
        """Through machines that are up, unless the same was asked a moment ago or everybody is silent."""
        world = self._world
        is_asked = operator.asked_call == call.call and world.now_ms - operator.asked_ms < PATIENCE_MS
        if is_asked or world.is_silent:
            return
        operator.asked_ms, operator.asked_call = world.now_ms, call.call
        machines = [node.machine for node in world.honest_up()]
        for sender in senders:
            self._clients.ask(self._random.choice(machines), self._secrets[sender], call)

    def _build_registration(self, operator: Operator, machine: "Machine") -> Call:
        key, secret = machine.node_key, get_node_secret(machine.number, machine.key_generation)
        certificate_signature = secret.sign(build_signed_part(key))
        consensus_key, possession = None, None
        if operator.role is NodeRole.SUPER_NODE:
            consensus_key = get_consensus_key(operator.seat)
            possession = self._sign(
                get_consensus_secret(operator.seat),
                SigningPurpose.CONSENSUS_KEY_POSSESSION,
                [operator.address, key],
            )
        arguments = [key, certificate_signature, int(operator.role), consensus_key, possession, machine.name, []]
        return Call("network", "register_node", arguments)

    def _build_rotation(self, operator: Operator, machine: "Machine") -> Call:
        old_key, new_key = machine.node_key, get_node_key(machine.number, machine.key_generation + 1)
        new_secret = get_node_secret(machine.number, machine.key_generation + 1)
        signature = self._sign(
            get_node_secret(machine.number, machine.key_generation),
            SigningPurpose.NODE_KEY_ROTATION,
            [operator.address, old_key, new_key],
        )
        arguments = [old_key, new_key, new_secret.sign(build_signed_part(new_key)), signature]
        return Call("network", "rotate_node", arguments)

    def _sign(self, secret: PrivateKey, purpose: SigningPurpose, values: list[bytes]) -> bytes:
        return secret.sign(signing_bytes(purpose, self._world.domain, pack(values)))


def _is_about(proposal: Proposal, operator: Operator) -> bool:
    return proposal.kind is ProposalKind.ADMIT_OPERATOR and proposal.arguments[0] == operator.address


def _is_standing(candidate: Candidate | None) -> bool:
    return candidate is not None and candidate.is_standing


def _list_seated(committee: Committee) -> list[Address]:
    return [member.operator for member in committee.members]
