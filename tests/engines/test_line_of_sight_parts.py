from __future__ import annotations

import pytest

from backend.catalog import CutOutParams
from backend.engines.builtin import default_registry
from backend.engines.engine import Role
from backend.engines.line_of_sight_parts import LineOfSightParts
from backend.engines.part_tasks import SegmentationTask
from backend.errors import JobCanceled
from backend.meshes.parts.division import STEPS
from backend.meshes.source_mesh import SourceMesh
from backend.progress import SilentSink, StageProgress
from tests.engines.counting_sink import CountingSink
from tests.meshes.parts.things import dumbbell
from tests.meshes.solids import sphere


def _run(sink, *meshes):
    tasks = [SegmentationTask(SourceMesh.plain(mesh), seed=3) for mesh in meshes]
    progress = StageProgress(sink, "part_segmentation")
    return [found.tree for found in LineOfSightParts().run(tasks, progress)]


def test_every_task_has_its_tree_in_order():
    trees = _run(SilentSink(), sphere(0.5, 2), dumbbell(40))
    assert [tree.suggested for tree in trees] == [1, 3]


def test_progress_runs_over_the_whole_batch():
    sink = CountingSink()
    _run(sink, sphere(0.5, 2), sphere(0.5, 1))
    assert sink.seen == [(step, 2 * STEPS) for step in range(2 * STEPS + 1)]


def test_it_stops_between_steps():
    sink = CountingSink(stop_after=4)
    with pytest.raises(JobCanceled):
        _run(sink, sphere(0.5, 2))
    assert len(sink.seen) == 4


def test_it_is_listed_and_runs_anywhere():
    engine = LineOfSightParts()
    assert engine.available() is None
    assert engine.needs.weights == ()
    assert engine.cost_key(CutOutParams()) == "line_of_sight_parts"
    assert default_registry().choose(Role.SEGMENTATION, "auto").name == engine.name
