"""Keeps the history index up with the chain, off the commit path."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from ledger.chain import Chain
from ledger.history import compute_history_changes, find_transaction, get_indexed_height
from ledger.primitives import Height, TransactionId
from ledger.receipt import Receipt, Status
from ledger.transaction import Transaction, TransactionBody, decode_transaction
from node.errors import StoreWriteError

_BLOCKS_WAITING_MAX: Final = 16  # decoded blocks kept for the index; older ones are read from the store again

_RETRY_S: Final = 1.0


class HistoryIndexer:
    """Follows the chain block by block; answers for blocks it has not come to yet from memory."""

    def __init__(self, chain: Chain, logger: Any) -> None:
        self._chain = chain
        self._logger = logger
        self._waiting: OrderedDict[int, tuple[Sequence[Transaction], Sequence[Receipt]]] = OrderedDict()
        self._recent: dict[TransactionId, tuple[int, int]] = {}
        self._wake = asyncio.Event()

    def add_block(self, height: Height, transactions: Sequence[Transaction], receipts: Sequence[Receipt]) -> None:
        """A block was committed."""
        self._waiting[height] = (transactions, receipts)
        for index, receipt in enumerate(receipts):
            if receipt.status is not Status.SKIPPED:
                self._recent[receipt.transaction_id] = (height, index)
        while len(self._waiting) > _BLOCKS_WAITING_MAX:
            self._waiting.popitem(last=False)
        self._wake.set()

    def find(self, transaction_id: TransactionId) -> tuple[int, int] | None:
        """Height and index of a final transaction."""
        return self._recent.get(transaction_id) or find_transaction(self._chain.store, transaction_id)

    async def run(self) -> None:
        """Index until cancelled; starts with whatever an earlier run left undone."""
        indexed = get_indexed_height(self._chain.store)
        behind = self._chain.head.header.height - indexed
        if behind > 1:
            self._logger.info("rebuilding the history index", blocks=behind)
        while True:
            while indexed < self._chain.head.header.height:
                try:
                    self._index(Height(indexed + 1))
                except StoreWriteError:  # the block after will reopen the store
                    await asyncio.sleep(_RETRY_S)
                    continue
                indexed += 1
                await asyncio.sleep(0)
            self._wake.clear()
            await self._wake.wait()

    def _index(self, height: Height) -> None:
        waiting = self._waiting.get(height)
        if waiting is not None:
            transactions, receipts = waiting
            bodies = [transaction.body for transaction in transactions]
        else:
            bodies, receipts = self._load(height)
        block_events = self._chain.get_block_events(height)
        self._chain.store.write(compute_history_changes(height, bodies, receipts, block_events), sync=False)
        self._waiting.pop(height, None)
        for receipt in receipts:
            if self._recent.get(receipt.transaction_id, (0, 0))[0] == height:
                del self._recent[receipt.transaction_id]

    def _load(self, height: Height) -> tuple[list[TransactionBody], Sequence[Receipt]]:
        certified, receipts = self._chain.get_block(height), self._chain.get_receipts(height)
        assert certified is not None, f"block {height} is missing"
        assert receipts is not None, f"the receipts of block {height} are missing"
        return [decode_transaction(raw).body for raw in certified.block.transactions], receipts
