from __future__ import annotations

import numpy as np
import pytest

from backend.catalog import BackSide
from backend.meshes.atlas import project, push_outwards
from backend.meshes.frame import to_metres
from backend.meshes.masks import iou
from backend.meshes.render import View, covered_pixels, render
from tests.meshes.shapes import disc_mask
from tests.meshes.test_surface import ball

RED, BLUE, GREEN = (220, 30, 30), (30, 30, 220), (0, 255, 0)


@pytest.fixture(scope="module")
def scene():
    """A ball whose picture is red on the left and blue on the right, on bright green."""
    mesh, frame = to_metres(ball(64), 1.0)
    mask = disc_mask(128, 50)
    rgb = np.zeros((128, 128, 3), dtype=np.uint8)
    rgb[:] = GREEN
    rgb[:, :64][mask[:, :64]] = RED
    rgb[:, 64:][mask[:, 64:]] = BLUE
    return mesh, frame, mask, rgb


def textured(scene, back=BackSide.AUTO, mirrored=False, size=256):
    mesh, frame, mask, rgb = scene
    return project(mesh, rgb, mask, frame, size, back, mirrored)


def mean_colour(image, columns):
    part = image[40:90, columns].reshape(-1, 4)
    return part[part[:, 3] > 0][:, :3].mean(axis=0)


def test_front_shows_the_picture_the_right_way_round(scene):
    image = render(textured(scene), View(0), 128)
    left, right = mean_colour(image, slice(30, 55)), mean_colour(image, slice(75, 100))
    assert left[0] > 2 * left[2]
    assert right[2] > 2 * right[0]


def test_back_seen_from_behind_is_mirrored_or_soft(scene):
    mirrored = render(textured(scene, BackSide.MIRROR), View(180), 128)
    assert mean_colour(mirrored, slice(75, 100))[0] > 100, "red is on the right from behind"
    auto = textured(scene, BackSide.AUTO, mirrored=True).texture
    assert (auto == textured(scene, BackSide.MIRROR).texture).all()
    assert (textured(scene, BackSide.PLAIN).texture != auto).any()


@pytest.mark.parametrize("azimuth", [0, 60, 90, 180])
def test_no_background_bleeds_onto_the_model(scene, azimuth):
    image = render(textured(scene), View(azimuth), 128)
    seen = image[image[..., 3] > 200][:, :3].astype(int)
    greener = (seen[:, 1] > seen[:, 0] + 40) & (seen[:, 1] > seen[:, 2] + 40)
    assert greener.mean() < 0.002


def test_wide_objects_are_stacked_and_tall_ones_side_by_side(scene):
    mesh, frame, mask, rgb = scene
    wide = mask.copy()
    wide[:40] = wide[90:] = False
    height, width = project(mesh, rgb, wide, frame, 256, BackSide.PLAIN, False).texture.shape[:2]
    assert max(height, width) == pytest.approx(256, abs=2)
    assert textured(scene).texture.shape[1] == pytest.approx(256, abs=2)


def test_seam_vertices_are_alike_bit_for_bit(scene):
    made = textured(scene)
    assert len(np.unique(made.vertices, axis=0)) == len(scene[0].vertices)
    assert (made.uv >= 0).all()
    assert (made.uv <= 1).all()


def test_covered_pixels_are_the_outline(scene):
    mesh, frame, mask, _ = scene
    assert iou(covered_pixels(mesh, frame, mask.shape), mask) > 0.97


def test_plain_render_is_shaded_on_a_transparent_ground(scene):
    image = render(scene[0], View(30, 20), 96)
    assert image[0, 0, 3] == 0
    assert image[48, 48, 3] == 255
    lit = image[image[..., 3] == 255][:, :3]
    assert lit.std() > 5


def test_colours_are_pushed_out_of_thin_parts_too():
    rgb = np.zeros((40, 40, 3), dtype=np.uint8)
    mask = np.zeros((40, 40), dtype=bool)
    mask[20, 5:35] = True
    rgb[mask] = RED
    assert (push_outwards(rgb, mask)[2, 20] == RED).all()
