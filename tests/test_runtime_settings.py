from __future__ import annotations

import pytest

from backend.errors import InvalidParameter
from backend.profiling.recorder import wrap
from backend.runtime_settings import (
    RUNTIME_SETTINGS,
    SettingName,
    in_force,
    number_of,
    started_with,
    value_of,
)
from backend.settings import Settings


def test_the_values_of_the_start_are_in_force_until_changed():
    settings = Settings(export_compression=9, residency="resident")
    values = started_with(settings)
    assert set(values) == set(RUNTIME_SETTINGS)
    with in_force(values):
        assert value_of(SettingName.RESIDENCY) == "resident"
        with in_force({"export_compression": 3}):
            assert number_of(SettingName.EXPORT_COMPRESSION) == 3
            assert value_of(SettingName.RESIDENCY) == "resident"
        assert number_of(SettingName.EXPORT_COMPRESSION) == 9
    assert number_of(SettingName.EXPORT_COMPRESSION) == Settings().export_compression


def test_a_wrapped_function_sees_them_in_another_thread():
    from concurrent.futures import ThreadPoolExecutor

    with in_force({"export_threads": 4}), ThreadPoolExecutor(1) as pool:
        seen = pool.submit(wrap(lambda: number_of(SettingName.EXPORT_THREADS))).result()
        bare = pool.submit(lambda: number_of(SettingName.EXPORT_THREADS)).result()
    assert (seen, bare) == (4, Settings().export_threads)


@pytest.mark.parametrize("name", list(RUNTIME_SETTINGS))
def test_every_choice_and_every_default_is_allowed(name):
    setting = RUNTIME_SETTINGS[name]
    for value in (*setting.choices, getattr(Settings(), name)):
        assert setting.check(value) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("export_compression", 10),
        ("export_compression", 1.5),
        ("export_compression", True),
        ("export_compression", None),
        ("export_threads", 0),
        ("idle_offload_s", float("nan")),
        ("residency", "sometimes"),
        ("quality", 1),
    ],
)
def test_what_cannot_be_set_is_refused(name, value):
    with pytest.raises(InvalidParameter, match=name), in_force({name: value}):
        pass
