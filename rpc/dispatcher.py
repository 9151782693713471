"""JSON-RPC 2.0: single calls, notifications and batches, from bytes to bytes.

Calls that answer at once run on the event loop in turns of a few milliseconds; heavy ones go to the read threads; runs
of transactions in a batch are submitted together. Whatever happens, the answer is JSON-RPC and never a traceback.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, Final, cast

import structlog

from ledger.primitives import JSON_INTEGER_MAX
from ledger.reasons import Rejected
from rpc.backend import Submitted
from rpc.errors import RpcError, build_error, limit_exceeded, rejected
from rpc.json_codec import JsonId, encode_error, encode_result, format_hex, parse_json
from rpc.method import Method, Place
from rpc.models import SendParams
from rpc.namespaces.tx import finish_send
from rpc.session import Session, yield_to_loop
from rpc.settings import WAIT_MS_MAX

ID_CHARACTERS_MAX: Final = 256
NAME_CHARACTERS_SHOWN_MAX: Final = 64
BATCH_JOBS_MAX: Final = 16  # calls of one batch that wait or read at a time
LOOP_TURN_SECONDS: Final = 0.005  # how long one batch may hold the event loop at a stretch
WAITS_MAX: Final = 20_000  # tx_send calls waiting for finality; more are answered as pending, as if timed out
AWAITED_SECONDS_MAX: Final = WAIT_MS_MAX / 1000 + 5

_log = structlog.get_logger("rpc")


@dataclass(frozen=True, slots=True)
class Request:
    """One call."""

    method: str
    params: list[Any] | dict[str, Any] | None
    id: JsonId
    is_notification: bool


class Dispatcher:
    """Answers requests with the methods of a table."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        self._methods = methods
        self._submissions: set[asyncio.Future[Any]] = set()
        self._waiting = 0
        self.calls_total = 0
        self.errors_total = 0

    async def answer(self, raw: bytes, session: Session) -> bytes | None:
        """The response to a request or batch; None when there is nothing to say."""
        try:
            value = parse_json(raw)
        except RpcError as error:
            return self._fail(None, error)
        if type(value) is not list:
            return (await self._answer_many([value], session))[0]
        calls_max = session.settings.batch_calls_max
        if not value:
            return self._fail(None, build_error("INVALID_REQUEST", "the batch is empty"))
        if len(value) > calls_max:
            refusal = build_error("BATCH_TOO_LARGE", f"at most {calls_max} calls", calls_max=calls_max)
            return self._fail(None, refusal)
        replies = [reply for reply in await self._answer_many(value, session) if reply is not None]
        return b"[" + b",".join(replies) + b"]" if replies else None

    async def _answer_many(self, values: list[Any], session: Session) -> list[bytes | None]:
        batch = _Batch(session, len(values))
        requests: list[tuple[int, Request, Method]] = []
        for position, value in enumerate(values):
            self.calls_total += 1
            try:
                request = read_request(value)
            except RpcError as error:
                batch.replies[position] = self._fail(_get_valid_id(value), error)
                continue
            method = self._methods.get(request.method)
            if method is None:
                shown = request.method[:NAME_CHARACTERS_SHOWN_MAX]
                unknown = build_error("METHOD_NOT_FOUND", f"there is no method {shown!r}; see rpc.discover")
                batch.put(position, request, self._fail(request.id, unknown))
                continue
            requests.append((position, request, method))
        for place, run in groupby(requests, key=lambda each: each[2].place):
            if place is Place.SUBMIT:
                await self._submit_run(list(run), batch)
                continue
            for position, request, method in run:
                await self._start(position, request, method, batch)
        await batch.finish()
        return batch.replies

    async def _start(self, position: int, request: Request, method: Method, batch: "_Batch") -> None:
        """Answer at once what may run on the loop; leave the rest to a job of the batch."""
        try:
            batch.check_allowance()
            params = method.parse_params(request.params)
        except RpcError as error:
            batch.put(position, request, self._fail(request.id, error))
            return
        session = batch.session
        match method.place:
            case Place.LOOP:
                is_quick = True
            case Place.LOOP_AT_HEAD:
                is_quick = getattr(params, "at", "final") == "final"
            case _:
                is_quick = False
        if is_quick:
            reply = self._call(request, method, lambda: method.encode_result(method.handler(session, params)))
            batch.put(position, request, reply)
            await batch.take_turn()
            return
        if method.place is Place.AWAITED:
            batch.add_job(position, request, lambda: self._await(request, method, params, session))
        else:
            batch.add_job(position, request, lambda: self._read(request, method, params, session))

    async def _submit_run(self, run: Sequence[tuple[int, Request, Method]], batch: "_Batch") -> None:
        """Hand consecutive transactions of a batch to the node in one go."""
        session = batch.session
        ready: list[tuple[int, Request, Method, SendParams]] = []
        for position, request, method in run:
            try:
                batch.check_allowance()
                ready.append((position, request, method, cast(SendParams, method.parse_params(request.params))))
            except RpcError as error:
                batch.put(position, request, self._fail(request.id, error))
        if not ready:
            return
        try:
            outcomes = await self._submit([params.raw for *_, params in ready], session)
        except Exception as error:
            for position, request, method, _ in ready:
                batch.put(position, request, self._fail_with(request, method, error))
            return
        for (position, request, method, params), outcome in zip(ready, outcomes, strict=True):
            if isinstance(outcome, Rejected):
                batch.put(position, request, self._fail(request.id, rejected(outcome)))
            elif params.wait == "admitted":
                batch.put(position, request, encode_result(request.id, _encode_admitted(outcome)))
            else:
                batch.add_wait(position, request, partial(self._wait, request, method, params, outcome, session))
        await batch.take_turn()

    async def _submit(self, raws: list[bytes], session: Session) -> Sequence[Submitted | Rejected]:
        """A client that hangs up must not tear a submission apart, so it runs on in a task of its own."""
        submission = asyncio.ensure_future(session.backend.submit_many(raws))
        self._submissions.add(submission)
        submission.add_done_callback(self._submissions.discard)
        outcomes = await asyncio.shield(submission)
        assert len(outcomes) == len(raws), "one outcome for each transaction"
        return outcomes

    async def _wait(
        self, request: Request, method: Method, params: SendParams, outcome: Submitted, session: Session
    ) -> bytes:
        if self._waiting >= WAITS_MAX:
            return encode_result(request.id, _encode_admitted(outcome))

        async def wait() -> bytes:
            return method.encode_result(await finish_send(session, params, outcome))

        self._waiting += 1
        try:
            return await self._limit(request, method, wait, params.timeout_ms / 1000 + 5)
        finally:
            self._waiting -= 1

    async def _await(self, request: Request, method: Method, params: Any, session: Session) -> bytes:
        async def call() -> bytes:
            return method.encode_result(await method.handler(session, params))

        return await self._limit(request, method, call, AWAITED_SECONDS_MAX)

    async def _read(self, request: Request, method: Method, params: Any, session: Session) -> bytes:
        async def read() -> bytes:
            return await session.read(lambda: method.encode_result(method.handler(session, params)))

        return await self._limit(request, method, read, session.settings.call_seconds_max + 1)

    async def _limit(
        self, request: Request, method: Method, work: Callable[[], Awaitable[bytes]], seconds_max: float
    ) -> bytes:
        try:
            async with asyncio.timeout(seconds_max):
                return encode_result(request.id, await work())
        except TimeoutError:
            return self._fail(request.id, limit_exceeded("the call took too long"))
        except Exception as error:
            return self._fail_with(request, method, error)

    def _call(self, request: Request, method: Method, work: Callable[[], bytes]) -> bytes:
        try:
            return encode_result(request.id, work())
        except Exception as error:
            return self._fail_with(request, method, error)

    def _fail_with(self, request: Request, method: Method, error: Exception) -> bytes:
        """Known failures as they are; anything else is ours: logged whole, answered with an id only."""
        if isinstance(error, RpcError):
            return self._fail(request.id, error)
        if isinstance(error, Rejected):
            return self._fail(request.id, rejected(error))
        error_id = secrets.token_hex(8)
        _log.error("call failed", method=method.name, error_id=error_id, exc_info=error)
        return self._fail(request.id, build_error("INTERNAL_ERROR", error_id=error_id))

    def _fail(self, identifier: JsonId, error: RpcError) -> bytes:
        self.errors_total += 1
        return encode_error(identifier, error)


class _Batch:
    """Replies in their places, the work still to do, and how much time and room is left."""

    def __init__(self, session: Session, calls: int) -> None:
        self.session = session
        self.replies: list[bytes | None] = [None] * calls
        # not the loop's own clock: uvloop's stands still while a callback runs
        self._deadline = time.monotonic() + session.settings.batch_seconds_max
        self._turn_ends = time.monotonic() + LOOP_TURN_SECONDS
        self._bytes_left = session.settings.response_bytes_max
        self._jobs: list[tuple[int, Request, Callable[[], Awaitable[bytes]]]] = []
        self._waits: list[tuple[int, Request, Callable[[], Awaitable[bytes]]]] = []

    def put(self, position: int, request: Request, reply: bytes) -> None:
        """Keep a reply; one that does not fit is replaced by an error, which always does."""
        if request.is_notification:
            return
        if len(reply) > self._bytes_left:
            reply = encode_error(request.id, limit_exceeded("the answer is too large, ask for less"))
        self._bytes_left -= len(reply)
        self.replies[position] = reply

    def check_allowance(self) -> None:
        """Whether one more call may start; raises RpcError."""
        if self._bytes_left <= 0:
            raise limit_exceeded("the answer is too large, ask for less")
        if time.monotonic() > self._deadline:
            raise limit_exceeded("the batch takes too long, send fewer calls")

    async def take_turn(self) -> None:
        """Give the loop to others once this batch has had its share."""
        if len(self.replies) > 1 and time.monotonic() > self._turn_ends:
            await yield_to_loop()
            self._turn_ends = time.monotonic() + LOOP_TURN_SECONDS

    def add_job(self, position: int, request: Request, start: Callable[[], Awaitable[bytes]]) -> None:
        """Work that takes a place among the batch's jobs."""
        self._jobs.append((position, request, start))

    def add_wait(self, position: int, request: Request, start: Callable[[], Awaitable[bytes]]) -> None:
        """Waiting that takes no place among the jobs, however much there is of it."""
        self._waits.append((position, request, start))

    async def finish(self) -> None:
        """Do all that is left."""
        if not self._jobs and not self._waits:
            return
        if len(self._jobs) == 1 and not self._waits:
            await self._run_jobs(iter(self._jobs))
            return
        remaining = iter(self._jobs)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(BATCH_JOBS_MAX, len(self._jobs))):
                group.create_task(self._run_jobs(remaining))
            for position, request, start in self._waits:
                group.create_task(self._run_wait(position, request, start))

    async def _run_jobs(self, remaining: Any) -> None:
        for position, request, start in remaining:
            try:
                self.check_allowance()
            except RpcError as error:
                self.put(position, request, encode_error(request.id, error))
                continue
            self.put(position, request, await start())

    async def _run_wait(self, position: int, request: Request, start: Callable[[], Awaitable[bytes]]) -> None:
        self.put(position, request, await start())


def read_request(value: Any) -> Request:
    """A request object; raises RpcError INVALID_REQUEST."""
    if type(value) is not dict:
        raise build_error("INVALID_REQUEST", "a request is an object")
    if value.get("jsonrpc") != "2.0":
        raise build_error("INVALID_REQUEST", 'jsonrpc is "2.0"')
    method = value.get("method")
    if type(method) is not str:
        raise build_error("INVALID_REQUEST", "method is a string")
    params = value.get("params")
    if "params" in value and type(params) not in (list, dict):
        raise build_error("INVALID_REQUEST", "params is an object or an array")
    identifier = value.get("id")
    if not _is_valid_id(identifier):
        raise build_error("INVALID_REQUEST", f"id is a string of at most {ID_CHARACTERS_MAX}, an integer or null")
    return Request(method, params, identifier, is_notification="id" not in value)


def _get_valid_id(value: Any) -> JsonId:
    identifier = value.get("id") if type(value) is dict else None
    return identifier if _is_valid_id(identifier) else None


def _is_valid_id(identifier: Any) -> bool:
    if identifier is None:
        return True
    if type(identifier) is str:
        return len(identifier) <= ID_CHARACTERS_MAX
    return type(identifier) is int and abs(identifier) <= JSON_INTEGER_MAX


def _encode_admitted(outcome: Submitted) -> bytes:
    """The usual answer to tx_send, written by hand because it is written most."""
    known = b"true" if outcome.known else b"false"
    return b'{"id":"%b","known":%b,"status":"pending"}' % (format_hex(outcome.id).encode(), known)
