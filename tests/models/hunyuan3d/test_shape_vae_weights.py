from __future__ import annotations

import pytest
import torch

from backend.models.hunyuan3d.shape_vae import ShapeVae
from backend.models.hunyuan3d.shape_vae_config import HUNYUAN3D_20_VAE
from backend.models.hunyuan3d.shape_vae_weights import LEFT_OUT_PREFIXES, fold, upstream_shapes
from tests.models.hunyuan3d.vae_golden import NAMES, RELEASED, config, published


@pytest.mark.parametrize("name", NAMES)
def test_names_and_shapes_are_those_of_the_file_without_the_encoder(name):
    known = {key: each.shape for key, each in published(name).items()}
    wanted = upstream_shapes(config(name))
    assert wanted.items() <= known.items()
    assert all(key.startswith(LEFT_OUT_PREFIXES) for key in known.keys() - wanted.keys())


@pytest.mark.parametrize("name", NAMES)
def test_only_fused_tensors_are_copied(name):
    state = published(name)
    own = {each.data_ptr() for each in state.values()}
    copied = {key for key, each in fold(state, config(name)).items() if each.data_ptr() not in own}
    assert copied == {
        "transformer.blocks.0.qkv.weight",
        "transformer.blocks.1.qkv.weight",
        "geo_decoder.kv.weight",
    }


def test_a_missing_tensor_is_named_as_published():
    state = dict(published(RELEASED))
    del state["transformer.resblocks.1.attn.c_qkv.weight"]
    with pytest.raises(KeyError, match=r"transformer\.resblocks\.1\.attn\.c_qkv\.weight"):
        fold(state, config(RELEASED))


def test_what_is_not_known_is_left_out():
    state = published(RELEASED) | {"transformer.resblocks.0.attn.surprise": torch.zeros(1)}
    assert (
        fold(state, config(RELEASED)).keys() == fold(published(RELEASED), config(RELEASED)).keys()
    )


def test_full_size_weights_fit_without_memory():
    shapes = upstream_shapes(HUNYUAN3D_20_VAE)
    state = {key: torch.zeros(shape, device="meta") for key, shape in shapes.items()}
    with torch.device("meta"):
        vae = ShapeVae(HUNYUAN3D_20_VAE)
    vae.load_state_dict(fold(state, HUNYUAN3D_20_VAE), strict=True, assign=True)
    assert shapes["geo_decoder.cross_attn_decoder.attn.c_kv.weight"] == (2048, 1024)
