from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.exact_vertices import MOST_MOVED_CELLS, settled

RADIUS = 20.0


@pytest.fixture(scope="module")
def squared():
    rows, columns = np.mgrid[:61, :61]
    return RADIUS**2 - (rows - 30.0) ** 2 - (columns - 30.0) ** 2


def _ball(count: int, off: float) -> np.ndarray:
    """Places beside a ball around (30, 30, 0), up to ``off`` cells away."""
    generator = np.random.default_rng(0)
    direction = generator.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return direction * (RADIUS + generator.uniform(-off, off, (count, 1))) + (30, 30, 0)


def test_vertices_beside_a_ball_come_to_lie_on_it(squared):
    before = _ball(500, off=0.2)
    after = settled(before, squared, squared)
    assert np.abs(np.linalg.norm(after - (30, 30, 0), axis=1) - RADIUS).max() < 2e-3


def test_front_and_back_have_heights_of_their_own(squared):
    places = np.array([[30.0, 30.0, 20.0], [30.0, 30.0, -20.1]])
    after = settled(places, squared, squared + 8.0)
    assert after[:, 2] == pytest.approx([20.0, -np.sqrt(408.0)], abs=1e-3)


def test_no_step_is_longer_than_a_quarter_of_a_cell(squared):
    far = _ball(200, off=0.0) * 1.2
    moved = np.linalg.norm(settled(far, squared, squared) - far, axis=1)
    assert moved.max() == pytest.approx(2 * MOST_MOVED_CELLS, rel=0.05)


def test_where_nothing_slopes_vertices_stay():
    flat = np.zeros((8, 8))
    places = np.array([[3.0, 3.0, 0.0]])
    assert settled(places, flat, flat).tolist() == places.tolist()
