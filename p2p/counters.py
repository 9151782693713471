"""What the transport counted since it started, for metrics."""

from collections import Counter
from dataclasses import dataclass, field

from p2p.frames import Channel


def _zeros() -> dict[Channel, int]:
    return dict.fromkeys(Channel, 0)


@dataclass(slots=True)
class NetworkCounters:
    """Sums over all peers; every key is from a closed set, so nothing here grows."""

    frames_in: dict[Channel, int] = field(default_factory=_zeros)
    frames_out: dict[Channel, int] = field(default_factory=_zeros)
    bytes_in: dict[Channel, int] = field(default_factory=_zeros)
    """Frames with their headers, before TLS."""
    bytes_out: dict[Channel, int] = field(default_factory=_zeros)
    messages_dropped: dict[Channel, int] = field(default_factory=_zeros)
    """Messages not sent because a peer's queue was full."""
    read_pauses: dict[Channel, int] = field(default_factory=_zeros)
    """How often a peer sent faster than its rate and was left waiting."""
    closed_by_us: Counter[str] = field(default_factory=Counter)
    """Connections we ended, by GoodbyeReason name."""
    closed_by_peer: Counter[str] = field(default_factory=Counter)
    """Connections the peer ended with a GOODBYE, by reason name."""
    connections_lost: int = 0
    """Connections that broke without a word."""
    handshakes_refused: int = 0
    """Inbound TLS handshakes that failed: unknown key, no TLS, too slow."""
    strangers_refused: int = 0
    """Inbound connections closed at once, for want of room."""
    dials: int = 0
    dials_failed: int = 0
    bans: int = 0
