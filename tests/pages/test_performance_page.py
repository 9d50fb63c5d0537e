from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta

import pytest

from backend.profiling.history import RunFilter, RunHistory
from backend.profiling.regression import Verdict
from backend.profiling.run_summary import RunSummary
from backend.profiling.spans import NS, PipelineProfile, Span, SpanKind
from backend.units import iso
from backend.web.pages import performance as page_module
from backend.web.pages.performance import performance_document
from backend.web.pages.performance_view import finished_per_hour, performance_view
from backend.web.pages.run_comparison import comparison_view
from backend.web.pages.run_figures_view import Work, stage_rows, trend_of

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>"
SHARES = {"background_removal": 0.1, "shape_generation": 0.6, "mesh_export": 0.3}


def stage(name, elapsed_s, total_s, **more):
    return {
        "name": name, "kind": "cpu", "elapsed_s": elapsed_s, "gpu_s": None, "peak_mb": None,
        "share_pct": 100 * elapsed_s / total_s,
    } | more  # fmt: skip


def run(number, total_s=10.0, **more):
    """A run; number 0 is the newest, and each is five minutes older than the one before."""
    return {
        "run": f"run{number:03}", "job_id": f"job{number:03}", "pipeline": "image_to_3d",
        "started_at": iso(NOW - timedelta(minutes=5 * (number + 1))), "total_s": total_s,
        "queue_s": 2.0, "status": "ok", "device": None, "engine": {}, "settings": {},
        "shape_key": "draft-256", "batch_size": None, "version": "1.0",
        "stages": [stage(name, share * total_s, total_s) for name, share in SHARES.items()],
    } | more  # fmt: skip


def span(number, name, start_s, end_s, parent=None, kind="cpu", **more):
    return {
        "id": number, "parent": parent, "name": name, "kind": kind, "thread": 1,
        "start_ns": int(start_s * NS), "end_ns": int(end_s * NS), "error": None, "gpu_ns": None,
        "peak_bytes": None, "attributes": None,
    } | more  # fmt: skip


PROFILE = {
    "start_ns": 0, "end_ns": 10 * NS, "dropped_spans": 0,
    "spans": [
        span(1, "queue", -2, 0, kind="queue"),
        span(2, "background_removal", 0, 1),
        span(3, "shape_generation", 1, 7),
        span(4, "field_decode", 1, 5, parent=3, kind="gpu", gpu_ns=3 * NS),
        span(5, "mesh_export", 7, 10, kind="io"),
    ],
}  # fmt: skip


def target(name, state, measured, n, **more):
    return {
        "id": name, "title": f"Target {name}", "target": 60.0, "unit": "s", "bound": "at_most",
        "baseline": 107.0, "state": state, "measured": measured, "n": n, "n_needed": 5,
        "spread": None, "engines": ["inflate"], "devices": [], "note": "a note",
    } | more  # fmt: skip


TARGETS = [
    target("image_warm", "met", 9.8, 12),
    target("image_cold", "not_measured", 12.0, 2),
    target("parts", "not_measured", None, 0),
    target("vram", "missed", 12288.0, 7, target=10240.0, unit="MB"),
    target("success_rate", "missed", 94.0, 50, target=95.0, unit="%", bound="at_least"),
]


def document(runs=None, **more):
    runs = [run(n) for n in range(12)] if runs is None else runs
    return {
        "now": iso(NOW), "runs": runs, "cut": False, "queue_depth": 3, "workers": 1,
        "last": {"run": runs[0], "profile": PROFILE} if runs else None, "targets": TARGETS,
    } | more  # fmt: skip


EMPTY = document([], queue_depth=0, targets=[])
OFFLINE = document(workers=0)
READY = document()


@pytest.fixture
def said(monkeypatch):
    """What the page is told; tests put a document of their own in."""
    holder = {"document": READY, "wanted": []}

    def tell(service, wanted=None):
        holder["wanted"].append(wanted)
        return holder["document"]

    monkeypatch.setattr(page_module, "performance_document", tell)
    return holder


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def page(client, path="/performance"):
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def row(html, attribute, value, within=""):
    html = html[html.index(f'id="{within}"') :] if within else html
    return text_of(re.search(rf'<tr [^>]*{attribute}="{value}".*?</tr>', html, re.DOTALL)[0])


def test_verdict_names_the_largest_share_and_the_most_it_can_save(client, said):
    text = text_of(page(client))
    assert "60 % of a run is shape generation (n = 12)." in text
    assert "saves at most 6.00 s of the 10.0 s" in text


@pytest.mark.parametrize(("count", "is_enough"), [(4, False), (5, True)])
def test_verdict_waits_for_enough_runs(client, said, count, is_enough):
    said["document"] = document([run(n) for n in range(count)])
    text = text_of(page(client))
    assert ("Not enough runs yet" in text) is not is_enough
    assert ("saves at most" in text) is is_enough
    assert (f"{count} of 5 finished runs" in text) is not is_enough


def test_failed_runs_and_other_work_do_not_count():
    runs = [run(n, 10.0) for n in range(4)]
    runs += [run(4, 500.0, status="failed"), run(5, 900.0, shape_key="high-1024")]
    view = performance_view(document(runs))
    assert view["slowest"] is None
    assert view["runs_alike"] == 4
    assert view["totals"].max == 10.0
    assert view["works"] == {
        Work("image_to_3d", "draft-256"): 4,
        Work("image_to_3d", "high-1024"): 1,
    }
    assert [r["run"] for r in view["runs"]] == [f"run{n:03}" for n in range(6)]


def test_stage_that_ran_seldom_is_no_verdict():
    odd = run(0, 1000.0, stages=[stage("odd", 1000.0, 1000.0)])
    view = performance_view(document([odd, *(run(n) for n in range(1, 7))]))
    assert view["stages"][0].name == "odd"
    assert view["slowest"].name == "shape_generation"


def test_shares_are_of_all_seconds_not_of_the_mean_run():
    one = run(0, 1.0, stages=[stage("a", 1.0, 1.0)])
    other = run(1, 99.0, stages=[stage("b", 99.0, 99.0)])
    shares = {found.name: found.share_pct for found in stage_rows([one, other])}
    assert shares == {"a": pytest.approx(1.0), "b": pytest.approx(99.0)}


def test_the_wait_in_the_queue_is_no_stage_of_the_run():
    waited = run(0, stages=[stage("queue", 9.0, 10.0, kind="queue"), stage("a", 1.0, 10.0)])
    assert [found.name for found in stage_rows([waited])] == ["a"]


def test_saving_is_bounded_by_the_whole_where_stages_overlap():
    runs = [run(n, stages=[stage("a", 14.0, 10.0)]) for n in range(5)]
    (found,) = stage_rows(runs)
    assert (found.share_pct, found.saved_at_most_s) == (100.0, 10.0)


def test_percentile_is_told_only_where_n_allows(client, said):
    said["document"] = document([run(n, 10.0 + n / 10) for n in range(28)])
    html = page(client)
    assert "7.62 s" in row(html, "data-stage", "shape_generation", "perf-stages")
    assert "90 % within" not in html
    assert "is told from 29 runs on" in text_of(html)
    said["document"] = document([run(n, 10.0 + n / 10) for n in range(29)])
    cells = row(page(client), "data-stage", "shape_generation", "perf-stages")
    assert "is told from" not in text_of(page(client))
    assert "7.51 s" in cells  # 0.6 * (10 + 0.9 * 2.8)
    assert "29" in cells


def test_trend_is_named_only_beyond_chance():
    draw = random.Random(1)
    usual = [10.0 * draw.uniform(0.98, 1.02) for _ in range(60)]
    assert trend_of(usual) is Verdict.NO_DIFFERENCE
    assert trend_of([time_s * 1.2 for time_s in usual[:20]] + usual[20:]) is Verdict.SLOWER
    assert trend_of([time_s * 0.8 for time_s in usual[:20]] + usual[20:]) is Verdict.FASTER
    assert trend_of([20.0, *usual[1:25]]) is Verdict.TOO_FEW
    assert trend_of([]) is Verdict.TOO_FEW
    assert trend_of([0.0] * 60) is Verdict.TOO_FEW


def test_trend_is_told_in_words(client, said):
    runs = [run(n, 12.0 + 0.01 * (n % 3)) for n in range(20)]
    runs += [run(n, 10.0 + 0.01 * (n % 3)) for n in range(20, 40)]
    said["document"] = document(runs)
    assert "▲ slower" in row(page(client), "data-stage", "mesh_export", "perf-stages")


def test_waterfall_and_its_table_say_the_same(client, said):
    html = page(client)
    chart = html[html.index('class="perf-waterfall"') : html.index("Last runs</h2>")]
    picture, table = chart[: chart.index("</svg>")], chart[chart.index("<table>") :]
    for name in ("Background removal", "Shape generation", "Field decode", "Mesh export"):
        assert name in picture, name
        assert name in table, name
    assert 'perf-gpu" x="25.000%" width="33.333%"' in picture  # 12 s wide, 2 s of them wait
    assert "2.00 s before the run" in text_of(table)
    assert "Wait in the queue" in picture
    assert "<title" in picture
    assert "<desc" in picture
    assert "3.00 s" in text_of(table)


def test_throughput_counts_ends_by_the_hour():
    hours = finished_per_hour(document([run(n) for n in range(12)]))
    counts = [hour.bar.value for hour in hours]
    # every five minutes from 11:30 to 12:25, each ten seconds long
    assert counts == [0.0] * 10 + [6.0, 6.0]
    assert hours[-1].label == "12:00"
    failed = finished_per_hour(document([run(n, status="failed") for n in range(12)]))
    assert sum(hour.bar.value for hour in failed) == 0


def test_hours_before_the_history_begins_are_unknown():
    counts = [h.bar.value for h in finished_per_hour(document(cut=True))]
    assert counts == [None] * 11 + [6.0]


def test_queue_is_told_with_its_wait(client, said):
    text = text_of(page(client))
    assert "Waiting now 3 jobs" in text
    assert "half within 2.00 s, longest 2.00 s n = 12" in text
    said["document"] = document([run(0, queue_s=None)], queue_depth=1)
    text = text_of(page(client))
    assert "Waiting now 1 job " in text
    assert "not measured yet" in text


def test_last_runs_link_to_their_jobs(client, said):
    runs = [run(n) for n in range(25)]
    runs[1] |= {"job_id": None, "queue_s": None, "status": "failed"}
    said["document"] = document(runs)
    html = page(client)
    assert 'href="/jobs/job000"' in html
    assert "/jobs/job001" not in html
    assert "/jobs/job019" in html
    assert "/jobs/job020" not in html
    cells = row(html, "data-run", "run001")
    assert "failed" in cells
    assert "unknown" in cells


def test_targets_are_met_missed_or_not_measured(client, said):
    html = page(client)
    cells = {t["id"]: row(html, "data-target", t["id"]) for t in TARGETS}
    assert "at most 60 s 9.80 s inflate 12 met" in cells["image_warm"]
    assert "12.0 s inflate 2 of 5 needed not measured" in cells["image_cold"]
    assert "nothing 0 not measured" in cells["parts"]
    assert "at most 10.0 GB 12.0 GB inflate 7 missed" in cells["vram"]
    assert "at least 95.0 % 94.0 % inflate 50 missed" in cells["success_rate"]


def test_reports_are_linked(client, said):
    html = page(client)
    for kind in ("html", "json", "csv"):
        assert f'href="/api/performance/report?format={kind}"' in html
    assert "format=perfetto&amp;run=run000" in html


def two_versions():
    runs = [run(n, 8.0 + 0.01 * (n % 4), version="1.1") for n in range(12)]
    return runs + [run(n, 10.0 + 0.01 * (n % 4)) for n in range(12, 24)]


def test_versions_are_compared(client, said):
    said["document"] = document(two_versions())
    html = page(client, "/performance?pipeline=image_to_3d&shape=draft-256&before=1.0&after=1.1")
    text = text_of(html[html.index('id="comparison-result"') :])
    assert "Faster : 10.0 s (n = 12) before, 8.02 s (n = 12) after, ratio 0.80" in text
    assert "▼ faster" in row(html, "data-stage", "mesh_export", "comparison-result")
    assert re.search(r'<option value="1.0" selected>', html)


def test_two_single_runs_prove_nothing(client, said):
    said["document"] = document(two_versions())
    html = page(client, "/performance?before=run020&after=run001")
    assert "Too few runs to tell a difference from chance" in html


def test_settings_that_differ_can_be_compared():
    runs = [run(n, 5.0, settings={"steps": 20, "mode": "x"}) for n in range(3)]
    runs += [run(n, 10.0, settings={"steps": 40, "mode": "x"}) for n in range(3, 6)]
    view = performance_view(document(runs), None, ("steps=40", "steps=20"))
    assert [value for value, _ in view["choices"]["Settings"]] == ["steps=20", "steps=40"]
    assert view["comparison"].result.total.p50_before_s == 10.0
    assert view["comparison"].result.total.p50_after_s == 5.0


def test_comparison_with_nothing_says_so(client, said):
    html = page(client, "/performance?before=9.9&after=1.0")
    assert "No finished run of this kind of work is known as 9.9." in html
    assert comparison_view([run(0)], ("1.0", None)) is None


def test_empty_page_says_what_to_do(client, said):
    said["document"] = EMPTY
    html = page(client)
    text = text_of(html)
    assert 'data-situation="empty"' in html
    for phrase in ("No finished runs yet", "make a model", "Two finished runs", "Nothing has run",
                   "No target is set", "Waiting now 0 jobs"):  # fmt: skip
        assert phrase in text, phrase
    assert "0.00 s" not in text


def test_only_failed_runs_are_no_ground_for_figures(client, said):
    said["document"] = document([run(0, status="failed")])
    text = text_of(page(client))
    assert "0 of 5 finished runs" in text
    assert "No run has finished" in text


def test_offline_worker_is_told_and_old_figures_stay(client, said):
    said["document"] = OFFLINE
    html = page(client)
    assert 'data-situation="offline"' in html
    assert "Worker offline" in html
    assert "60 % of a run" in text_of(html)


def test_work_can_be_chosen_and_unknown_work_is_passed_over(client, said):
    high = [run(n, 50.0, shape_key="high-1024") for n in range(6, 12)]
    said["document"] = document([run(n) for n in range(6)] + high)
    html = page(client, "/performance?pipeline=image_to_3d&shape=high-1024")
    assert said["wanted"][-1] == Work("image_to_3d", "high-1024")
    assert "saves at most 30.0 s of the 50.0 s" in text_of(html)
    assert 'hx-get="/performance/live?pipeline=image_to_3d&amp;shape=high-1024"' in html
    assert "saves at most 6.00 s" in text_of(page(client, "/performance?pipeline=nope"))


def test_live_part_is_a_fragment(client, said):
    html = page(client, "/performance/live")
    assert "<html" not in html
    assert 'id="perf-verdict"' in html
    assert "perf-compare" not in html


def test_names_of_others_are_escaped(client, said):
    runs = [run(n, pipeline=HOSTILE, shape_key=HOSTILE, version=HOSTILE, device=HOSTILE,
                job_id=HOSTILE, run=HOSTILE, stages=[stage(HOSTILE, 5.0, 10.0)])
            for n in range(6)]  # fmt: skip
    profile = PROFILE | {"spans": [span(1, HOSTILE, 0, 5, error=HOSTILE)]}
    said["document"] = document(runs, last={"run": runs[0], "profile": profile})
    html = page(client, f"/performance?before={HOSTILE}&after={HOSTILE}")
    assert "<img src=x" not in html.lower()


def test_page_is_light(client, said):
    runs = [run(n, version=f"1.{n}") for n in range(200)]
    spans = [span(n, f"stage_{n}", 0, 10, parent=1 if n > 1 else None) for n in range(1, 400)]
    last = {"run": runs[0], "profile": PROFILE | {"spans": spans}}
    said["document"] = document(runs, last=last)
    assert len(page(client).encode()) < 90_000  # styles and htmx take 60 more


def test_document_is_read_from_the_history(service, make_job):
    history: RunHistory = service.run_history
    make_job()
    old = recorded(history, service, "high-1024", total_s=4)
    new = recorded(history, service, "draft-256", total_s=2)
    found = performance_document(service)
    assert [r["run"] for r in found["runs"]] == [new, old]
    assert found["last"]["run"]["run"] == new
    assert [s["name"] for s in found["last"]["profile"]["spans"]] == ["queue", "shape_generation"]
    assert found["queue_depth"] == 1
    assert found["workers"] == 0
    assert not found["cut"]
    assert found["targets"]
    assert len(history.runs(RunFilter())) == 2
    chosen = performance_document(service, Work("image_to_3d", "high-1024"))
    assert chosen["last"]["run"]["run"] == old


def test_stored_runs_are_written_out_once(service, monkeypatch):
    written = []
    to_row = RunSummary.to_row
    monkeypatch.setattr(RunSummary, "to_row", lambda run: written.append(run.run) or to_row(run))
    history = service.run_history
    first = [recorded(history, service, "draft-256", total_s=2) for _ in range(3)]
    assert [r["run"] for r in performance_document(service)["runs"]] == first[::-1]
    before = performance_document(service)
    assert sorted(written) == first
    new = recorded(history, service, "draft-256", total_s=4)
    after = performance_document(service)
    assert [r["run"] for r in after["runs"]] == [new, *first[::-1]]
    assert written[len(first) :] == [new]
    assert (before["last"]["run"]["run"], after["last"]["run"]["run"]) == (first[-1], new)
    assert performance_view(before)["runs_alike"] == 3
    assert performance_view(after)["runs_alike"] == 4
    assert performance_view(after)["totals"].max == 4.0


def test_what_was_worked_out_before_is_what_would_be_worked_out_now(service):
    for seconds in (2, 4, 3, 5):
        for shape_key in ("draft-256", "high-1024"):
            recorded(service.run_history, service, shape_key, total_s=seconds)
            performance_view(performance_document(service))
    for work in (None, Work("image_to_3d", "draft-256"), Work("nope", None)):
        found = performance_document(service, work)
        bare = {name: value for name, value in found.items() if name != "figures"}
        bare["last"] = {name: found["last"][name] for name in ("run", "profile")}
        assert performance_view(found, work) == performance_view(bare, work) | {
            "last": found["last"]
        }


def recorded(history, service, shape_key, total_s):
    spans = [
        Span(1, None, "queue", SpanKind.QUEUE, 1, -NS, 0),
        Span(2, None, "shape_generation", SpanKind.CPU, 1, 0, total_s * NS),
    ]
    profile = PipelineProfile(
        "image_to_3d", {}, service.clock.now(), 0, total_s * NS, spans=spans, key="k", trace_id="t"
    )
    return history.record(
        profile, job_id=None, pipeline="image_to_3d", engine={}, settings={}, shape_key=shape_key,
        batch_size=1,
    )  # fmt: skip


def test_last_run_is_shown_though_it_failed(client, said):
    runs = [run(0, status="failed"), *(run(n) for n in range(1, 7))]
    profile = PROFILE | {"spans": [span(1, "shape_generation", 0, 5, error="OutOfMemory")]}
    said["document"] = document(runs, last={"run": runs[0], "profile": profile})
    text = text_of(page(client))
    assert "2026-11-21 12:25:00 UTC, 10.0 s, failed" in text
    assert "Shape generation ✕" in text
    assert "OutOfMemory" in text
    assert "n = 6" in text


def test_recorded_runs_are_shown(client, service):
    for _ in range(5):
        recorded(service.run_history, service, "draft-256", total_s=2)
    text = text_of(page(client))
    assert "100 % of a run is shape generation (n = 5)" in text
    assert "saves at most 2.00 s" in text
    assert "half within 1.00 s" in text
