"""The promises of the server under kill -9, and that broken ones would be noticed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.jobs.states import JobState
from bench.chaos.invariants import (
    Output,
    StoredJob,
    check_events,
    check_files,
    check_keys,
    check_rows,
    check_terminal,
)
from bench.chaos.killer import Victim
from bench.chaos.log import ClientLog, Followed, Seen
from bench.chaos.run import run_chaos

JOB = "01m7y2xs5c0000000000000000"
DONE = StoredJob(JOB, "key-1", JobState.SUCCEEDED, 2, None, (Output("model.glb", 3, "0" * 64),))


def rules(found):
    return [violation.rule for violation in found]


@pytest.fixture
def log():
    made = ClientLog()
    made.acknowledge("key-1", JOB)
    return made


@pytest.mark.server
def test_a_server_that_is_killed_at_random_keeps_its_promises():
    outcome = run_chaos(jobs=100, kills=12, seed=7)
    assert outcome.violations == []
    assert outcome.jobs == 100
    assert outcome.kills == {kind.value: 3 for kind in Victim}
    assert outcome.states.keys() <= {"succeeded", "canceled"}


def test_a_job_without_a_row_a_stuck_one_and_a_failed_one_are_noticed(log):
    assert rules(check_rows(log, {})) == ["lost"]
    assert rules(check_rows(log, {JOB: DONE})) == []
    for status, rule in [("running", "stuck"), ("failed", "failed"), ("canceled", "canceled")]:
        assert rules(check_rows(log, {JOB: replace(DONE, status=JobState(status))})) == [rule]


def test_two_jobs_for_a_key_are_noticed(log):
    twin = replace(DONE, id=JOB[:-1] + "1")
    assert rules(check_keys(log, {JOB: DONE, twin.id: twin})) == ["two jobs for a key"]
    log.acknowledge("key-1", twin.id)
    assert rules(check_keys(log, {JOB: DONE})) == ["two answers"]


def test_an_end_that_the_row_contradicts_is_noticed(log):
    log.terminal.append((JOB, "canceled"))
    log.followed.append(Followed(JOB, ended=None))
    assert rules(check_terminal(log, {JOB: DONE})) == ["two ends", "end not told"]


def events(*seen):
    return Followed(JOB, [Seen(f"{i}-0", seq, kind, data) for i, seq, kind, data in seen])


STORIES = {
    "in order": ([(1, 1, "state", {}), (2, 2, "progress", {"progress": 5})], []),
    "hole": ([(1, 1, "state", {}), (3, 3, "end", {})], ["hole"]),
    "snapshot of the same place": (
        [(1, 1, "state", {}), (1, 0, "snapshot", {}), (3, 3, "end", {})], ["hole"]),
    "snapshot further on": (
        [(1, 1, "state", {}), (2, 0, "snapshot", {}), (3, 3, "end", {})], []),
    "gap": ([(1, 4, "state", {}), (2, 0, "gap", {}), (3, 1, "state", {})], []),
    "again": ([(1, 1, "state", {}), (2, 1, "state", {})], ["order"]),
    "progress falls": (
        [(1, 1, "state", {"attempt": 1}), (2, 2, "progress", {"progress": 9}),
         (3, 3, "progress", {"progress": 8})], ["progress fell"]),
    "another attempt": (
        [(1, 1, "state", {"attempt": 1}), (2, 2, "progress", {"progress": 9}),
         (3, 3, "state", {"attempt": 2, "progress": 0.0})], []),
    "two ends": ([(1, 1, "end", {}), (2, 2, "end", {})], ["finished twice"]),
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES)
def test_what_a_listener_may_not_see_is_noticed(story):
    seen, broken = STORIES[story]
    assert rules(check_events(events(*seen))) == broken


def test_files_that_are_missing_wrong_or_too_many_are_noticed(tmp_path):
    folder = tmp_path / JOB[-2:] / JOB
    assert rules(check_files(tmp_path, {JOB: DONE})) == ["file missing"]
    (folder / "output-2").mkdir(parents=True)
    (folder / "output-2" / "model.glb").write_bytes(b"abc")
    assert rules(check_files(tmp_path, {JOB: DONE})) == ["file differs"]
    (folder / "output-1").mkdir()
    assert rules(check_files(tmp_path, {JOB: DONE})) == ["file differs", "second output set"]
    assert rules(check_files(tmp_path, {})) == ["file without a row"]
    assert rules(check_files(tmp_path, {JOB: replace(DONE, outputs=())})) == [
        "no outputs",
        "second output set",
    ]
