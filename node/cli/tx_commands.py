"""`carlive tx`: sign and send transactions."""

import csv
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from node.cli.accounts import keyring_options, open_keyring
from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.output import Output, format_record, output_option
from rpc import calls

if TYPE_CHECKING:
    from identity.address import Address, NetworkKind
    from ledger.transaction import Call, Transaction
    from node.cli.accounts import Keyring
    from node.cli.signing import ChainFacts, Signers
    from rpc.client import Client
    from rpc.models import SendResult

Wait = Literal["admitted", "final"]

VALID_BLOCKS: Final = 300  # how long a transaction of this command may wait; an unordered one at most 600
WAIT_MS: Final = 30_000
CSV_BYTES_MAX: Final = 2**20
RAW_CHARACTERS_MAX: Final = 2 * 65_536 + 16
PENDING_PAGES_MAX: Final = 64


@click.group(cls=SuggestingGroup)
def tx() -> None:
    """Sign and send transactions."""


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


def _signing_options(function: Callable[..., Any]) -> Callable[..., Any]:
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
            "--from", "signer", required=True, metavar="NAME", help="Key that signs; dev0 to dev9 on a devnet."
        ),
    ):
        function = option(function)
    return function


def _sending_options(function: Callable[..., Any]) -> Callable[..., Any]:
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
        _signing_options,
    ):
        function = option(function)
    return function


@tx.command()
@click.option("--to", "recipient", required=True, metavar="ADDRESS", help="Address or key name of the recipient.")
@click.option("--amount", required=True, metavar="IOV", help="IOV with up to 8 decimals, for instance 1.5.")
@_sending_options
def transfer(
    recipient: str,
    amount: str,
    node_url: str,
    keys_dir: Path,
    password_file: Path | None,
    output: Output,
    **options: Any,
) -> None:
    """Send IOV to an account.

    For instance: carlive tx transfer --from dev0 --to dev1 --amount 1.5
    """
    from node.cli.amounts import format_iov, parse_iov
    from node.cli.signing import build_transfer

    amount_grains = parse_iov(amount)

    def build(keyring: "Keyring", network: "NetworkKind") -> "Intent":
        from identity.address import format_address

        address = keyring.find_address(recipient, network)
        shown = {"to": format_address(address, network), "amount": f"{format_iov(amount_grains)} IOV"}
        return Intent([build_transfer(address, amount_grains)], shown)

    keyring = open_keyring(keys_dir, password_file)
    _send(build, SendOptions(**options), keyring, node_url, output)


@tx.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_sending_options
def batch(
    file: Path, node_url: str, keys_dir: Path, password_file: Path | None, output: Output, **options: Any
) -> None:
    """Pay many accounts in one transaction: all of them or none.

    FILE has a line ADDRESS,AMOUNT for each, with amounts in IOV and at most 500 lines.
    """
    from node.cli.amounts import format_iov
    from node.cli.signing import build_batch_transfer

    lines = read_payments(file)

    def build(keyring: "Keyring", network: "NetworkKind") -> "Intent":
        payments = [(keyring.find_address(recipient, network), grains) for recipient, grains in lines]
        total_grains = sum(grains for _, grains in payments)
        shown = {"to": f"{len(payments)} accounts of {file}", "amount": f"{format_iov(total_grains)} IOV"}
        return Intent([build_batch_transfer(payments)], shown)

    keyring = open_keyring(keys_dir, password_file)
    _send(build, SendOptions(**options), keyring, node_url, output)


@tx.command()
@click.option("--to", "recipient", required=True, metavar="ADDRESS", help="Address of the recipient.")
@click.option("--amount", required=True, metavar="IOV", help="IOV with up to 8 decimals, for instance 1.5.")
@click.option("--network", type=click.Choice(["devnet", "testnet", "mainnet"]), required=True, help="Which addresses.")
@click.option("--chain-id", required=True, help="From carlive node info.")
@click.option("--genesis-hash", required=True, metavar="0x…", help="From carlive node info.")
@click.option(
    "--sequence", type=click.IntRange(0), default=None, help="From carlive query account; left out: unordered."
)
@click.option("--valid-until", type=click.IntRange(1), required=True, help="Last block that may include it.")
@click.option("--gas-limit", type=click.IntRange(1), default=5_000, show_default=True, help="Most gas to use.")
@click.option("--price", "price_grains", type=click.IntRange(0), required=True, help="Grains per gas.")
@_signing_options
@keyring_options
@output_option
def sign(
    recipient: str,
    amount: str,
    network: str,
    chain_id: str,
    genesis_hash: str,
    sequence: int | None,
    valid_until: int,
    gas_limit: int,
    price_grains: int,
    signer: str,
    sender: str | None,
    co_signers: tuple[str, ...],
    fee_payer: str | None,
    memo: str,
    keys_dir: Path,
    password_file: Path | None,
    output: Output,
) -> None:
    """Sign a transfer without a node, for carlive tx send on another machine."""
    from identity.address import NetworkKind
    from identity.signing import compute_signing_domain
    from ledger.transaction import SALT_BYTES
    from node.cli.amounts import parse_iov
    from node.cli.signing import ChainFacts, build_draft, build_transfer, put_price

    kind = NetworkKind[network.upper()]
    keyring = open_keyring(keys_dir, password_file)
    facts = ChainFacts(kind, chain_id, compute_signing_domain(chain_id, parse_hash(genesis_hash, "--genesis-hash")))
    call = build_transfer(keyring.find_address(recipient, kind), parse_iov(amount))
    signers = _load_signers(keyring, facts, signer, sender, co_signers, fee_payer)
    ordering = os.urandom(SALT_BYTES) if sequence is None else sequence
    body = put_price(build_draft(facts, signers, ordering, valid_until, [call], memo), gas_limit, price_grains)
    transaction = _sign(body, facts, signers)
    output.show_record({"id": "0x" + transaction.id.hex(), "raw": "0x" + transaction.raw.hex()})


@tx.command()
@click.argument("raw", metavar="RAW")
@click.option(
    "--wait", type=click.Choice(["final", "admitted"]), default="final", show_default=True, help="When to return."
)
@node_option
@output_option
def send(raw: str, wait: Wait, node_url: str, output: Output) -> None:
    """Send a signed transaction: RAW is its hexadecimal text, or - to read that from standard input."""
    text = (sys.stdin.read(RAW_CHARACTERS_MAX) if raw == "-" else raw).strip()
    try:
        signed = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise CommandFailedError("a signed transaction is hexadecimal text, as carlive tx sign prints it") from None
    with connect(node_url) as client:
        _submit(client, signed, wait, output)


@dataclass(frozen=True, slots=True)
class Intent:
    """What a transaction is to do, and how that reads before signing."""

    calls: "Sequence[Call]"
    shown: dict[str, str]


def read_payments(file: Path) -> list[tuple[str, int]]:
    """Recipient and grains of every line; raises CommandFailedError naming the line."""
    from node.cli.amounts import parse_iov
    from vm.native.iov import RECIPIENTS_MAX

    if file.stat().st_size > CSV_BYTES_MAX:
        raise CommandFailedError(f"{file} has more than {CSV_BYTES_MAX} bytes: split it")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise CommandFailedError(f"{file} is not text in UTF-8") from None
    payments = []
    for number, fields in enumerate(csv.reader(text.splitlines()), start=1):
        fields = [each.strip() for each in fields]
        if not any(fields):
            continue
        if len(fields) != 2:
            raise CommandFailedError(f"{file}, line {number}: write ADDRESS,AMOUNT")
        try:
            payments.append((fields[0], parse_iov(fields[1])))
        except CommandFailedError as error:
            raise CommandFailedError(f"{file}, line {number}: {error}") from None
    if not 1 <= len(payments) <= RECIPIENTS_MAX:
        raise CommandFailedError(f"{file} has {len(payments)} payments; a batch has 1 to {RECIPIENTS_MAX}: split it")
    return payments


def parse_hash(text: str, name: str) -> bytes:
    """32 bytes from 0x and 64 digits; raises CommandFailedError."""
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        value = b""
    if len(value) != 32:
        raise CommandFailedError(f"{name} is 0x and 64 hexadecimal digits, not {text!r}")
    return value


def _send(
    build: "Callable[[Keyring, NetworkKind], Intent]",
    options: SendOptions,
    keyring: "Keyring",
    node_url: str,
    output: Output,
) -> None:
    from identity.address import format_address
    from node.cli.amounts import format_iov

    with connect(node_url) as client:
        facts = read_chain_facts(client)
        intent = build(keyring, facts.network)
        signers = _load_signers(keyring, facts, options.signer, options.sender, options.co_signers, options.fee_payer)
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
        _confirm({name: value for name, value in shown.items() if value is not None}, options, output)
        _submit(client, transaction.raw, options.wait, output)


def _load_signers(
    keyring: "Keyring",
    facts: "ChainFacts",
    signer: str,
    sender: str | None,
    co_signers: Sequence[str],
    fee_payer: str | None,
) -> "Signers":
    from identity.address import compute_key_address
    from node.cli.signing import Signers

    keys = [keyring.load(name, facts.network) for name in dict.fromkeys([signer, *co_signers])]
    address = compute_key_address(keys[0].public_key)
    if sender is not None:
        address = keyring.find_address(sender, facts.network)
    payer_key = None if fee_payer is None else keyring.load(fee_payer, facts.network)
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
        gas_limit = client.run(calls.tx_estimate(_sign(draft, facts, signers).raw)).gas_limit
    price_grains = options.price_grains
    if price_grains is None:
        price_grains = int(client.run(calls.chain_params()).params["price_floor_grains"])
    return _sign(put_price(draft, gas_limit, price_grains), facts, signers)


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


def _sign(body: Any, facts: "ChainFacts", signers: "Signers") -> "Transaction":
    from ledger.codec import DecodeError
    from node.cli.signing import sign as sign_body

    try:
        return sign_body(body, facts, signers)
    except DecodeError as error:
        raise CommandFailedError(f"this transaction breaks a limit: {error}") from None


def _confirm(shown: dict[str, Any], options: SendOptions, output: Output) -> None:
    if options.is_confirmed:
        return
    click.echo(format_record(shown), err=True)
    if not sys.stdin.isatty():
        raise CommandFailedError("nobody is there to confirm this: say --yes")
    click.confirm("Sign and send this?", abort=True, err=True)


def _submit(client: "Client", raw: bytes, wait: Wait, output: Output) -> None:
    from ledger.codec import DecodeError
    from ledger.transaction import decode_transaction
    from rpc.client import NodeUnreachableError

    try:
        transaction_id = "0x" + decode_transaction(raw).id.hex()
    except DecodeError as error:
        raise CommandFailedError(f"this is not a signed transaction: {error}") from None
    try:
        result = client.run(calls.tx_send(raw, wait=wait, timeout_ms=WAIT_MS))
    except NodeUnreachableError as error:
        raise CommandFailedError(
            f"{error}; the transaction may have arrived all the same, so before sending another: "
            f"carlive query tx {transaction_id}",
            ExitCode.UNREACHABLE,
            {"id": transaction_id},
        ) from None
    show_sent(result, wait, output)


def show_sent(result: "SendResult", wait: Wait, output: Output) -> None:
    """Print what became of a transaction; raises CommandFailedError unless it is what was waited for."""
    from node.cli.amounts import format_iov

    transaction_id = "0x" + result.id.hex()
    record = result.model_dump(mode="json", by_alias=True)
    facts = {"id": transaction_id, "status": result.status}
    match result.status:
        case "final":
            output.show_record(record, {"fee": lambda grains: f"{format_iov(int(grains))} IOV"})
        case "failed":
            raise CommandFailedError(
                f"transaction {transaction_id} failed in block {result.height}: {result.reason}; its fee was taken",
                ExitCode.FAILED,
                {**facts, "reason": result.reason, "height": result.height},
            )
        case "pending" if wait == "admitted":
            output.show_record({"id": transaction_id, "known": result.known, "status": result.status})
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
