from __future__ import annotations

import time

import pytest
from sqlalchemy.exc import StatementError

from backend.catalog import parse_params
from backend.errors import InvalidParameter
from backend.jobs.claims import ClaimedJob
from backend.jobs.owners import Owner
from backend.jobs.records import OutputRecord
from backend.jobs.states import JobState
from backend.jobs.tuned_settings import (
    KEPT_REPORTS,
    engine_key,
    keep_if_tuned,
    keep_report,
    reports_of,
    values_kept,
)
from backend.jobs.tuning_store import TuningStore
from backend.runtime_settings import started_with
from tests.databases import another_writer
from tests.jobs.conftest import wait_until

ENGINES = {"shape": "inflate", "background": "alpha"}


def report(changed=True, **more):
    best = {"export_compression": 1 if changed else 9, "export_threads": 1}
    changes = [{"setting": "export_compression", "title": "Compression", "from": 9, "to": 1}]
    return {
        "pipeline": "image_to_3d", "device": "Abacus", "engines": ENGINES, "best": best,
        "start": {"export_compression": 9, "export_threads": 1}, "outcome": "better",
        "changes": changes if changed else [],
    } | more  # fmt: skip


@pytest.fixture
def service(service, clock):
    """A service on a machine whose card is an abacus."""
    started = started_with(service.settings)
    service.tuning = TuningStore(service.store.engine, clock, started, lambda: {"Abacus"})
    return service


@pytest.fixture
def finish(service):
    """A job of auto-tune that a worker has just ended."""

    def make(document, *, dry_run=False, pipeline="tune"):
        params = {"dry_run": dry_run} if pipeline == "tune" else {}
        new = service.prepare(pipeline, params, "Auto-tune")
        service.submit(new, {"image.png": b"picture"})
        (job,) = service.claims.claim("gpu", str(Owner.this_process()))
        output = OutputRecord("tuning.json", "json", "tuning", 2, "0" * 64)
        assert service.claims.finish(job, [output], {"tuning": document})
        return job

    return make


def test_what_was_found_is_in_force_for_the_jobs_to_come(service, finish):
    job = finish(report())
    keep_if_tuned(service, job, JobState.SUCCEEDED)
    assert service.tuning.values() == {"export_compression": 1}, "what did not change stays free"
    stored = reports_of(service).latest(adopted=True)
    assert stored.job_id == job.id
    assert stored.report["changes"][0]["to"] == 1
    assert reports_of(service).of_job(job.id) == stored
    assert service.tuning.values("image_to_3d", "Abacus") == {"export_compression": 1}
    assert service.tuning.values("image_to_3d", "Slide rule") == {}
    assert service.tuning.values("cut_out", "Abacus") == {}


def changes(**values):
    return {"changes": [
        {"setting": name, "title": name, "from": None, "to": value}
        for name, value in values.items()
    ]}  # fmt: skip


def test_values_are_kept_for_the_engines_that_the_runs_used(service):
    keep_report(service, "cli", report(), dry_run=False)
    others = dict.fromkeys(ENGINES, "another")
    assert service.tuning.values("image_to_3d", "Abacus", ENGINES) == {"export_compression": 1}
    assert service.tuning.values("image_to_3d", "Abacus", others) == {}


def test_what_is_in_force_can_be_read_back(service):
    found = report() | changes(export_compression=1, export_threads=4)
    assert values_kept(service, found) == {"export_compression": False, "export_threads": False}
    keep_report(service, "job", found, dry_run=False)
    assert values_kept(service, found) == {"export_compression": True, "export_threads": True}
    service.tuning.set("export_threads", 2)
    assert values_kept(service, found) == {"export_compression": True, "export_threads": False}


@pytest.mark.parametrize("broken", ["one value", "the report"])
def test_a_report_is_kept_with_all_of_its_values_or_not_at_all(service, broken):
    found = report() | changes(export_compression=3, export_threads=4)
    if broken == "one value":
        found["changes"][1]["to"] = 99
    else:
        found["best"] = {"export_compression": object()}  # what SQL cannot hold
    with pytest.raises((InvalidParameter, StatementError, TypeError)):
        keep_report(service, "cli", found, dry_run=False)
    assert service.tuning.values() == {}
    assert reports_of(service).latest() is None


def test_while_others_write_no_job_waits_and_the_report_is_kept_later(service, finish, monkeypatch):
    monkeypatch.setattr("backend.jobs.tuned_settings.RETRY_S", 0.05)
    job = finish(report())
    with another_writer(service.store):
        began_s = time.perf_counter()
        keep_if_tuned(service, job, JobState.SUCCEEDED)
        elapsed_s = time.perf_counter() - began_s
        assert reports_of(service).latest() is None
    assert elapsed_s < 0.6
    wait_until(lambda: reports_of(service).of_job(job.id), 5)
    assert service.tuning.values("image_to_3d") == {"export_compression": 1}


def test_a_dry_run_is_reported_and_changes_nothing(service, finish):
    keep_if_tuned(service, finish(report(), dry_run=True), JobState.SUCCEEDED)
    assert service.tuning.values() == {}
    assert reports_of(service).latest().adopted is False
    assert reports_of(service).latest(adopted=True) is None


def test_a_report_without_changes_does_not_replace_what_was_adopted(service, finish, clock):
    keep_if_tuned(service, finish(report()), JobState.SUCCEEDED)
    clock.forward(minutes=5)
    keep_if_tuned(service, finish(report(changed=False)), JobState.SUCCEEDED)
    assert service.tuning.values() == {"export_compression": 1}
    assert reports_of(service).latest().report["changes"] == []
    assert reports_of(service).latest(adopted=True).report["changes"]


@pytest.mark.parametrize("state", [JobState.CANCELED, JobState.FAILED, None])
def test_only_a_job_that_succeeded_changes_anything(service, finish, state):
    keep_if_tuned(service, finish(report()), state)
    assert reports_of(service).latest() is None
    assert service.tuning.values() == {}


def test_other_pipelines_are_left_alone(service, finish):
    keep_if_tuned(service, finish(report(), pipeline="image_to_3d"), JobState.SUCCEEDED)
    assert reports_of(service).latest() is None


def test_a_report_that_cannot_be_kept_fails_nothing(service, finish, caplog):
    keep_if_tuned(service, finish({"strange": True}), JobState.SUCCEEDED)
    assert "could not be kept" in caplog.text
    gone = ClaimedJob("0" * 26, "tune", {}, (), (), "owner", 1)
    keep_if_tuned(service, gone, JobState.SUCCEEDED)


def test_only_the_newest_reports_are_kept(service, clock):
    for number in range(KEPT_REPORTS + 3):
        clock.forward(seconds=1)
        keep_report(service, f"job{number:02}", report(changed=False), dry_run=False)
    reports = reports_of(service)
    assert reports.latest().job_id == f"job{KEPT_REPORTS + 2}"
    keep_report(service, "job00", report(), dry_run=True)
    assert reports.latest().job_id == "job00"


def test_prepared_job_has_the_stages_and_waits_for_the_gpu_worker(service):
    new = service.prepare("tune", {"preset": "draft", "budget_s": 60}, "Auto-tune")
    assert new.queue == "gpu"
    assert new.listed is False
    assert new.stages == ("reference_runs", "setting_trials", "final_check")
    assert new.cost_key == "tune:draft:60"
    assert parse_params("tune", new.params).budget_s == 60


def test_engine_key_does_not_depend_on_the_order():
    assert engine_key(ENGINES) == engine_key(dict(reversed(ENGINES.items())))
