"""Real devnets: real processes, ports, signals."""

import json
import os
import queue
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from genesis.presets import list_development_accounts
from node.cli.failures import ExitCode
from tests.ports import DEVNET_PORTS

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("devnet")]

START_SECONDS_MAX = 30.0  # on a machine that does other things too
FIRST_BLOCK_SECONDS_MAX = 10.0  # 5 on a machine of its own
STOP_SECONDS_MAX = 5.0
DEV1 = list_development_accounts()[1].address


class RunningDevnet:
    """`carlive devnet --output json` as a child of this test."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.errors: list[str] = []
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "node.cli.main",
                "devnet",
                "--home",
                str(home),
                "--output",
                "json",
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._readers = [threading.Thread(target=self._read_events), threading.Thread(target=self._read_errors)]
        for reader in self._readers:
            reader.start()

    def wait_for(self, name: str, check: Callable[[dict[str, Any]], bool] = lambda event: True) -> dict[str, Any]:
        """The next event of that name that passes the check."""
        deadline_s = time.monotonic() + START_SECONDS_MAX
        while True:
            event = self._events.get(timeout=max(0.01, deadline_s - time.monotonic()))
            assert event is not None, f"the devnet ended: {self.errors}"
            if event["event"] == name and check(event):
                return event

    def stop(self, number: signal.Signals = signal.SIGINT) -> float:
        """How long it took to end; nothing of it may be left."""
        started_s = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=2 * STOP_SECONDS_MAX)
        elapsed_s = time.monotonic() - started_s
        self.close()
        return elapsed_s

    def close(self) -> None:
        """Whatever happened before."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def list_processes(self) -> list[int]:
        """Every process that was started for this devnet, signature workers included, by its environment."""
        needle = f"CARLIVE_DEVNET_SOCKET={self.home}".encode()
        found = []
        for place in Path("/proc").iterdir():
            if place.name.isdecimal():
                try:
                    if needle in (place / "environ").read_bytes():
                        found.append(int(place.name))
                except OSError:  # ended meanwhile, or another user's
                    continue
        return found

    def wait_until_gone(self, seconds: float) -> list[int]:
        """Who is left after that time."""
        deadline_s = time.monotonic() + seconds
        while (left := self.list_processes()) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        return left

    def _read_events(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.put(json.loads(line))
        self._events.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line)


PORTS_PER_DEVNET = 100
Start = Callable[..., RunningDevnet]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(home: Path, *arguments: str) -> RunningDevnet:
            devnet = RunningDevnet(home, *arguments)
            stack.callback(devnet.close)
            return devnet

        yield begin


def find_ports(nodes: int) -> int:
    """A first port with room for so many nodes."""
    span = PORTS_PER_DEVNET * os.getpid() % len(DEVNET_PORTS)
    firsts = [*DEVNET_PORTS[span::PORTS_PER_DEVNET], *DEVNET_PORTS[:span:PORTS_PER_DEVNET]]
    for first in firsts[:-1]:
        if all(_is_free(first + 10 * node + offset) for node in range(nodes) for offset in range(3)):
            return first
    raise AssertionError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def call(url: str, method: str, **params: Any) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    asked = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        plain = json.load(answer)
    assert "error" not in plain, plain
    return plain["result"]


def get_balance(url: str, address: str = DEV1) -> int:
    return int(call(url, "account_get", address=address)["balance"])


def run_cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "node.cli.main", *arguments], capture_output=True, text=True, timeout=60
    )


def wait_until(check: Callable[[], bool], seconds: float = START_SECONDS_MAX) -> None:
    deadline_s = time.monotonic() + seconds
    while True:
        try:
            if check():
                return
        except OSError:  # the node is away
            pass
        assert time.monotonic() < deadline_s, "did not happen in time"
        time.sleep(0.1)


def test_one_node_from_start_to_fresh(tmp_path: Path, start: Start) -> None:
    port = str(find_ports(1))
    devnet = start(tmp_path / "d", "--validators", "1", "--port", port)
    ready = devnet.wait_for("ready")
    devnet.wait_for("block", lambda block: block["height"] >= 1)
    assert time.monotonic() - devnet.started_s < FIRST_BLOCK_SECONDS_MAX
    url = ready["nodes"][0]["rpc"]
    before = get_balance(url)
    for line in ready["example"]:
        done = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
    assert get_balance(url) == before + 150_000_000
    devnet.wait_for("block", lambda block: block["transactions"] == 1)
    height = call(url, "chain_head")["height"]

    assert devnet.stop(signal.SIGINT) < STOP_SECONDS_MAX
    assert devnet.process.returncode == ExitCode.OK
    assert devnet.list_processes() == []

    again = start(tmp_path / "d")
    ready_again = again.wait_for("ready")
    assert ready_again["genesisHash"] == ready["genesisHash"]
    assert ready_again["nodes"] == ready["nodes"]
    assert call(url, "chain_head")["height"] >= height
    assert get_balance(url) == before + 150_000_000
    assert again.stop(signal.SIGTERM) < STOP_SECONDS_MAX

    fresh = start(tmp_path / "d", "--fresh", "--validators", "1")
    assert fresh.wait_for("ready")["genesisHash"] != ready["genesisHash"]
    assert get_balance(url) == before
    assert fresh.stop() < STOP_SECONDS_MAX
    assert fresh.list_processes() == []


def test_four_nodes_go_on_without_one_and_leave_nothing(tmp_path: Path, start: Start) -> None:
    devnet = start(tmp_path / "d", "--port", str(find_ports(4)))
    ready = devnet.wait_for("ready")
    devnet.wait_for("block", lambda block: block["height"] >= 1)
    urls = [node["rpc"] for node in ready["nodes"]]
    assert len(urls) == 4
    assert len(devnet.list_processes()) >= 4
    before = get_balance(urls[0])

    call(urls[0], "dev_crash", node=3)
    wait_until(lambda: not _answers(urls[3]))
    sent = run_cli(
        "tx", "transfer", "--from", "dev0", "--to", "dev1", "--amount", "2", "--yes", "--node", _base(urls[1])
    )
    assert sent.returncode == 0, sent
    call(urls[0], "dev_restart", node=3)
    wait_until(lambda: get_balance(urls[3]) == before + 200_000_000)
    assert not any("died" in line for line in devnet.errors)

    assert devnet.stop(signal.SIGTERM) < STOP_SECONDS_MAX
    assert devnet.list_processes() == []


def test_killing_the_supervisor_leaves_nothing_and_loses_nothing(tmp_path: Path, start: Start) -> None:
    devnet = start(tmp_path / "d", "--validators", "1", "--port", str(find_ports(1)))
    url = devnet.wait_for("ready")["nodes"][0]["rpc"]
    before = get_balance(url)
    sent = run_cli("tx", "transfer", "--from", "dev0", "--to", "dev1", "--amount", "3", "--yes", "--node", _base(url))
    assert sent.returncode == 0, sent
    assert devnet.list_processes()
    devnet.process.kill()
    assert devnet.wait_until_gone(STOP_SECONDS_MAX) == []
    devnet.close()

    again = start(tmp_path / "d")
    again.wait_for("ready")
    assert get_balance(url) == before + 300_000_000


def test_two_side_by_side(tmp_path: Path, start: Start) -> None:
    port = find_ports(2)
    first = start(tmp_path / "a", "--validators", "1", "--port", str(port))
    second = start(tmp_path / "b", "--validators", "1", "--port", str(port + 10))
    first_ready, second_ready = first.wait_for("ready"), second.wait_for("ready")
    assert first_ready["genesisHash"] != second_ready["genesisHash"]
    url = second_ready["nodes"][0]["rpc"]
    sent = run_cli("tx", "transfer", "--from", "dev0", "--to", "dev1", "--amount", "1", "--yes", "--node", _base(url))
    assert sent.returncode == 0, sent
    assert get_balance(first_ready["nodes"][0]["rpc"]) + 100_000_000 == get_balance(url)

    same_home = run_cli("devnet", "--home", str(tmp_path / "a"), "--port", str(port + 10))
    assert same_home.returncode == ExitCode.WRONG_USE
    assert "already runs" in same_home.stderr
    busy = run_cli("devnet", "--home", str(tmp_path / "c"), "--port", str(port))
    assert busy.returncode == ExitCode.WRONG_USE
    assert f"port {port} (RPC of node-0)" in busy.stderr
    more = run_cli("devnet", "--home", str(tmp_path / "a"), "--validators", "2")
    assert more.returncode == ExitCode.WRONG_USE


def test_a_node_that_dies_is_reported_with_its_log(tmp_path: Path, start: Start) -> None:
    devnet = start(tmp_path / "d", "--validators", "1", "--port", str(find_ports(1)))
    devnet.wait_for("ready")
    (node,) = [each for each in devnet.list_processes() if b"--home" in Path(f"/proc/{each}/cmdline").read_bytes()]
    os.kill(node, signal.SIGKILL)
    assert devnet.process.wait(timeout=10) == ExitCode.FAILED
    devnet.close()
    assert any("node-0 died" in line for line in devnet.errors), devnet.errors
    assert any('"event"' in line for line in devnet.errors), devnet.errors
    assert devnet.list_processes() == []


def test_a_node_that_cannot_start_ends_the_devnet(tmp_path: Path, start: Start) -> None:
    devnet = start(tmp_path / "d", "--validators", "1", "--port", str(find_ports(1)))
    devnet.wait_for("ready")
    devnet.stop()
    (tmp_path / "d" / "node-0" / "keys" / "node.key").chmod(0o644)
    again = start(tmp_path / "d")
    assert again.process.wait(timeout=START_SECONDS_MAX) == ExitCode.FAILED
    again.close()
    assert any("chmod 600" in line for line in again.errors), again.errors
    assert again.list_processes() == []


def test_a_snapshot_brings_everything_back(tmp_path: Path, start: Start) -> None:
    devnet = start(tmp_path / "d", "--validators", "1", "--port", str(find_ports(1)))
    url = devnet.wait_for("ready")["nodes"][0]["rpc"]
    pay = ["tx", "transfer", "--from", "dev0", "--to", "dev1", "--amount", "1", "--yes", "--node", _base(url)]
    before = get_balance(url)
    assert run_cli(*pay).returncode == 0
    kept_height = call(url, "chain_head")["height"]
    name = call(url, "dev_snapshot")["snapshot"]
    wait_until(lambda: f"snapshot {name} is kept" in "".join(devnet.errors))
    wait_until(lambda: get_balance(url) == before + 100_000_000)
    assert run_cli(*pay).returncode == 0
    assert get_balance(url) == before + 200_000_000
    call(url, "dev_revert", snapshot=name)
    wait_until(lambda: f"back at snapshot {name}" in "".join(devnet.errors))
    wait_until(lambda: get_balance(url) == before + 100_000_000)
    assert call(url, "chain_head")["height"] >= kept_height
    assert run_cli(*pay).returncode == 0


def test_the_clock_can_be_moved_and_the_home_be_deep_down(tmp_path: Path, start: Start) -> None:
    home = tmp_path / ("far" * 20) / ("down" * 20)  # longer than the system allows for a socket's path
    devnet = start(home, "--validators", "1", "--port", str(find_ports(1)))
    url = devnet.wait_for("ready")["nodes"][0]["rpc"]
    tomorrow_ms = time.time_ns() // 1_000_000 + 86_400_000
    call(url, "dev_setTime", timeMs=tomorrow_ms)
    wait_until(lambda: call(url, "dev_mine", blocks=1)["timeMs"] >= tomorrow_ms)
    assert devnet.stop() < STOP_SECONDS_MAX


def _answers(url: str) -> bool:
    try:
        call(url, "chain_head")
    except OSError:
        return False
    return True


def _base(url: str) -> str:
    return url.removesuffix("/rpc")
