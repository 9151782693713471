"""tx_: sending transactions and following them."""

from typing import Final

from ledger.codec import DecodeError
from ledger.primitives import TransactionId
from ledger.reasons import Reason, Rejected
from ledger.receipt import Status
from ledger.transaction import decode_transaction
from rpc.backend import Submitted, TransactionStatus
from rpc.contract_interfaces import make_finder
from rpc.errors import execution_failed, get_contract_code, get_reason_name, rejected
from rpc.models import (
    Estimate,
    PendingParams,
    PendingResult,
    RawParams,
    SendParams,
    SendResult,
    SimulateParams,
    SimulateResult,
    StatusResult,
    TransactionIdParams,
    TransactionView,
)
from rpc.session import Session, get_height
from rpc.views import build_pending_view, build_receipt_view, build_transaction_view

TRACE_LINES_SHOWN_MAX: Final = 8  # the last of what a failed simulation's contracts said


async def send(session: Session, params: SendParams) -> SendResult:
    """Submit a signed transaction; sending a known one again succeeds."""
    (outcome,) = await session.backend.submit_many([params.raw])
    return await finish_send(session, params, outcome)


async def finish_send(session: Session, params: SendParams, outcome: Submitted | Rejected) -> SendResult:
    """The answer to one submitted transaction, after waiting for finality when asked to."""
    if isinstance(outcome, Rejected):
        raise rejected(outcome)
    if params.wait == "admitted":
        return SendResult(id=outcome.id, known=outcome.known, status="pending")
    status = await session.backend.wait_final(outcome.id, params.timeout_ms)
    receipt = status.receipt
    return SendResult(
        id=outcome.id,
        known=outcome.known,
        status=status.status,
        height=status.height,
        reason=_get_reason(status),
        code=_get_code(status),
        gas_used=None if receipt is None else receipt.gas_used,
        fee=None if receipt is None else receipt.fee_grains,
    )


def simulate(session: Session, params: SimulateParams) -> SimulateResult:
    """Execute a transaction without effect; a failure is error 3 with its reason and gas."""
    try:
        simulated = session.backend.simulate(params.raw, get_height(params.at))
    except Rejected as refusal:
        raise rejected(refusal) from None
    receipt = simulated.receipt
    if receipt.status is not Status.SUCCEEDED:
        raise execution_failed(receipt.reason, receipt.gas_used, "; ".join(simulated.trace[-TRACE_LINES_SHOWN_MAX:]))
    return SimulateResult(
        height=simulated.height,
        block_hash=simulated.block_hash,
        receipt=build_receipt_view(receipt, session.backend.network, make_finder(session.backend)),
        log=list(simulated.trace),
    )


def estimate(session: Session, params: RawParams) -> Estimate:
    """A gas limit that suffices at the head, and the least fee for it."""
    try:
        return session.backend.estimate(params.raw)
    except Rejected as refusal:
        raise rejected(refusal) from None


def decode(session: Session, params: RawParams) -> TransactionView:
    """What a transaction's bytes say; signatures are not checked."""
    try:
        transaction = decode_transaction(params.raw)
    except DecodeError as error:
        raise rejected(Rejected(Reason.DECODE, str(error))) from None
    return build_transaction_view(transaction, session.backend.network, make_finder(session.backend))


def get_status(session: Session, params: TransactionIdParams) -> StatusResult:
    """Where a transaction stands."""
    status = session.backend.get_transaction_status(TransactionId(params.id))
    receipt = status.receipt
    find = make_finder(session.backend, status.height)
    return StatusResult(
        id=params.id,
        status=status.status,
        height=status.height,
        index=status.index,
        reason=_get_reason(status),
        code=_get_code(status),
        detail=status.detail,
        receipt=None if receipt is None else build_receipt_view(receipt, session.backend.network, find),
    )


def get_pending(session: Session, params: PendingParams) -> PendingResult:
    """Transactions waiting for a block, a page at a time."""
    scope = f"pending:{params.sender or ''}"
    sender = None if params.sender is None else session.parse_address(params.sender)
    after = None
    if params.cursor is not None:
        (position,) = session.decode_cursor(scope, params.cursor, (bytes,))
        assert isinstance(position, bytes)
        after = position
    page = session.backend.list_pending(sender, after, params.limit)
    return PendingResult(
        transactions=[build_pending_view(transaction, session.backend.network) for transaction in page.transactions],
        cursor=None if page.after is None else session.encode_cursor(scope, [page.after]),
    )


def _get_reason(status: TransactionStatus) -> str | None:
    if status.reason is not None:
        return status.reason
    receipt = status.receipt
    return get_reason_name(receipt.reason) if receipt is not None and receipt.reason else None


def _get_code(status: TransactionStatus) -> int | None:
    return None if status.receipt is None else get_contract_code(status.receipt.reason)
