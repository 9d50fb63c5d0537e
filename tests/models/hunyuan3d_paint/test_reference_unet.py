from __future__ import annotations

import pytest
import torch

from backend.models.hunyuan3d_paint import reference_weights
from backend.models.hunyuan3d_paint.paint_config import KIND_ENTRY, PaintConfig, PaintKind
from backend.models.hunyuan3d_paint.reference_unet import ReferenceUnet
from tests.models.hunyuan3d_paint.stable_diffusion import PARAMS, stable_diffusion, told

NAMES = [
    *(f"down_{level}_{layer}_0" for level in range(2) for layer in range(2)),
    "mid_0_0",
    *(f"up_{level}_{layer}_0" for level in (1, 2) for layer in range(3)),
]
LAST = "unet_dual.up_blocks.2.attentions.2."


def published():
    """A file in which the weights of diffusers' network are those of the reference."""
    state = {"unet.learned_text_clip_ref": told()}
    for name, tensor in stable_diffusion().state_dict().items():
        inside = name.replace("transformer_blocks.0.", "transformer_blocks.0.transformer.")
        state[f"unet_dual.{inside}"] = tensor
    return state


def config():
    shapes = {name: one.shape for name, one in published().items()}
    return PaintConfig.from_shapes(
        {**shapes, "unet.class_embedding.weight": (49, 64)}, {**PARAMS, KIND_ENTRY: "colour"}
    )


def built(state):
    with torch.device("meta"):
        module = ReferenceUnet(config())
    module.load_state_dict(reference_weights.fold(state, config()), strict=True, assign=True)
    return module.requires_grad_(False)


@pytest.fixture(scope="module")
def network():
    return built(published())


def pictures(count):
    return torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(3))


def test_published_names_and_shapes_are_known_exactly():
    assert config().kind is PaintKind.COLOUR
    wanted = {name: one.shape for name, one in published().items()}
    assert reference_weights.upstream_shapes(config()) == wanted


def test_features_are_what_goes_into_the_blocks_of_stable_diffusion(network):
    diffusers, seen = stable_diffusion(), {}
    hooks = [
        module.register_forward_hook(lambda _, __, out, name=name: seen.__setitem__(name, out))
        for name, module in diffusers.named_modules()
        if name.endswith("transformer_blocks.0.norm1")
    ]
    diffusers(pictures(2), 0, told().expand(2, -1, -1))
    for hook in hooks:
        hook.remove()
    found = network(pictures(2))
    assert sorted(found) == sorted(NAMES)
    for name, tokens in found.items():
        wanted = seen[_published(name)].flatten(0, 1)[None]
        torch.testing.assert_close(tokens, wanted, rtol=1e-5, atol=2e-5)


def _published(name):
    way, level, layer, *_ = name.split("_")
    blocks = "mid_block" if way == "mid" else f"{way}_blocks.{level}"
    return f"{blocks}.attentions.{layer}.transformer_blocks.0.norm1"


def test_every_picture_is_looked_at_alone(network):
    both, second = network(pictures(2)), network(pictures(2)[1:])
    for name, tokens in second.items():
        torch.testing.assert_close(both[name].chunk(2, 1)[1], tokens, rtol=0, atol=1e-5)


def test_what_has_no_effect_is_not_read(network):
    state = published()
    dead = [
        name
        for name in state
        if name.startswith(("unet_dual.conv_norm_out.", "unet_dual.conv_out.", LAST))
        and not any(part in name for part in ("norm1", f"{LAST}norm.", "proj_in"))
    ]
    assert len(dead) == 4 + 2 + 2 * 5 + 4 + 4  # ends, out, two attentions, perceptron, norms
    for name in dead:
        del state[name]
    found = built(state)(pictures(1))
    for name, tokens in network(pictures(1)).items():
        assert torch.equal(found[name], tokens)


@pytest.mark.parametrize(
    "missing", ["unet.learned_text_clip_ref", f"{LAST}proj_in.weight", "unet_dual.conv_in.bias"]
)
def test_a_missing_weight_is_named(missing):
    state = published()
    del state[missing]
    with pytest.raises(KeyError, match=missing):
        reference_weights.fold(state, config())
