from __future__ import annotations

from collections import defaultdict

import numpy as np
from scipy.sparse import coo_matrix

from backend.meshes.mask_parts.clean_surface import CleanSurface
from tests.meshes.solids import box, sphere, together

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float32)


def test_every_face_of_a_closed_surface_has_three_neighbours():
    ball = sphere()
    surface = CleanSurface.of(ball.vertices, ball.faces)
    assert len(surface) == len(ball.faces)
    assert (surface.table >= 0).all()
    assert len(surface.pairs) == 3 * len(ball.faces) // 2
    links = coo_matrix(
        (
            np.ones(surface.table.size),
            (np.repeat(np.arange(len(surface)), 3), surface.table.reshape(-1)),
        )
    ).tocsr()
    assert (links != links.T).nnz == 0


def test_seams_are_no_borders():
    """Faces that share no vertex number, as along the seams of a texture."""
    ball = sphere()
    corners = ball.vertices[ball.faces].reshape(-1, 3)
    apart = CleanSurface.of(corners, np.arange(len(corners)).reshape(-1, 3))
    whole = CleanSurface.of(ball.vertices, ball.faces)
    assert np.array_equal(np.sort(apart.table, axis=1), np.sort(whole.table, axis=1))


def test_faces_that_repeat_or_collapse_are_stood_for_by_others():
    faces = np.array([[0, 1, 2], [0, 0, 1], [2, 0, 1], [0, 2, 3], [2, 1, 0]])
    surface = CleanSurface.of(SQUARE, faces)
    assert len(surface) == 2
    assert surface.owners.tolist() == [0, 0, 0, 1, 0]
    assert surface.table[:, 0].tolist() == [1, 0]
    assert surface.areas.tolist() == [0.5, 0.5]


def test_an_edge_of_three_faces_joins_none_of_them():
    vertices = np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0], [-1, 1, 0], [-1, -1, 0]], dtype=float)
    surface = CleanSurface.of(vertices, np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4]]))
    assert len(surface.pairs) == 0
    assert surface.regions().tolist() == [0, 1, 2]


def test_in_a_tangle_those_are_neighbours_that_have_an_edge_for_themselves():
    """Faces between few places, with many edges of three and more."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        corners = np.array([rng.choice(8, 3, replace=False) for _ in range(12)])
        first = np.unique(np.sort(corners, axis=1), axis=0, return_index=True)[1]
        faces = corners[np.sort(first)]
        of_edge = defaultdict(list)
        for face, (a, b, c) in enumerate(faces.tolist()):
            for edge in ((a, b), (b, c), (c, a)):
                of_edge[frozenset(edge)].append(face)
        expected = np.full((len(faces), 3), -1).tolist()
        for pair in of_edge.values():
            if len(pair) == 2:
                expected[pair[0]].append(pair[1])
                expected[pair[1]].append(pair[0])
        surface = CleanSurface.of(rng.random((8, 3)), faces)
        assert np.sort(surface.table).tolist() == [sorted(row)[-3:] for row in expected]


def test_regions_are_numbered_by_their_first_faces():
    pair = together(box(centre=(0, 0, 0)), box(centre=(3, 0, 0)))
    order = np.random.default_rng(0).permutation(len(pair.faces))
    surface = CleanSurface.of(pair.vertices, pair.faces[order])
    found = surface.regions()
    expected = order >= 12
    assert np.array_equal(found, (expected != expected[0]).astype(int))
    halves = surface.regions(np.arange(24) % 2)
    first = np.unique(halves, return_index=True)[1]
    assert (np.diff(first) > 0).all()
    assert len(first) > 2


def test_a_mesh_of_collapsed_faces_is_taken_as_it_is():
    surface = CleanSurface.of(SQUARE, np.array([[0, 0, 1], [2, 2, 2]]))
    assert len(surface) == 2
    assert len(surface.pairs) == 0


def test_vertices_of_no_face_count_for_nothing():
    ball = sphere()
    far = np.append(ball.vertices, [[1e9, 0, 0]], axis=0)
    surface = CleanSurface.of(far, ball.faces)
    assert np.array_equal(surface.table, CleanSurface.of(ball.vertices, ball.faces).table)
