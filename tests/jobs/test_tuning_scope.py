"""What auto-tune found holds for the pipeline and the device that it measured, for no other."""

from __future__ import annotations

import pytest

from backend.errors import InvalidParameter
from backend.jobs import local_devices
from backend.jobs.local_devices import LocalDevices, is_same_device
from backend.jobs.proposal import Proposal
from backend.jobs.setting_overrides import Scope
from backend.jobs.tuning_store import TuningStore
from backend.profiling.experiment import ExperimentState
from backend.tuning.machine import processor_name

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
