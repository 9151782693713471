"""Qtum's networks: Bitcoin's forms with other numbers and magic text. Addresses begin with Q, test ones with q."""

from typing import Final

from identity.wallet.bitcoin import BitcoinNetwork

QTUM: Final = BitcoinNetwork("Qtum", 58, 50, 128, "qc", b"Qtum Signed Message:\n")
QTUM_TESTNET: Final = BitcoinNetwork("Qtum's test network", 120, 110, 239, "tq", b"Qtum Signed Message:\n")
