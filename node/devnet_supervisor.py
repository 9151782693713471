"""Runs a devnet: starts its nodes, watches them, carries out what they ask over the control socket, stops them all.

Every node runs in a session of its own and holds a pipe from here as its standard input; it exits when the pipe
closes, so nothing remains even when this process is killed.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from node.atomic_file import make_private_directory, replace_file
from node.config import ENVIRONMENT_PREFIX
from node.dev_control import (
    CONTROL_INDEX_VARIABLE,
    CONTROL_SOCKET_VARIABLE,
    Command,
    ControlServer,
    DevControlError,
    compute_partition,
)
from node.devnet import HOST, Devnet, DevnetNode, check_ports_free

READY_SECONDS_MAX: Final = 60.0
PROBE_SECONDS: Final = 0.1
PROBE_SECONDS_MAX: Final = 2.0
STOP_SECONDS_MAX: Final = 3.0  # a node's time to stop by itself; with the rest, Ctrl-C takes less than 5 s
KILL_SECONDS_MAX: Final = 1.0
ANSWER_SECONDS: Final = 0.1  # for the answer to leave the node that is about to be stopped
LOG_BYTES_MAX: Final = 64 * 2**20
LOG_CHECK_SECONDS: Final = 30.0
LOG_TAIL_LINES: Final = 20
LOG_TAIL_BYTES_MAX: Final = 16_384
SNAPSHOTS_MAX: Final = 16  # each is a copy of all nodes' data
SOCKET_PATH_BYTES_MAX: Final = 100  # the system allows 107 here, 103 elsewhere
VERBOSE_SECONDS: Final = 0.2
PROBE_ANSWER_BYTES_MAX: Final = 4_096

_KEPT_IN_SNAPSHOT_NOT: Final = ("node.log", "node.log.1", "keys", "config.toml", "genesis.json")
_OWN_SETTINGS: Final = tuple(
    ENVIRONMENT_PREFIX + name
    for name in (
        "NODE_NAME", "P2P_HOST", "P2P_PORT", "P2P_PEERS", "RPC_HOST", "RPC_PORT", "OPS_HOST", "OPS_PORT", "DEV_ENABLED"
    )
)  # fmt: skip
"""Variables that would set the same port or name for all nodes at once."""


if TYPE_CHECKING:
    from node.devnet_blocks import BlockSeen


class DevnetFailedError(Exception):
    """The devnet cannot go on; one sentence."""


@dataclass(frozen=True, slots=True)
class NodeDied:
    """A node that nobody asked to stop has gone."""

    node: DevnetNode
    exit_code: int
    log_tail: str


class Reporter(Protocol):
    """Who tells the user."""

    def show_progress(self, text: str) -> None:
        """What the devnet is doing while it starts or stops."""
        ...

    def show_ready(self, devnet: Devnet) -> None:
        """All nodes are ready."""
        ...

    def show_block(self, block: "BlockSeen") -> None:
        """A block became final."""
        ...

    def show_death(self, death: NodeDied) -> None:
        """A node died."""
        ...

    def show_log_line(self, node: DevnetNode, line: str) -> None:
        """A node logged something (verbose only)."""
        ...


@dataclass(slots=True)
class _Running:
    """A node's process."""

    process: asyncio.subprocess.Process
    is_stopping: bool = False
    """Its end is wanted."""
    watcher: asyncio.Task[None] | None = field(default=None)


class Supervisor:
    """Runs the nodes of one devnet until told to stop. The caller holds the devnet's lock."""

    def __init__(self, devnet: Devnet, reporter: Reporter, *, is_verbose: bool = False) -> None:
        self._devnet = devnet
        self._reporter = reporter
        self._is_verbose = is_verbose
        self._running: dict[int, _Running] = {}
        self._deaths: list[NodeDied] = []
        self._failed = asyncio.Event()
        self._hurry = asyncio.Event()
        self._turn = asyncio.Lock()
        """Held by whoever starts or stops nodes."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._blocked: dict[int, list[int]] = {}
        self._clock_offset_ms = 0
        self._is_starting = True
        self._is_stopped = False

    async def run(self, stop: asyncio.Event) -> None:
        """Start, report, and stop everything once `stop` is set; raises DevnetFailedError, ConfigurationError."""
        check_ports_free(self._devnet.nodes)
        with _short_socket_path(self._devnet.control_socket) as socket_path:
            self._socket_path = socket_path
            self._control = ControlServer(socket_path, self, len(self._devnet.nodes))
            try:
                await self._finish_interrupted_revert()
                await self._control.start()
                await self._run_nodes(stop)
            finally:
                await self._shut_down()

    def hurry(self) -> None:
        """Kill what has not stopped yet."""
        self._hurry.set()

    # What nodes ask for

    async def crash(self, node: int, asker: int | None) -> None:
        """Kill a node as a power cut would."""
        if node not in self._running:
            raise DevControlError(f"node {node} is not running")
        await self._act(self._crash(node), is_after_answer=node == asker)

    async def restart(self, node: int, asker: int | None) -> None:
        """Start a node again, after stopping it if it runs."""
        await self._act(self._restart(node), is_after_answer=node == asker)

    async def partition(self, groups: list[list[int]]) -> None:
        """Let only nodes of the same group hear each other; nodes in no group form one more."""
        self._blocked = compute_partition(groups, len(self._devnet.nodes))
        self._push_partition()

    async def heal(self) -> None:
        """End the partition."""
        self._blocked = {}
        self._push_partition()

    async def snapshot(self) -> str:
        """Keep the state of all nodes; answers its name before the nodes stop for it."""
        taken = self._list_snapshots()
        if len(taken) >= SNAPSHOTS_MAX:
            raise DevControlError(
                f"there are {SNAPSHOTS_MAX} snapshots already: delete some of {self._devnet.snapshots}"
            )
        name = str(max(taken, default=0) + 1)
        await self._act(self._snapshot(name), is_after_answer=True)
        return name

    async def revert(self, snapshot: str) -> None:
        """Go back to a snapshot; answers before the nodes stop for it."""
        if snapshot not in map(str, self._list_snapshots()):
            raise DevControlError(f"there is no snapshot {snapshot}")
        await self._act(self._revert(snapshot), is_after_answer=True)

    async def set_time(self, offset_ms: int) -> None:
        """Let all nodes' clocks differ from the machine's by this much."""
        self._clock_offset_ms = offset_ms
        for node in self._devnet.nodes:
            self._control.push(node.index, {"clock_offset_ms": offset_ms})

    def list_commands(self, node: int) -> list[Command]:
        """What a node that has just registered must know."""
        return [self._get_partition_command(node), {"clock_offset_ms": self._clock_offset_ms}]

    # The life of the devnet

    async def _run_nodes(self, stop: asyncio.Event) -> None:
        self._reporter.show_progress(f"starting {len(self._devnet.nodes)} node(s) …")
        async with self._turn:
            for node in self._devnet.nodes:
                await self._start(node)
        ready = self._spawn(self._wait_until_ready())
        await _wait_for_first(stop, self._failed, ready)
        if self._failed.is_set():
            raise DevnetFailedError(self._explain_failure())
        if stop.is_set():
            return
        await ready
        self._is_starting = False
        self._reporter.show_ready(self._devnet)
        from node.devnet_blocks import follow_blocks  # late: the nodes are starting meanwhile

        self._spawn(follow_blocks([node.rpc_url for node in self._devnet.nodes], self._reporter.show_block))
        self._spawn(self._limit_logs())
        await _wait_for_first(stop, self._failed)
        if self._failed.is_set() and not stop.is_set():
            raise DevnetFailedError(self._explain_failure())

    async def _wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + READY_SECONDS_MAX
        waiting = {node.index: "starting" for node in self._devnet.nodes}
        shown = ""
        while waiting:
            for node in self._devnet.nodes:
                if node.index in waiting:
                    reason = await _ask_readiness(node.ops_port)
                    if reason is None:
                        del waiting[node.index]
                    else:
                        waiting[node.index] = reason
            text = f"{len(self._devnet.nodes) - len(waiting)} of {len(self._devnet.nodes)} nodes are ready"
            if text != shown:
                self._reporter.show_progress(shown := text)
            if time.monotonic() > deadline_s:
                index, reason = next(iter(waiting.items()))
                node = self._devnet.nodes[index]
                self._deaths.append(NodeDied(node, 0, _read_log_tail(node.log_file)))
                raise DevnetFailedError(
                    f"{node.name} was not ready within {READY_SECONDS_MAX:.0f} s ({reason}): see {node.log_file}"
                )
            await asyncio.sleep(PROBE_SECONDS)

    async def _start(self, node: DevnetNode) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in _OWN_SETTINGS}
        environment[CONTROL_SOCKET_VARIABLE] = str(self._socket_path)
        environment[CONTROL_INDEX_VARIABLE] = str(node.index)
        _rotate_log(node.log_file)
        arguments = ["start", "--home", str(node.home.directory), "--stop-when-stdin-closes"]
        if self._is_verbose:
            arguments += ["--node-log-levels", "default=debug"]
        descriptor = os.open(node.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # a folder `node` in the current directory is not this program
                "-m",
                "node.cli.main",
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=descriptor,
                stderr=descriptor,
                env=environment,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        running = _Running(process)
        self._running[node.index] = running
        running.watcher = self._spawn(self._watch(node, running))
        if self._is_verbose:
            self._spawn(self._show_log(node, running))

    async def _watch(self, node: DevnetNode, running: _Running) -> None:
        exit_code = await running.process.wait()
        _kill_group(running.process.pid)  # its signature workers, if it left any
        if self._running.get(node.index) is running:
            del self._running[node.index]
        if running.is_stopping:
            return
        death = NodeDied(node, exit_code, _read_log_tail(node.log_file))
        self._deaths.append(death)
        self._reporter.show_death(death)
        if self._is_starting or not self._running:
            self._failed.set()

    async def _stop(self, indices: list[int]) -> None:
        """SIGTERM, and SIGKILL for those that do not follow in time."""
        chosen = [self._running[index] for index in indices if index in self._running]
        for running in chosen:
            running.is_stopping = True
            with contextlib.suppress(ProcessLookupError):
                running.process.terminate()
        ends = {asyncio.ensure_future(running.process.wait()) for running in chosen}
        hurry = asyncio.ensure_future(self._hurry.wait())
        try:
            deadline_s = time.monotonic() + STOP_SECONDS_MAX
            while not all(end.done() for end in ends) and not hurry.done() and time.monotonic() < deadline_s:
                left_s = deadline_s - time.monotonic()
                pending = [end for end in ends if not end.done()]
                await asyncio.wait([*pending, hurry], timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurry.cancel()
        for running in chosen:
            _kill_group(running.process.pid)
        if ends:
            await asyncio.wait(ends, timeout=KILL_SECONDS_MAX)
        watchers = [running.watcher for running in chosen if running.watcher is not None]
        if watchers:
            await asyncio.wait(watchers, timeout=KILL_SECONDS_MAX)

    async def _shut_down(self) -> None:
        self._is_stopped = True
        if self._running:
            self._reporter.show_progress("stopping …")
        await self._stop(list(self._running))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stop(list(self._running))  # what a request was just starting
        await self._control.close()

    def _explain_failure(self) -> str:
        death = self._deaths[-1]
        return f"{death.node.name} ended with exit code {death.exit_code}: see {death.node.log_file}"

    # Carrying out requests

    async def _act(self, action: Coroutine[Any, Any, None], *, is_after_answer: bool) -> None:
        if is_after_answer:
            self._spawn(self._act_later(action))
        else:
            await action

    async def _act_later(self, action: Coroutine[Any, Any, None]) -> None:
        try:
            await asyncio.sleep(ANSWER_SECONDS)
        except asyncio.CancelledError:
            action.close()
            raise
        await action

    async def _crash(self, index: int) -> None:
        async with self._turn:
            running = self._running.get(index)
            if running is None:
                return
            running.is_stopping = True
            _kill_group(running.process.pid)
            await running.process.wait()
            self._running.pop(index, None)

    async def _restart(self, index: int) -> None:
        async with self._turn:
            await self._stop([index])
            if not self._is_stopped:
                await self._start(self._devnet.nodes[index])

    async def _snapshot(self, name: str) -> None:
        async with self._turn:
            indices = sorted(self._running)
            await self._stop(indices)
            await asyncio.to_thread(_copy_snapshot, self._devnet, name)
            await self._start_again(indices)
        self._reporter.show_progress(f"snapshot {name} is kept")

    async def _revert(self, name: str) -> None:
        async with self._turn:
            indices = sorted(self._running)
            await self._stop(indices)
            replace_file(self._devnet.reverting_file, name.encode())
            await asyncio.to_thread(_restore_snapshot, self._devnet, name)
            self._devnet.reverting_file.unlink()
            await self._start_again(indices)
        self._reporter.show_progress(f"back at snapshot {name}")

    async def _start_again(self, indices: list[int]) -> None:
        if not self._is_stopped:
            for index in indices:
                await self._start(self._devnet.nodes[index])

    async def _finish_interrupted_revert(self) -> None:
        marker = self._devnet.reverting_file
        if marker.exists():
            name = marker.read_text()
            self._reporter.show_progress(f"finishing the revert to snapshot {name} …")
            await asyncio.to_thread(_restore_snapshot, self._devnet, name)
            marker.unlink()

    def _list_snapshots(self) -> list[int]:
        if not self._devnet.snapshots.exists():
            return []
        return sorted(int(path.name) for path in self._devnet.snapshots.iterdir() if path.name.isdecimal())

    def _push_partition(self) -> None:
        for node in self._devnet.nodes:
            self._control.push(node.index, self._get_partition_command(node.index))

    def _get_partition_command(self, index: int) -> Command:
        entries = {entry.name: entry.node_key for entry in self._devnet.document.nodes}
        blocked = [self._devnet.nodes[other].name for other in self._blocked.get(index, [])]
        return {"partition": [entries[name].removeprefix("0x") for name in blocked]}

    # Logs

    async def _limit_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_CHECK_SECONDS)
            for node in self._devnet.nodes:
                _rotate_log(node.log_file)

    async def _show_log(self, node: DevnetNode, running: _Running) -> None:
        with node.log_file.open(encoding="utf-8", errors="replace") as file:
            file.seek(0, os.SEEK_END)
            while running.process.returncode is None:
                for line in file:
                    self._reporter.show_log_line(node, line.rstrip("\n"))
                await asyncio.sleep(VERBOSE_SECONDS)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finish_task)
        return task

    def _finish_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, DevnetFailedError):
            self._reporter.show_progress(f"the devnet could not do what was asked: {error}")


async def _wait_for_first(*things: asyncio.Event | asyncio.Task[None]) -> None:
    """Return when an event is set or a task has ended; tasks are left running."""
    waits = [asyncio.ensure_future(thing.wait()) for thing in things if isinstance(thing, asyncio.Event)]
    tasks = [thing for thing in things if isinstance(thing, asyncio.Task)]
    try:
        await asyncio.wait([*waits, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _ask_readiness(ops_port: int) -> str | None:
    """None when the node says it is ready, else why not."""
    try:
        async with asyncio.timeout(PROBE_SECONDS_MAX):
            reader, writer = await asyncio.open_connection(HOST, ops_port)
            try:
                writer.write(f"GET /readyz HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
                answer = await reader.read(PROBE_ANSWER_BYTES_MAX)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return "does not answer yet"
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 200"):
        return None
    return body.decode(errors="replace").strip() or "not ready"


def _kill_group(process_id: int) -> None:
    """The node and its signature workers: it leads a group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process_id, signal.SIGKILL)


def _rotate_log(path: Path) -> None:
    """Keep one older part; the writer appends, so it goes on at the start of the emptied file."""
    try:
        if path.stat().st_size > LOG_BYTES_MAX:
            shutil.copyfile(path, path.with_name(path.name + ".1"))
            os.truncate(path, 0)
    except FileNotFoundError:
        return


def _read_log_tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES_MAX))
            text = file.read().decode(errors="replace")
    except OSError as error:
        return f"(the log cannot be read: {error.strerror})"
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])


def _copy_snapshot(devnet: Devnet, name: str) -> None:
    """Under a temporary name first: a snapshot is there whole or not at all."""
    unfinished = devnet.snapshots / f"{name}.unfinished"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    make_private_directory(unfinished)
    for node in devnet.nodes:
        ignore = shutil.ignore_patterns(*_KEPT_IN_SNAPSHOT_NOT)
        shutil.copytree(node.home.directory, unfinished / node.name, ignore=ignore)
    unfinished.rename(devnet.snapshots / name)


def _restore_snapshot(devnet: Devnet, name: str) -> None:
    """Can be repeated after an interruption: it only reads the snapshot."""
    for node in devnet.nodes:
        for path in node.home.directory.iterdir():
            if path.name in _KEPT_IN_SNAPSHOT_NOT:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        shutil.copytree(devnet.snapshots / name / node.name, node.home.directory, dirs_exist_ok=True)


@contextlib.contextmanager
def _short_socket_path(wanted: Path) -> Iterator[Path]:
    """The path itself, or one in a temporary directory when the system's limit for sockets is below its length."""
    if len(os.fsencode(wanted)) <= SOCKET_PATH_BYTES_MAX:
        yield wanted
        return
    with tempfile.TemporaryDirectory(prefix="carlive-") as directory:
        yield Path(directory) / wanted.name
