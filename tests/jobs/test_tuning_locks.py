"""Another program holds the write lock: nobody who looks waits, and no job waits for long."""

from __future__ import annotations

import time
from contextlib import contextmanager

import pytest
from sqlalchemy import inspect
from sqlalchemy.exc import OperationalError

from backend.jobs.proposal import Proposal
from backend.jobs.schema import BUSY_TIMEOUT_MS
from backend.jobs.tuned_settings import TunedSettings
from backend.jobs.tuning_store import TuningStore
from backend.profiling.experiment import Arm
from tests.databases import ON_POSTGRES, another_writer

SETTING = "export_compression"
STARTED = {SETTING: 9, "export_threads": 1}
WORK = ("image_to_3d", "image_to_3d:standard")
ADVICE = Proposal("slow_encoding.mesh_export", "Compress less", SETTING, 1, 0.4)
LONGEST_S = 4.0  # others wait for 20 s
AT_ONCE_S = 0.24  # a single wait for a place takes longer


@pytest.fixture
def tuning(store, clock):
    return TuningStore(store.engine, clock, STARTED)


@pytest.fixture
def on_trial(tuning):
    tuning.apply(ADVICE, old=9, pipeline=WORK[0], shape_key=WORK[1])
    return tuning


@pytest.fixture
def locked(store):
    """Hold the write lock, as long as it takes, and refuse to be waited for."""

    @contextmanager
    def hold(longest_s):
        with another_writer(store):
            began_s = time.perf_counter()
            yield
            elapsed_s = time.perf_counter() - began_s
        assert elapsed_s < longest_s

    return hold


def place_of(tuning, job_id):
    slots = tuning.experiments()[0].experiment.slots
    return next((slot for slot in slots if slot.job_id == job_id), None)


def test_looking_takes_no_lock_and_makes_no_tables(store, clock, tuning, locked):
    reports = TunedSettings(store.engine, clock)
    with locked(AT_ONCE_S):
        assert tuning.values() == {}
        assert tuning.experiments() == []
        assert tuning.tests(*WORK) == {}
        assert tuning.values_for("job", *WORK, {SETTING: 3}) == {SETTING: 3}
        assert tuning.measured("job", 1.0) is None
        assert reports.latest() is None
        assert reports.of_job("job") is None
    made = set(inspect(store.engine).get_table_names())
    assert not made & {"setting_overrides", "experiments", "tuning_reports"}


def test_what_is_there_can_be_read_meanwhile(tuning, locked):
    tuning.set(SETTING, 3)
    with locked(AT_ONCE_S):
        assert tuning.values() == {SETTING: 3}
        assert tuning.values_for("job", *WORK) == {SETTING: 3}
        assert tuning.experiments() == []


def test_a_job_that_cannot_have_a_place_runs_with_what_is_in_force(on_trial, locked):
    on_trial.set("export_threads", 4)
    with locked(LONGEST_S / 2):
        assert on_trial.values_for("job", *WORK) == {"export_threads": 4}
    assert place_of(on_trial, "job") is None
    on_trial.values_for("job", *WORK)
    assert place_of(on_trial, "job") is not None


def test_a_job_with_a_place_keeps_its_value_and_waits_for_nobody(store, new_job, on_trial, locked):
    jobs = [store.submit(new_job())[0].id for _ in range(10)]
    values = {job: on_trial.values_for(job, *WORK) for job in jobs}
    assert list(values.values()).count({SETTING: 1}) == 5
    with locked(AT_ONCE_S):
        assert {job: on_trial.values_for(job, *WORK) for job in jobs} == values
        assert on_trial.values_for("one more", *WORK) == {}, "all places are taken"


def test_a_job_keeps_its_value_even_while_a_dead_ones_place_cannot_be_freed(
    store, new_job, on_trial, locked
):
    alive = store.submit(new_job())[0].id
    on_trial.values_for("dead", *WORK)
    before = on_trial.values_for(alive, *WORK)
    with locked(LONGEST_S / 2):
        assert on_trial.values_for(alive, *WORK) == before
    arm = on_trial.experiments()[0].experiment.arm_for(alive)
    assert before == ({SETTING: 1} if arm is Arm.NEW else {})


def test_a_second_attempt_that_cannot_run_with_its_value_is_told_so(on_trial, locked):
    on_trial.values_for("job", *WORK)
    by_hand = {SETTING: 6}  # the old value is no longer what jobs run with
    with locked(LONGEST_S / 2), pytest.raises(OperationalError):
        on_trial.values_for("job", *WORK, by_hand)
    with locked(LONGEST_S / 2):
        assert on_trial.values_for("another", *WORK, by_hand) == by_hand
    assert on_trial.values_for("another", *WORK, by_hand) == by_hand
    assert on_trial.measured("job", 1.0) is None, "the trial has ended"


def test_a_report_gives_up_soon_and_may_be_repeated(on_trial, locked):
    on_trial.values_for("job", *WORK)
    with locked(LONGEST_S / 2), pytest.raises(OperationalError):
        on_trial.measured("job", 1.0)
    on_trial.measured("job", 1.0)
    assert place_of(on_trial, "job").elapsed_s == 1.0
    with locked(AT_ONCE_S):
        assert on_trial.measured("job", 2.0) is None, "it was reported already"
        assert on_trial.canceled("of no trial") is None


@pytest.mark.skipif(ON_POSTGRES, reason="its patience ends with the transaction")
def test_others_wait_as_long_as_ever_on_the_same_connection(store, on_trial, locked):
    with locked(LONGEST_S / 2):
        on_trial.values_for("job", *WORK)
    pool = [store.engine.raw_connection() for _ in range(3)]
    try:
        waits = [c.cursor().execute("PRAGMA busy_timeout").fetchone()[0] for c in pool]
    finally:
        for connection in pool:
            connection.close()
    assert waits == [BUSY_TIMEOUT_MS] * 3
