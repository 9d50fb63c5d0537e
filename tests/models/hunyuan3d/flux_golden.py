"""The denoiser of 2.0 with the weights that it was recorded with."""

from __future__ import annotations

import torch

from backend.models.hunyuan3d.flux_config import FluxConfig
from backend.models.hunyuan3d.flux_denoiser import FluxDenoiser
from backend.models.hunyuan3d.flux_weights import fold
from tests.models import golden_files

PLAIN, GUIDED = "dit20", "dit20_guidance"
NAMES = (PLAIN, GUIDED)


def config(name):
    return FluxConfig.from_upstream(golden_files.config(name))


def published(name):
    return golden_files.tensors_under(name, "w.")


def denoiser(name, dtype=torch.float32):
    """Build as an engine does: on the meta device, then with weights put in."""
    state = {key: value.to(dtype) for key, value in fold(published(name), config(name)).items()}
    with torch.device("meta"):
        built = FluxDenoiser(config(name))
    built.load_state_dict(state, strict=True, assign=True)
    return built.eval().requires_grad_(False)
