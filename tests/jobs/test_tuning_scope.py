"""What auto-tune found holds for the pipeline, device and engines it measured, for no others."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect

from backend.errors import InvalidParameter
from backend.jobs import local_devices
from backend.jobs.local_devices import LocalDevices, is_same_device
from backend.jobs.proposal import Proposal
from backend.jobs.setting_overrides import Scope
from backend.jobs.tuning_store import TuningStore
from backend.profiling.experiment import ExperimentState
from backend.profiling.history import RunHistory
from backend.profiling.run_summary import RunStatus
from backend.tuning.machine import processor_name
from tests.profiling.made_runs import made_profile

SETTING = "export_compression"
STARTED = {SETTING: 9, "export_threads": 1}
MODELS, MASKS = "image_to_3d", "cut_out"
FOUND = Scope(MODELS, "Abacus")
KIND = (MODELS, "image_to_3d:standard")


@pytest.fixture
def present():
    return {"Abacus", "processor"}


@pytest.fixture
def tuning(store, clock, present):
    return TuningStore(store.engine, clock, STARTED, lambda: present)


def test_jobs_of_the_measured_pipeline_only(tuning):
    tuning.adopt({SETTING: 1}, FOUND)
    assert tuning.values_for("job", *KIND) == {SETTING: 1}
    assert tuning.values_for("job", MASKS, MASKS) == {}
    assert (tuning.values(MODELS), tuning.values(MASKS)) == ({SETTING: 1}, {})


def test_another_card_starts_anew_and_the_first_one_is_remembered(tuning, present):
    tuning.adopt({SETTING: 1}, FOUND)
    present.remove("Abacus")
    present.add("Slide rule")
    assert tuning.values_for("job", *KIND) == {}
    tuning.adopt({SETTING: 6}, Scope(MODELS, "Slide rule"))
    assert tuning.values_for("job", *KIND) == {SETTING: 6}
    assert tuning.values(MODELS, "Abacus") == {SETTING: 1}
    present.remove("Slide rule")
    present.add("Abacus")
    assert tuning.values_for("job", *KIND) == {SETTING: 1}


def test_the_newest_decision_holds(tuning):
    tuning.adopt({SETTING: 1}, FOUND)
    tuning.set(SETTING, 3)
    assert tuning.values(MODELS) == {SETTING: 3}, "a person speaks for all work"
    tuning.adopt({SETTING: 6}, FOUND)
    assert tuning.values(MODELS) == {SETTING: 6}
    assert tuning.values(MASKS) == {SETTING: 3}
    tuning.reset(SETTING)
    assert tuning.values() == {}


def test_all_of_it_or_nothing(tuning):
    with pytest.raises(InvalidParameter):
        tuning.adopt({SETTING: 1, "export_threads": 99}, FOUND)
    assert tuning.values() == {}


def decide(tuning, new):
    for number in range(30):
        values = tuning.values_for(f"job{number}", *KIND)
        decided = tuning.measured(f"job{number}", 1.0 if values.get(SETTING) == new else 2.0)
        if decided:
            return decided
    return None


@pytest.mark.parametrize("person_before", [None, 6])
def test_a_trial_replaces_it_and_revert_brings_it_back(tuning, person_before):
    if person_before is not None:
        tuning.set(SETTING, person_before)
    tuning.adopt({SETTING: 3}, FOUND)
    begun = tuning.apply(
        Proposal("slow_encoding.mesh_export", "Compress less", SETTING, 1, 0.4),
        pipeline=MODELS, shape_key=KIND[1], old=3,
    )  # fmt: skip
    assert decide(tuning, 1).experiment.state is ExperimentState.CONFIRMED
    assert (tuning.values(MODELS), tuning.values(MASKS)) == ({SETTING: 1}, {SETTING: 1})
    tuning.revert(begun.id)
    assert tuning.values(MODELS) == {SETTING: 3}
    assert tuning.values(MASKS) == ({} if person_before is None else {SETTING: person_before})


def test_finding_something_ends_the_trial_of_that_work_only(tuning):
    advice = Proposal("slow_encoding.mask_export", "Compress less", SETTING, 1, 0.4)
    tuning.apply(advice, pipeline=MASKS, shape_key=MASKS, old=9)
    tuning.adopt({SETTING: 3}, FOUND)
    assert tuning.experiments()[0].experiment.state is ExperimentState.APPLIED
    tuning.revert(advice.advice_id)
    tuning.apply(advice, pipeline=MODELS, shape_key=KIND[1], old=3)
    tuning.adopt({SETTING: 6}, FOUND)
    assert tuning.experiments()[0].experiment.state is ExperimentState.DISMISSED


def test_auto_tune_starts_from_the_values_of_what_it_tunes(tuning, store, new_job):
    tuning.adopt({SETTING: 1}, FOUND)
    tune, _ = store.submit(new_job(pipeline="tune", params={"target": MODELS}))
    assert tuning.values_for(tune.id, "tune", "tune:draft:60") == {SETTING: 1}
    masks, _ = store.submit(new_job(pipeline="tune", params={"target": MASKS}))
    assert tuning.values_for(masks.id, "tune", "tune:draft:60") == {}


def test_this_machine_has_its_processor_and_the_cards_in_sight(monkeypatch):
    monkeypatch.setattr(local_devices, "telemetry_source", lambda: Cards())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert LocalDevices()() == {"Slide rule", processor_name()}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert LocalDevices()() == {"Abacus", "Slide rule", processor_name()}


class Cards:
    def sample(self):
        return [{"index": 0, "uuid": "GPU-a", "name": "Abacus"},
                {"index": 1, "uuid": "GPU-b", "name": "Slide rule"},
                {"index": 2, "uuid": None, "name": None}]  # fmt: skip


def test_a_slice_of_a_card_is_that_card():
    assert is_same_device("NVIDIA H200 MIG 1g.18gb", "NVIDIA H200")
    assert not is_same_device("NVIDIA H200 NVL", "NVIDIA H200")


def test_names_of_processors_are_short_enough(tuning):
    long = "A" * 500
    tuning.adopt({SETTING: 1}, Scope(MODELS, long))
    assert tuning.values(MODELS, long) == {SETTING: 1}


SHAPED = "shape=inflate texture=projection"
WITH_CARVE = {"shape": "carve", "texture": "projection"}
WITH_INFLATE = {"shape": "inflate", "texture": "projection", "background": "grabcut"}


@pytest.fixture
def history(store, clock):
    return RunHistory(store.engine, clock)


def ran(history, clock, engine, shape_key=KIND[1], status=RunStatus.OK):
    clock.forward(seconds=1)
    profile = made_profile({"shape_generation": 1.0}, started_at=clock.now())
    history.record(
        profile, job_id=None, pipeline=MODELS, engine=engine, settings={},
        shape_key=shape_key, batch_size=1, status=status,
    )  # fmt: skip


def test_values_hold_for_the_engines_they_were_found_with(tuning, history, clock):
    tuning.adopt({SETTING: 1}, Scope(MODELS, "Abacus", SHAPED))
    assert tuning.values_for("job", *KIND) == {SETTING: 1}, "nothing speaks against it"
    ran(history, clock, WITH_CARVE)
    assert tuning.values_for("job", *KIND) == {}
    assert tuning.values(MODELS) == {}
    ran(history, clock, WITH_INFLATE)
    assert tuning.values_for("job", *KIND) == {SETTING: 1}, "the background follows the picture"
    assert tuning.values(MODELS) == {SETTING: 1}


def test_only_like_work_that_went_well_tells_the_engine(tuning, history, clock):
    tuning.adopt({SETTING: 1}, Scope(MODELS, "Abacus", SHAPED))
    ran(history, clock, WITH_INFLATE)
    ran(history, clock, WITH_CARVE, shape_key="image_to_3d:high")
    ran(history, clock, WITH_CARVE, status=RunStatus.FAILED)
    assert tuning.values_for("job", *KIND) == {SETTING: 1}
    assert tuning.values_for("job", MODELS, "image_to_3d:high") == {}


def test_an_engine_asked_for_by_name_goes_before_what_ran_last(
    tuning, history, clock, store, new_job
):
    tuning.adopt({SETTING: 1}, Scope(MODELS, "Abacus", SHAPED))
    ran(history, clock, WITH_CARVE)
    inflate, _ = store.submit(new_job(pipeline=MODELS, params={"engine": "inflate"}))
    auto, _ = store.submit(new_job(pipeline=MODELS, params={"engine": "auto"}))
    assert tuning.values_for(inflate.id, *KIND) == {SETTING: 1}
    assert tuning.values_for(auto.id, *KIND) == {}
    clock.forward(seconds=1)
    ran(history, clock, WITH_INFLATE)
    assert tuning.values_for(auto.id, *KIND) == {SETTING: 1}, "it gets what ran last"


def test_each_set_of_engines_has_values_of_its_own(tuning, history, clock):
    tuning.adopt({SETTING: 1}, Scope(MODELS, "Abacus", SHAPED))
    clock.forward(seconds=1)
    tuning.adopt({SETTING: 6}, Scope(MODELS, "Abacus", "shape=carve texture=projection"))
    assert tuning.values(MODELS, "Abacus", WITH_INFLATE) == {SETTING: 1}
    assert tuning.values(MODELS, "Abacus", WITH_CARVE) == {SETTING: 6}
    ran(history, clock, WITH_INFLATE)
    assert tuning.values_for("job", *KIND) == {SETTING: 1}
    tuning.adopt({SETTING: 3}, Scope(MODELS, "Abacus", SHAPED))
    assert tuning.values(MODELS, "Abacus", WITH_INFLATE) == {SETTING: 3}
    clock.forward(seconds=1)
    tuning.set(SETTING, 9)
    assert tuning.values(MODELS, "Abacus", WITH_CARVE) == {SETTING: 9}, "a person speaks for all"
    tuning.reset(SETTING)
    assert tuning.values() == {}


def test_what_an_earlier_version_found_holds_for_any_engine(tuning, history, clock, store):
    """Its table has no column for engines, and no other table is there."""
    tuning.adopt({SETTING: 1}, FOUND)
    tables = inspect(store.engine).get_table_names()
    assert "engine_overrides" not in tables
    ran(history, clock, WITH_CARVE)
    assert tuning.values_for("job", *KIND) == {SETTING: 1}
    clock.forward(seconds=1)
    tuning.adopt({SETTING: 6}, Scope(MODELS, "Abacus", SHAPED))
    assert tuning.values(MODELS, "Abacus", WITH_CARVE) == {SETTING: 1}
    assert tuning.values(MODELS, "Abacus", WITH_INFLATE) == {SETTING: 6}


def test_auto_tune_starts_from_the_values_of_the_engines_it_will_find(
    tuning, history, clock, store, new_job
):
    tuning.adopt({SETTING: 1}, Scope(MODELS, "Abacus", SHAPED))
    tune, _ = store.submit(new_job(pipeline="tune", params={"target": MODELS}))
    ran(history, clock, WITH_INFLATE, shape_key="image_to_3d:high")
    assert tuning.values_for(tune.id, "tune", "tune:draft:60") == {SETTING: 1}
    ran(history, clock, WITH_CARVE, shape_key="image_to_3d:high")
    assert tuning.values_for(tune.id, "tune", "tune:draft:60") == {}
