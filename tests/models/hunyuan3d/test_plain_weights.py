from __future__ import annotations

import pytest
import torch

from backend.models.hunyuan3d.plain_weights import fold, upstream_shapes
from tests.models.hunyuan3d.plain_golden import NAMES, RELEASED, config, golden, published


@pytest.mark.parametrize("name", NAMES)
def test_published_names_and_shapes_are_known_exactly(name):
    shapes = {key: tensor.shape for key, tensor in published(name).items()}
    assert upstream_shapes(config(name)) == shapes


def test_names_of_a_whole_pipeline_are_known_exactly():
    shapes = {
        key.removeprefix("model."): tensor.shape
        for key, tensor in golden("pipeline21").items()
        if key.startswith("model.")
    }
    assert {len(size) for size in shapes.values()} == {1, 2}
    assert set(upstream_shapes(config(RELEASED))) == set(shapes)


@pytest.mark.parametrize(
    "missing",
    ["blocks.1.attn1.to_k.weight", "blocks.4.moe.experts.2.net.2.bias", "x_embedder.bias"],
)
def test_a_missing_weight_is_named(missing):
    state = published(RELEASED)
    del state[missing]
    with pytest.raises(KeyError, match=missing):
        fold(state, config(RELEASED))


def test_unknown_weights_are_left_out():
    known = fold(published(RELEASED), config(RELEASED))
    state = {**published(RELEASED), "blocks.0.adapter.weight": torch.zeros(1)}
    assert set(fold(state, config(RELEASED))) == set(known)


def test_weights_that_are_not_fused_are_not_copied():
    state = published(RELEASED)
    folded = fold(state, config(RELEASED))
    own = {tensor.data_ptr() for tensor in state.values()}
    copied = {name for name, tensor in folded.items() if tensor.data_ptr() not in own}
    assert all(".qkv." in name or ".kv." in name or ".perceptron." in name for name in copied)
    assert sum(".perceptron.up" in name for name in copied) == 2 * 2


def test_projections_are_told_apart_as_the_published_weights_were_trained():
    """There, the outputs one after the other are cut by head first, and by part within a head."""
    state, sizes = published(RELEASED), config(RELEASED)
    tokens = torch.linspace(-1, 1, 3 * sizes.width).view(3, sizes.width)
    parts = [tokens @ state[f"blocks.0.attn1.to_{part}.weight"].T for part in "qkv"]
    by_head = torch.cat(parts, dim=-1).view(3, sizes.heads, 3, sizes.head_width)
    fused = fold(state, sizes)["blocks.0.self_attention.qkv.weight"]
    ours = (tokens @ fused.T).view(3, 3, sizes.heads, sizes.head_width)
    torch.testing.assert_close(ours, by_head.transpose(1, 2), rtol=0, atol=1e-6)
