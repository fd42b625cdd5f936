"""The charts: known answers, gaps, nothing, and what comes from outside."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from ml_backend.progress.charts import (
    Row,
    Scale,
    columns,
    curve,
    interval_plot,
    meter,
    spark,
    stacked_bar,
    ticks,
)

SVG = "{http://www.w3.org/2000/svg}"


def drawn(chart: str) -> ET.Element:
    """A chart as a parser of XML sees it; within HTML its namespace is implied."""
    return ET.fromstring(str(chart).replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))


def of(chart: str, tag: str, kind: str) -> list[ET.Element]:
    return [e for e in drawn(chart).iter(SVG + tag) if kind in (e.get("class") or "").split()]


def interval(mean: float | None, low: float | None = None, high: float | None = None) -> Any:
    return {"mean": mean, "low": low, "high": high}


def test_a_scale_lays_values_over_percent_and_keeps_them_within() -> None:
    scale = Scale(10, 20)
    assert [scale.at(v) for v in (10, 15, 20, 5, 99)] == [0, 50, 100, 0, 100]
    ratio = Scale(0.5, 2.0, logarithmic=True)
    assert [round(ratio.at(v), 6) for v in (0.5, 1.0, 2.0, 0.0)] == [0, 50, 100, 0]
    assert Scale(3, 3).at(3) == 50


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0.4, 1.0, [0.4, 0.6, 0.8, 1.0]),
        (0, 7, [0, 2, 4, 6]),
        (5, 5, [5]),
        (math.nan, 1, []),
    ],
)
def test_ticks_are_round_and_few(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


def test_a_stacked_bar_shares_its_width_by_count() -> None:
    chart = stacked_bar([("labelled", "labelled", 1), ("pool", "in the pool", 3)], "c", "Slices")
    first, second = of(chart, "rect", "fill")
    assert (first.get("x"), first.get("width")) == ("0%", "25%")
    assert (second.get("x"), second.get("width")) == ("25%", "75%")
    assert "labelled 1, in the pool 3" in chart


def test_a_stacked_bar_of_nothing_has_no_width_and_says_so() -> None:
    assert [r.get("width") for r in of(stacked_bar([("a", "a", 0)], "c", "T"), "rect", "fill")] == [
        "0%"
    ]
    assert "nothing yet" in stacked_bar([], "c", "T")
    assert of(stacked_bar([("a", "a", math.nan)], "c", "T"), "rect", "fill") == []


def test_a_meter_shows_its_share_and_interval_or_an_empty_track() -> None:
    chart = meter(0.25, low=0.2, high=0.5)
    assert of(chart, "rect", "fill")[0].get("width") == "25%"
    whisker = of(chart, "line", "whisker")[0]
    assert (whisker.get("x1"), whisker.get("x2")) == ("20%", "50%")
    assert drawn(chart).get("aria-hidden") == "true"
    for unknown in (None, math.nan, math.inf):
        assert of(meter(unknown), "rect", "fill") == []


def test_a_curve_places_points_by_labels_and_quality() -> None:
    chart = curve([(0, interval(0.5)), (100, interval(1.0))], "c", "T", height=100)
    circles = of(chart, "circle", "point")
    assert [round(float(str(c.get("cx")).rstrip("%")), 1) for c in circles] == [0, 96.2]
    assert [float(str(c.get("cy"))) for c in circles] == pytest.approx([83.33, 0], abs=0.01)
    assert of(chart, "path", "line")[0].get("d") == "M0 83.33 L96.15 0"


def test_a_value_that_is_not_known_is_a_gap_in_line_and_band() -> None:
    points = [
        (10, interval(0.6, 0.5, 0.7)),
        (20, interval(0.6, 0.5, 0.7)),
        (30, interval(math.nan)),
        (40, interval(0.7, 0.6, 0.8)),
        (50, interval(0.7, 0.6, 0.8)),
    ]
    chart = curve(points, "c", "T")
    assert str(of(chart, "path", "line")[0].get("d")).count("M") == 2
    assert len(of(chart, "path", "band")) == 2
    assert len(of(chart, "circle", "point")) == 4
    assert "30 labels: not evaluated" in chart
    assert "nan" not in chart.lower()


@pytest.mark.parametrize("others", [[], [(0, interval(None))], [(0, interval(None)), (50, None)]])
def test_a_point_that_stands_alone_is_a_dot_with_a_whisker(others: Any) -> None:
    chart = curve([*others, (40, interval(0.6, 0.5, 0.7))], "c", "T")
    assert len(of(chart, "circle", "point")) == len(of(chart, "line", "whisker")) == 1
    assert of(chart, "path", "band") == []


@pytest.mark.parametrize("points", [[], [(12, interval(None))], [(None, interval(0.5))]])
def test_no_point_says_that_nothing_was_evaluated(points: Any) -> None:
    chart = curve(points, "c", "T", target=0.8, budget=100)
    assert of(chart, "circle", "point") == []
    assert "No version has been evaluated yet" in chart


def test_target_budget_and_baseline_are_drawn_where_they_lie() -> None:
    points = [(100, interval(0.5)), (200, interval(0.75))]
    chart = curve(points, "c", "T", target=0.9, budget=400, random=[[100, 0.4], [200, 0.5]])
    target = of(chart, "line", "target")[0]
    assert target.get("y1") == target.get("y2")
    assert "target 0.90" in chart
    assert of(chart, "line", "budget")[0].get("x1") == "96.15%"
    assert len(of(chart, "path", "random")) == 1


def test_a_baseline_that_goes_on_beyond_the_chart_leaves_it_where_it_does() -> None:
    points = [(100, interval(0.5)), (200, interval(0.6))]
    random = [[50, 0.4], [150, 0.5], [1000, 0.9]]
    (line,) = of(curve(points, "c", "T", random=random), "path", "random")
    steps = [
        [float(n) for n in step[1:].split()]
        for step in re.findall("[ML][^ML]+", line.get("d") or "")
    ]
    assert len(steps) == 3 and steps[-1][0] == 100  # at 208 labels, where it is at 0.527
    x, y = zip(*steps, strict=True)
    slope = [(y[n + 1] - y[n]) / (x[n + 1] - x[n]) for n in (0, 1)]
    assert slope[1] / slope[0] == pytest.approx((0.4 / 850) / (0.1 / 100), rel=0.01)
    (alone,) = of(curve(points, "c", "T", random=[[50, 0.4], [150, 0.5]]), "path", "random")
    assert len(re.findall("[ML]", alone.get("d") or "")) == 2


def test_a_budget_far_ahead_does_not_press_the_curve_together() -> None:
    chart = curve([(10, interval(0.5)), (20, interval(0.6))], "c", "T", budget=5000)
    assert of(chart, "line", "budget") == []
    assert "budget 5,000 →" in chart


def test_where_the_target_is_expected_is_a_range_on_its_line() -> None:
    points = [(10, interval(0.5)), (100, interval(0.6))]
    chart = curve(points, "c", "T", target=0.8, reach=interval(150, 120, 200))
    assert of(chart, "line", "reach")[0].get("x2") == "96.15%"
    assert of(curve(points, "c", "T", reach=interval(150, 120, 200)), "line", "reach") == []


def test_a_target_too_far_ahead_to_be_drawn_is_told_at_the_edge() -> None:
    points = [(10, interval(0.5)), (100, interval(0.6))]
    near = curve(points, "c", "T", target=0.8, reach=interval(290, 120, 5000))
    assert of(near, "circle", "reach")[0].get("cx") == "96.15%"
    assert of(near, "line", "reach")[0].get("x2") == "100%"
    assert "to 5,000 →" in near
    far = curve(points, "c", "T", target=0.8, reach=interval(4000, 120, 5000))
    assert of(far, "circle", "reach") == []
    assert "expected at 4,000 →" in far


def test_what_follows_a_rows_name_can_be_left_out_where_there_is_no_room() -> None:
    chart = interval_plot(
        [Row("time", interval(1.0), "1 h", more="5 labels")], Scale(0, 2), "c", "T"
    )
    label = of(chart, "text", "label")[0]
    assert (label.text, "".join(label.itertext())) == ("time", "time, 5 labels")
    assert of(chart, "tspan", "more")[0].text == ", 5 labels"


def test_an_interval_plot_has_a_line_for_each_row_and_a_word_for_the_unknown() -> None:
    rows = [
        Row("time", interval(1.0, 0.5, 2.0), "× 1.00"),
        Row("area", interval(None)),
    ]
    chart = interval_plot(rows, Scale(0.5, 2, logarithmic=True), "c", "T", reference=1)
    line = of(chart, "line", "range")
    assert [(e.get("x1"), e.get("x2")) for e in line] == [("0%", "100%")]
    assert [e.get("cx") for e in of(chart, "circle", "point")] == ["50%"]
    assert of(chart, "line", "reference")[0].get("x1") == "50%"
    assert "area: not known yet" in chart


def test_columns_are_as_tall_as_their_counts() -> None:
    heights = [
        float(str(r.get("height"))) for r in of(columns([0, 5, 10], height=22), "rect", "fill")
    ]
    assert heights == [0, 10, 20]
    assert [r.get("height") for r in of(columns([0, None, math.nan]), "rect", "fill")] == ["0"] * 3
    assert of(columns([]), "rect", "fill") == []


def test_a_spark_ends_in_a_dot_on_the_last_known_value() -> None:
    chart = spark([0.0, None, 0.5, math.nan], 0, 1, height=40)
    dot = of(chart, "circle", "point")[0]
    assert (dot.get("cx"), dot.get("cy")) == ("66.67%", "20")
    assert of(spark([], 0, 1), "circle", "point") == []


EVIL = "<script>alert(1)</script>\"'&"
CHARTS_WITH_NAMES = [
    stacked_bar([(EVIL, EVIL, 3)], "c", EVIL),
    interval_plot(
        [Row(EVIL, interval(1, 0, 2), EVIL, more=EVIL)], Scale(0, 2), "c", EVIL, marks=[(1, EVIL)]
    ),
    curve([(1, interval(0.5))], "c", EVIL),
]


@pytest.mark.parametrize("chart", CHARTS_WITH_NAMES)
def test_names_from_outside_stay_text(chart: str) -> None:
    assert "<script" not in chart
    assert EVIL in "".join(drawn(chart).itertext())


@pytest.mark.parametrize("chart", [*CHARTS_WITH_NAMES, meter(0.5), spark([1], 0, 1), columns([1])])
def test_charts_are_valid_and_carry_no_style(chart: str) -> None:
    for element in drawn(chart).iter():
        assert "style" not in element.attrib
    assert "url(" not in chart
    assert "http" not in chart


def test_a_chart_has_a_name_and_a_description() -> None:
    svg = drawn(curve([(1, interval(0.5, 0.4, 0.6))], "key", "How good"))
    assert svg.get("role") == "img"
    named = {e.get("id"): e.text for e in svg.iter() if e.get("id")}
    assert named[svg.get("aria-labelledby")] == "How good"
    assert named[svg.get("aria-describedby")] == "1 labels: 0.500 (0.400 to 0.600)"
