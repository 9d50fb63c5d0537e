from __future__ import annotations

import gc
import weakref

import pytest

from backend.batching.halving import run_items
from backend.engines.engine import FailedItem
from backend.errors import (
    DeviceLost,
    InternalError,
    JobCanceled,
    NoSurfaceFound,
    OutOfMemory,
)


class Machine:
    """Doubles numbers; holds ``room`` of them, fails on negative ones."""

    def __init__(self, room=99):
        self.room = room
        self.calls = []
        self.freed = 0

    def run(self, items):
        self.calls.append(list(items))
        if len(items) > self.room:
            raise MemoryError
        if any(item < 0 for item in items):
            raise NoSurfaceFound("Negative.")
        return [2 * item for item in items]

    def free(self):
        self.freed += 1


def results(outcomes):
    return [outcome.result for outcome in outcomes]


def test_all_in_one_call():
    machine = Machine()
    outcomes = run_items(machine.run, [1, 2, 3], machine.free)
    assert results(outcomes) == [2, 4, 6]
    assert [outcome.batch_size for outcome in outcomes] == [3, 3, 3]
    assert (machine.calls, machine.freed) == ([[1, 2, 3]], 0)


def test_short_memory_halves_until_it_fits():
    machine = Machine(room=2)
    outcomes = run_items(machine.run, [1, 2, 3, 4, 5], machine.free)
    assert results(outcomes) == [2, 4, 6, 8, 10]
    assert machine.calls == [[1, 2, 3, 4, 5], [1, 2, 3], [1, 2], [3], [4, 5]]
    assert [outcome.batch_size for outcome in outcomes] == [2, 2, 1, 2, 2]
    assert machine.freed == 2


def test_one_item_that_does_not_fit_fails_alone():
    machine = Machine(room=0)
    outcomes = run_items(machine.run, [1, 2], machine.free)
    assert all(isinstance(outcome.error, OutOfMemory) for outcome in outcomes)


def test_only_the_guilty_item_fails():
    machine = Machine()
    good, bad, other = run_items(machine.run, [1, -1, 3], machine.free)
    assert (good.unwrap(), other.unwrap()) == (2, 6)
    with pytest.raises(NoSurfaceFound):
        bad.unwrap()
    assert machine.calls == [[1, -1, 3], [1], [-1], [3]]


def test_an_item_that_is_told_to_have_failed_costs_the_others_nothing():
    calls = []

    def run(items):
        calls.append(list(items))
        return [FailedItem(NoSurfaceFound("None.")) if item < 0 else item for item in items]

    good, bad, other = run_items(run, [1, -1, 3], lambda: None)
    assert (good.unwrap(), other.unwrap()) == (1, 3)
    with pytest.raises(NoSurfaceFound):
        bad.unwrap()
    assert calls == [[1, -1, 3]]


def test_a_bad_item_and_short_memory_together():
    machine = Machine(room=2)
    outcomes = run_items(machine.run, [1, 2, -1, 4], machine.free)
    assert results(outcomes) == [2, 4, None, 8]
    assert isinstance(outcomes[2].error, NoSurfaceFound)


def test_memory_is_freed_after_the_failed_frames_are_gone():
    held, alive = [], []

    class Tensor:
        pass

    def run(items):
        if len(items) > 1:
            large = Tensor()
            held.append(weakref.ref(large))
            raise RuntimeError("CUDA out of memory.")
        return list(items)

    def free():
        gc.collect()
        alive.append(held[-1]() is not None)

    run_items(run, [1, 2], free)
    assert alive == [False]


def test_a_lost_device_ends_it():
    def run(_items):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(DeviceLost):
        run_items(run, [1, 2], lambda: None)


def test_a_cancel_is_not_tried_again():
    calls = []

    def run(items):
        calls.append(items)
        raise JobCanceled

    with pytest.raises(JobCanceled):
        run_items(run, [1, 2, 3], lambda: None)
    assert len(calls) == 1


def test_too_few_results_are_a_defect_and_no_item_gets_that_of_another():
    def run(items):
        return ["only one"] if len(items) > 1 else [items[0]]

    assert results(run_items(run, ["a", "b"], lambda: None)) == ["a", "b"]
    (outcome,) = run_items(lambda _items: [], ["a"], lambda: None)
    assert isinstance(outcome.error, InternalError)


def test_memory_in_a_ring_of_references_is_free_before_the_halves_run():
    """Nobody else would collect it in time: to Python a tensor on a device is a few bytes."""
    held, alive = [], []

    def run(items):
        alive.append(sum(ref() is not None for ref in held))
        tensor = Machine()
        held.append(weakref.ref(tensor))
        ring = [tensor]
        ring.append(ring)
        if len(items) > 1:
            raise MemoryError
        ring.clear()
        return items

    gc.disable()
    try:
        assert results(run_items(run, [1, 2], lambda: None)) == [1, 2]
    finally:
        gc.enable()
    assert alive == [0, 0, 0]
