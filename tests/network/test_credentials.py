"""Credentials on a real devnet: issued, shown, verified, suspended and revoked by commands."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.cli.failures import ExitCode
from tests.node.test_cli_credentials import AUDIENCE, KIND, serving
from tests.node.test_devnet_network import RunningDevnet, find_ports

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("identities")]

SENDING = ("--from", "dev0", "--yes")


class Party:
    """Somebody with a directory and a node to talk to."""

    def __init__(self, url: str, devnet_home: Path, directory: Path) -> None:
        self.directory = directory
        self._environment = {
            **os.environ,
            "CARLIVE_NODE": url,
            "CARLIVE_DEVNET_HOME": str(devnet_home),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """What became of a command."""
        command = [sys.executable, "-P", "-m", "node.cli.main", *words, "--output", "json"]
        return subprocess.run(
            command, cwd=self.directory, env=self._environment, capture_output=True, text=True, timeout=60
        )

    def run(self, *words: str, code: int = 0) -> Any:
        """What a command of `carlive did` prints, which ends with this code."""
        done = self.call("did", *words)
        assert done.returncode == code, done
        return json.loads(done.stdout)

    def create(self, key: str, *words: str) -> str:
        """A new identity."""
        return str(self.run("create", "--key", key, *words, *SENDING)["did"])

    def show_and_verify(self, question: str, code: int = 0) -> Any:
        """A new question, an answer that shows the classes, and what the verifier finds."""
        self.run("credential", "demand", "--audience", AUDIENCE, "--out", f"{question}.json")
        self.run(
            *("credential", "present", "licence", "--disclose", "classes", "--demand", f"{question}.json"),
            *("--key", "dev2", "--out", question),
        )
        return self.run("credential", "verify", question, "--demand", f"{question}.json", code=code)

    def change(self, command: str) -> Any:
        """Change the status of the licence."""
        return self.run("credential", command, "list", "--credential", "licence", "--by", "dev1", *SENDING)


@pytest.fixture
def party(tmp_path: Path) -> Iterator[Party]:
    devnet = RunningDevnet(tmp_path / "devnet", "--validators", "1", "--port", str(find_ports(1)))
    try:
        url = devnet.wait_for("ready")["nodes"][0]["rpc"].removesuffix("/rpc")
        directory = tmp_path / "party"
        directory.mkdir()
        yield Party(url, tmp_path / "devnet", directory)
    finally:
        devnet.close()


def test_a_licence_from_issuing_to_revocation(party: Party) -> None:
    office, driver = party.create("dev1"), party.create("dev2")
    (party.directory / "claims.json").write_text('{"name": "Ada", "classes": ["AM", "B"]}')
    with serving(party.directory) as address:
        begun = party.run(
            *("credential", "new-list", "list", "--issuer", office, "--uri", f"{address}/list/revocation.json"),
            *("--suspension-uri", f"{address}/list/suspension.json", "--by", "dev1", *SENDING),
        )
        assert (begun["status"], begun["version"]) == ("final", "1")
        party.run(
            *("credential", "issue", "--list", "list", "--type", KIND, "--holder", driver, "--claims", "claims.json"),
            *("--by", "dev1", "--out", "licence"),
        )
        verified = party.show_and_verify("first")
        assert (verified["issuer"], verified["holder"]) == (office, driver)
        assert verified["claims"] == {"classes": ["AM", "B"]}
        party.change("suspend")
        assert party.show_and_verify("second", ExitCode.FAILED)["reason"] == "suspended"
        party.change("unsuspend")
        assert [each["version"] for each in party.show_and_verify("third")["status"]] == [1, 2]
        revoked = party.change("revoke")
        assert (revoked["status"], revoked["version"]) == ("final", "2")
        refused = party.show_and_verify("fourth", ExitCode.FAILED)
        assert (refused["check"], refused["reason"]) == ("status", "revoked")
    lists = party.run("credential", "status", office)
    assert [(each["purpose"], each["version"]) for each in lists] == [("revocation", 2), ("suspension", 2)]
