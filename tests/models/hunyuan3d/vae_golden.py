"""The shape decoders that were recorded, with their weights."""

from __future__ import annotations

from functools import cache

import torch

from backend.models.attention import plain_attention
from backend.models.hunyuan3d.shape_vae import ShapeVae
from backend.models.hunyuan3d.shape_vae_config import ShapeVaeConfig
from backend.models.hunyuan3d.shape_vae_weights import fold
from tests.models import golden_files

RELEASED, TURBO_LIKE = "vae20", "vae20_turbo_like"
NAMES = (RELEASED, TURBO_LIKE)


def config(name):
    return ShapeVaeConfig.from_upstream(golden_files.config(name))


def published(name):
    return golden_files.tensors_under(name, "w.")


def golden(name, part):
    return golden_files.tensors(name)[part]


def built(state, config, dtype=torch.float32, attend=plain_attention):
    """Build as an engine does: on the meta device, then with weights put in."""
    with torch.device("meta"):
        vae = ShapeVae(config, attend)
    folded = {name: each.to(dtype) for name, each in fold(state, config).items()}
    vae.load_state_dict(folded, strict=True, assign=True)
    return vae.eval().requires_grad_(False)


@cache
def vae(name, dtype=torch.float32):
    return built(published(name), config(name), dtype)


def geo_keys(name):
    return vae(name).geo_decoder.keys(golden(name, "mid.latents"))
