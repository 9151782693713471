import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from genesis.build import compute_genesis_hash
from genesis.document import parse_genesis
from node.cli.failures import ExitCode
from node.cli.main import cli
from node.config import load_config
from node.home import Home


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def run_json(*arguments: str) -> Any:
    result = run(*arguments, "--output", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def make_network(place: Path, names: str = "abcd") -> Path:
    file = place / "genesis.json"
    run_json("genesis", "new", str(file), "--network", "devnet", "--chain-id", "four-cars")
    for name in names:
        run_json("init", "--home", str(place / name), "--name", name, "--address", f"{name}.example:9000")
        run_json("genesis", "add-node", str(file), "--node", str(place / name / "genesis-node.json"))
    return file


def test_four_operators_make_a_network(tmp_path: Path) -> None:
    file = make_network(tmp_path)
    document = parse_genesis(file.read_bytes())
    assert [node.name for node in document.super_nodes] == ["a", "b", "c", "d"]
    assert document.nodes[2].addresses == ["c.example:9000"]
    expected = "0x" + compute_genesis_hash(document).hex()
    assert run_json("genesis", "check", str(file))["genesisHash"] == expected
    assert run("genesis", "hash", str(file)).stdout.strip() == expected
    assert run("genesis", "show", str(file)).stdout.count("super_node") == 4


def test_init_makes_three_private_keys_and_a_configuration(tmp_path: Path) -> None:
    shown = run_json("init", "--home", str(tmp_path / "x"), "--name", "x", "--address", "x.example:9000")
    home = Home(tmp_path / "x")
    assert sorted(path.name for path in home.keys.iterdir()) == ["account.key", "consensus.key", "node.key"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in [home.keys, *home.keys.iterdir()])
    config = load_config(home.config_file, {}, {})
    assert (config.node_name, config.p2p_port) == ("x", 9000)
    entry = json.loads((tmp_path / "x" / "genesis-node.json").read_text())
    assert entry["consensus_key"] == shown["consensusKey"] != entry["node_key"]
    secrets = [json.loads(path.read_text())["secret"] for path in home.keys.iterdir()]
    assert not any(secret in json.dumps([shown, entry]) for secret in secrets)


def test_init_leaves_a_home_alone_that_is_there(tmp_path: Path) -> None:
    run_json("init", "--home", str(tmp_path / "x"))
    before = {path: path.read_bytes() for path in (tmp_path / "x").rglob("*") if path.is_file()}
    assert run("init", "--home", str(tmp_path / "x")).exit_code == ExitCode.WRONG_USE
    assert {path: path.read_bytes() for path in (tmp_path / "x").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "arguments", [["--address", "nonsense"], ["--address", "h:0"], ["--operator", "iovt1xyz"], ["--name", "n" * 65]]
)
def test_init_refuses_what_genesis_would_refuse_and_writes_nothing(tmp_path: Path, arguments: list[str]) -> None:
    result = run("init", "--home", str(tmp_path / "x"), *arguments)
    assert result.exit_code == ExitCode.WRONG_USE
    assert not (tmp_path / "x").exists()


def test_an_account_key_of_a_real_network_is_encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARLIVE_PASSWORD", raising=False)
    home = tmp_path / "x"
    refused = run("init", "--home", str(home), "--network", "testnet")
    assert refused.exit_code == ExitCode.WRONG_USE
    assert not home.exists()
    monkeypatch.setenv("CARLIVE_PASSWORD", "correct horse")
    assert run("init", "--home", str(home), "--network", "testnet").exit_code == 0
    assert json.loads((home / "keys" / "account.key").read_text())["encryption"] != "none"


def test_an_operator_may_keep_the_account_elsewhere(tmp_path: Path) -> None:
    operator = run_json("keys", "show", "dev3")["devnetAddress"]
    assert run_json("init", "--home", str(tmp_path / "x"), "--operator", operator)["operator"] == operator
    assert not (tmp_path / "x" / "keys" / "account.key").exists()


def test_a_node_is_not_added_twice(tmp_path: Path) -> None:
    file = make_network(tmp_path, "a")
    before = file.read_bytes()
    result = run("genesis", "add-node", str(file), "--node", str(tmp_path / "a" / "genesis-node.json"))
    assert result.exit_code == ExitCode.WRONG_USE
    assert "twice" in result.stderr
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b"null", b'"x"', b" " * 70_000])
def test_a_bad_snippet_changes_nothing(tmp_path: Path, content: bytes) -> None:
    file = make_network(tmp_path, "a")
    before = file.read_bytes()
    (tmp_path / "bad.json").write_bytes(content)
    result = run("genesis", "add-node", str(file), "--node", str(tmp_path / "bad.json"))
    assert result.exit_code == ExitCode.WRONG_USE, result.output
    assert result.stderr.count("\n") == 1
    assert file.read_bytes() == before


def test_a_certificate_signed_by_another_key_is_refused(tmp_path: Path) -> None:
    file = make_network(tmp_path, "ab")
    snippet = tmp_path / "c.json"
    run_json("init", "--home", str(tmp_path / "c"), "--name", "c")
    entry = json.loads((tmp_path / "c" / "genesis-node.json").read_text())
    stolen = json.loads((tmp_path / "a" / "genesis-node.json").read_text())
    snippet.write_text(json.dumps(entry | {"node_certificate_signature": stolen["node_certificate_signature"]}))
    result = run("genesis", "add-node", str(file), "--node", str(snippet))
    assert result.exit_code == ExitCode.WRONG_USE
    assert "did not sign" in result.stderr


def test_a_real_network_needs_four_super_nodes(tmp_path: Path) -> None:
    file = tmp_path / "genesis.json"
    run_json("genesis", "new", str(file), "--network", "mainnet", "--chain-id", "carlive-1")
    result = run("genesis", "check", str(file))
    assert result.exit_code == ExitCode.WRONG_USE
    assert "add-node" in result.stderr


def test_funded_accounts_come_out_of_the_subscription_share(tmp_path: Path) -> None:
    address = run_json("keys", "show", "dev3")["testnetAddress"]
    file = tmp_path / "genesis.json"
    fund = f"{address}=12.5"
    run_json("genesis", "new", str(file), "--network", "testnet", "--chain-id", "car-test", "--fund", fund)
    amounts = {
        each.account or each.module: int(each.amount_grains) for each in parse_genesis(file.read_bytes()).allocations
    }
    assert amounts[address] == 1_250_000_000
    assert amounts["subscription"] == 25 * 10**16 - 1_250_000_000


@pytest.mark.parametrize("arguments", [["--chain-id", "X"], ["--chain-id", "ok-chain", "--fund", "x"]])
def test_a_genesis_that_breaks_a_rule_is_not_written(tmp_path: Path, arguments: list[str]) -> None:
    file = tmp_path / "genesis.json"
    assert run("genesis", "new", str(file), "--network", "devnet", *arguments).exit_code == ExitCode.WRONG_USE
    assert not file.exists()


def test_an_existing_genesis_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "genesis.json"
    file.write_text("precious")
    result = run("genesis", "new", str(file), "--network", "devnet", "--chain-id", "ok-chain")
    assert result.exit_code == ExitCode.WRONG_USE
    assert file.read_text() == "precious"
