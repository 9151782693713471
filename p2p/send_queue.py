"""What waits to be sent to one peer: a bounded queue per channel, the most urgent first."""

from collections import deque
from collections.abc import Mapping, Sequence

from p2p.frames import Channel
from p2p.settings import ChannelLimits

_CHANNELS = tuple(Channel)


class SendQueue:
    """Frames by channel; a message enters whole or not at all."""

    def __init__(self, limits: Mapping[Channel, ChannelLimits]) -> None:
        self.bytes_queued = 0
        """Over all channels."""
        self._queues: tuple[deque[bytes], ...] = tuple(deque() for _ in _CHANNELS)
        self._bytes = [0] * len(_CHANNELS)
        self._frames_max = [limits[channel].queue_frames_max for channel in _CHANNELS]
        self._bytes_max = [limits[channel].queue_bytes_max for channel in _CHANNELS]

    def put(self, channel: Channel, frames: Sequence[bytes]) -> bool:
        """Append a message's frames; False, and nothing changed, if they do not fit."""
        queue = self._queues[channel]
        size = len(frames[0]) if len(frames) == 1 else sum(map(len, frames))
        bytes_after = self._bytes[channel] + size
        if bytes_after > self._bytes_max[channel] or len(queue) + len(frames) > self._frames_max[channel]:
            return False
        queue.extend(frames)
        self._bytes[channel] = bytes_after
        self.bytes_queued += size
        return True

    def take(self, bytes_max: int) -> list[tuple[Channel, list[bytes], int]]:
        """Remove the most urgent frames up to about this size: channel, its frames, their bytes. At least one frame."""
        taken = []
        room = bytes_max
        for channel in _CHANNELS:
            queue = self._queues[channel]
            if not queue or room <= 0:
                continue
            frames = []
            size = 0
            while queue and size < room:
                frame = queue.popleft()
                frames.append(frame)
                size += len(frame)
            self._bytes[channel] -= size
            self.bytes_queued -= size
            room -= size
            taken.append((channel, frames, size))
        return taken

    def clear(self) -> None:
        """Forget everything, for a last word to go out at once."""
        for channel in _CHANNELS:
            self._queues[channel].clear()
            self._bytes[channel] = 0
        self.bytes_queued = 0
