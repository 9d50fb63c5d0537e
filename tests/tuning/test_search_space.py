from __future__ import annotations

from backend.runtime_settings import RUNTIME_SETTINGS, RuntimeSetting, SettingName, in_force
from backend.tuning.search_space import (
    ACTS_WHILE_IDLE,
    NEEDS_GPU,
    NO_BATCHES,
    NO_MODELS,
    NOTHING_READS_IT,
    Ability,
    Axis,
    search_space,
    values_in_force,
)

EXPORT = {"export_compression", "export_threads"}


def test_without_gpu_only_what_means_something_is_tried():
    axes, left_out = search_space(Ability(False, EXPORT))
    assert [axis.setting for axis in axes] == ["export_compression", "export_threads"]
    assert {one.setting: one.reason for one in left_out} == {
        "residency": NEEDS_GPU,
        "idle_offload_s": NEEDS_GPU,
        "idle_release_s": NEEDS_GPU,
        "attention": NOTHING_READS_IT,
        "compile_models": NOTHING_READS_IT,
        "decode": NOTHING_READS_IT,
        "decode_chunk": NOTHING_READS_IT,
        "cfg_batch": NOTHING_READS_IT,
        "max_batch": NO_BATCHES,
    }


def test_a_setting_joins_when_a_run_reads_it():
    axes, left_out = search_space(Ability(False, EXPORT | {"attention", "decode"}))
    assert [axis.setting for axis in axes][:2] == ["attention", "decode"], "networks first"
    assert {axis.setting for axis in axes} == EXPORT | {"attention", "decode"}
    assert "attention" not in {one.setting for one in left_out}


def test_what_acts_while_nothing_runs_is_not_tried_with_a_gpu_either():
    everything = set(RUNTIME_SETTINGS)
    axes, left_out = search_space(Ability(True, everything, takes_batches=True, moves_models=True))
    assert {one.setting: one.reason for one in left_out} == {
        "idle_offload_s": ACTS_WHILE_IDLE,
        "idle_release_s": ACTS_WHILE_IDLE,
    }
    assert [(axis.setting, axis.acts_between_jobs) for axis in axes][-2:] == [
        ("max_batch", True), ("residency", True),
    ]  # fmt: skip
    assert not any(axis.acts_between_jobs for axis in axes[:-2])


def test_batches_and_residency_need_something_that_they_act_on():
    _, left_out = search_space(Ability(True, set(RUNTIME_SETTINGS)))
    reasons = {one.setting: one.reason for one in left_out}
    assert (reasons["max_batch"], reasons["residency"]) == (NO_BATCHES, NO_MODELS)
    axes, _ = search_space(Ability(False, set(), takes_batches=True))
    assert [axis.setting for axis in axes] == ["max_batch"], "batches need no GPU"


def test_values_that_cannot_run_here_are_not_tried():
    ability = Ability(False, {"attention"}, unusable={"attention": {"flash_attn_3", "sdpa_cudnn"}})
    (axis,) = [one for one in search_space(ability)[0] if one.setting == "attention"]
    assert axis.choices == ("auto", "flash_attn_2", "sdpa_flash", "sdpa_efficient", "math")


def test_a_new_setting_joins_by_being_there():
    name = SettingName.EXPORT_THREADS
    on_gpu = RuntimeSetting(name, "Steps at once", (1, 2), 1, 2, needs_gpu=True)
    assert search_space(Ability(True, {name}), {"steps": on_gpu})[0] == [
        Axis("export_threads", "Steps at once", (1, 2))
    ]
    assert search_space(Ability(False, {name}), {"steps": on_gpu})[0] == []


def test_start_values_are_those_in_force():
    with in_force({"export_compression": 7, "decode": "dense"}):
        values = values_in_force()
    assert (values["export_compression"], values["export_threads"]) == (7, 1)
    assert (values["decode"], values["compile_models"]) == ("dense", False)
    assert set(RUNTIME_SETTINGS) - set(values) == {"idle_offload_s", "idle_release_s"}


def test_numbers_have_two_ways_and_names_as_many_as_there_are():
    levels = Axis("level", "Level", (1, 3, 6, 9))
    assert levels.outward(6) == [(3, 1), (9,)]
    assert levels.outward(9) == [(6, 3, 1)]
    assert levels.outward(5) == [(3, 1), (6, 9)]
    switch = Axis("compile", "Compile", (False, True))
    assert switch.outward(False) == [(True,)]
    assert Axis("x", "X", ("a", "b", "c")).outward("b") == [("a",), ("c",)]
    assert Axis("x", "X", (1, 2)).outward(None) == [(1,), (2,)]
