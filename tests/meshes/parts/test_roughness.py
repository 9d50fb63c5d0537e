from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.parts.roughness import ROUGH_TURN_RAD, roughness, smoothed_if_rough
from backend.meshes.parts.surface import Surface
from tests.meshes.parts.things import dumbbell, mug
from tests.meshes.solids import box, sphere


def _arrays(mesh):
    return mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64)


def _spiked(vertices, share=0.15, length=0.1):
    random = np.random.default_rng(0)
    is_spike = random.random(len(vertices)) < share
    return vertices * (1 + is_spike * length * random.random(len(vertices)) / 0.5)[:, None]


@pytest.mark.parametrize(
    "mesh", [dumbbell(), mug(), sphere(0.5, 1), sphere(0.5, 4), box()], ids=str
)
def test_smooth_bodies_stay_as_they_are(mesh):
    vertices, faces = _arrays(mesh)
    assert smoothed_if_rough(vertices, faces) is vertices


@pytest.mark.parametrize(
    "roughen",
    [lambda v: v + np.random.default_rng(0).normal(0, 0.01, v.shape), _spiked],
    ids=["noise", "fur"],
)
def test_noise_and_fur_go(roughen):
    vertices, faces = _arrays(sphere(0.5, 4))
    rough = roughen(vertices)
    assert roughness(Surface.of(rough, faces)) > ROUGH_TURN_RAD
    smooth = smoothed_if_rough(rough, faces)
    assert roughness(Surface.of(smooth, faces)) < ROUGH_TURN_RAD

    def raggedness(points):
        return np.linalg.norm(points, axis=1).std()

    assert raggedness(smooth) < 0.4 * raggedness(rough)
    assert np.linalg.norm(smooth, axis=1).mean() == pytest.approx(0.5, abs=0.03)


def test_no_neighbours_no_noise():
    assert roughness(Surface.of(np.eye(3), np.array([[0, 1, 2]]))) == 0
