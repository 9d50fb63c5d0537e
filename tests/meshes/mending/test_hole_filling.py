from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.meshes.closing.joined_surface import join
from backend.meshes.mending.hole_filling import fill_holes
from backend.meshes.mending.mesh_figures import measure_mesh
from backend.meshes.mending.repair import RepairOptions, repair
from backend.meshes.source_mesh import SourceMesh
from tests.meshes.globe import without_faces
from tests.meshes.solids import sphere


def ball() -> SourceMesh:
    return SourceMesh.plain(sphere(subdivisions=2))


def beside(mesh: SourceMesh, face: int, corners: int) -> list[int]:
    """Faces that share so many corners with a face, itself among them."""
    shared = np.isin(mesh.faces, mesh.faces[face]).sum(axis=1)
    return np.flatnonzero(shared >= corners).tolist()


@pytest.mark.parametrize("missing", [2, 3, 4])
def test_small_holes_are_filled_with_as_many_faces_as_are_missing(missing):
    gone = [7, *(face for face in beside(ball(), 7, 2) if face != 7)][:missing]
    torn = without_faces(ball(), *gone)
    filled = fill_holes(join(torn, mended=True), 1.0)
    assert (len(filled.points), len(filled.faces)) == (0, missing)
    found = measure_mesh(repair(torn, RepairOptions(1.0)).mesh)
    assert found.is_watertight
    assert (found.faces, found.flipped_edges) == (len(ball().faces), 0)
    assert found.volume_m3 == pytest.approx(measure_mesh(ball()).volume_m3, rel=0.02)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.3))
def test_no_edge_gets_a_third_face(seed, share):
    rng = np.random.default_rng(seed)
    gone = np.flatnonzero(rng.random(len(ball().faces)) < share)
    found = measure_mesh(repair(without_faces(ball(), *gone.tolist()), RepairOptions(1.0)).mesh)
    assert found.non_manifold_edges == 0
    assert (found.flipped_edges, found.duplicate_faces) == (0, 0)
