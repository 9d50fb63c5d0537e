from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.two_sided_layout import two_sided_layout
from backend.meshes.triangle_mesh import TriangleMesh
from tests.meshes.solids import sphere


@pytest.mark.parametrize("stretch", [(1, 2, 0.5), (2, 1, 0.5), (1, 1, 1)])
def test_each_side_has_its_half_and_nothing_is_stretched(stretch):
    ball = sphere(0.5, 3)
    mesh = ball.with_vertices(ball.vertices * stretch)
    layout = two_sided_layout(mesh)
    assert (layout.sources[layout.faces] == mesh.faces).all()
    assert 0 < layout.uv.min() < layout.uv.max() < 1
    depth = mesh.vertices[mesh.faces][..., 2].mean(axis=1)
    front, back = (layout.uv[layout.faces[depth > 0]], layout.uv[layout.faces[depth < 0]])
    axis = 1 if stretch[0] > stretch[1] else 0
    halves = [side[..., axis] > 0.5 for side in (front, back)]
    assert halves[0].all() != halves[0].any() or halves[0].all() == (axis == 1)
    assert halves[0].all() != halves[1].all()
    place = mesh.vertices[layout.sources, :2]
    steps = np.abs(np.diff(layout.uv[layout.faces], axis=1))
    sizes = np.abs(np.diff(place[layout.faces], axis=1))
    moved = sizes > 1e-3
    scale = steps[moved] / sizes[moved]
    assert scale.max() == pytest.approx(scale.min(), rel=0.02)
    assert scale.max() > 0.45 / max(stretch[0], stretch[1]) * (
        2 if min(stretch[:2]) * 2 <= max(stretch[:2]) else 1
    )


def test_a_point_has_a_layout():
    dot = TriangleMesh(np.zeros((3, 3), np.float32), np.array([[0, 1, 2]], np.int32))
    assert np.isfinite(two_sided_layout(dot).uv).all()
