"""When the networks of a job are timed, and what is kept of it."""

from __future__ import annotations

import pytest
from torch import nn

from backend.engines import hosted_model
from backend.engines.model_probe import ModelTimes
from backend.errors import DeviceLost
from backend.jobs.batches.drafts import ItemDraft, NewBatch
from backend.jobs.evidence_models import NAME
from backend.jobs.measurements import MeasuredOn, Measurements
from backend.jobs.model_probe_runs import ModelProbe
from backend.profiling.run_summary import RunStatus
from backend.profiling.spans import NS, Span, SpanKind
from backend.residency import process
from backend.residency.process import ProcessResidency
from backend.residency.records import ModelSpec
from backend.residency.simulated_device import SimulatedDevice
from backend.runtime_settings import SettingName, value_of
from backend.settings import Settings
from backend.units import MB
from tests.profiling.made_runs import made_profile

SHAPE_KEY = "image_to_3d:standard"
ABOUT = MeasuredOn(NAME, "image_to_3d", SHAPE_KEY)
STAGE = "shape_generation/denoise"
COMPILED = {"eager_s": 0.2, "compiled_s": 0.1, "compile_s": 30.0}


class Model:
    """A network that ran in a stage."""

    def __init__(self, stage=STAGE):
        self.name, self.module, self.stage, self.autocast_dtype = "dit", nn.Identity(), stage, None


@pytest.fixture
def models(monkeypatch):
    found = [Model(), Model("texture_synthesis/denoise"), Model(None)]
    monkeypatch.setattr(hosted_model, "hosted_models", lambda: found)
    return found


@pytest.fixture
def asked(monkeypatch, models):
    """What was asked for; the measurement takes no time."""
    calls = []

    def time(given, clock, stop, *, around, compiled):
        calls.append((given, compiled is not None, stop))
        more = COMPILED if compiled else {}
        return {m.stage: ModelTimes(m.name, 0.2, 0.3, True, 1.5, **more) for m in given}

    monkeypatch.setattr("backend.engines.model_probe.time_models", time)
    return calls


@pytest.fixture
def finished(service, clock):
    def make(status=RunStatus.OK, after_s=0.0, settings=None, calls=None, stage_s=1.0):
        clock.forward(seconds=after_s)
        new = service.prepare("image_to_3d", {"preset": "draft"}, "doll.png")
        service.submit(new, {"image.png": b"x"})
        [job] = service.claims.claim("gpu", "test:1:1", max_n=1)
        service.claims.finish(job, [], {})
        profile = made_profile({"shape_generation": 2.0}, started_at=clock.now())
        (outer,) = profile.spans
        profile.spans.append(
            Span(
                9, outer.id, "denoise", SpanKind.GPU, 7,
                outer.start_ns, outer.start_ns + int(stage_s * NS),
                attributes={"flop": 1e9, "calls": calls} if calls else None,
            )
        )  # fmt: skip
        service.run_history.record(
            profile, job_id=job.id, pipeline="image_to_3d", engine={}, settings=settings or {},
            shape_key=SHAPE_KEY, batch_size=1, status=status,
        )  # fmt: skip
        return job

    return make


@pytest.fixture
def measurements(service):
    return Measurements(service.store.engine, service.clock)


def test_networks_of_the_jobs_own_stages_are_timed_and_kept(service, finished, asked, measurements):
    finished()
    document = ModelProbe(service, "gpu").after(finished(after_s=60))
    [(given, compiles, _)] = asked
    assert [model.stage for model in given] == [STAGE]
    assert compiles is False, "another job ran a minute ago"
    assert document["stages"][STAGE]["double_s"] == 0.3
    assert document["stages"][STAGE]["compile_s"] is None
    assert measurements.newest(ABOUT).document == document


def test_it_is_not_timed_again_within_a_day(service, finished, asked, clock):
    probe = ModelProbe(service, "gpu")
    finished()
    assert probe.after(finished()) is not None
    assert probe.after(finished()) is None
    clock.forward(hours=25)
    finished()
    assert probe.after(finished()) is not None


def test_compiling_is_tried_after_a_quiet_time_and_once_a_week(service, finished, asked, clock):
    probe = ModelProbe(service, "gpu")
    finished()
    first = probe.after(finished(after_s=3600))
    assert first["stages"][STAGE]["compile_s"] == 30.0
    assert probe.after(finished(after_s=3600)) is None, "all of it is known"
    second = probe.after(finished(after_s=25 * 3600))
    assert [compiles for _, compiles, _ in asked] == [True, False]
    assert second["stages"][STAGE]["compile_s"] == 30.0, "what was timed before is not forgotten"
    probe.after(finished(after_s=8 * 86_400))
    assert asked[-1][1] is True


def test_what_a_waiting_job_kept_from_being_compiled_is_tried_again(
    service, finished, models, monkeypatch, clock
):
    seen = []

    def interrupted(given, clock, stop, *, around, compiled):
        seen.append(compiled is not None)
        service.submit(service.prepare("image_to_3d", {}, "next.png"), {"image.png": b"x"})
        return {STAGE: ModelTimes("dit", 0.2)}

    monkeypatch.setattr("backend.engines.model_probe.time_models", interrupted)
    probe = ModelProbe(service, "gpu")
    document = probe.after(finished(after_s=3600))
    assert document["stages"][STAGE].get("compiled_at") is None
    service.claims.claim("gpu", "test:1:1", max_n=1)
    probe.after(finished(after_s=3600))
    assert seen == [True, True]


def test_networks_are_timed_with_the_settings_of_the_job(
    service, finished, models, monkeypatch, clock
):
    seen = []

    def time(given, *_, around, **__):
        with around:
            seen.append((value_of(SettingName.ATTENTION), value_of(SettingName.MAX_BATCH)))
        return {m.stage: ModelTimes(m.name, 0.2) for m in given}

    monkeypatch.setattr("backend.engines.model_probe.time_models", time)
    probe = ModelProbe(service, "gpu")
    document = probe.after(finished(settings={"attention": "math", "export_threads": 2}))
    assert document["settings"] == {"attention": "math"}
    assert probe.after(finished(settings={"attention": "math"})) is None
    probe.after(finished(settings={"attention": "auto", "max_batch": 2}))
    assert seen == [("math", 4), ("auto", 2)], "with other settings all is timed anew"
    assert value_of(SettingName.ATTENTION) == "auto", "and nothing of it stays in force"


def test_a_network_with_long_forwards_is_not_begun(service, finished, asked):
    """A job that comes would wait for one of them: a second is the most."""
    assert ModelProbe(service, "gpu").after(finished(calls=1, stage_s=1.5)) is None
    assert asked == []
    assert ModelProbe(service, "gpu").after(finished(calls=2, stage_s=1.5)) is not None


def test_jobs_of_a_paused_batch_do_not_wait(service, finished, asked):
    job = finished()

    def draft(batch_id):
        new = service.prepare("image_to_3d", {"preset": "draft"}, "a.png", batch_id=batch_id)
        return new, lambda: {"image.png": b"x"}

    batch, _ = service.batches.create(NewBatch("image_to_3d", "toys", {}), [ItemDraft("a", draft)])
    assert ModelProbe(service, "gpu").after(job) is None
    service.batches.pause(batch.id)
    assert ModelProbe(service, "gpu").after(job) is not None


def test_where_networks_run_compiled_already_nothing_is_compiled(service, finished, asked):
    service.tuning.set("compile_models", True)
    assert ModelProbe(service, "gpu").after(finished()) is not None
    assert asked[0][1] is False


def test_a_waiting_job_comes_first(service, finished, asked):
    job = finished()
    new = service.prepare("image_to_3d", {"preset": "draft"}, "next.png")
    service.submit(new, {"image.png": b"x"})
    assert ModelProbe(service, "gpu").after(job) is None
    assert asked == []
    assert ModelProbe(service, "cpu").after(job) is not None
    assert asked[0][2]() is False
    other = service.prepare("cut_out", {}, "next.png")
    service.submit(other, {"image.png": b"x"})
    assert asked[0][2]() is True, "the measurement is told of a job that came meanwhile"


def test_a_job_that_failed_or_used_no_network_is_left_alone(service, finished, asked, models):
    assert ModelProbe(service, "gpu").after(finished(RunStatus.FAILED)) is None
    models[0].stage = "shape_generation/decode_volume"
    assert ModelProbe(service, "gpu").after(finished()) is None
    assert asked == []


def test_what_takes_too_long_is_left_alone_for_an_hour(
    service, finished, models, monkeypatch, clock
):
    calls = []

    def too_slow(*_, **__):
        calls.append(1)
        return {}

    monkeypatch.setattr("backend.engines.model_probe.time_models", too_slow)
    probe = ModelProbe(service, "gpu")
    for _ in range(3):
        assert probe.after(finished()) is None
    assert len(calls) == 1
    probe.after(finished(after_s=3601))
    assert len(calls) == 2


def test_no_failure_of_it_reaches_the_worker(service, finished, models, monkeypatch, caplog):
    def lost(*_, **__):
        raise DeviceLost("gone")

    monkeypatch.setattr("backend.engines.model_probe.time_models", lost)
    assert ModelProbe(service, "gpu").after(finished()) is None
    assert "were not timed" in caplog.text


def test_models_stay_on_the_device_meanwhile(
    service, finished, models, monkeypatch, clock, tmp_path
):
    card = SimulatedDevice(8000 * MB)
    residency = ProcessResidency(Settings(data_dir=tmp_path), clock, lambda _: card)
    monkeypatch.setattr(process, "_current", residency)
    for name in ("dit", "unused"):
        residency.register(ModelSpec(name, lambda: 100 * MB))
    residency.manager().lease("dit").release()
    states = []

    def leases():
        return {m["name"]: m["leases"] for m in residency.status()["models"]}

    def time(*_, around, **__):
        with around:
            states.append(leases())
        states.append(leases())
        return {}

    monkeypatch.setattr("backend.engines.model_probe.time_models", time)
    ModelProbe(service, "gpu").after(finished())
    residency.close()
    assert states == [{"dit": 1, "unused": 0}, {"dit": 0, "unused": 0}], "not while one compiles"
    assert residency.status()["models"][0]["leases"] == 0


def test_a_worker_that_hosts_no_network_imports_nothing(service, finished, monkeypatch):
    monkeypatch.delitem(__import__("sys").modules, "backend.engines.hosted_model")
    job = finished()
    service.close()  # nothing is asked of it any more
    assert ModelProbe(service, "gpu").after(job) is None
