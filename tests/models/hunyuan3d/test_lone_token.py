from __future__ import annotations

import math

import pytest
import torch

from backend.models.attention import plain_attention
from backend.models.hunyuan3d.lone_token import attend_raised, key_raise


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("tokens", [1, 2, 1370, 5480])
@pytest.mark.parametrize("head_width", [64, 128])
def test_the_raise_is_exact_whatever_the_dtype(dtype, tokens, head_width):
    raised = key_raise(tokens, head_width, torch.zeros(1, dtype=dtype))
    logit = raised.double().sum().item() * head_width**-0.5
    assert math.isclose(math.exp(logit), tokens, rel_tol=1e-6)


@pytest.mark.parametrize("tokens", [1, 7, 1370])
def test_a_raised_key_counts_as_many(tokens):
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 9, 16, generator=generator, dtype=torch.float64) for _ in range(3))
    many = [
        torch.cat([each[:, :, :1].expand(-1, -1, tokens, -1), each[:, :, 1:]], 2) for each in (k, v)
    ]
    raised = key_raise(tokens, 16, q)
    torch.testing.assert_close(
        attend_raised(plain_attention, q, k, v, raised),
        plain_attention(q, *many),
        atol=1e-12,
        rtol=0,
    )


def test_given_heads_are_left_as_they_were():
    q, k, v = (torch.ones(1, 1, 3, 8) for _ in range(3))
    attend_raised(plain_attention, q, k, v, key_raise(5, 8, q))
    assert all(each.eq(1).all() for each in (q, k, v))


def test_heads_stay_fit_for_flash_kernels():
    def attend(q, k, v, scale=None):
        assert {each.shape[-1] for each in (q, k, v)} == {72}
        return plain_attention(q, k, v, scale)

    heads = torch.zeros(1, 1, 3, 64)
    assert attend_raised(attend, heads, heads, heads, key_raise(9, 64, heads)).shape == heads.shape
