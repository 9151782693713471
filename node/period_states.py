"""The states at both ends of a period, by executing a chain's blocks anew from genesis as an audit does."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from genesis.build import compute_genesis_hash, initialise_chain
from genesis.document import GenesisDocument
from identity.signing import compute_signing_domain
from ledger.block import CertifiedBlock
from ledger.primitives import TimeMs
from node.audit import Audit
from node.errors import ConfigurationError
from node.leveldb_store import LevelDbStore
from node.store_copy import copy_store

BEFORE: Final = "before"
AFTER: Final = "after"


@dataclass(frozen=True, slots=True)
class Period:
    """Two times, the first one below the other."""

    starts_ms: TimeMs
    ends_ms: TimeMs


@dataclass(frozen=True, slots=True)
class PeriodHeights:
    """The last blocks that are no later than the ends of a period."""

    before: int | None
    """None: the chain begins within the period."""
    after: int


def execute_period(
    document: GenesisDocument,
    height: int,
    load_block: Callable[[int], CertifiedBlock],
    period: Period,
    directory: Path,
    advance: Callable[[], None],
) -> PeriodHeights:
    """Stores of both states, as `before` and `after` in a directory; `height` is that of the last block.

    Only the block that follows tells that a state lasted to the end of a period: it is loaded too. Raises
    ConfigurationError where blocks do not follow or do not reach, and whatever `load_block` raises.
    """
    domain = compute_signing_domain(document.chain_id, compute_genesis_hash(document))
    store = LevelDbStore(directory / AFTER)
    try:
        initialise_chain(store, document)
        books = Audit(store, domain, document.network_kind, lambda _: None)
        time_ms, before = document.time_ms, None
        for number in range(1, height + 1):
            certified = load_block(number)
            next_ms = certified.block.header.time_ms
            if time_ms <= period.starts_ms < next_ms:
                copy_store(store, directory / BEFORE, lambda _: None)
                before = number - 1
            if next_ms > period.ends_ms:
                if time_ms > period.ends_ms:
                    raise ConfigurationError("the period ends before the chain begins")
                return PeriodHeights(before, number - 1)
            if not books.add_block(certified) or books.result.problems:
                raise ConfigurationError(books.result.problems[0])
            time_ms = next_ms
            advance()
    finally:
        store.close()
    raise ConfigurationError(f"the period is not over: block {height}, the last one, is not later than its end")
