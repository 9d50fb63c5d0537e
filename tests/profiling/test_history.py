from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, event, inspect
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.schema import CreateTable

from backend.jobs.schema import open_database
from backend.profiling.history import RunFilter, RunHistory
from backend.profiling.run_summary import RunStatus, read_stages
from backend.profiling.run_table import METADATA, RUNS, create_missing
from backend.profiling.spans import NS, PipelineProfile, ProfileStatus, Span, SpanKind
from backend.units import MB
from tests.jobs.conftest import ScriptedClock
from tests.profiling.made_runs import DAY, made_profile

COMMON = {
    "job_id": "j" * 26,
    "pipeline": "image_to_3d",
    "engine": {"shape": "inflate"},
    "settings": {"precision": "fp32", "compile_models": False},
    "shape_key": "image_to_3d:draft",
    "batch_size": 1,
}

UNKNOWN_WORK = {"flop": None, "moved_bytes": None, "dtype": None, "calls": None}


@pytest.fixture
def clock():
    return ScriptedClock()


@pytest.fixture
def engine(tmp_path):
    made = open_database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}")
    yield made
    made.dispose()


@pytest.fixture
def history(engine, clock):
    return RunHistory(engine, clock, version="1.2.3")


def record(history, stages=None, **fields):
    own = {name: fields.pop(name) for name in ("queue_s", "started_at", "idle_s") if name in fields}
    profile = made_profile(stages or {"shape_generation": 3.0, "mesh_export": 1.0}, **own)
    return history.record(profile, **(COMMON | fields))


def test_a_run_comes_back_as_it_was(history):
    run_id = record(history, queue_s=2.5, started_at=DAY)
    (found,) = history.runs()
    assert found.to_document() == {
        "run": run_id,
        "job_id": "j" * 26,
        "pipeline": "image_to_3d",
        "started_at": "2026-11-21T00:00:00.000Z",
        "total_s": 4.0,
        "queue_s": 2.5,
        "load_s": 0.0,
        "status": "ok",
        "device": None,
        "engine": {"shape": "inflate"},
        "settings": {"precision": "fp32", "compile_models": False},
        "shape_key": "image_to_3d:draft",
        "batch_size": 1,
        "version": "1.2.3",
        "stages": [
            {"name": "shape_generation", "kind": "gpu", "elapsed_s": 3.0, "share_pct": 75.0,
             "gpu_s": None, "peak_mb": None, **UNKNOWN_WORK},
            {"name": "mesh_export", "kind": "cpu", "elapsed_s": 1.0, "share_pct": 25.0,
             "gpu_s": None, "peak_mb": None, **UNKNOWN_WORK},
        ],
    }  # fmt: skip


def test_the_whole_profile_is_kept(history):
    profile = made_profile({"shape_generation": 3.0}, queue_s=1.0)
    run_id = history.record(profile, **COMMON)
    stored = history.run(run_id)
    assert PipelineProfile.from_document(stored.profile) == profile
    assert stored.to_document()["run"]["run"] == run_id
    assert history.run("x" * 26) is None


def test_gpu_figures_and_overlapping_loads(history):
    start = 5 * NS
    spans = [
        Span(1, None, "shape_generation", SpanKind.GPU, 1, start, start + 4 * NS, gpu_ns=3 * NS),
        Span(2, 1, "weights", SpanKind.LOAD, 1, start, start + 2 * NS, peak_bytes=512 * MB),
        Span(3, 1, "more weights", SpanKind.LOAD, 2, start + NS, start + 3 * NS),
    ]
    profile = PipelineProfile("p", {}, DAY, start, start + 4 * NS, spans, device="H200")
    history.record(profile, **COMMON)
    (run,) = history.runs()
    assert run.load_s == 3.0, "the second that both loads share counts once"
    assert (run.stages[0].gpu_s, run.stages[0].peak_mb, run.device) == (3.0, 512.0, "H200")
    assert run.peak_mb == 512.0
    assert run.queue_s is None


def test_a_run_without_length_has_no_shares(history):
    record(history, {"mesh_export": 0.0})
    (run,) = history.runs()
    assert run.stages[0].share_pct is None


def test_status_is_the_profiles_unless_given(history):
    failed = made_profile({"mesh_export": 1.0}, status=ProfileStatus.FAILED)
    history.record(failed, **COMMON)
    history.record(failed, **COMMON, status=RunStatus.CANCELED)
    record(history)
    assert {run.status.value for run in history.runs()} == {"ok", "failed", "canceled"}


def test_filters_and_order(history):
    times = [DAY + timedelta(hours=hour) for hour in (2, 0, 1)]
    late, early, middle = (record(history, started_at=moment) for moment in times)
    other = record(history, pipeline="cut_out", shape_key="cut_out", started_at=DAY)
    assert [run.run for run in history.runs(RunFilter("image_to_3d"))] == [late, middle, early]
    assert [run.run for run in history.runs(RunFilter(shape_key="cut_out"))] == [other]
    assert [run.run for run in history.runs(RunFilter(since=times[2]))] == [late, middle]
    assert [run.run for run in history.runs(RunFilter(limit=1))] == [late]
    assert history.runs(RunFilter(status=RunStatus.FAILED)) == []
    assert history.runs(RunFilter(version="0")) == []
    assert history.newest() == other


def test_stage_times_are_those_of_good_runs_with_stages(history):
    record(history, {"mesh_export": 1.0}, started_at=DAY)
    record(history, {"mesh_export": 2.0}, started_at=DAY + timedelta(hours=1))
    record(history, {"mesh_export": 9.0}, status=RunStatus.CANCELED)
    record(history, shape_key="other")
    record(history, pipeline="cut_out")
    history.record(made_profile({}, idle_s=1.0), **COMMON)
    times = history.stage_times("image_to_3d", "image_to_3d:draft")
    assert times == [{"mesh_export": 2.0}, {"mesh_export": 1.0}]
    assert len(history.stage_times("image_to_3d")) == 3
    assert len(history.stage_times("image_to_3d", limit=1)) == 1


def test_only_the_newest_runs_are_kept(engine, clock):
    history = RunHistory(engine, clock, kept_runs=3)
    ids = [record(history, started_at=DAY + timedelta(minutes=n)) for n in range(5)]
    assert [run.run for run in history.runs()] == ids[:1:-1]


def test_old_runs_go_with_the_next_record(history, clock):
    record(history, started_at=clock.now())
    clock.forward(days=89)
    record(history, started_at=clock.now())
    assert len(history.runs()) == 2
    clock.forward(days=2)
    newest = record(history, started_at=clock.now())
    assert len(history.runs()) == 2
    assert history.runs()[0].run == newest


def test_one_transaction_per_run(history, engine):
    record(history)
    begun = []
    event.listen(engine, "begin", begun.append)
    record(history)
    assert len(begun) == 1


def test_a_run_that_fails_to_be_written_leaves_nothing(history, engine):
    record(history)
    with pytest.raises(SQLAlchemyError):
        record(history, shape_key=None)
    assert len(history.runs()) == 1


def test_the_table_is_its_own_and_needs_no_job_table(tmp_path, clock):
    url = f"sqlite:///{tmp_path / 'alone.sqlite3'}"
    history = RunHistory(url, clock)
    assert history.runs() == []
    record(history)
    again = RunHistory(url, clock)
    assert len(again.runs()) == 1
    check = create_engine(url)
    assert inspect(check).get_table_names() == [RUNS.name]
    check.dispose()
    for each in (history, again):
        each.close()


def test_threads_record_side_by_side(history):
    threads = [
        threading.Thread(target=lambda: [record(history) for _ in range(5)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(history.runs()) == 20


def test_a_large_profile_is_stored_small(history, engine):
    profile = made_profile({f"stage {n}": 0.001 for n in range(2000)})
    run_id = history.record(profile, **COMMON)
    with engine.connect() as connection:
        packed = connection.scalar(RUNS.select().with_only_columns(RUNS.c.profile))
    assert len(packed) < 60_000
    assert len(history.run(run_id).profile["spans"]) == 2000


def test_a_table_that_another_process_made_meanwhile_is_taken(history, engine, monkeypatch):
    def too_late(*_):
        raise OperationalError("create", {}, OSError("table already exists"))

    monkeypatch.setattr(METADATA, "create_all", too_late)
    with pytest.raises(OperationalError):
        create_missing(engine)
    monkeypatch.undo()
    create_missing(engine)
    monkeypatch.setattr(METADATA, "create_all", too_late)
    create_missing(engine)
    record(history)
    assert len(history.runs()) == 1


def test_postgresql_gets_its_own_types():
    statement = str(CreateTable(RUNS).compile(dialect=postgresql.dialect()))
    assert "profile BYTEA NOT NULL" in statement
    assert "started_at TIMESTAMP WITHOUT TIME ZONE NOT NULL" in statement


def test_stages_of_a_later_version_are_read():
    row = {"name": "a", "kind": "cpu", "elapsed_s": 1.0, "share_pct": None, "gpu_s": None,
           "peak_mb": None, "watts": 300}  # fmt: skip
    (stage,) = read_stages([row])
    assert (stage.name, stage.elapsed_s) == ("a", 1.0)
    assert read_stages([]) == ()
