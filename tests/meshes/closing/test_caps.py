from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.closing.caps import CapShape, cap_loops
from backend.meshes.closing.loop_groups import group_loops
from backend.meshes.closing.loop_plane import LoopPlane
from backend.meshes.closing.solidity import face_normals
from backend.meshes.triangle_mesh import is_closed


def _circle(radius=1.0, count=24, height=0.0, backwards=False) -> np.ndarray:
    turns = np.linspace(0, 2 * np.pi, count, endpoint=False) * (-1 if backwards else 1)
    return np.stack(
        [radius * np.cos(turns), radius * np.sin(turns), np.full(count, height)], axis=1
    )


def _star(spikes=7) -> np.ndarray:
    return _circle(count=2 * spikes) * np.where(np.arange(2 * spikes) % 2, 0.4, 1.0)[:, None]


def _square(cells=4) -> np.ndarray:
    side = np.arange(cells) / cells
    zero, one = np.zeros(cells), np.ones(cells)
    x = np.concatenate([side, one, 1 - side, zero])
    y = np.concatenate([zero, side, one, 1 - side])
    return np.stack([x, y, 0 * x], axis=1)


def _area(loop) -> float:
    x, y = loop[:, :2].T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def _faces_and_areas(loops):
    cap = cap_loops(loops)
    points = np.concatenate([*loops, cap.points])
    return cap, face_normals(points, cap.faces)[:, 2]


def _rim(loops) -> np.ndarray:
    """A fan of faces on the other side of each loop, which a cap must close."""
    start, apex, faces = 0, sum(len(loop) for loop in loops), []
    for index, loop in enumerate(loops):
        here = start + np.arange(len(loop))
        tip = np.full(len(loop), apex + index)
        faces.append(np.stack([here, np.roll(here, -1), tip], axis=1))
        start += len(loop)
    return np.concatenate(faces)


@pytest.mark.parametrize("loop", [_circle(), _star(), _square(), _circle(count=3)])
def test_a_flat_loop_is_filled_exactly_without_overlap(loop):
    cap, areas = _faces_and_areas([loop])
    assert cap.shape is CapShape.FLAT
    assert (areas <= 1e-7).all()  # it looks away from the surface that the loop runs around
    assert -areas.sum() == pytest.approx(_area(loop), rel=1e-5)


def test_holes_stay_open():
    loops = [_circle(1.0, 40), _circle(0.5, 20, backwards=True)]
    cap, areas = _faces_and_areas(loops)
    assert -areas.sum() == pytest.approx(_area(loops[0]) + _area(loops[1]), rel=1e-5)
    middle = np.concatenate([*loops, cap.points])[cap.faces].mean(axis=1)
    assert np.linalg.norm(middle, axis=1).min() > 0.45


def _ragged(loop, seed=0) -> np.ndarray:
    loop = loop.copy()
    loop[:, 2] += np.random.default_rng(seed).uniform(-0.3, 0.3, len(loop))
    return loop


def test_a_ragged_loop_leads_to_a_smooth_middle():
    loop = _ragged(_circle(count=60))
    cap, areas = _faces_and_areas([loop])
    assert cap.shape is CapShape.DOMED
    outer, middle, inner = np.split(cap.points, 3)
    spread = [float(np.std(ring[:, 2])) for ring in (loop, outer, middle, inner)]
    assert spread == sorted(spread, reverse=True)
    assert spread[-1] < 0.2 * spread[0]
    assert (areas[2 * len(loop) :] < 0).all()


def test_a_ragged_loop_that_does_not_run_around_its_middle_is_clipped():
    turns = np.linspace(0, 1.5 * np.pi, 40)
    arc = np.stack([np.cos(turns), np.sin(turns), 0 * turns], axis=1)
    cap, areas = _faces_and_areas([_ragged(np.concatenate([arc, 0.7 * arc[::-1]]))])
    assert cap.shape is CapShape.SMOOTHED
    assert (areas[160:] < 0).all()


def test_a_loop_that_crosses_itself_gets_a_fan():
    turns = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = 0.2 + np.sin(turns + 0.3)  # a large loop and a small one
    eight = np.stack([radius * np.cos(2 * turns), radius * np.sin(turns), 0 * turns], axis=1)
    assert _faces_and_areas([eight])[0].shape is CapShape.FAN


@pytest.mark.parametrize(
    "loops",
    [
        [_circle()],
        [_star()],
        [_circle(count=3)],
        [_circle(count=50) + np.random.default_rng(1).normal(0, 0.2, (50, 3))],
        [_circle(1.0, 40), _circle(0.5, 20, backwards=True)],
    ],
)
def test_every_cap_closes_its_loops(loops):
    cap = cap_loops(loops)
    count = sum(len(loop) for loop in loops)
    rim = _rim(loops)
    moved = np.where(cap.faces < count, cap.faces, cap.faces + len(loops))
    assert is_closed(np.concatenate([rim, moved]))


def test_no_edge_of_a_cap_joins_two_points_of_the_loop():
    for loop in (_circle(), _star(), _square(1)):
        cap = cap_loops([loop])
        edges = np.concatenate([cap.faces[:, [0, 1]], cap.faces[:, [1, 2]], cap.faces[:, [2, 0]]])
        own = edges[(edges < len(loop)).all(axis=1)]
        steps = np.abs(own[:, 0] - own[:, 1])
        assert set(steps.tolist()) <= {1, len(loop) - 1}


def test_a_hole_is_grouped_with_the_smallest_outline_around_it():
    loops = [
        _circle(1.0),
        _circle(0.5, backwards=True),
        _circle(3.0),
        _circle(2.0, backwards=True),
        _circle(0.2) + np.array([9, 0, 0]),
    ]
    assert sorted(map(tuple, group_loops(loops))) == [(0, 1), (2, 3), (4,)]


def test_the_two_ends_of_a_belt_are_no_ring():
    top, bottom = _circle(0.9, height=0.2, backwards=True), _circle(1.0)
    assert sorted(map(tuple, group_loops([top, bottom]))) == [(0,), (1,)]


def test_a_plane_is_found_whatever_way_the_loop_lies():
    loop = _circle()[:, [2, 0, 1]] * 5 + 7
    plane = LoopPlane.of(loop)
    assert plane.normal == pytest.approx([1, 0, 0])
    assert _area(plane.flat(loop)) == pytest.approx(25 * _area(_circle()))
    assert plane.lifted(plane.flat(loop), plane.heights(loop)) == pytest.approx(loop)


def test_a_loop_that_goes_there_and_back_has_no_plane():
    there = np.stack([np.arange(5.0), np.zeros(5), np.zeros(5)], axis=1)
    assert LoopPlane.of(np.concatenate([there, there[::-1]])) is None
