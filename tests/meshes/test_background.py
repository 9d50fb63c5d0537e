from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from backend.meshes.background import fit_border, grabcut_mask, plain_mask, to_lab
from backend.meshes.masks import iou
from tests.meshes.shapes import disc_mask


def picture(background, mask, colour=(200, 60, 40)):
    rgb = np.array(background, dtype=np.float64) * np.ones((*mask.shape, 1))
    rgb[mask] = colour
    noise = np.random.default_rng(0).normal(0, 2, rgb.shape)
    return np.clip(rgb + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("background", [(255, 255, 255), (128, 128, 128), (20, 20, 24)])
def test_object_on_plain_ground(background):
    mask = disc_mask(256, 70)
    lab = to_lab(picture(background, mask))
    border = fit_border(lab)
    assert border.plain_share > 0.95
    assert iou(plain_mask(lab, border), mask) > 0.97


def test_gradient_counts_as_plain_and_shadow_as_ground():
    mask = disc_mask(256, 60)
    ramp = np.linspace(180, 240, 256)[:, None, None] * np.ones((256, 256, 3))
    y, x = np.mgrid[0:256, 0:256] - 128.0
    soft = np.exp(-(((y - 62) / 10) ** 2 + (x / 50) ** 2))[..., None]
    lab = to_lab(picture(ramp * (1 - 0.35 * soft), mask))
    border = fit_border(lab)
    assert border.plain_share > 0.9
    assert iou(plain_mask(lab, border), mask) > 0.93


def test_busy_ground_is_noticed_and_grabcut_finds_the_object():
    mask = disc_mask(256, 70)
    rng = np.random.default_rng(1)
    blocks = np.kron(rng.integers(0, 150, (8, 8, 3)), np.ones((32, 32, 1)))
    blocks[..., 0] = 0  # nothing red behind the red ball
    rgb = picture(gaussian_filter(blocks, (6, 6, 0)), mask, colour=(230, 40, 40))
    lab = to_lab(rgb)
    border = fit_border(lab)
    assert border.plain_share < 0.9
    assert iou(grabcut_mask(rgb, lab, border.ring), mask) > 0.8
