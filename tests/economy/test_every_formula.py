"""Whoever starts at docs/economy.md finds every formula of the economy, with an example that a test computes."""

import doctest
import re
import sys
from collections.abc import Callable, Iterator
from inspect import getmembers, isfunction
from pathlib import Path
from types import CodeType, FrameType, ModuleType

from tests.economy import test_ads_page, test_distribution_docs, test_economy_page, test_mining_document
from tests.economy.test_economy_page import read_examples
from vm.native import (
    accounts,
    ads_formulas,
    distribution_breaker,
    distribution_records,
    dividend,
    iov,
    lockup_records,
    mining_formulas,
    sale_records,
)

DOCS = Path(__file__).parents[2] / "docs"
ALL_OF = (ads_formulas, distribution_breaker, dividend, lockup_records, mining_formulas, sale_records)
"""Modules that hold formulas."""
MORE = (
    accounts.compute_coin_age_grain_days,
    accounts.compute_movable_grains,
    distribution_records.compute_free_grains,
    iov.deposit_treasury,
)
_FORMULA = re.compile("(compute|decay|draw|forecast|close|slide|sum|add|trip)_?")
_NO_FORMULA = {"compute_revoked"}
"""Adds up what records say."""


def list_formulas() -> Iterator[Callable[..., object]]:
    """What computes something that somebody is paid, owes or may move."""
    yield from MORE
    for module in ALL_OF:
        for name, function in getmembers(module, isfunction):
            is_own = function.__module__ == module.__name__
            if is_own and _FORMULA.match(name) and name not in _NO_FORMULA:
                yield function


def run_examples() -> None:
    """Compute every example of the four pages."""
    for page, compute in (
        ("economy.md", test_economy_page.COMPUTE),
        ("distribution.md", test_distribution_docs.COMPUTE),
    ):
        for name, (inputs, _) in read_examples(DOCS / page).items():
            compute[name](inputs)
    for name in test_ads_page.COMPUTE:
        test_ads_page.test_an_example_gives_what_it_says(name)
    test_ads_page.test_the_panel_is_drawn_as_the_page_says()
    names = {name: value for name, value in vars(mining_formulas).items() if not name.startswith("_")}
    doctest.testfile(str(test_mining_document.PAGE), module_relative=False, globs=names, encoding="utf-8")


def trace_examples() -> set[CodeType]:
    """All functions that the examples go through."""
    seen: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            seen.add(frame.f_code)

    former = sys.getprofile()
    sys.setprofile(note)
    try:
        run_examples()
    finally:
        sys.setprofile(former)
    return seen


def test_every_formula_has_an_example_that_is_computed() -> None:
    formulas = list(list_formulas())
    assert len(formulas) > 40
    seen = trace_examples()
    assert [each.__qualname__ for each in formulas if each.__code__ not in seen] == []


def test_the_page_names_every_example_and_leads_to_the_others() -> None:
    page = (DOCS / "economy.md").read_text(encoding="utf-8")
    table = page[page.index("**Where each formula stands.**") : page.index("## Locked coins")]
    named = re.findall(r"`(\w+)`", table)
    assert sorted(named) == sorted([*read_examples(), *read_examples(DOCS / "distribution.md")])
    for other in ("mining.md", "ads.md", "distribution.md"):
        assert re.search(rf"\]\({re.escape(other)}[)#]", table), other


def list_modules() -> tuple[ModuleType, ...]:
    """Every file of native modules that is named for its formulas."""
    files = sorted(Path(ads_formulas.__file__).parent.glob("*_formulas.py"))
    return tuple(sys.modules[f"vm.native.{each.stem}"] for each in files)


def test_no_file_of_formulas_is_forgotten() -> None:
    assert set(list_modules()) <= set(ALL_OF)
