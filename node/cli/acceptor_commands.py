"""`carlive acceptor`: who exchanges IOV, and how to be listed."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.module_calls import build_known_intent
from node.cli.output import Output, output_option
from node.cli.query_commands import format_grains
from node.cli.sending import Sending, send_intent, sending_options
from rpc import calls

if TYPE_CHECKING:
    from identity.address import NetworkKind
    from rpc.client import Client

MODULE: Final = "acceptors"
COLUMNS: Final = ["account", "name", "termsUrl", "state", "did"]
_FIRST_ADDRESS: Final = bytes(20)


@click.group(cls=SuggestingGroup)
def acceptor() -> None:
    """See who exchanges IOV, or apply to be listed."""


@acceptor.command("list")
@node_option
@output_option
def list_acceptors(node_url: str, output: Output) -> None:
    """List acceptors and those that have applied."""
    from identity.address import Address, format_address, parse_address

    found: list[dict[str, Any]] = []
    with connect(node_url) as client:
        network = read_chain_facts(client).network
        first = Address(_FIRST_ADDRESS)
        while True:
            arguments = {"first": format_address(first, network)}
            page = client.run(calls.module_view(MODULE, "acceptors", arguments)).value
            found += [{"account": each["account"], **each["acceptor"]} for each in page]
            if not page:
                break
            last = int.from_bytes(parse_address(page[-1]["account"], network), "big")
            if last + 1 >= 1 << 8 * len(_FIRST_ADDRESS):
                break
            first = Address((last + 1).to_bytes(len(_FIRST_ADDRESS), "big"))
    if not output.is_json:
        found = [each | {"state": _describe_state(each["listedHeight"])} for each in found]
    output.show_list(found, COLUMNS, empty="there are no acceptors")


@acceptor.command()
@click.argument("account", metavar="ADDRESS")
@node_option
@output_option
def show(account: str, node_url: str, output: Output) -> None:
    """Show an acceptor or an application, and its hash, which governance names when it approves one."""
    with connect(node_url) as client:
        found = fetch_acceptor(client, account, read_chain_facts(client).network)
    output.show_record(found if output.is_json else found | {"state": _describe_state(found["listedHeight"])})


@acceptor.command()
@node_option
@output_option
def rules(node_url: str, output: Output) -> None:
    """Show what an account must hold, and how old its coins must be."""
    with connect(node_url) as client:
        found = client.run(calls.module_view(MODULE, "rules")).value
    output.show_record(found, {"holdingsMinGrains": format_grains})


@acceptor.command("apply")
@click.option("--name", required=True, help="By which customers know you.")
@click.option("--terms-url", required=True, metavar="URL", help="Where your terms stand for everybody to read.")
@click.option(
    "--terms",
    "terms_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    required=True,
    help="The same text as a file; its SHA-256 goes on the chain.",
)
@sending_options
def apply_for_listing(name: str, terms_url: str, terms_file: Path, sending: Sending) -> None:
    """Apply to be listed as an acceptor, or replace what you applied with."""
    from hashlib import sha256

    terms_hash = "0x" + sha256(terms_file.read_bytes()).hexdigest()
    _send(sending, "apply", [name, terms_url, terms_hash])


@acceptor.command()
@sending_options
def withdraw(sending: Sending) -> None:
    """Be listed no longer, or apply no longer."""
    _send(sending, "withdraw", [])


@acceptor.command()
@click.argument("address")
@sending_options
def check(address: str, sending: Sending) -> None:
    """Have the acceptor at ADDRESS delisted, if it does not hold enough any longer."""
    from identity.address import format_address

    send_intent(
        lambda client, facts: build_known_intent(
            client,
            facts,
            MODULE,
            "check",
            [format_address(sending.keyring.find_address(address, facts.network), facts.network)],
        ),
        sending,
    )


def fetch_acceptor(client: "Client", account: str, network: "NetworkKind") -> dict[str, Any]:
    """An acceptor or an application as the view tells it, with its hash; raises CommandFailedError.

    The hash is computed from what is shown: a node cannot have another application approved than the one it tells of.
    """
    from ledger.codec import from_plain
    from rpc.arguments import describe_type, from_json
    from vm.native.acceptors import Acceptor, compute_application_hash

    shown = client.run(calls.module_view(MODULE, "acceptor", {"account": account})).value
    if shown is None:
        raise CommandFailedError(f"{account} is no acceptor and has not applied", ExitCode.FAILED)
    known = from_plain(Acceptor, from_json(describe_type(Acceptor), shown, network))
    return {**shown, "applicationHash": "0x" + compute_application_hash(known).hex()}


def _send(sending: Sending, call: str, arguments: list[Any]) -> None:
    send_intent(lambda client, facts: build_known_intent(client, facts, MODULE, call, arguments), sending)


def _describe_state(listed_height: int | None) -> str:
    return "waits for approval" if listed_height is None else f"listed since block {listed_height}"
