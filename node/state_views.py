"""The state after each of the last blocks, frozen, for reads from any thread."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

from ledger.chain import Chain, StateView

VIEWS_MAX: Final = 64  # each keeps old versions on disk until it is closed


class StoreClosedError(Exception):
    """No state can be read at this moment: the store is being reopened, or the node stops."""


class _SharedView:
    """A view that closes when the collection and the last reader have let go of it."""

    def __init__(self, view: StateView) -> None:
        self.view = view
        self.holders = 1


class StateViews:
    """A ring of views, one a block."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._views: OrderedDict[int, _SharedView] = OrderedDict()
        self._lock = Lock()
        self.add_head()

    @property
    def earliest_height(self) -> int:
        """The lowest height whose state can be read; the head's while none can."""
        with self._lock:
            return next(iter(self._views), self._chain.head.header.height)

    def add_head(self) -> None:
        """A block was committed. Called on the event loop."""
        shared = _SharedView(self._chain.take_view())
        with self._lock:
            self._views[shared.view.head.header.height] = shared
            outdated = self._views.popitem(last=False)[1] if len(self._views) > VIEWS_MAX else None
        if outdated is not None:
            self._release(outdated)

    @contextmanager
    def open(self, height: int | None) -> Iterator[StateView]:
        """The state after a block, the head by default; raises KeyError when it is not kept, or StoreClosedError."""
        with self._lock:
            if not self._views:
                raise StoreClosedError
            shared = next(reversed(self._views.values())) if height is None else self._views[height]
            shared.holders += 1
        try:
            yield shared.view
        finally:
            self._release(shared)

    def restart(self) -> None:
        """The store was reopened, which has closed the views."""
        self.close()
        self.add_head()

    def close(self) -> None:
        """Let go of all; readers finish with theirs."""
        with self._lock:
            views = list(self._views.values())
            self._views.clear()
        for shared in views:
            self._release(shared)

    def _release(self, shared: _SharedView) -> None:
        with self._lock:
            shared.holders -= 1
            is_last = shared.holders == 0
        if is_last:
            shared.view.close()
