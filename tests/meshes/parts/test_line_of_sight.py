from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.parts.line_of_sight import (
    SAMPLES,
    draw_samples,
    line_of_sight,
    sheet_likeness,
)
from backend.meshes.parts.rays import RayScene
from backend.meshes.parts.surface import Surface
from tests.meshes.parts.things import dumbbell
from tests.meshes.solids import box, sphere


def _surface(mesh) -> Surface:
    return Surface.of(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64))


def _sight(surface, patches, *, outside=False):
    samples = draw_samples(surface, patches, np.random.default_rng(0))
    return line_of_sight(surface, RayScene(surface), samples, outside=outside)


def test_samples_come_from_their_patches():
    surface = _surface(sphere(0.5, 3))
    patches = (surface.centres[:, 0] > 0.3).astype(np.int64)
    samples = draw_samples(surface, patches, np.random.default_rng(0))
    assert patches[samples].tolist() == [0] * SAMPLES + [1] * SAMPLES


def test_all_of_a_ball_sees_itself_inside_and_nothing_outside():
    surface = _surface(sphere(0.5, 3))
    patches = np.digitize(surface.centres[:, 0], [-0.3, 0, 0.3]).astype(np.int64)
    assert _sight(surface, patches).min() > 0.9
    assert _sight(surface, patches, outside=True)[0, 3] == 0


def test_the_ends_of_a_dumbbell_hardly_see_each_other():
    surface = _surface(dumbbell(32))
    patches = np.digitize(surface.centres[:, 0], [-0.7, -0.4, 0.4, 0.7]).astype(np.int64)
    sight = _sight(surface, patches)
    assert sight[0, 1] > 0.6
    assert sight[0, 4] < 0.1
    assert sight == pytest.approx(sight.T)


def test_sheets_are_told_from_solids():
    flat = _surface(box((2, 0.02, 2)))
    one = np.zeros(12, dtype=np.int64)
    assert sheet_likeness(flat, np.full(12, 0.02), one) > 0.97
    assert sheet_likeness(flat, np.full(12, 5.0), one) == 0
