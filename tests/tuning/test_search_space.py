from __future__ import annotations

from backend.runtime_settings import RUNTIME_SETTINGS, RuntimeSetting, SettingName, in_force
from backend.tuning.search_space import (
    ACTS_BETWEEN_JOBS,
    NEEDS_GPU,
    Axis,
    search_space,
    values_in_force,
)


def test_without_gpu_only_what_means_something_is_tried():
    axes, left_out = search_space(uses_gpu=False)
    assert [axis.setting for axis in axes] == ["export_compression", "export_threads"]
    assert {one.setting: one.reason for one in left_out} == {
        "residency": NEEDS_GPU,
        "idle_offload_s": NEEDS_GPU,
        "idle_release_s": NEEDS_GPU,
    }


def test_what_acts_between_jobs_is_not_tried_with_a_gpu_either():
    axes, left_out = search_space(uses_gpu=True)
    assert len(axes) == 2
    assert {one.reason for one in left_out} == {ACTS_BETWEEN_JOBS}


def test_a_new_setting_joins_by_being_there():
    name = SettingName.EXPORT_THREADS
    on_gpu = RuntimeSetting(name, "Steps at once", (1, 2), 1, 2, needs_gpu=True)
    assert search_space(uses_gpu=True, known={"steps": on_gpu})[0] == [
        Axis("export_threads", "Steps at once", (1, 2))
    ]
    assert search_space(uses_gpu=False, known={"steps": on_gpu})[0] == []


def test_start_values_are_those_in_force():
    with in_force({"export_compression": 7}):
        assert values_in_force() == {"export_compression": 7, "export_threads": 1}
    assert set(values_in_force()) < set(RUNTIME_SETTINGS)


def test_numbers_have_two_ways_and_names_as_many_as_there_are():
    levels = Axis("level", "Level", (1, 3, 6, 9))
    assert levels.outward(6) == [(3, 1), (9,)]
    assert levels.outward(9) == [(6, 3, 1)]
    assert levels.outward(5) == [(3, 1), (6, 9)]
    switch = Axis("compile", "Compile", (False, True))
    assert switch.outward(False) == [(True,)]
    assert Axis("x", "X", ("a", "b", "c")).outward("b") == [("a",), ("c",)]
    assert Axis("x", "X", (1, 2)).outward(None) == [(1,), (2,)]
