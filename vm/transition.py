"""The state transition: same block, same state, same bytes on every machine.

A transaction is *skipped* (not includable when its turn came: no fee, no effect), *failed* (fee kept, calls undone,
numbered reason) or *succeeded*. Whatever can be told from the transaction alone was settled before the vote.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ledger.codec import DecodeError
from ledger.primitives import Gas, Grains, Height
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event, Receipt, Status
from ledger.state import State, StateReader
from ledger.state_keys import unordered_key, unordered_prefix
from ledger.transaction import FEE_PAYER, SENDER, UNORDERED_HEIGHTS_MAX, Transaction, TransactionBody
from vm.block_end import apply_block_end
from vm.context import BlockContext, Context
from vm.gas import GAS_STATE_WRITE, GasMeter, compute_intrinsic_gas
from vm.native.accounts import (
    Account,
    add_to_balance,
    compute_movable_grains,
    get_account,
    is_authorised,
    put_account,
)
from vm.native.free_quota import add_free_gas, check_free, find_person
from vm.native.iov import credit, debit
from vm.native.pauses import check_not_paused
from vm.native.registry import find_call
from vm.native.role_table import check_role
from vm.parameters import Parameters

SLICE_GAS: Final = 500_000  # 50 ms, of few calls of contracts or of many transfers


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What a block did."""

    receipts: list[Receipt]
    events: tuple[Event, ...]
    """What happened at the block's end."""
    changes: dict[bytes, bytes | None] = field(repr=False)
    """State key -> new value, None when removed."""


def apply_block(state: State, block: BlockContext, transactions: Sequence[Transaction]) -> BlockResult:
    """Execute a decided block's transactions in order on the state after the block before."""
    for outcome in apply_block_in_slices(state, block, transactions, max(1, len(transactions))):
        if outcome is not None:
            return outcome
    raise AssertionError("the last slice gives the result")


def apply_block_in_slices(
    state: State, block: BlockContext, transactions: Sequence[Transaction], slice_transactions: int
) -> Iterator[BlockResult | None]:
    """The same, pausing (None) after every so many transactions or SLICE_GAS; then the result.

    A pause lets a node do other things.
    """
    receipts = []
    fees_grains = 0
    slice_gas = 0
    for index, transaction in enumerate(transactions, start=1):
        receipt = apply_transaction(state, block, transaction)
        fees_grains += receipt.fee_grains
        state.forget_marks()
        receipts.append(receipt)
        slice_gas += receipt.gas_used
        if index % slice_transactions == 0 or slice_gas >= SLICE_GAS:
            slice_gas = 0
            yield None
    events = apply_block_end(state, block, fees_grains)
    for key, _ in list(state.iterate_prefix(unordered_prefix(block.height))):
        state.delete(key)
    yield BlockResult(receipts, events, state.changes)


def apply_transaction(state: State, block: BlockContext, transaction: Transaction) -> Receipt:
    """Execute one transaction whose signatures are known to be valid."""
    body = transaction.body
    try:
        check_includable(state, transaction, block)
    except Rejected as refusal:
        return Receipt(transaction.id, Status.SKIPPED, refusal.reason, Gas(0), Grains(0), ())
    price_grains = body.price_grains
    person = None
    if price_grains < block.parameters.price_floor_grains:
        person = find_person(state, body.sender, block.height)
        assert person is not None, "only persons are included without a fee"
        add_free_gas(state, person, block.height, block.time_ms, body.gas_limit)
    _take_fee_and_order(state, transaction, price_grains * body.gas_limit, block.time_ms)
    payer = body.sender if body.fee_payer is None else body.fee_payer
    gas = GasMeter(body.gas_limit, compute_ordering_gas(transaction))
    context = Context(block, body.sender, payer, transaction.id, gas)
    mark = state.get_mark()
    status, reason = Status.SUCCEEDED, 0
    try:
        _apply_calls(state, context, body)
    except Rejected as failure:
        state.undo_to(mark)
        context.events.clear()
        status, reason = Status.FAILED, failure.number
        if block.trace is not None and failure.message:
            block.trace.append(failure.message)
    fee_grains = price_grains * gas.used
    if person is not None:
        add_free_gas(state, person, block.height, block.time_ms, gas.used - body.gas_limit)
    elif gas.used < body.gas_limit:
        credit(state, payer, price_grains * (body.gas_limit - gas.used), block.time_ms)
    return Receipt(transaction.id, status, reason, Gas(gas.used), Grains(fee_grains), tuple(context.events))


def check_stateless(transaction: Transaction, chain_id: str, parameters: Parameters) -> None:
    """What can be told without the state, signatures excepted; raises Rejected. Settled before a vote."""
    body = transaction.body
    if body.chain_id != chain_id:
        raise Rejected(Reason.WRONG_CHAIN, f"this chain is {chain_id}", expected=chain_id)
    if body.gas_limit > parameters.block_gas_max:
        raise Rejected(Reason.GAS_LIMIT_TOO_HIGH, "more gas than a block has", maximum=parameters.block_gas_max)
    intrinsic_gas = compute_ordering_gas(transaction)
    if body.gas_limit < intrinsic_gas:
        raise Rejected(Reason.GAS_LIMIT_TOO_LOW, "not enough for the transaction itself", minimum=intrinsic_gas)


def check_expiry(body: TransactionBody, height: Height) -> None:
    """Whether a block of this height may hold it; raises Rejected."""
    if body.valid_until < height:
        raise Rejected(Reason.EXPIRED, "its last block has passed", valid_until=body.valid_until, height=height)
    if body.is_unordered and body.valid_until > height + UNORDERED_HEIGHTS_MAX:
        raise Rejected(
            Reason.VALID_UNTIL_TOO_FAR,
            f"an unordered transaction expires within {UNORDERED_HEIGHTS_MAX} blocks",
            maximum=height + UNORDERED_HEIGHTS_MAX,
        )


def check_admission(
    state: StateReader, transaction: Transaction, height: Height, time_ms: int, parameters: Parameters
) -> Account:
    """Whether it may wait for a block of this height or later: all but the sequence's exact turn; raises Rejected.

    The time is that of now: it says of which day a free quota is asked for. Returns the sender's account. A call of a
    paused module is refused here, where it costs nothing; one that comes into a block all the same, because the pause
    began later, fails there and pays.
    """
    check_not_paused(state, [call.module for call in transaction.body.calls], height)
    return _check_payable(state, transaction, height, time_ms, parameters)


def _check_payable(
    state: StateReader, transaction: Transaction, height: Height, time_ms: int, parameters: Parameters
) -> Account:
    body = transaction.body
    check_expiry(body, height)
    price_grains = body.price_grains
    if price_grains < parameters.price_floor_grains:
        check_free(state, body, height, time_ms, parameters)
    sender = payer = get_account(state, body.sender)
    if not is_authorised(state, body.sender, sender, transaction, SENDER):
        raise Rejected(Reason.SENDER_NOT_ALLOWED, "the signing keys do not rule the sender's account")
    if body.fee_payer is not None:
        payer = get_account(state, body.fee_payer)
        if not is_authorised(state, body.fee_payer, payer, transaction, FEE_PAYER):
            raise Rejected(Reason.SENDER_NOT_ALLOWED, "the signing keys do not rule the fee payer's account")
    payer_address = body.sender if body.fee_payer is None else body.fee_payer
    movable_grains = compute_movable_grains(state, payer_address, payer, time_ms)
    if movable_grains < price_grains * body.gas_limit:
        raise Rejected(
            Reason.INSUFFICIENT_FUNDS,
            "the fee payer cannot cover the fee offered",
            held=movable_grains,
            needed=price_grains * body.gas_limit,
        )
    if isinstance(body.ordering, bytes):
        if state.get(unordered_key(body.valid_until, transaction.id)) is not None:
            raise Rejected(Reason.DUPLICATE, "this transaction is in the chain already")
    elif body.ordering < sender.sequence:
        raise Rejected(Reason.SEQUENCE_TOO_LOW, f"the next sequence is {sender.sequence}", expected=sender.sequence)
    return sender


def check_includable(state: StateReader, transaction: Transaction, block: BlockContext) -> None:
    """Whether a block can execute it right now; raises Rejected."""
    sender = _check_payable(state, transaction, block.height, block.time_ms, block.parameters)
    ordering = transaction.body.ordering
    if not isinstance(ordering, bytes) and ordering > sender.sequence:
        raise Rejected(Reason.SEQUENCE_TOO_HIGH, f"the next sequence is {sender.sequence}", expected=sender.sequence)


def compute_ordering_gas(transaction: Transaction) -> int:
    """Intrinsic gas, and two state writes more when the id must be remembered and later forgotten."""
    remembered = 2 * GAS_STATE_WRITE if transaction.body.is_unordered else 0
    return compute_intrinsic_gas(transaction) + remembered


def _take_fee_and_order(state: State, transaction: Transaction, fee_grains: int, now_ms: int) -> None:
    """Take the whole fee offered, use up the sequence or remember the id; what is not used is given back after."""
    body = transaction.body
    sequences_used = 0 if body.is_unordered else 1
    if body.fee_payer is None:
        add_to_balance(state, body.sender, -fee_grains, now_ms, sequences_used=sequences_used)
    else:
        if sequences_used:
            sender = get_account(state, body.sender)
            put_account(state, body.sender, sender._replace(sequence=sender.sequence + sequences_used))
        debit(state, body.fee_payer, fee_grains, now_ms)
    if body.is_unordered:
        state.put(unordered_key(body.valid_until, transaction.id), b"")


def _apply_calls(state: State, context: Context, body: TransactionBody) -> None:
    check_not_paused(state, [call.module for call in body.calls], context.block.height)
    for call in body.calls:
        ready = find_call(call.module, call.call)
        try:
            arguments = ready.read_arguments(call.arguments)
        except DecodeError as error:
            raise Rejected(Reason.BAD_ARGUMENTS, str(error)) from None
        check_role(state, context, call.module, call.call)
        context.gas.charge(ready.rule.compute_gas(arguments))
        ready.rule.apply(state, context, arguments)
