"""Messages over any byte stream, a TLS socket or an in-memory pipe: bounded queues out, rates in.

Nothing here knows sockets or TLS. Whoever owns the stream calls `data_received`, `pause_writing`, `resume_writing` and
`connection_lost`, as asyncio does with its protocols.
"""

from collections.abc import Callable
from typing import Final, Protocol

from ledger.codec import DecodeError
from p2p.counters import NetworkCounters
from p2p.frames import (
    GREETING_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    Channel,
    FrameDecoder,
    PeerProtocolError,
    encode_message,
)
from p2p.rates import TokenBucket
from p2p.send_queue import SendQueue
from p2p.settings import READ_PAUSE_S_MIN, WRITE_BATCH_BYTES_MAX, NetworkSettings

_CHANNELS: Final = tuple(Channel)


class Wire(Protocol):
    """The stream below; an asyncio transport is one."""

    def write(self, data: bytes, /) -> None:
        """Take all of it; call pause_writing when it becomes much."""

    def pause_reading(self) -> None:
        """Deliver nothing more until resume_reading."""

    def resume_reading(self) -> None:
        """Deliver again."""

    def close(self) -> None:
        """Write what was given, then end."""

    def abort(self) -> None:
        """End now."""


class Timer(Protocol):
    """A planned call."""

    def cancel(self) -> None:
        """Do not call."""


class Scheduler(Protocol):
    """Plans calls; an asyncio event loop is one, so is a simulation."""

    def call_soon(self, callback: Callable[[], None], /) -> Timer:
        """Call after what runs now."""

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Timer:
        """Call after so many seconds."""


class Receiver(Protocol):
    """Takes what a connection brings."""

    def received(self, channel: Channel, kind: int, payload: bytes) -> None:
        """One message. Raises PeerProtocolError or DecodeError if the peer may not say this."""

    def misbehaved(self, error: Exception) -> None:
        """The peer broke the protocol; nothing more will come from it."""

    def overran(self, channel: Channel, owed_s: float) -> None:
        """The peer sent faster than its rate on this channel, by so many seconds' worth; it is being left waiting."""

    def lost(self, reason: str) -> None:
        """The stream ended below us."""


class Connection:
    """One stream to one peer."""

    def __init__(
        self,
        wire: Wire,
        scheduler: Scheduler,
        clock: Callable[[], float],
        settings: NetworkSettings,
        counters: NetworkCounters,
    ) -> None:
        now_s = clock()
        self._wire = wire
        self._scheduler = scheduler
        self._clock = clock
        self._settings = settings
        self._counters = counters
        self._receiver: Receiver | None = None
        self._decoder = FrameDecoder(GREETING_BYTES_MAX)
        self._queue = SendQueue(settings.channels)
        self._byte_rates = [_make_bucket(settings, channel, now_s, "bytes") for channel in _CHANNELS]
        self._frame_rates = [_make_bucket(settings, channel, now_s, "frames") for channel in _CHANNELS]
        self._frames_charged = [0] * len(_CHANNELS)
        self._bytes_charged = [0] * len(_CHANNELS)
        self._is_flush_planned = False
        self._is_writing_paused = False
        self._reading_resumes: Timer | None = None
        self._is_closed = False

    def attach(self, receiver: Receiver) -> None:
        """Say who takes the messages; before the first byte arrives."""
        self._receiver = receiver

    def open_channels(self) -> None:
        """The greeting is complete: every channel may be used."""
        self._decoder.message_bytes_max = MESSAGE_BYTES_MAX

    @property
    def bytes_queued(self) -> int:
        """What waits to be sent."""
        return self._queue.bytes_queued

    @property
    def is_reading_paused(self) -> bool:
        """Whether the peer is being left waiting, so its answers may be late by our own doing."""
        return self._reading_resumes is not None

    def is_stalled(self, now_s: float) -> bool:
        """Whether the peer began a message and does not finish it."""
        return self._decoder.is_stalled(now_s, self._settings.message_timeout_s)

    def send(self, channel: Channel, kind: int, payload: bytes) -> bool:
        """Queue one message; False if the queue of its channel is full or the connection has ended."""
        return self.send_frames(channel, encode_message(channel, kind, payload))

    def send_frames(self, channel: Channel, frames: tuple[bytes, ...]) -> bool:
        """Queue a message that is encoded already; False as with `send`."""
        if self._is_closed:
            return False
        if not self._queue.put(channel, frames):
            self._counters.messages_dropped[channel] += 1
            return False
        if not self._is_flush_planned and not self._is_writing_paused:
            self._is_flush_planned = True
            self._scheduler.call_soon(self._flush)
        return True

    def close(self, last_word: tuple[bytes, ...] = ()) -> None:
        """Drop what is queued, say a last word on CONTROL and end, by force if the peer does not take it in time."""
        if self._is_closed:
            return
        self._queue.clear()
        if last_word:
            self._queue.put(Channel.CONTROL, last_word)
            self._write_batch()
        if self._reading_resumes is not None:
            self._wire.resume_reading()  # what comes is ignored now, but the stream's own farewell must get through
        self._end()
        self._wire.close()
        self._scheduler.call_later(self._settings.close_timeout_s, self._wire.abort)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        receiver = self._receiver
        assert receiver is not None, "attach a receiver before the first byte"
        if self._is_closed:
            return
        try:
            for channel, kind, payload in self._decoder.feed(data, self._clock()):
                receiver.received(channel, kind, payload)
                if self._is_closed:
                    break
        except (PeerProtocolError, DecodeError) as error:
            receiver.misbehaved(error)
        self._charge(receiver)

    def pause_writing(self) -> None:
        """The stream below is full."""
        self._is_writing_paused = True

    def resume_writing(self) -> None:
        """The stream below has room again."""
        self._is_writing_paused = False
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        """The stream below has ended."""
        if self._is_closed:
            return
        self._end()
        if self._receiver is not None:
            self._receiver.lost(describe_error(error) if error else "the peer closed the connection without a word")

    def _end(self) -> None:
        self._is_closed = True
        self._queue.clear()
        if self._reading_resumes is not None:
            self._reading_resumes.cancel()
            self._reading_resumes = None

    def _flush(self) -> None:
        """Give the stream as much as it takes, in large pieces, the most urgent frames first."""
        self._is_flush_planned = False
        while self._queue.bytes_queued and not self._is_writing_paused and not self._is_closed:
            self._write_batch()

    def _write_batch(self) -> None:
        pieces: list[bytes] = []
        for channel, frames, size in self._queue.take(WRITE_BATCH_BYTES_MAX):
            self._counters.frames_out[channel] += len(frames)
            self._counters.bytes_out[channel] += size
            pieces += frames
        self._wire.write(b"".join(pieces))

    def _charge(self, receiver: Receiver) -> None:
        """Count what came, and leave the peer waiting if that was more than its rate."""
        now_s = self._clock()
        wait_s = 0.0
        for channel in _CHANNELS:
            frames = self._decoder.frames_in[channel] - self._frames_charged[channel]
            if not frames:
                continue
            size = self._decoder.bytes_in[channel] - self._bytes_charged[channel]
            self._frames_charged[channel] += frames
            self._bytes_charged[channel] += size
            self._counters.frames_in[channel] += frames
            self._counters.bytes_in[channel] += size
            owed_s = max(
                self._byte_rates[channel].charge(size, now_s), self._frame_rates[channel].charge(frames, now_s)
            )
            if owed_s > 0 and not self._is_closed:
                self._counters.read_pauses[channel] += 1
                receiver.overran(channel, owed_s)
            wait_s = max(wait_s, owed_s)
        if wait_s > 0:
            self._pause_reading(max(wait_s, READ_PAUSE_S_MIN))

    def _pause_reading(self, wait_s: float) -> None:
        if self._is_closed:
            return
        if self._reading_resumes is None:
            self._wire.pause_reading()
        else:
            self._reading_resumes.cancel()
        self._reading_resumes = self._scheduler.call_later(wait_s, self._resume_reading)

    def _resume_reading(self) -> None:
        self._reading_resumes = None
        self._wire.resume_reading()


def _make_bucket(settings: NetworkSettings, channel: Channel, now_s: float, unit: str) -> TokenBucket:
    limits = settings.channels[channel]
    rate = limits.receive_bytes_per_second if unit == "bytes" else limits.receive_frames_per_second
    return TokenBucket(rate, rate * limits.burst_seconds, now_s)


def describe_error(error: BaseException) -> str:
    """One line about an error of the operating system or of TLS."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
