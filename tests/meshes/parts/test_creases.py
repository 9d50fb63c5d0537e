from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.parts.creases import contrast, find_creases
from backend.meshes.parts.refinement import split_long_edges
from backend.meshes.parts.surface import Surface
from tests.meshes.parts.things import dumbbell
from tests.meshes.solids import box


def _across(mesh, labels_of, noise=0.0):
    random = np.random.default_rng(0)
    moved = mesh.vertices + noise * random.standard_normal(mesh.vertices.shape)
    surface = Surface.of(moved, mesh.faces.astype(np.int64))
    patches = labels_of(surface)
    across = patches[surface.pairs[:, 0]] != patches[surface.pairs[:, 1]]
    return find_creases(surface, patches).turns[across], surface.turns[across]


def test_the_edges_of_a_box_are_convex_right_angles():
    def top(surface):
        return (surface.normals[:, 1] > 0.9).astype(np.int64)

    turns, _ = _across(box(), top)
    assert turns == pytest.approx(-np.pi / 2)


def test_noise_does_not_make_a_crease():
    def half(surface):
        return np.digitize(surface.centres[:, 0], [-0.9, -0.6, 0.6, 0.9]).astype(np.int64)

    calm, _ = _across(dumbbell(40), half)
    rough, raw = _across(dumbbell(40), half, noise=0.006)
    assert raw.mean() > 0.3
    assert np.maximum(rough, 0).mean() == pytest.approx(np.maximum(calm, 0).mean(), abs=0.12)


def test_the_neck_of_a_dumbbell_is_concave():
    def ball(surface):
        return (np.abs(surface.centres[:, 0]) > 0.31).astype(np.int64)

    turns, _ = _across(dumbbell(40), ball)
    assert np.median(turns) > 0.5


def test_colours_are_compared_across_the_border_without_their_grain():
    mesh = box()
    vertices, faces, _ = split_long_edges(
        mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64), 0.1, 9000
    )
    surface = Surface.of(vertices, faces)
    patches = (surface.centres[:, 1] > 0.5).astype(np.int64)
    grain = np.random.default_rng(0).normal(0, 15, (len(faces), 3))
    colors = grain + np.where(patches[:, None], [[80.0, 0, 0]], [[50.0, 0, 0]])
    across = patches[surface.pairs[:, 0]] != patches[surface.pairs[:, 1]]
    contrasts = find_creases(surface, patches, colors).contrasts
    assert contrasts[across].mean() == pytest.approx(0.5, abs=0.1)
    assert contrasts[~across].mean() < 0.1


def test_contrast_ends_at_one():
    black, white = np.zeros((1, 3)), np.array([[100.0, 0, 0]])
    assert contrast(black, white).tolist() == [1]
    assert contrast(white, white).tolist() == [0]
