"""A fungible token: a fixed supply, transfers, and allowances for others to spend."""

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
    require,
    struct,
    u8,
    u128,
    view,
)

BALANCE_TOO_SMALL: Final = 1
ALLOWANCE_TOO_SMALL: Final = 2
AMOUNT_ZERO: Final = 3


@struct
class Approval:
    """Whose tokens somebody may spend."""

    owner: Address
    spender: Address


@event
class Transferred:
    """Tokens changed hands."""

    sender: Address
    recipient: Address
    amount: u128


@event
class Approved:
    """Somebody may spend so much from now on."""

    owner: Address
    spender: Address
    amount: u128


class Token(Contract):
    """The sum of all balances is the supply, at every moment."""

    name: Var[str]
    symbol: Var[str]
    decimals: Var[u8]
    supply: Var[u128]
    balances: Map[Address, u128]
    allowances: Map[Approval, u128]

    @init
    def create(self, name: str, symbol: str, decimals: u8, supply: u128) -> None:
        """Everything belongs to the publisher at first."""
        self.name = name
        self.symbol = symbol
        self.decimals = decimals
        self.supply = supply
        self.balances[context.caller] = supply
        emit(Transferred(context.address, context.caller, supply))

    @call
    def transfer(self, recipient: Address, amount: u128) -> None:
        """Give away own tokens."""
        self._move(context.caller, recipient, amount)

    @call
    def approve(self, spender: Address, amount: u128) -> None:
        """Let somebody spend up to an amount; replaces what was allowed before."""
        self.allowances[Approval(context.caller, spender)] = amount
        emit(Approved(context.caller, spender, amount))

    @call
    def transfer_from(self, owner: Address, recipient: Address, amount: u128) -> None:
        """Spend what the owner allowed."""
        approval = Approval(owner, context.caller)
        allowed = self.allowances.get(approval, u128(0))
        require(allowed >= amount, ALLOWANCE_TOO_SMALL)
        self.allowances[approval] = allowed - amount
        self._move(owner, recipient, amount)

    @view
    def balance_of(self, owner: Address) -> u128:
        """Tokens of an account."""
        return self.balances.get(owner, u128(0))

    @view
    def allowance(self, owner: Address, spender: Address) -> u128:
        """What the spender may still take from the owner."""
        return self.allowances.get(Approval(owner, spender), u128(0))

    @view
    def total_supply(self) -> u128:
        """How many tokens there are."""
        return self.supply

    def _move(self, sender: Address, recipient: Address, amount: u128) -> None:
        require(amount > 0, AMOUNT_ZERO)
        held = self.balances.get(sender, u128(0))
        require(held >= amount, BALANCE_TOO_SMALL)
        self.balances[sender] = held - amount
        self.balances[recipient] = self.balances.get(recipient, u128(0)) + amount
        emit(Transferred(sender, recipient, amount))
