from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from backend.models.upscaling.rrdb import RrdbNet
from backend.models.upscaling.rrdb_config import RrdbConfig
from backend.models.upscaling.rrdb_weights import fold, upstream_shapes

TINY = RrdbConfig(width=6, growth=4, blocks=2)


def drawn(config, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator) / max(shape[1:].numel(), 4) ** 0.5
        for name, shape in upstream_shapes(config).items()
    }


def built(state, config=TINY):
    with torch.device("meta"):
        network = RrdbNet(config)
    network.load_state_dict(fold(state, config), strict=True, assign=True)
    return network.eval().requires_grad_(False)


def written_out(state, picture, blocks):
    """The network once more, as a formula."""

    def conv(name, x):
        return functional.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    def act(x):
        return torch.where(x > 0, x, 0.2 * x)

    def twice(x):
        return x.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)

    def dense(name, x):
        c1 = act(conv(f"{name}.conv1", x))
        c2 = act(conv(f"{name}.conv2", torch.cat([x, c1], 1)))
        c3 = act(conv(f"{name}.conv3", torch.cat([x, c1, c2], 1)))
        c4 = act(conv(f"{name}.conv4", torch.cat([x, c1, c2, c3], 1)))
        return x + 0.2 * conv(f"{name}.conv5", torch.cat([x, c1, c2, c3, c4], 1))

    first = body = conv("conv_first", picture)
    for block in range(blocks):
        inside = body
        for number in (1, 2, 3):
            inside = dense(f"body.{block}.rdb{number}", inside)
        body = body + 0.2 * inside
    x = first + conv("conv_body", body)
    x = act(conv("conv_up1", twice(x)))
    x = act(conv("conv_up2", twice(x)))
    return conv("conv_last", act(conv("conv_hr", x)))


@pytest.mark.parametrize("has_gradient", [True, False])
def test_it_computes_what_its_formula_says(has_gradient):
    state = drawn(TINY)
    picture = torch.rand(2, 3, 7, 5, generator=torch.Generator().manual_seed(1))
    given = picture.clone()
    with torch.set_grad_enabled(has_gradient):
        larger = built(state)(picture)
    assert larger.shape == (2, 3, 28, 20)
    torch.testing.assert_close(larger, written_out(state, picture, 2), rtol=0, atol=1e-5)
    assert torch.equal(picture, given)


@torch.no_grad()
def test_half_precision_is_kept_and_close():
    state = drawn(TINY)
    picture = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    network = built(state)
    full = network(picture)
    half = network.half()
    assert half.dtype is torch.float16
    larger = half(picture.half())
    assert larger.dtype is torch.float16
    assert (larger.float() - full).abs().max() < 0.02 * full.abs().max()


def test_full_size_has_the_published_number_of_parameters():
    shapes = upstream_shapes(RrdbConfig())
    assert sum(shape.numel() for shape in shapes.values()) == 16_697_987
    assert shapes["body.22.rdb3.conv5.weight"] == (64, 192, 3, 3)
    assert shapes["conv_last.bias"] == (3,)


def test_sizes_are_read_off_published_tensors():
    shapes = {name: tuple(shape) for name, shape in upstream_shapes(TINY).items()}
    assert RrdbConfig.from_shapes(shapes, {}) == TINY
    numbered = {**shapes, "body.999999999.rdb1.conv1.bias": (4,)}
    assert RrdbConfig.from_shapes(numbered, {}).blocks == 3
    assert RrdbConfig.from_upstream({}) == RrdbConfig()
    with pytest.raises(KeyError, match="conv_first"):
        RrdbConfig.from_shapes({}, {})
    with pytest.raises(ValueError, match="no block"):
        RrdbConfig.from_shapes({"conv_first.weight": (6, 3, 3, 3)}, {})


def test_every_published_tensor_is_needed():
    state = drawn(TINY)
    lost = "body.1.rdb2.conv4.bias"
    del state[lost]
    with pytest.raises(KeyError, match="conv4"):
        fold(state, TINY)
