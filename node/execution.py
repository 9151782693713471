"""Turns a certified block into the new head, and tells everybody who waits for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from identity.signing import SigningDomain
from ledger.block import CertifiedBlock, Header
from ledger.chain import Chain, Head
from ledger.primitives import TransactionId
from ledger.receipt import Event, Receipt, Status
from ledger.state_keys import Table
from ledger.transaction import Transaction
from node.contract_stack import ContractStack
from node.crash_points import CrashPoint, crash_point
from node.errors import StoreDamagedError
from vm.context import BlockContext
from vm.contracts.runtime import build_runtime
from vm.native.contracts import MODULE as CONTRACTS
from vm.offences import read_offences
from vm.proposal import InvalidBlockError, check_block, get_next_block_rules
from vm.transition import BlockResult, apply_block_in_slices

SLICE_TRANSACTIONS: Final = 200  # about 6 ms between turns of the event loop


class DivergedError(StoreDamagedError):
    """A block that the committee has finalised contradicts this node's own state: it must not go on."""


@dataclass(frozen=True, slots=True)
class CommittedBlock:
    """A block that has just become final here."""

    certified: CertifiedBlock
    transactions: Sequence[Transaction]
    receipts: Sequence[Receipt]
    events: Sequence[Event]
    """What happened at the block's end."""
    head: Head
    changed_tables: frozenset[int]
    """First bytes of the state keys that changed (ledger.state_keys.Table)."""
    executed_ms: float


Listener = Callable[[CommittedBlock], None]


class Execution:
    """Executes blocks in order. Listeners are called after the block is on disk, in the order they were added."""

    def __init__(
        self,
        chain: Chain,
        domain: SigningDomain,
        logger: Any,
        explain_divergence: Callable[[Header], Awaitable[str]] | None = None,
    ) -> None:
        """`explain_divergence` says where the state differs from the one that a final header certifies."""
        self._explain_divergence = explain_divergence
        self._chain = chain
        self._domain = domain
        self._logger = logger
        self._listeners: list[Listener] = []
        self._stack = ContractStack()
        self.contracts = build_runtime(chain.head.header.chain_id, self._stack.run)
        """What blocks' contracts are run with. Nobody else uses it: blocks wait for nobody's questions."""

    def add_listener(self, listener: Listener) -> None:
        """Call this after every block."""
        self._listeners.append(listener)

    async def execute(self, certified: CertifiedBlock, transactions: Sequence[Transaction]) -> CommittedBlock:
        """Check, execute and persist the block after the head; one at a time. Other tasks run between slices.

        The caller has verified the certificate and the transactions' signatures. Raises DivergedError when the block
        does not follow from this node's own state all the same.
        """
        started_s = time.perf_counter()
        header = certified.block.header
        rules = get_next_block_rules(self._chain.head, self._chain.open_state())
        try:
            evidence = certified.block.evidence
            check_block(rules, self._domain, header, transactions, evidence)
        except InvalidBlockError as error:
            where = "" if self._explain_divergence is None else f"{await self._explain_divergence(header)}; "
            raise DivergedError(
                f"block {header.height}, final on the network, does not follow from this node's state ({error}): "
                f"{where}its data is damaged; move data/ away and let the node sync again, keep keys/ and safety/"
            ) from error
        state = self._chain.open_state()
        context = BlockContext(
            header.height,
            header.time_ms,
            header.proposer,
            rules.parameters,
            self._domain,
            header.round,
            read_offences(evidence),
            self.contracts,
            previous_hash=header.previous_hash,
        )
        slices = apply_block_in_slices(state, context, transactions, SLICE_TRANSACTIONS)
        if any(call.module == CONTRACTS.name for each in transactions for call in each.body.calls):
            slices = self._run_on_stack(slices)
        result: BlockResult | None = None
        for result in slices:
            if result is None:
                await asyncio.sleep(0)
        assert result is not None, "the last slice gives the result"
        with crash_point(CrashPoint.STORE_WRITE):
            head = self._chain.commit(certified, result.receipts, result.events, result.changes)
        executed_ms = (time.perf_counter() - started_s) * 1000
        changed_tables = frozenset([key[0] for key in result.changes])
        committed = CommittedBlock(
            certified, transactions, result.receipts, result.events, head, changed_tables, executed_ms
        )
        return self._announce(committed)

    def _run_on_stack(self, slices: Iterator[BlockResult | None]) -> Iterator[BlockResult | None]:
        """Whole slices at once on the contracts' thread: changing it for every call takes a fifth of a call's time."""
        result: BlockResult | None = None
        while result is None:
            result = self._stack.run(lambda: next(slices))
            yield result

    def announce_stored(self, certified: CertifiedBlock, transactions: Sequence[Transaction]) -> CommittedBlock:
        """The block turned out to be stored although its write had failed: tell the listeners all the same."""
        receipts = self._chain.get_receipts(certified.block.header.height)
        assert receipts is not None, "a stored block has receipts"
        events = self._chain.get_block_events(certified.block.header.height)
        all_tables = frozenset(int(table) for table in Table)
        return self._announce(
            CommittedBlock(certified, transactions, receipts, events, self._chain.head, all_tables, 0.0)
        )

    def _announce(self, committed: CommittedBlock) -> CommittedBlock:
        for listener in self._listeners:
            listener(committed)
        return committed


@dataclass(frozen=True, slots=True)
class Finalised:
    """A transaction is in a final block."""

    height: int
    index: int
    receipt: Receipt


class FinalityWaiters:
    """Clients that wait until their transactions are final."""

    def __init__(self) -> None:
        self._waiting: dict[TransactionId, list[asyncio.Future[Finalised]]] = {}

    def on_block(self, committed: CommittedBlock) -> None:
        """Wake those whose transaction the block holds. A skipped one is not final: it may still come."""
        if not self._waiting:
            return
        height = committed.certified.block.header.height
        for index, receipt in enumerate(committed.receipts):
            if receipt.status is not Status.SKIPPED and receipt.transaction_id in self._waiting:
                for future in self._waiting.pop(receipt.transaction_id):
                    if not future.done():
                        future.set_result(Finalised(height, index, receipt))

    async def wait(self, transaction_id: TransactionId, timeout_ms: int) -> Finalised | None:
        """The outcome, or None when the time is over."""
        future: asyncio.Future[Finalised] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(transaction_id, []).append(future)
        try:
            return await asyncio.wait_for(future, timeout_ms / 1000)
        except TimeoutError:
            return None
        finally:
            waiting = self._waiting.get(transaction_id)
            if waiting is not None and future in waiting:
                waiting.remove(future)
                if not waiting:
                    del self._waiting[transaction_id]
