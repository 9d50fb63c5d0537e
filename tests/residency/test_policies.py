from __future__ import annotations

import pytest

from backend.residency.policies import Policy
from backend.residency.records import RATE_WINDOW_S, ModelRecord, ModelSpec
from backend.residency.states import Residence


def state(manager, name):
    return manager.table.records[name].state


@pytest.mark.parametrize(
    ("policy", "after"),
    [
        (Policy.RESIDENT, Residence.RESIDENT),
        (Policy.ONE_AT_A_TIME, Residence.RESIDENT),
        (Policy.OFFLOAD_AFTER_USE, Residence.HOST),
        (Policy.RELEASE_AFTER_USE, Residence.UNLOADED),
    ],
)
def test_policy_decides_what_follows_the_last_lease(make_manager, policy, after):
    manager = make_manager(100, models={"a": 60}, policy=policy)
    first, second = manager.lease("a"), manager.lease("a")
    first.release()
    assert state(manager, "a") is Residence.RESIDENT, "another lease is still open"
    second.release()
    assert state(manager, "a") is after


def test_the_model_leaves_on_the_error_path_too(make_manager):
    manager = make_manager(100, models={"a": 60}, policy=Policy.OFFLOAD_AFTER_USE)
    with pytest.raises(ZeroDivisionError), manager.lease("a"):
        raise ZeroDivisionError
    assert state(manager, "a") is Residence.HOST
    assert manager.device.block_bytes == 0


def test_one_at_a_time_evicts_even_what_would_fit(make_manager):
    manager = make_manager(100, models={"a": 10, "b": 10}, policy=Policy.ONE_AT_A_TIME)
    manager.lease("a").release()
    manager.lease("b").release()
    assert (state(manager, "a"), state(manager, "b")) == (Residence.HOST, Residence.RESIDENT)


def test_auto_goes_one_at_a_time_when_the_models_do_not_fit_together(make_manager, standing_clock):
    manager = make_manager(
        100, models={"a": 60, "b": 30, "c": 30}, policy=Policy.AUTO, clock=standing_clock
    )
    for name in ("a", "b", "c", "a", "b"):
        manager.lease(name).release()
    there = [name for name in "abc" if state(manager, name) is Residence.RESIDENT]
    assert there == ["b"]


def test_auto_follows_the_rate_of_requests_when_all_fit(make_manager, standing_clock):
    manager = make_manager(100, models={"a": 30}, policy=Policy.AUTO, clock=standing_clock)
    record = manager.table.records["a"]
    seen = []
    for gap_s in (2.0, 20.0, 200.0):
        record.requests.clear()
        for _ in range(30):
            standing_clock.forward(gap_s)
            manager.lease("a").release()
        with manager.table:
            seen.append(manager.table.conduct(record).value)
    assert seen == ["resident", "lru", "offload_after_use"]


def test_request_rate_forgets_after_ten_minutes():
    record = ModelRecord(ModelSpec("a", int))
    record.requests.extend([0.0, 1.0])
    assert record.requests_per_min(10.0) == 2.0
    assert record.requests_per_min(300.0) == pytest.approx(0.4)
    assert record.requests_per_min(RATE_WINDOW_S + 10) == 0.0
