"""Both back ends of the rasteriser keep one contract."""

from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing import ray_rasteriser, torch_rasteriser
from backend.meshes.texturing.fragments import interpolate
from backend.meshes.texturing.pixel_rule import PixelRule
from backend.meshes.texturing.rasteriser import nearest_depths, rasterise
from backend.meshes.texturing.screen_faces import PUBLISHED_DEPTHS, screen_faces
from tests.meshes.texturing import golden_render as golden

BACK_ENDS = ("rays", "torch")
SQUARE = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]], dtype=float)


def run(
    back_end, screen, faces, height, width=None, rule=PixelRule.CENTRED, *, cull=False, depths=None
):
    shown = screen_faces(np.asarray(screen, float), np.asarray(faces), cull=cull, depths=depths)
    if back_end == "rays":
        return ray_rasteriser.rasterise(shown, height, width or height, rule)
    return torch_rasteriser.rasterise(shown, height, width or height, rule, "cpu")


@pytest.mark.parametrize(
    ("back_end", "view"), [("rays", 0), ("rays", 1), ("rays", 4), ("rays", 6), ("torch", 6)]
)
def test_finds_the_faces_that_the_original_found(back_end, view):
    screen = golden.camera(view).screen(golden.unit_vertices())
    rule = PixelRule.CORNER_ALIGNED
    found = run(back_end, screen, golden.faces(), 256, rule=rule, depths=PUBLISHED_DEPTHS)
    expected = golden.arrays()[f"view{view}.findices"]
    assert np.array_equal(found.face_ids, expected)
    if view == 0:
        same = (found.face_ids == expected)[::4]
        weights = golden.arrays()["view0.bary_every_4th_row"].astype(np.float32)
        assert np.abs(found.barycentric[::4] - weights)[same].max() < 5e-4


def grid_mesh(cells):
    """Squares cut in two, their borders on every line of pixels."""
    lines = PixelRule.CENTRED.centres(cells + 1)
    x, y = np.meshgrid(lines, lines)
    points = np.stack([x.ravel(), y.ravel(), np.full(x.size, 0.5)], axis=1)
    corner = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
    right, below = corner + 1, corner + cells + 1
    halves = np.stack([corner, below, right]), np.stack([right, below, below + 1])
    return points, np.concatenate(halves, axis=1).T


@pytest.mark.parametrize("back_end", BACK_ENDS)
@pytest.mark.parametrize("shuffled", [False, True])
def test_loses_no_pixel_on_edges_and_gives_it_to_the_lowest_face(back_end, shuffled):
    points, faces = grid_mesh(24)
    if shuffled:
        faces = np.random.default_rng(3).permutation(faces)
    found = run(back_end, points, faces, 25)
    touching = [np.flatnonzero((faces == vertex).any(axis=1)).min() for vertex in range(25 * 25)]
    assert np.array_equal(found.face_ids.ravel() - 1, touching)


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_faces_in_one_place_and_overlapping_flat_ones_go_to_the_lowest(back_end):
    doubled = run(back_end, SQUARE, [[0, 1, 2], [2, 1, 0], [1, 2, 0]], 32)
    assert set(np.unique(doubled.face_ids)) == {0, 1}
    flat = np.concatenate([SQUARE * 0.5, SQUARE, SQUARE * 0.7])
    flat[:, 2] = 0
    faces = [[8, 9, 10], [8, 10, 11], [0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]
    assert np.array_equal(np.unique(run(back_end, flat, faces, 40).face_ids), [1, 2, 5, 6])


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_the_nearest_face_hides_others(back_end):
    near = SQUARE * [0.5, 0.5, 0.25]
    faces = [[0, 2, 1], [0, 3, 2], [4, 6, 5], [4, 7, 6]]
    found = run(back_end, np.concatenate([SQUARE, near]), faces, 16)
    assert (found.face_ids[4:12, 4:12] >= 3).all()
    assert found.covered.all()
    assert (found.face_ids > 2).sum() == 64


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_in_a_coarse_step_of_the_depth_the_lowest_face_counts_wherever_it_lies(back_end):
    """Five sheets, each behind the one before; the lowest faces lie deepest."""
    sheets = np.concatenate([SQUARE + np.array([0, 0, d]) for d in (0.4, 0.3, 0.2, 0.1, 0)])
    sheets[:, 2] = 1 + sheets[:, 2] * 1e-4
    faces = np.concatenate([np.array([[0, 1, 2], [0, 2, 3]]) + 4 * sheet for sheet in range(5)])
    fine = run(back_end, sheets, faces, 16)
    assert set(np.unique(fine.face_ids)) == {9, 10}
    coarse = run(back_end, sheets, faces, 16, depths=PUBLISHED_DEPTHS)
    assert set(np.unique(coarse.face_ids)) == {1, 2}
    places = interpolate(sheets, faces, coarse)
    assert np.abs(places[..., 0] - PixelRule.CENTRED.centres(16)).max() < 1e-6
    sheets[:4, 2] += 1e-3
    assert set(np.unique(run(back_end, sheets, faces, 16, depths=PUBLISHED_DEPTHS).face_ids)) == {
        3,
        4,
    }


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_faces_turned_away_are_left_out_on_demand(back_end):
    towards, away = [[0, 3, 1]], [[1, 3, 2]]
    clockwise = np.array(away)[:, ::-1]
    faces = np.concatenate([towards, clockwise])
    assert set(np.unique(run(back_end, SQUARE, faces, 9).face_ids)) == {1, 2}
    culled = run(back_end, SQUARE, faces, 9, cull=True)
    assert set(np.unique(culled.face_ids)) == {0, 1}


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_faces_without_area_or_number_cover_nothing(back_end):
    points = np.concatenate([SQUARE, [[np.nan, 0, 0], [0, 0, 0.1]]])
    found = run(back_end, points, [[0, 0, 2], [0, 5, 2], [0, 1, 4], [0, 3, 1]], 12)
    assert set(np.unique(found.face_ids)) == {0, 4}
    assert np.isfinite(found.barycentric).all()
    nothing = run(back_end, points, [[0, 0, 2]], 12, 5)
    assert nothing.face_ids.shape == (12, 5)
    assert not nothing.covered.any()


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_faces_reach_beyond_the_picture_and_miss_it(back_end):
    found = run(back_end, SQUARE * [50, 50, 1], [[0, 3, 1], [1, 3, 2]], 7, 19)
    assert found.covered.all()
    aside = SQUARE + np.array([5, 0, 0])
    assert not run(back_end, aside, [[0, 3, 1], [1, 3, 2]], 7, 19).covered.any()


def test_back_ends_agree_on_random_faces(monkeypatch):
    monkeypatch.setattr(ray_rasteriser, "RAYS_PER_CHUNK", 1000)
    monkeypatch.setattr(torch_rasteriser, "PAIRS_PER_CHUNK", 40_000)
    points = np.random.default_rng(0).uniform(-1.2, 1.2, (150, 3))
    faces = np.arange(150).reshape(-1, 3)
    rays, pairs = (run(name, points, faces, 70, 90) for name in BACK_ENDS)
    same = rays.face_ids == pairs.face_ids
    assert same.mean() > 0.999
    assert np.abs(rays.barycentric - pairs.barycentric)[same].max() < 1e-6
    assert np.allclose(pairs.barycentric[pairs.covered].sum(axis=1), 1, atol=1e-6)


def test_interpolates_places_back_to_where_pixels_are():
    points = np.random.default_rng(1).uniform(-1, 1, (60, 3))
    faces = np.arange(60).reshape(-1, 3)
    found = rasterise(points, faces, 40, 50, PixelRule.CENTRED)
    places = interpolate(points, faces, found)
    x, y = np.meshgrid(PixelRule.CENTRED.centres(50), PixelRule.CENTRED.centres(40))
    covered = found.covered
    assert covered.mean() > 0.5
    assert np.abs(places[covered][:, 0] - x[covered]).max() < 1e-5
    assert np.abs(places[covered][:, 1] - y[covered]).max() < 1e-5
    depths, is_covered = nearest_depths(points, faces, 40, 50, PixelRule.CENTRED)
    assert (is_covered == covered).mean() > 0.999
    both = is_covered & covered
    assert np.quantile(np.abs(depths - places[..., 2])[both], 0.99) < 1e-5


def test_all_of_a_flat_sheet_is_as_far_away_as_it_is():
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    depths, is_covered = nearest_depths(SQUARE, faces, 8, 8, PixelRule.CENTRED)
    assert is_covered.all()
    assert (depths == 1).all()


@pytest.mark.parametrize("rule", PixelRule)
def test_rules_find_their_own_centres(rule):
    assert np.allclose(rule.pixels(rule.centres(9), 9), np.arange(9))
    ends = rule.centres(9)[[0, -1]]
    assert np.allclose(ends, [-1, 1] if rule is PixelRule.CORNER_ALIGNED else [-8 / 9, 8 / 9])
