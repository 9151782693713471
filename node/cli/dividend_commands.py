"""`carlive dividend`: see what was declared, make the records of who gets how much, take back what is left."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.block_source import open_home, open_node, show_block_progress
from node.cli.connection import connect, node_option
from node.cli.distribution_commands import using_economy
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.module_calls import build_known_intent
from node.cli.output import Output, output_option
from node.cli.query_commands import format_grains, format_time
from node.cli.sending import Sending, send_intent, sending_options
from rpc import calls

if TYPE_CHECKING:
    from economy.dividend_records import Snapshot
    from ledger.chain import Chain
    from ledger.primitives import TimeMs
    from node.period_states import PeriodHeights
    from rpc.client import Client
    from vm.native.dividends import DividendTerms

MODULE: Final = "dividends"
_source_argument = click.argument("source", type=click.IntRange(1))


@click.group(cls=SuggestingGroup)
def dividend() -> None:
    """See dividends that governance has declared, make their records, take back what is left.

    A dividend is named by the number of its source: see also carlive distribution.
    """


@dividend.command("list")
@node_option
@output_option
def list_dividends(node_url: str, output: Output) -> None:
    """List dividends, the newest first."""
    with connect(node_url) as client:
        found = client.run(calls.module_view(MODULE, "dividends")).value
    records = [_summarise(each) for each in found]
    columns = ["source", "label", "pool", "claimed", "left", "claimsEnd"]
    formats = {"pool": format_grains, "claimed": format_grains, "left": format_grains, "claimsEnd": format_time}
    output.show_list(records, columns, formats, empty="no dividend was declared")


@dividend.command()
@_source_argument
@node_option
@output_option
def show(source: int, node_url: str, output: Output) -> None:
    """Show the dividend of SOURCE: what is shared by what, for which period, and what became of it."""
    with connect(node_url) as client:
        found = _fetch_dividend(client, source)
    declared = found["dividend"]
    terms = declared["terms"]
    rules = terms["rules"]
    record = _summarise(found) | {
        "budget": terms["category"],
        "returned": declared["returnedGrains"],
        "starts": terms["startsMs"],
        "ends": terms["endsMs"],
        "holdingsBps": rules["holdingsBps"],
        "ageBps": rules["ageBps"],
        "forceMin": rules["forceMin"],
        "attesters": terms["attesters"],
        "threshold": terms["threshold"],
    }
    grains = dict.fromkeys(("pool", "claimed", "left", "returned"), format_grains)
    output.show_record(record, {**grains, **dict.fromkeys(("starts", "ends", "claimsEnd"), format_time)})


@dividend.command()
@_source_argument
@click.option(
    "--force",
    "force_files",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    multiple=True,
    metavar="FILE",
    help="Parquet with force by identity; once for each. Without any, nobody has force.",
)
@click.option(
    "--out",
    "out_file",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Where the records go, for carlive distribution build.",
)
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of a stopped node: its blocks are read from disk instead of from --node.",
)
@node_option
@output_option
def build(
    source: int, force_files: tuple[Path, ...], out_file: Path, home: Path | None, node_url: str, output: Output
) -> None:
    """Make the records of the dividend of SOURCE: execute the chain up to the end of the period, and share the pool.

    Holdings and coin age follow from the blocks alone. Files of force have the column did (20 bytes) and integer
    columns whose names end with force, which are added up; every attester needs the same files.
    """
    with using_economy(), ExitStack() as stack:
        from economy.distribution_build import LIMITS_DEFAULT
        from economy.distribution_engines import open_engine
        from economy.dividend_records import build_dividend, read_forces, write_records
        from node.audit import UnreadableBlockError
        from node.period_states import Period, execute_period

        blocks = stack.enter_context(open_home(home) if home is not None else open_node(node_url))
        network = blocks.document.network_kind
        if blocks.chain is not None:
            terms = _read_terms(blocks.chain, source)
        else:
            with connect(node_url) as client:
                terms = _parse_terms(_fetch_dividend(client, source)["dividend"]["terms"], network)
        place = Path(stack.enter_context(TemporaryDirectory(prefix="carlive-dividend-")))
        engine = stack.enter_context(open_engine("duckdb", LIMITS_DEFAULT, place / "spill"))
        forces = read_forces(force_files, engine)
        period = Period(terms.starts_ms, terms.ends_ms)
        try:
            with show_block_progress(blocks.height) as advance:
                heights = execute_period(blocks.document, blocks.height, blocks.load_block, period, place, advance)
        except UnreadableBlockError as error:
            raise CommandFailedError(str(error), ExitCode.FAILED) from None
        with _open_snapshots(place, heights, period.starts_ms, period.ends_ms) as (before, after):
            found = build_dividend(terms.rules, before, after, forces)
        write_records(found, source, out_file)
    shown = {
        "records": str(out_file),
        "identities": len(found.lines),
        "paid": str(found.paid_grains),
        "rest": str(found.rest_grains),
        "blockBefore": heights.before,
        "blockAfter": heights.after,
    }
    output.show_record(shown, {"paid": format_grains, "rest": format_grains})


@dividend.command("take-back")
@_source_argument
@sending_options
def take_back(source: int, sending: Sending) -> None:
    """Have what is left of the dividend of SOURCE given back to its budget, once claims have ended; anybody may."""
    send_intent(lambda client, facts: build_known_intent(client, facts, MODULE, "take_back", [source]), sending)


def _summarise(found: dict[str, Any]) -> dict[str, Any]:
    terms = found["dividend"]["terms"]
    return {
        "source": found["source"],
        "label": terms["label"],
        "pool": terms["rules"]["poolGrains"],
        "claimed": found["claimedGrains"],
        "left": found["leftGrains"],
        "claimsEnd": terms["claimsEndMs"],
    }


def _fetch_dividend(client: "Client", source: int) -> dict[str, Any]:
    found = client.run(calls.module_view(MODULE, "dividend", {"source": source})).value
    if found is None:
        raise CommandFailedError(f"there is no dividend of source {source}", ExitCode.FAILED)
    described: dict[str, Any] = found
    return described


def _parse_terms(shown: Any, network: Any) -> "DividendTerms":
    from ledger.codec import DecodeError, from_plain
    from rpc.arguments import ArgumentError, describe_type, from_json
    from vm.native.dividends import DividendTerms

    try:
        return from_plain(DividendTerms, from_json(describe_type(DividendTerms), shown, network))
    except (ArgumentError, DecodeError) as error:
        raise CommandFailedError(f"the node tells of a dividend that this program does not know: {error}") from None


def _read_terms(chain: "Chain", source: int) -> "DividendTerms":
    from vm.native.distribution_records import SourceId
    from vm.native.dividends import find_dividend

    found = find_dividend(chain.open_state(), SourceId(source))
    if found is None:
        raise CommandFailedError(f"there is no dividend of source {source}", ExitCode.FAILED)
    return found.terms


@contextmanager
def _open_snapshots(
    place: Path, heights: "PeriodHeights", starts_ms: "TimeMs", ends_ms: "TimeMs"
) -> "Iterator[tuple[Snapshot, Snapshot]]":
    """Both states; before the chain's beginning nobody held anything."""
    from economy.dividend_records import Snapshot
    from ledger.chain import Chain
    from ledger.state import State
    from node.leveldb_store import LevelDbStore
    from node.period_states import AFTER, BEFORE

    with ExitStack() as stack:

        def open_state(name: str) -> State:
            store = LevelDbStore(place / name)
            stack.callback(store.close)
            return Chain(store).open_state()

        nothing = State(lambda _: None, lambda *_: iter(()))
        before = nothing if heights.before is None else open_state(BEFORE)
        yield Snapshot(before, starts_ms), Snapshot(open_state(AFTER), ends_ms)
