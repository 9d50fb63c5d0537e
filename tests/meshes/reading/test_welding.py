from __future__ import annotations

import numpy as np

from backend.meshes.reading import welding
from backend.meshes.reading.welding import place_numbers, welded_soup

ROWS = np.random.default_rng(3).integers(-2, 3, (500, 3)).astype(np.float32)


def is_numbered(numbers: np.ndarray) -> bool:
    expected = len(np.unique(ROWS, axis=0))
    same = (ROWS[:, None] == ROWS[None]).all(axis=2)
    alike = numbers[:, None] == numbers[None]
    return bool((same == alike).all()) and set(numbers.tolist()) == set(range(expected))


def test_equal_places_have_equal_numbers():
    assert is_numbered(place_numbers(ROWS))


def test_places_made_to_share_a_hash_are_still_told_apart(monkeypatch):
    monkeypatch.setattr(welding, "_ODD", np.zeros(3, dtype=np.uint64))
    assert is_numbered(place_numbers(ROWS))


def test_minus_nothing_is_nothing():
    assert place_numbers(np.array([[0.0, 1, 2], [-0.0, 1, 2]], dtype=np.float32)).tolist() == [0, 0]


def test_numbers_that_are_none_are_told_apart_without_a_word():
    signalling = np.array([0x7F800001, 0xFFBFFFFF], dtype=np.uint32).view(np.float32)
    rows = np.zeros((3, 3), dtype=np.float32)
    rows[1:, 2] = signalling
    numbers = place_numbers(rows)
    assert numbers[0] not in numbers[1:]


def test_no_triangle_of_a_soup_is_moved_or_dropped():
    corners = ROWS[:498].reshape(-1, 3, 3)
    vertices, faces = welded_soup(corners)
    np.testing.assert_array_equal(vertices[faces], corners)
    assert len(vertices) == len(np.unique(ROWS[:498], axis=0))
