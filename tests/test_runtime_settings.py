from __future__ import annotations

import pytest

from backend.errors import InvalidParameter
from backend.gpu.attention import AUTO, AttentionBackend
from backend.profiling.recorder import wrap
from backend.runtime_settings import (
    RUNTIME_SETTINGS,
    SettingName,
    in_force,
    number_of,
    recorded_reads,
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


def test_the_ways_of_attention_are_those_that_exist():
    names = (AUTO, *(backend.value for backend in AttentionBackend))
    assert RUNTIME_SETTINGS["attention"].choices == names


def test_a_block_learns_what_it_read():
    with recorded_reads() as outer:
        value_of(SettingName.DECODE)
        with recorded_reads() as inner:
            number_of(SettingName.MAX_BATCH)
        with in_force({"cfg_batch": True}):  # to set is not to read
            pass
    value_of(SettingName.ATTENTION)
    assert (outer, inner) == ({"decode", "max_batch"}, {"max_batch"})


def test_reads_in_threads_that_carry_the_context_are_learned_of():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool, recorded_reads() as names:
        pool.submit(wrap(lambda: value_of(SettingName.DECODE))).result()
        pool.submit(lambda: value_of(SettingName.ATTENTION)).result()
    assert names == {"decode"}


def test_a_block_that_fails_stops_learning():
    with pytest.raises(KeyError), recorded_reads() as names:
        raise KeyError
    value_of(SettingName.DECODE)
    assert names == set()


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
        ("attention", "fastest"),
        ("compile_models", 1),
        ("compile_models", None),
        ("decode", "sparse"),
        ("decode_chunk", -1),
        ("decode_chunk", 512.0),
        ("cfg_batch", "true"),
        ("max_batch", 0),
        ("max_batch", True),
        ("quality", 1),
    ],
)
def test_what_cannot_be_set_is_refused(name, value):
    with pytest.raises(InvalidParameter, match=name), in_force({name: value}):
        pass
