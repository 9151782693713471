"""The one table of state keys: every module's keys start with its own byte. All of them are under the state root."""

from enum import IntEnum, unique
from typing import Final

from identity.address import Address
from ledger.primitives import Height, NodeKey, TransactionId


@unique
class Table(IntEnum):
    """First byte of a state key; never reused."""

    PARAMETERS = 1
    """-> Parameters"""
    COMMITTEE = 2
    """-> Committee that finalises the next block"""
    NEXT_COMMITTEE = 3
    """-> Committee of the block after that"""
    ACCOUNT = 16
    """address, 20 bytes -> Account"""
    POLICY = 17
    """address, 20 bytes -> KeyPolicy; absent: the one key whose hash the address is"""
    UNORDERED = 18
    """valid_until, 8 bytes big-endian ‖ transaction id, 32 bytes -> empty; removed once expired"""
    NODE = 32
    """node key, 32 bytes -> RegisteredNode"""


PARAMETERS_KEY: Final = bytes([Table.PARAMETERS])
COMMITTEE_KEY: Final = bytes([Table.COMMITTEE])
NEXT_COMMITTEE_KEY: Final = bytes([Table.NEXT_COMMITTEE])
_ACCOUNT: Final = bytes([Table.ACCOUNT])
_POLICY: Final = bytes([Table.POLICY])
_UNORDERED: Final = bytes([Table.UNORDERED])
NODE_PREFIX: Final = bytes([Table.NODE])


def account_key(address: Address) -> bytes:
    """Sequence and balance of an account."""
    return _ACCOUNT + address


def policy_key(address: Address) -> bytes:
    """Key policy of an account that has set one."""
    return _POLICY + address


def unordered_prefix(valid_until: Height) -> bytes:
    """All unordered transactions that expire with this height."""
    return _UNORDERED + valid_until.to_bytes(8, "big")


def unordered_key(valid_until: Height, transaction_id: TransactionId) -> bytes:
    """That this unordered transaction was included."""
    return unordered_prefix(valid_until) + transaction_id


def node_key(key: NodeKey) -> bytes:
    """A node of the registry."""
    return NODE_PREFIX + key
