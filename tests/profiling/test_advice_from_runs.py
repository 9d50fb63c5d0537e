from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from backend.profiling.advice.evidence import Evidence
from backend.profiling.advice.from_runs import evidence_of_runs
from backend.profiling.advice.ranking import recommend, seed_lines
from backend.profiling.run_summary import RunStage, RunStatus
from backend.profiling.spans import SpanKind
from tests.profiling.made_runs import made_run


def stage(name, kind, share_pct):
    return RunStage(name, kind, 1.0, share_pct, None, None)


def run(total_s, shares, *, queue_s=2.0, status=RunStatus.OK, day=1):
    made = made_run(
        {}, day, started_at=datetime(2026, 11, day, tzinfo=UTC), total_s=total_s, queue_s=queue_s,
        status=status, settings={"precision": "fp32", "day": day}, device="NVIDIA H200",
    )  # fmt: skip
    return replace(made, stages=(stage("wait", "queue", 5.0), *(stage(*share) for share in shares)))


def test_the_job_and_its_stages_are_medians_of_runs_that_succeeded():
    runs = [
        run(12.0, [("denoise", "gpu", 60.0), ("mesh", "cpu", 30.0)], day=9),
        run(10.0, [("denoise", "gpu", 50.0)], day=8, queue_s=None),
        run(20.0, [("denoise", "gpu", 70.0), ("mesh", "cpu", 10.0)], day=7, queue_s=8.0),
        run(900.0, [("denoise", "gpu", 99.0)], day=6, status=RunStatus.FAILED),
    ]
    found = evidence_of_runs(runs)
    assert (found.job.total_s, found.job.n) == (12.0, 3)
    assert found.job.window == "2026-11-07T00:00:00.000Z/2026-11-09T00:00:00.000Z"
    shares = {one.name: (one.kind, one.share, one.n) for one in found.stages}
    assert shares == {
        "denoise": (SpanKind.GPU, pytest.approx(0.6), 3),
        "mesh": (SpanKind.CPU, pytest.approx(0.2), 2),
    }
    assert found.settings["day"] == 9
    assert (found.queue.n, found.queue.wait_s) == (2, 5.0)
    assert found.gpu is None


def test_stages_never_exceed_the_whole():
    runs = [run(10.0, [("a", "gpu", 90.0), ("b", "cpu", 60.0)])]
    shares = [one.share for one in evidence_of_runs(runs).stages]
    assert shares == pytest.approx([0.6, 0.4])


def test_without_runs_nothing_is_known_and_nothing_advised():
    assert evidence_of_runs([]) == Evidence()
    assert evidence_of_runs([run(0.0, [])]) == Evidence()
    assert recommend(evidence_of_runs([])) == []


def test_stored_runs_alone_give_the_line_on_the_largest_stage():
    found = evidence_of_runs([run(10.0, [("shape_generation", "gpu", 52.6)])] * 6)
    assert seed_lines(found, recommend(found)) == [
        "🔴 CRITICAL: 'shape_generation' takes 52.6% - optimize this first"
    ]
