"""Line plots: well-formed, to scale, thinned."""

from xml.etree import ElementTree

from economy.plots import POINTS_MAX, Line, build_plot


def parse(lines, x_step=1):
    text = build_plot("Price <1>", lines, x_step, lambda x: f"day {x:.0f}", lambda y: f"{y:g}")
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
    assert [text for text in texts if text in ("0", "2", "4", "6", "8", "10")] == ["0", "2", "4", "6", "8", "10"]
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
