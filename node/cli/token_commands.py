"""`carlive token`: what of an account's coins is locked, and when it unlocks."""

from pathlib import Path
from typing import Any, Final

import click

from node.cli.accounts import keyring_options, open_keyring
from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.group import SuggestingGroup
from node.cli.module_calls import build_known_intent
from node.cli.output import Output, output_option
from node.cli.query_commands import format_grains, format_time
from node.cli.sending import Sending, send_intent, sending_options
from rpc import calls

MODULE: Final = "lockups"
_HEIGHT_CLOCK: Final = 2
_BPS_PER_PERCENT: Final = 100


@click.group(cls=SuggestingGroup)
def token() -> None:
    """Look at locked coins, and collect those that were revoked."""


@token.command()
@click.argument("address")
@keyring_options
@node_option
@output_option
def locks(address: str, keys_dir: Path, password_file: Path | None, node_url: str, output: Output) -> None:
    """Show the lock-ups of ADDRESS, or of the key of that name."""
    from identity.address import format_address

    with connect(node_url) as client:
        network = read_chain_facts(client).network
        found = format_address(open_keyring(keys_dir, password_file).find_address(address, network), network)
        lockups = client.run(calls.module_view(MODULE, "lockups", {"account": found})).value
    if output.is_json:
        output.show_record({"address": found, "lockups": lockups})
        return
    shown = [
        {
            "number": each["number"],
            "amount": each["amountGrains"],
            "unlocked": each["unlockedGrains"],
            "unlocks": _describe(each["schedule"]),
            "source": each["source"],
            "state": _describe_state(each),
        }
        for each in lockups
    ]
    formats = {"amount": format_grains, "unlocked": format_grains}
    output.show_list(
        shown, ["number", "amount", "unlocked", "unlocks", "source", "state"], formats, empty="nothing is locked"
    )


@token.command()
@click.argument("address")
@sending_options
def settle(address: str, sending: Sending) -> None:
    """Collect what is owed of the revoked lock-ups of ADDRESS, and forget what has unlocked; anybody may."""
    from identity.address import format_address

    send_intent(
        lambda client, facts: build_known_intent(
            client,
            facts,
            MODULE,
            "settle",
            [format_address(sending.keyring.find_address(address, facts.network), facts.network)],
        ),
        sending,
    )


def _describe(schedule: dict[str, Any]) -> str:
    """When it unlocks, in words."""
    linear = schedule["linear"]
    if linear is not None:
        start, cliff, end = (format_time(linear[name]) for name in ("startMs", "cliffMs", "endMs"))
        return f"evenly from {start} to {end}, nothing before {cliff}"
    return ", ".join(_describe_step(schedule, step) for step in schedule["steps"])


def _describe_step(schedule: dict[str, Any], step: dict[str, Any]) -> str:
    at = f"after block {step['at']}" if schedule["clock"] == _HEIGHT_CLOCK else format_time(step["at"])
    unlocked = int(step["unlocked"])
    whole, rest = divmod(unlocked, _BPS_PER_PERCENT)
    share = format_grains(str(unlocked)) if schedule["isInGrains"] else f"{whole}.{rest:02d} %"
    return f"{share} {at}"


def _describe_state(lockup: dict[str, Any]) -> str:
    if lockup["isRevoked"]:
        return "revoked, owed to its source"
    return "revocable" if lockup["isRevocable"] else "granted for good"
