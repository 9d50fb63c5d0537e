"""Real networks tell what they do; advice on them is tried on real jobs, and kept."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from backend.catalog import ShapeMode, StageName
from backend.engines.shape_task import ShapeTask
from backend.jobs.advice_book import recommendations_document
from backend.jobs.job_runner import JobRunner
from backend.jobs.job_sink import JobSink
from backend.jobs.live_tuning import LiveTuning
from backend.jobs.proposal import Proposal
from backend.jobs.run_recording import RunRecording, settings_on_record
from backend.jobs.service import JobService
from backend.jobs.states import JobState
from backend.pipelines.pipeline import OutputFile, PipelineOutcome, stage
from backend.profiling.advice.rule_id import RuleId
from backend.profiling.experiment import ExperimentState
from backend.profiling.trial_interval import FEWEST_PAIRS
from backend.runtime_settings import started_with
from backend.settings import Settings
from backend.web.api.recommendation_actions import KindOfWork, apply_advice, revert_advice
from bench.tiny_native import engine as tiny_engine
from bench.tiny_native.engine import TinyNative

# Coarse enough to be quick, fine enough for two levels.
RESOLUTION = 64
# Nothing on trial here changes a step, and what does not change hides what does.
STEPS = 2
UNDECIDED = (ExperimentState.NO_EFFECT, ExperimentState.NOT_CLEAR)
TRIALS = 3


@pytest.fixture(autouse=True)
def _one_thread():
    """Threads that wait for each other on a busy machine say nothing of a setting."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    monkeypatch.setattr(tiny_engine, "STEPS", {RESOLUTION: STEPS})


@pytest.fixture
def shop(tmp_path):
    opened = []

    def start(**settings):
        found = Settings.from_env({}, data_dir=tmp_path, disk_floor_mb=1, **settings)
        opened.append(Shop(JobService(found)))
        return opened[-1]

    yield start
    for one in opened:
        one.service.close()


@cache
def disc():
    y, x = np.mgrid[:64, :64]
    mask = ((x - 32) / 20) ** 2 + ((y - 32) / 25) ** 2 < 1
    return ShapeTask(np.full((64, 64, 3), 120, np.uint8), mask, ShapeMode.INFLATE, RESOLUTION)


def make_shape(_name, request, sink):
    """The stage of a pipeline that runs networks, and nothing else."""
    sink.engine_chosen("shape", TinyNative.name)
    with stage(StageName.SHAPE_GENERATION, sink) as progress:
        (shape,) = TinyNative().run([disc()], progress)
    made = request.out_dir / "mask.png"
    made.write_bytes(shape.mesh.faces.tobytes()[:1])
    return PipelineOutcome([OutputFile("mask.png", "png", "mask", made)], {})


class Shop:
    """A worker's way with jobs, in this process, on the machine's own clock."""

    def __init__(self, service) -> None:
        self.service = service
        recording = RunRecording(
            service.run_history, service.store.engine, service.clock, self.settings_on_record
        )
        self.tuning = LiveTuning(
            service.tuning, started_with(service.settings), recording.shape_key_of
        )
        self.runner = JobRunner(
            service.claims, service.artefacts, service.events, make_shape,
            recording=recording, tuning=self.tuning,
        )  # fmt: skip

    def settings_on_record(self):
        return settings_on_record(self.service.settings) | self.tuning.values

    def make(self, n=1):
        service = self.service
        for _ in range(n):
            service.submit(
                service.prepare("image_to_3d", {"preset": "draft"}, "disc"), {"image.png": b"x"}
            )
            (job,) = service.claims.claim("gpu", "test:1:1")
            sink = JobSink(job, service.claims, service.events, service.clock)
            assert self.runner.run(job, sink) is JobState.SUCCEEDED
        return self.newest()

    def newest(self):
        return self.service.run_history.runs()[0]

    def work(self):
        run = self.newest()
        return {"pipeline": run.pipeline, "shape_key": run.shape_key}

    def advice(self, rule):
        items = recommendations_document(self.service, **self.work())["items"]
        return next((item for item in items if item["rule"] == rule), None)

    def apply(self, item):
        return apply_advice(self.service, item["id"], KindOfWork(**self.work()))

    def decided(self, proposal, old):
        """Run jobs until the trial has a verdict; noise may hide one effect, but not thrice."""
        for _ in range(TRIALS):
            self.make(2 * FEWEST_PAIRS)
            while self.trial().decided_at is None:
                self.make(2)
            if self.trial().experiment.state not in UNDECIDED:
                break
            self.service.tuning.apply(proposal, old=old, **self.work())
        return self.trial()

    def trial(self):
        return self.service.tuning.experiments()[0]


def inner_stage(run, name):
    (found,) = [one for stage in run.stages for one in stage.inner if one.name.endswith(name)]
    return found


def test_a_dense_decode_is_found_tried_and_replaced(shop):
    floor = shop(decode="dense")
    run = floor.make(6)
    told = inner_stage(run, "decode_volume").facts["decode"]
    assert (told["queries"], told["same_surface"]) == ((RESOLUTION + 1) ** 3, True)
    item = floor.advice(RuleId.DENSE_DECODE)
    assert item["id"] == "dense_decode.shape_generation.decode_volume"
    assert item["evidence"]["hierarchical_queries"] == told["hierarchical_queries"]
    assert item["action"] == {
        "setting": "decode", "from": "dense", "to": "hierarchical", "needs_restart": False,
        "available": True,
    }  # fmt: skip
    floor.apply(item)
    decided = floor.decided(Proposal.from_document(item), old="dense")
    assert decided.experiment.state is ExperimentState.CONFIRMED, decided.to_document()
    assert decided.to_document()["ci"][0] > 1
    run = floor.make()
    assert run.settings["decode"] == "hierarchical"
    # The promise of the rule is kept to the point.
    now = inner_stage(run, "decode_volume").facts["decode"]
    assert now["queries"] == told["hierarchical_queries"] < told["queries"]
    assert floor.advice(RuleId.DENSE_DECODE) is None
    revert_advice(floor.service, decided.id, KindOfWork(**floor.work()))
    assert floor.make().settings["decode"] == "dense"


def test_slow_attention_is_found_tried_and_replaced(shop):
    floor = shop(attention="math")
    run = floor.make(6)
    told = inner_stage(run, "decode_volume").facts["attention"]
    assert (told["backend"], told["best_backend"]) == ("math", "sdpa_flash")
    item = floor.advice(RuleId.SLOW_ATTENTION)
    assert (item["action"]["from"], item["action"]["to"]) == ("math", "sdpa_flash")
    assert item["evidence"]["factor"] == pytest.approx(told["now_s"] / told["best_s"], rel=0.5)
    floor.apply(item)
    decided = floor.decided(Proposal.from_document(item), old="math")
    assert decided.experiment.state is ExperimentState.CONFIRMED, decided.to_document()
    assert floor.make().settings["attention"] == "sdpa_flash"
    assert floor.advice(RuleId.SLOW_ATTENTION) is None
