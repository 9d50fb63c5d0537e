from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from backend.meshes.picture import Picture, read_mask, scale_mask, write_cut_out, write_mask
from tests.conftest import draw_figure
from tests.meshes.solids import disc_mask


def test_palette_pictures_with_transparency_are_read_as_rgba(tmp_path):
    image = Image.new("P", (8, 8), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 1), 1)
    image.save(tmp_path / "p.png", transparency=0)
    picture = Picture.read(tmp_path / "p.png")
    assert picture.rgba.shape == (8, 8, 4)
    assert picture.has_alpha
    assert picture.rgba[1, 1].tolist() == [0, 255, 0, 255]


def test_hidden_colours_do_not_bleed_when_scaled():
    rgba = np.zeros((64, 64, 4), dtype=np.uint8)
    rgba[..., 1] = 255  # green, hidden
    rgba[:, :33] = (255, 0, 0, 255)
    small = Picture(rgba).scaled_to(32).rgba
    seen = small[small[..., 3] > 100]
    assert seen[:, 1].max() < 10


def test_scaling_keeps_the_aspect():
    assert Picture(np.zeros((100, 50, 4), dtype=np.uint8)).scaled_to(200).rgba.shape[:2] == (
        200,
        100,
    )


def test_a_mask_survives_writing_and_scaling(tmp_path):
    mask = disc_mask(200, 70)
    write_mask(mask, tmp_path / "m.png")
    read = read_mask(tmp_path / "m.png", (100, 100))
    assert read.mean() == pytest.approx(mask.mean(), abs=0.01)
    assert scale_mask(mask, mask.shape) is mask


def test_the_cut_out_is_transparent_outside(tmp_path):
    picture = Picture(np.asarray(draw_figure(128, transparent=False)))
    mask = disc_mask(128, 40)
    write_cut_out(picture, mask, tmp_path / "c.png")
    cut = np.asarray(Image.open(tmp_path / "c.png"))
    assert cut[0, 0, 3] == 0
    assert cut[64, 64, 3] == 255
