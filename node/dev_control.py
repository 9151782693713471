"""A devnet's control socket: nodes ask their supervisor for what no node can do to itself, and take its commands.

One JSON object a line over a unix socket that only its user can reach. A node that registers keeps its connection and
receives commands; a request is answered on a connection of its own.

| who        | line                                                                        |
|------------|-----------------------------------------------------------------------------|
| node       | {"register": 2}                                                             |
| supervisor | {"partition": ["<node key in hex>", …]}: send to and hear nothing from these |
| supervisor | {"clock_offset_ms": 5000}: add this to the clock                            |
| asker      | {"from": 2, "method": "crash", "params": {"node": 0}}                       |
| supervisor | {"result": …} or {"error": "one sentence"}                                  |
"""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

CONTROL_SOCKET_VARIABLE: Final = "CARLIVE_DEVNET_SOCKET"
CONTROL_INDEX_VARIABLE: Final = "CARLIVE_DEVNET_INDEX"

LINE_BYTES_MAX: Final = 65_536  # a partition of 21 nodes has 1.5 KiB
CONNECTIONS_MAX: Final = 256
REQUEST_SECONDS_MAX: Final = 60.0  # a restart waits for the old process
REGISTER_SECONDS_MAX: Final = 10.0  # until the first line of a connection
RECONNECT_SECONDS: Final = 0.5
CLOCK_OFFSET_MS_MAX: Final = 10 * 365 * 24 * 3_600_000
NAME_CHARACTERS_MAX: Final = 64
SOCKET_MODE: Final = 0o600

Command = dict[str, Any]


class DevControlError(Exception):
    """The supervisor refuses or cannot be reached; one sentence."""


class DevActions(Protocol):
    """What the supervisor does on request. Each raises DevControlError when it cannot."""

    async def crash(self, node: int, asker: int | None) -> None:
        """Kill a node as a power cut would."""
        ...

    async def restart(self, node: int, asker: int | None) -> None:
        """Start a node again, after stopping it if it runs."""
        ...

    async def partition(self, groups: list[list[int]]) -> None:
        """Let only nodes of the same group hear each other; nodes in no group form one more."""
        ...

    async def heal(self) -> None:
        """End the partition."""
        ...

    async def snapshot(self) -> str:
        """Keep the state of all nodes; answers its name before the nodes stop for it."""
        ...

    async def revert(self, snapshot: str) -> None:
        """Go back to a snapshot; answers before the nodes stop for it."""
        ...

    async def set_time(self, offset_ms: int) -> None:
        """Let all nodes' clocks differ from the machine's by this much."""
        ...

    def list_commands(self, node: int) -> list[Command]:
        """What a node that has just registered must know."""
        ...


@dataclass(frozen=True, slots=True)
class ControlAddress:
    """Where a node finds its supervisor, and who it is there."""

    socket_path: Path
    index: int


def find_control_address(environment: Mapping[str, str]) -> ControlAddress | None:
    """The supervisor named by the environment; None for a node that runs by itself."""
    path, index = environment.get(CONTROL_SOCKET_VARIABLE), environment.get(CONTROL_INDEX_VARIABLE)
    if not path or index is None or not (index.isascii() and index.isdigit()):
        return None
    return ControlAddress(Path(path), int(index))


async def run_control_client(socket_path: Path, index: int, on_command: Callable[[Command], Awaitable[None]]) -> None:
    """Stay registered and hand every command to `on_command`, until cancelled."""
    while True:
        with contextlib.suppress(OSError, DevControlError):
            await _follow_commands(socket_path, index, on_command)
        await asyncio.sleep(RECONNECT_SECONDS)


async def request(socket_path: Path, index: int | None, method: str, params: Mapping[str, Any]) -> Any:
    """Ask the supervisor; `index` is the asking node's. Raises DevControlError with the supervisor's sentence."""
    try:
        async with asyncio.timeout(REQUEST_SECONDS_MAX):
            reader, writer = await asyncio.open_unix_connection(str(socket_path), limit=LINE_BYTES_MAX)
            try:
                writer.write(_encode({"from": index, "method": method, "params": dict(params)}))
                await writer.drain()
                answer = await _read_line(reader)
            finally:
                await _close(writer)
    except TimeoutError:
        raise DevControlError(f"the devnet's supervisor did not answer within {REQUEST_SECONDS_MAX:.0f} s") from None
    except OSError as error:
        raise DevControlError(f"the devnet's supervisor cannot be reached: {error.strerror}") from None
    if answer is None:
        raise DevControlError("the devnet's supervisor closed the connection")
    if "error" in answer:
        raise DevControlError(str(answer["error"]))
    return answer.get("result")


class ControlServer:
    """The supervisor's side: answers requests and pushes commands to registered nodes."""

    def __init__(self, socket_path: Path, actions: DevActions, nodes: int) -> None:
        self._socket_path = socket_path
        self._actions = actions
        self._nodes = nodes
        self._registered: dict[int, asyncio.StreamWriter] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; a socket left by a killed supervisor is replaced. The caller holds the home's lock."""
        self._socket_path.unlink(missing_ok=True)
        previous_mask = os.umask(0o177)  # no moment in which others could connect
        try:
            self._server = await asyncio.start_unix_server(self._serve, str(self._socket_path), limit=LINE_BYTES_MAX)
        finally:
            os.umask(previous_mask)
        self._socket_path.chmod(SOCKET_MODE)

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is None:
            return
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        self._socket_path.unlink(missing_ok=True)

    def push(self, node: int, command: Command) -> None:
        """Send a command to a node, if it is registered; one that comes later asks `list_commands`."""
        writer = self._registered.get(node)
        if writer is not None and not writer.is_closing():
            writer.write(_encode(command))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= CONNECTIONS_MAX:
            writer.close()
            return
        connection = asyncio.current_task()
        assert connection is not None, "a connection is served by a task"
        self._connections.add(connection)
        try:
            async with asyncio.timeout(REGISTER_SECONDS_MAX):
                line = await _read_line(reader)
            if line is not None and "register" in line:
                await self._keep_registered(line["register"], reader, writer)
            elif line is not None:
                writer.write(_encode(await self._answer(line)))
                await writer.drain()
        except DevControlError as error:
            writer.write(_encode({"error": str(error)}))
        except (OSError, TimeoutError):
            pass  # the other side went away or said nothing
        finally:
            self._connections.discard(connection)
            await _close(writer)

    async def _keep_registered(self, node: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        index = self._read_node(node)
        self._registered[index] = writer
        try:
            for command in self._actions.list_commands(index):
                self.push(index, command)
            await reader.read(1)  # a registered node says nothing more: this is its end
        finally:
            if self._registered.get(index) is writer:
                del self._registered[index]

    async def _answer(self, line: Command) -> Command:
        params = line.get("params")
        if not isinstance(params, dict):
            return {"error": "params is an object"}
        asker = line.get("from")
        try:
            result = await self._perform(line.get("method"), params, asker if type(asker) is int else None)
        except DevControlError as error:
            return {"error": str(error)}
        return {"result": result}

    async def _perform(self, method: Any, params: dict[str, Any], asker: int | None) -> Any:
        match method:
            case "crash":
                return await self._actions.crash(self._read_node(params.get("node")), asker)
            case "restart":
                return await self._actions.restart(self._read_node(params.get("node")), asker)
            case "partition":
                return await self._actions.partition(self._read_groups(params.get("groups")))
            case "heal":
                return await self._actions.heal()
            case "snapshot":
                return await self._actions.snapshot()
            case "revert":
                return await self._actions.revert(_read_text("snapshot", params.get("snapshot")))
            case "setTime":
                return await self._actions.set_time(_read_clock_offset_ms(params))
            case _:
                raise DevControlError(f"the supervisor knows no method {method!r}")

    def _read_node(self, plain: Any) -> int:
        return _read_integer("node", plain, 0, self._nodes - 1)

    def _read_groups(self, plain: Any) -> list[list[int]]:
        if not isinstance(plain, list) or not all(isinstance(group, list) for group in plain):
            raise DevControlError("groups is a list of lists of node numbers, for instance [[0, 1], [2, 3]]")
        groups = [[self._read_node(node) for node in group] for group in plain]
        named = [node for group in groups for node in group]
        if len(named) != len(set(named)):
            raise DevControlError("a node stands in more than one group")
        return groups


def compute_partition(groups: list[list[int]], nodes: int) -> dict[int, list[int]]:
    """For each node, those it must not hear. Nodes that no group names form one more group."""
    named = {node for group in groups for node in group}
    everyone = [*groups, [node for node in range(nodes) if node not in named]]
    return {node: [other for other in range(nodes) if other not in group] for group in everyone for node in group}


def _read_integer(name: str, plain: Any, low: int, high: int) -> int:
    if type(plain) is not int or not low <= plain <= high:
        raise DevControlError(f"{name} is an integer from {low} to {high}, not {plain!r}")
    return plain


def _read_text(name: str, plain: Any) -> str:
    if type(plain) is not str or not 1 <= len(plain) <= NAME_CHARACTERS_MAX:
        raise DevControlError(f"{name} is a text of 1 to {NAME_CHARACTERS_MAX} characters")
    return plain


def _read_clock_offset_ms(params: dict[str, Any]) -> int:
    """From `offsetMs`, or from `timeMs`: the time that the nodes' clocks shall show now."""
    if "timeMs" in params:
        now_ms = time.time_ns() // 1_000_000
        return _read_integer("timeMs", params["timeMs"], 0, now_ms + CLOCK_OFFSET_MS_MAX) - now_ms
    return _read_integer("offsetMs", params.get("offsetMs"), -CLOCK_OFFSET_MS_MAX, CLOCK_OFFSET_MS_MAX)


async def _follow_commands(socket_path: Path, index: int, on_command: Callable[[Command], Awaitable[None]]) -> None:
    reader, writer = await asyncio.open_unix_connection(str(socket_path), limit=LINE_BYTES_MAX)
    try:
        writer.write(_encode({"register": index}))
        await writer.drain()
        while (command := await _read_line(reader)) is not None:
            await on_command(command)
    finally:
        await _close(writer)


async def _read_line(reader: asyncio.StreamReader) -> Command | None:
    """The next object, None at the end; raises DevControlError for anything else."""
    try:
        line = await reader.readline()
    except ValueError:
        raise DevControlError(f"a line has at most {LINE_BYTES_MAX} bytes") from None
    if not line:
        return None
    try:
        plain = json.loads(line)
    except (ValueError, RecursionError):
        raise DevControlError("a line is one JSON object") from None
    if not isinstance(plain, dict):
        raise DevControlError("a line is one JSON object")
    return plain


def _encode(plain: Command) -> bytes:
    return json.dumps(plain, separators=(",", ":")).encode() + b"\n"


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
