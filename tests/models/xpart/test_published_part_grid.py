"""A field made of two ellipsoids, which the published way to decode was once recorded with."""

from __future__ import annotations

import pytest
import torch

from backend.meshes.isosurface.surface import extract_surface
from backend.meshes.triangle_mesh import TriangleMesh
from backend.models.xpart import published_part_grid as module
from backend.models.xpart.published_part_grid import PUBLISHED_LEVEL, published_part_grid
from tests.models import golden_files

CENTRES = torch.tensor([[0.2, 0.0, 0.0], [-0.3, -0.1, 0.0]])
RADII = torch.tensor([[0.45, 0.3, 0.35], [0.25, 0.25, 0.4]])


def two_ellipsoids(points):
    inside = [1 - ((points - c) / r).norm(dim=-1) for c, r in zip(CENTRES, RADII, strict=True)]
    return (20 * torch.maximum(*inside)).clamp(-1, 1)


@pytest.fixture(scope="module")
def recorded():
    return golden_files.part_tensors("volume_decode_analytic_256")


@pytest.fixture(scope="module")
def calls():
    return []


@pytest.fixture(scope="module")
def grid(calls):
    def counted(points):
        calls.append(len(points))
        return two_ellipsoids(points)

    return published_part_grid(counted, 256)


def test_as_much_is_asked_as_was_recorded(recorded, grid, calls):
    assert calls == recorded["query_calls"].tolist()
    assert grid.queries == recorded["counts_clean_verts_faces_queries"][2] == sum(calls)
    assert int((~grid.values.isnan()).sum()) == calls[-1] + calls[-2]


def test_the_surface_is_the_recorded_one(recorded, grid):
    found = extract_surface(grid.values, (-1.01,) * 3, (1.01,) * 3, level=PUBLISHED_LEVEL)
    mesh = TriangleMesh(found.vertices.numpy(), found.faces.int().numpy())
    vertices, faces, _ = recorded["counts_clean_verts_faces_queries"].tolist()
    assert (len(mesh.vertices), len(mesh.faces)) == (vertices, faces)
    volume, area = recorded["volume_area"].tolist()
    assert mesh.is_closed()
    assert mesh.volume() == pytest.approx(abs(volume), rel=1e-4)  # recorded inside out
    assert mesh.as_trimesh().area == pytest.approx(area, rel=1e-4)
    bounds = torch.stack([found.vertices.amin(0), found.vertices.amax(0)])
    assert torch.allclose(bounds, recorded["bbox"], rtol=1e-4, atol=0)


def test_grids_of_three_levels_keep_to_the_surface(monkeypatch):
    """On the way to the finest grid the band gets narrower with its cells."""
    monkeypatch.setattr(module, "COARSEST_CELLS", 47)
    told = []
    grid = published_part_grid(
        lambda points: (20 * (0.06 - points.norm(dim=-1))).clamp(-1, 1),
        190,
        on_query=lambda done, known: told.append((done, known)),
    )
    assert int((~grid.values.isnan()).sum()) < 0.01 * grid.values.numel()
    assert grid.queries > 48**3
    assert told[0] == (0, 48**3)
    assert len(told) == 3
    assert all(done <= known for done, known in told)
    assert grid.cells == 190
