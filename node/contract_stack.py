"""The thread on which contracts run: its stack is large enough for contracts that call each other, by construction."""

import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from vm.contracts.engine import STACK_BYTES

T = TypeVar("T")


class ContractStack:
    """Runs one function at a time on a thread of STACK_BYTES; it starts with the first one and ends with this object.

    Whoever asks waits: the thread is there for its stack, not to do two things at once.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, function: Callable[[], T], /) -> T:
        """What the function gives back or raises."""
        if self._thread is None:
            self._thread = self._start()
        if threading.current_thread() is self._thread:
            return function()
        answers: SimpleQueue[tuple[bool, Any]] = SimpleQueue()

        def job() -> None:
            try:
                answers.put((True, function()))
            except BaseException as failure:  # whatever it is, it belongs to whoever asked
                answers.put((False, failure))

        self._jobs.put(job)
        is_done, answer = answers.get()
        if not is_done:
            raise answer
        result: T = answer
        return result

    def _start(self) -> threading.Thread:
        before = threading.stack_size(STACK_BYTES)
        try:
            thread = threading.Thread(target=_work, args=(self._jobs,), name="contracts", daemon=True)
            thread.start()
            weakref.finalize(self, self._jobs.put, None)
        finally:
            threading.stack_size(before)
        return thread


def _work(jobs: "SimpleQueue[Callable[[], None] | None]") -> None:
    while (job := jobs.get()) is not None:
        job()
        del job  # or what it holds would live until the next one
