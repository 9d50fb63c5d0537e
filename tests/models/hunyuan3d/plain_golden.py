"""The golden tensors of the denoiser of 2.1 and the network that they belong to."""

from __future__ import annotations

import json

import torch

from backend.models.hunyuan3d.plain_config import PlainConfig
from backend.models.hunyuan3d.plain_denoiser import PlainDenoiser
from backend.models.hunyuan3d.plain_weights import fold
from tests.models import golden_files

RELEASED, BIASED = "dit21", "dit21_bias_ln"
NAMES = (RELEASED, BIASED)


golden, params = golden_files.tensors, golden_files.config


def facts(name):
    return json.loads((golden_files.SHAPE / "configs.json").read_text())[name]


def config(name):
    return PlainConfig.from_upstream(params(name))


def published(name):
    return golden_files.tensors_under(name, "w.")


def built(state, config):
    """Build as an engine does: on the meta device, then with weights put in."""
    with torch.device("meta"):
        denoiser = PlainDenoiser(config)
    denoiser.load_state_dict(state, strict=True, assign=True)
    return denoiser.eval().requires_grad_(False)


def denoiser(name, dtype=torch.float32):
    state = fold(published(name), config(name))
    return built({key: value.to(dtype) for key, value in state.items()}, config(name))
