from __future__ import annotations

import numpy as np
import trimesh

from backend.meshes.closing.border_loops import border_loops
from backend.meshes.closing.joined_surface import join
from tests.meshes.closing.solid_shapes import of, pane, soup, surface


def _boxes(shift) -> trimesh.Trimesh:
    one, other = trimesh.creation.box(), trimesh.creation.box()
    other.apply_translation(shift)
    return trimesh.util.concatenate([one, other])


def test_faces_that_share_places_but_not_vertices_are_joined():
    joined = join(soup(of(trimesh.creation.icosphere(2))))
    assert len(joined.points) == 162
    assert len(joined.borders) == 0


def test_two_boxes_that_touch_in_a_vertex_stay_two():
    joined = join(of(_boxes([1, 1, 1])))
    assert len(joined.points) == 16
    assert joined.face_bodies.max() == 1


def test_two_boxes_that_touch_along_an_edge_are_two_closed_bodies():
    both = _boxes([1, 1, 0])
    joined = join(of(both))
    assert len(joined.borders) == 0
    assert len(joined.points) == 16
    assert (joined.face_bodies[:12] == joined.face_bodies[0]).all()
    assert (joined.face_bodies[12:] != joined.face_bodies[0]).all()


def test_where_two_sheets_touch_in_a_vertex_each_has_its_own_loop():
    glass = pane(cells=2)
    faces = np.concatenate([glass.faces, glass.faces + len(glass.vertices)])
    crossing = surface(
        np.concatenate([glass.vertices, glass.vertices + np.array([1, 1, 0])]), faces
    )
    loops = border_loops(join(crossing))
    assert sorted(len(loop) for loop in loops) == [8, 8]


def test_loops_run_with_the_faces():
    joined = join(pane(cells=3))
    (loop,) = border_loops(joined)
    x, y = joined.points[loop][:, :2].T
    area = (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2
    assert area == 1  # counter-clockwise around a square that looks to +Z


def test_faces_that_disagree_are_turned_so_that_few_are():
    ball = trimesh.creation.icosphere(2)
    faces = np.array(ball.faces)
    faces[10:30] = faces[10:30][:, ::-1]
    joined = join(surface(ball.vertices, faces))
    assert np.flatnonzero(joined.turned).tolist() == list(range(10, 30))
    assert len(joined.borders) == 0


def test_a_body_that_is_wound_alike_is_left_alone():
    both = _boxes([3, 0, 0])
    faces = np.array(both.faces)
    faces[12:] = faces[12:][:, ::-1]
    assert not join(surface(both.vertices, faces)).turned.any()


def test_faces_that_collapse_or_repeat_are_left_out():
    faces = [[0, 1, 2], [1, 2, 0], [2, 1, 0], [0, 0, 1], [3, 1, 0]]
    vertices = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert join(surface(vertices, faces)).sources.tolist() == [0, 2]
    assert join(surface(vertices, faces), mended=True).sources.tolist() == [0]


def test_an_edge_with_an_odd_face_leaves_that_face_open():
    box = trimesh.creation.box()
    edge = np.asarray(box.faces)[0][:2]
    vertices = np.concatenate([box.vertices, [[3, 3, 3]]])
    joined = join(surface(vertices, np.concatenate([box.faces, [[*edge, 8]]])))
    assert (joined.borders // 3).tolist() == [12, 12, 12]


def test_what_needs_no_mending_is_not_joined_again():
    whole = pane(cells=3)
    plain = join(whole)
    assert join(whole, mended=True, plain=plain) is plain


def test_what_lies_back_to_back_is_joined_again():
    glass = pane(cells=2)
    both = surface(glass.vertices, np.concatenate([glass.faces, glass.faces[:, ::-1]]))
    plain = join(both)
    again = join(both, mended=True, plain=plain)
    assert len(again.faces) == len(glass.faces) < len(plain.faces)


def test_what_is_torn_by_rounding_is_joined_again():
    halves = soup(of(trimesh.creation.icosphere(1)))
    torn = surface(
        halves.vertices + 1e-7 * (np.arange(len(halves.vertices)) % 2)[:, None], halves.faces
    )
    plain = join(torn)
    assert len(join(torn, mended=True, plain=plain).borders) == 0 < len(plain.borders)
