"""Signature checks in worker processes, in batches.

A thread would have to win the interpreter lock back for every check; a process leaves the node's one thread alone.
Checks of many callers are collected for a millisecond into one batch; a worker has a few batches in its socket, so it
stays busy while the node executes a block. A worker that dies is replaced and its batches run again; a batch that
was lost twice, or that no worker is there for, is checked in this process.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

from node.verify_worker import BATCH_FRAME_BYTES_MAX, LENGTH, Check, encode_batch, is_good

WORKERS_MAX: Final = 16
BATCH_CHECKS_MAX: Final = 64  # 3-4 ms of work: spreads a block over the workers
BATCH_BYTES_MAX: Final = 2**18  # closes a batch of large transactions early
CHECK_BYTES_MAX: Final = 2**20  # key, message and signature; a check above BATCH_BYTES_MAX is a batch of its own
CHUNKS_WAITING_MAX: Final = 512  # of at most a batch each; whoever asks for more waits its turn
BATCHES_IN_FLIGHT_MAX: Final = 16  # per worker: 60 ms of work for it while this process is busy
COLLECT_S: Final = 0.001
SLICE_CHECKS: Final = 16  # in this process: about a millisecond between turns of the event loop
ANSWER_S_MAX: Final = 30.0  # a worker that is silent for longer is replaced
BATCH_ATTEMPTS_MAX: Final = 2
RESTART_DELAYS_S: Final = (0.0, 0.1, 0.5, 2.0, 5.0)  # by how often a worker died without one answer
SOCKET_BUFFER_BYTES: Final = 2**18

_CHECK_BYTES_OVERHEAD: Final = 24  # MessagePack's marks around four fields
_IMPORT_ROOT: Final = Path(__file__).resolve().parent.parent

assert CHECK_BYTES_MAX + BATCH_BYTES_MAX <= BATCH_FRAME_BYTES_MAX


class VerifierClosedError(Exception):
    """The verifier was closed before it answered."""


def get_default_processes() -> int:
    """One worker for each processor this process may use, less one for the node itself."""
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(processors - 1, WORKERS_MAX)


@dataclass(slots=True, eq=False)
class _Call:
    """One `verify_many` and the answers it has so far."""

    answers: list[bool]
    missing: int
    done: asyncio.Future[bool]
    """True: all answers are there. False: the verifier was closed."""


@dataclass(slots=True)
class _Chunk:
    """A piece of a call inside one batch."""

    call: _Call
    offset: int
    checks: Sequence[Check]
    size_bytes: int


@dataclass(slots=True)
class _Batch:
    """What travels to a worker in one frame."""

    checks: list[Check] = field(default_factory=list)
    chunks: list[_Chunk] = field(default_factory=list)
    size_bytes: int = 0
    attempts: int = 0

    def is_wanted(self) -> bool:
        """Whether any call still waits for it; a cancelled one does not."""
        return any(not chunk.call.done.done() for chunk in self.chunks)

    def has_room_for(self, chunk: _Chunk) -> bool:
        count = len(self.checks) + len(chunk.checks)
        return count <= BATCH_CHECKS_MAX and self.size_bytes + chunk.size_bytes <= BATCH_BYTES_MAX


class Verifier:
    """`async with Verifier() as verifier: good = await verifier.verify_many(checks)`. One per node."""

    def __init__(self, processes: int | None = None, report: Callable[[str], None] = lambda _message: None) -> None:
        """`processes` None: by the number of processors; 0: check on the event loop in small slices.

        `report` gets one line when a worker dies, for the log.
        """
        self._processes = get_default_processes() if processes is None else processes
        if not 0 <= self._processes <= WORKERS_MAX:
            raise ValueError(f"the number of verifier processes is 0 to {WORKERS_MAX}, not {self._processes}")
        self._report = report
        self._workers: list[_Worker] = []
        self._starting_count = 0
        self._space = asyncio.Semaphore(CHUNKS_WAITING_MAX)
        self._collecting = _Batch()
        self._collect_timer: asyncio.TimerHandle | None = None
        self._waiting: deque[_Batch] = deque()
        self._local: deque[_Batch] = deque()
        self._local_task: asyncio.Task[None] | None = None
        self._calls: set[_Call] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def start(self) -> None:
        """Start the workers; they take checks from now on and begin as soon as they are up."""
        await asyncio.gather(*[self._start_worker(0, 0.0) for _ in range(self._processes)])

    async def verify_many(self, checks: Sequence[Check]) -> list[bool]:
        """One answer per check, in order. Raises VerifierClosedError; ValueError for a check over the limit."""
        if self._is_closed:
            raise VerifierClosedError
        if not checks:
            return []
        call = _Call([False] * len(checks), len(checks), asyncio.get_running_loop().create_future())
        chunks = list(_divide(call, checks))
        self._calls.add(call)
        try:
            for chunk in chunks:
                await self._space.acquire()
                if self._is_closed:
                    self._space.release()  # so that the next one that waits learns it too
                    raise VerifierClosedError
                self._collect(chunk)
            if not await call.done:
                raise VerifierClosedError
        finally:
            self._calls.discard(call)
            call.done.cancel()
        return call.answers

    @property
    def worker_pids(self) -> list[int]:
        """The process ids of the workers that run."""
        return [worker.process.pid for worker in self._workers]

    async def close(self) -> None:
        """End the workers; calls that wait get VerifierClosedError. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._collect_timer is not None:
            self._collect_timer.cancel()
        if self._local_task is not None:
            self._tasks.add(self._local_task)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for call in self._calls:
            if not call.done.done():
                call.done.set_result(False)
        self._space.release()
        workers, self._workers = self._workers, []
        await asyncio.gather(*[worker.end() for worker in workers])

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _collect(self, chunk: _Chunk) -> None:
        """Put a chunk into the batch that is being collected; send that when it is full or a moment has passed."""
        if self._collecting.chunks and not self._collecting.has_room_for(chunk):
            self._flush()
        self._collecting.chunks.append(chunk)
        self._collecting.checks.extend(chunk.checks)
        self._collecting.size_bytes += chunk.size_bytes
        if len(self._collecting.checks) == BATCH_CHECKS_MAX or self._processes == 0:
            self._flush()
        elif self._collect_timer is None:
            self._collect_timer = asyncio.get_running_loop().call_later(COLLECT_S, self._flush)

    def _flush(self) -> None:
        if self._collect_timer is not None:
            self._collect_timer.cancel()
            self._collect_timer = None
        if self._collecting.chunks:
            self._waiting.append(self._collecting)
            self._collecting = _Batch()
            self._dispatch()

    def _dispatch(self) -> None:
        """Give waiting batches to the least busy workers; check them here if no worker is there or on its way."""
        if not self._workers and self._starting_count == 0:
            while self._waiting:
                self._check_here(self._waiting.popleft())
        while self._waiting and self._workers:
            if not self._waiting[0].is_wanted():
                abandoned = self._waiting.popleft()
                self._complete(abandoned, [False] * len(abandoned.checks))
                continue
            worker = min(self._workers, key=lambda each: len(each.in_flight))
            if len(worker.in_flight) >= BATCHES_IN_FLIGHT_MAX:
                return
            worker.send(self._waiting.popleft())

    def _complete(self, batch: _Batch, answers: Sequence[bool]) -> None:
        """Hand the answers of a batch to the calls its chunks are from."""
        start = 0
        for chunk in batch.chunks:
            call, count = chunk.call, len(chunk.checks)
            call.answers[chunk.offset : chunk.offset + count] = answers[start : start + count]
            start += count
            call.missing -= count
            if call.missing == 0 and not call.done.done():
                call.done.set_result(True)
            self._space.release()

    def _check_here(self, batch: _Batch) -> None:
        self._local.append(batch)
        if self._local_task is None or self._local_task.done():
            self._local_task = asyncio.get_running_loop().create_task(self._run_local())

    async def _run_local(self) -> None:
        while self._local:
            batch = self._local.popleft()
            answers: list[bool] = []
            for offset in range(0, len(batch.checks), SLICE_CHECKS):
                if not batch.is_wanted():
                    answers = [False] * len(batch.checks)
                    break
                answers += [is_good(check) for check in batch.checks[offset : offset + SLICE_CHECKS]]
                await asyncio.sleep(0)
            self._complete(batch, answers)

    async def _start_worker(self, death_count: int, delay_s: float) -> None:
        """Start one worker, at once or later; one that cannot be started counts as dead."""
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        self._starting_count += 1
        try:
            process, connection = _spawn()
            worker = _Worker(self, process, death_count)
            try:
                await asyncio.get_running_loop().create_unix_connection(lambda: worker, sock=connection)
            except BaseException:
                connection.close()
                await worker.end()
                raise
        except OSError as error:
            self._report(f"a signature worker cannot be started ({error.strerror})")
            self._restart(death_count + 1)
        finally:
            self._starting_count -= 1
        self._dispatch()

    def _restart(self, death_count: int) -> None:
        delay_s = RESTART_DELAYS_S[min(death_count, len(RESTART_DELAYS_S) - 1)]
        self._run_task(self._start_worker(death_count, delay_s))

    def _on_birth(self, worker: "_Worker") -> None:
        self._workers.append(worker)

    def _on_answer(self, batch: _Batch, answers: bytes) -> None:
        self._complete(batch, [answer == 1 for answer in answers])
        self._dispatch()

    def _on_death(self, worker: "_Worker") -> None:
        """Run its batches again, elsewhere, and start a successor."""
        if self._is_closed or worker not in self._workers:
            return
        self._workers.remove(worker)
        self._report(f"signature worker {worker.process.pid} died; its {len(worker.in_flight)} batches run again")
        for batch in reversed(worker.in_flight):
            batch.attempts += 1
            if batch.attempts >= BATCH_ATTEMPTS_MAX:
                self._check_here(batch)  # perhaps it kills workers
            else:
                self._waiting.appendleft(batch)
        worker.in_flight.clear()
        self._run_task(worker.end())
        self._restart(worker.death_count)
        self._dispatch()

    def _run_task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Worker(asyncio.Protocol):
    """One life of one worker process."""

    def __init__(self, verifier: Verifier, process: subprocess.Popen[bytes], death_count: int) -> None:
        self.process = process
        self.death_count = death_count
        """How often this worker's predecessors died in a row, and it too unless it answers."""
        self.in_flight: deque[_Batch] = deque()
        self._verifier = verifier
        self._transport: asyncio.WriteTransport | None = None
        self._received = bytearray()
        self._silence_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is one in all but its class
        self.death_count += 1
        self._verifier._on_birth(self)

    def send(self, batch: _Batch) -> None:
        """Queue a batch in the worker's socket."""
        assert self._transport is not None
        self.in_flight.append(batch)
        if len(self.in_flight) == 1:
            self._watch()
        self._transport.write(encode_batch(batch.checks))

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= LENGTH.size:
            (count,) = LENGTH.unpack_from(self._received)
            if not self.in_flight or count != len(self.in_flight[0].checks):
                self._give_up()
                return
            end = LENGTH.size + count
            if len(self._received) < end:
                return
            answers = bytes(self._received[LENGTH.size : end])
            del self._received[:end]
            self.death_count = 0
            batch = self.in_flight.popleft()
            self._watch()
            self._verifier._on_answer(batch, answers)

    def connection_lost(self, _error: Exception | None) -> None:
        self._stop_watching()
        self._verifier._on_death(self)

    async def end(self) -> None:
        """Kill the process, which keeps nothing, and wait for its end."""
        self._give_up()
        await asyncio.to_thread(self.process.wait)

    def _give_up(self) -> None:
        self._stop_watching()
        self.process.kill()
        if self._transport is not None:
            self._transport.abort()

    def _watch(self) -> None:
        """Begin to wait for the next answer, if one is due."""
        self._stop_watching()
        if self.in_flight:
            self._silence_timer = asyncio.get_running_loop().call_later(ANSWER_S_MAX, self._give_up)

    def _stop_watching(self) -> None:
        if self._silence_timer is not None:
            self._silence_timer.cancel()
            self._silence_timer = None


def _divide(call: _Call, checks: Sequence[Check]) -> Iterator[_Chunk]:
    """Chunks that each fit a batch."""
    start, size_bytes = 0, 0
    for index, (_, key, message, signature) in enumerate(checks):
        check_bytes = len(key) + len(message) + len(signature) + _CHECK_BYTES_OVERHEAD
        if check_bytes > CHECK_BYTES_MAX:
            raise ValueError(f"check {index} has {check_bytes} bytes, at most {CHECK_BYTES_MAX} are allowed")
        if index > start and (index - start == BATCH_CHECKS_MAX or size_bytes + check_bytes > BATCH_BYTES_MAX):
            yield _Chunk(call, start, checks[start:index], size_bytes)
            start, size_bytes = index, 0
        size_bytes += check_bytes
    yield _Chunk(call, start, checks[start:], size_bytes)


def _spawn() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A worker and our end of the socket that is its stdin. It dies with us: the kernel closes our end."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
            ours.setblocking(False)
            paths = [str(_IMPORT_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "node.verify_worker"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                process_group=0,  # Ctrl-C in the terminal reaches the node alone
            )
        except BaseException:
            ours.close()
            raise
    return process, ours
