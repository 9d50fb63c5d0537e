from __future__ import annotations

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from backend.models.hunyuan3d_paint import vae_weights
from backend.models.hunyuan3d_paint.picture_vae import PictureVae
from backend.models.hunyuan3d_paint.picture_vae_config import PictureVaeConfig
from tests.models.hunyuan3d_paint.paint_golden import drawn

PARAMS = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "block_out_channels": [8, 16],
    "layers_per_block": 2,
    "latent_channels": 4,
    "norm_num_groups": 4,
    "scaling_factor": 0.5,
}
CONFIG = PictureVaeConfig.from_upstream(PARAMS)
FORMER = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


@pytest.fixture(scope="module")
def original():
    network = AutoencoderKL(**PARAMS)
    network.load_state_dict(drawn({name: one.shape for name, one in network.state_dict().items()}))
    return network.eval().requires_grad_(False)


def built(state, config):
    with torch.device("meta"):
        module = PictureVae(config)
    module.load_state_dict(vae_weights.fold(state, config), strict=True, assign=True)
    return module.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def vae(original):
    return built(original.state_dict(), CONFIG)


def pictures(count=2):
    return torch.rand(count, 3, 16, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_published_names_and_shapes_are_known_exactly(original):
    wanted = {name: one.shape for name, one in original.state_dict().items()}
    assert vae_weights.upstream_shapes(CONFIG) == wanted


def test_latents_are_the_likeliest_ones_scaled(vae, original):
    found = vae.encode(pictures())
    assert found.shape == (2, 4, 8, 4)
    likeliest = original.encode(pictures()).latent_dist.mode()
    torch.testing.assert_close(found, 0.5 * likeliest, rtol=1e-5, atol=1e-5)


def test_pictures_come_back_from_scaled_latents_one_by_one(vae, original):
    latents = vae.encode(pictures())
    found = vae.decode(latents)
    torch.testing.assert_close(found, original.decode(latents / 0.5).sample, rtol=1e-5, atol=1e-5)
    assert torch.equal(found[1:], vae.decode_one(latents[1]))


def test_files_with_former_names_of_the_attention_are_read(vae, original):
    state = {_former(name): tensor for name, tensor in original.state_dict().items()}
    shapes = {name: tensor.shape for name, tensor in state.items()}
    config = PictureVaeConfig.from_shapes(shapes, PARAMS)
    assert vae_weights.upstream_shapes(config) == shapes
    assert torch.equal(built(state, config).encode(pictures()), vae.encode(pictures()))


def _former(name):
    for now, before in FORMER.items():
        name = name.replace(f"attentions.0.{now}.", f"attentions.0.{before}.")
    return name


@pytest.mark.parametrize(
    "missing", ["quant_conv.bias", "decoder.mid_block.attentions.0.to_q.weight"]
)
def test_a_missing_weight_is_named(original, missing):
    state = original.state_dict()
    del state[missing]
    with pytest.raises(KeyError, match=missing):
        vae_weights.fold(state, CONFIG)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"down_block_types": ["AttnDownEncoderBlock2D"] * 2}, "down_block_types"),
        ({"act_fn": "gelu"}, "act_fn"),
        ({"shift_factor": 0.1}, "shift_factor"),
        ({"norm_num_groups": 3}, "3 groups"),
        ({"latent_channels": 0}, "below 1"),
        ({"out_channels": 4}, "differ"),
    ],
)
def test_networks_that_are_not_built_here_are_refused(change, named):
    with pytest.raises(ValueError, match=named):
        PictureVaeConfig.from_upstream({**PARAMS, **change})
