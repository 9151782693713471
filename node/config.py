"""A node's settings: one table for config.toml, environment variables and flags, in rising order of precedence."""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from consensus.light import InvalidCheckpointError, parse_checkpoint
from ledger.primitives import JSON_INTEGER_MAX
from ledger.pruning import KEEP_BLOCKS_MIN
from node.errors import ConfigurationError
from node.key_files import PIN_VARIABLE
from p2p.addresses import InvalidPeerAddressError, parse_peer_address

ENVIRONMENT_PREFIX: Final = "CARLIVE_"
_LOG_STYLES: Final = ("auto", "pretty", "json")
DAYS_MAX: Final = 36_500
NODE_NAME_CHARACTERS_MAX: Final = 64
PORT_MAX: Final = 65_535
COUNT_MAX: Final = 1_000_000  # of calls, connections or transactions: more is a typing error
BYTES_MAX: Final = 2**40
MEMPOOL_BYTES_MIN: Final = 2**20  # the largest transaction fits many times
PROCESSES_MAX: Final = 16
SIGNER_KINDS: Final = ("file", "pkcs11", "remote")
_KEY_HEX_DIGITS: Final = 64
_CERTIFICATE_HEX_DIGITS: Final = 192
SIGNER_NODES_MAX: Final = 8  # a node, those that stand by for it, and their keys before and after a rotation

_BOUNDS: Final = {
    "p2p_port": (0, PORT_MAX),
    "p2p_inbound_max": (0, COUNT_MAX),
    "rpc_port": (0, PORT_MAX),
    "rpc_body_bytes_max": (1, 2**30),
    "rpc_batch_calls_max": (1, COUNT_MAX),
    "rpc_connections_max": (1, COUNT_MAX),
    "rpc_connections_per_address_max": (1, COUNT_MAX),
    "ops_port": (0, PORT_MAX),
    "ops_ready_silence_ms": (1, 24 * 3_600_000),
    "mempool_transactions_max": (1, COUNT_MAX),
    "mempool_bytes_max": (MEMPOOL_BYTES_MIN, BYTES_MAX),
    "verify_processes": (-1, PROCESSES_MAX),
    "storage_free_bytes_min": (0, BYTES_MAX),
    "storage_keep_blocks": (0, JSON_INTEGER_MAX),
    "storage_keep_days": (0, DAYS_MAX),
    "storage_keep_bytes": (0, BYTES_MAX),
}
"""Lowest and highest value of every number among the settings."""


_PKCS11_MODULE: Final = "Absolute path of the PKCS#11 module of the token's vendor."
_PKCS11_TOKEN: Final = "Label of the token."  # noqa: S105  # an explanation
_PKCS11_KEY: Final = "Label of the consensus key in the token; an ed25519 key pair."
_PKCS11_PIN_FILE: Final = f"File of mode 0600 with the token's PIN in its one line; else the variable {PIN_VARIABLE}."


def _setting(section: str, default: Any, explanation: str) -> Any:
    return field(default=default, metadata={"section": section, "help": explanation})


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """Every setting with its default. `rpc_port` is `port` under `[rpc]`, CARLIVE_RPC_PORT and --rpc-port."""

    node_name: str = _setting("node", "super-node", "Name shown to peers and in logs.")
    node_log_style: str = _setting("node", "auto", "auto (readable on a terminal, else JSON), pretty or json.")
    node_log_levels: tuple[str, ...] = _setting(
        "node", ("default=info",), "Level per component, for instance default=info, consensus=debug."
    )
    p2p_host: str = _setting("p2p", "0.0.0.0", "Address to listen on for other nodes.")  # noqa: S104  # peers are remote
    p2p_port: int = _setting("p2p", 8646, "Port to listen on for other nodes.")
    p2p_peers: tuple[str, ...] = _setting(
        "p2p", (), "Where to find peers, as NODEKEY@host:port; adds to the addresses that the chain's registry knows."
    )
    p2p_inbound_max: int = _setting("p2p", 64, "Most connections that others may open to this node.")
    rpc_host: str = _setting("rpc", "127.0.0.1", "Address to serve JSON-RPC and WebSocket on.")
    rpc_port: int = _setting("rpc", 8645, "Port to serve JSON-RPC and WebSocket on.")
    rpc_body_bytes_max: int = _setting("rpc", 2**20, "Largest request body in bytes.")
    rpc_batch_calls_max: int = _setting("rpc", 1_000, "Most calls in one batch.")
    rpc_connections_max: int = _setting("rpc", 1_024, "Most open connections in all.")
    rpc_connections_per_address_max: int = _setting("rpc", 128, "Most open connections from one address.")
    rpc_wallet_page: bool = _setting("rpc", True, "Serve the wallet page at /wallet.")
    rpc_allowed_hosts: tuple[str, ...] = _setting(
        "rpc", (), "Host names this node is reached by, besides localhost and its own address (DNS rebinding guard)."
    )
    rpc_allowed_origins: tuple[str, ...] = _setting(
        "rpc", (), "Web origins whose pages may call this node, for instance https://wallet.example (CORS)."
    )
    ops_host: str = _setting("ops", "127.0.0.1", "Address to serve /livez, /readyz, /metrics and /version on.")
    ops_port: int = _setting("ops", 8647, "Port of the operators' endpoints.")
    ops_ready_silence_ms: int = _setting("ops", 10_000, "/readyz fails when work has waited this long without a block.")
    mempool_transactions_max: int = _setting("mempool", 50_000, "Most transactions waiting for a block.")
    mempool_bytes_max: int = _setting("mempool", 64 * 2**20, "Most bytes of transactions waiting for a block.")
    verify_processes: int = _setting(
        "verify", -1, "Processes that check signatures; 0: in the node itself; -1: one per core but one, at least one."
    )
    storage_free_bytes_min: int = _setting(
        "storage", 256 * 2**20, "Stop signing while the disk has less free space than this; resume when it has more."
    )
    storage_keep_blocks: int = _setting(
        "storage",
        0,
        f"Keep this many of the last blocks and delete older ones, at least {KEEP_BLOCKS_MIN}; 0: keep all.",
    )
    storage_keep_days: int = _setting(
        "storage", 0, "Delete blocks that are older than this many days, all but the last few; 0: keep all."
    )
    storage_keep_bytes: int = _setting(
        "storage", 0, "Delete the oldest blocks while blocks and receipts take more bytes than this; 0: keep all."
    )
    sync_snapshot: bool = _setting(
        "sync", False, "A node without data begins with the state of a recent block instead of executing all blocks."
    )
    sync_checkpoint: str = _setting(
        "sync", "", "HEIGHT:0xBLOCKHASH to follow the chain from instead of genesis; from somebody you trust."
    )
    signer_kind: str = _setting(
        "signer",
        "file",
        "Where the consensus key is: file (keys/consensus.key), pkcs11 (a token) or remote (a signer).",
    )
    signer_address: str = _setting("signer", "", "host:port of the remote signer (carlive signer start).")
    signer_certificate: str = _setting(
        "signer", "", "The remote signer's certificate, 192 hexadecimal digits, as carlive signer show gives it."
    )
    signer_public_key: str = _setting(
        "signer", "", "The consensus key that the remote signer holds, 64 hexadecimal digits."
    )
    pkcs11_module: str = _setting("pkcs11", "", _PKCS11_MODULE)
    pkcs11_token: str = _setting("pkcs11", "", _PKCS11_TOKEN)
    pkcs11_key: str = _setting("pkcs11", "consensus", _PKCS11_KEY)
    pkcs11_pin_file: str = _setting("pkcs11", "", _PKCS11_PIN_FILE)
    dev_enabled: bool = _setting("dev", False, "Serve the dev_ methods; refused unless the chain is a devnet.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerConfig:
    """Every setting of a signer process; read like a node's, from the config.toml of its own home."""

    node_log_style: str = _setting("node", "auto", "auto (readable on a terminal, else JSON), pretty or json.")
    signer_kind: str = _setting("signer", "file", "Where the consensus key is: file (keys/consensus.key) or pkcs11.")
    signer_listen: str = _setting("signer", "127.0.0.1:8648", "host:port to listen on for the nodes that may ask.")
    signer_nodes: tuple[str, ...] = _setting(
        "signer",
        (),
        "Certificates of the nodes that may ask, 192 hexadecimal digits each.",
    )
    chain_id: str = _setting("chain", "", "The chain it signs for, and no other.")
    chain_genesis_hash: str = _setting("chain", "", "Hash of that chain's genesis, as carlive genesis hash gives it.")
    pkcs11_module: str = _setting("pkcs11", "", _PKCS11_MODULE)
    pkcs11_token: str = _setting("pkcs11", "", _PKCS11_TOKEN)
    pkcs11_key: str = _setting("pkcs11", "consensus", _PKCS11_KEY)
    pkcs11_pin_file: str = _setting("pkcs11", "", _PKCS11_PIN_FILE)


C = TypeVar("C", NodeConfig, SignerConfig)


def load_config(path: Path, environment: Mapping[str, str], flags: Mapping[str, Any]) -> NodeConfig:
    """Defaults, then config.toml, then environment, then flags; raises ConfigurationError naming the setting."""
    config = _load(NodeConfig, path, environment, flags)
    _check_bounds(config)
    _check_log_style(config)
    _check_signer(config)
    return config


def load_signer_config(path: Path, environment: Mapping[str, str], flags: Mapping[str, Any]) -> SignerConfig:
    """The same for a signer process."""
    config = _load(SignerConfig, path, environment, flags)
    _check_log_style(config)
    _check_choice("signer_kind", config.signer_kind, ("file", "pkcs11"))
    _check_address("signer_listen", config.signer_listen)
    if not 1 <= len(config.signer_nodes) <= SIGNER_NODES_MAX:
        raise ConfigurationError(
            f"signer_nodes names 1 to {SIGNER_NODES_MAX} certificates, not {len(config.signer_nodes)}"
        )
    for certificate in config.signer_nodes:
        _check_hex("signer_nodes", certificate, _CERTIFICATE_HEX_DIGITS)
    _check_hex("chain_genesis_hash", config.chain_genesis_hash, _KEY_HEX_DIGITS)
    return config


def parse_hex_setting(text: str) -> bytes:
    """The bytes of a hexadecimal setting that was checked when it was loaded; 0x before them may be left out."""
    return bytes.fromhex(text.removeprefix("0x"))


def _load(kind: type[C], path: Path, environment: Mapping[str, str], flags: Mapping[str, Any]) -> C:
    values: dict[str, Any] = {}
    if path.exists():
        values.update(_read_file(kind, path))
    for each in fields(kind):
        variable = ENVIRONMENT_PREFIX + each.name.upper()
        if variable in environment:
            values[each.name] = _parse_text(each, environment[variable], variable)
        if flags.get(each.name) is not None:
            values[each.name] = _parse_text(each, flags[each.name], "--" + each.name.replace("_", "-"))
    return kind(**values)


def read_process_environment() -> Mapping[str, str]:
    """The environment's CARLIVE_ variables."""
    return {name: value for name, value in os.environ.items() if name.startswith(ENVIRONMENT_PREFIX)}


def format_config(config: NodeConfig | SignerConfig) -> str:
    """A config.toml with every key, its explanation and its value."""
    if isinstance(config, NodeConfig):
        title = "node. Each key is also an environment variable (CARLIVE_RPC_PORT) and a flag (--rpc-port)"
    else:
        title = "signer. Each key is also an environment variable (CARLIVE_SIGNER_LISTEN)"
    lines = [f"# CarLive Chain {title}"]
    section = ""
    for each in fields(config):
        if each.metadata["section"] != section:
            section = each.metadata["section"]
            lines += ["", f"[{section}]"]
        lines += [f"# {each.metadata['help']}", f"{_key_of(each)} = {_format_value(getattr(config, each.name))}"]
    return "\n".join(lines) + "\n"


def list_settings() -> list[tuple[str, str, Any]]:
    """Name, explanation and default of every setting, for the command line's flags."""
    return [(each.name, each.metadata["help"], each.default) for each in fields(NodeConfig)]


def _read_file(kind: type[C], path: Path) -> dict[str, Any]:
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}): check what it is and its owner") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from None
    known = {(each.metadata["section"], _key_of(each)): each for each in fields(kind)}
    values = {}
    for section, table in plain.items():
        if not isinstance(table, dict):
            raise ConfigurationError(f"{path}: {section} stands outside a section such as [rpc]")
        for key, value in table.items():
            each = known.get((section, key))
            if each is None:
                raise ConfigurationError(f"{path}: there is no setting {key} under [{section}]")
            values[each.name] = _check_type(each, value, f"{path}: [{section}] {key}")
    return values


def _key_of(each: Any) -> str:
    return str(each.name).removeprefix(each.metadata["section"] + "_")


def _parse_text(each: Any, text: Any, source: str) -> Any:
    if not isinstance(text, str):
        return _check_type(each, list(text) if isinstance(text, tuple) else text, source)
    if isinstance(each.default, bool):
        if text.lower() not in ("true", "false", "1", "0"):
            raise ConfigurationError(f"{source} is true or false, not {text!r}")
        return text.lower() in ("true", "1")
    if isinstance(each.default, int):
        try:
            return int(text)
        except ValueError:
            raise ConfigurationError(f"{source} is a number, not {text!r}") from None
    if isinstance(each.default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _check_type(each: Any, value: Any, source: str) -> Any:
    assert each.default is not MISSING
    if isinstance(each.default, tuple):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigurationError(f"{source} is a list of texts, not {value!r}")
        return tuple(value)
    if type(value) is not type(each.default):
        raise ConfigurationError(f"{source} is a {type(each.default).__name__}, not {value!r}")
    return value


def _format_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(_format_value(item) for item in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML's escapes, but for DEL
    return str(value)


def _check_bounds(config: NodeConfig) -> None:
    for name, (lowest, highest) in _BOUNDS.items():
        value = getattr(config, name)
        if not lowest <= value <= highest:
            raise ConfigurationError(f"{name} is from {lowest} to {highest}, not {value}")
    if 0 < config.storage_keep_blocks < KEEP_BLOCKS_MIN:
        raise ConfigurationError(
            f"storage_keep_blocks is 0, to keep all, or at least {KEEP_BLOCKS_MIN}, not {config.storage_keep_blocks}: "
            "peers that catch up and proofs of the last states need that many"
        )
    if not 1 <= len(config.node_name) <= NODE_NAME_CHARACTERS_MAX or not config.node_name.isprintable():
        raise ConfigurationError(
            f"node_name is 1 to {NODE_NAME_CHARACTERS_MAX} printable characters, not {config.node_name!r}"
        )
    if config.sync_checkpoint:
        try:
            parse_checkpoint(config.sync_checkpoint)
        except InvalidCheckpointError as error:
            raise ConfigurationError(f"sync_checkpoint: {error}") from None


def _check_log_style(config: NodeConfig | SignerConfig) -> None:
    _check_choice("node_log_style", config.node_log_style, _LOG_STYLES)


def _check_signer(config: NodeConfig) -> None:
    _check_choice("signer_kind", config.signer_kind, SIGNER_KINDS)
    if config.signer_address:
        _check_address("signer_address", config.signer_address)
    if config.signer_certificate:
        _check_hex("signer_certificate", config.signer_certificate, _CERTIFICATE_HEX_DIGITS)
    if config.signer_public_key:
        _check_hex("signer_public_key", config.signer_public_key, _KEY_HEX_DIGITS)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{name} is one of {', '.join(choices)}, not {value!r}")


def _check_address(name: str, text: str) -> None:
    try:
        parse_peer_address(text)
    except InvalidPeerAddressError as error:
        raise ConfigurationError(f"{name}: {text!r} is not host:port ({error})") from None


def _check_hex(name: str, text: str, digits: int) -> None:
    bare = text.removeprefix("0x")
    if len(bare) != digits or not all(character in "0123456789abcdefABCDEF" for character in bare):
        raise ConfigurationError(f"{name} is {digits} hexadecimal digits, not {text!r}")
