"""Engines of parts that do what a test says, on meshes whose parts are known."""

from __future__ import annotations

import numpy as np
import pytest

from backend.engines.engine import Listing, Needs, Role
from backend.engines.part_tasks import CompletedParts, FoundParts
from backend.engines.registry import EngineRegistry
from backend.meshes.closed_part import ClosedPart, ClosingMethod
from backend.meshes.parts.part_tree import PartTree
from backend.pipelines import model_files
from tests.meshes.source_shapes import ball_of_face


class ScriptedEngine:
    needs = Needs()

    def available(self):
        return None

    def batch_key(self, params):
        return self.name

    def cost_key(self, params):
        return self.name


class ScriptedSegmentation(ScriptedEngine):
    """Three balls: upper and lower half of each is a patch; halves merge, then balls 0 and 1."""

    name = "scripted_segmentation"
    title = "Scripted"

    def __init__(self):
        self.seeds = []

    def run(self, batch, progress):
        progress.step(1, 1)
        self.seeds += [task.seed for task in batch]
        return [FoundParts(self.tree(task.mesh)) for task in batch]

    def tree(self, mesh):
        upper = mesh.vertices[mesh.faces].mean(axis=1)[:, 1] > 0
        patches = (2 * ball_of_face(mesh) + upper).astype(np.int32)
        merges = np.array([[0, 1], [2, 3], [4, 5], [6, 7]], dtype=np.int32)
        costs = np.array([0.1, 0.6, 0.3, 0.8], dtype=np.float32)
        return PartTree(patches, 6, merges, costs, suggested=3)


class ScriptedClosing(ScriptedEngine):
    """Calls parts closed that have the faces of a whole ball; the others stay open."""

    name = "scripted_closing"
    title = "Scripted"

    def run(self, batch, progress):
        progress.step(1, 1)
        return [
            CompletedParts(
                [self.part(task, part) for part in np.unique(task.face_parts) if part >= 0]
            )
            for task in batch
        ]

    def part(self, task, part):
        mesh = task.mesh.selected(task.face_parts == part)
        balls, faces = np.unique(ball_of_face(mesh), return_counts=True)
        if faces.min() * 3 == len(task.mesh.faces):
            volume = len(balls) * 0.5
            return ClosedPart(int(part), mesh, ClosingMethod.WAS_CLOSED, volume)
        return ClosedPart(int(part), mesh, ClosingMethod.OPEN, None, "Half a ball stays open.")


@pytest.fixture(scope="module", autouse=True)
def small_pictures():
    """Render few pixels: most of the time of these tests would go there. To be imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_files, "THUMBNAIL_PX", 64)
        yield


def scripted_registry(segmentation=None):
    return EngineRegistry(
        [
            Listing(Role.SEGMENTATION, segmentation or ScriptedSegmentation(), 10),
            Listing(Role.COMPLETION, ScriptedClosing(), 10),
        ]
    )
