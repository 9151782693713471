"""The history index: where a transaction is, which transactions touched an account, what a contract announced.

It follows the chain at its own pace, is no part of what is agreed, and can be rebuilt from the blocks.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from identity.address import ADDRESS_BYTES, Address
from ledger.codec import pack, unpack
from ledger.primitives import Height, TransactionId
from ledger.receipt import Event, Receipt, Status
from ledger.state import end_of_prefix
from ledger.store import Change, ReadView, Store
from ledger.store_keys import (
    INDEXED_HEIGHT_KEY,
    address_history_key,
    address_history_prefix,
    contract_event_key,
    contract_events_prefix,
    parse_address_history_key,
    parse_contract_event_key,
    transaction_store_key,
)
from ledger.transaction import TransactionBody

EMITTED: Final = ("contracts", "Emitted")
"""Module and name of the event by which a contract announces one of its own; its first field is the contract."""
BLOCK_END_INDEX: Final = 2**32 - 1
"""Stands for a transaction's index in positions of events of the block's end."""


def compute_history_changes(
    height: Height,
    bodies: Sequence[TransactionBody],
    receipts: Sequence[Receipt],
    block_events: Sequence[Event] = (),
) -> list[Change]:
    """Index entries of one block: every transaction, every account that signed, paid or stands in an event of a
    transaction, and every event of a contract.

    A skipped transaction is not final: it has no entry, so it never hides the block in which it took effect.
    """
    changes: list[Change] = []
    for index, (body, receipt) in enumerate(zip(bodies, receipts, strict=True)):
        transaction_id = receipt.transaction_id
        if receipt.status is Status.SKIPPED:
            continue
        changes.append((transaction_store_key(transaction_id), pack([height, index])))
        addresses = {body.sender} if body.fee_payer is None else {body.sender, body.fee_payer}
        for event in receipt.events:
            addresses.update(
                [Address(each) for each in event.fields if type(each) is bytes and len(each) == ADDRESS_BYTES]
            )
        changes.extend((address_history_key(address, height, index), transaction_id) for address in sorted(addresses))
        changes.extend(_index_contract_events(height, index, receipt.events))
    changes.extend(_index_contract_events(height, BLOCK_END_INDEX, block_events))
    changes.append((INDEXED_HEIGHT_KEY, height.to_bytes(8, "big")))
    return changes


def get_indexed_height(store: Store | ReadView) -> int:
    """The last block the index covers."""
    encoded = store.get(INDEXED_HEIGHT_KEY)
    return 0 if encoded is None else int.from_bytes(encoded, "big")


def find_transaction(store: Store | ReadView, transaction_id: TransactionId) -> tuple[int, int] | None:
    """Height and index of a final transaction."""
    encoded = store.get(transaction_store_key(transaction_id))
    if encoded is None:
        return None
    height, index = unpack(encoded)
    return height, index


def list_history(
    store: Store | ReadView, address: Address, before: tuple[int, int] | None, limit: int
) -> list[tuple[int, int, TransactionId]]:
    """An account's latest transactions before a position, newest first: (height, index, id)."""
    prefix = address_history_prefix(address)
    stop = end_of_prefix(prefix) if before is None else address_history_key(address, Height(before[0]), before[1])
    entries = []
    for key, transaction_id in store.iterate(prefix, stop, reverse=True):
        height, index = parse_address_history_key(key)
        entries.append((height, index, TransactionId(transaction_id)))
        if len(entries) == limit:
            break
    return entries


def list_contract_events(
    store: Store | ReadView, contract: Address, start: tuple[int, int, int], limit: int
) -> list[tuple[int, int, int]]:
    """Where a contract's events are, from a position on, oldest first: (height, transaction's index, event's index)."""
    stop = end_of_prefix(contract_events_prefix(contract))
    positions = []
    for key, _ in store.iterate(contract_event_key(contract, *start), stop):
        positions.append(parse_contract_event_key(key))
        if len(positions) == limit:
            break
    return positions


def _index_contract_events(height: Height, index: int, events: Sequence[Event]) -> Iterator[Change]:
    for event_index, event in enumerate(events):
        if (event.module, event.name) == EMITTED:
            contract = event.fields[0]
            assert type(contract) is bytes, "the first field is an address"
            yield contract_event_key(Address(contract), height, index, event_index), b""
