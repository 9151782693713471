"""Subscriptions: every message of a topic, in order, once, from a height or a cursor on.

Messages about final blocks are read from the chain by height, history and live alike, so there is no seam between the
two. Nothing is queued for a slow reader: its own task waits until the message before has left, and when that takes
too long the connection is closed with the cursor of the last message sent.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

import orjson
import structlog
from pydantic import BaseModel

from identity.address import NetworkKind
from identity.did import format_did
from ledger.block import CertifiedBlock
from ledger.receipt import Event, Receipt
from ledger.transaction import Transaction, decode_transaction
from rpc.addresses import format_address
from rpc.backend import Backend
from rpc.contract_interfaces import make_finder
from rpc.errors import RpcError, build_error, invalid_params, limit_exceeded, node_behind, not_found, pruned
from rpc.models import (
    AtHeight,
    BlockMessage,
    CommitteeMessage,
    EventMessage,
    FromCursor,
    SubscribeParams,
    SubscribeResult,
    SubscriptionFilter,
    Topic,
    TransactionMessage,
)
from rpc.namespaces.did import parse as parse_did
from rpc.session import Session
from rpc.settings import RpcSettings
from rpc.views import (
    build_block_summary,
    build_committee_view,
    build_event_view,
    build_pending_view,
    build_receipt_view,
    build_transaction_view,
    list_event_dids,
)

CACHE_BYTES_MAX: Final = 16 * 2**20  # rendered messages of recent blocks, shared by all subscribers
_SCAN_TURN: Final = 256  # messages filtered out before others have their turn

_log = structlog.get_logger("rpc")


class SlowConsumerError(Exception):
    """A client did not take a message in time."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a block, and what filters ask about it."""

    index: int
    body: bytes
    sender: str | None = None
    modules: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    dids: frozenset[str] = frozenset()
    is_repeat: bool = False
    """Says the same as the block before: sent only as the first message of a subscription."""


class Outbox(Protocol):
    """The sending side of a connection."""

    async def send(self, data: bytes, on_written: Callable[[], None] | None = None) -> None:
        """Send a message and wait until there is room for the next; on_written is called once it will be sent.

        Raises SlowConsumerError or ConnectionError.
        """
        ...


class SubscriptionHub:
    """Reads and renders messages for all subscriptions of the server."""

    def __init__(self, backend: Backend, settings: RpcSettings) -> None:
        self.backend = backend
        self.settings = settings
        self.open_total = 0
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="rpc-subscriptions")
        self._cache: OrderedDict[tuple[Topic, int], Sequence[Message]] = OrderedDict()
        self._cache_bytes = 0
        self._moved = asyncio.Event()
        self._pending_listeners: set[Callable[[Sequence[Transaction]], None]] = set()
        self._end_watching = [backend.watch_blocks(self._on_block), backend.watch_pending(self._on_admitted)]

    def close(self) -> None:
        """Stop listening to the node."""
        for end in self._end_watching:
            end()
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def wait_for_height(self, height: int) -> None:
        """Return once the block of this height is final."""
        while True:
            moved = self._moved  # taken before the head is read, so that no block slips in between
            if self.backend.get_head().height >= height:
                return
            await moved.wait()

    async def read_messages(self, topic: Topic, height: int) -> Sequence[Message]:
        """All messages of a final block on a topic; raises RpcError when the block is gone."""
        key = (topic, height)
        cached = self._cache.get(key)
        if cached is not None:
            return cached
        loop = asyncio.get_running_loop()
        messages = await loop.run_in_executor(self._executor, render_messages, self.backend, topic, height)
        self._keep(key, messages)
        return messages

    def listen_pending(self, listener: Callable[[Sequence[Transaction]], None]) -> None:
        """Be told of newly admitted transactions."""
        self._pending_listeners.add(listener)

    def leave_pending(self, listener: Callable[[Sequence[Transaction]], None]) -> None:
        """Be told no more."""
        self._pending_listeners.discard(listener)

    def _on_block(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _on_admitted(self, transactions: Sequence[Transaction]) -> None:
        for listener in list(self._pending_listeners):
            listener(transactions)

    def _keep(self, key: tuple[Topic, int], messages: Sequence[Message]) -> None:
        size = _get_size(messages)
        if key in self._cache or size > CACHE_BYTES_MAX // 4:
            return
        self._cache[key] = messages
        self._cache_bytes += size
        while self._cache_bytes > CACHE_BYTES_MAX:
            _, dropped = self._cache.popitem(last=False)
            self._cache_bytes -= _get_size(dropped)


@dataclass(slots=True)
class _Subscription:
    id: str
    topic: Topic
    filter: SubscriptionFilter
    height: int
    """Where to go on."""
    index: int
    """Last index of that height which was sent already; -1 for none."""
    is_first: bool
    """Whether repeats count, because nothing was ever sent."""
    cursor: str
    """Of the last message sent."""
    pending: "_PendingQueue | None" = None
    """For the topic of that name."""
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class ConnectionSubscriptions:
    """The subscriptions of one WebSocket connection."""

    def __init__(self, hub: SubscriptionHub, session: Session, outbox: Outbox, on_slow: Callable[[], None]) -> None:
        self._hub = hub
        self._session = session
        self._outbox = outbox
        self._on_slow = on_slow
        self._subscriptions: dict[str, _Subscription] = {}
        self._opened = 0

    async def subscribe(self, params: SubscribeParams) -> SubscribeResult:
        """Open a subscription. Its messages start with `start_opened`, after the answer to this call has left."""
        settings = self._hub.settings
        if len(self._subscriptions) >= settings.subscriptions_per_connection_max:
            raise limit_exceeded(f"at most {settings.subscriptions_per_connection_max} subscriptions per connection")
        if self._hub.open_total >= settings.subscriptions_max:
            raise limit_exceeded("the node has too many subscriptions, try again later")
        subscription = self._build(params)
        self._subscriptions[subscription.id] = subscription
        self._hub.open_total += 1
        if params.topic == "pending":
            subscription.pending = _PendingQueue(settings.subscription_queue_max)
            self._hub.listen_pending(subscription.pending.put)
        return SubscribeResult(subscription=subscription.id, cursor=subscription.cursor)

    def start_opened(self) -> None:
        """Let subscriptions opened since the last time send their messages."""
        for subscription in self._subscriptions.values():
            if subscription.task is None:
                subscription.task = asyncio.create_task(self._run(subscription))

    async def unsubscribe(self, subscription: str) -> bool:
        """End a subscription."""
        ended = self._subscriptions.get(subscription)
        if ended is None:
            return False
        self._forget(ended)
        if ended.task is not None:
            ended.task.cancel()
            await asyncio.wait([ended.task])
        return True

    def close(self) -> None:
        """End all of them; waits for nothing, because whoever closes may itself be cancelled any moment."""
        for subscription in list(self._subscriptions.values()):
            self._forget(subscription)
            if subscription.task is not None:
                subscription.task.cancel()

    def build_closings(self, reason: str) -> list[bytes]:
        """The last message of every subscription, with the cursor to resume from."""
        return [_encode_closing(each, build_error(reason)) for each in self._subscriptions.values()]

    def _build(self, params: SubscribeParams) -> _Subscription:
        if params.filter.sender is not None:
            self._session.parse_address(params.filter.sender)
        if params.filter.did is not None:
            parse_did(self._session, params.filter.did)
        self._opened += 1
        height, index, is_first = self._find_start(params)
        return _Subscription(
            id=f"s{self._opened}",
            topic=params.topic,
            filter=params.filter,
            height=height,
            index=index,
            is_first=is_first,
            cursor=self._encode(params.topic, height, index),
        )

    def _find_start(self, params: SubscribeParams) -> tuple[int, int, bool]:
        """Height, last index of it already sent, and whether nothing was ever sent."""
        position = params.from_position
        head_height = self._hub.backend.get_head().height
        if params.topic == "pending":
            if position is not None:
                raise invalid_params("pending transactions have no history: leave from out")
            return head_height, -1, True
        if isinstance(position, AtHeight):
            position = position.height
        if isinstance(position, FromCursor):
            position = position.cursor
        if position is None:
            return head_height + 1, -1, True
        if isinstance(position, str):
            height, index = cast(
                "list[int]", self._session.decode_cursor(_get_scope(params.topic), position, (int, int))
            )
            index -= 1  # stored from 0, so that the position before the first message has a number
        else:
            height, index = position, -1
        if height > head_height + 1:
            raise node_behind(head_height)
        earliest = self._hub.backend.get_earliest_height()
        if height < earliest and (height > 0 or earliest > 1):
            raise pruned(earliest)
        height = max(height, earliest)  # whether or not block 0 is kept, "from 0" is from the beginning
        return height, index, not isinstance(position, str) or index < 0

    def _encode(self, topic: Topic, height: int, index: int) -> str:
        return self._session.encode_cursor(_get_scope(topic), [height, index + 1])

    async def _run(self, subscription: _Subscription) -> None:
        """Follow until something ends it, and say what."""
        try:
            if subscription.pending is not None:
                await self._follow_pending(subscription, subscription.pending)
            else:
                await self._follow_chain(subscription)
        except SlowConsumerError:
            self._on_slow()
        except ConnectionError:
            pass  # the connection is gone, and with it everybody to tell
        except RpcError as error:
            await self._end(subscription, error)
        except Exception as error:
            _log.error("subscription failed", topic=subscription.topic, exc_info=error)
            await self._end(subscription, build_error("INTERNAL_ERROR"))

    async def _end(self, subscription: _Subscription, error: RpcError) -> None:
        self._forget(subscription)
        with suppress(SlowConsumerError, ConnectionError):
            await self._outbox.send(_encode_closing(subscription, error))

    def _forget(self, subscription: _Subscription) -> None:
        if self._subscriptions.pop(subscription.id, None) is not None:
            self._hub.open_total -= 1
            if subscription.pending is not None:
                self._hub.leave_pending(subscription.pending.put)

    async def _follow_chain(self, subscription: _Subscription) -> None:
        while True:
            await self._hub.wait_for_height(subscription.height)
            messages = await self._hub.read_messages(subscription.topic, subscription.height)
            await self._send_all(subscription, messages)
            subscription.height += 1
            subscription.index = -1

    async def _send_all(self, subscription: _Subscription, messages: Sequence[Message]) -> None:
        for scanned, message in enumerate(messages):
            if scanned % _SCAN_TURN == _SCAN_TURN - 1:
                await asyncio.sleep(0)
            if message.index <= subscription.index or (message.is_repeat and not subscription.is_first):
                continue
            if _matches(subscription.filter, message):
                cursor = self._encode(subscription.topic, subscription.height, message.index)
                await self._send_one(subscription, cursor, message.body)

    async def _send_one(self, subscription: _Subscription, cursor: str, body: bytes) -> None:
        def on_written() -> None:
            subscription.is_first = False
            subscription.cursor = cursor

        await self._outbox.send(_encode_message(subscription, cursor, body), on_written)

    async def _follow_pending(self, subscription: _Subscription, queue: "_PendingQueue") -> None:
        network = self._hub.backend.network
        while True:
            transaction = await queue.get()
            message = _describe_transaction(transaction, network, b"")
            if _matches(subscription.filter, message):
                body = _dump(build_pending_view(transaction, network))
                await self._send_one(subscription, subscription.cursor, body)


class _PendingQueue:
    """Bounded; a reader that falls behind by more than it holds is too slow."""

    def __init__(self, size_max: int) -> None:
        self._waiting: deque[Transaction] = deque()
        self._size_max = size_max
        self._has_more = asyncio.Event()
        self._is_overrun = False

    def put(self, transactions: Sequence[Transaction]) -> None:
        """Called on the loop; never blocks."""
        if len(self._waiting) + len(transactions) > self._size_max:
            self._is_overrun = True
        else:
            self._waiting.extend(transactions)
        self._has_more.set()

    async def get(self) -> Transaction:
        """The next one; raises SlowConsumerError when some were lost."""
        while not self._waiting:
            if self._is_overrun:
                raise SlowConsumerError
            self._has_more.clear()
            await self._has_more.wait()
        return self._waiting.popleft()


def render_messages(backend: Backend, topic: Topic, height: int) -> list[Message]:
    """All messages of a final block on a topic; runs on a thread."""
    certified = backend.get_block(height)
    if certified is None:
        earliest = backend.get_earliest_height()
        raise pruned(earliest) if height < earliest else not_found(f"block {height} is missing")
    match topic:
        case "blocks":
            summary = build_block_summary(certified)
            return [Message(0, _dump(BlockMessage(**dict(summary))))]
        case "committee":
            return [_render_committee(backend, certified)]
        case "transactions":
            return list(_render_transactions(backend, certified))
        case "events":
            return list(_render_events(backend, certified))
        case "pending":
            raise AssertionError("pending transactions are in no block")


def _render_committee(backend: Backend, certified: CertifiedBlock) -> Message:
    header = certified.block.header
    previous = backend.get_block(header.height - 1)
    committee = backend.get_committee(header.height)
    next_committee = backend.get_committee(header.height + 1)
    if committee is None or next_committee is None:
        raise pruned(backend.get_earliest_height())
    message = CommitteeMessage(
        height=header.height,
        block_hash=header.hash,
        committee=build_committee_view(header.height, committee, backend.network),
        next_committee=build_committee_view(header.height + 1, next_committee, backend.network),
    )
    is_repeat = previous is not None and _get_committee_hashes(previous) == _get_committee_hashes(certified)
    return Message(0, _dump(message), is_repeat=is_repeat)


def _get_committee_hashes(certified: CertifiedBlock) -> tuple[bytes, bytes]:
    header = certified.block.header
    return header.committee_hash, header.next_committee_hash


def _render_transactions(backend: Backend, certified: CertifiedBlock) -> Iterator[Message]:
    header, network = certified.block.header, backend.network
    find = make_finder(backend, header.height)
    for index, (transaction, receipt) in enumerate(_load_results(backend, certified)):
        message = TransactionMessage(
            height=header.height,
            block_hash=header.hash,
            index=index,
            transaction=build_transaction_view(transaction, network, find),
            receipt=build_receipt_view(receipt, network, find),
        )
        yield _describe_transaction(transaction, network, _dump(message), index)


def _render_events(backend: Backend, certified: CertifiedBlock) -> Iterator[Message]:
    """Those of the transactions in their order, then those of the block's end, which have no sender."""
    header, network = certified.block.header, backend.network
    find = make_finder(backend, header.height)
    happened: list[tuple[bytes | None, str | None, Event]] = []
    for transaction, receipt in _load_results(backend, certified):
        sender = format_address(transaction.body.sender, network)
        happened += [(receipt.transaction_id, sender, event) for event in receipt.events]
    happened += [(None, None, event) for event in backend.get_block_events(header.height)]
    for index, (transaction_id, event_sender, event) in enumerate(happened):
        message = EventMessage(
            height=header.height,
            block_hash=header.hash,
            index=index,
            transaction_id=transaction_id,
            event=build_event_view(event, network, find),
        )
        yield Message(
            index,
            _dump(message),
            event_sender,
            frozenset({event.module}),
            frozenset({event.name}),
            frozenset(format_did(did, network) for did in list_event_dids(event)),
        )


def _load_results(backend: Backend, certified: CertifiedBlock) -> list[tuple[Transaction, Receipt]]:
    receipts = backend.get_receipts(certified.block.header.height)
    if receipts is None:
        raise pruned(backend.get_earliest_height())
    transactions = [decode_transaction(raw) for raw in certified.block.transactions]
    return list(zip(transactions, receipts, strict=True))


def _describe_transaction(transaction: Transaction, network: NetworkKind, body: bytes, index: int = 0) -> Message:
    calls = transaction.body.calls
    sender = format_address(transaction.body.sender, network)
    return Message(
        index, body, sender, frozenset(each.module for each in calls), frozenset(each.call for each in calls)
    )


def _matches(wanted: SubscriptionFilter, message: Message) -> bool:
    return (
        (wanted.sender is None or wanted.sender.lower() == message.sender)
        and (wanted.module is None or wanted.module in message.modules)
        and (wanted.name is None or wanted.name in message.names)
        and (wanted.did is None or wanted.did in message.dids)
    )


def _encode_message(subscription: _Subscription, cursor: str, body: bytes) -> bytes:
    return (
        b'{"jsonrpc":"2.0","method":"sub_message","params":{"subscription":"%b","topic":"%b","cursor":"%b","result":%b}}'
        % (subscription.id.encode(), subscription.topic.encode(), cursor.encode(), body)
    )


def _encode_closing(subscription: _Subscription, error: RpcError) -> bytes:
    error.fields["lastCursor"] = subscription.cursor
    params = {"subscription": subscription.id, "topic": subscription.topic, "error": error.to_json()}
    return orjson.dumps({"jsonrpc": "2.0", "method": "sub_closed", "params": params})


def _get_scope(topic: Topic) -> str:
    return f"sub:{topic}"


def _get_size(messages: Sequence[Message]) -> int:
    return sum(len(message.body) + 200 for message in messages) + 200


def _dump(model: BaseModel) -> bytes:
    return model.__pydantic_serializer__.to_json(model, by_alias=True)
