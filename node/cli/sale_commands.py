"""`carlive sale`: the sale of the subscription allocation, for buyers and for its cashier."""

from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.connection import connect, node_option
from node.cli.did_options import signing_options
from node.cli.did_signing import Operation, Signing, find_signer, parse_did_text, send_operation
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.module_calls import build_known_intent
from node.cli.output import Output, output_option
from node.cli.query_commands import format_grains, format_time
from node.cli.sending import Sending, send_intent, sending_options
from rpc import calls

if TYPE_CHECKING:
    from identity.did import Did
    from node.cli.signing import ChainFacts
    from rpc.client import Client

MODULE: Final = "sale"
PURCHASE_COLUMNS: Final = ["number", "buyer", "tier", "amountGrains", "paidMinor", "owedMinor", "repaidMinor", "status"]

_sale_option = click.option("--sale", "number", type=click.IntRange(1), required=True, help="Number of the sale.")
_purchase_option = click.option(
    "--purchase", type=click.IntRange(1), required=True, help="Number of the purchase in that sale."
)


@click.group(cls=SuggestingGroup)
def sale() -> None:
    """Buy in the sale of IOV, and attest payments as its cashier."""


@sale.command()
@click.argument("number", type=click.IntRange(1), required=False)
@node_option
@output_option
def show(number: int | None, node_url: str, output: Output) -> None:
    """Show the sale of this NUMBER, else the open one, else the last."""
    with connect(node_url) as client:
        sales = client.run(calls.module_view(MODULE, "sales")).value
        wanted = number or sales["open"] or sales["count"]
        found = None if wanted == 0 else client.run(calls.module_view(MODULE, "sale", {"number": wanted})).value
    if found is None:
        raise CommandFailedError("there was no such sale", ExitCode.FAILED)
    record = {"sale": wanted, "isOpen": sales["open"] == wanted, **found}
    if output.is_json:
        output.show_record(record)
        return
    terms = found["terms"]
    shown = {
        "sale": wanted,
        "isOpen": record["isOpen"],
        "starts": format_time(terms["startsMs"]),
        "ends": format_time(terms["endsMs"]),
        "cashier": terms["cashier"],
        "currency": terms["currency"],
        "excluded": ", ".join(terms["excluded"]) or "nobody",
        "capPerIdentity": terms["capGrains"],
        "share": found["shareGrains"],
        "sold": found["soldGrains"],
        "delivered": found["deliveredGrains"],
        "returned": found["returnedGrains"],
        "purchases": found["purchases"],
    }
    names = ("capPerIdentity", "share", "sold", "delivered", "returned")
    output.show_record(shown, dict.fromkeys(names, format_grains))
    tiers = [
        {
            "tier": index,
            "share": tier["shareGrains"],
            "remaining": left,
            "price": f"{tier['priceMinor']} minor units for {format_grains(tier['lotGrains'])}",
        }
        for index, (tier, left) in enumerate(zip(terms["tiers"], found["remainingGrains"], strict=True))
    ]
    output.show_list(
        tiers, ["tier", "share", "remaining", "price"], {"share": format_grains, "remaining": format_grains}
    )


@sale.command()
@_sale_option
@click.option("--first", type=click.IntRange(1), default=1, show_default=True, help="From this number on.")
@node_option
@output_option
def purchases(number: int, first: int, node_url: str, output: Output) -> None:
    """List a sale's purchases, a hundred at most."""
    with connect(node_url) as client:
        found = client.run(calls.module_view(MODULE, "purchases", {"sale": number, "first": first})).value
    records = [{"number": each["number"], **each["purchase"]} for each in found]
    if not output.is_json:
        records = [each | {"status": _STATUSES[each["status"]]} for each in records]
    output.show_list(records, PURCHASE_COLUMNS, {"amountGrains": format_grains}, empty="no purchases")


_STATUSES: Final = {1: "bought", 2: "delivered", 3: "withdrawn"}


@sale.command()
@_sale_option
@click.option("--tier", type=click.IntRange(0), required=True, help="Which tier, from 0.")
@click.option("--buyer", required=True, metavar="DID", help="Who has paid.")
@click.option("--payment", required=True, help="Your own name of the payment; its SHA-256 goes on the chain.")
@click.option("--paid", type=click.IntRange(1), required=True, metavar="N", help="In minor units, for instance cents.")
@click.option("--currency", required=True, metavar="CODE", help="For instance EUR.")
@click.option("--jurisdiction", required=True, metavar="CODE", help="Of the buyer, two letters.")
@signing_options
@sending_options
def buy(
    number: int,
    tier: int,
    buyer: str,
    payment: str,
    paid: int,
    currency: str,
    jurisdiction: str,
    signing: Signing,
    sending: Sending,
) -> None:
    """Attest as the cashier that an identity has paid, which buys for it."""
    from hashlib import sha256

    from vm.native.sale import PaymentPayload
    from vm.native.sale_records import PaymentReference

    reference = PaymentReference(sha256(payment.encode()).digest())

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        given = parse_did_text(buyer, facts.network)
        payload = PaymentPayload(given, number, tier, reference, paid, currency, jurisdiction)
        return Operation("sale.buy", payload, _find_cashier(client, facts, number))

    send_operation(prepare, signing, sending)


@sale.command()
@_sale_option
@_purchase_option
@signing_options
@sending_options
def withdraw(number: int, purchase: int, signing: Signing, sending: Sending) -> None:
    """Undo a purchase before the sale is closed, as its buyer; the cashier then owes what was paid."""
    from vm.native.sale import WithdrawalPayload

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        buyer = parse_did_text(_fetch_purchase(client, number, purchase)["buyer"], facts.network)
        payload = WithdrawalPayload(buyer, number, purchase)
        return Operation("sale.withdraw", payload, find_signer(client, facts, buyer))

    send_operation(prepare, signing, sending)


@sale.command()
@_sale_option
@_purchase_option
@click.option(
    "--amount", type=click.IntRange(1), required=True, metavar="N", help="What you have paid back now, in minor units."
)
@signing_options
@sending_options
def repaid(number: int, purchase: int, amount: int, signing: Signing, sending: Sending) -> None:
    """Confirm as the cashier that all that is owed for a purchase was paid back."""
    from vm.native.sale import RepaymentPayload

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        found = _fetch_purchase(client, number, purchase)
        if found["owedMinor"] != amount:  # the buyer may have withdrawn since the cashier has paid
            raise CommandFailedError(
                f"{found['owedMinor']} minor units are owed for this purchase, not {amount}", ExitCode.FAILED
            )
        buyer = parse_did_text(found["buyer"], facts.network)
        payload = RepaymentPayload(buyer, number, purchase, found["repaidMinor"] + amount)
        return Operation("sale.confirm_repayment", payload, _find_cashier(client, facts, number))

    send_operation(prepare, signing, sending)


@sale.command()
@_sale_option
@_purchase_option
@sending_options
def deliver(number: int, purchase: int, sending: Sending) -> None:
    """Have a purchase delivered once the sale is closed; anybody may."""
    send_intent(lambda client, facts: build_known_intent(client, facts, MODULE, "deliver", [number, purchase]), sending)


def _find_cashier(client: "Client", facts: "ChainFacts", number: int) -> "Did":
    found = client.run(calls.module_view(MODULE, "sale", {"number": number})).value
    if found is None:
        raise CommandFailedError(f"there is no sale {number}", ExitCode.FAILED)
    return find_signer(client, facts, parse_did_text(found["terms"]["cashier"], facts.network))


def _fetch_purchase(client: "Client", number: int, purchase: int) -> dict[str, Any]:
    found = client.run(calls.module_view(MODULE, "purchases", {"sale": number, "first": purchase})).value
    if not found or found[0]["number"] != purchase:
        raise CommandFailedError(f"sale {number} has no purchase {purchase}", ExitCode.FAILED)
    record: dict[str, Any] = found[0]["purchase"]
    return record
