"""How the store's one key space is divided: a first byte per kind of record, never reused.

| first byte | record                                                               |
|------------|----------------------------------------------------------------------|
| M          | format, chain head, earliest block                                   |
| v          | state key -> value                                                   |
| n          | state tree node (see ledger/tree.py)                                 |
| B          | height -> block                                                      |
| C          | height -> commit certificate                                         |
| R          | height -> receipts                                                   |
| E          | height -> events of the block's end, if there were any               |
| H          | block hash -> height                                                 |
| K          | committee hash -> committee                                          |
| L          | height after which another committee rules -> header, certificate    |
| t          | transaction id -> height, index (history index, can be rebuilt)      |
| a          | address, height, index -> transaction id (history index)             |
| c          | contract, height, transaction's index, event's index (history index) |
| i          | how far the history index has come                                   |
"""

from typing import Final

from identity.address import Address
from ledger.primitives import BlockHash, Height, RootHash, TransactionId

FORMAT_KEY: Final = b"Mformat"
HEAD_KEY: Final = b"Mhead"
EARLIEST_HEIGHT_KEY: Final = b"Mearliest"
INDEXED_HEIGHT_KEY: Final = b"i"
VALUE_PREFIX: Final = b"v"
COMMITTEE_CHANGE_PREFIX: Final = b"L"
ADDRESS_HISTORY: Final = b"a"
CONTRACT_EVENTS: Final = b"c"
_HEIGHT_BYTES: Final = 8
_INDEX_BYTES: Final = 4


def value_store_key(state_key: bytes) -> bytes:
    """Where a state value lies."""
    return VALUE_PREFIX + state_key


def block_store_key(height: int) -> bytes:
    """The block of a height."""
    return b"B" + height.to_bytes(_HEIGHT_BYTES, "big")


def certificate_store_key(height: int) -> bytes:
    """The certificate of a height."""
    return b"C" + height.to_bytes(_HEIGHT_BYTES, "big")


def receipts_store_key(height: int) -> bytes:
    """The receipts of a height."""
    return b"R" + height.to_bytes(_HEIGHT_BYTES, "big")


def block_events_store_key(height: int) -> bytes:
    """The events of a block's end."""
    return b"E" + height.to_bytes(_HEIGHT_BYTES, "big")


def block_hash_store_key(block_hash: BlockHash) -> bytes:
    """The height of a block."""
    return b"H" + block_hash


def committee_store_key(committee_hash: RootHash) -> bytes:
    """A committee by the hash in headers."""
    return b"K" + committee_hash


def committee_change_store_key(height: int) -> bytes:
    """The header of this height and its certificate, if another committee rules after it."""
    return COMMITTEE_CHANGE_PREFIX + height.to_bytes(_HEIGHT_BYTES, "big")


def transaction_store_key(transaction_id: TransactionId) -> bytes:
    """Where a final transaction is."""
    return b"t" + transaction_id


def address_history_prefix(address: Address) -> bytes:
    """All history entries of an account."""
    return ADDRESS_HISTORY + address


def address_history_key(address: Address, height: Height, index: int) -> bytes:
    """Sorts an account's transactions by block, then position."""
    return ADDRESS_HISTORY + address + height.to_bytes(_HEIGHT_BYTES, "big") + index.to_bytes(_INDEX_BYTES, "big")


def parse_address_history_key(key: bytes) -> tuple[int, int]:
    """Height and index of a history entry."""
    position = key[-_HEIGHT_BYTES - _INDEX_BYTES :]
    return int.from_bytes(position[:_HEIGHT_BYTES], "big"), int.from_bytes(position[_HEIGHT_BYTES:], "big")


def contract_events_prefix(contract: Address) -> bytes:
    """All events that a contract emitted."""
    return CONTRACT_EVENTS + contract


def contract_event_key(contract: Address, height: int, index: int, event_index: int) -> bytes:
    """Sorts a contract's events as they happened: by block, then transaction, then event."""
    return (
        contract_events_prefix(contract)
        + height.to_bytes(_HEIGHT_BYTES, "big")
        + index.to_bytes(_INDEX_BYTES, "big")
        + event_index.to_bytes(_INDEX_BYTES, "big")
    )


def parse_contract_event_key(key: bytes) -> tuple[int, int, int]:
    """Height, transaction's index and event's index of a contract's event."""
    height, index, event_index = (
        key[-_HEIGHT_BYTES - 2 * _INDEX_BYTES : -2 * _INDEX_BYTES],
        key[-2 * _INDEX_BYTES : -_INDEX_BYTES],
        key[-_INDEX_BYTES:],
    )
    return int.from_bytes(height, "big"), int.from_bytes(index, "big"), int.from_bytes(event_index, "big")
