"""The walk of docs/operators.md: a fifth operator joins a running devnet, by commands alone."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from node.cli.main import cli
from tests.node.test_devnet_network import RunningDevnet, find_ports

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("devnet"), pytest.mark.timeout(420)]

VALIDATORS = 4
EPOCH_HEIGHTS = 20
MINED_AT_ONCE = 5
EPOCHS_WAITED_MAX = 8
START_SECONDS_MAX = 30.0


@dataclass(slots=True)
class Fifth:
    """The fifth operator's node, and the commands that its operator types."""

    home: Path
    port: int
    devnet_url: str
    process: "subprocess.Popen[bytes] | None" = None
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def account(self) -> str:
        """Its key, as --from takes it."""
        return str(self.home / "keys" / "account.key")

    @property
    def url(self) -> str:
        """Where its node answers."""
        return f"http://127.0.0.1:{self.port}"

    def run(self, *arguments: str, node: str | None = None) -> Any:
        """What a command prints as JSON; it succeeds."""
        place = ["--node", node or self.devnet_url]
        result = CliRunner().invoke(cli, [*arguments, *place, "--output", "json"])
        assert result.exit_code == 0, f"{arguments}: {result.output}"
        return json.loads(result.stdout)

    def send(self, *arguments: str, signer: str | None = None) -> Any:
        """The same for a command that signs."""
        return self.run(*arguments, "--from", signer or self.account, "--yes")

    def start(self, peers: list[str]) -> None:
        """Start the node and wait until it answers."""
        arguments = [sys.executable, "-m", "node.cli.main", "start", "--home", str(self.home)]
        arguments += ["--rpc-port", str(self.port), "--ops-port", str(self.port + 2)]
        arguments += ["--p2p-host", "127.0.0.1", "--p2p-peers", ",".join(peers), "--verify-processes", "0"]
        log = self.stack.enter_context((self.home / "node.log").open("ab"))
        self.process = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        deadline_s = time.monotonic() + START_SECONDS_MAX
        while CliRunner().invoke(cli, ["status", "--node", self.url]).exit_code != 0:
            assert time.monotonic() < deadline_s, (self.home / "node.log").read_text()[-2_000:]
            time.sleep(0.3)

    def stop(self) -> None:
        """Stop the node in order."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
            self.process = None

    def close(self) -> None:
        """Whatever happened before."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.stack.close()

    def get_status(self, operator: str) -> str | None:
        """How a candidate stands."""
        found = self.run("stake", "candidates")
        return next((str(each["status"]) for each in found if each["operator"] == operator), None)

    def list_committee(self) -> list[str]:
        """The operators of the next block's committee."""
        return [each["operator"] for each in self.run("query", "committee")["members"]]

    def mine_until(self, what: str, is_there: Any) -> None:
        """Let blocks pass until something holds."""
        for _ in range(EPOCHS_WAITED_MAX * EPOCH_HEIGHTS // MINED_AT_ONCE):
            if is_there():
                return
            self.run("dev", "mine", str(MINED_AT_ONCE))
        raise AssertionError(f"waited {EPOCHS_WAITED_MAX} epochs in vain until {what}")


@pytest.fixture
def fifth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fifth]:
    port = find_ports(VALIDATORS + 1)
    home = tmp_path / "d"
    monkeypatch.setenv("CARLIVE_DEVNET_HOME", str(home))
    monkeypatch.setenv("CARLIVE_KEYS_DIR", str(tmp_path / "keys"))
    devnet = RunningDevnet(
        home, "--validators", str(VALIDATORS), "--port", str(port), "--epoch-heights", str(EPOCH_HEIGHTS)
    )
    newcomer = Fifth(tmp_path / "fifth", port + 10 * VALIDATORS, f"http://127.0.0.1:{port}")
    try:
        devnet.wait_for("ready")
        yield newcomer
    finally:
        newcomer.close()
        devnet.stop()


def test_a_fifth_operator_is_admitted_elected_jailed_and_elected_again(fifth: Fifth, tmp_path: Path) -> None:
    # its keys, and some money
    address = f"127.0.0.1:{fifth.port + 1}"
    made = CliRunner().invoke(
        cli, ["init", "--home", str(fifth.home), "--name", "fifth", "--address", address, "--output", "json"]
    )
    assert made.exit_code == 0, made.output
    operator = json.loads(made.stdout)["operator"]
    (fifth.home / "genesis.json").write_bytes((tmp_path / "d" / "genesis.json").read_bytes())
    fifth.send("tx", "transfer", "--to", fifth.account, "--amount", "300000", signer="dev0")

    # governance admits it
    fifth.send(
        *("gov", "propose", "operator", "--operator", fifth.account, "--name", "fifth", "--title", "A fifth operator"),
        signer="op0",
    )
    for member in ("op0", "op1"):
        fifth.send("gov", "vote", "1", "yes", "--wait", "admitted", signer=member)
    fifth.send("gov", "vote", "1", "yes", signer="op2")
    assert fifth.run("gov", "show", "1")["status"] == "passed"
    fifth.mine_until("the proposal takes effect", lambda: fifth.run("gov", "show", "1")["status"] == "applied")

    # it registers its node and starts it
    nodes = {each["name"]: each["nodeKey"].removeprefix("0x") for each in fifth.run("operator", "nodes")}
    peers = [f"{nodes[f'node-{index}']}@127.0.0.1:{fifth.port - 10 * (VALIDATORS - index) + 1}" for index in range(4)]
    fifth.send("operator", "register", "--home", str(fifth.home))
    assert "fifth" in [each["name"] for each in fifth.run("operator", "nodes")]
    fifth.start(peers)
    height = fifth.run("status")["height"]
    fifth.mine_until("it has caught up", lambda: fifth.run("status", node=fifth.url)["height"] >= height)

    # it bonds and is elected
    fifth.send("stake", "stand", "--commission", "5.25", "--bond", "200000")
    assert fifth.get_status(operator) in ("standing", "member"), "on a busy machine an epoch may have ended by itself"
    fifth.run("dev", "advance-epoch")
    fifth.mine_until("it has a seat", lambda: operator in fifth.list_committee())
    fifth.mine_until("it knows that", lambda: fifth.run("status", node=fifth.url)["member"] == "present")

    # it stays away and is jailed
    fifth.stop()
    fifth.mine_until("it is jailed", lambda: fifth.get_status(operator) == "jailed")
    fifth.mine_until("its seat is gone", lambda: operator not in fifth.list_committee())
    (candidate,) = (each for each in fifth.run("stake", "candidates") if each["operator"] == operator)
    assert int(candidate["stake"]) < 200_000 * 10**8

    # it comes back and is elected again
    fifth.start(peers)
    fifth.mine_until("it knows that", lambda: fifth.run("status", node=fifth.url)["member"] == "jailed")

    def may_return() -> bool:
        return int(fifth.run("dev", "advance-epoch")["number"]) >= int(candidate["jailedUntilEpoch"])

    fifth.mine_until("its time is over", may_return)
    fifth.send("stake", "unjail")
    assert fifth.get_status(operator) in ("standing", "member")
    fifth.run("dev", "advance-epoch")
    fifth.mine_until("it has a seat again", lambda: operator in fifth.list_committee())
    before = fifth.run("status", node=fifth.url)["height"]
    fifth.run("dev", "mine", str(MINED_AT_ONCE))
    fifth.mine_until("it makes blocks with the others", lambda: fifth.run("status", node=fifth.url)["height"] > before)
