"""Homes of a network of nodes on this machine, as operators would make them: keys, genesis, ports, configuration."""

import errno
import random
import shutil
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genesis.build import compute_genesis_hash
from genesis.document import GenesisNode, GenesisParameters, format_genesis
from genesis.presets import build_preset, get_parameters_preset
from identity.address import NetworkKind, compute_key_address, format_address
from identity.keys import PrivateKey
from identity.signing import SigningDomain, compute_signing_domain
from ledger.primitives import BlockHash
from node.config import NodeConfig, format_config
from node.devnet import build_super_node
from node.home import Home
from node.key_files import CONSENSUS_KEY_FILE, NODE_KEY_FILE, create_key_file, generate_key
from node.safety_file import initialise_safety_directory
from p2p.certificate import build_certificate, compact_certificate
from tests.ports import get_network_ports

HOST = "127.0.0.1"
PORTS_PER_NODE = 3

_GIVEN_PORTS: set[int] = set()

PeerPort = Callable[[int, int, int], int]
"""(dialer, listener, the listener's port) -> where the dialer finds the listener, to put something between them."""


@dataclass(frozen=True, slots=True)
class NodeHome:
    """A node that could be started."""

    name: str
    home: Home
    config: NodeConfig
    node_secret: bytes


@dataclass(frozen=True, slots=True)
class PreparedNetwork:
    """Super nodes, then observers."""

    nodes: tuple[NodeHome, ...]
    genesis_hash: BlockHash
    domain: SigningDomain


def prepare_network(
    directory: Path,
    super_nodes: int,
    observers: int = 0,
    *,
    chain_id: str,
    funded_grains: Mapping[str, int],
    parameters: Mapping[str, int] | None = None,
    settings: Mapping[str, Any] | None = None,
    strangers: Sequence[PrivateKey] = (),
    peer_port: PeerPort | None = None,
) -> PreparedNetwork:
    """Write everything into homes under this directory.

    `parameters` and `settings` differ from a devnet's and a node's; `strangers` are node keys registered as observers.
    """
    names = [f"node-{index}" for index in range(super_nodes + observers)]
    homes = [Home(directory / name) for name in names]
    secrets, entries = [], []
    for index, (name, home) in enumerate(zip(names, homes, strict=True)):
        transport = generate_key()
        secrets.append(transport.secret)
        entries.append(_make_keys(name, home, transport, is_super=index < super_nodes))
    entries += [build_observer(f"stranger-{index}", key) for index, key in enumerate(strangers)]
    preset = get_parameters_preset(NetworkKind.DEVNET, super_nodes).model_dump()
    document = build_preset(NetworkKind.DEVNET, chain_id, time.time_ns() // 1_000_000, entries, dict(funded_grains))
    document = document.model_copy(update={"parameters": GenesisParameters(**{**preset, **(parameters or {})})})
    ports = find_free_ports(PORTS_PER_NODE * len(names))
    peers = _list_peers(entries[: len(names)], ports[::PORTS_PER_NODE], peer_port)
    nodes = []
    for index, (name, home) in enumerate(zip(names, homes, strict=True)):
        p2p_port, rpc_port, ops_port = ports[PORTS_PER_NODE * index :][:PORTS_PER_NODE]
        config = NodeConfig(
            node_name=name,
            node_log_style="json",
            p2p_host=HOST,
            p2p_port=p2p_port,
            p2p_peers=peers[index],
            rpc_port=rpc_port,
            ops_port=ops_port,
        )
        config = replace(config, **(settings or {}))
        home.genesis_file.write_bytes(format_genesis(document))
        home.config_file.write_text(format_config(config))
        nodes.append(NodeHome(name, home, config, secrets[index]))
    genesis_hash = compute_genesis_hash(document)
    return PreparedNetwork(tuple(nodes), genesis_hash, compute_signing_domain(chain_id, genesis_hash))


def prepare_twin(original: NodeHome, directory: Path, transport: PrivateKey, peers: Sequence[NodeHome]) -> NodeHome:
    """A second home with the consensus key of the first, and a safety directory that knows of no signature.

    `transport` is its own node key, which the chain has registered; it dials these peers.
    """
    home = Home(directory)
    create_key_file(home.keys / NODE_KEY_FILE, transport)
    shutil.copy(original.home.keys / CONSENSUS_KEY_FILE, home.keys)
    initialise_safety_directory(home.safety)
    shutil.copy(original.home.genesis_file, home.genesis_file)
    p2p_port, rpc_port, ops_port = find_free_ports(PORTS_PER_NODE)
    config = replace(
        original.config,
        node_name=directory.name,
        p2p_port=p2p_port,
        p2p_peers=tuple(_format_peer(_get_node_key(peer.node_secret), peer.config.p2p_port) for peer in peers),
        rpc_port=rpc_port,
        ops_port=ops_port,
    )
    home.config_file.write_text(format_config(config))
    return NodeHome(directory.name, home, config, transport.secret)


def build_observer(name: str, key: PrivateKey) -> GenesisNode:
    """An observer's entry in genesis."""
    node_key, signature = compact_certificate(build_certificate(key.secret))
    return GenesisNode(
        name=name,
        role="observer",
        operator=format_address(compute_key_address(key.public_key), NetworkKind.DEVNET),
        node_key="0x" + node_key.hex(),
        node_certificate_signature="0x" + signature.hex(),
    )


def find_free_ports(count: int) -> list[int]:
    """Ports that nobody listens on and that were not given away before: a node binds its own only when it starts."""
    found: list[int] = []
    ports = get_network_ports()
    for port in random.sample(ports, min(50 * count, len(ports))):
        if port in _GIVEN_PORTS:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((HOST, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
        found.append(port)
        if len(found) == count:
            _GIVEN_PORTS.update(found)
            return found
    raise AssertionError("no free ports")


def _make_keys(name: str, home: Home, transport: PrivateKey, *, is_super: bool) -> GenesisNode:
    home.directory.mkdir(parents=True, exist_ok=True)
    create_key_file(home.keys / NODE_KEY_FILE, transport)
    if not is_super:
        return build_observer(name, transport)
    operator, consensus = generate_key(), generate_key()
    create_key_file(home.keys / CONSENSUS_KEY_FILE, consensus)
    initialise_safety_directory(home.safety)
    address = format_address(compute_key_address(operator.public_key), NetworkKind.DEVNET)
    return build_super_node(name, address, consensus.public_key.key, transport, [])


def _list_peers(
    entries: Sequence[GenesisNode], ports: Sequence[int], peer_port: PeerPort | None
) -> list[tuple[str, ...]]:
    """For each node where it finds the others, as settings name it."""

    def place(dialer: int, listener: int) -> str:
        port = ports[listener] if peer_port is None else peer_port(dialer, listener, ports[listener])
        return _format_peer(bytes.fromhex(entries[listener].node_key.removeprefix("0x")), port)

    everyone = range(len(entries))
    return [tuple(place(dialer, listener) for listener in everyone if listener != dialer) for dialer in everyone]


def _get_node_key(secret: bytes) -> bytes:
    return compact_certificate(build_certificate(secret))[0]


def _format_peer(node_key: bytes, port: int) -> str:
    return f"{node_key.hex()}@{HOST}:{port}"
