from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from backend.meshes.closing.joined_surface import join
from backend.meshes.mending.mesh_figures import measure_mesh
from backend.meshes.mending.repair import RepairOptions, repair
from backend.meshes.mending.t_junctions import split_t_junctions
from backend.meshes.source_mesh import Material, SourceMesh
from backend.meshes.triangle_mesh import TriangleMesh
from tests.meshes.globe import globe, with_faces
from tests.meshes.solids import box

SPLIT_ONLY = RepairOptions(hole_share=0)


def with_resting_corners(mesh: SourceMesh, face: int, cuts: int, reverse: bool = False):
    """Split a face into a fan with corners on its first edge; its neighbour stays whole."""
    a, b, c = mesh.faces[face].tolist()
    shares = np.linspace(0, 1, cuts + 2)[1:-1, None]
    new = len(mesh.vertices) + np.arange(cuts)
    chain = [a, *new.tolist(), b]
    fan = [[x, y, c] for x, y in itertools.pairwise(chain)]
    fan = [one[::-1] for one in fan] if reverse else fan
    kept = np.delete(mesh.faces, face, axis=0)

    def along(values):
        rows = values[a] + shares * (values[b].astype(float) - values[a])
        return np.concatenate([values, rows.astype(values.dtype)])

    grown = replace(
        mesh,
        vertices=along(mesh.vertices),
        uvs=None if mesh.uvs is None else along(mesh.uvs),
    )
    return with_faces(grown, np.concatenate([kept, fan]))


@pytest.mark.parametrize("cuts", [1, 3])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_neighbour_is_split_where_corners_rest_on_its_edge(cuts, reverse):
    slit = with_resting_corners(SourceMesh.plain(box()), 4, cuts, reverse)
    assert measure_mesh(slit).border_edges == cuts + 2
    repaired = repair(slit, SPLIT_ONLY)
    figures = measure_mesh(repaired.mesh)
    assert figures.is_watertight
    assert figures.volume_m3 == pytest.approx(1)
    assert figures.faces == 12 + 2 * cuts
    taken = {step.step.value: step.changed for step in repaired.steps}
    assert taken["split_t_junctions"] == 1


def test_several_edges_of_one_face_are_split():
    mesh = SourceMesh.plain(box())
    (a, b, c) = mesh.faces[0]
    others = [
        number
        for number, face in enumerate(mesh.faces)
        if number and len({a, b, c} & set(face.tolist())) == 2
    ]
    for number in sorted(others, reverse=True):
        face = mesh.faces[number]
        own = next(corner for corner in range(3) if face[corner] not in (a, b, c))
        turned = mesh.faces.copy()
        turned[number] = np.roll(face, -(own + 1))
        mesh = with_resting_corners(with_faces(mesh, turned), number, 1)
    repaired = repair(mesh, SPLIT_ONLY)
    assert measure_mesh(repaired.mesh).is_watertight
    assert measure_mesh(repaired.mesh).volume_m3 == pytest.approx(1)


def test_texture_coordinates_are_those_of_the_edge():
    slit = with_resting_corners(globe(12), 150, 1)
    found = repair(slit, SPLIT_ONLY).mesh
    assert measure_mesh(found).is_watertight
    v = np.arccos(np.clip(found.vertices[:, 1], -1, 1)) / np.pi
    assert np.abs(found.uvs[:, 1] - v).max() < 0.01


def test_a_point_near_an_edge_that_is_no_corner_of_its_neighbours_changes_nothing():
    points = [[0, 0, 0], [2, 0, 0], [1, 1, 0], [1, 0, 0], [0.5, -1, 0], [1.5, -1, 0]]
    loose = SourceMesh(
        np.array(points, dtype=np.float32),
        np.array([[0, 1, 2], [3, 4, 5]], dtype=np.int32),
        None, None, (Material(),), np.zeros(2, dtype=np.int16),
    )  # fmt: skip
    assert split_t_junctions(loose, join(loose, mended=True))[1] == 0


def test_a_closed_mesh_is_not_looked_at():
    ball = SourceMesh.plain(TriangleMesh.welded(box().vertices, box().faces))
    found, count = split_t_junctions(ball, join(ball))
    assert found is ball
    assert count == 0
