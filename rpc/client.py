"""Clients of a node: `Client` blocks and needs the standard library only, `AsyncClient` runs on an event loop.

    with Client("http://127.0.0.1:8645") as client:
        account = client.run(calls.account_get(address))

With `verify=True` and a `trust` (`rpc.proofs`: the genesis document, or a checkpoint) a client believes no node: it
checks the proofs of accounts, balances, receipts, headers and raw state values itself, and raises UnprovenAnswerError
when one fails. What nothing proves (what is pending, lists, module views, subscriptions) stays the node's word, and a
node may keep silent about what is new: the height in every answer says how old it is.

Both run the same typed calls of `rpc.calls`, alone or in batches. A call is tried again only when that is safe: when
it is repeatable and the connection broke, or the node said that it was busy.
"""

import asyncio
import http.client
import socket
import ssl
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Sequence
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar, cast
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ValidationError

from rpc import calls
from rpc.calls import Call
from rpc.errors import ErrorCode, RpcError
from rpc.models import TOPIC_MESSAGES, SendResult, StatusResult, SubscriptionMessage, Topic
from rpc.proof_failure import ProofFailedError
from rpc.settings import PORT_DEFAULT, WAIT_MS_DEFAULT, WAIT_MS_MAX

if TYPE_CHECKING:
    import aiohttp

    from rpc.proofs import Trust
    from rpc.verified_reads import Plan, VerifiedReads

T = TypeVar("T")

URL_DEFAULT: Final = f"http://127.0.0.1:{PORT_DEFAULT}"
TIMEOUT_SECONDS_DEFAULT: Final = WAIT_MS_MAX / 1000 + 15  # longer than the longest call a node allows
ATTEMPTS_MAX: Final = 4
RESPONSE_BYTES_MAX: Final = 64 * 2**20
_PAUSE_SECONDS: Final = 0.1  # before the second attempt; doubles each time
_POLL_SECONDS: Final = 0.1
_BUSY_CODES: Final = (ErrorCode.NOT_READY, ErrorCode.LIMIT)
_JSON_HEADERS: Final = {"Content-Type": "application/json", "Accept": "application/json"}
_SETTLED: Final = ("final", "failed", "dropped")
_RESUMABLE: Final = ("SLOW_CONSUMER", "NOT_READY")


class NodeUnreachableError(Exception):
    """No node answers there."""

    def __init__(self, url: str, problem: object) -> None:
        super().__init__(f"no node answers at {url} ({problem}); is the devnet running? start it with: make devnet")
        self.url = url


class BadResponseError(Exception):
    """Something answers there, but not as a node does."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"{url} does not answer as a CarLive node does ({problem}); is it the RPC port?")
        self.url = url


class UnprovenAnswerError(Exception):
    """The node says something, and its proof fails: it lies, is broken, or follows another chain."""

    def __init__(self, url: str, failure: ProofFailedError) -> None:
        super().__init__(
            f"{url} answers what does not prove true ({failure.step}: {failure.problem}): ask another node"
        )
        self.url = url
        self.step = failure.step


class Client:
    """A blocking client. It keeps one connection, so use it from one thread at a time."""

    def __init__(
        self,
        url: str = URL_DEFAULT,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS_DEFAULT,
        verify: bool = False,
        trust: "Trust | None" = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"a node's URL is like {URL_DEFAULT}, not {url!r}")
        self.url = url.rstrip("/")
        self._verified = _build_verified_reads(verify, trust)
        self._path = parts.path.rstrip("/") + "/rpc"
        self._timeout_seconds = timeout_seconds
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(
                parts.hostname, port, timeout=timeout_seconds, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(parts.hostname, port, timeout=timeout_seconds)
        self._ids = count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        self._connection.close()

    def run(self, call: Call[T]) -> T:
        """The call's result; raises RpcError, NodeUnreachableError, BadResponseError or UnprovenAnswerError."""
        plan = None if self._verified is None else self._verified.find_plan(call)
        return self._run_repeated(call) if plan is None else self.run_plan(plan)

    def run_plan(self, plan: "Plan[T]") -> T:
        """What a plan of several calls comes to; raises what `run` raises."""
        try:
            wanted = next(plan)
            while True:
                wanted = plan.send(self._run_repeated(wanted))
        except StopIteration as end:
            return cast(T, end.value)
        except ProofFailedError as failure:
            raise UnprovenAnswerError(self.url, failure) from failure

    def _run_repeated(self, call: Call[T]) -> T:
        for attempt in range(ATTEMPTS_MAX):
            (outcome,) = self._exchange([call], is_batch=False)
            if not isinstance(outcome, RpcError):
                return outcome
            if attempt == ATTEMPTS_MAX - 1 or not _may_repeat(call, outcome):
                raise outcome
            time.sleep(_PAUSE_SECONDS * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def run_batch(self, batch: Sequence[Call[T]]) -> list[T | RpcError]:
        """One outcome per call, in order, from one request; the node limits how many may be in it.

        A verifying client asks for each on its own: what it takes to prove one depends on the answers.
        """
        if self._verified is not None:
            outcomes: list[T | RpcError] = []
            for call in batch:
                try:
                    outcomes.append(self.run(call))
                except RpcError as error:
                    outcomes.append(error)
            return outcomes
        return self._exchange(batch, is_batch=True) if batch else []

    def send(
        self, raw: bytes, *, wait: Literal["admitted", "final"] = "admitted", timeout_ms: int = WAIT_MS_DEFAULT
    ) -> SendResult:
        """Submit a transaction."""
        return self.run(calls.tx_send(raw, wait=wait, timeout_ms=timeout_ms))

    def send_many(
        self, raws: Sequence[bytes], *, wait: Literal["admitted", "final"] = "admitted"
    ) -> list[SendResult | RpcError]:
        """Submit transactions in one batch."""
        return self.run_batch([calls.tx_send(raw, wait=wait) for raw in raws])

    def wait_final(self, transaction_id: bytes, timeout_ms: int = WAIT_MS_DEFAULT) -> StatusResult:
        """Where a transaction stands once it is settled, or when the time is over."""
        ends = time.monotonic() + timeout_ms / 1000
        while True:
            status = self.run(calls.tx_status(transaction_id))
            if status.status in _SETTLED or time.monotonic() >= ends:
                return status
            time.sleep(_POLL_SECONDS)

    def subscribe(
        self, topic: Topic, *, filter: dict[str, str] | None = None, start: int | str | None = None
    ) -> Iterator[SubscriptionMessage]:
        """Messages of a topic as `AsyncClient.subscribe` gives them, over a connection of their own."""
        with _LoopThread() as loop:
            client = AsyncClient(self.url, timeout_seconds=self._timeout_seconds)
            stream = client.subscribe(topic, filter=filter, start=start)
            try:
                while True:
                    try:
                        yield loop.run(_get_next(stream))
                    except StopAsyncIteration:
                        return
            finally:
                loop.run(stream.aclose())
                loop.run(client.close())

    def _exchange(self, batch: Sequence[Call[T]], *, is_batch: bool) -> list[T | RpcError]:
        first_id = next(self._ids)
        for _ in batch[1:]:
            next(self._ids)
        body = _encode_request(batch, first_id, is_batch=is_batch)
        is_repeatable = all(call.is_repeatable for call in batch)
        return _decode_response(self.url, self._post(body, is_repeatable=is_repeatable), batch, first_id)

    def _post(self, body: bytes, *, is_repeatable: bool) -> bytes:
        if not is_repeatable:
            self._connection.close()  # an idle connection may have been closed, and there is no second try
        for attempt in range(ATTEMPTS_MAX):
            try:
                self._connection.request("POST", self._path, body, _JSON_HEADERS)
                response = self._connection.getresponse()
                raw = response.read(RESPONSE_BYTES_MAX + 1)
                if len(raw) > RESPONSE_BYTES_MAX:
                    raise BadResponseError(self.url, "the answer is too large")
                return raw
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                is_hopeless = isinstance(error, (ConnectionRefusedError, TimeoutError, socket.gaierror))
                if is_hopeless or not is_repeatable or attempt == ATTEMPTS_MAX - 1:
                    raise NodeUnreachableError(self.url, _describe(error)) from None
                time.sleep(_PAUSE_SECONDS * 2**attempt)
            except BaseException:
                self._connection.close()  # an answer half read would be taken for the next one
                raise
        raise AssertionError("the last attempt returns or raises")


class AsyncClient:
    """A client for event loops; any number of calls may be under way."""

    def __init__(
        self,
        url: str = URL_DEFAULT,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS_DEFAULT,
        verify: bool = False,
        trust: "Trust | None" = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._verified = _build_verified_reads(verify, trust)
        self._timeout_seconds = timeout_seconds
        self._http: aiohttp.ClientSession | None = None
        self._ids = count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; the next call opens another."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def run(self, call: Call[T]) -> T:
        """The call's result; raises RpcError, NodeUnreachableError, BadResponseError or UnprovenAnswerError."""
        plan = None if self._verified is None else self._verified.find_plan(call)
        return await (self._run_repeated(call) if plan is None else self.run_plan(plan))

    async def run_plan(self, plan: "Plan[T]") -> T:
        """What a plan of several calls comes to; raises what `run` raises."""
        try:
            wanted = next(plan)
            while True:
                wanted = plan.send(await self._run_repeated(wanted))
        except StopIteration as end:
            return cast(T, end.value)
        except ProofFailedError as failure:
            raise UnprovenAnswerError(self.url, failure) from failure

    async def _run_repeated(self, call: Call[T]) -> T:
        for attempt in range(ATTEMPTS_MAX):
            (outcome,) = await self._exchange([call], is_batch=False)
            if not isinstance(outcome, RpcError):
                return outcome
            if attempt == ATTEMPTS_MAX - 1 or not _may_repeat(call, outcome):
                raise outcome
            await asyncio.sleep(_PAUSE_SECONDS * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    async def run_batch(self, batch: Sequence[Call[T]]) -> list[T | RpcError]:
        """One outcome per call, in order, from one request; the node limits how many may be in it.

        A verifying client asks for each on its own: what it takes to prove one depends on the answers.
        """
        if self._verified is not None:
            outcomes: list[T | RpcError] = []
            for call in batch:
                try:
                    outcome: T = await self.run(call)
                    outcomes.append(outcome)
                except RpcError as error:
                    outcomes.append(error)
            return outcomes
        return await self._exchange(batch, is_batch=True) if batch else []

    async def send(
        self, raw: bytes, *, wait: Literal["admitted", "final"] = "admitted", timeout_ms: int = WAIT_MS_DEFAULT
    ) -> SendResult:
        """Submit a transaction."""
        return await self.run(calls.tx_send(raw, wait=wait, timeout_ms=timeout_ms))

    async def send_many(
        self, raws: Sequence[bytes], *, wait: Literal["admitted", "final"] = "admitted"
    ) -> list[SendResult | RpcError]:
        """Submit transactions in one batch."""
        return await self.run_batch([calls.tx_send(raw, wait=wait) for raw in raws])

    async def wait_final(self, transaction_id: bytes, timeout_ms: int = WAIT_MS_DEFAULT) -> StatusResult:
        """Where a transaction stands once it is settled, or when the time is over."""
        ends = time.monotonic() + timeout_ms / 1000
        while True:
            status = await self.run(calls.tx_status(transaction_id))
            if status.status in _SETTLED or time.monotonic() >= ends:
                return status
            await asyncio.sleep(_POLL_SECONDS)

    async def subscribe(
        self, topic: Topic, *, filter: dict[str, str] | None = None, start: int | str | None = None
    ) -> AsyncGenerator[SubscriptionMessage, None]:
        """Messages of a topic from a height, a cursor or now on, each with its model of TOPIC_MESSAGES as result.

        When the connection breaks it is opened again and resumes behind the last message; `pending`, which has no
        history, goes on with what comes. Raises RpcError when the node ends the subscription for good.
        """
        position = start
        failures = 0
        while True:
            try:
                async for message in self._follow(topic, filter, position):
                    if message.topic != "pending":
                        position = message.cursor
                    if isinstance(message.result, BaseModel):
                        failures = 0
                        yield message
                problem: object = "the node closed the connection"
            except NodeUnreachableError as error:
                problem = error
            failures += 1
            if failures >= ATTEMPTS_MAX:
                raise NodeUnreachableError(self.url, problem)
            await asyncio.sleep(_PAUSE_SECONDS * 2**failures)

    async def _follow(
        self, topic: Topic, filter: dict[str, str] | None, start: int | str | None
    ) -> AsyncIterator[SubscriptionMessage]:
        """One connection's messages; the first has no result but the cursor to begin at."""
        import aiohttp

        params: dict[str, Any] = {"topic": topic, "filter": filter or {}}
        if start is not None:
            params["from"] = start
        request = {"jsonrpc": "2.0", "id": 1, "method": "sub_subscribe", "params": params}
        try:
            async with self._get_http().ws_connect(
                f"{self.url}/ws", max_msg_size=RESPONSE_BYTES_MAX, autoping=True
            ) as websocket:
                await websocket.send_bytes(orjson.dumps(request))
                async for frame in websocket:
                    if frame.type is not aiohttp.WSMsgType.TEXT:
                        return
                    message = _decode_notification(self.url, topic, _load(self.url, frame.data.encode()))
                    if message is None:
                        return
                    yield message
        except aiohttp.ClientError as error:
            raise NodeUnreachableError(self.url, _describe(error)) from None

    async def _exchange(self, batch: Sequence[Call[T]], *, is_batch: bool) -> list[T | RpcError]:
        first_id = next(self._ids)
        for _ in batch[1:]:
            next(self._ids)
        body = _encode_request(batch, first_id, is_batch=is_batch)
        is_repeatable = all(call.is_repeatable for call in batch)
        return _decode_response(self.url, await self._post(body, is_repeatable=is_repeatable), batch, first_id)

    async def _post(self, body: bytes, *, is_repeatable: bool) -> bytes:
        import aiohttp

        for attempt in range(ATTEMPTS_MAX):
            try:
                async with self._get_http().post(f"{self.url}/rpc", data=body, headers=_JSON_HEADERS) as response:
                    return await response.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                is_hopeless = isinstance(error, (aiohttp.ClientConnectorError, TimeoutError))
                if is_hopeless or not is_repeatable or attempt == ATTEMPTS_MAX - 1:
                    raise NodeUnreachableError(self.url, _describe(error)) from None
                await asyncio.sleep(_PAUSE_SECONDS * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def _get_http(self) -> "aiohttp.ClientSession":
        import aiohttp  # here, so that the blocking client starts without it

        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._timeout_seconds))
        return self._http


class _LoopThread:
    """An event loop on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="carlive-client", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine run there."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


def _build_verified_reads(verify: bool, trust: "Trust | None") -> "VerifiedReads | None":
    if not verify:
        return None
    if trust is None:
        raise ValueError("a client that verifies needs to know what it may trust: a genesis document or a checkpoint")
    from rpc.verified_reads import VerifiedReads  # here, so that other clients start without it

    return VerifiedReads(trust)


async def _get_next(stream: AsyncIterator[T]) -> T:
    return await anext(stream)


def _encode_request(batch: Sequence[Call[T]], first_id: int, *, is_batch: bool) -> bytes:
    requests = [
        {"jsonrpc": "2.0", "id": first_id + position, "method": call.method, "params": call.params}
        for position, call in enumerate(batch)
    ]
    return orjson.dumps(requests if is_batch else requests[0])


def _decode_response(url: str, raw: bytes, batch: Sequence[Call[T]], first_id: int) -> list[T | RpcError]:
    response = _load(url, raw)
    if isinstance(response, dict) and response.get("id") is None and "error" in response:
        error = read_error(response["error"])
        return [error] * len(batch)  # the node refused the request as a whole
    by_id = {each.get("id"): each for each in (response if isinstance(response, list) else [response]) if each}
    if set(by_id) != set(range(first_id, first_id + len(batch))):
        raise BadResponseError(url, "the answers do not belong to the calls")
    outcomes: list[T | RpcError] = []
    for position, call in enumerate(batch):
        outcome = _read_outcome(url, call, by_id[first_id + position])
        outcomes.append(outcome)
    return outcomes


def _read_outcome(url: str, call: Call[T], response: dict[str, Any]) -> T | RpcError:
    if "error" in response:
        return read_error(response["error"])
    try:
        assert issubclass(call.result, BaseModel)
        return cast(T, call.result.model_validate(response.get("result")))
    except ValidationError:
        raise BadResponseError(url, f"the result of {call.method} has another form") from None


def read_error(plain: Any) -> RpcError:
    """The error of a response as the server raised it."""
    data = plain.get("data") if isinstance(plain, dict) else None
    fields = dict(data) if isinstance(data, dict) else {}
    try:
        code = ErrorCode(int(plain["code"]))
    except (KeyError, TypeError, ValueError):
        code = ErrorCode.INTERNAL_ERROR
    reason, detail = str(fields.pop("reason", code.name)), str(fields.pop("detail", ""))
    return RpcError(code, reason, detail, is_retryable=fields.pop("retryable", False) is True, fields=fields)


def _decode_notification(url: str, topic: Topic, plain: Any) -> SubscriptionMessage | None:
    """A subscription's message, or None at an end to resume from; raises RpcError at any other end."""
    if not isinstance(plain, dict):
        raise BadResponseError(url, "a WebSocket message has another form")
    if "error" in plain:
        raise read_error(plain["error"])
    try:
        if "result" in plain:
            opened = plain["result"]
            return SubscriptionMessage(
                subscription=opened["subscription"], topic=topic, cursor=opened["cursor"], result=None
            )
        params = plain["params"]
        if plain["method"] == "sub_closed":
            error = read_error(params["error"])
            if error.reason in _RESUMABLE:
                return None
            raise error
        message = SubscriptionMessage.model_validate(params)
        result = TOPIC_MESSAGES[message.topic].model_validate(message.result)
    except (KeyError, TypeError, ValidationError):
        raise BadResponseError(url, "a WebSocket message has another form") from None
    return message.model_copy(update={"result": result})


def _load(url: str, raw: bytes) -> Any:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise BadResponseError(url, "the answer is not JSON") from None
    if not isinstance(value, dict) and not (isinstance(value, list) and all(isinstance(each, dict) for each in value)):
        raise BadResponseError(url, "the answer is not JSON-RPC")
    return value


def _may_repeat(call: Call[T], error: RpcError) -> bool:
    """Only when nothing has happened and the node was merely busy."""
    return call.is_repeatable and error.is_retryable and error.code in _BUSY_CODES


def _describe(error: BaseException) -> str:
    return str(error) or type(error).__name__
