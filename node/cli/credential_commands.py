"""The part of `carlive did` about credentials: issue, show, verify, revoke, and anchor status lists on the chain."""

import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.accounts import keyring_options, open_keyring
from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.did_options import FILE
from node.cli.did_signing import fetch_record, find_public_key, parse_did_text
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.limited_files import read_limited
from node.cli.output import Output, output_option
from node.cli.sending import Intent, Sending, deliver, sending_options, show_sent
from rpc import calls

if TYPE_CHECKING:
    from identity.credentials.reasons import CredentialError
    from identity.credentials.sd_jwt import KeyBindingDemand
    from identity.credentials.sd_jwt import Path as ClaimPath
    from identity.credentials.status_list import StatusPurpose
    from identity.did import Did
    from identity.keys import PublicKey
    from identity.strict_json import Json
    from node.cli.accounts import Keyring
    from node.cli.credential_checks import Verification
    from node.cli.signing import ChainFacts
    from node.status_lists import IssuerList
    from rpc.client import Client

MODULE: Final = "credentials"
PURPOSES: Final = ("revocation", "suspension")
DAYS_DEFAULT: Final = 365
NONCE_BYTES: Final = 16
CLAIMS_FILE_BYTES_MAX: Final = 65_536
_DEMAND_BYTES_MAX: Final = 4_096
_DAY_S: Final = 86_400
_DIRECTORY: Final = click.Path(path_type=Path, file_okay=False)

_by_option = click.option(
    "--by", "issuer_key", required=True, metavar="KEY", help="Key of the issuer, one of those in its assertionMethod."
)
_list_argument = click.argument("directory", metavar="LIST", type=_DIRECTORY)
_demand_option = click.option("--demand", "demand_file", type=FILE, default=None, help="File of the verifier's demand.")
_audience_option = click.option("--audience", default=None, help="The verifier, as it calls itself.")
_nonce_option = click.option("--nonce", default=None, help="The verifier's nonce.")


@dataclass(frozen=True, slots=True)
class _Listed:
    """Credentials of a list, and the issuer's key by which their status changes."""

    directory: Path
    indexes: tuple[int, ...]
    credential_files: tuple[Path, ...]
    issuer_key: str


def _change_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add whose status changes; the command gets `listed` and `sending`."""

    @wraps(function)
    def command(*args: Any, **given: Any) -> Any:
        listed = _Listed(**{field.name: given.pop(field.name) for field in fields(_Listed)})
        return function(*args, listed=listed, **given)

    index_option = click.option("--index", "indexes", type=click.IntRange(0), multiple=True, help="Index in the list.")
    credential_option = click.option(
        "--credential",
        "credential_files",
        type=FILE,
        multiple=True,
        help="File of the credential, instead of its index.",
    )
    return _list_argument(index_option(credential_option(_by_option(sending_options(command)))))


@click.group(cls=SuggestingGroup)
def credential() -> None:
    """Issue credentials, show parts of them, verify and revoke them.

    A credential stays with its holder. The chain has the identities of issuer and holder, and the hash of the issuer's
    status list; nothing of a single credential.
    """


@credential.command("new-list")
@_list_argument
@click.option("--issuer", required=True, metavar="DID", help="Whose credentials the list is for.")
@click.option("--number", type=click.IntRange(1), default=1, show_default=True, help="Number among the issuer's lists.")
@click.option("--uri", required=True, help="Where the list is published: credentials name it for ever.")
@click.option(
    "--suspension-uri", default=None, help="Where suspensions are published.  [default: the address and /suspension]"
)
@_by_option
@sending_options
def new_list(
    directory: Path, issuer: str, number: int, uri: str, suspension_uri: str | None, issuer_key: str, sending: Sending
) -> None:
    """Begin a status list in the directory LIST, and anchor it.

    It has room for 131,072 credentials. Publish LIST/revocation.json at the address, and again after each change.
    """
    from identity.credentials.status_list import StatusPurpose
    from node.status_lists import IssuerList, create_issuer_list
    from vm.native.did_rules import is_normal_uri

    uris = {StatusPurpose.REVOCATION: uri, StatusPurpose.SUSPENSION: suspension_uri or f"{uri}/suspension"}
    for each in uris.values():
        if not is_normal_uri(each):
            raise CommandFailedError(
                f"{each!r} is not a URI in its normal form: scheme and host in lower case, a path after the host "
                "(https://a.example/1), no default port"
            )
    with connect(sending.node_url) as client:
        facts = read_chain_facts(client)
        _check_attests(client, facts, parse_did_text(issuer, facts.network), issuer_key, sending.keyring)
        made = IssuerList(directory, issuer, facts.chain_id, number, uris)
        create_issuer_list(made)
        _anchor(client, facts, made, StatusPurpose.REVOCATION, issuer_key, sending)


@credential.command()
@_list_argument
@click.option("--purpose", type=click.Choice(PURPOSES), default="revocation", show_default=True, help="Which list.")
@_by_option
@sending_options
def anchor(directory: Path, purpose: str, issuer_key: str, sending: Sending) -> None:
    """Anchor LIST as it is on disk, when the chain does not have it so yet."""
    from identity.credentials.status_list import StatusPurpose

    with connect(sending.node_url) as client:
        facts = read_chain_facts(client)
        _anchor(client, facts, _open_list(directory, facts), StatusPurpose(purpose), issuer_key, sending)


@credential.command()
@click.option("--list", "directory", type=_DIRECTORY, required=True, help="The issuer's status list, with its index.")
@click.option("--type", "kind", required=True, help="What kind of credential; an address that the issuer owns is best.")
@click.option("--holder", required=True, metavar="DID", help="Whom it is about.")
@click.option(
    "--holder-key",
    default=None,
    metavar="KEY",
    help="Key with which the holder shows it: a name, or TYPE:0x….  [default: the holder's only suitable key]",
)
@click.option("--claim", "claims", multiple=True, metavar="NAME=VALUE", help="A claim that is text; once for each.")
@click.option("--claims", "claims_file", type=FILE, default=None, help="File with claims as a JSON object.")
@click.option("--valid-from", default=None, metavar="TIME", help="2026-05-10T17:00:00Z.  [default: now]")
@click.option(
    "--valid-until", default=None, metavar="TIME", help=f"2027-05-10T17:00:00Z.  [default: {DAYS_DEFAULT} days later]"
)
@_by_option
@click.option("--out", type=FILE, required=True, help="New file for the credential, for its holder's eyes only.")
@keyring_options
@node_option
@output_option
def issue(
    directory: Path,
    kind: str,
    holder: str,
    holder_key: str | None,
    claims: tuple[str, ...],
    claims_file: Path | None,
    valid_from: str | None,
    valid_until: str | None,
    issuer_key: str,
    out: Path,
    keys_dir: Path,
    password_file: Path | None,
    node_url: str,
    output: Output,
) -> None:
    """Issue a credential: the holder later shows those of its claims that he chooses, each on its own.

    For instance: carlive did credential issue --list ./list --type https://office.example/driver --holder DID
    --claim name=Ada --claims classes.json --by office --out licence.sdjwt
    """
    from identity.credentials.reasons import CredentialError
    from identity.credentials.sd_jwt import SALT_BYTES_MIN, count_disclosable
    from identity.credentials.sd_jwt_vc import issue_credential
    from identity.credentials.status_list import StatusPurpose, StatusReference
    from identity.credentials.vc_data_model import (
        Credential,
        format_time,
        parse_time,
        to_sd_jwt_claims,
    )
    from node.atomic_file import create_file
    from node.status_lists import take_index

    keyring = open_keyring(keys_dir, password_file)
    if out.exists():
        raise CommandFailedError(f"{out} is there already: name a new file")
    with connect(node_url) as client:
        facts = read_chain_facts(client)
        issuer_list = _open_list(directory, facts)
        issuer, subject = (parse_did_text(text, facts.network) for text in (issuer_list.issuer, holder))
        _check_attests(client, facts, issuer, issuer_key, keyring)
        confirmed = _find_holder_key(client, facts, subject, holder_key, keyring)
        uri = issuer_list.uris[StatusPurpose.REVOCATION]
        if not client.run(
            calls.module_view(MODULE, "find_status_list", {"issuer": issuer_list.issuer, "uri": uri})
        ).value:
            raise CommandFailedError(
                f"the chain does not have this list yet: carlive did credential anchor {directory}", ExitCode.FAILED
            )
    try:
        begins_s = int(time.time()) if valid_from is None else parse_time(valid_from)
        ends_s = begins_s + DAYS_DEFAULT * _DAY_S if valid_until is None else parse_time(valid_until)
        given = Credential(kind, issuer, subject, _read_claims(claims, claims_file), begins_s, ends_s)
        to_sd_jwt_claims(given, kind, facts.network)  # an index is taken only for what can be issued
        key = keyring.load(issuer_key, facts.network)
        index = take_index(issuer_list, holder, kind, format_time(ends_s))
        given = replace(given, status=StatusReference(uri, index, StatusPurpose.REVOCATION))
        made = to_sd_jwt_claims(given, kind, facts.network)
        salts = [secrets.token_bytes(SALT_BYTES_MIN) for _ in range(count_disclosable(made))]
        text = issue_credential(made, salts, issuer, facts.network, key, confirmed)
    except CredentialError as error:
        raise _explain(error) from None
    create_file(out, text.encode() + b"\n")
    output.show_record(
        {
            "file": str(out),
            "issuer": issuer_list.issuer,
            "holder": holder,
            "type": kind,
            "claims": list(given.claims),
            "validFrom": format_time(begins_s),
            "validUntil": format_time(ends_s),
            "index": index,
        }
    )


@credential.command("list")
@_list_argument
@output_option
def list_issued(directory: Path, output: Output) -> None:
    """List what was issued from LIST, and what of it is revoked or suspended."""
    from identity.credentials.status_list import get_status
    from node.status_lists import open_issuer_list, read_issued, read_status_list

    issuer_list = open_issuer_list(directory)
    lists = {purpose.value: read_status_list(issuer_list, purpose) for purpose in issuer_list.uris}
    shown = [
        {
            "index": each.index,
            "holder": each.holder,
            "type": each.kind,
            "validUntil": each.valid_until,
            "revoked": get_status(lists["revocation"], each.index),
            "suspended": get_status(lists["suspension"], each.index),
        }
        for each in read_issued(issuer_list)
    ]
    columns = ["index", "holder", "type", "validUntil", "revoked", "suspended"]
    output.show_list(shown, columns, empty="nothing was issued yet")


@credential.command()
@click.argument("issuer", metavar="DID")
@node_option
@output_option
def status(issuer: str, node_url: str, output: Output) -> None:
    """List the status lists that the issuer DID has anchored."""
    from vm.native.credentials import StatusPurpose as AnchoredPurpose

    found: list[dict[str, Any]] = []
    cursor: int | None = 0
    with connect(node_url) as client:
        parse_did_text(issuer, read_chain_facts(client).network)
        while cursor is not None:
            page = client.run(calls.module_view(MODULE, "status_lists", {"issuer": issuer, "cursor": cursor})).value
            found += page["lists"]
            cursor = page["nextCursor"]
    shown = [
        {"number": each["number"], "purpose": AnchoredPurpose(each["purpose"]).name.lower(), **each["current"]}
        for each in found
    ]
    output.show_list(
        shown, ["number", "purpose", "version", "height", "listHash", "uri"], empty="it has anchored no status list"
    )


@credential.command()
@click.option("--audience", required=True, help="The verifier, for instance its address: the holder's proof names it.")
@click.option("--out", type=FILE, default=None, help="File for the demand; verify --demand accepts an answer once.")
@output_option
def demand(audience: str, out: Path | None, output: Output) -> None:
    """Make what a verifier asks with: its name and a fresh nonce."""
    from node.atomic_file import create_file

    record = {"audience": audience, "nonce": secrets.token_hex(NONCE_BYTES)}
    if out is not None:
        create_file(out, json.dumps({**record, "answered": False}, indent=2).encode() + b"\n")
    output.show_record(record)


@credential.command()
@click.argument("file", type=FILE)
@click.option("--disclose", "chosen", multiple=True, metavar="PATH", help="Claim to show; once for each.")
@click.option("--disclose-all", is_flag=True, help="Show all claims.")
@_demand_option
@_audience_option
@_nonce_option
@click.option("--key", "name", required=True, metavar="KEY", help="The holder's key for which it was issued.")
@click.option("--out", type=FILE, required=True, help="New file for what the verifier gets.")
@keyring_options
@output_option
def present(
    file: Path,
    chosen: tuple[str, ...],
    disclose_all: bool,
    demand_file: Path | None,
    audience: str | None,
    nonce: str | None,
    name: str,
    out: Path,
    keys_dir: Path,
    password_file: Path | None,
    output: Output,
) -> None:
    """Show a verifier the chosen claims of a credential, and nothing of the others. Needs no node."""
    from identity.credentials.reasons import CredentialError
    from identity.credentials.sd_jwt import bind_sd_jwt, list_disclosable_paths, present_sd_jwt, read_key_id
    from identity.did import InvalidDidError, parse_did_of_any_network
    from node.atomic_file import create_file

    asked, _ = _read_demand(demand_file, audience, nonce)
    text = _read_credential(file)
    try:
        paths = {_format_path(path): path for path in list_disclosable_paths(text)}
        network = parse_did_of_any_network((read_key_id(text) or "").partition("#")[0])[1]
        shown = tuple(paths) if disclose_all else tuple(dict.fromkeys(chosen))
        presentation = present_sd_jwt(text, [_choose(paths, each) for each in shown])
        key = open_keyring(keys_dir, password_file).load(name, network)
        bound = bind_sd_jwt(presentation, key, asked.audience, asked.nonce, int(time.time()))
    except CredentialError as error:
        raise _explain(error) from None
    except InvalidDidError as error:
        raise CommandFailedError(f"{file} is no credential of this chain: {error}") from None
    create_file(out, bound.encode() + b"\n")
    output.show_record({"file": str(out), "audience": asked.audience, "nonce": asked.nonce, "disclosed": list(shown)})


@credential.command()
@click.argument("file", type=FILE)
@_demand_option
@_audience_option
@_nonce_option
@click.option(
    "--as-holder",
    is_flag=True,
    help="Look at a credential that you have received, and at what you may disclose: it has no proof yet.",
)
@click.option("--issuer", default=None, metavar="DID", help="Accept it of this issuer only.")
@click.option("--type", "kind", default=None, help="Accept this kind only.")
@click.option(
    "--status-list",
    "status_files",
    type=FILE,
    multiple=True,
    help="Copy of a published list; without it, it is fetched from its address.",
)
@click.option("--at-height", type=click.IntRange(0), default=None, help="What its status was after this block.")
@node_option
@output_option
def verify(
    file: Path,
    demand_file: Path | None,
    audience: str | None,
    nonce: str | None,
    as_holder: bool,
    issuer: str | None,
    kind: str | None,
    status_files: tuple[Path, ...],
    at_height: int | None,
    node_url: str,
    output: Output,
) -> None:
    """Verify what a holder shows: the issuer and its key by the chain, the holder's proof, times, and the status.

    Exit code 1 when a check fails; the output names the check and the reason.
    """
    from identity.credentials.sd_jwt import list_disclosable_paths
    from node.cli.credential_checks import CheckFailedError, Expectation, Verification, verify_presentation

    asked, is_answered = (None, False) if as_holder else _read_demand(demand_file, audience, nonce)
    text = _read_credential(file)
    verification = Verification()
    with connect(node_url) as client:
        facts = read_chain_facts(client)
        trusted = None if issuer is None else parse_did_text(issuer, facts.network)
        expected = Expectation(asked, trusted, kind, status_files, at_height)
        try:
            if is_answered:
                raise CheckFailedError("holder", "nonce_used", "this demand was answered already: ask with a new one")
            verify_presentation(client, facts, text, expected, int(time.time()), verification)
        except CheckFailedError as error:
            output.show_record(
                {
                    "verdict": "refused",
                    "check": error.check,
                    "reason": error.reason,
                    "message": str(error),
                    "passed": verification.passed,
                }
            )
            facts_of_failure = {"check": error.check, "reason": error.reason}
            raise CommandFailedError(f"refused: {error.check}: {error}", ExitCode.FAILED, facts_of_failure) from None
    if demand_file is not None and asked is not None:
        _note_answer(demand_file, asked)
    record = _describe_verified(verification, facts)
    if as_holder:
        record["disclosable"] = [_format_path(path) for path in list_disclosable_paths(text)]
    output.show_record(record)


@credential.command()
@_change_options
def revoke(listed: _Listed, sending: Sending) -> None:
    """Revoke credentials of LIST for good, and anchor the list."""
    _change("revocation", True, listed, sending)


@credential.command()
@_change_options
def suspend(listed: _Listed, sending: Sending) -> None:
    """Suspend credentials of LIST for a while, and anchor the list."""
    _change("suspension", True, listed, sending)


@credential.command()
@_change_options
def unsuspend(listed: _Listed, sending: Sending) -> None:
    """Let suspended credentials of LIST hold again, and anchor the list."""
    _change("suspension", False, listed, sending)


def _change(purpose_name: str, is_set: bool, listed: _Listed, sending: Sending) -> None:
    """Change the list on disk first: what the chain has a hash of must never be lost."""
    from identity.credentials.status_list import StatusPurpose
    from node.status_lists import change_statuses

    purpose = StatusPurpose(purpose_name)
    with connect(sending.node_url) as client:
        facts = read_chain_facts(client)
        issuer_list = _open_list(listed.directory, facts)
        changed = [*listed.indexes, *(_read_index(path, issuer_list) for path in listed.credential_files)]
        if not changed:
            raise CommandFailedError("name the credentials: say --index or --credential")
        _check_attests(
            client, facts, parse_did_text(issuer_list.issuer, facts.network), listed.issuer_key, sending.keyring
        )
        change_statuses(issuer_list, purpose, changed, is_set)
        _anchor(client, facts, issuer_list, purpose, listed.issuer_key, sending)


def _anchor(
    client: "Client",
    facts: "ChainFacts",
    issuer_list: "IssuerList",
    purpose: "StatusPurpose",
    issuer_key: str,
    sending: Sending,
) -> None:
    """Give the chain the hash of a list on disk as its next version, unless it has that already; prints the result."""
    from identity.credentials.status_list import compute_status_list_hash
    from identity.signing import signing_bytes
    from ledger.codec import encode
    from ledger.codec import to_plain as to_packed
    from ledger.primitives import Signature
    from ledger.transaction import Call
    from node.status_lists import read_status_list
    from vm.native.credentials import SIGNED_CALLS, StatusListHash, StatusListPayload
    from vm.native.credentials import StatusPurpose as AnchoredPurpose
    from vm.native.did_payloads import DidSignature

    issuer = parse_did_text(issuer_list.issuer, facts.network)
    list_hash = StatusListHash(compute_status_list_hash(read_status_list(issuer_list, purpose)))
    published = {"publish": str(issuer_list.get_published_path(purpose)), "at": issuer_list.uris[purpose]}
    about = {"issuer": issuer_list.issuer, "list": str(issuer_list.number), "purpose": purpose.value}
    about |= {"listHash": "0x" + list_hash.hex()}
    present = _fetch_present(client, issuer_list, purpose)
    if present is not None and (present["listHash"], present["uri"]) == (about["listHash"], published["at"]):
        sending.output.show_record({**about, "version": present["version"], "status": "anchored already", **published})
        return
    payload = StatusListPayload(
        issuer,
        issuer_list.number,
        AnchoredPurpose[purpose.name],
        1 if present is None else present["version"] + 1,
        list_hash,
        published["at"],
    )
    rule = SIGNED_CALLS["anchor_status_list"]
    key = sending.keyring.load(issuer_key, facts.network)
    signature = Signature(key.sign(signing_bytes(rule.purpose, facts.domain, encode(payload))))
    arguments = rule.arguments(payload, DidSignature(issuer, key.key_type, key.public_key.key, signature))
    about |= {"version": str(payload.version)}
    shown = {"call": f"{MODULE}.anchor_status_list", **about, "uri": payload.uri}
    intent = Intent([Call(MODULE, "anchor_status_list", to_packed(arguments))], shown)
    try:
        result = deliver(client, facts, intent, sending)
        show_sent(result, sending.options.wait, sending.output, {**about, **published})
    except BaseException:  # also when nobody agreed: it is told why, and this
        if not sending.output.is_json:
            click.echo(
                "the chain does not have this list as it is on disk: "
                f"carlive did credential anchor {issuer_list.directory} --purpose {purpose.value}",
                err=True,
            )
        raise


def _fetch_present(client: "Client", issuer_list: "IssuerList", purpose: "StatusPurpose") -> dict[str, Any] | None:
    """The version of a list that the chain has."""
    from vm.native.credentials import StatusPurpose as AnchoredPurpose

    arguments = {"issuer": issuer_list.issuer, "number": issuer_list.number}
    found = client.run(calls.module_view(MODULE, "status_list", arguments)).value
    return next((each["current"] for each in found if each["purpose"] == AnchoredPurpose[purpose.name]), None)


def _check_attests(client: "Client", facts: "ChainFacts", issuer: "Did", issuer_key: str, keyring: "Keyring") -> None:
    """That the key is one of the issuer's own now; raises CommandFailedError. No password is asked for."""
    policy = fetch_record(client, facts, issuer).current.content.control.keys.policy
    key = find_public_key(issuer_key, keyring, facts.network)
    if policy is None or all(each.public_key != key for each in policy.keys):
        raise CommandFailedError(f"{issuer_key} is none of the keys with which the issuer attests", ExitCode.FAILED)


def _find_holder_key(
    client: "Client", facts: "ChainFacts", holder: "Did", name: str | None, keyring: "Keyring"
) -> "PublicKey":
    """The key of an active holder to which the credential is bound; raises CommandFailedError."""
    from identity.keys import KeyType

    record = fetch_record(client, facts, holder)
    if record.is_deactivated:
        raise CommandFailedError("the holder is deactivated", ExitCode.FAILED)
    policy = record.current.content.control.keys.policy
    keys = [] if policy is None else [each.public_key for each in policy.keys]
    suitable = [key for key in keys if key.key_type in (KeyType.ED25519, KeyType.P256)]
    if name is not None:
        suitable = [key for key in suitable if key == find_public_key(name, keyring, facts.network)]
    if len(suitable) != 1:
        raise CommandFailedError(
            f"the holder has {len(suitable)} suitable keys, ed25519 or P-256: say with --holder-key which one",
            ExitCode.FAILED,
        )
    return suitable[0]


def _open_list(directory: Path, facts: "ChainFacts") -> "IssuerList":
    from node.status_lists import open_issuer_list

    found = open_issuer_list(directory)
    if found.chain_id != facts.chain_id:
        raise CommandFailedError(f"{directory} is for the chain {found.chain_id}, this node is on {facts.chain_id}")
    return found


def _read_claims(texts: Sequence[str], file: Path | None) -> "dict[str, Json]":
    """Claims of a file, and those of the command line, which are text; raises CommandFailedError, CredentialError."""
    from identity.credentials.credential_json import parse_json_object

    claims: dict[str, Json] = {}
    if file is not None:
        claims = parse_json_object(read_limited(file, CLAIMS_FILE_BYTES_MAX))
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name or name in claims:
            raise CommandFailedError(f"--claim {text!r}: write NAME=VALUE, once for each claim")
        claims[name] = value
    return claims


def _read_credential(path: Path) -> str:
    from identity.credentials.sd_jwt import SD_JWT_CHARACTERS_MAX

    content = read_limited(path, SD_JWT_CHARACTERS_MAX + 1)
    try:
        return content.decode("ascii").strip()
    except UnicodeDecodeError:
        raise CommandFailedError(f"{path} is no credential: it is not ASCII text") from None


def _read_index(path: Path, issuer_list: "IssuerList") -> int:
    """The index of a credential from this list, by the issuer's own file of it; raises CommandFailedError."""
    from identity.credentials.jws import parse_jws
    from identity.credentials.reasons import CredentialError
    from identity.credentials.status_list import StatusPurpose, parse_status_claim

    try:
        reference = parse_status_claim(parse_jws(_read_credential(path).partition("~")[0]).payload.get("status"))
    except CredentialError as error:
        raise _explain(error) from None
    if reference.list_uri != issuer_list.uris[StatusPurpose.REVOCATION]:
        raise CommandFailedError(f"{path} is a credential of another list: {reference.list_uri}")
    return reference.index


def _read_demand(path: Path | None, audience: str | None, nonce: str | None) -> "tuple[KeyBindingDemand, bool]":
    """What the verifier asked, and whether that was answered already; raises CommandFailedError."""
    from identity.credentials.sd_jwt import KeyBindingDemand

    if path is None:
        if audience is None or nonce is None:
            raise CommandFailedError("say --demand FILE, or --audience and --nonce, as the verifier has asked")
        return KeyBindingDemand(audience, nonce), False
    if audience is not None or nonce is not None:
        raise CommandFailedError("say --demand FILE, or --audience and --nonce, and not both")
    try:
        record = json.loads(read_limited(path, _DEMAND_BYTES_MAX))
        return KeyBindingDemand(str(record["audience"]), str(record["nonce"])), bool(record.get("answered"))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CommandFailedError(f"{path} is no demand of carlive did credential demand") from None


def _note_answer(path: Path, asked: "KeyBindingDemand") -> None:
    """A nonce is accepted once."""
    from node.atomic_file import replace_file

    record = {"audience": asked.audience, "nonce": asked.nonce, "answered": True}
    replace_file(path, json.dumps(record, indent=2).encode() + b"\n")


def _format_path(path: "ClaimPath") -> str:
    """address.city, or classes.0 for an element of an array."""
    return ".".join(str(step) for step in path)


def _choose(paths: "dict[str, ClaimPath]", text: str) -> "ClaimPath":
    if text not in paths:
        there = ", ".join(sorted(paths)) or "nothing to choose from"
        raise CommandFailedError(f"--disclose {text}: the credential has {there}")
    return paths[text]


def _describe_verified(verification: "Verification", facts: "ChainFacts") -> dict[str, Any]:
    from identity.credentials.vc_data_model import REGISTERED_CLAIMS, format_time
    from identity.did import format_did

    found = verification.credential
    assert found is not None, "it was verified"
    ends = found.claims.get("exp")
    return {
        "verdict": "valid",
        "issuer": format_did(found.issuer, facts.network),
        "holder": None if found.holder is None else format_did(found.holder, facts.network),
        "type": found.kind,
        "claims": {name: value for name, value in found.claims.items() if name not in REGISTERED_CLAIMS},
        "validUntil": format_time(ends) if isinstance(ends, int) else None,
        "status": [
            {"purpose": each.purpose.value, "set": False, "version": each.version, "height": each.height}
            for each in verification.statuses
        ],
        "passed": verification.passed,
    }


def _explain(error: "CredentialError") -> CommandFailedError:
    return CommandFailedError(str(error), facts={"reason": error.reason.value})
