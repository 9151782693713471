"""Clocks of the simulation: how far off they are, and what is promised in calm."""

from random import Random

from tests.simulation.cast import START_MS
from tests.simulation.clocks import CLOCK_PRECISION_MS, DRIFT_PPM_MAX, Clock, Clockwork

SKEW_MS_MAX = 400
LOOKS = 100


def list_clockworks() -> list[Clockwork]:
    """Some of each kind."""
    return [Clockwork(Random(f"clockwork {number}"), SKEW_MS_MAX, is_exact=False) for number in range(30)]


def test_a_clock_that_drifts_is_off_by_what_it_was_and_what_it_gains() -> None:
    clock = Clock(offset_ms=-30, drift_ppm=DRIFT_PPM_MAX, set_ms=START_MS)
    assert [clock.read_ms(START_MS + after_ms) - START_MS for after_ms in (0, 10_000, 100_000)] == [-30, 9_975, 100_020]


def test_a_clock_that_is_set_gains_anew() -> None:
    clock = Clock(offset_ms=0, drift_ppm=-DRIFT_PPM_MAX, set_ms=START_MS)
    clock.put_at(START_MS + 100_000, 7)
    assert [clock.get_error_ms(START_MS + after_ms) for after_ms in (100_000, 110_000)] == [7, 2]


def test_seeds_have_clocks_of_every_kind() -> None:
    kinds = {(each.does_drift, each.does_jump) for each in list_clockworks()}
    assert kinds == {(False, False), (False, True), (True, False), (True, True)}
    exact = Clockwork(Random("clockwork 0"), SKEW_MS_MAX, is_exact=True)
    assert not exact.is_at_work


def test_in_calm_clocks_never_differ_by_more_than_the_precision() -> None:
    for clockwork in list_clockworks():
        clocks = [clockwork.build_clock(offset_ms, START_MS) for offset_ms in (-SKEW_MS_MAX, 0, SKEW_MS_MAX)]
        now_ms = START_MS
        for _ in range(LOOKS):
            now_ms += clockwork.tend(clocks, now_ms, is_calm=False)
        errors_ms = []
        clockwork.put_right(clocks, now_ms)
        for _ in range(LOOKS):
            until_ms = now_ms + clockwork.tend(clocks, now_ms, is_calm=True)
            errors_ms += [clock.get_error_ms(each) for clock in clocks for each in (now_ms, until_ms)]
            now_ms = until_ms
        assert max(errors_ms) - min(errors_ms) <= CLOCK_PRECISION_MS
