"""A membership pass: one a holder, sold for IOV until a day, carried over to others, listed by anybody."""

from typing import Final, Literal

from iov import (
    Address,
    Contract,
    IndexedMap,
    List,
    Var,
    call,
    context,
    emit,
    event,
    init,
    payable,
    range,
    replace,
    require,
    revert,
    struct,
    transfer,
    u8,
    u32,
    u64,
    view,
)

NOT_OWNER: Final = 1
WRONG_PRICE: Final = 2
NO_PASS: Final = 3
PASS_EXPIRED: Final = 4
HAS_PASS: Final = 5
NO_SUCH_LEVEL: Final = 6

LEVELS: Final = 3
DAY_MS: Final = 24 * 60 * 60 * 1000
PAGE: Final = 50  # passes in one answer

Prices = List[u64, Literal[3]]
Holders = List[Address, Literal[50]]


@struct
class Pass:
    """What a holder has: a level, and until when it is valid."""

    number: u64
    level: u8
    valid_until_ms: u64


@event
class Issued:
    """A pass was bought or renewed."""

    holder: Address
    membership: Pass


@event
class Moved:
    """A pass has a new holder."""

    sender: Address
    recipient: Address
    number: u64


class Membership(Contract, upgrade="owner"):
    """Passes are numbered from 1 and never share a number."""

    owner: Var[Address]
    prices_grains: Var[Prices]
    days: Var[u64]
    last_number: Var[u64]
    passes: IndexedMap[Address, Pass]

    @init
    def create(self, prices_grains: Prices, days: u64) -> None:
        """Sell passes of three levels at these prices, each for so many days."""
        require(len(prices_grains) == LEVELS, NO_SUCH_LEVEL)
        self.owner = context.caller
        self.prices_grains = prices_grains
        self.days = days
        self.last_number = u64(0)

    @call
    @payable
    def buy(self, level: u8) -> u64:
        """Buy a pass, or renew one's own; gives its number."""
        require(level < LEVELS, NO_SUCH_LEVEL)
        require(context.value == self.prices_grains[level], WRONG_PRICE)
        start_ms = context.time_ms
        held = self.passes.get(context.caller)
        if held is None:
            self.last_number += 1
            bought = Pass(self.last_number, level, start_ms + self.days * DAY_MS)
        else:
            start_ms = max(start_ms, held.valid_until_ms)
            bought = replace(held, level=level, valid_until_ms=start_ms + self.days * DAY_MS)
        self.passes[context.caller] = bought
        emit(Issued(context.caller, bought))
        return bought.number

    @call
    def give(self, recipient: Address) -> None:
        """Give one's pass to somebody who has none."""
        held = self.passes.get(context.caller)
        if held is None:
            revert(NO_PASS)
        require(held.valid_until_ms > context.time_ms, PASS_EXPIRED)
        require(recipient not in self.passes, HAS_PASS)
        del self.passes[context.caller]
        self.passes[recipient] = held
        emit(Moved(context.caller, recipient, held.number))

    @call
    def withdraw(self, amount_grains: u64) -> None:
        """The owner takes what was paid."""
        require(context.caller == self.owner, NOT_OWNER)
        transfer(context.caller, amount_grains)

    @view
    def get_pass(self, holder: Address) -> Pass | None:
        """The holder's pass, expired or not."""
        return self.passes.get(holder)

    @view
    def is_member(self, holder: Address, level: u8) -> bool:
        """Whether the holder has a valid pass of at least this level."""
        held = self.passes.get(holder)
        return held is not None and held.level >= level and held.valid_until_ms > context.time_ms

    @view
    def list_holders(self, start: u32) -> Holders:
        """Up to 50 holders, from a position on."""
        holders = Holders()
        for position in range(start, min(u32(len(self.passes)), start + PAGE)):
            holders.append(self.passes.key_at(position))
        return holders
