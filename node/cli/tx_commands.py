"""`carlive tx`: sign and send transactions."""

import csv
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from node.cli.accounts import keyring_options, open_keyring
from node.cli.connection import connect, node_option
from node.cli.failures import CommandFailedError
from node.cli.group import SuggestingGroup
from node.cli.module_calls import build_intent, parse_assignments
from node.cli.output import Output, output_option
from node.cli.sending import (
    Intent,
    Sending,
    Wait,
    load_signers,
    send_intent,
    sending_options,
    sign_body,
    signing_options,
    submit,
)

if TYPE_CHECKING:
    from node.cli.signing import ChainFacts
    from rpc.client import Client

CSV_BYTES_MAX: Final = 2**20
RAW_CHARACTERS_MAX: Final = 2 * 65_536 + 16


@click.group(cls=SuggestingGroup)
def tx() -> None:
    """Sign and send transactions."""


@tx.command()
@click.option("--to", "recipient", required=True, metavar="ADDRESS", help="Address or key name of the recipient.")
@click.option("--amount", required=True, metavar="IOV", help="IOV with up to 8 decimals, for instance 1.5.")
@sending_options
def transfer(recipient: str, amount: str, sending: Sending) -> None:
    """Send IOV to an account.

    For instance: carlive tx transfer --from dev0 --to dev1 --amount 1.5
    """
    from node.cli.amounts import format_iov, parse_iov
    from node.cli.signing import build_transfer

    amount_grains = parse_iov(amount)

    def build(_: "Client", facts: "ChainFacts") -> Intent:
        from identity.address import format_address

        address = sending.keyring.find_address(recipient, facts.network)
        shown = {"to": format_address(address, facts.network), "amount": f"{format_iov(amount_grains)} IOV"}
        return Intent([build_transfer(address, amount_grains)], shown)

    send_intent(build, sending)


@tx.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@sending_options
def batch(file: Path, sending: Sending) -> None:
    """Pay many accounts in one transaction: all of them or none.

    FILE has a line ADDRESS,AMOUNT for each, with amounts in IOV and at most 500 lines.
    """
    from node.cli.amounts import format_iov
    from node.cli.signing import build_batch_transfer

    lines = read_payments(file)

    def build(_: "Client", facts: "ChainFacts") -> Intent:
        payments = [(sending.keyring.find_address(recipient, facts.network), grains) for recipient, grains in lines]
        total_grains = sum(grains for _, grains in payments)
        shown = {"to": f"{len(payments)} accounts of {file}", "amount": f"{format_iov(total_grains)} IOV"}
        return Intent([build_batch_transfer(payments)], shown)

    send_intent(build, sending)


@tx.command("call")
@click.argument("module")
@click.argument("call")
@click.option(
    "--arg", "assignments", multiple=True, metavar="NAME=VALUE", help="An argument; lists and structs as JSON."
)
@sending_options
def call_module(module: str, call: str, assignments: tuple[str, ...], sending: Sending) -> None:
    """Send CALL of a native MODULE with any arguments, as carlive query module MODULE lists them.

    An amount is a whole number of grains, or IOV with the unit: 1.5IOV. An account is an address or a key's name. Leave
    an optional argument out. For instance: carlive tx call staking bond --from op0 --arg amountGrains=500IOV
    """
    given = parse_assignments(assignments)
    send_intent(
        lambda client, facts: build_intent(client, facts, sending.keyring, module, call, given),
        sending,
    )


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
@signing_options
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
    signers = load_signers(keyring, facts, signer, sender, co_signers, fee_payer)
    ordering = os.urandom(SALT_BYTES) if sequence is None else sequence
    body = put_price(build_draft(facts, signers, ordering, valid_until, [call], memo), gas_limit, price_grains)
    transaction = sign_body(body, facts, signers)
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
        submit(client, signed, wait, output)


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
