from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from backend.gpu.work_counter import WorkCounter
from backend.models.hunyuan3d_paint.paint_savings import ALL_SAVINGS, NO_SAVINGS, PaintSavings
from backend.models.hunyuan3d_paint.view_inputs import GuidanceRow
from tests.models.hunyuan3d_paint import paint_golden

TOLERANCE = 2e-5
ROW_THAT_SAVES = {
    "kept_keys": GuidanceRow.FULL,
    "no_blank_reference": GuidanceRow.BLANK,
    "few_blank_tokens": GuidanceRow.BLANK,
}


@pytest.fixture(scope="module")
def network():
    return paint_golden.network()


def answered(network, row, savings=ALL_SAVINGS, views=None):
    prepared = network.prepare(views or paint_golden.views(), row, savings)
    return network(paint_golden.latents(), paint_golden.time(), prepared)


def counted(network, row, savings):
    """The velocity, and the work that a call takes."""
    prepared = network.prepare(paint_golden.views(), row, savings)
    with sdpa_kernel(SDPBackend.MATH), WorkCounter() as counter:
        velocity = network(paint_golden.latents(), paint_golden.time(), prepared)
    return velocity, counter.flop


@pytest.mark.parametrize("row", GuidanceRow)
@pytest.mark.parametrize("savings", [ALL_SAVINGS, NO_SAVINGS], ids=["savings", "plain"])
def test_every_row_is_what_the_original_computes(network, row, savings):
    recorded = paint_golden.tensors()[paint_golden.RECORDED[row]]
    found = answered(network, row, savings)
    torch.testing.assert_close(found, recorded, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("saving", ROW_THAT_SAVES)
def test_a_saving_saves_work_and_changes_nothing(network, saving):
    row = ROW_THAT_SAVES[saving]
    with_it, work = counted(network, row, ALL_SAVINGS)
    without, more_work = counted(network, row, replace(ALL_SAVINGS, **{saving: False}))
    torch.testing.assert_close(with_it, without, rtol=0, atol=5e-6)
    assert work < more_work


def test_every_saving_has_a_switch_that_is_tried():
    elsewhere = {"two_rows", "no_blank_text"}  # of the sampler, and of networks for colour
    assert {field.name for field in fields(PaintSavings)} == ROW_THAT_SAVES.keys() | elsewhere


def test_views_see_each_other_and_the_reference_counts(network):
    given = paint_golden.views()
    before = answered(network, GuidanceRow.FULL)
    moved = replace(given, normals=given.normals.index_add(0, torch.tensor([2]), given.normals[:1]))
    after = answered(network, GuidanceRow.FULL, views=moved)
    assert not torch.allclose(before[0], after[0], atol=1e-4)
    other = replace(given, reference={name: one.flip(1) for name, one in given.reference.items()})
    same = answered(network, GuidanceRow.FULL, views=other)
    torch.testing.assert_close(before, same, rtol=0, atol=1e-5)  # it is a set of tokens
    none = replace(given, reference={name: 0 * one for name, one in given.reference.items()})
    assert not torch.allclose(before, answered(network, GuidanceRow.FULL, views=none), atol=1e-4)


@pytest.mark.parametrize(
    ("dtype", "mean_error"), [(torch.float16, 0.003), (torch.bfloat16, 0.02)], ids=str
)
def test_half_precision_stays_close_since_time_and_places_are_exact(dtype, mean_error):
    small = paint_golden.network(dtype)
    prepared = small.prepare(paint_golden.views(dtype), GuidanceRow.FULL)
    assert prepared.sights[0].rotation.cos.dtype == torch.float32
    found = small(paint_golden.latents(dtype), paint_golden.time(), prepared)
    recorded = paint_golden.tensors()["out.full"]
    assert found.dtype == dtype
    assert (found.float() - recorded).abs().mean() < mean_error


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dino": None}, "dino"),
        ({"voxels": ()}, "voxels"),
        ({"cameras": torch.tensor([1, 2, 3])}, "cameras"),
        ({"normals": torch.zeros(3, 4, 18, 18)}, "multiples of 4"),
    ],
)
def test_what_does_not_fit_the_network_is_refused(network, change, named):
    with pytest.raises(ValueError, match=named):
        network.prepare(replace(paint_golden.views(), **change), GuidanceRow.FULL)
