from __future__ import annotations

import json
import signal

import pytest
from sqlalchemy.exc import OperationalError

from backend.cli import tune as tune_module
from backend.cli.main import main
from backend.errors import JobCanceled, WorkerOffline
from backend.jobs.service import JobService
from backend.pipelines import catalogue
from backend.pipelines.pipeline import PipelineOutcome
from backend.pipelines.tune import REPORT
from backend.runtime_settings import SettingName, value_of
from backend.settings import Settings
from backend.tuning.machine import processor_name
from bench.running_server import running_server

TRIED = {
    "setting": "export_compression", "title": "Compression", "from": 9, "to": 1,
    "verdict": "faster", "reason": None, "speed_up": 1.42, "ci": [1.38, 1.45], "pairs": 6,
}  # fmt: skip
FOUND = {
    "pipeline": "image_to_3d", "preset": "draft", "device": processor_name(),
    "engines": {"shape": "inflate"}, "outcome": "better", "stopped": "no_better_neighbour",
    "start": {"export_compression": 9}, "best": {"export_compression": 1},
    "changes": [{"setting": "export_compression", "title": "Compression", "from": 9, "to": 1}],
    "final": {k: TRIED[k] for k in ("verdict", "reason", "speed_up", "ci", "pairs")},
    "tried": [TRIED], "reference": {"runs": 2, "p50_s": 0.65, "vram_peak_mb": None},
    "left_out": [{"setting": "residency", "title": "Residency", "reason": "No GPU."}],
    "notes": [], "runs": 29, "elapsed_s": 20.0, "budget_s": 300.0,
}  # fmt: skip


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("MESHKILN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "data"


@pytest.fixture
def measured(monkeypatch):
    """Stands for the pipeline: notes what it was asked and finds what is given."""
    asked = {}

    def run(name, request, sink):
        asked.update(
            name=name,
            params=request.params.model_dump(mode="json"),
            picture=request.inputs["image"].read_bytes(),
            compression=value_of(SettingName.EXPORT_COMPRESSION),
        )
        for stage in ("reference_runs", "setting_trials"):
            sink.stage_started(stage)
            sink.stage_progress(stage, 3, 10)
            sink.stage_finished(stage, 1.0)
        return PipelineOutcome([], {"tuning": FOUND})

    monkeypatch.setattr(catalogue, "run_pipeline", run)
    return asked


def test_what_is_found_is_kept_for_the_server_of_this_folder(
    data_dir, measured, capsys, monkeypatch
):
    monkeypatch.setenv("MESHKILN_EXPORT_COMPRESSION", "9")
    assert main(["tune", "--preset", "draft", "--budget-s", "60", "--latency-limit-s", "5"]) == 0
    assert measured["compression"] == 9, "it starts from what the server would start with"
    assert measured["params"]["budget_s"] == 60
    assert measured["params"]["latency_limit_s"] == 5
    assert measured["picture"].startswith(b"\x89PNG")
    shown = capsys.readouterr().out
    assert "1.42 times as fast (1.38 to 1.45, 6 pairs)" in shown
    assert "export_compression is in force from now on: 1 instead of 9" in shown
    assert "Not tried: residency" in shown
    assert main(["tune"]) == 0
    assert measured["compression"] == 1


def test_a_shell_with_another_start_value_takes_nothing_from_the_server(
    data_dir, measured, monkeypatch
):
    server = JobService(Settings.from_env({}, data_dir=data_dir, export_compression=9))
    server.tuning.set("export_compression", 3)
    monkeypatch.setenv("MESHKILN_EXPORT_COMPRESSION", "6")
    assert main(["tune"]) == 0
    assert measured["compression"] == 6
    assert server.tuning.values() == {"export_compression": 3}
    server.close()


def test_what_could_not_be_kept_is_not_called_in_force(data_dir, measured, capsys, monkeypatch):
    def fail(*_, **__):
        raise OperationalError("BEGIN IMMEDIATE", {}, OSError("database is locked"))

    monkeypatch.setattr(tune_module, "keep_report", fail)
    assert main(["tune"]) == 1
    shown = capsys.readouterr().out
    assert "export_compression is not in force: 1 instead of 9 was found" in shown
    assert "from now on" not in shown


class Answers:
    """Stands for a server that has run the job."""

    def __init__(self, *kept, found=FOUND, params=None) -> None:
        self.kept = list(kept)
        self.asked = []
        self.ended = {"id": "j1", "status": "succeeded", "stage": None, "progress": 100.0,
                      "error": None, "finished_at": "now", "facts": {"tuning": found},
                      "params": params or {}}  # fmt: skip

    def __call__(self, method, url, **_):
        self.asked.append(url)
        return Answer(self.kept.pop(0) if "/performance/tune/" in url else self.ended)


class Answer:
    def __init__(self, document) -> None:
        self.document = document

    def json(self):
        if isinstance(self.document, Exception):
            raise self.document
        return self.document


NOT_YET = {"kept": False, "adopted": False, "in_force": {}}


@pytest.mark.parametrize(
    ("kept", "status", "said"),
    [
        ([NOT_YET, {"kept": True, "adopted": True, "in_force": {"export_compression": True}}],
         0, "is in force from now on: 1 instead of 9"),
        ([{"kept": True, "adopted": True, "in_force": {"export_compression": False}}],
         1, "is not in force: 1 instead of 9 was found"),
        ([NOT_YET] * 40, 1, "is not in force"),
        ([WorkerOffline("gone")], 1, "is not in force"),
    ],
)  # fmt: skip
def test_a_server_is_asked_whether_it_has_kept_it(
    data_dir, capsys, monkeypatch, kept, status, said
):
    answers = Answers(*kept)
    monkeypatch.setattr(tune_module, "call", answers)
    monkeypatch.setattr(tune_module.time, "sleep", lambda _: None)
    assert main(["tune", "--server", "http://there"]) == status
    assert answers.asked[-1] == "http://there/performance/tune/j1"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "params"),
    [(FOUND | {"changes": [], "outcome": "nothing_better", "final": None}, {}),
     (FOUND, {"dry_run": True})],
    ids=["nothing better", "dry run"],
)  # fmt: skip
def test_the_report_is_on_the_page_when_the_command_ends(
    data_dir, capsys, monkeypatch, found, params
):
    kept = {"kept": True, "adopted": False, "in_force": {}}
    answers = Answers(NOT_YET, kept, found=found, params=params)
    monkeypatch.setattr(tune_module, "call", answers)
    monkeypatch.setattr(tune_module.time, "sleep", lambda _: None)
    dry = ["--dry-run"] if params else []
    assert main(["tune", "--server", "http://there", *dry]) == 0
    assert answers.kept == [], "it was asked until the worker had kept it"
    assert "No setting was changed." in capsys.readouterr().out


def test_dry_run_changes_nothing_and_writes_the_report(data_dir, measured, tmp_path, capsys):
    report = tmp_path / "report.json"
    assert main(["tune", "--dry-run", "--json", str(report)]) == 0
    assert json.loads(report.read_text()) == FOUND
    shown = capsys.readouterr().out
    assert "would be 1 instead of 9" in shown
    assert "No setting was changed." in shown
    assert main(["tune", "--dry-run"]) == 0
    assert measured["compression"] == 1, "the default, nothing was set"


def test_own_picture_is_used(data_dir, measured, tmp_path, opaque_figure_png):
    picture = tmp_path / "doll.png"
    picture.write_bytes(opaque_figure_png)
    assert main(["tune", "--image", str(picture), "--dry-run"]) == 0
    first = measured["picture"]
    assert main(["tune", "--dry-run"]) == 0
    assert first != measured["picture"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--budget-s", "1"], "budget_s"),
        (["--image", "/nowhere/a.png"], "/nowhere/a.png"),
        (["--json", "/nowhere/report.json"], "folder does not exist"),
    ],
)
def test_wrong_arguments_are_explained(data_dir, measured, capsys, arguments, said):
    assert main(["tune", *arguments]) == 1
    assert said in capsys.readouterr().err
    assert not measured


def test_ctrl_c_shows_what_was_tried_and_changes_nothing(data_dir, monkeypatch, capsys):
    def run(name, request, sink):
        signal.raise_signal(signal.SIGINT)
        assert sink.is_canceled()
        canceled = FOUND | {"stopped": "canceled", "outcome": "no_time_to_confirm"}
        (request.out_dir / REPORT).write_text(json.dumps(canceled | {"final": None}))
        raise JobCanceled

    monkeypatch.setattr(catalogue, "run_pipeline", run)
    before = signal.getsignal(signal.SIGINT)
    assert main(["tune"]) == 130
    assert signal.getsignal(signal.SIGINT) is before
    shown = capsys.readouterr().out
    assert "It was canceled." in shown
    assert "No setting was changed." in shown
    assert "in force" not in shown


def test_ctrl_c_before_the_first_trial_ends_quietly(data_dir, monkeypatch):
    def run(name, request, sink):
        raise JobCanceled

    monkeypatch.setattr(catalogue, "run_pipeline", run)
    assert main(["tune"]) == 130


@pytest.mark.server
@pytest.mark.measures
def test_a_planted_slow_setting_is_found_and_put_in_force_on_a_server(tmp_path, capsys):
    """The whole way: submit, measure in the worker, keep, and use for the next job."""
    with running_server(MESHKILN_EXPORT_COMPRESSION="9") as server:
        report = tmp_path / "report.json"
        arguments = ["tune", "--server", server.url, "--preset", "draft", "--budget-s", "45"]
        assert main([*arguments, "--json", str(report)]) == 0
        found = json.loads(report.read_text())
        assert found["start"]["export_compression"] == 9
        assert found["tried"][0]["from"] == 9
        page = tune_module.call("GET", f"{server.url}/performance").text
        assert "Last report" in page
        jobs = tune_module.call("GET", f"{server.url}/api/v1/jobs?limit=10").json()["items"]
        assert jobs == [], "it is in no list of models"
        if found["outcome"] == "better":  # a busy machine may leave no time to confirm
            assert f"in force from now on: {found['best']['export_compression']}" in (
                " ".join(capsys.readouterr().out.split())
            )
            assert "in force since" in page
        runs = tune_module.call("GET", f"{server.url}/api/performance/profiles").json()["items"]
        assert {run["pipeline"] for run in runs} == {"tune"}
