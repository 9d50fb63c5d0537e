from __future__ import annotations

import re

import numpy as np
import pytest

from backend.meshes import part_colors
from backend.meshes.part_colors import PALETTE_SIZE, linear_of, palette, part_color, rgb_of


def oklab(colors):
    cones = np.array([linear_of(color) for color in colors]) @ part_colors._TO_CONES.T
    return np.cbrt(cones) @ part_colors._TO_OKLAB.T


def least_distance(seen):
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=2)
    return apart[~np.eye(len(seen), dtype=bool)].min()


def test_colors_are_valid_different_and_the_same_for_any_number_of_parts():
    assert len(set(palette())) == PALETTE_SIZE
    assert all(re.fullmatch("#[0-9a-f]{6}", color) for color in palette())
    assert part_color(3) == palette()[3] == part_color(3 + PALETTE_SIZE)


def test_the_first_dozen_is_far_apart_for_normal_eyes():
    assert least_distance(oklab(palette()[:12])) > 0.12  # neighbours on a hue circle of 12: 0.08


@pytest.mark.parametrize("eye", [part_colors._PROTAN, part_colors._DEUTAN])
def test_the_first_dozen_can_be_told_apart_by_color_blind_eyes(eye):
    linear = np.array([linear_of(color) for color in palette()[:12]])
    seen = np.cbrt(linear @ eye.T @ part_colors._TO_CONES.T) @ part_colors._TO_OKLAB.T
    assert least_distance(seen) > 0.03


def test_colors_are_neither_too_dark_nor_too_light_to_see_shading():
    lightness = oklab(palette())[:, 0]
    assert lightness.min() > 0.4
    assert lightness.max() < 0.9


def test_hex_and_linear_values():
    assert rgb_of("#ff8000") == (255, 128, 0)
    assert linear_of("#ff8000") == pytest.approx((1.0, 0.2158605, 0.0), abs=1e-5)
    assert linear_of("#010101")[0] == pytest.approx(1 / 255 / 12.92, abs=1e-5)
