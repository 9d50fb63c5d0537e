from __future__ import annotations

import pytest
import torch

from backend.models.attention import plain_attention
from backend.models.hunyuan3d.key_selection import KeyChoice, choose_keys, kept_keys
from backend.models.hunyuan3d.shape_vae_layers import GeoKeys


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def shape_keys(tokens=24):
    return GeoKeys(numbers(1, 4, tokens, 16, seed=1), numbers(1, 4, tokens, 16, seed=2))


def test_each_head_keeps_the_keys_with_the_largest_mean_product():
    keys, queries = shape_keys(), numbers(1, 4, 7, 16)
    chosen = choose_keys(queries, keys, KeyChoice.MEAN)
    products = torch.einsum("hsd,hnd->hsn", queries[0], keys.k[0]).mean(1)
    for head in range(4):
        best = products[head].argsort(descending=True)[: kept_keys(24)]
        assert torch.equal(chosen.k[0, head], keys.k[0, head, best])
        assert torch.equal(chosen.v[0, head], keys.v[0, head, best])


def test_all_heads_keep_every_key_that_some_point_looks_at():
    keys = shape_keys()
    looked_at = [3, 11]
    queries = 40 * keys.k[:, :, looked_at]
    chosen = choose_keys(queries, keys, KeyChoice.MERGE)
    assert 2 <= chosen.k.shape[2] < 24
    kept = [row for row in range(24) if (chosen.k == keys.k[:, :, row, None]).all(-1).any()]
    assert set(looked_at) <= set(kept)
    assert torch.equal(chosen.v, keys.v[:, :, kept])
    near = plain_attention(queries, chosen.k, chosen.v, 1.0)
    assert torch.allclose(near, plain_attention(queries, *keys, 1.0), atol=1e-3)


def test_a_large_sample_is_merged_in_parts():
    keys, queries = shape_keys(), 6 * numbers(1, 4, 600, 16)
    whole = choose_keys(queries, keys, KeyChoice.MERGE)
    weights = (queries @ keys.k.transpose(2, 3)).softmax(-1).mean(1)
    assert torch.equal(whole.k, keys.k[:, :, (weights[0] > 1e-6).any(0)])


@pytest.mark.parametrize(("tokens", "kept"), [(3072, 1024), (512, 256), (4096, 1365), (24, 8)])
def test_how_many_are_kept(tokens, kept):
    assert kept_keys(tokens) == kept
