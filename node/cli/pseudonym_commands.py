"""The part of `carlive did` about pseudonyms: an identity for each counterparty, and proofs for an auditor."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.accounts import Keyring, PasswordSource, keyring_options, open_keyring
from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.did_options import FILE
from node.cli.did_signing import fetch_record, parse_did_text
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.limited_files import read_limited
from node.cli.module_calls import build_known_intent
from node.cli.output import Output, output_option
from node.cli.role_names import get_recognition_number
from node.cli.sending import Sending, deliver, sending_options, show_sent
from rpc import calls

if TYPE_CHECKING:
    from identity.did import Did
    from identity.keys import PrivateKey
    from identity.policy import KeyPolicy
    from identity.pseudonym import Link, LinkFacts, LinkStatement
    from node.cli.signing import ChainFacts
    from rpc.client import Client
    from vm.native.did_payloads import CreatePayload
    from vm.native.did_records import DidRecord

KINDS: Final = ("person", "organisation")
HEIGHTS_DEFAULT: Final = 86_400  # a day of blocks of one second
CREATION_BYTES_MAX: Final = 4_096  # one key, one signature
LINK_CHARACTERS_MAX: Final = 20_000  # hexadecimal of the largest sealed link
_PASSPHRASE: Final = PasswordSource("passphrase", "--passphrase-file", "CARLIVE_MNEMONIC_PASSPHRASE")


@dataclass(frozen=True, slots=True)
class PseudonymOptions:
    """Which pseudonym, and where the secret is that it comes from."""

    main: str
    counterparty: str
    index: int
    kind: str
    wallet: str | None
    secret_of: str | None
    passphrase_file: Path | None


@dataclass(frozen=True, slots=True)
class Made:
    """A pseudonym as it stands on the chain, or will."""

    did: "Did"
    payload: "CreatePayload"
    private_key: "PrivateKey"


def pseudonym_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add which pseudonym; the command gets `options`."""

    @wraps(function)
    def command(*args: Any, **given: Any) -> Any:
        options = PseudonymOptions(**{field.name: given.pop(field.name) for field in fields(PseudonymOptions)})
        return function(*args, options=options, **given)

    decorated: Callable[..., Any] = command
    for option in (
        click.option("--passphrase-file", type=FILE, default=None, help="File with the wallet's BIP-39 passphrase."),
        click.option("--secret-of", default=None, metavar="KEY", help="Derive from the secret of this key instead."),
        click.option("--wallet", default=None, metavar="NAME", help="Derive from the seed of this wallet."),
        click.option(
            "--kind", type=click.Choice(KINDS), default="person", show_default=True, help="What it stands for."
        ),
        click.option(
            "--index", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="A further one there."
        ),
        click.option("--counterparty", required=True, metavar="DID", help="With whom it is used."),
        click.option("--main", required=True, metavar="DID", help="The identity that stays hidden."),
    ):
        decorated = option(decorated)
    return decorated


@click.group(cls=SuggestingGroup)
def pseudonym() -> None:
    """Trade under another identity with each counterparty, and prove to an auditor alone whose it is.

    A pseudonym follows from a secret of yours, so nothing has to be kept. Who pays for its transactions must not be an
    account of yours: docs/identity.md says how.
    """


@pseudonym.command()
@pseudonym_options
@click.option("--save-key", "key_name", default=None, metavar="NAME", help="Keep its key in a new file of the keys.")
@click.option("--out", type=FILE, default=None, help="New file for its signed creation, for whoever pays.")
@keyring_options
@node_option
@output_option
def derive(
    options: PseudonymOptions,
    key_name: str | None,
    out: Path | None,
    keys_dir: Path,
    password_file: Path | None,
    node_url: str,
    output: Output,
) -> None:
    """Derive the pseudonym for a counterparty; nothing is sent, and no node hears of it.

    For instance: carlive did pseudonym derive --main ME --counterparty SHOP --wallet mine --out creation.json
    """
    from identity.did import format_did
    from node.atomic_file import create_file

    keyring = open_keyring(keys_dir, password_file)
    with connect(node_url) as client:
        facts = read_chain_facts(client)
    made = _derive(options, keyring, facts)
    text = format_did(made.did, facts.network)
    if out is not None:
        record = {"chain": facts.chain_id, "did": text, "arguments": _sign_creation(made, facts)}
        create_file(out, json.dumps(record, indent=2).encode() + b"\n")
    if key_name is not None:
        _save_key(keyring, key_name, made.private_key)
    output.show_record(
        {
            "did": text,
            "kind": options.kind,
            "counterparty": options.counterparty,
            "index": options.index,
            "key": "ed25519:0x" + made.private_key.public_key.key.hex(),
            "creation": None if out is None else str(out),
            "savedKey": key_name,
        }
    )


@pseudonym.command()
@click.argument("file", type=FILE)
@sending_options
def create(file: Path, sending: Sending) -> None:
    """Send FILE, the creation of a pseudonym that somebody has derived, and pay for it."""
    from identity.did import compute_did, format_did
    from ledger.codec import pack

    try:
        record = json.loads(read_limited(file, CREATION_BYTES_MAX))
        chain, arguments = str(record["chain"]), record["arguments"]
        payload, signatures = arguments["payload"], arguments["signatures"]
    except (ValueError, KeyError, TypeError):
        raise CommandFailedError(f"{file} is no creation of carlive did pseudonym derive") from None
    with connect(sending.node_url) as client:
        facts = read_chain_facts(client)
        if chain != facts.chain_id:
            raise CommandFailedError(f"{file} is for the chain {chain}, this node is on {facts.chain_id}")
        intent = build_known_intent(client, facts, "did", "create", [payload, signatures])
        result = deliver(client, facts, intent, sending)
    did = compute_did(pack(intent.calls[0].arguments[0]))
    show_sent(result, sending.options.wait, sending.output, {"did": format_did(did, facts.network)})


@pseudonym.command("auditor-key")
@click.option("--secret", type=FILE, required=True, help="New file for the X25519 secret.")
@output_option
def auditor_key(secret: Path, output: Output) -> None:
    """Make a key for which proofs are sealed: give the printed one to carlive did create or rotate --agreement-key."""
    from identity.attributes import compute_answer_key
    from node.atomic_file import create_file

    made = secrets.token_bytes(32)
    create_file(secret, made.hex().encode() + b"\n")
    output.show_record({"agreementKey": "0x" + compute_answer_key(made).hex(), "secret": str(secret)})


@pseudonym.command()
@pseudonym_options
@click.option(
    "--auditor",
    required=True,
    metavar="DID",
    help="Who alone can open it: an identity that is recognised as an auditor.",
)
@click.option("--purpose", required=True, help="What for, as the auditor has asked, for instance the number of a case.")
@click.option("--heights", type=click.IntRange(1), default=HEIGHTS_DEFAULT, show_default=True, help="Blocks it holds.")
@click.option("--by", "names", multiple=True, required=True, metavar="KEY", help="Key of the main identity.")
@click.option(
    "--transferable",
    "is_transferable",
    is_flag=True,
    help="Sign: the auditor can then show it to others. Needed for keys that are not ed25519.",
)
@click.option("--out", type=FILE, required=True, help="New file for the sealed proof.")
@keyring_options
@node_option
@output_option
def prove(
    options: PseudonymOptions,
    auditor: str,
    purpose: str,
    heights: int,
    names: tuple[str, ...],
    is_transferable: bool,
    out: Path,
    keys_dir: Path,
    password_file: Path | None,
    node_url: str,
    output: Output,
) -> None:
    """Prove to an auditor that a pseudonym is yours. Ask a node that you trust: it sees about whom you ask.

    For instance: carlive did pseudonym prove --main ME --counterparty SHOP --wallet mine --auditor OFFICE
    --purpose 'Case 7' --by me --out proof
    """
    from identity.did import format_did
    from identity.pseudonym import LinkRefusedError, LinkStatement, seal_link
    from node.atomic_file import create_file

    keyring = open_keyring(keys_dir, password_file)
    with connect(node_url) as client:
        facts = read_chain_facts(client)
        made = _derive(options, keyring, facts)
        reader = parse_did_text(auditor, facts.network)
        if not is_auditor(client, auditor):
            raise CommandFailedError(f"{auditor} is not recognised as an auditor now", ExitCode.FAILED)
        keys = fetch_record(client, facts, reader).current.content.control.keys.agreement_keys
        if not keys:
            raise CommandFailedError(f"{auditor} has no X25519 key to seal for", ExitCode.FAILED)
        main = parse_did_text(options.main, facts.network)
        expiry_height = client.run(calls.chain_head()).height + heights
        statement = LinkStatement(facts.domain, main, made.did, reader, keys[0], expiry_height, purpose)
        main_keys = [keyring.load(name, facts.network) for name in dict.fromkeys(names)]
        _check_policies(client, facts, statement, main_keys, made)
    try:
        link = _confirm(statement, main_keys, made, is_transferable)
        sealed = seal_link(link, secrets.token_bytes(32))
    except LinkRefusedError as error:
        raise CommandFailedError(str(error), facts={"reason": error.reason.value}) from None
    create_file(out, b"0x" + sealed.hex().encode() + b"\n")
    output.show_record(
        {
            "file": str(out),
            "pseudonym": format_did(made.did, facts.network),
            "auditor": auditor,
            "purpose": purpose,
            "expiryHeight": expiry_height,
            "transferable": is_transferable,
        }
    )


@pseudonym.command("open")
@click.argument("file", type=FILE)
@click.option("--as", "auditor", required=True, metavar="DID", help="The auditor's own identity.")
@click.option("--secret", type=FILE, required=True, help="File of carlive did pseudonym auditor-key.")
@click.option("--purpose", required=True, help="What the proof was asked for.")
@node_option
@output_option
def open_proof(file: Path, auditor: str, secret: Path, purpose: str, node_url: str, output: Output) -> None:
    """Open a proof as its auditor, and check it against the chain. Exit code 1 when it does not hold."""
    from identity.did import format_did
    from identity.pseudonym import ConfirmationForm, LinkRefusedError, check_link, open_link

    sealed, loaded = _read_hex(file, LINK_CHARACTERS_MAX), _read_hex(secret, 128)
    if len(loaded) != 32:
        raise CommandFailedError(f"{secret} is no secret of carlive did pseudonym auditor-key")
    with connect(node_url) as client:
        facts = read_chain_facts(client)
        try:
            link = open_link(sealed, loaded)
            check_link(link, _read_link_facts(client, facts, link, auditor, purpose), loaded)
        except LinkRefusedError as error:
            raise CommandFailedError(
                f"the proof does not hold: {error}", ExitCode.FAILED, {"reason": error.reason.value}
            ) from None
    statement = link.statement
    output.show_record(
        {
            "verdict": "proven",
            "main": format_did(statement.main, facts.network),
            "pseudonym": format_did(statement.pseudonym, facts.network),
            "purpose": statement.purpose,
            "expiryHeight": statement.expiry_height,
            "transferable": all(each.form is ConfirmationForm.SIGNATURE for each in link.confirmations),
        }
    )


def is_auditor(client: "Client", auditor: str) -> bool:
    """Whether an identity is authorised to be shown whose a pseudonym is: active, and recognised as an auditor."""
    from vm.native.did_records import DidOperation

    arguments = {"recognition": get_recognition_number("auditor")}
    if auditor not in client.run(calls.module_view("governance", "recognised", arguments)).value:
        return False
    record = client.run(calls.module_view("did", "did", {"did": auditor})).value
    return bool(record["current"]["operation"] != DidOperation.DEACTIVATE)


def _derive(options: PseudonymOptions, keyring: Keyring, facts: "ChainFacts") -> Made:
    from identity.did import compute_did
    from identity.policy import build_policy
    from identity.pseudonym import derive_pseudonym
    from ledger.codec import encode
    from vm.native.did_payloads import CreatePayload
    from vm.native.did_records import Control, DidKeys, DidKind

    main, counterparty = (parse_did_text(each, facts.network) for each in (options.main, options.counterparty))
    secret = _open_secret(options, keyring, facts)
    made = derive_pseudonym(secret, facts.domain, main, counterparty, options.index)
    keys = DidKeys(build_policy([(made.private_key.public_key, 1)], 1), ())
    payload = CreatePayload(DidKind[options.kind.upper()], None, Control(keys, None, None, None, None), (), made.salt)
    return Made(compute_did(encode(payload)), payload, made.private_key)


def _open_secret(options: PseudonymOptions, keyring: Keyring, facts: "ChainFacts") -> bytes:
    """The wallet's seed, or a key's secret; raises CommandFailedError, KeyFileError."""
    from node.wallet_files import get_wallet_path, load_wallet_file, load_wallet_header

    if (options.wallet is None) == (options.secret_of is None):
        raise CommandFailedError("say where the pseudonym comes from: --wallet NAME, or --secret-of KEY")
    if options.secret_of is not None:
        return keyring.load(options.secret_of, facts.network).secret
    assert options.wallet is not None, "one of the two"
    path = get_wallet_path(keyring.directory, options.wallet)
    if not path.exists():
        raise CommandFailedError(f"there is no wallet {options.wallet} in {keyring.directory}: see carlive wallet list")
    needs_passphrase = load_wallet_header(path).needs_passphrase
    opened = load_wallet_file(path, keyring.ask_password(f"Password of {options.wallet}"))
    prompt = "Passphrase of the words (BIP-39)"
    return opened.compute_seed(_PASSPHRASE.ask(options.passphrase_file, prompt) if needs_passphrase else "")


def _sign_creation(made: Made, facts: "ChainFacts") -> Any:
    """The arguments of did.create, as JSON that whoever pays sends."""
    from identity.signing import SigningPurpose, signing_bytes
    from ledger.codec import encode
    from ledger.codec import to_plain as to_packed
    from ledger.primitives import Signature
    from rpc.arguments import arguments_to_json, describe_fields
    from vm.native.did_operations import Create
    from vm.native.did_payloads import DidSignature

    key = made.private_key
    message = signing_bytes(SigningPurpose.DID_CREATE, facts.domain, encode(made.payload))
    signature = DidSignature(made.did, key.key_type, key.public_key.key, Signature(key.sign(message)))
    return arguments_to_json(describe_fields(Create), to_packed(Create(made.payload, (signature,))), facts.network)


def _save_key(keyring: Keyring, name: str, key: "PrivateKey") -> None:
    from node.key_files import create_key_file, get_key_path

    password = keyring.ask_password(f"New password for {name}", is_new=True)
    create_key_file(get_key_path(keyring.directory, name), key, password)


def _check_policies(
    client: "Client", facts: "ChainFacts", statement: "LinkStatement", keys: "list[PrivateKey]", made: Made
) -> None:
    """That the auditor will find enough keys on the chain; raises CommandFailedError."""
    from identity.policy import is_satisfied

    for did, signers, noun in (
        (statement.main, keys, "the main identity"),
        (statement.pseudonym, [made.private_key], "the pseudonym"),
    ):
        policy = _get_policy(fetch_record(client, facts, did))
        if policy is None or not is_satisfied(policy, [each.public_key for each in signers]):
            raise CommandFailedError(f"these are not the keys, or not enough, that rule {noun} now", ExitCode.FAILED)


def _confirm(statement: "LinkStatement", keys: "list[PrivateKey]", made: Made, is_transferable: bool) -> "Link":
    """Raises LinkRefusedError."""
    from identity.pseudonym import ConfirmationForm, Link, LinkParty, confirm_link

    form = ConfirmationForm.SIGNATURE if is_transferable else ConfirmationForm.CODE
    parties = [(LinkParty.MAIN, key) for key in keys] + [(LinkParty.PSEUDONYM, made.private_key)]
    return Link(statement, tuple(confirm_link(statement, party, key, form) for party, key in parties))


def _read_link_facts(client: "Client", facts: "ChainFacts", link: "Link", auditor: str, purpose: str) -> "LinkFacts":
    """What the chain says about those whom a link names."""
    from identity.pseudonym import LinkFacts

    reader = parse_did_text(auditor, facts.network)
    record = fetch_record(client, facts, reader)
    return LinkFacts(
        facts.domain,
        client.run(calls.chain_head()).height,
        reader,
        purpose,
        is_auditor(client, auditor),
        record.current.content.control.keys.agreement_keys,
        _find_policy(client, facts, link.statement.main),
        _find_policy(client, facts, link.statement.pseudonym),
    )


def _find_policy(client: "Client", facts: "ChainFacts", did: "Did") -> "KeyPolicy | None":
    """None also for an identity that the chain does not know."""
    from identity.did import format_did

    found = client.run(calls.module_view("did", "did", {"did": format_did(did, facts.network)})).value
    return None if found is None else _get_policy(fetch_record(client, facts, did))


def _get_policy(record: "DidRecord") -> "KeyPolicy | None":
    return None if record.is_deactivated else record.current.content.control.keys.policy


def _read_hex(path: Path, characters_max: int) -> bytes:
    try:
        return bytes.fromhex(read_limited(path, characters_max).decode("ascii").strip().removeprefix("0x"))
    except ValueError:
        raise CommandFailedError(f"{path} does not hold hexadecimal digits") from None
