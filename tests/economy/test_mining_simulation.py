"""Years of mining: repeatable, true to the chain's formulas, and telling what they should."""

import csv
import re
from dataclasses import replace

import pytest

from economy.mining_report import REPORT_FILE, build_page, write_report
from economy.mining_simulation import SCENARIOS, compute_gini, list_columns, simulate
from vm.native.mining_formulas import MINING_FUND_GRAINS, NEW_MARKET, close_epoch
from vm.native.mining_records import DEFAULT_VERSION

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
YEARS_4 = 1_461


def quiet(done: int, total: int) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def played():
    return {scenario.name: simulate(scenario, 3_650, 1, quiet) for scenario in SCENARIOS}


@pytest.fixture(scope="module")
def honest():
    """The attack without lying attesters."""
    return simulate(replace(BY_NAME["attack"], get_false_force=lambda day: 0), 3_650, 1, quiet)


def test_the_same_seed_gives_the_same_days_and_another_one_others():
    boom = BY_NAME["boom"]
    first = simulate(boom, 60, 7, quiet)
    assert simulate(boom, 60, 7, quiet) == first
    assert simulate(boom, 60, 8, quiet) != first


def test_days_follow_from_each_other_by_the_chains_formulas(played):
    rules, share = DEFAULT_VERSION.rules, DEFAULT_VERSION.release_share
    for days in played.values():
        fund, market = MINING_FUND_GRAINS, NEW_MARKET
        for day in days:
            plain = close_epoch(fund, share, 0, day.closing.force, market, rules)
            assert day.closing.budget_grains == plain.budget_grains + day.closing.topup_grains
            assert day.closing.released_grains <= day.closing.budget_grains
            fund -= day.closing.released_grains
            assert day.fund_grains == fund
            market = day.closing.market


def test_a_crash_does_not_drain_the_fund_and_pays_those_who_stay_more(played):
    days = played["crash"]
    assert days[2_000].users < days[1_499].users // 4
    assert days[2_000].reward_grains > 2 * days[1_499].reward_grains
    assert days[2_000].closing.released_grains < days[1_499].closing.released_grains


def test_a_wave_of_fakes_costs_the_others_at_most_while_it_lasts(played):
    days = played["attack"]
    assert max(day.fake_share for day in days[800:814]) > 0.3
    assert max(day.fake_share for day in days[1_000:1_700]) < 0.02
    assert all(day.closing.released_grains <= day.closing.budget_grains for day in days)


@pytest.mark.parametrize("day", [2_700, 3_200])
def test_a_day_of_false_force_is_taken_and_forgotten_within_two_weeks(played, honest, day):
    """Of the day itself nearly all is taken; afterwards the price is soon what it were without."""
    days = played["attack"]
    assert days[day].fake_share > 0.95
    parts = [
        one.closing.price_micrograins / other.closing.price_micrograins
        for one, other in zip(days[day + 1 : day + 15], honest[day + 1 : day + 15], strict=True)
    ]
    assert min(parts) > 0.7
    assert parts[-1] > 0.9


def test_without_users_nothing_is_paid():
    nobody = replace(BY_NAME["slow"], count_users=lambda day: 0.0)
    assert {(day.closing.released_grains, day.gini) for day in simulate(nobody, 10, 1, quiet)} == {(0, 0.0)}


@pytest.mark.parametrize(
    ("groups", "gini"),
    [
        ([], 0),
        ([(5, 0)], 0),
        ([(3, 7), (2, 7)], 0),
        ([(99, 0), (1, 5)], 0.99),
        ([(1, 1), (1, 3)], 0.25),
        ([(1, 3), (1, 1)], 0.25),
        ([(10, 1), (10, 3)], 0.25),
    ],
)
def test_gini(groups, gini):
    assert compute_gini(groups) == pytest.approx(gini)


def test_a_report_stands_alone_with_a_table_for_each_scenario(tmp_path):
    results = {scenario: simulate(scenario, 40, 1, quiet) for scenario in SCENARIOS}
    write_report(tmp_path, results, 1)
    page = (tmp_path / REPORT_FILE).read_text(encoding="utf-8")
    assert page.count("<svg") == page.count("</svg>") == 6 * len(SCENARIOS)
    assert ">day 30<" in page and ">year 0<" not in page
    assert not any(word in page for word in ("http://", "https://", "<script", "src="))
    for scenario, days in results.items():
        with (tmp_path / f"{scenario.name}.csv").open(encoding="utf-8") as file:
            head, *rows = csv.reader(file)
        assert (tuple(head), len(rows)) == (list_columns(), 40)
        assert rows[-1][head.index("fund_grains")] == str(days[-1].fund_grains)


def test_a_report_of_years_has_them_on_its_axes_and_decades_where_prices_need_them(played):
    page = build_page({scenario: played[scenario.name] for scenario in SCENARIOS}, 1)
    assert ">year 9<" in page and ">day 30<" not in page
    assert page.count(">Price of a force, grains (logarithmic)<") == 3
    assert page.count(">Price of a force, grains<") == 1, "the crash: less than two decades"
    assert "(logarithmic)" not in "".join(re.findall(">The fund, [^<]*<", page))
