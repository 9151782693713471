"""What an audit leaves behind: audit.csv with one line for each flow, and audit.html, which needs no other file."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final, TextIO

from node.audit import AuditResult, Flow
from node.cli.amounts import format_iov
from vm.native.iov import TREASURY_PERCENT

COLUMNS: Final = ("height", "kind", "category", "from", "to", "grains", "balance_after")
_COLORS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")  # told apart by the colour-blind as well
_WIDTH: Final = 900
_HEIGHT: Final = 320
_MARGIN: Final = 10
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
table { border-collapse: collapse; margin: .5rem 0 1.5rem } th, td { padding: .15rem .8rem; text-align: left }
th { border-bottom: 1px solid #999 } td.n { text-align: right; font-variant-numeric: tabular-nums }
td { overflow-wrap: anywhere } .good { color: #006b3c } .bad { color: #b00020 } svg { width: 100%; height: auto }
"""

Cell = str | int


class FlowFile:
    """audit.csv while it is written."""

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(COLUMNS)

    def add(self, flow: Flow) -> None:
        """One line."""
        self._writer.writerow(
            [
                flow.height,
                flow.kind,
                flow.category,
                flow.source,
                flow.target,
                flow.amount_grains,
                flow.balance_grains,
            ]
        )


def build_page(chain_id: str, genesis_hash: bytes, result: AuditResult) -> str:
    """The whole page; amounts are IOV."""
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f"<title>Audit of {escape(chain_id)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>Audit of {escape(chain_id)}</h1>",
            f"<p>Genesis 0x{genesis_hash.hex()}, blocks 1 to {result.height} executed anew.</p>",
            _build_verdict(result.problems),
            "<h2>Supply</h2>",
            _build_table(
                ("", "IOV"),
                [
                    ("supply", format_iov(result.supply_grains)),
                    (f"all balances ({result.accounts} accounts)", format_iov(result.balances_grains)),
                ],
            ),
            "<h2>The treasury over height</h2>",
            _build_plot(result.points),
            "<h2>Accounts of modules</h2>",
            _build_table(
                ("account", "opening", "closing", "change"),
                [
                    (name, format_iov(opening), format_iov(closing), _format_change(closing - opening))
                    for name, opening, closing in _list_module_accounts(result)
                ],
            ),
            "<h2>Flows by kind</h2>",
            _build_table(
                ("kind", "IOV"), [(kind, format_iov(grains)) for kind, grains in sorted(result.kinds.items())]
            ),
            f"<h2>Flows of the treasury, the last {len(result.treasury_flows)}</h2>",
            _build_table(
                ("height", "kind", "budget", "from", "to", "IOV", "balance after"),
                [
                    (
                        flow.height,
                        flow.kind,
                        flow.category,
                        flow.source,
                        flow.target,
                        format_iov(flow.amount_grains),
                        format_iov(flow.balance_grains),
                    )
                    for flow in result.treasury_flows
                ],
            ),
            "</body></html>\n",
        ]
    )


def summarise(result: AuditResult) -> dict[str, Cell]:
    """The totals as the command shows them; amounts are decimal texts of grains."""
    record: dict[str, Cell] = {
        "height": result.height,
        "accounts": result.accounts,
        "supply": str(result.supply_grains),
        "balances": str(result.balances_grains),
    }
    for name, opening, closing in _list_module_accounts(result):
        record[f"{name} opening"] = str(opening)
        record[f"{name} closing"] = str(closing)
    for label, kind in _TOTALS.items():
        record[label] = str(result.kinds.get(kind, 0))
    return record


_TOTALS: Final[Mapping[str, str]] = {
    "fees": "fee",
    "rewards": "reward",
    "slashes": "slash",
    "donations": "donation",
    "spending": "spending",
}


def _list_module_accounts(result: AuditResult) -> list[tuple[str, int, int]]:
    return [(name, result.opening[name], closing) for name, closing in result.closing.items()]


def _build_verdict(problems: Sequence[str]) -> str:
    if not problems:
        return '<p class="good"><b>Everything adds up.</b></p>'
    items = "".join(f"<li>{escape(problem)}</li>" for problem in problems)
    return f'<p class="bad"><b>This does not add up:</b></p><ul class="bad">{items}</ul>'


def _build_table(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    lines = []
    for row in rows:
        cells = [f"<td{_find_class(title)}>{escape(str(cell))}</td>" for title, cell in zip(head, row, strict=True)]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><tr>{titles}</tr>{''.join(lines)}</table>"


def _find_class(title: str) -> str:
    return ' class="n"' if title in ("IOV", "opening", "closing", "change", "balance after", "height") else ""


def _build_plot(points: Sequence[tuple[int, tuple[int, ...]]]) -> str:
    """One line for each budget; a balance stays as it is until the next point."""
    last_height = max(1, points[-1][0])
    top_grains = max(1, max(max(balances) for _, balances in points))

    def place(height: int, grains: int) -> str:
        x = _MARGIN + height * (_WIDTH - 2 * _MARGIN) // last_height
        y = _HEIGHT - _MARGIN - grains * (_HEIGHT - 2 * _MARGIN) // top_grains
        return f"{x},{y}"

    lines, legend = [], []
    for index, category in enumerate(TREASURY_PERCENT):
        corners: list[str] = []
        for position, (height, balances) in enumerate(points):
            if position:
                corners.append(place(height, points[position - 1][1][index]))
            corners.append(place(height, balances[index]))
        color = _COLORS[index % len(_COLORS)]
        lines.append(f'<polyline fill="none" stroke="{color}" stroke-width="2" points="{" ".join(corners)}"/>')
        legend.append(f'<span style="color:{color}">■</span> {escape(category)}')
    label = f"Balances of the treasury's budgets from block 0 to {last_height}, at most {format_iov(top_grains)} IOV"
    frame = f'<path d="M{_MARGIN},{_MARGIN} V{_HEIGHT - _MARGIN} H{_WIDTH - _MARGIN}" fill="none" stroke="#999"/>'
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">{frame}{"".join(lines)}</svg>'
        f"<p>{' &nbsp; '.join(legend)}<br>{escape(label)}.</p>"
    )


def _format_change(grains: int) -> str:
    return f"-{format_iov(-grains)}" if grains < 0 else f"+{format_iov(grains)}"
