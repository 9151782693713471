"""Networks of real node processes on loopback."""

import asyncio
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from identity.address import NetworkKind, format_address
from identity.keys import PrivateKey
from node.config import NodeConfig
from node.home import Home
from tests.builders import address_of, make_key
from tests.network.homes import HOST, NodeHome, PeerPort, prepare_network

CHAIN_ID = "carlive-test"
ACCOUNTS = 16
FUNDED_GRAINS = 10**12
PATIENCE_S = 40.0
LOG_LINES_SHOWN = 15
QUICK: Mapping[str, int] = {
    "block_interval_ms": 200,
    "propose_timeout_ms": 700,
    "propose_timeout_step_ms": 300,
    "vote_timeout_ms": 300,
    "vote_timeout_step_ms": 150,
    "absence_heights_max": 100_000,
}
"""Shorter than a devnet's, so that a test sees many blocks and rounds; nobody is jailed for being killed often."""
SETTINGS: Mapping[str, Any] = {"verify_processes": 0, "storage_free_bytes_min": 2**20}
"""Many nodes share a small machine."""


class CallFailedError(Exception):
    """A node answered a call with an error."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(error))
        self.reason: str = error.get("data", {}).get("reason", "")


@dataclass(slots=True)
class NodeProcess:
    """One node: its home, and the process while there is one."""

    place: NodeHome
    command: tuple[str, ...] = ("start",)
    """What it runs: a node, or something else that has a home."""
    process: "subprocess.Popen[bytes] | None" = None
    log: list[str] = field(default_factory=list)
    """Every line that any of its processes wrote."""
    _reader: threading.Thread | None = None

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def home(self) -> Home:
        return self.place.home

    @property
    def config(self) -> NodeConfig:
        return self.place.config

    @property
    def node_secret(self) -> bytes:
        return self.place.node_secret

    def start(self, environment: Mapping[str, str] | None = None, *flags: str) -> None:
        """Start the process; what it says goes through a pipe, which no full disk stops."""
        assert self.process is None, f"{self.name} runs already"
        arguments = [sys.executable, "-m", "node.cli.main", *self.command, "--home", str(self.home.directory), *flags]
        self.process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the process."""
        assert self.process is not None, f"{self.name} does not run"
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait for the end of it."""
        self.send_signal(signal.SIGKILL)
        self._wait(5.0)

    def stop(self) -> int:
        """Ask it to stop in order; its exit code."""
        self.send_signal(signal.SIGTERM)
        return self._wait(15.0)

    async def wait_for_exit(self, timeout_s: float = 20.0) -> int:
        """The exit code of a process that ends by itself."""
        process = self.process
        assert process is not None, f"{self.name} does not run"
        await eventually(lambda: process.poll() is not None, f"the end of {self.name}", timeout_s)
        return self._wait(5.0)

    def limit_file_size(self, size_bytes: int) -> None:
        """From now on every write beyond this size fails, as on a full disk; RLIM_INFINITY heals."""
        assert self.process is not None, f"{self.name} does not run"
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))

    def has_logged(self, text: str) -> bool:
        """Whether a line holds this text."""
        return any(text in line for line in self.log)

    def _wait(self, timeout_s: float) -> int:
        assert self.process is not None and self._reader is not None
        code = self.process.wait(timeout_s)
        self._reader.join(5.0)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = self._reader = None
        return code

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.log.append(line.decode(errors="replace").rstrip())


class ProcessNetwork:
    """Super nodes, then observers; nothing runs until it is started, everything is killed at the end."""

    def __init__(
        self,
        directory: Path,
        super_nodes: int = 4,
        observers: int = 0,
        *,
        parameters: Mapping[str, int] = QUICK,
        settings: Mapping[str, Any] | None = None,
        strangers: Sequence[PrivateKey] = (),
        peer_port: PeerPort | None = None,
    ) -> None:
        """Prepare the homes; `strangers` are node keys registered as observers that a test drives itself."""
        self.accounts = [make_key(f"account {index}") for index in range(ACCOUNTS)]
        addresses = [format_address(address_of(key), NetworkKind.DEVNET) for key in self.accounts]
        prepared = prepare_network(
            directory,
            super_nodes,
            observers,
            chain_id=CHAIN_ID,
            funded_grains=dict.fromkeys(addresses, FUNDED_GRAINS),
            parameters=parameters,
            settings={**SETTINGS, **(settings or {})},
            strangers=strangers,
            peer_port=peer_port,
        )
        self.nodes = [NodeProcess(place) for place in prepared.nodes]
        self.signers: list[NodeProcess] = []
        """Processes that keep a consensus key; killed at the end like the nodes."""
        self.genesis_hash = prepared.genesis_hash
        self.domain = prepared.domain
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()
        for node in [*self.nodes, *self.signers]:
            if node.process is not None:
                node.process.send_signal(signal.SIGCONT)
                node.kill()
        if error is not None:
            for node in [*self.nodes, *self.signers]:
                print(f"--- {node.name}", *node.log[-LOG_LINES_SHOWN:], sep="\n")

    # Life and death

    def start(self, *indexes: int) -> None:
        """Start these nodes, or all."""
        for index in indexes or range(len(self.nodes)):
            self.nodes[index].start()

    def kill(self, *indexes: int) -> None:
        """kill -9, all at once."""
        for index in indexes:
            self.nodes[index].send_signal(signal.SIGKILL)
        for index in indexes:
            self.nodes[index].kill()

    async def wait_until_ready(self, *indexes: int) -> None:
        """Until /readyz says so."""
        for index in indexes or range(len(self.nodes)):
            await eventually(lambda index=index: self._is_ready(index), f"{self.nodes[index].name} ready")  # type: ignore[misc]

    async def _is_ready(self, index: int) -> bool:
        return (await self.get_readiness(index))[0] == 200

    # Questions

    async def call(self, index: int, method: str, **params: Any) -> Any:
        """The result of a call; raises CallFailedError, or aiohttp.ClientError and TimeoutError if nobody answers."""
        assert self._session is not None, "the network is entered first"
        url = f"http://{HOST}:{self.nodes[index].config.rpc_port}/rpc"
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with self._session.post(url, json=body) as response:
            answer = await response.json()
        if "error" in answer:
            raise CallFailedError(answer["error"])
        return answer["result"]

    async def get_head(self, index: int) -> tuple[int, str]:
        """Height and hash of the last final block."""
        head = await self.call(index, "chain_head")
        return head["height"], head["blockHash"]

    async def get_height(self, index: int) -> int:
        """The same without the hash."""
        return (await self.get_head(index))[0]

    async def get_readiness(self, index: int) -> tuple[int, str]:
        """What /readyz answers; 0 when nobody is there."""
        try:
            return await self._get_ops(index, "readyz")
        except (aiohttp.ClientError, TimeoutError):
            return 0, ""

    async def get_metric(self, index: int, name: str) -> float:
        """A metric without labels."""
        _, text = await self._get_ops(index, "metrics")
        found = re.search(rf"^carlive_{name}(?:_total)? (\S+)$", text, re.MULTILINE)
        assert found is not None, f"there is no metric {name}"
        return float(found.group(1))

    async def get_block_hashes(self, index: int) -> list[str]:
        """The hashes of all blocks, by height."""
        hashes: list[str] = []
        head = await self.get_height(index)
        while len(hashes) <= head:
            page = await self.call(index, "chain_getBlocks", **{"from": len(hashes), "to": head})
            hashes += [block["blockHash"] for block in page["blocks"]]
        return hashes

    async def wait_for_height(self, height: int, *indexes: int, timeout_s: float = PATIENCE_S) -> None:
        """Until these nodes, or all, have this block."""
        for index in indexes or range(len(self.nodes)):

            async def is_there(index: int = index) -> bool:
                return await self.get_height(index) >= height

            await eventually(is_there, f"block {height} on {self.nodes[index].name}", timeout_s)

    async def wait_until_still(self, *indexes: int, timeout_s: float = PATIENCE_S) -> int:
        """Until these nodes, or all, have the same sealed head and nothing waits; its height."""
        asked = indexes or range(len(self.nodes))
        seen: list[tuple[int, str]] = []

        async def is_still() -> bool:
            before, seen[:] = list(seen), [await self.get_head(index) for index in asked]
            pending = [(await self.call(index, "node_status"))["pending"] for index in asked]
            return not any(pending) and len(set(seen)) == 1 and seen == before

        await eventually(is_still, "the same head everywhere and nothing waiting", timeout_s, pause_s=0.8)
        return seen[0][0]

    async def check_same_chain(self, *indexes: int) -> list[str]:
        """All hashes at all heights are the same on these nodes, or all, and nobody was caught signing twice."""
        asked = list(indexes or range(len(self.nodes)))
        chains = [await self.get_block_hashes(index) for index in asked]
        shortest = min(len(chain) for chain in chains)
        for index, chain in zip(asked, chains, strict=True):
            assert chain[:shortest] == chains[0][:shortest], f"{self.nodes[index].name} has another chain"
            assert await self.get_metric(index, "offences_seen") == 0
        return chains[0][:shortest]

    async def _get_ops(self, index: int, name: str) -> tuple[int, str]:
        assert self._session is not None, "the network is entered first"
        url = f"http://{HOST}:{self.nodes[index].config.ops_port}/{name}"
        async with self._session.get(url, timeout=aiohttp.ClientTimeout(total=5)) as response:
            return response.status, await response.text()


@asynccontextmanager
async def running_network(directory: Path, *counts: int, **options: Any) -> AsyncIterator[ProcessNetwork]:
    """A network whose nodes are all started and ready."""
    async with ProcessNetwork(directory, *counts, **options) as network:
        network.start()
        await network.wait_until_ready()
        yield network


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]],
    what: str,
    timeout_s: float = PATIENCE_S,
    *,
    pause_s: float = 0.1,
) -> None:
    """Wait until something holds; a node that does not answer does not fulfil it yet."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            outcome = condition()
            if outcome if isinstance(outcome, bool) else await outcome:
                return
        except (aiohttp.ClientError, TimeoutError, CallFailedError):
            pass
        assert time.monotonic() < deadline_s, f"waited {timeout_s} s in vain for {what}"
        await asyncio.sleep(pause_s)


def read_log_entries(node: NodeProcess, event: str) -> list[dict[str, Any]]:
    """The JSON log lines of one event."""
    return [json.loads(line) for line in node.log if line.startswith("{") and f'"event": "{event}"' in line]
