"""What became of a transaction, and what its calls announced."""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated

from annotated_types import Interval, Len

from ledger.codec import Arguments, pack
from ledger.primitives import Gas, Grains, TransactionId
from ledger.reasons import CONTRACT_CODE_MAX, CONTRACT_REASON_FIRST


@unique
class Status(IntEnum):
    """Wire number of an outcome; never reused."""

    SUCCEEDED = 0
    FAILED = 1
    """Included and charged; its calls left no trace. The reason says why."""
    SKIPPED = 2
    """Not includable when its turn came: no fee, no effect."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something a module announced, with the fields of the module's event class in order."""

    module: Annotated[str, Len(1, 32)]
    name: Annotated[str, Len(1, 32)]
    fields: Arguments


@dataclass(frozen=True, slots=True)
class BlockEvents:
    """What happened at the end of a block, after its transactions: one more leaf beneath the receipts root, if any."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """The outcome of one transaction of a block, in the block's order."""

    transaction_id: TransactionId
    status: Status
    reason: Annotated[int, Interval(ge=0, le=CONTRACT_REASON_FIRST + CONTRACT_CODE_MAX)]
    """Number of the reason it failed or was skipped for; 0 when it succeeded. See ledger.reasons.get_reason."""
    gas_used: Gas
    fee_grains: Grains
    events: tuple[Event, ...]


def encode_receipt(receipt: Receipt) -> bytes:
    """What `encode` gives, four times as fast: there is one for every transaction."""
    events = [(event.module, event.name, event.fields) for event in receipt.events]
    return pack((receipt.transaction_id, receipt.status, receipt.reason, receipt.gas_used, receipt.fee_grains, events))
