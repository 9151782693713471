"""Why a transaction was refused or failed: one stable word and number each, for receipts, RPC and wallets."""

from enum import IntEnum, unique


@unique
class Reason(IntEnum):
    """Stands in receipts by number and in answers by name; never reused. 1-99 refused, 100-999 failed when executed."""

    # Refused: nothing happened, no fee.
    DECODE = 1
    BAD_SIGNATURE = 2
    WRONG_CHAIN = 3
    SEQUENCE_TOO_LOW = 4
    SEQUENCE_TOO_HIGH = 5
    EXPIRED = 6
    VALID_UNTIL_TOO_FAR = 7
    FEE_TOO_LOW = 8
    INSUFFICIENT_FUNDS = 9
    """The fee payer cannot pay the whole fee offered."""
    DUPLICATE = 10
    SENDER_NOT_ALLOWED = 11
    """The signing keys do not rule the account, or not with enough weight."""
    MEMPOOL_FULL = 12
    ACCOUNT_LIMIT = 13
    """The account has too many transactions waiting."""
    REPLACEMENT_UNDERPRICED = 14
    GAS_LIMIT_TOO_LOW = 15
    """Below what the transaction costs before its calls run."""
    GAS_LIMIT_TOO_HIGH = 16
    """More than a whole block may use."""
    EVICTED = 17
    """Made room for a better paying transaction."""
    REPLACED = 18
    """The same sender's later transaction took its place."""

    # Failed: included and charged, calls undone.
    UNKNOWN_MODULE = 100
    UNKNOWN_CALL = 101
    BAD_ARGUMENTS = 102
    OUT_OF_GAS = 103
    INSUFFICIENT_BALANCE = 104
    AMOUNT_OVERFLOW = 105
    AMOUNT_ZERO = 106
    BAD_KEY = 107
    BAD_POLICY = 108
    RECIPIENT_NOT_ALLOWED = 109
    """A module's own address takes no direct transfers."""


class Rejected(Exception):
    """Input broke a rule. The reason is the contract; details are typed facts that help to mend it."""

    def __init__(self, reason: Reason, message: str = "", **details: int | str) -> None:
        super().__init__(message or reason.name)
        self.reason = reason
        self.message = message
        self.details = details
