from __future__ import annotations

from pathlib import Path

import manifold3d
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from scipy.spatial import KDTree
from skimage.measure import marching_cubes

from backend.errors import NoSurfaceFound
from backend.meshes.degenerate_faces import without_degenerate_faces
from backend.meshes.isosurface.surface import IsoSurface, extract_surface
from backend.meshes.simplify import simplify
from backend.meshes.triangle_mesh import TriangleMesh
from tests.meshes.isosurface.fields import ball, rough_ball

LOWER, UPPER = (-1.0,) * 3, (1.0,) * 3
GOLDEN = Path("tests/golden/shape")


def as_mesh(surface: IsoSurface) -> TriangleMesh:
    return TriangleMesh(surface.vertices.numpy(), surface.faces.numpy().astype(np.int32))


def areas(mesh: TriangleMesh) -> np.ndarray:
    a, b, c = np.moveaxis(mesh.vertices.astype(np.float64)[mesh.faces], 1, 0)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def farthest(one: np.ndarray, other: np.ndarray) -> float:
    """Farthest that a point of either set is from the other set."""
    return max(KDTree(one).query(other)[0].max(), KDTree(other).query(one)[0].max())


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.integers(2, 7)] * 3),
    st.integers(0, 2**31),
    st.sampled_from([0, 1, 3]),
)
def test_whatever_the_values_the_surface_is_closed_and_every_face_has_an_area(sides, seed, coarse):
    values = torch.randn(sides, generator=torch.Generator().manual_seed(seed))
    if coarse:  # many values lie exactly at the level
        values = (values * coarse).round()
    if not bool((values > 0).any()):
        values[0, 0, 0] = 1.0
    mesh = as_mesh(extract_surface(values, LOWER, UPPER))
    assert mesh.is_closed()
    assert mesh.volume() > 0
    assert areas(mesh).min() > 0
    assert len(np.unique(mesh.vertices, axis=0)) == len(mesh.vertices)
    assert (np.bincount(mesh.faces.reshape(-1)) > 0).all()


def test_a_ball_has_its_volume_looks_outwards_and_is_a_solid():
    mesh = as_mesh(extract_surface(ball(48, 0.7), LOWER, UPPER, closed=False))
    assert mesh.is_closed()
    assert mesh.volume() == pytest.approx(4 / 3 * np.pi * 0.7**3, rel=5e-3)
    solid = manifold3d.Manifold(manifold3d.Mesh(mesh.vertices, mesh.faces.astype(np.uint32)))
    assert solid.status() == manifold3d.Error.NoError
    assert solid.volume() == pytest.approx(mesh.volume(), rel=1e-5)


def test_vertices_lie_where_the_level_is_reached_in_a_box_with_three_sides():
    values = ball(16, 0.6, centre=(0.2, -0.1, 0.05))[:, :15, 1:]
    upper = (4.0, 15.0, -1.0)
    mesh = as_mesh(extract_surface(values, (2.0, 1.0, -2.0), upper, level=0.1, closed=False))
    cells = np.array(values.shape) - 1
    places = (mesh.vertices - (2.0, 1.0, -2.0)) / (2.0, 14.0, 1.0) * cells
    points = places / 8 + (-1, -1, -0.875)
    distances = np.linalg.norm(points - (0.2, -0.1, 0.05), axis=1)
    assert np.abs(distances - 0.5).max() < 4e-3


def test_it_agrees_with_scikit_image_on_a_smooth_field():
    values = rough_ball(40)
    mesh = as_mesh(extract_surface(values, LOWER, UPPER, closed=False))
    vertices, faces, _, _ = marching_cubes(values.numpy(), 0.0, method="lewiner")
    other = TriangleMesh.welded(vertices / 20 - 1, faces[:, ::-1])
    assert len(mesh.vertices) == len(vertices)
    assert len(mesh.faces) == len(faces)
    assert farthest(mesh.vertices, other.vertices) < 1e-5
    # four corners may be cut along either diagonal
    assert mesh.volume() == pytest.approx(abs(other.volume()), rel=3e-4)


@pytest.mark.parametrize("name", ["vae20", "vae20_turbo_like"])
def test_a_recorded_grid_gives_the_recorded_corners(name):
    """Where corners of a cell alternate, the record decides by the values, so faces may differ."""
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    surface = extract_surface(
        tensors["out.vanilla16"][0],
        (-1.01,) * 3,
        (1.01,) * 3,
        closed=False,
        compat_upstream_scale=True,
    )
    assert_alike(surface, tensors["out.mc_vanilla16.verts"], tensors["out.mc_vanilla16.faces"])


@pytest.mark.parametrize("name", ["pipeline20", "pipeline20_turbo", "pipeline21"])
def test_the_grid_of_a_recorded_run_gives_its_corners(name):
    """Where corners of a cell alternate, the record decides by the values, so faces may differ."""
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    surface = extract_surface(
        tensors["out.grid12"][0],
        (-1.01,) * 3,
        (1.01,) * 3,
        level=float(tensors["out.mc_level"]),
        closed=False,
        compat_upstream_scale=True,
    )
    assert_alike(surface, tensors["out.mc_verts"], tensors["out.mc_faces"])


def assert_alike(surface: IsoSurface, vertices: torch.Tensor, faces: torch.Tensor) -> None:
    own = as_mesh(surface)
    other = TriangleMesh(vertices.float().numpy(), faces.numpy().astype(np.int32))
    assert farthest(own.vertices, other.vertices) < 2e-5
    assert areas(own).sum() == pytest.approx(areas(other).sum(), rel=0.02)


def test_beyond_the_grid_is_outside_unless_it_may_be_open():
    values = ball(16, 0.6, centre=(0.9, 0.0, 0.0))
    closed = extract_surface(values, LOWER, UPPER)
    opened = extract_surface(values, LOWER, UPPER, closed=False)
    assert closed.leaves_grid
    assert opened.leaves_grid
    assert as_mesh(closed).is_closed()
    assert not as_mesh(opened).is_closed()
    assert 1 < float(closed.vertices[:, 0].max()) < 1.0001
    within = extract_surface(ball(16, 0.6), LOWER, UPPER)
    assert not within.leaves_grid


def test_cells_with_an_unknown_corner_are_left_out():
    values = ball(16, 0.6)
    whole = extract_surface(values, LOWER, UPPER)
    values[values.abs() > 0.4] = torch.nan
    assert torch.equal(extract_surface(values, LOWER, UPPER).faces, whole.faces)
    values[:, :, :8] = torch.nan
    half = extract_surface(values, LOWER, UPPER)
    assert float(half.vertices[:, 2].min()) == 0.0
    assert bool(half.vertices.isfinite().all())
    assert not as_mesh(half).is_closed()


def test_the_published_scale_divides_by_corners():
    right = extract_surface(ball(16, 0.6), LOWER, UPPER)
    published = extract_surface(ball(16, 0.6), LOWER, UPPER, compat_upstream_scale=True)
    torch.testing.assert_close(published.vertices, (right.vertices + 1) * 16 / 17 - 1)


@pytest.mark.parametrize(
    ("value", "words"),
    [(-1.0, "nothing is inside"), (1.0, "nothing is outside"), (torch.nan, "No value")],
)
def test_without_a_surface_it_says_why(value, words):
    with pytest.raises(NoSurfaceFound, match=words):
        extract_surface(torch.full((4, 4, 4), value), LOWER, UPPER, closed=False)


def test_unknown_values_between_inside_and_outside_are_told_apart():
    values = ball(16, 0.6)
    values[values.abs() < 0.3] = torch.nan
    with pytest.raises(NoSurfaceFound, match="around the surface are not known"):
        extract_surface(values, LOWER, UPPER)


def test_what_refines_a_mesh_leaves_it_closed():
    mesh = as_mesh(extract_surface(rough_ball(40), LOWER, UPPER))
    mended = without_degenerate_faces(mesh)
    assert mended.mesh.is_closed()
    assert mended.left == 0
    smaller = simplify(mended.mesh, 2000)
    assert smaller.mesh.is_closed()
    assert len(smaller.mesh.faces) <= 2000
    assert smaller.mesh.volume() == pytest.approx(mesh.volume(), rel=0.01)


def test_a_view_of_a_grid_and_a_repetition_give_the_same_surface():
    values = rough_ball(24)
    first = extract_surface(values, LOWER, UPPER)
    again = extract_surface(values.clone(), LOWER, UPPER)
    turned = extract_surface(values.transpose(0, 2), LOWER, UPPER)
    assert torch.equal(first.vertices, again.vertices)
    assert torch.equal(first.faces, again.faces)
    assert farthest(turned.vertices.numpy()[:, ::-1], first.vertices.numpy()) < 1e-6
