from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.engines import part_decode
from backend.engines.field_calls import Box
from backend.engines.implicit_decode import decode_grid
from backend.engines.part_decode import decode_part, decoded_part
from backend.engines.part_space import HALF_SIDE, padded_extent, part_space
from backend.errors import JobCanceled, NoSurfaceFound
from backend.meshes.isosurface.surface import extract_surface
from backend.models.xpart.published_part_grid import PUBLISHED_LEVEL
from tests.models.xpart import encoder_golden

CELLS = 64
CELL = 2 * HALF_SIDE / CELLS
NO_SURFACE = np.zeros((0, 7), np.float32)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ball(points, centre=(0.0, 0.0, 0.0), radius=0.2):
    return radius - (points - torch.tensor(centre)).norm(dim=-1)


def rod(points, until=2.0):
    """Along x, from -0.3."""
    across = 0.08 - points[:, 1:].norm(dim=-1)
    return torch.minimum(across, torch.minimum(points[:, 0] + 0.3, until - points[:, 0]))


def cube(half, centre=(0.0, 0.0, 0.0)):
    return np.array([centre, centre]) + np.array([[-half], [half]])


def wholly(field):
    """The surface on the grid of the whole cube."""
    box = Box((-HALF_SIDE,) * 3, (HALF_SIDE,) * 3)
    values = decode_grid(lambda points: field(points) - PUBLISHED_LEVEL, CELLS, box).values
    return extract_surface(values, box.lower, box.upper).vertices.numpy()


def by_place(vertices):
    rounded = vertices.round(4)
    return vertices[np.lexsort(rounded.T)]


def test_a_part_is_the_same_as_on_the_grid_of_the_whole_object():
    found = decode_part(ball, cube(0.2), CELLS)
    np.testing.assert_allclose(
        by_place(found.mesh.vertices), by_place(wholly(ball)), rtol=0, atol=1e-5
    )
    assert found.mesh.is_closed()
    assert found.growths == 0
    assert not found.is_cut_off


def test_the_surface_lies_where_it_was_published_to_lie():
    sizes = decode_part(ball, cube(0.2), 128).mesh.extents / 2
    assert np.allclose(sizes, 0.2 + 1 / 512, atol=2e-4)


def test_what_lies_far_from_the_part_is_not_asked_for():
    def two(points):
        return torch.maximum(ball(points), ball(points, (0.7, 0.7, 0.7)))

    seen = []

    def watched(points):
        seen.append(points)
        return two(points)

    found = decode_part(watched, cube(0.2), CELLS)
    places = torch.cat(seen)
    extent, _ = padded_extent(cube(0.2), CELLS)
    assert places.dtype == torch.float32
    assert (places >= torch.tensor(extent.box.lower) - 1e-6).all()
    assert (places <= torch.tensor(extent.box.upper) + 1e-6).all()
    assert found.queries <= sum(map(len, seen)) < CELLS**3 / 5
    assert found.mesh.vertices.max() < 0.3


@pytest.mark.parametrize("hierarchical", [True, False])
def test_a_part_that_goes_on_is_followed(hierarchical):
    """Far beyond its margin, and only on the side where it does."""
    calls = []

    def watched(points):
        calls.append(points)
        return rod(points, until=0.5)

    space = np.array([[-0.3, -0.08, -0.08], [0.1, 0.08, 0.08]])
    found = decode_part(watched, space, CELLS, hierarchical=hierarchical)
    expected = wholly(lambda points: rod(points, until=0.5))
    np.testing.assert_allclose(by_place(found.mesh.vertices), by_place(expected), rtol=0, atol=1e-5)
    assert found.growths in (1, 2, 3)
    assert found.mesh.is_closed()
    assert not found.is_cut_off
    extent, _ = padded_extent(space, CELLS)
    for axis in (1, 2):
        assert float(torch.cat(calls)[:, axis].abs().max()) <= extent.box.upper[axis] + 1e-6


def test_no_part_leaves_its_space_by_more_than_the_margin_unless_followed():
    for radius in (0.2, 0.21, 0.22):
        found = decode_part(lambda points, r=radius: ball(points, radius=r), cube(0.2), CELLS)
        _, margin = padded_extent(cube(0.2), CELLS)
        assert found.growths == 0
        assert np.abs(found.mesh.vertices).max() <= 0.2 + (margin + 1) * CELL


def test_a_part_grows_on_both_ends_of_every_axis():
    found = decode_part(lambda points: ball(points, radius=0.45), cube(0.25), CELLS)
    expected = wholly(lambda points: ball(points, radius=0.45))
    np.testing.assert_allclose(by_place(found.mesh.vertices), by_place(expected), rtol=0, atol=1e-5)
    assert found.growths > 0


def test_a_part_that_never_ends_is_cut_off_and_closed():
    found = decode_part(rod, np.array([[-0.3, -0.1, -0.1], [0.9, 0.1, 0.1]]), CELLS)
    assert found.is_cut_off
    assert found.mesh.is_closed()
    assert found.mesh.vertices[:, 0].max() <= HALF_SIDE + CELL


def test_growing_is_bounded():
    extents = []
    ask = part_decode.part_grid

    def endless(extent, tell):
        extents.append(extent)
        shape = tuple(cells + 1 for cells in extent.shape)
        return part_decode.DecodedGrid(torch.ones(shape), torch.ones(shape).bool(), 1, 1)

    grid = ask(endless, cube(0.01), 512)
    assert grid.growths == part_decode.MOST_GROWTHS
    assert len(extents) == 1 + 6 * part_decode.MOST_GROWTHS
    assert max(grid.extent.shape) < 512 / 4
    assert grid.values.shape == tuple(cells + 1 for cells in grid.extent.shape)


def test_nothing_inside_is_an_error_that_says_so():
    with pytest.raises(NoSurfaceFound):
        decode_part(lambda points: points[:, 0] * 0 - 1, cube(0.2), CELLS)


def test_small_bodies_beside_a_part_go():
    corner = 78 * (2 * HALF_SIDE / 128) - HALF_SIDE  # of a cell: else it may lie between them

    def with_crumb(points):
        return torch.maximum(ball(points), ball(points, (corner, corner, 0.0), radius=0.012))

    found = decode_part(with_crumb, cube(0.22), 128)
    assert found.dropped_bodies == 1
    assert found.mesh.is_closed()
    assert found.mesh.vertices[:, :2].sum(axis=1).max() < 0.3


def test_progress_never_falls_and_ends_at_one():
    told = []
    space = np.array([[-0.3, -0.08, -0.08], [0.0, 0.08, 0.08]])
    found = decode_part(
        lambda points: rod(points, until=0.6), space, CELLS, chunk_points=512, progress=told.append
    )
    assert found.growths > 0
    assert told == sorted(told)
    assert told[0] < 0.1
    assert told[-1] == 1.0
    assert len(set(told)) > 3


def test_a_job_can_be_canceled_while_a_part_is_read_off():
    def cancel(share):
        raise JobCanceled

    with pytest.raises(JobCanceled):
        decode_part(ball, cube(0.2), CELLS, progress=cancel)


class OwnNetworks:
    """Calls networks as they are."""

    def hosted(self, component, network, part=""):
        return getattr(network, part.strip("/"))


def test_latents_are_read_off_as_the_network_answers():
    vae = encoder_golden.vae()
    latents = encoder_golden.of_vae()["in.latents"][:1]
    keys = vae.keys(latents)
    space = part_space(cube(0.9), NO_SURFACE)

    def answers(points):
        return vae.geo_decoder(points[None], keys)[0]

    expected = decode_part(answers, space, 32)
    found = decoded_part(OwnNetworks(), vae, latents, space, 32, lambda share: None)
    np.testing.assert_array_equal(found.mesh.vertices, expected.mesh.vertices)
    np.testing.assert_array_equal(found.mesh.faces, expected.mesh.faces)
