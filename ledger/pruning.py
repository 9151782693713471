"""Which old blocks a node lets go of, and what belongs to them in the store.

Of a pruned height everything goes but the header and certificate of a change of committee, which lie under a key of
their own: block, certificate, receipts, events of its end, its hash, its entries in the history index. Block 0 stays;
it tells which chain the store is of. Evidence needs no block: who ruled when stands in the state.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.block import Block
from ledger.codec import decode, unpack
from ledger.history import compute_history_changes, find_transaction
from ledger.primitives import Height, TransactionId
from ledger.receipt import BlockEvents, Event, Receipt
from ledger.store import Change, ReadView, Store
from ledger.store_keys import (
    INDEXED_HEIGHT_KEY,
    block_events_store_key,
    block_hash_store_key,
    block_store_key,
    certificate_store_key,
    receipts_store_key,
    transaction_store_key,
)
from ledger.transaction import decode_transaction

KEEP_BLOCKS_MIN: Final = 128
"""Never fewer: twice what the views of the last states span, so that every provable state has its next header."""
PEER_LAG_BLOCKS_MAX: Final = 4_096
"""A connected peer at most this far behind still gets what it lacks; one further behind does not stop pruning."""


@dataclass(frozen=True, slots=True)
class PruningRules:
    """What the operator wants to keep; 0 is all. Whatever any rule gives up goes."""

    keep_blocks: int
    keep_ms: int
    keep_bytes: int
    """Of blocks, certificates and receipts."""

    @property
    def is_on(self) -> bool:
        """Whether anything is ever given up."""
        return bool(self.keep_blocks or self.keep_ms or self.keep_bytes)


@dataclass(frozen=True, slots=True)
class KeptBlocks:
    """What there is now."""

    earliest_height: Height
    head_height: Height
    indexed_height: int
    """How far the history index has come: it reads the blocks after."""
    kept_bytes: int
    """Only looked at with `keep_bytes`."""
    peer_heights: Sequence[int]
    """Heads of connected peers."""


def plan_earliest_height(
    rules: PruningRules,
    kept: KeptBlocks,
    now_ms: int,
    get_time_ms: Callable[[int], int],
    get_size_bytes: Callable[[int], int],
) -> Height:
    """The earliest height to keep from now on; never below the present one."""
    earliest, head = kept.earliest_height, kept.head_height
    lagging = [height for height in kept.peer_heights if head - PEER_LAG_BLOCKS_MAX <= height < head]
    limit = min([head - KEEP_BLOCKS_MIN + 1, kept.indexed_height + 1, *[height + 1 for height in lagging]])
    if limit <= earliest:
        return earliest
    wanted = earliest
    if rules.keep_blocks:
        wanted = Height(max(wanted, min(limit, head - rules.keep_blocks + 1)))
    if rules.keep_ms:
        wanted = _find_first_since(wanted, limit, now_ms - rules.keep_ms, get_time_ms)
    if rules.keep_bytes:
        kept_bytes = kept.kept_bytes - sum(get_size_bytes(height) for height in range(earliest, wanted))
        while wanted < limit and kept_bytes > rules.keep_bytes:
            kept_bytes -= get_size_bytes(wanted)
            wanted = Height(wanted + 1)
    return wanted


def compute_deletions(store: Store | ReadView, height: int) -> list[Change]:
    """Everything that goes with one pruned height; nothing for block 0, or where there is no block any more."""
    encoded_block = store.get(block_store_key(height))
    if height == 0 or encoded_block is None:
        return []
    block = decode(Block, encoded_block)
    encoded_receipts = store.get(receipts_store_key(height))
    encoded_events = store.get(block_events_store_key(height))
    keys = [
        block_store_key(height),
        certificate_store_key(height),
        receipts_store_key(height),
        block_events_store_key(height),
        block_hash_store_key(block.header.hash),
    ]
    if encoded_receipts is not None:
        receipts = [decode(Receipt, each) for each in unpack(encoded_receipts)]
        events = () if encoded_events is None else decode(BlockEvents, encoded_events).events
        keys += _list_history_keys(store, block, receipts, events)
    return [(key, None) for key in keys]


def measure_block_bytes(store: Store | ReadView, height: int) -> int:
    """How many bytes a height takes as far as `keep_bytes` counts them."""
    keys = (block_store_key(height), certificate_store_key(height), receipts_store_key(height))
    return sum(len(store.get(key) or b"") for key in keys)


def _list_history_keys(
    store: Store | ReadView, block: Block, receipts: Sequence[Receipt], block_events: Sequence[Event]
) -> list[bytes]:
    """The block's entries; a transaction's own only if it is final in this block."""
    bodies = [decode_transaction(raw).body for raw in block.transactions]
    height = block.header.height
    changes = compute_history_changes(height, bodies, receipts, block_events)
    entries = {key for key, _ in changes} - {INDEXED_HEIGHT_KEY}
    for receipt in receipts:
        position = find_transaction(store, TransactionId(receipt.transaction_id))
        if position is not None and position[0] != height:
            entries.discard(transaction_store_key(receipt.transaction_id))
    return sorted(entries)


def _find_first_since(first: Height, limit: int, since_ms: int, get_time_ms: Callable[[int], int]) -> Height:
    """The first height of at least this time, or the limit; block times rise."""
    low, high = int(first), limit
    if get_time_ms(low) >= since_ms:
        return first
    while low + 1 < high:
        middle = (low + high) // 2
        if get_time_ms(middle) < since_ms:
            low = middle
        else:
            high = middle
    return Height(high)
