"""`carlive node`: what a running node says about itself, and what is done to a stopped one."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.connection import connect, node_option
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.output import Output, format_fields, output_option
from node.cli.query_commands import format_time
from rpc import calls

if TYPE_CHECKING:
    from genesis.document import GenesisDocument
    from ledger.chain import Chain
    from node.home import Home

REMOVED_BY_RESET: Final = ("data", "log", "mempool")
_TABLES: Final = {
    "M": "head",
    "v": "values",
    "n": "tree",
    "B": "blocks",
    "C": "certificates",
    "R": "receipts",
    "E": "events",
    "H": "hashes",
    "K": "committees",
    "L": "committeeChanges",
    "t": "transactions",
    "a": "history",
    "i": "indexed",
}
"""First byte of a store key -> what is there."""


@click.group(cls=SuggestingGroup)
def node() -> None:
    """Ask a running node about itself, maintain a stopped one."""


def home_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --home; the command gets a `home`."""
    return click.option(
        "--home", type=click.Path(path_type=Path), required=True, help="Directory of the node, which must not run."
    )(function)


@node.command()
@node_option
@output_option
def info(node_url: str, output: Output) -> None:
    """Show who the node is and which chain it follows."""
    with connect(node_url) as client:
        output.show_record(client.run(calls.node_info()).model_dump(mode="json", by_alias=True))


@node.command()
@node_option
@output_option
def peers(node_url: str, output: Output) -> None:
    """List the nodes it is connected to."""
    with connect(node_url) as client:
        records = client.run(calls.node_peers()).model_dump(mode="json", by_alias=True)["peers"]
    columns = ["name", "nodeKey", "address", "isInbound", "superNode", "height", "score"]
    output.show_list(records, columns, empty="no peers are connected")


@node.command()
@click.argument("destination", type=click.Path(path_type=Path))
@click.option("--keep-blocks", type=int, default=0, help="Put only so many of the last blocks into it; 0: all.")
@home_option
@output_option
def snapshot(destination: Path, keep_blocks: int, home: Path, output: Output) -> None:
    """Copy state and blocks of a stopped node to DESTINATION, a new directory or, named so, a .tar file.

    Put its data/ into another node's home to start that node from there.
    """
    from node.store_copy import open_stopped_store, write_snapshot

    place = _open_home(home)
    with open_stopped_store(place) as store:
        count = sum(1 for _ in store.iterate(b"", b"\xff"))
    with _show_progress("copying", count, output) as advance:
        height = write_snapshot(place, destination.absolute(), keep_blocks, advance)
    output.show_record({"snapshot": str(destination), "height": height, "records": count})


@node.command()
@click.option("--keep-blocks", type=int, required=True, help="How many of the last blocks stay.")
@home_option
@output_option
def prune(keep_blocks: int, home: Path, output: Output) -> None:
    """Delete old blocks of a stopped node and give the room back to the disk."""
    from ledger.chain import Chain
    from node.store_copy import open_stopped_store, prune_store

    with open_stopped_store(_open_home(home)) as store:
        head = Chain(store).head.header.height
        with _show_progress("pruning", max(0, head - keep_blocks), output) as advance:
            before, after = prune_store(store, keep_blocks, advance)
    output.show_record({"earliestHeight": after, "height": head, "deleted": after - before})


@node.command()
@click.option("--to", "height", type=click.IntRange(0), required=True, help="The block that becomes the last one.")
@click.option(
    "--snapshot",
    "taken",
    type=click.Path(path_type=Path),
    help="Start from this snapshot's directory instead of from genesis.",
)
@home_option
@output_option
def rollback(height: int, taken: Path | None, home: Path, output: Output) -> None:
    """Take a stopped node back to an earlier block by executing the stored blocks anew.

    The old data stays beside the new in data.before-rollback. keys/ and safety/ are not touched: the node does not sign
    again for any height and round it has signed, so until the network is past them it only follows.
    """
    import asyncio

    from genesis.build import compute_genesis_hash
    from identity.signing import compute_signing_domain
    from node.store_copy import exchange_directories, rebuild_store

    place = _open_home(home)
    document = _read_genesis(place)
    before = place.directory / "data.before-rollback"
    if before.exists():
        raise CommandFailedError(f"{before} is there from a rollback before: delete it first, or move it away")
    domain = compute_signing_domain(document.chain_id, compute_genesis_hash(document))
    with _show_progress("executing", height, output) as advance:
        rebuilt = asyncio.run(
            rebuild_store(place, document, domain, height, None if taken is None else taken.absolute(), advance)
        )
    rebuilt.rename(before)
    exchange_directories(place.data, before)
    output.show_record({"height": height, "data": str(place.data), "oldData": str(before)})
    output.show_text(
        "\nThe safety state stays: this node will not sign what it has signed before, nor anything below it, and only "
        f"follows until the network is past that. Delete {before} when all is well."
    )


@node.command()
@click.option("--height", type=click.IntRange(0), help="Show this block.")
@click.option(
    "--verify", "is_verified", is_flag=True, help="Check state, tree, hashes and certificates; may take long."
)
@home_option
@output_option
def inspect(height: int | None, is_verified: bool, home: Path, output: Output) -> None:
    """Show what a stopped node has stored; with --verify check it, exit code 1 with the first wrong key or height."""
    from ledger.chain import Chain
    from node.store_copy import open_stopped_store

    place = _open_home(home)
    with open_stopped_store(place) as store:
        chain = Chain(store)
        record = _describe_store(chain, place) if height is None else _describe_block(chain, height)
        if is_verified:
            _verify_store(chain, place, output)
            record["verified"] = True
    output.show_record(record, {"timeMs": format_time, "epoch": format_fields})


@node.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@home_option
@output_option
def reset(yes: bool, home: Path, output: Output) -> None:
    """Delete data/, log/ and mempool/ of a stopped node: it syncs again. Never keys/ and safety/."""
    import shutil

    from node.leveldb_store import is_held

    place = _open_home(home)
    found = [name for name in REMOVED_BY_RESET if (place.directory / name).exists()]
    if is_held(place.data):
        raise CommandFailedError(f"{place.data} is in use by another process: stop the node first")
    if found and not yes:
        click.confirm(f"Delete {', '.join(f'{name}/' for name in found)} in {place.directory}?", abort=True, err=True)
    for name in found:
        shutil.rmtree(place.directory / name)
    left = sorted(each.name + ("/" if each.is_dir() else "") for each in place.directory.iterdir())
    output.show_record({"removed": found, "left": left}, {"removed": ", ".join, "left": ", ".join})


def _open_home(path: Path) -> "Home":
    from node.home import Home

    if not path.is_dir():
        raise CommandFailedError(f"{path} does not exist: give the node's home with --home")
    return Home(path.absolute())


def _read_genesis(place: "Home") -> "GenesisDocument":
    from genesis.document import parse_genesis

    return parse_genesis(place.genesis_file.read_bytes())


def _describe_store(chain: "Chain", place: "Home") -> dict[str, Any]:
    from ledger.history import get_indexed_height
    from vm.native.stake import get_epoch

    head = chain.head
    header = head.header
    records: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for key, value in chain.store.iterate(b"", b"\xff"):
        table = _TABLES.get(chr(key[0]), f"0x{key[:1].hex()}")
        records[table] = records.get(table, 0) + 1
        sizes[table] = sizes.get(table, 0) + len(key) + len(value)
    certified = chain.get_block(header.height)
    assert certified is not None, "the head is stored"
    committee = chain.get_committee(header.next_committee_hash)
    assert committee is not None, "the next committee is stored"
    epoch = get_epoch(chain.open_state())
    return {
        "home": str(place.directory),
        "chainId": header.chain_id,
        "height": header.height,
        "earliestHeight": chain.earliest_height,
        "indexedHeight": get_indexed_height(chain.store),
        "blockHash": _hex(header.hash),
        "timeMs": header.time_ms,
        "stateRoot": _hex(head.state_root),
        "receiptsRoot": _hex(head.receipts_root),
        "sealed": head.is_sealed,
        "epoch": {
            "number": epoch.number,
            "firstHeight": epoch.first_height,
            "releasedBefore": epoch.released_before,
        },
        "nextCommittee": [_hex(member.consensus_key) for member in committee.members],
        "certificate": {
            "round": certified.certificate.round,
            "members": [index for index, _ in certified.certificate.signatures],
        },
        "records": records,
        "bytes": sizes,
    }


def _describe_block(chain: "Chain", height: int) -> dict[str, Any]:
    certified = None if height < chain.earliest_height else chain.get_block(height)
    if certified is None:
        head = chain.head.header.height
        raise CommandFailedError(
            f"block {height} is not stored: there are {chain.earliest_height} to {head}", ExitCode.FAILED
        )
    header = certified.block.header
    receipts = chain.get_receipts(height) or []
    return {
        "height": height,
        "blockHash": _hex(header.hash),
        "previousHash": _hex(header.previous_hash),
        "timeMs": header.time_ms,
        "round": header.round,
        "proposer": _hex(header.proposer),
        "stateRootBefore": _hex(header.state_root),
        "committeeHash": _hex(header.committee_hash),
        "nextCommitteeHash": _hex(header.next_committee_hash),
        "certificateMembers": [index for index, _ in certified.certificate.signatures],
        "transactions": [{"id": _hex(each.transaction_id), "status": each.status.name.lower()} for each in receipts],
        "events": len(chain.get_block_events(height)),
        "evidence": len(certified.block.evidence),
    }


def _verify_store(chain: "Chain", place: "Home", output: Output) -> None:
    from genesis.build import compute_genesis_hash
    from identity.signing import compute_signing_domain
    from node.store_check import StoreWrongError, check_chain, check_state, count_values

    document = _read_genesis(place)
    domain = compute_signing_domain(document.chain_id, compute_genesis_hash(document))
    try:
        with _show_progress("state", count_values(chain.store), output) as advance:
            check_state(chain, advance)
        with _show_progress("blocks", chain.head.header.height - chain.earliest_height + 1, output) as advance:
            check_chain(chain, domain, advance)
    except StoreWrongError as error:
        raise CommandFailedError(f"{place.data} is damaged, {error}", ExitCode.FAILED) from None


@contextmanager
def _show_progress(label: str, length: int, output: Output) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, for people at a terminal."""
    if output.is_json or not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
