"""Numbers of advertising: formulas G1 to G6."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vm.native.ads_formulas import (
    BPS,
    HALVINGS_MAX,
    SCORE_MAX,
    FixedReward,
    Shares,
    Split,
    compute_deposit,
    compute_deposit_bps,
    compute_fixed_reward,
    compute_panel_size,
    compute_penalty,
    compute_score,
    compute_shares,
    decay_points,
    draw_panel,
)

HALF_MS = 1_000
parts = st.tuples(st.integers(0, BPS), st.integers(0, BPS)).map(sorted)
grains = st.integers(0, 10**18)


@pytest.mark.parametrize(
    ("gross", "shares"),
    [(0, (0, 0, 0)), (1, (1, 0, 0)), (2, (2, 0, 0)), (3, (2, 0, 1)), (1_001, (301, 330, 370))],
)
def test_what_rounding_leaves_is_the_users(gross, shares):
    assert compute_shares(Split(3_000, 3_300, 3_700), gross) == Shares(*shares)


@given(parts, grains)
def test_shares_are_the_amount_and_nobody_is_more_than_two_grains_off(cut, gross):
    low, high = cut
    split = Split(low, high - low, BPS - high)
    shares = compute_shares(split, gross)
    assert shares.user_grains + shares.publisher_grains + shares.platform_grains == gross
    assert 0 <= shares.user_grains * BPS - gross * split.user_bps < 2 * BPS
    assert -BPS < shares.publisher_grains * BPS - gross * split.publisher_bps <= 0


@given(st.integers(1, 10**18), st.integers(1, 300))
def test_all_deliveries_together_are_the_fixed_total(total, deliveries):
    reward = FixedReward(total, deliveries)
    worth = [compute_fixed_reward(reward, number) for number in range(1, deliveries + 1)]
    assert sum(worth) == total
    assert max(worth) - min(worth) <= 1
    assert compute_fixed_reward(reward, deliveries + 1) == 0


def test_points_are_halved():
    assert [decay_points(1_001, n * HALF_MS, HALF_MS) for n in range(5)] == [1_001, 500, 250, 125, 62]
    assert [decay_points(1_000, part, HALF_MS) for part in (0, 250, 500, 999)] == [1_000, 875, 750, 501]
    assert decay_points(10**6, HALVINGS_MAX * HALF_MS, HALF_MS) == 0
    assert decay_points(10**6, 10**15, HALF_MS) == 0


@given(st.integers(0, 10**6), st.integers(0, 10**5), st.integers(0, 10**4))
def test_points_never_grow_by_themselves(points, elapsed, more):
    assert 0 <= decay_points(points, elapsed + more, HALF_MS) <= decay_points(points, elapsed, HALF_MS) <= points


def test_the_lower_the_score_the_higher_the_deposit():
    assert [compute_score(points) for points in (0, 2_500, SCORE_MAX, SCORE_MAX + 1)] == [10_000, 7_500, 0, 0]
    assert [compute_deposit_bps(500, 5_000, score) for score in (10_000, 7_500, 1, 0)] == [500, 1_625, 4_999, 5_000]
    assert [compute_deposit(funded, 500) for funded in (0, 1, 20, 21)] == [0, 1, 1, 2]


def test_the_complainer_gets_at_most_as_much_as_the_stake():
    assert compute_penalty(1_001, 5_000, 200) == (200, 300)
    assert compute_penalty(1_001, 5_000, 900) == (500, 0)
    assert compute_penalty(0, 5_000, 900) == (0, 0)


@pytest.mark.parametrize(("candidates", "size"), [(0, 0), (1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (9, 5)])
def test_a_panel_has_an_odd_number(candidates, size):
    assert compute_panel_size(candidates, 5) == size
    assert len(set(draw_panel(range(candidates), b"seed", 5))) == size


def test_a_panel_is_drawn_as_the_formula_says():
    numbers = [int.from_bytes(sha256(b"carlive ads panel\0" + b"seed" + bytes([i])).digest(), "big") for i in range(3)]
    left = list("abcdefg")
    expected = [left.pop(number % len(left)) for number in numbers]
    assert draw_panel("abcdefg", b"seed", 3) == tuple(expected)


def test_everybody_is_drawn_alike():
    drawn = [member for n in range(3_000) for member in draw_panel(range(10), n.to_bytes(4, "big"), 3)]
    counts = [drawn.count(candidate) for candidate in range(10)]
    assert all(780 < count < 1_020 for count in counts), counts  # 900 each; five standard deviations are 125
