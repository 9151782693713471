"""The part of `carlive did` about attributes: tags, requests for attributes, and what holders say to them."""

import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from node.cli.attribute_requests import MODULE, fetch_request
from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.did_options import FILE, signing_options
from node.cli.did_signing import Operation, Signing, find_signer, parse_did_text, send_operation
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.output import Output, output_option
from node.cli.query_commands import format_time, parse_id, to_plain
from node.cli.sending import Sending, sending_options
from rpc import calls

if TYPE_CHECKING:
    from node.cli.signing import ChainFacts
    from rpc.client import Client

ROLES: Final = ("holder", "verifier")
STATES: Final = ("open", "approved", "refused", "withdrawn", "expired")
HEIGHTS_DEFAULT: Final = 3_600  # an hour of blocks of one second
LOG_ENTRIES_MAX: Final = 1_000
_ACTIONS: Final = {1: "requested", 2: "approved", 3: "refused", 4: "withdrawn"}
_FORMS: Final = {1: "plain", 2: "encrypted"}

Made = TypeVar("Made")


@click.group(cls=SuggestingGroup)
def tag() -> None:
    """Show and change the tags that an identity gives itself."""


@tag.command("set")
@click.argument("identity", metavar="DID")
@click.argument("name")
@click.argument("value")
@click.option("--encrypt-for", default=None, metavar="0x…", help="X25519 key whose owner alone reads the value.")
@click.option("--commit", "is_committed", is_flag=True, help="Commit to the value; prints the salt: keep it.")
@signing_options
@sending_options
def set_tag(
    identity: str,
    name: str,
    value: str,
    encrypt_for: str | None,
    is_committed: bool,
    signing: Signing,
    sending: Sending,
) -> None:
    """Set tag NAME of DID to VALUE: everybody reads it, unless it is encrypted."""
    from identity.attributes import compute_attribute_commitment
    from vm.native.attribute_payloads import Tag, TagForm, TagPayload

    key = None if encrypt_for is None else _parse_hex(encrypt_for, "--encrypt-for")
    salt = secrets.token_bytes(32)
    commitment = _checked(lambda: compute_attribute_commitment(name, value.encode(), salt)) if is_committed else None
    form, stored = TagForm.PLAIN, value.encode()
    if key is not None:
        form, stored = TagForm.ENCRYPTED, _seal(value, salt, key)

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        did = parse_did_text(identity, facts.network)
        payload = TagPayload(did, _fetch_sequence(client, identity), Tag(name, form, stored, commitment))
        return Operation("attributes.set_tag", payload, find_signer(client, facts, did))

    send_operation(prepare, signing, sending, {"salt": "0x" + salt.hex()} if is_committed else {})


@tag.command("remove")
@click.argument("identity", metavar="DID")
@click.argument("name")
@signing_options
@sending_options
def remove_tag(identity: str, name: str, signing: Signing, sending: Sending) -> None:
    """Remove tag NAME of DID."""
    from vm.native.attribute_payloads import TagRemovalPayload

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        did = parse_did_text(identity, facts.network)
        payload = TagRemovalPayload(did, _fetch_sequence(client, identity), name)
        return Operation("attributes.remove_tag", payload, find_signer(client, facts, did))

    send_operation(prepare, signing, sending)


@tag.command("list")
@click.argument("identity", metavar="DID")
@node_option
@output_option
def list_tags(identity: str, node_url: str, output: Output) -> None:
    """List the tags of DID."""
    with connect(node_url) as client:
        parse_did_text(identity, read_chain_facts(client).network)
        found = client.run(calls.module_view(MODULE, "tags", {"did": identity})).value
    shown = [
        {
            "name": each["name"],
            "form": _FORMS[each["form"]],
            "value": bytes.fromhex(each["value"][2:]).decode() if each["form"] == 1 else each["value"],
            "commitment": each["commitment"],
        }
        for each in found
    ]
    output.show_list(shown, ["name", "form", "value", "commitment"], empty="there are no tags")


@click.command()
@click.argument("holder", metavar="HOLDER")
@click.option("--as", "verifier", required=True, metavar="DID", help="Who asks.")
@click.option("--attribute", "names", multiple=True, required=True, metavar="NAME", help="Once for each attribute.")
@click.option("--purpose", required=True, help="What for, in one line: the holder reads it.")
@click.option(
    "--secret",
    type=FILE,
    required=True,
    help="File with the X25519 secret that opens the answer; made when it is not there.",
)
@click.option(
    "--heights", type=click.IntRange(1), default=HEIGHTS_DEFAULT, show_default=True, help="Blocks in which to answer."
)
@signing_options
@sending_options
def request(
    holder: str,
    verifier: str,
    names: tuple[str, ...],
    purpose: str,
    secret: Path,
    heights: int,
    signing: Signing,
    sending: Sending,
) -> None:
    """Ask HOLDER, an identity, for attributes.

    For instance: carlive did request HOLDER --as SHOP --attribute adult --purpose 'To rent a car' --secret answer.key
    --by shop --from dev0
    """
    from identity.attributes import compute_answer_key
    from ledger.primitives import Height
    from vm.native.attribute_payloads import RequestPayload
    from vm.native.attribute_records import compute_request_id

    answer_key = compute_answer_key(_load_or_make_secret(secret))
    made: dict[str, str] = {}

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        did = parse_did_text(verifier, facts.network)
        payload = RequestPayload(
            did,
            _fetch_sequence(client, verifier),
            parse_did_text(holder, facts.network),
            tuple(sorted(set(names))),
            purpose,
            Height(client.run(calls.chain_head()).height + heights),
            answer_key,
        )
        made["requestId"] = "0x" + compute_request_id(payload).hex()
        return Operation("attributes.request", payload, find_signer(client, facts, did))

    send_operation(prepare, signing, sending, made)


@click.command()
@click.argument("request_id", metavar="REQUEST")
@click.option("--value", "values", multiple=True, required=True, metavar="NAME=VALUE", help="Once for each attribute.")
@signing_options
@sending_options
def approve(request_id: str, values: tuple[str, ...], signing: Signing, sending: Sending) -> None:
    """Give the verifier of REQUEST exactly what it asks for, sealed: nobody else reads it."""
    from identity.attributes import compute_attribute_commitment
    from vm.native.attribute_payloads import Answer, ApprovalPayload, RequestId

    given = _parse_values(values)
    parsed = RequestId(parse_id(request_id))

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        found = fetch_request(client, facts, parsed).payload
        if set(given) != set(found.names):
            raise CommandFailedError(f"the request is for {', '.join(found.names)}: say --value for exactly those")
        answers = []
        for name in found.names:
            salt = secrets.token_bytes(32)
            sealed = _seal(given[name], salt, found.answer_key)
            answers.append(Answer(name, sealed, compute_attribute_commitment(name, given[name].encode(), salt)))
        payload = ApprovalPayload(found.holder, parsed, tuple(answers))
        return Operation("attributes.approve", payload, find_signer(client, facts, found.holder))

    send_operation(prepare, signing, sending)


@click.command()
@click.argument("request_id", metavar="REQUEST")
@signing_options
@sending_options
def refuse(request_id: str, signing: Signing, sending: Sending) -> None:
    """Give the verifier of REQUEST nothing."""
    _say("refuse", request_id, signing, sending)


@click.command()
@click.argument("request_id", metavar="REQUEST")
@signing_options
@sending_options
def withdraw(request_id: str, signing: Signing, sending: Sending) -> None:
    """Withdraw the consent to REQUEST; what the verifier has read already, it has read."""
    _say("withdraw_consent", request_id, signing, sending)


@click.command()
@click.argument("identity", metavar="DID")
@click.option("--role", type=click.Choice(ROLES), default="holder", show_default=True, help="Requests to it, or by it.")
@click.option("--state", type=click.Choice(STATES), default=None, help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many, newest first.")
@node_option
@output_option
def requests(identity: str, role: Any, state: Any, limit: int, node_url: str, output: Output) -> None:
    """List requests for attributes to DID, or by it, the newest first."""
    found: list[dict[str, Any]] = []
    cursor = None
    with connect(node_url) as client:
        while len(found) < limit:
            page = client.run(
                calls.did_requests(identity, role=role, state=state, limit=min(limit - len(found), 200), cursor=cursor)
            )
            found += [to_plain(each) for each in page.requests]
            cursor = page.cursor
            if cursor is None:
                break
    other = "verifier" if role == "holder" else "holder"
    columns = ["requestId", "state", other, "names", "purpose", "expiryHeight"]
    output.show_list(found, columns, {"names": ", ".join}, empty="there are none")


@click.command("open")
@click.argument("request_id", metavar="REQUEST")
@click.option("--secret", type=FILE, required=True, help="The file of carlive did request.")
@node_option
@output_option
def open_answer(request_id: str, secret: Path, node_url: str, output: Output) -> None:
    """Open the answer to REQUEST, as its verifier, and check it against the commitments."""
    from identity.attributes import InvalidAttributeError, compute_attribute_commitment, open_attribute

    with connect(node_url) as client:
        found = fetch_request(client, read_chain_facts(client), parse_id(request_id))
    if not found.answers:
        raise CommandFailedError(f"the request is {found.state.name.lower()}: there is no answer", ExitCode.FAILED)
    loaded = _load_secret(secret)
    shown = []
    for each in found.answers:
        try:
            value, salt = open_attribute(each.sealed, loaded)
        except InvalidAttributeError as error:
            raise CommandFailedError(f"{each.name}: {error}", ExitCode.FAILED) from None
        if compute_attribute_commitment(each.name, value, salt) != each.commitment:
            raise CommandFailedError(f"{each.name}: the holder has committed to another value", ExitCode.FAILED)
        shown.append({"name": each.name, "value": value.decode(errors="replace"), "salt": "0x" + salt.hex()})
    output.show_list(shown, ["name", "value", "salt"])


@click.command()
@click.argument("identity", metavar="DID")
@click.option(
    "--limit", type=click.IntRange(1, LOG_ENTRIES_MAX), default=50, show_default=True, help="How many, newest first."
)
@node_option
@output_option
def log(identity: str, limit: int, node_url: str, output: Output) -> None:
    """List everything that happened to the attributes of DID, the newest first."""
    found: list[dict[str, Any]] = []
    with connect(node_url) as client:
        parse_did_text(identity, read_chain_facts(client).network)
        while len(found) < limit:
            before = found[-1]["number"] if found else 0
            page = client.run(calls.module_view(MODULE, "log", {"did": identity, "before": before})).value
            found += [
                {"number": each["number"], **each["entry"], "action": _ACTIONS[each["entry"]["action"]]}
                for each in page
            ]
            if not page or found[-1]["number"] == 1:
                break
    columns = ["number", "action", "requestId", "verifier", "height", "timeMs"]
    output.show_list(found[:limit], columns, {"timeMs": format_time}, empty="nothing has happened")


COMMANDS: Final = (tag, request, approve, refuse, withdraw, requests, open_answer, log)
"""What this adds to `carlive did`."""


def _say(call: str, request_id: str, signing: Signing, sending: Sending) -> None:
    from vm.native.attribute_payloads import RequestId, RequestIdPayload

    parsed = RequestId(parse_id(request_id))

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        holder = fetch_request(client, facts, parsed).payload.holder
        return Operation(f"{MODULE}.{call}", RequestIdPayload(holder, parsed), find_signer(client, facts, holder))

    send_operation(prepare, signing, sending)


def _fetch_sequence(client: "Client", identity: str) -> int:
    """The sequence of what an identity signs next."""
    sequence = client.run(calls.module_view(MODULE, "record", {"did": identity})).value["sequence"]
    assert isinstance(sequence, int), "the module says so"
    return sequence


def _seal(value: str, salt: bytes, key: bytes) -> bytes:
    from identity.attributes import seal_attribute

    return _checked(lambda: seal_attribute(value.encode(), salt, key, secrets.token_bytes(32)))


def _checked(make: Callable[[], Made]) -> Made:
    """What wallets make, with their errors as those of a command."""
    from identity.attributes import InvalidAttributeError
    from identity.keys import InvalidKeyError

    try:
        return make()
    except (InvalidAttributeError, InvalidKeyError) as error:
        raise CommandFailedError(str(error)) from None


def _parse_values(texts: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or name in given:
            raise CommandFailedError(f"--value {text!r}: write NAME=VALUE, once for each attribute")
        given[name] = value
    return given


def _parse_hex(text: str, option: str) -> bytes:
    from rpc.json_codec import parse_hex

    try:
        return parse_hex(text)
    except ValueError as error:
        raise CommandFailedError(f"{option}: {error}") from None


def _load_or_make_secret(path: Path) -> bytes:
    """An X25519 secret, for its owner's eyes only."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _load_secret(path)
    secret = secrets.token_bytes(32)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secret.hex() + "\n")
    return secret


def _load_secret(path: Path) -> bytes:
    """Raises CommandFailedError."""
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        secret = b""
    if len(secret) != 32:
        raise CommandFailedError(f"{path} is not a secret of carlive did request")
    return secret
