from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from backend.meshes.background import to_lab
from backend.meshes.picture_border import Margins, drop_frame_lines, frame_margins
from tests.pipelines.drawings import DRAWINGS


def _margins(image: Image.Image) -> Margins:
    return frame_margins(to_lab(np.asarray(image.convert("RGB"))))


def test_a_coloured_frame_is_measured():
    margins = _margins(DRAWINGS["coloured_frame"]()[0])
    assert margins == pytest.approx((13, 13, 13, 13), abs=2)
    rows, columns = margins.inside((256, 256))
    assert rows.start >= 12
    assert columns.stop <= 244


def test_letterbox_bars_are_measured():
    margins = _margins(DRAWINGS["letterbox"]()[0])
    assert margins[:2] == pytest.approx((61, 61), abs=2)
    assert margins[2:] == (0, 0)


@pytest.mark.parametrize("name", ["on_white", "floor_and_wall", "very_wide", "gradient_and_shadow"])
def test_a_background_is_not_a_frame(name):
    image = DRAWINGS[name]()[0]
    ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
    ground.alpha_composite(image)
    assert _margins(ground) == (0, 0, 0, 0)


def test_a_box_on_white_paper_is_an_object_and_not_a_framed_picture():
    image = Image.new("RGB", (200, 200), (255, 255, 255))
    ImageDraw.Draw(image).rectangle((8, 8, 191, 191), fill=(180, 40, 30))
    assert _margins(image) == (0, 0, 0, 0)


def test_a_line_around_the_picture_is_dropped_and_a_ring_is_not():
    mask = np.zeros((100, 100), dtype=bool)
    mask[3:97, 3:97] = True
    mask[5:95, 5:95] = False
    mask[40:60, 40:60] = True
    left = drop_frame_lines(mask)
    assert left.sum() == 400
    y, x = np.mgrid[0:100, 0:100]
    ring = np.abs(np.hypot(y - 49.5, x - 49.5) - 44) < 4
    assert (drop_frame_lines(ring) == ring).all()
