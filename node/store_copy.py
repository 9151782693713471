"""Copies of a stopped node's store: snapshots, and the store of an earlier height, executed anew."""

import ctypes
import errno
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from genesis.build import initialise_chain
from genesis.document import GenesisDocument
from identity.signing import SigningDomain
from ledger.chain import Chain
from ledger.history import get_indexed_height
from ledger.primitives import Height
from ledger.pruning import KEEP_BLOCKS_MIN, KeptBlocks, PruningRules, compute_deletions, plan_earliest_height
from ledger.store import Change
from ledger.transaction import decode_transaction
from node.atomic_file import make_private_directory, sync_directory
from node.errors import ConfigurationError
from node.execution import Execution
from node.home import Home
from node.leveldb_store import LevelDbStore
from node.logs import get_logger

Progress = Callable[[int], None]
"""Told how many more steps are done."""

COPY_BATCH_BYTES: Final = 4 * 2**20
PRUNE_BATCH_HEIGHTS: Final = 64
_EXCHANGE: Final = 2  # renameat2: RENAME_EXCHANGE
_CURRENT_DIRECTORY: Final = -100  # AT_FDCWD
_UNSUPPORTED: Final = (errno.ENOSYS, errno.EINVAL)


@contextmanager
def open_stopped_store(home: Home) -> Iterator[LevelDbStore]:
    """The store of a node that does not run; raises ConfigurationError. Nobody can start it meanwhile."""
    if not home.data.is_dir():
        raise ConfigurationError(f"{home.data} does not exist: this node has no chain yet")
    store = LevelDbStore(home.data)
    try:
        yield store
    finally:
        store.close()


def copy_store(source: LevelDbStore, target_path: Path, advance: Progress) -> None:
    """Every record into a new store, in key order, so that it comes out compact; `advance` counts records."""
    target = LevelDbStore(target_path)
    try:
        batch: list[Change] = []
        batch_bytes = 0
        for key, value in source.iterate(b"", b"\xff"):
            batch.append((key, value))
            batch_bytes += len(key) + len(value)
            if batch_bytes >= COPY_BATCH_BYTES:
                target.write(batch, sync=False)
                advance(len(batch))
                batch, batch_bytes = [], 0
        target.write(batch, sync=True)
        advance(len(batch))
    finally:
        target.close()


def write_snapshot(home: Home, destination: Path, keep_blocks: int, advance: Progress) -> Height:
    """`data/` and genesis.json as a directory or, if the name ends so, a tar file; there whole or not at all.

    With `keep_blocks` the copy has only so many of the last blocks. Gives the head's height.
    """
    if destination.exists():
        raise ConfigurationError(f"{destination} exists: choose another name")
    partial = destination.with_name(f".{destination.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    make_private_directory(partial)
    try:
        with open_stopped_store(home) as store:
            height = Chain(store).head.header.height
            copy_store(store, partial / home.data.name, advance)
        if keep_blocks:
            with open_stopped_store(Home(partial)) as copied:
                prune_store(copied, keep_blocks, lambda _: None)
        if home.genesis_file.exists():
            shutil.copyfile(home.genesis_file, partial / home.genesis_file.name)
        if destination.suffix == ".tar":
            _write_tar(partial, destination)
        else:
            partial.rename(destination)
            sync_directory(destination.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return height


def prune_store(store: LevelDbStore, keep_blocks: int, advance: Progress) -> tuple[Height, Height]:
    """Delete all but the last blocks and give the room back; the earliest height before and after."""
    if keep_blocks < KEEP_BLOCKS_MIN:
        raise ConfigurationError(f"--keep-blocks is at least {KEEP_BLOCKS_MIN}, not {keep_blocks}")
    chain = Chain(store)
    before = chain.earliest_height
    kept = KeptBlocks(before, chain.head.header.height, get_indexed_height(store), 0, ())
    wanted = plan_earliest_height(PruningRules(keep_blocks, 0, 0), kept, 0, lambda _: 0, lambda _: 0)
    while chain.earliest_height < wanted:
        first = chain.earliest_height
        stop = Height(min(wanted, first + PRUNE_BATCH_HEIGHTS))
        deletions = [change for height in range(first, stop) for change in compute_deletions(store, height)]
        chain.forget_blocks(deletions, stop)
        advance(stop - first)
    if wanted > before:
        store.compact()
    return before, wanted


async def rebuild_store(
    home: Home, document: GenesisDocument, domain: SigningDomain, height: int, snapshot: Path | None, advance: Progress
) -> Path:
    """A new store beside `data/` whose head is this height: from genesis or a snapshot, block by block.

    Every block is checked against the state it meets. Gives the new directory; `data/` is not touched.
    """
    rebuilt = home.directory / "data.rebuilt"
    shutil.rmtree(rebuilt, ignore_errors=True)
    with open_stopped_store(home) as source:
        old = Chain(source)
        if not 0 <= height < old.head.header.height:
            raise ConfigurationError(f"--to is from 0 to {old.head.header.height - 1}, below the head, not {height}")
        if snapshot is not None:
            with open_stopped_store(Home(snapshot)) as taken:
                copy_store(taken, rebuilt, lambda _: None)
        target = LevelDbStore(rebuilt)
        try:
            if snapshot is None:
                initialise_chain(target, document)
            chain = Chain(target)
            start = chain.head.header
            _check_start(old, chain, height)
            execution = Execution(chain, domain, get_logger("rollback"))
            for number in range(start.height + 1, height + 1):
                certified = old.get_block(number)
                assert certified is not None, "blocks above the earliest are here"
                await execution.execute(certified, [decode_transaction(raw) for raw in certified.block.transactions])
                advance(1)
            following = old.get_block(height + 1)
            if following is not None and following.block.header.state_root != chain.head.state_root:
                raise ConfigurationError(
                    f"block {height} executed anew does not give the state that block {height + 1} names: "
                    "this version of the software differs; nothing was changed"
                )
        finally:
            target.close()
    return rebuilt


def exchange_directories(first: Path, second: Path) -> None:
    """Each gets the other's name, in one step where the system can; of one file system."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = (os.fsencode(first), os.fsencode(second))
    if libc.renameat2(_CURRENT_DIRECTORY, names[0], _CURRENT_DIRECTORY, names[1], _EXCHANGE) != 0:
        number = ctypes.get_errno()
        if number not in _UNSUPPORTED:
            raise OSError(number, os.strerror(number), str(first))
        aside = first.with_name(f".{first.name}.aside")
        first.rename(aside)
        second.rename(first)
        aside.rename(second)
    sync_directory(first.parent)


def _check_start(old: Chain, new: Chain, height: int) -> None:
    start = new.head.header
    if start.height > height:
        raise ConfigurationError(f"the snapshot is of block {start.height}, after {height}: use an older one")
    if old.earliest_height > start.height + 1:
        raise ConfigurationError(
            f"blocks {start.height + 1} to {old.earliest_height - 1} are pruned: give a snapshot of block "
            f"{old.earliest_height - 1} or later with --snapshot"
        )
    same = old.get_block(start.height)
    if same is not None and same.block.header.hash != start.hash:
        raise ConfigurationError("the genesis file or snapshot is of another chain than data/")


def _write_tar(directory: Path, destination: Path) -> None:
    partial = destination.with_name(f".{destination.name}.tmp")
    try:
        with tarfile.open(partial, "w") as archive:
            for path in sorted(directory.iterdir()):
                archive.add(path, path.name)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.rename(destination)
        sync_directory(destination.parent)
    finally:
        partial.unlink(missing_ok=True)
