"""Heads of sizes that nobody recorded, beside what their formulas say, pair by pair."""

from __future__ import annotations

import pytest
import torch

from backend.models.hunyuan3d.plain_weights import fold_origins, published_shapes
from backend.models.p3sam.config import HeadsConfig
from backend.models.p3sam.heads_weights import heads_origins
from backend.models.p3sam.mask_heads import MaskHeads
from backend.models.p3sam.prompt_masks import prompt_masks
from bench.parity.building import built
from tests.models.hunyuan3d.test_other_sizes import drawn
from tests.models.hunyuan3d.written_out import Written, gelu


def heads_of_pairs(weights, features, points, prompts):
    """Section 4.1 of the description: logits (k, n, 3) and how well masks fit (k, 3)."""
    w = Written(weights)

    def head(name, x):
        return w.linear(f"{name}.4", gelu(w.linear(f"{name}.2", gelu(w.linear(f"{name}.0", x)))))

    logits, fits = [], []
    for prompt in prompts:
        pairs = torch.cat([features, points, prompt.expand_as(points)], dim=1)
        first = torch.cat([head(f"seg_mlp_{number}", pairs) for number in (1, 2, 3)], dim=1)
        told = torch.cat([pairs, first], dim=1)
        everywhere = head("seg_s2_mlp_g", told).amax(dim=0).expand(len(points), -1)
        seen = torch.cat([everywhere, told], dim=1)
        refined = torch.cat([head(f"seg_s2_mlp_{number}", seen) for number in (1, 2, 3)], dim=1)
        judged = head("iou_mlp", torch.cat([everywhere, pairs, refined], dim=1)).amax(dim=0)
        logits.append(refined)
        fits.append(torch.sigmoid(head("iou_mlp_out", judged)))
    return torch.stack(logits), torch.stack(fits)


@pytest.mark.parametrize(
    ("sizes", "points", "prompts"),
    [((5, 7, 3), 1, 4), ((8, 6, 6), 33, 1), ((3, 4, 9), 16, 11), ((1, 1, 1), 8, 2)],
)
def test_masks_are_what_formulas_say(sizes, points, prompts):
    config = HeadsConfig(*sizes)
    weights = drawn(published_shapes(heads_origins(config)))
    heads = built(MaskHeads, config, fold_origins(weights, heads_origins(config)))
    draw = torch.Generator().manual_seed(points)
    features = torch.randn(points, config.feature_channels, generator=draw)
    places, asked = torch.rand(points, 3, generator=draw), torch.rand(prompts, 3, generator=draw)
    logits, fits = heads_of_pairs(weights, features, places, asked)
    terms = heads.point_terms(features, places)
    found, found_fits = heads(terms, asked)
    torch.testing.assert_close(found, logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found_fits, fits, rtol=1e-4, atol=1e-5)
    masks = prompt_masks(heads, terms, asked, chunk_points=10, prompt_batch=3)
    best = fits.argmax(dim=1)
    inside = (logits > 0)[torch.arange(prompts), :, best]
    assert torch.equal(torch.from_numpy(masks.unpacked()), inside)
