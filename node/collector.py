"""Python's cycle collector, told to look less often."""

import gc
from typing import Final

COLLECT_AFTER_ALLOCATIONS: Final = 50_000  # more than a block's transactions, so that most are gone by then


def calm_collector() -> None:
    """Reference cycles are rare here, and looking for them among a full mempool doubles the cost of admission.

    What lives when this is called, modules above all, is not looked at again, and not now either: hardly any of it is
    garbage, and to find out takes a tenth of a node's start.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_ALLOCATIONS, 20, 50)
