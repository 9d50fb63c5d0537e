from __future__ import annotations

import threading

import pytest

from backend.profiling.recorder import profile_stage, record_pipeline


def test_nested_stages_count_once_in_the_total():
    with record_pipeline("p") as record, profile_stage("outer"), profile_stage("inner"):
        pass
    assert [(s.name, s.depth) for s in record.stages] == [("inner", 1), ("outer", 0)]
    assert record.total_s == record.stages[1].elapsed_s


def test_failed_stage_is_recorded_as_failed():
    with record_pipeline("p") as record, pytest.raises(KeyError), profile_stage("s"):
        raise KeyError
    assert [(s.name, s.failed) for s in record.stages] == [("s", True)]


def test_two_threads_do_not_mix_their_stages():
    both_inside = threading.Barrier(2)
    seen: dict[str, list[str]] = {}

    def work(name: str) -> None:
        with record_pipeline(name) as record, profile_stage(f"{name}-stage"):
            both_inside.wait(timeout=10)
        seen[name] = [stage.name for stage in record.stages]

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"a": ["a-stage"], "b": ["b-stage"]}


def test_stage_without_a_pipeline_passes_through():
    with profile_stage("alone"):
        reached = True
    assert reached
