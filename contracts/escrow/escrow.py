"""Escrow: a buyer's IOV wait here until the deal is done, and an arbiter decides when the two disagree.

Money is never stuck. Every deal ends by itself: without a dispute at its deadline, with one when the arbiter's time is
over; anybody may then conclude it. What a deal gives is written down for its owner, who withdraws it to an account of
choice; so one party that cannot be paid, as a contract cannot, stops nobody.
"""

from typing import Final

from iov import (
    Address,
    Contract,
    IndexedMap,
    Map,
    Var,
    call,
    context,
    emit,
    event,
    init,
    payable,
    replace,
    require,
    revert,
    struct,
    transfer,
    u8,
    u64,
    view,
)

AMOUNT_ZERO: Final = 1
SAME_PARTY: Final = 2
BAD_DEADLINE: Final = 3
BAD_RULING_TIME: Final = 4
NO_DEAL: Final = 5
NOT_BUYER: Final = 6
NOT_SELLER: Final = 7
NOT_PARTY: Final = 8
NOT_ARBITER: Final = 9
ALREADY_SETTLED: Final = 10
ALREADY_DISPUTED: Final = 11
NOT_DISPUTED: Final = 12
TOO_LATE: Final = 13
TOO_EARLY: Final = 14
SHARE_TOO_LARGE: Final = 15
NOTHING_DUE: Final = 16

HELD: Final = u8(1)
DISPUTED: Final = u8(2)
SETTLED: Final = u8(3)

DEADLINE_MS_MAX: Final = 366 * 86_400_000  # a year: what is longer is a loan
RULING_MS_MIN: Final = 3_600_000  # an hour: an arbiter needs a chance
RULING_MS_MAX: Final = 90 * 86_400_000  # so long do both wait for an arbiter who is gone


@struct
class Deal:
    """What two parties agreed on, and where it stands."""

    buyer: Address
    seller: Address
    arbiter: Address
    grains: u64
    deadline_ms: u64
    deadline_height: u64  # 0 when no block counts; else the deal is due at what comes first
    ruling_ms: u64  # time the arbiter has for a ruling
    ruling_until_ms: u64  # 0 until there is a dispute
    stage: u8


@event
class Opened:
    """A buyer has paid in."""

    number: u64
    buyer: Address
    seller: Address
    arbiter: Address
    grains: u64


@event
class Disputed:
    """The arbiter is asked for a ruling."""

    number: u64
    by: Address
    ruling_until_ms: u64


@event
class Settled:
    """The deal is over; both shares add up to what was paid in."""

    number: u64
    by: Address
    buyer_grains: u64
    seller_grains: u64


@event
class Withdrawn:
    """IOV left the contract."""

    owner: Address
    recipient: Address
    grains: u64


class Escrow(Contract):
    """The contract holds exactly the unsettled deals and what is due."""

    opened: Var[u64]
    deals: IndexedMap[u64, Deal]
    due: Map[Address, u64]

    @init
    def create(self) -> None:
        """Deals are numbered from 1."""
        self.opened = u64(0)

    @call
    @payable
    def open_deal(
        self, seller: Address, arbiter: Address, deadline_ms: u64, deadline_height: u64, ruling_ms: u64
    ) -> u64:
        """Pay in; gives the deal's number."""
        buyer = context.caller
        require(context.value > 0, AMOUNT_ZERO)
        require(buyer != seller and buyer != arbiter and seller != arbiter, SAME_PARTY)
        require(deadline_ms > context.time_ms, BAD_DEADLINE)
        require(deadline_ms - context.time_ms <= DEADLINE_MS_MAX, BAD_DEADLINE)
        require(deadline_height == 0 or deadline_height > context.height, BAD_DEADLINE)
        require(RULING_MS_MIN <= ruling_ms <= RULING_MS_MAX, BAD_RULING_TIME)
        number = self.opened + 1
        self.opened = number
        self.deals[number] = Deal(
            buyer, seller, arbiter, context.value, deadline_ms, deadline_height, ruling_ms, u64(0), HELD
        )
        emit(Opened(number, buyer, seller, arbiter, context.value))
        return number

    @call
    def release(self, number: u64) -> None:
        """The buyer is content: the seller gets everything, also during a dispute."""
        deal = self._get_unsettled(number)
        require(context.caller == deal.buyer, NOT_BUYER)
        self._settle(number, deal, deal.grains)

    @call
    def refund(self, number: u64) -> None:
        """The seller gives everything back, also during a dispute."""
        deal = self._get_unsettled(number)
        require(context.caller == deal.seller, NOT_SELLER)
        self._settle(number, deal, u64(0))

    @call
    def dispute(self, number: u64) -> None:
        """Either party asks the arbiter, before the deadline."""
        deal = self._get_unsettled(number)
        require(context.caller == deal.buyer or context.caller == deal.seller, NOT_PARTY)
        require(deal.stage == HELD, ALREADY_DISPUTED)
        require(not self._is_due(deal), TOO_LATE)
        ruling_until_ms = context.time_ms + deal.ruling_ms
        self.deals[number] = replace(deal, stage=DISPUTED, ruling_until_ms=ruling_until_ms)
        emit(Disputed(number, context.caller, ruling_until_ms))

    @call
    def rule(self, number: u64, seller_grains: u64) -> None:
        """The arbiter says what the seller gets; the rest goes back to the buyer."""
        deal = self._get_unsettled(number)
        require(context.caller == deal.arbiter, NOT_ARBITER)
        require(deal.stage == DISPUTED, NOT_DISPUTED)
        require(context.time_ms < deal.ruling_until_ms, TOO_LATE)
        require(seller_grains <= deal.grains, SHARE_TOO_LARGE)
        self._settle(number, deal, seller_grains)

    @call
    def conclude(self, number: u64) -> None:
        """Anybody ends what is overdue: undisputed, the seller gets all; with a silent arbiter, half, rounded down."""
        deal = self._get_unsettled(number)
        if deal.stage == HELD:
            require(self._is_due(deal), TOO_EARLY)
            self._settle(number, deal, deal.grains)
        else:
            require(context.time_ms >= deal.ruling_until_ms, TOO_EARLY)
            self._settle(number, deal, deal.grains // 2)

    @call
    def withdraw(self, recipient: Address) -> u64:
        """Have all that is due to the caller paid to an account; gives how much it was."""
        grains = self.due.get(context.caller, u64(0))
        require(grains > 0, NOTHING_DUE)
        del self.due[context.caller]
        transfer(recipient, grains)
        emit(Withdrawn(context.caller, recipient, grains))
        return grains

    @view
    def find_deal(self, number: u64) -> Deal | None:
        """A deal, if there is one of that number."""
        return self.deals.get(number)

    @view
    def due_to(self, owner: Address) -> u64:
        """Grains that somebody may withdraw."""
        return self.due.get(owner, u64(0))

    @view
    def count(self) -> u64:
        """How many deals were ever opened."""
        return self.opened

    def _get_unsettled(self, number: u64) -> Deal:
        deal = self.deals.get(number)
        if deal is None:
            revert(NO_DEAL)
        require(deal.stage != SETTLED, ALREADY_SETTLED)
        return deal

    def _is_due(self, deal: Deal) -> bool:
        is_height_reached = deal.deadline_height > 0 and context.height >= deal.deadline_height
        return context.time_ms >= deal.deadline_ms or is_height_reached

    def _settle(self, number: u64, deal: Deal, seller_grains: u64) -> None:
        buyer_grains = deal.grains - seller_grains
        self.deals[number] = replace(deal, stage=SETTLED)
        self._credit(deal.buyer, buyer_grains)
        self._credit(deal.seller, seller_grains)
        emit(Settled(number, context.caller, buyer_grains, seller_grains))

    def _credit(self, owner: Address, grains: u64) -> None:
        if grains > 0:
            self.due[owner] = self.due.get(owner, u64(0)) + grains
