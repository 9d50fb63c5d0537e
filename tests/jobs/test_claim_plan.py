"""What a worker plans to claim: size, company, and the moment it waits for more."""

from __future__ import annotations

from dataclasses import replace

import pytest

import backend.jobs.claim_plan as plans
from backend.batch_processor import BatchedStage, BatchProcessor
from backend.errors import EngineUnavailable
from backend.gpu.batch_history import BatchHistory
from backend.gpu.peak_model import BatchOutcome, BatchSample
from backend.gpu_optimizer import GPUOptimizer
from backend.jobs.claim_plan import ClaimPlanner
from backend.jobs.claims import Choice
from backend.jobs.owners import Owner
from backend.jobs.proposal import Proposal
from backend.jobs.setting_overrides import Scope
from backend.jobs.states import Priority
from tests.batching.scripted_engine import ScriptedEngine

DEAD = f"{Owner.this_process().host}:1:12345"
SHAPE = BatchedStage("shape_generation", ScriptedEngine())


@pytest.fixture
def processor(tmp_path):
    history = BatchHistory(tmp_path / "gpu.sqlite3")
    optimizer = GPUOptimizer(history=history, read_status=lambda: {"devices": []})
    return BatchProcessor(optimizer)


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def planner(service, clock, processor, pauses, monkeypatch):
    """Plans for a machine of two cores with memory enough; engines gain from batches."""
    monkeypatch.setattr(plans, "core_count", lambda: 2)
    monkeypatch.setattr(plans, "has_free_memory", lambda: True)

    def make(stages=(SHAPE,), meanwhile=lambda: None):
        def pause(seconds):
            pauses.append(seconds)
            clock.forward(seconds=seconds)
            meanwhile()

        return ClaimPlanner(service, "gpu", lambda *_: stages, lambda: processor, pause=pause)

    return make


@pytest.fixture
def submit(service, new_job, clock):
    def submit_some(count=1, *, age_s=10.0, **fields):
        made = [service.store.submit(new_job(**fields))[0] for _ in range(count)]
        clock.forward(seconds=age_s)
        return made

    return submit_some


def test_nothing_waits(planner):
    assert planner().plan() is None


def test_as_many_as_wait_and_are_allowed(planner, submit, pauses):
    submit(3)
    plan = planner().plan()
    assert (plan.size, plan.may_overlap, plan.choice) == (3, True, Choice("b"))
    submit(9)
    assert planner().plan().size == 4
    assert pauses == [], "nobody comes in just now"


def test_the_setting_in_force_is_the_limit(planner, submit, service):
    submit(9)
    service.tuning.set("max_batch", 2)
    assert planner().plan().size == 2
    service.tuning.set("max_batch", 1)
    assert planner().plan().size == 1


def test_a_size_that_was_tuned_for_one_engine_is_not_that_of_another(planner, submit, service):
    service.tuning.adopt({"max_batch": 8}, Scope("image_to_3d", engines="shape=tiny"))
    submit(9, params={"preset": "draft", "engine": "inflate"})
    assert planner().plan().size == 4
    submit(9, params={"preset": "draft", "engine": "tiny"}, batch_key="t", priority=Priority.HIGH)
    assert planner().plan().size == 8


def test_no_company_where_no_engine_gains(planner, submit):
    submit(3)
    plan = planner(stages=()).plan()
    assert (plan.size, plan.may_overlap) == (1, False)


def test_an_engine_of_the_device_without_batches_may_still_overlap(planner, submit):
    submit(3)
    engine = ScriptedEngine(batches=False)
    plan = planner(stages=(BatchedStage("shape_generation", engine),)).plan()
    assert (plan.size, plan.may_overlap) == (1, True)


@pytest.mark.parametrize("error", [EngineUnavailable("Scripted."), ImportError("scripted")])
def test_work_whose_engines_cannot_be_told_is_claimed_all_the_same(
    service, submit, processor, error
):
    """The job that cannot run has to say so; it must not lie in the queue for ever."""

    def find_stages(_pipeline, _params):
        raise error

    submit(3)
    assert ClaimPlanner(service, "gpu", find_stages, lambda: processor).plan().size == 1


def test_a_job_whose_worker_died_runs_alone(planner, submit, service):
    submit(2)
    service.claims.claim("gpu", DEAD, max_n=2)
    service.claims.release_lost()
    submit(2)
    plan = planner().plan()
    assert (plan.size, plan.may_overlap) == (1, False)
    assert plan.choice == Choice("b", is_retry=True)
    assert planner().plan(beside_another=True) is None


def test_more_jobs_that_come_in_just_now_are_waited_for_once(planner, submit, pauses):
    submit(2, age_s=0.1)
    latecomers = [lambda: submit(1, age_s=0)]
    plan = planner(meanwhile=lambda: latecomers and latecomers.pop()()).plan()
    assert plan.size == 3
    assert 0.1 < sum(pauses) <= 0.26


def test_a_single_job_is_never_held_up(planner, submit, pauses):
    submit(1, age_s=0)
    assert planner().plan().size == 1
    assert pauses == []


def test_while_the_device_is_busy_even_a_single_job_waits_for_company(planner, submit, pauses):
    submit(1, age_s=0.1)
    latecomers = [lambda: submit(1, age_s=0)]
    maker = planner(meanwhile=lambda: latecomers and latecomers.pop()())
    assert maker.plan(beside_another=True).size == 2
    assert 0.1 < sum(pauses) <= 0.26


def test_a_full_batch_is_not_held_up(planner, submit, pauses):
    submit(4, age_s=0)
    assert planner().plan().size == 4
    assert pauses == []


def test_waiting_ends_after_a_quarter_of_a_second_whoever_comes(planner, submit, pauses, service):
    service.tuning.set("max_batch", 64)
    submit(2, age_s=0)
    assert planner(meanwhile=lambda: submit(1, age_s=0)).plan().size >= 3
    assert sum(pauses) <= 0.26


def test_jobs_run_one_by_one_while_advice_is_on_trial(planner, submit, service):
    submit(3)
    proposal = Proposal("R1", "Write with more threads", "export_threads", 4, 1.0)
    trial = service.tuning.apply(proposal, pipeline="image_to_3d", shape_key="s", old=1)
    plan = planner().plan()
    assert (plan.size, plan.may_overlap) == (1, False)
    service.tuning.revert(trial.id)
    assert planner().plan().size == 3


def test_a_job_to_be_profiled_in_depth_runs_alone(planner, submit, service):
    submit(3)
    service.deep_profiles.arm()
    assert planner().plan().size == 1
    service.deep_profiles.disarm()
    assert planner().plan().size == 3


def test_auto_tune_runs_alone(planner, submit):
    submit(2, pipeline="tune", params={})
    plan = planner().plan()
    assert (plan.size, plan.may_overlap) == (1, False)


def test_what_comes_late_joins_as_many_as_are_allowed_together(planner, submit, pauses):
    submit(2, age_s=0)
    plan = planner().plan_late({"b": 1})
    assert (plan.size, plan.may_overlap, plan.choice) == (2, True, Choice("b"))
    submit(9, age_s=0)
    assert planner().plan_late({"b": 1}).size == 3
    assert planner().plan_late({"b": 3}).size == 1
    assert planner().plan_late({"b": 4}) is None
    assert planner().plan_late({"b": 5}) is None
    assert pauses == [], "whoever comes in later may join as well"


def test_what_comes_late_never_makes_a_batch_larger_than_is_safe(planner, submit, processor):
    submit(9)
    key = processor._calls.key(SHAPE.engine, SHAPE.stage, "b")
    sample = BatchSample(3, 1.0, outcome=BatchOutcome.OUT_OF_MEMORY)
    processor._optimizer.history.record(key, sample)
    assert planner().plan_late({"b": 1}).size == 1
    assert planner().plan_late({"b": 2}) is None


def test_what_comes_late_follows_the_setting_in_force(planner, submit, service):
    submit(9)
    service.tuning.set("max_batch", 2)
    assert planner().plan_late({"b": 1}).size == 1
    service.tuning.set("max_batch", 1)
    assert planner().plan_late({"b": 1}) is None


def test_nothing_joins_where_nothing_waits_or_nothing_runs_that_it_fits(planner, submit):
    assert planner().plan_late({"b": 1}) is None
    submit(1)
    assert planner().plan_late({"other": 1}) is None
    assert planner().plan_late({"other": 1, "b": 1}).size == 1


def test_nothing_joins_when_it_is_the_turn_of_another_kind(planner, submit, service, clock):
    """Another model has waited for a whole turn, or more urgent work came in."""
    mine, other = (f'image_to_3d:{{"engine": "{name}"}}' for name in ("inflate", "tiny"))
    submit(1, batch_key=mine)
    maker = planner()
    maker.turns.took(maker.plan().kind, clock.now())
    submit(1, batch_key=other, age_s=20)
    assert maker.plan_late({mine: 1}).size == 1
    clock.forward(seconds=20)
    assert maker.plan_late({mine: 1}) is None
    assert maker.plan_late({other: 1}).size == 1
    submit(1, batch_key="urgent", priority=Priority.HIGH, age_s=0)
    assert maker.plan_late({mine: 1, other: 1}) is None


def test_a_job_whose_worker_died_joins_nothing(planner, submit, service):
    submit(1)
    service.claims.claim("gpu", DEAD, max_n=2)
    service.claims.release_lost()
    assert planner().plan_late({"b": 1}) is None


def test_nothing_joins_while_something_must_run_alone(planner, submit, service):
    submit(3)
    service.deep_profiles.arm()
    assert planner().plan_late({"b": 1}) is None
    service.deep_profiles.disarm()
    proposal = Proposal("R1", "Write with more threads", "export_threads", 4, 1.0)
    trial = service.tuning.apply(proposal, pipeline="image_to_3d", shape_key="s", old=1)
    assert planner().plan_late({"b": 1}) is None
    service.tuning.revert(trial.id)
    assert planner().plan_late({"b": 1}).size == 3


def test_auto_tune_joins_nothing(planner, submit):
    submit(2, pipeline="tune", params={})
    assert planner().plan_late({"b": 1}) is None


def test_nothing_joins_without_memory_or_engines_that_gain(planner, submit, monkeypatch):
    submit(3)
    engine = ScriptedEngine(batches=False)
    assert planner(stages=()).plan_late({"b": 1}) is None
    assert planner(stages=(BatchedStage("shape_generation", engine),)).plan_late({"b": 1}) is None
    monkeypatch.setattr(plans, "has_free_memory", lambda: False)
    assert planner().plan_late({"b": 1}) is None


def test_a_second_claim_only_where_it_may_overlap(planner, submit, service, monkeypatch):
    submit(2)
    assert planner().plan(beside_another=True).size == 2
    monkeypatch.setattr(plans, "has_free_memory", lambda: False)
    assert planner().plan(beside_another=True) is None
    assert planner().plan().size == 2
    monkeypatch.setattr(plans, "has_free_memory", lambda: True)
    monkeypatch.setattr(plans, "core_count", lambda: 1)
    assert planner().plan(beside_another=True) is None
    monkeypatch.setattr(plans, "core_count", lambda: 2)
    service.settings = replace(service.settings, overlap=False)
    assert planner().plan(beside_another=True) is None
