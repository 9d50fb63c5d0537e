from __future__ import annotations

import numpy as np
import pytest

from backend.catalog import BackSide
from backend.meshes.atlas import project, push_outwards
from backend.meshes.frame import to_metres
from backend.meshes.height_field import inflated
from backend.meshes.inflation_surface import round_surface, sample_outline
from tests.meshes.solids import disc_mask

SIDE = 128


def _ball(mask):
    flat = np.zeros(mask.shape, dtype=np.float32)
    return to_metres(round_surface(sample_outline(mask, inflated(mask), flat, 40)), 1.0)


def _halves():
    """Left half red, right half blue, with a green background that must never show."""
    rgb = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    rgb[:] = (0, 255, 0)
    mask = disc_mask(SIDE, 45)
    half = np.arange(SIDE) < SIDE // 2
    rgb[mask & half] = (255, 0, 0)
    rgb[mask & ~half] = (0, 0, 255)
    return rgb, mask


def _colours(textured, faces):
    height, width = textured.texture.shape[:2]
    uv = textured.uv[textured.faces[faces]].mean(axis=1)
    row = ((1 - uv[:, 1]) * height).astype(int)
    column = (uv[:, 0] * width).astype(int)
    return textured.texture[row, column].astype(int)


@pytest.mark.parametrize("back", list(BackSide))
def test_red_on_the_left_of_the_picture_is_on_minus_x(back):
    rgb, mask = _halves()
    mesh, frame = _ball(mask)
    textured = project(mesh, rgb, mask, frame, 256, back)
    centre = textured.vertices[textured.faces].mean(axis=1)
    left = _colours(textured, (centre[:, 0] < -0.1) & (centre[:, 2] > 0.05))
    right = _colours(textured, (centre[:, 0] > 0.1) & (centre[:, 2] > 0.05))
    assert left[:, 0].min() > 200 > left[:, 2].max()
    assert right[:, 2].min() > 200 > right[:, 0].max()


def test_no_background_colour_gets_onto_the_model():
    rgb, mask = _halves()
    mesh, frame = _ball(mask)
    textured = project(mesh, rgb, mask, frame, 256, BackSide.AUTO)
    assert _colours(textured, np.arange(len(textured.faces)))[:, 1].max() < 30


def test_the_seam_repeats_positions_bit_for_bit():
    rgb, mask = _halves()
    mesh, frame = _ball(mask)
    textured = project(mesh, rgb, mask, frame, 256, BackSide.AUTO)
    assert len(textured.vertices) > len(mesh.vertices)
    assert len(np.unique(textured.vertices, axis=0)) == len(mesh.vertices)
    assert 0 <= textured.uv.min() <= textured.uv.max() <= 1


def test_a_mirrored_back_shows_the_front():
    rgb, mask = _halves()
    mesh, frame = _ball(mask)
    textured = project(mesh, rgb, mask, frame, 256, BackSide.MIRROR)
    front, back = np.split(textured.texture, 2, axis=1)
    assert (front == back).all()


@pytest.mark.parametrize(("height", "width"), [(60, 110), (110, 60)])
def test_the_atlas_is_no_larger_than_asked_for(height, width):
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[5 : 5 + height, 5 : 5 + width] = True
    rgb = np.full((SIDE, SIDE, 3), 90, dtype=np.uint8)
    mesh, frame = _ball(mask)
    textured = project(mesh, rgb, mask, frame, 512, BackSide.AUTO)
    assert 400 < max(textured.texture.shape) <= 513


def test_colours_are_pushed_outwards():
    rgb, mask = _halves()
    pushed = push_outwards(rgb, mask)
    assert pushed[..., 1].max() == 0
    assert pushed[64, 2].tolist() == [255, 0, 0]
