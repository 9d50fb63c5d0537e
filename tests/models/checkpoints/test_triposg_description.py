"""TripoSG's layout: a folder for each network, and an image encoder under its library's names."""

from __future__ import annotations

import json

import torch
from safetensors.torch import save_file

from backend.models.checkpoints.checkpoint import Component
from backend.models.checkpoints.components import load_component
from backend.models.checkpoints.triposg_description import IMAGE_ENCODER_PREFIX, triposg_checkpoint
from tests.models.golden_files import config, tensors, tensors_under

GOLDEN = "cond_dino_swiglu"


def test_its_image_encoder_is_read_without_a_prefix(tmp_path):
    params = config(GOLDEN)["main_image_encoder"]["kwargs"]["config"]
    weights = "diffusion_pytorch_model.safetensors"
    for folder, description, file, state in (
        ("transformer", {}, weights, {"proj_in.bias": torch.zeros(1)}),
        ("vae", {}, weights, {"out.bias": torch.zeros(1)}),
        ("image_encoder_dinov2", params, "model.safetensors", None),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(json.dumps(description))
        save_file(
            state or tensors_under(GOLDEN, f"w.{IMAGE_ENCODER_PREFIX}"), tmp_path / folder / file
        )
    checkpoint = triposg_checkpoint(tmp_path)
    encoder = load_component(checkpoint, Component.CONDITIONER)
    expected = tensors(GOLDEN)
    torch.testing.assert_close(
        encoder(expected["in.image56"]), expected["out56"], rtol=0, atol=5e-5
    )
    assert not checkpoint.takes_views
