"""How long a round waits, and which block times count as honest. Rounds wait longer as they go on."""

from dataclasses import dataclass
from typing import Final

from consensus.messages import Step
from ledger.primitives import Round

TIMEOUT_MS_MAX: Final = 120_000  # a network that comes back is never further from its next try than this


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The chain's parameters that concern time, in milliseconds; a delta is added for each further round."""

    propose_ms: int
    """Waiting for the proposal."""
    propose_delta_ms: int
    prevote_ms: int
    """Waiting for agreement after two thirds have prevoted."""
    prevote_delta_ms: int
    precommit_ms: int
    """Waiting for agreement after two thirds have precommitted."""
    precommit_delta_ms: int
    message_delay_ms: int
    """How long a proposal may travel and still count as timely."""
    message_delay_delta_ms: int
    precision_ms: int
    """How far the clocks of honest members may differ."""

    def compute_delay_ms(self, step: Step, round_number: Round) -> int:
        """How long a step of a round waits."""
        match step:
            case Step.PROPOSE:
                delay_ms = self.propose_ms + round_number * self.propose_delta_ms
            case Step.PREVOTE:
                delay_ms = self.prevote_ms + round_number * self.prevote_delta_ms
            case Step.PRECOMMIT:
                delay_ms = self.precommit_ms + round_number * self.precommit_delta_ms
            case Step.NEW_HEIGHT | Step.DECIDED:
                raise AssertionError(f"nothing waits in step {step.name}")
        return min(delay_ms, TIMEOUT_MS_MAX)

    def is_timely(self, time_ms: int, received_ms: int, round_number: Round) -> bool:
        """Whether a fresh block's time fits the clock of a receiver (proposer-based timestamps).

        The allowed delay grows with the round: a network slower than its parameters still decides in the end.
        """
        delay_ms = min(self.message_delay_ms + round_number * self.message_delay_delta_ms, TIMEOUT_MS_MAX)
        return received_ms - delay_ms - self.precision_ms <= time_ms <= received_ms + self.precision_ms
