"""The public face of batches: sizes, tasks by hand, figures."""

from __future__ import annotations

import itertools
import sqlite3

import numpy as np
import pytest

import backend.batch_processor as face
from backend.batch_processor import BatchedStage, BatchProcessor
from backend.errors import InvalidParameter, NoSurfaceFound
from backend.gpu.batch_history import BatchHistory
from backend.gpu_optimizer import GPUOptimizer
from tests.batching.scripted_engine import ScriptedEngine

STAGE = "shape_generation"


def card(used_mb=1000.0, total_mb=24576.0):
    memory = {"vram_total_mb": total_mb, "vram_used_mb": used_mb}
    return {"devices": [{"name": "Scripted", "vram_free_mb": total_mb - used_mb, **memory}]}


class Seconds:
    """A clock that a test moves."""

    def __init__(self):
        self.s = 0.0

    def monotonic_s(self):
        return self.s


@pytest.fixture
def history(tmp_path):
    return BatchHistory(tmp_path / "gpu.sqlite3")


@pytest.fixture
def clock():
    return Seconds()


@pytest.fixture
def optimizer(history, clock):
    return GPUOptimizer(history=history, read_status=lambda: {"devices": []}, clock=clock)


@pytest.fixture
def processor(optimizer, clock):
    return BatchProcessor(optimizer, max_batch=4, clock=clock)


def test_tasks_by_hand_run_as_batches_of_like_ones(processor):
    engine, other = ScriptedEngine(), ScriptedEngine("other")
    for task in "abcde":
        processor.add_job(engine, task)
    assert processor.add_job(other, "x") == 6
    assert [outcome.unwrap() for outcome in processor.process_batch()] == ["A", "B", "C", "D"]
    assert len(processor.pending_jobs) == 2
    assert [outcome.unwrap() for outcome in processor.process_batch()] == ["E"]
    assert [outcome.unwrap() for outcome in processor.process_batch()] == ["X"]
    assert processor.process_batch() == []
    assert engine.calls == [("a", "b", "c", "d"), ("e",)]


def test_tasks_that_cannot_be_compared_are_kept_apart(processor):
    engine = ScriptedEngine()
    engine.run = lambda batch, _progress: [int(task.sum()) for task in batch]
    for value in (1, 2):
        processor.add_job(engine, np.full((2, 2), value))
    assert [outcome.unwrap() for outcome in processor.process_batch()] == [4, 8]
    assert processor.pending_jobs == []


def test_a_task_that_fails_takes_no_other_with_it(processor):
    engine = ScriptedEngine()
    for task in ("a", "bad"):
        processor.add_job(engine, task)
    good, bad = processor.process_batch()
    assert good.unwrap() == "A"
    assert isinstance(bad.error, NoSurfaceFound)


def test_figures_are_those_of_the_calls(processor, clock):
    engine = ScriptedEngine()

    def during(_tasks, _progress):
        clock.s += 2.0

    engine.during = during
    empty = processor.get_batch_stats()
    assert (empty["items"], empty["average_size"], empty["items_per_s"]) == (0, None, None)
    for task in ("a", "b", "c", "d", "e"):
        processor.add_job(engine, task)
    processor.process_batch()
    processor.process_batch()
    stats = processor.get_batch_stats()
    assert (stats["batches"], stats["calls"], stats["items"], stats["failed"]) == (2, 2, 5, 0)
    assert stats["sizes"] == {4: 4, 1: 1}
    assert stats["average_size"] == 2.5
    assert stats["items_per_s"] == 5 / 4.0
    assert stats["elapsed_s"] == 4.0


def test_what_batches_took_is_remembered(processor, history, optimizer, clock):
    engine = ScriptedEngine()

    def during(tasks, _progress):
        clock.s += len(tasks)

    engine.during = during
    for task in "abc":
        processor.add_job(engine, task, size_class="large")
    processor.process_batch()
    key = processor._calls.key(engine, STAGE, "large")
    assert key.model == "scripted"
    (sample,) = history.samples(key)
    assert (sample.batch_size, sample.elapsed_s) == (3, 3.0)


def test_no_batch_where_no_engine_gains(processor):
    plain = BatchedStage(STAGE, ScriptedEngine(batches=False))
    assert processor.safe_size([plain], waiting=8) == 1
    assert processor.safe_size([], waiting=8) == 1
    gains = BatchedStage(STAGE, ScriptedEngine())
    assert processor.safe_size([plain, gains], waiting=8) == 4
    assert processor.safe_size([gains], waiting=3) == 3
    assert processor.safe_size([gains], waiting=8, max_batch=2) == 2
    assert processor.safe_size([gains], waiting=8, max_batch=1) == 1


def test_without_a_card_a_size_that_gains_nothing_is_not_used(processor, optimizer):
    engine = ScriptedEngine()
    key = processor._calls.key(engine, STAGE, "")
    for size, elapsed_s in ((1, 1.0), (2, 1.2), (4, 2.4)):
        for _ in range(4):
            optimizer.record_batch_performance(size, elapsed_s, key=key)
    assert processor.safe_size([BatchedStage(STAGE, engine)], waiting=8) == 2


def test_a_history_that_cannot_be_read_stops_no_batch(processor, history, monkeypatch):
    def fail(_key):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(history, "samples", fail)
    assert processor.safe_size([BatchedStage(STAGE, ScriptedEngine())], waiting=8) == 4


def test_on_a_card_sizes_grow_from_what_was_seen_up_to_what_fits(history, clock):
    optimizer = GPUOptimizer(history=history, read_status=card, clock=clock)
    processor = BatchProcessor(optimizer, max_batch=64, clock=clock)
    engine = ScriptedEngine()
    stage, key = BatchedStage(STAGE, engine), processor._calls.key(engine, STAGE, "")
    seen = [processor.safe_size([stage], waiting=64)]
    for _ in range(6):
        size = seen[-1]
        optimizer.record_batch_performance(size, 1.0, peak_mb=3000.0 * size, key=key)
        seen.append(processor.safe_size([stage], waiting=64))
    assert seen[0] == 1
    assert all(later <= max(2 * size, size + 1) for size, later in itertools.pairwise(seen))
    assert seen[-1] == int((0.85 * 24576 - 1000) // 3000) == 6


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(InvalidParameter):
        BatchProcessor(max_batch=0)


def test_the_process_has_one(monkeypatch, optimizer):
    monkeypatch.setattr(face, "_processor", None)
    monkeypatch.setattr(face, "get_gpu_optimizer", lambda: optimizer)
    assert face.get_batch_processor() is face.get_batch_processor()
