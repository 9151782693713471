"""The part of `carlive did` about attributes: tags, requests for attributes, and what holders say to them."""

import json
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.did_options import FILE
from node.cli.did_signing import Operation, describe_payload, parse_did_text
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.output import Output, output_option
from node.cli.query_commands import parse_id, to_plain
from node.cli.sending import Intent, Sending, deliver, sending_options, show_sent
from rpc import calls

if TYPE_CHECKING:
    from identity.did import Did
    from node.cli.signing import ChainFacts
    from rpc.client import Client
    from vm.native.attribute_payloads import RequestPayload
    from vm.native.attribute_records import AttributeRequest
    from vm.native.did_payloads import DidSignature

MODULE: Final = "attributes"
ROLES: Final = ("holder", "verifier")
STATES: Final = ("open", "approved", "refused", "withdrawn", "expired")
HEIGHTS_DEFAULT: Final = 3_600  # an hour of blocks of one second
LOG_ENTRIES_MAX: Final = 1_000
_ACTIONS: Final = {1: "requested", 2: "approved", 3: "refused", 4: "withdrawn"}
_FORMS: Final = {1: "plain", 2: "encrypted"}

Made = TypeVar("Made")
Prepare = Callable[["Client", "ChainFacts", dict[str, str]], Operation]
"""Makes the operation, and adds what a person should read before signing and the payload does not say."""

_by_option = click.option(
    "--by",
    "signers",
    multiple=True,
    required=True,
    metavar="[DID=]KEY",
    help="Key that signs, and the identity in whose name.  [default: the one that acts]",
)


@click.group(cls=SuggestingGroup)
def tag() -> None:
    """Show and change the tags that an identity gives itself."""


@tag.command("set")
@click.argument("identity", metavar="DID")
@click.argument("name")
@click.argument("value")
@click.option("--encrypt-for", default=None, metavar="0x…", help="X25519 key whose owner alone reads the value.")
@click.option("--commit", "is_committed", is_flag=True, help="Commit to the value; prints the salt: keep it.")
@_by_option
@sending_options
def set_tag(
    identity: str,
    name: str,
    value: str,
    encrypt_for: str | None,
    is_committed: bool,
    signers: tuple[str, ...],
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

    def prepare(client: "Client", facts: "ChainFacts", _: dict[str, str]) -> Operation:
        did = parse_did_text(identity, facts.network)
        payload = TagPayload(did, _fetch_sequence(client, identity), Tag(name, form, stored, commitment))
        return Operation("set_tag", payload, did)

    _send(prepare, signers, sending, {"salt": "0x" + salt.hex()} if is_committed else {})


@tag.command("remove")
@click.argument("identity", metavar="DID")
@click.argument("name")
@_by_option
@sending_options
def remove_tag(identity: str, name: str, signers: tuple[str, ...], sending: Sending) -> None:
    """Remove tag NAME of DID."""
    from vm.native.attribute_payloads import TagRemovalPayload

    def prepare(client: "Client", facts: "ChainFacts", _: dict[str, str]) -> Operation:
        did = parse_did_text(identity, facts.network)
        return Operation("remove_tag", TagRemovalPayload(did, _fetch_sequence(client, identity), name), did)

    _send(prepare, signers, sending)


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
@_by_option
@sending_options
def request(
    holder: str,
    verifier: str,
    names: tuple[str, ...],
    purpose: str,
    secret: Path,
    heights: int,
    signers: tuple[str, ...],
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

    def prepare(client: "Client", facts: "ChainFacts", _: dict[str, str]) -> Operation:
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
        return Operation("request", payload, did)

    _send(prepare, signers, sending, made)


@click.command()
@click.argument("request_id", metavar="REQUEST")
@click.option("--value", "values", multiple=True, required=True, metavar="NAME=VALUE", help="Once for each attribute.")
@_by_option
@sending_options
def approve(request_id: str, values: tuple[str, ...], signers: tuple[str, ...], sending: Sending) -> None:
    """Give the verifier of REQUEST exactly what it asks for, sealed: nobody else reads it."""
    from identity.attributes import compute_attribute_commitment
    from vm.native.attribute_payloads import Answer, ApprovalPayload, RequestId

    given = _parse_values(values)
    parsed = RequestId(parse_id(request_id))

    def prepare(client: "Client", facts: "ChainFacts", shown: dict[str, str]) -> Operation:
        found = _fetch_request(client, facts, request_id).payload
        shown |= _describe_request(found, facts)
        if set(given) != set(found.names):
            raise CommandFailedError(f"the request is for {', '.join(found.names)}: say --value for exactly those")
        answers = []
        for name in found.names:
            salt = secrets.token_bytes(32)
            sealed = _seal(given[name], salt, found.answer_key)
            answers.append(Answer(name, sealed, compute_attribute_commitment(name, given[name].encode(), salt)))
        return Operation("approve", ApprovalPayload(found.holder, parsed, tuple(answers)), found.holder)

    _send(prepare, signers, sending)


@click.command()
@click.argument("request_id", metavar="REQUEST")
@_by_option
@sending_options
def refuse(request_id: str, signers: tuple[str, ...], sending: Sending) -> None:
    """Give the verifier of REQUEST nothing."""
    _say("refuse", request_id, signers, sending)


@click.command()
@click.argument("request_id", metavar="REQUEST")
@_by_option
@sending_options
def withdraw(request_id: str, signers: tuple[str, ...], sending: Sending) -> None:
    """Withdraw the consent to REQUEST; what the verifier has read already, it has read."""
    _say("withdraw_consent", request_id, signers, sending)


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
    output.show_list(found, ["requestId", "state", other, "names", "purpose", "expiryHeight"], empty="there are none")


@click.command("open")
@click.argument("request_id", metavar="REQUEST")
@click.option("--secret", type=FILE, required=True, help="The file of carlive did request.")
@node_option
@output_option
def open_answer(request_id: str, secret: Path, node_url: str, output: Output) -> None:
    """Open the answer to REQUEST, as its verifier, and check it against the commitments."""
    from identity.attributes import InvalidAttributeError, compute_attribute_commitment, open_attribute

    with connect(node_url) as client:
        found = _fetch_request(client, read_chain_facts(client), request_id)
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
    output.show_list(
        found[:limit], ["number", "action", "requestId", "verifier", "height", "timeMs"], empty="nothing has happened"
    )


COMMANDS: Final = (tag, request, approve, refuse, withdraw, requests, open_answer, log)
"""What this adds to `carlive did`."""


def _say(call: str, request_id: str, signers: tuple[str, ...], sending: Sending) -> None:
    from vm.native.attribute_payloads import RequestId, RequestIdPayload

    parsed = RequestId(parse_id(request_id))

    def prepare(client: "Client", facts: "ChainFacts", shown: dict[str, str]) -> Operation:
        found = _fetch_request(client, facts, request_id).payload
        shown |= _describe_request(found, facts)
        return Operation(call, RequestIdPayload(found.holder, parsed), found.holder)

    _send(prepare, signers, sending)


def _send(prepare: Prepare, signers: Sequence[str], sending: Sending, added: dict[str, str] | None = None) -> None:
    """Sign for the identity and send; what is added is shown with the result, once the operation is made."""
    from identity.did import format_did
    from ledger.codec import to_plain as to_packed
    from ledger.transaction import Call
    from vm.native.attributes import SIGNED_CALLS

    with connect(sending.node_url) as client:
        facts = read_chain_facts(client)
        asked: dict[str, str] = {}
        operation = prepare(client, facts, asked)
        text = format_did(operation.did, facts.network)
        signatures = tuple(_sign(operation, each, sending, facts) for each in dict.fromkeys(signers))
        arguments = SIGNED_CALLS[operation.call].arguments(operation.payload, signatures)
        described = describe_payload(operation.payload, facts.network)
        shown = {"did": text, "call": f"{MODULE}.{operation.call}", **asked}
        shown |= {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in described.items()
            if name != "did"
        }
        intent = Intent([Call(MODULE, operation.call, to_packed(arguments))], shown)
        result = deliver(client, facts, intent, sending)
    show_sent(result, sending.options.wait, sending.output, {"did": text, **(added or {})})


def _sign(operation: Operation, signer: str, sending: Sending, facts: "ChainFacts") -> "DidSignature":
    """A key's signature in the name of an identity; raises CommandFailedError, KeyFileError."""
    from identity.signing import signing_bytes
    from ledger.codec import encode
    from ledger.primitives import Signature
    from vm.native.attributes import SIGNED_CALLS
    from vm.native.did_payloads import DidSignature

    did_text, separator, name = signer.rpartition("=")
    did: Did = parse_did_text(did_text, facts.network) if separator else operation.did
    key = sending.keyring.load(name, facts.network)
    message = signing_bytes(SIGNED_CALLS[operation.call].purpose, facts.domain, encode(operation.payload))
    return DidSignature(did, key.key_type, key.public_key.key, Signature(key.sign(message)))


def _describe_request(payload: "RequestPayload", facts: "ChainFacts") -> dict[str, str]:
    """Who asks for what and why: without that nobody should answer."""
    from identity.did import format_did

    return {
        "verifier": format_did(payload.did, facts.network),
        "purpose": payload.purpose,
        "attributes": ", ".join(payload.names),
    }


def _fetch_sequence(client: "Client", identity: str) -> int:
    """The sequence of what an identity signs next."""
    sequence = client.run(calls.module_view(MODULE, "record", {"did": identity})).value["sequence"]
    assert isinstance(sequence, int), "the module says so"
    return sequence


def _fetch_request(client: "Client", facts: "ChainFacts", request_id: str) -> "AttributeRequest":
    """A request as the node knows it; raises CommandFailedError."""
    from ledger.codec import from_plain
    from rpc.arguments import arguments_from_json, describe_fields
    from vm.native.attribute_records import AttributeRequest, compute_request_id

    parsed = parse_id(request_id)
    value = client.run(calls.module_view(MODULE, "request", {"request_id": "0x" + parsed.hex()})).value
    if value is None:
        raise CommandFailedError("the chain knows no such request", ExitCode.FAILED)
    fields = describe_fields(AttributeRequest)
    found = from_plain(AttributeRequest, arguments_from_json(fields, value, facts.network))
    if compute_request_id(found.payload) != parsed:  # a key put in its place would get what is sealed
        raise CommandFailedError("the node shows another request than the one of this id")
    return found


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
