from __future__ import annotations

import pytest
from sqlalchemy import create_engine, delete, event

from backend.profiling.history import RunFilter, RunHistory
from backend.profiling.run_table import RUNS
from backend.profiling.summary_cache import SummaryCache
from tests.jobs.conftest import ScriptedClock
from tests.profiling.made_runs import made_profile, made_run


@pytest.fixture
def engine():
    return create_engine("sqlite://")


@pytest.fixture
def history(engine):
    return RunHistory(engine, ScriptedClock(), version="1.2.3")


@pytest.fixture
def columns_read(engine):
    """Statements that read whole summaries."""
    statements = []

    def note(connection, cursor, statement, *_):
        if "profile_runs.stages" in statement:
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    return statements


def record(history, clock_s=1.0, **fields):
    base = {
        "job_id": None, "pipeline": "p", "engine": {}, "settings": {}, "shape_key": "k",
        "batch_size": 1,
    }  # fmt: skip
    history._clock.forward(seconds=clock_s)
    profile = made_profile({"shape": 1.0}, started_at=history._clock.now())
    return history.record(profile, **(base | fields))


def names(history, **wanted):
    return [run.run for run in history.runs(RunFilter(**wanted))]


def test_a_run_is_read_from_sql_once(history, columns_read):
    first = [record(history) for _ in range(3)]
    assert names(history) == first[::-1]
    assert len(columns_read) == 1
    assert names(history) == first[::-1]
    assert names(history, limit=2) == first[:0:-1]
    assert len(columns_read) == 1
    new = record(history, settings={"steps": 4})
    [read, *_] = history.runs()
    assert (read.run, read.settings) == (new, {"steps": 4})
    assert len(columns_read) == 2
    assert len(names(history, pipeline="other")) == 0
    assert len(columns_read) == 2


def test_a_dropped_run_is_no_longer_listed(history, engine):
    kept, dropped = record(history), record(history)
    assert names(history) == [dropped, kept]
    with engine.begin() as connection:
        connection.execute(delete(RUNS).where(RUNS.c.id == dropped))
    assert names(history) == [kept]


def test_more_runs_than_one_statement_takes_are_read(history):
    recorded = [record(history) for _ in range(7)]
    history._summaries = SummaryCache(3)
    assert names(history) == recorded[::-1]
    assert names(history) == recorded[::-1]


def test_the_cache_lets_go_of_what_was_not_asked_for():
    cache = SummaryCache(2)
    old, middle, new = (made_run({"a": 1.0}, number) for number in range(3))
    cache.keep([old, middle])
    assert cache.known([old.run]) == {old.run: old}
    cache.keep([new])
    assert cache.known(run.run for run in (old, middle, new)) == {old.run: old, new.run: new}
