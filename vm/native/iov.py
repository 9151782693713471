"""IOV, the chain's token: 10^18 grains exist from genesis on, and never more or fewer (paper 12.1).

| key                | value                            |
|--------------------|----------------------------------|
| account_key(addr)  | Account, see vm/native/accounts  |

Rules
* T1 The sum of all balances is SUPPLY_GRAINS after every block.
* T2 An amount is at least one grain.
* T3 A transfer moves everything it names, or nothing; so does a batch.
* T4 A module's or contract's address takes no direct transfers: what it holds, its own rules account for. A contract is
  paid by calling one of its methods.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Len

from identity.address import Address, compute_module_address
from ledger.primitives import INTEGER_MAX, SUPPLY_GRAINS, Grains
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from vm.context import Context, Moment
from vm.gas import GAS_STATE_WRITE
from vm.native.accounts import IS_CONTRACT, add_to_balance, get_account
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule

RECIPIENTS_MAX: Final = 500  # one batch stays far below a block's gas

TREASURY_PERCENT: Final = {"core": 10, "operations": 10, "acquisitions": 35, "marketing": 30, "community": 15}
"""Budget categories of the treasury (paper 11); each has an account `treasury_<category>`."""

MODULE_ACCOUNTS: Final = (
    *("fees", "staking", "cornerstone", "subscription", "team", "mining", "ads"),
    *(f"treasury_{category}" for category in TREASURY_PERCENT),
    *("distribution", "sale", "gifts"),
)
"""Accounts that no key leads to: fees of the epoch, stake, the shares of paper 12.4, the treasury's budgets, what is
set aside for payouts, what is being sold, what waits to be claimed and what campaigns were paid.
"""

FEES_ADDRESS: Final = compute_module_address("fees")
STAKING_ADDRESS: Final = compute_module_address("staking")
SALE_ADDRESS: Final = compute_module_address("sale")
GIFTS_ADDRESS: Final = compute_module_address("gifts")
TREASURY_ADDRESSES: Final = {category: compute_module_address(f"treasury_{category}") for category in TREASURY_PERCENT}

_MODULE_ADDRESSES: Final = frozenset(compute_module_address(name) for name in MODULE_ACCOUNTS)


@dataclass(frozen=True, slots=True)
class Transfer:
    """Move coins from the sender to another account."""

    recipient: Address
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class Payment:
    """One line of a batch."""

    recipient: Address
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class BatchTransfer:
    """Move coins from the sender to many accounts at once."""

    payments: Annotated[tuple[Payment, ...], Len(1, RECIPIENTS_MAX)]


@dataclass(frozen=True, slots=True)
class Transferred:
    """Coins moved."""

    sender: Address
    recipient: Address
    amount_grains: Grains


def get_balance(state: StateReader, address: Address) -> Grains:
    """What an account can move."""
    return Grains(get_account(state, address).balance_grains)


def answer_balance(state: StateReader, _: Moment, address: Address) -> Grains:
    """The view of a balance."""
    return get_balance(state, address)


def move_grains(state: State, context: Context, source: Address, target: Address, amount_grains: int) -> None:
    """Move coins that come with a call of a contract (rule T3); raises Rejected."""
    debit(state, source, amount_grains, context.block.time_ms)
    credit(state, target, amount_grains, context.block.time_ms)
    context.emit(MODULE.name, Transferred.__name__, source, target, amount_grains)


def apply_transfer(state: State, context: Context, call: Transfer) -> None:
    """Rules T2 to T4."""
    _check_payment(call.recipient, call.amount_grains)
    _move(state, context, call.recipient, call.amount_grains)


def apply_batch_transfer(state: State, context: Context, call: BatchTransfer) -> None:
    """Rules T2 to T4 for every line; the total is checked before the first one moves."""
    for payment in call.payments:
        _check_payment(payment.recipient, payment.amount_grains)
    total_grains = sum(payment.amount_grains for payment in call.payments)
    if total_grains > INTEGER_MAX:
        raise Rejected(Reason.AMOUNT_OVERFLOW, "the payments add up to more IOV than there are")
    _check_funded(state, context.sender, total_grains)
    for payment in call.payments:
        _move(state, context, payment.recipient, payment.amount_grains)


def credit(state: State, address: Address, amount_grains: int, now_ms: int) -> None:
    """Add to a balance what the caller has taken from another."""
    add_to_balance(state, address, amount_grains, now_ms)


def debit(state: State, address: Address, amount_grains: int, now_ms: int) -> None:
    """Take from a balance what the caller gives to another; raises Rejected."""
    add_to_balance(state, address, -amount_grains, now_ms)


def deposit_treasury(state: State, amount_grains: int, now_ms: int) -> None:
    """Share out among the treasury's budgets, by their percentages, what the caller has taken from another balance.

    Every share is rounded down; what is left over goes to the first category.
    """
    shares = {category: amount_grains * percent // 100 for category, percent in TREASURY_PERCENT.items()}
    first = next(iter(shares))
    shares[first] += amount_grains - sum(shares.values())
    for category, share_grains in shares.items():
        if share_grains:
            credit(state, TREASURY_ADDRESSES[category], share_grains, now_ms)


def is_module_address(address: Address) -> bool:
    """Whether the address belongs to a module and takes no direct transfers (rule T4)."""
    return address in _MODULE_ADDRESSES


def check_recipient(state: StateReader, recipient: Address) -> None:
    """Rule T4 for what is paid out of a module's account; raises Rejected."""
    if recipient in _MODULE_ADDRESSES or get_account(state, recipient).flags & IS_CONTRACT:
        raise Rejected(Reason.RECIPIENT_NOT_ALLOWED, "modules and contracts take no payments")


def _check_payment(recipient: Address, amount_grains: int) -> None:
    if amount_grains == 0:
        raise Rejected(Reason.AMOUNT_ZERO, "an amount is at least one grain")
    if recipient in _MODULE_ADDRESSES:
        raise Rejected(Reason.RECIPIENT_NOT_ALLOWED, "this address belongs to a module and takes no transfers")


def _check_funded(state: State, address: Address, amount_grains: int) -> None:
    held_grains = get_balance(state, address)
    if held_grains < amount_grains:
        raise Rejected(Reason.INSUFFICIENT_BALANCE, held=held_grains, needed=amount_grains)


def _move(state: State, context: Context, recipient: Address, amount_grains: int) -> None:
    if recipient == context.sender:
        _check_funded(state, recipient, amount_grains)
    else:
        debit(state, context.sender, amount_grains, context.block.time_ms)
        flags = add_to_balance(state, recipient, amount_grains, context.block.time_ms)
        if flags & IS_CONTRACT:
            raise Rejected(Reason.RECIPIENT_NOT_ALLOWED, "a contract takes IOV with a call of one of its methods")
    context.emit(MODULE.name, Transferred.__name__, context.sender, recipient, amount_grains)


MODULE = ModuleRule(
    name="iov",
    summary="The IOV token: 10 billion, never more",
    calls=(
        CallRule("transfer", Transfer, apply_transfer, lambda call: 2 * GAS_STATE_WRITE, str(2 * GAS_STATE_WRITE)),
        CallRule(
            "batch_transfer",
            BatchTransfer,
            apply_batch_transfer,
            lambda call: GAS_STATE_WRITE * (1 + len(call.payments)),
            f"{GAS_STATE_WRITE} + {GAS_STATE_WRITE} for each payment",
        ),
    ),
    events=(EventRule(Transferred),),
    views=(
        ViewRule("balance", (("address", Address),), answer_balance),
        ViewRule("supply", (), lambda *_: SUPPLY_GRAINS),
    ),
)
