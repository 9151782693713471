import pytest

from consensus.messages import Step
from consensus.timeouts import TIMEOUT_MS_MAX
from ledger.primitives import Round
from tests.consensus.builders import TIMEOUTS


def test_a_step_waits_longer_in_each_round_and_never_longer_than_the_limit() -> None:
    assert TIMEOUTS.compute_delay_ms(Step.PROPOSE, Round(0)) == 1000
    assert TIMEOUTS.compute_delay_ms(Step.PROPOSE, Round(3)) == 2500
    assert TIMEOUTS.compute_delay_ms(Step.PREVOTE, Round(2)) == 800
    assert TIMEOUTS.compute_delay_ms(Step.PRECOMMIT, Round(2)) == 500
    assert TIMEOUTS.compute_delay_ms(Step.PRECOMMIT, Round(2**31 - 1)) == TIMEOUT_MS_MAX


@pytest.mark.parametrize("step", [Step.NEW_HEIGHT, Step.DECIDED])
def test_nothing_waits_outside_rounds(step: Step) -> None:
    with pytest.raises(AssertionError):
        TIMEOUTS.compute_delay_ms(step, Round(0))


def test_a_block_is_timely_within_precision_ahead_and_delay_and_precision_behind() -> None:
    now_ms = 1_000_000
    assert TIMEOUTS.is_timely(now_ms + 500, now_ms, Round(0))
    assert not TIMEOUTS.is_timely(now_ms + 501, now_ms, Round(0))
    assert TIMEOUTS.is_timely(now_ms - 2500, now_ms, Round(0))
    assert not TIMEOUTS.is_timely(now_ms - 2501, now_ms, Round(0))
    assert TIMEOUTS.is_timely(now_ms - 2600, now_ms, Round(1)), "later rounds allow a longer way"
