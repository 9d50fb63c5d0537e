from __future__ import annotations

import math

import pytest
import torch

from backend.models.hunyuan3d_paint.rotary import rotated, rotation_of
from tests.models.hunyuan3d_paint import paint_golden


@pytest.mark.parametrize("tokens", [192, 48])
def test_angles_are_those_of_the_original(tokens):
    given = paint_golden.tensors()
    found = rotation_of(given[f"vox21.{tokens}"][0], 16)
    for name, part in (("cos", found.cos), ("sin", found.sin)):
        recorded = given[f"rope.{tokens}.16.{name}"][0]
        torch.testing.assert_close(part.repeat_interleave(2, -1), recorded, rtol=0, atol=1e-5)


def test_neighbouring_channels_are_turned_together_without_changing_their_length():
    rotation = rotation_of(torch.tensor([[1, 0, 0]]), 16)
    heads = torch.zeros(1, 1, 1, 16)
    heads[..., 0] = 2.0
    turned = rotated(heads, rotation)[0, 0, 0]
    assert turned[:2].tolist() == pytest.approx([2 * math.cos(1), 2 * math.sin(1)])
    assert turned[2:].abs().max() == 0


def test_products_tell_how_far_apart_tokens_are_and_not_where():
    q, k = torch.randn(2, 1, 1, 1, 64, generator=torch.Generator().manual_seed(1))
    products = []
    for begin in (0, 100):
        places = torch.tensor([[begin, begin, begin], [begin + 3, begin + 1, begin + 2]])
        here, there = (rotation_of(places[n : n + 1], 64) for n in range(2))
        products.append(float((rotated(q, here) * rotated(k, there)).sum()))
    assert products[0] == pytest.approx(products[1], abs=1e-4)


def test_half_precision_is_turned_in_full_precision():
    rotation = rotation_of(torch.tensor([[511, 400, 300]]), 64)
    heads = torch.randn(1, 2, 1, 64, generator=torch.Generator().manual_seed(1)).half()
    exact = rotated(heads.float(), rotation)
    assert torch.equal(rotated(heads, rotation), exact.half())


def test_heads_that_cannot_be_shared_out_are_refused():
    with pytest.raises(ValueError, match="24 channels"):
        rotation_of(torch.zeros(1, 3, dtype=torch.int64), 24)
