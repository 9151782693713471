"""What a simulation leaves behind: one CSV for each scenario, and report.html, which needs no other file."""

import csv
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

from economy.mining_simulation import DAYS_PER_YEAR, Day, Scenario, list_columns, list_rows
from economy.plots import Line, build_plot, spans_decades
from ledger.primitives import GRAINS_PER_IOV
from vm.native.mining_formulas import MICROGRAINS_PER_GRAIN, MINING_FUND_GRAINS

REPORT_FILE: Final = "report.html"
_DAYS_SHOWN_MAX: Final = 2 * DAYS_PER_YEAR  # so many still stand as days on the axis, and more as years
_DAYS_PER_TICK: Final = 30
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
table { border-collapse: collapse; margin: .5rem 0 1.5rem } th, td { padding: .15rem .8rem; text-align: right }
th { border-bottom: 1px solid #999 } td:first-child, th:first-child { text-align: left }
svg { width: 100%; height: auto }
"""


def write_report(directory: Path, results: Mapping[Scenario, Sequence[Day]], seed: int) -> None:
    """Write the page and the tables; raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    for scenario, days in results.items():
        with (directory / f"{scenario.name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(list_columns())
            writer.writerows(list_rows(days))
    (directory / REPORT_FILE).write_text(build_page(results, seed), encoding="utf-8")


def build_page(results: Mapping[Scenario, Sequence[Day]], seed: int) -> str:
    """The whole page; amounts are IOV."""
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Mining, simulated</title>',
            f"<style>{_STYLE}</style></head><body><h1>Mining, simulated</h1>",
            f"<p>Computed with the formulas of the chain (docs/mining.md) and seed {seed}. After every simulated day "
            "the fund and all that was paid add up to 3 billion IOV, and no day has paid more than its budget.</p>",
            _build_summary(results),
            *(_build_section(scenario, days) for scenario, days in results.items()),
            "</body></html>\n",
        ]
    )


def _build_summary(results: Mapping[Scenario, Sequence[Day]]) -> str:
    heads = (
        *("scenario", "users at the end", "paid, % of the fund", "left, million IOV"),
        *("reward of a user who came, IOV a day: first year", "last year", "most to fakes in a day, %"),
    )
    rows = []
    for scenario, days in results.items():
        last = days[-1]
        cells = (
            scenario.name,
            f"{last.users:,}",
            f"{100 - last.fund_grains * 100 / MINING_FUND_GRAINS:.1f}",
            f"{last.fund_grains / GRAINS_PER_IOV / 10**6:,.1f}",
            _average_reward(days[:DAYS_PER_YEAR]),
            _average_reward(days[-DAYS_PER_YEAR:]),
            f"{max(day.fake_share for day in days) * 100:.1f}",
        )
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _average_reward(days: Sequence[Day]) -> str:
    active = sum(day.active for day in days)
    grains = sum(day.active * day.reward_grains for day in days)
    return f"{grains / max(1, active) / GRAINS_PER_IOV:.4f}"


def _build_section(scenario: Scenario, days: Sequence[Day]) -> str:
    fakes = [Line("fakes", [day.fakes / 10**6 for day in days])] if any(day.fakes for day in days) else []
    amounts = (
        ("Price of a force, grains", [Line("price", [_to_grains(day.closing.price_micrograins) for day in days])]),
        (
            "A day's budget and what it paid, IOV",
            [
                Line("budget", [day.closing.budget_grains / GRAINS_PER_IOV for day in days]),
                Line("paid", [day.closing.released_grains / GRAINS_PER_IOV for day in days]),
            ],
        ),
        ("The fund, million IOV", [Line("fund", [day.fund_grains / GRAINS_PER_IOV / 10**6 for day in days])]),
        (
            "Reward of a user who came, IOV a day",
            [Line("reward", [day.reward_grains / GRAINS_PER_IOV for day in days])],
        ),
        (
            "Users, million",
            [
                Line("users", [day.users / 10**6 for day in days]),
                Line("came", [day.active / 10**6 for day in days]),
                *fakes,
            ],
        ),
    )
    drawn = [_draw(title, lines, decades=spans_decades(lines)) for title, lines in amounts]
    drawn.append(_draw(*_list_shares(days), decades=False))
    return "\n".join([f"<h2>{escape(scenario.name)}</h2><p>{escape(scenario.summary)}</p>", *drawn])


def _list_shares(days: Sequence[Day]) -> tuple[str, list[Line]]:
    gini = Line("Gini", [day.gini for day in days])
    if not any(day.fakes for day in days):
        return "Gini of the day's rewards", [gini]
    to_fakes = Line("to fakes", [day.fake_share for day in days])
    return "Gini of the day's rewards, and the part that went to fakes", [gini, to_fakes]


def _draw(title: str, lines: Sequence[Line], *, decades: bool) -> str:
    if len(lines[0].values) <= _DAYS_SHOWN_MAX:
        return build_plot(title, lines, _DAYS_PER_TICK, lambda day: f"day {day:.0f}", format_value, decades=decades)
    return build_plot(title, lines, DAYS_PER_YEAR, _format_year, format_value, decades=decades)


def _format_year(day: float) -> str:
    return f"year {day / DAYS_PER_YEAR:.0f}"


def format_value(value: float) -> str:
    """With as many digits as it has, and never in powers of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.9f}".rstrip("0").rstrip(".")


def _to_grains(micrograins: int) -> float:
    return micrograins / MICROGRAINS_PER_GRAIN
