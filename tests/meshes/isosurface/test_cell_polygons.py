from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np

from backend.meshes.isosurface.cell_polygons import (
    PATTERNS,
    cell_table,
    faces_of_edge,
    filling,
    inside_corners,
    loops_of,
)


def triangles_of(pattern: int) -> list[tuple[int, ...]]:
    table = cell_table()
    first, count = table.first_triangles[pattern], table.triangle_counts[pattern]
    cut = np.flatnonzero(table.is_cut[pattern])
    return [tuple(cut[ranks]) for ranks in table.triangles[first : first + count]]


def sides(polygon) -> list[tuple[int, int]]:
    return list(pairwise([*polygon, polygon[0]]))


def test_one_corner_inside_is_cut_off_by_a_triangle_that_looks_away_from_it():
    ((a, b, c),) = triangles_of(1)
    table = cell_table()
    middles = table.edge_starts + np.eye(3)[table.edge_axes] / 2
    assert {a, b, c} == {0, 4, 8}
    normal = np.cross(middles[b] - middles[a], middles[c] - middles[a])
    assert (normal > 0).all()


def test_edges_are_cut_exactly_where_their_ends_differ():
    table = cell_table()
    ends = table.edge_starts + np.eye(3, dtype=int)[table.edge_axes]
    weights = np.array([4, 2, 1])
    for pattern in range(PATTERNS):
        first, second = (pattern >> places @ weights & 1 for places in (table.edge_starts, ends))
        assert (table.is_cut[pattern] == (first != second)).all()


def test_triangles_fill_the_loops_and_no_line_between_them_lies_in_a_face():
    for pattern in range(PATTERNS):
        loops = loops_of(inside_corners(pattern))
        once = Counter(side for triangle in triangles_of(pattern) for side in sides(triangle))
        assert all(count == 1 for count in once.values()), pattern
        border = {side for side in once if side[::-1] not in once}
        assert border == {side for loop in loops for side in sides(loop)}, pattern
        for start, stop in once.keys() - border:
            assert not faces_of_edge(start) & faces_of_edge(stop), pattern


def test_corners_across_a_face_stay_joined_and_holes_across_it_apart():
    across = inside_corners(1 << 0 | 1 << 3)  # (0, 0, 0) and (0, 1, 1)
    assert [len(loop) for loop in loops_of(across)] == [6]
    rest = inside_corners(PATTERNS - 1 - (1 << 0 | 1 << 3))
    assert [len(loop) for loop in loops_of(rest)] == [3, 3]


def test_nothing_is_drawn_where_all_corners_are_alike():
    assert not triangles_of(0)
    assert not triangles_of(PATTERNS - 1)


def test_a_bent_loop_takes_the_filling_of_least_area():
    (loop,) = loops_of(inside_corners(0b1111 ^ 1 << 4))
    assert len(filling(loop)) == len(loop) - 2
