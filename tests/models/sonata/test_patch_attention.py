from __future__ import annotations

import pytest
import torch

from backend.models.attention import heads_of, joined_heads, plain_attention
from backend.models.sonata.patch_attention import MATRICES_PER_CALL, PatchAttention, calls_for

WIDTH, HEADS, PATCH = 8, 2, 16


def attention(attend=plain_attention):
    torch.manual_seed(0)
    return PatchAttention(WIDTH, HEADS, PATCH, attend).requires_grad_(False)


def among(module, tokens):
    """What all of the tokens give when they look at each other."""
    q, k, v = (heads_of(part[None], HEADS) for part in module.qkv(tokens).chunk(3, dim=-1))
    weights = (q @ k.transpose(2, 3) * (WIDTH // HEADS) ** -0.5).softmax(dim=-1)
    return module.out(joined_heads(weights @ v)[0])


@pytest.mark.parametrize("points", [1, PATCH - 3, PATCH])
def test_up_to_a_patch_all_look_at_each_other(points):
    module, tokens = attention(), torch.randn(points, WIDTH)
    torch.testing.assert_close(module(tokens), among(module, tokens), rtol=0, atol=1e-6)


@pytest.mark.parametrize("points", [PATCH + 1, 2 * PATCH + 5, 23 * PATCH + 15])
def test_the_last_patch_is_completed_with_the_points_before_it(points):
    module, tokens = attention(), torch.randn(points, WIDTH)
    wanted = [among(module, patch) for patch in tokens.split(PATCH)]
    wanted[-1] = among(module, tokens[-PATCH:])[-(points % PATCH) :]
    torch.testing.assert_close(module(tokens), torch.cat(wanted), rtol=0, atol=1e-6)


def test_few_shapes_are_asked_for():
    asked = set()

    def attend(q, k, v, scale=None):
        asked.add(tuple(q.shape))
        return plain_attention(q, k, v, scale)

    for patches in range(1, 50):
        attention(attend)(torch.zeros(patches * PATCH + 1, WIDTH))
    assert asked == {(size, HEADS, PATCH, WIDTH // HEADS) for size in (24, 6, 1)}


@pytest.mark.parametrize("heads", [1, 3, 6, 12, 24, 32, 64])
def test_every_patch_is_in_a_call_and_no_call_has_too_many(heads):
    for patches in range(100):
        calls = calls_for(patches, heads)
        assert sum(calls) == patches
        assert max(calls, default=1) == 1 or max(calls) * heads <= MATRICES_PER_CALL
