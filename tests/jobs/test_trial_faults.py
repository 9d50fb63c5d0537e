from __future__ import annotations

import doctest

import pytest

from backend.errors import (
    DeviceLost,
    EngineUnavailable,
    InternalError,
    JobTimedOut,
    MeshInvalid,
    ModelLoadFailed,
    NoForeground,
    OutOfMemory,
    StorageFull,
    WorkerLost,
)
from backend.jobs import trial_faults
from backend.jobs.trial_faults import may_blame


def test_the_examples_hold():
    result = doctest.testmod(trial_faults)
    assert (result.attempted, result.failed) == (1, 0)


@pytest.mark.parametrize(
    ("error", "blamed"),
    [
        (OutOfMemory, True), (DeviceLost, True), (JobTimedOut, True), (WorkerLost, True),
        (InternalError, True), (StorageFull, False), (EngineUnavailable, False),
        (MeshInvalid, False), (ModelLoadFailed, False), (NoForeground, False),
    ],
)  # fmt: skip
def test_only_what_a_setting_can_cause_is_laid_at_its_door(error, blamed):
    assert may_blame(error.code) is blamed
    assert may_blame(None) is False
