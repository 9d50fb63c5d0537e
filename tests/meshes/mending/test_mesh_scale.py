from __future__ import annotations

import numpy as np
import pytest

from backend.catalog import LengthUnit, UpAxis
from backend.meshes.mending.mesh_figures import measure_mesh
from backend.meshes.mending.mesh_scale import METRES, longest_side, scaled, turned_to, upright
from tests.meshes.globe import globe
from tests.meshes.source_shapes import textured_box


@pytest.mark.parametrize(
    ("unit", "metres"), [("mm", 0.001), ("cm", 0.01), ("m", 1), ("in", 0.0254), ("ft", 0.3048)]
)
def test_each_unit_is_as_long_as_it_is(unit, metres):
    read = scaled(textured_box(), METRES[LengthUnit(unit)])
    assert longest_side(read) == pytest.approx(metres)
    assert measure_mesh(read).extents_m[0] == pytest.approx(metres)


def test_what_pointed_up_in_z_points_up_in_y_and_nothing_is_mirrored():
    mesh = globe(8)
    read = upright(mesh, UpAxis.Z)
    top = mesh.vertices[:, 2].argmax()
    assert read.vertices[top, 1] == mesh.vertices[top, 2]
    assert measure_mesh(read).volume_m3 == measure_mesh(mesh).volume_m3
    np.testing.assert_array_equal(turned_to(read, UpAxis.Z).vertices, mesh.vertices)


def test_what_stays_as_large_is_not_rounded():
    mesh = globe(8)
    assert scaled(mesh, 1.0) is mesh
    assert upright(mesh, UpAxis.Y) is mesh
    assert turned_to(mesh, UpAxis.Y) is mesh
