"""A network of real cores on a virtual clock, network and disks, driven by one seed, with faults and liars.

Honest members crash and lose what was not synced; messages are delayed, lost, doubled and reordered; the network
splits. Up to f members are liars: each is two cores with one key, besides forged and mutated messages under that key.
Every step is checked: one block per height, valid certificates, no double signature of an honest member, nothing sent
that was not saved before, no honest peer blamed, no honest member accused.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from random import Random

from consensus.certificate import (
    InvalidCertificateError,
    InvalidHeaderError,
    check_certificate,
    check_header_link,
)
from consensus.committee import fault_limit, proposer_index, quorum
from consensus.core import Core
from consensus.effects import (
    AppendLog,
    BlameMessage,
    Broadcast,
    BuildBlock,
    CheckBlock,
    Decide,
    Effect,
    FetchProposal,
    ReportEquivocation,
    SaveSafety,
    ScheduleTimeout,
    SendTo,
    SignProposal,
    SignVote,
)
from consensus.events import (
    BlockBuilt,
    BlockChecked,
    Event,
    HeightStarted,
    ProposalReceived,
    ProposalSigned,
    SummaryReceived,
    TimedOut,
    VoteReceived,
    VoteSigned,
    WorkArrived,
)
from consensus.log import LockTaken, LogDamage, decode_records, encode_record
from consensus.messages import (
    UNSIGNED,
    Message,
    Proposal,
    RoundSummary,
    Step,
    Vote,
    VoteKind,
    decode_message,
    encode_message,
    get_proposal_message,
    get_vote_message,
    is_proposal_authentic,
    is_vote_authentic,
)
from consensus.replay import replay
from consensus.safety import NOTHING_SIGNED, SignStep, decode_safety, encode_safety
from consensus.timeouts import Timeouts
from identity.address import Address
from identity.signing import compute_signing_domain
from ledger.block import HEADER_VERSION, CommitCertificate, Header, compute_transactions_root
from ledger.codec import DecodeError
from ledger.committee import Committee, Member
from ledger.primitives import (
    EMPTY_ROOT,
    BlockHash,
    ChainId,
    ConsensusKey,
    EnvelopeHash,
    Height,
    NodeKey,
    RootHash,
    Round,
    Signature,
    TimeMs,
)
from tests.consensus.builders import turns_of

CHAIN_ID = ChainId("simulation")
DOMAIN = compute_signing_domain(CHAIN_ID, bytes(32))
START_MS = 1_700_000_000_000
TIMEOUTS = Timeouts(300, 150, 150, 75, 150, 75, 1_000, 200, 100)
SUMMARY_MS = 200
SKEW_MS = 40
HEIGHTS_PER_COMMITTEE = 5
SYNC_BLOCKS_MAX = 4
HEAL_MS_MAX = 300_000
HEAL_STEPS_MAX = 120_000
HEAL_HEIGHTS = 3


class SafetyViolationError(AssertionError):
    """A rule that must hold whatever happens was broken."""


def require(condition: bool, what: str) -> None:
    """A rule that must hold at every step."""
    if not condition:
        raise SafetyViolationError(what)


def sign(key: ConsensusKey, message: bytes) -> Signature:
    """A stand-in for Ed25519 that is fast; liars in here only use keys of their own."""
    digest = sha256(key + message).digest()
    return Signature(digest + digest)


def verify(key: ConsensusKey, message: bytes, signature: bytes) -> bool:
    """Whether `sign` gave this signature."""
    return sign(key, message) == signature


@lru_cache(maxsize=4096)
def decode_cached(encoded: bytes) -> Message:
    """Decoding once for all receivers."""
    return decode_message(encoded)


def key_of_seat(seat: int) -> ConsensusKey:
    """A member's key."""
    return ConsensusKey(sha256(f"seat {seat}".encode()).digest())


@lru_cache(maxsize=256)
def committee_at(size: int, height: int) -> Committee:
    """The members, in an order that changes every few heights."""
    shift = height // HEIGHTS_PER_COMMITTEE
    seats = [(position + shift) % size for position in range(size)]
    return Committee(
        tuple(Member(Address(sha256(f"operator {seat}".encode()).digest()[:20]), key_of_seat(seat)) for seat in seats)
    )


def state_root_at(height: int) -> RootHash:
    """What every honest member computes as the state before this height."""
    return RootHash(sha256(f"state {height}".encode()).digest())


def make_genesis(size: int) -> Header:
    """Block 0."""
    return Header(
        HEADER_VERSION,
        CHAIN_ID,
        Height(0),
        Round(0),
        TimeMs(START_MS - 1),
        BlockHash(bytes(32)),
        ConsensusKey(bytes(32)),
        EMPTY_ROOT,
        EMPTY_ROOT,
        state_root_at(0),
        EMPTY_ROOT,
        committee_at(size, 0).hash,
        committee_at(size, 1).hash,
        RootHash(bytes(32)),
    )


@dataclass
class Disk:
    """What survives a crash."""

    safety: bytes = b""
    log_synced: bytes = b""
    log_unsynced: bytes = b""
    chain: list[tuple[Header, CommitCertificate]] = field(default_factory=list)
    saved_messages: set[bytes] = field(default_factory=set)
    """Everything that ever stood in the safety state."""
    locks_synced: set[tuple[int, int, bytes]] = field(default_factory=set)
    locks_unsynced: set[tuple[int, int, bytes]] = field(default_factory=set)


@dataclass
class SimulatedNode:
    """A member, one of a liar's two cores, or an observer."""

    name: str
    number: int
    key: ConsensusKey | None
    is_honest: bool
    skew_ms: int
    disk: Disk = field(default_factory=Disk)
    core: Core | None = None
    life: int = 0
    """Rises with each crash; what was under way in an earlier life is lost."""

    @property
    def peer(self) -> NodeKey:
        """How others name it."""
        return NodeKey(bytes([self.number]) * 32)


@dataclass(frozen=True)
class Faults:
    """How bad the network and the machines are, in parts of a thousand or milliseconds."""

    delay_ms_max: int
    loss: int
    doubling: int
    crash: int
    crash_between_effects: int
    mutation: int
    forgery: int
    late_signature: int
    split_every_ms: int


NO_FAULTS = Faults(20, 0, 0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    seed: int
    size: int
    liars: int
    steps: int
    height: int
    rounds_max: int
    crashes: int
    proposed_again: int
    equivocations: int
    blames: int
    digest: str


class Simulation:
    """One run."""

    def __init__(self, seed: int, size: int | None = None) -> None:
        """The seed decides everything but what is given."""
        self.seed = seed
        self.random = Random(f"consensus {seed}")
        self.size = size if size is not None else self.random.choice((1, 4, 4, 4, 4, 4, 7, 7))
        self.liars = self.random.choice((0, fault_limit(self.size), fault_limit(self.size)))
        self.faults = self._choose_faults()
        self.genesis = make_genesis(self.size)
        self.now_ms = START_MS
        self.steps = 0
        self.rounds_max = 0
        self.crashes = 0
        self.equivocations = 0
        self.blames = 0
        self.proposed_again = 0
        self.decided: dict[int, BlockHash] = {}
        self.prevoted: dict[tuple[int, int, BlockHash], set[int]] = {}
        self.locks: dict[tuple[ConsensusKey, int], tuple[int, BlockHash]] = {}
        self.signed: dict[tuple[ConsensusKey, int, int, int], bytes] = {}
        self.known_hashes: list[BlockHash] = []
        self.known_proposals: list[Proposal] = []
        self.groups: dict[int, int] = {}
        self.digest = sha256()
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0
        self.nodes = self._make_nodes()
        for node in self.nodes:
            self._restart(node)
            self._after(self.random.randint(0, SUMMARY_MS), lambda node=node: self._say_summary(node))  # type: ignore[misc]  # the default binds this turn's node
        if self.faults.split_every_ms:
            self._after(self.faults.split_every_ms, self._split)
        if self.faults.forgery:
            self._after(50, self._forge)

    @property
    def honest(self) -> list[SimulatedNode]:
        """The nodes that follow the rules, observers included."""
        return [node for node in self.nodes if node.is_honest]

    def run(self, steps: int, on_step: Callable[["Simulation"], None] = lambda simulation: None) -> Outcome:
        """Run with faults, then heal, and demand that every honest node goes on."""
        while self.steps < steps and self._step():
            on_step(self)
        self._heal()
        target = max(len(node.disk.chain) for node in self.honest) + HEAL_HEIGHTS
        deadline_ms, steps_max = self.now_ms + HEAL_MS_MAX, self.steps + HEAL_STEPS_MAX
        while any(len(node.disk.chain) < target for node in self.honest):
            require(self._step(), f"seed {self.seed}: nothing happens any more")
            on_step(self)
            is_in_time = self.now_ms < deadline_ms and self.steps < steps_max
            require(is_in_time, f"seed {self.seed}: no progress after healing: {self._describe()}")
        return Outcome(
            self.seed,
            self.size,
            self.liars,
            self.steps,
            max(self.decided),
            self.rounds_max,
            self.crashes,
            self.proposed_again,
            self.equivocations,
            self.blames,
            self.digest.hexdigest(),
        )

    # the world

    def _choose_faults(self) -> Faults:
        def maybe(highest: int) -> int:
            return self.random.choice((0, self.random.randint(1, highest)))

        return Faults(
            delay_ms_max=self.random.choice((5, 50, 300, 1200)),
            loss=maybe(600),
            doubling=maybe(200),
            crash=maybe(4),
            crash_between_effects=maybe(3),
            mutation=maybe(300),
            forgery=maybe(800),
            late_signature=maybe(30),
            split_every_ms=maybe(4000) and 500 + maybe(4000),
        )

    def _make_nodes(self) -> list[SimulatedNode]:
        nodes: list[SimulatedNode] = []
        for seat in range(self.size):
            is_liar = seat < self.liars
            for twin in "ab" if is_liar else "a":
                name = f"{seat}{twin}" if is_liar else f"{seat}"
                skew_ms = self.random.randint(-SKEW_MS, SKEW_MS)
                nodes.append(SimulatedNode(name, len(nodes), key_of_seat(seat), not is_liar, skew_ms))
        if self.random.random() < 0.5:
            nodes.append(SimulatedNode("observer", len(nodes), None, True, 0))
        return nodes

    def _is_lucky(self, thousandths: int) -> bool:
        return thousandths > 0 and self.random.randrange(1000) < thousandths

    def _after(self, delay_ms: int, action: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._sequence, action))

    def _step(self) -> bool:
        if not self._queue:
            return False
        self.now_ms, _, action = heapq.heappop(self._queue)
        self.steps += 1
        action()
        if self.faults.crash and self.steps % 10 == 0 and self._is_lucky(self.faults.crash * 10):
            self._crash(self.random.choice(self.nodes))
        return True

    def _heal(self) -> None:
        self.faults = NO_FAULTS
        self.groups = {}
        for node in self.nodes:
            if node.core is None:
                self._restart(node)
            else:
                self._give_work(node, 0)

    def _split(self) -> None:
        if not self.faults.split_every_ms:
            return
        sides = self.random.choice((1, 2, 2, 3))
        self.groups = {node.number: self.random.randrange(sides) for node in self.nodes}
        self._after(self.random.randint(1, self.faults.split_every_ms), self._split)

    def _describe(self) -> str:
        return "; ".join(
            f"{node.name}: {len(node.disk.chain)} blocks, {node.core.explain_waiting() if node.core else 'down'}"
            for node in self.nodes
        )

    # machines

    def _head(self, node: SimulatedNode) -> Header:
        return node.disk.chain[-1][0] if node.disk.chain else self.genesis

    def _crash(self, node: SimulatedNode) -> None:
        """Lose what was not synced, except a beginning of it: the last record may be torn."""
        if node.core is None:
            return
        self.crashes += 1
        node.core = None
        node.life += 1
        kept = self.random.randint(0, len(node.disk.log_unsynced))
        node.disk.log_synced += node.disk.log_unsynced[:kept]
        node.disk.log_unsynced = b""
        node.disk.locks_unsynced.clear()
        self._after(self.random.choice((1, 100, 3000)), lambda: self._restart(node))

    def _restart(self, node: SimulatedNode) -> None:
        if node.core is not None:
            return
        safety = decode_safety(node.disk.safety) if node.disk.safety else NOTHING_SIGNED
        node.core = Core(DOMAIN, node.key, safety, verify)
        records, good_length, damage = decode_records(node.disk.log_synced)
        require(damage is not LogDamage.DAMAGED_MIDDLE, "a crash never damages the middle of the log")
        node.disk.log_synced = node.disk.log_synced[:good_length]
        life = node.life
        if self._perform(node, node.core.handle(self._next_height(node))) and node.life == life:
            self._perform(node, replay(node.core, records))
        if node.life == life:
            self._give_work(node, self.random.randint(0, 100))

    def _next_height(self, node: SimulatedNode) -> HeightStarted:
        head = self._head(node)
        height = Height(head.height + 1)
        return HeightStarted(
            height, committee_at(self.size, height), turns_of(self.size, height), head.hash, head.time_ms, TIMEOUTS
        )

    def _begin_next_height(self, node: SimulatedNode) -> None:
        node.disk.log_synced = node.disk.log_unsynced = b""
        self._give(node, self._next_height(node))
        idle_ms = self.random.choice((20, 20, 20, 2000)) if self.faults is not NO_FAULTS else 20
        self._give_work(node, idle_ms)

    def _give_work(self, node: SimulatedNode, delay_ms: int) -> None:
        height = Height(self._head(node).height + 1)
        self._give_later(node, delay_ms, WorkArrived(height))

    def _give_later(self, node: SimulatedNode, delay_ms: int, event: Event) -> None:
        life = node.life
        self._after(delay_ms, lambda: self._give(node, event) if node.life == life else None)

    def _give(self, node: SimulatedNode, event: Event) -> None:
        if node.core is None:
            return
        effects = node.core.handle(event)
        self.rounds_max = max(self.rounds_max, node.core.round)
        self._perform(node, effects)

    # effects

    def _perform(self, node: SimulatedNode, effects: list[Effect]) -> bool:
        """Do them in order; False if the machine died in between."""
        for effect in effects:
            if self._is_lucky(self.faults.crash_between_effects):
                self._crash(node)
                return False
            self._perform_one(node, effect)
        return True

    def _perform_one(self, node: SimulatedNode, effect: Effect) -> None:
        match effect:
            case AppendLog(record, sync):
                encoded = encode_record(record)
                self.digest.update(encoded)
                node.disk.log_unsynced += encoded
                if isinstance(record, LockTaken):
                    node.disk.locks_unsynced.add((record.height, record.round, record.block_hash))
                if sync:
                    node.disk.log_synced += node.disk.log_unsynced
                    node.disk.log_unsynced = b""
                    node.disk.locks_synced |= node.disk.locks_unsynced
            case SaveSafety(state):
                node.disk.safety = encode_safety(state)
                for last in (state.proposal, state.prevote, state.precommit):
                    if last is not None:
                        node.disk.saved_messages.add(last.message)
            case SignVote(vote, message):
                self._sign_vote(node, vote, message)
            case SignProposal(proposal, message):
                self._sign_proposal(node, proposal, message)
            case Broadcast(message):
                self._check_saved(node, message)
                self._broadcast(node, encode_message(message))
            case SendTo(peer, message):
                self._send(node, self.nodes[peer[0]], encode_message(message))
            case CheckBlock(proposal):
                is_valid = proposal.header.state_root == state_root_at(proposal.height)
                answer = BlockChecked(proposal.block_hash, is_valid)
                self._give_later(node, self.random.randint(0, 30), answer)
            case FetchProposal(height, round_number, block_hash):
                self._fetch(node, height, round_number, block_hash)
            case BuildBlock(height, round_number):
                self._give_later(node, self.random.randint(0, 30), self._build_block(node, height, round_number))
            case ScheduleTimeout(height, round_number, step, delay_ms):
                self._give_later(node, delay_ms, TimedOut(height, round_number, step))
            case Decide(proposal, certificate):
                self._persist(node, proposal.header, certificate)
                self._begin_later(node, self.random.randint(1, 30))
            case ReportEquivocation(first, second):
                self._check_accusation(first, second)
            case BlameMessage(peer, reason):
                self.blames += 1
                require(not self.nodes[peer[0]].is_honest, f"an honest peer is blamed: {reason}")

    def _sign_vote(self, node: SimulatedNode, vote: Vote, message: bytes) -> None:
        assert node.key is not None
        require(message == get_vote_message(DOMAIN, vote), "the signer signs what the vote says")
        if node.is_honest:
            step = SignStep.PREVOTE if vote.kind is VoteKind.PREVOTE else SignStep.PRECOMMIT
            self._check_may_sign(node, step, vote.height, vote.round, message)
            if vote.kind is VoteKind.PRECOMMIT and vote.block_hash is not None:
                lock = (vote.height, vote.round, vote.block_hash)
                require(lock in node.disk.locks_synced, "a lock is on disk before its precommit is signed")
            self._check_lock(node.key, vote)
        self._note_prevote(vote)
        signed = VoteSigned(replace(vote, signature=sign(node.key, message)))
        self._give_later(node, self._get_signing_ms(), signed)

    def _sign_proposal(self, node: SimulatedNode, proposal: Proposal, message: bytes) -> None:
        assert node.key is not None
        require(message == get_proposal_message(DOMAIN, proposal), "the signer signs what the proposal says")
        if node.is_honest:
            self._check_may_sign(node, SignStep.PROPOSAL, proposal.height, proposal.round, message)
        self.proposed_again += proposal.valid_round >= 0
        signed = ProposalSigned(replace(proposal, signature=sign(node.key, message)))
        self._give_later(node, self._get_signing_ms(), signed)

    def _note_prevote(self, vote: Vote) -> None:
        if vote.kind is VoteKind.PREVOTE and vote.block_hash is not None:
            self.prevoted.setdefault((vote.height, vote.round, vote.block_hash), set()).add(vote.member_index)

    def _check_lock(self, key: ConsensusKey, vote: Vote) -> None:
        """Who has precommitted a block prevotes another one only if two thirds prevoted that since."""
        if vote.block_hash is None:
            return
        if vote.kind is VoteKind.PRECOMMIT:
            self.locks[key, vote.height] = (vote.round, vote.block_hash)
            return
        locked_round, locked_hash = self.locks.get((key, vote.height), (-1, vote.block_hash))
        polkas = (
            self.prevoted.get((vote.height, round_number, vote.block_hash), ())
            for round_number in range(max(locked_round, 0), vote.round)
        )
        is_released = any(len(members) >= quorum(self.size) for members in polkas)
        require(locked_hash == vote.block_hash or is_released, "a lock is kept until two thirds go on")

    def _get_signing_ms(self) -> int:
        return 3000 if self._is_lucky(self.faults.late_signature) else self.random.randint(0, 2)

    def _check_may_sign(
        self, node: SimulatedNode, step: SignStep, height: int, round_number: int, message: bytes
    ) -> None:
        assert node.key is not None
        last = decode_safety(node.disk.safety).get_last(step)
        require(last is not None and last.message == message, "what is signed is on disk before")
        known = self.signed.setdefault((node.key, height, round_number, step), message)
        require(known == message, f"{node.name} signs twice at height {height}, round {round_number}")

    def _check_saved(self, node: SimulatedNode, message: Message) -> None:
        """What a member says under its own key stood in its safety state before."""
        if not node.is_honest or isinstance(message, RoundSummary):
            return
        committee = committee_at(self.size, message.height)
        if isinstance(message, Vote):
            signer, signed = message.member_index, get_vote_message(DOMAIN, message)
        else:
            signer = proposer_index(turns_of(self.size, message.height), message.round)
            signed = get_proposal_message(DOMAIN, message)
        if committee.members[signer].consensus_key == node.key:
            require(signed in node.disk.saved_messages, "what is sent was saved before")

    def _check_accusation(self, first: Vote | Proposal, second: Vote | Proposal) -> None:
        self.equivocations += 1
        committee = committee_at(self.size, first.height)
        require(type(first) is type(second), "two messages of one kind")
        require((first.height, first.round) == (second.height, second.round), "two messages of one round")
        if isinstance(first, Vote) and isinstance(second, Vote):
            accused = first.member_index
            is_proof = (first.kind, accused) == (second.kind, second.member_index)
            is_proof = is_proof and first.block_hash != second.block_hash
            is_authentic = all(is_vote_authentic(vote, committee, DOMAIN, verify) for vote in (first, second))
        else:
            assert isinstance(first, Proposal) and isinstance(second, Proposal)
            accused = proposer_index(turns_of(self.size, first.height), first.round)
            is_proof = (first.block_hash, first.valid_round) != (second.block_hash, second.valid_round)
            is_authentic = all(
                is_proposal_authentic(proposal, committee, turns_of(self.size, proposal.height), DOMAIN, verify)
                for proposal in (first, second)
            )
        require(is_proof and is_authentic, "an accusation is a proof")
        liars = {key_of_seat(seat) for seat in range(self.liars)}
        require(committee.members[accused].consensus_key in liars, "an honest member is accused")

    def _build_block(self, node: SimulatedNode, height: Height, round_number: Round) -> BlockBuilt:
        assert node.key is not None
        head = self._head(node)
        tag = f"{node.name} {node.life} {height} {round_number} {self.now_ms}".encode()
        hashes = tuple(
            EnvelopeHash(sha256(tag + bytes([index])).digest()) for index in range(self.random.randint(0, 3))
        )
        is_bad = not node.is_honest and self._is_lucky(300)
        header = Header(
            HEADER_VERSION,
            CHAIN_ID,
            height,
            round_number,
            TimeMs(max(self.now_ms + node.skew_ms, head.time_ms + 1)),
            head.hash,
            node.key,
            compute_transactions_root(list(hashes)),
            EMPTY_ROOT,
            RootHash(sha256(tag).digest()) if is_bad else state_root_at(height),
            EMPTY_ROOT,
            committee_at(self.size, height).hash,
            committee_at(self.size, height + 1).hash,
            RootHash(bytes(32)),
        )
        return BlockBuilt(height, round_number, header, hashes, ())

    def _persist(self, node: SimulatedNode, header: Header, certificate: CommitCertificate) -> None:
        """Check and persist a block, from consensus or from block sync."""
        head = self._head(node)
        check_header_link(head, header)
        check_certificate(certificate, header, committee_at(self.size, header.height), DOMAIN, verify)
        known = self.decided.setdefault(header.height, header.hash)
        if node.is_honest:
            require(known == header.hash, f"two blocks at height {header.height}")
            require(header.state_root == state_root_at(header.height), "a bad block is final")
        self.digest.update(header.hash)
        node.disk.chain.append((header, certificate))

    def _begin_later(self, node: SimulatedNode, delay_ms: int) -> None:
        life = node.life
        self._after(delay_ms, lambda: self._begin_next_height(node) if node.life == life else None)

    # network

    def _broadcast(self, node: SimulatedNode, encoded: bytes) -> None:
        self.digest.update(encoded)
        for other in self.nodes:
            if other is not node:
                self._send(node, other, encoded)

    def _send(self, sender: SimulatedNode, receiver: SimulatedNode, encoded: bytes) -> None:
        if self.groups.get(sender.number) != self.groups.get(receiver.number) or self._is_lucky(self.faults.loss):
            return
        if not sender.is_honest and self._is_lucky(self.faults.mutation):
            encoded = self._mutate(encoded)
        for _ in range(2 if self._is_lucky(self.faults.doubling) else 1):
            delay_ms = self.random.randint(1, self.faults.delay_ms_max)
            self._after(delay_ms, lambda: self._receive(receiver, sender, encoded))

    def _mutate(self, encoded: bytes) -> bytes:
        position = self.random.randrange(len(encoded))
        changed = bytes([self.random.randrange(256)])
        return encoded[:position] + changed + encoded[position + self.random.choice((0, 1, 1, 1)) :]

    def _receive(self, node: SimulatedNode, sender: SimulatedNode, encoded: bytes) -> None:
        if node.core is None:
            return
        try:
            message = decode_cached(encoded)
        except DecodeError:
            require(not sender.is_honest, "an honest message does not decode")
            return
        match message:
            case Proposal():
                self._remember(message)
                received_ms = TimeMs(self.now_ms + node.skew_ms)
                self._give(node, ProposalReceived(message, received_ms, sender.peer))
            case Vote():
                self._give(node, VoteReceived(message, sender.peer))
            case RoundSummary():
                self._offer_blocks(node, sender, message)
                self._give(node, SummaryReceived(sender.peer, message))

    def _remember(self, proposal: Proposal) -> None:
        if self.faults.forgery and proposal.block_hash not in self.known_hashes:
            self.known_hashes.append(proposal.block_hash)
            self.known_proposals.append(proposal)

    def _say_summary(self, node: SimulatedNode) -> None:
        summary = node.core.get_summary() if node.core is not None else None
        if summary is not None:
            self._broadcast(node, encode_message(summary))
        self._after(SUMMARY_MS + self.random.randint(0, 50), lambda: self._say_summary(node))

    def _fetch(self, node: SimulatedNode, height: Height, round_number: Round, block_hash: BlockHash) -> None:
        """Ask everybody until the block is there or the height over."""
        waiting = node.core.explain_waiting() if node.core is not None else None
        if waiting is None or waiting.height != height or waiting.step is Step.DECIDED:
            return
        for other in self.nodes:
            if other.core is not None and other is not node:
                found = other.core.find_proposal(height, round_number, block_hash)
                if found is not None:
                    self._send(other, node, encode_message(found))
        if block_hash in waiting.missing_blocks:
            life = node.life
            self._after(100, lambda: self._fetch(node, height, round_number, block_hash) if node.life == life else None)

    def _offer_blocks(self, node: SimulatedNode, peer: SimulatedNode, summary: RoundSummary) -> None:
        """Block sync: a peer that is behind gets certified blocks."""
        blocks = node.disk.chain[summary.height - 1 :][:SYNC_BLOCKS_MAX] if summary.height >= 1 else []
        if not blocks or self._is_lucky(self.faults.loss):
            return
        if self.groups.get(node.number) == self.groups.get(peer.number):
            if not node.is_honest:
                blocks = [self._spoil(header, certificate) for header, certificate in blocks]
            self._after(self.random.randint(1, self.faults.delay_ms_max), lambda: self._take_blocks(peer, blocks))

    def _spoil(self, header: Header, certificate: CommitCertificate) -> tuple[Header, CommitCertificate]:
        spoiled = replace(certificate, signatures=certificate.signatures[1:])
        other = replace(header, round=Round(9))
        return self.random.choice(((header, certificate), (header, spoiled), (other, certificate)))

    def _take_blocks(self, node: SimulatedNode, blocks: list[tuple[Header, CommitCertificate]]) -> None:
        if node.core is None or node.core.step is Step.DECIDED:
            return
        for header, certificate in blocks:
            try:
                check_header_link(self._head(node), header)
                check_certificate(certificate, header, committee_at(self.size, header.height), DOMAIN, verify)
            except (InvalidHeaderError, InvalidCertificateError):
                continue
            node.life += 1  # timers and answers of the abandoned height no longer matter
            self._persist(node, header, certificate)
            self._begin_next_height(node)
            return

    # liars

    def _forge(self) -> None:
        """Say something absurd under a liar's key to a random node."""
        if not self.faults.forgery:
            return
        self._after(50, self._forge)
        liars = [node for node in self.nodes if not node.is_honest and node.core is not None]
        if not liars or not self._is_lucky(self.faults.forgery):
            return
        liar = self.random.choice(liars)
        message = self._forge_vote(liar) if self.random.random() < 0.7 else self._forge_proposal(liar)
        if message is not None:
            self._send(liar, self.random.choice(self.nodes), encode_message(message))

    def _forge_vote(self, liar: SimulatedNode) -> Vote | None:
        assert liar.core is not None and liar.key is not None
        height = liar.core.height
        index = committee_at(self.size, height or 0).find(liar.key)
        if height is None or index is None:
            return None
        near = liar.core.round + self.random.randint(0, 3)
        round_number = Round(self.random.choice((near, near, self.random.randrange(2**31))))
        known = self.random.choice(self.known_hashes[-5:]) if self.known_hashes else None
        block_hash = self.random.choice((None, known, BlockHash(self.random.randbytes(32))))
        kind = self.random.choice((VoteKind.PREVOTE, VoteKind.PRECOMMIT))
        vote = Vote(kind, height, round_number, block_hash, index, UNSIGNED)
        self._note_prevote(vote)
        return replace(vote, signature=sign(liar.key, get_vote_message(DOMAIN, vote)))

    def _forge_proposal(self, liar: SimulatedNode) -> Proposal | None:
        assert liar.core is not None and liar.key is not None
        if not self.known_proposals:
            return None
        known = self.random.choice(self.known_proposals[-3:])
        round_number = Round(liar.core.round + self.random.randint(0, 4))
        valid_round = self.random.choice((-1, known.round, max(0, round_number - 1), round_number))
        forged = replace(known, round=round_number, valid_round=valid_round)
        return replace(forged, signature=sign(liar.key, get_proposal_message(DOMAIN, forged)))
