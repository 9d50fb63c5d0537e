"""Maps of normals and positions, and the views that they are made for."""

from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.cameras import STANDARD_VIEWS
from backend.meshes.texturing.unit_frame import UnitFrame
from backend.meshes.texturing.view_maps import NormalKind, face_normals, mean_normals, render_maps
from backend.meshes.texturing.view_selection import EXTRA_VIEWS, select_views
from tests.meshes.texturing import golden_render as golden


@pytest.mark.parametrize(("kind", "name"), [("smooth", "normal20"), ("flat", "normal21")])
def test_maps_are_the_published_ones(kind, name):
    vertices, faces, camera = golden.unit_vertices(), golden.faces(), golden.camera(4)
    told = []
    maps = render_maps(
        vertices,
        faces,
        [camera],
        NormalKind(kind),
        size_px=256,
        render_px=256,
        tell=lambda *step: told.append(step),
    )[0]
    for found, key in ((maps.normals, name), (maps.positions, "position")):
        expected = golden.arrays()[f"view4.{key}_u8"]
        assert np.abs(found.astype(int) - expected).max() <= 1
    assert told == [(1, 1)]
    small = render_maps(vertices, faces, [camera], NormalKind(kind), size_px=64, render_px=256)[0]
    assert small.normals.shape == small.positions.shape == (64, 64, 3)
    assert (small.normals[0] == 255).all()


def test_normals_of_vertices_count_every_face_once():
    """A corner of a box whose sides are cut into different numbers of faces."""
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0]], dtype=float)
    faces = np.array([[0, 2, 4], [0, 4, 1], [0, 3, 2], [0, 0, 1]])
    of_faces = face_normals(vertices, faces)
    assert np.allclose(of_faces, [[0, 0, -1], [0, 0, -1], [-1, 0, 0], [0, 0, 0]])
    mean = mean_normals(of_faces, faces, 5)
    assert np.allclose(mean[0], np.array([-1, 0, -2]) / np.sqrt(5))


def test_six_views_suffice_for_a_plain_object():
    vertices, faces = golden.unit_vertices(), golden.faces()
    assert select_views(vertices, faces, 6) == STANDARD_VIEWS
    told = []
    chosen = select_views(vertices, faces, 9, size_px=200, tell=lambda *s: told.append(s))
    found = [(view.camera.elevation_deg, view.camera.azimuth_deg) for view in chosen]
    assert np.array_equal(found, golden.arrays()["viewsel.elev_azim"])
    assert told[-1] == (30, 30)


def test_views_that_show_more_are_added_until_there_are_enough():
    """Plates deep in boxes that are open only to 30 and to 150 degrees."""
    plates = [slot(azimuth) for azimuth in (30, 150)]
    vertices = np.concatenate([plate[0] for plate in plates])
    faces = np.concatenate([plates[0][1], plates[1][1] + len(plates[0][0])])
    unit = UnitFrame.of(vertices).to_unit(vertices)
    chosen = select_views(unit, faces, 9, size_px=256)
    assert chosen[:6] == STANDARD_VIEWS
    assert {view.camera.azimuth_deg for view in chosen[6:]} == {30, 150}
    assert set(chosen[6:]) <= set(EXTRA_VIEWS)
    assert len(select_views(unit, faces, 7, size_px=256)) == 7


def test_of_views_that_show_as_much_the_first_is_taken():
    """Candidates go round the object, each from above and then from below."""
    found = [(v.camera.azimuth_deg, v.camera.elevation_deg) for v in EXTRA_VIEWS[:3]]
    assert found == [(0, 20), (0, -20), (30, 20)]
    assert len(set(EXTRA_VIEWS)) == 24
    plates = [slot(azimuth) for azimuth in (330, 30)]  # mirror images
    vertices = np.concatenate([plate[0] for plate in plates])
    faces = np.concatenate([plates[0][1], plates[1][1] + len(plates[0][0])])
    unit = UnitFrame.of(vertices).to_unit(vertices)
    for given in (faces, faces[::-1]):
        assert select_views(unit, given, 7, size_px=256)[6].camera.azimuth_deg == 30


def slot(azimuth_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """A deep box with a plate near its bottom, open only towards an azimuth."""
    angle = np.radians(azimuth_deg)
    out = np.array([np.sin(angle), 0, np.cos(angle)])
    side = np.array([np.cos(angle), 0, -np.sin(angle)])
    up = np.array([0, 1.0, 0])
    ring = np.array([-side - up, side - up, side + up, -side + up]) * 0.5
    rings = [ring + out * (2 + depth) for depth in (0, 2.4, 0.2)]  # bottom, mouth, plate
    walls = [[corner, (corner + 1) % 4, (corner + 1) % 4 + 4, corner + 4] for corner in range(4)]
    quads = np.array([[0, 1, 2, 3], [8, 9, 10, 11], *walls])
    return np.concatenate(rings), np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
