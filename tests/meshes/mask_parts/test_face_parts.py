from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.mask_parts import absorption
from backend.meshes.mask_parts.clean_surface import CleanSurface
from backend.meshes.mask_parts.face_parts import face_parts
from backend.meshes.mask_parts.surface_samples import surface_samples
from backend.models.p3sam.mask_selection import select_masks
from tests.meshes.mask_parts import plain_rules
from tests.meshes.solids import box, sphere, together
from tests.models.p3sam.p3sam_golden import SEGMENTATIONS, best_masks, segmentation

PAIR = together(sphere(), box(centre=(3.1, 0.2, 0.3)))


def by_plain_rules(vertices, faces, sample_faces, sample_labels, threshold):
    surface = CleanSurface.of(vertices, faces)
    assert len(surface) == len(faces)
    table, areas, corners = surface.table, surface.areas, surface.corners
    labels = plain_rules.votes(sample_faces, sample_labels, len(faces))
    labels = plain_rules.fill(table, labels + 1) - 1
    labels = plain_rules.without_specks(table, areas, labels)
    labels = plain_rules.fill(table, labels)
    labels = plain_rules.absorb(table, areas, corners, labels)
    return labels if threshold is None else plain_rules.merge_tail(table, areas, labels, threshold)


def bumpy(seed: int):
    """Balls of different size, some too small to be looked at, with their faces shuffled."""
    rng = np.random.default_rng(seed)
    radii = [0.5, 0.3, 0.02, 0.01, 0.015]
    balls = [sphere(radius, 3 if radius > 0.1 else 1) for radius in radii]
    moved = [
        ball.with_vertices(ball.vertices + rng.normal(size=3) + np.float32(2)) for ball in balls
    ]
    mesh = together(*moved)
    return mesh.vertices, rng.permutation(mesh.faces)


@pytest.mark.parametrize("name", SEGMENTATIONS)
def test_parts_and_boxes_are_the_published_ones(name):
    given = {key: value.numpy() for key, value in segmentation(name).items()}
    picked = select_masks(best_masks(name), given["in.points_normalised"])
    found = face_parts(
        given["mesh.vertices"],
        given["mesh.faces"],
        given["in.face_idx"],
        picked.labels,
        post_process=name != "nopost",
    )
    assert np.array_equal(found.face_ids, given["out.face_ids"])
    assert np.array_equal(found.boxes, given["out.aabb"])
    assert np.array_equal(found.ids[found.numbers], found.face_ids)


@pytest.mark.parametrize("threshold", [None, 0.95, 0.7])
@pytest.mark.parametrize("seed", range(4))
def test_parts_are_those_of_the_plain_rules(seed, threshold):
    rng = np.random.default_rng(seed)
    vertices, faces = bumpy(seed)
    samples = surface_samples(vertices, faces, 700, seed)
    cells = np.floor(samples.points * 2.5).astype(int) @ [1, 3, 9]
    labels = np.where(rng.random(700) < 0.1, rng.integers(-1, 6, 700), cells % 7 - 1)
    found = face_parts(
        vertices,
        faces,
        samples.faces,
        labels,
        post_process=threshold is not None,
        threshold=threshold or 1,
    )
    expected = by_plain_rules(vertices, faces, samples.faces, labels, threshold)
    assert np.array_equal(found.face_ids, expected)


def test_faces_in_another_order_are_in_the_same_parts():
    """With a point on every face: labels spread in the order of faces."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(PAIR.faces))
    labels = (PAIR.vertices[PAIR.faces].mean(axis=1)[:, 1] > 0.2).astype(int)
    every = np.arange(len(PAIR.faces))
    one = face_parts(PAIR.vertices, PAIR.faces, every, labels)
    other = face_parts(PAIR.vertices, PAIR.faces[order], every, labels[order])
    assert np.array_equal(one.face_ids[order], other.face_ids)
    assert np.array_equal(one.boxes, other.boxes)


def test_a_piece_that_nobody_looked_at_becomes_a_part():
    ball = np.arange(len(PAIR.faces) - 12)
    found = face_parts(PAIR.vertices, PAIR.faces, ball, np.full(len(ball), 4))
    assert found.ids.tolist() == [4, 5]
    assert (found.face_ids[-12:] == 5).all()
    assert found.numbers.tolist() == [0] * len(ball) + [1] * 12


def test_without_any_mask_pieces_are_parts():
    every = np.arange(len(PAIR.faces))
    found = face_parts(PAIR.vertices, PAIR.faces, every, np.full(len(every), -1))
    assert len(found.ids) == 2


def test_faces_that_hang_together_with_nothing_are_one_part_at_least():
    rng = np.random.default_rng(0)
    vertices = rng.random((2000, 1, 3)) + 0.01 * np.eye(3)
    faces = np.arange(6000).reshape(-1, 3)
    found = face_parts(vertices.reshape(-1, 3), faces, np.zeros(0, int), np.zeros(0, int))
    assert len(found.ids) == 1
    assert (found.face_ids == 0).all()


def test_a_soup_of_triangles_keeps_its_labels():
    ball = sphere()
    soup = ball.vertices[ball.faces].astype(np.float64)
    soup += np.random.default_rng(0).normal(size=(len(soup), 1, 3)) * 0.01
    every = np.arange(len(soup))
    labels = (soup[:, 0, 0] > 0).astype(int)
    faces = np.arange(3 * len(soup)).reshape(-1, 3)
    found = face_parts(soup.reshape(-1, 3), faces, every, labels)
    assert np.array_equal(found.face_ids, labels)


def test_a_single_face_is_a_part():
    triangle = np.eye(3, dtype=np.float32)
    for labels in ([2, 2, 1], [-1, -1, -1]):
        found = face_parts(triangle, np.array([[0, 1, 2]]), np.zeros(3, int), np.array(labels))
        assert found.numbers.tolist() == [0]
        assert found.boxes.tolist() == [[[0, 0, 0], [1, 1, 1]]]


def test_faces_that_collapse_and_repeat_are_in_parts_too():
    ball = sphere()
    flat = np.stack([ball.faces[:, 0], ball.faces[:, 0], ball.faces[:, 1]], axis=1)
    faces = np.concatenate([ball.faces, flat, ball.faces[:, [1, 2, 0]]])
    labels = (ball.vertices[ball.faces].mean(axis=1)[:, 0] > 0).astype(int)
    plain = face_parts(ball.vertices, ball.faces, np.arange(len(labels)), labels)
    found = face_parts(ball.vertices, faces, np.arange(len(labels)), labels)
    whole, collapsed, again = np.split(found.face_ids, 3)
    assert np.array_equal(whole, plain.face_ids)
    assert np.array_equal(again, plain.face_ids)
    assert (collapsed >= 0).all()
    assert np.array_equal(found.boxes, plain.boxes)


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_the_unit_of_length_makes_no_difference(size):
    ball = sphere()
    labels = (ball.vertices[ball.faces].mean(axis=1)[:, 0] > 0).astype(int)
    every = np.arange(len(labels))
    found = face_parts(ball.vertices.astype(np.float64) * size, ball.faces, every, labels)
    assert np.array_equal(
        found.face_ids, face_parts(ball.vertices, ball.faces, every, labels).face_ids
    )


class Stopped(Exception):
    """Raised in place of a cancel."""


def test_a_wish_to_stop_is_heard_between_and_within_the_steps(monkeypatch):
    monkeypatch.setattr(absorption, "MOST_PAIRS", 1000)
    rng = np.random.default_rng(2)
    soup = rng.random((3000, 1, 3)) + 0.01 * rng.random((3000, 3, 3))
    corners, faces = soup.reshape(-1, 3), np.arange(9000).reshape(-1, 3)
    samples, labels = np.arange(0, 3000, 100), np.arange(30)

    def stop_at(which):
        asked = []

        def check():
            asked.append(1)
            if len(asked) == which:
                raise Stopped

        face_parts(corners, faces, samples, labels, check_canceled=check)
        return len(asked)

    count = stop_at(None)
    assert count > 20, "also among loose pieces, where most of the time goes"
    for which in (1, count // 2, count):
        with pytest.raises(Stopped):
            stop_at(which)
