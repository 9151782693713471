"""Failures with a number: those a contract chooses, and the reserved ones of the language itself."""

from enum import IntEnum, unique
from typing import Final

CODE_MAX: Final = 64_999  # a contract's own codes are 1 to this; above are those of the language
MESSAGE_BYTES_MAX: Final = 256  # what the host takes along with a code


@unique
class Panic(IntEnum):
    """What the language itself fails with; receipts show 65,536 more."""

    OVERFLOW = 65_001
    """An integer left the range of its type."""
    DIVISION_BY_ZERO = 65_002
    INDEX = 65_003
    """No such position in a list or in bytes."""
    MISSING = 65_004
    """A storage item or a key of a map that was never set."""
    LIMIT = 65_005
    """A list is full, bytes do not have the length of the type, a stored key or value is too long."""
    MEMORY = 65_006
    """The call's memory is used up; only on the chain, CPython has more."""
    CALL_FAILED = 65_007
    """A contract or native module that was called failed."""
    MALFORMED = 65_008
    """Arguments or results of another contract that are not what the interface says."""


class RevertError(Exception):
    """The call fails with this code, and everything it did is undone."""

    def __init__(self, code: int, message: str = "") -> None:
        name = Panic(code).name if code > CODE_MAX else str(code)
        super().__init__(f"{name}: {message}" if message else name)
        self.code = code
        self.message = message
