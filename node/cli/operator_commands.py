"""`carlive operator`: an operator's nodes in the registry, and their keys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    from node.cli.signing import AccountKey, ChainFacts
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
@click.option(
    "--possession",
    default=None,
    metavar="HEX",
    help="With a remote signer: what carlive signer sign-possession gave.",
)
@sending_options
def register(
    home: Path, role: str, name: str | None, addresses: tuple[str, ...], possession: str | None, sending: Sending
) -> None:
    """Let a node of yours connect; a super node may then be elected."""
    place = _open_home(home)
    node_key = _load_node_key(place)
    consensus_key = _find_consensus_key(place, possession, "--possession") if role == "super_node" else None
    told_name, told_addresses = _read_snippet(place)

    def build(client: "Client", facts: "ChainFacts") -> Intent:
        from identity.signing import SigningPurpose
        from vm.native.network import NodeRole

        key, certificate_signature = _make_certificate(node_key)
        proof = None
        if consensus_key is not None:
            sender = find_sender(sending, facts)
            proof = consensus_key.sign(facts, SigningPurpose.CONSENSUS_KEY_POSSESSION, [sender, key])
        arguments = [
            _hex(key),
            _hex(certificate_signature),
            int(NodeRole[role.upper()]),
            None if consensus_key is None else _hex(consensus_key.public_key),
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
@click.option("--new-key", default=None, metavar="HEX", help="The new public key, if it is in a token or at a signer.")
@click.option("--new-signature", default=None, metavar="HEX", help="Of the new key: carlive signer sign-rotation.")
@click.option(
    "--old-signature", default=None, metavar="HEX", help="Of the old key, if a signer has it; from the same command."
)
@sending_options
def rotate_consensus(
    home: Path, new_key: str | None, new_signature: str | None, old_signature: str | None, sending: Sending
) -> None:
    """Give a super node a new consensus key, signed by both; restart the node afterwards.

    The safety directory stays as it is: it keeps the new key from signing heights of the past. The old key stays as
    consensus.key.previous. With --new-key the node's settings are changed by hand, before the restart.
    """
    place = _open_home(home)
    node_key = _load_node_key(place).public_key.key
    old = _find_consensus_key(place, old_signature, "--old-signature")
    path = _get_consensus_key_path(place)
    new = _load_next_consensus_key(path, new_key, new_signature)

    def build(client: "Client", facts: "ChainFacts") -> Intent:
        from identity.signing import SigningPurpose

        named = [find_sender(sending, facts), old.public_key, new.public_key]
        signatures = [key.sign(facts, SigningPurpose.CONSENSUS_KEY_ROTATION, named) for key in (old, new)]
        arguments = [_hex(node_key), _hex(new.public_key), *map(_hex, signatures)]
        return build_known_intent(client, facts, MODULE, "rotate_consensus", arguments)

    if new_key is not None:
        send_intent(build, sending)
        click.echo("Change the node's settings to the new key once this is final, and restart it.", err=True)
        return
    _rotate(sending, path, build, lambda node: node.consensus_key == new.public_key)


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


@dataclass(frozen=True, slots=True)
class _ConsensusKey:
    """A consensus key where it can be asked, or what its keeper has signed already."""

    public_key: bytes
    key: "AccountKey | None"
    signature: bytes | None

    def sign(self, facts: "ChainFacts", purpose: Any, value: Sequence[bytes]) -> bytes:
        """The proof of one purpose; raises CommandFailedError when the keeper has signed something else."""
        from identity.keys import KeyType, PublicKey, verify_signature
        from identity.signing import signing_bytes
        from ledger.codec import pack

        if self.key is not None:
            return _sign(self.key, purpose, facts, value)
        assert self.signature is not None, "one of the two"
        message = signing_bytes(purpose, facts.domain, pack(list(value)))
        if not verify_signature(PublicKey(KeyType.ED25519, self.public_key), message, self.signature):
            raise CommandFailedError(
                f"{_hex(self.public_key)} has signed something else: check operator, node key and consensus keys"
            )
        return self.signature


def _find_consensus_key(place: "Home", signature: str | None, option: str) -> _ConsensusKey:
    """The key of the node, wherever its settings say that it is; raises CommandFailedError, ConfigurationError."""
    from node.cli.token_keys import TOKEN_PREFIX, TokenChoice, load_token_key
    from node.config import load_config, parse_hex_setting, read_process_environment
    from node.key_files import load_ed25519_key_file

    config = load_config(place.config_file, read_process_environment(), {})
    key: AccountKey
    if config.signer_kind == "remote":
        if signature is None or not config.signer_public_key:
            raise CommandFailedError(f"a remote signer has the key: say {option} HEX, which carlive signer gives there")
        return _ConsensusKey(parse_hex_setting(config.signer_public_key), None, _read_hex(signature, option))
    if config.signer_kind == "pkcs11":
        pin_file = Path(config.pkcs11_pin_file) if config.pkcs11_pin_file else None
        choice = TokenChoice(Path(config.pkcs11_module), config.pkcs11_token, pin_file)
        key = load_token_key(choice, TOKEN_PREFIX + config.pkcs11_key)
    else:
        key = load_ed25519_key_file(_get_consensus_key_path(place))
    return _ConsensusKey(key.public_key.key, key, None)


def _load_next_consensus_key(path: Path, new_key: str | None, new_signature: str | None) -> _ConsensusKey:
    if (new_key is None) != (new_signature is None):
        raise CommandFailedError("--new-key and --new-signature are given together")
    if new_key is not None and new_signature is not None:
        return _ConsensusKey(_read_hex(new_key, "--new-key"), None, _read_hex(new_signature, "--new-signature"))
    key = _load_or_make_next(path)
    return _ConsensusKey(key.public_key.key, key, None)


def _read_hex(text: str, option: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise CommandFailedError(f"{option} is in hexadecimal digits, not {text!r}") from None


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


def _sign(key: "AccountKey", purpose: Any, facts: "ChainFacts", value: Sequence[bytes]) -> bytes:
    from identity.signing import signing_bytes
    from ledger.codec import pack

    return key.sign(signing_bytes(purpose, facts.domain, pack(list(value))))


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
