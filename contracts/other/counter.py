"""The counter that counter.wat and assemblyscript/counter.ts also are: one interface, one behaviour, three sources."""

from typing import Final

from iov import Address, Contract, Map, Var, call, context, emit, event, init, require, u64, view

AMOUNT_ZERO: Final = 1


@event
class Added:
    """Somebody added to the counter."""

    by: Address
    amount: u64
    total: u64


class Counter(Contract):
    """The counts of all add up to the total."""

    counted: Var[u64]
    counts: Map[Address, u64]

    @init
    def create(self) -> None:
        """Begin at zero."""
        self.counted = u64(0)

    @call
    def add(self, amount: u64) -> u64:
        """Add to the caller's count; gives the total."""
        require(amount > 0, AMOUNT_ZERO)
        total = self.counted + amount
        self.counted = total
        self.counts[context.caller] = self.counts.get(context.caller, u64(0)) + amount
        emit(Added(context.caller, amount, total))
        return total

    @view
    def total(self) -> u64:
        """The sum of all counts."""
        return self.counted

    @view
    def count_of(self, owner: Address) -> u64:
        """What somebody added."""
        return self.counts.get(owner, u64(0))
