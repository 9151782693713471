"""The gas table: one gas is at most about 100 ns of one core of the reference machine, measured by `make bench S=gas`.

A transaction's gas = base + bytes + signatures + what each call costs by its module's table.
"""

from typing import Final

from identity.keys import KeyType
from ledger.reasons import Reason, Rejected
from ledger.transaction import Transaction

GAS_TRANSACTION: Final = 200  # decode, order, receipt, history index
GAS_BYTE: Final = 1  # carry, store and hash one byte on every node
GAS_SIGNATURE: Final = {KeyType.ED25519: 750, KeyType.SECP256K1: 2_500, KeyType.P256: 1_500}
GAS_KEY_CHECK: Final = 300  # decompressing and checking one public key
GAS_STATE_WRITE: Final = 200  # one changed key: value, tree path, disk
GAS_STATE_READ: Final = 60  # one key that is not cached
GAS_CODE_CHECK_BYTE: Final = 40  # check, instrument and compile one byte of a contract's code
COMPILE_WORK_OF_GAS: Final = 25  # of vm.contracts.module.COMPILE_WORK_MAX, 2 to 4 ns each
VIEW_GAS_MAX: Final = 1_000_000  # what a question to a contract may cost: a tenth of a second of this node
DECISION_GAS_MAX: Final = 2_000_000  # what an upgrade that governance has decided may cost


def compute_intrinsic_gas(transaction: Transaction) -> int:
    """What a transaction costs before its calls run."""
    gas = GAS_TRANSACTION + GAS_BYTE * len(transaction.raw)
    for authorisation in transaction.authorisations:
        gas += GAS_SIGNATURE[authorisation.key_type]
    return gas


class GasMeter:
    """Counts down a transaction's gas; all of it is used when it runs out."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int, used: int) -> None:
        self.limit = limit
        self.used = used

    def charge(self, gas: int) -> None:
        """Use gas, or use up all of it and fail with OUT_OF_GAS."""
        self.used += gas
        if self.used > self.limit:
            needed, self.used = self.used, self.limit
            raise Rejected(Reason.OUT_OF_GAS, needed=needed, limit=self.limit)
