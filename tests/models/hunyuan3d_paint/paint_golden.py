"""The PBR network that the original was once recorded with, and networks with random weights.

Its reference network is not kept here, but what the original saw with it is. The map of positions
is kept in half precision, which is all that is made of it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from backend.models.hunyuan3d_paint import paint_weights
from backend.models.hunyuan3d_paint.paint_config import PaintConfig
from backend.models.hunyuan3d_paint.paint_unet import PaintUnet
from backend.models.hunyuan3d_paint.view_inputs import GuidanceRow, ViewInputs
from backend.models.hunyuan3d_paint.voxel_indices import level_voxels

TEXTURE = Path(__file__).parents[2] / "golden" / "texture"
RECORDED = {
    GuidanceRow.BLANK: "out.uncond",
    GuidanceRow.REFERENCE: "out.ref",
    GuidanceRow.FULL: "out.full",
}
LEVELS = 3  # of the recorded network


@cache
def tensors(name: str = "unet21_tiny") -> dict[str, Tensor]:
    return load_file(TEXTURE / f"{name}.safetensors")


@cache
def metadata() -> dict[str, str]:
    with safe_open(TEXTURE / "unet21_tiny.safetensors", "pt") as file:
        return dict(file.metadata())


def params() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(metadata()["config"])
    return found


def published() -> dict[str, Tensor]:
    """By name in the file."""
    return {
        name.removeprefix("w."): tensor
        for name, tensor in tensors().items()
        if name.startswith("w.")
    }


def config() -> PaintConfig:
    return PaintConfig.from_shapes({name: one.shape for name, one in published().items()}, params())


def network(dtype: torch.dtype = torch.float32) -> PaintUnet:
    state = {name: tensor.to(dtype) for name, tensor in published().items()}
    with torch.device("meta"):
        module = PaintUnet(config())
    module.load_state_dict(paint_weights.fold(state, config()), strict=True, assign=True)
    return module.eval().requires_grad_(False)


def views(dtype: torch.dtype = torch.float32) -> ViewInputs:
    given = tensors()
    side = given["in.lat"].shape[-1]
    return ViewInputs(
        normals=given["in.normal"][0].to(dtype),
        positions=given["in.position"][0].to(dtype),
        reference={
            name.removeprefix("ref."): tensor[None].to(dtype)
            for name, tensor in given.items()
            if name.startswith("ref.")
        },
        dino=given["in.dino"].to(dtype),
        voxels=level_voxels(given["in.posmap"][0], side, LEVELS),
    )


def latents(dtype: torch.dtype = torch.float32) -> Tensor:
    return tensors()["in.lat"].flatten(0, 2).to(dtype)


def time() -> Tensor:
    return torch.tensor([float(metadata()["t"])])


def drawn(shapes: dict[str, torch.Size], seed: int = 1) -> dict[str, Tensor]:
    """Random weights under which signals neither die nor explode."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        tensor = torch.randn(shape, generator=generator)
        if "norm" in name and name.endswith("weight"):
            state[name] = 1 + 0.1 * tensor
        else:
            state[name] = tensor / max(shape[1:].numel(), 1) ** 0.5 if len(shape) > 1 else tensor
    return state
