"""`carlive init`: a node's keys and configuration."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from node.cli.accounts import Keyring
from node.cli.failures import CommandFailedError
from node.cli.output import Output, output_option

SNIPPET_FILE: Final = "genesis-node.json"


@click.command()
@click.option("--home", type=click.Path(path_type=Path, file_okay=False), required=True, help="Directory of the node.")
@click.option("--name", default="super-node", show_default=True, help="Name that others see.")
@click.option(
    "--network",
    type=click.Choice(["devnet", "testnet", "mainnet"]),
    default="devnet",
    show_default=True,
    help="Which network's addresses.",
)
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="HOST:PORT",
    help="Where others reach this node; up to four times. It listens on the port of the first.",
)
@click.option(
    "--operator", default=None, metavar="ADDRESS", help="The operator's account, if its key is kept elsewhere (safer)."
)
@click.option(
    "--consensus-key",
    default=None,
    metavar="HEX",
    help="The public consensus key, if the key is kept in a token or by a signer; then none is made.",
)
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Password of the account key, on a network that is no devnet; else CARLIVE_PASSWORD, else a prompt.",
)
@output_option
def init(
    home: Path,
    name: str,
    network: str,
    addresses: tuple[str, ...],
    operator: str | None,
    consensus_key: str | None,
    password_file: Path | None,
    output: Output,
) -> None:
    """Make the keys and configuration of a node.

    Three keys are made, each for one purpose: account (the operator's money), consensus (votes) and node (connections).
    What the others need to know of them goes into genesis-node.json; nothing in it is secret.
    """
    import json

    from identity.address import NetworkKind, compute_key_address, format_address, parse_address
    from node.atomic_file import make_private_directory, replace_file
    from node.config import NodeConfig, format_config
    from node.devnet import ACCOUNT_KEY_FILE, build_super_node
    from node.home import Home
    from node.key_files import CONSENSUS_KEY_FILE, NODE_KEY_FILE, create_key_file, generate_key
    from node.safety_file import initialise_safety_directory

    kind = NetworkKind[network.upper()]
    place = Home(home.absolute())
    if place.directory.exists() and any(place.directory.iterdir()):
        raise CommandFailedError(f"{home} is not empty: choose a new directory, or keep the node that is there")
    account = None if operator is not None else generate_key()
    password = None
    if account is not None and kind is not NetworkKind.DEVNET:
        password = Keyring(place.keys, password_file).ask_password("New password for the account key", is_new=True)
    if operator is not None:
        operator = format_address(parse_address(operator, kind), kind)
    else:
        assert account is not None, "one of the two"
        operator = format_address(compute_key_address(account.public_key), kind)
    consensus = generate_key() if consensus_key is None else None
    public_key = consensus.public_key.key if consensus is not None else _read_public_key(str(consensus_key))
    transport = generate_key()
    entry = build_super_node(name, operator, public_key, transport, list(addresses))

    make_private_directory(place.directory)
    if account is not None:
        create_key_file(place.keys / ACCOUNT_KEY_FILE, account, password)
    if consensus is not None:
        create_key_file(place.keys / CONSENSUS_KEY_FILE, consensus)
    create_key_file(place.keys / NODE_KEY_FILE, transport)
    initialise_safety_directory(place.safety)
    config = NodeConfig(node_name=name)
    if addresses:
        config = replace(config, p2p_port=int(addresses[0].rpartition(":")[2]))
    replace_file(place.config_file, format_config(config).encode())
    snippet = entry.model_dump(exclude_none=True)
    replace_file(place.directory / SNIPPET_FILE, json.dumps(snippet, indent=2).encode() + b"\n", 0o644)
    output.show_record(
        {
            "home": str(place.directory),
            "operator": operator,
            "consensusKey": entry.consensus_key,
            "nodeKey": entry.node_key,
            "peer": f"{entry.node_key.removeprefix('0x')}@{addresses[0] if addresses else 'HOST:8646'}",
            "genesisNode": str(place.directory / SNIPPET_FILE),
        }
    )
    output.show_text(
        f"\nGive {place.directory / SNIPPET_FILE} to whoever makes the genesis file:\n"
        f"  carlive genesis add-node genesis.json --node {SNIPPET_FILE}\n"
        f"Put the finished genesis file at {place.genesis_file}, check its hash with the others, and start:\n"
        f"  carlive start --home {home}"
    )


def _read_public_key(text: str) -> bytes:
    from identity.keys import KeyType, PublicKey, check_public_key

    try:
        key = bytes.fromhex(text.removeprefix("0x"))
        check_public_key(PublicKey(KeyType.ED25519, key))
    except ValueError as error:  # InvalidKeyError is one
        raise CommandFailedError(f"--consensus-key {text!r} is no ed25519 public key: {error}") from None
    return key
