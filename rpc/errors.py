"""Every way a call can fail: a JSON-RPC code, and a stable word in `data.reason` that clients may rely on."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final

from pydantic.alias_generators import to_camel

from ledger.primitives import JSON_INTEGER_MAX
from ledger.reasons import CONTRACT_REASON_FIRST, Reason, Rejected, get_reason


@unique
class ErrorCode(IntEnum):
    """Wire number of a kind of failure; never reused."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    NOT_FOUND = -32001
    NOT_READY = -32002
    REJECTED = -32003
    DISABLED = -32004
    LIMIT = -32005
    UNAUTHORIZED = -32010
    EXECUTION_FAILED = 3


MESSAGES: Final[Mapping[ErrorCode, str]] = {
    ErrorCode.PARSE_ERROR: "Parse error",
    ErrorCode.INVALID_REQUEST: "Invalid Request",
    ErrorCode.METHOD_NOT_FOUND: "Method not found",
    ErrorCode.INVALID_PARAMS: "Invalid params",
    ErrorCode.INTERNAL_ERROR: "Internal error",
    ErrorCode.NOT_FOUND: "Not found",
    ErrorCode.NOT_READY: "Node not ready",
    ErrorCode.REJECTED: "Transaction rejected",
    ErrorCode.DISABLED: "Method disabled",
    ErrorCode.LIMIT: "Limit exceeded",
    ErrorCode.UNAUTHORIZED: "Unauthorized",
    ErrorCode.EXECUTION_FAILED: "Execution failed",
}


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One reason a call can fail for, as it stands in the OpenRPC document."""

    reason: str
    code: ErrorCode
    is_retryable: bool
    """Whether the very same call may succeed later."""
    doc: str


_GENERAL_KINDS: Final = (
    ErrorKind("PARSE_ERROR", ErrorCode.PARSE_ERROR, False, "The body is not JSON in UTF-8."),
    ErrorKind("INVALID_REQUEST", ErrorCode.INVALID_REQUEST, False, "Not a JSON-RPC 2.0 request object."),
    ErrorKind("REQUEST_TOO_LARGE", ErrorCode.INVALID_REQUEST, False, "The body has too many bytes; see `bytesMax`."),
    ErrorKind("BATCH_TOO_LARGE", ErrorCode.INVALID_REQUEST, False, "The batch has too many calls; see `callsMax`."),
    ErrorKind("NESTED_TOO_DEEP", ErrorCode.INVALID_REQUEST, False, "Lists or objects nested too deep."),
    ErrorKind("REQUEST_TIMEOUT", ErrorCode.INVALID_REQUEST, True, "The request did not arrive in time."),
    ErrorKind("METHOD_NOT_FOUND", ErrorCode.METHOD_NOT_FOUND, False, "No method has this name."),
    ErrorKind("INVALID_PARAMS", ErrorCode.INVALID_PARAMS, False, "A parameter is wrong; `detail` says which."),
    ErrorKind("BAD_ADDRESS", ErrorCode.INVALID_PARAMS, False, "Not an address of this network."),
    ErrorKind("BAD_DID", ErrorCode.INVALID_PARAMS, False, "Not a DID of this method and network."),
    ErrorKind("BAD_CURSOR", ErrorCode.INVALID_PARAMS, False, "The cursor was not given by this query on this chain."),
    ErrorKind("INTERNAL_ERROR", ErrorCode.INTERNAL_ERROR, True, "The node's own fault; it logged `errorId`."),
    ErrorKind("NOT_FOUND", ErrorCode.NOT_FOUND, False, "Nothing of this name, hash or height."),
    ErrorKind("DID_NOT_FOUND", ErrorCode.NOT_FOUND, False, "No such identity, or no such version of it."),
    ErrorKind("PRUNED", ErrorCode.NOT_FOUND, False, "This node no longer keeps it; see `earliestHeight`."),
    ErrorKind("NODE_BEHIND", ErrorCode.NOT_READY, True, "The height is not final here yet; see `headHeight`."),
    ErrorKind("NODE_SYNCING", ErrorCode.NOT_READY, True, "The node is still catching up."),
    ErrorKind("NOT_READY", ErrorCode.NOT_READY, True, "The node is starting, stopping or cannot write."),
    ErrorKind("METHOD_DISABLED", ErrorCode.DISABLED, False, "Switched off on this network, port or transport."),
    ErrorKind("LIMIT_EXCEEDED", ErrorCode.LIMIT, True, "Too much at once or too slow; `detail` says what."),
    ErrorKind("SLOW_CONSUMER", ErrorCode.LIMIT, True, "The subscriber reads too slowly; resume from `lastCursor`."),
)

RETRYABLE_REASONS: Final = frozenset(
    {
        Reason.SEQUENCE_TOO_HIGH,
        Reason.MEMPOOL_FULL,
        Reason.ACCOUNT_LIMIT,
        Reason.EVICTED,
        Reason.INSUFFICIENT_FUNDS,
        Reason.QUOTA_EXHAUSTED,
        Reason.MODULE_PAUSED,
    }
)
MONEY_REASONS: Final = frozenset({Reason.FEE_TOO_LOW, Reason.INSUFFICIENT_FUNDS, Reason.INSUFFICIENT_BALANCE})
"""Their integer details are amounts of grains, so they are sent as decimal strings."""
FAILED_REASONS_FIRST: Final = 100
"""Reasons below refuse a transaction, from here on they fail its execution."""

REJECTION_KINDS: Final = tuple(
    ErrorKind(reason.name, ErrorCode.REJECTED, reason in RETRYABLE_REASONS, "The transaction was not admitted.")
    for reason in Reason
    if reason < FAILED_REASONS_FIRST
)
EXECUTION_KINDS: Final = tuple(
    ErrorKind(
        reason.name,
        ErrorCode.EXECUTION_FAILED,
        reason in RETRYABLE_REASONS,
        "The contract failed the call with a `code` of its own."
        if reason is Reason.CONTRACT_CODE
        else "The call failed; `gasUsed` says what it cost.",
    )
    for reason in Reason
    if reason >= FAILED_REASONS_FIRST
)
ERROR_KINDS: Final[Mapping[str, ErrorKind]] = {
    kind.reason: kind for kind in (*_GENERAL_KINDS, *REJECTION_KINDS, *EXECUTION_KINDS)
}


class RpcError(Exception):
    """A call failed in a way its caller should know about."""

    def __init__(
        self,
        code: ErrorCode,
        reason: str,
        detail: str = "",
        *,
        is_retryable: bool = False,
        fields: Mapping[str, int | str | None] | None = None,
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.code = code
        self.reason = reason
        self.detail = detail
        self.is_retryable = is_retryable
        self.fields = dict(fields or {})

    def to_json(self) -> dict[str, object]:
        """The `error` member of a response."""
        data: dict[str, object] = {"reason": self.reason, "retryable": self.is_retryable}
        if self.detail:
            data["detail"] = self.detail
        data.update(self.fields)
        return {"code": int(self.code), "message": MESSAGES[self.code], "data": data}


def build_error(reason: str, detail: str = "", **fields: int | str | None) -> RpcError:
    """An error of a listed kind; fields are written in snake case and sent in camel case."""
    kind = ERROR_KINDS[reason]
    renamed = {to_camel(name): value for name, value in fields.items()}
    return RpcError(kind.code, reason, detail, is_retryable=kind.is_retryable, fields=renamed)


def not_found(detail: str) -> RpcError:
    """Nothing of this name, hash or height."""
    return build_error("NOT_FOUND", detail)


def pruned(earliest_height: int) -> RpcError:
    """The node dropped it to save space."""
    return build_error("PRUNED", f"kept from height {earliest_height} on", earliest_height=earliest_height)


def node_behind(head_height: int) -> RpcError:
    """The height is not final here yet."""
    return build_error("NODE_BEHIND", f"the head is at height {head_height}", head_height=head_height)


def node_syncing(head_height: int) -> RpcError:
    """The node is still catching up."""
    return build_error("NODE_SYNCING", f"caught up to height {head_height}", head_height=head_height)


def not_ready(detail: str) -> RpcError:
    """The node is starting, stopping or cannot write."""
    return build_error("NOT_READY", detail)


def method_disabled(detail: str) -> RpcError:
    """Switched off on this network, port or transport."""
    return build_error("METHOD_DISABLED", detail)


def limit_exceeded(detail: str) -> RpcError:
    """Too much at once, or too slow."""
    return build_error("LIMIT_EXCEEDED", detail)


def invalid_params(detail: str) -> RpcError:
    """A parameter is wrong."""
    return build_error("INVALID_PARAMS", detail)


def bad_cursor(detail: str = "leave the cursor out to begin again") -> RpcError:
    """The cursor was not given by this query on this chain."""
    return build_error("BAD_CURSOR", detail)


def execution_failed(number: int, gas_used: int, detail: str = "") -> RpcError:
    """A simulation or view failed for the reason of this number."""
    code = get_contract_code(number)
    fields = {"gasUsed": gas_used} if code is None else {"code": code, "gasUsed": gas_used}
    return RpcError(ErrorCode.EXECUTION_FAILED, get_reason_name(number), detail, fields=fields)


def rejected(rejection: Rejected) -> RpcError:
    """The transaction was not admitted, with the typed facts of the ledger's refusal."""
    reason = rejection.reason
    code = ErrorCode.REJECTED if reason < FAILED_REASONS_FIRST else ErrorCode.EXECUTION_FAILED
    is_money = reason in MONEY_REASONS
    fields = {to_camel(name): _to_json_detail(value, is_money) for name, value in rejection.details.items()}
    return RpcError(code, reason.name, rejection.message, is_retryable=reason in RETRYABLE_REASONS, fields=fields)


def get_reason_name(number: int) -> str:
    """The stable word of a receipt's reason; numbers this version does not know keep their number."""
    try:
        return get_reason(number).name
    except ValueError:
        return f"REASON_{number}"


def get_contract_code(number: int) -> int | None:
    """The code of a contract's own in a receipt's reason; None when it failed for one of the chain's reasons."""
    return number - CONTRACT_REASON_FIRST if number >= CONTRACT_REASON_FIRST else None


def _to_json_detail(value: int | str, is_money: bool) -> int | str:
    """Money is a decimal string whatever its size, and so is whatever JSON cannot hold exactly."""
    if isinstance(value, int) and (is_money or abs(value) > JSON_INTEGER_MAX):
        return str(value)
    return value
