"""docs/mining.md tells the truth: every example is computed again, and the tables are those of the code."""

import doctest
import re
from dataclasses import asdict
from pathlib import Path

from economy.mining_build import build_mining
from tests.economy.test_mining_build import A, make_job, make_row, quiet, read_forces
from vm.native import mining_formulas
from vm.native.mining_formulas import DEFAULT_BEHAVIOURS, DEFAULT_RULES, Behaviour

PAGE = Path(__file__).parents[2] / "docs" / "mining.md"


def test_every_example_gives_what_it_says():
    names = {name: value for name, value in vars(mining_formulas).items() if not name.startswith("_")}
    result = doctest.testfile(str(PAGE), module_relative=False, globs=names, encoding="utf-8")
    assert (result.failed, result.attempted) == (0, 34)


def test_the_table_of_behaviours_is_the_one_in_force():
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| (yes|-) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )

    def show(earning):
        return "-" if earning is None else f"{earning.base_force} / {earning.full_count} / {earning.count_max}"

    assert rows == [
        (rule.behaviour.name.lower(), show(rule.user), show(rule.provider), "yes" if rule.is_vehicle_vouched else "-")
        for rule in DEFAULT_BEHAVIOURS
    ]


def test_the_table_of_providers_is_what_a_build_counts(tmp_path):
    """Each shop gets 50 a time, so its force tells how often it counts."""
    rows = re.findall(r"^\| ([\d, ]+) \| ([\d, ]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    cases = [[list(map(int, cell.split(", "))) for cell in row] for row in rows]
    assert len(cases) == 5
    for number, (bought, counted) in enumerate(cases):
        place = tmp_path / str(number)
        place.mkdir()
        shops = [bytes([shop + 1]) * 20 for shop in range(len(bought))]
        sold = zip(shops, bought, strict=True)
        build_mining(make_job(place, [make_row(A, Behaviour.PURCHASE, times, shop) for shop, times in sold]), quiet)
        forces = read_forces(place / "out")
        assert sorted(forces.get(shop, (0, 0))[1] // 50 for shop in shops) == counted


def test_the_table_of_rules_is_the_one_in_force():
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(name, f"{value:,}") for name, value in asdict(DEFAULT_RULES).items()]
