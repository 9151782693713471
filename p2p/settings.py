"""Every limit of the transport that an operator may set. What both sides must agree on stands in `p2p.frames`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from p2p.addresses import PeerAddress
from p2p.frames import FRAME_HEADER_BYTES, FRAME_PAYLOAD_BYTES_MAX, MESSAGE_BYTES_MAX, Channel


@dataclass(frozen=True, slots=True)
class ChannelLimits:
    """Queue and rates of one channel of one peer."""

    queue_frames_max: int
    queue_bytes_max: int
    receive_bytes_per_second: int
    receive_frames_per_second: int
    burst_seconds: float = 2.0
    """How many seconds' worth may come at once; what comes above is left in the socket."""
    overrun_points: int = 0
    """Penalty for each pause, and again for each second of it; only where no honest peer comes near the rate."""

    def __post_init__(self) -> None:
        amounts = (
            self.queue_frames_max,
            self.queue_bytes_max,
            self.receive_bytes_per_second,
            self.receive_frames_per_second,
            self.burst_seconds,
        )
        assert min(amounts) > 0, "every limit of a channel is positive"


_MIB: Final = 2**20

CHANNEL_LIMITS: Final[Mapping[Channel, ChannelLimits]] = {
    Channel.CONTROL: ChannelLimits(256, _MIB, 64 * 2**10, 256, overrun_points=25),
    Channel.CONSENSUS: ChannelLimits(8_192, 16 * _MIB, 16 * _MIB, 10_000),
    Channel.TRANSACTIONS: ChannelLimits(8_192, 16 * _MIB, 32 * _MIB, 20_000),
    Channel.SYNC: ChannelLimits(1_024, 32 * _MIB, 64 * _MIB, 10_000),
}


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Where the node listens, whom it gives how much, and how long it waits."""

    listen: PeerAddress
    """Port 0 takes any free port."""
    channels: Mapping[Channel, ChannelLimits] = field(default_factory=lambda: CHANNEL_LIMITS)

    inbound_peers_max: int = 128
    """Peers that dialled us; those we dial ourselves always have room."""
    strangers_max: int = 64
    """Inbound connections that have not finished the greeting."""
    strangers_per_address_max: int = 16
    """The same, from one IPv4 address or one IPv6 /64."""
    stranger_failed_hold_s: float = 1.0
    """How long a failed one still counts against its address, so that failing fast gains nothing."""
    dials_at_once_max: int = 32

    connect_timeout_s: float = 5.0
    """TCP connection."""
    handshake_timeout_s: float = 5.0
    """TLS handshake."""
    hello_timeout_s: float = 5.0
    """From the end of the handshake to both WELCOMEs; the consensus key may be in a slow device."""
    message_timeout_s: float = 60.0
    """From the first to the last frame of one message."""
    ping_interval_s: float = 5.0
    pong_timeout_s: float = 10.0
    close_timeout_s: float = 0.4
    """For the last frames of a closing connection; then it is cut."""
    tick_interval_s: float = 0.25
    """How often deadlines are looked at."""

    backoff_first_s: float = 0.5
    backoff_max_s: float = 30.0
    stable_after_s: float = 10.0
    """A connection that lasted so long starts its backoff anew, and is no longer in a race of two dials."""

    ban_points: float = 100.0
    score_decay_per_second: float = 1.0
    ban_s: float = 60.0

    def __post_init__(self) -> None:
        assert set(self.channels) == set(Channel), "every channel has limits"
        for channel, limits in self.channels.items():
            largest_bytes = MESSAGE_BYTES_MAX[channel]
            largest_frames = -(-largest_bytes // FRAME_PAYLOAD_BYTES_MAX)
            assert limits.queue_frames_max >= largest_frames, f"the largest {channel.name} message has more frames"
            assert limits.queue_bytes_max >= largest_bytes + largest_frames * FRAME_HEADER_BYTES, (
                f"the largest {channel.name} message does not fit its queue"
            )


WRITE_BUFFER_BYTES_MAX: Final = 256 * 2**10  # what is given to the socket cannot be overtaken any more: keep it short
WRITE_BATCH_BYTES_MAX: Final = 128 * 2**10
READ_PAUSE_S_MIN: Final = 0.02  # pausing for less costs more than it holds back
