"""Copies of models to the card, from what a worker tells of itself."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from backend.jobs.evidence_copies import copy_figures
from backend.jobs.residency_moves import KEPT_MOVES, MoveWriter
from backend.profiling.advice.evidence import Evidence, JobTimes
from backend.profiling.advice.ranking import recommend
from backend.profiling.advice.rule_id import RuleId
from backend.residency.controls import offload
from backend.residency.device import BackendName
from backend.residency.manager import ResidencyManager
from backend.residency.policies import ResidencyRules
from backend.residency.records import ModelSpec
from backend.residency.simulated_device import SimulatedDevice
from backend.residency.snapshot import residency_status
from backend.units import MB, iso
from tests.profiling.made_runs import DAY, made_run

PAGEABLE_BYTES_PER_S, LINK_BYTES_PER_S = 2e9, 12e9
SIZE_MB = 1000


class Card(SimulatedDevice):
    """Says of itself that it is a card with a fast link; uploads come from pageable memory."""

    name = BackendName.CUDA

    def known_link_bytes_per_s(self):
        return LINK_BYTES_PER_S


class List:
    """Redis, as far as a list of moves needs it."""

    def __init__(self):
        self.entries = []

    def pipeline(self, **_):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def lpush(self, _key, *texts):
        self.entries += [json.loads(text) for text in texts]

    def ltrim(self, *_):
        pass

    def execute(self):
        pass


@pytest.fixture
def card(clock):
    spend = lambda seconds: clock.forward(seconds=seconds)  # noqa: E731
    return Card(8000 * MB, PAGEABLE_BYTES_PER_S, spend)


@pytest.fixture
def worked(card, clock):
    """Ten jobs, each of which brings the model back; returns its beat, its moves and its runs."""

    def make(pin_mb=0, jobs=10, free_mb=50_000):
        rules = ResidencyRules(pin_budget_bytes=pin_mb * MB)
        manager = ResidencyManager(card, rules, clock, lambda: free_mb * MB)
        manager.register(ModelSpec("dit", lambda: SIZE_MB * MB))
        redis, moves, runs = List(), None, []
        writer = MoveWriter(redis, "worker", "card")
        for number in range(jobs):
            runs.insert(0, made_run({"shape": 10.0}, number, started_at=clock.now()))
            manager.lease("dit").release()
            offload(manager, "dit", drain=True)
            beat = residency_status(manager) | {"sampled_at": iso(clock.now())}
            writer.publish(beat)
        moves = redis.entries
        return [beat], moves, runs

    return make


def test_copies_from_pageable_memory_are_counted_and_timed(worked):
    found = copy_figures(*worked())
    assert found.bytes_per_job == SIZE_MB * MB
    assert found.bytes_per_s == pytest.approx(PAGEABLE_BYTES_PER_S, rel=0.01)
    assert found.pinned_bytes_per_s == LINK_BYTES_PER_S
    assert found.free_host_bytes == 50_000 * MB


def test_the_rule_speaks_when_they_are_slow_and_memory_is_free(worked):
    advice = recommend(Evidence(job=JobTimes(10.0, 10), copies=copy_figures(*worked())))
    assert [one.rule for one in advice] == [RuleId.PAGEABLE_COPIES]
    full = copy_figures(*worked(free_mb=500))
    assert recommend(Evidence(job=JobTimes(10.0, 10), copies=full)) == []


def test_page_locked_copies_are_no_concern(worked):
    assert copy_figures(*worked(pin_mb=SIZE_MB)) is None
    assert copy_figures(*worked(pin_mb=SIZE_MB // 2)) is not None


def test_few_runs_or_no_card_tell_nothing(worked):
    beats, moves, runs = worked()
    assert copy_figures(beats, moves, runs[:4]) is None
    assert copy_figures(beats, moves, []) is None
    assert copy_figures(beats, [], runs) is None
    off_card = [move | {"on_gpu": False} for move in moves]
    assert copy_figures(beats, off_card, runs) is None
    on_cpu = [beat | {"residency": beat["residency"] | {"backend": "cpu"}} for beat in beats]
    assert copy_figures(on_cpu, moves, runs) is None


def test_only_the_time_that_both_are_known_of_counts(worked):
    beats, moves, runs = worked()
    older = [made_run({"shape": 1.0}, n, started_at=DAY - timedelta(days=1)) for n in range(10)]
    assert copy_figures(beats, moves, [*runs, *older]).bytes_per_job == SIZE_MB * MB / 2
    assert copy_figures(beats, moves, runs[:5]).bytes_per_job == SIZE_MB * MB, "of these runs alone"
    full = [moves[0]] * (KEPT_MOVES - len(moves)) + moves  # the list has dropped older moves
    assert copy_figures(beats, full, [*runs, *older]).bytes_per_job >= SIZE_MB * MB


def test_what_is_not_known_is_none(worked):
    beats, moves, runs = worked()
    residency = beats[0]["residency"] | {"link": {"gb_per_s": None}, "host": {}}
    found = copy_figures([beats[0] | {"residency": residency}], moves, runs)
    assert (found.pinned_bytes_per_s, found.free_host_bytes) == (None, None)
