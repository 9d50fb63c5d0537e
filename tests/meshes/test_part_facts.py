from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.part_facts import measure_enclosure, measure_parts
from backend.meshes.positions import numbered_positions
from backend.meshes.source_mesh import SourceMesh
from tests.meshes.solids import box
from tests.meshes.source_shapes import ball_of_face, textured_box, three_balls


def test_each_part_has_its_own_faces_area_and_box():
    mesh = three_balls()
    facts = measure_parts(mesh, ball_of_face(mesh), 3)
    assert facts.faces.tolist() == [320, 320, 320]
    assert facts.areas == pytest.approx([np.pi] * 3, rel=0.03)
    assert facts.centres[:, 0] == pytest.approx([0, 2, 4], abs=1e-6)
    assert facts.boxes[1, 0] == pytest.approx([1.5, -0.5, -0.5])


def test_a_part_without_faces_has_zeros():
    mesh = three_balls(1)
    facts = measure_parts(mesh, 2 * ball_of_face(mesh), 6)
    assert facts.faces.tolist() == [80, 0, 80, 0, 80, 0]
    assert not facts.boxes[1].any()
    assert measure_enclosure(mesh, 2 * ball_of_face(mesh), 6).closed.tolist() == [True, False] * 3


def test_closed_parts_tell_their_volume_although_their_seams_are_doubled():
    mesh = textured_box()
    whole = measure_enclosure(mesh, np.zeros(12, dtype=np.int32), 1)
    assert whole.closed.tolist() == [True]
    assert whole.volumes == pytest.approx([1.0])


def test_a_part_that_was_cut_out_is_open_and_its_volume_unknown():
    mesh = three_balls()
    labels = ball_of_face(mesh)
    upper = mesh.vertices[mesh.faces].mean(axis=1)[:, 1] > 0
    labels[(labels == 1) & upper] = 3
    found = measure_enclosure(mesh, labels, 4)
    assert found.closed.tolist() == [True, False, True, False]
    assert found.volumes[[0, 2]] == pytest.approx([np.pi / 6] * 2, rel=0.06)
    assert np.isnan(found.volumes[[1, 3]]).all()


def test_a_face_turned_over_opens_the_part():
    solid = SourceMesh.plain(box())
    turned = solid.faces.copy()
    turned[0] = turned[0, ::-1]
    mesh = SourceMesh(solid.vertices, turned, None, None, solid.materials, solid.face_materials)
    assert not measure_enclosure(mesh, np.zeros(12, dtype=np.int32), 1).closed.any()


def test_places_are_numbered_alike_when_they_are_the_same():
    places = numbered_positions(np.array([[0, 0, 0], [1, 2, 3], [0, 0, 0], [1, 2, 3.1]]))
    assert places[0] == places[2]
    assert len(set(places.tolist())) == 3
    assert numbered_positions(np.zeros((0, 3))).shape == (0,)
    assert numbered_positions(np.ones((2, 3))).tolist() == [0, 0]
