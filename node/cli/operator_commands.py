"""`carlive operator`: an operator's nodes in the registry, and their keys."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.failures import CommandFailedError
from node.cli.group import SuggestingGroup
from node.cli.init_command import SNIPPET_FILE
from node.cli.module_calls import build_known_intent
from node.cli.output import Output, output_option
from node.cli.query_commands import to_plain
from node.cli.sending import Intent, Sending, find_sender, send_intent, sending_options
from rpc import calls

if TYPE_CHECKING:
    from identity.keys import PrivateKey
    from node.cli.signing import ChainFacts
    from node.home import Home
    from rpc.client import Client
    from rpc.models import NodeEntry

MODULE: Final = "network"
ROLES: Final = ("super_node", "observer", "gateway")
NEXT_SUFFIX: Final = ".next"
PREVIOUS_SUFFIX: Final = ".previous"
PAGES_MAX: Final = 64  # of the registry

_home_option = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    required=True,
    help="The node's directory, made by carlive init; its keys sign.",
)
_name_option = click.option("--name", default=None, help="Name that others see.  [default: as carlive init was told]")
_addresses_option = click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="HOST:PORT",
    help="Where others reach it; up to four times.  [default: as carlive init was told]",
)


@click.group(cls=SuggestingGroup)
def operator() -> None:
    """Register the nodes of an admitted operator, and change their keys."""


@operator.command()
@_home_option
@click.option("--role", type=click.Choice(ROLES), default="super_node", show_default=True, help="What it is for.")
@_name_option
@_addresses_option
@sending_options
def register(home: Path, role: str, name: str | None, addresses: tuple[str, ...], sending: Sending) -> None:
    """Let a node of yours connect; a super node may then be elected."""
    place = _open_home(home)
    node_key = _load_node_key(place)
    consensus_key = _load_consensus_key(place) if role == "super_node" else None
    told_name, told_addresses = _read_snippet(place)

    def build(client: "Client", facts: "ChainFacts") -> Intent:
        from identity.signing import SigningPurpose
        from vm.native.network import NodeRole

        key, certificate_signature = _make_certificate(node_key)
        proof = None
        if consensus_key is not None:
            sender = find_sender(sending, facts)
            proof = _sign(consensus_key, SigningPurpose.CONSENSUS_KEY_POSSESSION, facts, [sender, key])
        arguments = [
            _hex(key),
            _hex(certificate_signature),
            int(NodeRole[role.upper()]),
            None if consensus_key is None else _hex(consensus_key.public_key.key),
            None if proof is None else _hex(proof),
            _require_name(name or told_name),
            list(addresses or told_addresses),
        ]
        return build_known_intent(client, facts, MODULE, "register_node", arguments)

    send_intent(build, sending)


@operator.command()
@_home_option
@_name_option
@_addresses_option
@sending_options
def update(home: Path, name: str | None, addresses: tuple[str, ...], sending: Sending) -> None:
    """Change a node's name and the addresses where others reach it."""
    place = _open_home(home)
    key = _load_node_key(place).public_key.key

    def build(client: "Client", facts: "ChainFacts") -> Intent:
        known = next((each for each in list_nodes(client) if each.node_key == key), None)
        if known is None:
            raise CommandFailedError(f"this node is not registered: carlive operator register --home {home}")
        arguments = [_hex(key), name or known.name, list(addresses or known.addresses)]
        return build_known_intent(client, facts, MODULE, "update_node", arguments)

    send_intent(build, sending)


@operator.command("rotate-node")
@_home_option
@sending_options
def rotate_node(home: Path, sending: Sending) -> None:
    """Give a node a new node key, signed by the old one; restart the node afterwards.

    The new key is kept beside the old one until the chain knows it, so the command can be repeated when it was
    interrupted. The old key stays as node.key.previous.
    """
    place = _open_home(home)
    old = _load_node_key(place)
    path = _get_node_key_path(place)
    new = _load_or_make_next(path)

    def build(client: "Client", facts: "ChainFacts") -> Intent:
        from identity.signing import SigningPurpose

        key, certificate_signature = _make_certificate(new)
        named = [find_sender(sending, facts), old.public_key.key, key]
        signature = _sign(old, SigningPurpose.NODE_KEY_ROTATION, facts, named)
        arguments = [_hex(old.public_key.key), _hex(key), _hex(certificate_signature), _hex(signature)]
        return build_known_intent(client, facts, MODULE, "rotate_node", arguments)

    _rotate(sending, path, build, lambda node: node.node_key == new.public_key.key)


@operator.command("rotate-consensus")
@_home_option
@sending_options
def rotate_consensus(home: Path, sending: Sending) -> None:
    """Give a super node a new consensus key, signed by both; restart the node afterwards.

    The safety directory stays as it is: it keeps the new key from signing heights of the past. The old key stays as
    consensus.key.previous.
    """
    place = _open_home(home)
    node_key = _load_node_key(place).public_key.key
    old = _load_consensus_key(place)
    path = _get_consensus_key_path(place)
    new = _load_or_make_next(path)

    def build(client: "Client", facts: "ChainFacts") -> Intent:
        from identity.signing import SigningPurpose

        named = [find_sender(sending, facts), old.public_key.key, new.public_key.key]
        signatures = [_sign(key, SigningPurpose.CONSENSUS_KEY_ROTATION, facts, named) for key in (old, new)]
        arguments = [_hex(node_key), _hex(new.public_key.key), *map(_hex, signatures)]
        return build_known_intent(client, facts, MODULE, "rotate_consensus", arguments)

    _rotate(sending, path, build, lambda node: node.consensus_key == new.public_key.key)


@operator.command()
@_home_option
@sending_options
def remove(home: Path, sending: Sending) -> None:
    """Take a node out of the registry: others let it connect no more."""
    key = _load_node_key(_open_home(home)).public_key.key
    send_intent(lambda client, facts: build_known_intent(client, facts, MODULE, "remove_node", [_hex(key)]), sending)


@operator.command()
@node_option
@output_option
def nodes(node_url: str, output: Output) -> None:
    """List the registered nodes of all operators."""
    with connect(node_url) as client:
        records = [to_plain(each) for each in list_nodes(client)]
    output.show_list(records, ["name", "role", "operator", "nodeKey", "addresses"], empty="no nodes are registered")


def list_nodes(client: "Client") -> "list[NodeEntry]":
    """All registered nodes."""
    found: list[NodeEntry] = []
    cursor = None
    for _ in range(PAGES_MAX):
        page = client.run(calls.network_nodes(cursor=cursor))
        found += page.nodes
        cursor = page.cursor
        if cursor is None:
            break
    return found


def _rotate(
    sending: Sending,
    path: Path,
    build: Callable[["Client", "ChainFacts"], Intent],
    is_new: "Callable[[NodeEntry], bool]",
) -> None:
    """Send unless the chain knows the new key already, then put it into the place of the old one."""
    if sending.options.wait != "final":
        raise CommandFailedError("a key is exchanged once the chain knows the new one: leave --wait out")
    with connect(sending.node_url) as client:
        read_chain_facts(client)
        is_known = any(is_new(node) for node in list_nodes(client))
    if not is_known:
        send_intent(build, sending)
    waiting = path.with_name(path.name + NEXT_SUFFIX)
    path.replace(path.with_name(path.name + PREVIOUS_SUFFIX))
    waiting.replace(path)
    click.echo(f"{path} holds the new key: restart the node now.", err=True)


def _load_or_make_next(path: Path) -> "PrivateKey":
    from node.key_files import create_key_file, generate_key, load_ed25519_key_file

    waiting = path.with_name(path.name + NEXT_SUFFIX)
    if not waiting.exists():
        create_key_file(waiting, generate_key())
    return load_ed25519_key_file(waiting)


def _open_home(home: Path) -> "Home":
    from node.home import Home

    return Home(home.absolute())


def _get_node_key_path(place: "Home") -> Path:
    from node.key_files import NODE_KEY_FILE

    return place.keys / NODE_KEY_FILE


def _get_consensus_key_path(place: "Home") -> Path:
    from node.key_files import CONSENSUS_KEY_FILE

    return place.keys / CONSENSUS_KEY_FILE


def _load_node_key(place: "Home") -> "PrivateKey":
    from node.key_files import load_ed25519_key_file

    return load_ed25519_key_file(_get_node_key_path(place))


def _load_consensus_key(place: "Home") -> "PrivateKey":
    from node.key_files import load_ed25519_key_file

    return load_ed25519_key_file(_get_consensus_key_path(place))


def _read_snippet(place: "Home") -> tuple[str | None, list[str]]:
    """Name and addresses that carlive init was told."""
    from pydantic import ValidationError

    from genesis.document import GenesisNode

    path = place.directory / SNIPPET_FILE
    try:
        told = GenesisNode.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None, []
    except ValidationError:
        raise CommandFailedError(f"{path} is damaged: delete it, and give --name and --address") from None
    return told.name, told.addresses


def _require_name(name: str | None) -> str:
    if name is None:
        raise CommandFailedError("the node has no name yet: say --name NAME")
    return name


def _make_certificate(key: "PrivateKey") -> tuple[bytes, bytes]:
    from p2p.certificate import build_certificate, compact_certificate

    return compact_certificate(build_certificate(key.secret))


def _sign(key: "PrivateKey", purpose: Any, facts: "ChainFacts", value: Sequence[bytes]) -> bytes:
    from identity.signing import signing_bytes
    from ledger.codec import pack

    return key.sign(signing_bytes(purpose, facts.domain, pack(list(value))))


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
