"""What an operator may set about the RPC port, and the limits that keep a request from stalling the node."""

from dataclasses import dataclass
from typing import Final

PORT_DEFAULT: Final = 8645
LIST_ITEMS_MAX: Final = 200  # entries of one page
WAIT_MS_DEFAULT: Final = 30_000
WAIT_MS_MAX: Final = 60_000  # a call never holds its connection longer than a minute


@dataclass(frozen=True, slots=True)
class RpcSettings:
    """Every limit of the RPC port; the defaults suit a public node."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = PORT_DEFAULT
    """0 takes any free port."""
    host_names: tuple[str, ...] = ()
    """Host names clients may use besides localhost and plain IP addresses; "*" allows every name."""
    cors_origins: tuple[str, ...] = ()
    """Web origins whose pages may call this node; "*" allows every page."""
    is_wallet_served: bool = True
    """Whether the wallet page is at /wallet, as the explorer is at /."""
    connections_max: int = 1_024
    """Open connections of all clients."""
    connections_per_address_max: int = 256
    """Open connections of one IPv4 address or IPv6 /64 network."""
    request_seconds_max: float = 10.0
    """From a connection's first byte of a request (or from connecting) to the body's last byte."""
    idle_seconds_max: float = 60.0
    """How long a connection stays open between requests."""
    response_seconds_max: float = 20.0
    """How long a client may take to read an answer."""
    call_seconds_max: float = 10.0
    """Time of one call; waiting for finality has its own limit."""
    batch_seconds_max: float = 30.0
    """No call of a batch starts later than this."""
    body_bytes_max: int = 2**20
    """Bytes of a request or WebSocket message."""
    batch_calls_max: int = 1_000
    """Calls in a batch."""
    response_bytes_max: int = 32 * 2**20
    """Bytes of one answer."""
    held_bytes_max: int = 192 * 2**20
    """Bytes of all requests and answers held at one time."""
    reads_workers: int = 2
    """Threads for reads that would hold up the event loop."""
    reads_queued_max: int = 256
    """Reads waiting or running on those threads."""
    websocket_calls_max: int = 32
    """Calls of one WebSocket connection that run at a time; more are not read until one is done."""
    subscriptions_max: int = 1_000
    """Subscriptions of all connections."""
    subscriptions_per_connection_max: int = 16
    """Subscriptions of one connection."""
    subscription_queue_max: int = 4_096
    """Pending transactions waiting for one subscriber."""
    send_seconds_max: float = 10.0
    """How long a subscriber may keep one message from being sent before it counts as too slow."""
    heartbeat_seconds: float = 60.0
    """Time between pings on a WebSocket; half of it to answer, so keep it above twice `send_seconds_max`."""
    close_seconds_max: float = 5.0
    """How long a client may take to read the rest once its WebSocket is closing."""
