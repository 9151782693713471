"""Which ports the tests that start nodes take: one range for each group that may run beside another.

All are below those that the system hands out for outgoing connections: a node that restarts needs its own again.
"""

import os
from typing import Final

NETWORK_PORTS = range(12_000, 20_000)
DEVNET_PORTS = range(20_000, 26_000)
WALLET_PORTS = range(26_000, 32_000)
BROWSER_PORTS = range(32_000, 32_700)

WORKERS_MAX: Final = 8
"""So many workers of pytest-xdist may each have networks of their own at a time."""


def get_network_ports() -> range:
    """This worker's share of the ports for networks."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = len(NETWORK_PORTS) // WORKERS_MAX
    first = NETWORK_PORTS[worker % WORKERS_MAX * share]
    return range(first, first + share)
