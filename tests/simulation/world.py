"""A network of whole nodes on one virtual clock, drawn from one seed: faults, lies and clients, then calm and progress.

`run` lets faults happen for a number of steps or heights, then mends everything but the liars and demands that every
honest node goes on within HEAL_MS of virtual time, that all heads agree, and that no transaction was lost.
"""

import heapq
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from random import Random
from struct import Struct
from typing import Any

from consensus.committee import fault_limit
from consensus.messages import Message, Proposal, RoundSummary, Vote, decode_message, encode_message
from genesis.document import GenesisParameters
from ledger.mempool import MempoolLimits
from ledger.primitives import ConsensusKey, NodeKey
from tests.simulation import faults
from tests.simulation.cast import START_MS, build_genesis, get_consensus_key, get_node_key
from tests.simulation.checks import Checks
from tests.simulation.citizens import build_citizens
from tests.simulation.clocks import CLOCK_PRECISION_MS, Clock, Clockwork
from tests.simulation.disk import SimulatedDisk, build_disk
from tests.simulation.liars import Mouth
from tests.simulation.node import Node
from tests.simulation.operators import Operators
from tests.simulation.violation import require
from tests.simulation.workload import (
    VOTING_HEIGHTS_EMERGENCY,
    VOTING_HEIGHTS_NORMAL,
    VOTING_HEIGHTS_URGENT,
    Clients,
)

IDENTITY_MODULES = ("did", "attributes", "vehicles", "platforms", "roles")
ECONOMY_MODULES = ("acceptors", "ads", "distribution", "dividends", "gifts", "lockups", "mining", "sale")
HEAL_MS = 180_000
"""How long every honest node may take to be HEAL_HEIGHTS further, once all is mended: a bench of block sync is 60 s."""
HEAL_HEIGHTS = 3
HEIGHT_MS = 10_000
"""How long each further height may take in calm."""
DRAIN_MS = 90_000
"""How long until nothing waits any more, once clients are silent."""
LOOK_MS = 50
BOUNDS_STEPS = 499
RECENT_EVENTS_MAX = 60
TRACE_BYTES = 65_536
_STAMP = Struct(">QI")


@lru_cache(maxsize=8_192)
def decode_cached(encoded: bytes) -> Message:
    """Decoding once for all receivers."""
    return decode_message(encoded)


@dataclass(eq=False)
class Machine:
    """What outlives a process: keys, a disk, a clock that may be wrong."""

    name: str
    number: int
    key: ConsensusKey | None
    is_honest: bool
    disk: SimulatedDisk
    clock: Clock
    is_in_use: bool = True
    """Whether its operator wants it to run."""
    key_generation: int = 0
    """How often its node key was replaced."""
    node: Node | None = None
    """The process, while one runs."""
    fuse: int = 0
    """It dies before this many more effects; 0: it does not."""
    is_power_cut_due: bool = False
    mouth: Mouth | None = None
    """Of a liar."""

    @property
    def is_member(self) -> bool:
        """Whether it is a super node."""
        return self.key is not None

    @property
    def node_key(self) -> NodeKey:
        """How peers name it."""
        return get_node_key(self.number, self.key_generation)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    seed: int
    seats: int
    liars: int
    steps: int
    height: int
    virtual_ms: int
    rounds_max: int
    crashes: int
    admitted: int
    final: int
    skipped: int
    proposed_again: int
    equivocations: int
    evidence: int
    epochs: int
    elections: int
    punishments: int
    decisions: int
    """Proposals of governance that were settled."""
    identity_events: Mapping[str, int]
    """How often each event of identities and what they do happened."""
    economy_events: Mapping[str, int]
    """How often each event of what people do with coins that modules keep happened."""
    free: int
    """Transactions that took no fee."""
    blames: int
    joined: int
    """Newcomers' nodes that were registered."""
    elected: int
    """Newcomers that sat in a committee."""
    newcomer_blocks: int
    """Final blocks that newcomers have proposed."""
    retired: int
    removed: int
    """Nodes taken from the registry."""
    rotated: int
    """Node keys replaced."""
    refused: int
    """Messages of nodes that their receivers do not let in."""
    drifting: int
    """Clocks that run too fast or too slow."""
    jumps: int
    """Clocks that were set while in use."""
    heal_ms: int
    """How long it took after the faults until every honest node had gone on."""
    digest: str

    def format(self) -> str:
        """One line."""
        return (
            f"seed {self.seed}: {self.seats} super nodes, {self.liars} lie; height {self.height} in "
            f"{self.virtual_ms / 1000:.1f} s and {self.steps} steps, highest round {self.rounds_max}, "
            f"{self.crashes} crashes, {self.final} of {self.admitted} transactions final, {self.skipped} skipped, "
            f"{self.proposed_again} blocks proposed again, {self.equivocations} equivocations, "
            f"{self.evidence} evidence, {self.epochs} epochs, {self.elections} committees elected, "
            f"{self.punishments} jailed, {self.decisions} decisions, "
            f"{sum(self.identity_events.values())} operations of identities, {self.free} without a fee, "
            f"{sum(self.economy_events.values())} of the economy, "
            f"{self.blames} bad messages, "
            f"{self.joined} joined, {self.elected} of them elected for {self.newcomer_blocks} blocks, "
            f"{self.retired} retired, {self.removed} removed, {self.rotated} rotated, "
            f"{self.refused} messages of strangers, "
            f"{self.drifting} clocks drift and were set {self.jumps} times, "
            f"healed in {self.heal_ms / 1000:.1f} s; digest {self.digest}"
        )


class World:
    """One run."""

    def __init__(
        self, seed: int, seats: int | None = None, node_class: type[Node] = Node, *, is_calm: bool = False
    ) -> None:
        """The seed decides everything but what is given; in a calm world nobody lies or joins, and nothing fails."""
        self.seed = seed
        self.random = Random(f"simulation {seed}")
        draw = self.random
        self.seats = seats if seats is not None else draw.choices((1, 4, 5, 7, 21), (3, 45, 37, 14, 1))[0]
        self._node_class = node_class
        climate = faults.draw_climate(draw)
        self.climate = replace(climate, skew_ms_max=0) if is_calm else climate
        parameters = self._draw_parameters()
        liars_max = fault_limit(parameters.committee_members_min)
        liars = draw.choice((0, liars_max, liars_max))
        self.liars = 0 if is_calm else liars
        self.liar_keys = frozenset(get_consensus_key(seat) for seat in range(self.liars))
        first_bodies = draw.choice((0, 2))
        self.mempool_limits = draw.choice((MempoolLimits(), MempoolLimits(transactions_max=20)))
        self.client_ms_max = draw.choice((100, 300, 600))
        self.now_ms = START_MS
        self.steps = 0
        self.crashes = 0
        self.rounds_max = 0
        self.recent: deque[tuple[Any, ...]] = deque(maxlen=RECENT_EVENTS_MAX)
        self.checks = Checks(self)
        self.clients = Clients(self, Random(f"clients {seed}"))
        self.clockwork = Clockwork(Random(f"clocks {seed}"), self.climate.skew_ms_max, is_exact=is_calm)
        self._link_random = Random(f"links {seed}")
        self._digest = sha256()
        self._trace = bytearray()
        self._weather = faults.CALM
        self._are_faults_on = not is_calm
        self._are_clients_on = True
        self._queue: list[tuple[int, int, Node | None, Callable[..., None], tuple[Any, ...]]] = []
        self._sequence = 0
        has_observer = draw.random() < 0.3
        self.genesis = build_genesis(self.seats, self.liars + has_observer, first_bodies, parameters)
        self.domain = self.genesis.domain
        self.machines = self._make_machines(has_observer=has_observer)
        self.newcomers_from = len(self.machines)
        """The number of the first machine that is not there from the start."""
        self._numbers = {machine.node_key: machine.number for machine in self.machines}
        self._peer_order = sorted(self.machines, key=_rank_peer)
        self.operators = Operators(self, Random(f"operators {seed}"))
        for machine in self.machines:
            self.start(machine)
        self._change_weather()
        self._let_clients_act()
        for citizens in build_citizens(self, seed):
            citizens.begin()
        if not is_calm:
            self.operators.begin()
        if self.clockwork.is_at_work:
            self._tend_clocks()

    # The run

    def run(self, steps: int, heights: int) -> Outcome:
        """Faults for so many steps or until that height, then calm up to the height, then silence."""
        queue = self._queue
        while self.steps < steps and self.get_height() < heights and queue:
            self._step()
        self._heal()
        healed_ms = self.now_ms
        target = self.get_height() + HEAL_HEIGHTS
        self._go_on_until(lambda: self._is_everybody_at(target), HEAL_MS, f"nobody got to {target} after healing")
        heal_ms = self.now_ms - healed_ms
        further_ms = HEIGHT_MS * max(0, heights - target)
        self._go_on_until(lambda: self._is_everybody_at(heights), further_ms, f"too slow on the way to {heights}")
        self._are_clients_on = False
        self._go_on_until(self._is_drained, DRAIN_MS, "heads differ or transactions wait")
        self._check_bounds()
        self.checks.check_end()
        self._flush_trace()
        return Outcome(
            self.seed,
            self.seats,
            self.liars,
            self.steps,
            self.get_height(),
            self.now_ms - START_MS,
            self.rounds_max,
            self.crashes,
            self.clients.admitted + self.operators.admitted,
            len(self.checks.final),
            self.checks.skips,
            self.checks.proposed_again,
            self.checks.equivocations,
            self.checks.evidence,
            self.checks.events["staking.EpochEnded"],
            self.checks.events["staking.CommitteeElected"],
            self.checks.events["staking.Jailed"],
            self.checks.events["governance.ProposalSettled"],
            self.checks.count_events(IDENTITY_MODULES),
            self.checks.count_events(ECONOMY_MODULES),
            self.checks.free,
            self.checks.blames,
            self.checks.events["network.NodeRegistered"],
            len(self.checks.newcomers_elected),
            self.checks.newcomer_blocks,
            self.checks.events["staking.Retired"],
            self.checks.events["network.NodeRemoved"],
            self.checks.events["network.NodeRotated"],
            self.checks.refused,
            self.clockwork.drifting,
            self.clockwork.jumps,
            heal_ms,
            self._digest.hexdigest(),
        )

    def _step(self) -> None:
        now_ms, sequence, node, action, arguments = heapq.heappop(self._queue)
        self.now_ms = now_ms
        if node is not None and not node.is_alive:
            return
        self.steps += 1
        self._trace += _STAMP.pack(now_ms, sequence)
        if len(self._trace) > TRACE_BYTES:
            self._flush_trace()
        action(*arguments)
        if self.steps % BOUNDS_STEPS == 0:
            self._check_bounds()

    def _go_on_until(self, is_done: Callable[[], bool], within_ms: int, otherwise: str) -> None:
        deadline_ms, look_ms = self.now_ms + within_ms, self.now_ms
        while True:
            if self.now_ms >= look_ms:
                if is_done():
                    return
                look_ms = self.now_ms + LOOK_MS
                require(self.now_ms <= deadline_ms, f"no progress: {otherwise}: {self.describe()}")
            self._step()

    def _heal(self) -> None:
        """Everything is mended but the liars."""
        self.note("healed")
        self._are_faults_on = False
        self._weather = faults.CALM
        self.clockwork.put_right(self._list_clocks(), self.now_ms)
        for machine in self.machines:
            machine.fuse = 0
            machine.disk.space.is_full = False
            self.start(machine)

    def _list_expected(self) -> list[Machine]:
        """The honest machines that run and are registered: who is not yet, or no longer, may stand still."""
        registered = self.checks.registries[self.get_height()]
        return [
            machine
            for machine in self.machines
            if machine.is_honest
            and machine.is_in_use
            and any(get_node_key(machine.number, each) in registered for each in range(machine.key_generation + 2))
        ]

    def _is_everybody_at(self, height: int) -> bool:
        return all(
            machine.node is not None and machine.node.chain.head.header.height >= height
            for machine in self._list_expected()
        )

    def _is_drained(self) -> bool:
        nodes = [machine.node for machine in self._list_expected()]
        heads = {None if node is None else node.chain.head.header.hash for node in nodes}
        return len(heads) == 1 and not any(node is None or node.has_work() for node in nodes)

    def _check_bounds(self) -> None:
        for machine in self.machines:
            if machine.node is not None and machine.is_honest:
                self.checks.check_bounds(machine.node)
                self.rounds_max = max(self.rounds_max, machine.node.core.round)

    def get_height(self) -> int:
        """The highest block that an honest node has finalised."""
        return max(self.checks.blocks, default=0)

    def honest_up(self) -> list[Node]:
        """Processes of honest machines."""
        return [machine.node for machine in self.machines if machine.is_honest and machine.node is not None]

    def find_front(self) -> Node | None:
        """The honest node that has come furthest."""
        return max(self.honest_up(), key=lambda node: node.chain.head.header.height, default=None)

    def describe(self) -> str:
        """Where everybody stands."""
        return "; ".join(
            f"{machine.name}: down"
            if machine.node is None
            else f"{machine.name}: block {machine.node.chain.head.header.height}, round {machine.node.core.round}, "
            f"{len(machine.node.mempool)} waiting, {machine.node.core.explain_waiting()}"
            for machine in self.machines
        )

    # What nodes use

    def after(self, delay_ms: int, node: Node | None, action: Callable[..., None], *arguments: Any) -> None:
        """Do it later, unless the process has ended by then."""
        self._sequence += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._sequence, node, action, arguments))

    def note(self, what: str, *fields: Any) -> None:
        """Part of the trace, and shown if a rule is broken soon."""
        self.recent.append((self.now_ms - START_MS, what, *fields))
        self._trace += repr((what, *fields)).encode()

    @property
    def is_calm(self) -> bool:
        """Whether all is mended."""
        return not self._are_faults_on

    @property
    def is_silent(self) -> bool:
        """Whether nobody asks for anything any more."""
        return not self._are_clients_on

    def get_number(self, key: NodeKey) -> int:
        """The machine that peers know by this key."""
        return self._numbers[key]

    def get_signing_ms(self) -> int:
        """How long the keeper of the key takes."""
        if self._are_faults_on and self.random.randrange(faults.THOUSAND) < self.climate.late_signature_share:
            return 3_000
        return self.random.randrange(3)

    def list_peers(self, asking: Machine) -> list[int]:
        """Whom to ask for what is missing, super nodes first."""
        return [each.number for each in self._peer_order if each is not asking and self._is_linked(asking, each)]

    def say(self, node: Node, message: Message) -> None:
        """To every peer."""
        sender = node.machine
        self._note_message(sender, message)
        if sender.mouth is None:
            decoded = self._carry(message)
            for machine in self.machines:
                if machine is not sender:
                    self._send(sender, machine, "consensus", decoded)
        else:
            for machine in self.machines:
                if machine is not sender:
                    self._lie(sender, machine, message)

    def say_to(self, node: Node, receiver: int, message: Message) -> None:
        """To one peer."""
        sender, machine = node.machine, self.machines[receiver]
        self._note_message(sender, message)
        if sender.mouth is None:
            self._send(sender, machine, "consensus", self._carry(message))
        else:
            self._lie(sender, machine, message)

    def send(self, sender: Machine, receiver: int, kind: str, payload: Any) -> None:
        """Anything else."""
        if sender.mouth is not None:
            payload = sender.mouth.change_payload(kind, payload)
            if payload is None:
                return
        self._send(sender, self.machines[receiver], kind, payload)

    def send_all(self, sender: Machine, kind: str, payload: Any) -> None:
        """The same to every peer."""
        for machine in self.machines:
            if machine is not sender:
                self.send(sender, machine.number, kind, payload)

    def _lie(self, sender: Machine, receiver: Machine, message: Message) -> None:
        assert sender.mouth is not None, "only liars lie"
        changed = sender.mouth.change_consensus(message)
        if changed is not None:
            self._send(sender, receiver, "consensus", self._carry(changed))

    def _carry(self, message: Message) -> Message:
        """By way of its bytes."""
        encoded = encode_message(message)
        self._trace += encoded
        return decode_cached(encoded)

    def _note_message(self, sender: Machine, message: Message) -> None:
        self.recent.append((self.now_ms - START_MS, "said", sender.name, message))

    def _send(self, sender: Machine, receiver: Machine, kind: str, payload: Any) -> None:
        weather, chance = self._weather, self.random.random
        if sender.node is None or receiver.node_key not in sender.node.allowed:
            return
        if (sender.number, receiver.number) in weather.blocked:
            return
        if weather.loss and chance() * faults.THOUSAND < weather.loss:
            return
        delay_ms = 1 + int(chance() * weather.delay_ms_max)
        if sender.number in weather.slow or receiver.number in weather.slow:
            delay_ms *= faults.SLOWNESS
        self.after(delay_ms, None, self._deliver, sender.number, receiver, kind, payload)
        if weather.doubling and chance() * faults.THOUSAND < weather.doubling:
            again_ms = delay_ms + int(chance() * 2 * weather.delay_ms_max)
            self.after(again_ms, None, self._deliver, sender.number, receiver, kind, payload)

    def _deliver(self, sender: int, receiver: Machine, kind: str, payload: Any) -> None:
        key = self.machines[sender].node_key
        if receiver.node is None:
            return
        if key not in receiver.node.allowed:
            self.checks.refused += 1
            return
        self.checks.check_hearing(receiver.node, key)
        receiver.node.receive(sender, kind, payload)

    # Who is connected with whom

    def _is_linked(self, first: Machine, second: Machine) -> bool:
        """Two processes that let each other in find each other."""
        return (
            first.node is not None
            and second.node is not None
            and second.node_key in first.node.allowed
            and first.node_key in second.node.allowed
        )

    def follow_registry(self, node: Node, before: frozenset[NodeKey]) -> None:
        """A node has another allow-list: who came on it is met soon, who left it is cut off at once."""
        machine = node.machine
        for key in sorted(node.allowed - before):
            other = self._find_machine(key)
            if other is not None and other is not machine and self._is_linked(machine, other):
                self._introduce(machine, other, self._link_random)
        for key in sorted(before - node.allowed):
            other = self._find_machine(key)
            if other is not None and other is not machine:
                node.peer_left(other.number, key)
                if other.node is not None:
                    other.node.peer_left(machine.number, machine.node_key)

    def _find_machine(self, key: NodeKey) -> Machine | None:
        number = self._numbers.get(key)
        return None if number is None else self.machines[number]

    def _introduce(self, first: Machine, second: Machine, random: Random) -> None:
        self.after(random.randint(1, 200), second.node, self._greet, second, first.number)
        self.after(random.randint(1, 200), first.node, self._greet, first, second.number)

    def _greet(self, machine: Machine, peer: int) -> None:
        assert machine.node is not None, "the process that was introduced runs"
        machine.node.peer_joined(peer)

    # Machines

    def start(self, machine: Machine) -> None:
        """Begin a process on it, if none runs and its operator wants one."""
        if machine.node is not None or not machine.is_in_use:
            return
        self.note("starts", machine.number)
        machine.node = self._node_class(self, machine)
        self.checks.note_height(machine.node)
        machine.node.start()
        if machine.node is None:
            return
        if machine.is_honest:
            self.checks.check_promises(machine.node)
        for other in self.machines:
            if other is not machine and self._is_linked(machine, other):
                self._introduce(machine, other, self.random)

    def stop(self, machine: Machine) -> None:
        """End its process in order: its peers see their connections close."""
        if machine.node is None:
            return
        self.note("stops", machine.number)
        for other in self.machines:
            if other.node is not None and other is not machine and self._is_linked(machine, other):
                other.node.peer_left(machine.number, machine.node_key)
        machine.node.is_alive = False
        machine.node = None
        machine.fuse = 0

    def add_machine(self, name: str, key: ConsensusKey | None, random: Random) -> Machine:
        """An honest machine with an empty disk, which does not run yet."""
        offset_ms = self.clockwork.draw_offset_ms(is_calm=self.is_calm)
        machine = self._build_machine(name, len(self.machines), key, True, random, offset_ms)
        machine.is_in_use = False
        self.machines.append(machine)
        self._numbers[machine.node_key] = machine.number
        self._peer_order = sorted(self.machines, key=_rank_peer)
        return machine

    def rotate_node_key(self, machine: Machine) -> None:
        """The machine's next process uses its next key."""
        self.stop(machine)
        machine.key_generation += 1
        self._numbers[machine.node_key] = machine.number
        self._peer_order = sorted(self.machines, key=_rank_peer)

    def crash(self, machine: Machine) -> None:
        """End its process here and now; a power cut also takes what was not synced."""
        if machine.node is None:
            return
        self.crashes += 1
        self.note("crashes", machine.number, machine.is_power_cut_due)
        machine.node.is_alive = False
        machine.node = None
        machine.fuse = 0
        if machine.is_power_cut_due:
            machine.disk.cut_power(self.random)
            self.checks.note_power_cut(machine.number)
        self.after(self.random.choice((1, 100, 1_000, 4_000)), None, self.start, machine)

    def _light_fuse(self, machine: Machine) -> None:
        """It will die between two of its next effects."""
        if self._are_faults_on and machine.node is not None:
            machine.fuse = self.random.randint(1, 8)
            machine.is_power_cut_due = self.random.randrange(faults.THOUSAND) < self.climate.power_cut_share

    def _make_machines(self, *, has_observer: bool) -> list[Machine]:
        machines: list[Machine] = []
        keys = [(f"node {seat}", get_consensus_key(seat), seat >= self.liars) for seat in range(self.seats)]
        keys += [(f"twin {seat}", get_consensus_key(seat), False) for seat in range(self.liars)]
        observers: list[tuple[str, ConsensusKey | None, bool]] = [("observer", None, True)]
        for name, key, is_honest in [*keys, *(observers if has_observer else [])]:
            offset_ms = self.random.randint(-self.climate.skew_ms_max, self.climate.skew_ms_max)
            machine = self._build_machine(name, len(machines), key, is_honest, self.random, offset_ms)
            if not is_honest:
                machine.mouth = Mouth(self, machine, Random(f"liar {self.seed} {machine.number}"))
            machines.append(machine)
        return machines

    def _build_machine(
        self, name: str, number: int, key: ConsensusKey | None, is_honest: bool, random: Random, offset_ms: int
    ) -> Machine:
        """With nothing on disk but genesis."""
        disk = build_disk(random)
        self.genesis.fill(disk.store)
        return Machine(name, number, key, is_honest, disk, self.clockwork.build_clock(offset_ms, self.now_ms))

    # Weather and clients

    def _change_weather(self) -> None:
        if not self._are_faults_on:
            return
        self._weather = faults.draw_weather(self.random, self.climate, len(self.machines))
        duration_ms = self.random.randint(200, 2_500)
        self.note("weather", duration_ms, *self._describe_weather())
        self.after(duration_ms, None, self._change_weather)
        if not self._weather.is_storm:
            return
        for _ in range(self.random.randint(0, self.climate.crashes_max)):
            self.after(self.random.randrange(duration_ms), None, self._light_fuse, self.random.choice(self.machines))
        if self.random.randrange(faults.THOUSAND) < self.climate.disk_full_share:
            machine = self.random.choice(self.machines)
            machine.disk.space.is_full = True
            self.note("disk full", machine.number)
            self.after(self.random.randint(500, 6_000), None, self._make_room, machine)

    def _describe_weather(self) -> tuple[Any, ...]:
        weather = self._weather
        return (weather.delay_ms_max, weather.loss, weather.doubling, sorted(weather.blocked), sorted(weather.slow))

    def _make_room(self, machine: Machine) -> None:
        machine.disk.space.is_full = False

    def _tend_clocks(self) -> None:
        delay_ms = self.clockwork.tend(self._list_clocks(), self.now_ms, is_calm=self.is_calm)
        self.after(delay_ms, None, self._tend_clocks)

    def _list_clocks(self) -> list[Clock]:
        return [machine.clock for machine in self.machines]

    def _let_clients_act(self) -> None:
        if self._are_clients_on:
            self.after(self.random.randint(1, self.client_ms_max), None, self._let_clients_act)
            self.clients.act()

    def _draw_parameters(self) -> GenesisParameters:
        draw, quotas = self.random, Random(f"quotas {self.seed}")
        seats = min(self.seats, 4) if self.seats == 5 else self.seats
        members_min = draw.choice((seats, min(seats, 4)))
        return GenesisParameters(
            block_interval_ms=draw.choice((20, 100)),
            block_gas_max=16_000_000,
            block_bytes_max=2 * 2**20,
            block_transactions_max=draw.choice((3, 5_000)),
            price_floor_grains=1,
            propose_timeout_ms=300,
            propose_timeout_step_ms=50,
            vote_timeout_ms=100,
            vote_timeout_step_ms=50,
            clock_precision_ms=CLOCK_PRECISION_MS,
            message_delay_ms=300,
            epoch_heights=draw.choice((5, 9, 20)),
            committee_seats=seats,
            committee_members_min=members_min,
            candidate_bond_min_grains=1_000,
            unbonding_epochs=draw.choice((1, 2)),
            double_sign_slash_bps=draw.choice((0, 500, 10_000)),
            absence_slash_bps=draw.choice((10, 500)),
            absence_heights_max=draw.choice((12, 40)),
            jail_epochs=1,
            proposer_fee_bps=draw.choice((0, 3_000)),
            voting_heights_normal=VOTING_HEIGHTS_NORMAL,
            voting_heights_urgent=VOTING_HEIGHTS_URGENT,
            voting_heights_emergency=VOTING_HEIGHTS_EMERGENCY,
            pause_heights_max=10,
            contract_publishers=0,
            recovery_delay_heights=10,
            free_quota_gas_daily=quotas.choice((0, 600_000, 6_000_000)),
            free_quota_block_gas_max=quotas.choice((150_000, 1_000_000)),
        )

    # The trace

    def _flush_trace(self) -> None:
        self._digest.update(self._trace)
        self._trace.clear()

    def format_recent(self) -> list[str]:
        """The last events, one a line."""
        return [_format_event(event) for event in self.recent]


def _rank_peer(machine: Machine) -> tuple[bool, NodeKey]:
    """Super nodes first."""
    return not machine.is_member, machine.node_key


def _format_event(event: tuple[Any, ...]) -> str:
    after_ms, what, *fields = event
    return f"  {after_ms:>8} ms  {what} " + " ".join(_format_field(field) for field in fields)


def _format_field(field: Any) -> str:
    match field:
        case Vote(kind, height, round_number, block_hash, index, _):
            name = "nil" if block_hash is None else block_hash.hex()[:8]
            return f"{kind.name.lower()} of member {index} for {name} at {height}/{round_number}"
        case Proposal():
            return f"proposal {field.block_hash.hex()[:8]} at {field.height}/{field.round}, valid {field.valid_round}"
        case RoundSummary(height, round_number, step, _, _):
            return f"summary: {height}/{round_number} {step.name}"
        case _:
            return str(field)[:80]
