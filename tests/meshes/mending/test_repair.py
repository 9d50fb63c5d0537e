from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.errors import JobCanceled
from backend.meshes.mending.mesh_figures import measure_mesh
from backend.meshes.mending.repair import RepairOptions, RepairStep, repair
from backend.meshes.source_mesh import Material, SourceMesh
from backend.meshes.triangle_mesh import TriangleMesh
from tests.meshes.globe import globe, with_faces, without_faces
from tests.meshes.solids import sphere, together
from tests.meshes.source_shapes import textured_box, three_balls

NONE = RepairOptions(hole_share=0)


def changed(repaired) -> dict[str, int]:
    return {step.step.value: step.changed for step in repaired.steps if step.changed}


@pytest.mark.parametrize("make", [globe, textured_box, lambda: three_balls(1)])
def test_a_sound_mesh_stays_as_it_is(make):
    mesh = make()
    repaired = repair(mesh, RepairOptions())
    assert changed(repaired) == {}
    assert [step.step for step in repaired.steps] == [*RepairStep]
    found = repaired.mesh
    np.testing.assert_array_equal(found.vertices[found.faces], mesh.vertices[mesh.faces])
    if mesh.uvs is not None:
        np.testing.assert_array_equal(found.uvs[found.faces], mesh.uvs[mesh.faces])
    np.testing.assert_array_equal(found.face_materials, mesh.face_materials)
    assert found.materials == mesh.materials


def test_loose_triangles_that_almost_touch_are_welded_and_keep_their_texture():
    whole = globe()
    corners = whole.faces.reshape(-1)
    rng = np.random.default_rng(0)
    shaken = whole.vertices[corners] + rng.uniform(-2e-7, 2e-7, (len(corners), 3))
    soup = replace(
        with_faces(whole, np.arange(len(corners)).reshape(-1, 3)),
        vertices=shaken.astype(np.float32),
        uvs=whole.uvs[corners],
    )
    before, repaired = measure_mesh(soup), repair(soup, NONE)
    after = measure_mesh(repaired.mesh)
    assert not before.is_watertight
    assert after.is_watertight
    assert after.volume_m3 == pytest.approx(measure_mesh(whole).volume_m3, rel=1e-5)
    assert changed(repaired) == {
        "weld_vertices": before.places - after.places,
        "merge_vertices": before.vertices - after.vertices,
    }
    np.testing.assert_array_equal(repaired.mesh.uvs[repaired.mesh.faces].reshape(-1, 2), soup.uvs)
    # as few vertices as the seams need
    assert after.vertices == len(np.unique(np.concatenate([whole.faces.reshape(-1)])))


def test_vertices_that_no_face_uses_go_and_are_counted():
    whole = SourceMesh.plain(sphere(subdivisions=2))
    upper = whole.vertices[whole.faces].mean(axis=1)[:, 1] > 0
    loose = without_faces(whole, *np.flatnonzero(upper).tolist())
    repaired = repair(loose, NONE)
    unused = len(whole.vertices) - len(whole.selected(~upper).vertices)
    assert changed(repaired) == {"merge_vertices": unused}


def test_sharp_edges_that_the_file_holds_apart_stay_apart():
    assert len(repair(textured_box(), RepairOptions()).mesh.vertices) == 24


def test_broken_faces_are_dropped_and_counted_apart():
    ball = SourceMesh.plain(sphere(subdivisions=1))
    broken = with_faces(ball, [*ball.faces, ball.faces[0], ball.faces[1][::-1], [3, 3, 4]])
    repaired = repair(broken, NONE)
    assert changed(repaired) == {"drop_degenerate_faces": 1, "drop_duplicate_faces": 2}
    assert measure_mesh(repaired.mesh).is_watertight


def test_a_sheet_of_two_sides_is_still_seen_from_both():
    whole = globe(8)
    leaf = without_faces(whole, *range(40, len(whole.faces)))
    both = with_faces(leaf, [*leaf.faces, *leaf.faces[:30, ::-1]])
    repaired = repair(both, NONE)
    assert changed(repaired)["drop_duplicate_faces"] == 30
    mesh = repaired.mesh
    sides = [mesh.materials[kind].is_double_sided for kind in mesh.face_materials]
    assert sides == [True] * 30 + [False] * 10
    assert {look.texture for look in mesh.materials} == {whole.materials[0].texture}
    same_way = repair(with_faces(leaf, [*leaf.faces, *leaf.faces[:30]]), NONE).mesh
    assert not any(look.is_double_sided for look in same_way.materials)


def test_faces_are_turned_to_one_side_and_bodies_outwards():
    balls = three_balls(1)
    faces = balls.faces.copy()
    faces[:80] = faces[:80][:, ::-1]
    faces[100] = faces[100][::-1]
    repaired = repair(with_faces(balls, faces), NONE)
    assert changed(repaired) == {"turn_faces": 81}
    assert measure_mesh(repaired.mesh).volume_m3 == measure_mesh(balls).volume_m3


def test_a_small_hole_is_filled_in_the_look_around_it():
    torn = without_faces(globe(), 500, 501, 502)
    repaired = repair(torn, RepairOptions(hole_share=0.3))
    assert changed(repaired) == {"fill_holes": 1}
    assert repaired.open_borders == 0
    mesh = repaired.mesh
    assert measure_mesh(mesh).is_watertight
    added = mesh.faces[len(torn.faces) :]
    assert len(np.unique(mesh.uvs[added].reshape(-1, 2), axis=0)) == 1
    ring = torn.uvs[globe().faces[[500, 501, 502]]].reshape(-1, 2)
    assert mesh.uvs[added[0, 0]].tolist() in ring.tolist()


def test_a_face_that_is_missing_is_put_back():
    whole = SourceMesh.plain(sphere(subdivisions=2))
    repaired = repair(without_faces(whole, 33), RepairOptions())
    found, wanted = repaired.mesh.faces[-1], whole.faces[33]
    points = repaired.mesh.vertices[found]
    assert sorted(points.tolist()) == sorted(whole.vertices[wanted].tolist())
    assert measure_mesh(repaired.mesh).volume_m3 == measure_mesh(whole).volume_m3


def test_a_filling_takes_the_mean_colour_and_the_material_beside_it():
    ball = sphere(subdivisions=2)
    colors = np.full((len(ball.vertices), 4), (10, 200, 30, 255), dtype=np.uint8)
    looks = (Material("a"), Material("b"))
    kinds = np.ones(len(ball.faces), dtype=np.int16)
    mesh = SourceMesh(ball.vertices, ball.faces, None, colors, looks, kinds)
    found = repair(without_faces(mesh, 10, 11), RepairOptions(hole_share=0.5)).mesh
    assert (found.face_materials == 1).all()
    assert (found.colors == colors[0]).all()
    assert measure_mesh(found).is_watertight


def test_a_wide_hole_stays_open_and_a_flat_sheet_is_not_closed():
    bowl = SourceMesh.plain(sphere(subdivisions=2))
    upper = bowl.vertices[bowl.faces].mean(axis=1)[:, 1] > 0
    cut = bowl.selected(~upper)
    repaired = repair(cut, RepairOptions(hole_share=0.5))
    assert changed(repaired) == {}
    assert repaired.open_borders == 1
    closed = repair(cut, RepairOptions(hole_share=1))
    assert changed(closed) == {"fill_holes": 1}
    assert measure_mesh(closed.mesh).is_watertight
    sheet = SourceMesh.plain(
        TriangleMesh.welded(
            np.array([[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]], dtype=np.float32),
            np.array([[0, 1, 2], [0, 2, 3]]),
        )
    )
    assert changed(repair(sheet, RepairOptions(hole_share=1))) == {}


def test_debris_goes_when_asked_and_the_largest_piece_never():
    crumbs = together(sphere(), sphere(radius=0.01, subdivisions=1))
    mesh = SourceMesh.plain(crumbs)
    assert "drop_debris" not in changed(repair(mesh, NONE))
    repaired = repair(mesh, RepairOptions(debris_share=0.05))
    assert changed(repaired) == {"drop_debris": 1}
    assert measure_mesh(repaired.mesh).bodies == 1
    everything = repair(SourceMesh.plain(sphere()), RepairOptions(debris_share=1))
    assert len(everything.mesh.faces) == len(sphere().faces)


def test_it_stops_when_asked():
    def stop():
        raise JobCanceled

    with pytest.raises(JobCanceled):
        repair(globe(), RepairOptions(), stop)
