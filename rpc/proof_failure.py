"""How a proof fails: which step, and why."""

from enum import StrEnum, unique


@unique
class ProofStep(StrEnum):
    """What is checked, in this order; stands in messages and in the answers of `carlive verify`."""

    BUNDLE = "bundle"
    """The bytes have the one form of a proof, and hold what the question needs and nothing else."""
    START = "start"
    """The checkpoint's header has the trusted hash, and its committee has signed it."""
    COMMITTEES = "committees"
    """Every change of the committee was finalised by the committee before it."""
    CERTIFICATE = "certificate"
    """The committee of the height has finalised the header."""
    PREVIOUS = "previous"
    """The header before is the one that the certified header names."""
    STATE = "state"
    """The value, or its absence, leads to the header's state root."""
    RECEIPT = "receipt"
    """The receipt leads to the header's receipts root, and is that of the transaction."""


class ProofFailedError(Exception):
    """What a node or a file says is not proven."""

    def __init__(self, step: ProofStep, problem: str) -> None:
        super().__init__(f"not proven, {step} fails: {problem}")
        self.step = step
        self.problem = problem
