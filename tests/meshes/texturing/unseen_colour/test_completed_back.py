from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.unseen_colour.completed_back import CompletedBack
from backend.meshes.texturing.unseen_colour.picture_crop import PictureCrop


@pytest.fixture
def core():
    mask = np.zeros((300, 400), dtype=bool)
    mask[40:240, 60:160] = True
    return mask


def test_what_was_put_is_found_where_it_lies_in_the_picture(core):
    crop = PictureCrop.of(core, 50)
    colours = np.zeros((*crop.shape, 3), dtype=np.float32)
    share = np.zeros(crop.shape, dtype=np.float32)
    colours[30, 10], share[30, 10] = (10, 20, 30), 1
    back = CompletedBack(crop, colours, share, np.zeros(0))
    found_share, found = back.at(
        np.array([[60 + 10.5 * 4 - 0.5, 40 + 30.5 * 4 - 0.5], [70.0, 50.0]])
    )
    assert found_share == pytest.approx([1, 0], abs=1e-3)
    assert found[0] == pytest.approx([10, 20, 30], abs=0.05)
