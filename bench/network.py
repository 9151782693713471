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
    """Starts the nodes on entry, kills them on exit."""

    def __init__(self, super_nodes: int, accounts: Sequence[BenchAccount]) -> None:
        self._accounts = accounts
        self._super_nodes = super_nodes
        self._directory = tempfile.TemporaryDirectory(prefix="carlive-bench-")
        self.processes: list[subprocess.Popen[bytes]] = []
        self.rpc_ports: list[int] = []
        self.ops_ports: list[int] = []
        self.domain: SigningDomain

    def __enter__(self) -> Self:
        homes = self._prepare()
        for home in homes:
            self.processes.append(self.start_node(home))
        self._wait_until_ready()
        return self

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

    def _prepare(self) -> list[Home]:
        addresses = [format_address(each.address, NetworkKind.DEVNET) for each in self._accounts]
        prepared = prepare_network(
            Path(self._directory.name),
            self._super_nodes,
            chain_id=CHAIN_ID,
            funded_grains=dict.fromkeys(addresses, FUNDED_GRAINS),
        )
        self.domain = prepared.domain
        self.rpc_ports = [node.config.rpc_port for node in prepared.nodes]
        self.ops_ports = [node.config.ops_port for node in prepared.nodes]
        return [node.home for node in prepared.nodes]

    def _wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + START_SECONDS_MAX
        for port in self.ops_ports:
            while not self._is_ready(port):
                if time.monotonic() > deadline_s:
                    raise RuntimeError("the network did not become ready")
                time.sleep(0.1)

    @staticmethod
    def _is_ready(port: int) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def get_heights(self) -> list[int]:
        """The head of every node."""
        return [RpcConnection(port).call("chain_head")["height"] for port in self.rpc_ports]
