from __future__ import annotations

import threading

import pytest

from backend.profiling.history import RunHistory
from backend.profiling.run_memo import RunMemo
from tests.jobs.conftest import ScriptedClock
from tests.profiling.made_runs import made_profile


@pytest.fixture
def history(tmp_path):
    made = RunHistory(f"sqlite:///{tmp_path / 'runs.sqlite3'}", ScriptedClock())
    yield made
    made.close()


def record(history):
    return history.record(
        made_profile({"shape": 1.0}), job_id=None, pipeline="p", engine={}, settings={},
        shape_key="k", batch_size=1,
    )  # fmt: skip


def names(history):
    return [run.run for run in history.runs()]


def test_only_a_new_run_makes_it_work_again(history):
    asked = []
    memo = RunMemo(lambda of, before: asked.append(before) or names(of))
    assert memo.of(history) == memo.of(history) == []
    assert len(asked) == 1
    run = record(history)
    assert memo.of(history) == memo.of(history) == [run]
    assert asked == [None, []]


def test_each_history_has_its_own_answer(history):
    memo = RunMemo(lambda of, _: names(of))
    record(history)
    assert len(memo.of(history)) == 1
    assert memo.of(RunHistory("sqlite://", ScriptedClock())) == []


def test_a_run_recorded_meanwhile_is_told_the_next_time(history):
    def late(of, _):
        found = names(of)
        if not found:
            record(of)
        return found

    memo = RunMemo(late)
    assert memo.of(history) == []
    assert len(memo.of(history)) == 1


def test_nobody_waits_for_another(history):
    begun, go_on = threading.Event(), threading.Event()

    def slow(of, _):
        if threading.current_thread() is not threading.main_thread():
            begun.set()
            assert go_on.wait(10)
        return names(of)

    memo = RunMemo(slow)
    other = threading.Thread(target=memo.of, args=(history,))
    other.start()
    assert begun.wait(10)
    assert memo.of(history) == []
    go_on.set()
    other.join(10)
