"""Tiny P3-SAM and X-Part with random weights in the published layout; torch is imported late."""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

REPOSITORY = "Hunyuan3D-Part"
SONATA = {
    "in_channels": 9,
    "enc_depths": [1, 1, 1, 1, 1],
    "enc_channels": [8, 8, 16, 16, 16],
    "enc_num_head": [1, 1, 2, 2, 2],
    "enc_patch_size": [64, 64, 64, 64, 64],
    "mlp_ratio": 2,
}
VAE = {
    "num_latents": 12, "embed_dim": 8, "num_freqs": 8, "include_pi": False, "heads": 4,
    "width": 32, "num_encoder_layers": 1, "num_decoder_layers": 1, "qkv_bias": False,
    "qk_norm": True, "scale_factor": 1.0039506158752403, "point_feats": 4, "pc_size": 320,
    "pc_sharpedge_size": 0, "downsample_ratio": 20, "geo_decoder_mlp_expand_ratio": 4,
    "geo_decoder_downsample_ratio": 1, "geo_decoder_ln_post": True,
}  # fmt: skip
P3SAM = {
    "target": "model.P3SAM",
    "params": {"sonata": SONATA, "feat_dim": 16, "hidden": 16, "hidden2": 8},
}
XPART = {
    "conditioner": {
        "target": "partgen.models.conditioner.Conditioner",
        "params": {
            "sonata_config": SONATA, "vae_config": {**VAE, "num_latents": 16}, "feat_dim": 16,
            "obj_dim": 24, "geo_dim": 20,
        },
    },
    "model": {
        "target": "partgen.models.partformer_dit.PartFormer",
        "params": {
            "input_size": 12, "in_channels": 8, "hidden_size": 32, "encoder_hidden_dim": 24,
            "encoder_hidden2_dim": 20, "depth": 3, "num_heads": 4, "qk_norm": True,
            "qk_norm_type": "rms", "qkv_bias": False, "use_part_embed": True, "valid_num": 6,
            "num_moe_layers": 1, "num_experts": 4, "moe_top_k": 2,
        },
    },
    "shapevae": {"target": "partgen.models.autoencoders.VAE", "params": VAE},
    "scheduler": {"target": "partgen.schedulers.Scheduler", "params": {"shift": 1.0}},
}  # fmt: skip
# As published: tensors that no inference needs.
DEAD = {
    "p3sam": {"sonata.embedding.mask_token": (1, 8)},
    "conditioner": {
        "seg_feat_encoder.sonata.embedding.mask_token": (1, 8),
        "obj_encoder.pre_kl.weight": (16, 32),
        "obj_encoder.transformer.resblocks.0.ln_1.weight": (32,),
        "geo_encoder.local_encoder.post_kl.weight": (32, 8),
        "geo_encoder.local_encoder.geo_decoder.output_proj.weight": (1, 32),
    },
    "shapevae": {"encoder.input_proj.weight": (32, 55), "pre_kl.weight": (16, 32)},
}
_NETWORKS = {
    "p3sam": ("p3sam.config:P3SamConfig", "p3sam.p3sam_weights"),
    "conditioner": ("xpart.part_conditioner:PartConditionerConfig",
                    "xpart.part_conditioner_weights"),
    "model": ("xpart.denoiser_config:PartDenoiserConfig", "xpart.denoiser_weights"),
    "shapevae": ("hunyuan3d.shape_vae_config:ShapeVaeConfig", "hunyuan3d.shape_vae_weights"),
}  # fmt: skip
FLOAT32_PREFIX = "seg_feat_encoder."
SEED = 8


def write_tiny_p3sam(
    root: Path,
    *,
    change_config: Callable[[dict[str, Any]], object] | None = None,
    change_state: Callable[[dict[str, Tensor]], object] | None = None,
) -> Path:
    """Write P3-SAM under its published name, and return the folder that holds its weights.

    Parameters
    ----------
    root : Path
        What ``MESHKILN_MODEL_PATH`` is to be.
    change_config, change_state : callable, optional
        Change what is written, in place.
    """
    config = copy.deepcopy(P3SAM)
    state = random_state("p3sam", config["params"])
    if change_config is not None:
        change_config(config)
    if change_state is not None:
        change_state(state)
    folder = root / REPOSITORY / "p3sam"
    _write(folder, "p3sam", config, state)
    return folder


def write_tiny_xpart(
    root: Path,
    *,
    change_config: Callable[[dict[str, Any]], object] | None = None,
    change_state: Callable[[dict[str, dict[str, Tensor]]], object] | None = None,
) -> Path:
    """Write X-Part under its published name, and return the folder of its folders.

    Parameters
    ----------
    root : Path
        What ``MESHKILN_MODEL_PATH`` is to be.
    change_config, change_state : callable, optional
        Change what is written, in place; by folder: conditioner, model, shapevae, scheduler.
    """
    config: dict[str, Any] = copy.deepcopy(XPART)
    states = {
        name: random_state(name, each["params"])
        for name, each in config.items()
        if name in _NETWORKS
    }
    if change_config is not None:
        change_config(config)
    if change_state is not None:
        change_state(states)
    folder = root / REPOSITORY
    for name, description in config.items():
        _write(folder / name, name, description, states.get(name))
    return folder


def random_state(network: str, params: Mapping[str, Any]) -> dict[str, Tensor]:
    """Draw the weights of a network by their published names, in the published types."""
    return {name: each.clone() for name, each in _state(network, json.dumps(params)).items()}


@cache
def _state(network: str, params_json: str) -> dict[str, Tensor]:
    import torch

    params = json.loads(params_json)
    path, weights = _NETWORKS[network]
    module, _, config = path.partition(":")
    read = getattr(importlib.import_module(f"backend.models.{module}"), config).from_upstream
    shapes = importlib.import_module(f"backend.models.{weights}").upstream_shapes(read(params))
    generator = torch.Generator().manual_seed(SEED)
    state = {
        name: _drawn(name, tuple(shape), generator)
        for name, shape in {**shapes, **DEAD.get(network, {})}.items()
    }
    if network == "p3sam":
        return state
    return {
        name: each if name.startswith(FLOAT32_PREFIX) else each.half()
        for name, each in state.items()
    }


def _drawn(name: str, shape: tuple[int, ...], generator: Any) -> Tensor:
    import torch

    numbers = torch.randn(shape, generator=generator)
    if len(shape) > 1:
        return numbers / numbers[0].numel() ** 0.5
    return 0.1 * numbers + (1.0 if name.endswith("weight") else 0.0)


def _write(
    folder: Path, name: str, description: Mapping[str, Any], state: Mapping[str, Tensor] | None
) -> None:
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(description))
    if state is not None:
        save_file(dict(state), folder / f"{name}.safetensors")
