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
    OPERATOR_NOT_ADMITTED = 120
    """Governance has not admitted this account as an operator."""
    NO_SUCH_CANDIDATE = 121
    ALREADY_STANDING = 122
    NOT_STANDING = 123
    """The candidate has retired."""
    CANDIDATE_JAILED = 124
    NOT_JAILED = 125
    JAIL_NOT_OVER = 126
    STAKE_TOO_SMALL = 127
    """Less than the least amount that may be staked, moved or left behind."""
    STAKE_INSUFFICIENT = 128
    """More than the sender has staked there."""
    TOO_MANY_CANDIDATES = 129
    TOO_MANY_DELEGATIONS = 130
    TOO_MANY_UNBONDINGS = 131
    POOL_DEPLETED = 132
    """The pool was slashed so far that no share of it can be counted."""
    REDELEGATION_TOO_SOON = 133
    OWN_BOND = 134
    """An operator's own stake is not moved to other candidates."""
    SAME_CANDIDATE = 135
    KEY_CHANGE_TOO_SOON = 136
    """A member's consensus key changes once an epoch."""


class Rejected(Exception):
    """Input broke a rule. The reason is the contract; details are typed facts that help to mend it."""

    def __init__(self, reason: Reason, message: str = "", **details: int | str) -> None:
        super().__init__(message or reason.name)
        self.reason = reason
        self.message = message
        self.details = details
