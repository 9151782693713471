"""From a proposal's names to the whole block: take from the mempool, fetch what is missing, check everything."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from identity.signing import SigningDomain
from ledger.block import Block, Header
from ledger.chain import Chain
from ledger.codec import DecodeError
from ledger.mempool import Mempool
from ledger.primitives import BlockHash, EnvelopeHash, Height, NodeKey
from ledger.transaction import Transaction, decode_transaction
from node.intake import Intake
from node.proposed_blocks import ProposedBlocks
from vm.proposal import InvalidBlockError, check_block, get_next_block_rules

FETCH_RETRY_S: Final = 0.3  # then the next peer is asked
FETCHED_BYTES_MAX: Final = 64 * 2**20  # of one height; more means that somebody feeds us rubbish

SendRequest = Callable[[NodeKey, Sequence[EnvelopeHash]], bool]


@dataclass(frozen=True, slots=True)
class AssembledBlock:
    """A block whose every transaction is here and valid."""

    block: Block
    transactions: Sequence[Transaction]


class BlockAssembly:
    """The blocks of the height that is being decided."""

    def __init__(
        self,
        chain: Chain,
        mempool: Mempool,
        intake: Intake,
        domain: SigningDomain,
        proposed: ProposedBlocks,
        send_request: SendRequest,
        logger: Any,
    ) -> None:
        """Blocks that an earlier run kept on disk are here again: their transactions were valid then and still are."""
        self._proposed = proposed
        self._chain = chain
        self._mempool = mempool
        self._intake = intake
        self._domain = domain
        self._send_request = send_request
        self._logger = logger
        self._assembled: dict[BlockHash, AssembledBlock] = {}
        self._fetched: dict[EnvelopeHash, Transaction] = {}
        self._fetched_bytes = 0
        self._wanted: set[EnvelopeHash] = set()
        self._wanted_before: set[EnvelopeHash] = set()
        self._arrived = asyncio.Event()
        for block in proposed.load():
            self._keep([decode_transaction(raw) for raw in block.transactions])

    def get(self, block_hash: BlockHash) -> AssembledBlock | None:
        """A block that has been assembled at this height."""
        return self._assembled.get(block_hash)

    def find_transaction(self, envelope_hash: EnvelopeHash) -> Transaction | None:
        """A transaction that this node has, for itself or for a peer that asks."""
        return self._mempool.get(envelope_hash) or self._fetched.get(envelope_hash)

    def add_own(self, assembled: AssembledBlock) -> None:
        """A block that this node has built itself; its transactions come from the mempool."""
        self._assembled[assembled.block.header.hash] = assembled
        self._keep(assembled.transactions)

    def keep_on_disk(self, assembled: AssembledBlock) -> None:
        """Make sure that a crash does not lose a block that this node is about to vote for; raises DiskFullError."""
        self._proposed.save(assembled.block)

    def start_height(self) -> None:
        """Forget the height that was decided."""
        self._assembled.clear()
        self._fetched.clear()
        self._fetched_bytes = 0
        self._wanted_before, self._wanted = self._wanted, set()
        self._arrived.set()
        self._proposed.clear()

    def on_transactions(self, transactions: Iterable[Transaction]) -> None:
        """Transactions were admitted to the mempool: perhaps a proposal waits for them."""
        if any(transaction.envelope_hash in self._wanted for transaction in transactions):
            self._arrived.set()

    async def take_answer(self, raws: Sequence[bytes]) -> int:
        """Keep what a proposal waits for; the rest is dropped. Returns how many were never wanted or not valid.

        Several peers are asked in turn, so a slow one may answer when another has, or when the height is over.
        """
        candidates = []
        late = 0
        for raw in raws:
            try:
                transaction = decode_transaction(raw)
            except DecodeError:
                continue
            name = transaction.envelope_hash
            if name in self._wanted and name not in self._fetched:
                candidates.append(transaction)
            elif name in self._wanted or name in self._wanted_before:
                late += 1
        valid = await self._intake.verify_many(candidates)
        kept = [transaction for transaction, is_valid in zip(candidates, valid, strict=True) if is_valid]
        self._keep(kept)
        self._arrived.set()
        return len(raws) - len(kept) - late

    async def assemble(
        self,
        header: Header,
        envelope_hashes: Sequence[EnvelopeHash],
        evidence: Sequence[bytes],
        list_peers: Callable[[], Sequence[NodeKey]],
    ) -> bool:
        """Whether the block is valid; fetches what is missing from the peers in turn until it is here."""
        if header.hash in self._assembled:
            return True
        transactions = await self._gather(header.height, envelope_hashes, list_peers)
        if transactions is None or header.height != self._chain.head.header.height + 1:
            return False
        rules = get_next_block_rules(self._chain.head, self._chain.open_state())
        try:
            check_block(rules, self._domain, header, transactions, evidence)
        except InvalidBlockError as error:
            self._logger.warning("a proposed block is not valid", block=header.hash.hex(), reason=str(error))
            return False
        block = Block(header, tuple(transaction.raw for transaction in transactions), tuple(evidence))
        self._assembled[header.hash] = AssembledBlock(block, transactions)
        return True

    async def _gather(
        self, height: Height, envelope_hashes: Sequence[EnvelopeHash], list_peers: Callable[[], Sequence[NodeKey]]
    ) -> list[Transaction] | None:
        """All of them, or None once the height is decided without them: a proposer may name what does not exist."""
        attempt = 0
        while height == self._chain.head.header.height + 1:
            found = [self.find_transaction(envelope_hash) for envelope_hash in envelope_hashes]
            missing = [name for name, transaction in zip(envelope_hashes, found, strict=True) if transaction is None]
            if not missing:
                transactions = [transaction for transaction in found if transaction is not None]
                self._keep(transactions)
                return transactions
            self._wanted.update(missing)
            self._arrived.clear()
            peers = list_peers()  # anew each time: right after a start there are none yet
            if peers:
                self._send_request(peers[attempt % len(peers)], missing)
            attempt += 1
            try:
                await asyncio.wait_for(self._arrived.wait(), FETCH_RETRY_S)
            except TimeoutError:
                self._logger.debug("still missing transactions of a proposal", missing=len(missing), attempt=attempt)
        return None

    def _keep(self, transactions: Iterable[Transaction]) -> None:
        """Hold on to transactions of this height's proposals: peers may ask, and the mempool may let go of them."""
        for transaction in transactions:
            if transaction.envelope_hash not in self._fetched:
                if self._fetched_bytes + len(transaction.raw) > FETCHED_BYTES_MAX:
                    return
                self._fetched[transaction.envelope_hash] = transaction
                self._fetched_bytes += len(transaction.raw)
