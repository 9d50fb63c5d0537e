from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.smooth_outline import SLACK_PX, SmoothOutline
from tests.meshes.solids import disc_mask

RADIUS = 90.4
MIDDLE = 100.3


@pytest.fixture(scope="module")
def disc():
    rows, columns = np.mgrid[:200, :200]
    return (rows - MIDDLE) ** 2 + (columns - MIDDLE) ** 2 < RADIUS**2


def test_the_outline_of_a_disc_is_a_circle_and_no_staircase(disc):
    outline = SmoothOutline.of(disc)
    radii = np.linalg.norm(outline.starts - MIDDLE, axis=1)
    assert np.abs(radii - RADIUS).max() < 0.45
    assert radii.std() < 0.1
    along = outline.stops - outline.starts
    middle = (outline.stops + outline.starts) / 2 - MIDDLE
    lean = np.einsum("ij,ij->i", along, middle)
    lean /= np.linalg.norm(along, axis=1) * np.linalg.norm(middle, axis=1)
    assert np.degrees(np.arcsin(np.abs(lean))).mean() < 0.5


def test_the_mask_can_be_read_off_again(disc):
    outline = SmoothOutline.of(disc)
    places = np.arange(200.0)
    differs = outline.inside(places, places) != disc
    assert np.count_nonzero(differs) < 0.001 * np.count_nonzero(disc)


def test_corners_stay_within_the_slack_of_the_pixels():
    mask = np.zeros((40, 60), dtype=bool)
    mask[10:30, 20:50] = True
    corners = SmoothOutline.of(mask).starts
    beyond = np.maximum([9.5, 19.5] - corners, corners - [29.5, 49.5])
    assert beyond.max() <= SLACK_PX
    assert beyond.max(axis=1).min() >= -SLACK_PX - 0.5  # a corner is cut between two pixels


def test_rows_are_crossed_at_the_edges_of_the_disc_and_of_its_hole():
    mask = disc_mask(200, 80) & ~disc_mask(200, 40)
    rows, columns = SmoothOutline.of(mask).crossings(np.array([30.0, 99.5]))
    half = np.sqrt(80**2 - 69.5**2)
    assert rows.tolist() == [0, 0, 1, 1, 1, 1]
    expected = [99.5 - half, 99.5 + half, 19.5, 59.5, 139.5, 179.5]
    assert columns == pytest.approx(expected, abs=1.0)


def test_a_hole_is_outside_and_so_is_what_lies_beyond():
    mask = disc_mask(100, 40) & ~disc_mask(100, 20)
    inside = SmoothOutline.of(mask).inside(np.array([-20.0, 50.0]), np.array([-5.0, 50.0, 80.0]))
    assert inside.tolist() == [[False, False, False], [False, False, True]]


def test_an_object_at_the_edge_of_the_picture_ends_there():
    _, columns = SmoothOutline.of(np.ones((200, 300), dtype=bool)).crossings(np.array([100.0]))
    assert columns == pytest.approx([-0.5, 299.5], abs=0.1)


def test_the_distance_is_measured_from_the_outline_itself(disc):
    places = np.linspace(0, 200, 51)
    distance = SmoothOutline.of(disc).distance(places, places, 12.0)
    truth = RADIUS - np.hypot(*np.meshgrid(places - MIDDLE, places - MIDDLE))
    near = np.abs(truth) < 12
    assert np.abs(distance - truth)[near].max() < 0.45
    assert np.abs(distance - truth).max() < 4.5  # a cell, and a bit across
    assert ((distance > 0) == (truth > 0))[np.abs(truth) > 0.5].all()


def test_the_distance_heeds_each_body():
    mask = disc_mask(200, 20)
    mask[:, 150:170] = True
    distance = SmoothOutline.of(mask).distance(np.arange(90.0, 111.0), np.arange(110.0, 160.0), 30)
    assert distance[10, 25] == pytest.approx(-(149.5 - 135), abs=0.6)
    assert distance[10, 45] == pytest.approx(155 - 149.5, abs=0.6)
