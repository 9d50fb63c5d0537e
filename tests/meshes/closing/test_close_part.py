from __future__ import annotations

import manifold3d
import numpy as np
import pytest
import trimesh

from backend.errors import PartNotClosed
from backend.meshes.closed_part import ClosingMethod
from backend.meshes.closing.close_part import close_part
from backend.meshes.source_mesh import SourceMesh
from tests.meshes.closing.solid_shapes import (
    CLOTH,
    WOOD,
    centres,
    cut,
    of,
    pane,
    soup,
    surface,
    welded,
)


def _assert_solid(mesh: SourceMesh) -> None:
    read = welded(mesh)
    assert read.is_watertight
    assert read.is_winding_consistent
    solid = manifold3d.Manifold(
        manifold3d.Mesh(np.asarray(read.vertices, np.float32), np.asarray(read.faces, np.uint32))
    )
    assert solid.status() == manifold3d.Error.NoError
    assert read.volume > 0


def _assert_begins_as(closed: SourceMesh, part: SourceMesh) -> None:
    assert (closed.vertices[: len(part.vertices)] == part.vertices).all()
    assert (closed.faces[: len(part.faces)] == part.faces).all()
    assert (closed.face_materials[: len(part.faces)] == part.face_materials).all()
    assert closed.materials[: len(part.materials)] == part.materials
    if part.uvs is not None:
        assert closed.uvs is not None
        assert (closed.uvs[: len(part.uvs)] == part.uvs).all()


def _half(solid: trimesh.Trimesh) -> SourceMesh:
    """The upper half, cut through its faces."""
    return cut(solid, [0, 0, 1], 0.001)


def test_a_cut_ball_gets_a_flat_cap_and_half_the_volume():
    ball = trimesh.creation.icosphere(3, 1.0)
    half = _half(ball)
    closed = close_part(half, 4)
    assert (closed.part, closed.method, closed.notice) == (4, ClosingMethod.CAP, None)
    _assert_solid(closed.mesh)
    _assert_begins_as(closed.mesh, half)
    assert closed.volume == pytest.approx(ball.volume / 2, rel=2e-3)
    cap = closed.mesh.vertices[closed.mesh.faces[len(half.faces) :]]
    assert np.abs(cap[..., 2] - 0.001).max() < 1e-6


def test_the_cap_has_the_last_material_and_no_place_in_the_texture():
    ball = trimesh.creation.icosphere(2, 1.0)
    below = ball.triangles_center[:, 1] < 0.3
    uvs = np.random.default_rng(0).uniform(0.1, 1, (len(ball.vertices), 2)).astype(np.float32)
    colors = np.full((len(ball.vertices), 4), 7, np.uint8)
    kinds = (ball.triangles_center[:, 0] > 0).astype(int)
    part = surface(ball.vertices, ball.faces, uvs, colors, (CLOTH, WOOD), kinds).selected(below)
    closed = close_part(part, 0).mesh
    _assert_begins_as(closed, part)
    assert [material.name for material in closed.materials] == ["cloth", "wood", "cap"]
    assert (closed.face_materials[len(part.faces) :] == 2).all()
    added = np.unique(closed.faces[len(part.faces) :])
    assert added.min() >= len(part.vertices)  # nothing is shared: shading breaks at the rim
    assert (closed.uvs[added] == 0).all()
    assert (closed.colors[added] == 255).all()


def test_what_is_closed_stays_as_it_is():
    box = of(trimesh.creation.box())
    closed = close_part(box, 0)
    assert closed.method is ClosingMethod.WAS_CLOSED
    assert closed.mesh is box
    assert closed.volume == pytest.approx(1)


def test_a_closed_part_with_seams_in_its_texture_counts_as_closed():
    box = of(trimesh.creation.box())
    assert close_part(soup(box), 0).method is ClosingMethod.WAS_CLOSED


def test_a_box_that_is_inside_out_is_turned():
    box = trimesh.creation.box()
    box.invert()
    closed = close_part(of(box), 0)
    assert closed.volume == pytest.approx(1)
    _assert_solid(closed.mesh)
    assert "turned over: 12." in closed.notice


def test_a_single_face_that_looks_the_wrong_way_is_turned():
    ball = trimesh.creation.icosphere(2)
    faces = np.array(ball.faces)
    lowest = int(ball.triangles_center[:, 2].argmin())
    faces[lowest] = faces[lowest][::-1]
    part = surface(ball.vertices, faces).selected(ball.triangles_center[:, 2] < 0.2)
    closed = close_part(part, 0)
    assert closed.method is ClosingMethod.CAP
    assert "turned over: 1." in closed.notice
    _assert_solid(closed.mesh)


def test_a_hollow_stays_hollow():
    outer, inner = trimesh.creation.icosphere(2, 1.0), trimesh.creation.icosphere(2, 0.5)
    inner.invert()
    both = trimesh.util.concatenate([outer, inner])
    assert close_part(of(both), 0).volume == pytest.approx(outer.volume + inner.volume)
    cut_open = close_part(_half(both), 0)
    assert cut_open.volume == pytest.approx((outer.volume + inner.volume) / 2, rel=2e-3)
    _assert_solid(cut_open.mesh)


def test_a_cut_tube_ends_in_a_ring_and_not_in_a_lid():
    tube = trimesh.creation.annulus(0.6, 1.0, 4.0, sections=48)
    half = _half(tube)
    closed = close_part(half, 0)
    cap = closed.mesh.vertices[closed.mesh.faces[len(half.faces) :]].mean(axis=1)
    assert np.linalg.norm(cap[:, :2], axis=1).min() > 0.55
    assert closed.volume == pytest.approx(tube.volume / 2, rel=2e-3)
    _assert_solid(closed.mesh)


def test_a_pane_gets_a_thickness_and_its_back_looks_like_its_front():
    glass = pane()
    closed = close_part(glass, 0)
    assert closed.method is ClosingMethod.THICKENED
    assert "0.6%" in closed.notice
    _assert_begins_as(closed.mesh, glass)
    _assert_solid(closed.mesh)
    assert closed.volume == pytest.approx(0.006 * np.sqrt(2), rel=1e-3)
    back = slice(len(glass.faces), 2 * len(glass.faces))
    assert (closed.mesh.face_materials[back] == 0).all()
    corners = closed.mesh.faces[back]
    assert np.allclose(closed.mesh.uvs[corners], closed.mesh.vertices[corners][..., :2])


def test_a_pane_with_two_sides_counts_as_one_sheet():
    glass = pane()
    both = surface(glass.vertices, np.concatenate([glass.faces, glass.faces[:, ::-1]]))
    closed = close_part(both, 0)
    assert closed.method is ClosingMethod.THICKENED
    assert f"left out: {len(glass.faces)}." in closed.notice
    _assert_solid(closed.mesh)


def test_the_inside_of_a_bowl_becomes_a_thin_bowl_and_not_a_plug():
    inside = _half(trimesh.creation.icosphere(3, 1.0))
    bowl = surface(inside.vertices, inside.faces[:, ::-1])
    closed = close_part(bowl, 0)
    assert closed.method is ClosingMethod.THICKENED
    _assert_begins_as(closed.mesh, bowl)
    assert closed.volume < 0.2
    _assert_solid(closed.mesh)


def test_a_flat_splinter_beside_a_solid_is_thickened_alone():
    half, glass = _half(trimesh.creation.icosphere(2)), pane(0.2)
    faces = np.concatenate([half.faces, glass.faces + len(half.vertices)])
    closed = close_part(surface(np.concatenate([half.vertices, glass.vertices + 3]), faces), 0)
    assert closed.method is ClosingMethod.CAP
    assert closed.notice.endswith("given a thickness: 1.")
    _assert_solid(closed.mesh)


def test_a_torn_ball_is_built_anew_and_keeps_its_texture():
    ball = of(trimesh.creation.icosphere(2, 1.0))
    torn = soup(ball, shift=4e-3)
    kinds = (centres(torn)[:, 0] > 0).astype(int)
    uvs = (torn.vertices[:, :2] / 2 + 0.5).astype(np.float32)
    part = surface(torn.vertices, torn.faces, uvs, None, (CLOTH, WOOD), kinds)
    closed = close_part(part, 0)
    assert closed.method is ClosingMethod.REMESH
    assert "built anew" in closed.notice
    _assert_solid(closed.mesh)
    assert closed.volume == pytest.approx(welded(ball).volume, rel=0.02)
    mesh = closed.mesh
    middle = centres(mesh)
    clear = np.abs(middle[:, 0]) > 0.3
    assert (mesh.face_materials[clear] == (middle[clear, 0] > 0)).all()
    off = np.abs(mesh.uvs - (mesh.vertices[:, :2] / 2 + 0.5)).max(axis=1)
    assert np.median(off) < 0.01
    assert np.percentile(off, 99) < 0.08


def test_scattered_faces_are_not_taken_for_a_torn_solid():
    ball = of(trimesh.creation.icosphere(2, 1.0))
    chosen = np.random.default_rng(1).uniform(size=len(ball.faces)) < 0.2
    closed = close_part(ball.selected(chosen), 0)
    assert closed.method in (ClosingMethod.CAP, ClosingMethod.THICKENED)
    _assert_solid(closed.mesh)


def test_cracks_of_a_rounding_error_are_no_cuts():
    half = _half(trimesh.creation.icosphere(2, 1.0))
    cracked = soup(half, shift=1e-7)
    assert len(np.unique(cracked.vertices, axis=0)) > 2 * len(np.unique(half.vertices, axis=0))
    closed = close_part(cracked, 0)
    assert closed.method is ClosingMethod.CAP
    assert closed.volume == pytest.approx(close_part(half, 0).volume, rel=1e-5)
    _assert_solid(closed.mesh)


def test_faces_that_look_to_both_sides_at_random_are_turned_outwards():
    half = _half(trimesh.creation.icosphere(3))
    mixed = half.faces.copy()
    wrong = np.random.default_rng(0).uniform(size=len(mixed)) < 0.5
    mixed[wrong] = mixed[wrong][:, ::-1]
    closed = close_part(surface(half.vertices, mixed), 0)
    assert closed.method is ClosingMethod.CAP
    assert closed.volume == pytest.approx(close_part(half, 0).volume, rel=1e-5)
    _assert_solid(closed.mesh)


def test_one_far_face_does_not_make_the_rest_a_point():
    half = _half(trimesh.creation.icosphere(2))
    far = np.array([[1e9, 0, 0], [1e9, 1e3, 0], [1e9, 0, 1e3]])
    face = np.arange(3) + len(half.vertices)
    both = surface(np.concatenate([half.vertices, far]), np.concatenate([half.faces, [face]]))
    closed = close_part(both, 0)
    assert closed.method is not ClosingMethod.REMESH
    assert (closed.mesh.faces[: len(both.faces)] == both.faces).all()
    assert close_part(both.selected(np.arange(len(both.faces)) < len(half.faces)), 0).volume > 1.9


def test_bodies_that_touch_along_an_edge_are_pulled_apart_a_little():
    one, other = trimesh.creation.box(), trimesh.creation.box()
    other.apply_translation([1, 1, 0])
    lid = trimesh.util.concatenate([one, other])
    open_boxes = of(lid).selected(lid.face_normals[:, 2] < 0.5)
    closed = close_part(open_boxes, 0)
    assert closed.method is ClosingMethod.CAP
    assert "pulled apart" in closed.notice
    _assert_solid(closed.mesh)
    before = open_boxes.vertices[open_boxes.faces]
    after = closed.mesh.vertices[closed.mesh.faces[: len(before)]]
    assert 0 < np.abs(after - before).max() < 1e-4
    assert closed.volume == pytest.approx(2, rel=1e-3)


def test_three_walls_that_meet_in_an_edge_are_closed():
    wall = pane(1.0, 2)
    turns = [
        trimesh.transformations.rotation_matrix(angle, [0, 1, 0])[:3, :3]
        for angle in (0, 2 * np.pi / 3, 4 * np.pi / 3)
    ]
    vertices = np.concatenate([wall.vertices @ turn.T for turn in turns])
    faces = np.concatenate([wall.faces + i * len(wall.vertices) for i in range(3)])
    closed = close_part(surface(vertices, faces), 0)
    assert closed.volume > 0
    _assert_solid(closed.mesh)


def test_a_surface_that_crosses_itself_does_no_harm():
    one, other = trimesh.creation.icosphere(2, 1.0), trimesh.creation.icosphere(2, 1.0)
    other.apply_translation([0.7, 0.1, 0])
    closed = close_part(_half(trimesh.util.concatenate([one, other])), 0)
    assert closed.method is ClosingMethod.CAP
    _assert_solid(closed.mesh)


def test_a_moebius_strip_is_closed_too():
    turns = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    across = np.array([-0.3, 0.3])
    wide = 1 + across * np.cos(turns[:, None] / 2)
    vertices = np.stack(
        [
            wide * np.cos(turns)[:, None],
            wide * np.sin(turns)[:, None],
            across * np.sin(turns / 2)[:, None],
        ],
        axis=-1,
    ).reshape(-1, 3)
    here = 2 * np.arange(40)
    there = np.roll(here, -1)
    left = np.where(there > here, there, 1)  # the last quad joins the first one upside down
    right = np.where(there > here, there + 1, 0)
    faces = np.concatenate(
        [np.stack([here, left, here + 1], 1), np.stack([left, right, here + 1], 1)]
    )
    closed = close_part(surface(vertices, faces), 0)
    assert closed.method is not ClosingMethod.OPEN
    assert closed.volume > 0


@pytest.mark.parametrize(
    ("vertices", "reason"),
    [
        ([[0, 0, 0], [1, 0, 0], [2, 0, 0]], "no faces with an area"),
        ([[0, 0, 0], [1, 0, 0], [0, np.nan, 0]], "not finite"),
        ([[1, 1, 1], [1, 1, 1], [0, 0, 0]], "no faces with an area"),
    ],
)
def test_what_has_no_area_cannot_be_closed(vertices, reason):
    with pytest.raises(PartNotClosed, match=reason) as caught:
        close_part(surface(vertices, [[0, 1, 2]]), 3)
    assert "Part 3" in caught.value.detail


def test_a_part_without_faces_cannot_be_closed():
    with pytest.raises(PartNotClosed):
        close_part(surface(np.zeros((0, 3)), np.zeros((0, 3))), 0)


def test_one_triangle_becomes_a_thin_prism():
    closed = close_part(surface([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]]), 0)
    assert closed.method is ClosingMethod.THICKENED
    _assert_solid(closed.mesh)


def test_a_part_far_from_the_origin_and_very_small_is_closed_like_any_other():
    half = _half(trimesh.creation.icosphere(2, 1.0))
    for scale, shift in ((1e-6, 0.0), (1e6, 0.0), (1.0, 1000.0)):
        closed = close_part(surface(half.vertices * scale + shift, half.faces), 0)
        assert closed.method is ClosingMethod.CAP
        assert closed.volume == pytest.approx(2.0 * scale**3, rel=0.1)
