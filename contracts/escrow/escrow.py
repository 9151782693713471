"""Escrow: a buyer's money waits until buyer, seller or an arbiter decides, or a deadline passes."""

from typing import Final

from iov import (
    Address,
    Contract,
    Map,
    Var,
    call,
    context,
    emit,
    event,
    init,
    mul_div,
    payable,
    replace,
    require,
    revert,
    struct,
    transfer,
    u8,
    u64,
    u128,
    view,
)

NO_SUCH_DEAL: Final = 1
NOT_ALLOWED: Final = 2
NOT_OPEN: Final = 3
TOO_EARLY: Final = 4
NOTHING_PAID: Final = 5
SHARE_TOO_LARGE: Final = 6

OPEN: Final = u8(0)
SETTLED: Final = u8(1)
SHARE_BPS_MAX: Final = 10_000


@struct
class Deal:
    """Who pays whom, who decides a dispute, and until when the seller may deliver."""

    buyer: Address
    seller: Address
    arbiter: Address
    amount_grains: u64
    deadline_ms: u64
    status: u8


@event
class Opened:
    """Money came in."""

    deal_id: u64
    deal: Deal


@event
class Settled:
    """Money went out: so much to the seller, the rest to the buyer."""

    deal_id: u64
    seller_grains: u64
    buyer_grains: u64


class Escrow(Contract):
    """The contract's balance is the sum of all open deals, at every moment."""

    deals_opened: Var[u64]
    deals: Map[u64, Deal]

    @init
    def create(self) -> None:
        """No deals yet."""
        self.deals_opened = u64(0)

    @call
    @payable
    def open(self, seller: Address, arbiter: Address, deadline_ms: u64) -> u64:
        """Pay in; gives the number of the deal."""
        require(context.value > 0, NOTHING_PAID)
        require(deadline_ms > context.time_ms, TOO_EARLY)
        self.deals_opened += 1
        deal_id = self.deals_opened
        deal = Deal(context.caller, seller, arbiter, context.value, deadline_ms, OPEN)
        self.deals[deal_id] = deal
        emit(Opened(deal_id, deal))
        return deal_id

    @call
    def release(self, deal_id: u64) -> None:
        """The buyer is content: the seller is paid."""
        deal = self._get_open(deal_id)
        require(context.caller == deal.buyer, NOT_ALLOWED)
        self._settle(deal_id, deal, deal.amount_grains)

    @call
    def refund(self, deal_id: u64) -> None:
        """The seller gives the money back, or the buyer takes it after the deadline."""
        deal = self._get_open(deal_id)
        if context.caller == deal.buyer:
            require(context.time_ms > deal.deadline_ms, TOO_EARLY)
        else:
            require(context.caller == deal.seller, NOT_ALLOWED)
        self._settle(deal_id, deal, u64(0))

    @call
    def decide(self, deal_id: u64, seller_share_bps: u64) -> None:
        """The arbiter divides the money; what rounding leaves goes to the buyer."""
        deal = self._get_open(deal_id)
        require(context.caller == deal.arbiter, NOT_ALLOWED)
        require(seller_share_bps <= SHARE_BPS_MAX, SHARE_TOO_LARGE)
        seller_grains = mul_div(u128(deal.amount_grains), u128(seller_share_bps), u128(SHARE_BPS_MAX))
        self._settle(deal_id, deal, u64(seller_grains))

    @view
    def get_deal(self, deal_id: u64) -> Deal | None:
        """A deal, settled or not."""
        return self.deals.get(deal_id)

    def _get_open(self, deal_id: u64) -> Deal:
        deal = self.deals.get(deal_id)
        if deal is None:
            revert(NO_SUCH_DEAL)
        require(deal.status == OPEN, NOT_OPEN)
        return deal

    def _settle(self, deal_id: u64, deal: Deal, seller_grains: u64) -> None:
        """The state changes before the money moves."""
        buyer_grains = deal.amount_grains - seller_grains
        self.deals[deal_id] = replace(deal, status=SETTLED)
        if seller_grains > 0:
            transfer(deal.seller, seller_grains)
        if buyer_grains > 0:
            transfer(deal.buyer, buyer_grains)
        emit(Settled(deal_id, seller_grains, buyer_grains))
