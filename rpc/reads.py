"""Reads that would hold up the event loop run here: a few threads, a bounded queue, a deadline each."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import TypeVar

from rpc.errors import limit_exceeded

T = TypeVar("T")


class ReadPool:
    """A thread pool that refuses rather than queues without end."""

    def __init__(self, *, workers: int, queued_max: int) -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="rpc-read")
        self._places = BoundedSemaphore(queued_max)

    async def run(self, read: Callable[[], T], seconds_max: float) -> T:
        """The read's result; raises RpcError LIMIT_EXCEEDED when the queue is full or the time is up.

        A read that is already running cannot be stopped: it keeps its place in the queue until it ends.
        """
        if not self._places.acquire(blocking=False):
            raise limit_exceeded("too many reads at once, try again")
        future = self._executor.submit(read)
        future.add_done_callback(self._release)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), seconds_max)
        except TimeoutError:
            raise limit_exceeded(f"the read took longer than {seconds_max:g} s, ask for less") from None

    def close(self) -> None:
        """Drop what waits; what runs ends on its own."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _release(self, _: Future[T]) -> None:
        self._places.release()
