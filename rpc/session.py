"""What a method's handler is given: the node, the read threads, and who is asking."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from identity.address import Address, InvalidAddressError
from rpc.addresses import parse_address
from rpc.backend import Backend, DevControl, StateAt
from rpc.cursors import decode_cursor, encode_cursor
from rpc.errors import build_error, method_disabled
from rpc.models import AtHeight, SubscribeParams, SubscribeResult
from rpc.reads import ReadPool
from rpc.settings import RpcSettings

T = TypeVar("T")


class Subscriber(Protocol):
    """A connection that can carry subscriptions."""

    async def subscribe(self, params: SubscribeParams) -> SubscribeResult:
        """Open a subscription."""
        ...

    async def unsubscribe(self, subscription: str) -> bool:
        """End one; false when this connection has none of that name."""
        ...


@dataclass(frozen=True, slots=True)
class Session:
    """One client's way to the node."""

    backend: Backend
    reads: ReadPool
    settings: RpcSettings
    subscriber: Subscriber | None = None
    """None over plain HTTP."""

    async def read(self, read: Callable[[], T]) -> T:
        """Run a read off the event loop."""
        return await self.reads.run(read, self.settings.call_seconds_max)

    @contextmanager
    def open_state(self, at: "AtHeight | str") -> Iterator[StateAt]:
        """The state a read asked for."""
        with self.backend.open_state(get_height(at)) as state:
            yield state

    def parse_address(self, text: str) -> Address:
        """An address of this network; raises RpcError BAD_ADDRESS."""
        try:
            return parse_address(text, self.backend.network)
        except InvalidAddressError as error:
            raise build_error("BAD_ADDRESS", str(error)) from None

    def encode_cursor(self, scope: str, position: list[int | bytes]) -> str:
        """A position of this chain."""
        return encode_cursor(self.backend.genesis_hash, scope, position)

    def decode_cursor(self, scope: str, cursor: str, kinds: tuple[type, ...]) -> list[int | bytes]:
        """A position of this chain; raises RpcError BAD_CURSOR."""
        return decode_cursor(self.backend.genesis_hash, scope, cursor, kinds)

    def get_dev_control(self) -> DevControl:
        """The devnet's controls; raises RpcError METHOD_DISABLED elsewhere."""
        if self.backend.dev is None:
            raise method_disabled("dev_ methods work on a devnet only")
        return self.backend.dev

    def get_subscriber(self) -> Subscriber:
        """The connection that carries subscriptions; raises RpcError METHOD_DISABLED over HTTP."""
        if self.subscriber is None:
            raise method_disabled("subscriptions need the WebSocket at /ws")
        return self.subscriber


def get_height(at: "AtHeight | str") -> int | None:
    """The height a read asked for; None for the last final block."""
    return at.height if isinstance(at, AtHeight) else None


async def yield_to_loop() -> None:
    """Let consensus and other connections have their turn."""
    await asyncio.sleep(0)
