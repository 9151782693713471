"""Runs the consensus core: one event at a time, effects in order, nothing sent before what it rests on is on disk."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeVar, assert_never

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
from consensus.equivocation import build_equivocation_evidence
from consensus.events import (
    BlockBuilt,
    BlockChecked,
    Event,
    HeightStarted,
    ProposalSigned,
    SummaryReceived,
    TimedOut,
    VoteSigned,
    WorkArrived,
)
from consensus.log import LogRecord
from consensus.messages import Message, Proposal, RoundSummary, Step, Vote
from consensus.safety import encode_safety
from consensus.timeouts import Timeouts
from ledger.block import Block, CertifiedBlock, CommitCertificate
from ledger.chain import Chain
from ledger.mempool import Mempool
from ledger.primitives import Height, NodeKey, Round, Signature, TimeMs
from node.block_assembly import AssembledBlock, BlockAssembly
from node.clock import Clock
from node.disk_full import DiskFullError
from node.errors import StoreWriteError
from node.evidence_pool import EvidencePool
from node.execution import CommittedBlock, Execution
from node.safety_file import SafetyFile
from node.signer import ConsensusSigner, SignerRefusedError, SignerUnavailableError
from node.space import DiskSpace
from node.write_ahead_log import WriteAheadLog
from vm.parameters import Parameters
from vm.proposal import NextBlockRules, build_header, get_next_block_rules

PEER_EVENTS_WAITING_MAX: Final = 20_000  # dropped beyond; summaries bring them again
SUMMARY_INTERVAL_S: Final = 0.5
SIGNER_RETRY_S: Final = 0.5
BLAME_POINTS: Final = 20.0
MINE_SECONDS_MAX: Final = 10.0

T = TypeVar("T")


class ConsensusVoice(Protocol):
    """How the core speaks to peers."""

    def broadcast_consensus(self, message: Message) -> None:
        """To every peer."""
        ...

    def send_consensus(self, peer: NodeKey, message: Message) -> None:
        """To one peer."""
        ...

    def list_peers(self) -> list[NodeKey]:
        """Whom to ask for what is missing, super nodes first."""
        ...

    def penalise(self, peer: NodeKey, points: float, reason: str) -> None:
        """A peer sent something bad."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class CertifiedBlockArrived:
    """Not the core's business: a block that others have finalised, to be committed between two events."""

    certified: CertifiedBlock
    block: AssembledBlock
    done: asyncio.Future[None]


def build_height_started(rules: NextBlockRules) -> HeightStarted:
    """What the core must know to decide the block after the head."""
    header = rules.head.header
    return HeightStarted(
        rules.height, rules.committee, rules.turns, header.hash, header.time_ms, compute_timeouts(rules.parameters)
    )


def compute_timeouts(parameters: Parameters) -> Timeouts:
    """The chain's parameters as the core takes them."""
    return Timeouts(
        propose_ms=parameters.propose_timeout_ms,
        propose_delta_ms=parameters.propose_timeout_step_ms,
        prevote_ms=parameters.vote_timeout_ms,
        prevote_delta_ms=parameters.vote_timeout_step_ms,
        precommit_ms=parameters.vote_timeout_ms,
        precommit_delta_ms=parameters.vote_timeout_step_ms,
        message_delay_ms=parameters.message_delay_ms,
        message_delay_delta_ms=parameters.message_delay_ms,
        precision_ms=parameters.clock_precision_ms,
    )


class ConsensusDriver:
    """The core's hands. `run` owns the core; everybody else posts events."""

    def __init__(
        self,
        core: Core,
        chain: Chain,
        execution: Execution,
        assembly: BlockAssembly,
        mempool: Mempool,
        evidence: EvidencePool,
        log: WriteAheadLog[LogRecord],
        safety_file: SafetyFile | None,
        signer: ConsensusSigner | None,
        voice: ConsensusVoice,
        space: DiskSpace,
        reopen_store: Callable[[], None],
        clock: Clock,
        logger: Any,
        *,
        is_mining_shared: bool = False,
    ) -> None:
        """`is_mining_shared`: a height that a peer has begun without anything to do is begun here too, at once.

        Only devnets ask for blocks without work, and only there may any peer have them made. Elsewhere the others
        would sleep until somebody's vote for nil, and the proposer would count as absent.
        """
        self._core = core
        self._chain = chain
        self._execution = execution
        self._assembly = assembly
        self._mempool = mempool
        self._evidence = evidence
        self._log = log
        self._safety_file = safety_file
        self._signer = signer
        self._voice = voice
        self._space = space
        self._reopen_store = reopen_store
        self._clock = clock
        self._logger = logger
        self._is_mining_shared = is_mining_shared
        self._events: asyncio.Queue[Event | CertifiedBlockArrived] = asyncio.Queue()
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self._is_signing = (
            asyncio.Lock()
        )  # in the order in which the core asks: a later step first would bar the earlier
        self._height_moved = asyncio.Event()
        self._work_timer: asyncio.TimerHandle | None = None
        self._last_start_s = 0.0
        self.dropped_events = 0

    # What others tell the driver

    def post_from_peer(self, event: Event) -> bool:
        """Queue a peer's message; False when too much waits and it is lost. Our own events always have room."""
        if self._events.qsize() >= PEER_EVENTS_WAITING_MAX:
            self.dropped_events += 1
            return False
        self._events.put_nowait(event)
        return True

    async def commit_synced(self, certified: CertifiedBlock, block: AssembledBlock) -> None:
        """Commit a verified block that came by block sync, unless this node was faster; waits until it is done."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._events.put_nowait(CertifiedBlockArrived(certified, block, done))
        await done

    def on_work(self) -> None:
        """Transactions wait: start the height as soon as the block interval allows."""
        if self._work_timer is None and self._core.step is Step.NEW_HEIGHT and self.has_work():
            delay_s = max(0.0, self._last_start_s + self._get_interval_s() - self._clock.get_monotonic_s())
            self._work_timer = asyncio.get_running_loop().call_later(delay_s, self._begin_work)

    async def mine(self, blocks: int) -> None:
        """Make blocks now although nothing waits."""
        for _ in range(blocks):
            height = Height(self._chain.head.header.height + 1)
            self._events.put_nowait(WorkArrived(height))
            async with asyncio.timeout(MINE_SECONDS_MAX):
                await self._wait_for_height(height)

    async def _wait_for_height(self, height: Height) -> None:
        while self._chain.head.header.height < height:
            self._height_moved.clear()
            await self._height_moved.wait()

    # The loop

    async def run(self, replayed: Sequence[Effect]) -> None:
        """Handle events until cancelled; `replayed` are the effects that recovery left to do."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._say_summaries())
                for effect in replayed:
                    await self._perform(effect)
                self.on_work()
                while True:
                    await self._take(await self._events.get())
        finally:
            for timer in self._timers:
                timer.cancel()
            if self._work_timer is not None:
                self._work_timer.cancel()

    async def _take(self, event: "Event | CertifiedBlockArrived") -> None:
        if isinstance(event, CertifiedBlockArrived):
            try:
                await self._commit(event.certified, event.block)
            finally:
                if not event.done.done():
                    event.done.set_result(None)
            return
        if isinstance(event, SummaryReceived) and self._is_slept_through(event.summary):
            self._answer_summary(event.peer)
            if self._is_mining_shared:
                self._events.put_nowait(WorkArrived(event.summary.height))
        for effect in self._handle(event):
            await self._perform(effect)

    def _handle(self, event: Event) -> list[Effect]:
        """Give the core an event, and note when a height's work begins, whether here or because a peer has begun."""
        is_waiting = isinstance(event, HeightStarted) or self._core.step is Step.NEW_HEIGHT
        effects = self._core.handle(event)
        if is_waiting and self._core.step is not Step.NEW_HEIGHT:
            self._last_start_s = self._clock.get_monotonic_s()
            if self._is_mining_shared and isinstance(event, WorkArrived):
                self._say_summary()
        return effects

    async def _perform(self, effect: Effect) -> None:
        match effect:
            case AppendLog(record, sync):
                await self._persist(lambda: self._log.append(record))
                if sync:
                    await self._persist(self._log.sync)
            case SaveSafety(state):
                assert self._safety_file is not None, "only members sign"
                safety_file, encoded = self._safety_file, encode_safety(state)
                await self._persist(lambda: safety_file.save(encoded))
            case SignVote(vote, message):
                self._start(self._sign_vote(vote, message))
            case SignProposal(proposal, message):
                self._start(self._sign_proposal(proposal, message))
            case Broadcast(message):
                self._voice.broadcast_consensus(message)
            case SendTo(peer, message):
                self._voice.send_consensus(peer, message)
            case CheckBlock(proposal):
                self._start(self._check_block(proposal))
            case FetchProposal():
                self._say_summary()
            case BuildBlock(height, round_number):
                self._start(self._build_block(height, round_number))
            case ScheduleTimeout(height, round_number, step, delay_ms):
                self._schedule(delay_ms / 1000, TimedOut(height, round_number, step))
            case Decide(proposal, certificate):
                await self._decide(proposal, certificate)
            case ReportEquivocation(first, second):
                self._keep_evidence(first, second)
            case BlameMessage(peer, reason):
                self._voice.penalise(peer, BLAME_POINTS, reason)
            case _:
                assert_never(effect)

    # Effects

    async def _persist(self, action: Callable[[], T]) -> T:
        """Write to disk; while it is full, wait here: nothing behind this effect happens, so nothing is signed."""
        has_failed = False
        while True:
            try:
                outcome = action()
            except (DiskFullError, StoreWriteError) as error:
                has_failed = True
                await self._space.wait_after_failure(error)
            else:
                if has_failed:
                    self._space.resume()
                return outcome

    async def _sign_vote(self, vote: Vote, message: bytes) -> None:
        signature = await self._sign(vote, message)
        if signature is not None:
            self._events.put_nowait(VoteSigned(replace(vote, signature=signature)))

    async def _sign_proposal(self, proposal: Proposal, message: bytes) -> None:
        signature = await self._sign(proposal, message)
        if signature is not None:
            self._events.put_nowait(ProposalSigned(replace(proposal, signature=signature)))

    async def _sign(self, subject: Vote | Proposal, message: bytes) -> Signature | None:
        """The signature, or None when the keeper of the key refuses, or is away until the round is over.

        Asked one after the other, in the order of the core: a later message, once signed, bars the earlier.
        """
        assert self._signer is not None, "only members sign"
        async with self._is_signing:
            while subject.height == self._chain.head.header.height + 1:
                await self._space.wait_until_enough()
                try:
                    return await self._signer.sign(subject, message)
                except SignerRefusedError as error:
                    self._logger.error(
                        "the signer refused; this message is not sent, and not asked for again",
                        height=subject.height,
                        round=subject.round,
                        reason=str(error),
                    )
                    return None
                except SignerUnavailableError as error:
                    self._logger.warning("the signer cannot be reached, trying again", reason=str(error))
                    await asyncio.sleep(SIGNER_RETRY_S)
                if subject.round < self._core.round:
                    return None  # a late answer would help little, and holds up the messages of the round
        return None

    async def _check_block(self, proposal: Proposal) -> None:
        is_valid = await self._assembly.assemble(
            proposal.header, proposal.envelope_hashes, proposal.evidence, self._voice.list_peers
        )
        assembled = self._assembly.get(proposal.block_hash)
        if is_valid and assembled is not None:
            await self._persist(lambda: self._assembly.keep_on_disk(assembled))
        self._events.put_nowait(BlockChecked(proposal.block_hash, is_valid))

    async def _build_block(self, height: Height, round_number: Round) -> None:
        assert self._signer is not None, "only members propose"
        rules = self._get_rules()
        if rules.height != height:
            return
        parameters = rules.parameters
        previous_ms = rules.head.header.time_ms
        early_ms = previous_ms + 1 - self._clock.get_wall_ms()
        if early_ms > 0:
            await asyncio.sleep(early_ms / 1000)
        time_ms = max(self._clock.get_wall_ms(), previous_ms + 1)
        transactions = self._mempool.select(
            parameters.block_gas_max,
            parameters.block_bytes_max,
            parameters.block_transactions_max,
            free_gas_max=parameters.free_quota_block_gas_max,
        )
        names = [transaction.envelope_hash for transaction in transactions]
        evidence = self._evidence.select()
        header = build_header(rules, round_number, TimeMs(time_ms), self._signer.public_key, names, evidence)
        block = Block(header, tuple(transaction.raw for transaction in transactions), evidence)
        own = AssembledBlock(block, transactions)
        self._assembly.add_own(own)
        await self._persist(lambda: self._assembly.keep_on_disk(own))
        self._events.put_nowait(BlockBuilt(height, round_number, header, tuple(names), evidence))

    async def _decide(self, proposal: Proposal, certificate: CommitCertificate) -> None:
        block = self._assembly.get(proposal.block_hash)
        if block is not None:
            await self._commit(CertifiedBlock(block.block, certificate), block)
        else:  # after a restart: the log remembers the decision, the transactions must be found again
            self._start(self._fetch_and_commit(proposal, certificate))

    async def _fetch_and_commit(self, proposal: Proposal, certificate: CommitCertificate) -> None:
        is_valid = await self._assembly.assemble(
            proposal.header, proposal.envelope_hashes, proposal.evidence, self._voice.list_peers
        )
        block = self._assembly.get(proposal.block_hash)
        if is_valid and block is not None:
            await self.commit_synced(CertifiedBlock(block.block, certificate), block)

    async def _commit(self, certified: CertifiedBlock, block: AssembledBlock) -> None:
        """Execute and persist, then start the next height."""
        height = certified.block.header.height
        if height != self._chain.head.header.height + 1:
            return
        committed = await self._execute(certified, block)
        self._height_moved.set()
        self._assembly.start_height()
        self._logger.info(
            "block",
            height=height,
            round=certified.certificate.round,
            transactions=len(committed.transactions),
            executed_ms=round(committed.executed_ms, 1),
            hash=certified.block.header.hash.hex()[:16],
        )
        await self._start_height()

    async def _execute(self, certified: CertifiedBlock, block: AssembledBlock) -> CommittedBlock:
        try:
            return await self._execution.execute(certified, block.transactions)
        except (DiskFullError, StoreWriteError) as error:
            committed = await self._execute_again(certified, block, error)
        self._space.resume()
        return committed

    async def _execute_again(
        self, certified: CertifiedBlock, block: AssembledBlock, error: Exception
    ) -> CommittedBlock:
        """Wait for room, open the store anew, read where it stands, and go on from there."""
        while True:
            await self._space.wait_after_failure(error)
            try:
                self._reopen_store()
                if self._chain.head.header.height == certified.block.header.height:
                    return self._execution.announce_stored(certified, block.transactions)
                return await self._execution.execute(certified, block.transactions)
            except (DiskFullError, StoreWriteError) as again:
                error = again

    async def _start_height(self) -> None:
        event = build_height_started(self._get_rules())
        await self._persist(lambda: self._log.begin_height(event.height))
        if self._work_timer is not None:
            self._work_timer.cancel()
            self._work_timer = None
        for effect in self._handle(event):
            await self._perform(effect)
        self.on_work()

    def _keep_evidence(self, first: Vote | Proposal, second: Vote | Proposal) -> None:
        rules = self._get_rules()
        if first.height != rules.height:
            return  # of a height decided meanwhile: whoever else saw it reports it too
        evidence = build_equivocation_evidence(first, second, rules.committee, rules.turns)
        if evidence is not None:
            self._evidence.add_found(evidence)

    # Time

    def _begin_work(self) -> None:
        self._work_timer = None
        self._events.put_nowait(WorkArrived(Height(self._chain.head.header.height + 1)))

    def has_work(self) -> bool:
        """Whether a block has something to do: transactions, an offence, or a state that no header states yet."""
        return self._mempool.has_ready or self._evidence.has_ready or not self._chain.head.is_sealed

    def _get_interval_s(self) -> float:
        return self._get_rules().parameters.block_interval_ms / 1000

    def _get_rules(self) -> NextBlockRules:
        return get_next_block_rules(self._chain.head, self._chain.open_state())

    def _schedule(self, delay_s: float, event: Event) -> None:
        def fire() -> None:
            self._timers.discard(timer)
            self._events.put_nowait(event)

        timer = asyncio.get_running_loop().call_later(delay_s, fire)
        self._timers.add(timer)

    async def _say_summaries(self) -> None:
        """While a height is going on, tell peers what has been heard, so that they send what is missing."""
        while True:
            await asyncio.sleep(SUMMARY_INTERVAL_S)
            if self._core.step not in (Step.NEW_HEIGHT, Step.DECIDED):
                self._say_summary()

    def _is_slept_through(self, summary: RoundSummary) -> bool:
        """Whether peers are at work on the height for which this node idles: it has missed what would have woken it."""
        is_idle = self._core.step is Step.NEW_HEIGHT
        return is_idle and summary.height == self._core.height and summary.step is not Step.NEW_HEIGHT

    def _answer_summary(self, peer: NodeKey) -> None:
        summary = self._core.get_summary()
        assert summary is not None, "a height is open, and this node idles in it"
        self._voice.send_consensus(peer, summary)

    def _say_summary(self) -> None:
        """What this node has heard shows peers what it lacks."""
        summary = self._core.get_summary()
        if summary is not None:
            self._voice.broadcast_consensus(summary)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run beside the loop; a failure there ends the driver."""
        assert self._tasks is not None, "effects are performed while the driver runs"
        self._tasks.create_task(work)
