"""What the state holds for sales; the rules stand in vm/native/sale.py.

| key                          | value                                            |
|------------------------------|--------------------------------------------------|
| SALES_KEY                    | Sales: how many there were, and which is open    |
| sale_key(number)             | Sale                                             |
| purchase_key(sale, number)   | Purchase                                         |
| payment_key(reference)       | PurchaseName                                     |
| sale_buyer_key(sale, did)    | grains that an identity has bought, 8 bytes      |
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Final, NewType

from annotated_types import Interval, Len

from identity.address import Address
from identity.did import Did
from ledger.codec import decode, encode
from ledger.primitives import JSON_INTEGER_MAX, Grains, PositiveGrains, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import SALES_KEY, payment_key, purchase_key, sale_buyer_key, sale_key
from vm.native.lockup_records import Schedule

TIERS_MAX: Final = 8  # one record with their schedules is read with every purchase
EXCLUSIONS_MAX: Final = 64
PAID_MAX: Final = 10**15
"""Minor units of one payment: ten trillion of a currency with cents, and exact in JavaScript."""
_GRAINS_BYTES: Final = 8

SaleNumber = Annotated[int, Interval(ge=1, le=JSON_INTEGER_MAX)]
PurchaseNumber = Annotated[int, Interval(ge=1, le=JSON_INTEGER_MAX)]
MinorUnits = Annotated[int, Interval(ge=0, le=PAID_MAX)]
"""Money of a currency in its smallest unit."""
PaymentReference = NewType("PaymentReference", Annotated[bytes, Len(32, 32)])
"""Hash by which the cashier knows a payment; whoever pays twice has two."""
Currency = Annotated[str, Len(3, 3)]
"""ISO 4217, capital letters."""
Jurisdiction = Annotated[str, Len(2, 2)]
"""ISO 3166-1 alpha-2, capital letters."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Part of a sale: how much there is of it, at which price, and how long it is locked."""

    share_grains: Grains
    price_minor: Annotated[int, Interval(ge=1, le=PAID_MAX)]
    """Minor units …"""
    lot_grains: PositiveGrains
    """… for so many grains."""
    schedule: Schedule


@dataclass(frozen=True, slots=True)
class SaleTerms:
    """All that governance decides about a sale."""

    cashier: Did
    """Whose word on payments counts."""
    currency: Currency
    starts_ms: TimeMs
    ends_ms: TimeMs
    """The first block of this time or later closes it."""
    cap_grains: Grains
    """Most that one identity may buy."""
    excluded: Annotated[tuple[Jurisdiction, ...], Len(0, EXCLUSIONS_MAX)]
    """Whose people do not buy; in order, each once."""
    tiers: Annotated[tuple[Tier, ...], Len(1, TIERS_MAX)]


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale: share = remaining + sold + returned, at every moment and to the grain."""

    terms: SaleTerms
    share_grains: Grains
    remaining_grains: Annotated[tuple[Grains, ...], Len(1, TIERS_MAX)]
    """Of each tier; nothing once it is closed."""
    sold_grains: Grains
    delivered_grains: Grains
    """Of what was sold."""
    returned_grains: Grains
    """What went back to the allocation when it was closed."""
    purchases: Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]
    closed_ms: TimeMs | None


@unique
class PurchaseStatus(IntEnum):
    """Where a purchase stands; wire number, never reused."""

    BOUGHT = 1
    """Delivered once the sale is closed."""
    DELIVERED = 2
    WITHDRAWN = 3
    """The buyer has taken it back; what was paid is owed."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """What one payment has bought."""

    buyer: Did
    tier: Annotated[int, Interval(ge=0, le=TIERS_MAX - 1)]
    reference: PaymentReference
    paid_minor: MinorUnits
    amount_grains: Grains
    status: PurchaseStatus
    owed_minor: MinorUnits
    """What the cashier has to pay back: the part that bought nothing, or all after a withdrawal."""
    repaid_minor: MinorUnits
    """What the cashier has confirmed of that."""
    account: Address
    """The buyer's when it bought; what an identity that has ended has bought goes there."""


@dataclass(frozen=True, slots=True)
class PurchaseName:
    """Which purchase."""

    sale: SaleNumber
    number: PurchaseNumber


@dataclass(frozen=True, slots=True)
class Sales:
    """How many sales there were, and which is open."""

    count: Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]
    open: SaleNumber | None


NO_SALES: Final = Sales(0, None)


def get_sales(state: StateReader) -> Sales:
    """How many there were, and which is open."""
    encoded = state.get(SALES_KEY)
    return NO_SALES if encoded is None else decode(Sales, encoded)


def put_sales(state: State, sales: Sales) -> None:
    """Replace that."""
    state.put(SALES_KEY, encode(sales))


def find_sale(state: StateReader, number: int) -> Sale | None:
    """The sale of this number, if there was one."""
    encoded = state.get(sale_key(number))
    return None if encoded is None else decode(Sale, encoded)


def get_sale(state: StateReader, number: int) -> Sale:
    """The same; raises Rejected."""
    sale = find_sale(state, number)
    if sale is None:
        raise Rejected(Reason.UNKNOWN_SALE, "there is no sale of this number")
    return sale


def put_sale(state: State, number: int, sale: Sale) -> None:
    """Write a sale; its law holds whoever writes it."""
    assert sale.share_grains == sum(sale.remaining_grains) + sale.sold_grains + sale.returned_grains, "no grain is lost"
    state.put(sale_key(number), encode(sale))


def find_purchase(state: StateReader, name: PurchaseName) -> Purchase | None:
    """A purchase, if there is one."""
    encoded = state.get(purchase_key(name.sale, name.number))
    return None if encoded is None else decode(Purchase, encoded)


def put_purchase(state: State, name: PurchaseName, purchase: Purchase) -> None:
    """Write a purchase."""
    state.put(purchase_key(name.sale, name.number), encode(purchase))


def find_payment(state: StateReader, reference: PaymentReference) -> PurchaseName | None:
    """What a payment has paid, if anything."""
    encoded = state.get(payment_key(reference))
    return None if encoded is None else decode(PurchaseName, encoded)


def put_payment(state: State, reference: PaymentReference, name: PurchaseName) -> None:
    """Note what a payment has paid."""
    state.put(payment_key(reference), encode(name))


def get_bought(state: StateReader, sale: int, buyer: Did) -> int:
    """Grains that an identity has bought in a sale."""
    encoded = state.get(sale_buyer_key(sale, buyer))
    return 0 if encoded is None else int.from_bytes(encoded, "big")


def put_bought(state: State, sale: int, buyer: Did, grains: int) -> None:
    """Replace that."""
    if grains:
        state.put(sale_buyer_key(sale, buyer), grains.to_bytes(_GRAINS_BYTES, "big"))
    else:
        state.delete(sale_buyer_key(sale, buyer))


def compute_grains(tier: Tier, paid_minor: int) -> int:
    """What an amount buys, rounded down to whole grains: paid · lot ÷ price."""
    return paid_minor * tier.lot_grains // tier.price_minor


def compute_cost(tier: Tier, grains: int) -> int:
    """What grains cost, rounded up to whole minor units: grains · price ÷ lot."""
    return -(-grains * tier.price_minor // tier.lot_grains)


def compute_fill(tier: Tier, paid_minor: int, room_grains: int) -> tuple[Grains, MinorUnits]:
    """What an amount buys where so much may be bought, and what of it is owed back."""
    wanted_grains = compute_grains(tier, paid_minor)
    if wanted_grains <= room_grains:
        return Grains(wanted_grains), 0
    return Grains(room_grains), paid_minor - compute_cost(tier, room_grains)
