"""Two ends of a stream in memory, for simulations: the same connections run over it as over TLS."""

from collections import deque
from collections.abc import Callable
from typing import Final

from p2p.connection import Connection, Scheduler
from p2p.settings import WRITE_BUFFER_BYTES_MAX

PIECES_MAX: Final = 4096  # writes under way in one direction before the writer is asked to pause


class PipeEnd:
    """One end: the wire of one connection. What is written here arrives at the other end's connection."""

    def __init__(self, scheduler: Scheduler, compute_delay_s: Callable[[int], float]) -> None:
        self._scheduler = scheduler
        self._compute_delay_s = compute_delay_s
        self._other: PipeEnd | None = None
        self._connection: Connection | None = None
        self._arriving: deque[bytes] = deque()
        self._bytes_arriving = 0
        self._is_writer_paused = False
        self._is_reading_paused = False
        self._is_ending = False
        self._is_ended = False

    def connect(self, connection: Connection) -> None:
        """Say whose wire this end is."""
        self._connection = connection

    def write(self, data: bytes) -> None:
        """Send to the other end, in order; nothing after the end."""
        other = self._other
        assert other is not None
        if self._is_ending or self._is_ended or other._is_ended:
            return
        other._arriving.append(data)
        other._bytes_arriving += len(data)
        is_full = other._bytes_arriving > WRITE_BUFFER_BYTES_MAX or len(other._arriving) >= PIECES_MAX
        if is_full and not other._is_writer_paused:
            other._is_writer_paused = True
            if self._connection is not None:
                self._connection.pause_writing()
        self._scheduler.call_later(self._compute_delay_s(len(data)), other._deliver)

    def pause_reading(self) -> None:
        """Hold what arrives."""
        self._is_reading_paused = True

    def resume_reading(self) -> None:
        """Deliver what was held."""
        self._is_reading_paused = False
        self._scheduler.call_soon(self._deliver_all)

    def close(self) -> None:
        """End both directions once what was written has arrived."""
        other = self._other
        assert other is not None
        if self._is_ending:
            return
        self._is_ending = True
        self._scheduler.call_later(self._compute_delay_s(0), other._end_after_arrivals)

    def abort(self) -> None:
        """End both directions now; what is under way is lost."""
        other = self._other
        assert other is not None
        self._end()
        other._end()

    def _deliver(self) -> None:
        """The oldest piece arrives, whichever piece's time it was: order is kept whatever the delays."""
        if self._is_ended or self._is_reading_paused or not self._arriving:
            return
        piece = self._arriving.popleft()
        self._bytes_arriving -= len(piece)
        if self._connection is not None:
            self._connection.data_received(piece)
        writer = self._other
        assert writer is not None
        has_room = self._bytes_arriving <= WRITE_BUFFER_BYTES_MAX // 2 and len(self._arriving) < PIECES_MAX // 2
        if self._is_writer_paused and has_room:
            self._is_writer_paused = False
            if writer._connection is not None and not writer._is_ended:
                writer._connection.resume_writing()

    def _deliver_all(self) -> None:
        while self._arriving and not self._is_reading_paused and not self._is_ended:
            self._deliver()

    def _end_after_arrivals(self) -> None:
        self._is_reading_paused = False
        self._deliver_all()
        self.abort()

    def _end(self) -> None:
        if self._is_ended:
            return
        self._is_ended = True
        self._arriving.clear()
        if self._connection is not None:
            self._connection.connection_lost(None)


def open_pipe(
    scheduler: Scheduler, compute_delay_s: Callable[[int], float] = lambda size_bytes: 0.0
) -> tuple[PipeEnd, PipeEnd]:
    """Two connected ends; the delay of a piece is computed from its size in bytes."""
    first, second = PipeEnd(scheduler, compute_delay_s), PipeEnd(scheduler, compute_delay_s)
    first._other, second._other = second, first
    return first, second
