"""Line plots as inline SVG: no script, no network, nothing but the file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final

COLORS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Told apart by the colour-blind as well."""
POINTS_MAX: Final = 600  # of a line: as many as a screen shows of it
DECADES_MIN: Final = 2  # values that span more are not seen on a linear axis
TICKS_MAX: Final = 10  # of the y axis, 26 pixels apart: room for a line of text
X_TICKS_MAX: Final = 14  # 57 pixels apart: room for "year 39"
_WIDTH: Final = 900
_HEIGHT: Final = 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 12, 30, 34
_TICKS: Final = 5  # wanted of a linear axis
_LEGEND: Final = 100  # room for a line's name
_ROUNDING: Final = 1e-9  # of logarithms and quotients that should be whole

FormatNumber = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Line:
    """What one line shows: a value for each x, from 0 on."""

    label: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Axis:
    """The y axis: it begins with the first tick and ends with the last."""

    ticks: tuple[float, ...]
    is_logarithmic: bool

    def place(self, value: float) -> float:
        """Where a value stands; on a logarithmic axis it is more than nothing."""
        low, high, at = self.ticks[0], self.ticks[-1], value
        if self.is_logarithmic:
            low, high, at = log10(low), log10(high), log10(value)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (at - low) / (high - low)


def spans_decades(lines: Sequence[Line]) -> bool:
    """Whether values span more than DECADES_MIN powers of ten, those that are nothing left out."""
    values = _list_positive(lines)
    return bool(values) and max(values) > 10**DECADES_MIN * min(values)


def build_plot(
    title: str,
    lines: Sequence[Line],
    x_step: int,
    format_x: FormatNumber,
    format_y: FormatNumber,
    *,
    decades: bool = False,
) -> str:
    """Lines over the same x axis, with ticks every `x_step`, or every few of them.

    The y axis begins at 0. With `decades` it is logarithmic, and a line is not drawn where it is nothing.
    """
    assert lines and all(line.values for line in lines), "something to show"
    count = max(len(line.values) for line in lines)
    axis = build_axis(lines, decades=decades)
    shown = f"{title} (logarithmic)" if decades else title
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(shown)}" font-size="12">',
        f'<text x="{_LEFT}" y="16" font-weight="bold">{escape(shown)}</text>',
    ]
    for tick in axis.ticks:
        y = axis.place(tick)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(format_y(tick))}</text>')
    for tick in range(0, count, x_step * ceil(ceil(count / x_step) / X_TICKS_MAX)):
        x = _place_x(tick, count)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(format_x(tick))}</text>')
    for index, line in enumerate(lines):
        color = COLORS[index % len(COLORS)]
        for points in _trace(line, count, axis):
            parts.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.5" points="{points}"/>')
        x = _WIDTH - _RIGHT - _LEGEND * (len(lines) - index)
        parts.append(f'<text x="{x}" y="16" fill="{color}">■ {escape(line.label)}</text>')
    return "\n".join([*parts, "</svg>"])


def build_axis(lines: Sequence[Line], *, decades: bool) -> Axis:
    """The axis on which all values of all lines find room."""
    if not decades:
        return Axis(_list_even_ticks(max(max(line.values) for line in lines)), is_logarithmic=False)
    values = _list_positive(lines)
    assert values, "a logarithmic axis shows what is more than nothing"
    return Axis(_list_decade_ticks(min(values), max(values)), is_logarithmic=True)


def _list_even_ticks(top: float) -> tuple[float, ...]:
    """From 0 to the top or beyond it, each a round number."""
    step = _round_up(top / _TICKS)
    return tuple([number * step for number in range(max(1, ceil(top / step - _ROUNDING)) + 1)])


def _list_decade_ticks(low: float, high: float) -> tuple[float, ...]:
    """From `low` or below to `high` or beyond: 1, 2, 5, 10 …, or powers of ten, or every few of them."""
    first, last = floor(log10(low) + _ROUNDING), ceil(log10(high) - _ROUNDING)
    last = max(last, first + 1)
    fine = [10.0**power * digit for power in range(first, last + 1) for digit in (1, 2, 5)]
    below = max(index for index, tick in enumerate(fine) if tick <= low * (1 + _ROUNDING))
    beyond = min(index for index, tick in enumerate(fine) if tick >= high * (1 - _ROUNDING) and index > below)
    if beyond - below + 1 <= TICKS_MAX:
        return tuple(fine[below : beyond + 1])
    stride = ceil((last - first) / (TICKS_MAX - 1))
    return tuple([10.0**power for power in range(first, last + stride, stride)])


def _list_positive(lines: Sequence[Line]) -> list[float]:
    return [value for line in lines for value in line.values if value > 0]


def _trace(line: Line, count: int, axis: Axis) -> list[str]:
    """A thinned line, in stretches where it can be drawn; of every part that is left out, its last value stands."""
    stride = max(1, ceil(len(line.values) / POINTS_MAX))
    last = len(line.values) - 1
    stretches: list[list[str]] = [[]]
    for x in sorted({*range(0, last + 1, stride), last}):
        if axis.is_logarithmic and line.values[x] <= 0:
            stretches.append([])
        else:
            stretches[-1].append(f"{_place_x(x, count):.1f},{axis.place(line.values[x]):.1f}")
    return [" ".join(points) for points in stretches if points]


def _place_x(x: float, count: int) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * x / max(1, count - 1)


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    if value <= 0:
        return 1.0
    unit: float = 10.0 ** floor(log10(value))
    return next(unit * step for step in (1, 2, 2.5, 5, 10) if value <= unit * step * (1 + 1e-12))
