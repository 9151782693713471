"""Deletes old blocks while the node runs, off the commit path and a few at a time."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from ledger.chain import Chain
from ledger.history import get_indexed_height
from ledger.primitives import Height
from ledger.pruning import KeptBlocks, PruningRules, compute_deletions, measure_block_bytes, plan_earliest_height
from ledger.store import Change
from node.clock import Clock
from node.config import NodeConfig
from node.errors import StoreWriteError

INTERVAL_S: Final = 2.0
BATCH_HEIGHTS_MAX: Final = 16
BATCH_KEYS_MAX: Final = 20_000  # about 10 ms of the event loop to write
BATCH_PAUSE_S: Final = 0.02
MEASURE_HEIGHTS_MAX: Final = 1_000  # in one turn of the thread that adds up the sizes
_DAY_MS: Final = 86_400_000


def build_rules(config: NodeConfig) -> PruningRules:
    """What the settings ask for."""
    return PruningRules(config.storage_keep_blocks, config.storage_keep_days * _DAY_MS, config.storage_keep_bytes)


class Pruner:
    """Follows the head at a distance. Reads on a thread, writes on the event loop like everybody else."""

    def __init__(
        self,
        chain: Chain,
        rules: PruningRules,
        clock: Clock,
        list_peer_heights: Callable[[], list[int]],
        logger: Any,
    ) -> None:
        self._chain = chain
        self._rules = rules
        self._clock = clock
        self._list_peer_heights = list_peer_heights
        self._logger = logger
        self._kept_bytes = 0
        self._measured_height = chain.earliest_height - 1
        """The sizes are added up to here."""

    async def run(self) -> None:
        """Prune until cancelled."""
        if not self._rules.is_on:
            return
        while True:
            with suppress(StoreWriteError):  # the next block reopens the store; what did not get through is done again
                await self.prune()
            await asyncio.sleep(INTERVAL_S)

    async def prune(self) -> None:
        """Delete all that may go now."""
        if self._rules.keep_bytes:
            await self._measure()
        before = self._chain.earliest_height
        wanted = await asyncio.to_thread(self._plan, tuple(self._list_peer_heights()))
        while self._chain.earliest_height < wanted:
            deletions, earliest_height, freed_bytes = await asyncio.to_thread(self._collect, wanted)
            self._chain.forget_blocks(deletions, earliest_height)
            self._kept_bytes -= freed_bytes
            await asyncio.sleep(BATCH_PAUSE_S)
        if wanted > before:
            self._logger.info("old blocks deleted", kept_from=wanted, deleted=wanted - before)

    def _plan(self, peer_heights: tuple[int, ...]) -> Height:
        chain = self._chain
        kept = KeptBlocks(
            chain.earliest_height,
            chain.head.header.height,
            get_indexed_height(chain.store),
            self._kept_bytes,
            peer_heights,
        )
        return plan_earliest_height(
            self._rules,
            kept,
            self._clock.get_wall_ms(),
            self._get_time_ms,
            lambda height: measure_block_bytes(chain.store, height),
        )

    def _collect(self, wanted: Height) -> tuple[list[Change], Height, int]:
        """The next batch: what to delete, the earliest height after it, and the bytes it frees."""
        store, height = self._chain.store, self._chain.earliest_height
        stop = min(wanted, height + BATCH_HEIGHTS_MAX)
        deletions: list[Change] = []
        freed_bytes = 0
        while height < stop and len(deletions) < BATCH_KEYS_MAX:
            if self._rules.keep_bytes:
                freed_bytes += measure_block_bytes(store, height)
            deletions += compute_deletions(store, height)
            height = Height(height + 1)
        return deletions, height, freed_bytes

    async def _measure(self) -> None:
        """Add up what came since the last time; at first all there is."""
        while self._measured_height < self._chain.head.header.height:
            first = self._measured_height + 1
            stop = min(first + MEASURE_HEIGHTS_MAX, self._chain.head.header.height + 1)
            self._kept_bytes += await asyncio.to_thread(self._sum_bytes, first, stop)
            self._measured_height = stop - 1

    def _sum_bytes(self, first: int, stop: int) -> int:
        return sum(measure_block_bytes(self._chain.store, height) for height in range(first, stop))

    def _get_time_ms(self, height: int) -> int:
        certified = self._chain.get_block(height)
        assert certified is not None, f"block {height} is above the earliest, so it is here"
        return certified.block.header.time_ms
