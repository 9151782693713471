"""Formulas of mining: rules F1 to F6, each by itself, and that no inputs draw more than there is."""

from dataclasses import fields, replace
from typing import get_type_hints

import pytest
from annotated_types import Interval
from hypothesis import given
from hypothesis import strategies as st

from ledger.primitives import JSON_INTEGER_MAX
from vm.native.accounts import DAY_MS
from vm.native.mining_formulas import (
    DEFAULT_BEHAVIOURS,
    DEFAULT_RULES,
    FORCE_MAX,
    MICROGRAINS_PER_GRAIN,
    MINING_FUND_GRAINS,
    NEW_MARKET,
    RELEASE_SCALE_BITS,
    Behaviour,
    Closing,
    Earning,
    Market,
    MiningRules,
    close_epoch,
    compute_budget,
    compute_earned_force,
    compute_epoch,
    compute_identity_force,
    compute_most_force,
    compute_price,
    compute_quotation,
    compute_release_share,
    compute_retained,
    compute_reward,
    compute_smoothed_force,
    compute_weight,
    forecast_depletion,
    forecast_exhaustion,
)

FUND = MINING_FUND_GRAINS
UNIT = 1 << RELEASE_SCALE_BITS


@st.composite
def draw_rules(draw):
    """Any rules that governance could set."""
    hints = get_type_hints(MiningRules, include_extras=True)
    bounds = {}
    for field in fields(MiningRules):
        hint = hints[field.name]
        (limit,) = [each for each in hint.__metadata__ if isinstance(each, Interval)]
        bounds[field.name] = st.integers(limit.ge, limit.le)
    rules = MiningRules(**{name: draw(bound) for name, bound in bounds.items()})
    return replace(rules, price_floor_micrograins=min(rules.price_floor_micrograins, rules.price_ceiling_micrograins))


EARNINGS = st.builds(Earning, st.integers(1, 10_000), st.integers(1, 10_000), st.integers(1, 10_000))
DAYS = st.lists(
    st.tuples(draw_rules(), st.integers(0, FORCE_MAX) | st.integers(0, 100), st.integers(0, 10**18)), max_size=60
)


# Rule F1


@pytest.mark.parametrize(
    ("count", "force"), [(0, 0), (1, 10), (3, 30), (4, 35), (6, 45), (7, 47), (9, 51), (10, 52), (11, 53), (99, 53)]
)
def test_the_first_times_earn_all_then_half_and_half_again(count, force):
    assert compute_earned_force(Earning(10, 3, 11), count) == force


def test_what_is_halved_to_nothing_earns_nothing():
    assert compute_earned_force(Earning(1, 5, 10_000), 10_000) == 5


@given(EARNINGS, st.integers(0, 20_000))
def test_each_time_earns_what_its_turn_says(earning, count):
    one_by_one = sum(
        earning.base_force >> (number // earning.full_count) for number in range(min(count, earning.count_max))
    )
    assert compute_earned_force(earning, count) == one_by_one


def test_every_behaviour_has_a_rule_in_order():
    assert [rule.behaviour for rule in DEFAULT_BEHAVIOURS] == list(Behaviour)


def test_services_earn_for_both_sides():
    both = {rule.behaviour for rule in DEFAULT_BEHAVIOURS if rule.user is not None and rule.provider is not None}
    assert both == {
        *(Behaviour.LIVE_MINUTE, Behaviour.FAN_INTERACTION, Behaviour.TIP, Behaviour.PURCHASE, Behaviour.MAINTENANCE),
        *(Behaviour.INSURANCE, Behaviour.RESCUE, Behaviour.REFUELLING, Behaviour.VEHICLE_TRADE),
        Behaviour.VIOLATION_HANDLING,
    }


@given(EARNINGS, st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_no_records_earn_more_than_the_most(earning, counts):
    most = compute_most_force(earning, len(counts), sum(counts))
    assert sum(compute_earned_force(earning, count) for count in counts) <= most


def test_the_most_is_earned_by_equal_counts():
    assert compute_most_force(Earning(100, 1, 5), 3, 7) == 2 * 150 + 175


# Rule F2


@pytest.mark.parametrize(
    ("force", "weight", "expected"), [(90, 100, 90), (101, 100, 100), (99, 50, 49), (500, 7, 7), (500, 0, 0)]
)
def test_an_identitys_force_is_capped_and_then_weighed(force, weight, expected):
    assert compute_identity_force(force, 100, weight) == expected


@pytest.mark.parametrize(("epoch", "weight"), [(9, 20), (10, 20), (12, 20), (13, 21), (250, 100), (999, 100)])
def test_a_lowered_weight_recovers(epoch, weight):
    assert compute_weight(20, 10, epoch, 3) == weight


# Rule F3


@pytest.mark.parametrize("half_life", [2, 3, 30, 365, 1_461])
def test_the_share_halves_the_fund_in_a_half_life_as_exactly_as_its_bits_can(half_life):
    """Kept parts k = 2^52 - share: 2 k^n >= 2^(52 n), which one less than k would not meet."""
    kept = UNIT - compute_release_share(half_life)
    bits = RELEASE_SCALE_BITS * half_life
    assert 2 * kept**half_life >= 1 << bits
    assert 2 * (kept - 1) ** half_life < 1 << bits


@pytest.mark.parametrize("half_life", [10_000, 36_525])
def test_long_half_lives_keep_half(half_life):
    """Each epoch's share is less than 2^-52 too small, and so many epochs add up to less than 10^-11."""
    kept = compute_retained(FUND, compute_release_share(half_life), half_life)
    assert abs(kept - FUND // 2) <= FUND // 10**11


def test_revenue_adds_its_part_up_to_a_part_of_the_budget():
    share = compute_release_share(1_461)
    plain = FUND * share >> RELEASE_SCALE_BITS
    rules = replace(DEFAULT_RULES, topup_bps=1_000, topup_max_bps=2_500)
    assert compute_budget(FUND, share, 0, rules) == (plain, 0)
    assert compute_budget(FUND, share, 1_000_019, rules) == (plain + 100_001, 100_001)
    assert compute_budget(FUND, share, 10**18, rules) == (plain + plain // 4, plain // 4)


def test_the_budget_is_never_more_than_the_fund():
    share = compute_release_share(2)
    rules = replace(DEFAULT_RULES, topup_bps=10_000, topup_max_bps=10_000)
    assert [compute_budget(left, share, 10**18, rules) for left in (0, 1, 10)] == [(0, 0), (0, 0), (4, 2)]


# Rule F4


def test_the_first_force_is_taken_as_it_is_and_later_ones_by_their_part():
    assert compute_smoothed_force(0, 700, DEFAULT_RULES) == 700
    assert compute_smoothed_force(700, 1_400, DEFAULT_RULES) == 800
    assert compute_smoothed_force(700, 0, DEFAULT_RULES) == 600


@pytest.mark.parametrize(("force", "smoothed"), [(2_799, 999), (2_800, 1_000), (2_801, 1_000), (FORCE_MAX, 1_000)])
def test_a_day_counts_for_a_multiple_of_the_days_before_at_most(force, smoothed):
    assert compute_smoothed_force(700, force, DEFAULT_RULES) == smoothed


@given(st.integers(0, FORCE_MAX), st.integers(0, FORCE_MAX), draw_rules())
def test_smoothed_force_moves_towards_what_there_is_and_not_beyond(smoothed, force, rules):
    low, high = sorted((smoothed, force))
    moved = compute_smoothed_force(smoothed, force, rules)
    assert low <= moved <= high
    assert moved > smoothed or force <= smoothed


@pytest.mark.parametrize("false_force", [4 * 10**10, FORCE_MAX])
def test_a_day_of_false_force_is_forgotten_within_two_weeks(false_force):
    share, usual_force = compute_release_share(1_461), 4 * 10**8
    fund, market, prices = FUND, NEW_MARKET, []
    for day in range(80):
        force = false_force if day == 60 else usual_force
        closing = close_epoch(fund, share, 0, force, market, DEFAULT_RULES)
        fund, market = fund - closing.released_grains, closing.market
        prices.append(closing.price_micrograins)
    usual = prices[59]
    assert prices[60] < usual // 50, "that day's budget bears no more"
    assert min(prices[61:]) > usual * 7 // 10
    assert all(price > usual * 9 // 10 for price in prices[74:])


@pytest.mark.parametrize(
    ("smoothed", "last", "quoted"),
    [
        (50, 0, 20_000_000),
        (50, 20_000_000, 20_000_000),
        (50, 10_000_000, 11_000_000),
        (50, 40_000_000, 36_000_000),
        (1, 95_000_000, 100_000_000),
        (1_000_000, 2_050_000, 2_000_000),
        (0, 0, 100_000_000),
    ],
    ids=["first", "same", "up a tenth", "down a tenth", "ceiling", "floor", "no force"],
)
def test_the_quotation_moves_by_its_limit_and_stays_in_its_band(smoothed, last, quoted):
    rules = replace(DEFAULT_RULES, price_floor_micrograins=2_000_000, price_ceiling_micrograins=100_000_000)
    assert compute_quotation(1_000, smoothed, last, rules) == quoted


def test_the_least_quotation_still_moves():
    rules = replace(DEFAULT_RULES, price_floor_micrograins=0)
    assert compute_quotation(10**6, 1, 1, rules) == 2
    assert compute_quotation(0, 1, 2, rules) == 1


# Rules F5 and F6


def test_a_sudden_boom_is_paid_what_the_budget_bears():
    assert compute_price(1_000, 100, 5_000_000) == 5_000_000
    assert compute_price(1_000, 300, 5_000_000) == 3_333_333
    assert compute_price(1_000, 0, 5_000_000) == 5_000_000


def test_what_the_ceiling_holds_back_stays_in_the_fund():
    rules = replace(DEFAULT_RULES, price_ceiling_micrograins=2 * MICROGRAINS_PER_GRAIN)
    share = compute_release_share(1_461)
    budget = FUND * share >> RELEASE_SCALE_BITS
    expected = Closing(Market(1_000, 2_000_000), 1_000, 0, budget, 2_000_000, 2_000)
    assert close_epoch(FUND, share, 0, 1_000, NEW_MARKET, rules) == expected


def test_an_epoch_without_force_releases_nothing_and_quotes_nothing_before_the_first_force():
    share = compute_release_share(1_461)
    closing = close_epoch(FUND, share, 0, 0, NEW_MARKET, DEFAULT_RULES)
    assert (closing.market, closing.released_grains) == (NEW_MARKET, 0)


@given(DAYS)
def test_whatever_comes_the_fund_is_never_overdrawn_and_no_epoch_pays_more_than_its_budget(days):
    remaining, market, paid = FUND, NEW_MARKET, 0
    for rules, force, revenue in days:
        share = compute_release_share(rules.half_life_epochs)
        budget, _ = compute_budget(remaining, share, revenue, rules)
        closing = close_epoch(remaining, share, revenue, force, market, rules)
        assert 0 <= closing.released_grains <= closing.budget_grains == budget <= remaining
        assert closing.released_grains * MICROGRAINS_PER_GRAIN <= force * closing.price_micrograins
        remaining -= closing.released_grains
        paid += closing.released_grains
        market = closing.market
    assert paid + remaining == FUND and paid <= 3 * 10**17


@given(draw_rules(), st.lists(st.integers(0, 10**5), min_size=1, max_size=50), st.integers(0, FUND))
def test_rewards_add_up_to_no_more_than_what_is_released(rules, forces, remaining):
    share = compute_release_share(rules.half_life_epochs)
    closing = close_epoch(remaining, share, 0, sum(forces), NEW_MARKET, rules)
    rewards = [compute_reward(force, closing.price_micrograins) for force in forces]
    assert closing.released_grains - len(forces) < sum(rewards) <= closing.released_grains


# Forecasts


@given(st.integers(0, FUND), st.integers(0, FUND), st.sampled_from([2, 30, 1_461, 36_525]))
def test_a_forecast_names_the_first_epoch_at_the_target(remaining, target, half_life):
    share = compute_release_share(half_life)
    epochs = forecast_depletion(remaining, target, share)
    assert compute_retained(remaining, share, epochs) <= target or epochs == 0
    assert epochs == 0 or compute_retained(remaining, share, epochs - 1) > target


def test_half_is_left_after_a_half_life():
    assert forecast_depletion(FUND, FUND // 2, compute_release_share(1_461)) in (1_461, 1_462)


def test_a_fund_that_releases_nothing_is_never_depleted():
    assert forecast_depletion(FUND, 1, 0) == JSON_INTEGER_MAX


def test_exhaustion_at_the_present_rate():
    assert forecast_exhaustion(1_000, 3) == 333
    assert forecast_exhaustion(1_000, 0) is None
    assert forecast_exhaustion(FUND, 1) == JSON_INTEGER_MAX


def test_a_day_begins_at_midnight_utc():
    assert [compute_epoch(ms) for ms in (0, DAY_MS - 1, DAY_MS)] == [0, 0, 1]
