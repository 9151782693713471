"""Line plots: well-formed, to scale, thinned."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest

from economy.mining_report import format_value
from economy.plots import POINTS_MAX, TICKS_MAX, X_TICKS_MAX, Line, build_axis, build_plot, spans_decades


def parse(lines, x_step=1, *, decades=False):
    text = build_plot("Price <1>", lines, x_step, lambda x: f"day {x:.0f}", lambda y: f"{y:g}", decades=decades)
    return ElementTree.fromstring(text)


def list_points(svg):
    return [
        [tuple(map(float, pair.split(","))) for pair in line.get("points").split()] for line in svg.findall("polyline")
    ]


def test_values_are_placed_to_scale():
    (points,) = list_points(parse([Line("a", [0, 5, 10])]))
    (x0, y0), (x1, y1), (x2, y2) = points
    assert (x1 - x0, y0 - y1) == (x2 - x1, y1 - y2)
    assert y0 > y2


def test_all_lines_share_an_axis_that_ends_on_a_round_number():
    svg = parse([Line("a", [1, 2]), Line("b", [7, 3])])
    texts = [each.text for each in svg.findall("text")]
    assert [text for text in texts if text in ("0", "2", "4", "6", "8", "10")] == ["0", "2", "4", "6", "8"]
    assert texts[0] == "Price <1>"
    assert texts[-2:] == ["■ a", "■ b"]
    assert len(list_points(svg)) == 2


def test_nothing_but_zeros_is_a_line_on_the_axis():
    (points,) = list_points(parse([Line("a", [0, 0])]))
    assert len({y for _, y in points}) == 1


def test_a_long_line_is_thinned_and_keeps_its_last_value():
    (points,) = list_points(parse([Line("a", [*range(10 * POINTS_MAX), 10**6])], x_step=1_000))
    assert len(points) <= POINTS_MAX + 1
    assert points[-1][1] == min(y for _, y in points)


# Ticks


@pytest.mark.parametrize(
    ("top", "ticks"),
    [
        (0, (0, 1)),
        (0.354, (0, 0.1, 0.2, 0.30000000000000004, 0.4)),
        (2_999.6, (0, 1_000, 2_000, 3_000)),
        (64.7, (0, 20, 40, 60, 80)),
        (1_000_000, (0, 200_000, 400_000, 600_000, 800_000, 1_000_000)),
    ],
)
def test_an_even_axis_goes_from_nothing_to_the_next_tick(top, ticks):
    assert build_axis([Line("a", [top / 2, top])], decades=False).ticks == ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (2_536, 1_000_000, (2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6)),
        (0.0097, 3.88, (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)),
        (0.0014, 68, (0.001, 0.01, 0.1, 1, 10, 100)),
        (1, 1_000, (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)),
        (3, 4, (2, 5)),
        (10, 10, (10, 20)),
        (2e-7, 3e11, (1e-7, 1e-4, 1e-1, 1e2, 1e5, 1e8, 1e11, 1e14)),
    ],
)
def test_a_logarithmic_axis_has_few_round_ticks_around_all_values(low, high, ticks):
    found = build_axis([Line("a", [low, high])], decades=True).ticks
    assert found == pytest.approx(ticks, rel=1e-12)
    assert found[0] <= low <= high <= found[-1]
    assert len(found) <= TICKS_MAX


def test_decades_are_equally_far_apart():
    (points,) = list_points(parse([Line("a", [1, 10, 100, 1_000])], decades=True))
    steps = [lower - higher for (_, lower), (_, higher) in pairwise(points)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)


def test_a_logarithmic_line_is_broken_where_it_is_nothing_and_the_title_says_what_it_is():
    svg = parse([Line("a", [0, 1, 10, 0, 0, 1_000])], decades=True)
    assert [len(points) for points in list_points(svg)] == [2, 1]
    assert svg.findall("text")[0].text == "Price <1> (logarithmic)"


@pytest.mark.parametrize(
    ("values", "spans"),
    [([1, 100], False), ([1, 101], True), ([0, 5, 100], False), ([0, 0], False), ([0, 1e-9, 1], True)],
)
def test_more_than_two_decades_are_for_a_logarithmic_axis(values, spans):
    assert spans_decades([Line("a", values[:1]), Line("b", values)]) is spans


@pytest.mark.parametrize(("count", "labels"), [(3, 3), (14, 14), (15, 8), (100, 13)])
def test_the_labels_of_years_do_not_touch(count, labels):
    texts = [each.text for each in parse([Line("a", [1] * count)]).findall("text")]
    assert len([text for text in texts if text.startswith("day")]) == labels <= X_TICKS_MAX


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.00001, "0.00001"), (0.30000000000000004, "0.3"), (2.5, "2.5"), (50, "50"), (1e6, "1,000,000")],
)
def test_a_tick_is_written_out(value, text):
    assert format_value(value) == text
