from __future__ import annotations

import numpy as np
import pytest

from backend.catalog import BackSide
from backend.meshes.frame import to_metres
from backend.meshes.height_field import inflated
from backend.meshes.inflation_surface import round_surface, sample_outline
from backend.meshes.masks import iou
from backend.meshes.render import View, covered_pixels, render
from tests.meshes.pictured import pictured
from tests.meshes.solids import box, disc_mask, sphere


def test_a_ball_is_a_disc_with_soft_edges_on_nothing():
    image = render(sphere(), View(30, 20), 96)
    assert image.shape == (96, 96, 4)
    alpha = image[..., 3]
    assert alpha[0, 0] == 0
    assert alpha[48, 48] == 255
    assert ((alpha > 0) & (alpha < 255)).any()
    assert (alpha > 127).mean() == pytest.approx(np.pi / 4 / 1.06**2, abs=0.02)


def test_light_falls_from_above():
    image = render(sphere(), View(), 96)
    assert image[20, 48, 0] > image[76, 48, 0]


def test_views_turn_around_the_upright_axis():
    plank = box((1.0, 0.2, 0.1))
    front, side = render(plank, View(0), 64), render(plank, View(90), 64)
    assert np.ptp(np.where(front[..., 3] > 0)[1]) > 40
    assert np.ptp(np.where(side[..., 3] > 0)[1]) < np.ptp(np.where(side[..., 3] > 0)[0])


def test_the_texture_is_seen_the_right_way_round():
    mask = disc_mask(128, 45)
    rgb = np.zeros((128, 128, 3), dtype=np.uint8)
    rgb[:64, :64], rgb[:64, 64:], rgb[64:] = (255, 0, 0), (0, 0, 255), (0, 200, 0)
    flat = np.zeros(mask.shape, dtype=np.float32)
    mesh, frame = to_metres(round_surface(sample_outline(mask, inflated(mask), flat, 40)), 1.0)
    textured = pictured(mesh, rgb, mask, frame, 256, BackSide.MIRROR)
    image = render(textured, View(0), 64).astype(int)
    assert image[20, 22, 0] > 120 > image[20, 22, 2]
    assert image[20, 42, 2] > 120 > image[20, 42, 0]
    assert image[45, 32, 1] > 90 > image[45, 32, 0]


def test_the_model_covers_the_outline_it_was_made_from():
    mask = disc_mask(128, 45)
    flat = np.zeros(mask.shape, dtype=np.float32)
    mesh, frame = to_metres(round_surface(sample_outline(mask, inflated(mask), flat, 60)), 3.0)
    assert iou(covered_pixels(mesh, frame, mask.shape), mask) > 0.97
