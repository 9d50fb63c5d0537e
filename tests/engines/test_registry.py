from __future__ import annotations

import pytest

from backend.engines import registry
from backend.engines.builtin import default_registry
from backend.engines.engine import Listing, Needs, Role
from backend.engines.registry import EngineRegistry
from backend.errors import EngineUnavailable


class _Fake:
    title = "fake"
    needs = Needs()

    def __init__(self, name, reason=None):
        self.name, self._reason = name, reason

    def available(self):
        return self._reason

    def batch_key(self, params):
        return ""

    def cost_key(self, params):
        return ""

    def run(self, batch, progress):
        return []


def _registry():
    return EngineRegistry(
        [
            Listing(Role.SHAPE, _Fake("plain"), rank=1),
            Listing(Role.SHAPE, _Fake("best", "no weights"), rank=3),
            Listing(Role.SHAPE, _Fake("good"), rank=2),
        ]
    )


def test_auto_takes_the_best_that_can_run():
    assert _registry().choose(Role.SHAPE).name == "good"
    assert _registry().names(Role.SHAPE) == ["best", "good", "plain"]


@pytest.mark.parametrize("is_on_gpu", [True, False])
def test_what_takes_hours_without_a_gpu_has_to_be_named_there(monkeypatch, is_on_gpu):
    monkeypatch.setattr(registry, "has_gpu", lambda settings: is_on_gpu)
    slow = _Fake("slow")
    slow.needs = Needs(is_too_slow_without_gpu=True)
    only = EngineRegistry([Listing(Role.SHAPE, slow, rank=9)])
    both = EngineRegistry([Listing(Role.SHAPE, slow, 9), Listing(Role.SHAPE, _Fake("fast"), 1)])
    assert both.choose(Role.SHAPE).name == ("slow" if is_on_gpu else "fast")
    assert both.choose(Role.SHAPE, "slow").name == "slow"
    if not is_on_gpu:
        with pytest.raises(EngineUnavailable, match="asked for by name"):
            only.choose(Role.SHAPE)


def test_a_named_engine_that_cannot_run_is_refused_with_the_reason():
    with pytest.raises(EngineUnavailable, match="no weights"):
        _registry().choose(Role.SHAPE, "best")


@pytest.mark.parametrize(("role", "name"), [(Role.SHAPE, "other"), (Role.TEXTURE, "auto")])
def test_what_does_not_exist_is_refused(role, name):
    with pytest.raises(EngineUnavailable):
        _registry().choose(role, name)


def test_every_role_of_the_3d_work_has_a_built_in_engine_that_runs_anywhere():
    known = default_registry()
    for role in set(Role) - {Role.SPEECH}:  # whose only engine is the user's own program
        engine = known.choose(role)
        assert engine.title
        assert engine.needs.device == "cpu"
    assert {"grabcut", "alpha"} <= set(known.names(Role.BACKGROUND))
