"""`carlive query`: look things up."""

from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from node.cli.accounts import keyring_options, open_keyring
from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.failures import CommandFailedError
from node.cli.group import SuggestingGroup
from node.cli.output import Output, output_option
from rpc import calls


@click.group(cls=SuggestingGroup)
def query() -> None:
    """Look up accounts, transactions, blocks and the chain."""


@query.command()
@click.argument("address")
@keyring_options
@node_option
@output_option
def account(address: str, keys_dir: Path, password_file: Path | None, node_url: str, output: Output) -> None:
    """Show balance, sequence and key policy of ADDRESS, or of the key of that name."""
    from identity.address import format_address

    with connect(node_url) as client:
        network = read_chain_facts(client).network
        found = open_keyring(keys_dir, password_file).find_address(address, network)
        result = client.run(calls.account_get(format_address(found, network)))
    output.show_record(to_plain(result), {"balance": format_grains, "locked": format_grains})


@query.command("tx")
@click.argument("transaction_id", metavar="ID")
@node_option
@output_option
def transaction(transaction_id: str, node_url: str, output: Output) -> None:
    """Show the transaction of this ID and what became of it."""
    with connect(node_url) as client:
        result = to_plain(client.run(calls.chain_get_transaction(parse_id(transaction_id))))
    if output.is_json:
        output.show_record(result)
        return
    inner, receipt = result["transaction"], result.get("receipt") or {}
    record = {
        "id": result["id"],
        "status": result["status"],
        "reason": receipt.get("reason"),
        "height": result.get("height"),
        "sender": inner["sender"],
        "sequence": "unordered" if inner.get("sequence") is None else inner["sequence"],
        "validUntil": inner["validUntil"],
        "feePayer": inner.get("feePayer"),
        "gasLimit": inner["gasLimit"],
        "gasUsed": receipt.get("gasUsed"),
        "fee": receipt.get("fee"),
        "memo": inner["memo"] or None,
    }
    for index, call in enumerate(inner["calls"]):
        record[f"call {index + 1}"] = f"{call['module']}.{call['call']} {call['arguments']}"
    for index, event in enumerate(receipt.get("events", [])):
        record[f"event {index + 1}"] = f"{event['module']}.{event['name']} {event['fields']}"
    output.show_record({name: value for name, value in record.items() if value is not None}, {"fee": format_grains})


@query.command()
@click.argument("height", type=click.IntRange(0))
@click.option("--full", is_flag=True, help="With its transactions, not only their ids.")
@node_option
@output_option
def block(height: int, full: bool, node_url: str, output: Output) -> None:
    """Show the final block at HEIGHT."""
    with connect(node_url) as client:
        result = to_plain(client.run(calls.chain_get_block(height=height, full=full)))
    if output.is_json:
        output.show_record(result)
        return
    header = result["header"]
    record = {
        "height": result["height"],
        "hash": result["blockHash"],
        "time": format_time(header["timeMs"]),
        "round": header["round"],
        "proposer": header["proposer"],
        "previousHash": header["previousHash"],
        "stateRoot": header["stateRoot"],
        "transactions": len(result["transactionIds"]),
    }
    for index, transaction_id in enumerate(result["transactionIds"]):
        record[f"transaction {index + 1}"] = transaction_id
    if full:
        for index, each in enumerate(result["transactions"] or []):
            done = "; ".join(f"{call['module']}.{call['call']} {call['arguments']}" for call in each["calls"])
            record[f"transaction {index + 1}"] = f"{each['id']} from {each['sender']}: {done}"
    output.show_record(record)


@query.command()
@node_option
@output_option
def supply(node_url: str, output: Output) -> None:
    """Show how much IOV there is."""
    with connect(node_url) as client:
        output.show_record(to_plain(client.run(calls.iov_supply())), {"supply": format_grains})


@query.command()
@node_option
@output_option
def committee(node_url: str, output: Output) -> None:
    """Show the super nodes that finalise the next block."""
    with connect(node_url) as client:
        result = to_plain(client.run(calls.chain_get_committee()))
    if output.is_json:
        output.show_record(result)
    else:
        members = [{"seat": seat, **member} for seat, member in enumerate(result["members"])]
        output.show_list(members, ["seat", "operator", "consensusKey"])


@query.command()
@node_option
@output_option
def params(node_url: str, output: Output) -> None:
    """Show the chain's parameters."""
    with connect(node_url) as client:
        result = to_plain(client.run(calls.chain_params()))
    output.show_record(result if output.is_json else result["params"])


@query.command("module")
@click.argument("name", metavar="[MODULE]", required=False)
@node_option
@output_option
def describe_module(name: str | None, node_url: str, output: Output) -> None:
    """List the calls of a native MODULE, with arguments and the role they need, and its views; or the modules."""
    from node.cli.module_calls import describe_form

    with connect(node_url) as client:
        if name is None:
            records = to_plain(client.run(calls.module_list()))["modules"]
            output.show_list(records, ["name", "summary"])
            return
        described = client.run(calls.module_describe(name))
    if output.is_json:
        output.show_record(to_plain(described))
        return
    offered = [("call", each.name, each.arguments, each.role, each.doc) for each in described.calls]
    offered += [("view", each.name, each.arguments, "", "") for each in described.views]
    rows = [
        {
            "kind": kind,
            "name": each,
            "arguments": " ".join(f"{field.name}={describe_form(field)}" for field in arguments),
            "role": role,
            "about": " ".join(doc.split()),
        }
        for kind, each, arguments, role, doc in offered
    ]
    output.show_list(rows, ["kind", "name", "arguments", "role", "about"])


def to_plain(result: BaseModel) -> dict[str, Any]:
    """A result as the node's JSON has it."""
    return result.model_dump(mode="json", by_alias=True)


def parse_id(text: str) -> bytes:
    """32 bytes; raises CommandFailedError."""
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        value = b""
    if len(value) != 32:
        raise CommandFailedError(f"a transaction's id is 0x and 64 hexadecimal digits, not {text!r}")
    return value


def format_grains(grains: Any) -> str:
    """Grains of a result as IOV."""
    from node.cli.amounts import format_iov

    return f"{format_iov(int(grains))} IOV"


def format_time(time_ms: int) -> str:
    """ISO 8601 in UTC."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
