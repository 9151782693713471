import socket
from pathlib import Path

import pytest

from genesis.presets import DEVELOPMENT_BOND_GRAINS, DEVELOPMENT_OPERATOR_GRAINS
from node.config import load_config
from node.devnet import Devnet, check_ports_free, hold_devnet_lock, prepare_devnet
from node.errors import ConfigurationError
from node.key_files import load_ed25519_key_file
from tests.ports import get_network_ports


def prepare(
    directory: Path,
    validators: int | None = None,
    port: int | None = None,
    *,
    is_fresh: bool = False,
    epoch_heights: int | None = None,
) -> Devnet:
    with hold_devnet_lock(directory):
        return prepare_devnet(directory, validators, port, is_fresh=is_fresh, epoch_heights=epoch_heights)


def test_four_nodes_by_default_with_ports_ten_apart(tmp_path: Path) -> None:
    devnet = prepare(tmp_path / "d")
    assert [(node.port, node.p2p_port, node.ops_port) for node in devnet.nodes] == [
        (8645, 8646, 8647),
        (8655, 8656, 8657),
        (8665, 8666, 8667),
        (8675, 8676, 8677),
    ]
    assert [node.name for node in devnet.document.super_nodes] == ["node-0", "node-1", "node-2", "node-3"]


def test_every_operator_has_a_bond_and_something_to_spend(tmp_path: Path) -> None:
    document = prepare(tmp_path / "d").document
    assert [node.bond_grains for node in document.super_nodes] == [str(DEVELOPMENT_BOND_GRAINS)] * 4
    funded = {each.account: each.amount_grains for each in document.allocations if each.account is not None}
    assert [funded[node.operator] for node in document.super_nodes] == [str(DEVELOPMENT_OPERATOR_GRAINS)] * 4


def test_each_node_has_its_own_keys_and_knows_the_others(tmp_path: Path) -> None:
    devnet = prepare(tmp_path / "d", 4, 20_000)
    secrets = set()
    for node in devnet.nodes:
        config = load_config(node.home.config_file, {}, {})
        assert (config.rpc_port, config.p2p_port, config.ops_port) == (node.port, node.p2p_port, node.ops_port)
        assert config.dev_enabled
        own_key = load_ed25519_key_file(node.home.keys / "node.key").public_key.key.hex()
        assert len(config.p2p_peers) == 3
        assert not any(peer.startswith(own_key) for peer in config.p2p_peers)
        assert node.home.genesis_file.read_bytes() == (devnet.directory / "genesis.json").read_bytes()
        secrets |= {path.read_text() for path in node.home.keys.iterdir()}
    assert len(secrets) == 12


def test_starting_again_continues_the_same_chain(tmp_path: Path) -> None:
    first = prepare(tmp_path / "d", 1, 20_000)
    again = prepare(tmp_path / "d")
    assert again == first


def test_fresh_begins_another_chain_and_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    first = prepare(tmp_path / "d", 4)
    (first.nodes[3].home.data).mkdir()
    fresh = prepare(tmp_path / "d", 1, is_fresh=True)
    assert fresh.genesis_hash != first.genesis_hash
    assert not first.nodes[3].home.directory.exists()


def test_another_number_of_validators_needs_fresh(tmp_path: Path) -> None:
    prepare(tmp_path / "d", 4)
    with pytest.raises(ConfigurationError, match="--fresh --validators 1"):
        prepare(tmp_path / "d", 1)


def test_another_port_keeps_the_chain_and_moves_the_peers(tmp_path: Path) -> None:
    first = prepare(tmp_path / "d", 2, 20_000)
    moved = prepare(tmp_path / "d", port=30_000)
    assert moved.genesis_hash == first.genesis_hash
    assert load_config(moved.nodes[0].home.config_file, {}, {}).p2p_peers[0].endswith(":30011")
    assert prepare(tmp_path / "d") == moved


def test_an_interrupted_first_start_is_begun_again(tmp_path: Path) -> None:
    first = prepare(tmp_path / "d", 2)
    (tmp_path / "d" / "genesis.json").unlink()
    again = prepare(tmp_path / "d", 3)
    assert len(again.nodes) == 3
    assert again.genesis_hash != first.genesis_hash


@pytest.mark.parametrize("is_fresh", [False, True])
def test_a_directory_of_something_else_is_left_alone(tmp_path: Path, is_fresh: bool) -> None:
    (tmp_path / "d" / "node-0").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="something other"):
        prepare(tmp_path / "d", is_fresh=is_fresh)
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["node-0"]


def test_a_file_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("x")
    with pytest.raises(ConfigurationError, match="not a directory"):
        prepare(tmp_path / "d")


@pytest.mark.parametrize(("validators", "port"), [(0, 8645), (22, 8645), (-1, 8645), (4, 0), (4, 65_535), (1, -5)])
def test_absurd_numbers_are_refused(tmp_path: Path, validators: int, port: int) -> None:
    with pytest.raises(ConfigurationError, match="--"):
        prepare(tmp_path / "d", validators, port)
    assert not (tmp_path / "d" / "devnet.json").exists()


def test_damaged_settings_are_said(tmp_path: Path) -> None:
    prepare(tmp_path / "d", 1)
    (tmp_path / "d" / "devnet.json").write_text('{"validators": "many"}')
    with pytest.raises(ConfigurationError, match="damaged"):
        prepare(tmp_path / "d")


def test_two_on_one_home_are_refused(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    refusal = pytest.raises(ConfigurationError, match="already runs")
    with hold_devnet_lock(directory), refusal, hold_devnet_lock(directory):
        pytest.fail("both hold it")
    with hold_devnet_lock(tmp_path / "d"):
        pass


def test_a_busy_port_is_named_with_its_purpose(tmp_path: Path) -> None:
    port = get_network_ports()[-1]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        devnet = prepare(tmp_path / "d", 1, port - 1)
        with pytest.raises(ConfigurationError, match=rf"port {port} \(peers of node-0\).*--port"):
            check_ports_free(devnet.nodes)
    check_ports_free(devnet.nodes)


def test_shorter_epochs_shorten_votes_and_absence_with_them(tmp_path: Path) -> None:
    usual = prepare(tmp_path / "usual").document.parameters
    short = prepare(tmp_path / "short", epoch_heights=usual.epoch_heights // 5).document.parameters
    assert short == usual.model_copy(
        update={
            "epoch_heights": usual.epoch_heights // 5,
            "absence_heights_max": usual.absence_heights_max // 5,
            "voting_heights_normal": usual.voting_heights_normal // 5,
            "voting_heights_urgent": usual.voting_heights_urgent // 5,
            "voting_heights_emergency": usual.voting_heights_emergency // 5,
        }
    )


def test_the_shortest_epoch_still_has_votes(tmp_path: Path) -> None:
    parameters = prepare(tmp_path / "d", epoch_heights=2).document.parameters
    assert (parameters.epoch_heights, parameters.voting_heights_emergency) == (2, 1)


def test_another_epoch_needs_fresh(tmp_path: Path) -> None:
    prepare(tmp_path / "d", epoch_heights=20)
    assert prepare(tmp_path / "d").document.parameters.epoch_heights == 20
    assert prepare(tmp_path / "d", epoch_heights=20).document.parameters.epoch_heights == 20
    with pytest.raises(ConfigurationError, match="--fresh --epoch-heights 30"):
        prepare(tmp_path / "d", epoch_heights=30)
