"""`carlive stake`: stand for election, bond, delegate, and see who stands."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.accounts import keyring_options, open_keyring
from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.group import SuggestingGroup
from node.cli.module_calls import build_known_intent
from node.cli.output import Output, output_option
from node.cli.query_commands import format_grains, to_plain
from node.cli.sending import Build, Sending, send_intent, sending_options
from rpc import calls

if TYPE_CHECKING:
    from pathlib import Path

MODULE: Final = "staking"

_amount_option = click.option(
    "--amount", required=True, metavar="IOV", help="IOV with up to 8 decimals, for instance 1.5."
)
_commission_option = click.option(
    "--commission", required=True, metavar="PERCENT", help="Your part of your delegators' rewards, for instance 5.25."
)


def _operator_option(name: str, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(name, required=True, metavar="ADDRESS", help=f"{text}: address or key name of the operator.")


@click.group(cls=SuggestingGroup)
def stake() -> None:
    """Stand for election, bond and delegate IOV, and see who stands."""


@stake.command()
@_commission_option
@click.option("--bond", required=True, metavar="IOV", help="Your own stake.")
@sending_options
def stand(commission: str, bond: str, sending: Sending) -> None:
    """Stand for election as an admitted operator, with a bond of your own.

    For instance: carlive stake stand --from op0 --commission 5 --bond 200000
    """
    from node.cli.amounts import parse_iov, parse_percent

    _send(sending, "stand", parse_percent(commission), str(parse_iov(bond)))


@stake.command("bond")
@_amount_option
@sending_options
def add_bond(amount: str, sending: Sending) -> None:
    """Add to your own stake as a candidate."""
    from node.cli.amounts import parse_iov

    _send(sending, "bond", str(parse_iov(amount)))


@stake.command()
@_amount_option
@sending_options
def unbond(amount: str, sending: Sending) -> None:
    """Take back part of your own stake; it is released some epochs later and can be slashed until then."""
    from node.cli.amounts import parse_iov

    _send(sending, "unbond", str(parse_iov(amount)))


@stake.command()
@_operator_option("--to", "Whom to support")
@_amount_option
@sending_options
def delegate(to: str, amount: str, sending: Sending) -> None:
    """Put IOV behind a candidate: it counts in elections, earns a part of the fees, and can be slashed with it."""
    from node.cli.amounts import parse_iov

    grains = str(parse_iov(amount))
    _send_with_accounts(sending, "delegate", [to], grains)


@stake.command()
@click.option("--operator", required=True, metavar="ADDRESS", help="With whom it lies: address or key name.")
@_amount_option
@sending_options
def undelegate(operator: str, amount: str, sending: Sending) -> None:
    """Take IOV back from a candidate; it is released some epochs later and can be slashed until then."""
    from node.cli.amounts import parse_iov

    grains = str(parse_iov(amount))
    _send_with_accounts(sending, "undelegate", [operator], grains)


@stake.command()
@_operator_option("--source", "With whom it lies")
@_operator_option("--target", "Whom to support instead")
@_amount_option
@sending_options
def redelegate(source: str, target: str, amount: str, sending: Sending) -> None:
    """Move IOV from one candidate to another."""
    from node.cli.amounts import parse_iov

    grains = str(parse_iov(amount))
    _send_with_accounts(sending, "redelegate", [source, target], grains)


@stake.command()
@_commission_option
@sending_options
def commission(commission: str, sending: Sending) -> None:
    """Change the part of their rewards that your delegators leave to you."""
    from node.cli.amounts import parse_percent

    _send(sending, "set_commission", parse_percent(commission))


@stake.command()
@sending_options
def unjail(sending: Sending) -> None:
    """Come back after the time in jail is over; you stand in the next election again."""
    _send(sending, "unjail")


@stake.command()
@sending_options
def retire(sending: Sending) -> None:
    """Stand for election no more; all stake behind you is released some epochs later."""
    _send(sending, "retire")


@stake.command()
@node_option
@output_option
def candidates(node_url: str, output: Output) -> None:
    """List those who stand for election, the strongest first."""
    with connect(node_url) as client:
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = client.run(calls.staking_candidates(cursor=cursor))
            found += [to_plain(each) for each in page.candidates]
            cursor = page.cursor
            if cursor is None:
                break
    output.show_list(found, CANDIDATE_COLUMNS, CANDIDATE_FORMATS, empty="nobody stands for election")


@stake.command()
@click.argument("address")
@keyring_options
@node_option
@output_option
def show(address: str, keys_dir: "Path", password_file: "Path | None", node_url: str, output: Output) -> None:
    """Show the stake of ADDRESS, or of the key of that name: what it delegates, and what is on its way back."""
    from identity.address import format_address

    with connect(node_url) as client:
        network = read_chain_facts(client).network
        found = open_keyring(keys_dir, password_file).find_address(address, network)
        result = to_plain(client.run(calls.staking_delegations(format_address(found, network))))
    if output.is_json:
        output.show_record(result)
        return
    formats = {"value": format_grains}
    output.show_list(result["delegations"], ["operator", "value"], formats, empty="no delegations")
    if result["unbondings"]:
        output.show_text("\non its way back:")
        output.show_list(result["unbondings"], ["operator", "value", "releaseEpoch"], formats)


def _format_percent(bps: Any) -> str:
    from node.cli.amounts import format_percent

    return f"{format_percent(int(bps))} %"


CANDIDATE_COLUMNS: Final = ["operator", "status", "stake", "bond", "commissionBps"]
CANDIDATE_FORMATS: Final = {"stake": format_grains, "bond": format_grains, "commissionBps": _format_percent}


def _send(sending: Sending, call: str, *arguments: Any) -> None:
    send_intent(_know(call, list(arguments)), sending)


def _know(call: str, arguments: list[Any]) -> Build:
    return lambda client, facts: build_known_intent(client, facts, MODULE, call, arguments)


def _send_with_accounts(sending: Sending, call: str, accounts: list[str], grains: str) -> None:
    from identity.address import format_address

    def build(client: Any, facts: Any) -> Any:
        addresses = [
            format_address(sending.keyring.find_address(each, facts.network), facts.network) for each in accounts
        ]
        return build_known_intent(client, facts, MODULE, call, [*addresses, grains])

    send_intent(build, sending)
