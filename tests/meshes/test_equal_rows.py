from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.equal_rows import equal_rows


@pytest.mark.parametrize("kind", [np.float32, np.int32, np.int64])
def test_the_same_rows_are_found_as_by_numpy(kind):
    rng = np.random.default_rng(0)
    values = rng.integers(-3, 4, (500, 3)).astype(kind)
    distinct, first, number = np.unique(values, axis=0, return_index=True, return_inverse=True)
    found = equal_rows(values)
    assert np.array_equal(found.distinct, distinct)
    assert np.array_equal(found.first, first)
    assert np.array_equal(found.number, number.reshape(-1))


def test_minus_zero_is_zero_and_no_number_is_equal_to_none():
    values = np.array([[0.0, 1.0], [-0.0, 1.0], [np.nan, 1.0], [np.nan, 1.0]])
    assert equal_rows(values).number.tolist() == [0, 0, 1, 2]


def test_no_rows_are_no_trouble():
    found = equal_rows(np.zeros((0, 3), np.float32))
    assert found.distinct.shape == (0, 3)
    assert found.number.shape == (0,)
