"""One process of a simulated machine: the shell of `node/` on virtual time, around the real parts.

It mirrors `node/consensus_driver.py` (one event at a time, effects in order, waiting while the disk is full),
`node/block_assembly.py` (missing transactions are fetched by name), `node/block_sync.py`, `node/peer_exchange.py` and
the start of `node/node.py`. Core, mempool, chain, admission, execution, block rules and sync plan are the real ones.
"""

from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, assert_never

from consensus.certificate import (
    InvalidCertificateError,
    InvalidHeaderError,
    check_certificate,
    check_header_link,
)
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
from consensus.messages import Message, Proposal, Step, Vote
from consensus.replay import replay
from consensus.sync_rules import SyncPlanner
from ledger.block import (
    EVIDENCE_MAX,
    Block,
    CertifiedBlock,
    CommitCertificate,
    compute_evidence_root,
    compute_transactions_root,
)
from ledger.chain import Chain
from ledger.codec import DecodeError, decode
from ledger.evidence import InvalidEvidenceError, Offence, decode_evidence
from ledger.mempool import Added, Dropped, Known, Mempool
from ledger.primitives import BlockHash, ConsensusKey, EnvelopeHash, Height, NodeKey, Round, TimeMs, TransactionId
from ledger.reasons import Reason, Rejected
from ledger.receipt import Status
from ledger.state_keys import Table
from ledger.transaction import Transaction
from node.block_assembly import AssembledBlock
from node.consensus_driver import build_height_started
from node.disk_full import DiskFullError
from node.errors import StoreWriteError
from node.execution import CommittedBlock, Execution
from node.intake import Intake
from node.node import RULE_TABLES
from tests.chains import RecordingLogger
from tests.simulation.cast import StandInVerifier, decode_once, sign, verify
from tests.simulation.evidence import build_evidence_of
from vm.native.network import get_nodes
from vm.offences import check_offence
from vm.proposal import InvalidBlockError, NextBlockRules, build_header, check_block, get_next_block_rules

if TYPE_CHECKING:
    from tests.simulation.world import Machine, World

PEER_EVENTS_WAITING_MAX = 20_000
OWN_EVENTS_WAITING_MAX = 1_000
SUMMARY_INTERVAL_MS = 500
SUMMARY_INTERVAL_MS_MIN = 100
FETCH_RETRY_MS = 300
SPACE_CHECK_MS = 1_000
PLAN_INTERVAL_MS = 200
NEXT_BLOCK_GRACE_MS = 1_000
STATUS_DELAY_MS = 100
STATUS_INTERVAL_MS = 5_000
GOSSIP_DELAY_MS = 10
GOSSIP_REPEAT_MS = 5_000
BLOCKS_ANSWER_MAX = 32
EVIDENCE_KEPT_MAX = 3
EVIDENCE_IN_BLOCK_MAX = 1

assert EVIDENCE_IN_BLOCK_MAX <= EVIDENCE_MAX

T = TypeVar("T")


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing but its next turn (`asyncio.sleep(0)`)."""
    try:
        while coroutine.send(None) is None:
            pass
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # what the coroutine returns
    raise AssertionError("nothing in a simulation waits")


class WatchedMempool(Mempool):
    """The real pool; says what left it without being included."""

    on_drop: Callable[[TransactionId, Reason], None]

    def add(self, transaction: Transaction, reader: Any, *, is_free: bool = False) -> Added | Known:
        """As in the pool."""
        try:
            outcome = super().add(transaction, reader, is_free=is_free)
        except Rejected as refusal:
            self.on_drop(transaction.id, refusal.reason)
            raise
        if isinstance(outcome, Added):
            for each in (*outcome.evicted, *([outcome.replaced] if outcome.replaced is not None else [])):
                self.on_drop(each, Reason.REPLACED)
        return outcome

    def withdraw(self, transaction_id: TransactionId, reason: Reason) -> None:
        """As in the pool."""
        super().withdraw(transaction_id, reason)
        self.on_drop(transaction_id, reason)

    def remove_included(self, *arguments: Any) -> list[Dropped]:
        """As in the pool."""
        dropped = super().remove_included(*arguments)
        for each in dropped:
            self.on_drop(each.id, each.reason)
        return dropped


@dataclass(frozen=True, slots=True, eq=False)
class CertifiedBlockArrived:
    """A block that others have finalised, to be committed between two events."""

    certified: CertifiedBlock
    block: AssembledBlock


@dataclass(slots=True, eq=False)
class Gathering:
    """A proposal whose transactions are being brought together."""

    proposal: Proposal
    then: Callable[[bool], None]
    attempt: int = 0


Due = Effect | Callable[[], None]


class Node:
    """From a start to a crash."""

    peer_events_max = PEER_EVENTS_WAITING_MAX
    own_events_max = OWN_EVENTS_WAITING_MAX
    evidence_max = EVIDENCE_KEPT_MAX

    def __init__(self, world: "World", machine: "Machine") -> None:
        self.world = world
        self.machine = machine
        self.disk = machine.disk
        self.is_alive = True
        self.chain = Chain(self.disk.store)
        self.mempool = WatchedMempool(world.mempool_limits, self.chain.head.header.height)
        self.mempool.on_drop = self._on_drop
        self.intake = Intake(
            self.chain,
            self.mempool,
            self.disk.journal,  # type: ignore[arg-type]  # the same two methods
            StandInVerifier(),  # type: ignore[arg-type]  # the same method
            world.domain,
            lambda: self.wall_ms,
            self._is_final,
            self._on_waiting,
            self._gossip,
        )
        self.execution = self.make_execution()
        self.execution.add_listener(self._on_block)
        self.core = Core(world.domain, machine.key, self.load_safety(), self.verify)
        self.planner = SyncPlanner(self.chain.head.header.height)
        self.allowed = self.read_registry()
        """Whom the transport lets in."""
        self.inbox: deque[Event | CertifiedBlockArrived] = deque()
        self.dropped_events = 0
        self.due: deque[Due] = deque()
        self._is_pumping = False
        self._is_held = False
        self._has_work_timer = False
        self._work_life = 0
        self._last_start_ms = 0
        self._has_status_timer = False
        self._outgoing: list[Transaction] = []
        self._summaries_ms: dict[int, int] = {}
        self._assembled: dict[BlockHash, AssembledBlock] = {}
        self._fetched: dict[EnvelopeHash, Transaction] = {}
        self._wanted: set[EnvelopeHash] = set()
        self._gatherings: list[Gathering] = []
        self._received: dict[int, tuple[int, bytes, bytes]] = {}
        self._is_committing_synced = False
        self._behind_since_ms: int | None = None
        self.evidence: dict[Offence, bytes] = {}
        self._included_offences: set[Offence] = set()
        for block in self.disk.proposed.values():
            self._keep([decode_once(raw) for raw in block.transactions])

    @property
    def is_last(self) -> bool:
        """Whether this is the last super node: that alone is broken in some tests."""
        return self.machine.number == self.world.seats - 1

    # What another kind of node may do otherwise

    def verify(self, key: ConsensusKey, message: bytes, signature: bytes) -> bool:
        """Whether a super node gave this signature."""
        return verify(key, message, signature)

    def make_execution(self) -> Execution:
        """The real one."""
        return Execution(self.chain, self.world.domain, RecordingLogger())

    def load_safety(self) -> Any:
        """What was saved last."""
        return self.disk.load_safety()

    def check_synced(self, certificate: CommitCertificate, block: Block) -> None:
        """The real checks; raises."""
        committee = self.chain.get_committee(self.chain.head.header.next_committee_hash)
        assert committee is not None, "the next committee is stored"
        check_header_link(self.chain.head.header, block.header)
        check_certificate(certificate, block.header, committee, self.world.domain, self.verify)

    def read_registry(self) -> frozenset[NodeKey]:
        """The keys that may connect, as the chain has them here."""
        return frozenset([node.key for node in get_nodes(self.chain.open_state())])

    def order_effects(self, effects: list[Effect]) -> list[Effect]:
        """In the order given."""
        return effects

    def has_room_for_peers(self) -> bool:
        """Whether another message of a peer may wait."""
        return len(self.inbox) < self.peer_events_max

    def has_room_for_evidence(self) -> bool:
        """Whether another piece of evidence is kept."""
        return len(self.evidence) < self.evidence_max

    def shorten_journal(self) -> None:
        """Once it has outgrown what waits."""
        waiting = (transaction.raw for transaction in self.mempool)
        self.disk.journal.rewrite_when_long(len(self.mempool), waiting)

    # Starting

    def start(self) -> None:
        """As `_recover` and `_load_journal`: hear the log again, and know the transactions that waited."""
        started = build_height_started(self._get_rules())
        log = self.disk.log
        records = log.read() if log.height == started.height else []
        if log.height != started.height:
            log.height = None
            self._persist_then(lambda: log.begin_height(started.height), lambda: None)
        effects = self.core.handle(started)
        if records:
            self._persist_then(log.sync, lambda: None)
            resumed = replay(self.core, records)
            effects = [effect for effect in effects if self.core.is_due(effect)] + resumed
        raws = self.disk.journal.load()
        finish(self.intake.restore_many(raws))
        self.disk.journal.rewrite([transaction.raw for transaction in self.mempool])
        self.due.extend(self.order_effects(effects))
        after, draw = self.world.after, self.world.random.randrange
        after(draw(SUMMARY_INTERVAL_MS), self, self._say_summaries)
        after(draw(PLAN_INTERVAL_MS), self, self._plan)
        after(draw(STATUS_INTERVAL_MS), self, self._repeat_status)
        after(draw(GOSSIP_REPEAT_MS), self, self._repeat_gossip, frozenset())
        self._pump()
        self.on_work()

    def get_assembled(self, block_hash: BlockHash) -> AssembledBlock | None:
        """A block whose every transaction is here."""
        return self._assembled.get(block_hash)

    def _persist_then(self, action: Callable[[], None], then: Callable[[], None]) -> None:
        """Beside the loop: write, again and again while the disk is full, then go on."""
        try:
            action()
        except DiskFullError:
            self.world.after(SPACE_CHECK_MS, self, self._persist_then, action, then)
            return
        then()

    # The loop

    def post(self, event: Event | CertifiedBlockArrived) -> None:
        """Our own events always have room."""
        self.inbox.append(event)
        self._pump()

    def post_from_peer(self, event: Event) -> None:
        """A peer's message is lost when too much waits."""
        if self.has_room_for_peers():
            self.inbox.append(event)
            self._pump()
        else:
            self.dropped_events += 1

    def _pump(self) -> None:
        """Effects in order, then the next event; stop where something takes time, or the machine dies."""
        if self._is_pumping or self._is_held or not self.is_alive:
            return
        self._is_pumping = True
        due, inbox, machine = self.due, self.inbox, self.machine
        while not self._is_held:
            if not due:
                if not inbox:
                    break
                self._take(inbox.popleft())
                continue
            if machine.fuse and self._burn_fuse():
                return
            effect = due.popleft()
            try:
                self._perform(effect)
            except DiskFullError:
                due.appendleft(effect)
                self._hold(SPACE_CHECK_MS)
        self._is_pumping = False

    def _burn_fuse(self) -> bool:
        self.machine.fuse -= 1
        if self.machine.fuse == 0:
            self.world.crash(self.machine)
        return not self.is_alive

    def _hold(self, delay_ms: int) -> None:
        self._is_held = True
        self.world.after(delay_ms, self, self._release)

    def _release(self) -> None:
        self._is_held = False
        self._pump()

    def _take(self, event: Event | CertifiedBlockArrived) -> None:
        if isinstance(event, CertifiedBlockArrived):
            self.due.append(partial(self._commit, event.certified, event.block))
            self.due.append(self._end_synced_commit)
            return
        if isinstance(event, SummaryReceived):
            is_idle = self.core.step is Step.NEW_HEIGHT
            summary = event.summary
            if is_idle and summary.height == self.core.height and summary.step is not Step.NEW_HEIGHT:
                own = self.core.get_summary()
                assert own is not None, "a height is open, and this node idles in it"
                self.world.say_to(self, self.world.get_number(event.peer), own)
        self.due.extend(self.order_effects(self._handle(event)))

    def _handle(self, event: Event) -> list[Effect]:
        core = self.core
        is_waiting = isinstance(event, HeightStarted) or core.step is Step.NEW_HEIGHT
        effects = core.handle(event)
        if is_waiting and core.step is not Step.NEW_HEIGHT:
            self._last_start_ms = self.world.now_ms
        return effects

    def _perform(self, effect: Due) -> None:
        world = self.world
        match effect:
            case AppendLog(record, sync):
                self.disk.log.append(record, sync=sync)
            case SaveSafety(state):
                self.disk.save_safety(state)
            case SignVote(vote, message):
                world.checks.check_vote_signing(self, vote, message)
                world.after(world.get_signing_ms(), self, self._sign, vote, message)
            case SignProposal(proposal, message):
                world.checks.check_proposal_signing(self, proposal, message)
                world.after(world.get_signing_ms(), self, self._sign, proposal, message)
            case Broadcast(message):
                world.checks.check_sending(self, message)
                world.say(self, message)
            case SendTo(peer, message):
                world.checks.check_sending(self, message)
                world.say_to(self, world.get_number(peer), message)
            case CheckBlock(proposal):
                self._gather(Gathering(proposal, partial(self._answer_check, proposal)))
            case FetchProposal():
                self._say_summary()
            case BuildBlock(height, round_number):
                world.after(world.random.randrange(10), self, self._build_block, height, round_number)
            case ScheduleTimeout(height, round_number, step, delay_ms):
                world.after(delay_ms, self, self.post, TimedOut(height, round_number, step))
            case Decide(proposal, certificate):
                self._decide(proposal, certificate)
            case ReportEquivocation(first, second):
                world.checks.check_accusation(self, first, second)
                self._keep_evidence(first, second)
            case BlameMessage(peer, reason):
                world.checks.check_blame(self, world.get_number(peer), reason)
            case _ if callable(effect):
                effect()
            case _:
                assert_never(effect)

    # Effects

    def _sign(self, unsigned: Vote | Proposal, message: bytes) -> None:
        """However late the signature comes; while the disk is full nothing is signed."""
        if unsigned.height != self.chain.head.header.height + 1:
            return
        if self.disk.space.is_full:
            self.world.after(SPACE_CHECK_MS, self, self._sign, unsigned, message)
            return
        assert self.machine.key is not None, "only members sign"
        self.world.checks.check_signing_room(self)
        signature = sign(self.machine.key, message)
        if isinstance(unsigned, Vote):
            self.post(VoteSigned(replace(unsigned, signature=signature)))
        else:
            self.post(ProposalSigned(replace(unsigned, signature=signature)))

    def _answer_check(self, proposal: Proposal, is_valid: bool) -> None:
        block = self._assembled.get(proposal.block_hash)
        answer = BlockChecked(proposal.block_hash, is_valid)
        if is_valid and block is not None:
            self._persist_then(lambda: self.disk.save_proposed(block.block), lambda: self._say_checked(answer))
        else:
            self._say_checked(answer)

    def _say_checked(self, answer: BlockChecked) -> None:
        self.world.after(self.world.random.randrange(8), self, self.post, answer)

    def _build_block(self, height: Height, round_number: Round) -> None:
        rules = self._get_rules()
        if rules.height != height:
            return
        previous_ms = rules.head.header.time_ms
        early_ms = previous_ms + 1 - self.wall_ms
        if early_ms > 0:
            self.world.after(early_ms, self, self._build_block, height, round_number)
            return
        assert self.machine.key is not None, "only members propose"
        parameters = rules.parameters
        transactions = self.mempool.select(
            parameters.block_gas_max,
            parameters.block_bytes_max,
            parameters.block_transactions_max,
            free_gas_max=parameters.free_quota_block_gas_max,
        )
        evidence = self._choose_evidence(rules)
        names = [transaction.envelope_hash for transaction in transactions]
        header = build_header(rules, round_number, TimeMs(self.wall_ms), self.machine.key, names, evidence)
        own = AssembledBlock(Block(header, tuple([each.raw for each in transactions]), evidence), transactions)
        self._assembled[header.hash] = own
        self._keep(transactions)
        built = BlockBuilt(height, round_number, header, tuple(names), evidence)
        self._persist_then(lambda: self.disk.save_proposed(own.block), lambda: self.post(built))

    @property
    def wall_ms(self) -> int:
        """What this machine's clock says."""
        return self.machine.clock.read_ms(self.world.now_ms)

    def _decide(self, proposal: Proposal, certificate: CommitCertificate) -> None:
        block = self._assembled.get(proposal.block_hash)
        if block is not None:
            self._commit(CertifiedBlock(block.block, certificate), block)
        else:  # after a restart: the log remembers the decision, the transactions must be found again
            self._gather(Gathering(proposal, partial(self._commit_gathered, proposal, certificate)))

    def _commit_gathered(self, proposal: Proposal, certificate: CommitCertificate, is_valid: bool) -> None:
        block = self._assembled.get(proposal.block_hash)
        if is_valid and block is not None:
            self.post(CertifiedBlockArrived(CertifiedBlock(block.block, certificate), block))

    def _commit(self, certified: CertifiedBlock, block: AssembledBlock) -> None:
        """Execute and persist, then start the next height. It takes a while, and the machine may die before."""
        if certified.block.header.height != self.chain.head.header.height + 1:
            return
        self.due.appendleft(partial(self._execute, certified, block))
        self._hold(self.world.random.randrange(10))

    def _execute(self, certified: CertifiedBlock, block: AssembledBlock) -> None:
        try:
            finish(self.execution.execute(certified, block.transactions))
        except (DiskFullError, StoreWriteError):
            self.due.appendleft(partial(self._execute_again, certified, block))
            self._hold(SPACE_CHECK_MS)
            return
        self._after_execution()

    def _execute_again(self, certified: CertifiedBlock, block: AssembledBlock) -> None:
        """Nothing in memory is believed any more; the block may be stored all the same."""
        self.chain.reload()
        if self.chain.head.header.height == certified.block.header.height:
            self.execution.announce_stored(certified, block.transactions)
            self._after_execution()
        else:
            self._execute(certified, block)

    def _after_execution(self) -> None:
        self._assembled.clear()
        self._fetched.clear()
        self._wanted.clear()
        self.disk.proposed.clear()
        self._continue_gatherings()
        self.due.appendleft(self._start_height)

    def _start_height(self) -> None:
        event = build_height_started(self._get_rules())
        self.disk.log.begin_height(event.height)
        self._work_life += 1
        self._has_work_timer = False
        self.due.extendleft(reversed(self.order_effects(self._handle(event))))
        self.on_work()

    def _get_rules(self) -> NextBlockRules:
        return get_next_block_rules(self.chain.head, self.chain.open_state())

    # Work

    def on_work(self) -> None:
        """Transactions wait: start the height as soon as the block interval allows."""
        if not self._has_work_timer and self.core.step is Step.NEW_HEIGHT and self.has_work():
            self._has_work_timer = True
            interval_ms = self._get_rules().parameters.block_interval_ms
            delay_ms = max(0, self._last_start_ms + interval_ms - self.world.now_ms)
            self.world.after(delay_ms, self, self._begin_work, self._work_life)

    def _begin_work(self, work_life: int) -> None:
        if work_life == self._work_life:
            self._has_work_timer = False
            self.post(WorkArrived(Height(self.chain.head.header.height + 1)))

    def has_work(self) -> bool:
        """As the driver sees it."""
        return self.mempool.has_ready or not self.chain.head.is_sealed

    def _on_waiting(self, transactions: list[Transaction]) -> None:
        if any(transaction.envelope_hash in self._wanted for transaction in transactions):
            self._continue_gatherings()
        self.on_work()

    def _is_final(self, transaction_id: TransactionId) -> bool:
        return self.world.checks.is_final(transaction_id, self.chain.head.header.height)

    def _on_drop(self, transaction_id: TransactionId, reason: Reason) -> None:
        self.world.checks.note_drop(self, transaction_id, reason)

    def _on_block(self, committed: CommittedBlock) -> None:
        """As `_on_block` of the node, and block sync's."""
        header = committed.certified.block.header
        skipped = {each.transaction_id for each in committed.receipts if each.status is Status.SKIPPED}
        settled = [
            transaction
            for transaction, receipt in zip(committed.transactions, committed.receipts, strict=True)
            if receipt.reason != Reason.SEQUENCE_TOO_HIGH
        ]
        self.mempool.remove_included(header.height, settled, self.intake, skipped)
        if not committed.changed_tables.isdisjoint(RULE_TABLES):
            self.intake.drop_refused()
        self.shorten_journal()
        for encoded in committed.certified.block.evidence:
            self._included_offences.add(decode_evidence(encoded)[1])
        self.planner.set_head(header.height)
        for outdated in [each for each in self._received if each <= header.height]:
            del self._received[outdated]
        if Table.NODE in committed.changed_tables:
            before, self.allowed = self.allowed, self.read_registry()
            self.world.follow_registry(self, before)
        if not self._has_status_timer:
            self._has_status_timer = True
            self.world.after(STATUS_DELAY_MS, self, self._send_status)
        self.world.checks.check_commit(self, committed)

    # Bringing blocks together

    def find_transaction(self, name: EnvelopeHash) -> Transaction | None:
        """One that is here, for ourselves or a peer that asks."""
        return self.mempool.get(name) or self._fetched.get(name)

    def _keep(self, transactions: Sequence[Transaction]) -> None:
        for transaction in transactions:
            self._fetched.setdefault(transaction.envelope_hash, transaction)

    def _gather(self, gathering: Gathering) -> None:
        """Go on with it: done, or ask the next peer and wait."""
        proposal = gathering.proposal
        if gathering in self._gatherings:
            self._gatherings.remove(gathering)
        if proposal.block_hash in self._assembled:
            gathering.then(True)
            return
        if proposal.height != self.chain.head.header.height + 1:
            gathering.then(False)
            return
        found = [self.find_transaction(name) for name in proposal.envelope_hashes]
        missing = [name for name, each in zip(proposal.envelope_hashes, found, strict=True) if each is None]
        if not missing:
            gathering.then(self._assemble(proposal, [each for each in found if each is not None]))
            return
        self._wanted.update(missing)
        peers = self.world.list_peers(self.machine)
        if peers:
            self.world.send(self.machine, peers[gathering.attempt % len(peers)], "request", tuple(missing))
        gathering.attempt += 1
        self._gatherings.append(gathering)
        self.world.after(FETCH_RETRY_MS, self, self._retry_gathering, gathering, gathering.attempt)

    def _retry_gathering(self, gathering: Gathering, attempt: int) -> None:
        if gathering in self._gatherings and gathering.attempt == attempt:
            self._gather(gathering)

    def _continue_gatherings(self) -> None:
        for gathering in list(self._gatherings):
            if gathering in self._gatherings:
                self._gather(gathering)

    def _assemble(self, proposal: Proposal, transactions: list[Transaction]) -> bool:
        self._keep(transactions)
        header = proposal.header
        try:
            check_block(self._get_rules(), self.world.domain, header, transactions, proposal.evidence)
        except InvalidBlockError as error:
            self.world.checks.check_invalid_block(self, proposal, str(error))
            return False
        block = Block(header, tuple([each.raw for each in transactions]), proposal.evidence)
        self._assembled[header.hash] = AssembledBlock(block, transactions)
        return True

    # Evidence

    def _keep_evidence(self, first: Vote | Proposal, second: Vote | Proposal) -> None:
        if not self.has_room_for_evidence():
            return
        encoded = build_evidence_of(self.world.domain, self.world.checks.find_signer(first), first, second)
        self.evidence.setdefault(decode_evidence(encoded)[1], encoded)

    def _choose_evidence(self, rules: NextBlockRules) -> tuple[bytes, ...]:
        """What counts in the next block, in order of the offences."""
        chosen: list[tuple[bytes, bytes]] = []
        for offence, encoded in self.evidence.items():
            if offence in self._included_offences:
                continue
            try:
                check_offence(rules.state, offence, rules.height)
            except InvalidEvidenceError:
                continue
            chosen.append((offence.id, encoded))
        return tuple([encoded for _, encoded in sorted(chosen)[:EVIDENCE_IN_BLOCK_MAX]])

    # Speaking

    def _say_summaries(self) -> None:
        self.world.after(SUMMARY_INTERVAL_MS, self, self._say_summaries)
        if self.core.step not in (Step.NEW_HEIGHT, Step.DECIDED):
            self._say_summary()

    def _say_summary(self) -> None:
        summary = self.core.get_summary()
        if summary is not None:
            self.world.say(self, summary)

    def peer_joined(self, peer: int) -> None:
        """Tell a new peer where we are, and what we have heard of the current height."""
        self.world.send(self.machine, peer, "status", self.chain.head.header.height)
        summary = self.core.get_summary()
        if summary is not None:
            self.world.say_to(self, peer, summary)

    def peer_left(self, peer: int, key: NodeKey) -> None:
        """Forget what the peer told."""
        self._summaries_ms.pop(peer, None)
        self.planner.remove_peer(key)

    def _send_status(self) -> None:
        self._has_status_timer = False
        self.world.send_all(self.machine, "status", self.chain.head.header.height)

    def _repeat_status(self) -> None:
        self.world.after(STATUS_INTERVAL_MS, self, self._repeat_status)
        self.world.send_all(self.machine, "status", self.chain.head.header.height)

    def _gossip(self, transactions: Sequence[Transaction]) -> None:
        if not self._outgoing and transactions:
            self.world.after(GOSSIP_DELAY_MS, self, self._send_gossip)
        self._outgoing.extend(transactions)

    def _send_gossip(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        self.world.send_all(self.machine, "transactions", tuple([each.raw for each in outgoing]))

    def _repeat_gossip(self, seen: frozenset[EnvelopeHash]) -> None:
        """What has waited for long may be known here alone."""
        waiting = list(self.mempool)
        self._gossip([each for each in waiting if each.envelope_hash in seen])
        now_seen = frozenset([each.envelope_hash for each in waiting])
        self.world.after(GOSSIP_REPEAT_MS, self, self._repeat_gossip, now_seen)

    def submit(self, raw: bytes) -> Any:
        """A client's transaction: Admitted or Rejected."""
        (outcome,) = finish(self.intake.submit_many([raw]))
        return outcome

    # Hearing

    def receive(self, peer: int, kind: str, payload: Any) -> None:
        """A message of a peer."""
        match kind:
            case "consensus":
                self._take_consensus(peer, payload)
            case "transactions":
                outcome = finish(self.intake.submit_from_peer(payload))
                if not self.world.machines[peer].is_member:
                    self._gossip(outcome.admitted)
            case "status":
                self.planner.update_peer(self.world.machines[peer].node_key, Height(0), Height(payload))
            case "request":
                found = [self.find_transaction(name) for name in payload]
                raws = tuple([each.raw for each in found if each is not None])
                if raws:
                    self.world.send(self.machine, peer, "answer", raws)
            case "answer":
                self._take_transactions(payload)
            case "blocks request":
                self.world.send(self.machine, peer, "blocks", self._build_blocks_answer(*payload))
            case "blocks":
                self._take_blocks(peer, *payload)
            case _:
                raise AssertionError(f"there is no message of kind {kind}")

    def _take_consensus(self, peer: int, message: Message) -> None:
        key = self.world.machines[peer].node_key
        if isinstance(message, Vote):
            self.post_from_peer(VoteReceived(message, key))
        elif isinstance(message, Proposal):
            self.post_from_peer(ProposalReceived(message, TimeMs(self.wall_ms), key))
        elif self.world.now_ms - self._summaries_ms.get(peer, 0) >= SUMMARY_INTERVAL_MS_MIN:
            self._summaries_ms[peer] = self.world.now_ms
            self.post_from_peer(SummaryReceived(key, message))

    def _take_transactions(self, raws: Sequence[bytes]) -> None:
        candidates = []
        for raw in raws:
            try:
                transaction = decode_once(raw)
            except DecodeError:
                continue
            if transaction.envelope_hash in self._wanted and transaction.envelope_hash not in self._fetched:
                candidates.append(transaction)
        valid = finish(self.intake.verify_many(candidates))
        self._keep([each for each, is_valid in zip(candidates, valid, strict=True) if is_valid])
        self._continue_gatherings()

    # Catching up

    def _plan(self) -> None:
        self.world.after(PLAN_INTERVAL_MS, self, self._plan)
        now_ms = TimeMs(self.world.now_ms)
        behind = self.planner.get_target(now_ms) - self.chain.head.header.height
        if behind <= 0:
            self._behind_since_ms = None
            return
        if self._behind_since_ms is None:
            self._behind_since_ms = now_ms
        if behind > 1 or now_ms - self._behind_since_ms > NEXT_BLOCK_GRACE_MS:
            for wanted in self.planner.plan_requests(now_ms):
                peer = self.world.get_number(wanted.peer)
                count = wanted.last - wanted.first + 1
                self.world.send(self.machine, peer, "blocks request", (wanted.first, count))

    def _build_blocks_answer(self, first: Height, count: int) -> tuple[Height, tuple[tuple[bytes, bytes], ...]]:
        blocks = []
        for height in range(first, first + min(count, BLOCKS_ANSWER_MAX)):
            encoded = self.chain.get_encoded_block(height)
            if encoded is None:
                break
            blocks.append(encoded)
        return first, tuple(blocks)

    def _take_blocks(self, peer: int, first: Height, blocks: Sequence[tuple[bytes, bytes]]) -> None:
        key = self.world.machines[peer].node_key
        if not self.planner.take_answer(key, first, len(blocks), TimeMs(self.world.now_ms)):
            return
        for offset, (block, certificate) in enumerate(blocks):
            if first + offset > self.chain.head.header.height:
                self._received[first + offset] = (peer, block, certificate)
        self._commit_received()

    def _commit_received(self) -> None:
        """The block after the head, if it is here and good."""
        while not self._is_committing_synced:
            height = self.chain.head.header.height + 1
            received = self._received.pop(height, None)
            if received is None:
                return
            peer, encoded_block, encoded_certificate = received
            try:
                arrived = self._check_received(height, encoded_block, encoded_certificate)
            except (DecodeError, InvalidHeaderError, InvalidCertificateError, InvalidBlockError) as error:
                key = self.world.machines[peer].node_key
                self.planner.reject_blocks(key, Height(height), 1, TimeMs(self.world.now_ms))
                self.world.checks.check_blame(self, peer, f"block {height}: {error}")
                continue
            self._is_committing_synced = True
            self.post(arrived)

    def _end_synced_commit(self) -> None:
        self._is_committing_synced = False
        self.world.after(0, self, self._commit_received)

    def _check_received(self, height: int, encoded_block: bytes, encoded_certificate: bytes) -> CertifiedBlockArrived:
        """Everything but execution; raises."""
        block = decode(Block, encoded_block)
        certificate = decode(CommitCertificate, encoded_certificate)
        transactions = [decode_once(raw) for raw in block.transactions]
        if block.header.height != height:
            raise InvalidBlockError("is another block")
        self.check_synced(certificate, block)
        if compute_transactions_root([each.envelope_hash for each in transactions]) != block.header.transactions_root:
            raise InvalidBlockError("holds other transactions than its header names")
        if compute_evidence_root(block.evidence) != block.header.evidence_root:
            raise InvalidBlockError("holds other evidence than its header names")
        if not all(finish(self.intake.verify_many(transactions))):
            raise InvalidBlockError("holds a transaction with a bad signature")
        return CertifiedBlockArrived(CertifiedBlock(block, certificate), AssembledBlock(block, transactions))
