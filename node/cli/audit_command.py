"""`carlive audit`: execute the whole chain again and account for every grain."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click

from node.cli.block_source import open_home, open_node, show_block_progress
from node.cli.connection import node_option
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.output import Output, output_option

CSV_FILE: Final = "audit.csv"
PAGE_FILE: Final = "audit.html"


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
        source = stack.enter_context(open_home(home) if home is not None else open_node(node_url))
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
            with show_block_progress(source.height) as advance:
                try:
                    for height in range(1, source.height + 1):
                        if not books.add_block(source.load_block(height), source.load_events(height)):
                            break
                        advance()
                except UnreadableBlockError as error:
                    books.result.problems.append(str(error))
            chain = source.chain if books.result.height == source.height else None
            result = books.finish(None if chain is None else chain.head.state_root)
        page = build_page(document.chain_id, genesis_hash, result)
        replace_file(directory / PAGE_FILE, page.encode(), 0o644)
    totals = summarise(result)
    files = [str(directory / name) for name in (CSV_FILE, PAGE_FILE)]
    record = {"genesisHash": f"0x{genesis_hash.hex()}"} | totals | {"problems": result.problems, "files": files}
    output.show_record(record, {name: format_grains for name in totals if name not in ("height", "accounts")})
    if result.problems:
        more = f", and {len(result.problems) - 1} more" if len(result.problems) > 1 else ""
        raise CommandFailedError(f"the audit does not add up: {result.problems[0]}{more}", ExitCode.FAILED)
