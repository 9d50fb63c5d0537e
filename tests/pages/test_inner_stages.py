"""Stages inside others, on the performance page and in what it is told."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from backend.profiling.run_summary import RunStatus, run_stages
from backend.profiling.spans import NS, PipelineProfile, Span, SpanKind
from backend.units import SystemClock
from backend.web.charts.waterfall import waterfall
from backend.web.pages.roofline_view import roofline_panel
from backend.web.pages.run_figures_view import stage_rows

CARD = "NVIDIA H200"
LOOP = {"steps": 30, "fewer_steps": 20, "forwards_per_step": 2}
NOTED = {"flop": 4e14, "moved_bytes": 2e12, "dtype": "fp16", "calls": 60, "facts": {"loop": LOOP}}


def profile_of(device, denoise_s=4):
    spans = [
        Span(1, None, "shape_generation", SpanKind.CPU, 1, 0, 6 * NS),
        Span(2, 1, "denoise", SpanKind.GPU, 1, 0, denoise_s * NS, attributes=NOTED,
             gpu_ns=denoise_s * NS if device else None),
        Span(3, 1, "smooth", SpanKind.CPU, 1, 5 * NS, 6 * NS),
        Span(4, None, "mesh_export", SpanKind.IO, 1, 6 * NS, 10 * NS),
    ]  # fmt: skip
    began = SystemClock().now() - timedelta(minutes=1)
    return PipelineProfile("image_to_3d", {}, began, 0, 10 * NS, spans, device=device)


def document(profile):
    stages = [stage.to_row() for stage in run_stages(profile)]
    return {"total_s": 10.0, "device": profile.device, "stages": stages, "started_at": "x"}


def record(service, device):
    return service.run_history.record(
        profile_of(device), job_id=None, pipeline="image_to_3d", engine={}, settings={},
        shape_key="k", batch_size=1, status=RunStatus.OK,
    )  # fmt: skip


@pytest.mark.parametrize(("device", "kind"), [(CARD, "gpu"), (None, "cpu")])
def test_what_told_of_itself_is_a_row_below_its_stage(device, kind):
    shape, export = stage_rows([document(profile_of(device, s)) for s in (4, 5, 6)])
    (denoise,) = shape.inner
    assert (denoise.name, denoise.kind) == ("shape_generation/denoise", kind)
    assert (denoise.times.p50, denoise.share_pct) == (5.0, pytest.approx(50.0))
    assert (shape.share_pct, export.inner) == (pytest.approx(60.0), ())


def test_the_roofline_has_it_where_it_was_timed_on_a_card():
    found = roofline_panel([document(profile_of(CARD))])
    assert found.rows.keys() == {"shape_generation/denoise"}
    assert found.rows["shape_generation/denoise"].standing.flop_per_s == pytest.approx(1e14)
    assert roofline_panel([document(profile_of(None))]).rows == {}


def test_the_page_indents_it_and_says_within_what_it_lies(client, service):
    record(service, None)
    html = client.get("/performance").text
    table = html[html.index('id="perf-stages"') :]
    [(place, row)] = re.findall(
        r'<tr [^>]*data-stage="([^"]*)" class="perf-inner">(.*?)</tr>', table, re.S
    )
    assert place == "shape_generation/denoise"
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row))
    assert "within Shape generation: Denoise processor 40 %" in text
    order = re.findall(r'data-stage="([^"]*)"', table)[:3]
    assert order == ["shape_generation", "shape_generation/denoise", "mesh_export"]


def test_exports_and_the_interface_tell_of_it_in_their_own_way(client, service):
    run = record(service, CARD)
    told = client.get(f"/api/performance/profiles/{run}").get_json()["run"]["stages"]
    (inner,) = told[0]["inner"]
    assert (inner["name"], inner["facts"]) == ("shape_generation/denoise", {"loop": LOOP})
    assert "inner" not in told[1]
    assert "noted" not in told[0]
    metrics = client.get("/metrics").text
    assert 'stage="shape_generation"' in metrics
    assert "denoise" not in metrics  # its time is part of the stage around it
    for kind in ("csv", "html", "json"):
        assert client.get(f"/api/performance/report?format={kind}").status_code == 200


@pytest.mark.parametrize(("device", "kind"), [(CARD, "gpu"), (None, "cpu")])
def test_a_whole_stage_that_wants_a_gpu_worked_on_the_processor_without_one(device, kind):
    spans = [Span(1, None, "speech_synthesis", SpanKind.GPU, 1, 0, 9 * NS)]
    began = SystemClock().now() - timedelta(minutes=1)
    run = PipelineProfile("speech", {}, began, 0, 10 * NS, spans, device=device)
    assert [row.kind for row in stage_rows([document(run)])] == [kind]
    assert [row.kind for row in waterfall(run.to_document()).rows] == [kind]
