from __future__ import annotations

import pytest
import torch

from backend.models.dinov2 import DINOV2_GIANT, DINOV2_LARGE, Dinov2, Dinov2Config
from backend.models.dinov2_weights import fold, upstream_shapes
from tests.models.golden_files import config, tensors, tensors_under

PREFIX = "w.main_image_encoder.model."
KINDS = ["cond_dino_gelu", "cond_dino_swiglu"]
UNUSED = "embeddings.mask_token"


def _config(name: str) -> Dinov2Config:
    return Dinov2Config.from_upstream(config(name)["main_image_encoder"]["kwargs"]["config"])


def _encoder(name: str) -> Dinov2:
    sizes = _config(name)
    with torch.device("meta"):
        encoder = Dinov2(sizes)
    encoder.load_state_dict(fold(tensors_under(name, PREFIX), sizes), strict=True, assign=True)
    return encoder.eval()


@torch.no_grad()
@pytest.mark.parametrize("name", KINDS)
def test_tokens_are_those_of_the_original(name):
    golden = tensors(name)
    tokens = _encoder(name)(golden["mid.pixels"])
    torch.testing.assert_close(tokens, golden["out64"], rtol=0, atol=5e-5)


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "largest"), [(torch.float16, 0.01), (torch.bfloat16, 0.06)])
def test_half_precision_is_kept_throughout_and_close(dtype, largest):
    golden = tensors("cond_dino_swiglu")
    encoder = _encoder("cond_dino_swiglu").to(dtype)
    tokens = encoder(golden["mid.pixels"].to(dtype))
    assert tokens.dtype == encoder.dtype == dtype
    assert (tokens.float() - golden["out64"]).abs().max() < largest


@pytest.mark.parametrize(
    ("sizes", "published"), [(DINOV2_LARGE, 304_368_640), (DINOV2_GIANT, 1_136_480_768)]
)
def test_full_size_has_the_published_number_of_parameters(sizes, published):
    """Theirs counts the mask token, which ours does not have."""
    with torch.device("meta"):
        encoder = Dinov2(sizes)
    assert sum(one.numel() for one in encoder.parameters()) == published - sizes.width
    assert sum(shape.numel() for shape in upstream_shapes(sizes).values()) == published


@pytest.mark.parametrize("name", KINDS)
def test_published_shapes_are_known_exactly(name):
    found = {key: tensor.shape for key, tensor in tensors_under(name, PREFIX).items()}
    assert upstream_shapes(_config(name)) == found


def test_every_published_tensor_but_the_mask_token_is_needed():
    state = tensors_under("cond_dino_gelu", PREFIX)
    sizes = _config("cond_dino_gelu")
    for name in state.keys() - {UNUSED}:
        lacking = {key: tensor for key, tensor in state.items() if key != name}
        with pytest.raises(KeyError) as caught:
            fold(lacking, sizes)
        assert caught.value.args == (name,)


def test_what_is_not_known_is_left_out_and_what_is_not_fused_is_not_copied():
    state = tensors_under("cond_dino_gelu", PREFIX)
    folded = fold({**state, "embeddings.register_tokens": torch.ones(1)}, _config("cond_dino_gelu"))
    assert folded.keys() == _encoder("cond_dino_gelu").state_dict().keys()
    assert folded["positions"] is state["embeddings.position_embeddings"]


@torch.no_grad()
def test_attention_is_asked_of_the_given_function():
    shapes = []

    def attend(q, k, v, scale=None):
        shapes.append(tuple(q.shape))
        return v

    sizes = _config("cond_dino_gelu")
    Dinov2(sizes, attend)(torch.zeros(3, 3, 56, 56))
    assert shapes == [(3, 4, 17, 8)] * 2


def test_pictures_of_another_size_are_refused():
    with pytest.raises(ValueError, match="56 x 56"):
        _encoder("cond_dino_gelu")(torch.zeros(1, 3, 70, 70))


@pytest.mark.parametrize("change", [{"hidden_act": "relu"}, {"qkv_bias": False}])
def test_other_kinds_of_networks_are_refused(change):
    params = config("cond_dino_gelu")["main_image_encoder"]["kwargs"]["config"]
    with pytest.raises(ValueError, match=next(iter(change))):
        Dinov2Config.from_upstream({**params, **change})


def test_a_missing_size_is_named():
    with pytest.raises(KeyError, match="num_hidden_layers"):
        Dinov2Config.from_upstream({"hidden_size": 32})
