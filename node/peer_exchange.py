"""Talks to peers on behalf of the node: who hears what, and where each message that comes in goes."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from consensus.events import ProposalReceived, SummaryReceived, VoteReceived
from consensus.messages import Message, Proposal, RoundSummary, Vote, decode_message, encode_message
from ledger.codec import decode, encode
from ledger.primitives import EnvelopeHash, NodeKey, TimeMs
from ledger.transaction import Transaction
from node.block_assembly import BlockAssembly
from node.block_sync import BlockSync
from node.clock import Clock
from node.evidence_pool import EvidencePool
from node.intake import Intake
from node.messages import (
    CHANNELS,
    GOSSIP_BYTES_MAX,
    GOSSIP_TRANSACTIONS_MAX,
    HASHES_REQUEST_MAX,
    SNAPSHOT_ANSWERS,
    SNAPSHOT_REQUESTS,
    BlocksAnswer,
    BlocksRequest,
    MessageKind,
    Status,
    TransactionBatch,
    TransactionsRequest,
)
from p2p.frames import Channel, PeerProtocolError
from p2p.network import Network
from p2p.peer import PeerInfo
from vm.native.network import NodeRole

GOSSIP_DELAY_S: Final = 0.01  # transactions are collected this long into one frame
STATUS_DELAY_S: Final = 0.1
SUMMARY_INTERVAL_S_MIN: Final = 0.1
BATCHES_UNDER_WAY_MAX: Final = 64  # batches of peers whose signatures are being checked; more are dropped
UNWANTED_POINTS: Final = 5.0
INVALID_TRANSACTION_POINTS: Final = 2.0

TakeStateMessage = Callable[[NodeKey, MessageKind, bytes], None]
PostConsensus = Callable[[ProposalReceived | VoteReceived | SummaryReceived], bool]


class PeerExchange:
    """The network's handler."""

    def __init__(
        self,
        intake: Intake,
        assembly: BlockAssembly,
        sync: BlockSync,
        clock: Clock,
        post_consensus: PostConsensus,
        get_status: Callable[[], Status],
        get_summary: Callable[[], RoundSummary | None],
        evidence: EvidencePool,
        serve_state: TakeStateMessage,
        take_state_answer: TakeStateMessage,
        logger: Any,
    ) -> None:
        """`serve_state` hears requests of peers that download the state, `take_state_answer` what we asked for."""
        self._serve_state = serve_state
        self._take_state_answer = take_state_answer
        self._intake = intake
        self._assembly = assembly
        self._sync = sync
        self._clock = clock
        self._post_consensus = post_consensus
        self._get_status = get_status
        self._get_summary = get_summary
        self._evidence = evidence
        self._logger = logger
        self._network: Network | None = None
        self._roles: dict[NodeKey, NodeRole] = {}
        self._summaries_s: dict[NodeKey, float] = {}
        self._outgoing: list[Transaction] = []
        self._gossip_timer: asyncio.TimerHandle | None = None
        self._status_timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.dropped_batches = 0

    def attach(self, network: Network) -> None:
        """Set once: the network needs its handler first."""
        self._network = network

    # What the node says

    def broadcast_consensus(self, message: Message) -> None:
        """To every peer: observers follow votes too."""
        self._get_network().broadcast(Channel.CONSENSUS, MessageKind.CONSENSUS, encode_message(message))

    def send_consensus(self, peer: NodeKey, message: Message) -> None:
        """To one peer that lacks it."""
        self._get_network().send(peer, Channel.CONSENSUS, MessageKind.CONSENSUS, encode_message(message))

    def broadcast_evidence(self, encoded: bytes) -> None:
        """To every peer: whoever builds the next block should have it."""
        self._get_network().broadcast(Channel.CONSENSUS, MessageKind.EVIDENCE, encoded)

    def broadcast_status(self) -> None:
        """Tell how far this node has come, now or a little later: while catching up, not after every block."""
        if self._status_timer is None:
            self._status_timer = asyncio.get_running_loop().call_later(STATUS_DELAY_S, self._send_status)

    def _send_status(self) -> None:
        self._status_timer = None
        self._get_network().broadcast(Channel.CONTROL, MessageKind.STATUS, encode(self._get_status()))

    def gossip(self, transactions: Iterable[Transaction]) -> None:
        """Pass on transactions that came in here, soon and together."""
        self._outgoing.extend(transactions)
        if self._gossip_timer is None and self._outgoing:
            self._gossip_timer = asyncio.get_running_loop().call_later(GOSSIP_DELAY_S, self._send_gossip)

    def request_transactions(self, peer: NodeKey, envelope_hashes: Sequence[EnvelopeHash]) -> bool:
        """Ask a peer for transactions that a proposal names."""
        request = TransactionsRequest(tuple(envelope_hashes[:HASHES_REQUEST_MAX]))
        return self._get_network().send(peer, Channel.TRANSACTIONS, MessageKind.TRANSACTIONS_REQUEST, encode(request))

    def request_blocks(self, peer: NodeKey, request: BlocksRequest) -> bool:
        """Ask a peer for final blocks."""
        return self._get_network().send(peer, Channel.SYNC, MessageKind.BLOCKS_REQUEST, encode(request))

    def send_state_message(self, peer: NodeKey, kind: MessageKind, message: object) -> bool:
        """Ask for the state or serve it."""
        return self._get_network().send(peer, CHANNELS[kind], kind, encode(message))

    def list_peers(self) -> list[NodeKey]:
        """Whom to ask for what is missing, super nodes first."""
        return sorted(self._roles, key=lambda key: (self._roles[key] is not NodeRole.SUPER_NODE, key))

    def penalise(self, peer: NodeKey, points: float, reason: str) -> None:
        """A peer sent something bad."""
        self._get_network().penalise(peer, points, reason)

    # NetworkHandler

    def peer_joined(self, info: PeerInfo) -> None:
        """Tell a new peer where we are, and what we have heard of the current height."""
        self._roles[info.key] = info.role
        network = self._get_network()
        network.send(info.key, Channel.CONTROL, MessageKind.STATUS, encode(self._get_status()))
        summary = self._get_summary()
        if summary is not None:
            self.send_consensus(info.key, summary)
        for encoded in self._evidence.list_waiting():
            network.send(info.key, Channel.CONSENSUS, MessageKind.EVIDENCE, encoded)

    def peer_left(self, key: NodeKey, reason: str) -> None:
        """Forget what the peer told."""
        self._roles.pop(key, None)
        self._summaries_s.pop(key, None)
        self._sync.remove_peer(key)

    def received(self, peer: NodeKey, channel: Channel, kind: int, payload: bytes) -> None:
        """One message; bytes that do not decode cost the peer its connection."""
        if CHANNELS.get(kind) is not channel:
            raise PeerProtocolError(f"there is no message of kind {kind} on {channel.name}")
        match kind:
            case MessageKind.CONSENSUS:
                self._take_consensus(peer, decode_message(payload))
            case MessageKind.EVIDENCE:
                self._evidence.add(payload)
            case MessageKind.TRANSACTIONS:
                self._start(self._take_gossip(peer, decode(TransactionBatch, payload)))
            case MessageKind.TRANSACTIONS_REQUEST:
                self._answer_transactions(peer, decode(TransactionsRequest, payload))
            case MessageKind.TRANSACTIONS_ANSWER:
                self._start(self._take_transactions(peer, decode(TransactionBatch, payload)))
            case MessageKind.STATUS:
                status = decode(Status, payload)
                self._sync.set_peer_status(peer, status.earliest_height, status.head_height)
            case MessageKind.BLOCKS_REQUEST:
                answer = self._sync.build_answer(decode(BlocksRequest, payload))
                self._get_network().send(peer, Channel.SYNC, MessageKind.BLOCKS_ANSWER, encode(answer))
            case MessageKind.BLOCKS_ANSWER:
                self._sync.take_answer(peer, decode(BlocksAnswer, payload))
            case kind if kind in SNAPSHOT_ANSWERS:
                self._take_state_answer(peer, MessageKind(kind), payload)
            case kind if kind in SNAPSHOT_REQUESTS:
                self._serve_state(peer, MessageKind(kind), payload)

    # What peers say

    def _take_consensus(self, peer: NodeKey, message: Message) -> None:
        match message:
            case Proposal():
                received_ms = TimeMs(self._clock.get_wall_ms())
                self._post_consensus(ProposalReceived(message, received_ms, peer))
            case Vote():
                self._post_consensus(VoteReceived(message, peer))
            case RoundSummary():
                self._take_summary(peer, message)

    def _take_summary(self, peer: NodeKey, summary: RoundSummary) -> None:
        """Answering one may take half a megabyte, so a peer gets an answer only so often."""
        now_s = self._clock.get_monotonic_s()
        if now_s - self._summaries_s.get(peer, 0.0) >= SUMMARY_INTERVAL_S_MIN:
            self._summaries_s[peer] = now_s
            self._post_consensus(SummaryReceived(peer, summary))

    async def _take_gossip(self, peer: NodeKey, batch: TransactionBatch) -> None:
        """Admit them; a super node has sent them to all super nodes itself, anybody else relies on us."""
        outcomes = await self._intake.submit_from_peer(batch.transactions)
        if outcomes.invalid:
            self._get_network().penalise(peer, INVALID_TRANSACTION_POINTS * outcomes.invalid, "invalid transactions")
        if self._roles.get(peer) is not NodeRole.SUPER_NODE:
            self.gossip(outcomes.admitted)

    async def _take_transactions(self, peer: NodeKey, batch: TransactionBatch) -> None:
        unwanted = await self._assembly.take_answer(batch.transactions)
        if unwanted == len(batch.transactions):
            self._get_network().penalise(peer, UNWANTED_POINTS, "sent transactions that nobody asked for")

    def _answer_transactions(self, peer: NodeKey, request: TransactionsRequest) -> None:
        wanted = dict.fromkeys(request.envelope_hashes)  # each once, however often the peer names it
        found = [self._assembly.find_transaction(envelope_hash) for envelope_hash in wanted]
        for raws in _cut_into_batches([each.raw for each in found if each is not None]):
            batch = encode(TransactionBatch(tuple(raws)))
            if not self._get_network().send(peer, Channel.TRANSACTIONS, MessageKind.TRANSACTIONS_ANSWER, batch):
                return

    def _send_gossip(self) -> None:
        self._gossip_timer = None
        outgoing, self._outgoing = self._outgoing, []
        for raws in _cut_into_batches([transaction.raw for transaction in outgoing]):
            batch = encode(TransactionBatch(tuple(raws)))
            self._get_network().broadcast(Channel.TRANSACTIONS, MessageKind.TRANSACTIONS, batch)

    def _start(self, work: Any) -> None:
        if len(self._tasks) >= BATCHES_UNDER_WAY_MAX:
            self.dropped_batches += 1
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._logger.error("handling a peer's transactions failed", error=repr(task.exception()))

    def _get_network(self) -> Network:
        assert self._network is not None, "attach comes first"
        return self._network


def _cut_into_batches(raws: Sequence[bytes]) -> list[list[bytes]]:
    """Batches within the limits of one message."""
    batches: list[list[bytes]] = []
    size_bytes = 0
    for raw in raws:
        if not batches or len(batches[-1]) == GOSSIP_TRANSACTIONS_MAX or size_bytes + len(raw) > GOSSIP_BYTES_MAX:
            batches.append([])
            size_bytes = 0
        batches[-1].append(raw)
        size_bytes += len(raw)
    return batches
