"""`carlive did`: identities that their holders rule."""

import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli import attribute_commands, credential_commands, pseudonym_commands
from node.cli.accounts import keyring_options, open_keyring
from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.did_control import ControlOptions, build_control, build_key_policy, describe_control, parse_services
from node.cli.did_options import FILE, by_option, control_options, keep_option, signature_option, signing_options
from node.cli.did_signing import (
    Operation,
    Signing,
    collect_signatures,
    deliver_operation,
    describe_operation,
    fetch_record,
    find_signer,
    parse_did_text,
    read_payload,
    read_signature,
    send_operation,
    sign_payload,
    signature_to_json,
)
from node.cli.failures import CommandFailedError
from node.cli.group import SuggestingGroup
from node.cli.output import Output, format_record, output_option
from node.cli.query_commands import format_time, to_plain
from node.cli.sending import Sending, sending_options
from rpc import calls

if TYPE_CHECKING:
    from node.cli.signing import ChainFacts
    from rpc.client import Client
    from vm.native.did_records import DidRecord

MODULE: Final = "did"
KINDS: Final = ("person", "organisation", "vehicle", "device")
SALT_BYTES: Final = 16
_SERVICE_HELP: Final = "NAME=TYPE=URI; once for each service."


@click.group(cls=SuggestingGroup)
def did() -> None:
    """Make and manage identities that their holders rule (did:iov).

    Keys are those of carlive keys. An operation is signed by the keys of identities (--by); the account that sends it
    and pays (--from) may be anybody's.
    """


@did.command()
@click.option("--kind", type=click.Choice(KINDS), default="person", show_default=True, help="What it stands for.")
@click.option("--owner", default=None, metavar="DID", help="Owner of a vehicle or device; signs too.")
@click.option("--service", "services", multiple=True, metavar="SERVICE", help=_SERVICE_HELP)
@control_options
@signing_options
@sending_options
def create(
    kind: str, owner: str | None, services: tuple[str, ...], control: ControlOptions, signing: Signing, sending: Sending
) -> None:
    """Make an identity; its name follows from what it begins with.

    Keys of your own sign by themselves: carlive did create --from dev0 --key alice
    """
    from identity.did import compute_did
    from ledger.codec import encode
    from vm.native.did_payloads import CreatePayload
    from vm.native.did_records import DidKind

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        ruled_by = None if owner is None else parse_did_text(owner, facts.network)
        payload = CreatePayload(
            DidKind[kind.upper()],
            ruled_by,
            build_control(control, sending.keyring, facts.network),
            parse_services(services),
            secrets.token_bytes(SALT_BYTES),
        )
        controllers = payload.control.controllers
        if ruled_by is None and controllers is not None and len(controllers.dids) == 1:
            (ruled_by,) = controllers.dids
        new = compute_did(encode(payload))
        return Operation("did.create", payload, new if ruled_by is None else find_signer(client, facts, ruled_by))

    send_operation(prepare, _add_own_keys(signing, control.keys), sending)


@did.command()
@click.argument("identity", metavar="DID")
@node_option
@output_option
def show(identity: str, node_url: str, output: Output) -> None:
    """Show all that the chain holds for DID."""
    from vm.native.did_records import DidKind, DidOperation

    with connect(node_url) as client:
        facts = read_chain_facts(client)
        parsed = parse_did_text(identity, facts.network)
        record = fetch_record(client, facts, parsed)
        value = client.run(calls.module_view(MODULE, "did", {"did": identity})).value
        recovery = client.run(calls.module_view(MODULE, "recovery", {"did": identity})).value
    current = value["current"]
    content = {**current["content"], "kind": DidKind(current["content"]["kind"]).name.lower()}
    operation = DidOperation(current["operation"]).name.lower()
    about = {"createdMs": value["createdMs"], "account": value["account"], "recovery": recovery}
    if output.is_json:
        output.show_record({"did": identity, **current, "operation": operation, "content": content, **about})
        return
    services = [f"{each['name']} ({each['serviceType']}) {each['endpoint']}" for each in content["services"]]
    shown = {
        "did": identity,
        "kind": content["kind"],
        "owner": content["owner"],
        **describe_control(record.current.content.control, facts.network),
        "services": ", ".join(services) or None,
        "account": value["account"],
        "recoveryDue": None if recovery is None else f"block {recovery['dueHeight']}",
        "version": f"{current['number']}, {operation} in block {current['height']}",
        "changed": format_time(current["timeMs"]),
        "created": format_time(value["createdMs"]),
    }
    output.show_record({name: each for name, each in shown.items() if each is not None})


@did.command()
@click.argument("identity", metavar="DID")
@click.option("--version-id", default=None, metavar="0x…", help="A former version, by its id.")
@click.option("--version-time", default=None, metavar="TIME", help="The version of a time: 2026-05-10T17:00:00Z.")
@node_option
@output_option
def resolve(identity: str, version_id: str | None, version_time: str | None, node_url: str, output: Output) -> None:
    """Show the DID document of DID, and its metadata."""
    from rpc.json_codec import parse_hex

    try:
        parsed = None if version_id is None else parse_hex(version_id)
    except ValueError as error:
        raise CommandFailedError(f"--version-id: {error}") from None
    with connect(node_url) as client:
        result = to_plain(client.run(calls.did_resolve(identity, version_id=parsed, version_time=version_time)))
    names = ("didDocument", "didResolutionMetadata", "didDocumentMetadata")
    output.show_record({name: result.get(name) for name in names})


@did.command()
@click.argument("identity", metavar="DID")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many, newest first.")
@node_option
@output_option
def history(identity: str, limit: int, node_url: str, output: Output) -> None:
    """List the versions of DID, the newest first."""
    found: list[dict[str, Any]] = []
    cursor = None
    with connect(node_url) as client:
        while len(found) < limit:
            page = client.run(calls.did_history(identity, limit=min(limit - len(found), 200), cursor=cursor))
            found += [to_plain(each) for each in page.versions]
            cursor = page.cursor
            if cursor is None:
                break
    output.show_list(found, ["number", "operation", "versionId", "height", "timeMs"], {"timeMs": format_time})


@did.command()
@click.argument("identity", metavar="DID")
@click.option("--service", "services", multiple=True, metavar="SERVICE", help=_SERVICE_HELP + " None: remove all.")
@signing_options
@sending_options
def update(identity: str, services: tuple[str, ...], signing: Signing, sending: Sending) -> None:
    """Replace the services of DID."""
    from vm.native.did_payloads import UpdatePayload

    _change(
        "update",
        identity,
        lambda record, did, _: UpdatePayload(did, record.current.version_id, parse_services(services)),
        signing,
        sending,
    )


@did.command()
@click.argument("identity", metavar="DID")
@keep_option
@control_options
@signing_options
@sending_options
def rotate(identity: str, control: ControlOptions, signing: Signing, sending: Sending) -> None:
    """Replace keys, controllers, commitments and guardians of DID: what is not said is gone, unless --keep is said.

    The old keys sign (--by), and the new ones (--key) by themselves. A DID that was made with --next-key takes exactly
    those keys.
    """
    _change_control("rotate", identity, control, signing, sending)


@did.command()
@click.argument("identity", metavar="DID")
@keep_option
@control_options
@signing_options
@sending_options
def recover(identity: str, control: ControlOptions, signing: Signing, sending: Sending) -> None:
    """Take DID back with its recovery keys: --key is exactly those that --recovery-key once named.

    Say with --next-key, --recovery-key and --guardian what is to hold from now on, or --keep.
    """
    _change_control("recover", identity, control, signing, sending)


@did.command()
@click.argument("identity", metavar="DID")
@click.option("--to", "owner", required=True, metavar="DID", help="The new owner.")
@signing_options
@sending_options
def transfer(identity: str, owner: str, signing: Signing, sending: Sending) -> None:
    """Give the vehicle or device DID to another owner; both owners sign.

    For instance: carlive did transfer CAR --to BUYER --by alice --by BUYER=bob --from dev0
    """
    from vm.native.did_payloads import TransferPayload

    _change(
        "transfer",
        identity,
        lambda record, did, facts: TransferPayload(
            did, record.current.version_id, parse_did_text(owner, facts.network)
        ),
        signing,
        sending,
    )


@did.command()
@click.argument("identity", metavar="DID")
@click.option("--next-key", "next_keys", multiple=True, metavar="KEY", help="The keys it has committed to; sign too.")
@click.option("--next-threshold", type=click.IntRange(1), default=1, show_default=True, help="How many must sign.")
@signing_options
@sending_options
def deactivate(
    identity: str, next_keys: tuple[str, ...], next_threshold: int, signing: Signing, sending: Sending
) -> None:
    """End DID for good: nobody brings it back."""
    from vm.native.did_payloads import DeactivatePayload

    _change(
        "deactivate",
        identity,
        lambda record, did, facts: DeactivatePayload(
            did,
            record.current.version_id,
            build_key_policy(next_keys, next_threshold, sending.keyring, facts.network),
        ),
        _add_own_keys(signing, next_keys),
        sending,
    )


@did.command()
@click.argument("identity", metavar="DID")
@click.option("--account", default=None, metavar="ADDRESS", help="Address or key name.  [default: the one that sends]")
@signing_options
@sending_options
def link(identity: str, account: str | None, signing: Signing, sending: Sending) -> None:
    """Let an account act for DID: it sends this, or the one key that rules it signs."""
    from node.cli.sending import find_sender
    from vm.native.did_payloads import LinkPayload

    _change(
        "link_account",
        identity,
        lambda record, did, facts: LinkPayload(
            did,
            record.current.version_id,
            find_sender(sending, facts) if account is None else sending.keyring.find_address(account, facts.network),
        ),
        signing,
        sending,
    )


@did.command()
@click.argument("identity", metavar="DID")
@signing_options
@sending_options
def unlink(identity: str, signing: Signing, sending: Sending) -> None:
    """Let the account of DID act for it no more."""
    _change_version("unlink_account", identity, signing, sending)


@did.group(cls=SuggestingGroup)
def guardians() -> None:
    """Recover an identity by its guardians, and object to that."""


@guardians.command("request")
@click.argument("identity", metavar="DID")
@keep_option
@control_options
@signing_options
@sending_options
def request_recovery(identity: str, control: ControlOptions, signing: Signing, sending: Sending) -> None:
    """Ask for new keys of DID, as its guardians: each signs with --by GUARDIAN=KEY, the new keys by themselves.

    The holder may object for a while; then carlive did guardians complete does it.
    """
    _change_control("request_recovery", identity, control, signing, sending)


@guardians.command("object")
@click.argument("identity", metavar="DID")
@signing_options
@sending_options
def object_to_recovery(identity: str, signing: Signing, sending: Sending) -> None:
    """End the recovery that the guardians of DID have asked for, as its holder."""
    _change_version("object_to_recovery", identity, signing, sending)


@guardians.command("complete")
@click.argument("identity", metavar="DID")
@sending_options
def complete_recovery(identity: str, sending: Sending) -> None:
    """Give DID the keys its guardians asked for, once the time to object is over; anybody may."""
    from node.cli.module_calls import build_known_intent
    from node.cli.sending import send_intent

    send_intent(
        lambda client, facts: build_known_intent(client, facts, MODULE, "complete_recovery", [identity]), sending
    )


@did.command()
@click.argument("payload", type=FILE)
@click.option("--as", "identity", default=None, metavar="DID", help="In whose name.  [default: as PAYLOAD says]")
@click.option("--key", "name", required=True, metavar="KEY", help="Key that signs.")
@click.option("--out", type=FILE, default=None, help="File for the signature.  [default: print it]")
@click.option("--yes", "is_confirmed", is_flag=True, help="Sign without asking.")
@keyring_options
@node_option
@output_option
def sign(
    payload: Path,
    identity: str | None,
    name: str,
    out: Path | None,
    is_confirmed: bool,
    keys_dir: Path,
    password_file: Path | None,
    node_url: str,
    output: Output,
) -> None:
    """Sign PAYLOAD, a file of --payload-out that somebody else has made, after looking at what it says.

    Give the signature's file to whoever sends it: carlive did send PAYLOAD --signature FILE
    """
    from identity.did import format_did

    keyring = open_keyring(keys_dir, password_file)
    with connect(node_url) as client:
        facts = read_chain_facts(client)
        operation = read_payload(payload, facts)
        signer = operation.signer if identity is None else parse_did_text(identity, facts.network)
        if not is_confirmed:
            shown = {**describe_operation(client, facts, operation), "signedFor": format_did(signer, facts.network)}
            click.echo(format_record(shown), err=True)
            click.confirm("Sign this?", abort=True, err=True)
    record = signature_to_json(sign_payload(operation, signer, name, keyring, facts), facts.network)
    if out is not None:
        out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    output.show_record(record)


@did.command()
@click.argument("payload", type=FILE)
@by_option
@signature_option
@sending_options
def send(payload: Path, signers: tuple[str, ...], signature_files: tuple[Path, ...], sending: Sending) -> None:
    """Send PAYLOAD, a file of --payload-out, with the signatures of all who have to sign.

    For instance: carlive did send sale.json --signature buyer.json --by SELLER=alice --from dev0
    """
    with connect(sending.node_url) as client:
        facts = read_chain_facts(client)
        operation = read_payload(payload, facts)
        signatures = collect_signatures(operation, Signing(signers), sending.keyring, facts)
        signatures += [read_signature(path, facts.network) for path in signature_files]
        deliver_operation(client, facts, operation, signatures, sending)


for _command in (*attribute_commands.COMMANDS, credential_commands.credential, pseudonym_commands.pseudonym):
    did.add_command(_command)


def _change(
    call: str,
    identity: str,
    build: "Callable[[DidRecord, Any, ChainFacts], Any]",
    signing: Signing,
    sending: Sending,
) -> None:
    """An operation on the present version of an identity."""

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        parsed = parse_did_text(identity, facts.network)
        payload = build(fetch_record(client, facts, parsed), parsed, facts)
        return Operation(f"{MODULE}.{call}", payload, find_signer(client, facts, parsed))

    send_operation(prepare, signing, sending)


def _change_control(call: str, identity: str, control: ControlOptions, signing: Signing, sending: Sending) -> None:
    from vm.native.did_payloads import ControlPayload

    _change(
        call,
        identity,
        lambda record, did, facts: ControlPayload(
            did,
            record.current.version_id,
            build_control(control, sending.keyring, facts.network, record.current.content.control),
        ),
        _add_own_keys(signing, control.keys),
        sending,
    )


def _change_version(call: str, identity: str, signing: Signing, sending: Sending) -> None:
    from vm.native.did_payloads import VersionPayload

    _change(call, identity, lambda record, did, _: VersionPayload(did, record.current.version_id), signing, sending)


def _add_own_keys(signing: Signing, names: tuple[str, ...]) -> Signing:
    """New keys that are here sign for themselves; those given by their bytes sign elsewhere."""
    return replace(signing, own_keys=tuple(name for name in names if ":" not in name))
