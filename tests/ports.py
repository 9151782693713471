"""Which ports the tests that start nodes take: one range for each group that may run beside another.

All are below those that the system hands out for outgoing connections: a node that restarts needs its own again.
"""

NETWORK_PORTS = range(12_000, 20_000)
DEVNET_PORTS = range(20_000, 26_000)
WALLET_PORTS = range(26_000, 32_000)
