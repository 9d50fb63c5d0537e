"""The denoiser of TripoSG as a ``PlainDenoiser``: its size and its published names. Imports torch.

Known from a description of the model, not from its files: the names below, and that attention,
blocks and skip connections are those of Hunyuan3D 2.1. Taken to be so, and checked against no
file: names that are not changed below, and those of the entries of its config.json. That the
perceptron for time has four times the width inside follows from the size of the published file,
which is 5.76 GB in float32.

Time and velocity: the network is told 1000 * sigma, where sigma is 1 for noise and 0 for data, so
it is told 1000 * (1 - time) for a time of ours. ``VELOCITY_SIGN`` is not known; see there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from backend.models.hunyuan3d.plain_config import HeadNorm, PlainConfig
from backend.models.hunyuan3d.plain_weights import fold_origins, origins, published_shapes

TIME_OF_NOISE, TIME_OF_DATA = 1000.0, 0.0
NORM_EPSILON = 1e-5
VELOCITY_SIGN = -1
"""The derivative along the network's own time, sigma, points from data to noise, so it is the
opposite of ours. The description does not say that this derivative is what the network predicts.
With the files at hand one step from noise tells: with the right sign it ends closer to data."""

_RENAMED = {
    "x_embedder": "proj_in",
    "t_embedder.mlp.0": "time_proj.linear_1",
    "t_embedder.mlp.2": "time_proj.linear_2",
    "final_layer.norm_final": "norm_out",
    "final_layer.linear": "proj_out",
}
_RENAMED_IN_BLOCK = {
    "out_proj": "to_out.0",
    "q_norm": "norm_q",
    "k_norm": "norm_k",
    "mlp.fc1": "ff.net.0.proj",
    "mlp.fc2": "ff.net.2",
}


def triposg_config(params: Mapping[str, Any]) -> PlainConfig:
    """Read the parameters of a published model.

    Parameters
    ----------
    params : mapping
        ``config.json`` of its transformer; what is absent is taken as in the released model.

    Raises
    ------
    ValueError
        The sizes do not fit together.
    """
    return PlainConfig(
        latent_channels=int(params.get("in_channels", 64)),
        context_channels=int(params.get("cross_attention_dim", 1024)),
        width=int(params.get("width", 2048)),
        heads=int(params.get("num_attention_heads", 16)),
        depth=int(params.get("num_layers", 21)),
        expert_blocks=0,
        head_norm=HeadNorm.RMS,
        has_qkv_bias=False,
        norm_epsilon=NORM_EPSILON,
        time_of_noise=TIME_OF_NOISE,
        time_of_data=TIME_OF_DATA,
        velocity_sign=VELOCITY_SIGN,
    )


TRIPOSG = triposg_config({})


def published_name(name: str) -> str:
    """Return what TripoSG calls a tensor of Hunyuan3D 2.1.

    >>> published_name("blocks.3.attn1.out_proj.bias")
    'blocks.3.attn1.to_out.0.bias'
    """
    layer, _, kind = name.rpartition(".")
    if layer in _RENAMED:
        return f"{_RENAMED[layer]}.{kind}"
    for theirs, ours in _RENAMED_IN_BLOCK.items():
        if layer.endswith(f".{theirs}"):
            return f"{layer.removesuffix(theirs)}{ours}.{kind}"
    return name


def fold(state: Mapping[str, Tensor], config: PlainConfig) -> dict[str, Tensor]:
    """Turn published weights into those of ``PlainDenoiser``.

    Parameters
    ----------
    state : mapping
        By published name without prefix. Names that are not in ``upstream_shapes`` are left out.

    Raises
    ------
    KeyError
        With the published name of a tensor that is missing.
    """
    return fold_origins(state, origins(config, published_name))


def upstream_shapes(config: PlainConfig) -> dict[str, torch.Size]:
    """Return the shapes that a published checkpoint has, by name without prefix."""
    return published_shapes(origins(config, published_name))
