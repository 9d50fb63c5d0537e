"""The pipeline ``tune``, most of it with runs of a scripted length."""

from __future__ import annotations

import json
import threading

import pytest

from backend.batch_processor import BatchedStage, run_engine
from backend.catalog import StageName, TunedPipeline, TuneParams, TuneStageName, parse_params
from backend.engines.engine import Needs
from backend.errors import DeviceLost, InternalError, InvalidParameter, JobCanceled, OutOfMemory
from backend.pipelines.catalogue import run_pipeline
from backend.pipelines.pipeline import OutputFile, PipelineOutcome, PipelineRequest, stage
from backend.pipelines.policy_on_trial import policy_kept
from backend.pipelines.repeated_runs import RUN, RepeatedRuns
from backend.pipelines.tune import TunePipeline
from backend.profiling import recorder
from backend.profiling.recorder import profile_stage, record_pipeline
from backend.profiling.spans import SpanKind
from backend.residency.policies import Policy
from backend.runtime_settings import SettingName, in_force, number_of, value_of
from backend.tuning.picture import drawn_picture
from backend.tuning.search_space import NOTHING_READS_IT
from tests.pipelines.test_image_to_3d import NotingSink


@pytest.fixture
def request_for(tmp_path):
    (tmp_path / "image.png").write_bytes(drawn_picture())
    out_dir = tmp_path / "out"
    out_dir.mkdir()

    def make(**params):
        given = TuneParams(**{"preset": "draft", "budget_s": 1000, **params})
        return PipelineRequest({"image": tmp_path / "image.png"}, given, out_dir)

    return make


class FakePipeline:
    """Takes as long as a function of the settings in force says, on a clock of its own."""

    name = "image_to_3d"

    def __init__(self, cost, faces=lambda: 10):
        self.now_ns = 0
        self.runs = 0
        self._cost = cost
        self._faces = faces

    def run(self, request, sink):
        assert list(request.out_dir.iterdir()) == [], "each run has an empty folder"
        value_of(SettingName.EXPORT_THREADS)
        with stage("image_preprocessing", sink) as progress:
            progress.engine_chosen("shape", "fake")
            progress.step(1, 1)
            self.runs += 1
            self.now_ns += int(1e9 * self._cost())
        glb = request.out_dir / "model.glb"
        glb.write_bytes(b"same")
        return PipelineOutcome([OutputFile("model.glb", "glb", "model", glb)], {
            "mesh": {"faces": self._faces(), "vertices": 8}})  # fmt: skip

    def batched_stages(self, params):
        return []

    def clock_ns(self):
        return self.now_ns

    def now(self):
        raise AssertionError("the wall clock has no part in it")

    def monotonic_s(self):
        return self.now_ns / 1e9


def level():
    return number_of(SettingName.EXPORT_COMPRESSION)


def run_fake(fake, request, sink=None):
    pipeline = TunePipeline({TunedPipeline.IMAGE_TO_3D: fake}, fake, fake.clock_ns)
    return pipeline.run(request, sink or NotingSink())


def test_the_pipeline_is_in_the_catalogue_and_checks_its_parameters():
    params = parse_params("tune", {"budget_s": "60", "latency_limit_s": None, "dry_run": "true"})
    assert (params.budget_s, params.dry_run, params.preset) == (60, True, "standard")
    for wrong in ({"budget_s": 1}, {"vram_limit_mb": 0}, {"target": "cut_out"}, {"seed": 1}):
        with pytest.raises(InvalidParameter):
            parse_params("tune", wrong)


def test_stages_are_reported_from_counted_runs_and_inner_ones_are_not(request_for):
    fake, sink = FakePipeline(lambda: 1 + level()), NotingSink()
    with in_force({"export_compression": 6}):
        report = run_fake(fake, request_for(), sink).facts["tuning"]
    assert sink.started == list(TuneStageName)
    assert report["runs"] == fake.runs
    assert report["best"]["export_compression"] == 1
    assert report["stopped"] == "no_better_neighbour"
    assert "residency" in {one["setting"] for one in report["left_out"]}


def test_runs_are_no_runs_of_the_tuned_pipeline(request_for):
    seen = []
    recorder.add_listener(seen.append)
    try:
        with record_pipeline("tune") as outer:
            run_fake(FakePipeline(lambda: 1.0), request_for())
    finally:
        recorder.remove_listener(seen.append)
    assert {profile.pipeline_id for profile in seen} == {RUN, "tune"}
    assert {span.name for span in outer.profile.spans} == set(TuneStageName)


def test_settings_of_the_caller_are_in_force_again_afterwards(request_for):
    with in_force({"export_compression": 9}):
        run_fake(FakePipeline(lambda: 1 + level()), request_for())
        assert level() == 9


def test_values_that_change_the_result_or_fail_are_refused(request_for):
    def cost():
        if level() == 9:
            raise RuntimeError("CUDA error: out of memory")
        return 1.0

    fake = FakePipeline(cost, faces=lambda: 10 if level() >= 6 else 9)
    with in_force({"export_compression": 6}):
        report = run_fake(fake, request_for()).facts["tuning"]
    refused = {t["to"]: t["reason"] for t in report["tried"] if t["verdict"] == "refused"}
    assert "faces is 10 before and 9 with it" in refused[3]
    assert "out of memory" in refused[9]
    assert report["best"]["export_compression"] == 6


def test_only_settings_that_the_runs_read_are_tried(request_for):
    report = run_fake(FakePipeline(lambda: 1 + level()), request_for()).facts["tuning"]
    assert {tried["setting"] for tried in report["tried"]} <= {
        "export_compression", "export_threads",
    }  # fmt: skip
    reasons = {one["setting"]: one["reason"] for one in report["left_out"]}
    assert reasons["decode"] == reasons["compile_models"] == NOTHING_READS_IT


class FakeNetwork(FakePipeline):
    """Reads whether to compile; the first compiled run compiles, and all of them round."""

    def __init__(self, volume_m3=0.50001):
        super().__init__(self._elapsed_s)
        self.compiled_runs = 0
        self._volume_m3 = volume_m3

    def _elapsed_s(self):
        if not value_of(SettingName.COMPILE_MODELS):
            return 2.0
        self.compiled_runs += 1
        if self.compiled_runs == 1:
            with profile_stage("warm_up", SpanKind.LOAD):
                return 40.0
        return 1.0

    def run(self, request, sink):
        outcome = super().run(request, sink)
        is_on = bool(value_of(SettingName.COMPILE_MODELS))
        (glb,) = outcome.outputs
        glb.path.write_bytes(b"rounded" if is_on else b"plain")
        outcome.facts["mesh"] |= {
            "bodies": 1,
            "volume_m3": self._volume_m3 if is_on else 0.5,
            "extents_m": [1.0, 0.8, 0.6],
        }
        return outcome


def test_only_attention_that_runs_on_this_device_is_tried(request_for):
    class Attending(FakePipeline):
        def run(self, request, sink):
            value_of(SettingName.ATTENTION)
            return super().run(request, sink)

    report = run_fake(Attending(lambda: 1.0), request_for()).facts["tuning"]
    tried = {one["to"] for one in report["tried"] if one["setting"] == "attention"}
    assert tried == {"sdpa_flash", "math"}


def test_compiled_networks_are_judged_without_what_compiling_costs(request_for):
    report = run_fake(FakeNetwork(), request_for()).facts["tuning"]
    (change,) = report["changes"]
    assert (change["setting"], change["to"]) == ("compile_models", True)
    assert report["final"]["speed_up"] == pytest.approx(2.0)
    assert report["final"]["is_rounded"] is True
    assert any("but for rounding" in note for note in report["notes"])
    assert report["tolerances"]["extent_z_m"] == pytest.approx(0.005)


def test_a_run_that_makes_something_ready_is_told_apart(request_for):
    fake, request = FakeNetwork(), request_for()
    runs = RepeatedRuns(fake, request.params, request, NotingSink(), fake.clock_ns)
    assert [runs({"compile_models": True}).is_warm_up for _ in range(2)] == [True, False]


def test_another_shape_is_no_rounding(request_for):
    report = run_fake(FakeNetwork(volume_m3=0.51), request_for()).facts["tuning"]
    assert report["changes"] == []
    refused = {t["setting"]: t["reason"] for t in report["tried"] if t["verdict"] == "refused"}
    assert "volume_m3" in refused["compile_models"]


class FakeBatches(FakePipeline):
    """Its engine takes two seconds for a call and a tenth of one for each of its tasks."""

    def __init__(self):
        super().__init__(lambda: 0.0)
        self.calls = []
        self.engine = Engine(self)

    def batched_stages(self, params):
        return [BatchedStage(StageName.SHAPE_GENERATION, self.engine)]

    def run(self, request, sink):
        outcome = super().run(request, sink)
        with stage(StageName.SHAPE_GENERATION, sink) as progress:
            run_engine(self.engine, "task", progress)
        return outcome


class Engine:
    """The engine of ``FakeBatches``."""

    name, title, needs, batches = "fake", "Fake", Needs(), True

    def __init__(self, pipeline):
        self._pipeline = pipeline

    def run(self, batch, progress):
        self._pipeline.calls.append(len(batch))
        self._pipeline.now_ns += int(1e9 * (2 + 0.1 * len(batch)))
        return list(batch)


def test_the_size_of_batches_is_tuned_where_an_engine_gains_from_them(request_for):
    fake = FakeBatches()
    with in_force({"max_batch": 2}):
        report = run_fake(fake, request_for()).facts["tuning"]
    assert {8, 4, 2} <= set(fake.calls), "the jobs meet in calls of the engine"
    (change,) = [one for one in report["changes"] if one["setting"] == "max_batch"]
    assert (change["from"], change["to"]) == (2, 8)
    assert report["final"]["jobs"] == 8
    assert report["final"]["speed_up"] == pytest.approx(4 * 2.2 / 2.8, rel=0.01)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(JobCanceled(), JobCanceled), (DeviceLost("gone"), DeviceLost), (ValueError(), InternalError)],
)
def test_a_job_of_a_batch_that_fails_fails_the_run(request_for, raised, expected):
    fake, request = FakeBatches(), request_for()
    runs = RepeatedRuns(fake, request.params, request, NotingSink(), fake.clock_ns)
    failing = iter([raised])

    def cost():
        error = next(failing, None)
        if error:
            raise error
        return 0.0

    fake._cost = cost
    with pytest.raises(expected):
        runs({"max_batch": 4}, 4)
    assert list(request.out_dir.iterdir()) == []


def test_policies_are_tried_where_models_can_be_moved(request_for):
    fake, request = FakePipeline(lambda: 1.0), request_for()
    residency = ScriptedResidency()
    runs = RepeatedRuns(
        fake, request.params, request, NotingSink(), fake.clock_ns, residency=residency
    )
    assert not runs.ability().moves_models
    runs({"residency": "resident"})
    assert residency.changes == [], "no model has been used yet"
    residency.started = True
    assert runs.ability().moves_models
    with policy_kept(residency):
        for policy in ("resident", "resident", "one_at_a_time"):
            runs({"residency": policy})
    assert residency.changes == ["resident", "one_at_a_time", "auto"]


class ScriptedResidency:
    """Notes the policies it is given."""

    enabled = True

    def __init__(self):
        self.started, self.policy, self.changes = False, Policy.AUTO, []

    def change_rules(self, policy):
        self.policy = policy
        self.changes.append(policy.value)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ValueError("defect"), InternalError),
        (RuntimeError("CUDA error: out of memory"), OutOfMemory),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), DeviceLost),
    ],
)
def test_a_run_that_fails_with_the_values_in_force_fails_the_job(request_for, raised, expected):
    def cost():
        raise raised

    with pytest.raises(expected):
        run_fake(FakePipeline(cost), request_for())


def test_cancel_leaves_the_report_of_what_was_tried(request_for):
    class Impatient(NotingSink):
        warnings: list

        def is_canceled(self):
            return fake.runs >= 20

        def warn(self, message):
            self.told = message

    fake, sink, request = FakePipeline(lambda: 1 + level()), None, request_for()
    sink = Impatient()
    with in_force({"export_compression": 9}), pytest.raises(JobCanceled):
        run_fake(fake, request, sink)
    report = json.loads((request.out_dir / "tuning.json").read_text())
    assert report["stopped"] == "canceled"
    assert report["best"]["export_compression"] == 9
    assert [tried["verdict"] for tried in report["tried"]] == ["faster"]
    assert "no setting was changed" in sink.told


def test_nothing_is_left_running(request_for):
    before = threading.active_count()
    run_fake(FakePipeline(lambda: 1.0), request_for())
    assert threading.active_count() == before


def test_run_pipeline_knows_it(request_for):
    request = request_for(budget_s=5)
    report = run_pipeline("tune", request, NotingSink()).facts["tuning"]
    assert report["stopped"] == "budget_spent"
    assert report["runs"] >= 3
