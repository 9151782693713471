"""Messages on a byte stream: frames with a 7-byte header, no input or output of its own.

    payload length, 4 bytes big-endian | channel, 1 byte | kind, 2 bytes big-endian | payload

A payload above FRAME_PAYLOAD_BYTES_MAX is cut into full frames with the highest bit of the channel byte set, and one
last frame without it. Frames of different channels may alternate, so a vote never waits behind a whole block.
"""

from collections.abc import Iterator, Mapping
from enum import IntEnum, unique
from struct import Struct
from typing import Final, NamedTuple

_HEADER: Final = Struct("!IBH")
FRAME_HEADER_BYTES: Final = _HEADER.size
FRAME_PAYLOAD_BYTES_MAX: Final = 64 * 2**10  # 5 ms of a 100 Mbit/s line: the longest an urgent frame waits
KIND_MAX: Final = 2**16 - 1
_MORE_FOLLOWS: Final = 0x80


@unique
class Channel(IntEnum):
    """Wire number of a channel, never reused; a lower number is sent first."""

    CONTROL = 0
    """Greeting, keepalive, farewell; kinds from APPLICATION_KIND_MIN on belong to the node."""
    CONSENSUS = 1
    """Proposals and votes."""
    TRANSACTIONS = 2
    """Gossip of transactions."""
    SYNC = 3
    """Blocks and snapshots for those who catch up."""


MESSAGE_BYTES_MAX: Final[Mapping[Channel, int]] = {
    Channel.CONTROL: 4 * 2**10,
    Channel.CONSENSUS: 2**20,  # a proposal names up to 10,000 transactions by 32-byte ids and carries evidence
    Channel.TRANSACTIONS: 2 * 2**20,
    Channel.SYNC: 9 * 2**20,  # the largest block is 8 MiB; certificate and headers around it
}
"""Longest payload of one message. Both sides must agree, so these are part of the protocol, not settings."""

GREETING_BYTES_MAX: Final[Mapping[Channel, int]] = {Channel.CONTROL: MESSAGE_BYTES_MAX[Channel.CONTROL]}
"""What may be said before the greeting is complete."""

_CHANNELS: Final = {channel.value: channel for channel in Channel}


class PeerProtocolError(Exception):
    """The peer broke the protocol; the message says how. Its connection ends."""


class Message(NamedTuple):
    """One whole message."""

    channel: Channel
    kind: int
    payload: bytes


class _Partial:
    """A message of which some frames came."""

    __slots__ = ("kind", "parts", "payload_bytes", "started_s")

    def __init__(self, kind: int, started_s: float) -> None:
        self.kind = kind
        self.parts: list[bytes] = []
        self.payload_bytes = 0
        self.started_s = started_s


def encode_message(channel: Channel, kind: int, payload: bytes) -> tuple[bytes, ...]:
    """The frames of a message, ready to write and to share among peers."""
    assert 0 <= kind <= KIND_MAX, f"kind {kind} does not fit 2 bytes"
    assert len(payload) <= MESSAGE_BYTES_MAX[channel], f"{len(payload)} bytes are too long for {channel.name}"
    if len(payload) <= FRAME_PAYLOAD_BYTES_MAX:
        return (_HEADER.pack(len(payload), channel, kind) + payload,)
    last_start = (len(payload) - 1) // FRAME_PAYLOAD_BYTES_MAX * FRAME_PAYLOAD_BYTES_MAX
    header = _HEADER.pack(FRAME_PAYLOAD_BYTES_MAX, channel | _MORE_FOLLOWS, kind)
    frames = [
        header + payload[start : start + FRAME_PAYLOAD_BYTES_MAX]
        for start in range(0, last_start, FRAME_PAYLOAD_BYTES_MAX)
    ]
    last = payload[last_start:]
    return (*frames, _HEADER.pack(len(last), channel, kind) + last)


class FrameDecoder:
    """Cuts a stream, in whatever pieces it comes, into messages; holds at most one frame and a message per channel."""

    def __init__(self, message_bytes_max: Mapping[Channel, int]) -> None:
        self.message_bytes_max = message_bytes_max
        """Which channels are open and how long their messages may be; may be replaced between two messages."""
        self.frames_in = [0] * len(Channel)
        """Frames seen, by channel."""
        self.bytes_in = [0] * len(Channel)
        """Bytes of those frames, headers included, by channel."""
        self._rest = bytearray()
        self._partials: dict[Channel, _Partial] = {}

    def feed(self, data: bytes, now_s: float) -> Iterator[Message]:
        """Yield the messages that these bytes complete; exhaust it before the next call.

        Lazy, so that what one message changes (opening channels, closing) already holds for the next.
        Raises PeerProtocolError; the stream has no meaning after that.
        """
        stream: bytes | bytearray = data
        if self._rest:
            self._rest += data
            stream = self._rest
        position, end = 0, len(stream)
        while end - position >= FRAME_HEADER_BYTES:
            payload_bytes, channel_byte, kind = _HEADER.unpack_from(stream, position)
            channel = self._check_header(payload_bytes, channel_byte)
            start = position + FRAME_HEADER_BYTES
            position = start + payload_bytes
            if position > end:
                position = start - FRAME_HEADER_BYTES
                break
            self.frames_in[channel] += 1
            self.bytes_in[channel] += FRAME_HEADER_BYTES + payload_bytes
            payload = bytes(stream[start:position])
            if channel_byte & _MORE_FOLLOWS or channel in self._partials:
                message = self._join(channel, kind, payload, is_last=not channel_byte & _MORE_FOLLOWS, now_s=now_s)
                if message is not None:
                    yield message
            else:
                yield Message(channel, kind, payload)
        if stream is self._rest:
            del self._rest[:position]  # in place: a peer that trickles single bytes must not cost a copy each
        else:
            self._rest += data[position:]

    def is_stalled(self, now_s: float, timeout_s: float) -> bool:
        """Whether some message began longer ago than the timeout and is still not whole."""
        return any(now_s - partial.started_s > timeout_s for partial in self._partials.values())

    def _check_header(self, payload_bytes: int, channel_byte: int) -> Channel:
        """Judge a frame by its header, before its payload is waited for."""
        channel = _CHANNELS.get(channel_byte & ~_MORE_FOLLOWS)
        if channel is None:
            raise PeerProtocolError(f"channel {channel_byte & ~_MORE_FOLLOWS} does not exist")
        cap = self.message_bytes_max.get(channel)
        if cap is None:
            raise PeerProtocolError(f"a {channel.name} frame came before the greeting was complete")
        if payload_bytes > FRAME_PAYLOAD_BYTES_MAX:
            raise PeerProtocolError(f"a frame announces {payload_bytes} bytes, above {FRAME_PAYLOAD_BYTES_MAX}")
        partial = self._partials.get(channel)
        if (partial.payload_bytes if partial else 0) + payload_bytes > cap:
            raise PeerProtocolError(f"a {channel.name} message is longer than {cap} bytes")
        if channel_byte & _MORE_FOLLOWS and payload_bytes != FRAME_PAYLOAD_BYTES_MAX:
            raise PeerProtocolError("a message is cut into frames that are not full")
        return channel

    def _join(self, channel: Channel, kind: int, payload: bytes, *, is_last: bool, now_s: float) -> Message | None:
        partial = self._partials.get(channel)
        if partial is None:
            partial = self._partials[channel] = _Partial(kind, now_s)
        if kind != partial.kind:
            raise PeerProtocolError(f"kind {kind} cuts into an unfinished message of kind {partial.kind}")
        if not payload:
            raise PeerProtocolError("the last frame of a message is empty")
        partial.parts.append(payload)
        partial.payload_bytes += len(payload)
        if not is_last:
            return None
        del self._partials[channel]
        return Message(channel, kind, b"".join(partial.parts))
