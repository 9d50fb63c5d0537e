from __future__ import annotations

import numpy as np

from backend.meshes.closing.near_places import near_places


def test_what_rounding_has_torn_apart_is_one_place():
    rng = np.random.default_rng(0)
    clean = rng.uniform(0, 1, (500, 3))
    torn = np.repeat(clean, 4, axis=0) + rng.uniform(-1e-7, 1e-7, (2000, 3))
    places = near_places(torn.astype(np.float32))
    assert (places.reshape(500, 4) == places.reshape(500, 4)[:, :1]).all()
    assert len(np.unique(places)) == 500


def test_what_is_apart_stays_apart():
    side = np.arange(20) * 1e-5
    line = np.stack([side, 0 * side, 0 * side], axis=1)
    far = np.array([[1.0, 0, 0], [1.0, 1e-8, 0]])
    places = near_places(np.concatenate([line, far]).astype(np.float32))
    assert len(np.unique(places)) == 21


def test_equal_positions_are_one_place_and_no_vertices_have_none():
    assert near_places(np.array([[1, 2, 3], [0, 0, 0], [1, 2, 3]])).tolist() == [1, 0, 1]
    assert len(near_places(np.zeros((0, 3)))) == 0
