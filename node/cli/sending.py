"""Signing and sending a transaction from the command line: what every command that does so has in common."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from node.cli.accounts import keyring_options, open_keyring
from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.created import describe_created
from node.cli.failures import CommandFailedError, ExitCode, explain_reason
from node.cli.output import Output, format_record, output_option
from rpc import calls

if TYPE_CHECKING:
    from identity.address import Address
    from ledger.transaction import Call, Transaction
    from node.cli.accounts import Keyring
    from node.cli.signing import ChainFacts, Signers
    from rpc.client import Client
    from rpc.models import SendResult

Wait = Literal["admitted", "final"]

VALID_BLOCKS: Final = 300  # how long a transaction of this command may wait; an unordered one at most 600
SENDER_VARIABLE: Final = "CARLIVE_FROM"
WAIT_MS: Final = 30_000
PENDING_PAGES_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class SendOptions:
    """What every command that sends has in common."""

    sender: str | None
    signer: str
    co_signers: tuple[str, ...]
    fee_payer: str | None
    is_unordered: bool
    memo: str
    gas_limit: int | None
    price_grains: int | None
    wait: Wait
    is_confirmed: bool


def signing_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add who signs, who pays and the memo, under the names that SendOptions has for them."""
    for option in (
        click.option("--memo", default="", help="Text kept with the transaction, at most 256 bytes."),
        click.option(
            "--fee-payer", default=None, metavar="NAME", help="Key of another account that pays the fee and signs too."
        ),
        click.option(
            "--also-sign", "co_signers", multiple=True, metavar="NAME", help="Further key of the sender's key policy."
        ),
        click.option(
            "--sender", default=None, metavar="ADDRESS", help="The account, when it is not that of the signing key."
        ),
        click.option(
            "--from",
            "signer",
            required=True,
            envvar=SENDER_VARIABLE,
            metavar="NAME",
            help=f"Key that signs, or its file's path; dev0 to dev9, op0, op1, … on a devnet; also {SENDER_VARIABLE}.",
        ),
    ):
        function = option(function)
    return function


def sending_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add everything that sending needs; the command gets it as `sending`."""

    @wraps(function)
    def command(
        *args: Any, node_url: str, keys_dir: Path, password_file: Path | None, output: Output, **given: Any
    ) -> Any:
        options = SendOptions(**{field.name: given.pop(field.name) for field in fields(SendOptions)})
        return function(
            *args, sending=Sending(options, open_keyring(keys_dir, password_file), node_url, output), **given
        )

    decorated: Callable[..., Any] = command
    for option in (
        output_option,
        keyring_options,
        node_option,
        click.option("--yes", "is_confirmed", is_flag=True, help="Sign without asking."),
        click.option(
            "--wait",
            type=click.Choice(["final", "admitted"]),
            default="final",
            show_default=True,
            help="Return when the transaction is final, or as soon as the node has taken it.",
        ),
        click.option(
            "--price",
            "price_grains",
            type=click.IntRange(0),
            default=None,
            help="Grains per gas.  [default: the chain's floor]",
        ),
        click.option(
            "--gas-limit", type=click.IntRange(1), default=None, help="Most gas to use.  [default: the node's estimate]"
        ),
        click.option(
            "--unordered", "is_unordered", is_flag=True, help="Take no sequence number: send any number in parallel."
        ),
        signing_options,
    ):
        decorated = option(decorated)
    return decorated


@dataclass(frozen=True, slots=True)
class Intent:
    """What a transaction is to do, and how that reads before signing."""

    calls: "Sequence[Call]"
    shown: dict[str, str]


@dataclass(frozen=True, slots=True)
class Sending:
    """How and with which keys a command sends."""

    options: SendOptions
    keyring: "Keyring"
    node_url: str
    output: Output


Build = Callable[["Client", "ChainFacts"], Intent]
"""Makes the calls once the chain is known; may ask the node."""


def send_intent(build: Build, sending: Sending) -> None:
    """Show, sign and send; raises CommandFailedError unless the transaction became what was waited for."""
    with connect(sending.node_url) as client:
        facts = read_chain_facts(client)
        intent = build(client, facts)
        result = deliver(client, facts, intent, sending)
        show_sent(result, sending.options.wait, sending.output, describe_created(client, intent.calls, result))


def deliver(client: "Client", facts: "ChainFacts", intent: Intent, sending: Sending) -> "SendResult":
    """Show, sign and send: what the node says became of it; raises CommandFailedError."""
    from identity.address import format_address
    from node.cli.amounts import format_iov

    options = sending.options
    signers = load_signers(
        sending.keyring, facts, options.signer, options.sender, options.co_signers, options.fee_payer
    )
    transaction = _prepare(client, facts, signers, intent, options)
    body = transaction.body
    shown = {
        "chain": f"{facts.chain_id} ({facts.network.name.lower()})",
        "from": format_address(body.sender, facts.network),
        **intent.shown,
        "feeAtMost": f"{format_iov(body.fee_max_grains)} IOV",
        "feePayer": None if body.fee_payer is None else format_address(body.fee_payer, facts.network),
        "memo": body.memo or None,
        "sequence": "unordered" if body.is_unordered else body.ordering,
        "validUntil": f"block {body.valid_until}",
    }
    confirm({name: value for name, value in shown.items() if value is not None}, options)
    return _send_signed(client, transaction.raw, options.wait)


def find_sender(sending: Sending, facts: "ChainFacts") -> "Address":
    """The account that will send; raises CommandFailedError, KeyFileError."""
    from identity.address import compute_key_address

    if sending.options.sender is not None:
        return sending.keyring.find_address(sending.options.sender, facts.network)
    return compute_key_address(sending.keyring.load_signing_key(sending.options.signer, facts.network).public_key)


def load_signers(
    keyring: "Keyring",
    facts: "ChainFacts",
    signer: str,
    sender: str | None,
    co_signers: Sequence[str],
    fee_payer: str | None,
) -> "Signers":
    """Open the keys that sign; raises CommandFailedError, KeyFileError."""
    from identity.address import compute_key_address
    from node.cli.signing import Signers

    keys = [keyring.load_signing_key(name, facts.network) for name in dict.fromkeys([signer, *co_signers])]
    address = compute_key_address(keys[0].public_key)
    if sender is not None:
        address = keyring.find_address(sender, facts.network)
    payer_key = None if fee_payer is None else keyring.load_signing_key(fee_payer, facts.network)
    payer: Address | None = None if payer_key is None else compute_key_address(payer_key.public_key)
    if payer == address:
        raise CommandFailedError("the fee payer is the sender: leave --fee-payer out")
    return Signers(address, keys, payer, payer_key)


def _prepare(
    client: "Client", facts: "ChainFacts", signers: "Signers", intent: Intent, options: SendOptions
) -> "Transaction":
    """Sign once for the estimate, then with the limit that it gives."""
    from ledger.transaction import SALT_BYTES
    from node.cli.signing import build_draft, put_price

    height = client.run(calls.chain_head()).height
    ordering: int | bytes
    ordering = os.urandom(SALT_BYTES) if options.is_unordered else _find_sequence(client, facts, signers.sender)
    draft = build_draft(facts, signers, ordering, height + VALID_BLOCKS, intent.calls, options.memo)
    gas_limit = options.gas_limit
    if gas_limit is None:
        gas_limit = client.run(calls.tx_estimate(sign_body(draft, facts, signers).raw)).gas_limit
    price_grains = options.price_grains
    if price_grains is None:
        price_grains = int(client.run(calls.chain_params()).params["price_floor_grains"])
    return sign_body(put_price(draft, gas_limit, price_grains), facts, signers)


def _find_sequence(client: "Client", facts: "ChainFacts", sender: "Address") -> int:
    """The next number, after those that wait for a block already."""
    from identity.address import format_address

    address = format_address(sender, facts.network)
    waiting: set[int] = set()
    cursor = None
    for _ in range(PENDING_PAGES_MAX):
        page = client.run(calls.tx_pending(address, cursor=cursor))
        waiting.update(each.sequence for each in page.transactions if each.sequence is not None)
        cursor = page.cursor
        if cursor is None:
            break
    # after the pending ones: what leaves them in between is in the account's sequence
    sequence = client.run(calls.account_get(address)).sequence
    while sequence in waiting:
        sequence += 1
    return sequence


def sign_body(body: Any, facts: "ChainFacts", signers: "Signers") -> "Transaction":
    """The signed transaction; raises CommandFailedError when it breaks a limit."""
    from ledger.codec import DecodeError
    from node.cli.signing import sign

    try:
        return sign(body, facts, signers)
    except DecodeError as error:
        raise CommandFailedError(f"this transaction breaks a limit: {error}") from None


def confirm(shown: dict[str, Any], options: SendOptions) -> None:
    """Show what is to be signed and ask; raises CommandFailedError when nobody is there to answer."""
    if not options.is_confirmed:
        ask(shown, "Sign and send this?")


def ask(shown: dict[str, Any], question: str) -> None:
    """The same, for what is not sent."""
    click.echo(format_record(shown), err=True)
    if not sys.stdin.isatty():
        raise CommandFailedError("nobody is there to confirm this: say --yes")
    click.confirm(question, abort=True, err=True)


def submit(client: "Client", raw: bytes, wait: Wait, output: Output) -> None:
    """Send signed bytes and print what became of them; raises CommandFailedError."""
    show_sent(_send_signed(client, raw, wait), wait, output)


def _send_signed(client: "Client", raw: bytes, wait: Wait) -> "SendResult":
    from ledger.codec import DecodeError
    from ledger.transaction import decode_transaction
    from rpc.client import NodeUnreachableError

    try:
        transaction_id = "0x" + decode_transaction(raw).id.hex()
    except DecodeError as error:
        raise CommandFailedError(f"this is not a signed transaction: {error}") from None
    try:
        return client.run(calls.tx_send(raw, wait=wait, timeout_ms=WAIT_MS))
    except NodeUnreachableError as error:
        raise CommandFailedError(
            f"{error}; the transaction may have arrived all the same, so before sending another: "
            f"carlive query tx {transaction_id}",
            ExitCode.UNREACHABLE,
            {"id": transaction_id},
        ) from None


def show_sent(
    result: "SendResult", wait: Wait, output: Output, about: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Print what it is about and what became of it; raises CommandFailedError unless it is what was waited for."""
    from node.cli.amounts import format_iov

    check_sent(result, wait)
    if result.status == "final":
        record = result.model_dump(mode="json", by_alias=True)
        del record["code"]  # of a failure
        output.show_record({**about, **record}, {"fee": lambda grains: f"{format_iov(int(grains))} IOV"})
    else:
        output.show_record({**about, "id": "0x" + result.id.hex(), "known": result.known, "status": result.status})


def check_sent(result: "SendResult", wait: Wait) -> None:
    """Raise CommandFailedError unless a transaction became what was waited for."""
    transaction_id = "0x" + result.id.hex()
    facts: dict[str, Any] = {"id": transaction_id, "status": result.status}
    match result.status:
        case "final":
            pass
        case "failed":
            facts |= {"reason": result.reason, "height": result.height}
            if result.code is not None:
                facts["code"] = result.code
            raise CommandFailedError(
                f"transaction {transaction_id} failed in block {result.height}: "
                f"{explain_reason(result.reason, result.code)}; its fee was taken",
                ExitCode.FAILED,
                facts,
            )
        case "pending" if wait == "admitted":
            pass
        case "pending" | "unknown":
            raise CommandFailedError(
                f"transaction {transaction_id} is not final yet: look again with carlive query tx {transaction_id}",
                ExitCode.UNDECIDED,
                facts,
            )
        case _:
            raise CommandFailedError(
                f"transaction {transaction_id} was dropped ({result.reason}): send it anew",
                ExitCode.REFUSED,
                {**facts, "reason": result.reason},
            )
