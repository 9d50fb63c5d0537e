from __future__ import annotations

from functools import partial

import pytest
import torch

from backend.models.hunyuan3d.geo_decoder import field_of
from backend.models.hunyuan3d.key_selection import KeyChoice
from backend.models.hunyuan3d.shape_vae_config import ShapeVaeConfig
from backend.models.hunyuan3d.volume_decoding import (
    dense_grid,
    flash_grid,
    flash_levels,
    hierarchical_grid,
    hierarchical_levels,
)
from tests.models import golden_files
from tests.models.hunyuan3d import vae_golden
from tests.models.hunyuan3d.vae_golden import NAMES, RELEASED, TURBO_LIKE, geo_keys, golden, vae

PIPELINES = ("pipeline20", "pipeline20_turbo", "pipeline21")


def field(name):
    return field_of(vae(name).geo_decoder, golden(name, "mid.latents"))


def assert_same(values, wanted):
    assert torch.equal(values.isnan(), wanted.isnan())
    assert torch.allclose(values, wanted, rtol=0, atol=5e-4, equal_nan=True)


def ways(name):
    """The ways to decode, with the golden tensor of each."""
    flash = partial(flash_grid, vae(name).geo_decoder, geo_keys(name), 32, coarsest_cells=8)
    return {
        "out.vanilla16": partial(dense_grid, field(name), 16),
        "out.vanilla32": partial(dense_grid, field(name), 32),
        "out.hierarchical32_min8": partial(hierarchical_grid, field(name), 32, coarsest_cells=8),
        "out.flashvdm32_min8_mean": flash,
        "out.flashvdm32_min8_merge": partial(flash, choice=KeyChoice.MERGE),
    }


PARTS = ("out.vanilla16", "out.vanilla32", "out.hierarchical32_min8")
FLASH_PARTS = ("out.flashvdm32_min8_mean", "out.flashvdm32_min8_merge")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", PARTS + FLASH_PARTS)
def test_grids_are_those_of_the_original(name, part):
    found = ways(name)[part]()
    assert_same(found.values, golden(name, part)[0])
    assert found.values.shape == (found.cells + 1,) * 3


@pytest.mark.parametrize("name", PIPELINES)
def test_the_grids_of_whole_pipelines_too(name):
    config = ShapeVaeConfig.from_upstream(golden_files.pipeline_config(name)["vae"]["params"])
    built = vae_golden.built(golden_files.tensors_under(name, "vae."), config)
    found = dense_grid(field_of(built.geo_decoder, golden(name, "mid.kv")), 12)
    assert_same(found.values, golden(name, "out.grid12")[0])


@pytest.mark.parametrize("part", PARTS[1:] + FLASH_PARTS)
def test_chunks_change_nothing(part):
    """But for the last digits, which depend on the size of a product."""
    whole = ways(TURBO_LIKE)[part](chunk_points=10**6)
    chunked = ways(TURBO_LIKE)[part](chunk_points=1000)
    assert_same(chunked.values, whole.values)
    assert chunked.queries == whole.queries


@pytest.mark.parametrize("part", PARTS[1:] + FLASH_PARTS)
def test_every_call_is_told_of_and_may_be_the_last(part):
    told = []
    found = ways(RELEASED)[part](
        chunk_points=4000, on_query=lambda done, known: told.append((done, known))
    )
    assert told[0][0] == 0
    assert told == sorted(told)
    assert all(done < known <= found.queries for done, known in told)
    assert told[-1][1] == found.queries

    def stop(done, known):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ways(RELEASED)[part](chunk_points=4000, on_query=stop)


def test_a_finer_grid_asks_each_corner_where_it_lies():
    """The original asked all of them at one place."""

    def plane(points):
        return 10 * (points @ torch.tensor([1.0, 2.0, -1.0])) + 0.3

    sparse = hierarchical_grid(plane, 40, coarsest_cells=10)
    dense = dense_grid(plane, 40)
    is_asked = ~sparse.values.isnan()
    assert 0.02 < float(is_asked.float().mean()) < 0.6
    assert torch.allclose(sparse.values[is_asked], dense.values[is_asked], rtol=0, atol=1e-4)
    assert bool(is_asked[dense.values.abs() < 0.5].all())


def test_a_field_without_a_surface_is_asked_on_the_first_grid_alone():
    found = hierarchical_grid(lambda points: -2 + 0 * points[:, 0], 40, coarsest_cells=10)
    assert found.queries == 11**3
    assert bool(found.values.isnan().all())


def test_levels():
    assert hierarchical_levels(384) == [96, 192, 384]
    assert hierarchical_levels(127) == [63, 127]
    assert hierarchical_levels(40) == [40]
    assert flash_levels(384) == [95, 190, 380]
    assert flash_levels(256) == [63, 126, 252]
    assert flash_levels(32, 8) == [7, 14, 28]
