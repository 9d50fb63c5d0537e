from __future__ import annotations

import math

import pytest

from backend.web.charts.roofline import LEFT_PCT, PLOT_PX, RIGHT_PCT, TOP_PX, Reached, roofline

PEAKS = {"bf16": 100e12, "fp32": 10e12}
MEMORY = 1e12


def drawn(*reached, peaks=PEAKS, memory=MEMORY):
    return roofline(list(reached), peaks, memory)


def slope_px_at(chart, x_pct):
    line = chart.slope
    share = (x_pct - line.x1_pct) / (line.x2_pct - line.x1_pct)
    return line.y1_px + share * (line.y2_px - line.y1_px)


def test_the_roof_bends_at_the_ridge():
    chart = drawn(Reached("a", 50.0, 20e12, "bf16"))
    (roof,) = chart.roofs
    assert (roof.label, roof.rate) == ("bf16", 100e12)
    assert roof.x1_pct == pytest.approx(chart.slope.x2_pct)
    assert roof.y1_px == roof.y2_px == pytest.approx(chart.slope.y2_px)
    assert roof.x2_pct == RIGHT_PCT
    hundred = next(tick for tick in chart.x_ticks if tick.value == 100.0)
    assert roof.x1_pct == pytest.approx(hundred.at_pct)


@pytest.mark.parametrize("intensity", [0.02, 1.0, 80.0])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.01])
def test_a_stage_lies_as_far_below_the_slope_as_it_misses_of_the_bandwidth(intensity, share):
    chart = drawn(
        Reached("a", intensity, share * intensity * MEMORY, "bf16"),
        Reached("b", 500.0, 50e12, "bf16"),
    )
    point, other = chart.points
    decade_px = _decade_px(chart)
    below_px = point.y_px - slope_px_at(chart, point.x_pct)
    assert below_px == pytest.approx(-decade_px * math.log10(share), abs=0.01)
    assert other.y_px - chart.roofs[0].y1_px == pytest.approx(decade_px * math.log10(2))


def _decade_px(chart):
    low, high = chart.y_ticks[:2]
    return PLOT_PX * (high.at_pct - low.at_pct) / 100


def test_each_type_in_use_has_its_roof_and_no_other():
    both = drawn(Reached("a", 50.0, 2e12, "bf16"), Reached("b", 5.0, 1e12, "fp32"))
    assert {roof.label: roof.rate for roof in both.roofs} == PEAKS
    fp32 = next(roof for roof in both.roofs if roof.label == "fp32")
    assert fp32.y1_px == pytest.approx(slope_px_at(both, fp32.x1_pct))
    assert [roof.label for roof in drawn(Reached("b", 5.0, 1e12, "fp32")).roofs] == ["fp32"]


def test_points_are_numbered_in_the_order_given():
    chart = drawn(Reached("z", 50.0, 2e12, "bf16"), Reached("a", 5.0, 1e12, "bf16"))
    assert [(p.number, p.name) for p in chart.points] == [(1, "z"), (2, "a")]


@pytest.mark.parametrize("intensity", [1e-4, 1.0, 1e6])
@pytest.mark.parametrize("rate", [1e3, 1e9, 9.9e13])
def test_everything_lies_within_the_plot(intensity, rate):
    chart = drawn(Reached("a", intensity, rate, "bf16"), Reached("b", 100.0, 1e12, "fp32"))
    lines = [*chart.roofs, chart.slope]
    xs = [p.x_pct for p in chart.points] + [x for n in lines for x in (n.x1_pct, n.x2_pct)]
    ys = [p.y_px for p in chart.points] + [y for n in lines for y in (n.y1_px, n.y2_px)]
    assert all(LEFT_PCT <= x <= RIGHT_PCT for x in xs)
    assert all(TOP_PX <= y <= TOP_PX + PLOT_PX for y in ys)
    assert all(tick.value == 10.0 ** round(math.log10(tick.value)) for tick in chart.x_ticks)


def test_a_card_whose_memory_is_unknown_has_a_flat_roof_from_edge_to_edge():
    chart = drawn(Reached("a", 50.0, 20e12, "bf16"), memory=None)
    assert chart.slope is None
    assert (chart.roofs[0].x1_pct, chart.roofs[0].x2_pct) == (LEFT_PCT, RIGHT_PCT)


def test_without_stages_or_their_peaks_there_is_no_chart():
    assert drawn() is None
    assert drawn(Reached("a", 50.0, 20e12, "fp64")) is None
    assert drawn(Reached("a", 50.0, 20e12, None)) is None
