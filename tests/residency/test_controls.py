from __future__ import annotations

import threading

import pytest

from backend.errors import ModelLeased, ModelLoadFailed, UnknownModel
from backend.residency.controls import offload, preload, release
from backend.residency.records import ModelSpec
from backend.residency.states import Outcome, Residence

from .conftest import Caller, wait_until


def state(manager, name="a"):
    return manager.table.records[name].state


def test_offload_and_release_of_an_idle_model_are_done_at_once(make_manager):
    manager = make_manager(100, models={"a": 60, "b": 30})
    preload(manager, "a")
    assert state(manager) is Residence.RESIDENT
    assert offload(manager, "a") == {"a": Outcome.DONE}
    assert (state(manager), manager.device.block_bytes) == (Residence.HOST, 0)
    assert manager.table.records["a"].restores == 1
    assert release(manager) == {"a": Outcome.DONE, "b": Outcome.DONE}
    assert (state(manager), manager.device.copies) == (Residence.UNLOADED, [])


def test_a_leased_model_drains_or_is_refused(make_manager):
    manager = make_manager(100, models={"a": 60})
    lease = manager.lease("a")
    with pytest.raises(ModelLeased, match="in use by 1 job"):
        release(manager, "a")
    assert state(manager) is Residence.RESIDENT
    assert offload(manager, "a") == {"a": Outcome.DRAINING}
    assert release(manager, "a", drain=True) == {"a": Outcome.DRAINING}
    lease.release()
    assert state(manager) is Residence.UNLOADED, "a release outranks an offload"


def test_refusing_one_of_all_changes_none(make_manager):
    manager = make_manager(100, models={"a": 30, "b": 30})
    preload(manager, "b")
    lease = manager.lease("a")
    with pytest.raises(ModelLeased):
        release(manager)
    assert state(manager, "b") is Residence.RESIDENT
    lease.release()


def test_unknown_names_and_broken_files_are_typed_errors(make_manager):
    manager = make_manager(100)
    with pytest.raises(UnknownModel, match="'nobody'"):
        offload(manager, "nobody")
    manager.register(ModelSpec("broken", lambda: 1 / 0))
    with pytest.raises(ModelLoadFailed, match="division by zero"):
        preload(manager, "broken")
    with pytest.raises(ModelLoadFailed) as caught:
        preload(manager, "broken")
    assert caught.value.retry_after_s
    assert state(manager, "broken") is Residence.FAILED
    assert release(manager, "broken") == {"broken": Outcome.DONE}
    assert state(manager, "broken") is Residence.UNLOADED


def test_a_lease_taken_again_by_its_owner_does_not_wait_for_itself(make_manager):
    manager = make_manager(100, models={"a": 60})
    outer = manager.lease("a", owner="job")
    offload(manager, "a")
    inner = manager.lease("a", owner="job", timeout_s=0)
    inner.release()
    assert state(manager) is Residence.DRAINING
    outer.release()
    assert state(manager) is Residence.HOST


def test_a_release_asked_while_the_model_arrives_is_honoured_after_its_use(make_manager):
    gate = threading.Event()
    manager = make_manager(100)
    manager.register(ModelSpec("a", lambda: gate.wait(5) * 0 + 60))
    arriving = Caller(lambda: manager.lease("a"))
    wait_until(lambda: state(manager) is Residence.LOADING)
    assert release(manager, "a", drain=True) == {"a": Outcome.DRAINING}
    gate.set()
    lease = arriving.finished()
    assert state(manager) is Residence.DRAINING
    lease.release()
    assert state(manager) is Residence.UNLOADED


def test_a_release_asked_while_the_model_leaves_is_honoured(make_manager):
    manager = make_manager(100, models={"a": 60})
    preload(manager, "a")
    answers = []
    manager.table.records["a"].spec = ModelSpec(
        "a", lambda: 60, before_offload=lambda: answers.append(release(manager, "a", drain=True))
    )
    offload(manager, "a")
    assert answers == [{"a": Outcome.DRAINING}]
    assert state(manager) is Residence.UNLOADED
