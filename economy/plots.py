"""Line plots as inline SVG: no script, no network, nothing but the file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final

COLORS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Told apart by the colour-blind as well."""
POINTS_MAX: Final = 600  # of a line: as many as a screen shows of it
_WIDTH: Final = 900
_HEIGHT: Final = 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 12, 30, 34
_TICKS: Final = 5
_LEGEND: Final = 100  # room for a line's name

FormatNumber = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Line:
    """What one line shows: a value for each x, from 0 on."""

    label: str
    values: Sequence[float]


def build_plot(title: str, lines: Sequence[Line], x_step: int, format_x: FormatNumber, format_y: FormatNumber) -> str:
    """Lines over the same x axis, whose ticks stand every `x_step`; the y axis begins at 0."""
    assert lines and all(line.values for line in lines), "something to show"
    count = max(len(line.values) for line in lines)
    top = _round_up(max(max(line.values) for line in lines))
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}" font-size="12">',
        f'<text x="{_LEFT}" y="16" font-weight="bold">{escape(title)}</text>',
    ]
    for tick in range(_TICKS + 1):
        y = _place_y(top * tick / _TICKS, top)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(format_y(top * tick / _TICKS))}</text>'
        )
    for tick in range(0, count, x_step):
        x = _place_x(tick, count)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(format_x(tick))}</text>')
    for index, line in enumerate(lines):
        color = COLORS[index % len(COLORS)]
        parts.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.5" points="{_trace(line, count, top)}"/>')
        x = _WIDTH - _RIGHT - _LEGEND * (len(lines) - index)
        parts.append(f'<text x="{x}" y="16" fill="{color}">■ {escape(line.label)}</text>')
    return "\n".join([*parts, "</svg>"])


def _trace(line: Line, count: int, top: float) -> str:
    """A thinned line; of every stretch that is left out, its last value stands."""
    stride = max(1, ceil(len(line.values) / POINTS_MAX))
    last = len(line.values) - 1
    chosen = sorted({*range(0, last + 1, stride), last})
    return " ".join(f"{_place_x(x, count):.1f},{_place_y(line.values[x], top):.1f}" for x in chosen)


def _place_x(x: float, count: int) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * x / max(1, count - 1)


def _place_y(y: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * y / top


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    if value <= 0:
        return 1.0
    unit: float = 10.0 ** floor(log10(value))
    return next(unit * step for step in (1, 2, 2.5, 5, 10) if value <= unit * step * (1 + 1e-12))
