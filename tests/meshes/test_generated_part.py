from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.meshes.closed_part import ClosingMethod
from backend.meshes.generated_part import NOT_CLOSED, generated_part, part_look
from backend.meshes.source_mesh import Material
from backend.meshes.triangle_mesh import TriangleMesh
from tests.meshes.solids import box
from tests.meshes.source_shapes import textured_box, three_balls


def test_a_closed_surface_has_a_volume_and_an_open_one_says_so():
    solid = box(centre=(0.0, 0.0, 0.0))
    part = generated_part(4, solid, Material("red"), "A remark.")
    assert (part.part, part.method) == (4, ClosingMethod.GENERATED)
    assert part.volume == pytest.approx(solid.volume())
    assert part.notice == "A remark."
    opened = generated_part(4, TriangleMesh(solid.vertices, solid.faces[1:]), Material("red"))
    assert opened.volume is None
    assert opened.notice == NOT_CLOSED


def test_a_part_has_the_colour_of_most_of_its_area():
    mesh = textured_box()  # five sides in a texture of one colour, the top in blue
    look = part_look(mesh)
    red = np.array([200, 40, 40]) / 255
    assert look.base_color[:3] == pytest.approx(tuple(red**2.2), abs=1e-3)
    assert look.texture is None
    assert look.roughness == 0.5
    lid = mesh.selected(mesh.face_materials == 1)
    assert part_look(lid).base_color == (0.0, 0, 1, 1.0)


def test_colours_of_vertices_are_averaged_as_light():
    mesh = three_balls(1)
    colors = np.full((len(mesh.vertices), 4), 255, np.uint8)
    colors[:, 1:3] = 0
    look = part_look(replace(mesh, colors=colors))
    assert look.base_color == (1.0, 0.0, 0.0, 1.0)
