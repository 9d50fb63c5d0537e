from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.unseen_colour.mixed_rims import find_mixed_rims

SIDE, SHARE = 100, 0.02


def _quarters():
    labels = np.ones((SIDE, SIDE), dtype=np.int32)
    labels[:50, 50:], labels[50:, :50], labels[50:, 50:] = 2, 3, 4
    return labels


def _gap(rows=slice(40, 60), columns=slice(40, 60)):
    gap = np.zeros((SIDE, SIDE), dtype=bool)
    gap[rows, columns] = True
    return gap


def test_a_gap_amid_many_colours_is_found_whole():
    assert np.array_equal(find_mixed_rims(_gap(), _quarters(), SHARE), _gap())


@pytest.mark.parametrize("most", [50, 70])
def test_one_colour_that_holds_half_of_the_rim_goes_on(most):
    labels = _quarters()
    labels[:, :most] = 1
    assert not find_mixed_rims(_gap(), labels, SHARE).any()


def test_a_small_gap_is_not_asked_about():
    assert find_mixed_rims(_gap(), _quarters(), 0.039).any()
    assert not find_mixed_rims(_gap(), _quarters(), 0.041).any()


def test_what_is_a_gap_as_well_or_no_object_is_no_rim():
    gaps = _gap() | _gap(slice(38, 62), slice(62, 90))
    labels = _quarters()
    labels[:, 62:] = 5  # nothing but the other gap
    labels[:, :38] = 0
    labels[:38], labels[62:] = 1, 0
    assert not find_mixed_rims(gaps, labels, SHARE)[50, 50]


def test_each_gap_is_judged_by_its_own_rim():
    gaps = _gap() | _gap(slice(5, 25), slice(5, 25))
    assert np.array_equal(find_mixed_rims(gaps, _quarters(), SHARE), _gap())


def test_an_object_that_is_one_gap_has_no_rim():
    everything = np.ones((SIDE, SIDE), dtype=bool)
    assert not find_mixed_rims(everything, _quarters(), SHARE).any()
    assert not find_mixed_rims(~everything, _quarters(), SHARE).any()
