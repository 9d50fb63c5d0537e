from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from backend.errors import OutOfMemory
from backend.profiling.spans import PipelineProfile, ProfileStatus, Span, SpanKind

SECOND = 10**9
START = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)  # noqa: TID251
STAGE = 'meshkiln_stage_seconds_{}{{pipeline="image_to_3d",stage="shape",kind="gpu"{}}} {}'


def record(server, number=0, *, pipeline="image_to_3d", shape_s=2, status=ProfileStatus.OK):
    profile = PipelineProfile(
        pipeline,
        {},
        START + timedelta(minutes=number),
        start_ns=0,
        end_ns=(shape_s + 1) * SECOND,
        spans=[
            Span(1, None, "queue", SpanKind.QUEUE, 1, -SECOND // 2, 0),
            Span(2, None, "shape", SpanKind.GPU, 1, 0, shape_s * SECOND),
            Span(3, 2, "decode", SpanKind.GPU, 1, SECOND, shape_s * SECOND),
        ],
        status=status,
    )
    return server.service.run_history.record(
        profile,
        job_id=f"job{number}",
        pipeline=pipeline,
        engine={"shape": "inflate"},
        settings={"precision": "fp16"},
        shape_key="k",
        batch_size=1,
    )


def ask(server, **query):
    return server.client.get("/api/performance/report", query_string=query)


def test_json_is_that_of_the_api(server):
    first, second = record(server, 0), record(server, 1, shape_s=3)
    answer = ask(server)
    assert [run["run"] for run in answer.json["items"]] == [second, first]
    assert answer.json["items"] == server.client.get("/api/performance/profiles").json["items"]
    assert answer.json["version"]
    one = ask(server, format="json", run=first).json
    assert one["run"]["run"] == first
    assert [span["name"] for span in one["profile"]["spans"]] == ["queue", "shape", "decode"]


def test_csv_has_a_row_per_stage(server):
    record(server, 0)
    answer = ask(server, format="csv")
    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="performance.csv"'
    (row,) = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert (row["stage"], row["elapsed_s"], row["queue_s"]) == ("shape", "2.0", "0.5")


def test_html_opens_by_itself_and_may_not_run_or_load_anything(server):
    record(server, 0)
    answer = ask(server, format="html")
    assert answer.mimetype == "text/html"
    assert answer.text.startswith("<!doctype html>")
    assert "decode" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_html_before_the_first_run(server):
    answer = ask(server, format="html")
    assert answer.status_code == 200
    assert "No run has been recorded yet" in answer.text


def test_a_trace_holds_the_runs_oldest_first(server):
    record(server, 0)
    second = record(server, 1)
    document = json.loads(ask(server, format="perfetto").text)
    names = [e["args"]["name"] for e in document["traceEvents"] if e["name"] == "process_name"]
    assert names == ["machine", "image_to_3d job0", "image_to_3d job1"]
    runs = [e for e in document["traceEvents"] if e.get("cat") == "run"]
    assert [run["ts"] for run in runs] == [500_000, 60_500_000]
    assert any(event["ph"] == "C" for event in document["traceEvents"])
    alone = ask(server, format="perfetto", run=second)
    assert 'filename="performance.perfetto.json"' in alone.headers["Content-Disposition"]
    spans = [e["name"] for e in json.loads(alone.text)["traceEvents"] if e["ph"] == "X"]
    assert spans == ["queue", "image_to_3d", "shape", "decode"]


def test_runs_can_be_chosen(server):
    record(server, 0)
    other = record(server, 1, pipeline="cut_out")
    record(server, 2)
    assert [run["run"] for run in ask(server, pipeline="cut_out").json["items"]] == [other]
    assert len(ask(server, limit="2").json["items"]) == 2


@pytest.mark.parametrize(
    "query",
    [{"format": "pdf"}, {"limit": "0"}, {"limit": "x"}, {"limit": "5001"}, {"limit": "-1"},
     {"limit": "9" * 5000}, {"limit": "²"}],
)  # fmt: skip
def test_what_it_does_not_know_is_refused(server, query):
    answer = ask(server, **query)
    assert answer.status_code == 422
    assert answer.json["code"] == "invalid-parameter"


@pytest.mark.parametrize("kind", ["json", "csv", "html", "perfetto"])
def test_a_run_that_is_not_there_is_not_found(server, kind):
    assert ask(server, format=kind, run="nobody").status_code == 404


def metrics(server):
    answer = server.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text.splitlines()


def test_metrics_of_an_idle_server_are_zeros_where_zero_is_known(server):
    lines = metrics(server)
    for line in (
        'meshkiln_jobs{state="queued"} 0',
        'meshkiln_queue_depth{queue="gpu"} 0',
        'meshkiln_workers{queue="gpu"} 0',
        'meshkiln_failed_jobs{code="out-of-memory"} 0',
    ):
        assert line in lines
    assert not [line for line in lines if line.startswith(("meshkiln_gpu", "meshkiln_stage"))]


def test_jobs_are_counted_by_state_and_failures_by_error(server, small_png):
    for _ in range(3):
        server.submit(small_png)
    server.service.claims.fail(server.claim(), OutOfMemory("too big"))
    server.claim()
    lines = metrics(server)
    for line in (
        'meshkiln_jobs{state="queued"} 1',
        'meshkiln_jobs{state="running"} 1',
        'meshkiln_jobs{state="failed"} 1',
        'meshkiln_queue_depth{queue="gpu"} 1',
        'meshkiln_failed_jobs{code="out-of-memory"} 1',
    ):
        assert line in lines


def test_stored_runs_become_histograms_and_each_counts_once(server):
    record(server, 0)
    assert STAGE.format("count", "", 1) in metrics(server)
    assert STAGE.format("count", "", 1) in metrics(server)
    record(server, 1, shape_s=4)
    record(server, -5, status=ProfileStatus.FAILED)  # began earlier, ended later
    lines = metrics(server)
    assert STAGE.format("sum", "", 6) in lines
    assert STAGE.format("bucket", ',le="2.5"', 1) in lines
    assert STAGE.format("bucket", ',le="+Inf"', 2) in lines
    assert 'meshkiln_run_seconds_count{pipeline="image_to_3d",status="failed"} 1' in lines


def test_two_apps_in_a_process_count_for_themselves(server, make_server):
    record(server, 0)
    assert STAGE.format("count", "", 1) in metrics(server)
    other = make_server(data_dir=server.service.settings.data_dir.parent / "other")
    assert not [line for line in metrics(other) if "stage_seconds" in line]


def test_workers_show_their_heartbeat(server, monkeypatch):
    now = server.service.clock.now()
    beat = {"queue": "gpu", "host": "box", "pid": 7, "state": "idle",
            "sampled_at": (now - timedelta(seconds=2)).isoformat(), "models": [],
            "device": {"devices": [{"index": 0, "name": "Card", "power_w": 71.5}]}}  # fmt: skip
    monkeypatch.setattr(server.service, "worker_status", lambda: [beat])
    lines = metrics(server)
    assert 'meshkiln_workers{queue="gpu"} 1' in lines
    assert 'meshkiln_worker_busy{queue="gpu",host="box",pid="7"} 0' in lines
    assert 'meshkiln_gpu_power_watts{gpu="0",name="Card"} 71.5' in lines
    (age,) = [line for line in lines if line.startswith("meshkiln_worker_heartbeat_age_seconds{")]
    assert 2.0 <= float(age.split()[-1]) < 10.0
