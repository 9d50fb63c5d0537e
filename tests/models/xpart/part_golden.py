"""The golden tensors of the denoiser of X-Part and the network that they belong to."""

from __future__ import annotations

import json
from functools import cache

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from backend.models.xpart.denoiser import PartDenoiser
from backend.models.xpart.denoiser_config import PartDenoiserConfig
from backend.models.xpart.denoiser_weights import fold
from backend.models.xpart.part_block import Contexts
from tests.models import golden_files

FILE = golden_files.SHAPE.parent / "part" / "xpart_dit_tiny.safetensors"


@cache
def golden():
    return load_file(FILE)


@cache
def params():
    with safe_open(FILE, "pt") as file:
        return json.loads(file.metadata()["config"])


def config():
    return PartDenoiserConfig.from_upstream(params())


def published():
    return {
        key.removeprefix("weights."): tensor
        for key, tensor in golden().items()
        if key.startswith("weights.")
    }


def denoiser(dtype=torch.float32, **attend):
    """Build as an engine does: on the meta device, then with weights put in."""
    state = fold({name: tensor.to(dtype) for name, tensor in published().items()}, config())
    with torch.device("meta"):
        network = PartDenoiser(config(), **attend)
    network.load_state_dict(state, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def contexts():
    """Return the recorded contexts, in which each part has an object of its own."""
    return Contexts(golden()["in.obj_cond"], golden()["in.geo_cond"])
