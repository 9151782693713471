"""What a devnet is on disk: homes, keys, genesis and ports of nodes that all run on this machine.

| path under the home | what                                                             |
|---------------------|------------------------------------------------------------------|
| devnet.json         | number of validators and first port                              |
| genesis.json        | the genesis that every node got a copy of; written last          |
| node-0, node-1, …   | a node's home each, and its log node.log                         |
| snapshots/          | kept by dev_snapshot, one directory per number                   |
| lock, control.sock  | held and served by the supervisor while it runs                  |
"""

import errno
import fcntl
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genesis.build import build_parameters, compute_genesis_hash
from genesis.document import GenesisDocument, GenesisError, GenesisNode, format_genesis, parse_genesis
from genesis.presets import DEVELOPMENT_BOND_GRAINS, build_devnet
from identity.address import NetworkKind, compute_key_address, format_address
from identity.keys import PrivateKey
from ledger.committee import COMMITTEE_MEMBERS_MAX
from ledger.primitives import BlockHash
from node.atomic_file import make_private_directory, replace_file
from node.config import NodeConfig, format_config
from node.errors import ConfigurationError
from node.home import Home
from node.key_files import CONSENSUS_KEY_FILE, NODE_KEY_FILE, create_key_file, generate_key
from node.safety_file import initialise_safety_directory
from p2p.certificate import build_certificate, compact_certificate

VALIDATORS_DEFAULT: Final = 4
PORT_DEFAULT: Final = 8645
PORTS_PER_NODE: Final = 10
PORT_MAX: Final = 65_535
ACCOUNT_KEY_FILE: Final = "account.key"
HOST: Final = "127.0.0.1"
LOCK_FILE: Final = "lock"

_SETTINGS_FILE: Final = "devnet.json"
_GENESIS_FILE: Final = "genesis.json"
_SNAPSHOTS: Final = "snapshots"
_REVERTING_FILE: Final = "reverting"
_NODE_PREFIX: Final = "node-"
_SHORTENED: Final = (
    "absence_heights_max",
    "voting_heights_normal",
    "voting_heights_urgent",
    "voting_heights_emergency",
)
"""Parameters that keep their proportion to an epoch when a devnet has shorter ones."""


@dataclass(frozen=True, slots=True)
class PortUse:
    """A port of a node and what it is for."""

    port: int
    purpose: str


@dataclass(frozen=True, slots=True)
class DevnetNode:
    """One node: its number, home and ports."""

    index: int
    home: Home
    port: int
    """The RPC port; p2p and ops follow it."""

    @property
    def name(self) -> str:
        """As it stands in logs and in its home's path."""
        return f"{_NODE_PREFIX}{self.index}"

    @property
    def p2p_port(self) -> int:
        """Where peers connect."""
        return self.port + 1

    @property
    def ops_port(self) -> int:
        """Where the operators' endpoints are."""
        return self.port + 2

    @property
    def log_file(self) -> Path:
        """Everything it logs."""
        return self.home.directory / "node.log"

    @property
    def rpc_url(self) -> str:
        """Base of the JSON-RPC URL."""
        return f"http://{HOST}:{self.port}"

    @property
    def websocket_url(self) -> str:
        """Where subscriptions connect."""
        return f"ws://{HOST}:{self.port}/ws"

    @property
    def ops_url(self) -> str:
        """Base of the operators' endpoints."""
        return f"http://{HOST}:{self.ops_port}"

    def list_ports(self) -> list[PortUse]:
        """Every port it listens on."""
        return [
            PortUse(self.port, f"RPC of {self.name}"),
            PortUse(self.p2p_port, f"peers of {self.name}"),
            PortUse(self.ops_port, f"operators' endpoints of {self.name}"),
        ]


@dataclass(frozen=True, slots=True)
class Devnet:
    """A devnet that is ready to start."""

    directory: Path
    document: GenesisDocument
    genesis_hash: BlockHash
    nodes: tuple[DevnetNode, ...]

    @property
    def snapshots(self) -> Path:
        """One directory a snapshot."""
        return self.directory / _SNAPSHOTS

    @property
    def reverting_file(self) -> Path:
        """Names the snapshot while a revert is under way, so that an interrupted one is finished."""
        return self.directory / _REVERTING_FILE

    @property
    def control_socket(self) -> Path:
        """Where nodes and the supervisor meet."""
        return self.directory / "control.sock"


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    validators: Annotated[int, Field(ge=1, le=COMMITTEE_MEMBERS_MAX)]
    port: Annotated[int, Field(ge=1, le=PORT_MAX)]


def prepare_devnet(
    directory: Path,
    validators: int | None,
    port: int | None,
    *,
    is_fresh: bool,
    epoch_heights: int | None = None,
) -> Devnet:
    """Continue the devnet of this directory, or make one; the caller holds its lock. Raises ConfigurationError.

    None takes what the devnet was made with, and the default for a new one.
    """
    settings = _load_settings(directory)
    if is_fresh:
        _remove_devnet(directory, settings)
    is_made = not is_fresh and settings is not None and (directory / _GENESIS_FILE).exists()
    if is_made and settings is not None:
        if validators is not None and validators != settings.validators:
            raise ConfigurationError(
                f"the devnet in {directory} has {settings.validators} validators, and its committee stands in its "
                f"genesis: start it without --validators, or begin anew with --fresh --validators {validators}"
            )
        validators = settings.validators
        _check_epoch(directory, epoch_heights)
    port = port if port is not None else settings.port if settings is not None else PORT_DEFAULT
    validators = validators if validators is not None else VALIDATORS_DEFAULT
    _check_bounds(validators, port)
    if not is_made and not is_fresh:
        _remove_devnet(directory, settings)  # what an interrupted start left
    replace_file(directory / _SETTINGS_FILE, _Settings(validators=validators, port=port).model_dump_json().encode())
    nodes = tuple(
        DevnetNode(index, Home(directory / f"{_NODE_PREFIX}{index}"), port + PORTS_PER_NODE * index)
        for index in range(validators)
    )
    if not is_made:
        _create(directory, nodes, epoch_heights)
    _write_configs(nodes, document := parse_genesis((directory / _GENESIS_FILE).read_bytes()))
    return Devnet(directory, document, compute_genesis_hash(document), nodes)


@contextmanager
def hold_devnet_lock(directory: Path) -> Iterator[None]:
    """Make the directory this process's own until the end; raises ConfigurationError when another one holds it."""
    _check_directory(directory)
    make_private_directory(directory)
    descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise ConfigurationError(
                f"a devnet already runs in {directory} (process {holder}): stop it, or give another --home and --port"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def check_ports_free(nodes: tuple[DevnetNode, ...]) -> None:
    """Raises ConfigurationError naming the first port that something else listens on."""
    for node in nodes:
        for use in node.list_ports():
            if not _is_port_free(use.port):
                raise ConfigurationError(
                    f"port {use.port} ({use.purpose}) is in use: stop what listens there, "
                    f"or choose other ports with --port (each node takes 3, {PORTS_PER_NODE} apart)"
                )


def build_super_node(
    name: str, operator: str, consensus_key: bytes, node: PrivateKey, addresses: list[str], bond_grains: int = 0
) -> GenesisNode:
    """A super node's entry in a genesis document; raises ConfigurationError."""
    key, signature = compact_certificate(build_certificate(node.secret))
    try:
        return GenesisNode(
            name=name,
            role="super_node",
            operator=operator,
            consensus_key="0x" + consensus_key.hex(),
            node_key="0x" + key.hex(),
            node_certificate_signature="0x" + signature.hex(),
            addresses=addresses,
            bond_grains=str(bond_grains),
        )
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "node"
        raise ConfigurationError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from None


def _load_settings(directory: Path) -> _Settings | None:
    path = directory / _SETTINGS_FILE
    try:
        return _Settings.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        raise ConfigurationError(f"{path} is damaged: delete {directory} to begin anew") from None


def _check_directory(directory: Path) -> None:
    """A directory that holds anything but a devnet is left alone: --fresh would delete from it."""
    if not directory.exists():
        return
    if not directory.is_dir():
        raise ConfigurationError(f"{directory} is not a directory: choose another --home")
    strangers = [path.name for path in directory.iterdir() if path.name != LOCK_FILE]
    if strangers and _SETTINGS_FILE not in strangers:
        raise ConfigurationError(f"{directory} holds something other than a devnet: choose an empty or new --home")


def _remove_devnet(directory: Path, settings: _Settings | None) -> None:
    """Delete what a devnet made, by name, genesis first: without it what remains counts as unfinished."""
    if settings is None:
        return
    for name in (_GENESIS_FILE, _REVERTING_FILE):
        (directory / name).unlink(missing_ok=True)
    homes = [directory / f"{_NODE_PREFIX}{index}" for index in range(COMMITTEE_MEMBERS_MAX)]
    for path in [*homes, directory / _SNAPSHOTS]:
        if path.exists():
            shutil.rmtree(path)


def _check_bounds(validators: int, port: int) -> None:
    if not 1 <= validators <= COMMITTEE_MEMBERS_MAX:
        raise ConfigurationError(f"--validators is from 1 to {COMMITTEE_MEMBERS_MAX}, not {validators}")
    port_last = PORT_MAX - PORTS_PER_NODE * validators
    if not 1 <= port <= port_last:
        raise ConfigurationError(f"--port is from 1 to {port_last} for {validators} validators, not {port}")


def _check_epoch(directory: Path, epoch_heights: int | None) -> None:
    """The length of an epoch stands in the genesis of a devnet that is there."""
    made = parse_genesis((directory / _GENESIS_FILE).read_bytes()).parameters.epoch_heights
    if epoch_heights is not None and epoch_heights != made:
        raise ConfigurationError(
            f"the devnet in {directory} began with epochs of {made} blocks: start it without --epoch-heights, "
            f"or begin anew with --fresh --epoch-heights {epoch_heights}"
        )


def _shorten_epochs(document: GenesisDocument, epoch_heights: int) -> GenesisDocument:
    """Everything that is measured in epochs' worth of blocks shrinks with them."""
    parameters = document.parameters
    shares = {
        name: max(1, getattr(parameters, name) * epoch_heights // parameters.epoch_heights) for name in _SHORTENED
    }
    shorter = parameters.model_copy(update={**shares, "epoch_heights": epoch_heights})
    changed = document.model_copy(update={"parameters": shorter})
    try:
        build_parameters(changed)
    except GenesisError as error:
        raise ConfigurationError(f"--epoch-heights {epoch_heights} is not possible: {error}") from None
    return changed


def _create(directory: Path, nodes: tuple[DevnetNode, ...], epoch_heights: int | None) -> None:
    entries = []
    for node in nodes:
        make_private_directory(node.home.directory)
        operator, consensus, transport = (generate_key() for _ in range(3))
        create_key_file(node.home.keys / ACCOUNT_KEY_FILE, operator)
        create_key_file(node.home.keys / CONSENSUS_KEY_FILE, consensus)
        create_key_file(node.home.keys / NODE_KEY_FILE, transport)
        initialise_safety_directory(node.home.safety)
        address = format_address(compute_key_address(operator.public_key), NetworkKind.DEVNET)
        entries.append(
            build_super_node(node.name, address, consensus.public_key.key, transport, [], DEVELOPMENT_BOND_GRAINS)
        )
    document = build_devnet(time.time_ns() // 1_000_000, entries)
    if epoch_heights is not None:
        document = _shorten_epochs(document, epoch_heights)
    text = format_genesis(document)
    for node in nodes:
        replace_file(node.home.genesis_file, text)
    replace_file(directory / _GENESIS_FILE, text)


def _write_configs(nodes: tuple[DevnetNode, ...], document: GenesisDocument) -> None:
    """Anew at every start: ports and peers follow --port."""
    keys = {entry.name: entry.node_key.removeprefix("0x") for entry in document.nodes}
    for node in nodes:
        peers = [f"{keys[peer.name]}@{HOST}:{peer.p2p_port}" for peer in nodes if peer is not node]
        config = NodeConfig(
            node_name=node.name,
            node_log_style="json",
            p2p_host=HOST,
            p2p_port=node.p2p_port,
            p2p_peers=tuple(peers),
            rpc_host=HOST,
            rpc_port=node.port,
            ops_host=HOST,
            ops_port=node.ops_port,
            dev_enabled=True,
        )
        replace_file(node.home.config_file, format_config(config).encode())


def _is_port_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the nodes do: closed connections may linger
        try:
            listener.bind((HOST, port))
            listener.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True
