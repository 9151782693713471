"""What the host charges, in gas units: GAS_UNITS of them are one transaction gas, so a unit is about 0.1 ns.

Measured by `make bench S=gas`: a gas takes in no operation more than ten times what it takes in another. A price has a
part for each call and one for each byte that is copied, hashed or stored; a function charges before it does the work.
"""

from typing import Final

from identity.keys import KeyType
from vm.contracts.opcodes import GAS_UNITS
from vm.gas import GAS_KEY_CHECK, GAS_SIGNATURE, GAS_STATE_READ, GAS_STATE_WRITE


def to_units(gas: int) -> int:
    """Transaction gas in units."""
    return gas * GAS_UNITS


def to_gas(units: int) -> int:
    """Units in transaction gas, rounded up: what was begun is paid."""
    return -(-units // GAS_UNITS)


HOST_CALL: Final = to_units(60)  # out of the module, through Python, and back
HOST_BYTE: Final = 10  # copied between the module's memory and the host
STORAGE_READ: Final = to_units(GAS_STATE_READ)
STORAGE_READ_BYTE: Final = 20
STORAGE_WRITE: Final = to_units(GAS_STATE_WRITE)
KEPT_BYTE: Final = 2 * GAS_UNITS // 5  # hashed, written and kept by every node: storage, and events in receipts
SCAN: Final = to_units(800)  # a cursor of the database
SCAN_PAIR: Final = to_units(45)  # a pair that is looked at, also when it was removed in this block
ACCOUNT_READ: Final = to_units(GAS_STATE_READ)
TRANSFER: Final = to_units(2 * GAS_STATE_WRITE)
EVENT: Final = to_units(50)
LOG: Final = to_units(10)
CHECKED_VALUE: Final = to_units(8)  # of arguments, results and events, which are compared with their declared types
CONTRACT_CALL: Final = to_units(500)  # the contract's record, a fresh instance, entering and leaving it
CODE_BYTE: Final = 20  # of instrumented code, for each call: it may have to be compiled again
MEMORY_PAGE: Final = to_units(800)  # 64 KiB that the machine clears when they are touched
NATIVE_CALL: Final = to_units(100)  # unpacking arguments, and undoing what has failed
NATIVE_BYTE: Final = to_units(4)  # packed or unpacked by declared types
SHA256: Final = to_units(20)
SHA256_BYTE: Final = 30
KECCAK256: Final = to_units(10)
KECCAK256_BLOCK: Final = to_units(7_000)  # 136 bytes; there is no library for it here, so this is Python
SIGNATURE: Final = {  # dearer than a transaction's, which other processes check in batches
    key_type: 5 * to_units(gas + GAS_KEY_CHECK) // 2 for key_type, gas in GAS_SIGNATURE.items()
}
SIGNATURE_BYTE: Final = 100
MERKLE: Final = to_units(20)
MERKLE_LEVEL: Final = to_units(25)
MUL_DIV: Final = to_units(60)

assert set(SIGNATURE) == set(KeyType), "every kind of key has a price"
