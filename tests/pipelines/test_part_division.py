from __future__ import annotations

import numpy as np
import pytest

from backend.catalog import PartStageName, Preset, SegmentPartsParams
from backend.errors import EngineUnavailable
from backend.meshes.parts.part_tree import PartTree
from backend.pipelines.part_division import count_for, divided_as, division_facts, find_parts
from backend.progress import StageProgress
from tests.meshes.source_shapes import ball_of_face, three_balls
from tests.pipelines.scripted_parts import ScriptedSegmentation, scripted_registry
from tests.pipelines.test_image_to_3d import NotingSink


def find(sink=None, engine="auto", segmentation=None, **params):
    progress = StageProgress(sink or NotingSink(), PartStageName.PART_SEGMENTATION)
    return find_parts(
        three_balls(1),
        SegmentPartsParams(**params),
        Preset.STANDARD,
        engine,
        params.get("seed", 0),
        scripted_registry(segmentation),
        progress,
    )


def test_the_engine_decides_unless_somebody_else_does():
    assert find().count == 3
    assert find(part_count=5).count == 5
    assert len(np.unique(find(part_count=5).face_parts)) == 5


def test_the_seed_reaches_the_engine_and_its_name_is_told():
    scripted, sink = ScriptedSegmentation(), NotingSink()
    division = find(sink, segmentation=scripted, seed=9)
    assert scripted.seeds == [9]
    assert sink.engines == {"segmentation": "scripted_segmentation"}
    assert division_facts(division) == {
        "count": 3, "suggested": 3, "fewest": 2, "most": 6, "engine": "scripted_segmentation"
    }  # fmt: skip


@pytest.mark.parametrize(("asked", "made", "why"), [(1, 2, "do not touch"), (40, 6, "no finer")])
def test_a_number_that_cannot_be_reached_is_told(asked, made, why):
    sink = NotingSink()
    assert find(sink, part_count=asked).count == made
    assert why in sink.warnings[0]
    assert f"not {asked}" in sink.warnings[0]


def test_an_engine_that_is_not_there_is_named():
    with pytest.raises(EngineUnavailable, match="'line_of_sight_parts'"):
        find(engine="line_of_sight_parts")


@pytest.mark.parametrize(
    ("granularity", "count"),
    [(0.25, 4), (0.5, 3), (1.0, 3), (1.2, 2), (4.0, 1)],
)
def test_granularity_is_a_share_of_the_cost_the_engine_stopped_at(granularity, count):
    merges, costs = np.array([[0, 1], [2, 3], [4, 5], [6, 7]]), np.array([0.1, 0.2, 0.5, 0.7])
    tree = PartTree(np.zeros(1, np.int32), 5, merges, costs, suggested=3)
    assert count_for(tree, granularity) == count


def test_granularity_of_a_surface_that_never_merges_is_its_suggestion():
    tree = divided_as(three_balls(1), ball_of_face(three_balls(1))).tree
    assert {count_for(tree, granularity) for granularity in (0.25, 1, 4)} == {3}


def test_given_parts_keep_their_numbers():
    mesh = three_balls(1)
    given = 2 - ball_of_face(mesh)
    division = divided_as(mesh, given)
    assert (division.face_parts == given).all()
    assert division_facts(division) | {"engine": ""} == {
        "count": 3, "suggested": 3, "fewest": 3, "most": 3, "engine": ""
    }  # fmt: skip
