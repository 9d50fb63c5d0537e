"""Which faces go on from each other."""

from __future__ import annotations

import numpy as np

from backend.meshes.texturing.charts.edge_pairs import paired_faces


def pairs(faces: object, normals: object) -> set[tuple[int, ...]]:
    found, _ = paired_faces(np.array(faces), np.array(normals, dtype=np.float64))
    return {tuple(sorted(pair)) for pair in found.tolist()}


UP, DOWN, SIDE = [0, 0, 1], [0, 0, -1], [1, 0, 0]


def test_two_faces_at_an_edge_pair():
    assert pairs([[0, 1, 2], [1, 0, 3]], [UP, UP]) == {(0, 1)}


def test_ends_of_the_edge_are_told():
    found, ends = paired_faces(np.array([[0, 1, 2], [1, 0, 3]]), np.array([UP, UP], np.float64))

    assert len(found) == 1
    assert set(ends[0].tolist()) == {0, 1}


def test_faces_that_look_to_different_sides_do_not():
    assert pairs([[0, 1, 2], [0, 1, 3]], [UP, DOWN]) == set()


def test_the_two_skins_of_a_leaf_pair_each_with_itself():
    leaf = [[0, 1, 2], [1, 0, 3], [2, 1, 0], [3, 0, 1]]

    found, ends = paired_faces(np.array(leaf), np.array([UP, UP, DOWN, DOWN], np.float64))

    within = found[(np.sort(ends, axis=1) == [0, 1]).all(axis=1)].tolist()
    assert {tuple(sorted(pair)) for pair in within} == {(0, 1), (2, 3)}


def test_a_surface_there_twice_pairs_each_with_itself():
    twice = [[0, 1, 2], [1, 0, 3], [0, 1, 2], [1, 0, 3]]

    assert pairs(twice, [UP] * 4) == {(0, 1), (2, 3)}


def test_of_three_faces_the_two_that_go_straight_on_pair():
    three = [[0, 1, 2], [1, 0, 3], [1, 0, 4]]

    assert pairs(three, [UP, SIDE, UP]) == {(0, 2)}
