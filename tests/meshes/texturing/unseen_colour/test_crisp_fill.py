from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.unseen_colour.crisp_fill import crisp_fill
from backend.meshes.texturing.unseen_colour.few_colours import lab
from backend.meshes.texturing.unseen_colour.harmonic_fill import fill
from tests.meshes.solids import sphere, together
from tests.meshes.texturing.unseen_colour.plates import graph_of, plate

SIDE = 41
RED, BLUE = np.array([200.0, 40, 40]), np.array([40.0, 60, 200])


@pytest.fixture(scope="module")
def flat():
    return graph_of(plate(SIDE, SIDE))


@pytest.fixture(scope="module")
def sides(flat):
    """Known: the edges on the left and on the right."""
    return (flat.points[:, 0] == 0) | (flat.points[:, 0] == 1)


@pytest.fixture(scope="module")
def red_and_blue(flat):
    return np.where(flat.points[:, :1] < 0.5, RED, BLUE)


def _mixed_share(colours):
    """Share of nodes that are a tenth or more away from both red and blue."""
    along = (colours - RED) @ (BLUE - RED) / np.sum((BLUE - RED) ** 2)
    return ((along > 0.1) & (along < 0.9)).mean()


def test_two_colours_meet_at_an_edge_and_not_in_mush(flat, sides, red_and_blue):
    assert _mixed_share(fill(flat, red_and_blue, sides)) > 0.7
    crisp = crisp_fill(flat, red_and_blue, sides)
    assert _mixed_share(crisp) < 0.35
    middle = np.isclose(flat.points[:, 0], 0.5)
    assert crisp[middle] == pytest.approx(np.tile((RED + BLUE) / 2, (SIDE, 1)), abs=10)


def test_known_nodes_stay_and_nothing_leaves_the_given_range(flat):
    rng = np.random.default_rng(0)
    known = rng.random(len(flat.points)) < 0.1
    colours = rng.uniform(20, 230, (len(known), 3))
    colours[~known] = -1e6  # not read
    crisp = crisp_fill(flat, colours, known)
    assert crisp[known] == pytest.approx(colours[known], abs=1e-9)
    assert (crisp > colours[known].min(axis=0) - 1e-6).all()
    assert (crisp < colours[known].max(axis=0) + 1e-6).all()


def test_shades_of_one_colour_spread_as_heat_does(flat, sides):
    shades = RED + 6 * flat.points[:, 1:2] * np.array([1.0, 0.5, 0.5])
    crisp = crisp_fill(flat, shades, sides)
    assert crisp == pytest.approx(fill(flat, shades, sides), abs=1e-6)
    assert np.ptp(crisp[:, 0]) == pytest.approx(6)


def test_a_gradient_has_no_steps_and_goes_further_than_it_would_alone(flat, sides):
    """It is sorted into several colours, whose edges must not show."""
    grey = np.repeat(60 + 140 * flat.points[:, 1:2], 3, axis=1)
    crisp, plain = crisp_fill(flat, grey, sides), fill(flat, grey, sides)
    one, other = flat.weights.tocoo().coords
    steps = np.linalg.norm(lab(crisp[one]) - lab(crisp[other]), axis=1)
    assert steps.max() < 7
    away = [np.linalg.norm(lab(each) - lab(grey), axis=1).mean() for each in (crisp, plain)]
    assert away[0] < 0.85 * away[1]


def test_a_body_with_nothing_known_takes_what_is_nearest():
    near, far = sphere(0.2, 1), sphere(0.2, 1)
    far = far.with_vertices(far.vertices + np.array([0.5, 0, 0]))
    graph = graph_of(together(near, far))
    count = len(near.vertices)
    known = np.arange(2 * count) < count
    colours = np.where(graph.points[:, :1] > 0.1, BLUE, RED)
    crisp = crisp_fill(graph, colours, known)
    assert crisp[:count] == pytest.approx(colours[:count])
    assert crisp[count:] == pytest.approx(np.tile(BLUE, (count, 1)))


def test_one_known_node_colours_all(flat):
    known = np.arange(len(flat.points)) == 7
    crisp = crisp_fill(flat, np.tile(BLUE, (len(known), 1)), known)
    assert crisp == pytest.approx(np.tile(BLUE, (len(known), 1)))
