"""Published names of the weights of Hunyuan3D 2.0, 2mini and 2mv. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

import torch
from torch import Tensor

from backend.models.hunyuan3d.flux_config import FluxConfig
from backend.models.hunyuan3d.flux_denoiser import FluxDenoiser

_STREAMS = {"latents": "img", "context": "txt"}
_STREAM_LAYERS = {
    "qkv": "attn.qkv",
    "norm.query_scale": "attn.norm.query_norm.scale",
    "norm.key_scale": "attn.norm.key_norm.scale",
    "proj": "attn.proj",
    "mlp.0": "mlp.0",
    "mlp.2": "mlp.2",
}
_SINGLE_LAYERS = {
    "linear1": "linear1",
    "linear2": "linear2",
    "norm.query_scale": "norm.query_norm.scale",
    "norm.key_scale": "norm.key_norm.scale",
}


def fold(state: Mapping[str, Tensor], config: FluxConfig) -> dict[str, Tensor]:
    """Rename published weights to those of ``FluxDenoiser``; nothing is copied.

    Parameters
    ----------
    state : mapping
        By published name without prefix. Names that are not in ``upstream_shapes`` are left out.

    Raises
    ------
    KeyError
        With the published name of a tensor that is missing.
    """
    return {name: state[published] for name, published in _published_names(config).items()}


def upstream_shapes(config: FluxConfig) -> dict[str, torch.Size]:
    """Return the shapes that a published checkpoint has, by name without prefix."""
    shapes = _shapes(config)
    return {published: shapes[name] for name, published in _published_names(config).items()}


def _published_names(config: FluxConfig) -> dict[str, str]:
    """Return what each of our parameters is called there."""
    layers = dict(_layers(config))
    return {name: _renamed(name, layers) for name in _shapes(config)}


def _renamed(name: str, layers: Mapping[str, str]) -> str:
    if name in layers:
        return layers[name]
    layer, _, kind = name.rpartition(".")
    return f"{layers[layer]}.{kind}"


def _layers(config: FluxConfig) -> Iterator[tuple[str, str]]:
    """Yield our name and theirs of each layer, or of a parameter that is a layer of its own."""
    yield from (("latent_in", "latent_in"), ("cond_in", "cond_in"), ("final", "final_layer.linear"))
    yield "modulations.final", "final_layer.adaLN_modulation.1"
    for embedder in ("time_in", "guidance_in"):
        for layer in ("in_layer", "out_layer"):
            yield f"modulations.{embedder}.{layer}", f"{embedder}.{layer}"
    for index in range(config.double_blocks):
        for ours, theirs in _STREAMS.items():
            block = f"double_blocks.{index}.{theirs}"
            yield f"modulations.{ours}.{index}", f"{block}_mod.lin"
            for layer, published in _STREAM_LAYERS.items():
                yield f"double_blocks.{index}.{ours}.{layer}", f"{block}_{published}"
    for index in range(config.single_blocks):
        yield f"modulations.joint.{index}", f"single_blocks.{index}.modulation.lin"
        for layer, published in _SINGLE_LAYERS.items():
            yield f"single_blocks.{index}.{layer}", f"single_blocks.{index}.{published}"


@cache
def _shapes(config: FluxConfig) -> dict[str, torch.Size]:
    """Return the shapes of our parameters by name."""
    with torch.device("meta"):
        state = FluxDenoiser(config).state_dict()
    return {name: tensor.shape for name, tensor in state.items()}
