"""docs/mining.md tells the truth: every example is computed again, and the tables are those of the code."""

import doctest
import re
from dataclasses import asdict
from pathlib import Path

from vm.native import mining_formulas
from vm.native.mining_formulas import DEFAULT_BEHAVIOURS, DEFAULT_RULES

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


def test_the_table_of_rules_is_the_one_in_force():
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(name, f"{value:,}") for name, value in asdict(DEFAULT_RULES).items()]
