"""`carlive role`: what identities may do, and who says so."""

from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.did_options import signing_options
from node.cli.did_signing import Operation, Signing, find_signer, parse_did_text, send_operation
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.output import Output, output_option
from node.cli.role_names import ROLES, format_role, get_recognition_number, get_role_number
from node.cli.sending import Sending, sending_options
from rpc import calls

if TYPE_CHECKING:
    from node.cli.signing import ChainFacts
    from rpc.client import Client

MODULE: Final = "roles"
_GOVERNANCE: Final = "governance"


@click.group(cls=SuggestingGroup)
def role() -> None:
    """Grant roles to identities, take them back, and see who has which.

    Keys of identities sign (--by). A grant is sent by the account that acts for the issuer; the rest by anybody's.
    """


@role.command("list")
@click.argument("identity", metavar="DID")
@node_option
@output_option
def list_roles(identity: str, node_url: str, output: Output) -> None:
    """List the roles that DID has now, up to which block, and who granted them."""
    with connect(node_url) as client:
        parse_did_text(identity, read_chain_facts(client).network)
        found = _fetch_roles(client, identity)
    shown = [each | {"role": format_role(each["role"]), "issuer": each["issuer"] or _GOVERNANCE} for each in found]
    output.show_list(shown, ["role", "number", "untilHeight", "issuer"], empty="it has no roles: it is a visitor")


@role.command()
@click.argument("identity", metavar="DID")
@click.argument("role", type=click.Choice(ROLES))
@click.option("--as", "issuer", required=True, metavar="DID", help="Issuer of this role: carlive role issuers.")
@click.option("--until", "until_height", type=click.IntRange(1), required=True, metavar="HEIGHT", help="Last block.")
@signing_options
@sending_options
def grant(identity: str, role: str, issuer: str, until_height: int, signing: Signing, sending: Sending) -> None:
    """Give DID the role ROLE up to a height, as an issuer whose account sends this.

    For instance: carlive role grant DID person --as ISSUER --until 100000 --by issuer --from issuer
    """
    from ledger.primitives import Height
    from vm.native.role_records import Role
    from vm.native.roles import GrantPayload

    number = get_role_number(role)

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        issuer_did = parse_did_text(issuer, facts.network)
        did = parse_did_text(identity, facts.network)
        arguments = {"did": identity, "role": number}
        next_number = client.run(calls.module_view(MODULE, "next_number", arguments)).value
        payload = GrantPayload(issuer_did, did, Role(number), next_number, Height(until_height))
        return Operation("roles.grant", payload, find_signer(client, facts, issuer_did))

    send_operation(prepare, signing, sending)


@role.command()
@click.argument("identity", metavar="DID")
@click.argument("role", type=click.Choice(ROLES))
@signing_options
@sending_options
def revoke(identity: str, role: str, signing: Signing, sending: Sending) -> None:
    """Take the role ROLE back from DID, as the issuer that granted it."""

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        held = _fetch_role(client, facts, identity, role)
        if held["issuer"] is None:
            raise CommandFailedError(
                "governance granted this role: see carlive gov propose remove-role", ExitCode.FAILED
            )
        issuer = parse_did_text(held["issuer"], facts.network)
        return Operation("roles.revoke", _build_end(identity, held, facts), find_signer(client, facts, issuer))

    send_operation(prepare, signing, sending)


@role.command()
@click.argument("identity", metavar="DID")
@click.argument("role", type=click.Choice(ROLES))
@signing_options
@sending_options
def renounce(identity: str, role: str, signing: Signing, sending: Sending) -> None:
    """Give the role ROLE of DID up, as its holder."""

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        payload = _build_end(identity, _fetch_role(client, facts, identity, role), facts)
        return Operation("roles.renounce", payload, find_signer(client, facts, payload.did))

    send_operation(prepare, signing, sending)


@role.command()
@click.argument("role", type=click.Choice(ROLES))
@node_option
@output_option
def issuers(role: str, node_url: str, output: Output) -> None:
    """List the identities that may grant the role ROLE, because governance recognises them."""
    arguments = {"recognition": get_recognition_number(f"{role}-issuer")}
    with connect(node_url) as client:
        found = client.run(calls.module_view(_GOVERNANCE, "recognised", arguments)).value
    output.show_list([{"did": each} for each in found], ["did"], empty="nobody but governance grants this role")


def _fetch_roles(client: "Client", identity: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.run(calls.module_view(MODULE, "roles", {"did": identity})).value
    return found


def _fetch_role(client: "Client", facts: "ChainFacts", identity: str, role: str) -> dict[str, Any]:
    """The grant that holds now; raises CommandFailedError."""
    parse_did_text(identity, facts.network)
    held = next((each for each in _fetch_roles(client, identity) if format_role(each["role"]) == role), None)
    if held is None:
        raise CommandFailedError(f"{identity} does not have the role {role} now", ExitCode.FAILED)
    return held


def _build_end(identity: str, held: dict[str, Any], facts: "ChainFacts") -> Any:
    from vm.native.role_records import Role
    from vm.native.roles import EndPayload

    return EndPayload(parse_did_text(identity, facts.network), Role(held["role"]), held["number"])
