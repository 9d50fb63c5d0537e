from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.meshes.mask_parts.surface_samples import surface_samples
from backend.meshes.parts.found_tree import SeenPoints, found_tree, has_area, undivided_tree
from tests.meshes.source_shapes import ball_of_face, textured_box, three_balls

POINTS = 3000


def seen_on(mesh, masks_of=lambda places: np.zeros((0, len(places)), dtype=bool)):
    """Points that are described by where they are."""
    samples = surface_samples(mesh.vertices, mesh.faces, POINTS, 1)
    features = np.concatenate([samples.points, np.ones((POINTS, 1))], axis=1).astype(np.float32)
    rows = np.arange(POINTS)
    return SeenPoints(samples.raw, samples.faces, masks_of(samples.raw), features, rows)


def partition(labels):
    return {tuple(np.flatnonzero(labels == label)) for label in np.unique(labels)}


def test_without_masks_the_parts_are_the_patches():
    mesh = three_balls(1)
    tree = found_tree(mesh, ball_of_face(mesh), seen_on(mesh))
    assert tree.patch_count == tree.suggested == tree.fewest == 3
    assert (tree.face_parts(3) == ball_of_face(mesh)).all()


def test_masks_draw_finer_patches_and_the_parts_come_out_all_the_same():
    mesh = three_balls(2)
    tree = found_tree(
        mesh, ball_of_face(mesh), seen_on(mesh, lambda places: places[None, :, 1] > 0)
    )
    assert tree.patch_count == 6
    assert (tree.face_parts(tree.suggested) == ball_of_face(mesh)).all()
    upper = mesh.vertices[mesh.faces].mean(axis=1)[:, 1] > 0
    finest = tree.face_parts(6)
    wrong = sum(min(upper[finest == patch].sum(), (~upper[finest == patch]).sum())
                for patch in range(6))  # fmt: skip
    assert wrong < 0.1 * len(mesh.faces)


def test_coarser_ones_join_neighbours_that_are_alike():
    """Quarters of a ball: the ends are the least alike."""
    mesh = three_balls(2).selected(ball_of_face(three_balls(2)) == 0)
    across = mesh.vertices[mesh.faces].mean(axis=1)[:, 0]
    quarters = np.digitize(across, [-0.2, 0.0, 0.2]).astype(np.int32)
    tree = found_tree(mesh, quarters, seen_on(mesh))
    assert (tree.suggested, tree.fewest) == (4, 1)
    halves = tree.face_parts(2)
    ends = halves[quarters == 0], halves[quarters == 3]
    assert len(set(ends[0])) == len(set(ends[1])) == 1
    assert ends[0][0] != ends[1][0]


def test_seams_of_a_texture_do_not_keep_parts_apart():
    mesh = textured_box()
    parts = np.arange(12, dtype=np.int32) // 2
    assert found_tree(mesh, parts, seen_on(mesh)).fewest == 1


def test_faces_without_area_stay_in_their_part():
    mesh = three_balls(1)
    faces = mesh.faces.copy()
    faces[::50, 1] = faces[::50, 0]
    mesh = replace(mesh, faces=faces)
    parts = ball_of_face(three_balls(1))
    tree = found_tree(mesh, parts, seen_on(mesh, lambda places: places[None, :, 2] > 0.1))
    assert partition(tree.face_parts(tree.suggested)) == partition(parts)
    assert tree.patch_count < 10


def test_a_mesh_without_area_has_none_to_draw_points_on():
    mesh = three_balls(1)
    assert has_area(mesh)
    assert not has_area(replace(mesh, vertices=np.zeros_like(mesh.vertices)))
    tree = undivided_tree(7)
    assert (tree.suggested, tree.face_parts(1).tolist()) == (1, [0] * 7)
