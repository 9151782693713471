"""Where commands that execute the whole chain again get it from: a stopped node's home, or a running node."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.connection import connect
from node.cli.failures import CommandFailedError

if TYPE_CHECKING:
    from genesis.document import GenesisDocument
    from ledger.block import CertifiedBlock
    from ledger.chain import Chain
    from rpc.client import Client
    from rpc.models import EventView


class BlockSource:
    """Where the genesis document and the blocks come from."""

    def __init__(
        self,
        document: "GenesisDocument",
        height: int,
        load_block: "Callable[[int], CertifiedBlock]",
        load_events: "Callable[[int], Sequence[EventView]]",
        chain: "Chain | None" = None,
    ) -> None:
        self.document = document
        self.height = height
        """The last block."""
        self.load_block = load_block
        self.load_events = load_events
        """What the node tells of a block's end."""
        self.chain = chain
        """What a home holds; None where a node is asked."""


@contextmanager
def open_home(home: Path) -> Iterator[BlockSource]:
    """The home of a node that does not run; raises CommandFailedError, UnreadableBlockError."""
    from genesis.document import GENESIS_BYTES_MAX, parse_genesis
    from ledger.chain import Chain, UnknownFormatError, is_initialised
    from ledger.codec import DecodeError
    from node.audit import UnreadableBlockError
    from node.errors import StoreDamagedError
    from node.home import Home
    from node.leveldb_store import LevelDbStore
    from rpc.views import build_event_view

    place = Home(home)
    if not place.data.is_dir():
        raise CommandFailedError(f"{home} holds no chain: name the home of a node that has run")
    with place.genesis_file.open("rb") as opened:
        document = parse_genesis(opened.read(GENESIS_BYTES_MAX + 1))
    store = LevelDbStore(place.data)
    try:
        if not is_initialised(store):
            raise CommandFailedError(f"{place.data} holds no chain")
        try:
            chain = Chain(store)
        except UnknownFormatError as error:
            raise CommandFailedError(f"{place.data}: {error}") from None

        def load_block(height: int) -> "CertifiedBlock":
            try:
                block = chain.get_block(height)
            except (DecodeError, StoreDamagedError) as error:
                raise UnreadableBlockError(f"block {height} cannot be read: {error}") from None
            if block is None:
                raise UnreadableBlockError(f"block {height} is missing: take the home of a node that keeps all blocks")
            return block

        def load_events(height: int) -> "list[EventView]":
            try:
                events = chain.get_block_events(height)
            except (DecodeError, StoreDamagedError) as error:
                raise UnreadableBlockError(f"the events of block {height} cannot be read: {error}") from None
            return [build_event_view(event, document.network_kind) for event in events]

        yield BlockSource(document, chain.head.header.height, load_block, load_events, chain)
    finally:
        store.close()


@contextmanager
def open_node(node_url: str) -> Iterator[BlockSource]:
    """A node that keeps all blocks; raises CommandFailedError, UnreadableBlockError."""
    from genesis.document import load_genesis
    from rpc import calls

    with connect(node_url) as client:
        document = load_genesis(client.run(calls.chain_genesis()).document)
        height = client.run(calls.chain_head()).height
        yield BlockSource(
            document,
            height,
            lambda each: _fetch_block(client, each),
            lambda each: client.run(calls.chain_get_results(each)).events,
        )


def _fetch_block(client: "Client", height: int) -> "CertifiedBlock":
    """A whole block with its certificate; raises UnreadableBlockError."""
    from ledger.block import Block, CertifiedBlock, CommitCertificate
    from ledger.codec import DecodeError, decode
    from node.audit import UnreadableBlockError
    from rpc import calls

    raw = client.run(calls.chain_get_block(height=height, full=True)).raw
    certificate = client.run(calls.chain_get_commit(height)).certificate_bytes
    if raw is None:
        raise CommandFailedError("the node is too old to give whole blocks: ask another one")
    try:
        return CertifiedBlock(decode(Block, raw), decode(CommitCertificate, certificate))
    except DecodeError as error:
        raise UnreadableBlockError(f"block {height} cannot be read: {error}") from None


@contextmanager
def show_block_progress(blocks: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error, gone when all is done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("executing blocks"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("blocks", total=blocks)
        yield lambda: progress.advance(task)
