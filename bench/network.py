"""A network of real node processes on loopback with many funded accounts, for the scenarios that need one."""

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.transfers import BenchAccount
from identity.address import NetworkKind, format_address
from identity.signing import SigningDomain
from node.home import Home
from tests.network.homes import prepare_network

CHAIN_ID = "carlive-bench"
FUNDED_GRAINS = 10**13
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 10.0


class RpcConnection:
    """One kept-alive HTTP connection; blocking."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def call(self, method: str, **params: Any) -> Any:
        """The result of one call; raises RuntimeError with the error."""
        answer = self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def post(self, body: Any) -> Any:
        """Any JSON-RPC body, a batch for instance."""
        return self.post_encoded(json.dumps(body).encode())

    def post_encoded(self, body: bytes) -> Any:
        """The same, encoded beforehand."""
        self._connection.request("POST", "/rpc", body, {"Content-Type": "application/json"})
        return json.loads(self._connection.getresponse().read())


class BenchNetwork:
    """Starts the nodes on entry, stops them on exit."""

    def __init__(
        self, super_nodes: int, accounts: Sequence[BenchAccount], observers: int = 0, started: int | None = None
    ) -> None:
        """With `started`, only so many of the nodes begin at once; `start` begins the others."""
        self._accounts = accounts
        self._super_nodes = super_nodes
        self._observers = observers
        self._started = super_nodes + observers if started is None else started
        self._homes: list[Home] = []
        self._running: list[int] = []
        self._directory = tempfile.TemporaryDirectory(prefix="carlive-bench-")
        self.processes: list[subprocess.Popen[bytes]] = []
        self.domain: SigningDomain

    def __enter__(self) -> Self:
        self._prepare()
        self.start(*range(self._started))
        return self

    def start(self, *indices: int, until: str = "/readyz") -> None:
        """Start these nodes and wait until they are ready, or only until they answer on `/livez`."""
        for index in indices:
            self.processes.append(self.start_node(self._homes[index]))
            self._running.append(index)
        self._wait_until(until)

    def kill(self, index: int) -> None:
        """kill -9; nothing is sent to this node or read from it any more."""
        position = self._running.index(index)
        process = self.processes.pop(position)
        del self._running[position]
        process.kill()
        process.wait()

    @property
    def rpc_ports(self) -> list[int]:
        """Of the running nodes."""
        return [self._rpc_ports[index] for index in self._running]

    @property
    def ops_ports(self) -> list[int]:
        """Of the running nodes."""
        return [self._ops_ports[index] for index in self._running]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if error is not None:
            for path in sorted(Path(self._directory.name).glob("*/node.log")):
                print(path.parent.name, path.read_text()[-2_000:], file=sys.stderr)
        self._directory.cleanup()

    def start_node(self, home: Home) -> "subprocess.Popen[bytes]":
        """Start one node; its log goes to node.log in its home."""
        arguments = [sys.executable, "-m", "node.cli.main", "start", "--home", str(home.directory)]
        with (home.directory / "node.log").open("ab") as log:
            return subprocess.Popen(arguments, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=dict(os.environ))

    def _prepare(self) -> None:
        addresses = [format_address(each.address, NetworkKind.DEVNET) for each in self._accounts]
        prepared = prepare_network(
            Path(self._directory.name),
            self._super_nodes,
            self._observers,
            chain_id=CHAIN_ID,
            funded_grains=dict.fromkeys(addresses, FUNDED_GRAINS),
        )
        self.domain = prepared.domain
        self._rpc_ports = [node.config.rpc_port for node in prepared.nodes]
        self._ops_ports = [node.config.ops_port for node in prepared.nodes]
        self._homes = [node.home for node in prepared.nodes]

    def _wait_until(self, path: str) -> None:
        deadline_s = time.monotonic() + START_SECONDS_MAX
        for port in self.ops_ports:
            while not self._is_good(port, path):
                if time.monotonic() > deadline_s:
                    raise RuntimeError("the network did not become ready")
                time.sleep(0.1)

    @staticmethod
    def _is_good(port: int, path: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def get_heights(self) -> list[int]:
        """The head of every node."""
        return [RpcConnection(port).call("chain_head")["height"] for port in self.rpc_ports]
