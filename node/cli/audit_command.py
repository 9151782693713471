"""`carlive audit`: execute the whole chain again and account for every grain."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import click

from node.cli.connection import connect, node_option
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.output import Output, output_option

if TYPE_CHECKING:
    from genesis.document import GenesisDocument
    from ledger.block import CertifiedBlock
    from rpc.client import Client
    from rpc.models import EventView

CSV_FILE: Final = "audit.csv"
PAGE_FILE: Final = "audit.html"


class BlockSource:
    """Where the genesis document and the blocks come from."""

    def __init__(
        self,
        document: "GenesisDocument",
        height: int,
        load_block: "Callable[[int], CertifiedBlock]",
        load_events: "Callable[[int], Sequence[EventView]]",
        state_root: bytes | None = None,
    ) -> None:
        self.document = document
        self.height = height
        """The last block."""
        self.load_block = load_block
        self.load_events = load_events
        """What the node tells of a block's end."""
        self.state_root = state_root
        """What the node holds for the state after the last block; None when it does not say."""


@click.command()
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of a stopped node: its blocks are read from disk instead of from --node.",
)
@node_option
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help=f"Where {CSV_FILE} and {PAGE_FILE} are written; the current directory unless given.",
)
@output_option
def audit(home: Path | None, node_url: str, directory: Path, output: Output) -> None:
    """Execute the whole chain again and account for every grain.

    It begins with genesis; every certificate, signature and root is checked. The exit code is 1 if anything is wrong.
    """
    from genesis.build import compute_genesis_hash, initialise_chain
    from identity.signing import compute_signing_domain
    from node.atomic_file import replace_file
    from node.audit import Audit, UnreadableBlockError
    from node.audit_page import FlowFile, build_page, summarise
    from node.cli.query_commands import format_grains
    from node.leveldb_store import LevelDbStore

    with ExitStack() as stack:
        source = stack.enter_context(_open_home(home) if home is not None else _open_node(node_url))
        directory.mkdir(parents=True, exist_ok=True)
        document = source.document
        genesis_hash = compute_genesis_hash(document)
        domain = compute_signing_domain(document.chain_id, genesis_hash)
        place = stack.enter_context(TemporaryDirectory(prefix="carlive-audit-"))
        store = LevelDbStore(Path(place))
        stack.callback(store.close)
        initialise_chain(store, document)
        with (directory / CSV_FILE).open("w", encoding="utf-8", newline="") as file:
            books = Audit(store, domain, document.network_kind, FlowFile(file).add)
            with _show_progress(source.height) as advance:
                try:
                    for height in range(1, source.height + 1):
                        if not books.add_block(source.load_block(height), source.load_events(height)):
                            break
                        advance()
                except UnreadableBlockError as error:
                    books.result.problems.append(str(error))
            result = books.finish(source.state_root if books.result.height == source.height else None)
        page = build_page(document.chain_id, genesis_hash, result)
        replace_file(directory / PAGE_FILE, page.encode(), 0o644)
    totals = summarise(result)
    files = [str(directory / name) for name in (CSV_FILE, PAGE_FILE)]
    record = {"genesisHash": f"0x{genesis_hash.hex()}"} | totals | {"problems": result.problems, "files": files}
    output.show_record(record, {name: format_grains for name in totals if name not in ("height", "accounts")})
    if result.problems:
        more = f", and {len(result.problems) - 1} more" if len(result.problems) > 1 else ""
        raise CommandFailedError(f"the audit does not add up: {result.problems[0]}{more}", ExitCode.FAILED)


@contextmanager
def _open_home(home: Path) -> Iterator[BlockSource]:
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

        yield BlockSource(document, chain.head.header.height, load_block, load_events, chain.head.state_root)
    finally:
        store.close()


@contextmanager
def _open_node(node_url: str) -> Iterator[BlockSource]:
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
def _show_progress(blocks: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error, gone when all is done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("executing blocks"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("blocks", total=blocks)
        yield lambda: progress.advance(task)
