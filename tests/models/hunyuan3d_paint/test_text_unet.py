from __future__ import annotations

import pytest
import torch

from backend.models.hunyuan3d_paint import text_unet_weights
from backend.models.hunyuan3d_paint.text_unet import TextUnet
from backend.models.hunyuan3d_paint.unet_config import UnetConfig
from tests.models.hunyuan3d_paint.stable_diffusion import PARAMS, stable_diffusion, told

CHANNELS = 8
CONFIG = UnetConfig.from_upstream(PARAMS | {"in_channels": CHANNELS})


@pytest.fixture(scope="module")
def network():
    with torch.device("meta"):
        module = TextUnet(CONFIG)
    state = text_unet_weights.fold(stable_diffusion(CHANNELS).state_dict(), CONFIG)
    module.load_state_dict(state, strict=True, assign=True)
    return module.requires_grad_(False)


def test_published_names_and_shapes_are_known_exactly():
    state = stable_diffusion(CHANNELS).state_dict()
    assert text_unet_weights.upstream_shapes(CONFIG) == {n: one.shape for n, one in state.items()}


@pytest.mark.parametrize("time", [0.0, 1.0, 981.0])
def test_it_predicts_what_diffusers_does(network, time):
    latents = torch.randn(2, CHANNELS, 8, 12, generator=torch.Generator().manual_seed(3))
    found = network(latents, torch.tensor([time]), network.prepare(told()))
    wanted = stable_diffusion(CHANNELS)(latents, time, told().expand(2, -1, -1)).sample
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_faint_feature_maps_are_normed_as_by_diffusers(network):
    """Only there does it show what a norm adds to the variance."""
    image = 1e-3 * torch.randn(1, 16, 4, 4, generator=torch.Generator().manual_seed(3))
    found = network.down[0].transformers[0](image, network.prepare(told())[0])
    original = stable_diffusion(CHANNELS).down_blocks[0].attentions[0]
    wanted = original(image, told(), return_dict=False)[0]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
