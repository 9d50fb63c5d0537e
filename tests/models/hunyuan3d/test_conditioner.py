from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from backend.models.hunyuan3d.conditioner import (
    PREFIX,
    Conditioner,
    ConditionerConfig,
    encoder_pixels,
    fold,
    upstream_shapes,
    view_embedding,
)
from backend.models.hunyuan3d.picture import View, prepared_picture
from tests.models.golden_files import config, pipeline_config, tensors, tensors_under

KINDS = ["cond_dino_gelu", "cond_dino_swiglu"]
PIPELINES = ["pipeline20", "pipeline20_turbo", "pipeline21"]


def _built(params, state):
    sizes = ConditionerConfig.from_upstream(params)
    with torch.device("meta"):
        conditioner = Conditioner(sizes)
    conditioner.load_state_dict(fold(state, sizes), strict=True, assign=True)
    return conditioner.eval()


def _tiny(name: str = KINDS[0]) -> Conditioner:
    return _built(config(name), tensors_under(name, "w."))


@torch.no_grad()
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("side", [56, 64])
def test_context_is_that_of_the_original(name, side):
    golden = tensors(name)
    context = _tiny(name)(golden[f"in.image{side}"])
    torch.testing.assert_close(context, golden[f"out{side}"], rtol=0, atol=5e-5)
    assert golden["out.uncond"].shape == context.shape
    assert not golden["out.uncond"].any()  # which is why the sampler asks for a blank context


@pytest.mark.parametrize("name", KINDS)
def test_pixels_are_scaled_and_normalised_as_in_the_original(name):
    golden = tensors(name)
    pixels = encoder_pixels(golden["in.image64"], 56)
    torch.testing.assert_close(pixels, golden["mid.pixels"], rtol=0, atol=5e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", PIPELINES)
def test_a_picture_file_becomes_the_context_of_the_original(name):
    golden, params = tensors(name), pipeline_config(name)
    size_px = params["image_processor"]["params"]["size"]
    picture = prepared_picture(golden["in.rgba"].numpy(), size_px=size_px)
    np.testing.assert_array_equal(picture.pixels, golden["mid.image"][0].numpy())
    conditioner = _built(params["conditioner"]["params"], tensors_under(name, "conditioner."))
    context = conditioner(torch.from_numpy(picture.pixels)[None])
    torch.testing.assert_close(context, golden["mid.cond"][:1], rtol=0, atol=5e-5)
    assert context.shape[1] == conditioner.config.tokens


@torch.no_grad()
def test_half_precision_weights_give_half_precision_context():
    golden = tensors(KINDS[0])
    context = _tiny().half()(golden["in.image64"])
    assert context.dtype == torch.float16
    assert (context.float() - golden["out64"]).abs().max() < 0.01


@torch.no_grad()
def test_views_are_told_apart_by_what_is_added_to_all_their_tokens():
    conditioner = _tiny()
    pictures = torch.rand(2, 2, 3, 56, 56, generator=torch.Generator().manual_seed(1)) * 2 - 1
    back, right = View.BACK.place, View.RIGHT.place
    context = conditioner(pictures, (back, right))
    alone = torch.stack([conditioner(pictures[:, view]) for view in range(2)], dim=1)
    added = (context.unflatten(1, (2, -1)) - alone).flatten(0, 2)
    expected = torch.stack([_sines_and_cosines(place, 32) for place in (back, right)])
    expected = expected[None, :, None].expand(2, 2, 17, 32).flatten(0, 2)
    torch.testing.assert_close(added, expected, rtol=0, atol=5e-6)


def _sines_and_cosines(place: int, width: int) -> torch.Tensor:
    half = width // 2
    angles = [place * 10000 ** (-j / half) for j in range(half)]
    return torch.tensor([math.sin(a) for a in angles] + [math.cos(a) for a in angles])


def test_the_embedding_of_the_first_view_is_not_zero():
    front = view_embedding([View.FRONT.place], 8, torch.device("cpu"))
    assert front.tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]


def test_a_view_without_a_picture_is_refused():
    with pytest.raises(ValueError, match="3 views"):
        _tiny()(torch.zeros(1, 2, 3, 56, 56), (0, 1, 2))


def test_a_picture_that_is_not_square_is_refused():
    with pytest.raises(ValueError, match="not square"):
        _tiny()(torch.zeros(1, 3, 56, 64))


@torch.no_grad()
def test_the_class_token_can_be_left_out():
    params = config(KINDS[0])
    encoder = params["main_image_encoder"]
    params["main_image_encoder"] = {
        **encoder,
        "kwargs": {**encoder["kwargs"], "use_cls_token": False},
    }
    conditioner = _built(params, tensors_under(KINDS[0], "w."))
    golden = tensors(KINDS[0])
    context = conditioner(golden["in.image56"])
    assert context.shape[1] == conditioner.config.tokens == 16
    torch.testing.assert_close(context, golden["out56"][:, 1:], rtol=0, atol=5e-5)


def test_published_shapes_and_a_missing_tensor_carry_the_published_names():
    state = tensors_under(KINDS[1], "w.")
    sizes = ConditionerConfig.from_upstream(config(KINDS[1]))
    assert upstream_shapes(sizes) == {key: tensor.shape for key, tensor in state.items()}
    name = f"{PREFIX}encoder.layer.1.mlp.weights_in.bias"
    with pytest.raises(KeyError) as caught:
        fold({key: tensor for key, tensor in state.items() if key != name}, sizes)
    assert caught.value.args == (name,)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [({"type": "CLIPImageEncoder"}, "CLIPImageEncoder"), ({"image_size": 70}, "70 px")],
)
def test_encoders_that_are_not_built_here_are_refused(change, complaint):
    encoder = config(KINDS[0])["main_image_encoder"]
    changed = {"type": change.get("type", encoder["type"]), "kwargs": {**encoder["kwargs"]}}
    changed["kwargs"]["image_size"] = change.get("image_size", 56)
    with pytest.raises(ValueError, match=complaint):
        ConditionerConfig.from_upstream({"main_image_encoder": changed})
