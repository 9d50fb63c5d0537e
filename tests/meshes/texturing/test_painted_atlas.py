"""An atlas painted in bands is the one painted at once."""

from __future__ import annotations

import numpy as np

from backend.meshes.texturing.gutters import with_gutters
from backend.meshes.texturing.painted_atlas import painted_atlas
from backend.meshes.texturing.texel_map import TexelBands, texels_of
from tests.meshes.texturing import golden_render as golden


def test_bands_give_the_picture_of_the_whole():
    given = golden.layout(), golden.unit_vertices(), golden.normals(), 128
    texels = texels_of(*given)
    expected = with_gutters(texels, texels.positions / 2 + 0.5)
    found = painted_atlas(TexelBands(*given, rows=10), lambda some: some.positions / 2 + 0.5)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= 1
