"""Hundreds of solids, cut in all ways: every part is closed, or says why not."""

from __future__ import annotations

import manifold3d
import numpy as np
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import PartNotClosed
from backend.meshes.closed_part import ClosingMethod
from backend.meshes.closing.close_part import close_part
from backend.meshes.source_mesh import SourceMesh
from tests.meshes.closing.solid_shapes import centres, cut, of, surface, welded

SEEDS = st.integers(0, 2**32 - 1)


def _solid(seed: int) -> trimesh.Trimesh:
    """A convex body, a noisy ball, a ring, or two balls that cross each other."""
    rng = np.random.default_rng(seed)
    kind = seed % 4
    if kind == 0:
        return trimesh.convex.convex_hull(rng.normal(size=(int(rng.integers(6, 60)), 3)))
    if kind == 1:
        ball = trimesh.creation.icosphere(2)
        ball.vertices *= rng.uniform(0.7, 1.3, (len(ball.vertices), 1))
        return ball
    if kind == 2:
        ring = trimesh.creation.torus(1, 0.35, major_sections=18, minor_sections=9)
        ring.apply_transform(trimesh.transformations.random_rotation_matrix(rng.random(3)))
        return ring
    one, other = trimesh.creation.icosphere(1), trimesh.creation.icosphere(2, 0.7)
    other.apply_translation(rng.normal(0, 0.6, 3))
    return trimesh.util.concatenate([one, other])


def _assert_taken(read: trimesh.Trimesh) -> None:
    solid = manifold3d.Manifold(
        manifold3d.Mesh(np.asarray(read.vertices, np.float32), np.asarray(read.faces, np.uint32))
    )
    assert solid.status() == manifold3d.Error.NoError


def _assert_closed_exactly(part: SourceMesh, number: int) -> None:
    closed = close_part(part, number)
    read = welded(closed.mesh)
    assert read.is_watertight
    assert read.is_winding_consistent
    _assert_taken(read)
    assert closed.volume > 0
    if closed.method is not ClosingMethod.REMESH:
        before, after = part.vertices[part.faces], closed.mesh.vertices[closed.mesh.faces]
        assert np.array_equal(np.sort(before, axis=1), np.sort(after[: len(before)], axis=1))


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_both_sides_of_a_plane_are_closed(seed):
    rng, solid = np.random.default_rng(seed), _solid(seed)
    normal = rng.normal(size=3)
    normal /= np.linalg.norm(normal)
    heights = solid.vertices @ normal
    height = float(rng.uniform(heights.min(), heights.max()))
    for side in (1, -1):
        part = cut(solid, side * normal, side * height)
        if len(part.faces):
            _assert_closed_exactly(part, side + 1)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(2, 5))
def test_regions_of_faces_are_closed(seed, count):
    rng, solid = np.random.default_rng(seed), of(_solid(seed))
    middle = centres(solid)
    seats = middle[rng.choice(len(middle), count, replace=False)]
    labels = np.linalg.norm(middle[:, None] - seats[None], axis=2).argmin(axis=1)
    for part in np.unique(labels):
        _assert_closed_exactly(solid.selected(labels == part), int(part))


@settings(max_examples=12, deadline=None)
@given(SEEDS, st.integers(2, 4))
def test_faces_that_were_drawn_at_random_are_closed(seed, count):
    solid = of(_solid(seed))
    labels = np.random.default_rng(seed).integers(0, count, len(solid.faces))
    for part in np.unique(labels):
        _assert_closed_exactly(solid.selected(labels == part), int(part))


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_nonsense_is_closed_or_explained(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(3, 12))
    places = rng.integers(0, 3, (count, 3)) if seed % 2 else rng.normal(size=(count, 3))
    faces = rng.integers(0, count, (int(rng.integers(1, 30)), 3))
    try:
        closed = close_part(surface(places, faces), 0)
    except PartNotClosed as error:
        refused = error
    else:
        _assert_taken(welded(closed.mesh))
        return
    assert refused.detail.startswith("Part 0")
    assert refused.advice
