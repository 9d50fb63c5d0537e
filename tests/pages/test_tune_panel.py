from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from datetime import timedelta

import pytest

from backend.errors import MeshInvalid
from backend.jobs.records import OutputRecord
from backend.jobs.states import JobState
from backend.jobs.store import JobFilter
from backend.jobs.tuned_settings import TunedSettings, keep_if_tuned, keep_report
from backend.tuning.budget import Budget
from backend.tuning.limits import Limits
from backend.tuning.report import Work
from backend.tuning.search_space import Axis, LeftOut
from backend.tuning.tuner import Tuner
from tests.tuning.noisy_machine import NoisyMachine

HOSTILE = "<img src=x onerror=alert(1)>"
AXES = [
    Axis("export_compression", "Compression of files", (1, 9)),
    Axis("export_threads", "Threads", (1, 2)),
]


def made_report(gain=1.5, device="Abacus, 2 cores"):
    """A report as the pipeline makes it, from scripted runs."""
    machine = NoisyMachine(lambda values: gain if values["export_compression"] == 9 else 1.0, 0.02)
    start = {"export_compression": 9, "export_threads": 1}
    tuner = Tuner(machine, start, Limits(), Budget(1000, machine.clock))
    tuner.take_reference(lambda *_: None)
    tuner.search(AXES, lambda *_: None)
    tuner.check(lambda *_: None)
    work = Work("image_to_3d", "draft", device, {"shape": "inflate"})
    left_out = [LeftOut("residency", "Residency", "These runs used no GPU.")]
    return tuner.report(work, left_out).to_document()


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def panel(client):
    html = client.get("/performance").text
    return html[html.index('<section class="card" id="tune"') :].split("</section>")[0]


@pytest.fixture
def start(post, service):
    def send(**fields):
        answer = post("/performance/tune", preset="draft", budget_s="60", **fields)
        assert answer.status_code == 303
        return service.store.get(answer.location.rsplit("/", 1)[-1])

    return send


@pytest.fixture
def finish(service, claim):
    def end(document):
        job = claim()
        output = OutputRecord("tuning.json", "json", "tuning", 2, "0" * 64)
        assert service.claims.finish(job, [output], {"tuning": document})
        keep_if_tuned(service, job, JobState.SUCCEEDED)
        return job

    return end


def test_before_the_first_time_there_is_a_form_and_nothing_else(client):
    html = panel(client)
    assert "has not run here yet" in html
    assert 'name="budget_s"' in html
    assert 'value="300"' in html
    assert "hx-trigger" not in html


def test_form_submits_a_job_with_a_picture_of_ours(start, service):
    job = start(latency_limit_s="2.5", vram_limit_mb="", dry_run="true")
    assert job.pipeline == "tune"
    assert job.params["preset"] == "draft"
    assert job.params["latency_limit_s"] == 2.5
    assert job.params["vram_limit_mb"] is None
    assert job.params["dry_run"] is True
    assert service.artefacts.input_path(job.id, "image.png").read_bytes().startswith(b"\x89PNG")
    service.cancel(job.id)
    assert service.retry(job.id).pipeline == "tune", "it can be run again"


def test_wrong_budget_is_refused(post, service):
    answer = post("/performance/tune", preset="draft", budget_s="1")
    assert answer.status_code == 422
    assert "budget_s" in answer.text


def test_while_it_runs_its_job_is_linked_and_no_second_one_starts(client, start, claim):
    job = start()
    assert "waits for its turn" in panel(client)
    claim()
    html = panel(client)
    assert "Auto-tune is running" in html
    assert f'href="/jobs/{job.id}"' in html
    assert 'hx-get="/performance/tune"' in html
    assert "tune-form" not in html
    assert start().id == job.id
    assert 'id="tune"' in client.get("/performance/tune").text


def test_a_double_click_starts_one_job(client, post, service, monkeypatch):
    (form_id,) = re.findall(r'name="form_id" value="(\w+)"', panel(client))
    monkeypatch.setattr("backend.web.pages.tune_view._running", lambda _: None)
    sent = {"preset": "draft", "budget_s": "60", "form_id": form_id}
    first, second = (post("/performance/tune", **sent).location for _ in range(2))
    assert first == second
    assert post("/performance/tune", preset="draft", form_id="x" * 400).location != first
    assert len(service.store.list(JobFilter(listed_only=False)).items) == 2


def test_report_says_what_was_tried_and_what_is_in_force_since(client, start, finish, service):
    start()
    finish(made_report())
    html = panel(client)
    text = text_of(html)
    assert "Faster settings were found." in text
    assert "because no other value was faster" in text
    assert 'data-verdict="faster"' in html
    assert 'data-verdict="no_difference"' in html
    assert re.search(
        r"1 instead of 9 faster 1\.\d\d times as fast \(1\.\d\d to 1\.\d\d, 6 pairs\)", text
    )
    assert re.search(r"Compression of files 1 , in force since \d{4}-", text)
    assert "These runs used no GPU." in text
    assert "Abacus, 2 cores" in text
    service.tuning.set("export_compression", 6)
    assert "something else is in force now" in text_of(panel(client))


def test_what_holds_is_said_with_its_work_and_only_while_it_holds(client, start, finish, service):
    job = start()
    address = f"/performance/tune/{job.id}"
    assert client.get(address).json == {"kept": False, "adopted": False, "in_force": {}}
    finish(made_report())
    assert client.get(address).json == {
        "kept": True, "adopted": True, "in_force": {"export_compression": True}
    }  # fmt: skip
    expected = "UTC for image to 3d with shape inflate on Abacus, 2 cores"
    assert expected in text_of(panel(client))
    service.tuning.set("export_compression", 6)
    assert client.get(address).json["in_force"] == {"export_compression": False}


def test_the_panel_waits_for_no_lock(client, service, tmp_path):
    with closing(sqlite3.connect(tmp_path / "meshkiln.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began_s = time.perf_counter()
        assert client.get("/performance/tune").status_code == 200
        elapsed_s = time.perf_counter() - began_s
        other.execute("ROLLBACK")
    assert elapsed_s < 0.6


def test_report_without_a_gain_says_so(client, start, finish, service):
    start()
    finish(made_report(gain=1.0))
    text = text_of(panel(client))
    assert "Nothing that was tried is faster beyond doubt." in text
    assert "in force since" not in text
    assert service.tuning.values() == {}


def test_dry_run_is_told_from_a_change(client, service):
    keep_report(service, "cli", made_report(), dry_run=True)
    text = text_of(panel(client))
    assert "It was only tried: no setting was changed." in text
    assert "in force since" not in text


@pytest.mark.parametrize("end", ["cancel", "fail"])
def test_an_end_without_a_report_is_told_until_there_is_a_newer_one(
    client, start, claim, service, end
):
    job = start()
    claimed = claim()
    if end == "cancel":
        service.cancel(job.id)
        service.claims.mark_canceled(claimed)
    else:
        service.claims.fail(claimed, MeshInvalid("It is open."))
    text = text_of(panel(client))
    assert ("was canceled" if end == "cancel" else "failed It is open.") in text
    assert "No setting was changed." in text
    later = TunedSettings(service.store.engine, Later(service.clock))
    later.keep("cli", made_report(), adopted=False)
    assert "tune-ended" not in panel(client)


class Later:
    def __init__(self, clock):
        self._clock = clock

    def now(self):
        return self._clock.now() + timedelta(seconds=5)


def test_job_page_shows_the_report_and_no_viewer(client, start, finish):
    job = start()
    html = client.get(f"/jobs/{job.id}").text
    assert 'id="viewer"' not in html
    assert "js/job.js" not in html
    assert "Try other settings" in html
    finish(made_report())
    html = client.get(f"/jobs/{job.id}").text
    assert "What was found" in html
    assert "Faster settings were found." in html
    assert "/files/tuning.json" in html
    assert "Duplicate with changes" not in html


def test_a_dry_run_says_so_on_its_job_page(client, start, finish):
    job = start(dry_run="true")
    finish(made_report())
    assert "It was only tried" in client.get(f"/jobs/{job.id}").text


def test_other_jobs_keep_their_viewer(client, make_job):
    html = client.get(f"/jobs/{make_job().id}").text
    assert 'id="viewer"' in html
    assert "js/job.js" in html


def test_names_of_the_machine_are_escaped(client, service):
    keep_report(service, "cli", made_report(device=HOSTILE), dry_run=True)
    assert HOSTILE not in panel(client)
