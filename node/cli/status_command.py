"""`carlive status`: how a node is doing, once or live."""

import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.connection import connect, node_option
from node.cli.output import Output, output_option
from node.cli.query_commands import format_time, to_plain
from rpc import calls

if TYPE_CHECKING:
    from rpc.models import NodeStatus

WATCH_SECONDS: Final = 1.0
BAR_CHARACTERS: Final = 30
MEMBER_WORDS: Final = {
    "present": "present",
    "put_off": "put off: it missed its turn to propose",
    "jailed": "jailed: carlive stake unjail once the time is over",
    "standing": "stands for election",
    "retired": "retired",
}


@click.command()
@click.option("--watch", is_flag=True, help="Keep showing it until Ctrl-C.")
@node_option
@output_option
def status(watch: bool, node_url: str, output: Output) -> None:
    """Show how a node is doing; with --watch live, and how far it has caught up."""
    if watch:
        _watch(node_url, output)
        return
    with connect(node_url) as client:
        result = client.run(calls.node_status())
    record = _describe(result)
    if not output.is_json:
        record = {"lastBlock" if name == "timeMs" else name: value for name, value in record.items()}
    output.show_record(record, {"lastBlock": format_time, "member": lambda word: MEMBER_WORDS[word]})


def _describe(result: "NodeStatus") -> dict[str, Any]:
    plain = to_plain(result)
    if plain.get("waitingFor") is None:
        plain.pop("waitingFor", None)
    for name in ("targetHeight", "snapshotKeysDone", "snapshotKeysTotal"):
        if plain.get(name) is None:
            plain.pop(name, None)
    if plain.get("member") is None:  # a node that does not vote, and one that runs an older version
        plain.pop("member", None)
        plain.pop("seat", None)
    return plain


def _watch(node_url: str, output: Output) -> None:
    """A line a second; on a terminal it takes the place of the one before."""
    from rpc.client import NodeUnreachableError

    is_live = sys.stdout.isatty() and not output.is_json
    first_height: int | None = None
    is_first = True
    try:
        while True:
            try:
                with connect(node_url) as client:
                    result = client.run(calls.node_status())
            except NodeUnreachableError:
                if is_first:
                    raise
                record: dict[str, Any] = {"reachable": False}
                text = f"{node_url} does not answer"
            else:
                if result.syncing and first_height is None:
                    first_height = result.height
                if not result.syncing:
                    first_height = None
                record, text = _describe(result), format_status(result, first_height)
            if is_live:
                click.echo(f"\r\x1b[K{text}", nl=False)
            else:
                output.show_line(record, text)
                sys.stdout.flush()
            is_first = False
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        click.echo()


def format_status(result: "NodeStatus", first_height: int | None = None) -> str:
    """One line; while catching up, how much of the way from `first_height` is done."""
    age_s = max(0, time.time_ns() // 1_000_000 - result.time_ms) // 1000
    parts = [f"height {result.height}", f"{result.peers} peers", f"{result.pending} pending"]
    if result.snapshot_keys_done is not None and result.snapshot_keys_total is not None:
        parts.insert(1, format_download(result.snapshot_keys_done, result.snapshot_keys_total))
    elif result.syncing and result.target_height is not None:
        parts.insert(1, format_progress(first_height or 0, result.height, result.target_height))
    else:
        parts.insert(1, f"last block {age_s} s ago")
    if result.epoch is not None:
        parts.append(f"epoch {result.epoch}")
    if result.member is not None:
        seat = "no seat" if result.seat is None else f"seat {result.seat}"
        parts.append(f"{seat}, {MEMBER_WORDS[result.member]}")
    if result.waiting_for is not None:
        parts.append(f"waiting: {result.waiting_for}")
    return "  ".join(parts)


def format_progress(first: int, height: int, target: int) -> str:
    """catching up [######----] 60 % of 1000."""
    share_percent = 100 if target <= first else max(0, min(100, 100 * (height - first) // (target - first)))
    return f"catching up {_draw_bar(share_percent)} of {target}"


def format_download(keys_done: int, keys_total: int) -> str:
    """downloading the state [######----] 60 % of about 1000 keys."""
    share_percent = min(100, 100 * keys_done // keys_total) if keys_total else 0
    return f"downloading the state {_draw_bar(share_percent)} of about {keys_total} keys"


def _draw_bar(share_percent: int) -> str:
    filled = BAR_CHARACTERS * share_percent // 100
    return f"[{'#' * filled}{'-' * (BAR_CHARACTERS - filled)}] {share_percent} %"
