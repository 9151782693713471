"""Catches up from peers' final blocks: asks for ranges, checks every certificate and signature, commits in order."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from consensus.certificate import (
    InvalidCertificateError,
    InvalidHeaderError,
    check_certificate,
    check_header_link,
)
from consensus.committee import fault_limit
from consensus.sync_rules import SyncPlanner
from identity.signing import SigningDomain
from ledger.block import Block, CertifiedBlock, CommitCertificate, compute_evidence_root, compute_transactions_root
from ledger.chain import Chain
from ledger.codec import DecodeError, decode
from ledger.primitives import Height, NodeKey, TimeMs
from ledger.transaction import Transaction, decode_transaction
from node.block_assembly import AssembledBlock
from node.clock import Clock
from node.intake import Intake
from node.messages import BLOCKS_ANSWER_BYTES_MAX, BlocksAnswer, BlocksRequest

PLAN_INTERVAL_S: Final = 0.2
VERIFIED_AHEAD_MAX: Final = 3  # blocks whose signatures are checked while an earlier one is executed
NEXT_BLOCK_GRACE_S: Final = 1.0  # a single missing block usually comes by consensus
LIE_POINTS: Final = 100.0
PROGRESS_INTERVAL_S: Final = 5.0

Commit = Callable[[CertifiedBlock, AssembledBlock], Awaitable[None]]
SendRequest = Callable[[NodeKey, BlocksRequest], bool]


class _BadBlockError(Exception):
    """What a peer sent is not the block it should be."""


@dataclass(frozen=True, slots=True)
class _Received:
    peer: NodeKey
    encoded_block: bytes
    encoded_certificate: bytes


@dataclass(frozen=True, slots=True)
class _Verified:
    """What a peer sent, decoded, its transactions as named by its header and well signed."""

    certified: CertifiedBlock
    transactions: list[Transaction]


class BlockSync:
    """Follows what peers say of their heads and fetches what is missing."""

    def __init__(
        self,
        chain: Chain,
        intake: Intake,
        domain: SigningDomain,
        clock: Clock,
        send_request: SendRequest,
        penalise: Callable[[NodeKey, float, str], None],
        commit: Commit,
        logger: Any,
    ) -> None:
        self._chain = chain
        self._intake = intake
        self._domain = domain
        self._clock = clock
        self._send_request = send_request
        self._penalise = penalise
        self._commit = commit
        self._logger = logger
        self._planner = SyncPlanner(chain.head.header.height)
        self._heads: dict[NodeKey, int] = {}
        self._received: dict[int, _Received] = {}
        self._verifying: dict[int, tuple[_Received, asyncio.Task[_Verified]]] = {}
        self._arrived = asyncio.Event()
        self._behind_since_s: float | None = None

    # What the node reports

    def set_peer_status(self, peer: NodeKey, earliest_height: Height, head_height: Height) -> None:
        """A peer says how far it has come."""
        self._planner.update_peer(peer, earliest_height, head_height)
        self._heads[peer] = head_height

    def get_peer_height(self, peer: NodeKey) -> int:
        """What a peer has said last of its head."""
        return self._heads.get(peer, 0)

    def list_peer_heights(self) -> list[int]:
        """The heads of connected peers, as they have said."""
        return list(self._heads.values())

    def remove_peer(self, peer: NodeKey) -> None:
        """A peer is gone."""
        self._heads.pop(peer, None)
        self._planner.remove_peer(peer)

    def on_block(self, _committed: object) -> None:
        """The head has moved."""
        height = self._chain.head.header.height
        self._planner.set_head(height)
        for outdated in [each for each in self._received if each <= height]:
            del self._received[outdated]
        self._arrived.set()  # the block after may be here already

    def take_answer(self, peer: NodeKey, answer: BlocksAnswer) -> None:
        """A peer's blocks; what was not asked for is dropped."""
        if not self._planner.take_answer(peer, answer.first_height, len(answer.blocks), self._now_ms()):
            return  # late answers to requests that were given up are no offence
        for offset, (block, certificate) in enumerate(answer.blocks):
            height = answer.first_height + offset
            if height > self._chain.head.header.height:
                self._received[height] = _Received(peer, block, certificate)
        self._arrived.set()

    def build_answer(self, request: BlocksRequest) -> BlocksAnswer:
        """Blocks for a peer that catches up, as many as fit one message."""
        blocks: list[tuple[bytes, bytes]] = []
        size_bytes = 0
        for height in range(request.first_height, request.first_height + request.count):
            encoded = self._chain.get_encoded_block(height)
            if encoded is None or (blocks and size_bytes + len(encoded[0]) + len(encoded[1]) > BLOCKS_ANSWER_BYTES_MAX):
                break
            blocks.append(encoded)
            size_bytes += len(encoded[0]) + len(encoded[1])
        return BlocksAnswer(request.first_height, tuple(blocks))

    # What operators and clients see

    @property
    def target_height(self) -> int:
        """How far the chain is, as far as peers can be believed: as many as may lie are not enough to say more."""
        committee = self._chain.get_committee(self._chain.head.header.next_committee_hash)
        assert committee is not None, "the next committee is stored"
        claims = sorted(self._heads.values(), reverse=True)
        liars_max = fault_limit(len(committee.members))
        believed = claims[min(liars_max, len(claims) - 1)] if claims else 0
        return max(min(believed, self._claimed_height), self._chain.head.header.height)

    @property
    def _claimed_height(self) -> int:
        """The highest head that a peer claims which has not failed us; enough to ask it."""
        return self._planner.get_target(self._now_ms())

    # The work

    async def run(self) -> None:
        """Ask, check and commit until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._plan())
                tasks.create_task(self._commit_received())
        finally:
            for _, task in self._verifying.values():
                task.cancel()

    async def _plan(self) -> None:
        said_s = self._clock.get_monotonic_s()
        while True:
            if self._is_due():
                for wanted in self._planner.plan_requests(self._now_ms()):
                    count = wanted.last - wanted.first + 1
                    self._send_request(wanted.peer, BlocksRequest(wanted.first, count))
                if self._clock.get_monotonic_s() - said_s > PROGRESS_INTERVAL_S:
                    said_s = self._clock.get_monotonic_s()
                    head_height = self._chain.head.header.height
                    self._logger.info("catching up", height=head_height, target=self.target_height)
            await asyncio.sleep(PLAN_INTERVAL_S)

    def _is_due(self) -> bool:
        """Two blocks behind, or one for longer than consensus takes to bring it."""
        behind = self._claimed_height - self._chain.head.header.height
        if behind <= 0:
            self._behind_since_s = None
            return False
        if self._behind_since_s is None:
            self._behind_since_s = self._clock.get_monotonic_s()
        return behind > 1 or self._clock.get_monotonic_s() - self._behind_since_s > NEXT_BLOCK_GRACE_S

    async def _commit_received(self) -> None:
        while True:
            received = self._received.get(self._chain.head.header.height + 1)
            if received is None:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            height = self._chain.head.header.height + 1
            self._verify_ahead(height)
            try:
                certified, block = await self._check(received, height)
            except _BadBlockError as error:
                self._received.pop(height, None)
                self._planner.reject_blocks(received.peer, Height(height), 1, self._now_ms())
                self._penalise(received.peer, LIE_POINTS, f"block {height}: {error}")
                continue
            await self._commit(certified, block)
            self._received.pop(height, None)

    def _verify_ahead(self, height: int) -> None:
        """Have worker processes check the signatures of the next blocks while this one is executed."""
        for ahead in [each for each in self._verifying if each < height]:
            del self._verifying[ahead]
        for ahead in range(height, height + VERIFIED_AHEAD_MAX):
            received = self._received.get(ahead)
            known = self._verifying.get(ahead)
            if received is None or (known is not None and known[0] is received):
                continue
            task = asyncio.get_running_loop().create_task(self._verify(received))
            task.add_done_callback(_note_outcome)
            self._verifying[ahead] = received, task

    async def _check(self, received: _Received, height: int) -> tuple[CertifiedBlock, AssembledBlock]:
        """Everything but execution; raises _BadBlockError."""
        verified = await self._verifying[height][1]
        block, certificate = verified.certified.block, verified.certified.certificate
        if block.header.height != height:
            raise _BadBlockError(f"is block {block.header.height}")
        committee = self._chain.get_committee(self._chain.head.header.next_committee_hash)
        assert committee is not None, "the next committee is stored"
        try:
            check_header_link(self._chain.head.header, block.header)
            check_certificate(certificate, block.header, committee, self._domain)
        except (InvalidHeaderError, InvalidCertificateError) as error:
            raise _BadBlockError(str(error)) from None
        return verified.certified, AssembledBlock(block, verified.transactions)

    async def _verify(self, received: _Received) -> _Verified:
        """What can be told of a block without the ones before it; raises _BadBlockError."""
        try:
            block = decode(Block, received.encoded_block)
            certificate = decode(CommitCertificate, received.encoded_certificate)
            transactions = [decode_transaction(raw) for raw in block.transactions]
        except DecodeError as error:
            raise _BadBlockError(f"does not decode: {error}") from None
        if compute_transactions_root([each.envelope_hash for each in transactions]) != block.header.transactions_root:
            raise _BadBlockError("holds other transactions than its header names")
        if compute_evidence_root(block.evidence) != block.header.evidence_root:
            raise _BadBlockError("holds other evidence than its header names")
        if not all(await self._intake.verify_many(transactions)):
            raise _BadBlockError("holds a transaction with a bad signature")
        return _Verified(CertifiedBlock(block, certificate), transactions)

    def _now_ms(self) -> TimeMs:
        return TimeMs(int(self._clock.get_monotonic_s() * 1000))


def _note_outcome(task: "asyncio.Task[_Verified]") -> None:
    """A block that turns out bad before its turn is refused when its turn comes."""
    if not task.cancelled():
        task.exception()
