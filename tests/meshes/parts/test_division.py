from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from backend.errors import JobCanceled
from backend.meshes.parts import analysis
from backend.meshes.parts.division import STEPS, divide
from backend.meshes.source_mesh import SourceMesh
from tests.meshes.parts.things import ball_at, dumbbell, grid, mug, surface_of, triangles
from tests.meshes.solids import box, sphere, together


def _divided(mesh, seed=0):
    source = mesh if isinstance(mesh, SourceMesh) else SourceMesh.plain(mesh)
    tree = divide(source, seed, lambda _: None)
    assert len(tree.face_patches) == len(source.faces)
    if len(source.faces):
        assert set(np.unique(tree.face_patches)) == set(range(tree.patch_count))
    assert tree.fewest <= tree.suggested <= tree.patch_count
    assert len(tree.costs) == len(tree.merges)
    return tree


def _centres(mesh):
    return mesh.vertices[mesh.faces].mean(axis=1)


def _agreement(parts, truth):
    """Share of faces in the part that most faces of their true part have."""
    return sum(np.bincount(parts[truth == t]).max() for t in np.unique(truth)) / len(parts)


def test_a_dumbbell_is_two_balls_and_a_handle():
    mesh = dumbbell()
    tree = _divided(mesh)
    assert tree.suggested == 3
    truth = np.digitize(_centres(mesh)[:, 0], [-0.31, 0.31])
    parts = tree.face_parts(3)
    assert _agreement(parts, truth) > 0.97
    assert _agreement(truth, parts) > 0.97


def test_a_mug_is_a_body_and_a_handle():
    mesh = mug()
    tree = _divided(mesh)
    assert tree.suggested == 2
    x, _, z = _centres(mesh).T
    outside = np.hypot(x, z) > 0.62
    assert _agreement(tree.face_parts(2), outside.astype(np.int64)) > 0.97


def test_noise_does_not_add_parts():
    mesh = dumbbell()
    noise = np.random.default_rng(0).normal(0, 0.003, mesh.vertices.shape)
    assert _divided(mesh.with_vertices(mesh.vertices + noise)).suggested == 3


@pytest.mark.parametrize("mesh", [box(), box((4, 0.05, 3)), sphere(0.5, 4)], ids=str)
def test_simple_bodies_are_one_part(mesh):
    assert _divided(mesh).suggested == 1


@pytest.fixture(scope="module")
def small_tree():
    return _divided(dumbbell(32), seed=7)


def test_any_count_can_be_had(small_tree):
    for count in (1, 2, 5, 40, small_tree.patch_count):
        assert len(np.unique(small_tree.face_parts(count))) == count


def test_the_same_seed_gives_the_same_tree(small_tree):
    first, second = small_tree, _divided(dumbbell(32), seed=7)
    assert np.array_equal(first.face_patches, second.face_patches)
    assert np.array_equal(first.merges, second.merges)
    assert np.array_equal(first.costs, second.costs)


def test_bodies_that_do_not_touch_never_share_a_part():
    ball = sphere(0.4, 2)
    above = ball.with_vertices(ball.vertices + np.array([0, 2, 0]))
    mesh = together(box(), box(centre=(1.001, 0.5, 0)), above)
    tree = _divided(mesh)
    assert tree.fewest == tree.suggested == 3
    parts = tree.face_parts(3)
    assert len({*parts[:12]}) == len({*parts[12:24]}) == len({*parts[24:]}) == 1


def test_crumbs_of_a_scan_add_no_parts():
    crumbs = np.random.default_rng(0).normal(0, 1, (300, 3))
    ball = sphere(0.5, 4)
    small = [sphere(0.004, 0).with_vertices(sphere(0.004, 0).vertices + p) for p in crumbs]
    tree = _divided(together(ball, *small))
    assert tree.suggested == 1


def test_faces_that_are_there_twice_change_nothing():
    mesh = dumbbell(40)
    back = np.ascontiguousarray(mesh.faces[:, ::-1])
    doubled = type(mesh)(mesh.vertices, np.concatenate([mesh.faces, back]))
    tree = _divided(doubled)
    assert tree.suggested == 3
    parts = tree.face_parts(3)
    assert np.array_equal(parts[: len(mesh.faces)], parts[len(mesh.faces) :])


def test_a_mesh_inside_out_has_the_same_parts():
    mesh = dumbbell(40)
    inside_out = type(mesh)(mesh.vertices, np.ascontiguousarray(mesh.faces[:, ::-1]))
    assert _divided(inside_out).suggested == 3


@pytest.mark.parametrize("asked_by_vertex", [0, analysis.ASKED_BY_VERTEX])
def test_large_meshes_are_looked_at_coarsely_and_divided_wholly(asked_by_vertex, monkeypatch):
    monkeypatch.setattr(analysis, "ASKED_BY_VERTEX", asked_by_vertex)
    monkeypatch.setattr(analysis, "COARSEN_ABOVE_FACES", 8_000)
    monkeypatch.setattr(analysis, "MOST_FACES", 7_000)
    mesh = dumbbell(72)
    assert len(mesh.faces) > analysis.COARSEN_ABOVE_FACES
    tree = _divided(mesh)
    assert tree.suggested == 3
    truth = np.digitize(_centres(mesh)[:, 0], [-0.31, 0.31])
    assert _agreement(tree.face_parts(3), truth) > 0.97


@pytest.mark.parametrize(
    ("vertices", "faces"),
    [
        ([], []),
        ([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]]),
        ([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2], [0, 1, 2], [0, 2, 1]]),
        ([[0, 0, 0]], [[0, 0, 0]]),
        ([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 2]]),
        (np.vstack([np.eye(3), -np.eye(3)]), [[0, 1, 2], [0, 1, 3], [1, 0, 4]]),
    ],
    ids=["nothing", "one face", "doubled", "a point", "a line", "a fan"],
)  # fmt: skip
def test_meshes_that_nobody_wants_have_a_tree(vertices, faces):
    assert _divided(triangles(vertices, faces)).suggested <= 3


def test_faces_at_random_have_a_tree():
    random = np.random.default_rng(0)
    tree = _divided(triangles(random.random((300, 3)), random.integers(0, 300, (1000, 3))))
    assert tree.fewest <= 96
    soup = triangles(random.random((3000, 3)), np.arange(3000))
    assert _divided(soup).suggested <= 96


def test_every_step_is_reported_and_may_stop_the_search():
    seen: list[int] = []
    divide(SourceMesh.plain(sphere(0.5, 2)), 0, seen.append)
    assert seen == list(range(STEPS))

    def stop_at_three(step: int) -> None:
        if step == 3:
            raise JobCanceled

    with pytest.raises(JobCanceled):
        divide(SourceMesh.plain(sphere(0.5, 2)), 0, stop_at_three)


def test_crumbs_by_the_thousand_leave_the_parts_of_the_thing():
    random = np.random.default_rng(0)
    crumb = sphere(0.004, 0)
    places = random.uniform(-1, 1, (3000, 3)).astype(np.float32)
    mesh = dumbbell(40)
    scan = together(mesh, *(crumb.with_vertices(crumb.vertices + place) for place in places))
    tree = _divided(scan)
    assert tree.suggested == 3
    truth = np.digitize(_centres(mesh)[:, 0], [-0.31, 0.31])
    assert _agreement(tree.face_parts(3)[: len(mesh.faces)], truth) > 0.95


def test_loose_boxes_are_a_part_each():
    places = 2 * np.stack(np.meshgrid(*[np.arange(5)] * 3), axis=-1).reshape(-1, 3)
    tree = _divided(together(*(box(centre=place) for place in places)))
    assert tree.suggested == tree.fewest == 125
    assert all(len(set(own)) == 1 for own in tree.face_parts(125).reshape(125, 12).tolist())


@pytest.mark.parametrize("share", [0.005, 0.01])
def test_strong_noise_leaves_the_parts(share):
    mesh = dumbbell()
    size = np.ptp(mesh.vertices, axis=0).max()
    noise = np.random.default_rng(0).normal(0, share * size, mesh.vertices.shape)
    tree = _divided(mesh.with_vertices((mesh.vertices + noise).astype(np.float32)))
    assert tree.suggested == 3
    truth = np.digitize(_centres(mesh)[:, 0], [-0.31, 0.31])
    assert _agreement(tree.face_parts(3), truth) > 0.94


def test_parts_come_in_pairs_on_a_thing_that_mirrors_itself():
    points = grid(44)
    legs = [
        np.maximum(
            np.hypot(points[..., 0] - x, points[..., 2] - z) - 0.13,
            np.abs(points[..., 1] + 0.5) - 0.6,
        )
        for x in (-0.5, 0.5)
        for z in (-0.5, 0.4)
    ]
    body = np.linalg.norm(points / np.array([0.8, 0.4, 0.7]), axis=-1) - 1
    mesh = surface_of(np.minimum.reduce([body * 0.4, *legs, ball_at(points, (0, 0.4, 0.7), 0.3)]))
    tree = _divided(mesh)
    centres = _centres(mesh)
    places = cKDTree(centres)
    opposite = places.query(centres * np.array([-1, 1, 1]))[1]

    def share_mirrored(count):
        parts = tree.face_parts(count)
        joint = np.zeros((count, count))
        np.add.at(joint, (parts, parts[opposite]), 1)
        return joint.max(axis=1).sum() / len(parts)

    assert np.mean([share_mirrored(count) for count in range(10, 110, 5)]) > 0.86
    assert share_mirrored(tree.suggested) > 0.97
