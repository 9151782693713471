"""The history index: where a transaction is, and which transactions touched an account.

It follows the chain at its own pace, is no part of what is agreed, and can be rebuilt from the blocks.
"""

from collections.abc import Sequence

from identity.address import ADDRESS_BYTES, Address
from ledger.codec import pack, unpack
from ledger.primitives import Height, TransactionId
from ledger.receipt import Receipt, Status
from ledger.state import end_of_prefix
from ledger.store import Change, ReadView, Store
from ledger.store_keys import (
    INDEXED_HEIGHT_KEY,
    address_history_key,
    address_history_prefix,
    parse_address_history_key,
    transaction_store_key,
)
from ledger.transaction import TransactionBody


def compute_history_changes(
    height: Height, bodies: Sequence[TransactionBody], receipts: Sequence[Receipt]
) -> list[Change]:
    """Index entries of one block: every transaction, and every account that signed, paid or stands in an event.

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
