"""A contract's way on a real devnet, from an empty folder to its events, with nothing but commands."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from node.cli.failures import ExitCode
from node.cli.main import cli
from tests.node.test_devnet_network import DEV1, RunningDevnet, find_ports, run_cli

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("devnet")]


@pytest.fixture
def devnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningDevnet]:
    """One node, which writes every module it imports to its log."""
    port = find_ports(1)
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    devnet = RunningDevnet(tmp_path / "devnet", "--validators", "1", "--port", str(port))
    monkeypatch.delenv("PYTHONPROFILEIMPORTTIME")
    monkeypatch.setenv("CARLIVE_NODE", f"http://127.0.0.1:{port}")
    try:
        devnet.wait_for("ready")
        yield devnet
    finally:
        devnet.stop()


def run(*arguments: str) -> Any:
    """What a command prints; it succeeds."""
    result = CliRunner().invoke(cli, [*arguments, "--output", "json"])
    assert result.exit_code == ExitCode.OK, result.output
    return json.loads(result.stdout)


def test_from_an_empty_folder_to_verified_events(devnet: RunningDevnet, tmp_path: Path) -> None:
    project = str(tmp_path / "coin")
    assert len(run("contract", "new", project)["files"]) == 4
    assert run_cli("contract", "test", project, "-p", "no:cacheprovider").returncode == ExitCode.OK
    deployed = run("contract", "deploy", project, "Coin", "1000", "--from", "dev0", "--yes")
    address = deployed["address"]
    paid = run("contract", "call", address, "transfer", "dev1", "100", "--from", "dev0", "--yes")
    (told,) = paid["events"]
    assert told["fields"]["decoded"]["amount"] == "100"
    assert run("contract", "view", address, "balance_of", "dev1")["result"] == "100"
    assert run("contract", "view", address, "balance_of", "dev0")["result"] == "900"
    events = run("contract", "events", address)
    assert [(each["height"], each["fields"]["recipient"], each["fields"]["amount"]) for each in events] == [
        (deployed["height"], told["fields"]["decoded"]["sender"], "1000"),
        (paid["height"], DEV1, "100"),
    ]
    assert run("contract", "verify", address, project)["isSame"] is True
    refused = CliRunner().invoke(
        cli, ["contract", "call", address, "transfer", "dev1", "901", "--from", "dev0", "--yes", "--output", "json"]
    )
    error = json.loads(refused.stderr)["error"]
    assert (error["exitCode"], error["reason"], error["code"]) == (ExitCode.REFUSED, "CONTRACT_CODE", 1)
    imported = re.findall(
        r"^import time: .*\| +(\S+)$", (devnet.home / "node-0" / "node.log").read_text(), re.MULTILINE
    )
    assert "wasmtime" in imported
    assert not [name for name in imported if name.split(".")[0] in ("compiler", "iov")]
