"""The golden tensors of the encoder and the conditioner of X-Part, and their networks."""

from __future__ import annotations

import json
from functools import cache, partial

import torch

from backend.models.hunyuan3d.shape_vae import ShapeVae
from backend.models.hunyuan3d.shape_vae_config import ShapeVaeConfig
from backend.models.hunyuan3d.shape_vae_weights import fold as fold_vae
from backend.models.xpart import part_conditioner_weights, point_set_weights
from backend.models.xpart.part_conditioner import PartConditioner, PartConditionerConfig
from backend.models.xpart.point_set_config import PointSetConfig
from backend.models.xpart.point_set_encoder import PointSetEncoder
from tests.models import golden_files

VAE, CONDITIONER = "xpart_vae_tiny", "xpart_conditioner_tiny"
of_vae = partial(golden_files.part_tensors, VAE)
of_conditioner = partial(golden_files.part_tensors, CONDITIONER)

FULL_ENCODER = PointSetConfig.from_upstream(
    {"num_latents": 4096, "width": 1024, "heads": 16, "num_encoder_layers": 8}
)


def vae_params():
    return json.loads(golden_files.part_metadata(VAE)["config"])


def encoder_config():
    return PointSetConfig.from_upstream(vae_params())


def conditioner_params():
    found = {
        name: json.loads(value) for name, value in golden_files.part_metadata(CONDITIONER).items()
    }
    sizes = {"feat_dim": 12, "feat_hidden": 24, "obj_dim": 24, "geo_dim": 20}
    return {**found, **sizes}


def conditioner_config():
    return PartConditionerConfig.from_upstream(conditioner_params())


def built(network, config, fold, published, dtype=torch.float32, **attend):
    """Build as an engine does: on the meta device, then with weights put in."""
    with torch.device("meta"):
        made = network(config, **attend)
    folded = fold({name: each.to(dtype) for name, each in published.items()}, config)
    made.load_state_dict(folded, strict=True, assign=True)
    return made.eval().requires_grad_(False)


def encoder(dtype=torch.float32, **attend):
    published = golden_files.part_weights(VAE)
    config = encoder_config()
    return built(PointSetEncoder, config, point_set_weights.fold, published, dtype, **attend)


@cache
def vae():
    config = ShapeVaeConfig.from_upstream(vae_params())
    return built(ShapeVae, config, fold_vae, golden_files.part_weights(VAE))


@cache
def conditioner():
    published = golden_files.part_weights(CONDITIONER)
    fold = part_conditioner_weights.fold
    return built(PartConditioner, conditioner_config(), fold, published)
