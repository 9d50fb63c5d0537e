from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.unseen_colour.picture_islands import find_regions, posterised
from tests.meshes.solids import disc_mask

SIDE = 128
RED, DARK, BLUE = (200, 60, 60), (10, 10, 10), (40, 60, 210)


def _striped_with_an_eye():
    mask = disc_mask(SIDE, 50)
    rgb = np.full((SIDE, SIDE, 3), RED, dtype=np.uint8)
    rgb[90:105] = BLUE
    rgb[disc_mask(SIDE, 8)] = DARK
    return rgb, mask


def test_an_eye_is_an_island_and_a_belt_goes_round():
    rgb, mask = _striped_with_an_eye()
    regions = find_regions(rgb, mask)
    assert regions.islands[64, 64] == 1
    assert regions.islands[97, 64] == regions.islands[40, 40] == 0
    assert regions.around[97, 64] == regions.around[40, 40] == 1
    assert regions.around[64, 64] == 0


def test_what_fills_the_front_alone_is_no_belt():
    rgb, mask = _striped_with_an_eye()
    rgb[20:60, 50:78] = BLUE  # reaches the outline above, between two sides of another colour
    around = find_regions(rgb, mask).around
    assert around[40, 64] == 0
    assert around[97, 64] == 1


def test_a_body_in_front_of_another_is_no_belt():
    rgb, mask = _striped_with_an_eye()
    rgb[30:60, 45:83] = BLUE
    whole = mask.copy()
    whole[30:60, [44, 45, 46, 81, 82, 83]] = False
    regions = find_regions(rgb, mask, whole)
    assert regions.around[50, 55] == 0
    assert regions.around[97, 64] == 1


def _spotted(step_px):
    mask = disc_mask(SIDE, 60)
    rgb = np.full((SIDE, SIDE, 3), RED, dtype=np.uint8)
    for y in range(28, 101, step_px):
        for x in range(28, 101, step_px):
            rgb[disc_mask(SIDE, 3, (y, x))] = DARK
    return rgb, mask


def test_a_few_spots_are_islands_and_many_a_pattern():
    assert find_regions(*_spotted(24)).islands[52, 52] == 1
    assert find_regions(*_spotted(12)).islands.max() == 0


def test_what_lies_within_an_island_belongs_to_it():
    rgb, mask = _spotted(12)
    rgb[disc_mask(SIDE, 22)] = BLUE
    rgb[disc_mask(SIDE, 14)] = RED
    islands = find_regions(rgb, mask).islands
    assert (islands[50:78, 50:78] == 1).all()
    assert islands[64, 20] == 0


@pytest.mark.parametrize(("beside", "is_island"), [(RED, 0), (DARK, 1)])
def test_a_panel_goes_on_where_its_colour_holds_the_outline(beside, is_island):
    mask = disc_mask(SIDE, 50)
    rgb = np.full((SIDE, SIDE, 3), beside, dtype=np.uint8)
    rgb[30:98, 40:88] = rgb[52:76] = BLUE  # a frame that reaches the outline on both sides
    rgb[36:92, 46:82] = RED
    islands = find_regions(rgb, mask).islands
    assert islands[64, 64] == is_island
    assert islands[31, 64] == islands[20, 64] == 0


@pytest.mark.parametrize(("radius_px", "is_island"), [(5, 1), (20, 0)])
def test_a_detail_in_a_colour_of_the_outline_is_an_island_and_a_large_part_goes_on(
    radius_px, is_island
):
    mask = disc_mask(SIDE, 60)
    rgb = np.full((SIDE, SIDE, 3), RED, dtype=np.uint8)
    rgb[:40] = BLUE  # as a hat is, before a body with buttons
    rgb[disc_mask(SIDE, radius_px, (75, 64))] = BLUE
    assert find_regions(rgb, mask).islands[75, 64] == is_island


@pytest.mark.parametrize(("radius_px", "is_island"), [(26, 0), (10, 1)])
def test_only_a_large_part_goes_on_where_all_around_it_differs(radius_px, is_island):
    """The front of a castle between its roofs, walls and trees; the crystal of a sceptre."""
    mask = disc_mask(SIDE, 60)
    rgb = np.full((SIDE, SIDE, 3), RED, dtype=np.uint8)
    rgb[:64, :64], rgb[64:, 64:], rgb[64:, :64] = BLUE, (240, 240, 230), (40, 160, 60)
    rgb[disc_mask(SIDE, radius_px)] = DARK
    assert find_regions(rgb, mask).islands[60, 60] == is_island
    rgb[~disc_mask(SIDE, radius_px)] = RED
    assert find_regions(rgb, mask).islands[60, 60] == 1


def test_a_print_that_touches_the_outline_a_little_stays_an_island():
    rgb, mask = _striped_with_an_eye()
    rgb[60:64, :20] = DARK
    assert find_regions(rgb, mask).islands[64, 64] == 1


def _panelled(at_the_outline):
    """Four large spots, and as many as are asked for at the outline."""
    mask = disc_mask(SIDE, 50)
    rgb = np.full((SIDE, SIDE, 3), RED, dtype=np.uint8)
    for place in [(44, 44), (44, 84), (84, 44), (84, 84)]:
        rgb[disc_mask(SIDE, 9, place)] = DARK
    for place in [(14, 64), (114, 64), (64, 14), (64, 114)][:at_the_outline]:
        rgb[disc_mask(SIDE, 9, place)] = DARK
    return rgb, mask


@pytest.mark.parametrize(("at_the_outline", "is_island"), [(4, 0), (0, 1)])
def test_large_spots_go_on_behind_where_some_are_at_the_outline(at_the_outline, is_island):
    regions = find_regions(*_panelled(at_the_outline))
    assert regions.islands[44, 44] == regions.islands[84, 84] == is_island
    assert regions.scattered[44, 44] == 1
    assert regions.scattered[64, 64] == 0


def test_beside_the_object_regions_go_on():
    rgb, mask = _striped_with_an_eye()
    regions = find_regions(rgb, mask)
    assert regions.around[97, 127] == 1
    assert regions.islands.shape == regions.around.shape == mask.shape


def test_colours_that_differ_little_are_one():
    rgb = np.full((SIDE, SIDE, 3), RED, dtype=np.uint8)
    rgb[:, 64:, 1] += 8
    labels = posterised(rgb, disc_mask(SIDE, 50))
    assert len(np.unique(labels)) == 2  # with the outside


def test_the_colours_are_told_in_the_crop_of_the_object():
    rgb, mask = _striped_with_an_eye()
    labels = find_regions(rgb, mask).labels
    assert labels.shape == (100, 100)
    assert labels[0, 0] == 0
    assert len({labels[50, 50], labels[83, 50], labels[20, 50]}) == 3


@pytest.mark.parametrize(
    "mask", [np.zeros((8, 8), bool), np.eye(8, dtype=bool), np.ones((3, 9), bool)]
)
def test_the_smallest_objects_have_regions(mask):
    rgb = np.full((*mask.shape, 3), 9, dtype=np.uint8)
    rgb[0, 0] = 200
    regions = find_regions(rgb, mask)
    assert regions.islands.shape == mask.shape
    assert np.isfinite(regions.around).all()
