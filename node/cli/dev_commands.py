"""`carlive dev`: make a devnet go on, which otherwise rests while it has nothing to do."""

from typing import Final

import click

from node.cli.connection import connect, node_option
from node.cli.group import SuggestingGroup
from node.cli.output import Output, output_option
from node.cli.query_commands import format_time, to_plain
from rpc import calls

HOURS_MAX: Final = 24 * 365 * 10
_HOUR_MS: Final = 3_600_000


@click.group(cls=SuggestingGroup)
def dev() -> None:
    """Make blocks and epochs pass on a devnet; other networks refuse it."""


@dev.command()
@click.argument("blocks", type=click.IntRange(1, 100), default=1)
@node_option
@output_option
def mine(blocks: int, node_url: str, output: Output) -> None:
    """Make BLOCKS blocks now, empty ones if nothing waits."""
    with connect(node_url) as client:
        record = to_plain(client.run(calls.dev_mine(blocks)))
    output.show_record(record, {"timeMs": format_time})


@dev.command("advance-epoch")
@node_option
@output_option
def advance_epoch(node_url: str, output: Output) -> None:
    """Make blocks until another epoch has begun."""
    with connect(node_url) as client:
        client.run(calls.dev_advance_epoch())
        result = to_plain(client.run(calls.staking_epoch()))
    record = {name: result[name] for name in ("number", "firstHeight", "lastHeight", "height")}
    output.show_record(record)


@dev.command("pass-time")
@click.argument("hours", type=click.IntRange(1, HOURS_MAX))
@node_option
@output_option
def pass_time(hours: int, node_url: str, output: Output) -> None:
    """Set the clocks of all nodes HOURS ahead, and make a block at the new time."""
    with connect(node_url) as client:
        now_ms = client.run(calls.dev_mine(1)).time_ms  # a chain that rests is behind the clock
        client.run(calls.dev_set_time(now_ms + hours * _HOUR_MS))
        record = to_plain(client.run(calls.dev_mine(1)))
    output.show_record(record, {"timeMs": format_time})
