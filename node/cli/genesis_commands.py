"""`carlive genesis`: the file that every node of a network shares."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.failures import CommandFailedError
from node.cli.group import SuggestingGroup
from node.cli.output import Output, output_option

if TYPE_CHECKING:
    from genesis.document import GenesisDocument
    from identity.address import NetworkKind

_HOLDERS_SHOWN_MAX: Final = 100
_SNIPPET_BYTES_MAX: Final = 65_536

_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.group(cls=SuggestingGroup)
def genesis() -> None:
    """Make and check the genesis file that a network shares."""


@genesis.command()
@_file
@click.option("--network", type=click.Choice(["devnet", "testnet", "mainnet"]), required=True, help="Kind of network.")
@click.option("--chain-id", required=True, help="Name of the chain: 3 to 32 of a-z, 0-9 and -.")
@click.option(
    "--fund",
    "funded",
    multiple=True,
    metavar="ADDRESS=IOV",
    help="Account that holds IOV from the start, out of the subscription share; may be given many times.",
)
@output_option
def new(file: Path, network: str, chain_id: str, funded: tuple[str, ...], output: Output) -> None:
    """Make a genesis FILE without nodes; carlive genesis add-node adds them.

    A devnet's ten public accounts are funded by themselves.
    """
    from pydantic import ValidationError

    from genesis.document import GenesisError
    from genesis.presets import build_preset
    from identity.address import NetworkKind
    from node.atomic_file import create_file

    kind = NetworkKind[network.upper()]
    holders = _parse_funded(funded, kind)
    try:
        document = build_preset(kind, chain_id, time.time_ns() // 1_000_000, [], holders)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "document"
        raise GenesisError(f"genesis {place}: {first['msg'].removeprefix('Value error, ')}") from None
    try:
        create_file(file, _format(document), 0o644)
    except FileExistsError:
        raise CommandFailedError(f"{file} exists already: choose another name or move it away") from None
    output.show_record(_summarise(document) | {"file": str(file)})
    output.show_text(f"\nNow add the super nodes: carlive genesis add-node {file} --node genesis-node.json")


@genesis.command("add-node")
@_file
@click.option(
    "--node",
    "snippets",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    required=True,
    help="What carlive init wrote as genesis-node.json; may be given many times.",
)
@output_option
def add_node(file: Path, snippets: tuple[Path, ...], output: Output) -> None:
    """Add nodes to a genesis FILE. Every addition changes the genesis hash."""
    from genesis.document import load_genesis
    from node.atomic_file import replace_file

    plain = _read(file).model_dump(exclude_none=True)
    for snippet in snippets:
        plain["nodes"].append(_read_json(snippet))
    document = load_genesis(plain)
    _check_certificates(document)
    replace_file(file, _format(document), 0o644)
    output.show_record(_summarise(document) | {"file": str(file)})


@genesis.command()
@_file
@output_option
def show(file: Path, output: Output) -> None:
    """Show what stands in a genesis FILE."""
    document = _read(file)
    if output.is_json:
        output.show_record(document.model_dump(exclude_none=True))
        return
    output.show_record(_summarise(document))
    output.show_text("")
    output.show_list(
        [node.model_dump() | {"addresses": ", ".join(node.addresses)} for node in document.nodes],
        ["name", "role", "operator", "node_key", "addresses"],
        empty="no nodes yet",
    )
    output.show_text("")
    holders: list[dict[str, Any]] = [
        {"holder": each.account or f"module {each.module}", "iov": _format_iov(int(each.amount_grains))}
        for each in document.allocations[:_HOLDERS_SHOWN_MAX]
    ]
    output.show_list(holders, ["holder", "iov"])


@genesis.command()
@_file
@output_option
def check(file: Path, output: Output) -> None:
    """Check every rule of a genesis FILE, as a node does before it starts."""
    from genesis.build import build_committee, build_parameters

    document = _read(file)
    build_parameters(document)
    build_committee(document)
    _check_certificates(document)
    output.show_record(_summarise(document) | {"genesisHash": _compute_hash(document)})


@genesis.command("hash")
@_file
@output_option
def show_hash(file: Path, output: Output) -> None:
    """Print the genesis hash; operators compare it before they start."""
    genesis_hash = _compute_hash(_read(file))
    output.show_line({"genesisHash": genesis_hash}, genesis_hash)


def _read(file: Path) -> "GenesisDocument":
    from genesis.document import GENESIS_BYTES_MAX, parse_genesis

    with file.open("rb") as opened:
        return parse_genesis(opened.read(GENESIS_BYTES_MAX + 1))


def _read_json(file: Path) -> Any:
    import json

    with file.open("rb") as opened:
        content = opened.read(_SNIPPET_BYTES_MAX + 1)
    if len(content) > _SNIPPET_BYTES_MAX:
        raise CommandFailedError(f"{file} is larger than {_SNIPPET_BYTES_MAX} bytes: a node's entry is smaller")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise CommandFailedError(f"{file} is not JSON: give what carlive init wrote as genesis-node.json") from None


def _check_certificates(document: "GenesisDocument") -> None:
    """A node whose key did not sign its certificate could never connect."""
    from ledger.primitives import NodeKey, Signature
    from p2p.certificate import InvalidCertificateError, expand_certificate

    for node in document.nodes:
        key = NodeKey(bytes.fromhex(node.node_key[2:]))
        signature = Signature(bytes.fromhex(node.node_certificate_signature[2:]))
        try:
            expand_certificate(key, signature)
        except InvalidCertificateError as error:
            raise CommandFailedError(
                f"node {node.name}: {error}; ask its operator for a new genesis-node.json"
            ) from None


def _parse_funded(funded: tuple[str, ...], kind: "NetworkKind") -> dict[str, int]:
    from genesis.presets import DEVELOPMENT_ACCOUNT_GRAINS, list_development_accounts
    from identity.address import NetworkKind, format_address, parse_address
    from node.cli.amounts import parse_iov

    holders = {}
    if kind is NetworkKind.DEVNET:
        holders = {account.address: DEVELOPMENT_ACCOUNT_GRAINS for account in list_development_accounts()}
    for entry in funded:
        address, separator, amount = entry.partition("=")
        if not separator:
            raise CommandFailedError(f"--fund is ADDRESS=IOV, not {entry!r}")
        holder = format_address(parse_address(address, kind), kind)
        holders[holder] = holders.get(holder, 0) + parse_iov(amount)
    return holders


def _format(document: "GenesisDocument") -> bytes:
    from genesis.document import format_genesis

    return format_genesis(document)


def _compute_hash(document: "GenesisDocument") -> str:
    from genesis.build import compute_genesis_hash

    return "0x" + compute_genesis_hash(document).hex()


def _summarise(document: "GenesisDocument") -> dict[str, Any]:
    return {
        "chainId": document.chain_id,
        "network": document.network,
        "timeMs": document.time_ms,
        "superNodes": len(document.super_nodes),
        "nodes": len(document.nodes),
        "allocations": len(document.allocations),
    }


def _format_iov(grains: int) -> str:
    from node.cli.amounts import format_iov

    return format_iov(grains)
