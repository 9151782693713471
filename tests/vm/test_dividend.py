"""The dividend's formula: rules Y1 to Y4."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.primitives import SUPPLY_GRAINS, GrainDays, Grains
from ledger.reasons import Reason, Rejected
from vm.native.accounts import DAY_MS
from vm.native.dividend import (
    DividendRules,
    Merit,
    Pools,
    Totals,
    check_rules,
    compute_dividend,
    compute_merit,
    compute_pools,
    compute_totals,
    takes_part,
)

RULES = DividendRules(Grains(1_000), 3_000, 2_000, 10)


def merit(holdings, age, force):
    return Merit(Grains(holdings), GrainDays(age), force)


MERITS = st.builds(merit, st.integers(0, SUPPLY_GRAINS), st.integers(0, SUPPLY_GRAINS * 366), st.integers(0, 10**15))
ANY_RULES = st.builds(
    lambda pool, a, b, least: DividendRules(Grains(pool), min(a, b), max(a, b) - min(a, b), least),
    st.integers(0, SUPPLY_GRAINS),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.sampled_from([0, 1, 10**6]),
)


def test_a_pool_is_cut_by_weights_and_the_third_part_takes_the_rest():
    assert compute_pools(RULES) == Pools(300, 200, 500)
    assert compute_pools(DividendRules(Grains(999), 3_333, 3_333, 0)) == Pools(332, 332, 335)


def test_who_has_contributed_too_little_takes_no_part_and_weighs_nothing():
    few, enough = merit(100, 100, 9), merit(100, 100, 10)
    assert (takes_part(RULES, few), takes_part(RULES, enough)) == (False, True)
    totals = compute_totals(RULES, [few, enough])
    assert totals == Totals(100, 100, 10)
    assert [compute_dividend(RULES, totals, each) for each in (few, enough)] == [0, 1_000]


def test_each_part_is_shared_in_proportion_and_rounded_down():
    merits = [merit(1, 0, 10), merit(2, 1, 20)]
    totals = compute_totals(RULES, merits)
    # 300 · 1/3 + 200 · 0/1 + 500 · 10/30, and 300 · 2/3 + 200 · 1/1 + 500 · 20/30
    assert [compute_dividend(RULES, totals, each) for each in merits] == [100 + 0 + 166, 200 + 200 + 333]


def test_a_part_that_nobody_has_a_claim_to_stays():
    totals = compute_totals(RULES, [merit(0, 0, 10)])
    assert compute_dividend(RULES, totals, merit(0, 0, 10)) == 500


def test_merit_comes_from_coin_age_at_both_ends():
    assert compute_merit(5 * DAY_MS, 5 * DAY_MS + 70 * DAY_MS + 9, 10 * DAY_MS, 3) == merit(7, 70, 3)


def test_weights_make_one_whole():
    check_rules(DividendRules(Grains(1), 5_000, 5_000, 0))
    with pytest.raises(Rejected) as caught:
        check_rules(DividendRules(Grains(1), 5_001, 5_000, 0))
    assert caught.value.reason is Reason.BAD_PARAMETER


@given(ANY_RULES, st.lists(MERITS, max_size=8))
def test_never_more_than_the_pool_is_paid_and_rounding_keeps_less_than_three_grains_each(rules, merits):
    totals = compute_totals(rules, merits)
    paid = sum(compute_dividend(rules, totals, each) for each in merits)
    assert 0 <= paid <= rules.pool_grains
    pools = compute_pools(rules)
    claimed = sum(
        pool
        for pool, total in (
            (pools.holdings_grains, totals.holdings_grains),
            (pools.age_grains, totals.age_grain_days),
            (pools.force_grains, totals.force),
        )
        if total
    )
    assert claimed - paid < 3 * max(1, len(merits))


@given(ANY_RULES, MERITS, MERITS, st.integers(0, 100))
def test_splitting_gains_nothing(rules, other, whole, percent):
    one = merit(*[part * percent // 100 for part in (whole.average_holdings_grains, whole.coin_age_grain_days)], 0)
    one = Merit(one.average_holdings_grains, one.coin_age_grain_days, whole.force * percent // 100)
    two = merit(
        whole.average_holdings_grains - one.average_holdings_grains,
        whole.coin_age_grain_days - one.coin_age_grain_days,
        whole.force - one.force,
    )
    together = compute_totals(rules, [other, whole])
    apart = compute_totals(rules, [other, one, two])
    if takes_part(rules, one) and takes_part(rules, two):
        split = compute_dividend(rules, apart, one) + compute_dividend(rules, apart, two)
        assert split <= compute_dividend(rules, together, whole)
