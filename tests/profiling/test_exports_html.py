from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from backend.profiling.exports.charts import stacked_runs, waterfall
from backend.profiling.exports.html_report import html_report, sections
from backend.profiling.run_summary import RunStatus
from backend.profiling.spans import PipelineProfile, Span, SpanKind
from tests.profiling.export_runs import NOON, stage, summary

SECOND = 10**9
VOID = {"meta", "br", "link", "img", "input", "hr"}

PROFILE = PipelineProfile(
    "image_to_3d",
    {},
    NOON,
    start_ns=0,
    end_ns=10 * SECOND,
    spans=[
        Span(1, None, "queue", SpanKind.QUEUE, 1, -5 * SECOND, 0),
        Span(2, None, "shape", SpanKind.GPU, 1, 0, 6 * SECOND, gpu_ns=5 * SECOND),
        Span(3, 2, "decode", SpanKind.GPU, 1, 2 * SECOND, 4 * SECOND),
        Span(4, None, "export", SpanKind.IO, 1, 6 * SECOND, None, error="OSError"),
    ],
)


class Page(HTMLParser):
    """Checks that tags close in order, and keeps them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.policy, self.texts = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)


def report(*runs, profile=None):
    documents = [run.to_document() for run in runs]
    return html_report(documents, generated_at=NOON, version="9.9", profile=profile)


def test_it_loads_nothing_and_runs_nothing():
    text = report(summary("a", stage("shape", 1.0)), profile=PROFILE)
    page = Page(text)
    assert {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object"} == set()
    attributes = {name for _, attrs in page.tags for name in attrs}
    assert not {"src", "href", "srcset", "action"} & attributes
    assert not [name for name in attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import|https?://", text)


def test_charts_are_described_and_backed_by_tables():
    page = Page(report(summary("a", stage("shape", 1.0)), profile=PROFILE))
    pictures = [attrs for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img"]
    assert len(pictures) == 2
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for picture in pictures:
        assert set(picture["aria-labelledby"].split()) <= set(ids)
    assert page.count("caption") == page.count("table") == 3


def test_figures_are_those_of_the_runs_that_succeeded():
    runs = [summary(str(n), stage("shape", float(n)), stage("export", 1.0)) for n in (1, 2, 3)]
    runs.append(summary("x", stage("shape", 99.0), status=RunStatus.FAILED))
    (section,) = sections([run.to_document() for run in runs])
    assert (section.succeeded, len(section.runs), section.seconds.p50) == (3, 4, 3.0)
    shape, export = section.stages
    assert (shape.name, shape.seconds.p50, shape.seconds.max, shape.seconds.n) == ("shape", 2, 3, 3)
    assert shape.share_pct == pytest.approx(100 * 6 / 9)
    assert (export.peak_mb, export.seconds.p90) == (None, None)
    page = Page(report(*runs))
    assert "too few runs" in page.texts
    assert "unknown" in page.texts


def test_names_are_only_text():
    hostile = "</td><script>alert(1)</script>"
    text = report(summary("a", stage(hostile, 1.0), pipeline=hostile, device=hostile))
    assert Page(text).count("script") == 0
    assert "&lt;script&gt;" in text


def test_it_says_so_when_nothing_ran():
    page = Page(report())
    assert any("No run has been recorded yet" in text for text in page.texts)
    assert page.count("svg") == 0


def test_a_pipeline_that_always_failed_has_no_percentiles():
    page = Page(report(summary("a", status=RunStatus.FAILED, total_s=1.0)))
    assert any(text.startswith("0 of 1 runs succeeded") for text in page.texts)


def test_bars_of_the_waterfall_lie_where_the_stages_ran():
    chart = waterfall(PROFILE)
    bars = {bar.label: bar for bar in chart.bars}
    assert [bar.label for bar in chart.bars] == ["shape", "decode", "export"]
    assert bars["shape"].x == 240
    assert bars["shape"].width == pytest.approx(0.6 * 720)
    assert bars["decode"].x == pytest.approx(240 + 0.2 * 720)
    assert bars["decode"].indent > bars["shape"].indent
    assert bars["export"].x + bars["export"].width == pytest.approx(960)
    assert bars["export"].title == "export: 4.00 s, ended with OSError"
    assert bars["shape"].title == "shape: 6.00 s, 5.00 s on the GPU"
    assert [tick.label for tick in chart.ticks] == ["0", "2.00 s", "4.00 s", "6.00 s", "8.00 s",
                                                    "10.0 s"]  # fmt: skip
    assert chart.ticks[-1].at == pytest.approx(960)


def test_columns_stand_on_each_other_oldest_first():
    runs = [summary("new", stage("a", 4.0), stage("b", 4.0)), summary("old", stage("a", 2.0))]
    chart = stacked_runs("p", [run.to_document() for run in runs])
    old, low, high = chart.bars
    assert old.x < low.x == high.x
    assert (old.height, low.height, high.height) == (50, 100, 100)
    assert old.y + old.height == low.y + low.height == 208
    assert high.y + high.height == low.y
    assert (old.colour, low.colour) == (chart.legend["a"],) * 2
    assert high.colour != low.colour


def test_many_stages_are_bounded_and_it_says_so():
    spans = [Span(n, None, f"s{n}", SpanKind.CPU, 1, n, n + 1) for n in range(1, 200)]
    chart = waterfall(PipelineProfile("p", {}, NOON, 0, 200, spans))
    assert len(chart.bars) == 80
    assert chart.description.endswith("119 more are not drawn.")
