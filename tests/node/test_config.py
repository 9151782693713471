"""Settings: where they come from, which wins, and what the operator hears about a mistake."""

import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.mempool import MempoolLimits
from ledger.transaction import TRANSACTION_BYTES_MAX
from node import config as config_module
from node.config import (
    MEMPOOL_BYTES_MIN,
    PROCESSES_MAX,
    SIGNER_NODES_MAX,
    NodeConfig,
    SignerConfig,
    format_config,
    list_settings,
    load_config,
    load_signer_config,
    read_process_environment,
)
from node.errors import ConfigurationError
from node.verifier import WORKERS_MAX


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refuse(path: Path, *words: str, environment=None, flags=None) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load_config(path, environment or {}, flags or {})
    message = str(refusal.value)
    for word in words:
        assert word in message, message
    assert "\n" not in message


def test_without_anything_the_defaults_hold(tmp_path):
    assert load_config(tmp_path / "absent.toml", {}, {}) == NodeConfig()


def test_file_then_environment_then_flag(tmp_path):
    path = write(tmp_path, '[rpc]\nport = 1\nhost = "file"\nbatch_calls_max = 11\n')
    environment = {"CARLIVE_RPC_PORT": "2", "CARLIVE_RPC_HOST": "environment"}
    config = load_config(path, environment, {"rpc_port": "3", "rpc_host": None})
    assert (config.rpc_port, config.rpc_host, config.rpc_batch_calls_max) == (3, "environment", 11)
    assert replace(config, rpc_port=8645, rpc_host="127.0.0.1", rpc_batch_calls_max=1_000) == NodeConfig()


def test_every_setting_can_come_from_each_source(tmp_path):
    texts = {bool: "true", int: "7", str: "json", tuple: "a=info,b=debug"}
    unusual = {
        "mempool_bytes_max": str(2**20),
        "sync_checkpoint": "7:0x" + "0a" * 32,
        "storage_keep_blocks": "128",
        "signer_kind": "remote",
        "signer_address": "signer.example:8648",
        "signer_certificate": "ab" * 96,
        "signer_public_key": "ab" * 32,
    }
    for each in fields(NodeConfig):
        text = unusual.get(each.name, texts[type(each.default)])
        from_environment = load_config(tmp_path / "none", {f"CARLIVE_{each.name.upper()}": text}, {})
        from_flag = load_config(tmp_path / "none", {}, {each.name: text})
        from_file = load_config(write(tmp_path, format_config(from_flag)), {}, {})
        assert from_environment == from_flag == from_file
        assert getattr(from_flag, each.name) != each.default or each.default is True


def test_the_written_file_reads_back_as_it_was(tmp_path):
    config = NodeConfig(
        node_name='Werkstatt "Süd" \\ 车',
        node_log_levels=("default=info", "p2p=debug"),
        rpc_allowed_origins=("https://a.example", 'odd"\\origin'),
        dev_enabled=True,
        mempool_bytes_max=2**30,
    )
    assert load_config(write(tmp_path, format_config(config)), {}, {}) == config


def test_the_template_explains_every_setting():
    template = format_config(NodeConfig())
    lines = template.splitlines()
    parsed = tomllib.loads(template)
    for each in fields(NodeConfig):
        section, key = each.metadata["section"], each.name.removeprefix(each.metadata["section"] + "_")
        assert key in parsed[section], each.name
        assert f"# {each.metadata['help']}" in lines
        assert each.metadata["help"].endswith(".")
    assert sum(len(table) for table in parsed.values()) == len(fields(NodeConfig)) == len(list_settings())


@given(st.text(max_size=64))
def test_any_text_survives_the_file_or_is_refused(tmp_path_factory, text):
    config = NodeConfig(rpc_host=text)
    try:
        written = format_config(config).encode()
    except UnicodeEncodeError:
        return  # half a surrogate pair is no text
    parsed = tomllib.loads(written.decode())
    assert parsed["rpc"]["host"] == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[rpc\n", ["not valid TOML"]),
        ("[rpc]\nport = \n", ["not valid TOML"]),
        ("[rpc]\nport = 1\nport = 2\n", ["not valid TOML"]),
        ("port = 1\n", ["port stands outside a section"]),
        ("[rpc]\nporrt = 1\n", ["no setting porrt under [rpc]"]),
        ("[net]\nport = 1\n", ["no setting port under [net]"]),
        ("[rpc]\np2p_port = 1\n", ["no setting p2p_port"]),
        ('[rpc]\nport = "8645"\n', ["[rpc] port is a int", "'8645'"]),
        ("[rpc]\nport = true\n", ["[rpc] port is a int"]),
        ("[rpc]\nport = 8645.0\n", ["[rpc] port is a int"]),
        ("[dev]\nenabled = 1\n", ["[dev] enabled is a bool"]),
        ('[p2p]\npeers = "a"\n', ["[p2p] peers is a list of texts"]),
        ("[p2p]\npeers = [1]\n", ["[p2p] peers is a list of texts"]),
        ("[rpc]\n[rpc.port]\nx = 1\n", ["[rpc] port is a int"]),
        ("[rpc]\nport = 70000\n", ["rpc_port is from 0 to 65535, not 70000"]),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path, text, words):
    path = write(tmp_path, text)
    refuse(path, str(path) if "is from" not in words[0] else "", *words)


def test_a_file_that_is_not_text_or_not_a_file_is_refused(tmp_path):
    path = tmp_path / "config.toml"
    path.write_bytes(b'[node]\nname = "\xff\xfe"\n')
    refuse(path, "not valid TOML")
    directory = tmp_path / "directory"
    directory.mkdir()
    refuse(directory, "cannot be read")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("rpc_port", "eighty", ["is a number, not 'eighty'"]),
        ("rpc_port", "", ["is a number"]),
        ("rpc_port", "9" * 5000, ["is a number"]),
        ("rpc_port", "-1", ["rpc_port is from 0 to 65535"]),
        ("dev_enabled", "yes", ["is true or false, not 'yes'"]),
        ("node_log_style", "xml", ["auto, pretty, json", "'xml'"]),
        ("node_name", "", ["node_name is 1 to 64 printable"]),
        ("node_name", "two\nlines", ["node_name is 1 to 64 printable"]),
        ("node_name", "n" * 65, ["node_name is 1 to 64 printable"]),
        ("mempool_bytes_max", "1000", ["mempool_bytes_max is from 1048576"]),
        ("mempool_transactions_max", "0", ["mempool_transactions_max is from 1"]),
        ("verify_processes", "17", ["verify_processes is from -1 to 16"]),
        ("verify_processes", "-2", ["verify_processes is from -1 to 16"]),
        ("storage_free_bytes_min", "-1", ["storage_free_bytes_min is from 0"]),
        ("ops_ready_silence_ms", "0", ["ops_ready_silence_ms is from 1"]),
        ("p2p_inbound_max", "-5", ["p2p_inbound_max is from 0"]),
        ("rpc_connections_per_address_max", "0", ["rpc_connections_per_address_max is from 1"]),
    ],
)
def test_a_mistake_in_environment_or_flag_is_named(tmp_path, name, text, words):
    variable = f"CARLIVE_{name.upper()}"
    says_source = "is a number" in words[0] or "true or false" in words[0]
    refuse(tmp_path / "none", *words, variable if says_source else "", environment={variable: text})
    flag = "--" + name.replace("_", "-")
    refuse(tmp_path / "none", *words, flag if says_source else "", flags={name: text})


def test_every_number_has_bounds_that_hold_its_default():
    numbers = {each.name for each in fields(NodeConfig) if type(each.default) is int}
    assert set(config_module._BOUNDS) == numbers


def test_the_bounds_are_those_of_the_parts_that_take_them():
    assert PROCESSES_MAX == WORKERS_MAX
    assert MEMPOOL_BYTES_MIN >= TRANSACTION_BYTES_MAX
    MempoolLimits(transactions_max=1, bytes_max=MEMPOOL_BYTES_MIN)


def test_lists_are_split_at_commas_and_blanks_dropped(tmp_path):
    config = load_config(tmp_path / "none", {"CARLIVE_P2P_PEERS": " a@b:1 ,, c@d:2, "}, {})
    assert config.p2p_peers == ("a@b:1", "c@d:2")
    assert load_config(tmp_path / "none", {"CARLIVE_P2P_PEERS": ""}, {}).p2p_peers == ()


def test_only_our_own_variables_are_taken(monkeypatch):
    monkeypatch.setenv("CARLIVE_RPC_PORT", "1234")
    monkeypatch.setenv("RPC_PORT", "99")
    environment = read_process_environment()
    assert environment["CARLIVE_RPC_PORT"] == "1234"
    assert all(name.startswith("CARLIVE_") for name in environment)


def test_a_checkpoint_that_names_no_block_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="sync_checkpoint: a checkpoint is HEIGHT:0xBLOCKHASH, not '7'"):
        load_config(tmp_path / "none", {}, {"sync_checkpoint": "7"})


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("signer_kind", "hsm", "file, pkcs11, remote"),
        ("signer_address", "nowhere", "host:port"),
        ("signer_certificate", "ab" * 95, "192"),
        ("signer_public_key", "zz" * 32, "64"),
    ],
)
def test_a_bad_setting_of_the_signer_is_named(tmp_path, name, text, word):
    refuse(tmp_path / "none", name, word, flags={name: text})


SIGNER = SignerConfig(signer_nodes=("ab" * 96,), chain_id="carlive", chain_genesis_hash="0x" + "cd" * 32)


def test_a_signers_file_reads_back_as_it_was(tmp_path):
    path = write(tmp_path, format_config(SIGNER))
    assert load_signer_config(path, {}, {}) == SIGNER
    environment = {"CARLIVE_SIGNER_LISTEN": "127.0.0.1:1"}
    assert load_signer_config(path, environment, {}) == replace(SIGNER, signer_listen="127.0.0.1:1")
    assert load_signer_config(path, environment, {"signer_listen": "[::1]:2"}).signer_listen == "[::1]:2"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("signer_kind", "remote"),
        ("signer_listen", "8648"),
        ("signer_nodes", ()),
        ("signer_nodes", ("ab" * 96,) * (SIGNER_NODES_MAX + 1)),
        ("signer_nodes", ("ab",)),
        ("chain_genesis_hash", ""),
        ("node_log_style", "loud"),
    ],
)
def test_a_bad_setting_of_a_signer_is_refused(tmp_path, name, value):
    path = write(tmp_path, format_config(replace(SIGNER, **{name: value})))
    with pytest.raises(ConfigurationError, match=name):
        load_signer_config(path, {}, {})


def test_no_setting_holds_a_pin():
    names = [each.name for kind in (NodeConfig, SignerConfig) for each in fields(kind)]
    assert [name for name in names if "pin" in name.split("_")] == ["pkcs11_pin_file", "pkcs11_pin_file"]
