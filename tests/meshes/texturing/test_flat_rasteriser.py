"""Layouts are drawn by rows with the result that rays have."""

from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing import flat_rasteriser, ray_rasteriser
from backend.meshes.texturing.pixel_rule import PixelRule
from backend.meshes.texturing.screen_faces import screen_faces
from backend.meshes.texturing.texel_map import layout_screen
from tests.meshes.texturing import golden_render as golden


def shown(points, faces):
    flat = np.concatenate([np.asarray(points, float), np.zeros((len(points), 1))], axis=1)
    return screen_faces(flat, np.asarray(faces), cull=False)


@pytest.mark.parametrize("rule", PixelRule)
def test_agrees_with_rays_on_faces_that_overlap_and_leave_the_picture(rule, monkeypatch):
    points = np.random.default_rng(0).uniform(-1.2, 1.2, (120, 2))
    faces = shown(points, np.arange(120).reshape(-1, 3))
    rays = ray_rasteriser.rasterise(faces, 70, 90, rule)
    found = flat_rasteriser.rasterise(faces, 70, 90, rule)
    assert np.array_equal(found.face_ids, rays.face_ids)
    assert np.abs(found.barycentric - rays.barycentric).max() < 1e-6
    monkeypatch.setattr(flat_rasteriser, "PIXELS_AT_A_TIME", 500)
    portions = flat_rasteriser.rasterise(faces, 70, 90, rule)
    assert np.array_equal(portions.face_ids, found.face_ids)


def test_agrees_with_rays_on_a_layout_of_charts():
    layout = golden.layout()
    faces = screen_faces(layout_screen(layout.uv), layout.faces, cull=False)
    rays = ray_rasteriser.rasterise(faces, 300, 300, PixelRule.CENTRED)
    found = flat_rasteriser.rasterise(faces, 300, 300, PixelRule.CENTRED)
    differs = found.face_ids != rays.face_ids
    assert differs.sum() <= 3
    assert not rays.face_ids[differs].any()  # pixels beside an edge, within single precision
    assert found.covered.mean() > 0.2


def test_pixels_on_edges_go_to_the_lowest_face():
    lines = PixelRule.CENTRED.centres(13)
    x, y = np.meshgrid(lines, lines)
    corner = (np.arange(12)[:, None] * 13 + np.arange(12)).ravel()
    halves = [[corner, corner + 13, corner + 1], [corner + 1, corner + 13, corner + 14]]
    faces = np.random.default_rng(3).permutation(np.concatenate(halves, axis=1).T)
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    found = flat_rasteriser.rasterise(shown(points, faces), 13, 13, PixelRule.CENTRED)
    touching = [np.flatnonzero((faces == vertex).any(axis=1)).min() for vertex in range(13 * 13)]
    assert np.array_equal(found.face_ids.ravel() - 1, touching)


def test_an_edge_that_single_precision_moved_off_its_pixels_keeps_them():
    """The slanted edge runs through pixel centres but for 2e-8, as 0.6 does in float32."""
    points = [[-1, -1], [1 - 4e-8, -1], [-1, 1 - 4e-8]]
    found = flat_rasteriser.rasterise(shown(points, [[0, 1, 2]]), 8, 8, PixelRule.CENTRED)
    assert found.covered.sum() == 36
    assert np.abs(found.barycentric[found.covered].sum(axis=1) - 1).max() < 1e-6
    both = shown([*points, [1, -1], [1, 1], [-1, 1]], [[0, 1, 2], [3, 4, 5]])
    filled = flat_rasteriser.rasterise(both, 8, 8, PixelRule.CENTRED)
    assert (filled.face_ids == 2).sum() == 36  # the face that truly has the edge gets it


def test_suits_flat_faces_that_are_neither_piled_up_nor_slivers():
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    two = [[0, 1, 2], [0, 2, 3]]
    assert flat_rasteriser.is_suitable(shown(square, two), 16, 16)
    deep = screen_faces(np.eye(3), np.array([[0, 1, 2]]), cull=False)
    assert not flat_rasteriser.is_suitable(deep, 16, 16)
    piles = np.concatenate([square] * 20)
    piled = [[4 * pile, 4 * pile + 1, 4 * pile + 2] for pile in range(20)]
    assert not flat_rasteriser.is_suitable(shown(piles, piled), 16, 16)
    ends = np.linspace(-1, 1, 400)
    slivers = np.concatenate(
        [np.stack([ends + shift, np.full(400, level)], 1) for shift, level in ((0, -1), (1e-3, 1))]
    )
    thin = [[i, i + 400, i + 1] for i in range(399)]
    assert not flat_rasteriser.is_suitable(shown(slivers, thin), 64, 64)
