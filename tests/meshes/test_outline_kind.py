from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from backend.catalog import ShapeMode
from backend.meshes.outline_kind import outline_kind, rectangle_fill
from tests.conftest import draw_figure


def _mask(draw_it) -> np.ndarray:
    image = Image.new("L", (200, 200))
    draw_it(ImageDraw.Draw(image))
    return np.asarray(image) > 127


def test_a_vase_is_turned():
    def vase(draw):
        draw.ellipse((50, 70, 150, 180), fill=255)
        draw.rectangle((85, 20, 115, 90), fill=255)
        draw.polygon([(70, 15), (130, 15), (115, 40), (85, 40)], fill=255)

    assert outline_kind(_mask(vase)) is ShapeMode.LATHE


def test_a_card_is_a_slab_even_when_it_is_turned():
    def card(draw):
        draw.polygon([(40, 60), (140, 20), (170, 110), (70, 150)], fill=255)

    assert outline_kind(_mask(card)) is ShapeMode.SLAB
    assert rectangle_fill(_mask(card))[0] > 0.93


def test_a_figure_is_inflated():
    mask = np.asarray(draw_figure())[..., 3] > 127
    assert outline_kind(mask) is ShapeMode.INFLATE


def test_a_sign_on_a_puddle_is_not_turned_into_a_plate():
    def sign(draw):
        draw.ellipse((60, 20, 140, 100), fill=255)
        draw.rectangle((95, 90, 105, 185), fill=255)
        draw.rectangle((20, 184, 180, 192), fill=255)

    assert outline_kind(_mask(sign)) is ShapeMode.INFLATE
